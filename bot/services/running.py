"""Running the actions of steps: the preview, the run, a later look, and what takes itself back.

The intent is written before the first call (``RunConfirmed``), the outcome after the last one. In between anything may die:
an attempt that follows one whose end nobody saw repeats what is safe to repeat, looks first where a look tells, and else
says that nobody knows. Who may is asked once more right before it begins.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

import structlog

from bot.domain.commands import Command, DenyRun, RecordLook, RecordPreview, RecordRevert, RecordRun
from bot.domain.decisions.running import params_digest
from bot.domain.errors import MusterError
from bot.domain.incident import Incident
from bot.domain.lifecycle import LABELS
from bot.domain.outcome import Outcome, Risk, State
from bot.domain.run import Run
from bot.services.desk import Desk
from bot.services.ending import end_all
from bot.services.ports import ActionRunner, Assignment, Clock, Gate, ProgressBoard, Task
from bot.services.worker import Performed

RAN_AGAIN = "An earlier attempt was interrupted; what it did stays done."
FOUND = "An earlier attempt was interrupted; what it did was found to be done."
LOOK_EVERY_S = 1.0
"""How soon a run that another replica was asked to stop hears of it."""


class PreviewPerformer:
    """Finds out what a run would do."""

    def __init__(self, actions: ActionRunner) -> None:
        self._actions = actions

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """The preview, or the reason why there is none."""
        run = incident.runs[str(task.data["run_id"])]
        if not run.is_open or run.preview:
            return Performed()
        try:
            preview = await self._actions.preview(run.action, run.params, Assignment(incident=incident, run=run))
        except MusterError as error:
            return Performed(command=RecordPreview(run_id=run.id, preview=None, refused=str(error)))
        return Performed(command=RecordPreview(run_id=run.id, preview=preview))


def preview_failed(task: Task, incident: Incident, reason: str) -> Command:
    """A run that never gets a preview would hold its step for ever."""
    return RecordPreview(run_id=str(task.data["run_id"]), preview=None, refused=reason)


class RunPerformer:
    """Performs a confirmed run."""

    def __init__(
        self, *, actions: ActionRunner, desk: Desk, gate: Gate, clock: Clock, board: ProgressBoard | None = None
    ) -> None:
        self._actions = actions
        self._desk = desk
        self._gate = gate
        self._clock = clock
        self._board = board
        self._log = structlog.get_logger("muster.runs")

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """The outcome. Raises: FencedError when somebody denied it meanwhile, or another worker has it."""
        run = incident.runs[str(task.data["run_id"])]
        if run.confirmed is None or not run.is_open:
            return Performed()
        if params_digest(run.action, dict(run.params)) != run.params_digest:
            self._log.error("run_changed", incident_id=incident.id, run_id=run.id)
            return _done(run, _failing("What was confirmed is not what is written down any more, so nothing was done"))
        if _is_past(run, self._clock.now()):
            return _done(run, _failing("The time after which it is taken back was over before it had come to an end"))
        if incident.is_over and task.attempt == 1 and run.risk is not Risk.READ and not run.undoes:
            return _done(run, _failing(f"The incident was {LABELS[incident.status]} before it was begun, so nothing was done"))
        old_s = (self._clock.now() - run.confirmed.at).total_seconds()
        if task.attempt == 1 and run.needs_second and old_s > self._desk.catalog.policy.approval_s:
            return _done(
                run, _failing("It was approved too long ago when a Muster that could begin it ran again; nothing was done")
            )
        refusal = await self._gate.refusal(incident, run)
        if refusal:
            return Performed(command=DenyRun(run_id=run.id, reason=refusal))
        async with self._watched(incident.id, run.id) as is_stopping:
            assignment = Assignment(
                incident=incident,
                run=run,
                attempt=task.attempt,
                lease=task.lease,
                progress=self._progress(incident, run),
                is_stopping=is_stopping,
            )
            return _done(run, await self._outcome(run, assignment))

    async def _outcome(self, run: Run, assignment: Assignment) -> Outcome:
        again = assignment.attempt > 1
        is_seen_undone = False
        if again and not self._actions.is_repeatable(run.action):
            seen = await self._actions.look(run.action, run.params, assignment)
            if seen.state is State.OK:
                return seen.model_copy(update={"details": (FOUND, *seen.details)})
            if seen.state is State.UNKNOWN or not self._actions.may_follow_a_look(run.action):
                return _unsure(seen)
            is_seen_undone = True
        if run.preview and run.preview.state:  # where nothing was begun yet, all must still be as it was shown
            is_begun = again and not is_seen_undone and await self._actions.has_begun(assignment)
            changed = None if is_begun else await self._changed(run, assignment)
            if changed:
                return changed
        outcome = await self._actions.execute(run.action, run.params, assignment)
        return outcome.model_copy(update={"details": (RAN_AGAIN, *outcome.details)}) if again else outcome

    async def _changed(self, run: Run, assignment: Assignment) -> Outcome | None:
        """What to say when it is not as it was shown to whoever confirmed it."""
        shown = run.preview.state if run.preview else ""
        try:
            now = await self._actions.preview(run.action, run.params, assignment)
        except MusterError as error:
            return _failing(f"It could not be seen whether it still is as it was shown, so nothing was done: {error}")
        if now.state == shown:
            return None
        return _failing(f"It is not as it was shown any more, so nothing was done. Now: {now.summary}")

    def _progress(self, incident: Incident, run: Run) -> Callable[[str], Awaitable[None]] | None:
        board = self._board
        if board is None:
            return None

        async def show(line: str) -> None:
            await board.show(incident, run, line)

        return show

    @contextlib.asynccontextmanager
    async def _watched(self, incident_id: str, run_id: str) -> AsyncIterator[Callable[[], bool]]:
        """In this, the function that it gives says whether somebody wants the run to stop."""
        asked = asyncio.Event()

        async def watch() -> None:
            while not asked.is_set():
                await asyncio.sleep(LOOK_EVERY_S)
                with contextlib.suppress(MusterError):  # the lease tells when Redis is away for long
                    known = await self._desk.load(incident_id)
                    run = known.runs.get(run_id) if known else None
                    if run and (run.stopping or run.denied or _is_past(run, self._clock.now())):
                        asked.set()

        watching = asyncio.create_task(watch(), name=f"stop {incident_id} {run_id}")
        try:
            yield asked.is_set
        finally:
            await end_all([watching])


def _is_past(run: Run, now: datetime) -> bool:
    """It is being taken back, or was: nothing is begun behind that. After a long outage both are due at once."""
    return run.reverted_at is not None or (run.reverts_at is not None and run.reverts_at <= now)


def run_failed(task: Task, incident: Incident, reason: str) -> Command:
    """A run whose end nobody saw is unknown."""
    outcome = Outcome(state=State.UNKNOWN, summary=f"its end could not be seen: {reason}"[:300])
    return RecordRun(run_id=str(task.data["run_id"]), outcome=outcome)


class LookPerformer:
    """Looks at what became of a run that nobody knows the end of."""

    def __init__(self, actions: ActionRunner) -> None:
        self._actions = actions

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """What it saw."""
        run = incident.runs[str(task.data["run_id"])]
        outcome = await self._actions.look(run.action, run.params, Assignment(incident=incident, run=run))
        return Performed(command=RecordLook(run_id=run.id, outcome=outcome))


def look_failed(task: Task, incident: Incident, reason: str) -> Command:
    """It stays unknown, and the button stays: nobody looks for ever at what this version has no eyes for."""
    return RecordLook(run_id=str(task.data["run_id"]), outcome=Outcome(state=State.UNKNOWN, summary=reason[:300]))


class RevertPerformer:
    """Takes back what a run did; it is tried again until that is seen."""

    def __init__(self, actions: ActionRunner) -> None:
        self._actions = actions

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """The outcome of the undo. Raises: FencedError."""
        run = incident.runs[str(task.data["run_id"])]
        if run.reverts_at is None:
            return Performed()
        assignment = Assignment(incident=incident, run=run, attempt=task.attempt, lease=task.lease)
        outcome = await self._actions.execute(run.undo, self._actions.undo_params(run), assignment)
        return Performed(command=RecordRevert(run_id=run.id, outcome=outcome))


def revert_failed(task: Task, incident: Incident, reason: str) -> Command:
    """A fault of Muster's own does not end it: it is tried again like any other failure."""
    return RecordRevert(run_id=str(task.data["run_id"]), outcome=Outcome(state=State.UNKNOWN, summary=reason[:300]))


def _done(run: Run, outcome: Outcome) -> Performed:
    return Performed(command=RecordRun(run_id=run.id, outcome=outcome))


def _failing(summary: str) -> Outcome:
    return Outcome(
        state=State.FAILING, value="not done", summary=summary[:300], remedy="Ask for it once more and look at what it says."
    )


def _unsure(seen: Outcome) -> Outcome:
    summary = f"An earlier attempt was interrupted, and nobody can know what it did; it was not repeated. {seen.summary}"
    return seen.model_copy(update={"state": State.UNKNOWN, "summary": summary[:300]})
