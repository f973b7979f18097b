"""The desk against a real Redis: decide and commit, once, in order, whoever else writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, ChangeStatus, Declaration, Join, Leave, TickStep
from bot.domain.errors import ForbiddenError, UserError
from bot.domain.facts import Origin, Status
from bot.domain.incident import Incident
from bot.domain.timeline import verify
from bot.services.desk import Desk
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock

ORIGIN = Origin(how="command", channel_id="C1")
OUTAGE = Declaration(title="clerk down", runbook_ids=("clerk-auth-outage",), origin=ORIGIN)


@pytest.fixture
def desk(store: RedisStore, clock: MovingClock, catalog: Catalog) -> Desk:
    """A desk over a workspace of its own."""
    return Desk(store=store, clock=clock, catalog=catalog)


async def opened(desk: Desk, *, delivery: str = "command:1") -> Incident:
    declared = await desk.declare(OUTAGE, by="U1", delivery=delivery)
    assert declared.new
    return declared.incident


async def test_an_opening_books_its_work_in_the_same_write(desk: Desk, store: RedisStore) -> None:
    """Room, diagnostics and the clock of the escalation are due as soon as the incident exists."""
    incident = await opened(desk)
    claimed = await store.claim(most=50, lease_ms=2000)
    assert {task.id for task in claimed.tasks} == {
        f"{incident.id}:room",
        f"{incident.id}:diagnose:1:status",
        f"{incident.id}:diagnose:1:health",
        f"{incident.id}:diagnose:1:env",
        f"{incident.id}:diagnose:1:keys",
        f"{incident.id}:diagnose:1:ready",
        f"{incident.id}:clock",
    }
    assert await desk.active() == [incident]


async def test_an_incident_of_a_newer_version_hides_no_other(
    desk: Desk, store: RedisStore, clock: MovingClock, catalog: Catalog
) -> None:
    """A replica that cannot read one goes on with the rest, and says which one it is."""
    odd = await opened(desk)
    other = Declaration(title="something else", runbook_ids=(), origin=ORIGIN)
    well = (await desk.declare(other, by="U1", delivery="command:2")).incident
    timeline = f"{store._prefix}inc:{odd.id}:timeline"
    (entry,) = await store._redis.lrange(timeline, 0, 0)
    await store._redis.rpush(timeline, entry.replace('"incident_opened"', '"from_the_future"'))
    older = Desk(store=store, clock=clock, catalog=catalog)
    survey = await older.survey()
    assert ([incident.id for incident in survey.incidents], survey.unreadable) == ([well.id], [odd.id])
    assert [incident.id for incident in await older.active()] == [well.id]


async def test_the_same_delivery_opens_once(desk: Desk) -> None:
    """A repeated delivery finds the incident that it opened."""
    incident = await opened(desk)
    again = await desk.declare(OUTAGE, by="U1", delivery="command:1")
    assert not again.new
    assert not again.again
    assert again.incident.id == incident.id
    assert again.incident.version == incident.version


async def test_simultaneous_deliveries_of_one_command_open_once(store: RedisStore, clock: MovingClock, catalog: Catalog) -> None:
    """Two replicas get the same delivery at the same moment: one incident."""
    desks = [Desk(store=store, clock=clock, catalog=catalog) for _ in range(4)]
    declared = await asyncio.gather(*(desk.declare(OUTAGE, by="U1", delivery="command:1") for desk in desks))
    assert len({item.incident.id for item in declared}) == 1
    assert sum(item.new for item in declared) == 1


async def test_forty_incidents_at_once_have_forty_numbers(store: RedisStore, clock: MovingClock, catalog: Catalog) -> None:
    """Two replicas look at the same next number; each incident gets one of its own, and the next one goes on from there."""
    desks = [Desk(store=store, clock=clock, catalog=catalog) for _ in range(2)]
    said = [Declaration(title=f"Something {number}", runbook_ids=(), origin=ORIGIN) for number in range(41)]
    declared = await asyncio.gather(
        *(desks[number % 2].declare(said[number], by="U1", delivery=f"command:{number}") for number in range(40))
    )
    assert all(one.new for one in declared)
    assert len({one.incident.number for one in declared}) == 40
    assert sorted(one.incident.title for one in declared) == sorted(one.title for one in said[:40])
    following = await desks[0].declare(said[40], by="U1", delivery="command:40")
    assert following.incident.number > max(one.incident.number for one in declared)


async def test_a_number_without_a_gap(store: RedisStore, clock: MovingClock, catalog: Catalog) -> None:
    """Replicas that open one after the other count on; who opens while another one opens waits for nobody's answer."""
    desks = [Desk(store=store, clock=clock, catalog=catalog) for _ in range(3)]
    numbers = []
    for turn in range(9):
        said = Declaration(title=f"Something {turn}", runbook_ids=(), origin=ORIGIN)
        declared = await desks[turn % 3].declare(said, by="U1", delivery=f"command:{turn}")
        numbers.append(declared.incident.number)
    assert numbers == list(range(1, 10))


async def test_a_second_declaration_points_at_the_open_one(desk: Desk) -> None:
    """One open incident for each runbook; whoever says it again is recorded."""
    incident = await opened(desk)
    again = await desk.declare(OUTAGE, by="U2", delivery="command:2")
    assert again.again
    assert again.incident.id == incident.id
    assert [moment.by for moment, _ in again.incident.declared_again] == ["U2"]


