"""Whether a request is Twilio's. https://www.twilio.com/docs/usage/security#validating-requests

Used by who takes the answer to a call (`POST /pages/phone/{token}`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

_USUAL_PORTS = {"https": 443, "http": 80}


def is_genuine(auth_token: SecretStr, url: str, form: Mapping[str, str], signature: str) -> bool:
    """Whether ``signature`` (``X-Twilio-Signature``) is that of ``form`` sent to ``url``: the public address that Twilio called,
    with its query. A usual port may stand in it or not: Twilio signs it either way."""
    if not signature.isascii():
        return False
    signed = "".join(f"{name}{form[name]}" for name in sorted(form))
    expected = [_sign(auth_token, f"{form_of_url}{signed}") for form_of_url in _with_and_without_port(url)]
    return any([hmac.compare_digest(one, signature) for one in expected])  # noqa: C419 - each is compared, whatever the first says


def _sign(auth_token: SecretStr, text: str) -> str:
    # HMAC-SHA1 is what Twilio signs with; its weakness against collisions does not touch an HMAC
    digest = hmac.new(auth_token.get_secret_value().encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _with_and_without_port(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return (url,)
    usual = _USUAL_PORTS.get(parts.scheme)
    if usual is None or host is None or port not in (None, usual):
        return (url,)
    bare = parts.netloc.removesuffix(f":{usual}")
    return tuple(urlunsplit(parts._replace(netloc=netloc)) for netloc in (bare, f"{bare}:{usual}"))
