"""The audit: once a minute, is everything that must happen booked, and is nothing overdue?

``AuditPerformer`` does the one audit task of all replicas, which books its own next time in the write that ends it. Only an audit
that finds everything well calls the heartbeat address, so silence there means that nobody is paged any more, whatever the reason.
What is due when belongs to ``bot.domain.timers``; how the incidents channel is told, to ``bot.notices``.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict

from bot.domain.durations import format_duration
from bot.domain.errors import MusterError
from bot.domain.incident import Incident
from bot.domain.tasks import AUDIT_ID, NO_INCIDENT, TaskRequest, audit_task, room_task
from bot.domain.timers import tasks_of
from bot.services.desk import Desk
from bot.services.ports import Clock, Commit, Committed, Task

EVERY_S = 60.0
UNCALLED_S = 15.0
"""A heartbeat that could not be delivered is tried again after so long: the watch outside is about to raise the alarm."""
MOST_OVERDUE_S = 10.0
SHOWN_MOST = 5


class AuditStore(Protocol):
    """What the audit looks at. Raises: TemporaryError when it cannot be reached, UnknownOutcome when a write was not answered."""

    async def due_age_s(self) -> float:
        """How long the oldest due task has been due, in seconds."""
        ...

    async def look_for(self, task_ids: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
        """(those of the tasks that neither wait nor are being done, every due id behind which there is no task)."""
        ...

    async def commit(self, commit: Commit) -> Committed:
        """Write all of it or nothing."""
        ...

    async def audit_record(self) -> str | None:
        """What the last audit left."""
        ...

    async def save_audit_record(self, record: str) -> None:
        """Leave it for the next one."""
        ...


class AuditRecord(BaseModel):
    """What one audit leaves for the next one, and for whoever asks how old the last good one is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    well_at: AwareDatetime | None = None
    """When everything was well last."""
    since_at: AwareDatetime | None = None
    """When it was not well any more; None: it is."""
    told: tuple[str, ...] = ()
    """The kinds of trouble that the incidents channel knows of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """``kind`` is the same as long as it is the same trouble; ``text`` is one sentence for people, with what to do."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What came out, for the metrics."""

    troubles: tuple[Trouble, ...]
    booked_again: int = 0


class Tell(Protocol):
    """Says something in the incidents channel, once for each ``key``. Raises like Slack."""

    async def __call__(self, troubles: Sequence[Trouble], *, key: str, since: datetime) -> None:
        """No troubles: it is well again. ``since``: nothing under this key was said before that."""
        ...


