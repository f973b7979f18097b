"""Clerk's users as rows of the application's table: which column is made of what, and reading the users page by page.

Used by `bot.actions.resync`. The columns come from the runbook (`with`) or its service's variables, never from a message.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from pydantic import Field, field_validator

from bot.actions.clerk_bulk import LIMITS_PER_S, SLOWEST_PER_S
from bot.actions.clerk_sweep import BUCKET, SMALL_PAGE
from bot.actions.spec import ActionContext, ActionParams
from bot.domain.text import closest
from bot.providers.clerk import MAX_LIMIT, Account
from bot.providers.faults import Refused, Unavailable

NAME_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]{0,62}"
TABLE_PATTERN: Final = rf"^({NAME_PATTERN}\.)?{NAME_PATTERN}$"
TRAIL_LENGTH: Final = 20
"""So many of the last users are remembered: when the very last one is deleted, the walk goes on behind the one before."""
LONGEST_WAIT_S: Final = 30.0
MAX_WAITS: Final = 20
MAX_FAILURES: Final = 3
_DEFAULT_WAIT_S: Final = 1.0
SHARE: Final = 0.5
"""Of Clerk's limit; the application needs the rest."""
_GONE_CURSOR: Final = frozenset({"not_found", "unexpected", "http_400", "http_409", "http_410", "http_422"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else _EPOCH + timedelta(milliseconds=epoch_ms)


FIELDS: Final[Mapping[str, Callable[[Account], Any]]] = {
    "email": lambda account: account.primary_email,
    "first_name": lambda account: account.first_name,
    "last_name": lambda account: account.last_name,
    "banned": lambda account: account.banned,
    "created_at": lambda account: _moment(account.created_at),
    "updated_at": lambda account: _moment(account.updated_at),
    "last_sign_in_at": lambda account: _moment(account.last_sign_in_at),
}
"""What of a user a column can hold; the address is the primary one, or none."""
KEY: Final = "id"
NOW: Final = "now"
UUID: Final = "uuid"
_KNOWN: Final = (KEY, *FIELDS, NOW, UUID)


class UserTableParams(ActionParams):
    """The table of the application's users, and how it is filled."""

    table: str = Field(
        title="Table",
        description="The table of users in the application's database, as it is written there; capitals count.",
        pattern=TABLE_PATTERN,
        json_schema_extra={"placeholder": "public.users"},
    )
    columns: str = Field(
        title="Columns",
        description="column=field, separated by commas. Fields: id (needed, its column must be unique), email, first_name, "
        "last_name, banned, created_at, updated_at, last_sign_in_at; now is the time of the write, uuid a new id for a new row.",
        min_length=4,
        max_length=1_000,
        json_schema_extra={"placeholder": "clerk_id=id, email=email, first_name=first_name, updated_at=now"},
    )

    @field_validator("columns")
    @classmethod
    def _are_columns(cls, value: str) -> str:
        parse_columns(value)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names of columns. ``copied`` are (column, field)."""

    key: str
    copied: tuple[tuple[str, str], ...]
    stamped: tuple[str, ...]
    generated: tuple[str, ...]

    def row(self, account: Account) -> tuple[Any, ...]:
        """The values of a user: key, copied, generated."""
        copied = (FIELDS[field](account) for _, field in self.copied)
        return (account.id, *copied, *(str(uuid.uuid4()) for _ in self.generated))


def parse_columns(text: str) -> Columns:
    """ "clerk_id=id, email=email". Raises: ValueError that says what is wrong with it."""
    pairs: dict[str, str] = {}
    for part in text.split(","):
        found = re.fullmatch(rf"\s*({NAME_PATTERN})\s*=\s*([a-z_]+)\s*", part)
        if not found:
            raise ValueError("is not of the form column=field, column=field")
        column, field = found.groups()
        if field not in _KNOWN:
            near = closest(field, _KNOWN)
            raise ValueError(f"there is no field {field}; " + (f"did you mean {near}?" if near else f"use {', '.join(_KNOWN)}"))
        if column in pairs:
            raise ValueError(f"the column {column} comes twice")
        pairs[column] = field
    keys = [column for column, field in pairs.items() if field == KEY]
    if len(keys) != 1:
        raise ValueError("exactly one column is to hold the id of the user at Clerk: clerk_id=id")
    return Columns(
        key=keys[0],
        copied=tuple((column, field) for column, field in pairs.items() if field in FIELDS),
        stamped=tuple(column for column, field in pairs.items() if field == NOW),
        generated=tuple(column for column, field in pairs.items() if field == UUID),
    )


class Users:
    """Clerk's users, the oldest first, within half of Clerk's limit; a 429 is waited for.

    Every method raises Refused, Unavailable.
    """

    def __init__(self, context: ActionContext) -> None:
        self._clerk = context.providers.clerk()
        self._context = context
        self._limit = MAX_LIMIT
        key = context.providers.config.clerk_secret_key
        limit = LIMITS_PER_S.get(key.get_secret_value()[:8], SLOWEST_PER_S) if key else SLOWEST_PER_S
        self._per_s = limit * SHARE

    async def count(self) -> int:
        """How many there are."""
        return await self._patiently(self._clerk.count_users)

    async def behind(self, trail: Sequence[str]) -> tuple[tuple[Account, ...], bool]:
        """The next page, and whether it is the last one. ``trail`` are the last users so far, the newest last; () begins.

        Somebody of the trail may be deleted meanwhile, and Clerk not know any more what is behind them.
        """
        try:
            page = await self._behind(trail)
        except Refused as refusal:
            if refusal.code != "too_large" or self._limit == SMALL_PAGE:
                raise
            self._limit = SMALL_PAGE  # users may carry much that is not kept here
            page = await self._behind(trail)
        return page, len(page) < self._limit

    async def _behind(self, trail: Sequence[str]) -> tuple[Account, ...]:
        for number, user_id in enumerate(reversed(trail), start=1):
            try:
                return await self._patiently(partial(self._clerk.list_users, starting_after=user_id, limit=self._limit))
            except Refused as refusal:
                if refusal.code not in _GONE_CURSOR or number == len(trail):
                    raise
        return await self._patiently(partial(self._clerk.list_users, limit=self._limit))

    async def at(self, offset: int, *, most: int) -> tuple[Account, ...]:
        """Some users, from that place in the list on."""
        return await self._patiently(partial(self._clerk.list_users, offset=offset, limit=most))

    async def named(self, user_ids: Sequence[str]) -> tuple[Account, ...]:
        """Those of at most 100 that Clerk knows."""
        try:
            return await self._patiently(partial(self._clerk.list_users, user_ids=user_ids))
        except Refused as refusal:
            if refusal.code != "too_large" or len(user_ids) == 1:
                raise
        half = len(user_ids) // 2
        return (*await self.named(user_ids[:half]), *await self.named(user_ids[half:]))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """``call``, again after the wait that a 429 asks for, and up to three times when no answer comes."""
        waits, failures = 0, 0
        while True:
            await self._context.pace(BUCKET, self._per_s)
            try:
                return await call()
            except Unavailable as error:
                wait_s = _DEFAULT_WAIT_S if error.retry_after_s is None else error.retry_after_s
                waits, failures = (waits + 1, failures) if error.reason == "busy" else (waits, failures + 1)
                if wait_s > LONGEST_WAIT_S or waits > MAX_WAITS or failures >= MAX_FAILURES:
                    raise
                if error.reason == "busy":
                    await self._context.pause(BUCKET, wait_s)
                await self._context.sleep(wait_s)
