"""The emergency bypass in a real process that is killed at every step of it: after its time it is off, and seen to be off.

People speak to the same Redis through a desk of their own, so that every death is the bot's. Invariant A4: the bypass cannot be
on without a durable task that turns it off.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.actions.registry import load_actions
from bot.domain.commands import Command, ConfirmRun, RequestRun, RevertNow
from bot.domain.incident import Incident
from bot.domain.outcome import State
from bot.domain.run import Run
from bot.sandbox.models import TEAM_ID
from bot.sandbox.world.application import PROTECTED_PATH
from bot.services.desk import Desk
from bot.storage.redis import RedisClock, RedisStore, connect
from bot.storage.runbook_files import load_catalog
from tests.chaos.ground import Ground, Replica, ground
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ASKED_BY, APPROVED_BY = "U0DEVELOPER", "U0ONCALL"
ACTION = load_actions()["clerk.emergency_bypass"]
MINUTES = 5
LEASE_S = 2.1
PATIENCE_S = 40.0
KEY = "CLERK_EMERGENCY_BYPASS"
RUNBOOK = "clerk-auth-outage"
STEP = """
  - id: open-doors
    title: Open the doors
    run: clerk.emergency_bypass
    with: {app_url: "${app_url}", protected_path: /dashboard, minutes: 5}
    undo: clerk.emergency_bypass_off
    caution: Every route is open to everyone.
"""


def runbooks(folder: Path) -> Path:
    """Muster's own, with the bypass as the first step of the outage."""
    copy = folder / "runbooks"
    shutil.copytree(ROOT / "runbooks", copy)
    path = copy / "clerk" / "auth-outage.yml"
    path.write_text(path.read_text("utf-8").replace("\nchecklist:\n", f"\nchecklist:{STEP}"), "utf-8")
    return copy


