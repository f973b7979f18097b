"""The world and the phones on the page, in a real browser: switches, time, calls that ring, the night."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import importlib.util
import re
from collections.abc import AsyncIterator
from email.message import EmailMessage

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from bot.sandbox.seed import DEVELOPER, SUPPORT
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.sandbox.world.pagerduty import ROUTING_KEY
from bot.sandbox.world.twilio import ACCOUNT_SID, AUTH_TOKEN
from bot.sandbox.world.twilio import NUMBER as OWN_NUMBER
from tests.sandbox.browsing import (  # noqa: F401 - fixtures among them
    NARROW,
    ONE_LOOP,
    SCRIPT,
    WIDE,
    Windows,
    one_chromium,
    page_bot,
    page_sandbox,
    page_slack,
    page_windows,
    page_world,
)

if importlib.util.find_spec("playwright"):
    from playwright.async_api import expect

pytestmark = [ONE_LOOP, pytest.mark.slow]

NUMBER_OF_ONCALL = "+15555550101"
SAYS = "This is Muster. SEV1: nobody can sign in."


class PressedKeys:
    """A tiny app that takes what “Press 1” leads to, and judges its signature by Twilio's rule."""

    def __init__(self) -> None:
        self.url = ""
        self.digits: list[str] = []
        self.forged = 0

    async def take(self, request: web.Request) -> web.Response:
        """Answer as Muster would."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        signed = self.url + "".join(name + form[name] for name in sorted(form))
        expected = base64.b64encode(hmac.new(AUTH_TOKEN.encode(), signed.encode(), hashlib.sha1).digest()).decode()
        if request.headers.get("X-Twilio-Signature") != expected:
            self.forged += 1
            return web.Response(status=403)
        self.digits.append(form["Digits"])
        answer = '<Response><Say>Thank you. You have it.</Say><Pause length="60"/></Response>'  # until somebody hangs up
        return web.Response(text=answer, content_type="text/xml")


@pytest_asyncio.fixture(loop_scope="module")
async def keys() -> AsyncIterator[PressedKeys]:
    """On loopback."""
    made = PressedKeys()
    app = web.Application()
    app.router.add_post("/pages/phone/{token}", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/pages/phone/t0ken"
    yield made
    await runner.cleanup()


async def twilio(sandbox: Sandbox, path: str, **form: str) -> None:
    """What a bot sends."""
    credentials = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Basic {credentials}"}) as session,
        session.post(f"{sandbox.url}/twilio/2010-04-01/Accounts/{ACCOUNT_SID}/{path}", data=form) as response,
    ):
        assert response.status == 201, await response.text()


async def ring(sandbox: Sandbox, action: str = "", to: str = NUMBER_OF_ONCALL, says: str = SAYS) -> None:
    """Call somebody; with ``action`` the call listens for a key."""
    say = f"<Say>{html.escape(says)}</Say>"
    inner = f'<Gather numDigits="1" timeout="30" action="{action}">{say}</Gather>' if action else say
    await twilio(sandbox, "Calls.json", To=to, From=OWN_NUMBER, Timeout="60", Twiml=f"<Response>{inner}</Response>")


async def page_somebody(sandbox: Sandbox, summary: str, key: str = "inc-42/g1/level-1/on-call") -> None:
    """An event for PagerDuty."""
    event = {"routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": key}
    payload = {"summary": summary, "source": "muster", "severity": "critical"}
    async with aiohttp.ClientSession() as session:
        await session.post(f"{sandbox.url}/pagerduty/events/v2/enqueue", json={**event, "payload": payload})


async def mail_somebody(world: World, subject: str, text_of_mail: str) -> None:
    """A mail, as the mail server would keep it."""
    message = EmailMessage()
    message["Subject"], message["Message-ID"] = subject, "<x@muster>"
    message.set_content(text_of_mail)
    world.smtp.keep("muster@example.com", ("oncall@example.com",), message.as_bytes(), "")


async def test_the_world_is_broken_and_time_moved_from_the_panel(windows: Windows, sandbox: Sandbox, world: World) -> None:
    """A switch turns, in other windows too; 15 minutes pass for everybody; calls are in the ledger, failures told apart."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="world")
    other = await windows.open(SUPPORT, "C0SUPPORT", panel="world")
    await page.get_by_role("group", name="Clerk", exact=True).get_by_role("button").nth(-1).click()
    broken = other.get_by_role("group", name="Clerk", exact=True).get_by_role("button", pressed=True)
    await expect(broken).to_have_class(re.compile("broken"))
    assert world.switches()["clerk_status"]["value"] == world.switches()["clerk_status"]["options"][-1]
    await page.get_by_role("button", name="+15 min").click()
    await expect(page.get_by_text("15 min ahead")).to_be_visible()
    await expect(other.get_by_text("15 min ahead")).to_be_visible()
    assert sandbox.clock.offset_s == 900
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"{sandbox.slack_api_url}chat.postMessage", json={"channel": "C0SUPPORT", "text": "x"})
        assert (await answer.json())["error"] == "not_authed"
    await expect(page.locator(".call-failed", has_text="chat.postMessage")).to_contain_text("not_authed")


