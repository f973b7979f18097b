"""What the storage tests build: entries, commits, a server of their own."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis

from bot.domain.facts import StepTicked
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import GENESIS, Entry, chain
from bot.services.ports import Commit, Task
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock, at

INCIDENT = "inc-1"
LEASE_MS = 2_000

_NONCES = itertools.count(1)


def entries(count: int = 1) -> tuple[Entry, ...]:
    """The first entries of a timeline."""
    facts = [StepTicked(step_id=f"s{number}") for number in range(count)]
    return chain(facts, after_seq=0, after_digest=GENESIS, at=at(), by="U1", salts=["00" * 16] * count)


def commit_of(incident_id: str = INCIDENT, **fields: Any) -> Commit:
    """A commit with a nonce of its own, at version 0 unless it is said otherwise."""
    return Commit(**{"incident_id": incident_id, "expected_version": 0, "nonce": f"n{next(_NONCES)}", **fields})


def request_for(identity: str, clock: MovingClock, *, in_s: float = 0.0, again: bool = False, **data: Any) -> TaskRequest:
    """A task that is due ``in_s`` seconds from now by Redis's time."""
    due_at = clock.now() + timedelta(seconds=in_s)
    return TaskRequest(id=identity, kind=TaskKind.ROOM, incident_id=INCIDENT, due_at=due_at, data=data, again=again)


async def ask(store: RedisStore, *tasks: TaskRequest) -> None:
    """Put tasks into the due set by a commit without entries."""
    version = await store.version(INCIDENT)
    committed = await store.commit(commit_of(expected_version=version, tasks=tasks))
    assert committed.status == "ok"


async def claim_one(store: RedisStore, *, lease_ms: int = LEASE_MS) -> Task:
    """The one task that is due."""
    (task,) = (await store.claim(most=10, lease_ms=lease_ms)).tasks
    return task


async def dump(store: RedisStore) -> dict[str, Any]:
    """Everything that Redis holds of a workspace, in a form that can be compared; when a key expires is left out."""
    client: Any = store._redis
    found: dict[str, Any] = {}
    readers = {
        "string": client.get,
        "list": lambda key: client.lrange(key, 0, -1),
        "hash": client.hgetall,
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    async for key in client.scan_iter(match=f"{store._prefix}*", count=1000):
        found[key] = await readers[await client.type(key)](key)
    return found


@dataclass(frozen=True)
class Server:
    """A Redis server that a test may stop, fill and forbid."""

    socket: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """For ``connect``."""
        return f"unix://{self.socket}"


@contextmanager
def own_server(binary: str) -> Iterator[Server]:
    """A server of the test's own, in memory."""
    with tempfile.TemporaryDirectory(prefix="muster-") as folder:
        socket = f"{folder}/s"
        options = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", "", "--logfile", f"{folder}/log"]
        process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 30
            while not _answers(socket):
                assert time.monotonic() < deadline, Path(folder, "log").read_text("utf-8")
                time.sleep(0.005)
            yield Server(socket=socket, process=process)
        finally:
            process.kill()
            process.wait()


def _answers(socket: str) -> bool:
    client = redis.Redis(unix_socket_path=socket)
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()
