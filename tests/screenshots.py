"""Pictures of the main screens for the documents: ``make screenshots`` writes them to docs/img/.

Stories are played by the real bot in the sandbox, and photographed in a real browser: an outage from the first words to resolved,
a night in which nobody answers until one does, an account that is locked by two people, and the emergency bypass. A program of
its own, no test: run it when the page or a card has changed, and look at what it wrote. Without Chromium it says so and writes
nothing. ``python -m tests.screenshots a_break_in`` plays only the stories that are named.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from bot.sandbox.seed import DEVELOPER, ONCALL, SUPPORT
from bot.sandbox.server import Sandbox
from bot.terminal.demo import demo_workspace
from tests.conftest import ROOT

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

IMAGES = ROOT / "docs" / "img"
WIDE = {"width": 1280, "height": 860}
TALL = {"width": 1280, "height": 1480}
NARROW = {"width": 390, "height": 844}
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
READY_S = 20.0
BUILD_S = 60.0
NIGHT_STEP_S = 15.0
NIGHT_STEPS = 4 * 60
WORDS = "auth not working"
TO_TOP = """article => {
  let list = article.parentElement;
  while (!/auto|scroll/.test(getComputedStyle(list).overflowY)) list = list.parentElement;
  list.scrollTop += article.getBoundingClientRect().top - list.getBoundingClientRect().top;
}"""
"""Exactly: the page itself leaves the end of the message before in sight."""
SEEN = {
    "muster-sandbox-hint-dismissed": "1",
    "muster-sandbox-guide": '{"shown":false,"from_s":0,"known":[],"room":null,"skipped":[0,1,2],"seen":{}}',
}
"""What a browser remembers of somebody who needs neither the hint nor the guide."""


@dataclass
class Stage:
    """A workspace with the bot in it, and the browser that it is looked at with."""

    sandbox: Sandbox
    browser: Browser

    @contextlib.asynccontextmanager
    async def page(
        self, user: str, channel: str, *, size: dict[str, int] = WIDE, dark: bool = False, panel: str = "none", thread: str = ""
    ) -> AsyncIterator[Page]:
        """One window of one person."""
        context = await self.browser.new_context(
            viewport=size,  # type: ignore[arg-type]
            color_scheme="dark" if dark else "light",
            timezone_id="Europe/Berlin",
            locale="en-GB",
            reduced_motion="reduce",
        )
        for name, value in SEEN.items():
            await context.add_init_script(f"localStorage.setItem({name!r}, {value!r})")
        page = await context.new_page()
        found = self.sandbox.workspace.channel(channel)
        where = {"user": user, "channel": found.id, "panel": panel} | ({"thread": thread} if thread else {})
        await page.goto(f"{self.sandbox.url}/#{urlencode(where)}")
        await page.get_by_role("main").locator("article").first.wait_for()
        yield page
        await context.close()

    async def picture(self, name: str, user: str, channel: str, **options: Any) -> None:
        """One window, as it is when it has drawn everything."""
        start = options.pop("start", "")
        async with self.page(user, channel, **options) as page:
            await shoot(page, name, start=start)

    async def wait(self, predicate: Callable[[], Any], what: str, timeout_s: float = READY_S) -> Any:
        """The first true answer."""
        return await self.sandbox.wait_for(predicate, timeout_s, what)

    async def opened(self, user: str, words: str) -> str:
        """Somebody says it, the room is ready, its diagnosis is made; its name."""
        people = self.sandbox.workspace
        before = {channel.id for channel in people.channels}
        if words.startswith("/"):
            await people.command(user, "support", words)
        else:
            await people.say(user, "support", words)

        def room() -> Any:
            new = [one for one in people.channels if one.id not in before and one.name.startswith("inc-")]
            return new[0].name if new and people.messages(new[0].name) else None

        found: str = await self.wait(room, "the room")
        await self.wait(lambda: "run_diagnostics" in str(self.card(found)), "the diagnosis")
        return found

    def card(self, room: str) -> dict[str, Any]:
        """The first message of a room."""
        return self.sandbox.workspace.messages(room)[0]

    async def press(self, user: str, room: str, action_id: str, block_id: str | None = None, **choice: Any) -> None:
        """Use something on the card, and wait until the card has changed."""
        before = self.card(room)["blocks"]
        await self.sandbox.workspace.click(user, room, self.card(room)["ts"], action_id, block_id, **choice)
        await self.wait(lambda: self.card(room)["blocks"] != before, f"the card after {action_id}")

    async def ask(self, user: str, room: str, step: str, values: dict[str, Any]) -> dict[str, Any]:
        """Run a step of the card with this in its form (``{field: value}``); the message of the run, with its preview."""
        before = {message["ts"] for message in self.sandbox.workspace.messages(room)}
        await self.sandbox.workspace.click(user, room, self.card(room)["ts"], "run_step", f"do:{step}")
        view = (await self.wait(lambda: self.sandbox.workspace.views(user), "the form"))[-1]
        given = {f"param:{name}": {"value": value} for name, value in values.items()}
        sent = await self.sandbox.workspace.submit_view(user, view["id"], given)
        if not sent.ok:
            raise ValueError(f"The form of {step} was refused: {sent.errors or sent.error}")
        return await self.shows(room, "What would happen", before=before)

    async def shows(self, room: str, words: str, *, before: Collection[str] = (), timeout_s: float = READY_S) -> dict[str, Any]:
        """The newest message below the card with these words in it, as soon as there is one. ``before``: the ts of older ones."""

        def look() -> dict[str, Any] | None:
            messages = self.sandbox.workspace.messages(room)[1:]
            return next((one for one in reversed(messages) if one["ts"] not in before and words in str(one)), None)

        found: dict[str, Any] = await self.wait(look, f"“{words}”", timeout_s)
        return found

    async def until_it_rings(self, name: str) -> None:
        """Let the night pass, in steps, until this person's telephone rings."""
        for _ in range(NIGHT_STEPS):
            if name in self.sandbox.ringing:
                return
            await self.sandbox.clock.advance(NIGHT_STEP_S)
            await asyncio.sleep(0.2)  # what has become due is done by another process
        raise TimeoutError(f"The telephone of {name} never rang; there rang {self.sandbox.ringing or 'none'}")


