"""Listing and ending sessions: exact previews, honest counts, no endless loops, safe to run again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bot.actions import clerk_sessions
from bot.actions.registry import load_actions
from bot.actions.runner import execute, preview
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.errors import MusterError, TemporaryError, UserError
from bot.domain.outcome import Outcome, State
from bot.sandbox.world import World, clerk_data
from bot.services.jobs import MemoryJob

NOW_MS = 1_760_000_000_000


async def revoke(context: ActionContext, user_id: str = "user_2demo") -> Outcome:
    """The action under test."""
    return await execute(load_actions()["clerk.revoke_sessions"], {"user_id": user_id}, context)


def revocations(world: World) -> list[str]:
    """The sessions that somebody asked Clerk to end, in order."""
    return [row["path"].split("/")[3] for row in world.ledger if row["method"] == "POST"]


async def test_listing(context: ActionContext) -> None:
    """Each session has id, status, device, place and time; nobody's address or name."""
    outcome = await execute(load_actions()["clerk.list_sessions"], {"user_id": "user_2pending"}, context)
    assert (outcome.state, outcome.value) == (State.OK, "3 sessions (2 active, 1 pending)")
    assert len(outcome.details) == 3
    assert outcome.details[0].startswith("sess_2pending0001 · pending · Safari on iPhone · Lisbon, PT · last active 20")
    assert "sandbox.example" not in outcome.model_dump_json()


async def test_listing_a_user_without_sessions(context: ActionContext) -> None:
    """No session is a reading like any other."""
    outcome = await execute(load_actions()["clerk.list_sessions"], {"user_id": "user_2quiet"}, context)
    assert (outcome.state, outcome.value) == (State.OK, "0 active sessions")


async def test_the_preview_names_every_session(world: World, context: ActionContext) -> None:
    """A preview lists exactly what would end, warns of issued tokens, and ends nothing."""
    found = await preview(load_actions()["clerk.revoke_sessions"], {"user_id": "user_2demo"}, context)
    assert found.summary == ("7 active sessions of user_2demo end; tokens already issued stay valid for about a minute.")
    assert [item.split(" · ")[0] for item in found.items] == [f"sess_2demo000{n}" for n in range(1, 8)]
    assert found.confirm_label == "End 7 sessions"
    assert not found.nothing_to_do
    assert revocations(world) == []


async def test_the_preview_of_one_session(world: World, context: ActionContext) -> None:
    """One session ends, in the singular."""
    world.clerk.sessions["sess_2quiet0009"] = clerk_data.session("2quiet", 9, "active", NOW_MS)
    found = await preview(load_actions()["clerk.revoke_sessions"], {"user_id": "user_2quiet"}, context)
    assert found.summary.startswith("1 active session of user_2quiet ends; ")
    assert found.confirm_label == "End 1 session"


async def test_the_preview_of_nothing(context: ActionContext) -> None:
    """A user without sessions: nothing to do."""
    found = await preview(load_actions()["clerk.revoke_sessions"], {"user_id": "user_2quiet"}, context)
    assert found.nothing_to_do


async def test_a_mistyped_user_is_not_a_user_without_sessions(context: ActionContext) -> None:
    """Preview, listing and run all say that Clerk has no such user."""
    actions = load_actions()
    with pytest.raises(MusterError, match="404"):
        await preview(actions["clerk.revoke_sessions"], {"user_id": "user_nobody"}, context)
    for name in ("clerk.list_sessions", "clerk.revoke_sessions"):
        outcome = await execute(actions[name], {"user_id": "user_nobody"}, context)
        assert outcome.state is State.UNKNOWN
        assert "404" in outcome.summary


async def test_all_sessions_end(world: World, context: ActionContext, lines: list[str]) -> None:
    """Every session is revoked once, the last read proves it, and others keep theirs."""
    outcome = await revoke(context)
    assert outcome.state is State.OK
    assert outcome.facts == {"revoked": 7, "already_gone": 0, "failed": 0, "still_active": 0}
    assert outcome.summary == (
        "7 sessions of user_2demo ended, none is left; tokens already issued stay valid for about a minute."
    )
    assert outcome.value == "7 revoked"
    assert sorted(revocations(world)) == [f"sess_2demo000{n}" for n in range(1, 8)]
    assert world.ledger[-1]["method"] == "GET"
    assert world.clerk.live_sessions("user_2demo") == []
    assert len(world.clerk.live_sessions("user_2many")) == 120
    assert lines[-1] == "7 of 7 sessions ended"
    assert len([line for line in outcome.details if line.startswith("Ended: sess_2demo")]) == 7
    assert "sandbox.example" not in outcome.model_dump_json()


async def test_pending_sessions_end_too(world: World, context: ActionContext) -> None:
    """A session with an unfinished task is a way in as well."""
    outcome = await revoke(context, "user_2pending")
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 3)
    assert world.clerk.live_sessions("user_2pending") == []


