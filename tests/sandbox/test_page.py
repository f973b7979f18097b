"""The page in a real browser against the real sandbox: what a person sees, presses and types.

The bot is the tiny one: what Muster itself shows is the business of the scenarios. Skipped where there is no Chromium.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import hmac
import html
import importlib.util
import re
import shutil
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.seed import DEVELOPER, GUEST, ONCALL, SUPPORT
from bot.sandbox.server import PAGE, Sandbox
from bot.sandbox.world import World
from bot.sandbox.world.pagerduty import ROUTING_KEY
from bot.sandbox.world.twilio import ACCOUNT_SID, AUTH_TOKEN
from bot.sandbox.world.twilio import NUMBER as OWN_NUMBER
from tests.sandbox.tiny_bot import (
    SIGNING_SECRET,
    TOKEN,
    Received,
    TinyBot,
    actions,
    button,
    field,
    manifest,
    modal,
    option,
    section,
    select,
    text,
)

if importlib.util.find_spec("playwright"):
    from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

# One loop for the module, so that one Chromium serves all tests; each test has a workspace and a browser profile of its own.
pytestmark = [pytest.mark.asyncio(loop_scope="module")]

# None of these asks anybody outside this machine; Playwright gives each start an empty profile.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE = {"width": 1280, "height": 860}
NARROW = {"width": 390, "height": 844}
SCRIPT = '<img src=x onerror="window.ran=1"><script>window.ran=1</script> <b>not bold</b>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """One headless Chromium for all tests of this file."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium: sudo apt-get install -y chromium")
    if not importlib.util.find_spec("playwright"):
        pytest.skip("needs Playwright for Python: .venv/bin/pip install playwright")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def world() -> World:
    """Clerk, Vercel and the rest, with their switches."""
    return World()


@pytest_asyncio.fixture(loop_scope="module")
async def sandbox(world: World) -> AsyncIterator[Sandbox]:
    """A workspace with the world beside it. Unlike the other tests' it waits Slack's full 3 s for an answer."""
    made = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest(), world=world)
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def bot(sandbox: Sandbox) -> AsyncIterator[TinyBot]:
    """A bot that the sandbox delivers to."""
    made = TinyBot()
    sandbox.bot_url = await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def slack(sandbox: Sandbox, bot: TinyBot) -> AsyncIterator[AsyncWebClient]:
    """The bot's own client."""
    async with aiohttp.ClientSession() as session:
        yield AsyncWebClient(TOKEN, base_url=sandbox.slack_api_url, session=session)


