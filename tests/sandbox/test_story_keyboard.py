"""An incident without a mouse, and by two people at once, with the bot as in production."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from typing import Any

import pytest

from bot.sandbox.seed import DEVELOPER, ONCALL
from tests.sandbox.browsing import NARROW, ONE_LOOP, WIDE, one_chromium, row  # noqa: F401 - a fixture among them
from tests.sandbox.demo_windows import (  # noqa: F401 - fixtures among them
    DemoWindows,
    card_of,
    demo_sandbox,
    demo_windows,
    open_the_room,
    step_of,
)
from tests.sandbox.looks import WALK

if importlib.util.find_spec("playwright"):
    from playwright.async_api import Page, expect

pytestmark = [ONE_LOOP, pytest.mark.timeout(120), pytest.mark.slow]

MOST_STOPS = 400


async def walked(page: Page) -> tuple[list[str], int]:
    """Tab from the top of the page to its end: (what is wrong, how many stops there were)."""
    await page.evaluate(WALK)
    for _ in range(MOST_STOPS):
        await page.keyboard.press("Tab")
        if await page.evaluate("walk.look()") != "new":
            break
    else:
        raise AssertionError("the Tab key does not come to an end")
    judged = await page.evaluate("walk.judge()")
    return judged["faults"], judged["stops"]


async def focus_is_kept(page: Page) -> None:
    """Whoever works by keyboard is still where they were, not at the top of the page."""
    await expect(page.locator(":focus")).to_have_count(1)


async def escaped(page: Page, opened: Any, control: Any) -> None:
    """Escape closes it and gives the focus back to what opened it."""
    await expect(opened).to_be_visible()
    await expect(opened.locator(":focus")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(opened).to_be_hidden()
    await expect(control).to_be_focused()
    await expect(control).not_to_have_attribute("aria-busy", "true")  # a press while the one before is under way is none


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
async def test_tab_reaches_every_control_and_shows_where_it_is(windows: DemoWindows, size: dict[str, int]) -> None:
    """In a room with the world beside it, or alone where there is room for one: each stop is in sight and has a ring."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="none", size=size)
    await open_the_room(page)
    await page.get_by_role("button", name="✋ Acknowledge").first.click()
    await expect(page.get_by_role("button", name="✋ Acknowledge")).to_have_count(0)
    await expect(page.locator("article", has_text="has it").nth(1)).to_be_visible()  # the card, and the last thing that is said
    if size == WIDE:
        await page.get_by_role("button", name="World").click()
        await expect(page.get_by_role("button", name="+15 min")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("button", name="Diagnose again")).to_be_visible()
    faults, stops = await walked(page)
    assert not faults, "\n".join(faults)
    assert stops > 40


async def test_an_incident_is_led_with_the_keyboard_alone(windows: DemoWindows) -> None:
    """Enter and Space press, arrows choose, Escape closes and gives the focus back, and a press never loses the place."""
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="none")
    await open_the_room(page)
    card = card_of(page)
    dialog = page.get_by_role("dialog")

    await card.get_by_role("button", name="✋ Acknowledge").press("Enter")
    await expect(card).to_contain_text("has it")
    await focus_is_kept(page)
    await step_of(card, "Confirm outage", "Done").press("Space")
    await expect(card).to_contain_text("1 of 6 steps")
    await focus_is_kept(page)

    skip = step_of(card, "Check application logs for errors", "Skip…")
    await skip.press("Enter")
    await escaped(page, dialog, skip)
    await skip.press("Space")
    await expect(dialog.get_by_role("textbox")).to_be_focused()
    await page.keyboard.type("We have none")
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(card).to_contain_text("skipped: We have none")
    await focus_is_kept(page)

    severity = page.get_by_role("button", name=re.compile("^Severity:"))
    choices = page.get_by_role("listbox", name="Severity")
    await severity.press("Enter")
    await escaped(page, choices, severity)
    await severity.press("Space")
    await expect(choices.get_by_role("option", selected=True)).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(card.get_by_role("heading", name="SEV2 · auth not working")).to_be_visible()
    await focus_is_kept(page)

    more = card.get_by_role("button", name="More message actions")
    await more.press("Enter")
    await escaped(page, page.get_by_role("menu", name="More message actions"), more)
    members = page.get_by_role("button", name=re.compile("members$"))
    await members.press("Enter")
    await escaped(page, dialog, members)
    world = page.get_by_role("button", name="World", exact=True)
    await world.press("Space")
    await expect(page.get_by_role("complementary", name="World")).to_be_visible()
    await world.press("Enter")
    await expect(page.get_by_role("complementary", name="World")).to_be_hidden()
    await expect(world).to_be_focused()

    await card.get_by_role("button", name="Resolve", exact=True).press("Enter")
    await expect(card).to_contain_text(re.compile("Status ?🟢 resolved"))
    await focus_is_kept(page)


async def test_two_people_tick_different_steps_at_once(windows: DemoWindows) -> None:
    """Neither tick is lost: both windows show both, and who did which."""
    developer = await windows.open(DEVELOPER, "C0SUPPORT", panel="none")
    room = await open_the_room(developer)
    oncall = await windows.open(ONCALL, room, panel="none")
    cards = [card_of(developer), card_of(oncall)]
    steps = ("Confirm outage", "Check application logs for errors")
    buttons = [step_of(card, step, "Done") for card, step in zip(cards, steps, strict=True)]
    for button in buttons:
        await expect(button).to_be_visible()
    await asyncio.gather(*(button.click() for button in buttons))
    for card in cards:
        await expect(card).to_contain_text("2 of 6 steps")
        await expect(card).to_contain_text(re.compile(r"Confirm outage\s*@Developer at"))
        await expect(card).to_contain_text(re.compile(r"Check application logs for errors\s*@On-call engineer at"))
        await expect(card.get_by_role("button", name=re.compile("^(Undo|Untick)$"))).to_have_count(2)
