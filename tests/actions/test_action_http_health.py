"""`http.health`: red is what users meet, unknown is what could not be seen, and no address is made up."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.actions.spec import ActionContext
from bot.domain.outcome import Outcome, State
from bot.sandbox.world import World


async def health(context: ActionContext, url: Any) -> Outcome:
    """The action under test."""
    return await execute(load_actions()["http.health"], {"url": url}, context)


@pytest.mark.parametrize(
    ("position", "state", "value"),
    [
        ("healthy", State.OK, "healthy"),
        ("degraded", State.FAILING, "degraded"),
        ("unhealthy", State.FAILING, "unhealthy"),
        ("down", State.FAILING, "HTTP 503"),
    ],
)
async def test_what_the_application_says(
    world: World, world_url: str, context: ActionContext, position: str, state: State, value: str
) -> None:
    """The report in the body decides, although the endpoint answers 200 each time."""
    world.set("app_health", position)
    outcome = await health(context, f"{world_url}/app/api/health/clerk")
    assert (outcome.state, outcome.value) == (state, value)
    if position == "unhealthy":
        assert outcome.summary == "127.0.0.1 reports unhealthy; not well: auth, api."
        assert "auth: unhealthy (12 ms)" in outcome.details


async def test_nobody_listening_is_failing(context: ActionContext, unused_tcp_port: int) -> None:
    """A refused connection is what users get too."""
    outcome = await health(context, f"http://127.0.0.1:{unused_tcp_port}/health")
    assert (outcome.state, outcome.summary) == (State.FAILING, "127.0.0.1 cannot be used: connection refused.")


@pytest.mark.parametrize("status", [200, 302, 401, 404, 429])
async def test_no_report_is_unknown(context: ActionContext, serve: Any, status: int) -> None:
    """An answer without a report leaves the application's health open."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="<html>")

    outcome = await health(context, await serve(handle))
    assert outcome.state is State.UNKNOWN
    assert outcome.remedy


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://127.0.0.1/", "api/health", "", "${app_url}/api/health", "x" * 3000, None, 7]
)
async def test_what_is_no_address_is_refused(context: ActionContext, world: World, url: Any) -> None:
    """Another scheme, an empty address or a variable without a value: nothing is probed."""
    outcome = await health(context, url)
    assert outcome.state is State.UNKNOWN
    assert "url" in outcome.summary
    assert world.ledger == []


@pytest.mark.parametrize("host", ["example.com", "app.example.org", "yourapp.com", "shop.example", "a.invalid"])
async def test_placeholders_are_not_probed(context: ActionContext, host: str) -> None:
    """The address of a template says what to set, and is never contacted."""
    outcome = await health(context, f"https://{host}/api/health")
    assert (outcome.state, outcome.value) == (State.UNKNOWN, "not configured")
    assert "services.yml" in outcome.remedy


async def test_an_address_that_is_not_set(context: ActionContext, world: World) -> None:
    """With an empty app_url only the path is left: the variable to set is named, and nothing is probed."""
    outcome = await health(context, "/api/health/clerk")
    assert (outcome.state, outcome.value) == (State.UNKNOWN, "not configured")
    assert "MUSTER_VAR_CLERK_APP_URL" in outcome.remedy
    assert world.ledger == []


async def test_an_address_that_no_url_parser_takes(context: ActionContext) -> None:
    """A broken address is unknown with its reason, not a crash."""
    outcome = await health(context, "http://[::1/health")
    assert outcome.state is State.UNKNOWN
    assert "is not a URL" in outcome.summary
