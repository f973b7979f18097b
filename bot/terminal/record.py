"""Where ``muster run`` writes down what it does: the Redis of the running Muster, joined without a word to Slack."""

from __future__ import annotations

import argparse
import os
import re
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from redis.exceptions import RedisError

from bot.domain.catalog import Catalog
from bot.domain.errors import ConfigError, MusterError, TemporaryError
from bot.domain.incident import Incident
from bot.domain.runbook import Runbook
from bot.services.desk import Desk
from bot.services.jobs import Job
from bot.services.pace import Pace
from bot.settings import Settings
from bot.storage.jobs import RedisJobs
from bot.storage.redis import WORKER_TIMEOUT_S, RedisClock, RedisStore, connect
from bot.terminal.joining import workspaces
from bot.terminal.steps import Terminal, UsageError
from bot.wiring import redis_address

_INCIDENT = re.compile(r"(?:inc-)?([1-9][0-9]{0,9})")
_WITHOUT_RECORD = "--no-record runs it all the same: then there is no timeline of it, and nobody goes on when it is interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Where what happens is written down: Redis."""

    desk: Desk
    store: RedisStore
    jobs: Callable[[str, str], Job]
    pace: Pace


async def find_record(
    stack: AsyncExitStack,
    settings: Settings,
    options: argparse.Namespace,
    catalog: Catalog,
    clock: RedisClock,
    terminal: Terminal,
) -> Record | None:
    """None: it is to be done without, or only tried out. Raises: ConfigError that says how to go on without."""
    if options.no_record:
        terminal.say("NOTHING OF THIS IS RECORDED (--no-record). Write down what you do, and tell it when Muster runs again.")
        return None
    try:
        return await _open_record(stack, settings, options.workspace, catalog, clock)
    except MusterError as error:
        if options.dry_run and options.incident is None:
            terminal.say(f"What is on record is not known here: {error}")
            return None
        raise ConfigError(f"nothing was run, because it could not be recorded: {error}\n{_WITHOUT_RECORD}") from error


async def _open_record(
    stack: AsyncExitStack, settings: Settings, workspace: str | None, catalog: Catalog, clock: RedisClock
) -> Record:
    url = await redis_address(stack, settings)
    client = connect(url, timeout_s=WORKER_TIMEOUT_S)
    stack.push_async_callback(client.aclose)
    try:
        found = [workspace] if workspace else await workspaces(client)
    except (RedisError, OSError) as error:
        raise TemporaryError(
            f"Redis cannot be reached ({type(error).__name__}); check REDIS_URL and that the server runs"
        ) from error
    if not found:
        raise ConfigError(
            "this Redis holds nothing of Muster; see whether it is the one of muster serve (REDIS_URL, MUSTER_DATA_DIR), "
            "or name your Slack workspace with --workspace T…"
        )
    if len(found) > 1:
        raise ConfigError(f"this Redis holds {len(found)} workspaces ({', '.join(found)}); name one with --workspace")
    store = RedisStore(
        client,
        workspace_id=found[0],
        owner=f"terminal:{socket.gethostname()}:{os.getpid()}",
        clock=clock,
        time_travel=settings.muster_time_travel,
    )
    await store.check_format()
    await store.claim(most=0, lease_ms=1)  # takes nothing, and tells Redis's time
    return Record(
        desk=Desk(store=store, clock=clock, catalog=catalog),
        store=store,
        jobs=RedisJobs(client, workspace_id=found[0]),
        pace=Pace(store),
    )


async def find_incident(desk: Desk, options: argparse.Namespace, runbook: Runbook) -> Incident | None:
    """The one that was named, else the newest open one of this runbook, else one whose runbook is still to be chosen and may be
    this one. None: there is none. Raises: UsageError for one that is not there, or follows another runbook."""
    if options.incident is None:
        going_on = [incident for incident in await desk.active() if not incident.drill]
        of_it = [one for one in going_on if one.runbook and one.runbook.id == runbook.id]
        choosing = [one for one in going_on if any(item.fits and item.id == runbook.id for item in one.candidates)]
        return next(reversed(of_it or choosing), None)
    number = _INCIDENT.fullmatch(options.incident)
    incident = await desk.load(f"inc-{number[1]}") if number else None
    if incident is None:
        raise UsageError(f"there is no incident {options.incident!r}; write --incident inc-42")
    if incident.runbook and incident.runbook.id != runbook.id:
        raise UsageError(f"{incident.id} follows the runbook {incident.runbook.id}, not {runbook.id}")
    return incident
