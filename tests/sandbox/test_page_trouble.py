"""What goes wrong around the page, in a real browser: lost connections, two tabs, thousands of messages, hostile text."""

from __future__ import annotations

import importlib.util
import re

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.ports import HeldPort
from bot.sandbox.seed import DEVELOPER, ONCALL, SUPPORT
from bot.sandbox.server import Sandbox
from tests.sandbox.browsing import (  # noqa: F401 - fixtures among them
    ONE_LOOP,
    Relay,
    Windows,
    one_chromium,
    opens,
    page_bot,
    page_sandbox,
    page_slack,
    page_windows,
    page_world,
    row,
    write,
)
from tests.sandbox.tiny_bot import SIGNING_SECRET, TOKEN, TinyBot, actions, button, field, manifest, modal, section, text

if importlib.util.find_spec("playwright"):
    from playwright.async_api import Page, expect

pytestmark = [ONE_LOOP, pytest.mark.slow]


CANARY = "window.ran = []; for (const name of ['alert', 'confirm', 'prompt']) window[name] = () => window.ran.push(name);"
RAN = "JSON.stringify([window.ran, window.ran1 ?? null])"
HOSTILE = (
    '<img src=x onerror="ran1=1"><svg onload=ran1=1><script>ran1=1</script><iframe srcdoc="<script>parent.ran1=1</script>">'
    '</iframe><a href="javascript:ran1=1">x</a><b>not bold</b>'
)
ALIEN = "img[src=x], svg:not(.icon), script:not([src='/static/js/app.js']), iframe, b, a[href^=javascript]"


async def test_markup_is_shown_and_never_run_wherever_it_comes_from(
    windows: Windows, sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient
) -> None:
    """In messages, names, topics, bookmarks, blocks, files, reactions, attachments, threads, answers and the Home tab."""
    shown = text(HOSTILE)
    bad_link = {"type": "link", "url": "javascript:ran1=1", "text": HOSTILE}
    stranger = sandbox.workspace.add_user("stranger", HOSTILE, channels=["support"])
    stranger.title = HOSTILE
    blocks = [
        {"type": "header", "text": shown},
        section(HOSTILE, fields=[shown], accessory={"type": "image", "image_url": f"x{HOSTILE}", "alt_text": HOSTILE}),
        actions({**button(), "text": shown, "url": "javascript:ran1=1"}),
        {"type": "image", "image_url": "javascript:ran1=1", "alt_text": HOSTILE, "title": shown},
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_section", "elements": [bad_link]}],
        },
        {"type": HOSTILE, "odd": HOSTILE},
    ]
    attachment = {"title": HOSTILE, "title_link": "javascript:ran1=1", "text": HOSTILE, "footer": HOSTILE, "color": HOSTILE}
    hostile_file = {"id": "F1", "name": HOSTILE, "url_private": "javascript:ran1=1", "filetype": HOSTILE}
    await slack.conversations_setTopic(channel="C0SUPPORT", topic=HOSTILE[:250])
    await slack.bookmarks_add(channel_id="C0SUPPORT", title=HOSTILE, type="link", link="https://example.com/")
    page = await windows.open(DEVELOPER, "C0SUPPORT", script=CANARY)
    posted = sandbox.state.post_as_bot("C0SUPPORT", HOSTILE, blocks=blocks, attachments=[attachment], files=[hostile_file])
    sandbox.state.post_as_bot("C0SUPPORT", "in the thread " + HOSTILE, thread_ts=posted["ts"])
    sandbox.state.react(sandbox.workspace.channel("support"), posted["ts"], stranger.id, HOSTILE)
    await sandbox.workspace.say(stranger.id, "support", HOSTILE)
    await slack.chat_postMessage(channel="C0SUPPORT", text=f"{HOSTILE} <javascript:ran1=1|press this> <data:text/html,x|or that>")
    await slack.views_publish(user_id=DEVELOPER, view={"type": "home", "blocks": [section(HOSTILE)]})
    bot.replies_with({"text": f"answered {HOSTILE}"})
    await write(page, "/incident")
    await expect(row(page, "answered <img")).to_contain_text("<script>")
    await write(page, HOSTILE)
    await page.reload()
    await page.get_by_text("press this").click()
    await page.get_by_text("or that").click()
    await page.locator("article").get_by_role("button", name=f"{HOSTILE}").first.click()
    await page.get_by_role("dialog").wait_for()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="1 reply").click()
    await expect(page.get_by_role("complementary", name="Thread")).to_contain_text("in the thread <img")
    await page.get_by_role("button", name=re.compile("members$")).click()
    await expect(page.get_by_role("dialog")).to_contain_text("<b>not bold</b>")
    await page.keyboard.press("Escape")
    assert await page.locator(ALIEN).count() == 0
    await page.get_by_role("navigation").get_by_role("button", name="Home").click()
    await expect(page.get_by_role("region", name="Home")).to_contain_text("<b>not bold</b>")
    assert await page.locator(ALIEN).count() == 0
    assert await page.evaluate(RAN) == "[[],null]"


