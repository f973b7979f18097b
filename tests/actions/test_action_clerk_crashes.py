"""A run on one user, or on who may sign up, dies after any of its calls: the next attempt ends it, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from bot.actions.registry import load_actions
from bot.actions.runner import execute, look
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.outcome import Outcome, State
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.services.jobs import MemoryJob
from tests.actions.conftest import config_of

ADDRESS = "attacker@evil.example"


def banned(world: World) -> None:
    """The user is banned."""
    world.clerk.users["user_2demo"]["banned"] = True


def compromised(world: World) -> None:
    """The user has to choose a new password."""
    world.clerk.directory.compromised.add("user_2demo")


def listed(world: World) -> None:
    """The blocklist is on, and has the address."""
    world.clerk.instance.restrictions["blocklist"] = True
    world.clerk.instance.result("POST", ("blocklist_identifiers",), {"identifier": ADDRESS})


def restricted(world: World) -> None:
    """Rules and restrictions are on."""
    world.clerk.instance.protect["rules_enabled"] = True
    world.clerk.instance.restrictions["block_disposable_email_domains"] = True


def blocklist_on(world: World) -> None:
    """The blocklist is on and empty."""
    world.clerk.instance.restrictions["blocklist"] = True


def as_it_is(_world: World) -> None:
    """Nothing was done before."""


USER = {"user_id": "user_2demo"}
CASES: dict[str, tuple[dict[str, Any], Callable[[World], None], Callable[[World], bool]]] = {
    "clerk.ban_user": (USER, as_it_is, lambda world: bool(world.clerk.users["user_2demo"]["banned"])),
    "clerk.unban_user": (USER, banned, lambda world: not world.clerk.users["user_2demo"]["banned"]),
    "clerk.require_password_reset": (USER, as_it_is, lambda world: world.clerk.live_sessions("user_2demo") == []),
    "clerk.withdraw_password_reset": (USER, compromised, lambda world: not world.clerk.directory.compromised),
    "clerk.restrict_sign_up": ({}, as_it_is, lambda world: world.clerk.instance.protect["rules_enabled"]),
    "clerk.restore_sign_up": (
        {"rules_enabled": False, "block_disposable_email_domains": False},
        restricted,
        lambda world: not any(world.clerk.instance.restrictions.values()),
    ),
    "clerk.block_identifier": ({"identifier": ADDRESS}, blocklist_on, lambda world: len(world.clerk.instance.blocked) == 1),
    "clerk.unblock_identifier": ({"identifier": ADDRESS}, listed, lambda world: not world.clerk.instance.blocked),
}


async def run_until(action: str, *, dies_after: int | None) -> tuple[int, Outcome, World]:
    """Run it in a world of its own; with ``dies_after`` it is ended when so many calls were answered, and tried once more.

    How many calls the first attempt made, what the last one said, and the world.
    """
    params, prepare, _ = CASES[action]
    world = World()
    prepare(world)
    app = web.Application()
    world.add_routes(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    spec = load_actions()[action]
    try:
        async with Providers(config_of(world.environment(f"http://127.0.0.1:{runner.addresses[0][1]}"))) as providers:
            context = ActionContext(providers=providers, sleep=_no_wait, job=MemoryJob())
            first = asyncio.create_task(execute(spec, params, context), name=action)
            if dies_after is not None:
                world.on_change = lambda: first.cancel() if len(world.ledger) >= dies_after else None
            try:
                outcome = await first
                assert dies_after is None, f"it lived on after call {dies_after}"
            except asyncio.CancelledError:
                world.on_change = None
                again = replace(context, run=RunFacts(attempt=2))
                seen = await look(spec, params, again) if spec.idempotency == "lookup" else None
                outcome = seen if seen and seen.state is State.OK else await execute(spec, params, again)
            return len(world.ledger), outcome, world
    finally:
        await runner.cleanup()


async def _no_wait(_seconds: float) -> None:
    return None


@pytest.mark.parametrize("action", list(CASES))
async def test_it_ends_wherever_it_died(action: str) -> None:
    """After each call of the run in turn: the effect is there once, and the outcome says so."""
    is_done = CASES[action][2]
    calls, whole, _ = await run_until(action, dies_after=None)
    assert whole.state is State.OK
    for dies_after in range(1, calls + 1):
        _, outcome, world = await run_until(action, dies_after=dies_after)
        assert outcome.state is State.OK, f"died after call {dies_after}"
        assert is_done(world)
        assert _undo_of(outcome) == _undo_of(whole), f"died after call {dies_after}"


def _undo_of(outcome: Outcome) -> dict[str, Any]:
    return {name: value for name, value in outcome.facts.items() if name.startswith("undo_")}


def test_every_change_of_this_kind_is_here() -> None:
    """A further action on one user cannot be forgotten."""
    changing = {name for name, spec in load_actions().items() if name.startswith("clerk.") and spec.idempotency}
    elsewhere = {"clerk.revoke_sessions", "clerk.revoke_everywhere", "clerk.emergency_bypass", "clerk.emergency_bypass_off"}
    assert changing - elsewhere == set(CASES)
