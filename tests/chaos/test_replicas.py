"""Several bots on one Redis: duplicates, simultaneous declarations and clicks, one that sleeps, one that is killed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.sandbox.delivery import Delivery
from tests.chaos.ground import Ground, Replica, ground
from tests.chaos.replicas import card, drive, kinds, opened, recorded, rooms, started, ticks_in
from tests.scenarios.conftest import said

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LEASE_S = 2.0
VISIBLE_S = 5.0
CLICKS = 30


@pytest.fixture
async def site(redis_url: str) -> AsyncIterator[Ground]:
    """A workspace without a bot."""
    async with ground(redis_url, database=9) as made:
        yield made


async def sent_to(site: Ground, replica: Replica, delivery: Delivery) -> int | None:
    """The identical bytes once more, to this replica."""
    site.sandbox.bot_url = replica.url
    return (await site.sandbox.redeliver(delivery)).status


@pytest.mark.parametrize("count", [2, 3])
async def test_one_delivery_to_all_replicas_at_once_is_handled_once(site: Ground, count: int) -> None:
    """Slack's repetition meets another replica than the first one did."""
    replicas = await started(site, count)
    said_it = await site.sandbox.workspace.say("support-agent", "support", "auth is not working!!")
    statuses = await asyncio.gather(*(sent_to(site, replica, said_it.deliveries[0]) for replica in [*replicas, *replicas]))
    assert set(statuses) == {200}
    await site.until(lambda: "Diagnose again" in said(card(site)), "the card with its diagnosis")
    found = await kinds(site)
    assert (found["incident_opened"], found["declared_again"]) == (1, 0)
    assert len(rooms(site)) == 1
    assert not await site.store.version("inc-2")


async def test_the_same_words_on_different_replicas_open_one_incident(site: Ground) -> None:
    """Twelve people at once; everybody is pointed at the one room and invited."""
    replicas = await started(site, 2)
    turns = itertools.cycle(replicas)

    async def declare(number: int) -> Any:
        site.sandbox.bot_url = next(turns).url  # the courier reads it before it waits for anything
        return await site.sandbox.workspace.command(f"p{number}", "general", "/incident clerk down")

    for number in range(12):
        site.sandbox.workspace.add_user(f"p{number}", f"Person {number}")
    results = await asyncio.gather(*(declare(number) for number in range(12)))
    assert {result.status for result in results} == {200}
    await site.until(lambda: len(rooms(site)) == 1 and len(rooms(site)[0].members) >= 14, "everybody in the room")
    assert len(await site.store.active_ids()) == 1
    found = await kinds(site, (await site.store.active_ids())[0])
    assert (found["incident_opened"], found["declared_again"]) == (1, 11)
    await site.until(lambda: site.sandbox.workspace.dm("oncall"), "the page")
    assert len(site.sandbox.workspace.dm("oncall")) == 1


async def test_twenty_people_click_over_two_replicas(site: Ground) -> None:
    """One of them ticks, nineteen hear who did it; the card shows it once."""
    replicas = await started(site, 2)
    room = await opened(site)
    for number in range(20):
        site.sandbox.workspace.add_user(f"p{number}", f"Person {number}")
        await site.sandbox.workspace.join(f"p{number}", room.name)
    shown, turns = card(site), itertools.cycle(replicas)

    async def press(number: int) -> Any:
        site.sandbox.bot_url = next(turns).url
        return await site.sandbox.workspace.click(f"p{number}", room.name, shown["ts"], "tick", block_id="do:confirm")

    results = await asyncio.gather(*(press(number) for number in range(20)))
    assert {result.status for result in results} == {200}
    await site.until(lambda: "✅ 2. Confirm outage" in said(card(site)), "the tick")
    assert (await kinds(site))["step_ticked"] == 1

    def losers() -> bool:
        told = [message for _, message in room.ephemeral.values() if "already done by" in said(message)]
        return len(told) == 19

    await site.until(losers, "nineteen are told")


async def test_an_owner_that_sleeps_and_wakes_up_late_changes_nothing(site: Ground) -> None:
    """Stopped in the middle of a slow drawing, while holding the room's lease; the other goes on; the card never goes back."""
    first, second = await started(site, 2)
    room = await opened(site)
    await site.until(lambda: site.sandbox.workspace.messages("incidents"), "the announcement")
    await recorded(site, "page_sent")
    site.sandbox.web_api.latency_s = 0.4
    await site.sandbox.workspace.click("developer", room.name, card(site)["ts"], "tick", block_id="do:confirm")
    first.stop()
    site.sandbox.bot_url = second.url
    site.sandbox.web_api.latency_s = 0.0
    for step in ("logs", "variables"):
        result = await site.sandbox.workspace.click("oncall", room.name, card(site)["ts"], "tick", block_id=f"do:{step}")
        assert result.status == 200
    await site.until(lambda: ticks_in(card(site)) == 3, "all three ticks, drawn by the other", 2 * LEASE_S + VISIBLE_S)
    before = len(site.sandbox.calls)
    first.go_on()
    site.sandbox.bot_url = first.url
    await site.sandbox.workspace.click("developer", room.name, card(site)["ts"], "tick", block_id="do:document")
    await site.until(lambda: ticks_in(card(site)) == 4, "the fourth tick")
    drawn = [ticks_in({"blocks": call.structure("blocks")}) for call in site.sandbox.calls[before:] if _draws(call, site)]
    assert drawn == sorted(drawn)
    assert min(drawn) >= 3
    found = await kinds(site)
    assert (found["step_ticked"], found["page_sent"], found["room_opened"]) == (4, 1, 1)
    assert len(site.sandbox.workspace.messages("incidents")) == 1
    assert [line for replica in (first, second) for line in replica.cries()] == []


def _draws(call: Any, site: Ground) -> bool:
    return call.method == "chat.update" and call.arguments["ts"] == card(site)["ts"]


async def test_clicks_while_a_replica_is_killed(site: Ground) -> None:
    """Each is effective exactly once, by whoever answered it, and visible within five seconds (``make chaos``: 200 of them)."""
    first, second = await started(site, 2)
    room = await opened(site)
    clicked = await drive(site, room, first, second, clicks=CLICKS)
    assert clicked.wrong == []
    assert clicked.effective.total() >= CLICKS
