"""The users of the sandbox's Clerk: lists with their filters, bans, passwords that are known to others, organizations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bot.sandbox.world import clerk_data
from bot.sandbox.world.clerk_instance import ClerkInstance
from bot.sandbox.world.clerk_refusals import Params, RefusalError, not_found, page_of, switches_of

_MOST_NAMED: Final = 100
_ORDERS: Final = ("created_at", "updated_at", "last_active_at", "last_sign_in_at")


class ClerkUsers:
    """``compromised`` are the ids of those who must choose a new password. ``end_sessions`` ends all those of a user."""

    def __init__(self, clock: Callable[[], float], instance: ClerkInstance, end_sessions: Callable[[str], None]) -> None:
        now_ms = round(clock() * 1000)
        self._clock = clock
        self._instance = instance
        self._end_sessions = end_sessions
        self.users: dict[str, dict[str, Any]] = clerk_data.users(now_ms)
        self.memberships: list[dict[str, Any]] = clerk_data.memberships(now_ms)
        self.compromised: set[str] = set()

    def result(self, method: str, path: tuple[str, ...], params: Params, body: Any) -> Any:
        """What a call below /users or /organizations is answered. Raises: RefusalError."""
        match (method, *path):
            case ("GET", "users"):
                return self._list(params)
            case ("GET", "users", "count"):
                return {"object": "total_count", "total_count": len(self._filtered(params))}
            case ("GET", "users", user_id):
                return self._user(user_id)
            case ("POST", "users", user_id, "ban"):
                self._instance.needs("ban")
                self._end_sessions(self._user(user_id)["id"])
                return self._changed(user_id, banned=True)
            case ("POST", "users", user_id, "unban"):
                self._instance.needs("ban")
                return self._changed(user_id, banned=False)
            case ("POST", "users", user_id, "password", "set_compromised"):
                return self._set_compromised(user_id, body)
            case ("POST", "users", user_id, "password", "unset_compromised"):
                self._with_password(user_id)
                self.compromised.discard(user_id)
                return self._changed(user_id)
            case ("GET", "users", user_id, "organization_memberships"):
                self._user(user_id)
                return _paged([one for one in self.memberships if one["public_user_data"]["user_id"] == user_id], params)
            case ("GET", "organizations", organization_id, "memberships"):
                return self._members(organization_id, params)
        raise not_found()

    def _user(self, user_id: str) -> dict[str, Any]:
        if user_id not in self.users:
            raise not_found()
        return self.users[user_id]

    def _with_password(self, user_id: str) -> None:
        if not self._user(user_id)["password_enabled"]:
            raise RefusalError(400, "no_password_set", "the user has no password")

    def _changed(self, user_id: str, **changes: Any) -> dict[str, Any]:
        self.users[user_id] = {**self._user(user_id), **changes, "updated_at": round(self._clock() * 1000)}
        return self.users[user_id]

    def _set_compromised(self, user_id: str, body: Any) -> dict[str, Any]:
        self._with_password(user_id)
        ends_sessions = switches_of({} if body is None else body, ("revoke_all_sessions",)).get("revoke_all_sessions", False)
        self.compromised.add(user_id)
        if ends_sessions:
            self._end_sessions(user_id)
        return self._changed(user_id)

    def _list(self, params: Params) -> list[dict[str, Any]]:
        order = params.get("order_by", "-created_at")
        key = order.lstrip("+-")
        if key not in _ORDERS:
            raise RefusalError(422, "form_param_value_invalid", f"order_by must be one of {', '.join(_ORDERS)}")
        found = sorted(self._filtered(params), key=lambda user: (user[key] or 0, user["id"]), reverse=order.startswith("-"))
        cursor = params.get("starting_after")
        if cursor is not None:
            if key != "created_at" or params.get("offset", "0") != "0":
                raise RefusalError(422, "form_param_value_invalid", "a cursor goes with the order of creation, and no offset")
            last = self._user(cursor)
            place = (last["created_at"], last["id"])
            descending = order.startswith("-")
            found = [user for user in found if ((user["created_at"], user["id"]) < place) is descending and user is not last]
        return page_of(found, params)

    def _filtered(self, params: Params) -> list[dict[str, Any]]:
        ids, emails = params.getall("user_id", []), params.getall("email_address", [])
        if max(len(ids), len(emails)) > _MOST_NAMED:
            raise RefusalError(422, "form_param_value_invalid", f"at most {_MOST_NAMED} can be named")
        query = params.get("query", "").casefold()
        return [
            user
            for user in self.users.values()
            if (not ids or user["id"] in ids)
            and (not emails or {email.casefold() for email in emails} & set(_emails_of(user)))
            and (not query or any(query in text for text in (user["id"].casefold(), *_emails_of(user), *_names_of(user))))
        ]

    def _members(self, organization_id: str, params: Params) -> dict[str, Any]:
        roles = params.getall("role", [])
        found = [
            one
            for one in self.memberships
            if one["organization"]["id"] == organization_id and (not roles or one["role"] in roles)
        ]
        return _paged(found, params)


def _paged(found: list[dict[str, Any]], params: Params) -> dict[str, Any]:
    return {"data": page_of(found, params), "total_count": len(found)}


def _emails_of(user: dict[str, Any]) -> list[str]:
    return [email["email_address"].casefold() for email in user["email_addresses"]]


def _names_of(user: dict[str, Any]) -> list[str]:
    return [name.casefold() for name in (user["first_name"], user["last_name"], user["username"]) if name]