async def shoot(page: Page, name: str, *, start: str = "") -> None:
    """Write docs/img/<name>.png. ``start``: from the message with this ts on, instead of the newest messages."""
    await page.evaluate("document.fonts.ready")
    if start:
        message = page.get_by_role("main").locator(f'article[data-ts="{start}"]')
        await message.evaluate(TO_TOP)
    await page.mouse.move(0, 0)
    await page.wait_for_timeout(300)
    await page.screenshot(path=IMAGES / f"{name}.png", animations="disabled", caret="hide")
    sys.stdout.write(f"  docs/img/{name}.png\n")


# -- the stories -------------------------------------------------------------------------------------------------------


async def an_outage(stage: Stage) -> None:
    """From the first words to resolved, with Clerk down."""
    people = stage.sandbox.workspace
    assert stage.sandbox.world is not None
    stage.sandbox.world.set("clerk_status", "down")
    room = await stage.opened("support-agent", WORDS)
    asked = await stage.wait(lambda: [one for one in people.messages("support") if one.get("reply_count")], "the answer")
    await stage.picture("thread", SUPPORT, "support", thread=asked[0]["ts"])
    card = stage.card(room)["ts"]
    await stage.picture("page", ONCALL, room, panel="world", start=card)
    await stage.press("oncall", room, "acknowledge", "incident")
    await stage.press("oncall", room, "tick", "do:confirm")
    await stage.press("oncall", room, "tick", "do:logs")
    await stage.press("oncall", room, "choose_branch:0")
    await stage.picture("room", ONCALL, room, size=TALL, start=card)
    await stage.picture("room-dark", ONCALL, room, size=TALL, dark=True, start=card)
    await stage.picture("narrow", ONCALL, room, size=NARROW, start=card)
    async with stage.page(ONCALL, room) as page:
        await people.click("oncall", room, card, "escalate")
        await page.get_by_role("dialog").wait_for()
        await shoot(page, "modal", start=card)
        await people.close_view("oncall", people.views("oncall")[-1]["id"], clear=True)
    stage.sandbox.world.set("clerk_status", "operational")
    await stage.press("oncall", room, "resolve")
    await stage.picture("resolved", ONCALL, room, panel="world", start=card)


