"""The composer, in a real browser: what it completes, by which keys, and what it sends."""

from __future__ import annotations

import importlib.util

import pytest

from bot.sandbox.seed import DEVELOPER, ONCALL
from bot.sandbox.server import Sandbox
from tests.sandbox.browsing import (  # noqa: F401 - fixtures among them
    ONE_LOOP,
    Windows,
    one_chromium,
    page_bot,
    page_sandbox,
    page_slack,
    page_windows,
    page_world,
    row,
)
from tests.sandbox.tiny_bot import TinyBot

if importlib.util.find_spec("playwright"):
    from playwright.async_api import expect

pytestmark = [ONE_LOOP, pytest.mark.slow]


async def test_commands_of_the_manifest_are_completed_by_keys(windows: Windows, sandbox: Sandbox, bot: TinyBot) -> None:
    """ "/" offers all of them with their hints; arrows choose, Escape puts the list away, Tab and Enter take what is chosen."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    box = page.get_by_role("textbox", name="Message #support")
    options = page.get_by_role("option")
    await box.press_sequentially("/")
    await expect(options).to_have_text(["/incident [words]Open an incident", "/plainGets its text as it was typed"])
    await expect(options.first).to_have_attribute("aria-selected", "true")
    await box.press("ArrowUp")
    await expect(options.last).to_have_attribute("aria-selected", "true")
    assert await box.get_attribute("aria-activedescendant") == await options.last.get_attribute("id")
    await box.press("Escape")
    await expect(options).to_have_count(0)
    await expect(box).to_have_value("/")
    await box.press_sequentially("p")
    await box.press("Enter")
    await expect(box).to_have_value("/plain ")
    await box.press_sequentially("a & b")
    assert bot.received == []
    await box.press("Enter")
    await expect(box).to_have_value("")
    assert (await sandbox.wait_for(lambda: bot.received))[0].payload["text"] == "a &amp; b"

    await page.get_by_role("button", name="Slash commands").click()
    await expect(box).to_be_focused()
    await box.press("ArrowDown")
    await box.press("Tab")
    await expect(box).to_have_value("/plain ")


async def test_people_channels_and_emoji_are_completed_in_the_middle_of_words(
    windows: Windows, sandbox: Sandbox, bot: TinyBot
) -> None:
    """By handle or by name; what stands after the cursor stays; the bot gets mentions, not names."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    box = page.get_by_role("textbox", name="Message #support")
    await box.press_sequentially("see end")
    for _ in range(3):
        await box.press("ArrowLeft")
    await box.press_sequentially("@engin")
    await expect(page.get_by_role("option")).to_have_count(2)
    await page.get_by_role("option", name="@oncall").click()
    await expect(box).to_be_focused()
    await box.press_sequentially("in #gen")
    await box.press("Tab")
    await box.press_sequentially(":rotating_l")
    await expect(page.get_by_role("option")).to_have_text("🚨 :rotating_light:")
    await box.press("Enter")
    await expect(box).to_have_value("see @oncall in #general :rotating_light: end")
    await box.press("Enter")
    await expect(row(page, "see @On-call engineer in #general 🚨 end")).to_be_visible()
    said = (await sandbox.wait_for(lambda: bot.events("message")))[0]
    assert said["text"] == f"see <@{ONCALL}> in <#C0GENERAL|general> :rotating_light: end"


async def test_lines_are_broken_kept_and_brought_back(windows: Windows, sandbox: Sandbox, bot: TinyBot) -> None:
    """Shift+Enter breaks a line; words not sent wait per channel; the box grows, to a limit; the list follows the cursor."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    box = page.get_by_role("textbox", name="Message #support")
    low = (await box.bounding_box() or {})["height"]
    await box.press_sequentially("one")
    await box.press("Shift+Enter")
    await box.press_sequentially("two")
    assert (await box.bounding_box() or {})["height"] > low
    await page.get_by_role("navigation").get_by_role("button", name="general").click()
    await expect(page.get_by_role("textbox", name="Message #general")).to_have_value("")
    await page.get_by_role("navigation").get_by_role("button", name="channel support").click()
    await expect(box).to_have_value("one\ntwo")
    await box.press("Enter")
    await sandbox.wait_for(lambda: [event["text"] for event in bot.events("message")] == ["one\ntwo"])
    await box.fill("\n".join("many" for _ in range(60)))
    assert (await box.bounding_box() or {})["height"] <= 200
    await box.fill("   ")
    await box.press("Enter")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await box.fill("@o")
    await box.press("ArrowUp")  # to the last of many
    await box.press_sequentially("ncall")
    await box.press("End")
    await box.press("Tab")
    await expect(box).to_have_value("@oncall ")
    assert len(bot.events("message")) == 1
