"""The back door: every call of Slack's Web API goes through ``SlackApi.call``, and every Slack error is translated here.

slack_sdk's own retries are off: it repeats POSTs whose connection drops, which posts twice. The worker owns the retries.
One aiohttp session is shared and kept alive: a new connection for each call costs three round trips instead of one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import FencedError, MusterError, PermanentError, TemporaryError, UnknownOutcome
from bot.services.ports import Lease
from bot.slack.limits import Limits

if TYPE_CHECKING:  # only the types of what a connector is handed are not public names of aiohttp
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

CALL_TIMEOUT_S = 10
KEEPALIVE_S = 60
WHILE_SLACK_WAITS_S = 0.8
"""For a call in the middle of a request of Slack's, which has to be answered within 3 s; there may be three of them."""

READS = frozenset(
    {
        "auth.test",
        "bookmarks.list",
        "chat.getPermalink",
        "conversations.history",
        "conversations.info",
        "conversations.list",
        "conversations.members",
        "conversations.replies",
        "usergroups.list",
        "usergroups.users.list",
        "users.info",
        "users.lookupByEmail",
        "users.list",
    }
)
"""Methods that change nothing: without an answer they are simply asked again."""

_PASSES = frozenset({"ratelimited", "rate_limited", "service_unavailable", "team_added_to_org", "accesslimited"})
_NOBODY_KNOWS = frozenset({"internal_error", "fatal_error", "request_timeout"})
"""docs.slack.dev: "it's possible some aspect of the operation succeeded before the error was raised"."""

_REMEDIES = {
    "invalid_auth": "SLACK_BOT_TOKEN is not valid; copy the Bot User OAuth Token from OAuth & Permissions",
    "not_authed": "SLACK_BOT_TOKEN is missing; copy the Bot User OAuth Token from OAuth & Permissions",
    "token_revoked": "SLACK_BOT_TOKEN was revoked; reinstall the app and copy the new Bot User OAuth Token",
    "token_expired": "SLACK_BOT_TOKEN has expired; reinstall the app and copy the new Bot User OAuth Token",
    "account_inactive": "the bot user was removed; reinstall the app in Slack",
    "channel_not_found": "there is no such channel, or it is private and Muster is not in it; invite Muster there",
    "not_in_channel": "Muster is not in that channel; invite it with /invite",
    "is_archived": "that channel is archived",
    "restricted_action": "the workspace does not let apps do this; ask a workspace admin",
    "user_not_found": "there is no such person in this workspace",
    "cannot_dm_bot": "bots cannot be messaged",
}


_LEASE: ContextVar[Lease | None] = ContextVar("lease", default=None)
"""Of the task that this call is made for; set by ``SlackApi.call`` for its own request only."""


class _Connector(aiohttp.TCPConnector):
    """Looks at the lease when the connection is there, the last moment before the request leaves: making a connection takes
    round trips, and the process may be stopped in them."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        connection = await super().connect(req, traces, timeout)
        lease = _LEASE.get()
        if lease and not lease.is_sure:
            connection.close()
            raise FencedError("it comes too late: another worker may do it by now")
        return connection


def make_session() -> aiohttp.ClientSession:
    """The one session towards Slack; close it at the end."""
    return aiohttp.ClientSession(
        connector=_Connector(keepalive_timeout=KEEPALIVE_S, limit=100),
        timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
    )


def make_client(session: aiohttp.ClientSession, *, token: str, base_url: str) -> AsyncWebClient:
    """slack_sdk's client over ``session``, without retries of its own. ``base_url`` ends in a slash."""
    return AsyncWebClient(token=token, base_url=base_url, session=session, timeout=CALL_TIMEOUT_S, retry_handlers=[])