@dataclasses.dataclass
class Windows:
    """Browser windows on the page, each a person with a profile of their own, and what went wrong in them."""

    chromium: Browser
    url: str
    contexts: list[BrowserContext] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    foreign: list[str] = dataclasses.field(default_factory=list)

    async def open(
        self, user: str, channel: str, *, size: dict[str, int] = WIDE, scheme: str = "light", url: str = "", panel: str = ""
    ) -> Page:
        """The page as this user in this channel; returns when the channel is shown."""
        context = await self.chromium.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        self.contexts.append(context)
        page = await context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._requested)
        await page.goto(f"{url or self.url}/#user={user}&channel={channel}&panel={panel}")
        await page.locator(".composer, .composer-off").first.wait_for()
        return page

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def _requested(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            self.foreign.append(request.url)


@pytest_asyncio.fixture(loop_scope="module")
async def windows(chromium: Browser, sandbox: Sandbox, bot: TinyBot) -> AsyncIterator[Windows]:
    """Windows on the sandbox. Afterwards: no console error in any of them, and nothing was asked of the outside."""
    made = Windows(chromium, sandbox.url)
    yield made
    for context in made.contexts:
        await context.close()
    assert made.faults == []
    assert made.foreign == []


async def write(page: Page, words: str) -> None:
    """Type into the composer and press Enter."""
    box = page.get_by_role("textbox", name=re.compile("^Message "))
    await box.fill(words)
    await box.press("Enter")


def row(page: Page, words: str) -> Any:
    """The message with these words."""
    return page.locator("article", has_text=words)


async def test_two_people_see_what_the_other_writes(windows: Windows, bot: TinyBot) -> None:
    """A message appears in both windows without a reload, and the bot hears it escaped as Slack does."""
    developer = await windows.open(DEVELOPER, "C0SUPPORT")
    support = await windows.open(SUPPORT, "C0SUPPORT")
    await write(developer, "login is *broken* & <slow>")
    await expect(row(support, "login is broken & <slow>")).to_contain_text("Developer")
    await expect(support.locator("article strong")).to_have_text("broken")
    await write(support, "seen, @developer")
    await expect(developer.locator("article .mention-me")).to_have_text("@Developer")
    assert [event["text"] for event in bot.events("message")] == [
        "login is *broken* &amp; &lt;slow&gt;",
        f"seen, <@{DEVELOPER}>",
    ]


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


FORM = modal(
    field({"type": "plain_text_input", "action_id": "title"}, "title"),
    field(select("SEV1", "SEV2", action_id="severity"), "severity", optional=True, label=text("Severity")),
    field({"type": "multi_users_select", "action_id": "people"}, "people", optional=True, label=text("People")),
    field({"type": "checkboxes", "action_id": "private", "options": [option("private")]}, "private", optional=True),
    field({"type": "number_input", "action_id": "hit", "is_decimal_allowed": False}, "hit", optional=True, label=text("Hit")),
    title=text("Open an incident"),
)


def opens(slack: AsyncWebClient, view: dict[str, Any], submitted: Callable[[Received], Any]) -> Any:
    """A bot that opens ``view`` at a command and answers its submission with what ``submitted`` makes of it."""

    async def answer(received: Received) -> web.StreamResponse:
        if "command" in received.payload:
            await slack.views_open(trigger_id=received.payload["trigger_id"], view=view)
        elif received.payload.get("type") == "view_submission":
            return web.json_response(submitted(received))
        return web.Response()

    return answer


async def test_a_form_is_refused_corrected_and_taken(windows: Windows, bot: TinyBot, slack: AsyncWebClient) -> None:
    """The client asks for what is required, the bot's error stands beside its field, a reload keeps what was typed."""

    def judge(received: Received) -> dict[str, Any]:
        title = received.payload["view"]["state"]["values"]["title"]["title"]["value"]
        return {"response_action": "errors", "errors": {"title": "Say more"}} if len(title) < 3 else {}

    bot.answer = opens(slack, FORM, judge)
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "/incident")
    form = page.get_by_role("dialog", name="Open an incident")
    send = form.get_by_role("button", name="Send")
    await send.click()
    await expect(form.get_by_role("alert")).to_have_text("Please complete this required field.")
    assert bot.interactions("view_submission") == []

    title = form.locator("[data-block-id=title] input")
    await title.fill("x")
    await form.get_by_role("button", name="Severity:").click()
    await page.get_by_role("option", name="SEV2").click()
    await form.get_by_role("button", name="People:").click()
    await page.get_by_role("option", name="CTO Chief").click()
    await page.get_by_role("option", name="On-call engineer").click()
    await page.keyboard.press("Escape")
    await form.get_by_label("private").check()
    await form.get_by_label("Hit").fill("many")
    await send.click()
    await expect(form.get_by_role("alert")).to_have_text("Please enter a valid number.")
    await form.get_by_label("Hit").fill("12")
    await send.click()
    await expect(form.get_by_role("alert")).to_have_text("Say more")
    await expect(title).to_be_focused()

    await page.reload()
    await expect(title).to_have_value("x")
    await title.fill("nobody can sign in")
    await send.click()
    await expect(form).to_have_count(0)
    values = bot.interactions("view_submission")[-1]["view"]["state"]["values"]
    assert values["title"]["title"]["value"] == "nobody can sign in"
    assert values["severity"]["severity"]["selected_option"]["value"] == "SEV2"
    assert values["people"]["people"]["selected_users"] == ["U0CTO", ONCALL]
    assert values["private"]["private"]["selected_options"] == [option("private")]
    assert values["hit"]["hit"]["value"] == "12"


async def test_an_open_form_follows_the_bot_and_closes(
    windows: Windows, sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient
) -> None:
    """A select inside a form acts at once; views.update redraws it and keeps what was typed; Escape tells the bot."""
    first = modal(
        field({"type": "plain_text_input", "action_id": "words"}, "words"),
        actions(select("one", "two"), block_id="which"),
        notify_on_close=True,
    )
    bot.answer = opens(slack, first, lambda received: {})
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "/incident")
    form = page.get_by_role("dialog", name="Form")
    await form.get_by_label("Label").fill("kept")
    await form.get_by_role("button", name="Select an option").click()
    await page.get_by_role("option", name="two").click()
    await expect(form.get_by_role("button", name="Choose: two")).to_be_visible()
    clicked = await sandbox.wait_for(lambda: bot.interactions("block_actions"))
    assert clicked[0]["actions"][0]["selected_option"]["value"] == "two"
    assert clicked[0]["view"]["state"]["values"]["words"]["words"]["value"] == "kept"

    blocks = [section("Now with a *second* page"), *first["blocks"]]
    await slack.views_update(view_id=clicked[0]["view"]["id"], view={**first, "blocks": blocks})
    await expect(form.get_by_text("Now with a second page")).to_be_visible()
    await expect(form.get_by_label("Label")).to_have_value("kept")
    await page.keyboard.press("Escape")
    await expect(form).to_have_count(0)
    assert (await sandbox.wait_for(lambda: bot.interactions("view_closed")))[0]["is_cleared"] is True


