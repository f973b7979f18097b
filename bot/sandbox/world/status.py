"""A stand-in for Clerk's public status page: the widget API of incident.io, the API of Statuspage, and the RSS feed.

Which of them exist is a switch of its own, as pages move between hosts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from xml.sax.saxutils import escape

from aiohttp import web

from bot.sandbox.world.switches import Switch

_TITLE: Final = "Increased errors when signing in"
_COMPONENT: Final = "User and authentication"
_AT: Final = datetime(2026, 11, 20, 19, 24, tzinfo=UTC)
_IMPACTS: Final = {"degraded": "degraded_performance", "down": "full_outage"}
_COMPONENT_WORDS: Final = {"degraded": "degraded_performance", "down": "major_outage"}
_INDICATORS: Final = {"operational": "none", "degraded": "minor", "down": "critical"}
_DESCRIPTIONS: Final = {
    "operational": "All Systems Operational",
    "degraded": "Partially Degraded Service",
    "down": "Major Service Outage",
}


class StatusStandIn:
    """One page. ``state`` is what it says, ``page`` through which APIs (`incident_io` has all three)."""

    def __init__(self) -> None:
        self.state = Switch("Clerk", ("operational", "degraded", "down"))
        self.page = Switch(
            "Clerk's status page", ("incident_io", "statuspage", "feed", "html", "error"), fine=("statuspage", "feed")
        )

    async def answer(self, _request: web.Request, path: str) -> web.StreamResponse:
        """Any call below ``/status``."""
        if self.page.value == "error":
            return web.Response(status=503, text="Service Unavailable")
        if self.page.value == "html":
            return web.Response(text="<!doctype html><title>Clerk Status</title>", content_type="text/html")
        has = {
            "incident_io": ("/api/v1/", "/api/v2/", "/feed.rss"),
            "statuspage": ("/api/v2/",),
            "feed": ("/feed.rss",),
        }[self.page.value]
        if not path.startswith(has):
            return web.Response(status=404, text="<h1>Not Found</h1>", content_type="text/html")
        return self._of(path)

    def _of(self, path: str) -> web.Response:
        match path:
            case "/api/v1/summary":
                return web.json_response(self._widget())
            case "/api/v2/summary.json":
                return web.json_response(self._summary())
            case "/api/v2/status.json":
                summary = self._summary()
                return web.json_response({"page": summary["page"], "status": summary["status"]})
            case "/api/v2/incidents.json":
                return web.json_response({"page": _PAGE, "incidents": self._incidents()})
            case "/feed.rss":
                return web.Response(text=self._feed(), content_type="application/rss+xml")
        return web.Response(status=404, text="Not Found")

    def _widget(self) -> dict[str, Any]:
        impact = _IMPACTS.get(self.state.value)
        ongoing = {
            "id": "01SANDBOXINCIDENT",
            "name": _TITLE,
            "status": "investigating",
            "url": "https://status.clerk.com/incidents/01SANDBOXINCIDENT",
            "last_update_at": _AT.isoformat(),
            "last_update_message": "We are looking into it.",
            "current_worst_impact": impact,
            "affected_components": [{"id": "01SANDBOXCOMPONENT", "name": _COMPONENT, "current_status": impact}],
        }
        return {
            "page_title": "Clerk",
            "page_url": "https://status.clerk.com",
            "ongoing_incidents": [ongoing] if impact else [],
            "in_progress_maintenances": [],
            "scheduled_maintenances": [],
        }

    def _summary(self) -> dict[str, Any]:
        """On incident.io the summary leaves its incidents out; only `/api/v2/incidents.json` has them."""
        state = self.state.value
        return {
            "page": _PAGE,
            "status": {"indicator": _INDICATORS[state], "description": _DESCRIPTIONS[state]},
            "components": [
                {"id": "1", "name": _COMPONENT, "status": _COMPONENT_WORDS.get(state, "operational")},
                {"id": "2", "name": "Webhooks", "status": "operational"},
            ],
            "incidents": self._incidents() if self.page.value == "statuspage" else [],
            "scheduled_maintenances": [],
        }

    def _incidents(self) -> list[dict[str, Any]]:
        impact = {"degraded": "minor", "down": "critical"}.get(self.state.value)
        old = {"id": "0", "name": "Delayed webhooks", "status": "resolved", "impact": "minor", "components": []}
        now: dict[str, Any] = {"id": "1", "name": _TITLE, "status": "investigating", "impact": impact, "components": []}
        return [now, old] if impact else [old]

    def _feed(self) -> str:
        words = {"degraded": "Degraded performance", "down": "Full outage"}.get(self.state.value)
        items = [_item("Delayed webhooks", "Resolved", "Webhooks", "Degraded performance")]
        if words:
            items.insert(0, _item(_TITLE, "Investigating", _COMPONENT, words))
        return (
            '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>Clerk status</title>'
            f"<link>https://status.clerk.com</link>{''.join(items)}</channel></rss>"
        )


_PAGE: Final = {
    "id": "01SANDBOXPAGE",
    "name": "Clerk",
    "url": "https://status.clerk.com",
    "updated_at": _AT.isoformat(),
}


def _item(title: str, status: str, component: str, impact: str) -> str:
    html = f"<b>Status: {status}</b><br/><b>Affected components</b><ul><li>{component} ({impact})</li></ul>"
    link = "https://status.clerk.com/incidents/" + title.replace(" ", "-").lower()
    return (
        f"<item><title>{escape(title)}</title><link>{link}</link><guid>{link}</guid>"
        f"<pubDate>{format_datetime(_AT)}</pubDate><description>{escape(html)}</description></item>"
    )
