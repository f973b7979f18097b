"""What was deployed at Vercel, and which of it serves: list, rollback, promotion, redeployment. Declares `vercel.logs` too."""

from __future__ import annotations

import time
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from bot.actions.spec import ActionContext, ActionParams, ActionSpec
from bot.actions.vercel_logs import LogsParams, read_logs
from bot.actions.vercel_serving import (
    BUILD_BUDGET_S,
    POINT_BUDGET_S,
    SERVE_BUDGET_S,
    Production,
    ProjectField,
    ProjectParams,
    Served,
    counted,
    deployment_line,
    mark_of,
    page_of,
    short,
    was_bypassed,
)
from bot.domain.errors import PermanentError, TemporaryError, UserError
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.providers.config import VERCEL_PROJECT, VERCEL_TOKEN
from bot.providers.foreign import foreign_text, moment_of, word_of
from bot.providers.vercel import DEPLOYMENT_PATTERN, MOST_DEPLOYMENTS
from bot.providers.vercel_shapes import PRODUCTION, Deployment

HOUR_MS: Final = 3_600_000

DeploymentId = Annotated[str, StringConstraints(pattern=DEPLOYMENT_PATTERN)]
Facts = dict[str, str | int | bool | None]
SETTINGS: Final = (VERCEL_TOKEN, VERCEL_PROJECT)


class DeploymentsParams(ActionParams):
    """`vercel.deployments`: how far back."""

    hours: int = Field(default=48, title="Hours", description="How many hours to look back.", ge=1, le=720)
    project: ProjectField = None


class RollbackParams(ActionParams):
    """`vercel.rollback`: where to."""

    deployment_id: DeploymentId | None = Field(
        default=None,
        title="Deployment",
        description="Id (dpl_…) of the deployment to go back to; without it, the one that served before the current one.",
        json_schema_extra={"placeholder": "dpl_…"},
    )
    project: ProjectField = None


class PromoteParams(ActionParams):
    """`vercel.promote`: which one."""

    deployment_id: DeploymentId = Field(
        title="Deployment",
        description="Id (dpl_…) of the deployment that shall serve production; it was built for production and is ready.",
        json_schema_extra={"placeholder": "dpl_…"},
    )
    project: ProjectField = None


def deployment_actions() -> tuple[ActionSpec, ...]:
    """The actions of this file."""
    return (
        ActionSpec(
            name="vercel.deployments",
            title="Production deployments in Vercel",
            risk=Risk.READ,
            params=DeploymentsParams,
            run=list_deployments,
            settings=SETTINGS,
            deadline_s=40.0,
        ),
        ActionSpec(
            name="vercel.logs",
            title="Logs in Vercel",
            risk=Risk.READ,
            params=LogsParams,
            run=read_logs,
            settings=SETTINGS,
            deadline_s=75.0,
        ),
        ActionSpec(
            name="vercel.rollback",
            title="Roll production back",
            risk=Risk.DESTRUCTIVE,
            params=RollbackParams,
            run=roll_back,
            preview=preview_rollback,
            look=look_at_rollback,
            settings=SETTINGS,
            deadline_s=POINT_BUDGET_S + 120.0,
            idempotency="lookup",
            undo="vercel.promote",
        ),
        ActionSpec(
            name="vercel.promote",
            title="Promote a deployment to production",
            risk=Risk.DESTRUCTIVE,
            params=PromoteParams,
            run=promote,
            preview=preview_promotion,
            look=look_at_promotion,
            settings=SETTINGS,
            deadline_s=POINT_BUDGET_S + 120.0,
            idempotency="lookup",
            undo="vercel.promote",
        ),
        ActionSpec(
            name="vercel.redeploy",
            title="Redeploy production",
            risk=Risk.DESTRUCTIVE,
            params=ProjectParams,
            run=redeploy,
            preview=preview_redeployment,
            look=look_at_redeployment,
            settings=SETTINGS,
            deadline_s=BUILD_BUDGET_S + SERVE_BUDGET_S + POINT_BUDGET_S + 60.0,
            idempotency="lookup",
            undo="vercel.promote",
        ),
    )


