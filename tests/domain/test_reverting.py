"""What takes itself back: booked with the confirmation, due early when somebody wants it, never forgotten, loud when it fails."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    ChangeStatus,
    ConfirmRun,
    DenyRun,
    RecordPreview,
    RecordRevert,
    RecordRun,
    RequestRun,
    RevertNow,
)
from bot.domain.errors import UserError
from bot.domain.facts import Status
from bot.domain.outcome import Outcome, Preview, Risk, State
from tests.domain.story import Story

ON = Outcome(state=State.OK, summary="The bypass is on")
OFF = Outcome(state=State.OK, summary="The bypass was seen off")
STILL_ON = Outcome(state=State.FAILING, summary="The bypass is still on")
TASK = "inc-1:revert:r1"
REQUEST = RequestRun(
    step_id="revoke",
    action="clerk.revoke_sessions",
    title="Emergency bypass",
    risk=Risk.DESTRUCTIVE,
    params={"user_id": "user_2demo"},
    undo="clerk.emergency_bypass_off",
    revert_after_s=3600,
)
UNDO = RequestRun(
    step_id="revoke", action="clerk.emergency_bypass_off", title="Bypass off", risk=Risk.CHANGE, params={}, undoes="r1"
)


@pytest.fixture
def story(catalog: Catalog) -> Story:
    """Somebody approved something that takes itself back after an hour; it has not begun."""
    made = Story(catalog)
    made.open("clerk-security-incident")
    made.do(REQUEST, by="U1")
    made.do(RecordPreview(run_id="r1", preview=Preview(summary="Every route opens")), by="muster")
    assert TASK not in made.tasks
    made.do(ConfirmRun(run_id="r1"), by="U2")
    return made


def test_it_is_booked_before_the_first_call(story: Story) -> None:
    """A4: in the very write of the confirmation, an hour later."""
    confirmed = story.incident.runs["r1"].confirmed
    assert confirmed
    assert story.tasks[TASK].due_at == confirmed.at + timedelta(hours=1)
    story.do(RecordRun(run_id="r1", outcome=ON), by="muster")
    assert TASK in story.tasks


def test_it_stays_booked_when_the_run_failed_or_nobody_knows(story: Story) -> None:
    """A part of it may have been done."""
    story.do(RecordRun(run_id="r1", outcome=Outcome(state=State.UNKNOWN, summary="no answer")), by="muster")
    assert TASK in story.tasks


def test_now_instead_of_later(story: Story) -> None:
    """By its button."""
    story.do(RecordRun(run_id="r1", outcome=ON), by="muster")
    story.do(RevertNow(run_id="r1"), by="U3", after_s=60)
    assert story.tasks[TASK].due_at == story.now
    with pytest.raises(UserError, match="is being taken back"):
        story.do(RevertNow(run_id="r1"), by="U3")


def test_a_denial_in_the_middle_takes_back_what_may_have_begun(story: Story) -> None:
    """It is due at once."""
    story.do(DenyRun(run_id="r1"), by="U3", after_s=5)
    assert story.tasks[TASK].due_at == story.now


def test_it_ends_when_it_was_seen(story: Story) -> None:
    """And says so in the room."""
    story.do(RecordRun(run_id="r1", outcome=ON), by="muster")
    story.do(RecordRevert(run_id="r1", outcome=OFF), by="muster", after_s=3600, settling=TASK)
    assert TASK not in story.tasks
    assert story.incident.news[-1].fact.kind == "run_reverted"
    assert story.do(RecordRevert(run_id="r1", outcome=OFF), by="muster").facts == ()
    with pytest.raises(UserError, match="nothing to take back"):
        story.do(RevertNow(run_id="r1"))


def test_by_hand_counts_too(story: Story) -> None:
    """The undo of a run, seen to have worked, ends what would have happened by itself."""
    story.do(RecordRun(run_id="r1", outcome=ON), by="muster")
    story.do(UNDO, by="U1")
    story.do(RecordPreview(run_id="r2", preview=Preview(summary="It closes")), by="muster")
    story.do(ConfirmRun(run_id="r2"), by="U1")
    story.do(RecordRun(run_id="r2", outcome=OFF), by="muster")
    assert TASK not in story.tasks
    assert story.incident.runs["r1"].reverted == OFF
    with pytest.raises(UserError, match="taken back already"):
        story.do(UNDO, by="U1")


def test_only_what_ran_can_be_undone(story: Story) -> None:
    """And only by the action that takes it back."""
    from dataclasses import replace

    story.do(RecordRun(run_id="r1", outcome=ON), by="muster")
    for forged in (replace(UNDO, undoes="r9"), replace(UNDO, action="vercel.rollback"), replace(UNDO, step_id="lock")):
        with pytest.raises(UserError, match="nothing here that this takes back"):
            story.do(forged)


def test_failures_are_tried_again_and_call_people(story: Story) -> None:
    """Every 30 s, for ever; after three the first level is paged, after six the second too."""
    story.do(RecordRun(run_id="r1", outcome=ON), by="muster")
    told: list[tuple[str, ...]] = []
    for number in range(1, 7):
        decision = story.do(
            RecordRevert(run_id="r1", outcome=STILL_ON), by="muster", after_s=30 if number > 1 else 3600, settling=TASK
        )
        assert story.tasks[TASK].due_at == story.now + timedelta(seconds=30)
        told += [fact.contact_ids for fact in decision.facts if fact.kind == "alarm_raised"]
    assert len(told) == 2
    assert set(told[0]) < set(told[1])
    assert sum(news.fact.kind == "revert_failed" for news in story.incident.news) == 1


def test_resolving_closes_what_was_opened_for_it(story: Story) -> None:
    """At once; and when that does not work, the incident is not over."""
    story.do(RecordRun(run_id="r1", outcome=ON), by="muster")
    story.do(ChangeStatus(status=Status.RESOLVED), by="U1", after_s=60)
    assert story.tasks[TASK].due_at == story.now
    with pytest.raises(UserError, match="not taken back yet"):
        story.do(ChangeStatus(status=Status.CLOSED), by="U1")
    for _ in range(3):
        story.do(RecordRevert(run_id="r1", outcome=STILL_ON), by="muster", after_s=30, settling=TASK)
    assert story.incident.status is Status.INVESTIGATING
    assert any(task.startswith("inc-1:g") and ":page:" in task for task in story.tasks)
    story.do(RecordRevert(run_id="r1", outcome=OFF), by="muster", settling=TASK)
    story.do(ChangeStatus(status=Status.RESOLVED), by="U1")
    story.do(ChangeStatus(status=Status.CLOSED), by="U1")


def test_what_is_on_is_not_turned_on_a_second_time(story: Story) -> None:
    """The end of the first one would end the second one too, which says another time."""
    from dataclasses import replace

    story.do(RecordRun(run_id="r1", outcome=ON), by="muster")
    for again in (REQUEST, replace(REQUEST, step_id="lock")):
        with pytest.raises(UserError, match=r"is on already|does not run this action"):
            story.do(again, by="U1")
    story.do(RecordRevert(run_id="r1", outcome=OFF), by="muster", after_s=3600, settling=TASK)
    story.do(REQUEST, by="U1")
    assert "r2" in story.incident.runs
