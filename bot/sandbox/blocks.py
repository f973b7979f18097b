"""Judges what the bot wants to show: the blocks of a message, a modal, a Home tab.

Called by the Web API methods, by response_urls and for the bot's HTTP answers. ``block_types`` knows single blocks; here
are the rules across a payload. Limits: docs.slack.dev/reference/block-kit/blocks and …/reference/views.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from bot.sandbox.block_objects import plain_text
from bot.sandbox.block_types import BLOCK
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.models import Json
from bot.sandbox.shapes import always, array, boolean, by_type, reason, record, string

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
MARKDOWN_CHARACTERS = 12_000
ATTACHMENTS = 100
VIEW_BYTES = 250_000  # "greater than 250kb": docs.slack.dev/reference/methods/views.open
# Not documented; the total at which Slack answers msg_blocks_too_long (github.com/slackapi/bolt-js/issues/2509).
MESSAGE_CHARACTERS = 13_200

_VIEW_FIELDS = {"private_metadata": string(0, 3000), "callback_id": string(0, 255), "external_id": string(0, 255)}
_VIEW = by_type(
    {
        "modal": record(
            {"type": always("modal"), "title": plain_text(24), "blocks": array(BLOCK, 1, VIEW_BLOCKS)},
            {
                **_VIEW_FIELDS,
                "close": plain_text(24),
                "submit": plain_text(24),
                "clear_on_close": boolean,
                "notify_on_close": boolean,
                "submit_disabled": boolean,
            },
        ),
        "home": record({"type": always("home"), "blocks": array(BLOCK, 1, VIEW_BLOCKS)}, _VIEW_FIELDS),
    },
    "view",
)


def check_message_blocks(blocks: Any) -> None:
    """Refuse the blocks of a message that Slack would refuse.

    Raises:
        SlackRefusal: ``invalid_blocks_format`` (no list), ``invalid_blocks`` with the reasons, ``msg_blocks_too_long``.
    """
    if not isinstance(blocks, list):
        raise SlackRefusal("invalid_blocks_format")
    reasons = [*array(BLOCK, 0, MESSAGE_BLOCKS)(blocks, "/blocks")]
    reasons = reasons or [*_across(blocks), *_no_files(blocks)]
    if reasons:
        raise SlackRefusal("invalid_blocks", *reasons)
    if _characters(blocks) > MESSAGE_CHARACTERS:
        raise SlackRefusal("msg_blocks_too_long")


def check_attachments(attachments: Any) -> None:
    """Refuse the attachments of a message that Slack would refuse.

    Raises:
        SlackRefusal: ``invalid_attachments`` (no list of objects), ``too_many_attachments``, or as for blocks.
    """
    if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
        raise SlackRefusal("invalid_attachments")
    if len(attachments) > ATTACHMENTS:
        raise SlackRefusal("too_many_attachments")
    for one in attachments:
        if "blocks" in one:
            check_message_blocks(one["blocks"])


def check_view(view: Any, *, kind: str) -> None:
    """Refuse a view that Slack would refuse; ``kind`` is "modal" or "home".

    Raises:
        SlackRefusal: ``invalid_arguments`` with the reasons, ``view_too_large``.
    """
    reasons = [*_VIEW(view, "/view")]
    if not reasons:
        if view["type"] != kind:
            reasons = [reason(f"must be a {kind} view", "/view/type")]
        reasons += [*_across(view["blocks"], "/view/blocks")]
        if kind == "modal" and "submit" not in view and any(block["type"] == "input" for block in view["blocks"]):
            reasons.append(reason("missing required field: submit", "/view"))
    if reasons:
        raise SlackRefusal("invalid_arguments", *reasons)
    if len(json.dumps(view, ensure_ascii=False).encode()) > VIEW_BYTES:
        raise SlackRefusal("view_too_large")


def elements_of(block: Json) -> Iterator[Json]:
    """The interactive elements of one block."""
    if block["type"] in ("actions", "context_actions"):
        yield from block["elements"]
    elif block["type"] == "section" and block.get("accessory", {}).get("type", "image") != "image":
        yield block["accessory"]
    elif block["type"] == "input":
        yield block["element"]


def _across(blocks: list[Json], at: str = "/blocks") -> Iterator[str]:
    """The rules that no single block can break."""
    ids = Counter(block["block_id"] for block in blocks if "block_id" in block)
    for block_id, count in ids.items():
        if count > 1:
            yield reason(f"`block_id` must be unique; {block_id} is used {count} times", at)
    for index, block in enumerate(blocks):
        actions = Counter(element["action_id"] for element in elements_of(block) if "action_id" in element)
        for action_id, count in actions.items():
            if count > 1:
                yield reason(f"`action_id` must be unique in its block; {action_id} repeats", f"{at}/{index}")
    if sum(block["type"] == "table" for block in blocks) > 1:
        yield reason("only one table is allowed", at)
    if sum(len(block["text"]) for block in blocks if block["type"] == "markdown") > MARKDOWN_CHARACTERS:
        yield reason(f"markdown blocks may have {MARKDOWN_CHARACTERS} characters together", at)
    if sum(bool(element.get("focus_on_load")) for block in blocks for element in elements_of(block)) > 1:
        yield reason("only one element can have focus_on_load", at)


def _no_files(blocks: list[Json]) -> Iterator[str]:
    for index, block in enumerate(blocks):
        if block["type"] == "input" and block["element"]["type"] == "file_input":
            yield reason("file_input is for modals only", f"/blocks/{index}/element")


def _characters(value: Any) -> int:
    """Every character that somebody could read."""
    if isinstance(value, dict):
        return sum(len(one) if key == "text" and isinstance(one, str) else _characters(one) for key, one in value.items())
    return sum(_characters(one) for one in value) if isinstance(value, list) else 0