# -- what changed before it broke? ----------------------------------------------------------------------------------


async def list_deployments(params: DeploymentsParams, context: ActionContext) -> Outcome:
    """The production deployments of the last hours, newest first, and which variables changed in them."""
    production = await Production.open(params.project, context)
    found = await production.vercel.list_deployments(production.project.id, limit=MOST_DEPLOYMENTS)
    serving = production.serving_id
    since_ms = round(time.time() * 1000) - params.hours * HOUR_MS
    recent = [one for one in found if (one.created_at or 0) >= since_ms]
    shown = recent or [one for one in found if one.id == serving] or list(found[:1])
    variables, unseen = await _changed_variables(production, since_ms)
    is_known = variables is not None and not unseen
    details = [deployment_line(one, serving) for one in shown]
    details += variables or ([f"No variable of the project was changed in the last {params.hours} h"] if is_known else [])
    details += unseen
    if len(found) == MOST_DEPLOYMENTS and len(recent) == len(found):
        details.append(f"There may be more than the {MOST_DEPLOYMENTS} newest ones")
    if production.project.auto_assign is False:
        details.append("Production is pinned (after a rollback): new deployments do not serve until one is promoted")
    current = next((one for one in found if one.id == serving), None)
    serves = f"{short(current)} of {moment_of(current.created_at)} serves" if current else f"{serving or 'nothing known'} serves"
    changed = len(variables) if variables is not None else None
    facts: Facts = {"deployments": len(recent), "serving": serving, "changed_variables": changed}
    said = counted(changed, "changed variable") if changed is not None else "an unknown number of changed variables"
    at_least = "at least " if changed is not None and not is_known else ""
    return Outcome(
        state=State.OK if is_known else State.UNKNOWN,
        value=f"{len(recent)} in {params.hours} h",
        summary=f"{counted(len(recent), 'production deployment')} and {at_least}{said} in the last {params.hours} h; {serves}",
        details=tuple(details),
        facts=facts,
    )


async def _changed_variables(production: Production, since_ms: int) -> tuple[list[str] | None, list[str]]:
    """(lines of what changed since, newest first; None when nothing could be read; what could not be seen). Names and moments,
    never a value."""
    try:
        listing = await production.vercel.list_env(production.project.id)
    except (PermanentError, TemporaryError):
        return None, ["Whether a variable was changed could not be read"]
    changed = [one for one in listing.variables if (one.updated_at or 0) >= since_ms]
    changed.sort(key=lambda one: one.updated_at or 0, reverse=True)
    lines = [
        f"Variable {foreign_text(one.key)} ({', '.join(map(word_of, one.targets)) or 'no environment'}) was changed "
        f"{moment_of(one.updated_at)}"
        for one in changed
    ]
    unseen = [f"{listing.hidden_production} production variables are hidden from this token"] if listing.hidden_production else []
    unseen += [] if listing.complete else ["the list of variables is longer than could be read"]
    return lines, unseen


# -- rollback and promotion -----------------------------------------------------------------------------------------


async def preview_rollback(params: RollbackParams, context: ActionContext) -> Preview:
    """From where to where. Raises: UserError when it cannot be rolled back to that."""
    production = await Production.open(params.project, context)
    target = await _rollback_target(params, production)
    consequence = (
        "The older build comes back with the variables of its time, an emergency bypass of that time included; "
        "new deployments will not serve until one is promoted"
    )
    return await _preview_pointing(production, target, "Roll back", consequence)


