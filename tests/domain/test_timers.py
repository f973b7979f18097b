"""What is due when: the ladder and what stops it, working hours, changes of the severity, conditions, targets, outages."""

from __future__ import annotations

import contextlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    Acknowledge,
    ChangeImpact,
    ChangeSeverity,
    ChangeStatus,
    CheckIn,
    ChooseRunbook,
    Command,
    Escalate,
    Note,
    ReachDue,
    RecordFollowed,
    RecordPage,
    SkipStep,
    TickStep,
)
from bot.domain.errors import UserError
from bot.domain.escalation import BusinessHours, Condition, Level, Trigger, Way
from bot.domain.facts import AcknowledgementLapsed, AlarmRaised, Impact, PageFailed, Status, Target, TargetReminded
from bot.domain.incident import Incident
from bot.domain.severity import Severity
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import MUSTER
from bot.domain.timers import LONGEST_ROUND_S, NEXT_ROUND_S, is_wanted, rebook, tasks_of, waiting_alarms, waiting_levels
from bot.services.paging import summons_of, why
from bot.services.ports import Task
from tests.domain.story import A_RUNBOOK, HOLDER, Story, accepted, another_runbook, answered, made, person

MIN = 60
HOUR = 3600
FRIDAY_NIGHT = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)
MONDAY_MORNING = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
IN_HOURS: dict[Severity, dict[str, Any]] = {Severity.SEV3: {"page": "business_hours"}, Severity.SEV4: {"page": "never"}}
CHECKED = {Severity.SEV2: {"check_in_after_s": 30 * MIN, "check_in_wait_s": 10 * MIN}}


def opened(catalog: Catalog, *, begins: datetime | None = None, **fields: Any) -> Story:
    """An incident of the one runbook, at SEV2 unless ``fields`` say otherwise."""
    story = Story(made(catalog, **fields), begins=begins)
    story.open(A_RUNBOOK)
    return story


def confirmed(catalog: Catalog, **fields: Any) -> Story:
    """One that somebody confirmed at once: nothing waits for the silence of triage."""
    story = opened(catalog, **fields)
    story.do(ChangeStatus(status=Status.INVESTIGATING))
    return story


def told_by(story: Story) -> list[tuple[float, str]]:
    """(minutes after the opening, who), of every page that was accepted."""
    return [(at_s / MIN, who) for at_s, _, who in story.told()]


def condition(*when: Trigger, notify: str = "lead", **fields: Any) -> Condition:
    """A condition called “it”."""
    return Condition(id="it", when=when, notify=(notify,), **fields)


# -- the ladder ----------------------------------------------------------------------------------------------------


def test_nobody_answers_and_every_level_is_told_once(catalog: Catalog) -> None:
    """At once, after 15 and after 30 minutes; and never again."""
    story = opened(catalog)
    story.tick(until_s=24 * HOUR)
    assert told_by(story) == [(0, "first"), (15, "second"), (30, "third")]


def test_an_acknowledgement_stops_levels_until_acknowledged_only(catalog: Catalog) -> None:
    """“If unresolved” goes on although somebody has it."""
    levels = [
        Level(after_s=0, notify=("first",)),
        Level(after_s=15 * MIN, notify=("second",)),
        Level(after_s=30 * MIN, until="resolved", notify=("third",)),
    ]
    story = opened(catalog, levels=levels)
    story.tick(until_s=60)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=24 * HOUR)
    assert told_by(story) == [(0, "first"), (30, "third")]


@pytest.mark.parametrize("status", [Status.RESOLVED, Status.FALSE_POSITIVE])
def test_the_end_stops_everything(catalog: Catalog, status: Status) -> None:
    """Levels, conditions and reminders, also those that an acknowledgement does not stop; nothing is left in the due set."""
    levels = [Level(after_s=0, notify=("first",)), Level(after_s=15 * MIN, until="resolved", notify=("second",))]
    story = opened(catalog, levels=levels, conditions=[condition(Trigger.OPEN, for_s=HOUR)])
    story.tick(until_s=60)
    story.do(ChangeStatus(status=status))
    assert tasks_of(story.incident) == {}
    story.tick(until_s=24 * HOUR)
    assert told_by(story) == [(0, "first")]


def test_in_triage_only_the_first_level_is_told_at_once(catalog: Catalog) -> None:
    """Opening is easy, paging is not: whatever else is due waits for five minutes of silence."""
    levels = [Level(after_s=0, notify=("first",)), Level(after_s=MIN, notify=("second",))]
    story = opened(catalog, levels=levels, conditions=[condition(Trigger.SEV2, notify="press")])
    story.tick(until_s=5 * MIN - 1)
    assert told_by(story) == [(0, "first")]
    story.tick(until_s=5 * MIN + 1)
    assert sorted(told_by(story)) == [(0, "first"), (5, "press"), (5, "second")]


def test_whoever_confirms_lets_the_others_be_told(catalog: Catalog) -> None:
    """What was held back is due at that moment."""
    levels = [Level(after_s=0, notify=("first",)), Level(after_s=MIN, notify=("second",))]
    story = opened(catalog, levels=levels, conditions=[condition(Trigger.SEV2, notify="press")])
    story.tick(until_s=2 * MIN)
    story.do(ChangeStatus(status=Status.INVESTIGATING))
    story.tick(until_s=HOUR)
    assert sorted(told_by(story)) == [(0, "first"), (2, "press"), (2, "second")]


