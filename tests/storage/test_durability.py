"""A Redis that would lose or evict is refused; what it hides is a warning. By plain values, and on real servers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from bot.domain.errors import ConfigError, TemporaryError
from bot.storage.durability import Durability, check_durability, inspect
from bot.storage.embedded import server_binary

GOOD_INFO = {"aof_enabled": 1, "maxmemory_policy": "noeviction", "role": "master", "aof_last_write_status": "ok"}
GOOD_CONFIG = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


def test_a_durable_redis_passes_without_a_word() -> None:
    """Append-only with fsync always and no eviction is what Muster asks for."""
    assert check_durability(GOOD_INFO, GOOD_CONFIG, dev=False) == Durability()


@pytest.mark.parametrize(
    ("info", "config", "part"),
    [
        ({}, {"appendonly": "no"}, "appendonly yes"),
        ({"aof_enabled": 0}, {"appendonly": ""}, "appendonly yes"),
        ({"aof_enabled": "0"}, {"appendonly": ""}, "appendonly yes"),
        ({}, {"maxmemory-policy": "allkeys-lru"}, "allkeys-lru"),
        ({}, {"maxmemory-policy": "volatile-ttl"}, "maxmemory-policy noeviction"),
        ({"maxmemory_policy": "allkeys-random"}, {"maxmemory-policy": ""}, "allkeys-random"),
        ({"role": "slave"}, {}, "replica"),
        ({"aof_last_write_status": "err"}, {}, "disk is full"),
    ],
)
def test_what_would_lose_incidents_is_a_fault(info: dict[str, object], config: dict[str, str], part: str) -> None:
    """Each fault alone forbids the start and says what to set, and that MUSTER_DEV accepts it."""
    found = check_durability(GOOD_INFO | info, GOOD_CONFIG | config, dev=False)
    assert len(found.faults) == 1
    assert part in found.faults[0]
    assert "MUSTER_DEV=1" in found.faults[0]
    assert found.warnings == ()
    with pytest.raises(ConfigError, match="MUSTER_DEV"):
        found.require()


def test_dev_turns_faults_into_warnings() -> None:
    """With MUSTER_DEV the start goes on, and nothing that was found is lost."""
    found = check_durability(GOOD_INFO, {"appendonly": "no", "maxmemory-policy": "allkeys-lru"}, dev=True)
    assert found.faults == ()
    assert len(found.warnings) == 2
    assert all("accepted by MUSTER_DEV" in warning for warning in found.warnings)
    found.require()


@pytest.mark.parametrize(("fsync", "loss"), [("everysec", "up to a second"), ("no", "half a minute")])
def test_lazy_fsync_is_a_warning(fsync: str, loss: str) -> None:
    """Only a dying machine loses these writes; the warning says how many."""
    found = check_durability(GOOD_INFO, GOOD_CONFIG | {"appendfsync": fsync}, dev=False)
    assert found.faults == ()
    assert loss in found.warnings[0]


def test_a_managed_redis_that_hides_config_is_a_warning() -> None:
    """INFO alone shows that it keeps and does not evict; how often it syncs nobody can know."""
    found = check_durability(GOOD_INFO, {}, dev=False)
    assert found.faults == ()
    assert len(found.warnings) == 1
    assert "appendfsync" in found.warnings[0]


def test_a_redis_that_hides_everything_is_only_warned_about() -> None:
    """Unknown is not failing: each hidden setting is named."""
    found = check_durability({}, {}, dev=False)
    assert found.faults == ()
    assert len(found.warnings) == 2


@pytest.fixture
def lossy_redis(tmp_path: Path) -> Iterator[Path]:
    """A server as distributions configure it: no append-only file, evicting, and without the CONFIG command."""
    socket = tmp_path / "s"
    process = subprocess.Popen(
        [
            *(server_binary(), "--port", "0", "--unixsocket", socket, "--appendonly", "no", "--dir", tmp_path),
            *("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--rename-command", "CONFIG", ""),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not _answers(socket):
            assert process.poll() is None
            time.sleep(0.005)
        yield socket
    finally:
        process.kill()
        process.wait()


def _answers(socket: Path) -> bool:
    """The socket is there a moment before somebody listens on it."""
    client = redis.Redis(unix_socket_path=str(socket), retry=SyncRetry(NoBackoff(), 0))
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()


async def test_inspect_refuses_a_lossy_server_also_when_config_is_hidden(lossy_redis: Path) -> None:
    """What INFO shows is enough to refuse."""
    async with Redis(unix_socket_path=str(lossy_redis), decode_responses=True) as redis:
        found = await inspect(redis, dev=False)
    assert [("forgets" in fault, "allkeys-lru" in fault) for fault in found.faults] == [(True, False), (False, True)]


async def test_inspect_says_that_a_server_cannot_be_asked(tmp_path: Path) -> None:
    """No server is something that may pass, not a verdict."""
    async with Redis(unix_socket_path=str(tmp_path / "none"), retry=Retry(NoBackoff(), 0), decode_responses=True) as redis:
        with pytest.raises(TemporaryError, match="cannot be asked"):
            await inspect(redis, dev=False)


async def test_inspect_names_the_variable_of_a_wrong_password(lossy_redis: Path) -> None:
    """A refused password is for a person to mend; the message does not repeat it."""
    async with Redis(unix_socket_path=str(lossy_redis), decode_responses=True) as redis:
        await redis.execute_command("ACL", "SETUSER", "default", "resetpass", ">right-password")
    url = f"unix://:wrong-password@{lossy_redis}"
    async with Redis.from_url(url, retry=Retry(NoBackoff(), 0), decode_responses=True) as redis:
        with pytest.raises(ConfigError, match="REDIS_URL") as caught:
            await inspect(redis, dev=False)
    assert "wrong-password" not in str(caught.value)
