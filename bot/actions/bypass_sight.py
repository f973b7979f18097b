"""What somebody without a session sees of an application: the proof that its emergency bypass is on, and that it is off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from bot.actions.http import unset_address
from bot.actions.spec import ActionContext, ActionParams
from bot.actions.vercel_serving import ProjectField
from bot.domain.errors import UserError


class ApplicationParams(ActionParams):
    """Where the application is, as the runbook says it."""

    app_url: str = Field(
        title="Address of the application",
        description="Where the application answers; it comes from the service's variables.",
        max_length=2048,
        json_schema_extra={"placeholder": "https://your-app"},
    )
    protected_path: str | None = Field(
        default=None,
        title="Protected path",
        description="A page that nobody gets without a session; asked for without one, it tells whether the bypass is on.",
        pattern=r"^/[A-Za-z0-9._~/-]{0,200}$",
        json_schema_extra={"placeholder": "/dashboard"},
    )
    sends_header: bool = Field(
        default=False,
        title="Sends X-Auth-Bypass",
        description="The application is known to send the header X-Auth-Bypass while the bypass is on.",
    )
    project: ProjectField = None

    @field_validator("protected_path", mode="before")
    @classmethod
    def _is_set(cls, value: object) -> object:
        """A variable of the service without a value is no path."""
        return None if value == "" else value

    @field_validator("app_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if "${" in value:
            raise ValueError("holds a variable without a value: give it one in services.yml or in MUSTER_VAR_…")
        if value and not value.startswith(("http://", "https://")):  # "": that is said when it runs
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @property
    def page(self) -> str:
        """What is asked for without a session."""
        return f"{self.app_url}{self.protected_path or '/'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What somebody without a session sees. ``on``: the header says so. ``open``: no header, and the protected page came all the
    same. ``off``: neither. ``unclear``: it cannot be told, for the reason in ``words``."""

    state: Literal["on", "open", "off", "unclear"]
    words: str


async def see(params: ApplicationParams, context: ActionContext, *, sends_header: bool = False) -> Sight:
    """Look once. ``sends_header``: the application was seen to send the header, so its absence tells something."""
    require_address(params)
    visit = await context.providers.health().visit(params.page)
    asked = f"{params.protected_path or '/'} without a session: {visit.said}"
    if visit.says_bypass:
        return Sight(state="on", words=f"{asked}, with the header X-Auth-Bypass")
    if not visit.answered:
        return Sight(state="unclear", words=asked)
    if params.protected_path is None:
        if (sends_header or params.sends_header) and visit.access != "unclear":
            return Sight(state="off", words=f"{asked}, without the header that the application sends while it is on")
        return Sight(state="unclear", words=f"{asked}; there is neither a header nor a protected path that would tell")
    if visit.access == "open":
        return Sight(state="open", words=f"{asked}, without the header X-Auth-Bypass")
    return Sight(state="off" if visit.access == "refused" else "unclear", words=asked)


def require_address(params: ApplicationParams) -> None:
    unset = unset_address(f"{params.app_url}/")
    if unset:
        raise UserError(f"{unset.summary}; {unset.remedy}")
