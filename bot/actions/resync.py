"""Copying Clerk's users into the application's own table, and comparing the two. Declared in `bot.actions.application`.

What is written is a state (insert what is not there, update what differs), so a run that was killed goes on where its notes
say, and a page that is written twice is the same page. Rows of users who are gone at Clerk are found and listed; nothing here
deletes anything. It ends with a look at both sides: their numbers, and rows from anywhere in the list.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import Field

from bot.actions.resync_book import Book, Examined, counted_rows, counted_users, differences, facts_of, finished, halted, stopped
from bot.actions.spec import ActionContext
from bot.actions.user_table import TRAIL_LENGTH, Columns, Users, UserTableParams, parse_columns
from bot.domain.errors import MusterError
from bot.domain.outcome import Outcome, Preview, State
from bot.domain.text import closest
from bot.providers.clerk import MAX_NAMED, Account
from bot.providers.clerk_shapes import USER_ID_PATTERN
from bot.providers.config import DATABASE_URL
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.services.jobs import MemoryJob

if TYPE_CHECKING:  # psycopg is imported by whoever has a database
    from bot.providers.app_database import DatabaseSession, Layout, Table

BATCH: Final = 100
"""Rows in one transaction: short enough that nobody waits for it."""
KEYS_AT_ONCE: Final = 5_000
PREVIEW_BUDGET_S: Final = 20.0
COUNT_TIMEOUT_S: Final = 30.0
MOST_REJECTED: Final = 500
"""So many rows that the database does not take say that the columns are wrong; then it stops."""
MOST_SEEN: Final = 200_000
"""So many ids are held in memory; of the others Clerk is asked once more."""
MOST_LISTED: Final = 1_000
SAMPLE_PAGES: Final = 5

log = structlog.get_logger(__name__)


class CheckParams(UserTableParams):
    """`application.check_users`."""

    sample: int = Field(
        default=100,
        title="Sampled users",
        description="How many users from anywhere in the list are compared column by column.",
        ge=1,
        le=500,
    )


async def preview_resync(params: UserTableParams, context: ActionContext) -> Preview:
    """How many users would be inserted and updated, and how many rows are of nobody any more; reads only.

    Raises: Refused when the table, a column, the unique index or a right is missing.
    """
    context = replace(context, job=MemoryJob())  # the notes are those of the run that may follow
    users = Users(context)
    async with context.providers.app_database().session() as session:
        sync = await _Sync.begin(session, users, params, context)
        await sync.check(writing=True)
        ends_at = asyncio.get_running_loop().time() + PREVIEW_BUDGET_S
        total = await users.count()
        found: Counter[str] = Counter()
        items: list[str] = []
        trail: list[str] = []
        complete = False
        while not complete and asyncio.get_running_loop().time() < ends_at:
            page, complete = await users.behind(trail)
            trail = _trail(trail, page)
            for account, is_ in zip(page, await sync.compare(page), strict=True):
                found[is_] += 1
                if is_ != "same" and len(items) < MOST_LISTED:
                    items.append(f"{account.id}: {'would be inserted' if is_ == 'new' else 'would be updated'}")
            sync.remember(page)
        if complete:
            await sync.find_gone(ends_at=ends_at)
            items += [f"{user_id}: a row of nobody at Clerk; it stays" for user_id in sync.book.gone_ids]
            complete = sync.book.phase == "done"
    return _previewed(sync, found, total, items, complete=complete)


def _previewed(sync: _Sync, found: Counter[str], total: int, items: Sequence[str], *, complete: bool) -> Preview:
    compared = found.total()
    seen = counted_users(compared) if complete else f"the first {compared:,} of {counted_users(total)}"
    gone = f"{counted_rows(sync.book.gone)} of nobody at Clerk stay{'s' if sync.book.gone == 1 else ''}"
    rest = gone if complete else "the others, and rows of nobody at Clerk, are looked at when it runs"
    return Preview(
        summary=f"Of {seen} at Clerk {found['new']:,} would be inserted into {sync.table} and {found['different']:,} updated; "
        f"{found['same']:,} are the same; {rest}. Nothing is deleted.",
        items=tuple(items),
        confirm_label="Copy the users",
        nothing_to_do=complete and not found["new"] and not found["different"],
    )


async def resync_users(params: UserTableParams, context: ActionContext) -> Outcome:
    """Copy every user; safe to run again at any time, and to go on with.

    `ok` only when a last look shows a row for each user and no difference; `failing` when one is seen, or rows were not taken.
    """
    users = Users(context)
    book = Book.of(await context.job.notes())
    async with context.providers.app_database().session() as session:
        sync = await _Sync.begin(session, users, params, context, book)
        await sync.check(writing=True)
        try:
            examined = await sync.complete()
        except (Refused, Unavailable, Unanswered) as error:
            return halted(sync.book, error)
    if examined is None:
        return stopped(sync.book)
    return finished(sync.book, examined, table=str(sync.table))


async def check_users(params: CheckParams, context: ActionContext) -> Outcome:
    """Whether the table agrees with Clerk, by the numbers of both and some users compared; changes nothing."""
    users = Users(context)
    async with context.providers.app_database().session() as session:
        sync = await _Sync.begin(session, users, params, context)
        await sync.check(writing=False)
        examined = await sync.examine(params.sample)
    facts = facts_of(examined)
    details = differences(examined)
    if examined.differing:
        compared = f"{len(examined.differing)} of {counted_users(examined.sampled)} compared"
        summary = f"{compared} differ in {sync.table}, or have no row there"
    elif not examined.matches(0):
        summary = f"Clerk has {counted_users(examined.users)}, {sync.table} has {counted_rows(examined.rows)}"
    else:
        summary = f"Clerk and {sync.table} agree: {counted_users(examined.users)}, and {examined.sampled} compared are the same"
        return Outcome(state=State.OK, value=counted_users(examined.users), summary=summary, facts=facts)
    return Outcome(
        state=State.FAILING,
        value=f"{examined.rows:,} of {examined.users:,}",
        summary=summary,
        details=details,
        remedy="Copy the users again (application.resync_users); it lists rows of users who are gone at Clerk",
        facts=facts,
    )


class _Sync:
    """One run over one table."""

    def __init__(
        self,
        session: DatabaseSession,
        users: Users,
        params: UserTableParams,
        context: ActionContext,
        book: Book,
        *,
        table: Table,
        layout: Layout,
    ) -> None:
        self.book = book
        self.table = table
        self._session = session
        self._users = users
        self._columns: Columns = parse_columns(params.columns)
        self._layout = layout
        self._context = context
        self._seen: set[str] = set()
        self._total = 0

    @classmethod
    async def begin(
        cls, session: DatabaseSession, users: Users, params: UserTableParams, context: ActionContext, book: Book | None = None
    ) -> _Sync:
        """For these parameters."""
        from bot.providers.app_database import Layout, Table

        columns = parse_columns(params.columns)
        layout = Layout(
            key=columns.key,
            copied=tuple(column for column, _ in columns.copied),
            stamped=columns.stamped,
            generated=columns.generated,
        )
        return cls(session, users, params, context, book or Book(), table=Table.parse(params.table), layout=layout)

    async def check(self, *, writing: bool) -> None:
        """Raises: Refused when the table cannot be used as it is."""
        facts = await self._session.describe(self.table)
        missing = [name for name in self._layout.names if name not in facts.columns]
        if missing:
            near = closest(missing[0], facts.columns)
            raise Refused(
                f"{self.table} has no column {', '.join(missing)}",
                remedy=f"did you mean {near}? " * bool(near) + "Correct the columns of the step; capitals count",
                code="not_found",
            )
        if not facts.may_read:
            self._forbid("read", "SELECT")
        if writing and facts.read_only:
            raise Refused(
                "The database takes no writes: it is a replica, or set to read only",
                remedy=f"let {DATABASE_URL} name the primary, and a user that may write",
                code="forbidden",
            )
        if writing and not facts.may_write:
            self._forbid("write to", "INSERT and UPDATE")
        if writing and self._layout.key not in facts.unique:
            raise Refused(
                f"Two rows of {self.table} could have the same {self._layout.key}, so rows cannot be told apart",
                remedy="create a unique index on that column",
                code="unexpected",
            )

    def _forbid(self, verb: str, rights: str) -> None:
        raise Refused(
            f"The user of {DATABASE_URL} may not {verb} {self.table}",
            remedy=f"grant it {rights} on the table",
            code="forbidden",
        )

    async def compare(self, accounts: Sequence[Account]) -> list[str]:
        """What each user's row is: new, different, same."""
        found: list[str] = []
        for rows in _batches([self._columns.row(account) for account in accounts]):
            found += await self._session.compare(self.table, self._layout, rows)
        return found

    def remember(self, accounts: Iterable[Account]) -> None:
        """These exist at Clerk."""
        if len(self._seen) < MOST_SEEN:
            self._seen.update(account.id for account in accounts)

    async def complete(self) -> Examined | None:
        """Copy, find who is gone, look. None: somebody stopped it.

        Once more when the look finds that users came or went meanwhile.
        """
        self._total = await self._users.count()
        examined = await self._pass()
        if examined is not None and not examined.matches(self.book.gone):
            self._seen.clear()
            self.book.phase, self.book.key, self.book.gone, self.book.gone_ids = "copy", "", 0, []
            examined = await self._pass()
        return examined

    async def _pass(self) -> Examined | None:
        if not await self._copy() or not await self.find_gone():
            return None
        return await self.examine(SAMPLE_PAGES * 20)

    async def _copy(self) -> bool:
        """Every page from the trail on. False: stopped."""
        while self.book.phase == "copy":
            if self._context.is_stopping():
                return False
            page, is_last = await self._users.behind(self.book.trail)
            await self._write(page)
            self.book.read += len(page)
            self.book.trail = _trail(self.book.trail, page)
            self.remember(page)
            if is_last:
                await self._retry_rejected()
                self.book.phase = "gone"
            await self._save()
            await self._report(f"{self.book.read:,} of {counted_users(max(self._total, self.book.read))} copied")
            if len(self.book.rejected) > MOST_REJECTED:
                reason = Counter(self.book.rejected.values()).most_common(1)[0][0]
                raise Refused(
                    f"{self.table} does not take {counted_users(len(self.book.rejected))} so far: {reason}",
                    remedy="compare the columns of the step with those of the table",
                    code="unexpected",
                )
        return True

    async def _write(self, accounts: Sequence[Account]) -> None:
        for rows in _batches([self._columns.row(account) for account in accounts]):
            written = await self._session.write(self.table, self._layout, rows)
            self.book.inserted += written.inserted
            self.book.updated += written.updated
            self.book.unchanged += written.unchanged
            for row in rows:
                self.book.rejected.pop(str(row[0]), None)
            self.book.rejected.update(written.rejected)

    async def _retry_rejected(self) -> None:
        """An address that moved from one user to another is free once the other row was written."""
        for user_ids in _batches(list(self.book.rejected)):
            there = await self._users.named(user_ids)
            for gone in set(user_ids) - {account.id for account in there}:
                del self.book.rejected[gone]
            await self._write(there)

    async def find_gone(self, *, ends_at: float | None = None) -> bool:
        """Rows whose user Clerk does not have (any more): asked by id, because the list is older than the question.

        False: stopped. After ``ends_at`` (of the loop's clock) the phase is not done.
        """
        self.book.phase = "gone"
        while True:
            if self._context.is_stopping():
                return False
            if ends_at is not None and asyncio.get_running_loop().time() > ends_at:
                return True
            keys = await self._session.keys(self.table, self._layout.key, after=self.book.key, most=KEYS_AT_ONCE)
            if not keys:
                break
            unknown = [key for key in keys if key not in self._seen]
            for asked in _batches(unknown, size=MAX_NAMED):
                ids = [key for key in asked if _is_user_id(key)]
                known = {account.id for account in await self._users.named(ids)} if ids else set()
                gone = [key for key in asked if key not in known]
                self.book.gone += len(gone)
                self.book.gone_ids = [*self.book.gone_ids, *gone][:MOST_LISTED]
            self.book.key = keys[-1]
            await self._save()
        self.book.phase = "done"
        return True

    async def examine(self, sample: int) -> Examined:
        """Count both sides, and compare some users from anywhere in the list."""
        before = await self._users.count()
        rows = await self._session.count(self.table, self._layout.key, timeout_s=COUNT_TIMEOUT_S)
        after = await self._users.count()
        picked: dict[str, Account] = {}
        for offset, most in _places(after, sample):
            picked |= {account.id: account for account in await self._users.at(offset, most=most)}
        accounts = [account for account in picked.values() if account.id not in self.book.rejected]
        compared = await self.compare(accounts)
        return Examined(
            least_users=min(before, after),
            most_users=max(before, after),
            rows=rows,
            sampled=len(accounts),
            differing=tuple(account.id for account, is_ in zip(accounts, compared, strict=True) if is_ != "same"),
        )

    async def _save(self) -> None:
        await self._context.job.save(self.book.notes())

    async def _report(self, line: str) -> None:
        """That nobody could be told stops nothing."""
        try:
            await self._context.progress(line)
        except MusterError as error:
            log.warning("progress_not_shown", action="application.resync_users", error=type(error).__name__)


def _places(total: int, sample: int) -> list[tuple[int, int]]:
    """(offset, number) of pages that have ``sample`` users together, each somewhere in its part of the list."""
    most = -(-sample // SAMPLE_PAGES)
    part = total // SAMPLE_PAGES
    if part < most:
        return [(0, sample)]
    return [(number * part + secrets.randbelow(part - most + 1), most) for number in range(SAMPLE_PAGES)]


def _trail(trail: Sequence[str], page: Sequence[Account]) -> list[str]:
    return [*trail, *(account.id for account in page)][-TRAIL_LENGTH:]


def _batches(items: Sequence[Any], *, size: int = BATCH) -> Iterable[Any]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _is_user_id(key: str) -> bool:
    """False: a row that somebody else made; Clerk would refuse the whole question for it."""
    return re.fullmatch(USER_ID_PATTERN.removeprefix("^").removesuffix("$"), key) is not None
