"""Clerk's Backend API: users and sessions. https://clerk.com/docs/reference/backend-api (version 2026-05-12)

Called by `bot.actions.clerk`. Which sessions to end, and in which order, does not belong here. Everything that is kept
of a reply is declared below; e-mail addresses, names and metadata of users are dropped as they come in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from bot.domain.errors import UserError
from bot.providers.config import CLERK_API_URL, CLERK_SECRET_KEY
from bot.providers.faults import Refused, Unanswered
from bot.providers.http import DEFAULT_TIMEOUT_S, Endpoint, ErrorDetail, ProviderHttp

API_VERSION: Final = "2026-05-12"
USER_ID_PATTERN: Final = r"^user_[A-Za-z0-9]{1,64}$"
SESSION_ID_PATTERN: Final = r"^sess_[A-Za-z0-9]{1,64}$"
LIVE_STATUSES: Final = frozenset({"active", "pending"})
"""A pending session is signed in with a task left to do (choose an organization, set up a second factor)."""

MAX_LIMIT: Final = 500
"""Largest page of `GET /sessions`; its default is 10."""
MAX_PAGES: Final = 20

SessionStatus = Literal["abandoned", "active", "ended", "expired", "removed", "replaced", "revoked"]
"""What `GET /sessions` can filter by; `pending` is not among them, although sessions can be."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Activity(_Kept):
    """Where a session was last used, as far as Clerk could tell."""

    device_type: str | None = None
    browser_name: str | None = None
    is_mobile: bool = False
    city: str | None = None
    country: str | None = None


class Session(_Kept):
    """A sign-in on one device. Moments are milliseconds since 1970; ``status`` may be a word not known yet."""

    id: str
    user_id: str
    status: str
    last_active_at: int | None = None
    created_at: int | None = None
    latest_activity: Activity | None = None

    @property
    def is_live(self) -> bool:
        return self.status in LIVE_STATUSES


class User(_Kept):
    """A user, without anything that says who they are."""

    id: str
    banned: bool = False
    locked: bool = False


class LiveSessions(_Kept):
    """The sessions of a user that are signed in. ``complete`` is False when there may be more than could be read."""

    sessions: tuple[Session, ...]
    complete: bool = True


class _Page(_Kept):
    """`GET /sessions?paginated=true`; without that parameter, which Muster never sends, the list comes bare."""

    data: tuple[Session, ...]


class _Key(_Kept):
    """Public key of the instance; what it is does not matter here."""

    kid: str


class _KeySet(_Kept):
    keys: tuple[_Key, ...]


_SESSION_LIST: TypeAdapter[_Page | tuple[Session, ...]] = TypeAdapter(_Page | tuple[Session, ...])


