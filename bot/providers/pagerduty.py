"""PagerDuty: the Events API v2, which wakes people, and the REST API v2, which tells what they did and who is on call.

Called by `bot.notify.pagerduty` and by whoever resolves a rotation that PagerDuty keeps. Which event to send, and what a page
says, does not belong here. An event with the same dedup key may be sent again: PagerDuty adds it to the alert that is open.
https://developer.pagerduty.com/docs/events-api-v2/trigger-events/, https://developer.pagerduty.com/api-reference/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import SecretStr

from bot.domain.redaction import redact
from bot.domain.text import clean, cut
from bot.providers.config import PAGERDUTY_API_TOKEN, PAGERDUTY_API_URL, PAGERDUTY_EVENTS_URL, PAGERDUTY_ROUTING_KEY
from bot.providers.faults import Refused
from bot.providers.http import Endpoint, ErrorDetail, ProviderHttp, Reply, json_or_none

TIMEOUT_S: Final = 5.0
DEDUP_KEY_MAX_CHARS: Final = 255
SUMMARY_MAX_CHARS: Final = 1024
PAGE_SIZE: Final = 100
"""The most of the REST API; it gives out at most 10,000 in all."""
MAX_PAGES: Final = 20

_SAID_MAX_CHARS = 200

EventAction = Literal["trigger", "acknowledge", "resolve"]
IncidentStatus = Literal["triggered", "acknowledged", "resolved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDutyIncident:
    """What PagerDuty made of a dedup key. ``by``: the e-mail address of who acknowledged last, "" when that was no person."""

    status: IncidentStatus
    by: str = ""


class PagerDutyEvents:
    """The Events API of one integration. Raises: Refused, Unavailable, Unanswered (safe to repeat with the same key)."""

    def __init__(self, routing_key: SecretStr, *, events_url: str, timeout_s: float = TIMEOUT_S) -> None:
        trimmed = events_url.rstrip("/")
        self._routing_key = routing_key
        self._http = ProviderHttp(
            Endpoint(
                name="PagerDuty",
                base_url=trimmed if trimmed.endswith("/v2") else f"{trimmed}/v2",
                base_url_setting=PAGERDUTY_EVENTS_URL,
                token_setting=PAGERDUTY_ROUTING_KEY,
                headers={"accept": "application/json"},
            ),
            timeout_s=timeout_s,
        )

    async def send(
        self,
        action: EventAction,
        dedup_key: str,
        content: Mapping[str, Any] | None = None,
    ) -> None:
        """Send an event; ``content`` is what a trigger carries beside the keys. PagerDuty takes an acknowledgement and a
        resolution of what is not open any more, and drops them."""
        event = {
            "routing_key": self._routing_key.get_secret_value(),
            "event_action": action,
            "dedup_key": dedup_key,
            **(content or {}),
        }
        url = self._http.url_of("enqueue")
        reply = await self._http.fetch("POST", url, json_body=event, effect=True)
        if reply.status == 400:
            raise self._refused(reply)
        self._http.raise_for_status(reply, effect=False)  # the key makes a repetition harmless, whatever became of this one
        body = self._http.json_of(reply)
        if not isinstance(body, dict) or body.get("status") != "success":
            raise Refused(
                f"what answered {reply.request} is not PagerDuty, so nobody was paged",
                remedy=f"check {PAGERDUTY_EVENTS_URL}",
                code="unexpected",
            )

    async def aclose(self) -> None:
        await self._http.aclose()

    def _refused(self, reply: Reply) -> Refused:
        """``{status, message, errors[]}``: the only words of a vendor that are repeated, because no code says the same."""
        body = json_or_none(reply.body)
        told = body if isinstance(body, dict) else {}
        errors = told.get("errors")
        words = [told.get("message"), *(errors if isinstance(errors, list) else [])]
        text = clean("; ".join(word for word in words if isinstance(word, str)), max_chars=20_000)
        said = cut(redact(text, (self._routing_key.get_secret_value(),)), max_chars=_SAID_MAX_CHARS)
        about_key = "key" in said.casefold() and "dedup" not in said.casefold()
        return Refused(
            f"PagerDuty refused the event{f' (“{said}”)' if said else ''}",
            remedy=f"check {PAGERDUTY_ROUTING_KEY}: the integration key of an Events API v2 integration that is enabled"
            if about_key or not said
            else f"check {PAGERDUTY_ROUTING_KEY}, and report this to who runs Muster when the key is right",
            code="invalid_key" if about_key else "http_400",
        )


class PagerDutyRest:
    """The REST API of one account, for reading. Raises: Refused, Unavailable."""

    def __init__(self, api_token: SecretStr, *, api_url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._http = ProviderHttp(
            Endpoint(
                name="PagerDuty",
                base_url=api_url,
                base_url_setting=PAGERDUTY_API_URL,
                token=api_token,
                token_setting=PAGERDUTY_API_TOKEN,
                token_prefix="Token token=",  # noqa: S106 - the scheme
                wait_header="ratelimit-reset",
                headers={"accept": "application/vnd.pagerduty+json;version=2"},
            ),
            detail=error_detail,
            timeout_s=timeout_s,
        )

    async def find_incident(self, dedup_key: str) -> PagerDutyIncident | None:
        """The incident behind the key; None when there is none (yet: events are worked off a little later).

        After a resolution the same key opens a new one, so what is open goes before what is over.
        """
        body = await self._http.get_json(
            "incidents",
            params={
                "incident_key": dedup_key,
                "statuses[]": ["triggered", "acknowledged", "resolved"],
                "include[]": ["acknowledgers"],
                "date_range": "all",
                "limit": PAGE_SIZE,
            },
        )
        found = [incident for incident in _items(body, "incidents") if _key_fits(incident, dedup_key)]
        for status in ("triggered", "acknowledged", "resolved"):
            for incident in found:
                if incident.get("status") == status:
                    return PagerDutyIncident(status=status, by=_acknowledged_by(incident))
        return None

    async def on_call(
        self, *, schedule: str | None = None, escalation_policy: str | None = None, level: int = 1
    ) -> list[tuple[str, str]]:
        """(name, e-mail address) of who is on call now, each once; of an escalation policy only those of ``level``, 1-based."""
        wanted = {"schedule_ids[]": [schedule]} if schedule else {"escalation_policy_ids[]": [escalation_policy or ""]}
        people: dict[str, tuple[str, str]] = {}
        for page in range(MAX_PAGES):
            body = await self._http.get_json(
                "oncalls",
                params={**wanted, "earliest": "true", "include[]": ["users"], "limit": PAGE_SIZE, "offset": page * PAGE_SIZE},
            )
            for item in _items(body, "oncalls"):
                user = item.get("user")
                if isinstance(user, dict) and (schedule or item.get("escalation_level") == level):
                    people.setdefault(str(user.get("id")), (_line(user.get("name") or user.get("summary")), _email(user)))
            if not body.get("more"):
                break
        return list(people.values())

    async def aclose(self) -> None:
        await self._http.aclose()


def error_detail(body: Any) -> ErrorDetail:
    """The number of ``{error: {message, code, errors[]}}``; free text is not repeated."""
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return ErrorDetail(code=str(code)) if isinstance(code, int) else ErrorDetail()


def _items(body: Any, name: str) -> Iterator[dict[str, Any]]:
    items = body.get(name) if isinstance(body, dict) else None
    if not isinstance(items, list):
        raise Refused(
            f"PagerDuty answered GET /{name} in a shape that Muster does not know",
            remedy=f"check {PAGERDUTY_API_URL}, and whether there is a newer Muster",
            code="unexpected",
        )
    return (item for item in items if isinstance(item, dict))


def _key_fits(incident: Mapping[str, Any], dedup_key: str) -> bool:
    """A filter lost on the way must not make a stranger's incident ours. An incident that has alerts shows no key."""
    return incident.get("incident_key") in (None, dedup_key)


def _acknowledged_by(incident: Mapping[str, Any]) -> str:
    acknowledgements = incident.get("acknowledgements")
    for each in reversed(acknowledgements if isinstance(acknowledgements, list) else []):
        who = each.get("acknowledger") if isinstance(each, dict) else None
        if isinstance(who, dict) and _email(who):
            return _email(who)
    return ""


def _email(user: Mapping[str, Any]) -> str:
    email = user.get("email")
    return email if isinstance(email, str) and "@" in email and len(email) <= 254 and email.isprintable() else ""


def _line(text: object) -> str:
    return clean(text, max_chars=120) if isinstance(text, str) else ""
