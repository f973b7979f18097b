"""Attacks on actions: more than was shown, protected accounts by another name, another state than was approved, what stays on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.actions.registry import load_actions
from bot.actions.runner import execute, preview
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.catalog import Catalog
from bot.domain.commands import (
    ChangeStatus,
    ConfirmRun,
    Declaration,
    LookAtRun,
    RecordPreview,
    RecordRevert,
    RecordRun,
    RequestRun,
)
from bot.domain.decisions.running import params_digest
from bot.domain.facts import Origin, Status
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.domain.tasks import TaskKind
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.services.audit import AuditPerformer
from bot.services.desk import Desk
from bot.services.jobs import Job, MemoryJob
from bot.services.ports import Commit, Task
from bot.services.running import LookPerformer, RunPerformer, look_failed
from bot.services.worker import Performed, Work, Worker
from bot.storage.redis import RedisStore
from bot.storage.runbook_files import load_catalog
from bot.wiring import Actions
from tests.actions.conftest import config_of
from tests.conftest import ROOT, MovingClock, at
from tests.domain.story import Story
from tests.scenarios.acting import RunStage, buttons, staged_machine
from tests.scenarios.conftest import PATIENCE_S, Stage, said
from tests.security.support import click_of, send

EVERYWHERE = "clerk.revoke_everywhere"
REVERT = "inc-1:revert:r1"
STILL_ON = Outcome(state=State.FAILING, summary="The bypass is still on")


# -- more than was shown -------------------------------------------------------------------------------------------------


@pytest.fixture
def world() -> World:
    """Providers that answer."""
    return World()


@pytest.fixture
async def context(world: World) -> AsyncIterator[ActionContext]:
    """A context in which waiting costs nothing."""
    app = web.Application()
    world.add_routes(app)

    async def sleep(seconds: float) -> None:
        return None

    async with TestServer(app) as server, Providers(config_of(world.environment(str(server.make_url("")).rstrip("/")))) as made:
        run = RunFacts(incident_id="inc-1", run_id="r1", confirmed_at=datetime.now(UTC))
        yield ActionContext(providers=made, sleep=sleep, run=run, job=MemoryJob())


def crowd(world: World, number: int) -> list[str]:
    """So many users, each with one session; their ids."""
    user = next(iter(world.clerk.users.values()))
    session = next(iter(world.clerk.sessions.values()))
    world.clerk.users.clear()
    world.clerk.sessions.clear()
    for one in range(number):
        name = f"2c{one:05d}"
        email = {**user["email_addresses"][0], "id": f"idn_{name}", "email_address": f"{name}@sandbox.example"}
        world.clerk.users[f"user_{name}"] = {
            **user,
            "id": f"user_{name}",
            "email_addresses": [email],
            "primary_email_address_id": email["id"],
            "created_at": user["created_at"] + one,
        }
        world.clerk.sessions[f"sess_{name}"] = {
            **session,
            "id": f"sess_{name}",
            "user_id": f"user_{name}",
            "status": "active",
            "created_at": 1,
        }
    return list(world.clerk.users)


async def test_made_up_exceptions_make_nobody_fewer(world: World, context: ActionContext) -> None:
    """Thousands of ids that nobody has would bring the number that is shown, and held against the cap, down to nothing."""
    users = crowd(world, 2_050)
    made_up = [f"user_nobody{number}" for number in range(2_000)]
    shown = await preview(load_actions()[EVERYWHERE], {"everyone": True, "exclude": made_up}, context)
    assert shown.affects == len(users)
    assert "2,050 users" in shown.summary


async def test_who_is_protected_by_address_is_not_signed_out_with_everybody(world: World, context: ActionContext) -> None:
    """policy.yml names accounts by id or by address, and a ban of one user goes by both."""
    first, second, third = crowd(world, 3)
    guarded = replace(context, run=replace(context.run, protected=frozenset({"2C00000@sandbox.example", third})))
    shown = await preview(load_actions()[EVERYWHERE], {"everyone": True}, guarded)
    assert shown.accounts == (second,)
    outcome = await execute(load_actions()[EVERYWHERE], {"everyone": True}, guarded)
    assert outcome.state is State.OK
    assert world.clerk.live_sessions(first)
    assert world.clerk.live_sessions(third)
    assert not world.clerk.live_sessions(second)


# -- another state than was approved ---------------------------------------------------------------------------------------


class _Open:
    """A gate through which everybody may."""

    async def refusal(self, incident: Incident, run: Any) -> str:
        return ""


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_redeployment_is_bound_to_what_was_shown_also_when_it_begins_late(
    attempt: int, store: RedisStore, clock: MovingClock, catalog: Catalog, world: World, context: ActionContext
) -> None:
    """The replica that had it first died before it began; production was deployed anew before the next one did."""
    desk = Desk(store=store, clock=clock, catalog=catalog)
    jobs: dict[str, Job] = {}
    actions = Actions(
        load_actions(), context.providers, desk=desk, job=lambda incident_id, run_id: jobs.setdefault(run_id, MemoryJob())
    )
    shown = await preview(load_actions()["vercel.redeploy"], {}, context)
    story = Story(catalog)
    story.open("clerk-security-incident")
    story.do(
        RequestRun(step_id="revoke", action="clerk.revoke_sessions", title="Redeploy", risk=Risk.DESTRUCTIVE, params={}), by="U1"
    )
    story.do(RecordPreview(run_id="r1", preview=shown.model_copy(update={"state": "dpl_of_before"})), by="muster")
    story.do(ConfirmRun(run_id="r1"), by="U2")
    digest = params_digest("vercel.redeploy", {})
    run = replace(story.incident.runs["r1"], action="vercel.redeploy", params_digest=digest)
    incident = replace(story.incident, runs={"r1": run})
    task = Task(
        id="t", kind=TaskKind.RUN, incident_id="inc-1", due_at=at(), data={"run_id": "r1"}, token="1", attempt=attempt, asked="1"
    )
    performed = await RunPerformer(actions=actions, desk=desk, gate=_Open(), clock=_At())(task, incident)
    assert isinstance(performed.command, RecordRun)
    assert performed.command.outcome.state is State.FAILING
    assert "not as it was shown any more, so nothing was done" in performed.command.outcome.summary
    assert [row for row in world.ledger if row["method"] != "GET"] == []


class _At:
    """A clock that stands still, so many seconds after the tests' own moment."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._now = at(seconds)

    def now(self) -> datetime:
        return self._now


