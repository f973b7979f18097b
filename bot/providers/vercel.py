"""Vercel's REST API: variables, deployments, promotion and rollback of one account or team. https://vercel.com/docs/rest-api

Called by `bot.actions.vercel*` and `bot.actions.bypass*`; what the replies look like is in `vercel_shapes`. When to call what,
and what it means for an incident, does not belong here. Values of variables are never kept, but for a switch that is no secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn

from pydantic import ConfigDict, SecretStr, TypeAdapter, ValidationError

from bot.domain.errors import ConfigError, UserError
from bot.providers.config import VERCEL_API_URL, VERCEL_PROJECT, VERCEL_TEAM_ID, VERCEL_TOKEN
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.providers.foreign import word_of
from bot.providers.http import DEFAULT_TIMEOUT_S, Endpoint, Params, ProviderHttp, Reply
from bot.providers.vercel_shapes import (
    PRODUCTION,
    BuildLine,
    Deployment,
    DeploymentPage,
    EnvListing,
    EnvValue,
    EnvVariable,
    EnvWritten,
    Project,
    RuntimeLine,
    Shape,
    SharedPage,
    env_page,
    error_detail,
    json_lines,
    parsed,
    unexpected,
)

PROJECT_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""An id (`prj_…`) or a name."""
DEPLOYMENT_PATTERN: Final = r"^dpl_[A-Za-z0-9]{1,64}$"
MAX_PAGES: Final = 20
MOST_DEPLOYMENTS: Final = 100
_MANGLED: Final = frozenset({"not_json", "too_large", "encoded", "unexpected"})
"""Something answered, perhaps not Vercel: of a call with an effect nobody knows then what became of it."""
_BUILD_LINES: TypeAdapter[tuple[BuildLine, ...] | None] = TypeAdapter(
    tuple[BuildLine, ...] | None, config=ConfigDict(hide_input_in_errors=True)
)


