"""Performing a confirmed run in a terminal: under a lease as a replica would, or waiting for the replica that was quicker."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence

from bot.domain.errors import MusterError, TemporaryError
from bot.domain.incident import Incident
from bot.domain.run import Run
from bot.domain.tasks import TaskKind, run_task
from bot.services.desk import Desk
from bot.services.ending import end_all
from bot.services.ports import ActionRunner, Claimed, Clock, Task
from bot.services.running import RunPerformer, run_failed
from bot.services.worker import Performed, Work, Worker
from bot.storage.redis import RedisStore
from bot.terminal.paper import Paper
from bot.terminal.steps import Terminal

WAIT_S = 0.5
"""How soon the end of a run is seen that another replica performs."""
ELSEWHERE_AFTER_S = 2.0
"""After so long without having it, it is said that somebody else has."""


class Performance:
    """One run. ``stop`` asks for its end at the next place where it can."""

    def __init__(
        self,
        *,
        actions: ActionRunner,
        desk: Desk,
        store: Paper | RedisStore,
        clock: Clock,
        terminal: Terminal,
        stop: Callable[[], Awaitable[object]],
    ) -> None:
        self._desk = desk
        self._store = store
        self._clock = clock
        self._terminal = terminal
        self._stop = stop
        self._performer = RunPerformer(actions=actions, desk=desk, gate=_Trusted(), clock=clock, board=_Board(terminal))
        self._here = False
        """It was taken by this process."""

    async def run(self, incident: Incident, run_id: str, interrupts: Interrupts) -> Run:
        """The run when it has ended, or, still open, when the person has left by a second Ctrl-C."""
        worker = Worker(
            tasks=_Only(self._store, run_task(incident.id, run_id, self._clock.now()).id),
            desk=self._desk,
            clock=self._clock,
            work={TaskKind.RUN: Work(perform=self._perform, failed=run_failed, most_attempts=3)},
        )
        working = asyncio.create_task(worker.run(), name="worker")
        try:
            return await self._follow(incident, run_id, worker, interrupts)
        finally:
            await worker.stop(grace_s=0)
            await end_all([working])

    async def _perform(self, task: Task, incident: Incident) -> Performed:
        self._here = True
        return await self._performer(task, incident)

    async def _follow(self, incident: Incident, run_id: str, worker: Worker, interrupts: Interrupts) -> Run:
        """The run when it has ended, or when the person has left."""
        clock = asyncio.get_running_loop().time
        elsewhere_at, stopped, lost = clock() + ELSEWHERE_AFTER_S, False, False
        run = incident.runs[run_id]
        while run.is_open and interrupts.times < 2:
            worker.wake()
            if interrupts.times and not stopped:
                stopped = True
                await self._ask_to_stop()
            if not self._here and clock() > elsewhere_at:
                elsewhere_at = float("inf")
                self._terminal.say("A running Muster has taken it; waiting for what it says. Ctrl-C stops it.")
            try:
                now = await self._desk.wait_until(incident.id, lambda one: not one.runs[run_id].is_open, most_s=WAIT_S)
            except TemporaryError as error:
                if not lost:
                    self._terminal.say(
                        f"{error}. Nothing more is begun until it answers; what was done is kept, and written then."
                    )
                lost = True
                await asyncio.sleep(WAIT_S)
                continue
            run, lost = now.runs[run_id], False
        return run

    async def _ask_to_stop(self) -> None:
        self._terminal.say(
            "Stopping: it ends at the next place where it can, and says how far it came. Ctrl-C once more leaves it."
        )
        try:
            await self._stop()
        except MusterError as error:
            self._terminal.say(f"It could not be told to stop: {error}")


class _Only:
    """A ``TaskStore`` in which there is one task."""

    def __init__(self, store: Paper | RedisStore, task_id: str) -> None:
        self._store = store
        self._task_id = task_id

    async def claim(self, *, most: int, lease_ms: int) -> Claimed:
        claimed = await self._store.claim(most=most, lease_ms=lease_ms, only=(self._task_id,))
        return Claimed(tasks=claimed.tasks, next_due_at=None, orphans=claimed.orphans)

    async def extend(self, tasks: Sequence[Task], *, lease_ms: int) -> set[str]:
        return await self._store.extend(tasks, lease_ms=lease_ms)

    async def release(self, task: Task, *, delay_s: float) -> bool:
        return await self._store.release(task, delay_s=delay_s)


class _Trusted:
    """The ``Gate`` here: whoever has a shell where the secrets are needs no permission of Slack's."""

    async def refusal(self, incident: Incident, run: Run) -> str:
        return ""


class _Board:
    """The ``ProgressBoard`` here."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    async def show(self, incident: Incident, run: Run, line: str) -> None:
        self._terminal.say(f"… {line}")


class Interrupts:
    """How often Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.times = 0

    def count(self) -> None:
        """Once more."""
        self.times += 1


@contextlib.contextmanager
def counted_interrupts() -> Iterator[Interrupts]:
    """In this, Ctrl-C is counted, and ends nothing by itself: what runs decides where it can end."""
    loop = asyncio.get_running_loop()
    counted, former = Interrupts(), signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, counted.count)
    try:
        yield counted
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, former)
