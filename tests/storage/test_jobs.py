"""What long runs keep: one write for each step, safe to repeat, the same in Redis and in memory; and the pace that they share."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from bot.domain.errors import TemporaryError, UnknownOutcome
from bot.services.ending import end_all
from bot.services.jobs import Job, MemoryJob, tally
from bot.services.pace import CATCH_UP_S, Pace
from bot.services.ports import TokenBucket
from bot.storage import keys
from bot.storage.jobs import KEPT_S, RedisJobs
from bot.storage.redis import RedisStore, connect
from tests.conftest import MovingClock
from tests.storage.broken_link import Break, Link, impatient


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.Redis]:
    """A client of the worker's kind."""
    async with connect(redis_url, timeout_s=5) as made:
        yield made


@pytest.fixture
def jobs(client: redis.Redis) -> RedisJobs:
    """The jobs of a workspace that nobody else uses."""
    return RedisJobs(client, workspace_id=f"T{secrets.token_hex(4)}")


@pytest.fixture(params=["redis", "memory"])
def job(request: pytest.FixtureRequest, jobs: RedisJobs) -> Job:
    """Both kinds keep the same promises."""
    return jobs("inc-1", "r1") if request.param == "redis" else MemoryJob()


async def test_a_new_job_is_empty(job: Job) -> None:
    """Nothing noted, nothing to do, nothing done."""
    assert (await job.notes(), await job.next(10), await job.left(), await job.ended()) == ({}, (), 0, {})


async def test_notes_of_all_kinds_come_back(job: Job) -> None:
    """As they were saved; the newest of a name counts, the others stay."""
    await job.save({"cursor": "user_2ä", "listed": False, "rows": [["sess_1", None, 2.5]]})
    await job.save({"listed": True})
    assert await job.notes() == {"cursor": "user_2ä", "listed": True, "rows": [["sess_1", None, 2.5]]}


async def test_the_queue_keeps_its_order(job: Job) -> None:
    """Over several writes, and after its head was ended."""
    await job.add(["c", "a", "b"], {"cursor": "b"})
    assert await job.next(2) == ("c", "a")
    await job.end({"c": "done"})
    await job.add(["0"], {})
    assert (await job.next(10), await job.left(), await job.notes()) == (("a", "b", "0"), 3, {"cursor": "b"})
    assert await job.next(0) == ()


async def test_every_write_is_safe_to_repeat(job: Job) -> None:
    """An item that waits or ended is not queued again, and an end is counted once."""
    for _ in range(2):
        await job.add(["a", "b"], {"cursor": "b"})
    await job.end({"a": "failed: Clerk refused it"})
    await job.end({"a": "failed: Clerk refused it"})
    await job.add(["a", "b", "c"], {})
    assert (await job.next(10), await job.ended()) == (("b", "c"), {"a": "failed: Clerk refused it"})


async def test_an_item_may_end_otherwise_later(job: Job) -> None:
    """What failed at first worked at the second pass; and what was never queued can be counted too."""
    await job.end({"a": "failed: 500", "b": "revoked"})
    await job.end({"a": "revoked"})
    assert tally(await job.ended()) == {"revoked": 2}


async def test_nothing_of_nothing(job: Job) -> None:
    """An empty page at the end of a list, saved with its cursor."""
    await job.add([], {"listed": True})
    await job.end({})
    await job.save({})
    assert (await job.notes(), await job.left(), await job.ended()) == ({"listed": True}, 0, {})


async def test_another_replica_goes_on_where_the_first_stopped(jobs: RedisJobs, redis_url: str) -> None:
    """Through another client, by the ids of the run alone; other runs have books of their own."""
    await jobs("inc-1", "r1").add(["a", "b"], {"cursor": "b"})
    await jobs("inc-1", "r1").end({"a": "done"})
    async with connect(redis_url, timeout_s=5) as other:
        elsewhere = RedisJobs(other, workspace_id=jobs.workspace_id)
        found = elsewhere("inc-1", "r1")
        assert (await found.next(5), await found.ended(), await found.notes()) == (("b",), {"a": "done"}, {"cursor": "b"})
        for stranger in (elsewhere("inc-1", "r2"), elsewhere("inc-2", "r1")):
            assert (await stranger.left(), await stranger.notes()) == (0, {})


async def test_ten_thousand_items_in_one_write(jobs: RedisJobs) -> None:
    """Nothing of it has to be cut into pieces."""
    items = [f"user_{number:06d}" for number in range(10_000)]
    job = jobs("inc-1", "r1")
    await job.add(items, {})
    assert await job.next(20_000) == tuple(items)
    await job.end(dict.fromkeys(items, "done"))
    assert (await job.left(), tally(await job.ended())) == (0, {"done": 10_000})


