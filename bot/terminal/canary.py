"""``muster canary``: a test page through the running Muster, with a time for each of its stations.

It joins through Redis, asks for one task, and waits for what the replica that performs it notes (``bot.services.canary``). It
starts nothing, not even the embedded Redis: a test without a running Muster would prove nothing.

Exit codes: 0 accepted in time (with ``--wait-for-answer``: answered), 1 not, 2 what was asked for does not exist.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from urllib.parse import quote

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.domain.errors import ConfigError, MusterError, TemporaryError
from bot.domain.tasks import NO_INCIDENT, TaskRequest, canary_task
from bot.domain.text import clean
from bot.domain.timeline import to_ms
from bot.logs import configure_logging
from bot.services.canary import LAST, Note
from bot.services.ports import Commit
from bot.settings import Settings, load_settings
from bot.slack.client import SlackApi, make_client, make_session
from bot.slack.workspace import introduce
from bot.storage.redis import WORKER_TIMEOUT_S, RedisClock, RedisStore, connect
from bot.terminal.joining import workspaces

EXPECTED = (MusterError,)

LOOK_EVERY_S = 0.1
START = "start muster serve, or see whether this is its Redis (REDIS_URL, MUSTER_DATA_DIR)"


def run(options: argparse.Namespace) -> int:
    """Send the test page and print what becomes of it."""
    settings = load_settings(os.environ)
    configure_logging("error", settings.log_format, settings.secret_values())
    return asyncio.run(_run(settings, options))


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        client = connect(_address(settings), timeout_s=WORKER_TIMEOUT_S)
        stack.push_async_callback(client.aclose)
        clock = RedisClock()
        store = RedisStore(
            client,
            workspace_id=await _workspace_id(settings, client),
            owner="canary",
            clock=clock,
            time_travel=settings.muster_time_travel,
        )
        await store.claim(most=0, lease_ms=1)  # takes nothing, and tells Redis's time
        show = _Show(as_json=options.format == "json")
        return await _Flight(store, clock, show, options).fly()


class _Show:
    """Prints each station as it is reached, or all of them at the end as JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._stations: list[dict[str, str | int]] = []
        self._began_ms = 0

    def station(self, note: Note) -> None:
        """One more; the first is the beginning."""
        self._began_ms = self._began_ms or note.at_ms
        after_ms = max(0, note.at_ms - self._began_ms)
        detail = clean(note.detail, max_chars=500)
        self._stations.append({"name": note.name, "after_ms": after_ms, "detail": detail})
        if not self._as_json:
            print(f"{after_ms:>7} ms  {note.name:<10}  {detail}", flush=True)  # noqa: T201 - the terminal is its user interface

    def end(self, code: int, verdict: str, round_trip_ms: int | None) -> int:
        """The sum of it; ``code`` comes back."""
        if self._as_json:
            result = {"ok": code == 0, "round_trip_ms": round_trip_ms, "verdict": verdict, "stations": self._stations}
            sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        else:
            (sys.stdout if code == 0 else sys.stderr).write(f"{verdict}\n")
        return code


