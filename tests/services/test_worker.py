"""The worker on a real store: everything that is due is done, once, and what fails, hangs or dies is not lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import structlog

from bot.domain.catalog import Catalog
from bot.domain.commands import Join
from bot.domain.errors import PermanentError, TemporaryError, UnknownOutcome
from bot.domain.incident import Incident
from bot.domain.tasks import TaskKind, prompt_task
from bot.services import worker as worker_module
from bot.services.desk import Desk
from bot.services.leases import guard
from bot.services.ports import SURE_S, Claimed, Task
from bot.services.worker import MOST_AT_ONCE, UNREAD_RETRY_S, Performed, Work
from bot.storage.redis import RedisStore, connect
from tests.conftest import MovingClock
from tests.services.floor import LEASE_S, WAIT_S, Floor, WatchedStore
from tests.storage.support import LEASE_MS


@pytest.fixture
async def floor(redis_url: str, clock: MovingClock, catalog: Catalog, store: RedisStore) -> AsyncIterator[Floor]:
    """An open incident whose tasks the test decides."""
    async with connect(redis_url, timeout_s=5) as client:
        workspace_id = store._prefix.removeprefix("{muster:").removesuffix("}:")
        watched = WatchedStore(client, workspace_id=workspace_id, owner="worker", clock=clock, time_travel=True)
        made = Floor(watched, clock, catalog)
        await made.open()
        yield made


class Performer:
    """Performs as the test says: ``errors`` first, one for each attempt, then a join as its outcome. Waits while ``held``."""

    def __init__(self, *errors: Exception, held: bool = False) -> None:
        self._errors = list(errors)
        self._go = asyncio.Event()
        if not held:
            self._go.set()
        self.started = asyncio.Event()
        self._called = asyncio.Event()
        self.attempts: list[tuple[str, int]] = []
        self.now = 0
        self.most = 0

    def go_on(self) -> None:
        """Let what waits finish."""
        self._go.set()

    async def until_begun(self, attempts: int) -> None:
        """Wait until it was called so often."""
        async with asyncio.timeout(WAIT_S):
            while len(self.attempts) < attempts:
                self._called.clear()
                await self._called.wait()

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        self.attempts.append((task.id, task.attempt))
        self.now += 1
        self.most = max(self.most, self.now)
        self.started.set()
        self._called.set()
        try:
            await self._go.wait()
            if self._errors:
                raise self._errors.pop(0)
        finally:
            self.now -= 1
        return Performed(command=Join(user_id=f"U-{task.id}"))


def failed(task: Task, incident: Incident, reason: str) -> Join:
    """A failure that is recorded, with its reason where the test can read it."""
    return Join(user_id=f"failed: {reason}")


async def other_claims(floor: Floor, *, lease_ms: int = LEASE_MS) -> tuple[Task, ...]:
    """What another worker gets now."""
    return (await RedisStore.claim(floor.store, most=10, lease_ms=lease_ms)).tasks


# -- once ----------------------------------------------------------------------------------------------------------------


async def test_a_task_is_performed_once_and_its_outcome_recorded(floor: Floor) -> None:
    """The outcome and the end of the task are one write."""
    perform = Performer()
    async with floor.worker(perform):
        await floor.ask("work")
        await floor.until("work", "done")
        await floor.until_outcome("done")
    assert perform.attempts == [("work", 1)]
    assert await floor.joined() == ["U-work"]
    assert floor.outcomes == ["done"]


async def test_three_workers_perform_each_task_once(floor: Floor) -> None:
    """None is a leader, none does what another does."""
    perform = Performer()
    names = [f"work{number}" for number in range(60)]
    async with floor.worker(perform), floor.worker(perform), floor.worker(perform):
        await floor.ask(*names)
        await floor.until_outcome("done", times=len(names))
    assert sorted(perform.attempts) == sorted((name, 1) for name in names)


async def test_a_backlog_is_worked_off_without_a_stampede(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than fits is left in the due set, for others or for later."""
    monkeypatch.setattr(worker_module, "SLOW_S", 60.0)  # nothing counts as hanging here, however slow this machine is
    perform = Performer(held=True)
    names = [f"work{number}" for number in range(MOST_AT_ONCE + 20)]
    await floor.ask(*names)
    async with floor.worker(perform):
        await perform.until_begun(MOST_AT_ONCE)
        (one,) = (await RedisStore.claim(floor.store, most=1, lease_ms=LEASE_MS)).tasks
        await RedisStore.release(floor.store, one, delay_s=0)
        perform.go_on()
        await floor.until_outcome("done", times=len(names))
    assert perform.most == MOST_AT_ONCE