class Bypass:
    """A workspace whose bot may die, and two people who want the bypass."""

    def __init__(self, site: Ground, desk: Desk, store: RedisStore) -> None:
        self.site = site
        self.desk = desk
        self.store = store
        self.replica: Replica = site.replica()
        site.sandbox.bot_url = self.replica.url

    @property
    def world(self) -> Any:
        """The stand-ins."""
        return self.site.world

    async def declare(self, *, crash_at: str = "") -> None:
        """An incident with both of them in it."""
        await self.replica.start(crash_at=crash_at)
        result = await self.site.sandbox.workspace.command("developer", "general", "/incident clerk down")
        assert result.status == 200
        await self.until(lambda incident: {ASKED_BY, APPROVED_BY} <= set(incident.responders), "both of them in the room")

    async def ask(self) -> None:
        """One asks for it, and it is shown what it would do."""
        params = {"app_url": f"{self.site.sandbox.url}/app", "protected_path": PROTECTED_PATH, "minutes": MINUTES}
        request = RequestRun(
            step_id="open-doors",
            action=ACTION.name,
            title=ACTION.title,
            risk=ACTION.risk,
            params=params,
            undo=ACTION.undo,
            revert_after_s=MINUTES * 60,
        )
        await self.say(request, ASKED_BY)
        await self.until(lambda incident: incident.runs["r1"].is_waiting, "the preview")

    async def approve(self) -> None:
        """The other one says yes: the run is written, and with it its end."""
        await self.say(ConfirmRun(run_id="r1"), APPROVED_BY)

    async def say(self, command: Command, by: str) -> None:
        """To the same Redis, past the bot."""
        await self.desk.handle("inc-1", command, by=by)

    async def until(self, done: Callable[[Incident], object], what: str) -> Incident:
        """As soon as it is so on the timeline."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(KeyError):
                incident = await self.desk.load("inc-1")
                if incident is not None and done(incident):
                    return incident
            await asyncio.sleep(0.05)
        incident = await self.desk.load("inc-1")
        raise AssertionError(f"never came: {what}; {incident and incident.runs}; {self.replica.warnings()[-5:]}")

    async def dies(self) -> None:
        """At its point."""
        async with asyncio.timeout(PATIENCE_S):
            await self.replica.until_dead()

    async def comes_back(self) -> None:
        """As late as the leases of who died need to run out."""
        await self.site.sandbox.clock.advance(LEASE_S)
        await self.replica.start()

    async def finished(self) -> Run:
        """The run has its outcome."""
        return (await self.until(lambda incident: incident.runs["r1"].outcome, "the outcome")).runs["r1"]

    async def is_off_by_itself(self) -> None:
        """After its time it is seen to be off, and nothing of it is left."""
        await self.site.sandbox.clock.advance(MINUTES * 60)
        run = (await self.until(lambda incident: incident.runs["r1"].reverted_at, "the end of the bypass")).runs["r1"]
        assert run.reverted is not None
        assert run.reverted.state is State.OK
        assert not self.world.application.is_bypassed
        assert [one for one in self.world.vercel.variables if one["key"] == KEY] == []
        assert not [one for one in self.world.vercel.made() if one["readyState"] in ("QUEUED", "BUILDING")]

    def changes(self) -> list[str]:
        """The calls to Vercel that change something, in their order."""
        return [
            f"{row['method']} {row['path'].rpartition('/')[2]}"
            for row in self.world.ledger
            if row["provider"] == "vercel" and row["method"] != "GET"
        ]


@pytest.fixture
async def bypass(redis_url: str) -> AsyncIterator[Bypass]:
    """A workspace without any way to people but Slack: the only calls with an effect are those to Vercel."""
    async with (
        ground(redis_url, database=9, write_runbooks=runbooks) as site,
        connect(f"{redis_url}?db=9", timeout_s=5) as client,
    ):
        site.world.vercel.build_s = site.world.vercel.alias_s = 0.0
        site.environment = {
            name: value for name, value in site.environment.items() if not name.startswith(("PAGERDUTY_", "TWILIO_", "SMTP_"))
        }
        clock = RedisClock()
        store = RedisStore(client, workspace_id=TEAM_ID, owner="people", clock=clock, time_travel=True)
        await store.claim(most=0, lease_ms=1)
        loaded = load_catalog(
            Path(site.environment["MUSTER_RUNBOOKS"]),
            actions=load_actions(),
            overrides={"CLERK_APP_URL": f"{site.sandbox.url}/app"},
        )
        assert loaded.catalog, [str(fault) for fault in loaded.faults]
        yield Bypass(site, Desk(store=store, clock=clock, catalog=loaded.catalog), store)


async def test_on_proven_and_off_by_itself(bypass: Bypass) -> None:
    """Nobody dies: on after the approval, off after its time, each with one deployment."""
    await bypass.declare()
    await bypass.ask()
    assert bypass.changes() == []
    await bypass.approve()
    run = await bypass.finished()
    assert run.outcome is not None
    assert run.outcome.state is State.OK, run.outcome
    assert bypass.world.application.is_bypassed
    await bypass.is_off_by_itself()
    assert [call.split()[0] for call in bypass.changes()] == ["POST", "POST", "DELETE", "POST"]


ON_POINTS = (
    "claimed.run:1",
    "effect.asked:1",
    "effect.answered:1",
    "effect.asked:2",
    "effect.answered:2",
    "performed.run:1",
    "settled.run:1",
)
OFF_POINTS = ("effect.asked:3", "effect.answered:3", "effect.asked:4", "effect.answered:4")


@pytest.mark.parametrize("away_s", [LEASE_S, MINUTES * 60])
async def test_killed_right_after_it_was_confirmed(bypass: Bypass, away_s: float) -> None:
    """The run is written and nothing of it was begun: soon after, it is turned on; and off it is after its time, whatever came
    first."""
    await bypass.declare()
    await bypass.ask()
    await bypass.replica.kill()
    await bypass.approve()
    await bypass.site.sandbox.clock.advance(away_s)
    await bypass.comes_back()
    run = await bypass.finished()
    assert run.outcome is not None
    assert run.outcome.state is State.OK or away_s > LEASE_S
    await bypass.is_off_by_itself()


@pytest.mark.parametrize("point", ON_POINTS)
async def test_killed_while_it_is_turned_on(bypass: Bypass, point: str) -> None:
    """The next process goes on: it is on, deployed once, and off after its time."""
    await bypass.declare(crash_at=point)
    await bypass.ask()
    await bypass.approve()
    await bypass.dies()
    await bypass.comes_back()
    run = await bypass.finished()
    assert run.outcome is not None
    assert run.outcome.state is State.OK, run.outcome
    assert bypass.world.application.is_bypassed
    assert len(bypass.world.vercel.made()) == 1
    await bypass.is_off_by_itself()


@pytest.mark.parametrize("point", ON_POINTS[:-1])
async def test_killed_and_away_until_its_time_is_over(bypass: Bypass, point: str) -> None:
    """Whoever comes back only then finds both due, turning on and turning off: in the end it is off, and stays so."""
    await bypass.declare(crash_at=point)
    await bypass.ask()
    await bypass.approve()
    await bypass.dies()
    await bypass.site.sandbox.clock.advance(MINUTES * 60)
    await bypass.comes_back()
    await bypass.finished()
    await bypass.is_off_by_itself()
    assert not bypass.world.application.is_bypassed
    assert [one for one in bypass.world.vercel.variables if one["key"] == KEY] == []


@pytest.mark.parametrize("point", OFF_POINTS)
async def test_killed_while_it_is_turned_off(bypass: Bypass, point: str) -> None:
    """The next process finishes it."""
    await bypass.declare(crash_at=point)
    await bypass.ask()
    await bypass.approve()
    await bypass.finished()
    await bypass.site.sandbox.clock.advance(MINUTES * 60)
    await bypass.dies()
    await bypass.comes_back()
    await bypass.is_off_by_itself()


async def test_killed_in_the_middle_of_the_build(bypass: Bypass) -> None:
    """From outside, while it waits for Vercel: the build is found again, not begun again."""
    bypass.world.vercel.build_s = 8.0
    await bypass.declare()
    await bypass.ask()
    await bypass.approve()
    await bypass.site.until(bypass.world.vercel.made, "the build", timeout_s=PATIENCE_S)
    await bypass.replica.kill()
    await bypass.comes_back()
    assert (await bypass.finished()).outcome is not None
    assert len(bypass.world.vercel.made()) == 1
    bypass.world.vercel.build_s = 0.0
    await bypass.is_off_by_itself()


async def test_killed_after_it_was_on(bypass: Bypass) -> None:
    """Nobody is there when its time comes: whoever comes next turns it off."""
    await bypass.declare()
    await bypass.ask()
    await bypass.approve()
    await bypass.finished()
    await bypass.replica.kill()
    assert bypass.world.application.is_bypassed
    await bypass.site.sandbox.clock.advance(MINUTES * 60)
    await bypass.comes_back()
    await bypass.is_off_by_itself()


async def test_off_at_once_by_hand(bypass: Bypass) -> None:
    """Somebody does not want to wait for its time."""
    await bypass.declare()
    await bypass.ask()
    await bypass.approve()
    await bypass.finished()
    await bypass.say(RevertNow(run_id="r1"), ASKED_BY)
    await bypass.until(lambda incident: incident.runs["r1"].reverted_at, "the end of the bypass")
    assert not bypass.world.application.is_bypassed


async def test_what_cannot_be_turned_off_calls_people(bypass: Bypass) -> None:
    """Vercel is away when its time comes: it is tried again, people are paged after three attempts, and it ends well."""
    await bypass.declare()
    await bypass.ask()
    await bypass.approve()
    await bypass.finished()
    bypass.world.vercel.api.turn("error")
    await bypass.site.sandbox.clock.advance(MINUTES * 60)
    for failures in (1, 2, 3):
        await bypass.until(lambda incident, least=failures: incident.runs["r1"].revert_failures >= least, f"failure {failures}")
        await bypass.site.sandbox.clock.advance(31)
    incident = await bypass.until(lambda incident: "revert-r1" in incident.times_raised, "the alarm")
    assert incident.runs["r1"].reverted_at is None
    assert bypass.world.application.is_bypassed
    bypass.world.vercel.api.turn("ok")
    await bypass.is_off_by_itself()
