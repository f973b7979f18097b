"""Paging in Slack: one message to each person behind a contact, once, and an honest word about who was not reached."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, ChangeStatus, Declaration, ReachDue, RecordPage, RecordRoom
from bot.domain.escalation import Way
from bot.domain.facts import Origin, Status
from bot.domain.incident import Incident
from bot.domain.tasks import TaskKind
from bot.domain.timers import TRIAGE_SILENCE_S, waiting_levels
from bot.sandbox.models import UserGroup
from bot.sandbox.server import Sandbox
from bot.services.desk import Desk
from bot.services.paging import PagePerformer
from bot.services.ports import Task
from bot.services.worker import Performed
from bot.slack.client import SlackApi
from bot.slack.duty import DutyRoster
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
        """The page's task."""
        claimed = await self.store.claim(most=50, lease_ms=60_000)
        return next(task for task in claimed.tasks if task.kind is TaskKind.PAGE)

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
