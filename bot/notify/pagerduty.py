"""PagerDuty as a way to reach people: it wakes whoever its own schedules say, and Muster tells it how the incident goes on.

One page is one alert, known by its dedup key; repeating an event changes nothing, so nothing has to be looked up first.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from bot.domain.escalation import Contact, Way
from bot.domain.text import cut
from bot.notify.wording import headline, why
from bot.providers.http import guarded
from bot.providers.pagerduty import DEDUP_KEY_MAX_CHARS, SUMMARY_MAX_CHARS, PagerDutyEvents, PagerDutyRest
from bot.services.leases import guard
from bot.services.ports import Accepted, Followed, Summons

SOURCE: Final = "muster"
SEVERITIES: Final = {"SEV1": "critical", "SEV2": "error", "SEV3": "warning", "SEV4": "info"}


class PagerDutyWay:
    """Implements ``PageWay``. Without ``rest`` nobody knows here what was done in PagerDuty."""

    way = Way.PAGERDUTY
    follows = True

    def __init__(self, events: PagerDutyEvents, rest: PagerDutyRest | None, *, namespace: str) -> None:
        self._events = events
        self._rest = rest
        self._namespace = namespace

    def missing(self, contact: Contact) -> str:
        """See ``PageWay``."""
        return "" if contact.pagerduty else "pagerduty is not set to true"

    async def send(self, summons: Summons) -> Accepted:
        """See ``PageWay``; the reference is the dedup key."""
        key = self._dedup_key(summons)
        with guarded(guard(summons.lease)):
            await self._events.send("trigger", key, trigger_of(summons))
        return Accepted(reference=key)

    async def follow(self, reference: str, summons: Summons, *, wanted: Literal["open", "acknowledged", "over"]) -> Followed:
        """See ``PageWay``. What was said here is told there: "acknowledged" comes back as it was told, without anybody's name."""
        if wanted == "over":
            with guarded(guard(summons.lease)):
                await self._events.send("resolve", reference)
            return Followed(state="closed")
        if wanted == "acknowledged":
            with guarded(guard(summons.lease)):
                await self._events.send("acknowledge", reference)
            return Followed(state="acknowledged")
        if self._rest is None:  # nobody can be asked; it will be told what becomes of the incident
            return Followed(state="closed")
        incident = await self._rest.find_incident(reference)
        if incident is None or incident.status == "triggered":
            return Followed(state="pending")
        if incident.status == "acknowledged":
            return Followed(state="acknowledged", by=incident.by)
        return Followed(state="closed", reason="it was resolved in PagerDuty", by=incident.by)

    def _dedup_key(self, summons: Summons) -> str:
        return f"{self._namespace}/{summons.key}"[:DEDUP_KEY_MAX_CHARS]


def trigger_of(summons: Summons) -> dict[str, Any]:
    """What a trigger event carries beside the keys. A notice that wants no answer is "info", whatever the incident is: services
    with urgency by severity then wake nobody for it."""
    wakes = summons.kind in ("page", "test")
    details = {
        "incident": summons.number,
        "severity": summons.severity,
        "why": why(summons),
        "opened_at": summons.opened_at.isoformat(timespec="seconds"),
        "drill": summons.drill,
    }
    event: dict[str, Any] = {
        "payload": {
            "summary": cut(headline(summons), max_chars=SUMMARY_MAX_CHARS),
            "source": SOURCE,
            "severity": SEVERITIES.get(summons.severity, "critical") if wakes else "info",
            "timestamp": summons.opened_at.isoformat(timespec="milliseconds"),
            "custom_details": details,
        },
        "client": "Muster",
    }
    if summons.room_url:
        event["links"] = [{"href": summons.room_url, "text": "The incident's room in Slack"}]
        event["client_url"] = summons.room_url
    return event
