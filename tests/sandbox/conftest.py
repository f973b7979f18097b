"""A running sandbox, a tiny bot that verifies what it gets, and Slack's own client to call the stand-in with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from tests.sandbox.mounted_world import MountedWorld, MovedClock, mounted
from tests.sandbox.tiny_bot import SIGNING_SECRET, TOKEN, TinyBot, manifest


@pytest.fixture
def app_manifest() -> dict[str, Any]:
    """An app that may do everything; override it in a module to take something away."""
    return manifest()


@pytest.fixture
async def sandbox(app_manifest: dict[str, Any]) -> AsyncIterator[Sandbox]:
    """A workspace on loopback. Nobody listens at its bot_url until ``bot`` does."""
    made = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=app_manifest)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[TinyBot]:
    """A bot that the sandbox delivers to."""
    made = TinyBot()
    sandbox.bot_url = await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def slack(sandbox: Sandbox, bot: TinyBot) -> AsyncIterator[AsyncWebClient]:
    """Slack's own client with the bot's token, over one connection pool."""
    async with aiohttp.ClientSession() as session:
        yield AsyncWebClient(TOKEN, base_url=sandbox.slack_api_url, session=session)


@pytest.fixture
async def browser(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    """What the page is loaded with: paths are relative to the sandbox."""
    async with aiohttp.ClientSession(sandbox.url) as session:
        yield session


@pytest.fixture
async def outside() -> AsyncIterator[MountedWorld]:
    """The world alone, started, with a clock that stands still until the test moves it."""
    async with mounted(World(), MovedClock()) as made:
        yield made
