"""Copying Clerk's users into a real PostgreSQL: what is written, what is only listed, and what survives a kill."""

from __future__ import annotations

import asyncio
import copy
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue, SecretStr

from bot.actions.registry import load_actions
from bot.actions.runner import execute, preview
from bot.actions.spec import ActionContext
from bot.actions.user_table import parse_columns
from bot.domain.errors import FencedError, MusterError, UserError
from bot.domain.outcome import Outcome, State
from bot.providers.config import ProviderConfig
from bot.providers.http import guarded
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.services.crashpoints import KILLED
from bot.services.jobs import MemoryJob
from tests.actions.conftest import config_of, make_context
from tests.conftest import ROOT
from tests.support.postgres import USERS, Database

pytestmark = pytest.mark.slow

COLUMNS = "clerk_id=id, email=email, first_name=first_name, last_name=last_name, updated_at=now"
PARAMS = {"table": "users", "columns": COLUMNS}
BORN_MS = 1_700_000_000_000

MakeContext = Callable[..., ActionContext]


def add_users(world: World, count: int, *, start: int = 0) -> None:
    """So many more, each a second younger than the one before."""
    template = next(iter(world.clerk.users.values()))
    for number in range(start, start + count):
        user = copy.deepcopy(template)
        user |= {"id": f"user_n{number:05d}", "first_name": f"First{number}", "last_name": "Last", "username": None}
        user["primary_email_address_id"] = f"idn_{number}"
        primary = {**user["email_addresses"][0], "id": f"idn_{number}", "email_address": f"n{number}@sandbox.example"}
        other = {**primary, "id": f"idn_other{number}", "email_address": f"other{number}@sandbox.example"}
        user["email_addresses"] = [other, primary]
        user["created_at"] = user["updated_at"] = BORN_MS + number * 1000
        world.clerk.users[user["id"]] = user


def only(world: World, count: int) -> None:
    """A Clerk with these users and no others."""
    add_users(world, count)
    for user_id in [user_id for user_id in world.clerk.users if not user_id.startswith("user_n")]:
        del world.clerk.users[user_id]


@pytest.fixture
def users(database: Database) -> Database:
    """With an empty table of users."""
    database.execute(USERS)
    return database


@pytest.fixture
async def with_database(
    world: World, world_url: str, database: Database, waits: list[float], lines: list[str]
) -> AsyncIterator[MakeContext]:
    """Makes contexts whose Clerk is the world's, and whose database the test's."""
    opened: list[Providers] = []

    def make(url: str = database.url) -> ActionContext:
        config = config_of(world.environment(world_url))
        providers = Providers(ProviderConfig(**{**dict(config), "database_url": SecretStr(url)}))
        opened.append(providers)
        return make_context(providers, waits, lines)

    yield make
    for providers in opened:
        await providers.aclose()


async def resync(context: ActionContext, **params: str) -> Outcome:
    """The action, through the runner."""
    return await execute(load_actions()["application.resync_users"], PARAMS | params, context)


async def check(context: ActionContext, **params: Any) -> Outcome:
    """The comparison, through the runner."""
    return await execute(load_actions()["application.check_users"], PARAMS | params, context)


async def shown(context: ActionContext, **params: str) -> Any:
    """The preview, through the runner."""
    return await preview(load_actions()["application.resync_users"], PARAMS | params, context)


def after(job: MemoryJob, saves: int, act: Callable[[], None]) -> MemoryJob:
    """``act`` is called when notes were saved so many times."""
    save = job.save

    class Watching(MemoryJob):
        calls = 0

        async def save(self, notes: Mapping[str, JsonValue]) -> None:
            await save(notes)
            Watching.calls += 1
            if Watching.calls == saves:
                act()

        async def notes(self) -> dict[str, JsonValue]:
            return await job.notes()

    return Watching()


# -- what it does ----------------------------------------------------------------------------------------------------------------


