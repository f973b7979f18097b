"""The main screens at 1280 and 390 px, in light and dark: nothing is cut off, nothing overlaps, and axe finds nothing grave.

All four look at one incident, which the first of them opens; nobody changes it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.sandbox.seed import DEVELOPER, SUPPORT
from bot.sandbox.server import Sandbox
from tests.sandbox.browsing import NARROW, ONE_LOOP, WIDE, one_chromium  # noqa: F401 - a fixture among them
from tests.sandbox.demo_windows import card_of, demo, open_the_room, step_of, windows_on
from tests.sandbox.looks import require_axe

if importlib.util.find_spec("playwright"):
    from playwright.async_api import Browser, expect

pytestmark = [ONE_LOOP, pytest.mark.timeout(120)]


@dataclasses.dataclass(frozen=True)
class Scene:
    """A workspace in which Clerk is down, and the room of its incident."""

    sandbox: Sandbox
    room: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Opened as a person opens it; a call to the on-call engineer rings meanwhile."""
    async with demo(tmp_path_factory.mktemp("demo")) as sandbox:
        async with windows_on(chromium, sandbox, tmp_path_factory.mktemp("opening")) as windows:
            page = await windows.open(DEVELOPER, "C0SUPPORT", panel="world")
            await page.get_by_role("group", name="Clerk", exact=True).get_by_role("button", name="down").click()
            room = await open_the_room(page)
            await expect(page.get_by_role("button", name="Show the phones")).to_be_visible()
        yield Scene(sandbox, room)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["1280", "390"])
async def test_every_screen_fits_and_can_be_read(
    chromium: Browser, scene: Scene, tmp_path: Path, width: str, scheme: str
) -> None:
    """The room, a form, a picker, a menu, the members, the thread, Home, the world with its ledger, and the phones."""
    require_axe()
    size = WIDE if width == "1280" else NARROW
    # Places differ by width and colours by scheme: the dark ones are judged here, the light ones of the large screens in the story.
    dark, light = (width, scheme) == ("390", "dark"), (width, scheme) == ("1280", "light")
    async with windows_on(chromium, scene.sandbox, tmp_path) as windows:
        page = await windows.open(DEVELOPER, scene.room, size=size, scheme=scheme, panel="none")
        card = card_of(page)
        await expect(page.get_by_role("button", name="Diagnose again")).to_be_visible()
        await card.get_by_role("heading", level=2).scroll_into_view_if_needed()
        await windows.photograph(page, "room", axe=dark)

        await page.get_by_role("button", name=re.compile("^Severity:")).click()
        await expect(page.get_by_role("option", name="SEV2")).to_be_visible()
        await windows.photograph(page, "picker", axe=False)
        await page.keyboard.press("Escape")
        await step_of(card, "Check application logs for errors", "Skip…").click()
        await expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
        await windows.photograph(page, "form", axe=dark)
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name=re.compile("members$")).click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await windows.photograph(page, "members", axe=dark or light)
        await page.keyboard.press("Escape")

        box = page.get_by_role("textbox", name=re.compile("^Message "))
        await box.fill("/")
        await expect(page.get_by_role("option", name="/incident")).to_be_visible()
        await windows.photograph(page, "commands", axe=False)
        await box.fill("")

        for name, pane in (("world", "World"), ("phones", "Phones")):
            page = await windows.open(SUPPORT, "C0SUPPORT", size=size, scheme=scheme, panel=name)
            await expect(page.get_by_role("complementary", name=pane)).to_be_visible()
            await windows.photograph(page, name, axe=dark or (light and name == "phones"))
        await page.get_by_role("button", name="Close the phones").click()
        await page.get_by_role("button", name="1 reply").click()
        await expect(page.get_by_role("complementary", name="Thread").get_by_text("is open")).to_be_visible()
        await windows.photograph(page, "thread", axe=dark or light)
        await page.get_by_role("button", name="Close thread").click()
        if width == "390":
            await page.get_by_role("button", name="Channels", exact=True).click()
            await expect(page.get_by_role("button", name="channel general")).to_be_visible()
            await windows.photograph(page, "channels", axe=dark or light)
        await page.get_by_role("button", name="Home").click()
        await expect(page.get_by_role("heading", level=1, name="Home")).to_be_visible()
        await windows.photograph(page, "home", axe=dark or light)
