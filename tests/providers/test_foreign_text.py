"""Text of providers, made safe: secrets, invisible characters, lengths."""

from __future__ import annotations

import pytest

from bot.providers.foreign import MASK, foreign_text, moment_of, redact, word_of


@pytest.mark.parametrize(
    "secret",
    [
        "xoxb-123-abc",
        "xapp-1-A0-secret",
        "sk_live_abcDEF123",
        "SK_TEST_ABC",
        "whsec_abc+/==",
        "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY----- never ends",
        "AKIAABCDEFGHIJKLMNOP",
        "ghp_abcdefghijklmnopqrstuvwxyz",
        "Bearer abc.def",
    ],
)
def test_what_is_shaped_like_a_secret_is_masked(secret: str) -> None:
    """Each known shape is replaced, wherever it stands in a text."""
    assert redact(f"before {secret}") == f"before {MASK}"


def test_passwords_in_urls() -> None:
    """Of a URL with a password only the password part is lost."""
    assert redact("postgres://u:p@host/db") == f"postgres://{MASK}@host/db"


def test_known_secrets_are_masked_whatever_their_shape() -> None:
    """A configured token without a telling shape is known by its value."""
    assert redact("token hunter2hunter2!", ["", "hunter2hunter2"]) == f"token {MASK}!"


def test_invisible_characters_cannot_split_a_secret() -> None:
    """Cleaning comes before redaction, cutting after it."""
    assert foreign_text("sk_live\u200b_abcdef") == MASK
    assert "sk_live" not in foreign_text("x" * 30 + " sk_live_abcdef", max_chars=40)


def test_odd_values() -> None:
    """What is not text is no text; what is long is cut."""
    assert foreign_text(None) == foreign_text(17) == foreign_text(["a"]) == ""
    assert len(foreign_text("y" * 1_000_000, max_chars=50)) == 50
    assert foreign_text("a\x00b\ud800\u202ec") == "a bc"


def test_code_words() -> None:
    """Only one plain word passes for a vendor's code."""
    assert word_of("form_param_missing") == "form_param_missing"
    assert [word_of(odd) for odd in ("two words", "sk_live_abc", "<b>", "", None, "x" * 65)] == [""] * 6


def test_moments() -> None:
    """Milliseconds become a minute in UTC; impossible ones do not raise."""
    assert moment_of(1_763_667_480_000) == "2025-11-20 19:38 UTC"
    assert (moment_of(None), moment_of(10**30)) == ("never", "unknown")
