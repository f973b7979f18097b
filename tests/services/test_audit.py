"""The audit on a real store: what is lost is found and done all the same, and silence at the heartbeat address means trouble."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, Declaration, RecordPage
from bot.domain.errors import MusterError, TemporaryError
from bot.domain.facts import Origin
from bot.domain.incident import Incident
from bot.domain.tasks import AUDIT_ID, TaskKind, TaskRequest, handover_task, prompt_task
from bot.domain.timers import tasks_of
from bot.services.audit import EVERY_S, UNCALLED_S, Audited, AuditPerformer, AuditRecord, Trouble, book_audit, last_well_at
from bot.services.desk import Desk
from bot.services.performers import reach_due
from bot.services.ports import Commit, Settlement, Task
from bot.services.worker import Performed, Work, Worker
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock

WAIT_S = 20.0


class Watched:
    """A Muster without Slack: its clock, its pages and its audit are real, what they reach is written down."""

    def __init__(self, store: RedisStore, clock: MovingClock, catalog: Catalog) -> None:
        self.store = store
        self.clock = clock
        self.desk = Desk(store=store, clock=clock, catalog=catalog)
        self.beats = 0
        self.beat_fault: MusterError | None = None
        self.told: list[tuple[tuple[str, ...], str]] = []
        self.told_fault: MusterError | None = None
        self.audits: list[Audited] = []
        self.pages: list[tuple[str, str]] = []
        self.standing: list[TaskRequest] = []
        self.worker: Worker
        self.audit = AuditPerformer(
            store=store,
            desk=self.desk,
            clock=clock,
            tell=self._tell,
            heartbeat=self._beat,
            standing=lambda: self.standing,
            on_audit=self.audits.append,
        )

    async def _beat(self) -> None:
        if self.beat_fault:
            raise self.beat_fault
        self.beats += 1

    async def _tell(self, troubles: Sequence[Trouble], *, key: str, since: datetime) -> None:
        if self.told_fault:
            raise self.told_fault
        self.told.append((tuple(trouble.kind for trouble in troubles), key))

    async def _page(self, task: Task, incident: Incident) -> Performed:
        key, contact = str(task.data["key"]), str(task.data["contact_id"])
        self.pages.append((key, contact))
        return Performed(
            command=RecordPage(
                key=key, contact_id=contact, attempt=int(task.data["attempt"]), via="slack", name=contact, due_at=task.due_at
            )
        )

    async def declare(self, title: str = "Clerk is down", *, private: bool = False) -> Incident:
        """Open an incident."""
        declaration = Declaration(title=title, runbook_ids=("clerk-auth-outage",), origin=Origin(how="terminal"), private=private)
        return (await self.desk.declare(declaration, by="U1", delivery=None)).incident

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A worker that does everything."""

        async def nothing(task: Task, incident: Incident) -> Performed:
            return Performed()

        self.worker = Worker(
            tasks=self.store,
            desk=self.desk,
            clock=self.clock,
            work={
                **{kind: Work(perform=nothing) for kind in TaskKind},
                TaskKind.CLOCK: Work(perform=reach_due),
                TaskKind.PAGE: Work(perform=self._page),
                TaskKind.AUDIT: Work(alone=self.audit),
            },
        )
        self.desk.on_task(self.worker.wake)
        running = asyncio.create_task(self.worker.run(), name="worker")
        try:
            yield
        finally:
            await self.worker.stop(grace_s=0)
            await asyncio.wait_for(running, WAIT_S)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and the heartbeat of the process beat."""
        await self.clock.advance(seconds)
        self.worker.wake()

    async def until(self, predicate: Callable[[], Any] | Callable[[], Awaitable[Any]], what: str) -> None:
        """Wait for something that Redis or a performer does."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while True:
            found = predicate()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            assert asyncio.get_running_loop().time() < deadline, what
            await asyncio.sleep(0.005)

    async def lose(self, identity: str, *, hash_too: bool = True) -> None:
        """As somebody does who deletes keys by hand."""
        assert await self.store._redis.zrem(f"{self.store._prefix}due", identity) == 1
        if hash_too:
            assert await self.store._redis.delete(f"{self.store._prefix}task:{identity}") == 1

    async def is_booked(self, identity: str) -> bool:
        """Whether the task waits, or is being done."""
        return identity not in (await self.store.look_for([identity]))[0]

    async def is_quiet(self) -> bool:
        """Whether everything that is due was done: a leap in time takes away the lease of what is under way."""
        is_late = await self.store.due_age_s() > 0
        return not (is_late or self.worker._claiming.locked() or self.worker._running)

    async def record(self) -> AuditRecord:
        """What the last audit left."""
        return AuditRecord.model_validate_json(await self.store.audit_record() or "{}")