async def test_a_phone_rings_is_taken_and_its_key_reaches_the_bot(
    windows: Windows, sandbox: Sandbox, world: World, keys: PressedKeys
) -> None:
    """It is announced, shown with its sentence, answered; the pressed 1 is posted with a good signature and thanked for."""
    sandbox.phone_book[NUMBER_OF_ONCALL] = "On-call engineer"
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await ring(sandbox, keys.url)
    await expect(page.locator("[aria-live=assertive]")).to_have_text("The phone of On-call engineer rings.")
    await page.get_by_role("button", name="Show the phones").click()
    pane = page.get_by_role("complementary", name="Phones")
    phone = pane.get_by_role("listitem").filter(has_text=NUMBER_OF_ONCALL)
    await expect(phone.get_by_role("heading", name="On-call engineer")).to_be_visible()
    await expect(phone.get_by_text(f"“{SAYS}”").first).to_be_visible()
    assert await phone.locator(".phone-mark").evaluate("mark => getComputedStyle(mark).animationName") == "rings"
    await phone.get_by_role("button", name="Answer").press("Enter")
    await phone.get_by_role("button", name="Press 1").click()
    await expect(phone.get_by_text("“Thank you. You have it.”").first).to_be_visible()
    await expect(phone.get_by_text("Pressed 1")).to_be_visible()
    assert (keys.digits, keys.forged) == (["1"], 0)
    await expect(page.locator("[aria-live=assertive]")).to_have_text("")
    await phone.get_by_role("button", name="Hang up").click()
    await expect(phone.get_by_text("The call has ended", exact=True)).to_be_visible()
    assert [call.status for call in world.twilio.calls.values()] == ["completed"]


async def test_a_phone_is_declined_rings_out_or_is_taken_by_a_mailbox(windows: Windows, sandbox: Sandbox) -> None:
    """Each phone has its own state; a minute later the one that nobody touched has stopped ringing, in every window."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="phones")
    other = await windows.open(SUPPORT, "C0SUPPORT", panel="phones")
    await expect(page.get_by_text("Nobody has been called yet")).to_be_visible()
    for number in ("+15555550101", "+15555550102", "+15555550103"):
        await ring(sandbox, to=number, says="long " * 60)
    await sandbox.clock.advance(5)
    phones = {
        number: page.get_by_label("Phones", exact=True).get_by_role("listitem").filter(has_text=f"+1555555010{number}")
        for number in (1, 2, 3)
    }
    await phones[1].get_by_role("button", name="Decline").click()
    await expect(phones[1]).to_contain_text("Busy or declined")
    await phones[2].get_by_role("button", name="Mailbox").click()
    await expect(phones[2]).to_contain_text("A mailbox takes the call.")
    await expect(other.get_by_role("button", name="Decline")).to_have_count(1)
    await sandbox.clock.advance(60)
    await expect(phones[3]).to_contain_text("Nobody answered")
    await expect(other.get_by_role("button", name="Decline")).to_have_count(0)


async def test_texts_mail_and_pagerduty_are_listed_and_never_run(windows: Windows, sandbox: Sandbox, world: World) -> None:
    """What reached people outside of Slack is shown as text, live; an acknowledgement in PagerDuty is one click."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="phones")
    await twilio(sandbox, "Messages.json", To=NUMBER_OF_ONCALL, From=OWN_NUMBER, Body=f"sms {SCRIPT}")
    await ring(sandbox, says=f"call {SCRIPT}")
    await page_somebody(sandbox, f"pager {SCRIPT}")
    await mail_somebody(world, f"subject {SCRIPT}", f"body {SCRIPT}")
    pane = page.get_by_role("complementary", name="Phones")
    await expect(pane.get_by_text(f"sms {SCRIPT}")).to_be_visible()
    await expect(pane.get_by_text(f"pager {SCRIPT}")).to_be_visible()
    await pane.get_by_text(f"subject {SCRIPT}").click()
    await expect(pane.get_by_text(f"body {SCRIPT}")).to_be_visible()
    await expect(pane.get_by_text(f"“call {SCRIPT}”")).to_be_visible()
    await expect(pane.locator("img, script, b")).to_have_count(0)
    assert await page.evaluate("window.ran") is None
    await pane.get_by_role("button", name="Acknowledge in PagerDuty").click()
    await expect(pane.get_by_role("button", name="Acknowledge in PagerDuty")).to_have_count(0)
    assert world.pagerduty.status_of("inc-42/g1/level-1/on-call") == "acknowledged"
    await pane.get_by_role("button", name="Resolve in PagerDuty").click()
    await expect(pane.get_by_text("resolved")).to_be_visible()
    await sandbox.clock.advance(5)
    await expect(pane.get_by_text("delivered")).to_be_visible()


