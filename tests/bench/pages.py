"""A thousand pages due in the same second: how long until every provider was asked, with one replica; and what an idle one costs.

The bot is a process of its own on the embedded server, fsync always; PagerDuty is another process, which answers after 50 ms.
Beside it a bare client posts as many events to the same PagerDuty, as many at once: the floor of this machine at this moment.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

import httpx
import structlog
import yaml

from bot.actions.registry import load_actions
from bot.domain.commands import Declaration
from bot.domain.facts import Origin
from bot.domain.severity import Severity
from bot.sandbox.models import TEAM_ID
from bot.services.desk import Desk
from bot.services.worker import MOST_AT_ONCE
from bot.storage.embedded import embedded_redis
from bot.storage.redis import WORKER_TIMEOUT_S, RedisClock, RedisStore, connect
from bot.storage.runbook_files import load_catalog
from tests.bench.muster_server import muster_server
from tests.bench.report import Row, at_most, plain, table
from tests.bench.slow_server import LATENCY_S, SlowServer, slow_server

GOAL_S = 5.0
IDLE_GOAL = 1.0
"""Percent of a core."""
PAGES, SMOKE_PAGES = 1_000, 100
CONTACTS = 20
"""For each incident."""
ROUNDS, SMOKE_ROUNDS = 3, 1
IDLE_S, SMOKE_IDLE_S = 20.0, 2.0
AFTER_S = 3600
AHEAD_S = 2.0
ROOMS_PER_MINUTE = 20
"""Slack's limit, which is kept: so that the rooms are there before the pages, time goes on in steps of a minute."""
ROUTING_KEY = "b" * 32
LONGEST_S = 60.0
RUNBOOKS = Path(__file__).parents[2] / "runbooks"


