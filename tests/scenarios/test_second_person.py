"""What needs a second person: who says yes, who says no, who is too late, who goes on alone; each with what did not happen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.domain.commands import ChangeStatus
from bot.domain.facts import RunConfirmed, Status
from tests.scenarios.acting import RunStage, buttons, staged_machine, texts
from tests.scenarios.conftest import Stage, said
from tests.security.support import click_of, send


@pytest.fixture
async def stage(unstarted: Stage, tmp_path: Path) -> RunStage:
    """A running bot with the machine."""
    made = staged_machine(unstarted, tmp_path)
    await made.start()
    return made


@pytest.fixture
async def room(stage: RunStage) -> Any:
    """The room of the machine on fire."""
    return await stage.fire()


async def press(stage: RunStage, room: Any, user: str, action_id: str, run_id: str = "r1", *, channel: str = "") -> None:
    """A click on a button that may be gone by now, or was never there."""
    incident_id = (await stage.muster.desk.find_by_channel(room.id)).id  # type: ignore[union-attr]
    click = click_of(action_id, f"{incident_id}/{run_id}", user=stage.workspace.user(user).id, channel=channel or room.id)
    click["response_url"] = stage.sandbox._response_urls.issue(click["user"]["id"], room.id)
    assert (await send(stage, click))[0] == 200


async def quiet(stage: RunStage) -> None:
    """Everything that was begun has come to its end."""
    await stage.is_at_rest()
    await stage.sandbox.settled()


async def test_whoever_asked_cannot_approve_and_somebody_else_can(stage: RunStage, room: Any) -> None:
    """The preview says exactly what, who has to agree, and by which parameters; one yes of another person is one run."""
    preview = await stage.asked(room)
    text = said(preview)
    run = await stage.run()
    assert "*What would happen:* All of boiler is gone." in text
    assert "boiler &lt;1&gt;" in text
    assert "Needs a second person" in text
    assert f"parameters {run.params_digest[:8]}" in text
    assert buttons(preview) == ["confirm_run", "deny_run", "cancel_run", "break_glass"]
    called = await stage.sees(room.name, "*Wipe* needs a second person. Look at what it would do")
    assert called["thread_ts"] == preview["ts"]
    assert "<@U0ONCALL>" in said(called)
    await stage.click("developer", room.name, preview, "confirm_run")
    await stage.sees(room.name, "needs a second person: somebody else has to approve it", user="developer")
    assert (await stage.run()).confirmed is None
    await stage.click("oncall", room.name, preview, "confirm_run")
    ended = await stage.says(room, "Wipe", "boiler is wiped")
    assert stage.machine.parts_wiped == ["boiler"]
    assert "Approved by <@U0ONCALL>" in said(ended)
    assert buttons(ended) == []
    await stage.wait(lambda: "✅ boiler is wiped" in said(stage.card(room.name)), "the step on the card")


async def test_of_two_who_approve_at_once_one_does(stage: RunStage, room: Any) -> None:
    """One run, one result; the other one is told who was quicker."""
    preview = await stage.asked(room)
    users = ("oncall", "engineering-lead", "cto")
    await asyncio.gather(*(stage.click(user, room.name, preview, "confirm_run") for user in users))
    await stage.says(room, "Wipe", "boiler is wiped")
    await quiet(stage)
    run = await stage.run()
    assert run.confirmed
    for user in users:
        if stage.workspace.user(user).id != run.confirmed.by:
            await stage.sees(room.name, "already", user=user)
    assert stage.machine.begun["wipe"] == 1
    entries = await stage.muster.store.timeline((await stage.incident()).id)
    assert sum(isinstance(entry.fact, RunConfirmed) for entry in entries) == 1


async def test_no_beats_yes_also_when_both_come_at_once(stage: RunStage, room: Any) -> None:
    """Whichever was first: nothing is wiped."""
    stage.machine.gate.clear()
    preview = await stage.asked(room)
    await asyncio.gather(
        stage.click("oncall", room.name, preview, "confirm_run"), stage.click("cto", room.name, preview, "deny_run")
    )
    denied = await stage.sees(room.name, "⛔ Denied by <@U0CTO>")
    assert buttons(denied) == []
    await stage.is_at_rest()  # what had begun hears of it within a second
    stage.machine.gate.set()
    await quiet(stage)
    assert stage.machine.parts_wiped == []
    assert (await stage.run()).denied
    assert "⛔ Denied by <@U0CTO>" in said(stage.of_run(room, "Wipe"))


async def test_a_no_ends_what_was_approved_before(stage: RunStage, room: Any) -> None:
    """It had begun: it ends where it can, and its message says how far it came."""
    stage.machine.gate.clear()
    preview = await stage.asked(room)
    await stage.click("oncall", room.name, preview, "confirm_run")
    await stage.has_begun("wipe")
    await press(stage, room, "cto", "deny_run")
    await stage.says(room, "Wipe", "a part of it may be done")
    ended = await stage.says(room, "Wipe", "Stopped; boiler is half wiped")
    assert "⛔ Denied by <@U0CTO>" in said(ended)
    stage.machine.gate.set()
    await quiet(stage)
    assert stage.machine.parts_wiped == []


async def test_after_a_no_a_yes_is_too_late(stage: RunStage, room: Any) -> None:
    """The button was drawn before."""
    preview = await stage.asked(room)
    await stage.click("cto", room.name, preview, "deny_run")
    await stage.sees(room.name, "Nothing was done.")
    await press(stage, room, "oncall", "confirm_run")
    await stage.sees(room.name, "was denied by <@U0CTO>", user="oncall")
    await quiet(stage)
    assert stage.machine.begun["wipe"] == 0


async def test_whoever_asked_may_think_better_of_it(stage: RunStage, room: Any) -> None:
    """Nobody can approve it any more."""
    preview = await stage.asked(room)
    await stage.click("developer", room.name, preview, "cancel_run")
    await stage.sees(room.name, "Cancelled by <@U0DEVELOPER>")
    await press(stage, room, "oncall", "confirm_run")
    await stage.sees(room.name, "was already cancelled", user="oncall")
    assert stage.machine.begun["wipe"] == 0


async def test_nobody_confirms_in_time_and_it_can_be_asked_for_once_more(stage: RunStage, room: Any) -> None:
    """The message says so by itself; an old button does nothing; the new request has a preview and an approval of its own."""
    await stage.asked(room)
    await stage.advance(15 * 60 + 1)
    expired = await stage.sees(room.name, "⌛ Nobody confirmed it until")
    assert buttons(expired) == ["ask_again"]
    await press(stage, room, "oncall", "confirm_run")
    await stage.sees(room.name, "in time; ask for it once more", user="oncall")
    await quiet(stage)
    assert stage.machine.begun["wipe"] == 0
    await stage.click("developer", room.name, expired, "ask_again")
    again = await stage.sees(room.name, "What would happen")
    assert dict((await stage.run("r2")).params) == {"part": "boiler", "passes": 1}
    await stage.click("oncall", room.name, again, "confirm_run")
    await stage.says(room, "Wipe", "boiler is wiped")
    assert stage.machine.begun["wipe"] == 1


async def test_what_did_not_expire_is_not_asked_for_once_more(stage: RunStage, room: Any) -> None:
    """A forged click cannot double a run."""
    await stage.asked(room)
    await press(stage, room, "oncall", "ask_again")
    await stage.sees(room.name, "did not expire", user="oncall")
    assert set((await stage.incident()).runs) == {"r1"}


async def test_after_the_end_of_the_incident_an_old_approval_does_nothing(stage: RunStage, room: Any) -> None:
    """The incident is over: its buttons are gone, and a click on an old drawing is refused."""
    await stage.asked(room)
    incident = await stage.incident()
    await stage.muster.desk.handle(incident.id, ChangeStatus(status=Status.RESOLVED), by="U0ONCALL")
    await stage.wait(lambda: buttons(stage.of_run(room, "Wipe")) == [], "no buttons")
    await press(stage, room, "oncall", "confirm_run")
    await stage.wait(lambda: texts(stage, room.name, user="oncall") != texts(stage, room.name), "the refusal")
    await quiet(stage)
    assert stage.machine.begun["wipe"] == 0


@pytest.mark.parametrize(
    "action_id", ["confirm_run", "deny_run", "stop_run", "break_glass", "look_at_run", "undo_run", "revert_now", "ask_again"]
)
async def test_a_run_that_is_not_there_is_nobodys(stage: RunStage, room: Any, action_id: str) -> None:
    """Forged run ids, of this incident and of none: told, and nothing else."""
    await stage.asked(room)
    before = (await stage.incident()).version
    await press(stage, room, "oncall", action_id, "r99")
    await stage.sees(room.name, "There is no such run in this incident", user="oncall")
    assert (await stage.incident()).version == before


async def test_a_button_of_the_room_does_nothing_from_elsewhere(stage: RunStage, room: Any) -> None:
    """Copied into another channel, it is another room's."""
    await stage.asked(room)
    await press(stage, room, "oncall", "confirm_run", channel="C0INCIDENTS")
    await stage.sees(room.name, "belongs to another room", user="oncall")
    assert (await stage.run()).confirmed is None


