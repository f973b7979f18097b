"""The client of the user's own status page: what is sent, what is read, and a sentence for every refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.domain.errors import NotConfiguredError
from bot.providers.config import ProviderConfig
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.providers.statuspage import StatuspageClient
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.sandbox.world.statuspage import API_KEY, PAGE_ID
from tests.providers.conftest import Serve


@pytest.fixture
async def client(world_url: str) -> AsyncIterator[StatuspageClient]:
    """Of the page in the world."""
    made = StatuspageClient(SecretStr(API_KEY), PAGE_ID, api_url=f"{world_url}/statuspage")
    yield made
    await made.aclose()


async def test_written_and_read(world: World, client: StatuspageClient) -> None:
    """The incident has Muster's id, is found by it, takes a second text, and nobody is mailed who must not be."""
    page = await client.page()
    assert (page.name, page.domain) == ("Sandbox Status", "status.sandbox.example")
    opened = await client.open(title="Sign-in", status="investigating", text="One", incident_id="i1", notify=False)
    assert opened.belongs_to("i1")
    assert not opened.belongs_to("i2")
    await client.add(opened.id, status="resolved", text="Two", notify=True)
    assert await client.unresolved() == ()
    (found,) = await client.recent()
    assert found.newest
    assert (found.newest.body, found.newest.status, found.belongs_to("i1")) == ("Two", "resolved", True)
    assert world.statuspage.mailed == ["Two"]


@pytest.mark.parametrize("metadata", [None, [], {}, {"muster": "i1"}, {"muster": {"incident_id": 1}}, {"other": {}}])
async def test_whatever_else_is_in_the_metadata(world: World, client: StatuspageClient, metadata: Any) -> None:
    """Other programs write there too."""
    await client.open(title="Sign-in", status="investigating", text="One", incident_id="i1", notify=False)
    world.statuspage.incidents[0]["metadata"] = metadata
    (found,) = await client.unresolved()
    assert not found.belongs_to("i1")


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, Refused, "check the text"),
        (401, Refused, "STATUSPAGE_API_KEY is valid"),
        (403, Refused, "the page STATUSPAGE_PAGE_ID belongs"),
        (404, Refused, "STATUSPAGE_PAGE_ID is the id of the page"),
        (420, Unavailable, "limits the rate"),
        (422, Refused, "does not take this title, text or status"),
        (429, Unavailable, "limits the rate"),
        (500, Unavailable, "try again"),
        (502, Unanswered, "look before repeating"),
    ],
)
async def test_every_refusal_has_its_sentence(serve: Serve, status: int, kind: type[Exception], words: str) -> None:
    """Of a call that writes; what Statuspage wrote itself is not repeated."""

    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"error": "CANARY"}, status=status)

    client = StatuspageClient(SecretStr("key-canary"), "page1", api_url=await serve(refuse))
    with pytest.raises(kind, match=words) as raised:
        await client.open(title="Sign-in", status="investigating", text="One", incident_id="i1", notify=False)
    assert "canary" not in str(raised.value).casefold()
    await client.aclose()


@pytest.mark.parametrize("body", ["<html>Sign in</html>", "[]", '{"id": ""}', '{"id": "a", "name": "b"'])
async def test_an_answer_of_somebody_else(serve: Serve, body: str) -> None:
    """A read is refused; of a write nobody knows what became of it."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body)

    client = StatuspageClient(SecretStr("k"), "page1", api_url=await serve(answer))
    with pytest.raises(Refused, match="STATUSPAGE_API_URL"):
        await client.page()
    with pytest.raises(Unanswered, match="look at the page"):
        await client.add("a", status="resolved", text="One", notify=False)
    await client.aclose()


async def test_a_call_that_hangs(serve: Serve) -> None:
    """It ends in time: a read could not be asked, a write may have been done."""

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    client = StatuspageClient(SecretStr("k"), "page1", api_url=await serve(hang), timeout_s=0.5)
    with pytest.raises(Unavailable):
        await client.unresolved()
    with pytest.raises(Unanswered, match="it may have been done"):
        await client.add("a", status="resolved", text="One", notify=False)
    await client.aclose()


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        (ProviderConfig(), "STATUSPAGE_PAGE_ID"),
        (ProviderConfig(statuspage_api_key=SecretStr("k")), "STATUSPAGE_PAGE_ID"),
        (ProviderConfig(statuspage_page_id="page1"), "STATUSPAGE_API_KEY"),
    ],
)
async def test_what_is_not_configured_is_not_asked(config: ProviderConfig, missing: str) -> None:
    """It says which variable to set."""
    async with Providers(config) as providers:
        with pytest.raises(NotConfiguredError, match=missing):
            providers.statuspage()