async def measure(quick: bool) -> str:
    """The table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    pages = SMOKE_PAGES if quick else PAGES
    rounds = [await _round(pages) for _ in range(SMOKE_ROUNDS if quick else ROUNDS)]
    attempted_s, first_s, recorded_s, cpu_s, bare_s = (median(values) for values in zip(*rounds, strict=True))
    rows = [
        at_most(f"{pages:,} pages due in the same second: all attempted within", attempted_s, GOAL_S, "s"),
        plain("the first of them after", first_s, "s"),
        plain("all recorded within", recorded_s, "s"),
        plain("CPU of the replica until then", cpu_s, "s"),
        plain(f"a bare client, {MOST_AT_ONCE} at once", bare_s, "s"),
        plain("Muster ÷ bare client", attempted_s / bare_s, "×"),
        await _idle(SMOKE_IDLE_S if quick else IDLE_S),
    ]
    return table(f"{len(rounds)} rounds, {pages // CONTACTS} incidents, PagerDuty answers in {LATENCY_S * 1000:.0f} ms", rows)


async def _round(pages: int) -> tuple[float, float, float, float, float]:
    """Seconds: until all were attempted, until the first was, until all were recorded, of CPU; and those of a bare client."""
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as name:
        folder = Path(name)
        async with slow_server() as provider, embedded_redis(folder / "redis") as redis:
            more = {
                "REDIS_URL": redis.url,
                "MUSTER_TIME_TRAVEL": "true",
                "PAGERDUTY_EVENTS_URL": provider.url,
                "PAGERDUTY_ROUTING_KEY": ROUTING_KEY,
            }
            runbooks = _runbooks(folder)
            client = connect(redis.url, timeout_s=WORKER_TIMEOUT_S)
            clock = RedisClock()
            store = RedisStore(client, workspace_id=TEAM_ID, owner="bench", clock=clock, time_travel=True)
            try:
                async with muster_server(runbooks=runbooks, more=more) as muster:
                    took = await _page(store, clock, provider, runbooks, pages, pid=muster.pid)
            finally:
                await client.aclose()
            return (*took, await _bare(provider, pages))


def _runbooks(folder: Path) -> Path:
    """One level of people whom PagerDuty wakes, an hour after the opening."""
    copy = folder / "runbooks"
    shutil.copytree(RUNBOOKS, copy)
    people = [f"contact-{number}" for number in range(1, CONTACTS + 1)]
    contacts = {
        "contacts": [{"id": one, "name": one, "pagerduty": True} for one in people],
        "policies": [{"id": "default", "levels": [{"level": 1, "after": f"{AFTER_S // 60}m", "notify": people}]}],
    }
    severities = yaml.safe_load((copy / "severities.yml").read_text("utf-8"))
    for rules in severities.values():
        for name in ("invite", "standby", "notify", "check_in_after"):
            rules.pop(name, None)
        rules["respond_within"], rules["resolve_within"] = "1w", "1w"
    for name, content in (("contacts.yml", contacts), ("severities.yml", severities)):
        (copy / name).write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    for path in copy.rglob("*.yml"):  # whoever else is named there is nobody here
        content = yaml.safe_load(path.read_text("utf-8"))
        if isinstance(content, dict) and content.pop("escalation", None):
            path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return copy


async def _page(
    store: RedisStore, clock: RedisClock, provider: SlowServer, runbooks: Path, pages: int, *, pid: int
) -> tuple[float, float, float, float]:
    catalog = load_catalog(runbooks, actions=load_actions(), overrides={"CLERK_APP_URL": "http://127.0.0.1:9"}).catalog
    if catalog is None:
        raise RuntimeError("the runbooks have faults")
    desk = Desk(store=store, clock=clock, catalog=catalog)
    incidents = pages // CONTACTS
    opened: list[tuple[str, datetime]] = []
    for number in range(incidents):
        declaration = Declaration(title=f"fire {number}", runbook_ids=(), origin=Origin(how="terminal"), severity=Severity.SEV1)
        incident = (await desk.declare(declaration, by="U0SUPPORT", delivery=None)).incident
        opened.append((incident.id, incident.opened.at))
    await _until_rooms(store, desk, [identity for identity, _ in opened])
    last_due_s = max(at for _, at in opened).timestamp() + AFTER_S
    await store.set_clock_offset(last_due_s - time.time() - AHEAD_S)
    due_at, began_s = time.monotonic() + AHEAD_S, _cpu_s(pid)
    deadline = time.monotonic() + LONGEST_S
    moments: list[float] = []
    while len(moments) < pages:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(moments)} of {pages} pages came")
        await asyncio.sleep(0.1)
        moments += await provider.moments()
    recorded_at = await _until_recorded(store, [identity for identity, _ in opened], deadline)
    return max(moments) - due_at, min(moments) - due_at, recorded_at - due_at, _cpu_s(pid) - began_s


async def _until_rooms(store: RedisStore, desk: Desk, identities: list[str]) -> None:
    """Let time go on until every incident has its room and nothing more is to be done for it."""
    offset_s = 0.0
    while True:
        await asyncio.sleep(1.0)
        incidents = [await desk.load(identity) for identity in identities]
        if all(incident and incident.channel_id for incident in incidents):
            break
        offset_s += 20.0
        await store.set_clock_offset(offset_s)
    for _ in range(6):
        offset_s += 60.0
        await store.set_clock_offset(offset_s)
        await asyncio.sleep(0.5)


async def _until_recorded(store: RedisStore, identities: list[str], deadline: float) -> float:
    """When the last page was on its timeline."""
    for identity in identities:
        while sum(entry.fact.kind == "page_sent" for entry in await store.timeline(identity)) < CONTACTS:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{identity} has not recorded all of its pages")
            await asyncio.sleep(0.02)
    return time.monotonic()


async def _bare(provider: SlowServer, pages: int) -> float:
    """As many events, as many at once, by a client that does nothing else."""
    await provider.moments()
    numbers = iter(range(pages))
    began = time.monotonic()
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=MOST_AT_ONCE)) as client:

        async def post() -> None:
            for number in numbers:
                event = {
                    "routing_key": ROUTING_KEY,
                    "event_action": "trigger",
                    "dedup_key": str(number),
                    "payload": {"summary": "x" * 200},
                }
                (await client.post(f"{provider.url}/v2/enqueue", json=event)).raise_for_status()

        await asyncio.gather(*(post() for _ in range(MOST_AT_ONCE)))
    return max(await provider.moments()) - began


async def _idle(seconds: float) -> Row:
    """CPU of a replica to which nothing happens."""
    if not sys.platform.startswith("linux"):
        return plain("an idle replica needs (needs Linux's /proc to be seen)", 0.0, "%")
    async with muster_server() as muster:
        await asyncio.sleep(2.0)  # it has done what it does at its start
        began_s, began = _cpu_s(muster.pid), time.monotonic()
        await asyncio.sleep(seconds)
        share = 100 * (_cpu_s(muster.pid) - began_s) / (time.monotonic() - began)
    return at_most(f"an idle replica, over {seconds:g} s: of a core", share, IDLE_GOAL, "%")


def _cpu_s(pid: int) -> float:
    """User and system time of a process (proc(5), fields 14 and 15); 0 where there is no ``/proc``."""
    if not sys.platform.startswith("linux"):
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
