"""The reader of a status page: which API it finds, and that a failure never reads as good news."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from bot.providers.faults import Unavailable
from bot.providers.status_page import StatusPageClient
from bot.providers.status_shapes import Level
from bot.sandbox.world import World

OPERATIONAL_SUMMARY = {"page": {}, "status": {"indicator": "none", "description": "All good"}, "components": []}


def page(url: str, *, timeout_s: float = 20.0) -> StatusPageClient:
    """A client of Clerk's page at this address."""
    return StatusPageClient(url, name="Clerk's status page", setting="CLERK_STATUS_URL", timeout_s=timeout_s)


@pytest.fixture
async def client(world_url: str) -> AsyncIterator[StatusPageClient]:
    """The client, pointed at the world."""
    made = page(f"{world_url}/status")
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("host", "source"),
    [("incident_io", "/api/v1/summary"), ("statuspage", "/api/v2/summary.json"), ("feed", "/feed.rss")],
)
@pytest.mark.parametrize(
    ("state", "level"),
    [
        ("operational", Level.OPERATIONAL),
        ("degraded", Level.DEGRADED_PERFORMANCE),
        ("down", Level.FULL_OUTAGE),
    ],
)
async def test_each_api_tells_the_same(
    client: StatusPageClient, world: World, host: str, source: str, state: str, level: Level
) -> None:
    """Through whichever API the page has, the reading is the same."""
    world.set("status_page", host)
    world.set("clerk_status", state)
    reading = await client.read()
    assert (reading.level, reading.source) == (level, source)
    if level is not Level.OPERATIONAL:
        assert reading.incidents[0].startswith("Increased errors when signing in: ")
        assert "User and authentication" in reading.components


@pytest.mark.parametrize("host", ["html", "error"])
async def test_a_page_that_cannot_be_read_is_no_good_news(client: StatusPageClient, world: World, host: str) -> None:
    """HTML with status 200, or 503 everywhere: an error that says what was tried and what to do."""
    world.set("status_page", host)
    with pytest.raises(Unavailable) as caught:
        await client.read()
    for part in ("/api/v1/summary", "/api/v2/summary.json", "/feed.rss", "CLERK_STATUS_URL", client.url):
        assert part in str(caught.value)


@pytest.mark.parametrize("fault", ["hang", "drop"])
async def test_a_silent_page_is_no_good_news(world_url: str, world: World, fault: Any) -> None:
    """A page that hangs or breaks off is an error too."""
    world.plant("status", fault)
    client = page(f"{world_url}/status", timeout_s=0.1)
    with pytest.raises(Unavailable):
        await client.read()
    await client.aclose()


async def test_the_api_that_answered_is_asked_first_next_time(client: StatusPageClient, world: World) -> None:
    """What a host has is remembered, and found anew when it moves."""
    world.set("status_page", "feed")
    await client.read()
    world.ledger.clear()
    await client.read()
    assert [row["path"] for row in world.ledger] == ["/feed.rss"]
    world.set("status_page", "statuspage")
    assert (await client.read()).source == "/api/v2/summary.json"


def routes(answers: dict[str, Any]) -> Callable[[web.Request], Any]:
    """A handler with JSON (or text) for some paths, and 404 for the rest; an int is a bare status."""

    async def handle(request: web.Request) -> web.Response:
        answer = answers.get(request.path, 404)
        if isinstance(answer, int):
            return web.Response(status=answer, text="<html>", content_type="text/html")
        if isinstance(answer, str):
            return web.Response(text=answer)
        return web.json_response(answer)

    return handle


@pytest.mark.parametrize("incidents", [404, 500, "<html>", {"incidents": "none"}, {}])
async def test_a_good_summary_alone_is_not_enough(serve: Any, incidents: Any) -> None:
    """incident.io leaves open incidents out of the summary: without the list of incidents nothing is concluded."""
    answers = {"/api/v2/summary.json": OPERATIONAL_SUMMARY, "/api/v2/incidents.json": incidents}
    client = page(await serve(routes(answers)))
    with pytest.raises(Unavailable):
        await client.read()
    await client.aclose()


async def test_a_bad_summary_alone_is_enough(serve: Any) -> None:
    """Trouble in the summary is trouble, whether or not the incidents can be read."""
    summary = {**OPERATIONAL_SUMMARY, "status": {"indicator": "major"}}
    client = page(await serve(routes({"/api/v2/summary.json": summary, "/api/v2/incidents.json": 500})))
    assert (await client.read()).level is Level.PARTIAL_OUTAGE
    await client.aclose()


@pytest.mark.parametrize("body", [{}, [], "null", {"page_title": "Clerk"}, {"ongoing_incidents": None}, "ok"])
async def test_json_of_another_kind_is_not_good_news(serve: Any, body: Any) -> None:
    """A 200 with some JSON is not an empty list of incidents."""
    client = page(await serve(routes({"/api/v1/summary": body})))
    with pytest.raises(Unavailable):
        await client.read()
    await client.aclose()
