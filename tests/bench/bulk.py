"""Signing out everybody: the sessions of ``USERS`` users, against Clerk's stand-in with a round trip of 50 ms and its real limit.

The stand-in, the bot's side (the action, its job and its pace over the embedded server, fsync always) and, for the run that is
killed, a second replica are processes of their own. Killed means ``kill -9`` when half of the sessions are left; the other one
begins when a lease would have run out. Beside it, at a smaller number, the loop of a script: list the sessions of a user, end
one after the other, do not look at 429. It asks for 500 sessions at once, which such scripts forget; so they end ten.

The measure is N / (limit × share): what the share of the limit that is asked for would take if Muster made no other call at all.
For the loop, which knows no share, it is N / limit.

``python -m tests.bench.bulk serve …`` and ``… work …`` are those processes; `tests.chaos.test_bulk_revoke` uses them too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import httpx
import structlog
import uvloop
from aiohttp import web
from pydantic import SecretStr

from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.actions.spec import ActionContext, RunFacts
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.sandbox.world import World, clerk_data
from bot.sandbox.world.clerk import API_VERSION
from bot.services.pace import Pace
from bot.services.worker import LEASE_MS
from bot.storage.embedded import embedded_redis
from bot.storage.jobs import RedisJobs
from bot.storage.redis import WORKER_TIMEOUT_S, RedisClock, RedisStore, connect
from tests.bench.report import Row, at_most, plain, table

GOAL = 1.1
LATENCY_S = 0.05
SHARE = 0.5
USERS, SESSIONS = 50, 5_000
SMOKE_USERS, SMOKE_SESSIONS = 3, 30
LOOP_SESSIONS, SMOKE_LOOP_SESSIONS = 500, 12
DEVELOPMENT_SESSIONS, SMOKE_DEVELOPMENT_SESSIONS = 300, 12
PRODUCTION, DEVELOPMENT = (1_000, 10.0), (100, 10.0)
NOTICED_S = LEASE_MS / 1000 + 0.5
"""A dead replica's lease runs out, and the heartbeat of another one finds the task."""
ALL_AT_ONCE: Mapping[str, str] = MappingProxyType({"limit": "500"})
HASTE = 50.0
"""In a smoke run so much faster than in life the minute passes until the second look; the limits stay what they are."""
KEYS = {PRODUCTION: "sk_live_bench", DEVELOPMENT: "sk_test_bench"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """Of one run: seconds from its beginning to its end, sessions that are live, answers of 429, the outcome's state."""

    seconds: float
    left: int
    refused: int
    state: str = ""


class StandIn:
    """Clerk, as its caller sees it."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def state(self) -> dict[str, int]:
        """``live`` sessions, ``calls`` so far, those ``refused`` with 429."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/state") as answer:
            found: dict[str, int] = await answer.json()
            return found

    async def until_left(self, live: int) -> None:
        """Wait until so few sessions are live."""
        while (await self.state())["live"] > live:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def stand_in(*, users: int, sessions: int) -> AsyncIterator[StandIn]:
    """One that runs, with so many sessions in all and the limit of a production instance."""
    async with _process("serve", str(users), str(sessions)) as process:
        assert process.stdout is not None
        yield StandIn((await process.stdout.readline()).decode().strip())


@contextlib.asynccontextmanager
async def replica(redis_url: str, clerk_url: str, *, key: str, haste: float = 1.0) -> AsyncIterator[Replica]:
    """One that is up and waits for its word to begin."""
    async with _process("work", redis_url, clerk_url, key, str(haste)) as process:
        assert process.stdout is not None
        await process.stdout.readline()
        yield Replica(process)


class Replica:
    """A process that does one attempt of the run."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def begin(self) -> None:
        """Do it."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    async def kill(self) -> None:
        """As ``kill -9`` does."""
        self._process.kill()
        await self._process.wait()

    async def outcome(self) -> dict[str, Any]:
        """What came out of it, as JSON of an ``Outcome``; {} when it was killed."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        found: dict[str, Any] = json.loads(line) if line else {}
        return found


@contextlib.asynccontextmanager
async def _process(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bulk", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def measure(quick: bool) -> str:
    """The table. A smoke run leaves out the run that nobody kills: the other one has all of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    users, sessions = (SMOKE_USERS, SMOKE_SESSIONS) if quick else (USERS, SESSIONS)
    rows: list[Row] = []
    if not quick:
        rows += _rows("one replica", await _muster(users, sessions, killed=False, quick=quick), sessions)
    rows += _rows("killed half way, ended by another", await _muster(users, sessions, killed=True, quick=quick), sessions)
    many = SMOKE_LOOP_SESSIONS if quick else LOOP_SESSIONS
    few = SMOKE_DEVELOPMENT_SESSIONS if quick else DEVELOPMENT_SESSIONS
    loop, development = await _loop(many, PRODUCTION), await _loop(few, DEVELOPMENT)
    as_it_stands = await _loop(few, PRODUCTION, page={})
    rows += [
        plain(f"a script's loop over {many:,}: time ÷ (N ÷ limit)", loop.seconds / _ideal_s(many, 1.0), "×"),
        plain(f"a script's loop over {few:,} of a development instance: left", development.left, "", digits=0),
        plain(f"the loop with Clerk's default page of 10, over {few:,}: left", as_it_stands.left, "", digits=0),
    ]
    head = (
        f"{sessions:,} sessions of {users} users, {LATENCY_S * 1000:.0f} ms, {PRODUCTION[0]:,} calls in {PRODUCTION[1]:g} s, "
        f"share {SHARE:.0%}"
    )
    return table(head, rows)


