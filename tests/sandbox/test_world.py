"""The world: switches, faults, the ledger, and the environment that points a bot at it."""

from __future__ import annotations

import asyncio
import json
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

import aiohttp
import pytest

from bot.domain.errors import UserError
from bot.sandbox.world import World, pagerduty, smtp, twilio
from tests.sandbox.mounted_world import MountedWorld, served

CLERK = {"Authorization": "Bearer sk_test_sandboxsecretkey", "Clerk-API-Version": "2026-05-12"}
VERCEL = {"Authorization": "Bearer sandbox-vercel-token"}


@pytest.fixture
def world() -> World:
    """A world with a clock that stands still."""
    return World(clock=lambda: 1_800_000_000.0)


@pytest.fixture
async def http(world: World) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser's view of the world: paths are relative to it."""
    async with served(world) as url, aiohttp.ClientSession(url) as session:
        yield session


async def get(http: aiohttp.ClientSession, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and body (JSON when it is, else text) of a GET."""
    async with http.get(path, headers=headers) as response:
        json_given = response.content_type == "application/json"
        return response.status, await response.json() if json_given else await response.text()


def test_switches_are_described_for_the_page(world: World) -> None:
    """Each switch has a title, its options with the good one first, and stands on it."""
    switches = world.switches()
    assert switches["clerk_status"]["options"] == ["operational", "degraded", "down"]
    assert {"clerk_api", "app_health", "vercel_env"} < switches.keys()
    for switch in switches.values():
        assert switch["title"]
        assert switch["value"] == switch["options"][0]


def test_turning_switches(world: World) -> None:
    """A switch takes its own options only, and whoever watches is told."""
    told: list[str] = []
    world.on_change = lambda: told.append("changed")
    world.set("clerk_status", "down")
    assert world.switches()["clerk_status"]["value"] == "down"
    assert told == ["changed"]
    for switch, value in (("clerk_status", "sideways"), ("sun", "off")):
        with pytest.raises(UserError):
            world.set(switch, value)


def test_the_environment_of_a_bot(world: World) -> None:
    """Every address points into the world."""
    environment = world.environment("http://127.0.0.1:4000/")
    assert environment["CLERK_API_URL"] == "http://127.0.0.1:4000/clerk/v1"
    assert environment["CLERK_STATUS_URL"] == "http://127.0.0.1:4000/status"
    assert environment["VERCEL_API_URL"] == "http://127.0.0.1:4000/vercel"
    assert environment["MUSTER_VAR_CLERK_APP_URL"] == "http://127.0.0.1:4000/app"
    assert environment["CLERK_SECRET_KEY"].startswith("sk_test_")
    assert not [name for name in environment if name.startswith(("PAGERDUTY_", "TWILIO_", "SMTP_"))]  # only when asked for


async def test_the_environment_of_a_bot_that_pages(world: World) -> None:
    """Ten more variables, each pointing into the world."""
    await world.start()
    more = world.environment("http://127.0.0.1:4000/", paging=True).keys() - world.environment("http://127.0.0.1:4000/").keys()
    environment = world.environment("http://127.0.0.1:4000/", paging=True)
    await world.stop()
    assert more == {
        "PAGERDUTY_ROUTING_KEY", "PAGERDUTY_EVENTS_URL", "PAGERDUTY_API_TOKEN", "PAGERDUTY_API_URL", "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN", "TWILIO_FROM", "TWILIO_API_URL", "SMTP_URL", "SMTP_FROM",
    }  # fmt: skip
    assert environment["PAGERDUTY_EVENTS_URL"] == "http://127.0.0.1:4000/pagerduty/events"
    assert environment["TWILIO_API_URL"] == "http://127.0.0.1:4000/twilio"
    assert len(environment["PAGERDUTY_ROUTING_KEY"]) == 32


async def test_the_ledger(world: World, http: aiohttp.ClientSession) -> None:
    """Every call is written down with its provider, its status and its times."""
    await get(http, "/app/api/health/clerk")
    await get(http, "/clerk/v1/sessions?user_id=user_2demo")
    first, second = world.ledger
    assert (first["provider"], first["method"], first["path"]) == ("application", "GET", "/api/health/clerk")
    assert (second["provider"], second["status"], second["query"]) == ("clerk", 401, "user_id=user_2demo")
    assert first["started_at"] == first["ended_at"] == 1_800_000_000.0


def test_some_states_are_different_and_no_trouble(world: World) -> None:
    """A status page on another host is as good as the first; a variable that is not there is not."""
    world.set("status_page", "feed")
    world.set("vercel_env", "missing")
    switches = world.switches()
    assert [(switches[name]["good"], switches[name]["group"]) for name in ("status_page", "vercel_env", "mail")] == [
        (True, "Clerk"),
        (False, "Vercel"),
        (True, "Reaching people"),
    ]


async def test_the_ledger_says_whom_a_page_was_for_and_keeps_no_secret(outside: MountedWorld) -> None:
    """Key, action and words of an alert, a text message and a mail; neither the routing key nor a password."""
    world = outside.world
    event = {"routing_key": pagerduty.ROUTING_KEY, "event_action": "trigger", "dedup_key": "inc-1/g1/level-1/cto"}
    alert = {**event, "payload": {"summary": "down", "source": "muster", "severity": "critical"}}
    await outside.http.post("/pagerduty/events/v2/enqueue", json=alert)
    auth = aiohttp.encode_basic_auth(twilio.ACCOUNT_SID, twilio.AUTH_TOKEN)
    form = {"To": "+15555550101", "From": twilio.NUMBER, "Body": "wake up"}
    path = f"/twilio/2010-04-01/Accounts/{twilio.ACCOUNT_SID}/Messages.json"
    await outside.http.post(path, data=form, headers={"Authorization": auth})
    await asyncio.to_thread(send_mail, world.smtp.port, smtp.PASSWORD, "cto@example.com")
    found = [(row["provider"], row["action"], row["key"], row["status"]) for row in world.ledger]
    assert found == [
        ("pagerduty", "trigger", "inc-1/g1/level-1/cto", 202),
        ("twilio", "sms", "+15555550101", 201),
        ("smtp", "mail", "cto@example.com", 250),
    ]
    assert world.ledger[1]["sent"]["Body"] == "wake up"
    assert world.ledger[2]["sent"]["subject"] == "Down"
    told = json.dumps(world.ledger)
    assert pagerduty.ROUTING_KEY not in told
    assert twilio.AUTH_TOKEN not in told
    assert smtp.PASSWORD not in told


async def test_mail_that_is_refused_is_in_the_ledger_too(outside: MountedWorld) -> None:
    """A login that fails, a server that is busy, a mailbox that does not exist, a connection that breaks after the mail."""
    world = outside.world
    world.smtp.behave("nobody@example.com", "unknown")
    for state, password, to in (
        ("ok", "wrong", "cto@example.com"),
        ("rate_limited", smtp.PASSWORD, "cto@example.com"),
        ("error", smtp.PASSWORD, "cto@example.com"),
        ("ok", smtp.PASSWORD, "nobody@example.com"),
    ):
        world.set("mail", state)
        with pytest.raises(smtplib.SMTPException):
            await asyncio.to_thread(send_mail, world.smtp.port, password, to)
    world.set("mail", "ok")
    world.smtp.fail_next("reset_after_accept")
    with pytest.raises((smtplib.SMTPException, ConnectionError)):
        await asyncio.to_thread(send_mail, world.smtp.port, smtp.PASSWORD, "cto@example.com")
    lines = list(dict.fromkeys((row["method"], row["status"]) for row in world.ledger))  # a client tries each way to log in
    assert lines == [
        ("AUTH", 535), ("MAIL", 421), ("MAIL", 451), ("RCPT", 550), ("MAIL", None),
    ]  # fmt: skip
    assert world.ledger[-1]["note"] == "reset_after_accept"


def send_mail(port: int, password: str, to: str) -> None:
    """Send one mail as a bot would. Blocks."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Down", smtp.SENDER, to
    message.set_content("Nobody can sign in.")
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.login(smtp.USER, password)
        client.send_message(message)


async def test_the_application(world: World, http: aiohttp.ClientSession) -> None:
    """It answers 200 however it is, unless it is down."""
    for state in ("healthy", "degraded", "unhealthy"):
        world.set("app_health", state)
        status, report = await get(http, "/app/api/health/clerk")
        assert (status, report["status"]) == (200, state)
    world.set("app_health", "down")
    assert (await get(http, "/app/api/health/clerk"))[0] == 503
    world.set("app_health", "healthy")
    assert (await get(http, "/app/other"))[0] == 404


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("incident_io", {"/api/v1/summary", "/api/v2/summary.json", "/api/v2/incidents.json", "/feed.rss"}),
        ("statuspage", {"/api/v2/summary.json", "/api/v2/incidents.json"}),
        ("feed", {"/feed.rss"}),
    ],
)
async def test_the_status_page_has_the_apis_of_its_host(
    world: World, http: aiohttp.ClientSession, page: str, found: set[str]
) -> None:
    """Which APIs answer depends on who hosts the page; the one in the old runbook never does."""
    world.set("status_page", page)
    paths = ("/api/v1/summary", "/api/v1/status", "/api/v2/summary.json", "/api/v2/incidents.json", "/feed.rss")
    assert {path for path in paths if (await get(http, "/status" + path))[0] == 200} == found


