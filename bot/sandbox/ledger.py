"""Who called whom: every call of the bot to the Web API, every delivery to the bot, every call to the world's systems.

Written by ``web_api``, ``delivery`` and the middleware of ``server``; read by tests (``sandbox.calls``) and the page.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bot.domain.errors import UserError
from bot.sandbox.clock import SandboxClock
from bot.sandbox.feed import Feed
from bot.sandbox.models import Json

TELL_AFTER_S: Final = 0.1
"""What comes within this time is told to the page at once, not line by line."""

TO_BOT: Final = "bot"
"""In place of a provider: what Slack delivers to the bot."""


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
    """All rows in one order: ``n`` is given when a call has ended, so reading after ``n`` misses nothing.

    Row ``n`` stands at place ``n - 1``. Moments are this machine's; ``clock`` puts them into the sandbox's time for the page.
    """

    def __init__(self, feed: Feed, world_rows: Sequence[Mapping[str, Any]] = (), clock: SandboxClock | None = None) -> None:
        self._feed = feed
        self._clock = clock
        self._numbers = itertools.count(1)
        self._world_rows = world_rows
        self._world_seen = 0
        self._rows: list[Json] = []
        self._offsets_s: list[float] = []
        self._counts: dict[str, dict[str, int]] = {}
        self._telling: asyncio.TimerHandle | None = None
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
        self._add(call.row())

    def delivered(self, row: Json) -> None:
        """One attempt to deliver something to the bot has ended."""
        self._add({"n": next(self._numbers), **row})

    def absorb_world(self) -> None:
        """Take over what the world's systems have noted since the last look."""
        fresh = list(self._world_rows[self._world_seen :])
        self._world_seen += len(fresh)
        for row in fresh:
            self._add({**row, "n": next(self._numbers)})

    def after(self, n: int) -> dict[str, list[Json]]:
        """Rows with a greater number: ``{"calls": [...], "deliveries": [...]}``."""
        self.absorb_world()
        rows = self._rows[max(0, n) :]
        return {
            "calls": [row for row in rows if "provider" in row],
            "deliveries": [row for row in rows if "provider" not in row],
        }

    def page(
        self, *, after: int = 0, before: int | None = None, limit: int, provider: str = "", errors: bool = False
    ) -> dict[str, Any]:
        """Lines for the page, newest first: those between two numbers that fit, the newest ``limit`` of them.

        ``more``: there are others between these numbers. ``last`` is the newest number of all; ``counts`` are of all lines,
        by provider.
        """
        self.absorb_world()
        fitting = (
            row
            for row in self._between(after, before)
            if (not provider or provider_of(row) == provider) and (not errors or failed(row))
        )
        found = list(itertools.islice(fitting, limit + 1))
        return {
            "rows": [self._line(row) for row in found[:limit]],
            "more": len(found) > limit,
            "last": len(self._rows),
            "counts": {name: dict(count) for name, count in self._counts.items()},
        }

    def entry(self, n: int) -> Json:
        """All that is known of one line. Raises: UserError when there is none of this number."""
        if not 1 <= n <= len(self._rows):
            raise UserError(f"The ledger has no line {n}.")
        return self._rows[n - 1]

    def _between(self, after: int, before: int | None) -> Iterator[Json]:
        newest = len(self._rows) if before is None else min(len(self._rows), before - 1)
        for place in range(newest - 1, max(0, after) - 1, -1):
            yield self._rows[place]

    def _add(self, row: Json) -> None:
        self._rows.append(row)
        self._offsets_s.append(self._clock.offset_s if self._clock is not None else 0.0)
        count = self._counts.setdefault(provider_of(row), {"calls": 0, "errors": 0})
        count["calls"] += 1
        count["errors"] += failed(row)
        self._feed.ring()
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TELL_AFTER_S, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._feed.publish("ledger", lambda _viewer: {"last": len(self._rows)})

    def _line(self, row: Json) -> Json:
        start_at, end_at = row.get("start_at"), row.get("end_at")
        took_ms = row.get("duration_ms")
        if took_ms is None and start_at is not None and end_at is not None:
            took_ms = (end_at - start_at) * 1000
        return {
            "n": row["n"],
            "at": None if start_at is None else start_at + self._offsets_s[row["n"] - 1],
            "provider": provider_of(row),
            "name": _name(row),
            "action": row.get("action", ""),
            "status": row.get("status"),
            "took_ms": took_ms,
            "key": row.get("key") or _key(row),
            "attempt": row.get("attempt", 1),
            "error": row.get("error"),
            "note": row.get("note"),
            "failed": failed(row),
        }


def provider_of(row: Mapping[str, Any]) -> str:
    """Whom the bot called; `TO_BOT` when it was the bot that was called."""
    return str(row.get("provider") or TO_BOT)


def failed(row: Mapping[str, Any]) -> bool:
    """It was refused, or nobody got an answer."""
    status = row.get("status")
    return bool(row.get("error")) or status is None or status >= 400


def _name(row: Mapping[str, Any]) -> str:
    if "provider" not in row:
        return str(row.get("kind", ""))
    return f"{row['method']} {row['path']}" if row.get("path") else str(row["method"])


def _key(row: Mapping[str, Any]) -> str:
    """Of a message to Slack: the key under which the bot sends it at most once."""
    metadata = (row.get("arguments") or {}).get("metadata")
    try:
        known: Any = json.loads(metadata) if isinstance(metadata, str) else metadata
        return str(known["event_payload"]["key"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
