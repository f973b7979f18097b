"""Vercel's REST API: which environment variables a project has. https://vercel.com/docs/rest-api

Called by `bot.actions.vercel`. Values of variables are never asked for and never kept: what a reply carries beyond the
fields below is dropped when it is parsed.
"""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from bot.domain.errors import ConfigError
from bot.providers.config import VERCEL_API_URL, VERCEL_PROJECT, VERCEL_TEAM_ID, VERCEL_TOKEN
from bot.providers.faults import Refused
from bot.providers.http import DEFAULT_TIMEOUT_S, Endpoint, ErrorDetail, ProviderHttp

PROJECT_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""An id (`prj_…`) or a name."""
MAX_PAGES: Final = 20


def _as_list(value: object) -> object:
    """Vercel writes one target as a string and several as a list."""
    return [value] if isinstance(value, str) else (value or [])


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True)


class EnvVariable(_Kept):
    """The name of a variable and the environments (production, preview, development) that it is set for."""

    key: str
    targets: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(default=(), alias="target")


class _Pagination(_Kept):
    next: int | str | None = None


class _EnvPage(_Kept):
    """Two of the three shapes of the list of a project; the third is a single variable."""

    envs: tuple[EnvVariable, ...]
    pagination: _Pagination | None = None
    hidden_production: int = Field(default=0, alias="hiddenProductionEnvCount")


class _SharedPage(_Kept):
    data: tuple[EnvVariable, ...]
    pagination: _Pagination | None = None


class _Project(_Kept):
    id: str


class EnvListing(_Kept):
    """Names and targets. ``hidden_production``: how many production variables the token may not see; ``complete`` is
    False when there may be more than could be read."""

    variables: tuple[EnvVariable, ...]
    hidden_production: int = 0
    complete: bool = True


class VercelClient:
    """One Vercel account or team. Every method raises Refused, Unavailable."""

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

    async def list_env(self, project: str) -> EnvListing:
        """The variables of a project itself. Raises: ConfigError when ``project`` is neither an id nor a name."""
        variables: dict[tuple[str, tuple[str, ...]], EnvVariable] = {}
        hidden = 0
        until: int | str | None = None
        for _ in range(MAX_PAGES):
            page = _env_page(await self._get("v10", "projects", _checked(project), "env", until=until))
            fresh = {(found.key, found.targets): found for found in page.envs}
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
        try:
            found = _Project.model_validate(await self._get("v9", "projects", _checked(project)))
            page = _SharedPage.model_validate(await self._get("v1", "env", project_id=found.id))
        except ValidationError as error:
            raise _unexpected() from error
        complete = page.pagination is None or page.pagination.next is None
        return EnvListing(variables=page.data, complete=complete)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _get(self, *segments: str, until: int | str | None = None, project_id: str | None = None) -> Any:
        given = {"teamId": self.team_id, "until": until, "projectId": project_id}
        params = {name: value for name, value in given.items() if value is not None}
        try:
            return await self._http.get_json(*segments, params=params)
        except Refused as refusal:
            if refusal.code in ("forbidden", "not_found"):  # a missing teamId shows as either
                raise Refused(
                    refusal.what,
                    remedy=f"check that {VERCEL_TOKEN} may see the project, {VERCEL_PROJECT}, and {VERCEL_TEAM_ID} "
                    "(a project of a team needs it)",
                    code=refusal.code,
                ) from refusal
            raise


def error_detail(body: Any) -> ErrorDetail:
    """The code and the wait of ``{error: {code, limit: {reset: epoch s}, retryAfter: {value: s}}}``."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return ErrorDetail()
    limit, retry_after = error.get("limit"), error.get("retryAfter")
    wait_s: float | None = None
    if isinstance(limit, dict) and isinstance(limit.get("reset"), int | float):
        wait_s = max(0.0, float(limit["reset"]) - time.time())
    elif isinstance(retry_after, dict) and isinstance(retry_after.get("value"), int | float):
        wait_s = max(0.0, float(retry_after["value"]))
    return ErrorDetail(code=str(error.get("code", "")), retry_after_s=wait_s)


def _env_page(body: Any) -> _EnvPage:
    try:
        if isinstance(body, dict) and "envs" not in body and "key" in body:
            return _EnvPage(envs=(EnvVariable.model_validate(body),))
        return _EnvPage.model_validate(body)
    except ValidationError as error:
        raise _unexpected() from error


def _checked(project: str) -> str:
    if not re.fullmatch(PROJECT_PATTERN.removeprefix("^").removesuffix("$"), project):
        raise ConfigError(f"{VERCEL_PROJECT}: is neither the id (prj_…) nor the name of a Vercel project")
    return project


def _unexpected() -> Refused:
    return Refused(
        "Vercel answered the list of variables in a shape that Muster does not know",
        remedy=f"check {VERCEL_API_URL}, and whether there is a newer Muster",
        code="unexpected",
    )
