"""All stand-ins together: one object with switches, a ledger, faults, and the environment that points a bot at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, get_args

from aiohttp import web

from bot.domain.errors import UserError
from bot.sandbox.world import clerk, vercel
from bot.sandbox.world.application import ApplicationStandIn
from bot.sandbox.world.clerk import ClerkStandIn
from bot.sandbox.world.recording import Answer, Fault, Recorder
from bot.sandbox.world.status import StatusStandIn
from bot.sandbox.world.switches import Switch
from bot.sandbox.world.vercel import VercelStandIn


class World:
    """Clerk, its status page, Vercel and the application, as one set of routes.

    ``clock`` gives epoch seconds. ``on_change`` is called after every switch, and after every call that was answered
    (its state may have changed); it must not block.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, on_change: Callable[[], None] | None = None) -> None:
        self.on_change = on_change
        self._recorder = Recorder(clock=clock, on_record=self._changed)
        self.clerk = ClerkStandIn(clock)
        self.status = StatusStandIn()
        self.vercel = VercelStandIn()
        self.application = ApplicationStandIn()

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """Every finished call: provider, method, path, query, status (or None), started_at, ended_at (epoch s)."""
        return self._recorder.ledger

    @property
    def latency_s(self) -> float:
        """How long every answer takes at least."""
        return self._recorder.latency_s

    @latency_s.setter
    def latency_s(self, value: float) -> None:
        self._recorder.latency_s = value

    def add_routes(self, app: web.Application) -> None:
        """Mount everything at `/clerk`, `/status`, `/vercel` and `/app` of ``app``."""
        app.on_shutdown.append(self._recorder.release)
        for provider, (prefix, answer) in self._mounts().items():
            app.router.add_route("*", prefix + "/{tail:.*}", self._recorder.handler(provider, answer))

    def environment(self, base_url: str) -> dict[str, str]:
        """What a bot needs in its environment to take this world for the real one."""
        base = base_url.rstrip("/")
        return {
            "CLERK_SECRET_KEY": clerk.SECRET_KEY,
            "CLERK_API_URL": f"{base}/clerk/v1",
            "CLERK_STATUS_URL": f"{base}/status",
            "VERCEL_TOKEN": vercel.TOKEN,
            "VERCEL_API_URL": f"{base}/vercel",
            "VERCEL_TEAM_ID": vercel.TEAM_ID,
            "VERCEL_PROJECT": vercel.PROJECT,
            "MUSTER_VAR_CLERK_APP_URL": f"{base}/app",
        }

    def switches(self) -> dict[str, dict[str, Any]]:
        """For the page: ``{name: {"title", "value", "options"}}``; the first option is the good one."""
        return {
            name: {"title": switch.title, "value": switch.value, "options": list(switch.options)}
            for name, switch in self._switches().items()
        }

    def set(self, switch: str, value: str) -> None:
        """Turn one switch. Raises: UserError when there is no such switch or option."""
        switches = self._switches()
        if switch not in switches:
            raise UserError(f"There is no switch {switch!r}; there are {', '.join(switches)}")
        switches[switch].turn(value)
        self._changed()

    def plant(self, provider: str, fault: Fault, times: int | None = None) -> None:
        """Make the next ``times`` calls to a provider (clerk, status, vercel, application) hang or break; None: all.

        Raises: UserError when there is no such provider or fault.
        """
        if provider not in self._mounts() or fault not in get_args(Fault):
            raise UserError(f"There is no fault {fault!r} of {provider!r}")
        self._recorder.plant(provider, fault, times)

    def clear_faults(self) -> None:
        """Forget every planted fault."""
        self._recorder.clear()

    def _mounts(self) -> Mapping[str, tuple[str, Answer]]:
        return {
            "clerk": ("/clerk", self.clerk.answer),
            "status": ("/status", self.status.answer),
            "vercel": ("/vercel", self.vercel.answer),
            "application": ("/app", self.application.answer),
        }

    def _switches(self) -> dict[str, Switch]:
        return {
            "clerk_status": self.status.state,
            "clerk_api": self.clerk.api,
            "app_health": self.application.health,
            "vercel_env": self.vercel.env,
            "status_page": self.status.page,
            "vercel_api": self.vercel.api,
        }

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()
