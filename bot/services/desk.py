"""The desk: the one place where an incident changes. Gather → decide → commit, again on a version conflict.

The edges hand it commands, the worker hands it outcomes. It keeps the fold of every incident that it met, so that a
click costs one round trip to Redis: the version check of the commit tells when the cached fold is old. Within this
process one lock per incident keeps forty clickers from conflicting with each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from weakref import WeakValueDictionary

import structlog

from bot.domain.catalog import Catalog
from bot.domain.commands import Command, Declaration, DeclareAgain, OpenIncident, Settle
from bot.domain.decide import decide
from bot.domain.decisions.base import Context, Decision, open_key
from bot.domain.decisions.opening import incident_id as id_of
from bot.domain.errors import ConflictError, FencedError, UnknownEntryError, UnknownOutcome, UserError
from bot.domain.incident import Incident, digest_of, fold, version_of
from bot.domain.tasks import NO_INCIDENT, TaskRequest
from bot.domain.timeline import Entry, chain
from bot.domain.timers import rebook, tasks_of
from bot.services.crashpoints import crashpoint
from bot.services.ports import Clock, Commit, Committed, Settlement, Store

MOST_CONFLICTS = 12
"""How often a decision is made again before giving up; each conflict means that somebody else got through."""
LOOK_AGAIN_S = 0.5
MOST_CACHED = 2_000
"""Incidents kept folded in memory; the least recently used goes first."""


class TakenError(ConflictError):
    """The same thing is open already, as ``incident_id``."""

    def __init__(self, incident_id: str) -> None:
        super().__init__(f"{incident_id} is open already")
        self.incident_id = incident_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """What became of a command. ``duplicate``: the delivery was handled before, nothing was written now."""

    incident: Incident
    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """``new`` False: it was open already (``again`` True), or this delivery had been handled."""

    incident: Incident
    new: bool
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What goes on; ``unreadable`` are the ids of what only a newer version can read."""

    incidents: list[Incident]
    unreadable: list[str]


