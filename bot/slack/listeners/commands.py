"""Slash commands and mentions: the same words, the same grammar."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bot.domain.catalog import best_runbooks
from bot.domain.commands import Acknowledge, AssignRole, ChangeSeverity, ChangeStatus
from bot.domain.errors import UserError
from bot.domain.facts import Origin, Role, Status
from bot.domain.text import TITLE_MAX_CHARS, clean, readable
from bot.slack.blocks import texts
from bot.slack.blocks.parts import escape, person
from bot.slack.drawing import Drawn
from bot.slack.listeners.declaring import answer_when_ready, at_once, declare, nearest
from bot.slack.listeners.forms import open_declare_form
from bot.slack.listeners.grammar import Verb, help_lines, parse, parse_severity
from bot.slack.listeners.tools import Reply, Tools

_PERSON = re.compile(r"<@(?P<id>[UW][A-Z0-9]+)")


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
    parsed = parse(asked.text, is_known=known)
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
    return _said(texts.draw_help(help_lines(tools.command), tools.runbook_command))


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
    Verb.NEAREST: _nearest,
}
