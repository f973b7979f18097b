"""The performers that need no Slack: diagnostics, previews and runs of actions, and the clock of an incident."""

from __future__ import annotations

from typing import Any, Protocol

from bot.domain.commands import Command, ReachDue, RecordDiagnostic, RecordPreview, RecordRun
from bot.domain.errors import MusterError
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, Preview, State
from bot.domain.service import find_unset
from bot.services.ports import Task
from bot.services.worker import Performed

RAN_AGAIN = "An earlier attempt was interrupted; what it did is done and is not counted here."


class ActionRunner(Protocol):
    """The actions, by name. Neither method may splice a parameter into anything."""

    async def execute(self, action: str, params: dict[str, Any]) -> Outcome:
        """Do it; whatever the provider does, the answer is an outcome."""
        ...

    async def preview(self, action: str, params: dict[str, Any]) -> Preview:
        """What it would do. Raises: MusterError when that cannot be found out."""
        ...


class DiagnosePerformer:
    """Asks one question of the diagnosis."""

    def __init__(self, actions: ActionRunner) -> None:
        self._actions = actions

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """The outcome of the diagnostic; a variable that is not set makes it unknown, and nothing is contacted."""
        diagnostic_id = str(task.data["diagnostic_id"])
        diagnostic = incident.runbook.find_diagnostic(diagnostic_id) if incident.runbook else None
        if incident.runbook is None or diagnostic is None:
            return Performed()
        unset = find_unset(dict(diagnostic.with_), incident.runbook.service)
        if unset:
            outcome = not_set(unset)
        else:
            outcome = await self._actions.execute(diagnostic.run, dict(diagnostic.with_))
        return Performed(command=RecordDiagnostic(diagnostic_id=diagnostic_id, round=int(task.data["round"]), outcome=outcome))


def not_set(variables: tuple[str, ...]) -> Outcome:
    """The outcome where a variable of the service is missing."""
    names = ", ".join(variables)
    return Outcome(
        state=State.UNKNOWN,
        summary="not configured, nothing was contacted",
        remedy=f"set {names}, or the variable in runbooks/services.yml",
    )


def diagnose_failed(task: Task, incident: Incident, reason: str) -> Command:
    """A diagnostic that could not be made is unknown, never green."""
    outcome = Outcome(state=State.UNKNOWN, summary=f"could not be looked at: {reason}"[:300])
    return RecordDiagnostic(diagnostic_id=str(task.data["diagnostic_id"]), round=int(task.data["round"]), outcome=outcome)


class PreviewPerformer:
    """Finds out what a run would do."""

    def __init__(self, actions: ActionRunner) -> None:
        self._actions = actions

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """The preview, or the reason why there is none."""
        run = incident.runs[str(task.data["run_id"])]
        if not run.is_open or run.preview:
            return Performed()
        try:
            preview = await self._actions.preview(run.action, dict(run.params))
        except MusterError as error:
            return Performed(command=RecordPreview(run_id=run.id, preview=None, refused=str(error)))
        return Performed(command=RecordPreview(run_id=run.id, preview=preview))


class RunPerformer:
    """Performs a confirmed run. The actions that exist are natural: repeating one after a crash changes nothing more."""

    def __init__(self, actions: ActionRunner) -> None:
        self._actions = actions

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """The outcome."""
        run = incident.runs[str(task.data["run_id"])]
        if run.confirmed is None or run.outcome or run.cancelled:
            return Performed()
        outcome = await self._actions.execute(run.action, dict(run.params))
        if task.attempt > 1:
            outcome = outcome.model_copy(update={"details": (RAN_AGAIN, *outcome.details)})
        return Performed(command=RecordRun(run_id=run.id, outcome=outcome))


def run_failed(task: Task, incident: Incident, reason: str) -> Command:
    """A run whose end nobody saw is unknown."""
    outcome = Outcome(state=State.UNKNOWN, summary=f"its end could not be seen: {reason}"[:300])
    return RecordRun(run_id=str(task.data["run_id"]), outcome=outcome)


async def reach_due(task: Task, incident: Incident) -> Performed:
    """Something in the incident is due; the decision knows what."""
    return Performed(command=ReachDue(due_at=task.due_at))
