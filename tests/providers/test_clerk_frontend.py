"""The publishable key, and what Clerk's Frontend API says of an instance."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from aiohttp import web

from bot.domain.errors import ConfigError, NotConfiguredError
from bot.providers.clerk_frontend import ClerkFrontend, PublishableKey
from bot.providers.config import ProviderConfig
from bot.providers.faults import Refused, Unavailable
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.sandbox.world.clerk import FRONTEND_HOST, PUBLISHABLE_KEY

KEY = PublishableKey.parse(PUBLISHABLE_KEY)


def key(host: str, kind: str = "test") -> str:
    """A publishable key that names a host."""
    return f"pk_{kind}_{base64.b64encode(host.encode()).decode()}"


def test_a_publishable_key_names_its_host() -> None:
    """Its kind and its host are read out of it, with and without the padding of base64."""
    assert PublishableKey(kind="test", host=FRONTEND_HOST) == KEY
    live = key("clerk.example.com$", "live")
    assert PublishableKey.parse(live) == PublishableKey.parse(live.rstrip("=")) == PublishableKey("live", "clerk.example.com")


@pytest.mark.parametrize(
    "text",
    ["", "pk_test_", "sk_test_CANARY", "pk_test_CANARY!", key("clerk.example.com"), key("127.0.0.1/x$"), key("a b.example$"),
     key("localhost$"), key("u:p@clerk.example.com$"), key("clerk.example.com:22$"), key("-a.example$"), "pk_test_é"],
)  # fmt: skip
def test_what_is_no_publishable_key(text: str) -> None:
    """A wrong value is said without itself: it may be the secret key in the wrong variable."""
    with pytest.raises(ConfigError, match="NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY") as caught:
        PublishableKey.parse(text)
    assert "CANARY" not in str(caught.value)


async def test_without_a_key_nobody_is_asked() -> None:
    """The variable is named."""
    async with Providers(ProviderConfig()) as providers:
        with pytest.raises(NotConfiguredError, match="NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"):
            providers.clerk_frontend()


async def test_keys_and_restrictions(world: World, world_url: str) -> None:
    """Both are read without a secret."""
    frontend = ClerkFrontend(KEY, api_url=f"{world_url}/clerk/frontend")
    assert await frontend.key_ids() == ("ins_sandbox",)
    world.clerk.instance.restrictions["blocklist"] = True
    found = await frontend.read_restrictions()
    assert found == {"blocklist": True, "block_disposable_email_domains": False, "block_email_subaddresses": False}
    await frontend.aclose()


@pytest.mark.parametrize(
    ("body", "found"),
    [({"user_settings": {}}, {}), ({"user_settings": {"restrictions": {"blocklist": True}}}, {}), ({}, None), ([], None)],
)
async def test_an_environment_of_another_shape(serve: Any, body: Any, found: Any) -> None:
    """What it does not say is not known, never off."""

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response(body)

    frontend = ClerkFrontend(KEY, api_url=await serve(handle))
    if found is None:
        with pytest.raises(Refused):
            await frontend.read_restrictions()
    else:
        assert await frontend.read_restrictions() == found
    await frontend.aclose()


@pytest.mark.parametrize(
    ("status", "error"), [(401, Refused), (404, Refused), (302, Refused), (429, Unavailable), (500, Unavailable)]
)
async def test_trouble_has_its_sentence(serve: Any, status: int, error: type[Exception]) -> None:
    """It names the variable that says where the Frontend API is."""

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response({}, status=status)

    frontend = ClerkFrontend(KEY, api_url=await serve(handle))
    with pytest.raises(error, match="Frontend API"):
        await frontend.key_ids()
    await frontend.aclose()
