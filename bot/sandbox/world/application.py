"""A stand-in for the application on Clerk: its health endpoint, which answers 200 however it is, as real ones do, and a page
that only somebody with a session gets, unless the emergency bypass is on in the deployment that serves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from bot.sandbox.world.switches import Switch

HEALTH_PATH: Final = "/api/health/clerk"
PROTECTED_PATH: Final = "/dashboard"
BYPASS_VARIABLE: Final = "CLERK_EMERGENCY_BYPASS"
BYPASS_HEADER: Final = "X-Auth-Bypass"


class ApplicationStandIn:
    """`down` is the platform's error page instead of the application. ``live_env`` gives the variables of the deployment that
    serves it. ``more`` answers paths of its own, asked before anything else; None of it: the path is not one of them."""

    def __init__(self, live_env: Callable[[], Mapping[str, str]] = dict) -> None:
        self.health = Switch("The application", ("healthy", "degraded", "unhealthy", "down"))
        self.middleware = Switch(
            "Its middleware", ("bypass with header", "bypass without header", "no bypass"), fine=("bypass without header",)
        )
        self.more: Callable[[web.Request, str], Awaitable[web.StreamResponse | None]] | None = None
        self._live_env = live_env

    @property
    def is_bypassed(self) -> bool:
        """Whether everybody gets everything at this moment."""
        return self.middleware.value != "no bypass" and self._live_env().get(BYPASS_VARIABLE) == "true"

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse:
        """Any call below ``/app``."""
        if self.health.value == "down":
            return web.Response(status=503, text="<h1>This app is not available</h1>", content_type="text/html")
        response = await self._page(request, path)
        if self.is_bypassed and self.middleware.value == "bypass with header":
            response.headers[BYPASS_HEADER] = "true"
        return response

    async def _page(self, request: web.Request, path: str) -> web.StreamResponse:
        told = await self.more(request, path) if self.more else None
        if told is not None:
            return told
        if request.method not in ("GET", "HEAD"):
            return _not_found()
        match path:
            case "/api/health/clerk":
                return web.json_response(self._report())
            case "/":
                return web.Response(text="<h1>Welcome</h1>", content_type="text/html")
            case "/dashboard" if self.is_bypassed:
                return web.Response(text="<h1>Your dashboard</h1>", content_type="text/html")
            case "/dashboard":
                return web.Response(status=307, headers={"Location": f"/sign-in?redirect_url={path}"})
        return _not_found()

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


def _not_found() -> web.Response:
    return web.Response(status=404, text="<h1>Not Found</h1>", content_type="text/html")
