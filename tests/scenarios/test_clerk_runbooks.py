"""The four Clerk runbooks, whole, in the sandbox: opened by what people say, diagnosed, run from their checklists, watched."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from bot.domain.catalog import Catalog
from bot.domain.outcome import State
from tests.conftest import ROOT
from tests.scenarios.conftest import Stage, said

OUTAGE, SLOW, BREACH, WEBHOOKS = PACK = (
    "clerk-auth-outage",
    "clerk-performance-degradation",
    "clerk-security-incident",
    "clerk-webhook-failure",
)
TITLES = {
    OUTAGE: "Complete auth outage",
    SLOW: "Performance degradation",
    BREACH: "Security incident",
    WEBHOOKS: "Webhook processing failure",
}
WORDS = {OUTAGE: "clerk down", SLOW: "clerk slow", BREACH: "unauthorized access detected", WEBHOOKS: "clerk webhooks failing"}


async def opened(stage: Stage, words: str) -> Any:
    """The room of an incident whose diagnosis is whole, with whoever declared it inside."""
    await stage.workspace.command("developer", "general", f"/incident {words}")
    room = await stage.room()
    await stage.wait(lambda: "U0DEVELOPER" in room.members, "the person in the room")
    await diagnosed(stage, room)
    return room


async def diagnosed(stage: Stage, room: Any) -> str:
    """What the card says once every diagnostic has answered."""
    await stage.wait(lambda: "Diagnose again" in said(stage.card(room.name)), "the whole diagnosis", 15)
    return said(stage.card(room.name))


async def incident_of(stage: Stage) -> Any:
    """The one open incident."""
    (incident,) = await stage.muster.desk.active()
    return incident


async def press(stage: Stage, room: Any, action_id: str, step: str, *, user: str = "developer") -> None:
    """Press a button of a step."""
    await stage.click(user, room.name, stage.card(room.name), action_id, block_id=f"do:{step}")


async def chosen(stage: Stage, room: Any, step: str, branch: str) -> None:
    """Take one way at a fork."""
    runbook = (await incident_of(stage)).runbook
    number = [one.id for one in runbook.step(step).choose].index(branch)
    await press(stage, room, f"choose_branch:{number}", step)
    first = runbook.step(step).choose[number].steps[0].title
    await stage.sees(room.name, first)


# -- opening -------------------------------------------------------------------------------------------------------------


def test_muster_check_has_nothing_against_them() -> None:
    """Exit code 0, as it is shipped."""
    checked = subprocess.run(
        [sys.executable, "-m", "bot", "check", str(ROOT / "runbooks")], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert checked.returncode == 0, checked.stdout
    assert "0 errors" in checked.stdout + checked.stderr


@pytest.mark.parametrize("runbook_id", PACK)
async def test_each_is_opened_by_its_words_and_diagnosed(stage: Stage, runbook_id: str) -> None:
    """The room has the runbook, every diagnostic has answered, and in a healthy world none of them fails."""
    room = await opened(stage, WORDS[runbook_id])
    assert f"*Runbook*\n{TITLES[runbook_id]}" in said(stage.card(room.name))
    incident = await incident_of(stage)
    assert set(incident.readings) == {item.id for item in incident.runbook.diagnostics}
    assert {name: one.outcome.summary for name, one in incident.readings.items() if one.outcome.state is State.FAILING} == {}
    assert room.is_private is (runbook_id == BREACH)


@pytest.mark.parametrize("words", ["clerk incident", "clerk emergency"])
async def test_the_words_for_the_pack_open_at_once_and_ask_which(stage: Stage, words: str) -> None:
    """A room before anybody has chosen, private since it may be a breach; four buttons; the diagnosis follows the choice."""
    await stage.workspace.command("developer", "general", f"/incident {words}")
    room = await stage.room()
    await stage.wait(lambda: "U0DEVELOPER" in room.members, "the person in the room")
    assert room.is_private
    card = stage.card(room.name)
    row = next(block for block in card["blocks"] if block["block_id"] == "choose_runbook")
    assert [element["text"]["text"] for element in row["elements"]] == [TITLES[one] for one in PACK]
    await stage.click("developer", room.name, card, f"choose_runbook:{PACK.index(WEBHOOKS)}")
    await stage.sees(room.name, f"*Runbook*\n{TITLES[WEBHOOKS]}")
    await diagnosed(stage, room)


async def test_a_breach_that_is_said_in_a_channel_is_answered_without_a_word_about_it(stage: Stage) -> None:
    """The room is private; neither the reply nor the announcement names it, its title or its runbook."""
    await stage.workspace.say("support-agent", "support", "clerk emergency")
    room = await stage.room()
    assert room.is_private
    await stage.sandbox.settled()
    messages = [message for channel in ("support", "incidents") for message in stage.messages(channel)]
    public = "\n".join(said(message) for message in messages if message["user"] == "U0MUSTER")
    assert "The people responsible know" in public
    for word in (room.id, room.name, "clerk emergency", *TITLES.values()):
        assert word not in public


# -- evidence ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runbook_id", "switch", "value", "branch"),
    [
        (OUTAGE, "clerk_status", "down", "Clerk outage"),
        (OUTAGE, "app_health", "unhealthy", "Application issue"),
        (SLOW, "app_health", "degraded", "The application or its middleware"),
    ],
)
async def test_the_evidence_suggests_a_way(stage: Stage, runbook_id: str, switch: str, value: str, branch: str) -> None:
    """A person chooses; the suggestion says why."""
    stage.world.set(switch, value)
    room = await opened(stage, WORDS[runbook_id])
    assert f"The evidence suggests *{branch}*" in said(stage.card(room.name))
    assert (await incident_of(stage)).steps == {}


async def test_a_slow_clerk_is_told_from_a_slow_application(stage: Stage) -> None:
    """Slow answers of Clerk speak for Clerk or the network; quick ones leave the application."""
    stage.world.latency_s = 0.6
    room = await opened(stage, WORDS[SLOW])
    assert "The evidence suggests *Clerk or the network*" in said(stage.card(room.name))
    stage.world.latency_s = 0.0
    await stage.click("developer", room.name, stage.card(room.name), "run_diagnostics")
    await stage.wait(
        lambda: "The evidence suggests *The application or its middleware*" in said(stage.card(room.name)), "the other way", 15
    )


# -- running -------------------------------------------------------------------------------------------------------------

Form = dict[str, Any]
READS: list[tuple[str, str, str, Form, str]] = [
    # runbook, step, branch at the fork "cause" (or ""), what is typed, what is read
    (OUTAGE, "logs", "", {}, "The newest production build failed"),
    (OUTAGE, "deployments", "application", {}, "dpl_sandbox"),
    (BREACH, "find", "", {"who": "user_2demo"}, "This is user_2demo, with 7 active sessions"),
    (BREACH, "identify", "", {}, "user_2demo"),
    (BREACH, "verify-rotation", "", {}, "Clerk accepts the key with the fingerprint"),
]
"""Every way in which a step only reads; where two steps run the same, one of them."""
CHANGES: list[tuple[str, str, str, Form, str]] = [
    (OUTAGE, "rollback", "application", {}, "dpl_sandbox3"),
    (BREACH, "revoke", "", {"user_id": "user_2demo"}, "7 active sessions of user_2demo end"),
    (BREACH, "revoke-many", "", {"user_ids": "user_2demo"}, "user_2demo"),
    (BREACH, "lock", "", {"user_id": "user_2demo"}, "user_2demo is banned"),
    (BREACH, "new-password", "", {"user_id": "user_2demo"}, "user_2demo"),
    (BREACH, "additional-verification", "", {}, "isposable"),
    (BREACH, "block", "", {"identifier": "attacker@sandbox.example"}, "is put on Clerk's blocklist"),
]
"""Every way in which a step changes something, with what its preview says."""


def test_no_step_that_runs_is_left_out(catalog: Catalog) -> None:
    """Of all four runbooks."""
    steps = {name: [ref.step for ref in catalog.runbooks[name].walk() if ref.step.run] for name in PACK}
    tried = [catalog.runbooks[name].step(step) for name, step, *_ in (*READS, *CHANGES)]
    known = [(step.run, step.with_) for step in tried]
    assert [f"{name}/{step.id}" for name in PACK for step in steps[name] if (step.run, step.with_) not in known] == []


def named(case: Any) -> str:
    """The runbook and the step."""
    return f"{case[0]}/{case[1]}"


@pytest.mark.parametrize("case", READS, ids=named)
async def test_each_step_that_reads_runs_from_its_checklist(stage: Stage, case: tuple[str, str, str, Form, str]) -> None:
    """One click, a form only for what nobody else can know, the result beside the step, and nothing changed."""
    runbook_id, step, branch, form, words = case
    room = await opened(stage, WORDS[runbook_id])
    await stage.workspace.command("developer", room.name, "/incident accounts add user_2demo")
    run = await asked(stage, room, step, branch, form)
    async with asyncio.timeout(30):
        while run.outcome is None:
            await asyncio.sleep(0.05)
            run = (await incident_of(stage)).runs[run.id]
    assert words in "\n".join((run.outcome.summary, *run.outcome.details)), run.outcome
    assert "Not configured" not in run.outcome.summary
    assert changes_of(stage) == []


@pytest.mark.parametrize("case", CHANGES, ids=named)
async def test_each_step_that_changes_something_says_first_what(stage: Stage, case: tuple[str, str, str, Form, str]) -> None:
    """The preview stands in the room, and until somebody confirms it nothing is done."""
    runbook_id, step, branch, form, words = case
    room = await opened(stage, WORDS[runbook_id])
    run = await asked(stage, room, step, branch, form)
    async with asyncio.timeout(15):
        while run.preview is None:
            assert run.refused == "", run.refused
            await asyncio.sleep(0.05)
            run = (await incident_of(stage)).runs[run.id]
    assert words in "\n".join((run.preview.summary, *run.preview.items)), run.preview
    await stage.sees(room.name, "What would happen")
    await stage.sandbox.settled()
    assert (await incident_of(stage)).runs[run.id].confirmed is None
    assert changes_of(stage) == []


async def asked(stage: Stage, room: Any, step: str, branch: str, form: Form) -> Any:
    """The run of a step, after its button was pressed and its form, where there is one, was sent."""
    if branch:
        await chosen(stage, room, "cause", branch)
    await press(stage, room, "run_step", step)
    runs = (await incident_of(stage)).runs
    if not runs:
        view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
        values = {f"param:{name}": {"value": value} for name, value in form.items()}
        sent = await stage.workspace.submit_view("developer", view["id"], values)
        assert sent.ok, sent
        runs = (await incident_of(stage)).runs
    (run,) = runs.values()
    return run


def changes_of(stage: Stage) -> list[str]:
    """The calls that could change something at Clerk or Vercel."""
    return [
        f"{call['method']} {call['path']}"
        for call in stage.world.ledger
        if call["provider"] in ("clerk", "vercel") and call["method"] != "GET"
    ]


async def test_a_breach_from_the_first_word_to_the_locked_account(stage: Stage) -> None:
    """ "clerk emergency", the runbook, the account, its sessions, a ban that a second person approves, and the way back."""
    await stage.workspace.command("developer", "general", "/incident clerk emergency")
    room = await stage.room()
    await stage.wait(lambda: {"U0DEVELOPER", "U0ONCALL"} <= set(room.members), "the people in the room")
    await stage.click("developer", room.name, stage.card(room.name), f"choose_runbook:{PACK.index(BREACH)}")
    await stage.sees(room.name, "Identify affected accounts")
    await diagnosed(stage, room)
    await asked(stage, room, "find", "", {"who": "user_2demo"})
    await stage.sees(room.name, "This is user_2demo")
    assert list((await incident_of(stage)).accounts) == ["user_2demo"]
    await press(stage, room, "run_step", "identify")
    await stage.sees(room.name, "finished at")
    await press(stage, room, "run_step", "lock")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    sent = await stage.workspace.submit_view("developer", view["id"], {"param:user_id": {"value": "user_2demo"}})
    assert sent.ok, sent
    preview = await stage.sees(room.name, "user_2demo is banned")
    await stage.click("developer", room.name, preview, "confirm_run")
    await stage.sees(room.name, "somebody else has to approve it", user="developer")
    assert changes_of(stage) == []
    await stage.click("oncall", room.name, preview, "confirm_run")
    await stage.sees(room.name, "Approved by <@U0ONCALL>", timeout_s=15)
    async with asyncio.timeout(15):
        while not (run := list((await incident_of(stage)).runs.values())[-1]).outcome:
            await asyncio.sleep(0.05)
    assert run.outcome.state is State.OK, run.outcome
    assert stage.world.clerk.live_sessions("user_2demo") == []
    assert stage.world.clerk.users["user_2demo"]["banned"] is True
    assert run.undo == "clerk.unban_user"
    ended = await stage.sees(room.name, "Undo")
    await stage.click("developer", room.name, ended, "undo_run")
    back = await stage.sees(room.name, "user_2demo can sign in again")
    await stage.click("developer", room.name, back, "confirm_run")
    await stage.wait(lambda: stage.world.clerk.users["user_2demo"]["banned"] is False, "the ban lifted")


# -- watching ------------------------------------------------------------------------------------------------------------


async def test_the_status_of_clerk_is_watched_until_it_is_good(stage: Stage) -> None:
    """It speaks when the page changes, says nothing when it does not, and ends by itself after three good looks."""
    stage.world.set("clerk_status", "down")
    room = await opened(stage, WORDS[OUTAGE])
    await chosen(stage, room, "cause", "clerk-outage")
    await press(stage, room, "start_watch", "monitor")
    await until(stage, lambda watch: watch.outcome is not None and watch.outcome.state is State.FAILING)
    before = await stage.wait(lambda: told(stage, room), "the news")
    looked = reads_of_the_status_page(stage)
    await stage.advance(61)
    await stage.wait(lambda: reads_of_the_status_page(stage) > looked, "another look")
    await stage.sandbox.settled()
    assert told(stage, room) == before
    stage.world.set("clerk_status", "operational")
    for good in (1, 2, 3):
        await stage.advance(61)
        await until(stage, lambda watch, good=good: watch.good == good)
    await until(stage, lambda watch: watch.ended is not None)
    await stage.sees(room.name, "is not watched any more")
    assert [one for one in ("failing", "ok", "not watched any more") for text in told(stage, room) if one in text] == [
        "failing",
        "ok",
        "not watched any more",
    ]
    looked = reads_of_the_status_page(stage)
    await stage.advance(600)
    await stage.sandbox.settled()
    assert reads_of_the_status_page(stage) == looked


async def test_watching_ends_by_its_button(stage: Stage) -> None:
    """And nothing is asked any more."""
    stage.world.set("clerk_status", "down")
    room = await opened(stage, WORDS[OUTAGE])
    await chosen(stage, room, "cause", "clerk-outage")
    await press(stage, room, "start_watch", "monitor")
    await until(stage, lambda watch: watch.outcome is not None)
    await stage.sees(room.name, "Stop watching")
    await press(stage, room, "end_watch", "monitor")
    await until(stage, lambda watch: watch.ended is not None)
    looked = reads_of_the_status_page(stage)
    await stage.advance(600)
    await stage.sandbox.settled()
    assert reads_of_the_status_page(stage) == looked


def told(stage: Stage, room: Any) -> list[str]:
    """What was said about watching."""
    return [said(message) for message in stage.messages(room.name) if "👁️" in message["text"]]


def reads_of_the_status_page(stage: Stage) -> int:
    """How often somebody looked."""
    return len([call for call in stage.world.ledger if call["provider"] == "status"])


async def until(stage: Stage, holds: Any) -> None:
    """Wait for the newest watch to be so."""
    async with asyncio.timeout(10):
        while True:
            watches = (await incident_of(stage)).watches
            if "monitor" in watches and holds(watches["monitor"]):
                return
            await asyncio.sleep(0.02)
