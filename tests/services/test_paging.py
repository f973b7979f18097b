"""Pages and what becomes of them: one way after the other until one is accepted, by ways that live in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, ChangeStatus, CheckIn, Command, ReachDue
from bot.domain.errors import MusterError, PermanentError, TemporaryError, UnknownEntryError, UnknownOutcome
from bot.domain.escalation import Condition, Contact, Level, Rotation, Trigger, Way
from bot.domain.facts import PageFailed, PageSent, Status
from bot.domain.incident import Incident
from bot.domain.severity import Severity
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import MUSTER
from bot.domain.timers import LONGEST_ROUND_S, NEXT_ROUND_S
from bot.services.paging import (
    FOLLOW_EVERY_S,
    FOLLOW_MOST_S,
    FOLLOW_OFTEN_S,
    FOLLOW_SELDOM_S,
    MEND_WAIT_S,
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

    async def handle(self, incident_id: str, command: Command, *, by: str, delivery: str | None = None) -> None:
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
        contacts = [contact, *fields.pop("contacts", ())]
        files = made(catalog, contacts=contacts, **{"levels": levels} | fields)
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

    def ring(self, *, at_s: float | None = None) -> None:
        """The clock of the incident rings now, or later; no page is sent."""
        clock = self.story.tasks["inc-1:clock"]
        self.story.now = self.story.moment(at_s) if at_s is not None else max(self.story.now, clock.due_at)
        self.story.do(ReachDue(due_at=clock.due_at), by=MUSTER, settling=clock.id)

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
    stage.ring()
    return stage


def every_way() -> list[MemoryWay]:
    """One of each, that accepts everything."""
    return [MemoryWay(way) for way in Way]


# -- ways, in order ------------------------------------------------------------------------------------------------


async def test_the_first_way_that_accepts_is_enough(catalog: Catalog) -> None:
    """Nothing else rings."""
    stage = started(catalog, *every_way())
    await stage.page()
    assert stage.happened() == ["slack sent"]
    assert [way for way, made_of in stage.ways.items() if made_of.sent] == [Way.SLACK]


@pytest.mark.parametrize(
    ("via", "of_the_severity", "own", "expected"),
    [
        ((), (), (), ["slack", "pagerduty", "phone", "sms", "email"]),
        ((), (), (Way.EMAIL, Way.SMS), ["email", "sms", "slack", "pagerduty", "phone"]),
        ((Way.PHONE,), (), (Way.EMAIL,), ["phone", "email", "slack", "pagerduty", "sms"]),
        ((Way.PHONE, Way.PAGERDUTY), (Way.SMS,), (Way.EMAIL,), ["sms", "phone", "pagerduty", "email", "slack"]),
    ],
)
async def test_the_ways_are_tried_in_the_order_of_severity_alarm_and_contact(
    catalog: Catalog, via: tuple[Way, ...], of_the_severity: tuple[Way, ...], own: tuple[Way, ...], expected: list[str]
) -> None:
    """Each once, then nobody is left."""
    refusing = [MemoryWay(way, REFUSED) for way in Way]
    contact = EVERYWHERE.model_copy(update={"via": own})
    stage = started(catalog, *refusing, via=via, contact=contact, severities={Severity.SEV2: {"via": of_the_severity}})
    await stage.page()
    assert stage.happened() == [f"{way} failed" for way in expected]


async def test_a_refusal_is_a_failure_and_the_next_way_an_attempt_of_its_own(catalog: Catalog) -> None:
    """So a crash goes on where it was; the room reads of it."""
    stage = started(catalog, MemoryWay(Way.PHONE, REFUSED), MemoryWay(Way.SLACK), via=(Way.PHONE, Way.SLACK))
    await stage.attempt()
    assert stage.next().id == "inc-1:g1:page:level-1:all:2"
    failed = stage.story.facts(PageFailed)[0]
    assert (failed.reason, failed.passing, failed.exhausted) == ("the number is refused", False, False)
    await stage.attempt()
    assert stage.happened() == ["phone failed", "slack sent"]


@pytest.mark.parametrize("error", [NOT_NOW, UnknownOutcome("no answer"), TemporaryError("busy", retry_after_s=MOST_WAIT_S)])
async def test_what_may_pass_is_tried_again_by_the_same_way(catalog: Catalog, error: MusterError) -> None:
    """A few times; then the next way is better."""
    stage = started(catalog, MemoryWay(Way.PHONE, *[error] * MOST_TRIES), MemoryWay(Way.SLACK), via=(Way.PHONE,))
    for attempt in range(1, MOST_TRIES):
        with pytest.raises(type(error)):
            await stage.attempt(attempt=attempt)
    assert stage.happened() == []
    await stage.attempt(attempt=MOST_TRIES)
    assert stage.happened() == ["phone failed"]
    await stage.attempt()
    assert stage.happened() == ["phone failed", "slack sent"]


async def test_a_provider_that_asks_for_patience_is_left_alone(catalog: Catalog) -> None:
    """429 for a minute: the next way is tried at once."""
    patience = TemporaryError("too many requests", retry_after_s=60)
    stage = started(catalog, MemoryWay(Way.PHONE, patience), MemoryWay(Way.SLACK), via=(Way.PHONE,))
    await stage.attempt()
    assert stage.happened() == ["phone failed"]
    assert stage.story.facts(PageFailed)[0].passing


async def test_after_an_unknown_outcome_it_looks_before_it_repeats(catalog: Catalog) -> None:
    """With the same key, and since the moment when it was due."""
    phone = MemoryWay(Way.PHONE, UnknownOutcome("the line went dead"))
    stage = started(catalog, phone, via=(Way.PHONE,))
    with pytest.raises(UnknownOutcome):
        await stage.attempt()
    await stage.attempt(attempt=2)
    first, second = phone.sent
    assert (first.look_first, second.look_first) == (False, True)
    assert first.key == second.key == "inc-1/g1/level-1/all"
    assert first.since == second.since < stage.story.now


async def test_when_every_way_has_failed_the_next_level_is_called(catalog: Catalog) -> None:
    """Loudly; and whoever could not be reached for now is tried again a little later, until it works."""
    phone, slack = MemoryWay(Way.PHONE, *[NOT_NOW] * 5), MemoryWay(Way.SLACK, *[NOT_NOW] * 5)
    stage = started(catalog, phone, slack, via=(Way.PHONE,))
    await stage.page()
    assert stage.happened() == ["phone failed", "slack failed"]
    assert stage.story.facts(PageFailed)[-1].exhausted
    assert stage.story.tasks["inc-1:clock"].due_at == stage.story.now
    assert stage.next().due_at == stage.story.now + timedelta(seconds=NEXT_ROUND_S)
    stage.ring()
    assert stage.story.raised() == [(0, "level-1"), (0, "level-2")]


async def test_in_later_rounds_the_ways_take_turns_until_one_works(catalog: Catalog) -> None:
    """And nothing more is said: hours of an outage are one failure, not a thousand."""
    phone, slack = MemoryWay(Way.PHONE, *[NOT_NOW] * 9), MemoryWay(Way.SLACK, *[NOT_NOW] * 9)
    stage = started(catalog, phone, slack, via=(Way.PHONE,))
    await stage.page()
    phone.sent.clear()
    slack.sent.clear()
    for attempt in range(1, 12):
        with pytest.raises(TemporaryError):
            await stage.attempt(attempt=attempt)
    assert (len(phone.sent), len(slack.sent)) == (6, 5)
    assert len(stage.happened()) == 2
    slack.answers.clear()
    await stage.attempt(attempt=12)
    assert stage.happened()[-1] == "slack sent"


async def test_what_was_refused_for_good_is_not_tried_in_a_later_round(catalog: Catalog) -> None:
    """A number that is none does not become one."""
    phone, slack = MemoryWay(Way.PHONE, REFUSED), MemoryWay(Way.SLACK, *[NOT_NOW] * MOST_TRIES)
    stage = started(catalog, phone, slack, via=(Way.PHONE,))
    await stage.page()
    await stage.attempt()
    assert stage.happened() == ["phone failed", "slack failed", "slack sent"]
    assert len(phone.sent) == 1


async def test_ways_that_are_not_set_up_are_named(catalog: Catalog) -> None:
    """Nothing is sent, and nobody waits for it: the next level is due."""
    slack = MemoryWay(Way.SLACK)
    slack.lacks = "SLACK_BOT_TOKEN is not set"
    contact = Contact(id="all", name="All", slack="@all", email="all@example.com")
    stage = started(catalog, slack, contact=contact)
    await stage.page()
    failed = stage.story.facts(PageFailed)[0]
    assert failed.reason == "slack: SLACK_BOT_TOKEN is not set; email: email is not set up here"
    assert failed.exhausted
    assert not failed.passing
    assert slack.sent == []


async def test_somebody_without_any_way_is_a_failure_that_says_what_to_set(catalog: Catalog) -> None:
    """The sentence stands in the room."""
    stage = started(catalog, *every_way(), contact=Contact(id="all", name="All"))
    await stage.page()
    assert stage.story.facts(PageFailed)[0].reason == "set slack, phone, email or pagerduty of “all” in runbooks/contacts.yml"


@pytest.mark.parametrize("said", ["standby", "notify"])
async def test_what_wants_no_answer_rings_no_phone(catalog: Catalog, said: str) -> None:
    """Neither call, text message nor PagerDuty, also where Slack fails."""
    told = EVERYWHERE.model_copy(update={"id": "told", "via": (Way.PHONE,)})
    refusing = [MemoryWay(way, *[REFUSED] * 9) for way in Way]
    severities = {Severity.SEV2: {said: ("told",), "via": (Way.PHONE,)}}
    stage = started(catalog, *refusing, contact=person_of_nobody(), contacts=[told], severities=severities)
    await stage.page()
    assert {way for way, made_of in stage.ways.items() if any(one.contact.id == "told" for one in made_of.sent)} == {
        Way.SLACK,
        Way.EMAIL,
    }


def person_of_nobody() -> Contact:
    """A first level that no way reaches."""
    return Contact(id="all", name="All")


# -- whom, when ----------------------------------------------------------------------------------------------------


def rotating(catalog: Catalog, *some: MemoryWay) -> Stage:
    """The first level is a rotation."""
    rotation = Rotation(id="primary", name="Primary", members=("first",), starts="2026-01-01")
    levels = [Level(after_s=0, notify=("primary",)), Level(after_s=900, notify=("second",))]
    return started(catalog, *some, levels=levels, rotations={"primary": rotation})


async def test_a_rotation_is_whoever_is_on_duty_when_they_are_paged(catalog: Catalog) -> None:
    """The record names them."""
    stage = rotating(catalog, MemoryWay(Way.SLACK))
    stage.duty.on_duty = EVERYWHERE
    stage.duty.users["@all"] = "U0ALL"
    await stage.page()
    sent = stage.story.facts(PageSent)[0]
    assert (sent.contact_id, sent.name, sent.user_ids) == ("primary", "All", ("U0ALL",))


async def test_nobody_on_duty_is_a_failure_that_says_so(catalog: Catalog) -> None:
    """And the next level is called."""
    stage = rotating(catalog, MemoryWay(Way.SLACK))
    await stage.page()
    failed = stage.story.facts(PageFailed)[0]
    assert (failed.reason, failed.exhausted, failed.via) == ("nobody is on duty in Primary now", True, "")
    assert stage.story.tasks["inc-1:clock"].due_at == stage.story.now


async def test_a_roster_that_cannot_be_asked_holds_the_ladder_up_for_seconds_only(catalog: Catalog) -> None:
    """PagerDuty's schedule is away: after a few tries the next level is called, and it is asked again."""
    stage = rotating(catalog, MemoryWay(Way.SLACK))
    stage.duty.on_duty = TemporaryError("PagerDuty does not answer")
    with pytest.raises(TemporaryError):
        await stage.attempt()
    await stage.attempt(attempt=MOST_TRIES)
    assert stage.story.facts(PageFailed)[0].reason == "PagerDuty does not answer"
    stage.ring()
    assert stage.story.raised()[-1][1] == "level-2"
    with pytest.raises(TemporaryError):  # patiently now
        await stage.pages(stage.claim(stage.story.tasks["inc-1:g1:page:level-1:primary:2"], attempt=9), stage.story.incident)
    stage.duty.on_duty = EVERYWHERE
    stage.story.now += timedelta(seconds=NEXT_ROUND_S)
    performed = await stage.pages(stage.claim(stage.story.tasks["inc-1:g1:page:level-1:primary:2"]), stage.story.incident)
    assert performed.command
    assert not performed.command.failure  # type: ignore[union-attr]


