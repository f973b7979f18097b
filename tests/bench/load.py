"""Signed requests from a process of its own, so that the load costs the server nothing: ``send`` starts it and reads its figures.

Connections are kept alive and each carries one request at a time (a closed loop). Requests are signed when the process starts,
for Slack's five minutes. What is sent is made by the benches; what comes back is only its status.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
MOST_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came back: seconds from the first byte sent to the last answer, milliseconds of each request, statuses."""

    seconds: float
    latencies_ms: list[float]
    statuses: dict[str, int]

    @property
    def per_s(self) -> float:
        """Requests a second."""
        return len(self.latencies_ms) / self.seconds

    def require_ok(self) -> Sent:
        """Raises: RuntimeError when not every answer was a 200: such figures mean nothing."""
        if set(self.statuses) != {"200"}:
            raise RuntimeError(f"the server answered {self.statuses}")
        return self


async def send(
    url: str,
    bodies: Sequence[str],
    *,
    secret: str,
    content_type: str,
    connections: int,
    count: int | None = None,
    pause_s: float = 0.0,
    core: int | None = None,
) -> Sent:
    """Send ``bodies`` in turn until ``count`` requests (default: each once) are answered, ``pause_s`` after each answer."""
    order = {
        "url": url,
        "bodies": list(bodies),
        "secret": secret,
        "content_type": content_type,
        "connections": connections,
        "count": count or len(bodies),
        "pause_s": pause_s,
        "core": core,
    }
    command = [sys.executable, "-m", "tests.bench.load"]
    done = await asyncio.to_thread(
        subprocess.run, command, input=json.dumps(order).encode(), stdout=subprocess.PIPE, timeout=MOST_S, check=True
    )
    return Sent(**json.loads(done.stdout))


def cores() -> tuple[int, int] | None:
    """(the server's core, the load's); None where processes cannot be bound to cores, or there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    found = sorted(os.sched_getaffinity(0))
    return (found[0], found[1]) if len(found) > 1 else None


def bind(pid: int, core: int) -> None:
    """Keep a process, with all its threads, on one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def cpu_s(pid: int) -> float:
    """The processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Connection(asyncio.Protocol):
    """One request at a time. ``done`` is called with the status when the answer is whole."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """The status of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is not None:
            self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            length = int(head[at + 17 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
        elif not self._buffer.endswith(b"0\r\n\r\n"):  # in chunks, of which the empty one is the last
            return
        self._buffer = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    def close(self) -> None:
        """No more requests."""
        if self._transport is not None:
            self._transport.close()


def _request(body: str, order: dict[str, Any], host: str) -> bytes:
    raw = body.encode()
    timestamp = str(int(time.time()))
    digest = hmac.new(order["secret"].encode(), b"v0:" + timestamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
    head = (
        f"POST {urlsplit(order['url']).path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {order['content_type']}\r\n"
        f"Content-Length: {len(raw)}\r\nUser-Agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\nAccept: */*\r\n"
        f"X-Slack-Request-Timestamp: {timestamp}\r\nX-Slack-Signature: v0={digest}\r\n\r\n"
    )
    return head.encode() + raw


async def _run(order: dict[str, Any]) -> Sent:
    parts = urlsplit(order["url"])
    host, port = str(parts.hostname), int(parts.port or 80)
    requests = [_request(body, order, f"{host}:{port}") for body in order["bodies"]]
    numbers = iter(range(order["count"]))
    latencies_ms: list[float] = []
    statuses: Counter[str] = Counter()
    loop = asyncio.get_running_loop()

    async def use(connection: _Connection) -> None:
        for number in numbers:
            began = time.perf_counter()
            status = await connection.ask(requests[number % len(requests)])
            latencies_ms.append(round((time.perf_counter() - began) * 1000, 3))
            statuses[str(status)] += 1
            if status == 0:
                return
            if order["pause_s"]:
                await asyncio.sleep(order["pause_s"])

    opened = [await loop.create_connection(_Connection, host, port) for _ in range(order["connections"])]
    began = time.perf_counter()
    await asyncio.gather(*(use(connection) for _, connection in opened))
    seconds = time.perf_counter() - began
    for _, connection in opened:
        connection.close()
    return Sent(seconds=seconds, latencies_ms=latencies_ms, statuses=dict(statuses))


def main() -> None:
    """The order comes on stdin, the figures go to stdout."""
    order = json.load(sys.stdin)
    if order["core"] is not None:
        os.sched_setaffinity(0, {order["core"]})
    print(json.dumps(asdict(uvloop.run(_run(order)))))


if __name__ == "__main__":
    main()
