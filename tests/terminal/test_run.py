"""``muster run``: the same steps, preview and timeline as in Slack, from a terminal, also when nobody else is there."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio as redis

from bot.cli import make_parser
from bot.domain.commands import ChangeAccounts, Declaration
from bot.domain.errors import ConfigError, UserError
from bot.domain.facts import Origin
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, State
from bot.services.desk import Desk
from bot.services.ports import Claimed
from bot.services.running import RAN_AGAIN
from bot.settings import load_settings
from bot.storage.embedded import embedded_redis, server_binary
from bot.storage.redis import RedisClock, RedisStore, connect
from bot.terminal import run as command
from bot.terminal.steps import Terminal, UsageError
from bot.terminal.telling import say_outcome, write_report
from tests.conftest import ROOT
from tests.scenarios.conftest import PATIENCE_S, Stage

pytestmark = pytest.mark.slow

RUNBOOK = "break-in"
OTHER = "outage"
BREAK_IN = """
id: break-in
title: Somebody is in
service: clerk
severity: SEV1
diagnostics:
  - {id: status, title: Clerk status page, run: clerk.status}
  - {id: health, title: Health, run: http.health, with: {url: "${app_url}/api/health/clerk"}}
checklist:
  - {id: confirm, title: Confirm, shows: [status, health]}
  - {id: identify, title: Look at the sessions, run: clerk.list_sessions}
  - {id: revoke, title: Revoke all sessions, run: clerk.revoke_sessions, caution: They are signed out everywhere.}
  - {id: demo, title: Revoke those of the demo, run: clerk.revoke_sessions, with: {user_id: user_2demo}}
  - id: cause
    title: Which way?
    choose:
      - {id: left, title: Left, steps: [{id: in-left, title: Left, run: clerk.revoke_sessions}]}
      - {id: right, title: Right, steps: [{id: in-right, title: Right, run: clerk.revoke_sessions}]}
  - {id: notify, title: Tell those hit, run: email.notify_users, caution: For good., with: {template: account-accessed}}
  - {id: preserve, title: Save it, run: logs.preserve}
  - {id: ban, title: Lock them out, run: clerk.ban_user, caution: Nobody can sign in., undo: clerk.unban_user}
  - id: bypass
    title: Let everybody in
    run: clerk.emergency_bypass
    caution: Nobody is checked.
    with: {app_url: "${app_url}", protected_path: /dashboard}
  - {id: document, title: Write it down, guide: "With a pencil."}
"""
OUTAGE = """
id: outage
title: Clerk is down
service: clerk
severity: SEV2
checklist:
  - {id: logs, title: Check the logs}