async def test_the_summary_of_incident_io_leaves_incidents_out(world: World, http: aiohttp.ClientSession) -> None:
    """As the real one: the indicator is there, the incidents are in their own list."""
    world.set("clerk_status", "down")
    _, summary = await get(http, "/status/api/v2/summary.json")
    _, incidents = await get(http, "/status/api/v2/incidents.json")
    assert (summary["status"]["indicator"], summary["incidents"]) == ("critical", [])
    assert [found["status"] for found in incidents["incidents"]] == ["investigating", "resolved"]


async def test_vercel_is_strict(world: World, http: aiohttp.ClientSession) -> None:
    """A wrong token is 403, a missing team 404, and the value of a variable is in the reply."""
    path = "/vercel/v10/projects/web/env"
    assert (await get(http, path + "?teamId=team_sandbox"))[0] == 403
    assert (await get(http, path, VERCEL))[0] == 404
    status, page = await get(http, path + "?teamId=team_sandbox", VERCEL)
    assert status == 200
    assert page["envs"][0]["value"].startswith("sk_live_")
    world.set("vercel_env", "hidden")
    assert (await get(http, path + "?teamId=team_sandbox", VERCEL))[1]["hiddenProductionEnvCount"] == 1
    assert (await get(http, "/vercel/v10/projects/other/env?teamId=team_sandbox", VERCEL))[0] == 404


