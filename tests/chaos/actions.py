"""Every action that changes something, killed in every phase of it, and finished by another replica.

People speak to the same Redis through a desk of their own, so that every death is the bot's. One replica dies; another one, which
slept meanwhile, goes on. What must hold is A2, A4 and A5: one effect at the most and none lost, "unknown" where nobody can know,
nothing on for good, and each call that changes something at a provider between the intent and the outcome of its run.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot.actions.registry import load_actions
from bot.domain.commands import Acknowledge, Command, ConfirmRun, LookAtRun, RequestRun, RevertNow
from bot.domain.facts import RunConfirmed, RunFinished, RunReverted
from bot.domain.incident import Incident
from bot.domain.outcome import Risk, State
from bot.domain.run import Run
from bot.domain.timeline import Entry, verify
from bot.providers.config import DATABASE_URL
from bot.sandbox.models import TEAM_ID
from bot.services.desk import Desk
from bot.storage.jobs import RedisJobs
from bot.storage.redis import RedisClock, RedisStore, connect
from bot.storage.runbook_files import load_catalog
from tests.chaos.acts import TABLE, Act, Row, renew, until_held
from tests.chaos.ground import LOOK_EVERY_S, Ground, Replica, ground, runbooks_with_a_run

INCIDENT = "inc-1"
ASKED_BY, APPROVED_BY = "U0DEVELOPER", "U0ONCALL"
LEASE_S = 2.1
PATIENCE_S = 40.0
SAME_MOMENT_S = 0.5
"""The stand-ins' clock and Redis's are read at different places; a bot on a busy machine reads Redis's late, and so is behind."""
CHANGING = ("POST", "PUT", "PATCH", "DELETE", "MAIL")
PEOPLE = ("PAGERDUTY_", "TWILIO_")
"""Ways to people whose calls are not those of an action."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Where it dies: at the ``number``-th pass of ``point``, while it is done or (``reverting``) taken back. ``blind``: the
    provider fails while somebody else goes on, so that nobody can see what was done."""

    point: str
    number: int = 1
    reverting: bool = False
    blind: bool = False

    def __str__(self) -> str:
        return f"{self.point}:{self.number}{' of the way back' if self.reverting else ''}{', blind' if self.blind else ''}"


INTENT = Phase("committed.run_confirmed")
SHORT = (Phase("effect.asked"), Phase("effect.answered"), Phase("performed.run"))
"""Those that matter most: before the call, after its answer, before the outcome is written."""
WHOLE = (INTENT, Phase("claimed.run"), *SHORT, Phase("committed.run_finished"), Phase("settled.run"))
WAY_BACK = tuple(
    Phase(point, reverting=True)
    for point in ("claimed.revert", "effect.asked", "effect.answered", "performed.revert", "settled.revert")
)
BLIND = (Phase("effect.asked", blind=True), Phase("effect.answered", blind=True))


def phases_of(act: Act, *, whole: bool) -> list[Phase]:
    """The phases that there are in an action. ``whole``: all of them, the last call of several and the way back included."""
    found = [phase for phase in (WHOLE if whole else SHORT) if act.passes(phase.point)]
    if whole and act.calls > 1:
        found += [Phase(point, act.calls) for point in ("effect.asked", "effect.answered")]
    if load_actions()[act.name].revert_after_s:
        found += WAY_BACK if whole else WAY_BACK[1:-1]
    if act.idempotency == "lookup":
        found += BLIND
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What became of one action that died in one phase."""

    action: str
    phase: Phase
    state: str = ""
    """Of its outcome, and of the look at it where that was unknown."""
    calls: int = 0
    """Those that changed something, or tried to."""
    wrong: tuple[str, ...] = ()

    def line(self) -> str:
        """For the table."""
        return f"  {self.action:<32}{self.phase!s:<38}{self.state:<20}{self.calls:>4}  {'; '.join(self.wrong)}".rstrip()


HEAD = f"  {'action':<32}{'killed at':<38}{'outcome':<20}{'calls':>4}"


def write_runbooks(folder: Path) -> Path:
    """Muster's own; the steps of the outage are all these actions."""
    copy = runbooks_with_a_run(folder)
    path = copy / "clerk" / "auth-outage.yml"
    runbook = yaml.safe_load(path.read_text("utf-8"))
    runbook["diagnostics"] = []
    runbook["checklist"] = [
        {
            "id": step_of(act),
            "title": act.name,
            "run": act.name,
            "caution": "It changes something.",
            **({"with": {"app_url": "${app_url}"}} if "app_url" in load_actions()[act.name].params.model_fields else {}),
        }
        for act in TABLE
    ]
    path.write_text(yaml.safe_dump(runbook, sort_keys=False), "utf-8")
    return copy


