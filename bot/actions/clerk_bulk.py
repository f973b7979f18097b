"""Signing out many users of Clerk at once: a list of them, whoever a query finds, or everyone. Declared in `bot.actions.clerk`.

Here are the parameters, the preview and the honest count at the end; how sessions are ended is in `bot.actions.clerk_sweep`.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, JsonValue, StringConstraints, field_validator, model_validator

from bot.actions.clerk_sessions import STILL_VALID
from bot.actions.clerk_sweep import (
    AGAIN,
    BUCKET,
    BUDGET_S,
    ROW,
    TOKEN_LIFE_S,
    Sweep,
    sessions_text,
    users_after,
    users_text,
)
from bot.actions.spec import ActionContext, ActionParams, ActionSpec
from bot.domain.errors import UserError
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.providers.clerk import MAX_NAMED, USER_ID_PATTERN
from bot.providers.config import CLERK_SECRET_KEY
from bot.providers.foreign import moment_of
from bot.services.jobs import way_of

LIMITS_PER_S: Final = {"sk_live_": 100.0, "sk_test_": 10.0}
"""1,000 calls in 10 s to a production instance, 100 to a development instance, for everybody who uses the secret key, the
application first of all. https://clerk.com/docs/guides/how-clerk-works/system-limits"""
SLOWEST_PER_S: Final = 10.0
MOST_IDS: Final = 10_000
MOST_PREVIEWED: Final = 2_000
"""So many users are listed for a preview; of more only their number is asked for."""
SAMPLE: Final = 20
"""So many users' sessions are counted for a preview."""
MOST_SHOWN: Final = 50
CALLS_EACH: Final = 3
"""Reads of a user's sessions, beside a call for each session: what there is, that nothing is left, and the second look."""
MOST_ACCOUNTS: Final = 1_000
REPORT_ROWS: Final = 5_000
_CSV_HEAD: Final = (
    *("session_id", "user_id", "status", "created_at", "last_active_at"),
    *("ip_address", "city", "country", "device", "browser", "end"),
)

UserId = Annotated[str, StringConstraints(pattern=USER_ID_PATTERN)]
T = TypeVar("T")
End = Literal["revoked", "gone", "active", "open"]