@pytest.mark.parametrize("stop", [Acknowledge(via="slack"), ChangeStatus(status=Status.RESOLVED)])
async def test_nothing_is_sent_for_what_was_stopped_meanwhile(catalog: Catalog, stop: Command) -> None:
    """The task was claimed before; the state decides."""
    slack = MemoryWay(Way.SLACK)
    stage = started(catalog, slack)
    held = stage.claim(stage.next())
    stage.story.do(stop, by=HOLDER)
    assert await stage.pages(held, stage.story.incident) == Performed()
    assert slack.sent == []


async def test_an_attempt_that_is_recorded_is_not_made_again(catalog: Catalog) -> None:
    """A task that was settled by another worker."""
    slack = MemoryWay(Way.SLACK)
    stage = started(catalog, slack)
    held = stage.claim(stage.next())
    await stage.attempt()
    assert await stage.pages(held, stage.story.incident) == Performed()
    assert len(slack.sent) == 1


async def test_a_question_that_was_answered_is_not_asked(catalog: Catalog) -> None:
    """They pressed the button while the message was on its way."""
    slack = MemoryWay(Way.SLACK)
    stage = started(catalog, slack, severities={Severity.SEV2: {"check_in_after_s": 1800}})
    stage.story.do(Acknowledge(via="slack"), by=HOLDER)
    stage.ring(at_s=1800)
    held = stage.claim(stage.next())
    stage.story.do(CheckIn(), by=HOLDER, after_s=1)
    assert await stage.pages(held, stage.story.incident) == Performed()
    assert slack.sent == []


