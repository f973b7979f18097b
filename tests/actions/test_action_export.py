"""A table as a file: whole, for nobody else to read, never written over, and never left half-written under its name."""

from __future__ import annotations

import asyncio
import csv
import gzip
import hashlib
import io
import os
import socket
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.actions.registry import load_actions
from bot.actions.runner import execute, preview
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.errors import MusterError
from bot.domain.outcome import Outcome, State
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from tests.actions.conftest import make_context
from tests.support.postgres import USERS, Database

EXPORT = load_actions()["application.export_table"]
LARGE = (
    "INSERT INTO users (clerk_id, email) SELECT 'bulk_' || n, md5(n::text) || '@example.com' FROM generate_series(1, 100000) AS n"
)


@pytest.fixture
def users(database: Database) -> Database:
    """With three users, whose names are what CSV has to quote."""
    database.execute(USERS)
    database.execute(
        "INSERT INTO users (clerk_id, email, first_name) VALUES "
        "('user_1', 'a@example.com', 'Anna'), ('user_2', NULL, 'a, \"b\"'), ('user_3', '', E'two\\nlines')"
    )
    return database


@pytest.fixture
async def context(users: Database, tmp_path: Path, waits: list[float], lines: list[str]) -> AsyncIterator[ActionContext]:
    """Exports of the test's database go to a folder that is not there yet."""
    async with Providers(config(users.url, tmp_path / "data" / "exports")) as providers:
        yield replace(make_context(providers, waits, lines), run=RunFacts(incident_number=42))


def config(url: str, folder: Path | None) -> ProviderConfig:
    """Of the database and the folder alone."""
    return ProviderConfig(database_url=SecretStr(url), exports_dir=folder)


async def export(context: ActionContext, table: str = "users") -> Outcome:
    """Through the runner."""
    return await execute(EXPORT, {"table": table}, context)


def written(outcome: Outcome) -> Path:
    """The file of an export."""
    return Path(str(outcome.facts["path"]))


def mode_of(path: Path) -> int:
    """Who may do what with it."""
    return stat.S_IMODE(path.stat().st_mode)


def unpacked(path: Path) -> bytes:
    """The CSV in it."""
    return gzip.decompress(path.read_bytes())


def size_and_digest(path: Path) -> tuple[int, str]:
    """As they are on the disk."""
    return path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()


async def until_begun(tmp_path: Path) -> None:
    """Until there is half a file."""
    async with asyncio.timeout(30):
        while not files(tmp_path):  # noqa: ASYNC110 - nobody tells when a file is made
            await asyncio.sleep(0.001)


def files(tmp_path: Path) -> list[str]:
    """Whatever lies in the folder."""
    return sorted(path.name for path in (tmp_path / "data" / "exports").glob("*"))


async def test_the_table_is_in_the_file(context: ActionContext, tmp_path: Path) -> None:
    """Every row with its header; path, rows and checksum are recorded, and nobody else may read it."""
    outcome = await export(context)
    path = written(outcome)
    size, digest = size_and_digest(path)
    rows = list(csv.reader(io.StringIO(unpacked(path).decode())))
    assert rows[0] == ["clerk_id", "email", "first_name", "last_name", "updated_at"]
    assert sorted(rows[1:]) == [
        ["user_1", "a@example.com", "Anna", "", ""],
        ["user_2", "", 'a, "b"', "", ""],
        ["user_3", "", "two\nlines", "", ""],
    ]
    assert outcome.state is State.OK
    assert outcome.value == "3 rows"
    assert outcome.facts == {
        "table": "users",
        "path": str(path),
        "host": socket.gethostname(),
        "rows": 3,
        "bytes": size,
        "sha256": digest,
    }
    assert path.name.startswith("users-incident-42-20")
    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == 0o700
    assert files(tmp_path) == [path.name]


async def test_the_preview_says_what_goes_where(context: ActionContext, tmp_path: Path) -> None:
    """And makes no file."""
    found = await preview(EXPORT, {"table": "public.users"}, context)
    assert found.summary.startswith("3 rows of public.users (at most ")
    assert f"are copied into a new file in {tmp_path}/data/exports on {socket.gethostname()}" in found.summary
    assert files(tmp_path) == []


async def test_each_export_is_a_file_of_its_own(context: ActionContext, tmp_path: Path) -> None:
    """Nothing is written over."""
    first, second = await export(context), await export(context)
    assert first.facts["path"] != second.facts["path"]
    assert len(files(tmp_path)) == 2


async def test_an_empty_table(context: ActionContext, users: Database) -> None:
    """Has a header."""
    users.execute("DELETE FROM users")
    outcome = await export(context)
    assert (outcome.state, outcome.facts["rows"]) == (State.OK, 0)
    assert unpacked(written(outcome)).startswith(b"clerk_id,email")


