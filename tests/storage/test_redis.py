"""The store against a real Redis: what a commit refuses and in which order, and what an answer that never comes may mean."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from bot.domain.duty import Cover
from bot.domain.errors import PermanentError, TemporaryError, UnknownEntryError, UnknownOutcome
from bot.domain.room import RoomRecord
from bot.services.ports import Settlement, TokenBucket
from bot.storage import keys
from bot.storage.embedded import server_binary
from bot.storage.jobs import RedisJobs
from bot.storage.redis import ENDED_S, FRONT_TIMEOUT_S, MOST_COVERS, SEEN_S, RedisClock, RedisStore, connect
from tests.conftest import MovingClock
from tests.storage.broken_link import Break, Link, impatient
from tests.storage.support import INCIDENT, LEASE_MS, Server, ask, claim_one, commit_of, dump, entries, own_server, request_for

ROOM = f"{INCIDENT}:room"


@pytest.fixture(scope="module", params=["embedded", "redis-server"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that these tests may hang, fill and forbid: the one that Muster embeds, and the system's own."""
    binary = str(server_binary()) if request.param == "embedded" else shutil.which(request.param)
    if binary is None:
        pytest.skip("needs redis-server: apt install redis-server")
    with own_server(binary) as running:
        yield running


@pytest.fixture
async def local(server: Server, clock: MovingClock) -> AsyncIterator[RedisStore]:
    """A store on that server, which is emptied first."""
    async with connect(server.url, timeout_s=5) as client:
        await client.flushall()
        made = RedisStore(client, workspace_id="T1", owner="test", clock=clock, time_travel=True)
        clock.store = made
        await made.claim(most=0, lease_ms=1)
        yield made


# -- the commit ----------------------------------------------------------------------------------------------------------


async def test_refusals_come_in_their_order(store: RedisStore, clock: MovingClock) -> None:
    """Duplicate, fenced, conflict, taken: each is told only when nothing before it stands in the way; then it is written."""
    await store.commit(commit_of("inc-7", claims=["open:clerk"], delivery="event:1"))
    await ask(store, request_for(ROOM, clock))
    stale = await claim_one(store)
    await clock.advance(2.1)
    held = await claim_one(store)
    wrong: dict[str, Any] = {
        "delivery": "event:1",
        "settlement": Settlement(task=stale),
        "expected_version": 5,
        "claims": ["open:clerk"],
        "entries": entries(),
    }
    before = await dump(store)
    told = []
    for mended in ({}, {"delivery": "event:2"}, {"settlement": Settlement(task=held)}, {"expected_version": 0}):
        wrong |= mended
        committed = await store.commit(commit_of(**wrong))
        told.append((committed.status, committed.incident_id))
    assert told == [("duplicate", "inc-7"), ("fenced", ROOM), ("conflict", INCIDENT), ("taken", "inc-7")]
    assert await dump(store) == before, "a refused commit wrote something"
    assert (await store.commit(commit_of(**wrong | {"claims": []}))).status == "ok"


async def test_a_conflict_says_where_the_timeline_is(store: RedisStore) -> None:
    """Whoever decided on an older state is told how much is missing."""
    assert (await store.commit(commit_of(entries=entries(3)))).version == 3
    late = await store.commit(commit_of(expected_version=1, entries=entries()))
    assert (late.status, late.version) == ("conflict", 3)
    assert [entry.seq for entry in await store.timeline(INCIDENT, after=1)] == [2, 3]
    assert await store.version(INCIDENT) == 3


async def test_a_delivery_is_written_once(store: RedisStore) -> None:
    """The same delivery by another request is a duplicate; the same request repeated after a lost answer is not."""
    commit = commit_of(delivery="event:1", entries=entries(2))
    assert not await store.was_seen("event:1")
    assert (await store.commit(commit)).status == "ok"
    repeated = await store.commit(commit)
    assert (repeated.status, repeated.version) == ("ok", 2)
    other = await store.commit(commit_of("inc-2", delivery="event:1", entries=entries()))
    assert (other.status, other.incident_id) == ("duplicate", INCIDENT)
    assert await store.was_seen("event:1")
    assert await store.version(INCIDENT) == 2
    assert SEEN_S - 60 < await store._redis.ttl(f"{store._prefix}seen:event:1") <= SEEN_S


