"""reactions.*: emoji under messages. Errors: docs.slack.dev/reference/methods/reactions.<name>"""

from __future__ import annotations

import re

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import Method, MethodCall, message_at, visible_channel
from bot.sandbox.models import BOT_USER_ID, Channel, Json


def _place(call: MethodCall) -> tuple[Channel, str, str]:
    name = (call.arguments.find_text("name") or "").strip(":")
    if not re.fullmatch(r"[a-z0-9_+'-]+(::skin-tone-[2-6])?", name):
        raise SlackRefusal("invalid_name")
    if not call.arguments.find_text("timestamp"):
        raise SlackRefusal("no_item_specified")
    channel = visible_channel(call)
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    if BOT_USER_ID not in channel.members:
        raise SlackRefusal("not_in_channel")
    return channel, message_at(call, channel, "timestamp")["ts"], name


def add(call: MethodCall) -> Json:
    """reactions.add."""
    channel, ts, name = _place(call)
    if not call.state.react(channel, ts, BOT_USER_ID, name):
        raise SlackRefusal("already_reacted")
    return {}


def remove(call: MethodCall) -> Json:
    """reactions.remove."""
    channel, ts, name = _place(call)
    if not call.state.react(channel, ts, BOT_USER_ID, name, remove=True):
        raise SlackRefusal("no_reaction")
    return {}


METHODS = {
    "reactions.add": Method(add, ("reactions:write",)),
    "reactions.remove": Method(remove, ("reactions:write",)),
}
