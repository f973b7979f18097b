"""Events: messages that may be a cry for help, mentions, and who comes into a room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from bot.domain.commands import Join, Leave
from bot.domain.errors import ForbiddenError, PermanentError, UserError
from bot.domain.facts import Origin
from bot.domain.incident import Incident
from bot.domain.policy import Permission
from bot.domain.tasks import prompt_task
from bot.domain.text import readable
from bot.domain.triggers import PhraseMatch
from bot.services.ports import Task
from bot.slack.blocks.texts import draw_prompt
from bot.slack.client import SlackApi
from bot.slack.listeners.commands import Asked
from bot.slack.listeners.commands import incident as incident_command
from bot.slack.listeners.declaring import declare
from bot.slack.listeners.tools import Reply, Tools
from bot.slack.patience import one_request
from bot.slack.posting import opaque_key, post, post_once

_PLAIN_SUBTYPES = (None, "file_share", "thread_broadcast")
"""Messages that a person wrote just now; edits, joins and bots have other subtypes (docs.slack.dev, events/message)."""


def trigger_of(tools: Tools, event: Mapping[str, Any]) -> PhraseMatch | None:
    """The phrase in a message, if it is one that a person wrote just now, to everybody. The front door asks this for every
    message, before anything else looks at it."""
    if event.get("type") != "message" or event.get("subtype") not in _PLAIN_SUBTYPES:
        return None
    if event.get("bot_id") or event.get("app_id") or event.get("user") in (None, tools.bot_user_id, "USLACKBOT"):
        return None
    text = event.get("text")
    if tools.catalog.on_phrase == "off" or not isinstance(text, str) or event.get("channel_type") in ("im", "mpim"):
        return None
    if f"<@{tools.bot_user_id}>" in text:  # the mention is answered, not the phrase in it
        return None
    return tools.catalog.matcher.match(text)


async def _message(tools: Tools, event: Mapping[str, Any], event_id: str) -> None:
    with one_request():  # who it is is asked for three times; what was found is remembered, what takes too long is not
        await _heard(tools, event)


async def _heard(tools: Tools, event: Mapping[str, Any]) -> None:
    match = trigger_of(tools, event)
    if match is None or await tools.desk.find_by_channel(str(event["channel"])):
        return  # a room talks about its own incident all the time
    person = await tools.find_person(str(event["user"]))
    if person and (person.is_bot or person.is_gone):
        return
    bare = match.kind == "bare" and tools.catalog.on_phrase == "auto"
    if not bare or not await _may_declare(tools, str(event["user"])):
        await _ask(tools, event, match)
        return
    origin = Origin(
        how="phrase",
        channel_id=str(event["channel"]),
        message_ts=str(event.get("thread_ts") or event["ts"]),
        phrase=match.phrase,
    )
    await declare(
        tools,
        words=readable(str(event["text"])),
        user_id=str(event["user"]),
        origin=origin,
        delivery=_delivery(event),
        runbook_ids=match.runbook_ids,
    )


async def _may_declare(tools: Tools, user_id: str) -> bool:
    """Whoever may not gets the question: somebody else who reads it may."""
    try:
        await tools.permissions.require(user_id, Permission.DECLARE, None)
    except ForbiddenError:
        return False
    return True


async def _ask(tools: Tools, event: Mapping[str, Any], match: PhraseMatch) -> None:
    task = prompt_task(
        str(event["channel"]),
        str(event.get("thread_ts") or event["ts"]),
        match.phrase,
        match.runbook_ids,
        tools.clock.now(),
    )
    await tools.desk.ask_for(task, delivery=_delivery(event))


def _delivery(event: Mapping[str, Any]) -> str:
    """A message is handled once, whether it comes as a message, as a mention, or both."""
    return f"message:{event['channel']}:{event['ts']}"


class PromptPerformer:
    """Posts the question under a message."""

    def __init__(self, *, slack: SlackApi, titles: Callable[[str], str]) -> None:
        self._slack = slack
        self._titles = titles
        self._log = structlog.get_logger("muster.prompt")

    async def __call__(self, task: Task) -> None:
        """Ask once. A message that is gone, or a channel that Muster had to leave, is not asked about any more."""
        runbook_ids = [str(identity) for identity in task.data["runbook_ids"]]
        drawn = draw_prompt(str(task.data["phrase"]), runbook_ids, [self._titles(identity) for identity in runbook_ids])
        try:
            await post_once(
                self._slack.under(task.lease),
                channel_id=str(task.data["channel_id"]),
                thread_ts=str(task.data["message_ts"]),
                drawn=drawn,
                key=opaque_key("prompt", task.id),
                look_first=task.attempt > 1,
                since=task.due_at,
            )
        except PermanentError as error:
            self._log.warning("prompt_refused", reason=str(error))


async def _mention(tools: Tools, event: Mapping[str, Any], event_id: str) -> None:
    if event.get("bot_id") or event.get("subtype") or not event.get("user"):
        return
    text = str(event.get("text", "")).replace(f"<@{tools.bot_user_id}>", " ").strip()
    thread_ts = str(event.get("thread_ts") or event["ts"])
    asked = Asked(
        text=text,
        user_id=str(event["user"]),
        channel_id=str(event["channel"]),
        delivery=_delivery(event),
        how="mention",
        message_ts=thread_ts,
    )
    try:
        reply = await incident_command(tools, asked)
    except UserError as refused:
        reply = Reply(text=str(refused))
    if reply and await tools.desk.is_first(f"answer:{asked.delivery}"):  # Slack may deliver a mention more than once
        tools.answers.soon(_say_in_thread(tools, asked, reply), name="mention answered")


async def _say_in_thread(tools: Tools, asked: Asked, reply: Reply) -> None:
    await post(
        tools.slack,
        channel_id=asked.channel_id,
        text=reply.text,
        blocks=reply.blocks,
        thread_ts=asked.message_ts,
        urgent=False,
    )


async def _joined(tools: Tools, event: Mapping[str, Any], event_id: str) -> None:
    incident = await _room(tools, event)
    if incident:
        user_id = str(event["user"])
        await tools.desk.handle(incident.id, Join(user_id=user_id), by=user_id, delivery=f"event:{event_id}")


async def _left(tools: Tools, event: Mapping[str, Any], event_id: str) -> None:
    incident = await _room(tools, event)
    if incident:
        user_id = str(event["user"])
        await tools.desk.handle(incident.id, Leave(user_id=user_id), by=user_id, delivery=f"event:{event_id}")


async def _room(tools: Tools, event: Mapping[str, Any]) -> Incident | None:
    if event.get("user") == tools.bot_user_id:
        return None
    return await tools.desk.find_by_channel(str(event["channel"]))


async def _unsaid(tools: Tools, event: Mapping[str, Any], event_id: str) -> None:
    tools.log.warning("phrase_among_outsiders", channel_id=event.get("channel"))


async def _declined(tools: Tools, event: Mapping[str, Any], event_id: str) -> None:
    """The sentence that says why nothing is answered here, once."""
    if event.get("bot_id") or event.get("subtype") or not await tools.desk.is_first(f"answer:{_delivery(event)}"):
        return
    text = (
        "This channel is shared with another organisation, so Muster says nothing about incidents here. "
        f"Write `{tools.command}`: only you read its answers."
    )
    thread_ts = str(event.get("thread_ts") or event["ts"])
    asked = Asked(text="", user_id="", channel_id=str(event["channel"]), delivery="", how="mention", message_ts=thread_ts)
    tools.answers.soon(_say_in_thread(tools, asked, Reply(text=text)), name="mention declined")


AMONG_OUTSIDERS: dict[str, Callable[[Tools, Mapping[str, Any], str], Awaitable[None]]] = {
    "message": _unsaid,
    "app_mention": _declined,
}
"""What becomes of an event instead, where people of another organisation read along (Slack Connect)."""

HANDLED: dict[str, Callable[[Tools, Mapping[str, Any], str], Awaitable[None]]] = {
    "message": _message,
    "app_mention": _mention,
    "member_joined_channel": _joined,
    "member_left_channel": _left,
}
"""What becomes of each kind of event: (tools, event, event id)."""
