"""Socket Mode: Slack's traffic over websockets that Muster opens, for a bot without a public address. Started by ``bot.app``.

Two places, each with a connection of its own. A connection that is told to go, falls silent or breaks gets a successor; one
that still works serves until the successor does. An envelope goes the way that a request of HTTP goes (``handle`` is the same
function, behind the same guard) and is acknowledged when that has committed. What could not be saved is not acknowledged, and
Slack sends it again; what was saved and not acknowledged is a duplicate then, which the desk knows by its delivery key.

slack_sdk's ``SocketModeClient`` (3.47) is not used. Its ``connect`` closes the old connection *before* it opens the new one, so
every refresh is a gap, and a person's command in it is lost. It sends acknowledgements on whatever connection is current, not
on the one that the envelope came by. Its queue has no bound, and its tasks belong to nobody: one that dies, or that is
cancelled by the reconnect that it runs itself, leaves a live process that hears nothing (python-slack-sdk #1701, bolt-python
#1529). Its watchdog measures the answers to its own pings, not what Slack sends. aiohttp's websocket does the work here too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import structlog
from aiohttp import ClientWSTimeout
from slack_bolt.response import BoltResponse

from bot.domain.errors import ConfigError, MusterError, PermanentError, TemporaryError
from bot.slack.client import SlackApi
from bot.slack.socket_connection import Connection, Departure, Envelope

FRAME_MAX_BYTES = 4_194_304
"""A view may be 250 KB and carries its message, written with escapes; the same as aiohttp's own default."""
CLOSE_TIMEOUT_S = 1.0
"""Slack leaves the TCP connection open after the closing handshake (node-slack-sdk #2752): nothing to wait for."""

_WHERE = "api.slack.com/apps > your app > Basic Information > App-Level Tokens"
_TOKEN_REFUSED = frozenset(
    {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "not_allowed_token_type"}
    | {"missing_scope", "no_permission", "access_denied"}
)
_SWITCHED_OFF = (
    "Slack says that Socket Mode is off for this app; turn it on (api.slack.com/apps > your app > Socket Mode), "
    "or unset SLACK_APP_TOKEN to have the traffic come by HTTP"
)
_KINDS = frozenset({"events_api", "slash_commands", "interactive"})
_PLANNED: frozenset[Departure] = frozenset({"refresh_requested", "warning", "silence"})
"""Reasons to open the successor at once. The others wait a moment first: everybody's connection may have broken just now."""

log = structlog.get_logger("muster.socket_mode")


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketTimes:
    """How many connections, and how patient. The defaults are for Slack; tests have less time."""

    connections: int = 2
    silence_s: float = 30.0
    """Slack pings about every 10 s: three missed ones are a dead connection."""
    hello_s: float = 10.0
    start_s: float = 15.0
    linger_s: float = 20.0
    """Slack closes what it told to go after about 10 s; only then is nothing on its way here any more."""
    stable_s: float = 30.0
    """A connection that lived less long does not end the backoff, or a loop of hello and goodbye would run at full speed."""
    first_retry_s: float = 0.5
    longest_retry_s: float = 60.0
    grace_s: float = 8.0


class SocketMetrics(Protocol):
    """Where the numbers go. No label is ever anything but a word of ours."""

    def answered(self, kind: str, seconds: float) -> None:
        """An envelope was judged in ``seconds``."""

    def socket_connections(self, up: int) -> None:
        """So many connections are up."""

    def socket_envelope(self, kind: str, outcome: str) -> None:
        """An envelope was ``acknowledged``, ``ignored`` (nothing wants it) or ``refused`` (Slack sends it again)."""

    def socket_reconnect(self, reason: str) -> None:
        """A connection needed a successor, or could not be opened (``unreachable``)."""


class Backoff:
    """How long to wait before the next try in one place: half to the whole of a delay that doubles with each failure."""

    def __init__(self, times: SocketTimes) -> None:
        self._times = times
        self._failures = 0
        self._at_least_s = 0.0

    def failed(self, *, at_least_s: float = 0.0) -> None:
        """It did not work; not before ``at_least_s`` seconds again."""
        self._failures += 1
        self._at_least_s = at_least_s

    def ended(self, *, lived_s: float, planned: bool) -> None:
        """It worked for ``lived_s`` seconds. ``planned``: its successor is wanted at once, unless this comes too often."""
        self._at_least_s = 0.0
        if lived_s < self._times.stable_s:
            self._failures += 1
        else:
            self._failures = 0 if planned else 1

    def delay_s(self) -> float:
        """Seconds."""
        if not self._failures:
            return 0.0
        longest = min(self._times.longest_retry_s, self._times.first_retry_s * 2.0 ** min(self._failures - 1, 30))
        return max(self._at_least_s, longest * random.uniform(0.5, 1.0))  # noqa: S311 - so that replicas do not march in step