def test_what_concerns_nobody_but_the_first_level_is_not_held_back(catalog: Catalog) -> None:
    """They were woken anyhow."""
    story = opened(
        catalog, severities={Severity.SEV2: {"notify": ("first",)}}, conditions=[condition(Trigger.SEV2, notify="first")]
    )
    assert {one.alarm.id: one.due_at for one in waiting_alarms(story.incident)}["notice-SEV2"] == story.now
    story.tick(until_s=1)
    assert [key for _, key in story.raised()] == ["level-1", "it", "notice-SEV2"]
    assert told_by(story) == [(0, "first")]


def test_a_level_that_reaches_nobody_brings_the_next_one_forward(catalog: Catalog) -> None:
    """Nobody waits 15 minutes for a contact who cannot be reached; only the silence of triage is waited out."""
    story = opened(catalog)
    story.tick(until_s=3, answer=lambda task, incident: answered(task, failure="nobody is called that"))
    assert waiting_levels(story.incident)[0].due_at == story.moment(5 * MIN)
    story.do(ChangeStatus(status=Status.INVESTIGATING), at_s=60)
    story.tick(until_s=HOUR)
    assert told_by(story) == [(1, "second"), (30, "third")]


def test_every_level_that_reaches_nobody_brings_the_next_one_forward(catalog: Catalog) -> None:
    """A whole ladder of people who are gone is climbed at once, and ends."""
    story = confirmed(catalog)
    story.tick(until_s=HOUR, answer=lambda task, incident: answered(task, failure="deactivated"))
    assert story.told() == []
    assert [at_s for at_s, _ in story.raised()] == [0, 0, 0]


def test_a_level_is_not_brought_forward_by_a_way_that_has_another_behind_it(catalog: Catalog) -> None:
    """The phone is engaged, Slack is next."""
    story = confirmed(catalog)

    def busy_at_first(task: TaskRequest, incident: Incident) -> RecordPage:
        first = task.data["attempt"] == 1
        return answered(task, via="phone", failure="busy", passing=True, exhausted=False) if first else accepted(task, incident)

    story.tick(until_s=10 * MIN, answer=busy_at_first)
    assert told_by(story) == [(0, "first")]
    assert waiting_levels(story.incident)[0].due_at == story.moment(15 * MIN)


def test_what_may_pass_is_tried_again_ever_more_slowly(catalog: Catalog) -> None:
    """Hours of an outage fill no timeline, and the page comes soon after its end."""
    story = confirmed(catalog, levels=[Level(after_s=0, notify=("first",))])
    fails = lambda task, incident: answered(task, failure="no answer", passing=True)  # noqa: E731
    story.tick(until_s=6 * HOUR, answer=fails)
    tries = [entry.at for entry in story.entries if isinstance(entry.fact, PageFailed)]
    waits = [(after - before).total_seconds() for before, after in itertools.pairwise(tries)]
    assert waits[0] == NEXT_ROUND_S
    assert set(waits[5:]) == {LONGEST_ROUND_S}
    story.tick(until_s=6 * HOUR + LONGEST_ROUND_S)
    assert len(story.told()) == 1


def test_what_will_not_pass_is_not_tried_again(catalog: Catalog) -> None:
    """A number that is none is none in half a minute, too."""
    story = confirmed(catalog, levels=[Level(after_s=0, notify=("first",))])
    story.tick(until_s=6 * HOUR, answer=lambda task, incident: answered(task, failure="no such number"))
    assert len(story.facts(PageFailed)) == 1


def test_a_drill_is_escalated_like_the_real_thing(catalog: Catalog) -> None:
    """Else nobody would learn anything from it; each page says that it is one."""
    story = Story(made(catalog))
    incident = story.open(A_RUNBOOK, drill=True)
    story.tick(until_s=HOUR)
    assert told_by(story) == [(0, "first"), (15, "second"), (30, "third")]
    raised = story.incident.raised["level-1"]
    task = Task(id="t", kind=TaskKind.PAGE, incident_id="inc-1", due_at=story.now, data={}, token="t", attempt=1, asked="1")
    summons = summons_of(
        incident,
        raised,
        person("first"),
        contact_id="first",
        look_first=False,
        since=story.now,
        answer_url=None,
        room_url=None,
        task=task,
    )
    assert summons.headline.startswith("DRILL: SEV2 incident 1")


def test_a_reopened_incident_has_a_ladder_of_its_own(catalog: Catalog) -> None:
    """From the reopening on, under other keys; what was not sent before is not sent now."""
    story = opened(catalog)
    story.tick(until_s=60)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.do(ChangeStatus(status=Status.RESOLVED), at_s=HOUR)
    story.do(ChangeStatus(status=Status.INVESTIGATING), at_s=2 * HOUR)
    story.tick(until_s=5 * HOUR)
    assert story.told() == [
        (0, "level-1", "first"),
        (7200, "level-1.2", "first"),
        (7200 + 900, "level-2", "second"),
        (7200 + 1800, "level-3", "third"),
    ]


def test_a_response_that_was_given_is_not_breached_by_a_reopening_or_a_lapse(catalog: Catalog) -> None:
    """The target is about the opening: who acknowledged in time is not said to have been late hours after."""
    story = confirmed(catalog, severities=CHECKED, conditions=[condition(Trigger.RESPONSE_BREACHED)])
    story.tick(until_s=60)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=HOUR)
    assert story.facts(AcknowledgementLapsed)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.do(ChangeStatus(status=Status.RESOLVED))
    story.do(ChangeStatus(status=Status.INVESTIGATING), after_s=60)
    story.tick(until_s=3 * HOUR)
    assert "lead" not in [who for _, who in told_by(story)]
    assert Target.RESPONSE not in story.incident.reminded


