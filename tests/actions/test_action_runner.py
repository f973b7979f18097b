"""The runner: every way to fail becomes an outcome that a person can act on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import structlog
from pydantic import Field, SecretStr

from bot.actions.registry import load_actions
from bot.actions.runner import execute, parse_params, preview
from bot.actions.spec import ActionContext, ActionParams, ActionSpec, NoParams
from bot.domain.errors import ConflictError, FencedError, MusterError, NotConfiguredError, TemporaryError, UserError
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.providers.config import ProviderConfig
from bot.providers.faults import Refused, Unanswered
from bot.providers.table import Providers

SECRET = "a-token-without-a-telling-shape"


@pytest.fixture
def bare() -> ActionContext:
    """A context of a bot without any provider but a Vercel token."""
    return ActionContext(providers=Providers(ProviderConfig(vercel_token=SecretStr(SECRET))))


class Named(ActionParams):
    """For the actions of these tests."""

    name: str = Field(description="A name.", pattern="^[a-z]+$")


def action(run: Any, *, risk: Risk = Risk.READ, params: type[ActionParams] = NoParams, deadline_s: float = 5.0) -> ActionSpec:
    """An action that does what ``run`` does."""
    return ActionSpec(
        name="test.act",
        title="Act",
        risk=risk,
        params=params,
        run=run,
        preview=run,
        deadline_s=deadline_s,
        idempotency=None if risk is Risk.READ else "natural",
    )


def raising(error: Exception) -> ActionSpec:
    """An action that fails with ``error``."""

    async def run(_params: Any, _context: ActionContext) -> Outcome:
        raise error

    return action(run)


@pytest.mark.parametrize("name", ["clerk.list_sessions", "clerk.revoke_sessions"])
async def test_what_is_not_configured_says_which_variable(bare: ActionContext, name: str) -> None:
    """Without a secret nothing is asked, and the variable is named."""
    outcome = await execute(load_actions()[name], {"user_id": "user_2demo"}, bare)
    assert (outcome.state, outcome.summary) == (State.UNKNOWN, "Not configured, so nothing was asked.")
    assert "CLERK_SECRET_KEY" in outcome.remedy


async def test_a_project_that_nobody_named(bare: ActionContext) -> None:
    """A token without a project names the variable of the project."""
    outcome = await execute(load_actions()["vercel.env"], {"names": ["A"]}, bare)
    assert "VERCEL_PROJECT" in outcome.remedy


async def test_errors_become_unknown_outcomes(bare: ActionContext) -> None:
    """Each branch of the error tree has its outcome; none of them is green or red."""
    cases: list[tuple[Exception, str, str]] = [
        (TemporaryError("Slow today", retry_after_s=3.4), "Slow today.", "Try again."),
        (ConflictError("Changed meanwhile"), "Changed meanwhile.", ""),
        (NotConfiguredError("x", setting="A_VARIABLE"), "Not configured, so nothing was asked.", "A_VARIABLE"),
    ]
    for error, summary, remedy in cases:
        outcome = await execute(raising(error), {}, bare)
        assert (outcome.state, outcome.summary) == (State.UNKNOWN, summary)
        assert remedy in outcome.remedy
    assert (await execute(raising(cases[0][0]), {}, bare)).facts == {"retry_after_s": 3}


async def test_a_fault_of_musters_own(bare: ActionContext) -> None:
    """A crash is an outcome with a remedy, and one log line with the place but without the text."""
    with structlog.testing.capture_logs() as logs:
        outcome = await execute(raising(ZeroDivisionError(f"secret {SECRET}")), {}, bare)
    assert outcome.state is State.UNKNOWN
    assert "ZeroDivisionError" in outcome.summary
    (entry,) = logs
    assert (entry["event"], entry["action"], entry["error"]) == ("action_crashed", "test.act", "ZeroDivisionError")
    assert "in run" in entry["place"]
    assert SECRET not in json.dumps(logs) + outcome.model_dump_json()


@pytest.mark.parametrize(("risk", "says"), [(Risk.READ, "No result within"), (Risk.CHANGE, "may have been done")])
async def test_the_deadline(bare: ActionContext, risk: Risk, says: str) -> None:
    """What hangs ends at its deadline; of a change it is said that it may have happened."""

    async def run(_params: Any, _context: ActionContext) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    outcome = await execute(action(run, risk=risk, deadline_s=0.01), {}, bare)
    assert outcome.state is State.UNKNOWN
    assert says.casefold() in outcome.summary.casefold()


async def test_cancellation_passes(bare: ActionContext) -> None:
    """A run that its owner cancels is cancelled, not turned into an outcome."""
    started = asyncio.Event()

    async def run(_params: Any, _context: ActionContext) -> Outcome:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(execute(action(run), {}, bare))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_bad_parameters_run_nothing_and_are_not_repeated(bare: ActionContext) -> None:
    """All problems are named at once, without the values that were given."""
    ran: list[str] = []

    async def run(_params: Any, _context: ActionContext) -> Outcome:
        ran.append("ran")
        return Outcome(state=State.OK, summary="Done")

    outcome = await execute(action(run, params=Named), {"name": SECRET.upper(), "extra": SECRET}, bare)
    assert outcome.state is State.UNKNOWN
    assert "name: " in outcome.summary
    assert "extra: " in outcome.summary
    assert SECRET not in outcome.model_dump_json().casefold()
    assert ran == []


async def test_outcomes_are_cut_and_redacted(bare: ActionContext) -> None:
    """Whatever an action lets slip, its outcome has limits and no secret."""

    async def run(_params: Any, _context: ActionContext) -> Outcome:
        return Outcome(
            state=State.OK,
            summary="s" * 1000,
            value=f"v {SECRET}",
            details=(f"sk_live_abcdef {SECRET}", *["line"] * 1000),
            facts={"a": f"whsec_abc {SECRET}", "n": 7},
        )

    outcome = await execute(action(run), {}, bare)
    assert len(outcome.summary) == 300
    assert outcome.value == "v [redacted]"
    assert outcome.details[0] == "[redacted] [redacted]"
    assert outcome.details[-1] == "… and 501 more"
    assert outcome.facts == {"a": "[redacted] [redacted]", "n": 7}


async def test_previews_raise(bare: ActionContext) -> None:
    """What cannot be previewed is an error with its remedy, for the one who asked."""
    actions = load_actions()
    with pytest.raises(UserError, match="only reads"):
        await preview(actions["clerk.status"], {}, bare)
    with pytest.raises(UserError, match="user_id"):
        await preview(actions["clerk.revoke_sessions"], {"user_id": "*"}, bare)
    with pytest.raises(MusterError, match="CLERK_SECRET_KEY"):
        await preview(actions["clerk.revoke_sessions"], {"user_id": "user_a"}, bare)


async def test_previews_are_cut_and_redacted(bare: ActionContext) -> None:
    """A preview has the same last net as an outcome."""

    async def show(_params: Any, _context: ActionContext) -> Preview:
        return Preview(summary=f"s {SECRET}", items=(f"i {SECRET}",) * 501, confirm_label="c" * 50)

    found = await preview(action(show), {}, bare)
    assert (found.summary, found.items[0], found.items[-1]) == ("s [redacted]", "i [redacted]", "… and 1 more")
    assert len(found.confirm_label) == 30


@pytest.mark.parametrize(
    "user_id", ["", "*", "user_", "../../v1/user", "user_a;rm -rf", "--all", "user_a\n", "user_а", 7, None, ["user_a"]]
)
def test_user_ids_that_are_none(user_id: Any) -> None:
    """Empty scopes, paths, flags, look-alikes and other types never reach an action."""
    with pytest.raises(UserError):
        parse_params(load_actions()["clerk.revoke_sessions"], {"user_id": user_id})


async def test_calls_beside_each_other_that_come_too_late_are_no_outcome(bare: ActionContext) -> None:
    """What a group of tasks wraps is still somebody else's run: recording a crash would end it for whoever goes on with it."""

    async def run(_params: Any, _context: ActionContext) -> Outcome:
        async def late() -> None:
            raise FencedError("somebody else has it")

        async with asyncio.TaskGroup() as group:
            group.create_task(late())
        raise AssertionError

    with pytest.raises(FencedError):
        await execute(action(run), {}, bare)
    assert (await execute(raising(ExceptionGroup("two", [ValueError()])), {}, bare)).state is State.UNKNOWN


