"""The stand-in for Statuspage takes what the real one documents, and mails the subscribers unless it is told not to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot.sandbox.world import World
from bot.sandbox.world.statuspage import API_KEY, PAGE_ID
from tests.sandbox.mounted_world import served

INCIDENTS = f"/statuspage/v1/pages/{PAGE_ID}/incidents"


@pytest.fixture
def world() -> World:
    """At a moment that does not move."""
    return World(clock=lambda: 1_800_000_000.0)


@pytest.fixture
async def http(world: World) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody with the key."""
    headers = {"Authorization": f"OAuth {API_KEY}"}
    async with served(world) as url, aiohttp.ClientSession(url, headers=headers) as session:
        yield session


async def call(http: aiohttp.ClientSession, method: str, path: str, **given: Any) -> tuple[int, Any]:
    """Status and body."""
    async with http.request(method, path, **given) as response:
        return response.status, await response.json(content_type=None) if "json" in response.content_type else None


async def test_an_incident_from_its_first_text_to_its_last(world: World, http: aiohttp.ClientSession) -> None:
    """Opened, updated, resolved; the newest text is the first; what is over is not among the unresolved."""
    told = {"name": "Sign-in", "body": "One", "metadata": {"muster": {"incident_id": "i1"}}, "deliver_notifications": False}
    status, opened = await call(http, "POST", INCIDENTS, json={"incident": told})
    assert (status, opened["status"], opened["metadata"]) == (201, "investigating", told["metadata"])
    told = {"status": "resolved", "body": "Two", "deliver_notifications": False}
    status, closed = await call(http, "PATCH", f"{INCIDENTS}/{opened['id']}", json={"incident": told})
    assert (status, [update["body"] for update in closed["incident_updates"]]) == (200, ["Two", "One"])
    assert await call(http, "GET", f"{INCIDENTS}/unresolved") == (200, [])
    assert (await call(http, "GET", INCIDENTS))[1][0]["status"] == "resolved"
    assert (world.statuspage.texts(), world.statuspage.mailed) == (["One", "Two"], [])


async def test_the_subscribers_are_mailed_unless_it_is_said(world: World, http: aiohttp.ClientSession) -> None:
    """That is the default of the real one."""
    await call(http, "POST", INCIDENTS, json={"incident": {"name": "Sign-in", "body": "One"}})
    assert world.statuspage.mailed == ["One"]


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"incident": {"body": "no name"}}, 422),
        ({"incident": {"name": "A", "status": "sideways"}}, 422),
        ({"incident": {"name": "A", "colour": "red"}}, 422),
        ({"incident": {"name": "A", "deliver_notifications": "no"}}, 422),
        ({"incident": {"name": "A", "metadata": {"incident_id": "i1"}}}, 422),
        ({"incident": {"name": "A" * 256}}, 422),
        ({"name": "A"}, 400),
    ],
)
async def test_what_is_not_documented_is_refused(world: World, http: aiohttp.ClientSession, told: Any, status: int) -> None:
    """And nothing is published."""
    assert (await call(http, "POST", INCIDENTS, json=told))[0] == status
    assert world.statuspage.incidents == []


async def test_only_with_the_key_and_for_its_page(world: World, http: aiohttp.ClientSession) -> None:
    """The scheme is OAuth, and other pages are not there."""
    bearer = {"Authorization": f"Bearer {API_KEY}"}
    assert (await call(http, "GET", f"{INCIDENTS}/unresolved", headers=bearer))[0] == 401
    assert (await call(http, "GET", "/statuspage/v1/pages/another/incidents"))[0] == 404
    for value, status in (("unauthorized", 401), ("rate_limited", 420), ("error", 500)):
        world.set("own_status_page", value)
        assert (await call(http, "GET", INCIDENTS))[0] == status