def _rows(name: str, result: _Result, sessions: int) -> list[Row]:
    if result.state != "ok":
        raise RuntimeError(f"{name}: the outcome is {result.state}")
    return [
        at_most(f"{name}: time ÷ (N ÷ (limit × share))", result.seconds / _ideal_s(sessions, SHARE), GOAL, "×"),
        plain("in seconds", result.seconds, "s", digits=1),
        at_most("sessions left", result.left, 0, "", digits=0),
        at_most("answers of 429", result.refused, 0, "", digits=0),
    ]


def _ideal_s(sessions: int, share: float) -> float:
    return sessions / (PRODUCTION[0] / PRODUCTION[1] * share)


async def _muster(users: int, sessions: int, *, killed: bool, quick: bool) -> _Result:
    key, haste = KEYS[PRODUCTION], HASTE if quick else 1.0
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-bench-"))
        server = await stack.enter_async_context(embedded_redis(Path(folder)))
        clerk = await stack.enter_async_context(stand_in(users=users, sessions=sessions))
        replicas = [
            await stack.enter_async_context(replica(server.url, clerk.url, key=key, haste=haste)) for _ in range(1 + killed)
        ]
        began = time.monotonic()
        replicas[0].begin()
        if killed:
            await clerk.until_left(sessions // 2)
            await replicas[0].kill()
            await asyncio.sleep(NOTICED_S / haste)
            replicas[1].begin()
        outcome = await replicas[-1].outcome()
        seconds = time.monotonic() - began
        state = await clerk.state()
    return _Result(seconds=seconds, left=state["live"], refused=state["refused"], state=outcome["state"])


async def _loop(sessions: int, limit: tuple[int, float], *, page: Mapping[str, str] = ALL_AT_ONCE) -> _Result:
    """What a script does: one call after the other, and an answer of 429 is taken for done. The stand-in is in this process,
    which has nothing else to do meanwhile."""
    world, runner, url = await _listen(1, sessions, limit)
    headers = {"Authorization": f"Bearer {world.clerk.secret_key}", "Clerk-API-Version": API_VERSION}
    async with httpx.AsyncClient(base_url=f"{url}/clerk/v1", headers=headers, trust_env=False) as client:
        began = time.monotonic()
        user_id = next(iter(world.clerk.users))
        params = {"user_id": user_id, "status": "active", **page}
        for session in (await client.get("/sessions", params=params)).json():
            await client.post(f"/sessions/{session['id']}/revoke")
        seconds = time.monotonic() - began
    await runner.cleanup()
    return _Result(seconds=seconds, left=len(world.clerk.live_sessions(user_id)), refused=0)


# -- the processes -----------------------------------------------------------------------------------------------------


async def _listen(users: int, sessions: int, limit: tuple[int, float]) -> tuple[World, web.AppRunner, str]:
    """(a world with so many sessions in all, its server, its address)."""
    world = World()
    world.latency_s = LATENCY_S
    world.clerk.rate_limit = limit
    world.clerk.secret_key = KEYS[limit]
    world.clerk.users.clear()
    world.clerk.sessions.clear()
    now_ms = round(time.time() * 1000)
    for number in range(users):
        name = f"2b{number:05d}"
        made = clerk_data.user(name, now_ms)
        world.clerk.users[made["id"]] = {**made, "created_at": made["created_at"] + number}
        for place in range(1, sessions // users + (number < sessions % users) + 1):
            session = clerk_data.session(name, place, "active", now_ms)
            world.clerk.sessions[session["id"]] = session

    async def state(request: web.Request) -> web.Response:
        statuses = [row["status"] for row in world.ledger]
        live = sum(session["status"] in ("active", "pending") for session in world.clerk.sessions.values())
        return web.json_response({"live": live, "calls": len(statuses), "refused": statuses.count(429)})

    app = web.Application()
    app.router.add_get("/state", state)
    world.add_routes(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return world, runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def _serve(users: int, sessions: int) -> None:
    _, _, url = await _listen(users, sessions, PRODUCTION)
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def _work(redis_url: str, clerk_url: str, key: str, haste: float) -> None:
    client = connect(redis_url, timeout_s=WORKER_TIMEOUT_S)
    store = RedisStore(client, workspace_id="T0BENCH", owner="bench", clock=RedisClock())
    pace = Pace(store)

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / haste)

    config = ProviderConfig(clerk_secret_key=SecretStr(key), clerk_api_url=f"{clerk_url}/clerk")
    async with Providers(config) as providers:
        context = ActionContext(
            providers=providers,
            sleep=sleep,
            run=RunFacts(incident_id="inc-1", run_id="r1", confirmed_at=datetime.now(UTC)),
            job=RedisJobs(client, workspace_id="T0BENCH")("inc-1", "r1"),
            pace=pace.wait,
            pause=pace.pause,
        )
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        params = {"everyone": True, "share_percent": round(SHARE * 100)}
        outcome = await execute(load_actions()["clerk.revoke_everywhere"], params, context)
        sys.stdout.write(f"{outcome.model_dump_json()}\n")
        sys.stdout.flush()
    await client.aclose()


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bulk")
    kinds = parser.add_subparsers(dest="kind", required=True)
    serve = kinds.add_parser("serve")
    serve.add_argument("users", type=int)
    serve.add_argument("sessions", type=int)
    work = kinds.add_parser("work")
    for name in ("redis_url", "clerk_url", "key"):
        work.add_argument(name)
    work.add_argument("haste", type=float)
    given = parser.parse_args()
    if given.kind == "serve":
        uvloop.run(_serve(given.users, given.sessions))
    else:
        uvloop.run(_work(given.redis_url, given.clerk_url, given.key, given.haste))


if __name__ == "__main__":
    _main()
