"""Cleaning and cutting of text that people and providers wrote.

Called wherever foreign text enters the domain (titles, reasons) and by the edges before they render it. What is *not*
here: escaping for a place (mrkdwn, URLs, SQL); each edge does that for its own place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

from bot.domain.redaction import redact

TITLE_MAX_CHARS = 120
REASON_MAX_CHARS = 500
READ_MAX_CHARS = 40_000
"""What Slack takes for a message (docs.slack.dev, chat.postMessage); what is longer is not read to its end."""
_PIECE_CHARS = 1_000

_BLANKS = re.compile(r"\s+")
_SLACK_MARKUP = re.compile(r"<(?P<target>[^<>|]*)(?:\|(?P<label>[^<>]*))?>")


def clean(text: str, *, max_chars: int) -> str:
    """One line of ``text``: no control, format (U+202E and other bidi marks, zero-width) or surrogate characters, no secrets.

    Runs of white space become one blank; what is longer than ``max_chars`` is cut, ending in "…". At most two combining
    marks are kept on a character, so that 500 of them cannot paint over the neighbours. Secrets are looked for when nothing
    invisible can split them any more, and before a cut leaves half of one.
    """
    kept: list[str] = []
    marks = 0
    for character in normalized(text[:READ_MAX_CHARS], "NFC"):
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp"):
            kept.append(" ")
            continue
        if category in ("Cf", "Cs", "Co", "Cn") and character != "\u200d":  # the joiner holds composed emoji together
            continue
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks <= 2:
            kept.append(character)
    return cut(redact(_BLANKS.sub(" ", "".join(kept)).strip()), max_chars=max_chars)


def normalized(text: str, form: Literal["NFC", "NFKC", "NFKD"]) -> str:
    """``text`` in a normal form, piece by piece: CPython sorts the marks on one character in quadratic time, and 40,000 of them
    would stop everything for seconds."""
    pieces = (text[start : start + _PIECE_CHARS] for start in range(0, len(text), _PIECE_CHARS))
    return "".join(unicodedata.normalize(form, piece) for piece in pieces)


def cut(text: str, *, max_chars: int) -> str:
    """``text`` with at most ``max_chars`` characters; a cut ends in "…" and never splits a composed character."""
    if len(text) <= max_chars:
        return text
    end = max_chars - 1
    while end > 0 and (unicodedata.combining(text[end]) or text[end] in "\u200d\ufe0f" or text[end - 1] == "\u200d"):
        end -= 1
    return text[:end].rstrip() + "…"


def readable(text: str) -> str:
    """Slack's markup as a person would read it: ``<https://x|label>`` → "label", ``<@U1>`` stays "@U1", entities decoded once."""

    def plain(match: re.Match[str]) -> str:
        target, label = match["target"], match["label"]
        if label:
            return label
        return target.removeprefix("!") if target.startswith("!") else target

    decoded = _SLACK_MARKUP.sub(plain, text)
    return decoded.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def slug(text: str, *, max_chars: int) -> str:
    """``text`` as part of a channel name: a-z, 0-9 and single hyphens; "" when nothing is left."""
    ascii_text = normalized(text, "NFKD").encode("ascii", "ignore").decode().casefold()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:max_chars].rstrip("-")


def mention(by: str) -> str:
    """Whoever did something, in a sentence for Slack: a user is mentioned, anybody else (the terminal's, Muster) is named."""
    return f"<@{by}>" if re.fullmatch(r"[UW][A-Z0-9]{1,30}", by) else by.partition(":")[2] or by


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The one of ``known`` that was probably meant by ``word``, whatever the case; ``cutoff`` is difflib's, 0 to 1."""
    import difflib  # here: only for who mistyped something

    by_folded = {item.casefold(): item for item in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[close[0]] if close else None
