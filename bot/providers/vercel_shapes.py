"""What is kept of Vercel's replies: variables, deployments, the project, lines of its logs. https://vercel.com/docs/rest-api

Only `bot.providers.vercel` parses these. What a reply carries beyond the fields below is dropped when it is parsed; the values
of variables above all. What people wrote (commit messages, names) goes through ``foreign_text`` where it is shown.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bot.providers.config import VERCEL_API_URL
from bot.providers.faults import Refused
from bot.providers.foreign import foreign_text
from bot.providers.http import ErrorDetail

PRODUCTION: Final = "production"
IN_FLIGHT: Final = frozenset({"QUEUED", "INITIALIZING", "BUILDING"})
"""States of a deployment that may still become one that serves."""
SHORT_SHA: Final = 7
MESSAGE_MAX_CHARS: Final = 100


def _as_list(value: object) -> object:
    """Vercel writes one target as a string and several as a list."""
    return [value] if isinstance(value, str) else (value or [])


def _as_texts(value: object) -> object:
    """Marks and names only: whatever else stands in a deployment's meta is not kept."""
    return {str(key): text for key, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}


def _as_text(value: object) -> str:
    """Vercel writes null where there is no text."""
    return value if isinstance(value, str) else ""


def _as_rights(value: object) -> object:
    """What is no list of verbs is left out."""
    if not isinstance(value, dict):
        return {}
    return {
        str(thing): [verb for verb in verbs if isinstance(verb, str)] for thing, verbs in value.items() if isinstance(verbs, list)
    }


def _as_source(value: object) -> object:
    """A source of a kind that nobody knows is none."""
    return value if isinstance(value, dict) and isinstance(value.get("type"), str) else None


Text = Annotated[str, BeforeValidator(_as_text)]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True, defer_build=True)


class EnvVariable(_Kept):
    """The name of a variable and the environments (production, preview, development) that it is set for.

    ``updated_at`` is in milliseconds since 1970; ``branch`` is the one that it is for, "" for all of them."""

    key: str
    targets: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(default=(), alias="target")
    id: Text = ""
    type: Text = ""
    comment: Text = ""
    branch: Text = Field(default="", alias="gitBranch")
    created_at: int | None = Field(default=None, alias="createdAt")
    updated_at: int | None = Field(default=None, alias="updatedAt")


class Pagination(_Kept):
    """Where the next page begins; None: there is none."""

    next: int | str | None = None


class EnvPage(_Kept):
    """Two of the three shapes of the list of a project; the third is a single variable."""

    envs: tuple[EnvVariable, ...]
    pagination: Pagination | None = None
    hidden_production: int = Field(default=0, alias="hiddenProductionEnvCount")


class SharedPage(_Kept):
    """The variables that a team shares."""

    data: tuple[EnvVariable, ...]
    pagination: Pagination | None = None


class EnvListing(_Kept):
    """Names and targets. ``hidden_production``: how many production variables the token may not see; ``complete`` is
    False when there may be more than could be read."""

    variables: tuple[EnvVariable, ...]
    hidden_production: int = 0
    complete: bool = True


class EnvFailure(_Kept):
    """One variable that was not written, although the reply says 201."""

    class Error(_Kept):
        """Its code ("ENV_CONFLICT")."""

        code: Text = ""

    error: Error


class EnvWritten(_Kept):
    """The reply to writing variables."""

    failed: tuple[EnvFailure, ...] = ()


class EnvValue(_Kept):
    """The value of one variable, which only a switch may be asked for: never a secret."""

    value: str | None = Field(default=None, repr=False)


class GitSource(_Kept):
    """Where a deployment was built from; with it the same commit is built once more from the repository."""

    type: str
    ref: str | None = None
    sha: str | None = None
    repo_id: int | str | None = Field(default=None, alias="repoId")
    project_id: int | str | None = Field(default=None, alias="projectId")

    def body(self) -> dict[str, Any]:
        """As a request names it."""
        return self.model_dump(by_alias=True, exclude_none=True)


class Creator(_Kept):
    """Who made a deployment, by their name at Vercel."""

    username: str | None = None


class AliasError(_Kept):
    """Why the addresses were not given to a deployment."""

    code: Text = ""


