"""Block Kit: what is accepted and what is refused, and that the schema which others wrote agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from bot.sandbox.blocks import check_message_blocks, check_view
from bot.sandbox.errors import SlackRefusal
from tests.sandbox.tiny_bot import actions, button, field, modal, option, section, select, text

TEXT_INPUT = {"type": "plain_text_input", "action_id": "words"}
CONFIRM = {"title": text("Sure?"), "text": text("Really", "mrkdwn"), "confirm": text("Yes"), "deny": text("No")}
RICH = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "hi"}]}]}
CELL = {"type": "raw_text", "text": "1"}
LINK = {"type": "link", "url": "https://x.io", "text": "x"}

GOOD: dict[str, dict[str, Any]] = {
    "section": section("x" * 3000),
    "section of ten fields": {"type": "section", "fields": [text("x" * 2000, "mrkdwn"), *[text("a")] * 9]},
    "section with a button": section(accessory=button(value="x" * 2000, style="danger", confirm=CONFIRM)),
    "section with an image": section(accessory={"type": "image", "image_url": "https://x.io/a.png", "alt_text": "a"}),
    "header": {"type": "header", "text": text("x" * 150)},
    "divider": {"type": "divider", "block_id": "x" * 255},
    "context": {"type": "context", "elements": [text("a", "mrkdwn")] * 10},
    "context with an image": {
        "type": "context",
        "elements": [{"type": "image", "image_url": "https://x.io/a.png", "alt_text": "a"}, text("a")],
    },
    "25 buttons": actions(*(button(f"b{number}") for number in range(25))),
    "button with a link": actions(button(url="https://example.com/a?b=c#d%20e")),
    "select": actions(select("a", "b", initial_option=option("b"), placeholder=text("x" * 150))),
    "select with groups": actions(
        {"type": "static_select", "action_id": "s", "option_groups": [{"label": text("g"), "options": [option("a")]}]}
    ),
    "overflow": actions({"type": "overflow", "action_id": "o", "options": [option(one) for one in "abcde"]}),
    "checkboxes": actions({"type": "checkboxes", "action_id": "c", "options": [option(str(one)) for one in range(10)]}),
    "radio buttons": actions({"type": "radio_buttons", "action_id": "r", "options": [option("a")]}),
    "users select": actions({"type": "users_select", "action_id": "u", "initial_user": "U0ONCALL"}),
    "channels select": actions({"type": "channels_select", "action_id": "c", "initial_channel": "C0SUPPORT"}),
    "conversations select": actions(
        {"type": "conversations_select", "action_id": "c", "filter": {"include": ["public"]}, "response_url_enabled": True}
    ),
    "date and time": actions(
        {"type": "datepicker", "action_id": "d", "initial_date": "2026-11-20"},
        {"type": "timepicker", "action_id": "t", "initial_time": "23:59"},
        {"type": "datetimepicker", "action_id": "dt", "initial_date_time": 1795000000},
    ),
    "input": field({**TEXT_INPUT, "multiline": True, "min_length": 0, "max_length": 3000}, optional=True, hint=text("h")),
    "number input": field({"type": "number_input", "action_id": "n", "is_decimal_allowed": False, "min_value": "1"}),
    "email input": field({"type": "email_text_input", "action_id": "e"}),
    "url input": field({"type": "url_text_input", "action_id": "u"}),
    "multi select": field({"type": "multi_static_select", "action_id": "m", "options": [option("a")], "max_selected_items": 1}),
    "multi users": field({"type": "multi_users_select", "action_id": "m", "initial_users": ["U0ONCALL", "W0CTO"]}),
    "rich text": {**RICH, "elements": [{"type": "rich_text_quote", "elements": [LINK]}]},
    "rich text input": field({"type": "rich_text_input", "action_id": "r", "initial_value": RICH}),
    "markdown": {"type": "markdown", "text": "x" * 12000},
    "image": {"type": "image", "image_url": "https://x.io/a.png", "alt_text": "x" * 2000, "title": text("t")},
    "table": {"type": "table", "rows": [[CELL] * 20] * 100, "column_settings": [None, {"align": "right"}]},
    "video": {
        "type": "video", "alt_text": "a", "title": text("t"), "thumbnail_url": "https://x.io/t", "video_url": "https://x.io/v",
    },
}  # fmt: skip

BAD: dict[str, Any] = {
    "no object": "words",
    "no type": {"text": text("a")},
    "unknown type": {"type": "marquee"},
    "unknown field": section(colour="red"),
    "empty text": section(""),
    "text of 3001": section("x" * 3001),
    "section without text or fields": {"type": "section"},
    "eleven fields": {"type": "section", "fields": [text("a")] * 11},
    "field of 2001": {"type": "section", "fields": [text("x" * 2001)]},
    "header of 151": {"type": "header", "text": text("x" * 151)},
    "header in mrkdwn": {"type": "header", "text": text("a", "mrkdwn")},
    "eleven context elements": {"type": "context", "elements": [text("a")] * 11},
    "button in context": {"type": "context", "elements": [button()]},
    "block_id of 256": {"type": "divider", "block_id": "x" * 256},
    "empty block_id": {"type": "divider", "block_id": ""},
    "no elements": actions(),
    "26 elements": actions(*(button(f"b{number}") for number in range(26))),
    "button text of 76": actions({**button(), "text": text("x" * 76)}),
    "button in mrkdwn": actions({**button(), "text": text("a", "mrkdwn")}),
    "button value of 2001": actions(button(value="x" * 2001)),
    "empty button value": actions(button(value="")),
    "action_id of 256": actions(button("x" * 256)),
    "style that is not": actions(button(style="warning")),
    "url that is none": actions(button(url="not a url")),
    "url with a space": actions(button(url="https://example.com/a b")),
    "url without a scheme": actions(button(url="example.com")),
    "confirm title of 101": actions(button(confirm={**CONFIRM, "title": text("x" * 101)})),
    "confirm text of 301": actions(button(confirm={**CONFIRM, "text": text("x" * 301)})),
    "confirm button of 31": actions(button(confirm={**CONFIRM, "deny": text("x" * 31)})),
    "confirm without deny": actions(button(confirm={one: CONFIRM[one] for one in ("title", "text", "confirm")})),
    "select without options": actions({"type": "static_select", "action_id": "s"}),
    "select with empty options": actions(select()),
    "101 options": actions(select(*(str(one) for one in range(101)))),
    "option text of 76": actions({**select("a"), "options": [{"text": text("x" * 76), "value": "a"}]}),
    "option value of 151": actions({**select("a"), "options": [{"text": text("a"), "value": "x" * 151}]}),
    "options and groups": actions({**select("a"), "option_groups": [{"label": text("g"), "options": [option("a")]}]}),
    "placeholder of 151": actions(select("a", placeholder=text("x" * 151))),
    "eleven checkboxes": actions({"type": "checkboxes", "options": [option(str(one)) for one in range(11)]}),
    "six overflow options": actions({"type": "overflow", "options": [option(one) for one in "abcdef"]}),
    "text input among actions": actions(TEXT_INPUT),
    "button in an input": field(button()),
    "input without a label": {"type": "input", "element": TEXT_INPUT},
    "label in mrkdwn": {**field(TEXT_INPUT), "label": text("a", "mrkdwn")},
    "max_length of 3001": field({**TEXT_INPUT, "max_length": 3001}),
    "number without is_decimal_allowed": field({"type": "number_input", "action_id": "n"}),
    "date of February": actions({"type": "datepicker", "initial_date": "20-02-2026"}),
    "user that is a name": actions({"type": "users_select", "initial_user": "@oncall"}),
    "markdown of 12001": {"type": "markdown", "text": "x" * 12001},
    "image without alt_text": {"type": "image", "image_url": "https://x.io/a.png"},
    "image of nothing": {"type": "image", "alt_text": "a"},
    "boolean in words": field(TEXT_INPUT, optional="yes"),
    "table of 21 columns": {"type": "table", "rows": [[CELL] * 21]},
    "video without https": {
        "type": "video", "alt_text": "a", "title": text("t"), "thumbnail_url": "https://x.io/t", "video_url": "http://x.io/v",
    },
}  # fmt: skip

# What only shows across a payload, or by comparing two fields: the schema, which knows single blocks, accepts these.
BAD_TOGETHER: dict[str, list[dict[str, Any]]] = {
    "51 blocks": [{"type": "divider"}] * 51,
    "block_id twice": [{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}],
    "action_id twice in a block": [actions(button("a"), button("a"))],
    "two tables": [{"type": "table", "rows": [[CELL]]}] * 2,
    "markdown of 12001 together": [{"type": "markdown", "text": "x" * 6000}, {"type": "markdown", "text": "x" * 6001}],
    "focus twice": [field({**TEXT_INPUT, "focus_on_load": True}, block_id=one) for one in "ab"],
    "initial option that is not offered": [actions(select("a", initial_option=option("b")))],
    "two options of one value": [actions(select("a", "a"))],
    "file_input in a message": [field({"type": "file_input", "action_id": "f"})],
}


@pytest.fixture(scope="module")
def judge(contracts: Path) -> Draft202012Validator:
    """The schema that others wrote, for one block."""
    schema = json.loads((contracts / "slack-block-kit.schema.json").read_text())
    return Draft202012Validator({"$ref": "#/$defs/block", "$defs": schema["$defs"]}, format_checker=FormatChecker())


@pytest.mark.parametrize("name", GOOD)
def test_good_blocks_are_accepted(name: str) -> None:
    """A block at Slack's limits passes."""
    check_message_blocks([GOOD[name]])


