"""What serves production at Vercel, and how another deployment comes to serve it. Used by the actions of Vercel and the bypass.

Waiting is done by looking: nothing is taken for done because a call was answered, and what passes by itself (429, 5xx) is asked
again while there is time.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field

from bot.actions.spec import ActionContext, ActionParams
from bot.domain.errors import NotConfiguredError
from bot.providers.config import VERCEL_PROJECT
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.providers.foreign import foreign_text, moment_of, word_of
from bot.providers.vercel import PROJECT_PATTERN, VercelClient
from bot.providers.vercel_shapes import Deployment, Project

POLL_S: Final = 5.0
SETTLE_S: Final = 2.0
"""So long after a call that nobody answered the first look is worth while."""
LOOKS_FOR_A_LOST_CALL: Final = 3
POINT_BUDGET_S: Final = 180.0
BUILD_BUDGET_S: Final = 720.0
SERVE_BUDGET_S: Final = 120.0
AGREE_LOOKS: Final = 3
"""So often the project may still name the old deployment after Vercel called the change done."""
MARK: Final = "muster"
"""In the meta of a deployment: which run made it."""
BYPASS_TAG: Final = "musterBypass"
"""In the meta of a deployment that was made to turn the emergency bypass on or off: one of the two."""
BYPASS_ON: Final = "on"
BYPASS_OFF: Final = "off"

Found = TypeVar("Found")


ProjectField = Annotated[
    str | None,
    Field(
        title="Project",
        description="Name or id (prj_…) of the Vercel project; without it, the one of VERCEL_PROJECT.",
        pattern=PROJECT_PATTERN,
        json_schema_extra={"placeholder": "prj_…"},
    ),
]
"""For params models that need a project, and something else before it."""


class ProjectParams(ActionParams):
    """Which project of Vercel."""

    project: ProjectField = None


def project_of(project: str | None, context: ActionContext) -> str:
    """Its name or id. Raises: NotConfiguredError when neither the step nor VERCEL_PROJECT has one."""
    found = project or context.providers.config.vercel_project
    if not found:
        raise NotConfiguredError(f"no Vercel project is named; set {VERCEL_PROJECT}", setting=VERCEL_PROJECT)
    return found


async def poll(context: ActionContext, look: Callable[[], Awaitable[Found | None]], *, budget_s: float) -> Found | None:
    """The first answer of ``look`` that is something; None when there was none in time, or somebody wants the run to stop.

    Raises: Refused; Unavailable when that was the last thing that could be seen.
    """
    waited_s = 0.0
    while True:
        fault: Unavailable | None = None
        wait_s = POLL_S
        try:
            found = await look()
            if found is not None:
                return found
        except Unavailable as error:
            fault = error
            wait_s = max(POLL_S, error.retry_after_s or 0.0)
        if waited_s + wait_s > budget_s or context.is_stopping():
            if fault:
                raise fault
            return None
        await context.sleep(wait_s)
        waited_s += wait_s


async def settled(context: ActionContext, call: Callable[[], Awaitable[None]]) -> None:
    """``call``, which sets a state, and once more when nobody answered. Raises what the second time raises."""
    try:
        await call()
    except Unanswered:
        await context.sleep(SETTLE_S)
        await call()


async def mark_of(context: ActionContext, purpose: str) -> str:
    """The mark of what this run makes; the same for every attempt of it."""
    if context.run.run_id:
        return f"{context.run.incident_id}/{context.run.run_id}/{purpose}"
    notes = await context.job.notes()
    known = notes.get(f"mark-{purpose}")
    if isinstance(known, str):
        return known
    made = f"terminal/{secrets.token_hex(6)}/{purpose}"
    await context.job.save({f"mark-{purpose}": made})
    return made


def was_bypassed(deployment: Deployment) -> bool:
    """Muster made it with the emergency bypass on: whenever it serves, every route is open."""
    return deployment.meta.get(BYPASS_TAG) == BYPASS_ON


def deployment_line(deployment: Deployment, serving_id: str | None = None) -> str:
    """ "dpl_x · 2026-11-20 19:38 UTC · ready · a1b2c3d “Fix it” · by sam · serves production"."""
    words = {"READY": "ready", "ERROR": "failed to build", "CANCELED": "cancelled"}
    state = words.get(deployment.state) or foreign_text(deployment.state, max_chars=20).casefold() or "state unknown"
    parts = [deployment.id, moment_of(deployment.created_at), state, deployment.commit or "commit unknown"]
    parts += [f"by {deployment.author}"] if deployment.author else []
    parts += ["with the emergency bypass"] if was_bypassed(deployment) else []
    parts += ["serves production"] if deployment.id == serving_id else []
    return " · ".join(parts)


def short(deployment: Deployment) -> str:
    """ "dpl_x (a1b2c3d “Fix it”)"."""
    return f"{deployment.id} ({deployment.commit})" if deployment.commit else deployment.id


def counted(number: int, noun: str) -> str:
    """ "1 deployment", "3 deployments"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def page_of(deployment: Deployment) -> str:
    """Vercel's own page of a deployment, when it really is Vercel's."""
    url = deployment.inspector_url or ""
    return foreign_text(url, max_chars=200) if url.startswith("https://vercel.com/") else "https://vercel.com/dashboard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How a wait ended. ``serving``: seen in production. ``failed``: it will not serve. ``waiting``: not seen in time.
    ``stopped``: somebody asked for that. ``why`` is half a sentence."""

    state: Literal["serving", "failed", "waiting", "stopped"]
    why: str = ""
    deployment: Deployment | None = None


class Production:
    """The production of one project, for one run. ``project`` is as it was looked at last."""

    def __init__(self, context: ActionContext, vercel: VercelClient, project: Project) -> None:
        self.context = context
        self.vercel = vercel
        self.project = project

    @classmethod
    async def open(cls, project: str | None, context: ActionContext) -> Production:
        """Look at it. Raises: NotConfiguredError, Refused, Unavailable."""
        name = project_of(project, context)
        vercel = context.providers.vercel()
        return cls(context, vercel, await vercel.get_project(name))

    @property
    def serving_id(self) -> str | None:
        """The deployment that served production at the last look."""
        return self.project.production_id

    async def look(self) -> Project:
        """Look once more."""
        self.project = await self.vercel.get_project(self.project.id)
        return self.project

    async def current(self) -> Deployment:
        """The deployment that serves production. Raises: Refused when none does."""
        if self.serving_id is None:
            raise Refused(
                "Vercel names no deployment that serves production",
                remedy=f"check {VERCEL_PROJECT}, and whether the project was ever deployed to production",
                code="not_found",
            )
        return await self.vercel.get_deployment(self.serving_id)

    # -- pointing production at what is built ---------------------------------------------------------------------

    async def point_at(self, target_id: str, kind: Literal["promote", "rollback"]) -> Served:
        """Promote or roll back, and wait until it is seen. Raises: Refused, Unavailable: it was not done."""
        asked = "asked"
        try:
            if kind == "promote":
                asked = await self.vercel.promote(self.project.id, target_id)
            else:
                number = self.context.run.incident_number
                description = f"Muster, incident {number}" if number else "Muster"
                await self.vercel.rollback(self.project.id, target_id, description=description)
        except Unanswered:
            await self.context.sleep(SETTLE_S)
            if not await self._was_asked(target_id):
                raise
        except Refused as refusal:
            if refusal.code != "http_409":
                raise
            await self.look()
            if self.serving_id != target_id and not self._is_underway(target_id):
                raise
        if asked == "queued":
            return Served(state="waiting", why="Vercel put it behind a rolling release that is under way")
        await self.context.progress(f"Vercel is pointing production at {target_id}")
        return await self._until_pointed(target_id)

    async def _was_asked(self, target_id: str) -> bool:
        await self.look()
        return self.serving_id == target_id or self._is_underway(target_id)

    def _is_underway(self, target_id: str) -> bool:
        request = self.project.last_alias_request
        return request is not None and request.to_id == target_id and request.status in ("pending", "in-progress")

    async def _until_pointed(self, target_id: str) -> Served:
        agreed = 0

        async def look() -> Served | None:
            nonlocal agreed
            request = (await self.look()).last_alias_request
            status = request.status if request and request.to_id == target_id else ""
            if self.serving_id == target_id and status in ("", "succeeded"):
                return Served(state="serving", why="the project names it as its production deployment")
            if status in ("failed", "skipped"):
                return Served(state="failed", why=f"Vercel says that the change was {status}")
            agreed += status == "succeeded"
            if agreed > AGREE_LOOKS:
                return Served(
                    state="serving", why="Vercel says that the change succeeded; the project still names the former one"
                )
            return None

        return await poll(self.context, look, budget_s=POINT_BUDGET_S) or self._gave_up("Vercel has not finished the change yet")

    # -- building once more ----------------------------------------------------------------------------------------

    async def rebuild(
        self, source: Deployment, *, mark: str, meta: Mapping[str, str] | None = None, from_git: bool = False
    ) -> Deployment:
        """The deployment with this ``mark``: found, or asked for now. An attempt that is no use any more is not taken for it."""
        found = await self.find(mark)
        if found:
            return found
        tags = {MARK: mark, **(meta or {})}
        try:
            return await self.vercel.redeploy(source, meta=tags, from_git=from_git)
        except (Unanswered, Unavailable) as error:
            if isinstance(error, Unavailable) and error.reason != "server_error":
                raise  # 429, or nobody was reached: nothing was made
        for number in range(LOOKS_FOR_A_LOST_CALL):
            await self.context.sleep(SETTLE_S if number == 0 else POLL_S)
            found = await self.find(mark)
            if found:
                return found
        return await self.vercel.redeploy(source, meta=tags, from_git=from_git)  # it was looked for, and is not there

    async def find(self, mark: str) -> Deployment | None:
        """The deployment with this mark that is ready or is being built; None: there is none among the newest."""
        for found in await self.vercel.list_deployments(self.project.id):
            if found.meta.get(MARK) == mark and (found.is_in_flight or found.is_ready):
                return found
        return None

    async def until_serving(self, deployment: Deployment) -> Served:
        """Wait until ``deployment``, or a newer one, serves production; it is promoted where Vercel does not do that itself."""
        built = await self._until_built(deployment)
        if built.state != "serving":
            return built
        await self.context.progress(f"{deployment.id} is built; waiting for the production addresses")
        await self.look()
        if self.serving_id != deployment.id and self.project.auto_assign is False:
            pointed = await self.point_at(deployment.id, "promote")
            return Served(state=pointed.state, why=pointed.why, deployment=deployment)
        return await self._until_addressed(deployment)

    async def _until_built(self, deployment: Deployment) -> Served:
        waits = 0

        async def look() -> Served | None:
            nonlocal waits
            known = await self.vercel.get_deployment(deployment.id)
            if known.is_ready:
                return Served(state="serving", deployment=known)
            if known.state in ("ERROR", "CANCELED", "BLOCKED", "DELETED"):
                code = word_of(known.error_code)
                why = f"the build of {known.id} ended as {known.state}" + (f" ({code})" if code else "")
                return Served(state="failed", why=why, deployment=known)
            await self.context.progress(f"Building {known.id} for {waits * POLL_S:.0f} s ({known.state.casefold() or 'unknown'})")
            waits += 1
            return None

        late = f"{deployment.id} was not built within {BUILD_BUDGET_S / 60:.0f} min"
        return await poll(self.context, look, budget_s=BUILD_BUDGET_S) or self._gave_up(late)

    async def _until_addressed(self, deployment: Deployment) -> Served:
        async def look() -> Served | None:
            await self.look()
            if self.serving_id == deployment.id:
                return Served(state="serving", deployment=deployment)
            serving = await self.current()
            if (serving.created_at or 0) > (deployment.created_at or 0):
                return Served(state="serving", why=f"{serving.id}, which is newer, took its place", deployment=serving)
            known = await self.vercel.get_deployment(deployment.id)
            if known.alias_error:
                code = word_of(known.alias_error.code)
                return Served(
                    state="failed", why=f"{known.id} did not get the addresses ({code or 'no reason given'})", deployment=known
                )
            return None

        late = f"{deployment.id} is built and did not get the production addresses within {SERVE_BUDGET_S / 60:.0f} min"
        return await poll(self.context, look, budget_s=SERVE_BUDGET_S) or self._gave_up(late)

    def _gave_up(self, why: str) -> Served:
        if self.context.is_stopping():
            return Served(state="stopped", why="it was stopped while it waited for Vercel")
        return Served(state="waiting", why=why)
