"""The world panel and the guided first incident, in a real browser: switches, the ledger, three steps with the real bot."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.seed import DEVELOPER, SUPPORT
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.sandbox.world.pagerduty import ROUTING_KEY
from bot.sandbox.world.twilio import ACCOUNT_SID, AUTH_TOKEN
from bot.sandbox.world.twilio import NUMBER as OWN_NUMBER
from tests.sandbox.browsing import (  # noqa: F401 - fixtures among them
    BEYOND,
    NARROW,
    ONE_LOOP,
    SCRIPT,
    UNNAMED,
    WIDE,
    Relay,
    Windows,
    one_chromium,
    page_bot,
    page_sandbox,
    page_slack,
    page_windows,
    page_world,
    row,
    write,
)
from tests.sandbox.tiny_bot import actions, button
from tests.scenarios.conftest import Stage, staged

if importlib.util.find_spec("playwright"):
    from playwright.async_api import Browser, Page, expect

pytestmark = [ONE_LOOP, pytest.mark.slow]

NUMBER_OF_ONCALL = "+15555550101"


def panel(page: Page) -> Any:
    """The world panel."""
    return page.get_by_role("complementary", name="World")


def option(page: Page, title: str, words: str) -> Any:
    """One option of a switch."""
    return panel(page).get_by_role("group", name=title, exact=True).get_by_role("button", name=words, exact=True)


async def trigger(sandbox: Sandbox, summary: str, key: str) -> None:
    """An event for PagerDuty."""
    event = {"routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": key}
    payload = {"summary": summary, "source": "muster", "severity": "critical"}
    async with aiohttp.ClientSession() as session:
        await session.post(f"{sandbox.url}/pagerduty/events/v2/enqueue", json={**event, "payload": payload})


async def ring(sandbox: Sandbox) -> None:
    """Let the phone of on-call ring."""
    auth = aiohttp.encode_basic_auth(ACCOUNT_SID, AUTH_TOKEN)
    form = {"To": NUMBER_OF_ONCALL, "From": OWN_NUMBER, "Twiml": f"<Response><Say>{'wake up ' * 40}</Say></Response>"}
    url = f"{sandbox.url}/twilio/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json"
    async with aiohttp.ClientSession() as session, session.post(url, data=form, headers={"Authorization": auth}) as response:
        assert response.status == 201


# The switches


async def test_slack_itself_is_broken_and_mended_from_the_panel(
    windows: Windows, sandbox: Sandbox, world: World, slack: AsyncWebClient
) -> None:
    """What is not good is marked and counted, in other windows too; one button makes all of it good again."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="world")
    other = await windows.open(SUPPORT, "C0SUPPORT", panel="world")
    await expect(panel(page).get_by_text("All is well.")).to_be_visible()
    await expect(panel(page).get_by_role("button", name="All good again")).to_be_disabled()
    await option(page, "Slack", "dropping connections").click()
    await option(page, "Rate tiers", "on").click()
    await option(page, "Clerk's API", "refuses the token").click()
    await option(page, "Clerk's status page", "RSS only").click()
    for window in (page, other):
        await expect(panel(window).get_by_text("2 switches are not good.")).to_be_visible()  # a limit or a feed is no trouble
        await expect(panel(window).get_by_role("heading", name=re.compile("^Slack"))).to_contain_text("1 not good")
        await expect(option(window, "Clerk's API", "refuses the token")).to_have_class(re.compile("broken"))
        for title, words in (("Rate tiers", "on"), ("Clerk's status page", "RSS only")):
            await expect(option(window, title, words)).to_have_attribute("aria-pressed", "true")
    assert (sandbox.faults.manner, sandbox.rate_limits, world.clerk.api.value) == ("dropping_connections", True, "unauthorized")
    patient = AsyncWebClient(slack.token, base_url=sandbox.slack_api_url, retry_handlers=[])
    with pytest.raises(aiohttp.ClientError):
        await patient.chat_postMessage(channel="C0SUPPORT", text="lost")

    await panel(other).get_by_role("button", name="All good again").click()
    await expect(panel(page).get_by_text("All is well.")).to_be_visible()
    assert (sandbox.faults.manner, sandbox.rate_limits, world.clerk.api.value) == ("ok", False, "ok")
    assert all(switch["value"] == switch["options"][0] for switch in world.switches().values())
    await patient.chat_postMessage(channel="C0SUPPORT", text="arrived")
    await expect(row(page, "arrived")).to_be_visible()
    await expect(row(page, "lost")).to_have_count(0)


