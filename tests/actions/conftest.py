"""A world on the loopback and a context that acts in it; waiting costs nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.actions.spec import ActionContext
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.sandbox.world import World


def config_of(environment: dict[str, str]) -> ProviderConfig:
    """What `bot.app` makes of the environment that a world gives."""
    return ProviderConfig(
        clerk_secret_key=SecretStr(environment["CLERK_SECRET_KEY"]),
        clerk_api_url=environment["CLERK_API_URL"],
        clerk_status_url=environment["CLERK_STATUS_URL"],
        clerk_publishable_key=environment["NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"],
        clerk_frontend_api_url=environment["CLERK_FRONTEND_API_URL"],
        clerk_webhook_signing_secret=SecretStr(environment["CLERK_WEBHOOK_SIGNING_SECRET"]),
        vercel_token=SecretStr(environment["VERCEL_TOKEN"]),
        vercel_api_url=environment["VERCEL_API_URL"],
        vercel_team_id=environment["VERCEL_TEAM_ID"],
        vercel_project=environment["VERCEL_PROJECT"],
    )


async def _start(app: web.Application, runners: list[web.AppRunner]) -> str:
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    runners.append(runner)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


@pytest.fixture
async def runners() -> AsyncIterator[list[web.AppRunner]]:
    """Servers to be stopped at the end of the test."""
    started: list[web.AppRunner] = []
    yield started
    for runner in started:
        await runner.cleanup()


@pytest.fixture
async def serve(
    runners: list[web.AppRunner],
) -> Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]:
    """Starts a server that answers every path with the given handler; its base URL is returned."""

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        return await _start(app, runners)

    return start


@pytest.fixture
def world() -> World:
    """A world whose switches all stand on good."""
    return World()


@pytest.fixture
async def world_url(world: World, runners: list[web.AppRunner]) -> str:
    """Where `world` is mounted."""
    app = web.Application()
    world.add_routes(app)
    return await _start(app, runners)


@pytest.fixture
def waits() -> list[float]:
    """How long the action under test wanted to sleep, in seconds."""
    return []


@pytest.fixture
def lines() -> list[str]:
    """What the action under test reported as progress."""
    return []


@pytest.fixture
async def context(world: World, world_url: str, waits: list[float], lines: list[str]) -> AsyncIterator[ActionContext]:
    """A context whose providers all live in the world."""
    async with Providers(config_of(world.environment(world_url))) as providers:
        yield make_context(providers, waits, lines)


def make_context(providers: Providers, waits: list[float], lines: list[str]) -> ActionContext:
    """A context that writes down its waits and its progress."""

    async def progress(line: str) -> None:
        lines.append(line)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return ActionContext(providers=providers, progress=progress, sleep=sleep)
