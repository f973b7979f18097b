"""The users and sessions of the sandbox's Clerk, in the shapes of its Backend API (2026-05-12). Nothing is real."""

from __future__ import annotations

from typing import Any

_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS

_DEVICES = (
    ("Macintosh", False, "Chrome", "141.0", "198.51.100.7", "Berlin", "DE"),
    ("iPhone", True, "Safari", "26.1", "198.51.100.23", "Lisbon", "PT"),
    ("Windows", False, "Edge", "141.0", "203.0.113.5", "Toronto", "CA"),
    ("Android", True, "Chrome", "141.0", "203.0.113.99", "São Paulo", "BR"),
    ("Linux", False, "Firefox", "144.0", "192.0.2.44", "Amsterdam", "NL"),
)
"""Device, mobile, browser, version, address (of the ranges for documentation, RFC 5737), city, country."""


def users(now_ms: int) -> dict[str, dict[str, Any]]:
    """By id; each has an e-mail address that must never reach Slack."""
    return {made["id"]: made for made in (user(name, now_ms) for name in ("2demo", "2quiet", "2many", "2pending", "2admin"))}


def sessions(now_ms: int) -> dict[str, dict[str, Any]]:
    """By id. ``2demo`` has 7 active ones, ``2quiet`` none, ``2many`` 120, ``2pending`` 2 and a pending one, ``2admin`` 1."""
    made = [
        *_sessions_of("2demo", ["active"] * 7 + ["ended", "revoked", "expired"], now_ms),
        *_sessions_of("2quiet", ["ended", "expired", "removed"], now_ms),
        *_sessions_of("2many", ["active"] * 120, now_ms),
        *_sessions_of("2pending", ["pending", "active", "active", "abandoned"], now_ms),
        *_sessions_of("2admin", ["active"], now_ms),
    ]
    return {session["id"]: session for session in made}


def _sessions_of(name: str, statuses: list[str], now_ms: int) -> list[dict[str, Any]]:
    return [session(name, number, status, now_ms) for number, status in enumerate(statuses, start=1)]


def session(name: str, number: int, status: str, now_ms: int) -> dict[str, Any]:
    """The ``number``-th newest session (1-based) of the user ``user_<name>``."""
    device, is_mobile, browser, version, address, city, country = _DEVICES[number % len(_DEVICES)]
    created_at = now_ms - number * 37 * _MINUTE_MS
    return {
        "object": "session",
        "id": f"sess_{name}{number:04d}",
        "user_id": f"user_{name}",
        "client_id": f"client_{name}{number:04d}",
        "actor": None,
        "status": status,
        "last_active_organization_id": None,
        "last_active_at": created_at + 11 * _MINUTE_MS,
        "latest_activity": {
            "object": "session_activity",
            "id": f"sess_activity_{name}{number:04d}",
            "device_type": device,
            "is_mobile": is_mobile,
            "browser_name": browser,
            "browser_version": version,
            "ip_address": address,
            "city": city,
            "country": country,
        },
        "expire_at": created_at + 7 * _DAY_MS,
        "abandon_at": created_at + 30 * _DAY_MS,
        "created_at": created_at,
        "updated_at": created_at + 11 * _MINUTE_MS,
        "tasks": [{"key": "choose-organization"}] if status == "pending" else None,
    }


def memberships(now_ms: int) -> list[dict[str, Any]]:
    """``2admin`` is the only administrator of the one organization, in which ``2demo`` is a member."""
    return [membership("2admin", "org:admin", now_ms), membership("2demo", "org:member", now_ms)]


def membership(name: str, role: str, now_ms: int, organization: str = "2team") -> dict[str, Any]:
    """The user ``user_<name>`` in the organization ``org_<organization>``."""
    created_at = now_ms - 80 * _DAY_MS
    return {
        "object": "organization_membership",
        "id": f"orgmem_{name}{organization}",
        "role": role,
        "role_name": role.removeprefix("org:").title(),
        "permissions": [],
        "public_metadata": {},
        "organization": {
            "object": "organization",
            "id": f"org_{organization}",
            "name": "Sandbox team",
            "slug": "sandbox-team",
            "has_image": False,
            "max_allowed_memberships": 5,
            "admin_delete_enabled": True,
            "public_metadata": {},
            "created_at": created_at,
            "updated_at": created_at,
        },
        "public_user_data": {
            "user_id": f"user_{name}",
            "first_name": "Sandbox",
            "last_name": name,
            "profile_image_url": "https://img.clerk.com/preview.png",
            "image_url": "https://img.clerk.com/preview.png",
            "has_image": False,
            "identifier": f"{name}@sandbox.example",
        },
        "created_at": created_at,
        "updated_at": created_at,
    }


def user(name: str, now_ms: int, email: str = "") -> dict[str, Any]:
    """The user ``user_<name>``, with the address ``<name>@sandbox.example`` unless another one is given."""
    created_at = now_ms - 90 * _DAY_MS
    return {
        "object": "user",
        "id": f"user_{name}",
        "external_id": None,
        "primary_email_address_id": f"idn_{name}",
        "primary_phone_number_id": None,
        "primary_web3_wallet_id": None,
        "username": None,
        "first_name": "Sandbox",
        "last_name": name,
        "image_url": "https://img.clerk.com/preview.png",
        "has_image": False,
        "public_metadata": {},
        "private_metadata": {"note": "sk_test_PRIVATEMETADATACANARY"},
        "unsafe_metadata": {},
        "email_addresses": [_email_address(name, email or f"{name}@sandbox.example", created_at)],
        "phone_numbers": [],
        "web3_wallets": [],
        "passkeys": [],
        "password_enabled": True,
        "two_factor_enabled": False,
        "totp_enabled": False,
        "backup_code_enabled": False,
        "mfa_enabled_at": None,
        "mfa_disabled_at": None,
        "external_accounts": [],
        "saml_accounts": [],
        "enterprise_accounts": [],
        "last_sign_in_at": now_ms - 40 * _MINUTE_MS,
        "banned": False,
        "locked": False,
        "lockout_expires_in_seconds": None,
        "verification_attempts_remaining": 100,
        "created_at": created_at,
        "updated_at": created_at,
        "delete_self_enabled": True,
        "create_organization_enabled": True,
        "last_active_at": now_ms - 30 * _MINUTE_MS,
        "legal_accepted_at": None,
    }


def _email_address(name: str, email: str, created_at: int) -> dict[str, Any]:
    return {
        "id": f"idn_{name}",
        "object": "email_address",
        "email_address": email,
        "reserved": False,
        "verification": {
            "object": "verification_ticket",
            "status": "verified",
            "strategy": "ticket",
            "attempts": None,
            "expire_at": None,
        },
        "linked_to": [],
        "matches_sso_connection": False,
        "created_at": created_at,
        "updated_at": created_at,
    }
