"""Twilio's signature: its own documented example, and everything that is not it."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from pydantic import SecretStr

from bot.notify.twilio_signature import is_genuine

TOKEN = SecretStr("12345")
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = {
    "To": "+18005551212",
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "From": "+14158675309",
    "Digits": "1234",
}
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
"""https://www.twilio.com/docs/usage/security#validating-requests"""


def test_the_documented_example_is_genuine() -> None:
    """In whatever order the form came."""
    assert is_genuine(TOKEN, URL, FORM, SIGNATURE)
    assert is_genuine(TOKEN, URL, dict(reversed(FORM.items())), SIGNATURE)


@pytest.mark.parametrize(
    ("token", "url", "form", "signature"),
    [
        ("12346", URL, FORM, SIGNATURE),
        ("12345", URL + "&x=1", FORM, SIGNATURE),
        ("12345", "http://mycompany.com/myapp.php?foo=1&bar=2", FORM, SIGNATURE),
        ("12345", "https://mycompany.com:8443/myapp.php?foo=1&bar=2", FORM, SIGNATURE),
        ("12345", "https://mycompany.com:port/", FORM, SIGNATURE),
        ("12345", URL, {**FORM, "Digits": "1"}, SIGNATURE),
        ("12345", URL, {**FORM, "Extra": ""}, SIGNATURE),
        ("12345", URL, {}, SIGNATURE),
        ("12345", URL, {**FORM, "Digits": "\ud800"}, SIGNATURE),
        ("12345", URL, FORM, SIGNATURE.lower()),
        ("12345", URL, FORM, SIGNATURE + "="),
        ("12345", URL, FORM, ""),
        ("12345", URL, FORM, "é"),
    ],
)
def test_anything_else_is_not(token: str, url: str, form: dict[str, str], signature: str) -> None:
    """A changed key, address, form or signature; none of them raises."""
    assert not is_genuine(SecretStr(token), url, form, signature)


@pytest.mark.parametrize("signed", ["https://mycompany.com/x", "https://mycompany.com:443/x"])
@pytest.mark.parametrize("ours", ["https://mycompany.com/x", "https://mycompany.com:443/x"])
def test_the_usual_port_may_be_written_or_not(signed: str, ours: str) -> None:
    """Twilio has signed both, depending on what it calls."""
    digest = hmac.new(b"12345", f"{signed}Digits1".encode(), hashlib.sha1).digest()
    assert is_genuine(TOKEN, ours, {"Digits": "1"}, base64.b64encode(digest).decode())
