"""Keys and speed of a Clerk instance: what is seen, what is not, and what is slow."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.actions.spec import ActionContext
from bot.domain.outcome import Outcome, State
from bot.providers.table import Providers
from bot.sandbox.world import World, clerk

Configured = Callable[..., AbstractAsyncContextManager[ActionContext]]


async def run(context: ActionContext, action: str, **params: Any) -> Outcome:
    """Run one of the diagnostics."""
    return await execute(load_actions()[action], params, context)


@pytest.fixture
def configured(context: ActionContext) -> Configured:
    """A context with some settings changed."""

    @asynccontextmanager
    async def make(**changes: Any) -> AsyncIterator[ActionContext]:
        async with Providers(context.providers.config.model_copy(update=changes)) as providers:
            yield replace(context, providers=providers)

    return make


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_the_signing_keys(world: World, context: ActionContext, configured: Configured) -> None:
    """The same in both APIs is good; a key that applications are not told, and none at all, are not."""
    outcome = await run(context, "clerk.jwks")
    assert (outcome.state, outcome.value) == (State.OK, "1 key, ins_sandbox")
    world.clerk.instance.kids.append("ins_second")
    assert (await run(context, "clerk.jwks")).facts == {"keys": 2, "kids": "ins_sandbox ins_second"}
    world.clerk.instance.frontend_kids = ["ins_sandbox"]
    assert (await run(context, "clerk.jwks")).value == "keys differ"
    async with configured(clerk_publishable_key=None) as blind:
        half = await run(blind, "clerk.jwks")
        assert (half.state, half.value) == (State.OK, "2 keys")
        assert "was not asked" in half.summary
    world.clerk.instance.kids.clear()
    assert (await run(context, "clerk.jwks")).state is State.FAILING


async def test_keys_that_belong_together(context: ActionContext) -> None:
    """Accepted, of the same kind and the same instance; neither key stands in what is said."""
    outcome = await run(context, "clerk.keys")
    assert (outcome.state, outcome.value) == (State.OK, "test, match")
    said = outcome.model_dump_json()
    assert clerk.SECRET_KEY not in said
    assert clerk.FRONTEND_HOST in said


async def test_keys_of_two_instances(world: World, context: ActionContext, configured: Configured) -> None:
    """Live and test, and two instances of one kind, are each said to be what nobody can sign in with."""
    world.clerk.instance.frontend_kids = ["ins_other"]
    outcome = await run(context, "clerk.keys")
    assert (outcome.state, outcome.value) == (State.FAILING, "do not match")
    assert "another instance" in outcome.summary
    live = "pk_live_" + base64.b64encode(b"clerk.sandbox.example$").decode()
    async with configured(clerk_publishable_key=live) as mixed:
        outcome = await run(mixed, "clerk.keys")
        assert outcome.state is State.FAILING
        assert "a test instance, the publishable key of a live one" in outcome.summary


async def test_a_publishable_key_that_is_not_known_or_none(configured: Configured) -> None:
    """Half known is not good, and a wrong value names its variable."""
    async with configured(clerk_publishable_key=None) as blind:
        outcome = await run(blind, "clerk.keys")
        assert (outcome.state, outcome.value) == (State.UNKNOWN, "half known")
        assert "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY" in outcome.remedy
    async with configured(clerk_publishable_key="sk_test_CANARY") as wrong:
        outcome = await run(wrong, "clerk.keys")
        assert outcome.state is State.UNKNOWN
        assert "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY" in outcome.summary
        assert "CANARY" not in outcome.model_dump_json()


async def test_a_key_that_clerk_refuses(world: World, context: ActionContext) -> None:
    """That is what was to be found out: failing, with the place to mend it."""
    world.set("clerk_api", "unauthorized")
    for action, params in (("clerk.keys", {}), ("clerk.verify_rotation", {"before": "0badc0de"})):
        outcome = await run(context, action, **params)
        assert (outcome.state, outcome.value) == (State.FAILING, "key refused")
        assert "401" in outcome.summary
        assert "Dashboard" in outcome.remedy


async def test_a_rotation(context: ActionContext, configured: Configured) -> None:
    """With the fingerprint from before it is the old key; with another it is done."""
    before = str((await run(context, "clerk.keys")).facts["fingerprint"])
    assert len(before) == 8
    same = await run(context, "clerk.verify_rotation", before=before)
    assert (same.state, same.value) == (State.FAILING, "still the old key")
    done = await run(context, "clerk.verify_rotation", before="0badc0de")
    assert (done.state, done.value) == (State.OK, "new key accepted")
    assert any("the old one is deleted (Dashboard" in line for line in done.details)
    async with configured(clerk_secret_key=SecretStr("sk_test_another")) as other:
        assert (await run(other, "clerk.verify_rotation", before=before)).value == "key refused"
    for wrong in ("", "*", "sk_test_x", before * 2, f"{before}\n"):
        assert "cannot run with these parameters" in (await run(context, "clerk.verify_rotation", before=wrong)).summary


# -- speed -------------------------------------------------------------------------------------------------------------


async def test_four_calls_within_their_limits(world: World, context: ActionContext) -> None:
    """Each is asked four times, the first of which does not count."""
    outcome = await run(context, "clerk.latency", auth_ms=5_000, api_ms=5_000)
    assert outcome.state is State.OK
    assert set(outcome.facts) == {"jwks_ms", "user_ms", "count_ms", "frontend_jwks_ms"}
    paths = [row["path"] for row in world.ledger]
    assert {path: paths.count(path) for path in paths} == dict.fromkeys(
        ("/v1/jwks", "/v1/users", "/v1/users/count", "/frontend/.well-known/jwks.json"), 4
    )
    assert "limit=1" in next(row["query"] for row in world.ledger if row["path"] == "/v1/users")


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/v1/jwks", "Signing keys, Backend API"),
        ("/v1/users", "One user"),
        ("/v1/users/count", "Number of users"),
        ("/frontend/.well-known/jwks.json", "Signing keys, Frontend API"),
    ],
)
async def test_a_slow_call_is_named(world: World, context: ActionContext, path: str, title: str) -> None:
    """With its median and its limit."""
    world.clerk.delays_s[path] = 0.2
    outcome = await run(context, "clerk.latency", auth_ms=190, api_ms=190)
    assert outcome.state is State.FAILING
    assert re.search(rf"{title}: \d+ ms \(limit 190 ms\)", outcome.summary)


async def test_it_takes_as_long_as_its_slowest_call(world: World, context: ActionContext) -> None:
    """Four slow probes at once, not one after the other."""
    for path in ("/v1/jwks", "/v1/users", "/v1/users/count", "/frontend/.well-known/jwks.json"):
        world.clerk.delays_s[path] = 0.25
    started_at = time.monotonic()
    await run(context, "clerk.latency")
    took_s = time.monotonic() - started_at
    in_a_row_s = sum(row["ended_at"] - row["started_at"] for row in world.ledger)  # sixteen calls of 0.25 s each, or longer
    assert in_a_row_s >= 4
    assert 1.0 <= took_s < 0.75 * in_a_row_s


async def test_one_slow_call_of_three_is_no_slowness(world: World, context: ActionContext) -> None:
    """The median forgives one."""
    world.on_change = lambda: world.clerk.delays_s.__setitem__("/v1/users", 1.5 if len(_users(world)) == 2 else 0.0)
    outcome = await run(context, "clerk.latency", auth_ms=5_000, api_ms=1_400)
    assert outcome.state is State.OK


def _users(world: World) -> list[str]:
    return [row["path"] for row in world.ledger if row["path"] == "/v1/users"]


async def test_without_the_frontend(configured: Configured) -> None:
    """It is left out, and that is said."""
    async with configured(clerk_publishable_key=None) as blind:
        outcome = await run(blind, "clerk.latency", auth_ms=5_000, api_ms=5_000)
        assert outcome.state is State.OK
        assert "Frontend API: not asked" in outcome.details[3]


async def test_a_call_that_cannot_be_measured(world: World, context: ActionContext, configured: Configured) -> None:
    """One of four: unknown. All of them: what they said. Nobody at the Frontend API: unknown as well."""
    async with configured(clerk_frontend_api_url="http://127.0.0.1:9") as partly:
        outcome = await run(partly, "clerk.latency", auth_ms=5_000, api_ms=5_000)
        assert (outcome.state, outcome.facts["frontend_jwks_ms"]) == (State.UNKNOWN, None)
        assert "1 of 4 could not be" in outcome.summary
    world.set("clerk_api", "unauthorized")
    assert "CLERK_SECRET_KEY" in (await run(context, "clerk.latency")).remedy
    world.set("clerk_api", "error")
    assert "500" in (await run(context, "clerk.latency")).summary


@pytest.mark.parametrize("limit", [0, -1, 60_001, "x", 1.5])
async def test_limits_that_are_none(world: World, context: ActionContext, limit: Any) -> None:
    """They are refused before anything is asked."""
    assert "cannot run with these parameters" in (await run(context, "clerk.latency", auth_ms=limit)).summary
    assert world.ledger == []
