"""What all tests share: a real Redis, a catalog, a clock that the test moves, no silent skips where none may be."""

from __future__ import annotations

import gc
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog

from bot.actions.registry import load_actions
from bot.domain.catalog import Catalog
from bot.sandbox.ports import HeldPort
from bot.storage.embedded import server_binary
from bot.storage.redis import RedisClock, RedisStore, connect
from bot.storage.runbook_files import load_catalog
from tests.support.postgres import database as database
from tests.support.postgres import postgres as postgres
from tests.watchdog import Watchdog

ROOT = Path(__file__).parent.parent
CONTRACTS = ROOT.parent / "shared" / "contracts"
MEMORY = Path("/dev/shm")  # noqa: S108 - folders in it are made by tempfile
MEMORY_MIN_BYTES = 4 << 30
REQUIRE_ALL = bool(os.environ.get("MUSTER_REQUIRE_ALL"))


def pytest_configure(config: pytest.Config) -> None:
    """No test may hold the run for ever, and none waits for a disk that others write to."""
    config.pluginmanager.register(Watchdog())
    if _has_room_in_memory():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def _has_room_in_memory() -> bool:
    """Every commit of Muster waits for the disk (`appendfsync always`), and behind somebody else's large file that takes seconds;
    what the tests are about is when Muster writes, not how long the disk takes."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return False
    there = os.statvfs(MEMORY)
    return there.f_bavail * there.f_frsize > MEMORY_MIN_BYTES and not there.f_flag & os.ST_NOEXEC


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`make test` answers within minutes: what takes long is left to CI, and to whoever names its file."""
    if REQUIRE_ALL or config.option.file_or_dir:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in set(slow)]


def pytest_collection_finish() -> None:
    """What was collected stays to the end: looking through all of it for garbage would stop every event loop now and then."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """With MUSTER_REQUIRE_ALL, a skipped test is a failed one: there, everything that tests need is installed."""
    outcome: Any = yield
    report = outcome.get_result()
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although MUSTER_REQUIRE_ALL is set: {report.longrepr}"


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """What one test says about logging (a command of the terminal, run in this process) is not said to the next one.

    Tracebacks are plain: drawing one with all local variables, as structlog does by default where there is rich, takes seconds,
    in which the event loop stands still, and leases and deadlines run out.
    """
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The schemas that others wrote."""
    if not CONTRACTS.is_dir():
        pytest.skip("needs ../shared/contracts (schemas that others wrote), which is not beside this checkout")
    return CONTRACTS


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The runbooks that Muster ships."""
    result = load_catalog(ROOT / "runbooks", actions=load_actions(), overrides={"CLERK_APP_URL": "http://127.0.0.1:9"})
    assert result.catalog, [str(fault) for fault in result.faults]
    return result.catalog


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real server (the binary that Muster embeds), append-only with fsync always, for this test session."""
    with tempfile.TemporaryDirectory(prefix="muster-") as folder:
        socket = f"{folder}/s"
        log = Path(folder, "log").open("w")  # noqa: SIM115 - closed below, after the server
        options = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--appendonly", "yes", "--appendfsync", "always"]
        server = subprocess.Popen([str(server_binary()), *options], stdout=log, stderr=log)
        client = redis.Redis(unix_socket_path=socket)
        deadline = time.monotonic() + 30
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "the Redis server did not start"
                assert server.poll() is None, "the Redis server died"
                time.sleep(0.01)
        yield f"unix://{socket}"
        client.close()
        server.kill()
        server.wait()
        log.close()


@pytest.fixture
def unused_tcp_port() -> Iterator[int]:
    """A port at which nobody listens, and that nobody else on this machine is given meanwhile."""
    with HeldPort() as port:
        yield port.number


class MovingClock(RedisClock):
    """Redis's clock, moved by the test: ``advance`` moves the offset key too, so that the scripts agree."""

    store: RedisStore
    offset_s: float = 0.0

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.offset_s += seconds
        await self.store.set_clock_offset(self.offset_s)
        await self.store.claim(most=0, lease_ms=1)


@pytest.fixture
def clock() -> MovingClock:
    """See ``MovingClock``."""
    return MovingClock()


@pytest.fixture
async def store(redis_url: str, clock: MovingClock) -> AsyncIterator[RedisStore]:
    """The store of a workspace that nobody else uses."""
    client = connect(redis_url, timeout_s=5)
    made = RedisStore(client, workspace_id=f"T{secrets.token_hex(4)}", owner="test", clock=clock, time_travel=True)
    clock.store = made
    await made.claim(most=0, lease_ms=1)
    yield made
    await client.aclose()


def at(seconds: float = 0.0) -> datetime:
    """A moment of the tests' own: seconds after a Friday at three in the morning."""
    return datetime(2026, 11, 20, 3, 0, tzinfo=UTC) + timedelta(seconds=seconds)
