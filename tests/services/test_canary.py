"""The canary's performer: one test page, by the way that was asked for or the first that works, and a note for each station."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest

from bot.domain.catalog import Catalog
from bot.domain.errors import PermanentError, TemporaryError
from bot.domain.escalation import Contact, Rotation, Team, Way
from bot.domain.incident import Incident
from bot.domain.tasks import TaskKind, canary_task
from bot.services import canary
from bot.services.canary import CanaryPerformer, Note
from bot.services.desk import Desk
from bot.services.ports import Accepted, Followed, Summons, Task
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock


class Told:
    """A way that writes down whom it was to reach, and answers as the test says."""

    def __init__(self, way: Way, *, missing: str = "", fault: Exception | None = None, fates: tuple[Followed, ...] = ()) -> None:
        self.way = way
        self.follows = way is not Way.SLACK
        self.fault = fault
        self.sent: list[Summons] = []
        self.wanted: list[str] = []
        self._missing = missing
        self._fates = list(fates)

    def missing(self, contact: Contact) -> str:
        return self._missing

    async def send(self, summons: Summons) -> Accepted:
        if self.fault:
            raise self.fault
        self.sent.append(summons)
        return Accepted(reference="R1")

    async def follow(self, reference: str, summons: Summons, *, wanted: Literal["open", "acknowledged", "over"]) -> Followed:
        self.wanted.append(wanted)
        return self._fates.pop(0) if self._fates and wanted == "open" else Followed(state="pending")


class Roster:
    """Whoever is on duty."""

    async def find(self, rotation_id: str, incident: Incident | None = None) -> Contact:
        return Contact(id="cto", name="Whoever is on duty", slack="@cto")


class Rig:
    """A performer, and what it left."""

    def __init__(self, store: RedisStore, clock: MovingClock, catalog: Catalog) -> None:
        self.store = store
        self.clock = clock
        self.desk = Desk(store=store, clock=clock, catalog=catalog)
        self.attempt = 1

    async def fly(self, *ways: Told, contact: str = "", via: str = "", wait: bool = False, seconds: float = 60) -> list[str]:
        """Perform one; the names of the notes."""
        now = self.clock.now()
        asked = canary_task(
            "run1",
            contact_id=contact,
            via=via,
            wait_for_answer=wait,
            until=now + timedelta(seconds=seconds),
            due_at=now,
        )
        task = Task(
            id=asked.id,
            kind=TaskKind.CANARY,
            incident_id="none",
            due_at=now,
            data=asked.data,
            token="1",
            attempt=self.attempt,
            asked="1",
        )
        found: Any = {way.way: way for way in ways}
        perform = CanaryPerformer(ways=found, duty=Roster(), desk=self.desk, clock=self.clock, store=self.store)
        try:
            await perform(task)
        finally:
            self.notes = [Note.model_validate_json(line) for line in await self.store.canary_notes("run1")]
        return [note.name for note in self.notes]


@pytest.fixture
def rig(store: RedisStore, clock: MovingClock, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """It looks for answers without waiting."""
    monkeypatch.setattr(canary, "LOOK_EVERY_S", 0.001)
    return Rig(store, clock, catalog)


async def test_the_first_of_the_default_ladder_is_reached_by_their_first_way(rig: Rig) -> None:
    """Marked as a test, of no incident, and without an address for an answer."""
    slack = Told(Way.SLACK)
    assert await rig.fly(slack, Told(Way.EMAIL)) == ["claimed", "accepted"]
    (summons,) = slack.sent
    assert (summons.contact.id, summons.kind, summons.incident, summons.answer_url) == ("on-call", "test", None, None)
    assert summons.headline.startswith("TEST: ")
    assert "test of the way to you" in summons.headline
    assert not summons.look_first


async def test_a_second_attempt_looks_first(rig: Rig) -> None:
    """The first one may have been accepted when its process died."""
    slack = Told(Way.SLACK)
    rig.attempt = 2
    await rig.fly(slack)
    assert slack.sent[0].look_first


async def test_what_is_not_set_up_is_passed_over_and_named_where_it_was_asked_for(rig: Rig) -> None:
    """Without --via the next way is taken; with it, nothing else is tried."""
    broken, slack = Told(Way.PAGERDUTY, missing="pagerduty is not set to true"), Told(Way.SLACK)
    assert await rig.fly(broken, slack, via="pagerduty") == ["claimed", "failed"]
    assert "pagerduty is not set to true" in rig.notes[-1].detail
    assert slack.sent == []
    assert (await rig.fly(broken, slack))[-1] == "accepted"


async def test_what_does_not_exist_is_refused(rig: Rig) -> None:
    """With the names that there are; nobody is paged instead."""
    slack = Told(Way.SLACK)
    assert await rig.fly(slack, contact="nobody") == ["claimed", "refused"]
    assert "“nobody”" in rig.notes[-1].detail
    assert "engineering-lead" in rig.notes[-1].detail
    assert slack.sent == []


async def test_a_rotation_and_a_team_are_somebody(rig: Rig) -> None:
    """Whoever is on duty, and the first of the team."""
    rotation = Rotation(id="primary", name="Primary", members=("cto",), starts="2026-11-02")
    team = Team(id="leads", name="Leads", members=("engineering-lead", "cto"))
    rig.desk.catalog = replace(rig.desk.catalog, rotations={"primary": rotation}, teams={"leads": team})
    slack = Told(Way.SLACK)
    await rig.fly(slack, contact="primary")
    await rig.fly(slack, contact="leads")
    assert [summons.contact.name for summons in slack.sent] == ["Whoever is on duty", "Engineering lead"]


async def test_a_refusal_is_told_and_not_repeated(rig: Rig) -> None:
    """What is wrong, in the way's own words."""
    assert await rig.fly(Told(Way.SLACK, fault=PermanentError("cannot_dm_bot"))) == ["claimed", "failed"]
    assert "cannot_dm_bot" in rig.notes[-1].detail


