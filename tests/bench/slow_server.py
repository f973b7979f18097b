"""A provider that takes everything and needs its time for it, in a process of its own: ``python -m tests.bench.slow_server``.

It answers each POST after ``LATENCY_S`` as PagerDuty does, and ``GET /moments`` with when each of them came in (monotonic
seconds, which on Linux are the same for all processes). The first line that it prints is its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

LATENCY_S = 0.05
BODY = b'{"status": "success", "message": "Event processed", "dedup_key": "any"}'


class SlowServer:
    """A running one, as its caller sees it."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def moments(self) -> list[float]:
        """When each POST came in, since it was asked last."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/moments") as answer:
            moments: list[float] = await answer.json()
            return moments


@contextlib.asynccontextmanager
async def slow_server() -> AsyncIterator[SlowServer]:
    """One that runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.slow_server", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield SlowServer((await process.stdout.readline()).decode().strip())
    finally:
        process.kill()
        await process.wait()


async def _serve() -> None:
    moments: list[float] = []

    async def take(request: web.Request) -> web.Response:
        moments.append(time.monotonic())
        await request.read()
        await asyncio.sleep(LATENCY_S)
        return web.Response(body=BODY, status=202, content_type="application/json")

    async def tell(request: web.Request) -> web.Response:
        told = list(moments)
        moments.clear()
        return web.json_response(told)

    app = web.Application()
    app.add_routes([web.get("/moments", tell), web.post("/{tail:.*}", take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
