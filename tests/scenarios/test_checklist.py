"""The checklist as people work on it: tick, undo, skip, choose, diagnose, alone and all at once."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.domain.incident import Incident
from bot.domain.timeline import verify
from tests.conftest import ROOT
from tests.scenarios.conftest import PATIENCE_S, Stage, said, staged

Json = dict[str, Any]


@pytest.fixture
async def room(stage: Stage) -> Any:
    """The room of an outage whose first diagnosis is there."""
    return await opened(stage)


async def opened(stage: Stage, words: str = "clerk down") -> Any:
    await stage.workspace.command("developer", "general", f"/incident {words}")
    room = await stage.room()
    await stage.wait(lambda: "Diagnose again" in said(stage.card(room.name)), "the whole diagnosis")
    await stage.wait(lambda: {"U0DEVELOPER", "U0ONCALL"} <= set(room.members), "the people")
    return room


async def diagnosed_again(stage: Stage, room: Any, user: str) -> None:
    """Ask for the diagnosis once more, and wait until all of it is there: what is asked meanwhile sees half of two worlds."""
    (before,) = await stage.muster.desk.active()
    await stage.click(user, room.name, stage.card(room.name), "run_diagnostics")
    number = before.diagnostics_round + 1
    wanted = {item.id for item in before.runbook.diagnostics} if before.runbook else set()

    def is_whole(now: Incident) -> bool:
        return {name for name, one in now.readings.items() if one.round == number} == wanted

    assert is_whole(await stage.muster.desk.wait_until(before.id, is_whole, most_s=PATIENCE_S))


async def press(stage: Stage, room: Any, action_id: str, step: str, *, user: str = "developer") -> Any:
    """Press a button of a step; untick is beside the text, the others stand below it."""
    block = f"step:{step}" if action_id == "untick" else f"do:{step}"
    return await stage.click(user, room.name, stage.card(room.name), action_id, block_id=block)


def step_of(card: Json, step: str) -> str:
    """What the card says of one step."""
    return next((said({"blocks": [block]}) for block in card["blocks"] if block["block_id"] == f"step:{step}"), "")


async def shows(stage: Stage, room: Any, step: str, text: str) -> str:
    """The text of a step, as soon as ``text`` is in it."""
    await stage.wait(lambda: text in step_of(stage.card(room.name), step), f"“{text}” at {step}")
    return step_of(stage.card(room.name), step)


async def test_a_tick_says_who_and_when(stage: Stage, room: Any) -> None:
    """And moves the progress and what is next."""
    await press(stage, room, "tick", "confirm", user="oncall")
    text = await shows(stage, room, "confirm", "✅ 1. Confirm outage")
    assert re.search(r"_<@U0ONCALL> at <!date\^\d+\^\{time\}\|", text)
    card = said(stage.card(room.name))
    assert "1 of 6 steps" in card
    assert "██░░░░░░░░" in card
    await stage.workspace.command("developer", room.name, "/incident ack")
    await stage.workspace.command("developer", room.name, "/incident assign me commander")
    await stage.sees(room.name, "step 2, Check application logs for errors")


async def test_an_undo_opens_the_step_again(stage: Stage, room: Any) -> None:
    """By anybody in the room."""
    await press(stage, room, "tick", "confirm")
    await shows(stage, room, "confirm", "✅ 1.")
    await press(stage, room, "untick", "confirm", user="oncall")
    await shows(stage, room, "confirm", "⬜ *1.* Confirm outage")
    assert "0 of 6 steps" in said(stage.card(room.name))


async def test_a_step_is_skipped_with_a_reason(stage: Stage, room: Any) -> None:
    """The form asks for it; the reason is part of the card and of the record."""
    await press(stage, room, "skip", "logs")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    assert "Check application logs" in said({"blocks": view["blocks"]})
    sent = await stage.workspace.submit_view("developer", view["id"], {"reason": {"value": "no logs on <this> plan"}})
    assert sent.ok, sent
    text = await shows(stage, room, "logs", "⏭️")
    assert "skipped: no logs on &lt;this&gt; plan, <@U0DEVELOPER> at" in text
    assert stage.workspace.views("developer") == []
    assert "1 of 6 steps" in said(stage.card(room.name))
    await press(stage, room, "untick", "logs")
    await shows(stage, room, "logs", "⬜ *2.*")


@pytest.mark.parametrize("reason", [" ", "\n\t", "\u202e", "\u200b"])
async def test_a_skip_without_a_reason_is_refused(stage: Stage, room: Any, reason: str) -> None:
    """Blanks and what nobody can see are none; the form stays."""
    await press(stage, room, "skip", "logs")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    sent = await stage.workspace.submit_view("developer", view["id"], {"reason": {"value": reason}})
    assert sent.errors == {"reason": "The reason is part of the record."}
    assert len(stage.workspace.views("developer")) == 1
    (incident,) = await stage.muster.desk.active()
    assert incident.steps == {}


async def test_a_branch_is_chosen_and_taken_back(stage: Stage, room: Any) -> None:
    """Its steps appear and go; what was ticked in it is remembered."""
    await press(stage, room, "choose_branch:0", "cause")
    await shows(stage, room, "cause", "*Clerk outage*, <@U0DEVELOPER> at")
    assert "4a.* Enable emergency bypass" in said(stage.card(room.name))
    assert "1 of 9 steps" in said(stage.card(room.name))
    await press(stage, room, "tick", "notify-users")
    await shows(stage, room, "notify-users", "✅ 4b. Notify users")
    await press(stage, room, "untick", "cause")
    await stage.wait(lambda: "0 of 6 steps" in said(stage.card(room.name)), "the choice is open again")
    assert "Enable emergency bypass" not in said(stage.card(room.name))
    await press(stage, room, "choose_branch:1", "cause")
    await shows(stage, room, "cause", "*Application issue*")
    assert "4a.* Check recent deployments" in said(stage.card(room.name))
    await press(stage, room, "untick", "cause")
    await stage.wait(lambda: "0 of 6 steps" in said(stage.card(room.name)), "the choice is open again")
    await press(stage, room, "choose_branch:0", "cause")
    await shows(stage, room, "notify-users", "✅ 4b.")


async def test_the_evidence_suggests_a_branch(stage: Stage, room: Any) -> None:
    """Diagnosing again changes the suggestion, as the world changes; a person chooses."""
    assert "suggests" not in said(stage.card(room.name))
    stage.world.set("app_health", "unhealthy")
    await diagnosed_again(stage, room, "developer")
    await shows(stage, room, "cause", "suggests *Application issue* because “Our health endpoint” is failing")
    stage.world.set("clerk_status", "down")
    stage.world.set("app_health", "healthy")
    await diagnosed_again(stage, room, "oncall")
    await shows(stage, room, "cause", "suggests *Clerk outage* because “Clerk status page” is failing")
    stage.world.set("clerk_status", "operational")
    await diagnosed_again(stage, room, "oncall")
    await stage.wait(lambda: "suggests" not in said(stage.card(room.name)), "no suggestion without evidence")


STEPS = """\
  - id: prepare
    title: Prepare
    steps:
      - {id: first, title: First}
      - id: second
        title: Second
        steps:
          - {id: deep, title: Deep}
