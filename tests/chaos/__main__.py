"""``python -m tests.chaos [--minutes N] [--smoke] [--only …]``, ``make chaos``: hurt Muster in every way known here.

It prints what that cost. ``make chaos MINUTES=10 CHAOS_ARGS="--only pages"`` is the long run of the pages alone.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import platform
import random
import secrets
import sys
import time
from collections.abc import Awaitable, Callable

import structlog

from tests.chaos import actions, matrix, pages, slack_faults
from tests.chaos.ground import ground, redis_server
from tests.chaos.matrix import How
from tests.chaos.replicas import drive, opened, started

SMOKE_POINTS = ("room.created", "posted.card", "page.accepted", "performed.run", "committed.step_ticked")
SMOKE_ACTIONS = ("clerk.block_identifier", "vercel.redeploy", "email.notify_users")
SMOKE_METHODS = ("conversations.create", "chat.postMessage")
CLICKS = 200
SMOKE_CLICKS = 20
MOST_PASSES = 4
PAGES_MINUTES, SMOKE_PAGES_MINUTES = 2.0, 0.4
PARTS = ("pages", "points", "actions", "slack", "clicks")


def main() -> int:
    """0 when nothing was lost and nothing done twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Hurt Muster and see what it costs.")
    parser.add_argument("--smoke", action="store_true", help="a few of each, in half a minute")
    parser.add_argument("--minutes", type=float, default=0.0, help="so long pages, and so long at random points and passes")
    parser.add_argument("--only", choices=PARTS, action="append", help="of these parts; all when none is given")
    parser.add_argument("--seed", type=int, help="of the pages, to repeat what a run did")
    options = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"Python {platform.python_version()} on {platform.machine()}, {platform.system()}{' (smoke)' if options.smoke else ''}")
    parts = options.only or PARTS
    good = True
    if "pages" in parts:
        good = _pages(options.minutes or (SMOKE_PAGES_MINUTES if options.smoke else PAGES_MINUTES), seed=options.seed)
    with redis_server() as server:
        for part in parts:
            good = asyncio.run(_PARTS[part](server.url, options.smoke, options.minutes)) and good if part in _PARTS else good
    print("\neverything is as it should be" if good else "\nNOT AS IT SHOULD BE")
    return 0 if good else 1


def _pages(minutes: float, *, seed: int | None) -> bool:
    """Half of the time on Debian's Redis, half on the server that Muster embeds."""
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    print(f"\n== pages: three replicas, a Redis and the providers, all of them hurt all the time; --seed {seed}")
    servers = {"Debian's Redis": pages.debian_server(), "the embedded server": None}
    if servers["Debian's Redis"] is None:
        print("  without Debian's Redis: apt install redis-server")
        del servers["Debian's Redis"]
    good = True
    for name, binary in servers.items():
        report = asyncio.run(pages.fight(binary, seconds=minutes * 60 / len(servers), seed=seed, name=name))
        print(report.text(), flush=True)
        good = good and report.good
    return good


async def _points(redis_url: str, smoke: bool, minutes: float) -> bool:
    wanted = [(point, how) for point, how in matrix.everything() if not smoke or (point in SMOKE_POINTS and how == "kill")]
    print("\n== one story of one incident, with the bot killed or stopped at every named point\n" + matrix.HEAD)
    cells = await matrix.try_all(redis_url, wanted, at_once=3 if smoke else 2)
    if minutes:
        cells += await _at_random(redis_url, minutes)
    return _said(cells, f"{len(cells)} crashes")


async def _actions(redis_url: str, smoke: bool, minutes: float) -> bool:
    wanted = [
        (act, phase)
        for act, phase in actions.everything(whole=not smoke)
        if not smoke or (act.name in SMOKE_ACTIONS and phase.point == "effect.answered")
    ]
    print("\n== every action that changes something, killed in every phase, finished by another replica\n" + actions.HEAD)
    cells = await actions.try_all(redis_url, wanted)
    broken = sum(bool(cell.wrong) for cell in cells)
    print(
        f"  {len(cells)} deaths, {sum(cell.calls for cell in cells)} calls that change something, {broken} not as they should be"
    )
    return not broken


async def _slack(redis_url: str, smoke: bool, minutes: float) -> bool:
    print("\n== one opening, with Slack failing the first call of a method (or, without a scope, all of them)")
    faults = [
        (method, way)
        for method, way in slack_faults.everything()
        if not smoke or (method in SMOKE_METHODS and way in ("500", "accept_then_drop"))
    ]
    openings = await slack_faults.try_all(redis_url, faults)
    broken = sum(not cell.good for cell in openings)
    repeats = sum(len(cell.repeats) for cell in openings)
    print(f"  {len(openings)} faults: {repeats} asked again after an unknown outcome, {broken} not as they should be")
    return not broken


def _said(cells: list[matrix.Cell], what: str) -> bool:
    lost, doubled = sum(cell.lost.total() for cell in cells), sum(cell.doubled.total() for cell in cells)
    repeats, broken = sum(len(cell.repeats) for cell in cells), sum(not cell.good for cell in cells)
    print(
        f"  {what}: {lost} lost, {doubled} done twice, {repeats} asked again after an unknown outcome, "
        f"{broken} not as they should be"
    )
    return not broken


async def _clicks(redis_url: str, smoke: bool, minutes: float) -> bool:
    clicks = SMOKE_CLICKS if smoke else CLICKS
    print(f"\n== {clicks} clicks over two replicas, one of them killed at a third")
    async with ground(redis_url, database=1) as site:
        first, second = await started(site, 2)
        room = await opened(site)
        clicked = await drive(site, room, first, second, clicks=clicks)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(clicked.effective.items()))
    print(
        f"  {counts}, each once; {clicked.unanswered} without an answer; the slowest was visible after {clicked.slowest_s:.1f} s"
    )
    for fault in clicked.wrong:
        print(f"  WRONG: {fault}")
    return not clicked.wrong


async def _at_random(redis_url: str, minutes: float) -> list[matrix.Cell]:
    seed = secrets.randbelow(1_000_000)
    print(f"  at random, seed {seed}:")
    dice, ends_at = random.Random(seed), time.monotonic() + minutes * 60  # noqa: S311 - a seed that can be given again
    cells: list[matrix.Cell] = []

    async def go_on(database: int) -> None:
        while time.monotonic() < ends_at:
            point, how, number = dice.choice(matrix.POINTS_OF_THE_STORY), dice.choice(_WAYS), dice.randint(1, MOST_PASSES)
            cell = await matrix.try_point(redis_url, point, how, number=number, database=database)
            if cell.reached or cell.fault:  # not every point is passed so often
                cells.append(cell)
                print(cell.line(), flush=True)

    await asyncio.gather(go_on(1), go_on(2))
    return cells


_WAYS: tuple[How, ...] = ("kill", "stop")
_PARTS: dict[str, Callable[[str, bool, float], Awaitable[bool]]] = {
    "points": _points,
    "actions": _actions,
    "slack": _slack,
    "clicks": _clicks,
}


if __name__ == "__main__":
    sys.exit(main())
