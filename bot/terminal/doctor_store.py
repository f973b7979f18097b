"""What the doctor asks Redis: is it there, would it keep what it is told, whose format does it hold, what is overdue.

Reads only, but for the embedded server, which is joined, or started for the check and stopped again.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from datetime import UTC
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.domain.catalog import Catalog
from bot.domain.durations import format_duration
from bot.domain.duty import Cover
from bot.domain.errors import MusterError, TemporaryError
from bot.domain.timeline import to_ms
from bot.services.audit import last_well_at
from bot.settings import Settings
from bot.storage.durability import inspect
from bot.storage.embedded import embedded_redis
from bot.storage.keys import FORMAT, prefix
from bot.storage.redis import WORKER_TIMEOUT_S, connect
from bot.terminal.doctor_slack import SlackLook
from bot.terminal.findings import Finding, fault, ok, warn

LATE_S = 30
"""A bot that runs begins what is due within a second; its own retries wait for up to some minutes, and are booked, not due."""
UNAUDITED_S = 180
"""An audit is made every minute."""
MOST_SCANS = 200
SCAN_COUNT = 1_000


async def check_store(settings: Settings, slack: SlackLook, *, wait_s: float) -> list[Finding]:
    """Raises: MusterError when Redis cannot be reached, or not be used at all.

    ``wait_s``: how many seconds Slack has to say which workspace it is; a Slack that hangs must not look like a Redis that does.
    """
    async with AsyncExitStack() as stack:
        if settings.redis_url is None:
            server = await stack.enter_async_context(
                embedded_redis(settings.muster_data_dir, ephemeral_disk=settings.dyno is not None)
            )
            url = server.url
            how = "started for this check, as nothing uses it now" if server.owned else "joined the one that runs"
            where = f"embedded, in {settings.muster_data_dir.absolute() / 'redis'}, {how}"
        else:
            url = settings.redis_url.get_secret_value()
            where = f"answers at {_place(url)}"
        client = connect(url, timeout_s=WORKER_TIMEOUT_S)
        stack.push_async_callback(client.aclose)
        durability = await _durability_findings(client, settings)
        return [ok("Redis", where), *durability, *await _data_findings(client, settings, slack, wait_s)]


def _place(url: str) -> str:
    """Where it is, without user and password."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"


async def _durability_findings(client: Redis, settings: Settings) -> list[Finding]:
    try:
        found = await inspect(client, dev=settings.muster_dev)
    except TemporaryError as error:
        raise TemporaryError(f"{error}; check REDIS_URL and that the server runs") from error
    if not found.faults and not found.warnings:
        return [ok("Redis durability", "append-only, on disk before every answer, and nothing is evicted")]
    return [
        *(_split("Redis durability", text, "fault") for text in found.faults),
        *(_split("Redis durability", text, "warn") for text in found.warnings),
    ]


def _split(what: str, text: str, level: str) -> Finding:
    """Durability says "finding: remedy"."""
    finding, _, remedy = text.partition(": ")
    return fault(what, finding, remedy) if level == "fault" else warn(what, finding, remedy)


async def _data_findings(client: Redis, settings: Settings, slack: SlackLook, wait_s: float) -> list[Finding]:
    try:
        prefixes = await _prefixes(client, slack, wait_s)
        findings = [
            found for each in prefixes for found in await _of_workspace(client, each, travels=settings.muster_time_travel)
        ]
    except (RedisError, OSError) as error:
        raise TemporaryError(f"Redis stopped answering ({type(error).__name__}); check that the server runs") from error
    return findings or [ok("Redis data", "none of Muster yet")]


async def _prefixes(client: Redis, slack: SlackLook, wait_s: float) -> list[str]:
    """Of the workspace; where Slack does not say which that is, of every one that Redis knows."""
    with contextlib.suppress(MusterError, TimeoutError):  # the token has its own line
        _, workspace = await asyncio.wait_for(slack.require(), timeout=wait_s)
        return [prefix(workspace.team_id)]
    pattern = prefix("*") + "format"
    found: set[str] = set()
    cursor = 0
    for _ in range(MOST_SCANS):
        cursor, keys = await client.scan(cursor, match=pattern, count=SCAN_COUNT)
        found.update(str(key).removesuffix("format") for key in keys)
        if cursor == 0:
            break
    return sorted(found)


