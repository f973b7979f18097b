"""Calling more people by hand: who can be called in an incident, by which word, and the command for it.

Used by the words (``commands``), the buttons (``clicks``) and the form (``forms``). How somebody is reached, and who is on duty
behind a rotation, is not decided here: the pages do that, and the room says how it went.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bot.domain.catalog import Catalog
from bot.domain.commands import Escalate
from bot.domain.decisions.paging import person_contact
from bot.domain.errors import ForbiddenError, UserError
from bot.domain.escalation import Contact, Rotation
from bot.domain.incident import Incident, Raised
from bot.domain.text import REASON_MAX_CHARS, clean, cut, readable
from bot.domain.timers import is_asking
from bot.slack.blocks.messages import room_link
from bot.slack.blocks.parts import escape, person
from bot.slack.listeners.tools import Tools
from bot.slack.listeners.watch import Looking

NAMES_MOST = 12


def callable_names(incident: Incident, catalog: Catalog) -> dict[str, str]:
    """The words by which somebody can be called, case-folded, with the id that they mean: ids, handles and names, first those of
    the incident's own plan, then the other contacts of the files."""
    plan = incident.plan
    known: list[Contact | Rotation] = [*plan.people.values(), *plan.rotations.values(), *catalog.contacts.values()]
    names = {one.id: one.id for one in known}
    for one in known:
        handle = one.slack if isinstance(one, Contact) and one.slack and one.slack.startswith("@") else None
        for name in (handle, handle and handle.removeprefix("@"), one.name):
            if name:
                names.setdefault(" ".join(name.split()).casefold(), one.id)
    return names


async def escalation(
    tools: Tools,
    incident: Incident,
    *,
    level: str = "",
    contact_id: str = "",
    user_id: str = "",
    reason: str = "",
) -> Escalate:
    """The command for one of these, or for the next level. Raises: UserError when nobody may be called by that."""
    command = Escalate(reason=clean(readable(reason), max_chars=REASON_MAX_CHARS))
    if user_id:
        return replace(command, contact=await _contact_of(tools, user_id))
    if level:
        return replace(command, level=int(level))
    if contact_id and contact_id not in incident.plan.people and contact_id not in incident.plan.rotations:
        contact = tools.catalog.contacts.get(contact_id)
        if contact is None:
            raise UserError(
                f"“{escape(contact_id)}” is nobody in contacts.yml any more; name a person with @. Nobody was called."
            )
        return replace(command, contact=contact)
    return replace(command, contact_id=contact_id or None)


async def _contact_of(tools: Tools, user_id: str) -> Contact:
    """The contact of the files who is this user of Slack, with all ways to reach them; else just the user."""
    found = await tools.require_member(user_id, so="nobody was called")
    known = await _known_contact(tools, user_id)
    if known:
        return known
    name = clean(found.name, max_chars=100) if found else ""
    return person_contact(user_id).model_copy(update={"name": name or user_id})


async def _known_contact(tools: Tools, user_id: str) -> Contact | None:
    """As far as Slack tells in time who is behind each contact: all are asked for at once."""
    contacts = tools.catalog.contacts.values()
    behind = await Looking(tools, ()).behind(contacts)
    return next((contact for contact in contacts if behind[contact.id] == (user_id,)), None)


def called(incident: Incident, by: str) -> str:
    """What whoever asked is told: who is called now."""
    asked = [raised for raised in incident.raised.values() if raised.by == by]
    names = _names(incident, asked[-1]) if asked else "Somebody"
    return f"⏫ Calling {names} now. How it goes is said in {room_link(incident)}."


def _names(incident: Incident, raised: Raised) -> str:
    if raised.contact:
        slack = person(raised.contact.slack or "")
        return slack if slack.startswith("<@") else escape(raised.contact.name)
    names = ", ".join(escape(incident.plan.name_of(identity)) for identity in raised.contact_ids)
    if raised.alarm.level:
        return f"level {raised.alarm.level}: {names}"
    return names


def nobody_known(incident: Incident, command: str, words: str) -> str:
    """What is said to ``escalate`` with a name that nobody has."""
    who = escape(cut(clean(readable(words), max_chars=200), max_chars=60))
    levels = ", ".join(str(level.level) for level in incident.plan.levels)
    people = [*incident.plan.people, *incident.plan.rotations]
    more = f" and {len(people) - NAMES_MOST} more" if len(people) > NAMES_MOST else ""
    ways = [f"`{command} escalate` calls the next level"]
    if levels:
        ways.append(f"levels: {levels}")
    if people:
        ways.append(f"by name: {', '.join(f'`{name}`' for name in people[:NAMES_MOST])}{more}")
    ways.append("anybody else: with @")
    return (
        f"Nobody was called: “{who}” does not begin with anybody whom Muster knows here. {'; '.join(ways).capitalize()}.\n"
        f'If something else is broken, put it in quotes: `{command} "escalate {who}"`'
    )


def require_holder(incident: Incident, user_id: str) -> None:
    """Raises: ForbiddenError for everybody but who has it, and who was sent the question that waits for its answer now; UserError
    when nobody has it."""
    if incident.is_over:
        return  # the desk says so
    if incident.acknowledged is None:
        raise UserError("Nobody has this any more: press Acknowledge to take it.")
    asked = {
        user
        for page in incident.pages
        if page.kind == "check_in" and not page.failure and is_asking(incident, page.key)
        for user in page.user_ids
    }
    if user_id != incident.acknowledged.by and user_id not in asked:
        raise ForbiddenError(f"{_holder(incident)} has it, so only they can say that; nothing was done.")


def _holder(incident: Incident) -> str:
    by = incident.acknowledged.by if incident.acknowledged else ""
    return person(by) if by.startswith(("U", "W")) else escape(incident.plan.name_of(by.partition(":")[2]))


def offers(incident: Incident) -> Mapping[str, str]:
    """Whom the form offers, by the value of the choice: the next level, each level, each contact and rotation."""
    reached = {raised.alarm.level for raised in incident.raised.values()}
    offered: dict[str, str] = {}
    following = next((level for level in incident.plan.levels if level.level not in reached), None)
    if following:
        offered["next"] = f"Next level: {_people(incident, following.notify)}"
    for level in incident.plan.levels:
        offered[f"level:{level.level}"] = f"Level {level.level}: {_people(incident, level.notify)}"
    for identity in (*incident.plan.people, *incident.plan.rotations):
        offered[f"contact:{identity}"] = incident.plan.name_of(identity)
    return offered


def _people(incident: Incident, identities: tuple[str, ...]) -> str:
    return ", ".join(incident.plan.name_of(identity) for identity in identities)