"""


@pytest.fixture
async def nested(redis_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A bot whose outage runbook begins with a step that has sub-steps."""
    folder = tmp_path / "runbooks"
    shutil.copytree(ROOT / "runbooks", folder)
    path = folder / "clerk" / "auth-outage.yml"
    path.write_text(path.read_text("utf-8").replace("checklist:\n", f"checklist:\n{STEPS}"), "utf-8")
    async with staged(f"{redis_url}?db=1") as stage:
        stage.environment["MUSTER_RUNBOOKS"] = str(folder)
        await stage.start()
        yield stage
        await stage.sandbox.courier.stop()
        await stage.stop()


async def test_a_step_with_sub_steps_is_done_when_they_are(nested: Stage) -> None:
    """It has no button of its own and is not counted."""
    stage = nested
    room = await opened(stage)
    blocks = {block["block_id"] for block in stage.card(room.name)["blocks"]}
    assert "do:prepare" not in blocks
    assert "do:second" not in blocks
    assert "0 of 8 steps" in said(stage.card(room.name))
    await press(stage, room, "tick", "first")
    await shows(stage, room, "first", "✅ 1a. First")
    assert "⬜ *1.* Prepare" in step_of(stage.card(room.name), "prepare")
    await press(stage, room, "tick", "deep")
    await shows(stage, room, "prepare", "✅ 1. Prepare")
    assert "✅ 1b1. Deep" in step_of(stage.card(room.name), "deep")
    assert "2 of 8 steps" in said(stage.card(room.name))