class ClerkClient:
    """One Clerk instance. Every method raises Refused, Unavailable; those that change something also Unanswered."""

    def __init__(self, secret_key: SecretStr, *, api_url: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        trimmed = api_url.rstrip("/")
        self._http = ProviderHttp(
            Endpoint(
                name="Clerk",
                base_url=trimmed if trimmed.endswith("/v1") else f"{trimmed}/v1",
                base_url_setting=CLERK_API_URL,
                token=secret_key,
                token_setting=CLERK_SECRET_KEY,
                headers={"clerk-api-version": API_VERSION, "accept": "application/json"},
            ),
            detail=error_detail,
            timeout_s=timeout_s,
        )

    async def ping(self) -> int:
        """How many signing keys the instance has: the cheapest read that needs the secret key (`GET /jwks` has no rate limit)."""
        try:
            return len(_KeySet.model_validate(await self._http.get_json("jwks")).keys)
        except ValidationError as error:
            raise _unexpected("GET /v1/jwks") from error

    async def get_user(self, user_id: str) -> User:
        """Raises: Refused with the code not_found when Clerk has no such user."""
        path = ("users", checked_id(user_id, USER_ID_PATTERN))
        try:
            return User.model_validate(await self._http.get_json(*path))
        except ValidationError as error:
            raise _unexpected("GET /v1/users/{id}") from error

    async def list_sessions(
        self, user_id: str, *, status: SessionStatus | None = None, limit: int = MAX_LIMIT, offset: int = 0
    ) -> tuple[Session, ...]:
        """One page of a user's sessions, newest first; ``status`` None: of every status, `pending` included.

        Ending a session takes it out of the list of active ones, so who ends sessions must read offset 0 again and
        again: moving on skips half of them.
        """
        params: dict[str, str | int] = {
            "user_id": checked_id(user_id, USER_ID_PATTERN),
            "limit": limit,
            "offset": offset,
        }
        if status is not None:
            params["status"] = status
        body = await self._http.get_json("sessions", params=params)
        try:
            page = _SESSION_LIST.validate_python(body)
        except ValidationError as error:
            raise _unexpected("GET /v1/sessions") from error
        return _only_of(user_id, page.data if isinstance(page, _Page) else page)

    async def list_live_sessions(self, user_id: str) -> LiveSessions:
        """Every active and every pending session of a user, newest first.

        The active ones come from their own filter; for `pending`, which no filter has, all statuses are read.
        """
        active, active_complete = await self._all_pages(user_id, "active")
        every, every_complete = await self._all_pages(user_id, None)
        live = {session.id: session for session in (*active, *every) if session.is_live}
        newest_first = sorted(live.values(), key=lambda session: session.created_at or 0, reverse=True)
        return LiveSessions(sessions=tuple(newest_first), complete=active_complete and every_complete)

    async def revoke_session(self, session_id: str) -> Literal["revoked", "gone"]:
        """End one session; "gone" when it had ended, or does not exist. Safe to repeat.

        Clerk does not document what it answers about a session that has ended already, so a 400 is looked up instead of
        being read by its text.

        Raises: also Unanswered, when no usable answer came; the list of live sessions then tells.
        """
        path = ("sessions", checked_id(session_id, SESSION_ID_PATTERN))
        try:
            reply = await self._http.call("POST", *path, "revoke", effect=True)
            self._http.json_of(reply)
        except Refused as refusal:
            if refusal.code == "not_found" or (refusal.code == "http_400" and not await self._is_live(path)):
                return "gone"
            if refusal.code in ("not_json", "too_large", "encoded"):  # something answered, perhaps not Clerk
                raise Unanswered(refusal.what, remedy=refusal.remedy) from refusal
            raise
        return "revoked"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _is_live(self, path: tuple[str, ...]) -> bool:
        try:
            return Session.model_validate(await self._http.get_json(*path)).is_live
        except ValidationError as error:
            raise _unexpected("GET /v1/sessions/{id}") from error

    async def _all_pages(self, user_id: str, status: SessionStatus | None) -> tuple[tuple[Session, ...], bool]:
        """All sessions of a status, and whether that is all: pages are limited, and must bring something new."""
        found: dict[str, Session] = {}
        for page_number in range(MAX_PAGES):
            page = await self.list_sessions(user_id, status=status, offset=page_number * MAX_LIMIT)
            fresh = {session.id: session for session in page if session.id not in found}
            found |= fresh
            if len(page) < MAX_LIMIT:
                return tuple(found.values()), True
            if not fresh:
                break
        return tuple(found.values()), False


def checked_id(value: str, pattern: str) -> str:
    """``value`` when it is an id of that pattern. Raises: UserError, before anything is sent."""
    if not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value):
        kind = pattern.removeprefix("^").split("_")[0]
        raise UserError(f"that is not a Clerk {kind} id; copy the one that begins with {kind}_ from Clerk's Dashboard")
    return value


def error_detail(body: Any) -> ErrorDetail:
    """First code and trace id of ``{errors: [{code, message, …}], clerk_trace_id}``; free text is not repeated."""
    if not isinstance(body, dict):
        return ErrorDetail()
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    return ErrorDetail(code=str(first.get("code", "")), trace_id=str(body.get("clerk_trace_id", "")))


def _only_of(user_id: str, sessions: Iterable[Session]) -> tuple[Session, ...]:
    """The sessions, when all are of this user: a filter lost on the way must not end the sessions of others."""
    checked = tuple(sessions)
    if any(session.user_id != user_id for session in checked):
        raise Refused(
            f"Clerk answered with sessions of somebody else than {user_id}; none of them was touched",
            remedy=f"check {CLERK_API_URL}: something on the way drops the filter",
            code="unexpected",
        )
    return checked


def _unexpected(request: str) -> Refused:
    return Refused(
        f"Clerk answered {request} in a shape that Muster does not know",
        remedy=f"check {CLERK_API_URL}, and whether there is a newer Muster",
        code="unexpected",
    )
