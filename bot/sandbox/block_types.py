"""Block Kit's blocks, each with its own fields and limits. Used by ``blocks``, which adds the rules across a payload.

Limits: docs.slack.dev/reference/block-kit/blocks. The blocks that came in 2026 (alert, card, carousel, plan, task_card,
container, data_table, data_visualization) are refused on purpose: not every surface takes them, and Muster sends none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bot.sandbox.block_elements import IMAGE, IN_ACTIONS, IN_CONTEXT_ACTIONS, IN_INPUT, IN_SECTION
from bot.sandbox.block_objects import BLOCK_ID, SLACK_FILE, mrkdwn, plain_text, text
from bot.sandbox.rich_text import RICH_TEXT_BLOCK, RICH_TEXT_CELL
from bot.sandbox.shapes import (
    Check,
    always,
    any_of,
    array,
    boolean,
    by_type,
    choice,
    exactly_one_of,
    integer,
    reason,
    record,
    string,
    url,
)

_ID: Mapping[str, Check] = {"block_id": BLOCK_ID}


def _no_dispatch_of_files(value: Any, at: str) -> Iterator[str]:
    if value["element"]["type"] == "file_input" and value.get("dispatch_action"):
        yield reason("dispatch_action is not allowed with file_input", f"{at}/dispatch_action")


def _column_setting(value: Any, at: str) -> Iterator[str]:
    if value is not None:
        yield from _COLUMN(value, at)


_COLUMN = record({}, {"align": choice(["left", "center", "right"]), "is_wrapped": boolean})
_CELL = by_type({"raw_text": record({"type": always("raw_text"), "text": string()}), "rich_text": RICH_TEXT_CELL}, "cell")

BLOCKS: Mapping[str, Check] = {
    "actions": record({"type": always("actions"), "elements": array(IN_ACTIONS, 1, 25)}, _ID),
    "context": record(
        {
            "type": always("context"),
            "elements": array(by_type({"image": IMAGE, "plain_text": plain_text(), "mrkdwn": mrkdwn()}, "element"), 1, 10),
        },
        _ID,
    ),
    "context_actions": record({"type": always("context_actions"), "elements": array(IN_CONTEXT_ACTIONS, 1, 5)}, _ID),
    "divider": record({"type": always("divider")}, _ID),
    "file": record({"type": always("file"), "external_id": string(1), "source": always("remote")}, _ID),
    "header": record({"type": always("header"), "text": plain_text(150)}, {**_ID, "level": integer(1, 4)}),
    "image": record(
        {"type": always("image"), "alt_text": string(1, 2000)},
        {**_ID, "image_url": url(3000), "slack_file": SLACK_FILE, "title": plain_text(2000)},
        exactly_one_of("image_url", "slack_file"),
    ),
    "input": record(
        {"type": always("input"), "label": plain_text(2000), "element": IN_INPUT},
        {**_ID, "dispatch_action": boolean, "hint": plain_text(2000), "optional": boolean},
        _no_dispatch_of_files,
    ),
    "markdown": record({"type": always("markdown"), "text": string(1, 12000)}, _ID),
    "rich_text": RICH_TEXT_BLOCK,
    "section": record(
        {"type": always("section")},
        {**_ID, "text": text(), "fields": array(text(2000), 1, 10), "accessory": IN_SECTION, "expand": boolean},
        any_of("text", "fields"),
    ),
    "table": record(
        {"type": always("table"), "rows": array(array(_CELL, 1, 20), 1, 100)},
        {**_ID, "column_settings": array(_column_setting, 0, 20)},
    ),
    "video": record(
        {
            "type": always("video"),
            "alt_text": string(1),
            "title": plain_text(199),
            "thumbnail_url": url(),
            "video_url": url(scheme="https"),
        },
        {
            **_ID,
            "author_name": string(0, 49),
            "description": plain_text(199),
            "provider_icon_url": url(),
            "provider_name": string(1),
            "title_url": url(scheme="https"),
        },
    ),
}
"""Every block that is known, by its type."""

BLOCK = by_type(BLOCKS, "block")
