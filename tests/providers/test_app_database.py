"""The application's database: a real PostgreSQL that compares, takes and refuses rows, and how it can be unusable."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from pydantic import SecretStr

from bot.domain.errors import ConfigError, FencedError, UserError
from bot.providers.app_database import AppDatabase, Layout, Table, Written
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.providers.http import guarded
from tests.conftest import ROOT
from tests.support.postgres import USERS, Database

TABLE = Table("users")
LAYOUT = Layout(key="clerk_id", copied=("email", "first_name"), stamped=("updated_at",))
ANNA = ("user_1", "anna@example.com", "Anna")
BERT = ("user_2", "bert@example.com", "Bert")


@pytest.fixture
def users(database: Database) -> Database:
    """With an empty table of users."""
    database.execute(USERS)
    return database


def client(url: str, *, connect_timeout_s: int = 20, statement_timeout_s: float = 20.0) -> AppDatabase:
    """Patient, unless told otherwise: the machine may be slow."""
    return AppDatabase(SecretStr(url), connect_timeout_s=connect_timeout_s, statement_timeout_s=statement_timeout_s)


async def write(url: str, *rows: tuple[object, ...], layout: Layout = LAYOUT, table: Table = TABLE) -> Written:
    """In a session of its own."""
    async with client(url).session() as session:
        return await session.write(table, layout, rows)


OURS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'muster'"
"""The sessions of Muster that the server has."""


async def until(condition: Callable[[], bool]) -> None:
    """Until the server is so far."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def locked(database: Database) -> Iterator[None]:
    """Somebody else holds the table."""
    with psycopg.connect(database.url) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield


# -- rows ------------------------------------------------------------------------------------------------------------------------


async def test_rows_are_inserted_updated_and_left_alone(users: Database) -> None:
    """A row that is the same is not written, so its stamp stays."""
    assert await write(users.url, ANNA, BERT) == Written(inserted=2)
    stamped = users.execute("SELECT updated_at FROM users WHERE clerk_id = 'user_2'")
    changed = ("user_1", "anna@example.com", "Anne")
    assert await write(users.url, changed, BERT) == Written(updated=1, unchanged=1)
    assert users.execute("SELECT email, first_name FROM users ORDER BY clerk_id") == [changed[1:], BERT[1:]]
    assert users.execute("SELECT updated_at FROM users WHERE clerk_id = 'user_2'") == stamped


async def test_what_would_be_written_is_told_without_writing(users: Database) -> None:
    """By the same idea of what is the same."""
    await write(users.url, ANNA, BERT)
    async with client(users.url).session() as session:
        rows = [ANNA, ("user_2", "bert@example.com", None), ("user_3", None, None)]
        assert await session.compare(TABLE, LAYOUT, rows) == ["same", "different", "new"]
    assert users.execute("SELECT count(*) FROM users WHERE first_name IS NOT NULL") == [(2,)]


async def test_a_value_stays_a_value(users: Database) -> None:
    """SQL in a name is a name, in every statement."""
    nasty = ("user_1", "'); DROP TABLE users; --", '"; DELETE FROM users; $$ %s {0} \\')
    assert await write(users.url, nasty) == Written(inserted=1)
    async with client(users.url).session() as session:
        assert await session.compare(TABLE, LAYOUT, [nasty]) == ["same"]
        assert await session.keys(TABLE, "clerk_id", after="' OR 1=1 --", most=5) == ("user_1",)
    assert users.execute("SELECT * FROM users") == [(*nasty, None, users.execute("SELECT updated_at FROM users")[0][0])]