def task_of(store: RedisStore, clock: MovingClock) -> Task:
    """The audit's task, as a claim gives it, for an audit that the test makes itself."""
    now = clock.now()
    return Task(id=AUDIT_ID, kind=TaskKind.AUDIT, incident_id="none", due_at=now, data={}, token="1", attempt=1, asked="1")


@pytest.fixture
def watched(store: RedisStore, clock: MovingClock, catalog: Catalog) -> Watched:
    """Nothing runs yet."""
    return Watched(store, clock, catalog)


# -- all well ------------------------------------------------------------------------------------------------------------


async def test_an_audit_that_finds_everything_well_calls_the_heartbeat_and_books_the_next(watched: Watched) -> None:
    """Once a minute, whatever incidents are open; nobody is told anything."""
    await watched.declare()
    await book_audit(watched.store, watched.clock)
    async with watched.running():
        for beats in (1, 2, 3):
            await watched.until(lambda beats=beats: watched.beats == beats, f"heartbeat {beats}")
            await watched.until(lambda: watched.is_booked(AUDIT_ID), "the next audit")
            await watched.until(watched.is_quiet, "what was due")
            await watched.advance(EVERY_S + 0.1)
    assert watched.told == []
    well_at = last_well_at(await watched.store.audit_record())
    assert well_at is not None
    assert watched.clock.now() - well_at < timedelta(seconds=EVERY_S + 5)
    assert last_well_at(None) is None


async def test_asked_for_by_every_replica_it_is_one_audit(watched: Watched) -> None:
    """A start, and every minute after it, changes nothing while it is booked."""
    for _ in range(3):
        await book_audit(watched.store, watched.clock)
    async with watched.running():
        await watched.until(lambda: watched.beats == 1, "the heartbeat")
        await book_audit(watched.store, watched.clock)
        await asyncio.sleep(0.05)
        assert watched.beats == 1
        await watched.lose(AUDIT_ID)
        await book_audit(watched.store, watched.clock)
        watched.worker.wake()
        await watched.until(lambda: watched.beats == 2, "an audit that was lost, and was asked for again")


# -- P11 -----------------------------------------------------------------------------------------------------------------


async def test_p11_without_anybody_who_claims_there_is_no_heartbeat(watched: Watched) -> None:
    """The tickers are stopped: time passes, and the watch outside hears nothing."""
    await book_audit(watched.store, watched.clock)
    async with watched.running():
        await watched.until(lambda: watched.beats == 1, "the heartbeat")
        await watched.until(lambda: watched.is_booked(AUDIT_ID), "the next audit")
    for _ in range(5):
        await watched.clock.advance(EVERY_S)
    assert watched.beats == 1


@pytest.mark.parametrize("hash_too", [True, False])
async def test_p11_a_clock_that_was_lost_pages_all_the_same(watched: Watched, hash_too: bool) -> None:
    """Somebody deletes the incident's only timer, whole or half: level 2 is paged within a minute of its time."""
    incident = await watched.declare()
    await book_audit(watched.store, watched.clock)
    async with watched.running():
        await watched.until(lambda: ("level-1", "on-call") in watched.pages, "the first level")
        await watched.until(lambda: watched.beats == 1, "the heartbeat")
        await watched.until(lambda: watched.is_booked(f"{incident.id}:clock"), "the clock")
        await watched.until(watched.is_quiet, "what was due")
        await watched.lose(f"{incident.id}:clock", hash_too=hash_too)
        for _ in range(16):
            await watched.until(watched.is_quiet, "what was due")
            await watched.advance(EVERY_S)
            await watched.until(lambda: watched.is_booked(AUDIT_ID), "the next audit")
        await watched.until(lambda: ("level-2", "engineering-lead") in watched.pages, "the second level")
    assert sum(audited.booked_again for audited in watched.audits) == 1
    assert watched.told[0][0] == ("missing",)
    assert [kinds for kinds, _ in watched.told] == [("missing",), ()]


