"""Who is in a channel: conversations.members, invite, join, leave, kick.

Errors and limits: docs.slack.dev/reference/methods/conversations.<name>
"""

from __future__ import annotations

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import (
    INVITE,
    MANAGE,
    READ,
    Method,
    MethodCall,
    channel_for,
    known_user,
    member_channel,
    paged,
    scopes_of,
    visible_channel,
)
from bot.sandbox.models import BOT_USER_ID, Channel, Json

INVITED_AT_ONCE = 100


def members(call: MethodCall) -> Json:
    """conversations.members."""
    channel = channel_for(call, READ)
    page, cursor = paged(call, [{"id": member} for member in channel.members], default=100)
    return {"members": [row["id"] for row in page], "response_metadata": {"next_cursor": cursor}}


def _fault(call: MethodCall, channel: Channel, user_id: str) -> str | None:
    user = call.state.users.get(user_id)
    if user is None:
        return "user_not_found"
    if user_id == BOT_USER_ID:
        return "cant_invite_self"
    if user.deleted:
        return "cant_invite"
    return "already_in_channel" if user_id in channel.members else None


def invite(call: MethodCall) -> Json:
    """conversations.invite: all or nobody, unless ``force``; what was wrong with whom is in ``errors``."""
    channel = member_channel(call, INVITE)
    user_ids = list(dict.fromkeys(call.arguments.listing("users")))
    if not user_ids:
        raise SlackRefusal("no_user")
    if len(user_ids) > INVITED_AT_ONCE:
        raise SlackRefusal("too_many_users")
    faults = {user_id: fault for user_id in user_ids if (fault := _fault(call, channel, user_id))}
    good = [user_id for user_id in user_ids if user_id not in faults]
    forced = call.arguments.flag("force") and len(user_ids) > 1
    if not faults or forced:
        for user_id in good:
            call.state.join(channel, user_id, inviter=BOT_USER_ID)
    errors = [{"user": user_id, "ok": False, "error": fault} for user_id, fault in faults.items()]
    if faults and not (forced and good):
        raise SlackRefusal(next(iter(faults.values())), errors=errors)
    body: Json = {"channel": channel.as_slack(BOT_USER_ID)}
    return body | ({"errors": errors} if errors else {})


def join(call: MethodCall) -> Json:
    """conversations.join: public channels only; safe to repeat."""
    channel = visible_channel(call)
    if not channel.is_open:
        raise SlackRefusal("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    joined = call.state.join(channel, BOT_USER_ID)
    body: Json = {"channel": channel.as_slack(BOT_USER_ID)}
    if joined:
        return body
    return body | {"warning": "already_in_channel", "response_metadata": {"warnings": ["already_in_channel"]}}


def leave(call: MethodCall) -> Json:
    """conversations.leave: ``not_in_channel`` is an answer, not an error."""
    channel = channel_for(call, MANAGE)
    if channel.is_general:
        raise SlackRefusal("cant_leave_general")
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    return {} if call.state.leave(channel, BOT_USER_ID) else {"not_in_channel": True}


def kick(call: MethodCall) -> Json:
    """conversations.kick."""
    channel = member_channel(call, MANAGE)
    user = known_user(call, call.arguments.find_text("user"))
    if user.id == BOT_USER_ID:
        raise SlackRefusal("cant_kick_self")
    if channel.is_general:
        raise SlackRefusal("cant_kick_from_general")
    if not call.state.leave(channel, user.id, kicked_by=BOT_USER_ID):
        raise SlackRefusal("not_in_channel")
    return {}


METHODS = {
    "conversations.members": Method(members, scopes_of(READ)),
    "conversations.invite": Method(invite, scopes_of(INVITE)),
    "conversations.join": Method(join, ("channels:join",)),
    "conversations.leave": Method(leave, scopes_of(MANAGE)),
    "conversations.kick": Method(kick, scopes_of(MANAGE)),
}