async def test_names_with_capitals_and_reserved_words(database: Database) -> None:
    """As an ORM makes them: a table called User, a generated id, a stamp without a default."""
    database.execute(
        'CREATE TABLE "User" (id text PRIMARY KEY, "clerkId" text UNIQUE NOT NULL, "order" text, "updatedAt" timestamp NOT NULL)'
    )
    layout = Layout(key="clerkId", copied=("order",), stamped=("updatedAt",), generated=("id",))
    table = Table.parse("public.User")
    assert await write(database.url, ("user_1", "a", "made-once"), layout=layout, table=table) == Written(inserted=1)
    assert await write(database.url, ("user_1", "b", "another"), layout=layout, table=table) == Written(updated=1)
    assert database.execute('SELECT id, "clerkId", "order" FROM "User"') == [("made-once", "user_1", "b")]


async def test_moments_are_the_same_in_a_column_without_a_zone(database: Database) -> None:
    """They are UTC there, whatever the zone of the server."""
    database.execute("CREATE TABLE users (clerk_id text PRIMARY KEY, seen timestamp, seen_there timestamptz)")
    database.execute(f"ALTER DATABASE {database.name} SET timezone TO 'Asia/Tokyo'")
    layout = Layout(key="clerk_id", copied=("seen", "seen_there"))
    moment = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
    assert await write(database.url, ("user_1", moment, moment), layout=layout) == Written(inserted=1)
    assert await write(database.url, ("user_1", moment, moment), layout=layout) == Written(unchanged=1)
    assert database.execute("SELECT seen FROM users") == [(moment.replace(tzinfo=None),)]


async def test_a_row_that_is_not_taken_does_not_cost_the_others(users: Database) -> None:
    """It is counted with its reason, which has the constraint and no value."""
    users.execute("ALTER TABLE users ALTER email TYPE varchar(30)")
    await write(users.url, ANNA)
    stranger = ("user_9", "anna@example.com", "Not Anna")
    long = ("user_8", "x" * 31, None)
    written = await write(users.url, BERT, stranger, long)
    assert written.inserted == 1
    assert dict(written.rejected) == {
        "user_9": "another row has that value already (users_email_key)",
        "user_8": "it is too long",
    }
    assert users.execute("SELECT clerk_id FROM users ORDER BY 1") == [("user_1",), ("user_2",)]


async def test_keys_come_in_pages(users: Database) -> None:
    """Each behind the last key of the one before."""
    await write(users.url, *[(f"user_{number}", None, None) for number in range(5)])
    async with client(users.url).session() as session:
        first = await session.keys(TABLE, "clerk_id", after="", most=3)
        assert first == ("user_0", "user_1", "user_2")
        assert await session.keys(TABLE, "clerk_id", after=first[-1], most=3) == ("user_3", "user_4")
        assert await session.count(TABLE, "clerk_id") == 5


async def test_what_is_known_of_a_table(users: Database) -> None:
    """Its columns, which of them tell rows apart, and the rights of whoever asks."""
    users.execute(
        "CREATE UNIQUE INDEX ON users (first_name, last_name); CREATE UNIQUE INDEX ON users (last_name) WHERE email <> ''"
    )
    async with client(users.url).session() as session:
        facts = await session.describe(TABLE)
    assert facts.columns == {"clerk_id", "email", "first_name", "last_name", "updated_at"}
    assert facts.unique == {"clerk_id", "email"}
    assert (facts.may_read, facts.may_write, facts.read_only) == (True, True, False)
    async with client(users.role("SELECT ON users")).session() as session:
        reader = await session.describe(TABLE)
    assert (reader.may_read, reader.may_write) == (True, False)


def test_the_driver_is_imported_where_there_is_a_database() -> None:
    """A bot without one need not carry it, whatever its runbooks may do."""
    program = (
        "import sys; import bot.app; from bot.actions.registry import load_actions; load_actions()\n"
        "assert 'psycopg' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


# -- what goes wrong -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "users; DROP TABLE users", 'us"ers', "a.b.c", "../etc", "users --", "1users", "users\n", "%s"]
)
def test_what_is_no_name_of_a_table(name: str) -> None:
    """Nothing is asked."""
    with pytest.raises(UserError, match="not the name of a table"):
        Table.parse(name)


