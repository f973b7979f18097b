"""Declaring: every way in which somebody says that something is broken ends here."""

from __future__ import annotations

import asyncio

from bot.domain.catalog import best_runbooks
from bot.domain.commands import Declaration
from bot.domain.facts import Origin
from bot.domain.incident import Incident
from bot.domain.policy import Permission
from bot.domain.severity import Severity
from bot.services.desk import Declared
from bot.services.worker import HEAD_START_S
from bot.slack.blocks import ids
from bot.slack.blocks.messages import room_link
from bot.slack.blocks.parts import actions, button, escape, section
from bot.slack.listeners.tools import Reply, Tools

KNOWN_PRIVATELY = "Thank you. The people responsible know of it and are looking at it."


async def declare(
    tools: Tools,
    *,
    words: str,
    user_id: str,
    origin: Origin,
    delivery: str,
    runbook_ids: tuple[str, ...] | None = None,
    severity: Severity | None = None,
    service: str | None = None,
    private: bool | None = None,
    drill: bool = False,
) -> Declared:
    """Open an incident for ``words`` (plain text), or point at the one that is open. ``runbook_ids`` None: by the words.

    Raises: ForbiddenError for whoever may not; what the desk raises.
    """
    await tools.permissions.require(user_id, Permission.DECLARE, None)
    declaration = Declaration(
        title=words,
        runbook_ids=best_runbooks(words, tools.catalog) if runbook_ids is None else runbook_ids,
        origin=origin,
        severity=severity,
        service=service,
        private=private,
        drill=drill,
    )
    return await tools.desk.declare(declaration, by=user_id, delivery=delivery)


def at_once(tools: Tools, declared: Declared) -> Reply:
    """What is said right away, before the room exists."""
    incident = declared.incident
    if declared.again and incident.private:
        return Reply(text=KNOWN_PRIVATELY)
    if declared.again:
        return Reply(text=f"It is already open: {room_link(incident)}. You are being invited to its room.")
    drill = "drill " if incident.drill else ""
    return Reply(
        text=f"🚨 Opening a {drill}room for {incident.severity.value} “{escape(incident.title)}”… you are being invited."
    )


def when_ready(incident: Incident, *, again: bool) -> Reply:
    """What is said once the room exists, or cannot be made."""
    if again and incident.private:
        return Reply(text=KNOWN_PRIVATELY)
    if incident.room_failure and not incident.channel_id:
        return Reply(text=f"❌ The room could not be made: {escape(incident.room_failure)}. Muster goes on trying.")
    if not incident.channel_id:
        return Reply(text=f"The room of “{escape(incident.title)}” is still being made; you will be invited to it.")
    word = "is already open" if again else "is open"
    drill = "DRILL · " if incident.drill else ""
    text = f"🚨 {drill}{incident.severity.value} “{escape(incident.title)}” {word}: {room_link(incident)}"
    return Reply(text=text, blocks=(section(text),))


async def answer_when_ready(tools: Tools, declared: Declared, response_url: str) -> None:
    """Say where the room is, at a response_url."""
    incident = await tools.wait_for_room(declared.incident.id)
    await asyncio.sleep(HEAD_START_S)
    payload = {**when_ready(incident, again=declared.again).payload(), "replace_original": False}
    await tools.answers.respond(response_url, payload)


def nearest(tools: Tools, usage: str, words: str) -> Reply:
    """What is not understood answers with the nearest command, and with the way to mean the words all the same."""
    text = (
        f"Nothing was opened. Did you mean `{tools.command} {escape(usage)}`?\n"
        f'If something is broken, put it in quotes: `{tools.command} "{escape(words)}"`'
    )
    row = actions([button("Open the form", ids.OPEN_WORDS, value="form")], block_id="nearest")
    return Reply(text=text, blocks=(section(text), row))
