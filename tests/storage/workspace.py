"""A workspace on a real server, as the model's tests see it: plain calls, and all that is kept of it in one look.

``tests.storage.machine`` plays in it. What should be there is for ``tests.storage.model`` to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from bot.domain.tasks import TaskKind
from bot.domain.timeline import to_ms
from bot.storage.keys import prefix
from bot.storage.redis import RedisClock, RedisStore, connect
from tests.storage.model import START, UNIT_S

OWNERS = ("a", "b")
INCIDENTS = ("i1", "i2")
DELIVERIES = ("d1", "d2", "d3")
KEYS = ("k1", "k2")
CHANNELS = ("C1", "C2")
TASKS = {
    "i1:room": TaskKind.ROOM,
    "i1:level": TaskKind.CLOCK,
    "i1:page:1": TaskKind.PAGE,
    "i1:page:2": TaskKind.PAGE,
    "i1:page:3": TaskKind.PAGE,
    "i2:room": TaskKind.ROOM,
    "i2:page:1": TaskKind.PAGE,
}
AGAIN = ("level", "room")
"""What is asked for again and again; a page is asked for once."""

LOOK = """
local p, want = KEYS[1], cjson.decode(ARGV[1])
local out = {due = redis.call('ZRANGE', p .. 'due', 0, -1, 'WITHSCORES'), tasks = {}, timelines = {}, rooms = {}, seen = {}}
for _, id in ipairs(want.tasks) do
  local k = p .. 'task:' .. id
  local v = redis.call('HMGET', k, 'state', 'due', 'attempt', 'asked', 'token', 'owner')
  out.tasks[id] = {redis.call('EXISTS', k), redis.call('TTL', k), v[1], v[2], v[3], v[4], v[5], v[6]}
end
for _, id in ipairs(want.incidents) do
  local k = p .. 'inc:' .. id
  out.timelines[id] = {redis.call('LLEN', k .. ':timeline'), redis.call('LINDEX', k .. ':timeline', -1)}
  out.rooms[id] = redis.call('GET', k .. ':room')
end
local function values(name, keys)
  out[name] = {}
  for _, key in ipairs(keys) do out[name][key] = redis.call('GET', p .. name .. ':' .. key) end
end
values('unique', want.keys)
values('channel', want.channels)
for _, key in ipairs(want.deliveries) do out.seen[key] = redis.call('EXISTS', p .. 'seen:' .. key) end
out.active = redis.call('SMEMBERS', p .. 'active')
out.incidents = redis.call('ZRANGE', p .. 'incidents', 0, -1)
return cjson.encode(out)
"""
"""The whole workspace in one round trip; it writes nothing."""
WANTED = json.dumps({"tasks": list(TASKS), "incidents": INCIDENTS, "keys": KEYS, "channels": CHANNELS, "deliveries": DELIVERIES})


@dataclass(frozen=True)
class RealTask:
    """What the server keeps of a task. ``expires`` when it will be forgotten by itself."""

    state: str
    due: int
    attempt: int
    asked: int
    token: str | None
    owner: str | None
    expires: bool


@dataclass(frozen=True)
class Look:
    """What the server keeps of the workspace. ``due`` has the exact milliseconds of each score."""

    due: dict[str, int]
    tasks: dict[str, RealTask]
    timelines: dict[str, tuple[int, str | None]]
    rooms: dict[str, str]
    unique: dict[str, str]
    channels: dict[str, str]
    seen: set[str]
    active: set[str]
    opened: set[str]


def to_units(score_ms: int) -> int:
    """A moment of the server in whole units."""
    return (score_ms - to_ms(START)) // (UNIT_S * 1000)


def read_look(text: str) -> Look:
    """The answer of ``LOOK``. Lua's empty table is {} whatever it was meant to be, and its nil is false."""
    found = json.loads(text)
    due = list(found["due"])
    tasks = {}
    for identity, (exists, ttl, state, due_ms, attempt, asked, token, owner) in found["tasks"].items():
        if exists:
            tasks[identity] = RealTask(
                state=state,
                due=to_units(int(due_ms)),
                attempt=int(attempt),
                asked=int(asked),
                token=token or None,
                owner=owner or None,
                expires=ttl != -1,
            )
    return Look(
        due={identity: int(float(score)) for identity, score in zip(due[::2], due[1::2], strict=True)},
        tasks=tasks,
        timelines={identity: (length, last or None) for identity, (length, last) in found["timelines"].items()},
        rooms={identity: record for identity, record in found["rooms"].items() if record},
        unique={key: holder for key, holder in found["unique"].items() if holder},
        channels={key: holder for key, holder in found["channel"].items() if holder},
        seen={key for key, exists in found["seen"].items() if exists},
        active=set(found["active"]),
        opened=set(found["incidents"]),
    )


class Server:
    """A real server with an event loop of its own, so that a history is plain calls; ``faults`` are mutated scripts by name."""

    def __init__(self, url: str, faults: Mapping[str, str] | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = connect(url, timeout_s=10, max_connections=2)
        self._faults = faults or {}
        self._plain = redis.Redis.from_url(url, decode_responses=True)
        self._looking = self._plain.register_script(LOOK)

    def ask(self, call: Coroutine[Any, Any, Any]) -> Any:
        """The answer to one call."""
        return self._loop.run_until_complete(call)

    def stores(self) -> tuple[str, dict[str, RedisStore]]:
        """The prefix of a workspace that nobody else uses, and the store of each owner in it."""
        workspace = f"T{secrets.token_hex(6)}"
        made = {
            owner: RedisStore(self._client, workspace_id=workspace, owner=owner, clock=RedisClock(), time_travel=True)
            for owner in OWNERS
        }
        for store in made.values():
            for name, text in self._faults.items():
                store._scripts[name] = self._client.register_script(text)
        return prefix(workspace), made

    def offset_s(self) -> float:
        """What makes "now" the start of a history, and a second more: the scores of a unit never fall short of it."""
        seconds, microseconds = self._plain.time()
        return START.timestamp() + 1 - seconds - microseconds / 1e6

    def look(self, key_prefix: str) -> Look:
        """All of a workspace."""
        return read_look(self._looking(keys=[key_prefix], args=[WANTED]))

    def close(self) -> None:
        """Give back the connections and the loop."""
        self._plain.close()
        self.ask(self._client.aclose())
        self._loop.close()


@contextlib.contextmanager
def serving(url: str, faults: Mapping[str, str] | None = None) -> Iterator[Server]:
    """See ``Server``."""
    server = Server(url, faults)
    try:
        yield server
    finally:
        server.close()
