"""What the doctor says of the application's database, of its switch, and of its status page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.actions.registry import load_actions
from bot.domain.catalog import Catalog
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.terminal.doctor_providers import check_database, check_own_page, check_switch
from bot.terminal.findings import Finding
from tests.support.postgres import USERS, Database

SPECS = load_actions()


async def database_findings(catalog: Catalog | None, url: str | None) -> list[Finding]:
    """For a database at this address."""
    async with Providers(ProviderConfig(database_url=SecretStr(url) if url else None)) as providers:
        return await check_database(providers, SPECS, catalog)


async def test_a_table_that_can_be_written(catalog: Catalog, database: Database) -> None:
    """It is one of those that the runbooks name."""
    database.execute(USERS)
    assert [(one.level, one.finding) for one in await database_findings(catalog, database.url)] == [
        ("ok", "users can be read and written")
    ]


async def test_rights_that_are_missing(catalog: Catalog, database: Database) -> None:
    """Each with what to grant; nothing is written to find out."""
    database.execute(USERS)
    reader = await database_findings(catalog, database.role("SELECT ON users"))
    assert (reader[0].level, reader[0].finding) == (
        "warn",
        "users can be read, but not written: the user may not insert and update",
    )
    stranger = await database_findings(catalog, database.role())
    assert (stranger[0].level, stranger[0].finding) == ("warn", "users may not be read")


async def test_a_table_that_is_not_there(catalog: Catalog, database: Database) -> None:
    """A fault: the step would fail."""
    found = await database_findings(catalog, database.url)
    assert found[0].level == "fault"
    assert "has no table users" in found[0].finding


async def test_a_database_that_is_not_there(catalog: Catalog) -> None:
    """It may be back when it is needed; the password is not shown."""
    found = await database_findings(catalog, "postgresql://owner:hunter2@127.0.0.1:1/app")
    assert found[0].level == "warn"
    assert "the connection was refused" in found[0].finding
    assert "hunter2" not in str(found)


async def test_without_runbooks(database: Database) -> None:
    """Then that it lets us in is all there is to see."""
    assert "takes the user, for application.check_users" in (await database_findings(None, database.url))[0].finding


async def test_what_is_not_configured(catalog: Catalog) -> None:
    """Named with its variable and whatever waits for it, and not asked."""
    found = await database_findings(catalog, None)
    assert (found[0].level, found[0].remedy) == ("warn", "set DATABASE_URL")
    async with Providers(ProviderConfig()) as providers:
        switch = await check_switch(providers, SPECS, catalog)
    assert (switch[0].level, switch[0].remedy) == ("warn", "set APPLICATION_SWITCH_URL")


@pytest.fixture
async def providers(world: World) -> AsyncIterator[Providers]:
    """With the switch and the status page of a world."""
    app = web.Application()
    world.add_routes(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    environment = world.environment("http://{}:{}".format(*runner.addresses[0][:2]))
    config = ProviderConfig(
        application_switch_url=environment["APPLICATION_SWITCH_URL"],
        application_switch_token=SecretStr(environment["APPLICATION_SWITCH_TOKEN"]),
        statuspage_api_key=SecretStr(environment["STATUSPAGE_API_KEY"]),
        statuspage_api_url=environment["STATUSPAGE_API_URL"],
        statuspage_page_id=environment["STATUSPAGE_PAGE_ID"],
    )
    async with Providers(config) as made:
        yield made
    await runner.cleanup()


@pytest.fixture
def world() -> World:
    """All is well."""
    return World()


async def test_a_switch(world: World, catalog: Catalog, providers: Providers) -> None:
    """How it stands; one that was forgotten is a warning. It is only read."""
    assert [one.level for one in await check_switch(providers, SPECS, catalog)] == ["ok"]
    world.application_data.paused_since = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
    forgotten = await check_switch(providers, SPECS, catalog)
    assert (forgotten[0].level, forgotten[0].finding) == ("warn", "the application's webhooks are paused")
    assert {row["method"] for row in world.ledger} == {"GET"}


async def test_a_status_page(world: World, catalog: Catalog, providers: Providers) -> None:
    """It is only read; a key that is refused is a fault, a page that does not answer a warning."""
    found = await check_own_page(providers, SPECS, catalog)
    assert (found[0].level, found[0].finding) == ("ok", "accepts the key, with 0 open incidents, for statuspage.update")
    for state, level in (("unauthorized", "fault"), ("error", "warn")):
        world.set("own_status_page", state)
        assert [one.level for one in await check_own_page(providers, SPECS, catalog)] == [level]
    assert {row["method"] for row in world.ledger} == {"GET"}


async def test_half_a_status_page(catalog: Catalog) -> None:
    """A key without a page, and a page without a key."""
    for config, unset in (
        (ProviderConfig(statuspage_api_key=SecretStr("k")), "STATUSPAGE_PAGE_ID"),
        (ProviderConfig(statuspage_page_id="page1"), "STATUSPAGE_API_KEY"),
    ):
        async with Providers(config) as providers:
            (found,) = await check_own_page(providers, SPECS, catalog)
        assert (found.level, found.remedy) == ("warn", f"set {unset}")
