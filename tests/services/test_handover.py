"""Hand-overs: announced once at their moment, by whichever replica; a stale one says nothing, and there is always a next one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, Declaration
from bot.domain.duty import Cover
from bot.domain.errors import PermanentError, TemporaryError
from bot.domain.escalation import Contact, DutyOverride, PagerDutyOnCall, Rotation
from bot.domain.facts import Origin
from bot.domain.tasks import TaskKind
from bot.notices import draw_handover
from bot.services.desk import Desk
from bot.services.handover import HandoverNews, HandoverPerformer, Handovers
from bot.services.ports import Settlement, Task
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock
from tests.scenarios.conftest import said

CONTACTS = {
    "alpha": Contact(id="alpha", name="Engineer <A>", slack="@alpha"),
    "beta": Contact(id="beta", name="Engineer B", slack="@beta"),
}


class Roster:
    """Only one of them is known in Slack."""

    async def slack_id(self, contact: Contact) -> str | None:
        return {"beta": "U0BETA"}.get(contact.id)


class Rig:
    """A desk with one daily rotation whose next hand-over is in an hour, and what was announced."""

    def __init__(self, store: RedisStore, clock: MovingClock, catalog: Catalog) -> None:
        self.store = store
        self.clock = clock
        self.desk = Desk(store=store, clock=clock, catalog=catalog)
        self.handovers = Handovers(desk=self.desk, clock=clock)
        self.announced: list[tuple[HandoverNews, str, bool]] = []
        self.fault: Exception | None = None
        self.first_at = (clock.now() + timedelta(hours=1)).replace(second=0, microsecond=0)
        self.rotation = Rotation(
            id="primary",
            name="Primary on-call",
            members=("alpha", "beta"),
            every="day",
            at=f"{self.first_at:%H:%M}",
            starts=f"{self.first_at - timedelta(days=3):%Y-%m-%d}",
        )
        self.use(self.rotation)
        self.perform = HandoverPerformer(desk=self.desk, clock=clock, duty=Roster(), covers=store, announce=self._announce)

    def use(self, *rotations: Rotation) -> None:
        """As a reload does."""
        known = {rotation.id: rotation for rotation in rotations}
        self.desk.catalog = replace(self.desk.catalog, rotations=known, contacts={**self.desk.catalog.contacts, **CONTACTS})

    async def _announce(self, news: HandoverNews, *, key: str, look_first: bool, since: datetime) -> None:
        if self.fault:
            raise self.fault
        self.announced.append((news, key, look_first))

    async def booked(self) -> list[str]:
        """The hand-overs that are due now or later."""
        due: list[str] = await self.store._redis.zrange(f"{self.store._prefix}due", 0, -1)
        return [identity for identity in due if identity.startswith("handover:")]

    async def claim(self) -> list[Task]:
        """The hand-overs that are due now, leased."""
        claimed = await self.store.claim(most=10, lease_ms=60_000)
        return [task for task in claimed.tasks if task.kind is TaskKind.HANDOVER]

    async def work(self) -> int:
        """Do what is due now; how many there were."""
        tasks = await self.claim()
        for task in tasks:
            again_at: Any = await self.perform(task)
            await self.desk.settle_alone(Settlement(task=task, again_at=again_at))
        return len(tasks)


@pytest.fixture
def rig(store: RedisStore, clock: MovingClock, catalog: Catalog) -> Rig:
    return Rig(store, clock, catalog)


def names(news: HandoverNews) -> tuple[str | None, str | None]:
    """Who had it, who has it."""
    return (news.outgoing.name if news.outgoing else None, news.incoming.name if news.incoming else None)


async def test_a_hand_over_is_announced_at_its_moment_and_the_next_one_is_booked(rig: Rig) -> None:
    """Three days in a row, each once, each from whoever had it to whoever has it."""
    await rig.handovers.book()
    assert await rig.work() == 0
    for day in range(3):
        await rig.clock.advance((rig.first_at + timedelta(days=day, seconds=1) - rig.clock.now()).total_seconds())
        assert await rig.work() == 1
        assert await rig.work() == 0
        assert len(await rig.booked()) == 1
    told = [names(news) for news, _, _ in rig.announced]
    assert told[0] == told[2] == (told[1][1], told[1][0])
    assert {name for pair in told for name in pair} == {"Engineer <A>", "Engineer B"}
    assert len({key for _, key, _ in rig.announced}) == 3


async def test_two_replicas_announce_once(rig: Rig, store: RedisStore, clock: MovingClock, catalog: Catalog) -> None:
    """Both book it at their start; one performs it."""
    other = Rig(store, clock, catalog)
    other.use(rig.rotation)  # the same files, though a minute may have begun between the two
    await rig.handovers.book()
    await other.handovers.book()
    assert len(await rig.booked()) == 1
    await rig.clock.advance(3700)
    assert [await rig.work(), await other.work()] == [1, 0]
    assert len(await rig.booked()) == 1


async def test_a_rotation_that_was_changed_meanwhile_is_not_announced(rig: Rig) -> None:
    """The stale task says nothing; the hand-over of the new files is booked and announced."""
    await rig.handovers.book()
    later = rig.first_at + timedelta(hours=2)
    rig.use(rig.rotation.model_copy(update={"at": f"{later:%H:%M}", "starts": f"{later - timedelta(days=3):%Y-%m-%d}"}))
    await rig.clock.advance(3700)
    assert await rig.work() == 1
    assert rig.announced == []
    await rig.clock.advance(7200)
    assert await rig.work() == 1
    assert len(rig.announced) == 1


async def test_a_rotation_that_is_gone_is_not_announced(rig: Rig) -> None:
    """Nothing more is booked for it, and brought back it goes on."""
    await rig.handovers.book()
    rig.use()
    await rig.clock.advance(3700)
    assert await rig.work() == 1
    assert (rig.announced, await rig.booked()) == ([], [])
    rig.use(rig.rotation)
    await rig.handovers.book()
    assert len(await rig.booked()) == 1


async def test_an_override_is_a_hand_over_too(rig: Rig) -> None:
    """Whoever takes over for a while, and whoever has it back."""
    begin = rig.first_at.replace(tzinfo=None) + timedelta(hours=1)
    override = DutyOverride.model_validate({"from": begin, "to": begin + timedelta(hours=1), "contact": "cto"})
    rig.use(rig.rotation.model_copy(update={"overrides": (override,)}))
    await rig.handovers.book()
    for hours in (0, 1, 2):
        await rig.clock.advance((rig.first_at + timedelta(hours=hours, seconds=1) - rig.clock.now()).total_seconds())
        assert await rig.work() == 1
    assert [names(news)[1] for news, _, _ in rig.announced][1] == "CTO"
    assert names(rig.announced[2][0])[0] == "CTO"


async def test_after_an_outage_only_the_last_one_is_told(rig: Rig) -> None:
    """What has been handed on again since is not worth a message."""
    await rig.handovers.book()
    await rig.clock.advance(3 * 86_400 + 3700)
    while await rig.work():
        pass
    assert len(rig.announced) == 1
    assert len(await rig.booked()) == 1


async def test_a_crash_in_the_middle_looks_before_it_speaks(rig: Rig) -> None:
    """The second attempt may find the message that the first one left."""
    await rig.handovers.book()
    await rig.clock.advance(3700)
    (first,) = await rig.claim()
    await rig.perform(first)
    await rig.clock.advance(61)  # it died before its task was settled
    assert await rig.work() == 1
    assert [look_first for _, _, look_first in rig.announced] == [False, True]
    assert len({key for _, key, _ in rig.announced}) == 1
    assert len(await rig.booked()) == 1


async def test_slack_that_is_away_is_waited_for_and_one_that_refuses_is_not(rig: Rig) -> None:
    """The successor is booked in the end, whatever Slack says."""
    await rig.handovers.book()
    await rig.clock.advance(3700)
    (task,) = await rig.claim()
    rig.fault = TemporaryError("Slack did not answer")
    with pytest.raises(TemporaryError):
        await rig.perform(task)
    rig.fault = PermanentError("is_archived")
    await rig.perform(task)
    assert len(await rig.booked()) == 2  # this one, not settled yet, and the next


async def test_what_is_open_is_listed_and_what_is_private_only_counted(rig: Rig) -> None:
    """With severity, room and who has it; whoever is known in Slack is mentioned, a name is harmless."""

    async def declare(title: str, **options: Any) -> str:
        declaration = Declaration(title=title, runbook_ids=(), origin=Origin(how="terminal"), **options)
        return (await rig.desk.declare(declaration, by="U1", delivery=None)).incident.id

    first = await declare("Sign-in <is> down")
    await declare("Slow", severity="SEV4")
    await declare("Secret", private=True)
    await declare("Practice", drill=True)
    await rig.desk.handle(first, Acknowledge(via="slack"), by="U0BETA")
    now = rig.clock.now()
    cover = Cover(rotation="primary", user_id="U0COVER", from_at=now, until_at=now + timedelta(hours=9), by="U0COVER")
    await rig.store.add_covers([cover])
    await rig.handovers.book()
    await rig.clock.advance(3700)
    await rig.work()
    drawn = draw_handover(rig.announced[0][0])
    text = said({"text": drawn.text, "blocks": list(drawn.blocks)})
    assert "🔁 *Primary on-call:*" in text
    assert "<@U0BETA>" in text
    assert "Engineer &lt;A&gt;" in text
    assert "Engineer <A>" not in text
    assert "<@U0COVER> covers" in text
    assert "Open incidents (and 1 private incident):" in text
    assert "Sign-in &lt;is&gt; down" in text
    assert "<@U0BETA> has it" in text
    assert "nobody has it" in text
    assert "Secret" not in text
    assert "Practice" not in text


async def test_a_rotation_of_pagerduty_has_only_its_overrides(rig: Rig) -> None:
    """Who follows there, PagerDuty knows."""
    begin = rig.first_at.replace(tzinfo=None)
    override = DutyOverride.model_validate({"from": begin, "to": begin + timedelta(hours=1), "contact": "cto"})
    asked = Rotation(id="primary", name="Primary", pagerduty=PagerDutyOnCall(schedule="P1A2B3C"), overrides=(override,))
    rig.use(asked)
    await rig.handovers.book()
    await rig.clock.advance(3700)
    await rig.work()
    drawn = draw_handover(rig.announced[0][0])
    assert "whoever PagerDuty says → CTO" in said({"text": drawn.text, "blocks": list(drawn.blocks)})
    assert rig.first_at.astimezone(UTC) == rig.first_at
