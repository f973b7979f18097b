"""The prediction of sizes against the card that is really drawn; the documents name what the rules demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import ChooseBranch, RecordDiagnostic
from bot.domain.outcome import Outcome, State
from bot.domain.runbook import Runbook
from bot.domain.text import cut
from bot.slack.blocks import parts
from bot.slack.blocks.card import draw_card
from bot.storage import runbook_size
from bot.storage.runbook_size import card_groups
from tests.domain.story import Story

LONG = "a & b < c > d " * 40
BIG: Mapping[str, Any] = {
    "id": "big",
    "title": "B" * 120,
    "service": "clerk",
    "severity": "SEV1",
    "diagnostics": [{"id": f"d{n}", "title": f"Diagnostic {n}", "run": "clerk.status"} for n in range(5)],
    "checklist": [
        {"id": "shown", "title": "S" * 150, "shows": [f"d{n}" for n in range(5)], "guide": LONG, "caution": LONG},
        {
            "id": "run",
            "title": "Run it",
            "run": "clerk.status",
            "link": {"title": "L" * 150, "url": "https://x.test/" + "y" * 900},
        },
        {
            "id": "cause",
            "title": "Whose?",
            "choose": [
                {
                    "id": f"b{n}",
                    "title": f"Branch {n} " + "z" * 60,
                    "suggested_when": {"diagnostic": f"d{n}", "is": "failing"},
                    "steps": [{"id": f"b{n}s{m}", "title": "T" * 100, "guide": LONG} for m in range(2 + 3 * n)],
                }
                for n in range(3)
            ],
        },
        {"id": "parent", "title": "P", "steps": [{"id": f"p{n}", "title": "Sub"} for n in range(9)]},
    ],
}


@pytest.mark.parametrize("name", ["clerk-auth-outage", "clerk-security-incident", "big"])
def test_the_prediction_is_never_too_small(catalog: Catalog, name: str) -> None:
    """With every result as long as it may be and the longest branch taken, the card has no more than was predicted."""
    big = Runbook.model_validate(BIG)
    full = replace(catalog, runbooks=MappingProxyType({**catalog.runbooks, big.id: big}))
    runbook = full.runbooks[name]
    story = Story(full)
    story.open(name, title="T" * 120)
    for item in runbook.diagnostics:
        outcome = Outcome(state=State.FAILING, summary=cut("s" * 300, max_chars=300), value="v" * 60, remedy="r" * 150)
        story.do(RecordDiagnostic(diagnostic_id=item.id, round=1, outcome=outcome))
    for step in runbook.checklist:
        if step.choose:
            story.do(ChooseBranch(step_id=step.id, branch_id=step.choose[0 if name != "big" else -1].id))
    drawn = draw_card(story.incident)
    groups = list(card_groups(runbook))
    assert sum(len(message.blocks) for message in drawn) <= sum(group.blocks for group in groups)
    assert sum(parts.text_length(message.blocks) for message in drawn) <= sum(group.chars for group in groups)


def test_the_limits_are_those_of_the_drawing() -> None:
    """Storage may not import the drawing, so the numbers are there twice; they agree."""
    assert runbook_size.MESSAGE_MAX_BLOCKS == parts.BLOCKS_MAX
    assert runbook_size.MESSAGE_MAX_CHARS == parts.MESSAGE_BLOCKS_MAX_CHARS
    assert runbook_size.SECTION_MAX_CHARS == parts.SECTION_MAX_CHARS
    assert runbook_size.BUTTON_MAX_CHARS == parts.BUTTON_MAX_CHARS