# -- what stays on ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(store: RedisStore, clock: MovingClock, catalog: Catalog) -> Desk:
    """A desk on a real store."""
    return Desk(store=store, clock=clock, catalog=catalog)


async def declared(desk: Desk) -> Incident:
    """A security incident."""
    declaration = Declaration(title="x", runbook_ids=("clerk-security-incident",), origin=Origin(how="terminal"))
    return (await desk.declare(declaration, by="U1", delivery=None)).incident


async def left_on(desk: Desk) -> Incident:
    """It is over, and something that takes itself back is still on."""
    incident = await declared(desk)
    request = RequestRun(
        step_id="revoke",
        action="clerk.revoke_sessions",
        title="Bypass",
        risk=Risk.DESTRUCTIVE,
        params={"user_id": "user_2demo"},
        undo="clerk.emergency_bypass_off",
        revert_after_s=3600,
    )
    for command, by in (
        (request, "U1"),
        (RecordPreview(run_id="r1", preview=Preview(summary="Every route opens")), "muster"),
        (ConfirmRun(run_id="r1"), "U2"),
        (RecordRun(run_id="r1", outcome=Outcome(state=State.OK, summary="on")), "muster"),
        (ChangeStatus(status=Status.RESOLVED), "U1"),
    ):
        incident = (await desk.handle(incident.id, command, by=by)).incident
    return incident


