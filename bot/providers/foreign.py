"""Text and numbers that a provider wrote, made safe to show to people.

Called by every client on whatever it keeps of a reply, and by the action runner as the last net. Escaping for a place
(mrkdwn, a URL) does not belong here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bot.domain.redaction import MASK as MASK
from bot.domain.redaction import redact as redact
from bot.domain.text import clean, cut

_LONGEST_CHARS = 20_000


def foreign_text(text: object, *, max_chars: int = 120) -> str:
    """One clean, redacted line of something that a provider wrote; "" when it is not text.

    The order matters: invisible characters go first, so that none can split a secret, and the cut comes last, so that
    none leaves half a secret that the patterns no longer know.
    """
    if not isinstance(text, str):
        return ""
    return cut(redact(clean(text[:_LONGEST_CHARS], max_chars=_LONGEST_CHARS)), max_chars=max_chars)


def word_of(text: object) -> str:
    """A provider's own code ("authentication_invalid") when it is one plain word without a secret, else ""."""
    if isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text) and redact(text) == text:
        return text
    return ""


def moment_of(epoch_ms: int | None) -> str:
    """ "2026-11-20 19:38 UTC" for milliseconds since 1970; "never" for None, "unknown" for what no calendar has."""
    if epoch_ms is None:
        return "never"
    try:
        return datetime.fromtimestamp(epoch_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        return "unknown"
