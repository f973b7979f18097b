"""What the page does with phones and PagerDuty, by the control API, and that a moved clock moves calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.sandbox.world.twilio import NUMBER
from tests.sandbox.tiny_bot import SIGNING_SECRET, TOKEN, manifest

TO = "+15555550101"


@pytest.fixture
async def world() -> World:
    """Everything beside Slack."""
    return World()


@pytest.fixture
async def sandbox(world: World) -> AsyncIterator[Sandbox]:
    """A workspace with a world that has telephones."""
    made = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest(), world=world)
    await made.start()
    made.phone_book[TO] = "On-call engineer"
    yield made
    await made.stop()


async def act(browser: aiohttp.ClientSession, path: str, **body: Any) -> tuple[int, Any]:
    """Status and body of something that a person does."""
    async with browser.post(f"/sandbox/{path}", json=body) as response:
        return response.status, await response.json()


async def shown(browser: aiohttp.ClientSession) -> Any:
    """What the page would draw."""
    async with browser.get("/sandbox/paging") as response:
        return (await response.json())["paging"]


async def ring(sandbox: Sandbox, world: World, browser: aiohttp.ClientSession, twiml: str) -> str:
    """Call, and let it ring; its sid."""
    environment = world.environment(sandbox.url, paging=True)
    sid = environment["TWILIO_ACCOUNT_SID"]
    auth = aiohttp.encode_basic_auth(sid, environment["TWILIO_AUTH_TOKEN"])
    url = f"{environment['TWILIO_API_URL']}/2010-04-01/Accounts/{sid}/Calls.json"
    form = {"To": TO, "From": NUMBER, "Twiml": twiml}
    async with aiohttp.ClientSession() as bot, bot.post(url, data=form, headers={"Authorization": auth}) as response:
        assert response.status == 201
        made = str((await response.json())["sid"])
    await sandbox.clock.advance(1)
    return made


async def test_a_call_is_answered_from_the_page(sandbox: Sandbox, world: World, browser: aiohttp.ClientSession) -> None:
    """It shows whose phone it is and what is said; a key that nothing listens for is said to be unheard."""
    sid = await ring(sandbox, world, browser, f"<Response><Say>{'wake up ' * 30}</Say></Response>")
    [call] = (await shown(browser))["calls"]
    assert (call["who"], call["status"], call["text"][:7]) == ("On-call engineer", "ringing", "wake up")
    status, answer = await act(browser, "phone", sid=sid, act="answer")
    assert (status, answer["paging"]["calls"][0]["status"]) == (200, "in-progress")
    assert (await act(browser, "phone", sid=sid, act="press", key="1"))[1]["heard"] is False
    assert (await act(browser, "phone", sid=sid, act="decline"))[1]["paging"]["calls"][0]["status"] == "completed"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("phone", {"sid": "CAnone", "act": "answer"}),
        ("phone", {"act": "answer"}),
        ("phone", {"sid": "CAnone", "act": "sing"}),
        ("phone", {"sid": "CAnone", "act": "press", "key": "11"}),
        ("pagerduty", {"key": "nothing", "act": "acknowledge"}),
        ("pagerduty", {"key": "nothing", "act": "delete"}),
    ],
)
async def test_what_cannot_be_done_is_said(browser: aiohttp.ClientSession, path: str, body: dict[str, str]) -> None:
    """400 with a sentence."""
    status, answer = await act(browser, path, **body)
    assert (status, answer["ok"]) == (400, False)
    assert answer["message"].endswith(".")


async def test_time_travel_lets_a_phone_ring_out(sandbox: Sandbox, world: World, browser: aiohttp.ClientSession) -> None:
    """A minute of the sandbox's clock ends it, and whoever looks at the page is told without asking."""
    sid = await ring(sandbox, world, browser, "<Response><Say>wake up</Say></Response>")
    seen = sandbox.feed.last_id
    await sandbox.clock.advance(60)
    await sandbox.wait_for(lambda: world.twilio.calls[sid].status == "no-answer")
    told = [event.seen_by("U0DEVELOPER") for event in sandbox.feed.after(seen) or [] if event.type == "paging"]
    assert told
    assert told[-1] is not None
    assert told[-1]["paging"]["calls"][0]["status"] == "no-answer"


async def test_other_sites_cannot_answer_phones(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    """The guard of the control API holds for the new routes, too."""
    for path in ("phone", "pagerduty", "night"):
        async with browser.post(f"/sandbox/{path}", json={}, headers={"Origin": "https://example.com"}) as response:
            assert response.status == 403


async def test_slack_alone_has_no_phones() -> None:
    """Without a world nothing is shown, and what is tried is refused with a sentence."""
    alone = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest())
    await alone.start()
    async with aiohttp.ClientSession(alone.url) as browser:
        assert await shown(browser) is None
        assert (await act(browser, "phone", sid="CA1", act="answer"))[0] == 400
    await alone.stop()