# -- working hours -------------------------------------------------------------------------------------------------


def test_sev3_on_a_friday_night_waits_for_monday(catalog: Catalog) -> None:
    """And its levels follow in working time."""
    story = opened(catalog, begins=FRIDAY_NIGHT, severity=Severity.SEV3, severities=IN_HOURS)
    due = [one.due_at for one in waiting_levels(story.incident)]
    assert due == [MONDAY_MORNING, MONDAY_MORNING + timedelta(minutes=15), MONDAY_MORNING + timedelta(minutes=30)]
    story.tick(until_s=(MONDAY_MORNING - FRIDAY_NIGHT).total_seconds() - 1)
    assert story.told() == []


def test_a_level_goes_on_where_the_working_day_left_off(catalog: Catalog) -> None:
    """Ten minutes before the evening, and twenty after the next morning: half an hour."""
    begins = datetime(2026, 11, 19, 16, 50, tzinfo=UTC)
    story = opened(catalog, begins=begins, severity=Severity.SEV3, severities=IN_HOURS)
    due = [one.due_at for one in waiting_levels(story.incident)]
    assert due == [begins, datetime(2026, 11, 20, 9, 5, tzinfo=UTC), datetime(2026, 11, 20, 9, 20, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("friday", "monday"),
    [
        (datetime(2026, 3, 27, 22, tzinfo=UTC), datetime(2026, 3, 30, 7, tzinfo=UTC)),
        (datetime(2026, 10, 23, 22, tzinfo=UTC), datetime(2026, 10, 26, 8, tzinfo=UTC)),
    ],
    ids=["spring", "autumn"],
)
def test_nine_in_the_morning_is_nine_in_the_morning_after_the_clocks_changed(
    catalog: Catalog, friday: datetime, monday: datetime
) -> None:
    """Over both daylight saving nights, in the hours of the contact."""
    berlin = BusinessHours(timezone="Europe/Berlin")
    levels = [Level(after_s=0, notify=("clerk",)), Level(after_s=30 * MIN, notify=("clerk", "second"))]
    story = opened(
        catalog,
        begins=friday,
        severity=Severity.SEV3,
        severities=IN_HOURS,
        levels=levels,
        contacts=[person("clerk", hours=berlin)],
    )
    assert [one.due_at for one in waiting_levels(story.incident)] == [monday, monday + timedelta(minutes=30)]


def test_nobody_is_brought_forward_into_the_night(catalog: Catalog) -> None:
    """Somebody called the first level by hand and it was not there: the second one still waits for the morning."""
    story = confirmed(catalog, begins=FRIDAY_NIGHT, severity=Severity.SEV3, severities=IN_HOURS)
    story.do(Escalate(level=1), at_s=60)
    story.tick(until_s=HOUR, answer=lambda task, incident: answered(task, failure="deactivated"))
    assert waiting_levels(story.incident)[0].due_at == MONDAY_MORNING


def test_sev4_pages_nobody_ever(catalog: Catalog) -> None:
    """It is a ticket; only by hand is somebody called."""
    story = confirmed(
        catalog, severity=Severity.SEV4, severities=IN_HOURS, conditions=[condition(Trigger.NO_PROGRESS, for_s=30 * MIN)]
    )
    story.tick(until_s=8 * 24 * HOUR)
    assert story.told() == []
    story.do(Escalate(level=1))
    story.tick(until_s=9 * 24 * HOUR)
    assert [key for _, key, _ in story.told()] == ["level-1"]


# -- changes of the severity ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mild", [Severity.SEV3, Severity.SEV4])
def test_a_ladder_that_did_not_run_starts_when_it_becomes_severe(catalog: Catalog, mild: Severity) -> None:
    """After two hours the first level is told now, not the CTO."""
    story = confirmed(catalog, begins=FRIDAY_NIGHT, severity=mild, severities=IN_HOURS)
    story.tick(until_s=2 * HOUR)
    story.do(ChangeSeverity(severity=Severity.SEV1))
    story.tick(until_s=4 * HOUR)
    assert told_by(story) == [(120, "first"), (135, "second"), (150, "third")]


def test_a_ladder_that_had_begun_goes_on_as_if_the_last_level_had_been_told_just_now(catalog: Catalog) -> None:
    """Told on Monday at nine as SEV3, SEV1 at ten past: the second level at 25 past, and nobody at once; nor after a SEV4."""
    begins = MONDAY_MORNING - timedelta(hours=1)
    story = confirmed(catalog, begins=begins, severity=Severity.SEV3, severities=IN_HOURS)
    story.tick(until_s=70 * MIN)
    story.do(ChangeSeverity(severity=Severity.SEV1))
    story.tick(until_s=4 * HOUR)
    assert told_by(story) == [(60, "first"), (85, "second"), (100, "third")]
    ticket = confirmed(catalog, severities=IN_HOURS)
    ticket.tick(until_s=5 * MIN)
    ticket.do(ChangeSeverity(severity=Severity.SEV4))
    ticket.tick(until_s=2 * HOUR)
    ticket.do(ChangeSeverity(severity=Severity.SEV1))
    ticket.tick(until_s=4 * HOUR)
    assert told_by(ticket) == [(0, "first"), (135, "second"), (150, "third")]


def test_what_lasts_counts_from_the_reopening(catalog: Catalog) -> None:
    """It was over for six hours: neither open for four, nor were customers affected for one."""
    conditions = [
        condition(Trigger.OPEN, for_s=4 * HOUR),
        Condition(id="impact", when=(Trigger.CUSTOMER_IMPACT,), for_s=HOUR, notify=("press",)),
    ]
    story = confirmed(catalog, conditions=conditions, levels=[Level(after_s=0, notify=("first",))])
    story.do(ChangeImpact(impact=Impact.CUSTOMER_IMPACT, on=True))
    story.do(ChangeStatus(status=Status.RESOLVED), at_s=30 * MIN)
    story.do(ChangeStatus(status=Status.INVESTIGATING), at_s=6 * HOUR)
    story.tick(until_s=12 * HOUR)
    assert told_by(story) == [(360, "first"), (420, "press"), (600, "lead")]


def test_nothing_is_told_twice_however_often_the_severity_changes(catalog: Catalog) -> None:
    """Levels, conditions, standby and notice: each once."""
    severities: dict[Severity, dict[str, Any]] = {
        Severity.SEV1: {"notify": ("press",)},
        Severity.SEV2: {"standby": ("second",)},
    }
    story = confirmed(
        catalog, severity=Severity.SEV1, severities=severities, conditions=[condition(Trigger.SEV1, Trigger.SECURITY)]
    )
    for minute, severity in ((5, Severity.SEV2), (10, Severity.SEV1), (20, Severity.SEV2), (40, Severity.SEV1)):
        story.tick(until_s=minute * MIN)
        story.do(ChangeSeverity(severity=severity))
    story.tick(until_s=4 * HOUR)
    assert sorted(told_by(story)) == [(0, "first"), (0, "lead"), (0, "press"), (5, "second"), (15, "second"), (30, "third")]
    assert [key for _, key in story.raised()].count("it") == 1


def test_what_is_due_moves_into_the_morning_and_back(catalog: Catalog) -> None:
    """SEV2 at night becomes SEV3 and SEV2 again: what was not sent is due as if nothing had been."""
    story = confirmed(catalog, begins=FRIDAY_NIGHT, severities=IN_HOURS)
    story.tick(until_s=5 * MIN)
    story.do(ChangeSeverity(severity=Severity.SEV3))
    assert [one.due_at for one in waiting_levels(story.incident)] == [
        MONDAY_MORNING + timedelta(minutes=15),
        MONDAY_MORNING + timedelta(minutes=30),
    ]
    assert story.due_s() == [60 * MIN]  # half of what is promised for the response has passed


def test_the_clock_moves_with_a_target(catalog: Catalog) -> None:
    """The booking follows whatever changes."""
    story = opened(catalog)
    story.tick(until_s=0)
    story.do(Acknowledge(via="slack"), by=HOLDER, after_s=1)
    assert story.due_s() == [2 * HOUR]
    story.do(ChangeSeverity(severity=Severity.SEV1))
    assert story.due_s() == [30 * MIN]


# -- conditions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "progress",
    [
        TickStep(step_id="confirm"),
        SkipStep(step_id="confirm", reason="clear anyhow"),
        ChangeStatus(status=Status.IDENTIFIED),
        Note(text="the pool is full"),
        Note(text="We work on it.", is_update=True),
    ],
    ids=["step", "skipped", "status", "note", "update"],
)
def test_no_progress_starts_over_with_everything_that_is_progress(catalog: Catalog, progress: Command) -> None:
    """And tells again after another silence."""
    story = confirmed(catalog, conditions=[condition(Trigger.NO_PROGRESS, for_s=30 * MIN)])
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=20 * MIN)
    story.do(progress)
    story.tick(until_s=2 * HOUR)
    assert told_by(story) == [(50, "lead")]
    story.do(Note(text="still looking"))
    story.tick(until_s=4 * HOUR)
    assert told_by(story) == [(50, "lead"), (150, "lead")]


