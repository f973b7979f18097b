"""Nothing on the page is cut off and everything is reached by the keyboard, at 1280 and 390 px, in light and dark."""

from __future__ import annotations

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.seed import DEVELOPER
from tests.sandbox.browsing import (  # noqa: F401 - fixtures among them
    NARROW,
    ONE_LOOP,
    WIDE,
    Windows,
    one_chromium,
    page_bot,
    page_sandbox,
    page_slack,
    page_windows,
    page_world,
)
from tests.sandbox.tiny_bot import actions, button, section, text

pytestmark = [ONE_LOOP, pytest.mark.slow]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
async def test_nothing_is_cut_off_and_everything_has_a_name(
    windows: Windows, slack: AsyncWebClient, size: dict[str, int], scheme: str
) -> None:
    """No sideways scrolling, every control named, and the Tab key reaches the buttons of a message and the composer."""
    long_word = "x" * 200
    elements = [button(f"b{number}", text=text(f"Button number {number}")) for number in range(6)]
    blocks = [section(long_word, accessory=button("side")), actions(*elements), section("f", fields=[text(long_word)] * 4)]
    await slack.conversations_setTopic(channel="C0SUPPORT", topic="t" * 250)
    await slack.chat_postMessage(channel="C0SUPPORT", text="card", blocks=blocks)
    page = await windows.open(DEVELOPER, "C0SUPPORT", size=size, scheme=scheme)
    await page.get_by_role("button", name="Button number 5").wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    beyond = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
    assert await page.evaluate(beyond) == 0
    unnamed = (
        "[...document.querySelectorAll('button, a, input, textarea')].filter(e => !(e.textContent.trim() || e.ariaLabel)).length"
    )
    assert await page.evaluate(unnamed) == 0
    reached = set()
    for _ in range(60):
        await page.keyboard.press("Tab")
        reached.add(await page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent"))
    assert {"Button number 0", "Button number 5", "Reply in thread", "Message #support"} <= reached
