"""The embedded Redis with real processes: one server per folder, whoever starts, dies or leaves, in whatever order."""

# ruff: noqa: ASYNC110, ASYNC240 - what other processes do is seen in files only

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.domain.errors import ConfigError
from bot.storage.durability import Durability, inspect
from bot.storage.embedded import EmbeddedRedis, embedded_redis

USER = """
import asyncio, sys
from pathlib import Path
from bot.logs import configure_logging
from bot.storage.embedded import embedded_redis

async def main():
    configure_logging()
    async with embedded_redis(Path(sys.argv[1])) as redis:
        print(redis.owned, redis.url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


class User:
    """Another process that uses the server, until it is told to leave or killed."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    async def entered(self) -> EmbeddedRedis:
        """Wait until it is in."""
        assert self.process.stdout is not None
        owned, url = (await asyncio.to_thread(self.process.stdout.readline)).split()
        return EmbeddedRedis(url=url, owned=owned == "True")

    async def leave(self) -> None:
        """Let it go in good order."""
        await asyncio.to_thread(self.process.communicate, "\n")
        assert self.process.returncode == 0

    def kill(self) -> None:
        """kill -9, as the kernel does it when memory runs out."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose server, if a test leaves one behind, is ended."""
    folder = tmp_path / "data"
    yield folder
    if server_lives(folder):
        os.kill(server_pid(folder), signal.SIGKILL)


@pytest.fixture
def user(data_dir: Path) -> Iterator[Callable[[], User]]:
    """Starts other processes on the folder, and ends those that are left."""
    users: list[User] = []

    def start() -> User:
        users.append(User(data_dir))
        return users[-1]

    yield start
    for each in users:
        each.kill()


@contextlib.asynccontextmanager
async def client(url: str) -> AsyncIterator[Redis]:
    """A plain client, closed at the end."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        yield redis


def server_pid(data_dir: Path) -> int:
    """The server's own word for its process id."""
    return int((data_dir / "redis" / "pid").read_text())