class VercelClient:
    """One Vercel account or team. Every method raises Refused, Unavailable; those that change something also Unanswered.

    A project is named by its id or its name, where it says ``project_id`` by its id only.
    """

    def __init__(self, token: SecretStr, *, api_url: str, team_id: str | None, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.team_id = team_id
        self._http = ProviderHttp(
            Endpoint(
                name="Vercel",
                base_url=api_url,
                base_url_setting=VERCEL_API_URL,
                token=token,
                token_setting=VERCEL_TOKEN,
                headers={"accept": "application/json"},
            ),
            detail=error_detail,
            timeout_s=timeout_s,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    # -- variables -------------------------------------------------------------------------------------------------

    async def list_env(self, project: str) -> EnvListing:
        """The variables of a project itself. Raises: ConfigError when ``project`` is neither an id nor a name."""
        variables: dict[tuple[str, str, tuple[str, ...]], EnvVariable] = {}
        hidden = 0
        until: int | str | None = None
        for _ in range(MAX_PAGES):
            page = env_page(await self._get("v10", "projects", _checked(project), "env", until=until))
            fresh = {(found.id, found.key, found.targets): found for found in page.envs}
            brings_news = not fresh.keys() <= variables.keys()
            variables |= fresh
            hidden = max(hidden, page.hidden_production)
            until = page.pagination.next if page.pagination else None
            if until is None or not brings_news:
                break
        return EnvListing(variables=tuple(variables.values()), hidden_production=hidden, complete=until is None)

    async def list_shared_env(self, project: str) -> EnvListing:
        """The variables that the team shares with a project; nothing without a team, where there is no sharing."""
        if self.team_id is None:
            return EnvListing(variables=())
        found = await self.get_project(project)
        page = parsed(SharedPage, await self._get("v1", "env", projectId=found.id), "the list of variables")
        complete = page.pagination is None or page.pagination.next is None
        return EnvListing(variables=page.data, complete=complete)

    async def read_switch(self, project: str, variable_id: str) -> str | None:
        """The value of a variable that is a switch and no secret; None when Vercel does not show it to anybody (`sensitive`)."""
        body = await self._get("v1", "projects", _checked(project), "env", variable_id)
        return parsed(EnvValue, body, "the value of a variable").value

    async def set_env(self, project: str, key: str, value: str, *, comment: str) -> None:
        """Create a plain variable for production only, or give the one that is there this value. Safe to repeat.

        Raises: also Refused with Vercel's word for it as the code when a 201 says that it was not written.
        """
        body = {"key": key, "value": value, "type": "plain", "target": [PRODUCTION], "comment": comment}
        path = ("v10", "projects", _checked(project), "env")
        reply = await self._call("POST", *path, params={"upsert": "true"}, json_body=body)
        written = self._read_answer(EnvWritten, reply, "the writing of a variable")
        if written.failed:
            code = word_of(written.failed[0].error.code) or "unexpected"
            raise Refused(
                f"Vercel did not write the variable {key} ({code})",
                remedy="look at it in Vercel's settings of the project: it may be set for several environments, or shared",
                code=code,
            )

    async def edit_env(
        self,
        project: str,
        variable_id: str,
        *,
        value: str | None = None,
        targets: tuple[str, ...] | None = None,
        comment: str | None = None,
    ) -> None:
        """Change what is given and leave the rest. Safe to repeat."""
        sent = {"value": value, "target": list(targets) if targets is not None else None, "comment": comment}
        body = {name: given for name, given in sent.items() if given is not None}
        await self._call("PATCH", "v9", "projects", _checked(project), "env", variable_id, json_body=body)

    async def delete_env(self, project: str, variable_id: str) -> None:
        """Delete a variable; nothing when it is gone already. Safe to repeat."""
        try:
            await self._call("DELETE", "v9", "projects", _checked(project), "env", variable_id)
        except Refused as refusal:
            if refusal.code != "not_found":
                raise

    # -- deployments -----------------------------------------------------------------------------------------------

    async def get_project(self, project: str) -> Project:
        """What serves production, the last promotion or rollback, and what the token may do."""
        return parsed(Project, await self._get("v9", "projects", _checked(project)), "the question for a project")

    async def list_deployments(self, project_id: str, *, limit: int = 20, since: int | None = None) -> tuple[Deployment, ...]:
        """The newest production deployments, newest first; ``since`` milliseconds since 1970."""
        body = await self._get("v7", "deployments", projectId=project_id, target=PRODUCTION, limit=limit, since=since)
        page = parsed(DeploymentPage, body, "the list of deployments")
        return tuple(sorted(page.deployments, key=lambda found: found.created_at or 0, reverse=True))

    async def get_deployment(self, deployment_id: str) -> Deployment:
        """Raises: Refused with the code not_found when there is none."""
        body = await self._get("v13", "deployments", checked_deployment(deployment_id))
        return parsed(Deployment, body, "the question for a deployment")

    async def redeploy(self, deployment: Deployment, *, meta: Mapping[str, str], from_git: bool = False) -> Deployment:
        """Build the same commit once more for production: from what was built, or ``from_git`` from the repository.

        Not safe to repeat: look for a deployment with this ``meta`` first. Raises: also UserError where there is no repository.
        """
        body: dict[str, Any] = {"name": deployment.name, "target": PRODUCTION, "meta": {"action": "redeploy", **meta}}
        if from_git:
            if deployment.git_source is None:
                raise UserError(f"{deployment.id} was not built from a repository; deploy it by hand")
            body["gitSource"] = deployment.git_source.body()
        else:
            body["deploymentId"] = deployment.id
        reply = await self._call("POST", "v13", "deployments", params={"forceNew": 1}, json_body=body)
        return self._read_answer(Deployment, reply, "a redeployment")

    async def cancel_deployment(self, deployment_id: str) -> None:
        """End a build; nothing when it has ended already. Safe to repeat."""
        try:
            await self._call("PATCH", "v12", "deployments", checked_deployment(deployment_id), "cancel")
        except Refused as refusal:
            if refusal.code not in ("http_400", "not_found"):
                raise

    async def promote(self, project_id: str, deployment_id: str) -> Literal["asked", "queued"]:
        """Point production at a deployment, without a new build; "queued": behind a rolling release."""
        path = ("v10", "projects", _checked(project_id), "promote", checked_deployment(deployment_id))
        reply = await self._call("POST", *path, json_body={})
        return "queued" if reply.status == 202 else "asked"

    async def rollback(self, project_id: str, deployment_id: str, *, description: str) -> None:
        """Point production at an older deployment. New deployments do not serve by themselves from then on."""
        path = ("v1", "projects", _checked(project_id), "rollback", checked_deployment(deployment_id))
        await self._call("POST", *path, params={"description": description}, json_body={})

    # -- logs ------------------------------------------------------------------------------------------------------

    async def build_log(self, deployment_id: str, *, limit: int = 200) -> tuple[BuildLine, ...]:
        """The last lines of a build."""
        path = ("v3", "deployments", checked_deployment(deployment_id), "events")
        body = await self._get(*path, direction="backward", follow=0, limit=limit)
        try:
            lines = _BUILD_LINES.validate_python(body) or ()
        except ValidationError as error:
            raise unexpected("the log of a build") from error
        return tuple(reversed(lines))

    async def runtime_log(self, project_id: str, deployment_id: str, *, for_s: float) -> tuple[RuntimeLine, ...]:
        """What a deployment writes within the next ``for_s`` seconds: Vercel's API has no log of the past."""
        path = ("v1", "projects", _checked(project_id), "deployments", checked_deployment(deployment_id), "runtime-logs")
        try:
            reply = await self._http.listen(*path, for_s=for_s, params=self._params())
        except Unavailable as error:
            if error.reason == "timeout":  # it begins to answer with its first line
                return ()
            raise
        except Refused as refusal:
            _raise_better(refusal, _of_the_team(refusal))
        lines = list(json_lines(reply.body))
        if reply.body.strip() and not lines:
            self._http.json_of(reply)
        return tuple(parsed(RuntimeLine, line, "the log of a deployment") for line in lines)

    # -- calls -----------------------------------------------------------------------------------------------------

    def _params(self, **given: str | int | None) -> Params:
        return {name: value for name, value in {"teamId": self.team_id, **given}.items() if value is not None}

    async def _get(self, *segments: str, **params: str | int | None) -> Any:
        try:
            return await self._http.get_json(*segments, params=self._params(**params))
        except Refused as refusal:
            _raise_better(refusal, _of_the_team(refusal))

    async def _call(
        self, method: str, *segments: str, params: Mapping[str, str | int] | None = None, json_body: Any = None
    ) -> Reply:
        """A call that changes something."""
        try:
            return await self._http.call(
                method, *segments, params=self._params(**(params or {})), json_body=json_body, effect=True
            )
        except Refused as refusal:
            if refusal.code in _MANGLED:
                raise Unanswered(refusal.what, remedy=refusal.remedy) from refusal
            _raise_better(refusal, _in_words(_of_the_team(refusal), is_move=not {"promote", "rollback"}.isdisjoint(segments)))

    def _read_answer(self, shape: type[Shape], reply: Reply, what: str) -> Shape:
        """The answer to a call that was done. Raises: Unanswered: something answered, perhaps not Vercel."""
        try:
            return parsed(shape, self._http.json_of(reply), what)
        except Refused as refusal:
            raise Unanswered(refusal.what, remedy=refusal.remedy) from refusal


def checked_deployment(deployment_id: str) -> str:
    """``deployment_id`` when it is one. Raises: UserError, before anything is sent."""
    if not re.fullmatch(DEPLOYMENT_PATTERN.removeprefix("^").removesuffix("$"), deployment_id):
        raise UserError("that is not the id of a Vercel deployment; copy the one that begins with dpl_")
    return deployment_id


def _checked(project: str) -> str:
    if not re.fullmatch(PROJECT_PATTERN.removeprefix("^").removesuffix("$"), project):
        raise ConfigError(f"{VERCEL_PROJECT}: is neither the id (prj_…) nor the name of a Vercel project")
    return project


def _raise_better(refusal: Refused, better: Refused) -> NoReturn:
    """``better``, or ``refusal`` itself where nothing better is known: no error is its own cause."""
    if better is refusal:
        raise refusal
    raise better from refusal


def _of_the_team(refusal: Refused) -> Refused:
    """A missing teamId shows as forbidden or not found: the remedy names both."""
    if refusal.code not in ("forbidden", "not_found"):
        return refusal
    return Refused(
        refusal.what,
        remedy=f"check that {VERCEL_TOKEN} may do this with the project, {VERCEL_PROJECT}, and {VERCEL_TEAM_ID} "
        "(a project of a team needs it)",
        code=refusal.code,
    )


def _in_words(refusal: Refused, *, is_move: bool) -> Refused:
    """What the answers mean that only calls with an effect get; ``is_move``: production was to be pointed elsewhere."""
    remedies = {
        "http_409": "something else changes this project at the moment; look at vercel.com and try again in a minute",
        "http_422": "Vercel does not take it as it is; look at the project at vercel.com",
    }
    if is_move:
        remedies |= {
            "payment_required": "the plan of the Vercel account does not include this; on Hobby only the previous production "
            "deployment can be rolled back to",
            "http_422": "Vercel does not take this deployment for it; choose another one, one that was ready in production",
        }
    remedy = remedies.get(refusal.code)
    return Refused(refusal.what, remedy=remedy, code=refusal.code) if remedy else refusal
