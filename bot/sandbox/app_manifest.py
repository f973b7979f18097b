"""What the app may do here, read from its manifest: scopes, subscribed events, commands, shortcuts.

Called once by ``server``. Slack refuses a manifest whose fields are too long, unknown or of the wrong kind, and one that
subscribes to an event without the scope for it; so does this, at start-up, rather than staying silent later. Unlike Slack
it takes a manifest in which parts are missing: a test names only what it needs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.errors import ConfigError
from bot.sandbox.shapes import Check, array, boolean, choice, record, string

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

_REASON = re.compile(r"\[ERROR\] (?P<what>.*) \[json-pointer:/(?P<at>.*)\]", re.DOTALL)


def _anything(value: Any, at: str) -> Iterator[str]:
    """What Slack knows and this sandbox has no use for."""
    return iter(())


def _ignored(names: Iterable[str]) -> Mapping[str, Check]:
    return dict.fromkeys(names, _anything)


_ADDRESS = r"https?://[^\n]*"
_EVENTS = array(string(max_length=50), 0, 100, unique=True)
_SCOPES = array(string(max_length=50), 0, 255)
_COMMAND = record(
    {"command": string(2, 32, r"/[^\n]+"), "description": string(1, 2000)},
    {"url": string(max_length=3000, pattern=_ADDRESS), "usage_hint": string(1, 1000), "should_escape": boolean},
)
_SHORTCUT = record(
    {
        "name": string(1, 24),
        "type": choice(["message", "global"]),
        "callback_id": string(1, 255),
        "description": string(1, 150),
    }
)
_HOME = record({}, dict.fromkeys(("home_tab_enabled", "messages_tab_enabled", "messages_tab_read_only_enabled"), boolean))
_FEATURES = record(
    {},
    {
        "app_home": _HOME,
        "bot_user": record({"display_name": string(1, 80)}, {"always_online": boolean}),
        "shortcuts": array(_SHORTCUT, 1, 10),
        "slash_commands": array(_COMMAND, 1, 50),
        **_ignored(("functions", "workflow_steps", "unfurl_domains", "assistant_view", "agent_view")),
    },
)
_SETTINGS = record(
    {},
    {
        "event_subscriptions": record(
            {},
            {
                "request_url": string(max_length=3500, pattern=_ADDRESS),
                "bot_events": _EVENTS,
                "user_events": _EVENTS,
                **_ignored(("metadata_subscriptions",)),
            },
        ),
        "interactivity": record(
            {"is_enabled": boolean},
            dict.fromkeys(("request_url", "message_menu_options_url"), string(max_length=3500, pattern=_ADDRESS)),
        ),
        **dict.fromkeys(("org_deploy_enabled", "socket_mode_enabled", "token_rotation_enabled", "is_hosted"), boolean),
        **_ignored(("allowed_ip_address_ranges", "incoming_webhooks", "siws_links", "hermes_app_type", "function_runtime")),
        "is_mcp_enabled": boolean,
    },
)
_OAUTH = record(
    {},
    {
        "scopes": record({}, dict.fromkeys(("bot", "user", "bot_optional", "user_optional"), _SCOPES)),
        "token_management_enabled": boolean,
        "pkce_enabled": boolean,
        **_ignored(("redirect_urls",)),
    },
)
_MANIFEST = record(
    {},
    {
        "display_information": record(
            {"name": string(1, 35)},
            {
                "description": string(1, 140),
                "background_color": string(4, 7),
                "long_description": string(175, 4000),
            },
        ),
        "features": _FEATURES,
        "settings": _SETTINGS,
        "oauth_config": _OAUTH,
        **_ignored(("$schema", "_metadata", "app_directory", "datastores", "external_auth_providers", "functions")),
        **_ignored(("mcp_servers", "outgoing_domains", "types", "workflows")),
    },
)


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
    """The installed app as Slack knows it.

    ``messages_tab``: it may write direct messages; ``takes_messages``: people may answer them. Both, unless it says otherwise.
    """

    display_name: str
    scopes: frozenset[str]
    events: frozenset[str]
    commands: tuple[SlashCommand, ...]
    shortcuts: tuple[Shortcut, ...]
    home_tab: bool
    messages_tab: bool
    takes_messages: bool


def read_manifest(manifest: Mapping[str, Any]) -> AppManifest:
    """The app that a parsed ``manifest.yml`` describes. Raises ConfigError that lists everything Slack would not install."""
    if shape := [_told(fault) for fault in _MANIFEST(dict(manifest), "")]:
        raise ConfigError("The app manifest would not install: " + "; ".join(shape) + ".")
    features: Mapping[str, Any] = manifest.get("features") or {}
    settings: Mapping[str, Any] = manifest.get("settings") or {}
    scopes = frozenset(_scopes(manifest))
    events: Sequence[str] = (settings.get("event_subscriptions") or {}).get("bot_events") or ()
    commands = tuple(_command(entry) for entry in features.get("slash_commands") or ())
    shortcuts = tuple(_shortcut(entry) for entry in features.get("shortcuts") or ())
    faults = _faults(scopes, events, needs_commands=bool(commands or shortcuts))
    faults += [f"the command {name} is there twice" for name in _repeated(one.command for one in commands)]
    faults += [f"the shortcut {name} is there twice" for name in _repeated(one.callback_id for one in shortcuts)]
    if faults:
        raise ConfigError("The app manifest would not install: " + "; ".join(faults) + ".")
    home: Mapping[str, Any] = features.get("app_home") or {}
    messages_tab = bool(home.get("messages_tab_enabled", True))
    return AppManifest(
        display_name=(features.get("bot_user") or {}).get("display_name") or "Muster",
        scopes=scopes,
        events=frozenset(events),
        commands=commands,
        shortcuts=shortcuts,
        home_tab=bool(home.get("home_tab_enabled")),
        messages_tab=messages_tab,
        takes_messages=messages_tab and not home.get("messages_tab_read_only_enabled", False),
    )


def _told(fault: str) -> str:
    """A reason in Slack's form as a part of a sentence."""
    found = _REASON.fullmatch(fault)
    return f"{found['what']} (in {found['at'] or 'the manifest'})" if found else fault


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


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
