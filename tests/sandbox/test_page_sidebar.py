"""The left side of the page, in a real browser: what is unread, who one is, Home, direct messages, what is private."""

from __future__ import annotations

import asyncio
import importlib.util
import re

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.models import BOT_USER_ID
from bot.sandbox.seed import DEVELOPER, ONCALL, SUPPORT
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
    write,
)
from tests.sandbox.tiny_bot import TinyBot, actions, button, section, select

if importlib.util.find_spec("playwright"):
    from playwright.async_api import Route, expect

pytestmark = [ONE_LOOP, pytest.mark.slow]


async def test_what_is_unread_is_counted_for_each_person_and_survives_a_reload(
    windows: Windows, sandbox: Sandbox, slack: AsyncWebClient
) -> None:
    """Own words, Slack's own lines and replies do not count; more than 99 are 99+; reading is remembered per person."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")  # before there is the room: what it counts it has not also loaded
    room = (await slack.conversations_create(name="inc-7-busy"))["channel"]["id"]
    await slack.conversations_invite(channel=room, users=f"{DEVELOPER},{SUPPORT}")
    busy = page.get_by_role("navigation").get_by_role("button", name="inc-7-busy")
    for number in range(3):
        await slack.chat_postMessage(channel=room, text=f"words {number}")
    first = await sandbox.workspace.say(SUPPORT, room, "and mine")
    await slack.chat_postMessage(channel=room, text="in the thread", thread_ts=first.ts)
    await expect(busy).to_have_accessible_name("channel inc-7-busy 4 unread")
    await expect(page).to_have_title("(4) #support · Muster sandbox")
    await page.reload()
    await expect(busy).to_have_accessible_name("channel inc-7-busy 4 unread")

    await busy.click()
    await expect(page.get_by_role("separator").filter(has_text="New")).to_have_count(0)  # nothing had been read here before
    await expect(row(page, "and mine")).to_be_visible()
    await page.get_by_role("navigation").get_by_role("button", name="channel support").click()
    await page.reload()
    await expect(busy).to_have_accessible_name("channel inc-7-busy")
    await page.get_by_role("button", name="Be Support agent").click()
    await expect(busy).to_have_accessible_name("channel inc-7-busy 3 unread")

    for number in range(150):
        sandbox.state.post_as_bot(room, f"more {number}")
    await page.get_by_role("button", name="Be Developer").click()
    await expect(busy).to_have_accessible_name("channel inc-7-busy 99+ unread")
    await page.reload()
    await expect(busy).to_have_accessible_name("channel inc-7-busy 99+ unread")
    await busy.click()
    await expect(page.get_by_role("separator").filter(has_text="New")).to_have_count(0)  # it is further up than what is loaded
    await expect(row(page, "more 149")).to_be_in_viewport()


async def test_what_was_loaded_already_is_not_counted_again_when_the_stream_tells_it(
    windows: Windows, sandbox: Sandbox, slack: AsyncWebClient
) -> None:
    """A message that came between the page's question for the state and the one for the messages comes in both ways."""
    room = (await slack.conversations_create(name="inc-8-late"))["channel"]["id"]
    await slack.conversations_invite(channel=room, users=DEVELOPER)
    await slack.chat_postMessage(channel=room, text="one")
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    loaded = asyncio.Event()

    async def load(route: Route) -> None:
        await slack.chat_postMessage(channel=room, text="two")
        await route.fulfill(response=await route.fetch())
        loaded.set()

    async def stream(route: Route) -> None:
        await loaded.wait()
        await route.continue_()

    await page.route(re.compile(f"/sandbox/messages.*{room}"), load, times=1)
    await page.route("**/sandbox/stream*", stream)
    await page.reload()
    await loaded.wait()
    await sandbox.workspace.say(SUPPORT, "support", "the stream goes")
    await expect(row(page, "the stream goes")).to_be_visible()
    late = page.get_by_role("navigation").get_by_role("button", name="inc-8-late")
    await expect(late).to_have_accessible_name("channel inc-8-late 2 unread")


