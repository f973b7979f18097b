"""pins.*: messages pinned to a channel. Errors: docs.slack.dev/reference/methods/pins.<name>"""

from __future__ import annotations

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import Method, MethodCall, message_at, visible_channel
from bot.sandbox.models import BOT_USER_ID, Channel, Json

PINS = 100


def _place(call: MethodCall) -> tuple[Channel, Json]:
    channel = visible_channel(call)
    if BOT_USER_ID not in channel.members:
        raise SlackRefusal("not_in_channel")
    if not call.arguments.find_text("timestamp"):
        raise SlackRefusal("no_item_specified")
    return channel, message_at(call, channel, "timestamp")


def _tell(call: MethodCall, kind: str, channel: Channel, message: Json) -> None:
    item = {"type": "message", "channel": channel.id, "message": message}
    call.state.publish_channel(channel)
    call.state.emit({"type": kind, "user": BOT_USER_ID, "channel_id": channel.id, "item": item})


def add(call: MethodCall) -> Json:
    """pins.add."""
    channel, message = _place(call)
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    if any(pin["ts"] == message["ts"] for pin in channel.pins):
        raise SlackRefusal("already_pinned")
    if len(channel.pins) >= PINS:
        raise SlackRefusal("too_many_pins")
    channel.pins.append({"ts": message["ts"], "created": int(call.state.clock.now()), "created_by": BOT_USER_ID})
    message["pinned_to"] = [channel.id]
    _tell(call, "pin_added", channel, message)
    return {}


def list_all(call: MethodCall) -> Json:
    """pins.list."""
    channel = visible_channel(call)
    items = [
        {
            "type": "message",
            "channel": channel.id,
            "message": channel.messages[pin["ts"]],
            "created": pin["created"],
            "created_by": pin["created_by"],
        }
        for pin in channel.pins
    ]
    return {"items": items}


def remove(call: MethodCall) -> Json:
    """pins.remove."""
    channel, message = _place(call)
    kept = [pin for pin in channel.pins if pin["ts"] != message["ts"]]
    if len(kept) == len(channel.pins):
        raise SlackRefusal("no_pin")
    channel.pins = kept
    message.pop("pinned_to", None)
    _tell(call, "pin_removed", channel, message)
    return {}


METHODS = {
    "pins.add": Method(add, ("pins:write",)),
    "pins.list": Method(list_all, ("pins:read",)),
    "pins.remove": Method(remove, ("pins:write",)),
}
