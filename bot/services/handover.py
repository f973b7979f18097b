"""Hand-overs: when the duty of a rotation passes from one to another, the incidents channel is told, once.

``Handovers.book`` asks for the next one of each rotation, at start-up and after a reload; ``HandoverPerformer`` announces one and
asks for its successor before its task ends. What a rotation says belongs to ``bot.domain.duty``; how it looks, ``bot.notices``.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bot.domain.duty import Cover, Handover, covered_by, next_handover
from bot.domain.errors import MusterError, PermanentError
from bot.domain.escalation import Contact, Rotation
from bot.domain.incident import Incident
from bot.domain.tasks import TaskRequest, handover_task
from bot.services.desk import Desk
from bot.services.ports import Clock, Task

_NOW = timedelta(microseconds=1)


class Covers(Protocol):
    """Where it is kept who took over for whom. Raises: TemporaryError when it cannot be reached."""

    async def covers(self) -> list[Cover]:
        """Those that are not over."""
        ...


class Duty(Protocol):
    """Who is who."""

    async def slack_id(self, contact: Contact) -> str | None:
        """The one user of Slack that the contact is; None for several, or for nobody."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """Whoever has, or had, the duty: a user of Slack where that is known."""

    name: str
    user_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverNews:
    """One hand-over as it is announced. None: nobody, or whoever PagerDuty says (``by_pagerduty``).

    ``cover``: somebody took the incoming duty over for a while. ``incidents`` are the open ones that anybody may know of."""

    rotation: str
    outgoing: Somebody | None
    incoming: Somebody | None
    by_pagerduty: bool
    cover: Cover | None
    incidents: tuple[Incident, ...]
    private_incidents: int


class Announce(Protocol):
    """Says it in the incidents channel, once for each ``key``. Raises like Slack."""

    async def __call__(self, news: HandoverNews, *, key: str, look_first: bool, since: datetime) -> None:
        """``look_first``: an earlier attempt may have said it, at ``since`` or later."""
        ...


class Handovers:
    """Books the next hand-over of each rotation of the files."""

    def __init__(self, *, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    async def book(self) -> None:
        """Ask for the next one of every rotation. Safe to repeat: one moment of one rotation is one task."""
        for task in self.standing():
            await self._ask(task)

    def standing(self) -> list[TaskRequest]:
        """The task of the next one of every rotation."""
        now = self._clock.now()
        found = (_next_task(rotation, now) for rotation in self._desk.catalog.rotations.values())
        return [task for task in found if task]

    async def book_next(self, rotation: Rotation, *, after: datetime) -> None:
        """Ask for the first one that is later than ``after``, if there will be any."""
        task = _next_task(rotation, after)
        if task:
            await self._ask(task)

    async def _ask(self, task: TaskRequest) -> None:
        await self._desk.ask_for(task, delivery=f"{task.id}:{secrets.token_hex(8)}")


class HandoverPerformer:
    """Performs the hand-over task."""

    def __init__(self, *, desk: Desk, clock: Clock, duty: Duty, covers: Covers, announce: Announce) -> None:
        self._desk = desk
        self._clock = clock
        self._duty = duty
        self._covers = covers
        self._announce = announce
        self._handovers = Handovers(desk=desk, clock=clock)
        self._log = structlog.get_logger("muster.handover")

    async def __call__(self, task: Task) -> None:
        """Announce it, unless the rotation was changed or the next hand-over has come as well; ask for the next one."""
        rotation = self._desk.catalog.rotations.get(str(task.data["rotation_id"]))
        if rotation is None:  # its hand-overs are booked again with the reload that brings it back
            return
        at = datetime.fromisoformat(str(task.data["at"]))
        found = next_handover(rotation, at - _NOW)
        if found is None or found.at != at:
            self._log.info("handover_moved", rotation=rotation.id)
            await self._handovers.book_next(rotation, after=self._clock.now())
            return
        following = next_handover(rotation, at)
        if following is None or following.at > self._clock.now():
            news = await self._news(rotation, found)
            try:
                await self._announce(news, key=task.id, look_first=task.attempt > 1, since=task.due_at)
            except PermanentError as error:  # Slack will not take it later either; the successor must not wait for that
                self._log.error("handover_untold", rotation=rotation.id, reason=str(error))
        await self._handovers.book_next(rotation, after=at)

    async def _news(self, rotation: Rotation, handover: Handover) -> HandoverNews:
        incidents = await self._desk.active()
        return HandoverNews(
            rotation=rotation.name,
            outgoing=await self._somebody(handover.outgoing),
            incoming=await self._somebody(handover.incoming),
            by_pagerduty=rotation.pagerduty is not None,
            cover=covered_by(await self._covers.covers(), rotation.id, self._clock.now()),
            incidents=_open(incidents),
            private_incidents=sum(incident.private and not incident.drill for incident in incidents),
        )

    async def _somebody(self, contact_id: str | None) -> Somebody | None:
        if contact_id is None:
            return None
        contact = self._desk.catalog.contacts.get(contact_id)
        if contact is None:
            return Somebody(name=contact_id)
        try:
            return Somebody(name=contact.name, user_id=await self._duty.slack_id(contact))
        except MusterError as error:  # the name says it as well
            self._log.warning("slack_user_unknown", contact=contact.id, error=str(error))
            return Somebody(name=contact.name)


def _next_task(rotation: Rotation, after: datetime) -> TaskRequest | None:
    following = next_handover(rotation, after)
    return handover_task(rotation.id, following.at) if following else None


def _open(incidents: Sequence[Incident]) -> tuple[Incident, ...]:
    """Those that may be named, the most severe first, then the oldest; drills are nobody's to take over."""
    shown = [incident for incident in incidents if not incident.private and not incident.drill]
    return tuple(sorted(shown, key=lambda incident: (incident.severity.value, incident.opened.at)))
