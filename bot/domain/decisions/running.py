"""Diagnostics and the runs of actions: requested, previewed, confirmed, finished."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from bot.domain import facts
from bot.domain.checklist import find_line
from bot.domain.commands import (
    BreakGlass,
    CancelRun,
    ConfirmRun,
    DenyRun,
    LookAtRun,
    RecordDiagnostic,
    RecordLook,
    RecordPreview,
    RecordRevert,
    RecordRun,
    RequestRun,
    RevertNow,
    RunDiagnostics,
    StopRun,
)
from bot.domain.decisions.base import Context, Decision, require_going_on
from bot.domain.errors import ForbiddenError, UserError
from bot.domain.facts import Status
from bot.domain.incident import Incident
from bot.domain.outcome import Preview, Risk, State
from bot.domain.plan import UNTIL_OVER, Alarm
from bot.domain.run import Run
from bot.domain.tasks import diagnose_task, look_task, preview_task, run_task
from bot.domain.text import REASON_MAX_CHARS, clean, mention

LOOKED = "Looked at again: "
REVERTS_PER_PAGE = 3
"""After so many attempts that did not take back what must be taken back, people are called; after as many again the next."""
REVERT_LATE_S = 600
"""One attempt may take a quarter of an hour (a build that hangs): what is on so long after its time calls people at once."""


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
    if not command.undoes:
        require_going_on(incident)  # what was done can be taken back also when it is over
    _check_step(incident, command)
    on = next((run for run in incident.switched_on if run.action == command.action), None)
    if on and command.revert_after_s is not None:  # the first one's end would end the second one too
        raise UserError(f"“{on.title}” is on already, and takes itself back; turn it off first to turn it on for another time.")
    waiting = incident.find_open_run(command.step_id)
    if waiting:
        raise UserError(f"“{waiting.title}” was already asked for by {mention(waiting.requested.by)} and is not finished.")
    run_id = f"r{len(incident.runs) + 1}"
    requested = facts.RunRequested(
        run_id=run_id,
        step_id=command.step_id,
        action=command.action,
        title=command.title,
        risk=command.risk,
        params=command.params,
        params_digest=params_digest(command.action, command.params),
        undo=command.undo,
        undoes=command.undoes,
        revert_after_s=command.revert_after_s,
    )
    if command.risk is Risk.READ:
        return Decision(facts=(requested, facts.RunConfirmed(run_id=run_id)), tasks=(run_task(incident.id, run_id, context.now),))
    return Decision(facts=(requested,), tasks=(preview_task(incident.id, run_id, context.now),))


def _check_step(incident: Incident, command: RequestRun) -> None:
    if command.undoes:
        undone = incident.runs.get(command.undoes)
        if undone is None or undone.undo != command.action or undone.step_id != command.step_id:
            raise UserError("There is nothing here that this takes back; look at the newest checklist.")
        if undone.confirmed is None or undone.reverted_at:
            raise UserError(f"“{undone.title}” {'was taken back already' if undone.reverted_at else 'never ran'}.")
        return
    line = find_line(incident, command.step_id)
    if line is None or line.step.run != command.action:
        raise UserError("That step does not run this action any more; look at the newest checklist.")


def record_preview(incident: Incident, command: RecordPreview, context: Context) -> Decision:
    """What the run would do, or why that could not be found out, or must not be done."""
    run = incident.runs.get(command.run_id)
    if run is None or not run.is_open or run.preview:
        return Decision()
    refused = command.refused if command.preview is None else _too_far(command.preview, context)
    if command.preview is None or refused:
        return Decision(facts=(facts.RunPreviewFailed(run_id=run.id, reason=refused),))
    policy = context.catalog.policy
    alone_at = context.now + timedelta(seconds=policy.break_glass_s) if run.needs_second else None
    expires_at = context.now + timedelta(seconds=policy.approval_s)
    previewed = facts.RunPreviewed(run_id=run.id, preview=command.preview, expires_at=expires_at, break_glass_at=alone_at)
    return Decision(facts=(previewed,))


def _too_far(preview: Preview, context: Context) -> str:
    """Why nobody may do this, whoever agrees; "": they may."""
    policy = context.catalog.policy
    affected = max(preview.affects, len(preview.accounts))
    if affected > policy.most_accounts:
        return (
            f"it would hit {affected} accounts, and one action may hit {policy.most_accounts}; "
            "take fewer, or raise most_accounts in policy.yml"
        )
    protected = [account for account in preview.accounts if account in policy.protected_accounts]
    if protected:
        return f"{', '.join(protected[:3])} must not be touched: protected_accounts in policy.yml names it"
    return ""


def confirm_run(incident: Incident, command: ConfirmRun, context: Context) -> Decision:
    """The intent record and the task, in one write: from here on the run happens once, whatever dies."""
    run = _confirmable(incident, command.run_id, context)
    if run.needs_second and context.by == run.requested.by:
        raise ForbiddenError(f"“{run.title}” needs a second person: somebody else has to approve it.")
    return _confirmed(incident, run, context)


def break_glass(incident: Incident, command: BreakGlass, context: Context) -> Decision:
    """Confirmed without a second person: nobody answered in time, or there is nobody. The reason is part of the record."""
    run = _confirmable(incident, command.run_id, context)
    if not run.needs_second:
        raise UserError(f"“{run.title}” needs no second person; confirm it.")
    reason = clean(command.reason, max_chars=REASON_MAX_CHARS)
    if not reason:
        raise UserError("Say why it cannot wait for a second person: the reason is part of the record.")
    if not command.alone and run.break_glass_at and context.now < run.break_glass_at:
        left_s = round((run.break_glass_at - context.now).total_seconds())
        raise UserError(f"Somebody may still approve it; without a second person it can go on in {max(1, left_s)} s.")
    return _confirmed(incident, run, context, reason=reason)


def _confirmable(incident: Incident, run_id: str, context: Context) -> Run:
    run = _waiting_run(incident, run_id)
    if not run.undoes:
        require_going_on(incident)
    if run.preview is None:
        raise UserError(f"“{run.title}” has no preview yet; wait a moment.")
    if run.preview.nothing_to_do:
        raise UserError(f"There is nothing to do: {run.preview.summary}")
    if run.expires_at and context.now >= run.expires_at:
        raise UserError(f"What “{run.title}” would do was looked at too long ago; ask for it once more.")
    return run


def _confirmed(incident: Incident, run: Run, context: Context, *, reason: str = "") -> Decision:
    confirmed = facts.RunConfirmed(run_id=run.id, break_glass=reason)
    return Decision(facts=(confirmed,), tasks=(run_task(incident.id, run.id, context.now),))


def cancel_run(incident: Incident, command: CancelRun, context: Context) -> Decision:
    """The run does not happen."""
    run = _waiting_run(incident, command.run_id)
    return Decision(facts=(facts.RunCancelled(run_id=run.id),), cancel=(preview_task(incident.id, run.id, context.now).id,))


def deny_run(incident: Incident, command: DenyRun, context: Context) -> Decision:
    """No beats yes: what was approved and has not ended is taken out of the due set; what had begun is fenced, and stops."""
    run = _run(incident, command.run_id)
    if run.outcome or not run.is_open:
        raise UserError(f"“{run.title}” is over already.")
    reason = clean(command.reason, max_chars=REASON_MAX_CHARS)
    tasks = (preview_task(incident.id, run.id, context.now), run_task(incident.id, run.id, context.now))
    return Decision(facts=(facts.RunDenied(run_id=run.id, reason=reason),), cancel=tuple(task.id for task in tasks))


def stop_run(incident: Incident, command: StopRun, context: Context) -> Decision:
    """What is under way ends at the next place where it can, and says how far it came."""
    run = _run(incident, command.run_id)
    if run.confirmed is None or not run.is_open:
        raise UserError(f"“{run.title}” is not running.")
    if run.stopping:
        raise UserError(f"“{run.title}” was already stopped by {mention(run.stopping.by)}; it ends as soon as it can.")
    return Decision(facts=(facts.RunStopAsked(run_id=run.id),))


def record_run(incident: Incident, command: RecordRun, context: Context) -> Decision:
    """What the action did, as it saw it itself."""
    run = incident.runs.get(command.run_id)
    if run is None or run.outcome or run.confirmed is None:
        return Decision()
    return Decision(facts=(facts.RunFinished(run_id=run.id, outcome=command.outcome),))


def look_at_run(incident: Incident, command: LookAtRun, context: Context) -> Decision:
    """Nobody knows what became of it: somebody looks, and changes nothing."""
    run = _run(incident, command.run_id)
    if run.outcome is None or run.outcome.state is not State.UNKNOWN:
        raise UserError(f"What became of “{run.title}” is known.")
    return Decision(facts=(facts.RunLookAsked(run_id=run.id),), tasks=(look_task(incident.id, run.id, context.now),))


def record_look(incident: Incident, command: RecordLook, context: Context) -> Decision:
    """What was seen takes the place of what was not known."""
    run = incident.runs.get(command.run_id)
    if run is None or run.outcome is None or run.outcome.state is not State.UNKNOWN:
        return Decision()
    outcome = command.outcome
    if outcome.state is State.UNKNOWN:  # what was counted, or said to be done about it, is not forgotten
        known = tuple(line for line in run.outcome.details if not line.startswith(LOOKED))
        outcome = run.outcome.model_copy(update={"details": (f"{LOOKED}{outcome.summary}", *known)})
    return Decision(facts=(facts.RunLookedAt(run_id=run.id, outcome=outcome),))


# -- what takes itself back -------------------------------------------------------------------------------------------


def revert_now(incident: Incident, command: RevertNow, context: Context) -> Decision:
    """Now instead of later; when it is due follows from the state."""
    run = _run(incident, command.run_id)
    if run.reverts_at is None:
        raise UserError(f"There is nothing to take back of “{run.title}”.")
    if run.revert_asked:
        raise UserError(f"“{run.title}” is being taken back, asked for by {mention(run.revert_asked.by)}.")
    return Decision(facts=(facts.RevertAsked(run_id=run.id),))


def record_revert(incident: Incident, command: RecordRevert, context: Context) -> Decision:
    """Seen to be taken back; or not, and then it is tried again, and people are called when that does not help."""
    run = incident.runs.get(command.run_id)
    if run is None or run.reverts_at is None:
        return Decision()
    if command.outcome.state is State.OK:
        return Decision(facts=(facts.RunReverted(run_id=run.id, outcome=command.outcome),))
    failed = facts.RevertFailed(run_id=run.id, reason=command.outcome.summary)
    failures = run.revert_failures + 1
    is_late = context.now - run.reverts_at >= timedelta(seconds=REVERT_LATE_S) and not incident.times_raised.get(_alarm_of(run))
    if failures % REVERTS_PER_PAGE and not is_late:
        return Decision(facts=(failed,))
    return _called_to_revert(incident, run, failed, max(1, failures // REVERTS_PER_PAGE), context)


def _alarm_of(run: Run) -> str:
    return f"revert-{run.id}"


def _called_to_revert(incident: Incident, run: Run, failed: facts.RevertFailed, level: int, context: Context) -> Decision:
    levels = incident.plan.levels[:level] or incident.plan.levels
    notify = tuple(dict.fromkeys(identity for one in levels for identity in one.notify))
    why = f"“{run.title}” could not be taken back: {failed.reason}"
    alarm = Alarm(id=_alarm_of(run), title="something could not be taken back", until=UNTIL_OVER, notify=notify)
    raised = facts.AlarmRaised(
        key=incident.next_key(alarm.id),
        alarm=alarm,
        contact_ids=notify,
        generation=incident.generation,
        due_at=context.now,
        by_hand=True,
        reason=clean(why, max_chars=REASON_MAX_CHARS),
    )
    reopened: tuple[facts.Fact, ...] = ()
    if incident.is_over:  # nobody is called for what is over. Its key is not claimed: another incident may have it by now
        reopened = (facts.StatusChanged(status=Status.INVESTIGATING, reason=clean(why, max_chars=REASON_MAX_CHARS)),)
    return Decision(facts=(failed, *reopened, raised))


def expired_runs(incident: Incident, now: datetime) -> tuple[facts.Fact, ...]:
    """The previews that nobody confirmed in time."""
    late = [run for run in incident.runs.values() if run.is_waiting and run.expires_at and run.expires_at <= now]
    return tuple(facts.RunExpired(run_id=run.id) for run in late)


def _run(incident: Incident, run_id: str) -> Run:
    run = incident.runs.get(run_id)
    if run is None:
        raise UserError("There is no such run in this incident.")
    return run


def _waiting_run(incident: Incident, run_id: str) -> Run:
    run = _run(incident, run_id)
    if run.outcome:
        raise UserError(f"“{run.title}” has already run.")
    if run.cancelled:
        raise UserError(f"“{run.title}” was already cancelled by {mention(run.cancelled.by)}.")
    if run.denied:
        raise UserError(f"“{run.title}” was denied by {mention(run.denied.by)}; ask for it once more if that has changed.")
    if run.expired_at:
        raise UserError(f"Nobody confirmed “{run.title}” in time; ask for it once more.")
    if run.confirmed:
        raise UserError(f"“{run.title}” was already confirmed by {mention(run.confirmed.by)} and is running.")
    return run
