"""Runs of actions: what is asked of the action, and when nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    CancelRun,
    ConfirmRun,
    DenyRun,
    RecordLook,
    RecordPreview,
    RecordRevert,
    RecordRun,
    RequestRun,
    StopRun,
)
from bot.domain.errors import NotConfiguredError, TemporaryError
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.domain.run import Run
from bot.domain.tasks import TaskKind
from bot.services.desk import Desk
from bot.services.ports import Assignment, Task
from bot.services.running import LookPerformer, PreviewPerformer, RevertPerformer, RunPerformer, run_failed
from bot.services.worker import Performed
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock, at
from tests.domain.story import Story

GOOD = Outcome(state=State.OK, summary="7 sessions ended", value="7 ended")
BAD = Outcome(state=State.FAILING, summary="7 sessions are still active")
NOBODY_KNOWS = Outcome(state=State.UNKNOWN, summary="Clerk cannot be reached")
PREVIEW = Preview(summary="7 active sessions end", items=("sess_1",), confirm_label="End 7 sessions")
REVOKE = RequestRun(
    step_id="revoke",
    action="clerk.revoke_sessions",
    title="End sessions",
    risk=Risk.CHANGE,
    params={"user_id": "user_2demo"},
    undo="clerk.unban_user",
    revert_after_s=600,
)


class Actions:
    """The actions, as far as a performer sees them: every question is noted, every answer is the test's."""

    def __init__(
        self,
        outcome: Outcome = GOOD,
        *,
        preview: Preview | Exception = PREVIEW,
        seen: Outcome = GOOD,
        repeatable: bool = True,
        after_a_look: bool = True,
    ) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.assignments: list[Assignment] = []
        self.stopped = asyncio.Event()
        self.begun = True
        """Whether the attempt before kept anything."""
        self._outcome, self._preview, self._seen = outcome, preview, seen
        self._repeatable, self._after_a_look = repeatable, after_a_look

    async def execute(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Outcome:
        self.asked.append(("execute", action, dict(params)))
        self.assignments.append(assignment)
        return self._outcome

    async def preview(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Preview:
        self.asked.append(("preview", action, dict(params)))
        if isinstance(self._preview, Exception):
            raise self._preview
        return self._preview

    async def look(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Outcome:
        self.asked.append(("look", action, dict(params)))
        return self._seen

    def is_repeatable(self, action: str) -> bool:
        return self._repeatable

    def may_follow_a_look(self, action: str) -> bool:
        return self._after_a_look

    async def has_begun(self, assignment: Assignment) -> bool:
        return self.begun

    def undo_params(self, run: Run) -> dict[str, Any]:
        return dict(run.params)

    @property
    def kinds(self) -> list[str]:
        """What was asked, in order."""
        return [kind for kind, _, _ in self.asked]


class Doors:
    """A gate that the test opens and closes."""

    def __init__(self, refusal: str = "") -> None:
        self.answer = refusal

    async def refusal(self, incident: Incident, run: Run) -> str:
        return self.answer


def task_of(kind: TaskKind, *, attempt: int = 1, **data: Any) -> Task:
    """A task as the worker hands it over."""
    return Task(id="t", kind=kind, incident_id="inc-1", due_at=at(), data=data, token="1", attempt=attempt, asked="1")


@pytest.fixture
def desk(store: RedisStore, clock: MovingClock, catalog: Catalog) -> Desk:
    """A desk without an incident."""
    return Desk(store=store, clock=clock, catalog=catalog)


@pytest.fixture
def revoking(catalog: Catalog) -> Story:
    """A security incident in which somebody asked for the sessions of a user to be ended."""
    story = Story(catalog)
    story.open("clerk-security-incident")
    story.do(REVOKE)
    return story


@pytest.fixture
def confirmed(revoking: Story) -> Story:
    """… and confirmed it."""
    revoking.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    revoking.do(ConfirmRun(run_id="r1"))
    return revoking


class Still:
    """A clock that stands still."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment


async def perform(
    desk: Desk, story: Story, actions: Actions, *, attempt: int = 1, refusal: str = "", clock: Still | None = None
) -> Performed:
    """The run task, once."""
    performer = RunPerformer(actions=actions, desk=desk, gate=Doors(refusal), clock=clock or Still(story.now))
    return await performer(task_of(TaskKind.RUN, run_id="r1", attempt=attempt), story.incident)


# -- previews ------------------------------------------------------------------------------------------------------------


async def test_a_preview_says_what_would_happen(revoking: Story) -> None:
    """Nothing is executed for it."""
    actions = Actions()
    performed = await PreviewPerformer(actions)(task_of(TaskKind.PREVIEW, run_id="r1"), revoking.incident)
    assert actions.asked == [("preview", "clerk.revoke_sessions", {"user_id": "user_2demo"})]
    assert performed.command == RecordPreview(run_id="r1", preview=PREVIEW)


async def test_why_there_is_no_preview_is_recorded(revoking: Story) -> None:
    """The person who asked waits for it; they can ask again."""
    for error in (
        NotConfiguredError("Clerk is not configured; set CLERK_SECRET_KEY", setting="CLERK_SECRET_KEY"),
        TemporaryError("Clerk answered 500"),
    ):
        performed = await PreviewPerformer(Actions(preview=error))(task_of(TaskKind.PREVIEW, run_id="r1"), revoking.incident)
        assert performed.command == RecordPreview(run_id="r1", preview=None, refused=str(error))


async def test_a_preview_is_made_once(revoking: Story) -> None:
    """After a crash between the record and the end of the task, and for a run that was taken back meanwhile."""
    actions = Actions()
    revoking.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    assert await PreviewPerformer(actions)(task_of(TaskKind.PREVIEW, run_id="r1"), revoking.incident) == Performed()
    revoking.do(CancelRun(run_id="r1"))
    assert await PreviewPerformer(actions)(task_of(TaskKind.PREVIEW, run_id="r1"), revoking.incident) == Performed()
    assert actions.asked == []


# -- runs ----------------------------------------------------------------------------------------------------------------


async def test_a_confirmed_run_is_executed_and_recorded(revoking: Story, desk: Desk) -> None:
    """With the parameters that were confirmed."""
    revoking.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    revoking.do(ConfirmRun(run_id="r1"))
    actions = Actions()
    performed = await perform(desk, revoking, actions)
    assert actions.asked == [("execute", "clerk.revoke_sessions", {"user_id": "user_2demo"})]
    assert performed.command == RecordRun(run_id="r1", outcome=GOOD)


async def test_nothing_runs_that_was_not_confirmed(revoking: Story, desk: Desk) -> None:
    """Whatever put the task there: the state decides, at the moment of acting."""
    actions = Actions()
    assert await perform(desk, revoking, actions) == Performed()
    revoking.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    assert await perform(desk, revoking, actions) == Performed()
    revoking.do(CancelRun(run_id="r1"))
    assert await perform(desk, revoking, actions) == Performed()
    assert actions.asked == []


async def test_a_run_whose_outcome_is_recorded_does_not_run_again(revoking: Story, desk: Desk) -> None:
    """A worker that lost its lease has recorded what it did; the one that took over does nothing."""
    revoking.do(RecordPreview(run_id="r1", preview=PREVIEW), by="muster")
    revoking.do(ConfirmRun(run_id="r1"))
    revoking.do(RecordRun(run_id="r1", outcome=GOOD), by="muster")
    actions = Actions()
    assert await perform(desk, revoking, actions) == Performed()
    assert actions.asked == []


def test_a_run_whose_end_nobody_saw_is_unknown(revoking: Story) -> None:
    """It may have happened: neither done nor failed is said."""
    command = run_failed(task_of(TaskKind.RUN, run_id="r1"), revoking.incident, "the process died")
    assert isinstance(command, RecordRun)
    assert command.outcome.state is State.UNKNOWN
    assert "could not be seen: the process died" in command.outcome.summary


async def test_who_may_not_any_more_stops_it_before_it_begins(confirmed: Story, desk: Desk) -> None:
    """Asked at the moment of acting, not of the click; nothing is asked of the provider."""
    actions = Actions()
    performed = await perform(desk, confirmed, actions, refusal="<@U1> is not in @sre any more")
    assert actions.asked == []
    assert performed.command == DenyRun(run_id="r1", reason="<@U1> is not in @sre any more")
    confirmed.do(performed.command, by="muster")
    assert not confirmed.incident.runs["r1"].is_open


async def test_what_was_denied_does_not_run(confirmed: Story, desk: Desk) -> None:
    """No beats yes, also when the yes came first."""
    decision = confirmed.do(DenyRun(run_id="r1"), by="U2")
    assert "inc-1:run:r1" in decision.cancel
    actions = Actions()
    assert await perform(desk, confirmed, actions) == Performed()
    assert actions.asked == []


async def test_nothing_is_begun_when_it_is_already_due_to_be_taken_back(confirmed: Story, desk: Desk) -> None:
    """Nobody performed anything for longer than it was to be on: the run and its revert are due together, in any order."""
    late = Still(confirmed.now + timedelta(seconds=601))
    for attempt in (1, 2):
        actions = Actions()
        performed = await perform(desk, confirmed, actions, attempt=attempt, clock=late)
        assert actions.asked == []
        assert isinstance(performed.command, RecordRun)
        assert performed.command.outcome.state is State.FAILING
    confirmed.do(RecordRevert(run_id="r1", outcome=GOOD), by="muster", settling="inc-1:revert:r1")
    actions = Actions()
    assert isinstance((await perform(desk, confirmed, actions)).command, RecordRun)
    assert actions.asked == []


async def test_parameters_that_were_changed_behind_the_confirmation_do_nothing(confirmed: Story, desk: Desk) -> None:
    """The digest binds what was confirmed; whoever edits the store gets nothing done."""
    run = confirmed.incident.runs["r1"]
    forged = replace(run, params={"user_id": "user_2victim"})
    incident = replace(confirmed.incident, runs={"r1": forged})
    actions = Actions()
    performer = RunPerformer(actions=actions, desk=desk, gate=Doors(), clock=Still(at()))
    performed = await performer(task_of(TaskKind.RUN, run_id="r1"), incident)
    assert actions.asked == []
    assert isinstance(performed.command, RecordRun)
    assert performed.command.outcome.state is State.FAILING
    assert "nothing was done" in performed.command.outcome.summary


# -- what was shown ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "runs"),
    [
        (PREVIEW.model_copy(update={"state": "dpl_1"}), True),
        (PREVIEW.model_copy(update={"state": "dpl_2", "summary": "dpl_2 goes live"}), False),
        (TemporaryError("Vercel answered 500"), False),
    ],
)
async def test_a_run_is_bound_to_the_state_that_was_shown(
    revoking: Story, desk: Desk, now: Preview | Exception, runs: bool
) -> None:
    """Somebody deployed between the preview and the confirmation: what was confirmed is not what would happen."""
    revoking.do(RecordPreview(run_id="r1", preview=PREVIEW.model_copy(update={"state": "dpl_1"})), by="muster")
    revoking.do(ConfirmRun(run_id="r1"))
    actions = Actions(preview=now)
    performed = await perform(desk, revoking, actions)
    assert ("execute" in actions.kinds) is runs
    assert isinstance(performed.command, RecordRun)
    assert (performed.command.outcome.state is State.OK) is runs
    if not runs:
        assert "nothing was done" in performed.command.outcome.summary


# -- after an attempt whose end nobody saw -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "asked", "state"),
    [
        (Actions(repeatable=True), ["execute"], State.OK),
        (Actions(repeatable=False, seen=GOOD), ["look"], State.OK),
        (Actions(repeatable=False, seen=BAD), ["look", "execute"], State.OK),
        (Actions(repeatable=False, seen=NOBODY_KNOWS), ["look"], State.UNKNOWN),
        (Actions(repeatable=False, seen=GOOD, after_a_look=False), ["look"], State.OK),
        (Actions(repeatable=False, seen=BAD, after_a_look=False), ["look"], State.UNKNOWN),
    ],
    ids=["natural", "lookup-there", "lookup-not-there", "lookup-unseen", "none-there", "none-not-there"],
)
async def test_a_second_attempt_repeats_only_what_may_be_repeated(
    confirmed: Story, desk: Desk, actions: Actions, asked: list[str], state: State
) -> None:
    """A2: at most one effect; where nobody can know, that is what is said."""
    performed = await perform(desk, confirmed, actions, attempt=2)
    assert actions.kinds == asked
    assert isinstance(performed.command, RecordRun)
    assert performed.command.outcome.state is state


async def test_a_look_settles_what_nobody_knew(confirmed: Story, desk: Desk) -> None:
    """What was seen takes the place of the outcome, and the step is done."""
    confirmed.do(RecordRun(run_id="r1", outcome=NOBODY_KNOWS), by="muster")
    assert "revoke" not in confirmed.incident.steps
    performed = await LookPerformer(Actions(seen=GOOD))(task_of(TaskKind.LOOK, run_id="r1"), confirmed.incident)
    assert performed.command == RecordLook(run_id="r1", outcome=GOOD)
    confirmed.do(performed.command, by="muster")
    assert confirmed.incident.runs["r1"].outcome == GOOD
    assert "revoke" in confirmed.incident.steps


async def test_a_look_that_sees_nothing_forgets_nothing(confirmed: Story) -> None:
    """The count of what may have been done stays."""
    counted = NOBODY_KNOWS.model_copy(update={"summary": "7 sent, 2 may have been sent"})
    confirmed.do(RecordRun(run_id="r1", outcome=counted), by="muster")
    for _ in range(2):
        confirmed.do(RecordLook(run_id="r1", outcome=NOBODY_KNOWS), by="muster")
    run = confirmed.incident.runs["r1"]
    said = ("Looked at again: Clerk cannot be reached",)
    assert run.outcome == counted.model_copy(update={"details": said})
    assert run.looked_at


# -- stopping ------------------------------------------------------------------------------------------------------------


async def test_a_run_hears_that_it_is_to_stop(desk: Desk, catalog: Catalog) -> None:
    """Within some seconds, whichever replica the button reached."""
    from bot.domain.commands import Declaration
    from bot.domain.facts import Origin

    said = Declaration(title="hacked", runbook_ids=("clerk-security-incident",), origin=Origin(how="terminal"))
    incident = (await desk.declare(said, by="U1", delivery=None)).incident
    for command in (REVOKE, RecordPreview(run_id="r1", preview=PREVIEW), ConfirmRun(run_id="r1")):
        incident = (await desk.handle(incident.id, command, by="U1")).incident

    class Long(Actions):
        async def execute(self, action: str, params: Mapping[str, Any], assignment: Assignment) -> Outcome:
            assert not assignment.is_stopping()
            await desk.handle(incident.id, StopRun(run_id="r1"), by="U2")
            async with asyncio.timeout(30):
                while not assignment.is_stopping():  # noqa: ASYNC110 - it is what an action does between its calls
                    await asyncio.sleep(0.02)
            return BAD

    performer = RunPerformer(actions=Long(), desk=desk, gate=Doors(), clock=Still(at()))
    performed = await performer(task_of(TaskKind.RUN, run_id="r1"), incident)
    assert performed.command == RecordRun(run_id="r1", outcome=BAD)


# -- what takes itself back ----------------------------------------------------------------------------------------------


async def test_taking_back_is_tried_until_it_is_seen(confirmed: Story) -> None:
    """A4: booked with the confirmation; a failure books it again, and only what was seen ends it."""
    assert "inc-1:revert:r1" in confirmed.tasks
    confirmed.do(RecordRun(run_id="r1", outcome=GOOD), by="muster")
    task = task_of(TaskKind.REVERT, run_id="r1")
    for outcome in (NOBODY_KNOWS, BAD):
        performed = await RevertPerformer(Actions(outcome))(task, confirmed.incident)
        assert performed.command == RecordRevert(run_id="r1", outcome=outcome)
        confirmed.do(performed.command, by="muster", after_s=600, settling="inc-1:revert:r1")
        assert "inc-1:revert:r1" in confirmed.tasks
    actions = Actions(GOOD)
    performed = await RevertPerformer(actions)(task, confirmed.incident)
    assert actions.asked == [("execute", "clerk.unban_user", {"user_id": "user_2demo"})]
    confirmed.do(performed.command or RecordRevert(run_id="r1", outcome=BAD), by="muster", settling="inc-1:revert:r1")
    assert "inc-1:revert:r1" not in confirmed.tasks
    assert confirmed.incident.runs["r1"].reverted_at
    assert await RevertPerformer(Actions())(task, confirmed.incident) == Performed()
