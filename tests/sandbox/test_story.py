"""The story of two incidents as people live it: clicks and keys in a real browser, the bot as in production, and no short cut.

From “auth not working” in #support to resolved, and from a form to a revoke that somebody approves. Each screen is asserted,
photographed, and judged (``looks``). The same screens in other sizes are in ``test_story_screens.py``, the keyboard in
``test_story_keyboard.py``.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import pytest

from bot.sandbox.seed import DEVELOPER, SUPPORT
from bot.sandbox.server import Sandbox
from tests.sandbox.browsing import ONE_LOOP, one_chromium, row, write  # noqa: F401 - a fixture among them
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

pytestmark = [ONE_LOOP, pytest.mark.timeout(120), pytest.mark.slow]


async def be(page: Page, name: str) -> None:
    """Go on as somebody else."""
    await page.get_by_role("button", name=f"Be {name}").click()
    await expect(page.get_by_role("button", name=f"Be {name}")).to_have_attribute("aria-pressed", "true")


async def choose(page: Page, control: str, option: str) -> None:
    """Pick from one of Slack's menus."""
    await page.get_by_role("button", name=re.compile(f"^{control}:")).click()
    await page.get_by_role("option", name=option).click()


def dialog_of(page: Page, title: str) -> Any:
    """The form with this title."""
    return page.get_by_role("dialog", name=title)


async def test_an_outage_from_the_first_words_to_resolved(windows: DemoWindows) -> None:
    """Clerk is down: the room with its diagnosis, three ticks, the suggested branch, a commander, another severity, resolved."""
    require_axe()
    page = await windows.open(SUPPORT, "C0SUPPORT", panel="world")
    clerk = page.get_by_role("group", name="Clerk", exact=True)
    await clerk.get_by_role("button", name="down").click()
    await expect(page.get_by_role("status").filter(has_text="1 switch is not good.")).to_be_visible()
    await windows.photograph(page, "clerk-is-down")
    await page.get_by_role("button", name="Close the world panel").click()

    await open_the_room(page)
    card = card_of(page)
    await expect(card.get_by_role("heading", name="SEV1 · auth not working")).to_be_visible()
    await expect(card).to_contain_text(re.compile(r"Clerk status page: ?failing"))
    await expect(card).to_contain_text(re.compile(r"Our health endpoint: ?ok"))
    await expect(card).to_contain_text("0 of 6 steps")
    await expect(page.get_by_role("link", name="Clerk status").first).to_have_attribute("href", "https://status.clerk.com")
    await windows.photograph(page, "the-room")

    await be(page, "On-call engineer")
    await card.get_by_role("button", name="Acknowledge").click()
    await expect(row(page, "has it.")).to_contain_text("On-call engineer")
    await expect(card.get_by_role("button", name="Acknowledge")).to_have_count(0)
    for number, title in enumerate(("Confirm outage", "Check application logs for errors", "Verify environment variables"), 1):
        await step_of(card, title, "Done").click()
        await expect(card).to_contain_text(f"{number} of 6 steps")
    await expect(card.get_by_role("button", name=re.compile("^(Undo|Untick)$"))).to_have_count(3)
    await windows.photograph(page, "three-ticks")

    await expect(card).to_contain_text("The evidence suggests Clerk outage because “Clerk status page” is failing.")
    await card.get_by_role("button", name="Clerk outage (suggested)").click()
    await expect(card).to_contain_text("Enable emergency bypass (if safe)")
    await expect(card).to_contain_text("Notify users via status page")
    await expect(card.get_by_role("button", name="Clerk outage (suggested)")).to_have_count(0)
    await windows.photograph(page, "the-suggested-branch")

    box = page.get_by_role("textbox", name=re.compile("^Message "))
    await box.press_sequentially("/inci")
    await box.press("Tab")
    await box.press_sequentially("assign @engineering")
    await expect(page.get_by_role("option", name="@engineering-lead")).to_be_visible()
    await windows.photograph(page, "a-command-is-completed")
    await box.press("Tab")
    await box.press_sequentially("commander")
    await box.press("Enter")
    await expect(row(page, "is incident commander.")).to_contain_text("Only visible to you")
    await expect(card).to_contain_text(re.compile("Incident commander ?@Engineering lead"))

    await choose(page, "Severity", "SEV2")
    await expect(card.get_by_role("heading", name="SEV2 · auth not working")).to_be_visible()
    await expect(card).to_contain_text("SEV2 High")
    await choose(page, "Change status", "Monitoring")
    await expect(card).to_contain_text(re.compile("Status ?👀 monitoring"))

    await card.get_by_role("button", name="Resolve", exact=True).click()
    await expect(card).to_contain_text(re.compile("Status ?🟢 resolved"))
    await expect(card.get_by_role("button", name="Reopen")).to_be_visible()
    await expect(card.get_by_role("button", name="Done")).to_have_count(0)
    await windows.photograph(page, "resolved")

    await page.get_by_role("button", name=re.compile("channel incidents")).click()
    await expect(row(page, "SEV2 · auth not working")).to_contain_text("Resolved")
    await windows.photograph(page, "announced")


