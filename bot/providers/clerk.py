"""Clerk's Backend API: users, sessions, organizations, the instance. https://clerk.com/docs/reference/backend-api (2026-05-12)

Called by the actions on Clerk. Which sessions to end, and in which order, does not belong here. What is kept of a reply is
declared in `clerk_shapes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from bot.domain.errors import UserError
from bot.providers.clerk_shapes import (
    ACCOUNT_LIST,
    BLOCK_ID_PATTERN,
    ORGANIZATION_ID_PATTERN,
    SESSION_LIST,
    BlockedPage,
    Deleted,
    KeySet,
    Membership,
    MembershipPage,
    Protect,
    Restrictions,
    SessionPage,
    SessionStatus,
    Total,
    first_error,
)
from bot.providers.clerk_shapes import LIVE_STATUSES as LIVE_STATUSES
from bot.providers.clerk_shapes import SESSION_ID_PATTERN as SESSION_ID_PATTERN
from bot.providers.clerk_shapes import USER_ID_PATTERN as USER_ID_PATTERN
from bot.providers.clerk_shapes import Account as Account
from bot.providers.clerk_shapes import BlockedIdentifier as BlockedIdentifier
from bot.providers.clerk_shapes import Instance as Instance
from bot.providers.clerk_shapes import LiveSessions as LiveSessions
from bot.providers.clerk_shapes import Restriction as Restriction
from bot.providers.clerk_shapes import Session as Session
from bot.providers.clerk_shapes import User as User
from bot.providers.clerk_shapes import checked_id as checked_id
from bot.providers.config import CLERK_API_URL, CLERK_SECRET_KEY
from bot.providers.faults import Refused, Unanswered
from bot.providers.http import DEFAULT_TIMEOUT_S, Endpoint, ErrorDetail, ProviderHttp

API_VERSION: Final = "2026-05-12"

MAX_LIMIT: Final = 500
"""Largest page of every list; the default is 10."""
MAX_PAGES: Final = 20
MAX_NAMED: Final = 100
"""So many ids or addresses may be named in one `GET /users`."""
_NOT_FROM_CLERK: Final = frozenset({"not_json", "too_large", "encoded"})

Reply = TypeVar("Reply", bound=BaseModel)


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

    # -- the instance ----------------------------------------------------------------------------------------------

    async def ping(self) -> int:
        """How many signing keys the instance has: the cheapest read that needs the secret key (`GET /jwks` has no rate limit)."""
        return len(await self.key_ids())

    async def key_ids(self) -> tuple[str, ...]:
        """Which keys session tokens are signed with."""
        return tuple(key.kid for key in (await self._get(KeySet, "jwks")).keys)

    async def get_instance(self) -> Instance:
        """The instance that the secret key opens."""
        return await self._get(Instance, "instance")

    async def get_protect(self) -> Protect:
        """Whether the rules of Clerk Protect are applied."""
        return await self._get(Protect, "instance", "protect")

    async def set_protect(self, *, rules_enabled: bool) -> Protect:
        """Apply the rules of Clerk Protect, or no more. Safe to repeat."""
        return await self._change(Protect, "PATCH", "instance", "protect", json_body={"rules_enabled": rules_enabled})

    async def set_restrictions(self, changes: Mapping[Restriction, bool]) -> Restrictions:
        """Turn restrictions of sign-up on and off; what is not named stays as it is. Safe to repeat."""
        return await self._change(Restrictions, "PATCH", "instance", "restrictions", json_body=dict(changes))

    async def list_blocked(self) -> tuple[BlockedIdentifier, ...]:
        """The whole blocklist. Raises: also Refused (payment_required) when the plan has none."""
        return (await self._get(BlockedPage, "blocklist_identifiers")).data

    async def block(self, identifier: str) -> BlockedIdentifier:
        """Put an e-mail address, a domain or a number on the blocklist. Not to be repeated without a look."""
        return await self._change(BlockedIdentifier, "POST", "blocklist_identifiers", json_body={"identifier": identifier})

    async def unblock(self, block_id: str) -> Literal["removed", "gone"]:
        """Take an entry off the blocklist; "gone" when there is none of that id. Safe to repeat."""
        try:
            await self._change(Deleted, "DELETE", "blocklist_identifiers", checked_id(block_id, BLOCK_ID_PATTERN))
        except Refused as refusal:
            if refusal.code != "not_found":
                raise
            return "gone"
        return "removed"

    # -- users -----------------------------------------------------------------------------------------------------

    async def get_user(self, user_id: str) -> User:
        """Raises: Refused with the code not_found when Clerk has no such user."""
        return await self._get(User, "users", checked_id(user_id, USER_ID_PATTERN))

    async def get_account(self, user_id: str) -> Account:
        """The user with what tells accounts apart. Raises: Refused with the code not_found when Clerk has no such user."""
        return await self._get(Account, "users", checked_id(user_id, USER_ID_PATTERN))

    async def list_users(
        self,
        *,
        limit: int = MAX_LIMIT,
        offset: int = 0,
        order_by: str = "+created_at",
        query: str = "",
        user_ids: Sequence[str] = (),
        emails: Sequence[str] = (),
        starting_after: str = "",
    ) -> tuple[Account, ...]:
        """One page of users, the oldest first, so that who signs up meanwhile comes at the end.

        Long lists are walked with ``starting_after``, the id of the last user of the page before (and no ``offset``): its cost
        does not grow, and users who are deleted meanwhile shift nothing. ``user_ids`` and ``emails`` name at most 100 each; who
        is not found is left out. ``query`` matches parts of addresses, names and ids.

        Raises: also UserError for ids that are none, and too many of them.
        """
        params: dict[str, str | int | Sequence[str]] = {"limit": limit, "order_by": order_by}
        if max(len(user_ids), len(emails)) > MAX_NAMED:
            raise UserError(f"Clerk finds at most {MAX_NAMED} users by id or address at once; ask for fewer")
        if user_ids:
            params["user_id"] = [checked_id(user_id, USER_ID_PATTERN) for user_id in user_ids]
        if emails:
            params["email_address"] = list(emails)
        if query:
            params["query"] = query
        if starting_after:
            params["starting_after"] = checked_id(starting_after, USER_ID_PATTERN)
        else:
            params["offset"] = offset
        body = await self._http.get_json("users", params=params)
        try:
            found = ACCOUNT_LIST.validate_python(body)
        except ValidationError as error:
            raise _unexpected("GET /v1/users") from error
        return _only_named(found, user_ids, emails)

    async def count_users(self, *, query: str = "") -> int:
        """How many users there are; ``query`` as for `list_users`."""
        return (await self._get(Total, "users", "count", params={"query": query} if query else None)).total_count

    async def ban(self, user_id: str) -> Account:
        """Nobody can sign in as this user any more, and all their sessions end. Safe to repeat.

        Raises: also Refused (payment_required) when the plan has no bans.
        """
        return await self._change(Account, "POST", "users", checked_id(user_id, USER_ID_PATTERN), "ban")

    async def unban(self, user_id: str) -> Account:
        """The user can sign in again. Safe to repeat."""
        return await self._change(Account, "POST", "users", checked_id(user_id, USER_ID_PATTERN), "unban")

    async def set_password_compromised(self, user_id: str, *, revoke_all_sessions: bool) -> Account:
        """The user has to choose a new password at the next sign-in. Safe to repeat."""
        path = ("users", checked_id(user_id, USER_ID_PATTERN), "password", "set_compromised")
        return await self._change(Account, "POST", *path, json_body={"revoke_all_sessions": revoke_all_sessions})

    async def unset_password_compromised(self, user_id: str) -> Account:
        """The user may keep the password. Safe to repeat."""
        path = ("users", checked_id(user_id, USER_ID_PATTERN), "password", "unset_compromised")
        return await self._change(Account, "POST", *path)

    async def memberships_of(self, user_id: str) -> tuple[Membership, ...]:
        """The organizations of a user, and their role in each."""
        path = ("users", checked_id(user_id, USER_ID_PATTERN), "organization_memberships")
        return (await self._get(MembershipPage, *path, params={"limit": MAX_LIMIT})).memberships()

    async def count_members(self, organization_id: str, *, role: str) -> int:
        """How many members of an organization have a role."""
        path = ("organizations", checked_id(organization_id, ORGANIZATION_ID_PATTERN), "memberships")
        return (await self._get(MembershipPage, *path, params={"role": [role], "limit": 1})).total_count

    # -- sessions --------------------------------------------------------------------------------------------------

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
            page = SESSION_LIST.validate_python(body)
        except ValidationError as error:
            raise _unexpected("GET /v1/sessions") from error
        return _only_of(user_id, page.data if isinstance(page, SessionPage) else page)

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
            await self._changed("POST", *path, "revoke")
        except Refused as refusal:
            if refusal.code == "not_found" or (refusal.code == "http_400" and not await self._is_live(path)):
                return "gone"
            raise
        return "revoked"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _is_live(self, path: tuple[str, ...]) -> bool:
        return (await self._get(Session, *path)).is_live

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

    # -- calls -----------------------------------------------------------------------------------------------------

    async def _get(self, shape: type[Reply], *path: str, params: Mapping[str, str | int | Sequence[str]] | None = None) -> Reply:
        body = await self._http.get_json(*path, params=params)
        try:
            return shape.model_validate(body)
        except ValidationError as error:
            raise _unexpected(f"GET /v1/{_without_ids(path)}") from error

    async def _changed(self, method: str, *path: str, json_body: Any = None) -> Any:
        """The JSON that a call with an effect was answered with. Raises: Unanswered when something else than JSON came."""
        try:
            return self._http.json_of(await self._http.call(method, *path, json_body=json_body, effect=True))
        except Refused as refusal:
            if refusal.code in _NOT_FROM_CLERK:  # something answered, perhaps not Clerk
                raise Unanswered(refusal.what, remedy=refusal.remedy) from refusal
            raise

    async def _change(self, shape: type[Reply], method: str, *path: str, json_body: Any = None) -> Reply:
        body = await self._changed(method, *path, json_body=json_body)
        try:
            return shape.model_validate(body)
        except ValidationError as error:
            refusal = _unexpected(f"{method} /v1/{_without_ids(path)}")
            raise Unanswered(refusal.what, remedy=refusal.remedy) from error


def error_detail(body: Any) -> ErrorDetail:
    """First code and trace id of an error body of Clerk's; free text is not repeated."""
    code, trace_id = first_error(body)
    return ErrorDetail(code=code, trace_id=trace_id)


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


def _only_named(found: tuple[Account, ...], user_ids: Sequence[str], emails: Sequence[str]) -> tuple[Account, ...]:
    """The accounts, when all of them are among those that were named: a lost filter must not hit everybody."""
    wanted = {email.casefold() for email in emails}
    strangers = [
        account
        for account in found
        if (user_ids and account.id not in user_ids)
        or (wanted and not any(email.email_address.casefold() in wanted for email in account.email_addresses))
    ]
    if strangers:
        raise Refused(
            "Clerk answered with other users than those that were asked for; none of them was touched",
            remedy=f"check {CLERK_API_URL}: something on the way drops the filter",
            code="unexpected",
        )
    return found


def _without_ids(path: Iterable[str]) -> str:
    return "/".join("{id}" if "_" in part and part.split("_")[0] in ("user", "sess", "org", "blid") else part for part in path)


def _unexpected(request: str) -> Refused:
    return Refused(
        f"Clerk answered {request} in a shape that Muster does not know",
        remedy=f"check {CLERK_API_URL}, and whether there is a newer Muster",
        code="unexpected",
    )