async def test_every_user_has_a_row_afterwards(
    world: World, users: Database, with_database: MakeContext, lines: list[str]
) -> None:
    """With the primary address, which is not the first of the list."""
    only(world, 1_203)
    outcome = await resync(with_database())
    assert outcome.state is State.OK
    assert outcome.summary == (
        "1,203 inserted, 0 updated, 0 unchanged; users has a row for each of 1,203 users, 100 compared are the same."
    )
    assert outcome.facts == {
        "read": 1_203,
        "inserted": 1_203,
        "updated": 0,
        "unchanged": 0,
        "rejected": 0,
        "gone": 0,
        "users": 1_203,
        "rows": 1_203,
        "sampled": 100,
        "differing": 0,
    }
    assert users.execute("SELECT email, first_name FROM users WHERE clerk_id = 'user_n00007'") == [
        ("n7@sandbox.example", "First7")
    ]
    assert lines[-1] == "1,203 of 1,203 users copied"
    pages = [row["query"] for row in world.ledger if row["path"] == "/v1/users" and "starting_after" in row["query"]]
    assert len(pages) == 2
    assert all("limit=500" in query and "order_by=%2Bcreated_at" in query for query in pages)


async def test_a_second_run_changes_nothing(world: World, users: Database, with_database: MakeContext) -> None:
    """It sets a state; rows that are right are not even touched."""
    only(world, 30)
    await resync(with_database())
    stamps = users.execute("SELECT max(updated_at) FROM users")
    outcome = await resync(with_database())
    assert (outcome.state, outcome.facts["inserted"], outcome.facts["updated"], outcome.facts["unchanged"]) == (
        State.OK,
        0,
        0,
        30,
    )
    assert users.execute("SELECT max(updated_at) FROM users") == stamps


async def test_the_preview_counts_and_changes_nothing(world: World, users: Database, with_database: MakeContext) -> None:
    """New, different, the same, and rows of nobody: exactly what the run does then."""
    only(world, 10)
    await resync(with_database())
    users.execute("DELETE FROM users WHERE clerk_id IN ('user_n00001', 'user_n00002')")
    users.execute("UPDATE users SET email = 'old@sandbox.example' WHERE clerk_id = 'user_n00003'")
    users.execute("INSERT INTO users (clerk_id, email) VALUES ('user_gone', 'gone@sandbox.example'), ('by-hand', NULL)")
    before = users.execute("SELECT * FROM users ORDER BY 1")
    found = await shown(with_database())
    assert found.summary == (
        "Of 10 users at Clerk 2 would be inserted into users and 1 updated; 7 are the same; 2 rows of nobody at Clerk stay. "
        "Nothing is deleted."
    )
    assert found.items == (
        "user_n00001: would be inserted",
        "user_n00002: would be inserted",
        "user_n00003: would be updated",
        "by-hand: a row of nobody at Clerk; it stays",
        "user_gone: a row of nobody at Clerk; it stays",
    )
    assert not found.nothing_to_do
    assert users.execute("SELECT * FROM users ORDER BY 1") == before
    outcome = await resync(with_database())
    facts = {name: outcome.facts[name] for name in ("inserted", "updated", "unchanged", "gone")}
    assert facts == {"inserted": 2, "updated": 1, "unchanged": 7, "gone": 2}


async def test_the_preview_leaves_the_notes_of_the_run_alone(world: World, users: Database, with_database: MakeContext) -> None:
    """They share the run's notes; a run after it copies everybody."""
    only(world, 5)
    context = with_database()
    await shown(context)
    assert await context.job.notes() == {}
    assert (await resync(context)).facts["inserted"] == 5


async def test_when_all_is_well_there_is_nothing_to_do(world: World, users: Database, with_database: MakeContext) -> None:
    """The preview says so."""
    only(world, 3)
    await resync(with_database())
    assert (await shown(with_database())).nothing_to_do


async def test_who_is_gone_at_clerk_is_listed_and_stays(world: World, users: Database, with_database: MakeContext) -> None:
    """Nothing is deleted; a long list becomes a file."""
    only(world, 40)
    await resync(with_database())
    for number in range(25):
        del world.clerk.users[f"user_n{number:05d}"]
    outcome = await resync(with_database())
    assert outcome.state is State.OK
    assert outcome.facts["gone"] == 25
    assert "25 rows of nobody at Clerk stay" in outcome.summary
    assert outcome.details[0] == "A row of nobody at Clerk: user_n00000"
    assert outcome.details[-1] == "… and 5 more"
    assert "gone at Clerk\tuser_n00024" in outcome.report
    assert users.execute("SELECT count(*) FROM users") == [(40,)]


