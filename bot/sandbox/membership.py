"""Channels from the people's side: making, joining, leaving, inviting, archiving. A part of ``workspace``."""

from __future__ import annotations

from collections.abc import Iterable

from bot.domain.errors import UserError
from bot.sandbox.looking import Looking
from bot.sandbox.models import TEAM_ID, Channel, User
from bot.sandbox.results import Result


class Membership(Looking):
    """Who is in which channel, changed by people."""

    def add_user(
        self,
        handle: str,
        real_name: str,
        *,
        is_guest: bool = False,
        deleted: bool = False,
        team_id: str = TEAM_ID,
        channels: Iterable[str] = ("general",),
    ) -> User:
        """One more person, in these channels; with another ``team_id`` somebody of another workspace (Slack Connect)."""
        user = User(self._state.new_id("U"), handle, real_name, is_guest=is_guest, deleted=deleted, team_id=team_id)
        user.email = f"{handle}@example.com"
        self._state.users[user.id] = user
        for name in channels:
            self._state.join(self.channel(name), user.id)
        self._courier.flush()
        return user

    async def create_channel(self, user: str, name: str, *, is_private: bool = False) -> Result:
        """A person makes a channel; the bot is not in it. The result's ``response`` is ``{"id": …}``."""
        person = self.user(user)
        if self._state.named(name) is not None:
            raise UserError(f"There is a channel #{name} already.")
        channel = self._state.create_channel(name, creator=person.id, is_private=is_private)
        return await self._told(Result(response={"id": channel.id}))

    async def join(self, user: str, channel: str) -> Result:
        """Go into a public channel."""
        person = self.user(user)
        place = self._visible(person, channel)
        self._open(place)
        self._state.join(place, person.id)
        return await self._told(Result())

    async def leave(self, user: str, channel: str) -> Result:
        """Go out of a channel."""
        person = self.user(user)
        self._state.leave(self._visible(person, channel), person.id)
        return await self._told(Result())

    async def invite(self, user: str, channel: str, *users: str) -> Result:
        """Bring others in, the bot too ("@muster")."""
        person = self.user(user)
        place = self._joined(person, channel)
        self._open(place)
        for invited in users:
            self._state.join(place, self.user(invited).id, inviter=person.id)
        return await self._told(Result())

    async def kick(self, user: str, channel: str, kicked: str) -> Result:
        """Put somebody out, the bot too."""
        person = self.user(user)
        self._state.leave(self._joined(person, channel), self.user(kicked).id, kicked_by=person.id)
        return await self._told(Result())

    async def archive(self, user: str, channel: str, *, archived: bool = True) -> Result:
        """Archive a channel, or with ``archived=False`` open it again."""
        person = self.user(user)
        self._state.archive(self._visible(person, channel), person.id, archived=archived)
        return await self._told(Result())

    async def rename(self, user: str, channel: str, name: str) -> Result:
        """Give a channel another name."""
        person = self.user(user)
        self._state.rename(self._joined(person, channel), name, person.id)
        return await self._told(Result())

    def _open(self, place: Channel) -> None:
        if place.is_im or place.is_mpim:
            raise UserError("Nobody can join a direct message.")
        if place.is_archived:
            raise UserError(f"#{place.name} is archived.")
