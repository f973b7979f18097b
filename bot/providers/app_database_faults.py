"""What psycopg's errors mean for people: SQLSTATEs, and libpq's texts, as the faults of `bot.providers`.

Used by `bot.providers.app_database` only. Values, users and passwords are in no sentence; names of constraints and columns are,
when they are plain.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Final

import psycopg

from bot.providers.config import DATABASE_URL
from bot.providers.faults import Refused, Unanswered, Unavailable, UnavailableReason

NAME_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]{0,62}"

_NO_CONNECTION: Final[tuple[tuple[str, UnavailableReason, str], ...]] = (
    (r"connection refused|no such file or directory", "refused", "the connection was refused"),
    (r"failed to resolve|could not translate host name", "dns", "the name was not found"),
    (r"too many (clients|connections)|remaining connection slots", "busy", "it has no connection left"),
    (r"starting up|shutting down|recovery mode", "server_error", "it is starting or stopping"),
    (r"timeout expired|timed out", "timeout", "no answer in time"),
    (r"closed the connection|reset by peer", "reset", "the connection broke"),
    (r"does not support ssl|ssl error|certificate", "tls", "no TLS connection as the address asks for it (sslmode)"),
)
_NO_SIGN_IN: Final = (
    (
        r"password|authentication failed|no pg_hba\.conf entry|role .* does not exist|not permitted to log in",
        "unauthorized",
        "does not accept the user and the password, or not from here",
        f"check the user and the password in {DATABASE_URL}, and pg_hba.conf",
    ),
    (r"database .* does not exist", "not_found", "has no such database", f"check the name at the end of {DATABASE_URL}"),
    (r"permission denied for database", "forbidden", "does not let this user in", "grant CONNECT on the database to it"),
)
_REASONS: Final = {
    "23505": "another row has that value already",
    "23502": "a column must not be empty",
    "23503": "it refers to a row that is not there",
    "23514": "a check of the table says no",
    "22001": "it is too long",
    "22P02": "it is of another type",
}


class RowRefusedError(Refused):
    """A value is not taken; which one of several rows it was is not said."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            f"{where} does not take a value: {reason}", remedy="compare the columns with the table", code="unexpected"
        )


def not_connected(error: psycopg.Error, *, where: str, timeout_s: float) -> Unavailable | Refused:
    """What a failed connection means. libpq gives no code for it, only a text, and the server's half may be in any language."""
    text = str(error).casefold()
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return _unreachable(where, f"no answer within {timeout_s:g} s", "timeout")
    for pattern, reason, said in _NO_CONNECTION:
        if re.search(pattern, text):
            return _unreachable(where, said, reason)
    for pattern, code, said, remedy in _NO_SIGN_IN:
        if re.search(pattern, text):
            return Refused(f"{where} {said}", remedy=remedy, code=code)
    return _unreachable(where, "no connection", "network")


def _unreachable(where: str, said: str, reason: UnavailableReason) -> Unavailable:
    return Unavailable(
        f"{where} could not be reached: {said}",
        remedy=f"check that it runs and that Muster may reach it, and {DATABASE_URL}",
        reason=reason,
    )


@contextlib.contextmanager
def translated(where: str, *, reading: bool, limit_s: float) -> Iterator[None]:
    """In this, what psycopg raises becomes Refused, Unavailable, or, for what is not only ``reading``, Unanswered. ``limit_s`` is
    the limit of a statement in seconds. Raises: RowRefusedError for values that are not taken."""
    try:
        yield
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        raise RowRefusedError(where, reason_of(error)) from None
    except TimeoutError:
        raise _lost(where, f"no answer within {limit_s:g} s", "timeout", reading=reading) from None
    except psycopg.Error as error:
        raise _fault(error, where=where, reading=reading, limit_s=limit_s) from None


def _lost(where: str, said: str, reason: UnavailableReason, *, reading: bool) -> Unavailable | Unanswered:
    if reading:
        return Unavailable(f"{where}: {said}", remedy="try again, and look at its load", reason=reason)
    return Unanswered(f"{where}: {said}; the last rows may have been written", remedy="run it again, which is safe")


def _fault(error: psycopg.Error, *, where: str, reading: bool, limit_s: float) -> Refused | Unavailable | Unanswered:
    state = error.sqlstate or ""
    named = _named(error)
    match state:
        case "":
            return _lost(where, "the connection broke", "reset", reading=reading)
        case "42P01":
            return Refused(f"{where} has no such table", remedy="check its name; capitals count", code="not_found")
        case "42703":
            return Refused(f"{where} has no column{named}", remedy="correct its name; capitals count", code="not_found")
        case "42501":
            return Refused(
                f"{where} does not let this user do it{named}",
                remedy=f"grant SELECT, and to write INSERT and UPDATE, on the table to the user of {DATABASE_URL}",
                code="forbidden",
            )
        case "25006":
            return Refused(
                f"{where} takes no writes: it is a replica, or set to read only",
                remedy=f"let {DATABASE_URL} name the primary, and a user that may write",
                code="forbidden",
            )
        case "42P10":
            return Refused(
                f"{where}: nothing makes the column of Clerk's id unique, so rows cannot be told apart",
                remedy="create a unique index on that column",
                code="unexpected",
            )
        case "42804" | "42883" | "22P02":
            return Refused(
                f"{where}: a column is of a type that does not take what would be written to it",
                remedy="compare the columns with the types of the table",
                code="unexpected",
            )
        case "57014":
            return _lost(where, f"it took longer than {limit_s:g} s and was ended", "timeout", reading=True)
        case "55P03":
            return Unavailable(
                f"{where}: somebody holds a lock on the table",
                remedy="look who does (pg_stat_activity), and try again",
                reason="busy",
            )
        case "40001" | "40P01":
            return Unavailable(f"{where}: another transaction was in the way", remedy="try again", reason="busy")
    if state[:2] in ("08", "53", "57"):
        return _lost(where, "it stopped, or has nothing left to work with", "server_error", reading=reading)
    return Refused(f"{where} refused it (SQLSTATE {state})", remedy="look that code up, and its log", code="unexpected")


def reason_of(error: psycopg.Error) -> str:
    """Why a row is not taken: the kind, and the constraint or the column. Values are in no part of it."""
    return f"{_REASONS.get(error.sqlstate or '', f'SQLSTATE {error.sqlstate}')}{_named(error)}"


def _named(error: psycopg.Error) -> str:
    """ " (users_email_key)", " “emial”", or ""; only what is an identifier is repeated."""
    found = error.diag.constraint_name or error.diag.column_name
    if found and re.fullmatch(NAME_PATTERN, found):
        return f" ({found})"
    quoted = re.search(rf'"({NAME_PATTERN})"', error.diag.message_primary or "") if error.sqlstate == "42703" else None
    return f" “{quoted[1]}”" if quoted else ""
