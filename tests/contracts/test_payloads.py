"""The judge of payloads is a judge: it lets good ones pass and finds what is wrong with each bad one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contracts.payloads import Json, faults_of_message, faults_of_view, has_uri_check

pytestmark = pytest.mark.contracts


def text(words: str = "hi", kind: str = "mrkdwn") -> Json:
    return {"type": kind, "text": words}


def section(**fields: Any) -> Json:
    return {"type": "section", "text": text(), **fields}


def button(action_id: str = "go", label: str = "Go", **fields: Any) -> Json:
    return {"type": "button", "text": text(label, "plain_text"), "action_id": action_id, "value": "inc-1", **fields}


def row(*elements: Json, block_id: str = "row") -> Json:
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def modal(*blocks: Json, **fields: Any) -> Json:
    title = text("Title", "plain_text")
    return {"type": "modal", "title": title, "submit": title, "blocks": list(blocks), **fields}


GOOD: list[list[Json]] = [
    [section()],
    [section(), {"type": "divider"}, row(button())],
    [section()] * 50,
    [{"type": "header", "text": text("x" * 150, "plain_text")}],
    [section(fields=[text()] * 10)],
    [{"type": "context", "elements": [text()] * 10}],
    [row(*(button(f"go:{number}") for number in range(25)))],
    [section(accessory=button())],
]

BAD: list[tuple[str, list[Json]]] = [
    ("51 blocks", [section()] * 51),
    ("a button's text is too long", [row(button(label="x" * 76))]),
    ("an action_id twice", [row(button(), button())]),
    ("a block_id twice", [row(button()), row(button())]),
    ("26 elements", [row(*(button(f"go:{number}") for number in range(26)))]),
    ("a section's text is too long", [section(text=text("x" * 3_001))]),
    ("an empty text", [section(text=text(""))]),
    ("11 fields", [section(fields=[text()] * 11)]),
    ("11 elements of context", [{"type": "context", "elements": [text()] * 11}]),
    ("a header in mrkdwn", [{"type": "header", "text": text()}]),
    ("a header that is too long", [{"type": "header", "text": text("x" * 151, "plain_text")}]),
    ("a block that does not exist", [{"type": "marquee", "text": text()}]),
    ("a field that does not exist", [section(colour="red")]),
    ("a style that does not exist", [row(button(style="warning"))]),
    ("a value that is too long", [row(button(value="x" * 2_001))]),
    ("a URL that is none", [row(button(url="not a url"))]),
    ("too much in all blocks", [section(text=text("x" * 3_000))] * 5),
    ("an input in a message", [{"type": "input", "label": text("l", "plain_text"), "element": {"type": "plain_text_input"}}]),
]


@pytest.mark.parametrize("blocks", GOOD)
def test_a_good_message_passes(contracts: Path, blocks: list[Json]) -> None:
    """What Slack takes is not complained about."""
    assert faults_of_message({"text": "hi", "blocks": blocks}) == []


@pytest.mark.parametrize(("wrong", "blocks"), BAD, ids=[wrong for wrong, _ in BAD])
def test_a_bad_message_is_found(contracts: Path, wrong: str, blocks: list[Json]) -> None:
    """What Slack refuses is complained about."""
    assert faults_of_message({"text": "hi", "blocks": blocks}), wrong


def test_a_message_needs_a_text_of_a_fitting_length() -> None:
    """Without one a notification is empty; chat.update takes less than chat.postMessage."""
    assert faults_of_message({"blocks": [section()]})
    assert faults_of_message({"text": "x" * 40_001})
    assert not faults_of_message({"text": "x" * 4_001})
    assert faults_of_message({"text": "x" * 4_001}, updated=True)
    assert faults_of_message({"text": "hi", "link_names": True})


@pytest.mark.parametrize(
    "view",
    [
        modal(section(), title=text("x" * 25, "plain_text")),
        modal(section(), private_metadata="x" * 3_001),
        modal(section(), colour="red"),
        modal(*[section()] * 101),
        {
            "type": "modal",
            "title": text("T", "plain_text"),
            "blocks": [
                {"type": "input", "label": text("l", "plain_text"), "element": {"type": "plain_text_input", "action_id": "a"}}
            ],
        },
    ],
    ids=["title", "metadata", "field", "blocks", "input without submit"],
)
def test_a_bad_view_is_found(contracts: Path, view: Json) -> None:
    """The same for forms."""
    assert faults_of_view(modal(section())) == []
    assert faults_of_view(view)


def test_urls_are_judged() -> None:
    """Without rfc3986-validator the format checker would let any URL pass."""
    assert has_uri_check()
