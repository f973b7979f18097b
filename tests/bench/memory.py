"""Idle memory: the whole bot beside a minimal Bolt server (Bolt's ASGI adapter on uvicorn), each a fresh process of its own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from statistics import median

from tests.bench.bolt_server import bolt_server
from tests.bench.muster_server import muster_server
from tests.bench.report import Row, at_most, plain, ratio, table

GOAL = 1.6
ROUNDS, SMOKE_ROUNDS = 3, 1
IDLE_S = 1.0


async def measure(quick: bool) -> str:
    """The table. Without ``/proc`` (macOS) there is nothing to read."""
    if not sys.platform.startswith("linux"):
        return "  needs Linux's /proc"
    mine: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for _ in range(SMOKE_ROUNDS if quick else ROUNDS):
        async with muster_server() as muster:
            api = muster.sandbox.slack_api_url
            peer = bolt_server("asgi", bot_token=muster.bot_token, signing_secret=muster.signing_secret, slack_api_url=api)
            async with peer as bolt:
                await asyncio.sleep(IDLE_S)
                mine.append(_memory_mib(muster.pid))
                theirs.append(_memory_mib(bolt.pid))
    rows: list[Row] = []
    for number, name in enumerate(("resident (RSS)", "its own (USS)")):
        ours, others = [each[number] for each in mine], [each[number] for each in theirs]
        rows.append(plain(f"Muster, {name}", median(ours), "MiB", digits=1))
        rows.append(plain(f"minimal Bolt server, {name}", median(others), "MiB", digits=1))
        share = ratio(ours, others)
        rows.append(at_most("Muster ÷ Bolt", share, GOAL, "×") if number == 0 else plain("Muster ÷ Bolt", share, "×"))
    return table(f"idle for {IDLE_S:g} s, the embedded Redis not counted; {len(mine)} fresh processes of each", rows)


def _memory_mib(pid: int) -> tuple[float, float]:
    """(RSS, USS)."""
    kib: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]:
        name, value, *_ = line.split()
        kib[name.rstrip(":")] = int(value)
    return kib["Rss"] / 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024