async def preview_promotion(params: PromoteParams, context: ActionContext) -> Preview:
    """From where to where. Raises: UserError when it cannot be promoted."""
    production = await Production.open(params.project, context)
    target = await production.vercel.get_deployment(params.deployment_id)
    consequence = "Nothing is built: it serves with the variables of its time; new deployments serve by themselves again"
    return await _preview_pointing(production, target, "Promote", consequence)


async def _preview_pointing(production: Production, target: Deployment, verb: str, consequence: str) -> Preview:
    if target.target != PRODUCTION or not target.is_ready:
        raise UserError(
            f"{short(target)} is not a production deployment that is ready; choose one of the list of production deployments"
        )
    current = await production.current()
    state = f"{current.id}>{target.id}"
    if current.id == target.id:
        return Preview(
            summary=f"{short(target)} serves production already; nothing would change.", nothing_to_do=True, state=state
        )
    open_doors = (
        (f"{target.id} was made with the emergency bypass on: every route would be open",) if was_bypassed(target) else ()
    )
    return Preview(
        summary=f"Production goes from {short(current)} to {short(target)}, for all users at once.",
        items=(*open_doors, f"Now: {deployment_line(current)}", f"Then: {deployment_line(target)}", consequence),
        confirm_label=verb,
        state=state,
    )


async def _rollback_target(params: RollbackParams, production: Production) -> Deployment:
    """The one that was asked for, or that an earlier attempt chose; else the newest older one of another commit, and none that
    was made with the emergency bypass on."""
    if params.deployment_id:
        return await production.vercel.get_deployment(params.deployment_id)
    notes = await production.context.job.notes()
    noted = notes.get("target")
    if isinstance(noted, str):
        return await production.vercel.get_deployment(noted)
    current = await production.current()
    for found in await production.vercel.list_deployments(production.project.id, limit=MOST_DEPLOYMENTS):
        older = (found.created_at or 0) < (current.created_at or 0)
        can = found.is_ready and found.is_rollback_candidate is not False
        if older and can and not was_bypassed(found) and (not found.commit or found.commit != current.commit):
            return found
    raise UserError("No production deployment from before the current one can be rolled back to; see vercel.com")


async def roll_back(params: RollbackParams, context: ActionContext) -> Outcome:
    """Point production at the older deployment and see it there."""
    production = await Production.open(params.project, context)
    return await _point(production, await _rollback_target(params, production), "rollback")


async def promote(params: PromoteParams, context: ActionContext) -> Outcome:
    """Point production at the deployment and see it there."""
    production = await Production.open(params.project, context)
    return await _point(production, await production.vercel.get_deployment(params.deployment_id), "promote")


async def _point(production: Production, target: Deployment, kind: Literal["promote", "rollback"]) -> Outcome:
    current = await production.current()
    if current.id == target.id:
        notes = await production.context.job.notes()
        before = notes.get("before")
        return _pointed(target, str(before) if before else None, Served(state="serving", why="it served already"))
    await production.context.job.save({"target": target.id, "before": current.id})
    return _pointed(target, current.id, await production.point_at(target.id, kind))


def _pointed(target: Deployment, before: str | None, served: Served) -> Outcome:
    facts: Facts = {"deployment": target.id, "previous": before}
    if before:
        facts["undo_deployment_id"] = before
    if served.state == "serving":
        return Outcome(
            state=State.OK,
            value="serves production",
            summary=f"{short(target)} serves production",
            details=(f"Seen: {served.why}", *((f"Before: {before}",) if before else ())),
            facts=facts,
        )
    state = State.FAILING if served.state == "failed" else State.UNKNOWN
    return Outcome(
        state=state,
        value="failed" if served.state == "failed" else "not seen",
        summary=f"{short(target)} was not seen to serve production: {served.why}",
        remedy="Look at the project at vercel.com before you ask for it again",
        facts=facts,
    )


