"""What a click is, once it was read, of which incident it is, and the form that it may open. What each click does is not here:
the tables are in ``clicks`` and ``running``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.domain.errors import ForbiddenError, PermanentError, UserError
from bot.domain.incident import Incident
from bot.slack.blocks import ids
from bot.slack.blocks.views import View
from bot.slack.client import WHILE_SLACK_WAITS_S
from bot.slack.listeners.tools import Tools

Answer = dict[str, Any] | None
"""What Slack is told about a sent form (docs.slack.dev, surfaces/modals): None closes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """Somebody pressed something."""

    action_id: str
    value: str
    user_id: str
    channel_id: str
    message_ts: str
    trigger_id: str
    response_url: str = field(repr=False)
    delivery: str
    thread_ts: str = ""


def read_click(body: dict[str, Any]) -> Click:
    """The click of a ``block_actions`` payload. Raises: UserError for anything that Muster never draws."""
    pressed = body.get("actions") or []
    if len(pressed) != 1:
        raise UserError("Muster expects one click at a time; nothing was done.")
    action = pressed[0]
    option = action.get("selected_option")
    value = option.get("value") if isinstance(option, dict) else action.get("value")
    message = body.get("message") or {}
    container = body.get("container") or {}
    channel = (body.get("channel") or {}).get("id") or container.get("channel_id") or ""
    user_id = str((body.get("user") or {}).get("id", ""))
    action_id = str(action.get("action_id", ""))
    return Click(
        action_id=action_id.partition(":")[0],
        value=value if isinstance(value, str) else "",
        user_id=user_id,
        channel_id=str(channel),
        message_ts=str(message.get("ts") or container.get("message_ts") or ""),
        trigger_id=str(body.get("trigger_id", "")),
        response_url=str(body.get("response_url", "")),
        delivery=f"click:{user_id}:{action_id}:{action.get('action_ts') or trigger_key(body)}",
        thread_ts=str(message.get("thread_ts") or ""),
    )


def trigger_key(body: Mapping[str, Any]) -> str:
    """Tells one trigger from another. The trigger itself opens forms as this app, so it never stands in a key of Redis."""
    return hashlib.sha256(str(body.get("trigger_id")).encode()).hexdigest()[:32]


async def incident_of(tools: Tools, pressed: Click, *, fresh: bool = True) -> tuple[Incident, ids.Target]:
    """The incident of the click, which must come from one of its own messages, by somebody who may."""
    target = ids.parse(pressed.value)
    incident = await tools.desk.get(target.incident_id, fresh=fresh)
    places = {incident.channel_id, *(channel for page in incident.pages for channel, _ in page.messages)}
    if not incident.private:  # a private one draws no button where it was declared
        places.update(origin.channel_id for origin in (incident.origin, *(origin for _, origin in incident.declared_again)))
    if pressed.channel_id in places:
        return incident, target
    if not fresh:  # another replica may have posted there since
        return await incident_of(tools, pressed)
    # A quick thumb presses the page's button before it is recorded where the page went: who they are decides then.
    if pressed.channel_id.startswith("D") and await tools.is_contact_of(incident, pressed.user_id):
        return incident, target
    raise _elsewhere()


async def in_room(tools: Tools, pressed: Click, *, fresh: bool = True) -> tuple[Incident, ids.Target]:
    """Like ``incident_of``, for buttons that are drawn in the room only: whatever runs is asked for and approved before everybody
    who is in it, never in a copy elsewhere."""
    incident, target = await incident_of(tools, pressed, fresh=fresh)
    if pressed.channel_id != incident.channel_id:
        raise _elsewhere()
    return incident, target


def _elsewhere() -> ForbiddenError:
    return ForbiddenError("That button belongs to another room; nothing was done.")


async def open_view(tools: Tools, trigger_id: str, view: View) -> None:
    """Raises: UserError when the trigger is too old, TemporaryError when Slack does not take it now."""
    try:
        await tools.slack.call("views.open", urgent=True, patience_s=WHILE_SLACK_WAITS_S, trigger_id=trigger_id, view=view)
    except PermanentError as error:
        if error.code in ("expired_trigger_id", "exchanged_trigger_id", "trigger_expired", "invalid_trigger_id"):
            raise UserError("That took too long for Slack to open a form. Please press once more.") from error
        raise
