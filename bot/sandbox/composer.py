"""What Slack's composer makes of typed text: escaping, mentions, links, the rich_text block. Pure, used by ``workspace``.

Formatting: docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from bot.sandbox.models import Json

# Already in Slack's own form (a test or the page has picked a person or a channel): kept as it is.
_TOKEN = re.compile(r"<(?:@[UW][A-Z0-9]+|#[CG][A-Z0-9]+(?:\|[^>]*)?|https?://[^>\s]+)>")
_NAME = re.compile(r"(?<![\w@#/&])([@#])([a-z0-9][a-z0-9._-]*)")
_LINK = re.compile(
    r"https?://[^\s<>|]+[^\s<>|.,!?;:)'\"]|(?<![\w@./-])(?:[a-z0-9-]+\.)+(?:com|net|org|io|dev|app)\b(?:/[^\s<>|]*)?"
)
_SENT = re.compile(
    r"<@(?P<user>[UW][A-Z0-9]+)(?:\|[^>]*)?>|<#(?P<channel>[CG][A-Z0-9]+)(?:\|[^>]*)?>|<!subteam\^(?P<group>S[A-Z0-9]+)[^>]*>"
    r"|<!(?P<range>here|channel|everyone)>|<(?P<url>https?://[^>|]+)(?:\|(?P<label>[^>]*))?>"
)


def escape(text: str) -> str:
    """``&``, ``<`` and ``>`` as Slack sends them."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_message(text: str, names: Mapping[str, str]) -> str:
    """A typed message as the bot receives it; ``names`` maps "@handle" and "#name" to what they become."""
    return _outside_tokens(text, lambda part: _outside(_LINK, part, _linked, lambda rest: _mentioned(rest, names)))


def as_command(text: str, names: Mapping[str, str]) -> str:
    """The text of a slash command: escaped, with mentions only for the given names (none without ``should_escape``)."""
    return _outside_tokens(text, lambda part: _mentioned(part, names))


def _outside_tokens(text: str, change: Callable[[str], str]) -> str:
    return _outside(_TOKEN, text, lambda token: token, change)


def _outside(pattern: re.Pattern[str], text: str, inside: Callable[[str], str], outside: Callable[[str], str]) -> str:
    parts: list[str] = []
    end = 0
    for found in pattern.finditer(text):
        parts += [outside(text[end : found.start()]), inside(found.group())]
        end = found.end()
    return "".join([*parts, outside(text[end:])])


def _linked(link: str) -> str:
    return f"<{escape(link)}>" if "://" in link else f"<http://{escape(link)}|{escape(link)}>"


def _mentioned(text: str, names: Mapping[str, str]) -> str:
    return _NAME.sub(lambda found: _mention(found.group(), names), escape(text))


def _mention(word: str, names: Mapping[str, str]) -> str:
    """A known name, also when a full stop or the like follows it."""
    for candidate in (word, word.rstrip("._-")):
        if candidate in names:
            return names[candidate] + word[len(candidate) :]
    return word


def rich_text(text: str) -> list[Json]:
    """The block that Slack adds to a person's message (one section; bold and lists are left as they were typed)."""
    elements: list[Json] = []
    end = 0
    for token in _SENT.finditer(text):
        elements += _plain(text[end : token.start()])
        elements.append(_element(token))
        end = token.end()
    elements += _plain(text[end:])
    return [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}]


def _element(token: re.Match[str]) -> Json:
    if token["user"]:
        return {"type": "user", "user_id": token["user"]}
    if token["channel"]:
        return {"type": "channel", "channel_id": token["channel"]}
    if token["group"]:
        return {"type": "usergroup", "usergroup_id": token["group"]}
    if token["range"]:
        return {"type": "broadcast", "range": token["range"]}
    link = {"type": "link", "url": _unescape(token["url"])}
    return link | ({"text": _unescape(token["label"])} if token["label"] else {})


def _plain(text: str) -> list[Json]:
    return [{"type": "text", "text": _unescape(text)}] if text else []


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
