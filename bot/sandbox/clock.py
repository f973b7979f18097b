"""The sandbox's time: this machine's time plus an offset that only goes forward.

Message timestamps, trigger and response_url lifetimes, rate-limit windows and redelivery delays follow it; signatures do
not, since Slack and the bot both sign and check by the world's time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from bot.domain.errors import UserError
from bot.sandbox.feed import Feed


class SandboxClock:
    """Virtual time in epoch seconds.

    ``on_clock_change`` is awaited with the new offset in seconds after each move (the demo hands it to Redis); None when
    nobody else has to know.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.offset_s = 0.0
        self.on_clock_change: Callable[[float], Awaitable[None]] | None = None
        self._moved = asyncio.Event()

    def now(self) -> float:
        """The sandbox's time, epoch seconds."""
        return time.time() + self.offset_s

    async def advance(self, advance_s: float) -> float:
        """Move time on and return the new now. Raises UserError when asked to go back: timestamps only increase."""
        if not advance_s >= 0:
            raise UserError("The sandbox's time only goes forward: give a number of seconds that is not negative.")
        self.offset_s += advance_s
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        if self.on_clock_change is not None:
            await self.on_clock_change(self.offset_s)
        self._feed.publish("clock", {"now": self.now(), "offset_s": self.offset_s})
        return self.now()

    async def sleep(self, duration_s: float) -> None:
        """Wait until ``duration_s`` of the sandbox's time has passed; a moved clock ends it early."""
        until = self.now() + duration_s
        while (left_s := until - self.now()) > 0:
            try:
                await asyncio.wait_for(self._moved.wait(), left_s)
            except TimeoutError:
                continue
