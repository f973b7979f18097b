"""Parts of the running bot that take several lines to put together: readiness, the actions, the ways to people, what watches.

Only ``bot.app`` and the terminal use this; nothing is decided here.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from bot.actions import runner
from bot.actions.spec import ActionContext, ActionSpec, RunFacts, no_pace, no_progress
from bot.domain.errors import ConfigError, MusterError, PermanentError, TemporaryError
from bot.domain.escalation import PagerDutyOnCall, Way
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, Preview
from bot.domain.run import Run
from bot.domain.tasks import TaskKind
from bot.domain.timeline import dump_entry
from bot.http.phone import PhoneDoor
from bot.metrics import Metrics
from bot.notices import IncidentsChannel
from bot.notify.table import NotifyConfig
from bot.notify.table import ways as notify_ways
from bot.notify.twilio_signature import is_genuine
from bot.providers.config import ProviderConfig
from bot.providers.faults import Unavailable
from bot.providers.http import Endpoint, ProviderHttp, guarded
from bot.providers.table import Providers
from bot.services.audit import MOST_OVERDUE_S, AuditPerformer
from bot.services.canary import CanaryPerformer
from bot.services.desk import Desk
from bot.services.handover import HandoverPerformer, Handovers
from bot.services.jobs import Job, MemoryJob
from bot.services.leases import guard
from bot.services.paging import Duty, FollowPerformer, PagePerformer
from bot.services.ports import Assignment, Clock, PageWay
from bot.services.worker import Work
from bot.settings import Settings
from bot.slack.client import SlackApi
from bot.slack.duty import DutyRoster
from bot.slack.pages import SlackWay
from bot.slack.people import People
from bot.slack.socket_mode import SocketMode
from bot.slack.workspace import Workspace, room_address
from bot.storage.embedded import embedded_redis
from bot.storage.redis import RedisStore
from bot.storage.runbook_folder import TEMPLATES

READY_S: Final = 5.0
"""How long an answer of Slack to "are you there?" is believed."""
TRAVELLED_S: Final = 4_000.0
"""The longest step of the sandbox's clock is an hour."""
HEARTBEAT_TIMEOUT_S: Final = 5.0
HEARTBEAT_MAX_BYTES: Final = 65_536


class Readiness:
    """Whether Redis and Slack answer; Slack's word is believed for ``READY_S``."""

    def __init__(self, store: RedisStore, slack: SlackApi, work: asyncio.Task[None], sockets: SocketMode | None) -> None:
        self._sockets = sockets
        self._store = store
        self._slack = slack
        self._work = work
        self._asked_at = -READY_S
        self._slack_fault = ""

    async def missing(self) -> list[str]:
        """Why not; empty when ready."""
        faults: list[str] = []
        if self._work.done():
            faults.append("the worker has stopped; restart Muster")
        if self._sockets:
            faults.extend(self._sockets.missing())
        try:
            await self._store.ping()
        except MusterError as error:
            faults.append(str(error))
        now = asyncio.get_running_loop().time()
        if now - self._asked_at >= READY_S:
            self._asked_at = now
            try:
                await self._slack.call("auth.test")
                self._slack_fault = ""
            except MusterError as error:
                self._slack_fault = str(error)
        if self._slack_fault:
            faults.append(self._slack_fault)
        return faults


