"""The checklist: ticking, skipping, branching, and what the evidence suggests."""

from __future__ import annotations

import pytest

from bot.domain import checklist
from bot.domain.catalog import Catalog
from bot.domain.checklist import StepStatus
from bot.domain.commands import ChooseBranch, RecordDiagnostic, RunDiagnostics, SkipStep, TickStep, UntickStep
from bot.domain.errors import UserError
from bot.domain.outcome import Outcome, State
from tests.domain.story import Story

OUTAGE = "clerk-auth-outage"


@pytest.fixture
def story(catalog: Catalog) -> Story:
    """An auth outage that was just opened."""
    made = Story(catalog)
    made.open(OUTAGE)
    return made


def status(story: Story, step_id: str) -> StepStatus:
    line = checklist.find_line(story.incident, step_id)
    assert line
    return line.status


def test_a_step_is_ticked_once_and_says_by_whom(story: Story) -> None:
    """Who and when are part of the record; the second tick is refused with both."""
    story.do(TickStep(step_id="confirm"), by="U2", after_s=60)
    mark = story.incident.steps["confirm"]
    assert (mark.moment.by, mark.moment.at) == ("U2", story.now)
    with pytest.raises(UserError, match="already done by <@U2>"):
        story.do(TickStep(step_id="confirm"), by="U3")


def test_a_tick_can_be_taken_back(story: Story) -> None:
    """And only where there is one."""
    story.do(TickStep(step_id="confirm"))
    story.do(UntickStep(step_id="confirm"))
    assert status(story, "confirm") is StepStatus.OPEN
    with pytest.raises(UserError, match="already open"):
        story.do(UntickStep(step_id="confirm"))


def test_skipping_needs_a_reason(story: Story) -> None:
    """The reason is part of the record; white space is none."""
    with pytest.raises(UserError, match="reason"):
        story.do(SkipStep(step_id="logs", reason=" \u200b "))
    story.do(SkipStep(step_id="logs", reason="no logs today"))
    assert status(story, "logs") is StepStatus.SKIPPED
    assert story.incident.steps["logs"].reason == "no logs today"


def test_the_steps_of_a_branch_appear_when_it_is_chosen(story: Story) -> None:
    """Before that they are neither shown nor tickable."""
    before = {line.step.id for line in checklist.lines(story.incident)}
    with pytest.raises(UserError, match="not part of this checklist"):
        story.do(TickStep(step_id="bypass"))
    story.do(ChooseBranch(step_id="cause", branch_id="clerk-outage"))
    after = {line.step.id for line in checklist.lines(story.incident)}
    assert "bypass" in after - before
    story.do(TickStep(step_id="bypass"))


def test_a_choice_is_made_by_choosing(story: Story) -> None:
    """It cannot be ticked, a way that is not there cannot be taken, and another way may be taken later."""
    with pytest.raises(UserError, match="choosing"):
        story.do(TickStep(step_id="cause"))
    with pytest.raises(UserError, match="no such way"):
        story.do(ChooseBranch(step_id="cause", branch_id="aliens"))
    story.do(ChooseBranch(step_id="cause", branch_id="clerk-outage"))
    with pytest.raises(UserError, match="already chosen"):
        story.do(ChooseBranch(step_id="cause", branch_id="clerk-outage"))
    story.do(ChooseBranch(step_id="cause", branch_id="application"))
    assert checklist.find_line(story.incident, "bypass") is None
    story.do(UntickStep(step_id="cause"))
    assert checklist.find_line(story.incident, "deployments") is None


@pytest.mark.parametrize(
    ("diagnostic", "state", "suggested"),
    [
        ("status", State.FAILING, "clerk-outage"),
        ("status", State.OK, None),
        ("status", State.UNKNOWN, None),
        ("health", State.FAILING, "application"),
    ],
)
def test_the_evidence_suggests_a_branch(story: Story, diagnostic: str, state: State, suggested: str | None) -> None:
    """Only a reading that says so: unknown suggests nothing."""
    outcome = Outcome(state=state, summary="seen")
    story.do(RecordDiagnostic(diagnostic_id=diagnostic, round=1, outcome=outcome), by="muster")
    line = checklist.find_line(story.incident, "cause")
    assert line
    branch = checklist.suggested_branch(story.incident, line.step)
    assert (branch.id if branch else None) == suggested


def test_progress_counts_what_is_visible(story: Story) -> None:
    """Done and skipped count; a chosen branch adds its steps."""
    done, total = checklist.progress(story.incident)
    assert done == 0
    story.do(TickStep(step_id="confirm"))
    story.do(SkipStep(step_id="logs", reason="none"))
    assert checklist.progress(story.incident) == (2, total)
    story.do(ChooseBranch(step_id="cause", branch_id="clerk-outage"))
    assert checklist.progress(story.incident) == (3, total + 3)


def test_the_next_step_is_the_first_open_one(story: Story) -> None:
    """What to do next, in order."""
    first = checklist.next_line(story.incident)
    assert first is not None
    assert first.step.id == "confirm"
    story.do(TickStep(step_id="confirm"))
    second = checklist.next_line(story.incident)
    assert second is not None
    assert second.step.id == "logs"


def test_a_second_reading_of_a_round_is_dropped(story: Story) -> None:
    """Of a worker that was stopped, lost its lease and woke up late."""
    first, second = (Outcome(state=state, summary="seen") for state in (State.OK, State.UNKNOWN))
    story.do(RecordDiagnostic(diagnostic_id="status", round=1, outcome=first))
    assert story.do(RecordDiagnostic(diagnostic_id="status", round=1, outcome=second)).facts == ()
    assert story.incident.readings["status"].outcome == first
    story.do(RunDiagnostics())
    assert story.do(RecordDiagnostic(diagnostic_id="status", round=2, outcome=second)).facts != ()


def test_a_reading_of_an_old_round_is_dropped(story: Story) -> None:
    """A slow answer of the first round does not cover the second."""
    story.do(RunDiagnostics())
    outcome = Outcome(state=State.OK, summary="old")
    assert story.do(RecordDiagnostic(diagnostic_id="status", round=1, outcome=outcome)).facts == ()
