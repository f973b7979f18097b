"""Who is on duty, and which user of Slack a contact is: what the pages need of rotations, covers, PagerDuty and the workspace.

The arithmetic of rotations is in ``bot.domain.duty``; here are the answers that have to be asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog
from pydantic import ValidationError

from bot.domain.duty import Cover, covered_by, on_duty
from bot.domain.errors import MusterError, PermanentError
from bot.domain.escalation import Contact, PagerDutyOnCall, Rotation
from bot.domain.incident import Incident
from bot.services.desk import Desk
from bot.services.ports import Clock
from bot.slack.people import People

OnCall = Callable[[PagerDutyOnCall], Awaitable[Sequence[tuple[str, str]]]]
"""The (name, e-mail address) of whoever PagerDuty says; the first is asked. Raises the errors of the domain."""


class CoverStore(Protocol):
    """Where covers are kept. Raises: TemporaryError when it cannot be reached."""

    async def covers(self) -> list[Cover]:
        """Those that are not over, in the order in which they were said."""
        ...


class DutyRoster:
    """See the module. ``on_call`` None: PagerDuty cannot be asked."""

    def __init__(self, *, desk: Desk, clock: Clock, people: People, covers: CoverStore, on_call: OnCall | None) -> None:
        self._desk = desk
        self._clock = clock
        self._people = people
        self._covers = covers
        self._on_call = on_call
        self._log = structlog.get_logger("muster.pages")

    async def find(self, rotation_id: str, incident: Incident | None = None) -> Contact:
        """Whoever is on duty now, by the files as they are now: a rotation that was corrected is corrected at once. One that is
        gone from the files counts as it was when the incident was opened.

        Raises: PermanentError when nobody is, TemporaryError when it cannot be found out.
        """
        rotation = self._desk.catalog.rotations.get(rotation_id) or (
            incident.plan.rotations.get(rotation_id) if incident else None
        )
        if rotation is None:
            raise PermanentError(f"{rotation_id} is nobody in runbooks/contacts.yml")
        cover = covered_by(await self._covers.covers(), rotation_id, self._clock.now())
        if cover:
            return await self._person(cover.user_id)
        contact_id = on_duty(rotation, self._clock.now())
        if contact_id is None and rotation.pagerduty:
            return await self._asked(rotation, rotation.pagerduty)
        if contact_id is None:
            raise PermanentError(f"nobody is on duty in {rotation.name} now; mend the rotation in runbooks/contacts.yml")
        contact = self._desk.catalog.contacts.get(contact_id) or (incident.plan.people.get(contact_id) if incident else None)
        if contact is None:
            raise PermanentError(f"{contact_id} of {rotation.name} is nobody in runbooks/contacts.yml")
        return contact

    async def _asked(self, rotation: Rotation, where: PagerDutyOnCall) -> Contact:
        if self._on_call is None:
            raise PermanentError(
                f"PagerDuty knows who is on call in {rotation.name}, and cannot be asked; set PAGERDUTY_API_TOKEN"
            )
        found = await self._on_call(where)
        if not found:
            raise PermanentError(f"PagerDuty says that nobody is on call in {rotation.name}")
        name, email = found[0]
        for contact in self._desk.catalog.contacts.values():
            if email and email.casefold() in ((contact.email or "").casefold(), (contact.slack or "").casefold()):
                return contact
        return _person_of_pagerduty(rotation, name, email)

    async def _person(self, user_id: str) -> Contact:
        """A user of Slack as the files know them, else as one who can be told something in Slack."""
        contacts = [contact for contact in self._desk.catalog.contacts.values() if contact.slack]
        written = next((contact for contact in contacts if contact.slack == user_id), None)
        if written:  # Slack need not be asked
            return written
        for contact, is_them in zip(contacts, await asyncio.gather(*(self._is(one, user_id) for one in contacts)), strict=True):
            if is_them:
                return contact
        return Contact(id=user_id.casefold(), name=user_id, slack=user_id)

    async def _is(self, contact: Contact, user_id: str) -> bool:
        try:
            return await self._people.resolve(str(contact.slack)) == (user_id,)
        except MusterError as error:  # who cannot be looked up is not known to be them
            self._log.warning("contact_unknown", contact=contact.id, error=str(error))
            return False

    async def contact_of(self, user_id: str) -> Contact:
        """See ``_person``, for the listeners."""
        return await self._person(user_id)

    async def slack_id(self, contact: Contact) -> str | None:
        """The one user of Slack that the contact is; None for several, or for nobody."""
        if not contact.slack:
            return None
        try:
            found = await self._people.resolve(contact.slack)
        except PermanentError:
            return None
        return found[0] if len(found) == 1 else None


def _person_of_pagerduty(rotation: Rotation, name: str, email: str) -> Contact:
    """Somebody who is in no file. What PagerDuty holds and no contact can have is left out: PagerDuty wakes them still."""
    for shown, address in ((name[:100], email or None), (rotation.name, email or None), (name[:100], None)):
        try:
            return Contact(id=rotation.id, name=shown, email=address, slack=address, pagerduty=True)
        except ValidationError:
            continue
    return Contact(id=rotation.id, name=rotation.name, pagerduty=True)
