"""The page in a real browser against the real sandbox: messages, commands, threads and rooms, seen, pressed and typed.

The bot is the tiny one: what Muster itself shows is the business of the scenarios and of ``test_story``.
"""

from __future__ import annotations

import importlib.util

from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.seed import DEVELOPER, GUEST, ONCALL, SUPPORT
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
from tests.sandbox.tiny_bot import TinyBot, actions, button, section

if importlib.util.find_spec("playwright"):
    from playwright.async_api import expect

pytestmark = [ONE_LOOP]


async def test_two_people_see_what_the_other_writes(windows: Windows, sandbox: Sandbox, bot: TinyBot) -> None:
    """A message appears in both windows without a reload, and the bot hears it escaped as Slack does."""
    developer = await windows.open(DEVELOPER, "C0SUPPORT")
    support = await windows.open(SUPPORT, "C0SUPPORT")
    await write(developer, "login is *broken* & <slow>")
    await expect(row(support, "login is broken & <slow>")).to_contain_text("Developer")
    await expect(support.locator("article strong")).to_have_text("broken")
    await sandbox.settled()
    await write(support, "seen, @developer")
    await expect(developer.locator("article .mention-me")).to_have_text("@Developer")
    await sandbox.settled()
    assert [event["text"] for event in bot.events("message")] == [
        "login is *broken* &amp; &lt;slow&gt;",
        f"seen, <@{DEVELOPER}>",
    ]


async def test_a_command_is_completed_answered_with_blocks_and_its_button_clicked(windows: Windows, bot: TinyBot) -> None:
    """ "/inc" and Tab make the command; the answer's button reaches the bot; a refusal shows beside the button."""
    bot.replies_with(
        {"response_type": "in_channel", "text": "a card", "blocks": [section("*Broken:* clerk"), actions(button("ack"))]}
    )
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    box = page.get_by_role("textbox", name="Message #support")
    await box.press_sequentially("/inc")
    await expect(page.get_by_role("option")).to_contain_text("/incident [words]")
    await box.press("Tab")
    await box.press_sequentially("clerk down")
    await box.press("Enter")
    card = row(page, "Broken: clerk")
    await expect(card).to_contain_text("APP")
    bot.replies_with(status=500)
    await card.get_by_role("button", name="Go").click()
    await expect(card.get_by_role("alert")).to_have_text("This app responded with Status Code 500.")
    bot.replies_with(text="")
    await card.get_by_role("button", name="Go").click()
    await expect(card.get_by_role("alert")).to_have_count(0)
    assert bot.received[0].payload["text"] == "clerk down"
    assert [click["actions"][0]["action_id"] for click in bot.interactions("block_actions")] == ["ack", "ack"]


async def test_a_command_that_fails_says_so_as_slack_does(windows: Windows, bot: TinyBot) -> None:
    """Slackbot's line, visible to that person only, for a bot that fails and for a command that nobody has."""
    bot.replies_with(status=500)
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "/incident x")
    await expect(row(page, 'failed with the error "dispatch_failed"')).to_contain_text("Only visible to you")
    await write(page, "/nothing")
    await expect(row(page, "/nothing is not a valid command")).to_be_visible()
    assert len(bot.received) == 1


async def test_a_thread_counts_its_replies_and_takes_new_ones(windows: Windows, slack: AsyncWebClient) -> None:
    """The bot's reply raises the count; the pane shows it; a person's answer goes into the thread, not the channel."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "what is this")
    message = row(page, "what is this")
    ts = await message.get_attribute("data-ts")
    await slack.chat_postMessage(channel="C0SUPPORT", thread_ts=ts, text="an incident")
    await page.get_by_role("button", name="1 reply").click()
    thread = page.get_by_role("complementary", name="Thread")
    await expect(thread.locator("article")).to_have_count(2)
    await thread.get_by_label("Reply…").fill("thank you")
    await thread.get_by_label("Reply…").press("Enter")
    await expect(thread.locator("article", has_text="thank you")).to_be_visible()
    await expect(page.get_by_role("button", name="2 replies")).to_be_visible()
    await expect(page.get_by_role("main").locator("article")).to_have_count(1)


async def test_shortcuts_are_offered_where_slack_has_them(windows: Windows, sandbox: Sandbox, bot: TinyBot) -> None:
    """A message's menu has the message shortcuts, the composer's bolt the global ones."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "it is broken")
    await row(page, "it is broken").hover()
    await page.get_by_role("button", name="More message actions").click()
    await page.get_by_role("menuitem", name="From this").click()
    taken = (await sandbox.wait_for(lambda: bot.interactions("message_action")))[0]
    assert (taken["callback_id"], taken["message"]["text"]) == ("from_message", "it is broken")
    await page.get_by_role("button", name="Shortcuts").click()
    await page.get_by_role("menuitem", name="Open").click()
    assert (await sandbox.wait_for(lambda: bot.interactions("shortcut")))[0]["callback_id"] == "open"