@pytest.mark.parametrize(
    "no_progress",
    [CheckIn(), ChangeSeverity(severity=Severity.SEV1), ChangeImpact(impact=Impact.MEDIA_ATTENTION, on=True), Escalate(level=3)],
)
def test_talk_is_no_progress(catalog: Catalog, no_progress: Command) -> None:
    """A press of a button that changes nothing about what is broken."""
    story = confirmed(catalog, conditions=[condition(Trigger.NO_PROGRESS, for_s=30 * MIN)])
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=20 * MIN)
    story.do(no_progress)
    story.tick(until_s=2 * HOUR)
    assert (30, "lead") in told_by(story)


@pytest.mark.parametrize("impact", list(Impact))
def test_an_impact_counts_from_its_switch(catalog: Catalog, impact: Impact) -> None:
    """Off in time: nobody is told. On again: the hour begins anew, and a second time is told a second time."""
    story = confirmed(catalog, conditions=[condition(Trigger(impact.value), for_s=HOUR)])
    story.do(Acknowledge(via="slack"), by=HOLDER)
    for minute, on in ((20, True), (79, False), (100, True), (170, False), (180, True)):
        story.tick(until_s=minute * MIN)
        story.do(ChangeImpact(impact=impact, on=on))
    story.tick(until_s=10 * HOUR)
    assert told_by(story) == [(160, "lead"), (240, "lead")]