async def look_at_rollback(params: RollbackParams, context: ActionContext) -> Outcome:
    """Whether production is where the run wanted it; without a deployment that it chose, it asked for nothing."""
    notes = await context.job.notes()
    target_id = params.deployment_id or notes.get("target")
    if not isinstance(target_id, str):
        return Outcome(state=State.FAILING, value="not done", summary="Nothing was asked of Vercel yet")
    return await _seen(target_id, params.project, context)


async def look_at_promotion(params: PromoteParams, context: ActionContext) -> Outcome:
    """Whether the deployment serves production."""
    return await _seen(params.deployment_id, params.project, context)


async def _seen(target_id: str, project: str | None, context: ActionContext) -> Outcome:
    production = await Production.open(project, context)
    target = await production.vercel.get_deployment(target_id)
    request = production.project.last_alias_request
    ours = request if request and request.to_id == target_id else None
    if production.serving_id == target_id:
        return _pointed(target, ours.from_id if ours else None, Served(state="serving", why="the project names it"))
    if ours and ours.status in ("pending", "in-progress"):
        return _pointed(target, ours.from_id, Served(state="waiting", why="Vercel has not finished the change yet"))
    return Outcome(
        state=State.FAILING,
        value="not done",
        summary=f"{short(target)} does not serve production; {production.serving_id} does",
        facts={"deployment": target_id},
    )


# -- redeployment ---------------------------------------------------------------------------------------------------


async def preview_redeployment(params: ProjectParams, context: ActionContext) -> Preview:
    """Which deployment is built once more."""
    production = await Production.open(params.project, context)
    current = await production.current()
    pinned = production.project.auto_assign is False
    items = [deployment_line(current, current.id), "The same commit is built with the variables of now; it takes some minutes"]
    items += ["Production is pinned after a rollback: the new deployment is promoted, which ends that"] if pinned else []
    return Preview(
        summary=f"{short(current)} is built once more for production and takes over when it is ready.",
        items=tuple(items),
        confirm_label="Redeploy",
        state=current.id,
    )


async def redeploy(params: ProjectParams, context: ActionContext) -> Outcome:
    """Build what serves once more, and see the new deployment serve."""
    production = await Production.open(params.project, context)
    notes = await context.job.notes()
    noted = notes.get("before")
    before = str(noted) if noted else (await production.current()).id
    await context.job.save({"before": before})
    source = await production.vercel.get_deployment(before)
    made = await production.rebuild(source, mark=await mark_of(context, "redeploy"))
    return _redeployed(made, before, await production.until_serving(made))


def _redeployed(made: Deployment, before: str | None, served: Served) -> Outcome:
    facts: Facts = {"deployment": made.id, "previous": before}
    if before:
        facts["undo_deployment_id"] = before
    if served.state == "serving":
        summary = f"{made.id} was built and serves production" if not served.why else f"{made.id} was built; {served.why}"
        return Outcome(state=State.OK, value="serves production", summary=summary, facts=facts)
    failed = served.state == "failed"
    return Outcome(
        state=State.FAILING if failed else State.UNKNOWN,
        value="failed" if failed else "not seen",
        summary=f"The redeployment does not serve yet: {served.why}" if not failed else f"It does not serve: {served.why}",
        remedy=f"Look at the build at {page_of(made)}; what served before still does",
        facts=facts,
    )


async def look_at_redeployment(params: ProjectParams, context: ActionContext) -> Outcome:
    """Whether the deployment of this run serves; failing where there is none."""
    production = await Production.open(params.project, context)
    mark = await mark_of(context, "redeploy")
    made = await production.find(mark)
    if made is None:
        return Outcome(
            state=State.FAILING, value="not done", summary="There is no deployment of this run that was built or is being built"
        )
    before = (await context.job.notes()).get("before")
    if production.serving_id == made.id:
        return _redeployed(made, str(before) if before else None, Served(state="serving"))
    return Outcome(
        state=State.FAILING,
        value="not finished",
        summary=f"{made.id} was made and does not serve production yet",
        facts={"deployment": made.id},
    )
