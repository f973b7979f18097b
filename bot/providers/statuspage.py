"""Atlassian Statuspage's API: the incidents on the public page of the user. https://developer.statuspage.io

Called by `bot.actions.statuspage`. What people may read there, and when, does not belong here. Reading somebody else's page is
`bot.providers.status_page`.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel, SecretStr, ValidationError

from bot.providers.config import STATUSPAGE_API_KEY, STATUSPAGE_API_URL, STATUSPAGE_PAGE_ID
from bot.providers.faults import Refused, Unanswered
from bot.providers.http import DEFAULT_TIMEOUT_S, Endpoint, Params, ProviderHttp, Reply

MOST_LISTED: Final = 100
"""The largest page of a list."""

Stage = Literal["investigating", "identified", "monitoring", "resolved"]
"""How far an incident is, in the words of the page."""

Shape = TypeVar("Shape", bound=BaseModel)


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)


class StatusPage(_Kept):
    """The page. ``domain`` is the user's own, ``subdomain`` that below statuspage.io."""

    id: str
    name: str
    domain: str | None = None
    subdomain: str | None = None


class PublicUpdate(_Kept):
    """One text that was written to an incident, with the status it brought."""

    body: str | None = None
    status: str
    created_at: AwareDatetime
    deliver_notifications: bool | None = None
    """Whether the subscribers got it by mail; None: the page does not say."""


class PublicIncident(_Kept):
    """What the public reads as one incident. ``metadata`` is not shown to it."""

    id: str = Field(min_length=1)
    name: str
    status: str
    metadata: Any = None
    incident_updates: tuple[PublicUpdate, ...] = ()

    @property
    def newest(self) -> PublicUpdate | None:
        """The last text; None: there is none."""
        return max(self.incident_updates, key=lambda update: update.created_at, default=None)

    def belongs_to(self, incident_id: str) -> bool:
        """Whether Muster opened it for that incident of its own."""
        own = self.metadata.get("muster") if isinstance(self.metadata, dict) else None
        return isinstance(own, dict) and own.get("incident_id") == incident_id


class _Listed(RootModel[tuple[PublicIncident, ...]]):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)


class StatuspageClient:
    """One page. Every method raises Refused, Unavailable; those that write also Unanswered. One call a second is allowed."""

    def __init__(self, api_key: SecretStr, page_id: str, *, api_url: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        trimmed = api_url.rstrip("/")
        self._page_id = page_id
        self._http = ProviderHttp(
            Endpoint(
                name="Statuspage",
                base_url=trimmed if trimmed.endswith("/v1") else f"{trimmed}/v1",
                base_url_setting=STATUSPAGE_API_URL,
                token=api_key,
                token_setting=STATUSPAGE_API_KEY,
                token_prefix="OAuth ",  # noqa: S106 - the scheme, not the secret
                headers={"accept": "application/json"},
            ),
            timeout_s=timeout_s,
        )

    async def page(self) -> StatusPage:
        """The page itself."""
        return self._read(await self._call("GET"), StatusPage)

    async def unresolved(self) -> tuple[PublicIncident, ...]:
        """The incidents that are not over, newest first."""
        return self._read(await self._call("GET", "incidents", "unresolved"), _Listed).root

    async def recent(self) -> tuple[PublicIncident, ...]:
        """The newest incidents, those that are over too; at most 100."""
        return self._read(await self._call("GET", "incidents", params={"limit": MOST_LISTED}), _Listed).root

    async def open(self, *, title: str, status: Stage, text: str, incident_id: str, notify: bool) -> PublicIncident:
        """A new incident on the page. Not to be repeated without a look. ``notify``: the subscribers get it by mail."""
        told = {
            "name": title,
            "status": status,
            "body": text,
            "deliver_notifications": notify,
            "metadata": {"muster": {"incident_id": incident_id}},
        }
        return await self._write("POST", "incidents", told=told)

    async def add(self, public_id: str, *, status: Stage, text: str, notify: bool) -> PublicIncident:
        """One more text in an incident of the page. Not to be repeated without a look."""
        told = {"status": status, "body": text, "deliver_notifications": notify}
        return await self._write("PATCH", "incidents", public_id, told=told)

    async def aclose(self) -> None:
        """Close the connections; the next call would open new ones."""
        await self._http.aclose()

    async def _write(self, method: str, *segments: str, told: dict[str, Any]) -> PublicIncident:
        reply = await self._call(method, *segments, json_body={"incident": told}, effect=True)
        try:
            return self._read(reply, PublicIncident)
        except Refused as refusal:  # something took it, perhaps not Statuspage
            raise Unanswered(refusal.what, remedy=f"look at the page; {refusal.remedy}") from refusal

    async def _call(
        self, method: str, *segments: str, params: Params | None = None, json_body: Any = None, effect: bool = False
    ) -> Reply:
        try:
            return await self._http.call(
                method, "pages", self._page_id, *segments, params=params, json_body=json_body, effect=effect
            )
        except Refused as refusal:
            remedy = _REMEDIES.get(refusal.code)
            if remedy is None:
                raise
            raise Refused(refusal.what, remedy=remedy, code=refusal.code) from refusal

    def _read(self, reply: Reply, shape: type[Shape]) -> Shape:
        self._http.json_of(reply)
        try:
            return shape.model_validate_json(reply.body)
        except ValidationError as error:
            raise Refused(
                f"Statuspage answered {reply.request} in a shape that is not known",
                remedy=f"check that {STATUSPAGE_API_URL} is the address of Statuspage's API",
                code="unexpected",
            ) from error


_REMEDIES: Final = {
    "not_found": f"check that {STATUSPAGE_PAGE_ID} is the id of the page, and that the incident was not deleted there",
    "forbidden": f"check that {STATUSPAGE_API_KEY} is of the account to which the page {STATUSPAGE_PAGE_ID} belongs",
    "http_400": "check the text and its title, or write it on the page by hand",
    "http_422": "Statuspage does not take this title, text or status; change it, or write it on the page by hand",
}
