"""The room by reconciliation, against a strict Slack and a real Redis: made once, mended, and never half made."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    Acknowledge,
    AssignRole,
    ChangeSeverity,
    ChangeStatus,
    Command,
    Declaration,
    ReachDue,
    TickStep,
    UntickStep,
)
from bot.domain.errors import FencedError, PermanentError, TemporaryError, UnknownOutcome
from bot.domain.facts import Origin, PageFailed, Role, Status
from bot.domain.incident import Incident, Moment, News
from bot.domain.room import MENTION_AFTER_S, RoomMessage, RoomRecord, SentMessage, desired_room
from bot.domain.severity import Severity
from bot.domain.tasks import TaskKind
from bot.domain.timeline import MUSTER
from bot.sandbox.models import BOT_USER_ID, Channel, Json
from bot.sandbox.server import Sandbox
from bot.services.desk import Desk
from bot.services.ports import Settlement, Task
from bot.services.worker import Performed
from bot.slack.blocks.messages import draw
from bot.slack.client import SlackApi
from bot.slack.drawing import Drawn
from bot.slack.people import People
from bot.slack.room import RoomPerformer
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock
from tests.slack.conftest import with_runbook

LEASE_MS = 60_000


class Site:
    """One incident and the room that is made for it, a look at a time."""

    def __init__(self, *, store: RedisStore, clock: MovingClock, desk: Desk, performer: RoomPerformer, sandbox: Sandbox) -> None:
        self.store = store
        self.clock = clock
        self.desk = desk
        self.performer = performer
        self.sandbox = sandbox
        self.incident_id = ""

    async def open(self, *, by: str = "U0DEVELOPER", how: Any = "command", message_ts: str | None = None, **fields: Any) -> None:
        """Declare it."""
        origin = Origin(how=how, channel_id="C0SUPPORT", message_ts=message_ts)
        fields = {"title": "clerk down", "runbook_ids": ("clerk-auth-outage",), **fields}
        declared = await self.desk.declare(Declaration(origin=origin, **fields), by=by, delivery=None)
        self.incident_id = declared.incident.id

    async def do(self, command: Command, *, by: str = "U0DEVELOPER") -> None:
        """Somebody changes something."""
        await self.desk.handle(self.incident_id, command, by=by)

    async def claim(self) -> Task:
        """The room's task, held by us. No worker renews it here, so that it is sure for as long as its lease lasts."""
        claimed = await self.store.claim(most=50, lease_ms=LEASE_MS)
        task = next(task for task in claimed.tasks if task.kind is TaskKind.ROOM)
        task.lease.confirmed_at = math.inf
        return task

    async def perform(self, task: Task) -> Performed:
        """One look."""
        return await self.performer(task, await self.incident())

    async def look(self) -> Performed:
        """Claim, perform, settle. A failure hands the task back, to be tried again at once, and is raised."""
        task = await self.claim()
        try:
            performed = await self.perform(task)
        except (PermanentError, TemporaryError):
            await self.store.release(task, delay_s=0)
            raise
        settlement = Settlement(task=task, again_at=performed.again_at)
        await self.desk.settle(self.incident_id, None, by=MUSTER, settlement=settlement)
        return performed

    async def incident(self) -> Incident:
        """As it is now."""
        return await self.desk.get(self.incident_id)

    async def record(self) -> RoomRecord:
        """What is recorded as done."""
        return await self.store.room_record(self.incident_id)

    def rooms(self) -> list[Channel]:
        """Every channel that looks like one."""
        return [channel for channel in self.sandbox.workspace.channels if channel.name.startswith("inc-")]

    def messages(self, channel: str) -> list[Json]:
        """What is in a channel."""
        return self.sandbox.workspace.messages(channel)

    def called(self, *methods: str) -> list[str]:
        """The calls of these methods, or all, in order."""
        return [call.method for call in self.sandbox.calls if not methods or call.method in methods]


@pytest.fixture
async def site(
    store: RedisStore, clock: MovingClock, catalog: Catalog, sandbox: Sandbox, slack: SlackApi, people: People
) -> Site:
    """Everything that a room is made with."""
    desk = Desk(store=store, clock=clock, catalog=catalog)
    performer = RoomPerformer(
        slack=slack,
        people=people,
        rooms=store,
        desk=desk,
        clock=clock,
        draw=draw,
        incidents_channel_id="C0INCIDENTS",
        bot_user_id=BOT_USER_ID,
    )
    sandbox.calls.clear()
    return Site(store=store, clock=clock, desk=desk, performer=performer, sandbox=sandbox)