async def test_a_job_is_kept_for_a_month_after_its_last_write(jobs: RedisJobs, client: redis.Redis) -> None:
    """Whatever part of it is written, all of it lives on, under the names of the table."""
    job = jobs("inc-1", "r1")
    await job.add(["a", "b"], {"cursor": "b"})
    await job.end({"a": "done"})
    names = [f"{keys.prefix(jobs.workspace_id)}job:inc-1:r1:{part}" for part in ("notes", "queue", "ended")]
    assert sorted(await client.keys(f"{keys.prefix(jobs.workspace_id)}*")) == sorted(names)
    for name in names:
        await client.expire(name, 100)
    await job.save({"cursor": "c"})
    assert all([KEPT_S - 5 <= await client.ttl(name) <= KEPT_S for name in names])


async def test_redis_away_and_a_write_without_an_answer() -> None:
    """A read says that it did not work; a write that was sent says that nobody knows."""
    async with connect("unix:///nowhere/at/all", timeout_s=0.2) as client:
        job = RedisJobs(client, workspace_id="T1")("inc-1", "r1")
        reads = (job.notes, lambda: job.next(1), job.left, job.ended)
        writes = (lambda: job.save({"a": 1}), lambda: job.add(["a"], {}), lambda: job.end({"a": "done"}))
        for call in (*reads, *writes):
            with pytest.raises(TemporaryError, match="REDIS_URL"):
                await call()


async def test_a_write_whose_answer_is_lost_was_done_and_can_be_repeated(redis_url: str) -> None:
    """The queue is the same as after one write."""
    async with Link(redis_url.removeprefix("unix://")) as link, connect(link.url, timeout_s=5) as client:
        job = RedisJobs(client, workspace_id=f"T{secrets.token_hex(4)}")("inc-1", "r1")
        await job.add(["a"], {})
        link.break_next(Break.SILENT)
        with pytest.raises(UnknownOutcome), impatient(client, 0.5):
            await job.add(["b", "c"], {"cursor": "c"})
        assert link.is_broken
        await link.applied()
        await job.add(["b", "c"], {"cursor": "c"})
        assert (await job.next(10), await job.notes()) == (("a", "b", "c"), {"cursor": "c"})


# -- the shared pace -----------------------------------------------------------------------------------------------------


async def calls_in(seconds: float, *paces: Pace, per_s: float) -> tuple[int, float]:
    """(how many turns the callers of these replicas get, three each; in how many seconds, for nobody wakes up exactly)."""
    turns = 0

    async def call(pace: Pace) -> None:
        nonlocal turns
        while True:
            await pace.wait("clerk", per_s)
            turns += 1

    callers = [asyncio.create_task(call(pace)) for pace in paces for _ in range(3)]
    began = time.monotonic()
    await asyncio.sleep(seconds)
    taken, took_s = turns, time.monotonic() - began
    await end_all(callers)
    return taken, took_s


async def test_two_replicas_share_one_rate(store: RedisStore) -> None:
    """Neither more than the rate and the second that may be made up for, nor much less."""
    per_s = 30  # few enough that a busy machine has the time for each
    turns, took_s = await calls_in(2.0, Pace(store), Pace(store), per_s=per_s)
    assert 0.9 * per_s * took_s <= turns <= per_s * (took_s + CATCH_UP_S) + 2


async def test_waiting_in_line_costs_few_requests(store: RedisStore) -> None:
    """However many wait, one of them asks."""
    asked = 0
    take = store.take

    class Counting:
        """The store, counted."""

        pause = store.pause

        async def take(self, buckets: list[TokenBucket]) -> float:
            """See ``BucketStore.take``."""
            nonlocal asked
            asked += 1
            return await take(buckets)

    pace = Pace(Counting())  # type: ignore[arg-type]
    await asyncio.gather(*(pace.wait("clerk", 50) for _ in range(60)))
    assert asked <= 2.5 * 60


async def test_a_pause_holds_every_replica(store: RedisStore, clock: MovingClock) -> None:
    """Nobody calls before it is over, whoever was told of it; other buckets go on."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await clock.advance(seconds)

    first, second = Pace(store, sleep=sleep), Pace(store, sleep=sleep)
    await first.wait("clerk", 1000)
    began = clock.now()
    await second.pause("clerk", 60)
    await first.wait("other", 1000)
    assert waits == []
    await asyncio.gather(first.wait("clerk", 1000), second.wait("clerk", 1000))
    assert (clock.now() - began).total_seconds() >= 60 - 0.01


async def test_who_waits_sleeps_as_long_as_redis_says(store: RedisStore, clock: MovingClock) -> None:
    """Its clock counts, not this machine's."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await clock.advance(seconds)

    pace = Pace(store, sleep=sleep)
    began = time.monotonic()
    for _ in range(13):
        await pace.wait("clerk", 10)
    took_s = time.monotonic() - began  # while this machine works, Redis's clock goes on too
    assert sum(waits) <= 0.35
    assert sum(waits) + took_s >= 0.25


async def test_without_redis_nobody_gets_a_turn() -> None:
    """Whoever cannot ask must not call: the limit belongs to the production that suffers already."""
    async with connect("unix:///nowhere/at/all", timeout_s=0.2) as client:
        pace = Pace(RedisStore(client, workspace_id="T1", owner="test", clock=MovingClock()))
        with pytest.raises(TemporaryError):
            await pace.wait("clerk", 10)
