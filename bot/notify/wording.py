"""What a page says, in the words that all ways share: spoken, as a text message, as a mail. Where it goes is for each way."""

from __future__ import annotations

import re

from bot.domain.text import clean, cut
from bot.services.ports import Summons

_HEADLINE_MAX_CHARS = 300
_WHY_MAX_CHARS = 200
_WORD_MAX_CHARS = 30
"""So much may be lost for a cut between two words; a longer one is cut inside."""


def headline(summons: Summons) -> str:
    """One clean line: what is broken, how badly, and whether it is real."""
    return clean(summons.headline, max_chars=_HEADLINE_MAX_CHARS)


def why(summons: Summons) -> str:
    """Why it reaches this person, as a sentence; "" when nothing was said."""
    half = clean(summons.why, max_chars=_WHY_MAX_CHARS).rstrip(".")
    return f"{half[0].upper()}{half[1:]}." if half else ""


def request(summons: Summons) -> str:
    """What is wanted of them, for who can follow no link."""
    if summons.kind == "check_in":
        return "Open Slack and say there whether you are still on it."
    return "Open Slack and acknowledge it there." if summons.kind == "page" else "No answer is needed; it is in Slack."


def cut_at_word(text: str, *, max_chars: int) -> str:
    """``text`` with at most ``max_chars`` characters; a cut ends in "…", between two words where one is near."""
    if len(text) <= max_chars:
        return text
    shorter = cut(text, max_chars=max_chars)
    before, blank, last = shorter.removesuffix("…").rpartition(" ")
    cut_inside = not text[len(shorter) - 1 :][:1].isspace()
    return f"{before.rstrip()}…" if blank and cut_inside and len(last) <= _WORD_MAX_CHARS else shorter


def spoken(text: str) -> str:
    """As it is to be read out: no voice reads "SEV1" as a person would."""
    return re.sub(r"\bSEV([1-9])\b", r"severity \1", text)
