"""What a long run keeps so that any replica can go on with it: notes, and a queue of what is still to do.

``bot.storage.jobs`` keeps it in Redis. ``MemoryJob`` is for runs that nobody goes on with: previews, and tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from pydantic import JsonValue


class Job(Protocol):
    """One run's. Items are short strings (ids); how one ended is a word, and behind a colon what people should read
    ("failed: Clerk refused it"). Each method is one write, all of it or nothing; all are safe to repeat.

    Raises: TemporaryError when Redis cannot be reached, UnknownOutcome when a write was not answered.
    """

    async def notes(self) -> dict[str, JsonValue]:
        """What was saved; {} at the first attempt."""
        ...

    async def save(self, notes: Mapping[str, JsonValue]) -> None:
        """Remember these notes beside those there are."""
        ...

    async def add(self, items: Iterable[str], notes: Mapping[str, JsonValue]) -> None:
        """Put what was never added before at the end of the queue, and remember the notes (a cursor), in one write."""
        ...

    async def next(self, most: int) -> tuple[str, ...]:
        """The first of the queue. They stay in it until they are ended."""
        ...

    async def end(self, ends: Mapping[str, str]) -> None:
        """These are done: out of the queue, and counted."""
        ...

    async def left(self) -> int:
        """How many are in the queue."""
        ...

    async def ended(self) -> dict[str, str]:
        """How each item ended."""
        ...


class MemoryJob:
    """A ``Job`` that is gone with the process."""

    def __init__(self) -> None:
        self._notes: dict[str, JsonValue] = {}
        self._queue: dict[str, None] = {}
        self._ended: dict[str, str] = {}

    async def notes(self) -> dict[str, JsonValue]:
        """See ``Job``."""
        return dict(self._notes)

    async def save(self, notes: Mapping[str, JsonValue]) -> None:
        """See ``Job``."""
        self._notes.update(notes)

    async def add(self, items: Iterable[str], notes: Mapping[str, JsonValue]) -> None:
        """See ``Job``."""
        self._queue.update(dict.fromkeys(item for item in items if item not in self._ended))
        self._notes.update(notes)

    async def next(self, most: int) -> tuple[str, ...]:
        """See ``Job``."""
        return tuple(self._queue)[:most]

    async def end(self, ends: Mapping[str, str]) -> None:
        """See ``Job``."""
        for item, how in ends.items():
            self._queue.pop(item, None)
            self._ended[item] = how

    async def left(self) -> int:
        """See ``Job``."""
        return len(self._queue)

    async def ended(self) -> dict[str, str]:
        """See ``Job``."""
        return dict(self._ended)


def way_of(end: str) -> str:
    """In which way an item ended: the word before the colon."""
    return end.partition(":")[0]


def tally(ended: Mapping[str, str]) -> Counter[str]:
    """How many items ended in each way."""
    return Counter(map(way_of, ended.values()))
