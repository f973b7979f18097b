"""Plays a night in about a minute: moves the sandbox's clock minute by minute until it is over, somebody stops it, or a
phone rings. Started and stopped from the page by `control`; nothing else of the sandbox knows of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Final, Literal

from bot.sandbox.clock import SandboxClock
from bot.sandbox.feed import Feed

STEP_S: Final = 60.0
PACE_S: Final = 0.125
"""Real seconds between two steps: 8 hours are 480 of them, one minute."""
LENGTH_S: Final = 8 * 3600.0

Ended = Literal["", "paused", "rang", "over"]


class Night:
    """``calls`` tells of all calls so far: a new one stops the night, also one that would have rung out within the next step."""

    def __init__(self, clock: SandboxClock, feed: Feed, calls: Callable[[], Collection[str]], *, pace_s: float = PACE_S) -> None:
        self._clock = clock
        self._feed = feed
        self._calls = calls
        self._task: asyncio.Task[None] | None = None
        self.pace_s = pace_s
        self.left_s = LENGTH_S
        self.ended: Ended = ""

    @property
    def is_running(self) -> bool:
        """Time flies now."""
        return self._task is not None and not self._task.done()

    def state(self) -> dict[str, Any]:
        """For the page: ``running``, ``left_s`` and why it stands still (``ended``)."""
        return {"running": self.is_running, "left_s": self.left_s, "ended": self.ended}

    def play(self, *, stop_when_ringing: bool = True) -> None:
        """Go on with a night that was stopped, or begin one. Safe to repeat."""
        if self.is_running:
            return
        if self.left_s <= 0:
            self.left_s = LENGTH_S
        self.ended = ""
        called_before = frozenset(self._calls())
        self._task = asyncio.create_task(self._play(called_before, stop_when_ringing=stop_when_ringing), name="night")
        self._tell()

    async def stop(self) -> None:
        """Stand still where it is. Safe to repeat."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.ended = "paused"
            self._tell()

    async def _play(self, called_before: frozenset[str], *, stop_when_ringing: bool) -> None:
        while self.left_s > 0:
            if stop_when_ringing and not called_before.issuperset(self._calls()):
                self._end("rang")
                return
            step_s = min(STEP_S, self.left_s)
            self.left_s -= step_s
            await self._clock.advance(step_s)
            self._tell()
            await asyncio.sleep(self.pace_s)
        self._end("over")

    def _end(self, ended: Ended) -> None:
        self.ended, self._task = ended, None
        self._tell()

    def _tell(self) -> None:
        self._feed.publish("night", {"night": self.state()})
