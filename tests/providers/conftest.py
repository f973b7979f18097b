"""Servers on the loopback for the provider clients: hand-made ones for odd replies, and the sandbox's world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from bot.sandbox.world import World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]
RawServe = Callable[[bytes], Awaitable[str]]


async def _start(app: web.Application, runners: list[web.AppRunner]) -> str:
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    runners.append(runner)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server that answers every path with the given handler; its base URL is returned."""
    runners: list[web.AppRunner] = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        return await _start(app, runners)

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def serve_bytes() -> AsyncIterator[RawServe]:
    """Starts a server that writes the given bytes to whoever connects, whatever they ask, and closes."""
    servers: list[asyncio.Server] = []

    async def start(reply: bytes) -> str:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        servers.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
def world() -> World:
    """A world whose switches all stand on good."""
    return World()


@pytest.fixture
async def world_url(world: World) -> AsyncIterator[str]:
    """Where `world` is mounted."""
    app = web.Application()
    world.add_routes(app)
    runners: list[web.AppRunner] = []
    yield await _start(app, runners)
    for runner in runners:
        await runner.cleanup()