async def test_each_provider_can_refuse_its_token(windows: Windows, sandbox: Sandbox, world: World) -> None:
    """Clerk, Vercel, PagerDuty, the telephone and the mail, each by its own word."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="world")
    refused = {
        "Clerk's API": ("refuses the token", world.clerk.api, "unauthorized"),
        "Vercel's API": ("refuses the token", world.vercel.api, "unauthorized"),
        "PagerDuty": ("refuses the key", world.pagerduty.state, "key_revoked"),
        "Telephone": ("refuses the token", world.twilio.state, "token_revoked"),
        "Mail": ("password changed", world.smtp.state, "password_changed"),
    }
    for title, (words, switch, value) in refused.items():
        await option(page, title, words).click()
        await expect(option(page, title, words)).to_have_attribute("aria-pressed", "true")
        # the page shows it before the sandbox has heard of it
        await sandbox.wait_for(lambda switch=switch, value=value: switch.value == value, what=title)
    await expect(panel(page).get_by_text("5 switches are not good.")).to_be_visible()
    groups = await panel(page).locator(".switches h4").all_text_contents()
    assert [re.sub(r" ?\d not good", "", group) for group in groups] == [
        "Slack", "Clerk", "Vercel", "The application", "Reaching people",
    ]  # fmt: skip


# The ledger


def lines(page: Page) -> Any:
    """The lines of the ledger, newest first."""
    return panel(page).get_by_role("region", name="Ledger").locator(".call")


async def test_the_ledger_is_live_filtered_and_tells_everything_as_text(
    windows: Windows, sandbox: Sandbox, slack: AsyncWebClient
) -> None:
    """A line comes without a reload, with provider, action, status, time taken and key; markup in it stays text."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="world")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/sandbox/ledger" in request.url else None)
    await slack.chat_postMessage(channel="C0SUPPORT", text="hi", metadata={"event_type": "m", "event_payload": {"key": "k-1"}})
    await expect(lines(page).filter(has_text="chat.postMessage")).to_contain_text(re.compile(r"Slack.*200.*ms.*k-1", re.DOTALL))
    await expect(lines(page)).to_have_count(2)  # the bot hears of its own message
    await trigger(sandbox, SCRIPT, "inc-7/g1/level-1/on-call")
    pager = lines(page).first
    await expect(pager).to_contain_text(re.compile(r"PagerDuty.*202.*trigger.*inc-7/g1/level-1/on-call", re.DOTALL))
    await pager.get_by_role("button").click()
    details = pager.locator("pre")
    await expect(details).to_contain_text(json.dumps(SCRIPT))
    await expect(details).not_to_contain_text(ROUTING_KEY)
    assert await page.evaluate("window.ran") is None

    async with aiohttp.ClientSession() as session:
        await session.get(f"{sandbox.url}/clerk/v1/sessions?user_id=user_2demo")
    await expect(lines(page).filter(has_text="/v1/sessions")).to_have_class(re.compile("call-failed"))
    parts = panel(page).get_by_role("navigation", name="Parts of the panel")
    await expect(parts.get_by_role("button", name=re.compile("^Ledger"))).to_contain_text("1 failed")
    chips = panel(page).get_by_role("group", name="Whose lines")
    await chips.get_by_role("button", name=re.compile("^PagerDuty")).click()
    await expect(lines(page)).to_have_count(1)
    await expect(lines(page)).to_contain_text("inc-7/g1")
    await slack.chat_postMessage(channel="C0SUPPORT", text="not of PagerDuty")
    await expect(chips.get_by_role("button", name=re.compile("^Slack"))).to_contain_text("2")
    await expect(chips.get_by_role("button", name=re.compile("Muster"))).to_contain_text("2")  # nothing more is on its way
    await expect(lines(page)).to_have_count(1)
    await chips.get_by_role("button", name="All").click()
    await panel(page).get_by_label("Only what failed").check()
    await expect(panel(page).get_by_text("Only what failed (1)")).to_be_visible()
    await expect(lines(page)).to_have_count(1)
    await expect(lines(page)).to_contain_text("401")
    quiet = len(asked)
    await asyncio.sleep(0.4)
    assert len(asked) == quiet  # it is told, it does not ask again and again


