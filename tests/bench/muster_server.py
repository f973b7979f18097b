"""The whole bot in a process of its own, as in production, on the embedded server (fsync always), in a sandbox workspace."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.sandbox.ports import HeldPort
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.terminal.demo import BotProcess
from bot.terminal.manifest import read_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class MusterServer:
    """A bot that runs. ``url`` is where Slack sends everything."""

    sandbox: Sandbox
    url: str
    pid: int
    signing_secret: str
    bot_token: str


@contextlib.asynccontextmanager
async def muster_server(*, runbooks: Path | None = None, more: Mapping[str, str] | None = None) -> AsyncIterator[MusterServer]:
    """The bot, ready. ``runbooks`` None: those that Muster ships. ``more``: what else is in its environment."""
    signing_secret, bot_token = secrets.token_hex(16), f"xoxb-{secrets.token_hex(12)}"
    world = World()
    sandbox = Sandbox(signing_secret=signing_secret, bot_token=bot_token, manifest=read_manifest(), world=world)
    await sandbox.start()
    with HeldPort() as port, tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        sandbox.bot_url = f"http://127.0.0.1:{port.number}"
        environment = {
            "SLACK_BOT_TOKEN": bot_token,
            "SLACK_SIGNING_SECRET": signing_secret,
            "SLACK_API_URL": sandbox.slack_api_url,
            "HOST": "127.0.0.1",
            "PORT": str(port.number),
            "MUSTER_DATA_DIR": folder,
            "MUSTER_ENV_FILE": "",
            "LOG_LEVEL": "error",
            **world.environment(sandbox.url),
            **({"MUSTER_RUNBOOKS": str(runbooks)} if runbooks else {}),
            **(more or {}),
        }
        bot = BotProcess(environment, url=sandbox.bot_url)
        keeping = asyncio.create_task(bot.keep_running(), name="bot")
        try:
            await bot.wait_until_ready(asyncio.Event())
            if bot.pid is None:
                raise RuntimeError("the bot ended")
            yield MusterServer(
                sandbox=sandbox,
                url=f"{sandbox.bot_url}/slack/events",
                pid=bot.pid,
                signing_secret=signing_secret,
                bot_token=bot_token,
            )
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await bot.stop()
            await sandbox.stop()
