"""The workspace in memory: people, channels, memberships, messages, threads, reactions, pins, bookmarks.

Every change goes through here, at once and without waiting: it updates the state, tells the page (``feed``) and puts the
events that the app is subscribed to into ``outbox``. ``delivery`` sends them. What is allowed is judged by the callers:
``methods`` for the bot, ``workspace`` for people.
"""

from __future__ import annotations

import copy
import itertools
import secrets
import time
from collections.abc import Iterable
from typing import Any

from bot.domain.errors import UserError
from bot.sandbox.app_manifest import EVENT_SCOPES, AppManifest
from bot.sandbox.blocks import elements_of
from bot.sandbox.clock import SandboxClock
from bot.sandbox.feed import Feed
from bot.sandbox.models import APP_ID, BOT_ID, BOT_USER_ID, SLACKBOT_ID, TEAM_ID, Channel, Json, User, UserGroup, Words

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PLURAL = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
SYSTEM_PREFIXES = ("channel_", "group_")


def base36(number: int) -> str:
    """A number in the digits that Slack's ids are made of."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def with_ids(blocks: Iterable[Json]) -> list[Json]:
    """A copy in which every block has a block_id and every element an action_id, as Slack stores them."""
    filled = copy.deepcopy(list(blocks))
    for block in filled:
        block.setdefault("block_id", secrets.token_urlsafe(4))
        for element in elements_of(block):
            element.setdefault("action_id", secrets.token_urlsafe(4))
    return filled


def is_reply(message: Json) -> bool:
    """In a thread and not its first message."""
    return "thread_ts" in message and message["thread_ts"] != message["ts"]


def is_system(message: Json) -> bool:
    """Slack's own lines: somebody joined, the topic changed."""
    return str(message.get("subtype", "")).startswith(SYSTEM_PREFIXES)


