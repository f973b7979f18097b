"""The smallest bot: it verifies each signature with Slack's own verifier, keeps what it got, and answers as it is told."""

from __future__ import annotations

import copy
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from slack_sdk.signature import SignatureVerifier

SIGNING_SECRET = "sandbox-signing-secret"
TOKEN = "xoxb-sandbox-token"

SCOPES = [
    "app_mentions:read", "bookmarks:read", "bookmarks:write", "channels:history", "channels:join", "channels:manage",
    "channels:read", "chat:write", "commands", "files:write", "groups:history", "groups:read", "groups:write",
    "im:history", "im:read", "im:write", "mpim:history", "mpim:read", "mpim:write", "pins:read", "pins:write",
    "reactions:read", "reactions:write", "team:read", "usergroups:read", "users:read", "users:read.email",
]  # fmt: skip
EVENTS = [
    "app_home_opened", "app_mention", "channel_archive", "channel_created", "channel_rename", "member_joined_channel",
    "member_left_channel", "message.channels", "message.groups", "message.im", "reaction_added",
]  # fmt: skip


def manifest(*, without_scopes: tuple[str, ...] = (), without_events: tuple[str, ...] = ()) -> dict[str, Any]:
    """An ordinary app's manifest, less these scopes and events."""
    return {
        "features": {
            "bot_user": {"display_name": "Muster"},
            "app_home": {"home_tab_enabled": True},
            "slash_commands": [
                {"command": "/incident", "description": "Open an incident", "usage_hint": "[words]", "should_escape": True},
                {"command": "/plain", "description": "Gets its text as it was typed"},
            ],
            "shortcuts": [
                {"name": "Open", "type": "global", "callback_id": "open", "description": "Say what is broken"},
                {"name": "From this", "type": "message", "callback_id": "from_message", "description": "Take this"},
            ],
        },
        "oauth_config": {"scopes": {"bot": [scope for scope in SCOPES if scope not in without_scopes]}},
        "settings": {"event_subscriptions": {"bot_events": [one for one in EVENTS if one not in without_events]}},
    }


@dataclass(frozen=True)
class Received:
    """One verified request. ``payload`` is the event envelope, the command's fields, or the interaction."""

    body: bytes
    headers: dict[str, str]
    payload: dict[str, Any]

    @property
    def event(self) -> dict[str, Any]:
        """The inner event of an events request, {} elsewhere."""
        return dict(self.payload.get("event", {}))


Behaviour = Callable[[Received], Awaitable[web.StreamResponse]]


async def acknowledge(received: Received) -> web.StreamResponse:
    """200 and no more."""
    return web.Response()


class TinyBot:
    """Set ``answer`` to behave otherwise. ``forged`` counts what failed verification."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.forged = 0
        self.answer: Behaviour = acknowledge
        self._verifier = SignatureVerifier(SIGNING_SECRET)
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> str:
        """Listen; returns the address."""
        app = web.Application()
        app.router.add_post("/slack/events", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def events(self, kind: str, subtype: str | None = None) -> list[dict[str, Any]]:
        """The events of one type received so far."""
        found = [one.event for one in self.received if one.event.get("type") == kind]
        return [event for event in found if event.get("subtype") == subtype]

    def interactions(self, kind: str) -> list[dict[str, Any]]:
        """The interactions of one type received so far."""
        return [one.payload for one in self.received if one.payload.get("type") == kind]

    def replies_with(self, body: Any = None, *, status: int = 200, text: str | None = None) -> None:
        """Answer everything with this JSON, this text, or this status from now on."""

        async def reply(received: Received) -> web.StreamResponse:
            if body is not None:
                return web.json_response(copy.deepcopy(body), status=status)
            return web.Response(status=status, text=text)

        self.answer = reply

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = dict(request.headers)
        if not self._verifier.is_valid_request(body, headers):
            self.forged += 1
            return web.Response(status=401)
        received = Received(body, headers, _payload(request.content_type, body))
        self.received.append(received)
        return await self.answer(received)


def _payload(content_type: str, body: bytes) -> dict[str, Any]:
    if content_type == "application/json":
        return dict(json.loads(body))
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return dict(json.loads(fields["payload"])) if "payload" in fields else dict(fields)


def text(words: str, kind: str = "plain_text") -> dict[str, Any]:
    """A text object."""
    return {"type": kind, "text": words}


def button(action_id: str = "go", **more: Any) -> dict[str, Any]:
    """A button."""
    return {"type": "button", "action_id": action_id, "text": text("Go"), **more}


def actions(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An actions block."""
    return {"type": "actions", "elements": list(elements), **more}


def section(words: str = "Hello", **more: Any) -> dict[str, Any]:
    """A section with mrkdwn."""
    return {"type": "section", "text": text(words, "mrkdwn"), **more}


def option(value: str) -> dict[str, Any]:
    """An option whose text is its value."""
    return {"text": text(value), "value": value}


def select(*values: str, action_id: str = "pick", **more: Any) -> dict[str, Any]:
    """A static select."""
    return {"type": "static_select", "action_id": action_id, "options": [option(value) for value in values], **more}


def field(element: dict[str, Any], block_id: str = "field", **more: Any) -> dict[str, Any]:
    """An input block."""
    return {"type": "input", "block_id": block_id, "label": text("Label"), "element": element, **more}


def modal(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A modal with a submit button."""
    return {"type": "modal", "title": text("Form"), "submit": text("Send"), "blocks": list(blocks), **more}