class Desk:
    """See the module. ``catalog`` may be replaced (a reload); it is read at each decision."""

    def __init__(self, *, store: Store, clock: Clock, catalog: Catalog) -> None:
        self._store = store
        self._clock = clock
        self.catalog = catalog
        self._folds: dict[str, Incident] = {}
        self._waiting: dict[str, tuple[int, dict[str, TaskRequest]]] = {}
        """(version, the tasks that follow from it), of what is in ``_folds``."""
        self._rooms: dict[str, str] = {}
        """Channel → incident, of what is in ``_folds``: a channel is the room of one incident for good."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._listeners: list[Callable[[Entry], None]] = []
        self._wakers: list[Callable[[], None]] = []
        self._opening: set[int] = set()
        """Numbers of incidents that this process is about to write."""
        self._changed: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self._log = structlog.get_logger("muster.desk")

    def on_entry(self, listener: Callable[[Entry], None]) -> None:
        """``listener`` hears of every entry that this process commits; it must not block."""
        self._listeners.append(listener)

    def on_task(self, waker: Callable[[], None]) -> None:
        """``waker`` is called when this process put a task into the due set."""
        self._wakers.append(waker)

    # -- reading ---------------------------------------------------------------------------------------------------

    async def load(self, incident_id: str, *, fresh: bool = True) -> Incident | None:
        """The incident; ``fresh`` asks Redis whether there is more than what is cached. None when there is none."""
        cached = self._folds.get(incident_id)
        if cached and not fresh:
            return cached
        entries = await self._store.timeline(incident_id, after=version_of(cached))
        return self._remember(fold(entries, onto=cached))

    async def get(self, incident_id: str, *, fresh: bool = True) -> Incident:
        """The incident. Raises: UserError when there is none."""
        incident = await self.load(incident_id, fresh=fresh)
        if incident is None:
            raise UserError("There is no such incident.")
        return incident

    async def entries(self, incident_id: str) -> list[Entry]:
        """The timeline itself, oldest first."""
        return await self._store.timeline(incident_id)

    async def find_by_channel(self, channel_id: str, *, fresh: bool = True) -> Incident | None:
        """The incident whose room ``channel_id`` is."""
        identity = self._rooms.get(channel_id) or await self._store.find_by_channel(channel_id)
        return await self.load(identity, fresh=fresh) if identity else None

    async def active(self) -> list[Incident]:
        """The incidents that are not over and can be read, oldest first."""
        return (await self.survey()).incidents

    async def lately(self) -> list[Incident]:
        """The incidents that are not over, and those that were not until some minutes ago. Raises: UnknownEntryError when this
        version cannot read one of them."""
        survey = await self._read(await self._store.lately_ids())
        if survey.unreadable:
            raise UnknownEntryError(f"{', '.join(survey.unreadable)} cannot be read by this version of Muster")
        return survey.incidents

    async def survey(self, *, lately: bool = False) -> Survey:
        """The incidents that are not over, oldest first, and the ids of those that this version cannot read: one of them must
        not hide the others. ``lately``: and those that were not over until some minutes ago."""
        return await self._read(await (self._store.lately_ids() if lately else self._store.active_ids()))

    async def _read(self, identities: Iterable[str]) -> Survey:
        found: list[Incident] = []
        unreadable: list[str] = []
        for identity in identities:
            try:
                incident = await self.load(identity)
            except UnknownEntryError as error:
                self._log.error("incident_unreadable", incident_id=identity, error=str(error))
                unreadable.append(identity)
                continue
            if incident:
                found.append(incident)
        return Survey(incidents=found, unreadable=unreadable)

    async def wait_until(self, incident_id: str, done: Callable[[Incident], bool], *, most_s: float) -> Incident:
        """The incident as soon as ``done`` says so, or as it is after ``most_s`` seconds.

        This process's commits are seen at once, another replica's within ``LOOK_AGAIN_S``. Raises: UserError when there is none.
        """
        deadline = asyncio.get_running_loop().time() + most_s
        committed_here = False
        while True:
            changed = self._changed.setdefault(incident_id, asyncio.Event())
            incident = (self._folds.get(incident_id) if committed_here else None) or await self.get(incident_id)
            left_s = deadline - asyncio.get_running_loop().time()
            if done(incident) or left_s <= 0:
                return incident
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, LOOK_AGAIN_S)):
                    await changed.wait()
            committed_here = changed.is_set()

    # -- changing --------------------------------------------------------------------------------------------------

    async def declare(self, declaration: Declaration, *, by: str, delivery: str | None) -> Declared:
        """Open an incident, or point at the one that is open for the same runbook.

        Raises: UserError, TemporaryError, UnknownOutcome (the commit could not be confirmed: answer 5xx, Slack repeats).
        """
        key = None if declaration.drill else open_key(declaration.runbook_ids)
        for tried in range(MOST_CONFLICTS):
            crashpoint("reserve.asked")
            # The first time without a write to disk: somebody waits, and only another replica could be in the way.
            reserved = await self._store.reserve(delivery=delivery, unique_key=key, alone=tried > 0)
            crashpoint("reserve.answered")
            if reserved.status == "duplicate":
                return Declared(incident=await self.get(reserved.incident_id), new=False)
            if reserved.status == "taken":
                return await self._declare_again(reserved.incident_id, declaration, by=by, delivery=delivery)
            number = next(number for number in itertools.count(reserved.number) if number not in self._opening)
            self._opening.add(number)
            try:
                command = OpenIncident(number=number, declaration=declaration)
                handled = await self.handle(id_of(number), command, by=by, delivery=delivery)
            except ConflictError:
                continue  # somebody was faster: the next reservation says who
            finally:
                self._opening.discard(number)
            return Declared(incident=handled.incident, new=not handled.duplicate)
        raise ConflictError("the same incident was opened and closed again and again; try once more")

    async def _declare_again(self, incident_id: str, declaration: Declaration, *, by: str, delivery: str | None) -> Declared:
        command = DeclareAgain(words=declaration.title, origin=declaration.origin)
        handled = await self.handle(incident_id, command, by=by, delivery=delivery)
        return Declared(incident=handled.incident, new=False, again=not handled.duplicate)

    async def handle(
        self,
        incident_id: str,
        command: Command,
        *,
        by: str,
        delivery: str | None = None,
        settlement: Settlement | None = None,
        check: Callable[[Incident], None] | None = None,
    ) -> Handled:
        """Decide and commit. With ``settlement``, the task ends in the same write.

        ``check`` refuses who may not (ForbiddenError), by the very state that is decided on: a fold that another replica has
        left behind is not the last word, for its commit meets a conflict and all is looked at again.

        Safe to repeat with the same ``delivery`` or ``settlement``. Raises: UserError with what to tell the person,
        TakenError, FencedError, TemporaryError, UnknownOutcome.
        """
        nonce = secrets.token_hex(8)
        lock = self._locks.setdefault(incident_id, asyncio.Lock())
        async with lock:
            incident = self._folds.get(incident_id)
            if incident is None and not isinstance(command, OpenIncident):
                incident = await self.load(incident_id)
            for _ in range(MOST_CONFLICTS):
                context = Context(by=by, now=self._clock.now(), catalog=self.catalog)
                try:
                    if check and incident:
                        check(incident)
                    decision = decide(incident, command, context)
                except UserError:
                    if incident and delivery and await self._store.was_seen(delivery):
                        return Handled(incident=incident, duplicate=True)
                    if await self._store.version(incident_id) == version_of(incident):
                        raise
                    incident = await self.load(incident_id)  # the refusal came from an old fold: look again
                    continue
                if incident and not settlement and not (decision.facts or decision.tasks):
                    if await self._store.version(incident_id) == version_of(incident):
                        return Handled(incident=incident)
                    incident = await self.load(incident_id)  # that there is nothing to do came from an old fold
                    continue
                handled = await self._commit(incident_id, incident, decision, context, nonce, delivery, settlement)
                if handled:
                    return handled
                incident = await self.load(incident_id)
        raise ConflictError(f"{incident_id} changes too quickly; try once more")

    async def ask_for(self, task: TaskRequest, *, delivery: str) -> bool:
        """Put a task that belongs to no incident into the due set; False when the delivery was handled before."""
        commit = Commit(
            incident_id=NO_INCIDENT,
            expected_version=0,
            nonce=secrets.token_hex(8),
            tasks=(task,),
            delivery=delivery,
        )
        result = await self._write(commit)
        for waker in self._wakers:
            waker()
        return result.status == "ok"

    async def is_first(self, delivery: str) -> bool:
        """Whether no replica asked this about ``delivery`` before: for answers that change nothing and are given once."""
        commit = Commit(incident_id=NO_INCIDENT, expected_version=0, nonce=secrets.token_hex(8), delivery=delivery)
        return (await self._write(commit)).status == "ok"

    async def settle_alone(self, settlement: Settlement) -> None:
        """End a task that belongs to no incident."""
        await self._write(
            Commit(
                incident_id=NO_INCIDENT,
                expected_version=0,
                nonce=secrets.token_hex(8),
                delivery=_delivery_of(settlement),
                settlement=settlement,
            )
        )

    async def settle(self, incident_id: str, command: Command | None, *, by: str, settlement: Settlement) -> None:
        """End a task, with what ``command`` makes of it in the same write (None: nothing to record).

        A task that was cancelled while it ran is fenced; what it did is a fact all the same and is recorded without it.
        Raises: FencedError when another worker has the task and there is nothing to record.
        """
        try:
            await self.handle(incident_id, command or Settle(), by=by, settlement=settlement)
        except FencedError:
            if command is None:
                raise
            await self.handle(incident_id, command, by=by, delivery=_delivery_of(settlement))
        except UserError as refused:
            self._log.warning("outcome_refused", incident_id=incident_id, reason=str(refused))
            await self.handle(incident_id, Settle(), by=by, settlement=settlement)

    async def _commit(
        self,
        incident_id: str,
        incident: Incident | None,
        decision: Decision,
        context: Context,
        nonce: str,
        delivery: str | None,
        settlement: Settlement | None,
    ) -> Handled | None:
        """None on a version conflict."""
        entries = chain(
            decision.facts,
            after_seq=version_of(incident),
            after_digest=digest_of(incident),
            at=context.now,
            by=context.by,
            salts=[secrets.token_hex(16) for _ in decision.facts],
        )
        after = fold(entries, onto=incident)
        if after is None:
            raise UserError("There is no such incident.")
        waiting = tasks_of(after)
        settling = settlement.task.id if settlement and settlement.again_at is None else None
        wanted, unwanted = rebook(self._waiting_tasks(incident), waiting, settling=settling)
        commit = Commit(
            incident_id=incident_id,
            expected_version=version_of(incident),
            nonce=nonce,
            entries=entries,
            tasks=(*decision.tasks, *wanted),
            cancel=(*decision.cancel, *unwanted),
            claims=decision.claims,
            releases=decision.releases,
            number=decision.number,
            channel_id=decision.channel_id,
            active=_activity(incident, after),
            delivery=delivery or (_delivery_of(settlement) if settlement else None),
            settlement=settlement,
        )
        result = await self._write(commit)
        if result.status == "conflict":
            return None
        if result.status == "fenced":
            raise FencedError(f"{settlement.task.id if settlement else incident_id} belongs to another worker now")
        if result.status == "taken":
            raise TakenError(result.incident_id)
        if result.status == "duplicate":
            known = await self.load(result.incident_id)
            return Handled(incident=known or after, duplicate=True)
        self._remember(after)
        self._waiting[after.id] = (after.version, waiting)
        changed = self._changed.pop(after.id, None)
        if changed:
            changed.set()
        for waker in self._wakers if decision.tasks or wanted else ():
            waker()
        for entry in entries:
            crashpoint("committed", entry.fact.kind)
            for listener in self._listeners:
                listener(entry)
            self._log.info("fact", incident_id=incident_id, kind=entry.fact.kind, seq=entry.seq, by=entry.by)
        return Handled(incident=after)

    async def _write(self, commit: Commit) -> Committed:
        """Once more after an unknown outcome: the nonce makes that safe. A second unknown outcome is passed on."""
        try:
            return await self._store.commit(commit)
        except UnknownOutcome:
            if commit.delivery is None:
                raise
            return await self._store.commit(commit)

    def _waiting_tasks(self, incident: Incident | None) -> dict[str, TaskRequest]:
        """The tasks that follow from a state; those of the state that was committed last are at hand."""
        if incident is None:
            return {}
        version, waiting = self._waiting.get(incident.id, (0, {}))
        return waiting if version == incident.version else tasks_of(incident)

    def _remember(self, incident: Incident | None) -> Incident | None:
        if incident is None:
            return None
        known = self._folds.pop(incident.id, None)
        newest = known if known and known.version > incident.version else incident
        self._folds[incident.id] = newest
        if newest.channel_id:
            self._rooms[newest.channel_id] = newest.id
        if len(self._folds) > MOST_CACHED:
            forgotten = self._folds.pop(next(iter(self._folds)))
            self._rooms.pop(forgotten.channel_id or "", None)
            self._waiting.pop(forgotten.id, None)
        return newest


def _delivery_of(settlement: Settlement) -> str:
    """Under which the outcome of a task is remembered: one claim writes one outcome."""
    return f"task:{settlement.task.id}:{settlement.task.token}"


def _activity(before: Incident | None, after: Incident) -> bool | None:
    """True or False when the incident joins or leaves the active ones, None when nothing changes."""
    was = bool(before and not before.is_over)
    return None if was == (not after.is_over) else not after.is_over
