"""Paging in Slack: a direct message with a button that says "I have it". The mention in the room is the room's own work."""

from __future__ import annotations

from datetime import datetime

import structlog

from bot.domain.commands import Command, RecordPage
from bot.domain.errors import PermanentError
from bot.domain.facts import LadderLevel
from bot.domain.incident import Incident
from bot.services.crashpoints import crashpoint
from bot.services.desk import Desk
from bot.services.ports import Task
from bot.services.worker import Performed
from bot.slack.blocks.messages import draw_page
from bot.slack.client import SlackApi
from bot.slack.people import People
from bot.slack.posting import opaque_key, post_once

VIA = "slack"
ROOM_WAIT_S = 1.0
"""A page is better with a link to the room, but it does not wait long for it: the link comes with an update."""


class PagePerformer:
    """Performs the page task."""

    def __init__(self, *, slack: SlackApi, people: People, desk: Desk) -> None:
        self._slack = slack
        self._people = people
        self._desk = desk
        self._log = structlog.get_logger("muster.pages")

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """Page the contact, unless somebody has it meanwhile. Of several people behind it, one who is reached is enough.

        Raises: PermanentError when nobody of them can be reached in Slack.
        """
        level = incident.level(int(task.data["level"]))
        stopped = incident.is_over or incident.generation != task.data["generation"]
        if level is None or stopped or (incident.acknowledged and level.until == "acknowledged"):
            return Performed()
        if _was_sent(incident, level, str(task.data["contact_id"])):  # by a worker that had lost its lease
            return Performed()
        contact = next((item for item in level.contacts if item.id == task.data["contact_id"]), None)
        if contact is None or not contact.slack:
            raise PermanentError(f"{task.data['contact_id']} has no way to be reached; add one to runbooks/contacts.yml")
        sent: dict[str, tuple[str, str]] = {}
        refused: PermanentError | None = None
        for user in await self._people.resolve(contact.slack):
            try:
                sent[user] = await self._send(task, user, incident)
            except PermanentError as error:
                self._log.warning("page_refused", user_id=user, reason=str(error))
                refused = error
        if refused and not sent:
            raise refused
        due_at = _due_at(task, incident, level)
        return Performed(command=_record(task, due_at=due_at, user_ids=tuple(sent), messages=tuple(sent.values())))

    async def _send(self, task: Task, user: str, incident: Incident) -> tuple[str, str]:
        """(channel, ts) of the message."""
        slack = self._slack.under(task.lease)
        channel = (await slack.call("conversations.open", urgent=True, users=user))["channel"]["id"]
        crashpoint("page.opened")
        drawn = draw_page(await self._with_room(incident), int(task.data["level"]))
        ts = await post_once(
            slack,
            channel_id=channel,
            drawn=drawn,
            key=opaque_key(task.incident_id, f"{task.id}:{user}"),
            look_first=task.attempt > 1,
            since=task.due_at,
        )
        crashpoint("page.accepted")
        return channel, ts

    async def _with_room(self, incident: Incident) -> Incident:
        """The incident with its room, which is a round trip away when it was just opened; never waited for longer than that."""
        return await self._desk.wait_until(incident.id, lambda now: bool(now.channel_id or now.room_failure), most_s=ROOM_WAIT_S)


def page_failed(task: Task, incident: Incident, reason: str) -> Command:
    """What a page that cannot be sent means: recorded loudly, and the next level is due at once."""
    return _record(task, due_at=task.due_at, failure=reason)


def _was_sent(incident: Incident, level: LadderLevel, contact_id: str) -> bool:
    return any((page.level, page.contact_id, page.failure) == (level.level, contact_id, "") for page in incident.pages)


def _due_at(task: Task, incident: Incident, level: LadderLevel) -> datetime:
    """When the page should have gone out. Its task is booked when the level is reached, which is late after an outage."""
    return min(task.due_at, incident.level_due_at(level))


def _record(
    task: Task,
    *,
    due_at: datetime,
    user_ids: tuple[str, ...] = (),
    messages: tuple[tuple[str, str], ...] = (),
    failure: str = "",
) -> RecordPage:
    return RecordPage(
        level=int(task.data["level"]),
        contact_id=str(task.data["contact_id"]),
        generation=int(task.data["generation"]),
        via=VIA,
        due_at=due_at,
        user_ids=user_ids,
        messages=messages,
        failure=failure,
    )
