"""The front door on a real socket: what it lets in, and what it answers to everything else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.http.front import BODY_MAX_BYTES, Front, SlackAnswer, make_front

SECRET = b"shhh"


class Inside:
    """What is behind the door: counts who came in."""

    def __init__(self) -> None:
        self.bodies: list[Mapping[str, Any]] = []
        self.faults: list[str] = []

    async def handle(self, told: Mapping[str, Any], headers: Mapping[str, str]) -> SlackAnswer:
        self.bodies.append(told)
        return SlackAnswer(status=200, headers={"content-type": "text/plain"}, body="handled")

    async def ready(self) -> list[str]:
        return self.faults


@pytest.fixture
async def door() -> AsyncIterator[tuple[str, Inside]]:
    """The door's URL and what is behind it."""
    inside = Inside()
    front = Front(
        signing_secret=SECRET,
        handle=inside.handle,
        is_worth_handling=lambda event: event.get("type") != "message" or "clerk down" in event.get("text", ""),
        ready=inside.ready,
        metrics=lambda: b"muster 1\n",
        observe=lambda kind, seconds: None,
    )
    runner = web.AppRunner(make_front(front), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", inside
    await runner.cleanup()


def headers(body: bytes, *, content_type: str = "application/json") -> dict[str, str]:
    timestamp = str(int(time.time()))
    digest = hmac.new(SECRET, b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": f"v0={digest}",
        "Content-Type": content_type,
    }


async def post(url: str, body: bytes, sent: Mapping[str, str]) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/slack/events", data=body, headers=sent) as answer,
    ):
        return answer.status, await answer.text()


def event(**fields: Any) -> bytes:
    return json.dumps({"type": "event_callback", "event": fields}).encode()


async def test_a_genuine_request_comes_in(door: tuple[str, Inside]) -> None:
    """What was sent reaches the inside as it was read."""
    url, inside = door
    body = event(type="message", text="clerk down")
    assert await post(url, body, headers(body)) == (200, "handled")
    assert inside.bodies == [json.loads(body)]


async def test_a_message_that_nothing_wants_ends_at_the_door(door: tuple[str, Inside]) -> None:
    """200, and nothing behind the door hears of it."""
    url, inside = door
    body = event(type="message", text="lunch?")
    assert await post(url, body, headers(body)) == (200, "")
    assert inside.bodies == []


@pytest.mark.parametrize("body", [b"[" * 200_000, b"{broken", b"\xff\xfe", b"", b"payload=x"])
async def test_an_unsigned_body_is_never_parsed(door: tuple[str, Inside], body: bytes) -> None:
    """401 whatever it is: deep JSON, broken JSON, no text at all."""
    url, inside = door
    status, text = await post(url, body, {"Content-Type": "application/json"})
    assert status == 401
    assert "Traceback" not in text
    assert inside.bodies == []


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b"{broken", b"\xff\xfe", b"[1]", b'"text"', b'{"type":"event_callback","event":1}']
)
async def test_a_signed_body_that_is_not_readable_is_refused(door: tuple[str, Inside], body: bytes) -> None:
    """400 without a trace of the inside."""
    url, inside = door
    status, text = await post(url, body, headers(body))
    assert (status, text) == (400, "not readable")
    assert inside.bodies == []


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(door: tuple[str, Inside]) -> None:
    """50 MB by its length, and the same in chunks without one."""
    url, inside = door

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BODY_MAX_BYTES // 65_536 + 8):
            yield b"x" * 65_536

    async with aiohttp.ClientSession() as session, session.post(f"{url}/slack/events", data=chunks()) as answer:
        assert answer.status == 413
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    writer.write(b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 52428800\r\n\r\n")
    await writer.drain()
    assert b"413" in await asyncio.wait_for(reader.readline(), timeout=30)
    writer.close()
    await writer.wait_closed()
    assert inside.bodies == []


async def test_a_compressed_body_is_refused(door: tuple[str, Inside]) -> None:
    """Slack sends none; a bomb is not unpacked."""
    url, inside = door
    body = event(type="message", text="clerk down")
    status, _ = await post(url, body, {**headers(body), "Content-Encoding": "gzip"})
    assert status == 400
    assert inside.bodies == []


async def test_the_challenge_is_answered_as_plain_text_and_only_when_signed(door: tuple[str, Inside]) -> None:
    """HTML in a challenge is text, and a long one is cut."""
    url, _ = door
    body = json.dumps({"type": "url_verification", "challenge": "<b>" + "x" * 5000}).encode()
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/slack/events", data=body, headers=headers(body)) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/plain"
            assert len(await answer.text()) == 1000
        async with session.post(f"{url}/slack/events", data=body) as answer:
            assert answer.status == 401


async def test_health_readiness_and_metrics(door: tuple[str, Inside]) -> None:
    """/healthz says that the process lives, /readyz what is missing, /metrics the numbers."""
    url, inside = door
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/healthz") as answer:
            assert answer.status == 200
        async with session.get(f"{url}/readyz") as answer:
            assert answer.status == 200
        inside.faults = ["Redis cannot be reached"]
        async with session.get(f"{url}/readyz") as answer:
            assert answer.status == 503
            assert "Redis" in await answer.text()
        async with session.get(f"{url}/metrics") as answer:
            assert (await answer.text()).startswith("muster")
