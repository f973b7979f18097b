"""Slack's side of Socket Mode: tickets, connections with pings, envelopes and their acknowledgements, and its faults.

Used by ``methods.apps`` (apps.connections.open gives a ticket), ``delivery`` (which prefers a connection to HTTP), ``server``
(the route ``/link``) and tests (``sandbox.sockets``). What is in an envelope is made in ``payloads``, as for HTTP.
Shapes: docs.slack.dev/apis/events-api/using-socket-mode.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from bot.sandbox.feed import Feed
from bot.sandbox.models import APP_ID, Json

MOST_CONNECTIONS = 10
"""Per app (maintainers, node-slack-sdk #1654); one more is greeted with ``disconnect: too_many_websockets``."""
TICKET_S = 30.0
"""How long an address of apps.connections.open is good; it is good once."""
PING_S = 10.0
CLOSE_AFTER_S = 10.0
"""docs.slack.dev: after ``warning`` the connection is closed in about ten seconds."""
CONNECTION_TIME_S = 18_060
HOST = "applink-sandbox"


class SocketLost(Exception):
    """The connection ended before the envelope was acknowledged."""


@dataclass(frozen=True)
class Envelope:
    """What goes into one frame. ``retry_attempt`` 0 and ``retry_reason`` "" the first time."""

    kind: str
    payload: Json
    accepts_response_payload: bool
    retry_attempt: int
    retry_reason: str

    def frame(self, envelope_id: str) -> Json:
        """As Slack sends it; only events carry the retries."""
        body: Json = {
            "envelope_id": envelope_id,
            "payload": self.payload,
            "type": self.kind,
            "accepts_response_payload": self.accepts_response_payload,
        }
        if self.kind == "events_api":
            body |= {"retry_attempt": self.retry_attempt, "retry_reason": self.retry_reason}
        return body


class SocketConnection:
    """One connection of the bot. ``told`` is why it was told to go, ``silent`` whether it is open but dead.

    ``deaf`` (a test may set it): what the bot says here is lost on the way, as when the bot is killed before it is sent.
    """

    def __init__(self, number: int, request: web.Request, ws: web.WebSocketResponse, hub: SocketHub) -> None:
        self.number = number
        self.told: str | None = None
        self.silent = False
        self.deaf = False
        self.is_leaving = False
        self.sent = 0
        self._request = request
        self._ws = ws
        self._hub = hub
        self._waiting: dict[str, asyncio.Future[Json | None]] = {}
        self._accepting: set[str] = set()

    # What a test does to it

    async def refresh(self, reason: str = "refresh_requested", *, close_after_s: float | None = CLOSE_AFTER_S) -> None:
        """Say ``disconnect`` and close the connection ``close_after_s`` later (None: when the test calls ``close``).

        Until then it gets its share of envelopes.
        """
        self.told = reason
        await self.say({"type": "disconnect", "reason": reason, "debug_info": {"host": HOST}})
        if close_after_s is not None:
            self._hub.later(self._close_soon(close_after_s), f"close socket {self.number}")

    async def close(self) -> None:
        """Give it nothing more, wait for what it has in hand, close it."""
        self.is_leaving = True
        if self._waiting:
            await asyncio.wait(self._waiting.values(), timeout=self._hub.patience_s)
        await self._ws.close()

    def silence(self) -> None:
        """Stay open, but dead: no pings, nothing that is sent arrives, in neither direction. Slack does not know."""
        self.silent = True

    def drop(self) -> None:
        """Cut the connection without a word."""
        self.silent = self.is_leaving = True
        if self._request.transport is not None:
            self._request.transport.abort()

    # What the delivery does

    async def send(self, envelope: Envelope) -> Json | None:
        """Send it and wait for the acknowledgement: its payload, or None. Raises SocketLost; the caller sets the deadline."""
        envelope_id = str(uuid.uuid4())
        acknowledged: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = acknowledged
        if envelope.accepts_response_payload:
            self._accepting.add(envelope_id)
        self.sent += 1
        try:
            await self.say(envelope.frame(envelope_id))
            return await acknowledged
        finally:
            self._waiting.pop(envelope_id, None)
            self._accepting.discard(envelope_id)

    # What the hub does

    async def serve(self, hello: Json) -> None:
        """Greet and listen until it is closed."""
        await self.say(hello)
        pinging = asyncio.create_task(self._ping(), name=f"ping socket {self.number}")
        try:
            async for message in self._ws:
                self._hear(message)
        finally:
            pinging.cancel()
            self.is_leaving = True
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(SocketLost())
            await asyncio.gather(pinging, return_exceptions=True)

    def _hear(self, message: WSMessage) -> None:
        if self.silent or self.deaf:
            return
        if message.type is not WSMsgType.TEXT:
            self._hub.misuses.append(f"a frame of type {message.type.name}")
            return
        try:
            said = json.loads(message.data)
            envelope_id, payload = said["envelope_id"], said.get("payload")
        except (ValueError, KeyError, TypeError, AttributeError):
            self._hub.misuses.append("a frame that is no acknowledgement")
            return
        waiting = self._waiting.get(envelope_id)
        if waiting is None or waiting.done():  # too late, twice, or on another connection than the envelope's
            self._hub.late += 1
            return
        if payload is not None and envelope_id not in self._accepting:
            self._hub.misuses.append("a payload in the answer to an envelope that takes none")
            payload = None
        waiting.set_result(payload)

    async def _ping(self) -> None:
        with contextlib.suppress(ConnectionError):  # the listening side notices
            for number in itertools.count(1):
                await asyncio.sleep(self._hub.ping_s)
                if not self.silent:
                    await self._ws.ping(f"Ping from {HOST} {number}".encode())

    async def say(self, body: Any) -> None:
        """Send anything as JSON, sense or nonsense; a text goes as it is. Raises SocketLost."""
        if self.silent:
            return
        try:
            await self._ws.send_str(body if isinstance(body, str) else json.dumps(body))
        except ConnectionError as error:
            raise SocketLost from error

    async def _close_soon(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.close()


class SocketHub:
    """All connections of the app.

    ``refusing``: no new connection gets through. ``mute``: new ones are opened and never greeted. ``disabled``: they are told
    that Socket Mode is off. ``misuses`` are what Slack would not understand, ``late`` counts acknowledgements that nobody
    waits for any more.
    """

    def __init__(self, feed: Feed, *, patience_s: float, ping_s: float = PING_S) -> None:
        self.ping_s = ping_s
        self.patience_s = patience_s
        self.refusing = False
        self.mute = False
        self.disabled = False
        self.misuses: list[str] = []
        self.late = 0
        self.connections: list[SocketConnection] = []
        self.most_at_once = 0
        self._feed = feed
        self._numbers = itertools.count(1)
        self._turns = itertools.count()
        self._tickets: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def issue(self, base_url: str) -> str:
        """The address for one connection, good once and for ``TICKET_S``."""
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = time.monotonic() + TICKET_S
        return f"{base_url.replace('http', 'ws', 1)}/link?ticket={ticket}&app_id={APP_ID}"

    def pick(self, *, other_than: int | None = None) -> SocketConnection | None:
        """The connection whose turn it is (any one receives, docs.slack.dev); None when there is none.

        ``other_than``: the number of one that did not answer just now; it is taken only where there is no other.
        """
        able = [one for one in self.connections if not one.is_leaving]
        able = [one for one in able if one.number != other_than] or able
        return able[next(self._turns) % len(able)] if able else None

    async def link(self, request: web.Request) -> web.StreamResponse:
        """GET /link: one connection, from its ticket to its end."""
        good_until = self._tickets.pop(request.query.get("ticket", ""), 0.0)
        if self.refusing:
            return web.Response(status=503, text="no new connections")
        if time.monotonic() > good_until:
            return web.Response(status=403, text="the ticket is not good")
        ws = web.WebSocketResponse(timeout=0.5)
        await ws.prepare(request)
        reason = self._turned_away()
        if reason:
            await ws.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": HOST}})
            await ws.close()
            return ws
        connection = SocketConnection(next(self._numbers), request, ws, self)
        connection.silent = self.mute
        self.connections.append(connection)
        self.most_at_once = max(self.most_at_once, len(self.connections))
        self._feed.ring()
        try:
            with contextlib.suppress(SocketLost):
                await connection.serve(self._hello())
        finally:
            self.connections.remove(connection)
            self._feed.ring()
        return ws

    def _turned_away(self) -> str | None:
        if self.disabled:
            return "link_disabled"
        return "too_many_websockets" if len(self.connections) >= MOST_CONNECTIONS else None

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "debug_info": {"host": HOST, "build_number": 1, "approximate_connection_time": CONNECTION_TIME_S},
            "connection_info": {"app_id": APP_ID},
        }

    def later(self, work: Any, name: str) -> None:
        """Do ``work`` (a coroutine) beside everything else, until ``close``."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cut every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self.connections):
            connection.drop()
