"""Slash commands and mentions: the same words, the same grammar."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bot.domain.catalog import best_runbooks
from bot.domain.commands import Acknowledge, AssignRole, ChangeAccounts, ChangeImpact, ChangeSeverity, ChangeStatus, Note
from bot.domain.decisions.conduct import NOTE_MAX_CHARS
from bot.domain.errors import UserError
from bot.domain.facts import Impact, Origin, Role, Status
from bot.domain.text import READ_MAX_CHARS, TITLE_MAX_CHARS, clean, readable
from bot.slack.blocks import texts
from bot.slack.blocks.parts import IMPACT_LABELS, escape, person
from bot.slack.drawing import Drawn
from bot.slack.listeners.declaring import answer_when_ready, at_once, declare, nearest
from bot.slack.listeners.escalating import callable_names, called, escalation, nobody_known
from bot.slack.listeners.forms import open_declare_form
from bot.slack.listeners.grammar import Verb, depends_on_room, help_lines, parse, parse_severity
from bot.slack.listeners.tools import Reply, Tools

_PERSON = re.compile(r"<@(?P<id>[UW][A-Z0-9]+)")
_IMPACTS = {
    "customer": Impact.CUSTOMER_IMPACT,
    "media": Impact.MEDIA_ATTENTION,
    "business": Impact.BUSINESS_CRITICAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Somebody asked Muster something in words."""

    text: str
    user_id: str
    channel_id: str
    delivery: str
    how: Literal["command", "mention"]
    trigger_id: str = ""
    response_url: str = ""
    message_ts: str | None = None


async def incident(tools: Tools, asked: Asked) -> Reply | None:
    """``/incident …`` or ``@muster …``; None when a form answers. Raises: UserError and what the desk raises."""
    known = bool(best_runbooks(asked.text, tools.catalog))
    here = await tools.desk.find_by_channel(asked.channel_id, fresh=False) if depends_on_room(asked.text) else None
    parsed = parse(asked.text, is_known=known, room=callable_names(here, tools.catalog) if here else None)
    return await _VERBS[parsed.verb](tools, asked, parsed.arguments)


