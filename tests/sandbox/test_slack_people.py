"""What people do and what the bot gets of it: messages, mentions, commands, clicks, shortcuts, Home."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import UserError
from bot.sandbox.models import User
from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import TinyBot, actions, button, field, option, section, select


async def posted(slack: AsyncWebClient, *blocks: dict[str, Any], channel: str = "C0SUPPORT") -> str:
    """A message of the bot's; its ts."""
    return str((await slack.chat_postMessage(channel=channel, text="card", blocks=list(blocks)))["ts"])


async def test_a_message_arrives_as_slack_sends_it(sandbox: Sandbox, bot: TinyBot) -> None:
    """Escaped, with mentions and links in Slack's form, the rich_text block, and the kind of channel."""
    await sandbox.workspace.say("developer", "support", "clerk.com is <b>down</b> & @oncall? see #general https://x.io/a.")
    (event,) = bot.events("message")
    assert event["text"] == (
        "<http://clerk.com|clerk.com> is &lt;b&gt;down&lt;/b&gt; &amp; <@U0ONCALL>? see <#C0GENERAL|general> <https://x.io/a>."
    )
    assert (event["user"], event["channel"], event["channel_type"]) == ("U0DEVELOPER", "C0SUPPORT", "channel")
    elements = event["blocks"][0]["elements"][0]["elements"]
    assert elements[0] == {"type": "link", "url": "http://clerk.com", "text": "clerk.com"}
    assert {"type": "user", "user_id": "U0ONCALL"} in elements
    assert event["ts"] == event["event_ts"]


async def test_what_somebody_types_cannot_become_a_broadcast(sandbox: Sandbox, bot: TinyBot) -> None:
    """A typed <!channel> is escaped; @channel and @incident-responders are what Slack makes of them."""
    await sandbox.workspace.say("developer", "support", "<!channel> help")
    await sandbox.workspace.say("developer", "support", "@channel help @incident-responders")
    first, second = bot.events("message")
    assert first["text"] == "&lt;!channel&gt; help"
    assert second["text"] == "<!channel> help <!subteam^S0RESPONDERS>"


async def test_a_mention_is_two_events(sandbox: Sandbox, bot: TinyBot) -> None:
    """message and app_mention with the same ts, as Slack sends both."""
    said = await sandbox.workspace.say("developer", "support", "@muster clerk down")
    (message,), (mention,) = bot.events("message"), bot.events("app_mention")
    assert message["ts"] == mention["ts"] == said.ts
    assert mention["text"] == "<@U0MUSTER> clerk down"
    assert len(said.deliveries) == 2


async def test_messages_only_from_where_the_bot_is(sandbox: Sandbox, bot: TinyBot) -> None:
    """Not from a channel it is not in; from direct messages as message.im."""
    await sandbox.workspace.create_channel("cto", "elsewhere")
    silent = await sandbox.workspace.say("cto", "elsewhere", "@muster clerk down")
    assert (silent.deliveries, silent.status, silent.ok) == ([], None, True)
    await sandbox.workspace.say("cto", "@muster", "hello")
    assert [(event["text"], event["channel_type"]) for event in bot.events("message")] == [("hello", "im")]


async def test_replies_edits_deletions_and_other_bots(sandbox: Sandbox, bot: TinyBot) -> None:
    """Each is a message event that a careful bot can tell from a new message of a person."""
    people = sandbox.workspace
    said = await people.say("developer", "support", "one")
    reply = await people.say("oncall", "support", "two", thread_ts=said.ts)
    await people.edit("oncall", "support", reply.ts or "", "two, edited")
    await people.delete("developer", "support", said.ts or "")
    await people.say_as_other_bot("support", "clerk down")
    await sandbox.settled()
    assert bot.events("message")[1]["thread_ts"] == said.ts
    assert bot.events("message", "message_changed")[0]["message"]["edited"]["user"] == "U0ONCALL"
    assert bot.events("message", "message_deleted")[0]["previous_message"]["text"] == "one"
    assert bot.events("message", "bot_message")[0]["bot_id"] == "B0OTHER"
    with pytest.raises(UserError, match="has no message"):
        await people.edit("developer", "support", reply.ts or "", "mine now")


