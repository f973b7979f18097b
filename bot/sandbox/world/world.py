"""All stand-ins together: one object with switches, a ledger, faults, and the environment that points a bot at it."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, get_args

from aiohttp import web

from bot.domain.errors import UserError
from bot.sandbox.world import application_data, clerk, pagerduty, smtp, statuspage, twilio, vercel
from bot.sandbox.world.application import ApplicationStandIn
from bot.sandbox.world.application_data import ApplicationData
from bot.sandbox.world.clerk import ClerkStandIn
from bot.sandbox.world.pagerduty import PagerDutyStandIn
from bot.sandbox.world.recording import Answer, Fault, Recorder
from bot.sandbox.world.smtp import SmtpStandIn
from bot.sandbox.world.status import StatusStandIn
from bot.sandbox.world.statuspage import StatuspageStandIn
from bot.sandbox.world.switches import Switch
from bot.sandbox.world.twilio import TwilioStandIn
from bot.sandbox.world.vercel import VercelStandIn


class WorldClock(Protocol):
    """The time that calls, mails and pages live by."""

    def now(self) -> float:
        """Epoch seconds."""

    async def sleep(self, duration_s: float) -> None:
        """Until so much of that time has passed; a clock that is moved ends it early."""


class World:
    """Clerk, its status page, Vercel, the application and its status page, PagerDuty, the telephone and the mail, as one set of
    routes.

    ``clock`` gives epoch seconds. ``on_change`` is called after every switch, and after every call that was answered
    (its state may have changed); it must not block.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, on_change: Callable[[], None] | None = None) -> None:
        self.on_change = on_change
        self._now = clock
        self._recorder = Recorder(clock=clock, on_record=self._changed)
        self.clerk = ClerkStandIn(clock)
        self.status = StatusStandIn()
        self.statuspage = StatuspageStandIn(self._paging_now)
        self.vercel = VercelStandIn(self._paging_now)
        self.application = ApplicationStandIn(self.vercel.live_env)
        self.application_data = ApplicationData(clerk.SIGNING_SECRET, clock)
        self.application.more = self.application_data.answer
        self.on_paging: Callable[[], None] | None = None
        self.pagerduty = PagerDutyStandIn(self._paging_now, self._paging_changed)
        self.twilio = TwilioStandIn(self._paging_now, self._paging_changed)
        self.smtp = SmtpStandIn(self._paging_now, self._paging_changed, record=self._record_mail)

    async def start(self, clock: WorldClock | None = None, *, mail_tls: ssl.SSLContext | None = None) -> None:
        """Open the port of the mail server, and let telephones ring by themselves, by ``clock`` when there is one.

        Whatever needs neither works without. `on_paging` is called when something of PagerDuty, telephone or mail changes.
        """
        if clock is not None:
            self._now = clock.now
        sleep = asyncio.sleep if clock is None else clock.sleep
        await self.smtp.start(sleep, tls=mail_tls)
        self.twilio.start(sleep)

    async def start_database(self) -> bool:
        """Give the application a PostgreSQL of its own, a little behind Clerk, within a second. False: this machine has none."""
        return await self.application_data.start_database(self.clerk.users)

    async def stop(self) -> None:
        """Undo `start` and `start_database`. Safe to repeat."""
        await self.application_data.stop()
        await self.twilio.stop()
        await self.smtp.stop()

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
        """Mount everything at `/clerk`, `/status`, `/statuspage`, `/vercel`, `/app`, `/pagerduty` and `/twilio` of ``app``."""
        app.on_shutdown.append(self._recorder.release)
        for provider, (prefix, answer) in self._mounts().items():
            app.router.add_route("*", prefix + "/{tail:.*}", self._recorder.handler(provider, answer))

    def environment(self, base_url: str, *, paging: bool = False) -> dict[str, str]:
        """What a bot needs in its environment to take this world for the real one.

        With ``paging`` also what reaches people outside of Slack; the world must have been started then (RuntimeError).
        """
        base = base_url.rstrip("/")
        return (self._paging_environment(base) if paging else {}) | {
            "CLERK_SECRET_KEY": clerk.SECRET_KEY,
            "CLERK_API_URL": f"{base}/clerk/v1",
            "CLERK_STATUS_URL": f"{base}/status",
            "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY": clerk.PUBLISHABLE_KEY,
            "CLERK_FRONTEND_API_URL": f"{base}/clerk{clerk.FRONTEND}",
            "CLERK_WEBHOOK_SIGNING_SECRET": clerk.SIGNING_SECRET,
            "VERCEL_TOKEN": vercel.TOKEN,
            "VERCEL_API_URL": f"{base}/vercel",
            "VERCEL_TEAM_ID": vercel.TEAM_ID,
            "VERCEL_PROJECT": vercel.PROJECT,
            "STATUSPAGE_API_KEY": statuspage.API_KEY,
            "STATUSPAGE_API_URL": f"{base}/statuspage",
            "STATUSPAGE_PAGE_ID": statuspage.PAGE_ID,
            "MUSTER_VAR_CLERK_APP_URL": f"{base}/app",
            "APPLICATION_SWITCH_URL": f"{base}/app{application_data.SWITCH_PATH}",
            "APPLICATION_SWITCH_TOKEN": application_data.SWITCH_TOKEN,
            **({"DATABASE_URL": self.application_data.database_url} if self.application_data.database_url else {}),
        }

    def _paging_environment(self, base: str) -> dict[str, str]:
        return {
            "PAGERDUTY_ROUTING_KEY": pagerduty.ROUTING_KEY,
            "PAGERDUTY_EVENTS_URL": f"{base}/pagerduty/events",
            "PAGERDUTY_API_TOKEN": pagerduty.API_TOKEN,
            "PAGERDUTY_API_URL": f"{base}/pagerduty/api",
            "TWILIO_ACCOUNT_SID": twilio.ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": twilio.AUTH_TOKEN,
            "TWILIO_FROM": twilio.NUMBER,
            "TWILIO_API_URL": f"{base}/twilio",
            "SMTP_URL": self.smtp.url,
            "SMTP_FROM": smtp.SENDER,
        }

    def switches(self) -> dict[str, dict[str, Any]]:
        """For the page: ``{name: {"title", "value", "options", "group", "good"}}``; the first option is the good one."""
        return {name: switch.described(group) for name, (group, switch) in self._grouped().items()}

    def set(self, switch: str, value: str) -> None:
        """Turn one switch. Raises: UserError when there is no such switch or option."""
        switches = self._grouped()
        if switch not in switches:
            raise UserError(f"There is no switch {switch!r}; there are {', '.join(switches)}")
        switches[switch][1].turn(value)
        self._changed()

    def plant(self, provider: str, fault: Fault, times: int | None = None) -> None:
        """Make the next ``times`` calls to a provider (clerk, status, vercel, …) hang or break; None: all.

        Raises: UserError when there is no such provider or fault.
        """
        if provider not in self._mounts() or fault not in get_args(Fault):
            raise UserError(f"There is no fault {fault!r} of {provider!r}")
        self._recorder.plant(provider, fault, times)

    def clear_faults(self) -> None:
        """Forget every planted fault, those of PagerDuty, telephone and mail too."""
        self._recorder.clear()
        for stand_in in (self.pagerduty, self.twilio, self.smtp):
            stand_in.trouble.behave_well()

    def _mounts(self) -> Mapping[str, tuple[str, Answer]]:
        return {
            "clerk": ("/clerk", self.clerk.answer),
            "status": ("/status", self.status.answer),
            "statuspage": ("/statuspage", self.statuspage.answer),
            "vercel": ("/vercel", self.vercel.answer),
            "application": ("/app", self.application.answer),
            "pagerduty": ("/pagerduty", self.pagerduty.answer),
            "twilio": ("/twilio", self.twilio.serve),
        }

    def _grouped(self) -> dict[str, tuple[str, Switch]]:
        """Every switch with its group, in the order of the page."""
        return {
            "clerk_status": ("Clerk", self.status.state),
            "clerk_api": ("Clerk", self.clerk.api),
            "status_page": ("Clerk", self.status.page),
            "vercel_env": ("Vercel", self.vercel.env),
            "vercel_api": ("Vercel", self.vercel.api),
            "vercel_builds": ("Vercel", self.vercel.builds),
            "app_health": ("The application", self.application.health),
            "app_middleware": ("The application", self.application.middleware),
            "app_webhook": ("The application", self.application_data.webhook),
            "own_status_page": ("The application", self.statuspage.api),
            "pagerduty": ("Reaching people", self.pagerduty.state),
            "telephone": ("Reaching people", self.twilio.state),
            "mail": ("Reaching people", self.smtp.state),
        }

    def _record_mail(self, row: dict[str, Any], duration_s: float) -> None:
        ended_at = self._recorder.clock()
        self._recorder.add({"provider": "smtp", "query": "", "started_at": ended_at - duration_s, "ended_at": ended_at, **row})

    def _paging_now(self) -> float:
        return self._now()

    def _paging_changed(self) -> None:
        if self.on_paging is not None:
            self.on_paging()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()
