"""`vercel.env`: set, missing, hidden or shared; and never a value."""

from __future__ import annotations

from typing import Any

import pytest

from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.actions.spec import ActionContext
from bot.domain.outcome import Outcome, State
from bot.sandbox.world import World, vercel


async def env(context: ActionContext, *names: str, **params: Any) -> Outcome:
    """The action under test."""
    return await execute(load_actions()["vercel.env"], {"names": list(names), **params}, context)


@pytest.mark.parametrize(
    ("position", "state", "value"),
    [
        ("present", State.OK, "1 of 1 set"),
        ("shared", State.OK, "1 of 1 set"),
        ("missing", State.FAILING, "0 of 1 set"),
        ("hidden", State.UNKNOWN, "not visible"),
    ],
)
async def test_one_variable(world: World, context: ActionContext, position: str, state: State, value: str) -> None:
    """Hidden is not missing, and shared by the team is present; no reading holds a value."""
    world.set("vercel_env", position)
    outcome = await env(context, "CLERK_SECRET_KEY")
    assert (outcome.state, outcome.value) == (state, value)
    assert vercel.VALUE_CANARY not in outcome.model_dump_json()


async def test_a_variable_for_another_environment_only(world: World, context: ActionContext) -> None:
    """Set for preview is not set for production, and the details say so."""
    world.set("vercel_env", "missing")
    outcome = await env(context, "CLERK_SECRET_KEY", "CLERK_WEBHOOK_SIGNING_SECRET")
    assert (outcome.state, outcome.value) == (State.FAILING, "1 of 2 set")
    assert outcome.summary == "Missing for production: CLERK_SECRET_KEY."
    assert outcome.details == (
        "CLERK_SECRET_KEY: preview, development",
        "CLERK_WEBHOOK_SIGNING_SECRET: production",
    )


async def test_another_environment_and_project(context: ActionContext) -> None:
    """Both can be given by the step; a project that is not there is unknown."""
    assert (await env(context, "CLERK_SECRET_KEY", target="preview", project="prj_sandbox")).state is State.OK
    outcome = await env(context, "CLERK_SECRET_KEY", project="another")
    assert outcome.state is State.UNKNOWN
    assert "VERCEL_TEAM_ID" in outcome.remedy


async def test_a_shared_list_that_cannot_be_read(world: World, context: ActionContext) -> None:
    """When the team's variables cannot be read, a missing one may be there."""
    world.set("vercel_env", "missing")
    calls = {"n": 0}

    def break_later() -> None:
        calls["n"] += 1
        if calls["n"] == 1:
            world.vercel.api.turn("error")

    world.on_change = break_later
    outcome = await env(context, "CLERK_SECRET_KEY")
    assert outcome.state is State.UNKNOWN
    assert "could not be read" in outcome.summary


@pytest.mark.parametrize("state", ["unauthorized", "rate_limited", "error", "html"])
async def test_trouble_is_unknown(world: World, context: ActionContext, state: str) -> None:
    """403, 429, 500 and HTML: unknown with a remedy."""
    world.set("vercel_api", state)
    outcome = await env(context, "CLERK_SECRET_KEY")
    assert outcome.state is State.UNKNOWN
    assert outcome.remedy


@pytest.mark.parametrize("names", [[], ["A B"], ["A;rm"], ["${X}"], ["A"] * 51, "A", None, [1]])
async def test_names_that_are_none(context: ActionContext, world: World, names: Any) -> None:
    """An empty list, or what is no name of a variable, asks nothing."""
    outcome = await execute(load_actions()["vercel.env"], {"names": names}, context)
    assert outcome.state is State.UNKNOWN
    assert world.ledger == []
