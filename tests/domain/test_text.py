"""Foreign text on its way in: cleaned, cut, made readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.text import clean, cut, mention, readable, slug


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("clerk\x00 \x1b[31mdown\r\n", "clerk [31mdown"),
        ("abc\u202edef\u2066", "abcdef"),
        ("zero\u200bwidth", "zerowidth"),
        ("a" + "\u0301" * 500, "\u00e1\u0301\u0301"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("  many\t\tblanks\u2028here ", "many blanks here"),
        ("👩\u200d🚒 stays whole", "👩\u200d🚒 stays whole"),
    ],
)
def test_clean(raw: str, expected: str) -> None:
    """Nothing that reorders, hides, paints over its neighbours or breaks a line is left."""
    assert clean(raw, max_chars=100) == expected


def test_a_cut_never_splits_a_composed_character() -> None:
    """Eleven code points of one emoji are kept or dropped together."""
    family = "👩\u200d👩\u200d👧\u200d👦"
    assert cut("ab" + family, max_chars=6) == "ab…"


@given(st.text(max_size=300), st.integers(min_value=1, max_value=50))
def test_clean_never_raises_and_keeps_its_limit(raw: str, most: int) -> None:
    """Whatever comes, one line of at most so many characters that UTF-8 can say."""
    cleaned = clean(raw, max_chars=most)
    assert len(cleaned) <= most
    assert "\n" not in cleaned
    cleaned.encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("<https://x.test/a|the page> is down", "the page is down"),
        ("<@U1> says <#C1|general> &lt;b&gt; &amp;lt;", "@U1 says general <b> &lt;"),
        ("<!here> now", "here now"),
        ("<https://x.test>", "https://x.test"),
    ],
)
def test_readable(raw: str, expected: str) -> None:
    """Slack's markup as a person reads it, entities decoded exactly once."""
    assert readable(raw) == expected


@pytest.mark.parametrize(("raw", "expected"), [("Clerk ist DOWN!!", "clerk-ist-down"), ("日本", ""), ("é--è", "e-e")])
def test_slug(raw: str, expected: str) -> None:
    """Only what a channel name may hold."""
    assert slug(raw, max_chars=40) == expected


@pytest.mark.parametrize(
    ("by", "text"), [("U0ALICE", "<@U0ALICE>"), ("W1", "<@W1>"), ("terminal:root", "root"), ("muster", "muster")]
)
def test_who_did_it_in_a_sentence(by: str, text: str) -> None:
    """Only a user of Slack is mentioned."""
    assert mention(by) == text
