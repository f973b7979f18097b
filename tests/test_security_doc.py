"""`docs/security.md` tells the truth: every number is there once, every test exists, every scope has its reason."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

import pytest
import yaml

from bot.storage import keys
from tests.conftest import ROOT

DOCUMENT = (ROOT / "docs" / "security.md").read_text("utf-8")
NUMBERS = tuple(range(1, 76))
ROW = re.compile(r"^\| (\d+(?:, \d+)*) \| (.+?) \| (.+?) \| `(tests/\S+\.py)::(\w+)` \|$")
NOT_YET = re.compile(r"^- (\d+(?:, \d+)*): \S")


@dataclass(frozen=True)
class Row:
    """One line of the table of hostile input."""

    numbers: tuple[int, ...]
    path: str
    name: str


def numbers_of(text: str) -> tuple[int, ...]:
    """ "3, 4" → (3, 4)."""
    return tuple(int(number) for number in text.split(", "))


def rows() -> list[Row]:
    """The table."""
    found: list[Row] = []
    for line in DOCUMENT.splitlines():
        if re.match(r"^\| \d", line):
            match = ROW.match(line)
            assert match, f"not a row: {line}"
            found.append(Row(numbers_of(match[1]), match[4], match[5]))
    return found


ROWS = rows()
LATER = [number for line in DOCUMENT.splitlines() if (match := NOT_YET.match(line)) for number in numbers_of(match[1])]


def test_every_number_is_there_exactly_once() -> None:
    """In the table, or in the list of what cannot be attacked yet."""
    told = sorted([number for row in ROWS for number in row.numbers] + LATER)
    assert told == sorted(NUMBERS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ",".join(map(str, row.numbers)))
def test_the_test_exists(row: Row) -> None:
    """The file has a test of that name."""
    tree = ast.parse((ROOT / row.path).read_text("utf-8"))
    functions = {item.name for item in ast.walk(tree) if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert row.name in functions


def test_every_scope_has_its_reason() -> None:
    """Those of the manifest, no more and no less."""
    manifest = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
    explained = re.findall(r"^\| `([a-z_]+:?[a-z_.]*)` \| \S", DOCUMENT, re.MULTILINE)
    assert sorted(explained) == sorted(manifest["oauth_config"]["scopes"]["bot"])


def test_every_kind_of_key_is_named() -> None:
    """What is kept in Redis is what the document says is kept."""
    kinds = set(re.findall(r"\{muster:T1\}:([a-z]+)", keys.__doc__ or ""))
    section = DOCUMENT[DOCUMENT.index("## What is kept") : DOCUMENT.index("## Secrets")]
    named = set(re.findall(r"([a-z]+)(?::[^`]*)?`", section))
    assert kinds - {"clock"} <= named