class State:
    """Everything that the workspace remembers. Ids of what is created later are unique across restarts."""

    def __init__(self, clock: SandboxClock, feed: Feed, app: AppManifest) -> None:
        self.clock = clock
        self.feed = feed
        self.app = app
        self.users: dict[str, User] = {}
        self.groups: dict[str, UserGroup] = {}
        self.channels: dict[str, Channel] = {}
        self.outbox: list[Json] = []
        self._last_ts_us = 0
        self._ids = itertools.count(time.time_ns() // 1000)

    # Looking things up

    def has_channel(self, channel_id: str) -> bool:
        """Whether this id is a channel's."""
        return channel_id in self.channels

    def get_user(self, reference: str) -> User:
        """By id or handle, with or without @. Raises UserError."""
        handle = reference.removeprefix("@")
        for user in self.users.values():
            if reference == user.id or handle == user.name:
                return user
        raise UserError(f"There is no user {reference} here: there are {', '.join(u.name for u in self.users.values())}.")

    def get_channel(self, reference: str) -> Channel:
        """By id or name, with or without #; names of archived channels count too. Raises UserError."""
        name = reference.removeprefix("#")
        for channel in self.channels.values():
            if reference == channel.id or (name == channel.name and not channel.is_im):
                return channel
        raise UserError(f"There is no channel {reference} in this workspace.")

    def named(self, name: str) -> Channel | None:
        """The channel of this name, archived ones included, since their names stay taken."""
        return next((one for one in self.channels.values() if one.name == name and not one.is_im), None)

    def sees(self, user_id: str, channel: Channel) -> bool:
        """Whether this person may look into the channel: members, and for public channels everybody but guests."""
        return user_id in channel.members or (channel.is_open and not self.users[user_id].is_guest)

    def direct(self, user_id: str, other_id: str = BOT_USER_ID) -> Channel | None:
        """The direct conversation of two people, or None."""
        pair = {user_id, other_id}
        return next((one for one in self.channels.values() if one.is_im and set(one.members) == pair), None)

    def place_of(self, reference: str) -> str:
        """The id of the channel that a bot means by an id, a name or a user; what is no channel comes back as it is."""
        channel = self.channels.get(reference) or self.named(reference.removeprefix("#"))
        if channel is None and reference in self.users:
            channel = self.direct(reference)
        return reference if channel is None else channel.id

    def new_id(self, prefix: str) -> str:
        """A fresh id such as C0M3K9Z1Q2."""
        return f"{prefix}0{base36(next(self._ids))}"

    def next_ts(self) -> str:
        """A message timestamp: the sandbox's time, but always later than the one before."""
        self._last_ts_us = max(self._last_ts_us + 1, int(self.clock.now() * 1_000_000))
        return f"{self._last_ts_us // 1_000_000}.{self._last_ts_us % 1_000_000:06d}"

    # Telling the bot and the page

    def emit(self, event: Json, name: str | None = None) -> None:
        """Put an event into the outbox if the app is subscribed to it; ``name`` when that is not the event's type."""
        name = name or event["type"]
        if name in self.app.events and name in EVENT_SCOPES:
            self.outbox.append({"event_ts": self.next_ts(), **event})

    def _emit_message(self, channel: Channel, event: Json) -> None:
        if BOT_USER_ID in channel.members:
            self.emit(event | {"channel": channel.id, "channel_type": channel.kind}, f"message.{_PLURAL[channel.kind]}")

    def _publish(self, kind: str, channel: Channel, payload: Json) -> None:
        self.feed.publish(kind, {"channel": channel.id, **payload}, self._audience(channel))

    def _audience(self, channel: Channel) -> list[str]:
        return [user_id for user_id in self.users if self.sees(user_id, channel)]

    def publish_channel(self, channel: Channel, *also: str) -> None:
        """Tell the page how the channel looks now; ``also`` are people who have just left it."""
        audience = [*self._audience(channel), *also]
        self.feed.publish("channel", lambda user_id: {"channel": self.channel_for(channel, user_id)}, audience)

    def channel_for(self, channel: Channel, user_id: str) -> Json:
        """The channel as the page's state has it, for this person."""
        return {
            "id": channel.id,
            "name": channel.name,
            "is_private": channel.is_private,
            "is_im": channel.is_im,
            "is_mpim": channel.is_mpim,
            "im_user": channel.other(user_id),
            "is_member": user_id in channel.members,
            "is_archived": channel.is_archived,
            "is_read_only": channel.is_im and BOT_USER_ID in channel.members and not self.app.takes_messages,
            "topic": channel.topic.value,
            "purpose": channel.purpose.value,
            "bookmarks": [{name: one[name] for name in ("id", "title", "link", "emoji")} for one in channel.bookmarks],
            "pins": [pin["ts"] for pin in channel.pins],
            "members": list(channel.members),
            "unread": 0,
            "last_ts": next(reversed(channel.messages), None),
        }

    # Messages

    def _post(self, channel: Channel, content: Json, thread_ts: str | None = None) -> Json:
        ts = self.next_ts()
        message: Json = {"type": "message", "ts": ts, "team": TEAM_ID, **content}
        if message.get("blocks"):
            message["blocks"] = with_ids(message["blocks"])
        if thread_ts is not None:
            message["thread_ts"] = thread_ts
            self._count_reply(channel, thread_ts, message)
        channel.messages[ts] = message
        self._publish("message", channel, {"message": {**message, "ephemeral": False}})
        self._emit_message(channel, {name: value for name, value in message.items() if name != "metadata"} | {"event_ts": ts})
        return message

    def _count_reply(self, channel: Channel, thread_ts: str, reply: Json) -> None:
        root = channel.messages.get(thread_ts)
        if root is None:
            return
        author = reply.get("user", BOT_USER_ID)
        reply["parent_user_id"] = root.get("user", BOT_USER_ID)
        users = root.setdefault("reply_users", [])
        if author not in users:
            users.append(author)
        root |= {
            "thread_ts": thread_ts,
            "reply_count": root.get("reply_count", 0) + 1,
            "reply_users_count": len(users),
            "latest_reply": reply["ts"],
            "is_locked": False,
            "subscribed": False,
        }
        self._publish("message_changed", channel, {"message": {**root, "ephemeral": False}})

    def post_as_bot(
        self, channel_id: str, text: str, *, thread_ts: str | None = None, subtype: str | None = None, **content: Any
    ) -> Json:
        """A message of the app; ``content`` is blocks, attachments, metadata, files and what else Slack stores."""
        fields: Json = {
            "user": BOT_USER_ID,
            "bot_id": BOT_ID,
            "app_id": APP_ID,
            "text": text,
            "bot_profile": self.bot_profile(),
            **content,
        }
        if subtype is not None:
            fields["subtype"] = subtype
        return self._post(self.channels[channel_id], fields, thread_ts)

    def post_as_user(self, channel_id: str, user_id: str, text: str, *, thread_ts: str | None = None, **content: Any) -> Json:
        """A message that a person wrote."""
        team = self.users[user_id].team_id
        fields = {"client_msg_id": secrets.token_hex(16), "user": user_id, "text": text, "team": team, **content}
        return self._post(self.channels[channel_id], fields, thread_ts)

    def post_as_other_bot(self, channel_id: str, text: str, *, name: str) -> Json:
        """A message of another app of the workspace."""
        fields = {"subtype": "bot_message", "bot_id": "B0OTHER", "username": name, "text": text}
        return self._post(self.channels[channel_id], fields)

    def post_system(self, channel: Channel, subtype: str, user_id: str, text: str, **content: Any) -> Json:
        """A line of Slack's own, such as "has joined the channel"."""
        return self._post(channel, {"subtype": subtype, "user": user_id, "text": text, **content})

    def post_ephemeral(self, channel_id: str, user_id: str, text: str, *, thread_ts: str | None = None, **content: Any) -> Json:
        """A message of the app that one person sees."""
        channel = self.channels[channel_id]
        ts = self.next_ts()
        message: Json = {
            "type": "message",
            "subtype": "bot_message",
            "is_ephemeral": True,
            "ts": ts,
            "user": BOT_USER_ID,
            "bot_id": BOT_ID,
            "app_id": APP_ID,
            "team": TEAM_ID,
            "text": text,
            **content,
        }
        if message.get("blocks"):
            message["blocks"] = with_ids(message["blocks"])
        if thread_ts is not None:
            message["thread_ts"] = thread_ts
        channel.ephemeral[ts] = (user_id, message)
        self.feed.publish("ephemeral", {"channel": channel_id, "message": {**message, "ephemeral": True}}, [user_id])
        return message

    def edit_message(self, channel_id: str, ts: str, changes: Json, *, editor: str | None = None) -> Json:
        """Change a message that exists. A change to None or an empty list removes the field; ``editor`` leaves a mark."""
        channel = self.channels[channel_id]
        if ts in channel.ephemeral:
            viewer, message = channel.ephemeral[ts]
            self._change(message, changes)
            self.feed.publish("message_changed", {"channel": channel_id, "message": {**message, "ephemeral": True}}, [viewer])
            return message
        message = channel.messages[ts]
        previous = copy.deepcopy(message)
        self._change(message, changes)
        now_ts = self.next_ts()
        if editor is not None:
            message["edited"] = {"user": editor, "ts": now_ts}
        self._publish("message_changed", channel, {"message": {**message, "ephemeral": False}})
        self._emit_message(
            channel,
            {
                "type": "message",
                "subtype": "message_changed",
                "hidden": True,
                "message": {name: value for name, value in message.items() if name != "metadata"},
                "previous_message": {name: value for name, value in previous.items() if name != "metadata"},
                "ts": now_ts,
                "event_ts": now_ts,
            },
        )
        return message

    def _change(self, message: Json, changes: Json) -> None:
        for name, value in changes.items():
            if value is None or value == [] or value == {}:
                message.pop(name, None)
            else:
                message[name] = with_ids(value) if name == "blocks" else copy.deepcopy(value)

    def delete_message(self, channel_id: str, ts: str) -> None:
        """Take a message away; one with replies leaves a tombstone, as in Slack."""
        channel = self.channels[channel_id]
        if ts in channel.ephemeral:
            viewer, _ = channel.ephemeral.pop(ts)
            self.feed.publish("message_deleted", {"channel": channel_id, "ts": ts}, [viewer])
            return
        message = channel.messages[ts]
        if message.get("reply_count"):
            kept = {name: message[name] for name in message if name.startswith(("reply_", "thread_", "latest_", "type"))}
            tombstone = {
                **kept,
                "ts": ts,
                "subtype": "tombstone",
                "user": SLACKBOT_ID,
                "text": "This message was deleted.",
            }
            channel.messages[ts] = tombstone
            self._publish("message_changed", channel, {"message": {**tombstone, "ephemeral": False}})
        else:
            del channel.messages[ts]
            self._publish("message_deleted", channel, {"ts": ts})
        channel.pins = [pin for pin in channel.pins if pin["ts"] != ts]
        now_ts = self.next_ts()
        self._emit_message(
            channel,
            {
                "type": "message",
                "subtype": "message_deleted",
                "hidden": True,
                "previous_message": message,
                "deleted_ts": ts,
                "ts": now_ts,
                "event_ts": now_ts,
            },
        )

    def bot_profile(self) -> Json:
        """Who the app is, as messages carry it."""
        return {
            "id": BOT_ID,
            "deleted": False,
            "name": self.app.display_name,
            "updated": 1700000000,
            "app_id": APP_ID,
            "user_id": BOT_USER_ID,
            "icons": {},
            "team_id": TEAM_ID,
        }

    def react(self, channel: Channel, ts: str, user_id: str, name: str, *, remove: bool = False) -> bool:
        """Add or remove a reaction; False when there was nothing to do."""
        message = channel.messages[ts]
        reactions: list[Json] = message.setdefault("reactions", [])
        reaction = next((one for one in reactions if one["name"] == name), None)
        if remove == (reaction is None or user_id not in reaction["users"]):
            return False
        if reaction is None:
            reactions.append({"name": name, "users": [user_id], "count": 1})
        else:
            users = [one for one in reaction["users"] if one != user_id] if remove else [*reaction["users"], user_id]
            reaction |= {"users": users, "count": len(users)}
            message["reactions"] = [one for one in reactions if one["users"]]
        self._publish("message_changed", channel, {"message": {**message, "ephemeral": False}})
        if BOT_USER_ID in channel.members:
            item = {"type": "message", "channel": channel.id, "ts": ts}
            kind = "reaction_removed" if remove else "reaction_added"
            self.emit({"type": kind, "user": user_id, "reaction": name, "item_user": message.get("user"), "item": item})
        return True

    # Channels

    def create_channel(
        self,
        name: str,
        *,
        creator: str,
        is_private: bool = False,
        channel_id: str | None = None,
        is_general: bool = False,
    ) -> Channel:
        """A new channel with its creator in it, as its first member."""
        channel = Channel(
            id=channel_id or self.new_id("C"),
            name=name,
            creator=creator,
            created=int(self.clock.now()),
            is_private=is_private,
            is_general=is_general,
        )
        self.channels[channel.id] = channel
        if not is_private:
            about = {"id": channel.id, "name": name, "created": channel.created, "creator": creator}
            self.emit({"type": "channel_created", "channel": about})
        self.join(channel, creator)
        return channel

    def open_direct(self, *user_ids: str) -> Channel:
        """The direct conversation of these people, made if it is not there yet."""
        wanted = set(user_ids)
        for channel in self.channels.values():
            if (channel.is_im or channel.is_mpim) and set(channel.members) == wanted:
                return channel
        is_im = len(wanted) == 2
        names = "--".join(self.users[user_id].name for user_id in user_ids)
        channel = Channel(
            id=self.new_id("D" if is_im else "C"),
            name="" if is_im else f"mpdm-{names}-1",
            creator=user_ids[0],
            created=int(self.clock.now()),
            is_private=not is_im,
            is_im=is_im,
            is_mpim=not is_im,
            members=list(user_ids),
        )
        self.channels[channel.id] = channel
        self.publish_channel(channel)
        return channel

    def join(self, channel: Channel, user_id: str, *, inviter: str | None = None) -> bool:
        """Make somebody a member; False when they are one already."""
        if user_id in channel.members:
            return False
        channel.members.append(user_id)
        self.publish_channel(channel)
        extra = {"inviter": inviter} if inviter else {}
        subtype = "group_join" if channel.is_private else "channel_join"
        self.post_system(channel, subtype, user_id, f"<@{user_id}> has joined the channel", **extra)
        self._emit_membership("member_joined_channel", channel, user_id, **extra)
        return True

    def leave(self, channel: Channel, user_id: str, *, kicked_by: str | None = None) -> bool:
        """Take somebody out; False when they were not in it."""
        if user_id not in channel.members:
            return False
        was_bot_in = BOT_USER_ID in channel.members
        subtype = "group_leave" if channel.is_private else "channel_leave"
        if kicked_by is None:
            text = f"<@{user_id}> has left the channel"
        else:
            text = f"<@{kicked_by}> removed <@{user_id}> from the channel"
        channel.members.remove(user_id)
        self.post_system(channel, subtype, user_id, text)
        self.publish_channel(channel, user_id)
        if user_id == BOT_USER_ID:
            kind = "group_left" if channel.is_private else "channel_left"
            self.emit({"type": kind, "channel": channel.id, "actor_id": kicked_by or user_id})
        elif was_bot_in:
            self._emit_membership("member_left_channel", channel, user_id)
        return True

    def _emit_membership(self, kind: str, channel: Channel, user_id: str, **extra: Any) -> None:
        if BOT_USER_ID in channel.members:
            letter = "G" if channel.is_private else "C"
            about = {"user": user_id, "channel": channel.id, "channel_type": letter, "team": TEAM_ID}
            self.emit({"type": kind, **about, **extra})

    def archive(self, channel: Channel, user_id: str, *, archived: bool = True) -> None:
        """Close the channel for good, or open it again."""
        verb = "archive" if archived else "unarchive"
        kind = "group" if channel.is_private else "channel"
        word = "archived" if archived else "un-archived"
        channel.is_archived = archived
        self.post_system(channel, f"{kind}_{verb}", user_id, f"<@{user_id}> {word} the channel")
        self.publish_channel(channel)
        if channel.is_open or BOT_USER_ID in channel.members:
            self.emit({"type": f"{kind}_{verb}", "channel": channel.id, "user": user_id})

    def rename(self, channel: Channel, name: str, user_id: str) -> None:
        """Give the channel another name; the old one stays in ``previous_names``."""
        old = channel.name
        channel.name = name
        channel.previous_names.append(old)
        kind = "group" if channel.is_private else "channel"
        words = f'<@{user_id}> has renamed the channel from "{old}" to "{name}"'
        self.post_system(channel, f"{kind}_name", user_id, words, old_name=old, name=name)
        self.publish_channel(channel)
        about = {"id": channel.id, "name": name, "created": channel.created, "name_normalized": name}
        if channel.is_open or BOT_USER_ID in channel.members:
            self.emit({"type": f"{kind}_rename", "channel": about})

    def set_words(self, channel: Channel, which: str, value: str, user_id: str) -> None:
        """Set the ``topic`` or the ``purpose``."""
        words = Words(value=value, creator=user_id, last_set=int(self.clock.now()))
        if which == "topic":
            channel.topic = words
        else:
            channel.purpose = words
        kind = "group" if channel.is_private else "channel"
        shown = "topic" if which == "topic" else "description"
        text = f"<@{user_id}> set the channel {shown}: {value}" if value else f"<@{user_id}> cleared the channel {shown}"
        self.post_system(channel, f"{kind}_{which}", user_id, text, **{which: value})
        self.publish_channel(channel)
