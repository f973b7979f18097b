"""Whether the emergency bypass could be turned on and off today, looked at in peacetime. Declared in `bot.actions.bypass`."""

from __future__ import annotations

from bot.actions.bypass_sight import ApplicationParams, Sight, see
from bot.actions.bypass_switch import KEY, BypassSwitch
from bot.actions.http import unset_address
from bot.actions.spec import ActionContext
from bot.actions.vercel_serving import Production
from bot.domain.errors import UserError
from bot.domain.outcome import Outcome, State
from bot.providers.config import VERCEL_TOKEN


async def check_ready(params: ApplicationParams, context: ActionContext) -> Outcome:
    """Whether the bypass could be turned on and off today, as far as that can be seen without turning it on.

    That the middleware knows the variable cannot be seen from outside; it is said, not guessed.
    """
    unset = unset_address(f"{params.app_url}/")
    if unset:
        return unset
    production = await Production.open(params.project, context)
    switch = BypassSwitch(production.vercel, production.project.id, context.run.incident_id)
    await switch.read()
    sight = await see(params, context)
    good, bad, unsure = _findings(params, production, switch, sight)
    details = (*(f"✗ {one}" for one in bad), *(f"? {one}" for one in unsure), *(f"✓ {one}" for one in good))
    unseen = f"that the middleware knows {KEY} is only seen when it is turned on: rehearse it in a drill"
    if bad:
        return Outcome(
            state=State.FAILING, value="not ready", summary=f"The emergency bypass is not ready: {bad[0]}", details=details,
            remedy="Mend what is marked with ✗ while nothing burns",
        )  # fmt: skip
    if unsure:
        return Outcome(
            state=State.UNKNOWN, value="not certain", summary=f"Whether the bypass is ready is not certain: {unsure[0]}",
            details=(*details, f"? {unseen}"), remedy="Give the step a protected_path, and the token a role that sees production",
        )  # fmt: skip
    return Outcome(
        state=State.OK,
        value="in place",
        summary="What the emergency bypass needs is in place, as far as can be seen from outside",
        details=(*details, f"? {unseen}"),
    )


def _findings(
    params: ApplicationParams, production: Production, switch: BypassSwitch, sight: Sight
) -> tuple[list[str], list[str], list[str]]:
    """(what is in place, what is not, what cannot be told)."""
    good, bad, unsure = [], [], []
    if sight.state == "on":
        bad.append(f"the bypass is on now: {sight.words}")
    elif sight.state == "open":
        bad.append(f"the protected path is open to everyone: {sight.words}")
    elif sight.state == "off":
        good.append(f"the application refuses who has no session: {sight.words}")
    else:
        unsure.append(f"whether it is off cannot be told: {sight.words}")
    if switch.may_be_on:
        bad.append(f"{KEY} is set for production now, so the next deployment opens every route")
    elif not switch.is_seen_whole:
        unsure.append("variables of production are hidden from this token")
    else:
        good.append(f"{KEY} is not on at Vercel")
    try:
        switch.plan()
    except UserError as error:
        bad.append(str(error))
    _judge_token(production, good, bad, unsure)
    if production.serving_id is None:
        bad.append("no deployment serves production at Vercel")
    if production.project.auto_assign is False:
        unsure.append("production is pinned after a rollback: turning the bypass on would end that")
    return good, bad, unsure


def _judge_token(production: Production, good: list[str], bad: list[str], unsure: list[str]) -> None:
    """What the token may do, as the project says it; many projects do not say."""
    needed = {"projectEnvVarsProduction": ("create", "delete"), "deployment": ("create",)}
    allowed = production.project.permissions
    if not all(thing in allowed for thing in needed):
        unsure.append(f"Vercel does not say whether {VERCEL_TOKEN} may change variables of production and deploy")
        return
    missing = [f"{verb} {thing}" for thing, verbs in needed.items() for verb in verbs if verb not in allowed[thing]]
    if missing:
        bad.append(f"{VERCEL_TOKEN} may not: {', '.join(missing)}")
    else:
        good.append(f"{VERCEL_TOKEN} may change variables of production and deploy")
