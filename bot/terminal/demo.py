"""``muster demo``: a workspace on this machine, the world around it, and the unmodified bot; one URL to open.

The bot runs as a process of its own, exactly as in production; only its environment differs. It is started again when it
dies, so that one can kill it and watch it go on. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp

from bot.domain.errors import ConfigError, MusterError
from bot.sandbox.models import TEAM_ID
from bot.sandbox.ports import HeldPort
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.settings import Settings
from bot.storage.embedded import embedded_redis
from bot.storage.redis import RedisClock, RedisStore, connect
from bot.terminal.demo_people import copy_runbooks
from bot.terminal.manifest import read_manifest

EXPECTED = (MusterError,)

READY_TIMEOUT_S = 20.0
RESTART_AFTER_S = 0.5
STOP_TIMEOUT_S = 10.0


def run(options: argparse.Namespace) -> int:
    """Until Ctrl-C."""
    return asyncio.run(_demo(options.port))


async def _demo(port: int) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="muster-demo-") as folder:
        async with demo_workspace(Path(folder), port=port) as (sandbox, bot):
            started = time.monotonic()
            await bot.wait_until_ready(stop)
            if not stop.is_set():
                _say(f"\n  Muster is ready after {time.monotonic() - started:.1f} s. Open  {sandbox.url}")
                _say("  Write “clerk down” in #support, or /incident clerk down. Ctrl-C ends it.")
                _say("  Nobody answers? World > Night plays eight hours in a minute, and Phones shows whose phone rings.")
                _say(f"  Its runbooks and contacts are a copy in {folder}/runbooks.\n")
            await stop.wait()
            _say("\n  Stopping…")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextlib.asynccontextmanager
async def demo_workspace(folder: Path, *, port: int) -> AsyncIterator[tuple[Sandbox, BotProcess]]:
    """The sandbox and the bot; ``folder`` holds the bot's data and its copy of the runbooks, whose people have telephones.

    Raises: ConfigError when the port is taken, or the shipped runbooks cannot be copied.
    """
    runbooks = folder / "runbooks"
    phone_book = await asyncio.to_thread(copy_runbooks, Settings().runbooks_dir(), runbooks)
    signing_secret, bot_token = secrets.token_hex(16), f"xoxb-{secrets.token_hex(12)}"
    world = World()
    sandbox = Sandbox(signing_secret=signing_secret, bot_token=bot_token, manifest=read_manifest(), world=world)
    sandbox.phone_book.update(phone_book)
    try:
        await sandbox.start(host="127.0.0.1", port=port)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on 127.0.0.1:{port}: {error.strerror or error}; stop what uses it, or give --port another one"
        ) from error
    bot_port = HeldPort()
    try:
        await world.start_database()
        sandbox.bot_url = f"http://127.0.0.1:{bot_port.number}"
        environment = {
            "SLACK_BOT_TOKEN": bot_token,
            "SLACK_SIGNING_SECRET": signing_secret,
            "SLACK_API_URL": sandbox.slack_api_url,
            "HOST": "127.0.0.1",
            "PORT": str(bot_port.number),
            "MUSTER_DATA_DIR": str(folder),
            "MUSTER_RUNBOOKS": str(runbooks),
            "MUSTER_URL": sandbox.bot_url,
            "MUSTER_TIME_TRAVEL": "true",
            "MUSTER_ENV_FILE": "",
            "LOG_LEVEL": "error",
            **world.environment(sandbox.url, paging=True),
        }
        async with _time_travel(sandbox, folder, team_id=TEAM_ID):
            bot = BotProcess(environment, url=sandbox.bot_url)
            keeping = asyncio.create_task(bot.keep_running(), name="bot")
            try:
                yield sandbox, bot
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
                await bot.stop()
    finally:
        bot_port.close()
        await sandbox.stop()


@contextlib.asynccontextmanager
async def _time_travel(sandbox: Sandbox, folder: Path, *, team_id: str) -> AsyncIterator[None]:
    """The page's clock moves Redis's "now"; the bot was told to honour that."""
    async with embedded_redis(folder) as server:
        client = connect(server.url, timeout_s=5)
        store = RedisStore(client, workspace_id=team_id, owner="sandbox", clock=RedisClock(), time_travel=True)
        sandbox.clock.on_clock_change = store.set_clock_offset
        try:
            yield
        finally:
            await client.aclose()


class BotProcess:
    """``muster serve`` as a child, started again when it dies. ``environment`` is all that it is given."""

    def __init__(self, environment: Mapping[str, str], *, url: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not _is_a_setting(name)}
        self.environment: Mapping[str, str] = {**inherited, **environment}
        self._url = url
        self._process: asyncio.subprocess.Process | None = None
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def keep_running(self) -> None:
        """Until cancelled."""
        while True:
            self.starts += 1
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", "serve", env=self.environment, start_new_session=True
            )
            code = await self._process.wait()
            _say(f"  The bot ended with code {code}; starting it again.")
            await asyncio.sleep(RESTART_AFTER_S)

    async def wait_until_ready(self, stop: asyncio.Event) -> None:
        """Raises: ConfigError when it does not become ready in time."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while not stop.is_set():
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{self._url}/readyz") as answer:
                        if answer.status == 200:
                            return
                if time.monotonic() > deadline:
                    raise ConfigError("the bot did not become ready; its own words are above")
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """SIGTERM, and what comes after when it is not heard."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), timeout=STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _is_a_setting(name: str) -> bool:
    prefixes = ("SLACK_", "MUSTER_", "CLERK_", "VERCEL_", "PAGERDUTY_", "TWILIO_", "STATUSPAGE_", "AUTHOS_", "SMTP_")
    return name.startswith(prefixes) or name in ("REDIS_URL", "HOST", "PORT", "DYNO", "DATABASE_URL")
