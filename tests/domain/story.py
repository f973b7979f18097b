"""An incident lived in memory: commands go through the real decisions and the real fold, without a store.

After each of them the tasks that are booked must be those that follow from the state, and a clock that rings must change
something: so every test that lives a story also tests that nothing is forgotten and nothing runs in circles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from bot.domain.catalog import Catalog
from bot.domain.commands import Command, Declaration, OpenIncident, ReachDue, RecordPage
from bot.domain.decide import decide
from bot.domain.decisions.base import Context, Decision
from bot.domain.escalation import BusinessHours, Condition, Contact, EscalationPolicy, Level, RunbookEscalation, Team
from bot.domain.facts import AlarmRaised, Fact, Origin, PageSent
from bot.domain.incident import Incident, digest_of, fold, version_of
from bot.domain.runbook import Runbook
from bot.domain.severity import Severity, SeverityPolicy
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import MUSTER, Entry, chain
from bot.domain.timers import rebook, tasks_of
from bot.services.paging import wanted_ways
from tests.conftest import at

ORIGIN = Origin(how="command", channel_id="C1")
HOLDER = "U0HOLDER"
"""Whoever acknowledges, where it does not matter who."""
OF_THE_STATE = (TaskKind.CLOCK, TaskKind.PAGE, TaskKind.FOLLOW, TaskKind.REVERT, TaskKind.WATCH)
"""The kinds of tasks that follow from the state."""

Answer = Callable[[TaskRequest, Incident], RecordPage]


class Story:
    """``do`` lets somebody ask for something; what was decided, written and booked can be looked at."""

    def __init__(self, catalog: Catalog, *, begins: datetime | None = None) -> None:
        self.catalog = catalog
        self.now: datetime = begins or at()
        self.entries: list[Entry] = []
        self.tasks: dict[str, TaskRequest] = {}
        self.claims: set[str] = set()
        self._incident: Incident | None = None

    @property
    def incident(self) -> Incident:
        """The state now."""
        assert self._incident
        return self._incident

    def open(self, *runbook_ids: str, title: str = "clerk down", by: str = "U1", **fields: object) -> Incident:
        """Open incident number 1."""
        said = Declaration(title=title, runbook_ids=runbook_ids, **{"origin": ORIGIN} | fields)  # type: ignore[arg-type]
        self.do(OpenIncident(number=1, declaration=said), by=by)
        return self.incident

    def do(
        self, command: Command, *, by: str = "U1", after_s: float = 0, at_s: float | None = None, settling: str | None = None
    ) -> Decision:
        """``by`` asks for ``command``, ``after_s`` seconds later or ``at_s`` seconds after the opening; ``settling`` is the task
        that ends with it. Raises what the decision raises."""
        self.now = self.now + timedelta(seconds=after_s) if at_s is None else self.moment(at_s)
        decision = decide(self._incident, command, Context(by=by, now=self.now, catalog=self.catalog))
        entries = chain(
            decision.facts,
            after_seq=version_of(self._incident),
            after_digest=digest_of(self._incident),
            at=self.now,
            by=by,
            salts=["00" * 16] * len(decision.facts),
        )
        self.entries.extend(entries)
        before = self._incident
        self._incident = fold(entries, onto=self._incident)
        if settling:
            self.tasks.pop(settling)
        wanted, unwanted = rebook(tasks_of(before), tasks_of(self._incident), settling=settling)
        for identity in (*decision.cancel, *unwanted):
            self.tasks.pop(identity, None)
        self.tasks.update({task.id: task for task in (*decision.tasks, *wanted)})
        self.claims = (self.claims | set(decision.claims)) - set(decision.releases)
        kept = {identity: task for identity, task in self.tasks.items() if task.kind in OF_THE_STATE}
        assert kept == tasks_of(self._incident)
        return decision

    def moment(self, seconds: float) -> datetime:
        """So many seconds after the opening."""
        return self.incident.opened.at + timedelta(seconds=seconds)

    def tick(self, *, until_s: float, answer: Answer | None = None) -> None:
        """Let the clock of the incident run until so many seconds after the opening; every page is accepted at once by the first
        way that it would be tried by, unless ``answer`` says what becomes of it."""
        end = self.moment(until_s)
        while (task := self._next(end)) is not None:
            self.now = max(self.now, task.due_at)
            version = self.incident.version
            if task.kind is TaskKind.CLOCK:
                self.do(ReachDue(due_at=task.due_at), by=MUSTER, settling=task.id)
                again = self.tasks.get(task.id)
                assert self.incident.version > version or again is None or again.due_at > task.due_at, "the clock runs in circles"
            else:
                self.do((answer or accepted)(task, self.incident), by=MUSTER, settling=task.id)
                assert self.incident.version > version, "the page is sent in circles"
        self.now = max(self.now, end)

    def sleep(self, *, until_s: float) -> None:
        """Nobody performs anything until so many seconds after the opening: an outage."""
        self.now = self.moment(until_s)

    def _next(self, end: datetime) -> TaskRequest | None:
        waiting = [one for one in self.tasks.values() if one.kind in (TaskKind.CLOCK, TaskKind.PAGE) and one.due_at <= end]
        return min(waiting, key=lambda one: (one.due_at, one.id), default=None)

    def facts(self, kind: type[Fact]) -> list[Any]:
        """Those of one kind, in order."""
        return [entry.fact for entry in self.entries if isinstance(entry.fact, kind)]

    def told(self) -> list[tuple[int, str, str]]:
        """(seconds after the opening, alarm, contact) of every page that was accepted, in order."""
        return [(at_s, fact.key, fact.contact_id) for at_s, fact in self._at(PageSent)]

    def raised(self) -> list[tuple[int, str]]:
        """(seconds after the opening, key) of every alarm, in order."""
        return [(at_s, fact.key) for at_s, fact in self._at(AlarmRaised)]

    def _at(self, kind: type[Any]) -> Iterator[tuple[int, Any]]:
        opened = self.incident.opened.at
        for entry in self.entries:
            if isinstance(entry.fact, kind):
                yield round((entry.at - opened).total_seconds()), entry.fact

    def due_s(self, kind: TaskKind = TaskKind.CLOCK) -> list[float]:
        """When the tasks of a kind are due, in seconds after the opening."""
        opened = self.incident.opened.at
        return sorted((task.due_at - opened).total_seconds() for task in self.tasks.values() if task.kind is kind)

    def kinds(self) -> list[str]:
        """The kinds of all facts so far."""
        return [entry.fact.kind for entry in self.entries]


def accepted(task: TaskRequest, incident: Incident) -> RecordPage:
    """A page is accepted by the first way that it would be tried by; somebody without any is not reached."""
    key, contact_id = str(task.data["key"]), str(task.data["contact_id"])
    raised = incident.raised[key]
    contact = incident.contact(raised, contact_id)
    ways = wanted_ways(incident, raised, contact) if contact else ["slack"]
    if not ways:
        return answered(task, failure="there is no way to reach them")
    return answered(task, via=str(ways[0]), reference=task.id)


def answered(task: TaskRequest, *, via: str = "slack", **fields: Any) -> RecordPage:
    """What became of one attempt: accepted, or with ``failure``."""
    return RecordPage(
        key=str(task.data["key"]),
        contact_id=str(task.data["contact_id"]),
        attempt=int(str(task.data["attempt"])),
        via=via,
        due_at=task.due_at,
        **fields,
    )


# -- catalogs ------------------------------------------------------------------------------------------------------

A_RUNBOOK = "something"
"""The id of the one runbook of ``made``."""
PEOPLE = ("first", "second", "third", "lead", "dba", "press")
HOURS = BusinessHours(timezone="UTC")


def person(identity: str, **fields: Any) -> Contact:
    """A contact who is reached in Slack."""
    return Contact(id=identity, name=identity.capitalize(), slack=f"@{identity}", **fields)


def ladder(*levels: Level) -> tuple[Level, ...]:
    """The levels, or three of them: at once, after 15 min, after 30 min."""
    named = ((0, "first"), (900, "second"), (1800, "third"))
    return levels or tuple(Level(after_s=after_s, notify=(who,)) for after_s, who in named)


def made(
    catalog: Catalog,
    *,
    levels: Iterable[Level] = (),
    conditions: Iterable[Condition] = (),
    severity: Severity = Severity.SEV2,
    severities: dict[Severity, dict[str, Any]] | None = None,
    contacts: Iterable[Contact] = (),
    teams: Iterable[Team] = (),
    runbook: dict[str, Any] | None = None,
    **fields: Any,
) -> Catalog:
    """A catalog with one runbook and one policy. Its severities page at once, tell nobody else and ask nobody, unless
    ``severities`` says otherwise of one of them."""
    known = {contact.id: contact for contact in (*(person(one) for one in PEOPLE), *contacts)}
    policy = EscalationPolicy(id="default", levels=ladder(*levels), conditions=tuple(conditions))
    plain = next(iter(catalog.runbooks.values()))
    changes: dict[str, Any] = {"id": A_RUNBOOK, "severity": severity, "diagnostics": (), "escalation": RunbookEscalation()}
    return replace(
        catalog,
        runbooks=MappingProxyType({A_RUNBOOK: plain.model_copy(update=changes | (runbook or {}))}),
        contacts=MappingProxyType(known),
        teams=MappingProxyType({team.id: team for team in teams}),
        policies=MappingProxyType({"default": policy}),
        severities=MappingProxyType({one: _promise(one, (severities or {}).get(one, {})) for one in Severity}),
        business_hours=HOURS,
        **fields,
    )


def _promise(severity: Severity, changes: dict[str, Any]) -> SeverityPolicy:
    respond_s, resolve_s = ((900, 3600), (1800, 14_400), (7200, 86_400), (86_400, 604_800))[list(Severity).index(severity)]
    said = {
        "title": severity.value,
        "criteria": ("it is so",),
        "response": ("do it",),
        "respond_within_s": respond_s,
        "resolve_within_s": resolve_s,
    }
    return SeverityPolicy(**said | changes)


def another_runbook(catalog: Catalog, identity: str, **changes: Any) -> Catalog:
    """The catalog with a copy of its first runbook under another id."""
    plain: Runbook = next(iter(catalog.runbooks.values()))
    runbooks = {**catalog.runbooks, identity: plain.model_copy(update={"id": identity, **changes})}
    return replace(catalog, runbooks=MappingProxyType(runbooks))