async def test_a_table_and_a_column_that_are_not_there(users: Database) -> None:
    """The sentence has their names."""
    async with client(users.url).session() as session:
        with pytest.raises(Refused, match="has no table user; check its name") as refused:
            await session.describe(Table("user"))
        assert refused.value.code == "not_found"
        with pytest.raises(Refused, match="has no such table"):
            await session.count(Table("user"))
        with pytest.raises(Refused, match="has no column “emial”"):
            await session.write(TABLE, Layout(key="clerk_id", copied=("emial",)), [("user_1", "a")])
    assert users.execute("SELECT count(*) FROM users") == [(0,)]


async def test_a_column_that_does_not_tell_rows_apart(users: Database) -> None:
    """Without a unique index there is no telling which row is meant."""
    with pytest.raises(Refused, match="nothing makes the column of Clerk's id unique"):
        await write(users.url, ("Anna", "a"), layout=Layout(key="first_name", copied=("last_name",)))


async def test_a_column_of_another_type(users: Database) -> None:
    """A moment does not go into a number."""
    users.execute("ALTER TABLE users ADD seen bigint")
    with pytest.raises(Refused, match="of a type that does not take"):
        await write(users.url, ("user_1", datetime.now(UTC)), layout=Layout(key="clerk_id", copied=("seen",)))


async def test_a_user_who_may_only_read(users: Database) -> None:
    """Comparing works; writing says which rights are missing, and nothing is written."""
    url = users.role("SELECT ON users")
    async with client(url).session() as session:
        assert await session.compare(TABLE, LAYOUT, [ANNA]) == ["new"]
        with pytest.raises(Refused, match="grant SELECT, and to write INSERT and UPDATE") as refused:
            await session.write(TABLE, LAYOUT, [ANNA])
    assert refused.value.code == "forbidden"
    assert users.execute("SELECT count(*) FROM users") == [(0,)]


async def test_a_database_that_takes_no_writes(users: Database) -> None:
    """As a replica does not."""
    users.execute(f"ALTER DATABASE {users.name} SET default_transaction_read_only TO on")
    async with client(users.url).session() as session:
        assert (await session.describe(TABLE)).read_only is True
        with pytest.raises(Refused, match="takes no writes"):
            await session.write(TABLE, LAYOUT, [ANNA])


async def test_comparing_cannot_write(users: Database) -> None:
    """What reads runs in a transaction that takes no writes, whatever a view or a rule makes of it."""
    users.execute(
        "CREATE FUNCTION sneaky() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO users VALUES ('user_x'); "
        "RETURN true; END $$; CREATE VIEW seen AS SELECT 'user_1'::text AS clerk_id, sneaky() AS email"
    )
    async with client(users.url).session() as session:
        with pytest.raises(Refused, match="takes no writes"):
            await session.compare(Table("seen"), Layout(key="clerk_id", copied=("email",)), [("user_1", True)])
    assert users.execute("SELECT count(*) FROM users") == [(0,)]


async def test_a_wrong_password(users: Database) -> None:
    """Neither the password nor the text of libpq is repeated."""
    url = users.server.url_for("owner", "hunter2-wrong", users.name)
    with pytest.raises(Refused, match="does not accept the user and the password") as refused:
        async with client(url).session():
            pass
    assert refused.value.code == "unauthorized"
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


async def test_a_user_and_a_database_that_are_not_there(users: Database) -> None:
    """Each with its remedy."""
    with pytest.raises(Refused, match="does not accept the user"):
        async with client(users.server.url_for("nobody_here", "x", users.name)).session():
            pass
    with pytest.raises(Refused, match="has no such database"):
        async with client(users.server.url_for("owner", users.server.password, "nowhere")).session():
            pass


@pytest.mark.parametrize(
    ("address", "reason", "said"),
    [("127.0.0.1:1", "refused", "the connection was refused"), ("nowhere.invalid:5432", "dns", "the name was not found")],
)
async def test_a_server_that_is_not_there(address: str, reason: str, said: str) -> None:
    """A passing fault, which names the place."""
    with pytest.raises(Unavailable, match=said) as gone:
        async with client(f"postgresql://owner:hunter2@{address}/app").session():
            pass
    assert gone.value.reason == reason
    assert address in str(gone.value)
    assert "hunter2" not in str(gone.value)


