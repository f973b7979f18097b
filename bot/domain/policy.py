"""Who may do what, and what an action must not do: policy.yml as the decisions and the edges read it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bot.domain.outcome import Risk


class Permission(StrEnum):
    """What somebody may be allowed to do."""

    DECLARE = "declare"
    READ = "read"
    CHANGE = "change"
    DESTRUCTIVE = "destructive"
    APPROVE = "approve"
    CONFIGURE = "configure"


EVERYONE = "everyone"
"""Every member of the workspace: no guests, no bots, nobody of another workspace."""
RESPONDERS = "responders"
"""Whoever is in the room of the incident, was paged for it, or holds a role in it."""
ADMINS = "admins"
"""Whoever `admins` of policy.yml names; without a name there, the owners and admins of the Slack workspace."""

Circle = Literal["everyone", "responders", "admins"]
WHO_PATTERN = (
    r"^(everyone|responders|admins|@[a-z0-9._-]{1,80}|[SUW][A-Z0-9]{2,30}|[^\s@<>]{1,64}@[^\s@<>]{1,190}\.[^\s@<>]{2,60})$"
)
"""A circle, a user group ("@sre", "S0…"), a user ("U0…"), or an e-mail address."""
ACCOUNT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+:-]{0,99}$"
"""The id of an account at a provider."""
DEFAULT_PERMISSIONS: Mapping[Permission, tuple[str, ...]] = MappingProxyType(
    {
        Permission.DECLARE: (EVERYONE,),
        Permission.READ: (RESPONDERS,),
        Permission.CHANGE: (RESPONDERS,),
        Permission.DESTRUCTIVE: (RESPONDERS,),
        Permission.APPROVE: (RESPONDERS,),
        Permission.CONFIGURE: (ADMINS,),
    }
)
NEEDED_FOR: Mapping[Risk, Permission] = MappingProxyType(
    {Risk.READ: Permission.READ, Risk.CHANGE: Permission.CHANGE, Risk.DESTRUCTIVE: Permission.DESTRUCTIVE}
)


class ActionPolicy(BaseModel):
    """``permissions``: for each permission circles ("everyone", "responders", "admins"), user groups ("@sre", "S0…") and users
    ("U0…", an e-mail address); one of them suffices, and whoever is named need not be a responder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    permissions: Mapping[Permission, tuple[str, ...]] = Field(default_factory=lambda: dict(DEFAULT_PERMISSIONS))
    admins: tuple[str, ...] = ()
    approval_s: int = 900
    """How long a preview can be confirmed."""
    break_glass_s: int = 300
    """How long a second person is waited for before whoever asked may go on alone, with a reason."""
    most_accounts: int = 1_000
    """The most accounts that one action may hit."""
    protected_accounts: tuple[str, ...] = ()
    """Accounts at providers that no action may hit: Muster's own, service users, the last administrator."""

    def allowed(self, permission: Permission) -> tuple[str, ...]:
        """Who has a permission, as the file names them."""
        return tuple(self.permissions.get(permission, DEFAULT_PERMISSIONS[permission]))
