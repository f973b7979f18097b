"""Clicks on buttons and menus: a table from action_id to what it asks of the desk.

The part of an action_id behind ":" only keeps it unique in its block. What a person may do is decided now, not when the
button was drawn; the ids in the value are claims until they are checked.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from bot.domain.commands import (
    Acknowledge,
    AssignRole,
    ChangeImpact,
    ChangeSeverity,
    ChangeStatus,
    CheckIn,
    ChooseBranch,
    ChooseRunbook,
    Command,
    RunDiagnostics,
    TickStep,
    UntickStep,
)
from bot.domain.errors import UserError
from bot.domain.facts import Impact, Origin, Role, Status
from bot.domain.policy import Permission
from bot.domain.severity import Severity
from bot.services.desk import TakenError
from bot.slack.blocks import ids, views
from bot.slack.blocks.messages import room_link
from bot.slack.blocks.parts import person
from bot.slack.listeners import running
from bot.slack.listeners.covering import press_cover
from bot.slack.listeners.declaring import KNOWN_PRIVATELY, answer_when_ready, declare
from bot.slack.listeners.escalating import offers, require_holder
from bot.slack.listeners.forms import open_declare_form
from bot.slack.listeners.pressed import Click, incident_of, open_view
from bot.slack.listeners.tools import Tools
from bot.slack.patience import one_request

RUNBOOK_IDS = re.compile(rf"[a-z0-9-]{{1,80}}(?:\+[a-z0-9-]{{1,80}}){{0,{ids.MOST_CANDIDATES - 1}}}")


async def click(tools: Tools, pressed: Click) -> None:
    """Do what the click asks. Raises: UserError with what to tell the person, and what the desk raises."""
    if pressed.action_id == ids.LINK:
        return
    act = ACTS.get(pressed.action_id)
    if act is None:
        raise UserError("That button is from another version of Muster; look at the newest card.")
    with one_request():
        await act(tools, pressed)


Make = Callable[[ids.Target, Click], Command]


def _commanding(make: Make, *, permission: Permission | None = None) -> Callable[[Tools, Click], Awaitable[None]]:
    """An act that is one command of a responder, or of whoever has the ``permission``."""

    async def act(tools: Tools, pressed: Click) -> None:
        incident, target = await incident_of(tools, pressed, fresh=False)
        command = make(target, pressed)
        try:
            await tools.act(incident, command, by=pressed.user_id, delivery=pressed.delivery, permission=permission)
        except TakenError as taken:  # a runbook chosen, or an incident reopened, while another one works on the same
            other = await tools.desk.get(taken.incident_id)
            where = "in a private room" if other.private else f"in {room_link(other)}"
            raise UserError(f"The same thing is open already, {where}. Go on there; nothing was changed here.") from taken

    return act


def _status(target: ids.Target) -> Status:
    if target.thing not in list(Status):
        raise UserError("There is no such status.")
    return Status(target.thing)


def _severity(target: ids.Target) -> Severity:
    if target.thing not in Severity.__members__:
        raise UserError("There is no such severity.")
    return Severity(target.thing)


async def _not_an_incident(tools: Tools, pressed: Click) -> None:
    """Anybody who may declare may also take back what a phrase opened, where it was said, as long as it is in triage."""
    incident, _ = await incident_of(tools, pressed)
    await tools.check_person(pressed.user_id)
    if pressed.channel_id == incident.channel_id or incident.origin.how != "phrase":
        await tools.check_responder(incident, pressed.user_id)
    command = ChangeStatus(status=Status.FALSE_POSITIVE, reason="not an incident")
    await tools.desk.handle(incident.id, command, by=pressed.user_id, delivery=pressed.delivery)


async def _skip(tools: Tools, pressed: Click) -> None:
    incident, target = await incident_of(tools, pressed)
    title = incident.runbook.step(target.thing).title if incident.runbook else target.thing
    await open_view(tools, pressed.trigger_id, views.skip_view(pressed.value, title))


def _impact(target: ids.Target) -> ChangeImpact:
    if target.thing not in list(Impact) or target.detail not in ("on", "off"):
        raise UserError("There is no such impact.")
    return ChangeImpact(impact=Impact(target.thing), on=target.detail == "on")


async def _check_in(tools: Tools, pressed: Click) -> None:
    """Only who has it can say so: somebody else's word would keep everybody waiting."""
    incident, _ = await incident_of(tools, pressed)
    require_holder(incident, pressed.user_id)
    await tools.act(incident, CheckIn(), by=pressed.user_id, delivery=pressed.delivery)


async def _escalate(tools: Tools, pressed: Click) -> None:
    incident, _ = await incident_of(tools, pressed, fresh=False)
    view = views.escalate_view(ids.value(incident.id, ids.ESCALATE), offers(incident))
    await open_view(tools, pressed.trigger_id, view)


async def _hand_over(tools: Tools, pressed: Click) -> None:
    incident, _ = await incident_of(tools, pressed, fresh=False)
    view = views.escalate_view(ids.value(incident.id, ids.HAND_OVER), offers(incident), handing_over=True)
    await open_view(tools, pressed.trigger_id, view)


