"""What Slack's composer makes of typed text: escaping, mentions, the rich_text block. Pure, used by ``workspace``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.sandbox.models import Json

# Already in Slack's own form (a test or the page has picked a person or a channel): kept as it is.
_TOKEN = re.compile(r"<(?:@[UW][A-Z0-9]+|#[CG][A-Z0-9]+(?:\|[^>]*)?|https?://[^>\s]+)>")
_NAME = re.compile(r"(?<![\w@#/])([@#])([a-z0-9][a-z0-9._-]*)")


def escape(text: str) -> str:
    """``&``, ``<`` and ``>`` as Slack sends them (docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_sent(text: str, names: Mapping[str, str], *, mentions: bool = True) -> str:
    """Typed text as the bot receives it; ``names`` maps "@handle" and "#name" to what they become."""
    parts: list[str] = []
    end = 0
    for token in _TOKEN.finditer(text):
        parts += [_between(text[end : token.start()], names, mentions=mentions), token.group()]
        end = token.end()
    return "".join([*parts, _between(text[end:], names, mentions=mentions)])


def _between(text: str, names: Mapping[str, str], *, mentions: bool) -> str:
    escaped = escape(text)
    return _NAME.sub(lambda found: _mention(found.group(), names), escaped) if mentions else escaped


def _mention(word: str, names: Mapping[str, str]) -> str:
    """A known name, also when a full stop or the like follows it."""
    name = word.rstrip("._-")
    for candidate in (word, name):
        if candidate in names:
            return names[candidate] + word[len(candidate) :]
    return word


def rich_text(text: str) -> list[Json]:
    """The block that Slack adds to a person's message (one section of plain text: formatting is left to the page)."""
    elements: list[Json] = []
    end = 0
    for token in re.finditer(r"<@([UW][A-Z0-9]+)>|<#([CG][A-Z0-9]+)[^>]*>", text):
        elements += _plain(text[end : token.start()])
        user_id, channel_id = token.groups()
        elements.append({"type": "user", "user_id": user_id} if user_id else {"type": "channel", "channel_id": channel_id})
        end = token.end()
    elements += _plain(text[end:])
    return [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}]


def _plain(text: str) -> list[Json]:
    shown = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return [{"type": "text", "text": shown}] if shown else []
