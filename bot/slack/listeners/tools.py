"""What every listener works with, and the answers that are given in memory, after Slack has been acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import structlog

from bot.domain.catalog import Catalog
from bot.domain.commands import Command
from bot.domain.duty import Cover
from bot.domain.errors import MusterError, UserError
from bot.domain.incident import Incident
from bot.domain.policy import Permission
from bot.services.desk import Desk
from bot.services.ports import ActionInfo, Clock
from bot.slack.client import SlackApi
from bot.slack.drawing import Block
from bot.slack.duty import DutyRoster
from bot.slack.patience import request_is_over
from bot.slack.people import People, Person
from bot.slack.permissions import Permissions, outside
from bot.slack.posting import post

ANSWER_TIMEOUT_S = 5
ROOM_WAIT_S = 25
"""How long an answer waits for the room; a response_url lives for 30 minutes, a person's patience does not."""

_SLACK_HOSTS = (".slack.com", ".slack-gov.com")


def _origin(url: str) -> tuple[str, str, int | None]:
    """(scheme, host, port); empty for what is no plain URL, or carries a user."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", "", None
    plain = url.isascii() and url.isprintable() and "\\" not in url and "@" not in parts.netloc
    return (parts.scheme, (parts.hostname or "").casefold(), port) if plain else ("", "", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the person who asked is told. ``in_channel``: everybody sees it."""

    text: str
    blocks: tuple[Block, ...] = ()
    in_channel: bool = False

    def payload(self) -> dict[str, Any]:
        """As the HTTP answer to a command, or for a response_url."""
        payload: dict[str, Any] = {
            "response_type": "in_channel" if self.in_channel else "ephemeral",
            "text": self.text,
        }
        if self.blocks:
            payload["blocks"] = list(self.blocks)
        return payload