async def test_markup_in_a_form_is_shown_and_never_run(windows: Windows, bot: TinyBot, slack: AsyncWebClient) -> None:
    """In its title, labels, hints, options, placeholders, errors, confirm dialogs and raw boxes."""
    shown = text("<b>x</b><img src=x onerror=ran1=1>")
    short = text("<b>x</b>")
    choice = {"text": shown, "value": "<b>", "description": shown}
    confirm = {"title": shown, "text": shown, "confirm": short, "deny": short}
    typed = {"type": "plain_text_input", "action_id": "t", "placeholder": shown, "initial_value": HOSTILE}
    form = modal(
        section(HOSTILE),
        field(typed, "t", label=shown, hint=shown),
        field({"type": "checkboxes", "action_id": "c", "options": [choice]}, "c", label=shown, optional=True),
        field({"type": "static_select", "action_id": "s", "options": [choice]}, "s", label=shown, optional=True),
        actions(button("sure", confirm=confirm)),
        title=short,
        submit=text("<i>Send"),
        close=text("<i>Stop"),
    )
    bot.answer = opens(slack, form, lambda received: {"response_action": "errors", "errors": {"t": HOSTILE}})
    page = await windows.open(DEVELOPER, "C0SUPPORT", script=CANARY)
    await write(page, "/incident")
    dialog = page.get_by_role("dialog", name="<b>x</b>")
    await dialog.get_by_role("button", name="<i>Send").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("<script>")
    await dialog.get_by_role("button", name="Go").click()
    await expect(page.locator(".dialog-confirm")).to_contain_text("<img src=x")
    await page.locator(".dialog-confirm").get_by_role("button", name="<b>x</b>").first.click()
    await dialog.get_by_role("button", name=re.compile("Select an option$")).click()
    await expect(page.get_by_role("option")).to_contain_text("<img src=x")
    assert await page.locator(ALIEN).count() == 0
    assert await page.evaluate(RAN) == "[[],null]"


STATES = "performance.getEntriesByType('resource').filter(entry => entry.name.includes('/sandbox/state')).length"


async def test_a_dropped_stream_goes_on_where_it_broke_off(windows: Windows, sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """It says “Reconnecting…”; words, edits, deletions and ephemeral words of meanwhile are there; nothing is loaded anew."""
    for number in range(80):
        sandbox.state.post_as_user("C0SUPPORT", SUPPORT, f"line {number}")
    relay = Relay(sandbox.url)
    page = await windows.open(DEVELOPER, "C0SUPPORT", url=await relay.mend())
    await expect(page.get_by_text("line 79", exact=True)).to_be_in_viewport()
    await page.get_by_role("log").press("Home")
    await expect(page.locator("article")).to_have_count(80)
    await page.get_by_role("button", name="Jump to newest").click()
    kept, gone = [(await slack.chat_postMessage(channel="C0SUPPORT", text=words))["ts"] for words in ("kept", "to be deleted")]
    await expect(row(page, "to be deleted")).to_be_visible()
    states = await page.evaluate(STATES)
    for turn in ("first", "second"):
        await relay.cut()
        await expect(page.get_by_role("alert")).to_contain_text("Reconnecting…")
        await slack.chat_update(channel="C0SUPPORT", ts=kept, text=f"changed in the {turn} cut")
        await slack.chat_postMessage(channel="C0SUPPORT", text=f"said in the {turn} cut")
        await slack.chat_postEphemeral(channel="C0SUPPORT", user=DEVELOPER, text=f"whispered in the {turn} cut")
        if turn == "first":
            await slack.chat_delete(channel="C0SUPPORT", ts=gone)
        await relay.mend()
        for words in ("changed", "said", "whispered"):
            await expect(row(page, f"{words} in the {turn} cut")).to_be_visible()
        await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.get_by_text("to be deleted")).to_have_count(0)
    await expect(page.locator("article")).to_have_count(80 + 5)
    assert await page.evaluate(STATES) == states
    windows.forgive_the_cut()
    await page.close()
    await relay.close()


