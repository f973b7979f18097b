"""What the listeners, and Bolt before them, may rely on in what Slack sends: what is there has the type that Slack documents.

Judged once, by ``bot.slack.listeners.bolt.dispatch``, before anything reads it; what fails is answered 400. Whether an id
means anything, and who may do what, is not judged here. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_OBJECTS = ("team", "user", "enterprise", "channel", "message", "container", "view")
"""Of an interaction: an object or null. A command has none of them."""
_LISTS = ("actions", "authorizations", "response_urls")
"""Lists of objects."""
_IDS: Mapping[str, tuple[str, ...]] = {
    "": (
        *("team_id", "api_app_id", "event_id", "user_id", "channel_id", "command", "callback_id", "trigger_id"),
        *("response_url", "action_ts", "message_ts"),
    ),
    "team": ("id",),
    "user": ("id", "team_id"),
    "enterprise": ("id",),
    "channel": ("id",),
    "message": ("ts", "thread_ts"),
    "container": ("channel_id", "message_ts"),
    "view": ("id", "hash", "type", "callback_id"),
    "event": ("type", "user", "channel", "ts", "thread_ts"),
}
"""Parts of an object that go into keys of Redis, into calls of Slack or into tables of ours."""
_ACTION_IDS = ("action_id", "block_id", "action_ts")
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "message": ("user", "channel", "ts"),
    "app_mention": ("channel", "ts"),
    "member_joined_channel": ("user", "channel"),
    "member_left_channel": ("user", "channel"),
}
"""What an event cannot do without, by its type."""

_PRINTABLE = re.compile(r"[ -~]*")


def is_whole(body: Mapping[str, Any]) -> bool:
    """Whether every part that is read unchecked is what Slack says it is. Never raises."""
    if body.get("type") == "event_callback":
        return _is_event(body)
    if any(not isinstance(body.get(name), dict | None) for name in _OBJECTS):
        return False
    if not _lists_hold_objects(body) or not all(_has_ids(_part(body, name), names) for name, names in _IDS.items()):
        return False
    if body.get("type") == "block_actions":
        return _are_actions(body.get("actions"))
    if body.get("type") in ("view_submission", "view_closed"):
        return _is_view(body.get("view"))
    return True


def _is_event(body: Mapping[str, Any]) -> bool:
    event = body.get("event")
    if not isinstance(event, dict) or not _lists_hold_objects(body):
        return False
    if not _has_ids(body, _IDS[""]) or not _is_id(event.get("type")):
        return False
    needed = _NEEDED.get(event["type"])
    if needed is None:
        return True  # nothing of it is read; other events have objects where these have ids
    return _has_ids(event, _IDS["event"]) and all(isinstance(event.get(name), str) for name in needed)


def _are_actions(pressed: Any) -> bool:
    if not isinstance(pressed, list) or not pressed:
        return False
    return all(isinstance(action.get("action_id"), str) and _has_ids(action, _ACTION_IDS) for action in pressed)


def _is_view(view: Any) -> bool:
    if not isinstance(view, dict) or not isinstance(view.get("type"), str):
        return False
    state = view.get("state") or {}
    values = (state.get("values") or {}) if isinstance(state, dict) else None
    if not isinstance(values, dict) or not isinstance(view.get("private_metadata") or "", str):
        return False
    return all(isinstance(block or {}, dict) for block in values.values())


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name) if name else body
    return part if isinstance(part, dict) else {}


def _lists_hold_objects(body: Mapping[str, Any]) -> bool:
    lists = [body[name] for name in _LISTS if name in body]
    return all(isinstance(items, list) and all(isinstance(item, dict) for item in items) for items in lists)


def _has_ids(part: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return all(part.get(name) is None or _is_id(part[name]) for name in names)


def _is_id(value: Any) -> bool:
    """Ids are opaque, but they are printable ASCII: no half of a surrogate pair, which no key and no request can hold."""
    return isinstance(value, str) and bool(_PRINTABLE.fullmatch(value))