async def _form(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    if not asked.trigger_id:
        return await _help(tools, asked, arguments)
    await open_declare_form(tools, trigger_id=asked.trigger_id, channel_id=asked.channel_id)
    return None


async def _words(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    return await _declare(tools, asked, arguments["words"], drill=False)


async def _drill(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    return await _declare(tools, asked, arguments["words"], drill=True)


async def _declare(tools: Tools, asked: Asked, words: str, *, drill: bool) -> Reply | None:
    origin = Origin(how=asked.how, channel_id=asked.channel_id, message_ts=asked.message_ts)
    declared = await declare(
        tools,
        words=readable(words),
        user_id=asked.user_id,
        origin=origin,
        delivery=asked.delivery,
        drill=drill,
    )
    if asked.message_ts:
        return None  # the room's own work answers in the thread
    if asked.response_url and (declared.new or declared.again):  # a repeated delivery was answered the first time
        tools.answers.soon(answer_when_ready(tools, declared, asked.response_url), name="where the room is")
    return at_once(tools, declared)


async def _help(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    return _said(texts.draw_help(help_lines(tools.command), tools.runbook_command, tools.oncall_command))


async def _list(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    await tools.check_person(asked.user_id)
    return _said(texts.draw_list(await tools.desk.active()))


async def _status(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    await tools.check_person(asked.user_id)
    found = await tools.desk.find_by_channel(asked.channel_id)
    return _said(texts.draw_status(found) if found else texts.draw_list(await tools.desk.active()))


async def _severity(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    found = await tools.room_of(asked.channel_id)
    severity = parse_severity(arguments["severity"])
    await tools.act(found, ChangeSeverity(severity=severity), by=asked.user_id, delivery=asked.delivery)
    return Reply(text=f"It is {severity.value} now.")


async def _assign(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    found = await tools.room_of(asked.channel_id)
    match = _PERSON.match(arguments["person"])
    user_id = match["id"] if match else asked.user_id
    if user_id == tools.bot_user_id:
        raise UserError("Muster cannot command an incident; name a person.")
    await tools.check_person(user_id)
    command = AssignRole(role=Role.INCIDENT_COMMANDER, user_id=user_id)
    await tools.act(found, command, by=asked.user_id, delivery=asked.delivery)
    return Reply(text=f"{person(user_id)} is incident commander.")


async def _acknowledge(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    found = await tools.room_of(asked.channel_id)
    await tools.act(found, Acknowledge(via="slack"), by=asked.user_id, delivery=asked.delivery)
    return Reply(text="✋ You have it. The escalation has stopped.")


async def _resolve(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    found = await tools.room_of(asked.channel_id)
    await tools.act(found, ChangeStatus(status=Status.RESOLVED), by=asked.user_id, delivery=asked.delivery)
    return Reply(text="🟢 Resolved. The escalation has stopped; it can be reopened from the card.")


async def _escalate(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    found = await tools.room_of(asked.channel_id)
    mentioned = _PERSON.match(arguments.get("person", ""))
    command = await escalation(
        tools,
        found,
        level=arguments.get("level", ""),
        contact_id=arguments.get("contact", ""),
        user_id=mentioned["id"] if mentioned else "",
        reason=arguments.get("reason", ""),
    )
    after = await tools.act(found, command, by=asked.user_id, delivery=asked.delivery)
    return Reply(text=called(after, asked.user_id))


async def _nobody(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    found = await tools.room_of(asked.channel_id)
    await tools.check_responder(found, asked.user_id)
    return Reply(text=nobody_known(found, tools.command, arguments["words"]))


async def _update(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    return await _write_down(tools, asked, arguments["text"], is_update=True)


async def _note(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    return await _write_down(tools, asked, arguments["text"], is_update=False)


async def _write_down(tools: Tools, asked: Asked, words: str, *, is_update: bool) -> Reply:
    found = await tools.room_of(asked.channel_id)
    text = readable(words)
    await tools.act(found, Note(text=text, is_update=is_update), by=asked.user_id, delivery=asked.delivery)
    shortened = len(clean(text, max_chars=READ_MAX_CHARS)) > NOTE_MAX_CHARS
    shorter = f" Only its first {NOTE_MAX_CHARS:,} characters were kept." if shortened else ""
    return Reply(text=f"{'📣 The room is told' if is_update else '📝 It is written down'}.{shorter}")


async def _impact(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    found = await tools.room_of(asked.channel_id)
    impact, on = _IMPACTS[arguments["impact"].casefold()], arguments.get("switch", "on").casefold() == "on"
    await tools.act(found, ChangeImpact(impact=impact, on=on), by=asked.user_id, delivery=asked.delivery)
    return Reply(text=f"{'🔺' if on else '🔻'} {IMPACT_LABELS[impact]}: {'on, since now' if on else 'over'}.")


async def _accounts(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    """The list is for the people of the room: it says whom it hit."""
    found = await tools.room_of(asked.channel_id)
    if "change" not in arguments:
        await tools.check_responder(found, asked.user_id)
        return _said(texts.draw_accounts(await tools.desk.get(found.id)))
    named = tuple(re.split(r"[\s,]+", readable(arguments["accounts"]).strip(" \t\r\n,")))
    adding = arguments["change"].casefold() == "add"
    command = ChangeAccounts(added=named) if adding else ChangeAccounts(removed=named)
    after = await tools.act(found, command, by=asked.user_id, delivery=asked.delivery)
    drawn = texts.draw_accounts(after)
    return Reply(text=f"{'Added' if adding else 'Removed'}. {drawn.text}", blocks=drawn.blocks)


async def _nearest(tools: Tools, asked: Asked, arguments: Mapping[str, str]) -> Reply | None:
    return nearest(tools, arguments["nearest"], clean(readable(arguments["words"]), max_chars=TITLE_MAX_CHARS))


def _said(drawn: Drawn, *, in_channel: bool = False) -> Reply:
    return Reply(text=drawn.text, blocks=drawn.blocks, in_channel=in_channel)


async def runbook(tools: Tools, asked: Asked) -> Reply:
    """``/runbook [words]``: the list, or the runbook that fits, for everybody in the channel. Raises: ForbiddenError."""
    await tools.check_person(asked.user_id)
    words = clean(readable(asked.text), max_chars=TITLE_MAX_CHARS)
    catalog = tools.catalog
    if not words:
        return _said(texts.draw_runbooks(list(catalog.runbooks.values()), tools.runbook_command))
    found = (words,) if words in catalog.runbooks else best_runbooks(words, catalog)
    if not found:
        drawn = texts.draw_runbooks(list(catalog.runbooks.values()), tools.runbook_command)
        return Reply(text=f"No runbook fits “{escape(words)}”. There are:", blocks=drawn.blocks)
    first, *others = [catalog.runbooks[identity] for identity in found]
    return _said(texts.draw_runbook(first, others), in_channel=True)


_VERBS: dict[Verb, Callable[[Tools, Asked, Mapping[str, str]], Awaitable[Reply | None]]] = {
    Verb.FORM: _form,
    Verb.WORDS: _words,
    Verb.DRILL: _drill,
    Verb.HELP: _help,
    Verb.LIST: _list,
    Verb.STATUS: _status,
    Verb.SEVERITY: _severity,
    Verb.ASSIGN: _assign,
    Verb.ACKNOWLEDGE: _acknowledge,
    Verb.RESOLVE: _resolve,
    Verb.ESCALATE: _escalate,
    Verb.UPDATE: _update,
    Verb.NOTE: _note,
    Verb.IMPACT: _impact,
    Verb.ACCOUNTS: _accounts,
    Verb.NOBODY: _nobody,
    Verb.NEAREST: _nearest,
}