async def test_a_unique_key_has_one_holder(store: RedisStore) -> None:
    """Its holder may claim it again, nobody else may free it, and freed it is there for the next."""
    assert (await store.commit(commit_of("inc-1", claims=["open:clerk"]))).status == "ok"
    assert (await store.commit(commit_of("inc-1", claims=["open:clerk"]))).status == "ok"
    await store.commit(commit_of("inc-2", releases=["open:clerk"]))
    taken = await store.commit(commit_of("inc-2", claims=["open:clerk"]))
    assert (taken.status, taken.incident_id) == ("taken", "inc-1")
    await store.commit(commit_of("inc-1", releases=["open:clerk"]))
    assert (await store.commit(commit_of("inc-2", claims=["open:clerk"]))).status == "ok"


async def test_what_is_found_by_channel_and_what_is_going_on(store: RedisStore) -> None:
    """The indexes are written with the decision; open incidents come oldest first."""
    for identity in ("inc-10", "inc-9"):
        await store.commit(commit_of(identity, entries=entries(), channel_id=f"C{identity}", active=True))
    assert await store.find_by_channel("Cinc-9") == "inc-9"
    assert await store.find_by_channel("C?") is None
    assert await store.active_ids() == ["inc-9", "inc-10"]
    await store.commit(commit_of("inc-9", expected_version=1, active=False))
    assert await store.active_ids() == ["inc-10"]


async def test_twenty_writers_at_one_version_are_one_winner(store: RedisStore) -> None:
    """The version check decides, whatever the order of arrival."""
    results = await asyncio.gather(*(store.commit(commit_of(entries=entries())) for _ in range(20)))
    assert sorted(result.status for result in results) == ["conflict"] * 19 + ["ok"]


# -- reserving -----------------------------------------------------------------------------------------------------------


async def test_a_number_is_given_once(store: RedisStore) -> None:
    """Unless the delivery was handled or the same thing is open: then whoever has it is named, and no number is used."""
    numbers = await asyncio.gather(*(store.reserve(delivery=None, unique_key=None) for _ in range(20)))
    assert sorted(item.number for item in numbers) == list(range(1, 21))
    await store.commit(commit_of("inc-3", delivery="event:1", claims=["open:clerk"]))
    duplicate = await store.reserve(delivery="event:1", unique_key="open:clerk")
    taken = await store.reserve(delivery="event:2", unique_key="open:clerk")
    free = await store.reserve(delivery="event:2", unique_key="open:vercel")
    assert [(item.status, item.incident_id) for item in (duplicate, taken)] == [("duplicate", "inc-3"), ("taken", "inc-3")]
    assert (free.status, free.number) == ("new", 21)


async def test_a_number_that_is_only_looked_at_belongs_to_the_first_commit(store: RedisStore) -> None:
    """Looking takes nothing; the commit that uses it does, and no commit puts the count back."""
    looked = [await store.reserve(delivery=None, unique_key=None, alone=False) for _ in range(3)]
    assert [item.number for item in looked] == [1, 1, 1]
    assert (await store.commit(commit_of("inc-1", entries=entries(), number=1))).status == "ok"
    assert (await store.commit(commit_of("inc-1", entries=entries(), number=1))).status == "conflict"
    assert (await store.reserve(delivery=None, unique_key=None)).number == 2
    assert (await store.reserve(delivery=None, unique_key=None)).number == 3
    assert (await store.commit(commit_of("inc-2", entries=entries(), number=2))).status == "ok"
    assert (await store.reserve(delivery=None, unique_key=None, alone=False)).number == 4


# -- the room's record ---------------------------------------------------------------------------------------------------


async def test_a_room_record_is_saved_by_the_holder_of_its_task(store: RedisStore, clock: MovingClock) -> None:
    """What was saved is read again; a room that nobody worked on has an empty record."""
    assert await store.room_record(INCIDENT) == RoomRecord()
    await ask(store, request_for(ROOM, clock))
    task = await claim_one(store)
    record = RoomRecord(topic="t", invited=["U1"])
    assert await store.save_room_record(INCIDENT, task, record)
    assert await store.room_record(INCIDENT) == record
    await store.release(task, delay_s=0)
    assert not await store.save_room_record(INCIDENT, task, RoomRecord())
    assert await store.room_record(INCIDENT) == record


