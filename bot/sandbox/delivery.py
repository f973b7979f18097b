"""Sends what happens to the bot as Slack does: with 3 seconds to answer, and events again when they fail.

Over a Socket Mode connection when the bot has one open, otherwise as signed HTTP requests.

Called by ``workspace`` (a person did something), ``web_api`` (the bot did something that makes events) and tests
(``sandbox.redeliver``). Payloads are made in ``payloads``.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp

from bot.sandbox.clock import SandboxClock
from bot.sandbox.ledger import Ledger
from bot.sandbox.models import VERIFICATION_TOKEN, Json
from bot.sandbox.payloads import event_body
from bot.sandbox.socket_mode import Envelope, SocketConnection, SocketHub, SocketLost
from bot.sandbox.state import State

# At once, after one minute, after five: docs.slack.dev/apis/events-api (retries)
RETRY_DELAYS_S = (0.0, 60.0, 300.0)
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Attempt:
    """One request to the bot. ``status`` None: it never answered; ``reason`` is Slack's word for what went wrong, or None.

    ``socket`` is the number of the Socket Mode connection that it went over (an acknowledgement counts as status 200), None
    for HTTP.
    """

    number: int
    headers: Mapping[str, str] = field(repr=False)
    started_at: float
    duration_ms: float
    status: int | None
    body: bytes
    content_type: str
    reason: str | None
    no_retry: bool = False
    socket: int | None = None

    @property
    def ok(self) -> bool:
        """The bot acknowledged it."""
        return self.reason is None

    def json(self) -> Any:
        """The answer's JSON, or None when there is no body or it is not JSON."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return None


@dataclass
class Delivery:
    """One thing sent to the bot, with every attempt so far. ``kind`` is such as "event message" or "command /incident"."""

    kind: str
    body: bytes = field(repr=False)
    content_type: str = field(repr=False)
    event: Json | None = field(default=None, repr=False)
    attempts: list[Attempt] = field(default_factory=list)
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    first: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def ok(self) -> bool:
        """The last attempt was acknowledged."""
        return bool(self.attempts) and self.attempts[-1].ok

    @property
    def status(self) -> int | None:
        """HTTP status of the last attempt; None when there was none or it got no answer."""
        return self.attempts[-1].status if self.attempts else None

    @property
    def duration_ms(self) -> float | None:
        """How long the last attempt took."""
        return self.attempts[-1].duration_ms if self.attempts else None

    def payload(self) -> Json:
        """What was sent, parsed: the event envelope, the command's fields, or the interaction."""
        if self.content_type == JSON_TYPE:
            return dict(json.loads(self.body))
        fields = dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        return dict(json.loads(fields["payload"])) if "payload" in fields else fields

    async def attempted(self) -> Delivery:
        """Wait until the first attempt is over."""
        await self.first.wait()
        return self

    async def finished(self) -> Delivery:
        """Wait until it was acknowledged or given up."""
        if self.task is not None:
            await asyncio.wait([self.task])
        return self