async def test_a_server_that_says_nothing() -> None:
    """It is given up after the time for connecting."""
    started_at = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match="no answer within 2 s"):
        async with client(f"postgresql://owner:x@127.0.0.1:{silent.getsockname()[1]}/app", connect_timeout_s=2).session():
            pass
    assert time.monotonic() - started_at < 10


async def test_a_server_that_wants_no_tls(users: Database) -> None:
    """The address asks for it: nothing goes over the wire without."""
    with pytest.raises(Unavailable, match="sslmode") as refused:
        async with client(f"{users.url}?sslmode=require").session():
            pass
    assert refused.value.reason == "tls"


async def test_a_statement_that_takes_too_long(users: Database) -> None:
    """The server ends it, and nothing of it is done."""
    users.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$; "
        "CREATE TRIGGER slow BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    async with client(users.url, statement_timeout_s=1).session() as session:
        with pytest.raises(Unavailable, match=r"longer than 1 s and was ended"):
            await session.write(TABLE, LAYOUT, [ANNA])
    assert users.execute("SELECT count(*) FROM users") == [(0,)]


async def test_a_lock_is_not_waited_for(users: Database) -> None:
    """Whoever waits for one holds up everybody behind."""
    impatient = AppDatabase(SecretStr(users.url), lock_timeout_s=0.2)
    with locked(users):
        async with impatient.session() as session:
            with pytest.raises(Unavailable, match="somebody holds a lock on the table") as busy:
                await session.write(TABLE, LAYOUT, [ANNA])
    assert busy.value.reason == "busy"


async def test_a_server_that_stops_meanwhile(users: Database) -> None:
    """A read can be asked again; of a write nobody knows."""
    async with client(users.url).session() as session:
        await session.count(TABLE)
        users.server.stop()
        users.server.start()
        with pytest.raises(Unavailable):
            await session.count(TABLE)
    async with client(users.url).session() as session:
        await session.count(TABLE)
        users.server.stop()
        users.server.start()
        with pytest.raises(Unanswered, match="may have been written"):
            await session.write(TABLE, LAYOUT, [ANNA])


async def test_nothing_is_written_when_the_task_is_lost(users: Database) -> None:
    """The guard of the lease is asked right before the rows go."""

    def lost() -> None:
        raise FencedError("somebody else has it")

    async with client(users.url).session() as session:
        with guarded(lost), pytest.raises(FencedError):
            await session.write(TABLE, LAYOUT, [ANNA])
        with guarded(lost):
            assert await session.compare(TABLE, LAYOUT, [ANNA]) == ["new"]
    assert users.execute("SELECT count(*) FROM users") == [(0,)]


async def test_being_cancelled_leaves_nothing_open(users: Database) -> None:
    """The transaction ends with whoever began it."""
    held, entered = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(users):
            entered.set()
            held.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(30)
    work = asyncio.create_task(write(users.url, ANNA))
    await until(lambda: bool(users.execute(f"{OURS} AND wait_event_type = 'Lock'")))
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    held.set()
    holder.join()
    await until(lambda: not users.execute(OURS))  # the server takes a moment to end a session
    assert users.execute("SELECT count(*) FROM users") == [(0,)]


@pytest.mark.parametrize(
    "url", ["postgresql://owner:hunter2@[::1/app", "postgresql://owner:hunter2@host/app?nonsense=1", "hunter2"]
)
def test_an_address_that_cannot_be_read(url: str) -> None:
    """Said with the variable, and without the address."""
    with pytest.raises(ConfigError, match="DATABASE_URL: libpq cannot read it") as wrong:
        AppDatabase(SecretStr(url))
    assert "hunter2" not in str(wrong.value)
