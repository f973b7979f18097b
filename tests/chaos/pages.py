"""Pages under fire: replicas that are killed, a Redis that is killed and hung, providers that fail, a clock that is a day off.

Incidents with four levels of ten people, seconds apart; a third of them is acknowledged at some moment.
``tests.chaos.pages_judge`` says from the ledgers what became of the pages. ``python -m tests.chaos --only pages --minutes N``;
in the tests, for a minute.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from bot.actions.registry import load_actions
from bot.domain.commands import Acknowledge, ChangeStatus, Command, Declaration
from bot.domain.errors import MusterError, UserError
from bot.domain.facts import Acknowledged, AlarmRaised, IncidentOpened, Origin, PageSent, Status, StatusChanged
from bot.domain.severity import Severity
from bot.sandbox.models import TEAM_ID
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.services.desk import Desk
from bot.services.ending import end_all
from bot.storage.redis import RedisClock, RedisStore, connect
from bot.storage.runbook_files import load_catalog
from tests.chaos.ground import Ground, RedisServer, ground, redis_server
from tests.chaos.pages_ground import (
    DAY_S,
    LEVEL_EVERY_S,
    LEVELS,
    Fighter,
    Record,
    contacts,
    fighter,
    open_doors,
    write_runbooks,
)
from tests.chaos.pages_judge import Due, Evidence, Span, Verdict, judge

REPLICAS = 3
OPEN_EVERY_S = 3.6
"""Slack lets an app open 20 rooms a minute."""
ACKNOWLEDGED = 1 / 3
REPLICA_KILLED_EVERY_S = (2.0, 4.0)
REDIS_KILLED_EVERY_S = 10.0
REDIS_AWAY_S = (0.2, 0.7)
REDIS_HUNG_EVERY_S = 23.0
REDIS_HUNG_S = 2.0
SLACK_FAULT_EVERY_S = 3.0
SLACK_FAULTS = ("429", "500", "drop_before", "accept_then_drop")
FAULTS = {"p_429": 0.03, "p_500": 0.03, "p_hang": 0.02, "p_reset": 0.03}
COMPLETE_S = 90.0
"""What is still to be made when the fire is over is made in so long: four attempts with hanging providers, and the next round."""
LOOK_EVERY_S = 0.25
AGAIN_S = 0.2
MOST_TRACES = 4
LATE_S = 5.0
"""The goal, while Redis is there."""
Result = TypeVar("Result")


def debian_server() -> Path | None:
    """The binary of Debian's package redis-server; None where it is not installed."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


