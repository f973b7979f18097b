"""Each method of Slack's API that an opening uses, with each way in which Slack may fail it: the opening ends complete, once.

The methods that no opening uses are in ``tests.chaos.asides``, and are tried from here as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from bot.sandbox.faults import FaultKind
from tests.chaos.asides import ASIDES, BEFORE
from tests.chaos.ground import runbooks_with_a_run
from tests.chaos.story import Story
from tests.scenarios.conftest import Stage, staged

KINDS: tuple[FaultKind, ...] = ("429", "500", "timeout", "drop_before", "accept_then_drop")
"""``timeout`` takes as long as Muster waits for Slack: 10 seconds."""
OPENING = (
    "conversations.create",
    "chat.postMessage",
    "chat.update",
    "conversations.invite",
    "conversations.setTopic",
    "bookmarks.add",
    "conversations.open",
)
LOOKING_BACK = {
    "conversations.list": "conversations.create",
    "conversations.history": "chat.postMessage",
    "conversations.replies": "chat.postMessage",
    "bookmarks.list": "bookmarks.add",
}
"""What is asked before something is repeated, with the method whose answer must be lost first."""
STARTING = ("users.list", "bots.info")
METHODS = (*OPENING, *LOOKING_BACK, *STARTING, *ASIDES)
COSMETIC = ("conversations.setTopic", "bookmarks.add", "bots.info")
"""Without these the incident is worse off, and goes on."""

Way = Literal["429", "500", "timeout", "drop_before", "accept_then_drop", "missing_scope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What became of one opening. ``wrong`` is empty when it ended complete and single."""

    method: str
    way: Way
    met: bool
    wrong: tuple[str, ...]
    repeats: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice, every repeat explained."""
        return self.was_due and not self.wrong

    @property
    def was_due(self) -> bool:
        """The fault was met. An opening whose results are there before its card is drawn needs no ``chat.update`` to meet one."""
        return self.met or self.method == "chat.update"

    def line(self) -> str:
        """For the table."""
        words = [*self.wrong, *([] if self.was_due else ["the fault was never met"])]
        words += [f"asked again: {repeat}" for repeat in self.repeats]
        return f"  {self.method:<24}{self.way:<18}{'ok' if self.good else 'WRONG':<7}{'; '.join(words)}".rstrip()


async def try_fault(redis_url: str, method: str, way: Way, *, database: int) -> Cell:
    """Open an incident while Slack fails the first call of ``method`` so, or, without its scope, every call."""
    if method in ASIDES:
        return await _try_aside(redis_url, method, way, database=database)
    async with _stage(redis_url, database) as stage:
        faults = stage.sandbox.faults
        if method not in STARTING:
            await stage.start()
        if way == "missing_scope":
            faults.add(method, "error", error="missing_scope", times=1_000)
        else:
            faults.add(method, way, retry_after_s=1)
        if method in LOOKING_BACK:
            faults.add(LOOKING_BACK[method], "accept_then_drop", times=4 if LOOKING_BACK[method] == "chat.postMessage" else 1)
        if method in STARTING:
            await stage.start()
        story = Story(stage.sandbox, stage.world, stage.muster.store)
        wrong: list[str] = []
        without = _without(method) if way == "missing_scope" else frozenset()
        try:
            await story.open()
            await stage.wait(lambda: not [name for name in story.missing_of_the_opening() if name not in without], "all", 40)
        except TimeoutError as error:
            wrong = [f"lost {name}" for name in story.missing_of_the_opening()] or [str(error)]
        await asyncio.sleep(0.1)
        wrong += [f"twice {name}" for name in story.doubled_in_the_opening()]
        repeats = story.repeats()
        wrong += [f"not explained: {repeat}" for repeat in repeats if not _explained(repeat)]
        met = any(call.method == method and (call.note or call.error) for call in stage.sandbox.calls)
        return Cell(method=method, way=way, met=met, wrong=tuple(wrong), repeats=tuple(repeats))


async def _try_aside(redis_url: str, method: str, way: Way, *, database: int) -> Cell:
    async with _stage(redis_url, database) as stage:
        BEFORE.get(method, lambda stage: None)(stage)
        await stage.start()
        try:
            wrong = await ASIDES[method](stage, lambda: stage.sandbox.faults.add(method, way, retry_after_s=1))
        except TimeoutError as error:
            wrong = [str(error)]
        if way == "timeout":  # Slack's own silence must not make Muster late
            late = [sent.kind for sent in stage.sandbox.deliveries if not all(attempt.ok for attempt in sent.attempts)]
            wrong += [f"not acknowledged in time: {kind}" for kind in late]
        met = any(call.method == method and (call.note or call.error) for call in stage.sandbox.calls)
        return Cell(method=method, way=way, met=met, wrong=tuple(wrong), repeats=())


def _without(method: str) -> frozenset[str]:
    return frozenset({"conversations.setTopic": {"topic"}, "bookmarks.add": {"bookmark"}}.get(method, set()))


def _explained(repeat: str) -> bool:
    """All answers but the last were lost, refused, or said to wait."""
    return all(answer != "done" for answer in repeat.rpartition(": ")[2].split(", ")[:-1])


@contextlib.asynccontextmanager
async def _stage(redis_url: str, database: int) -> AsyncIterator[Stage]:
    with TemporaryDirectory(prefix="muster-") as folder:
        async with staged(f"{redis_url}?db={database}") as stage:
            stage.environment["MUSTER_RUNBOOKS"] = str(runbooks_with_a_run(Path(folder)))
            yield stage
            await stage.sandbox.courier.stop()
            await stage.stop()


async def try_all(redis_url: str, wanted: list[tuple[str, Way]], *, at_once: int = 8, first_database: int = 1) -> list[Cell]:
    """Each of ``wanted``, so many at once, in its order."""
    databases: asyncio.Queue[int] = asyncio.Queue()
    for database in range(first_database, first_database + at_once):
        databases.put_nowait(database)

    async def one(method: str, way: Way) -> Cell:
        database = await databases.get()
        try:
            cell = await try_fault(redis_url, method, way, database=database)
            print(cell.line(), flush=True)
            return cell
        finally:
            databases.put_nowait(database)

    return await asyncio.gather(*(one(method, way) for method, way in wanted))


def everything() -> list[tuple[str, Way]]:
    """Every method with every fault, and what is cosmetic without its scope."""
    ways: tuple[Way, ...] = ("429", "500", "timeout", "drop_before", "accept_then_drop")
    return [(method, way) for method in METHODS for way in ways] + [(method, "missing_scope") for method in COSMETIC]