class Answers:
    """Answers that are given after the acknowledgement. Held and named; what they cannot say is logged.

    They are in memory on purpose: a crash loses an answer to one person, never work. The room invites them anyway.
    """

    def __init__(self, session: aiohttp.ClientSession, *, api_url: str) -> None:
        self._session = session
        self._origin = _origin(api_url)
        self._running: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("muster.answers")

    def soon(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Do ``work`` after this request."""
        task = asyncio.create_task(self._guarded(work, name), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None], name: str) -> None:
        request_is_over()
        try:
            await work
        except MusterError as error:
            self._log.warning("answer_not_given", answer=name, error=str(error))

    async def respond(self, response_url: str, payload: Mapping[str, Any]) -> None:
        """Say something at a response_url (five times in 30 minutes at the most). What fails is logged: nobody waits."""
        if not response_url:
            return
        if not self._is_slacks(response_url):
            self._log.error("answer_not_given", error="the response_url is not Slack's")
            return
        try:
            async with self._session.post(
                response_url,
                json=dict(payload),
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
                allow_redirects=False,
            ) as answer:
                if answer.status != 200:
                    self._log.warning("answer_refused", status=answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._log.warning("answer_not_given", error=type(error).__name__)

    def _is_slacks(self, url: str) -> bool:
        """Of Slack, or of the place that is spoken with instead (the sandbox): an answer holds what only one person may read."""
        scheme, host, port = _origin(url)
        return (scheme, host, port) == self._origin or (scheme == "https" and port is None and host.endswith(_SLACK_HOSTS))

    async def close(self, *, grace_s: float) -> None:
        """Finish what is being said within ``grace_s`` seconds."""
        running = list(self._running)
        if running:
            await asyncio.wait(running, timeout=grace_s)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class CoverBook(Protocol):
    """Where it stands who covers for whom. Raises: TemporaryError when it cannot be reached, UnknownOutcome for a write."""

    async def covers(self) -> list[Cover]:
        """Those that are not over, in the order in which they were said."""
        ...

    async def add_covers(self, covers: Sequence[Cover]) -> None:
        """Remember all of them or none; of those of one rotation and time the newest counts."""
        ...

    async def end_covers(self, covers: Sequence[Cover]) -> int:
        """Forget exactly these, all of them or none; how many of them were still there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """See the module. ``team_id`` is the workspace; ``command`` the name of the slash command ("/incident")."""

    desk: Desk
    clock: Clock
    slack: SlackApi
    people: People
    permissions: Permissions
    answers: Answers
    actions: Mapping[str, ActionInfo]
    duty: DutyRoster
    covers: CoverBook
    incidents_channel_id: str
    team_id: str
    app_id: str
    bot_user_id: str
    bot_id: str
    command: str = "/incident"
    runbook_command: str = "/runbook"
    oncall_command: str = "/oncall"
    log: Any = field(default_factory=lambda: structlog.get_logger("muster.listeners"))

    @property
    def catalog(self) -> Catalog:
        """What the files say now."""
        return self.desk.catalog

    async def tell(self, user_id: str, reply: Reply) -> None:
        """Say something in a person's direct messages, at once or never: it is about what they pressed just now."""
        opened = await self.slack.call("conversations.open", urgent=True, users=user_id)
        await post(self.slack, channel_id=opened["channel"]["id"], text=reply.text, blocks=reply.blocks)

    async def find_person(self, user_id: str) -> Person | None:
        """See ``Permissions.find_person``."""
        return await self.permissions.find_person(user_id)

    async def check_person(self, user_id: str, *, certain: bool = False) -> None:
        """See ``Permissions.check_person``."""
        await self.permissions.check_person(user_id, certain=certain)

    async def require_member(self, user_id: str, *, so: str, certain: bool = False) -> Person | None:
        """The person, who is to do something themselves; None when Slack cannot say who it is right now. ``so`` is what follows.

        Raises: UserError for bots, guests, and people who left or belong to another workspace; with ``certain`` instead of None.
        """
        if user_id == self.bot_user_id:
            raise UserError(f"That is Muster itself; name a person. So {so}.")
        person = await self.find_person(user_id)
        if person is None and certain:
            raise UserError(f"Slack cannot say who <@{user_id}> is at the moment, so {so}. Try again in a minute.")
        if person is None:
            return None
        why = ""
        if person.is_bot:
            why = "is a bot"
        elif person.is_gone:
            why = "is deactivated in Slack"
        elif person.is_guest:
            why = "is a guest here"
        elif person.team_id and person.team_id != self.team_id:
            why = "belongs to another workspace"
        if why:
            raise UserError(f"<@{user_id}> {why}, so {so}. Name a member of this workspace.")
        return person

    async def act(
        self,
        incident: Incident,
        command: Command,
        *,
        by: str,
        delivery: str,
        permission: Permission | None = None,
        certain: bool = False,
    ) -> Incident:
        """What a responder asks for, or with ``permission`` whoever has that, done. ``incident`` may be what this process
        remembers of it.

        ``certain``: see ``Permissions.check_person``. Raises: what ``Permissions.require`` and ``Desk.handle`` raise.
        """
        if permission is None:
            on_record = await self.check_responder(incident, by, certain=certain)
        else:
            on_record = await self.permissions.require(by, permission, incident, certain=certain)
        return await self.do(incident, command, by=by, delivery=delivery, on_record=on_record)

    async def do(self, incident: Incident, command: Command, *, by: str, delivery: str, on_record: bool) -> Incident:
        """What somebody asks for whom ``Permissions`` let in, done; ``on_record`` is what it said.

        Raises: ForbiddenError when the timeline was all that let them in and says otherwise by now; what ``Desk.handle`` raises.
        """

        def still(now: Incident) -> None:
            if on_record and not now.is_responder(by):
                raise outside(now)

        return (await self.desk.handle(incident.id, command, by=by, delivery=delivery, check=still)).incident

    async def check_responder(self, incident: Incident, user_id: str, *, certain: bool = False) -> bool:
        """See ``Permissions.check_responder``."""
        return await self.permissions.check_responder(incident, user_id, certain=certain)

    async def is_contact_of(self, incident: Incident, user_id: str) -> bool:
        """See ``Permissions.is_contact_of``."""
        return await self.permissions.is_contact_of(incident, user_id)

    async def room_of(self, channel_id: str) -> Incident:
        """The incident whose room this is, for ``act``. Raises: UserError that says where to do it instead."""
        incident = await self.desk.find_by_channel(channel_id, fresh=False)
        if incident:
            return incident
        active = [item for item in await self.desk.active() if item.channel_id and not item.private]
        rooms = ", ".join(f"<#{item.channel_id}>" for item in active[:10])
        raise UserError(
            "This channel is not the room of an incident. "
            + (f"Do it in the room it is about: {rooms}." if rooms else "No incident is open.")
        )

    async def wait_for_room(self, incident_id: str) -> Incident:
        """The incident once it has a room, or cannot get one, or after ``ROOM_WAIT_S``, whichever is first."""
        return await self.desk.wait_until(
            incident_id, lambda incident: bool(incident.channel_id or incident.room_failure), most_s=ROOM_WAIT_S
        )

    def call_instead(self) -> str:
        """Whom to call when nothing can be saved: from memory, so that it works without Redis."""
        lines: list[str] = []
        for contact in list(self.catalog.contacts.values())[:5]:
            ways = [way for way in (contact.slack, contact.phone) if way]
            lines.append(f"{contact.name} ({', '.join(ways) or 'no way to reach them is known'})")
        return "; ".join(lines) or "your on-call engineer"