async def test_data_of_another_format_are_refused(store: RedisStore) -> None:
    """An older version does not guess: neither at a record nor at the whole store."""
    await store._redis.set(f"{store._prefix}inc:{INCIDENT}:room", RoomRecord(version=2).model_dump_json())
    with pytest.raises(UnknownEntryError, match="format 2"):
        await store.room_record(INCIDENT)
    await store.check_format()
    await store.check_format()
    await store._redis.set(f"{store._prefix}format", "2")
    with pytest.raises(PermanentError, match="format 2, this version reads format 1"):
        await store.check_format()


async def test_an_incident_that_is_over_is_remembered_for_some_minutes(store: RedisStore, clock: MovingClock) -> None:
    """Its calls may still be looked for; the others are not asked for longer than that."""
    await store.commit(commit_of(entries=entries(), active=True))
    assert await store.lately_ids() == [INCIDENT]
    length = await store.version(INCIDENT)
    await store.commit(commit_of(nonce="over", entries=(), expected_version=length, active=False))
    assert (await store.active_ids(), await store.lately_ids()) == ([], [INCIDENT])
    await clock.advance(ENDED_S + 1)
    assert await store.lately_ids() == []


# -- the keys ------------------------------------------------------------------------------------------------------------


async def test_all_keys_share_one_hash_tag_and_are_documented(store: RedisStore, clock: MovingClock) -> None:
    """A cluster keeps a workspace in one slot; what stands in Redis stands in the table of ``bot.storage.keys``."""
    await store.check_format()
    await store.ping()
    await store.reserve(delivery=None, unique_key=None)
    await ask(store, request_for(ROOM, clock))
    await store.save_room_record(INCIDENT, await claim_one(store), RoomRecord())
    everything = commit_of(delivery="event:1", entries=entries(), claims=["open:x"], channel_id="C1", active=True)
    assert (await store.commit(everything)).status == "ok"
    over = commit_of(incident_id="inc-9", nonce="n9", entries=entries(), active=False)
    assert (await store.commit(over)).status == "ok"
    await store.take([TokenBucket(name="chat.update", period_ms=1000, most=3)])
    now = clock.now()
    await store.add_covers([Cover(rotation="primary", user_id="U1", from_at=now, until_at=now + timedelta(hours=1), by="U1")])
    await store.save_audit_record("{}")
    await store.note_canary("run", "{}")
    job = RedisJobs(store._redis, workspace_id=store._prefix.partition(":")[2].rstrip("}:"))(INCIDENT, "r1")
    await job.add(["user_1", "user_2"], {"cursor": "user_2"})
    await job.end({"user_1": "clear"})
    documented = re.findall(r"^    \{muster:T1\}:(\S+)", keys.__doc__ or "", re.MULTILINE)
    patterns = [re.compile(re.sub("<[a-z]+>", ".+", name)) for name in documented]
    found = {key.removeprefix(store._prefix) for key in await dump(store)}
    assert len(found) >= len(documented) - 1
    assert [name for name in found if not any(pattern.fullmatch(name) for pattern in patterns)] == []
    assert re.fullmatch(r"\{muster:T[0-9a-f]+\}:", store._prefix)
    foreign = [key async for key in store._redis.scan_iter(match="*") if not key.startswith("{muster:T")]
    assert foreign == []


# -- covers --------------------------------------------------------------------------------------------------------------


def cover_of(clock: MovingClock, user: str = "U1", *, in_h: float = 0, hours: float = 1) -> Cover:
    """Somebody covers for an hour."""
    begin = clock.now() + timedelta(hours=in_h)
    return Cover(rotation="primary", user_id=user, from_at=begin, until_at=begin + timedelta(hours=hours), by=user)


