"""The life of a run: its form, how far it is, how it is stopped, what it leaves behind, how it is looked at and taken back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.domain.commands import ChangeAccounts, ChangeStatus
from bot.domain.facts import Status
from bot.domain.outcome import State
from bot.slack.progress import EVERY_S
from tests.scenarios.acting import RunStage, buttons, staged_machine, texts
from tests.scenarios.conftest import Stage, said

pytestmark = pytest.mark.slow


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


async def approved(stage: RunStage, room: Any, step: str = "wipe", **fields: Any) -> None:
    """Asked for by one person, approved by another."""
    preview = await stage.asked(room, step, **fields)
    await stage.click("oncall", room.name, preview, "confirm_run")


def updates_of(stage: RunStage, message: dict[str, Any]) -> list[Any]:
    """How often a message was redrawn."""
    return [call for call in stage.called("chat.update") if call.arguments.get("ts") == message["ts"]]


def times(stage: RunStage, room: Any, text: str) -> int:
    """How many messages of a room say something."""
    return sum(text in said(message) for message in stage.messages(room.name))


# -- asking ------------------------------------------------------------------------------------------------------------


async def test_what_the_runbook_gives_is_not_asked_for(stage: RunStage, room: Any) -> None:
    """No form: the preview comes at once, and one person is enough for one thing."""
    preview = await stage.asked(room, "turn")
    assert stage.workspace.views("developer") == []
    assert "second person" not in said(preview)
    await stage.click("developer", room.name, preview, "confirm_run")
    await stage.says(room, "Turn", "screw is turned")
    assert stage.machine.begun["turn"] == 1


async def test_a_form_says_what_is_wrong_beside_the_input(stage: RunStage, room: Any) -> None:
    """Nothing is asked for until it fits; a number has its bounds in Slack already."""
    await stage.click("developer", room.name, stage.card(room.name), "run_step", block_id="do:wipe")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    assert "Think of &lt;everybody&gt;." in said({"blocks": view["blocks"]})
    wrong = await stage.workspace.submit_view("developer", view["id"], {"param:part": {"value": "../../v1"}})
    assert set(wrong.errors) == {"param:part"}
    over = {"param:part": {"value": "boiler"}, "param:passes": {"value": "10"}}
    assert set((await stage.workspace.submit_view("developer", view["id"], over)).errors) == {"param:passes"}
    assert (await stage.incident()).runs == {}
    given = {"param:part": {"value": "boiler"}, "param:passes": {"value": "3"}}
    assert (await stage.workspace.submit_view("developer", view["id"], given)).ok
    await stage.says(room, "Wipe", "What would happen")
    assert dict((await stage.run()).params) == {"part": "boiler", "passes": 3}


async def test_who_is_hit_is_locked_and_let_in_again(stage: RunStage, room: Any) -> None:
    """The accounts of the incident stand in the form; the undo is a run of its own, offered until it worked."""
    incident = await stage.incident()
    accounts = ChangeAccounts(added=("user_1", "user_2"))
    await stage.muster.desk.handle(incident.id, accounts, by="U0DEVELOPER")
    await approved(stage, room, "lock")
    locked = await stage.says(room, "Lock", "2 are locked")
    assert stage.machine.locked == {"user_1", "user_2"}
    assert buttons(locked) == ["undo_run"]
    await stage.click("developer", room.name, locked, "undo_run")
    undoing = await stage.says(room, "Unlock", "What would happen")
    assert "user_1" in said(undoing)
    assert "second person" not in said(undoing)
    assert stage.machine.locked == {"user_1", "user_2"}
    await stage.wait(lambda: buttons(stage.of_run(room, "Lock")) == [], "no second undo")
    await stage.click("developer", room.name, undoing, "confirm_run")
    await stage.says(room, "Unlock", "2 are open again")
    assert stage.machine.locked == set()
    back = await stage.says(room, "Lock", "↩️ Taken back at")
    assert buttons(back) == []


async def test_what_was_done_can_be_taken_back_when_it_is_over(stage: RunStage, room: Any) -> None:
    """Somebody was locked out by mistake, and that was noticed late."""
    await approved(stage, room, "lock", user_ids="user_1")
    locked = await stage.says(room, "Lock", "1 are locked")
    incident = await stage.incident()
    await stage.muster.desk.handle(incident.id, ChangeStatus(status=Status.RESOLVED), by="U0ONCALL")
    await stage.click("developer", room.name, locked, "undo_run")
    undoing = await stage.says(room, "Unlock", "What would happen")
    await stage.click("developer", room.name, undoing, "confirm_run")
    await stage.says(room, "Unlock", "1 are open again")
    assert stage.machine.locked == set()


# -- under way ---------------------------------------------------------------------------------------------------------


async def test_how_far_it_is_stands_in_its_message(stage: RunStage, room: Any) -> None:
    """The newest line of many, one drawing in three seconds, and the result over all of it."""
    stage.machine.gate.clear()
    stage.machine.progress = [f"{number} of 50 <parts>" for number in range(50)]
    await approved(stage, room)
    shown = await stage.says(room, "Wipe", "⏳ Running: 49 of 50 &lt;parts&gt;")
    assert buttons(shown) == ["stop_run"]
    assert len([call for call in updates_of(stage, shown) if "Running:" in str(call.arguments)]) <= 2
    stage.machine.went_on.set()
    await stage.says(room, "Wipe", "⏳ Running: one line more")
    drawn = [call for call in updates_of(stage, shown) if "Running:" in str(call.arguments)]
    began = next(number for number, call in enumerate(drawn) if "one line more" in str(call.arguments))
    assert drawn[began].started_at - drawn[began - 1].started_at >= EVERY_S
    stage.machine.gate.set()
    await stage.says(room, "Wipe", "boiler is wiped")
    await stage.idle()
    assert "boiler is wiped" in said(stage.of_run(room, "Wipe"))


async def test_a_line_that_comes_late_does_not_cover_the_result(stage: RunStage, room: Any) -> None:
    """Slack takes its time over the line, and the run ends meanwhile: what stays is the result."""
    stage.machine.gate.clear()
    await approved(stage, room)
    await stage.says(room, "Wipe", "Running")
    shown = stage.of_run(room, "Wipe")
    await stage.sandbox.settled()
    await stage.has_begun("wipe")
    stage.sandbox.faults.add("chat.update", "slow", times=1, seconds=1.0, match={"ts": shown["ts"]})
    stage.machine.went_on.set()

    def late() -> list[Any]:
        return [call for call in updates_of(stage, shown) if call.note and "one line more" in str(call.arguments)]

    await stage.wait(late, "the line, on its way")
    stage.machine.gate.set()
    await stage.says(room, "Wipe", "boiler is wiped")
    await stage.wait(lambda: late()[0].ended_at, "the line, behind the result")
    await stage.says(room, "Wipe", "boiler is wiped")
    await stage.idle()
    assert "boiler is wiped" in said(stage.of_run(room, "Wipe"))


async def test_a_line_that_cannot_be_shown_stops_nothing(stage: RunStage, room: Any) -> None:
    """Slack refuses to redraw for a while; the run comes to its end, and its result is drawn when Slack is well."""
    stage.machine.gate.clear()
    await approved(stage, room)
    await stage.says(room, "Wipe", "Running")
    shown = stage.of_run(room, "Wipe")
    await stage.has_begun("wipe")
    stage.sandbox.faults.add("chat.update", "429", times=2, retry_after_s=1, match={"ts": shown["ts"]})
    stage.machine.went_on.set()
    await stage.wait(lambda: [call for call in updates_of(stage, shown) if call.error == "ratelimited"], "the refused line")
    stage.machine.gate.set()
    await stage.says(room, "Wipe", "boiler is wiped")
    assert stage.machine.parts_wiped == ["boiler"]


async def test_a_run_is_stopped(stage: RunStage, room: Any) -> None:
    """By anybody in the room; it says how far it came."""
    stage.machine.gate.clear()
    await approved(stage, room)
    running = await stage.says(room, "Wipe", "Running")
    await stage.has_begun("wipe")
    await stage.click("cto", room.name, running, "stop_run")
    await stage.says(room, "Wipe", "Stopped; boiler is half wiped")
    assert stage.machine.parts_wiped == []
    stopped = await stage.muster.desk.get((await stage.incident()).id)
    assert stopped.runs["r1"].stopping
    await stage.wait(lambda: "🔴 Stopped; boiler is half wiped" in said(stage.card(room.name)), "the step on the card")


# -- what it leaves behind ---------------------------------------------------------------------------------------------


async def test_what_nobody_saw_is_looked_at_again(stage: RunStage, room: Any) -> None:
    """It is not repeated; each look says what it saw, and the last one that saw nothing leaves the button."""
    preview = await stage.asked(room, "send")
    await stage.click("developer", room.name, preview, "confirm_run")
    unknown = await stage.says(room, "Send", "❔ Nobody answered")
    assert buttons(unknown) == ["look_at_run"]
    await stage.click("oncall", room.name, unknown, "look_at_run")
    still = await stage.says(room, "Send", "Still nothing to see")
    assert buttons(still) == ["look_at_run"]
    stage.machine.sent = True
    await stage.click("oncall", room.name, still, "look_at_run")
    seen = await stage.says(room, "Send", "✅ It was seen to be sent")
    assert buttons(seen) == []
    assert stage.machine.begun["send"] == 1


async def test_more_lines_than_a_message_takes_stand_in_its_thread(stage: RunStage, room: Any) -> None:
    """Each of them, once."""
    await stage.ask(room, "short-list")
    message = await stage.says(room, "List", "12 parts")
    assert "12 lines in the thread." in said(message)
    details = await stage.sees(room.name, "part 11 &lt;of 12&gt;")
    assert details["thread_ts"] == message["ts"]
    assert "part 0 &lt;of 12&gt;" in said(details)
    await stage.sandbox.settled()
    assert times(stage, room, "part 11 &lt;of 12&gt;") == 1


def files_of(stage: RunStage, room: Any) -> list[dict[str, Any]]:
    """The messages with files in a room."""
    return [message for message in stage.messages(room.name) if message.get("files")]


async def test_a_long_result_is_a_file_in_its_thread(stage: RunStage, room: Any) -> None:
    """With every line, in the room and nowhere else."""
    await stage.ask(room, "list")
    message = await stage.says(room, "List", "The whole result is a file in the thread.")
    shared = (await stage.wait(lambda: files_of(stage, room), "the file"))[0]
    assert shared["thread_ts"] == message["ts"]
    file = shared["files"][0]
    assert file["title"] == "List: the whole result (60 lines)"
    async with aiohttp.ClientSession() as session, session.get(file["url_private"]) as answer:
        content = await answer.text()
    assert all(f"part {number} <of 60>" in content for number in range(60))
    assert "part 30" not in texts(stage, room.name)
    (call,) = stage.called("files.completeUploadExternal")
    assert call.arguments["channel_id"] == room.id


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal"])
@pytest.mark.parametrize("kind", ["accept_then_timeout", "500"])
async def test_a_file_whose_answer_was_lost_is_shared_once(stage: RunStage, room: Any, method: str, kind: str) -> None:
    """The thread is looked at before anything is repeated."""
    stage.sandbox.faults.add(method, kind, times=1, seconds=0.2)
    await stage.ask(room, "list")
    await stage.wait(lambda: files_of(stage, room), "the file")
    await stage.says(room, "List", "60 parts")
    await asyncio.sleep(1.5)
    await stage.sandbox.settled()
    assert len(files_of(stage, room)) == 1


# -- what takes itself back --------------------------------------------------------------------------------------------


async def test_what_is_on_for_a_time_goes_off_by_itself(stage: RunStage, room: Any) -> None:
    """The card says until when; everybody reads when it is off."""
    await approved(stage, room, "bypass")
    await stage.says(room, "Bypass", "It is on for 60 minutes")
    await stage.wait(lambda: "*Bypass is ON* until <!date^" in said(stage.card(room.name)), "the head of the card")
    assert stage.machine.is_bypassed
    await stage.advance(59 * 60)
    await stage.idle()
    assert stage.machine.is_bypassed
    await stage.advance(61)
    await stage.sees(room.name, "↩️ *Bypass* was taken back: It is seen to be off")
    assert not stage.machine.is_bypassed
    await stage.says(room, "Bypass", "↩️ Taken back at")
    await stage.wait(lambda: "is ON" not in said(stage.card(room.name)), "the head of the card")


async def test_what_is_on_is_turned_off_from_the_card(stage: RunStage, room: Any) -> None:
    """By anybody in the room, without a preview: it is the safe direction."""
    await approved(stage, room, "bypass")
    await stage.says(room, "Bypass", "It is on for 60 minutes")
    await stage.wait(lambda: "revert_now:0" in buttons(stage.card(room.name)), "the button on the card")
    await stage.click("cto", room.name, stage.card(room.name), "revert_now:0")
    await stage.sees(room.name, "↩️ *Bypass* was taken back")
    assert not stage.machine.is_bypassed
    assert stage.machine.begun["bypass_off"] == 1


async def test_the_end_of_the_incident_turns_it_off(stage: RunStage, room: Any) -> None:
    """What was opened for the time of the incident closes with it."""
    await approved(stage, room, "bypass")
    await stage.says(room, "Bypass", "It is on for 60 minutes")
    incident = await stage.incident()
    await stage.muster.desk.handle(incident.id, ChangeStatus(status=Status.RESOLVED), by="U0ONCALL")
    await stage.sees(room.name, "↩️ *Bypass* was taken back")
    assert not stage.machine.is_bypassed


async def test_what_does_not_go_off_is_said_once_and_tried_on(stage: RunStage, room: Any) -> None:
    """Red at the top of the card until it is seen to be off."""
    stage.machine.can_revert = False
    await approved(stage, room, "bypass")
    await stage.says(room, "Bypass", "It is on for 60 minutes")
    await stage.advance(61 * 60)
    await stage.sees(room.name, "🔴 *Bypass* could not be taken back: The machine does not answer.")
    await stage.wait(lambda: "🔴 *Bypass could not be taken back*" in said(stage.card(room.name)), "the head of the card")
    assert stage.machine.is_bypassed
    stage.machine.can_revert = True
    await stage.advance(5 * 60)
    await stage.sees(room.name, "↩️ *Bypass* was taken back")
    assert not stage.machine.is_bypassed
    assert times(stage, room, "*Bypass* could not be taken back: ") == 1


# -- watching ----------------------------------------------------------------------------------------------------------


async def press_watch(stage: RunStage, room: Any, action_id: str) -> None:
    await stage.wait(lambda: action_id in buttons(stage.card(room.name)), f"{action_id} on the card")
    await stage.click("oncall", room.name, stage.card(room.name), action_id, block_id="do:monitor")


async def test_a_watch_speaks_when_something_changes_and_ends_by_itself(stage: RunStage, room: Any) -> None:
    """Bad, still bad (silence), good, good again: the end."""
    stage.machine.gauge = State.FAILING
    await press_watch(stage, room, "start_watch")
    await stage.sees(room.name, "👁️ Monitor the gauge: 🔴 *failing*")
    for _ in range(3):
        await stage.advance(31)
        await stage.idle()
    assert times(stage, room, "👁️ Monitor the gauge: 🔴 *failing*") == 1
    stage.machine.gauge = State.OK
    await stage.advance(31)
    await stage.sees(room.name, "👁️ Monitor the gauge: ✅ *ok*")
    await stage.advance(31)
    await stage.sees(room.name, "is not watched any more: it was seen to be good often enough")
    incident = await stage.incident()
    assert incident.watches["monitor"].done
    assert "monitor" in incident.steps


async def test_a_watch_is_ended_by_its_button(stage: RunStage, room: Any) -> None:
    """And looks no more."""
    stage.machine.gauge = State.FAILING
    await press_watch(stage, room, "start_watch")
    await stage.sees(room.name, "👁️ Monitor the gauge: 🔴 *failing*")
    await press_watch(stage, room, "end_watch")
    await stage.sees(room.name, "is not watched any more: <@U0ONCALL> ended it")
    stage.machine.gauge = State.OK
    await stage.advance(120)
    await stage.idle()
    assert "👁️ Monitor the gauge: ✅" not in texts(stage, room.name)
