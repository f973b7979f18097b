"""Ticking, unticking and skipping steps; choosing branches."""

from __future__ import annotations

from bot.domain import facts
from bot.domain.checklist import Line, StepStatus, chosen_branch, find_line
from bot.domain.commands import ChooseBranch, SkipStep, TickStep, UntickStep
from bot.domain.decisions.base import Context, Decision, require_going_on
from bot.domain.errors import UserError
from bot.domain.incident import Incident
from bot.domain.text import REASON_MAX_CHARS, clean, mention


def tick_step(incident: Incident, command: TickStep, context: Context) -> Decision:
    """A step was done by hand."""
    line = _open_line(incident, command.step_id)
    if line.step.choose and not chosen_branch(incident, line.step):
        raise UserError(f"“{line.step.title}” is done by choosing one of its ways.")
    return Decision(facts=(facts.StepTicked(step_id=command.step_id),))


def untick_step(incident: Incident, command: UntickStep, context: Context) -> Decision:
    """A step is open again; at a choice, the way that was taken is taken back."""
    require_going_on(incident)
    line = _line(incident, command.step_id)
    if line.mark is None:
        raise UserError(f"“{line.step.title}” is already open.")
    return Decision(facts=(facts.StepUnticked(step_id=command.step_id),))


def skip_step(incident: Incident, command: SkipStep, context: Context) -> Decision:
    """A step is not needed; the reason is part of the record."""
    _open_line(incident, command.step_id)
    reason = clean(command.reason, max_chars=REASON_MAX_CHARS)
    if not reason:
        raise UserError("A step is skipped with a reason: it is part of the record.")
    return Decision(facts=(facts.StepSkipped(step_id=command.step_id, reason=reason),))


def choose_branch(incident: Incident, command: ChooseBranch, context: Context) -> Decision:
    """One of the ways of a choice; its steps appear."""
    require_going_on(incident)
    line = _line(incident, command.step_id)
    if all(branch.id != command.branch_id for branch in line.step.choose):
        raise UserError(f"“{line.step.title}” has no such way; the runbook may have changed.")
    taken = chosen_branch(incident, line.step)
    if taken and taken.id == command.branch_id:
        raise UserError(f"“{taken.title}” was already chosen.")
    return Decision(facts=(facts.BranchChosen(step_id=command.step_id, branch_id=command.branch_id),))


def _line(incident: Incident, step_id: str) -> Line:
    line = find_line(incident, step_id)
    if line is None:
        raise UserError("That step is not part of this checklist any more: another way was chosen.")
    if line.parent:
        raise UserError(f"“{line.step.title}” is done when its steps are.")
    return line


def _open_line(incident: Incident, step_id: str) -> Line:
    require_going_on(incident)
    line = _line(incident, step_id)
    if line.status is not StepStatus.OPEN and line.mark:
        word = "skipped" if line.mark.skipped else "done"
        raise UserError(f"“{line.step.title}” is already {word} by {mention(line.mark.moment.by)}.")
    return line
