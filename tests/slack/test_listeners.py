"""Listeners without a running bot: who may answer a question, and how long Slack is waited for while it waits itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, web

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, Declaration, ReachDue, RecordPage, RecordRoom
from bot.domain.errors import ForbiddenError, MusterError, TemporaryError
from bot.domain.facts import Origin
from bot.domain.incident import Incident
from bot.domain.severity import Severity
from bot.domain.tasks import TaskRequest
from bot.services.desk import Desk
from bot.slack.blocks import ids
from bot.slack.client import SlackApi, make_client
from bot.slack.limits import Limits
from bot.slack.listeners.clicks import Click, click
from bot.slack.listeners.escalating import require_holder
from bot.slack.listeners.tools import Answers, Tools
from bot.slack.patience import LOOK_UPS_S, one_request
from bot.slack.people import People
from bot.slack.permissions import Permissions
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock
from tests.domain.story import A_RUNBOOK, Story, answered, made
from tests.slack.conftest import Answering

CHECKED = {Severity.SEV2: {"check_in_after_s": 600, "check_in_wait_s": 300}}
SLOW_REDIS_S = 0.3


# -- still on it? --------------------------------------------------------------------------------------------------


def to_the_holder(task: TaskRequest, incident: Incident) -> RecordPage:
    """Every question reaches whoever has it."""
    holder = incident.acknowledged.by if incident.acknowledged else ""
    return answered(task, via="slack", reference=task.id, user_ids=(holder,) if "check-in" in task.id else ())


def test_only_the_present_holder_or_who_is_asked_now_says_that_they_are_on_it(catalog: Catalog) -> None:
    """Whoever had it before was asked once, and cannot answer for who has it now."""
    story = Story(made(catalog, severities=CHECKED))
    story.open(A_RUNBOOK)
    story.tick(until_s=1)
    story.do(Acknowledge(via="slack"), by="U0OLD")
    story.tick(until_s=700, answer=to_the_holder)
    require_holder(story.incident, "U0OLD")
    story.tick(until_s=1000, answer=to_the_holder)
    assert story.incident.acknowledged is None
    story.do(Acknowledge(via="slack"), by="U0NEW")
    story.tick(until_s=1700, answer=to_the_holder)
    assert [page.user_ids for page in story.incident.pages if page.kind == "check_in"] == [("U0OLD",), ("U0NEW",)]
    require_holder(story.incident, "U0NEW")
    with pytest.raises(ForbiddenError, match="<@U0NEW> has it"):
        require_holder(story.incident, "U0OLD")


def test_whoever_a_contact_s_question_reached_may_answer_it(catalog: Catalog) -> None:
    """Who acknowledged by phone is known as a contact; the question finds them in Slack."""

    def to_somebody(task: TaskRequest, incident: Incident) -> RecordPage:
        return answered(task, via="slack", reference=task.id, user_ids=("U0THEM",) if "check-in" in task.id else ())

    story = Story(made(catalog, severities=CHECKED))
    story.open(A_RUNBOOK)
    story.tick(until_s=1)
    story.do(Acknowledge(via="phone"), by="contact:first")
    with pytest.raises(ForbiddenError):
        require_holder(story.incident, "U0THEM")
    story.tick(until_s=700, answer=to_somebody)
    require_holder(story.incident, "U0THEM")


# -- while Slack waits ---------------------------------------------------------------------------------------------


class Lateness:
    """How much later than asked the loop wakes somebody up, in all: the machine's doing, and no part of anybody's budget."""

    TICK_S = 0.1
    """Longer than the loop is late as a rule: what is waited for is woken up a few times, and so is this."""

    def __init__(self) -> None:
        self.late_s = 0.0
        self._began = time.monotonic()

    async def __aenter__(self) -> Lateness:
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ticking.cancel()
        self._look()
        await asyncio.gather(self._ticking, return_exceptions=True)

    def _look(self) -> None:
        self.late_s += max(0.0, time.monotonic() - self._began - self.TICK_S)
        self._began = time.monotonic()

    async def _tick(self) -> None:
        while True:
            self._began = time.monotonic()
            await asyncio.sleep(self.TICK_S)
            self._look()


class Rig:
    """An incident with its room and one page, behind a Redis that takes its time; Slack never answers."""

    def __init__(self, tools: Tools, server: Answering) -> None:
        self.tools = tools
        self.server = server
        self.incident_id = ""

    async def open(self, clock: MovingClock) -> None:
        """On-call was paged in D1."""
        desk = self.tools.desk
        declaration = Declaration(title="Clerk", runbook_ids=("clerk-auth-outage",), origin=Origin(how="terminal"))
        self.incident_id = (await desk.declare(declaration, by="U1", delivery=None)).incident.id
        page = {"key": "level-1", "contact_id": "on-call", "attempt": 1, "via": "slack", "due_at": clock.now()}
        for command in (
            RecordRoom(channel_id="C0ROOM", name="room"),
            ReachDue(due_at=clock.now()),
            RecordPage(**page, user_ids=("U0ONCALL",), messages=(("D1", "1.1"),)),  # type: ignore[arg-type]
        ):
            await desk.handle(self.incident_id, command, by="muster")

    async def press(self, user_id: str, channel_id: str) -> tuple[float, MusterError | None]:
        """Acknowledge: (seconds that were waited for somebody, what was raised)."""
        pressed = Click(
            action_id=ids.ACKNOWLEDGE, value=self.incident_id, user_id=user_id, channel_id=channel_id, message_ts="1.1",
            trigger_id="t", response_url="", delivery=f"click:{user_id}",
        )  # fmt: skip
        raised: MusterError | None = None
        began = time.monotonic()
        async with Lateness() as lateness:
            try:
                await click(self.tools, pressed)
            except MusterError as error:
                raised = error
        return time.monotonic() - began - lateness.late_s, raised

    def asked(self) -> list[str]:
        """The methods of Slack that were called."""
        return [path.removeprefix("/api/") for path, _, _ in self.server.asked]


@pytest.fixture
async def rig(
    store: RedisStore, clock: MovingClock, catalog: Catalog, server: Answering, session: ClientSession
) -> AsyncIterator[Rig]:
    """See ``Rig``."""
    over = asyncio.Event()

    async def never(request: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.json_response({"ok": True})

    server.answer = never
    slack = SlackApi(make_client(session, token="xoxb-1", base_url=server.url))
    slack.limits = Limits(store)
    nothing: Any = SimpleNamespace()
    desk, people, answers = Desk(store=store, clock=clock, catalog=catalog), People(slack), Answers(session, api_url=server.url)
    tools = Tools(
        desk=desk, clock=clock, slack=slack, people=people,
        permissions=Permissions(desk=desk, slack=slack, people=people, team_id="T1", soon=answers.soon),
        answers=answers, actions={}, duty=nothing, covers=store, incidents_channel_id="C0INC",
        team_id="T1", app_id="", bot_user_id="U0BOT", bot_id="B1",
    )  # fmt: skip
    made_rig = Rig(tools, server)
    await made_rig.open(clock)
    ask = store._ask

    async def slow(request: Any, **options: Any) -> Any:
        began = time.monotonic()
        answer = await ask(request, **options)
        await asyncio.sleep(SLOW_REDIS_S - (time.monotonic() - began))  # with what the real one takes on this machine
        return answer

    store._ask = slow  # type: ignore[method-assign]
    yield made_rig
    over.set()


async def test_all_look_ups_of_one_click_share_their_time(rig: Rig) -> None:
    """Somebody in the room whom Muster does not know yet: Slack is answered well within 3 s, and nothing was done."""
    took_s, error = await rig.press("U0OTHER", "C0ROOM")
    assert isinstance(error, TemporaryError)
    assert took_s < LOOK_UPS_S + 2 * SLOW_REDIS_S
    assert rig.asked() == ["users.info", "users.list"]  # nothing is left for who is in the room
    assert (await rig.tools.desk.get(rig.incident_id)).acknowledged is None


async def test_whoever_was_paged_is_not_looked_up_where_the_page_is(rig: Rig) -> None:
    """The channel is known: who is behind the contacts is not asked."""
    took_s, error = await rig.press("U0ONCALL", "D1")
    assert error is None
    assert rig.asked() == ["users.info"]
    assert took_s < LOOK_UPS_S + SLOW_REDIS_S
    assert (await rig.tools.desk.get(rig.incident_id)).acknowledged is not None


async def test_a_page_that_is_not_recorded_yet_is_answered_in_time(rig: Rig) -> None:
    """The look-ups of where it came from and of who it is are one request's."""
    took_s, error = await rig.press("U0ONCALL", "D2")
    assert isinstance(error, ForbiddenError)  # Slack does not say that the contact is theirs
    assert took_s < LOOK_UPS_S + 3 * SLOW_REDIS_S


async def test_what_is_said_after_a_request_has_its_own_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request's is over by then. Its own is long here: the machine may be slow."""
    monkeypatch.setattr("bot.slack.patience.WHILE_SLACK_WAITS_S", 10)
    found: list[bool] = []

    async def later() -> None:
        await asyncio.sleep(0)
        found.append(await rig.tools.find_person("U0KNOWN") is not None)

    async def knows(request: web.Request) -> web.StreamResponse:
        return web.json_response({"ok": True, "user": {"id": "U0KNOWN", "name": "known"}})

    rig.server.answer = knows
    with one_request():
        await asyncio.sleep(LOOK_UPS_S)
        rig.tools.answers.soon(later(), name="later")
    await rig.tools.answers.close(grace_s=20)
    assert found == [True]