class _Flight:
    """One test page, from the asking to the verdict."""

    def __init__(self, store: RedisStore, clock: RedisClock, show: _Show, options: argparse.Namespace) -> None:
        self._store = store
        self._clock = clock
        self._show = show
        self._options = options
        self._run_id = secrets.token_hex(8)
        self._notes: list[Note] = []

    async def fly(self) -> int:
        """The exit code."""
        began_at = self._clock.now()
        task = canary_task(
            self._run_id,
            contact_id=self._options.contact or "",
            via=self._options.via or "",
            wait_for_answer=self._options.wait_for_answer,
            until=began_at + timedelta(seconds=self._options.timeout),
            due_at=began_at,
        )
        await self._write(tasks=[task])
        self._note(Note(name="queued", at_ms=to_ms(began_at), detail="the task is booked"))
        seen = 0
        deadline = asyncio.get_running_loop().time() + self._options.timeout
        try:
            while asyncio.get_running_loop().time() < deadline:
                for line in (await self._store.canary_notes(self._run_id))[seen:]:
                    seen += 1
                    self._note(Note.model_validate_json(line))
                if self._is_over():
                    break
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            if not self._is_over():  # nobody waits any more, so nobody is to be woken by it later
                await self._write(cancel=[task.id])
        return self._verdict()

    async def _write(self, *, tasks: list[TaskRequest] | None = None, cancel: list[str] | None = None) -> None:
        nonce = secrets.token_hex(8)
        commit = Commit(
            incident_id=NO_INCIDENT,
            expected_version=0,
            nonce=nonce,
            tasks=tasks or (),
            cancel=cancel or (),
            delivery=f"canary:{self._run_id}:{nonce}",
        )
        await self._store.commit(commit)

    def _note(self, note: Note) -> None:
        self._notes.append(note)
        self._show.station(note)

    def _find(self, *names: str) -> Note | None:
        return next((note for note in self._notes if note.name in names), None)

    def _is_over(self) -> bool:
        last = self._find(*LAST)
        return bool(last or (not self._options.wait_for_answer and self._find("accepted")))

    def _verdict(self) -> int:
        refused, accepted, failed = self._find("refused"), self._find("accepted"), self._find("failed")
        if refused:
            return self._show.end(2, f"muster: {refused.detail}", None)
        if failed:
            return self._show.end(1, f"muster: the test page failed: {failed.detail}", None)
        if accepted is None:
            return self._show.end(1, f"muster: {self._stuck()}", None)
        end = accepted
        if self._options.wait_for_answer:
            answered = self._find("answered", "unseen")
            if answered is None:
                missed = self._find("unanswered")
                reason = missed.detail if missed else f"nobody answered within {self._options.timeout:g} s"
                return self._show.end(1, f"muster: it was accepted, and not answered: {reason}", None)
            end = answered
        round_trip_ms = max(0, end.at_ms - self._notes[0].at_ms)
        return self._show.end(0, f"{end.detail}; round trip {round_trip_ms} ms", round_trip_ms)

    def _stuck(self) -> str:
        within = f"within {self._options.timeout:g} s"
        if self._find("claimed") is None:
            return f"no replica picked it up {within}: is muster serve running?"
        tried = self._find("retried")
        reason = f": {tried.detail}" if tried else "; look at the log of muster serve"
        return f"a replica has it, and no way took it {within}{reason}"


def _address(settings: Settings) -> str:
    """Where the running Muster has its Redis. Raises: ConfigError when none runs in the folder."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    socket = settings.muster_data_dir / "redis" / "socket"  # bot.storage.embedded says what lies there
    try:
        return f"unix://{quote(os.fsdecode(socket.read_bytes()))}"
    except OSError as error:
        raise ConfigError(f"no Muster runs on {settings.muster_data_dir.absolute()}; {START}") from error


async def _workspace_id(settings: Settings, client: Redis) -> str:
    """The workspace whose data this Redis holds; of several, the one that the token belongs to.

    Raises: ConfigError when there is none, TemporaryError when Redis cannot be asked.
    """
    try:
        found = await workspaces(client)
    except (RedisError, OSError) as error:
        if settings.redis_url is None:
            raise ConfigError(f"no Muster runs on {settings.muster_data_dir.absolute()}; {START}") from error
        raise TemporaryError(
            f"Redis cannot be reached ({type(error).__name__}); check REDIS_URL and that the server runs"
        ) from error
    if not found:
        raise ConfigError(f"this Redis holds nothing of Muster; {START}")
    if len(found) == 1:
        return found[0]
    if settings.slack_bot_token is None:
        raise ConfigError(f"this Redis holds {len(found)} workspaces; set SLACK_BOT_TOKEN to say which one is meant")
    async with make_session() as session:
        token = settings.slack_bot_token.get_secret_value()
        workspace = await introduce(SlackApi(make_client(session, token=token, base_url=settings.slack_api_url)))
    return workspace.team_id
