"""The performers that need no Slack: what they ask of the actions, when they ask nothing, and what they make of the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.actions.registry import load_actions
from bot.domain.catalog import Catalog
from bot.domain.commands import (
    CancelRun,
    ConfirmRun,
    ReachDue,
    RecordDiagnostic,
    RecordPreview,
    RecordRun,
    RequestRun,
)
from bot.domain.errors import NotConfiguredError, TemporaryError
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.domain.tasks import TaskKind
from bot.services.performers import (
    DiagnosePerformer,
    PreviewPerformer,
    RunPerformer,
    diagnose_failed,
    reach_due,
    run_failed,
)
from bot.services.ports import Task
from bot.services.worker import Performed
from bot.storage.runbook_files import load_catalog
from tests.conftest import ROOT
from tests.domain.story import Story

GOOD = Outcome(state=State.OK, summary="all systems operational", value="operational")
PREVIEW = Preview(summary="7 active sessions end", items=("sess_1",), confirm_label="End 7 sessions")
REVOKE = RequestRun(
    step_id="revoke",
    action="clerk.revoke_sessions",
    title="End sessions",
    risk=Risk.CHANGE,
    params={"user_id": "user_2demo"},
)


class Actions:
    """The actions, as far as a performer sees them: every question is noted, every answer is the test's."""

    def __init__(self, outcome: Outcome = GOOD, preview: Preview | Exception = PREVIEW) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self._outcome = outcome
        self._preview = preview

    async def execute(self, action: str, params: dict[str, Any]) -> Outcome:
        self.asked.append(("execute", action, params))
        return self._outcome

    async def preview(self, action: str, params: dict[str, Any]) -> Preview:
        self.asked.append(("preview", action, params))
        if isinstance(self._preview, Exception):
            raise self._preview
        return self._preview


def task_of(kind: TaskKind, **data: Any) -> Task:
    """A task as the worker hands it over."""
    moment = datetime(2026, 11, 20, 3, tzinfo=UTC)
    return Task(id="t", kind=kind, incident_id="inc-1", due_at=moment, data=data, token="1", attempt=1, asked="1")


@pytest.fixture
def outage(catalog: Catalog) -> Story:
    """An outage that was just opened."""
    story = Story(catalog)
    story.open("clerk-auth-outage")
    return story


@pytest.fixture
def revoking(catalog: Catalog) -> Story:
    """A security incident in which somebody asked for the sessions of a user to be ended."""
    story = Story(catalog)
    story.open("clerk-security-incident")
    story.do(REVOKE)
    return story


# -- the diagnosis -------------------------------------------------------------------------------------------------------


async def test_a_diagnostic_is_asked_with_what_the_runbook_gives(outage: Story) -> None:
    """Action and parameters come from the snapshot in the incident, with the service's variables filled in."""
    actions = Actions()
    task = task_of(TaskKind.DIAGNOSE, diagnostic_id="health", round=1)
    performed = await DiagnosePerformer(actions)(task, outage.incident)
    assert actions.asked == [("execute", "http.health", {"url": "http://127.0.0.1:9/api/health/clerk"})]
    assert performed.command == RecordDiagnostic(diagnostic_id="health", round=1, outcome=GOOD)


async def test_a_variable_that_is_not_set_contacts_nothing() -> None:
    """Unknown, with the variable to set: never a probe of a placeholder address."""
    bare = load_catalog(ROOT / "runbooks", actions=load_actions(), overrides={}).catalog
    assert bare
    story = Story(bare)
    story.open("clerk-auth-outage")
    actions = Actions()
    performed = await DiagnosePerformer(actions)(task_of(TaskKind.DIAGNOSE, diagnostic_id="health", round=1), story.incident)
    assert actions.asked == []
    assert isinstance(performed.command, RecordDiagnostic)
    outcome = performed.command.outcome
    assert outcome.state is State.UNKNOWN
    assert "MUSTER_VAR_CLERK_APP_URL" in outcome.remedy
    assert "services.yml" in outcome.remedy


async def test_a_diagnostic_that_is_not_in_the_runbook_is_nothing(catalog: Catalog) -> None:
    """A runbook may be chosen anew, and an incident may have none: what was booked before is done without a record."""
    actions = Actions()
    task = task_of(TaskKind.DIAGNOSE, diagnostic_id="gone", round=1)
    for runbooks in (("clerk-auth-outage",), ()):
        story = Story(catalog)
        story.open(*runbooks)
        assert await DiagnosePerformer(actions)(task, story.incident) == Performed()
    assert actions.asked == []


