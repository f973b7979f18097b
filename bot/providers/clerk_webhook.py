"""Knocks at an application's webhook endpoint, as a stranger and as Clerk would: unsigned, and signed.

Called by `bot.actions.clerk_webhook`, which says what an answer means. The address comes from a runbook and its service's
variables only. Signatures: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import SecretStr

from bot.domain.errors import ConfigError
from bot.providers.config import CLERK_WEBHOOK_SIGNING_SECRET
from bot.providers.http import DEFAULT_TIMEOUT_S, Endpoint, ProviderHttp, Reply, checked_url

URL_SETTING: Final = "the url of the step"
EVENT_TYPE: Final = "muster.probe"
"""No event of Clerk's is called so: an endpoint that knows its events does nothing about it."""
MAX_BYTES: Final = 256 * 1024
_PREFIX: Final = "whsec_"


class WebhookProbe:
    """Calls any address once; redirects are not followed. Raises: ConfigError for a secret that is none."""

    def __init__(self, secret: SecretStr | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._key = _key_of(secret) if secret and secret.get_secret_value() else None

    @property
    def can_sign(self) -> bool:
        """Whether there is a secret to sign with."""
        return self._key is not None

    async def knock(self, url: str, *, message_id: str, epoch_s: int, signed: bool) -> Reply:
        """The answer to an event of the type ``muster.probe``, whatever its status.

        Raises: ConfigError for an address that is none, and without a secret to sign with; Unavailable without an answer;
            Refused when it is too large.
        """
        checked_url(url, setting=URL_SETTING)
        event = {"data": {"id": message_id}, "object": "event", "type": EVENT_TYPE, "timestamp": epoch_s * 1000}
        headers: Mapping[str, str] = {}
        if signed:
            if self._key is None:
                raise ConfigError(f"the webhook cannot be probed with a signature; set {CLERK_WEBHOOK_SIGNING_SECRET}")
            headers = signature_headers(self._key, message_id=message_id, epoch_s=epoch_s, body=_encoded(event))
        endpoint = Endpoint(name="The webhook endpoint", base_url="", base_url_setting=URL_SETTING, headers=headers)
        http = ProviderHttp(endpoint, timeout_s=self._timeout_s, max_bytes=MAX_BYTES)
        try:
            return await http.fetch("POST", url, json_body=event)
        finally:
            await http.aclose()

    async def aclose(self) -> None:
        """Nothing is kept open between two knocks."""


def signature_headers(key: bytes, *, message_id: str, epoch_s: int, body: bytes) -> dict[str, str]:
    """What Svix sends along with ``body`` (HMAC-SHA256 over id, time and body)."""
    signed = f"{message_id}.{epoch_s}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"svix-id": message_id, "svix-timestamp": str(epoch_s), "svix-signature": f"v1,{signature}"}


def _encoded(event: Any) -> bytes:
    """The very bytes that the HTTP client makes of ``json_body``."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _key_of(secret: SecretStr) -> bytes:
    text = secret.get_secret_value().removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # the error would hold the secret
        key = b""
    if not key:
        raise ConfigError(
            f"{CLERK_WEBHOOK_SIGNING_SECRET}: is no signing secret; copy it from the endpoint's page in Clerk's Dashboard"
        )
    return key