async def test_a_large_table_and_the_loop(context: ActionContext, users: Database) -> None:
    """Compressing holds nothing up: leases are renewed meanwhile. What others do on this machine meanwhile does not count."""
    users.execute(LARGE)
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.01)
            longest_s = max(longest_s, time.thread_time() - before)

    watching = asyncio.create_task(watch())
    outcome = await export(context)
    watching.cancel()
    assert outcome.facts["rows"] == 100_003
    assert longest_s < 0.5


async def test_it_can_be_stopped(context: ActionContext, users: Database, tmp_path: Path) -> None:
    """Then there is no file."""
    users.execute(LARGE)
    outcome = await export(replace(context, is_stopping=lambda: True))
    assert (outcome.state, outcome.value) == (State.FAILING, "stopped")
    assert files(tmp_path) == []


async def test_being_cancelled_leaves_no_file(context: ActionContext, users: Database, tmp_path: Path) -> None:
    """Half a table under a good name would be believed."""
    users.execute(LARGE)
    work = asyncio.create_task(export(context))
    await until_begun(tmp_path)
    assert files(tmp_path)[0].endswith(".part")
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert files(tmp_path) == []


async def test_the_server_stops_meanwhile(context: ActionContext, users: Database, tmp_path: Path) -> None:
    """No file, and a sentence."""
    users.execute(LARGE)

    def stop() -> bool:
        users.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'muster'")
        return False

    outcome = await export(replace(context, is_stopping=stop))
    assert outcome.state is State.UNKNOWN
    assert outcome.summary.startswith("PostgreSQL (127.0.0.1")
    assert files(tmp_path) == []


async def test_what_a_killed_export_left_goes_away(context: ActionContext, tmp_path: Path) -> None:
    """Once it is old: a younger one may be somebody's who is still at it."""
    folder = tmp_path / "data" / "exports"
    folder.mkdir(parents=True)
    old, young, other = (
        folder / f"{name}-1.csv.gz.part" for name in ("users-incident-1", "users-incident-2", "orders-incident-1")
    )
    for path in (old, young, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (1, 1))
    await export(context)
    assert not old.exists()
    assert young.exists()
    assert other.exists()


async def test_a_user_who_may_not_read(users: Database, tmp_path: Path, waits: list[float], lines: list[str]) -> None:
    """The right is named; no file."""
    async with Providers(config(users.role(), tmp_path / "data" / "exports")) as providers:
        outcome = await export(make_context(providers, waits, lines))
    assert outcome.summary == "The user of DATABASE_URL may not read users."
    assert outcome.remedy == "Grant it SELECT on the table."
    assert files(tmp_path) == []


async def test_a_table_that_is_not_there(context: ActionContext) -> None:
    """Named, with what to do."""
    outcome = await export(context, "orders")
    assert outcome.summary.endswith("has no table orders.")
    assert outcome.remedy == "Check its name; capitals count."


@pytest.mark.parametrize("table", ["../../etc/passwd", "users; COPY users TO PROGRAM 'id'", "users) TO PROGRAM 'id' --", ""])
async def test_what_is_no_table(context: ActionContext, table: str, tmp_path: Path) -> None:
    """Is refused as a parameter."""
    outcome = await export(context, table)
    assert outcome.summary.startswith("application.export_table cannot run with these parameters: table:")
    assert files(tmp_path) == []


async def test_a_folder_that_cannot_be_made(users: Database, tmp_path: Path, waits: list[float], lines: list[str]) -> None:
    """The sentence has the place and the variable."""
    (tmp_path / "data").write_text("a file where the folder should be")
    async with Providers(config(users.url, tmp_path / "data" / "exports")) as providers:
        outcome = await export(make_context(providers, waits, lines))
    assert outcome.state is State.UNKNOWN
    assert outcome.summary.startswith(f"{tmp_path}/data/exports cannot be used:")
    assert "MUSTER_DATA_DIR" in outcome.remedy


async def test_a_machine_that_keeps_no_files(users: Database, waits: list[float], lines: list[str]) -> None:
    """An export that is gone at the next restart is none."""
    async with Providers(config(users.url, None)) as providers:
        made = make_context(providers, waits, lines)
        outcome = await export(made)
        with pytest.raises(MusterError, match="loses its files at every restart"):
            await preview(EXPORT, {"table": "users"}, made)
    assert outcome.summary == "This machine loses its files at every restart, so nothing was exported to it."


async def test_without_a_database(tmp_path: Path, waits: list[float], lines: list[str]) -> None:
    """The variable is named."""
    async with Providers(ProviderConfig(exports_dir=tmp_path / "data")) as providers:
        outcome = await export(make_context(providers, waits, lines))
    assert outcome.remedy == "Set DATABASE_URL and restart Muster."