async def test_people_are_called_although_the_same_thing_is_open_again(desk: Desk) -> None:
    """The outage came back as another incident, which holds the runbook's key: what cannot be turned off is said all the same."""
    incident = await left_on(desk)
    assert (await declared(desk)).id != incident.id
    for _ in range(3):
        incident = (await desk.handle(incident.id, RecordRevert(run_id="r1", outcome=STILL_ON), by="muster")).incident
    assert incident.status is Status.INVESTIGATING
    assert any(raised.alarm.id == "revert-r1" for raised in incident.raised.values())


async def test_the_audit_books_again_what_an_incident_that_is_over_left_on(
    desk: Desk, store: RedisStore, clock: MovingClock
) -> None:
    """Its task is gone from Redis, and nobody looks at what is resolved."""
    incident = await left_on(desk)
    await store.commit(Commit(incident_id=incident.id, expected_version=incident.version, nonce="lost", cancel=(REVERT,)))
    assert (await store.look_for([REVERT]))[0] == {REVERT}

    async def tell(*_args: Any, **_options: Any) -> None:
        return None

    audited = await AuditPerformer(store=store, desk=desk, clock=clock, tell=tell).audit()
    assert audited.booked_again >= 1
    assert (await store.look_for([REVERT]))[0] == set()


# -- what hangs, and what is not what it looks like --------------------------------------------------------------------------


async def test_a_preview_that_crashes_does_not_hold_its_step_for_ever(unstarted: Stage, tmp_path: Path) -> None:
    """A fault of Muster's own: the run ends with a sentence, without a word of the fault, and can be asked for again."""
    stage = staged_machine(unstarted, tmp_path)
    specs = dict(stage.machine.specs())

    async def crash(params: Any, context: ActionContext) -> Preview:
        raise RuntimeError("CANARY")

    specs["made.wipe"] = replace(specs["made.wipe"], preview=crash)
    stage.machine.specs = lambda: specs  # type: ignore[method-assign]
    await stage.start()
    room = await stage.fire()
    await stage.ask(room, "wipe", part="boiler")
    shown = await stage.sees(room.name, "Cannot say what it would do")
    assert "RuntimeError" in said(shown)
    assert "CANARY" not in said(shown)
    assert not (await stage.run()).is_open
    assert stage.machine.parts_wiped == []


async def test_a_drill_says_that_what_it_does_is_real(unstarted: Stage, tmp_path: Path) -> None:
    """Whoever approves in a drill must not take the action for a rehearsal."""
    stage: RunStage = staged_machine(unstarted, tmp_path)
    await stage.start()
    await stage.workspace.command("developer", "general", "/incident drill machine on fire")
    room = await stage.room()
    shown = await stage.asked(room)
    assert "it is done for real" in said(shown)
    assert "confirm_run" in buttons(shown)


async def test_who_asked_at_a_terminal_does_not_approve_in_slack(unstarted: Stage, tmp_path: Path) -> None:
    """The terminal died between the question and its break-glass: nobody knows who sat there, so nobody is the second person."""
    stage: RunStage = staged_machine(unstarted, tmp_path)
    await stage.start()
    room = await stage.fire()
    incident = await stage.incident()
    request = RequestRun(step_id="wipe", action="made.wipe", title="Wipe", risk=Risk.DESTRUCTIVE, params={"part": "boiler"})
    await stage.muster.desk.handle(incident.id, request, by="terminal:root")
    await stage.sees(room.name, "What would happen")
    await stage.click("oncall", room.name, stage.of_run(room, "Wipe"), "confirm_run")
    await stage.sees(room.name, "It was asked for at a terminal", user="oncall")
    assert (await stage.run()).confirmed is None
    assert stage.machine.parts_wiped == []


