"""What a copy of Clerk's users keeps of its work, and how it ended in words. Used by `bot.actions.resync`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from bot.domain.outcome import Outcome, State
from bot.providers.faults import Refused, Unanswered, Unavailable

MOST_LINES: Final = 20


@dataclass
class Book:
    """What a run has done so far, as its notes keep it. ``trail`` are the last users read; ``key`` the last row looked at."""

    phase: str = "copy"
    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    trail: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    key: str = ""
    gone: int = 0
    gone_ids: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, notes: Mapping[str, Any]) -> Self:
        """As it was saved; an empty one at the first attempt."""
        return cls(**{name: notes[name] for name in asdict(cls()) if name in notes})

    def notes(self) -> dict[str, Any]:
        """To be saved."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """Both sides at the end. ``most_users`` and ``least_users``: Clerk's number right before and after the table was counted."""

    least_users: int
    most_users: int
    rows: int
    sampled: int
    differing: tuple[str, ...]

    def matches(self, gone: int) -> bool:
        """Whether the table has a row for each user, and ``gone`` more."""
        return self.least_users <= self.rows - gone <= self.most_users

    @property
    def users(self) -> int:
        """Clerk's number, the newer one."""
        return self.most_users


def finished(book: Book, examined: Examined, *, table: str) -> Outcome:
    """Everything was copied and looked at: `ok` when the table is as Clerk has it."""
    facts = {**_counts(book), **facts_of(examined)}
    details = (*_rejections(book), *differences(examined), *_gone_lines(book))
    done = f"{book.inserted:,} inserted, {book.updated:,} updated, {book.unchanged:,} unchanged"
    if book.rejected:
        reason = Counter(book.rejected.values()).most_common(1)[0][0]
        summary = f"{table} did not take {counted_users(len(book.rejected))} ({reason}); of the others {done}"
        remedy = "Mend those rows by hand (the details name the users), then run it again"
    elif examined.differing:
        summary = f"{done}; but {len(examined.differing)} of {counted_users(examined.sampled)} compared afterwards differ"
        remedy = "Look whether a trigger or the application itself changes these rows, then run it again"
    elif not examined.matches(book.gone):
        both = f"Clerk has {counted_users(examined.users)} and {table} {counted_rows(examined.rows)}"
        summary = f"{done}; but {both}, {book.gone:,} of them of nobody at Clerk"
        remedy = "Users come or go at this moment; run application.check_users in a minute"
    else:
        gone = f"; {counted_rows(book.gone)} of nobody at Clerk {'stays' if book.gone == 1 else 'stay'}" if book.gone else ""
        return Outcome(
            state=State.OK,
            value=f"{examined.users:,} users",
            summary=f"{done}; {table} has a row for each of {counted_users(examined.users)}, "
            f"{examined.sampled} compared are the same{gone}",
            details=details,
            facts=facts,
            report=_report_of(book),
        )
    return Outcome(
        state=State.FAILING,
        value="incomplete",
        summary=summary,
        details=details,
        remedy=remedy,
        facts=facts,
        report=_report_of(book),
    )


def stopped(book: Book) -> Outcome:
    """Somebody pressed Stop."""
    return Outcome(
        state=State.FAILING,
        value="stopped",
        summary=f"Stopped after {counted_users(book.read)}: {book.inserted:,} inserted, {book.updated:,} updated",
        details=_rejections(book),
        remedy="Run it again when it may go on; what is done stays done",
        facts=_counts(book),
    )


def halted(book: Book, error: Refused | Unavailable | Unanswered) -> Outcome:
    """Clerk or the database failed on the way."""
    return Outcome(
        state=State.FAILING if book.rejected else State.UNKNOWN,  # rows that were not taken are seen to be bad
        value="interrupted",
        summary=f"After {counted_users(book.read)} ({book.inserted:,} inserted, {book.updated:,} updated): {error.what}",
        details=_rejections(book),
        remedy=f"{error.remedy}; then run it again, which is safe",
        facts=_counts(book),
    )


def _counts(book: Book) -> dict[str, str | int | bool | None]:
    return {
        "read": book.read,
        "inserted": book.inserted,
        "updated": book.updated,
        "unchanged": book.unchanged,
        "rejected": len(book.rejected),
        "gone": book.gone,
    }


def facts_of(examined: Examined) -> dict[str, str | int | bool | None]:
    """Both sides, for the record."""
    return {
        "users": examined.users,
        "rows": examined.rows,
        "sampled": examined.sampled,
        "differing": len(examined.differing),
    }


def _rejections(book: Book) -> tuple[str, ...]:
    lines = [f"Not taken: {user_id}: {reason}" for user_id, reason in book.rejected.items()]
    return _listed(lines)


def differences(examined: Examined) -> tuple[str, ...]:
    """A line for each compared user whose row is not as it should be."""
    return _listed([f"Differs, or has no row: {user_id}" for user_id in examined.differing])


def _gone_lines(book: Book) -> tuple[str, ...]:
    return _listed([f"A row of nobody at Clerk: {key}" for key in book.gone_ids], total=book.gone)


def _listed(lines: Sequence[str], *, total: int | None = None) -> tuple[str, ...]:
    left = (len(lines) if total is None else total) - MOST_LINES
    return (*lines[:MOST_LINES], f"… and {left:,} more") if left > 0 else tuple(lines)


def _report_of(book: Book) -> str:
    """Every user that somebody has to look at, when there are too many for a message."""
    if len(book.rejected) + book.gone <= MOST_LINES:
        return ""
    lines = [f"not taken\t{user_id}\t{reason}" for user_id, reason in book.rejected.items()]
    lines += [f"gone at Clerk\t{key}" for key in book.gone_ids]
    if book.gone > len(book.gone_ids):
        lines.append(f"and {book.gone - len(book.gone_ids):,} more rows of nobody at Clerk")
    return "\n".join(lines)


def counted_users(count: int) -> str:
    """ "1 user", "1,204 users"."""
    return f"{count:,} user{'' if count == 1 else 's'}"


def counted_rows(count: int) -> str:
    """ "1 row", "1,204 rows"."""
    return f"{count:,} row{'' if count == 1 else 's'}"
