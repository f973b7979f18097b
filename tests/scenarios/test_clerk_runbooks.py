"""The four Clerk runbooks, whole, in the sandbox: opened by what people say, diagnosed, run from their checklists, watched."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.domain.catalog import Catalog
from bot.domain.outcome import State
from bot.sandbox.world.application_data import ApplicationData
from tests.conftest import ROOT
from tests.scenarios.conftest import PATIENCE_S, Stage, said
from tests.support.postgres import USERS, Database

pytestmark = pytest.mark.slow

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


def patient_runbooks(folder: Path) -> Path:
    """The runbooks as they are shipped, but for what counts as slow: a machine that does ten things at once is no slow Clerk."""
    copy = folder / "runbooks"
    shutil.copytree(ROOT / "runbooks", copy)
    path = copy / "clerk" / "performance-degradation.yml"
    text, shipped = path.read_text("utf-8"), "run: clerk.latency}"
    assert shipped in text
    path.write_text(text.replace(shipped, "run: clerk.latency, with: {auth_ms: 1000, api_ms: 1000}}"), "utf-8")
    return copy


@pytest.fixture
async def stage(unstarted: Stage, tmp_path: Path) -> Stage:
    """A running bot that can send mail; nobody listens, since nothing is sent before somebody confirms it."""
    unstarted.environment |= {"SMTP_URL": "smtp://127.0.0.1:9", "SMTP_FROM": "security@sandbox.example"}
    unstarted.environment["MUSTER_RUNBOOKS"] = str(patient_runbooks(tmp_path))
    await unstarted.start()
    return unstarted


async def opened(stage: Stage, words: str) -> Any:
    """The room of an incident whose diagnosis is whole, with whoever declared it inside."""
    await stage.workspace.command("developer", "general", f"/incident {words}")
    room = await stage.room()
    await stage.wait(lambda: "U0DEVELOPER" in room.members, "the person in the room")
    await diagnosed(stage, room)
    return room


async def diagnosed(stage: Stage, room: Any) -> str:
    """What the card says once every diagnostic has answered."""
    await stage.wait(lambda: "Diagnose again" in said(stage.card(room.name)), "the whole diagnosis")
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
    await stage.sees("support", "The people responsible know")
    await stage.idle()
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
        (WEBHOOKS, "app_webhook", "behind a sign-in", "It is broken"),
        (WEBHOOKS, "app_webhook", "healthy", "It works, deliveries were lost"),
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
    stage.world.latency_s = 1.2
    room = await opened(stage, WORDS[SLOW])
    assert "The evidence suggests *Clerk or the network*" in said(stage.card(room.name))
    stage.world.latency_s = 0.0
    await stage.click("developer", room.name, stage.card(room.name), "run_diagnostics")
    await stage.wait(
        lambda: "The evidence suggests *The application or its middleware*" in said(stage.card(room.name)), "the other way"
    )


async def test_an_endpoint_that_takes_what_anybody_sends_is_a_finding_of_the_breach(stage: Stage) -> None:
    """An unsigned event that is accepted is said, though nobody asked."""
    stage.world.set("app_webhook", "unprotected")
    room = await opened(stage, WORDS[BREACH])
    assert "Our webhook endpoint: *failing*" in said(stage.card(room.name))


# -- running -------------------------------------------------------------------------------------------------------------

Form = dict[str, Any]
READS: list[tuple[str, str, str, Form, str]] = [
    # runbook, step, branch at the fork "cause" (or ""), what is typed, what is read
    (OUTAGE, "logs", "", {}, "The newest production build failed"),
    (OUTAGE, "deployments", "application", {}, "dpl_sandbox"),
    (BREACH, "find", "", {"who": "user_2demo"}, "This is user_2demo, with 7 active sessions"),
    (BREACH, "identify", "", {}, "user_2demo"),
    (BREACH, "preserve", "", {}, "Saved: 10 sessions"),
    (BREACH, "reset-keys", "", {}, "fingerprint"),
    (BREACH, "verify-rotation", "", {"before": "0badc0de"}, "The key has changed"),
]
"""Every way in which a step only reads; where two steps run the same, one of them."""
CHANGES: list[tuple[str, str, str, Form, str]] = [
    (OUTAGE, "bypass", "clerk-outage", {}, "CLERK_EMERGENCY_BYPASS"),
    (OUTAGE, "rollback", "application", {}, "dpl_sandbox3"),
    (
        OUTAGE,
        "notify-users",
        "clerk-outage",
        {"text": "Nobody can\nsign in.", "status": "identified"},
        "> Nobody can\n> sign in.",
    ),
    (BREACH, "revoke", "", {"user_id": "user_2demo"}, "7 active sessions of user_2demo end"),
    (BREACH, "revoke-many", "", {"user_ids": "user_2demo"}, "user_2demo"),
    (BREACH, "lock", "", {"user_id": "user_2demo"}, "user_2demo is banned"),
    (BREACH, "new-password", "", {"user_id": "user_2demo"}, "user_2demo"),
    (BREACH, "additional-verification", "", {}, "isposable"),
    (BREACH, "block", "", {"identifier": "attacker@sandbox.example"}, "is put on Clerk's blocklist"),
    (BREACH, "notify-affected", "", {"user_ids": "user_2demo", "details": "Somebody else signed in."}, "Somebody else signed in"),
]
"""Every way in which a step changes something, with what its preview says."""
RECOVERY = ("pause", "export", "resync", "verify", "resume")
"""The steps that work on the application's own data: they have a story of their own."""