async def test_a_long_ledger_is_paged_and_the_document_stays_small(
    windows: Windows, sandbox: Sandbox, slack: AsyncWebClient
) -> None:
    """At most 200 lines; whoever reads further down is not pushed away by new ones, and finds the way back."""
    for number in range(260):
        call = sandbox._ledger.begin(f"x.{number}", {})
        sandbox._ledger.end(call, status=200)
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="world")
    ledger = panel(page).get_by_role("region", name="Ledger")
    await expect(lines(page)).to_have_count(50)
    await expect(lines(page).first).to_contain_text("x.259")
    for count, last in ((100, 160), (150, 110), (200, 60), (200, 10), (200, 0)):
        await ledger.get_by_role("button", name="Earlier lines").click()
        await expect(lines(page).last).to_contain_text(re.compile(rf"x\.{last}\b"))  # a question would overtake the one before
        await expect(lines(page)).to_have_count(count)
    await expect(ledger.get_by_role("button", name="Earlier lines")).to_have_count(0)
    await slack.api_test()
    await expect(ledger.get_by_role("button", name=re.compile("^Slack"))).to_contain_text("261")
    await expect(ledger.get_by_text("api.test")).to_have_count(0)
    await ledger.get_by_role("button", name="Back to the newest").click()
    await expect(lines(page).first).to_contain_text("api.test")
    await expect(lines(page)).to_have_count(50)


async def test_the_ledger_misses_nothing_over_a_lost_connection(
    windows: Windows, sandbox: Sandbox, slack: AsyncWebClient
) -> None:
    """What was called while the page was cut off is there when it is back."""
    relay = Relay(sandbox.url)
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="world", url=await relay.mend())
    await slack.auth_test()
    await expect(lines(page).filter(has_text="auth.test")).to_have_count(1)
    await relay.cut()
    await expect(page.get_by_text("Reconnecting…")).to_be_visible()
    await slack.users_list()
    await relay.mend()
    await expect(lines(page).filter(has_text="users.list")).to_have_count(1)
    await expect(lines(page).filter(has_text="auth.test")).to_have_count(1)
    windows.forgive_the_cut()
    await page.close()
    await relay.close()


