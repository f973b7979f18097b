"""An incident lived in memory: commands go through the real decisions and the real fold, without a store."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.domain.catalog import Catalog
from bot.domain.commands import Command, Declaration, OpenIncident, ReachDue, RecordPage
from bot.domain.decide import decide
from bot.domain.decisions.base import Context, Decision
from bot.domain.facts import Origin, PageSent
from bot.domain.incident import Incident, digest_of, fold, version_of
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import MUSTER, Entry, chain
from bot.domain.timers import rebook, tasks_of
from tests.conftest import at

ORIGIN = Origin(how="command", channel_id="C1")


class Story:
    """``do`` lets somebody ask for something; what was decided, written and booked can be looked at."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.now: datetime = at()
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

    def do(self, command: Command, *, by: str = "U1", after_s: float = 0) -> Decision:
        """``by`` asks for ``command``, ``after_s`` seconds later. Raises what the decision raises."""
        self.now += timedelta(seconds=after_s)
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
        for identity in decision.cancel:
            self.tasks.pop(identity, None)
        wanted, unwanted = rebook(tasks_of(before), tasks_of(self._incident))
        for identity in unwanted:
            self.tasks.pop(identity, None)
        self.tasks.update({task.id: task for task in (*decision.tasks, *wanted)})
        self.claims = (self.claims | set(decision.claims)) - set(decision.releases)
        return decision

    def tick(self, *, until_s: float) -> None:
        """Let the clock of the incident run until so many seconds after the opening; every page by Slack is accepted at once."""
        end = at(until_s)
        while (task := self._next(end)) is not None:
            self.now = max(self.now, task.due_at)
            self.tasks.pop(task.id)
            if task.kind is TaskKind.CLOCK:
                self.do(ReachDue(due_at=task.due_at), by=MUSTER)
                self.tasks.update({one.id: one for one in tasks_of(self.incident).values() if one.id == task.id})
            else:
                self.accept(task)
        self.now = max(self.now, end)

    def accept(self, task: TaskRequest, *, via: str = "slack") -> None:
        """A page is accepted."""
        key, contact_id, attempt = str(task.data["key"]), str(task.data["contact_id"]), int(str(task.data["attempt"]))
        command = RecordPage(key=key, contact_id=contact_id, attempt=attempt, via=via, due_at=task.due_at, reference=task.id)
        self.do(command, by=MUSTER)

    def _next(self, end: datetime) -> TaskRequest | None:
        waiting = [one for one in self.tasks.values() if one.kind in (TaskKind.CLOCK, TaskKind.PAGE) and one.due_at <= end]
        return min(waiting, key=lambda one: (one.due_at, one.id), default=None)

    def told(self) -> list[tuple[int, str, str]]:
        """(seconds after the opening, alarm, contact) of every page that was accepted, in order."""
        opened = self.incident.opened.at
        return [
            (round((entry.at - opened).total_seconds()), entry.fact.key, entry.fact.contact_id)
            for entry in self.entries
            if isinstance(entry.fact, PageSent)
        ]

    def kinds(self) -> list[str]:
        """The kinds of all facts so far."""
        return [entry.fact.kind for entry in self.entries]
