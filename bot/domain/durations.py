"""Durations as people write them ("15m", "1h30m", "1w") and as they read them ("15 min").

Used by the models of the files in `runbooks/` and by everything that shows a duration. What does not belong: moments
and deadlines, which need a clock.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

MAX_DURATION_S = 366 * 24 * 3600
"""A year: what is longer is a slip of the pen, not a deadline."""

DURATION_PATTERN = r"^(0|([0-9]+[wdhms])+)$"
"""For JSON Schema; ``parse_duration`` is what decides."""

_UNIT_S = {"w": 7 * 24 * 3600, "d": 24 * 3600, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(
    r"(?:(?P<w>[0-9]{1,9})w)?(?:(?P<d>[0-9]{1,9})d)?(?:(?P<h>[0-9]{1,9})h)?(?:(?P<m>[0-9]{1,9})m)?(?:(?P<s>[0-9]{1,9})s)?"
)
_READABLE = (("w", "week", "weeks"), ("d", "day", "days"), ("h", "h", "h"), ("m", "min", "min"), ("s", "s", "s"))


def parse_duration(text: str) -> int:
    """Seconds of "30s", "15m", "24h", "2d", "1w", or of units put together from large to small ("1h30m"); "0" is 0.

    Raises: ValueError that says how to write it.
    """
    compact = text.strip()
    if compact == "0":
        return 0
    match = _DURATION.fullmatch(compact)
    if match is None or not compact:
        raise ValueError("is not a duration; write a number and a unit, for example 30s, 15m, 1h30m, 24h or 1w")
    total_s = sum(int(match[unit]) * size_s for unit, size_s in _UNIT_S.items() if match[unit])
    if total_s > MAX_DURATION_S:
        raise ValueError("is longer than a year; is the unit right?")
    return total_s


def format_duration(seconds: float) -> str:
    """``seconds`` for a reader, the two largest units that are not zero: "15 min", "1 h 30 min", "1 week"; "0 s" for
    none.

    A part of a second is cut off, a negative duration reads as "0 s".
    """
    rest = max(0, int(seconds))
    parts: list[str] = []
    for unit, singular, plural in _READABLE:
        count, rest = divmod(rest, _UNIT_S[unit])
        if count:
            parts.append(f"{count} {singular if count == 1 else plural}")
        if len(parts) == 2 or (parts and not count):
            break
    return " ".join(parts) or "0 s"


def _to_seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


DurationS = Annotated[
    int,
    Field(ge=0, le=MAX_DURATION_S, strict=True),
    BeforeValidator(_to_seconds, json_schema_input_type=Annotated[str, Field(pattern=DURATION_PATTERN)]),
]
"""A pydantic field: a duration string in a file, whole seconds in Python and in stored JSON."""