class EverywhereParams(ActionParams):
    """Whose sessions end: exactly one of ``user_ids``, ``query`` and ``everyone``. Nothing said is nobody, never everybody."""

    user_ids: tuple[UserId, ...] = Field(
        default=(),
        title="User ids",
        description=f"The ids of the users at Clerk, one per line; each begins with user_. At most {MOST_IDS:,}.",
        max_length=MOST_IDS,
        json_schema_extra={"placeholder": "user_…"},
    )
    query: str = Field(
        default="",
        title="Or: users found by",
        description="A part of an e-mail address, a name, a phone number or an id, at least 3 letters or digits long.",
        max_length=100,
        json_schema_extra={"placeholder": "@company.example"},
    )
    everyone: bool = Field(
        default=False, title="Or: everyone", description="Every user of the Clerk instance has to sign in again."
    )
    exclude: tuple[UserId, ...] = Field(
        default=(),
        title="Except",
        description="The ids of users whose sessions stay, one per line. The protected accounts of policy.yml always stay.",
        max_length=MOST_IDS,
        json_schema_extra={"placeholder": "user_…"},
    )
    share_percent: int = Field(
        default=50,
        title="Share of Clerk's rate limit in %",
        description="The application needs the rest of it: 50 leaves it half. From 5 to 80.",
        ge=5,
        le=80,
    )

    @field_validator("user_ids", "exclude", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """One text with an id per line, or with commas, is a list too. Twice the same is once."""
        found = re.split(r"[\s,;]+", value.strip()) if isinstance(value, str) else value
        return tuple(dict.fromkeys(item for item in found if item != "")) if isinstance(found, list | tuple) else found

    @field_validator("query")
    @classmethod
    def _narrow(cls, value: str) -> str:
        value = value.strip()
        if value and sum(letter.isalnum() for letter in value) < 3:
            raise ValueError("needs at least 3 letters or digits; to sign out every user say everyone")
        return value

    @model_validator(mode="after")
    def _one_scope(self) -> EverywhereParams:
        if sum((bool(self.user_ids), bool(self.query), self.everyone)) != 1:
            raise ValueError("say exactly one of user_ids, query and everyone: nothing is nobody")
        return self

    @property
    def scope(self) -> str:
        """Whom it is about, in words."""
        if self.everyone:
            return "everyone"
        return f"whoever “{self.query}” finds" if self.query else f"{users_text(len(self.user_ids))} by id"


def bulk_actions() -> tuple[ActionSpec, ...]:
    """The action of this file."""
    return (
        ActionSpec(
            name="clerk.revoke_everywhere",
            title="Revoke the sessions of many users",
            risk=Risk.DESTRUCTIVE,
            params=EverywhereParams,
            run=revoke_everywhere,
            preview=preview_everywhere,
            look=look_everywhere,
            settings=(CLERK_SECRET_KEY,),
            deadline_s=BUDGET_S + 600.0,
            idempotency="natural",
        ),
    )


async def preview_everywhere(params: EverywhereParams, context: ActionContext) -> Preview:
    """How many users, their sessions (of the first ``SAMPLE``), and who is left alone.

    Raises: UserError when nobody is left to be signed out; Refused, Unavailable.
    """
    found = await _Found.look(params, context)
    spared = await spared_of(params, context)
    users = [user_id for user_id in found.user_ids if user_id not in spared]
    there = spared.keys() & set(found.user_ids)  # whoever is excluded and was not seen may not exist, and makes nobody fewer
    count = len(users) if found.total is None else max(0, found.total - len(there))
    if not count:
        raise UserError(f"Nobody would be signed out: {params.scope} is nobody, or only users who are left alone.")
    sample = users[:SAMPLE]
    counted = [await found.count_sessions(user_id) for user_id in sample]
    ended = sum(counted)
    everybody = len(sample) == count
    if everybody and not ended:
        return Preview(summary=f"{users_text(count)} ({params.scope}), no sessions; nothing would change.", nothing_to_do=True)
    sessions = sessions_text(ended) if everybody else "all sessions"
    lines = [f"{user_id} · {sessions_text(number)}" for user_id, number in zip(sample, counted, strict=True)]
    if not everybody:
        more = [f"{user_id} · sessions not counted" for user_id in users[SAMPLE:MOST_SHOWN]]
        rest = count - len(lines) - len(more)
        lines += [*more, *([f"… and {users_text(rest)} more"] if rest else [])]
        lines.insert(0, f"The first {len(sample)} of {users_text(count)} have {sessions_text(ended)}.")
    lines += [f"Left alone: {user_id} ({why})" for user_id, why in spared.items()]
    lines += [f"Not found at Clerk: {user_id}" for user_id in found.missing]
    lines.append("Who signs in after the confirmation stays signed in.")
    calls = count * CALLS_EACH + count * ended / len(sample)
    per_s = _per_s(params, context)
    minutes = math.ceil(max(TOKEN_LIFE_S, calls / per_s) / 60)
    lines.append(f"Takes about {minutes} min: {per_s:g} calls a second, {params.share_percent} % of Clerk's limit.")
    return Preview(
        summary=f"{sessions[:1].upper()}{sessions[1:]} of {users_text(count)} ({params.scope}) end; {STILL_VALID}.",
        items=tuple(lines),
        confirm_label=f"Sign out {users_text(count)}",
        accounts=tuple(users) if found.total is None else (),
        affects=count,
    )


async def revoke_everywhere(params: EverywhereParams, context: ActionContext) -> Outcome:
    """End every session that began before the confirmation, twice looked at. Safe to run again at any time.

    `ok` only when the second look showed nobody left, `failing` when sessions are still active or somebody stopped it,
    `unknown` when users could not be looked at.
    """
    sweep = await _sweep(params, context)
    await sweep.run()
    return _outcome(params, await _Book.read(context), sweep.halt)


async def look_everywhere(params: EverywhereParams, context: ActionContext) -> Outcome:
    """Whether sessions from before the confirmation are live; ends none. Of the users that the run had come to know."""
    sweep = await _sweep(params, context)
    found = await sweep.look()
    unseen = {user_id: why for user_id, why in found.items() if isinstance(why, str)}
    live = {user_id: count for user_id, count in found.items() if isinstance(count, int) and count}
    left = sum(live.values())
    facts: dict[str, str | int | bool | None] = {"users": len(found), "still_active": None if unseen else left}
    if live:
        return Outcome(
            state=State.FAILING,
            value=f"{left:,} still active",
            summary=f"{sessions_text(left)} of {users_text(len(live))} from before the confirmation still active",
            details=tuple(f"{user_id} · {sessions_text(count)}" for user_id, count in live.items()),
            remedy="Run it again",
            facts=facts,
        )
    if unseen or not found:
        why = next(iter(unseen.values()), "the run has not found any user yet")
        return Outcome(
            state=State.UNKNOWN,
            value="unknown",
            summary=f"{users_text(len(unseen))} could not be looked at: {why}",
            remedy="Look again in a minute, or run it again",
            facts=facts,
        )
    summary = f"No session from before the confirmation is left of {users_text(len(found))}"
    return Outcome(state=State.OK, value="0 active", summary=summary, facts=facts)


async def spared_of(params: EverywhereParams, context: ActionContext) -> dict[str, str]:
    """Whose sessions stay, and why; policy.yml names accounts by id or by address. Raises: Refused, Unavailable."""
    excluded = dict.fromkeys(params.exclude, "excluded")
    names = sorted(context.run.protected)
    emails = [name for name in names if "@" in name]
    clerk = context.providers.clerk()
    pages = [await clerk.list_users(emails=emails[start : start + MAX_NAMED]) for start in range(0, len(emails), MAX_NAMED)]
    ids = [name for name in names if re.fullmatch(USER_ID_PATTERN, name)]
    protected = dict.fromkeys([*ids, *(account.id for page in pages for account in page)], "protected")
    spared = excluded | protected
    return {user_id: why for user_id, why in spared.items() if not params.user_ids or user_id in params.user_ids}


async def _sweep(params: EverywhereParams, context: ActionContext) -> Sweep:
    return Sweep(
        context,
        per_s=_per_s(params, context),
        user_ids=params.user_ids,
        query=params.query,
        spared=await spared_of(params, context),
    )


def _per_s(params: EverywhereParams, context: ActionContext) -> float:
    key = context.providers.config.clerk_secret_key
    limit = LIMITS_PER_S.get(key.get_secret_value()[:8], SLOWEST_PER_S) if key else SLOWEST_PER_S
    return limit * params.share_percent / 100


class _Found:
    """Whom a preview found. ``total`` is None when ``user_ids`` are all of them."""

    def __init__(self, context: ActionContext, per_s: float) -> None:
        self._clerk = context.providers.clerk()
        self._pace = context.pace
        self._per_s = per_s
        self.user_ids: list[str] = []
        self.missing: list[str] = []
        self.total: int | None = None

    @classmethod
    async def look(cls, params: EverywhereParams, context: ActionContext) -> _Found:
        """Ask Clerk. Raises: Refused, Unavailable."""
        found = cls(context, _per_s(params, context))
        await (found._named(params.user_ids) if params.user_ids else found._listed(params.query))
        return found

    async def count_sessions(self, user_id: str) -> int:
        """How many live sessions a user has, of the newest ``MAX_LIMIT``."""
        return sum(session.is_live for session in await self._ask(lambda: self._clerk.list_sessions(user_id)))

    async def _named(self, user_ids: tuple[str, ...]) -> None:
        for start in range(0, len(user_ids), MAX_NAMED):
            asked = user_ids[start : start + MAX_NAMED]
            there = {user.id for user in await self._ask(lambda: self._clerk.list_users(user_ids=asked))}  # noqa: B023
            self.user_ids += [user_id for user_id in asked if user_id in there]
            self.missing += [user_id for user_id in asked if user_id not in there]

    async def _listed(self, query: str) -> None:
        is_last = False
        while not is_last:
            if len(self.user_ids) >= MOST_PREVIEWED:
                self.total = await self._ask(lambda: self._clerk.count_users(query=query))
                return
            cursor = self.user_ids[-1] if self.user_ids else ""
            page, is_last = await users_after(cursor, query=query, clerk=self._clerk, ask=self._ask)
            self.user_ids += page
            is_last = is_last or not page

    async def _ask(self, call: Callable[[], Awaitable[T]], /) -> T:
        await self._pace(BUCKET, self._per_s)
        return await call()


# -- the honest count --------------------------------------------------------------------------------------------------


class _Book:
    """What the job says at the end. ``rows``: what each session looked like; ``users``: how each user ended at last."""

    def __init__(self, notes: Mapping[str, JsonValue], ended: Mapping[str, str], left: int) -> None:
        self.finished = bool(notes.get("finished"))
        self.rows = {name.removeprefix(ROW): row for name, row in notes.items() if name.startswith(ROW) and isinstance(row, list)}
        first = {item: how for item, how in ended.items() if item.startswith("user_")}
        again = {item.removeprefix(AGAIN): how for item, how in ended.items() if item.startswith(AGAIN)}
        self.users = first | again
        self.left = left
        """Users who were not come to, in the first look or in the second."""
        self.waiting = 0 if notes.get("again") else left
        """Those of the first look."""
        self._ended = ended

    @classmethod
    async def read(cls, context: ActionContext) -> _Book:
        """Of the run of this context."""
        return cls(await context.job.notes(), await context.job.ended(), await context.job.left())

    def end_of(self, session_id: str) -> End:
        """What became of a session: who was gone when it was to be ended, and whose end an interruption kept from being written
        down, had ended all the same when the list was read."""
        how = way_of(self._ended.get(session_id, ""))
        if how == "revoked":
            return "revoked"
        user = way_of(self.users.get(str(self.rows[session_id][0]), "open"))
        if how == "gone" or user in ("clear", "missing"):
            return "gone"
        return "active" if how == "failed" and user == "active" else "open"

    @property
    def unwritten(self) -> int:
        """Sessions that are over, and of which nobody knows who ended them."""
        return sum(session_id not in self._ended and self.end_of(session_id) == "gone" for session_id in self.rows)

    def with_end(self, word: str) -> list[str]:
        """The users who ended so."""
        return [user_id for user_id, how in self.users.items() if way_of(how) == word]

    def why(self, user_id: str) -> str:
        """The reason behind an end."""
        return self.users[user_id].partition(": ")[2]


def _outcome(params: EverywhereParams, book: _Book, halt: tuple[str, str] | None) -> Outcome:
    ends = Counter(book.end_of(session_id) for session_id in book.rows)
    active, unread, missing, skipped = (book.with_end(word) for word in ("active", "unread", "missing", "skipped"))
    seen = not unread and book.finished
    facts: dict[str, str | int | bool | None] = {
        "users_planned": len(book.users) + book.waiting,
        "users_done": len(book.with_end("clear")) + len(missing),
        "users_failed": len(active) + len(unread),
        "users_skipped": len(skipped),
        "users_not_reached": book.waiting,
        "revoked": ends["revoked"],
        "already_gone": ends["gone"],
        "failed": ends["active"],
        "still_active": ends["active"] if seen else None,
    }
    done = f"{sessions_text(ends['revoked'])} of {users_text(len(book.with_end('clear')))} revoked"
    already = f" ({ends['gone']:,} had ended already)" if ends["gone"] else ""
    unsaid = f"{sessions_text(book.unwritten)} ended while an attempt was interrupted; counted as ended already"
    details = (
        *([unsaid] if book.unwritten else []),
        *(f"Still active: {user_id}: {book.why(user_id)}" for user_id in active),
        *(f"Not known: {user_id}: {book.why(user_id)}" for user_id in unread),
        *(f"Not found at Clerk: {user_id}" for user_id in missing),
        *(f"Left alone: {user_id} ({book.why(user_id)})" for user_id in skipped),
    )
    state, value, summary, remedy = _verdict(book, ends, halt, done=f"{done}{already}")
    return Outcome(
        state=state,
        value=value,
        summary=summary,
        details=details,
        remedy=remedy,
        facts=facts,
        accounts=() if params.everyone else tuple(dict.fromkeys(str(row[0]) for row in book.rows.values()))[:MOST_ACCOUNTS],
        report=_report(book),
    )


def _verdict(book: _Book, ends: Counter[End], halt: tuple[str, str] | None, *, done: str) -> tuple[State, str, str, str]:
    """(state, value, summary, remedy)."""
    why, remedy = halt or ("", "")
    is_nobody = all(way_of(how) == "missing" for how in book.users.values())
    if is_nobody and not book.left:
        return State.FAILING, "nobody found", f"Nobody was found, so nothing was done{': ' if why else ''}{why}", remedy
    if ends["active"]:
        again = "Run it again; when sessions keep coming back, ban the users"
        summary = f"{done}, {ends['active']:,} still active{': ' if why else ''}{why}"
        return State.FAILING, f"{ends['active']:,} still active", summary, remedy or again
    if book.waiting or (why and not book.finished):
        where = f"{users_text(book.waiting)} not reached" if book.waiting else f"{users_text(book.left)} not looked at once more"
        return State.FAILING, where, f"{done}; it ended before its end, {where}: {why}", remedy or "Run it again"
    unread = book.with_end("unread")
    if unread:
        summary = f"{done}; {users_text(len(unread))} could not be looked at: {book.why(unread[0])}"
        return State.UNKNOWN, f"{users_text(len(unread))} unknown", summary, remedy or "Run it again, which is safe"
    if not book.finished:
        return State.UNKNOWN, f"{ends['revoked']:,} revoked", f"{done}; nobody looked once more", "Run it again, which is safe"
    return State.OK, f"{ends['revoked']:,} revoked", f"{done}, none is left; {STILL_VALID}", ""


def _report(book: _Book) -> str:
    """The sessions as they were before they were ended, as CSV; "" when there were none."""
    if not book.rows:
        return ""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_CSV_HEAD)
    for session_id, row in list(book.rows.items())[:REPORT_ROWS]:
        user_id, status, created_at, last_active_at, *seen = row
        moments = [moment_of(value) if isinstance(value, int) else "" for value in (created_at, last_active_at)]
        table.writerow([_cell(part) for part in (session_id, user_id, status, *moments, *seen, book.end_of(session_id))])
    more = len(book.rows) - REPORT_ROWS
    if more > 0:
        table.writerow([f"{more} more are kept with the run for 30 days"])
    return text.getvalue()


def _cell(value: JsonValue) -> str:
    """A browser's name comes from whoever used it; a spreadsheet must not take it for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text