async def test_p11_a_page_that_was_lost_is_sent_all_the_same(watched: Watched) -> None:
    """Lost before anybody claimed it: the audit books it, and that audit calls no heartbeat."""
    incident = await watched.declare()
    clock = await watched.store.claim(most=10, lease_ms=60_000)
    for task in clock.tasks:
        if task.kind is TaskKind.CLOCK:
            performed = await reach_due(task, incident)
            await watched.desk.settle(incident.id, performed.command, by="muster", settlement=Settlement(task=task))
    incident = await watched.desk.get(incident.id)
    (page,) = [identity for identity in tasks_of(incident) if ":page:" in identity]
    await watched.lose(page)
    await watched.audit(task_of(watched.store, watched.clock))
    assert watched.beats == 0
    assert watched.audits[-1].booked_again == 1
    async with watched.running():
        await watched.until(lambda: watched.pages, "the page")
    assert watched.pages == [("level-1", "on-call")]


async def test_what_is_overdue_is_trouble(watched: Watched) -> None:
    """More than ten seconds: nobody claims. No heartbeat, one message, and one when it is well again."""
    task = task_of(watched.store, watched.clock)
    await watched.desk.ask_for(prompt_task("C1", "1.0", "x", (), watched.clock.now()), delivery="d1")
    await watched.audit(task)
    assert watched.beats == 1
    await watched.clock.advance(11)
    for _ in range(3):
        await watched.audit(task)
    assert (watched.beats, [kinds for kinds, _ in watched.told]) == (1, [("overdue",)])
    assert (await watched.record()).since_at is not None
    await watched.store.commit(Commit(incident_id="none", expected_version=0, nonce="n", cancel=["prompt:C1:1.0"]))
    await watched.audit(task)
    await watched.audit(task)
    assert (watched.beats, [kinds for kinds, _ in watched.told]) == (3, [("overdue",), ()])
    assert (await watched.record()).told == ()


async def test_a_due_id_without_a_task_is_trouble_until_somebody_takes_it_out(watched: Watched) -> None:
    """Nobody can know what it was: it is named, with what to do."""
    await watched.store._redis.zadd(f"{watched.store._prefix}due", {"inc-9:ghost": 9e12})
    await watched.audit(task_of(watched.store, watched.clock))
    (trouble,) = watched.audits[-1].troubles
    assert (trouble.kind, "inc-9:ghost" in trouble.text, "ZREM" in trouble.text) == ("orphans", True, True)
    assert watched.beats == 0
    await watched.store._redis.zrem(f"{watched.store._prefix}due", "inc-9:ghost")
    await watched.audit(task_of(watched.store, watched.clock))
    assert watched.beats == 1


async def test_a_room_whose_task_is_half_gone_is_drawn_all_the_same(watched: Watched) -> None:
    """Its id is still due: what there was to do is known from the name."""
    incident = await watched.declare()
    await watched.store._redis.delete(f"{watched.store._prefix}task:{incident.id}:room")
    await watched.audit(task_of(watched.store, watched.clock))
    assert watched.audits[-1].booked_again == 1
    assert await watched.is_booked(f"{incident.id}:room")


async def test_another_trouble_is_told_as_well(watched: Watched) -> None:
    """Each kind once, as long as it lasts."""
    task = task_of(watched.store, watched.clock)
    await watched.store._redis.zadd(f"{watched.store._prefix}due", {"ghost": 9e12})
    await watched.audit(task)
    await watched.desk.ask_for(prompt_task("C1", "1.0", "x", (), watched.clock.now()), delivery="d1")
    await watched.clock.advance(11)
    await watched.audit(task)
    await watched.audit(task)
    assert [kinds for kinds, _ in watched.told] == [("orphans",), ("overdue", "orphans")]


