"""Clerk's Frontend API: what every browser of the application's users may read. No secret is needed or sent.

Called by the diagnostics on Clerk. Its host stands in the publishable key: ``pk_live_`` or ``pk_test_``, and behind it in
base64 the host and a "$" (https://clerk.com/docs/guides/development/clerk-environment-variables).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ValidationError

from bot.domain.errors import ConfigError
from bot.providers.clerk_shapes import KeySet, Restriction, first_error
from bot.providers.config import CLERK_FRONTEND_API_URL, CLERK_PUBLISHABLE_KEY
from bot.providers.faults import Refused
from bot.providers.http import DEFAULT_TIMEOUT_S, Endpoint, ErrorDetail, ProviderHttp

_KEY: Final = re.compile(r"pk_(live|test)_([A-Za-z0-9+/_-]{4,500}={0,2})")
_HOST: Final = re.compile(r"(?=.{4,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
_RESTRICTIONS: Final[tuple[Restriction, ...]] = ("blocklist", "block_disposable_email_domains", "block_email_subaddresses")


@dataclass(frozen=True)
class PublishableKey:
    """What a publishable key says: of which kind of instance it is, and where the Frontend API of that is."""

    kind: Literal["live", "test"]
    host: str

    @classmethod
    def parse(cls, text: str) -> PublishableKey:
        """Raises: ConfigError without the text itself, which may be a secret put in the wrong place."""
        found = _KEY.fullmatch(text)
        host = _decoded(found[2]) if found else ""
        if found is None or not host.endswith("$") or not _HOST.fullmatch(host[:-1]):
            raise ConfigError(
                f"{CLERK_PUBLISHABLE_KEY}: is no publishable key of Clerk's; copy the one that begins with pk_live_ or pk_test_"
            )
        return cls(kind="live" if found[1] == "live" else "test", host=host[:-1])


class ClerkFrontend:
    """The Frontend API of one instance. Every method raises Refused, Unavailable.

    Raises: ConfigError when ``api_url`` is no http(s) address.
    """

    def __init__(self, key: PublishableKey, *, api_url: str | None = None, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.key = key
        self._http = ProviderHttp(
            Endpoint(
                name="Clerk's Frontend API",
                base_url=(api_url or f"https://{key.host}").rstrip("/"),
                base_url_setting=CLERK_FRONTEND_API_URL if api_url else CLERK_PUBLISHABLE_KEY,
                headers={"accept": "application/json"},
            ),
            detail=_error_detail,
            timeout_s=timeout_s,
        )

    async def key_ids(self) -> tuple[str, ...]:
        """The keys that applications check session tokens with."""
        try:
            found = KeySet.model_validate(await self._http.get_json(".well-known", "jwks.json"))
        except ValidationError as error:
            raise self._unexpected("GET /.well-known/jwks.json") from error
        return tuple(key.kid for key in found.keys)

    async def read_restrictions(self) -> dict[Restriction, bool]:
        """What sign-up is restricted by now, as far as the environment that browsers load says it."""
        body = await self._http.get_json("v1", "environment")
        settings = body.get("user_settings") if isinstance(body, dict) else None
        if not isinstance(settings, dict):
            raise self._unexpected("GET /v1/environment")
        said = settings.get("restrictions")
        return {name: said[name]["enabled"] for name in _RESTRICTIONS if isinstance(said, dict) and _is_switch(said.get(name))}

    async def aclose(self) -> None:
        """Close the connections; the next call would open new ones."""
        await self._http.aclose()

    def _unexpected(self, request: str) -> Refused:
        return Refused(
            f"Clerk's Frontend API answered {request} in a shape that Muster does not know",
            remedy=f"check {self._http.endpoint.base_url_setting}, and whether there is a newer Muster",
            code="unexpected",
        )


def _decoded(text: str) -> str:
    """ "" when it is no base64 of ASCII text."""
    padded = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _is_switch(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("enabled"), bool)


def _error_detail(body: Any) -> ErrorDetail:
    code, trace_id = first_error(body)
    return ErrorDetail(code=code, trace_id=trace_id)
