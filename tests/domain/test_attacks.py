"""Ways in which somebody was once never told, or told too much; each was found by attacking the escalation, and is shut."""

from __future__ import annotations

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    Acknowledge,
    ChangeSeverity,
    ChangeStatus,
    ChooseRunbook,
    ReachDue,
    RecordFollowed,
    RecordPage,
)
from bot.domain.escalation import Condition, Level, RunbookEscalation, Trigger
from bot.domain.facts import AlarmRaised, Status
from bot.domain.incident import Incident
from bot.domain.room import desired_room
from bot.domain.severity import Severity
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import MUSTER
from tests.domain.story import A_RUNBOOK, HOLDER, Story, another_runbook, answered, made, person

MIN, HOUR = 60, 3600
IN_HOURS = {Severity.SEV3: {"page": "business_hours"}, Severity.SEV4: {"page": "never"}}


def confirmed(catalog: Catalog, **fields: object) -> Story:
    """An incident that somebody confirmed at once."""
    story = Story(made(catalog, **fields))  # type: ignore[arg-type]
    story.open(A_RUNBOOK)
    story.do(ChangeStatus(status=Status.INVESTIGATING))
    return story


def refused(task: TaskRequest, incident: Incident) -> RecordPage:
    """A call that nobody takes, as if it were refused for now."""
    return answered(task, via="phone", failure="nobody answered", passing=True, exhausted=True)


def pages_due(story: Story) -> list[str]:
    """The contacts for whom a page is booked."""
    return [str(task.data["contact_id"]) for task in story.tasks.values() if task.kind is TaskKind.PAGE]


def test_a_call_that_was_taken_back_is_made_again_when_nobody_has_it_any_more(catalog: Catalog) -> None:
    """It rang when somebody else acknowledged; they fell asleep, and whoever was called first was never reached."""
    checked = {Severity.SEV2: {"check_in_after_s": 30 * MIN, "check_in_wait_s": 10 * MIN}}
    story = confirmed(catalog, severities=checked)
    story.do(ReachDue(due_at=story.now), by=MUSTER)
    task = next(task for task in story.tasks.values() if task.kind is TaskKind.PAGE)
    story.do(answered(task, via="phone", reference="CA1", follows=True), by=MUSTER)
    story.do(Acknowledge(via="slack"), by=HOLDER, after_s=5)
    taken_back = RecordFollowed(
        key="level-1", contact_id="first", via="phone", wanted="acknowledged", ended=False, taken_back=True
    )
    story.do(taken_back, by=MUSTER)
    assert pages_due(story) == []
    story.tick(until_s=45 * MIN, answer=lambda task, incident: answered(task))
    assert [who for _, _, who in story.told()].count("first") == 2


def test_whom_only_the_chosen_runbook_names_in_a_condition_is_told(catalog: Catalog) -> None:
    """The condition was told before by the policy of another runbook, without them."""
    severe = Condition(id="severe", when=(Trigger.SEV2,), notify=("lead",))
    files = made(catalog, conditions=[severe], contacts=[person("dba")])
    changed = RunbookEscalation(conditions=(severe.model_copy(update={"notify": ("dba", "lead")}),))
    story = Story(another_runbook(files, "other", escalation=changed))
    story.open(A_RUNBOOK, "other")
    story.do(ChangeStatus(status=Status.INVESTIGATING))
    story.tick(until_s=MIN)
    story.do(ChooseRunbook(runbook_id="other"))
    story.tick(until_s=2 * MIN)
    told = [who for _, _, who in story.told()]
    assert (told.count("lead"), told.count("dba")) == (1, 1)


def test_what_an_acknowledgement_does_not_stop_is_not_swallowed_by_what_it_stops(catalog: Catalog) -> None:
    """Two alarms for one person at one moment, and an acknowledgement before the page went out."""
    levels = [Level(after_s=0, notify=("first",)), Level(after_s=15 * MIN, notify=("second",))]
    still_open = Condition(id="long", when=(Trigger.OPEN,), for_s=15 * MIN, until="resolved", notify=("second",))
    story = confirmed(catalog, levels=levels, conditions=[still_open])
    story.tick(until_s=MIN)
    story.sleep(until_s=15 * MIN)
    story.do(ReachDue(due_at=story.now), by=MUSTER)
    raised = {fact.key: fact.contact_ids for fact in story.facts(AlarmRaised)}
    assert (raised["level-2"], raised["long"]) == ((), ("second",))
    story.do(Acknowledge(via="slack"), by=HOLDER)
    assert pages_due(story) == ["second"]


