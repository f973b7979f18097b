"""What the app may do here, read from its manifest: scopes, subscribed events, commands, shortcuts.

Called once by ``server``. Slack refuses a manifest that subscribes to an event without the scope for it; so does this,
at start-up, rather than staying silent later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.errors import ConfigError

# Event → the bot scopes of which it needs one (docs.slack.dev/reference/events/<event>); empty for none.
EVENT_SCOPES: Mapping[str, tuple[str, ...]] = {
    "app_home_opened": (),
    "app_mention": ("app_mentions:read",),
    "app_uninstalled": (),
    "channel_archive": ("channels:read",),
    "channel_created": ("channels:read",),
    "channel_deleted": ("channels:read",),
    "channel_left": ("channels:read",),
    "channel_rename": ("channels:read",),
    "channel_unarchive": ("channels:read",),
    "group_archive": ("groups:read",),
    "group_left": ("groups:read",),
    "group_rename": ("groups:read",),
    "group_unarchive": ("groups:read",),
    "member_joined_channel": ("channels:read", "groups:read"),
    "member_left_channel": ("channels:read", "groups:read"),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "message.mpim": ("mpim:history",),
    "pin_added": ("pins:read",),
    "pin_removed": ("pins:read",),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "subteam_updated": ("usergroups:read",),
    "team_join": ("users:read",),
    "tokens_revoked": (),
    "user_change": ("users:read",),
}


@dataclass(frozen=True)
class SlashCommand:
    """One slash command; ``should_escape`` makes Slack turn @names and #names of its text into ids."""

    command: str
    description: str
    usage_hint: str
    should_escape: bool


@dataclass(frozen=True)
class Shortcut:
    """One shortcut; ``type`` is "global" or "message"."""

    name: str
    type: str
    callback_id: str
    description: str


@dataclass(frozen=True)
class AppManifest:
    """The installed app as Slack knows it."""

    display_name: str
    scopes: frozenset[str]
    events: frozenset[str]
    commands: tuple[SlashCommand, ...]
    shortcuts: tuple[Shortcut, ...]
    home_tab: bool


def read_manifest(manifest: Mapping[str, Any]) -> AppManifest:
    """The app that a parsed ``manifest.yml`` describes. Raises ConfigError that lists everything Slack would not install."""
    features: Mapping[str, Any] = manifest.get("features") or {}
    settings: Mapping[str, Any] = manifest.get("settings") or {}
    scopes = frozenset(_scopes(manifest))
    events: Sequence[str] = (settings.get("event_subscriptions") or {}).get("bot_events") or ()
    commands = tuple(_command(entry) for entry in features.get("slash_commands") or ())
    shortcuts = tuple(_shortcut(entry) for entry in features.get("shortcuts") or ())
    faults = list(_faults(scopes, events, needs_commands=bool(commands or shortcuts)))
    if faults:
        raise ConfigError("The app manifest would not install: " + "; ".join(faults) + ".")
    return AppManifest(
        display_name=(features.get("bot_user") or {}).get("display_name") or "Muster",
        scopes=scopes,
        events=frozenset(events),
        commands=commands,
        shortcuts=shortcuts,
        home_tab=bool((features.get("app_home") or {}).get("home_tab_enabled")),
    )


def _scopes(manifest: Mapping[str, Any]) -> Sequence[str]:
    return ((manifest.get("oauth_config") or {}).get("scopes") or {}).get("bot") or ()


def _command(entry: Mapping[str, Any]) -> SlashCommand:
    return SlashCommand(
        command=entry["command"],
        description=entry.get("description", ""),
        usage_hint=entry.get("usage_hint", ""),
        should_escape=bool(entry.get("should_escape", False)),
    )


def _shortcut(entry: Mapping[str, Any]) -> Shortcut:
    return Shortcut(
        name=entry["name"],
        type=entry["type"],
        callback_id=entry["callback_id"],
        description=entry.get("description", ""),
    )


def _faults(scopes: frozenset[str], events: Sequence[str], *, needs_commands: bool) -> list[str]:
    faults = [f"the sandbox knows no event {event}" for event in events if event not in EVENT_SCOPES]
    for event in events:
        wanted = EVENT_SCOPES.get(event, ())
        if wanted and not scopes.intersection(wanted):
            faults.append(f"the event {event} needs the scope {' or '.join(wanted)}")
    if needs_commands and "commands" not in scopes:
        faults.append("commands and shortcuts need the scope commands")
    return faults
