"""Who is on duty now, asked for all rotations at once while Slack waits for the answer: covers, the files, PagerDuty, Slack.

What does not answer in time is said to be unknown; nobody waits for it. Called by ``oncall`` and ``covering``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from bot.domain.duty import Cover, covered_by, on_duty
from bot.domain.errors import MusterError, PermanentError
from bot.domain.escalation import Contact, Rotation
from bot.slack.blocks.oncall import Watch
from bot.slack.client import WHILE_SLACK_WAITS_S
from bot.slack.listeners.tools import Tools

ASKED_AT_ONCE = 10
SILENT = "PagerDuty did not answer"


class Looking:
    """One look. Everything that is asked for through it has ``WHILE_SLACK_WAITS_S`` seconds together."""

    def __init__(self, tools: Tools, covers: Sequence[Cover]) -> None:
        self._tools = tools
        self._covers = covers
        self._now = tools.clock.now()
        self._ends_at = asyncio.get_running_loop().time() + WHILE_SLACK_WAITS_S
        self._gate = asyncio.Semaphore(ASKED_AT_ONCE)

    async def watches(self, rotations: Iterable[Rotation]) -> list[Watch]:
        """Who is on duty in each."""
        return list(await asyncio.gather(*(self._watch(rotation) for rotation in rotations)))

    async def behind(self, contacts: Iterable[Contact]) -> dict[str, tuple[str, ...]]:
        """The users of Slack behind each contact, by its id; () where that is not known."""
        asked = list(contacts)
        found = await asyncio.gather(*(self.users(contact) for contact in asked))
        return {contact.id: users for contact, users in zip(asked, found, strict=True)}

    async def users(self, contact: Contact) -> tuple[str, ...]:
        """The users of Slack behind one contact."""
        if not contact.slack:
            return ()
        try:
            async with asyncio.timeout_at(self._ends_at):
                return await self._tools.people.resolve(contact.slack)
        except PermanentError:  # nobody is called that: `muster doctor` says so
            return ()
        except (MusterError, TimeoutError) as error:
            self._tools.log.warning("contact_unknown", contact=contact.id, error=str(error) or "Slack took too long")
            return ()

    async def _watch(self, rotation: Rotation) -> Watch:
        cover = covered_by(self._covers, rotation.id, self._now)
        contact_id = on_duty(rotation, self._now)
        contact = self._tools.catalog.contacts.get(contact_id or "")
        users = await self.users(contact) if contact else ()
        if cover and cover.user_id not in users:
            return Watch(rotation=rotation, contact=contact, user_ids=(cover.user_id,), cover=cover)
        if contact or not rotation.pagerduty:
            return Watch(rotation=rotation, contact=contact, user_ids=(cover.user_id,) if cover else users)
        return await self._asked(rotation)

    async def _asked(self, rotation: Rotation) -> Watch:
        try:
            async with asyncio.timeout_at(self._ends_at), self._gate:
                contact = await self._tools.duty.find(rotation.id)
        except TimeoutError:
            return Watch(rotation=rotation, problem=SILENT)
        except MusterError as error:
            return Watch(rotation=rotation, problem=str(error))
        return Watch(rotation=rotation, contact=contact, user_ids=await self.users(contact))


async def look(tools: Tools, rotations: Iterable[Rotation]) -> list[Watch]:
    """Who is on duty in each of ``rotations`` now. Raises: TemporaryError when the covers cannot be read."""
    return await Looking(tools, await tools.covers.covers()).watches(rotations)
