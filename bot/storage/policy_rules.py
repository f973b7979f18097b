"""The rules that policy.yml must keep beyond its shape: that somebody may at all, and that not everybody may everything.

Called by `bot.storage.runbook_files`. Whether a group or a person exists only Slack can say: `muster doctor` asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain.durations import format_duration
from bot.domain.policy import ADMINS, EVERYONE, RESPONDERS, ActionPolicy, Permission
from bot.storage.findings import Finding

CIRCLES = (EVERYONE, RESPONDERS, ADMINS)
WITHOUT_INCIDENT = (Permission.DECLARE, Permission.CONFIGURE)
"""Asked when there is no incident, so that nobody is a responder."""
NOT_FOR_EVERYONE = (Permission.DESTRUCTIVE, Permission.APPROVE, Permission.CONFIGURE)
APPROVAL_LEAST_S = 60
"""Somebody has to see the preview, read it, and press."""


def policy_findings(policy: ActionPolicy) -> Iterator[Finding]:
    """What is wrong with a policy that can be read."""
    yield from _admins(policy)
    for permission in Permission:
        yield from _permission(permission, policy.allowed(permission))
    yield from _times(policy)


def _admins(policy: ActionPolicy) -> Iterator[Finding]:
    for index, name in enumerate(policy.admins):
        if name in CIRCLES:
            remedy = "name user groups, member ids or e-mail addresses; leave it empty for the admins of the Slack workspace"
            yield Finding(path=("admins", index), message=f"“{name}” says nothing about who the admins are", remedy=remedy)


def _permission(permission: Permission, names: tuple[str, ...]) -> Iterator[Finding]:
    path = ("permissions", permission.value)
    if permission in WITHOUT_INCIDENT and set(names) == {RESPONDERS}:
        message = f"nobody could {permission.value}: it is asked when there is no incident, and nobody is a responder then"
        yield Finding(path=path, message=message, remedy="name everyone, admins, a user group or people")
    if permission in NOT_FOR_EVERYONE and EVERYONE in names:
        message = f"every member of the workspace has the permission “{permission.value}”, whoever they are"
        yield Finding(path=path, message=message, remedy="name responders, a user group or people", level="warning")
    if permission is Permission.APPROVE and len(names) == 1 and _is_one_person(names[0]):
        message = f"only {names[0]} may approve, so what they ask for themselves goes on with a break-glass only"
        yield Finding(path=path, message=message, remedy="name one more, or a user group", level="warning")


def _is_one_person(name: str) -> bool:
    return name[:1] in ("U", "W") or ("@" in name and not name.startswith("@"))


def _times(policy: ActionPolicy) -> Iterator[Finding]:
    if policy.approval_s < APPROVAL_LEAST_S:
        message = f"nobody can read a preview and approve it within {format_duration(policy.approval_s)}"
        yield Finding(path=("approval_expires",), message=message, remedy=f"write at least {APPROVAL_LEAST_S}s")
    elif policy.break_glass_s >= policy.approval_s:
        message = "nobody could ever go on alone: the preview expires before the second person was waited for long enough"
        remedy = f"write less than approval_expires, which is {format_duration(policy.approval_s)}"
        yield Finding(path=("break_glass_after",), message=message, remedy=remedy, level="warning")
