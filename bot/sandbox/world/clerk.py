"""A stand-in for Clerk: its Backend API, stateful and strict, and the part of its Frontend API that says how the instance is.

Shapes: Clerk's OpenAPI of 2026-05-12. Revoked sessions leave the list of active ones, pages are 10 long unless asked and
500 at most, the newest session comes first, a filter for `pending` does not exist, and a ban ends all sessions: what a
careless client gets wrong with the real one, it gets wrong here. Users are in `clerk_users`, settings in `clerk_instance`.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from bot.sandbox.world import clerk_data
from bot.sandbox.world.clerk_instance import ClerkInstance
from bot.sandbox.world.clerk_refusals import DEFAULT_LIMIT as DEFAULT_LIMIT
from bot.sandbox.world.clerk_refusals import MAX_LIMIT as MAX_LIMIT
from bot.sandbox.world.clerk_refusals import Params, RefusalError, not_found, page_of
from bot.sandbox.world.clerk_users import ClerkUsers
from bot.sandbox.world.switches import API_STATES, Switch

SECRET_KEY: Final = "sk_test_sandboxsecretkey"  # noqa: S105 - opens nothing but this stand-in
FRONTEND_HOST: Final = "sandbox.clerk.accounts.dev"
PUBLISHABLE_KEY: Final = "pk_test_" + base64.b64encode(f"{FRONTEND_HOST}$".encode()).decode()
SIGNING_SECRET: Final = "whsec_" + base64.b64encode(b"the sandbox signs with this").decode()
API_VERSION: Final = "2026-05-12"
STATUSES: Final = frozenset({"abandoned", "active", "ended", "expired", "removed", "replaced", "revoked"})
FRONTEND: Final = "/frontend"
"""Where the Frontend API is, below the mount point of the stand-in."""
UNLIMITED: Final = ("GET", "/v1/jwks")


class ClerkStandIn:
    """One Clerk instance.

    ``retry_after_s`` is what a 429 says; ``limited_calls`` answers so many further calls with 429 and then goes on;
    ``rate_limit`` is how many calls it takes in how many seconds (Clerk: 1,000 in 10 in production, 100 in development), None:
    any number; sessions in ``sticky`` are said to be revoked and stay active (the fault of an API that a client must survive);
    ``delays_s`` makes single paths slow ("/v1/jwks").
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._traces = itertools.count(1)
        self._taken_at: deque[float] = deque()
        self.api = Switch("Clerk's API", API_STATES)
        self.instance = ClerkInstance(clock)
        self.directory = ClerkUsers(clock, self.instance, self._end_sessions)
        self.sessions: dict[str, dict[str, Any]] = clerk_data.sessions(round(clock() * 1000))
        self.secret_key = SECRET_KEY
        self.retry_after_s = 2
        self.limited_calls = 0
        self.rate_limit: tuple[int, float] | None = None
        self.sticky: set[str] = set()
        self.delays_s: dict[str, float] = {}

    @property
    def users(self) -> dict[str, dict[str, Any]]:
        """The users by id."""
        return self.directory.users

    def live_sessions(self, user_id: str) -> list[str]:
        """Ids of the sessions of a user that are signed in."""
        return [
            session["id"]
            for session in self.sessions.values()
            if session["user_id"] == user_id and session["status"] in ("active", "pending")
        ]

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse:
        """Any call below ``/clerk``."""
        await asyncio.sleep(self.delays_s.get(path, 0.0))
        try:
            self._check_state()
            if path.startswith(f"{FRONTEND}/"):
                return web.json_response(self.instance.frontend(path.removeprefix(FRONTEND)))
            self._check_headers(request)
            self._check_rate(request.method, path)
            body = await _body_of(request)
            return web.json_response(self._result(request.method, tuple(path.strip("/").split("/")), request.query, body))
        except RefusalError as refusal:
            return self._refuse(refusal)
        except _WebPageError:
            return web.Response(text="<!doctype html><title>Sign in</title>", content_type="text/html")

    def _result(self, method: str, segments: tuple[str, ...], params: Params, body: Any) -> Any:
        match (method, *segments):
            case ("GET", "v1", "sessions"):
                return self._list(params)
            case ("GET", "v1", "sessions", session_id):
                return self._session(session_id)
            case ("POST", "v1", "sessions", session_id, "revoke"):
                return self._revoke(session_id)
            case (_, "v1", "users" | "organizations", *_):
                return self.directory.result(method, segments[1:], params, body)
            case (_, "v1", *_):
                return self.instance.result(method, segments[1:], body)
        raise not_found()

    def _list(self, params: Params) -> Any:
        if not params.get("user_id") and not params.get("client_id"):
            raise RefusalError(422, "form_param_missing", "user_id or client_id must be given")
        status = params.get("status")
        if status is not None and status not in STATUSES:
            raise RefusalError(422, "form_param_value_invalid", "status is not one of the known ones")
        found = [session for session in self.sessions.values() if _fits(session, params, status)]
        found.sort(key=lambda session: int(session["created_at"]), reverse=True)
        page = page_of(found, params)
        return {"data": page, "total_count": len(found)} if params.get("paginated") == "true" else page

    def _session(self, session_id: str) -> dict[str, Any]:
        if session_id not in self.sessions:
            raise not_found()
        return self.sessions[session_id]

    def _revoke(self, session_id: str) -> dict[str, Any]:
        session = self._session(session_id)
        if session["status"] not in ("active", "pending"):
            raise RefusalError(400, "session_not_active", "the session has ended")
        revoked = {**session, "status": "revoked", "tasks": None, "updated_at": round(self._clock() * 1000)}
        if session_id not in self.sticky:
            self.sessions[session_id] = revoked
        return revoked

    def _end_sessions(self, user_id: str) -> None:
        for session_id in self.live_sessions(user_id):
            self._revoke(session_id)

    def _check_state(self) -> None:
        if self.limited_calls > 0:
            self.limited_calls -= 1
            raise _too_many()
        match self.api.value:
            case "unauthorized":
                raise RefusalError(401, "authentication_invalid", "invalid authentication")
            case "rate_limited":
                raise _too_many()
            case "error":
                raise RefusalError(500, "internal_clerk_error", "something went wrong")
            case "html":
                raise _WebPageError

    def _check_headers(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {self.secret_key}":
            raise RefusalError(401, "authentication_invalid", "invalid authentication")
        if request.headers.get("Clerk-API-Version") != API_VERSION:
            raise RefusalError(400, "clerk_api_version_invalid", f"send Clerk-API-Version: {API_VERSION}")

    def _check_rate(self, method: str, path: str) -> None:
        """`GET /jwks` has no limit, as Clerk documents it."""
        if self.rate_limit is None or (method, path) == UNLIMITED:
            return
        most, window_s = self.rate_limit
        now = self._clock()
        while self._taken_at and self._taken_at[0] <= now - window_s:
            self._taken_at.popleft()
        if len(self._taken_at) >= most:
            raise _too_many()
        self._taken_at.append(now)

    def _refuse(self, refusal: RefusalError) -> web.Response:
        body = {
            "errors": [{"code": refusal.code, "message": refusal.message, "long_message": refusal.message, "meta": {}}],
            "clerk_trace_id": f"{next(self._traces):032x}",
        }
        headers = {"Retry-After": str(self.retry_after_s)} if refusal.status == 429 else {}
        return web.json_response(body, status=refusal.status, headers=headers)


class _WebPageError(Exception):
    """Something that is not Clerk answers."""


def _too_many() -> RefusalError:
    return RefusalError(429, "too_many_requests", "too many requests")


async def _body_of(request: web.Request) -> Any:
    """The JSON that was sent, None for nothing. Raises: RefusalError."""
    text = await request.text()
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise RefusalError(400, "request_body_invalid", "the body is no JSON") from error


def _fits(session: dict[str, Any], params: Params, status: str | None) -> bool:
    if status is not None and session["status"] != status:
        return False
    return all(session[key] == params[key] for key in ("user_id", "client_id") if params.get(key))