async def test_what_changed_since_it_was_shown_does_not_happen(stage: RunStage, room: Any) -> None:
    """The approval is of what was seen."""
    stage.machine.state = "full"
    preview = await stage.asked(room)
    stage.machine.state = "empty"
    await stage.click("oncall", room.name, preview, "confirm_run")
    await stage.sees(room.name, "It is not as it was shown any more, so nothing was done")
    assert stage.machine.begun["wipe"] == 0


# -- alone -------------------------------------------------------------------------------------------------------------


async def test_going_on_alone_waits_for_its_time_and_a_reason(stage: RunStage, room: Any) -> None:
    """Before: refused. Then: a form, a reason, one run, and everybody hears of it."""
    preview = await stage.asked(room)
    await stage.click("developer", room.name, preview, "break_glass")
    await stage.sees(room.name, "Somebody may still approve it", user="developer")
    assert stage.workspace.views("developer") == []
    await stage.advance(5 * 60 + 1)
    await stage.click("oncall", room.name, preview, "break_glass")
    await stage.sees(room.name, "Only <@U0DEVELOPER>, who asked for it, can go on alone", user="oncall")
    await stage.click("developer", room.name, preview, "break_glass")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    assert "All of boiler is gone." in said({"blocks": view["blocks"]})
    nothing = await stage.workspace.submit_view("developer", view["id"], {"reason": {"value": "\u200b \n"}})
    assert nothing.errors == {"reason": "The reason is part of the record."}
    assert stage.machine.begun["wipe"] == 0
    sent = await stage.workspace.submit_view("developer", view["id"], {"reason": {"value": "nobody <answers> & it burns"}})
    assert sent.ok, sent
    await stage.says(room, "Wipe", "boiler is wiped")
    loud = await stage.sees("incidents", "Without a second person")
    assert f"<@U0DEVELOPER> went on alone with *Wipe* in <#{room.id}>" in said(loud)
    assert "nobody &lt;answers&gt; &amp; it burns" in said(loud)
    await stage.sees(room.name, "🔓 *Without a second person:* <@U0DEVELOPER> went on alone with *Wipe*")
    await quiet(stage)
    assert stage.machine.begun["wipe"] == 1
    assert texts(stage, "incidents").count("went on alone with") == 1
    assert (await stage.run()).break_glass == "nobody <answers> & it burns"


