"""The second person: who may confirm what nobody may do alone, until when, and what is never done whoever agrees."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    BreakGlass,
    CancelRun,
    ConfirmRun,
    DenyRun,
    ReachDue,
    RecordPreview,
    RecordRun,
    RequestRun,
    StopRun,
)
from bot.domain.errors import ForbiddenError, UserError
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.domain.policy import ActionPolicy
from tests.domain.story import Story

PREVIEW = Preview(summary="user_2demo is banned", items=("sess_1",), confirm_label="Ban", accounts=("user_2demo",), affects=1)
DONE = Outcome(state=State.OK, summary="user_2demo is banned")
POLICY = ActionPolicy(approval_s=900, break_glass_s=300, most_accounts=50, protected_accounts=("user_2root",))
BAN = RequestRun(
    step_id="revoke",
    action="clerk.revoke_sessions",
    title="Ban the user",
    risk=Risk.DESTRUCTIVE,
    params={"user_id": "user_2demo"},
)


@pytest.fixture
def story(catalog: Catalog) -> Story:
    """A security incident in which U1 asked for something that nobody may do alone."""
    made = Story(replace(catalog, policy=POLICY))
    made.open("clerk-security-incident")
    made.do(BAN, by="U1")
    return made


@pytest.fixture
def waiting(story: Story) -> Story:
    """… and which was previewed."""
    story.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    return story


def test_somebody_else_approves(waiting: Story) -> None:
    """Whoever asked cannot, and nothing is booked for trying."""
    with pytest.raises(ForbiddenError, match="second person"):
        waiting.do(ConfirmRun(run_id="r1"), by="U1")
    assert "inc-1:run:r1" not in waiting.tasks
    waiting.do(ConfirmRun(run_id="r1"), by="U2")
    assert "inc-1:run:r1" in waiting.tasks
    assert waiting.incident.runs["r1"].break_glass == ""


def test_no_beats_yes(waiting: Story) -> None:
    """Approved and denied at the same moment, in either order: it does not run, and a second yes does not bring it back."""
    waiting.do(ConfirmRun(run_id="r1"), by="U2")
    waiting.do(DenyRun(run_id="r1", reason="wrong user"), by="U3")
    assert "inc-1:run:r1" not in waiting.tasks
    run = waiting.incident.runs["r1"]
    assert (run.is_open, run.denied_why) == (False, "wrong user")
    with pytest.raises(UserError, match="denied by <@U3>"):
        waiting.do(ConfirmRun(run_id="r1"), by="U2")
    with pytest.raises(UserError, match="over already"):
        waiting.do(DenyRun(run_id="r1"), by="U2")


def test_what_had_begun_when_it_was_denied_is_on_record(waiting: Story) -> None:
    """It was fenced in the middle; what it had done is a fact all the same."""
    waiting.do(ConfirmRun(run_id="r1"), by="U2")
    waiting.do(DenyRun(run_id="r1"), by="U3")
    waiting.do(RecordRun(run_id="r1", outcome=DONE), by="muster")
    assert waiting.incident.runs["r1"].outcome == DONE


def test_a_preview_expires(waiting: Story) -> None:
    """Nobody answered: the clock says so, and a late click does nothing."""
    waiting.now += timedelta(seconds=901)
    with pytest.raises(UserError, match="too long ago"):
        waiting.do(ConfirmRun(run_id="r1"), by="U2")
    waiting.do(ReachDue(due_at=waiting.now), by="muster")
    assert waiting.incident.runs["r1"].expired_at
    with pytest.raises(UserError, match="Nobody confirmed"):
        waiting.do(ConfirmRun(run_id="r1"), by="U2")
    waiting.do(BAN, by="U1")
    assert "r2" in waiting.incident.runs


def test_the_clock_rings_when_a_preview_expires(story: Story) -> None:
    """It is booked by the preview itself."""
    before = story.tasks["inc-1:clock"].due_at
    story.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    expires_at = story.incident.runs["r1"].expires_at
    assert expires_at
    assert story.tasks["inc-1:clock"].due_at == min(before, expires_at)


# -- breaking the glass --------------------------------------------------------------------------------------------------


def test_nobody_goes_on_alone_before_others_had_time_to_answer(waiting: Story) -> None:
    """Nor without saying why."""
    with pytest.raises(UserError, match="in 300 s"):
        waiting.do(BreakGlass(run_id="r1", reason="nobody is awake"), by="U1")
    with pytest.raises(UserError, match="Say why"):
        waiting.do(BreakGlass(run_id="r1", reason=" \u200b"), by="U1", after_s=301)
    assert "inc-1:run:r1" not in waiting.tasks


def test_after_that_a_reason_is_enough_and_on_record(waiting: Story) -> None:
    """The same goes for a team of one, at once."""
    waiting.do(BreakGlass(run_id="r1", reason="nobody is awake"), by="U1", after_s=301)
    run = waiting.incident.runs["r1"]
    assert (run.break_glass, run.confirmed and run.confirmed.by) == ("nobody is awake", "U1")
    assert "inc-1:run:r1" in waiting.tasks
    assert waiting.incident.news[-1].fact.kind == "run_confirmed"


def test_a_team_of_one_need_not_wait(waiting: Story) -> None:
    """Nobody else may approve it."""
    waiting.do(BreakGlass(run_id="r1", reason="I am alone", alone=True), by="U1")
    assert waiting.incident.runs["r1"].break_glass == "I am alone"


def test_there_is_no_glass_to_break_where_nobody_else_is_needed(story: Story) -> None:
    """A change is confirmed as ever."""
    story.do(CancelRun(run_id="r1"))
    story.do(replace(BAN, risk=Risk.CHANGE), by="U1")
    story.do(RecordPreview(run_id="r2", preview=PREVIEW), by="muster")
    with pytest.raises(UserError, match="needs no second person"):
        story.do(BreakGlass(run_id="r2", reason="x", alone=True), by="U1")
    story.do(ConfirmRun(run_id="r2"), by="U1")


# -- never, whoever agrees -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preview", "why"),
    [
        (PREVIEW.model_copy(update={"affects": 51}), "51 accounts, and one action may hit 50"),
        (PREVIEW.model_copy(update={"accounts": tuple(f"user_{n}" for n in range(60)), "affects": 0}), "60 accounts"),
        (PREVIEW.model_copy(update={"accounts": ("user_2demo", "user_2root")}), "user_2root must not be touched"),
    ],
)
def test_what_goes_too_far_gets_no_preview(story: Story, preview: Preview, why: str) -> None:
    """So there is nothing to confirm."""
    story.do(RecordPreview(run_id="r1", preview=preview), by="muster")
    run = story.incident.runs["r1"]
    assert why in run.refused
    assert not run.is_open
    with pytest.raises(UserError):
        story.do(ConfirmRun(run_id="r1"), by="U2")


# -- stopping ------------------------------------------------------------------------------------------------------------


def test_only_what_runs_can_be_stopped_once(waiting: Story) -> None:
    """The run hears of it from the state."""
    with pytest.raises(UserError, match="is not running"):
        waiting.do(StopRun(run_id="r1"))
    waiting.do(ConfirmRun(run_id="r1"), by="U2")
    waiting.do(StopRun(run_id="r1"), by="U3")
    assert waiting.incident.runs["r1"].stopping
    with pytest.raises(UserError, match="already stopped by <@U3>"):
        waiting.do(StopRun(run_id="r1"))
    waiting.do(RecordRun(run_id="r1", outcome=DONE), by="muster")
    with pytest.raises(UserError, match="is not running"):
        waiting.do(StopRun(run_id="r1"))