# A ringing phone


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
async def test_a_ringing_phone_lies_over_nothing(windows: Windows, sandbox: Sandbox, size: dict[str, int]) -> None:
    """Its line has a place of its own: every button of the guide, of the head and of an open panel can be pressed."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", size=size)
    await ring(sandbox)
    show = page.get_by_role("button", name="Show the phones")
    await show.wait_for()
    covered = """[...document.querySelectorAll(
        '.ringing button, .guide button, .channel-head button, .composer button, .pane button')]
      .filter(e => e.checkVisibility() && !e.disabled).filter(e => { const box = e.getBoundingClientRect();
        const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
        return y > 0 && y < innerHeight && document.elementFromPoint(x, y)?.closest('button') !== e; })
      .map(e => e.ariaLabel || e.textContent)"""
    assert await page.evaluate(covered) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    await page.get_by_role("button", name="World", exact=True).click()
    close = page.get_by_role("button", name="Close the world panel")
    await close.click()
    if size is NARROW:
        await page.get_by_role("button", name="Channels", exact=True).click()
        await page.get_by_role("button", name="Be Support agent").click()
        await page.locator(".veil").click(position={"x": 370, "y": 400})
    await show.click()
    await expect(page.get_by_role("complementary", name="Phones")).to_be_visible()
    await expect(show).to_have_count(0)


# The guide


@pytest_asyncio.fixture(loop_scope="module")
async def muster(redis_url: str) -> AsyncIterator[Stage]:
    """The real bot in a workspace of its own."""
    async with staged(f"{redis_url}?db=1") as stage:
        await stage.start()
        yield stage
        await stage.sandbox.courier.stop()
        await stage.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def at_muster(chromium: Browser, muster: Stage) -> AsyncIterator[Windows]:
    """Windows on the workspace of the real bot. Afterwards: no console error in any of them."""
    made = Windows(chromium, muster.sandbox.url)
    yield made
    for context in made.contexts:
        await context.close()
    assert made.faults == []


def guide(page: Page) -> Any:
    """The guide above the messages."""
    return page.get_by_role("region", name="Your first incident")


def step(page: Page) -> Any:
    """The step that is on."""
    return guide(page).locator("[aria-current=step]")


async def not_covered(page: Page) -> None:
    """The guide is in the flow of the page: no message control and no composer lies under it."""
    overlaps = """[...document.querySelectorAll('.list-wrap, .composer, .channel-head')].filter(e => {
      const one = e.getBoundingClientRect(), two = document.querySelector('.guide').getBoundingClientRect();
      return one.top < two.bottom - 1 && two.top < one.bottom - 1 && one.left < two.right && two.left < one.right; }).length"""
    assert await page.evaluate(overlaps) == 0
    assert await page.evaluate("document.querySelector('.guide').scrollWidth <= document.querySelector('.guide').clientWidth")
    assert await page.evaluate(BEYOND) == 0
    assert await page.evaluate(UNNAMED) == 0


SHOWN = """part => {
  const list = part.closest(".list"), box = list.getBoundingClientRect(), own = part.getBoundingClientRect();
  const off = (own.top + own.bottom - box.top - box.bottom) / 2;
  return Math.abs(off) < 20 || (off > 0 ? list.scrollHeight - list.clientHeight - list.scrollTop : list.scrollTop) < 2;
}"""
"""It is in the middle of the list, or as near to it as the list can be scrolled."""


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (NARROW, "dark")], ids=["1280", "390"])
async def test_the_guide_goes_with_somebody_from_the_first_words_to_resolved(
    at_muster: Windows, muster: Stage, size: dict[str, int], scheme: str
) -> None:
    """Each step is over when it really happened, by what the page's own controls did; and it survives a reload."""
    page = await at_muster.open(DEVELOPER, "C0GENERAL", size=size, scheme=scheme)
    said = guide(page).get_by_role("status")
    await expect(said).to_contain_text("Step 1 of 3: Say what is broken.")
    await not_covered(page)
    await guide(page).get_by_role("button", name="Go to #support").click()
    await expect(step(page)).to_contain_text("Say what is broken")
    await write(page, "auth not working")

    await expect(said).to_contain_text("Step 2 of 3: Read the diagnosis.")
    await not_covered(page)
    await row(page, "auth not working").get_by_role("button", name="1 reply").click()
    await page.locator(".thread-pane").get_by_role("button", name=re.compile("inc-")).first.click()
    await expect(guide(page).get_by_role("listitem").filter(has_text="Follow the link")).to_contain_text("(done)")
    await expect(step(page)).to_contain_text("Read the diagnosis")
    await page.reload()
    await expect(guide(page).get_by_role("listitem").filter(has_text="Follow the link")).to_contain_text("(done)")
    await guide(page).get_by_role("button", name="Show the diagnosis").click()
    await expect(page.locator("article strong", has_text="Diagnosis")).to_be_in_viewport()

    await expect(said).to_contain_text("Step 3 of 3: Take it to the end. Press Acknowledge")
    await guide(page).get_by_role("button", name="Show the card").click()
    card = row(page, "Checklist")
    # the list moves a moment later: a press on what moves away under it is none
    await page.wait_for_function(SHOWN, arg=await card.locator(".actions").first.element_handle())
    await card.get_by_role("button", name="Acknowledge").click()
    await expect(said).to_contain_text("Press Done")
    await card.get_by_role("button", name="Done").first.click()
    await expect(said).to_contain_text("Press Resolve")
    await not_covered(page)
    await card.get_by_role("button", name="Resolve", exact=True).click()
    await expect(said).to_contain_text("That was your first incident")
    await expect(guide(page).locator(".guide-steps .done")).to_have_count(3)
    incident = await muster.muster.desk.get("inc-1")
    assert (incident.acknowledged is not None, incident.is_over) == (True, True)
    await guide(page).get_by_role("button", name="Close", exact=True).click()
    await page.reload()
    await row(page, "Checklist").wait_for()
    await expect(guide(page)).to_have_count(0)


