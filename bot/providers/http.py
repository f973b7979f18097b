"""The one module that speaks HTTP to providers, and the only one that imports httpx.

Every client in `bot.providers` is built on `ProviderHttp`. What a vendor's reply means does not belong here; that a
call ends in time, stays small, follows nobody elsewhere, tells no secret and fails with one of `bot.providers.faults`
does.

httpx has had no release since 0.28.1; httpx2 is its continuation. Moving over is the import below (`import httpx2 as
httpx`) and the two logger names.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import importlib
import importlib.util
import json
import logging
import re
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import SecretStr

from bot.domain.errors import ConfigError
from bot.providers.faults import Refused, Unanswered, Unavailable, UnavailableReason
from bot.providers.foreign import word_of
from bot.services.crashpoints import crashpoint

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_MAX_BYTES = 4 * 1024 * 1024

Params = Mapping[str, str | int | Sequence[str]]
"""A query; a sequence is a name that comes several times (``include[]``)."""

_CONNECT_TIMEOUT_S = 5.0
_HTTP_LOGGERS = ("httpx", "httpcore")


@dataclass(frozen=True)
class Endpoint:
    """One API: how messages call it, where it is, what opens it, and which variables to name when that goes wrong.

    ``base_url_setting`` and ``token_setting`` are environment variables. ``token`` is sent behind ``token_prefix``, or, with a
    ``user``, as the password of basic authentication. ``wait_header`` is the vendor's own header for the seconds to wait, read
    where ``Retry-After`` is missing.
    """

    name: str
    base_url: str
    base_url_setting: str
    token: SecretStr | None = None
    token_setting: str = ""
    token_prefix: str = "Bearer "  # noqa: S105 - the scheme, not the secret
    user: str = ""
    wait_header: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ErrorDetail:
    """What a vendor's error body says, as far as it is safe to repeat: a code word, a trace id, a wait in seconds."""

    code: str = ""
    trace_id: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Reply:
    """A complete HTTP answer. ``request`` names the call ("GET /v1/sessions"); the body stays out of the repr."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    retry_after_s: float | None
    duration_ms: int
    request: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By their names in lower case."""


_MOST_IN_A_POOL = 8
_MOST_POOLS = 8
"""For each request httpcore walks through all connections and all waiting requests of its pool, several times: 64 at once in one
pool cost some 10 ms of CPU each, in eight pools 1.5 ms. A thousand pages at once are paid from this."""


@dataclass
class _Pool:
    """One client with its connections; ``in_flight`` calls use it now."""

    client: httpx.AsyncClient
    in_flight: int = 0


