"""A world whose clock moves by what an action waits: builds take their time, and a test takes none. For the tests of Vercel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from bot.actions.registry import load_actions
from bot.actions.runner import execute, look, preview
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.outcome import Outcome, Preview
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.sandbox.world.application import PROTECTED_PATH
from bot.services.jobs import MemoryJob
from tests.actions.conftest import config_of


@dataclass
class Ground:
    """One run in one world; ``lines`` is its progress."""

    world: World
    url: str
    context: ActionContext
    lines: list[str] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)

    async def run(self, action: str, **params: Any) -> Outcome:
        """Do it."""
        return await execute(load_actions()[action], {**self.params, **params}, self.context)

    async def shows(self, action: str, **params: Any) -> Preview:
        """What it would do."""
        return await preview(load_actions()[action], {**self.params, **params}, self.context)

    async def looks(self, action: str, **params: Any) -> Outcome:
        """Whether it was done."""
        return await look(load_actions()[action], {**self.params, **params}, self.context)

    def next_run(self, run_id: str = "r2") -> None:
        """From now on another run, which knows nothing of the first."""
        self.context = replace(self.context, run=replace(self.context.run, run_id=run_id), job=MemoryJob())

    def calls(self, *methods: str) -> list[str]:
        """ "POST /v13/deployments" for each call to Vercel with one of these methods."""
        return [
            f"{row['method']} {row['path']}"
            for row in self.world.ledger
            if row["provider"] == "vercel" and row["method"] in methods
        ]

    def changes(self) -> list[str]:
        """The calls to Vercel that change something."""
        return self.calls("POST", "PATCH", "DELETE")


@asynccontextmanager
async def vercel_ground(*, with_app: bool = False) -> AsyncIterator[Ground]:
    """``with_app``: the parameters of the bypass are those of the stand-in."""
    now = [datetime.now(UTC).timestamp()]
    world = World(clock=lambda: now[0])
    app = web.Application()
    world.add_routes(app)
    server = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    host, port = server.addresses[0][:2]
    url = f"http://{host}:{port}"
    lines: list[str] = []

    async def progress(line: str) -> None:
        lines.append(line)

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    async with Providers(config_of(world.environment(url))) as providers:
        facts = RunFacts(incident_id="inc-42", incident_number=42, run_id="r1", confirmed_at=datetime.now(UTC))
        context = ActionContext(providers=providers, progress=progress, sleep=sleep, run=facts)
        params = {"app_url": f"{url}/app", "protected_path": PROTECTED_PATH} if with_app else {}
        yield Ground(world, url, context, lines, params)
    await server.cleanup()