async def test_what_another_replica_changes_meanwhile_is_not_booked_twice(watched: Watched) -> None:
    """What was seen is true of one version of the incident, and is written for that one only."""
    incident = await watched.declare()
    await watched.lose(f"{incident.id}:clock")
    other = Desk(store=watched.store, clock=watched.clock, catalog=watched.desk.catalog)
    looked_for = watched.store.look_for

    async def meanwhile(task_ids: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
        found = await looked_for(task_ids)
        if f"{incident.id}:clock" in found[0] and len(watched.audits) == 0:
            await other.handle(incident.id, Acknowledge(via="slack"), by="U2")
        return found

    watched.store.look_for = meanwhile  # type: ignore[method-assign]
    audited = await watched.audit.audit()
    assert audited.booked_again == 0


# -- what goes wrong around it --------------------------------------------------------------------------------------------


async def test_an_audit_that_could_not_be_made_calls_nothing(watched: Watched) -> None:
    """Redis goes away in the middle: the worker tries again, and nobody outside believes that all is well."""

    async def away(task_ids: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
        raise TemporaryError("Redis did not answer in time")

    watched.store.look_for = away  # type: ignore[method-assign]
    with pytest.raises(TemporaryError):
        await watched.audit(task_of(watched.store, watched.clock))
    assert (watched.beats, watched.told) == (0, [])


async def test_a_heartbeat_that_could_not_be_delivered_is_tried_again_soon(watched: Watched) -> None:
    """The watch outside is about to raise the alarm: not a whole minute later."""
    watched.beat_fault = TemporaryError("the heartbeat address answered 500")
    began = watched.clock.now()
    again_at = await watched.audit(task_of(watched.store, watched.clock))
    soon, slack = timedelta(seconds=UNCALLED_S), timedelta(seconds=0.05)
    assert began - slack <= again_at - soon <= watched.clock.now() + slack
    assert [trouble.kind for audited in watched.audits for trouble in audited.troubles] == ["heartbeat"]
    assert watched.told == []


async def test_while_slack_is_away_it_is_said_later(watched: Watched) -> None:
    """Trouble and its end are told by a later audit; the audit itself does not wait for Slack."""
    task = task_of(watched.store, watched.clock)
    await watched.store._redis.zadd(f"{watched.store._prefix}due", {"ghost": 9e12})
    watched.told_fault = TemporaryError("Slack did not answer")
    await watched.audit(task)
    watched.told_fault = None
    await watched.audit(task)
    assert [kinds for kinds, _ in watched.told] == [("orphans",)]
    await watched.store._redis.zrem(f"{watched.store._prefix}due", "ghost")
    watched.told_fault = TemporaryError("Slack did not answer")
    await watched.audit(task)
    assert watched.beats == 1  # it is well, whether Slack hears of it or not
    watched.told_fault = None
    await watched.audit(task)
    assert [kinds for kinds, _ in watched.told] == [("orphans",), ()]
    assert len({key for _, key in watched.told}) == 2


async def test_who_lost_the_lease_does_not_vouch(watched: Watched) -> None:
    """A process that was stopped in the middle wakes up: what it found is old."""
    task = task_of(watched.store, watched.clock)
    task.lease.ends_at = 0.0
    await watched.audit(task)
    assert watched.beats == 0


async def test_the_tasks_of_the_files_are_booked_without_alarm(watched: Watched) -> None:
    """A hand-over that another replica's older files did not ask for."""
    watched.standing = [handover_task("primary", watched.clock.now() + timedelta(hours=1))]
    await watched.audit(task_of(watched.store, watched.clock))
    assert await watched.is_booked(watched.standing[0].id)
    assert (watched.beats, watched.told) == (1, [])


async def test_a_private_incident_is_not_named(watched: Watched) -> None:
    """The incidents channel is read by everybody."""
    incident = await watched.declare("Somebody's secret", private=True)
    await watched.lose(f"{incident.id}:clock")
    await watched.audit(task_of(watched.store, watched.clock))
    (trouble,) = watched.audits[-1].troubles
    assert "a task of a private incident" in trouble.text
    assert incident.id not in trouble.text


async def test_an_incident_that_this_version_cannot_read_is_a_trouble_and_hides_no_other(watched: Watched) -> None:
    """The incidents channel is told what to do, the heartbeat is silent, and what is lost elsewhere is still booked again."""
    odd = await watched.declare()
    other = Declaration(title="Something else", runbook_ids=(), origin=Origin(how="terminal"))
    well = (await watched.desk.declare(other, by="U1", delivery=None)).incident
    timeline = f"{watched.store._prefix}inc:{odd.id}:timeline"
    (entry,) = await watched.store._redis.lrange(timeline, 0, 0)
    await watched.store._redis.rpush(timeline, entry.replace('"incident_opened"', '"from_the_future"'))
    await watched.lose(f"{well.id}:clock")
    watched.audit._desk = watched.desk = Desk(store=watched.store, clock=watched.clock, catalog=watched.desk.catalog)
    await watched.audit(task_of(watched.store, watched.clock))
    (audited,) = watched.audits
    assert [trouble.kind for trouble in audited.troubles] == ["unreadable", "missing"]
    assert f"{odd.id} cannot be read by this version" in audited.troubles[0].text
    assert await watched.is_booked(f"{well.id}:clock")
    assert watched.beats == 0