class SocketMode:
    """See the module.

    Arguments:
        slack: the Web API with the app-level token.
        session: the one aiohttp session towards Slack.
        handle: what becomes of a request of Slack's, given as it was read, with its headers; only 200 is acknowledged.
        is_worth_handling: whether anything wants this event; one that nothing wants is acknowledged at once.
    """

    def __init__(
        self,
        *,
        slack: SlackApi,
        session: aiohttp.ClientSession,
        handle: Callable[[Mapping[str, Any], Mapping[str, str]], Awaitable[BoltResponse]],
        is_worth_handling: Callable[[Mapping[str, Any]], bool],
        metrics: SocketMetrics,
        times: SocketTimes | None = None,
    ) -> None:
        self._slack = slack
        self._session = session
        self._handle = handle
        self._is_worth_handling = is_worth_handling
        self._metrics = metrics
        self._times = times or SocketTimes()
        self._connections: set[Connection] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        self._supervisor: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._refusal: ConfigError | None = None
        self._fault = ""
        self._is_started = False
        self._is_closing = False

    @property
    def up(self) -> int:
        """Connections that Slack has greeted and that show signs of life."""
        return sum(connection.is_up for connection in self._connections)

    def missing(self) -> list[str]:
        """Why nothing comes from Slack, for /readyz; empty when something may."""
        if self._supervisor is None or self._supervisor.done():
            return ["Socket Mode has stopped; restart Muster"]
        return [] if self.up else [f"no Socket Mode connection to Slack is up{': ' if self._fault else ''}{self._fault}"]

    async def start(self) -> None:
        """Open the connections; returns when the first is up, or after ``start_s`` (/readyz then says what is wrong).

        Raises: ConfigError when Slack refuses: the app token, or Socket Mode itself.
        """
        self._supervisor = asyncio.create_task(self._supervise(), name="socket-mode")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._times.start_s):
                while not self.up:
                    if self._refusal is not None:
                        raise self._refusal
                    self._changed.clear()
                    await self._changed.wait()
        self._is_started = True

    async def close(self) -> None:
        """Take no more envelopes, finish those in hand within ``grace_s``, close. What was not taken, Slack sends again."""
        self._is_closing = True
        tasks = [*self._retiring, *((self._supervisor,) if self._supervisor else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        connections = list(self._connections)
        await asyncio.gather(*(connection.close(grace_s=self._times.grace_s) for connection in connections))
        self._connections.clear()
        self._on_change()

    # -- the places ------------------------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        """Until cancelled: every place has its keeper. One that died, which it never should, gets a successor as well."""
        keepers = {self._keeper(place): place for place in range(self._times.connections)}
        try:
            while True:
                done, _ = await asyncio.wait(keepers, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(self._times.first_retry_s)
                for dead in done:
                    place = keepers.pop(dead)
                    error = None if dead.cancelled() else dead.exception()
                    log.error("socket_keeper_died", place=place, exc_info=error)
                    self._metrics.socket_reconnect("fault")
                    keepers[self._keeper(place)] = place
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    def _keeper(self, place: int) -> asyncio.Task[None]:
        return asyncio.create_task(self._keep(place), name=f"socket-keeper-{place}")

    async def _keep(self, place: int) -> None:
        """Keep one place filled. The old connection goes only after its successor was greeted."""
        backoff = Backoff(self._times)
        current: Connection | None = None
        loop = asyncio.get_running_loop()
        try:
            while True:
                successor = await self._open_until_up(place, backoff)
                if current is not None:
                    self._retire(current)
                current, born_at = successor, loop.time()
                reason = await current.departing
                backoff.ended(lived_s=loop.time() - born_at, planned=reason in _PLANNED)
                self._metrics.socket_reconnect(reason)
                log.info("socket_departing", place=place, reason=reason)
        finally:
            if current is not None and not self._is_closing:
                self._retire(current)

    async def _open_until_up(self, place: int, backoff: Backoff) -> Connection:
        while True:
            await asyncio.sleep(backoff.delay_s())
            try:
                return await self._open(place)
            except ConfigError as refused:  # a person must mend it; until then a look now and then
                self._refusal = refused
                self._fail(refused)
                backoff.failed(at_least_s=self._times.longest_retry_s)
            except MusterError as error:
                self._fail(error)
                backoff.failed(at_least_s=getattr(error, "retry_after_s", None) or 0.0)

    def _fail(self, error: MusterError) -> None:
        self._fault = str(error)
        self._metrics.socket_reconnect("unreachable")
        if not isinstance(error, ConfigError):
            log.warning("socket_not_opened", error=self._fault)
        elif self._is_started:  # what ``start`` raises is said by whoever started
            log.error("socket_mode_refused", error=self._fault)
        self._changed.set()

    async def _open(self, place: int) -> Connection:
        """A connection that Slack has greeted. Raises: ConfigError, TemporaryError, UnknownOutcome."""
        ws = await self._connect(await self._address())
        connection = Connection(
            ws,
            name=f"socket-{place}",
            answer=self._answer,
            silence_s=self._times.silence_s,
            on_change=self._on_change,
        )
        self._connections.add(connection)
        try:
            ended = await connection.greeted(self._times.hello_s)
        except asyncio.CancelledError:
            self._retire(connection)
            raise
        if ended is None:
            self._fault, self._refusal = "", None
            log.info("socket_up", place=place, up=self.up)
            return connection
        self._retire(connection)
        if ended == "link_disabled":
            raise ConfigError(_SWITCHED_OFF)
        if ended == "too_many_websockets":
            raise TemporaryError("Slack allows 10 Socket Mode connections for an app, and they are in use; run fewer replicas")
        raise TemporaryError(f"Slack opened a Socket Mode connection and did not greet ({ended})")

    async def _address(self) -> str:
        """A new address, which holds a ticket: never logged. Raises: ConfigError, TemporaryError, UnknownOutcome."""
        try:
            answer = await self._slack.call("apps.connections.open")
        except PermanentError as error:
            if error.code not in _TOKEN_REFUSED:
                raise ConfigError(f"Slack refuses Socket Mode: {error.code}; check the app at {_WHERE}") from error
            raise ConfigError(
                f"SLACK_APP_TOKEN is refused by Slack ({error.code}); make an app-level token with the scope connections:write "
                f"under {_WHERE}"
            ) from error
        return str(answer.get("url") or "")

    async def _connect(self, address: str) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(self._times.hello_s):
                return await self._session.ws_connect(
                    address,
                    autoping=False,  # pings are counted as signs of life, so they are answered where they are read
                    max_msg_size=FRAME_MAX_BYTES,
                    timeout=ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
                    proxy=self._slack.client.proxy,
                )
        except (aiohttp.ClientError, OSError) as error:
            # From None: the text of the original holds the ticket
            raise TemporaryError(f"Slack's Socket Mode cannot be reached ({type(error).__name__}); check the network") from None

    def _retire(self, connection: Connection) -> None:
        if not self._is_closing:
            task = asyncio.create_task(self._retired(connection), name=f"{connection.name} retiring")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _retired(self, connection: Connection) -> None:
        await connection.retire(linger_s=self._times.linger_s, grace_s=self._times.grace_s)
        self._connections.discard(connection)
        self._on_change()

    def _on_change(self) -> None:
        self._metrics.socket_connections(self.up)
        self._changed.set()

    # -- the envelopes ---------------------------------------------------------------------------------------------

    async def _answer(self, envelope: Envelope) -> dict[str, Any] | None:
        """The acknowledgement, or None: Slack is to send it again."""
        started = time.perf_counter()
        kind, answer = await self._guarded(envelope)
        self._metrics.answered(kind, time.perf_counter() - started)
        outcome = "refused" if answer is None else "ignored" if kind == "ignored" else "acknowledged"
        self._metrics.socket_envelope(envelope.kind if envelope.kind in _KINDS else "other", outcome)
        return answer

    async def _guarded(self, envelope: Envelope) -> tuple[str, dict[str, Any] | None]:
        try:
            return await self._judged(envelope)
        except Exception:  # the listener guard; HTTP answers 500 here. Slack sends it again
            log.exception("envelope_failed", type=envelope.kind)
            return "failed", None

    async def _judged(self, envelope: Envelope) -> tuple[str, dict[str, Any] | None]:
        """(kind as HTTP's front door counts it, the acknowledgement)."""
        acknowledgement: dict[str, Any] = {"envelope_id": envelope.id}
        payload = envelope.payload
        if not isinstance(payload, dict):
            return "malformed", None
        if payload.get("type") == "event_callback":
            event = payload.get("event")
            if not isinstance(event, dict):
                return "malformed", None
            if not self._is_worth_handling(event):
                return "ignored", acknowledgement
        kind = "event" if envelope.kind == "events_api" else "interaction"
        response = await self._handle(payload, _headers(envelope))
        if response.status != 200:
            log.warning("envelope_refused", type=envelope.kind, status=response.status)
            return kind, None
        if envelope.accepts_response_payload and (said := _said(response)) is not None:
            acknowledgement["payload"] = said
        return kind, acknowledgement


def _headers(envelope: Envelope) -> dict[str, str]:
    """What HTTP's front door would have been given."""
    headers = {"content-type": "application/json"}
    if envelope.retry_attempt:
        headers |= {"x-slack-retry-num": str(envelope.retry_attempt), "x-slack-retry-reason": envelope.retry_reason}
    return headers


def _said(response: BoltResponse) -> dict[str, Any] | None:
    """The body of an HTTP answer, as an acknowledgement carries it."""
    if not response.body:
        return None
    if response.headers.get("content-type", [""])[0].startswith("application/json"):
        said = json.loads(response.body)
        return said if isinstance(said, dict) else None
    return {"text": response.body}
