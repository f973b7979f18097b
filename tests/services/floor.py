"""An incident, a real store and workers whose work the test decides: what the worker's tests stand on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bot.domain.catalog import Catalog
from bot.domain.commands import Declaration
from bot.domain.facts import Origin
from bot.domain.incident import Incident
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import from_ms
from bot.services.desk import Desk
from bot.services.ports import Claimed, Commit, Committed, Task
from bot.services.worker import Performed, Work, Worker
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock

KIND = TaskKind.PREVIEW
"""The kind of the tasks that the tests ask for; what the incident itself asked for is another kind."""
WAIT_S = 20.0
"""Patience with what must come: a shared machine may be many times slower than a quiet one."""
LEASE_S = 2.0

Perform = Callable[[Task, Incident], Awaitable[Performed]]

_NONCES = itertools.count(1)


class WatchedStore(RedisStore):
    """A store that tells when a lease was renewed and how long a task was handed back for, and that lets a test hold back what
    Redis has already answered. While a test holds ``renewing``, nothing is renewed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.renewing = asyncio.Lock()
        self.delays: list[tuple[float, float]] = []
        """(at least, at most) so many seconds from when a task of ``KIND`` was handed back until it is due, by Redis."""
        self._renewed = asyncio.Event()
        self._renewals_begun = 0
        self._renewals_ended = 0
        self.claimed = asyncio.Event()
        self.claims_may_return = asyncio.Event()
        self.commits_may_return = asyncio.Event()
        self.claims_may_return.set()
        self.commits_may_return.set()

    async def extend(self, tasks: Any, *, lease_ms: int) -> set[str]:
        async with self.renewing:
            self._renewals_begun += 1
            number = self._renewals_begun
            kept = await super().extend(tasks, lease_ms=lease_ms)
        self._renewals_ended = number
        self._renewed.set()
        return kept

    async def renewed(self, *, times: int = 1) -> None:
        """Wait until so many renewals that are begun from now on have been answered."""
        wanted = self._renewals_begun + times
        async with asyncio.timeout(WAIT_S):
            while self._renewals_ended < wanted:
                self._renewed.clear()
                await self._renewed.wait()

    async def release(self, task: Task, *, delay_s: float) -> bool:
        earliest = self._clock.now().timestamp()
        released = await super().release(task, delay_s=delay_s)
        await RedisStore.claim(self, most=0, lease_ms=1)  # the clock looks at Redis
        latest = self._clock.now().timestamp()
        score = await self._redis.zscore(f"{self._prefix}due", task.id)
        if released and score is not None and task.kind is KIND:
            self.delays.append((score / 1000 - latest, score / 1000 - earliest))
        return released

    async def claim(self, *, most: int, lease_ms: int) -> Claimed:
        claimed = await super().claim(most=most, lease_ms=lease_ms)
        if claimed.tasks:
            self.claimed.set()
        await self.claims_may_return.wait()
        return claimed

    async def commit(self, commit: Commit) -> Committed:
        committed = await super().commit(commit)
        await self.commits_may_return.wait()
        return committed


class Floor:
    """One open incident in a workspace of its own."""

    def __init__(self, store: WatchedStore, clock: MovingClock, catalog: Catalog) -> None:
        self.store = store
        self.clock = clock
        self.desk = Desk(store=store, clock=clock, catalog=catalog)
        self.outcomes: list[str] = []
        """What the workers reported of tasks of ``KIND``."""
        self._workers: list[Worker] = []
        self._reported = asyncio.Event()
        self.incident: Incident

    async def open(self) -> None:
        """Open the incident, and take away the tasks that an opening asks for."""
        declaration = Declaration(title="Something", runbook_ids=(), origin=Origin(how="terminal"))
        self.incident = (await self.desk.declare(declaration, by="U1", delivery=None)).incident
        await self._write(cancel=[f"{self.incident.id}:room", f"{self.incident.id}:clock"])

    async def ask(self, *identities: str, in_s: float = 0.0, again: bool = False, kind: TaskKind = KIND) -> None:
        """Put tasks into the due set, and wake the workers as the desk does."""
        due_at = self.clock.now() + timedelta(seconds=in_s)
        await self._write(
            tasks=[
                TaskRequest(id=identity, kind=kind, incident_id=self.incident.id, due_at=due_at, again=again)
                for identity in identities
            ]
        )
        for worker in self._workers:
            worker.wake()

    async def cancel(self, identity: str) -> None:
        """As a decision does."""
        await self._write(cancel=[identity])

    async def _write(self, **fields: Any) -> None:
        version = await self.store.version(self.incident.id)
        commit = Commit(incident_id=self.incident.id, expected_version=version, nonce=f"floor{next(_NONCES)}", **fields)
        assert (await RedisStore.commit(self.store, commit)).status == "ok"

    @contextlib.asynccontextmanager
    async def worker(
        self, perform: Perform | None = None, *, work: Mapping[TaskKind, Work] | None = None, **options: Any
    ) -> AsyncIterator[Worker]:
        """A running worker that does ``perform`` for ``KIND``, and nothing for the other kinds."""
        done = work or {kind: Work(perform=_nothing) for kind in TaskKind} | {KIND: Work(perform=perform, **options)}
        worker = Worker(
            tasks=self.store,
            desk=self.desk,
            clock=self.clock,
            work=done,
            on_outcome=self._report,
        )
        self.desk.on_task(worker.wake)
        self._workers.append(worker)
        running = asyncio.create_task(worker.run(), name="worker")
        try:
            yield worker
        finally:
            await worker.stop(grace_s=0)
            await asyncio.wait_for(running, WAIT_S)

    def _report(self, kind: TaskKind, outcome: str) -> None:
        if kind is KIND:
            self.outcomes.append(outcome)
            self._reported.set()

    async def advance(self, worker: Worker, seconds: float) -> None:
        """Let time pass, and the heartbeat beat."""
        await self.clock.advance(seconds)
        worker.wake()

    async def state(self, identity: str) -> dict[str, str]:
        """The hash of a task."""
        found: dict[str, str] = await self.store._redis.hgetall(f"{self.store._prefix}task:{identity}")
        return found

    async def due_at(self, identity: str) -> datetime | None:
        """When a task may be claimed; None when it is not in the due set."""
        score = await self.store._redis.zscore(f"{self.store._prefix}due", identity)
        return None if score is None else from_ms(int(score))

    def was_handed_back_for(self, seconds: float) -> bool:
        """Whether the last task that was handed back was due so much later, however long this machine took to find out."""
        at_least, at_most = self.store.delays[-1]
        return at_least - 0.05 <= seconds <= at_most + 0.05

    async def until(self, identity: str, state: str) -> None:
        """Wait until a task is in ``state`` in Redis, which tells nobody."""
        async with asyncio.timeout(WAIT_S):
            while (await self.state(identity)).get("state") != state:  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def until_outcome(self, outcome: str, *, times: int = 1) -> None:
        """Wait until the workers have reported ``outcome`` for so many tasks of ``KIND``."""
        async with asyncio.timeout(WAIT_S):
            while self.outcomes.count(outcome) < times:
                self._reported.clear()
                await self._reported.wait()

    async def joined(self) -> list[str]:
        """Who was recorded as having joined, in order: what the performers of the tests report."""
        entries = await self.store.timeline(self.incident.id)
        return [entry.fact.user_id for entry in entries if entry.fact.kind == "responder_joined"]


async def _nothing(task: Task, incident: Incident) -> Performed:
    return Performed()
