"""The webhook endpoint: a 400 is good news, a 200 to a stranger is a finding."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.actions.spec import ActionContext
from bot.domain.outcome import Outcome, State
from bot.providers.table import Providers


async def probe(context: ActionContext, url: str) -> Outcome:
    """`clerk.webhook_probe`."""
    return await execute(load_actions()["clerk.webhook_probe"], {"url": url}, context)


@pytest.fixture
async def unsigned(context: ActionContext) -> AsyncIterator[ActionContext]:
    """A context without the signing secret."""
    config = context.providers.config.model_copy(update={"clerk_webhook_signing_secret": None})
    async with Providers(config) as providers:
        yield replace(context, providers=providers)


def endpoint(to_unsigned: int, to_signed: int, **headers: str) -> Any:
    """A handler that answers so."""

    async def handle(request: web.Request) -> web.Response:
        signed = "svix-signature" in request.headers
        return web.Response(status=to_signed if signed else to_unsigned, headers=headers, text="sk_live_CANARY")

    return handle


@pytest.mark.parametrize(
    ("to_unsigned", "to_signed", "state", "value"),
    [
        (400, 200, State.OK, "works"),
        (401, 204, State.OK, "works"),
        (403, 200, State.OK, "works"),
        (500, 200, State.OK, "works"),
        (400, 400, State.FAILING, "refuses signed"),
        (400, 500, State.FAILING, "HTTP 500"),
        (400, 429, State.UNKNOWN, "limited"),
        (200, 200, State.FAILING, "takes forged events"),
        (204, 500, State.FAILING, "takes forged events"),
        (307, 307, State.FAILING, "not reached"),
        (302, 200, State.FAILING, "not reached"),
        (404, 404, State.FAILING, "not reached"),
        (405, 405, State.FAILING, "no POST"),
        (500, 500, State.FAILING, "HTTP 500"),
        (503, 400, State.FAILING, "HTTP 503"),
        (429, 429, State.UNKNOWN, "limited"),
        (418, 418, State.UNKNOWN, "HTTP 418"),
    ],
)
async def test_what_an_endpoint_answers(
    context: ActionContext, serve: Any, to_unsigned: int, to_signed: int, state: State, value: str
) -> None:
    """Each pair of answers has its meaning, with a remedy where something is wrong, and without the body of the reply."""
    outcome = await probe(context, await serve(endpoint(to_unsigned, to_signed)) + "/api/webhooks/clerk")
    assert (outcome.state, outcome.value) == (state, value)
    assert outcome.remedy or state is State.OK
    assert outcome.facts == {"unsigned": f"HTTP {to_unsigned}", "signed": f"HTTP {to_signed}"}
    assert "CANARY" not in outcome.model_dump_json()


async def test_without_a_secret_one_half_is_seen(unsigned: ActionContext, serve: Any) -> None:
    """It says that the signed way was not tried, and which variable that takes."""
    outcome = await probe(unsigned, await serve(endpoint(400, 500)))
    assert (outcome.state, outcome.value) == (State.OK, "refuses unsigned")
    assert "was not tried" in outcome.summary
    assert "CLERK_WEBHOOK_SIGNING_SECRET" in outcome.remedy
    assert (await probe(unsigned, await serve(endpoint(500, 200)))).state is State.FAILING


async def test_the_middleware_in_the_way(context: ActionContext, serve: Any) -> None:
    """Where Clerk's middleware turned the event away, it is named."""
    handler = endpoint(404, 404, **{"x-clerk-auth-reason": "session-token-missing"})
    outcome = await probe(context, await serve(handler))
    assert "HTTP 404, by Clerk's middleware" in outcome.summary


async def test_nobody_answers(context: ActionContext) -> None:
    """What Clerk meets as well is failing, and the second event is not sent."""
    outcome = await probe(context, "http://127.0.0.1:9/api/webhooks/clerk")
    assert (outcome.state, outcome.value) == (State.FAILING, "no answer")
    assert outcome.facts["signed"] is None


@pytest.mark.parametrize("url", ["/api/webhooks/clerk", "https://yourapp.com/api/webhooks/clerk", "https://a.invalid/x"])
async def test_an_address_that_nobody_set(context: ActionContext, url: str) -> None:
    """A placeholder is never called."""
    outcome = await probe(context, url)
    assert (outcome.state, outcome.value) == (State.UNKNOWN, "not configured")


@pytest.mark.parametrize(
    "url", ["", "${app_url}/x", "file:///etc/passwd", "gopher://a", "http://u:p@127.0.0.1/", "http://a\\@b/"]
)
async def test_what_is_no_address(context: ActionContext, url: str) -> None:
    """Nothing but plain http(s) without a user is called."""
    assert (await probe(context, url)).state is State.UNKNOWN


async def test_a_reply_that_is_too_large(context: ActionContext, serve: Any) -> None:
    """It is cut off, and says nothing."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" " * 1024 * 1024)
        return response

    outcome = await probe(context, await serve(handle))
    assert outcome.state is State.UNKNOWN
    assert "more than" in outcome.summary
