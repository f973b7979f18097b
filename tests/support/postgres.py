"""A real PostgreSQL for tests: the machine's own server, one for the session, and a database of its own for each test.

`tests/conftest.py` makes the fixtures known.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, LiteralString, cast

import psycopg
import pytest

from bot.sandbox.postgres import TemporaryPostgres, find_programs

USERS = """
CREATE TABLE users (
  clerk_id text PRIMARY KEY, email text UNIQUE, first_name text, last_name text, updated_at timestamptz
)
"""
"""What most tests need."""


class Database:
    """One test's database. ``url`` is its owner's."""

    def __init__(self, server: TemporaryPostgres, name: str) -> None:
        self.server = server
        self.name = name
        self.url = server.url_for("owner", server.password, name)

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run it as the owner; the rows, if it has any."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(cast(LiteralString, statement), values or None)
            return cursor.fetchall() if cursor.description else []

    def role(self, *grants: str) -> str:
        """The address for a new user with nothing but these grants ("SELECT ON users")."""
        name, password = f"role_{secrets.token_hex(4)}", secrets.token_hex(8)
        self.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        for grant in grants:
            self.execute(f"GRANT {grant} TO {name}")
        return self.server.url_for(name, password, self.name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[TemporaryPostgres]:
    """A server for this test session."""
    if find_programs() is None:
        pytest.skip("needs PostgreSQL's initdb and postgres: apt install postgresql")
    with TemporaryPostgres() as server:
        yield server


@pytest.fixture
def database(postgres: TemporaryPostgres) -> Iterator[Database]:
    """An empty database that nobody else uses."""
    name = f"app_{secrets.token_hex(4)}"
    with psycopg.connect(postgres.url_for("owner", postgres.password, "postgres"), autocommit=True) as connection:
        connection.execute(cast(LiteralString, f"CREATE DATABASE {name}"))
    yield Database(postgres, name)
    with psycopg.connect(postgres.url_for("owner", postgres.password, "postgres"), autocommit=True) as connection:
        connection.execute(cast(LiteralString, f"DROP DATABASE {name} WITH (FORCE)"))
