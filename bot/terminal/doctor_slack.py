"""What the doctor asks Slack: whose token it is, what the app may do, the incidents channel, this machine's clock.

Reads only: nothing here writes, joins or opens anything in the workspace.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.domain.errors import ConfigError, MusterError, PermanentError
from bot.slack.client import SlackApi
from bot.slack.workspace import Workspace, find_incidents_channel, introduce
from bot.terminal.findings import Finding, fault, from_error, ok, warn

SKEW_WARN_S = 30
SKEW_FAULT_S = 240
"""Requests of Slack that are more than five minutes off are refused (facts of the signature, docs.slack.dev)."""

WITHOUT_SCOPE: Mapping[str, str] = {
    "app_mentions:read": "@muster is not heard",
    "bookmarks:read": "the bookmarks of a room are not completed after a crash",
    "bookmarks:write": "rooms have no bookmarks",
    "channels:history": "trigger phrases are not heard, and a room is not completed after a crash",
    "channels:manage": "no incident room can be made",
    "channels:read": "the incidents channel is not found, and nobody can tell who is in a room",
    "chat:write": "nothing can be said: no card, no announcement, no page",
    "commands": "slash commands and shortcuts do not work",
    "files:write": "long results of actions are not shown",
    "groups:history": "trigger phrases in private channels are not heard, and a private room is not completed after a crash",
    "groups:read": "private channels are not seen, nor who is in a private room",
    "groups:write": "no private incident room can be made",
    "im:history": "after a crash, a page is not looked for before it is sent again",
    "im:write": "nobody can be paged",
    "usergroups:read": "contacts that are user groups cannot be paged",
    "users:read.email": "contacts by e-mail address cannot be paged",
    "users:read": "contacts by name cannot be paged, and guests cannot be told from members",
}
"""What does not work without each scope of the manifest."""


class SlackLook:
    """Slack as the checks share it: who Muster is there is asked once. ``api`` None: no usable token, and ``why_not`` says so."""

    def __init__(self, api: SlackApi | None, *, why_not: str = "") -> None:
        self._api = api
        self._why_not = why_not
        self._introduction: asyncio.Task[Workspace] | None = None

    async def require(self) -> tuple[SlackApi, Workspace]:
        """Raises: MusterError when the token is missing or refused, or Slack cannot be asked."""
        if self._api is None:
            raise ConfigError(self._why_not)
        if self._introduction is None:
            self._introduction = asyncio.create_task(introduce(self._api), name="introduction")
        return self._api, await asyncio.shield(self._introduction)  # the deadline of one check is not that of the others

    async def close(self) -> None:
        """Give up what was not answered."""
        if self._introduction is not None:
            self._introduction.cancel()
            await asyncio.gather(self._introduction, return_exceptions=True)


async def check_token(slack: SlackLook) -> list[Finding]:
    """Whether the token is good, and where it leads. Raises: MusterError."""
    _, found = await slack.require()
    return [ok("Slack token", f"workspace {found.team} ({found.team_id}), as bot user {found.bot_user_id}")]


async def check_scopes(slack: SlackLook, manifest: Mapping[str, Any]) -> list[Finding]:
    """What the installed app was granted, against the manifest; and how far this machine's clock is from Slack's."""
    try:
        api, _ = await slack.require()
    except MusterError:
        return [after_the_token("Slack scopes")]
    try:
        response = await api.client.api_call("auth.test")  # the SDK's own: the answer is in its headers
    except (SlackApiError, aiohttp.ClientError, OSError, ValueError) as error:
        return [warn("Slack scopes", f"not seen: Slack did not answer ({type(error).__name__})", "run muster doctor again")]
    headers = {name.lower(): str(value) for name, value in (response.headers or {}).items()}
    return [
        *compare_scopes(headers.get("x-oauth-scopes"), wanted_scopes(manifest)),
        *compare_clock(headers.get("date"), time.time()),
    ]


def wanted_scopes(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The bot scopes of a manifest, in its order."""
    return tuple(manifest["oauth_config"]["scopes"]["bot"])


def compare_scopes(granted: str | None, wanted: tuple[str, ...]) -> list[Finding]:
    """``granted``: the header x-oauth-scopes, commas between them; None when there was none."""
    if granted is None:
        remedy = "compare OAuth & Permissions with muster manifest"
        return [warn("Slack scopes", "not seen: what answers does not tell them", remedy)]
    have = {name.strip() for name in granted.split(",")} - {""}
    missing = [name for name in wanted if name not in have]
    if missing:
        remedy = "add it under OAuth & Permissions (muster manifest has them all) and reinstall the app"
        lost = {name: WITHOUT_SCOPE.get(name, "a part of Muster fails") for name in missing}
        return [fault("Slack scopes", f"{name} is missing, so {what}", remedy) for name, what in lost.items()]
    unused = sorted(have - set(wanted))
    return [ok("Slack scopes", f"all {len(wanted)} granted" + (f" (not needed: {', '.join(unused)})" if unused else ""))]


def compare_clock(date: str | None, now_s: float) -> list[Finding]:
    """``date``: the HTTP header of Slack's answer; ``now_s``: this machine's epoch seconds. Nothing without a usable header."""
    try:
        skew_s = abs(parsedate_to_datetime(date or "").timestamp() - now_s)
    except ValueError:
        return []
    if skew_s < SKEW_WARN_S:
        return [ok("clock", f"{skew_s:.0f} s from Slack's")]
    finding = f"{skew_s:.0f} s from Slack's, and requests of Slack are refused from 300 s on"
    return [Finding("fault" if skew_s >= SKEW_FAULT_S else "warn", "clock", finding, "let NTP set the clock of this machine")]


async def check_incidents_channel(slack: SlackLook, name_or_id: str) -> list[Finding]:
    """It is there, and Muster is in it."""
    try:
        api, _ = await slack.require()
    except MusterError:
        return [after_the_token("incidents channel")]
    try:
        channel_id = await find_incidents_channel(api, name_or_id)
    except MusterError as error:
        return from_error("incidents channel", error)
    return [ok("incidents channel", f"{name_or_id} is {channel_id}, and Muster is in it")]


async def check_traffic(app: SlackApi | None) -> list[Finding]:
    """How Slack's traffic comes. ``app``: Slack with the app-level token, None without one.

    The address that Slack gives is not connected to, so the running bot loses nothing. Raises: MusterError without an answer.
    """
    if app is None:
        return [ok("Slack traffic", "comes by HTTP to /slack/events (SLACK_APP_TOKEN would make it Socket Mode)")]
    try:
        await app.call("apps.connections.open")
    except PermanentError as error:
        remedy = (
            "copy SLACK_APP_TOKEN from api.slack.com/apps > your app > Basic Information > App-Level Tokens (connections:write) "
            "and turn Socket Mode on there, or unset it to have the traffic come by HTTP"
        )
        return [fault("Slack traffic", f"Socket Mode is refused ({error.code})", remedy)]
    return [ok("Slack traffic", "comes by Socket Mode; the app-level token is accepted")]


def after_the_token(what: str) -> Finding:
    """The token has a line of its own: the same fault is not told five times."""
    return warn(what, "not looked up in Slack", "mend the Slack token first")