def test_security_is_what_the_runbook_says(catalog: Catalog) -> None:
    """From the opening on; of another runbook never."""
    conditions = [condition(Trigger.SECURITY)]
    story = confirmed(catalog, conditions=conditions, runbook={"security": True})
    story.tick(until_s=10 * HOUR)
    assert (0, "lead") in told_by(story)
    harmless = confirmed(catalog, conditions=conditions)
    harmless.tick(until_s=10 * HOUR)
    assert "lead" not in [who for _, who in told_by(harmless)]


def test_security_counts_from_the_choice_of_its_runbook(catalog: Catalog) -> None:
    """Nobody knew before."""
    files = another_runbook(made(catalog, conditions=[condition(Trigger.SECURITY)]), "breach", security=True)
    story = Story(files)
    story.open(A_RUNBOOK, "breach")
    story.do(ChangeStatus(status=Status.INVESTIGATING))
    story.tick(until_s=10 * MIN)
    assert told_by(story) == [(0, "first")]
    story.do(ChooseRunbook(runbook_id="breach"))
    story.tick(until_s=11 * MIN)
    assert told_by(story) == [(0, "first"), (10, "lead")]


@pytest.mark.parametrize("severity", list(Severity)[:3])
def test_a_severity_is_a_condition_from_its_choice_on(catalog: Catalog, severity: Severity) -> None:
    """Also when it is changed to it later."""
    other = Severity.SEV4
    story = confirmed(catalog, severity=other, conditions=[condition(Trigger(severity.value.lower()), for_s=10 * MIN)])
    story.tick(until_s=40 * MIN)
    assert "lead" not in [who for _, who in told_by(story)]
    story.do(ChangeSeverity(severity=severity))
    story.tick(until_s=2 * HOUR)
    assert (50, "lead") in told_by(story)


@pytest.mark.parametrize(
    ("trigger", "for_s", "minute"),
    [(Trigger.OPEN, 4 * HOUR, 240), (Trigger.RESPONSE_BREACHED, 0, 30), (Trigger.RESOLUTION_BREACHED, 5 * MIN, 245)],
)
def test_what_time_alone_brings(catalog: Catalog, trigger: Trigger, for_s: int, minute: int) -> None:
    """Open for too long, and both breaches, each once."""
    story = confirmed(catalog, conditions=[condition(trigger, for_s=for_s)])
    story.tick(until_s=24 * HOUR)
    assert [one for one in told_by(story) if one[1] == "lead"] == [(minute, "lead")]


def test_a_response_in_time_is_no_breach(catalog: Catalog) -> None:
    """The condition is not met any more."""
    story = confirmed(catalog, conditions=[condition(Trigger.RESPONSE_BREACHED)])
    story.tick(until_s=29 * MIN)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=24 * HOUR)
    assert "lead" not in [who for _, who in told_by(story)]


def test_one_of_several_triggers_is_enough_and_tells_once(catalog: Catalog) -> None:
    """“SEV1 or security issue” is one line of the matrix."""
    story = confirmed(
        catalog, conditions=[condition(Trigger.SEV1, Trigger.SECURITY)], severity=Severity.SEV1, runbook={"security": True}
    )
    story.tick(until_s=24 * HOUR)
    assert [one for one in told_by(story) if one[1] == "lead"] == [(0, "lead")]


def test_a_condition_until_acknowledged_ends_with_that(catalog: Catalog) -> None:
    """The others hold whatever the ladder does."""
    story = confirmed(catalog, conditions=[condition(Trigger.OPEN, for_s=HOUR, until="acknowledged")])
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=24 * HOUR)
    assert story.told() == []


# -- still on it? --------------------------------------------------------------------------------------------------


def test_silence_goes_on_with_the_next_level_and_the_others_follow_as_far_behind(catalog: Catalog) -> None:
    """Answered in the fifth minute, asked in the 35th, nobody's in the 45th."""
    story = opened(catalog, severities=CHECKED)
    story.tick(until_s=5 * MIN)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=3 * HOUR)
    assert story.told() == [
        (0, "level-1", "first"),
        (35 * MIN, "check-in", HOLDER.lower()),
        (45 * MIN, "level-2", "second"),
        (60 * MIN, "level-3", "third"),
    ]


def test_progress_is_an_answer(catalog: Catalog) -> None:
    """Whoever ticks a step need not press a button as well."""
    story = opened(catalog, severities=CHECKED)
    story.tick(until_s=5 * MIN)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=40 * MIN)
    story.do(TickStep(step_id="confirm"), by="U0OTHER")
    story.tick(until_s=70 * MIN - 1)
    assert [key for _, key in story.raised()] == ["level-1", "check-in"]
    assert not story.facts(AcknowledgementLapsed)


def test_after_the_last_level_the_ladder_starts_over(catalog: Catalog) -> None:
    """The third one had it and fell asleep: the first one is told again, under another key."""
    story = opened(catalog, severities=CHECKED)
    story.tick(until_s=31 * MIN)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=3 * HOUR)
    assert story.told()[3:] == [
        (61 * MIN, "check-in", HOLDER.lower()),
        (71 * MIN, "level-1.2", "first"),
        (86 * MIN, "level-2.2", "second"),
        (101 * MIN, "level-3.2", "third"),
    ]


