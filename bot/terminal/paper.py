"""A store that is gone with the process: where the terminal tries a run out before anything is written, and where it runs when
nothing can be recorded. It keeps one incident; the decisions that work on it are the very same.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.tasks import TaskRequest
from bot.domain.timeline import Entry
from bot.services.ports import Claimed, Clock, Commit, Committed, Reservation, Settlement, Task


class Paper:
    """``Store`` and ``TaskStore`` of one process. ``copy`` is the timeline to begin with."""

    def __init__(self, clock: Clock, *, incident_id: str = "", copy: Sequence[Entry] = ()) -> None:
        self._clock = clock
        self._entries: dict[str, list[Entry]] = {incident_id: list(copy)} if copy else {}
        self._waiting: dict[str, TaskRequest] = {}
        self._held: dict[str, Task] = {}
        self._attempts: dict[str, int] = {}

    # -- Store -----------------------------------------------------------------------------------------------------

    async def reserve(self, *, delivery: str | None, unique_key: str | None, alone: bool = True) -> Reservation:
        """See ``Store``: the number is 0, which no incident has that is recorded."""
        return Reservation(status="new", number=0)

    async def commit(self, commit: Commit) -> Committed:
        """See ``Store``."""
        entries = self._entries.setdefault(commit.incident_id, [])
        if len(entries) != commit.expected_version:
            return Committed(status="conflict", version=len(entries))
        if commit.settlement and commit.settlement.task.id not in self._held:
            return Committed(status="fenced", incident_id=commit.incident_id)
        entries.extend(commit.entries)
        for identity in commit.cancel:
            self._waiting.pop(identity, None)
            self._held.pop(identity, None)
        self._waiting.update({task.id: task for task in commit.tasks})
        if commit.settlement:
            self._settle(commit.settlement)
        return Committed(status="ok", version=len(entries), incident_id=commit.incident_id)

    def _settle(self, settlement: Settlement) -> None:
        if self._held.pop(settlement.task.id, None) and settlement.again_at is None:
            self._waiting.pop(settlement.task.id, None)

    async def timeline(self, incident_id: str, *, after: int = 0) -> list[Entry]:
        """See ``Store``."""
        return self._entries.get(incident_id, [])[after:]

    async def version(self, incident_id: str) -> int:
        """See ``Store``."""
        return len(self._entries.get(incident_id, []))

    async def find_by_channel(self, channel_id: str) -> str | None:
        """See ``Store``: there is no Slack here."""
        return None

    async def active_ids(self) -> list[str]:
        """See ``Store``."""
        return list(self._entries)

    async def lately_ids(self) -> list[str]:
        """See ``Store``."""
        return list(self._entries)

    async def was_seen(self, delivery: str) -> bool:
        """See ``Store``."""
        return False

    # -- TaskStore -------------------------------------------------------------------------------------------------

    async def claim(self, *, most: int, lease_ms: int, only: Sequence[str] = ()) -> Claimed:
        """See ``TaskStore``; nobody else is here, so a lease never ends."""
        due = [task for task in self._waiting.values() if task.id in only and task.id not in self._held]
        claimed = [self._claim(task) for task in due[:most] if task.due_at <= self._clock.now()]
        return Claimed(tasks=tuple(claimed), next_due_at=None)

    def _claim(self, task: TaskRequest) -> Task:
        attempt = self._attempts[task.id] = self._attempts.get(task.id, 0) + 1
        self._held[task.id] = Task(
            id=task.id,
            kind=task.kind,
            incident_id=task.incident_id,
            due_at=task.due_at,
            data=dict(task.data),
            token=str(attempt),
            attempt=attempt,
            asked="1",
        )
        return self._held[task.id]

    async def extend(self, tasks: Sequence[Task], *, lease_ms: int) -> set[str]:
        """See ``TaskStore``."""
        return {task.id for task in tasks if task.id in self._held}

    async def release(self, task: Task, *, delay_s: float) -> bool:
        """See ``TaskStore``."""
        return self._held.pop(task.id, None) is not None