async def test_a_line_stands_before_what_is_new(windows: Windows, sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """Somebody who was here before sees where they had stopped."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await slack.chat_postMessage(channel="C0SUPPORT", text="read")
    await expect(row(page, "read")).to_be_visible()
    await page.get_by_role("navigation").get_by_role("button", name="general").click()
    await sandbox.workspace.say(SUPPORT, "support", "missed")
    await page.get_by_role("button", name="channel support 1 unread").click()
    line = page.get_by_role("separator").filter(has_text="New")
    await expect(line).to_have_count(1)
    assert await line.evaluate("line => line.nextElementSibling.textContent.includes('missed')")


async def test_two_tabs_of_one_person_agree(windows: Windows, slack: AsyncWebClient) -> None:
    """What one tab has read is not unread in the other; what one writes both see; a form is sent from either."""
    first = await windows.open(DEVELOPER, "C0SUPPORT")
    second = await windows.open(DEVELOPER, "C0GENERAL", beside=first)
    await slack.chat_postMessage(channel="C0GENERAL", text="to everybody")
    await expect(row(second, "to everybody")).to_be_visible()
    general = first.get_by_role("navigation").get_by_role("button", name="general")
    await second.bring_to_front()
    await expect(general).to_have_accessible_name("channel general")
    await write(second, "from the second tab")
    await general.click()
    await expect(row(first, "from the second tab")).to_have_count(1)
    await expect(row(second, "from the second tab")).to_have_count(1)


async def test_marks_of_a_time_that_was_moved_on_do_not_hide_what_comes_later(
    windows: Windows, sandbox: Sandbox, slack: AsyncWebClient
) -> None:
    """A read mark after the workspace's now (the demo was started again) is dropped."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await page.evaluate("user => localStorage.setItem(`muster-sandbox read ${user} C0GENERAL`, '99999999999.000000')", DEVELOPER)
    await sandbox.workspace.say(SUPPORT, "general", "not seen yet")
    await page.reload()
    await expect(page.get_by_role("button", name=re.compile(r"channel general \d+ unread"))).to_be_visible()


async def test_private_channels_have_a_lock_and_direct_messages_a_face(windows: Windows, slack: AsyncWebClient) -> None:
    """The icon, and the words that are read aloud; a talk of three is named after the others."""
    room = (await slack.conversations_create(name="inc-9-quiet", is_private=True))["channel"]["id"]
    await slack.conversations_invite(channel=room, users=DEVELOPER)
    await slack.conversations_open(users=f"{DEVELOPER},{ONCALL}")
    page = await windows.open(DEVELOPER, room)
    side = page.get_by_role("navigation")
    await expect(side.get_by_role("button", name="private channel inc-9-quiet")).to_have_attribute("aria-current", "page")
    await expect(page.get_by_role("heading", name="inc-9-quiet")).to_be_visible()
    talks = side.locator("details", has_text="Direct messages")
    await expect(talks.get_by_role("button", name="Muster APP")).to_be_visible()
    talk = re.compile("^(Muster, On-call engineer|On-call engineer, Muster)$")
    await talks.get_by_role("button", name=talk).click()
    await expect(page.get_by_role("heading", name=talk)).to_be_visible()


async def test_home_shows_what_the_app_has_put_there(
    windows: Windows, sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot
) -> None:
    """Nothing at first, and it says so; what is published appears at once and survives a reload; its buttons and selects act."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await page.get_by_role("navigation").get_by_role("button", name="Home").click()
    home = page.get_by_role("region", name="Home")
    await expect(home).to_contain_text("has put nothing here for you")
    blocks = [section("*Yours:* one incident"), actions(button("mine"), select("a", "b"), block_id="acts")]
    await slack.views_publish(user_id=DEVELOPER, view={"type": "home", "blocks": blocks})
    await expect(home.get_by_text("Yours: one incident")).to_be_visible()
    await page.reload()
    await home.get_by_role("button", name="Go", exact=True).click()
    await sandbox.wait_for(lambda: bot.interactions("block_actions"))
    await home.get_by_role("button", name="Choose:").click()
    await page.get_by_role("option", name="b").click()
    pressed, chosen = await sandbox.wait_for(
        lambda: len(bot.interactions("block_actions")) == 2 and bot.interactions("block_actions")
    )
    assert (pressed["view"]["type"], pressed["actions"][0]["action_id"]) == ("home", "mine")
    assert chosen["actions"][0]["selected_option"]["value"] == "b"
    await slack.views_publish(user_id=ONCALL, view={"type": "home", "blocks": [section("not yours")]})
    await slack.views_publish(user_id=DEVELOPER, view={"type": "home", "blocks": [section("none open")]})
    await expect(home.get_by_text("none open")).to_be_visible()
    await expect(home.get_by_text("not yours")).to_have_count(0)
    await page.get_by_role("navigation").get_by_role("button", name="general").click()
    await expect(page.get_by_role("textbox", name="Message #general")).to_be_visible()


async def test_who_somebody_is_can_be_looked_up(windows: Windows, sandbox: Sandbox) -> None:
    """A mention of somebody with whom there is no talk shows who they are; one of the app opens the talk with it."""
    sandbox.workspace.im(DEVELOPER)
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "ask @oncall or @muster")
    await page.get_by_role("button", name="@On-call engineer").click()
    await expect(page.get_by_role("dialog", name="On-call engineer")).to_contain_text("@oncall")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name=f"@{sandbox.state.users[BOT_USER_ID].real_name}").click()
    await expect(page.get_by_role("textbox", name="Message Muster")).to_be_visible()
