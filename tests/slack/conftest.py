"""Incidents that are lived in memory for the drawings, and Slack's API over the sandbox for what calls it."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from bot.domain.catalog import Catalog
from bot.domain.commands import ReachDue, RecordDiagnostic, RecordPage, RecordRoom
from bot.domain.outcome import Outcome, State
from bot.domain.runbook import Runbook
from bot.sandbox.server import Sandbox
from bot.slack.client import SlackApi, make_client, make_session
from bot.slack.people import People
from tests.conftest import ROOT, at
from tests.domain.story import Story

HOSTILE = "<!channel> & <@U0LEAD> *bold* `code` ```fence``` <https://evil.example|Approve> ‮gnp.exe"
"""Everything that a text may try."""


@pytest.fixture
def story(catalog: Catalog) -> Story:
    """An incident that is not opened yet."""
    return Story(catalog)


@pytest.fixture
def outage(story: Story) -> Story:
    """An outage with its room, one page and two of three diagnoses."""
    story.open("clerk-auth-outage")
    story.do(RecordRoom(channel_id="C9", name="inc-20261120-clerk-down-1"))
    story.do(RecordDiagnostic(diagnostic_id="status", round=1, outcome=Outcome(state=State.FAILING, summary="major outage")))
    story.do(
        RecordDiagnostic(
            diagnostic_id="health",
            round=1,
            outcome=Outcome(state=State.UNKNOWN, summary="did not answer", remedy="see whether it runs"),
        )
    )
    story.do(ReachDue(due_at=story.now))
    page = RecordPage(
        key="level-1", contact_id="on-call", attempt=1, via="slack", due_at=at(), user_ids=("U2",), messages=(("D2", "1.2"),)
    )
    story.do(page)
    return story


def with_runbook(catalog: Catalog, **fields: Any) -> Catalog:
    """The catalog with one more runbook, ``made-up``."""
    runbook = Runbook.model_validate(
        {"id": "made-up", "title": "Made up", "service": "clerk", "severity": "SEV2", "checklist": [{"id": "a", "title": "A"}]}
        | fields
    )
    return replace(catalog, runbooks=MappingProxyType({**catalog.runbooks, runbook.id: runbook}))


class Answering:
    """A server that answers as it is told, and remembers what it was asked. ``methods``: what single methods answer."""

    def __init__(self) -> None:
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.ok
        self.methods: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def ok(self, request: web.Request) -> web.StreamResponse:
        """As Slack answers when all is well."""
        return web.json_response({"ok": True, **self.methods.get(request.path.removeprefix("/api/"), {"ts": "1.2"})})

    def says(self, status: int, body: bytes | str, content_type: str = "application/json", **headers: str) -> None:
        """Answer everything with this."""

        async def answer(request: web.Request) -> web.StreamResponse:
            raw = body if isinstance(body, bytes) else body.encode()
            return web.Response(status=status, body=raw, content_type=content_type, headers=headers)

        self.answer = answer

    def refuses(self, code: str, **more: Any) -> None:
        """Answer everything as Slack refuses."""
        self.says(200, json.dumps({"ok": False, "error": code, **more}))

    async def start(self) -> None:
        """Listen."""

        async def take(request: web.Request) -> web.StreamResponse:
            form = dict(await request.post())
            self.asked.append((request.path, {k: str(v) for k, v in form.items()}, request.headers.get("Authorization", "")))
            return await self.answer(request)

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api/"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Answering]:
    """See ``Answering``."""
    made = Answering()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def token() -> str:
    """The bot's token."""
    return f"xoxb-{secrets.token_hex(8)}"


@pytest.fixture
async def sandbox(token: str) -> AsyncIterator[Sandbox]:
    """A workspace without a bot behind it: nothing is delivered anywhere."""
    manifest = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
    manifest["settings"]["event_subscriptions"]["bot_events"] = []
    made = Sandbox(signing_secret="s", bot_token=token, manifest=manifest)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """The session towards Slack, as the bot makes it."""
    async with make_session() as made:
        yield made


@pytest.fixture
def slack(sandbox: Sandbox, session: aiohttp.ClientSession, token: str) -> SlackApi:
    """Muster's client in the sandbox."""
    return SlackApi(make_client(session, token=token, base_url=sandbox.slack_api_url))


@pytest.fixture
async def people(slack: SlackApi) -> People:
    """Everybody in the workspace, read."""
    made = People(slack)
    await made.warm()
    return made
