"""The application of the sandbox that has data: its webhook endpoint, its switch, its database; docs/application.md agrees."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import psycopg
import pytest
from pydantic import SecretStr

from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.actions.spec import ActionContext
from bot.actions.user_table import parse_columns
from bot.domain.outcome import State
from bot.providers.clerk_webhook import WebhookProbe
from bot.providers.config import APPLICATION_SWITCH_TOKEN, APPLICATION_SWITCH_URL, DATABASE_URL, ProviderConfig
from bot.providers.table import Providers
from bot.sandbox.postgres import find_programs
from bot.sandbox.world import World, clerk
from bot.sandbox.world.application_data import COLUMNS, SWITCH_PATH, SWITCH_TOKEN, TABLE, WEBHOOK_PATH
from tests.conftest import ROOT
from tests.sandbox.mounted_world import served

NOW = 1_800_000_000
Base = str


@pytest.fixture
def world() -> World:
    """At a moment that does not move."""
    return World(clock=lambda: float(NOW))


@pytest.fixture
async def base(world: World) -> AsyncIterator[Base]:
    """The address of its application."""
    async with served(world) as url:
        yield url
    await world.application_data.stop()


async def knock(base: Base, *, signed: bool, epoch_s: int = NOW, secret: str = clerk.SIGNING_SECRET) -> int:
    """The status for an event."""
    probe = WebhookProbe(SecretStr(secret))
    return (await probe.knock(f"{base}/app{WEBHOOK_PATH}", message_id="msg_1", epoch_s=epoch_s, signed=signed)).status


async def switch(base: Base, method: str = "GET", *, token: str = SWITCH_TOKEN, **given: Any) -> tuple[int, Any]:
    """The status and the answer of the switch."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.request(method, f"{base}/app{SWITCH_PATH}", **given) as answer,
    ):
        return answer.status, await answer.json()


async def test_only_signed_events_are_taken(world: World, base: Base) -> None:
    """Signed now, and with the secret; anything else is answered 400 and left."""
    assert await knock(base, signed=False) == 400
    assert await knock(base, signed=True, epoch_s=NOW - 301) == 400
    assert await knock(base, signed=True, secret="whsec_c29tZXRoaW5nIGVsc2U=") == 400
    assert world.application_data.events == []
    assert await knock(base, signed=True) == 200
    assert [event["type"] for event in world.application_data.events] == ["muster.probe"]


async def test_the_switch_pauses_the_endpoint(world: World, base: Base) -> None:
    """503 for what is signed, so that it is sent again; what is not signed is still wrong."""
    assert await switch(base) == (200, {"paused": False, "since": None})
    assert await switch(base, "PUT", json={"paused": True}) == (200, {"paused": True, "since": "2027-01-15T08:00:00+00:00"})
    assert (await knock(base, signed=True), await knock(base, signed=False)) == (503, 400)
    assert world.application_data.events == []
    assert (await switch(base, "PUT", json={"paused": False}))[1]["paused"] is False
    assert await knock(base, signed=True) == 200


@pytest.mark.parametrize(
    ("method", "given", "status"),
    [
        ("GET", {"token": "wrong"}, 401),
        ("PUT", {"token": "", "json": {"paused": True}}, 401),
        ("PUT", {"json": {"paused": "yes"}}, 400),
        ("PUT", {"json": []}, 400),
        ("POST", {"json": {"paused": True}}, 405),
    ],
)
async def test_a_switch_that_is_not_asked_properly(
    world: World, base: Base, method: str, given: dict[str, Any], status: int
) -> None:
    """It stays as it is."""
    assert (await switch(base, method, **given))[0] == status
    assert world.application_data.paused_since is None


@pytest.mark.parametrize(
    ("state", "unsigned", "signed"),
    [("healthy", 400, 200), ("unprotected", 200, 200), ("behind a sign-in", 307, 307), ("broken", 500, 500)],
)
async def test_the_endpoint_can_be_ill(world: World, base: Base, state: str, unsigned: int, signed: int) -> None:
    """As the page's switch has it."""
    world.set("app_webhook", state)
    assert (await knock(base, signed=False), await knock(base, signed=True)) == (unsigned, signed)


@pytest.fixture
async def with_database(world: World, base: Base) -> AsyncIterator[Callable[[], ActionContext]]:
    """Makes contexts of a bot that was pointed at the world."""
    if find_programs() is None:
        pytest.skip("needs PostgreSQL's initdb and postgres: apt install postgresql")
    assert await world.start_database()
    environment = world.environment(base)
    config = ProviderConfig(
        clerk_secret_key=SecretStr(environment["CLERK_SECRET_KEY"]),
        clerk_api_url=environment["CLERK_API_URL"],
        database_url=SecretStr(environment["DATABASE_URL"]),
    )
    async with Providers(config) as providers:
        yield lambda: ActionContext(providers=providers)


async def test_its_table_is_a_little_behind(world: World, with_database: Callable[[], ActionContext]) -> None:
    """One missing, one with another address, one gone; the copy mends it, and it is thrown away at the end."""
    params = {"table": TABLE, "columns": COLUMNS}
    assert (await execute(load_actions()["application.check_users"], params, with_database())).state is State.FAILING
    outcome = await execute(load_actions()["application.resync_users"], params, with_database())
    assert outcome.state is State.OK
    assert (outcome.facts["inserted"], outcome.facts["updated"], outcome.facts["gone"]) == (1, 1, 1)
    url = world.application_data.database_url
    await world.application_data.stop()
    assert "DATABASE_URL" not in world.environment("http://127.0.0.1:1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_the_document_agrees() -> None:
    """Its addresses, settings and columns are those of the code."""
    text = (ROOT / "docs" / "application.md").read_text("utf-8")
    assert f"`app{WEBHOOK_PATH}/route.ts`" in text
    assert f"`app{SWITCH_PATH}/route.ts`" in text
    assert all(
        f"{name}=" in text or f"`{name}`" in text for name in (APPLICATION_SWITCH_URL, APPLICATION_SWITCH_TOKEN, DATABASE_URL)
    )
    columns = re.findall(r"users_columns: ([^`\n]+)", text)
    assert len(columns) == 2
    assert [parse_columns(found).key for found in columns] == ["clerk_id", "clerkId"]
    actions = set(re.findall(r"`((?:application|clerk|bypass|http)\.[a-z_]+)`", text))
    assert actions <= set(load_actions())
