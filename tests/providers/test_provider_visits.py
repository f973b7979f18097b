"""A page as somebody without a session meets it: what tells that they get in, that they do not, and what tells nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from bot.domain.errors import ConfigError
from bot.providers.health import HealthClient, Visit
from bot.sandbox.world import World


@pytest.fixture
async def client() -> AsyncIterator[HealthClient]:
    """A visitor with patience: the machine may be slow."""
    made = HealthClient(timeout_s=20.0)
    yield made
    await made.aclose()


@pytest.fixture
async def impatient() -> AsyncIterator[HealthClient]:
    """A visitor without any."""
    made = HealthClient(timeout_s=0.5)
    yield made
    await made.aclose()


def answering(status: int, headers: dict[str, str] | None = None, text: str = "x") -> Any:
    """A handler."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers, text=text)

    return handle


@pytest.mark.parametrize(
    ("status", "headers", "access"),
    [
        (200, {}, "open"),
        (204, {}, "open"),
        (401, {}, "refused"),
        (403, {}, "refused"),
        (307, {"Location": "/sign-in?redirect_url=%2Fdashboard"}, "refused"),
        (302, {"Location": "https://accounts.app.test/"}, "refused"),
        (307, {"Location": "/login"}, "refused"),
        (307, {"Location": "/de/dashboard"}, "unclear"),
        (308, {"Location": "/dashboard/"}, "unclear"),
        (307, {"Location": "/authors"}, "unclear"),
        (307, {}, "unclear"),
        (404, {"x-clerk-auth-reason": "protect-rewrite, dev-browser-missing"}, "refused"),
        (404, {"x-clerk-auth-reason": "session-token-and-uat-missing"}, "unclear"),
        (404, {}, "unclear"),
        (429, {}, "unclear"),
        (500, {}, "unclear"),
    ],
)
async def test_what_an_answer_tells(client: HealthClient, serve: Any, status: int, headers: dict[str, str], access: str) -> None:
    """A redirect to the same page elsewhere, a wrong path and a fault do not tell whether somebody gets in."""
    visit = await client.visit(f"{await serve(answering(status, headers, '' if status == 204 else 'x'))}/dashboard")
    assert (visit.access, visit.answered, visit.says_bypass) == (access, True, False)
    assert str(status) in visit.said


@pytest.mark.parametrize(("value", "says"), [("true", True), ("active", True), ("false", False), ("0", False), ("", False)])
async def test_the_header(client: HealthClient, serve: Any, value: str, says: bool) -> None:
    """It tells when it says something else than no."""
    assert (await client.visit(await serve(answering(500, {"X-Auth-Bypass": value})))).says_bypass is says


async def test_silence_tells_nothing(impatient: HealthClient, serve: Any, serve_bytes: Any) -> None:
    """Nobody listens, nobody answers, too much is answered, it is no HTTP: neither in nor out."""

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        raise AssertionError

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(100 * 1024 * 1024), "X-Auth-Bypass": "true"})
        await response.prepare(request)
        return response

    for url in (
        "http://127.0.0.1:9",
        await serve(hang),
        await serve(flood),
        await serve_bytes(b"nothing\r\n\r\n"),
    ):
        visit = await impatient.visit(url)
        assert (visit.access, visit.answered, visit.says_bypass) == ("unclear", False, False)
        assert visit.said


async def test_a_page_larger_than_a_report(client: HealthClient, serve: Any) -> None:
    """A page of the application may be a large one."""
    visit = await client.visit(await serve(answering(200, {}, "x" * 1_000_000)))
    assert visit == Visit(access="open", said="HTTP 200")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://user@127.0.0.1/", "http://good.test\\@127.0.0.1/", "gopher://a", "", "http://", "/x"]
)
async def test_what_is_no_address(client: HealthClient, world: World, url: str) -> None:
    """Refused, with the name of the variable, and nothing is asked."""
    with pytest.raises(ConfigError, match="app_url"):
        await client.visit(url)
    assert world.ledger == []
