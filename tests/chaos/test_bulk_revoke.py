"""Signing out many users while replicas are killed: the account is complete, nobody is left, Clerk's limit is kept (A3)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bot.actions.registry import load_actions
from bot.domain.commands import ConfirmRun, DenyRun, RequestRun, StopRun
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, Risk, State
from bot.domain.run import Run
from bot.sandbox.models import TEAM_ID
from bot.sandbox.world import clerk_data
from bot.services.desk import Desk
from bot.storage.jobs import RedisJobs
from bot.storage.redis import RedisClock, connect
from bot.storage.runbook_files import load_catalog
from tests.bench.bulk import KEYS, PRODUCTION, replica, stand_in
from tests.chaos.ground import Ground, ground
from tests.chaos.replicas import kinds, opened, started
from tests.conftest import ROOT

USERS, SESSIONS_EACH = 40, 3
MOST_ACCOUNTS = 50
ACTION = "clerk.revoke_everywhere"
LIVE_KEY = "sk_live_chaos"
HASTE = 50.0


# -- the action alone, in processes of its own ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_killed_at_random_and_ended_by_others(redis_url: str) -> None:
    """Three replicas, one after the other, two of them killed wherever they are, its end included. BULK_SEED repeats a run."""
    seed = int(os.environ.get("BULK_SEED") or secrets.randbelow(1_000_000))
    print(f"BULK_SEED={seed}")
    chance = random.Random(seed)  # noqa: S311
    url = f"{redis_url}?db=10"
    client = connect(url, timeout_s=5)
    await client.flushdb()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.aclose)
        clerk = await stack.enter_async_context(stand_in(users=USERS, sessions=USERS * SESSIONS_EACH))
        key = KEYS[PRODUCTION]
        crew = [await stack.enter_async_context(replica(url, clerk.url, key=key, haste=HASTE)) for _ in range(3)]
        for one in crew[:2]:
            one.begin()
            await asyncio.sleep(chance.uniform(0.1, 2.5))
            with contextlib.suppress(ProcessLookupError):  # it has ended already: then there is nothing left for the others
                await one.kill()
        crew[2].begin()
        outcome = Outcome.model_validate(await crew[2].outcome())
        state = await clerk.state()
    facts = outcome.facts
    assert outcome.state is State.OK, outcome.summary
    assert (state["live"], state["refused"]) == (0, 0)
    assert facts["users_planned"] == USERS == _sum(facts, "users_done", "users_failed", "users_skipped")
    assert _sum(facts, "revoked", "already_gone") == USERS * SESSIONS_EACH
    assert len(outcome.report.splitlines()) == 1 + USERS * SESSIONS_EACH


def _sum(facts: dict[str, Any], *names: str) -> int:
    return sum(int(facts[name]) for name in names)


# -- the whole bot -------------------------------------------------------------------------------------------------------


def write_runbooks(folder: Path) -> Path:
    """Muster's own, with the action on the checklist of the outage and a cap of its own."""
    copy = folder / "runbooks"
    shutil.copytree(ROOT / "runbooks", copy)
    path = copy / "clerk" / "auth-outage.yml"
    step = f"  - {{id: bulk, title: Sign out many, run: {ACTION}, caution: Everybody named is signed out.}}\n"
    path.write_text(path.read_text("utf-8").replace("checklist:\n", f"checklist:\n{step}"), "utf-8")
    policy = copy / "policy.yml"
    text = policy.read_text("utf-8").replace("most_accounts: 1000", f"most_accounts: {MOST_ACCOUNTS}")
    policy.write_text(text.replace("protected_accounts: []", "protected_accounts: [user_2b00000]"), "utf-8")
    return copy


@pytest.fixture
async def site(redis_url: str) -> AsyncIterator[Ground]:
    """A workspace without a bot, and a Clerk with many users."""
    async with ground(redis_url, database=11, write_runbooks=write_runbooks) as made:
        made.environment["CLERK_SECRET_KEY"] = made.world.clerk.secret_key = LIVE_KEY
        made.world.clerk.rate_limit = PRODUCTION
        populate(made, USERS)
        yield made


def populate(site: Ground, users: int) -> None:
    """So many users with ``SESSIONS_EACH`` sessions each."""
    now_ms = round(time.time() * 1000)
    site.world.clerk.users.clear()
    site.world.clerk.sessions.clear()
    for number in range(users):
        name = f"2b{number:05d}"
        made = clerk_data.user(name, now_ms)
        site.world.clerk.users[made["id"]] = {**made, "created_at": made["created_at"] + number}
        for place in range(1, SESSIONS_EACH + 1):
            session = clerk_data.session(name, place, "active", now_ms)
            site.world.clerk.sessions[session["id"]] = session


def live(site: Ground) -> int:
    """How many sessions are live."""
    return sum(session["status"] in ("active", "pending") for session in site.world.clerk.sessions.values())


def calls(site: Ground) -> int:
    """How many calls changed something at Clerk, or tried to."""
    return sum(row["provider"] == "clerk" and row["method"] == "POST" for row in site.world.ledger)


