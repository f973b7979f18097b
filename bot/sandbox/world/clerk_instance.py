"""The settings of the sandbox's Clerk instance: protection, restrictions, blocklist, signing keys, and what browsers may read."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any, Final

from bot.sandbox.world.clerk_refusals import RefusalError, not_found, switches_of

INSTANCE_ID: Final = "ins_sandbox"
_PROTECT: Final = ("rules_enabled", "specter_enabled")
_RESTRICTIONS: Final = (
    "allowlist",
    "blocklist",
    "allowlist_blocklist_disabled_on_sign_in",
    "block_email_subaddresses",
    "block_disposable_email_domains",
)


class ClerkInstance:
    """One instance. ``lacking`` names what its plan does not have ("ban", "blocklist", "restrictions"): such calls get a 402.

    ``kids`` are the ids of its signing keys; ``frontend_kids`` those that the Frontend API tells, None: the same.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self.lacking: set[str] = set()
        self.kids: list[str] = [INSTANCE_ID]
        self.frontend_kids: list[str] | None = None
        self.protect = dict.fromkeys(_PROTECT, False)
        self.restrictions = dict.fromkeys(_RESTRICTIONS, False)
        self.blocked: dict[str, dict[str, Any]] = {}

    def needs(self, feature: str) -> None:
        """Raises: RefusalError (402) when the plan does not have it."""
        if feature in self.lacking:
            raise RefusalError(402, "unsupported_subscription_plan_features", "the plan does not include this")

    def result(self, method: str, path: tuple[str, ...], body: Any) -> Any:
        """What a call of the Backend API is answered. Raises: RefusalError."""
        match (method, *path):
            case ("GET", "jwks"):
                return key_set(self.kids)
            case ("GET", "instance"):
                return {
                    "object": "instance",
                    "id": INSTANCE_ID,
                    "environment_type": "development",
                    "allowed_origins": None,
                    "workspace_id": None,
                }
            case ("GET", "instance", "protect"):
                return self._protect()
            case ("PATCH", "instance", "protect"):
                self.protect |= switches_of(body, _PROTECT)
                return self._protect()
            case ("PATCH", "instance", "restrictions"):
                self.needs("restrictions")
                self.restrictions |= switches_of(body, _RESTRICTIONS)
                return {"object": "instance_restrictions", **self.restrictions}
            case ("GET", "blocklist_identifiers"):
                self.needs("blocklist")
                return {"data": list(self.blocked.values()), "total_count": len(self.blocked)}
            case ("POST", "blocklist_identifiers"):
                self.needs("blocklist")
                return self._block(body)
            case ("DELETE", "blocklist_identifiers", block_id):
                self.needs("blocklist")
                return self._unblock(block_id)
        raise not_found()

    def frontend(self, path: str) -> Any:
        """What a GET of the Frontend API is answered. Raises: RefusalError."""
        if path == "/.well-known/jwks.json":
            return key_set(self.kids if self.frontend_kids is None else self.frontend_kids)
        if path == "/v1/environment":
            restrictions = {name: {"enabled": value} for name, value in self.restrictions.items()}
            return {"auth_config": {"object": "auth_config"}, "user_settings": {"restrictions": restrictions}}
        raise not_found()

    def _protect(self) -> dict[str, Any]:
        return {"object": "instance_protect", **self.protect, "checks_bypassed": False}

    def _block(self, body: Any) -> dict[str, Any]:
        identifier = body.get("identifier") if isinstance(body, dict) and set(body) == {"identifier"} else None
        if not isinstance(identifier, str) or not re.fullmatch(r"\S+@[^\s@]+|\+[0-9]{7,15}|0x[0-9a-fA-F]{40}|\*@\S+", identifier):
            raise RefusalError(422, "form_param_format_invalid", "identifier must be an address or a number")
        if any(entry["identifier"] == identifier for entry in self.blocked.values()):
            raise RefusalError(422, "duplicate_record", "the identifier is on the blocklist already")
        now_ms = round(self._clock() * 1000)
        kind = "phone_number" if identifier[0] == "+" else "email_address" if "@" in identifier else "web3_wallet"
        entry: dict[str, Any] = {
            "object": "blocklist_identifier",
            "id": f"blid_sandbox{next(self._numbers):04d}",
            "identifier": identifier,
            "identifier_type": kind,
            "instance_id": INSTANCE_ID,
            "created_at": now_ms,
            "updated_at": now_ms,
        }
        self.blocked[entry["id"]] = entry
        return entry

    def _unblock(self, block_id: str) -> dict[str, Any]:
        if block_id not in self.blocked:
            raise not_found()
        del self.blocked[block_id]
        return {"object": "blocklist_identifier", "id": block_id, "deleted": True}


def key_set(kids: list[str]) -> dict[str, Any]:
    """A JSON Web Key Set with these key ids."""
    return {"keys": [{"kid": kid, "kty": "RSA", "use": "sig", "alg": "RS256", "n": "AQAB", "e": "AQAB"} for kid in kids]}
