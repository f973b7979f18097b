"""An incident lived in memory: commands go through the real decisions and the real fold, without a store."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.domain.catalog import Catalog
from bot.domain.commands import Command, Declaration, OpenIncident
from bot.domain.decide import decide
from bot.domain.decisions.base import Context, Decision
from bot.domain.facts import Origin
from bot.domain.incident import Incident, digest_of, fold, version_of
from bot.domain.tasks import TaskRequest
from bot.domain.timeline import Entry, chain
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
        self._incident = fold(entries, onto=self._incident)
        for identity in decision.cancel:
            self.tasks.pop(identity, None)
        self.tasks.update({task.id: task for task in decision.tasks})
        self.claims = (self.claims | set(decision.claims)) - set(decision.releases)
        return decision

    def kinds(self) -> list[str]:
        """The kinds of all facts so far."""
        return [entry.fact.kind for entry in self.entries]
