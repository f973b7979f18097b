"""The front door: ``/slack/events``, ``/pages/phone/…``, ``/healthz``, ``/readyz``, ``/metrics``, on aiohttp.

In this order, each before the next may see anything: size, encoding, signature on the raw bytes, parsing, the messages that
match no phrase (they end here), Bolt. Slack repeats a delivery that is answered 5xx, so a fault never answers 200.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from bot.http.phone import NOT_HERE, PhoneDoor
from bot.http.signature import is_genuine

BODY_MAX_BYTES = 1_048_576
"""A view may be 250 KB (docs.slack.dev, surfaces/modals) and carries its message; 1 MiB is above all that Slack sends."""
FIELDS_MAX = 100
"""A slash command has about a dozen fields."""
READ_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackAnswer:
    """What Slack is told."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What the front door needs.

    ``signing_secret`` None: Slack's traffic comes by Socket Mode, and ``/slack/events`` is not there.
    ``handle`` passes a genuine request on. ``is_worth_handling`` says of an event whether anything wants it. ``ready`` gives
    the reasons why Muster is not ready; none: it is. ``metrics`` is the text for Prometheus. ``observe(kind, seconds)`` hears
    how long each answer to Slack took. ``phone`` takes the keys that are pressed on telephones; None: nobody is asked for one.
    """

    signing_secret: bytes | None
    handle: Callable[[Mapping[str, Any], Mapping[str, str]], Awaitable[SlackAnswer]]
    is_worth_handling: Callable[[Mapping[str, Any]], bool]
    ready: Callable[[], Awaitable[list[str]]]
    metrics: Callable[[], bytes]
    observe: Callable[[str, float], None]
    phone: PhoneDoor | None = None
    now_s: Callable[[], float] = time.time


class _NoHttp(logging.Filter):
    """aiohttp logs a traceback for every request that is no HTTP, with the stranger's bytes in it: one line is enough."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError | RequestPayloadError):
            return True
        structlog.get_logger("muster.http").warning("request_malformed", kind=type(error).__name__)
        return False


def protocol_logger() -> logging.Logger:
    """The logger for aiohttp's server: what goes wrong with a request before the front door sees it."""
    logger = logging.getLogger("muster.http.protocol")
    if not any(isinstance(known, _NoHttp) for known in logger.filters):
        logger.addFilter(_NoHttp())
    return logger


def make_front(front: Front) -> web.Application:
    """The aiohttp application."""
    app = web.Application(client_max_size=BODY_MAX_BYTES)
    door = _Door(front)
    app.router.add_post("/slack/events", door.slack)
    app.router.add_post("/pages/phone/{token}", door.phone)
    app.router.add_get("/healthz", door.healthz)
    app.router.add_get("/readyz", door.readyz)
    app.router.add_get("/metrics", door.metrics)
    return app


class _Door:
    def __init__(self, front: Front) -> None:
        self._front = front
        self._log = structlog.get_logger("muster.http")

    async def slack(self, request: web.Request) -> web.Response:
        """Everything that Slack sends."""
        started = time.perf_counter()
        secret = self._front.signing_secret
        if secret is None:
            return _text(404, "Slack's traffic comes by Socket Mode here; unset SLACK_APP_TOKEN to take it at this address")
        refused, raw = await self._read(request, secret)
        if refused:
            self._front.observe("refused", time.perf_counter() - started)
            return refused
        kind, response = await self._genuine(raw, request)
        self._front.observe(kind, time.perf_counter() - started)
        return response

    async def phone(self, request: web.Request) -> web.Response:
        """A key that was pressed while a page was read out."""
        phone = self._front.phone
        if phone is None:
            return _text(404, NOT_HERE)
        try:
            return await phone.answer(request, _body)
        except _RefusedError as refused:
            return refused.answer

    async def _read(self, request: web.Request, secret: bytes) -> tuple[web.Response | None, bytes]:
        try:
            raw = await _body(request, BODY_MAX_BYTES)
        except _RefusedError as refused:
            return refused.answer, b""
        genuine = is_genuine(
            secret,
            raw,
            timestamps=request.headers.getall("X-Slack-Request-Timestamp", []),
            signatures=request.headers.getall("X-Slack-Signature", []),
            now_s=self._front.now_s(),
        )
        if not genuine:
            self._log.warning("signature_refused", bytes=len(raw))
            return _text(401, "the signature is not valid; check SLACK_SIGNING_SECRET and the clock"), b""
        return None, raw

    async def _genuine(self, raw: bytes, request: web.Request) -> tuple[str, web.Response]:
        try:
            is_json = request.content_type == "application/json"
            body = raw.decode("utf-8")
            told = json.loads(body) if is_json else _read_form(body)
        except (ValueError, RecursionError):
            return "malformed", _text(400, "not readable")
        if not isinstance(told, dict):
            return "malformed", _text(400, "not readable")
        if is_json and told.get("type") == "url_verification":
            challenge = str(told.get("challenge", ""))[:1_000]
            return "url_verification", _text(200, challenge.encode("utf-8", "replace").decode())
        if is_json and told.get("type") == "event_callback":
            event = told.get("event")
            if not isinstance(event, dict):
                return "malformed", _text(400, "not readable")
            if not self._front.is_worth_handling(event):
                return "ignored", web.Response()
        answer = await self._front.handle(told, dict(request.headers))
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
        kind = "event" if is_json else "interaction"
        return kind, web.Response(status=answer.status, body=answer.body.encode("utf-8"), headers=headers)

    async def healthz(self, request: web.Request) -> web.Response:
        """The process lives."""
        return _text(200, "ok")

    async def readyz(self, request: web.Request) -> web.Response:
        """200 when Redis and Slack answer, else 503 with what does not."""
        missing = await self._front.ready()
        return _text(503, "\n".join(missing)) if missing else _text(200, "ready")

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus' text format."""
        return web.Response(body=self._front.metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


class _RefusedError(Exception):
    """A request that is not looked at, and what it is answered."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.answer = _text(status, text)


async def _body(request: web.Request, most: int) -> bytes:
    """At most ``most`` bytes. Raises: _RefusedError."""
    if request.content_length is not None and request.content_length > most:
        raise _RefusedError(413, "too large")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise _RefusedError(400, "send it without an encoding")
    try:
        if request.content.is_eof():  # it came with its head, as nearly all do
            raw = await request.read()
        else:
            async with asyncio.timeout(READ_TIMEOUT_S):
                raw = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise _RefusedError(413, "too large") from error
    except TimeoutError as error:
        raise _RefusedError(408, "too slow") from error
    if len(raw) > most:
        raise _RefusedError(413, "too large")
    return raw


def _read_form(body: str) -> Any:
    """The fields of a command, or an interaction, which is JSON in one of them. Raises: ValueError, RecursionError."""
    if body.startswith("{"):
        raise ValueError("not a form of Slack's")
    fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=FIELDS_MAX))
    return json.loads(fields["payload"]) if "payload" in fields else fields


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/plain")
