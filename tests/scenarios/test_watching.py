"""The whole bot watched, and watching: the heartbeat outside, the audit's word in the incidents channel, hand-overs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis
import yaml
from aiohttp import web
from structlog.testing import capture_logs

from bot.services.audit import EVERY_S
from tests.scenarios.conftest import PATIENCE_S, Stage, said
from tests.scenarios.test_phone_pages import with_numbers

SECRET_PATH = "/beat-canary-4711"


class Watch:
    """A dead man's switch outside: counts the calls, and answers as the test says."""

    def __init__(self) -> None:
        self.calls = 0
        self.status = 200
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.calls += request.path == SECRET_PATH and request.method == "GET"
        return web.Response(status=self.status)


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    """See ``Watch``."""
    made = Watch()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}{SECRET_PATH}"
    yield made
    await runner.cleanup()


async def until(predicate: Any, what: str) -> None:
    """Wait for something that nobody tells."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while not predicate():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.01)


async def due(stage: Stage, beginning: str) -> list[str]:
    """The due ids that begin so."""
    async with redis.Redis.from_url(stage.environment["REDIS_URL"], decode_responses=True) as client:
        (key,) = [key async for key in client.scan_iter(match="*:due")]
        return [identity for identity in await client.zrange(key, 0, -1) if identity.startswith(beginning)]


async def lose(stage: Stage, identity: str) -> None:
    """As somebody does who deletes keys by hand."""
    async with redis.Redis.from_url(stage.environment["REDIS_URL"], decode_responses=True) as client:
        assert await client.zrem("{muster:T0SANDBOX}:due", identity) == 1
        assert await client.delete(f"{{muster:T0SANDBOX}}:task:{identity}") == 1


# -- heartbeat and audit -------------------------------------------------------------------------------------------------


async def test_the_watch_outside_hears_of_every_good_audit(unstarted: Stage, watch: Watch) -> None:
    """At the start, and once a minute; a restart does not make it two."""
    unstarted.environment["MUSTER_HEARTBEAT_URL"] = watch.url
    await unstarted.start()
    await until(lambda: watch.calls == 1, "the first heartbeat")
    await unstarted.stop()
    await unstarted.start()
    for calls in (2, 3):
        await unstarted.advance(EVERY_S + 1)
        await until(lambda calls=calls: watch.calls == calls, f"heartbeat {calls}")
    assert unstarted.messages("incidents") == []


async def test_p11_a_bot_that_is_gone_is_silent(unstarted: Stage, watch: Watch) -> None:
    """Nobody claims any more: whatever time passes, nothing is called."""
    unstarted.environment["MUSTER_HEARTBEAT_URL"] = watch.url
    await unstarted.start()
    await until(lambda: watch.calls == 1, "the first heartbeat")
    await unstarted.stop()
    async with redis.Redis.from_url(unstarted.environment["REDIS_URL"]) as client:
        await client.set("{muster:T0SANDBOX}:clock:offset", 600_000)
    await asyncio.sleep(0.6)  # longer than a beat of the scheduler
    assert watch.calls == 1


async def test_a_watch_that_answers_badly_is_told_nowhere_by_its_address(unstarted: Stage, watch: Watch) -> None:
    """It is tried again soon; the log names the variable and not the address, which is a secret."""
    unstarted.environment["MUSTER_HEARTBEAT_URL"] = watch.url
    watch.status = 500
    with capture_logs() as logs:
        await unstarted.start()
        await until(lambda: watch.calls == 1, "the first heartbeat")
        await until(lambda: any(entry["event"] == "heartbeat_failed" for entry in logs), "the log")
        watch.status = 200
        await unstarted.advance(16)
        await until(lambda: watch.calls == 2, "the second heartbeat")
    (failed,) = [entry for entry in logs if entry["event"] == "heartbeat_failed"]
    assert "MUSTER_HEARTBEAT_URL" in failed["error"]
    assert "500" in failed["error"]
    assert "4711" not in json.dumps(logs, default=str)


async def test_p11_a_lost_timer_pages_all_the_same_and_people_are_told(unstarted: Stage, watch: Watch) -> None:
    """Somebody deleted the incident's clock: level 2 is paged within a minute of its time; two messages, not two a minute."""
    unstarted.environment["MUSTER_HEARTBEAT_URL"] = watch.url
    await unstarted.start()
    stage = unstarted
    await until(lambda: watch.calls == 1, "the first heartbeat")
    await stage.workspace.command("developer", "general", "/incident clerk down")
    await stage.room()
    await stage.wait(lambda: stage.workspace.dm("oncall"), "the first page")
    (incident,) = await stage.muster.desk.active()
    await stage.muster.worker.stop(grace_s=5)
    await lose(stage, f"{incident.id}:clock")
    await stage.stop()
    stage.sandbox.clock.on_clock_change = None
    await stage.advance(16 * 60)
    async with redis.Redis.from_url(stage.environment["REDIS_URL"]) as client:
        await client.set("{muster:T0SANDBOX}:clock:offset", 16 * 60_000)
    await stage.start()
    await stage.wait(lambda: stage.workspace.dm("engineering-lead"), "the page of level 2")
    await stage.sees("incidents", "Muster is not well")
    calls = watch.calls
    for _ in range(3):
        await stage.advance(EVERY_S + 1)
        await until(lambda calls=calls: watch.calls > calls, "a heartbeat")
        calls = watch.calls
    await stage.sees("incidents", "Muster is well again")
    told = [said(message) for message in stage.messages("incidents")]
    assert sum("Muster is not well" in text for text in told) == 1
    assert sum("Muster is well again" in text for text in told) == 1
    assert f"{incident.id}:clock was not booked any more and has been booked again" in "\n".join(told)


