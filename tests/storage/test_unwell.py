"""P12: a Redis that is read-only, full, unable to save, still loading or hung counts as down: no write is believed."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bot.domain.errors import TemporaryError, UnknownOutcome
from bot.domain.tasks import prompt_task
from bot.storage.redis import FRONT_TIMEOUT_S, RedisClock, RedisStore, connect
from bot.wiring import Readiness
from tests.storage.support import INCIDENT, commit_of, entries

BINARY = shutil.which("redis-server")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="needs redis-server, which is not installed; apt-get install redis-server"),
]


class Server:
    """A Redis that can be made unwell."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "data"
        self._folder.mkdir()
        self.socket = str(folder / "s")
        self._process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """For ``connect``."""
        return f"unix://{self.socket}"

    def start(self, *options: str, until: Callable[[Exception | None], bool] = lambda error: error is None) -> None:
        """Start it, and wait until ``until`` is content with what a PING met."""
        base = ["--port", "0", "--unixsocket", self.socket, "--dir", str(self._folder), "--save", "", "--loglevel", "warning"]
        self._process = subprocess.Popen([str(BINARY), *base, *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not until(self._ping()):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _ping(self) -> Exception | None:
        try:
            self.tell("PING")
        except redis.RedisError as error:
            return error
        return None

    def tell(self, *words: str) -> Any:
        """One command."""
        client = redis.Redis(unix_socket_path=self.socket, retry=Retry(NoBackoff(), 0))
        try:
            return client.execute_command(*words)
        finally:
            client.close()

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT."""
        self._process.send_signal(number)

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def lose_disk(self) -> None:
        """Its folder is gone, as on a full or unmounted disk: no snapshot can be written any more."""
        shutil.rmtree(self._folder)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running one."""
    made = Server(tmp_path)
    made.start()
    yield made
    made.end()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisStore]:
    """The front door's store on it, which has written before."""
    async with connect(server.url, timeout_s=FRONT_TIMEOUT_S) as client:
        made = RedisStore(client, workspace_id="T1", owner="test", clock=RedisClock())
        due = prompt_task("C1", "1.0", "x", (), made._clock.now())
        assert (await made.commit(commit_of("inc-0", entries=entries(), tasks=[due]))).status == "ok"
        yield made


class Slack:
    """A Slack that answers."""

    async def call(self, method: str) -> dict[str, Any]:
        return {"ok": True}


async def readiness(store: RedisStore) -> list[str]:
    """What /readyz would say is missing."""
    work: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(60))
    try:
        return await Readiness(store, Slack(), work, None).missing()  # type: ignore[arg-type]
    finally:
        work.cancel()


def _read_only(server: Server) -> None:
    server.tell("REPLICAOF", "127.0.0.1", "1")


def _full(server: Server) -> None:
    server.tell("CONFIG", "SET", "maxmemory", "1")


def _unable_to_save(server: Server) -> None:
    server.tell("CONFIG", "SET", "save", "3600 1000000")
    server.lose_disk()
    server.tell("BGSAVE")
    deadline = time.monotonic() + 30
    while server.tell("INFO", "persistence")["rdb_last_bgsave_status"] == "ok":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _loading(server: Server) -> None:
    client = redis.Redis(unix_socket_path=server.socket)
    for number in range(2_000):
        client.set(f"filler:{number}", "x" * 100)
    client.save()
    client.close()
    server.end()
    slow = ("--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024")
    server.start(*slow, until=lambda error: isinstance(error, redis.BusyLoadingError))


UNWELL = {
    "read-only": (_read_only, "read only"),
    "full": (_full, "maxmemory"),
    "unable to save": (_unable_to_save, "MISCONF"),
    "loading": (_loading, "still reading its data"),
}


@pytest.mark.parametrize("way", UNWELL)
async def test_p12_an_unwell_redis_is_down_and_no_commit_is_believed(server: Server, store: RedisStore, way: str) -> None:
    """Every write says so, with the reason; /readyz is not content; what was refused is not there afterwards."""
    assert await readiness(store) == []
    hurt, word = UNWELL[way]
    hurt(server)
    writes: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.commit(commit_of(entries=entries(), active=True)),
        lambda: store.claim(most=1, lease_ms=1_000),
        lambda: store.save_audit_record("{}"),
        lambda: store.note_canary("run", "{}"),
        store.ping,
    ]
    for write in writes:
        with pytest.raises((TemporaryError, UnknownOutcome)) as refused:
            await write()
        assert word in str(refused.value) or "connection" in str(refused.value)
    with pytest.raises(TemporaryError, match=word):
        await store.ping()
    missing = await readiness(store)
    assert len(missing) == 1
    assert word in missing[0]
    if way != "loading":
        assert await store.version(INCIDENT) == 0
        assert await store.version("inc-0") == 1


async def test_p12_a_hung_redis_is_down_and_a_commit_is_unknown(server: Server, store: RedisStore) -> None:
    """Nobody is told that it was saved, though it may be when the server goes on; /readyz gives up in time."""
    server.send(signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(UnknownOutcome):
            await store.commit(commit_of(entries=entries()))
        missing = await readiness(store)
        assert time.monotonic() - started < 3 * FRONT_TIMEOUT_S
    finally:
        server.send(signal.SIGCONT)
    assert [fault.startswith("Redis ") for fault in missing] == [True]
    async with asyncio.timeout(20):
        while await readiness(store):  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.02)
