"""Messages from the people's side: writing, editing, deleting, reacting. A part of ``workspace``."""

from __future__ import annotations

from bot.domain.errors import UserError
from bot.sandbox.composer import as_message, rich_text
from bot.sandbox.looking import Looking
from bot.sandbox.models import BOT_USER_ID, Channel, Json, User
from bot.sandbox.results import Result


class Writing(Looking):
    """What people say."""

    async def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Result:
        """Write a message. "@handle" and "#name" become mentions; ``<``, ``>``, ``&`` are escaped, as Slack's client does.

        Returns when the bot has answered the first attempts; redeliveries go on (``await delivery.finished()``).
        """
        person = self.user(user)
        place = self._joined(person, channel)
        if thread_ts is not None and thread_ts not in place.messages:
            raise UserError(f"There is no message {thread_ts} in #{place.name} to reply to.")
        sent = as_message(text.strip(), self._names())
        if not sent:
            raise UserError("There is nothing to send: the message is empty.")
        message = self._state.post_as_user(place.id, person.id, sent, thread_ts=thread_ts, blocks=rich_text(sent))
        self._mention(place, message)
        return await self._told(Result(ts=message["ts"]))

    def _mention(self, place: Channel, message: Json) -> None:
        if f"<@{BOT_USER_ID}>" in message["text"] and BOT_USER_ID in place.members and not place.is_im:
            event = {name: value for name, value in message.items() if name not in ("reply_count", "reply_users")}
            self._state.emit(event | {"type": "app_mention", "channel": place.id, "event_ts": message["ts"]})

    async def say_as_other_bot(self, channel: str, text: str, *, name: str = "Deploy bot") -> Result:
        """A message of another app."""
        message = self._state.post_as_other_bot(self.channel(channel).id, text, name=name)
        return await self._told(Result(ts=message["ts"]))

    async def edit(self, user: str, channel: str, ts: str, text: str) -> Result:
        """Change one's own message."""
        person = self.user(user)
        place = self._joined(person, channel)
        self._own(person, place, ts)
        sent = as_message(text.strip(), self._names())
        self._state.edit_message(place.id, ts, {"text": sent, "blocks": rich_text(sent)}, editor=person.id)
        return await self._told(Result(ts=ts))

    async def delete(self, user: str, channel: str, ts: str) -> Result:
        """Take one's own message back."""
        person = self.user(user)
        place = self._joined(person, channel)
        self._own(person, place, ts)
        self._state.delete_message(place.id, ts)
        return await self._told(Result(ts=ts))

    def _own(self, person: User, place: Channel, ts: str) -> None:
        message = place.messages.get(ts)
        if message is None or message.get("user") != person.id:
            raise UserError(f"{person.real_name} has no message {ts} in this channel.")

    async def react(self, user: str, channel: str, ts: str, name: str, *, remove: bool = False) -> Result:
        """Put an emoji (its name without colons) under a message, or take it away."""
        person = self.user(user)
        place = self._joined(person, channel)
        if ts not in place.messages:
            raise UserError(f"There is no message {ts} in this channel.")
        self._state.react(place, ts, person.id, name.strip(":"), remove=remove)
        return await self._told(Result(ts=ts))
