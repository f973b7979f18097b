"""Watching: a diagnostic is repeated for a step, and something is said only when it changes."""

from __future__ import annotations

from bot.domain import facts
from bot.domain.checklist import find_line
from bot.domain.commands import EndWatch, RecordWatch, StartWatch
from bot.domain.decisions.base import Context, Decision, require_going_on
from bot.domain.errors import UserError
from bot.domain.incident import Incident
from bot.domain.outcome import State
from bot.domain.runbook import Watching


def start_watch(incident: Incident, command: StartWatch, context: Context) -> Decision:
    """From now on; when it looks next follows from the state."""
    require_going_on(incident)
    line = find_line(incident, command.step_id)
    if line is None or line.step.watch is None:
        raise UserError("That step watches nothing; look at the newest checklist.")
    known = incident.watches.get(command.step_id)
    if known and known.ended is None:
        raise UserError(f"“{line.step.title}” is being watched already.")
    return Decision(facts=(facts.WatchStarted(step_id=command.step_id, number=known.number + 1 if known else 1),))


def end_watch(incident: Incident, command: EndWatch, context: Context) -> Decision:
    """Somebody has seen enough."""
    known = incident.watches.get(command.step_id)
    if known is None or known.ended:
        raise UserError("That is not being watched any more.")
    return Decision(facts=(facts.WatchEnded(step_id=command.step_id, number=known.number, done=False),))


def record_watch(incident: Incident, command: RecordWatch, context: Context) -> Decision:
    """What a look saw: written down when it is another state than before, or one more good result of those it waits for."""
    known = incident.watches.get(command.step_id)
    watching = watching_of(incident, command.step_id)
    if known is None or known.ended or known.number != command.number or watching is None:
        return Decision()
    state = command.outcome.state
    good = known.good + 1 if state is State.OK else 0
    if known.outcome and known.outcome.state is state and state is not State.OK:
        return Decision()
    seen = facts.WatchReported(step_id=command.step_id, number=known.number, outcome=command.outcome, good=good)
    if good < watching.good:
        return Decision(facts=(seen,))
    return Decision(facts=(seen, facts.WatchEnded(step_id=command.step_id, number=known.number, done=True)))


def watching_of(incident: Incident, step_id: str) -> Watching | None:
    """How a step is watched; None: it is not part of the runbook any more, or watches nothing."""
    step = incident.runbook.find_step(step_id) if incident.runbook else None
    return step.watch if step else None