@dataclass(kw_only=True)
class Fire:
    """One run. ``seconds`` of fire; the same ``seed`` makes the same plan, not the same race."""

    site: Ground
    server: RedisServer
    record: Record
    desk: Desk
    replicas: list[Fighter]
    dice: random.Random
    kills: list[tuple[float, int]] = field(default_factory=list)
    rises: list[tuple[float, int]] = field(default_factory=list)
    away: list[Span] = field(default_factory=list)
    going_on: bool = True
    opened: int = 0
    redis_is_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def burn(self, seconds: float) -> None:
        """The fire, and the time until everything is done behind it."""
        self.redis_is_up.set()
        lives: list[asyncio.Task[None]] = []
        ends_at = time.monotonic() + seconds
        harm = [self._kill_replicas(), self._kill_redis(), self._hang_redis(), self._fail_slack()]
        saboteurs = [asyncio.create_task(one, name=one.__qualname__) for one in harm]
        self._fail_providers()
        try:
            while time.monotonic() < ends_at:
                lives.append(asyncio.create_task(self._live(len(lives)), name=f"incident {len(lives)}"))
                await asyncio.sleep(OPEN_EVERY_S)
        finally:
            self.going_on = False
            await asyncio.gather(*saboteurs)
        self.site.world.clear_faults()
        self.site.sandbox.faults.clear()
        done, late = await asyncio.wait(lives, timeout=COMPLETE_S)
        await end_all(late)
        for life in done:
            life.result()

    # -- what happens to incidents ---------------------------------------------------------------------------------

    async def _live(self, place: int) -> None:
        """One incident, from its declaration until it is resolved, when everybody was reached who had to be."""
        is_acknowledged = self.dice.random() < ACKNOWLEDGED
        after_s = self.dice.uniform(0.5, LEVELS * LEVEL_EVERY_S)
        elsewhere = self.dice.random() < 0.5
        declaration = Declaration(title=f"fire {place}", runbook_ids=(), origin=Origin(how="terminal"), severity=Severity.SEV1)
        declared = await self._surely(lambda: self.desk.declare(declaration, by="U0SUPPORT", delivery=f"fire:{place}"))
        assert declared
        incident = declared.incident
        self.opened = max(self.opened, incident.number)
        self.record.most_incidents = self.opened
        began = time.monotonic()
        await self._tell(incident.id, ChangeStatus(status=Status.INVESTIGATING))
        last_s = (LEVELS - 1) * LEVEL_EVERY_S
        if is_acknowledged:
            await asyncio.sleep(max(0.0, began + after_s - time.monotonic()))
            alerts = [one for one in self.site.world.pagerduty.incidents if f"/{incident.id}/" in one.key]
            if elsewhere and alerts:
                self.site.world.pagerduty.acknowledge(alerts[0].key)
            else:
                await self._tell(incident.id, Acknowledge(via="slack"))
        everybody = {(incident.number, data["id"]) for _, data in contacts()}
        while not everybody <= self.record.accepted():
            known = await self._surely(lambda: self.desk.load(incident.id))
            if known and known.acknowledged:
                break
            await asyncio.sleep(1.0)
        await asyncio.sleep(max(0.0, began + last_s + LEVEL_EVERY_S - time.monotonic()))
        await self._tell(incident.id, ChangeStatus(status=Status.RESOLVED))

    async def _tell(self, incident_id: str, command: Command) -> None:
        delivery = secrets.token_hex(8)
        await self._surely(lambda: self.desk.handle(incident_id, command, by="U0ONCALL", delivery=delivery))

    async def _surely(self, act: Callable[[], Awaitable[Result]]) -> Result | None:
        """Until it is done, or refused: as a person who is told that it could not be saved."""
        while True:
            try:
                return await act()
            except UserError:
                return None
            except MusterError:
                await asyncio.sleep(AGAIN_S)

    # -- what is done to Muster ------------------------------------------------------------------------------------

    async def _kill_replicas(self) -> None:
        rising: set[asyncio.Task[None]] = set()
        while await self._wait(self.dice.uniform(*REPLICA_KILLED_EVERY_S)):
            while self.going_on and sum(replica.is_ready for replica in self.replicas) < 2:  # noqa: ASYNC110 - one is to survive it
                await asyncio.sleep(LOOK_EVERY_S)
            alive = [replica for replica in self.replicas if replica.is_ready]
            if not alive:
                continue
            victim = self.dice.choice(alive)
            await victim.kill()
            self.kills.append((time.time(), self.replicas.index(victim)))
            rising.add(asyncio.create_task(self._raise(victim), name="rising"))
        await asyncio.gather(*rising)

    async def _raise(self, victim: Fighter) -> None:
        await victim.rise()
        self.rises.append((time.time(), self.replicas.index(victim)))

    async def _kill_redis(self) -> None:
        while await self._wait(REDIS_KILLED_EVERY_S):
            await self._without_redis("killed")

    async def _hang_redis(self) -> None:
        while await self._wait(REDIS_HUNG_EVERY_S):
            await self._without_redis("hung")

    async def _without_redis(self, what: str) -> None:
        await self.redis_is_up.wait()  # it is hurt in one way at a time
        self.redis_is_up.clear()
        start = time.time()
        if what == "killed":
            self.server.kill()
            await asyncio.sleep(self.dice.uniform(*REDIS_AWAY_S))
            await asyncio.to_thread(self.server.start)
        else:
            self.server.send(signal.SIGSTOP)
            await asyncio.sleep(REDIS_HUNG_S)
            self.server.send(signal.SIGCONT)
        self.away.append(Span(start=start, end=time.time(), what=f"Redis {what}"))
        self.redis_is_up.set()

    def _fail_providers(self) -> None:
        for stand_in in (self.site.world.pagerduty, self.site.world.twilio, self.site.world.smtp):
            stand_in.misbehave(random.Random(self.dice.random()), **FAULTS)  # noqa: S311

    async def _fail_slack(self) -> None:
        while await self._wait(SLACK_FAULT_EVERY_S):
            kind: Any = self.dice.choice(SLACK_FAULTS)
            self.site.sandbox.faults.add(self.dice.choice(("chat.postMessage", "conversations.open")), kind)

    async def _wait(self, seconds: float) -> bool:
        """False when the fire is over."""
        ends_at = time.monotonic() + seconds
        while self.going_on and time.monotonic() < ends_at:  # noqa: ASYNC110 - it is over at some time in any case
            await asyncio.sleep(min(LOOK_EVERY_S, seconds))
        return self.going_on

    # -- what became of it -----------------------------------------------------------------------------------------

    async def evidence(self) -> Evidence:
        """All that the timelines, the ledgers and the logs say."""
        due = [page for number in range(1, self.opened + 1) for page in await self._due(number)]
        return Evidence(
            due=due,
            attempts=self.record.attempts(),
            kills=self.kills,
            away=self.away,
            refused_mails=self.record.refused_mails(),
            looks=self.record.looks(),
            leases=[lease for replica in self.replicas for lease in _leases(replica)],
        )

    async def _due(self, number: int) -> list[Due]:
        """The pages of one incident that its plan and its acknowledgement ask for; of a level brought forward, from then on."""
        entries = await self.site.store.timeline(f"inc-{number}")
        if not entries or not isinstance(entries[0].fact, IncidentOpened):
            return []  # a number that was reserved and not used
        opened_at = entries[0].at.timestamp()
        raised = {one.fact.alarm.level: one.fact.due_at.timestamp() for one in entries if isinstance(one.fact, AlarmRaised)}
        acknowledged_at = next((self._settled(one.at) for one in entries if isinstance(one.fact, Acknowledged)), None)
        over_at = next(
            (
                self._settled(one.at)
                for one in entries
                if isinstance(one.fact, StatusChanged) and one.fact.status is Status.RESOLVED
            ),
            None,
        )
        sent: dict[str, list[tuple[str, float]]] = {}
        for one in entries:
            if isinstance(one.fact, PageSent):
                sent.setdefault(one.fact.contact_id, []).append((one.fact.via, one.at.timestamp()))
        pages: list[Due] = []
        for level, data in contacts():
            planned_at = opened_at + (level - 1) * LEVEL_EVERY_S
            due_at = min(planned_at, raised.get(level, planned_at))
            if level not in raised and acknowledged_at is not None and acknowledged_at <= due_at:
                continue
            pages.append(
                Due(
                    incident=number,
                    level=level,
                    contact=data["id"],
                    due_at=due_at,
                    acknowledged_at=acknowledged_at,
                    over_at=over_at,
                    recorded=tuple(sent.get(data["id"], ())),
                )
            )
        return pages

    async def trace(self, due: Due) -> list[str]:
        """What Muster says about one page, for whoever has to find out."""
        about = f":level-{due.level}:{due.contact}:"
        lines = [
            (one.at.timestamp(), f"{one.fact.kind} {one.fact.model_dump_json(exclude={'kind', 'plan', 'alarm'})[:300]}")
            for one in await self.site.store.timeline(f"inc-{due.incident}")
            if getattr(one.fact, "contact_id", "") == due.contact
            or isinstance(one.fact, AlarmRaised | Acknowledged | StatusChanged)
        ]
        for number, replica in enumerate(self.replicas):
            lines += [
                (datetime.fromisoformat(line["at"]).timestamp() - replica.off_s, f"replica {number}: {json.dumps(line)[:400]}")
                for line in replica.warnings()
                if f"inc-{due.incident}:" in line.get("task_id", "") and about in line["task_id"]
            ]
        lines += [
            (one.at, f"{one}") for one in self.record.attempts() if (one.incident, one.contact) == (due.incident, due.contact)
        ]
        lines += [(at, "look") for at, contact in self.record.looks() if contact == due.contact and abs(at - due.due_at) < 60]
        lines += [(at, f"replica {number} killed") for at, number in self.kills if abs(at - due.due_at) < 15]
        lines += [(at, f"replica {number} ready") for at, number in self.rises if abs(at - due.due_at) < 15]
        for span in self.away:
            if abs(span.start - due.due_at) < 15:
                lines += [(span.start, span.what), (span.end, f"{span.what}: over")]
        return [f"{at:.2f} {text}" for at, text in sorted(lines)]

    def _settled(self, at: datetime) -> float:
        """When a decision was written: while Redis is away it is not, whatever its entry says."""
        moment = at.timestamp()
        return max([moment, *(span.end for span in self.away if span.start - 0.3 <= moment <= span.end)])