@pytest.mark.parametrize("fault", ["drop", "done_then_drop"])
async def test_a_dropped_call(world: World, http: aiohttp.ClientSession, fault: Any) -> None:
    """Dropped before, nothing has happened; dropped after, it has, and nobody was told."""
    world.plant("clerk", fault, times=1)
    with pytest.raises(aiohttp.ClientError):
        await http.post("/clerk/v1/sessions/sess_2demo0001/revoke", headers=CLERK)
    revoked = world.clerk.sessions["sess_2demo0001"]["status"] == "revoked"
    assert revoked is (fault == "done_then_drop")
    assert (world.ledger[0]["status"], world.ledger[0]["note"]) == (None, fault)
    assert (await get(http, "/clerk/v1/sessions?user_id=user_2demo", CLERK))[0] == 200


async def test_a_hanging_call_ends_with_its_caller(world: World, http: aiohttp.ClientSession) -> None:
    """It says nothing until the caller has gone, and other providers are not held up."""
    recorded = asyncio.Event()
    world.on_change = recorded.set
    world.plant("clerk", "hang")
    with pytest.raises(TimeoutError):
        await http.get("/clerk/v1/sessions", timeout=aiohttp.ClientTimeout(total=1))
    await recorded.wait()
    assert world.ledger[0]["note"] == "hang"
    assert (await get(http, "/app/api/health/clerk"))[0] == 200
    world.clear_faults()
    assert (await get(http, "/clerk/v1/sessions", CLERK))[0] == 422


def test_faults_that_there_are_not(world: World) -> None:
    """A typing error in a test is an error."""
    with pytest.raises(UserError):
        world.plant("clark", "hang")
    with pytest.raises(UserError):
        world.plant("clerk", "explode")  # type: ignore[arg-type]