async def test_what_passes_is_tried_again_until_nobody_waits_any_more(rig: Rig) -> None:
    """The worker repeats; after the time that was given, nothing is sent."""
    slack = Told(Way.SLACK, fault=TemporaryError("Slack limits chat.postMessage"))
    with pytest.raises(TemporaryError):
        await rig.fly(slack)
    assert [note.name for note in rig.notes] == ["claimed", "retried"]
    slack.fault = None
    assert (await rig.fly(slack, seconds=-1))[-1] == "failed"
    assert slack.sent == []


async def test_an_answer_is_waited_for(rig: Rig) -> None:
    """The call is followed until somebody took it."""
    phone = Told(Way.PHONE, fates=(Followed(state="pending"), Followed(state="answered")))
    rig.desk.catalog = replace(rig.desk.catalog, contacts={"cto": Contact(id="cto", name="CTO", phone="+15555550101")})
    assert await rig.fly(phone, contact="cto", wait=True) == ["claimed", "accepted", "answered"]
    assert phone.wanted == ["open", "open"]


async def test_nobody_answers(rig: Rig) -> None:
    """It rang out, or the time was over: then the call is taken back."""
    rig.desk.catalog = replace(rig.desk.catalog, contacts={"cto": Contact(id="cto", name="CTO", phone="+15555550101")})
    phone = Told(Way.PHONE, fates=(Followed(state="failed", reason="the line was busy"),))
    assert (await rig.fly(phone, contact="cto", wait=True))[-1] == "unanswered"
    assert rig.notes[-1].detail == "the line was busy"

    class RingsOut(Told):
        async def send(self, summons: Summons) -> Accepted:
            accepted = await super().send(summons)
            await rig.clock.advance(61)
            return accepted

    phone = RingsOut(Way.PHONE)
    assert (await rig.fly(phone, contact="cto", wait=True, seconds=60))[-1] == "unanswered"
    assert phone.wanted[-1] == "over"


async def test_slack_does_not_tell_whether_somebody_saw_it(rig: Rig) -> None:
    """That is said, and not made up."""
    assert await rig.fly(Told(Way.SLACK), wait=True) == ["claimed", "accepted", "unseen"]


async def test_a_test_alert_of_pagerduty_is_closed_again(rig: Rig) -> None:
    """Its own escalation would go on to wake people."""
    pagerduty = Told(Way.PAGERDUTY)
    await rig.fly(pagerduty, via="pagerduty")
    assert pagerduty.wanted == ["over"]