async def test_users_come_and_go_while_they_are_copied(world: World, users: Database, with_database: MakeContext) -> None:
    """Deletions shift no page, the user at whom it stood may be deleted, and who signs up meanwhile comes along."""
    only(world, 1_400)

    def churn() -> None:
        for number in (*range(0, 100), *range(490, 500)):  # the last ten of the first page among them
            del world.clerk.users[f"user_n{number:05d}"]
        add_users(world, 20, start=1_400)

    context = with_database()
    outcome = await resync(replace(context, job=after(MemoryJob(), 1, churn)))
    assert outcome.state is State.OK
    assert (outcome.facts["users"], outcome.facts["rows"], outcome.facts["gone"]) == (1_310, 1_420, 110)
    missing = set(world.clerk.users) - {found for (found,) in users.execute("SELECT clerk_id FROM users")}
    assert missing == set()


async def test_more_than_the_trail_is_deleted(world: World, users: Database, with_database: MakeContext) -> None:
    """Nobody of those remembered is left: it says so, and a new run copies everybody."""
    only(world, 1_100)

    def churn() -> None:
        for number in range(460, 500):
            del world.clerk.users[f"user_n{number:05d}"]

    outcome = await resync(replace(with_database(), job=after(MemoryJob(), 1, churn)))
    assert outcome.state is State.UNKNOWN
    assert outcome.summary.startswith("After 500 users (500 inserted, 0 updated): Clerk answered 404")
    assert (await resync(with_database())).facts["rows"] == 1_100


async def test_an_address_that_moved_to_another_user(world: World, users: Database, with_database: MakeContext) -> None:
    """The older user had it; whoever has it now is written once the older one gave it up."""
    only(world, 4)
    await resync(with_database())
    first, last = world.clerk.users["user_n00000"], world.clerk.users["user_n00003"]
    mails = [user["email_addresses"][1]["email_address"] for user in (first, last)]
    first["email_addresses"][1]["email_address"], last["email_addresses"][1]["email_address"] = mails[1], "fresh@sandbox.example"
    outcome = await resync(with_database())
    assert outcome.state is State.OK
    assert outcome.facts["updated"] == 2
    assert users.execute("SELECT email FROM users WHERE clerk_id = 'user_n00000'") == [(mails[1],)]


async def test_an_address_that_another_row_has(world: World, users: Database, with_database: MakeContext) -> None:
    """That user is counted and named with the reason, the others are copied; never green."""
    only(world, 6)
    users.execute("INSERT INTO users (clerk_id, email) VALUES ('user_older', 'n2@sandbox.example')")
    outcome = await resync(with_database())
    assert outcome.state is State.FAILING
    assert outcome.facts["rejected"] == 1
    assert outcome.facts["inserted"] == 5
    assert outcome.summary.startswith("users did not take 1 user (another row has that value already (users_email_key))")
    assert "Not taken: user_n00002: another row has that value already (users_email_key)" in outcome.details
    assert "n2@sandbox.example" not in outcome.model_dump_json()


async def test_columns_that_the_table_never_takes(world: World, users: Database, with_database: MakeContext) -> None:
    """It stops soon, and says which column."""
    only(world, 1_600)
    users.execute("ALTER TABLE users ADD plan text NOT NULL")
    outcome = await resync(with_database())
    assert outcome.state is State.FAILING
    assert "users does not take 1,000 users so far: a column must not be empty (plan)" in outcome.summary
    assert outcome.facts["read"] == 1_000
    assert users.execute("SELECT count(*) FROM users") == [(0,)]


async def test_names_that_are_sql(world: World, users: Database, with_database: MakeContext) -> None:
    """They are names."""
    only(world, 2)
    world.clerk.users["user_n00001"]["first_name"] = "Robert'); DROP TABLE users; --"
    assert (await resync(with_database())).state is State.OK
    assert users.execute("SELECT first_name FROM users ORDER BY clerk_id") == [("First0",), ("Robert'); DROP TABLE users; --",)]


async def test_a_trigger_that_changes_what_is_written(world: World, users: Database, with_database: MakeContext) -> None:
    """The look at the end sees that the rows are not as they should be."""
    only(world, 5)
    users.execute(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.first_name := upper(NEW.first_name); RETURN NEW; END $$; "
        "CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION shout()"
    )
    outcome = await resync(with_database())
    assert outcome.state is State.FAILING
    assert outcome.facts["differing"] == 5
    assert "5 of 5 users compared afterwards differ" in outcome.summary