async def test_ephemeral_words_edits_and_deletions_arrive_as_they_happen(windows: Windows, slack: AsyncWebClient) -> None:
    """Only the one person sees an ephemeral message; an edit is marked; what is deleted goes."""
    developer = await windows.open(DEVELOPER, "C0SUPPORT")
    support = await windows.open(SUPPORT, "C0SUPPORT")
    posted = await slack.chat_postMessage(channel="C0SUPPORT", text="first words")
    await slack.chat_postEphemeral(channel="C0SUPPORT", user=DEVELOPER, text="for you alone")
    await expect(row(developer, "for you alone")).to_contain_text("Only visible to you")
    await slack.chat_update(channel="C0SUPPORT", ts=posted["ts"], text="other words")
    await expect(row(support, "other words")).to_be_visible()
    await expect(support.get_by_text("for you alone")).to_have_count(0)
    await slack.chat_delete(channel="C0SUPPORT", ts=posted["ts"])
    await expect(support.locator("article")).to_have_count(0)


async def test_a_new_room_and_a_page_are_seen_without_a_reload(windows: Windows, slack: AsyncWebClient) -> None:
    """A channel that the bot makes appears with its unread count, its link opens it; switching to another person is one click."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    room = (await slack.conversations_create(name="inc-1-clerk"))["channel"]["id"]
    await slack.conversations_invite(channel=room, users=DEVELOPER)
    await slack.chat_postMessage(channel=room, text="the checklist")
    await slack.chat_postMessage(channel="C0SUPPORT", text=f"Opened <#{room}>")
    await expect(page.get_by_role("navigation").get_by_role("button", name="channel inc-1-clerk 1 unread")).to_be_visible()
    await page.get_by_role("button", name="#inc-1-clerk").click()
    await expect(page.get_by_role("heading", name="inc-1-clerk")).to_be_visible()
    await expect(row(page, "the checklist")).to_be_visible()

    direct = (await slack.conversations_open(users=ONCALL))["channel"]["id"]
    await slack.chat_postMessage(channel=direct, text="You are paged")
    await page.get_by_role("button", name="Be On-call engineer").click()
    await page.get_by_role("button", name="Muster APP 1 unread").click()
    await expect(row(page, "You are paged")).to_be_visible()
    assert f"user={ONCALL}" in page.url


async def test_a_private_room_is_not_there_for_others(windows: Windows, slack: AsyncWebClient) -> None:
    """Who is not in it sees neither the name nor the words, also with its id in the address."""
    room = (await slack.conversations_create(name="inc-2-secret", is_private=True))["channel"]["id"]
    await slack.conversations_invite(channel=room, users=DEVELOPER)
    await slack.chat_postMessage(channel=room, text="quiet words")
    developer = await windows.open(DEVELOPER, room)
    await expect(row(developer, "quiet words")).to_be_visible()
    guest = await windows.open(GUEST, room)
    await expect(guest.get_by_role("heading", name="support")).to_be_visible()
    await expect(guest.get_by_text("inc-2-secret")).to_have_count(0)
    await slack.conversations_kick(channel=room, user=DEVELOPER)
    await expect(developer.get_by_text("inc-2-secret")).to_have_count(0)


async def test_a_channel_is_joined_and_others_are_invited(windows: Windows, sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """A public channel can be read before it is joined; the members' dialog brings others in."""
    room = (await slack.conversations_create(name="inc-3-open"))["channel"]["id"]
    page = await windows.open(DEVELOPER, room)
    await page.get_by_role("button", name="Join channel").click()
    await expect(page.get_by_role("textbox", name="Message #inc-3-open")).to_be_visible()
    await page.get_by_role("button", name="2 members").click()
    await page.get_by_role("button", name="People:").click()
    await page.get_by_role("option", name="CTO Chief").click()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Invite").click()
    await expect(page.get_by_role("button", name="3 members")).to_be_visible()
    assert "U0CTO" in sandbox.workspace.channel(room).members
