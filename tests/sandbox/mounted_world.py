"""A world on a loopback port by itself, with a clock that only the test moves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web

from bot.sandbox.world import World

BEGAN_AT = 1_800_000_000.0


class MovedClock:
    """Stands still until `advance`."""

    def __init__(self) -> None:
        self.at = BEGAN_AT
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Epoch seconds."""
        return self.at

    def advance(self, duration_s: float) -> None:
        """Move on, and wake whoever sleeps."""
        self.at += duration_s
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def sleep(self, duration_s: float) -> None:
        """Until so much has passed."""
        until = self.at + duration_s
        while self.at < until:
            await self._moved.wait()


class MountedWorld:
    """The world, its clock, and a way to it. ``changed`` is set at each change of something of paging."""

    def __init__(self, world: World, clock: MovedClock, http: aiohttp.ClientSession) -> None:
        self.world = world
        self.clock = clock
        self.http = http
        self.changed = asyncio.Event()
        world.on_paging = self._change

    @property
    def environment(self) -> dict[str, str]:
        """What a bot would be given."""
        assert self.http._base_url is not None
        return self.world.environment(str(self.http._base_url), paging=True)

    async def until(self, predicate: Callable[[], object], timeout_s: float = 15.0) -> None:
        """Wait for something to have become true by one of the changes."""
        async with asyncio.timeout(timeout_s):
            while not predicate():
                self.changed.clear()
                await self.changed.wait()

    def _change(self) -> None:
        self.changed.set()


@contextlib.asynccontextmanager
async def served(world: World) -> AsyncIterator[str]:
    """The routes of a world on a port of their own until the end of the block; their address."""
    app = web.Application()
    world.add_routes(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@contextlib.asynccontextmanager
async def mounted(world: World, clock: MovedClock) -> AsyncIterator[MountedWorld]:
    """Serve it until the end of the block."""
    async with served(world) as url:
        await world.start(clock)
        async with aiohttp.ClientSession(url) as http:
            yield MountedWorld(world, clock, http)
        await world.stop()
