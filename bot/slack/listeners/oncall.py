"""``/oncall``: who is on duty, how everybody is reached, and the swaps of ``covering``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from bot.domain.duty import Cover
from bot.domain.errors import MusterError
from bot.domain.escalation import Contact
from bot.domain.reach import in_use
from bot.domain.text import clean, closest, readable
from bot.slack.blocks.oncall import draw_contact, draw_duty_help, draw_everybody, draw_rotation
from bot.slack.blocks.parts import context, escape, section
from bot.slack.drawing import Drawn
from bot.slack.listeners.commands import Asked
from bot.slack.listeners.covering import ask_for_cover, end_cover, find_rotation, give_cover, take_cover
from bot.slack.listeners.duty_grammar import IN_HELP, DutyVerb, duty_help_lines, parse_duty
from bot.slack.listeners.tools import Reply, Tools
from bot.slack.listeners.watch import Looking


async def oncall(tools: Tools, asked: Asked) -> Reply:
    """``/oncall …``. Raises: UserError with what to tell the person, and what the store raises."""
    await tools.check_person(asked.user_id)
    parsed = parse_duty(asked.text)
    return await _VERBS[parsed.verb](tools, asked, parsed.arguments)


def _said(drawn: Drawn, warning: str = "") -> Reply:
    first = (context(warning),) if warning else ()
    return Reply(text=drawn.text, blocks=(*first, *drawn.blocks))


async def _covers(tools: Tools) -> tuple[Sequence[Cover], str]:
    """(the covers, a word about it where they cannot be read): whom to call must be said also without Redis."""
    try:
        return await tools.covers.covers(), ""
    except MusterError as error:
        return (), f"⚠️ Who covers for whom cannot be read ({escape(str(error))}). This is what the files say."


async def _everybody(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply:
    catalog = tools.catalog
    contacts = in_use(catalog)
    covers, warning = await _covers(tools)
    looking = Looking(tools, covers)
    watches = await looking.watches(catalog.rotations.values())
    behind = await looking.behind(one for one in contacts if (one.slack or "").startswith("@"))
    now, command = tools.clock.now(), tools.oncall_command
    return _said(draw_everybody(watches, contacts, behind, catalog, now=now, command=command), warning)


async def _one(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply:
    catalog, name = tools.catalog, readable(arguments["name"])
    rotation = find_rotation(catalog, name)
    covers, warning = await _covers(tools)
    looking = Looking(tools, covers)
    if rotation:
        (watch,) = await looking.watches([rotation])
        said = [cover for cover in covers if cover.rotation == rotation.id]
        return _said(draw_rotation(watch, said, catalog, tools.clock.now()), warning)
    contact = _find_contact(tools, name)
    if contact:
        return _said(draw_contact(contact, await looking.users(contact), catalog))
    shown = escape(clean(name, max_chars=60))
    near = closest(name, [*catalog.rotations, *catalog.contacts])
    meant = f" Did you mean `{tools.oncall_command} {near}`?" if near else ""
    return Reply(text=f"“{shown}” is no rotation and no contact in contacts.yml.{meant} `{tools.oncall_command}` shows them all.")


def _find_contact(tools: Tools, name: str) -> Contact | None:
    wanted = name.casefold()
    for contact in tools.catalog.contacts.values():
        if wanted in (contact.id, contact.name.casefold(), contact.slack, f"@{contact.slack}"):
            return contact
    return None


async def _help(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply:
    return _said(draw_duty_help(duty_help_lines(tools.oncall_command), IN_HELP))


async def _misread(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply:
    drawn = draw_duty_help(duty_help_lines(tools.oncall_command), IN_HELP)
    shown = escape(clean(readable(arguments["name"]), max_chars=60))
    text = f"Nothing was changed: Muster does not understand “{shown}”. It understands:"
    return Reply(text=text, blocks=(section(text), *drawn.blocks))


_VERBS: dict[DutyVerb, Callable[[Tools, Asked, Mapping[str, str]], Awaitable[Reply]]] = {
    DutyVerb.EVERYBODY: _everybody,
    DutyVerb.ONE: _one,
    DutyVerb.HELP: _help,
    DutyVerb.MISREAD: _misread,
    DutyVerb.ASK: ask_for_cover,
    DutyVerb.GIVE: give_cover,
    DutyVerb.TAKE: take_cover,
    DutyVerb.END: end_cover,
}
