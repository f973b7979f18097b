"""Paging in Slack: one message to each person behind a contact, once, and an honest word about who was not reached."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, ChangeStatus, Declaration, ReachDue, RecordPage, RecordRoom
from bot.domain.duty import Cover
from bot.domain.errors import TemporaryError, UnknownOutcome
from bot.domain.escalation import Contact, PagerDutyOnCall, Rotation, Way
from bot.domain.facts import Origin, Status
from bot.domain.incident import Incident
from bot.domain.tasks import TaskKind
from bot.domain.timers import TRIAGE_SILENCE_S, waiting_levels
from bot.sandbox.models import UserGroup
from bot.sandbox.server import Sandbox
from bot.services.desk import Desk
from bot.services.paging import PagePerformer
from bot.services.ports import Summons, Task
from bot.services.worker import Performed
from bot.slack.client import SlackApi
from bot.slack.duty import DutyRoster, OnCall
from bot.slack.limits import Limits
from bot.slack.pages import SlackWay
from bot.slack.people import People
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock
from tests.contracts.payloads import texts_in

ORIGIN = Origin(how="command", channel_id="C0SUPPORT")


class Night:
    """An incident whose first level is due."""

    def __init__(
        self, *, store: RedisStore, desk: Desk, clock: MovingClock, people: People, slack: SlackApi, sandbox: Sandbox
    ) -> None:
        self.store = store
        self.clock = clock
        self.desk = desk
        self.slack = slack
        self.know(people)
        self.sandbox = sandbox
        self.incident_id = ""

    def know(self, people: People) -> None:
        """Page with what these people are known to be."""
        duty = DutyRoster(desk=self.desk, clock=self.clock, people=people, covers=self.store, on_call=None)
        self.performer = PagePerformer(
            ways={Way.SLACK: SlackWay(slack=self.slack, people=people, desk=self.desk)},
            duty=duty,
            clock=self.clock,
            answer_url=lambda incident, key, contact_id: None,
            room_url=lambda incident: None,
        )

    async def begin(self) -> Task:
        """The task of the first page, held by us; the room exists."""
        declaration = Declaration(title="clerk down", runbook_ids=("clerk-auth-outage",), origin=ORIGIN)
        self.incident_id = (await self.desk.declare(declaration, by="U0DEVELOPER", delivery=None)).incident.id
        await self.desk.handle(self.incident_id, RecordRoom(channel_id="C0GENERAL", name="general"), by="muster")
        await self.desk.handle(self.incident_id, ReachDue(due_at=self.desk_now()), by="muster")
        return await self.claim()

    def desk_now(self) -> datetime:
        """Now, by Redis."""
        return self.clock.now()

    async def claim(self) -> Task:
        """The page's task. No worker renews it here, so that it is sure for as long as its lease lasts."""
        claimed = await self.store.claim(most=50, lease_ms=60_000)
        task = next(task for task in claimed.tasks if task.kind is TaskKind.PAGE)
        task.lease.confirmed_at = math.inf
        return task

    async def again(self, task: Task) -> Task:
        """The same task after a crash."""
        await self.store.release(task, delay_s=0)
        return await self.claim()

    async def incident(self) -> Incident:
        """As it is now."""
        return await self.desk.get(self.incident_id)

    async def send(self, task: Task) -> Performed:
        """Page."""
        return await self.performer(task, await self.incident())


@pytest.fixture
async def night(
    store: RedisStore, clock: MovingClock, catalog: Catalog, sandbox: Sandbox, slack: SlackApi, people: People
) -> Night:
    """See ``Night``."""
    desk = Desk(store=store, clock=clock, catalog=catalog)
    return Night(store=store, desk=desk, clock=clock, people=people, slack=slack, sandbox=sandbox)


def recorded(performed: Performed) -> RecordPage:
    assert isinstance(performed.command, RecordPage)
    return performed.command


async def test_a_page_is_one_direct_message(night: Night) -> None:
    """With the way to the room and a button; what is recorded is where it went."""
    page = recorded(await night.send(await night.begin()))
    (message,) = night.sandbox.workspace.dm("oncall")
    assert (page.user_ids, page.messages, page.failure) == (
        ("U0ONCALL",),
        ((night.sandbox.workspace.im("oncall").id, message["ts"]),),
        "",
    )
    text = "\n".join(texts_in(message["blocks"]))
    assert "<#C0GENERAL>" in text
    assert "Acknowledge" in text


