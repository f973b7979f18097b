"""The due set against a real Redis: asked for once, leased, fenced, settled, and never lost."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.tasks import TaskKind
from bot.services.ports import Commit, Settlement
from bot.storage.redis import RedisClock, RedisStore, connect
from tests.conftest import MovingClock
from tests.storage.support import INCIDENT, LEASE_MS, ask, claim_one, commit_of, dump, entries, request_for

ROOM = f"{INCIDENT}:room"


@pytest.fixture
def other(store: RedisStore, clock: MovingClock) -> RedisStore:
    """The same workspace as another worker sees it."""
    workspace_id = store._prefix.removeprefix("{muster:").removesuffix("}:")
    return RedisStore(store._redis, workspace_id=workspace_id, owner="other", clock=clock, time_travel=True)


def settling(task: Any, **fields: Any) -> Commit:
    """What ends ``task``."""
    delivery = f"task:{task.id}:{task.token}"
    return commit_of(delivery=delivery, settlement=Settlement(task=task, **fields))


async def state_of(store: RedisStore, identity: str) -> dict[str, str]:
    """The hash of a task."""
    found: dict[str, str] = (await dump(store))[f"{store._prefix}task:{identity}"]
    return found


async def due_ids(store: RedisStore) -> set[str]:
    """What is in the due set, due or not."""
    return {identity for identity, _ in (await dump(store)).get(f"{store._prefix}due", [])}


# -- asking --------------------------------------------------------------------------------------------------------------


async def test_a_task_comes_with_what_was_asked(store: RedisStore, clock: MovingClock) -> None:
    """Kind, incident, data and due time survive; the first attempt is number 1."""
    request = request_for(ROOM, clock, level=2)
    await ask(store, request)
    task = await claim_one(store)
    assert (task.id, task.kind, task.incident_id, task.data) == (ROOM, TaskKind.ROOM, INCIDENT, {"level": 2})
    assert abs(task.due_at - request.due_at) < timedelta(milliseconds=1)
    assert task.attempt == 1


async def test_asking_twice_is_asking_once(store: RedisStore, clock: MovingClock) -> None:
    """A pending task stays as it was."""
    await ask(store, request_for(ROOM, clock, round=1))
    await ask(store, request_for(ROOM, clock, in_s=60, round=2))
    assert (await claim_one(store)).data == {"round": 1}


async def test_asking_again_for_a_pending_task_moves_it(store: RedisStore, clock: MovingClock) -> None:
    """A level that is brought forward is due now, with what was asked last."""
    await ask(store, request_for(ROOM, clock, in_s=900, again=True, round=1))
    assert (await store.claim(most=10, lease_ms=LEASE_MS)).tasks == ()
    await ask(store, request_for(ROOM, clock, again=True, round=2))
    assert (await claim_one(store)).data == {"round": 2}
    assert len(await due_ids(store)) == 1


async def test_asking_again_while_it_runs_makes_it_due_once_more(store: RedisStore, clock: MovingClock) -> None:
    """Ten clicks while the room is being drawn are one more drawing, which begins as a first attempt."""
    await ask(store, request_for(ROOM, clock, again=True))
    running = await claim_one(store, lease_ms=60_000)
    for _ in range(10):
        await ask(store, request_for(ROOM, clock, again=True))
    assert (await store.claim(most=10, lease_ms=LEASE_MS)).tasks == ()
    assert (await store.commit(settling(running))).status == "ok"
    again = await claim_one(store)
    assert (again.attempt, again.token != running.token) == (1, True)
    await store.commit(settling(again))
    assert await due_ids(store) == set()


async def test_asking_once_while_it_runs_changes_nothing(store: RedisStore, clock: MovingClock) -> None:
    """A page that is being sent is not asked for again."""
    await ask(store, request_for("page", clock))
    running = await claim_one(store)
    await ask(store, request_for("page", clock))
    await store.commit(settling(running))
    assert await due_ids(store) == set()


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
async def test_what_is_over_is_asked_for_again_only_where_that_is_meant(
    store: RedisStore, clock: MovingClock, state: Any
) -> None:
    """A page that was sent stays sent; a room that was drawn is drawn again, from the first attempt."""
    for identity in ("page", ROOM):
        await ask(store, request_for(identity, clock))
    for task in (await store.claim(most=10, lease_ms=LEASE_MS)).tasks:
        if state == "cancelled":
            await store.commit(commit_of(cancel=[task.id]))
        else:
            await store.commit(settling(task, state=state))
    assert {(await state_of(store, identity))["state"] for identity in ("page", ROOM)} == {state}
    await ask(store, request_for("page", clock), request_for(ROOM, clock, again=True))
    task = await claim_one(store)
    assert (task.id, task.attempt) == (ROOM, 1)


async def test_a_task_that_is_over_is_forgotten_after_a_week(store: RedisStore, clock: MovingClock) -> None:
    """It is remembered long enough to be asked for twice, and asked for anew it is remembered until it is over."""
    await ask(store, request_for(ROOM, clock))
    await store.commit(settling(await claim_one(store)))
    key = f"{store._prefix}task:{ROOM}"
    assert 6.9 * 86_400 < await store._redis.ttl(key) <= 7 * 86_400
    await ask(store, request_for(ROOM, clock, again=True))
    assert await store._redis.ttl(key) == -1


# -- claiming ------------------------------------------------------------------------------------------------------------


async def test_tasks_are_claimed_when_due_in_their_order(store: RedisStore, clock: MovingClock) -> None:
    """Oldest first, no more than asked for, nothing before its time; the next due time is told."""
    tasks = [request_for(f"t{number}", clock, in_s=in_s) for number, in_s in enumerate((-1, -3, -2, 60))]
    await ask(store, *tasks)
    first = await store.claim(most=2, lease_ms=LEASE_MS)
    assert [task.id for task in first.tasks] == ["t1", "t2"]
    second = await store.claim(most=10, lease_ms=100_000)
    assert [task.id for task in second.tasks] == ["t0"]
    await clock.advance(3)  # the two short leases have run out
    third = await store.claim(most=10, lease_ms=100_000)
    assert [task.id for task in third.tasks] == ["t1", "t2"]
    assert third.next_due_at is not None
    assert abs(third.next_due_at - tasks[3].due_at) < timedelta(milliseconds=1)


async def test_nothing_due_says_when_or_that_there_is_nothing(store: RedisStore, clock: MovingClock) -> None:
    """An empty claim costs nothing and leaves nothing."""
    assert (await store.claim(most=10, lease_ms=LEASE_MS)).next_due_at is None
    await ask(store, request_for(ROOM, clock, in_s=5))
    before = await dump(store)
    claimed = await store.claim(most=10, lease_ms=LEASE_MS)
    assert claimed.tasks == ()
    assert claimed.next_due_at is not None
    assert await dump(store) == before


async def test_a_leased_task_belongs_to_one_worker(store: RedisStore, other: RedisStore, clock: MovingClock) -> None:
    """While the lease lasts nobody else gets it; when it has run out, somebody else does, with the attempt counted."""
    await ask(store, request_for(ROOM, clock))
    first = await claim_one(store)
    assert (await other.claim(most=10, lease_ms=LEASE_MS)).tasks == ()
    await clock.advance(2.1)
    second = await claim_one(other)
    assert (second.attempt, second.id) == (2, first.id)
    assert int(second.token) > int(first.token)


async def test_renewing_keeps_it(store: RedisStore, other: RedisStore, clock: MovingClock) -> None:
    """A lease that is renewed in time never runs out; the next due time moves with it."""
    await ask(store, request_for(ROOM, clock))
    task = await claim_one(store)
    for _ in range(3):
        await clock.advance(1.5)
        assert await store.extend([task], lease_ms=LEASE_MS) == {ROOM}
        assert (await other.claim(most=10, lease_ms=LEASE_MS)).tasks == ()


async def test_a_worker_knows_how_long_a_task_is_its_own(store: RedisStore, clock: MovingClock) -> None:
    """By its own monotonic clock, and never longer than Redis thinks: from before the request was sent. Not a moment longer once
    Redis has said that it is not."""
    await ask(store, request_for("a", clock))
    before = time.monotonic()
    task = await claim_one(store)
    assert before <= task.lease.ends_at - LEASE_MS / 1000 <= time.monotonic()
    assert not task.lease.is_over
    first_end = task.lease.ends_at
    assert await store.extend([task], lease_ms=LEASE_MS) == {"a"}
    assert task.lease.ends_at > first_end
    await store.release(task, delay_s=0)
    assert await store.extend([task], lease_ms=LEASE_MS) == set()
    assert task.lease.is_over


async def test_a_stale_worker_is_fenced_everywhere(store: RedisStore, other: RedisStore, clock: MovingClock) -> None:
    """After its lease ran out and another took over: no renewal, no release, no room record, no settlement."""
    await ask(store, request_for(ROOM, clock))
    stale = await claim_one(store)
    await clock.advance(2.1)
    owner = await claim_one(other)
    before = await dump(store)
    assert await store.extend([stale], lease_ms=LEASE_MS) == set()
    assert not await store.release(stale, delay_s=0)
    assert not await store.save_room_record(INCIDENT, stale, await store.room_record(INCIDENT))
    assert (await store.commit(settling(stale))).status == "fenced"
    assert await dump(store) == before
    assert (await other.commit(settling(owner))).status == "ok"


async def test_handing_back_keeps_the_attempt(store: RedisStore, clock: MovingClock) -> None:
    """A released task is due after its delay, and the next one knows that somebody tried before."""
    await ask(store, request_for(ROOM, clock))
    assert await store.release(await claim_one(store), delay_s=30)
    assert (await store.claim(most=10, lease_ms=LEASE_MS)).tasks == ()
    await clock.advance(30.1)
    assert (await claim_one(store)).attempt == 2


# -- settling ------------------------------------------------------------------------------------------------------------


async def test_a_settled_task_leaves_the_due_set_with_its_outcome(store: RedisStore, clock: MovingClock) -> None:
    """P5: by one write with the facts that it made; the state stays as its record."""
    await ask(store, request_for(ROOM, clock))
    task = await claim_one(store)
    commit = settling(task, state="failed")
    committed = await store.commit(commit_of(delivery=commit.delivery, settlement=commit.settlement, entries=entries(2)))
    assert (committed.status, committed.version) == ("ok", 2)
    state = await state_of(store, ROOM)
    assert (state["state"], "token" in state) == ("failed", False)
    assert await due_ids(store) == set()


async def test_a_task_may_ask_for_its_next_time(store: RedisStore, clock: MovingClock) -> None:
    """``again_at`` makes it due once more, as a first attempt."""
    await ask(store, request_for(ROOM, clock))
    task = await claim_one(store)
    again_at = clock.now() + timedelta(seconds=30)
    await store.commit(settling(task, again_at=again_at))
    assert (await store.claim(most=10, lease_ms=LEASE_MS)).tasks == ()
    await clock.advance(30.1)
    again = await claim_one(store)
    assert (again.attempt, abs(again.due_at - again_at) < timedelta(milliseconds=1)) == (1, True)


async def test_what_was_asked_meanwhile_comes_before_the_next_time(store: RedisStore, clock: MovingClock) -> None:
    """A click during the drawing is shown now, not when the mention is due."""
    await ask(store, request_for(ROOM, clock, again=True))
    task = await claim_one(store)
    await ask(store, request_for(ROOM, clock, again=True))
    await store.commit(settling(task, again_at=clock.now() + timedelta(seconds=30)))
    assert (await claim_one(store)).id == ROOM


async def test_a_task_may_book_itself_and_others_in_the_write_that_ends_it(store: RedisStore, clock: MovingClock) -> None:
    """A level that is postponed is its own successor; there is no moment in which neither is there."""
    await ask(store, request_for("level", clock, again=True))
    task = await claim_one(store)
    commit = settling(task)
    followed = commit_of(
        delivery=commit.delivery,
        settlement=commit.settlement,
        tasks=(request_for("level", clock, in_s=60, again=True), request_for("page", clock)),
    )
    assert (await store.commit(followed)).status == "ok"
    assert (await claim_one(store)).id == "page"
    await clock.advance(60.1)
    assert {task.id for task in (await store.claim(most=10, lease_ms=LEASE_MS)).tasks} == {"level", "page"}


async def test_a_refused_settlement_leaves_the_task_as_it_is(store: RedisStore, clock: MovingClock) -> None:
    """A version conflict settles nothing: the task stays leased, then comes due again."""
    await ask(store, request_for(ROOM, clock))
    task = await claim_one(store)
    await store.commit(commit_of(entries=entries()))
    before = await dump(store)
    assert (await store.commit(settling(task))).status == "conflict"
    assert await dump(store) == before


# -- cancelling ----------------------------------------------------------------------------------------------------------


async def test_a_cancelled_task_is_never_claimed(store: RedisStore, clock: MovingClock) -> None:
    """It leaves the due set in the write that cancels it; cancelling what was never asked for leaves nothing behind."""
    await ask(store, request_for("level", clock))
    await store.commit(commit_of(cancel=["level", "unheard-of"]))
    assert (await store.claim(most=10, lease_ms=LEASE_MS)).tasks == ()
    assert await due_ids(store) == set()
    assert f"{store._prefix}task:unheard-of" not in await dump(store)


async def test_cancelling_fences_whoever_performs_it(store: RedisStore, clock: MovingClock) -> None:
    """P4: cancelled is terminal. The worker learns it when it renews or settles, and cannot bring the task back."""
    await ask(store, request_for("page", clock))
    task = await claim_one(store)
    await store.commit(commit_of(cancel=["page"]))
    assert await store.extend([task], lease_ms=LEASE_MS) == set()
    assert not await store.release(task, delay_s=0)
    assert (await store.commit(settling(task, again_at=clock.now()))).status == "fenced"
    assert (await state_of(store, "page"))["state"] == "cancelled"
    assert await due_ids(store) == set()
    await ask(store, request_for("page", clock))
    assert (await store.claim(most=10, lease_ms=LEASE_MS)).tasks == ()


async def test_a_write_may_cancel_and_ask_for_the_same_task(store: RedisStore, clock: MovingClock) -> None:
    """A ladder that starts anew: the former level is gone, the new one is pending, and the former owner is fenced."""
    await ask(store, request_for("level", clock, again=True, generation=1))
    former = await claim_one(store)
    await store.commit(commit_of(cancel=["level"], tasks=(request_for("level", clock, again=True, generation=2),)))
    assert (await claim_one(store)).data == {"generation": 2}
    assert (await store.commit(settling(former))).status == "fenced"


# -- what this version cannot perform ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        json.dumps({"v": 2, "what": "a format of tomorrow"}),
        json.dumps({"v": 1, "kind": "teleport", "incident": "inc-1", "data": {}}),
        json.dumps({"v": 1, "kind": "room"}),
        json.dumps([1]),
        "not JSON",
    ],
)
async def test_a_task_of_another_version_is_left_for_it(store: RedisStore, clock: MovingClock, payload: str) -> None:
    """Reported, never performed and never deleted: its lease runs out and a newer replica takes it."""
    await ask(store, request_for("odd", clock), request_for(ROOM, clock))
    await store._redis.hset(f"{store._prefix}task:odd", "payload", payload)
    claimed = await store.claim(most=10, lease_ms=LEASE_MS)
    assert ([task.id for task in claimed.tasks], claimed.orphans) == ([ROOM], ("odd",))
    assert "odd" in await due_ids(store)
    await clock.advance(2.1)
    assert (await store.claim(most=10, lease_ms=LEASE_MS)).orphans == ("odd",)


async def test_a_due_id_without_its_task_is_reported_and_kept(store: RedisStore, clock: MovingClock) -> None:
    """A fault of the store is shown once an hour and never silently taken away; it does not hold up the others."""
    await store._redis.zadd(f"{store._prefix}due", {"ghost": 1})
    await ask(store, request_for(ROOM, clock))
    claimed = await store.claim(most=10, lease_ms=LEASE_MS)
    assert ([task.id for task in claimed.tasks], claimed.orphans) == ([ROOM], ("ghost",))
    assert (await store.claim(most=10, lease_ms=LEASE_MS)).orphans == ()
    await clock.advance(3_601)
    assert (await store.claim(most=1, lease_ms=LEASE_MS)).orphans or "ghost" in await due_ids(store)


async def test_how_long_the_oldest_has_been_due(store: RedisStore, clock: MovingClock) -> None:
    """The watchdog's number: nothing while nothing is overdue, a leased task counts as being looked after."""
    assert await store.due_age_s() == 0
    due = request_for(ROOM, clock)
    await ask(store, due, request_for("later", clock, in_s=60))
    await clock.advance(42)
    assert 42 <= await store.due_age_s() <= (clock.now() - due.due_at).total_seconds() + 0.001  # Redis keeps milliseconds
    await claim_one(store)
    assert await store.due_age_s() == 0


# -- time ----------------------------------------------------------------------------------------------------------------


async def test_time_travel_is_honoured_only_where_it_is_allowed(redis_url: str, store: RedisStore, clock: MovingClock) -> None:
    """A production bot ignores the offset key, whoever set it."""
    await ask(store, request_for(ROOM, clock, in_s=900))
    await store.set_clock_offset(1_000)
    workspace_id = store._prefix.removeprefix("{muster:").removesuffix("}:")
    async with connect(redis_url, timeout_s=5) as client:
        production = RedisStore(client, workspace_id=workspace_id, owner="production", clock=RedisClock())
        assert (await production.claim(most=10, lease_ms=LEASE_MS)).tasks == ()
    assert (await claim_one(store)).id == ROOM
