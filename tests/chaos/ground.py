"""What every chaos run stands on: a Redis that can be hurt, a workspace, and replicas of the bot as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import redis
import redis.asyncio
import yaml

from bot.sandbox.models import TEAM_ID
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.services.crashpoints import KILLED
from bot.storage.embedded import server_binary
from bot.storage.redis import RedisClock, RedisStore, connect
from tests.conftest import ROOT
from tests.process import BotProcess

MANIFEST = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
REDELIVERY_SCALE = 0.05
"""Slack repeats an event at once, after 3 s and after 15 s more: a bot that starts again gets it, on a busy machine too."""
LOOK_EVERY_S = 0.02
BUSY_PHONE = "+15555550142"
"""Of the engineering lead."""


class RedisServer:
    """A server of one's own, append-only with fsync always, on a socket and, for ``REPLICAOF`` and the like, nothing else."""

    def __init__(self, folder: Path, binary: Path | None = None) -> None:
        self._folder = folder
        self._binary = binary or server_binary()
        self.socket = str(folder / "s")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Add ``?db=n`` for one of its 16 databases."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it on what it wrote before, and wait until it answers."""
        options = ["--port", "0", "--unixsocket", self.socket, "--dir", str(self._folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always", "--logfile", str(self._folder / "log")]
        self._process = subprocess.Popen([str(self._binary), *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline, (self._folder / "log").read_text("utf-8")
            time.sleep(0.005)

    def _answers(self) -> bool:
        client = redis.Redis(unix_socket_path=self.socket)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT …"""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As kill -9, and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def tell(self, *words: str) -> Any:
        """One command."""
        client = redis.Redis(unix_socket_path=self.socket)
        try:
            return client.execute_command(*words)
        finally:
            client.close()


@contextlib.contextmanager
def redis_server(binary: Path | None = None) -> Iterator[RedisServer]:
    """A running one, gone at the end with all that it knew. ``binary`` None: the server that Muster embeds."""
    with tempfile.TemporaryDirectory(prefix="muster-") as folder:
        server = RedisServer(Path(folder), binary)
        server.start()
        try:
            yield server
        finally:
            server.kill()


class Replica(BotProcess):
    """One process of the bot, which may be told where to die."""

    async def start(self, *, crash_at: str = "") -> None:
        """See ``BotProcess.start``. ``crash_at`` counts for this start only."""
        self._environment = {**self._environment, "CRASH_AT": crash_at}
        await super().start()

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        assert not self.is_at_its_point, "it died or stopped at its point before it was ready"
        return await super()._is_ready(session)

    @property
    def pid(self) -> int:
        """The process that runs, or ran last."""
        assert self._process is not None
        return self._process.pid

    async def until_dead(self) -> None:
        """Wait until it died at its point. Raises: AssertionError when it ended otherwise."""
        assert self._process is not None
        code = await self._process.wait()
        assert code == KILLED, f"the bot ended with {code}: {self._log.read_text('utf-8')[-3000:]}"

    @property
    def is_at_its_point(self) -> bool:
        """It died or stopped there already."""
        code = self._process.returncode if self._process else None
        return code == KILLED or (code is None and _is_stopped(self.pid))

    async def until_stopped(self) -> None:
        """Wait until it stopped at its point."""
        while not _is_stopped(self.pid):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(LOOK_EVERY_S)

    def go_on(self) -> None:
        """Wake it up."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it as a hypervisor does that moves its machine."""
        os.kill(self.pid, signal.SIGSTOP)

    def warnings(self) -> list[dict[str, Any]]:
        """What it logged that is not as usual."""
        return [line for line in self.lines() if line.get("level") not in ("info", "debug")]

    def cries(self) -> list[dict[str, Any]]:
        """What it logged that only a fault of Muster's own explains."""
        return [line for event in ("task_crashed", "request_crashed", "task_not_understood") for line in self.logged(event)]


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return False


class Ground:
    """A workspace, a world, a Redis database, and the environment for replicas in it."""

    def __init__(self, sandbox: Sandbox, world: World, environment: Mapping[str, str], folder: Path, store: RedisStore) -> None:
        self.sandbox = sandbox
        self.world = world
        self.environment = dict(environment)
        self.store = store
        self.replicas: list[Replica] = []
        self.folder = folder

    def replica(self) -> Replica:
        """One more, which is not started."""
        made = Replica(self.environment, self.folder / f"log{len(self.replicas)}")
        self.replicas.append(made)
        return made

    async def until(self, predicate: Any, what: str, timeout_s: float = 30.0) -> Any:
        """The first true answer, looked at whenever something changes in the workspace."""
        return await self.sandbox.wait_for(predicate, timeout_s=timeout_s, what=what)

    async def close(self) -> None:
        """End what runs."""
        await self.sandbox.courier.stop()
        for replica in self.replicas:
            await replica.kill()


@contextlib.asynccontextmanager
async def ground(
    redis_url: str,
    *,
    database: int,
    write_runbooks: Callable[[Path], Path] | None = None,
    prepare: Callable[[Sandbox, World], None] = lambda sandbox, world: None,
) -> AsyncIterator[Ground]:
    """A fresh workspace. ``write_runbooks`` None: with a runbook that has everything in it (``runbooks_with_a_run``).
    ``prepare`` gets what is not started yet."""
    url = f"{redis_url}?db={database}"
    raw = redis.asyncio.Redis.from_url(url)
    await raw.flushdb()
    await raw.aclose()
    world = World()
    signing_secret, token = secrets.token_hex(16), f"xoxb-{secrets.token_hex(12)}"
    sandbox = Sandbox(
        signing_secret=signing_secret, bot_token=token, manifest=MANIFEST, world=world, retry_scale=REDELIVERY_SCALE
    )
    prepare(sandbox, world)
    await sandbox.start()
    client = connect(url, timeout_s=5)
    with tempfile.TemporaryDirectory(prefix="muster-") as name:
        folder = Path(name)
        environment = {
            "SLACK_BOT_TOKEN": token,
            "SLACK_SIGNING_SECRET": signing_secret,
            "SLACK_API_URL": sandbox.slack_api_url,
            "REDIS_URL": url,
            "MUSTER_RUNBOOKS": str((write_runbooks or runbooks_with_a_run)(folder)),
            "MUSTER_TIME_TRAVEL": "true",
            "MUSTER_ENV_FILE": "",
            **world.environment(sandbox.url, paging=True),
        }
        store = RedisStore(client, workspace_id=TEAM_ID, owner="chaos", clock=RedisClock(), time_travel=True)
        sandbox.clock.on_clock_change = store.set_clock_offset
        made = Ground(sandbox, world, environment, folder, store)
        try:
            yield made
        finally:
            await made.close()
            await sandbox.stop()
            await client.aclose()


def runbooks_with_a_run(folder: Path) -> Path:
    """Muster's own runbooks, with an action on the checklist of the outage, a telephone for the lead and PagerDuty beside them,
    so that one story passes everything."""
    copy = folder / "runbooks"
    shutil.copytree(ROOT / "runbooks", copy)
    path = copy / "clerk" / "auth-outage.yml"
    step = "  - {id: revoke, title: Revoke sessions, run: clerk.revoke_sessions, caution: The user is signed out.}\n"
    path.write_text(path.read_text("utf-8").replace("checklist:\n", f"checklist:\n{step}"), "utf-8")
    contacts = yaml.safe_load((copy / "contacts.yml").read_text("utf-8"))
    by_id = {contact["id"]: contact for contact in contacts["contacts"]}
    by_id["on-call"].pop("pagerduty")  # the page of the second level is the one that PagerDuty takes
    by_id["engineering-lead"]["phone"] = BUSY_PHONE
    for level in contacts["policies"][0]["levels"]:
        level["notify"] += ["secondary-on-call"] if level["level"] == 2 else []
    (copy / "contacts.yml").write_text(yaml.safe_dump(contacts, sort_keys=False), "utf-8")
    return copy