async def test_what_somebody_else_does_counts_too(at_muster: Windows, muster: Stage) -> None:
    """The room that another window opened, and the acknowledgement of another person, are seen by the guide."""
    page = await at_muster.open(DEVELOPER, "C0SUPPORT")
    await page.wait_for_function("localStorage.getItem('muster-sandbox-guide') !== null")  # it knows which rooms are new
    await muster.workspace.command("support-agent", "support", "/incident clerk down")
    await expect(step(page)).to_contain_text("Read the diagnosis")
    await guide(page).get_by_role("button", name="Open the room").click()
    await guide(page).get_by_role("button", name="Skip this step").click()
    room = await muster.room()
    await muster.click("oncall", room.name, muster.card(room.name), "acknowledge")
    await expect(guide(page).get_by_role("listitem").filter(has_text="Acknowledge")).to_contain_text("(done)")
    await expect(guide(page).locator(".guide-checks .done")).to_have_count(1)


async def test_the_guide_is_skipped_closed_and_started_again(windows: Windows, slack: AsyncWebClient) -> None:
    """Nothing that has not happened is taken for done; closed it stays closed in this browser, until World starts it."""
    await slack.conversations_create(name="inc-1-an-old-one")
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await expect(step(page)).to_contain_text("Say what is broken")
    await write(page, "nothing that opens a room")
    await slack.chat_postMessage(channel="C0SUPPORT", text="no room", blocks=[actions(button("acknowledge"))])
    await expect(row(page, "nothing that opens a room")).to_be_visible()
    await expect(step(page)).to_contain_text("Say what is broken")  # the old room is not the one that was asked for
    for title in ("Read the diagnosis", "Take it to the end"):
        await guide(page).get_by_role("button", name="Skip this step").click()
        await expect(step(page)).to_contain_text(title)
    await guide(page).get_by_role("button", name="Close the guide").click()
    await expect(guide(page)).to_have_count(0)
    tab = await windows.open(DEVELOPER, "C0SUPPORT", panel="world", beside=page)
    await expect(guide(tab)).to_have_count(0)
    await panel(tab).get_by_role("button", name="Start the guide").click()
    await expect(step(tab)).to_contain_text("Say what is broken")
    await expect(guide(tab).locator(".done")).to_have_count(0)


async def test_the_panel_and_the_guide_are_reached_by_keyboard(windows: Windows) -> None:
    """Tab reaches them, Enter turns a switch and goes on."""
    page = await windows.open(DEVELOPER, "C0GENERAL", panel="world")
    await expect(guide(page)).to_be_visible()
    await expect(option(page, "Clerk", "down")).to_be_visible()
    reached: set[str] = set()
    for _ in range(130):
        await page.keyboard.press("Tab")
        reached.add(await page.evaluate("(document.activeElement.ariaLabel || document.activeElement.textContent).trim()"))
    assert {
        "Go to #support",
        "Skip this step",
        "Close the guide",
        "Time",
        "down",
        "dropping connections",
        "Start the guide",
    } <= reached
    await option(page, "Clerk", "down").focus()
    await page.keyboard.press("Enter")
    await expect(panel(page).get_by_text("1 switch is not good.")).to_be_visible()
    await guide(page).get_by_role("button", name="Go to #support").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="support", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
async def test_the_panel_fits_whatever_stands_in_it(
    windows: Windows, sandbox: Sandbox, size: dict[str, int], scheme: str
) -> None:
    """Long keys, long errors and open details do not widen it, and every control has a name."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", size=size, scheme=scheme, panel="world")
    await trigger(sandbox, "x" * 300, "k" * 255)
    async with aiohttp.ClientSession() as session:
        await session.get(f"{sandbox.url}/clerk/v1/{'y' * 300}")
    await lines(page).nth(1).get_by_role("button").click()
    await expect(lines(page).nth(1).locator("pre")).to_contain_text("k" * 255)
    await option(page, "Mail", "hangs after accepting").click()
    beyond = "[...document.querySelectorAll('.world *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
    assert await page.evaluate(beyond) == 0
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate(
        "document.querySelector('.world-body').scrollWidth <= document.querySelector('.world-body').clientWidth"
    )
    assert await page.evaluate(UNNAMED) == 0
