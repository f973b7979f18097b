"""A PostgreSQL of one's own, thrown away at the end: the application's database in the sandbox, and in tests.

It is the machine's own server (`initdb`, `postgres`); where there is none, there is none. It listens on the loopback with a
password, keeps its data in a temporary folder, and does not care for power cuts.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bot.domain.errors import ConfigError, TemporaryError
from bot.sandbox.ports import HeldPort

WHERE_DEBIAN_HAS_IT: Final = "/usr/lib/postgresql"
START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 10.0
OWNER: Final = "owner"
DATABASE: Final = "app"
_UNPRIVILEGED: Final = ("postgres", "nobody")
_OPTIONS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "20",
    "shared_buffers": "16MB",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "fatal",
}


def find_programs() -> Path | None:
    """The folder that has `initdb` and `postgres`, those of the newest version where there are several; None: there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    versions = [path for path in Path(WHERE_DEBIAN_HAS_IT).glob("*/bin") if path.parent.name.isdigit()]
    folders += sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class TemporaryPostgres:
    """One server; ``with`` starts and stops it, and both block for about a second.

    Raises: ConfigError when the machine has no PostgreSQL, or it cannot be started; TemporaryError when it takes too long.
    """

    def __init__(self) -> None:
        self.password = secrets.token_hex(12)
        self._port: HeldPort | None = None
        self._folder: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Of 127.0.0.1, from the first start on; 0 before."""
        return self._port.number if self._port else 0

    @property
    def url(self) -> str:
        """Of the database of the application, as the owner of everything."""
        return self.url_for(OWNER, self.password)

    def url_for(self, user: str, password: str, database: str = DATABASE) -> str:
        """As somebody else."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        programs = find_programs()
        if programs is None:
            raise ConfigError("this machine has no PostgreSQL: apt install postgresql (Debian, Ubuntu), brew install postgresql")
        self._folder = Path(tempfile.mkdtemp(prefix="muster-pg-"))
        try:
            self._make(programs, self._folder)
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()
        self._remove()

    def start(self) -> None:
        """Start the server that was made, at the same port as before; returns when it takes connections."""
        programs, folder = find_programs(), self._folder
        if programs is None or folder is None:
            raise ConfigError("this PostgreSQL was not made, or is thrown away already")
        if self._port is None:
            self._port = HeldPort()
        options = {**_OPTIONS, "port": str(self._port.number), "unix_socket_directories": str(folder)}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        user, group = _as_nobody()
        with (folder / "log").open("ab") as log:
            self._server = subprocess.Popen(  # noqa: S603 - a program of this machine, and values of our own
                [programs / "postgres", "-D", folder / "data", *arguments],
                stdout=log,
                stderr=log,
                cwd=folder,
                user=user,
                group=group,
            )
        self._wait_until_ready(folder)

    def stop(self) -> None:
        """End it, with whoever is connected; it can be started again. Safe to repeat."""
        server, self._server = self._server, None
        if server is None:
            return
        server.send_signal(signal.SIGINT)  # "fast": it ends the sessions
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def _make(self, programs: Path, folder: Path) -> None:
        password_file = folder / "password"
        password_file.write_text(self.password)
        user, group = _as_nobody()
        if user is not None and group is not None:
            for path in (folder, password_file):
                os.chown(path, user, group)
        arguments: list[str | Path] = [
            "--username",
            OWNER,
            "--pwfile",
            password_file,
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
        ]
        made = subprocess.run(  # noqa: S603 - see above
            [programs / "initdb", "--no-sync", "-D", folder / "data", *arguments],
            capture_output=True,
            cwd=folder,
            check=False,
            user=user,
            group=group,
        )
        password_file.unlink()
        if made.returncode:
            raise ConfigError(f"initdb made no database: {made.stderr.decode(errors='replace').strip()[-300:]}")

    def _wait_until_ready(self, folder: Path) -> None:
        ends_at = time.monotonic() + START_TIMEOUT_S
        ready = folder / "data" / "postmaster.pid"
        while True:
            if self._server is None or self._server.poll() is not None:
                said = (folder / "log").read_text("utf-8", errors="replace").strip()[-300:]
                raise ConfigError(f"PostgreSQL ended at once: {said}")
            lines = ready.read_text().splitlines() if ready.exists() else []
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return
            if time.monotonic() > ends_at:
                self.stop()
                raise TemporaryError(f"PostgreSQL was not ready within {START_TIMEOUT_S:g} s")
            time.sleep(0.02)

    def _remove(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._port is not None:
            self._port.close()


def _account() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root."""
    known = {account.pw_name: account for account in pwd.getpwall()}
    found = next((known[name] for name in _UNPRIVILEGED if name in known), None)
    if found is None:
        raise ConfigError("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
    return found


def _as_nobody() -> tuple[int | None, int | None]:
    """User and group to run it as; None: as we are."""
    if os.geteuid() != 0:
        return None, None
    account = _account()
    return account.pw_uid, account.pw_gid