async def test_who_was_removed_from_the_room_approves_nothing_although_nobody_told(unstarted: Stage, tmp_path: Path) -> None:
    """Slack's event of the removal was lost; what Slack says at the click counts, and once more when the run begins."""
    stage: RunStage = staged_machine(unstarted, tmp_path)
    await stage.start()
    room = await stage.fire()
    shown = await stage.asked(room)
    lead = stage.workspace.user("engineering-lead").id
    incident = await stage.incident()
    room.members.remove(lead)
    click = click_of("confirm_run", f"{incident.id}/r1", user=lead, channel=room.id)
    assert (await send(stage, click))[0] == 200
    await stage.is_at_rest()
    assert (await stage.run()).confirmed is None
    assert stage.machine.parts_wiped == []
    await stage.click("cto", room.name, shown, "confirm_run")
    await stage.says(room, "Wipe", "boiler is wiped")


async def test_what_was_approved_is_not_begun_behind_the_end_of_the_incident(
    desk: Desk, catalog: Catalog, context: ActionContext, world: World
) -> None:
    """Every replica was away when somebody recorded that it was not an incident; one of them is back."""
    story = Story(catalog)
    story.open("clerk-security-incident")
    story.do(
        RequestRun(
            step_id="revoke",
            action="clerk.revoke_sessions",
            title="Sessions",
            risk=Risk.CHANGE,
            params={"user_id": "user_2demo"},
        )
    )
    story.do(RecordPreview(run_id="r1", preview=Preview(summary="7 sessions end")), by="muster")
    story.do(ConfirmRun(run_id="r1"))
    story.do(ChangeStatus(status=Status.FALSE_POSITIVE))
    actions = Actions(load_actions(), context.providers, desk=desk)
    task = Task(
        id="t", kind=TaskKind.RUN, incident_id="inc-1", due_at=at(), data={"run_id": "r1"}, token="1", attempt=1, asked="1"
    )
    performed = await RunPerformer(actions=actions, desk=desk, gate=_Open(), clock=_At())(task, story.incident)
    assert isinstance(performed.command, RecordRun)
    assert performed.command.outcome.state is State.FAILING
    assert "false positive before it was begun, so nothing was done" in performed.command.outcome.summary
    assert world.ledger == []


# -- where a request goes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "name"),
    [("http.health", "url"), ("clerk.webhook_probe", "url"), ("bypass.ready", "app_url"), ("clerk.emergency_bypass", "app_url")],
)
def test_a_step_that_would_ask_for_an_address_is_refused(tmp_path: Path, action: str, name: str) -> None:
    """SSRF: whoever may read could send Muster to 169.254.169.254, and read the answer in the room."""
    folder = tmp_path / "runbooks"
    shutil.copytree(ROOT / "runbooks", folder)
    step = {"id": "ask", "title": "Ask", "run": action, "caution": "Think."}
    runbook = {"id": "asked", "title": "Asked", "service": "clerk", "severity": "SEV3", "checklist": [step]}
    runbook["triggers"] = {"phrases": ["asked and asked again"]}
    (folder / "clerk" / "asked.yml").write_text(yaml.safe_dump(runbook), "utf-8")
    result = load_catalog(folder, actions=load_actions(), overrides={"CLERK_APP_URL": "http://127.0.0.1:9"})
    assert result.catalog is None
    assert any(f"does not say `{name}`" in str(fault) for fault in result.faults)