class ProviderHttp:
    """HTTP with one provider: connection pools, a total deadline per call in seconds, and a limit in bytes per reply.

    Redirects are not followed, proxies of the environment are not used, compressed replies are not
    accepted (a small one can grow without limit). A read whose connection breaks is tried a second time at once,
    because a kept connection may have been closed by the other side; anything else is for the caller to repeat.

    ``detail`` reads the vendor's error body; it is given parsed JSON, or None when there was none.

    Raises:
        ConfigError: the base URL is not plain http(s), or the token cannot be sent in a header.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        detail: Callable[[Any], ErrorDetail] | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self.endpoint = endpoint
        self._base_url = _checked_base_url(endpoint)
        self._headers = _headers_of(endpoint)
        self._detail = detail or (lambda _body: ErrorDetail())
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._pools: list[_Pool] = []
        for name in _HTTP_LOGGERS:  # at INFO httpx writes full URLs, and a query may carry what no log should have
            logging.getLogger(name).setLevel(logging.WARNING)

    def url_of(self, *segments: str) -> str:
        """The address of a path below the base URL; every segment is percent-encoded as one segment.

        Raises: Refused for an empty segment, "." and "..", which no encoding takes the meaning from.
        """
        if any(segment in ("", ".", "..") for segment in segments):
            raise Refused(
                f"{self.endpoint.name} was not asked: a part of the path is empty or dots",
                remedy="check the id that was given",
                code="unexpected",
            )
        return "/".join([self._base_url, *(quote(segment, safe="") for segment in segments)])

    async def get_json(self, *segments: str, params: Params | None = None) -> Any:
        """The parsed JSON of a read. Raises: Refused, Unavailable."""
        reply = await self.call("GET", *segments, params=params)
        return self.json_of(reply)

    async def call(
        self,
        method: str,
        *segments: str,
        params: Params | None = None,
        json_body: Any = None,
        form: Mapping[str, str] | None = None,
        effect: bool = False,
    ) -> Reply:
        """The 2xx answer to a call; ``json_body`` or ``form`` is what it carries. ``effect`` says that the call changes something
        at the provider: ``guarded`` looks before it leaves.

        Raises:
            Refused: repeating will not help.
            Unavailable: 429, 5xx, no connection; ``retry_after_s`` when the provider said.
            Unanswered: only with ``effect``: it was sent, and whether it was done cannot be known (no answer in time, a
                broken connection, 502, 504).
        """
        reply = await self.fetch(
            method,
            self.url_of(*segments),
            params=params,
            json_body=json_body,
            form=form,
            effect=effect,
        )
        self.raise_for_status(reply, effect=effect)
        return reply

    def json_of(self, reply: Reply) -> Any:
        """The body as JSON, whatever its content type says. Raises: Refused (not_json) when it is something else."""
        try:
            return json.loads(reply.body)
        except (ValueError, RecursionError) as error:
            looks = "a web page" if reply.body.lstrip()[:1] == b"<" else "something that is not JSON"
            raise Refused(
                f"{self.endpoint.name} answered {reply.request} with {looks}",
                remedy=f"check {self.endpoint.base_url_setting}: a proxy or a sign-in page may stand in between",
                code="not_json",
            ) from error

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        params: Params | None = None,
        json_body: Any = None,
        form: Mapping[str, str] | None = None,
        effect: bool = False,
    ) -> Reply:
        """The answer to a call, whatever its status; the parameters are those of ``call``.

        Raises: Unavailable (no answer), Unanswered (no answer to a call with ``effect``), Refused (too large, encoded).
        """
        request = f"{method} {urlsplit(url).path or '/'}"
        check = _GUARD.get() if effect else None
        sent = {
            "params": params,
            "json": json_body,
            "data": form,
            "extensions": {"trace": _hook(check)} if check else None,
        }
        given = {name: value for name, value in sent.items() if value is not None}
        if effect:
            crashpoint("effect.asked")
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    reply = await self._exchange(method, url, given, request)
                except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                    if effect:
                        raise
                    reply = await self._exchange(method, url, given, request)
        except (TimeoutError, httpx.TimeoutException, httpx.TransportError, httpx.InvalidURL) as error:
            raise self._no_answer(error, request, effect=effect) from error
        if effect:
            crashpoint("effect.answered")
        return reply

    async def listen(self, *segments: str, for_s: float, params: Params | None = None) -> Reply:
        """A read whose answer may never end (a log that is followed): what came within ``for_s`` seconds, and not more than the
        limit in bytes. Raises: Refused, Unavailable."""
        url = self.url_of(*segments)
        request = f"GET {urlsplit(url).path}"
        longest_s = for_s + self._timeout_s
        given = {"params": params, "timeout": httpx.Timeout(longest_s, connect=min(_CONNECT_TIMEOUT_S, self._timeout_s))}
        try:
            async with asyncio.timeout(longest_s):
                reply = await self._exchange("GET", url, {k: v for k, v in given.items() if v is not None}, request, for_s=for_s)
        except (TimeoutError, httpx.TimeoutException, httpx.TransportError, httpx.InvalidURL) as error:
            raise self._no_answer(error, request, effect=False) from error
        self.raise_for_status(reply, effect=False)
        return reply

    async def aclose(self) -> None:
        """Close the connections; the next call would open new ones."""
        pools, self._pools = self._pools, []
        for pool in pools:
            await pool.client.aclose()

    async def _exchange(self, method: str, url: str, given: dict[str, Any], request: str, *, for_s: float | None = None) -> Reply:
        """``for_s``: what came until then is enough; None: all of it is read."""
        started_at = time.perf_counter()
        body = bytearray()
        async with self._lent() as client, client.stream(method, url, **given) as response:
            self._refuse_encoding(response.headers.get("content-encoding", ""), request)
            self._refuse_size(_declared_bytes(response.headers.get("content-length")), request)
            with contextlib.suppress(TimeoutError) if for_s is not None else contextlib.nullcontext():
                async with asyncio.timeout(for_s):
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if for_s is not None and len(body) > self._max_bytes:
                            break
                        self._refuse_size(len(body), request)
            return Reply(
                status=response.status_code,
                content_type=response.headers.get("content-type", ""),
                body=bytes(body),
                retry_after_s=self._wait_of(response.headers),
                duration_ms=round((time.perf_counter() - started_at) * 1000),
                request=request,
                headers={name.lower(): value for name, value in response.headers.items()},
            )

    def _wait_of(self, headers: Mapping[str, str]) -> float | None:
        own = self.endpoint.wait_header
        return parse_retry_after(headers.get("retry-after") or (headers.get(own) if own else None))

    @contextlib.asynccontextmanager
    async def _lent(self) -> AsyncIterator[httpx.AsyncClient]:
        """The first client that is not busy; where all are, one more, and the least busy one when there are enough of them."""
        pool = next((one for one in self._pools if one.in_flight < _MOST_IN_A_POOL), None)
        if pool is None and len(self._pools) < _MOST_POOLS:
            pool = _Pool(self._make_client())
            self._pools.append(pool)
        pool = pool or min(self._pools, key=lambda one: one.in_flight)
        pool.in_flight += 1
        try:
            yield pool.client
        finally:
            pool.in_flight -= 1

    def _make_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers=self._headers,
            timeout=httpx.Timeout(self._timeout_s, connect=min(_CONNECT_TIMEOUT_S, self._timeout_s)),
            verify=tls_context(),
            trust_env=False,
            follow_redirects=False,
        )

    def _refuse_encoding(self, encoding: str, request: str) -> None:
        if encoding.strip().casefold() not in ("", "identity"):
            raise Refused(
                f"{self.endpoint.name} answered {request} compressed although it was asked not to",
                remedy=f"check {self.endpoint.base_url_setting}: a proxy may stand in between",
                code="encoded",
            )

    def _refuse_size(self, size_bytes: int, request: str) -> None:
        if size_bytes > self._max_bytes:
            raise Refused(
                f"{self.endpoint.name} answered {request} with more than {self._max_bytes:,} bytes",
                remedy=f"check that {self.endpoint.base_url_setting} is the address of the API",
                code="too_large",
            )

    def _no_answer(self, error: Exception, request: str, *, effect: bool) -> Unavailable | Unanswered:
        reason = _reason_of(error)
        where = f"{self.endpoint.name} ({_host_of(self._base_url)})" if self._base_url else self.endpoint.name
        never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.InvalidURL)
        if effect and not never_sent:
            return Unanswered(
                f"{where} did not answer {request}: {_in_words(reason, self._timeout_s)}; it may have been done",
                remedy="look before repeating",
            )
        return Unavailable(
            f"{where} could not be asked ({request}): {_in_words(reason, self._timeout_s)}",
            remedy=f"try again, and check {self.endpoint.base_url_setting} and the network when it stays so",
            reason=reason,
        )

    def raise_for_status(self, reply: Reply, *, effect: bool) -> None:
        """Nothing for a 2xx. Raises: as ``call`` does."""
        if 200 <= reply.status < 300:
            return
        detail = self._detail(json_or_none(reply.body))
        name, setting = self.endpoint.name, self.endpoint.base_url_setting
        answered = f"{name} answered {reply.status}{_in_brackets(detail)} to {reply.request}"
        match reply.status:
            case 401 | 403:
                code = "unauthorized" if reply.status == 401 else "forbidden"
                if not self.endpoint.token_setting:
                    raise Refused(answered, remedy=f"check {setting}: it wants a sign-in", code=code)
                raise Refused(
                    f"{name} does not accept the secret: {reply.status}{_in_brackets(detail)} to {reply.request}",
                    remedy=f"check that {self.endpoint.token_setting} is valid and may do this",
                    code=code,
                )
            case 402:
                raise Refused(answered, remedy=f"the plan of the {name} account does not include this", code="payment_required")
            case 404:
                raise Refused(answered, remedy=f"check the id, and that {setting} is the right API", code="not_found")
            case 420 | 429:  # 420 is Statuspage's 429
                wait_s = reply.retry_after_s if reply.retry_after_s is not None else detail.retry_after_s
                raise Unavailable(
                    f"{name} limits the rate: {reply.status} to {reply.request}",
                    remedy=f"try again in {wait_s:.0f} s" if wait_s is not None else "try again in a minute",
                    reason="busy",
                    retry_after_s=wait_s,
                )
            case 502 | 504 if effect:
                raise Unanswered(f"{answered}, so it may have been done", remedy="look before repeating")
            case status if status >= 500:
                raise Unavailable(
                    answered,
                    remedy=f"try again, and look at the status page of {name}",
                    reason="server_error",
                    retry_after_s=reply.retry_after_s,
                )
            case status if 300 <= status < 400:
                raise Refused(answered, remedy=f"set {setting} to where it leads", code="redirected")
            case status:
                raise Refused(answered, remedy=f"report this with the time to who runs Muster and {name}", code=f"http_{status}")


def prepare() -> None:
    """Do now what the first call of the process would otherwise stop the event loop for, about 100 ms in all.

    `bot.app` calls it at start-up: the first incident must not wait for certificates and imports.
    """
    if importlib.util.find_spec("sniffio") is None:  # httpcore asks for it at every lock; a module that is not there costs 0.2 ms
        sys.modules["sniffio"] = None  # type: ignore[assignment] # says so at once
    httpx.AsyncHTTPTransport(verify=tls_context())  # imports httpcore
    with contextlib.suppress(ImportError):  # httpcore imports it when it first connects
        importlib.import_module("anyio._backends._asyncio")


@functools.cache
def tls_context() -> ssl.SSLContext:
    """One for all clients, that of the mail included: reading the authorities' certificates takes some 40 ms.

    They are the system's, as they are for Slack: an authority of one's own, such as that of a company's proxy, has to be made
    known in one place.
    """
    return ssl.create_default_context()


def parse_retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a Retry-After header (a number or an HTTP date); None when it says nothing."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def checked_url(url: str, *, setting: str) -> str:
    """``url`` when it is plain http(s) with a host and without a user. Raises: ConfigError that names ``setting``."""
    problem = _url_problem(url)
    if problem:
        raise ConfigError(f"{setting}: the address {problem}; write http:// or https:// and a host")
    return url


def _url_problem(url: str) -> str:
    if not url.isprintable() or not url.isascii() or "\\" in url or " " in url:
        return "has a character that no URL has"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https"):
        return "does not begin with http:// or https://"
    if not host:
        return "has no host"
    return "carries a user or a password" if "@" in parts.netloc else ""


def _checked_base_url(endpoint: Endpoint) -> str:
    if not endpoint.base_url:
        return ""
    url = checked_url(endpoint.base_url, setting=endpoint.base_url_setting)
    if "?" in url or "#" in url:
        raise ConfigError(f"{endpoint.base_url_setting}: the address has a query or a fragment; cut it off")
    return url.rstrip("/")


def _headers_of(endpoint: Endpoint) -> dict[str, str]:
    headers = {"accept-encoding": "identity", "user-agent": "muster", **endpoint.headers}
    if endpoint.token is not None:
        secret = endpoint.token.get_secret_value()
        if not re.fullmatch(r"[\x21-\x7e]+", secret):  # h11 would print the header that it refuses
            raise ConfigError(f"{endpoint.token_setting}: has a blank or a character outside ASCII; copy it again")
        headers["authorization"] = f"{endpoint.token_prefix}{secret}" if not endpoint.user else _basic(endpoint.user, secret)
    return headers


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


_GUARD: ContextVar[Callable[[], None] | None] = ContextVar("guard", default=None)


@contextmanager
def guarded(check: Callable[[], None]) -> Iterator[None]:
    """In this, ``check`` is called for each call with an effect when the connection is there, the last moment before the first
    byte of the request leaves; what it raises comes out, and nothing was sent."""
    token = _GUARD.set(check)
    try:
        yield
    finally:
        _GUARD.reset(token)


def current_guard() -> Callable[[], None] | None:
    """What ``guarded`` set, for clients that speak something else than HTTP."""
    return _GUARD.get()


def _hook(check: Callable[[], None]) -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """httpcore tells what it does; "started" comes before it is done, and an exception there closes the connection."""

    async def trace(event: str, _info: Mapping[str, Any]) -> None:
        if event.endswith(".send_request_headers.started"):
            check()

    return trace


def _declared_bytes(value: str | None) -> int:
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,18}", value) else 0


def json_or_none(body: bytes) -> Any:
    """A body as JSON, None when it is something else."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # an error page of a proxy: there is no detail to read
        return None