async def test_a_page_that_was_never_answered_is_sent_once(night: Night) -> None:
    """The second attempt looks and finds it."""
    task = await night.begin()
    night.sandbox.faults.add("chat.postMessage", "accept_then_drop")
    with pytest.raises(Exception, match="may have happened"):
        await night.send(task)
    page = recorded(await night.send(await night.again(task)))
    (message,) = night.sandbox.workspace.dm("oncall")
    assert page.messages == ((night.sandbox.workspace.im("oncall").id, message["ts"]),)


@pytest.mark.parametrize("command", [Acknowledge(via="slack"), ChangeStatus(status=Status.RESOLVED)])
async def test_nobody_is_woken_any_more(night: Night, command: Acknowledge | ChangeStatus) -> None:
    """Somebody has it, or it is over, before the page went out."""
    task = await night.begin()
    await night.desk.handle(night.incident_id, command, by="U0DEVELOPER")
    assert (await night.send(task)).command is None
    assert night.sandbox.workspace.dm("oncall") == []


def call_the_group(sandbox: Sandbox, *users: str) -> None:
    """@oncall is a user group with these members; nobody has that name."""
    sandbox.state.users["U0ONCALL"].name = sandbox.state.users["U0ONCALL"].real_name = "somebody"
    sandbox.state.groups["S0ONCALL"] = UserGroup("S0ONCALL", "oncall", "On call", list(users))


async def test_of_a_group_everybody_is_paged(night: Night, slack: SlackApi) -> None:
    """Each with a message of their own."""
    call_the_group(night.sandbox, "U0LEAD", "U0CTO")
    night.know(await fresh(slack))
    page = recorded(await night.send(await night.begin()))
    assert page.user_ids == ("U0LEAD", "U0CTO")
    assert len(page.messages) == 2
    assert len(night.sandbox.workspace.dm("cto")) == 1


async def fresh(slack: SlackApi) -> People:
    """Everybody, read anew."""
    people = People(slack)
    await people.warm()
    return people


async def test_one_member_who_cannot_be_reached_spoils_it_for_nobody(night: Night, slack: SlackApi) -> None:
    """A deactivated account in the group: the others are paged, and their pages are known, so that their buttons work."""
    gone = night.sandbox.workspace.add_user("former", "Former", deleted=True)
    call_the_group(night.sandbox, gone.id, "U0LEAD")
    night.know(await fresh(slack))
    page = recorded(await night.send(await night.begin()))
    assert (page.user_ids, page.failure) == (("U0LEAD",), "")
    assert len(night.sandbox.workspace.dm("engineering-lead")) == 1


async def test_when_nobody_can_be_reached_it_is_a_failure(night: Night, slack: SlackApi) -> None:
    """Slack's reason becomes the reason; the next level is due at once."""
    gone = night.sandbox.workspace.add_user("former", "Former", deleted=True)
    call_the_group(night.sandbox, gone.id)
    night.know(await fresh(slack))
    failed = recorded(await night.send(await night.begin()))
    assert "deactivated" in failed.failure
    assert failed.exhausted
    incident = (await night.desk.handle(night.incident_id, failed, by="muster")).incident
    following = waiting_levels(incident)[0]
    assert (following.alarm.level, following.due_at) == (2, incident.opened.at + timedelta(seconds=TRIAGE_SILENCE_S))


async def test_a_contact_that_is_nobody_says_what_to_write(night: Night, slack: SlackApi) -> None:
    """Into which file."""
    night.sandbox.state.users["U0ONCALL"].name = night.sandbox.state.users["U0ONCALL"].real_name = "somebody"
    night.know(await fresh(slack))
    failed = recorded(await night.send(await night.begin()))
    assert "contacts.yml" in failed.failure
    assert not failed.passing


# -- a group that is larger than what Slack takes at once ------------------------------------------------------------

GROUP = Contact(id="all-hands", name="All hands", slack="@all-hands")