"""
REVOKE = (RUNBOOK, "--step", "revoke", "--set", "user_id=user_2demo")


class Person(io.StringIO):
    """Somebody at the keyboard: ``answers`` in turn, then the end of the input; "word" types the word that is asked for."""

    def __init__(self, screen: io.StringIO, answers: Sequence[str]) -> None:
        super().__init__()
        self._screen = screen
        self._answers = list(answers)

    def readline(self, size: int = -1, /) -> str:
        if not self._answers:
            return ""
        answer = self._answers.pop(0)
        if answer == "word":
            answer = re.findall(r"Type “(.+)” to do it", self._screen.getvalue())[-1]
        return f"{answer}\n"


class Session:
    """A terminal in which one command after the other is run against ``environment``."""

    def __init__(self, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.environment = environment
        self.screen = io.StringIO()
        self._monkeypatch = monkeypatch

    async def run(self, *arguments: str, answers: Sequence[str] = (), **changes: str) -> int:
        """The exit code; what it said is in ``screen``."""
        self.screen = io.StringIO()
        self._monkeypatch.setattr(sys, "stdout", self.screen)
        self._monkeypatch.setattr(sys, "stdin", Person(self.screen, answers))
        settings = load_settings({**self.environment, **changes})
        try:
            return await command._run(settings, make_parser().parse_args(["run", *arguments]), Terminal())
        finally:
            self._monkeypatch.undo()

    @property
    def text(self) -> str:
        """What the last command said."""
        return self.screen.getvalue()


@pytest.fixture
async def unstarted(unstarted: Stage, tmp_path: Path) -> Stage:
    """A stage with two small runbooks of its own."""
    folder = tmp_path / "runbooks"
    shutil.copytree(ROOT / "runbooks", folder, ignore=shutil.ignore_patterns("clerk"))
    (folder / "clerk").mkdir()
    for name, text in (("break-in.yml", BREAK_IN), ("outage.yml", OUTAGE)):
        (folder / "clerk" / name).write_text(text, encoding="utf-8")
    unstarted.environment["MUSTER_RUNBOOKS"] = str(folder)
    unstarted.environment.update(unstarted.world.environment(unstarted.sandbox.url, paging=True))
    return unstarted


@pytest.fixture
async def stage(unstarted: Stage) -> Stage:
    """A running bot with them."""
    await unstarted.start()
    return unstarted


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Stage], Session]:
    """A session beside a stage."""

    def make(stage: Stage) -> Session:
        stage.environment["MUSTER_DATA_DIR"] = str(tmp_path / "terminal")
        return Session(stage.environment, monkeypatch)

    return make


@pytest.fixture
async def alone(stage: Stage) -> Stage:
    """Redis as a bot left it that does not run any more."""
    await stage.stop()
    return stage


@pytest.fixture
async def desk(stage: Stage) -> AsyncIterator[Desk]:
    """A look into the record, from outside."""
    client = connect(stage.environment["REDIS_URL"], timeout_s=5)
    clock = RedisClock()
    store = RedisStore(client, workspace_id=stage.muster.workspace.team_id, owner="test", clock=clock, time_travel=True)
    await store.claim(most=0, lease_ms=1)
    yield Desk(store=store, clock=clock, catalog=stage.muster.desk.catalog)
    await client.aclose()


def read(path: str) -> str:
    """What is in a file."""
    return Path(path).read_text("utf-8")


def write(path: str, text: str) -> None:
    """Put it there."""
    Path(path).write_text(text, "utf-8")


async def only(desk: Desk) -> Incident:
    """The one incident that is open."""
    (incident,) = await desk.active()
    return incident


def live(stage: Stage, user_id: str = "user_2demo") -> int:
    """How many sessions a user has at Clerk."""
    return len(stage.world.clerk.live_sessions(user_id))


async def test_the_steps_are_listed(unstarted: Stage, at_terminal: Callable[[Stage], Session]) -> None:
    """With what each would need; nothing is asked of anybody, Redis included."""
    session = at_terminal(unstarted)
    assert await session.run(RUNBOOK, REDIS_URL="unix:///nowhere", CLERK_SECRET_KEY="") == 0
    line = next(line for line in session.text.splitlines() if " revoke " in line)
    assert line.split()[:2] == ["revoke", "change"]
    assert "needs user_id" in session.text
    assert "set CLERK_SECRET_KEY first" in session.text
    assert unstarted.world.ledger == []


async def test_a_dry_run_shows_the_preview_and_changes_nothing(
    stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]
) -> None:
    """No session ends, no incident is opened, nobody is asked."""
    session = at_terminal(stage)
    assert await session.run(*REVOKE, "--dry-run") == 0
    assert "7 active sessions of user_2demo end" in session.text
    assert session.text.count("sess_2demo") == 7
    assert "nothing was done, and nothing was recorded" in session.text
    assert live(stage) == 7
    assert await desk.active() == []


async def test_a_step_is_run_and_recorded_without_slack_and_without_a_replica(
    alone: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]
) -> None:
    """A new incident has the request, what was shown, the yes and the outcome, by whoever sits there; Slack hears nothing."""
    calls = len(alone.sandbox.calls)
    session = at_terminal(alone)
    assert await session.run(*REVOKE, answers=["word"]) == 0
    assert live(alone) == 0
    incident = await only(desk)
    (run,) = incident.runs.values()
    assert incident.origin.how == "terminal"
    assert incident.opened.by == run.requested.by == (run.confirmed and run.confirmed.by) == command.login()
    assert command.login().startswith("terminal:")
    assert run.preview
    assert run.preview.summary in session.text
    assert run.outcome
    assert run.outcome.facts["revoked"] == 7
    assert f"OK: {run.outcome.summary}" in session.text
    assert f"Recorded in {incident.id}." in session.text
    assert len(alone.sandbox.calls) == calls


async def test_the_room_catches_up_when_a_replica_runs(alone: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """The outcome stands there, and the step is not done once more."""
    assert await at_terminal(alone).run(*REVOKE, answers=["word"]) == 0
    posts = [row for row in alone.world.ledger if row["method"] == "POST"]
    await alone.start()
    room = await alone.room()
    await alone.sees(room.name, "7 sessions of user_2demo ended")
    assert [row for row in alone.world.ledger if row["method"] == "POST"] == posts


async def test_the_open_incident_of_the_runbook_is_used(
    stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]
) -> None:
    """No second one; and one that is named is taken, in both ways of writing it."""
    session = at_terminal(stage)
    said_so = Declaration(title="Somebody is in", runbook_ids=(RUNBOOK,), origin=Origin(how="command"))
    incident = (await desk.declare(said_so, by="U1", delivery=None)).incident
    assert await session.run(*REVOKE, answers=["word"]) == 0
    assert f"It is recorded in {incident.id}." in session.text
    assert len((await only(desk)).runs) == 1
    for name in (incident.id, str(incident.number)):
        assert await session.run(*REVOKE, "--incident", name, "--dry-run") == 0
    assert "no active sessions" in session.text


async def test_nothing_to_do_is_not_done(stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """Nobody is asked, nothing is opened."""
    session = at_terminal(stage)
    assert await session.run(RUNBOOK, "--step", "revoke", "--set", "user_id=user_2quiet") == 0
    assert "nothing would change" in session.text
    assert await desk.active() == []


@pytest.mark.parametrize(("answers", "words"), [(["yes"], "something else"), ([""], "something else"), ([], "nobody answered")])
async def test_without_the_word_nothing_is_done(
    stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session], answers: list[str], words: str
) -> None:
    """Another word, an empty line, the end of the input: nothing was called, and nothing is on record."""
    with pytest.raises(UserError, match=words):
        await at_terminal(stage).run(*REVOKE, answers=answers)
    assert live(stage) == 7
    assert await desk.active() == []


async def test_a_missing_parameter_is_asked_for(stage: Stage, at_terminal: Callable[[Stage], Session]) -> None:
    """With its description; a wrong one is refused before anything is asked of Clerk."""
    session = at_terminal(stage)
    assert await session.run(RUNBOOK, "--step", "revoke", "--dry-run", answers=["user_2demo"]) == 0
    assert "begins with user_" in session.text
    before = len(stage.world.ledger)
    for bad in ("../../v1/user", "user_x?y", "%2e%2e", "*", ""):
        with pytest.raises(UsageError, match="user_id"):
            await session.run(RUNBOOK, "--step", "revoke", "--dry-run", answers=[bad])
    assert [row for row in stage.world.ledger[before:] if row["provider"] == "clerk"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["brake-in"], "did you mean break-in"),
        ([RUNBOOK, "--step", "revok"], "did you mean revoke"),
        ([*REVOKE, "--set", "user=user_1"], "has no parameter user; did you mean user_id"),
        ([*REVOKE, "--set", "user_id=user_1"], "is given twice"),
        ([*REVOKE, "--set", "user_id"], "takes name=value"),
        ([RUNBOOK, "--step", "demo", "--set", "user_id=user_1"], "is given by the runbook"),
        ([RUNBOOK, "--step", "document", "--set", "a=b"], "runs no action"),
        ([OTHER, "--step", "logs", "--incident", "x"], "no incident 'x'"),
        ([*REVOKE, "--incident", "inc-99"], "no incident 'inc-99'"),
        ([*REVOKE, "--incident", "inc-1", "--no-record"], "exclude each other"),
        ([RUNBOOK, "--step", "ban", "--undo", "--no-record"], "exclude each other"),
    ],
)
async def test_wrong_usage(
    stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session], arguments: list[str], words: str
) -> None:
    """Said before anything is done."""
    with pytest.raises(UsageError, match=words):
        await at_terminal(stage).run(*arguments)
    assert live(stage) == 7
    assert await desk.active() == []


async def test_an_incident_of_another_runbook(stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """What is done for one thing is not written down under another."""
    declared = await desk.declare(
        Declaration(title="Down", runbook_ids=(OTHER,), origin=Origin(how="command")), by="U1", delivery=None
    )
    with pytest.raises(UsageError, match="follows the runbook outage"):
        await at_terminal(stage).run(*REVOKE, "--incident", declared.incident.id)


async def test_a_step_of_a_branch(stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """Its way is chosen with it. Where another way was chosen, the step is not part of the checklist, and nothing is done."""
    session = at_terminal(stage)
    assert await session.run(RUNBOOK, "--step", "in-left", "--set", "user_id=user_2demo", answers=["word"]) == 0
    assert (await only(desk)).choices["cause"].branch_id == "left"
    with pytest.raises(UserError, match="another way was chosen at “Which way\\?”"):
        await session.run(RUNBOOK, "--step", "in-right", "--set", "user_id=user_2many", answers=["word"])
    assert live(stage, "user_2many") == 120


async def test_what_the_runbook_gives_is_not_asked(stage: Stage, at_terminal: Callable[[Stage], Session]) -> None:
    """The word is the only question."""
    assert await at_terminal(stage).run(RUNBOOK, "--step", "demo", answers=["word"]) == 0
    assert live(stage) == 0


async def test_a_step_by_hand_is_explained(stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """There is nothing to run."""
    session = at_terminal(stage)
    assert await session.run(RUNBOOK, "--step", "document") == 0
    assert "With a pencil." in session.text
    assert await desk.active() == []


async def test_an_incident_that_has_still_to_choose(stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """Where this runbook is one of those that fit, it is chosen there, and no second incident is opened."""
    said_so = Declaration(title="Something", runbook_ids=(OTHER, RUNBOOK), origin=Origin(how="command"))
    declared = await desk.declare(said_so, by="U1", delivery=None)
    assert await at_terminal(stage).run(*REVOKE, answers=["word"]) == 0
    incident = await only(desk)
    assert (incident.id, incident.runbook and incident.runbook.id) == (declared.incident.id, RUNBOOK)


async def test_diagnostics_are_looked_at(stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """A step that shows diagnostics makes them; what is failing ends with 1. No incident is opened by looking."""
    session = at_terminal(stage)
    assert await session.run(RUNBOOK, "--step", "confirm") == 0
    assert "OK: " in session.text
    stage.world.set("clerk_status", "down")
    assert await session.run(RUNBOOK, "--step", "confirm") == 1
    assert "FAILING: " in session.text
    assert await desk.active() == []


async def test_reading_opens_no_incident(stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """It is recorded where one is open, and only there."""
    session = at_terminal(stage)
    arguments = (RUNBOOK, "--step", "identify", "--set", "user_id=user_2demo")
    assert await session.run(*arguments) == 0
    assert "is not recorded" in session.text
    assert "sess_2demo0001" in session.text
    assert await desk.active() == []
    said_so = Declaration(title="Somebody is in", runbook_ids=(RUNBOOK,), origin=Origin(how="command"))
    await desk.declare(said_so, by="U1", delivery=None)
    assert await session.run(*arguments) == 0
    (run,) = (await only(desk)).runs.values()
    assert run.outcome


async def test_an_outcome_that_is_not_good_ends_with_1(stage: Stage, at_terminal: Callable[[Stage], Session]) -> None:
    """And the remedy is said."""
    stage.world.clerk.sticky = {"sess_2demo0001"}
    session = at_terminal(stage)
    assert await session.run(*REVOKE, answers=["word"]) == 1
    assert "FAILING: " in session.text
    assert "What to do: " in session.text


async def test_what_cannot_be_previewed_is_not_done(stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """Clerk refuses the key: 1, why, and no incident."""
    stage.world.set("clerk_api", "unauthorized")
    session = at_terminal(stage)
    assert await session.run(*REVOKE) == 1
    assert "It cannot be done: " in session.text
    assert await desk.active() == []


async def test_without_redis_it_says_how_to_go_on(
    unstarted: Stage, at_terminal: Callable[[Stage], Session], tmp_path: Path
) -> None:
    """Nothing is run unrecorded by accident; --no-record does it, and says so."""
    session = at_terminal(unstarted)
    nowhere = f"unix://{tmp_path}/none"
    with pytest.raises(ConfigError, match=r"Redis cannot be reached(.|\n)*--no-record"):
        await session.run(*REVOKE, answers=["word"], REDIS_URL=nowhere)
    assert live(unstarted) == 7
    assert await session.run(*REVOKE, "--dry-run", REDIS_URL=nowhere) == 0
    assert "What is on record is not known" in session.text
    assert await session.run(*REVOKE, "--no-record", answers=["word"], REDIS_URL=nowhere) == 0
    assert "NOTHING OF THIS IS RECORDED" in session.text
    assert "OK: 7 sessions of user_2demo ended" in session.text
    assert "Recorded in" not in session.text
    assert live(unstarted) == 0


async def test_a_redis_that_holds_nothing_or_too_much(unstarted: Stage, at_terminal: Callable[[Stage], Session]) -> None:
    """The workspace is named by hand then; Slack is not asked."""
    session = at_terminal(unstarted)
    with pytest.raises(ConfigError, match="holds nothing of Muster"):
        await session.run(*REVOKE)
    async with redis.Redis.from_url(unstarted.environment["REDIS_URL"]) as client:
        await client.set("{muster:T0ONE}:format", "1")
        await client.set("{muster:T0TWO}:format", "1")
    with pytest.raises(ConfigError, match=r"2 workspaces \(T0ONE, T0TWO\); name one with --workspace"):
        await session.run(*REVOKE)
    assert await session.run(*REVOKE, "--workspace", "T0TWO", answers=["word"]) == 0
    async with redis.Redis.from_url(unstarted.environment["REDIS_URL"]) as client:
        assert await client.exists("{muster:T0TWO}:inc:inc-1:timeline")
    assert unstarted.sandbox.calls == []


async def test_the_embedded_server_is_joined(unstarted: Stage, at_terminal: Callable[[Stage], Session], tmp_path: Path) -> None:
    """Beside a running bot; what is written there is seen there."""
    session = at_terminal(unstarted)
    del unstarted.environment["REDIS_URL"]
    unstarted.environment["MUSTER_DATA_DIR"] = str(tmp_path / "data")
    await unstarted.start()
    assert await session.run(*REVOKE, answers=["word"]) == 0
    (incident,) = await unstarted.muster.desk.active()
    assert next(iter(incident.runs.values())).outcome
    await unstarted.stop()
    async with embedded_redis(tmp_path / "data") as server:
        assert server.owned


class LateStore(RedisStore):
    """A store whose claim of a single task comes when a replica has it."""

    async def claim(self, *, most: int, lease_ms: int, only: Sequence[str] = ()) -> Claimed:
        async with asyncio.timeout(PATIENCE_S):
            while only and not await self._is_taken(only[0]):  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.01)
        return await super().claim(most=most, lease_ms=lease_ms, only=only)

    async def _is_taken(self, task_id: str) -> bool:
        return bool(await self._ask(self._redis.hget(f"{self._prefix}task:{task_id}", "state")) != "pending")


async def test_a_replica_that_is_quicker_does_it_once(
    stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal waits, and prints what the replica saw."""
    monkeypatch.setattr("bot.terminal.record.RedisStore", LateStore)
    monkeypatch.setattr("bot.terminal.run.RedisStore", LateStore)
    stage.world.latency_s = 0.2
    settings = load_settings({**stage.environment, "MUSTER_DATA_DIR": os.devnull})
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stdin", Person(screen, ["word"]))
    options: Namespace = make_parser().parse_args(["run", *REVOKE[:-1], "user_id=user_2many"])
    assert await command._run(settings, options, Terminal()) == 0
    assert "A running Muster has taken it" in screen.getvalue()
    assert "OK: 120 sessions of user_2many ended" in screen.getvalue()
    revoked = [row["path"] for row in stage.world.ledger if row["path"].endswith("/revoke")]
    assert len(revoked) == len(set(revoked)) == 120


