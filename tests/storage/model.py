"""What the durable store promises, in plain Python: the reference that the Lua scripts are held against (``test_model``).

Written from the contracts of ``bot.services.ports`` and ``bot.domain.tasks``, not from the scripts. Time is counted in
whole units from ``START``; a unit is so long that the milliseconds that pass while a history runs never fill one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bot.domain.room import RoomRecord
from bot.domain.tasks import TaskRequest
from bot.domain.timeline import Entry
from bot.services.ports import Commit, Committed, Reservation, Task

UNIT_S = 600
START = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)

INVARIANTS = {
    "A5": "the timeline is as long as the entries that were accepted, in their order",
    "D2": "whatever is sent again after an unknown answer has no second effect, and its sender is told that it was written",
    "E1": "a delivery has an effect once",
    "IX": "the indexes (channels, active and opened incidents, numbers) agree with what was accepted",
    "P1": "what is due is claimed, nothing before it is due, and the next due time is told",
    "P2": "an attempt is counted at each claim, so that a second one is known as such",
    "P3": "a stale token never settles, extends, releases or saves a room",
    "P4": "a cancelled task is terminal: nobody holds it, settles it or claims it",
    "P5": "no task leaves the due set but by an outcome or a cancel that the same call records; what is to do stays due",
    "P7": "tasks are claimed in the order in which they are due",
    "P8": "asking twice for one thing makes one: a task that was done is not asked for again, a unique key has one holder",
}
"""By the name under which a broken one is reported."""


class InvariantBroken(AssertionError):
    """The store did what it promises not to do. ``invariant`` is a key of ``INVARIANTS``."""

    def __init__(self, invariant: str, what: str, history: Sequence[str]) -> None:
        steps = "\n".join(f"  {number}. {step}" for number, step in enumerate(history, start=1))
        super().__init__(f"{invariant} is broken ({INVARIANTS[invariant]}): {what}\n{steps}")
        self.invariant = invariant


def moment(units: int) -> datetime:
    """The moment ``units`` after the start of a history."""
    return START + timedelta(seconds=units * UNIT_S)


def units(at: datetime) -> int:
    """The inverse of ``moment``; what is between two units counts as the earlier one."""
    return (at - START) // timedelta(seconds=UNIT_S)


class State(StrEnum):
    """Where a task is. The last three are outcomes."""

    PENDING = "pending"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass
class ModelTask:
    """One task. ``due`` is when it was asked for, ``score`` from when it may be claimed (a lease moves it); in units."""

    request: TaskRequest
    due: int
    score: int
    state: State = State.PENDING
    attempt: int = 0
    asked: int = 1
    token: str | None = None
    owner: str | None = None

    @property
    def is_to_do(self) -> bool:
        """Whether it has no outcome yet."""
        return self.state in (State.PENDING, State.CLAIMED)

    def wait(self, score: int) -> None:
        """Nobody holds it; it may be claimed from ``score`` on."""
        self.state, self.token, self.score = State.PENDING, None, score

    def end(self, state: State) -> None:
        """Its outcome. Nobody holds it any more."""
        self.state, self.token = state, None


@dataclass
class Model:
    """One workspace. Each call of the store is a method here, with the same answer."""

    now: int = 0
    tasks: dict[str, ModelTask] = field(default_factory=dict)
    timelines: defaultdict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[str, tuple[str, str]] = field(default_factory=dict)
    unique: dict[str, str] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)
    active: set[str] = field(default_factory=set)
    rooms: dict[str, RoomRecord] = field(default_factory=dict)
    number: int = 0
    ended: set[str] = field(default_factory=set)
    """The tasks that the last call gave an outcome."""

    def holds(self, task: Task) -> bool:
        """Whether ``task`` is still held by the claim that it came from."""
        known = self.tasks.get(task.id)
        return known is not None and known.token == task.token

    def advance(self, by: int) -> None:
        """Time passes."""
        self.now += by

    # -- Store -----------------------------------------------------------------------------------------------------

    def reserve(self, delivery: str | None, unique_key: str | None, *, alone: bool) -> Reservation:
        """See ``Store.reserve``."""
        if delivery in self.seen:
            return Reservation(status="duplicate", incident_id=self.seen[delivery][1])
        if unique_key in self.unique:
            return Reservation(status="taken", incident_id=self.unique[unique_key])
        number = self.number + 1
        if alone:
            self.number = number
        return Reservation(status="new", number=number)

    def commit(self, commit: Commit) -> Committed:
        """See ``Store.commit``. A refusal changes nothing."""
        refused = self._refuse(commit)
        if refused:
            return refused
        timeline = self.timelines[commit.incident_id]
        timeline.extend(commit.entries)
        self._index(commit)
        self.number = max(self.number, commit.number or 0)
        for identity in commit.cancel:
            self._cancel(identity)
        for request in commit.tasks:
            self._ask(request)
        self._settle(commit)
        if commit.delivery:
            self.seen[commit.delivery] = (commit.nonce, commit.incident_id)
        return Committed(status="ok", version=len(timeline), incident_id=commit.incident_id)

    def _refuse(self, commit: Commit) -> Committed | None:
        """Why ``commit`` is not written now, in the order in which the reasons count."""
        version = len(self.timelines[commit.incident_id])
        if commit.delivery in self.seen:
            nonce, incident_id = self.seen[commit.delivery]
            if nonce == commit.nonce:  # its own repetition: it was written, and is told so
                return Committed(status="ok", version=version, incident_id=commit.incident_id)
            return Committed(status="duplicate", incident_id=incident_id)
        if commit.settlement and not self.holds(commit.settlement.task):
            return Committed(status="fenced", incident_id=commit.settlement.task.id)
        if version != commit.expected_version:
            return Committed(status="conflict", version=version, incident_id=commit.incident_id)
        for key in commit.claims:
            if self.unique.get(key, commit.incident_id) != commit.incident_id:
                return Committed(status="taken", incident_id=self.unique[key])
        return None

    def _index(self, commit: Commit) -> None:
        for key in commit.claims:
            self.unique[key] = commit.incident_id
        for key in commit.releases:
            if self.unique.get(key) == commit.incident_id:
                del self.unique[key]
        if commit.channel_id:
            self.channels[commit.channel_id] = commit.incident_id
        if commit.active is not None:
            (self.active.add if commit.active else self.active.discard)(commit.incident_id)

    def _cancel(self, identity: str) -> None:
        """What is to do is done no more. An outcome that is recorded already stays what it is."""
        task = self.tasks.get(identity)
        if task and task.is_to_do:
            task.end(State.CANCELLED)
            self.ended.add(identity)

    def _ask(self, request: TaskRequest) -> None:
        task = self.tasks.get(request.id)
        due = units(request.due_at)
        if task is None or (request.again and not task.is_to_do):
            self.tasks[request.id] = ModelTask(request=request, due=due, score=due)
            self.ended.discard(request.id)
        elif request.again:
            task.request, task.due, task.asked = request, due, task.asked + 1
            if task.state is State.PENDING:
                task.score = due

    def _settle(self, commit: Commit) -> None:
        """The outcome of a claim, unless this very commit ended that claim by a cancel.

        What was asked for once more while it was held is due once more, whatever its holder says.
        """
        if not commit.settlement or not self.holds(commit.settlement.task):
            return
        task = self.tasks[commit.settlement.task.id]
        if str(task.asked) != commit.settlement.task.asked:
            task.wait(task.due)
            task.attempt = 0
        elif commit.settlement.again_at:
            task.due = units(commit.settlement.again_at)
            task.wait(task.due)
            task.attempt = 0
        else:
            task.end(State(commit.settlement.state))
            self.ended.add(commit.settlement.task.id)

    # -- TaskStore -------------------------------------------------------------------------------------------------

    def due(self) -> set[str]:
        """What may be claimed now: it waits, or its lease ran out."""
        return {identity for identity, task in self.tasks.items() if task.is_to_do and task.score <= self.now}

    def next_due(self) -> int | None:
        """When the earliest of all that is to do may be claimed."""
        return min((task.score for task in self.tasks.values() if task.is_to_do), default=None)

    def claim(self, identity: str, owner: str, token: str, lease: int) -> ModelTask:
        """``owner`` leases one task under a ``token`` that nobody had before."""
        task = self.tasks[identity]
        task.state, task.owner, task.token = State.CLAIMED, owner, token
        task.attempt += 1
        task.score = self.now + lease
        return task

    def extend(self, tasks: Sequence[Task], lease: int) -> set[str]:
        """See ``TaskStore.extend``."""
        held = {task.id for task in tasks if self.holds(task)}
        for identity in held:
            self.tasks[identity].score = self.now + lease
        return held

    def release(self, task: Task, delay: int) -> bool:
        """See ``TaskStore.release``."""
        if not self.holds(task):
            return False
        self.tasks[task.id].wait(self.now + delay)
        return True

    # -- RoomStore -------------------------------------------------------------------------------------------------

    def save_room_record(self, incident_id: str, task: Task, record: RoomRecord) -> bool:
        """See ``RoomStore.save_room_record``."""
        if not self.holds(task):
            return False
        self.rooms[incident_id] = record
        return True
