"""The story of a break-in and of an open door, by two people in two browser windows: what one of them asks for, the other allows.

From “clerk emergency” to an account that is locked and seen to be; and the emergency bypass, turned on by two people, off by one,
or by itself when its time is over. One has a wide light window, the other a telephone in the dark. Each screen is asserted,
photographed, and judged (``looks``).
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bot.sandbox.seed import DEVELOPER, ONCALL
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from tests.sandbox.browsing import NARROW, ONE_LOOP, WIDE, one_chromium, write  # noqa: F401 - a fixture among them
from tests.sandbox.demo_windows import (  # noqa: F401 - fixtures among them
    DemoWindows,
    card_of,
    demo_sandbox,
    demo_windows,
    open_the_room,
    room_name,
    step_of,
)
from tests.sandbox.looks import require_axe

if importlib.util.find_spec("playwright"):
    from playwright.async_api import Page, expect

pytestmark = [ONE_LOOP, pytest.mark.timeout(180), pytest.mark.slow]

SESSIONS = 7
"""So many has the user of the sandbox."""
BYPASS = "Emergency bypass"
ON = re.compile("bypass.* is ON until .*; then it is taken back by itself")
BUILD_MS = 60_000
"""Vercel builds for some seconds, here as there."""


def run_of(page: Page, title: str) -> Any:
    """The message of the run of this name."""
    articles = page.get_by_role("main").get_by_role("article")
    return articles.filter(has_text=re.compile(f"^.{{0,40}}{re.escape(title)} ", re.DOTALL)).filter(has_text="asked for by").last


async def look(windows: DemoWindows, page: Page, name: str, message: Any) -> None:
    """Keep and judge this message in both widths and both schemes, and leave the window as it was.

    Places differ by width, colours by scheme: axe judges light at 1280 px and dark at 390.
    """
    before = page.viewport_size
    assert before
    dark = await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    for width, size in (("1280", WIDE), ("390", NARROW)):
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        await message.scroll_into_view_if_needed()
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            judged = (scheme, width) in (("light", "1280"), ("dark", "390"))
            await windows.photograph(page, f"{name}-{width}-{scheme}", axe=judged)
    await page.set_viewport_size(before)
    await page.emulate_media(color_scheme="dark" if dark else "light")


async def press_in_dialog(page: Page, label: str) -> None:
    """Say yes to what Slack asks once more."""
    dialog = page.get_by_role("alertdialog").or_(page.get_by_role("dialog"))
    await dialog.get_by_role("button", name=label, exact=True).click()
    await expect(dialog).to_have_count(0)


async def phone_in(windows: DemoWindows, page: Page) -> Page:
    """The on-call engineer's own window on the room that ``page`` shows."""
    found = re.search(r"channel=(\w+)", page.url)
    assert found, page.url
    other = await windows.open(ONCALL, found[1], size=NARROW, scheme="dark", panel="none")
    await expect(room_name(other)).to_be_visible()
    return other


@contextlib.contextmanager
def building(sandbox: Sandbox) -> Iterator[None]:
    """Vercel does not come to an end until the end of the block: what is shown meanwhile is not over before it was seen."""
    assert isinstance(sandbox.world, World)
    vercel = sandbox.world.vercel
    usual = vercel.build_s, vercel.alias_s
    vercel.build_s = vercel.alias_s = 600.0
    yield
    vercel.build_s, vercel.alias_s = usual


def called(sandbox: Sandbox, part: str) -> list[dict[str, Any]]:
    """The calls of the ledger that would change something, with this in their path."""
    assert sandbox.world
    return [entry for entry in sandbox.world.ledger if entry["method"] != "GET" and part in entry["path"]]