class Courier:
    """Everything on its way to the bot, which listens at ``bot_url`` and has ``timeout_s`` to answer.

    These and ``retry_scale`` may be changed.
    """

    def __init__(
        self,
        state: State,
        clock: SandboxClock,
        ledger: Ledger,
        *,
        signing_secret: str,
        retry_scale: float,
        timeout_s: float,
        sockets: SocketHub,
    ) -> None:
        self._state = state
        self._clock = clock
        self._ledger = ledger
        self._signing_secret = signing_secret.encode()
        self._sockets = sockets
        self.retry_scale = retry_scale
        self.timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False
        self.bot_url = "http://127.0.0.1:3000"
        self.deliveries: list[Delivery] = []

    async def start(self) -> None:
        """Open the HTTP client. A connection per delivery: a bot that is killed and started again must not meet an old one."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            trust_env=False,
        )

    async def stop(self) -> None:
        """Give up what is still on its way, launch nothing more, and close the client."""
        self._is_stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def flush(self) -> list[Delivery]:
        """Send the events that the state has collected; they are on their way when this returns."""
        events, self._state.outbox = self._state.outbox, []
        return [self._send_event(event) for event in events]

    async def settled(self) -> None:
        """Wait until nothing is on its way any more, redeliveries included."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def send_form(self, kind: str, fields: Mapping[str, str]) -> Delivery:
        """A slash command or an interaction: sent once, never again; returns when it was answered or not."""
        delivery = Delivery(kind=kind, body=urlencode(fields).encode(), content_type=FORM_TYPE)
        self._launch(delivery, delays_s=())
        return await delivery.attempted()

    async def send_interaction(self, payload: Json) -> Delivery:
        """An interaction payload, in the form field that Slack uses."""
        return await self.send_form(payload["type"], {"payload": json.dumps(payload)})

    async def challenge(self) -> bool:
        """url_verification (docs.slack.dev/reference/events/url_verification): whether the bot echoed the challenge."""
        challenge = secrets.token_urlsafe(32)
        body = json.dumps({"token": VERIFICATION_TOKEN, "challenge": challenge, "type": "url_verification"}).encode()
        delivery = Delivery("url_verification", body, JSON_TYPE)
        self._launch(delivery, delays_s=())
        attempt = (await delivery.attempted()).attempts[0]
        answer = attempt.json()
        echoed = answer.get("challenge") if isinstance(answer, dict) else attempt.body.decode(errors="replace").strip()
        return attempt.ok and echoed == challenge

    async def redeliver(self, delivery: Delivery) -> Attempt:
        """Send the identical signed bytes of the first attempt again, as a network or an attacker may."""
        headers = delivery.attempts[0].headers
        return await self._attempt(delivery, len(delivery.attempts) + 1, headers)

    def _send_event(self, event: Json) -> Delivery:
        body = event_body(event, self._state.new_id("Ev"), int(self._clock.now()))
        subtype = f" {event['subtype']}" if event.get("subtype") else ""
        delivery = Delivery(f"event {event['type']}{subtype}", json.dumps(body).encode(), JSON_TYPE, event=event)
        self._launch(delivery, delays_s=RETRY_DELAYS_S)
        return delivery

    def _launch(self, delivery: Delivery, delays_s: tuple[float, ...]) -> None:
        self.deliveries.append(delivery)
        if self._is_stopped:  # nobody listens any more
            return
        task = asyncio.create_task(self._deliver(delivery, delays_s), name=f"deliver {delivery.kind}")
        delivery.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery, delays_s: tuple[float, ...]) -> None:
        attempt = await self._attempt(delivery, 1, self._signed(delivery, {}))
        for number, delay_s in enumerate(delays_s, start=1):
            if attempt.ok or attempt.no_retry:
                return
            await self._clock.sleep(delay_s * self.retry_scale)
            again = {"x-slack-retry-num": str(number), "x-slack-retry-reason": attempt.reason or "unknown_error"}
            attempt = await self._attempt(delivery, number + 1, self._signed(delivery, again))

    def _signed(self, delivery: Delivery, extra: Mapping[str, str]) -> dict[str, str]:
        """Slack's headers; the signature is by the world's time (docs.slack.dev/authentication/verifying-requests-from-slack)."""
        timestamp = str(int(time.time()))
        base = b"v0:" + timestamp.encode() + b":" + delivery.body
        digest = hmac.new(self._signing_secret, base, hashlib.sha256).hexdigest()
        return {
            "Content-Type": delivery.content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": f"v0={digest}",
            **extra,
        }

    async def _attempt(self, delivery: Delivery, number: int, headers: Mapping[str, str]) -> Attempt:
        started_at, started_at_s = time.monotonic(), time.time()
        last = delivery.attempts[-1] if delivery.attempts else None
        silent = last.socket if last and not last.ok else None
        socket = self._sockets.pick(other_than=silent) if delivery.kind != "url_verification" else None
        if socket is not None:
            attempt = await self._over_socket(socket, delivery, number, headers, started_at)
        else:
            attempt = await self._request(delivery, number, headers, started_at)
        delivery.attempts.append(attempt)
        delivery.first.set()
        self._ledger.delivered(
            {
                "kind": delivery.kind,
                "status": attempt.status,
                "duration_ms": attempt.duration_ms,
                "attempt": number,
                "start_at": started_at_s,
                "error": attempt.reason,
            }
        )
        return attempt

    async def _over_socket(
        self, socket: SocketConnection, delivery: Delivery, number: int, headers: Mapping[str, str], started_at: float
    ) -> Attempt:
        """The same, in an envelope. What the bot answers with it stands for the body of an HTTP answer."""
        status, body, reason = None, b"", None
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await socket.send(_envelope(delivery, headers))
            status, body = 200, json.dumps(answer).encode() if answer is not None else b""
        except TimeoutError:
            reason = "http_timeout"
        except SocketLost:
            reason = "connection_failed"
        duration_ms = (time.monotonic() - started_at) * 1000
        return Attempt(number, headers, started_at, duration_ms, status, body, JSON_TYPE, reason, socket=socket.number)

    async def _request(self, delivery: Delivery, number: int, headers: Mapping[str, str], started_at: float) -> Attempt:
        assert self._session is not None  # noqa: S101 - start() comes first
        url = self.bot_url.rstrip("/") + "/slack/events"
        status, body, content_type, no_retry = None, b"", "", False
        try:
            timeout = aiohttp.ClientTimeout(total=self.timeout_s)
            request = self._session.post(url, data=delivery.body, headers=headers, allow_redirects=False, timeout=timeout)
            async with request as response:
                body = await response.read()
                status, content_type = response.status, response.content_type
                no_retry = response.headers.get("X-Slack-No-Retry") == "1"
                reason = None if 200 <= status < 300 else "http_error"
        except TimeoutError:
            reason = "http_timeout"
        except aiohttp.ClientConnectorError:
            reason = "connection_failed"
        except aiohttp.ClientError:
            reason = "unknown_error"
        duration_ms = (time.monotonic() - started_at) * 1000
        return Attempt(number, headers, started_at, duration_ms, status, body, content_type, reason, no_retry)


def _envelope(delivery: Delivery, headers: Mapping[str, str]) -> Envelope:
    """docs.slack.dev/apis/events-api/using-socket-mode: commands and sent forms may be answered in the acknowledgement."""
    payload = delivery.payload()
    if delivery.content_type == JSON_TYPE:
        reason = headers.get("x-slack-retry-reason", "")
        return Envelope(
            kind="events_api",
            payload=payload,
            accepts_response_payload=False,
            retry_attempt=int(headers.get("x-slack-retry-num", "0")),
            retry_reason="timeout" if reason == "http_timeout" else reason,
        )
    is_command = "command" in payload
    return Envelope(
        kind="slash_commands" if is_command else "interactive",
        payload=payload,
        accepts_response_payload=is_command or payload.get("type") in ("view_submission", "block_suggestion"),
        retry_attempt=0,
        retry_reason="",
    )
