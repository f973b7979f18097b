"""Claiming one task and leaving the rest: for who does one thing beside the replicas."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.tasks import NO_INCIDENT, TaskKind, TaskRequest
from bot.services.ports import Commit
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock


async def ask(store: RedisStore, clock: MovingClock, *identities: str, in_s: float = 0.0) -> None:
    """Put tasks into the due set."""
    due_at = clock.now() + timedelta(seconds=in_s)
    tasks = [TaskRequest(id=identity, kind=TaskKind.RUN, incident_id=NO_INCIDENT, due_at=due_at) for identity in identities]
    await store.commit(Commit(incident_id=NO_INCIDENT, expected_version=0, nonce=f"n{identities}", tasks=tasks))


async def test_only_what_is_named_is_taken(store: RedisStore, clock: MovingClock) -> None:
    """The others stay due, with no attempt counted; what is held is not given twice."""
    await ask(store, clock, "a", "b", "c")
    claimed = await store.claim(most=10, lease_ms=2_000, only=("b", "nothing"))
    assert [(task.id, task.attempt) for task in claimed.tasks] == [("b", 1)]
    assert (await store.claim(most=10, lease_ms=2_000, only=("b",))).tasks == ()
    rest = await store.claim(most=10, lease_ms=2_000)
    assert [(task.id, task.attempt) for task in rest.tasks] == [("a", 1), ("c", 1)]


async def test_what_is_not_due_is_not_taken(store: RedisStore, clock: MovingClock) -> None:
    """Naming it does not make it due; a lease that has run out does."""
    await ask(store, clock, "later", in_s=60)
    assert (await store.claim(most=1, lease_ms=2_000, only=("later",))).tasks == ()
    await clock.advance(61)
    assert (await store.claim(most=0, lease_ms=2_000, only=("later",))).tasks == ()
    assert (await store.claim(most=1, lease_ms=2_000, only=("later",))).tasks[0].attempt == 1
    await clock.advance(3)
    assert (await store.claim(most=1, lease_ms=2_000, only=("later",))).tasks[0].attempt == 2