async def test_nothing_is_left_of_many(world: World, context: ActionContext) -> None:
    """120 sessions end completely: the list is always read from its top, and 500 at a time."""
    outcome = await revoke(context, "user_2many")
    assert outcome.facts == {"revoked": 120, "already_gone": 0, "failed": 0, "still_active": 0}
    assert len(revocations(world)) == 120
    lists = [row["query"] for row in world.ledger if row["path"] == "/v1/sessions"]
    assert all("limit=500" in query and "offset=0" in query for query in lists)


async def test_running_again_changes_nothing(world: World, context: ActionContext) -> None:
    """The action is naturally idempotent."""
    await revoke(context)
    world.ledger.clear()
    outcome = await revoke(context)
    assert (outcome.state, outcome.summary) == (State.OK, "user_2demo had no active sessions.")
    assert revocations(world) == []


async def test_sessions_that_end_meanwhile_are_done(world: World, context: ActionContext) -> None:
    """A session that somebody else ended between the list and the call counts as gone, not as failed."""

    def end_elsewhere() -> None:
        if [row["path"] for row in world.ledger].count("/v1/sessions") == 2:
            world.clerk.sessions["sess_2demo0001"]["status"] = "ended"
            del world.clerk.sessions["sess_2demo0002"]
            world.on_change = None

    world.on_change = end_elsewhere
    outcome = await revoke(context)
    assert outcome.state is State.OK
    assert outcome.facts == {"revoked": 5, "already_gone": 2, "failed": 0, "still_active": 0}
    assert "(2 had ended already)" in outcome.summary


async def test_sessions_that_begin_meanwhile_end_too(world: World, context: ActionContext) -> None:
    """Somebody who signs in again during the run is signed out again."""

    def sign_in() -> None:
        if len(revocations(world)) == 3:
            world.clerk.sessions["sess_2demo0099"] = clerk_data.session("2demo", 99, "active", NOW_MS)
            world.on_change = None

    world.on_change = sign_in
    outcome = await revoke(context)
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 8)


async def test_a_session_that_will_not_end_ends_the_run(world: World, context: ActionContext) -> None:
    """Three attempts for a session that stays in the list, then the truth: still active."""
    world.clerk.sticky = {"sess_2demo0003"}
    outcome = await revoke(context)
    assert outcome.state is State.FAILING
    assert outcome.facts == {"revoked": 6, "already_gone": 0, "failed": 1, "still_active": 1}
    assert outcome.value == "1 still active"
    assert outcome.details[0].startswith("Still active: sess_2demo0003")
    assert revocations(world).count("sess_2demo0003") == 3


async def test_a_rate_limit_is_waited_out(world: World, context: ActionContext, waits: list[float]) -> None:
    """429 is followed by the wait that Clerk asks for, and no session is lost."""
    world.clerk.limited_calls = 4
    world.clerk.retry_after_s = 3
    outcome = await revoke(context)
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 7)
    assert waits.count(3.0) == 4


async def test_a_rate_limit_in_the_middle(world: World, context: ActionContext, waits: list[float]) -> None:
    """A limit that begins while sessions end delays the rest of them."""

    def limit() -> None:
        if len(revocations(world)) == 10:
            world.clerk.limited_calls = 12
            world.on_change = None

    world.on_change = limit
    outcome = await revoke(context, "user_2many")
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 120)
    assert waits.count(2.0) == 12


async def test_a_rate_limit_without_end(world: World, context: ActionContext, waits: list[float]) -> None:
    """After a bounded number of waits the run gives up and says so."""
    world.set("clerk_api", "rate_limited")
    outcome = await revoke(context)
    assert outcome.state is State.UNKNOWN
    assert "limits the rate" in outcome.summary
    assert len(waits) == clerk_sessions.MAX_WAITS_IN_A_ROW


async def test_a_wait_that_is_too_long(world: World, context: ActionContext, waits: list[float]) -> None:
    """Nobody is kept waiting for an hour: it is said when to come back."""
    world.clerk.retry_after_s = 3600
    world.set("clerk_api", "rate_limited")
    outcome = await revoke(context)
    assert outcome.state is State.UNKNOWN
    assert "3600 s" in outcome.remedy
    assert waits == []


@pytest.mark.parametrize("fault", ["done_then_drop", "drop"])
async def test_answers_that_are_lost(world: World, context: ActionContext, fault: Any) -> None:
    """Whether an unanswered call was done is read from the list, and what was not done is done again."""

    def lose() -> None:
        if len(revocations(world)) == 2:
            world.plant("clerk", fault, times=1)
            world.on_change = None

    world.on_change = lose
    outcome = await revoke(context)
    assert outcome.state is State.OK
    assert outcome.facts["revoked"] == 7
    assert world.clerk.live_sessions("user_2demo") == []


