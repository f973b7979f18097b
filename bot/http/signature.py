"""Slack's signature, checked on the raw bytes before anything parses them.

Stricter than slack_sdk's verifier, which accepts a timestamp in the future and raises on odd headers. Source:
docs.slack.dev, authentication/verifying-requests-from-slack (HMAC-SHA256 of ``v0:timestamp:body``, five minutes).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

MOST_SKEW_S = 300

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")


def is_genuine(secret: bytes, body: bytes, *, timestamps: Sequence[str], signatures: Sequence[str], now_s: float) -> bool:
    """Whether ``body`` was signed with ``secret`` within five minutes of ``now_s``, in either direction.

    ``timestamps`` and ``signatures`` are all values of the two headers: none, or more than one, is not genuine. Never raises.
    """
    if len(timestamps) != 1 or len(signatures) != 1:
        return False
    timestamp, signature = timestamps[0], signatures[0]
    if not _TIMESTAMP.fullmatch(timestamp) or not timestamp.isascii() or not _SIGNATURE.fullmatch(signature):
        return False
    if abs(now_s - int(timestamp)) > MOST_SKEW_S:
        return False
    expected = hmac.new(secret, b"v0:" + timestamp.encode("ascii") + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v0={expected}", signature)
