"""The performers that need no Slack: what they ask of the actions, when they ask nothing, and what they make of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.actions.registry import load_actions
from bot.domain.catalog import Catalog
from bot.domain.commands import (
    ReachDue,
    RecordDiagnostic,
)
from bot.domain.outcome import Outcome, State
from bot.domain.tasks import TaskKind
from bot.services.performers import DiagnosePerformer, diagnose_failed, reach_due
from bot.services.ports import Assignment, Task
from bot.services.worker import Performed
from bot.storage.runbook_files import load_catalog
from tests.conftest import ROOT
from tests.domain.story import Story

GOOD = Outcome(state=State.OK, summary="all systems operational", value="operational")


class Actions:
    """The actions, as far as a diagnosis sees them: every question is noted, every answer is the test's."""

    def __init__(self, outcome: Outcome = GOOD) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self._outcome = outcome

    async def execute(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Outcome:
        self.asked.append(("execute", action, dict(params)))
        return self._outcome


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


# -- the clock -----------------------------------------------------------------------------------------------------------


async def test_what_is_due_is_asked_for_with_its_moment(outage: Story) -> None:
    """What it is, and whether it still counts, is for the decision."""
    task = task_of(TaskKind.CLOCK)
    performed = await reach_due(task, outage.incident)
    assert performed.command == ReachDue(due_at=task.due_at)
