"""Who is who in the workspace: people by id, and the people behind a contact ("@oncall", a user group, an id).

Kept in memory: filled from ``users.list`` at start-up, a person who is not there is looked up alone. What was read is
believed for ``FRESH_S``; when Slack cannot be asked, an older reading is better than none.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from bot.domain.errors import MusterError, PermanentError
from bot.slack.client import WHILE_SLACK_WAITS_S, SlackApi

FRESH_S = 600
GROUP_FRESH_S = 60
"""usergroups.list and usergroups.users.list are Tier 2 (20 a minute), and every look at a room asks for its people."""
NEVER_ASKED = (-math.inf, "")
UNKNOWN_FRESH_S = 60
"""An address that nobody had is asked for again so soon: somebody may have corrected it."""
PAGE = 200
MOST_PAGES = 50
"""users.list is Tier 2 (20 a minute): at most 10,000 people are read at start-up, the others when they turn up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user of the workspace, as far as Muster cares."""

    id: str
    handle: str
    name: str
    team_id: str
    is_bot: bool
    is_guest: bool
    is_gone: bool
    is_admin: bool = False
    """An admin or owner of the workspace; who installs an app is one of them, or was let by one."""
    email: str = ""
    """As Slack has it; "" where it shows none."""

    @property
    def mailbox(self) -> str:
        """The same for two addresses that end up in one mailbox: case and what is behind a "+" do not count. "": not known."""
        local, _, domain = self.email.casefold().rpartition("@")
        return f"{local.partition('+')[0]}@{domain}" if local else ""


def person_from(user: dict[str, Any]) -> Person:
    """Slack's user object (docs.slack.dev, objects/user-object)."""
    profile = user.get("profile") or {}
    name = profile.get("display_name") or user.get("real_name") or profile.get("real_name") or user.get("name") or ""
    return Person(
        id=user["id"],
        handle=str(user.get("name") or "").casefold(),
        name=str(name),
        team_id=str(user.get("team_id") or ""),
        is_bot=bool(user.get("is_bot") or user.get("is_workflow_bot")) or user["id"] == "USLACKBOT",
        is_guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted") or user.get("is_stranger")),
        is_gone=bool(user.get("deleted")),
        is_admin=bool(user.get("is_admin") or user.get("is_owner") or user.get("is_primary_owner")),
        email=str(profile.get("email") or ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """All user groups of the workspace: the members by the group's id, the ids by its handle (case-folded)."""

    read_at: float
    members: dict[str, frozenset[str]]
    ids: dict[str, str]


class People:
    """See the module."""

    def __init__(self, slack: SlackApi, *, now: Callable[[], float] = time.monotonic) -> None:
        """``now``: seconds of a clock that only goes forward; how old a reading is is told by it."""
        self._slack = slack
        self.now = now
        self._people: dict[str, tuple[float, Person]] = {}
        self._groups: dict[str, tuple[float, tuple[str, ...]]] = {}
        """By handle, for pages."""
        self._rights: _Groups | None = None
        """For permissions: read at once and as a whole, and never older than whoever asks wants."""
        self._reading_rights = asyncio.Lock()
        self._emails: dict[str, tuple[float, str]] = {}
        """(when it was asked, the user; "": nobody has this address). What was only read in passing was never asked: it serves
        while Slack cannot be."""
        self._reading = asyncio.Lock()
        self._read_at: float | None = None
        """When everybody was read, by the monotonic clock; None: never."""
        self._log = structlog.get_logger("muster.people")

    async def warm(self) -> None:
        """Read everybody. What cannot be read now is read when it is needed."""
        try:
            await self._read_everybody()
        except MusterError as error:
            self._log.warning("people_not_read", error=str(error))

    async def _read_everybody(self) -> None:
        """Unless that was done lately. Raises what Slack's answer means."""
        async with self._reading:
            if self._read_at is not None and self.now() - self._read_at < FRESH_S:
                return
            async for user in self._slack.each("users.list", "members", most_pages=MOST_PAGES, limit=PAGE):
                person = self._keep(person_from(user))
                email = str((user.get("profile") or {}).get("email") or "").casefold()
                if email and not person.is_gone and self._emails.get(email, NEVER_ASKED)[0] == -math.inf:
                    self._emails[email] = (-math.inf, person.id)
            self._read_at = self.now()

    async def get(self, user_id: str, *, read_since: float | None = None, patience_s: float = WHILE_SLACK_WAITS_S) -> Person:
        """The person. ``read_since``: only as Slack had them after that moment of ``now``; None: as of late, or as
        far as is known when Slack cannot be asked. ``patience_s``: for Slack's answer.

        Raises: PermanentError when there is none, TemporaryError when Slack cannot be asked and none is known.
        """
        known = self._people.get(user_id)
        if known and known[0] >= (self.now() - FRESH_S if read_since is None else read_since):
            return known[1]
        try:
            answer = await self._slack.call("users.info", patience_s=patience_s, user=user_id)
        except PermanentError:
            raise
        except MusterError:
            if known and read_since is None:
                return known[1]
            raise
        return self._keep(person_from(answer["user"]))

    async def everybody(self) -> list[Person]:
        """Everybody in the workspace, as of late. Raises: PermanentError, TemporaryError when Slack cannot be asked."""
        await self._read_everybody()
        return [person for _, person in self._people.values()]

    async def members(self, group: str, *, read_since: float) -> frozenset[str]:
        """The ids in a user group, by its handle ("@sre") or its id ("S0…"), as Slack had them after that moment of ``now``. Only
        groups are looked at, never people who call themselves so.

        Raises: PermanentError when there is no such group, or groups may not be read; TemporaryError.
        """
        async with self._reading_rights:
            if self._rights is None or self._rights.read_at < read_since:
                self._rights = await self._read_groups()
            rights = self._rights
        identity = rights.ids.get(group.removeprefix("@").casefold(), "") if group.startswith("@") else group
        if identity not in rights.members:
            raise PermanentError(
                f"there is no user group {group} in Slack; correct its name in runbooks/policy.yml", code="no_such_group"
            )
        return rights.members[identity]

    async def _read_groups(self) -> _Groups:
        began = self.now()
        groups = (await self._slack.call("usergroups.list", include_users=True)).get("usergroups", [])
        return _Groups(
            read_at=began,
            members={str(group["id"]): frozenset(map(str, group.get("users") or ())) for group in groups},
            ids={str(group.get("handle") or "").casefold(): str(group["id"]) for group in groups},
        )

    async def resolve(self, contact: str) -> tuple[str, ...]:
        """The ids of the people behind a contact's ``slack``: an id as it is, whoever has this e-mail address, else the user of
        this name, the members of the user group of this handle, or the members who show themselves under it, in this order.

        Anybody can choose a display name: it comes last, and never lets a guest or a bot in. That there is nobody is said only
        when everybody was read: a page must not fail because Muster has just been started, or Slack was away then.

        Raises: PermanentError that says what to write into contacts.yml, when nobody is found; TemporaryError when Slack
        cannot be asked.
        """
        if not contact.startswith("@"):
            return (await self._by_email(contact),) if "@" in contact else (contact,)
        handle = contact.removeprefix("@").casefold()
        unread: PermanentError | None = None
        named = self._named(handle)
        if not named:
            try:
                await self._read_everybody()
            except PermanentError as error:  # without users:read there are still the groups
                unread = error
            except MusterError:
                known = self._groups.get(handle)
                if known:
                    return known[1]
                raise
            named = self._named(handle)
        if named:
            return named
        try:
            return await self._group_members(contact, handle)
        except PermanentError as error:
            shown = tuple(
                person.id
                for _, person in self._people.values()
                if person.name.casefold() == handle and not (person.is_gone or person.is_bot or person.is_guest)
            )
            if shown:
                return shown
            if unread:
                raise unread from error
            raise

    def find(self, user_id: str) -> Person | None:
        """The person as far as that is known without asking Slack; None: not read yet."""
        known = self._people.get(user_id)
        return known[1] if known else None

    async def _by_email(self, email: str) -> str:
        known = self._emails.get(email.casefold())
        if known and self.now() - known[0] < (FRESH_S if known[1] else UNKNOWN_FRESH_S):
            if known[1]:
                return known[1]
            raise _no_such_address(email)
        try:
            answer = await self._slack.call("users.lookupByEmail", email=email)
        except PermanentError as error:
            if error.code != "users_not_found":
                raise
            self._emails[email.casefold()] = (self.now(), "")
            raise _no_such_address(email) from error
        except MusterError:
            if known and known[1]:
                return known[1]
            raise
        person = self._keep(person_from(answer["user"]))
        self._emails[email.casefold()] = (self.now(), person.id)
        return person.id

    def _named(self, handle: str) -> tuple[str, ...]:
        return tuple(person.id for _, person in self._people.values() if person.handle == handle and not person.is_gone)

    async def _group_members(self, contact: str, handle: str) -> tuple[str, ...]:
        known = self._groups.get(handle)
        if known and self.now() - known[0] < GROUP_FRESH_S:
            return known[1]
        try:
            users = await self._read_group(contact, handle)
        except PermanentError:
            raise
        except MusterError:
            if known:
                return known[1]
            raise
        self._groups[handle] = (self.now(), users)
        return users

    async def _read_group(self, contact: str, handle: str) -> tuple[str, ...]:
        groups = (await self._slack.call("usergroups.list")).get("usergroups", [])
        group = next((item for item in groups if str(item.get("handle", "")).casefold() == handle), None)
        if group is None:
            raise PermanentError(
                f"nobody in Slack is called {contact}; write a user's name, a user group's handle or an id (U…) "
                "into runbooks/contacts.yml",
                code="contact_not_found",
            )
        members = await self._slack.call("usergroups.users.list", usergroup=group["id"])
        users = tuple(str(user) for user in members.get("users", []))
        if not users:
            raise PermanentError(f"the user group {contact} is empty", code="contact_not_found")
        return users

    def _keep(self, person: Person) -> Person:
        self._people[person.id] = (self.now(), person)
        return person


def _no_such_address(email: str) -> PermanentError:
    return PermanentError(
        f"nobody in Slack has the address {email}; correct it in runbooks/contacts.yml", code="contact_not_found"
    )