async def test_a_read_that_fails_is_tried_again(world: World, context: ActionContext, waits: list[float]) -> None:
    """One failing read does not end the run."""

    def fail_once() -> None:
        reads = [row for row in world.ledger if row["path"] == "/v1/sessions"]
        if len(reads) == 2:
            world.clerk.api.turn("error")
        if reads and reads[-1]["status"] == 500:
            world.clerk.api.turn("ok")
            world.on_change = None

    world.on_change = fail_once
    outcome = await revoke(context)
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 7)
    assert waits


@pytest.mark.parametrize(("state", "says"), [("error", "500"), ("html", "a web page"), ("unauthorized", "CLERK_SECRET_KEY")])
async def test_clerk_breaks_in_the_middle(world: World, context: ActionContext, state: str, says: str) -> None:
    """What was done counts, what is left is unknown, and nothing of it reads as success."""

    def break_down() -> None:
        if len(revocations(world)) == 3:
            world.clerk.api.turn(state)
            world.on_change = None

    world.on_change = break_down
    outcome = await revoke(context)
    assert outcome.state is State.UNKNOWN
    assert outcome.facts["still_active"] is None
    assert 3 <= int(outcome.facts["revoked"] or 0) < 7
    assert says in outcome.summary + outcome.remedy
    assert "run it again" in outcome.remedy
    world.clerk.api.turn("ok")
    assert (await revoke(context)).state is State.OK
    assert world.clerk.live_sessions("user_2demo") == []


async def test_a_refused_key_stops_the_calls(world: World, context: ActionContext) -> None:
    """After a 401 not every remaining session is tried with the same key."""

    def refuse() -> None:
        if len(revocations(world)) == 5:
            world.clerk.api.turn("unauthorized")
            world.on_change = None

    world.on_change = refuse
    await revoke(context, "user_2many")
    assert len(revocations(world)) <= 5 + 2 * clerk_sessions.CONCURRENCY


async def test_at_most_five_calls_at_once(world: World, context: ActionContext) -> None:
    """The run leaves most of Clerk's rate limit to the application."""
    world.latency_s = 0.005
    await revoke(context, "user_2many")
    posts = [row for row in world.ledger if row["method"] == "POST"]
    most = max(sum(1 for other in posts if other["started_at"] <= row["started_at"] < other["ended_at"]) for row in posts)
    assert 1 < most <= clerk_sessions.CONCURRENCY


async def test_a_run_that_is_cancelled_can_be_run_again(world: World, context: ActionContext) -> None:
    """Cancelled in the middle: the calls stop, and the next run ends the rest."""
    world.latency_s = 0.005
    halfway = asyncio.Event()
    world.on_change = lambda: halfway.set() if len(revocations(world)) >= 20 else None
    task = asyncio.create_task(revoke(context, "user_2many"))
    await halfway.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left = len(world.clerk.live_sessions("user_2many"))
    assert 0 < left <= 100
    outcome = await revoke(context, "user_2many")
    assert outcome.state is State.OK
    assert world.clerk.live_sessions("user_2many") == []


async def test_progress_that_nobody_takes_stops_nothing(world: World, context: ActionContext) -> None:
    """Slack being down is no reason to leave sessions alive."""

    async def broken(_line: str) -> None:
        raise TemporaryError("Slack is down")

    outcome = await revoke(ActionContext(providers=context.providers, progress=broken, sleep=context.sleep))
    assert outcome.state is State.OK


async def test_a_history_too_long_to_read_is_not_success(world: World, context: ActionContext) -> None:
    """When pending sessions may hide behind a list that could not be read to its end, that is said."""
    old = [clerk_data.session("2demo", number, "ended", NOW_MS) for number in range(1_000, 11_500)]
    world.clerk.sessions |= {session["id"]: session for session in old}
    outcome = await revoke(context)
    assert (outcome.state, outcome.facts["still_active"]) == (State.UNKNOWN, None)
    assert outcome.facts["revoked"] == 7


async def test_what_is_known_is_kept_before_it_ends(context: ActionContext) -> None:
    """Addresses, places and devices of all sessions come as a table; an interrupted attempt leaves its own to the next."""
    job = MemoryJob()
    outcome = await revoke(replace(context, job=job))
    rows = outcome.report.splitlines()
    assert len(rows) == 8
    assert rows[1].startswith("user_2demo,sess_2demo0001,active,")
    assert "198.51.100.23" in rows[1]
    assert outcome.accounts == ("user_2demo",)
    assert (await revoke(replace(context, job=job))).report == outcome.report
    assert (await revoke(replace(context, job=MemoryJob()))).report == ""


async def test_a_protected_account_keeps_its_sessions(world: World, context: ActionContext) -> None:
    """policy.yml protects by id or by address: neither preview nor run."""
    for name in ("user_2demo", "2demo@sandbox.example"):
        guarded = replace(context, run=RunFacts(protected=frozenset({name})))
        with pytest.raises(UserError, match="protected_accounts"):
            await preview(load_actions()["clerk.revoke_sessions"], {"user_id": "user_2demo"}, guarded)
        outcome = await revoke(guarded)
        assert (outcome.state, outcome.value) == (State.FAILING, "not done")
    assert revocations(world) == []