async def test_a_break_in_from_the_first_words_to_a_locked_account(windows: DemoWindows, sandbox: Sandbox) -> None:
    """Which runbook is asked; who it is, is found; the ban needs another person, is done, seen, and can be taken back."""
    require_axe()
    assert sandbox.world
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="none")
    await write(page, "clerk emergency")
    await page.get_by_role("button", name="1 reply").click()
    thread = page.get_by_role("complementary", name="Thread")
    await expect(thread).to_contain_text("The people responsible know")
    guide = page.get_by_role("region", name="Your first incident")
    await expect(guide).to_contain_text("Its room is private")
    await windows.photograph(page, "answered-without-a-name")
    await page.get_by_role("button", name="Close thread").click()
    await page.get_by_role("button", name=re.compile("inc-.*private")).first.click()
    await expect(room_name(page)).to_be_visible()
    card = card_of(page)
    await expect(card).to_contain_text(re.compile("Runbook ?not chosen yet"))
    for title in ("Complete auth outage", "Performance degradation", "Security incident", "Webhook processing failure"):
        await expect(card.get_by_role("button", name=title)).to_be_visible()
    await expect(guide).to_contain_text("Several runbooks fit these words")
    await look(windows, page, "which-of-the-four", card.get_by_role("button", name="Security incident"))
    other = await phone_in(windows, page)
    others = card_of(other)
    await others.get_by_role("button", name="Acknowledge").click()
    await expect(others.get_by_role("button", name="Acknowledge")).to_have_count(0)

    await card.get_by_role("button", name="Security incident").click()
    await expect(card).to_contain_text("Lock compromised accounts")
    await expect(card.get_by_role("button", name="Diagnose again")).to_be_visible()
    await expect(guide).to_contain_text("What it found is in the card under Diagnosis")
    await look(windows, page, "the-checklist", step_of(card, "Ban the user", "Run…"))

    await step_of(card, "Find the account", "Run…").click()
    form = page.get_by_role("dialog")
    await form.get_by_role("textbox").fill("2demo@sandbox.example")
    await form.get_by_role("button", name=re.compile("^(Preview|Run)$")).click()
    await expect(form).to_have_count(0)
    await expect(run_of(page, "Find")).to_contain_text("This is user_2demo, with 7 active sessions")
    await step_of(card, "Ban the user", "Run…").click()
    await form.get_by_role("textbox").fill("user_2demo")
    await windows.photograph(page, "whom")
    await form.get_by_role("button", name="Preview").click()
    await expect(form).to_have_count(0)

    asked = run_of(page, "Ban a user")
    await expect(asked).to_contain_text("What would happen: user_2demo is banned")
    for number in range(1, SESSIONS + 1):
        await expect(asked).to_contain_text(f"sess_2demo{number:04}")
    await expect(asked).to_contain_text("Needs a second person")
    await expect(asked.get_by_role("button")).to_contain_text(
        ["Approve: Ban the user", "Deny", "Cancel", "Go on without a second person…"]
    )
    await expect(card).to_contain_text("Ban a user: waits for a second person, asked for by @Developer")
    await look(windows, page, "the-preview", asked)
    await asked.get_by_role("button", name="Approve").click()
    await press_in_dialog(page, "Ban the user")
    await expect(page.get_by_role("main")).to_contain_text("somebody else has to approve it")
    assert not called(sandbox, "/ban")

    answer = run_of(other, "Ban a user")
    await expect(answer).to_contain_text("What would happen: user_2demo is banned")
    await answer.get_by_role("button", name="Approve").click()
    await expect(other.get_by_role("dialog")).to_contain_text("Approve exactly this?")
    await windows.photograph(other, "exactly-this")
    sandbox.world.latency_s = 3.0  # it is not over before both windows have been looked at
    await press_in_dialog(other, "Ban the user")
    await expect(asked).to_contain_text("Running")
    await expect(asked.get_by_role("button", name="Stop")).to_be_visible()
    await look(windows, page, "under-way", asked)
    sandbox.world.latency_s = 0.0
    await expect(asked).to_contain_text("✅ user_2demo is banned and has no sessions any more")
    await expect(asked).to_contain_text(re.compile("Approved by ?@On-call engineer"))
    await expect(asked.get_by_role("button", name="Undo…")).to_be_visible()
    assert len(called(sandbox, "/ban")) == 1
    await expect(card).to_contain_text("✅ user_2demo is banned")
    await look(windows, page, "the-result", asked)
    await expect(answer.get_by_role("button", name="Undo…")).to_be_visible()
    await look(windows, other, "the-result-for-the-other", answer)
    await look(windows, page, "the-step", card.get_by_text("3a.").first)
    await asked.get_by_role("button", name="2 replies").click()
    await expect(thread.get_by_role("link", name="Ban a user: the whole result")).to_be_visible()
    await windows.photograph(page, "the-thread")
    await page.get_by_role("button", name="Close thread").click()

    await asked.get_by_role("button", name="Undo…").click()
    undo = run_of(page, "Lift the ban of a user")
    await expect(undo).to_contain_text("user_2demo can sign in again")
    await look(windows, page, "the-undo", undo)
    assert not called(sandbox, "/unban")
    await undo.get_by_role("button", name="Lift the ban").click()
    await expect(undo).to_contain_text("✅ user_2demo is not banned and can sign in")
    await expect(asked).to_contain_text("↩️ Taken back at")
    assert len(called(sandbox, "/unban")) == 1
    await look(windows, page, "taken-back", asked)


