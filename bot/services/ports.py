"""What the services need from the edges: Protocols, and the values that cross them.

The storage, Slack and the actions implement these; ``bot.app`` binds them. No edge is imported here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from bot.domain.escalation import Contact, Way
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, Preview, Risk
from bot.domain.room import RoomRecord
from bot.domain.run import Run
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import Entry

SURE_S = 0.8
"""So long after the store confirmed a task a call to a person may begin: an acknowledgement takes the task away, and whoever
cannot hear of that (Redis is away) calls nobody."""


@dataclass(slots=True)
class Lease:
    """How long a task is certainly still ours. Both moments are by this machine's monotonic clock, which goes on while
    the process is stopped; the store moves them at each renewal. ``confirmed_at``: when it was last asked, and said that
    we have it."""

    ends_at: float = math.inf
    confirmed_at: float = math.inf

    @property
    def is_over(self) -> bool:
        """Somebody else may have the task by now: nothing may be begun for it any more."""
        return time.monotonic() >= self.ends_at

    @property
    def is_sure(self) -> bool:
        """The task was ours, and wanted, less than ``SURE_S`` ago."""
        return time.monotonic() < min(self.ends_at, self.confirmed_at + SURE_S)


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

    async def lately_ids(self) -> list[str]:
        """The incidents that are not over, and those that were until some minutes ago."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Summons:
    """One page to one contact, as a way of reaching them needs it. Nothing in it is a secret of a private incident.

    ``key`` is that of incident, generation, step and contact, the same for every repetition; at most 200 characters of
    A-Z a-z 0-9 : . _ - and ``/``. ``number`` and ``severity`` are the incident's.
    """

    key: str
    contact: Contact
    kind: Literal["page", "standby", "notice", "check_in", "test"]
    """"page" wakes somebody who has to answer, "check_in" asks whether they still have it; the others want no answer."""
    number: int
    severity: str
    title: str
    """What is broken; of a private incident, that it is one."""
    why: str
    """A half-sentence: "you are on call", "nobody has acknowledged for 15 min"."""
    drill: bool
    opened_at: datetime
    room_url: str | None
    """Where the room is, for whoever reads it outside of Slack."""
    answer_url: str | None
    """Public address that takes the key pressed on a phone; None: the call can only speak."""
    look_first: bool
    """An earlier attempt may have been accepted: look before sending once more."""
    since: datetime
    """No earlier attempt is older than that."""
    lease: Lease = field(default_factory=Lease)
    incident: Incident | None = field(default=None, repr=False)
    """For Slack's own way, which draws it as it is; None for a test page."""
    alarm_key: str = ""

    @property
    def headline(self) -> str:
        """One line: what is broken, how badly, and whether it is real."""
        drill = "DRILL: " if self.drill else "TEST: " if self.kind == "test" else ""
        return f"{drill}{self.severity} incident {self.number}: {self.title}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A way took a page. ``reference`` is what the provider calls it; ``messages`` are (channel id, ts) in Slack."""

    reference: str = ""
    user_ids: tuple[str, ...] = ()
    messages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What became of a page that was accepted.

    ``pending``: nobody knows yet. ``answered``: a person took the call, or the message was delivered; nothing more will come.
    ``acknowledged``: they said there that they have it; ``by`` is their e-mail address, if the provider tells it. ``failed``:
    nobody was reached (``reason``). ``closed``: the provider was told that it is over.
    """

    state: Literal["pending", "answered", "acknowledged", "failed", "closed"]
    reason: str = ""
    by: str = ""


class PageWay(Protocol):
    """One way of reaching people. What a provider says is translated into these values and the errors of the domain here."""

    @property
    def way(self) -> Way:
        """Which one it is."""
        ...

    @property
    def follows(self) -> bool:
        """Whether there is more to find out, or to tell, after a page was accepted (``follow``)."""
        ...

    def missing(self, contact: Contact) -> str:
        """Why this way cannot reach the contact: the variable or the field to set; "" when it can."""
        ...

    async def send(self, summons: Summons) -> Accepted:
        """Send it. Raises: TemporaryError (try again), UnknownOutcome (it may have been accepted), PermanentError."""
        ...

    async def follow(self, reference: str, summons: Summons, *, wanted: Literal["open", "acknowledged", "over"]) -> Followed:
        """Look what became of it; with ``wanted`` the provider is told first what became of the incident. Safe to repeat.
        Raises like ``send``."""
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

    @property
    def undo(self) -> str:
        """The action that takes it back; "": none does."""
        ...

    @property
    def revert_after_s(self) -> Callable[[Any], int] | None:
        """How long after its confirmation it is taken back by itself, from its checked parameters; None: it is not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """For what an action is run: the incident as it is now, the run of it (None: a diagnostic), which attempt this is (1-based),
    and how to tell people and to be told. ``lease`` is that of the task: no call with an effect leaves when it is not sure."""

    incident: Incident
    run: Run | None = None
    attempt: int = 1
    lease: Lease = field(default_factory=Lease)
    progress: Callable[[str], Awaitable[None]] | None = None
    is_stopping: Callable[[], bool] = lambda: False


class ActionRunner(Protocol):
    """The actions, by name. No method may splice a parameter into anything. ``params`` are those of the run, or of the step."""

    async def execute(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Outcome:
        """Do it; whatever the provider does, the answer is an outcome. Raises: FencedError only."""
        ...

    async def preview(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Preview:
        """What it would do. Raises: MusterError when that cannot be found out."""
        ...

    async def look(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Outcome:
        """Whether its effect is there; changes nothing. Unknown where it cannot be seen."""
        ...

    def is_repeatable(self, action: str) -> bool:
        """Whether it may simply be done once more after an attempt whose end nobody saw."""
        ...

    def may_follow_a_look(self, action: str) -> bool:
        """Whether it may be done once more when a look says that its effect is not there."""
        ...

    async def has_begun(self, assignment: Assignment) -> bool:
        """Whether an earlier attempt of the run kept anything: what is bound to a state does so before its first call with an
        effect. Raises: TemporaryError, UnknownOutcome."""
        ...

    def undo_params(self, run: Run) -> dict[str, Any]:
        """The parameters of the action that takes the run back."""
        ...


class Gate(Protocol):
    """Who may do what, at this moment."""

    async def refusal(self, incident: Incident, run: Run) -> str:
        """Why a confirmed run must not begin: who asked, or confirmed, may not any more, or nobody can say; "": it may."""
        ...


class ProgressBoard(Protocol):
    """Where people see how far a run is."""

    async def show(self, incident: Incident, run: Run, line: str) -> None:
        """Show it, at most every few seconds; what cannot be shown is left out. Never raises a MusterError."""
        ...