class SlackApi:
    """Slack's Web API with Muster's errors. ``on_call(method, outcome, seconds)`` hears of every call, for the metrics.

    ``limits`` may be given later: it needs the workspace, which has to be asked for first. Without it only Slack limits.
    """

    def __init__(self, client: AsyncWebClient, *, on_call: Callable[[str, str, float], None] | None = None) -> None:
        self.client = client
        self.limits: Limits | None = None
        self._lease = Lease()
        self._on_call = on_call or (lambda method, outcome, seconds: None)

    def under(self, lease: Lease) -> SlackApi:
        """The same API for the work of one task: when its lease has run out, nothing is called any more (FencedError).

        A process that was stopped for a while and wakes up late would draw what was true then over what is true now.
        """
        bound = SlackApi(self.client, on_call=self._on_call)
        bound.limits, bound._lease = self.limits, lease
        return bound

    async def call(
        self, method: str, *, urgent: bool = False, patience_s: float | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Slack's answer. Arguments that are None are left out.

        ``urgent``: a page, or what a person waits for; it may use what the limits keep back from everything else.
        ``patience_s``: how long to wait for the answer, where that is less than ``CALL_TIMEOUT_S``: Slack itself waits, for 3 s.

        Raises: TemporaryError (``retry_after_s`` as Slack said), PermanentError (``code`` is Slack's), UnknownOutcome (it
        may have happened: look before repeating), FencedError (see ``under``). None of their messages holds a secret or
        somebody's text.
        """
        if self.limits is None:
            return await self._send(method, arguments, patience_s)
        channel_id = arguments.get("channel")
        async with self.limits.turn(method, channel_id, urgent=urgent):
            try:
                return await self._send(method, arguments, patience_s)
            except TemporaryError as limited:
                if limited.retry_after_s is not None:
                    await self.limits.pause(method, channel_id, seconds=limited.retry_after_s)
                raise

    async def each(self, method: str, items: str, *, most_pages: int | None = None, **arguments: Any) -> AsyncIterator[Any]:
        """Every item of a list that Slack gives out by the page, as long as somebody asks for more.

        ``items`` is the list's name in the answer, such as "channels". Raises like ``call``.
        """
        cursor: str | None = None
        for _ in itertools.count() if most_pages is None else range(most_pages):
            answer = await self.call(method, cursor=cursor, **arguments)
            for item in answer.get(items, []):
                yield item
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return

    async def _send(self, method: str, arguments: dict[str, Any], patience_s: float | None) -> dict[str, Any]:
        started = time.monotonic()
        outcome = "ok"
        lease = _LEASE.set(self._lease)
        try:
            given = {name: value for name, value in arguments.items() if value is not None}
            async with asyncio.timeout(patience_s):
                if method.startswith(("chat.post", "chat.update", "views.")):  # long: quoting it as a form takes longer
                    response = await self.client.api_call(method, json=given)
                else:
                    response = await self.client.api_call(method, data=_form(given))
            return dict(response.data) if isinstance(response.data, dict) else {}
        except FencedError:
            outcome = "fenced"
            raise
        except (SlackApiError, aiohttp.ClientError, OSError, ValueError, AttributeError) as error:
            # slack_sdk stumbles over a 200 that is text (AttributeError) or not UTF-8 (ValueError): a proxy's page
            translated = _translate(method, error)
            outcome = _label(translated)
            raise translated from error
        finally:
            _LEASE.reset(lease)
            self._on_call(method, outcome, time.monotonic() - started)


def _form(arguments: dict[str, Any]) -> dict[str, str]:
    form: dict[str, str] = {}
    for name, value in arguments.items():
        if isinstance(value, bool):
            form[name] = "true" if value else "false"
        elif isinstance(value, dict | list | tuple):
            form[name] = json.dumps(value, separators=(",", ":"))
        else:
            form[name] = str(value)
    return form


def _translate(method: str, error: Exception) -> MusterError:
    if isinstance(error, SlackApiError):
        return _translate_answer(method, error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return TemporaryError(f"Slack cannot be reached ({method}); check the network and SLACK_API_URL")
    if isinstance(error, ValueError | AttributeError):
        return _unreadable(method)
    if method in READS:
        return TemporaryError(f"Slack did not answer {method}")
    return UnknownOutcome(f"Slack did not answer {method}; it may have happened")


def _translate_answer(method: str, error: SlackApiError) -> MusterError:
    response = error.response  # slack_sdk's, or aiohttp's own when the answer was not JSON
    status = getattr(response, "status_code", getattr(response, "status", 0))
    headers = {name.lower(): value for name, value in (getattr(response, "headers", None) or {}).items()}
    said = getattr(response, "data", None)
    data = said if isinstance(said, dict) else {}
    code = str(data.get("error", ""))
    if status == 429 or code in _PASSES:
        return TemporaryError(f"Slack limits {method}", retry_after_s=_seconds(headers.get("retry-after")))
    if status == 200 and not code:
        return _unreadable(method)
    if status >= 500 or code in _NOBODY_KNOWS or not code:
        text = f"Slack failed at {method} (HTTP {status}{', ' + code if code else ''})"
        return TemporaryError(text) if method in READS else UnknownOutcome(f"{text}; it may have happened")
    return PermanentError(f"Slack refused {method}: {explain(code, data)}", code=code)


def _unreadable(method: str) -> MusterError:
    """Something answered that is not Slack: a proxy, a login page."""
    text = f"what answered {method} is not Slack; check SLACK_API_URL and the proxy in between"
    return TemporaryError(text) if method in READS else UnknownOutcome(f"{text}; it may have happened")


def explain(code: str, data: dict[str, Any]) -> str:
    """Slack's error code with what to do about it."""
    if code == "missing_scope":
        return (
            f"missing_scope: the app lacks the scope {data.get('needed', '?')}; add it under OAuth & Permissions "
            "(or install manifest.yml again) and reinstall the app"
        )
    if code in ("invalid_blocks", "invalid_arguments"):
        details = "; ".join(str(text) for text in data.get("response_metadata", {}).get("messages", []))[:300]
        return f"{code}: {details}" if details else code
    remedy = _REMEDIES.get(code)
    return f"{code}: {remedy}" if remedy else code


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.isascii() and value.isdigit() else None


def _label(error: MusterError) -> str:
    if isinstance(error, TemporaryError):
        return "limited" if error.retry_after_s is not None else "temporary"
    if isinstance(error, UnknownOutcome):
        return "unknown"
    return error.code if isinstance(error, PermanentError) else "failed"
