"""The switch by which the application that is looked after stops taking Clerk's webhooks. docs/application.md has its other end.

`GET` says how it stands, `PUT` sets it; both answer ``{"paused": true | false, "since": ISO 8601 | null}``, and both need the
bearer token. Called by `bot.actions.application`. Where the switch is comes from the settings only.
"""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr, ValidationError

from bot.providers.config import APPLICATION_SWITCH_TOKEN, APPLICATION_SWITCH_URL
from bot.providers.faults import Refused, Unanswered
from bot.providers.http import DEFAULT_TIMEOUT_S, Endpoint, ProviderHttp, Reply

MAX_BYTES = 65_536


class SwitchState(BaseModel):
    """How the switch stands. ``since`` is None when the application does not say when it was paused."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True, defer_build=True)

    paused: bool
    since: AwareDatetime | None = None


class ApplicationSwitch:
    """The switch of one application. Every method raises Refused, Unavailable."""

    def __init__(self, url: str, token: SecretStr, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._http = ProviderHttp(
            Endpoint(
                name="The application's switch",
                base_url=url,
                base_url_setting=APPLICATION_SWITCH_URL,
                token=token,
                token_setting=APPLICATION_SWITCH_TOKEN,
                headers={"accept": "application/json", "cache-control": "no-cache"},
            ),
            timeout_s=timeout_s,
            max_bytes=MAX_BYTES,
        )

    async def read(self) -> SwitchState:
        """How it stands now."""
        return self._state(await self._http.call("GET"))

    async def turn(self, *, paused: bool) -> SwitchState:
        """Pause the webhooks, or take them again; what the application says of it. Safe to repeat.

        Raises: also Unanswered; `read` tells.
        """
        reply = await self._http.call("PUT", json_body={"paused": paused}, effect=True)
        try:
            return self._state(reply)
        except Refused as refusal:  # something took it, perhaps not the application
            raise Unanswered(refusal.what, remedy=refusal.remedy) from refusal

    async def aclose(self) -> None:
        await self._http.aclose()

    def _state(self, reply: Reply) -> SwitchState:
        self._http.json_of(reply)
        try:
            return SwitchState.model_validate_json(reply.body)
        except ValidationError as error:
            raise Refused(
                f"The application's switch answered {reply.request} without saying whether it is paused",
                remedy='let it answer {"paused": true} or {"paused": false}; docs/application.md has the code',
                code="unexpected",
            ) from error
