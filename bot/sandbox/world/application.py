"""A stand-in for the application on Clerk: its health endpoint, which answers 200 however it is, as real ones do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from bot.sandbox.world.switches import Switch

HEALTH_PATH: Final = "/api/health/clerk"


class ApplicationStandIn:
    """`down` is the platform's error page instead of the application."""

    def __init__(self) -> None:
        self.health = Switch("The application", ("healthy", "degraded", "unhealthy", "down"))

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse:
        """Any call below ``/app``."""
        if self.health.value == "down":
            return web.Response(status=503, text="<h1>This app is not available</h1>", content_type="text/html")
        if path != HEALTH_PATH or request.method not in ("GET", "HEAD"):
            return web.Response(status=404, text="<h1>Not Found</h1>", content_type="text/html")
        return web.json_response(self._report())

    def _report(self) -> dict[str, Any]:
        state = self.health.value
        auth = {"healthy": "healthy", "degraded": "healthy", "unhealthy": "unhealthy"}[state]
        return {
            "status": state,
            "checks": {
                "auth": {"status": auth, "latency": 12},
                "api": {"status": state, "latency": 1840 if state == "degraded" else 96},
                "webhooks": {"status": "healthy", "lastReceived": datetime.now(UTC).isoformat()},
            },
            "timestamp": datetime.now(UTC).isoformat(),
        }
