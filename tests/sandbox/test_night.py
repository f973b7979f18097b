"""The night: the clock moves minute by minute, and stands still when it is stopped or a phone rings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.sandbox.clock import SandboxClock
from bot.sandbox.feed import Feed
from bot.sandbox.night import LENGTH_S, Night
from bot.sandbox.server import Sandbox


class Bedroom:
    """A night without anything around it. ``rings`` says which phones ring; ``moves`` is how the clock was moved."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.clock = SandboxClock(self.feed)
        self.clock.on_clock_change = self._moved
        self.rings: set[str] = set()
        self.ring_at_s: float | None = None
        self.moves: list[float] = []
        self.night = Night(self.clock, self.feed, lambda: self.rings, pace_s=0)

    async def stands_still(self) -> None:
        """Wait for the end of it."""
        await self.feed.wait_for(lambda: not self.night.is_running, 15)

    async def _moved(self, offset_s: float) -> None:
        self.moves.append(offset_s)
        if offset_s == self.ring_at_s:
            self.rings.add("CA1")


@pytest.fixture
async def bedroom() -> AsyncIterator[Bedroom]:
    """Stopped at the end."""
    made = Bedroom()
    yield made
    await made.night.stop()


async def test_a_night_is_eight_hours_in_minutes(bedroom: Bedroom) -> None:
    """480 steps of 60 s, no more; then another one can begin."""
    bedroom.night.play()
    await bedroom.stands_still()
    assert bedroom.moves == [60.0 * step for step in range(1, 481)]
    assert bedroom.night.state() == {"running": False, "left_s": 0.0, "ended": "over"}
    bedroom.night.play()
    assert bedroom.night.left_s == LENGTH_S


async def test_a_phone_that_rings_ends_it(bedroom: Bedroom) -> None:
    """Right after the minute in which it began; going on takes the rest of the night."""
    bedroom.ring_at_s = 15 * 60.0
    bedroom.night.play()
    await bedroom.stands_still()
    assert (bedroom.night.ended, bedroom.clock.offset_s) == ("rang", 900.0)
    bedroom.night.play()
    await bedroom.stands_still()
    assert (bedroom.night.ended, bedroom.clock.offset_s) == ("over", LENGTH_S)


async def test_the_phone_may_ring(bedroom: Bedroom) -> None:
    """When it was not asked to stop, it does not."""
    bedroom.ring_at_s = 60.0
    bedroom.night.play(stop_when_ringing=False)
    await bedroom.stands_still()
    assert (bedroom.night.ended, len(bedroom.moves)) == ("over", 480)


async def test_it_is_stopped_where_it_is(bedroom: Bedroom) -> None:
    """No further minute passes after the stop; both buttons may be pressed twice."""
    bedroom.night.pace_s = 0.001
    bedroom.night.play()
    bedroom.night.play()
    await bedroom.feed.wait_for(lambda: len(bedroom.moves) > 3, 5)
    await bedroom.night.stop()
    await bedroom.night.stop()
    stood_at_s = bedroom.clock.offset_s
    await asyncio.sleep(0.02)
    assert bedroom.clock.offset_s == stood_at_s == LENGTH_S - bedroom.night.left_s
    assert bedroom.night.ended == "paused"


async def test_the_page_plays_it(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    """By the control API, whose state has it; a word that is not understood changes nothing."""
    sandbox.night.pace_s = 0.02
    async with browser.post("/sandbox/night", json={"act": "sleep"}) as response:
        assert response.status == 400
    assert sandbox.clock.offset_s == 0
    async with browser.post("/sandbox/night", json={"act": "play"}) as response:
        assert (await response.json())["night"]["running"] is True
    await sandbox.wait_for(lambda: sandbox.clock.offset_s > 120)
    async with browser.post("/sandbox/night", json={"act": "stop"}) as response:
        assert (await response.json())["night"]["ended"] == "paused"
    async with browser.get("/sandbox/state") as response:
        state = await response.json()
    assert state["night"]["left_s"] == LENGTH_S - sandbox.clock.offset_s
    assert state["paging"] is None  # this sandbox is Slack alone


async def test_a_sandbox_that_stops_ends_its_night(sandbox: Sandbox) -> None:
    """Nothing moves the clock afterwards."""
    sandbox.night.play()
    await sandbox.stop()
    assert not sandbox.night.is_running