async def test_many_covers_are_written_in_one_round_trip(store: RedisStore, clock: MovingClock) -> None:
    """Whoever waits for Slack's 3 s waits once; so it is when they are ended."""
    covers = [cover_of(clock, in_h=48 * turn, hours=24) for turn in range(8)]
    other = cover_of(clock, "U2")
    await store.add_covers([other])
    asked, ask_redis = 0, store._ask

    async def counted(request: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        return await ask_redis(request, **options)

    store._ask = counted  # type: ignore[method-assign]
    await store.add_covers(covers)
    assert asked == 1
    assert await store.end_covers(covers[1:]) == 7
    assert asked == 2
    assert await store.covers() == [other, covers[0]]
    assert await store.end_covers(covers) == 1
    assert await store.end_covers(covers) == 0
    await store.add_covers([])
    assert await store.end_covers([]) == 0
    assert asked == 5  # a look and two ends more; without anything to do nothing is asked


async def test_covers_are_kept_as_long_as_the_longest_and_the_newest_are_kept(store: RedisStore, clock: MovingClock) -> None:
    """A short one does not shorten it; of too many the oldest go."""
    key = f"{store._prefix}covers"
    await store.add_covers([cover_of(clock, hours=100)])
    await store.add_covers([cover_of(clock, "U2")])
    assert 100 * 3600 < await store._redis.ttl(key) <= 101 * 3600
    many = [cover_of(clock, f"U{number}", hours=2) for number in range(MOST_COVERS)]
    await store.add_covers(many)
    assert await store.covers() == many


async def test_a_cover_in_any_zone_is_ended(store: RedisStore, clock: MovingClock) -> None:
    """What was read is what was written, letter by letter."""
    berlin = timezone(timedelta(hours=2))
    begin = clock.now().astimezone(berlin) + timedelta(microseconds=1)
    await store.add_covers([Cover(rotation="primary", user_id="U1", from_at=begin, until_at=begin + timedelta(hours=1), by="U1")])
    assert await store.end_covers(await store.covers()) == 1
    assert await store.covers() == []


# -- answers that never come ---------------------------------------------------------------------------------------------

DUE = "{muster:T1}:due"
Act = Callable[[RedisStore, dict[str, Any]], Awaitable[Any]]


async def _prepare(store: RedisStore, clock: MovingClock) -> dict[str, Any]:
    """One task to claim, one that is held, and one that is held for its room."""
    await ask(store, request_for("due", clock), request_for("held", clock, in_s=-5), request_for(ROOM, clock, in_s=-5))
    for script in store._scripts.values():  # as on a server that has run for a while
        await store._redis.script_load(script.script)
    claimed = await store.claim(most=2, lease_ms=60_000)
    tasks = {task.id: task for task in claimed.tasks}
    settles = commit_of(
        delivery=f"task:held:{tasks['held'].token}",
        settlement=Settlement(task=tasks["held"]),
        entries=entries(2),
        tasks=(request_for("next", clock), request_for(ROOM, clock, again=True)),
        cancel=["due"],
        claims=["open:clerk"],
        channel_id="C1",
        active=True,
    )
    covers = [cover_of(clock, user) for user in ("U1", "U2", "U3", "U4")]
    await store.add_covers(covers[:2])
    return {"settles": settles, "held": tasks["held"], "room": tasks[ROOM], "covers": covers[1:], "old covers": covers[:2]}


SCRIPTS: dict[str, Act] = {
    "commit": lambda store, given: store.commit(given["settles"]),
    "claim": lambda store, given: store.claim(most=10, lease_ms=60_000),
    "extend": lambda store, given: store.extend([given["held"]], lease_ms=60_000),
    "release": lambda store, given: store.release(given["held"], delay_s=60),
    "room": lambda store, given: store.save_room_record(INCIDENT, given["room"], RoomRecord(topic="t")),
    "covers": lambda store, given: store.add_covers(given["covers"]),
    "end of covers": lambda store, given: store.end_covers(given["old covers"]),
}


@pytest.mark.parametrize("how", [Break.CLOSED, Break.RESET, Break.SILENT])
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_script_repeated_after_an_unknown_answer_changes_nothing_more(
    server: Server, local: RedisStore, clock: MovingClock, script: str, how: Break
) -> None:
    """D2: applied and not answered is told as unknown, and the repetition finds its own work done."""
    given = await _prepare(local, clock)
    async with Link(server.socket) as link, connect(link.url, timeout_s=5) as client:
        store = RedisStore(client, workspace_id="T1", owner="test", clock=clock, time_travel=True)
        await store.extend([], lease_ms=1)  # connected, as a running bot is
        link.break_next(how)
        with (
            pytest.raises(UnknownOutcome, match="may have been applied"),
            impatient(client, 0.2 if how is Break.SILENT else 5),
        ):
            await SCRIPTS[script](store, given)
        await link.applied()
        once = await dump(local)
        repeated = await SCRIPTS[script](store, given)
        twice = await dump(local)
        if script == "extend":  # a renewal runs from when it is made: only that differs
            once[DUE], twice[DUE] = (sorted(identity for identity, _ in found[DUE]) for found in (once, twice))
        assert twice == once
    if script == "commit":
        assert (repeated.status, repeated.version) == ("ok", 2)
    if script == "claim":
        assert repeated.tasks == ()  # leased to an answer that never came: it comes due again, with the attempt counted
        await clock.advance(61)
        again = {task.id: task.attempt for task in (await local.claim(most=10, lease_ms=LEASE_MS)).tasks}
        assert again["due"] == 2


async def test_a_reservation_whose_answer_is_lost_leaves_a_gap(server: Server, local: RedisStore, clock: MovingClock) -> None:
    """A number that nobody heard of is never used; nothing depends on there being none missing."""
    async with Link(server.socket) as link, connect(link.url, timeout_s=5) as client:
        store = RedisStore(client, workspace_id="T1", owner="test", clock=clock)
        await store.extend([], lease_ms=1)
        link.break_next(Break.RESET)
        with pytest.raises(TemporaryError):
            await store.reserve(delivery=None, unique_key=None)
        assert (await store.reserve(delivery=None, unique_key=None)).number == 2


async def test_a_request_that_broke_on_its_way_is_unknown_too(server: Server, local: RedisStore, clock: MovingClock) -> None:
    """From here nobody can tell on which side of the server the connection broke."""
    async with Link(server.socket) as link, connect(link.url, timeout_s=5) as client:
        store = RedisStore(client, workspace_id="T1", owner="test", clock=clock)
        await store.extend([], lease_ms=1)
        link.break_next(Break.NEVER_SENT)
        commit = commit_of(delivery="event:1", entries=entries())
        with pytest.raises(UnknownOutcome):
            await store.commit(commit)
        assert await local.version(INCIDENT) == 0
        assert (await store.commit(commit)).status == "ok"


# -- a server that does not do what it should -----------------------------------------------------------------------------


async def test_a_server_that_is_not_there_did_nothing(clock: MovingClock) -> None:
    """A refused connection is temporary also for a write, and says what to look at."""
    for url in ("redis://127.0.0.1:1/0", "unix:///nonexistent/redis.sock"):
        async with connect(url, timeout_s=0.5) as client:
            store = RedisStore(client, workspace_id="T1", owner="test", clock=clock)
            with pytest.raises(TemporaryError, match="check REDIS_URL"):
                await store.commit(commit_of(entries=entries()))


async def test_a_hung_server_is_given_up_within_the_budget(server: Server, local: RedisStore, clock: MovingClock) -> None:
    """The front door must answer Slack within 3 s, so after 0.8 s: what was sent is unknown, what was not is temporary."""
    async with connect(server.url, timeout_s=FRONT_TIMEOUT_S) as client:
        store = RedisStore(client, workspace_id="T1", owner="front", clock=clock)
        await store.commit(commit_of("inc-0", entries=entries()))  # the server knows the script from now on
        server.process.send_signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            results = await asyncio.gather(  # the first has the connection that was there, the others need new ones
                store.commit(commit_of(entries=entries())),
                store.version(INCIDENT),
                store.commit(commit_of("inc-2", entries=entries())),
                return_exceptions=True,
            )
            took_s = time.monotonic() - started
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert [type(result) for result in results] == [UnknownOutcome, TemporaryError, TemporaryError]
        assert took_s < 2 * FRONT_TIMEOUT_S
        async with asyncio.timeout(20):  # what was sent is done when the server goes on
            while await store.version(INCIDENT) == 0:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.01)
        assert await store.version("inc-2") == 0


