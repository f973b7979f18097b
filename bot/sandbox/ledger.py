"""Who called whom: every call of the bot to the Web API, every delivery to the bot, every call to the world's systems.

Written by ``web_api``, ``delivery`` and the middleware of ``server``; read by tests (``sandbox.calls``) and the page.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.feed import Feed
from bot.sandbox.models import Json


@dataclass
class Call:
    """One Web API call. ``started_at`` and ``ended_at`` are monotonic seconds; None while it is under way.

    ``ok`` and ``error`` are what was decided, also when a planted fault kept the answer back (``note`` says so).
    """

    method: str
    arguments: Json
    started_at: float = field(default_factory=time.monotonic)
    started_at_s: float = field(default_factory=time.time)
    ended_at: float | None = None
    status: int | None = None
    ok: bool | None = None
    error: str | None = None
    note: str | None = None
    n: int = 0

    def structure(self, name: str) -> Any:
        """An argument such as ``blocks`` or ``view`` as a structure, however it was sent; None when it was not."""
        value = self.arguments.get(name)
        return json.loads(value) if isinstance(value, str) and value else value

    def row(self) -> Json:
        """For the page: moments in epoch seconds of this machine."""
        end_at = None if self.ended_at is None else self.started_at_s + (self.ended_at - self.started_at)
        return {
            "n": self.n,
            "provider": "slack",
            "method": self.method,
            "arguments": self.arguments,
            "start_at": self.started_at_s,
            "end_at": end_at,
            "status": self.status,
            "error": self.error,
            "note": self.note,
        }


class Ledger:
    """All rows in one order: ``n`` is given when a call has ended, so reading after ``n`` misses nothing."""

    def __init__(self, feed: Feed, world_rows: Sequence[Mapping[str, Any]] = ()) -> None:
        self._feed = feed
        self._numbers = itertools.count(1)
        self._world_rows = world_rows
        self._world_seen = 0
        self._rows: list[Json] = []
        self.calls: list[Call] = []

    def begin(self, method: str, arguments: Json) -> Call:
        """A call has come in."""
        call = Call(method=method, arguments=arguments)
        self.calls.append(call)
        self._feed.ring()
        return call

    def remark(self, call: Call, note: str) -> None:
        """Something about a call that is still under way."""
        call.note = note
        self._feed.ring()

    def end(self, call: Call, *, status: int | None) -> None:
        """The call was answered (``status``), or its connection was dropped (None)."""
        call.ended_at = time.monotonic()
        call.status = status
        call.n = next(self._numbers)
        self._rows.append(call.row())
        self._feed.ring()

    def delivered(self, row: Json) -> None:
        """One attempt to deliver something to the bot has ended."""
        self._rows.append({"n": next(self._numbers), **row})
        self._feed.ring()

    def absorb_world(self) -> None:
        """Take over what the world's systems have noted since the last look."""
        fresh = list(self._world_rows[self._world_seen :])
        self._world_seen += len(fresh)
        self._rows.extend({**row, "n": next(self._numbers)} for row in fresh)

    def after(self, n: int) -> dict[str, list[Json]]:
        """Rows with a greater number: ``{"calls": [...], "deliveries": [...]}``."""
        self.absorb_world()
        rows = [row for row in self._rows if row["n"] > n]
        return {
            "calls": [row for row in rows if "provider" in row],
            "deliveries": [row for row in rows if "provider" not in row],
        }
