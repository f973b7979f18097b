"""The durable store on Redis: the ports of ``bot.services.ports`` over the Lua scripts beside this file.

One ``RedisStore`` is a workspace seen through one client. Two are built: the front door's gives up quickly, the worker's
is patient (``connect``). Vendor errors become the errors of ``bot.domain.errors`` here and nowhere else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, BusyLoadingError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from bot.domain.duty import Cover
from bot.domain.errors import PermanentError, TemporaryError, UnknownEntryError, UnknownOutcome
from bot.domain.room import RoomRecord
from bot.domain.tasks import TaskKind, TaskRequest
from bot.domain.timeline import Entry, dump_entry, from_ms, parse_entry, to_ms
from bot.services.crashpoints import crashpoint
from bot.services.ports import Claimed, Commit, Committed, Lease, Reservation, Task, TokenBucket
from bot.storage.keys import FORMAT, prefix

SEEN_S = 24 * 3600
"""How long a delivery is remembered. Slack repeats an event for about six minutes; a day covers a paused queue."""
ENDED_S = 600
"""How long an incident counts as one that was over lately."""
KEEP_TASK_S = 7 * 24 * 3600
"""How long a finished task is remembered, so that asking for it again is not doing it again."""

MOST_COVERS = 200
COVERS_LONGER_S = 3600
"""So much longer than the last cover lasts they are kept."""
CANARY_S = 3600
"""How long it is kept what became of a test page."""

FRONT_TIMEOUT_S = 0.8
"""The front door must answer Slack within 3 s also when Redis hangs."""
WORKER_TIMEOUT_S = 5.0


def connect(url: str, *, timeout_s: float, max_connections: int = 64) -> redis.Redis:
    """A client that gives up after ``timeout_s`` and never repeats by itself (redis-py's defaults hung for over 25 s).

    When all connections are in use, a request waits for one, as long as it would wait for an answer: redis-py's default
    pool refuses at once instead, and a burst of clicks would look like a Redis that cannot be reached.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        max_connections=max_connections,
        decode_responses=True,
        client_name="muster",
    )
    return redis.Redis.from_pool(pool)


