"""Runs of actions: previewed, confirmed, run once, recorded."""

from __future__ import annotations

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    CancelRun,
    ChangeStatus,
    ConfirmRun,
    RecordPreview,
    RecordRun,
    RequestRun,
    RunDiagnostics,
)
from bot.domain.errors import ForbiddenError, UserError
from bot.domain.facts import Status
from bot.domain.outcome import Outcome, Preview, Risk, State
from tests.domain.story import Story

PREVIEW = Preview(summary="7 active sessions end", items=("sess_1",), confirm_label="End 7 sessions")


def request(risk: Risk = Risk.CHANGE) -> RequestRun:
    return RequestRun(
        step_id="revoke", action="clerk.revoke_sessions", title="End sessions", risk=risk, params={"user_id": "user_2demo"}
    )


@pytest.fixture
def story(catalog: Catalog) -> Story:
    """A security incident that was just opened."""
    made = Story(catalog)
    made.open("clerk-security-incident")
    return made


def test_a_change_waits_for_its_preview_and_its_confirmation(story: Story) -> None:
    """Nothing runs before both; the intent is written with the task."""
    story.do(request(), by="U1")
    assert "inc-1:preview:r1" in story.tasks
    assert "inc-1:run:r1" not in story.tasks
    with pytest.raises(UserError, match="no preview yet"):
        story.do(ConfirmRun(run_id="r1"), by="U1")
    story.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    story.do(ConfirmRun(run_id="r1"), by="U1")
    assert "inc-1:run:r1" in story.tasks
    assert story.kinds()[-1] == "run_confirmed"


def test_a_confirmation_counts_once(story: Story) -> None:
    """Two clicks are one run."""
    story.do(request())
    story.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    story.do(ConfirmRun(run_id="r1"), by="U1")
    with pytest.raises(UserError, match="already confirmed by <@U1>"):
        story.do(ConfirmRun(run_id="r1"), by="U2")
    with pytest.raises(UserError, match="already confirmed"):
        story.do(CancelRun(run_id="r1"), by="U2")


def test_a_cancelled_run_never_runs(story: Story) -> None:
    """Neither its preview nor its run is left in the due set."""
    story.do(request())
    story.do(CancelRun(run_id="r1"), by="U2")
    assert "inc-1:preview:r1" not in story.tasks
    assert story.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster").facts == ()
    with pytest.raises(UserError, match="cancelled by <@U2>"):
        story.do(ConfirmRun(run_id="r1"), by="U1")


def test_a_preview_that_cannot_be_made_ends_the_run(story: Story) -> None:
    """What nobody can say is not done; asking again is possible."""
    story.do(request())
    story.do(RecordPreview(run_id="r1", preview=None, refused="Clerk refuses the key"), by="muster")
    assert not story.incident.runs["r1"].is_open
    story.do(request())
    assert "r2" in story.incident.runs


def test_nothing_to_do_is_not_confirmed(story: Story) -> None:
    """A run that would change nothing does not run."""
    story.do(request())
    story.do(RecordPreview(run_id="r1", preview=Preview(summary="no sessions", nothing_to_do=True)), by="muster")
    with pytest.raises(UserError, match="nothing to do"):
        story.do(ConfirmRun(run_id="r1"))


def test_reading_runs_at_once(story: Story) -> None:
    """A look changes nothing, so nobody has to confirm it."""
    command = RequestRun(
        step_id="identify",
        action="clerk.suspicious_sessions",
        title="List sessions",
        risk=Risk.READ,
        params={"user_id": "user_2demo"},
    )
    story.do(command)
    assert "inc-1:run:r1" in story.tasks


def test_a_destructive_run_needs_a_second_person(story: Story) -> None:
    """Who asked cannot confirm."""
    story.do(request(Risk.DESTRUCTIVE), by="U1")
    story.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    with pytest.raises(ForbiddenError, match="second person"):
        story.do(ConfirmRun(run_id="r1"), by="U1")
    assert "inc-1:run:r1" not in story.tasks
    story.do(ConfirmRun(run_id="r1"), by="U2")
    assert "inc-1:run:r1" in story.tasks


def test_a_step_has_one_open_run(story: Story) -> None:
    """The second request is pointed at the first."""
    story.do(request(), by="U1")
    with pytest.raises(UserError, match="already asked for by <@U1>"):
        story.do(request(), by="U2")


@pytest.mark.parametrize(("state", "ticked"), [(State.OK, True), (State.FAILING, False), (State.UNKNOWN, False)])
def test_only_a_run_that_was_seen_to_succeed_ticks_its_step(story: Story, state: State, ticked: bool) -> None:
    """Failing and unknown leave it to a person; a second outcome is dropped."""
    story.do(request())
    story.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    story.do(ConfirmRun(run_id="r1"), by="U2")
    story.do(RecordRun(run_id="r1", outcome=Outcome(state=state, summary="seen")), by="muster")
    assert ("revoke" in story.incident.steps) is ticked
    if ticked:
        assert story.incident.steps["revoke"].moment.by == "U2"
    again = Outcome(state=State.OK, summary="again")
    assert story.do(RecordRun(run_id="r1", outcome=again), by="muster").facts == ()


def test_a_step_of_another_action_is_refused(story: Story) -> None:
    """A forged step or action does not run."""
    command = RequestRun(step_id="identify", action="clerk.revoke_sessions", title="x", risk=Risk.CHANGE, params={})
    with pytest.raises(UserError, match="does not run this action"):
        story.do(command)
    assert story.incident.runs == {}


def test_nothing_is_confirmed_after_the_end(story: Story) -> None:
    """An old preview of a resolved incident is dead."""
    story.do(request())
    story.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    story.do(ChangeStatus(status=Status.RESOLVED))
    with pytest.raises(UserError, match="reopen"):
        story.do(ConfirmRun(run_id="r1"))


def test_a_round_of_diagnostics_asks_all_of_them_again(story: Story) -> None:
    """With ids of its own."""
    story.do(RunDiagnostics())
    assert story.incident.diagnostics_round == 2
    assert any(identity.startswith("inc-1:diagnose:2:") for identity in story.tasks)