# -- hand-overs ----------------------------------------------------------------------------------------------------------


def rotation(at: datetime, *members: str) -> dict[str, Any]:
    """A daily one that is handed over at this time of day."""
    return {
        "id": "primary",
        "name": "Primary on-call",
        "members": list(members),
        "every": "day",
        "at": f"{at:%H:%M}",
        "timezone": "UTC",
        "starts": f"{at - timedelta(days=2):%Y-%m-%d}",
    }


async def test_a_hand_over_is_announced_and_a_reload_moves_it(unstarted: Stage, tmp_path: Path) -> None:
    """At its moment, once, with what is open; the one of the former files says nothing."""
    now = datetime.now(UTC)
    stage = unstarted
    folder = with_numbers(tmp_path, {}, rotations=[rotation(now + timedelta(hours=2), "on-call", "cto")])
    stage.environment["MUSTER_RUNBOOKS"] = str(folder)
    await stage.start()
    assert len(await due(stage, "handover:")) == 1
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    content = yaml.safe_load((folder / "contacts.yml").read_text("utf-8"))
    content["rotations"] = [rotation(now + timedelta(hours=3), "on-call", "cto")]
    (folder / "contacts.yml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "utf-8")
    assert await stage.muster.reloader.reload()
    assert len(await due(stage, "handover:")) == 2
    await stage.advance(2 * 3600 + 60)
    await until_settled(stage, 1)
    assert [text for text in map(said, stage.messages("incidents")) if "🔁" in text] == []
    await stage.advance(3600)
    message = await stage.sees("incidents", "🔁")
    text = said(message)
    assert "Primary on-call" in text
    assert {"<@U0ONCALL>", "<@U0CTO>"} <= set(text.replace("\n", " ").split())
    assert f"<#{room.id}>" in text
    assert "Open incidents:" in text
    await until_settled(stage, 1)
    assert len([text for text in map(said, stage.messages("incidents")) if "🔁" in text]) == 1


async def until_settled(stage: Stage, number: int) -> None:
    """Wait until so many hand-overs are booked."""
    async with asyncio.timeout(PATIENCE_S):
        while len(await due(stage, "handover:")) != number:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.02)