class Actions:
    """The registry as the performers see it: ``bot.services.ports.ActionRunner``. ``job`` makes what a run keeps, ``pace`` and
    ``pause`` share the limits of providers between the replicas."""

    def __init__(
        self,
        specs: Mapping[str, ActionSpec],
        providers: Providers,
        *,
        desk: Desk,
        job: Callable[[str, str], Job] | None = None,
        pace: Callable[[str, float], Awaitable[None]] = no_pace,
        pause: Callable[[str, float], Awaitable[None]] = no_pace,
    ) -> None:
        self._specs = specs
        self._providers = providers
        self._desk = desk
        self._job = job
        self._pace = pace
        self._pause = pause

    def _spec(self, action: str) -> ActionSpec:
        spec = self._specs.get(action)
        if spec is None:
            raise PermanentError(f"this version of Muster has no action {action}; do the step by hand", code="no_action")
        return spec

    async def execute(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Outcome:
        """See ``bot.services.ports.ActionRunner``."""
        with guarded(guard(assignment.lease)):
            return await runner.execute(self._spec(action), params, self._context(assignment))

    async def preview(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Preview:
        """See ``bot.services.ports.ActionRunner``."""
        return await runner.preview(self._spec(action), params, self._context(assignment))

    async def look(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Outcome:
        """See ``bot.services.ports.ActionRunner``."""
        return await runner.look(self._spec(action), params, self._context(assignment))

    def is_repeatable(self, action: str) -> bool:
        """See ``bot.services.ports.ActionRunner``."""
        return self._spec(action).idempotency in (None, "natural", "key")

    def may_follow_a_look(self, action: str) -> bool:
        """See ``bot.services.ports.ActionRunner``."""
        return self._spec(action).idempotency != "none"

    async def has_begun(self, assignment: Assignment) -> bool:
        """See ``bot.services.ports.ActionRunner``."""
        return bool(await self._context(assignment).job.notes())

    def undo_params(self, run: Run) -> dict[str, Any]:
        """See ``bot.services.ports.ActionRunner``."""
        return run.undo_params(self._spec(run.undo).params.model_fields)

    def _context(self, assignment: Assignment) -> ActionContext:
        incident, run = assignment.incident, assignment.run
        facts = RunFacts(
            incident_id=incident.id,
            incident_number=incident.number,
            incident_title="a private incident" if incident.private else incident.title,
            private=incident.private,
            drill=incident.drill,
            run_id=run.id if run else "",
            attempt=assignment.attempt,
            confirmed_at=run.confirmed.at if run and run.confirmed else None,
            requested_by=run.requested.by if run else "",
            confirmed_by=run.confirmed.by if run and run.confirmed else "",
            accounts=tuple(incident.accounts),
            most_accounts=self._desk.catalog.policy.most_accounts,
            protected=frozenset(self._desk.catalog.policy.protected_accounts),
        )
        return ActionContext(
            providers=self._providers,
            progress=assignment.progress or no_progress,
            run=facts,
            job=self._job(incident.id, run.id) if self._job and run else MemoryJob(),
            pace=self._pace,
            pause=self._pause,
            is_stopping=assignment.is_stopping,
            timeline=functools.partial(self._timeline, incident.id),
        )

    async def _timeline(self, incident_id: str) -> str:
        return "".join(f"{dump_entry(entry)}\n" for entry in await self._desk.entries(incident_id))


# -- what the settings say -------------------------------------------------------------------------------------------


def provider_config(settings: Settings) -> ProviderConfig:
    """The part of the settings that the providers need."""
    return ProviderConfig(
        clerk_secret_key=settings.clerk_secret_key,
        clerk_api_url=settings.clerk_api_url,
        clerk_status_url=settings.clerk_status_url,
        clerk_publishable_key=settings.next_public_clerk_publishable_key,
        clerk_frontend_api_url=settings.clerk_frontend_api_url,
        clerk_webhook_signing_secret=settings.clerk_webhook_signing_secret or settings.clerk_webhook_secret,
        vercel_token=settings.vercel_token,
        vercel_api_url=settings.vercel_api_url,
        vercel_team_id=settings.vercel_team_id,
        vercel_project=settings.vercel_project,
        pagerduty_routing_key=settings.pagerduty_routing_key,
        pagerduty_events_url=settings.pagerduty_events_url,
        pagerduty_api_token=settings.pagerduty_api_token,
        pagerduty_api_url=settings.pagerduty_api_url,
        twilio_account_sid=settings.twilio_account_sid,
        twilio_auth_token=settings.twilio_auth_token,
        twilio_from=settings.twilio_from,
        twilio_api_url=settings.twilio_api_url,
        statuspage_api_key=settings.statuspage_api_key,
        statuspage_api_url=settings.statuspage_api_url,
        statuspage_page_id=settings.statuspage_page_id,
        database_url=settings.database_url,
        application_switch_url=settings.application_switch_url,
        application_switch_token=settings.application_switch_token,
        exports_dir=None if settings.dyno else settings.muster_data_dir / "exports",
        smtp_url=settings.smtp_url,
        smtp_from=settings.smtp_from,
        templates_dir=_templates_dir(settings),
    )


def _templates_dir(settings: Settings) -> Path | None:
    try:
        return settings.runbooks_dir() / TEMPLATES
    except ConfigError:  # whoever reads the runbooks says it
        return None


def notify_config(settings: Settings, *, namespace: str) -> NotifyConfig:
    """The part of the settings that the ways to reach people need."""
    return NotifyConfig(smtp_url=settings.smtp_url, smtp_from=settings.smtp_from, namespace=namespace)


async def redis_address(stack: AsyncExitStack, settings: Settings) -> str:
    """Where Redis is; without REDIS_URL the embedded server is started, or joined, and left at the end of ``stack``."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    embedded = embedded_redis(settings.muster_data_dir, ephemeral_disk=settings.dyno is not None)
    return (await stack.enter_async_context(embedded)).url


# -- the ways to people ----------------------------------------------------------------------------------------------


def make_ways(
    settings: Settings, *, workspace: Workspace, providers: Providers, slack: SlackApi, people: People, desk: Desk
) -> dict[Way, PageWay]:
    """Slack, and what else is configured. Raises: ConfigError when a setting is wrong."""
    return {
        Way.SLACK: SlackWay(slack=slack, people=people, desk=desk),
        **notify_ways(notify_config(settings, namespace=f"muster-{workspace.team_id}"), providers),
    }


def make_duty(
    settings: Settings, *, providers: Providers, people: People, desk: Desk, clock: Clock, covers: RedisStore
) -> DutyRoster:
    """Who is on duty; PagerDuty is asked where there is a token for it."""
    on_call = functools.partial(_on_call, providers) if settings.pagerduty_api_token else None
    return DutyRoster(desk=desk, clock=clock, people=people, covers=covers, on_call=on_call)


async def _on_call(providers: Providers, where: PagerDutyOnCall) -> Sequence[tuple[str, str]]:
    rest = providers.pagerduty_rest()
    return await rest.on_call(schedule=where.schedule, escalation_policy=where.escalation_policy, level=where.level)


def paging_work(
    settings: Settings,
    *,
    workspace: Workspace,
    ways: Mapping[Way, PageWay],
    duty: DutyRoster,
    desk: Desk,
    clock: Clock,
    store: RedisStore,
) -> dict[TaskKind, Work]:
    """What pages, follows pages and sends test pages."""
    pages = PagePerformer(
        ways=ways,
        duty=duty,
        clock=clock,
        answer_url=functools.partial(_answer_url, settings.muster_url),
        room_url=lambda incident: room_address(workspace, incident),
        going_on=desk.lately,
    )
    canary = CanaryPerformer(ways=ways, duty=duty, desk=desk, clock=clock, store=store)
    return {
        TaskKind.PAGE: Work(perform=pages, failed=pages.failed, most_attempts=5),
        TaskKind.FOLLOW: Work(perform=FollowPerformer(ways=ways, desk=desk, duty=duty, clock=clock)),
        TaskKind.CANARY: Work(alone=canary),
    }


def _answer_url(public_url: str | None, incident: Incident, key: str, contact_id: str) -> str | None:
    return f"{public_url.rstrip('/')}/pages/phone/{incident.id}~{key}~{contact_id}" if public_url else None


def make_phone_door(settings: Settings, *, desk: Desk, duty: Duty) -> PhoneDoor | None:
    """What takes the keys pressed on telephones; None: without a public address, or without Twilio's secret, nothing does."""
    if settings.muster_url is None or settings.twilio_auth_token is None:
        return None
    return PhoneDoor(
        public_url=settings.muster_url,
        desk=desk,
        duty=duty,
        is_genuine=functools.partial(is_genuine, settings.twilio_auth_token),
    )


# -- what watches ----------------------------------------------------------------------------------------------------


def watching_work(
    settings: Settings,
    *,
    channel: IncidentsChannel,
    handovers: Handovers,
    duty: DutyRoster,
    desk: Desk,
    clock: Clock,
    store: RedisStore,
    metrics: Metrics,
) -> dict[TaskKind, Work]:
    """The audit, and the announcements of hand-overs."""
    audit = AuditPerformer(
        store=store,
        desk=desk,
        clock=clock,
        tell=channel.tell,
        heartbeat=heartbeat_call(settings.muster_heartbeat_url) if settings.muster_heartbeat_url else None,
        standing=handovers.standing,
        on_audit=lambda audited: metrics.audit_found(
            [trouble.kind for trouble in audited.troubles], booked_again=audited.booked_again
        ),
        # Where somebody moves the time, whatever lies in between is overdue at once, and no sign of trouble.
        most_overdue_s=TRAVELLED_S if settings.muster_time_travel else MOST_OVERDUE_S,
    )
    announcing = HandoverPerformer(desk=desk, clock=clock, duty=duty, covers=store, announce=channel.announce)
    return {TaskKind.AUDIT: Work(alone=audit), TaskKind.HANDOVER: Work(alone=announcing)}


def heartbeat_call(url: SecretStr) -> Callable[[], Awaitable[None]]:
    """Calls the address. Raises: TemporaryError without a word of the address, which is a secret."""

    async def call() -> None:
        endpoint = Endpoint(name="The heartbeat address", base_url="", base_url_setting="MUSTER_HEARTBEAT_URL")
        http = ProviderHttp(endpoint, timeout_s=HEARTBEAT_TIMEOUT_S, max_bytes=HEARTBEAT_MAX_BYTES)
        try:
            reply = await http.fetch("GET", url.get_secret_value())
        except MusterError as error:
            reason = f" ({error.reason})" if isinstance(error, Unavailable) else ""
            raise TemporaryError(f"the heartbeat address could not be called{reason}; check MUSTER_HEARTBEAT_URL") from None
        finally:
            await http.aclose()  # a minute is longer than most keep a connection
        if not 200 <= reply.status < 300:
            raise TemporaryError(f"the heartbeat address answered {reply.status}; check MUSTER_HEARTBEAT_URL")

    return call