def server_lives(data_dir: Path) -> bool:
    """Whether the process that the folder names runs (its file goes when it ends in good order)."""
    try:
        os.kill(server_pid(data_dir), 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def servers_on(data_dir: Path) -> list[int]:
    """Every server process whose title names the folder; the truth that no file of ours can bend."""
    listing = subprocess.run(["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True).stdout
    named = [line.split(None, 1) for line in listing.splitlines() if f"unixsocket:{data_dir}" in line]
    return [int(pid) for pid, _ in named]


async def kill_server(data_dir: Path) -> int:
    """kill -9 the server and wait until it has ended; its process id."""
    pid = server_pid(data_dir)
    os.kill(pid, signal.SIGKILL)
    while pid in servers_on(data_dir):
        await asyncio.sleep(0.005)
    return pid


async def test_starts_durable_private_and_without_a_port(data_dir: Path) -> None:
    """The server passes the check that every Redis must pass, and nobody else on the machine can reach it."""
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        assert embedded == EmbeddedRedis(url=f"unix://{data_dir}/redis/redis.sock", owned=True)
        assert await inspect(redis, dev=False) == Durability()
        assert (await redis.config_get("port"))["port"] == "0"
        assert (data_dir / "redis").stat().st_mode & 0o077 == 0
        assert (data_dir / "redis" / "redis.sock").stat().st_mode & 0o077 == 0


async def test_keeps_its_data_and_stops_with_its_only_user(data_dir: Path) -> None:
    """Leaving ends the server; the next one finds what was written."""
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        await redis.set("incident", "inc-1")
    assert servers_on(data_dir) == []
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        assert embedded.owned
        assert await redis.get("incident") == "inc-1"


async def test_a_second_process_joins_and_the_last_one_stops_the_server(data_dir: Path, user: Callable[[], User]) -> None:
    """The one that started it may leave first: the server stays for the other."""
    async with embedded_redis(data_dir) as embedded:
        other = user()
        assert await other.entered() == EmbeddedRedis(url=embedded.url, owned=False)
        pid = server_pid(data_dir)
    assert servers_on(data_dir) == [pid]
    await other.leave()
    assert servers_on(data_dir) == []


async def test_simultaneous_starters_end_with_one_server(data_dir: Path, user: Callable[[], User]) -> None:
    """Of several processes starting in the same instant one starts the server and the others join it."""
    users = [user() for _ in range(4)]
    entered = await asyncio.gather(*(each.entered() for each in users))
    assert sorted(each.owned for each in entered) == [False, False, False, True]
    assert len({each.url for each in entered}) == 1
    assert servers_on(data_dir) == [server_pid(data_dir)]
    await asyncio.gather(*(each.leave() for each in users))
    assert servers_on(data_dir) == []


async def test_the_server_of_a_killed_bot_is_joined(data_dir: Path, user: Callable[[], User]) -> None:
    """After kill -9 of the bot the server lives on; the next bot joins it, and ends it when it leaves."""
    bot = user()
    async with client((await bot.entered()).url) as redis:
        await redis.set("page", "due")
        bot.kill()
        assert await redis.get("page") == "due"
    pid = server_pid(data_dir)
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        assert not embedded.owned
        assert servers_on(data_dir) == [pid]
        assert await redis.get("page") == "due"
    assert servers_on(data_dir) == []


async def test_after_server_and_bot_were_killed_a_new_server_has_the_data(data_dir: Path, user: Callable[[], User]) -> None:
    """A stale socket and a stale process id, here another live process's, do not keep the next server from starting."""
    bot = user()
    async with client((await bot.entered()).url) as redis:
        await redis.set("page", "due")
    bot.kill()
    await kill_server(data_dir)
    (data_dir / "redis" / "pid").write_text(str(os.getpid()))
    assert (data_dir / "redis" / "redis.sock").exists()
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        assert embedded.owned
        assert await redis.get("page") == "due"


async def test_a_server_that_dies_under_a_living_bot_is_started_again(data_dir: Path) -> None:
    """The address stays the same and nothing acknowledged is lost."""
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        await redis.set("page", "due")
        pid = await kill_server(data_dir)
        while (data_dir / "redis" / "pid").read_text() in ("", f"{pid}\n"):
            await asyncio.sleep(0.01)
        assert await redis.get("page") == "due"
        assert servers_on(data_dir) == [server_pid(data_dir)]


async def test_ctrl_c_at_the_bot_spares_the_server_for_its_other_users(data_dir: Path, user: Callable[[], User]) -> None:
    """A signal to the bot's whole process group does not reach the server."""
    bot = user()
    await bot.entered()
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        os.killpg(bot.process.pid, signal.SIGINT)
        await asyncio.to_thread(bot.process.communicate)
        assert await redis.ping()


async def test_the_server_inherits_neither_sockets_nor_secrets(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that restarts must find its port free, and a token must not live on in another process's environment."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-canary")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        inode = os.fstat(listener.fileno()).st_ino
        async with embedded_redis(data_dir):
            process = Path(f"/proc/{server_pid(data_dir)}")
            if not process.exists():
                pytest.skip("there is no /proc on this platform to look into the server with")
            open_files = {os.readlink(link) for link in (process / "fd").iterdir()}
            assert f"socket:[{inode}]" not in open_files
            assert b"canary" not in (process / "environ").read_bytes()


async def test_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path: Path, user: Callable[[], User]) -> None:
    """The socket goes to a private folder elsewhere, others find it there, and the folder goes with the server."""
    data_dir = tmp_path / ("long" * 20) / ("way" * 20)
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        elsewhere = Path(embedded.url.removeprefix("unix://")).parent
        assert data_dir not in elsewhere.parents
        assert elsewhere.stat().st_mode & 0o077 == 0
        assert await redis.ping()
        async with embedded_redis(data_dir) as joined:
            assert joined == EmbeddedRedis(url=embedded.url, owned=False)
    assert not elsewhere.exists()


async def test_a_path_with_signs_that_urls_use_is_quoted(tmp_path: Path) -> None:
    """A blank, a percent sign, a question mark and a hash in the path reach redis-py whole."""
    async with embedded_redis(tmp_path / "a b%20?c#d") as embedded, client(embedded.url) as redis:
        assert await redis.ping()


async def test_the_folder_of_another_server_version_is_refused(data_dir: Path) -> None:
    """Mixed versions have lost all keys silently; one line says what to do, and the data stay."""
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        await redis.set("incident", "inc-1")
    stamp = data_dir / "redis" / "version"
    written_by = stamp.read_text()
    stamp.write_text("valkey 8.0.1")
    with pytest.raises(ConfigError, match=r"written by valkey 8\.0\.1.*MUSTER_DATA_DIR") as caught:
        async with embedded_redis(data_dir):
            pytest.fail("it must not start")
    assert "\n" not in str(caught.value)
    stamp.unlink()
    with pytest.raises(ConfigError, match="an unknown server"):
        async with embedded_redis(data_dir):
            pytest.fail("it must not start")
    stamp.write_text(written_by)
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        assert await redis.get("incident") == "inc-1"


async def test_broken_data_are_refused_with_the_servers_own_words(data_dir: Path) -> None:
    """An append-only file that cannot be read is never replaced by an empty one."""
    async with embedded_redis(data_dir) as embedded, client(embedded.url) as redis:
        await redis.set("incident", "inc-1")
    (broken,) = (data_dir / "redis" / "appendonlydir").glob("*.incr.aof")
    broken.write_bytes(b"*1\r\n!broken\r\n" * 10)
    with pytest.raises(ConfigError, match=r"ended at once: .*append only file") as caught:
        async with embedded_redis(data_dir):
            pytest.fail("it must not start")
    assert "\n" not in str(caught.value)
    assert servers_on(data_dir) == []
    assert broken.read_bytes().startswith(b"*1\r\n!broken")


async def test_a_server_that_hangs_is_not_doubled(data_dir: Path, user: Callable[[], User]) -> None:
    """A stopped server still owns its folder: the message names the process, and none is started beside it."""
    await user().entered()
    pid = server_pid(data_dir)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(ConfigError, match=rf"process {pid}\) does not answer"):
            async with embedded_redis(data_dir, start_timeout_s=0.05):
                pytest.fail("it must not be entered")
        assert servers_on(data_dir) == [pid]
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    """A file where the folder should be: what failed, on what, what to set."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigError, match=r"cannot write in .*data.* set MUSTER_DATA_DIR"):
        async with embedded_redis(tmp_path / "data"):
            pytest.fail("it must not start")


async def test_a_disk_that_is_lost_is_refused(data_dir: Path) -> None:
    """On a platform with ephemeral disks REDIS_URL must be set; nothing is written."""
    with pytest.raises(ConfigError, match="set REDIS_URL"):
        async with embedded_redis(data_dir, ephemeral_disk=True):
            pytest.fail("it must not start")
    assert not data_dir.exists()


@pytest.mark.parametrize(("system", "machine"), [("Windows", "AMD64"), ("Linux", "riscv64"), ("FreeBSD", "amd64")])
async def test_a_platform_without_a_server_is_told_what_to_install(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    """No wheel for the platform: one line, and nothing is written."""
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(ConfigError, match="install a Redis server and set REDIS_URL"):
        async with embedded_redis(data_dir):
            pytest.fail("it must not start")
    assert not data_dir.exists()