@pytest.mark.parametrize("name", BAD)
def test_bad_blocks_are_refused_with_a_reason(name: str) -> None:
    """A block beyond a limit is invalid_blocks, and the reason points into it."""
    with pytest.raises(SlackRefusal) as refused:
        check_message_blocks([BAD[name]])
    assert refused.value.code == "invalid_blocks"
    assert all(reason.startswith("[ERROR] ") and "[json-pointer:/blocks/0" in reason for reason in refused.value.reasons)


@pytest.mark.parametrize("name", BAD_TOGETHER)
def test_rules_across_a_payload(name: str) -> None:
    """Blocks that are good one by one can be bad together."""
    with pytest.raises(SlackRefusal, match="invalid_blocks"):
        check_message_blocks(BAD_TOGETHER[name])


@pytest.mark.contracts
@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_the_schema_of_others_agrees(name: str, judge: Draft202012Validator) -> None:
    """The JSON Schema judges every known block as our own rules do."""
    assert judge.is_valid(GOOD.get(name, BAD.get(name))) == (name in GOOD)


def test_blocks_have_to_be_a_list() -> None:
    """Something else than a list is invalid_blocks_format."""
    with pytest.raises(SlackRefusal, match="invalid_blocks_format"):
        check_message_blocks({"type": "divider"})


