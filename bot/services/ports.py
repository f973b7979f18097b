"""What the services need from the edges: Protocols, and the values that cross them.

The storage, Slack and the actions implement these; ``bot.app`` binds them. No edge is imported here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from bot.domain.outcome import Risk
from bot.domain.room import RoomRecord
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import Entry


@dataclass(slots=True)
class Lease:
    """How long a task is certainly still ours. ``ends_at`` is by this machine's monotonic clock, which runs on while the process
    is stopped; the store moves it at each renewal."""

    ends_at: float = math.inf

    @property
    def is_over(self) -> bool:
        """Somebody else may have the task by now: nothing may be begun for it any more."""
        return time.monotonic() >= self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task that this process holds by a lease. ``attempt`` is 1-based; ``token`` is the fence of this claim."""

    id: str
    kind: TaskKind
    incident_id: str
    due_at: datetime
    data: dict[str, Any]
    token: str
    attempt: int
    asked: str
    lease: Lease = field(default_factory=Lease, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The end of a task, written together with what follows from it. ``again_at``: it is due once more then."""

    task: Task
    state: Literal["done", "failed"] = "done"
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """All that one decision writes. ``delivery`` makes it happen once; ``nonce`` lets its own repetition through."""

    incident_id: str
    expected_version: int
    nonce: str
    entries: Sequence[Entry] = ()
    tasks: Sequence[TaskRequest] = ()
    cancel: Sequence[str] = ()
    claims: Sequence[str] = ()
    releases: Sequence[str] = ()
    number: int | None = None
    """Of an incident that is opened: no later reservation gives it out again."""
    channel_id: str | None = None
    active: bool | None = None
    delivery: str | None = None
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """``ok``: written. ``duplicate`` and ``taken``: ``incident_id`` says by whom. ``conflict``: decide again. ``fenced``: the
    task belongs to somebody else now."""

    status: Literal["ok", "duplicate", "fenced", "conflict", "taken"]
    version: int = 0
    incident_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """``new``: the number is yours. ``duplicate`` and ``taken``: ``incident_id`` has it."""

    status: Literal["new", "duplicate", "taken"]
    number: int = 0
    incident_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """Tasks that are held now. ``next_due_at``: when the next one will be due, None when there is none."""

    tasks: tuple[Task, ...]
    next_due_at: datetime | None
    orphans: tuple[str, ...] = field(default=())
    """Due ids that this version cannot perform: without a payload (a fault of the store) or of a newer format."""


class Clock(Protocol):
    """Redis's time, as well as it is known here."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...


class Store(Protocol):
    """The durable store. Raises: TemporaryError when it cannot be reached, UnknownOutcome when a write was not answered."""

    async def reserve(self, *, delivery: str | None, unique_key: str | None, alone: bool = True) -> Reservation:
        """The number of a new incident, unless the delivery was handled or the same thing is open.

        ``alone`` False writes nothing: the number is whose commit comes first, and whoever is second meets a conflict.
        """
        ...

    async def commit(self, commit: Commit) -> Committed:
        """Write all of it or nothing."""
        ...

    async def timeline(self, incident_id: str, *, after: int = 0) -> list[Entry]:
        """The entries behind the first ``after``."""
        ...

    async def version(self, incident_id: str) -> int:
        """The number of entries."""
        ...

    async def find_by_channel(self, channel_id: str) -> str | None:
        """The incident whose room this is."""
        ...

    async def active_ids(self) -> list[str]:
        """The incidents that are not over, oldest first."""
        ...

    async def was_seen(self, delivery: str) -> bool:
        """Whether a delivery was handled."""
        ...


class TaskStore(Protocol):
    """The due set. Raises like ``Store``."""

    async def claim(self, *, most: int, lease_ms: int) -> Claimed:
        """Lease what is due."""
        ...

    async def extend(self, tasks: Sequence[Task], *, lease_ms: int) -> set[str]:
        """Renew; the ids that are still held."""
        ...

    async def release(self, task: Task, *, delay_s: float) -> bool:
        """Hand back, to be tried again later."""
        ...


class RoomStore(Protocol):
    """What is recorded as done in Slack. Raises like ``Store``."""

    async def room_record(self, incident_id: str) -> RoomRecord:
        """The record; an empty one for a new incident."""
        ...

    async def save_room_record(self, incident_id: str, task: Task, record: RoomRecord) -> bool:
        """False when the room's task is not held any more: somebody else works on this room now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBucket:
    """``most`` tokens at the most, a new one every ``period_ms``; ``reserve`` of them are kept for the urgent."""

    name: str
    period_ms: float
    most: int
    reserve: int = 0


class BucketStore(Protocol):
    """Where the buckets are kept, for all replicas. Raises like ``Store``."""

    async def take(self, buckets: Sequence[TokenBucket]) -> float:
        """A token of each, or of none: the seconds to wait, 0 when they were taken."""
        ...

    async def pause(self, name: str, *, seconds: float) -> None:
        """Nobody takes of it for so long."""
        ...


class ActionInfo(Protocol):
    """What the forms and the buttons need to know of an action."""

    @property
    def name(self) -> str:
        """ "clerk.revoke_sessions"."""
        ...

    @property
    def title(self) -> str:
        """For people."""
        ...

    @property
    def risk(self) -> Risk:
        """What it may do."""
        ...

    @property
    def params(self) -> type[BaseModel]:
        """One field is one input of its form."""
        ...
