"""The peer: a Bolt app as its own tutorial builds it, with two listeners, in a process of its own.

``default``: Bolt's own aiohttp server (``AsyncApp.server``), a command that only acknowledges. ``asgi``: the same app behind
Bolt's ASGI adapter and uvicorn, the quickest way to serve Bolt.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import uvicorn
import uvloop
from aiohttp import web
from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.ports import HeldPort

READY = "ready"
START_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BoltServer:
    """A peer that runs."""

    url: str
    pid: int


@contextlib.asynccontextmanager
async def bolt_server(kind: str, *, bot_token: str, signing_secret: str, slack_api_url: str) -> AsyncIterator[BoltServer]:
    """The peer, ready."""
    port = HeldPort()
    environment = {
        **os.environ,
        "PEER_BOT_TOKEN": bot_token,
        "PEER_SIGNING_SECRET": signing_secret,
        "PEER_SLACK_API_URL": slack_api_url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.bolt_server", kind, str(port.number), env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            if process.stdout is None or (await process.stdout.readline()).decode().strip() != READY:
                raise RuntimeError(f"the Bolt server ({kind}) did not start")
        yield BoltServer(url=f"http://127.0.0.1:{port.number}/slack/events", pid=process.pid)
    finally:
        process.terminate()
        await process.wait()
        port.close()


def make_bolt() -> AsyncApp:
    """Two listeners and nothing that is not Bolt's default."""
    client = AsyncWebClient(token=os.environ["PEER_BOT_TOKEN"], base_url=os.environ["PEER_SLACK_API_URL"])
    app = AsyncApp(client=client, signing_secret=os.environ["PEER_SIGNING_SECRET"])

    async def on_message(event: dict[str, Any]) -> None:
        return

    async def on_command(ack: AsyncAck) -> None:
        await ack()

    app.event("message")(on_message)
    app.command("/incident")(on_command)
    return app


async def _serve_default(app: AsyncApp, port: int) -> None:
    runner = web.AppRunner(app.server(port=port).web_app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(READY, flush=True)
    await asyncio.Event().wait()


def _serve_asgi(app: AsyncApp, port: int) -> None:
    handler = AsyncSlackRequestHandler(app)
    options = {"host": "127.0.0.1", "port": port, "access_log": False, "log_level": "warning", "lifespan": "off"}
    server = uvicorn.Server(uvicorn.Config(handler, **options))

    async def serve() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        print(READY, flush=True)
        await serving

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def main() -> None:
    """``python -m tests.bench.bolt_server KIND PORT``."""
    kind, port = sys.argv[1], int(sys.argv[2])
    app = make_bolt()
    if kind == "asgi":
        _serve_asgi(app, port)
    else:
        asyncio.run(_serve_default(app, port))


if __name__ == "__main__":
    main()
