"""A stand-in for Clerk's Backend API: users and sessions, stateful and strict. Shapes: Clerk's OpenAPI of 2026-05-12.

Revoked sessions leave the list of active ones, pages are 10 long unless asked and 500 at most, the newest session comes
first, and a filter for `pending` does not exist: what a careless client gets wrong with the real one, it gets wrong
here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from bot.sandbox.world import clerk_data
from bot.sandbox.world.switches import API_STATES, Switch

SECRET_KEY: Final = "sk_test_sandboxsecretkey"  # noqa: S105 - opens nothing but this stand-in
API_VERSION: Final = "2026-05-12"
STATUSES: Final = frozenset({"abandoned", "active", "ended", "expired", "removed", "replaced", "revoked"})
DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 500

Params = dict[str, str]


class RefusalError(Exception):
    """An error answer: status, Clerk's code, and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class ClerkStandIn:
    """One Clerk instance.

    ``retry_after_s`` is what a 429 says; ``limited_calls`` answers so many further calls with 429 and then goes on;
    sessions in ``sticky`` are said to be revoked and stay active (the fault of an API that a client must survive).
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        now_ms = round(clock() * 1000)
        self._clock = clock
        self._traces = itertools.count(1)
        self.api = Switch("Clerk's API", API_STATES)
        self.users: dict[str, dict[str, Any]] = clerk_data.users(now_ms)
        self.sessions: dict[str, dict[str, Any]] = clerk_data.sessions(now_ms)
        self.retry_after_s = 2
        self.limited_calls = 0
        self.sticky: set[str] = set()

    def live_sessions(self, user_id: str) -> list[str]:
        """Ids of the sessions of a user that are signed in."""
        return [
            session["id"]
            for session in self.sessions.values()
            if session["user_id"] == user_id and session["status"] in ("active", "pending")
        ]

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse:
        """Any call below ``/clerk``."""
        try:
            self._check_state()
            self._check_headers(request)
            return web.json_response(self._result(request.method, path.strip("/").split("/"), dict(request.query)))
        except RefusalError as refusal:
            return self._refuse(refusal)
        except _WebPageError:
            return web.Response(text="<!doctype html><title>Sign in</title>", content_type="text/html")

    def _result(self, method: str, segments: list[str], params: Params) -> Any:
        match (method, *segments):
            case ("GET", "v1", "jwks"):
                return {"keys": [{"kid": "ins_sandbox", "kty": "RSA", "use": "sig", "alg": "RS256", "n": "AQAB", "e": "AQAB"}]}
            case ("GET", "v1", "sessions"):
                return self._list(params)
            case ("GET", "v1", "sessions", session_id):
                return self._session(session_id)
            case ("POST", "v1", "sessions", session_id, "revoke"):
                return self._revoke(session_id)
            case ("GET", "v1", "users", user_id):
                if user_id not in self.users:
                    raise RefusalError(404, "resource_not_found", "not found")
                return self.users[user_id]
        raise RefusalError(404, "resource_not_found", "no such path")

    def _list(self, params: Params) -> Any:
        if not params.get("user_id") and not params.get("client_id"):
            raise RefusalError(422, "form_param_missing", "user_id or client_id must be given")
        status = params.get("status")
        if status is not None and status not in STATUSES:
            raise RefusalError(422, "form_param_value_invalid", "status is not one of the known ones")
        limit = _number(params, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
        offset = _number(params, "offset", default=0, least=0, most=1_000_000)
        found = [session for session in self.sessions.values() if _fits(session, params, status)]
        found.sort(key=lambda session: int(session["created_at"]), reverse=True)
        page = found[offset : offset + limit]
        return {"data": page, "total_count": len(found)} if params.get("paginated") == "true" else page

    def _session(self, session_id: str) -> dict[str, Any]:
        if session_id not in self.sessions:
            raise RefusalError(404, "resource_not_found", "not found")
        return self.sessions[session_id]

    def _revoke(self, session_id: str) -> dict[str, Any]:
        session = self._session(session_id)
        if session["status"] not in ("active", "pending"):
            raise RefusalError(400, "session_not_active", "the session has ended")
        revoked = {**session, "status": "revoked", "tasks": None, "updated_at": round(self._clock() * 1000)}
        if session_id not in self.sticky:
            self.sessions[session_id] = revoked
        return revoked

    def _check_state(self) -> None:
        if self.limited_calls > 0:
            self.limited_calls -= 1
            raise RefusalError(429, "too_many_requests", "too many requests")
        match self.api.value:
            case "unauthorized":
                raise RefusalError(401, "authentication_invalid", "invalid authentication")
            case "rate_limited":
                raise RefusalError(429, "too_many_requests", "too many requests")
            case "error":
                raise RefusalError(500, "internal_clerk_error", "something went wrong")
            case "html":
                raise _WebPageError

    def _check_headers(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {SECRET_KEY}":
            raise RefusalError(401, "authentication_invalid", "invalid authentication")
        if request.headers.get("Clerk-API-Version") != API_VERSION:
            raise RefusalError(400, "clerk_api_version_invalid", f"send Clerk-API-Version: {API_VERSION}")

    def _refuse(self, refusal: RefusalError) -> web.Response:
        body = {
            "errors": [{"code": refusal.code, "message": refusal.message, "long_message": refusal.message, "meta": {}}],
            "clerk_trace_id": f"{next(self._traces):032x}",
        }
        headers = {"Retry-After": str(self.retry_after_s)} if refusal.status == 429 else {}
        return web.json_response(body, status=refusal.status, headers=headers)


class _WebPageError(Exception):
    """Something that is not Clerk answers."""


def _fits(session: dict[str, Any], params: Params, status: str | None) -> bool:
    if status is not None and session["status"] != status:
        return False
    return all(session[key] == params[key] for key in ("user_id", "client_id") if params.get(key))


def _number(params: Params, name: str, *, default: int, least: int, most: int) -> int:
    text = params.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or not least <= int(text) <= most:
        raise RefusalError(422, "form_param_value_invalid", f"{name} must be {least} to {most}")
    return int(text)