async def test_a_terminal_beside_a_replica_does_it_once(
    stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]
) -> None:
    """Whoever takes it, each session is ended by one call."""
    assert await at_terminal(stage).run(*REVOKE[:-1], "user_id=user_2many", answers=["word"]) == 0
    revoked = [row["path"] for row in stage.world.ledger if row["path"].endswith("/revoke")]
    assert len(revoked) == len(set(revoked)) == 120
    room = await stage.room()
    await stage.sees(room.name, "120 sessions of user_2many ended")


class Slow(Person):
    """Somebody who thinks for an hour before they answer."""

    def __init__(self, screen: io.StringIO, answers: Sequence[str], clock: Callable[[], None]) -> None:
        super().__init__(screen, answers)
        self._pass = clock

    def readline(self, size: int = -1, /) -> str:
        self._pass()
        return super().readline(size)


async def test_a_yes_that_comes_too_late_is_none(alone: Stage, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown an hour ago may be something else by now."""
    passed = [0.0]

    class Clock(RedisClock):
        def __init__(self) -> None:
            super().__init__(lambda: time.monotonic() + passed[0])

    monkeypatch.setattr("bot.terminal.run.RedisClock", Clock)
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stdin", Slow(screen, ["word"], lambda: passed.__setitem__(0, 3_600.0)))
    with pytest.raises(UserError, match="was looked at too long ago, so nothing was done"):
        await command._run(load_settings(alone.environment), make_parser().parse_args(["run", *REVOKE]), Terminal())
    assert live(alone) == 7
    assert await desk.active() == []


# -- what needs a second person --------------------------------------------------------------------------------------

NOTIFY = (RUNBOOK, "--step", "notify", "--set", "details=somebody was in", "--set", "user_ids=user_2demo, user_2many")


async def test_a_destructive_step_is_a_break_glass_with_a_typed_reason(
    alone: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]
) -> None:
    """The reason and whoever typed it are on record; the word has the number of the people."""
    session = at_terminal(alone)
    assert (
        await session.run(*NOTIFY, answers=["Slack is down", "notify 2"], MUSTER_DATA_DIR=alone.environment["MUSTER_RUNBOOKS"])
        == 0
    )
    assert "Subject: Somebody else may have signed in to your account" in session.text
    assert "Type “notify 2” to do it" in session.text
    (run,) = (await only(desk)).runs.values()
    assert (run.break_glass, run.confirmed and run.confirmed.by) == ("Slack is down", command.login())
    assert sorted(mail.recipients[0] for mail in alone.world.smtp.mails) == ["2demo@sandbox.example", "2many@sandbox.example"]
    assert "user_2demo\tsent" in read(re.findall(r"The report is in (.+)\.", session.text)[0])


@pytest.mark.parametrize("answers", [["", "notify 2"], ["Slack is down", "notify"], ["Slack is down"], []])
async def test_without_a_reason_or_the_word_nobody_is_written_to(
    stage: Stage, desk: Desk, at_terminal: Callable[[Stage], Session], answers: list[str]
) -> None:
    """No mail, and nothing on record."""
    with pytest.raises(UserError, match=r"nothing (is|was) done"):
        await at_terminal(stage).run(*NOTIFY, answers=answers)
    assert stage.world.smtp.mails == []
    assert await desk.active() == []


async def test_the_reason_can_come_with_the_command(alone: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """The word is still typed; the accounts of the incident are meant by the word `incident`."""
    said_so = Declaration(title="Somebody is in", runbook_ids=(RUNBOOK,), origin=Origin(how="command"))
    incident = (await desk.declare(said_so, by="U1", delivery=None)).incident
    await desk.handle(incident.id, ChangeAccounts(added=("user_2pending",)), by="U1")
    arguments = (*NOTIFY[:-1], "user_ids=incident", "--reason", "Slack is down")
    assert await at_terminal(alone).run(*arguments, answers=["word"]) == 0
    assert [mail.recipients for mail in alone.world.smtp.mails] == [("2pending@sandbox.example",)]
    assert (await only(desk)).runs["r1"].break_glass == "Slack is down"


async def test_what_policy_protects_is_refused_here_too(
    alone: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]
) -> None:
    """Also in a dry run, and without a record: nobody is written to."""
    policy = f"{alone.environment['MUSTER_RUNBOOKS']}/policy.yml"
    write(policy, re.sub(r"most_accounts: \d+", "most_accounts: 1", read(policy)))
    for more in (["--dry-run"], ["--no-record"], []):
        session = at_terminal(alone)
        assert await session.run(*NOTIFY, *more, answers=["reason", "word"]) == 1
        assert "it would hit 2 accounts, and one action may hit 1" in session.text
    assert alone.world.smtp.mails == []
    assert await desk.active() == []


async def test_what_was_done_is_taken_back(alone: Stage, desk: Desk, at_terminal: Callable[[Stage], Session]) -> None:
    """With the parameters of the run, and as a run of its own; once."""
    session = at_terminal(alone)
    ban = (RUNBOOK, "--step", "ban")
    with pytest.raises(UserError, match="nothing in no open incident"):
        await session.run(*ban, "--undo")
    arguments = (*ban, "--set", "user_id=user_2demo", "--reason", "Slack is down")
    assert await session.run(*arguments, answers=["word"]) == 0, session.text
    assert alone.world.clerk.users["user_2demo"]["banned"] is True
    assert f"muster run {RUNBOOK} --step ban --undo" in session.text
    with pytest.raises(UsageError, match="leave --set out"):
        await session.run(*ban, "--undo", "--set", "user_id=user_2many")
    assert await session.run(*ban, "--undo", "--dry-run") == 0
    assert alone.world.clerk.users["user_2demo"]["banned"] is True
    assert await session.run(*ban, "--undo", answers=["word"]) == 0, session.text
    assert alone.world.clerk.users["user_2demo"]["banned"] is False
    banned, unbanned = (await only(desk)).runs.values()
    assert unbanned.undoes == banned.id
    assert banned.reverted_at
    with pytest.raises(UserError, match="has left nothing"):
        await session.run(*ban, "--undo", answers=["word"])


async def test_what_takes_itself_back_is_not_run_without_a_record(alone: Stage, at_terminal: Callable[[Stage], Session]) -> None:
    """Nobody would take it back."""
    with pytest.raises(UserError, match="takes itself back later, and without a record nobody would"):
        await at_terminal(alone).run(RUNBOOK, "--step", "bypass", "--no-record", answers=["reason", "word"])
    assert [row for row in alone.world.ledger if row["method"] != "GET"] == []


# -- as a process ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def begun(stage: Stage, tmp_path: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The console script, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot", "run", *arguments),
        env={**stage.environment, "MUSTER_DATA_DIR": str(tmp_path)},
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def until(process: asyncio.subprocess.Process, words: str) -> str:
    """What it said until it said ``words``."""
    assert process.stdout
    told = b""
    async with asyncio.timeout(30):
        while words.encode() not in told:
            chunk = await process.stdout.read(4096)
            assert chunk, told.decode()
            told += chunk
    return told.decode(errors="replace")


async def confirm(process: asyncio.subprocess.Process) -> None:
    """Type the word that is asked for, and wait for the first sign of progress."""
    word = re.search(r"Type “(.+)” to do it", await until(process, "to do it:"))
    assert word
    assert process.stdin
    process.stdin.write(f"{word[1]}\n".encode())
    await until(process, "… ")


@pytest.fixture
def slow(alone: Stage) -> Iterator[Stage]:
    """Nobody else runs, and each of 120 sessions takes its time."""
    alone.world.latency_s = 0.15
    yield alone
    alone.world.latency_s = 0


async def test_ctrl_c_twice_leaves_and_says_what_that_means(slow: Stage, desk: Desk, tmp_path: Path) -> None:
    """1, honest words, and a replica goes on from there: each session is ended once."""
    async with begun(slow, tmp_path, *REVOKE[:-1], "user_id=user_2many") as process:
        await confirm(process)
        process.send_signal(signal.SIGINT)
        await until(process, "Stopping: it ends at the next place where it can")
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, err) == (1, b"")
        assert "Left before its end. What was begun is done; a running Muster goes on from there" in out.decode()
    (run,) = (await only(desk)).runs.values()
    assert run.stopping
    assert run.outcome is None
    await follow(slow, desk)


async def test_ctrl_c_once_ends_at_the_next_place(slow: Stage, desk: Desk, tmp_path: Path) -> None:
    """The rest is not begun; how far it came is said, recorded, and 1."""
    slow.world.latency_s = 0
    slow.world.smtp.trouble.fault, slow.world.smtp.trouble.slow_s = "slow", 0.5
    for number in range(40):
        slow.world.clerk.users[f"user_x{number}"] = {**slow.world.clerk.users["user_2demo"], "id": f"user_x{number}"}
    people = ",".join(f"user_x{number}" for number in range(40))
    async with begun(slow, tmp_path, *NOTIFY[:-1], f"user_ids={people}", "--reason", "Slack is down") as process:
        await confirm(process)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, err) == (1, b"")
        assert re.search(r"FAILING: The mail server took \d+ of 40 mails, \d+ not sent; it was stopped", out.decode())
    sent = len(slow.world.smtp.mails)
    assert 0 < sent < 40
    outcome = (await only(desk)).runs["r1"].outcome
    assert outcome
    assert (outcome.facts["sent"], outcome.facts["not_sent"]) == (sent, 40 - sent)


async def test_a_terminal_that_is_killed_is_followed_by_a_replica(slow: Stage, desk: Desk, tmp_path: Path) -> None:
    """kill -9 in the middle: the rest is done, each session is ended once, and the outcome is on record."""
    async with begun(slow, tmp_path, *REVOKE[:-1], "user_id=user_2many") as process:
        await confirm(process)
        process.kill()
        await process.wait()
    await follow(slow, desk)


async def follow(stage: Stage, desk: Desk) -> None:
    """Start a replica: what the terminal left in the middle comes to an end that is on record."""
    assert 0 < live(stage, "user_2many") < 120
    stage.world.latency_s = 0
    await stage.start()
    incident = await desk.wait_until((await only(desk)).id, lambda now: not now.runs["r1"].is_open, most_s=40)
    outcome = incident.runs["r1"].outcome
    assert outcome
    assert outcome.details[0] == RAN_AGAIN


async def test_after_kill_9_nobody_gets_a_second_mail(slow: Stage, desk: Desk, tmp_path: Path) -> None:
    """A replica goes on with the job book of the terminal: done, in doubt and the rest are everybody, each of them once."""
    slow.world.latency_s = 0
    slow.world.smtp.trouble.fault, slow.world.smtp.trouble.slow_s = "slow", 0.3
    for number in range(40):
        person = {**slow.world.clerk.users["user_2demo"], "id": f"user_x{number}"}
        person["email_addresses"] = [{**person["email_addresses"][0], "email_address": f"x{number}@sandbox.example"}]
        slow.world.clerk.users[f"user_x{number}"] = person
    people = ",".join(f"user_x{number}" for number in range(40))
    async with begun(slow, tmp_path, *NOTIFY[:-1], f"user_ids={people}", "--reason", "Slack is down") as process:
        await confirm(process)
        await asyncio.sleep(0.4)
        process.kill()
        await process.wait()
    assert 0 < len(slow.world.smtp.mails) < 40
    slow.world.smtp.trouble.behave_well()
    await slow.start()
    incident = await desk.wait_until((await only(desk)).id, lambda now: not now.runs["r1"].is_open, most_s=40)
    outcome = incident.runs["r1"].outcome
    assert outcome
    assert outcome.facts["planned"] == 40
    sent, doubtful = outcome.facts["sent"], outcome.facts["may_have_been_sent"]
    assert isinstance(sent, int)
    assert isinstance(doubtful, int)
    assert (sent + doubtful, outcome.state) == (40, State.UNKNOWN if doubtful else State.OK)
    assert doubtful <= 4
    told = [mail.recipients[0] for mail in slow.world.smtp.mails]
    assert len(told) == len(set(told)) >= sent


async def test_ctrl_c_at_the_question_does_nothing(stage: Stage, desk: Desk, tmp_path: Path) -> None:
    """One line, 1; nothing is on record."""
    async with begun(stage, tmp_path, *REVOKE) as process:
        await until(process, "to do it")
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, err.decode()) == (1, "muster: interrupted, so nothing was done\n")
    assert live(stage) == 7
    assert await desk.active() == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"), [(["nothing"], 2, "muster: there is no runbook 'nothing'"), ([OTHER], 0, "")]
)
async def test_exit_codes_of_the_command(unstarted: Stage, tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    """2 for wrong usage, one line."""
    async with begun(unstarted, tmp_path, *arguments) as process:
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == code
        assert err.decode().startswith(words)
        assert len(err.splitlines()) == (1 if words else 0)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server that the test can stop, and its URL."""
    path = tmp_path / "s"
    options = ["--port", "0", "--unixsocket", str(path), "--appendonly", "yes", "--dir", str(tmp_path)]
    server = subprocess.Popen([str(server_binary()), *options], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield server, f"unix://{path}"
    server.kill()
    server.wait()


async def test_while_redis_hangs_nothing_more_is_begun(
    unstarted: Stage, own_redis: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    """Somebody else may have it by then. When Redis answers, it goes on, and each session is ended once."""
    server, unstarted.environment["REDIS_URL"] = own_redis
    world = unstarted.world
    world.latency_s = 0.1

    def revoked() -> list[str]:
        return [row["path"] for row in world.ledger if row["path"].endswith("/revoke")]

    arguments = (*REVOKE[:-1], "user_id=user_2many", "--workspace", "T0NEW")
    async with begun(unstarted, tmp_path / "data", *arguments) as process:
        await confirm(process)
        server.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2)
        before = len(revoked())
        await asyncio.sleep(1.5)
        assert 0 < len(revoked()) == before < 120
        server.send_signal(signal.SIGCONT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, err.decode()) == (0, ""), out.decode()[-1_000:]
    assert "An earlier attempt was interrupted" in out.decode()
    assert len(revoked()) == len(set(revoked())) == 120


def test_reports_are_private_and_never_overwritten(tmp_path: Path) -> None:
    """They hold addresses of people."""
    wanted = tmp_path / "reports" / "inc-1-r1.txt"
    written = [write_report(wanted, text) for text in ("one", "two", "three")]
    assert [path.name for path in written] == ["inc-1-r1.txt", "inc-1-r1.2.txt", "inc-1-r1.3.txt"]
    assert [path.read_text() for path in written] == ["one", "two", "three"]
    assert (wanted.stat().st_mode & 0o777, wanted.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_report_that_cannot_be_written_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of it is lost, and what a terminal would obey is written out."""
    outcome = Outcome(state=State.OK, summary="Saved", report="one\n\x1b[2Jtwo\n")
    assert say_outcome(Terminal(), outcome, report=Path(os.devnull, "x.txt")) == 0
    out = capsys.readouterr().out
    assert "set MUSTER_DATA_DIR" in out
    assert "one\n\\x1b[2Jtwo\n" in out
