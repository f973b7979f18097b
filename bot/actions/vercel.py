"""Actions on Vercel: its variables; what is deployed and serves is in `vercel_deployments`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from bot.actions.spec import ActionContext, ActionParams, ActionSpec
from bot.actions.vercel_deployments import deployment_actions
from bot.actions.vercel_serving import ProjectField, project_of
from bot.domain.errors import PermanentError, TemporaryError
from bot.domain.outcome import Outcome, Risk, State
from bot.providers.config import VERCEL_PROJECT, VERCEL_TOKEN
from bot.providers.vercel import VercelClient
from bot.providers.vercel_shapes import EnvListing, EnvVariable

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


class EnvParams(ActionParams):
    """`vercel.env`: which variables must be there."""

    names: tuple[VariableName, ...] = Field(
        title="Variables",
        description="Names of the variables that must be set; their values are never read.",
        min_length=1,
        max_length=50,
        json_schema_extra={"placeholder": "CLERK_SECRET_KEY"},
    )
    target: Literal["production", "preview", "development"] = Field(
        default="production", title="Environment", description="The environment that they must be set for."
    )
    project: ProjectField = None


def vercel_actions() -> tuple[ActionSpec, ...]:
    """The actions of Vercel."""
    return (
        ActionSpec(
            name="vercel.env",
            title="Environment variables in Vercel",
            risk=Risk.READ,
            params=EnvParams,
            run=check_env,
            settings=(VERCEL_TOKEN, VERCEL_PROJECT),
            deadline_s=40.0,
        ),
        *deployment_actions(),
    )


async def check_env(params: EnvParams, context: ActionContext) -> Outcome:
    """`failing` when a variable is certainly not there; `unknown` when it may be hidden from the token."""
    vercel = context.providers.vercel()
    project = project_of(params.project, context)
    own = await vercel.list_env(project)
    listings, unseen = [own], _reasons_unseen(own)
    if _missing(params, own.variables):
        shared, reasons = await _shared(vercel, project)
        listings.append(shared)
        unseen += reasons
    return _outcome_of(params, [found for listing in listings for found in listing.variables], unseen)


async def _shared(vercel: VercelClient, project: str) -> tuple[EnvListing, list[str]]:
    """What the team shares; that this list could not be read makes a missing variable unknown, not present."""
    try:
        shared = await vercel.list_shared_env(project)
    except (PermanentError, TemporaryError):
        return EnvListing(variables=()), ["variables that the team shares could not be read"]
    return shared, [] if shared.complete else ["the list of variables that the team shares is longer than could be read"]


def _reasons_unseen(listing: EnvListing) -> list[str]:
    reasons = []
    if listing.hidden_production:
        reasons.append(f"{listing.hidden_production} production variables are hidden from this token")
    if not listing.complete:
        reasons.append("the list is longer than could be read")
    return reasons


def _missing(params: EnvParams, variables: Iterable[EnvVariable]) -> list[str]:
    present = {found.key for found in variables if params.target in found.targets}
    return [name for name in params.names if name not in present]


def _outcome_of(params: EnvParams, variables: list[EnvVariable], unseen: list[str]) -> Outcome:
    missing = _missing(params, variables)
    details = tuple(_line(name, variables) for name in params.names)
    facts: dict[str, str | int | bool | None] = {"asked": len(params.names), "missing": len(missing)}
    value = f"{len(params.names) - len(missing)} of {len(params.names)} set"
    if not missing:
        summary = f"Set for {params.target}: {', '.join(params.names)}"
        return Outcome(state=State.OK, value=value, summary=summary, details=details, facts=facts)
    if unseen:
        return Outcome(
            state=State.UNKNOWN,
            value="not visible",
            summary=f"Not seen for {params.target}: {', '.join(missing)}; {'; '.join(unseen)}",
            details=details,
            remedy=f"Look in Vercel's settings of the project, or give {VERCEL_TOKEN} a role that sees production",
            facts=facts,
        )
    return Outcome(
        state=State.FAILING,
        value=value,
        summary=f"Missing for {params.target}: {', '.join(missing)}",
        details=details,
        remedy="Set it in Vercel's settings of the project; a change works only after a new deployment",
        facts=facts,
    )


def _line(name: str, variables: list[EnvVariable]) -> str:
    known = ("production", "preview", "development")
    targets = {target for found in variables if found.key == name for target in found.targets if target in known}
    return f"{name}: {', '.join(target for target in known if target in targets) or 'not set'}"
