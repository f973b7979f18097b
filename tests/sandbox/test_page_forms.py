"""Forms on the page, in a real browser: filled in, refused, pushed, kept over a reload; and what asks before it acts."""

from __future__ import annotations

import importlib.util
from typing import Any

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

pytestmark = [ONE_LOOP]

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