async def test_a_burst_waits_for_a_connection(server: Server, local: RedisStore, clock: MovingClock) -> None:
    """More requests at once than connections: all are answered; none says that Redis cannot be reached."""
    async with connect(server.url, timeout_s=5, max_connections=4) as client:
        store = RedisStore(client, workspace_id="T1", owner="burst", clock=clock)
        reserved = await asyncio.gather(*(store.reserve(delivery=None, unique_key=None) for _ in range(100)))
    assert sorted(item.number for item in reserved) == list(range(1, 101))


@pytest.mark.parametrize(
    ("forbid", "allow", "word"),
    [
        (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], "read only replica"),
        (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"], "maxmemory"),
        (["CONFIG", "SET", "min-replicas-to-write", "1"], ["CONFIG", "SET", "min-replicas-to-write", "0"], "NOREPLICAS"),
    ],
)
async def test_a_server_that_refuses_writes_is_down(
    local: RedisStore, clock: MovingClock, forbid: list[str], allow: list[str], word: str
) -> None:
    """P12: read-only, full or alone is temporary, for every write and for the readiness check, and nothing is half written."""
    await ask(local, request_for(ROOM, clock))
    before = await dump(local)
    await local._redis.execute_command(*forbid)
    try:
        for act in (
            lambda: local.commit(commit_of(entries=entries(), active=True)),
            lambda: local.claim(most=1, lease_ms=LEASE_MS),
            lambda: local.reserve(delivery=None, unique_key=None),
            local.ping,
        ):
            with pytest.raises(TemporaryError, match=word):
                await act()
    finally:
        await local._redis.execute_command(*allow)
    assert await dump(local) == before
    await local.ping()


