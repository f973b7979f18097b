"""The pieces that every message is made of, with Slack's limits and escaping built in.

Limits: docs.slack.dev, reference/block-kit (blocks, composition objects). Foreign text goes into ``plain`` elements where it
can; where it must stand in mrkdwn it is escaped, and ``verbatim`` keeps Slack from turning it into links and mentions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from bot.domain.facts import Impact
from bot.domain.incident import Incident
from bot.domain.outcome import State
from bot.domain.text import cut
from bot.domain.timers import CONTACT_PREFIX
from bot.slack.drawing import Block

BLOCKS_MAX = 50
MESSAGE_TEXT_MAX_CHARS = 4_000
MESSAGE_BLOCKS_MAX_CHARS = 12_000
"""Slack refuses at about 13,200 characters in all blocks together (undocumented; bolt-js #2509)."""
SECTION_MAX_CHARS = 3_000
HEADER_MAX_CHARS = 150
BUTTON_MAX_CHARS = 75
OPTION_MAX_CHARS = 75

_TORN = re.compile(r"(?:&[a-z]*|<[^<>]*)…\Z")

STATE_MARK = {State.OK: "✅", State.FAILING: "🔴", State.UNKNOWN: "❔"}
IMPACT_LABELS = {
    Impact.CUSTOMER_IMPACT: "Customer impact",
    Impact.MEDIA_ATTENTION: "Media attention",
    Impact.BUSINESS_CRITICAL: "Business-critical",
}
STATE_WORD = {State.OK: "ok", State.FAILING: "failing", State.UNKNOWN: "unknown"}


def escape(text: str) -> str:
    """``text`` as Slack shows it literally: ``&``, ``<``, ``>`` in that order, once (docs.slack.dev, formatting text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mrkdwn(text: str, *, max_chars: int = SECTION_MAX_CHARS) -> Block:
    """A mrkdwn object; whatever in ``text`` is foreign must be escaped already. A cut never leaves half an entity or link."""
    shown = cut(text, max_chars=max_chars)
    if len(text) > max_chars:
        shown = _TORN.sub("…", shown)
    return {"type": "mrkdwn", "text": shown or " ", "verbatim": True}


def plain(text: str, *, max_chars: int = SECTION_MAX_CHARS) -> Block:
    """A plain text object, shown as it is."""
    return {"type": "plain_text", "text": cut(text, max_chars=max_chars) or " ", "emoji": True}


def header(text: str) -> Block:
    """A large line."""
    return {"type": "header", "text": plain(text, max_chars=HEADER_MAX_CHARS)}


def section(text: str, *, block_id: str | None = None, accessory: Block | None = None) -> Block:
    """A paragraph of mrkdwn."""
    block: Block = {"type": "section", "text": mrkdwn(text)}
    if block_id:
        block["block_id"] = block_id
    if accessory:
        block["accessory"] = accessory
    return block


def fields(texts: Sequence[str]) -> Block:
    """Two columns of mrkdwn; at most 10."""
    return {"type": "section", "fields": [mrkdwn(text, max_chars=2_000) for text in texts[:10]]}


def context(*texts: str) -> Block:
    """Small grey lines of mrkdwn; at most 10."""
    return {"type": "context", "elements": [mrkdwn(text) for text in texts[:10]]}


def divider() -> Block:
    """A line."""
    return {"type": "divider"}


def actions(elements: Iterable[Block], *, block_id: str) -> Block:
    """A row of buttons and menus; at most 25."""
    return {"type": "actions", "block_id": block_id, "elements": list(elements)[:25]}


def button(
    text: str,
    action_id: str,
    *,
    value: str,
    style: str | None = None,
    confirm: Block | None = None,
    url: str | None = None,
) -> Block:
    """A button. ``value`` carries ids only, never a parameter or a command."""
    element: Block = {
        "type": "button",
        "text": plain(text, max_chars=BUTTON_MAX_CHARS),
        "action_id": action_id,
        "value": value,
    }
    if style:
        element["style"] = style
    if confirm:
        element["confirm"] = confirm
    if url:
        element["url"] = url
    return element


def dialog(title: str, text: str, confirm: str, *, style: str | None = None) -> Block:
    """What is asked once more when a button is pressed, before anything is sent; all of it is shown as it is.
    Limits: docs.slack.dev, reference/block-kit/composition-objects/confirmation-dialog-object."""
    asked: Block = {
        "title": plain(title, max_chars=100),
        "text": plain(text, max_chars=300),
        "confirm": plain(confirm, max_chars=30),
        "deny": plain("Not now", max_chars=30),
    }
    if style:
        asked["style"] = style
    return asked


def option(text: str, value: str) -> Block:
    """One entry of a menu."""
    return {"text": plain(text, max_chars=OPTION_MAX_CHARS), "value": value}


def select(placeholder: str, action_id: str, options: Sequence[Block], *, initial: Block | None = None) -> Block:
    """A menu of at most 100 entries."""
    element: Block = {
        "type": "static_select",
        "placeholder": plain(placeholder, max_chars=150),
        "action_id": action_id,
        "options": list(options)[:100],
    }
    if initial:
        element["initial_option"] = initial
    return element


def when(moment: datetime, *, form: str = "{date_short_pretty} {time}") -> str:
    """A moment that Slack shows in each reader's own time zone."""
    return f"<!date^{int(moment.timestamp())}^{form}|{moment:%Y-%m-%d %H:%M} UTC>"


def clock(moment: datetime) -> str:
    """The time of day, in each reader's own time zone."""
    return when(moment, form="{time}")


def person(user_id: str) -> str:
    """A mention; what is not a Slack user is named as it is."""
    if user_id[:1] in ("U", "W") and user_id.isalnum():
        return f"<@{user_id}>"
    return escape(user_id.removeprefix(CONTACT_PREFIX).replace("-", " ").capitalize())


def named(incident: Incident, by: str) -> str:
    """Whoever did something: a mention, or the name of a contact who is no user of Slack."""
    if by.startswith(CONTACT_PREFIX):
        return escape(incident.plan.name_of(by.removeprefix(CONTACT_PREFIX)))
    return person(by)


def bar(done: int, total: int, *, width: int = 10) -> str:
    """A progress bar of ``width`` characters."""
    filled = round(width * done / total) if total else 0
    return "█" * filled + "░" * (width - filled)


def text_length(blocks: Iterable[Any]) -> int:
    """The number of characters of all texts in ``blocks``."""
    total = 0
    for item in blocks:
        if isinstance(item, dict):
            text = item.get("text")
            total += len(text) if isinstance(text, str) else 0
            total += text_length(value for value in item.values() if isinstance(value, dict | list))
        elif isinstance(item, list):
            total += text_length(item)
    return total


def paragraphs(lines: Sequence[str]) -> list[Block]:
    """``lines`` of escaped mrkdwn in as few sections as hold them; no line is lost."""
    texts: list[str] = []
    for line in lines:
        together = f"{texts[-1]}\n{line}" if texts else line
        if texts and len(together) <= SECTION_MAX_CHARS:
            texts[-1] = together
        else:
            texts.append(line)
    return [section(text) for text in texts]


def pages(groups: Sequence[Sequence[Block]]) -> list[list[Block]]:
    """``groups`` packed into as few messages as Slack's limits allow; a group is never torn apart."""
    packed: list[list[Block]] = [[]]
    chars = 0
    for group in groups:
        longer = text_length(group)
        if packed[-1] and (len(packed[-1]) + len(group) > BLOCKS_MAX or chars + longer > MESSAGE_BLOCKS_MAX_CHARS):
            packed.append([])
            chars = 0
        packed[-1].extend(group)
        chars += longer
    return packed