def _in_brackets(detail: ErrorDetail) -> str:
    parts = [word_of(detail.code), f"trace {word_of(detail.trace_id)}" if word_of(detail.trace_id) else ""]
    said = ", ".join(part for part in parts if part)
    return f" ({said})" if said else ""


def _host_of(url: str) -> str:
    return urlsplit(url).netloc


def _reason_of(error: BaseException) -> UnavailableReason:
    """The deepest thing that is known about a failed exchange."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "timeout"
    found = list(_causes(error))
    kinds: tuple[tuple[type[BaseException], UnavailableReason], ...] = (
        (socket.gaierror, "dns"),
        (ssl.SSLError, "tls"),
        (ConnectionRefusedError, "refused"),
        (httpx.ReadError, "reset"),
        (httpx.WriteError, "reset"),
        (httpx.RemoteProtocolError, "reset"),
    )
    for kind, reason in kinds:
        if any(isinstance(cause, kind) for cause in found):
            return reason
    return "network"


def _causes(error: BaseException) -> Iterator[BaseException]:
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            pending.extend(current.exceptions)
        pending.extend(cause for cause in (current.__cause__, current.__context__) if cause is not None)


def _in_words(reason: UnavailableReason, timeout_s: float) -> str:
    return {
        "timeout": f"no complete answer within {timeout_s:g} s",
        "refused": "the connection was refused",
        "reset": "the connection broke",
        "tls": "no trusted TLS connection",
        "dns": "the name was not found",
    }.get(reason, "no connection")