async def test_calls_that_hang_take_nobodys_place(floor: Floor) -> None:
    """More of them than are done at once; what is due behind them is done within seconds, and none of them is begun twice."""
    hanging = Performer(held=True)
    names = [f"hangs{number}" for number in range(MOST_AT_ONCE + 20)]
    await floor.ask(*names, kind=TaskKind.PAGE)
    work = {kind: Work(perform=hanging if kind is TaskKind.PAGE else Performer()) for kind in TaskKind}
    async with floor.worker(work=work):
        await hanging.until_begun(MOST_AT_ONCE)
        await floor.ask("work")
        await floor.until_outcome("done")
        await hanging.until_begun(len(names))
        assert hanging.now == len(hanging.attempts) == len(names)
        hanging.go_on()
    assert all(attempt == 1 for _, attempt in hanging.attempts)


async def test_the_most_urgent_kind_goes_first(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is claimed together: the room's first call is on its way before the diagnostics use the process."""
    monkeypatch.setattr(worker_module, "HEAD_START_S", 0.25)  # more than Redis takes to answer, also where it is slow
    order: list[TaskKind] = []
    all_begun = asyncio.Event()

    async def note(task: Task, incident: Incident) -> Performed:
        order.append(task.kind)
        if len(order) == len(kinds):
            all_begun.set()
        return Performed()

    kinds = (TaskKind.ROOM, TaskKind.PAGE, TaskKind.DIAGNOSE)
    for kind in reversed(kinds):
        await floor.ask(f"a-{kind}", kind=kind)
    async with floor.worker(work={kind: Work(perform=note) for kind in kinds}):
        await asyncio.wait_for(all_begun.wait(), WAIT_S)
    assert order[0] is TaskKind.ROOM


async def test_a_task_of_no_incident_is_performed_alone(floor: Floor) -> None:
    """A prompt asks about a message; it is settled without a timeline."""
    done: list[str] = []

    async def alone(task: Task) -> None:
        done.append(task.id)

    request = prompt_task("C1", "1.0", "clerk down", ("clerk-auth-outage",), floor.clock.now())
    assert await floor.desk.ask_for(request, delivery="event:1")
    assert not await floor.desk.ask_for(request, delivery="event:1")
    async with floor.worker(work={TaskKind.PROMPT: Work(alone=alone)}):
        await floor.until(request.id, "done")
    assert done == [request.id]


# -- in time -------------------------------------------------------------------------------------------------------------


async def test_it_wakes_when_something_is_due(floor: Floor) -> None:
    """By Redis's time, not this machine's, and without a heartbeat: the claim says when to look again."""
    await floor.clock.advance(86_400)
    perform = Performer()
    due_at = floor.clock.now() + timedelta(seconds=0.3)
    await floor.ask("work", in_s=0.3)
    async with floor.worker(perform):
        await asyncio.wait_for(perform.started.wait(), WAIT_S)
        assert due_at - timedelta(seconds=0.01) <= floor.clock.now() < due_at + timedelta(seconds=WAIT_S)
        await floor.until("work", "done")


async def test_a_commit_of_this_process_wakes_it(floor: Floor) -> None:
    """Nobody waits for a heartbeat after a click."""
    seen = asyncio.Event()

    async def room(task: Task, incident: Incident) -> Performed:
        if "U2" in incident.responders:
            seen.set()
        return Performed()

    async with floor.worker(work={TaskKind.ROOM: Work(perform=room)}):
        await asyncio.sleep(0)
        await floor.desk.handle(floor.incident.id, Join(user_id="U2"), by="U2")
        await asyncio.wait_for(seen.wait(), WAIT_S)


async def test_a_lease_is_renewed_while_its_task_runs(floor: Floor) -> None:
    """A long task stays with whoever performs it, however long."""
    perform = Performer(held=True)
    await floor.ask("work")
    async with floor.worker(perform):
        await asyncio.wait_for(perform.started.wait(), WAIT_S)
        for _ in range(2):
            await floor.clock.advance(LEASE_S * 0.75)
            await floor.store.renewed()
            assert await other_claims(floor) == ()
        perform.go_on()
        await floor.until("work", "done")
    assert perform.attempts == [("work", 1)]


# -- once more -----------------------------------------------------------------------------------------------------------


async def test_a_task_that_is_asked_for_while_it_runs_runs_once_more(floor: Floor) -> None:
    """With the state of then: ten clicks during a drawing are one more drawing, at once and as a first attempt."""
    versions: list[int] = []
    perform = Performer(held=True)

    async def draw(task: Task, incident: Incident) -> Performed:
        versions.append(incident.version)
        await perform(task, incident)
        return Performed()

    await floor.ask("work", again=True)
    async with floor.worker(draw):
        await asyncio.wait_for(perform.started.wait(), WAIT_S)
        await floor.desk.handle(floor.incident.id, Join(user_id="U2"), by="U2")
        for _ in range(10):
            await floor.ask("work", again=True)
        perform.go_on()
        await floor.until("work", "done")
    assert perform.attempts == [("work", 1), ("work", 1)]
    assert versions == sorted(set(versions))


async def test_a_task_that_is_due_again_before_its_end_was_answered_is_not_left_waiting(floor: Floor) -> None:
    """Redis has settled it and leases it anew to this very worker, which has not heard of the settlement yet."""
    perform = Performer()
    await floor.ask("work", again=True)
    async with floor.worker(perform) as worker:
        floor.store.commits_may_return.clear()
        await asyncio.wait_for(perform.started.wait(), WAIT_S)
        await floor.until("work", "done")
        await floor.ask("work", again=True)
        floor.store.claimed.clear()
        worker.wake()
        await asyncio.wait_for(floor.store.claimed.wait(), WAIT_S)
        floor.store.commits_may_return.set()
        await floor.until("work", "done")
    assert perform.attempts == [("work", 1), ("work", 1)]


async def test_a_task_may_ask_for_its_next_time(floor: Floor) -> None:
    """What comes later is not waited for; it is due then."""
    again_at = floor.clock.now() + timedelta(seconds=30)
    times: list[int] = []

    async def twice(task: Task, incident: Incident) -> Performed:
        times.append(task.attempt)
        return Performed(again_at=again_at if len(times) == 1 else None)

    await floor.ask("work")
    async with floor.worker(twice) as worker:
        await floor.until_outcome("done")
        due_at = await floor.due_at("work")
        assert due_at is not None
        assert abs(due_at - again_at) < timedelta(milliseconds=2)
        await floor.advance(worker, 30.1)
        await floor.until("work", "done")
    assert times == [1, 1]


# -- failing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [TemporaryError("away"), UnknownOutcome("who knows"), ValueError("a fault of ours")])
async def test_what_fails_is_tried_again_ever_more_slowly(floor: Floor, error: Exception) -> None:
    """After 1, 2, 4 seconds; each attempt is counted, so that the performer looks before it repeats."""
    perform = Performer(error, error, error)
    await floor.ask("work")
    async with floor.worker(perform) as worker:
        for failures, wait_s in enumerate((1, 2, 4), start=1):
            await floor.until_outcome("retried", times=failures)
            assert floor.was_handed_back_for(wait_s)
            await floor.advance(worker, wait_s)
        await floor.until_outcome("done")
    assert perform.attempts == [("work", 1), ("work", 2), ("work", 3), ("work", 4)]
    assert await floor.joined() == ["U-work"]


async def test_a_wait_that_was_asked_for_is_honoured(floor: Floor) -> None:
    """Retry-After of the other side, whatever the attempt."""
    perform = Performer(TemporaryError("slow down", retry_after_s=42))
    await floor.ask("work")
    async with floor.worker(perform) as worker:
        await floor.until_outcome("retried")
        assert floor.was_handed_back_for(42)
        await floor.advance(worker, 42)
        await floor.until_outcome("done")


async def test_what_cannot_pass_is_recorded_as_failed(floor: Floor) -> None:
    """Once, with the reason, in the write that ends the task."""
    perform = Performer(PermanentError("nobody is called @oncall"))
    await floor.ask("work")
    async with floor.worker(perform, failed=failed, most_attempts=5):
        await floor.until("work", "failed")
        await floor.until_outcome("failed")
    assert perform.attempts == [("work", 1)]
    assert await floor.joined() == ["failed: nobody is called @oncall"]
    assert floor.outcomes == ["failed"]


async def test_what_cannot_pass_and_may_not_fail_is_tried_slowly(floor: Floor) -> None:
    """The room: somebody may add the missing scope meanwhile."""
    perform = Performer(PermanentError("missing_scope"))
    await floor.ask("work")
    async with floor.worker(perform):
        await floor.until_outcome("retried")
        assert floor.was_handed_back_for(60)


@pytest.mark.parametrize("error", [TemporaryError("Slack is away"), UnknownOutcome("Slack did not answer")])
async def test_what_passes_by_itself_is_never_final(floor: Floor, error: Exception) -> None:
    """However often it was tried: nobody else would be reached either. It is asked again every 15 seconds at least."""
    perform = Performer(*[error] * 7)
    await floor.ask("work")
    async with floor.worker(perform, failed=failed, most_attempts=2) as worker:
        for failures in range(1, 8):
            await floor.until_outcome("retried", times=failures)
            at_least_s, at_most_s = floor.store.delays[-1]
            assert at_least_s <= 15.0
            await floor.advance(worker, at_most_s + 0.1)
        await floor.until_outcome("done")
    assert floor.was_handed_back_for(15)
    assert await floor.joined() == ["U-work"]


async def test_what_crashed_too_often_is_recorded_as_failed(floor: Floor) -> None:
    """A fault of Muster's own: a page that crashes for ever would be a page that nobody misses."""
    error = ValueError("secret")
    perform = Performer(error, error)
    await floor.ask("work")
    async with floor.worker(perform, failed=failed, most_attempts=2) as worker:
        await floor.until_outcome("retried")
        await floor.advance(worker, 1.1)
        await floor.until("work", "failed")
    assert await floor.joined() == ["failed: a fault in Muster, ValueError; its log has more (tried 2 times)"]


async def test_a_fault_of_ours_is_logged_with_its_trace(floor: Floor) -> None:
    """Where somebody will see it, with the task that it hit."""
    await floor.ask("work")
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        async with floor.worker(Performer(ValueError("a fault of ours"))):
            await floor.until_outcome("retried")
    (line,) = [line for line in logs if line["event"] == "task_crashed"]
    assert (line["log_level"], line["task_id"], line["incident_id"]) == ("error", "work", floor.incident.id)
    assert line["exc_info"]


async def test_a_redis_that_is_away_is_asked_again(floor: Floor, redis_url: str) -> None:
    """The worker outlives it; the next heartbeat finds what is due."""
    perform = Performer()

    class Away(WatchedStore):
        refusals = 2

        async def claim(self, *, most: int, lease_ms: int) -> Claimed:
            if self.refusals:
                self.refusals -= 1
                raise TemporaryError("Redis cannot be reached")
            return await super().claim(most=most, lease_ms=lease_ms)

    floor.store.__class__ = Away
    await floor.ask("work")
    with structlog.testing.capture_logs() as logs:
        async with floor.worker(perform) as worker:
            for _ in range(3):
                await asyncio.sleep(0.01)
                worker.wake()
            await floor.until("work", "done")
    assert len([line for line in logs if line["event"] == "claim_failed"]) == 2


async def test_what_this_version_does_not_know_is_left_alone(floor: Floor) -> None:
    """Said, and left in the due set for a newer replica; the others are done."""
    await floor.ask("odd", "work")
    await floor.store._redis.hset(f"{floor.store._prefix}task:odd", "payload", '{"v": 2}')
    perform = Performer()
    with structlog.testing.capture_logs() as logs:
        async with floor.worker(perform):
            await floor.until("work", "done")
    assert perform.attempts == [("work", 1)]
    assert [line["task_id"] for line in logs if line["event"] == "task_not_understood"] == ["odd"]
    assert await floor.due_at("odd") is not None


async def test_an_incident_of_a_newer_version_is_left_to_a_newer_replica_at_once(floor: Floor, catalog: Catalog) -> None:
    """Its page waits for two seconds, not for a minute."""
    timeline = f"{floor.store._prefix}inc:{floor.incident.id}:timeline"
    (entry,) = await floor.store._redis.lrange(timeline, 0, 0)
    await floor.ask("work")
    await floor.store._redis.rpush(timeline, entry.replace('"incident_opened"', '"from_the_future"'))
    floor.desk = Desk(store=floor.store, clock=floor.clock, catalog=catalog)
    perform = Performer()
    async with floor.worker(perform):
        await floor.until_outcome("retried")
        assert floor.was_handed_back_for(UNREAD_RETRY_S)
    assert perform.attempts == []


async def test_a_task_without_its_incident_is_not_lost(floor: Floor) -> None:
    """It is tried again slowly: its incident may be one that only a newer version understands."""
    perform = Performer()
    await floor.store._redis.hset(
        f"{floor.store._prefix}task:work",
        mapping={"payload": '{"v":1,"kind":"preview","incident":"inc-99","data":{}}', "state": "pending", "due": 0, "asked": 1},
    )
    await floor.store._redis.zadd(f"{floor.store._prefix}due", {"work": 0})
    async with floor.worker(perform):
        await floor.until_outcome("retried")
        assert floor.was_handed_back_for(60)
    assert perform.attempts == []


# -- losing a task -------------------------------------------------------------------------------------------------------


async def test_the_outcome_of_a_worker_that_lost_its_lease_is_a_fact_all_the_same(floor: Floor) -> None:
    """P3: what it did is recorded; the task stays with whoever has it now, who settles it."""
    perform = Performer(held=True)
    await floor.ask("work")
    async with floor.worker(perform):
        await asyncio.wait_for(perform.started.wait(), WAIT_S)
        async with floor.store.renewing:
            await floor.clock.advance(LEASE_S + 0.1)
            (owner,) = await other_claims(floor, lease_ms=60_000)
        perform.go_on()
        await floor.until_outcome("done")
        assert await floor.joined() == ["U-work"]
        assert await floor.state("work") | {"state": "claimed", "token": owner.token} == await floor.state("work")


async def test_a_worker_that_lost_its_lease_and_has_nothing_to_record_is_fenced(floor: Floor) -> None:
    """It changes nothing, and says so in the log."""
    held = Performer(held=True)

    async def nothing(task: Task, incident: Incident) -> Performed:
        await held(task, incident)
        return Performed()

    await floor.ask("work")
    with structlog.testing.capture_logs() as logs:
        async with floor.worker(nothing):
            await asyncio.wait_for(held.started.wait(), WAIT_S)
            async with floor.store.renewing:
                await floor.clock.advance(LEASE_S + 0.1)
                (owner,) = await other_claims(floor, lease_ms=60_000)
            await floor.store.renewed(times=2)
            held.go_on()
            await floor.until_outcome("fenced")
    assert [line["event"] for line in logs if line["event"] in ("lease_lost", "task_fenced")] == ["lease_lost", "task_fenced"]
    assert (await floor.state("work"))["token"] == owner.token
    assert await floor.joined() == []


async def test_nothing_is_begun_when_nobody_can_say_that_it_is_wanted(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is silent: nobody could hear of an acknowledgement, so nobody is called. The lease has not run out: it goes on as
    soon as Redis answers."""
    held = Performer(held=True)
    called: list[int] = []

    async def call(task: Task, incident: Incident) -> Performed:
        if task.attempt == 1:
            await held(task, incident)
        guard(task.lease)()
        called.append(task.attempt)
        return Performed()

    async def silence(tasks: object, *, lease_ms: int) -> set[str]:
        raise TemporaryError("Redis did not answer in time")

    await floor.ask("work")
    async with floor.worker(call):
        await asyncio.wait_for(held.started.wait(), WAIT_S)
        monkeypatch.setattr(floor.store, "extend", silence)
        await asyncio.sleep(SURE_S)
        held.go_on()
        await floor.until_outcome("fenced")
        assert called == []
        await floor.until_outcome("done")
    assert called == [2]


async def test_a_worker_that_takes_over_from_itself_does_one_after_the_other(floor: Floor) -> None:
    """Its loop stood still, its lease ran out, and it is the first to claim the task again: as the second attempt."""
    perform = Performer(held=True)
    await floor.ask("work")
    async with floor.worker(perform) as worker:
        await asyncio.wait_for(perform.started.wait(), WAIT_S)
        floor.store.claimed.clear()
        async with floor.store.renewing:
            await floor.advance(worker, LEASE_S + 0.1)
            await asyncio.wait_for(floor.store.claimed.wait(), WAIT_S)
        assert await other_claims(floor) == (), "the new lease is kept"
        perform.go_on()
        await floor.until("work", "done")
    assert perform.attempts == [("work", 1), ("work", 2)]
    assert perform.most == 1


async def test_a_task_that_is_cancelled_while_it_runs_stays_cancelled(floor: Floor) -> None:
    """P4: a page in flight when somebody acknowledged is recorded, and is not sent once more."""
    perform = Performer(held=True)
    await floor.ask("work")
    async with floor.worker(perform):
        await asyncio.wait_for(perform.started.wait(), WAIT_S)
        await floor.cancel("work")
        perform.go_on()
        await floor.until_outcome("done")
    assert await floor.joined() == ["U-work"]
    assert (await floor.state("work"))["state"] == "cancelled"
    assert await floor.due_at("work") is None


# -- stopping ------------------------------------------------------------------------------------------------------------


async def test_stopping_finishes_what_runs(floor: Floor) -> None:
    """Within its grace, with its lease kept so long, and without beginning anything new."""
    perform = Performer(held=True)
    await floor.ask("work")
    async with floor.worker(perform) as worker:
        await asyncio.wait_for(perform.started.wait(), WAIT_S)
        stopping = asyncio.create_task(worker.stop(grace_s=WAIT_S))
        await floor.ask("later")
        for _ in range(2):
            await floor.clock.advance(LEASE_S * 0.75)
            await floor.store.renewed()
        perform.go_on()
        await asyncio.wait_for(stopping, WAIT_S)
    assert (await floor.state("work"))["state"] == "done"
    assert perform.attempts == [("work", 1)]
    assert "later" in [task.id for task in await other_claims(floor)]


async def test_stopping_hands_back_what_does_not_finish(floor: Floor) -> None:
    """At once, without waiting for its lease; the next worker knows that somebody began."""
    perform = Performer(held=True)
    await floor.ask("work")
    async with floor.worker(perform) as worker:
        await asyncio.wait_for(perform.started.wait(), WAIT_S)
        await worker.stop(grace_s=0)
    (task,) = await other_claims(floor)
    assert (task.id, task.attempt) == ("work", 2)
    assert await floor.joined() == []


async def test_stopping_ends_also_what_does_not_hear_it_at_once(floor: Floor) -> None:
    """Python 3.11 loses a cancellation that arrives while a request is being sent; the process ends all the same."""
    begun = asyncio.Event()

    async def deaf_once(task: Task, incident: Incident) -> Performed:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        return Performed()

    await floor.ask("work")
    async with floor.worker(deaf_once) as worker:
        await asyncio.wait_for(begun.wait(), WAIT_S)
        await asyncio.wait_for(worker.stop(grace_s=0), WAIT_S)
    assert [task.id for task in await other_claims(floor)] == ["work"]


async def test_what_is_claimed_while_stopping_is_not_left_behind(floor: Floor) -> None:
    """The answer to a claim comes after the word to stop: handed back, not performed into a closing process."""
    perform = Performer(held=True)
    floor.store.claims_may_return.clear()
    await floor.ask("work")
    async with floor.worker(perform) as worker:
        await asyncio.wait_for(floor.store.claimed.wait(), WAIT_S)
        stopping = asyncio.create_task(worker.stop(grace_s=0.01))
        await asyncio.sleep(0)
        floor.store.claims_may_return.set()
        await asyncio.wait_for(stopping, WAIT_S)
        assert perform.now == 0
    (task,) = await other_claims(floor)
    assert (task.id, task.attempt) == ("work", 2)


async def test_stopping_without_redis_leaves_it_to_the_lease(floor: Floor) -> None:
    """What cannot be handed back is said, and comes due by itself."""

    class Gone(WatchedStore):
        async def release(self, task: Task, *, delay_s: float) -> bool:
            raise TemporaryError("Redis cannot be reached")

    perform = Performer(held=True)
    await floor.ask("work")
    floor.store.__class__ = Gone
    with structlog.testing.capture_logs() as logs:
        async with floor.worker(perform) as worker:
            await asyncio.wait_for(perform.started.wait(), WAIT_S)
            await worker.stop(grace_s=0)
    assert [line["task_id"] for line in logs if line["event"] == "release_failed"][:1] == ["work"]
    await floor.clock.advance(LEASE_S + 0.1)
    assert [task.attempt for task in await other_claims(floor)] == [2]
