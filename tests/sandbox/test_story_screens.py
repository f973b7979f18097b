"""The main screens at 1280 and 390 px, in light and dark: nothing is cut off, nothing overlaps, and axe finds nothing grave.

All look at one incident, which is opened before; nobody changes it.
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
    from playwright.async_api import Browser, Page, expect

pytestmark = [ONE_LOOP, pytest.mark.timeout(120), pytest.mark.slow]


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


@pytest.mark.parametrize("width", ["1280", "390"])
async def test_every_screen_fits_and_can_be_read(chromium: Browser, scene: Scene, tmp_path: Path, width: str) -> None:
    """The room, a picker, a form, the members, the commands, the world, the phones, a thread, the channels, and Home."""
    require_axe()
    size = WIDE if width == "1280" else NARROW
    async with windows_on(chromium, scene.sandbox, tmp_path) as windows:

        async def look(page: Page, name: str, *, axe: str = "light dark") -> None:
            """In both schemes. Places differ by width, colours by scheme: axe judges light at 1280 px and dark at 390."""
            for scheme, at in (("light", "1280"), ("dark", "390")):
                await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                await windows.photograph(page, f"{name}-{scheme}", axe=scheme in axe and width == at)

        page = await windows.open(DEVELOPER, scene.room, size=size, panel="none")
        card = card_of(page)
        await expect(page.get_by_role("button", name="Diagnose again")).to_be_visible()
        await card.get_by_role("heading", level=2).scroll_into_view_if_needed()
        await look(page, "room", axe="dark")  # the light one is in the story
        await page.get_by_role("button", name=re.compile("^Severity:")).click()
        await expect(page.get_by_role("option", name="SEV2")).to_be_visible()
        await look(page, "picker", axe="")
        await page.keyboard.press("Escape")
        await step_of(card, "Check application logs for errors", "Skip…").click()
        await expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
        await look(page, "form", axe="dark")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name=re.compile("members$")).click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await look(page, "members")
        await page.keyboard.press("Escape")
        box = page.get_by_role("textbox", name=re.compile("^Message "))
        await box.fill("/")
        await expect(page.get_by_role("option", name="/incident")).to_be_visible()
        await look(page, "commands", axe="")
        await box.fill("")

        page = await windows.open(SUPPORT, "C0SUPPORT", size=size, panel="world")
        await expect(page.get_by_role("complementary", name="World")).to_be_visible()
        await look(page, "world", axe="dark")
        await page.get_by_role("button", name="Close the world panel").click()
        await page.get_by_role("button", name="Phones", exact=True).click()
        await expect(page.get_by_role("complementary", name="Phones").get_by_text("On-call engineer").first).to_be_visible()
        await look(page, "phones")
        await page.get_by_role("button", name="Close the phones").click()
        await page.get_by_role("button", name="1 reply").click()
        await expect(page.get_by_role("complementary", name="Thread").get_by_text("is open")).to_be_visible()
        await look(page, "thread")
        await page.get_by_role("button", name="Close thread").click()
        if width == "390":
            await page.get_by_role("button", name="Channels", exact=True).click()
            await expect(page.get_by_role("button", name="channel general")).to_be_visible()
            await look(page, "channels")
        await page.get_by_role("button", name="Home").click()
        await expect(page.get_by_role("heading", level=1, name="Home")).to_be_visible()
        await look(page, "home")
