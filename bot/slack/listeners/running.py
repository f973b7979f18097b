"""The runs of actions as people work on them: asking, approving, denying, stopping, looking again, taking back, watching.

The tables at the end say what each button and each form does. Who may is asked when the click arrives; what a run would do is
in its preview, and never in a button.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import ValidationError

from bot.domain.commands import (
    BreakGlass,
    CancelRun,
    Command,
    ConfirmRun,
    DenyRun,
    EndWatch,
    LookAtRun,
    RequestRun,
    RevertNow,
    StartWatch,
    StopRun,
)
from bot.domain.errors import ForbiddenError, UserError
from bot.domain.incident import Incident
from bot.domain.outcome import Risk
from bot.domain.policy import NEEDED_FOR, Permission
from bot.domain.run import Run
from bot.domain.runbook import Step
from bot.domain.service import find_unset
from bot.domain.text import REASON_MAX_CHARS, clean
from bot.services.ports import ActionInfo
from bot.slack.blocks import ids, views
from bot.slack.blocks.runs import DIGEST_SHOWN
from bot.slack.listeners.pressed import Answer, Click, in_room, open_view
from bot.slack.listeners.tools import Tools

ALONE_S = 0.5
"""So long it may take to see that nobody else may approve: Slack waits for our answer."""


async def _run_step(tools: Tools, pressed: Click) -> None:
    """Ask for what the runbook does not give, or, when it gives everything, ask for the run at once."""
    incident, target = await in_room(tools, pressed)
    step, action = action_of(tools, incident, target.thing)
    on_record = await tools.permissions.require(pressed.user_id, NEEDED_FOR[action.risk], incident)
    if _needs_form(action, step):
        view = views.run_view(pressed.value, action.title, action.params, step.with_, step.caution, tuple(incident.accounts))
        await open_view(tools, pressed.trigger_id, view)
        return
    command = _request(action, dict(step.with_), step_id=step.id)
    await tools.do(incident, command, by=pressed.user_id, delivery=pressed.delivery, on_record=on_record)


def _needs_form(action: ActionInfo, step: Step) -> bool:
    """What only reads is not held up by what could be filled in."""
    asked = views.missing_fields(action.params, step.with_).values()
    return any(field.is_required() or action.risk is not Risk.READ for field in asked)


async def _run_requested(tools: Tools, view: Mapping[str, Any], user_id: str, delivery: str) -> Answer:
    incident, target = await _target_of(tools, view)
    step, action = action_of(tools, incident, target.thing)
    on_record = await tools.permissions.require(user_id, NEEDED_FOR[action.risk], incident)
    params = views.read_params(view, action.params, step.with_, tuple(incident.accounts))
    command = _request(action, params, step_id=step.id)
    await tools.do(incident, command, by=user_id, delivery=delivery, on_record=on_record)
    return None


async def _ask_again(tools: Tools, pressed: Click) -> None:
    """The same once more, with the same parameters: it gets a preview of its own."""
    incident, target = await in_room(tools, pressed)
    run = run_of(incident, target.thing)
    if not run.expired_at:
        raise UserError(f"“{run.title}” did not expire; look at its message.")
    await _ask(tools, pressed, incident, run, run.action, dict(run.params), undoes=run.undoes)


async def _undo(tools: Tools, pressed: Click) -> None:
    """Ask for what takes a run back: a run of its own, with a preview, and a second person where the undo needs one."""
    incident, target = await in_room(tools, pressed)
    run = run_of(incident, target.thing)
    undo = tools.actions.get(run.undo)
    if undo is None:
        raise UserError(f"This version of Muster cannot take back “{run.title}”; do it by hand.")
    await _ask(tools, pressed, incident, run, undo.name, run.undo_params(undo.params.model_fields), undoes=run.id)


async def _ask(
    tools: Tools, pressed: Click, incident: Incident, run: Run, name: str, params: dict[str, Any], *, undoes: str
) -> None:
    """Ask for an action that follows from an earlier run of the same step."""
    action = tools.actions.get(name)
    if action is None:
        raise UserError(f"This version of Muster has no action {name} any more; do it by hand.")
    on_record = await tools.permissions.require(pressed.user_id, NEEDED_FOR[action.risk], incident)
    command = _request(action, params, step_id=run.step_id, undoes=undoes)
    await tools.do(incident, command, by=pressed.user_id, delivery=pressed.delivery, on_record=on_record)


def _request(action: ActionInfo, params: dict[str, Any], *, step_id: str, undoes: str = "") -> RequestRun:
    """What is asked of the desk. Raises: UserError when the parameters do not fit the action any more."""
    try:
        checked = action.params.model_validate(params)
    except ValidationError as error:
        names = ", ".join(dict.fromkeys(str(problem["loc"][0]) for problem in error.errors() if problem["loc"]))
        raise UserError(f"“{action.title}” cannot run with these parameters any more ({names or 'together'}).") from None
    return RequestRun(
        step_id=step_id,
        action=action.name,
        title=action.title,
        risk=action.risk,
        params=checked.model_dump(mode="json"),
        undo=action.undo,
        undoes=undoes,
        revert_after_s=action.revert_after_s(checked) if action.revert_after_s else None,
    )


# -- yes and no ------------------------------------------------------------------------------------------------------


async def _confirm(tools: Tools, pressed: Click) -> None:
    incident, target = await in_room(tools, pressed)
    run = run_of(incident, target.thing)
    on_record = await tools.permissions.require_confirmer(pressed.user_id, incident, run)
    command = ConfirmRun(run_id=run.id)
    await tools.do(incident, command, by=pressed.user_id, delivery=pressed.delivery, on_record=on_record)


def _saying_no(make: Callable[[str], Command]) -> Callable[[Tools, Click], Awaitable[None]]:
    """An act that ends something, or takes it back: more people may do that than may begin it."""

    async def act(tools: Tools, pressed: Click) -> None:
        incident, target = await in_room(tools, pressed)
        run = run_of(incident, target.thing)
        on_record = await tools.permissions.require_no(pressed.user_id, incident, run)
        await tools.do(incident, make(run.id), by=pressed.user_id, delivery=pressed.delivery, on_record=on_record)

    return act


async def _break_glass(tools: Tools, pressed: Click) -> None:
    """The form that asks why; not before it is time, unless there is nobody to wait for."""
    incident, target = await in_room(tools, pressed)
    run = run_of(incident, target.thing)
    await _require_asker(tools, incident, run, pressed.user_id)
    if not run.is_waiting or run.preview is None:
        raise UserError(f"“{run.title}” does not wait for anybody any more; look at its message.")
    left_s = (run.break_glass_at - tools.clock.now()).total_seconds() if run.break_glass_at else 0.0
    if left_s > 0 and not await _is_alone(tools, incident, run):
        raise UserError(f"Somebody may still approve it; without a second person it can go on in {max(1, round(left_s))} s.")
    view = views.break_glass_view(pressed.value, run.title, run.preview.summary, run.params_digest[:DIGEST_SHOWN])
    await open_view(tools, pressed.trigger_id, view)


async def _glass_broken(tools: Tools, view: Mapping[str, Any], user_id: str, delivery: str) -> Answer:
    incident, target = await _target_of(tools, view)
    run = run_of(incident, target.thing)
    on_record = await _require_asker(tools, incident, run, user_id)
    reason = clean(views.text_of(view, "reason"), max_chars=REASON_MAX_CHARS)
    if not reason:
        raise views.FieldErrors({"reason": "The reason is part of the record."})
    early = run.break_glass_at is not None and tools.clock.now() < run.break_glass_at
    alone = early and await _is_alone(tools, incident, run)
    command = BreakGlass(run_id=run.id, reason=reason, alone=alone)
    await tools.do(incident, command, by=user_id, delivery=delivery, on_record=on_record)
    return None


async def _require_asker(tools: Tools, incident: Incident, run: Run, user_id: str) -> bool:
    """Like ``Permissions.require``: only whoever asked for it goes on alone, and only with the right to ask for it."""
    on_record = await tools.permissions.require(user_id, NEEDED_FOR[run.risk], incident)
    if user_id != run.requested.by:
        raise ForbiddenError(f"Only <@{run.requested.by}>, who asked for it, can go on alone. You can approve it or deny it.")
    return on_record


async def _is_alone(tools: Tools, incident: Incident, run: Run) -> bool:
    """Whether Slack says, while it waits for our answer, that nobody else may approve."""
    try:
        async with asyncio.timeout(ALONE_S):
            approvers = await tools.permissions.approvers(incident, run)
    except TimeoutError:
        return False
    return approvers is not None and not approvers


# -- afterwards ------------------------------------------------------------------------------------------------------


def _commanding(make: Callable[[str], Command]) -> Callable[[Tools, Click], Awaitable[None]]:
    """An act that changes nothing outside of Muster."""

    async def act(tools: Tools, pressed: Click) -> None:
        incident, target = await in_room(tools, pressed, fresh=False)
        command = make(target.thing)
        await tools.act(incident, command, by=pressed.user_id, delivery=pressed.delivery, permission=Permission.READ)

    return act


async def _target_of(tools: Tools, view: Mapping[str, Any]) -> tuple[Incident, ids.Target]:
    """What a form is about."""
    target = ids.parse(views.metadata_of(view).get("target", ""))
    return await tools.desk.get(target.incident_id), target


def run_of(incident: Incident, run_id: str) -> Run:
    """Raises: UserError when the incident has no such run."""
    run = incident.runs.get(run_id)
    if run is None:
        raise UserError("There is no such run in this incident.")
    return run


def action_of(tools: Tools, incident: Incident, step_id: str) -> tuple[Step, ActionInfo]:
    """The step and the action that it runs. Raises: UserError when this version has no such action, or a variable is not set."""
    if incident.runbook is None:
        raise UserError("This incident has no runbook yet.")
    step = incident.runbook.step(step_id)
    action = tools.actions.get(step.run or "")
    if action is None:
        raise UserError(f"This version of Muster cannot run “{step.title}”; do it by hand and tick it.")
    unset = find_unset(dict(step.with_), incident.runbook.service)
    if unset:
        raise UserError(f"“{step.title}” is not configured: set {', '.join(unset)}, or the variable in runbooks/services.yml.")
    return step, action


ACTS: dict[str, Callable[[Tools, Click], Awaitable[None]]] = {
    ids.RUN_STEP: _run_step,
    ids.ASK_AGAIN: _ask_again,
    ids.CONFIRM_RUN: _confirm,
    ids.DENY_RUN: _saying_no(lambda run_id: DenyRun(run_id=run_id)),
    ids.CANCEL_RUN: _saying_no(lambda run_id: CancelRun(run_id=run_id)),
    ids.BREAK_GLASS: _break_glass,
    ids.STOP_RUN: _saying_no(lambda run_id: StopRun(run_id=run_id)),
    ids.LOOK_AT_RUN: _commanding(lambda run_id: LookAtRun(run_id=run_id)),
    ids.UNDO_RUN: _undo,
    ids.REVERT_NOW: _saying_no(lambda run_id: RevertNow(run_id=run_id)),
    ids.START_WATCH: _commanding(lambda step_id: StartWatch(step_id=step_id)),
    ids.END_WATCH: _commanding(lambda step_id: EndWatch(step_id=step_id)),
}
"""What each action_id of a run asks of the desk."""

SENT: dict[str, Callable[[Tools, Mapping[str, Any], str, str], Awaitable[Answer]]] = {
    ids.VIEW_RUN: _run_requested,
    ids.VIEW_BREAK_GLASS: _glass_broken,
}
"""What becomes of each form about a run, by callback_id."""
