"""`clerk.status`: three states from a page, and never green for a page that could not be read."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.actions.spec import ActionContext
from bot.domain.outcome import State
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.sandbox.world import World


@pytest.mark.parametrize(
    ("position", "state", "value"),
    [
        ("operational", State.OK, "operational"),
        ("degraded", State.FAILING, "degraded performance"),
        ("down", State.FAILING, "full outage"),
    ],
)
async def test_what_the_page_says(world: World, context: ActionContext, position: str, state: State, value: str) -> None:
    """The state of the page is the state of the diagnostic, with what is affected and where it was read."""
    world.set("clerk_status", position)
    outcome = await execute(load_actions()["clerk.status"], {}, context)
    assert (outcome.state, outcome.value) == (state, value)
    assert outcome.details[-1].endswith("/status/api/v1/summary")
    if state is State.FAILING:
        assert "Increased errors when signing in" in outcome.summary
        assert "Affected: User and authentication" in outcome.details


@pytest.mark.parametrize("page", ["html", "error"])
@pytest.mark.parametrize("position", ["operational", "down"])
async def test_a_page_that_cannot_be_read_is_unknown(world: World, context: ActionContext, page: str, position: str) -> None:
    """HTML, and 503: unknown, with a remedy, whatever the truth is."""
    world.set("clerk_status", position)
    world.set("status_page", page)
    outcome = await execute(load_actions()["clerk.status"], {}, context)
    assert outcome.state is State.UNKNOWN
    assert "CLERK_STATUS_URL" in outcome.remedy


async def test_words_that_nobody_knows_are_unknown(serve: Any) -> None:
    """A page with a new indicator is neither good nor bad news."""
    from_page = {"page": {}, "status": {"indicator": "sparkling"}, "components": []}

    async def handle(request: web.Request) -> web.Response:
        bodies = {"/api/v2/summary.json": from_page, "/api/v2/incidents.json": {"incidents": []}}
        if request.path not in bodies:
            return web.Response(status=404)
        return web.json_response(bodies[request.path])

    async with Providers(ProviderConfig(clerk_status_url=await serve(handle))) as providers:
        outcome = await execute(load_actions()["clerk.status"], {}, ActionContext(providers=providers))
    assert (outcome.state, outcome.value) == (State.UNKNOWN, "unclear")
