"""Who may do what, by policy.yml, the room of the incident and Slack's user groups.

Asked when a click, a form or a word arrives (by the listeners), and once more right before a run begins (by
``bot.services.running``): what was true at the click need not be true any more. What cannot be undone easily is judged by
what Slack says now; a group that cannot be read lets nobody in.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Sequence
from typing import Any, Literal, Protocol

import structlog

from bot.domain.commands import Join, Note
from bot.domain.errors import ForbiddenError, MusterError, PermanentError, TemporaryError
from bot.domain.escalation import Contact
from bot.domain.incident import Incident
from bot.domain.outcome import Risk
from bot.domain.policy import ADMINS, EVERYONE, NEEDED_FOR, RESPONDERS, ActionPolicy, Permission
from bot.domain.run import Run
from bot.services.desk import Desk
from bot.slack.blocks.parts import escape
from bot.slack.client import SlackApi
from bot.slack.patience import each_s, unhurried, while_somebody_waits
from bot.slack.people import GROUP_FRESH_S, People, Person

GRAVE = frozenset({Permission.DESTRUCTIVE, Permission.APPROVE, Permission.CONFIGURE})
"""What is judged by what Slack said seconds ago, and whose groups are watched."""
CLICK_FRESH_S = 10
"""How old a reading may be at a click for what is grave: usergroups.list is Tier 2 (20 a minute), and some hammer a button. A run
that begins is judged by nothing older than that moment."""
ASKED_AGAIN_AFTER_S = (1.0, 2.0)
"""A run that was confirmed is not given up because Slack did not answer once."""
GATE_S = 8.0
"""For all that is looked up in one attempt before a run begins."""
LISTED_MOST = 30
"""More approvers than that are not listed: each is looked up."""
TERMINAL = "terminal:"
"""Whoever works at the terminal has a shell where Muster's secrets are."""

_DOING = {
    Permission.DECLARE: "open an incident",
    Permission.READ: "run what reads",
    Permission.CHANGE: "run what changes something",
    Permission.DESTRUCTIVE: "ask for what needs a second person",
    Permission.APPROVE: "approve what needs a second person",
    Permission.CONFIGURE: "change what Muster does for everybody",
}


class UnsureError(ForbiddenError):
    """Slack cannot say at the moment whether somebody may."""