# -- made once -----------------------------------------------------------------------------------------------------


async def test_a_room_is_made_whole(site: Site) -> None:
    """Channel, card, people, topic, bookmarks, announcement; and it is findable by its channel."""
    await site.open()
    await site.look()
    (room,) = site.rooms()
    incident = await site.incident()
    assert room.name == f"inc-{incident.opened.at:%Y%m%d}-clerk-down-{incident.number}"
    assert not room.is_private
    assert set(room.members) == {BOT_USER_ID, "U0DEVELOPER", "U0ONCALL"}
    assert room.topic.value == "SEV1 · triage · clerk down"
    assert [(bookmark["title"], bookmark["link"]) for bookmark in room.bookmarks] == list(desired_room(incident).bookmarks)
    assert room.bookmarks
    assert "Checklist" in str(site.messages(room.name)[0]["blocks"])
    assert f"<#{room.id}>" in str(site.messages("incidents")[0]["blocks"])
    assert incident.channel_id == room.id
    assert (await site.desk.find_by_channel(room.id)) == incident


async def test_the_channel_comes_first_then_the_checklist_and_the_people(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two round trips until it can be worked in: the others wait, here long enough for a slow machine."""
    monkeypatch.setattr("bot.slack.room.HEAD_START_S", 0.5)
    await site.open()
    await site.look()
    assert site.called()[0] == "conversations.create"
    assert set(site.called()[1:3]) == {"chat.postMessage", "conversations.invite"}


async def test_a_second_look_without_a_change_does_nothing(site: Site) -> None:
    """What was done is recorded."""
    await site.open()
    await site.look()
    await site.look()
    before = len(site.sandbox.calls)
    await site.do(TickStep(step_id="confirm"))
    held = await site.claim()
    await site.perform(held)
    assert site.called()[before:] == ["chat.update"]
    await site.perform(held)
    assert site.called()[before:] == ["chat.update"]


async def test_a_private_room_is_private_in_everything(site: Site) -> None:
    """No title in its name, no announcement, and never a public channel instead."""
    await site.open(title="a leak", runbook_ids=("clerk-security-incident",), private=True)
    site.sandbox.faults.add("conversations.create", "error", error="restricted_action")
    with pytest.raises(PermanentError):
        await site.look()
    assert site.rooms() == []
    assert "restricted_action" in (await site.incident()).room_failure
    await site.look()
    (room,) = site.rooms()
    assert room.is_private
    assert "leak" not in room.name
    assert site.messages("incidents") == []
    assert (await site.incident()).room_failure == ""


# -- the name ------------------------------------------------------------------------------------------------------


async def desired_name(site: Site) -> str:
    incident = await site.incident()
    return f"inc-{incident.opened.at:%Y%m%d}-clerk-down-{incident.number}"


async def test_a_name_that_somebody_else_has_is_not_taken_over(site: Site) -> None:
    """The next one is free."""
    await site.open()
    name = await desired_name(site)
    site.sandbox.state.create_channel(name, creator="U0CTO")
    await site.look()
    foreign, room = site.rooms()
    assert room.name == f"{name}-2"
    assert foreign.members == ["U0CTO"]
    assert site.messages(foreign.id) == []


async def test_an_archived_channel_keeps_its_name(site: Site) -> None:
    """Slack does not give it free."""
    await site.open()
    name = await desired_name(site)
    old = site.sandbox.state.create_channel(name, creator=BOT_USER_ID)
    site.sandbox.state.archive(old, BOT_USER_ID)
    await site.look()
    assert [room.name for room in site.rooms()] == [name, f"{name}-2"]


async def test_our_own_room_of_an_earlier_database_is_not_adopted(site: Site) -> None:
    """It was made by us, but before this incident was opened."""
    await site.open()
    name = await desired_name(site)
    old = site.sandbox.state.create_channel(name, creator=BOT_USER_ID)
    old.created -= 3600
    await site.look()
    assert [room.name for room in site.rooms()] == [name, f"{name}-2"]


async def test_a_room_whose_making_was_never_answered_is_found(site: Site) -> None:
    """A crash, or a connection that broke after Slack had done it: one channel."""
    await site.open()
    task = await site.claim()
    site.sandbox.faults.add("conversations.create", "accept_then_drop")
    with pytest.raises(Exception, match="may have happened"):
        await site.perform(task)
    await site.store.release(task, delay_s=0)
    await site.look()
    assert len(site.rooms()) == 1
    assert "Checklist" in str(site.messages(site.rooms()[0].name)[0]["blocks"])


async def test_when_every_name_is_taken_people_are_told(site: Site) -> None:
    """And it is tried again."""
    await site.open()
    name = await desired_name(site)
    for taken in (name, *(f"{name}-{number}" for number in range(2, 6))):
        site.sandbox.state.create_channel(taken, creator="U0CTO")
    with pytest.raises(PermanentError, match="every name like"):
        await site.look()
    assert "every name like" in (await site.incident()).room_failure


async def test_a_failure_is_recorded_once_for_each_reason(site: Site) -> None:
    """A room that cannot be made for an hour is one entry, not sixty."""
    await site.open()
    site.sandbox.faults.add("conversations.create", "error", times=3, error="restricted_action")
    for _ in range(3):
        with pytest.raises(PermanentError):
            await site.look()
    entries = await site.store.timeline(site.incident_id)
    assert [entry.fact.kind for entry in entries].count("room_failed") == 1


# -- people --------------------------------------------------------------------------------------------------------


async def test_one_person_whom_slack_refuses_spoils_it_for_nobody(site: Site) -> None:
    """The others are invited one by one; the refusal is recorded and not tried again."""
    gone = site.sandbox.workspace.add_user("former", "Former", deleted=True)
    await site.open()
    await site.do(AssignRole(role=Role.INCIDENT_COMMANDER, user_id=gone.id))
    await site.look()
    (room,) = site.rooms()
    assert {"U0DEVELOPER", "U0ONCALL"} <= set(room.members)
    assert gone.id not in room.members
    assert (await site.record()).refused == {gone.id: "cant_invite"}
    before = len(site.called("conversations.invite"))
    await site.do(TickStep(step_id="confirm"))
    await site.look()
    assert len(site.called("conversations.invite")) == before


async def test_somebody_who_is_there_already_is_no_fault(site: Site) -> None:
    """They were quicker."""
    await site.open()
    await site.look()
    room = site.rooms()[0]
    site.sandbox.state.join(room, "U0LEAD")
    await site.do(AssignRole(role=Role.INCIDENT_COMMANDER, user_id="U0LEAD"))
    await site.look()
    record = await site.record()
    assert "U0LEAD" in record.invited
    assert record.refused == {}


async def test_a_contact_that_is_nobody_is_recorded(site: Site, catalog: Catalog) -> None:
    """The room is made all the same."""
    site.sandbox.state.users["U0ONCALL"].name = "renamed"
    site.sandbox.state.users["U0ONCALL"].real_name = "Renamed"
    site.performer.people = People(site.performer.slack)
    await site.performer.people.warm()
    await site.open()
    await site.look()
    assert (await site.record()).refused == {"@oncall": "contact_not_found"}
    assert "U0DEVELOPER" in site.rooms()[0].members


async def test_a_contact_whom_slack_does_not_know_just_now_holds_nobody_up(site: Site) -> None:
    """Who declared it is in the room; the others follow when Slack says who they are."""
    site.sandbox.state.users["U0ONCALL"].name = "renamed"
    site.sandbox.state.groups["S0RESPONDERS"].handle = "oncall"
    site.performer.people = People(site.performer.slack)
    await site.performer.people.warm()
    await site.open()
    site.sandbox.faults.add("usergroups.list", "500")
    task = await site.claim()
    with pytest.raises(TemporaryError, match="usergroups"):
        await site.perform(task)
    (room,) = site.rooms()
    assert "U0DEVELOPER" in room.members
    assert "U0ONCALL" not in room.members
    await site.store.release(task, delay_s=0)
    await site.look()
    assert {"U0DEVELOPER", "U0ONCALL", "U0LEAD"} <= set(room.members)


async def test_a_missing_scope_holds_nothing_up_that_comes_later(site: Site) -> None:
    """The mention has its own moment, and is not put off with what somebody has to mend."""
    await site.open()
    await site.do(ReachDue(due_at=site.clock.now()))
    site.sandbox.faults.add("conversations.setTopic", "error", error="missing_scope", times=9)
    performed = await site.look()
    assert performed.again_at
    assert performed.again_at - site.clock.now() < timedelta(seconds=MENTION_AFTER_S + 0.1)


async def test_what_is_uncertain_is_looked_up_soon_whatever_else_was_refused(site: Site) -> None:
    """A card that may be there is not put off by the topic's missing scope."""
    await site.open()
    site.sandbox.faults.add("conversations.setTopic", "error", error="missing_scope", times=9)
    site.sandbox.faults.add("chat.postMessage", "accept_then_drop")
    with pytest.raises(UnknownOutcome):
        await site.look()


async def test_a_drawing_that_was_not_recorded_is_not_taken_for_the_one_before(site: Site) -> None:
    """Ticked, drawn, killed before that was recorded, unticked: the state looks as recorded, and Slack does not."""
    await site.open()
    await site.look()
    before = texts_of(site)
    await site.do(TickStep(step_id="confirm"))
    await site.do(ChangeSeverity(severity=Severity.SEV2))
    site.sandbox.faults.add("chat.update", "accept_then_drop", times=9)
    site.sandbox.faults.add("conversations.setTopic", "accept_then_drop")
    task = await site.claim()
    with pytest.raises(UnknownOutcome):
        await site.perform(task)
    assert texts_of(site) != before
    site.sandbox.faults.clear()
    await site.do(UntickStep(step_id="confirm"))
    await site.do(ChangeSeverity(severity=Severity.SEV1))
    await site.store.release(task, delay_s=0)
    await site.look()
    assert texts_of(site) == before
    assert site.rooms()[0].topic.value.startswith("SEV1")


def texts_of(site: Site) -> list[Json]:
    """What the card shows, without the ids that Slack gives anew."""
    return [block.get("text") for block in site.messages(site.rooms()[0].name)[0]["blocks"]]


async def test_who_lost_the_lease_calls_nothing(site: Site) -> None:
    """A process that was stopped and wakes up late would draw what was true then over what is true now."""
    await site.open()
    await site.look()
    await site.do(TickStep(step_id="confirm"))
    task = await site.claim()
    task.lease.ends_at = time.monotonic()
    before = len(site.sandbox.calls)
    with pytest.raises(FencedError, match="too late"):
        await site.perform(task)
    assert len(site.sandbox.calls) == before


async def test_a_limit_is_waited_out_after_everything_else_was_done(site: Site) -> None:
    """As long as Slack asked for; the next look does only what is left."""
    await site.open()
    site.sandbox.faults.add("conversations.invite", "429", retry_after_s=7)
    began_at = site.clock.now()
    performed = await site.look()
    assert performed.again_at
    apart = timedelta(milliseconds=100)  # the clock is told Redis's time anew at each commit
    assert began_at - apart < performed.again_at - timedelta(seconds=7) < site.clock.now() + apart
    (room,) = site.rooms()
    assert "Checklist" in str(site.messages(room.name)[0]["blocks"])
    assert room.topic.value
    before = len(site.sandbox.calls)
    await site.clock.advance(7)
    await site.look()
    assert "U0ONCALL" in room.members
    assert site.called()[before:].count("conversations.invite") == 1
    assert "chat.postMessage" not in site.called()[before:]


# -- messages ------------------------------------------------------------------------------------------------------


async def test_a_card_that_was_never_answered_is_posted_once(site: Site) -> None:
    """It is found by its key."""
    await site.open()
    site.sandbox.faults.add("chat.postMessage", "accept_then_drop", times=2)
    task = await site.claim()
    with pytest.raises(Exception, match="may have happened"):
        await site.perform(task)
    await site.store.release(task, delay_s=0)
    await site.look()
    (room,) = site.rooms()
    assert len(site.messages(room.name)) == 1
    assert len(site.messages("incidents")) == 1


async def test_the_reply_goes_where_it_was_said(site: Site) -> None:
    """Into the thread; where that is gone, nowhere, and the rest goes on."""
    root = site.sandbox.state.post_as_user("C0SUPPORT", "U0SUPPORT", "clerk down")
    await site.open(how="phrase", message_ts=root["ts"])
    await site.look()
    reply = site.messages("support")[-1]
    assert reply["thread_ts"] == root["ts"]
    assert site.rooms()[0].id in str(reply["blocks"])


async def test_a_thread_that_is_gone_stops_nothing(site: Site) -> None:
    """The message was deleted before the room was made."""
    await site.open(how="phrase", message_ts="1.000001")
    await site.look()
    assert list((await site.record()).refused.values()) == ["thread_not_found"]
    assert "Checklist" in str(site.messages(site.rooms()[0].name)[0]["blocks"])
    assert site.messages("support") == []


async def test_an_announcement_that_cannot_be_made_is_tried_again(site: Site) -> None:
    """Within a minute: somebody may invite Muster again. The room is whole meanwhile."""
    site.sandbox.state.leave(site.sandbox.workspace.channel("incidents"), BOT_USER_ID)
    await site.open()
    performed = await site.look()
    assert performed.again_at
    assert performed.again_at - site.clock.now() < timedelta(seconds=61)
    assert "U0ONCALL" in site.rooms()[0].members
    site.sandbox.state.join(site.sandbox.workspace.channel("incidents"), BOT_USER_ID)
    await site.clock.advance(60)
    await site.look()
    assert len(site.messages("incidents")) == 1


async def test_a_card_that_somebody_deleted_stops_nothing(site: Site) -> None:
    """Slack says that the message is not there; the record says so from then on."""
    await site.open()
    await site.look()
    (room,) = site.rooms()
    site.sandbox.state.delete_message(room.id, site.messages(room.name)[0]["ts"])
    await site.do(TickStep(step_id="confirm"))
    await site.look()
    assert (await site.record()).refused == {"card": "message_not_found"}


async def test_ten_changes_become_one_update(site: Site) -> None:
    """The newest state, once."""
    await site.open()
    await site.look()
    before = len(site.sandbox.calls)
    for step in ("confirm", "logs", "variables", "document"):
        await site.do(TickStep(step_id=step))
    await site.look()
    assert site.called()[before:] == ["chat.update"]
    assert "4 of 6 steps" in str(site.messages(site.rooms()[0].name)[0]["blocks"])


# -- bookmarks, archive, fence -------------------------------------------------------------------------------------


async def test_bookmarks_are_not_added_twice(site: Site) -> None:
    """A later attempt looks first."""
    await site.open()
    site.sandbox.faults.add("bookmarks.add", "accept_then_drop", times=3)
    task = await site.claim()
    with pytest.raises(Exception, match="may have happened"):
        await site.perform(task)
    await site.store.release(task, delay_s=0)
    await site.look()
    links = [(bookmark["title"], bookmark["link"]) for bookmark in site.rooms()[0].bookmarks]
    assert links == list(desired_room(await site.incident()).bookmarks)


async def test_a_bookmark_that_was_found_is_recorded(site: Site) -> None:
    """The look after that one begins anew, and would add it again."""
    await site.open()
    site.sandbox.faults.add("bookmarks.add", "accept_then_drop", times=3)
    task = await site.claim()
    with pytest.raises(Exception, match="may have happened"):
        await site.perform(task)
    await site.store.release(task, delay_s=0)
    await site.look()
    await site.do(TickStep(step_id="confirm"))
    await site.look()
    links = [(bookmark["title"], bookmark["link"]) for bookmark in site.rooms()[0].bookmarks]
    assert links == list(desired_room(await site.incident()).bookmarks)


@pytest.mark.parametrize("code", ["too_many_bookmarks", "invalid_link"])
async def test_a_bookmark_that_slack_refuses_stops_nothing(site: Site, code: str) -> None:
    """It is recorded and not tried again; the room is whole without it."""
    await site.open()
    site.sandbox.faults.add("bookmarks.add", "error", error=code)
    await site.look()
    assert code in (await site.record()).refused.values()
    assert len(site.rooms()[0].bookmarks) == len(desired_room(await site.incident()).bookmarks) - 1
    before = len(site.called("bookmarks.add"))
    await site.do(TickStep(step_id="confirm"))
    await site.look()
    assert len(site.called("bookmarks.add")) == before


async def test_a_room_that_somebody_archived_is_left_alone(site: Site) -> None:
    """Nothing can be written there any more; it is recorded, and not tried for ever."""
    await site.open()
    await site.look()
    (room,) = site.rooms()
    site.sandbox.state.archive(room, "U0CTO")
    await site.do(Acknowledge(via="slack"), by="U0ONCALL")
    await site.look()
    refused = (await site.record()).refused
    assert (refused["card"], refused["topic"]) == ("is_inactive", "is_archived")
    assert "has it" in str(site.messages("incidents")[0]["blocks"])


async def test_not_an_incident_archives_the_room(site: Site) -> None:
    """After the last words in it; success is recorded after success."""
    await site.open()
    await site.look()
    await site.do(ChangeStatus(status=Status.FALSE_POSITIVE))
    site.sandbox.faults.add("conversations.archive", "500")
    with pytest.raises(Exception, match="may have happened"):
        await site.perform(await site.claim())
    assert not (await site.incident()).archived
    (room,) = site.rooms()
    assert "false positive" in str(site.messages(room.name)[0]["blocks"])
    await site.clock.advance(LEASE_MS / 1000 + 1)
    await site.look()
    assert room.is_archived
    assert (await site.incident()).archived


async def test_a_worker_that_lost_its_lease_writes_nothing(site: Site) -> None:
    """Another one works on this room now: what the late one began is found and adopted, nothing is made twice."""
    await site.open()
    late = await site.claim()
    await site.clock.advance(LEASE_MS / 1000 + 1)
    owner = await site.claim()
    with pytest.raises(FencedError):
        await site.perform(late)
    assert await site.record() == RoomRecord()
    await site.perform(owner)
    (room,) = site.rooms()
    assert (await site.incident()).channel_id == room.id
    assert len(site.messages(room.name)) == 1


async def test_what_may_not_be_said_yet_is_said_later(site: Site) -> None:
    """The first second of a new channel belongs to the checklist; the mention follows by itself."""
    await site.open()
    await site.do(ReachDue(due_at=site.clock.now()))
    performed = await site.look()
    (room,) = site.rooms()
    assert len(site.messages(room.name)) == 1
    opened_at = (await site.incident()).room_opened_at
    assert opened_at
    assert performed.again_at == opened_at + timedelta(seconds=MENTION_AFTER_S)
    await site.clock.advance(MENTION_AFTER_S)
    await site.look()
    assert "you are on call for this" in str(site.messages(room.name)[1]["blocks"])


async def test_a_long_night_costs_no_more_than_a_short_one(site: Site) -> None:
    """A thousand news that Slack has are neither drawn nor sent again; the newest is."""
    await site.open()
    await site.look()
    await site.clock.advance(MENTION_AFTER_S)
    incident = await site.incident()
    failed = PageFailed(key="level-1", contact_id="on-call", name="On-call", via="phone", reason="nobody answered")
    moment = Moment(by=MUSTER, at=site.clock.now())
    night = replace(incident, news=tuple(News(seq=1000 + number, moment=moment, fact=failed) for number in range(1001)))
    record = await site.record()
    said = {
        f"news:{1000 + number}": SentMessage(channel_id=str(incident.channel_id), ts=f"1.{number:06}") for number in range(1000)
    }
    drawn: list[str] = []

    def watched(message: RoomMessage, incident: Incident) -> tuple[Drawn, ...]:
        drawn.append(message.key)
        return draw(message, incident)

    site.performer.draw = watched
    await site.do(ChangeStatus(status=Status.INVESTIGATING))
    task = await site.claim()
    record.messages.update(said)
    assert await site.store.save_room_record(site.incident_id, task, record)
    site.sandbox.calls.clear()
    await site.performer(task, night)
    assert [key for key in drawn if key.startswith("news:")] == ["news:2000"]
    assert site.called("chat.postMessage") == ["chat.postMessage"]


async def test_a_card_that_needs_several_messages_keeps_them(site: Site) -> None:
    """A checklist of sixty steps: every part is posted once and kept up to date; what is not needed any more says so."""
    steps = [{"id": f"s{n}", "title": f"Step {n}", "guide": "g" * 300} for n in range(60)]
    site.desk.catalog = with_runbook(site.desk.catalog, checklist=steps)
    await site.open(runbook_ids=("made-up",))
    await site.look()
    (room,) = site.rooms()
    parts = len(site.messages(room.name))
    assert parts >= 3
    await site.do(TickStep(step_id="s59"))
    before = len(site.sandbox.calls)
    await site.look()
    assert set(site.called()[before:]) == {"chat.update"}
    assert len(site.messages(room.name)) == parts
    assert "✅ 60. Step 59" in str(site.messages(room.name)[-1]["blocks"])