class AuditPerformer:
    """See the module. ``heartbeat`` None: nobody outside watches. ``standing``: the tasks that must be booked whatever incidents
    there are; those of files that were reloaded elsewhere may be others, so that they are missing is no trouble."""

    def __init__(
        self,
        *,
        store: AuditStore,
        desk: Desk,
        clock: Clock,
        tell: Tell,
        heartbeat: Callable[[], Awaitable[None]] | None = None,
        standing: Callable[[], Sequence[TaskRequest]] = tuple,
        on_audit: Callable[[Audited], None] | None = None,
        most_overdue_s: float = MOST_OVERDUE_S,
    ) -> None:
        self._most_overdue_s = most_overdue_s
        self._store = store
        self._desk = desk
        self._clock = clock
        self._tell = tell
        self._heartbeat = heartbeat
        self._standing = standing
        self._on_audit = on_audit or (lambda audited: None)
        self._log = structlog.get_logger("muster.audit")

    async def __call__(self, task: Task) -> datetime:
        """Audit, and when to do it again.

        Raises: TemporaryError and UnknownOutcome when it could not be made; nothing was called then.
        """
        audited = await self.audit()
        self._on_audit(audited)
        for trouble in audited.troubles:
            self._log.error("audit_failed", kind=trouble.kind, trouble=trouble.text)
        await self._remember(audited)
        in_s = EVERY_S
        if not audited.troubles and not task.lease.is_over and not await self._beat():
            in_s = UNCALLED_S
        return self._clock.now() + timedelta(seconds=in_s)

    async def audit(self) -> Audited:
        """Look at everything; what is not booked and must be is booked again."""
        troubles: list[Trouble] = []
        age_s = await self._store.due_age_s()
        if age_s > self._most_overdue_s:
            text = (
                f"What was due has waited for {format_duration(round(age_s))}: pages come late. "
                "Look at the log of every muster serve, and whether enough of them run."
            )
            troubles.append(Trouble(kind="overdue", text=text))
        survey = await self._desk.survey(lately=True)  # what is over may still have to be taken back
        if survey.unreadable:
            text = (
                f"{_listed(survey.unreadable)} cannot be read by this version of Muster, which does nothing for "
                f"{'it' if len(survey.unreadable) == 1 else 'them'}. Bring every muster serve to the newest version."
            )
            troubles.append(Trouble(kind="unreadable", text=text))
        booked = [identity for incident in survey.incidents for identity in await self._mend(incident)]
        if booked:
            text = (
                f"{_listed(booked)} {'was' if len(booked) == 1 else 'were'} not booked any more and "
                f"{'has' if len(booked) == 1 else 'have'} been booked again. Somebody or something removed data from Redis; "
                "see who else uses it."
            )
            troubles.append(Trouble(kind="missing", text=text))
        standing = {task.id: task for task in self._standing()}
        missing, orphans = await self._store.look_for([*standing])
        if missing:
            await _book(self._store, [standing[identity] for identity in missing])
        if orphans:
            text = (
                f"{_listed(orphans)} {'is' if len(orphans) == 1 else 'are'} due, and Redis does not hold what to do. "
                "Look at the incident of that name, then take it out of the sorted set “due” (ZREM)."
            )
            troubles.append(Trouble(kind="orphans", text=text))
        return Audited(troubles=tuple(troubles), booked_again=len(booked))

    async def _mend(self, incident: Incident) -> list[str]:
        """The ids of what was missing.

        That it is missing is true of one version of the incident, and it is written for that version only: what another replica
        settles meanwhile is a conflict, and nobody is paged twice for it.
        """
        wanted = tasks_of(incident)
        missing, orphans = await self._store.look_for([*wanted])
        again: dict[str, TaskRequest] = {identity: wanted[identity] for identity in wanted if identity in missing}
        room = room_task(incident.id, self._clock.now())
        if room.id in orphans:
            again[room.id] = room
        if not again:
            return []
        if not await _book(self._store, [*again.values()], incident=incident):
            return []
        return ["a task of a private incident"] if incident.private else [*again]

    async def _remember(self, audited: Audited) -> None:
        """Write it down, and tell the incidents channel of what it does not know yet, or that it is well again."""
        now = self._clock.now()
        before = AuditRecord.model_validate_json(await self._store.audit_record() or "{}")
        if not audited.troubles:
            told = before.since_at if before.told else None
            is_known = told is None or await self._said((), key=f"well:{told.isoformat()}", since=told)
            await self._save(AuditRecord(well_at=now) if is_known else before.model_copy(update={"well_at": now}))
            return
        since = before.since_at or now
        await self._save(before.model_copy(update={"since_at": since}))
        new = [trouble.kind for trouble in audited.troubles if trouble.kind not in before.told]
        if new and await self._said(audited.troubles, key=f"{'+'.join(new)}:{since.isoformat()}", since=since):
            await self._save(before.model_copy(update={"since_at": since, "told": (*before.told, *new)}))

    async def _said(self, troubles: Sequence[Trouble], *, key: str, since: datetime) -> bool:
        try:
            await self._tell(troubles, key=key, since=since)
        except MusterError as error:  # the next audit says it; an audit must not wait for Slack
            self._log.error("audit_untold", error=str(error))
            return False
        return True

    async def _save(self, record: AuditRecord) -> None:
        await self._store.save_audit_record(record.model_dump_json())

    async def _beat(self) -> bool:
        """Whether whoever watches outside has heard of it, or nobody watches."""
        if self._heartbeat is None:
            return True
        try:
            await self._heartbeat()
        except MusterError as error:
            self._log.error("heartbeat_failed", error=str(error))
            self._on_audit(Audited(troubles=(Trouble(kind="heartbeat", text=str(error)),)))
            return False
        return True


async def book_audit(store: AuditStore, clock: Clock) -> None:
    """See that there is an audit; every replica does, at its start and then once a minute: nothing else would miss it."""
    missing, _ = await store.look_for([AUDIT_ID])
    if missing:
        await _book(store, [audit_task(clock.now())])


def last_well_at(record: str | None) -> datetime | None:
    """When an audit found everything well last, by what it left; None: never."""
    return AuditRecord.model_validate_json(record).well_at if record else None


async def _book(store: AuditStore, tasks: Sequence[TaskRequest], *, incident: Incident | None = None) -> bool:
    """Whether it was written. What Redis still holds of such a task is taken away first: it may be half of it."""
    nonce = secrets.token_hex(8)
    commit = Commit(
        incident_id=incident.id if incident else NO_INCIDENT,
        expected_version=incident.version if incident else 0,
        nonce=nonce,
        tasks=[task.model_copy(update={"again": True}) for task in tasks],
        cancel=[task.id for task in tasks],
        delivery=f"audit:{nonce}",
    )
    return (await store.commit(commit)).status == "ok"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN_MOST])
    return f"{shown} and {len(names) - SHOWN_MOST} more" if len(names) > SHOWN_MOST else shown
