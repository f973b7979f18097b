"""bookmarks.*: the links at the top of a channel. Errors: docs.slack.dev/reference/methods/bookmarks.<name>"""

from __future__ import annotations

import re

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import Method, MethodCall, visible_channel
from bot.sandbox.models import APP_ID, BOT_USER_ID, TEAM_ID, Channel, Json

BOOKMARKS = 100


def _channel(call: MethodCall) -> Channel:
    channel = visible_channel(call, "channel_id")
    if BOT_USER_ID not in channel.members:
        raise SlackRefusal("not_in_channel")
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    return channel


def _link(call: MethodCall) -> str:
    link = call.arguments.find_text("link") or ""
    if not re.fullmatch(r"https?://[^\s]+", link):
        raise SlackRefusal("invalid_link")
    return link


def _emoji(call: MethodCall) -> str:
    emoji = call.arguments.find_text("emoji") or ""
    if emoji and not re.fullmatch(r":[a-z0-9_+'-]+:", emoji):
        raise SlackRefusal("invalid_emoji")
    return emoji


def _bookmark(call: MethodCall, channel: Channel) -> Json:
    bookmark_id = call.arguments.get_text("bookmark_id", "not_found")
    for bookmark in channel.bookmarks:
        if bookmark["id"] == bookmark_id:
            return bookmark
    raise SlackRefusal("not_found")


def add(call: MethodCall) -> Json:
    """bookmarks.add: links only. Not safe to repeat: each call adds one."""
    channel = _channel(call)
    title = call.arguments.get_text("title")
    if call.arguments.find_text("type") != "link":
        raise SlackRefusal("invalid_bookmark_type")
    link, emoji = _link(call), _emoji(call)
    if len(channel.bookmarks) >= BOOKMARKS:
        raise SlackRefusal("too_many_bookmarks")
    now = int(call.state.clock.now())
    bookmark: Json = {
        "id": call.state.new_id("Bk"),
        "channel_id": channel.id,
        "title": title,
        "link": link,
        "emoji": emoji,
        "icon_url": None,
        "type": "link",
        "entity_id": None,
        "date_created": now,
        "date_updated": 0,
        "rank": f"{len(channel.bookmarks):06d}",
        "last_updated_by_user_id": BOT_USER_ID,
        "last_updated_by_team_id": TEAM_ID,
        "shortcut_id": None,
        "app_id": APP_ID,
        "app_action_id": None,
    }
    channel.bookmarks.append(bookmark)
    call.state.publish_channel(channel)
    return {"bookmark": bookmark}


def list_all(call: MethodCall) -> Json:
    """bookmarks.list."""
    return {"bookmarks": list(visible_channel(call, "channel_id").bookmarks)}


def edit(call: MethodCall) -> Json:
    """bookmarks.edit: what is given is changed."""
    channel = _channel(call)
    bookmark = _bookmark(call, channel)
    if call.arguments.given("link"):
        bookmark["link"] = _link(call)
    if call.arguments.given("emoji"):
        bookmark["emoji"] = _emoji(call)
    if call.arguments.given("title"):
        bookmark["title"] = call.arguments.get_text("title")
    bookmark["date_updated"] = int(call.state.clock.now())
    call.state.publish_channel(channel)
    return {"bookmark": bookmark}


def remove(call: MethodCall) -> Json:
    """bookmarks.remove."""
    channel = _channel(call)
    channel.bookmarks.remove(_bookmark(call, channel))
    call.state.publish_channel(channel)
    return {}


METHODS = {
    "bookmarks.add": Method(add, ("bookmarks:write",)),
    "bookmarks.list": Method(list_all, ("bookmarks:read",)),
    "bookmarks.edit": Method(edit, ("bookmarks:write",)),
    "bookmarks.remove": Method(remove, ("bookmarks:write",)),
}
