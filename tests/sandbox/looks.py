"""Judges the looks of a screen of the page: whether anything is cut off or overlaps (``looks.js``), and what axe says about it.

Called by ``test_story*.py`` with a page of Playwright's. Nothing here knows what is on the screen.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("axe_playwright_python"):
    from axe_playwright_python.async_playwright import Axe

WALK = Path(__file__).with_name("walk.js").read_text("utf-8")
"""A walk with the Tab key, judged: see there."""
FAULTS_IN_THE_LAYOUT = Path(__file__).with_name("looks.js").read_text("utf-8")
GRAVE = ("serious", "critical")


def require_axe() -> None:
    """Skip where axe is not installed."""
    if not importlib.util.find_spec("axe_playwright_python"):
        pytest.skip("needs axe: .venv/bin/pip install axe-playwright-python")


async def faults_by_axe(page: Any) -> list[str]:
    """The faults that axe calls serious or critical: the rule, its words, and where."""
    results = await Axe().run(page, options={"resultTypes": ["violations"], "preload": False})
    return [
        f"{found['id']} ({found['impact']}): {found['help']}: {node['target']} {node['html'][:160]} {node['failureSummary']}"
        for found in results.response["violations"]
        if found["impact"] in GRAVE
        for node in found["nodes"]
    ]


async def faults_of_layout(page: Any) -> list[str]:
    """What is cut off, too wide, or in the place of something else."""
    found: list[str] = await page.evaluate(FAULTS_IN_THE_LAYOUT)
    return found
