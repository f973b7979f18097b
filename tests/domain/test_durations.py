"""Durations as people write and read them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from bot.domain.durations import MAX_DURATION_S, DurationS, format_duration, parse_duration


class Timer(BaseModel):
    """A model with a duration in it."""

    after_s: DurationS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("15m", 900),
        ("1h", 3600),
        ("24h", 86_400),
        ("1d", 86_400),
        ("1w", 604_800),
        ("1h30m", 5400),
        ("1w2d3h4m5s", 788_645),
        ("0", 0),
        ("0m", 0),
        (" 15m ", 900),
        ("90m", 5400),
    ],
)
def test_parses_what_people_write(text: str, seconds: int) -> None:
    """Each unit, and units put together from large to small."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "15", "15 m", "m", "30m1h", "1.5h", "-1m", "15min", "1h 30m", "1H", "١m", "1m1m", "9" * 30 + "s", "+1m"],
)
def test_refuses_what_is_unclear(text: str) -> None:
    """A number without a unit, units in the wrong order, other digits: each says how to write it."""
    with pytest.raises(ValueError, match="for example 30s, 15m"):
        parse_duration(text)


def test_refuses_what_is_longer_than_a_year() -> None:
    """A slip of the pen is not a deadline."""
    with pytest.raises(ValueError, match="longer than a year"):
        parse_duration("53w")
    assert parse_duration("366d") == MAX_DURATION_S


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (0.9, "0 s"),
        (45, "45 s"),
        (60, "1 min"),
        (900, "15 min"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (5401, "1 h 30 min"),
        (3601, "1 h"),
        (86_400, "1 day"),
        (180_000, "2 days 2 h"),
        (604_800, "1 week"),
        (1_900_000, "3 weeks"),
    ],
)
def test_formats_for_a_reader(seconds: float, text: str) -> None:
    """At most two neighbouring units, in words."""
    assert format_duration(seconds) == text


def test_a_field_takes_a_string_with_a_unit_and_whole_seconds_from_json() -> None:
    """A file says "15m"; stored JSON says 900; nothing else counts."""
    assert Timer.model_validate({"after_s": "15m"}).after_s == 900
    assert Timer.model_validate_json('{"after_s": 900}').after_s == 900
    for wrong in ("900", 1.5, True, None, -1, MAX_DURATION_S + 1):
        with pytest.raises(ValidationError):
            Timer.model_validate({"after_s": wrong})


@given(st.text(max_size=20))
def test_never_fails_in_another_way(text: str) -> None:
    """Any text is a duration or a ValueError."""
    with suppress(ValueError):
        assert 0 <= parse_duration(text) <= MAX_DURATION_S


@given(st.integers(min_value=0, max_value=MAX_DURATION_S))
def test_every_number_of_seconds_can_be_written(seconds: int) -> None:
    """Parsing takes back what the units say."""
    assert parse_duration(f"{seconds}s") == seconds
