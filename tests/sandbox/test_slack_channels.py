"""Channels and who is in them: creation, invitations, names, archiving, and the events of it all."""

from __future__ import annotations

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ForbiddenError, UserError
from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import SIGNING_SECRET, TOKEN, TinyBot, manifest


async def test_the_bot_creates_a_channel_and_is_in_it(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """It is the creator and first member, and hears of its own joining."""
    asked_at = int(sandbox.clock.now())
    channel = (await slack.conversations_create(name="inc-1"))["channel"]
    assert (channel["creator"], channel["is_member"], channel["name"]) == ("U0MUSTER", True, "inc-1")
    assert asked_at <= channel["created"] <= sandbox.clock.now()
    await sandbox.settled()
    assert [event["user"] for event in bot.events("member_joined_channel")] == ["U0MUSTER"]
    assert [event["channel"]["name"] for event in bot.events("channel_created")] == ["inc-1"]


async def test_invited_people_join_and_the_bot_hears_of_each(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """member_joined_channel names the inviter; Slack's own line is in the history."""
    room = (await slack.conversations_create(name="inc-1"))["channel"]["id"]
    await slack.conversations_invite(channel=room, users=["U0ONCALL", "U0LEAD"])
    await sandbox.settled()
    joined = [(event["user"], event.get("inviter")) for event in bot.events("member_joined_channel")]
    assert sorted(joined, key=str) == [("U0LEAD", "U0MUSTER"), ("U0MUSTER", None), ("U0ONCALL", "U0MUSTER")]
    assert (await slack.conversations_members(channel=room))["members"] == ["U0MUSTER", "U0ONCALL", "U0LEAD"]
    lines = [one["subtype"] for one in sandbox.workspace.messages("inc-1", system=True)]
    assert lines == ["channel_join"] * 3
    assert sandbox.workspace.messages("inc-1") == []


async def test_one_bad_user_keeps_everybody_out_unless_forced(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """Without force nobody is invited; with it the good ones are, and errors names the others."""
    room = (await slack.conversations_create(name="inc-1"))["channel"]["id"]
    with pytest.raises(SlackApiError) as refused:
        await slack.conversations_invite(channel=room, users="U0ONCALL,U999,U0MUSTER")
    assert refused.value.response["errors"] == [
        {"user": "U999", "ok": False, "error": "user_not_found"},
        {"user": "U0MUSTER", "ok": False, "error": "cant_invite_self"},
    ]
    assert sandbox.workspace.channel(room).members == ["U0MUSTER"]
    answer = await slack.conversations_invite(channel=room, users="U0ONCALL,U999", force=True)
    assert [error["user"] for error in answer["errors"]] == ["U999"]
    assert sandbox.workspace.channel(room).members == ["U0MUSTER", "U0ONCALL"]


async def test_a_deactivated_user_cannot_be_invited_or_written_to(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """cant_invite and user_disabled."""
    gone = sandbox.workspace.add_user("gone", "Former developer", deleted=True, channels=())
    with pytest.raises(SlackApiError, match="cant_invite"):
        await slack.conversations_invite(channel="C0SUPPORT", users=gone.id)
    with pytest.raises(SlackApiError, match="user_disabled"):
        await slack.conversations_open(users=gone.id)


async def test_names_stay_taken_after_archiving_and_become_free_by_renaming(slack: AsyncWebClient) -> None:
    """name_taken for an archived channel; the old name of a renamed one is free."""
    first = (await slack.conversations_create(name="inc-1"))["channel"]["id"]
    await slack.conversations_rename(channel=first, name="inc-1-old")
    await slack.conversations_archive(channel=first)
    with pytest.raises(SlackApiError, match="name_taken"):
        await slack.conversations_create(name="inc-1-old")
    assert (await slack.conversations_create(name="inc-1"))["ok"]
    info = (await slack.conversations_info(channel=first, include_num_members=True))["channel"]
    assert (info["previous_names"], info["is_archived"], info["num_members"]) == (["inc-1"], True, 1)


async def test_private_channels_are_invisible_from_outside(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """The bot does not see one until it is invited, and then as a private one."""
    await sandbox.workspace.create_channel("cto", "board", is_private=True)

    async def listed() -> list[str]:
        answer = await slack.conversations_list(types="public_channel,private_channel")
        return [channel["name"] for channel in answer["channels"]]

    assert "board" not in await listed()
    await sandbox.workspace.invite("cto", "board", "@muster")
    assert "board" in await listed()
    info = (await slack.conversations_info(channel=sandbox.workspace.channel("board").id))["channel"]
    assert (info["is_private"], info["is_group"], info["is_channel"]) == (True, True, False)


async def test_lists_are_paged_by_cursor(slack: AsyncWebClient) -> None:
    """Every channel comes once; archived ones only unless they are excluded."""
    for number in range(4):
        await slack.conversations_create(name=f"room-{number}")
    old = (await slack.conversations_create(name="old"))["channel"]["id"]
    await slack.conversations_archive(channel=old)
    names: list[str] = []
    async for page in await slack.conversations_list(limit=3, exclude_archived=True):
        names += [channel["name"] for channel in page["channels"]]
        assert len(page["channels"]) <= 3
    assert names == ["general", "support", "incidents", "room-0", "room-1", "room-2", "room-3"]


async def test_topic_and_purpose_are_shown_and_said(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """The channel object carries them with who and when; the channel gets a line each."""
    room = (await slack.conversations_create(name="inc-1"))["channel"]["id"]
    await slack.conversations_setTopic(channel=room, topic="SEV1 · clerk down")
    await slack.conversations_setPurpose(channel=room, purpose="Incident 1")
    info = (await slack.conversations_info(channel=room))["channel"]
    assert (info["topic"]["value"], info["topic"]["creator"]) == ("SEV1 · clerk down", "U0MUSTER")
    assert info["purpose"]["value"] == "Incident 1"
    subtypes = [one["subtype"] for one in sandbox.workspace.messages("inc-1", system=True)]
    assert subtypes == ["channel_join", "channel_topic", "channel_purpose"]


async def test_people_archive_rename_leave_and_kick(sandbox: Sandbox, bot: TinyBot) -> None:
    """Each tells the bot where it is a member; kicked out, it hears no more."""
    people = sandbox.workspace
    await people.create_channel("cto", "team-room")
    await people.invite("cto", "team-room", "@muster", "oncall")
    await people.leave("oncall", "team-room")
    await people.rename("cto", "team-room", "war-room")
    await people.archive("cto", "war-room")
    await people.archive("cto", "war-room", archived=False)
    await people.kick("cto", "war-room", "@muster")
    await people.say("cto", "war-room", "just us now")
    await sandbox.settled()
    assert [event["user"] for event in bot.events("member_left_channel")] == ["U0ONCALL"]
    assert [event["channel"]["name"] for event in bot.events("channel_rename")] == ["war-room"]
    assert len(bot.events("channel_archive")) == 1
    assert not [event for event in bot.events("message") if event["text"] == "just us now"]


async def test_what_people_may_not_do(sandbox: Sandbox) -> None:
    """Guests see only their channels; nobody writes where they are not, or where it is archived."""
    people = sandbox.workspace
    await people.create_channel("cto", "board", is_private=True)
    with pytest.raises(ForbiddenError, match="cannot see"):
        await people.say("developer", "board", "hello?")
    with pytest.raises(ForbiddenError, match="cannot see"):
        await people.join("guest", "general")
    await people.create_channel("cto", "open-room")
    with pytest.raises(ForbiddenError, match="join it first"):
        await people.say("developer", "open-room", "hello?")
    await people.join("developer", "open-room")
    await people.archive("cto", "open-room")
    with pytest.raises(UserError, match="archived"):
        await people.say("developer", "open-room", "hello?")
    with pytest.raises(UserError, match="There is no channel"):
        people.channel("nowhere")
    with pytest.raises(UserError, match="There is no user"):
        people.user("nobody")
    with pytest.raises(UserError, match="direct message"):
        await people.join("oncall", people.im("oncall").id)


async def test_somebody_of_another_workspace(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """Their messages carry their own team, and users.info calls them a stranger."""
    partner = sandbox.workspace.add_user("partner", "Partner", team_id="T0PARTNER", channels=("support",))
    await sandbox.workspace.say("partner", "support", "clerk down")
    await sandbox.settled()
    assert bot.events("message")[-1]["team"] == "T0PARTNER"
    user = (await slack.users_info(user=partner.id))["user"]
    assert (user["team_id"], user["is_stranger"]) == ("T0PARTNER", True)


async def test_ids_are_not_used_again_by_the_next_sandbox(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """Ids of what is created are unlike those of another run, so that a bot's records never point to the wrong channel."""
    first, second = [(await slack.conversations_create(name=f"room-{one}"))["channel"]["id"] for one in "ab"]
    assert first < second
    other = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest())
    assert other.state.new_id("C") > second
