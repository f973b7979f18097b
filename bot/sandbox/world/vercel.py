"""A stand-in for Vercel's REST API: the environment variables of one project of a team.

Replies carry values, as the real ones can: that they end up nowhere is the client's business, and is tested.
"""

from __future__ import annotations

import time
from typing import Any, Final

from aiohttp import web

from bot.sandbox.world.switches import API_STATES, Switch

TOKEN: Final = "sandbox-vercel-token"  # noqa: S105 - opens nothing but this stand-in
TEAM_ID: Final = "team_sandbox"
PROJECT: Final = "web"
PROJECT_ID: Final = "prj_sandbox"
VALUE_CANARY: Final = "sk_live_VALUEOFTHEVARIABLE"
WATCHED: Final = "CLERK_SECRET_KEY"
"""The variable that the switch takes away."""


class VercelStandIn:
    """One team, one project. ``variables`` can be changed; the switch hides, removes or shares `CLERK_SECRET_KEY`."""

    def __init__(self) -> None:
        self.env = Switch("CLERK_SECRET_KEY in Vercel", ("present", "missing", "hidden", "shared"), fine=("shared",))
        self.api = Switch("Vercel's API", API_STATES)
        self.variables: list[dict[str, Any]] = [
            _variable("env_1", WATCHED, ["production"]),
            _variable("env_2", WATCHED, ["preview", "development"]),
            _variable("env_3", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", ["production", "preview", "development"]),
            _variable("env_4", "CLERK_WEBHOOK_SIGNING_SECRET", ["production"]),
        ]

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse:
        """Any call below ``/vercel``."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        match (request.method, *path.strip("/").split("/")):
            case ("GET", "v10", "projects", project, "env") if project in (PROJECT, PROJECT_ID):
                return web.json_response(self._list())
            case ("GET", "v9", "projects", project) if project in (PROJECT, PROJECT_ID):
                return web.json_response({"id": PROJECT_ID, "name": PROJECT, "accountId": TEAM_ID})
            case ("GET", "v1", "env"):
                shared = self.env.value == "shared" and request.query.get("projectId") == PROJECT_ID
                data = [_variable("env_5", WATCHED, ["production"])] if shared else []
                return web.json_response({"data": data, "pagination": {"count": len(data), "next": None, "prev": None}})
        return _error(404, "not_found", "The requested resource was not found.")

    def _list(self) -> dict[str, Any]:
        if self.env.value == "present":
            return {"envs": self.variables, "pagination": {"count": len(self.variables), "next": None, "prev": None}}
        rest = [found for found in self.variables if found["key"] != WATCHED or "production" not in found["target"]]
        if self.env.value == "hidden":
            return {"envs": rest, "hiddenProductionEnvCount": len(self.variables) - len(rest)}
        return {"envs": rest, "pagination": {"count": len(rest), "next": None, "prev": None}}

    def _refusal(self, request: web.Request) -> web.Response | None:
        state = self.api.value
        if state == "html":
            return web.Response(text="<!doctype html><title>Vercel</title>", content_type="text/html")
        if state == "error":
            return _error(500, "internal_server_error", "An unexpected error occurred.")
        if state == "rate_limited":
            limit = {"total": 60, "remaining": 0, "reset": round(time.time()) + 60}
            return web.json_response({"error": {"code": "rate_limited", "message": "…", "limit": limit}}, status=429)
        if state == "unauthorized" or request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _error(403, "forbidden", "Not authorized")
        if request.query.get("teamId") != TEAM_ID:  # what belongs to a team is invisible without it
            return _error(404, "not_found", "The requested resource was not found.")
        return None


def _variable(env_id: str, key: str, targets: list[str]) -> dict[str, Any]:
    return {
        "id": env_id,
        "key": key,
        "value": VALUE_CANARY,
        "type": "encrypted",
        "target": targets,
        "configurationId": None,
        "createdAt": 1_760_000_000_000,
        "updatedAt": 1_760_000_000_000,
        "comment": "",
    }


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