class Person:
    """Two people at their desks: what they press, without the drawing of the buttons."""

    def __init__(self, site: Ground) -> None:
        result = load_catalog(site.folder / "runbooks", actions=load_actions(), overrides={"CLERK_APP_URL": "http://127.0.0.1:9"})
        assert result.catalog, [str(fault) for fault in result.faults]
        self.desk = Desk(store=site.store, clock=RedisClock(), catalog=result.catalog)
        self._asks = site.sandbox.workspace.user("developer").id
        self._approves = site.sandbox.workspace.user("oncall").id

    async def ask(self, **params: Any) -> Run:
        """The run with its preview, or with the reason why it must not be."""
        spec = load_actions()[ACTION]
        request = RequestRun(step_id="bulk", action=ACTION, title=spec.title, risk=spec.risk, params=params)
        assert spec.risk is Risk.DESTRUCTIVE
        handled = await self.desk.handle("inc-1", request, by=self._asks)
        run_id = list(handled.incident.runs)[-1]
        return await self.until(run_id, lambda run: run.preview is not None or not run.is_open)

    async def approve(self, run: Run) -> None:
        """The second person says yes."""
        await self.desk.handle("inc-1", ConfirmRun(run_id=run.id), by=self._approves)

    async def until(self, run_id: str, done: Any, timeout_s: float = 60.0) -> Run:
        """The run, as soon as ``done`` is true of it."""
        ends_at = time.monotonic() + timeout_s
        while True:
            incident: Incident = await self.desk.get("inc-1")
            if done(incident.runs[run_id]):
                return incident.runs[run_id]
            assert time.monotonic() < ends_at, f"not in time: {incident.runs[run_id]}"
            await asyncio.sleep(0.05)


async def until_left(site: Ground, sessions: int) -> None:
    """Wait until so few sessions are live."""
    async with asyncio.timeout(60):
        while live(site) > sessions:  # noqa: ASYNC110 - Clerk tells nobody
            await asyncio.sleep(0.02)


async def until_quiet(site: Ground) -> None:
    """Wait until nothing was asked of Clerk for a second: by then all of them would be signed out, had nobody stopped it."""
    async with asyncio.timeout(60):
        done = -1
        while done != calls(site):
            done = calls(site)
            await asyncio.sleep(1.0)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_every_replica_is_killed_and_a_new_one_goes_on(site: Ground) -> None:
    """After the approval of the second person nothing more is needed; who is protected keeps their sessions."""
    first, second = await started(site, 2)
    await opened(site)
    people = Person(site)
    run = await people.ask(everyone=True)
    assert run.preview
    assert (run.preview.affects, live(site)) == (USERS - 1, USERS * SESSIONS_EACH)
    await people.approve(run)
    await until_left(site, USERS * SESSIONS_EACH * 2 // 3)
    await asyncio.gather(first.kill(), second.kill())
    killed_with = live(site)
    assert killed_with > SESSIONS_EACH
    client = connect(site.environment["REDIS_URL"], timeout_s=5)
    job = RedisJobs(client, workspace_id=TEAM_ID)("inc-1", run.id)
    await job.save({"began_at": time.time() - 60})  # nobody waits a minute here for the second look
    await client.aclose()
    third = site.replica()
    await third.start()
    site.sandbox.bot_url = third.url
    run = await people.until(run.id, lambda found: found.outcome is not None)
    assert run.outcome
    assert run.outcome.state is State.OK, run.outcome.summary
    facts = run.outcome.facts
    assert facts["users_planned"] == USERS == _sum(facts, "users_done", "users_failed", "users_skipped")
    assert _sum(facts, "revoked", "already_gone") == (USERS - 1) * SESSIONS_EACH
    assert {session["user_id"] for session in site.world.clerk.sessions.values() if session["status"] == "active"} == {
        "user_2b00000"
    }
    assert [row["status"] for row in site.world.ledger].count(429) == 0
    assert (await kinds(site))["run_finished"] == 1
    assert [line for one in (first, second, third) for line in one.cries()] == []


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_stopped_denied_and_too_many(site: Ground) -> None:
    """Stop and No end it within a second or two, and what was not begun never happens; too many users are refused at once."""
    await started(site, 2)
    await opened(site)
    people = Person(site)
    for say_no in (StopRun, DenyRun):
        populate(site, USERS)
        run = await people.ask(everyone=True)
        assert run.preview, run.refused
        await people.approve(run)
        await until_left(site, USERS * SESSIONS_EACH - 10)
        await people.desk.handle("inc-1", say_no(run_id=run.id), by=people._asks)
        ended = await people.until(run.id, lambda found: not found.is_open)
        await until_quiet(site)
        done, left = calls(site), live(site)
        assert left > SESSIONS_EACH
        await asyncio.sleep(1.0)
        assert (calls(site), live(site)) == (done, left), "a session ended after it was stopped"
        if say_no is StopRun:
            assert ended.outcome
            assert (ended.outcome.state, ended.outcome.facts["still_active"]) == (State.FAILING, None)
            assert "somebody stopped it" in ended.outcome.summary
    populate(site, MOST_ACCOUNTS + 2)
    site.world.ledger.clear()
    run = await people.ask(everyone=True)
    assert run.preview is None
    assert f"it would hit {MOST_ACCOUNTS + 1} accounts" in run.refused
    assert calls(site) == 0