async def bypass_is_on(windows: DemoWindows, sandbox: Sandbox, *, photographed: bool) -> tuple[Page, Page]:
    """The windows of both: one has asked for the bypass for 15 minutes, the other has approved it, and it was seen to be on."""

    async def keep(name: str, message: Any) -> None:
        if photographed:
            await look(windows, page, name, message)

    assert sandbox.world
    sandbox.world.set("clerk_status", "down")
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="none")
    await open_the_room(page)
    other = await phone_in(windows, page)
    await card_of(other).get_by_role("button", name="Acknowledge").click()
    card = card_of(page)
    await card.get_by_role("button", name="Clerk outage (suggested)").click()
    await step_of(card, "Enable emergency bypass (if safe)", "Run…").click()
    form = page.get_by_role("dialog")
    await expect(form).to_contain_text("every route is open to everyone")
    await form.get_by_label("Minutes").fill("15")
    await keep("how-long", form)
    await form.get_by_role("button", name="Preview").click()
    await expect(form).to_have_count(0)
    asked = run_of(page, BYPASS)
    await expect(asked).to_contain_text("is bypassed for 15 minutes; then it is turned off by itself")
    await expect(asked).to_contain_text("Needs a second person")
    await keep("the-preview", asked)
    assert not called(sandbox, "/env")
    with building(sandbox):
        await run_of(other, BYPASS).get_by_role("button", name="Approve").click()
        await press_in_dialog(other, "Turn the bypass on")
        await expect(asked).to_contain_text("Running: ")
        await expect(asked).to_contain_text("may be on until")
        await keep("under-way", asked)
    for window in (page, other):
        await expect(run_of(window, BYPASS)).to_contain_text("✅ The emergency bypass is on", timeout=BUILD_MS)
        await expect(run_of(window, BYPASS)).to_contain_text("with the header X-Auth-Bypass")
        await expect(card_of(window)).to_contain_text(ON)
    assert called(sandbox, "/env")
    await keep("on", asked)
    await keep("on-in-the-card", card.get_by_role("button", name="Turn off now").first)
    return page, other


async def seen_off(page: Page) -> None:
    """This window says that it was taken back, and that this was seen."""
    run = run_of(page, BYPASS)
    await expect(run).to_contain_text("↩️ Taken back at", timeout=BUILD_MS)
    await expect(run).to_contain_text("The emergency bypass is off")
    await expect(card_of(page)).not_to_contain_text(ON)
    await expect(page.get_by_role("button", name="Turn off now")).to_have_count(0)


async def test_the_emergency_bypass_is_turned_on_by_two_and_off_by_one(windows: DemoWindows, sandbox: Sandbox) -> None:
    """The card says that it is on, until when, and has the button; off is said when it was seen."""
    require_axe()
    page, other = await bypass_is_on(windows, sandbox, photographed=True)
    with building(sandbox):
        await card_of(other).get_by_role("button", name="Turn off now").click()
        await press_in_dialog(other, "Turn off now")
        going = card_of(page).get_by_text("is being taken back, asked for by")
        await expect(going).to_be_visible()
        await windows.photograph(page, "being-taken-back")
    await seen_off(other)
    await seen_off(page)
    await look(windows, page, "off", run_of(page, BYPASS))


async def test_the_emergency_bypass_turns_itself_off(windows: DemoWindows, sandbox: Sandbox) -> None:
    """Nobody presses anything; when its time is over, both windows say that it was taken back."""
    require_axe()
    page, other = await bypass_is_on(windows, sandbox, photographed=False)
    await page.get_by_role("button", name="World", exact=True).click()
    await page.get_by_role("button", name="+15 min").click()
    await page.get_by_role("button", name="Close the world panel").click()
    await seen_off(other)
    await seen_off(page)
    await look(windows, other, "off-by-itself", run_of(other, BYPASS))