async def test_a_look_that_this_version_has_no_eyes_for_ends(
    desk: Desk, store: RedisStore, clock: MovingClock, context: ActionContext
) -> None:
    """The action is gone from this version: what became of its run stays unknown, and nobody looks every minute for ever."""
    incident = await declared(desk)
    gone = RequestRun(step_id="revoke", action="clerk.revoke_sessions", title="Sessions", risk=Risk.CHANGE, params={})
    for command, by in (
        (gone, "U1"),
        (RecordPreview(run_id="r1", preview=Preview(summary="7 end")), "muster"),
        (ConfirmRun(run_id="r1"), "U1"),
        (RecordRun(run_id="r1", outcome=Outcome(state=State.UNKNOWN, summary="no answer")), "muster"),
        (LookAtRun(run_id="r1"), "U1"),
    ):
        incident = (await desk.handle(incident.id, command, by=by)).incident
    performer = LookPerformer(Actions({}, context.providers, desk=desk))
    work = {TaskKind.LOOK: Work(perform=performer, failed=look_failed, most_attempts=3)}
    worker = Worker(tasks=store, desk=desk, clock=clock, work={**dict.fromkeys(TaskKind, Work(perform=_nothing)), **work})
    running = asyncio.create_task(worker.run())
    try:
        seen = await desk.wait_until(incident.id, lambda now: now.runs["r1"].looked_at is not None, most_s=PATIENCE_S)
    finally:
        await worker.stop(grace_s=0)
        await running
    outcome = seen.runs["r1"].outcome
    assert outcome
    assert outcome.state is State.UNKNOWN
    assert (await store.look_for(["inc-1:look:r1"]))[0] == {"inc-1:look:r1"}


async def _nothing(task: Task, incident: Incident) -> Performed:
    return Performed()


async def test_an_approval_is_not_carried_out_hours_later(
    desk: Desk, catalog: Catalog, context: ActionContext, world: World
) -> None:
    """Approved at three, every replica away until noon: nobody expects it any more, and nobody has looked since."""
    story = Story(catalog)
    story.open("clerk-security-incident")
    request = RequestRun(
        step_id="revoke",
        action="clerk.revoke_sessions",
        title="Sessions",
        risk=Risk.DESTRUCTIVE,
        params={"user_id": "user_2demo"},
    )
    story.do(request, by="U1")
    story.do(RecordPreview(run_id="r1", preview=Preview(summary="7 sessions end")), by="muster")
    story.do(ConfirmRun(run_id="r1"), by="U2")
    actions = Actions(load_actions(), context.providers, desk=desk)
    task = Task(
        id="t", kind=TaskKind.RUN, incident_id="inc-1", due_at=at(), data={"run_id": "r1"}, token="1", attempt=1, asked="1"
    )
    performer = RunPerformer(actions=actions, desk=desk, gate=_Open(), clock=_At(9 * 3600))
    performed = await performer(task, story.incident)
    assert isinstance(performed.command, RecordRun)
    assert performed.command.outcome.state is State.FAILING
    assert "approved too long ago" in performed.command.outcome.summary
    assert world.ledger == []


async def test_not_an_incident_with_something_left_on_is_one_again(unstarted: Stage, tmp_path: Path) -> None:
    """The room stays, three failures open the incident again, and whoever is on call is called."""
    stage: RunStage = staged_machine(unstarted, tmp_path)
    await stage.start()
    room = await stage.fire()
    await stage.ask(room, "bypass")
    shown = await stage.sees(room.name, "What would happen")
    await stage.click("oncall", room.name, shown, "confirm_run")
    await stage.sees(room.name, "is ON")
    stage.machine.can_revert = False
    incident = await stage.incident()
    await stage.muster.desk.handle(incident.id, ChangeStatus(status=Status.FALSE_POSITIVE), by="U0DEVELOPER")
    for failures in (1, 2, 3):

        def has_failed(now: Incident, times: int = failures) -> bool:
            return now.runs["r1"].revert_failures >= times

        now = await stage.muster.desk.wait_until(incident.id, has_failed, most_s=PATIENCE_S)
        assert now.runs["r1"].revert_failures == failures
        await stage.advance(31)
    await stage.sees(room.name, "could not be taken back")
    called = await stage.muster.desk.wait_until(
        incident.id, lambda now: any(page.key == "revert-r1" and not page.failure for page in now.pages), most_s=PATIENCE_S
    )
    assert called.status is Status.INVESTIGATING
    assert any(page.key == "revert-r1" and "U0ONCALL" in page.user_ids for page in called.pages)
    assert not called.archived