async def _take_test(tools: Tools, pressed: Click) -> None:
    """Nothing is behind a test page; that it was seen is the whole answer."""
    text = f"✅ {person(pressed.user_id)} has seen this test. There is nothing else to do."
    tools.answers.soon(
        tools.answers.respond(pressed.response_url, {"replace_original": True, "text": text}), name="test page answered"
    )


async def _cover(tools: Tools, pressed: Click) -> None:
    place = f"{pressed.channel_id}:{pressed.message_ts}"
    await press_cover(tools, pressed.value, by=pressed.user_id, place=place, response_url=pressed.response_url)


async def _open_from_prompt(tools: Tools, pressed: Click) -> None:
    runbook_ids = _runbook_ids(tools, pressed)
    origin = Origin(how="prompt", channel_id=pressed.channel_id, message_ts=pressed.thread_ts or pressed.message_ts)
    title = tools.catalog.runbooks[runbook_ids[0]].title
    declared = await declare(
        tools,
        words=title,
        user_id=pressed.user_id,
        origin=origin,
        delivery=pressed.delivery,
        runbook_ids=runbook_ids,
    )
    text = KNOWN_PRIVATELY if declared.incident.private else f"{person(pressed.user_id)} opened an incident."
    tools.answers.soon(
        tools.answers.respond(pressed.response_url, {"replace_original": True, "text": text}), name="prompt answered"
    )


async def _dismiss_prompt(tools: Tools, pressed: Click) -> None:
    await tools.check_person(pressed.user_id)
    tools.answers.soon(
        tools.answers.respond(
            pressed.response_url,
            {"replace_original": True, "text": f"Not an incident, says {person(pressed.user_id)}."},
        ),
        name="prompt dismissed",
    )


async def _open_runbook(tools: Tools, pressed: Click) -> None:
    runbook_ids = _runbook_ids(tools, pressed)
    declared = await declare(
        tools,
        words=tools.catalog.runbooks[runbook_ids[0]].title,
        user_id=pressed.user_id,
        origin=Origin(how="prompt", channel_id=pressed.channel_id),
        delivery=pressed.delivery,
        runbook_ids=runbook_ids,
    )
    tools.answers.soon(answer_when_ready(tools, declared, pressed.response_url), name="where the room is (runbook)")


def _runbook_ids(tools: Tools, pressed: Click) -> tuple[str, ...]:
    if not RUNBOOK_IDS.fullmatch(pressed.value):
        raise UserError("That button is not one of Muster's; nothing was done.")
    known = tuple(identity for identity in pressed.value.split("+") if identity in tools.catalog.runbooks)
    if not known:
        raise UserError("That runbook is gone; open the incident with words instead.")
    return known


async def _open_form(tools: Tools, pressed: Click) -> None:
    await open_declare_form(tools, trigger_id=pressed.trigger_id, channel_id=pressed.channel_id)


ACTS: dict[str, Callable[[Tools, Click], Awaitable[None]]] = {
    ids.ACKNOWLEDGE: _commanding(lambda target, pressed: Acknowledge(via="slack")),
    ids.TAKE_COMMAND: _commanding(lambda target, pressed: AssignRole(role=Role.INCIDENT_COMMANDER, user_id=pressed.user_id)),
    ids.NOT_AN_INCIDENT: _not_an_incident,
    ids.RESOLVE: _commanding(lambda target, pressed: ChangeStatus(status=Status.RESOLVED)),
    ids.REOPEN: _commanding(lambda target, pressed: ChangeStatus(status=Status.INVESTIGATING)),
    ids.CHANGE_STATUS: _commanding(lambda target, pressed: ChangeStatus(status=_status(target))),
    ids.CHANGE_SEVERITY: _commanding(lambda target, pressed: ChangeSeverity(severity=_severity(target))),
    ids.CHANGE_IMPACT: _commanding(lambda target, pressed: _impact(target)),
    ids.CHECK_IN: _check_in,
    ids.ESCALATE: _escalate,
    ids.HAND_OVER: _hand_over,
    ids.TAKE_TEST: _take_test,
    ids.COVER: _cover,
    ids.CHOOSE_RUNBOOK: _commanding(lambda target, pressed: ChooseRunbook(runbook_id=target.thing)),
    ids.RUN_DIAGNOSTICS: _commanding(lambda target, pressed: RunDiagnostics(), permission=Permission.READ),
    ids.TICK: _commanding(lambda target, pressed: TickStep(step_id=target.thing)),
    ids.UNTICK: _commanding(lambda target, pressed: UntickStep(step_id=target.thing)),
    ids.SKIP: _skip,
    ids.CHOOSE_BRANCH: _commanding(lambda target, pressed: ChooseBranch(step_id=target.thing, branch_id=target.detail)),
    ids.OPEN_FROM_PROMPT: _open_from_prompt,
    ids.DISMISS_PROMPT: _dismiss_prompt,
    ids.OPEN_WORDS: _open_form,
    ids.OPEN_RUNBOOK: _open_runbook,
    **running.ACTS,
}
"""What each action_id asks of the desk."""