async def test_no_secret_is_in_a_report(bare: ActionContext) -> None:
    """It becomes a file, and is redacted like everything else."""

    async def run(_params: Any, _context: ActionContext) -> Outcome:
        return Outcome(state=State.OK, summary="Done", report=f"one {SECRET}\ntwo sk_live_CANARYCANARY\n")

    outcome = await execute(action(run), {}, bare)
    assert outcome.report == "one [redacted]\ntwo [redacted]\n"


@pytest.mark.parametrize(
    ("errors", "what"),
    [
        ((Refused("Clerk refused", remedy="look", code="http_409"), Unanswered("no answer", remedy="look")), "no answer"),
        ((ValueError("a fault"), Refused("Clerk refused", remedy="look", code="http_409")), "Clerk refused"),
        ((ValueError("a fault"),), "failed in Muster itself (ValueError)"),
    ],
)
async def test_of_what_failed_together_the_gravest_is_said(errors: tuple[Exception, ...], what: str, bare: ActionContext) -> None:
    """Calls beside each other end as a group; people read one sentence."""
    outcome = await execute(raising(ExceptionGroup("together", [ExceptionGroup("inner", list(errors))])), {}, bare)
    assert outcome.state is State.UNKNOWN
    assert what in outcome.summary


async def test_a_lost_lease_among_others_is_no_outcome(bare: ActionContext) -> None:
    """Another worker has it: there is nothing of ours to record."""
    group = ExceptionGroup("together", [Refused("Clerk refused", remedy="look", code="x"), FencedError("too late")])
    with pytest.raises(FencedError):
        await execute(raising(group), {}, bare)
