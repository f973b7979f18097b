"""The documents say what is: every place of the code that they cite exists, every link leads somewhere."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
CITED = re.compile(r"`(bot(?:\.[a-z_]+)+):([A-Za-z_][\w.]*)`")
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def citations() -> list[tuple[str, str]]:
    """(module, name) of every citation."""
    return sorted({match for document in DOCUMENTS for match in CITED.findall(document.read_text("utf-8"))})


@pytest.mark.parametrize(("module", "name"), citations())
def test_every_cited_place_exists(module: str, name: str) -> None:
    """`module:function` can be imported."""
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)


def test_the_architecture_cites_the_code() -> None:
    """The way of one command names its places."""
    assert len(CITED.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))) >= 20


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    """Files and pictures."""
    missing = [target for target in LINK.findall(document.read_text("utf-8")) if not (document.parent / target).exists()]
    assert missing == []
