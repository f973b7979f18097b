"""Status, severity, roles, and who is in the room."""

from __future__ import annotations

from bot.domain import facts
from bot.domain.commands import (
    AssignRole,
    ChangeImpact,
    ChangeSeverity,
    ChangeStatus,
    Join,
    Leave,
    Note,
    RecordArchived,
    RecordRoom,
    RecordRoomFailure,
)
from bot.domain.decisions.base import Context, Decision, require_going_on
from bot.domain.errors import UserError
from bot.domain.facts import Status
from bot.domain.incident import Incident
from bot.domain.lifecycle import check_move
from bot.domain.text import REASON_MAX_CHARS, clean

NOTE_MAX_CHARS = 1_000

_ENDS = (Status.RESOLVED, Status.FALSE_POSITIVE)


def change_status(incident: Incident, command: ChangeStatus, context: Context) -> Decision:
    """A move of the transition table. An end frees the runbook and stops the ladder; a reopening starts both again."""
    check_move(incident.status, command.status)
    left_on = incident.switched_on
    if left_on and command.status is Status.CLOSED:
        raise UserError(f"“{left_on[0].title}” is not taken back yet; that has to be seen before this can be closed.")
    reason = clean(command.reason, max_chars=REASON_MAX_CHARS)
    fact = facts.StatusChanged(status=command.status, reason=reason)
    key = incident.unique_key
    if command.status in _ENDS:  # what was opened for the time of the incident closes with it
        reverted = tuple(facts.RevertAsked(run_id=run.id) for run in left_on if not run.revert_asked)
        return Decision(facts=(fact, *reverted), releases=(key,) if key else ())
    if incident.is_over and command.status is Status.INVESTIGATING:
        return Decision(facts=(fact,), claims=(key,) if key else ())
    return Decision(facts=(fact,))


def change_severity(incident: Incident, command: ChangeSeverity, context: Context) -> Decision:
    """Another severity, with its targets counted from the opening, and its own way of paging from now on."""
    require_going_on(incident)
    if command.severity is incident.severity:
        raise UserError(f"It is already {command.severity.value}.")
    return Decision(facts=(facts.SeverityChanged(severity=command.severity),))


def change_impact(incident: Incident, command: ChangeImpact, context: Context) -> Decision:
    """What makes it matter more, or no longer does; the moment since when is now."""
    require_going_on(incident)
    name = command.impact.value.replace("_", " ")
    if command.on == (command.impact in incident.impacts):
        raise UserError(f"“{name}” is already {'on' if command.on else 'off'}.")
    return Decision(facts=(facts.ImpactChanged(impact=command.impact, since=context.now if command.on else None),))


def note(incident: Incident, command: Note, context: Context) -> Decision:
    """Somebody wrote down what they found, or told everybody how it stands."""
    if incident.status is Status.FALSE_POSITIVE:
        require_going_on(incident)
    text = clean(command.text, max_chars=NOTE_MAX_CHARS)
    if not text:
        raise UserError("There is nothing in it; write what happened behind the command.")
    return Decision(facts=(facts.Noted(text=text, is_update=command.is_update),))


def assign_role(incident: Incident, command: AssignRole, context: Context) -> Decision:
    """Somebody takes, or is given, a role; they are brought into the room."""
    require_going_on(incident)
    if incident.roles.get(command.role) == command.user_id:
        raise UserError(f"<@{command.user_id}> is already incident {command.role.value}.")
    return Decision(facts=(facts.RoleAssigned(role=command.role, user_id=command.user_id),))


def join(incident: Incident, command: Join, context: Context) -> Decision:
    """Somebody came into the room."""
    if command.user_id in incident.responders:
        return Decision()
    return Decision(facts=(facts.ResponderJoined(user_id=command.user_id),))


def leave(incident: Incident, command: Leave, context: Context) -> Decision:
    """Somebody left the room."""
    if command.user_id not in incident.responders:
        return Decision()
    return Decision(facts=(facts.ResponderLeft(user_id=command.user_id),))


def record_room(incident: Incident, command: RecordRoom, context: Context) -> Decision:
    """The room exists; clicks and commands in it belong to this incident from now on."""
    if incident.channel_id == command.channel_id:
        return Decision()
    return Decision(facts=(facts.RoomOpened(channel_id=command.channel_id, name=command.name),), channel_id=command.channel_id)


def record_room_failure(incident: Incident, command: RecordRoomFailure, context: Context) -> Decision:
    """The room could not be made, said once for each reason."""
    if incident.channel_id or incident.room_failure == command.reason:
        return Decision()
    return Decision(facts=(facts.RoomFailed(reason=command.reason),))


def record_archived(incident: Incident, command: RecordArchived, context: Context) -> Decision:
    """The room was archived."""
    return Decision() if incident.archived else Decision(facts=(facts.RoomArchived(),))
