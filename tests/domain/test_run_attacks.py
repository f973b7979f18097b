"""Attacks on what a run leaves behind: what cannot be taken back calls people, whatever became of its incident."""

from __future__ import annotations

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import BreakGlass, ChangeStatus, ConfirmRun, RecordPreview, RecordRevert, RecordRun, RequestRun
from bot.domain.errors import ForbiddenError, UserError
from bot.domain.facts import Status
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.domain.room import desired_room
from tests.domain.story import Story

ON = Outcome(state=State.OK, summary="The bypass is on")
STILL_ON = Outcome(state=State.FAILING, summary="The bypass is still on")
TASK = "inc-1:revert:r1"
BYPASS = RequestRun(
    step_id="revoke",
    action="clerk.revoke_sessions",
    title="Emergency bypass",
    risk=Risk.DESTRUCTIVE,
    params={"user_id": "user_2demo"},
    undo="clerk.emergency_bypass_off",
    revert_after_s=3600,
)
OPENS = Preview(summary="Every route opens")


@pytest.fixture
def story(catalog: Catalog) -> Story:
    """Something that takes itself back is on, in an incident in triage."""
    made = Story(catalog)
    made.open("clerk-security-incident")
    made.do(BYPASS, by="U1")
    made.do(RecordPreview(run_id="r1", preview=OPENS), by="muster")
    made.do(ConfirmRun(run_id="r1"), by="U2")
    made.do(RecordRun(run_id="r1", outcome=ON), by="muster")
    return made


@pytest.mark.parametrize("status", [Status.RESOLVED, Status.FALSE_POSITIVE])
def test_what_stays_on_behind_an_incident_that_is_over_calls_people(story: Story, status: Status) -> None:
    """Also when it was recorded as not an incident: nobody is called for what is over, so it is not over."""
    story.do(ChangeStatus(status=status), by="U1", after_s=60)
    for _ in range(3):
        story.do(RecordRevert(run_id="r1", outcome=STILL_ON), by="muster", after_s=30, settling=TASK)
    assert story.incident.status is Status.INVESTIGATING
    assert any(":page:revert-r1:" in task for task in story.tasks)
    assert TASK in story.tasks


def test_the_room_stays_open_as_long_as_something_is_on(story: Story) -> None:
    """Where “could not be taken back” is said, and the button to turn it off is, must not be archived with “not an incident”."""
    story.do(ChangeStatus(status=Status.FALSE_POSITIVE), by="U1", after_s=60)
    assert not desired_room(story.incident).archived
    off = Outcome(state=State.OK, summary="It was seen off")
    story.do(RecordRevert(run_id="r1", outcome=off), by="muster", after_s=30, settling=TASK)
    assert desired_room(story.incident).archived


def test_the_reopening_takes_no_key_that_another_incident_may_hold(story: Story) -> None:
    """A refused key would refuse the record of the failure, and with it the page."""
    story.do(ChangeStatus(status=Status.RESOLVED), by="U1", after_s=60)
    decisions = [story.do(RecordRevert(run_id="r1", outcome=STILL_ON), by="muster", after_s=30, settling=TASK) for _ in range(3)]
    assert any(fact.kind == "alarm_raised" for fact in decisions[-1].facts)
    assert decisions[-1].claims == ()


def test_one_attempt_that_takes_a_quarter_of_an_hour_calls_people(story: Story) -> None:
    """A build that hangs: every route is open past its time, and three such attempts would be forty minutes."""
    first = story.do(RecordRevert(run_id="r1", outcome=STILL_ON), by="muster", after_s=3600 + 780, settling=TASK)
    assert any(fact.kind == "alarm_raised" for fact in first.facts)
    second = story.do(RecordRevert(run_id="r1", outcome=STILL_ON), by="muster", after_s=780, settling=TASK)
    assert [fact.kind for fact in second.facts] == ["revert_failed"]
    assert TASK in story.tasks


def test_what_is_taken_back_needs_a_second_person_where_taking_it_back_is_destructive(catalog: Catalog) -> None:
    """An undo is a run like any other: whoever asked for it cannot approve it, and its parameters are in its digest."""
    story = Story(catalog)
    story.open("clerk-security-incident")
    story.do(
        RequestRun(
            step_id="revoke",
            action="clerk.revoke_sessions",
            title="Roll back",
            risk=Risk.CHANGE,
            params={"user_id": "user_2demo"},
            undo="vercel.promote",
        )
    )
    story.do(RecordPreview(run_id="r1", preview=OPENS), by="muster")
    story.do(ConfirmRun(run_id="r1"))
    story.do(RecordRun(run_id="r1", outcome=ON), by="muster")
    story.do(
        RequestRun(
            step_id="revoke",
            action="vercel.promote",
            title="Promote",
            risk=Risk.DESTRUCTIVE,
            params={"deployment_id": "dpl_1"},
            undoes="r1",
        ),
        by="U1",
    )
    story.do(RecordPreview(run_id="r2", preview=OPENS), by="muster")
    with pytest.raises(ForbiddenError, match="second person"):
        story.do(ConfirmRun(run_id="r2"), by="U1")
    with pytest.raises(UserError, match="Somebody may still approve"):
        story.do(BreakGlass(run_id="r2", reason="I want to"), by="U1")
    assert story.incident.runs["r2"].confirmed is None


def test_an_approval_does_not_survive_the_end_of_the_incident_and_its_expiry(catalog: Catalog) -> None:
    """Asked for, resolved, reopened an hour later: what was shown then is not confirmed now."""
    story = Story(catalog)
    story.open("clerk-security-incident")
    story.do(BYPASS, by="U1")
    story.do(RecordPreview(run_id="r1", preview=OPENS), by="muster")
    story.do(ChangeStatus(status=Status.RESOLVED), by="U1")
    with pytest.raises(UserError, match="reopen"):
        story.do(ConfirmRun(run_id="r1"), by="U2")
    story.do(ChangeStatus(status=Status.INVESTIGATING), by="U1", after_s=3600)
    with pytest.raises(UserError, match="too long ago"):
        story.do(ConfirmRun(run_id="r1"), by="U2")
    assert TASK not in story.tasks


def test_the_clock_does_not_run_in_circles_for_a_preview_that_expires_behind_the_end(catalog: Catalog) -> None:
    """The incident is over while a preview waits: it expires once, and nothing rings any more."""
    story = Story(catalog)
    story.open("clerk-security-incident")
    story.do(BYPASS, by="U1")
    story.do(RecordPreview(run_id="r1", preview=OPENS), by="muster")
    story.do(ChangeStatus(status=Status.FALSE_POSITIVE), by="U1")
    story.tick(until_s=24 * 3600)
    assert story.incident.runs["r1"].expired_at
    assert "inc-1:clock" not in story.tasks