async def test_a_sandbox_that_was_started_again_is_loaded_anew(
    windows: Windows, sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient
) -> None:
    """What the one before knew is gone from the page, its open form with a word; what the new one says arrives."""
    bot.answer = opens(slack, modal(section("hello"), title=text("Open an incident")), lambda received: {})
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "of the one before")
    await write(page, "/incident")
    await page.get_by_role("dialog").wait_for()
    port = int(sandbox.url.rpartition(":")[2])
    await sandbox.stop()
    with HeldPort(port):  # nobody is given it, and who calls is refused
        await expect(page.get_by_role("alert")).to_contain_text("Reconnecting…")
    again = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest())
    await again.start(port=port)
    try:
        await expect(page.get_by_text("The form “Open an incident” is closed")).to_be_visible()
        await expect(page.get_by_role("alert")).to_have_count(0)
        await expect(page.get_by_text("of the one before")).to_have_count(0)
        await again.workspace.say(SUPPORT, "support", "of the new one")
        await expect(row(page, "of the new one")).to_be_visible()
        windows.forgive_the_cut()
        await page.close()
    finally:
        await again.stop()


FRAMES = 30
SCROLL = """async (frames) => {
  const box = document.querySelector(".list");
  for (let step = 0; step < frames; step += 1) {
    box.scrollTop += step < frames / 2 ? -400 : 400;
    await new Promise(requestAnimationFrame);
  }
}"""


async def work_of_a_frame_s(page: Page) -> float:
    """What a frame of scrolling costs the page: its own time of the processor, whatever else this machine does."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Performance.enable")

    async def worked_s() -> float:
        metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
        return next(float(metric["value"]) for metric in metrics if metric["name"] == "ThreadTime")

    before_s = await worked_s()
    await page.evaluate(SCROLL, FRAMES)
    return (await worked_s() - before_s) / FRAMES


async def test_two_thousand_messages_are_paged_and_stay_fluent(windows: Windows, sandbox: Sandbox) -> None:
    """Fifty at first, more on the way up with the place kept; a frame of it is 100 ms of work at most; a click to the newest."""
    for number in range(2000):
        sandbox.state.post_as_user("C0SUPPORT", SUPPORT if number % 3 else ONCALL, f"line {number} of *many*")
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await expect(page.get_by_text("line 1999 of many", exact=True)).to_be_in_viewport()
    await expect(page.locator("article")).to_have_count(50)
    box = page.get_by_role("log")
    await box.hover()
    await page.mouse.wheel(0, -100_000)
    await expect(page.locator("article")).to_have_count(170)
    await expect(page.get_by_text("line 1950 of many", exact=True)).to_be_in_viewport()
    await page.mouse.wheel(0, -100_000)
    await expect(page.locator("article")).to_have_count(290)
    assert 0 < await work_of_a_frame_s(page) < 0.1
    await sandbox.workspace.say(SUPPORT, "support", "and one more")
    await page.get_by_role("button", name="New messages").click()
    await expect(row(page, "and one more")).to_be_in_viewport()
    await expect(page.locator(".new-messages")).to_have_count(0)


async def test_a_link_to_an_old_message_finds_it(windows: Windows, sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """From the address and from a message; further up than what is loaded; one that is gone is said to be gone."""
    for number in range(300):
        sandbox.state.post_as_user("C0SUPPORT", SUPPORT, f"line {number}")
    old = list(sandbox.workspace.channel("support").messages)[20]
    page = await windows.open(DEVELOPER, "C0SUPPORT", message=old)
    sought = page.locator(f"[data-ts='{old}']")
    await expect(sought).to_be_in_viewport()
    await page.get_by_role("button", name="Jump to newest").click()
    await expect(page.get_by_text("line 299", exact=True)).to_be_in_viewport()
    await page.reload()
    permalink = (await slack.chat_getPermalink(channel="C0SUPPORT", message_ts=old))["permalink"]
    await slack.chat_postMessage(channel="C0SUPPORT", text=f"<{permalink}|It began here>")
    await page.get_by_role("button", name="It began here").click()
    await expect(sought).to_be_in_viewport()
    sandbox.state.delete_message("C0SUPPORT", old)
    await expect(sought).to_have_count(0)
    await page.get_by_role("button", name="Jump to newest").click()
    await page.get_by_role("button", name="It began here").click()
    await expect(page.get_by_text("That message is not here any more.")).to_be_visible()


async def test_a_long_thread_is_there_from_its_first_message(windows: Windows, sandbox: Sandbox) -> None:
    """More replies than one answer holds: the root and all of them, and the channel has none of them."""
    root = sandbox.state.post_as_user("C0SUPPORT", SUPPORT, "where it began")
    for number in range(230):
        sandbox.state.post_as_user("C0SUPPORT", ONCALL, f"reply {number}", thread_ts=root["ts"])
    page = await windows.open(DEVELOPER, "C0SUPPORT", thread=root["ts"])
    thread = page.get_by_role("complementary", name="Thread")
    await expect(thread.locator("article")).to_have_count(231)
    await expect(thread.locator("article").first).to_contain_text("where it began")
    await expect(thread).to_contain_text("230 replies")
    await expect(page.get_by_role("main").locator("article")).to_have_count(1)
