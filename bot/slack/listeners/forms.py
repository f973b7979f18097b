"""Forms: opened first of all (a trigger lives 3 seconds), and what becomes of them when they are sent."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot.domain.commands import SkipStep
from bot.domain.errors import UserError
from bot.domain.facts import Origin
from bot.domain.severity import Severity
from bot.domain.text import REASON_MAX_CHARS, TITLE_MAX_CHARS, clean
from bot.services.desk import Declared
from bot.slack.blocks import ids, views
from bot.slack.listeners import running
from bot.slack.listeners.declaring import at_once, declare, when_ready
from bot.slack.listeners.escalating import called, escalation, require_holder
from bot.slack.listeners.pressed import Answer, open_view
from bot.slack.listeners.tools import Tools


async def open_declare_form(
    tools: Tools, *, trigger_id: str, channel_id: str = "", message_ts: str = "", title: str = ""
) -> None:
    """The form that opens an incident."""
    catalog = tools.catalog
    view = views.declare_view(
        runbooks=list(catalog.runbooks.values()),
        services=[service for service in catalog.services.values() if service.enabled],
        severities={severity: policy.title for severity, policy in catalog.severities.items()},
        title=title,
        channel_id=channel_id,
        message_ts=message_ts,
    )
    await open_view(tools, trigger_id, view)


async def _declared(tools: Tools, view: Mapping[str, Any], user_id: str, delivery: str) -> Answer:
    metadata = views.metadata_of(view)
    title = clean(views.text_of(view, "title"), max_chars=TITLE_MAX_CHARS)
    if not title:
        raise views.FieldErrors({"title": "Say in a few words what is broken."})
    runbook_id = views.text_of(view, "runbook")
    severity = views.text_of(view, "severity")
    service = views.text_of(view, "service")
    catalog = tools.catalog
    known = (not runbook_id or runbook_id in catalog.runbooks) and (not service or service in catalog.services)
    if not known or (severity and severity not in Severity.__members__):
        raise UserError("That form is older than the runbooks; open it once more.")
    declared = await declare(
        tools,
        words=title,
        user_id=user_id,
        origin=Origin(
            how="shortcut" if metadata.get("ts") else "form",
            channel_id=metadata.get("channel") or None,
            message_ts=metadata.get("ts") or None,
        ),
        delivery=delivery,
        runbook_ids=(runbook_id,) if runbook_id else None,
        severity=Severity(severity) if severity else None,
        service=service or None,
        private=True if views.checked(view, "private") else None,
    )
    tools.answers.soon(_show_room(tools, declared, str(view.get("id", ""))), name="where the room is (form)")
    return {"response_action": "update", "view": views.notice_view("Open an incident", at_once(tools, declared).text)}


async def _show_room(tools: Tools, declared: Declared, view_id: str) -> None:
    incident = await tools.wait_for_room(declared.incident.id)
    text = when_ready(incident, again=declared.again).text
    await tools.slack.call("views.update", urgent=True, view_id=view_id, view=views.notice_view("Open an incident", text))


async def _skipped(tools: Tools, view: Mapping[str, Any], user_id: str, delivery: str) -> Answer:
    target = ids.parse(views.metadata_of(view).get("target", ""))
    incident = await tools.desk.get(target.incident_id)
    reason = clean(views.text_of(view, "reason"), max_chars=REASON_MAX_CHARS)
    if not reason:
        raise views.FieldErrors({"reason": "The reason is part of the record."})
    command = SkipStep(step_id=target.thing, reason=reason)
    await tools.act(incident, command, by=user_id, delivery=delivery)
    return None


async def _escalated(tools: Tools, view: Mapping[str, Any], user_id: str, delivery: str) -> Answer:
    target = ids.parse(views.metadata_of(view).get("target", ""))
    if target.thing not in (ids.ESCALATE, ids.HAND_OVER):
        raise UserError("That form is not one of Muster's; nothing was done.")
    incident = await tools.desk.get(target.incident_id)
    whom, someone = _WHOM.fullmatch(views.text_of(view, "whom")), views.text_of(view, "person")
    if whom is None or (someone and not _USER_ID.fullmatch(someone)):
        raise UserError("That form is not one of Muster's; nobody was called.")
    if someone and whom["kind"]:
        raise views.FieldErrors({"person": "Choose either one of the list above or a person."})
    reason = views.text_of(view, "reason")
    if target.thing == ids.HAND_OVER:
        require_holder(incident, user_id)
        reason = await _handed_over(tools, user_id, reason)
    await tools.check_responder(incident, user_id)  # first of all: nobody else learns who is who
    command = await escalation(
        tools, incident, level=whom["level"] or "", contact_id=whom["contact"] or "", user_id=someone, reason=reason
    )
    after = await tools.act(incident, command, by=user_id, delivery=delivery)
    title = "Hand over" if target.thing == ids.HAND_OVER else "Escalate"
    return {"response_action": "update", "view": views.notice_view(title, called(after, user_id))}


async def _handed_over(tools: Tools, user_id: str, reason: str) -> str:
    who = await tools.find_person(user_id)
    because = f": {reason}" if reason.strip() else ""
    return f"handed over by {who.name if who else user_id}{because}"


_WHOM = re.compile(r"(?P<kind>next|level:(?P<level>[0-9]{1,4})|contact:(?P<contact>[a-z0-9-]{1,60}))?")
_USER_ID = re.compile(r"[UW][A-Z0-9]{2,30}")

SENT: dict[str, Callable[[Tools, Mapping[str, Any], str, str], Awaitable[Answer]]] = {
    ids.VIEW_DECLARE: _declared,
    ids.VIEW_SKIP: _skipped,
    ids.VIEW_ESCALATE: _escalated,
    **running.SENT,
}
"""What becomes of each form, by callback_id: (tools, view, user id, delivery key) → the answer to Slack."""
