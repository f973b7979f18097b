"""What every stand-in has in common: delay, planted faults, and a line in the ledger for each call.

Used by `bot.sandbox.world.world` only. What the answers are is the business of each stand-in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Fault = Literal["hang", "drop", "done_then_hang", "done_then_drop"]
"""Never answer, or break the connection; the last two after the call has had its effect."""

Answer = Callable[[web.Request, str], Awaitable[web.StreamResponse]]
"""A stand-in: the request and the path below its mount point ("/v1/sessions") to a response."""

_LOOK_EVERY_S = 0.02
_ROW: ContextVar[dict[str, Any] | None] = ContextVar("ledger_row", default=None)


class Unsaid(web.Response):
    """A stand-in's answer that never arrives: it did what was asked (or not), and then hangs or breaks the connection."""

    def __init__(self, fault: Literal["hang", "drop"], note: str) -> None:
        super().__init__(status=500)
        self.fault = fault
        self.note = note


def describe(*, key: str = "", action: str = "", sent: Any = None) -> None:
    """Say more of the call that is being answered, in its line: whom it is about, what it asks for, what was sent."""
    row = _ROW.get()
    if row is not None:
        row |= {name: value for name, value in (("key", key), ("action", action), ("sent", sent)) if value}


@dataclass
class _Planted:
    fault: Fault
    times: int | None


@dataclass
class Recorder:
    """The calls of all providers. ``latency_s`` delays every answer; ``on_record`` is told after each line."""

    clock: Callable[[], float]
    on_record: Callable[[], None]
    latency_s: float = 0.0
    ledger: list[dict[str, Any]] = field(default_factory=list)
    _planted: dict[str, _Planted] = field(default_factory=dict)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def plant(self, provider: str, fault: Fault, times: int | None) -> None:
        """The next ``times`` calls to a provider meet ``fault``; None: all of them, until `clear`."""
        self._planted[provider] = _Planted(fault, times)

    def clear(self) -> None:
        """Forget every planted fault."""
        self._planted.clear()

    async def release(self, _app: web.Application) -> None:
        """The server stops: let go of the calls that hang."""
        self._stopping.set()

    def add(self, row: dict[str, Any]) -> None:
        """A line for what is no call of HTTP, in the same shape: provider, method, path, query, status, started_at, ended_at."""
        self.ledger.append({**row, "start_at": row["started_at"], "end_at": row["ended_at"]})
        self.on_record()

    def handler(self, provider: str, answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """An aiohttp handler for a route with a ``tail``: it answers, misbehaves as planted, and keeps the record."""

        async def handle(request: web.Request) -> web.StreamResponse:
            path = "/" + request.match_info["tail"]
            row: dict[str, Any] = {"provider": provider, "method": request.method, "path": path, "status": None}
            row["query"] = request.query_string
            row["started_at"] = row["start_at"] = self.clock()
            _ROW.set(row)
            fault = self._take(provider)
            try:
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                if fault not in ("hang", "drop"):
                    response = await answer(request, path)
                    if isinstance(response, Unsaid):
                        row["note"] = response.note
                        return await self._misbehave(request, hang=response.fault == "hang")
                    if fault is None:
                        row["status"] = response.status
                        return response
                row["note"] = fault
                return await self._misbehave(request, hang=fault in ("hang", "done_then_hang"))
            finally:
                row["ended_at"] = row["end_at"] = self.clock()  # the page's ledger says start_at and end_at
                self.ledger.append(row)
                self.on_record()

        return handle

    def _take(self, provider: str) -> Fault | None:
        planted = self._planted.get(provider)
        if planted is None:
            return None
        if planted.times is not None:
            planted.times -= 1
            if planted.times <= 0:
                del self._planted[provider]
        return planted.fault

    async def _misbehave(self, request: web.Request, *, hang: bool) -> web.StreamResponse:
        """Say nothing until the caller has gone or the server stops, or break the connection now."""
        transport = request.transport
        if not hang and transport is not None:
            transport.abort()
        while request.transport is not None and not request.transport.is_closing() and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):  # aiohttp tells nobody that the caller hung up: look now and then
                await asyncio.wait_for(self._stopping.wait(), _LOOK_EVERY_S)
        return web.Response(status=499)  # nobody is there to read it