async def test_a_drill_does_not_swallow_a_real_declaration(desk: Desk) -> None:
    """A drill holds no unique key."""
    drill = Declaration(title="clerk down", runbook_ids=("clerk-auth-outage",), origin=ORIGIN, drill=True)
    rehearsed = await desk.declare(drill, by="U1", delivery="command:1")
    real = await desk.declare(OUTAGE, by="U1", delivery="command:2")
    assert real.new
    assert real.incident.id != rehearsed.incident.id


async def test_resolving_frees_the_runbook(desk: Desk) -> None:
    """After the end the next outage opens a room of its own."""
    incident = await opened(desk)
    await desk.handle(incident.id, ChangeStatus(status=Status.RESOLVED), by="U1")
    second = await desk.declare(OUTAGE, by="U1", delivery="command:2")
    assert second.new
    assert await desk.active() == [second.incident]


async def test_two_desks_converge_on_version_conflicts(store: RedisStore, clock: MovingClock, catalog: Catalog) -> None:
    """Twenty people tick through two replicas at once: every step is ticked exactly once, the chain holds."""
    desks = [Desk(store=store, clock=clock, catalog=catalog) for _ in range(2)]
    incident = await opened(desks[0])
    steps = ["confirm", "logs", "variables", "document", "review"]

    async def tick(number: int) -> bool:
        try:
            await desks[number % 2].handle(
                incident.id, TickStep(step_id=steps[number % 5]), by=f"U{number}", delivery=f"click:{number}"
            )
        except UserError:
            return False
        return True

    results = await asyncio.gather(*(tick(number) for number in range(20)))
    assert sum(results) == 5
    entries = await store.timeline(incident.id)
    assert verify(entries) is None
    ticked = [entry.fact.step_id for entry in entries if entry.fact.kind == "step_ticked"]
    assert sorted(ticked) == sorted(steps)


async def test_a_refusal_is_checked_against_the_newest_state(store: RedisStore, clock: MovingClock, catalog: Catalog) -> None:
    """A replica whose fold is old must not refuse what has become possible."""
    first, second = (Desk(store=store, clock=clock, catalog=catalog) for _ in range(2))
    incident = await opened(first)
    await second.load(incident.id)
    await first.handle(incident.id, ChangeStatus(status=Status.RESOLVED), by="U1")
    await second.load(incident.id)
    await first.handle(incident.id, ChangeStatus(status=Status.INVESTIGATING), by="U1")
    handled = await second.handle(incident.id, TickStep(step_id="confirm"), by="U2")
    assert "confirm" in handled.incident.steps


async def test_that_there_is_nothing_to_do_is_checked_against_the_newest_state(
    store: RedisStore, clock: MovingClock, catalog: Catalog
) -> None:
    """Who came in by one replica leaves by another one that has not heard of it: that is not nothing."""
    first, second = (Desk(store=store, clock=clock, catalog=catalog) for _ in range(2))
    incident = await opened(first)
    await second.load(incident.id)
    await first.handle(incident.id, Join(user_id="U2"), by="U2")
    await second.handle(incident.id, Leave(user_id="U2"), by="U2")
    assert "U2" not in (await first.get(incident.id)).responders
    version = await store.version(incident.id)
    await second.handle(incident.id, Leave(user_id="U2"), by="U2")
    assert await store.version(incident.id) == version


async def test_who_may_is_judged_by_the_state_that_is_decided_on(store: RedisStore, clock: MovingClock, catalog: Catalog) -> None:
    """A replica that remembers an old state lets nobody in who has left since, and refuses nobody who has come since."""
    first, second = (Desk(store=store, clock=clock, catalog=catalog) for _ in range(2))
    incident = await opened(first)
    await first.handle(incident.id, Join(user_id="U2"), by="U2")
    await second.load(incident.id)
    await first.handle(incident.id, Leave(user_id="U2"), by="U2")
    await first.handle(incident.id, Join(user_id="U3"), by="U3")
    remembered = await second.get(incident.id, fresh=False)
    assert (remembered.is_responder("U2"), remembered.is_responder("U3")) == (True, False)

    def only(user_id: str) -> Callable[[Incident], None]:
        def check(now: Incident) -> None:
            if not now.is_responder(user_id):
                raise ForbiddenError("Only people in the room can do that.")

        return check

    with pytest.raises(ForbiddenError):
        await second.handle(incident.id, TickStep(step_id="confirm"), by="U2", delivery="click:1", check=only("U2"))
    assert "confirm" not in (await first.get(incident.id)).steps
    handled = await second.handle(incident.id, TickStep(step_id="confirm"), by="U3", delivery="click:2", check=only("U3"))
    assert "confirm" in handled.incident.steps


async def test_a_repeated_click_is_not_refused_by_its_own_effect(desk: Desk) -> None:
    """The second delivery of a tick says nothing instead of "already done"."""
    incident = await opened(desk)
    await desk.handle(incident.id, TickStep(step_id="confirm"), by="U1", delivery="click:1")
    again = await desk.handle(incident.id, TickStep(step_id="confirm"), by="U1", delivery="click:1")
    assert again.duplicate
    with pytest.raises(UserError, match="already done"):
        await desk.handle(incident.id, TickStep(step_id="confirm"), by="U1", delivery="click:2")


async def test_acknowledging_stops_the_ladder(desk: Desk, store: RedisStore, clock: MovingClock) -> None:
    """What waited for an acknowledgement never comes due."""
    incident = await opened(desk)
    await desk.handle(incident.id, Acknowledge(via="slack"), by="U2")
    await clock.advance(3600)
    claimed = await store.claim(most=50, lease_ms=2000)
    assert not [task.id for task in claimed.tasks if ":level:" in task.id]
