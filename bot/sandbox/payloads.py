"""What Slack puts around the things that happen: the bodies of events, commands and interactions. Pure functions.

Called by ``delivery`` (events) and ``workspace`` (everything else); a test compares the keys with payloads that Slack sent.
"""

from __future__ import annotations

from bot.sandbox.models import (
    APP_ID,
    BOT_USER_ID,
    TEAM_DOMAIN,
    TEAM_ID,
    VERIFICATION_TOKEN,
    Channel,
    Json,
    User,
)


def event_body(event: Json, event_id: str, event_time: int) -> Json:
    """The envelope of the Events API around one event."""
    channel = event.get("channel")
    about = channel if isinstance(channel, str) else ""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "context_team_id": TEAM_ID,
        "context_enterprise_id": None,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": event_time,
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": TEAM_ID,
                "user_id": BOT_USER_ID,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"1-{event['type']}-{TEAM_ID}-{about}",
    }


def command_form(user: User, channel: Channel, command: str, text: str, *, response_url: str, trigger_id: str) -> dict[str, str]:
    """The form fields of a slash command."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": user.team_id,
        "team_domain": TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": shown_name(channel),
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def shown_name(channel: Channel) -> str:
    """The channel's name as payloads show it: private ones and direct messages have none of their own."""
    if channel.is_im:
        return "directmessage"
    return "privategroup" if channel.is_private else channel.name


def _common(kind: str, user: User) -> Json:
    return {
        "type": kind,
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
        "api_app_id": APP_ID,
        "token": VERIFICATION_TOKEN,
        "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def message_actions(
    user: User,
    channel: Channel,
    message: Json,
    action: Json,
    *,
    values: Json,
    trigger_id: str,
    response_url: str,
    ephemeral: bool,
) -> Json:
    """block_actions on a message. An ephemeral message itself is not in it, as in Slack."""
    container: Json = {
        "type": "message",
        "message_ts": message["ts"],
        "channel_id": channel.id,
        "is_ephemeral": ephemeral,
    }
    if "thread_ts" in message:
        container["thread_ts"] = message["thread_ts"]
    body = _common("block_actions", user) | {
        "container": container,
        "trigger_id": trigger_id,
        "channel": {"id": channel.id, "name": shown_name(channel)},
        "state": {"values": values},
        "response_url": response_url,
        "actions": [action],
    }
    return body if ephemeral else body | {"message": message}


def view_actions(user: User, view: Json, action: Json, *, trigger_id: str) -> Json:
    """block_actions in a modal or on the Home tab."""
    return _common("block_actions", user) | {
        "container": {"type": "view", "view_id": view["id"]},
        "trigger_id": trigger_id,
        "view": view,
        "actions": [action],
    }


def view_submission(user: User, view: Json, *, trigger_id: str, response_urls: list[Json]) -> Json:
    """A form that was sent."""
    return _common("view_submission", user) | {"trigger_id": trigger_id, "view": view, "response_urls": response_urls}


def view_closed(user: User, view: Json, *, is_cleared: bool) -> Json:
    """A form that was closed."""
    return _common("view_closed", user) | {"view": view, "is_cleared": is_cleared, "response_urls": []}


def global_shortcut(user: User, callback_id: str, *, trigger_id: str, action_ts: str) -> Json:
    """A shortcut from the composer or the search."""
    body = _common("shortcut", user) | {"callback_id": callback_id, "trigger_id": trigger_id, "action_ts": action_ts}
    del body["api_app_id"]
    body["user"].pop("name")
    return body


def message_shortcut(
    user: User, channel: Channel, message: Json, callback_id: str, *, trigger_id: str, response_url: str, action_ts: str
) -> Json:
    """A shortcut on a message."""
    body = _common("message_action", user) | {
        "callback_id": callback_id,
        "trigger_id": trigger_id,
        "response_url": response_url,
        "action_ts": action_ts,
        "message_ts": message["ts"],
        "channel": {"id": channel.id, "name": shown_name(channel)},
        "message": message,
    }
    del body["api_app_id"]
    return body
