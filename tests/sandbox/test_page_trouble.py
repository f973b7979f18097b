"""What goes wrong around the page, in a real browser: lost connections, two tabs, thousands of messages, hostile text."""

from __future__ import annotations

import importlib.util

from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.seed import DEVELOPER, SUPPORT
from bot.sandbox.server import Sandbox
from tests.sandbox.browsing import (  # noqa: F401 - fixtures among them
    ONE_LOOP,
    SCRIPT,
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
from tests.sandbox.tiny_bot import actions, button, section, text

if importlib.util.find_spec("playwright"):
    from playwright.async_api import expect

pytestmark = [ONE_LOOP]


async def test_markup_in_a_message_is_shown_and_never_run(windows: Windows, slack: AsyncWebClient) -> None:
    """HTML stays text wherever it comes from: a person, the bot's text, blocks, a topic, a title of a bookmark."""
    await slack.conversations_setTopic(channel="C0SUPPORT", topic=SCRIPT)
    await slack.bookmarks_add(channel_id="C0SUPPORT", title=SCRIPT, type="link", link="https://example.com/")
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, SCRIPT)
    await slack.chat_postMessage(channel="C0SUPPORT", text=f"from the bot {SCRIPT} <javascript:window.ran=1|press>")
    markup = text(SCRIPT)
    blocks = [
        {"type": "header", "text": markup},
        section(SCRIPT, fields=[markup]),
        actions({**button(), "text": text("<b>x</b>")}),
    ]
    await slack.chat_postMessage(channel="C0SUPPORT", text="blocks", blocks=blocks)
    await expect(page.get_by_role("button", name="<b>x</b>")).to_be_visible()
    await expect(page.get_by_role("heading", name=SCRIPT)).to_be_visible()
    await page.get_by_text("press").click()
    await expect(page.locator("article img, article script, article b")).to_have_count(0)
    assert await page.evaluate("window.ran") is None


async def test_a_lost_connection_is_said_and_nothing_is_missed(windows: Windows, sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """While the wire is cut there is a banner; what was posted, edited and opened meanwhile is there once it is mended."""
    relay = Relay(sandbox.url)
    page = await windows.open(DEVELOPER, "C0SUPPORT", url=await relay.mend())
    before = await slack.chat_postMessage(channel="C0SUPPORT", text="before")
    await expect(row(page, "before")).to_be_visible()
    await relay.cut()
    await expect(page.get_by_text("Reconnecting…")).to_be_visible()
    await slack.chat_update(channel="C0SUPPORT", ts=before["ts"], text="changed meanwhile")
    await slack.chat_postMessage(channel="C0SUPPORT", text="said meanwhile")
    await slack.conversations_create(name="inc-4-meanwhile")
    await relay.mend()
    await expect(row(page, "said meanwhile")).to_be_visible()
    await expect(row(page, "changed meanwhile")).to_be_visible()
    await expect(page.get_by_text("inc-4-meanwhile")).to_be_visible()
    await expect(page.get_by_text("Reconnecting…")).to_have_count(0)
    await slack.chat_postMessage(channel="C0SUPPORT", text="said afterwards")
    await expect(row(page, "said afterwards")).to_be_visible()
    windows.faults[:] = [fault for fault in windows.faults if "net::ERR_" not in fault]  # the browser's own words for the cut
    await page.close()
    await relay.cut()


async def test_older_messages_come_in_pages_and_the_place_is_kept(windows: Windows, sandbox: Sandbox) -> None:
    """Of 120 messages the last 50 are drawn; asking for older ones keeps what was in sight in sight."""
    for number in range(120):
        sandbox.state.post_as_user("C0SUPPORT", SUPPORT, f"line {number}")
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await expect(page.get_by_text("line 119", exact=True)).to_be_in_viewport()
    await expect(page.locator("article")).to_have_count(50)
    await page.get_by_role("button", name="Show older messages").click()
    await expect(page.locator("article")).to_have_count(100)
    await expect(page.get_by_text("line 70", exact=True)).to_be_in_viewport()
    await page.get_by_role("button", name="Show older messages").click()
    await expect(page.get_by_text("line 0", exact=True)).to_be_attached()
    await expect(page.get_by_role("button", name="Show older messages")).to_have_count(0)