async def a_night(stage: Stage) -> None:
    """SEV1, and nobody answers: one telephone after the other rings, until one is answered."""
    room = await stage.opened("developer", WORDS)
    await stage.until_it_rings("Engineering lead")
    await stage.picture("phones", ONCALL, room, panel="phones")
    await stage.picture("phones-dark", ONCALL, room, panel="phones", dark=True)
    await stage.until_it_rings("CTO")
    async with stage.page(ONCALL, room, panel="phones") as page:
        phone = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="CTO"))
        await phone.get_by_role("button", name="Answer").click()
        await phone.get_by_role("button", name="Press 1").click()
        await page.get_by_role("main").get_by_text(re.compile("by phone", re.IGNORECASE)).last.wait_for()
        await shoot(page, "answered")


async def a_break_in(stage: Stage) -> None:
    """One asks for an account to be locked, another one approves it; it can be undone."""
    people = stage.sandbox.workspace
    room = await stage.opened("developer", "/incident unauthorized access detected")
    await stage.press("oncall", room, "acknowledge", "incident")
    await stage.shows(room, "has it.")
    asked = await stage.ask("developer", room, "lock", {"user_id": "user_2demo"})
    await stage.picture("approval", ONCALL, room)
    await people.click("oncall", room, asked["ts"], "confirm_run")
    await stage.shows(room, "undo_run")
    await stage.wait(lambda: "whole result (" in str(people.messages(room, thread_ts=asked["ts"])), "the file")
    await stage.picture("undo", DEVELOPER, room, thread=asked["ts"])


async def an_open_door(stage: Stage) -> None:
    """The emergency bypass, on for an hour."""
    people = stage.sandbox.workspace
    assert stage.sandbox.world is not None
    stage.sandbox.world.set("clerk_status", "down")
    room = await stage.opened("developer", WORDS)
    await stage.press("oncall", room, "acknowledge", "incident")
    await stage.press("oncall", room, "take_command", "incident")
    await stage.press("oncall", room, "choose_branch:0")
    asked = await stage.ask("oncall", room, "bypass", {})
    await people.click("developer", room, asked["ts"], "confirm_run")
    await stage.shows(room, "with the header X-Auth-Bypass", timeout_s=BUILD_S)
    await stage.wait(lambda: "is ON" in str(stage.card(room)), "the card")
    await stage.picture("bypass", ONCALL, room, start=stage.card(room)["ts"])


STORIES = (an_outage, a_night, a_break_in, an_open_door)


async def main(names: list[str]) -> int:
    """Play and photograph all of them, or those that are named."""
    known = {story.__name__: story for story in STORIES}
    if unknown := set(names) - set(known):
        sys.stdout.write(f"There is no story {', '.join(sorted(unknown))}; there are {', '.join(known)}\n")
        return 2
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        sys.stdout.write("Skipped: needs Chromium: sudo apt-get install -y chromium\n")
        return 0
    if not importlib.util.find_spec("playwright"):
        sys.stdout.write("Skipped: needs Playwright for Python: .venv/bin/pip install playwright\n")
        return 0
    from playwright.async_api import async_playwright

    IMAGES.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        for story in [known[name] for name in names] or STORIES:
            with tempfile.TemporaryDirectory(prefix="muster-pictures-") as folder:
                async with demo_workspace(Path(folder), port=0) as (sandbox, bot):
                    await bot.wait_until_ready(asyncio.Event())
                    await story(Stage(sandbox, browser))
        await browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
