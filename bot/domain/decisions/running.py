"""Diagnostics and the runs of actions: requested, previewed, confirmed, finished."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bot.domain import facts
from bot.domain.checklist import find_line
from bot.domain.commands import (
    CancelRun,
    ConfirmRun,
    RecordDiagnostic,
    RecordPreview,
    RecordRun,
    RequestRun,
    RunDiagnostics,
)
from bot.domain.decisions.base import Context, Decision, require_going_on
from bot.domain.errors import ForbiddenError, UserError
from bot.domain.incident import Incident, Run
from bot.domain.outcome import Risk
from bot.domain.tasks import diagnose_task, preview_task, run_task


def params_digest(action: str, params: dict[str, Any]) -> str:
    """What binds a preview, a confirmation and a run to exactly these parameters of this action."""
    text = json.dumps([action, params], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def run_diagnostics(incident: Incident, command: RunDiagnostics, context: Context) -> Decision:
    """A further round of all diagnostics."""
    if incident.runbook is None or not incident.runbook.diagnostics:
        raise UserError("This incident has no diagnostics: choose a runbook first.")
    number = incident.diagnostics_round + 1
    tasks = tuple(diagnose_task(incident.id, item.id, number, context.now) for item in incident.runbook.diagnostics)
    return Decision(facts=(facts.DiagnosticsStarted(round=number),), tasks=tasks)


def record_diagnostic(incident: Incident, command: RecordDiagnostic, context: Context) -> Decision:
    """The result of one diagnostic. Dropped: one of an older round, and a second one of the same round (of a worker that
    had lost its lease)."""
    known = incident.readings.get(command.diagnostic_id)
    if command.round < incident.diagnostics_round or (known and known.round >= command.round):
        return Decision()
    fact = facts.DiagnosticRecorded(diagnostic_id=command.diagnostic_id, round=command.round, outcome=command.outcome)
    return Decision(facts=(fact,))


def request_run(incident: Incident, command: RequestRun, context: Context) -> Decision:
    """Reading runs at once; everything else gets a preview that somebody has to confirm."""
    require_going_on(incident)
    line = find_line(incident, command.step_id)
    if line is None or line.step.run != command.action:
        raise UserError("That step does not run this action any more; look at the newest checklist.")
    waiting = incident.find_open_run(command.step_id)
    if waiting:
        raise UserError(f"“{waiting.title}” was already asked for by <@{waiting.requested.by}> and is not finished.")
    run_id = f"r{len(incident.runs) + 1}"
    requested = facts.RunRequested(
        run_id=run_id,
        step_id=command.step_id,
        action=command.action,
        title=command.title,
        risk=command.risk,
        params=command.params,
        params_digest=params_digest(command.action, command.params),
    )
    if command.risk is Risk.READ:
        return Decision(facts=(requested, facts.RunConfirmed(run_id=run_id)), tasks=(run_task(incident.id, run_id, context.now),))
    return Decision(facts=(requested,), tasks=(preview_task(incident.id, run_id, context.now),))


def record_preview(incident: Incident, command: RecordPreview, context: Context) -> Decision:
    """What the run would do, or why that could not be found out."""
    run = incident.runs.get(command.run_id)
    if run is None or not run.is_open or run.preview:
        return Decision()
    if command.preview is None:
        return Decision(facts=(facts.RunPreviewFailed(run_id=run.id, reason=command.refused),))
    return Decision(facts=(facts.RunPreviewed(run_id=run.id, preview=command.preview),))


def confirm_run(incident: Incident, command: ConfirmRun, context: Context) -> Decision:
    """The intent record and the task, in one write: from here on the run happens once, whatever dies."""
    require_going_on(incident)
    run = _waiting_run(incident, command.run_id)
    if run.preview is None:
        raise UserError(f"“{run.title}” has no preview yet; wait a moment.")
    if run.preview.nothing_to_do:
        raise UserError(f"There is nothing to do: {run.preview.summary}")
    if run.risk is Risk.DESTRUCTIVE and context.by == run.requested.by:
        raise ForbiddenError(f"“{run.title}” needs a second person: somebody else has to confirm it.")
    return Decision(facts=(facts.RunConfirmed(run_id=run.id),), tasks=(run_task(incident.id, run.id, context.now),))


def cancel_run(incident: Incident, command: CancelRun, context: Context) -> Decision:
    """The run does not happen."""
    run = _waiting_run(incident, command.run_id)
    return Decision(facts=(facts.RunCancelled(run_id=run.id),), cancel=(preview_task(incident.id, run.id, context.now).id,))


def record_run(incident: Incident, command: RecordRun, context: Context) -> Decision:
    """What the action did, as it saw it itself."""
    run = incident.runs.get(command.run_id)
    if run is None or run.outcome:
        return Decision()
    return Decision(facts=(facts.RunFinished(run_id=run.id, outcome=command.outcome),))


def _waiting_run(incident: Incident, run_id: str) -> Run:
    run = incident.runs.get(run_id)
    if run is None:
        raise UserError("There is no such run in this incident.")
    if run.outcome:
        raise UserError(f"“{run.title}” has already run.")
    if run.cancelled:
        raise UserError(f"“{run.title}” was already cancelled by <@{run.cancelled.by}>.")
    if run.confirmed:
        raise UserError(f"“{run.title}” was already confirmed by <@{run.confirmed.by}> and is running.")
    return run