async def test_paging_is_broken_from_the_world_panel(windows: Windows, sandbox: Sandbox, world: World) -> None:
    """PagerDuty, the telephone and the mail have switches like everything else."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="world")
    for title, broken, switch in (
        ("PagerDuty", "hangs after accepting", world.pagerduty.state),
        ("Telephone", "all busy", world.twilio.state),
        ("Mail", "password changed", world.smtp.state),
    ):
        button_of_option = page.get_by_role("group", name=title, exact=True).get_by_role("button", name=broken)
        await button_of_option.click()
        await expect(button_of_option).to_have_attribute("aria-pressed", "true")
        # the page shows it before the sandbox has heard of it
        await sandbox.wait_for(lambda switch=switch, broken=broken: switch.value == broken.replace(" ", "_"), what=title)


async def test_a_night_passes_until_a_phone_rings(windows: Windows, sandbox: Sandbox, world: World) -> None:
    """It is started, paused and gone on with; it stops by itself when a phone rings, and the page says why."""
    sandbox.night.pace_s = 0.02
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="world")
    await page.get_by_role("button", name="Night").click()
    await expect(page.get_by_role("button", name="Pause the night")).to_be_visible()
    await sandbox.wait_for(lambda: sandbox.night.left_s < 7.8 * 3600)
    sandbox.night.pace_s = 1.0  # it is not over before the browser has pressed the button
    await page.get_by_role("button", name="Pause the night").click()
    await expect(page.get_by_text("Paused.")).to_be_visible()
    paused_at_s = sandbox.clock.offset_s
    assert paused_at_s % 60 == 0
    await page.get_by_role("button", name="Go on with the night").click()
    await sandbox.wait_for(lambda: sandbox.clock.offset_s > paused_at_s)
    await ring(sandbox)
    await expect(page.get_by_text("Stopped: a phone rings.")).to_be_visible()
    [call] = world.twilio.calls.values()
    assert call.status in ("queued", "ringing")
    assert not sandbox.night.is_running


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
async def test_the_phones_fit_and_are_reached_by_keyboard(
    windows: Windows, sandbox: Sandbox, world: World, size: dict[str, int], scheme: str
) -> None:
    """No sideways scrolling however long the words are; every control is named, and Tab reaches it."""
    long_word = "x" * 300
    sandbox.phone_book[NUMBER_OF_ONCALL] = "On-call engineer"
    page = await windows.open(DEVELOPER, "C0SUPPORT", size=size, scheme=scheme)
    await page.get_by_role("button", name="Phones", exact=True).click()
    await ring(sandbox, says=long_word)
    await page_somebody(sandbox, long_word, key="k" * 255)
    await mail_somebody(world, long_word, long_word)
    await twilio(sandbox, "Messages.json", To="+15555550102", From=OWN_NUMBER, Body=long_word)
    await sandbox.clock.advance(2)
    await page.get_by_role("button", name="Answer").wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    beyond = (
        "[...document.querySelectorAll('.phones *, main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert await page.evaluate(beyond) == 0
    unnamed = "[...document.querySelectorAll('button, summary')].filter(e => !(e.textContent.trim() || e.ariaLabel)).length"
    assert await page.evaluate(unnamed) == 0
    await page.get_by_role("button", name="Close the phones").focus()
    reached = set()
    for _ in range(12):
        await page.keyboard.press("Tab")
        reached.add(await page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent"))
    assert {"Answer", "Decline", "Mailbox", "Acknowledge in PagerDuty", "Resolve in PagerDuty"} <= reached