def test_a_question_that_nobody_could_be_sent_lapses_all_the_same(catalog: Catalog) -> None:
    """Slack has lost them: their silence is silence."""
    story = opened(catalog, severities=CHECKED)
    story.tick(until_s=5 * MIN)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=36 * MIN, answer=lambda task, incident: answered(task, failure="deactivated"))
    story.tick(until_s=45 * MIN)
    assert story.told()[-1] == (45 * MIN, "level-2", "second")


def test_nobody_is_asked_where_the_severity_does_not(catalog: Catalog) -> None:
    """`check_in_after` is not set: never."""
    story = opened(catalog)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=3 * 24 * HOUR)
    assert story.told() == []


# -- targets -------------------------------------------------------------------------------------------------------


def reminded(story: Story) -> list[tuple[str, int]]:
    """What was said about the targets, in order."""
    return [(fact.target.value, fact.percent) for fact in story.facts(TargetReminded)]


def test_the_targets_are_reminded_of_at_half_at_80_percent_and_when_missed(catalog: Catalog) -> None:
    """SEV1: a response in 15 minutes, a resolution in an hour."""
    story = opened(catalog, severity=Severity.SEV1)
    story.tick(until_s=24 * HOUR)
    said = [
        (entry.at - story.moment(0), entry.fact.target.value) for entry in story.entries if entry.fact.kind == "target_reminded"
    ]
    assert [(moment.total_seconds() / MIN, target) for moment, target in said] == [
        (7.5, "response"),
        (12, "response"),
        (15, "response"),
        (30, "resolution"),
        (48, "resolution"),
        (60, "resolution"),
    ]


def test_nothing_more_is_said_about_a_response_that_was_given(catalog: Catalog) -> None:
    """Half of its time had passed, then somebody had it."""
    story = opened(catalog, severity=Severity.SEV1)
    story.tick(until_s=8 * MIN)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=20 * MIN)
    assert reminded(story) == [("response", 50)]


def test_another_severity_says_what_is_true_now_and_nothing_twice(catalog: Catalog) -> None:
    """After 50 minutes SEV2 becomes SEV1: 83 percent are gone, and the half is not mentioned."""
    story = opened(catalog)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=50 * MIN)
    story.do(ChangeSeverity(severity=Severity.SEV1))
    story.tick(until_s=59 * MIN)
    assert reminded(story) == [("resolution", 80)]
    story.do(ChangeSeverity(severity=Severity.SEV2))
    story.tick(until_s=24 * HOUR)
    assert reminded(story) == [("resolution", 80), ("resolution", 100)]


# -- outages -------------------------------------------------------------------------------------------------------


def test_after_an_outage_each_contact_is_told_once_the_highest_level_first(catalog: Catalog) -> None:
    """Six hours in which nobody could send: one page each, with how many steps are overdue, and the newest word of a target."""
    levels = [
        Level(after_s=0, notify=("first",)),
        Level(after_s=15 * MIN, notify=("second",)),
        Level(after_s=30 * MIN, notify=("first", "third")),
    ]
    story = opened(
        catalog,
        levels=levels,
        severities={Severity.SEV2: {"notify": ("third", "press")}},
        conditions=[
            condition(Trigger.OPEN, for_s=4 * HOUR),
            Condition(id="also", when=(Trigger.OPEN,), for_s=HOUR, notify=("second",)),
        ],
    )
    story.sleep(until_s=6 * HOUR)
    story.tick(until_s=7 * HOUR)
    assert [who for _, _, who in story.told()] == ["first", "third", "second", "lead", "press"]
    assert {at_s for at_s, _, _ in story.told()} == {6 * HOUR}
    first = story.incident.raised["level-3"]
    assert first.overdue == 6
    assert why(story.incident, first) == "nobody has acknowledged yet (6 steps of the escalation are overdue)"
    assert reminded(story) == [("response", 100), ("resolution", 100)]


def test_an_outage_is_no_silence_of_whoever_acknowledged(catalog: Catalog) -> None:
    """They were not asked: they are asked now, and have their ten minutes."""
    story = opened(catalog, severities=CHECKED)
    story.tick(until_s=60)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.sleep(until_s=6 * HOUR)
    story.tick(until_s=6 * HOUR + 10 * MIN - 1)
    assert story.told()[1:] == [(6 * HOUR, "check-in", HOLDER.lower())]
    story.tick(until_s=6 * HOUR + 10 * MIN)
    assert story.told()[-1] == (6 * HOUR + 10 * MIN, "level-2", "second")


def test_a_minute_of_lateness_is_no_outage(catalog: Catalog) -> None:
    """Nobody reads of overdue steps because a replica was restarted."""
    story = confirmed(catalog)
    story.sleep(until_s=30)
    story.tick(until_s=31)
    assert story.incident.raised["level-1"].overdue == 1
    assert why(story.incident, story.incident.raised["level-1"]) == "you are on call"


# -- what became of a page -----------------------------------------------------------------------------------------


def followed_up(story: Story) -> list[str]:
    """The ids of the follow tasks."""
    return [identity for identity, task in story.tasks.items() if task.kind is TaskKind.FOLLOW]


def at_pagerduty(task: TaskRequest, incident: Incident) -> RecordPage:
    """Every page is an alert in PagerDuty."""
    return answered(task, via="pagerduty", reference=f"{task.data['key']}", follows=True)


