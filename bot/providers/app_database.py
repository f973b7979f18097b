"""The PostgreSQL of the application that is looked after: the table of its users, compared, written to and exported.

Called by `bot.actions.resync` and `bot.actions.export`. What stands in a row, and when it is written, is their business; here
is how it is said to PostgreSQL. Names of tables and columns are identifiers (`psycopg.sql.Identifier`), values are parameters:
neither is ever part of a statement's text. The driver, psycopg (libpq), is imported by whoever needs it: `Providers` does so
when DATABASE_URL is set.

Every piece of work is a transaction of its own with its own limits in time, so that a PgBouncer that gives each transaction
another connection changes nothing; for the same reason nothing is prepared.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from bot.domain.errors import ConfigError, UserError
from bot.providers.app_database_faults import NAME_PATTERN, RowRefusedError, not_connected, reason_of, translated
from bot.providers.config import DATABASE_URL
from bot.providers.faults import Refused
from bot.providers.http import current_guard
from bot.services.crashpoints import crashpoint

CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_S: Final = 5.0
LOCK_TIMEOUT_S: Final = 3.0
"""Nothing here waits longer for a lock: whoever waits for one holds up everybody behind."""
_GRACE_S: Final = 5.0
"""So long after its time a statement is given up here, when the server does not end it."""

TABLE_PATTERN: Final = rf"^({NAME_PATTERN}\.)?{NAME_PATTERN}$"

Value = str | int | bool | None | Any
"""What a column is given; moments are aware datetimes."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, by its name as it is written in the catalog: capitals count. ``schema`` "" leaves it to the search path."""

    name: str
    schema: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """ "users", "public.User". Raises: UserError for anything else."""
        if not re.fullmatch(TABLE_PATTERN.removeprefix("^").removesuffix("$"), text):
            raise UserError("that is not the name of a table; write it as users or public.users, without quotes")
        schema, _, name = text.rpartition(".")
        return cls(name=name, schema=schema)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @property
    def identifier(self) -> sql.Identifier:
        """Quoted for a statement."""
        return sql.Identifier(self.schema, self.name) if self.schema else sql.Identifier(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which columns are written. ``key`` tells rows apart; ``copied`` are compared and written; ``stamped`` get the time of the
    write; ``generated`` are given once, when a row is made, and a later row of values does not touch them.

    A row of values is: key, then copied, then generated, in this order.
    """

    key: str
    copied: tuple[str, ...]
    stamped: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every column, the key first."""
        return (self.key, *self.copied, *self.generated, *self.stamped)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What is known of a table before anything is done with it. ``size_bytes`` includes what is stored out of line."""

    columns: frozenset[str]
    size_bytes: int
    may_read: bool
    may_write: bool
    """Insert and update."""
    read_only: bool
    """The server takes no writes: a replica, or a database that is set so."""
    unique: frozenset[str]
    """The columns that are unique by themselves, without a condition."""


Compared = Literal["new", "different", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of some rows. ``rejected`` are (key, reason) of those that the database did not take."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: tuple[tuple[str, str], ...] = ()


class AppDatabase:
    """One application's database. Nothing is kept open between two sessions.

    Raises: ConfigError when the address cannot be read.
    """

    def __init__(
        self,
        url: SecretStr,
        *,
        connect_timeout_s: int = CONNECT_TIMEOUT_S,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        self._url = url
        self._connect_timeout_s = connect_timeout_s
        self._statement_timeout_s = statement_timeout_s
        self._lock_timeout_s = lock_timeout_s
        try:
            parts = conninfo_to_dict(url.get_secret_value())
        except psycopg.Error:
            raise ConfigError(
                f"{DATABASE_URL}: libpq cannot read it; write it as postgresql://user:password@host:5432/database and "
                "percent-encode what is special in the password"
            ) from None
        host, port, name = (str(parts.get(part) or "") for part in ("host", "port", "dbname"))
        self.where = f"PostgreSQL ({host or 'local socket'}{f':{port}' if port else ''}{f'/{name}' if name else ''})"

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[DatabaseSession]:
        """A connection for some pieces of work. Raises: Unavailable, Refused (unauthorized, not_found, unexpected)."""
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._url.get_secret_value(),
                autocommit=True,
                prepare_threshold=None,
                connect_timeout=self._connect_timeout_s,
                application_name="muster",
            )
        except psycopg.Error as error:
            raise not_connected(
                error, where=self.where, timeout_s=self._connect_timeout_s
            ) from None  # libpq's text names the user, and a server can say anything
        try:
            limits = {"statement_timeout": self._statement_timeout_s, "lock_timeout": self._lock_timeout_s}
            yield DatabaseSession(connection, where=self.where, limits_s=limits)
        finally:
            await connection.close()

    def table(self, name: str) -> Table:
        """See ``Table.parse``."""
        return Table.parse(name)


class DatabaseSession:
    """One connection. Every method raises Unavailable and Refused, and those that write also Unanswered: a commit that was sent
    and not answered may have happened."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], *, where: str, limits_s: Mapping[str, float]) -> None:
        self._connection = connection
        self._where = where
        self._limits_s = limits_s

    async def describe(self, table: Table) -> TableFacts:
        """What the table is like and what may be done with it. Raises: also Refused (not_found) when there is none."""
        async with self._work(reading=True) as cursor:
            await cursor.execute("SELECT to_regclass(%s)::oid", (_quoted(table),))
            (oid,) = await _one(cursor)
            if oid is None:
                raise Refused(f"{self._where} has no table {table}", remedy="check its name; capitals count", code="not_found")
            await cursor.execute(_COLUMNS, (oid,))
            columns = frozenset(name for (name,) in await cursor.fetchall())
            await cursor.execute(_UNIQUE, (oid,))
            unique = frozenset(name for (name,) in await cursor.fetchall())
            await cursor.execute(_RIGHTS, {"oid": oid})
            size, may_read, may_write, read_only = await _one(cursor)
        return TableFacts(
            columns=columns, size_bytes=size, may_read=may_read, may_write=may_write, read_only=read_only, unique=unique
        )

    async def count(self, table: Table, key: str | None = None, *, timeout_s: float | None = None) -> int:
        """How many rows there are; with ``key``, of those that have one. ``timeout_s``: a large table takes its time."""
        statement = sql.SQL("SELECT count({what}) FROM {table}").format(
            what=sql.Identifier(key) if key else sql.SQL("*"), table=table.identifier
        )
        async with self._work(reading=True, timeout_s=timeout_s) as cursor:
            await cursor.execute(statement)
            (found,) = await _one(cursor)
        return int(found)

    async def keys(self, table: Table, key: str, *, after: str, most: int) -> tuple[str, ...]:
        """The next keys in the order of the database; ``after`` "" begins."""
        column = sql.Identifier(key)
        statement = sql.SQL("SELECT {key}::text FROM {table} WHERE {key} {behind} ORDER BY {key} LIMIT {most}").format(
            key=column,
            table=table.identifier,
            behind=sql.SQL("> {}").format(sql.Placeholder("after")) if after else sql.SQL("IS NOT NULL"),
            most=sql.Placeholder("most"),
        )
        async with self._work(reading=True) as cursor:
            await cursor.execute(statement, {"after": after, "most": most})
            return tuple(found for (found,) in await cursor.fetchall())

    async def compare(self, table: Table, layout: Layout, rows: Sequence[Sequence[Value]]) -> list[Compared]:
        """What `write` would do with each row, by the database's own idea of what is the same."""
        copied = [
            sql.SQL("{column} IS NOT DISTINCT FROM %s").format(column=sql.Identifier("present", name)) for name in layout.copied
        ]
        statement = sql.SQL("SELECT {same} FROM {table} AS present WHERE {key} = %s").format(
            same=sql.SQL(" AND ").join(copied) if copied else sql.SQL("true"),
            table=table.identifier,
            key=sql.Identifier("present", layout.key),
        )
        width = 1 + len(layout.copied)
        async with self._work(reading=True) as cursor:
            await cursor.executemany(statement, [(*row[1:width], row[0]) for row in rows], returning=True)
            return ["new" if found is None else "same" if found[0] else "different" for found in await _each(cursor)]

    async def write(self, table: Table, layout: Layout, rows: Sequence[Sequence[Value]]) -> Written:
        """Insert the rows that are not there, update those that differ, leave the others alone; all in one transaction.

        A row that the database refuses (its address belongs to another row, it is too long) is left out, and said. Safe to
        repeat.
        """
        statement = _upsert(table, layout)
        crashpoint("effect.asked")
        try:
            async with self._work() as cursor:
                await cursor.executemany(statement, rows, returning=True)
                written = _tally(await _each(cursor))
        except RowRefusedError:
            written = await self._write_singly(statement, rows)
        crashpoint("effect.answered")
        return written

    async def _write_singly(self, statement: sql.Composed, rows: Sequence[Sequence[Value]]) -> Written:
        """Each row behind a savepoint of its own: one of them is not taken."""
        done: list[tuple[Any, ...] | None] = []
        rejected: list[tuple[str, str]] = []
        async with self._work() as cursor:
            for row in rows:
                try:
                    async with self._connection.transaction():
                        await cursor.execute(statement, row)
                        done.append(await cursor.fetchone())
                except (psycopg.IntegrityError, psycopg.DataError) as error:
                    rejected.append((str(row[0]), reason_of(error)))
        tally = _tally(done)
        return Written(inserted=tally.inserted, updated=tally.updated, unchanged=tally.unchanged, rejected=tuple(rejected))

    @contextlib.asynccontextmanager
    async def export(self, table: Table, *, timeout_s: float) -> AsyncIterator[Export]:
        """The whole table as CSV with a header, as it is at one moment."""
        statement = sql.SQL("COPY (SELECT * FROM {table}) TO STDOUT (FORMAT csv, HEADER)").format(table=table.identifier)
        async with self._work(reading=True, timeout_s=timeout_s) as cursor:
            async with cursor.copy(statement) as copy:
                exported = Export(copy)
                yield exported
            exported.rows = max(cursor.rowcount, 0)

    @contextlib.asynccontextmanager
    async def _work(self, *, reading: bool = False, timeout_s: float | None = None) -> AsyncIterator[psycopg.AsyncCursor[Any]]:
        """A transaction. Raises: see the class, and RowRefusedError."""
        limit_s = timeout_s or self._limits_s["statement_timeout"]
        limits = {**self._limits_s, "statement_timeout": limit_s, "idle_in_transaction_session_timeout": 60.0}
        with translated(self._where, reading=reading, limit_s=limit_s):
            async with asyncio.timeout(limit_s + _GRACE_S), self._connection.transaction(), self._connection.cursor() as cursor:
                if reading:
                    await cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                settings = sql.SQL(", ").join([sql.SQL("set_config(%s, %s, true)")] * (len(limits) + 1))
                values = [part for name, seconds in limits.items() for part in (name, str(round(seconds * 1000)))]
                await cursor.execute(sql.SQL("SELECT {}").format(settings), [*values, "timezone", "UTC"])
                guard = current_guard()
                if guard and not reading:
                    guard()
                yield cursor


class Export:
    """The rows of a table as pieces of CSV. ``rows`` is their number, without the header, once all pieces were taken."""

    def __init__(self, copy: psycopg.AsyncCopy) -> None:
        self._copy = copy
        self.rows = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._copy:
            yield bytes(piece)


def _upsert(table: Table, layout: Layout) -> sql.Composed:
    values = [sql.Placeholder()] * (1 + len(layout.copied) + len(layout.generated)) + [sql.SQL("now()")] * len(layout.stamped)
    given = [sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in (*layout.copied, *layout.stamped)]
    differs = [
        sql.SQL("{} IS DISTINCT FROM EXCLUDED.{}").format(sql.Identifier("present", name), sql.Identifier(name))
        for name in layout.copied
    ]
    update = sql.SQL("UPDATE SET {} WHERE {}").format(sql.SQL(", ").join(given), sql.SQL(" OR ").join(differs))
    return sql.SQL(
        "INSERT INTO {table} AS present ({names}) VALUES ({values}) ON CONFLICT ({key}) DO {update} RETURNING (xmax = 0)"
    ).format(  # xmax: 0 in a row that this statement made, its own transaction in one that it changed
        table=table.identifier,
        names=sql.SQL(", ").join(map(sql.Identifier, layout.names)),
        values=sql.SQL(", ").join(values),
        key=sql.Identifier(layout.key),
        update=update if layout.copied else sql.SQL("NOTHING"),
    )


_COLUMNS: Final = "SELECT attname::text FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped"
_UNIQUE: Final = (
    "SELECT attname::text FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
    "WHERE indrelid = %s AND indisunique AND indisvalid AND indnkeyatts = 1 AND indpred IS NULL AND indexprs IS NULL"
)
_RIGHTS: Final = (
    "SELECT pg_table_size(%(oid)s::oid), has_table_privilege(%(oid)s::oid, 'SELECT'), "
    "has_any_column_privilege(%(oid)s::oid, 'INSERT') AND has_any_column_privilege(%(oid)s::oid, 'UPDATE'), "
    "pg_is_in_recovery() OR (SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only')"
)


def _tally(found: Sequence[tuple[Any, ...] | None]) -> Written:
    inserted = sum(1 for row in found if row is not None and row[0])
    unchanged = sum(1 for row in found if row is None)
    return Written(inserted=inserted, updated=len(found) - inserted - unchanged, unchanged=unchanged)


async def _each(cursor: psycopg.AsyncCursor[Any]) -> list[tuple[Any, ...] | None]:
    """The first row of each result of an executemany, None where there was none."""
    found: list[tuple[Any, ...] | None] = []
    while True:
        found.append(await cursor.fetchone())
        if not cursor.nextset():
            return found


async def _one(cursor: psycopg.AsyncCursor[Any]) -> tuple[Any, ...]:
    """The row of a statement that always has one."""
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows[0]


def _quoted(table: Table) -> str:
    """For `to_regclass`, whose argument is a text in which names are quoted. The pattern leaves no quote to escape."""
    return ".".join(f'"{part}"' for part in (table.schema, table.name) if part)
