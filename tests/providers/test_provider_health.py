"""The health probe: the body decides, and what says nothing about the application stays unknown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from bot.domain.errors import ConfigError
from bot.providers.faults import Refused, Unavailable
from bot.providers.health import HealthClient
from bot.sandbox.world import World


@pytest.fixture
async def health() -> AsyncIterator[HealthClient]:
    """A probe that reads little."""
    made = HealthClient(timeout_s=20.0, max_bytes=10_000)
    yield made
    await made.aclose()


def replying(status: int, body: Any, headers: dict[str, str] | None = None) -> Any:
    """A handler with one answer: text as it is, anything else as JSON."""

    async def handle(_request: web.Request) -> web.Response:
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return handle


@pytest.mark.parametrize(("state", "healthy"), [("healthy", True), ("degraded", False), ("unhealthy", False), ("down", False)])
async def test_the_body_decides(health: HealthClient, world: World, world_url: str, state: str, healthy: bool) -> None:
    """The endpoint answers 200 also when it is unhealthy: the status line alone proves nothing."""
    world.set("app_health", state)
    reading = await health.probe(f"{world_url}/app/api/health/clerk")
    assert reading.healthy is healthy
    assert reading.status == ("HTTP 503" if state == "down" else state)
    assert reading.http_status == (503 if state == "down" else 200)


async def test_checks_and_latencies(health: HealthClient, world: World, world_url: str) -> None:
    """Each check comes with its word and its latency."""
    world.set("app_health", "degraded")
    reading = await health.probe(f"{world_url}/app/api/health/clerk")
    assert [(c.name, c.status, c.verdict, c.latency_ms) for c in reading.checks] == [
        ("auth", "healthy", "good", 12),
        ("api", "degraded", "bad", 1840),
        ("webhooks", "healthy", "good", None),
    ]


@pytest.mark.parametrize(
    ("body", "healthy"),
    [
        ({"status": "ok"}, True),
        ({"status": "UP"}, True),
        ({"status": "healthy", "checks": {"auth": {"status": "unhealthy"}}}, False),
        ({"status": "healthy", "checks": {"auth": True, "api": False}}, False),
        ({"status": "healthy", "checks": {"auth": "ok"}}, True),
        ({"status": "healthy", "checks": [1, 2]}, True),
        ({"status": "error"}, False),
    ],
)
async def test_forms_of_reports(health: HealthClient, serve: Any, body: Any, healthy: bool) -> None:
    """The words of common health endpoints; one bad check outweighs a good status."""
    assert (await health.probe(await serve(replying(200, body)))).healthy is healthy


@pytest.mark.parametrize(
    "body",
    [{"status": "purple"}, {"status": "healthy", "checks": {"auth": {"status": "purple"}}}, {"status": ""}],
)
async def test_an_unknown_word_is_not_green(health: HealthClient, serve: Any, body: Any) -> None:
    """A word that is not known is neither good nor bad news."""
    with pytest.raises(Refused, match="does not know"):
        await health.probe(await serve(replying(200, body)))


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, "<!doctype html>", "not_json"),
        (200, '{"status": "heal', "not_json"),
        (200, {"ok": True}, "not_json"),
        (200, [1], "not_json"),
        (204, "", "unexpected"),
        (307, "", "redirected"),
        (401, {"status": "healthy"}, "unauthorized"),
        (403, "", "forbidden"),
        (404, "<h1>", "not_found"),
        (418, "", "unexpected"),
    ],
)
async def test_no_report_is_unknown(health: HealthClient, serve: Any, status: int, body: Any, code: str) -> None:
    """An answer without a report says nothing about the application, in either direction."""
    url = await serve(replying(status, body, {"Location": "/sign-in"} if status == 307 else None))
    with pytest.raises(Refused) as caught:
        await health.probe(f"{url}/api/health")
    assert caught.value.code == code
    assert "/api/health" in str(caught.value)


@pytest.mark.parametrize("body", ["<h1>Bad gateway</h1>", {"status": "healthy"}, {"status": "unhealthy"}])
async def test_a_server_error_is_failing_whatever_it_says(health: HealthClient, serve: Any, body: Any) -> None:
    """Users get that 502 as well."""
    reading = await health.probe(await serve(replying(502, body)))
    assert not reading.healthy
    assert reading.status.startswith("HTTP 502")


@pytest.mark.parametrize(("fault", "says"), [("hang", "no answer within 0.1 s"), ("drop", "connection broken")])
async def test_silence_is_failing(world: World, world_url: str, fault: Any, says: str) -> None:
    """An application that does not answer the bot does not answer its users."""
    world.plant("application", fault)
    health = HealthClient(timeout_s=0.1 if fault == "hang" else 20.0)
    reading = await health.probe(f"{world_url}/app/api/health/clerk")
    assert (reading.healthy, reading.status, reading.http_status) == (False, says, None)
    await health.aclose()


async def test_nobody_listening_is_failing(health: HealthClient, unused_tcp_port: int) -> None:
    """A refused connection is the application being down."""
    assert (await health.probe(f"http://127.0.0.1:{unused_tcp_port}/")).status == "connection refused"


async def test_a_rate_limit_says_nothing_about_health(health: HealthClient, serve: Any) -> None:
    """429 comes from in front of the application."""
    with pytest.raises(Unavailable) as caught:
        await health.probe(await serve(replying(429, "", {"Retry-After": "9"})))
    assert caught.value.retry_after_s == 9


async def test_too_much_is_not_read(health: HealthClient, serve: Any) -> None:
    """A report of more than the limit is refused."""
    with pytest.raises(Refused) as caught:
        await health.probe(await serve(replying(200, {"status": "healthy", "padding": "x" * 20_000})))
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://127.0.0.1:6379/_X", "ftp://a/", "//a/", "http://u:p@127.0.0.1/", "", "x"]
)
async def test_other_schemes_are_refused(health: HealthClient, url: str) -> None:
    """Only plain http and https addresses are probed."""
    with pytest.raises(ConfigError, match="the url of the step"):
        await health.probe(url)