def test_a_diagnosis_that_failed_is_unknown(outage: Story) -> None:
    """Never green; the reason is shown, however long it is."""
    command = diagnose_failed(task_of(TaskKind.DIAGNOSE, diagnostic_id="status", round=2), outage.incident, "x" * 1_000)
    assert isinstance(command, RecordDiagnostic)
    assert (command.diagnostic_id, command.round, command.outcome.state) == ("status", 2, State.UNKNOWN)
    assert command.outcome.summary.startswith("could not be looked at: xxx")
    assert len(command.outcome.summary) == 300


# -- previews ------------------------------------------------------------------------------------------------------------


async def test_a_preview_says_what_would_happen(revoking: Story) -> None:
    """Nothing is executed for it."""
    actions = Actions()
    performed = await PreviewPerformer(actions)(task_of(TaskKind.PREVIEW, run_id="r1"), revoking.incident)
    assert actions.asked == [("preview", "clerk.revoke_sessions", {"user_id": "user_2demo"})]
    assert performed.command == RecordPreview(run_id="r1", preview=PREVIEW)


async def test_why_there_is_no_preview_is_recorded(revoking: Story) -> None:
    """The person who asked waits for it; they can ask again."""
    for error in (
        NotConfiguredError("Clerk is not configured; set CLERK_SECRET_KEY", setting="CLERK_SECRET_KEY"),
        TemporaryError("Clerk answered 500"),
    ):
        performed = await PreviewPerformer(Actions(preview=error))(task_of(TaskKind.PREVIEW, run_id="r1"), revoking.incident)
        assert performed.command == RecordPreview(run_id="r1", preview=None, refused=str(error))


async def test_a_preview_is_made_once(revoking: Story) -> None:
    """After a crash between the record and the end of the task, and for a run that was taken back meanwhile."""
    actions = Actions()
    revoking.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    assert await PreviewPerformer(actions)(task_of(TaskKind.PREVIEW, run_id="r1"), revoking.incident) == Performed()
    revoking.do(CancelRun(run_id="r1"))
    assert await PreviewPerformer(actions)(task_of(TaskKind.PREVIEW, run_id="r1"), revoking.incident) == Performed()
    assert actions.asked == []


# -- runs ----------------------------------------------------------------------------------------------------------------


async def test_a_confirmed_run_is_executed_and_recorded(revoking: Story) -> None:
    """With the parameters that were confirmed."""
    revoking.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    revoking.do(ConfirmRun(run_id="r1"))
    actions = Actions()
    performed = await RunPerformer(actions)(task_of(TaskKind.RUN, run_id="r1"), revoking.incident)
    assert actions.asked == [("execute", "clerk.revoke_sessions", {"user_id": "user_2demo"})]
    assert performed.command == RecordRun(run_id="r1", outcome=GOOD)


async def test_nothing_runs_that_was_not_confirmed(revoking: Story) -> None:
    """Whatever put the task there: the state decides, at the moment of acting."""
    actions = Actions()
    perform = RunPerformer(actions)
    assert await perform(task_of(TaskKind.RUN, run_id="r1"), revoking.incident) == Performed()
    revoking.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    assert await perform(task_of(TaskKind.RUN, run_id="r1"), revoking.incident) == Performed()
    revoking.do(CancelRun(run_id="r1"))
    assert await perform(task_of(TaskKind.RUN, run_id="r1"), revoking.incident) == Performed()
    assert actions.asked == []


async def test_a_run_whose_outcome_is_recorded_does_not_run_again(revoking: Story) -> None:
    """A worker that lost its lease has recorded what it did; the one that took over does nothing."""
    revoking.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    revoking.do(ConfirmRun(run_id="r1"))
    revoking.do(RecordRun(run_id="r1", outcome=GOOD), by="muster")
    actions = Actions()
    assert await RunPerformer(actions)(task_of(TaskKind.RUN, run_id="r1"), revoking.incident) == Performed()
    assert actions.asked == []


def test_a_run_whose_end_nobody_saw_is_unknown(revoking: Story) -> None:
    """It may have happened: neither done nor failed is said."""
    command = run_failed(task_of(TaskKind.RUN, run_id="r1"), revoking.incident, "the process died")
    assert isinstance(command, RecordRun)
    assert command.outcome.state is State.UNKNOWN
    assert "could not be seen: the process died" in command.outcome.summary


# -- the clock -----------------------------------------------------------------------------------------------------------


async def test_what_is_due_is_asked_for_with_its_moment(outage: Story) -> None:
    """What it is, and whether it still counts, is for the decision."""
    task = task_of(TaskKind.CLOCK)
    performed = await reach_due(task, outage.incident)
    assert performed.command == ReachDue(due_at=task.due_at)
