"""The room by reconciliation: compare how Slack should look with what is recorded as done, and make the difference.

One task per incident does this, so opening, recovery after a crash, ten clicks that become one ``chat.update`` and "never
an older state over a newer one" are one mechanism. The channel comes first, then everything else beside each other: the
room is ready after two round trips. What Slack confirmed is saved at once; after a crash the record says what is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from bot.domain.commands import RecordArchived, RecordRoom, RecordRoomFailure
from bot.domain.errors import FencedError, MusterError, PermanentError, TemporaryError
from bot.domain.incident import Incident
from bot.domain.room import DesiredRoom, MessageKind, Place, RoomMessage, RoomRecord, SentMessage, desired_room
from bot.domain.text import cut
from bot.domain.timeline import MUSTER
from bot.services.crashpoints import crashpoint
from bot.services.desk import Desk
from bot.services.ports import Clock, RoomStore, Task
from bot.services.worker import HEAD_START_S, Performed
from bot.slack.blocks.parts import escape
from bot.slack.client import SlackApi
from bot.slack.drawing import Draw, Drawn
from bot.slack.files import name_of, share_once, text_of, title_of
from bot.slack.people import People
from bot.slack.posting import opaque_key, post_once, redraw

TOPIC_MAX_CHARS = 250
"""docs.slack.dev, methods/conversations.setTopic."""
INVITE_MOST_USERS = 100
"""docs.slack.dev, methods/conversations.invite."""
MOST_NAMES = 5
"""A channel of our name that is not ours (an earlier database) makes us try ``…-2``, ``…-3`` …"""
CREATED_SLACK = timedelta(minutes=2)
SLOWLY = timedelta(minutes=1)
"""What Slack refuses is tried again this often: somebody may mend it meanwhile."""

Result = TypeVar("Result")

_NEVER = frozenset(
    {
        "user_not_found",
        "users_not_found",
        "cant_invite",
        "cant_invite_self",
        "user_is_restricted",
        "user_is_ultra_restricted",
        "contact_not_found",
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "thread_not_found",
        "too_many_bookmarks",
        "invalid_link",
    }
)
"""Slack's refusals that no repetition changes; anything else is tried again, slowly, until somebody mends it."""
_NOT_HERE = frozenset({"not_in_channel", "channel_not_found", "is_archived", "is_inactive"})
"""``is_inactive`` is what chat.update says of an archived channel (docs.slack.dev, methods/chat.update)."""


class RoomPerformer:
    """Performs the room task. ``incidents_channel_id`` gets the announcement; ``bot_user_id`` is Muster's own."""

    def __init__(
        self,
        *,
        slack: SlackApi,
        people: People,
        rooms: RoomStore,
        desk: Desk,
        clock: Clock,
        draw: Draw,
        incidents_channel_id: str,
        bot_user_id: str,
    ) -> None:
        self.slack = slack
        self.people = people
        self.rooms = rooms
        self.desk = desk
        self.clock = clock
        self.draw = draw
        self.incidents_channel_id = incidents_channel_id
        self.bot_user_id = bot_user_id

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """Reconcile. Raises: the error that is worth another attempt, after everything else was done."""
        record = await self.rooms.room_record(incident.id)
        return await _Reconciliation(self, task, incident, record).run()


