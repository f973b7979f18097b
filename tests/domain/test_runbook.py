"""The models of a runbook."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from bot.domain.errors import UserError
from bot.domain.outcome import State
from bot.domain.runbook import Runbook, Step

RUNBOOK: dict[str, Any] = {
    "id": "shop-down",
    "title": "Shop is down",
    "service": "shop",
    "severity": "SEV1",
    "symptoms": ["nobody can buy"],
    "triggers": {"phrases": ["shop down"], "alerts": [{"match": {"alertname": "ShopDown"}}]},
    "diagnostics": [{"id": "health", "title": "Health", "run": "http.health", "with": {"url": "https://x/h"}}],
    "checklist": [
        {"id": "confirm", "title": "Confirm", "shows": ["health"]},
        {"id": "prepare", "title": "Prepare", "steps": [{"id": "call", "title": "Call"}, {"id": "note", "title": "Note"}]},
        {
            "id": "cause",
            "title": "Ours or theirs?",
            "choose": [
                {
                    "id": "theirs",
                    "title": "Theirs",
                    "suggested_when": {"diagnostic": "health", "is": "failing"},
                    "steps": [{"id": "wait", "title": "Wait", "guide": "Wait.", "link": {"title": "x", "url": "https://x"}}],
                },
                {
                    "id": "ours",
                    "title": "Ours",
                    "steps": [
                        {
                            "id": "revert",
                            "title": "Revert",
                            "run": "shop.revert",
                            "with": {"to": ["1", {"deep": None}]},
                            "caution": "Slow.",
                            "undo": "shop.forward",
                        }
                    ],
                },
            ],
        },
        {"id": "review", "title": "Review"},
    ],
    "escalation": {"levels": [{"after": "15m", "until": "resolved", "notify": ["lead"]}]},
    "prevention": ["test more"],
    "links": [{"title": "Shop", "url": "https://x"}],
    "private": "true",
}


def with_step(**step: Any) -> dict[str, Any]:
    """The runbook with a single step."""
    return RUNBOOK | {"checklist": [{"id": "a", "title": "A", **step}]}


def test_round_trips_through_json() -> None:
    """A copy of it is kept in the timeline of each incident."""
    runbook = Runbook.model_validate(RUNBOOK)
    stored = json.loads(json.dumps(runbook.model_dump(mode="json", by_alias=True)))
    assert Runbook.model_validate(stored) == runbook
    assert stored["checklist"][2]["choose"][0]["suggested_when"] == {"diagnostic": "health", "is": "failing"}
    assert runbook.private is True
    assert runbook.checklist[2].choose[0].suggested_when.is_ is State.FAILING  # type: ignore[union-attr]


def test_walks_in_the_order_of_the_file_with_all_branches() -> None:
    """Depth, branch and parent of each step."""
    refs = [(ref.step.id, ref.depth, ref.branch, ref.parent) for ref in Runbook.model_validate(RUNBOOK).walk()]
    assert refs == [
        ("confirm", 0, None, None),
        ("prepare", 0, None, None),
        ("call", 1, None, "prepare"),
        ("note", 1, None, "prepare"),
        ("cause", 0, None, None),
        ("wait", 1, ("cause", "theirs"), "cause"),
        ("revert", 1, ("cause", "ours"), "cause"),
        ("review", 0, None, None),
    ]


def test_finds_steps_and_diagnostics_by_id() -> None:
    """A step inside a branch too; an unknown id, which comes from a click, is told to the person."""
    runbook = Runbook.model_validate(RUNBOOK)
    assert runbook.step("revert").run == "shop.revert"
    assert runbook.find_step("nothing") is None
    assert runbook.find_diagnostic("health") is runbook.diagnostics[0]
    assert runbook.find_diagnostic("nothing") is None
    with pytest.raises(UserError, match="no step “nothing”"):
        runbook.step("nothing")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"run": "a.b", "shows": ["health"]}, "run and shows"),
        ({"steps": [{"id": "b", "title": "B"}], "shows": ["health"]}, "shows and steps"),
        ({"with": {"x": "1"}}, "with but no run"),
        ({"undo": "a.b"}, "undo but no run"),
        ({"choose": [{"id": "b", "title": "B", "steps": [{"id": "c", "title": "C"}]}]}, "single branch"),
        ({"run": "revoke"}, "pattern"),
        ({"run": "os.system('ls')"}, "pattern"),
        ({"link": {"title": "x", "url": "javascript:alert(1)"}}, "not a web address"),
        ({"link": {"title": "x", "url": "https://user@host/"}}, "not a web address"),
        ({"link": {"title": "x", "url": "https://x/<!channel>"}}, "not a web address"),
        ({"guide": "reverse \u202e text"}, "control character"),
        ({"guide": " "}, "at least 1"),
        ({"title": "two\nlines"}, "several lines"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_a_step_is_one_thing(step: dict[str, Any], said: str) -> None:
    """What contradicts itself, or what people could not see, is refused."""
    with pytest.raises(ValidationError, match=said):
        Runbook.model_validate(with_step(**step))


@pytest.mark.parametrize("identity", ["", "Upper", "two words", "-a", "a-", "a--b", "a_b", "é", "a" * 61])
def test_ids_are_plain(identity: str) -> None:
    """They travel in Slack's action values and in channel names."""
    with pytest.raises(ValidationError):
        Step(id=identity, title="A")


@pytest.mark.parametrize("phrase", ["", "   ", "123", "!!", "🔥🔥", "x" * 81])
def test_a_phrase_has_letters(phrase: str) -> None:
    """What nobody can say is no phrase."""
    with pytest.raises(ValidationError):
        Runbook.model_validate(RUNBOOK | {"triggers": {"phrases": [phrase]}})


def test_a_checklist_has_a_step() -> None:
    """A runbook that says nothing to do is a mistake."""
    with pytest.raises(ValidationError):
        Runbook.model_validate(RUNBOOK | {"checklist": []})