def test_a_provider_is_told_once_that_somebody_has_it_and_once_that_it_is_over(catalog: Catalog) -> None:
    """And asked, before that, whether somebody acknowledged there."""
    story = opened(catalog)
    story.tick(until_s=1, answer=at_pagerduty)
    where = "inc-1:follow:level-1:first:pagerduty"
    assert followed_up(story) == [f"{where}:open"]
    story.do(Acknowledge(via="slack"), by=HOLDER)
    assert followed_up(story) == [f"{where}:acknowledged"]
    said = RecordFollowed(key="level-1", contact_id="first", via="pagerduty", wanted="acknowledged", ended=False)
    story.do(said, by=MUSTER, settling=f"{where}:acknowledged")
    assert followed_up(story) == []
    story.do(ChangeStatus(status=Status.RESOLVED))
    assert followed_up(story) == [f"{where}:over"]
    over = RecordFollowed(key="level-1", contact_id="first", via="pagerduty", wanted="over", ended=True)
    story.do(over, by=MUSTER, settling=f"{where}:over")
    assert followed_up(story) == []


def test_whoever_is_called_although_somebody_has_it_is_woken(catalog: Catalog) -> None:
    """Their alert is not acknowledged for them: no progress, and the secondary is to come."""
    story = confirmed(catalog, conditions=[condition(Trigger.NO_PROGRESS, for_s=30 * MIN)])
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.tick(until_s=31 * MIN, answer=at_pagerduty)
    assert followed_up(story) == ["inc-1:follow:it:lead:pagerduty:open"]
    story.do(Acknowledge(via="pagerduty"), by="contact:lead")
    assert story.incident.acknowledged
    assert story.incident.acknowledged.by == "contact:lead"
    assert followed_up(story) == ["inc-1:follow:it:lead:pagerduty:acknowledged"]


def test_an_alert_that_was_on_its_way_is_acknowledged_as_well(catalog: Catalog) -> None:
    """It was accepted a second after somebody had acknowledged in Slack; it does not ring on. What an acknowledgement does not
    stop does: it was tried until now."""
    severe = Condition(id="severe", when=(Trigger.SEV2,), notify=("lead",))
    story = confirmed(catalog, conditions=[severe])
    story.do(ReachDue(due_at=story.now), by=MUSTER, settling="inc-1:clock")
    tasks = [task for task in story.tasks.values() if task.kind is TaskKind.PAGE]
    story.do(Acknowledge(via="slack"), by=HOLDER, after_s=1)
    for task in tasks:
        story.do(at_pagerduty(task, story.incident), by=MUSTER, after_s=1)
    assert sorted(followed_up(story)) == [
        "inc-1:follow:level-1:first:pagerduty:acknowledged",
        "inc-1:follow:severe:lead:pagerduty:open",
    ]


def test_a_question_that_was_answered_elsewhere_stops_ringing(catalog: Catalog) -> None:
    """Asked through PagerDuty, answered by a button."""
    story = opened(catalog, severities=CHECKED)
    story.tick(until_s=1)
    story.do(Acknowledge(via="pagerduty"), by="contact:first")
    story.tick(until_s=31 * MIN, answer=at_pagerduty)
    assert followed_up(story) == ["inc-1:follow:check-in:first:pagerduty:open"]
    story.do(CheckIn())
    assert followed_up(story) == ["inc-1:follow:check-in:first:pagerduty:acknowledged"]


def test_a_call_that_rang_out_is_a_page_that_failed(catalog: Catalog) -> None:
    """The next way is tried at once, in an attempt of its own."""
    story = opened(catalog)
    story.tick(until_s=0, answer=lambda task, incident: answered(task, via="phone", reference="CA1", follows=True))
    assert story.due_s(TaskKind.FOLLOW) == [5]
    rang = RecordFollowed(key="level-1", contact_id="first", via="phone", wanted="open", ended=True, failure="no answer")
    story.do(rang, by=MUSTER, at_s=30, settling="inc-1:follow:level-1:first:phone:open")
    assert story.due_s(TaskKind.PAGE) == [30]
    assert followed_up(story) == []
    assert story.do(rang, by=MUSTER).facts == ()


# -- the tasks -----------------------------------------------------------------------------------------------------


def test_rebook_says_the_difference(catalog: Catalog) -> None:
    """What is new or moved is booked, what is gone is cancelled, what ends just now is booked again where it is wanted."""
    story = opened(catalog)
    before = tasks_of(story.incident)
    clock = before["inc-1:clock"]
    assert rebook({}, before) == ((clock,), ())
    assert rebook(before, {}) == ((), ("inc-1:clock",))
    assert rebook(before, {}, settling="inc-1:clock") == ((), ())
    assert rebook(before, before) == ((), ())
    assert rebook(before, before, settling="inc-1:clock") == ((clock,), ())
    moved = clock.model_copy(update={"due_at": story.moment(5)})
    assert rebook(before, {clock.id: moved}) == ((moved,), ())


