"""`docs/coverage.md` tells the truth: every row's line stands in its seed, its step in a runbook, its test in the tests."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.domain.catalog import Catalog
from tests.conftest import ROOT

SEEDS = ROOT.parent / "shared" / "seeds"
ROW = re.compile(r"^\| (\d{3}) \| `(.+?)` \| (\S+) \| (.+?) \| (\S+::\S+) \|$")


@dataclass(frozen=True)
class Row:
    """One line of a seed and what covers it."""

    seed: str
    line: str
    step: str
    how: str
    test: str


def rows() -> list[Row]:
    """All rows of the tables."""
    found: list[Row] = []
    for text in (ROOT / "docs" / "coverage.md").read_text("utf-8").splitlines():
        if re.match(r"^\| \d", text):
            match = ROW.match(text)
            assert match, f"not a row: {text}"
            seed, line, *rest = match.groups()
            found.append(Row(seed, line.replace("\\|", "|"), *rest))
    return found


ROWS = rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.line[:40])
def test_the_line_stands_in_its_seed(row: Row) -> None:
    """Word for word."""
    assert row.line in seed_text(row.seed)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.line[:40])
def test_the_step_exists_and_is_what_the_row_says(row: Row, catalog: Catalog) -> None:
    """A step that is said to run has an action, or evidence beside it; or it is a fork, or the timeline itself."""
    if row.step.endswith(".yml"):
        assert (ROOT / "runbooks" / row.step).is_file()
        return
    runbook_id, _, step_id = row.step.partition("/")
    runbook = catalog.runbooks[runbook_id]
    if runbook.find_diagnostic(step_id):
        assert row.how.startswith("run")
        return
    step = runbook.step(step_id)
    if row.how.startswith("run") and step_id != "document":
        assert step.run or step.shows or step.choose


@pytest.mark.parametrize("node", sorted({row.test for row in ROWS}))
def test_the_test_exists(node: str) -> None:
    """The file has a test of that name."""
    path, _, name = node.partition("::")
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = {item.name for item in ast.walk(tree) if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in functions


@pytest.mark.parametrize(
    ("seed", "heading", "end"),
    [
        ("001", "### Procedure 1", "### Procedure 2"),
        ("001", "### Procedure 2", "### Procedure 3"),
        ("001", "### Procedure 3", "## Emergency Contacts"),
    ],
)
def test_no_line_of_a_covered_procedure_is_missing(seed: str, heading: str, end: str) -> None:
    """Every checklist line has a row."""
    text = seed_text(seed)
    part = text[text.index(heading) : text.index(end)]
    lines = re.findall(r"\[ \] (.+)", part)
    assert lines
    assert [line for line in lines if line not in {row.line for row in ROWS}] == []


COMMAND = re.compile(
    r"^\s*((?:curl|vercel) .+|.*\bawait (?!clerkClient).+|if \(results\..+|console\.warn\(.+|# .*[Dd]ashboard.+)$", re.M
)
"""A line of the code blocks that does something, or says what a person does."""


@pytest.mark.parametrize("seed", ["000", "001"])
def test_no_command_of_the_clerk_pack_is_missing(seed: str) -> None:
    """Every call, measurement and look has a row; the second document repeats the first."""
    lines = COMMAND.findall(seed_text(seed))
    assert len(lines) > 15
    assert [line for line in lines if not any(row.line in line for row in ROWS if row.seed == "000")] == []


MAY_BE_GUIDED = {
    "clerk-auth-outage/review": "people hold it",
    "clerk-security-incident/reset-keys": "keys change in the Dashboard only",
    "clerk-webhook-failure/gap": "failed deliveries stand in the Dashboard only",
}
"""The steps of the Clerk pack that a person does, and why no action can."""


def test_nothing_of_the_clerk_pack_is_guided_that_could_run() -> None:
    """A row that says guided is one of those for which there is a reason."""
    guided = {row.step for row in ROWS if row.how.startswith("guided") and row.step.startswith("clerk-")}
    assert guided == set(MAY_BE_GUIDED)


def seed_text(seed: str) -> str:
    """The user's document."""
    if not SEEDS.is_dir():
        pytest.skip("needs ../shared/seeds (the user's documents), which is not beside this checkout")
    (path,) = SEEDS.glob(f"{seed}_*.txt")
    return Path(path).read_text("utf-8")


ESCALATION = [
    ("001", "## Emergency Contacts", "## Post-Incident", r"((?:contact|time|phone|slack|url|email|priority|name): .+)"),
    ("002", "**Response:**", "##", r"^- (.+)$"),
    ("002", "## On-Call Responsibilities", "\n---", r"^- (.+)$"),
    ("002", "## Escalation Matrix", "\n---", r"^\| (?!Condition)(\w.+)$"),
    ("004", "### Escalation", "\n---", r"^(.+)$"),
    ("004", "## Contact Information", r"\Z", r"^- (.+)$"),
]
"""Seed, where its parts about escalation begin and end, and what a line of them is."""


@pytest.mark.parametrize(("seed", "heading", "end", "line"), ESCALATION, ids=[f"{row[0]} {row[1]}" for row in ESCALATION])
def test_no_line_about_escalation_is_missing(seed: str, heading: str, end: str, line: str) -> None:
    """Every level, condition, contact and duty has a row."""
    parts = re.findall(rf"{re.escape(heading)}\n(.+?)(?={end}|\Z)", seed_text(seed), re.DOTALL)
    lines = [found.strip() for part in parts for found in re.findall(line, part, re.MULTILINE)]
    assert lines
    covered = [row.line for row in ROWS if row.seed == seed]
    assert [one for one in lines if not any(one in row or row in one for row in covered)] == []
