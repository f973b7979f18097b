"""Pages and what becomes of them: one way after the other until one is accepted, by ways that live in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, ChangeSeverity, ChangeStatus, CheckIn, Command, Escalate
from bot.domain.errors import MusterError, PermanentError, TemporaryError, UnknownOutcome
from bot.domain.escalation import Condition, Contact, Level, Rotation, Trigger, Way
from bot.domain.facts import PageFailed, PageSent, Status
from bot.domain.incident import Incident
from bot.domain.plan import Alarm
from bot.domain.severity import Severity
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import MUSTER
from bot.domain.timers import NEXT_ROUND_S
from bot.services.paging import (
    FOLLOW_EVERY_S,
    FOLLOW_MOST_S,
    FOLLOW_OFTEN_S,
    FOLLOW_SELDOM_S,
    MOST_TRIES,
    MOST_WAIT_S,
    FollowPerformer,
    PagePerformer,
    who_acknowledged,
)
from bot.services.ports import Accepted, Followed, Summons, Task
from bot.services.worker import Performed
from tests.domain.story import A_RUNBOOK, HOLDER, Story, made

PHONE = "+15550100"
EVERYWHERE = Contact(id="all", name="All", slack="@all", phone=PHONE, email="all@example.com", pagerduty=True)
NOT_NOW = TemporaryError("not now")
REFUSED = PermanentError("the number is refused")


class MemoryWay:
    """A way whose answers the test gives, one for each call; then it accepts everything."""

    def __init__(self, way: Way, *answers: Accepted | MusterError | Exception, follows: bool = False) -> None:
        self.way = way
        self.follows = follows
        self.answers = [*answers]
        self.fates: list[Followed | MusterError] = []
        self.sent: list[Summons] = []
        self.followed: list[tuple[str, str]] = []
        self.lacks = ""

    def missing(self, contact: Contact) -> str:
        """What the test says."""
        return self.lacks

    async def send(self, summons: Summons) -> Accepted:
        """The next answer."""
        self.sent.append(summons)
        answer = self.answers.pop(0) if self.answers else Accepted(reference=f"{self.way.value}-{len(self.sent)}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def follow(self, reference: str, summons: Summons, *, wanted: Literal["open", "acknowledged", "over"]) -> Followed:
        """The next fate; nothing is known, when there is none."""
        self.followed.append((reference, wanted))
        fate = self.fates.pop(0) if self.fates else Followed(state="pending")
        if isinstance(fate, Exception):
            raise fate
        return fate


class Roster:
    """Who is on duty and who is who, as the test says."""

    def __init__(self) -> None:
        self.on_duty: Contact | MusterError = PermanentError("nobody is on duty in Primary now")
        self.users: dict[str, str] = {}
        self.broken = False

    async def find(self, rotation_id: str, incident: Incident) -> Contact:
        """Whoever the test put there."""
        if isinstance(self.on_duty, MusterError):
            raise self.on_duty
        return self.on_duty

    async def slack_id(self, contact: Contact) -> str | None:
        """By what stands in ``slack``."""
        if self.broken:
            raise TemporaryError("Slack is away")
        return self.users.get(contact.slack or "")


class StoryDesk:
    """A desk whose incident lives in memory."""

    def __init__(self, story: Story) -> None:
        self.story = story

    async def handle(self, incident_id: str, command: Command, *, by: str) -> None:
        """Decides and keeps."""
        self.story.do(command, by=by)


class Stage:
    """An incident in memory, its ways and the two performers. ``work`` does whatever task of a page is due next."""

    def __init__(self, catalog: Catalog, *ways: MemoryWay, contact: Contact = EVERYWHERE, **fields: Any) -> None:
        self.ways = {way.way: way for way in ways}
        self.duty = Roster()
        level = Level(after_s=0, notify=(contact.id,), via=fields.pop("via", ()))
        levels = [level, Level(after_s=900, notify=("second",))]
        rotations = fields.pop("rotations", {})
        files = made(catalog, contacts=[contact], **{"levels": levels} | fields)
        self.story = Story(replace(files, rotations=rotations))
        self.story.open(A_RUNBOOK)
        self.tries: dict[str, int] = {}
        self.pages = PagePerformer(
            ways=self.ways,
            duty=self.duty,
            clock=self,
            answer_url=lambda incident, key, contact_id: f"https://muster.example/{key}/{contact_id}",
            room_url=lambda incident: None,
        )
        self.follows = FollowPerformer(ways=self.ways, desk=StoryDesk(self.story), duty=self.duty, clock=self)  # type: ignore[arg-type]

    def now(self) -> datetime:
        """The story's time."""
        return self.story.now

    def ring(self) -> None:
        """The clock of the incident rings until nothing more is due now; no page is sent."""
        booked = {identity: task for identity, task in self.story.tasks.items() if task.kind is TaskKind.PAGE}
        for identity in booked:
            self.story.tasks.pop(identity)
        try:
            self.story.tick(until_s=-1)
        finally:
            self.story.tasks.update(booked)

    def next(self, kind: TaskKind = TaskKind.PAGE) -> TaskRequest:
        """The first task of a kind."""
        return min((task for task in self.story.tasks.values() if task.kind is kind), key=lambda task: (task.due_at, task.id))

    def claim(self, request: TaskRequest, *, attempt: int = 1) -> Task:
        """As a worker holds it."""
        data = {"id": request.id, "kind": request.kind, "incident_id": request.incident_id, "due_at": request.due_at}
        return Task(**data, data=dict(request.data), token="t", attempt=attempt, asked="1")

    async def attempt(self, *, attempt: int = 1, kind: TaskKind = TaskKind.PAGE) -> Performed:
        """The next task of a kind is performed and settled; what it raises, the worker would try again."""
        request = self.next(kind)
        self.story.now = max(self.story.now, request.due_at)
        performer = self.pages if kind is TaskKind.PAGE else self.follows
        performed = await performer(self.claim(request, attempt=attempt), self.story.incident)
        if performed.command:
            settling = request.id if request.id in self.story.tasks else None
            self.story.do(performed.command, by=MUSTER, settling=settling)
        return performed

    async def page(self, *, most: int = 20) -> None:
        """Every page that is due within ten seconds is sent, with as many tries as a worker makes."""
        end = self.story.now + timedelta(seconds=10)
        for _ in range(most):
            due = [task for task in self.story.tasks.values() if task.kind is TaskKind.PAGE and task.due_at <= end]
            if not due:
                return
            for attempt in range(1, MOST_TRIES + 1):
                try:
                    await self.attempt(attempt=attempt)
                    break
                except (TemporaryError, UnknownOutcome):
                    continue
            else:
                return
        raise AssertionError("it is paged in circles")

    def happened(self) -> list[str]:
        """Each attempt in a word: the way, and whether it failed."""
        facts = [entry.fact for entry in self.story.entries if isinstance(entry.fact, PageSent | PageFailed)]
        return [f"{fact.via or 'none'} {'sent' if isinstance(fact, PageSent) else 'failed'}" for fact in facts]


def started(catalog: Catalog, *ways: MemoryWay, **fields: Any) -> Stage:
    """The first level was raised, and its page is due."""
    stage = Stage(catalog, *ways, **fields)
    stage.story.do(ChangeStatus(status=Status.INVESTIGATING))
    clock = stage.story.tasks["inc-1:clock"]
    assert clock.due_at == stage.story.now
    _ring(stage.story)
    return stage


def _ring(story: Story, *, at_s: float | None = None) -> None:
    """The clock rings now, or later; no page is sent."""
    from bot.domain.commands import ReachDue  # noqa: PLC0415

    clock = story.tasks["inc-1:clock"]
    story.now = story.moment(at_s) if at_s is not None else max(story.now, clock.due_at)
    story.do(ReachDue(due_at=clock.due_at), by=MUSTER, settling=clock.id)


def ways(*names: Way) -> Iterable[MemoryWay]:
    """A way for each, that accepts everything."""
    return (MemoryWay(name) for name in names or tuple(Way))
