"""What a person of the workspace can see, and the ground that everything they do stands on. Base of ``workspace``'s parts."""

from __future__ import annotations

import asyncio

from bot.domain.errors import ForbiddenError, UserError
from bot.sandbox.delivery import Courier
from bot.sandbox.models import BOT_USER_ID, Channel, Json, User
from bot.sandbox.response_urls import ResponseUrls
from bot.sandbox.results import Result
from bot.sandbox.state import State, is_system
from bot.sandbox.triggers import Triggers
from bot.sandbox.views import Views


class Looking:
    """Finding people, channels, messages and forms. References are ids or names; "@muster" is the talk with the bot."""

    def __init__(self, state: State, views: Views, triggers: Triggers, response_urls: ResponseUrls, courier: Courier) -> None:
        self._state = state
        self._views = views
        self._triggers = triggers
        self._response_urls = response_urls
        self._courier = courier

    def user(self, reference: str) -> User:
        """A user by id or handle. Raises UserError."""
        return self._state.get_user(reference)

    def channel(self, reference: str) -> Channel:
        """A channel by id or name. Raises UserError."""
        return self._state.get_channel(reference)

    def find_channel(self, reference: str) -> Channel | None:
        """A channel by id or name, or None."""
        try:
            return self._state.get_channel(reference)
        except UserError:
            return None

    @property
    def channels(self) -> list[Channel]:
        """Every channel, archived ones and direct messages too, in the order of their making."""
        return list(self._state.channels.values())

    def im(self, user: str) -> Channel:
        """The direct conversation of a user and the bot."""
        return self._state.open_direct(self.user(user).id, BOT_USER_ID)

    def messages(
        self,
        channel: str,
        user: str | None = None,
        *,
        system: bool = False,
        thread_ts: str | None = None,
    ) -> list[Json]:
        """Copies of what is in a channel, oldest first, replies included; with ``user`` also what only they see.

        Slack's own lines (joins, topics) come with ``system``; ``thread_ts`` gives one thread only, its root first.
        """
        place = self._place(user or BOT_USER_ID, channel)
        shown = list(place.messages.values())
        if user is not None:
            viewer = self.user(user).id
            shown += [message for seen_by, message in place.ephemeral.values() if seen_by == viewer]
        if thread_ts is not None:
            shown = [one for one in shown if thread_ts in (one["ts"], one.get("thread_ts"))]
        kept = [dict(one) for one in shown if system or not is_system(one)]
        return sorted(kept, key=lambda one: float(one["ts"]))

    def dm(self, user: str) -> list[Json]:
        """The messages between the bot and this user, oldest first."""
        return [dict(message) for message in self.im(user).messages.values()]

    def views(self, user: str) -> list[Json]:
        """The forms in front of this user; the one that is seen is last."""
        return [dict(view) for view in self._views.stack(self.user(user).id)]

    def home(self, user: str) -> Json | None:
        """The Home tab that the bot published for this user."""
        return self._views.home(self.user(user).id)

    def _place(self, user: str, channel: str) -> Channel:
        if channel.removeprefix("@") in (BOT_USER_ID, self._state.users[BOT_USER_ID].name):
            return self.im(user)
        return self._state.get_channel(channel)

    def _visible(self, user: User, channel: str) -> Channel:
        place = self._place(user.id, channel)
        if not self._state.sees(user.id, place):
            raise ForbiddenError(f"{user.real_name} cannot see this channel: it is private and they are not in it.")
        return place

    def _joined(self, user: User, channel: str) -> Channel:
        place = self._visible(user, channel)
        if user.id not in place.members:
            raise ForbiddenError(f"{user.real_name} is not in #{place.name}: join it first.")
        if place.is_archived:
            raise UserError(f"#{place.name} is archived: nobody can write there.")
        return place

    def _names(self) -> dict[str, str]:
        names = {f"@{user.name}": f"<@{user.id}>" for user in self._state.users.values()}
        names |= {f"@{group.handle}": f"<!subteam^{group.id}>" for group in self._state.groups.values()}
        names |= {f"#{one.name}": f"<#{one.id}|{one.name}>" for one in self._state.channels.values() if one.name}
        return names | {"@channel": "<!channel>", "@here": "<!here>", "@everyone": "<!everyone>"}

    async def _told(self, result: Result) -> Result:
        """Send what the act made of events, and wait for the bot's first answers."""
        result.deliveries = self._courier.flush()
        await asyncio.gather(*(delivery.attempted() for delivery in result.deliveries))
        return result
