"""The worker: lease what is due, perform it, write the outcome. Every replica runs one; none is a leader.

It sleeps until the earliest due time, which every claim returns; a local commit wakes it, and so does the heartbeat
(``bot.app``), whatever was missed. A lease is renewed while its task runs. What dies in the middle comes due again when its
lease runs out, so performers either are safe to repeat or look before they repeat (``task.attempt`` > 1).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from bot.domain.commands import Command
from bot.domain.errors import FencedError, MusterError, PermanentError, TemporaryError, UnknownEntryError, UnknownOutcome
from bot.domain.incident import Incident
from bot.domain.tasks import TaskKind
from bot.domain.timeline import MUSTER
from bot.services.crashpoints import crashpoint
from bot.services.desk import Desk
from bot.services.ending import end_all
from bot.services.ports import Clock, Settlement, Task, TaskStore

LEASE_MS = 2_000
"""After a crash a second attempt starts within lease + heartbeat = 2.5 s."""
RENEW_S = 0.35
"""Well within ``SURE_S`` of ``bot.services.ports``: what runs must not come to doubt its lease while Redis answers."""
MOST_AT_ONCE = 64
SLOW_S = 1.0
"""What takes longer waits for somebody who does not answer. It costs nothing and takes nobody's place: sixty-four calls that hang
must not stop the pages that another provider would take."""
MOST_RUNNING = 512
"""With what is slow."""
HEAD_START_S = 0.005
"""While an incident is opened, whatever can wait begins so much later: first the room's channel, then its checklist and its
people are on their way to Slack, and only then this process draws and asks for the rest."""
IDLE_S = 30.0
"""The longest sleep without a heartbeat."""
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
LONGEST_PASSING_RETRY_S = 15.0
"""What passes by itself is asked again this often at least: a page must not wait for a minute when Slack is back."""
UNREAD_RETRY_S = 2.0
"""What this version cannot read is handed to whoever can: a newer replica, while a deployment is under way."""
_PASSING = (TemporaryError, UnknownOutcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """What came out of a task: ``command`` records it; ``again_at`` makes the task due once more."""

    command: Command | None = None
    again_at: datetime | None = None


class Performer(Protocol):
    """Does one kind of task. Raises: TemporaryError and UnknownOutcome to be tried again, PermanentError to fail."""

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """Perform ``task`` for ``incident`` as it is now."""
        ...


class LonePerformer(Protocol):
    """Does a task that belongs to no incident. Raises like ``Performer``."""

    async def __call__(self, task: Task) -> datetime | None:
        """Perform ``task``; when it is due once more, None: it is done."""
        ...


class FailedPerformer(Protocol):
    """Says what a task that failed for good, or too often, means. None: only the log knows."""

    def __call__(self, task: Task, incident: Incident, reason: str) -> Command | None:
        """The command that records the failure."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How one kind of task is done: ``perform`` for an incident, or ``alone`` where a task belongs to none.

    What passes by itself is tried until it works. ``most_attempts`` bounds the attempts that end in a fault of Muster's own;
    None: tried for ever, ever more slowly.
    """

    perform: Performer | None = None
    alone: LonePerformer | None = None
    failed: FailedPerformer | None = None
    most_attempts: int | None = None


class Worker:
    """See the module. ``wake()`` makes it look now.

    ``work`` is in order of urgency: of the tasks that are claimed together, the most urgent kind has a head start.
    """

    def __init__(
        self,
        *,
        tasks: TaskStore,
        desk: Desk,
        clock: Clock,
        work: Mapping[TaskKind, Work],
        on_outcome: Callable[[TaskKind, str], None] | None = None,
    ) -> None:
        self._tasks = tasks
        self._desk = desk
        self._clock = clock
        self._work = work
        self._urgency = {kind: number for number, kind in enumerate(work)}
        self._on_outcome = on_outcome or (lambda kind, outcome: None)
        self._wake = asyncio.Event()
        self._claiming = asyncio.Lock()
        self._stopped = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[str, float] = {}
        """When what runs was begun, by the loop's time."""
        self._waiting: dict[str, Task] = {}
        """By id: claimed while their former claim is still being performed here."""
        self._held: dict[str, Task] = {}
        """By token: every lease of this process."""
        self._stopping = False
        self._log = structlog.get_logger("muster.worker")

    def wake(self) -> None:
        """Something may be due: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled or ``stop``. What can't be claimed (Redis is away) is tried again at the next heartbeat."""
        renewing = asyncio.create_task(self._renew(), name="worker-renew")
        try:
            while not self._stopping:
                self._wake.clear()
                wait_s = await self._claim()
                if wait_s > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait_s):
                            await self._wake.wait()
            await self._stopped.wait()  # what still runs keeps its lease until it is finished or handed back
        finally:
            await end_all([renewing])

    async def stop(self, *, grace_s: float) -> None:
        """Claim nothing more, finish what runs within ``grace_s`` seconds, hand back the rest."""
        self._stopping = True
        self.wake()
        async with self._claiming:  # a claim that is under way is the last one
            running = list(self._running.values())
        if running:
            await asyncio.wait(running, timeout=grace_s)
        await end_all(running)
        for held in list(self._held.values()):
            await self._hand_back(held, 0)
        self._stopped.set()

    async def _claim(self) -> float:
        """Claim what is due and start it; the seconds until there may be more."""
        async with self._claiming:
            return 0.0 if self._stopping else await self._claim_and_start()

    async def _claim_and_start(self) -> float:
        now = asyncio.get_running_loop().time()
        quick = [begun for begun in self._begun.values() if now - begun < SLOW_S]
        room = min(MOST_AT_ONCE - len(quick), MOST_RUNNING - len(self._running))
        if room <= 0:  # until something ends, which wakes, or the first of them is slow
            return min(quick, default=now) + SLOW_S - now + 0.001
        try:
            claimed = await self._tasks.claim(most=room, lease_ms=LEASE_MS)
        except MusterError as error:
            self._log.warning("claim_failed", error=str(error))
            return IDLE_S
        for identity in claimed.orphans:
            self._log.error("task_not_understood", task_id=identity)
        most_urgent = min((self._urgency.get(task.kind, 0) for task in claimed.tasks), default=0)
        for task in claimed.tasks:
            self._held[task.token] = task
            if task.id in self._running:  # it is being settled this moment, or its lease ran out while it still works
                former = self._waiting.get(task.id)
                if former:
                    self._held.pop(former.token, None)
                self._waiting[task.id] = task
                continue
            self._begin(task, 0.0 if self._urgency.get(task.kind, 0) == most_urgent else HEAD_START_S)
        if len(claimed.tasks) == room:
            return 0.0
        if claimed.next_due_at is None:
            return IDLE_S
        return min(IDLE_S, max(0.0, (claimed.next_due_at - self._clock.now()).total_seconds()) + 0.001)

    def _begin(self, task: Task, wait_s: float) -> None:
        self._begun[task.id] = asyncio.get_running_loop().time()
        self._running[task.id] = asyncio.create_task(self._one(task, wait_s), name=f"task {task.id}")

    async def _one(self, task: Task, wait_s: float) -> None:
        with structlog.contextvars.bound_contextvars(incident_id=task.incident_id, task_id=task.id):
            try:
                await asyncio.sleep(wait_s)
                crashpoint("claimed", task.kind)
                outcome = await self._perform(task)
            except asyncio.CancelledError:
                raise
            except FencedError:
                outcome = "fenced"
                self._log.warning("task_fenced", attempt=task.attempt)
                if not task.lease.is_over:  # Redis was silent for a moment: whoever can claim it may begin at once
                    await self._hand_back(task, 0)
            except MusterError as error:
                outcome = await self._retry(task, error)
            except Exception as error:  # noqa: BLE001 - a fault of ours must not lose the task: it is logged and tried again
                self._log.exception("task_crashed", attempt=task.attempt)
                outcome = await self._retry(task, error)
            finally:
                self._running.pop(task.id, None)
                self._begun.pop(task.id, None)
        self._held.pop(task.token, None)
        following = self._waiting.pop(task.id, None) if not self._stopping else None
        if following:
            self._begin(following, 0.0)
        self._on_outcome(task.kind, outcome)
        self.wake()

    async def _perform(self, task: Task) -> str:
        work = self._work[task.kind]
        if work.alone:
            again_at = await work.alone(task)
            crashpoint("performed", task.kind)
            await self._desk.settle_alone(Settlement(task=task, again_at=again_at))
            crashpoint("settled", task.kind)
            return "done"
        incident = await self._desk.load(task.incident_id)
        if incident is None or work.perform is None:
            raise PermanentError(f"{task.id}: there is no incident {task.incident_id}")
        if task.lease.is_over:  # the process was stopped meanwhile, or Redis was away
            raise FencedError(f"the lease of {task.id} ran out before it was begun")
        try:
            performed = await work.perform(task, incident)
        except FencedError:
            raise
        except Exception as error:  # a fault of ours counts as an attempt too: a page that crashes for ever is a page lost
            if work.failed is None or not _is_final(error, task, work):
                raise
            return await self._fail(task, incident, error, work.failed)
        settlement = Settlement(task=task, again_at=performed.again_at)
        crashpoint("performed", task.kind)
        await self._settle(task, performed.command, settlement)
        crashpoint("settled", task.kind)
        return "done"

    async def _fail(self, task: Task, incident: Incident, error: Exception, failed: FailedPerformer) -> str:
        ours = not isinstance(error, MusterError)
        reason = f"a fault in Muster, {type(error).__name__}; its log has more" if ours else str(error)
        if not isinstance(error, PermanentError):
            reason = f"{reason} (tried {task.attempt} times)"
        self._log.error("task_failed", attempt=task.attempt, reason=reason, exc_info=error if ours else None)
        await self._settle(task, failed(task, incident, reason), Settlement(task=task, state="failed"))
        return "failed"

    async def _settle(self, task: Task, command: Command | None, settlement: Settlement) -> None:
        await self._desk.settle(task.incident_id, command, by=MUSTER, settlement=settlement)

    async def _retry(self, task: Task, error: Exception) -> str:
        """Hand back. A fault that cannot pass by itself is tried again too, slowly: somebody may mend it meanwhile."""
        longest_s = LONGEST_PASSING_RETRY_S if isinstance(error, _PASSING) else LONGEST_RETRY_S
        delay_s = min(longest_s, FIRST_RETRY_S * 2 ** min(task.attempt - 1, 10))
        if isinstance(error, TemporaryError) and error.retry_after_s is not None:
            delay_s = error.retry_after_s
        elif isinstance(error, PermanentError):
            delay_s = LONGEST_RETRY_S
        elif isinstance(error, UnknownEntryError):
            delay_s = UNREAD_RETRY_S
        self._log.warning("task_retried", attempt=task.attempt, delay_s=delay_s, error=str(error))
        await self._hand_back(task, delay_s)
        return "retried"

    async def _hand_back(self, task: Task, delay_s: float) -> None:
        try:
            await self._tasks.release(task, delay_s=delay_s)
        except MusterError as error:  # its lease runs out, then it is due again
            self._log.warning("release_failed", task_id=task.id, error=str(error))

    async def _renew(self) -> None:
        """Keep the leases of what runs; what was lost is left to find out by its fence.

        A lease is lost when it is missing twice: once may be a task that was settled while the renewal was on its way.
        """
        missing: set[str] = set()
        while True:
            await asyncio.sleep(RENEW_S)
            held = list(self._held.values())
            if not held:
                continue
            try:
                kept = await self._tasks.extend(held, lease_ms=LEASE_MS)
            except MusterError as error:
                self._log.warning("renewal_failed", error=str(error))
                continue
            missed_before, missing = missing, {task.token for task in held if task.id not in kept}
            for token in missing & missed_before:
                lost = self._held.pop(token, None)
                if lost:
                    self._log.warning("lease_lost", task_id=lost.id, attempt=lost.attempt)


def _is_final(error: Exception, task: Task, work: Work) -> bool:
    """Whether another attempt is not worth making, or one too many."""
    if isinstance(error, PermanentError):
        return True
    if isinstance(error, _PASSING):
        return False  # a page that Slack cannot take just now is not a page that failed: the next level is not any better off
    return work.most_attempts is not None and task.attempt >= work.most_attempts
