"""The things of a workspace: people, groups, channels. Plain data with the JSON that Slack shows of it.

Filled and changed by ``state`` only. Messages and views stay the JSON objects that Slack itself makes of them.
"""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

TEAM_ID = "T0SANDBOX"
TEAM_DOMAIN = "muster-sandbox"
TEAM_NAME = "Muster sandbox"
APP_ID = "A0MUSTER"
BOT_ID = "B0MUSTER"
BOT_USER_ID = "U0MUSTER"
SLACKBOT_ID = "USLACKBOT"
VERIFICATION_TOKEN = "sandbox-verification-token"  # noqa: S105 - Slack's legacy field, sent in every payload, proves nothing

_ZONE_LABELS = {
    "America/Los_Angeles": ("Pacific Standard Time", "Pacific Daylight Time"),
    "America/New_York": ("Eastern Standard Time", "Eastern Daylight Time"),
    "Asia/Kolkata": ("India Standard Time", "India Standard Time"),
    "Europe/Berlin": ("Central European Time", "Central European Summer Time"),
    "Europe/London": ("Greenwich Mean Time", "British Summer Time"),
}
"""Slack's ``tz_label`` by zone, in winter and in summer; other zones are labelled with their own name."""


@dataclass
class User:
    """A member of the workspace; ``name`` is the handle without @."""

    id: str
    name: str
    real_name: str
    title: str = ""
    email: str | None = None
    is_bot: bool = False
    is_guest: bool = False
    deleted: bool = False
    color: str = "4a154b"
    tz: str = "Europe/Berlin"
    team_id: str = TEAM_ID
    is_owner: bool = False
    """The primary owner of the workspace; Slack shows them as an admin too."""

    def as_slack(self, *, with_email: bool, at: float) -> Json:
        """The user object of users.info at a moment (epoch seconds); the address only for apps with ``users:read.email``.

        Slack's offset is that of the day: it changes with summer time.
        """
        tz_label, tz_offset = _zone(self.tz, at)
        profile: Json = {
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.name,
            "display_name_normalized": self.name,
            "title": self.title,
            "phone": "",
            "status_text": "",
            "status_emoji": "",
            "team": self.team_id,
        }
        if self.is_bot:
            profile |= {"api_app_id": APP_ID, "bot_id": BOT_ID, "always_active": True}
        elif with_email and self.email:
            profile["email"] = self.email
        return {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": self.deleted,
            "color": self.color,
            "real_name": self.real_name,
            "tz": self.tz,
            "tz_label": tz_label,
            "tz_offset": tz_offset,
            "profile": profile,
            "is_admin": self.is_owner,
            "is_owner": self.is_owner,
            "is_primary_owner": self.is_owner,
            "is_restricted": self.is_guest,
            "is_ultra_restricted": False,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": 1700000000,
            "is_email_confirmed": not self.is_bot,
        } | ({"is_stranger": True} if self.team_id != TEAM_ID else {})


def _zone(name: str, at: float) -> tuple[str, int]:
    """Slack's label of a zone at that moment, and its seconds east of UTC."""
    moment = datetime.fromtimestamp(at, UTC).astimezone(zoneinfo.ZoneInfo(name))
    winter, summer = _ZONE_LABELS.get(name, (name, name))
    offset = moment.utcoffset() or timedelta()
    return (summer if moment.dst() else winter), round(offset.total_seconds())


@dataclass
class UserGroup:
    """A user group such as @incident-responders."""

    id: str
    handle: str
    name: str
    users: list[str]

    def as_slack(self, *, with_users: bool) -> Json:
        """The object of usergroups.list."""
        group: Json = {
            "id": self.id,
            "team_id": TEAM_ID,
            "is_usergroup": True,
            "is_subteam": True,
            "name": self.name,
            "handle": self.handle,
            "description": "",
            "is_external": False,
            "date_create": 1700000000,
            "date_update": 1700000000,
            "date_delete": 0,
            "user_count": len(self.users),
        }
        return group | {"users": list(self.users)} if with_users else group


@dataclass
class Words:
    """A channel's topic or purpose with who set it when (epoch seconds; 0 for never)."""

    value: str = ""
    creator: str = ""
    last_set: int = 0

    def as_slack(self) -> Json:
        """``{"value", "creator", "last_set"}``."""
        return {"value": self.value, "creator": self.creator, "last_set": self.last_set}


@dataclass
class Channel:
    """A conversation of any kind, with everything said in it.

    ``messages`` is by ts, in order, thread replies included. ``ephemeral`` is by ts too: (who sees it, message).
    ``members`` keeps the order of joining.
    """

    id: str
    name: str
    creator: str
    created: int
    is_private: bool = False
    is_im: bool = False
    is_mpim: bool = False
    is_general: bool = False
    is_archived: bool = False
    members: list[str] = field(default_factory=list)
    topic: Words = field(default_factory=Words)
    purpose: Words = field(default_factory=Words)
    previous_names: list[str] = field(default_factory=list)
    messages: dict[str, Json] = field(default_factory=dict)
    ephemeral: dict[str, tuple[str, Json]] = field(default_factory=dict)
    bookmarks: list[Json] = field(default_factory=list)
    pins: list[Json] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Slack's ``channel_type``: channel, group, im or mpim."""
        if self.is_im:
            return "im"
        if self.is_mpim:
            return "mpim"
        return "group" if self.is_private else "channel"

    @property
    def is_open(self) -> bool:
        """Anybody of the workspace may see and join it."""
        return self.kind == "channel"

    def other(self, user_id: str) -> str | None:
        """In a direct message, whom this user talks to; None elsewhere."""
        return next((member for member in self.members if member != user_id), None) if self.is_im else None

    def as_slack(self, viewer: str) -> Json:
        """The object of conversations.info, as this member (the bot) sees it."""
        if self.is_im:
            return {
                "id": self.id,
                "created": self.created,
                "is_archived": False,
                "is_im": True,
                "is_org_shared": False,
                "context_team_id": TEAM_ID,
                "user": self.other(viewer),
                "is_user_deleted": False,
                "is_open": True,
                "priority": 0,
            }
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": not self.is_private,
            "is_group": self.is_private and not self.is_mpim,
            "is_im": False,
            "is_mpim": self.is_mpim,
            "is_private": self.is_private,
            "created": self.created,
            "updated": self.created * 1000,
            "is_archived": self.is_archived,
            "is_general": self.is_general,
            "unlinked": 0,
            "is_shared": False,
            "is_org_shared": False,
            "is_ext_shared": False,
            "is_pending_ext_shared": False,
            "pending_shared": [],
            "shared_team_ids": [TEAM_ID],
            "pending_connected_team_ids": [],
            "context_team_id": TEAM_ID,
            "parent_conversation": None,
            "creator": self.creator,
            "is_member": viewer in self.members,
            "topic": self.topic.as_slack(),
            "purpose": self.purpose.as_slack(),
            "previous_names": list(self.previous_names),
        }