async def test_a_form_of_going_on_alone_is_worth_nothing_once_somebody_said_no(stage: RunStage, room: Any) -> None:
    """It was open when they did."""
    preview = await stage.asked(room)
    await stage.advance(5 * 60 + 1)
    await stage.click("developer", room.name, preview, "break_glass")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    await stage.click("cto", room.name, preview, "deny_run")
    await stage.workspace.submit_view("developer", view["id"], {"reason": {"value": "now"}})
    assert "was denied by" in said({"blocks": stage.workspace.views("developer")[-1]["blocks"]})
    await quiet(stage)
    assert stage.machine.begun["wipe"] == 0
    assert "went on alone" not in texts(stage, "incidents")


async def test_when_nobody_else_may_approve_nobody_is_waited_for(unstarted: Stage, tmp_path: Path) -> None:
    """The team is one person."""
    stage = staged_machine(unstarted, tmp_path, {"permissions": {"approve": "U0DEVELOPER"}})
    await stage.start()
    room = await stage.fire()
    preview = await stage.asked(room)
    assert "nobody else may approve it" in said(preview)
    await stage.click("developer", room.name, preview, "break_glass")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    assert (await stage.workspace.submit_view("developer", view["id"], {"reason": {"value": "I am alone"}})).ok
    await stage.says(room, "Wipe", "boiler is wiped")
    await stage.sees("incidents", "went on alone with *Wipe*")


async def test_a_private_incident_tells_everybody_only_that_it_happened(stage: RunStage) -> None:
    """No title, no action, no parameters, no reason and no room outside of it."""
    await stage.workspace.command("developer", "general", "/incident")
    form = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    given = {
        "title": {"value": "the canary leak"},
        "runbook": {"value": "made-up"},
        "private": {"value": ["private"]},
    }
    assert (await stage.workspace.submit_view("developer", form["id"], given)).ok
    room = await stage.room()
    await stage.wait(lambda: "Wipe the machine" in said(stage.card(room.name)), "the card")
    await stage.sandbox.settled()
    for view in stage.workspace.views("developer"):
        await stage.workspace.close_view("developer", view["id"])
    preview = await stage.asked(room)
    await stage.advance(5 * 60 + 1)
    await stage.click("developer", room.name, preview, "break_glass")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    assert (await stage.workspace.submit_view("developer", view["id"], {"reason": {"value": "the canary sings"}})).ok
    loud = await stage.sees("incidents", "went on alone in a private incident")
    assert not any(word in said(loud) for word in ("canary", "Wipe", "boiler", room.id, "sings"))
    await stage.sees(room.name, "the canary sings")
