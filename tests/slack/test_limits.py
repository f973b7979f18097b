"""The buckets: shared by replicas, pages before cosmetics, and Slack's own word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.domain.errors import TemporaryError
from bot.services.ports import TokenBucket
from bot.slack.limits import POSTS_BURST, TIER_OF, Limits, buckets_of
from bot.storage.redis import RedisStore, read_script
from tests.conftest import MovingClock


@pytest.fixture
async def store(store: RedisStore, clock: MovingClock) -> RedisStore:
    """Its buckets know no time but what the test lets pass: a slow machine is given no tokens while it spends those there are."""
    seconds, micros = await store._redis.time()
    still_ms = seconds * 1000 + micros // 1000
    now_ms = f"return {still_ms} + tonumber(redis.call('GET', p .. 'clock:offset') or '0')"
    script = f"local function now_ms(p) {now_ms} end\n{read_script('bucket', timed=False)}"
    store._scripts["bucket"] = store._redis.register_script(script)
    clock._monotonic = lambda: 0.0
    clock.see(still_ms)
    return store


async def enter(limits: Limits, method: str, channel: str | None = None, *, urgent: bool = False) -> None:
    """A call that takes no time."""
    async with limits.turn(method, channel, urgent=urgent):
        pass


async def spend(limits: Limits, method: str, channel: str | None = None, *, urgent: bool = False) -> int:
    """Calls until the bucket is empty; how many there were."""
    spent = 0

    async def go_on() -> None:
        nonlocal spent
        while spent < 1000:
            await enter(limits, method, channel, urgent=urgent)
            spent += 1

    with pytest.raises(TemporaryError) as refused:
        await go_on()
    assert (refused.value.retry_after_s or 0) > 0
    return spent


async def test_a_channel_takes_a_message_a_second_after_a_short_burst(store: RedisStore, clock: MovingClock) -> None:
    """Another channel has a bucket of its own."""
    limits = Limits(store)
    assert await spend(limits, "chat.postMessage", "C1") == POSTS_BURST
    await enter(limits, "chat.postMessage", "C2", urgent=False)
    await clock.advance(1)
    await enter(limits, "chat.postMessage", "C1", urgent=False)
    with pytest.raises(TemporaryError):
        await enter(limits, "chat.postMessage", "C1", urgent=False)


async def test_replicas_share_their_buckets(store: RedisStore) -> None:
    """What one has spent, the other has not."""
    assert await spend(Limits(store), "conversations.members") == 80
    assert await spend(Limits(store), "conversations.members") == 0


async def test_an_urgent_call_does_not_wait_for_its_token(store: RedisStore) -> None:
    """It is under way while the store is asked; a replica that has not heard yet makes one call too many, not two."""
    asked, answered = asyncio.Event(), asyncio.Event()

    class Slow:
        async def take(self, buckets: Sequence[TokenBucket]) -> float:
            asked.set()
            await answered.wait()
            return await store.take(buckets)

        async def pause(self, name: str, *, seconds: float) -> None:
            await store.pause(name, seconds=seconds)

    limits = Limits(Slow())
    async with limits.turn("conversations.create", None, urgent=True):
        await asked.wait()
        second = asyncio.create_task(enter(limits, "conversations.create", urgent=True))
        await asyncio.sleep(0.05)
        assert not second.done()
        answered.set()
    await second
    assert await spend(Limits(store), "conversations.create", urgent=True) == 18 + 1
    elsewhere = Limits(store)
    await enter(elsewhere, "conversations.create", urgent=True)
    with pytest.raises(TemporaryError):
        await enter(elsewhere, "conversations.create", urgent=True)


async def test_the_urgent_overtake_the_cosmetic(store: RedisStore) -> None:
    """A part of the bucket is kept back for them."""
    limits = Limits(store)
    assert await spend(limits, "chat.update") == 40
    assert await spend(limits, "chat.update", urgent=True) == 10 + 1  # the one that finds it empty is under way


async def test_a_refused_call_costs_nothing(store: RedisStore, clock: MovingClock) -> None:
    """Asking in vain does not put the next turn off, nor does it spend another bucket."""
    limits = Limits(store)
    await spend(limits, "chat.postMessage", "C1")
    for _ in range(20):
        with pytest.raises(TemporaryError):
            await enter(limits, "chat.postMessage", "C1", urgent=False)
    await clock.advance(1)
    await enter(limits, "chat.postMessage", "C1", urgent=False)


async def test_slacks_own_word_pauses_every_replica(store: RedisStore, clock: MovingClock) -> None:
    """Retry-After holds for all, the urgent too; afterwards it goes on."""
    limits = Limits(store)
    await limits.pause("chat.update", "C1", seconds=30)
    with pytest.raises(TemporaryError) as caught:
        await enter(limits, "chat.update", "C1", urgent=True)
    with pytest.raises(TemporaryError):
        await enter(Limits(store), "chat.update", "C1")
    assert caught.value.retry_after_s == pytest.approx(30, abs=1)
    await clock.advance(31)
    await enter(Limits(store), "chat.update", "C1", urgent=False)


class Away:
    """A store that cannot be asked."""

    async def take(self, buckets: object) -> float:
        raise TemporaryError("Redis cannot be reached")

    async def pause(self, name: str, *, seconds: float) -> None:
        raise TemporaryError("Redis cannot be reached")


async def test_without_the_store_calls_go_through() -> None:
    """Limits are a courtesy to Slack; they never stand in the way of a page."""
    limits = Limits(Away())
    await enter(limits, "chat.postMessage", "C1", urgent=True)
    await limits.pause("chat.postMessage", "C1", seconds=1)


def test_the_tiers_are_slacks(contracts: Path) -> None:
    """Every method that has a bucket is in the tier that Slack documents."""
    tiers = json.loads((contracts / "slack-rate-limit-tiers.json").read_text("utf-8"))
    assert {method: f"Tier{tier}" for method, tier in TIER_OF.items()} == {method: tiers[method] for method in TIER_OF}


def test_a_method_without_a_limit_has_no_bucket() -> None:
    """auth.test is asked too rarely to count."""
    assert buckets_of("auth.test", None, urgent=False) == ()
