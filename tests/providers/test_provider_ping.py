"""`ClerkClient.ping`: the cheapest read that tells whether the secret key is good."""

from __future__ import annotations

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.providers.clerk import ClerkClient
from bot.providers.faults import Refused
from bot.sandbox.world import World, clerk
from tests.providers.conftest import Serve


async def test_a_good_key_is_told_by_one_read(world: World, world_url: str) -> None:
    """One call, and nothing about any user."""
    client = ClerkClient(SecretStr(clerk.SECRET_KEY), api_url=f"{world_url}/clerk")
    assert await client.ping() == 1
    await client.aclose()
    assert [(row["method"], row["path"]) for row in world.ledger] == [("GET", "/v1/jwks")]


async def test_a_wrong_key_is_refused(world_url: str) -> None:
    """The remedy names the variable, and nothing repeats the key."""
    client = ClerkClient(SecretStr("sk_test_wrong"), api_url=f"{world_url}/clerk")
    with pytest.raises(Refused, match="CLERK_SECRET_KEY") as refused:
        await client.ping()
    await client.aclose()
    assert refused.value.code == "unauthorized"
    assert "sk_test_wrong" not in str(refused.value)


@pytest.mark.parametrize("body", [{}, {"keys": "none"}, {"keys": [{}]}, []])
async def test_something_else_answers(serve: Serve, body: object) -> None:
    """A 200 alone proves nothing."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body)

    client = ClerkClient(SecretStr(clerk.SECRET_KEY), api_url=await serve(answer))
    with pytest.raises(Refused, match="does not know"):
        await client.ping()
    await client.aclose()