class RedisClock:
    """Redis's time between two looks: the newest ``now`` of a script, carried on by this machine's monotonic clock.

    A wrong wall clock of a replica changes nothing. Before the first look it is the wall clock.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._offset_s: float | None = None

    def see(self, now_ms: int) -> None:
        """Redis said that it is ``now_ms``."""
        self._offset_s = now_ms / 1000 - self._monotonic()

    def now(self) -> datetime:
        """Aware UTC."""
        if self._offset_s is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(self._monotonic() + self._offset_s, tz=UTC)


class RedisStore:
    """``Store``, ``TaskStore`` and ``RoomStore`` of one workspace.

    ``time_travel`` honours the clock offset key (sandbox and tests only). ``owner`` names this process in the leases.
    """

    def __init__(
        self, client: redis.Redis, *, workspace_id: str, owner: str, clock: RedisClock, time_travel: bool = False
    ) -> None:
        self._redis = client
        self._prefix = prefix(workspace_id)
        self._owner = owner
        self._clock = clock
        self._travel = "1" if time_travel else "0"
        self._scripts = {
            name: client.register_script(read_script(name, timed=timed))
            for name, timed in (
                ("commit", True),
                ("claim", True),
                ("extend", True),
                ("release", True),
                ("bucket", True),
                ("reserve", False),
                ("room", False),
                ("audit", False),
                ("covers", False),
            )
        }

    # -- start and health ------------------------------------------------------------------------------------------

    async def check_format(self) -> None:
        """Raises: PermanentError when another version of Muster wrote this store in a format unknown here."""
        key = f"{self._prefix}format"
        await self._ask(self._redis.set(key, FORMAT, nx=True))
        found = await self._ask(self._redis.get(key))
        if found != FORMAT:
            raise PermanentError(
                f"Redis holds Muster data of format {found}, this version reads format {FORMAT}; "
                "run the version of Muster that wrote it, or point REDIS_URL at another database"
            )

    async def ping(self) -> None:
        """Raises: TemporaryError when Redis cannot answer, or cannot be written to."""
        await self._ask(self._redis.set(f"{self._prefix}ping", "1", ex=60))

    # -- Store -----------------------------------------------------------------------------------------------------

    async def reserve(self, *, delivery: str | None, unique_key: str | None, alone: bool = True) -> Reservation:
        """See ``Store.reserve``. A number that is never used leaves a gap; nothing depends on there being none."""
        status, detail = await self._run("reserve", [delivery or "", unique_key or "", "1" if alone else ""], writes=False)
        if status == "new":
            return Reservation(status="new", number=int(detail))
        return Reservation(status=status, incident_id=detail)

    async def commit(self, commit: Commit) -> Committed:
        """See ``Store.commit``."""
        request: dict[str, Any] = {
            "incident": commit.incident_id,
            "expect": commit.expected_version,
            "nonce": commit.nonce,
            "entries": [dump_entry(entry) for entry in commit.entries],
            "tasks": [_dump_task(task) for task in commit.tasks],
            "cancel": list(commit.cancel),
            "claims": list(commit.claims),
            "releases": list(commit.releases),
            "keep_s": KEEP_TASK_S,
            "ended_ms": ENDED_S * 1000,
            "seen_s": SEEN_S,
        }
        if commit.number:
            request["number"] = commit.number
        if commit.channel_id:
            request["channel"] = commit.channel_id
        if commit.active is not None:
            request["active"] = commit.active
        if commit.delivery:
            request["delivery"] = commit.delivery
        if commit.settlement:
            task = commit.settlement.task
            request["settle"] = {
                "id": task.id,
                "token": task.token,
                "asked": task.asked,
                "state": commit.settlement.state,
            }
            if commit.settlement.again_at:
                request["settle"]["again_at"] = str(to_ms(commit.settlement.again_at))
        crashpoint("commit.asked")
        status, detail, now = await self._run("commit", [json.dumps(request), self._travel], writes=True)
        crashpoint("commit.answered")
        self._clock.see(int(now))
        if status == "ok":
            return Committed(status="ok", version=int(detail), incident_id=commit.incident_id)
        if status == "conflict":
            return Committed(status="conflict", version=int(detail), incident_id=commit.incident_id)
        return Committed(status=status, incident_id=detail)

    async def timeline(self, incident_id: str, *, after: int = 0) -> list[Entry]:
        """See ``Store.timeline``."""
        lines = await self._ask(self._redis.lrange(f"{self._prefix}inc:{incident_id}:timeline", after, -1))
        return [parse_entry(line) for line in lines]

    async def version(self, incident_id: str) -> int:
        """See ``Store.version``."""
        return int(await self._ask(self._redis.llen(f"{self._prefix}inc:{incident_id}:timeline")))

    async def find_by_channel(self, channel_id: str) -> str | None:
        """See ``Store.find_by_channel``."""
        found: str | None = await self._ask(self._redis.get(f"{self._prefix}channel:{channel_id}"))
        return found

    async def active_ids(self) -> list[str]:
        """See ``Store.active_ids``."""
        found: set[str] = await self._ask(self._redis.smembers(f"{self._prefix}active"))
        return sorted(found, key=lambda identity: (len(identity), identity))

    async def lately_ids(self) -> list[str]:
        """See ``Store.lately_ids``."""
        since_ms = to_ms(self._clock.now()) - ENDED_S * 1000
        ended: list[str] = await self._ask(self._redis.zrangebyscore(f"{self._prefix}ended", since_ms, "+inf"))
        return list(dict.fromkeys((*await self.active_ids(), *ended)))

    async def was_seen(self, delivery: str) -> bool:
        """See ``Store.was_seen``."""
        return bool(await self._ask(self._redis.exists(f"{self._prefix}seen:{delivery}")))

    # -- TaskStore -------------------------------------------------------------------------------------------------

    async def claim(self, *, most: int, lease_ms: int, only: Sequence[str] = ()) -> Claimed:
        """See ``TaskStore.claim``; ``only``: of these ids, for who does one thing and leaves the rest to the replicas."""
        asked_at = time.monotonic()
        ends_at = asked_at + lease_ms / 1000
        now, following, *rows = await self._run("claim", [self._owner, most, lease_ms, self._travel, *only], writes=True)
        self._clock.see(int(now))
        loaded = [(row[0], _load_task(row, Lease(ends_at, asked_at)) if row[1] else None) for row in rows]
        return Claimed(
            tasks=tuple(task for _, task in loaded if task),
            next_due_at=from_ms(int(float(following))) if following else None,
            orphans=tuple(identity for identity, task in loaded if task is None),
        )

    async def extend(self, tasks: Sequence[Task], *, lease_ms: int) -> set[str]:
        """See ``TaskStore.extend``."""
        asked_at = time.monotonic()
        ends_at = asked_at + lease_ms / 1000
        arguments: list[Any] = [lease_ms, self._travel]
        for task in tasks:
            arguments += [task.id, task.token]
        held = set(await self._run("extend", arguments, writes=True))
        for task in tasks:
            # what was cancelled or is somebody else's: nothing more is begun for it
            task.lease.ends_at, task.lease.confirmed_at = (ends_at, asked_at) if task.id in held else (0.0, 0.0)
        return held

    async def release(self, task: Task, *, delay_s: float) -> bool:
        """See ``TaskStore.release``."""
        return bool(await self._run("release", [task.id, task.token, round(delay_s * 1000), self._travel], writes=True))

    async def due_age_s(self) -> float:
        """How long the oldest due task has been due, in seconds; 0 when nothing is overdue."""
        first = await self._ask(self._redis.zrange(f"{self._prefix}due", 0, 0, withscores=True))
        return max(0.0, self._clock.now().timestamp() - first[0][1] / 1000) if first else 0.0

    # -- RoomStore -------------------------------------------------------------------------------------------------

    async def room_record(self, incident_id: str) -> RoomRecord:
        """See ``RoomStore.room_record``."""
        found = await self._ask(self._redis.get(f"{self._prefix}inc:{incident_id}:room"))
        if found is None:
            return RoomRecord()
        record = RoomRecord.model_validate_json(found)
        if record.version != 1:
            raise UnknownEntryError(f"the room record of {incident_id} has format {record.version}; run a newer Muster")
        return record

    async def save_room_record(self, incident_id: str, task: Task, record: RoomRecord) -> bool:
        """See ``RoomStore.save_room_record``."""
        arguments = [incident_id, task.id, task.token, record.model_dump_json()]
        return bool(await self._run("room", arguments, writes=True))

    # -- rate limits -----------------------------------------------------------------------------------------------

    async def take(self, buckets: Sequence[TokenBucket]) -> float:
        """A token of each bucket, or of none: the seconds to wait, 0 when they were taken. Shared by all replicas.

        Repeated after an unknown answer it may cost a token more, never less.
        """
        arguments: list[Any] = [self._travel]
        for bucket in buckets:
            arguments += [bucket.name, bucket.period_ms, bucket.most, bucket.reserve]
        return int(await self._run("bucket", arguments, writes=True)) / 1000

    async def pause(self, name: str, *, seconds: float) -> None:
        """Nobody takes of this bucket for so long."""
        until_ms = to_ms(self._clock.now()) + round(seconds * 1000)
        key = f"{self._prefix}bucket:{name}:paused"
        await self._ask(self._redis.set(key, until_ms, px=max(1, round(seconds * 1000))), writes=True)

    # -- covers ----------------------------------------------------------------------------------------------------

    async def covers(self) -> list[Cover]:
        """Who said that they take over for whom, as long as that is not over, in the order in which it was said."""
        lines = await self._ask(self._redis.lrange(f"{self._prefix}covers", 0, -1))
        covers = [Cover.model_validate_json(line) for line in lines]
        return [cover for cover in covers if cover.until_at > self._clock.now()]

    async def add_covers(self, covers: Sequence[Cover]) -> None:
        """Remember all of them or none; of those of one rotation and time the newest counts. Safe to repeat."""
        if not covers:
            return
        longest_s = max((cover.until_at - self._clock.now()).total_seconds() for cover in covers)
        lines = [cover.model_dump_json() for cover in covers]
        await self._run("covers", [MOST_COVERS, max(1, round(longest_s) + COVERS_LONGER_S), 0, *lines], writes=True)

    async def end_covers(self, covers: Sequence[Cover]) -> int:
        """Forget exactly these, all of them or none; how many of them were still there. Safe to repeat."""
        if not covers:
            return 0
        lines = [cover.model_dump_json() for cover in covers]
        return int(await self._run("covers", [MOST_COVERS, 0, len(lines), *lines], writes=True))

    # -- audit -----------------------------------------------------------------------------------------------------

    async def look_for(self, task_ids: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
        """(those of the tasks that neither wait nor are being done, every due id behind which there is no task)."""
        missing, orphans = await self._run("audit", list(task_ids), writes=False)
        return set(missing), tuple(orphans)

    async def audit_record(self) -> str | None:
        """What the last audit left for the next one; None before the first."""
        found: str | None = await self._ask(self._redis.get(f"{self._prefix}audit"))
        return found

    async def save_audit_record(self, record: str) -> None:
        """Leave something for the next audit. Safe to repeat."""
        await self._ask(self._redis.set(f"{self._prefix}audit", record), writes=True)

    # -- canary ----------------------------------------------------------------------------------------------------

    async def note_canary(self, run_id: str, note: str) -> None:
        """One more thing became of a test page. Repeated after an unknown answer it may stand there twice."""
        key = f"{self._prefix}canary:{run_id}"
        await self._ask(self._redis.rpush(key, note), writes=True)
        await self._ask(self._redis.expire(key, CANARY_S), writes=True)

    async def canary_notes(self, run_id: str) -> list[str]:
        """What became of a test page, oldest first."""
        found: list[str] = await self._ask(self._redis.lrange(f"{self._prefix}canary:{run_id}", 0, -1))
        return found

    # -- time travel (sandbox and tests) ---------------------------------------------------------------------------

    async def set_clock_offset(self, offset_s: float) -> None:
        """Move "now"; honoured only where ``time_travel`` is allowed."""
        await self._ask(self._redis.set(f"{self._prefix}clock:offset", round(offset_s * 1000)))

    # -- the vendor's errors ---------------------------------------------------------------------------------------

    async def _run(self, name: str, arguments: Sequence[Any], *, writes: bool) -> Any:
        return await self._ask(self._scripts[name](keys=[self._prefix], args=list(arguments)), writes=writes)

    async def _ask(self, request: Awaitable[Any] | Any, *, writes: bool = False) -> Any:
        return await ask(request, writes=writes)


async def ask(request: Awaitable[Any] | Any, *, writes: bool = False) -> Any:
    """The answer to ``request``, with the vendor's errors translated; ``writes`` says that it changes something.

    Raises: TemporaryError when it was certainly not done, UnknownOutcome when a write was not answered.
    """
    try:
        return await request
    except RedisTimeoutError as error:
        if writes:
            raise UnknownOutcome("Redis did not answer in time; the write may have been applied") from error
        raise TemporaryError("Redis did not answer in time") from error
    except BusyLoadingError as error:
        raise TemporaryError("Redis is still reading its data from the disk; it answers by itself when it has") from error
    except RedisConnectionError as error:
        if writes and not _never_sent(error):
            raise UnknownOutcome("the connection to Redis broke; the write may have been applied") from error
        raise TemporaryError("Redis cannot be reached; check REDIS_URL and that the server runs") from error
    except ResponseError as error:
        raise TemporaryError(f"Redis refused the request: {str(error)[:200]}") from error
    except RedisError as error:
        raise TemporaryError(f"Redis failed: {str(error)[:200]}") from error


def _never_sent(error: RedisConnectionError) -> bool:
    """Whether the request certainly did nothing. redis-py tells a failed connect from a broken exchange by its words only."""
    if isinstance(error, AuthenticationError | AuthorizationError | BusyLoadingError):
        return True
    if isinstance(error.__cause__, RedisError):  # the greeting of a new connection failed
        return True
    return " connecting to " in str(error) or "No connection available" in str(error)


def read_script(name: str, *, timed: bool) -> str:
    """The text of a script of ``bot/storage/lua``; ``timed``: with ``now_ms`` before it."""
    folder = resources.files("bot.storage") / "lua"
    text = (folder / f"{name}.lua").read_text(encoding="utf-8")
    return (folder / "now.lua").read_text(encoding="utf-8") + text if timed else text


def _dump_task(task: TaskRequest) -> dict[str, Any]:
    return {
        "id": task.id,
        "kind": task.kind.value,
        "due": to_ms(task.due_at),
        "again": task.again,
        "payload": json.dumps({"v": 1, "kind": task.kind.value, "incident": task.incident_id, "data": task.data}),
    }


def _load_task(row: Sequence[str], lease: Lease) -> Task | None:
    """None for a payload that this version cannot read: its lease runs out and a newer replica takes it; it is never deleted.

    One that nobody can read must not stop the worker, which has all the others to do.
    """
    identity, token, attempt, asked, due, payload = row
    try:
        data = json.loads(payload)
        if data["v"] != 1:
            return None
        return Task(
            id=identity,
            kind=TaskKind(data["kind"]),
            incident_id=data["incident"],
            due_at=from_ms(int(float(due))),
            data=data["data"],
            token=token,
            attempt=int(attempt),
            asked=asked,
            lease=lease,
        )
    except (ValueError, KeyError, TypeError):
        return None