async def test_reactions_are_told(sandbox: Sandbox, bot: TinyBot) -> None:
    """reaction_added names the message, its author and who reacted."""
    said = await sandbox.workspace.say("developer", "support", "one")
    await sandbox.workspace.react("oncall", "support", said.ts or "", ":pushpin:")
    (event,) = bot.events("reaction_added")
    assert (event["user"], event["reaction"], event["item_user"]) == ("U0ONCALL", "pushpin", "U0DEVELOPER")
    assert event["item"] == {"type": "message", "channel": "C0SUPPORT", "ts": said.ts}


async def test_a_command_arrives_with_all_its_fields(sandbox: Sandbox, bot: TinyBot) -> None:
    """The form has Slack's fields; with should_escape, names become ids with names."""
    result = await sandbox.workspace.command("developer", "support", "/incident assign @oncall commander & <go>")
    fields = bot.received[0].payload
    assert result.ok
    assert fields["text"] == "assign <@U0ONCALL|oncall> commander &amp; &lt;go&gt;"
    assert (fields["command"], fields["user_name"], fields["channel_name"]) == ("/incident", "developer", "support")
    assert bot.received[0].headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_a_command_without_should_escape_keeps_names(sandbox: Sandbox, bot: TinyBot) -> None:
    """The manifest decides."""
    await sandbox.workspace.command("developer", "support", "/plain ask @oncall")
    assert bot.received[0].payload["text"] == "ask @oncall"


async def test_a_command_works_where_the_bot_is_not_but_not_where_the_person_cannot_look(sandbox: Sandbox, bot: TinyBot) -> None:
    """In a private channel its name is privategroup, in a direct message directmessage."""
    people = sandbox.workspace
    await people.create_channel("cto", "board", is_private=True)
    await people.command("cto", "board", "/incident help")
    await people.command("cto", people.im("cto").id, "/incident help")
    assert [one.payload["channel_name"] for one in bot.received] == ["privategroup", "directmessage"]
    with pytest.raises(UserError, match="cannot see"):
        await people.command("developer", "board", "/incident help")


async def test_an_unknown_command_never_reaches_the_bot(sandbox: Sandbox, bot: TinyBot) -> None:
    """Slack itself answers it."""
    result = await sandbox.workspace.command("developer", "support", "/nonsense")
    assert (result.ok, bot.received) == (False, [])
    assert "is not a valid command" in (result.error or "")


@pytest.mark.parametrize(
    ("answer", "everybody_sees"),
    [({"text": "hi", "response_type": "in_channel"}, True), ({"text": "hi"}, False)],
)
async def test_a_command_answered_at_once(sandbox: Sandbox, bot: TinyBot, answer: dict[str, Any], everybody_sees: bool) -> None:
    """The HTTP answer is a message: ephemeral unless in_channel."""
    bot.replies_with(answer)
    result = await sandbox.workspace.command("developer", "support", "/incident help")
    assert (result.response or {})["text"] == "hi"
    assert [one["text"] for one in sandbox.workspace.messages("support", "developer")] == ["hi"]
    assert bool(sandbox.workspace.messages("support", "cto")) == everybody_sees


async def test_a_command_answered_with_plain_text_or_bad_blocks(sandbox: Sandbox, bot: TinyBot) -> None:
    """Text is an ephemeral message; blocks that Slack would refuse are refused."""
    bot.replies_with(text="just words")
    assert ((await sandbox.workspace.command("developer", "support", "/incident")).response or {})["text"] == "just words"
    bot.replies_with({"blocks": [section("x" * 3001)]})
    result = await sandbox.workspace.command("developer", "support", "/incident")
    assert not result.ok
    assert "invalid_blocks" in (result.error or "")