def test_no_step_that_runs_is_left_out(catalog: Catalog) -> None:
    """Of all four runbooks."""
    steps = {name: [ref.step for ref in catalog.runbooks[name].walk() if ref.step.run] for name in PACK}
    tried = [catalog.runbooks[name].step(step) for name, step, *_ in (*READS, *CHANGES)]
    tried += [catalog.runbooks[WEBHOOKS].step(step) for step in RECOVERY]
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
    run = await ended(stage, run.id)
    assert words in "\n".join((run.outcome.summary, *run.outcome.details)), run.outcome
    assert "Not configured" not in run.outcome.summary
    assert changes_of(stage) == []


@pytest.mark.parametrize("case", CHANGES, ids=named)
async def test_each_step_that_changes_something_says_first_what(stage: Stage, case: tuple[str, str, str, Form, str]) -> None:
    """The preview stands in the room, and until somebody confirms it nothing is done."""
    runbook_id, step, branch, form, words = case
    room = await opened(stage, WORDS[runbook_id])
    run = await asked(stage, room, step, branch, form)
    async with asyncio.timeout(PATIENCE_S):
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


async def ended(stage: Stage, run_id: str) -> Any:
    """The run as it is at its end."""
    async with asyncio.timeout(45):
        while True:
            run = (await incident_of(stage)).runs[run_id]
            if run.outcome:
                return run
            await asyncio.sleep(0.05)