async def test_a_page_says_what_why_and_where_to_answer(catalog: Catalog) -> None:
    """And nothing of a private incident but that it is one."""
    slack = MemoryWay(Way.SLACK)
    stage = started(catalog, slack)
    await stage.page()
    (summons,) = slack.sent
    assert (summons.title, summons.why, summons.kind) == ("clerk down", "you are on call", "page")
    assert summons.answer_url == "https://muster.example/level-1/all"
    private = replace(stage.story.incident, private=True)
    request = TaskRequest.model_validate(
        {"id": "x", "kind": "page", "incident_id": "inc-1", "due_at": stage.story.now}
        | {"data": {"key": "level-1", "contact_id": "all", "attempt": 9}}
    )
    unsent = replace(private, pages=())
    await stage.pages(stage.claim(request), unsent)
    assert slack.sent[-1].title == "a private incident"


async def test_a_fault_of_ours_is_a_failure_that_may_pass(catalog: Catalog) -> None:
    """The next way is tried, and this one once more when all have failed."""
    stage = started(catalog, MemoryWay(Way.PHONE), MemoryWay(Way.SLACK), via=(Way.PHONE,))
    request = stage.next()
    command = stage.pages.failed(stage.claim(request), stage.story.incident, "a fault in Muster, KeyError")
    assert command
    stage.story.do(command, by=MUSTER, settling=request.id)
    failed = stage.story.facts(PageFailed)[0]
    assert (failed.via, failed.passing, failed.exhausted) == ("phone", True, False)
    await stage.page()
    assert stage.happened() == ["phone failed", "slack sent"]


