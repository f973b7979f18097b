"""Only what Slack signed, just now, is genuine; nothing that a stranger sends raises."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from bot.http.signature import is_genuine

SECRET = b"shhh"
BODY = b'{"type":"event_callback"}'
NOW = 1_763_600_000


def signed(timestamp: str, body: bytes = BODY, secret: bytes = SECRET) -> str:
    digest = hmac.new(secret, b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return f"v0={digest}"


def genuine(timestamps: list[str], signatures: list[str], body: bytes = BODY) -> bool:
    return is_genuine(SECRET, body, timestamps=timestamps, signatures=signatures, now_s=NOW)


@pytest.mark.parametrize("skew", [0, -299, 299])
def test_what_slack_signed_is_genuine(skew: int) -> None:
    """Within five minutes, in either direction."""
    timestamp = str(NOW + skew)
    assert genuine([timestamp], [signed(timestamp)])


@pytest.mark.parametrize("skew", [-301, 301])
def test_an_old_or_future_timestamp_is_refused(skew: int) -> None:
    """A replay, and a signature made for later."""
    timestamp = str(NOW + skew)
    assert not genuine([timestamp], [signed(timestamp)])


@pytest.mark.parametrize(
    "timestamp", ["abc", "", " 1763600000", "1763600000 ", "1" * 5000, "١٧٦٣٦٠٠٠٠٠", "-5", "1e9", "1763600000.0", "\x00"]
)
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    """Whatever it is, the answer is no, not an exception."""
    assert not genuine([timestamp], [signed("1763600000")])


@pytest.mark.parametrize("signature", ["", "v0=", "v0=é", "v1=" + "a" * 64, "v0=" + "A" * 64, "v0=" + "0" * 64, "v0=\ud800"])
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    """Missing, of another version, upper case, foreign characters, or simply wrong."""
    assert not genuine([str(NOW)], [signature])


def test_missing_and_doubled_headers_are_refused() -> None:
    """Exactly one of each."""
    timestamp = str(NOW)
    signature = signed(timestamp)
    assert not genuine([], [signature])
    assert not genuine([timestamp], [])
    assert not genuine([timestamp, timestamp], [signature])
    assert not genuine([timestamp], [signature, signature])


def test_another_body_or_secret_is_refused() -> None:
    """The signature is of these bytes, by this secret."""
    timestamp = str(NOW)
    assert not genuine([timestamp], [signed(timestamp, b"other")])
    assert not genuine([timestamp], [signed(timestamp, secret=b"other")])
