"""Redis killed, hung, read-only, full, or without its socket: people are told, Slack repeats, nothing is silent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chaos.ground import RedisServer, redis_server
from tests.scenarios.conftest import Stage, said, staged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

RECOVERED_S = 5.0
ANSWERED_S = 3.0
"""Slack's patience; what is later than this, nobody reads."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis that nobody else uses."""
    with redis_server() as made:
        yield made


@pytest.fixture
async def stage(server: RedisServer) -> AsyncIterator[Stage]:
    """A running bot on it. Slack repeats an event at once, after 1.2 s and after 6 s: no test keeps Redis away for so long."""
    async with staged(server.url) as made:
        made.sandbox.courier.retry_scale = 0.02
        await made.start()
        yield made
        await made.sandbox.courier.stop()
        await made.stop()


Hurt = Callable[[RedisServer], Callable[[], Any]]


def _killed(server: RedisServer) -> Callable[[], Any]:
    server.kill()
    return server.start


def _hung(server: RedisServer) -> Callable[[], Any]:
    server.send(signal.SIGSTOP)
    return lambda: server.send(signal.SIGCONT)


def _read_only(server: RedisServer) -> Callable[[], Any]:
    server.tell("REPLICAOF", "127.0.0.1", "1")
    return lambda: server.tell("REPLICAOF", "NO", "ONE")


def _full(server: RedisServer) -> Callable[[], Any]:
    server.tell("CONFIG", "SET", "maxmemory-policy", "noeviction")
    server.tell("CONFIG", "SET", "maxmemory", "100kb")  # an empty server takes about 1 MB
    return lambda: server.tell("CONFIG", "SET", "maxmemory", "0")


WAYS: dict[str, Hurt] = {"killed": _killed, "hung": _hung, "read-only": _read_only, "full": _full}


async def readiness(stage: Stage) -> tuple[int, str]:
    """What ``/readyz`` says."""
    async with aiohttp.ClientSession() as session, session.get(f"{stage.muster.url}/readyz") as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("way", WAYS)
async def test_while_redis_is_away_people_are_told_and_slack_repeats(stage: Stage, server: RedisServer, way: str) -> None:
    """A command and a click are answered in time with whom to call, an event is refused, /readyz is 503; it recovers alone."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    card = await stage.sees(room.name, "Diagnose again")
    mend = WAYS[way](server)
    started = time.monotonic()
    typed = await stage.workspace.command("support-agent", "support", "/incident something else broke")
    assert time.monotonic() - started < ANSWERED_S
    assert typed.status == 200
    assert "could not save this" in str(typed.response)
    assert "On-call engineer (@oncall)" in str(typed.response)
    await stage.click("developer", room.name, card, "tick", block_id="do:confirm")
    await stage.sees(room.name, "could not save this", user="developer")
    asked = await stage.workspace.say("support-agent", "support", "is clerk down?")
    # A full Redis lets a script write that begins by deleting something (redis.io, "Eval scripts"): then it was saved.
    assert asked.status == 503 or (way == "full" and asked.status == 200)
    status, text = await readiness(stage)
    assert status == 503
    assert "Redis" in text

    mend()
    mended = time.monotonic()
    await stage.wait(lambda: asked.deliveries[0].ok, "the repeated event is taken", 20)
    await stage.wait(lambda: stage.messages("support", thread_ts=asked.ts)[1:], "the question in the thread", RECOVERED_S)
    while (await readiness(stage))[0] != 200:
        assert time.monotonic() - mended < RECOVERED_S
        await asyncio.sleep(0.05)
    await stage.click("developer", room.name, card, "tick", block_id="do:confirm")
    await stage.wait(lambda: "✅ 1. Confirm outage" in said(stage.card(room.name)), "the tick", RECOVERED_S)
    assert len(stage.rooms()) == 1


async def test_an_opening_that_redis_left_is_finished_when_it_is_back(stage: Stage, server: RedisServer) -> None:
    """Killed a moment after the acknowledgement: complete, once, within seconds of its return."""
    stage.sandbox.web_api.latency_s = 0.1
    await stage.workspace.command("developer", "general", "/incident clerk down")
    server.kill()
    await asyncio.sleep(0.3)
    server.start()
    stage.sandbox.web_api.latency_s = 0.0
    room = await stage.room()
    await stage.sees(room.name, "Diagnose again", timeout_s=10)
    await stage.wait(lambda: {"U0DEVELOPER", "U0ONCALL"} <= set(room.members), "the people", 10)
    await stage.wait(lambda: stage.workspace.dm("oncall"), "the page", 10)
    await stage.sees("incidents", "clerk down", timeout_s=10)
    assert [len(stage.rooms()), len(stage.messages("incidents")), len(stage.workspace.dm("oncall"))] == [1, 1, 1]


async def test_an_embedded_server_that_lost_its_socket_comes_back(tmp_path: Path) -> None:
    """The socket is deleted and the server killed: it is started again under the bot, with everything that it knew."""
    async with staged_embedded(tmp_path) as stage:
        await stage.workspace.command("developer", "general", "/incident clerk down")
        room = await stage.room()
        card = await stage.sees(room.name, "Diagnose again")
        lose_socket_and_server(tmp_path / "redis")
        deadline = time.monotonic() + 2 * RECOVERED_S
        while "✅ 1." not in said(stage.card(room.name)):
            assert time.monotonic() < deadline
            await stage.click("developer", room.name, card, "tick", block_id="do:confirm")
            await asyncio.sleep(0.3)
        (incident,) = await stage.muster.desk.active()
        kinds = [entry.fact.kind for entry in await stage.muster.store.timeline(incident.id)]
        assert kinds.count("step_ticked") == 1


def lose_socket_and_server(home: Path) -> None:
    """As a cleaner of old files and the OOM killer would together."""
    Path((home / "socket").read_text("utf-8").strip()).unlink()
    os.kill(int((home / "pid").read_text("ascii")), signal.SIGKILL)


@contextlib.asynccontextmanager
async def staged_embedded(folder: Path) -> AsyncIterator[Stage]:
    """A running bot with a server of its own. ``staged`` wants a Redis to clear; it gets one, and the bot never hears of it."""
    with redis_server() as unused:
        async with staged(unused.url) as stage:
            del stage.environment["REDIS_URL"]
            stage.environment["MUSTER_DATA_DIR"] = str(folder)
            await stage.start()
            yield stage
            await stage.sandbox.courier.stop()
            await stage.stop()
