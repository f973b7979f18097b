"""conversations.*: making, finding, reading and changing channels. Who is in them is in ``members``.

Errors and limits: docs.slack.dev/reference/methods/conversations.<name>
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import (
    HISTORY,
    MANAGE,
    READ,
    TOPIC,
    Method,
    MethodCall,
    channel_for,
    known_user,
    member_channel,
    need_scope,
    paged,
    scopes_of,
)
from bot.sandbox.models import BOT_USER_ID, Channel, Json
from bot.sandbox.state import is_reply

NAME_LENGTH = 80
WORDS_LENGTH = 250
DIRECT_USERS = 8
_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


def checked_name(call: MethodCall) -> str:
    """The ``name`` argument, if a channel may have it and none has it yet."""
    name = (call.arguments.find_text("name") or "").removeprefix("#")
    if not name:
        raise SlackRefusal("invalid_name_required")
    if len(name) > NAME_LENGTH:
        raise SlackRefusal("invalid_name_maxlength")
    if re.fullmatch(r"[-_.\W]+", name) and not any(letter.isalnum() for letter in name):
        raise SlackRefusal("invalid_name_punctuation")
    if not re.fullmatch(r"[a-z0-9_-]+", name):
        raise SlackRefusal("invalid_name_specials")
    if call.state.named(name) is not None:
        raise SlackRefusal("name_taken")
    return name


def create(call: MethodCall) -> Json:
    """conversations.create: the bot is its creator and first member."""
    is_private = call.arguments.flag("is_private")
    need_scope(call.scopes, MANAGE["group" if is_private else "channel"])
    name = checked_name(call)
    channel = call.state.create_channel(name, creator=BOT_USER_ID, is_private=is_private)
    return {"channel": channel.as_slack(BOT_USER_ID)}


def _listed(call: MethodCall, channels: Sequence[Channel]) -> Json:
    types = call.arguments.listing("types") or ["public_channel"]
    if unknown := [one for one in types if one not in _TYPES]:
        raise SlackRefusal("invalid_types", f"[ERROR] unknown types: {', '.join(unknown)}")
    kinds = {_TYPES[one] for one in types}
    for kind in kinds:
        need_scope(call.scopes, READ[kind])
    shown = [
        one
        for one in channels
        if one.kind in kinds
        and (one.is_open or BOT_USER_ID in one.members)
        and not (one.is_archived and call.arguments.flag("exclude_archived"))
    ]
    rows = [one.as_slack(BOT_USER_ID) | ({} if one.is_im else {"num_members": len(one.members)}) for one in shown]
    page, cursor = paged(call, rows, default=100)
    return {"channels": page, "response_metadata": {"next_cursor": cursor}}


def list_all(call: MethodCall) -> Json:
    """conversations.list: what the bot can see, archived channels too unless excluded."""
    return _listed(call, list(call.state.channels.values()))


def list_of_user(call: MethodCall) -> Json:
    """users.conversations: the channels of one user, by default the bot's own."""
    user_id = call.arguments.find_text("user") or BOT_USER_ID
    known_user(call, user_id)
    return _listed(call, [one for one in call.state.channels.values() if user_id in one.members])


def info(call: MethodCall) -> Json:
    """conversations.info."""
    channel = channel_for(call, READ)
    body = channel.as_slack(BOT_USER_ID)
    if call.arguments.flag("include_num_members"):
        body["num_members"] = len(channel.members)
    return {"channel": body}


def _within(call: MethodCall, messages: Sequence[Json]) -> list[Json]:
    oldest, latest = call.arguments.find_text("oldest") or "0", call.arguments.find_text("latest") or ""
    inclusive = call.arguments.flag("inclusive")
    for name, value in (("oldest", oldest), ("latest", latest)):
        if value and not re.fullmatch(r"\d+(\.\d+)?", value):
            raise SlackRefusal(f"invalid_ts_{name}")
    low, high = float(oldest), float(latest) if latest else None

    def fits(message: Json) -> bool:
        ts = message["ts"]
        if inclusive and ts in (oldest, latest):
            return True
        return float(ts) > low and (high is None or float(ts) < high)

    return [message for message in messages if fits(message)]


def _shown(call: MethodCall, messages: Sequence[Json]) -> list[Json]:
    if call.arguments.flag("include_all_metadata"):
        return list(messages)
    return [{name: value for name, value in message.items() if name != "metadata"} for message in messages]


def _readable(call: MethodCall) -> Channel:
    channel = channel_for(call, HISTORY)
    if BOT_USER_ID not in channel.members:
        raise SlackRefusal("not_in_channel")
    return channel


def history(call: MethodCall) -> Json:
    """conversations.history: newest first, without the replies in threads, metadata only when asked for."""
    channel = _readable(call)
    top = [one for one in channel.messages.values() if not is_reply(one) or one.get("subtype") == "thread_broadcast"]
    rows = _shown(call, _within(call, top)[::-1])
    page, cursor = paged(call, rows, default=100, maximum=999)
    body: Json = {"messages": page, "has_more": bool(cursor), "pin_count": len(channel.pins)}
    return body | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})