def changes_of(stage: Stage) -> list[str]:
    """The calls that could change something at Clerk, at Vercel or on the status page."""
    return [
        f"{call['method']} {call['path']}"
        for call in stage.world.ledger
        if call["provider"] in ("clerk", "vercel", "statuspage") and call["method"] != "GET"
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
    await ended(stage, list((await incident_of(stage)).runs)[-1])
    await press(stage, room, "run_step", "lock")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    sent = await stage.workspace.submit_view("developer", view["id"], {"param:user_id": {"value": "user_2demo"}})
    assert sent.ok, sent
    preview = await stage.sees(room.name, "user_2demo is banned")
    await stage.click("developer", room.name, preview, "confirm_run")
    await stage.sees(room.name, "somebody else has to approve it", user="developer")
    assert changes_of(stage) == []
    await stage.click("oncall", room.name, preview, "confirm_run")
    await stage.sees(room.name, "Approved by <@U0ONCALL>")
    run = await ended(stage, list((await incident_of(stage)).runs)[-1])
    assert run.outcome.state is State.OK, run.outcome
    assert stage.world.clerk.live_sessions("user_2demo") == []
    assert stage.world.clerk.users["user_2demo"]["banned"] is True
    assert run.undo == "clerk.unban_user"
    done = await stage.sees(room.name, "Undo")
    await stage.click("developer", room.name, done, "undo_run")
    back = await stage.sees(room.name, "user_2demo can sign in again")
    await stage.click("developer", room.name, back, "confirm_run")
    await stage.wait(lambda: stage.world.clerk.users["user_2demo"]["banned"] is False, "the ban lifted")


async def test_the_public_is_told_what_two_people_have_read(stage: Stage) -> None:
    """Not before the second of them approved it; then once, word for word, and nobody is mailed unasked."""
    room = await opened(stage, WORDS[OUTAGE])
    await stage.wait(lambda: "U0ONCALL" in room.members, "somebody to approve it")
    text = "Nobody can sign in."
    run = await asked(stage, room, "notify-users", "clerk-outage", {"text": text, "status": "investigating"})
    preview = await stage.sees(room.name, "A new incident “Problems with signing in” is opened on Sandbox Status")
    await stage.click("developer", room.name, preview, "confirm_run")
    await stage.sees(room.name, "somebody else has to approve it", user="developer")
    assert stage.world.statuspage.texts() == []
    await stage.click("oncall", room.name, preview, "confirm_run")
    run = await ended(stage, run.id)
    assert run.outcome.state is State.OK, run.outcome
    assert (stage.world.statuspage.texts(), stage.world.statuspage.mailed) == ([text], [])


@pytest.fixture
async def data(unstarted: Stage, database: Database, tmp_path: Path) -> ApplicationData:
    """The application's own data: a table that lacks all of Clerk's users and has one who is gone there. The bot runs."""
    database.execute(USERS)
    database.execute("INSERT INTO users (clerk_id, email) VALUES ('user_2gone', 'gone@sandbox.example')")
    unstarted.environment |= {"DATABASE_URL": database.url, "MUSTER_DATA_DIR": str(tmp_path / "data")}
    await unstarted.start()
    return unstarted.world.application_data


async def test_lost_webhooks_from_the_gap_to_the_resumption(unstarted: Stage, data: ApplicationData, database: Database) -> None:
    """Procedure 3 in its order: each preview says what will happen, the resync waits for a second person, the data are right."""
    stage = unstarted
    room = await opened(stage, WORDS[WEBHOOKS])
    (found,) = [one.outcome for name, one in (await incident_of(stage)).readings.items() if name == "users"]
    assert found.state is State.FAILING
    assert data.paused_since is None
    await changed(stage, room, "pause", user="developer")
    assert data.paused_since is not None
    exported = await changed(stage, room, "export", user="developer")
    assert exported.outcome.facts["rows"] == 1
    assert database.execute("SELECT count(*) FROM users") == [(1,)]
    await changed(stage, room, "resync", user="oncall")
    rows = {row[0]: row[1] for row in database.execute("SELECT clerk_id, email FROM users")}
    assert rows.keys() == stage.world.clerk.users.keys() | {"user_2gone"}
    for user_id, user in stage.world.clerk.users.items():
        primary = [one["email_address"] for one in user["email_addresses"] if one["id"] == user["primary_email_address_id"]]
        assert rows[user_id] == (primary[0] if primary else None)
    await press(stage, room, "run_step", "verify")
    verified = await ended(stage, list((await incident_of(stage)).runs)[-1])
    assert (verified.outcome.facts["differing"], verified.outcome.facts["rows"]) == (0, len(rows))
    assert "users who are gone at Clerk" in verified.outcome.remedy
    await changed(stage, room, "resume", user="developer")
    assert data.paused_since is None


async def changed(stage: Stage, room: Any, step: str, *, user: str) -> Any:
    """The run of a step, asked for by the developer and confirmed by ``user``."""
    before = set((await incident_of(stage)).runs)
    await press(stage, room, "run_step", step)
    views = stage.workspace.views("developer")
    if views:
        assert (await stage.workspace.submit_view("developer", views[-1]["id"], {})).ok
    (run_id,) = set((await incident_of(stage)).runs) - before
    title = (await incident_of(stage)).runs[run_id].title

    def preview() -> Any:
        shown = [one for one in stage.messages(room.name) if str(one["text"]).startswith(title) and "confirm_run" in str(one)]
        return shown[-1] if shown else None

    await stage.click(user, room.name, await stage.wait(preview, f"the preview of {step}"), "confirm_run")
    run = await ended(stage, run_id)
    assert run.outcome.state is State.OK, run.outcome
    return run


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
    await stage.idle()
    assert told(stage, room) == before
    stage.world.set("clerk_status", "operational")
    for good in (1, 2, 3):
        await stage.advance(61)
        await until(stage, lambda watch, good=good: watch.good == good)
    await until(stage, lambda watch: watch.ended is not None)
    await stage.sees(room.name, "is not watched any more")
    await stage.wait(lambda: len(told(stage, room)) >= 3, "what was said before, too")
    await stage.idle()
    assert [one for one in ("failing", "ok", "not watched any more") for text in told(stage, room) if one in text] == [
        "failing",
        "ok",
        "not watched any more",
    ]
    looked = reads_of_the_status_page(stage)
    await stage.advance(600)
    await stage.idle()
    assert reads_of_the_status_page(stage) == looked


async def test_the_endpoint_is_watched_until_it_is_good(stage: Stage) -> None:
    """“Monitor for new issues”: a broken endpoint is said once, and five good looks end it."""
    stage.world.set("app_webhook", "broken")
    room = await opened(stage, WORDS[WEBHOOKS])
    assert "The evidence suggests *It is broken*" in said(stage.card(room.name))
    await press(stage, room, "start_watch", "monitor")
    await until(stage, lambda watch: watch.outcome is not None and watch.outcome.state is State.FAILING)
    stage.world.set("app_webhook", "healthy")
    for good in range(1, 6):
        await stage.advance(61)
        await until(stage, lambda watch, good=good: watch.good == good)
    await until(stage, lambda watch: watch.ended is not None)


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
    await stage.idle()
    assert reads_of_the_status_page(stage) == looked


def told(stage: Stage, room: Any) -> list[str]:
    """What was said about watching."""
    return [said(message) for message in stage.messages(room.name) if "👁️" in message["text"]]


def reads_of_the_status_page(stage: Stage) -> int:
    """How often somebody looked."""
    return len([call for call in stage.world.ledger if call["provider"] == "status"])


async def until(stage: Stage, holds: Any) -> None:
    """Wait for the newest watch to be so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            watches = (await incident_of(stage)).watches
            if "monitor" in watches and holds(watches["monitor"]):
                return
            await asyncio.sleep(0.02)
