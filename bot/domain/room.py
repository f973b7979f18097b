"""What an incident should look like in Slack, as a pure function of its state; and the record of what was done about it.

``bot.slack.room`` compares the two and makes the difference. How a message is drawn is in ``bot.slack.blocks``; here is
which messages there are, where, and when they may appear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from bot.domain.facts import Status
from bot.domain.incident import Incident, Page
from bot.domain.outcome import Outcome
from bot.domain.run import Run
from bot.domain.text import slug
from bot.domain.timers import is_asking

MENTION_AFTER_S = 1.5
"""The first second of a new channel belongs to the checklist alone: Slack takes about one message a second and channel."""

LINES_IN_A_MESSAGE = 8
"""A result with more lines than that has them in its thread."""
LINES_IN_A_THREAD = 40
"""With more than that it is a file."""

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
    NEWS = "news"
    """Something that happened, said once."""
    DETAILS = "details"
    """All lines of a result, in the thread of its run."""
    FILE = "file"
    """A result that is too long for messages, as a file in the thread of its run."""
    APPROVAL = "approval"
    """Calls people to the run that needs a second person, in its thread: Slack tells nobody of a message that was redrawn."""
    BREAK_GLASS = "break_glass"
    """Somebody went on without a second person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomMessage:
    """One message that should be there. ``key`` is stable; ``about`` names the level, the run, … that it shows."""

    key: str
    kind: MessageKind
    place: Place
    about: str = ""
    channel_id: str | None = None
    thread_ts: str | None = None
    under: str = ""
    """The key of the message in whose thread it stands."""
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
    return DesiredRoom(
        name=room_name(incident),
        private=incident.private,
        topic=_topic(incident),
        user_ids=_people(incident),
        contact_handles=tuple(dict.fromkeys(_handles(incident))),
        messages=_messages(incident),
        bookmarks=tuple((link.title, link.url) for link in incident.runbook.links[:1]) if incident.runbook else (),
        archived=incident.status is Status.FALSE_POSITIVE and not incident.switched_on,
    )


def _sent_before_the_room(incident: Incident, page: Page) -> bool:
    return incident.room_opened_at is not None and page.at <= incident.room_opened_at


def _handles(incident: Incident) -> Iterator[str]:
    """Who belongs into the room by the files: the first level at once, whoever is paged, and whom the severity wants there.

    These last ones never in a private one, and not before somebody has confirmed that there is something: all hands are not
    called for a typing error.
    """
    called: list[str] = []
    if incident.plan.levels and incident.response.page != "never":
        called.extend(incident.plan.levels[0].notify)
    for raised in incident.raised.values():
        if raised.alarm.kind == "page":
            called.extend(raised.contact_ids)
            if raised.contact and raised.contact.slack:
                yield raised.contact.slack
    if incident.status is not Status.TRIAGE and not incident.private:
        called.extend(incident.response.invite)
    for identity in called:
        contact = incident.plan.people.get(identity)
        if contact and contact.slack:
            yield contact.slack


def _people(incident: Incident) -> tuple[str, ...]:
    people = [incident.opened.by, *incident.roles.values()]
    if not incident.private:  # saying it once more does not open the door of a private room
        people.extend(moment.by for moment, _ in incident.declared_again)
    if incident.acknowledged:
        people.append(incident.acknowledged.by)
    people.extend(user for page in incident.pages if page.kind == "page" for user in page.user_ids)
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
            key=f"mention:{raised.key}",
            kind=MessageKind.MENTION,
            place=Place.ROOM,
            about=raised.key,
            not_before=earliest,
            only_update=settled,
        )
        for raised in incident.raised.values()
        if raised.alarm.kind == "page" and not raised.by and raised.contact_ids
    )
    messages.extend(
        RoomMessage(key=f"news:{news.seq}", kind=MessageKind.NEWS, place=Place.ROOM, about=str(news.seq), not_before=earliest)
        for news in incident.news
    )
    messages.extend(message for run in incident.runs.values() for message in _messages_of(run))
    for page in incident.pages:
        settled_page = settled if page.kind != "check_in" else not is_asking(incident, page.key)
        if not settled_page and not _sent_before_the_room(incident, page):
            continue  # it shows what is true
        messages.extend(
            RoomMessage(
                key=f"page:{channel_id}:{ts}",
                kind=MessageKind.PAGE,
                place=Place.SENT,
                about=page.key,
                channel_id=channel_id,
                ts=ts,
            )
            for channel_id, ts in page.messages
        )
    return tuple({message.key: message for message in messages}.values())


def has_file(outcome: Outcome) -> bool:
    """Whether a result is too long for messages."""
    return bool(outcome.report) or len(outcome.details) > LINES_IN_A_THREAD


def _messages_of(run: Run) -> Iterator[RoomMessage]:
    """Its message, its details where they are long, and the word to everybody when nobody else agreed."""
    parent = f"run:{run.id}"
    yield RoomMessage(key=parent, kind=MessageKind.RUN, place=Place.ROOM, about=run.id)
    if run.needs_second and run.preview and not run.preview.nothing_to_do:
        key = f"approval:{run.id}"
        yield RoomMessage(
            key=key, kind=MessageKind.APPROVAL, place=Place.ROOM, about=run.id, under=parent, only_update=not run.is_waiting
        )
    if run.outcome and has_file(run.outcome):
        seen_at = run.looked_at or run.finished_at
        key = f"file:{run.id}:{int(seen_at.timestamp()) if seen_at else 0}"  # each look that is later has a file of its own
        yield RoomMessage(key=key, kind=MessageKind.FILE, place=Place.ROOM, about=run.id, under=parent)
    elif run.outcome and len(run.outcome.details) > LINES_IN_A_MESSAGE:
        yield RoomMessage(key=f"details:{run.id}", kind=MessageKind.DETAILS, place=Place.ROOM, about=run.id, under=parent)
    if run.break_glass:
        yield RoomMessage(key=f"break_glass:{run.id}", kind=MessageKind.BREAK_GLASS, place=Place.INCIDENTS, about=run.id)
