"""Waiting for something to happen, and the clock: by events, never by sleeping."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.domain.errors import UserError
from bot.sandbox.clock import SandboxClock
from bot.sandbox.feed import Feed
from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import TinyBot


async def test_waiting_ends_when_it_is_true(sandbox: Sandbox, bot: TinyBot) -> None:
    """The answer of the predicate comes back as soon as a change makes it true."""
    waiting = asyncio.create_task(sandbox.wait_for(lambda: sandbox.workspace.messages("support")))
    await asyncio.sleep(0)
    assert not waiting.done()
    await sandbox.workspace.say("developer", "support", "hello")
    assert [message["text"] for message in await waiting] == ["hello"]


async def test_waiting_for_what_is_true_already_does_not_wait(sandbox: Sandbox) -> None:
    """The predicate is looked at first."""
    assert await sandbox.wait_for(lambda: 42, timeout_s=0.001) == 42


async def test_waiting_in_vain_says_for_what(sandbox: Sandbox) -> None:
    """TimeoutError names it."""
    with pytest.raises(TimeoutError, match="the room"):
        await sandbox.wait_for(lambda: None, timeout_s=0.01, what="the room")


async def test_a_change_wakes_all_who_wait() -> None:
    """One ring of the bell is enough for everybody."""
    feed = Feed()
    seen: list[int] = []
    waiting = [asyncio.create_task(feed.wait_for(lambda: bool(seen), 10)) for _ in range(3)]
    await asyncio.sleep(0)
    seen.append(1)
    feed.ring()
    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_sleep_ends_when_the_clock_is_moved() -> None:
    """An hour passes at once, half an hour does not end it."""
    clock = SandboxClock(Feed())
    sleeping = asyncio.create_task(clock.sleep(3600))
    await asyncio.sleep(0)
    await clock.advance(1800)
    await asyncio.sleep(0)
    assert not sleeping.done()
    await clock.advance(1801)
    await asyncio.wait_for(sleeping, 10)


async def test_sleep_also_ends_by_itself() -> None:
    """Real time counts too."""
    started_at = time.monotonic()
    await asyncio.wait_for(SandboxClock(Feed()).sleep(0.02), 10)
    assert time.monotonic() - started_at >= 0.02


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
async def test_time_does_not_go_back(seconds: float) -> None:
    """Nor anywhere odd."""
    with pytest.raises(UserError):
        await SandboxClock(Feed()).advance(seconds)


async def test_timestamps_only_increase(sandbox: Sandbox) -> None:
    """However fast they are asked for, and across time travel."""
    stamps = [sandbox.state.next_ts() for _ in range(1000)]
    await sandbox.clock.advance(60)
    stamps.append(sandbox.state.next_ts())
    assert stamps == sorted(set(stamps), key=float)
    assert float(stamps[-1]) - float(stamps[0]) >= 60
