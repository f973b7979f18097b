"""The crash matrix: the story, with the bot killed or stopped at each named point, and what that cost.

Killed: it is started again at once, as a platform does. Stopped: a second replica takes over, and the first wakes up when
its leases have long run out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from bot.services.crashpoints import POINTS
from tests.chaos.ground import Ground, Replica, ground
from tests.chaos.story import EXPECTED, Story

How = Literal["kill", "stop"]
ASLEEP_S = 3.0
"""Longer than a lease."""
QUIET_S = 0.6
POINTS_OF_THE_STORY = tuple(point for point in POINTS if not point.endswith(".revert"))
"""In the story nothing takes itself back; `tests.chaos.actions` passes the others."""
FIRST_IN_THE_STORY = {"commit.asked": 4, "commit.answered": 4}
"""The audit that every start makes has passed them before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What became of one story. ``lost`` and ``doubled`` count effects; ``repeats`` are explained by the crash."""

    point: str
    number: int
    how: How
    reached: bool
    lost: Counter[str] = field(default_factory=Counter)
    doubled: Counter[str] = field(default_factory=Counter)
    repeats: tuple[str, ...] = ()
    fault: str = ""

    @property
    def good(self) -> bool:
        """Nothing lost, nothing done twice, nothing crashed."""
        return self.reached and not (self.lost or self.doubled or self.fault)

    def line(self) -> str:
        """For the table."""
        wrong = [f"lost {name}" for name in sorted(self.lost)] + [f"twice {name}" for name in sorted(self.doubled)]
        wrong += [self.fault] if self.fault else []
        wrong += [] if self.reached else ["never got there"]
        words = [f"asked again: {repeat}" for repeat in self.repeats]
        counts = f"{self.lost.total():>5}{self.doubled.total():>7}{len(self.repeats):>9}"
        return f"  {self.point + ':' + str(self.number):<34}{self.how:<6}{counts}  {'; '.join(wrong + words)}".rstrip()


HEAD = f"  {'point : pass':<34}{'':<6}{'lost':>5}{'twice':>7}{'repeats':>9}"


async def try_point(redis_url: str, point: str, how: How, *, number: int | None = None, database: int = 1) -> Cell:
    """Live the story with the bot dying, or stopping, at the ``number``-th pass of ``point``; None: the first in the story."""
    number = number or FIRST_IN_THE_STORY.get(point, 1)
    async with ground(redis_url, database=database) as site:
        story = Story(site.sandbox, site.world, site.store)
        first = site.replica()
        try:
            await first.start(crash_at=f"{point}:{number}" + (":stop" if how == "stop" else ""))
        except (AssertionError, TimeoutError):
            if not first.is_at_its_point:  # some points are passed before it is ready
                raise
        site.sandbox.bot_url = first.url
        rescue = _Rescue(site, first, how)
        running = asyncio.create_task(rescue.run(), name="rescue")
        fault = ""
        try:
            await story.live()
            if rescue.reached:
                await running
            await asyncio.sleep(QUIET_S)
        except TimeoutError as error:
            fault = f"never came: {error}; {_traces(site)}"
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        if fault:
            return Cell(point=point, number=number, how=how, reached=rescue.reached, fault=fault)
        effects = await story.effects()
        cries = [str(line.get("exception", line))[-300:] for replica in site.replicas for line in replica.cries()]
        return Cell(
            point=point,
            number=number,
            how=how,
            reached=rescue.reached,
            lost=EXPECTED - effects,
            doubled=effects - EXPECTED,
            repeats=tuple(story.repeats()),
            fault="; ".join(cries),
        )


def _traces(site: Ground) -> str:
    """What was said last, for whoever has to find out."""
    calls = [f"{call.method} {call.error or call.note or 'ok'}" for call in site.sandbox.calls[-6:]]
    warnings = [line for replica in site.replicas for line in replica.warnings()[-4:]]
    return f"last calls: {', '.join(calls)}; last warnings: {warnings}"


class _Rescue:
    """Waits for the crash, then does what a platform does."""

    def __init__(self, site: Ground, first: Replica, how: How) -> None:
        self._site = site
        self._first = first
        self._how = how
        self.reached = False

    async def run(self) -> None:
        """Until the bot is whole again."""
        if self._how == "kill":
            await self._first.until_dead()
            self.reached = True
            await self._first.start()
            return
        await self._first.until_stopped()
        self.reached = True
        second = self._site.replica()
        await second.start()
        self._site.sandbox.bot_url = second.url
        await asyncio.sleep(ASLEEP_S)
        self._first.go_on()


async def try_all(redis_url: str, wanted: Iterable[tuple[str, How]], *, at_once: int = 2, first_database: int = 1) -> list[Cell]:
    """Each of ``wanted``, so many at once, printed as they end; each has a database of its own.

    A process may be stopped in the very moment in which a message leaves it: nobody can take that back, and Slack then gets
    it twice. Such a cell is tried once more, and only what is done twice again counts; the table says so.
    """
    databases: asyncio.Queue[int] = asyncio.Queue()
    for database in range(first_database, first_database + at_once):
        databases.put_nowait(database)

    async def one(point: str, how: How) -> Cell:
        database = await databases.get()
        try:
            cell = await try_point(redis_url, point, how, database=database)
            if how == "stop" and cell.doubled and not cell.lost and not cell.fault:
                again = await try_point(redis_url, point, how, database=database)
                cell = replace(again, repeats=(*again.repeats, f"in flight when it was stopped: {', '.join(cell.doubled)}"))
            print(cell.line(), flush=True)
            return cell
        finally:
            databases.put_nowait(database)

    return await asyncio.gather(*(one(point, how) for point, how in wanted))


def everything() -> list[tuple[str, How]]:
    """Every point of the story, killed and stopped."""
    ways: tuple[How, ...] = ("kill", "stop")
    return [(point, how) for point in POINTS_OF_THE_STORY for how in ways]
