"""The half of the application that has data: the endpoint that takes Clerk's webhooks, the switch that pauses it, and its table
of users in a PostgreSQL, when this machine has one. docs/application.md is the same in TypeScript.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from bot.domain.errors import ConfigError
from bot.sandbox.postgres import TemporaryPostgres
from bot.sandbox.world.switches import Switch

WEBHOOK_PATH: Final = "/api/webhooks/clerk"
SWITCH_PATH: Final = "/api/muster/webhooks"
SWITCH_TOKEN: Final = "sandbox-switch-token"  # noqa: S105 - opens nothing but this stand-in
TABLE: Final = "users"
COLUMNS: Final = "clerk_id=id, email=email, first_name=first_name, last_name=last_name, updated_at=now"
TOLERANCE_S: Final = 300
RETRY_AFTER_S: Final = 300
_CREATE: Final = """
CREATE TABLE users (
  clerk_id text PRIMARY KEY, email text UNIQUE, first_name text, last_name text, updated_at timestamptz NOT NULL DEFAULT now()
)
"""
_INSERT: Final = "INSERT INTO users (clerk_id, email, first_name, last_name) VALUES (%s, %s, %s, %s)"


class ApplicationData:
    """``answer`` is asked before the pages of the application. ``signing_key`` is what Clerk's events are signed with, as it is
    in the variable (``whsec_…``). ``webhook`` can be a fault; "stuck switch" says that it is paused, and takes events."""

    def __init__(self, signing_key: str, clock: Callable[[], float]) -> None:
        self.webhook = Switch("Its webhook endpoint", ("healthy", "unprotected", "behind a sign-in", "broken", "stuck switch"))
        self.paused_since: datetime | None = None
        self.events: list[dict[str, Any]] = []
        """The events that were taken."""
        self.database_url = ""
        """"": there is no PostgreSQL."""
        self._key = base64.b64decode(signing_key.removeprefix("whsec_"))
        self._clock = clock
        self._database = contextlib.ExitStack()

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse | None:
        """None: it is no path of ours."""
        if path == SWITCH_PATH:
            return await self._switch(request)
        if path == WEBHOOK_PATH:
            return await self._event(request)
        return None

    async def start_database(self, users: Mapping[str, Mapping[str, Any]]) -> bool:
        """Start a PostgreSQL with the users, a little behind: the last one is missing, the first has another address, and one
        is gone at Clerk. False: this machine has none."""
        server = TemporaryPostgres()
        try:
            await asyncio.to_thread(self._database.enter_context, server)
        except ConfigError:
            return False
        await asyncio.to_thread(_fill, server, list(users.values()))
        self.database_url = server.url
        return True

    async def stop(self) -> None:
        """Throw the database away. Safe to repeat."""
        self.database_url = ""
        await asyncio.to_thread(self._database.close)

    async def _switch(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {SWITCH_TOKEN}".encode()):
            return web.json_response({"error": "unauthorized"}, status=401)
        if request.method == "PUT":
            body = await request.json()
            if not isinstance(body, dict) or not isinstance(body.get("paused"), bool):
                return web.json_response({"error": "paused must be true or false"}, status=400)
            now = datetime.fromtimestamp(self._clock(), UTC).replace(microsecond=0)
            self.paused_since = (self.paused_since or now) if body["paused"] else None
        elif request.method != "GET":
            return web.json_response({"error": "method not allowed"}, status=405)
        since = self.paused_since.isoformat() if self.paused_since else None
        return web.json_response({"paused": since is not None, "since": since})

    async def _event(self, request: web.Request) -> web.Response:
        state = self.webhook.value
        if state == "behind a sign-in":
            return web.Response(status=307, headers={"Location": f"/sign-in?redirect_url={WEBHOOK_PATH}"})
        if request.method != "POST":
            return web.json_response({"error": "method not allowed"}, status=405)
        if state == "broken":
            return web.Response(status=500, text="<h1>Internal Server Error</h1>", content_type="text/html")
        body = await request.read()
        if state != "unprotected" and not self._is_signed(request.headers, body):
            return web.json_response({"error": "the signature does not fit"}, status=400)
        if self.paused_since and state != "stuck switch":
            return web.json_response({"error": "paused"}, status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
        self.events.append(json.loads(body))
        return web.json_response({"received": True})

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        message_id, epoch_s = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
        if not message_id or not epoch_s.isdecimal() or abs(self._clock() - int(epoch_s)) > TOLERANCE_S:
            return False
        digest = hmac.new(self._key, f"{message_id}.{epoch_s}.".encode() + body, hashlib.sha256).digest()
        expected = f"v1,{base64.b64encode(digest).decode()}".encode()
        return any(hmac.compare_digest(expected, given.encode()) for given in headers.get("svix-signature", "").split())


def _fill(server: TemporaryPostgres, users: Iterable[Mapping[str, Any]]) -> None:
    import psycopg  # here: the sandbox does not need it where there is no PostgreSQL

    with psycopg.connect(server.url_for("owner", server.password, "postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE app")
    rows = [_row(user) for user in users][:-1]
    if rows:
        rows[0] = (rows[0][0], "old-address@sandbox.example", *rows[0][2:])
    with psycopg.connect(server.url) as connection, connection.cursor() as cursor:
        cursor.execute(_CREATE)
        cursor.executemany(_INSERT, [*rows, ("user_2gone", "gone@sandbox.example", "Sandbox", "gone")])


def _row(user: Mapping[str, Any]) -> tuple[str, str | None, str | None, str | None]:
    primary = [one["email_address"] for one in user["email_addresses"] if one["id"] == user["primary_email_address_id"]]
    return user["id"], primary[0] if primary else None, user["first_name"], user["last_name"]
