"""The bot as a process of its own, as in production, so that it can be killed: used by the crash tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from bot.sandbox.ports import HeldPort

READY_TIMEOUT_S = 40.0
"""Patience, not a promise: ten bots may be starting on two cores."""
STOP_TIMEOUT_S = 12.0


class BotProcess:
    """``python -m bot serve`` with these settings and no others. Its log goes to ``log``, one JSON object a line.

    The port is chosen here and kept over restarts, as a service's is: nobody else on this machine is given it meanwhile.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        port = HeldPort()
        weakref.finalize(self, port.close)
        self.url = f"http://127.0.0.1:{port.number}"
        self._environment = {**inherited, **environment, "HOST": "127.0.0.1", "PORT": str(port.number), "LOG_FORMAT": "json"}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", "serve", env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        async with asyncio.timeout(READY_TIMEOUT_S), aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                assert self._process.returncode is None, self._log.read_text("utf-8")
                await asyncio.sleep(0.01)

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        return False

    async def kill(self) -> None:
        """As ``kill -9`` and the OOM killer do: nothing of it gets another instruction."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def terminate(self) -> int:
        """As a platform does before it kills: the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), timeout=STOP_TIMEOUT_S)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [line for line in self.lines() if line.get("event") == event]

    def lines(self) -> list[dict[str, Any]]:
        """All of the log; without a line that is being written at this moment, or that a kill cut off."""
        found = []
        for line in self._log.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("{"):
                with contextlib.suppress(json.JSONDecodeError):
                    found.append(json.loads(line))
        return found
