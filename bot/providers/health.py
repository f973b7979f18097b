"""The health endpoint of an application: `GET` and *read* it. And its pages, as somebody without a session meets them.

Called by `bot.actions.http` and `bot.actions.bypass`.
The endpoint of Clerk's observability pattern answers HTTP 200 also when it is unhealthy
(`{status: healthy|degraded|unhealthy, checks: {name: {status, latency}}, timestamp}`), so the status line alone proves
nothing, and a `HEAD` even less. What the application wrote in free text is not kept.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from bot.providers.faults import Refused, Unavailable, UnavailableReason
from bot.providers.foreign import foreign_text
from bot.providers.http import Endpoint, ProviderHttp, Reply, checked_url

TIMEOUT_S: Final = 10.0
MAX_BYTES: Final = 256 * 1024
PAGE_MAX_BYTES: Final = 8 * 1024 * 1024

URL_SETTING: Final = "the url of the step"
PAGE_SETTING: Final = "app_url of the service"
BYPASS_HEADER: Final = "x-auth-bypass"
"""An application whose emergency bypass is on sends it with every answer."""
_CLERK_REASON: Final = "x-clerk-auth-reason"
_SIGN_IN: Final = re.compile(r"sign[-_]?in|log[-_]?in|/auth(/|\?|$)|accounts\.|redirect_url", re.IGNORECASE)

_GOOD: Final = frozenset({"healthy", "ok", "up", "pass", "passing", "operational"})
_BAD: Final = frozenset({"degraded", "unhealthy", "error", "down", "fail", "failing", "failed", "warn", "critical"})
_MAX_CHECKS: Final = 30


@dataclass(frozen=True)
class HealthCheck:
    """One line of the report: its name, the word it reports, and what that word means here."""

    name: str
    status: str
    verdict: Literal["good", "bad", "unrecognised"]
    latency_ms: int | None = None


@dataclass(frozen=True)
class HealthReading:
    """What it said. ``status`` is its own word, or what happened instead ("HTTP 503", "connection refused")."""

    healthy: bool
    status: str
    checks: tuple[HealthCheck, ...] = ()
    http_status: int | None = None
    duration_ms: int | None = None


@dataclass(frozen=True)
class Visit:
    """What somebody without a session met. ``open``: the page itself (2xx); ``refused``: they have to sign in; ``unclear``:
    neither can be told from ``said`` ("HTTP 500", "no answer within 10 s"). ``says_bypass`` is False also when nobody answered.
    """

    access: Literal["open", "refused", "unclear"]
    said: str
    answered: bool = True
    says_bypass: bool = False


class HealthClient:
    """Probes any application: the address comes with each call, from a runbook and its service's variables only."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_BYTES) -> None:
        self._timeout_s = timeout_s
        self._http = ProviderHttp(
            Endpoint(name="The health endpoint", base_url="", base_url_setting=URL_SETTING),
            timeout_s=timeout_s,
            max_bytes=max_bytes,
        )
        self._pages = ProviderHttp(
            Endpoint(name="The application", base_url="", base_url_setting=PAGE_SETTING),
            timeout_s=timeout_s,
            max_bytes=PAGE_MAX_BYTES,
        )

    async def visit(self, url: str) -> Visit:
        """`GET` a page without a session; a redirect is not followed. Nothing of the page is kept.

        Raises: ConfigError: not an http(s) address.
        """
        checked_url(url, setting=PAGE_SETTING)
        try:
            reply = await self._pages.fetch("GET", url)
        except Unavailable as error:
            return Visit(access="unclear", said=_silence(error.reason, self._timeout_s), answered=False)
        except Refused as refusal:
            return Visit(access="unclear", said=refusal.what, answered=False)
        says_bypass = reply.headers.get(BYPASS_HEADER, "").strip().casefold() not in ("", "0", "false", "off", "no")
        access, said = _access(reply)
        return Visit(access=access, said=said, says_bypass=says_bypass)

    async def probe(self, url: str) -> HealthReading:
        """Whether the application says it is well.

        A refused, broken or untrusted connection, silence and 5xx are what users of the application meet as well, so
        they are readings (not healthy). What says nothing about the application is raised instead.

        Raises:
            ConfigError: not an http(s) address.
            Unavailable: the name was not found, the network is gone, or 429.
            Refused: it answered, but not with a health report (a redirect, 401, 403, 404, a web page, too much).
        """
        checked_url(url, setting=URL_SETTING)
        try:
            reply = await self._http.fetch("GET", url)
        except Unavailable as error:
            if error.reason in ("refused", "timeout", "reset", "tls"):
                return HealthReading(healthy=False, status=_silence(error.reason, self._timeout_s))
            raise
        if reply.status == 429:
            raise Unavailable(
                f"{_where(reply)} limits the rate (429)",
                remedy="try again in a minute",
                reason="busy",
                retry_after_s=reply.retry_after_s,
            )
        report = _report_of(reply)
        if reply.status >= 500:
            return _reading(reply, report, healthy=False)
        if reply.status != 200 or report is None:
            raise _no_report(reply)
        return _reading(reply, report, healthy=None)

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._pages.aclose()