async def _of_workspace(client: Redis, name: str, *, travels: bool) -> list[Finding]:
    stored = await client.get(f"{name}format")
    if stored is None:
        return []
    version = str(stored)
    if version != FORMAT:
        remedy = "run the version of Muster that wrote it, or point REDIS_URL at another database"
        return [fault("Redis data", f"has format {version}, and this version reads format {FORMAT}", remedy)]
    active = await client.scard(f"{name}active")
    return [
        ok("Redis data", f"format {FORMAT}, {active} open incident{'s' * (active != 1)}"),
        await _due_finding(client, name, travels=travels),
        *await _audit_findings(client, name, travels=travels),
        *await _cover_findings(client, name, travels=travels),
    ]


async def _cover_findings(client: Redis, name: str, *, travels: bool) -> list[Finding]:
    """Who is on duty instead of whoever the rotations say, by their own word."""
    now_ms = await _now_ms(client, name, travels=travels)
    covers = [Cover.model_validate_json(line) for line in await client.lrange(f"{name}covers", 0, -1)]
    return [
        ok(
            f"cover {cover.rotation}",
            f"{cover.user_id} is on duty instead until {cover.until_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        )
        for cover in covers
        if to_ms(cover.from_at) <= now_ms < to_ms(cover.until_at)
    ]


def _text(value: bytes | str | None) -> str | None:
    """The client decodes what it reads; its types do not know that."""
    return None if value is None else str(value)


async def _now_ms(client: Redis, name: str, *, travels: bool) -> int:
    seconds, micros = await client.time()
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    return now_ms + int(await client.get(f"{name}clock:offset") or 0) if travels else now_ms


async def _audit_findings(client: Redis, name: str, *, travels: bool) -> list[Finding]:
    """When an audit of any replica found everything well last; nothing where there never was one."""
    well_at = last_well_at(_text(await client.get(f"{name}audit")))
    if well_at is None:
        return []
    age_s = max(0, (await _now_ms(client, name, travels=travels) - to_ms(well_at)) // 1000)
    finding = f"the last one that found everything well was {format_duration(age_s)} ago"
    if age_s < UNAUDITED_S:
        return [ok("audit", finding)]
    return [warn("audit", finding, "start muster serve, or look for audit_failed in its log")]


async def _due_finding(client: Redis, name: str, *, travels: bool) -> Finding:
    now_ms = await _now_ms(client, name, travels=travels)
    booked = int(await client.zcard(f"{name}due"))
    due = int(await client.zcount(f"{name}due", "-inf", now_ms))
    first = await client.zrange(f"{name}due", 0, 0, withscores=True)
    age_s = max(0.0, (now_ms - float(first[0][1])) / 1000) if first else 0.0
    if due == 0:
        return ok("due tasks", f"none is overdue, {booked} booked for later")
    finding = f"{due} due, the oldest for {format_duration(round(age_s))}, and {booked - due} booked for later"
    if age_s < LATE_S:
        return ok("due tasks", finding)
    # No fault: `muster doctor && muster serve` after a pause must start the one that does them.
    return warn("due tasks", finding, "nobody does them: start muster serve, or look at its /readyz and its log")


def while_redis_is_away(catalog: Catalog) -> Finding:
    """What everybody meets meanwhile; the contacts are those that people are told to call."""
    contacts = "; ".join(
        f"{contact.name} ({', '.join(way for way in (contact.slack, contact.phone) if way) or 'no way to reach them is known'})"
        for contact in list(catalog.contacts.values())[:5]
    )
    return ok(
        "while Redis is away",
        f"people are told at once that nothing was saved and to call: {contacts}. Events get a 5xx so that Slack repeats them, "
        "/readyz says 503; pages wait until Redis is back, nothing is sent meanwhile, and the heartbeat stops",
    )