async def test_a_table_that_swallows_a_row(world: World, users: Database, with_database: MakeContext) -> None:
    """It took all of them, and one is not there; who is gone is still said."""
    only(world, 150)
    users.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
        "CREATE TRIGGER swallow BEFORE INSERT ON users FOR EACH ROW "
        "WHEN (NEW.clerk_id = 'user_n00003') EXECUTE FUNCTION swallow()"
    )
    users.execute("INSERT INTO users (clerk_id) VALUES ('user_gone')")
    outcome = await resync(with_database())
    assert outcome.state is State.FAILING
    assert (outcome.facts["users"], outcome.facts["rows"], outcome.facts["gone"]) == (150, 150, 1)
    assert "A row of nobody at Clerk: user_gone" in outcome.details


async def test_users_who_carry_much(world: World, users: Database, with_database: MakeContext) -> None:
    """A page of 500 may be larger than an answer may be; then pages are smaller."""
    only(world, 130)
    for user in world.clerk.users.values():
        user["public_metadata"] = {"avatar": "x" * 50_000}
    job = MemoryJob()
    outcome = await resync(replace(with_database(), job=job))
    assert (outcome.state, outcome.facts["inserted"]) == (State.OK, 130)
    await job.save({"phase": "gone", "key": ""})  # it asks for all of them by name
    assert (await resync(replace(with_database(), job=job))).facts["gone"] == 0
    asked = [row["query"] for row in world.ledger if row["path"] == "/v1/users" and "order_by" in row["query"]]
    assert ["limit=500" in query for query in asked[:2]] == [True, False]


async def test_who_was_not_taken_and_is_deleted_then(world: World, users: Database, with_database: MakeContext) -> None:
    """Is nobody's trouble any more."""
    only(world, 600)
    users.execute("INSERT INTO users (clerk_id, email) VALUES ('user_older', 'n2@sandbox.example')")

    def leave() -> None:
        del world.clerk.users["user_n00002"]

    outcome = await resync(replace(with_database(), job=after(MemoryJob(), 1, leave)))
    assert outcome.state is State.OK
    assert (outcome.facts["rejected"], outcome.facts["gone"]) == (0, 1)


# -- stopping, killing, going on -------------------------------------------------------------------------------------------------


async def test_a_killed_run_goes_on_where_it_was(world: World, users: Database, with_database: MakeContext) -> None:
    """Its notes have the place and the counts; pages that are done are not read again."""
    only(world, 1_700)

    class KilledError(BaseException):
        """Nothing after it runs."""

    def kill() -> None:
        raise KilledError

    job = MemoryJob()
    with pytest.raises(KilledError):
        await resync(replace(with_database(), job=after(job, 2, kill)))
    assert users.execute("SELECT count(*) FROM users") == [(1_000,)]
    asked = len(world.ledger)
    outcome = await resync(replace(with_database(), job=job))
    assert outcome.state is State.OK
    assert (outcome.facts["read"], outcome.facts["inserted"]) == (1_700, 1_700)
    first = next(row["query"] for row in world.ledger[asked:] if row["path"] == "/v1/users")
    assert "starting_after=user_n00999" in first


async def test_a_run_that_was_killed_while_it_looked_who_is_gone(
    world: World, users: Database, with_database: MakeContext
) -> None:
    """That phase goes on, too, and asks Clerk for those whom it cannot know any more."""
    only(world, 250)
    users.execute("INSERT INTO users (clerk_id) VALUES ('user_gone')")
    job = MemoryJob()
    await resync(replace(with_database(), job=job))
    notes = await job.notes()
    await job.save({**notes, "phase": "gone", "key": "", "gone": 0, "gone_ids": []})
    outcome = await resync(replace(with_database(), job=job))
    assert outcome.state is State.OK
    assert outcome.facts["gone"] == 1
    assert outcome.facts["inserted"] == 250


