"""Opening an incident, declaring it once more, choosing its runbook."""

from __future__ import annotations

from bot.domain import facts
from bot.domain.catalog import Catalog
from bot.domain.commands import ChooseRunbook, DeclareAgain, OpenIncident
from bot.domain.decisions.base import Context, Decision, open_key, require_going_on
from bot.domain.errors import ConflictError, UserError
from bot.domain.facts import Candidate
from bot.domain.incident import Incident
from bot.domain.plan import make_plan
from bot.domain.runbook import Runbook
from bot.domain.tasks import TaskRequest, diagnose_task
from bot.domain.text import TITLE_MAX_CHARS, clean

MOST_CANDIDATES = 100
"""As many entries as a menu in Slack may have."""


def incident_id(number: int) -> str:
    """The id of the incident ``number``."""
    return f"inc-{number}"


def open_incident(incident: Incident | None, command: OpenIncident, context: Context) -> Decision:
    """The first entry, and the diagnostics where the runbook is certain."""
    if incident is not None:
        raise ConflictError(f"{incident.id} exists already")
    catalog, said = context.catalog, command.declaration
    runbooks = [_runbook(catalog, runbook_id) for runbook_id in said.runbook_ids]
    runbook = runbooks[0] if len(runbooks) == 1 else None
    likeliest = runbooks[0] if runbooks else None
    severity = said.severity or (likeliest.severity if likeliest else catalog.default_severity)
    title = clean(said.title, max_chars=TITLE_MAX_CHARS) or (likeliest.title if likeliest else "Something is broken")
    identity = incident_id(command.number)
    key = None if said.drill else open_key(said.runbook_ids)
    opened = facts.IncidentOpened(
        incident_id=identity,
        number=command.number,
        title=title,
        severity=severity,
        service=said.service or (likeliest.service if likeliest else None),
        private=any(item.private for item in runbooks) if said.private is None else said.private,
        drill=said.drill,
        origin=said.origin,
        plan=make_plan(catalog, likeliest),
        runbook=runbook,
        candidates=() if runbook else _candidates(catalog, runbooks),
        unique_key=key,
    )
    started, diagnosis = _first_diagnosis(identity, runbook, context)
    return Decision(
        facts=(opened, *started),
        tasks=diagnosis,
        claims=(key,) if key else (),
        number=command.number,
    )


def _candidates(catalog: Catalog, fitting: list[Runbook]) -> tuple[Candidate, ...]:
    offered = fitting or list(catalog.runbooks.values())
    return tuple(Candidate(id=one.id, title=one.title, fits=bool(fitting)) for one in offered[:MOST_CANDIDATES])


def _runbook(catalog: Catalog, runbook_id: str) -> Runbook:
    runbook = catalog.runbooks.get(runbook_id)
    if runbook is None:
        raise UserError(f"There is no runbook “{runbook_id}” any more; pick another one.")
    return runbook


def _first_diagnosis(
    identity: str, runbook: Runbook | None, context: Context
) -> tuple[tuple[facts.Fact, ...], tuple[TaskRequest, ...]]:
    if runbook is None or not runbook.diagnostics:
        return (), ()
    tasks = tuple(diagnose_task(identity, item.id, 1, context.now) for item in runbook.diagnostics)
    return (facts.DiagnosticsStarted(round=1),), tasks


def declare_again(incident: Incident, command: DeclareAgain, context: Context) -> Decision:
    """Somebody else noticed it too: recorded, and they are pointed at the room."""
    words = clean(command.words, max_chars=TITLE_MAX_CHARS)
    return Decision(facts=(facts.DeclaredAgain(words=words, origin=command.origin),))


def choose_runbook(incident: Incident, command: ChooseRunbook, context: Context) -> Decision:
    """The runbook of an incident that was opened without a certain one: its diagnostics start, its plan takes over."""
    require_going_on(incident)
    if incident.runbook is not None:
        raise UserError(f"The runbook “{incident.runbook.title}” was already chosen.")
    runbook = _runbook(context.catalog, command.runbook_id)
    started, diagnosis = _first_diagnosis(incident.id, runbook, context)
    key = None if incident.drill else open_key((runbook.id,))
    return Decision(
        facts=(facts.RunbookChosen(runbook=runbook, plan=make_plan(context.catalog, runbook), unique_key=key), *started),
        tasks=diagnosis,
        claims=(key,) if key else (),
        releases=(incident.unique_key,) if incident.unique_key else (),
    )
