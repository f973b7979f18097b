"""Several bots on one Redis: what the tests look at, and the driver that clicks while one of them is killed."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bot.domain.timeline import verify
from tests.chaos.ground import LOOK_EVERY_S, Ground, Replica
from tests.scenarios.conftest import said

Json = dict[str, Any]
VISIBLE_S = 5.0
RECORDED_S = 30.0
STEPS = ("confirm", "logs", "variables", "document", "review")


@dataclass
class Clicked:
    """What the driver did: effective clicks by the fact that they make, the longest wait until one was visible, and faults."""

    effective: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


async def started(site: Ground, count: int) -> list[Replica]:
    """So many replicas, started together; the workspace delivers to the first."""
    replicas = [site.replica() for _ in range(count)]
    await asyncio.gather(*(replica.start() for replica in replicas))
    site.sandbox.bot_url = replicas[0].url
    return replicas


def rooms(site: Ground) -> list[Any]:
    """The incident rooms."""
    return [channel for channel in site.sandbox.workspace.channels if channel.name.startswith("inc-")]


def card(site: Ground) -> Json:
    """The card of the one room; {} when it is not there yet."""
    found = rooms(site)
    shown = site.sandbox.workspace.messages(found[0].name) if found else []
    return shown[0] if shown else {}


async def opened(site: Ground) -> Any:
    """The room of an outage, with everybody of the workspace in it."""
    await site.sandbox.workspace.command("developer", "general", "/incident clerk down")
    await site.until(lambda: "Diagnose again" in said(card(site)), "the card with its diagnosis")
    room = rooms(site)[0]
    for user in ("developer", "support-agent", "oncall", "engineering-lead", "cto"):
        if site.sandbox.workspace.user(user).id not in room.members:
            await site.sandbox.workspace.join(user, room.name)
    return room


async def kinds(site: Ground, incident_id: str = "inc-1") -> Counter[str]:
    """How often each kind of fact is on the timeline, which verifies."""
    entries = await site.store.timeline(incident_id)
    assert verify(entries) is None
    return Counter(entry.fact.kind for entry in entries)


async def recorded(site: Ground, kind: str) -> None:
    """Wait until there is such a fact on the timeline: what is still under way, another replica would do anew."""
    async with asyncio.timeout(RECORDED_S):
        while not (await kinds(site))[kind]:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(LOOK_EVERY_S)


def ticks_in(message: Json) -> int:
    """How many of ``STEPS`` a card shows as done: those that it lets one untick."""
    return sum(has_button(message, f"step:{step}", "untick") for step in STEPS)


def has_button(message: Json, block_id: str, action_id: str) -> bool:
    """Whether a card has this button."""
    for block in message["blocks"]:
        elements = [*block.get("elements", []), block.get("accessory") or {}]
        if block.get("block_id") == block_id and any(element.get("action_id") == action_id for element in elements):
            return True
    return False


async def drive(site: Ground, room: Any, first: Replica, second: Replica, *, clicks: int) -> Clicked:
    """Tick and untick distinct steps, over both replicas by turns; ``second`` is killed when a third is done.

    A click that got no answer is pressed again when its effect is not seen, as a person would.
    """
    clicked = Clicked()
    alive, turns = [first, second], itertools.count()

    async def person(step: str) -> None:
        ticked = False
        while clicked.effective.total() < clicks and not clicked.wrong:
            before, after = (f"do:{step}", "tick"), (f"step:{step}", "untick")
            (block, action), wanted = (after, before) if ticked else (before, after)
            site.sandbox.bot_url = alive[next(turns) % len(alive)].url
            started_at = time.monotonic()
            result = await site.sandbox.workspace.click("developer", room.name, card(site)["ts"], action, block_id=block)
            try:
                await site.until(lambda: has_button(card(site), *wanted), action, VISIBLE_S)  # noqa: B023 - used at once
            except TimeoutError:
                if result.status is None:
                    clicked.unanswered += 1
                else:
                    clicked.wrong.append(f"{action} of {step} was answered {result.status} and is not visible")
                continue
            clicked.slowest_s = max(clicked.slowest_s, time.monotonic() - started_at)
            clicked.effective["step_unticked" if ticked else "step_ticked"] += 1
            ticked = not ticked
            if clicked.effective.total() == clicks // 3:
                await second.kill()
                alive.remove(second)

    await asyncio.gather(*(person(step) for step in STEPS))
    found = await kinds(site)
    for kind, count in clicked.effective.items():
        if found[kind] != count:
            clicked.wrong.append(f"{kind}: {count} clicks, {found[kind]} facts")
    clicked.wrong.extend(str(cry) for cry in first.cries())
    return clicked
