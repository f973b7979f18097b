"""The one door to the decisions: ``decide(incident, command, context) -> Decision``. Pure: no I/O, no clock, no randomness.

Called by the desk (``bot.services.desk``) alone. Every decision that changes anything also asks for the room to be
reconciled, so that nothing can change without Slack showing it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bot.domain import commands
from bot.domain.commands import Command
from bot.domain.decisions import accounts, conduct, opening, paging, running, steps, watching
from bot.domain.decisions.base import Context, Decision
from bot.domain.errors import UserError
from bot.domain.facts import IncidentOpened
from bot.domain.incident import Incident
from bot.domain.tasks import room_task

_DECISIONS: dict[type[Any], Callable[[Any, Any, Context], Decision]] = {
    commands.OpenIncident: opening.open_incident,
    commands.DeclareAgain: opening.declare_again,
    commands.ChooseRunbook: opening.choose_runbook,
    commands.ChangeStatus: conduct.change_status,
    commands.ChangeSeverity: conduct.change_severity,
    commands.AssignRole: conduct.assign_role,
    commands.Join: conduct.join,
    commands.Leave: conduct.leave,
    commands.RecordRoom: conduct.record_room,
    commands.RecordRoomFailure: conduct.record_room_failure,
    commands.RecordArchived: conduct.record_archived,
    commands.TickStep: steps.tick_step,
    commands.UntickStep: steps.untick_step,
    commands.SkipStep: steps.skip_step,
    commands.ChooseBranch: steps.choose_branch,
    commands.RunDiagnostics: running.run_diagnostics,
    commands.RecordDiagnostic: running.record_diagnostic,
    commands.RequestRun: running.request_run,
    commands.RecordPreview: running.record_preview,
    commands.ConfirmRun: running.confirm_run,
    commands.CancelRun: running.cancel_run,
    commands.RecordRun: running.record_run,
    commands.BreakGlass: running.break_glass,
    commands.DenyRun: running.deny_run,
    commands.StopRun: running.stop_run,
    commands.LookAtRun: running.look_at_run,
    commands.RecordLook: running.record_look,
    commands.RevertNow: running.revert_now,
    commands.RecordRevert: running.record_revert,
    commands.ChangeAccounts: accounts.change_accounts,
    commands.StartWatch: watching.start_watch,
    commands.EndWatch: watching.end_watch,
    commands.RecordWatch: watching.record_watch,
    commands.ReachDue: paging.reach_due,
    commands.RecordPage: paging.record_page,
    commands.RecordFollowed: paging.record_followed,
    commands.Acknowledge: paging.acknowledge,
    commands.CheckIn: paging.check_in,
    commands.Escalate: paging.escalate,
    commands.ChangeImpact: conduct.change_impact,
    commands.Note: conduct.note,
    commands.Settle: lambda incident, command, context: Decision(),
}


def decide(incident: Incident | None, command: Command, context: Context) -> Decision:
    """What ``command`` means for ``incident`` (None: one that does not exist yet).

    Raises: UserError when the person has to be told why not.
    """
    if incident is None and not isinstance(command, commands.OpenIncident):
        raise UserError("There is no such incident.")
    decision = _DECISIONS[type(command)](incident, command, context)
    if not decision.facts:
        return decision
    identity = incident.id if incident else _identity(decision)
    return replace(decision, tasks=(room_task(identity, context.now), *decision.tasks))


def _identity(decision: Decision) -> str:
    first = decision.facts[0]
    if not isinstance(first, IncidentOpened):
        raise TypeError("a timeline begins with its opening")
    return first.incident_id
