"""The rich_text block, which Slack's own composer makes of what people type. Used by elements and blocks.

Limits: docs.slack.dev/reference/block-kit/blocks/rich-text-block
"""

from __future__ import annotations

from bot.sandbox.block_objects import BLOCK_ID, CHANNEL_ID, USER_ID
from bot.sandbox.shapes import always, array, boolean, by_type, choice, integer, record, string, url

_STYLE = record(
    {},
    dict.fromkeys(("bold", "italic", "strike", "underline", "code", "highlight", "client_highlight", "unlink"), boolean),
    min_fields=1,
)
_LEAF = by_type(
    {
        "text": record({"type": always("text"), "text": string()}, {"style": _STYLE}),
        "link": record({"type": always("link"), "url": url()}, {"text": string(), "unsafe": boolean, "style": _STYLE}),
        "user": record({"type": always("user"), "user_id": USER_ID}, {"style": _STYLE}),
        "usergroup": record({"type": always("usergroup"), "usergroup_id": string(pattern=r"S[A-Z0-9]+")}, {"style": _STYLE}),
        "channel": record({"type": always("channel"), "channel_id": CHANNEL_ID}, {"style": _STYLE}),
        "team": record({"type": always("team"), "team_id": string(pattern=r"T[A-Z0-9]+")}, {"style": _STYLE}),
        "emoji": record(
            {"type": always("emoji"), "name": string(1)},
            {"skin_tone": integer(1, 6), "unicode": string(1), "style": _STYLE},
        ),
        "broadcast": record({"type": always("broadcast"), "range": choice(["here", "channel", "everyone"])}, {"style": _STYLE}),
        "color": record({"type": always("color"), "value": string(pattern="#?[0-9a-fA-F]{6}")}, {"style": _STYLE}),
        "date": record(
            {"type": always("date"), "timestamp": integer(0), "format": string(1)},
            {"url": url(), "fallback": string(), "style": _STYLE},
        ),
    },
    "rich text element",
)
_BORDER = choice([0, 1])
_SECTION = record({"type": always("rich_text_section"), "elements": array(_LEAF)})
_CONTAINER = by_type(
    {
        "rich_text_section": _SECTION,
        "rich_text_list": record(
            {
                "type": always("rich_text_list"),
                "style": choice(["bullet", "ordered"]),
                "elements": array(_SECTION, 1),
            },
            {"indent": integer(0), "offset": integer(0), "border": _BORDER},
        ),
        "rich_text_preformatted": record(
            {"type": always("rich_text_preformatted"), "elements": array(_LEAF)},
            {"border": _BORDER, "language": string(1)},
        ),
        "rich_text_quote": record({"type": always("rich_text_quote"), "elements": array(_LEAF)}, {"border": _BORDER}),
    },
    "rich text",
)
RICH_TEXT_BLOCK = record({"type": always("rich_text"), "elements": array(_CONTAINER)}, {"block_id": BLOCK_ID})
RICH_TEXT_CELL = record({"type": always("rich_text"), "elements": array(_CONTAINER)})
