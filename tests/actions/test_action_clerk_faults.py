"""Every action on Clerk against every way in which Clerk can fail: a sentence, a remedy, and never green."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.actions.clerk import clerk_actions
from bot.actions.runner import execute, preview
from bot.actions.spec import ActionContext
from bot.domain.errors import MusterError
from bot.domain.outcome import State
from bot.providers.clerk import ClerkClient
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PARAMS: dict[str, Any] = {
    "user_id": "user_2demo",
    "who": "2demo@sandbox.example",
    "user_ids": ["user_2demo"],
    "identifier": "a@b.example",
    "rules_enabled": False,
    "before": "0badc0de",
}
ACTIONS = {spec.name: spec for spec in clerk_actions() if spec.name not in ("clerk.status", "clerk.webhook_probe")}
"""Those that ask Clerk's Backend API."""


class Impatient(Providers):
    """Providers whose Clerk has to answer within ``timeout_s``."""

    def __init__(self, config: ProviderConfig, *, timeout_s: float) -> None:
        super().__init__(config)
        self._timeout_s = timeout_s

    def clerk(self) -> ClerkClient:
        """See ``Providers``."""
        if self._clerk is None:
            self._clerk = ClerkClient(SecretStr("sk_test_a"), api_url=self.config.clerk_api_url, timeout_s=self._timeout_s)
        return self._clerk


async def _no_wait(_seconds: float) -> None:
    return None


@pytest.fixture
async def against(serve: Any) -> AsyncIterator[Callable[[Handler], Awaitable[ActionContext]]]:
    """A context whose Clerk is this handler."""
    opened: list[Providers] = []

    async def make(handler: Handler) -> ActionContext:
        config = ProviderConfig(clerk_secret_key=SecretStr("sk_test_a"), clerk_api_url=await serve(handler))
        opened.append(Impatient(config, timeout_s=0.1 if handler is silent else 20.0))
        return ActionContext(providers=opened[-1], sleep=_no_wait)

    yield make
    for providers in opened:
        await providers.aclose()


def refusing(status: int) -> Handler:
    """Clerk's own shape, with text that nobody should see."""
    body = json.dumps({"errors": [{"code": "some_code", "message": "FREE TEXT", "long_message": "FREE TEXT"}]})

    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, content_type="application/json", headers={"Retry-After": "7"})

    return handle


async def web_page(_request: web.Request) -> web.StreamResponse:
    """Somebody's sign-in page."""
    return web.Response(text="<!doctype html>FREE TEXT", content_type="text/html")


async def silent(request: web.Request) -> web.StreamResponse:
    """The beginning of an answer, and no more."""
    response = web.StreamResponse(headers={"Content-Length": "10"})
    await response.prepare(request)
    await request.content.wait_eof()
    return response


async def flood(request: web.Request) -> web.StreamResponse:
    """The beginning of 100 MB."""
    response = web.StreamResponse(headers={"Content-Length": str(100 * 1024 * 1024)})
    await response.prepare(request)
    await request.content.wait_eof()
    return response


FAULTS: dict[str, tuple[Handler, str]] = {
    **{str(status): (refusing(status), str(status)) for status in (401, 402, 403, 404, 409, 422, 429, 500, 502)},
    "html": (web_page, "a web page"),
    "hang": (silent, "answer"),
    "flood": (flood, "more than"),
}


@pytest.mark.parametrize("fault", list(FAULTS))
async def test_no_fault_is_green(against: Callable[[Handler], Awaitable[ActionContext]], fault: str) -> None:
    """Outcome and preview of every action say what failed, and what to do; 429 says when."""
    handler, says = FAULTS[fault]
    context = await against(handler)
    for name, spec in ACTIONS.items():
        params = {key: value for key, value in PARAMS.items() if key in spec.params.model_fields}
        outcome = await execute(spec, params, context)
        assert outcome.state is not State.OK, name
        assert says in outcome.summary, name
        assert outcome.remedy, name
        assert "FREE TEXT" not in outcome.model_dump_json()
        if fault == "429":
            assert "7 s" in outcome.remedy, name
        if spec.preview:
            with pytest.raises(MusterError, match=says) as caught:
                await preview(spec, params, context)
            assert "FREE TEXT" not in str(caught.value)
