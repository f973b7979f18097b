"""The canary: a test page on the way that a real one takes, for ``muster canary``, which waits for what is noted here.

``CanaryPerformer`` runs in whichever replica claims the task. The page is marked as a test and belongs to no incident. Who asks,
and what the notes look like to people, is in ``bot.terminal.canary``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, Protocol

import structlog
from pydantic import BaseModel, ConfigDict

from bot.domain.catalog import Catalog
from bot.domain.errors import MusterError, PermanentError, TemporaryError, UnknownOutcome
from bot.domain.escalation import Contact, Way, resolve_policy
from bot.domain.incident import Incident
from bot.domain.reach import people_of
from bot.domain.severity import Severity
from bot.domain.timeline import to_ms
from bot.services.desk import Desk
from bot.services.ports import Accepted, Clock, PageWay, Summons, Task

LOOK_EVERY_S = 1.0
TITLE = "test of the way to you"

NoteName = Literal["queued", "claimed", "accepted", "retried", "failed", "answered", "unanswered", "unseen", "refused"]
"""``refused``: what was asked for does not exist (wrong usage). ``unseen``: this way does not tell whether somebody answered."""
LAST: frozenset[NoteName] = frozenset({"failed", "refused", "answered", "unanswered", "unseen"})
"""Nothing follows these; nor "accepted" where no answer is waited for."""


class Note(BaseModel):
    """One thing that became of a test page, at ``at_ms`` by Redis's time."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: NoteName
    at_ms: int
    detail: str = ""
    """Half a sentence for people."""


class CanaryStore(Protocol):
    """Where notes go. Raises: TemporaryError when it cannot be reached, UnknownOutcome when it did not answer."""

    async def note_canary(self, run_id: str, note: str) -> None:
        """Add one."""
        ...


class Duty(Protocol):
    """Who is on duty."""

    async def find(self, rotation_id: str, incident: Incident | None = None) -> Contact:
        """Raises: PermanentError when nobody is, TemporaryError when it cannot be found out."""
        ...


class CanaryPerformer:
    """Performs the canary task."""

    def __init__(self, *, ways: Mapping[Way, PageWay], duty: Duty, desk: Desk, clock: Clock, store: CanaryStore) -> None:
        self._ways = ways
        self._duty = duty
        self._desk = desk
        self._clock = clock
        self._store = store
        self._log = structlog.get_logger("muster.canary")

    async def __call__(self, task: Task) -> None:
        """Send it, and note what becomes of it. Raises: TemporaryError and UnknownOutcome, to be tried again in time."""
        until = datetime.fromisoformat(str(task.data["until"]))
        if self._clock.now() >= until:  # whoever asked has gone, and nobody expects a test in the middle of the night
            await self._note(task, "failed", "it came too late, nothing was sent")
            return
        await self._note(task, "claimed", "a replica has taken it")
        try:
            contact = await self._contact(str(task.data["contact_id"]))
            way = self._way(contact, str(task.data["via"]))
            summons = self._summons(task, contact)
            accepted = await way.send(summons)
        except _WrongUsageError as error:
            await self._note(task, "refused", str(error))
            return
        except PermanentError as error:
            await self._note(task, "failed", str(error))
            return
        except (TemporaryError, UnknownOutcome) as error:
            await self._note(task, "retried", str(error))
            raise
        await self._note(task, "accepted", f"{way.way.value} took it for {contact.name}")
        if task.data["wait_for_answer"]:
            await self._watch(task, way, accepted, summons, until)
        if way.way is Way.PAGERDUTY:  # nobody is to be woken by what its own escalation makes of a test
            await self._close(way, accepted, summons)

    async def _watch(self, task: Task, way: PageWay, accepted: Accepted, summons: Summons, until: datetime) -> None:
        """Until somebody answered, or nobody will."""
        if not way.follows:
            await self._note(task, "unseen", f"{way.way.value} does not tell whether somebody has seen it")
            return
        while self._clock.now() < until:
            try:
                followed = await way.follow(accepted.reference, summons, wanted="open")
            except (TemporaryError, UnknownOutcome) as error:
                self._log.warning("canary_not_followed", error=str(error))
            else:
                if followed.state in ("answered", "acknowledged"):
                    await self._note(task, "answered", f"somebody {followed.state} it")
                    return
                if followed.state != "pending":
                    await self._note(task, "unanswered", followed.reason or "it was closed at the provider")
                    return
            await asyncio.sleep(LOOK_EVERY_S)
        await self._note(task, "unanswered", "nobody answered in time")
        await self._close(way, accepted, summons)

    async def _close(self, way: PageWay, accepted: Accepted, summons: Summons) -> None:
        try:
            await way.follow(accepted.reference, summons, wanted="over")
        except MusterError as error:
            self._log.error("canary_not_closed", via=way.way.value, error=str(error))

    async def _contact(self, identity: str) -> Contact:
        catalog = self._desk.catalog
        wanted = identity or _first(catalog)
        if wanted in catalog.rotations:
            return await self._duty.find(wanted)
        people = people_of(wanted, contacts=catalog.contacts, teams=catalog.teams, rotations=catalog.rotations)
        if not people:
            raise _WrongUsageError(f"“{wanted}” is nobody in contacts.yml; known are {', '.join(catalog.contacts)}")
        return people[0]

    def _way(self, contact: Contact, via: str) -> PageWay:
        """The one that was asked for, else the first that works. Raises: PermanentError with what is missing."""
        reasons = []
        for wanted in (Way(via),) if via else contact.ways:
            way = self._ways.get(wanted)
            missing = way.missing(contact) if way else f"{wanted.value} is not set up here; muster doctor says what to set"
            if way and not missing:
                return way
            reasons.append(missing)
        reason = "; ".join(dict.fromkeys(reasons)) or "contacts.yml has no way to reach them"
        raise PermanentError(f"{contact.name} cannot be reached{f' by {via}' if via else ''}: {reason}")

    def _summons(self, task: Task, contact: Contact) -> Summons:
        return Summons(
            key=task.id.replace(":", "/"),
            contact=contact,
            kind="test",
            number=0,
            severity=Severity.SEV1.value,
            title=TITLE,
            why="somebody ran muster canary; nothing is broken",
            drill=False,
            opened_at=self._clock.now(),
            room_url=None,
            answer_url=None,
            look_first=task.attempt > 1,
            since=task.due_at - timedelta(seconds=5),
            lease=task.lease,
        )

    async def _note(self, task: Task, name: NoteName, detail: str) -> None:
        note = Note(name=name, at_ms=to_ms(self._clock.now()), detail=detail)
        await self._store.note_canary(str(task.data["run_id"]), note.model_dump_json())


class _WrongUsageError(PermanentError):
    """What was asked for does not exist."""


def _first(catalog: Catalog) -> str:
    """The first of the default ladder."""
    return resolve_policy(catalog, None).levels[0].notify[0]
