"""The clock: how late a task comes to its performer among many that are pending, and how fast a backlog is worked off.

The real ``Worker`` and ``Desk`` over the embedded server, fsync always; the performer only notes the time. Late is measured by
Redis's clock, as the due times are. A backlog is measured three ways: leases alone, in batches; settlements alone; and both as
the worker does them, one commit for each task.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from bot.actions.registry import load_actions
from bot.domain.tasks import NO_INCIDENT, TaskKind, TaskRequest, prompt_task
from bot.services.desk import Desk
from bot.services.ports import Commit, Settlement, Task
from bot.services.worker import MOST_AT_ONCE, LonePerformer, Work, Worker
from bot.storage.embedded import embedded_redis
from bot.storage.redis import WORKER_TIMEOUT_S, RedisClock, RedisStore, connect
from bot.storage.runbook_files import load_catalog
from tests.bench.report import Row, at_least, at_most, percentile, plain, table

LATENESS_GOAL_MS = 50.0
DRAIN_GOAL_PER_S = 20_000.0
"""``facts/performance.md``, section 7, has it of claims in batches; with a commit for each task it is not reached."""
PENDING, SMOKE_PENDING = 1_000_000, 20_000
PER_S = 200
LAST_S, SMOKE_LAST_S = 10.0, 1.0
BACKLOG, SMOKE_BACKLOG = 20_000, 1_000
BATCH = 1_000
AHEAD_S = 1.0
RUNBOOKS = Path(__file__).parents[2] / "runbooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """A store with a desk over it."""

    store: RedisStore
    desk: Desk
    clock: RedisClock


async def measure(quick: bool) -> str:
    """The table."""
    pending, last_s, backlog = (SMOKE_PENDING, SMOKE_LAST_S, SMOKE_BACKLOG) if quick else (PENDING, LAST_S, BACKLOG)
    async with _ground() as ground:
        began = time.perf_counter()
        await _ask_for(ground, "far", pending, first_s=24 * 3600.0, every_s=0.001)
        rows = [plain(f"asked for in commits of {BATCH:,}", pending / (time.perf_counter() - began), "/s", digits=0)]
        await _rewritten(ground)
        rows += await _lateness(ground, last_s)
        rows += await _drain(ground, backlog)
    return table(f"{pending:,} tasks pending; fsync always; one worker", rows)


@contextlib.asynccontextmanager
async def _ground() -> AsyncIterator[_Ground]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        async with embedded_redis(Path(folder)) as server:
            client = connect(server.url, timeout_s=WORKER_TIMEOUT_S)
            clock = RedisClock()
            store = RedisStore(client, workspace_id="T0BENCH", owner="bench", clock=clock)
            result = load_catalog(RUNBOOKS, actions=load_actions(), overrides={"CLERK_APP_URL": "http://127.0.0.1:9"})
            if result.catalog is None:
                raise RuntimeError("the runbooks have faults")
            await store.claim(most=1, lease_ms=1)  # the clock has to hear from Redis once
            try:
                yield _Ground(store=store, desk=Desk(store=store, clock=clock, catalog=result.catalog), clock=clock)
            finally:
                await client.aclose()


async def _ask_for(ground: _Ground, name: str, count: int, *, first_s: float, every_s: float) -> datetime:
    """Put ``count`` tasks into the due set, the first due in ``first_s`` seconds. When that is."""
    first_at = ground.clock.now() + timedelta(seconds=first_s)
    for start in range(0, count, BATCH):
        numbers = range(start, min(count, start + BATCH))
        tasks = [_request(name, number, first_at + timedelta(seconds=number * every_s)) for number in numbers]
        commit = Commit(incident_id=NO_INCIDENT, expected_version=0, nonce=secrets.token_hex(8), tasks=tasks)
        committed = await ground.store.commit(commit)
        if committed.status != "ok":
            raise RuntimeError(f"the tasks were not stored: {committed.status}")
    return first_at


def _request(name: str, number: int, due_at: datetime) -> TaskRequest:
    """A question under a message: the one kind of task that belongs to no incident."""
    return prompt_task(f"C{name}", f"{number}.000", "clerk down", ("clerk-auth-outage",), due_at)


async def _rewritten(ground: _Ground) -> None:
    """Wait until Redis has compacted its file, which it does while it grows."""
    client = ground.store._redis
    while (await client.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110 - Redis tells nobody
        await asyncio.sleep(0.1)


async def _lateness(ground: _Ground, last_s: float) -> list[Row]:
    count = round(PER_S * last_s)
    late_ms: list[float] = []

    async def note(task: Task) -> None:
        late_ms.append((ground.clock.now() - task.due_at).total_seconds() * 1000)

    await _ask_for(ground, "soon", count, first_s=AHEAD_S, every_s=1 / PER_S)
    seconds = await _work(ground, note, count)
    return [
        plain(f"{PER_S} due in each of {last_s:g} s: lateness p50", percentile(late_ms, 0.5), "ms"),
        at_most("p99", percentile(late_ms, 0.99), LATENESS_GOAL_MS, "ms"),
        plain("the latest", max(late_ms), "ms"),
        plain("from the first to the last settled", count / max(0.001, seconds - AHEAD_S), "/s", digits=0),
    ]


async def _work(ground: _Ground, perform: LonePerformer, count: int) -> float:
    """Run a worker until ``count`` tasks are settled; the seconds that it took."""
    settled = asyncio.Event()
    done = 0

    def on_outcome(kind: TaskKind, outcome: str) -> None:
        nonlocal done
        done += outcome == "done"
        if done >= count:
            settled.set()

    work = {TaskKind.PROMPT: Work(alone=perform)}
    worker = Worker(tasks=ground.store, desk=ground.desk, clock=ground.clock, work=work, on_outcome=on_outcome)
    began = time.perf_counter()
    running = asyncio.create_task(worker.run(), name="worker")
    await settled.wait()
    seconds = time.perf_counter() - began
    await worker.stop(grace_s=1)
    await running
    return seconds


async def _drain(ground: _Ground, backlog: int) -> list[Row]:
    await _ask_for(ground, "late", backlog, first_s=-3600.0, every_s=0.0)
    began = time.perf_counter()
    held: list[Task] = []
    while len(held) < backlog:
        held += (await ground.store.claim(most=BATCH, lease_ms=3_600_000)).tasks
    claimed_s = time.perf_counter() - began
    began = time.perf_counter()
    queue = iter(held)

    async def settle() -> None:
        for task in queue:
            await ground.desk.settle_alone(Settlement(task=task))

    await asyncio.gather(*(settle() for _ in range(MOST_AT_ONCE)))
    settled_s = time.perf_counter() - began

    async def nothing(task: Task) -> None:
        return

    await _ask_for(ground, "later", backlog // 4, first_s=-3600.0, every_s=0.0)
    worked_s = await _work(ground, nothing, backlog // 4)
    return [
        at_least(f"a backlog leased in batches of {BATCH:,}", backlog / claimed_s, DRAIN_GOAL_PER_S, "/s", digits=0),
        plain(f"settled, a commit for each, {MOST_AT_ONCE} at once", backlog / settled_s, "/s", digits=0),
        at_least("leased, performed and settled by the worker", backlog // 4 / worked_s, DRAIN_GOAL_PER_S, "/s", digits=0),
    ]