async def test_somebody_else_was_quicker(stage: Stage, room: Any) -> None:
    """Two press the same button of the same drawing: one tick, and the other hears who did it."""
    card = stage.card(room.name)
    await asyncio.gather(
        stage.click("developer", room.name, card, "tick", block_id="do:confirm"),
        stage.click("oncall", room.name, card, "tick", block_id="do:confirm"),
    )
    (incident,) = await stage.muster.desk.active()
    winner = incident.steps["confirm"].moment.by
    loser = {"U0DEVELOPER": "oncall", "U0ONCALL": "developer"}[winner]
    await stage.sees(room.name, f"already done by <@{winner}>", user=loser)


async def test_forty_rapid_clicks_become_few_updates(stage: Stage, room: Any) -> None:
    """Slack shows the last state, with far fewer updates than clicks, and the timeline has every one of them."""
    await stage.sandbox.settled()
    card = stage.card(room.name)
    await press(stage, room, "tick", "confirm")
    await shows(stage, room, "confirm", "✅ 1.")
    ticked = stage.card(room.name)
    stage.sandbox.web_api.latency_s = 1.0  # much longer than some clicks take, also on a slow machine
    before = len(stage.called("chat.update"))
    for _ in range(20):
        for action_id, block_id, drawing in (("untick", "step:confirm", ticked), ("tick", "do:confirm", card)):
            blocks = {"message_ts": card["ts"], "blocks": drawing["blocks"]}
            result = await forged(stage, room, "developer", action_id, block_id, blocks)
            assert result == 200
    await press(stage, room, "tick", "review", user="oncall")
    stage.sandbox.web_api.latency_s = 0.0
    await shows(stage, room, "review", "✅ 6.")
    await stage.wait(lambda: "2 of 6 steps" in said(stage.card(room.name)), "the last state")
    updates = [call for call in stage.called("chat.update")[before:] if call.arguments.get("ts") == card["ts"]]
    assert len(updates) < 15, len(updates)
    assert "✅ 1." in step_of(stage.card(room.name), "confirm")
    (incident,) = await stage.muster.desk.active()
    entries = await stage.muster.store.timeline(incident.id)
    kinds = [entry.fact.kind for entry in entries]
    assert (kinds.count("step_ticked"), kinds.count("step_unticked")) == (22, 20)
    assert verify(entries) is None


async def forged(stage: Stage, room: Any, user: str, action_id: str, block_id: str, drawing: Json) -> int | None:
    """A click on a drawing that may be older than what Slack shows now."""
    element = next(
        element
        for block in drawing["blocks"]
        if block["block_id"] == block_id
        for element in [*block.get("elements", []), block.get("accessory") or {}]
        if element.get("action_id") == action_id
    )
    person = stage.workspace.user(user)
    payload = {
        "type": "block_actions",
        "team": {"id": person.team_id},
        "user": {"id": person.id, "team_id": person.team_id},
        "channel": {"id": room.id},
        "container": {"type": "message", "message_ts": drawing["message_ts"], "channel_id": room.id},
        "message": {"ts": drawing["message_ts"]},
        "trigger_id": "1.1.a",
        "actions": [
            {
                "type": "button",
                "block_id": block_id,
                "action_id": action_id,
                "value": element["value"],
                "action_ts": stage.sandbox.state.next_ts(),
            }
        ],
    }
    return (await stage.sandbox.courier.send_interaction(payload)).status