class _Reconciliation:
    """One look at one room."""

    def __init__(self, tools: RoomPerformer, task: Task, incident: Incident, record: RoomRecord) -> None:
        self._tools = tools
        self._slack = tools.slack.under(task.lease)
        self._task = task
        self._incident = incident
        self._record = record
        self._look_first = task.attempt > 1
        self._saving = asyncio.Lock()
        self._more_at: datetime | None = None
        """When a message may be posted that has to wait until then."""
        self._log = structlog.get_logger("muster.room")

    async def run(self) -> Performed:
        """See the module."""
        channel_id = await self._channel()
        desired = desired_room(self._incident)
        limited_until: datetime | None = None
        mended_at: datetime | None = None
        try:
            await _all([self._furniture(desired, channel_id), self._people_in(desired, channel_id)])
        except TemporaryError as limited:
            if limited.retry_after_s is None or self._look_first:
                raise
            limited_until = self._tools.clock.now() + timedelta(seconds=limited.retry_after_s)  # and nothing is uncertain
        except PermanentError as refused:  # a missing scope: the rest is there, and what comes later must not wait for it
            if self._look_first:
                raise
            self._log.error("room_incomplete", reason=str(refused))
            mended_at = self._tools.clock.now() + SLOWLY
        if desired.archived and not limited_until:
            await self._archive(channel_id)
        moments = [moment for moment in (self._more_at, limited_until, mended_at) if moment]
        return Performed(again_at=min(moments, default=None))

    async def _furniture(self, desired: DesiredRoom, channel_id: str) -> None:
        """All but the people, who do not wait for this."""
        now = self._tools.clock.now()
        messages = [message for message in desired.messages if not self._is_said(message)]
        ready = [message for message in messages if message.not_before is None or message.not_before <= now]
        self._more_at = min((one.not_before for one in messages if one.not_before and one not in ready), default=None)
        await _all(
            [
                self._inside([message for message in ready if message.place is Place.ROOM], channel_id),
                *(_behind(self._message(message, channel_id)) for message in ready if message.place is not Place.ROOM),
                _behind(self._topic(desired, channel_id)),
                _behind(self._bookmarks(desired, channel_id)),
            ]
        )

    def _is_said(self, message: RoomMessage) -> bool:
        """News that Slack has, or does not want: they never change, and a long night has a thousand."""
        if message.kind is not MessageKind.NEWS:
            return False
        return message.key in self._record.messages or message.key in self._record.refused

    async def _inside(self, messages: Sequence[RoomMessage], channel_id: str) -> None:
        """The messages of the room. Nothing comes before the checklist, also when a crash has delayed it."""
        checklist, *others = [message for message in messages if not message.under]
        replies = [message for message in messages if message.under]

        async def whole(message: RoomMessage) -> None:
            await self._message(message, channel_id)
            for reply in replies:
                if reply.under == message.key:
                    await self._message(reply, channel_id)

        if checklist.key in self._record.messages:
            await _all([whole(message) for message in (checklist, *others)])
        else:
            await whole(checklist)
            await _all([whole(message) for message in others])

    # -- the channel -----------------------------------------------------------------------------------------------

    async def _channel(self) -> str:
        """The id of the room's channel. It is recorded before anybody is in it: what they do there must find its incident."""
        if self._incident.channel_id:
            return self._incident.channel_id
        try:
            channel_id, name = await self._create()
        except PermanentError as error:
            await self._tools.desk.handle(self._incident.id, RecordRoomFailure(reason=str(error)), by=MUSTER)
            raise
        crashpoint("room.created")
        command = RecordRoom(channel_id=channel_id, name=name)
        handled = await self._tools.desk.handle(self._incident.id, command, by=MUSTER)
        self._incident = handled.incident
        crashpoint("room.recorded")
        return channel_id

    async def _create(self) -> tuple[str, str]:
        desired = desired_room(self._incident)
        for number in range(1, MOST_NAMES + 1):
            name = desired.name if number == 1 else f"{desired.name[:77]}-{number}"
            if self._look_first:
                found = await self._find_own(name)
                if found:
                    return found, name
            try:
                answer = await self._slack.call("conversations.create", urgent=True, name=name, is_private=desired.private)
            except PermanentError as error:
                if error.code != "name_taken":
                    raise
                found = await self._find_own(name)
                if found:
                    return found, name
                continue
            channel = answer["channel"]
            return str(channel["id"]), str(channel.get("name") or name)
        raise PermanentError(f"every name like {desired.name} is taken by somebody else's channel", code="name_taken")

    async def _find_own(self, name: str) -> str | None:
        """The channel of this name that Muster made for this very incident: by us, and not before it was opened."""
        channels = self._slack.each(
            "conversations.list", "channels", types="public_channel,private_channel", exclude_archived=True, limit=1000
        )
        async for channel in channels:
            created = float(channel.get("created") or 0)
            ours = channel.get("creator") == self._tools.bot_user_id
            young = created >= (self._incident.opened.at - CREATED_SLACK).timestamp()
            as_private = bool(channel.get("is_private")) == self._incident.private  # never the room of a public one
            if channel.get("name") == name and ours and young and as_private:
                return str(channel["id"])
        return None

    # -- messages --------------------------------------------------------------------------------------------------

    async def _message(self, message: RoomMessage, room_id: str) -> None:
        place = self._place(message, room_id)
        if message.under and message.under not in self._record.messages:
            return  # Slack refused the message that it belongs to
        if message.kind is MessageKind.FILE:
            await self._file(message, place)
            return
        parts = list(self._tools.draw(message, self._incident))
        while f"{message.key}:{len(parts) + 1}" in self._record.messages:  # it was longer once
            parts.append(Drawn(text="(continued above)", blocks=(_empty_block(),)))
        for index, drawn in enumerate(parts, start=1):
            key = message.key if index == 1 else f"{message.key}:{index}"
            await self._one(message, key=key, channel_id=place, drawn=drawn)

    def _place(self, message: RoomMessage, room_id: str) -> str:
        if message.place is Place.ROOM:
            return room_id
        if message.place is Place.INCIDENTS:
            return self._tools.incidents_channel_id
        return str(message.channel_id)

    async def _one(self, message: RoomMessage, *, key: str, channel_id: str, drawn: Drawn) -> None:
        if key in self._record.refused:
            return
        sent = self._record.messages.get(key)
        if sent is None and message.ts:
            sent = SentMessage(channel_id=channel_id, ts=message.ts)
        if (sent is None and message.only_update) or (sent and sent.drawn == drawn.digest):
            return
        try:
            if sent:
                await self._forget_drawing(key)
                await redraw(self._slack, channel_id=sent.channel_id, ts=sent.ts, drawn=drawn)
                ts = sent.ts
            else:
                ts = await post_once(
                    self._slack,
                    channel_id=channel_id,
                    drawn=drawn,
                    key=opaque_key(self._incident.id, key),
                    look_first=self._look_first,
                    since=self._incident.opened.at,
                    thread_ts=self._record.messages[message.under].ts if message.under else message.thread_ts,
                )
        except PermanentError as error:
            await self._refused_for_good(message, key, error)
            return
        crashpoint("redrawn" if sent else "posted", message.kind)
        channel = sent.channel_id if sent else channel_id
        self._record.messages[key] = SentMessage(channel_id=channel, ts=ts, drawn=drawn.digest)
        await self._save()

    async def _file(self, message: RoomMessage, channel_id: str) -> None:
        """Share the result of a run in its thread, once: what is in a file never changes."""
        run = self._incident.runs[message.about]
        if run.outcome is None or message.key in self._record.refused or message.key in self._record.messages:
            return
        try:
            await share_once(
                self._slack,
                channel_id=channel_id,
                thread_ts=self._record.messages[message.under].ts,
                name=name_of(self._incident, message.key),
                title=title_of(run, run.outcome),
                text=text_of(run),
                look_first=self._look_first,
            )
        except PermanentError as error:
            await self._refused_for_good(message, message.key, error)
            return
        crashpoint("posted", message.kind)
        self._record.messages[message.key] = SentMessage(channel_id=channel_id, ts="", drawn="file")
        await self._save()

    async def _refused_for_good(self, message: RoomMessage, key: str, error: PermanentError) -> None:
        """Remember that a message cannot be there. Raises: ``error`` when somebody may mend it."""
        gone = error.code in _NEVER or (message.place is not Place.INCIDENTS and error.code in _NOT_HERE)
        if not gone:
            raise error
        await self._refused(key, error)

    async def _forget_drawing(self, key: str) -> None:
        """Record that nobody knows what a message shows, before that is so: after a crash in between, a state that looks as the
        recorded one did would otherwise be taken for drawn."""
        known = self._record.messages.get(key)
        if known and known.drawn:
            known.drawn = ""
            await self._save()

    # -- people, topic, bookmarks ----------------------------------------------------------------------------------

    async def _people_in(self, desired: DesiredRoom, channel_id: str) -> None:
        wanted = list(desired.user_ids)
        unanswered: MusterError | None = None
        for handle in desired.contact_handles:
            if handle in self._record.refused:
                continue
            try:
                wanted.extend(await self._tools.people.resolve(handle))
            except PermanentError as error:
                await self._refused(handle, error)
            except TemporaryError as error:  # the others need not wait until Slack says who that is
                unanswered = error
        missing = [
            user
            for user in dict.fromkeys(wanted)
            if user != self._tools.bot_user_id and user not in self._record.invited and user not in self._record.refused
        ]
        for start in range(0, len(missing), INVITE_MOST_USERS):
            await self._invite(channel_id, missing[start : start + INVITE_MOST_USERS])
        if unanswered:
            raise unanswered

    async def _invite(self, channel_id: str, users: Sequence[str]) -> None:
        try:
            await self._slack.call("conversations.invite", urgent=True, channel=channel_id, users=",".join(users))
        except PermanentError as error:
            if error.code == "already_in_channel" and len(users) == 1:
                pass  # what was wanted
            elif len(users) > 1:  # one of them spoils it for all: one by one
                for user in users:
                    await self._invite(channel_id, [user])
                return
            elif error.code in _NEVER | _NOT_HERE:
                await self._refused(users[0], error)
                return
            else:
                raise
        crashpoint("room.invited")
        self._record.invited.extend(users)
        await self._save()

    async def _topic(self, desired: DesiredRoom, channel_id: str) -> None:
        topic = cut(escape(desired.topic), max_chars=TOPIC_MAX_CHARS)
        if topic == self._record.topic or "topic" in self._record.refused:
            return
        if self._record.topic:  # the same as in ``_forget_drawing``
            await self._save(topic="")
        try:
            await self._slack.call("conversations.setTopic", channel=channel_id, topic=topic)
        except PermanentError as error:
            if error.code not in _NOT_HERE:
                raise
            await self._refused("topic", error)
            return
        crashpoint("room.topic_set")
        self._record.topic = topic
        await self._save()

    async def _bookmarks(self, desired: DesiredRoom, channel_id: str) -> None:
        missing = [(title, url) for title, url in desired.bookmarks if url not in self._record.bookmarks]
        if missing and self._look_first:
            listed = await self._slack.call("bookmarks.list", channel_id=channel_id)
            known = {str(bookmark.get("link")) for bookmark in listed.get("bookmarks", [])}
            self._record.bookmarks.extend(url for _, url in missing if url in known)
            missing = [(title, url) for title, url in missing if url not in known]
            await self._save()
        await _all([self._bookmark(channel_id, title, url) for title, url in missing if url not in self._record.refused])

    async def _bookmark(self, channel_id: str, title: str, url: str) -> None:
        try:
            await self._slack.call("bookmarks.add", channel_id=channel_id, title=title, type="link", link=url)
        except PermanentError as error:
            if error.code not in _NEVER | _NOT_HERE:
                raise
            await self._refused(url, error)
            return
        crashpoint("room.bookmarked")
        self._record.bookmarks.append(url)
        await self._save()

    async def _archive(self, channel_id: str) -> None:
        if not self._record.archived:
            try:
                await self._slack.call("conversations.archive", channel=channel_id)
            except PermanentError as error:
                if error.code != "already_archived":
                    raise
            self._record.archived = True
            await self._save()
        if not self._incident.archived:
            await self._tools.desk.handle(self._incident.id, RecordArchived(), by=MUSTER)

    # -- the record ------------------------------------------------------------------------------------------------

    async def _refused(self, what: str, error: PermanentError) -> None:
        self._log.error("slack_refused", what=what, reason=str(error))
        self._record.refused[what] = error.code
        await self._save()

    async def _save(self, **changes: Any) -> None:
        """Raises: FencedError when another process works on this room now; it knows better."""
        for name, value in changes.items():
            setattr(self._record, name, value)
        async with self._saving:
            if not await self._tools.rooms.save_room_record(self._incident.id, self._task, self._record):
                raise FencedError(f"the room of {self._incident.id} belongs to another worker now")


def _empty_block() -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "plain_text", "text": "(continued above)"}]}


async def _behind(work: Coroutine[Any, Any, None]) -> None:
    """``work``, begun when the checklist is on its way."""
    await asyncio.sleep(HEAD_START_S)
    await work


async def _all(work: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All of it beside each other, also when some of it fails. Then what is uncertain is raised before what Slack refused, and
    that before what can simply wait."""
    results = await asyncio.gather(*work, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if not failures:
        return [result for result in results if not isinstance(result, BaseException)]
    for failure in failures:
        if not isinstance(failure, MusterError):
            raise failure
    waits = [failure for failure in failures if isinstance(failure, TemporaryError) and failure.retry_after_s is not None]
    if len(waits) == len(failures):
        raise max(waits, key=lambda failure: failure.retry_after_s or 0.0)
    others = [failure for failure in failures if failure not in waits]
    raise next((failure for failure in others if not isinstance(failure, PermanentError)), others[0])