async def test_a_revoke_is_previewed_approved_and_done(windows: DemoWindows, sandbox: Sandbox) -> None:
    """A security incident by the form; a wrong user is refused beside the field; nothing happens before the confirmation."""
    require_axe()
    page = await windows.open(DEVELOPER, "C0SUPPORT", panel="none")
    await write(page, "/incident")
    form = dialog_of(page, "Open an incident")
    await form.get_by_label("What is broken?").fill("unauthorized access detected")
    await choose(page, "Runbook", "Security incident")
    await choose(page, "Severity", "SEV1")
    await windows.photograph(page, "declaring")
    await form.get_by_role("button", name="Open", exact=True).click()
    await form.get_by_role("button", name=re.compile(r"^🔒inc-")).click()
    await form.get_by_role("button", name="Close").last.click()
    await expect(form).to_have_count(0)
    await expect(room_name(page)).to_be_visible()
    card = card_of(page)
    await expect(card).to_contain_text("Security incident")
    await step_of(card, "Of one user", "Run…").click()

    form = page.get_by_role("dialog")
    user = form.get_by_role("textbox")
    await user.fill("somebody")
    await form.get_by_role("button", name="Preview").click()
    await expect(form.get_by_role("alert")).to_contain_text("it looks like user_")
    await windows.photograph(page, "a-wrong-user")
    await user.fill("user_2demo")
    await form.get_by_role("button", name="Preview").click()
    await expect(form).to_have_count(0)

    run = page.get_by_role("main").get_by_role("article").filter(has_text="asked for by").last
    await expect(run).to_contain_text("What would happen:")
    approve = run.get_by_role("button", name="End 7 sessions")
    await expect(approve).to_be_visible()
    assert not [entry for entry in sandbox.world.ledger if "revoke" in str(entry)]  # type: ignore[union-attr]
    await windows.photograph(page, "the-preview")

    await be(page, "On-call engineer")
    await approve.click()
    await expect(run).to_contain_text(re.compile("Confirmed by ?@On-call engineer"))
    await expect(run).to_contain_text("finished at")
    await expect(approve).to_have_count(0)
    assert [entry for entry in sandbox.world.ledger if "revoke" in str(entry)]  # type: ignore[union-attr]
    await windows.photograph(page, "revoked")

    await card.get_by_role("button", name="Resolve", exact=True).click()
    await expect(card).to_contain_text(re.compile("Status ?🟢 resolved"))

    await page.get_by_role("button", name="World", exact=True).click()
    ledger = page.get_by_role("region", name="Ledger")
    await ledger.get_by_role("button", name=re.compile("^Clerk [0-9]")).click()
    await expect(ledger.get_by_role("listitem").filter(has_text="/revoke")).to_have_count(7)
    await windows.photograph(page, "the-ledger")
