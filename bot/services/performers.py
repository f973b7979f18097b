"""The performers that need no Slack and run no step: diagnostics, watches, and the clock of an incident."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.commands import Command, ReachDue, RecordDiagnostic, RecordWatch
from bot.domain.decisions.watching import watching_of
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, State
from bot.domain.runbook import Diagnostic, Runbook
from bot.domain.service import find_unset
from bot.services.ports import ActionRunner, Assignment, Clock, Task
from bot.services.worker import Performed


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
        outcome = await _ask(self._actions, incident, incident.runbook, diagnostic)
        return Performed(command=RecordDiagnostic(diagnostic_id=diagnostic_id, round=int(task.data["round"]), outcome=outcome))


class WatchPerformer:
    """Repeats the first diagnostic that a watched step shows."""

    def __init__(self, actions: ActionRunner, clock: Clock) -> None:
        self._actions = actions
        self._clock = clock

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """What it saw; once more after the step's interval, until the watch has ended."""
        step_id, number = str(task.data["step_id"]), int(task.data["number"])
        watch, watching = incident.watches.get(step_id), watching_of(incident, step_id)
        step = incident.runbook.find_step(step_id) if incident.runbook else None
        diagnostic = incident.runbook.find_diagnostic(step.shows[0]) if incident.runbook and step and step.shows else None
        if watch is None or watch.ended or watch.number != number or watching is None:
            return Performed()
        if incident.runbook is None or diagnostic is None:
            return Performed()
        outcome = await _ask(self._actions, incident, incident.runbook, diagnostic)
        again_at = self._clock.now() + timedelta(seconds=watching.every)
        return Performed(command=RecordWatch(step_id=step_id, number=number, outcome=outcome), again_at=again_at)


async def _ask(actions: ActionRunner, incident: Incident, runbook: Runbook, diagnostic: Diagnostic) -> Outcome:
    unset = find_unset(dict(diagnostic.with_), runbook.service)
    if unset:
        return not_set(unset)
    return await actions.execute(diagnostic.run, diagnostic.with_, Assignment(incident=incident))


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


async def reach_due(task: Task, incident: Incident) -> Performed:
    """Something in the incident is due; the decision knows what."""
    return Performed(command=ReachDue(due_at=task.due_at))
