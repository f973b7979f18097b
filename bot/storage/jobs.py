"""What long runs keep, in Redis: ``bot.services.jobs.Job``.

``RedisJobs`` is bound by ``bot.app`` to the worker's client. A run and its successor on another replica are given the same job;
which of them may act is the business of the lease, not of this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import redis.asyncio as redis
from pydantic import JsonValue
from redis.commands.core import AsyncScript

from bot.storage.keys import prefix
from bot.storage.redis import ask, read_script

KEPT_S = 30 * 24 * 3600
"""So long after the last write a job can still be read: for the review, and for whoever asks what became of it."""


class RedisJobs:
    """The jobs of one workspace; call it with the ids of an incident and of a run for that run's."""

    def __init__(self, client: redis.Redis, *, workspace_id: str) -> None:
        self.workspace_id = workspace_id
        self._redis = client
        self._script = client.register_script(read_script("job", timed=False))

    def __call__(self, incident_id: str, run_id: str) -> RedisJob:
        """The job of a run, empty when it was never written to."""
        return RedisJob(self._redis, self._script, f"{prefix(self.workspace_id)}job:{incident_id}:{run_id}:")


class RedisJob:
    """See ``Job``. Made by ``RedisJobs``."""

    def __init__(self, client: redis.Redis, script: AsyncScript, key: str) -> None:
        self._redis = client
        self._script = script
        self._key = key

    async def notes(self) -> dict[str, JsonValue]:
        """See ``Job``."""
        found: dict[str, str] = await ask(self._redis.hgetall(f"{self._key}notes"))
        return {name: json.loads(value) for name, value in found.items()}

    async def save(self, notes: Mapping[str, JsonValue]) -> None:
        """See ``Job``."""
        await self._write(notes=notes)

    async def add(self, items: Iterable[str], notes: Mapping[str, JsonValue]) -> None:
        """See ``Job``."""
        await self._write(add=items, notes=notes)

    async def next(self, most: int) -> tuple[str, ...]:
        """See ``Job``."""
        return tuple(await ask(self._redis.zrange(f"{self._key}queue", 0, most - 1))) if most > 0 else ()

    async def end(self, ends: Mapping[str, str]) -> None:
        """See ``Job``."""
        await self._write(ends=ends)

    async def left(self) -> int:
        """See ``Job``."""
        return int(await ask(self._redis.zcard(f"{self._key}queue")))

    async def ended(self) -> dict[str, str]:
        """See ``Job``."""
        found: dict[str, str] = await ask(self._redis.hgetall(f"{self._key}ended"))
        return found

    async def _write(
        self, *, add: Iterable[str] = (), ends: Mapping[str, str] | None = None, notes: Mapping[str, JsonValue] | None = None
    ) -> None:
        request: dict[str, Any] = {
            "add": list(add),
            "end": [part for pair in (ends or {}).items() for part in pair],
            "notes": [part for name, value in (notes or {}).items() for part in (name, json.dumps(value))],
        }
        await ask(self._script(keys=[self._key], args=[json.dumps(request), KEPT_S]), writes=True)
