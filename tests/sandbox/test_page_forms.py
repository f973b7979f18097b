"""Forms on the page, in a real browser: filled in, refused, pushed, kept over a reload; and what asks before it acts."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import pytest
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.seed import DEVELOPER, ONCALL
from bot.sandbox.server import Sandbox
from tests.sandbox.browsing import (  # noqa: F401 - fixtures among them
    ONE_LOOP,
    Windows,
    one_chromium,
    opens,
    page_bot,
    page_sandbox,
    page_slack,
    page_windows,
    page_world,
    write,
)
from tests.sandbox.tiny_bot import Received, TinyBot, actions, button, field, modal, option, section, select, text

if importlib.util.find_spec("playwright"):
    from playwright.async_api import expect

pytestmark = [ONE_LOOP, pytest.mark.slow]

FORM = modal(
    field({"type": "plain_text_input", "action_id": "title"}, "title"),
    field(select("SEV1", "SEV2", action_id="severity"), "severity", optional=True, label=text("Severity")),
    field({"type": "multi_users_select", "action_id": "people"}, "people", optional=True, label=text("People")),
    field({"type": "checkboxes", "action_id": "private", "options": [option("private")]}, "private", optional=True),
    field({"type": "number_input", "action_id": "hit", "is_decimal_allowed": False}, "hit", optional=True, label=text("Hit")),
    title=text("Open an incident"),
)


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


async def test_a_form_on_top_of_another_has_a_way_back(
    windows: Windows, sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient
) -> None:
    """Back and Cancel close the topmost and show the one below with what was typed; each that asked to is told, with its kind."""
    second = modal(field({"type": "plain_text_input", "action_id": "more"}, "more"), title=text("Second"), notify_on_close=True)
    first = modal(field({"type": "plain_text_input", "action_id": "words"}, "words"), title=text("First"), notify_on_close=True)
    bot.answer = opens(slack, first, lambda received: {"response_action": "push", "view": second})
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "/incident")
    below, above = page.get_by_role("dialog", name="First"), page.get_by_role("dialog", name="Second")
    await expect(below.get_by_role("button", name="Back")).to_have_count(0)
    for way in ("Back", "Cancel"):
        await below.get_by_label("Label").fill(f"typed before {way}")
        await below.get_by_role("button", name="Send").click()
        await above.get_by_role("button", name=way).click()
        await expect(below.get_by_label("Label")).to_have_value(f"typed before {way}")
    told = await sandbox.wait_for(lambda: len(bot.interactions("view_closed")) == 2 and bot.interactions("view_closed"))
    assert [(one["view"]["title"]["text"], one["is_cleared"]) for one in told] == [("Second", False)] * 2

    await below.get_by_role("button", name="Send").click()
    await above.get_by_role("button", name="Close").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await sandbox.wait_for(lambda: len(bot.interactions("view_closed")) == 4)
    assert {one["is_cleared"] for one in bot.interactions("view_closed")[2:]} == {True}


async def test_a_form_is_sent_once_however_often_it_is_pressed(
    windows: Windows, sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient
) -> None:
    """While it is on its way the button is off; when the bot fails it says so, keeps what was typed, and can be sent again."""
    way_is_free = asyncio.Event()
    statuses = [500, 200]

    async def slowly(received: Received) -> web.StreamResponse:
        if "command" in received.payload:
            await slack.views_open(trigger_id=received.payload["trigger_id"], view=FORM)
        elif received.payload.get("type") == "view_submission":
            await way_is_free.wait()
            return web.Response(status=statuses.pop(0))
        return web.Response()

    bot.answer = slowly
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "/incident")
    form = page.get_by_role("dialog", name="Open an incident")
    title = form.locator("[data-block-id=title] input")
    await title.fill("nobody can sign in")
    send = form.get_by_role("button", name="Send")
    await send.evaluate("button => { button.click(); button.click(); }")
    await expect(send).to_be_disabled()
    await title.press("Enter")
    way_is_free.set()
    await expect(form.get_by_role("alert")).to_contain_text("We had some trouble connecting. Try again?")
    await expect(title).to_have_value("nobody can sign in")
    await send.click()
    await expect(form).to_have_count(0)
    assert len(bot.interactions("view_submission")) == 2


async def test_a_reload_in_the_middle_brings_the_form_back(
    windows: Windows, sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient
) -> None:
    """The whole stack with what was typed; another window of the person has what was last sent from it; both close together."""
    acting = {**select("one", "two", action_id="which"), "placeholder": text("Which")}
    first = modal(field({"type": "plain_text_input", "action_id": "words"}, "words"), actions(acting, block_id="acts"))
    bot.answer = opens(slack, first, lambda received: {})
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "/incident")
    await page.get_by_label("Label").fill("half of it")
    await page.get_by_role("button", name="Which:").click()
    await page.get_by_role("option", name="two").click()
    await sandbox.wait_for(lambda: bot.interactions("block_actions"))
    await page.get_by_label("Label").fill("half of it and more")
    await page.reload()
    await expect(page.get_by_label("Label")).to_have_value("half of it and more")
    await expect(page.get_by_role("button", name="Which: two")).to_be_visible()

    other = await windows.open(DEVELOPER, "C0SUPPORT", beside=page)
    await expect(other.get_by_label("Label")).to_have_value("half of it")
    await expect(other.get_by_role("button", name="Which: two")).to_be_visible()
    await other.get_by_role("button", name="Send", exact=True).last.click()
    for window in (page, other):
        await expect(window.get_by_role("dialog")).to_have_count(0)
    values = bot.interactions("view_submission")[0]["view"]["state"]["values"]
    assert values["words"]["words"]["value"] == "half of it"


async def test_a_form_that_is_gone_after_a_reload_is_not_gone_without_a_word(
    windows: Windows, sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient
) -> None:
    """What the workspace does not have any more is closed, and the page says which form that was, once."""
    bot.answer = opens(slack, FORM, lambda received: {})
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "/incident")
    await page.get_by_role("dialog", name="Open an incident").wait_for()
    [view] = sandbox.workspace.views(DEVELOPER)
    await page.goto("about:blank")
    await sandbox.workspace.close_view(DEVELOPER, view["id"])
    await page.goto(f"{sandbox.url}/#user={DEVELOPER}&channel=C0SUPPORT&panel=none")
    await expect(page.get_by_text("The form “Open an incident” is closed")).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.reload()
    await expect(page.get_by_role("textbox", name="Message #support")).to_be_visible()
    await expect(page.get_by_text("The form “Open an incident” is closed")).to_have_count(0)


async def test_options_and_every_kind_of_input_ask_keep_and_send(
    windows: Windows, sandbox: Sandbox, bot: TinyBot, slack: AsyncWebClient
) -> None:
    """Radio buttons, date, time, moment, several of a list, a conversation, an address: each arrives in Slack's own shape."""
    inputs: dict[str, dict[str, Any]] = {
        "radio": {"type": "radio_buttons", "options": [option("a"), option("b")], "initial_option": option("a")},
        "day": {"type": "datepicker"},
        "hour": {"type": "timepicker", "initial_time": "09:30"},
        "moment": {"type": "datetimepicker", "initial_date_time": 1_700_000_000},
        "several": {"type": "multi_static_select", "options": [option("x"), option("y"), option("z")], "max_selected_items": 2},
        "where": {"type": "conversations_select", "default_to_current_conversation": True},
        "mail": {"type": "email_text_input"},
        "link": {"type": "url_text_input"},
    }
    fields = [field({**element, "action_id": name}, name, label=text(name)) for name, element in inputs.items()]
    bot.answer = opens(slack, modal(*fields), lambda received: {})
    page = await windows.open(DEVELOPER, "C0SUPPORT")
    await write(page, "/incident")
    form = page.get_by_role("dialog")
    await form.get_by_label("b", exact=True).check()
    await form.get_by_label("day").fill("2026-02-03")
    await form.get_by_role("button", name="several:").click()
    for name in ("x", "y", "z"):
        await page.get_by_role("option", name=name, exact=True).click()
    await page.keyboard.press("Escape")
    await form.get_by_role("button", name="Remove x").click()
    await form.get_by_label("mail").fill("nowhere")
    await form.get_by_label("link").fill("example.com")
    send = form.get_by_role("button", name="Send")
    await send.click()
    await expect(form.get_by_role("alert")).to_have_text(["Please enter a valid email address.", "Please enter a valid URL."])
    assert bot.interactions("view_submission") == []
    await form.get_by_label("mail").fill("who@example.com")
    await form.get_by_label("link").fill("https://example.com/x")
    await send.click()
    await expect(form).to_have_count(0)
    values = bot.interactions("view_submission")[0]["view"]["state"]["values"]
    sent = {name: {key: value for key, value in values[name][name].items() if key != "type"} for name in inputs}
    assert sent == {
        "radio": {"selected_option": option("b")},
        "day": {"selected_date": "2026-02-03"},
        "hour": {"selected_time": "09:30"},
        "moment": {"selected_date_time": 1_700_000_000},
        "several": {"selected_options": [option("y")]},
        "where": {"selected_conversation": "C0SUPPORT"},
        "mail": {"value": "who@example.com"},
        "link": {"value": "https://example.com/x"},
    }
