"""The composition root: builds everything from the settings, starts it, and stops it in the opposite order.

``running(settings)`` is the whole bot as a context manager; ``muster serve`` and the tests enter it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from aiohttp import ClientSession, web
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from redis.asyncio import Redis
from slack_bolt.async_app import AsyncApp

from bot.actions.registry import load_actions
from bot.actions.spec import ActionSpec
from bot.domain.catalog import Catalog
from bot.domain.errors import ConfigError, MusterError, TemporaryError
from bot.domain.reach import gaps
from bot.domain.tasks import TaskKind
from bot.http.front import Front, SlackAnswer, make_front, protocol_logger
from bot.logs import Redactor
from bot.metrics import Metrics
from bot.notices import IncidentsChannel
from bot.providers import http as provider_http
from bot.providers.table import Providers
from bot.reload import Reloader
from bot.services.audit import book_audit, last_well_at
from bot.services.desk import Desk
from bot.services.ending import end_all
from bot.services.handover import Handovers
from bot.services.pace import Pace
from bot.services.performers import DiagnosePerformer, WatchPerformer, diagnose_failed, reach_due
from bot.services.running import (
    LookPerformer,
    PreviewPerformer,
    RevertPerformer,
    RunPerformer,
    look_failed,
    preview_failed,
    revert_failed,
    run_failed,
)
from bot.services.worker import Work, Worker
from bot.settings import Settings, SlackSecrets
from bot.slack.blocks.messages import draw
from bot.slack.blocks.runs import Known, draw_run
from bot.slack.client import SlackApi, make_client, make_session
from bot.slack.limits import Limits
from bot.slack.listeners.bolt import dispatch, make_app
from bot.slack.listeners.events import HANDLED, PromptPerformer, trigger_of
from bot.slack.listeners.tools import Answers, Tools
from bot.slack.people import People
from bot.slack.permissions import Permissions
from bot.slack.progress import SlackBoard
from bot.slack.room import RoomPerformer
from bot.slack.socket_mode import SocketMode, SocketTimes
from bot.slack.workspace import Workspace, find_incidents_channel, introduce
from bot.storage.durability import inspect
from bot.storage.jobs import RedisJobs
from bot.storage.redis import FRONT_TIMEOUT_S, WORKER_TIMEOUT_S, RedisClock, RedisStore, connect
from bot.storage.runbook_files import LoadResult, load_catalog
from bot.storage.yaml_strict import Fault
from bot.wiring import (
    Actions,
    Readiness,
    make_duty,
    make_phone_door,
    make_ways,
    paging_work,
    provider_config,
    redis_address,
    watching_work,
)

HEARTBEAT_S = 0.5
GRACE_S = 8.0
"""Heroku-style platforms kill 30 s after SIGTERM, Kubernetes too; what runs gets this long, the rest is handed back."""

log = structlog.get_logger("muster.app")


@dataclass(frozen=True, slots=True, kw_only=True)
class Muster:
    """The running bot."""

    url: str
    port: int
    desk: Desk
    worker: Worker
    store: RedisStore
    workspace: Workspace
    reloader: Reloader


def read_files(settings: Settings, specs: Mapping[str, ActionSpec], folder: Path) -> LoadResult:
    """The files of ``folder`` as these settings see them. Blocks."""

    def is_set(name: str) -> bool:
        return getattr(settings, name.lower(), None) is not None

    return load_catalog(folder, actions=specs, overrides=settings.service_vars, is_set=is_set)


def read_catalog(settings: Settings, specs: Mapping[str, ActionSpec]) -> tuple[Catalog, tuple[Fault, ...]]:
    """(what the files say, their warnings). Raises: ConfigError with every fault, one line each."""
    result = read_files(settings, specs, settings.runbooks_dir())
    if result.catalog is None:
        faults = [str(fault) for fault in result.faults if fault.level == "error"]
        raise ConfigError("\n".join([*faults, "muster check tells the same; mend the files and start again"]))
    return result.catalog, tuple(fault for fault in result.faults if fault.level == "warning")


@contextlib.asynccontextmanager
async def running(
    settings: Settings, *, socket_times: SocketTimes | None = None, specs: Mapping[str, ActionSpec] | None = None
) -> AsyncIterator[Muster]:
    """The whole bot, from its first look at the settings to a clean end. ``socket_times``: how patient Socket Mode is;
    ``specs``: what steps may do, where that is not what this version has.

    Raises: ConfigError, PermanentError, TemporaryError: one line each, what failed, on what, what to do.
    """
    secrets = settings.require_slack()
    specs = load_actions() if specs is None else specs
    catalog, warnings = read_catalog(settings, specs)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        bound = stack.enter_context(_bind(settings))
        session = await stack.enter_async_context(make_session())
        client = make_client(session, token=secrets.bot_token.get_secret_value(), base_url=settings.slack_api_url)
        slack = SlackApi(client, on_call=metrics.called)
        workspace = await introduce(slack)
        incidents_channel_id = await find_incidents_channel(slack, settings.muster_incidents_channel)

        clock = RedisClock()
        front, patient, jobs = await _stores(stack, settings, workspace, clock)
        slack.limits = Limits(front)  # a courtesy, for which no acknowledgement waits long
        providers = Providers(provider_config(settings))
        stack.push_async_callback(providers.aclose)

        desk = Desk(store=front, clock=clock, catalog=catalog)
        people = People(slack)
        duty = make_duty(settings, providers=providers, people=people, desk=desk, clock=clock, covers=patient)
        answers = Answers(session, api_url=settings.slack_api_url)
        stack.push_async_callback(answers.close, grace_s=GRACE_S)
        permissions = Permissions(desk=desk, slack=slack, people=people, team_id=workspace.team_id, soon=answers.soon)
        tools = Tools(
            desk=desk,
            clock=clock,
            slack=slack,
            people=people,
            permissions=permissions,
            answers=answers,
            actions=specs,
            duty=duty,
            covers=front,
            incidents_channel_id=incidents_channel_id,
            team_id=workspace.team_id,
            app_id=workspace.app_id,
            bot_user_id=workspace.bot_user_id,
            bot_id=workspace.bot_id,
            command=settings.muster_command,
        )
        known = Known(looks=frozenset(name for name, spec in specs.items() if spec.look), policy=lambda: desk.catalog.policy)
        board = SlackBoard(slack=slack, rooms=patient, desk=desk, draw=functools.partial(draw_run, known=known))
        stack.push_async_callback(board.close)
        room = RoomPerformer(
            slack=slack,
            people=people,
            rooms=patient,
            desk=desk,
            clock=clock,
            draw=functools.partial(draw, known=known),
            incidents_channel_id=incidents_channel_id,
            bot_user_id=workspace.bot_user_id,
        )
        pace = Pace(patient)
        actions = Actions(specs, providers, desk=desk, job=jobs, pace=pace.wait, pause=pace.pause)
        ways = make_ways(settings, workspace=workspace, providers=providers, slack=slack, people=people, desk=desk)
        paging = paging_work(settings, workspace=workspace, ways=ways, duty=duty, desk=desk, clock=clock, store=patient)
        handovers = Handovers(desk=desk, clock=clock)
        watching = watching_work(
            settings,
            channel=IncidentsChannel(slack, incidents_channel_id),
            handovers=handovers,
            duty=duty,
            desk=desk,
            clock=clock,
            store=patient,
            metrics=metrics,
        )
        prompt = PromptPerformer(slack=slack, titles=lambda identity: _title(desk, identity))
        worker = Worker(
            tasks=patient,
            desk=desk,
            clock=clock,
            work={
                TaskKind.ROOM: Work(perform=room),
                TaskKind.CLOCK: Work(perform=reach_due),
                **paging,
                TaskKind.PREVIEW: Work(perform=PreviewPerformer(actions), failed=preview_failed, most_attempts=3),
                TaskKind.RUN: Work(
                    perform=RunPerformer(actions=actions, desk=desk, gate=permissions, clock=clock, board=board),
                    failed=run_failed,
                    most_attempts=10,
                ),
                TaskKind.LOOK: Work(perform=LookPerformer(actions), failed=look_failed, most_attempts=3),
                TaskKind.REVERT: Work(perform=RevertPerformer(actions), failed=revert_failed, most_attempts=3),
                TaskKind.WATCH: Work(perform=WatchPerformer(actions, clock)),
                TaskKind.DIAGNOSE: Work(perform=DiagnosePerformer(actions), failed=diagnose_failed, most_attempts=3),
                TaskKind.PROMPT: Work(alone=prompt),
                **watching,
            },
            on_outcome=lambda kind, outcome: metrics.performed(kind.value, outcome),
        )
        desk.on_task(worker.wake)
        desk.on_entry(metrics.happened)
        warming = asyncio.create_task(_warm(people, permissions), name="warm")
        stack.push_async_callback(_cancel, warming)

        app = make_app(
            tools,
            bot_token=secrets.bot_token.get_secret_value(),
            signing_secret=secrets.signing_secret.get_secret_value() if secrets.signing_secret else "",
        )

        async def handle(told: Mapping[str, Any], headers: Mapping[str, str]) -> SlackAnswer:
            response = await dispatch(app, told, headers)
            return SlackAnswer(
                status=response.status,
                headers=dict(response.first_headers_without_set_cookie()),
                body=response.body,
            )

        await warming  # what comes due first after a restart are pages
        work = asyncio.create_task(worker.run(), name="worker")
        stack.push_async_callback(_end_worker, worker, work)
        await book_audit(patient, clock)
        await handovers.book()
        _heartbeat(stack, worker, front, clock, metrics)
        sockets = _sockets(settings, secrets, session, app, tools, metrics, socket_times)
        readiness = Readiness(front, slack, work, sockets)
        port = await _listen(
            stack,
            bound,
            Front(
                signing_secret=secrets.signing_secret.get_secret_value().encode() if secrets.signing_secret else None,
                handle=handle,
                is_worth_handling=lambda event: _is_worth_handling(tools, event),
                ready=readiness.missing,
                metrics=metrics.text,
                observe=metrics.answered,
                phone=make_phone_door(settings, desk=desk, duty=duty),
            ),
        )
        folder = settings.runbooks_dir()
        reloader = Reloader(
            desk=desk,
            clock=clock,
            read=functools.partial(read_files, settings, specs, folder),
            folder=folder,
            slack=slack,
            channel_id=incidents_channel_id,
            redact=Redactor(settings.secret_values()).text,
            registry=metrics.registry,
            on_catalog=handovers.book,
        )
        if sockets:
            stack.push_async_callback(sockets.close)
            await sockets.start()
        for warning in warnings:  # only now: what keeps Muster from starting is said in one line
            log.warning("catalog_warning", fault=str(warning))
        for gap in gaps(catalog):
            log.warning("not_reached_as_wanted", gap=gap)
        log.info("ready", port=port, team=workspace.team_id, runbooks=len(catalog.runbooks))
        yield Muster(
            url=f"http://127.0.0.1:{port}",
            port=port,
            desk=desk,
            worker=worker,
            store=patient,
            workspace=workspace,
            reloader=reloader,
        )


async def _warm(people: People, permissions: Permissions) -> None:
    """Do ahead what the first incident would have to wait for."""
    provider_http.prepare()  # stops this loop for some 60 ms, which nobody waits for yet; a thread would keep its memory
    await people.warm()
    await permissions.warm()


def _title(desk: Desk, runbook_id: str) -> str:
    runbook = desk.catalog.runbooks.get(runbook_id)
    return runbook.title if runbook else runbook_id


def _sockets(
    settings: Settings,
    secrets: SlackSecrets,
    session: ClientSession,
    app: AsyncApp,
    tools: Tools,
    metrics: Metrics,
    times: SocketTimes | None,
) -> SocketMode | None:
    """Socket Mode, if there is a token for it."""
    if secrets.app_token is None:
        return None
    client = make_client(session, token=secrets.app_token.get_secret_value(), base_url=settings.slack_api_url)
    return SocketMode(
        slack=SlackApi(client, on_call=metrics.called),
        session=session,
        handle=lambda told, headers: dispatch(app, told, headers),
        is_worth_handling=lambda event: _is_worth_handling(tools, event),
        metrics=metrics,
        times=times,
    )


def _is_worth_handling(tools: Tools, event: Mapping[str, Any]) -> bool:
    if event.get("type") == "message":
        return trigger_of(tools, event) is not None
    return str(event.get("type")) in HANDLED


async def _stores(
    stack: AsyncExitStack, settings: Settings, workspace: Workspace, clock: RedisClock
) -> tuple[RedisStore, RedisStore, RedisJobs]:
    """(the front door's store, the worker's, what long runs keep): one Redis, two clients."""
    url = await redis_address(stack, settings)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    stores: list[RedisStore] = []
    for timeout_s in (FRONT_TIMEOUT_S, WORKER_TIMEOUT_S):
        client = connect(url, timeout_s=timeout_s)
        stack.push_async_callback(client.aclose)
        if not stores:
            await _check_durability(client, settings)
        store = RedisStore(
            client,
            workspace_id=workspace.team_id,
            owner=owner,
            clock=clock,
            time_travel=settings.muster_time_travel,
        )
        stores.append(store)
    await stores[0].check_format()
    return stores[0], stores[1], RedisJobs(client, workspace_id=workspace.team_id)


async def _check_durability(client: Redis, settings: Settings) -> None:
    try:
        durability = await inspect(client, dev=settings.muster_dev)
    except TemporaryError as error:
        raise TemporaryError(f"{error}; check REDIS_URL and that the server runs") from error
    for warning in durability.warnings:
        log.warning("redis_durability", warning=warning)
    durability.require()


def _heartbeat(stack: AsyncExitStack, worker: Worker, store: RedisStore, clock: RedisClock, metrics: Metrics) -> None:
    """Every replica looks every half second, whatever was missed. What must survive is in the due set, never in here."""

    async def beat() -> None:
        worker.wake()

    async def measure() -> None:
        with contextlib.suppress(MusterError):  # /readyz says it when Redis is away
            metrics.due_age(await store.due_age_s())
            well_at = last_well_at(await store.audit_record())
            if well_at:
                metrics.audit_age(max(0.0, (clock.now() - well_at).total_seconds()))

    async def watch() -> None:
        with contextlib.suppress(MusterError):
            await book_audit(store, clock)

    scheduler = AsyncIOScheduler(job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}, timezone="UTC")
    scheduler.add_job(beat, "interval", seconds=HEARTBEAT_S, id="heartbeat")
    scheduler.add_job(measure, "interval", seconds=5, id="due-age")
    scheduler.add_job(watch, "interval", seconds=60, id="audit")
    scheduler.start()
    stack.callback(scheduler.shutdown, wait=False)


def _bind(settings: Settings) -> socket.socket:
    """The port, taken before anything else is begun; nobody can connect to it yet. Raises: ConfigError when it is taken."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "stop what uses it, or set PORT (and HOST) to something else"
        ) from error
    return bound


async def _listen(stack: AsyncExitStack, bound: socket.socket, front: Front) -> int:
    """The port that is listened on from now on."""
    app_runner = web.AppRunner(
        make_front(front), access_log=None, logger=protocol_logger(), handle_signals=False, shutdown_timeout=GRACE_S
    )
    await app_runner.setup()
    stack.push_async_callback(app_runner.cleanup)
    await web.SockSite(app_runner, bound).start()
    return int(bound.getsockname()[1])


async def _end_worker(worker: Worker, work: asyncio.Task[None]) -> None:
    await worker.stop(grace_s=GRACE_S)
    await _cancel(work)


async def _cancel(task: asyncio.Task[Any]) -> None:
    await end_all([task])