@pytest.mark.parametrize("crash_at", ["effect.asked:1", "effect.answered:1", "effect.asked:8", "effect.answered:15"])
async def test_a_process_dies_and_another_one_goes_on(
    world: World, world_url: str, users: Database, redis_url: str, crash_at: str
) -> None:
    """Before rows are written and after, before they are noted: one row each, and no user is counted twice or left out."""
    only(world, 1_500)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
        **{name: value for name, value in world.environment(world_url).items() if name.startswith("CLERK_")},
        **{"REDIS_URL": redis_url, "DATABASE_URL": users.url, "WORKSPACE": f"T{users.name}"},
        **{"USERS_TABLE": "users", "USERS_COLUMNS": COLUMNS},
    }

    async def attempt(**more: str) -> tuple[int | None, bytes]:
        module = ("-m", "tests.support.resync_process")
        process = await asyncio.create_subprocess_exec(
            sys.executable, *module, env=environment | more, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        return process.returncode, said

    assert (await attempt(CRASH_AT=crash_at))[0] == KILLED
    batch = int(crash_at.partition(":")[2]) - crash_at.startswith("effect.asked")
    assert users.execute("SELECT count(*) FROM users") == [(batch * 100,)]
    code, said = await attempt()
    assert code == 0
    outcome = Outcome.model_validate_json(said)
    assert outcome.state is State.OK
    assert (outcome.facts["read"], outcome.facts["users"], outcome.facts["rows"]) == (1_500, 1_500, 1_500)
    taken = [int(outcome.facts[name] or 0) for name in ("inserted", "updated", "unchanged")]
    assert sum(taken) == 1_500
    assert taken[2] <= 500  # a page that was written and not noted is found to be right


async def test_it_can_be_stopped(world: World, users: Database, with_database: MakeContext) -> None:
    """Between two pages; what is done stays done, and it says how far it came."""
    only(world, 1_200)
    pressed: list[bool] = []
    context = with_database()
    stopping = replace(context, job=after(MemoryJob(), 1, lambda: pressed.append(True)), is_stopping=lambda: bool(pressed))
    outcome = await resync(stopping)
    assert outcome.state is State.FAILING
    assert outcome.value == "stopped"
    assert outcome.summary.startswith("Stopped after 500 users: 500 inserted, 0 updated")
    assert users.execute("SELECT count(*) FROM users") == [(500,)]


async def test_nothing_is_written_once_the_task_is_lost(world: World, users: Database, with_database: MakeContext) -> None:
    """Another worker may have it by now: no outcome, and no row."""
    only(world, 5)

    def lost() -> None:
        raise FencedError("somebody else has it")

    with guarded(lost), pytest.raises(FencedError):
        await resync(with_database())
    assert users.execute("SELECT count(*) FROM users") == [(0,)]


async def test_half_of_clerks_limit_is_used(world: World, users: Database, with_database: MakeContext) -> None:
    """Each call waits for its place in the limit that all replicas share."""
    only(world, 3)
    paces: list[tuple[str, float]] = []

    async def pace(name: str, per_s: float) -> None:
        paces.append((name, per_s))

    await resync(replace(with_database(), pace=pace))
    assert set(paces) == {("clerk", 5.0)}
    assert len(paces) == sum(1 for row in world.ledger if row["provider"] == "clerk")


async def test_clerk_limits_the_rate(world: World, users: Database, with_database: MakeContext, waits: list[float]) -> None:
    """It waits as long as Clerk says, and goes on."""
    only(world, 3)
    world.clerk.limited_calls = 2
    assert (await resync(with_database())).state is State.OK
    assert waits == [2.0, 2.0]


@pytest.mark.parametrize(
    ("fault", "said"), [("unauthorized", "does not accept the secret"), ("error", "500"), ("html", "web page")]
)
async def test_clerk_fails(world: World, users: Database, with_database: MakeContext, fault: str, said: str) -> None:
    """The sentence says how far it came, why, and that running it again is safe."""
    only(world, 600)
    job = after(MemoryJob(), 1, lambda: world.set("clerk_api", fault))
    outcome = await resync(replace(with_database(), job=job))
    assert outcome.state is State.UNKNOWN
    assert outcome.summary.startswith("After 500 users (500 inserted, 0 updated): Clerk")
    assert said in outcome.summary
    assert outcome.remedy.endswith("then run it again, which is safe.")


# -- the database cannot be used -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["application.resync_users", "application.check_users"])
async def test_without_a_database(world: World, context: ActionContext, action: str) -> None:
    """The variable is named, and Clerk is not asked for its users."""
    outcome = await execute(load_actions()[action], PARAMS, context)
    assert outcome.state is State.UNKNOWN
    assert outcome.remedy == "Set DATABASE_URL and restart Muster."
    assert world.ledger == []


async def test_the_database_is_down(world: World, with_database: MakeContext) -> None:
    """Nobody knows how the table is; the password is in no sentence."""
    for run in (resync, check):
        outcome = await run(with_database("postgresql://owner:hunter2@127.0.0.1:1/app"))
        assert outcome.state is State.UNKNOWN
        assert "could not be reached: the connection was refused" in outcome.summary
        assert "hunter2" not in outcome.model_dump_json()


async def test_a_wrong_password(users: Database, with_database: MakeContext) -> None:
    """The remedy has the variable."""
    outcome = await resync(with_database(users.server.url_for("owner", "hunter2", users.name)))
    assert "does not accept the user and the password" in outcome.summary
    assert "DATABASE_URL" in outcome.remedy
    assert "hunter2" not in outcome.model_dump_json()


async def test_a_user_who_may_only_read(world: World, users: Database, with_database: MakeContext) -> None:
    """It is seen before anything is asked for, in the preview as well; comparing is allowed."""
    only(world, 3)
    reader = users.role("SELECT ON users")
    with pytest.raises(MusterError, match="may not write to users; grant it INSERT and UPDATE on the table"):
        await shown(with_database(reader))
    outcome = await resync(with_database(reader))
    assert outcome.summary == "The user of DATABASE_URL may not write to users."
    assert (await check(with_database(reader))).state is State.FAILING
    assert users.execute("SELECT count(*) FROM users") == [(0,)]


async def test_columns_that_are_not_there(world: World, users: Database, with_database: MakeContext) -> None:
    """All of them are named, with the likeliest name for the first."""
    outcome = await resync(with_database(), columns="clerk_id=id, e_mail=email, nick=first_name")
    assert outcome.summary == "users has no column e_mail, nick."
    assert outcome.remedy.startswith("Did you mean email? Correct the columns")
    assert (await resync(with_database(), table="people")).remedy == "Check its name; capitals count."


async def test_a_key_that_is_not_unique(world: World, users: Database, with_database: MakeContext) -> None:
    """Without a unique index a row would be inserted again and again."""
    only(world, 3)
    outcome = await resync(with_database(), columns="last_name=id, email=email")
    assert outcome.summary == "Two rows of users could have the same last_name, so rows cannot be told apart."
    assert users.execute("SELECT count(*) FROM users") == [(0,)]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("clerk_id=id, email=emial", "there is no field emial; did you mean email"),
        ("email=email", "exactly one column is to hold the id"),
        ("a=id, b=id", "exactly one column is to hold the id"),
        ("a=id, a=email", "the column a comes twice"),
        ("clerk_id=id; DROP TABLE users", "is not of the form column=field"),
        ('clerk_id=id, "email"=email', "is not of the form column=field"),
        ("clerk_id=id, email=email)", "is not of the form column=field"),
        ("clerk_id", "is not of the form column=field"),
    ],
)
def test_columns_that_say_nothing(columns: str, said: str) -> None:
    """The sentence says what is wrong, before anything is asked."""
    with pytest.raises(ValueError, match=said):
        parse_columns(columns)


