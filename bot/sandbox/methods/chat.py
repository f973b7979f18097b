"""chat.*: what the bot says, changes and takes back.

Errors and limits: docs.slack.dev/reference/methods/chat.<name>
"""

from __future__ import annotations

import json
import re
from typing import Any

from bot.sandbox.blocks import check_attachments, check_message_blocks
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import Method, MethodCall, message_at, need_scope, visible_channel
from bot.sandbox.models import BOT_ID, BOT_USER_ID, Channel, Json
from bot.sandbox.state import is_system

TEXT_KEPT = 40_000  # longer ones are cut, not refused
EDITED_TEXT = 4_000
MARKDOWN_TEXT = 12_000
METADATA_BYTES = 16_384  # there is a limit (metadata_too_large); the number is not documented


def _target(call: MethodCall) -> Channel:
    """Where to post: a channel by id or name, or a user, whose direct message is opened. The bot may post there."""
    reference = call.arguments.get_text("channel", "channel_not_found")
    state = call.state
    user = state.users.get(reference)
    if user is not None:
        if user.is_bot:
            raise SlackRefusal("cannot_dm_bot")
        return state.open_direct(user.id, BOT_USER_ID)
    channel = state.channels.get(reference) or state.named(reference.removeprefix("#"))
    if channel is None or (not channel.is_open and BOT_USER_ID not in channel.members):
        raise SlackRefusal("channel_not_found")
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    if BOT_USER_ID not in channel.members and "chat:write.public" not in call.scopes:
        raise SlackRefusal("not_in_channel")
    return channel


def _content(call: MethodCall) -> Json:
    """text, blocks, attachments and metadata as given and good; those not given are not in it."""
    arguments = call.arguments
    content: Json = {}
    if arguments.given("text"):
        content["text"] = (arguments.find_text("text") or "")[:TEXT_KEPT]
    if markdown := arguments.find_text("markdown_text"):
        if arguments.given("text") or arguments.given("blocks"):
            raise SlackRefusal("markdown_text_conflict")
        if len(markdown) > MARKDOWN_TEXT:
            raise SlackRefusal("msg_too_long")
        content["text"] = markdown
    blocks = arguments.find_json("blocks", "invalid_blocks_format")
    if blocks is not None:
        check_message_blocks(blocks)
        content["blocks"] = blocks
    attachments = arguments.find_json("attachments", "invalid_attachments")
    if attachments is not None:
        check_attachments(attachments)
        content["attachments"] = attachments
    metadata = arguments.find_json("metadata", "invalid_metadata_format")
    if metadata is not None:
        _check_metadata(metadata)
        content["metadata"] = metadata
    return content


def _check_metadata(metadata: Any) -> None:
    if metadata == {}:
        return
    if not isinstance(metadata, dict) or set(metadata) - {"event_type", "event_payload", "entities"}:
        raise SlackRefusal("invalid_metadata_format")
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise SlackRefusal("invalid_metadata_format")
    if len(json.dumps(metadata).encode()) > METADATA_BYTES:
        raise SlackRefusal("metadata_too_large")


def _check_said(content: Json) -> None:
    if not content.get("text") and not content.get("blocks") and not content.get("attachments"):
        raise SlackRefusal("no_text")


def _thread(call: MethodCall, channel: Channel) -> str | None:
    thread_ts = call.arguments.find_text("thread_ts") or None
    if thread_ts is None:
        return None
    if not re.fullmatch(r"\d+\.\d+", thread_ts):
        raise SlackRefusal("invalid_thread_ts")
    root = channel.messages.get(thread_ts)
    if root is None:
        raise SlackRefusal("thread_not_found")
    if is_system(root):
        raise SlackRefusal("cannot_reply_to_message")
    return str(root.get("thread_ts", thread_ts))


def post_message(call: MethodCall) -> Json:
    """chat.postMessage."""
    channel = _target(call)
    content = _content(call)
    _check_said(content)
    thread_ts = _thread(call, channel)
    for name in ("username", "icon_emoji", "icon_url"):
        if call.arguments.find_text(name):
            need_scope(call.scopes, ("chat:write.customize",))
            content[name] = call.arguments.get_text(name)
    subtype = "thread_broadcast" if thread_ts and call.arguments.flag("reply_broadcast") else None
    text = content.pop("text", "")
    content = {name: value for name, value in content.items() if value}
    message = call.state.post_as_bot(channel.id, text, thread_ts=thread_ts, subtype=subtype, **content)
    return {"channel": channel.id, "ts": message["ts"], "message": message}


def _own_message(call: MethodCall, refusal: str) -> tuple[Channel, Json]:
    channel = visible_channel(call)
    message = message_at(call, channel, "ts")
    if message.get("bot_id") != BOT_ID:
        raise SlackRefusal(refusal)
    return channel, message


def update(call: MethodCall) -> Json:
    """chat.update. Text without blocks takes the blocks away; only text leaves the mark "(edited)"."""
    channel, message = _own_message(call, "cant_update_message")
    if channel.is_archived:
        raise SlackRefusal("is_inactive")
    if len(call.arguments.find_text("text") or "") > EDITED_TEXT:
        raise SlackRefusal("msg_too_long")
    content = _content(call)
    if not content.keys() - {"metadata"}:
        raise SlackRefusal("no_text")
    if "blocks" not in content and "text" in content:
        _check_said({"attachments": message.get("attachments"), **content})
        content["blocks"] = []
    editor = None if content.get("blocks") else BOT_USER_ID
    changed = call.state.edit_message(channel.id, message["ts"], content, editor=editor)
    return {"channel": channel.id, "ts": message["ts"], "text": changed.get("text", ""), "message": changed}


def delete(call: MethodCall) -> Json:
    """chat.delete: the bot's own messages only."""
    channel, message = _own_message(call, "cant_delete_message")
    call.state.delete_message(channel.id, message["ts"])
    return {"channel": channel.id, "ts": message["ts"]}


def post_ephemeral(call: MethodCall) -> Json:
    """chat.postEphemeral: to one member of a channel."""
    channel = _target(call)
    user_id = call.arguments.get_text("user", "user_not_in_channel")
    if user_id not in channel.members:
        raise SlackRefusal("user_not_in_channel")
    content = _content(call)
    content.pop("metadata", None)
    _check_said(content)
    thread_ts = _thread(call, channel)
    text = content.pop("text", "")
    message = call.state.post_ephemeral(channel.id, user_id, text, thread_ts=thread_ts, **content)
    return {"message_ts": message["ts"]}


def get_permalink(call: MethodCall) -> Json:
    """chat.getPermalink: an address of the sandbox's own page."""
    channel = visible_channel(call)
    message = message_at(call, channel, "message_ts")
    link = f"{call.base_url}/archives/{channel.id}/p{message['ts'].replace('.', '')}"
    if message.get("thread_ts", message["ts"]) != message["ts"]:
        link += f"?thread_ts={message['thread_ts']}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


METHODS = {
    "chat.postMessage": Method(post_message, ("chat:write",)),
    "chat.update": Method(update, ("chat:write",)),
    "chat.delete": Method(delete, ("chat:write",)),
    "chat.postEphemeral": Method(post_ephemeral, ("chat:write",)),
    "chat.getPermalink": Method(get_permalink),
}
