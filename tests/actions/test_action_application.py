"""The switch of the application's webhooks: ok only when it is seen to stand as it should."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.actions.registry import load_actions
from bot.actions.runner import execute, look, preview
from bot.actions.spec import ActionContext
from bot.domain.errors import FencedError, MusterError
from bot.domain.outcome import Outcome, State
from bot.providers.config import ProviderConfig
from bot.providers.http import guarded
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.sandbox.world.application_data import SWITCH_PATH
from tests.actions.conftest import make_context

PAUSE, RESUME = (load_actions()[f"application.{verb}_webhooks"] for verb in ("pause", "resume"))
Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def context(world: World, world_url: str, waits: list[float], lines: list[str]) -> AsyncIterator[ActionContext]:
    """With the switch of the world's application."""
    environment = world.environment(world_url)
    async with Providers(config(environment["APPLICATION_SWITCH_URL"], environment["APPLICATION_SWITCH_TOKEN"])) as providers:
        yield make_context(providers, waits, lines)


def config(url: str | None, token: str) -> ProviderConfig:
    """Of the switch alone."""
    return ProviderConfig(application_switch_url=url, application_switch_token=SecretStr(token))


async def pause(context: ActionContext) -> Outcome:
    """Through the runner."""
    return await execute(PAUSE, {}, context)


async def test_paused_and_resumed(world: World, context: ActionContext) -> None:
    """Each is said when it was read back, after the switch was set."""
    paused = await pause(context)
    assert (paused.state, paused.value, paused.facts) == (State.OK, "paused", {"paused": True})
    assert paused.summary.startswith("Webhooks are seen to be paused since 20")
    assert world.application_data.paused_since is not None
    assert [(row["method"], row["path"]) for row in world.ledger] == [("PUT", SWITCH_PATH), ("GET", SWITCH_PATH)]
    resumed = await execute(RESUME, {}, context)
    assert (resumed.state, resumed.value) == (State.OK, "running")
    assert world.application_data.paused_since is None


async def test_pausing_twice_is_pausing_once(world: World, context: ActionContext) -> None:
    """It sets a state, and the moment stays that of the first time."""
    await pause(context)
    since = world.application_data.paused_since
    assert (await pause(context)).state is State.OK
    assert world.application_data.paused_since == since


async def test_each_takes_the_other_back() -> None:
    """As the checklist offers it."""
    assert (PAUSE.undo, RESUME.undo) == (RESUME.name, PAUSE.name)
    assert PAUSE.idempotency == RESUME.idempotency == "natural"


async def test_the_previews(world: World, context: ActionContext) -> None:
    """They say how it stands and what follows, and set nothing."""
    found = await preview(PAUSE, {}, context)
    assert found.summary.startswith("The application refuses Clerk's webhooks until they are resumed; Clerk tries them again for")
    assert (await preview(RESUME, {}, context)).nothing_to_do
    assert {row["method"] for row in world.ledger} == {"GET"}
    await pause(context)
    assert (await preview(PAUSE, {}, context)).nothing_to_do
    assert "paused since" in (await preview(RESUME, {}, context)).summary


async def test_a_look_changes_nothing(world: World, context: ActionContext) -> None:
    """It says whether the effect is there."""
    assert (await look(PAUSE, {}, context)).state is State.FAILING
    assert (await look(RESUME, {}, context)).state is State.OK
    assert {row["method"] for row in world.ledger} == {"GET"}


async def test_a_switch_that_takes_it_and_forgets(serve: Serve, waits: list[float], lines: list[str]) -> None:
    """It says paused when it is told, and runs when it is asked: not ok."""

    async def forgets(request: web.Request) -> web.Response:
        return web.json_response({"paused": request.method == "PUT"})

    async with Providers(config(await serve(forgets), "a-token")) as providers:
        outcome = await pause(make_context(providers, waits, lines))
    assert (outcome.state, outcome.value) == (State.FAILING, "running")
    assert "where all of its processes see it" in outcome.remedy


async def test_a_lost_answer_is_looked_up(world: World, context: ActionContext) -> None:
    """It was done, and that is seen; the call is made once."""
    world.plant("application", "done_then_drop", 1)
    outcome = await pause(context)
    assert outcome.state is State.OK
    assert outcome.details[0].startswith("The answer was lost")
    assert [row["method"] for row in world.ledger] == ["PUT", "GET"]


async def test_nothing_is_set_once_the_task_is_lost(world: World, context: ActionContext) -> None:
    """Another worker may have it by now."""

    def lost() -> None:
        raise FencedError("somebody else has it")

    with guarded(lost), pytest.raises(FencedError):
        await pause(context)
    assert world.application_data.paused_since is None


@pytest.mark.parametrize(
    ("status", "body", "said", "remedy"),
    [
        (401, "{}", "does not accept the secret: 401", "APPLICATION_SWITCH_TOKEN is valid"),
        (403, "{}", "does not accept the secret: 403", "APPLICATION_SWITCH_TOKEN is valid"),
        (404, "<h1>Not Found</h1>", "answered 404", "APPLICATION_SWITCH_URL is the right API"),
        (422, "{}", "422", ""),
        (429, "{}", "limits the rate", "Try again"),
        (500, "oops", "500", ""),
        (307, "", "307", ""),
        (200, "<html>Sign in</html>", "with a web page", "a sign-in page may stand in between"),
        (200, '{"paused": "yes"}', "without saying whether it is paused", "docs/application.md"),
        (200, "[]", "without saying whether it is paused", "docs/application.md"),
        (200, json.dumps({"paused": True, "note": "x" * 70_000}), "more than 65,536 bytes", ""),
    ],
)
async def test_a_switch_that_answers_something_else(
    serve: Serve, waits: list[float], lines: list[str], status: int, body: str, said: str, remedy: str
) -> None:
    """Nobody knows how it stands; the sentence says what to do, and has no token."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers={"Location": "/sign-in"} if status == 307 else {})

    async with Providers(config(await serve(answer), "hunter2-token")) as providers:
        made = make_context(providers, waits, lines)
        outcome = await pause(made)
        with pytest.raises(MusterError):
            await preview(PAUSE, {}, made)
    assert outcome.state is State.UNKNOWN
    assert said in outcome.summary
    assert remedy in outcome.remedy
    assert "hunter2" not in outcome.model_dump_json()


@pytest.mark.parametrize(
    ("url", "unset"), [(None, "APPLICATION_SWITCH_URL"), ("http://127.0.0.1:1/switch", "APPLICATION_SWITCH_TOKEN")]
)
async def test_a_switch_that_is_not_configured(url: str | None, unset: str, waits: list[float], lines: list[str]) -> None:
    """The variable is named, and nothing is asked."""
    async with Providers(config(url, "")) as providers:
        outcome = await pause(make_context(providers, waits, lines))
    assert outcome.summary == "Not configured, so nothing was asked."
    assert outcome.remedy == f"Set {unset} and restart Muster."


async def test_the_application_is_down(world: World, context: ActionContext) -> None:
    """The platform's page is no answer of the switch."""
    world.set("app_health", "down")
    outcome = await pause(context)
    assert outcome.state is State.UNKNOWN
    assert "503" in outcome.summary
