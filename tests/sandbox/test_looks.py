"""The judges of the screens (``looks``, ``walk.js``) find what is wrong, and leave alone what is meant."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.sandbox.browsing import ONE_LOOP, one_chromium  # noqa: F401 - a fixture
from tests.sandbox.looks import WALK, faults_by_axe, faults_of_layout, require_axe

if importlib.util.find_spec("playwright"):
    from playwright.async_api import Browser, Page

pytestmark = [ONE_LOOP, pytest.mark.slow]

HEAD = "<!doctype html><html lang=en><title>x</title><style>body { margin: 0; font: 16px sans-serif } div { width: 90px }</style>"


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A small window on nothing."""
    made = await chromium.new_page(viewport={"width": 390, "height": 400})
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<div style='overflow: hidden; white-space: nowrap'>words that do not fit</div>", "cut at the side"),
        ("<div style='overflow: hidden; height: 8px'>words</div>", "cut above or below"),
        ("<p style='white-space: nowrap; width: 900px'>" + "words " * 90, "beyond the window"),
        ("<p style='width: 900px'>words</p>", "the window scrolls sideways"),
        ("<button>one</button><button style='margin-left: -20px'>two</button>", "controls overlap"),
        ("<div>words</div><div style='margin-top: -18px'>other words</div>", "texts overlap"),
        ("<button style='font-size: 1px; padding: 0; border: 0'>x</button>", "too small to press"),
        ("<button style='width: 40px; overflow: hidden; white-space: nowrap'>a long name</button>", "wider inside than outside"),
    ],
)
async def test_what_is_cut_off_or_overlaps_is_found(page: Page, body: str, fault: str) -> None:
    """Each of the faults, alone on a page."""
    await page.set_content(HEAD + body)
    assert any(fault in found for found in await faults_of_layout(page)), await faults_of_layout(page)


@pytest.mark.parametrize(
    "body",
    [
        "<div style='overflow: hidden; white-space: nowrap; text-overflow: ellipsis'>words that do not fit</div>",
        "<div style='overflow: auto; white-space: nowrap'>words that do not fit but scroll</div>",
        "<span style='position: absolute; width: 1px; height: 1px; overflow: hidden'>for readers only</span><p>words</p>",
        "<div style='overflow: auto; height: 40px'><p>words</p><button>one</button><p>words</p></div><button>two</button>",
        "<p>words</p><div style='position: fixed; top: 0'><button>over them</button></div>",
        "<dialog id=d><button>in front</button></dialog><button>behind</button><script>d.showModal()</script>",
    ],
)
async def test_what_is_meant_is_no_fault(page: Page, body: str) -> None:
    """An ellipsis, a box that scrolls, words for screen readers, and what lies over the rest."""
    await page.set_content(HEAD + body)
    assert await faults_of_layout(page) == []


async def test_what_axe_finds_is_told_with_its_place(page: Page) -> None:
    """A picture without words and grey on grey are grave; a page without them is not."""
    require_axe()
    await page.set_content(HEAD + "<main><h1>x</h1><img src='data:,'><p style='color: #bbb; background: #ccc'>words</p></main>")
    found = "\n".join(await faults_by_axe(page))
    assert "image-alt (critical)" in found
    assert "color-contrast (serious)" in found
    await page.set_content(HEAD + "<main><h1>x</h1><p>words</p></main>")
    assert await faults_by_axe(page) == []


async def test_a_walk_tells_what_the_tab_key_misses(page: Page) -> None:
    """No ring, not reached, takes no key, covered by something else; a plain button is none of these."""
    await page.set_content(
        HEAD + "<button>fine</button><button style='outline: none'>no ring</button><button tabindex=-1>missed</button>"
        "<span role=button tabindex=0>no button</span><button>covered</button>"
        "<p style='position: fixed; inset: 0 auto auto 0; margin: 0' id=cover></p>"
        "<script>for (const b of document.querySelectorAll('button')) if (b.textContent === 'covered') b.onfocus = () => {"
        "cover.style.cssText += '; width: 390px; height: 400px' }; else b.onfocus = () => { cover.style.width = 0 }</script>"
    )
    await page.evaluate(WALK)
    for _ in range(4):
        await page.keyboard.press("Tab")
        assert await page.evaluate("walk.look()") == "new"
    faults = (await page.evaluate("walk.judge()"))["faults"]
    for fault in ("no focus ring: button “no ring”", "not reached: button “missed”", "takes no key: span “no button”"):
        assert fault in faults
    assert any("out of sight: button “covered”" in found for found in faults)
    assert not any("“fine”" in found for found in faults)
