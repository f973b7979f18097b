"""Swaps: somebody takes over another one's duty in a rotation until a given time, asked for, offered, or agreed on.

A cover holds for the turns of the person that it is for, and for no other's. It is a note beside the rotation: the files do not
change, and whoever is paged meanwhile is found by ``bot.slack.duty``. Who is on duty is decided when something is said or
pressed, never by what was drawn before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bot.domain.catalog import Catalog
from bot.domain.duty import Cover, covered_by, handovers, on_duty
from bot.domain.errors import ForbiddenError, MusterError, UserError
from bot.domain.escalation import Rotation
from bot.domain.text import clean, closest, readable
from bot.slack.blocks import ids
from bot.slack.blocks.oncall import Watch, draw_request, swap_line
from bot.slack.blocks.parts import escape, person, section
from bot.slack.client import WHILE_SLACK_WAITS_S
from bot.slack.listeners.commands import Asked
from bot.slack.listeners.duty_grammar import LONGEST, read_until
from bot.slack.listeners.tools import Reply, Tools
from bot.slack.listeners.watch import Looking, look
from bot.slack.posting import post

UNCHANGED = "nothing was changed"
OVER = f"That time is over already; {UNCHANGED}."


def find_rotation(catalog: Catalog, name: str) -> Rotation | None:
    """The rotation of this id or name, whatever the case."""
    wanted = " ".join(name.split()).casefold()
    named = (rotation for rotation in catalog.rotations.values() if rotation.name.casefold() == wanted)
    return catalog.rotations.get(wanted) or next(named, None)


async def ask_for_cover(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply:
    """ "cover for me until 18:00": everybody in the channel reads it, and the first who presses the button has it."""
    watch, zone = await _duty_of(tools, asked.user_id, asked.user_id, arguments.get("rotation", ""))
    until_at = _until(tools, watch, arguments["span"], zone)
    drawn = draw_request(watch.rotation, asked.user_id, until_at, _local(until_at, zone))
    return Reply(text=drawn.text, blocks=drawn.blocks, in_channel=True)


async def take_cover(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply:
    """ "cover for @alice until 18:00": who says it takes over."""
    return await _swap(tools, asked, arguments, for_user=arguments["person"], by_user=asked.user_id)


async def give_cover(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply:
    """ "@bob covers for me until 18:00", as the two agreed."""
    return await _swap(tools, asked, arguments, for_user=asked.user_id, by_user=arguments["person"])


async def _swap(tools: Tools, asked: Asked, arguments: Mapping[str, str], *, for_user: str, by_user: str) -> Reply:
    if for_user == by_user:
        raise UserError(f"Nobody can cover for themselves; {UNCHANGED}.")
    await tools.check_person(asked.user_id, certain=True)
    other = by_user if by_user != asked.user_id else for_user
    await tools.require_member(other, so=UNCHANGED, certain=True)
    watch, zone = await _duty_of(tools, for_user, asked.user_id, arguments.get("rotation", ""))
    until_at = _until(tools, watch, arguments["span"], zone)
    line = await _write(tools, watch, until_at, for_user=for_user, by_user=by_user, said_by=asked.user_id)
    tools.answers.soon(tools.tell(other, Reply(text=line)), name="swap told")
    return Reply(text=f"{line} ({_local(until_at, zone)})")


async def press_cover(tools: Tools, value: str, *, by: str, place: str, response_url: str) -> None:
    """ "I cover". ``place`` tells one question from another: it is answered once. Raises: UserError with why not."""
    rotation_id, for_user, until_s = ids.parse_cover(value)
    await tools.check_person(by, certain=True)
    rotation = tools.catalog.rotations.get(rotation_id)
    if rotation is None:
        raise UserError(f"That rotation is not in contacts.yml any more; {UNCHANGED}.")
    if by == for_user:
        raise UserError(f"Nobody can cover for themselves; {UNCHANGED}.")
    (watch,) = await look(tools, [rotation])
    now = tools.clock.now()  # behind the look: Redis has just said what time it is
    if until_s <= now.timestamp():
        raise UserError(OVER)
    until_at = datetime.fromtimestamp(min(until_s, (now + LONGEST).timestamp()), UTC)
    if watch.cover and watch.cover.user_id != for_user:
        raise UserError(f"{person(watch.cover.user_id)} covers it already; {UNCHANGED}.")
    if for_user not in watch.user_ids:
        raise UserError(_not_on_duty(for_user, [watch], whose=person(for_user)))
    if not await tools.desk.is_first(f"cover:{place}"):
        raise UserError(
            f"Somebody was faster, or was about to be. If `{tools.oncall_command}` names nobody, ask for cover again."
        )
    line = await _write(tools, watch, until_at, for_user=for_user, by_user=by, said_by=by)
    payload = {"replace_original": True, "text": line, "blocks": [section(line)]}
    tools.answers.soon(tools.answers.respond(response_url, payload), name="cover answered")


async def _duty_of(tools: Tools, user_id: str, asker: str, rotation_name: str) -> tuple[Watch, ZoneInfo]:
    """(the one duty that somebody has now, the time zone that the asker means). Raises: UserError when there is not one."""
    rotations = list(tools.catalog.rotations.values())
    if rotation_name:
        rotations = [_named(tools.catalog, rotation_name)]
    looking = Looking(tools, await tools.covers.covers())
    watches, zone = await asyncio.gather(looking.watches(rotations), _zone_of(tools, asker))  # neither of them raises
    theirs = [watch for watch in watches if user_id in watch.user_ids]
    if not theirs:
        raise UserError(_not_on_duty(user_id, watches, whose="You" if user_id == asker else person(user_id)))
    if len(theirs) > 1:
        names = " or ".join(f"`in {watch.rotation.id}`" for watch in theirs)
        raise UserError(f"That is more than one duty: end the command with {names}. So {UNCHANGED}.")
    return theirs[0], zone or ZoneInfo(theirs[0].rotation.timezone)


def _named(catalog: Catalog, name: str) -> Rotation:
    rotation = find_rotation(catalog, name)
    if rotation is None:
        near = closest(name, catalog.rotations)
        meant = f" Did you mean “{near}”?" if near else ""
        raise UserError(f"There is no rotation “{escape(clean(readable(name), max_chars=60))}”; {UNCHANGED}.{meant}")
    return rotation


def _not_on_duty(user_id: str, watches: Sequence[Watch], *, whose: str) -> str:
    verb = "are" if whose == "You" else "is"
    silent = [escape(watch.rotation.name) for watch in watches if watch.problem]
    unknown = f" (Who is in {', '.join(silent[:5])} cannot be found out at the moment.)" if silent else ""
    where = f"in {escape(watches[0].rotation.name)}" if len(watches) == 1 else "in any rotation"
    return f"{whose} {verb} not on duty {where} now, so there is nothing to cover; {UNCHANGED}.{unknown}"


async def _zone_of(tools: Tools, user_id: str) -> ZoneInfo | None:
    """The zone that somebody has set in Slack; None: Slack does not say."""
    try:
        answer = await tools.slack.call("users.info", patience_s=WHILE_SLACK_WAITS_S, user=user_id)
        return ZoneInfo(str((answer.get("user") or {}).get("tz") or ""))
    except (MusterError, ValueError, OSError, KeyError) as error:
        tools.log.warning("zone_unknown", user_id=user_id, error=str(error))
        return None


def _local(until_at: datetime, zone: ZoneInfo) -> str:
    return f"{until_at.astimezone(zone):%Y-%m-%d %H:%M} {zone.key}"


def _until(tools: Tools, watch: Watch, span: str, zone: ZoneInfo) -> datetime:
    """The moment that was said, or the end of the last turn before it."""
    now = tools.clock.now()
    return max(end for _, end in _turns(watch, now, read_until(span, now=now, zone=zone)))


def _turns(watch: Watch, now: datetime, until_at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """From when until when the person of ``watch`` would be on duty, from now until then."""
    if watch.cover:
        yield now, min(until_at, watch.cover.until_at)
        return
    rotation, begin = watch.rotation, now
    holder = current = on_duty(rotation, now)
    for handover in handovers(rotation, now, until_at):
        if current == holder and begin < handover.at:
            yield begin, handover.at
        begin, current = handover.at, handover.incoming
    if current == holder:
        yield begin, until_at


async def _write(tools: Tools, watch: Watch, until_at: datetime, *, for_user: str, by_user: str, said_by: str) -> str:
    """Remember it and tell everybody; the sentence that says it."""
    rotation, now = watch.rotation, tools.clock.now()
    if until_at <= now:
        raise UserError(OVER)
    turns = _turns(watch, now, until_at)
    await tools.covers.add_covers(
        [Cover(rotation=rotation.id, user_id=by_user, from_at=begin, until_at=end, by=said_by) for begin, end in turns]
    )
    line = swap_line(rotation, for_user=for_user, by_user=by_user, until_at=until_at)
    _announce(tools, line)
    return line


def _announce(tools: Tools, line: str) -> None:
    async def say() -> None:
        await post(tools.slack, channel_id=tools.incidents_channel_id, text=line, blocks=(section(line),))

    tools.answers.soon(say(), name="swap announced")


# -- the end of a cover --------------------------------------------------------------------------------------------


async def end_cover(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply:
    """ "cover end": what was agreed on is forgotten, and the duty goes back. Who covers, who is covered for, and who said so may
    end it; of several covers of one turn, one on top of the other, the person whose turn it is ends all."""
    await tools.check_person(asked.user_id, certain=True)
    name = arguments.get("rotation", "")
    rotations = [_named(tools.catalog, name)] if name else list(tools.catalog.rotations.values())
    covers, now = await tools.covers.covers(), tools.clock.now()
    looking = Looking(tools, covers)
    ended: list[Cover] = []
    back: dict[str, tuple[Rotation, Cover, tuple[str, ...]]] = {}
    for rotation in rotations:
        holding = _holding(covers, rotation.id, now)
        for cover in (cover for cover in covers if cover.rotation == rotation.id):
            owners = await _owners(tools, looking, rotation, max(now, cover.from_at))
            theirs = cover in holding and asked.user_id in (cover.user_id, cover.by)
            if owners == (cover.user_id,) or not (theirs or asked.user_id in owners):
                continue
            ended.append(cover)
            if cover in holding:
                back.setdefault(rotation.id, (rotation, cover, owners))
    if not ended:
        raise ForbiddenError(f"You cover for nobody, and as far as Muster knows nobody covers for you; {UNCHANGED}.")
    await tools.covers.end_covers(ended)
    left = [cover for cover in covers if cover not in ended]
    lines = [
        f"🔁 {person(cover.user_id)} does not cover *{escape(rotation.name)}* any more: "
        f"{_whose_turn(tools, rotation, owners, left, max(now, cover.from_at))} again."
        for rotation, cover, owners in back.values()
    ]
    for line in lines:
        _announce(tools, line)
    return Reply(text="\n".join(lines) or "That cover is ended.")


def _whose_turn(tools: Tools, rotation: Rotation, owners: Sequence[str], left: Sequence[Cover], at: datetime) -> str:
    """Who has the duty at ``at``, as far as that is known here: "<@U0A> is on duty"."""
    below = covered_by(left, rotation.id, at)
    if below:
        return f"{person(below.user_id)} is on duty"
    if len(owners) == 1:
        return f"{person(owners[0])} is on duty"
    contact = tools.catalog.contacts.get(on_duty(rotation, at) or "")
    if contact:
        return f"{escape(contact.name)} is on duty"
    return "whoever PagerDuty says is on duty" if rotation.pagerduty else "whose turn it is has it"


def _holding(covers: Sequence[Cover], rotation_id: str, now: datetime) -> list[Cover]:
    """The covers of a rotation that hold now or will, as far as no newer one has taken their place."""
    theirs = [cover for cover in covers if cover.rotation == rotation_id and cover.until_at > now]
    return [cover for cover in theirs if covered_by(theirs, rotation_id, max(now, cover.from_at)) == cover]


async def _owners(tools: Tools, looking: Looking, rotation: Rotation, at: datetime) -> tuple[str, ...]:
    """The users of Slack whose turn it is by the files; () where the files do not say."""
    contact = tools.catalog.contacts.get(on_duty(rotation, at) or "")
    return await looking.users(contact) if contact else ()