def _leases(replica: Fighter) -> list[tuple[float, str]]:
    lines = [line for event in ("task_fenced", "lease_lost", "task_retried") for line in replica.logged(event)]
    return [(datetime.fromisoformat(line["at"]).timestamp() - replica.off_s, line["task_id"]) for line in lines]


def _to_explain(verdict: Verdict) -> list[Due]:
    """The pages whose whole story is worth printing."""
    return [*verdict.wrong, *(due for late_s, _, due in verdict.latest[:1] if late_s > LATE_S)][:MOST_TRACES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run and what became of it."""

    name: str
    seed: int
    seconds: float
    kills: int
    redis_killed: int
    redis_hung: int
    failures: dict[str, int]
    verdict: Verdict
    cries: tuple[str, ...]
    traces: tuple[str, ...]

    @property
    def good(self) -> bool:
        """See ``Verdict``; and Muster logged no fault of its own."""
        return self.verdict.good and not self.cries

    def text(self) -> str:
        """For people."""
        failures = ", ".join(f"{count} × {kind}" for kind, count in sorted(self.failures.items()))
        head = (
            f"  {self.name}, {self.seconds:.0f} s, seed {self.seed}: {self.kills} replicas killed, Redis killed "
            f"{self.redis_killed} times and hung {self.redis_hung} times, one clock a day off; providers: {failures}"
        )
        verdict = "as it should be" if self.good else "NOT AS IT SHOULD BE"
        return "\n".join(
            [head, *self.verdict.lines(), *(f"  CRY: {cry}" for cry in self.cries[:5]), *self.traces, f"  {verdict}"]
        )


async def fight(binary: Path | None, *, seconds: float, seed: int, name: str) -> Report:
    """One run on a server of its own; ``binary`` None is the embedded one."""
    dice = random.Random(seed)  # noqa: S311 - a seed that can be given again
    made: dict[str, Any] = {}

    def prepare(sandbox: Sandbox, world: World) -> None:
        users = {data["id"]: sandbox.workspace.add_user(data["id"], data["name"]).id for _, data in contacts() if "slack" in data}
        world.twilio.default_behaviour = "answers"
        made["record"] = Record(sandbox=sandbox, world=world, users=users)

    with redis_server(binary) as server:
        async with ground(server.url, database=0, write_runbooks=write_runbooks, prepare=prepare) as site:
            await open_doors(site, REPLICAS)
            off_s = dice.choice((-DAY_S, DAY_S))
            replicas = [
                fighter(site, number, site.folder, off_s=off_s if number == REPLICAS - 1 else 0.0) for number in range(REPLICAS)
            ]
            await asyncio.gather(*(replica.rise() for replica in replicas))
            client = connect(server.url, timeout_s=1.0)
            clock = RedisClock()
            store = RedisStore(client, workspace_id=TEAM_ID, owner="fire", clock=clock)
            catalog = load_catalog(
                site.folder / "runbooks", actions=load_actions(), overrides={"CLERK_APP_URL": "http://127.0.0.1:9"}
            ).catalog
            assert catalog
            fire = Fire(
                site=site,
                server=server,
                record=made["record"],
                desk=Desk(store=store, clock=clock, catalog=catalog),
                replicas=replicas,
                dice=dice,
            )
            try:
                await fire.burn(seconds)
                verdict = judge(await fire.evidence())
                traces = [f"    {line}" for due in _to_explain(verdict) for line in ("", *await fire.trace(due))]
            finally:
                fire.going_on = False
                await client.aclose()
            failures: dict[str, int] = {}
            for stand_in in (site.world.pagerduty, site.world.twilio, site.world.smtp):
                for kind, count in stand_in.trouble.taken.items():
                    failures[kind] = failures.get(kind, 0) + count
            return Report(
                name=name,
                seed=seed,
                seconds=seconds,
                kills=len(fire.kills),
                redis_killed=sum("killed" in span.what for span in fire.away),
                redis_hung=sum("hung" in span.what for span in fire.away),
                failures=failures,
                verdict=verdict,
                traces=tuple(traces),
                cries=tuple(json.dumps(cry)[:600] for replica in replicas for cry in replica.cries()),
            )