EVERYTHING = [
    condition(Trigger.NO_PROGRESS, for_s=30 * MIN),
    Condition(id="severe", when=(Trigger.SEV1, Trigger.SECURITY), notify=("dba",)),
    Condition(id="impact", when=(Trigger.CUSTOMER_IMPACT, Trigger.MEDIA_ATTENTION), for_s=HOUR, notify=("press", "first")),
    Condition(id="long", when=(Trigger.OPEN,), for_s=4 * HOUR, until="acknowledged", notify=("third",)),
    Condition(id="missed", when=(Trigger.RESPONSE_BREACHED, Trigger.RESOLUTION_BREACHED), for_s=MIN, notify=("lead",)),
]
EVERY_SEVERITY: dict[Severity, dict[str, Any]] = {
    Severity.SEV1: {"notify": ("press",), "check_in_after_s": 20 * MIN},
    Severity.SEV2: {"standby": ("second",), "check_in_after_s": HOUR, "check_in_wait_s": 5 * MIN},
    Severity.SEV3: {"page": "business_hours", "notify": ("first",)},
    Severity.SEV4: {"page": "never"},
}
commands = st.one_of(
    st.sampled_from(
        [
            Acknowledge(via="slack"),
            CheckIn(),
            Escalate(),
            Escalate(level=1),
            Escalate(level=3),
            Escalate(contact_id="dba"),
            ChooseRunbook(runbook_id="other"),
            TickStep(step_id="confirm"),
            Note(text="found something"),
        ]
    ),
    st.builds(ChangeSeverity, severity=st.sampled_from(list(Severity))),
    st.builds(ChangeStatus, status=st.sampled_from([*list(Status)[:5], Status.RESOLVED, Status.INVESTIGATING])),
    st.builds(ChangeImpact, impact=st.sampled_from(list(Impact)), on=st.booleans()),
)
speakers = st.sampled_from([HOLDER, "U0OTHER", "contact:first", "contact:lead", "terminal"])
fates = st.sampled_from(["accepted", "accepted", "followed", "refused", "passing", "next way"])
ends = st.sampled_from(["nothing", "known", "ended", "no answer"])
"""What providers say of the pages that they took."""
minutes = st.sampled_from([0, 1, 4, 5, 11, 30, 61, 400])


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    history=st.lists(
        st.tuples(commands, speakers, minutes, st.lists(fates, min_size=1, max_size=6), st.booleans(), ends), max_size=14
    ),
    severity=st.sampled_from(list(Severity)),
    several=st.booleans(),
)
def test_no_history_loses_a_task_or_runs_in_circles(
    catalog: Catalog, history: list[tuple[Command, str, int, list[str], bool, str]], severity: Severity, several: bool
) -> None:
    """Whatever is done, and whatever becomes of the pages: ``Story`` compares the tasks after each decision with the state and
    finds a clock that changes nothing; nobody who was reached, or need not be told, has a page waiting."""
    files = made(catalog, severity=severity, severities=EVERY_SEVERITY, conditions=EVERYTHING)
    files = another_runbook(files, "other", security=True)
    story = Story(files)
    story.open(*(A_RUNBOOK, "other")[: 1 + several])
    for command, by, after_min, fate, outage, end in history:
        end_s = (story.now - story.moment(0)).total_seconds() + after_min * MIN
        if outage:
            story.sleep(until_s=end_s)
        else:
            story.tick(until_s=end_s, answer=_fated(fate))
        with contextlib.suppress(UserError):
            story.do(command, by=by)
        _follow(story, end)
        _check(story)
    before = len(story.entries)
    story.tick(until_s=(story.now - story.moment(0)).total_seconds() + 12 * HOUR)
    _check(story)
    assert len(story.entries) - before < 60, "half a day in which everybody is reached at once has an end"


def _follow(story: Story, end: str) -> None:
    """Every page that has a later fate is followed once."""
    for task in [one for one in story.tasks.values() if one.kind is TaskKind.FOLLOW] if end != "nothing" else []:
        key, contact_id, via, wanted = (str(task.data[name]) for name in ("key", "contact_id", "via", "wanted"))
        failure = "no answer" if end == "no answer" else ""
        said = RecordFollowed(key=key, contact_id=contact_id, via=via, wanted=wanted, ended=end != "known", failure=failure)  # type: ignore[arg-type]
        story.do(said, by=MUSTER, settling=task.id)
        assert task.id not in story.tasks, "a page is followed in circles"


def _fated(fate: list[str]) -> Any:
    """A way whose answers come in this order, over and over."""
    left = [*fate]

    def answer(task: TaskRequest, incident: Incident) -> RecordPage:
        left.append(left.pop(0))
        attempt = int(str(task.data["attempt"]))
        match left[-1] if attempt < 8 else "accepted":
            case "refused":
                return answered(task, failure="refused")
            case "passing":
                return answered(task, failure="not now", passing=True)
            case "next way":
                return answered(task, via="phone", failure="busy", passing=True, exhausted=False)
            case "followed":
                return answered(task, via="pagerduty", reference=task.id, follows=True)
        return accepted(task, incident)

    return answer


def _check(story: Story) -> None:
    incident = story.incident
    for task in story.tasks.values():
        if task.kind is TaskKind.PAGE:
            key, contact_id = str(task.data["key"]), str(task.data["contact_id"])
            attempts = incident.attempts(key, contact_id)
            assert not attempts or attempts[-1].failure, "somebody who was reached has a page waiting"
            assert is_wanted(incident, incident.raised[key])
            assert not (incident.acknowledged and incident.raised[key].alarm.until == "acknowledged")
    if incident.is_over:
        assert not any(task.kind in (TaskKind.PAGE, TaskKind.CLOCK) for task in story.tasks.values())
    elif waiting_alarms(incident):
        assert "inc-1:clock" in story.tasks
    keys = [fact.key for fact in story.facts(AlarmRaised)]
    assert len(keys) == len(set(keys)), "two alarms under one key"


def test_every_way_is_known_to_the_stories() -> None:
    """A new way of reaching people needs a thought here: does it have a later fate?"""
    assert set(Way) == {Way.SLACK, Way.PAGERDUTY, Way.PHONE, Way.SMS, Way.EMAIL}
