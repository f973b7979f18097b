"""Who is on call, as people read it: all rotations and contacts, one of them, and swaps.

Drawn for ``bot.slack.listeners.oncall``, which found out who is on duty; here is how that is said, within Slack's limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.catalog import Catalog
from bot.domain.duty import Cover, Handover, hole_until, next_handover, on_duty
from bot.domain.escalation import Contact, Rotation, Way
from bot.domain.reach import unset
from bot.slack.blocks import ids
from bot.slack.blocks.parts import actions, button, context, divider, escape, paragraphs, person, section, when
from bot.slack.drawing import Block, Drawn

MOST_CHARS = 10_500
"""Of the lines of one message; headings and what follows have the rest of Slack's 13,200."""
HANDOVERS_SHOWN = 4
BEHIND_SHOWN = 5

_WAYS: Mapping[Way, str] = {
    Way.SLACK: "Slack",
    Way.PAGERDUTY: "PagerDuty",
    Way.PHONE: "phone",
    Way.SMS: "SMS",
    Way.EMAIL: "e-mail",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who is on duty in a rotation at a moment. ``contact``: by the files, or by PagerDuty; ``user_ids``: who that is in Slack,
    where it is known; with ``cover`` that is whoever covers. ``problem``: why nobody can be named."""

    rotation: Rotation
    contact: Contact | None = None
    user_ids: tuple[str, ...] = ()
    cover: Cover | None = None
    problem: str = ""


# -- everybody -----------------------------------------------------------------------------------------------------


def draw_everybody(
    watches: Sequence[Watch],
    contacts: Sequence[Contact],
    behind: Mapping[str, Sequence[str]],
    catalog: Catalog,
    *,
    now: datetime,
    command: str,
) -> Drawn:
    """All rotations, and the contacts that somebody may have to reach. ``behind``: who is behind a contact's handle, by id."""
    rotations, left_rotations = _fit([watch_line(watch, catalog, now) for watch in watches], MOST_CHARS)
    used = sum(len(line) for line in rotations)
    people, left_people = _fit([contact_line(one, behind.get(one.id, ()), catalog) for one in contacts], MOST_CHARS - used)
    blocks: list[Block] = [section("*On duty now*"), *paragraphs(rotations)]
    if not watches:
        blocks = [context("There are no rotations in contacts.yml: each contact below is always the one who is called.")]
    if left_rotations:
        blocks.append(context(f"… and {left_rotations} more rotations: `{command} <name>` shows one"))
    if people:
        blocks += [divider(), section("*Contacts*, and how they are reached"), *paragraphs(people)]
    if left_people:
        blocks.append(context(f"… and {left_people} more contacts: `{command} <name>` shows one"))
    missing = [way for way in Way if catalog.ways is not None and way not in catalog.ways]
    lacking = dict.fromkeys(unset(way) for way in missing if any(way in contact.ways for contact in contacts))
    if lacking:
        blocks.append(context("✗: not set up. " + "; ".join(f"{escape(text)}" for text in lacking) + "."))
    return Drawn(text="Who is on call", blocks=tuple(blocks))


def _fit(lines: Sequence[str], most_chars: int) -> tuple[list[str], int]:
    """(the first lines that fit, how many are left)."""
    fitting: list[str] = []
    for line in lines:
        most_chars -= len(line) + 1
        if most_chars < 0:
            break
        fitting.append(line)
    return fitting, len(lines) - len(fitting)


def watch_line(watch: Watch, catalog: Catalog, now: datetime) -> str:
    """Who is on duty in one rotation, until when, and who is next."""
    rotation = watch.rotation
    start = f"• *{escape(rotation.name)}* (`{rotation.id}`): "
    if watch.problem:
        return f"{start}❔ {escape(watch.problem)}"
    if watch.cover:
        then = on_duty(rotation, watch.cover.until_at)
        following = _name(catalog, then) if then else "whoever's turn it is"
        instead = f" for {escape(watch.contact.name)}" if watch.contact else ""
        return f"{start}{person(watch.cover.user_id)} covers{instead} until {when(watch.cover.until_at)}, then {following}"
    if watch.contact is None:
        begins = hole_until(rotation, now)
        first = on_duty(rotation, begins) if begins else None
        return f"{start}⚠️ nobody yet" + (f"; {_name(catalog, first)} from {when(begins)}" if begins and first else "")
    who = f"{start}{named_contact(watch.contact, watch.user_ids)}"
    if rotation.pagerduty and on_duty(rotation, now) is None:
        who += ", says PagerDuty"
    handover = next_handover(rotation, now)
    if handover is None:
        return who
    following = _name(catalog, handover.incoming) if handover.incoming else "whoever PagerDuty says"
    return f"{who} until {when(handover.at)}, then {following}"


def named_contact(contact: Contact, user_ids: Sequence[str]) -> str:
    """The contact and who that is in Slack, as far as it is known."""
    mentions = ", ".join(person(user) for user in user_ids[:BEHIND_SHOWN])
    if len(user_ids) > BEHIND_SHOWN:
        mentions += f" and {len(user_ids) - BEHIND_SHOWN} more"
    known = mentions or (escape(contact.slack) if contact.slack and contact.slack.startswith("@") else "")
    return escape(contact.name) + (f" ({known})" if known else "")


def contact_line(contact: Contact, user_ids: Sequence[str], catalog: Catalog) -> str:
    """One contact and the ways that reach them."""
    start = f"• {named_contact(contact, user_ids)} `{contact.id}`: "
    if not contact.ways:
        return f"{start}⚠️ cannot be reached: no way is set in contacts.yml"
    return start + " · ".join(
        f"{_WAYS[way]} {'✓' if catalog.ways is None or way in catalog.ways else '✗'}" for way in contact.ways
    )


def _name(catalog: Catalog, contact_id: str | None) -> str:
    contact = catalog.contacts.get(contact_id or "")
    return escape(contact.name if contact else contact_id or "nobody")


# -- one -----------------------------------------------------------------------------------------------------------


def draw_rotation(watch: Watch, covers: Sequence[Cover], catalog: Catalog, now: datetime) -> Drawn:
    """One rotation with its next hand-overs and the covers that are said."""
    lines = [watch_line(watch, catalog, now)]
    lines += [
        f"🔁 {person(cover.user_id)} from {when(cover.from_at)} until {when(cover.until_at)}"
        for cover in covers
        if cover != watch.cover and cover.from_at > now
    ]
    upcoming = _handovers(watch.rotation, now)
    if upcoming:
        lines.append("*Next hand-overs*")
        lines += [f"{when(one.at)}: {_side(catalog, one.outgoing)} → {_side(catalog, one.incoming)}" for one in upcoming]
    elif watch.rotation.pagerduty:
        lines.append("PagerDuty has the hand-overs.")
    else:
        lines.append("There is no hand-over.")
    shown, left = _fit(lines, MOST_CHARS)
    blocks = [*paragraphs(shown), *([context(f"… and {left} more lines")] if left else [])]
    return Drawn(text=f"Who is on call: {escape(watch.rotation.name)}", blocks=tuple(blocks))


def _handovers(rotation: Rotation, now: datetime) -> list[Handover]:
    found: list[Handover] = []
    handover = next_handover(rotation, now)
    while handover and len(found) < HANDOVERS_SHOWN:
        found.append(handover)
        handover = next_handover(rotation, handover.at)
    return found


def _side(catalog: Catalog, contact_id: str | None) -> str:
    return _name(catalog, contact_id) if contact_id else "_whoever PagerDuty says, or nobody_"


def draw_contact(contact: Contact, user_ids: Sequence[str], catalog: Catalog) -> Drawn:
    """One contact, and the rotations that they take turns in."""
    lines = [contact_line(contact, user_ids, catalog)]
    turns = [escape(rotation.name) for rotation in catalog.rotations.values() if contact.id in rotation.members]
    if turns:
        lines.append(f"Takes turns in: {', '.join(turns)}")
    return Drawn(text=f"How {escape(contact.name)} is reached", blocks=tuple(paragraphs(_fit(lines, MOST_CHARS)[0])))


# -- swaps ---------------------------------------------------------------------------------------------------------


def draw_request(rotation: Rotation, user_id: str, until_at: datetime, local: str) -> Drawn:
    """The question to everybody in a channel, with the button that answers it."""
    text = f"🔁 {person(user_id)} asks for cover of *{escape(rotation.name)}* until {when(until_at)} ({escape(local)})."
    value = ids.cover_value(rotation.id, user_id, int(until_at.timestamp()))
    row = actions([button("I cover", ids.COVER, value=value, style="primary")], block_id="cover")
    return Drawn(text=text, blocks=(section(text), row))


def swap_line(rotation: Rotation, *, for_user: str, by_user: str, until_at: datetime) -> str:
    """That somebody covers for somebody."""
    return f"🔁 {person(by_user)} covers *{escape(rotation.name)}* for {person(for_user)} until {when(until_at)}."


def draw_duty_help(lines: Sequence[str], more: str) -> Drawn:
    """The commands, from the parser's own table."""
    text = "\n".join(escape(line) for line in lines)
    return Drawn(text="What /oncall understands", blocks=(section(text), context(escape(more))))