class Crowd:
    """A group of sixty, and a way to it that keeps Slack's limits; its waits let the time pass."""

    def __init__(self, *, slack: SlackApi, people: People, desk: Desk, store: RedisStore, clock: MovingClock) -> None:
        self.slack, self.people, self.desk, self.store, self.clock = slack, people, desk, store, clock
        slack.limits = Limits(store)
        self.waited_s = 0.0
        self.way = self.another(self._sleep)
        self.since = clock.now() - timedelta(seconds=5)

    def another(self, sleep: Callable[[float], Awaitable[None]]) -> SlackWay:
        """As another process has it."""
        return SlackWay(slack=self.slack, people=self.people, desk=self.desk, sleep=sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waited_s += seconds
        await self.clock.advance(seconds)

    def summons(self, *, look_first: bool = False, contact: Contact = GROUP) -> Summons:
        """One page to all of them."""
        return Summons(
            key=f"inc-1/g1/notice-SEV1/{contact.id}",
            contact=contact,
            kind="notice",
            number=1,
            severity="SEV1",
            title="clerk down",
            why="for your information",
            drill=False,
            opened_at=self.clock.now(),
            room_url=None,
            answer_url=None,
            look_first=look_first,
            since=self.since,
        )


@pytest.fixture
async def crowd(store: RedisStore, clock: MovingClock, catalog: Catalog, sandbox: Sandbox, slack: SlackApi) -> Crowd:
    """See ``Crowd``."""
    users = [sandbox.workspace.add_user(f"person{number}", "Person", channels=()).id for number in range(60)]
    sandbox.state.groups["S0ALLHANDS"] = UserGroup("S0ALLHANDS", "all-hands", "All hands", users)
    people = await fresh(slack)
    await people.resolve("@all-hands")
    desk = Desk(store=store, clock=clock, catalog=catalog)
    return Crowd(slack=slack, people=people, desk=desk, store=store, clock=clock)


def times_told(sandbox: Sandbox) -> list[int]:
    """How often each of the sixty was."""
    return [len(sandbox.workspace.dm(f"person{number}")) for number in range(60)]


async def test_a_group_of_sixty_is_told_in_one_attempt(crowd: Crowd, sandbox: Sandbox) -> None:
    """Slack opens fifty conversations a minute: the rest is waited for, and a page to somebody else meanwhile is not."""
    during: list[int] = []
    lead = Contact(id="lead", name="Lead", slack="U0LEAD")

    async def sleep(seconds: float) -> None:
        if not during:
            during.append(len((await crowd.another(crowd._sleep).send(crowd.summons(contact=lead))).messages))
        await crowd._sleep(seconds)

    accepted = await crowd.another(sleep).send(crowd.summons())
    assert len(accepted.messages) == len(set(accepted.user_ids)) == 60
    assert times_told(sandbox) == [1] * 60
    assert during == [1]


async def test_a_repeated_page_to_a_group_goes_on_where_it_was(crowd: Crowd, sandbox: Sandbox) -> None:
    """An answer was lost in the middle: who was told is neither looked for nor redrawn, and nobody is told twice."""
    sandbox.faults.add("conversations.open", "accept_then_drop", match={"users": sandbox.workspace.user("person30").id})
    with pytest.raises(UnknownOutcome):
        await crowd.way.send(crowd.summons())
    told = sum(times_told(sandbox))
    sandbox.calls.clear()
    accepted = await crowd.way.send(crowd.summons(look_first=True))
    looked = sum(call.method == "conversations.history" for call in sandbox.calls)
    assert told == 30
    assert looked <= 30
    assert len(accepted.messages) == 60 - times_told(sandbox).count(0)
    assert max(times_told(sandbox)) == 1


async def test_of_a_group_that_slack_does_not_take_whole_those_are_told_who_can_be(crowd: Crowd, sandbox: Sandbox) -> None:
    """It wants more patience than a page has: who was told is recorded, and nothing starts over."""
    sandbox.faults.add("conversations.open", "429", retry_after_s=300, match={"users": sandbox.workspace.user("person10").id})
    accepted = await crowd.way.send(crowd.summons())
    assert len(accepted.messages) == 10
    assert sum(times_told(sandbox)) == 10
    assert crowd.waited_s == 0


async def test_where_nobody_was_told_the_limit_is_the_workers_business(crowd: Crowd, sandbox: Sandbox) -> None:
    """It is tried again, or another way is."""
    sandbox.faults.add("conversations.open", "429", retry_after_s=5)
    with pytest.raises(TemporaryError):
        await crowd.way.send(crowd.summons())
    assert sum(times_told(sandbox)) == 0


# -- who is on duty, while Slack is away -----------------------------------------------------------------------------


class Away:
    """A Slack that does not answer."""

    async def call(self, method: str, **arguments: object) -> None:
        """Never."""
        raise TemporaryError("Slack is away")

    async def each(self, method: str, items: str, **arguments: object) -> AsyncIterator[None]:
        """Never."""
        raise TemporaryError("Slack is away")
        yield


def roster(
    night: Night, catalog: Catalog, people: People, *contacts: Contact, rotation: Rotation, on_call: OnCall | None = None
) -> DutyRoster:
    """By files that have these."""
    known = {contact.id: contact for contact in contacts}
    files = replace(catalog, contacts=MappingProxyType(known), rotations=MappingProxyType({rotation.id: rotation}))
    desk = Desk(store=night.store, clock=night.clock, catalog=files)
    return DutyRoster(desk=desk, clock=night.clock, people=people, covers=night.store, on_call=on_call)


async def covered_by(night: Night, catalog: Catalog, people: People, contact: Contact) -> Contact:
    """Whom the roster finds, while the engineering lead covers for the primary."""
    now = night.clock.now()
    hour = timedelta(hours=1)
    cover = Cover(rotation="primary", user_id="U0LEAD", from_at=now - hour, until_at=now + hour, by="U0LEAD")
    await night.store.add_covers([cover])
    rotation = Rotation(id="primary", name="Primary", members=("lead",), starts="2026-01-01")
    return await roster(night, catalog, people, contact, rotation=rotation).find("primary")


@pytest.mark.parametrize("written", ["U0LEAD", "@engineering-lead", "engineering-lead@sandbox.example", "@leads"])
async def test_who_covers_keeps_their_telephone_while_slack_is_away(
    night: Night, catalog: Catalog, slack: SlackApi, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of people long ago is better than a page that only Slack could bring."""
    lead = night.sandbox.state.users["U0LEAD"]
    lead.email = "engineering-lead@sandbox.example"
    night.sandbox.state.groups["S0LEADS"] = UserGroup("S0LEADS", "leads", "Leads", ["U0LEAD"])
    people = await fresh(slack)
    if written == "@leads":
        await people.resolve(written)
    for module in ("FRESH_S", "GROUP_FRESH_S"):
        monkeypatch.setattr(f"bot.slack.people.{module}", 0)
    people._slack = Away()  # type: ignore[assignment]
    contact = Contact(id="lead", name="Lead", slack=written, phone="+15550100")
    assert await covered_by(night, catalog, people, contact) == contact


async def test_who_was_never_read_is_told_in_slack(night: Night, catalog: Catalog) -> None:
    """Nothing else is known of them."""
    people = People(Away())  # type: ignore[arg-type]
    contact = Contact(id="lead", name="Lead", slack="@engineering-lead", phone="+15550100")
    assert (await covered_by(night, catalog, people, contact)).slack == "U0LEAD"


@pytest.mark.parametrize(
    ("name", "email", "ways"),
    [
        ("Ops", "ops@localhost", (Way.PAGERDUTY,)),
        ("Ops", "a b@example.com", (Way.PAGERDUTY,)),
        ("Ops", "x" * 300 + "@example.com", (Way.PAGERDUTY,)),
        ("   ", "ops@example.com", (Way.SLACK, Way.PAGERDUTY, Way.EMAIL)),
    ],
)
async def test_an_odd_person_of_pagerduty_is_woken_all_the_same(
    night: Night, catalog: Catalog, name: str, email: str, ways: tuple[Way, ...]
) -> None:
    """An address that no contact can have is left out."""

    async def on_call(where: PagerDutyOnCall) -> list[tuple[str, str]]:
        return [(name, email)]

    rotation = Rotation(id="primary", name="Primary", pagerduty=PagerDutyOnCall(schedule="PABC123"))
    found = await roster(night, catalog, People(night.slack), rotation=rotation, on_call=on_call).find("primary")
    assert set(found.ways) == set(ways)
