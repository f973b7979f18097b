"""Knocking at a webhook endpoint: what is sent, and that a signature is what Svix makes of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.domain.errors import ConfigError
from bot.providers.clerk_webhook import WebhookProbe
from bot.settings import load_settings
from bot.wiring import provider_config

KEY = b"a key of thirty-two bytes, about"
SECRET = SecretStr("whsec_" + base64.b64encode(KEY).decode())


async def test_a_signed_event_is_signed_as_svix_does_it(serve: Any) -> None:
    """The signature covers id, time and the very bytes that arrive."""
    seen: list[tuple[dict[str, str], bytes]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=200)

    url = await serve(handle)
    reply = await WebhookProbe(SECRET).knock(f"{url}/api/webhooks/clerk", message_id="msg_1", epoch_s=1_760_000_000, signed=True)
    assert reply.status == 200
    ((headers, body),) = seen
    expected = hmac.new(KEY, b"msg_1.1760000000." + body, hashlib.sha256).digest()
    assert headers["svix-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    assert (headers["svix-id"], headers["svix-timestamp"]) == ("msg_1", "1760000000")
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["type"] == "muster.probe"


async def test_an_unsigned_event_has_no_signature(serve: Any) -> None:
    """Nothing of Svix' stands in it, and a redirect is not followed."""
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=307, headers={"Location": "/sign-in"})

    reply = await WebhookProbe(SECRET).knock(await serve(handle), message_id="msg_1", epoch_s=1, signed=False)
    assert reply.status == 307
    assert len(seen) == 1
    assert not [name for name in seen[0].headers if name.lower().startswith("svix")]


@pytest.mark.parametrize("secret", ["whsec_", "whsec_CANARY!", "CANARY é"])
def test_a_secret_that_is_none(secret: str) -> None:
    """It is said without itself, also in what caused it."""
    with pytest.raises(ConfigError, match="CLERK_WEBHOOK_SIGNING_SECRET") as caught:
        WebhookProbe(SecretStr(secret))
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.example", "https://u:p@a.example", "https://a.example\\@b", "//a"]
)
async def test_what_is_no_address(url: str) -> None:
    """Nothing but plain http(s) is called."""
    with pytest.raises(ConfigError):
        await WebhookProbe().knock(url, message_id="msg_1", epoch_s=1, signed=False)


async def test_without_a_secret_nothing_is_signed() -> None:
    """Asking for a signature is a mistake then."""
    probe = WebhookProbe()
    assert not probe.can_sign
    with pytest.raises(ConfigError, match="CLERK_WEBHOOK_SIGNING_SECRET"):
        await probe.knock("http://127.0.0.1:9", message_id="msg_1", epoch_s=1, signed=True)


def test_the_secret_has_two_names() -> None:
    """The newer name goes first, and both are secrets."""
    older = {"MUSTER_ENV_FILE": "", "CLERK_WEBHOOK_SECRET": "whsec_b2xkQ0FOQVJZ"}
    newer = {**older, "CLERK_WEBHOOK_SIGNING_SECRET": "whsec_bmV3Q0FOQVJZ"}
    for environment, expected in ((older, "whsec_b2xkQ0FOQVJZ"), (newer, "whsec_bmV3Q0FOQVJZ")):
        config = provider_config(load_settings(environment))
        assert config.clerk_webhook_signing_secret is not None
        assert config.clerk_webhook_signing_secret.get_secret_value() == expected
        assert expected in config.secrets()
        assert expected not in repr(config)
