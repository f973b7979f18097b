"""`vercel.logs`: what the API tells of the log, and that it tells nothing of the past."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.domain.outcome import State
from bot.sandbox.world.vercel import LIVE_ID
from tests.actions.vercel_ground import Ground, vercel_ground


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    """A world whose newest production build succeeded."""
    async with vercel_ground() as made:
        made.world.vercel.deployments.pop()
        yield made


def line(level: str, message: str, status: int = 200, path: str = "/api/users") -> dict[str, Any]:
    """One line of the application."""
    return {
        "level": level,
        "message": message,
        "requestMethod": "GET",
        "requestPath": path,
        "responseStatusCode": status,
        "domain": "app.test",
        "messageTruncated": False,
    }


async def test_what_is_bad_is_counted_and_shown(ground: Ground) -> None:
    """Which path answers what, and the lines; secrets in them are masked."""
    bad = line("error", "Clerk: Unauthorized sk_live_abcdefghijklmnop", 500)
    ground.world.vercel.runtime_lines = [line("info", "GET /"), bad, bad]
    outcome = await ground.run("vercel.logs", listen_s=1)
    assert (outcome.state, outcome.value) == (State.FAILING, "2 bad")
    assert outcome.details[0] == "2 × HTTP 500 for /api/users"
    assert outcome.details[1].startswith("error: GET /api/users 500: Clerk: Unauthorized ")
    assert "sk_live_abc" not in outcome.model_dump_json()
    assert "no log of the past" in outcome.details[-1]
    assert "https://vercel.com/sandbox/web/4" in outcome.remedy
    assert (outcome.facts["lines"], outcome.facts["deployment"]) == (3, LIVE_ID)


async def test_nothing_bad(ground: Ground) -> None:
    """Lines came, and none of them is bad."""
    ground.world.vercel.runtime_lines = [line("info", "hello")]
    assert (await ground.run("vercel.logs", listen_s=1)).state is State.OK


async def test_silence_is_not_good_news(ground: Ground) -> None:
    """Nobody used it in that second, or it cannot be reached at all."""
    outcome = await ground.run("vercel.logs", listen_s=1)
    assert (outcome.state, outcome.value) == (State.UNKNOWN, "silent")
    assert "no log of the past" in outcome.summary


async def test_a_build_that_failed_since(ground: Ground) -> None:
    """Its errors are shown: what was meant to mend it did not arrive."""
    async with vercel_ground() as broken:
        outcome = await broken.run("vercel.logs", listen_s=1)
    assert (outcome.state, outcome.value) == (State.FAILING, "build failed")
    assert "Build: Error: Cannot find module './banner'" in outcome.details
    assert "BUILD_FAILED" in " ".join(outcome.details)


async def test_a_page_that_is_not_vercels_is_not_linked(ground: Ground) -> None:
    """What a reply says is foreign."""
    ground.world.vercel.deployments[3]["inspectorUrl"] = "https://vercel.com.evil.test/a"
    outcome = await ground.run("vercel.logs", listen_s=1)
    assert "evil" not in outcome.model_dump_json()
