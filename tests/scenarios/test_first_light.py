"""The story of first light: from "clerk down" to a room, a diagnosis, a revoked session and a page that stops."""

from __future__ import annotations

from tests.scenarios.conftest import Stage, said

OUTAGE_ROOM = "-clerk-down-"


async def test_a_command_opens_a_room_with_a_checklist_and_a_diagnosis(stage: Stage) -> None:
    """`/incident clerk down`: one room, one card, the declarer and on-call inside, results beside the steps."""
    result = await stage.workspace.command("support-agent", "support", "/incident clerk down")
    assert result.status == 200
    assert "Opening" in str(result.response)
    room = await stage.room()
    assert OUTAGE_ROOM in room.name
    card = await stage.sees(room.name, "Clerk status page: *ok*")
    assert "Checklist" in said(card)
    assert "Confirm outage" in said(card)
    await stage.wait(lambda: {"U0SUPPORT", "U0ONCALL"} <= set(room.members), "the people")
    assert len([message for message in stage.messages(room.name) if "Checklist" in said(message)]) == 1
    await stage.sees("incidents", "clerk down")
    await stage.sees("support", room.id, user="support-agent")


async def test_a_phrase_opens_a_room_and_answers_in_its_thread(stage: Stage) -> None:
    """Just writing "auth not working" is enough."""
    said_it = await stage.workspace.say("support-agent", "support", "auth is not working!!")
    room = await stage.room()
    reply = await stage.sees("support", f"<#{room.id}>")
    assert reply["thread_ts"] == said_it.ts


async def test_when_clerk_is_down_the_clerk_branch_is_suggested(stage: Stage) -> None:
    """The evidence speaks, a person chooses."""
    stage.world.set("clerk_status", "down")
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    card = await stage.sees(room.name, "The evidence suggests *Clerk outage*")
    assert "Clerk status page: *failing*" in said(card)
    await stage.click("developer", room.name, card, "choose_branch:0")
    await stage.sees(room.name, "Enable emergency bypass")


async def test_sessions_of_a_user_are_revoked_from_a_button(stage: Stage) -> None:
    """Preview with the exact sessions, confirmation, every session gone, written down."""
    await stage.workspace.command("developer", "general", "/incident unauthorized access detected")
    room = await stage.room()
    card = await stage.sees(room.name, "Revoke all sessions for affected users")
    await stage.click("developer", room.name, card, "run_step", block_id="do:revoke")
    view = await stage.wait(lambda: stage.workspace.views("developer"), "the form")
    sent = await stage.workspace.submit_view("developer", view[-1]["id"], {"param:user_id": {"value": "user_2demo"}})
    assert sent.ok, sent
    preview = await stage.sees(room.name, "What would happen")
    assert "7" in said(preview)
    await stage.click("developer", room.name, preview, "confirm_run")
    await stage.sees(room.name, "7 sessions of user_2demo ended")
    assert stage.world.clerk.live_sessions("user_2demo") == []


async def test_nobody_acknowledges_and_the_next_level_is_paged(stage: Stage) -> None:
    """On-call at once, the lead after 15 minutes, the CTO after 30; an acknowledgement stops it."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    await stage.room()
    await stage.wait(lambda: stage.workspace.dm("oncall"), "the page of on-call")
    assert not stage.workspace.dm("engineering-lead")
    await stage.advance(15 * 60)
    page = (await stage.wait(lambda: stage.workspace.dm("engineering-lead"), "the page of the lead"))[0]
    assert not stage.workspace.dm("cto")
    await stage.click("engineering-lead", "@muster", page, "acknowledge")
    await stage.wait(lambda: "has it" in said(stage.workspace.dm("oncall")[0]), "the page says who has it")
    await stage.advance(60 * 60)
    await stage.wait(lambda: len(stage.workspace.dm("engineering-lead")) == 2, "the question whether they are still on it")
    await stage.idle()
    assert not stage.workspace.dm("cto")


async def test_nobody_acknowledges_until_the_cto_is_paged(stage: Stage) -> None:
    """All three levels, each once; the acknowledgement of the last one ends it, and everybody's page says who has it."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    await stage.room()
    await stage.wait(lambda: stage.workspace.dm("oncall"), "the page of on-call")
    await stage.advance(15 * 60)
    await stage.wait(lambda: stage.workspace.dm("engineering-lead"), "the page of the lead")
    await stage.advance(15 * 60)
    page = (await stage.wait(lambda: stage.workspace.dm("cto"), "the page of the CTO"))[0]
    await stage.click("cto", "@muster", page, "acknowledge")
    for user in ("oncall", "engineering-lead", "cto"):
        await stage.wait(lambda user=user: "has it" in said(stage.workspace.dm(user)[0]), f"the page of {user} says who has it")
    await stage.advance(24 * 60 * 60)
    asked = (await stage.wait(lambda: stage.workspace.dm("cto")[1:], "the question whether they are still on it"))[0]
    assert "Are you still on it?" in said(asked)
    await stage.idle()
    assert [len(stage.workspace.dm(user)) for user in ("oncall", "engineering-lead", "cto")] == [1, 1, 2]


async def test_a_quick_thumb_acknowledges_before_the_page_is_recorded(stage: Stage) -> None:
    """The button of a page works from the moment it can be seen: here the record of the page never comes."""
    stage.sandbox.faults.add(
        "chat.postMessage", "accept_then_timeout", times=1, seconds=30, match={"channel": dm_of(stage, "oncall")}
    )
    await stage.workspace.command("developer", "general", "/incident clerk down")
    await stage.room()
    page = (await stage.wait(lambda: stage.workspace.dm("oncall"), "the page"))[0]
    incident = await stage.muster.desk.get("inc-1")
    assert incident.pages == ()
    await stage.click("oncall", "@muster", page, "acknowledge")
    assert (await stage.muster.desk.get("inc-1")).acknowledged


def dm_of(stage: Stage, user: str) -> str:
    """The channel of the direct messages between a person and Muster."""
    return str(stage.workspace.im(user).id)
