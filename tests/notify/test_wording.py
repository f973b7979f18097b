"""The words that all ways share."""

from __future__ import annotations

import pytest

from bot.notify.sms import TEXT_MAX_CHARS, text_of
from bot.notify.wording import cut_at_word, headline, spoken, why
from tests.notify.conftest import summons


def test_a_half_sentence_becomes_a_sentence() -> None:
    """However it was given."""
    assert why(summons(why="you are on call")) == "You are on call."
    assert why(summons(why="You are on call.")) == "You are on call."
    assert why(summons(why=" \n ")) == ""


def test_line_breaks_invisible_characters_and_secrets_are_gone() -> None:
    """A title may come from an alert."""
    assert headline(summons(title="a\r\nBcc: x\u202e xoxb-123-abc")) == "SEV1 incident 42: a Bcc: x [redacted]"


@pytest.mark.parametrize(
    ("text", "max_chars", "expected"),
    [
        ("one two three", 13, "one two three"),
        ("one two three", 12, "one two…"),
        ("one two three", 8, "one two…"),
        ("one two three", 7, "one…"),
        ("x" * 50, 10, "x" * 9 + "…"),
        ("a " + "x" * 60, 50, "a " + "x" * 47 + "…"),
        ("ab👩\u200d🚒 cd", 4, "ab…"),
    ],
)
def test_a_cut_is_between_two_words(text: str, max_chars: int, expected: str) -> None:
    """Where one is near; never inside of a composed character."""
    assert cut_at_word(text, max_chars=max_chars) == expected
    assert len(expected) <= max(max_chars, len(text))


def test_no_voice_reads_abbreviations() -> None:
    """SEV1 is a word for eyes."""
    assert spoken("SEV1 incident 4: SEVERAL SEV12 things") == "severity 1 incident 4: SEVERAL SEV12 things"


def test_a_text_says_what_why_and_where() -> None:
    """With a link that is whole, or else with words."""
    assert text_of(summons()) == (
        "SEV1 incident 42: Nobody can sign in. Nobody has acknowledged for 15 min. https://acme.slack.com/archives/C042"
    )
    assert text_of(summons(room_url=None)).endswith("15 min. Open Slack and acknowledge it there.")
    assert text_of(summons(room_url="https://x.example.com/" + "a" * 200)).endswith("acknowledge it there.")


@pytest.mark.parametrize("title", ["word " * 100, "x" * 400])
@pytest.mark.parametrize("reason", ["", "you are on call", "r " * 300])
@pytest.mark.parametrize("room_url", [None, "https://x.example.com/" + "a" * 130])
def test_a_text_is_never_too_long(title: str, reason: str, room_url: str | None) -> None:
    """The title gives way first: the number of the incident, the reason's beginning and the link stay."""
    text = text_of(summons(title=title, why=reason, room_url=room_url))
    assert len(text) <= TEXT_MAX_CHARS
    assert text.startswith("SEV1 incident 42: ")
    assert text.endswith(room_url or "Open Slack and acknowledge it there.")