async def test_forgotten_scripts_are_taught_again(local: RedisStore) -> None:
    """A restarted server knows no scripts; nobody notices."""
    await local.commit(commit_of(entries=entries()))
    await local._redis.script_flush()
    assert (await local.commit(commit_of(expected_version=1, entries=entries()))).version == 2


async def test_a_password_that_is_missing_is_temporary_and_says_where_to_look(server: Server, local: RedisStore) -> None:
    """A write that was refused for its password did nothing."""
    await local._redis.config_set("requirepass", "secret")
    try:
        async with connect(server.url, timeout_s=1) as client:
            store = RedisStore(client, workspace_id="T1", owner="test", clock=RedisClock())
            with pytest.raises(TemporaryError, match="check REDIS_URL"):
                await store.commit(commit_of(entries=entries()))
    finally:
        await local._redis.config_set("requirepass", "")


# -- the clock -----------------------------------------------------------------------------------------------------------


class Watch:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def ms(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def test_the_clock_is_redis_time_carried_on_by_the_monotonic_clock() -> None:
    """Between two looks it goes on by itself; the wall clock of this machine, a day off or not, has no part in it."""
    watch = Watch()
    clock = RedisClock(monotonic=watch)
    elsewhere = datetime(2031, 5, 1, 12, tzinfo=UTC)
    clock.see(ms(elsewhere))
    assert clock.now() == elsewhere
    watch.seconds += 90
    assert clock.now() == elsewhere + timedelta(seconds=90)


def test_the_clock_follows_redis_in_both_directions() -> None:
    """P9: a step of Redis's time is taken over at the next look."""
    watch = Watch()
    clock = RedisClock(monotonic=watch)
    start = datetime(2026, 11, 20, 3, tzinfo=UTC)
    clock.see(ms(start))
    clock.see(ms(start + timedelta(days=1)))
    assert clock.now() == start + timedelta(days=1)
    clock.see(ms(start))
    assert clock.now() == start


def test_before_the_first_look_it_is_the_wall_clock() -> None:
    """Nobody asks before the first claim, but who does gets a moment."""
    assert abs(RedisClock().now() - datetime.now(UTC)) < timedelta(seconds=1)


async def test_every_claim_and_commit_sets_the_clock(store: RedisStore, clock: MovingClock) -> None:
    """With the offset of time travel, where that is allowed."""
    await store.set_clock_offset(3_600)
    await store.commit(commit_of())
    by_commit = clock.now() - datetime.now(UTC)
    await store.set_clock_offset(7_200)
    await store.claim(most=0, lease_ms=1)
    by_claim = clock.now() - datetime.now(UTC)
    assert [round(moved.total_seconds() / 3_600) for moved in (by_commit, by_claim)] == [1, 2]
