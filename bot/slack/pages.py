"""Paging in Slack: a direct message with a button that says "I have it". The mention in the room is the room's own work."""

from __future__ import annotations

import structlog

from bot.domain.commands import Command, RecordPage
from bot.domain.errors import PermanentError
from bot.domain.incident import Incident
from bot.services.desk import Desk
from bot.services.ports import Task
from bot.services.worker import Performed
from bot.slack.blocks.messages import draw_page
from bot.slack.client import SlackApi
from bot.slack.drawing import Drawn
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
        contact = next((item for item in level.contacts if item.id == task.data["contact_id"]), None)
        if contact is None or not contact.slack:
            raise PermanentError(f"{task.data['contact_id']} has no way to be reached; add one to runbooks/contacts.yml")
        drawn = draw_page(incident, level.level)
        sent: dict[str, tuple[str, str]] = {}
        refused: PermanentError | None = None
        for user in await self._people.resolve(contact.slack):
            try:
                sent[user] = await self._send(task, user, drawn)
            except PermanentError as error:
                self._log.warning("page_refused", user_id=user, reason=str(error))
                refused = error
        if refused and not sent:
            raise refused
        return Performed(command=_record(task, user_ids=tuple(sent), messages=tuple(sent.values())))

    async def _send(self, task: Task, user: str, drawn: Drawn) -> tuple[str, str]:
        """(channel, ts) of the message."""
        channel = (await self._slack.call("conversations.open", users=user))["channel"]["id"]
        ts = await post_once(
            self._slack,
            channel_id=channel,
            drawn=drawn,
            key=opaque_key(task.incident_id, f"{task.id}:{user}"),
            look_first=task.attempt > 1,
            since=task.due_at,
        )
        return channel, ts

    async def _with_room(self, incident: Incident) -> Incident:
        """The incident with its room, which is a round trip away when it was just opened; never waited for longer than that."""
        return await self._desk.wait_until(incident.id, lambda now: bool(now.channel_id or now.room_failure), most_s=ROOM_WAIT_S)


def page_failed(task: Task, incident: Incident, reason: str) -> Command:
    """What a page that cannot be sent means: recorded loudly, and the next level is due at once."""
    return _record(task, failure=reason)


def _record(
    task: Task,
    *,
    user_ids: tuple[str, ...] = (),
    messages: tuple[tuple[str, str], ...] = (),
    failure: str = "",
) -> RecordPage:
    return RecordPage(
        level=int(task.data["level"]),
        contact_id=str(task.data["contact_id"]),
        generation=int(task.data["generation"]),
        via=VIA,
        due_at=task.due_at,
        user_ids=user_ids,
        messages=messages,
        failure=failure,
    )
