"""Telling somebody in Slack: a direct message with the buttons that answer it. The mention in the room is the room's own work.

One of the ways of ``bot.services.paging``; the others are in ``bot.notify``.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal

import structlog

from bot.domain.errors import PermanentError, TemporaryError
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
FIRST_OF_A_GROUP = 20
"""So many of a group are as urgent as anybody; the others leave what the limits keep back to the pages of somebody else."""
GROUP_WAIT_S = 30.0
"""Slack opens fifty conversations a minute, and one more every 1.2 s: a page to a group waits so long for that in all."""
SHORTEST_WAIT_S = 0.1
MOST_REMEMBERED = 200

_Told = dict[str, tuple[str, str]]
"""User → (channel, ts) of the message."""


class SlackWay:
    """See ``bot.services.ports.PageWay``."""

    way = Way.SLACK
    follows = False

    def __init__(
        self, *, slack: SlackApi, people: People, desk: Desk, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._slack = slack
        self._people = people
        self._desk = desk
        self._sleep = sleep
        self._told: OrderedDict[str, tuple[datetime, _Told]] = OrderedDict()
        """By key: (which page under this key, whom this process told of it). A repetition goes on where it was."""
        self._log = structlog.get_logger("muster.pages")

    def missing(self, contact: Contact) -> str:
        """See ``PageWay.missing``."""
        return "" if contact.slack else "slack is not set"

    async def send(self, summons: Summons) -> Accepted:
        """A message to everybody behind the contact; of several, one who is reached is enough.

        When Slack takes no more for now and somebody was told, that is waited for, but not for long: then the others are left to
        the mention in the room.

        Raises: PermanentError when nobody of them can be reached in Slack.
        """
        sent = self._told_before(summons)
        refused: PermanentError | None = None
        left_s = GROUP_WAIT_S
        users = await self._people.resolve(str(summons.contact.slack))
        for number, user in enumerate(users):
            while user not in sent:
                try:
                    sent[user] = await self._send(summons, user, urgent=number < FIRST_OF_A_GROUP)
                except PermanentError as error:
                    self._log.warning("page_refused", user_id=user, reason=str(error))
                    refused = error
                    break
                except TemporaryError as limited:
                    if not sent or limited.retry_after_s is None:
                        raise
                    left_s -= max(limited.retry_after_s, SHORTEST_WAIT_S)
                    if left_s < 0:
                        untold = sum(one not in sent for one in users)
                        self._log.warning("group_not_told_whole", contact=summons.contact.id, untold=untold, reason=str(limited))
                        return _accepted(sent)
                    await self._sleep(max(limited.retry_after_s, SHORTEST_WAIT_S))
        if refused and not sent:
            raise refused
        return _accepted(sent)

    def _told_before(self, summons: Summons) -> _Told:
        """Whom this process told in an earlier attempt at the same page; what is added to it is known to the next one."""
        since, told = self._told.pop(summons.key, (summons.since, {}))
        if not summons.look_first or since != summons.since:
            told = {}
        self._told[summons.key] = (summons.since, told)
        while len(self._told) > MOST_REMEMBERED:
            self._told.popitem(last=False)
        return told

    async def follow(self, reference: str, summons: Summons, *, wanted: Literal["open", "acknowledged", "over"]) -> Followed:
        """There is nothing to follow: who acknowledges in Slack presses a button of Muster's."""
        return Followed(state="closed")

    async def _send(self, summons: Summons, user: str, *, urgent: bool) -> tuple[str, str]:
        """(channel, ts) of the message."""
        person = self._people.find(user)
        if person and person.is_gone:
            raise PermanentError(f"<@{user}> is deactivated in Slack; correct {summons.contact.id} in runbooks/contacts.yml")
        slack = self._slack.under(summons.lease)
        channel = (await slack.call("conversations.open", urgent=urgent, users=user))["channel"]["id"]
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


def _accepted(sent: _Told) -> Accepted:
    return Accepted(user_ids=tuple(sent), messages=tuple(sent.values()))
