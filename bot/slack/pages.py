"""Telling somebody in Slack: a direct message with the buttons that answer it. The mention in the room is the room's own work.

One of the ways of ``bot.services.paging``; the others are in ``bot.notify``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import structlog

from bot.domain.errors import PermanentError
from bot.domain.escalation import Contact, Way
from bot.domain.incident import Incident
from bot.services.crashpoints import crashpoint
from bot.services.desk import Desk
from bot.services.ports import Accepted, Followed, Summons
from bot.slack.blocks.messages import draw_page, draw_test_page
from bot.slack.client import SlackApi
from bot.slack.drawing import Drawn
from bot.slack.people import People
from bot.slack.posting import opaque_key, post_once

ROOM_WAIT_S = 1.0
"""A page is better with a link to the room, but it does not wait long for it: the link comes with an update."""


class SlackWay:
    """See ``bot.services.ports.PageWay``."""

    way = Way.SLACK
    follows = False

    def __init__(self, *, slack: SlackApi, people: People, desk: Desk) -> None:
        self._slack = slack
        self._people = people
        self._desk = desk
        self._log = structlog.get_logger("muster.pages")

    def missing(self, contact: Contact) -> str:
        """See ``PageWay.missing``."""
        return "" if contact.slack else "slack is not set"

    async def send(self, summons: Summons) -> Accepted:
        """A message to everybody behind the contact; of several, one who is reached is enough.

        Raises: PermanentError when nobody of them can be reached in Slack.
        """
        sent: dict[str, tuple[str, str]] = {}
        refused: PermanentError | None = None
        for user in await self._people.resolve(str(summons.contact.slack)):
            try:
                sent[user] = await self._send(summons, user)
            except PermanentError as error:
                self._log.warning("page_refused", user_id=user, reason=str(error))
                refused = error
        if refused and not sent:
            raise refused
        return Accepted(user_ids=tuple(sent), messages=tuple(sent.values()))

    async def follow(self, reference: str, summons: Summons, *, wanted: Literal["open", "acknowledged", "over"]) -> Followed:
        """There is nothing to follow: who acknowledges in Slack presses a button of Muster's."""
        return Followed(state="closed")

    async def _send(self, summons: Summons, user: str) -> tuple[str, str]:
        """(channel, ts) of the message."""
        person = self._people.find(user)
        if person and person.is_gone:
            raise PermanentError(f"<@{user}> is deactivated in Slack; correct {summons.contact.id} in runbooks/contacts.yml")
        slack = self._slack.under(summons.lease)
        channel = (await slack.call("conversations.open", urgent=True, users=user))["channel"]["id"]
        crashpoint("page.opened")
        ts = await post_once(
            slack,
            channel_id=channel,
            drawn=await self._drawn(summons),
            key=opaque_key(f"inc-{summons.number}", f"{summons.key}:{user}"),
            look_first=summons.look_first,
            since=summons.since,
        )
        return channel, ts

    async def _drawn(self, summons: Summons) -> Drawn:
        if summons.incident is None:
            return draw_test_page(summons.headline)
        return draw_page(await self._with_room(summons.incident), summons.alarm_key)

    async def _with_room(self, incident: Incident) -> Incident:
        """The incident with its room, which is a round trip away when it was just opened; never waited for longer than that."""
        has_room: Callable[[Incident], bool] = lambda now: bool(now.channel_id or now.room_failure)  # noqa: E731
        return await self._desk.wait_until(incident.id, has_room, most_s=ROOM_WAIT_S)
