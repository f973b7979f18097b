"""`vercel.deployments`, `vercel.rollback`, `vercel.promote`, `vercel.redeploy`: what is shown is what is done, and it is seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.errors import MusterError
from bot.domain.outcome import State
from bot.sandbox.world.vercel import LIVE_ID, PREVIOUS_ID, VALUE_CANARY, RefusalError
from tests.actions.vercel_ground import Ground, vercel_ground

OLDEST_ID = "dpl_sandbox1"
PREVIEW_ID = "dpl_sandbox2"
BROKEN_ID = "dpl_sandbox5"


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    """A world with the deployments of some days."""
    async with vercel_ground() as made:
        yield made


async def test_what_changed_before_it_broke(ground: Ground) -> None:
    """Newest first, with commit and author, which one serves, which one failed; and the variables that were changed."""
    changed = ground.world.vercel.variables[0]
    changed["updatedAt"] = ground.world.vercel.deployments[-1]["created"]
    outcome = await ground.run("vercel.deployments")
    assert outcome.state is State.OK
    assert outcome.value == "3 in 48 h"
    first, second, third, variable = outcome.details
    assert first.startswith(BROKEN_ID)
    assert "failed to build" in first
    assert second.startswith(LIVE_ID)
    assert "7a6b5c4 “Protect every route in the middleware” · by sam-dev · serves production" in second
    assert third.startswith(PREVIOUS_ID)
    assert variable.startswith("Variable CLERK_SECRET_KEY (production) was changed 20")
    assert PREVIEW_ID not in outcome.model_dump_json()
    assert VALUE_CANARY not in outcome.model_dump_json()
    assert outcome.facts["serving"] == LIVE_ID


async def test_a_commit_message_is_foreign_text(ground: Ground) -> None:
    """One line of it, without secrets and without what nobody sees."""
    ground.world.vercel.deployments[3]["meta"]["githubCommitMessage"] = "Use sk_live_abcdefghijklmnop\u202e now\nmore"
    told = (await ground.run("vercel.deployments")).model_dump_json()
    assert "sk_live_abc" not in told
    assert "\u202e" not in told
    assert "more" not in told


async def test_nothing_lately(ground: Ground) -> None:
    """Then the one that serves is shown, however old."""
    outcome = await ground.run("vercel.deployments", hours=1)
    assert outcome.value == "2 in 1 h"
    for found in ground.world.vercel.deployments:
        found["created"] -= 10 * 86_400_000
        found["createdAt"] -= 10 * 86_400_000
    outcome = await ground.run("vercel.deployments", hours=1)
    assert outcome.value == "0 in 1 h"
    assert outcome.details[0].startswith(LIVE_ID)


async def test_variables_that_cannot_be_read_are_said(ground: Ground) -> None:
    """Hidden is not unchanged."""
    ground.world.set("vercel_env", "hidden")
    outcome = await ground.run("vercel.deployments")
    assert outcome.state is State.UNKNOWN
    assert "hidden from this token" in outcome.details[-1]
    assert not any("No variable" in line for line in outcome.details)
    assert "at least" in outcome.summary


async def test_rollback_shows_both_and_goes_there(ground: Ground) -> None:
    """Without an id: the one before. The undo leads back to where it was."""
    shown = await ground.shows("vercel.rollback")
    assert LIVE_ID in shown.summary
    assert PREVIOUS_ID in shown.summary
    assert shown.state == f"{LIVE_ID}>{PREVIOUS_ID}"
    assert ground.changes() == []
    outcome = await ground.run("vercel.rollback")
    assert outcome.state is State.OK
    assert outcome.facts["undo_deployment_id"] == LIVE_ID
    assert ground.world.vercel.live_id == PREVIOUS_ID
    assert not ground.world.vercel.auto_assign
    assert ground.changes() == [f"POST /v1/projects/prj_sandbox/rollback/{PREVIOUS_ID}"]
    ground.next_run()
    back = await ground.run("vercel.promote", deployment_id=LIVE_ID)
    assert back.state is State.OK
    assert ground.world.vercel.live_id == LIVE_ID
    assert ground.world.vercel.auto_assign


async def test_what_was_shown_binds(ground: Ground) -> None:
    """Another deployment serves by now: the preview has another state, which is what stops the run."""
    before = (await ground.shows("vercel.rollback", deployment_id=OLDEST_ID)).state
    ground.world.vercel.live_id = PREVIOUS_ID
    assert (await ground.shows("vercel.rollback", deployment_id=OLDEST_ID)).state != before


async def test_nothing_to_do(ground: Ground) -> None:
    """It serves already: no call, and no wrong way back."""
    assert (await ground.shows("vercel.promote", deployment_id=LIVE_ID)).nothing_to_do
    outcome = await ground.run("vercel.promote", deployment_id=LIVE_ID)
    assert outcome.state is State.OK
    assert "undo_deployment_id" not in outcome.facts
    assert ground.changes() == []


@pytest.mark.parametrize("deployment", [PREVIEW_ID, BROKEN_ID])
async def test_what_cannot_serve_is_refused_in_the_preview(ground: Ground, deployment: str) -> None:
    """A preview build and one that failed."""
    for action in ("vercel.rollback", "vercel.promote"):
        with pytest.raises(MusterError, match="not a production deployment that is ready"):
            await ground.shows(action, deployment_id=deployment)


@pytest.mark.parametrize("given", ["../../v1/user", "dpl_x?teamId=a", "%2e%2e", "", "*", "web", "dpl_", "dpl_a\n"])
async def test_an_id_that_is_none_asks_nothing(ground: Ground, given: str) -> None:
    """Refused by its pattern, before any call."""
    for action in ("vercel.rollback", "vercel.promote"):
        assert (await ground.run(action, deployment_id=given)).state is State.UNKNOWN
    assert ground.world.ledger == []


async def test_an_answer_that_is_lost_is_looked_for(ground: Ground) -> None:
    """It was done, and is not done twice."""
    plant_at_change(ground, "done_then_drop")
    outcome = await ground.run("vercel.rollback")
    assert outcome.state is State.OK
    assert ground.world.vercel.live_id == PREVIOUS_ID
    assert len(ground.changes()) == 1


async def test_a_call_that_never_arrived_is_said_not_to_be_done(ground: Ground) -> None:
    """The connection broke before anything was done: a look says so."""
    plant_at_change(ground, "drop")
    outcome = await ground.run("vercel.rollback")
    assert outcome.state is State.FAILING
    assert "does not serve production" in outcome.summary
    assert ground.world.vercel.live_id == LIVE_ID


def plant_at_change(ground: Ground, fault: Any) -> None:
    """The first call that changes something meets ``fault``: it is the one after the reads of a rollback."""

    def count() -> None:
        seen = [row for row in ground.world.ledger if row["provider"] == "vercel"]
        if len(seen) == READS_BEFORE_A_ROLLBACK:
            ground.world.plant("vercel", fault, times=1)

    ground.world.on_change = count


READS_BEFORE_A_ROLLBACK = 4
"""The project, what serves, the list, what serves once more."""


async def test_a_look_after_a_crash(ground: Ground) -> None:
    """Nothing asked: not done. Asked and done: done, with the way back. The choice of the first attempt stays."""
    assert (await ground.looks("vercel.rollback")).state is State.FAILING
    await ground.run("vercel.rollback")
    seen = await ground.looks("vercel.rollback")
    assert seen.state is State.OK
    assert seen.facts["undo_deployment_id"] == LIVE_ID
    assert (await ground.run("vercel.rollback")).state is State.OK
    assert len(ground.changes()) == 1


async def test_behind_a_rolling_release(ground: Ground) -> None:
    """202: it is in a queue, and nobody knows when."""
    ground.world.vercel.is_rolling = True
    outcome = await ground.run("vercel.promote", deployment_id=PREVIOUS_ID)
    assert outcome.state is State.UNKNOWN
    assert "rolling release" in outcome.summary


async def test_a_change_that_vercel_gives_up(ground: Ground) -> None:
    """The job failed: it is said, and it is not green."""
    ground.world.on_change = lambda: _fail_the_job(ground)
    outcome = await ground.run("vercel.promote", deployment_id=PREVIOUS_ID)
    assert outcome.state is State.FAILING
    assert "was failed" in outcome.summary


def _fail_the_job(ground: Ground) -> None:
    request = ground.world.vercel.last_alias_request
    if request:
        request["jobStatus"] = "failed"


@pytest.mark.parametrize(
    ("status", "code", "says", "remedy"),
    [
        (401, "not_authenticated", "does not accept the secret", "VERCEL_TOKEN"),
        (402, "payment_required", "answered 402", "Hobby"),
        (403, "forbidden", "does not accept the secret", "VERCEL_TEAM_ID"),
        (404, "not_found", "answered 404", "VERCEL_PROJECT"),
        (409, "conflict", "answered 409", "something else changes this project"),
        (422, "unprocessable_entity", "answered 422", "choose another one"),
        (429, "rate_limited", "limits the rate", "try again"),
        (500, "internal_server_error", "answered 500", "status page"),
        (502, "bad_gateway", "answered 502", "look before repeating"),
    ],
)
@pytest.mark.parametrize("action", ["vercel.rollback", "vercel.promote"])
async def test_every_refusal_has_its_sentence(
    ground: Ground, action: str, status: int, code: str, says: str, remedy: str
) -> None:
    """And production is where it was."""
    ground.world.vercel.refusals = [RefusalError(status, code)]
    outcome = await ground.run(action, deployment_id=PREVIOUS_ID)
    assert outcome.state is not State.OK
    told = " ".join((outcome.summary, *outcome.details))
    assert says in told
    assert remedy.casefold() in f"{outcome.remedy} {told}".casefold() or status == 502
    assert ground.world.vercel.live_id == LIVE_ID


async def test_redeploy_is_seen_to_serve(ground: Ground) -> None:
    """The same commit, a new deployment, progress, and what serves is the new one."""
    shown = await ground.shows("vercel.redeploy")
    assert shown.state == LIVE_ID
    outcome = await ground.run("vercel.redeploy")
    assert outcome.state is State.OK
    (made,) = ground.world.vercel.made()
    assert (outcome.facts["deployment"], outcome.facts["undo_deployment_id"]) == (made["id"], LIVE_ID)
    assert made["meta"]["githubCommitSha"] == "7a6b5c4d3e2f"
    assert made["meta"]["muster"] == "inc-42/r1/redeploy"
    assert any(line.startswith("Building") for line in ground.lines)


async def test_a_second_attempt_finds_the_first_ones_deployment(ground: Ground) -> None:
    """No second build, however often the run is begun."""
    await ground.run("vercel.redeploy")
    assert (await ground.looks("vercel.redeploy")).state is State.OK
    assert (await ground.run("vercel.redeploy")).state is State.OK
    assert len(ground.world.vercel.made()) == 1
    ground.next_run()
    assert (await ground.looks("vercel.redeploy")).state is State.FAILING


@pytest.mark.parametrize(("fault", "builds"), [("done_then_drop", 1), ("drop", 1)])
async def test_a_redeploy_whose_answer_is_lost(ground: Ground, fault: Any, builds: int) -> None:
    """It is looked for by its mark; only when it is not there it is asked for once more."""

    def plant() -> None:
        if ground.world.ledger[-1]["path"] == "/v7/deployments" and not ground.changes():
            ground.world.plant("vercel", fault, times=1)

    ground.world.on_change = plant
    outcome = await ground.run("vercel.redeploy")
    assert outcome.state is State.OK
    assert len(ground.world.vercel.made()) == builds


async def test_a_build_that_fails(ground: Ground) -> None:
    """What served before still does, and it is said."""
    ground.world.set("vercel_builds", "fail")
    outcome = await ground.run("vercel.redeploy")
    assert outcome.state is State.FAILING
    assert "BUILD_FAILED" in outcome.summary
    assert ground.world.vercel.live_id == LIVE_ID


async def test_a_build_that_takes_too_long(ground: Ground) -> None:
    """Nobody knows yet."""
    ground.world.vercel.build_s = 3_600
    outcome = await ground.run("vercel.redeploy")
    assert outcome.state is State.UNKNOWN
    assert "12 min" in outcome.summary


async def test_while_production_is_pinned_the_new_one_is_promoted(ground: Ground) -> None:
    """After a rollback nothing serves by itself."""
    await ground.run("vercel.rollback")
    ground.next_run()
    assert "pinned" in " ".join((await ground.shows("vercel.redeploy")).items)
    outcome = await ground.run("vercel.redeploy")
    assert outcome.state is State.OK
    (made,) = ground.world.vercel.made()
    assert ground.world.vercel.live_id == made["id"]


async def test_trouble_while_it_waits_passes(ground: Ground) -> None:
    """429 and 500 while it polls are asked again."""
    turns = iter(["rate_limited", "error", "ok"])

    def turn() -> None:
        if ground.lines:
            ground.world.vercel.api.turn(next(turns, "ok"))

    ground.world.on_change = turn
    assert (await ground.run("vercel.redeploy")).state is State.OK


async def test_stopped_by_hand(ground: Ground) -> None:
    """It ends at the next look, and says what is under way."""
    ground.context = replace(ground.context, is_stopping=lambda: True)
    outcome = await ground.run("vercel.redeploy")
    assert outcome.state is State.UNKNOWN
    assert "stopped" in outcome.summary


@pytest.mark.parametrize("state", ["unauthorized", "rate_limited", "error", "html"])
@pytest.mark.parametrize("action", ["vercel.deployments", "vercel.logs", "vercel.rollback", "vercel.redeploy"])
async def test_trouble_from_the_start_is_unknown(ground: Ground, action: str, state: str) -> None:
    """403, 429, 500 and HTML: unknown with a remedy, and nothing was changed."""
    ground.world.set("vercel_api", state)
    outcome = await ground.run(action)
    assert outcome.state is State.UNKNOWN
    assert outcome.remedy
    assert ground.changes() == []
