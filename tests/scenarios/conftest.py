"""The whole bot against the sandbox: its HTTP, its signatures, its Slack and its world, with time that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis.asyncio as redis
import yaml

from bot.app import Muster, running
from bot.domain.errors import MusterError
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.settings import load_settings
from tests.conftest import ROOT
from tests.contracts.payloads import faults_of

Json = dict[str, Any]
MANIFEST = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))

PATIENCE_S = 25.0
"""So long something that must come is waited for: a shared machine may be many times slower than a quiet one."""
IDLE_S = 3.0
"""What the bot is still doing after so long hangs on purpose, and is not waited for."""


class Stage:
    """A running bot in a workspace, and what one looks at. ``restart`` ends the bot and starts it again."""

    def __init__(self, sandbox: Sandbox, world: World, environment: dict[str, str]) -> None:
        self.sandbox = sandbox
        self.world = world
        self.environment = environment
        self.workspace = sandbox.workspace
        self.muster: Muster
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Start the bot."""
        settings = load_settings(self.environment)
        self.muster = await self._stack.enter_async_context(running(settings))
        self.sandbox.bot_url = self.muster.url

        async def move(offset_s: float) -> None:
            await self.muster.store.set_clock_offset(offset_s)
            await self.muster.store.claim(most=0, lease_ms=1)  # takes nothing; its answer tells the bot the time
            self.muster.worker.wake()

        self.sandbox.clock.on_clock_change = move

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    async def wait(self, predicate: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
        """The first true answer of ``predicate``, looked at whenever something changes in Slack or the world."""
        return await self.sandbox.wait_for(predicate, timeout_s=timeout_s, what=what)

    async def advance(self, seconds: float) -> None:
        """Move time, for Slack, for the world and for Muster. What is under way comes to its end first: a lease that runs out in
        the middle of it, or what it books a moment later, would make another story of it, now and then."""
        await self.idle()
        await self.sandbox.clock.advance(seconds)

    async def idle(self) -> None:
        """The bot has done all that is due by now, and has written it down; what takes longer than ``IDLE_S`` is left alone."""
        muster: Muster | None = getattr(self, "muster", None)
        with contextlib.suppress(TimeoutError, MusterError):
            async with asyncio.timeout(IDLE_S):
                while muster and not muster.worker._stopping and await is_busy(muster):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.005)

    # -- looking ---------------------------------------------------------------------------------------------------

    def rooms(self) -> list[Any]:
        """The incident rooms."""
        return [channel for channel in self.workspace.channels if channel.name.startswith("inc-")]

    async def room(self) -> Any:
        """The one incident room, with its card in it; a private one with people in it, since nobody else can press there."""
        found = await self.wait(self.rooms, "a room")
        assert len(found) == 1, [channel.name for channel in found]
        await self.wait(lambda: self.messages(found[0].name), "the card")
        await self.wait(lambda: not found[0].is_private or len(found[0].members) > 1, "the people")
        return found[0]

    def messages(self, channel: str, **options: Any) -> list[Json]:
        """What is in a channel."""
        return self.workspace.messages(channel, **options)

    def card(self, channel: str) -> Json:
        """The first message of a room."""
        return self.messages(channel)[0]

    async def sees(self, channel: str, text: str, *, user: str | None = None, timeout_s: float = PATIENCE_S) -> Json:
        """The newest message of a channel that shows ``text``, as soon as there is one."""

        def look() -> Json | None:
            shown = [message for message in self.messages(channel, user=user) if text in said(message)]
            return shown[-1] if shown else None

        found: Json = await self.wait(look, f"“{text}” in {channel}", timeout_s)
        return found

    async def paged(self, user: str) -> Json:
        """The newest page of somebody, once it is written down too: who was called, and by what, is judged by that."""
        page: Json = (await self.wait(lambda: self.workspace.dm(user), f"the page of {user}"))[-1]
        await self.recorded(user, page)
        return page

    async def recorded(self, user: str, page: Json) -> None:
        """Wait until the bot has written down that this message was sent to somebody as a page."""
        place = (self.workspace.im(user).id, page["ts"])
        async with asyncio.timeout(PATIENCE_S):
            while True:
                pages = [sent for incident in await self.muster.desk.active() for sent in incident.pages]
                if any(place in sent.messages for sent in pages):
                    return
                await asyncio.sleep(0.01)

    async def click(self, user: str, channel: str, message: Json, action_id: str, **options: Any) -> Any:
        """Press something. ``block_id`` where an action stands more than once."""
        return await self.workspace.click(user, channel, message["ts"], action_id, **options)

    def called(self, method: str) -> list[Any]:
        """The calls of one Web API method."""
        return [call for call in self.sandbox.calls if call.method == method]


async def is_busy(muster: Muster) -> bool:
    """Something is being done, or is due and about to be."""
    worker = muster.worker
    if worker._running or worker._claiming.locked():
        return True
    return await muster.store.due_age_s() > 0 or bool(worker._running) or worker._claiming.locked()


def faults_at_the_end(sandbox: Sandbox) -> list[str]:
    """What is wrong with anything that the bot said. A call that broke off with the bot before Slack had read it said nothing."""
    sandbox.calls[:] = [call for call in sandbox.calls if call.arguments or call.ok is not None]
    return faults_of(sandbox)


def said(message: Json) -> str:
    """Every text of a message, its blocks included."""
    texts: list[str] = [str(message.get("text", ""))]

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("text"), str):
                texts.append(value["text"])
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(message.get("blocks", []))
    return "\n".join(texts)


@contextlib.asynccontextmanager
async def staged(redis_url: str, *, manifest: dict[str, Any] = MANIFEST, **options: Any) -> AsyncIterator[Stage]:
    """A sandbox with this app installed, and the environment for a bot in it, which is not started yet."""
    client = redis.Redis.from_url(redis_url)
    await client.flushdb()
    await client.aclose()
    world = World()
    signing_secret, token = secrets.token_hex(16), f"xoxb-{secrets.token_hex(12)}"
    sandbox = Sandbox(
        signing_secret=signing_secret, bot_token=token, manifest=manifest, world=world, retry_scale=0.001, **options
    )
    await sandbox.start()
    environment = {
        "SLACK_BOT_TOKEN": token,
        "SLACK_SIGNING_SECRET": signing_secret,
        "SLACK_API_URL": sandbox.slack_api_url,
        "REDIS_URL": redis_url,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "MUSTER_RUNBOOKS": str(ROOT / "runbooks"),
        "MUSTER_TIME_TRAVEL": "true",
        "MUSTER_ENV_FILE": "",
        **world.environment(sandbox.url),
    }
    try:
        yield Stage(sandbox, world, environment)
    finally:
        await sandbox.stop()


@pytest.fixture
async def unstarted(redis_url: str) -> AsyncIterator[Stage]:
    """A stage whose bot the test starts itself. At the end, everything that was said to Slack is judged."""
    async with staged(f"{redis_url}?db=1") as stage:
        yield stage
        await stage.sandbox.courier.stop()  # nothing more for a bot that is about to end
        await stage.stop()
        faults = faults_at_the_end(stage.sandbox)
        assert not faults, "\n".join(dict.fromkeys(faults))


@pytest.fixture
async def stage(unstarted: Stage) -> Stage:
    """A stage with a running bot."""
    await unstarted.start()
    return unstarted