def step_of(act: Act) -> str:
    """The step that runs it."""
    return act.name.replace(".", "-").replace("_", "-")


class Stand:
    """One workspace in which action after action is killed; ``rescue`` is the replica that lives."""

    def __init__(self, site: Ground, desk: Desk, store: RedisStore, jobs: RedisJobs) -> None:
        self.site = site
        self.desk = desk
        self.store = store
        self.jobs = jobs
        self.rescue: Replica = site.replica()
        self._moves = [(0.0, 0.0)]
        site.sandbox.bot_url = self.rescue.url

    async def open(self) -> None:
        """An incident with two people in it, that somebody has."""
        await self.rescue.start()
        await self.site.sandbox.workspace.command("developer", "general", "/incident clerk down")
        await self.until(lambda incident: {ASKED_BY, APPROVED_BY} <= set(incident.responders), "both of them in the room")
        await self.say(Acknowledge(via="test"), APPROVED_BY)

    async def say(self, command: Command, by: str) -> Incident:
        """To the same Redis, past the bot."""
        return (await self.desk.handle(INCIDENT, command, by=by)).incident

    async def advance(self, seconds: float) -> None:
        """Let time pass, for everybody."""
        await self.site.sandbox.clock.advance(seconds)
        self._moves.append((time.time(), self.site.sandbox.clock.offset_s))
        await self.store.claim(most=0, lease_ms=1)

    async def until(self, done: Callable[[Incident], object], what: str) -> Incident:
        """As soon as it is so on the timeline. Raises: AssertionError."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            incident = await self.desk.load(INCIDENT)
            if incident is not None and done(incident):
                return incident
            await asyncio.sleep(LOOK_EVERY_S)
        raise AssertionError(f"never came: {what}; last warnings: {self.rescue.warnings()[-4:]}")

    async def until_run(self, run_id: str, done: Callable[[Run], object], what: str) -> Run:
        """The run, as soon as it is so."""
        return (await self.until(lambda incident: done(incident.runs[run_id]), what)).runs[run_id]

    # -- one life of an action ---------------------------------------------------------------------------------------

    async def ask(self, act: Act) -> Run:
        """One asks for it, and it is shown what it would do."""
        renew(self.site)
        await asyncio.to_thread(act.prepare, self.site)
        spec = load_actions()[act.name]
        params = act.params(self.site)
        request = RequestRun(
            step_id=step_of(act),
            action=act.name,
            title=spec.title,
            risk=spec.risk,
            params=params,
            undo=spec.undo,
            revert_after_s=spec.revert_after_s(spec.params.model_validate(params)) if spec.revert_after_s else None,
        )
        run_id = list((await self.say(request, ASKED_BY)).runs)[-1]
        run = await self.until_run(run_id, lambda run: run.preview or not run.is_open, f"the preview of {act.name}")
        assert run.is_waiting, f"{act.name} cannot be confirmed: {run.refused}"
        if notes := act.notes():
            await self.jobs(INCIDENT, run_id).save(notes)
        return run

    async def finish(self, run: Run) -> Run:
        """Whoever died does not come back: the other one ends it."""
        await self.advance(LEASE_S)
        self.rescue.go_on()
        return await self.until_run(run.id, lambda found: not found.is_open, f"the outcome of {run.action}")

    async def dies(self, act: Act, run: Run, phase: Phase) -> bool:
        """Confirmed, and killed in this phase of it; only the process that dies is awake. False: it never got there."""
        if phase == INTENT:  # nobody lives to take it up
            self.rescue.stop()
            await self.say(ConfirmRun(run_id=run.id), APPROVED_BY)
            return True
        hold = (act.holds or {}).get(phase.point)
        doomed = self.site.replica()
        await doomed.start(crash_at="" if hold else f"{phase.point}:{phase.number}")
        self.rescue.stop()
        if hold is None:
            await self.say(RevertNow(run_id=run.id) if phase.reverting else ConfirmRun(run_id=run.id), APPROVED_BY)
            return await self._died(doomed)
        async with hold(self.site) as is_held:
            await self.say(ConfirmRun(run_id=run.id), APPROVED_BY)
            await until_held(is_held, PATIENCE_S)
            await doomed.kill()
        return True

    async def _died(self, doomed: Replica) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await doomed.until_dead()
        except TimeoutError:
            await doomed.kill()
            return False
        return True

    async def try_phase(self, act: Act, phase: Phase) -> Cell:
        """Everything from the question to the record. Raises: AssertionError and TimeoutError for what never came."""
        began = len(self.site.world.ledger)
        run = await self.ask(act)
        wrong = []
        if phase.reverting:
            await self.say(ConfirmRun(run_id=run.id), APPROVED_BY)
            await self.until_run(run.id, lambda found: found.outcome, "the outcome")
        if not await self.dies(act, run, phase):
            wrong.append("never got there")
        with self._failing(act) if phase.blind else contextlib.nullcontext():
            run = await self.finish(run)
        if phase.reverting:
            run = await self.until_run(run.id, lambda found: found.reverted_at, "that it is taken back")
        assert run.outcome, f"{act.name} has no outcome: {run}"
        wrong += self._wrong_outcome(act, phase, run)
        states = [run.outcome.state]
        if run.outcome.state is State.UNKNOWN and load_actions()[act.name].look:
            run = await self.look(run)
            states.append(run.outcome.state if run.outcome else State.UNKNOWN)
        if phase.blind:
            wrong += self._wrong_look(act, phase, run)
        await self._put_back(run)
        rows = self.changes(began)
        wrong += [f"{count} × {thing}" for thing, count in act.things(self.site, rows).items() if count > 1]
        wrong += self._wrong_record(run, rows, await self.store.timeline(INCIDENT))
        wrong += [
            str(cry.get("exception", cry))[-300:] for replica in (self.rescue, self.site.replicas[-1]) for cry in replica.cries()
        ]
        return Cell(
            action=act.name, phase=phase, state=", then ".join(states), calls=len(rows), wrong=tuple(dict.fromkeys(wrong))
        )

    @contextlib.contextmanager
    def _failing(self, act: Act) -> Iterator[None]:
        """In it the provider of the action answers nothing but errors."""
        world = self.site.world
        others = {"vercel": world.vercel.api, "statuspage": world.statuspage.api}
        switch = others.get(act.name.partition(".")[0], world.clerk.api)
        switch.turn("error")
        try:
            yield
        finally:
            switch.turn("ok")

    async def look(self, run: Run) -> Run:
        """Somebody wants to know what became of it."""
        await self.say(LookAtRun(run_id=run.id), ASKED_BY)
        return await self.until_run(run.id, lambda found: found.looked_at, "what was seen later")

    async def _put_back(self, run: Run) -> None:
        """What takes itself back is off before the next one begins."""
        if run.reverts_at:
            await self.say(RevertNow(run_id=run.id), ASKED_BY)
            await self.until_run(run.id, lambda found: found.reverted_at, "that it is taken back")

    # -- judging it ----------------------------------------------------------------------------------------------------

    def changes(self, began: int) -> list[Row]:
        """The calls since that line of the ledger that change something, or try to."""
        return [row for row in self.site.world.ledger[began:] if row["method"] in CHANGING]

    def _wrong_outcome(self, act: Act, phase: Phase, run: Run) -> list[str]:
        assert run.outcome
        if phase.reverting:
            vercel = self.site.world.vercel
            left = [one["key"] for one in vercel.variables if one["key"] == "CLERK_EMERGENCY_BYPASS"]
            off = run.reverted is not None and run.reverted.state is State.OK
            return [] if off and not left and not self.site.world.application.is_bypassed else ["it is not off"]
        nobody_knows = phase.blind or (act.is_in_doubt and phase.point.startswith("effect."))
        wanted = State.UNKNOWN if nobody_knows else State.OK
        state = run.outcome.state
        wrong = [] if state is wanted else [f"{state} instead of {wanted}: {run.outcome.summary}"]
        if phase.blind:
            return wrong if "it was not repeated" in run.outcome.summary else [*wrong, f"it says: {run.outcome.summary}"]
        return wrong if act.is_done(self.site, run.outcome) else [*wrong, f"it is not done: {run.outcome.summary}"]

    def _wrong_look(self, act: Act, phase: Phase, run: Run) -> list[str]:
        """The look tells what nobody could see before, and does nothing."""
        assert run.outcome
        wanted = State.OK if phase.point == "effect.answered" else State.FAILING
        wrong = [] if run.outcome.state is wanted else [f"seen later: {run.outcome.state}: {run.outcome.summary}"]
        is_done = act.is_done(self.site, run.outcome)
        return wrong if is_done is (wanted is State.OK) else [*wrong, "what was seen later is not so"]

    def _wrong_record(self, run: Run, rows: Iterable[Row], timeline: Sequence[Entry]) -> list[str]:
        """Each call has the intent before it and the outcome after it, and both are there once (A5)."""
        wrong = ["the timeline was changed"] if verify(timeline) is not None else []
        intents = [entry.at.timestamp() for entry in timeline if _is_of(entry, RunConfirmed, run)]
        ends = [entry.at.timestamp() for entry in timeline if _is_of(entry, RunFinished, run)]
        backs = [entry.at.timestamp() for entry in timeline if _is_of(entry, RunReverted, run)]
        if (len(intents), len(ends)) != (1, 1) or len(backs) > 1:
            return [*wrong, f"{len(intents)} intents, {len(ends)} outcomes, {len(backs)} ends of the way back"]
        for row in rows:
            asked_at = self._moment(row["started_at"])
            if not intents[0] - SAME_MOMENT_S <= asked_at <= max(ends + backs) + SAME_MOMENT_S:
                wrong.append(f"{row['method']} {row['path']} was not between intent and outcome")
        return wrong

    def _moment(self, seconds: float) -> float:
        """A moment of this machine in the time of the incident."""
        return seconds + [offset_s for moved_at, offset_s in self._moves if moved_at <= seconds][-1]


def _is_of(entry: Entry, kind: type[Any], run: Run) -> bool:
    return isinstance(entry.fact, kind) and entry.fact.run_id == run.id


@contextlib.asynccontextmanager
async def stand(redis_url: str, *, database: int) -> AsyncIterator[Stand]:
    """A workspace with an open incident, and the application's database where the machine has PostgreSQL."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(ground(redis_url, database=database, write_runbooks=write_runbooks))
        stack.push_async_callback(site.world.application_data.stop)
        site.environment = {name: value for name, value in site.environment.items() if not name.startswith(PEOPLE)}
        site.environment["MUSTER_DATA_DIR"] = str(site.folder / "data")
        if await site.world.start_database():
            site.environment[DATABASE_URL] = site.world.application_data.database_url
        client = connect(site.environment["REDIS_URL"], timeout_s=5)
        stack.push_async_callback(client.aclose)
        clock = RedisClock()
        store = RedisStore(client, workspace_id=TEAM_ID, owner="people", clock=clock, time_travel=True)
        await store.claim(most=0, lease_ms=1)
        loaded = load_catalog(
            Path(site.environment["MUSTER_RUNBOOKS"]),
            actions=load_actions(),
            overrides={"CLERK_APP_URL": f"{site.sandbox.url}/app"},
        )
        assert loaded.catalog, [str(fault) for fault in loaded.faults]
        desk = Desk(store=store, clock=clock, catalog=loaded.catalog)
        made = Stand(site, desk, store, RedisJobs(client, workspace_id=TEAM_ID))
        await made.open()
        yield made


