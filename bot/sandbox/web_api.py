"""Slack's Web API over HTTP: token, scopes, limits and planted faults around the methods of ``methods``.

The route ``/api/{method}`` of ``server`` comes here. Answers are HTTP 200 with ``ok`` false, as Slack's are, but for 429.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiohttp import web

from bot.sandbox.arguments import Arguments, read_arguments
from bot.sandbox.delivery import Courier
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.faults import Fault, Faults
from bot.sandbox.ledger import Call, Ledger
from bot.sandbox.methods import all_methods
from bot.sandbox.methods.base import Method, MethodCall, need_scope
from bot.sandbox.models import Json
from bot.sandbox.rate_limits import RateLimits

_ANSWERED_INSTEAD = {"429", "500", "error"}
_HANGING = {"timeout", "accept_then_timeout"}
_DONE_ANYWAY = {"accept_then_drop", "accept_then_timeout", "slow"}


class Dropped(web.Response):
    """An answer that nobody gets: its connection is gone."""


class Tokens:
    """Which tokens are good. ``revoked`` ones answer token_revoked, others invalid_auth. ``app`` None: there is no app token."""

    def __init__(self, bot_token: str, app_token: str | None = None) -> None:
        self.good = bot_token
        self.app = app_token
        self.revoked: set[str] = set()

    def check(self, token: str, *, app_level: bool = False) -> None:
        """Raise SlackRefusal unless the token is the bot's (``app_level``: the app's) and still good."""
        if not token:
            raise SlackRefusal("not_authed")
        if token in self.revoked:
            raise SlackRefusal("token_revoked")
        if token not in (self.good, self.app):
            raise SlackRefusal("invalid_auth")
        if (token == self.app) is not app_level:
            raise SlackRefusal("not_allowed_token_type")


class WebApi:
    """The handler of all methods. ``latency_s`` is how long each call takes: half before it is done, half after."""

    def __init__(
        self,
        make_call: Callable[[Arguments], MethodCall],
        *,
        scopes: Iterable[str],
        tokens: Tokens,
        ledger: Ledger,
        courier: Courier,
        faults: Faults,
        limits: RateLimits,
        place_of: Callable[[str], str],
        latency_s: float,
    ) -> None:
        self._make_call = make_call
        self._methods = all_methods()
        self._scopes = ",".join(sorted(scopes))
        self._tokens = tokens
        self._ledger = ledger
        self._courier = courier
        self._faults = faults
        self._limits = limits
        self._place_of = place_of
        self.latency_s = latency_s
        self.rate_limits = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call, from its arguments to its answer, in the ledger from start to end."""
        began_at = asyncio.get_running_loop().time()
        name = request.match_info["method"]
        call = self._ledger.begin(name, {})
        status: int | None = None
        try:
            response = await self._answer(request, name, call, began_at)
            status = None if isinstance(response, Dropped) else response.status
        finally:
            self._ledger.end(call, status=status)
        return response

    async def _answer(self, request: web.Request, name: str, call: Call, began_at: float) -> web.StreamResponse:
        try:
            arguments = await read_arguments(request)
        except SlackRefusal as refusal:
            return self._said(call, refusal.answer())
        token = _token(request, arguments)
        call.arguments = {key: value for key, value in arguments.values.items() if key != "token"}
        await sleep_until(began_at + self.latency_s / 2)
        if (wait_s := self._over_limit(name, arguments)) is not None:
            return self._too_many(call, wait_s)
        fault = self._faults.take(name, call.arguments)
        if fault is not None:
            self._ledger.remark(call, f"planted fault: {fault.kind}")
            if fault.kind in _ANSWERED_INSTEAD:
                return self._fault_answer(call, fault)
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
        body = self._perform(name, arguments, token) if fault is None or fault.kind in _DONE_ANYWAY else {"ok": False}
        answer = self._said(call, body, authorized=token == self._tokens.good and token not in self._tokens.revoked)
        if fault is not None and fault.kind != "slow":
            return await self._unsaid(request, fault)
        await sleep_until(began_at + self.latency_s)
        return answer

    def _perform(self, name: str, arguments: Arguments, token: str) -> Json:
        """Do it. Never raises SlackRefusal: that is an answer."""
        try:
            method = self._methods.get(name)
            if method is None:
                raise SlackRefusal("unknown_method", req_method=name)
            if name != "api.test":
                self._tokens.check(token, app_level=method.app_level)
            return self._run(method, arguments)
        except SlackRefusal as refusal:
            return refusal.answer()
        finally:
            self._courier.flush()

    def _run(self, method: Method, arguments: Arguments) -> Json:
        method_call = self._make_call(arguments)
        need_scope(method_call.scopes, method.scopes)
        return {"ok": True, **method.handler(method_call)}

    def _over_limit(self, name: str, arguments: Arguments) -> int | None:
        if not self.rate_limits or name not in self._methods:
            return None
        return self._limits.retry_after_s(name, self._place_of(str(arguments.values.get("channel", ""))))

    def _said(self, call: Call, body: Json, *, authorized: bool = False) -> web.Response:
        """The answer; with a good token its headers name the app's scopes, as Slack's do."""
        call.ok, call.error = body["ok"], body.get("error")
        return web.json_response(body, headers={"X-OAuth-Scopes": self._scopes} if authorized else None)

    def _too_many(self, call: Call, wait_s: int) -> web.Response:
        call.ok, call.error = False, "ratelimited"
        return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": str(wait_s)})

    def _fault_answer(self, call: Call, fault: Fault) -> web.Response:
        if fault.kind == "429":
            return self._too_many(call, fault.retry_after_s)
        if fault.kind == "500":
            call.ok, call.error = False, "internal_error"
            return web.json_response({"ok": False, "error": "internal_error"}, status=500)
        return self._said(call, SlackRefusal(fault.error).answer())

    async def _unsaid(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """Let the caller never know: silence for a while if the fault says so, then a dropped connection."""
        if fault.kind in _HANGING:
            await asyncio.sleep(fault.seconds)
        if request.transport is not None:
            request.transport.abort()
        return Dropped(status=500)


async def sleep_until(moment: float) -> None:
    """``moment`` is of the loop's clock. What the stand-in itself takes is a part of a call's latency, not added to it."""
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))


def _token(request: web.Request, arguments: Arguments) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return str(arguments.values.get("token", ""))