def test_all_hands_stay_out_of_a_private_room(catalog: Catalog) -> None:
    """Whom the severity invites comes into the rooms that everybody may see, and into no other one."""
    invited = {Severity.SEV1: {"invite": ("engineering",)}}
    for private in (False, True):
        story = Story(made(catalog, severity=Severity.SEV1, severities=invited, contacts=[person("engineering")]))
        story.open(A_RUNBOOK, private=private)
        story.do(Acknowledge(via="slack"), by=HOLDER)
        assert ("@engineering" in desired_room(story.incident).contact_handles) is not private


def test_nobody_is_rung_on_after_the_severity_has_become_a_ticket(catalog: Catalog) -> None:
    """Whoever could not be reached while it paged is not tried again when it does not any more."""
    story = confirmed(catalog, severities=IN_HOURS)
    story.tick(until_s=10, answer=refused)
    assert pages_due(story)
    story.do(ChangeSeverity(severity=Severity.SEV4))
    assert pages_due(story) == []


def test_a_ticket_that_becomes_a_matter_for_business_hours_pages_one_level_after_the_other(catalog: Catalog) -> None:
    """After two days not all levels at once: the ladder begins with the change."""
    story = confirmed(catalog, severity=Severity.SEV4, severities=IN_HOURS)
    story.sleep(until_s=4 * 24 * HOUR)  # Tuesday, three in the morning
    story.do(ChangeSeverity(severity=Severity.SEV3))
    story.tick(until_s=5 * 24 * HOUR)
    told = [(at_s / MIN, who) for at_s, _, who in story.told()]
    start = told[0][0]
    assert [(minute - start, who) for minute, who in told] == [(0, "first"), (15, "second"), (30, "third")]


def test_whoever_takes_no_call_is_called_three_times_and_told_of_once_in_the_room(catalog: Catalog) -> None:
    """A night of calls that nobody takes neither rings for ever nor fills the room."""
    levels = [Level(after_s=0, notify=("first",))]
    story = confirmed(catalog, levels=levels)
    calls = 0

    def rings(task: TaskRequest, incident: Incident) -> RecordPage:
        nonlocal calls
        tried = incident.attempts("level-1", "first")
        if tried and not tried[-1].passing:
            return answered(task, via="", failure="every way was tried", passing=False, exhausted=True)
        calls += 1
        return answered(task, via="phone", reference=f"CA{calls}", follows=True)

    for second in range(0, 3 * HOUR, 30):
        story.tick(until_s=second, answer=rings)
        following = [task for task in story.tasks.values() if task.kind is TaskKind.FOLLOW]
        if following:
            followed = RecordFollowed(
                key="level-1", contact_id="first", via="phone", wanted="open", ended=True, failure="nobody answered"
            )
            story.do(followed, by=MUSTER)
    assert calls == 3
    assert len(story.incident.pages) < 10


def test_what_is_over_is_told_to_the_provider_also_when_it_is_reopened_at_once(catalog: Catalog) -> None:
    """The alert of before the reopening is closed there; the new one has a key of its own."""
    story = confirmed(catalog)
    story.do(ReachDue(due_at=story.now), by=MUSTER)
    task = next(task for task in story.tasks.values() if task.kind is TaskKind.PAGE)
    story.do(answered(task, via="pagerduty", reference="k", follows=True), by=MUSTER)
    story.do(ChangeStatus(status=Status.RESOLVED))
    story.do(ChangeStatus(status=Status.INVESTIGATING), after_s=1)
    assert [task.data["wanted"] for task in story.tasks.values() if task.kind is TaskKind.FOLLOW] == ["over"]