async def try_all(
    redis_url: str, wanted: Iterable[tuple[Act, Phase]], *, at_once: int = 2, first_database: int = 1
) -> list[Cell]:
    """Each of ``wanted``, printed as they end, in so many workspaces beside each other; what never came costs a new workspace."""
    queue: asyncio.Queue[tuple[Act, Phase]] = asyncio.Queue()
    for one in wanted:
        queue.put_nowait(one)
    cells: list[Cell] = []

    async def lane(database: int) -> None:
        while not queue.empty():
            async with stand(redis_url, database=database) as here:
                while not queue.empty():
                    act, phase = queue.get_nowait()
                    if act.needs_postgres and DATABASE_URL not in here.site.environment:
                        print(f"  {act.name:<32}without PostgreSQL: apt install postgresql", flush=True)
                        continue
                    try:
                        cell = await here.try_phase(act, phase)
                    except (AssertionError, TimeoutError) as error:
                        cell = Cell(action=act.name, phase=phase, wrong=(str(error)[:2000] or type(error).__name__,))
                    cells.append(cell)
                    print(cell.line(), flush=True)
                    if cell.wrong:
                        break

    await asyncio.gather(*(lane(first_database + number) for number in range(at_once)))
    return cells


def everything(*, whole: bool) -> list[tuple[Act, Phase]]:
    """Every action in its phases."""
    return [(act, phase) for act in TABLE for phase in phases_of(act, whole=whole)]


def changing_actions() -> dict[str, str]:
    """By name what the registry says of their repetition."""
    return {name: str(spec.idempotency) for name, spec in load_actions().items() if spec.risk is not Risk.READ}
