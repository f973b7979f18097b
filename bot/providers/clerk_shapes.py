"""What is kept of Clerk's replies, and the patterns of its ids. Shapes: https://clerk.com/docs/reference/backend-api

Used by `bot.providers.clerk`; everything that is not declared here is dropped as it comes in. What could say who somebody
is stands in `Account` and `Activity` only, and never in a repr.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bot.domain.errors import UserError

USER_ID_PATTERN: Final = r"^user_[A-Za-z0-9]{1,64}$"
SESSION_ID_PATTERN: Final = r"^sess_[A-Za-z0-9]{1,64}$"
ORGANIZATION_ID_PATTERN: Final = r"^org_[A-Za-z0-9]{1,64}$"
BLOCK_ID_PATTERN: Final = r"^blid_[A-Za-z0-9]{1,64}$"
LIVE_STATUSES: Final = frozenset({"active", "pending"})
"""A pending session is signed in with a task left to do (choose an organization, set up a second factor)."""

SessionStatus = Literal["abandoned", "active", "ended", "expired", "removed", "replaced", "revoked"]
"""What `GET /sessions` can filter by; `pending` is not among them, although sessions can be."""

Restriction = Literal["blocklist", "block_disposable_email_domains", "block_email_subaddresses"]
"""The restrictions of sign-up that Muster knows, as `PATCH /instance/restrictions` calls them."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)


class Activity(_Kept):
    """Where a session was last used, as far as Clerk could tell. ``ip_address`` is for the record of an incident."""

    device_type: str | None = None
    browser_name: str | None = None
    is_mobile: bool = False
    ip_address: str | None = Field(default=None, repr=False)
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


class EmailAddress(_Kept):
    """One of the addresses of an account."""

    id: str
    email_address: str = Field(repr=False)


class Account(User):
    """A user as those see them who must tell accounts apart, copy them or write to them. Moments are milliseconds since 1970.

    ``requires_password_reset`` is None where Clerk does not say it.
    """

    primary_email_address_id: str | None = None
    email_addresses: tuple[EmailAddress, ...] = Field(default=(), repr=False)
    first_name: str | None = Field(default=None, repr=False)
    last_name: str | None = Field(default=None, repr=False)
    password_enabled: bool = False
    two_factor_enabled: bool = False
    requires_password_reset: bool | None = None
    created_at: int | None = None
    updated_at: int | None = None
    last_sign_in_at: int | None = None

    @property
    def primary_email(self) -> str | None:
        """The address that Clerk calls the primary one; None when there is none. The first of the list is just any."""
        found = [email.email_address for email in self.email_addresses if email.id == self.primary_email_address_id]
        return found[0] if found else None


class LiveSessions(_Kept):
    """The sessions of a user that are signed in. ``complete`` is False when there may be more than could be read."""

    sessions: tuple[Session, ...]
    complete: bool = True


class Membership(_Kept):
    """What a user is in an organization: ``role`` is "org:admin" for its administrators."""

    organization_id: str
    role: str
    user_id: str = ""


class Instance(_Kept):
    """What a secret key opens. ``environment_type`` is "production", "development" or "staging"."""

    id: str
    environment_type: str = ""


class Protect(_Kept):
    """`GET /instance/protect`: whether the rules of Clerk Protect are applied."""

    rules_enabled: bool


class Restrictions(_Kept):
    """What `PATCH /instance/restrictions` answers; there is no call that only reads it."""

    blocklist: bool
    block_email_subaddresses: bool
    block_disposable_email_domains: bool


class BlockedIdentifier(_Kept):
    """An entry of the blocklist."""

    id: str
    identifier: str = Field(repr=False)


class SigningKey(_Kept):
    """Public key of the instance; only which one it is matters here."""

    kid: str


class SessionPage(_Kept):
    """`GET /sessions?paginated=true`; without that parameter, which Muster never sends, the list comes bare."""

    data: tuple[Session, ...]


class KeySet(_Kept):
    """`GET /jwks`, of the Backend API and of the Frontend API."""

    keys: tuple[SigningKey, ...]


class Total(_Kept):
    """`GET /users/count`."""

    total_count: int


class BlockedPage(_Kept):
    """`GET /blocklist_identifiers`: all of them."""

    data: tuple[BlockedIdentifier, ...]


class Deleted(_Kept):
    """The answer to a DELETE."""

    deleted: bool


class _Organization(_Kept):
    id: str


class _PublicUserData(_Kept):
    user_id: str


class _MembershipReply(_Kept):
    role: str
    organization: _Organization
    public_user_data: _PublicUserData | None = None


class MembershipPage(_Kept):
    """`GET /users/{id}/organization_memberships` and `GET /organizations/{id}/memberships`."""

    data: tuple[_MembershipReply, ...]
    total_count: int

    def memberships(self) -> tuple[Membership, ...]:
        """The entries, flat."""
        return tuple(
            Membership(
                organization_id=entry.organization.id,
                role=entry.role,
                user_id=entry.public_user_data.user_id if entry.public_user_data else "",
            )
            for entry in self.data
        )


_SILENT: Final = ConfigDict(hide_input_in_errors=True)
SESSION_LIST: TypeAdapter[SessionPage | tuple[Session, ...]] = TypeAdapter(SessionPage | tuple[Session, ...], config=_SILENT)
ACCOUNT_LIST: TypeAdapter[tuple[Account, ...]] = TypeAdapter(tuple[Account, ...], config=_SILENT)


def checked_id(value: str, pattern: str) -> str:
    """``value`` when it is an id of that pattern. Raises: UserError, before anything is sent."""
    if not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value):
        kind = pattern.removeprefix("^").split("_")[0]
        raise UserError(f"that is not a Clerk {kind} id; copy the one that begins with {kind}_ from Clerk's Dashboard")
    return value


def first_error(body: Any) -> tuple[str, str]:
    """First code and trace id of ``{errors: [{code, message, …}], clerk_trace_id}``; free text is not repeated."""
    if not isinstance(body, dict):
        return "", ""
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    return str(first.get("code", "")), str(body.get("clerk_trace_id", ""))