# -- what became of a page -----------------------------------------------------------------------------------------


async def sent_by(catalog: Catalog, way: MemoryWay, *others: MemoryWay, **fields: Any) -> Stage:
    """The first level was paged by a way that knows more later."""
    stage = started(catalog, way, *others, via=(way.way,), **fields)
    await stage.page()
    return stage


async def test_a_call_that_nobody_takes_is_followed_by_the_next_way(catalog: Catalog) -> None:
    """No answer, busy, voicemail: nobody was reached."""
    phone, slack = MemoryWay(Way.PHONE, follows=True), MemoryWay(Way.SLACK)
    stage = await sent_by(catalog, phone, slack)
    phone.fates = [Followed(state="failed", reason="voicemail took the call")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    await stage.page()
    assert stage.happened() == ["phone sent", "phone failed", "slack sent"]
    assert stage.story.facts(PageFailed)[0].reason == "voicemail took the call"


async def test_who_has_nothing_but_a_phone_is_called_again(catalog: Catalog) -> None:
    """It rang out, which was said and brought the next level forward; a while later it rings once more."""
    phone = MemoryWay(Way.PHONE, follows=True)
    stage = await sent_by(catalog, phone, contact=Contact(id="all", name="All", phone=PHONE))
    phone.fates = [Followed(state="failed", reason="no answer")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    await stage.attempt()
    assert stage.story.facts(PageFailed)[-1].exhausted
    assert stage.next().due_at == stage.story.now + timedelta(seconds=NEXT_ROUND_S)
    await stage.attempt()
    assert len(phone.sent) == 2
    assert stage.happened() == ["phone sent", "phone failed", "none failed", "phone sent"]


async def test_a_fate_that_nobody_knows_yet_is_asked_again(catalog: Catalog) -> None:
    """Every ten seconds, later every minute, and not for ever; that it is over is told all the same."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    stage = await sent_by(catalog, pagerduty)
    held = stage.claim(stage.next(TaskKind.FOLLOW))
    sent_at = stage.story.now
    for age_s, every_s in ((5, FOLLOW_EVERY_S), (FOLLOW_OFTEN_S, FOLLOW_SELDOM_S), (FOLLOW_MOST_S, FOLLOW_SELDOM_S)):
        stage.story.now = sent_at + timedelta(seconds=age_s)
        performed = await stage.follows(held, stage.story.incident)
        assert performed.again_at == stage.story.now + timedelta(seconds=every_s)
    stage.story.now = sent_at + timedelta(seconds=FOLLOW_MOST_S + 1)
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert not [task for task in stage.story.tasks.values() if task.kind is TaskKind.FOLLOW]
    stage.story.do(ChangeStatus(status=Status.RESOLVED), after_s=60)
    pagerduty.fates = [Followed(state="closed")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert pagerduty.followed[-1] == ("pagerduty-1", "over")


async def test_an_acknowledgement_at_the_provider_is_one_here(catalog: Catalog) -> None:
    """By the person whose address it gives; the ladder stops, and the provider is told."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    stage = await sent_by(catalog, pagerduty)
    stage.duty.users = {"someone@example.com": "U0SOMEONE", "@all": "U0ALL"}
    pagerduty.fates = [Followed(state="acknowledged", by="someone@example.com"), Followed(state="acknowledged")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    acknowledged = stage.story.incident.acknowledged
    assert acknowledged
    assert (acknowledged.by, stage.story.incident.acknowledged_via) == ("U0SOMEONE", "pagerduty")
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert [wanted for _, wanted in pagerduty.followed] == ["open", "acknowledged"]
    assert stage.story.incident.acknowledged == acknowledged
    assert not [task for task in stage.story.tasks.values() if task.kind is TaskKind.FOLLOW]


@pytest.mark.parametrize(
    ("users", "email", "by"),
    [
        ({"@all": "U0ALL"}, "", "U0ALL"),
        ({"@all": "U0ALL"}, "gone@example.com", "U0ALL"),
        ({"@all": "U0ALL"}, "no address at all <b>", "U0ALL"),
        ({}, "", "contact:all"),
    ],
)
async def test_who_acknowledged_is_known_as_well_as_it_can_be(
    catalog: Catalog, users: dict[str, str], email: str, by: str
) -> None:
    """The user of Slack by the address, else of the contact, else the contact itself; an odd address is no reason to lose it."""
    duty = Roster()
    duty.users = users
    assert await who_acknowledged(duty, "all", EVERYWHERE, email) == by
    duty.broken = True
    assert await who_acknowledged(duty, "all", EVERYWHERE, email) == "contact:all"


async def test_whoever_was_on_duty_is_who_acknowledged_for_a_rotation(catalog: Catalog) -> None:
    """Not whoever has the duty by now, and not “the rotation”."""
    rotation = Rotation(id="primary", name="Primary", members=("first",), starts="2026-01-01")
    levels = [Level(after_s=0, notify=("primary",), via=(Way.PAGERDUTY,))]
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    stage = started(catalog, pagerduty, levels=levels, rotations={"primary": rotation})
    stage.duty.on_duty = EVERYWHERE
    stage.duty.users = {"@all": "U0ALL"}
    await stage.page()
    pagerduty.fates = [Followed(state="acknowledged")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert stage.story.incident.acknowledged
    assert stage.story.incident.acknowledged.by == "U0ALL"


async def test_our_own_word_that_comes_back_takes_nothing_over(catalog: Catalog) -> None:
    """PagerDuty is told that somebody has it, and shows it as acknowledged: nobody but us said so."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    stage = await sent_by(catalog, pagerduty)
    stage.story.do(Acknowledge(via="slack"), by=HOLDER)
    pagerduty.fates = [Followed(state="acknowledged", by="all@example.com")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert stage.story.incident.acknowledged
    assert stage.story.incident.acknowledged.by == HOLDER


async def test_an_alert_for_somebody_who_is_called_later_is_not_acknowledged_for_them(catalog: Catalog) -> None:
    """No progress: the secondary is woken by PagerDuty, and takes it over by their own word only."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    secondary = Contact(id="secondary", name="Secondary", pagerduty=True)
    no_progress = Condition(id="no-progress", when=(Trigger.NO_PROGRESS,), for_s=1800, notify=("secondary",))
    stage = started(catalog, pagerduty, contact=person_of_nobody(), contacts=[secondary], conditions=[no_progress])
    await stage.page()
    stage.story.do(Acknowledge(via="slack"), by=HOLDER, after_s=60)
    stage.ring(at_s=1800)
    await stage.page()
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert pagerduty.followed == [("pagerduty-1", "open")]
    assert stage.story.incident.acknowledged
    assert stage.story.incident.acknowledged.by == HOLDER
    pagerduty.fates = [Followed(state="acknowledged")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert stage.story.incident.acknowledged.by == "contact:secondary"


async def test_an_acknowledgement_that_came_second_changes_nothing(catalog: Catalog) -> None:
    """Somebody else has it, or it is over: the provider is told what is true."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    stage = await sent_by(catalog, pagerduty)
    held = stage.claim(stage.next(TaskKind.FOLLOW))
    before = stage.story.incident
    stage.story.do(Acknowledge(via="slack"), by=HOLDER)
    pagerduty.fates = [Followed(state="acknowledged")]
    await stage.follows(held, before)
    assert stage.story.incident.acknowledged
    assert stage.story.incident.acknowledged.by == HOLDER
    assert stage.next(TaskKind.FOLLOW).data["wanted"] == "acknowledged"


async def test_an_answered_call_is_not_asked_about_again(catalog: Catalog) -> None:
    """Nothing more will come of it, also when it is over."""
    phone = MemoryWay(Way.PHONE, follows=True)
    stage = await sent_by(catalog, phone)
    phone.fates = [Followed(state="answered")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    stage.story.do(ChangeStatus(status=Status.RESOLVED))
    assert not [task for task in stage.story.tasks.values() if task.kind is TaskKind.FOLLOW]
    assert phone.followed == [("phone-1", "open")]


async def test_a_round_that_is_over_is_closed_at_the_provider_too(catalog: Catalog) -> None:
    """The ladder started over: the alerts of its first round are known here still, and end with the incident."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    severities = {Severity.SEV2: {"check_in_after_s": 600, "check_in_wait_s": 600}}
    stage = await sent_by(
        catalog, pagerduty, severities=severities, levels=[Level(after_s=0, notify=("all",), via=(Way.PAGERDUTY,))]
    )
    stage.story.do(Acknowledge(via="slack"), by=HOLDER, at_s=60)
    stage.ring(at_s=660)
    stage.ring(at_s=1260)
    assert stage.story.incident.acknowledged is None
    assert "level-1" not in stage.story.incident.raised
    stage.story.do(ChangeStatus(status=Status.RESOLVED), after_s=5)
    pagerduty.fates = [Followed(state="closed")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert pagerduty.followed == [("pagerduty-1", "over")]
    assert not [task for task in stage.story.tasks.values() if task.kind is TaskKind.FOLLOW]


async def test_what_cannot_be_found_out_is_tried_again_by_the_worker(catalog: Catalog) -> None:
    """The error passes through; nothing is recorded."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    stage = await sent_by(catalog, pagerduty)
    pagerduty.fates = [TemporaryError("503")]
    with pytest.raises(TemporaryError):
        await stage.attempt(kind=TaskKind.FOLLOW)
    assert stage.happened() == ["pagerduty sent"]


async def test_a_way_that_is_not_set_up_any_more_ends_the_following(catalog: Catalog) -> None:
    """A key was taken away while an alert was open: nothing can be told there, and nothing runs in circles."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    stage = await sent_by(catalog, pagerduty)
    del stage.ways[Way.PAGERDUTY]
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert not [task for task in stage.story.tasks.values() if task.kind is TaskKind.FOLLOW]


async def test_our_own_word_that_comes_back_late_revives_no_acknowledgement(catalog: Catalog) -> None:
    """It was on its way to the provider while whoever had it fell silent: nobody has it, and the ladder goes on."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    severities = {Severity.SEV2: {"check_in_after_s": 600, "check_in_wait_s": 600}}
    stage = await sent_by(catalog, pagerduty, severities=severities)
    stage.story.do(Acknowledge(via="slack"), by=HOLDER, at_s=60)
    held, before = stage.claim(stage.next(TaskKind.FOLLOW)), stage.story.incident
    assert held.data["wanted"] == "acknowledged"
    stage.ring(at_s=660)
    stage.ring(at_s=1260)
    pagerduty.fates = [Followed(state="acknowledged")]
    await stage.follows(held, before)
    assert stage.story.incident.acknowledged is None


# -- what goes wrong elsewhere -------------------------------------------------------------------------------------


async def refused_wait(stage: Stage, *, attempt: int = 1) -> float | None:
    """The wait with which the next attempt is handed back."""
    with pytest.raises(TemporaryError) as error:
        await stage.attempt(attempt=attempt)
    return error.value.retry_after_s


async def test_one_provider_that_wants_patience_holds_no_other_way_back(catalog: Catalog) -> None:
    """Slack asks for an hour, when all are tried in turn: the telephone is next, as soon as ever."""
    contact = Contact(id="all", name="All", slack="@all", phone=PHONE)
    slack = MemoryWay(Way.SLACK, *[NOT_NOW] * MOST_TRIES, TemporaryError("limited", retry_after_s=3600))
    phone = MemoryWay(Way.PHONE, *[NOT_NOW] * MOST_TRIES)
    stage = started(catalog, slack, phone, contact=contact)
    await stage.page()
    assert await refused_wait(stage) is None
    await stage.attempt(attempt=2)
    assert stage.happened()[-1] == "phone sent"


async def test_the_only_way_is_waited_for_but_not_for_an_hour(catalog: Catalog) -> None:
    """Its provider is not asked before it wants to be, nor much later than a round is long."""
    contact = Contact(id="all", name="All", slack="@all")
    waits = [TemporaryError("limited", retry_after_s=wait_s) for wait_s in (3600, 20)]
    stage = started(catalog, MemoryWay(Way.SLACK, *[NOT_NOW] * MOST_TRIES, *waits), contact=contact)
    await stage.page()
    assert [await refused_wait(stage), await refused_wait(stage, attempt=2)] == [LONGEST_ROUND_S, 20]


async def test_an_incident_that_cannot_be_read_stops_no_call_for_another(catalog: Catalog) -> None:
    """Whether it called the same number cannot be known: a second call is better than another incident's taken for this one's."""
    contact = Contact(id="all", name="All", phone=PHONE)
    phone = MemoryWay(Way.PHONE, UnknownOutcome("it may ring"))
    stage = started(catalog, phone, contact=contact)

    async def unreadable() -> list[Incident]:
        raise UnknownEntryError("inc-7: entry of another version")

    stage.pages._going_on = unreadable
    with pytest.raises(UnknownOutcome):
        await stage.attempt()
    await stage.attempt(attempt=2)
    assert [summons.look_first for summons in phone.sent] == [False, False]
    assert stage.happened() == ["phone sent"]


async def test_what_the_provider_refuses_for_good_is_not_asked_again(catalog: Catalog) -> None:
    """The token was taken away: nothing runs in circles, and that it is over is tried once more, by the other key."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    stage = await sent_by(catalog, pagerduty)
    pagerduty.fates = [PermanentError("the token was revoked"), PermanentError("the key was revoked")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert not [task for task in stage.story.tasks.values() if task.kind is TaskKind.FOLLOW]
    stage.story.do(ChangeStatus(status=Status.RESOLVED), after_s=60)
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert [wanted for _, wanted in pagerduty.followed] == ["open", "over"]
    assert not [task for task in stage.story.tasks.values() if task.kind is TaskKind.FOLLOW]
    assert stage.story.incident.acknowledged is None


async def test_a_provider_that_never_answers_is_not_asked_for_ever(catalog: Catalog) -> None:
    """For a day since there was something to tell, however old the page is."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    stage = await sent_by(catalog, pagerduty)
    pagerduty.fates = [NOT_NOW, NOT_NOW]
    stage.story.do(ChangeStatus(status=Status.RESOLVED), after_s=2 * FOLLOW_MOST_S)
    with pytest.raises(TemporaryError):
        await stage.attempt(kind=TaskKind.FOLLOW)
    stage.story.now += timedelta(seconds=FOLLOW_MOST_S + 1)
    await stage.attempt(kind=TaskKind.FOLLOW)
    assert not [task for task in stage.story.tasks.values() if task.kind is TaskKind.FOLLOW]


async def test_what_is_resolved_in_pagerduty_was_seen_by_somebody(catalog: Catalog) -> None:
    """It counts as their acknowledgement: the next level is not woken."""
    pagerduty = MemoryWay(Way.PAGERDUTY, follows=True)
    stage = await sent_by(catalog, pagerduty)
    stage.duty.users = {"someone@example.com": "U0SOMEONE"}
    pagerduty.fates = [Followed(state="closed", reason="it was resolved in PagerDuty", by="someone@example.com")]
    await stage.attempt(kind=TaskKind.FOLLOW)
    acknowledged = stage.story.incident.acknowledged
    assert acknowledged
    assert (acknowledged.by, stage.story.incident.acknowledged_via) == ("U0SOMEONE", "pagerduty")
    stage.story.tick(until_s=1000)
    assert [key for _, key, *_ in stage.story.raised()] == ["level-1"]


async def test_a_token_that_was_revoked_is_no_fault_of_the_person(catalog: Catalog) -> None:
    """Somebody mends it, and then the page goes out: it is tried on, slowly, and said once."""
    contact = Contact(id="all", name="All", slack="@all")
    revoked = PermanentError("Slack refused the token", code="token_revoked")
    stage = started(catalog, MemoryWay(Way.SLACK, revoked, revoked), contact=contact)
    await stage.attempt()
    (failed,) = stage.story.facts(PageFailed)
    assert (failed.passing, failed.exhausted) == (True, True)
    assert await refused_wait(stage) == MEND_WAIT_S
    await stage.attempt()
    assert stage.happened()[-1] == "slack sent"
