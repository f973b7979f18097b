"""The Bolt app: a few catch-all listeners over tables of our own, with one guard around all of them.

Bolt tries its listeners one by one and polls for an acknowledgement every 10 ms; with catch-alls and
``process_before_response`` neither costs anything. Authorization is static: Bolt's own asks ``auth.test`` for every request
and answers 200 without running the listener when that fails. The signature was checked on the raw bytes (``bot.http``).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient
from structlog.contextvars import bound_contextvars

from bot.domain.errors import ConflictError, MusterError, PermanentError, TemporaryError, UnknownOutcome, UserError
from bot.domain.text import TITLE_MAX_CHARS, clean, readable
from bot.services.crashpoints import crashpoint
from bot.slack.blocks import ids
from bot.slack.blocks.parts import escape
from bot.slack.blocks.views import FieldErrors, notice_view
from bot.slack.listeners import commands, events, oncall
from bot.slack.listeners.clicks import click
from bot.slack.listeners.commands import Asked
from bot.slack.listeners.forms import SENT, open_declare_form
from bot.slack.listeners.pressed import read_click, trigger_key
from bot.slack.listeners.shapes import is_whole
from bot.slack.listeners.tools import Reply, Tools
from bot.slack.patience import one_request

_EVERYTHING = re.compile("")

COMMANDS: dict[str, Callable[[Tools, Asked], Awaitable[Reply | None]]] = {
    "/incident": commands.incident,
    "/runbook": commands.runbook,
    "/oncall": oncall.oncall,
}
"""By the name in the manifest; a team may give them other names (``muster manifest --command``)."""

SHORTCUTS = (ids.SHORTCUT_DECLARE, ids.SHORTCUT_DECLARE_MESSAGE)


def make_app(tools: Tools, *, bot_token: str, signing_secret: str) -> AsyncApp:
    """The app, with every listener registered."""
    result = AuthorizeResult(
        enterprise_id=None,
        team_id=tools.team_id,
        bot_token=bot_token,
        bot_id=tools.bot_id,
        bot_user_id=tools.bot_user_id,
    )

    async def authorize(**_: Any) -> AuthorizeResult:
        return result

    logger = logging.getLogger("slack_bolt.muster")
    logger.setLevel(logging.ERROR)  # it warns that SLACK_BOT_TOKEN is not needed; the authorization carries the token
    app = AsyncApp(
        logger=logger,
        client=_without_token(tools.slack.client),
        signing_secret=signing_secret,
        authorize=authorize,
        process_before_response=True,
        request_verification_enabled=False,  # the front door did both
        url_verification_enabled=False,
        attaching_function_token_enabled=False,  # Muster has no workflow steps
    )
    logger.setLevel(logging.WARNING)
    listeners = Listeners(tools)
    app.event(_EVERYTHING)(listeners.on_event)
    app.command(_EVERYTHING)(listeners.on_command)
    app.action(_EVERYTHING)(listeners.on_click)
    app.view(_EVERYTHING)(listeners.on_view)
    app.view_closed(_EVERYTHING)(listeners.on_view_closed)
    app.shortcut(_EVERYTHING)(listeners.on_shortcut)
    app.error(listeners.on_error)
    return app


def _without_token(client: AsyncWebClient) -> AsyncWebClient:
    """Bolt takes the token from the authorization, and warns when the client has one of its own."""
    return AsyncWebClient(base_url=client.base_url, session=client.session, timeout=client.timeout, retry_handlers=[])


async def dispatch(app: AsyncApp, told: Mapping[str, Any], headers: Mapping[str, str]) -> BoltResponse:
    """One request of Slack through Bolt; its signature was checked.

    Bolt is given what was read, as it is in Socket Mode (the mode means nothing else): it would look into a text before anybody
    could judge it, and take a command that speaks of a "payload" for an interaction without one.
    """
    if not is_whole(told):
        return BoltResponse(status=400, body="not readable")
    return await app.async_dispatch(AsyncBoltRequest(body=dict(told), headers=dict(headers), mode="socket_mode"))


class Listeners:
    """The six catch-alls. Each commits, then acknowledges; nothing raises after an acknowledgement.

    Events: what cannot be saved is a 5xx, and Slack repeats it. People: they are told at once, and whom to call instead.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def on_event(self, body: dict[str, Any], ack: AsyncAck) -> None:
        """``event_callback``. Raises: what stands in the way of saving it."""
        event = body.get("event") or {}
        act = events.HANDLED.get(str(event.get("type")))
        if act and self._is_ours(body):
            if body.get("is_ext_shared_channel"):
                act = events.AMONG_OUTSIDERS.get(str(event.get("type")), act)
            try:
                await act(self._tools, event, str(body.get("event_id", "")))
            except (UserError, PermanentError) as refused:
                self._tools.log.warning("event_refused", type=event.get("type"), reason=str(refused))
        await ack()
        crashpoint("acked.event")

    async def on_command(self, body: dict[str, Any], ack: AsyncAck) -> None:
        """A slash command."""
        asked = Asked(
            text=str(body.get("text", "")),
            user_id=str(body.get("user_id", "")),
            channel_id=str(body.get("channel_id", "")),
            delivery=f"command:{trigger_key(body)}",
            how="command",
            trigger_id=str(body.get("trigger_id", "")),
            response_url=str(body.get("response_url", "")),
        )
        reply = await self._answered(lambda: self._command(body, asked))
        await ack(**reply.payload()) if reply else await ack()
        crashpoint("acked.command")

    async def _command(self, body: dict[str, Any], asked: Asked) -> Reply | None:
        self._require_ours(body)
        act = COMMANDS.get(self._canonical(str(body.get("command", ""))))
        if act is None:
            raise UserError("Muster has no such command.")
        with one_request():
            return await act(self._tools, asked)

    def _canonical(self, command: str) -> str:
        if command == self._tools.command:
            return "/incident"
        return "/runbook" if command == self._tools.runbook_command else command

    async def on_click(self, body: dict[str, Any], ack: AsyncAck) -> None:
        """A button or a menu, in a message."""
        actions = body.get("actions")  # old dialogs and workflow steps come this way too, without any
        pressed = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
        with bound_contextvars(incident_id=ids.find_incident_id(pressed.get("value"))):
            reply = await self._answered(lambda: self._click(body))
        await ack()
        crashpoint("acked.click")
        if reply:
            payload = {**reply.payload(), "replace_original": False}
            url = str(body.get("response_url", ""))
            self._tools.answers.soon(self._tools.answers.respond(url, payload), name="click answered")

    async def _click(self, body: dict[str, Any]) -> None:
        self._require_ours(body)
        if not body.get("message") and body.get("view"):
            return
        await click(self._tools, read_click(body))

    async def on_view(self, body: dict[str, Any], ack: AsyncAck) -> None:
        """A form was sent. What is wrong with it is said beside its inputs; anything else, in the form itself."""
        view = body.get("view") or {}
        user_id = str((body.get("user") or {}).get("id", ""))
        try:
            self._require_ours(body)
            sent = SENT.get(str(view.get("callback_id")))
            if sent is None:
                raise UserError("That form is from another version of Muster; open it once more.")
            with one_request():
                answer = await sent(self._tools, view, user_id, f"view:{view.get('id')}:{view.get('hash')}")
        except FieldErrors as wrong:
            await ack(response_action="errors", errors=wrong.problems)
            return
        except MusterError as error:
            await ack(response_action="update", view=notice_view("Muster", self._explain(error)))
            return
        await ack(**answer) if answer else await ack()
        crashpoint("acked.view")

    async def on_view_closed(self, ack: AsyncAck) -> None:
        """A form was closed: nothing had happened yet."""
        await ack()

    async def on_shortcut(self, body: dict[str, Any], ack: AsyncAck) -> None:
        """ "Open an incident", from anywhere or from a message."""
        reply = await self._answered(lambda: self._shortcut(body))
        await ack()
        url = str(body.get("response_url", ""))
        if reply and url:
            self._tools.answers.soon(self._tools.answers.respond(url, reply.payload()), name="shortcut answered")
        elif reply and self._is_ours(body):  # from anywhere: there is no place to answer at but their direct messages
            user_id = str((body.get("user") or {}).get("id", ""))
            self._tools.answers.soon(self._tools.tell(user_id, reply), name="shortcut answered")

    async def _shortcut(self, body: dict[str, Any]) -> None:
        self._require_ours(body)
        if body.get("callback_id") not in SHORTCUTS:
            raise UserError("Muster has no such shortcut.")
        message = body.get("message") or {}
        await open_declare_form(
            self._tools,
            trigger_id=str(body.get("trigger_id", "")),
            channel_id=str((body.get("channel") or {}).get("id", "")),
            message_ts=str(message.get("thread_ts") or message.get("ts") or body.get("message_ts") or ""),
            title=clean(readable(str(message.get("text", ""))), max_chars=TITLE_MAX_CHARS),
        )

    async def on_error(self, error: Exception) -> BoltResponse:
        """What could not be saved: a 503 and a line in the log. A fault of ours: a 500 and its traceback. Events come again."""
        if isinstance(error, MusterError):
            self._tools.log.warning("refused_for_now", error=str(error), kind=type(error).__name__)
            return BoltResponse(status=503)
        self._tools.log.error("request_crashed", exc_info=error)
        return BoltResponse(status=500)

    # -- the guard -------------------------------------------------------------------------------------------------

    async def _answered(self, act: Callable[[], Awaitable[Reply | None]]) -> Reply | None:
        """The reply of ``act``, or the sentence that says why not. Never raises but for a fault of ours: that is a 500."""
        try:
            return await act()
        except MusterError as error:
            return Reply(text=self._explain(error))

    def _explain(self, error: MusterError) -> str:
        if isinstance(error, UserError):
            return str(error)
        self._tools.log.error("request_failed", error=str(error), kind=type(error).__name__)
        if isinstance(error, ConflictError):
            return "Somebody else changed this at the same moment. Look at the card, and press again if it is still needed."
        if isinstance(error, TemporaryError | UnknownOutcome):
            return (
                f"⚠️ Muster could not save this: {escape(str(error))}. *It may not have happened.* "
                f"Try again in a moment; if it is urgent, call: {escape(self._tools.call_instead())}."
            )
        return f"⚠️ That did not work: {escape(str(error))}."

    def _is_ours(self, body: Mapping[str, Any]) -> bool:
        """Of this app, in this workspace; an event of a shared channel carries the workspace it was sent to."""
        team = body.get("team_id") or (body.get("team") or {}).get("id") or (body.get("user") or {}).get("team_id")
        app_id = body.get("api_app_id")
        ours = team == self._tools.team_id and (not self._tools.app_id or app_id in (None, self._tools.app_id))
        if not ours:
            self._tools.log.warning("foreign_request", team=team, app=app_id)
        return ours

    def _require_ours(self, body: Mapping[str, Any]) -> None:
        if not self._is_ours(body):
            raise UserError("Muster does not work for this workspace; nothing was done.")