def test_too_much_text_in_all_blocks() -> None:
    """More than 13,200 characters together are msg_blocks_too_long, though each block is within its limit."""
    check_message_blocks([section("x" * 3000)] * 4)
    with pytest.raises(SlackRefusal, match="msg_blocks_too_long"):
        check_message_blocks([section("x" * 3000)] * 5)


@pytest.mark.parametrize(
    ("view", "word"),
    [
        ({**modal(section()), "title": text("x" * 25)}, "less than 25"),
        ({**modal(section()), "submit": text("x" * 25)}, "less than 25"),
        (modal(), "no fewer than 1"),
        (modal(*[{"type": "divider"}] * 101), "no more than 100"),
        (modal(section(), private_metadata="x" * 3001), "less than 3001"),
        (modal(section(), callback_id="x" * 256), "less than 256"),
        ({"type": "modal", "title": text("t"), "blocks": [field(TEXT_INPUT)]}, "missing required field: submit"),
        ({"type": "home", "blocks": [section()]}, "must be a modal view"),
        ({"type": "panel", "blocks": [section()]}, "unsupported view type"),
        (modal(section(), colour="red"), "invalid additional property"),
        (modal(section(block_id="a"), section(block_id="a")), "must be unique"),
        ("words", "must provide an object"),
    ],
)
def test_bad_modals_are_refused(view: Any, word: str) -> None:
    """A modal beyond a limit is invalid_arguments, with the reason."""
    with pytest.raises(SlackRefusal, match="invalid_arguments") as refused:
        check_view(view, kind="modal")
    assert any(word in reason for reason in refused.value.reasons)


@pytest.mark.contracts
def test_the_schema_of_others_agrees_on_views(contracts: Path) -> None:
    """A modal and a Home tab at their limits pass here and there."""
    definitions = json.loads((contracts / "slack-block-kit.schema.json").read_text())["$defs"]
    full = modal(*[section()] * 100, private_metadata="x" * 3000, callback_id="x" * 255, close=text("x" * 24))
    for view, kind in ((full, "modal"), ({"type": "home", "blocks": [section()] * 100}, "home")):
        check_view(view, kind=kind)
        assert Draft202012Validator({"$ref": f"#/$defs/{kind}_view", "$defs": definitions}).is_valid(view)


def test_a_view_of_more_than_250_kb_is_too_large() -> None:
    """Size counts in bytes of the whole view."""
    wide = [{"type": "section", "fields": [text("ä" * 2000)] * 10} for _ in range(7)]
    with pytest.raises(SlackRefusal, match="view_too_large"):
        check_view(modal(*wide), kind="modal")