class Deployment(_Kept):
    """One build. Moments are milliseconds since 1970; ``state`` may be a word not known yet.

    ``substate`` of one that is READY: STAGED has never served, ROLLING begins to, PROMOTED serves or has served.
    """

    id: str = Field(validation_alias=AliasChoices("uid", "id"))
    name: Text = ""
    state: Text = Field(default="", validation_alias=AliasChoices("readyState", "state"))
    substate: str | None = Field(default=None, alias="readySubstate")
    target: str | None = None
    created_at: int | None = Field(default=None, validation_alias=AliasChoices("createdAt", "created"))
    creator: Creator | None = None
    meta: Annotated[dict[str, str], BeforeValidator(_as_texts)] = Field(default_factory=dict, repr=False)
    alias_assigned: bool | int | None = Field(default=None, alias="aliasAssigned")
    alias_error: AliasError | None = Field(default=None, alias="aliasError")
    is_rollback_candidate: bool | None = Field(default=None, alias="isRollbackCandidate")
    error_code: str | None = Field(default=None, alias="errorCode")
    inspector_url: str | None = Field(default=None, alias="inspectorUrl")
    git_source: Annotated[GitSource | None, BeforeValidator(_as_source)] = Field(default=None, alias="gitSource")

    @property
    def is_in_flight(self) -> bool:
        """It may still become ready."""
        return self.state in IN_FLIGHT

    @property
    def is_ready(self) -> bool:
        """It was built and can serve."""
        return self.state == "READY"

    @property
    def commit(self) -> str:
        """ "a1b2c3d “Fix the sign-in”", as much of it as is known; "" when nothing is."""
        sha = foreign_text(self._of("CommitSha"), max_chars=SHORT_SHA + 1)[:SHORT_SHA]
        lines = self._of("CommitMessage").strip().splitlines()
        message = foreign_text(lines[0], max_chars=MESSAGE_MAX_CHARS) if lines else ""
        return " ".join(part for part in (sha, f"“{message}”" if message else "") if part)

    @property
    def author(self) -> str:
        """Who wrote or deployed it; "" when nobody says."""
        name = self._of("CommitAuthorLogin") or self._of("CommitAuthorName")
        return foreign_text(name or (self.creator.username if self.creator else ""), max_chars=40)

    def _of(self, field: str) -> str:
        """A field that Vercel writes for each host of repositories under its own name (githubCommitSha, gitlabCommitSha …)."""
        return next((self.meta[key] for host in _HOSTS if (key := f"{host}{field}") in self.meta), "")


_HOSTS: Final = ("github", "gitlab", "bitbucket", "git")


class DeploymentPage(_Kept):
    """One page of the list."""

    deployments: tuple[Deployment, ...]


class AliasRequest(_Kept):
    """The last promotion or rollback: pending, in-progress, succeeded, failed or skipped. ``requested_at`` is in
    milliseconds since 1970."""

    type: Text = ""
    status: Text = Field(default="", alias="jobStatus")
    from_id: str | None = Field(default=None, alias="fromDeploymentId")
    to_id: Text = Field(default="", alias="toDeploymentId")
    requested_at: float | None = Field(default=None, alias="requestedAt")


class _Target(_Kept):
    id: str | None = None


class _Targets(_Kept):
    production: _Target | None = None


class Project(_Kept):
    """A project. ``permissions``: what the token may do, by the thing; {} when Vercel does not say."""

    id: str
    name: Text = ""
    targets: _Targets | None = None
    auto_assign: bool | None = Field(default=None, alias="autoAssignCustomDomains")
    """False after a rollback: new deployments do not get the production addresses until one is promoted."""
    last_alias_request: AliasRequest | None = Field(default=None, alias="lastAliasRequest")
    permissions: Annotated[dict[str, tuple[str, ...]], BeforeValidator(_as_rights)] = Field(default_factory=dict)

    @property
    def production_id(self) -> str | None:
        """The deployment that serves production."""
        return self.targets.production.id if self.targets and self.targets.production else None


class RuntimeLine(_Kept):
    """One line of what the application writes while it runs."""

    level: Text = ""
    message: Text = Field(default="", repr=False)
    at: float = Field(default=0, alias="timestampInMs")
    method: str | None = Field(default=None, alias="requestMethod")
    path: str | None = Field(default=None, alias="requestPath")
    status: int | None = Field(default=None, alias="responseStatusCode")

    @property
    def is_bad(self) -> bool:
        """A warning, an error, or an answer of 5xx."""
        return self.level in ("warning", "error", "fatal") or (self.status or 0) >= 500


class _BuildText(_Kept):
    text: Text = ""


class BuildLine(_Kept):
    """One line of a build: its own shape, or with the text in a payload."""

    type: Text = ""
    level: str | None = None
    text: Text = Field(default="", repr=False)
    payload: _BuildText | None = None

    @property
    def said(self) -> str:
        """What it says."""
        return self.text or (self.payload.text if self.payload else "")

    @property
    def is_bad(self) -> bool:
        """It is an error, or was written as one."""
        return self.level == "error" or self.type in ("stderr", "fatal")


Shape = TypeVar("Shape", bound=BaseModel)


def parsed(shape: type[Shape], body: Any, what: str) -> Shape:
    """``body`` as ``shape``. Raises: Refused (unexpected) with ``what`` it should have been."""
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        raise unexpected(what) from error


def env_page(body: Any) -> EnvPage:
    """The list of a project in any of its three shapes. Raises: Refused (unexpected)."""
    if isinstance(body, dict) and "envs" not in body and "key" in body:
        return EnvPage(envs=(parsed(EnvVariable, body, "the list of variables"),))
    return parsed(EnvPage, body, "the list of variables")


def json_lines(body: bytes) -> Iterator[dict[str, Any]]:
    """The objects of a stream with one on each line; the last line may have been cut, and is left out then."""
    for line in body.splitlines():
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):  # half a line at the end of what was listened to
            continue
        if isinstance(found, dict):
            yield found


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


def unexpected(what: str) -> Refused:
    """Vercel answered, and not as documented."""
    return Refused(
        f"Vercel answered {what} in a shape that Muster does not know",
        remedy=f"check {VERCEL_API_URL}, and whether there is a newer Muster",
        code="unexpected",
    )