@pytest.mark.parametrize("table", ["users; DROP TABLE users", 'us"ers', "", "../users", "a.b.c", "${users_table}"])
async def test_a_table_that_is_no_name(table: str, world: World, context: ActionContext) -> None:
    """Refused by its pattern, as a parameter: nothing is asked."""
    outcome = await resync(context, table=table)
    assert outcome.state is State.UNKNOWN
    assert outcome.summary.startswith("application.resync_users cannot run with these parameters: table:")
    with pytest.raises(UserError):
        await shown(context, table=table)
    assert world.ledger == []


# -- the comparison alone --------------------------------------------------------------------------------------------------------


async def test_the_comparison(world: World, users: Database, with_database: MakeContext) -> None:
    """Equal numbers and equal rows are ok; a row that differs, or one too many, is not. It changes nothing."""
    only(world, 300)
    await resync(with_database())
    agreed = await check(with_database())
    assert (agreed.state, agreed.value) == (State.OK, "300 users")
    users.execute("INSERT INTO users (clerk_id) VALUES ('user_gone')")
    assert (await check(with_database())).summary == "Clerk has 300 users, users has 301 rows."
    users.execute("DELETE FROM users WHERE clerk_id = 'user_gone'")
    users.execute("UPDATE users SET last_name = 'Other'")
    before = users.execute("SELECT * FROM users ORDER BY 1")
    differing = await check(with_database(), sample=20)
    assert differing.state is State.FAILING
    assert differing.summary == "20 of 20 users compared differ in users, or have no row there."
    assert users.execute("SELECT * FROM users ORDER BY 1") == before


async def test_an_empty_clerk_and_an_empty_table(world: World, users: Database, with_database: MakeContext) -> None:
    """They agree."""
    world.clerk.users.clear()
    assert (await check(with_database())).state is State.OK
    assert (await resync(with_database())).state is State.OK
