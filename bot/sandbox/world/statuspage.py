"""A stand-in for Atlassian Statuspage's API: one page and its incidents. It takes nothing that the real one does not document.

Whoever is mailed is counted in `mailed`, since a mail to customers cannot be taken back.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from bot.sandbox.world.recording import describe
from bot.sandbox.world.switches import API_STATES, Switch

API_KEY: Final = "sandbox-statuspage-key"
PAGE_ID: Final = "sandboxpage1"
PAGE_NAME: Final = "Sandbox Status"
STATUSES: Final = ("investigating", "identified", "monitoring", "resolved")
OVER: Final = ("resolved", "postmortem")
NAME_MAX_CHARS: Final = 255
BODY_MAX_CHARS: Final = 25_000
_FIELDS: Final = {"name": str, "status": str, "body": str, "deliver_notifications": bool, "metadata": dict}


class _RefusalError(Exception):
    """An error answer: status and sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class StatuspageStandIn:
    """``incidents`` are those of the page, oldest first; ``clock`` gives epoch seconds. A text is mailed to
    the subscribers unless it is said not to be, as on the real one."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.api = Switch("Your status page's API", API_STATES)
        self.incidents: list[dict[str, Any]] = []
        self.mailed: list[str] = []
        """The texts that went to the subscribers."""
        self._ids = itertools.count(1)

    def texts(self) -> list[str]:
        """Everything that was published, oldest first."""
        return [update["body"] for incident in self.incidents for update in reversed(incident["incident_updates"])]

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse:
        """Any call below ``/statuspage``."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            status, body = self._result(request, path.strip("/").split("/"), await request.read())
        except _RefusalError as error:
            return web.json_response({"error": error.message}, status=error.status)
        return web.json_response(body, status=status)

    def _refusal(self, request: web.Request) -> web.Response | None:
        match self.api.value:
            case "rate_limited":
                return web.json_response({"error": "Too many requests"}, status=420)
            case "error":
                return web.json_response({"error": "Internal server error"}, status=500)
            case "html":
                return web.Response(text="<html><h1>Sign in to your company</h1></html>", content_type="text/html")
        if self.api.value == "unauthorized" or request.headers.get("Authorization") != f"OAuth {API_KEY}":
            return web.json_response({"error": "Could not authenticate"}, status=401)
        return None

    def _result(self, request: web.Request, segments: list[str], raw: bytes) -> tuple[int, Any]:
        match (request.method, *segments):
            case (_, "v1", "pages", page_id, *_) if page_id != PAGE_ID:
                raise _RefusalError(404, "Not found")
            case ("GET", "v1", "pages", _):
                return 200, {"id": PAGE_ID, "name": PAGE_NAME, "domain": "status.sandbox.example", "subdomain": "sandbox"}
            case ("GET", "v1", "pages", _, "incidents"):
                return 200, self.incidents[::-1][: self._limit(request)]
            case ("GET", "v1", "pages", _, "incidents", "unresolved"):
                return 200, [one for one in reversed(self.incidents) if one["status"] not in OVER]
            case ("POST", "v1", "pages", _, "incidents"):
                return 201, self._open(self._told(raw))
            case ("PATCH" | "PUT", "v1", "pages", _, "incidents", public_id):
                return 200, self._change(self._find(public_id), self._told(raw))
        raise _RefusalError(404, "Not found")

    def _limit(self, request: web.Request) -> int:
        text = request.query.get("limit", "100")
        if not text.isdecimal() or not 1 <= int(text) <= 100:
            raise _RefusalError(400, "limit must be 1 to 100")
        return int(text)

    def _told(self, raw: bytes) -> dict[str, Any]:
        """What is to be written, checked."""
        try:
            body = json.loads(raw)
        except ValueError:
            raise _RefusalError(400, "The body is not JSON") from None
        told = body.get("incident") if isinstance(body, dict) else None
        if not isinstance(told, dict):
            raise _RefusalError(400, "incident is missing")
        describe(sent=told)
        for name, value in told.items():
            if name not in _FIELDS or type(value) is not _FIELDS[name]:
                raise _RefusalError(422, f"{name} is not valid")
        if told.get("status", STATUSES[0]) not in STATUSES:
            raise _RefusalError(422, "status is not included in the list")
        if len(told.get("name", "")) > NAME_MAX_CHARS or len(told.get("body", "")) > BODY_MAX_CHARS:
            raise _RefusalError(422, "it is too long")
        if not all(isinstance(value, dict) for value in told.get("metadata", {}).values()):
            raise _RefusalError(422, "metadata must be an object of objects")
        return told

    def _find(self, public_id: str) -> dict[str, Any]:
        found = next((one for one in self.incidents if one["id"] == public_id), None)
        if found is None:
            raise _RefusalError(404, "Not found")
        return found

    def _open(self, told: dict[str, Any]) -> dict[str, Any]:
        if not told.get("name"):
            raise _RefusalError(422, "name can't be blank")
        incident = {
            "id": f"public{next(self._ids):06}",
            "name": told["name"],
            "status": STATUSES[0],
            "impact": "none",
            "page_id": PAGE_ID,
            "created_at": self._moment(),
            "metadata": {},
            "incident_updates": [],
        }
        self.incidents.append(incident)
        return self._change(incident, told)

    def _change(self, incident: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
        incident |= {name: told[name] for name in ("name", "status", "metadata") if name in told}
        if told.get("body"):
            update = {
                "id": f"update{next(self._ids):06}",
                "body": told["body"],
                "status": incident["status"],
                "created_at": self._moment(),
                "deliver_notifications": told.get("deliver_notifications", True),
            }
            incident["incident_updates"].insert(0, update)
            if update["deliver_notifications"]:
                self.mailed.append(told["body"])
        return incident

    def _moment(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