async def test_a_click_carries_the_button_the_message_and_the_way_back(
    sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot
) -> None:
    """block_actions with container, message, channel, trigger, response_url and the action."""
    ts = await posted(slack, actions(button("ack", value="inc-1"), block_id="buttons"))
    result = await sandbox.workspace.click("oncall", "support", ts, "ack")
    (payload,) = bot.interactions("block_actions")
    assert result.ok
    assert payload["container"] == {"type": "message", "message_ts": ts, "channel_id": "C0SUPPORT", "is_ephemeral": False}
    assert (payload["message"]["ts"], payload["channel"]["name"], payload["user"]["id"]) == (ts, "support", "U0ONCALL")
    (action,) = payload["actions"]
    assert (action["action_id"], action["block_id"], action["value"], action["type"]) == ("ack", "buttons", "inc-1", "button")
    assert payload["response_url"].startswith(f"{sandbox.url}/response/")


@pytest.mark.parametrize(
    ("element", "given", "expected"),
    [
        (select("SEV1", "SEV2"), {"selected_option": "SEV2"}, {"selected_option": option("SEV2")}),
        (select("SEV1", "SEV2"), {"value": "SEV1"}, {"selected_option": option("SEV1")}),
        ({"type": "overflow", "action_id": "pick", "options": [option("a")]}, {"value": "a"}, {"selected_option": option("a")}),
        ({"type": "users_select", "action_id": "pick"}, {"selected_user": "U0CTO"}, {"selected_user": "U0CTO"}),
        (
            {"type": "checkboxes", "action_id": "pick", "options": [option("a"), option("b")]},
            {"selected_options": ["a", "b"]},
            {"selected_options": [option("a"), option("b")]},
        ),
        ({"type": "datepicker", "action_id": "pick"}, {"selected_date": "2026-11-20"}, {"selected_date": "2026-11-20"}),
    ],
)
async def test_choosing_in_a_message(
    sandbox: Sandbox,
    slack: AsyncWebClient,
    bot: TinyBot,
    element: dict[str, Any],
    given: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    """The action has what was chosen, as Slack writes it, and so has the state of elements that keep it."""
    ts = await posted(slack, actions(element, block_id="b"))
    await sandbox.workspace.click("oncall", "support", ts, "pick", **given)
    (payload,) = bot.interactions("block_actions")
    assert expected.items() <= payload["actions"][0].items()
    if element["type"] != "overflow":
        assert payload["state"]["values"]["b"]["pick"] == {"type": element["type"], **expected}


async def test_what_cannot_be_clicked(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """A button that is not there, two that fit, an option that is not offered, a message that is gone: said, not sent."""
    people = sandbox.workspace
    ts = await posted(slack, actions(button("go"), block_id="a"), actions(button("go"), select("x"), block_id="b"))
    with pytest.raises(UserError, match="is no element"):
        await people.click("oncall", "support", ts, "stop")
    with pytest.raises(UserError, match="several elements"):
        await people.click("oncall", "support", ts, "go")
    with pytest.raises(UserError, match="not one of the options"):
        await people.click("oncall", "support", ts, "pick", selected_option="y")
    with pytest.raises(UserError, match="takes selected_option"):
        await people.click("oncall", "support", ts, "pick", selected_user="U0CTO")
    await slack.chat_delete(channel="C0SUPPORT", ts=ts)
    with pytest.raises(UserError, match="no message"):
        await people.click("oncall", "support", ts, "go", block_id="a")
    assert bot.interactions("block_actions") == []


async def test_a_click_on_an_ephemeral_message(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """Only its reader can click it; the payload has no message, as Slack's has none."""
    blocks = [actions(button())]
    sent = await slack.chat_postEphemeral(channel="C0SUPPORT", user="U0ONCALL", text="psst", blocks=blocks)
    await sandbox.workspace.click("oncall", "support", sent["message_ts"], "go")
    (payload,) = bot.interactions("block_actions")
    assert payload["container"]["is_ephemeral"]
    assert "message" not in payload
    with pytest.raises(UserError, match="no message"):
        await sandbox.workspace.click("cto", "support", sent["message_ts"], "go")


async def test_an_input_in_a_message_is_part_of_the_next_click(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """state.values has the first values of what nobody touched."""
    text = field({"type": "plain_text_input", "action_id": "note", "initial_value": "so far"}, block_id="n")
    ts = await posted(slack, text, actions(button()))
    await sandbox.workspace.click("oncall", "support", ts, "go")
    (payload,) = bot.interactions("block_actions")
    assert payload["state"]["values"] == {"n": {"note": {"type": "plain_text_input", "value": "so far"}}}


async def test_shortcuts(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """Global ones have no channel; those on a message have it and the message."""
    people = sandbox.workspace
    ts = await posted(slack, section())
    await people.shortcut("developer", "open")
    await people.shortcut("developer", "from_message", "support", ts)
    (anywhere,), (on_message,) = bot.interactions("shortcut"), bot.interactions("message_action")
    assert "channel" not in anywhere
    assert (on_message["message"]["ts"], on_message["channel"]["id"]) == (ts, "C0SUPPORT")
    with pytest.raises(UserError, match="no shortcut"):
        await people.shortcut("developer", "unknown")
    with pytest.raises(UserError, match="for messages"):
        await people.shortcut("developer", "from_message")


async def test_the_home_tab(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """Opening it is an event; publishing sets it, guarded by its hash; its buttons work."""
    people = sandbox.workspace
    await people.open_home("oncall")
    assert bot.events("app_home_opened")[0]["tab"] == "home"
    view = {"type": "home", "blocks": [actions(button("refresh"))]}
    first = (await slack.views_publish(user_id="U0ONCALL", view=view))["view"]
    second = (await slack.views_publish(user_id="U0ONCALL", view=view, hash=first["hash"]))["view"]
    assert (first["id"] == second["id"], first["hash"] == second["hash"]) == (True, False)
    await people.view_action("oncall", second["id"], "refresh")
    assert bot.interactions("block_actions")[0]["view"]["type"] == "home"


async def test_an_empty_message_is_not_sent(sandbox: Sandbox) -> None:
    """Neither is a reply to nothing."""
    with pytest.raises(UserError, match="empty"):
        await sandbox.workspace.say("developer", "support", "   ")
    with pytest.raises(UserError, match="no message"):
        await sandbox.workspace.say("developer", "support", "hi", thread_ts="1.000001")


async def test_somebody_is_found_by_their_address(slack: AsyncWebClient) -> None:
    """In any case; the user object is that of users.info, with the address for an app that may see it."""
    found = (await slack.users_lookupByEmail(email="OnCall@Example.com"))["user"]
    assert found["id"] == "U0ONCALL"
    assert found == (await slack.users_info(user="U0ONCALL"))["user"]
    assert found["profile"]["email"] == "oncall@example.com"
    members = (await slack.users_list())["members"]
    assert {one["profile"].get("email") for one in members if not one["is_bot"]} >= {"lead@example.com", "cto@example.com"}
    with pytest.raises(SlackApiError, match="users_not_found"):
        await slack.users_lookupByEmail(email="nobody@example.com")


@pytest.mark.parametrize(
    ("tz", "at", "label", "offset_s"),
    [
        ("Europe/Berlin", 1_800_000_000, "Central European Time", 3600),
        ("Europe/Berlin", 1_815_000_000, "Central European Summer Time", 7200),
        ("America/New_York", 1_800_000_000, "Eastern Standard Time", -18000),
        ("Asia/Kolkata", 1_815_000_000, "India Standard Time", 19800),
        ("Africa/Nairobi", 1_800_000_000, "Africa/Nairobi", 10800),
    ],
)
def test_time_zones_are_those_of_the_day(tz: str, at: float, label: str, offset_s: int) -> None:
    """Slack's offset follows summer time."""
    shown = User("U1", "somebody", "Somebody", tz=tz).as_slack(with_email=False, at=at)
    assert (shown["tz"], shown["tz_label"], shown["tz_offset"]) == (tz, label, offset_s)
