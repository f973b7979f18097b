"""Browser windows on a sandbox with a tiny bot, for the tests of the page (``test_page*.py``). Skipped without a Chromium.

A test module imports the fixtures and marks itself with ``ONE_LOOP``: one event loop for the module, so that one Chromium serves
all its tests. Each test has a workspace and browser profiles of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
import re
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.ports import HeldPort
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from tests.sandbox.tiny_bot import SIGNING_SECRET, TOKEN, Received, TinyBot, manifest

if importlib.util.find_spec("playwright"):
    from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
PATIENCE_S = 20.0
"""How long anything may take, at most, on a machine that has other things to do."""

Answer = TypeVar("Answer")

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

CONTROLS = "button, a, input, textarea, summary"
UNNAMED = f"[...document.querySelectorAll('{CONTROLS}')].filter(e => !(e.textContent.trim() || e.ariaLabel)).length"
BEYOND = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="chromium")
async def one_chromium() -> AsyncIterator[Browser]:
    """One headless Chromium for all tests of the module."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium: sudo apt-get install -y chromium")
    if not importlib.util.find_spec("playwright"):
        pytest.skip("needs Playwright for Python: .venv/bin/pip install playwright")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        expect.set_options(timeout=PATIENCE_S * 1000)
        yield browser
        expect.set_options(timeout=None)
        await browser.close()


class PatientSandbox(Sandbox):
    """One that waits for a browser as long as the browser is waited for."""

    async def wait_for(self, predicate: Callable[[], Answer], timeout_s: float = PATIENCE_S, what: str = "") -> Answer:
        """See ``Sandbox``."""
        return await super().wait_for(predicate, timeout_s, what)


@pytest_asyncio.fixture(loop_scope="module", name="world")
async def page_world() -> World:
    """Clerk, Vercel and the rest, with their switches."""
    return World()


@pytest_asyncio.fixture(loop_scope="module", name="sandbox")
async def page_sandbox(world: World) -> AsyncIterator[Sandbox]:
    """A workspace with the world beside it. It waits longer for the bot than Slack does: no test here is about that."""
    made = PatientSandbox(
        signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest(), world=world, ack_timeout_s=PATIENCE_S
    )
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module", name="bot")
async def page_bot(sandbox: Sandbox) -> AsyncIterator[TinyBot]:
    """A bot that the sandbox delivers to."""
    made = TinyBot()
    sandbox.bot_url = await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module", name="slack")
async def page_slack(sandbox: Sandbox, bot: TinyBot) -> AsyncIterator[AsyncWebClient]:
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
        self,
        user: str,
        channel: str,
        *,
        size: dict[str, int] = WIDE,
        scheme: str = "light",
        url: str = "",
        panel: str = "none",
        beside: Page | None = None,
        script: str = "",
        **more: str,
    ) -> Page:
        """The page as this user in this channel; returns when the channel is shown, with its messages.

        With ``beside`` it is one more tab of that page's profile; ``more`` goes into the address (thread, message, home).
        ``script`` runs before anything of the page's.
        """
        context = beside.context if beside else await self._profile(size, scheme)
        page = await context.new_page()
        if script:
            await page.add_init_script(script)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._requested)
        where = urlencode({"user": user, "channel": channel, "panel": panel, **more})
        await page.goto(f"{url or self.url}/#{where}")
        await page.locator(".composer, .composer-off, .home").first.wait_for()
        await expect(page.locator("main").get_by_text("Loading…", exact=True)).to_have_count(0)
        return page

    async def _profile(self, size: dict[str, int], scheme: str) -> BrowserContext:
        context = await self.chromium.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_S * 1000)
        self.contexts.append(context)
        return context

    def forgive_the_cut(self) -> None:
        """Leave out the browser's own words for a connection that the test itself has broken, or for events that are gone."""
        self.faults[:] = [fault for fault in self.faults if "net::ERR_" not in fault and "410 (Gone)" not in fault]

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def _requested(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            self.foreign.append(request.url)


@pytest_asyncio.fixture(loop_scope="module", name="windows")
async def page_windows(chromium: Browser, sandbox: Sandbox, bot: TinyBot) -> AsyncIterator[Windows]:
    """Windows on the sandbox. Afterwards: no console error in any of them, and nothing was asked of the outside."""
    made = Windows(chromium, sandbox.url)
    yield made
    for context in made.contexts:
        await context.close()
    assert made.faults == [], made.faults
    assert made.foreign == [], made.foreign


async def write(page: Page, words: str) -> None:
    """Type into the composer and press Enter."""
    box = page.get_by_role("textbox", name=re.compile("^Message "))
    await box.fill(words)
    await box.press("Enter")


def row(page: Page, words: str) -> Any:
    """The message with these words."""
    return page.locator("article", has_text=words)


def opens(slack: AsyncWebClient, view: dict[str, Any], submitted: Callable[[Received], Any]) -> Any:
    """A bot that opens ``view`` at a command and answers its submission with what ``submitted`` makes of it."""

    async def answer(received: Received) -> web.StreamResponse:
        if "command" in received.payload:
            await slack.views_open(trigger_id=received.payload["trigger_id"], view=view)
        elif received.payload.get("type") == "view_submission":
            return web.json_response(submitted(received))
        return web.Response()

    return answer


class Relay:
    """A loopback wire between browser and sandbox that a test can cut: connections break, new ones are refused.

    ``close`` it at the end.
    """

    def __init__(self, target_url: str) -> None:
        self._port = int(target_url.rpartition(":")[2])
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._held: HeldPort | None = None
        self.port = 0

    async def mend(self) -> str:
        """Listen (on the same port as before); returns the address."""
        self._let_go()
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self.port}"

    async def cut(self) -> None:
        """Break everything."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._held = HeldPort(self.port)
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Break everything for good."""
        await self.cut()
        self._let_go()

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # cut before this connection was looked at
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open.add(writer)  # at once: it may be cut while the other half is being connected
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._open.add(far_writer)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._open -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
