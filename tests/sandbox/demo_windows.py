"""Windows on what ``make demo`` starts (the sandbox, and the unmodified bot as a process of its own). For ``test_story*.py``.

A test module imports the fixtures and marks itself with ``ONE_LOOP``, as with ``browsing``. Whatever goes wrong in a window, a
console error or a request that fails, is told at the end of the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.sandbox.server import Sandbox
from bot.terminal.demo import BotProcess, demo_workspace
from tests.sandbox.browsing import PATIENCE_S, Windows
from tests.sandbox.looks import faults_by_axe, faults_of_layout

if importlib.util.find_spec("playwright"):
    from playwright.async_api import Browser, BrowserContext, Page, expect

READY_S = 60.0
"""So long the bot may take to start there."""


@dataclass
class DemoWindows(Windows):
    """Windows on the demo. ``faults`` also has the requests that failed or were answered with 400 and more, and what is wrong
    with the looks of a screen."""

    folder: Path = Path()
    """Where the photographs are."""
    photographs: int = 0

    async def _profile(self, size: dict[str, int], scheme: str) -> BrowserContext:
        context = await super()._profile(size, scheme)
        context.on("requestfailed", self._failed)
        context.on("response", lambda answer: answer.status >= 400 and self.faults.append(f"{answer.url}: {answer.status}"))
        return context

    def _failed(self, request: Any) -> None:
        # What the page itself breaks off (it is loaded anew, or somebody else's stream is taken) is no fault; a server that drops
        # a request has other words for it.
        if "ERR_ABORTED" not in str(request.failure):
            self.faults.append(f"{request.url}: {request.failure}")

    async def photograph(self, page: Page, name: str, *, axe: bool = True) -> None:
        """Keep this screen as a numbered picture, and judge it. Call it when nothing is on its way to the screen."""
        self.photographs += 1
        picture = self.folder / f"{self.photographs:02}-{name}.png"
        await page.screenshot(path=picture, animations="disabled")
        faults = [*await faults_of_layout(page), *(await faults_by_axe(page) if axe else ())]
        self.faults.extend(f"{picture.name}: {fault}" for fault in faults)


@contextlib.asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[Sandbox]:
    """The workspace of ``make demo`` with its bot ready.

    Slack's 3 s for an answer and for a form are longer here: a story is about what happens, not about how fast.
    """
    bot: BotProcess
    with pytest.MonkeyPatch.context() as patient:
        patient.setattr("bot.terminal.demo.READY_TIMEOUT_S", READY_S)
        patient.setattr("bot.sandbox.triggers.LIFETIME_S", PATIENCE_S)
        async with demo_workspace(folder, port=0) as (sandbox, bot):
            sandbox.courier.timeout_s = PATIENCE_S
            await bot.wait_until_ready(asyncio.Event())
            yield sandbox


@contextlib.asynccontextmanager
async def windows_on(chromium: Browser, sandbox: Sandbox, folder: Path) -> AsyncIterator[DemoWindows]:
    """Windows that are closed at the end. Nothing went wrong in any of them, and nothing was asked of the outside."""
    made = DemoWindows(chromium, sandbox.url, folder=folder)
    print(f"photographs: {folder}")
    try:
        yield made
        faults, foreign = list(made.faults), list(made.foreign)  # closing cuts the event streams
    finally:
        for context in made.contexts:
            await context.close()
    assert not faults, "\n".join([str(folder), *faults])
    assert not foreign, foreign


@pytest_asyncio.fixture(loop_scope="module", name="sandbox")
async def demo_sandbox(chromium: Browser, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A demo for this test alone, once it is known that there is a browser."""
    folder = tmp_path / "demo"
    folder.mkdir()
    async with demo(folder) as sandbox:
        yield sandbox


@pytest_asyncio.fixture(loop_scope="module", name="windows")
async def demo_windows(chromium: Browser, sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[DemoWindows]:
    """Windows on it."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    async with windows_on(chromium, sandbox, folder) as made:
        yield made


def room_name(page: Page) -> Any:
    """The heading over the messages while an incident's room is shown."""
    return page.get_by_role("heading", level=1, name=re.compile(r"^inc-"))


async def open_the_room(page: Page, words: str = "auth not working") -> str:
    """Say the words in #support and follow the link of the answer into the room; returns the room's id when all is diagnosed.

    By clicks and keys alone.
    """
    box = page.get_by_role("textbox", name="Message #support")
    await box.fill(words)
    await box.press("Enter")
    await page.get_by_role("button", name="1 reply").click()
    thread = page.get_by_role("complementary", name="Thread")
    await thread.get_by_role("button", name=re.compile(r"^#inc-")).click()
    await expect(room_name(page)).to_be_visible()
    await expect(page.get_by_role("button", name="Diagnose again")).to_be_visible()
    found = re.search(r"channel=(\w+)", page.url)
    assert found, page.url
    return found[1]


def card_of(page: Page) -> Any:
    """The card of the room that is shown."""
    return page.get_by_role("main").get_by_role("article").filter(has=page.get_by_role("heading", level=2))


def step_of(card: Any, title: str, button: str) -> Any:
    """The button of one open step of the card: the first of its name after the step's title."""
    return (
        card.get_by_role("button", name=button).locator(f"xpath=self::*[preceding::text()[normalize-space() = '{title}']]").first
    )