def replies(call: MethodCall) -> Json:
    """conversations.replies: the first message of the thread, then its replies, oldest first."""
    channel = _readable(call)
    root_ts = call.arguments.get_text("ts", "thread_not_found")
    root = channel.messages.get(root_ts)
    if root is None:
        raise SlackRefusal("thread_not_found")
    rest = [one for one in channel.messages.values() if is_reply(one) and one["thread_ts"] == root_ts]
    rows = _shown(call, [root, *_within(call, rest)])
    page, cursor = paged(call, rows, default=1000)
    body: Json = {"messages": page, "has_more": bool(cursor)}
    return body | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})


def open_direct(call: MethodCall) -> Json:
    """conversations.open: a direct message with one user, or a group of up to eight; safe to repeat."""
    if given := call.arguments.find_text("channel"):
        channel = call.state.channels.get(given)
        if channel is None or BOT_USER_ID not in channel.members:
            raise SlackRefusal("channel_not_found")
        return _opened(call, channel, already_open=True)
    user_ids = call.arguments.listing("users")
    if not user_ids:
        raise SlackRefusal("users_list_not_supplied")
    if len(user_ids) > DIRECT_USERS:
        raise SlackRefusal("too_many_users")
    need_scope(call.scopes, MANAGE["im" if len(user_ids) == 1 else "mpim"])
    for user_id in user_ids:
        user = known_user(call, user_id)
        if user.is_bot:
            raise SlackRefusal("cannot_dm_bot")
        if user.deleted:
            raise SlackRefusal("user_disabled")
    before = len(call.state.channels)
    channel = call.state.open_direct(*user_ids, BOT_USER_ID)
    return _opened(call, channel, already_open=len(call.state.channels) == before)


def _opened(call: MethodCall, channel: Channel, *, already_open: bool) -> Json:
    body = channel.as_slack(BOT_USER_ID) if call.arguments.flag("return_im") else {"id": channel.id}
    return {"channel": body} | ({"no_op": True, "already_open": True} if already_open else {})


def _unless_direct(channel: Channel) -> None:
    if channel.is_im or channel.is_mpim:
        raise SlackRefusal("method_not_supported_for_channel_type")


def archive(call: MethodCall) -> Json:
    """conversations.archive: only from inside, never #general."""
    channel = channel_for(call, MANAGE)
    _unless_direct(channel)
    if channel.is_archived:
        raise SlackRefusal("already_archived")
    if channel.is_general:
        raise SlackRefusal("cant_archive_general")
    if BOT_USER_ID not in channel.members:
        raise SlackRefusal("not_in_channel")
    call.state.archive(channel, BOT_USER_ID)
    return {}


def unarchive(call: MethodCall) -> Json:
    """conversations.unarchive: Slack refuses it to bot tokens ("Bug alert" on the method's page): ``not_in_channel``."""
    channel = channel_for(call, MANAGE)
    _unless_direct(channel)
    if not channel.is_archived:
        raise SlackRefusal("not_archived")
    raise SlackRefusal("not_in_channel")


def rename(call: MethodCall) -> Json:
    """conversations.rename: only the channel's creator may."""
    channel = member_channel(call, MANAGE)
    if channel.creator != BOT_USER_ID:
        raise SlackRefusal("not_authorized")
    call.state.rename(channel, checked_name(call), BOT_USER_ID)
    return {"channel": channel.as_slack(BOT_USER_ID)}


def _set_words(which: str) -> Callable[[MethodCall], Json]:
    def set_words(call: MethodCall) -> Json:
        channel = member_channel(call, TOPIC, kinds=("channel", "group", "im", "mpim"))
        value = call.arguments.find_text(which)
        if value is None:
            raise SlackRefusal("invalid_arguments", f"[ERROR] missing required field: {which}")
        if len(value) > WORDS_LENGTH:
            raise SlackRefusal("too_long")
        call.state.set_words(channel, which, value, BOT_USER_ID)
        return {"channel": channel.as_slack(BOT_USER_ID), which: value}

    return set_words


METHODS = {
    "conversations.create": Method(create, (*MANAGE["channel"], *MANAGE["group"])),
    "conversations.list": Method(list_all, scopes_of(READ)),
    "users.conversations": Method(list_of_user, scopes_of(READ)),
    "conversations.info": Method(info, scopes_of(READ)),
    "conversations.history": Method(history, scopes_of(HISTORY)),
    "conversations.replies": Method(replies, scopes_of(HISTORY)),
    "conversations.open": Method(open_direct, (*MANAGE["im"], *MANAGE["mpim"])),
    "conversations.archive": Method(archive, scopes_of(MANAGE)),
    "conversations.unarchive": Method(unarchive, scopes_of(MANAGE)),
    "conversations.rename": Method(rename, scopes_of(MANAGE)),
    "conversations.setTopic": Method(_set_words("topic"), scopes_of(TOPIC)),
    "conversations.setPurpose": Method(_set_words("purpose"), scopes_of(TOPIC)),
}