def _silence(reason: UnavailableReason, timeout_s: float) -> str:
    return {
        "refused": "connection refused",
        "timeout": f"no answer within {timeout_s:g} s",
        "reset": "connection broken",
        "tls": "no trusted TLS connection",
        "dns": "the name was not found",
    }.get(reason, "no connection")


def _access(reply: Reply) -> tuple[Literal["open", "refused", "unclear"], str]:
    """Clerk's middleware answers who has no session with a redirect to the sign-in, or, to what is no page, with a 404 that it
    gives a reason. Any other 404 may be a wrong path, any other redirect may lead to the page itself."""
    said = f"HTTP {reply.status}"
    if 200 <= reply.status < 300:
        return "open", said
    if reply.status in (401, 403):
        return "refused", said
    if reply.status == 404 and "protect" in reply.headers.get(_CLERK_REASON, ""):
        return "refused", f"{said} from Clerk's middleware"
    if 300 <= reply.status < 400 and _SIGN_IN.search(reply.headers.get("location", "")):
        return "refused", f"{said}, sent to the sign-in"
    return "unclear", said


def _reading(reply: Reply, report: dict[str, Any] | None, *, healthy: bool | None) -> HealthReading:
    """``healthy`` None: the report decides. A bad check outweighs a good status; an unknown word is never good."""
    word = foreign_text(report.get("status"), max_chars=40).casefold() if report else ""
    checks = _checks_of(report.get("checks")) if report else ()
    verdicts = {_verdict(word), *(check.verdict for check in checks)}
    if healthy is None:
        if "bad" not in verdicts and "unrecognised" in verdicts:
            raise Refused(
                f"{_where(reply)} reports a status that Muster does not know",
                remedy="open it yourself; healthy, degraded and unhealthy are known",
                code="unexpected",
            )
        healthy = "bad" not in verdicts
    status = word if word and reply.status == 200 else f"HTTP {reply.status}" + (f", {word}" if word else "")
    return HealthReading(healthy=healthy, status=status, checks=checks, http_status=reply.status, duration_ms=reply.duration_ms)


def _report_of(reply: Reply) -> dict[str, Any] | None:
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):  # a web page, or half a report: the caller says so
        return None
    return body if isinstance(body, dict) and isinstance(body.get("status"), str) else None


def _checks_of(value: Any) -> tuple[HealthCheck, ...]:
    """Both known forms: ``{auth: {status, latency}}`` and ``{auth: "ok"}``, the latter also as true and false."""
    if not isinstance(value, dict):
        return ()
    return tuple(_check(foreign_text(name, max_chars=40), found) for name, found in list(value.items())[:_MAX_CHECKS])


def _check(name: str, found: Any) -> HealthCheck:
    status = found.get("status") if isinstance(found, dict) else found
    latency = found.get("latency") if isinstance(found, dict) else None
    if isinstance(status, bool):
        status = "ok" if status else "failing"
    word = foreign_text(status, max_chars=40).casefold()
    return HealthCheck(name=name, status=word or "?", verdict=_verdict(word), latency_ms=_milliseconds(latency))


def _milliseconds(value: Any) -> int | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return round(value)
    return None


def _verdict(word: str) -> Literal["good", "bad", "unrecognised"]:
    if word in _GOOD:
        return "good"
    return "bad" if word in _BAD else "unrecognised"


def _where(reply: Reply) -> str:
    return f"The health endpoint {re.sub(r'^GET ', '', reply.request)}"


def _no_report(reply: Reply) -> Refused:
    remedies = {
        401: "let it answer without a sign-in",
        403: "let it answer without a sign-in",
        404: "check the path in the step's url",
    }
    code = {401: "unauthorized", 403: "forbidden", 404: "not_found", 200: "not_json"}.get(reply.status, "unexpected")
    if 300 <= reply.status < 400:
        return Refused(
            f"{_where(reply)} redirects ({reply.status}), so its report was not seen",
            remedy="check that the path is public and that the url of the step is the final address",
            code="redirected",
        )
    return Refused(
        f"{_where(reply)} answered {reply.status} without a health report",
        remedy=remedies.get(reply.status, "check the url of the step: JSON with a status is expected"),
        code=code,
    )
