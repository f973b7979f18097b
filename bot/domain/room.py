"""What an incident should look like in Slack, as a pure function of its state; and the record of what was done about it.

``bot.slack.room`` compares the two and makes the difference. How a message is drawn is in ``bot.slack.blocks``; here is
which messages there are, where, and when they may appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from bot.domain.facts import Status
from bot.domain.incident import Incident, Page
from bot.domain.text import slug

MENTION_AFTER_S = 1.5
"""The first second of a new channel belongs to the checklist alone: Slack takes about one message a second and channel."""

CHANNEL_NAME_MAX_CHARS = 80
"""docs.slack.dev, methods/conversations.create."""


class Place(StrEnum):
    """Where a message goes."""

    ROOM = "room"
    INCIDENTS = "incidents"
    ORIGIN = "origin"
    SENT = "sent"
    """It was sent by a page already; it is only kept up to date."""


class MessageKind(StrEnum):
    """What a message shows; ``bot.slack.blocks`` draws each kind."""

    CARD = "card"
    MENTION = "mention"
    RUN = "run"
    ANNOUNCEMENT = "announcement"
    REPLY = "reply"
    PAGE = "page"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomMessage:
    """One message that should be there. ``key`` is stable; ``about`` names the level, the run, … that it shows."""

    key: str
    kind: MessageKind
    place: Place
    about: str = ""
    channel_id: str | None = None
    thread_ts: str | None = None
    ts: str | None = None
    not_before: datetime | None = None
    only_update: bool = False
    """If Slack has it, it is kept up to date; it is not posted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredRoom:
    """How Slack should look. ``contact_handles`` still have to be resolved to people."""

    name: str
    private: bool
    topic: str
    user_ids: tuple[str, ...]
    contact_handles: tuple[str, ...]
    messages: tuple[RoomMessage, ...]
    bookmarks: tuple[tuple[str, str], ...]
    """(title, url)"""
    archived: bool


class SentMessage(BaseModel):
    """A message that Slack has. ``drawn`` is the digest of what it showed last; "" when that is not known."""

    model_config = ConfigDict(extra="forbid")

    channel_id: str
    ts: str
    drawn: str = ""


class RoomRecord(BaseModel):
    """What was done in Slack for one incident, as far as Slack confirmed it. Written only by the holder of the room's task.

    The channel itself is a fact of the timeline.
    """

    model_config = ConfigDict(extra="forbid")

    version: int = 1
    topic: str = ""
    invited: list[str] = []
    refused: dict[str, str] = {}
    """Who or what Slack refused for good, with its reason."""
    messages: dict[str, SentMessage] = {}
    bookmarks: list[str] = []
    archived: bool = False


def room_name(incident: Incident) -> str:
    """``inc-<yyyymmdd>-<slug>-<n>``; a private incident's title is not in its name."""
    start = f"inc-{incident.opened.at:%Y%m%d}"
    end = str(incident.number)
    middle = "private" if incident.private else slug(incident.title, max_chars=40) or "incident"
    if incident.drill:
        middle = f"drill-{middle}"
    return f"{start}-{middle}-{end}"[:CHANNEL_NAME_MAX_CHARS]


def desired_room(incident: Incident) -> DesiredRoom:
    """How Slack should look for ``incident``."""
    first_level = incident.ladder[0] if incident.ladder else None
    handles = [contact.slack for contact in first_level.contacts if contact.slack] if first_level else []
    for level in incident.ladder:
        if level.level in incident.levels_reached:
            handles.extend(contact.slack for contact in level.contacts if contact.slack)
    return DesiredRoom(
        name=room_name(incident),
        private=incident.private,
        topic=_topic(incident),
        user_ids=_people(incident),
        contact_handles=tuple(dict.fromkeys(handles)),
        messages=_messages(incident),
        bookmarks=tuple((link.title, link.url) for link in incident.runbook.links[:1]) if incident.runbook else (),
        archived=incident.status is Status.FALSE_POSITIVE,
    )


def _sent_before_the_room(incident: Incident, page: Page) -> bool:
    return incident.room_opened_at is not None and page.at <= incident.room_opened_at


def _people(incident: Incident) -> tuple[str, ...]:
    people = [incident.opened.by, *incident.roles.values()]
    if not incident.private:  # saying it once more does not open the door of a private room
        people.extend(moment.by for moment, _ in incident.declared_again)
    if incident.acknowledged:
        people.append(incident.acknowledged.by)
    return tuple(dict.fromkeys(person for person in people if person.startswith(("U", "W"))))


def _topic(incident: Incident) -> str:
    drill = "DRILL · " if incident.drill else ""
    return f"{drill}{incident.severity.value} · {incident.status.value.replace('_', ' ')} · {incident.title}"


def _messages(incident: Incident) -> tuple[RoomMessage, ...]:
    messages = [RoomMessage(key="card", kind=MessageKind.CARD, place=Place.ROOM)]
    if not incident.private:
        messages.append(RoomMessage(key="announcement", kind=MessageKind.ANNOUNCEMENT, place=Place.INCIDENTS))
    for origin in (incident.origin, *(origin for _, origin in incident.declared_again)):
        if origin.channel_id and origin.message_ts:
            messages.append(
                RoomMessage(
                    key=f"reply:{origin.channel_id}:{origin.message_ts}",
                    kind=MessageKind.REPLY,
                    place=Place.ORIGIN,
                    channel_id=origin.channel_id,
                    thread_ts=origin.message_ts,
                )
            )
    settled = incident.acknowledged is not None or incident.is_over
    earliest = (incident.room_opened_at or incident.opened.at) + timedelta(seconds=MENTION_AFTER_S)
    messages.extend(
        RoomMessage(
            key=f"mention:{incident.generation}:{level}",
            kind=MessageKind.MENTION,
            place=Place.ROOM,
            about=str(level),
            not_before=earliest,
            only_update=settled,
        )
        for level in incident.levels_reached
    )
    messages.extend(
        RoomMessage(key=f"run:{run.id}", kind=MessageKind.RUN, place=Place.ROOM, about=run.id) for run in incident.runs.values()
    )
    for page in incident.pages:
        if not settled and not _sent_before_the_room(incident, page):
            continue  # it shows what is true
        messages.extend(
            RoomMessage(
                key=f"page:{channel_id}:{ts}",
                kind=MessageKind.PAGE,
                place=Place.SENT,
                about=str(page.level),
                channel_id=channel_id,
                ts=ts,
            )
            for channel_id, ts in page.messages
        )
    return tuple({message.key: message for message in messages}.values())