async def test_what_asks_first_is_asked_first(windows: Windows, sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient) -> None:
    """A button with confirm sends nothing until it is confirmed; a select and an overflow menu send their choice."""
    confirm = {"title": text("Sure?"), "text": text("It ends."), "confirm": text("End it"), "deny": text("No"), "style": "danger"}
    menu = {"type": "overflow", "action_id": "menu", "options": [option("skip"), option("undo")]}
    elements = actions(button("end", confirm=confirm), select("SEV1", "SEV2", initial_option=option("SEV1")), menu)
    await slack.chat_postMessage(channel="C0SUPPORT", text="card", blocks=[elements])
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await page.get_by_role("button", name="Go").click()
    await page.get_by_role("button", name="No", exact=True).click()
    assert bot.interactions("block_actions") == []
    await page.get_by_role("button", name="Go").click()
    await page.get_by_role("button", name="End it").click()
    await sandbox.wait_for(lambda: len(bot.interactions("block_actions")) == 1)
    await page.get_by_role("button", name="Choose: SEV1").click()
    await page.get_by_role("option", name="SEV2").click()
    await sandbox.wait_for(lambda: len(bot.interactions("block_actions")) == 2)
    await page.get_by_role("button", name="More actions", exact=True).click()
    await expect(page.get_by_role("menuitem", name="skip")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await sandbox.wait_for(lambda: len(bot.interactions("block_actions")) == 3)
    _, chosen, menued = [click["actions"][0] for click in bot.interactions("block_actions")]
    assert chosen["selected_option"]["value"] == "SEV2"
    assert menued["selected_option"]["value"] == "undo"


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


async def test_what_cannot_be_drawn_is_shown_as_it_was_sent(windows: Windows, sandbox: Sandbox) -> None:
    """An unknown block and a malformed one become boxes of JSON; the rest of the message is drawn."""
    blocks = [{"type": "hologram", "depth": 3}, {"type": "section", "fields": "no list"}, section("still here")]
    sandbox.state.post_as_bot("C0SUPPORT", "odd", blocks=blocks)
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await expect(page.get_by_text("still here")).to_be_visible()
    await expect(page.locator(".raw")).to_have_count(2)
    await expect(page.locator(".raw").first).to_contain_text('"depth": 3')


class Relay:
    """A loopback wire between browser and sandbox that a test can cut: connections break, new ones are refused."""

    def __init__(self, target_url: str) -> None:
        self._port = int(target_url.rpartition(":")[2])
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def mend(self) -> str:
        """Listen (on the same port as before); returns the address."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self.port}"

    async def cut(self) -> None:
        """Break everything."""
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._open |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._open -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_lost_connection_is_said_and_nothing_is_missed(windows: Windows, sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """While the wire is cut there is a banner; what was posted, edited and opened meanwhile is there once it is mended."""
    relay = Relay(sandbox.url)
    page = await windows.open(DEVELOPER, "C0SUPPORT", url=await relay.mend())
    before = await slack.chat_postMessage(channel="C0SUPPORT", text="before")
    await expect(row(page, "before")).to_be_visible()
    await relay.cut()
    await expect(page.get_by_text("Connection to the sandbox lost")).to_be_visible()
    await slack.chat_update(channel="C0SUPPORT", ts=before["ts"], text="changed meanwhile")
    await slack.chat_postMessage(channel="C0SUPPORT", text="said meanwhile")
    await slack.conversations_create(name="inc-4-meanwhile")
    await relay.mend()
    await expect(row(page, "said meanwhile")).to_be_visible()
    await expect(row(page, "changed meanwhile")).to_be_visible()
    await expect(page.get_by_text("inc-4-meanwhile")).to_be_visible()
    await expect(page.get_by_text("Connection to the sandbox lost")).to_have_count(0)
    await slack.chat_postMessage(channel="C0SUPPORT", text="said afterwards")
    await expect(row(page, "said afterwards")).to_be_visible()
    windows.faults[:] = [fault for fault in windows.faults if "net::ERR_" not in fault]  # the browser's own words for the cut
    await page.close()
    await relay.cut()


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


AT = '<time title="Tuesday, November 14, 2023 at 22:13:20">'
OUT = 'target="_blank" rel="noopener noreferrer"'
MRKDWN = {
    "plain & simple": "plain &amp; simple",
    "*bold* _it_ ~gone~ `a*b*`": "<strong>bold</strong> <em>it</em> <s>gone</s> <code>a*b*</code>",
    "*bold _and it_*": "<strong>bold <em>and it</em></strong>",
    "snake_case_name 2*3*4 a * b * c": "snake_case_name 2*3*4 a * b * c",
    "&lt;b&gt; &amp;amp;": "&lt;b&gt; &amp;amp;",
    "a\nb": "a<br>b",
    "&gt; said\nnot": "<blockquote>said</blockquote>not",
    "x ```a\n*b* <c>``` y": 'x <pre class="preformatted">a\n*b* &lt;c&gt;</pre> y',
    ":fire: :no_such_thing: 10:30:00": "🔥 :no_such_thing: 10:30:00",
    "<https://e.com/?a=1&amp;b=2|the *site*>": f'<a href="https://e.com/?a=1&amp;b=2" {OUT}>the *site*</a>',
    "see https://e.com/x.": f'see <a href="https://e.com/x" {OUT}>https://e.com/x</a>.',
    "<javascript:alert(1)|x>": '<span class="unsafe-link" title="This address is not opened">x</span>',
    "<!here> <!nonsense> <b>": '<span class="mention mention-me">@here</span> &lt;!nonsense&gt; &lt;b&gt;',
    "<!date^1700000000^{date_num} {time_secs}|later>": AT + "2023-11-14 22:13:20</time>",
    "<!date^1700000000^{date_short_pretty} {time}|later>": AT + "Yesterday 22:13</time>",
    "<!date^1700000000^in {ago}|later>": AT + "in 1 day ago</time>",
    "<!date^soon^{time}|later>": '<time title="later">later</time>',
}
RENDER = """async (texts) => {
  const { h, render } = await import("/static/js/vendor/htm-preact-standalone.js");
  const { mrkdwn } = await import("/static/js/mrkdwn.js");
  const scope = { users: new Map(), channels: new Map(), now_s: () => 1700086400 };
  return texts.map((text) => {
    const box = document.createElement("div");
    render(h("div", null, mrkdwn(text, scope)), box);
    return box.firstChild.innerHTML;
  });
}"""


async def test_mrkdwn_reads_as_in_slack(windows: Windows) -> None:
    """Known answers for formatting, escapes, links, dates and emoji, in UTC."""
    context = await windows.chromium.new_context(timezone_id="UTC")
    windows.contexts.append(context)
    page = await context.new_page()
    await page.goto(windows.url)
    drawn = await page.evaluate(RENDER, list(MRKDWN))
    assert dict(zip(MRKDWN, drawn, strict=True)) == MRKDWN


async def test_marks_without_end_do_not_stop_the_page(windows: Windows) -> None:
    """A hostile text of 40,000 marks is drawn within the test's time: no endless nesting, no quadratic search."""
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    hostile = ["*a _" * 10_000, "<" * 40_000, "`" * 39_999, "> " * 20_000, ":a" * 20_000, "*_~" * 13_000]
    drawn = await asyncio.wait_for(page.evaluate(RENDER, hostile), timeout=20)
    assert [len(shown) > 0 for shown in drawn] == [True] * len(hostile)


async def test_the_vendored_library_is_the_one_that_is_named() -> None:
    """LICENSES names package, version and digest of the one file that is not ours."""
    named = (PAGE / "LICENSES").read_text()
    vendored = list((PAGE / "js" / "vendor").iterdir())
    assert [file.name for file in vendored] == ["htm-preact-standalone.js"]
    assert hashlib.sha256(vendored[0].read_bytes()).hexdigest() in named


async def test_the_page_never_turns_text_into_markup() -> None:
    """No module of ours uses the ways by which a string becomes HTML or code."""
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySet|document\.write|\beval\(|new Function")
    assert [file.name for file in (PAGE / "js").glob("*.js") if ways.search(file.read_text())] == []


# Phones

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
        return web.Response(text="<Response><Say>Thank you. You have it.</Say></Response>", content_type="text/xml")


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


async def test_paging_is_broken_from_the_world_panel(windows: Windows, world: World) -> None:
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
        assert switch.value == broken.replace(" ", "_")


async def test_a_night_passes_until_a_phone_rings(windows: Windows, sandbox: Sandbox, world: World) -> None:
    """It is started, paused and gone on with; it stops by itself when a phone rings, and the page says why."""
    sandbox.night.pace_s = 0.02
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="world")
    await page.get_by_role("button", name="Night").click()
    await expect(page.get_by_role("button", name="Pause the night")).to_be_visible()
    await sandbox.wait_for(lambda: sandbox.night.left_s < 7.8 * 3600)
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