class Soon(Protocol):
    """Does work after the request, and keeps hold of it."""

    def __call__(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """``name`` is for the log."""
        ...


class Permissions:
    """``bot.services.ports.Gate``, and what the listeners ask when a click arrives."""

    def __init__(self, *, desk: Desk, slack: SlackApi, people: People, team_id: str, soon: Soon) -> None:
        self._desk = desk
        self._slack = slack
        self._people = people
        self._team_id = team_id
        self._soon = soon
        self._members: dict[str, frozenset[str]] = {}
        """Who was in the groups that give what is grave, when they were read last."""
        self._log = structlog.get_logger("muster.permissions")

    @property
    def _policy(self) -> ActionPolicy:
        return self._desk.catalog.policy

    def _allowed(self, permission: Permission) -> tuple[str, ...]:
        """Who has it, with the named admins in the place of ``admins``."""
        admins = self._policy.admins or (ADMINS,)
        return tuple(one for name in self._policy.allowed(permission) for one in (admins if name == ADMINS else (name,)))

    async def warm(self) -> None:
        """Read the groups that are watched, to know later what changed. What cannot be read now is read when it is needed."""
        for name in self._watched():
            try:
                await self._group(name, read_since=self._people.now() - GROUP_FRESH_S)
            except MusterError as error:
                self._log.warning("group_not_read", group=name, error=str(error))

    # -- who somebody is -------------------------------------------------------------------------------------------

    async def find_person(self, user_id: str, *, read_since: float | None = None) -> Person | None:
        """The person; None when Slack cannot say who it is right now. ``read_since``: see ``People.get``. Raises: ForbiddenError
        when there is no such person."""
        try:
            async with while_somebody_waits():
                return await self._people.get(user_id, read_since=read_since, patience_s=each_s())
        except PermanentError as error:
            raise ForbiddenError("Slack knows no such person in this workspace; nothing was done.") from error
        except TimeoutError:
            known = self._people.find(user_id) if read_since is None else None
            if known is None:
                self._log.warning("person_unknown", error="Slack took too long")
            return known
        except MusterError as error:
            self._log.warning("person_unknown", error=str(error))
            return None

    async def check_person(self, user_id: str, *, certain: bool = False, read_since: float | None = None) -> Person | None:
        """The person. Raises: ForbiddenError for guests, bots, and people who left or belong to another workspace.

        When Slack cannot say who it is, calling for help is allowed all the same (None); with ``certain`` it is not.
        """
        person = await self.find_person(user_id, read_since=read_since)
        if person is None and certain:
            raise UnsureError("Slack cannot say who you are at the moment, so nothing was done. Try again in a minute.")
        if person is None:
            return None
        if person.is_gone or person.is_bot:
            raise ForbiddenError("Only people of this workspace can do that; nothing was done.")
        if person.is_guest or (person.team_id and person.team_id != self._team_id):
            raise ForbiddenError("Guests and people of other workspaces cannot do that; ask a member of the team.")
        return person

    # -- responders ------------------------------------------------------------------------------------------------

    async def check_responder(self, incident: Incident, user_id: str, *, certain: bool = False) -> bool:
        """Whether the timeline says that somebody is in the room. Who was not seen coming in is looked up in Slack and recorded.

        ``certain``: see ``check_person``. Raises: ForbiddenError for everybody else.
        """
        return await self._admit(user_id, (RESPONDERS,), incident, doing="do that", certain=certain)

    async def is_contact_of(self, incident: Incident, user_id: str) -> bool:
        """Whether somebody is behind a contact of an alarm that was raised, also while their page is still being recorded."""
        called = [
            contact
            for raised in incident.raised.values()
            if raised.alarm.kind != "notice"
            for contact in (incident.contact(raised, identity) for identity in raised.contact_ids)
            if contact and contact.slack
        ]
        try:
            async with while_somebody_waits():
                for contact in called:
                    if await self._is_behind(contact, user_id):
                        return True
        except TimeoutError:
            self._log.warning("contacts_unknown", error="Slack took too long")
        return False

    async def _is_behind(self, contact: Contact, user_id: str) -> bool:
        try:
            return user_id in await self._people.resolve(str(contact.slack))
        except MusterError as error:  # nobody is let in for a contact that cannot be looked up
            self._log.warning("contact_unknown", contact=contact.id, error=str(error))
            return False

    async def _standing(self, incident: Incident, user_id: str) -> Literal["record", "called", "room", ""]:
        """Why somebody is a responder: by the timeline, as a contact who was called, as a member of the room; "": not."""
        if incident.is_responder(user_id):
            return "record"
        if await self.is_contact_of(incident, user_id):
            return "called"
        return "room" if incident.channel_id and user_id in await self._in_room(incident.channel_id) else ""

    async def _is_still_there(self, incident: Incident, user_id: str) -> bool:
        """Whether somebody whom the timeline has in the room only is there: Slack may not have told that they were removed."""
        if user_id == incident.opened.by or user_id in {*incident.roles.values(), *incident.paged_user_ids()}:
            return True
        return incident.channel_id is not None and user_id in await self._in_room(incident.channel_id)

    async def _in_room(self, channel_id: str) -> frozenset[str]:
        members = self._slack.each("conversations.members", "members", patience_s=each_s(), channel=channel_id, limit=1000)
        try:
            async with while_somebody_waits():
                return frozenset([user_id async for user_id in members])
        except TimeoutError as error:
            raise TemporaryError("Slack did not say in time who is in the room") from error

    # -- permissions -----------------------------------------------------------------------------------------------

    async def require(self, user_id: str, permission: Permission, incident: Incident | None, *, certain: bool = False) -> bool:
        """Whether it is the timeline alone that lets them in (``Tools.act`` looks at that once more). ``incident`` None: there is
        none yet, so nobody is a responder. ``certain``: see ``check_person``; for what is grave it is always so.

        Raises: ForbiddenError that says who may.
        """
        grave = permission in GRAVE
        return await self._admit(
            user_id,
            self._allowed(permission),
            incident,
            doing=_DOING[permission],
            certain=certain or grave,
            read_since=self._people.now() - CLICK_FRESH_S if grave else None,
        )

    async def require_confirmer(self, user_id: str, incident: Incident, run: Run) -> bool:
        """Like ``require``, for whoever says yes to what a run would do: the second person, where one is needed.

        That it is somebody else than whoever asked is judged by the decision; here, that it is not another account of theirs.
        """
        if not run.needs_second:
            return await self.require(user_id, NEEDED_FOR[run.risk], incident, certain=True)
        on_record = await self.require(user_id, Permission.APPROVE, incident)
        if user_id != run.requested.by:
            await self._require_two(run, user_id, read_since=self._people.now() - CLICK_FRESH_S)
        return on_record

    async def require_no(self, user_id: str, incident: Incident, run: Run) -> bool:
        """Like ``require``, for whoever says no, or stop: every responder, and whoever might have asked or approved."""
        names = (RESPONDERS, *self._allowed(NEEDED_FOR[run.risk]), *self._allowed(Permission.APPROVE))
        return await self._admit(user_id, tuple(dict.fromkeys(names)), incident, doing="stop this")

    async def approvers(self, incident: Incident, run: Run) -> frozenset[str] | None:
        """Who else than whoever asked may approve; None: more than can be listed, or Slack cannot say."""
        since = self._people.now() - CLICK_FRESH_S
        try:
            with unhurried(GATE_S):
                found: set[str] = set()
                for name in self._allowed(Permission.APPROVE):
                    some = await self._behind(name, incident, read_since=since)
                    if some is None:
                        return None
                    found |= some
                found.discard(run.requested.by)
                if len(found) > LISTED_MOST:
                    return None
                return frozenset([user_id for user_id in sorted(found) if await self._could_approve(user_id, run)])
        except (MusterError, TimeoutError) as error:
            self._log.warning("approvers_unknown", incident_id=incident.id, error=str(error) or "Slack took too long")
            return None

    async def _could_approve(self, user_id: str, run: Run) -> bool:
        try:
            person = await self.check_person(user_id)
            asked = None if run.requested.by.startswith(TERMINAL) else await self.find_person(run.requested.by)
        except ForbiddenError:
            return False
        return not _same_human(person, asked)

    async def _behind(self, name: str, incident: Incident, *, read_since: float) -> set[str] | None:
        """The users behind a name of policy.yml; None: everybody."""
        if name == EVERYONE:
            return None
        if name == RESPONDERS:
            recorded = {*incident.responders, incident.opened.by, *incident.roles.values(), *incident.paged_user_ids()}
            in_room = await self._in_room(incident.channel_id) if incident.channel_id else frozenset()
            return {user_id for user_id in recorded | in_room if _is_user(user_id)}
        if name == ADMINS:
            return {person.id for person in await self._people.everybody() if person.is_admin}
        if is_group(name):
            return set(await self._group(name, read_since=read_since))
        return set(await self._people.resolve(name))

    async def _admit(
        self,
        user_id: str,
        names: Sequence[str],
        incident: Incident | None,
        *,
        doing: str,
        certain: bool = False,
        read_since: float | None = None,
        recording: bool = True,
    ) -> bool:
        """See ``require``. What is known already is looked at first, and Slack is asked for the room last of all. ``recording``:
        whoever is found in the room is written down."""
        person = await self.check_person(user_id, certain=certain, read_since=read_since)
        responding = RESPONDERS in names and incident is not None
        recorded = responding and incident is not None and incident.is_responder(user_id)
        if recorded and incident and (read_since is None or await self._is_still_there(incident, user_id)):
            return True
        unread: list[str] = []
        wrong: list[str] = []
        for name in sorted(names, key=is_group):
            try:
                if await self._is_behind_name(name, user_id, person, read_since=read_since):
                    return False
            except PermanentError as error:  # it will not pass by itself: somebody has to mend the policy, or the app
                wrong.append(str(error))
            except (MusterError, TimeoutError) as error:
                self._log.warning("group_not_read", group=name, error=str(error) or "Slack took too long")
                unread.append(name)
        if responding and incident and not recorded:
            standing = await self._standing(incident, user_id)
            if standing == "room" and recording:
                await self._desk.handle(incident.id, Join(user_id=user_id), by=user_id)
            if standing:
                return standing != "called"
        if unread:
            who = ", ".join(unread)
            raise UnsureError(
                escape(f"Slack cannot say at the moment who is in {who}, so nothing was done. Try again in a minute.")
            )
        if tuple(names) == (RESPONDERS,) and incident:
            raise outside(incident)
        mend = "".join(f" And {problem}." for problem in wrong)
        raise ForbiddenError(escape(f"Only {self._described(names)} can {doing}; nothing was done.{mend}"))

    async def _is_behind_name(self, name: str, user_id: str, person: Person | None, *, read_since: float | None) -> bool:
        """Whether a name of policy.yml lets somebody in, ``responders`` apart. Raises: MusterError and TimeoutError when Slack
        cannot say."""
        if name in (EVERYONE, RESPONDERS):
            return name == EVERYONE
        if is_group(name):
            async with while_somebody_waits():
                since = self._people.now() - GROUP_FRESH_S if read_since is None else read_since
                return user_id in await self._group(name, read_since=since)
        if _is_user(name):
            return name == user_id
        if person is None:
            raise TemporaryError("Slack cannot say who that is")
        return person.is_admin if name == ADMINS else name.casefold() == person.email.casefold()

    def _described(self, names: Sequence[str]) -> str:
        """ "people in the room or the user group @sre"."""
        words = list(dict.fromkeys(self._word(name) for name in names))
        return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

    def _word(self, name: str) -> str:
        circles = {
            EVERYONE: "members of this workspace",
            RESPONDERS: "people in the room of the incident",
            ADMINS: "admins of this workspace",
        }
        if name in circles:
            return circles[name]
        if is_group(name):
            return f"members of the user group {name}"
        person = self._people.find(name)
        return person.name if person else name

    # -- right before a run begins ---------------------------------------------------------------------------------

    async def refusal(self, incident: Incident, run: Run) -> str:
        """See ``bot.services.ports.Gate``. Plain text."""
        refused = await self._refusal(incident, run)
        for pause_s in ASKED_AGAIN_AFTER_S:
            if not isinstance(refused, UnsureError):
                break
            await asyncio.sleep(pause_s)
            refused = await self._refusal(incident, run)
        if refused is None or (isinstance(refused, UnsureError) and run.risk is Risk.READ):
            return ""
        self._log.warning("run_refused", incident_id=incident.id, run_id=run.id, reason=str(refused))
        return str(refused)

    async def _refusal(self, incident: Incident, run: Run) -> ForbiddenError | None:
        now = self._people.now()
        try:
            with unhurried(GATE_S):
                await self._still(run.requested.by, NEEDED_FOR[run.risk], incident, "asked for it", run, now)
                await self._confirmed_by_who_may(incident, run, now)
        except ForbiddenError as refused:
            return refused
        return None

    async def _confirmed_by_who_may(self, incident: Incident, run: Run, now: float) -> None:
        if run.confirmed is None:
            raise ForbiddenError("Nobody has confirmed it, so nothing was done.")
        confirmer = run.confirmed.by
        if not run.needs_second or run.break_glass:
            await self._still(confirmer, NEEDED_FOR[run.risk], incident, "confirmed it", run, now)
            return
        if confirmer == run.requested.by:
            raise ForbiddenError("Whoever asked for it approved it too, and it needs a second person; nothing was done.")
        await self._still(confirmer, Permission.APPROVE, incident, "approved it", run, now)
        await self._require_two(run, confirmer, read_since=now)

    async def _still(self, user_id: str, permission: Permission, incident: Incident, what: str, run: Run, now: float) -> None:
        """Raises: ForbiddenError with a sentence for the room, UnsureError when Slack cannot say."""
        if user_id.startswith(TERMINAL):
            return
        names = self._allowed(permission)
        person = self._people.find(user_id)
        who = f"{person.name if person else user_id}, who {what},"
        if not _is_user(user_id):
            raise ForbiddenError(f"{who} is nobody in Slack; nothing was done.")
        since = now if run.risk is Risk.DESTRUCTIVE else None
        try:
            await self._admit(
                user_id,
                names,
                incident,
                doing=_DOING[permission],
                certain=run.risk is not Risk.READ,
                read_since=since,
                recording=False,
            )
        except MusterError as error:
            if isinstance(error, ForbiddenError) and not isinstance(error, UnsureError):
                told = f"{who} may not any more, so nothing was done: only {self._described(names)} may."
                raise ForbiddenError(told) from error
            told = f"Slack cannot say at the moment whether {who} still may, so nothing was done. Ask for it once more."
            raise UnsureError(told) from error

    async def _require_two(self, run: Run, confirmer: str, *, read_since: float) -> None:
        """Raises: ForbiddenError when one human has both accounts."""
        if confirmer.startswith(TERMINAL):
            return
        if run.requested.by.startswith(TERMINAL):  # its terminal died before it went on alone; who sat there is nobody in Slack
            raise ForbiddenError(
                "It was asked for at a terminal, and nobody can tell whether that was somebody else; ask for it once more here."
            )
        asked = await self.find_person(run.requested.by, read_since=read_since)
        approved = await self.find_person(confirmer, read_since=read_since)
        if asked is None or approved is None:
            raise UnsureError(
                "Slack cannot say at the moment whether that is a second person, so nothing was done. Try again in a minute."
            )
        if _same_human(asked, approved):
            raise ForbiddenError(
                "Whoever asked for it and whoever approves it have the same e-mail address: somebody else has to approve it."
            )

    # -- the groups that are watched -------------------------------------------------------------------------------

    def _watched(self) -> list[str]:
        """The user groups of policy.yml that give what is grave."""
        names = [name for permission in GRAVE for name in self._allowed(permission)]
        return list(dict.fromkeys(name for name in names if is_group(name)))

    async def _group(self, name: str, *, read_since: float) -> frozenset[str]:
        members = await self._people.members(name, read_since=read_since)
        before = self._members.get(name)
        if name in self._watched():
            self._members[name] = members
            if before is not None and before != members:
                self._soon(self._tell_change(name, before, members), name="members of a group changed")
        return members

    async def _tell_change(self, group: str, before: frozenset[str], after: frozenset[str]) -> None:
        """Whoever may edit a group can give rights to himself: everybody who works on an incident hears of it."""
        changes = [("added", sorted(after - before)), ("removed", sorted(before - after))]
        said = "; ".join(f"{what}: {', '.join(self._name(one) for one in some[:10])}" for what, some in changes if some)
        self._log.warning("group_changed", group=group, added=sorted(after - before), removed=sorted(before - after))
        text = f"⚠️ The members of {group} changed during this incident, and that group decides who may act. {said}"
        change = hashlib.sha256(",".join([group, *sorted(before), "to", *sorted(after)]).encode()).hexdigest()[:16]
        for incident in await self._desk.active():
            await self._desk.handle(incident.id, Note(text=text), by="muster", delivery=f"group:{incident.id}:{change}")

    def _name(self, user_id: str) -> str:
        person = self._people.find(user_id)
        return f"{person.name} ({user_id})" if person else user_id


def outside(incident: Incident) -> ForbiddenError:
    """For whoever is not in the room."""
    where = f"<#{incident.channel_id}>" if incident.channel_id and not incident.private else "the room"
    return ForbiddenError(f"Only people in {where} can do that. Join it, then press again; nothing was done.")


def _same_human(one: Person | None, other: Person | None) -> bool:
    return bool(one and other and (one.id == other.id or (one.mailbox and one.mailbox == other.mailbox)))


def _is_user(name: str) -> bool:
    return name[:1] in ("U", "W") and "@" not in name


def is_group(name: str) -> bool:
    """Whether a name of policy.yml is that of a user group."""
    return name.startswith("@") or (name[:1] == "S" and "@" not in name)
