"""Signing out many users: nobody by accident, everybody of the scope, what was seen beforehand kept, and an honest count."""

from __future__ import annotations

import asyncio
import csv
import io
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.actions.clerk_bulk import MOST_IDS, SAMPLE
from bot.actions.clerk_sweep import CLOCKS_APART_MS, PATIENCE_S, SMALL_PAGE
from bot.actions.registry import load_actions
from bot.actions.runner import execute, look, preview
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.errors import FencedError, MusterError, TemporaryError, UserError
from bot.domain.outcome import Outcome, State
from bot.providers.http import guarded
from bot.providers.table import Providers
from bot.sandbox.world import World, clerk_data
from bot.sandbox.world.recording import Fault
from bot.services.jobs import MemoryJob
from tests.actions.conftest import config_of

Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]
SPEC_NAME = "clerk.revoke_everywhere"
DAY_MS = 24 * 3600 * 1000


def now_ms() -> int:
    """The stand-in's clock and ours are the same here."""
    return round(time.time() * 1000)


def populate(world: World, users: int, sessions: int = 1) -> list[str]:
    """Nobody but so many users with so many sessions each; their ids, the oldest first."""
    world.clerk.users.clear()
    world.clerk.sessions.clear()
    for number in range(users):
        name = f"2b{number:05d}"
        made = clerk_data.user(name, now_ms())
        world.clerk.users[made["id"]] = {**made, "created_at": made["created_at"] + number}
        for session in range(1, sessions + 1):
            add_session(world, name, session)
    return list(world.clerk.users)


def add_session(world: World, name: str, number: int, *, status: str = "active", created_at: int | None = None) -> str:
    """One more session of ``user_<name>``; its id."""
    made = clerk_data.session(name, number, status, now_ms())
    world.clerk.sessions[made["id"]] = made if created_at is None else {**made, "created_at": created_at}
    return str(made["id"])


def live(world: World) -> list[str]:
    """Everything that is signed in."""
    return [one["id"] for one in world.clerk.sessions.values() if one["status"] in ("active", "pending")]


def live_of(world: World, user_id: str) -> list[str]:
    """Their live sessions."""
    return world.clerk.live_sessions(user_id)


def revocations(world: World) -> list[str]:
    """The sessions that somebody asked Clerk to end, in order."""
    return [row["path"].split("/")[3] for row in world.ledger if row["method"] == "POST"]


def of_run(context: ActionContext, **fields: Any) -> ActionContext:
    """The context of a run that was confirmed now, with a job of its own."""
    facts = RunFacts(incident_id="inc-1", run_id="r1", confirmed_at=datetime.now(UTC), **fields)
    return replace(context, run=facts, job=MemoryJob())


async def revoke(context: ActionContext, **params: Any) -> Outcome:
    """The action under test."""
    return await execute(load_actions()[SPEC_NAME], params, context)


def rows_of(outcome: Outcome) -> list[dict[str, str]]:
    """The report, read."""
    return list(csv.DictReader(io.StringIO(outcome.report)))


# -- whom --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "exactly one"),
        ({"user_ids": [], "query": "", "everyone": False}, "exactly one"),
        ({"user_ids": "", "query": "   "}, "exactly one"),
        ({"user_ids": ["user_2demo"], "everyone": True}, "exactly one"),
        ({"query": "sandbox", "everyone": True}, "exactly one"),
        ({"query": "*"}, "letters or digits"),
        ({"query": "%_%"}, "letters or digits"),
        ({"user_ids": ["*"]}, "user_ids.0"),
        ({"user_ids": ["../../v1/users"]}, "user_ids.0"),
        ({"user_ids": ["user_x?limit=1"]}, "user_ids.0"),
        ({"user_ids": ["user_2demo", "user_%2e"]}, "user_ids.1"),
        ({"user_ids": [f"user_{number}" for number in range(MOST_IDS + 1)]}, "user_ids"),
        ({"everyone": True, "exclude": ["me"]}, "exclude.0"),
        ({"everyone": True, "share_percent": 81}, "share_percent"),
        ({"everyone": True, "share_percent": 0}, "share_percent"),
        ({"everyone": True, "cutoff": 5}, "cutoff"),
    ],
)
async def test_an_empty_or_a_doubtful_scope_is_refused(
    world: World, context: ActionContext, params: dict[str, Any], said: str
) -> None:
    """Nothing said is nobody, never everybody; and Clerk is not even asked."""
    outcome = await revoke(of_run(context), **params)
    assert outcome.state is State.UNKNOWN
    assert said in outcome.summary
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        await preview(load_actions()[SPEC_NAME], params, context)
    assert world.ledger == []


async def test_ids_as_people_write_them(world: World, context: ActionContext) -> None:
    """One per line or with commas, one of them twice."""
    outcome = await revoke(of_run(context), user_ids=" user_2demo,\nuser_2quiet user_2demo ")
    assert (outcome.state, outcome.facts["users_planned"]) == (State.OK, 2)


async def test_the_preview_says_who_and_what(world: World, context: ActionContext) -> None:
    """Counts, who is left alone and why, whom Clerk does not know; and nothing ends."""
    context = of_run(context, protected=frozenset({"user_2admin", "bot_of_ours"}))
    params = {"user_ids": ["user_2demo", "user_2pending", "user_2admin", "user_2gone"], "exclude": ["user_2many"]}
    found = await preview(load_actions()[SPEC_NAME], params, context)
    assert found.summary == ("10 sessions of 2 users (4 users by id) end; tokens already issued stay valid for about a minute.")
    assert found.items[:2] == ("user_2demo · 7 sessions", "user_2pending · 3 sessions")
    assert "Left alone: user_2admin (protected)" in found.items
    assert "Not found at Clerk: user_2gone" in found.items
    assert (found.accounts, found.affects, found.confirm_label) == (("user_2demo", "user_2pending"), 2, "Sign out 2 users")
    assert revocations(world) == []
    assert "sandbox.example" not in found.model_dump_json()


async def test_the_preview_of_everyone(world: World, context: ActionContext) -> None:
    """Everyone but who is left alone is counted, the sessions of a sample only."""
    users = populate(world, 730, sessions=2)
    context = of_run(context, protected=frozenset(users[:3]))
    found = await preview(load_actions()[SPEC_NAME], {"everyone": True, "exclude": [users[3]]}, context)
    assert found.summary.startswith("All sessions of 726 users (everyone) end; ")
    assert found.items[0] == "The first 20 of 726 users have 40 sessions."
    assert (found.affects, found.accounts) == (726, tuple(users[4:]))
    assert {f"Left alone: {user} (protected)" for user in users[:3]} < set(found.items)
    assert f"Left alone: {users[3]} (excluded)" in found.items
    assert found.items[-1] == "Takes about 13 min: 5 calls a second, 50 % of Clerk's limit."
    assert len([row for row in world.ledger if row["path"] == "/v1/sessions"]) == SAMPLE
    assert len(live(world)) == 1460


async def test_the_preview_of_very_many_counts_them(world: World, context: ActionContext) -> None:
    """More than can be listed are asked for by their number, which the cap of the policy judges."""
    populate(world, 2_600)
    found = await preview(load_actions()[SPEC_NAME], {"everyone": True}, of_run(context))
    assert (found.affects, found.accounts) == (2_600, ())


async def test_the_preview_says_how_fast(world: World, world_url: str, context: ActionContext) -> None:
    """By the kind of the secret key and the share that was asked for; each call of the preview takes its turn as well."""
    turns: list[tuple[str, float]] = []

    async def pace(name: str, per_s: float) -> None:
        turns.append((name, per_s))

    for key, share, per_s in (("sk_test_x", 50, 5.0), ("sk_live_x", 50, 50.0), ("sk_live_x", 80, 80.0), ("odd", 50, 5.0)):
        world.clerk.secret_key = key
        config = config_of(world.environment(world_url)).model_copy(update={"clerk_secret_key": SecretStr(key)})
        turns.clear()
        async with Providers(config) as providers:
            found = await preview(
                load_actions()[SPEC_NAME],
                {"user_ids": ["user_2demo"], "share_percent": share},
                replace(context, providers=providers, pace=pace),
            )
        assert found.items[-1] == f"Takes about 1 min: {per_s:g} calls a second, {share} % of Clerk's limit."
        assert turns == [("clerk", per_s)] * 2


async def test_nothing_to_do(world: World, context: ActionContext) -> None:
    """Users without sessions: there is nothing to confirm."""
    found = await preview(load_actions()[SPEC_NAME], {"user_ids": ["user_2quiet"]}, of_run(context))
    assert found.nothing_to_do


async def test_nobody_is_left(world: World, context: ActionContext) -> None:
    """Only unknown or protected users: said before anybody confirms it, and at the run nothing ends and nothing is green."""
    context = of_run(context, protected=frozenset({"user_2demo"}))
    for params in ({"user_ids": ["user_2demo"]}, {"user_ids": ["user_2nobody"]}, {"query": "nobody at all"}):
        with pytest.raises(UserError, match="Nobody would be signed out"):
            await preview(load_actions()[SPEC_NAME], params, context)
    outcome = await revoke(of_run(context), query="nobody at all")
    assert (outcome.state, outcome.value) == (State.FAILING, "nobody found")
    assert revocations(world) == []


# -- the run -----------------------------------------------------------------------------------------------------------


async def test_a_list_of_users(world: World, context: ActionContext, lines: list[str]) -> None:
    """Theirs end, pending ones included; everybody else's stay."""
    others = set(live(world)) - set(world.clerk.live_sessions("user_2demo")) - set(world.clerk.live_sessions("user_2pending"))
    outcome = await revoke(of_run(context), user_ids=["user_2demo", "user_2pending", "user_2quiet", "user_2gone"])
    assert outcome.state is State.OK
    assert outcome.summary == (
        "10 sessions of 3 users revoked, none is left; tokens already issued stay valid for about a minute."
    )
    assert outcome.facts == {
        "users_planned": 4,
        "users_done": 4,
        "users_failed": 0,
        "users_skipped": 0,
        "users_not_reached": 0,
        "revoked": 10,
        "already_gone": 0,
        "failed": 0,
        "still_active": 0,
    }
    assert "Not found at Clerk: user_2gone" in outcome.details
    assert set(live(world)) == others
    assert sorted(revocations(world)) == sorted({*revocations(world)})
    assert set(outcome.accounts) == {"user_2demo", "user_2pending"}
    assert re.fullmatch(r"10 sessions ended; looking once more in (60|5[0-9]) s", lines[-1])


async def test_everyone_but_who_is_left_alone(world: World, context: ActionContext) -> None:
    """The protected and the excluded keep their sessions, and nobody asked Clerk about these."""
    kept = world.clerk.live_sessions("user_2admin") + world.clerk.live_sessions("user_2pending")
    context = of_run(context, protected=frozenset({"user_2admin"}))
    outcome = await revoke(context, everyone=True, exclude=["user_2pending"])
    assert (outcome.state, outcome.facts["users_skipped"]) == (State.OK, 2)
    assert sorted(live(world)) == sorted(kept)
    assert outcome.facts["users_planned"] == 5
    assert {"Left alone: user_2admin (protected)", "Left alone: user_2pending (excluded)"} <= set(outcome.details)
    asked = [row["query"] for row in world.ledger if row["path"] == "/v1/sessions"]
    assert not [query for query in asked if "user_2admin" in query or "user_2pending" in query]
    assert outcome.accounts == ()


async def test_more_than_one_action_may_hit_by_the_time_it_runs(world: World, context: ActionContext) -> None:
    """Three were shown, forty signed up since: nobody is signed out, and the sentence says what to do."""
    populate(world, 40)
    before = sorted(live(world))
    outcome = await revoke(of_run(context, most_accounts=39), everyone=True)
    assert outcome.state is State.FAILING
    assert "40 users are meant by now, and one action may hit 39" in outcome.summary
    assert "most_accounts" in outcome.remedy
    assert (sorted(live(world)), revocations(world)) == (before, [])
    assert (await revoke(of_run(context, most_accounts=40), everyone=True)).state is State.OK


async def test_users_who_are_all_gone_are_no_success(world: World, context: ActionContext) -> None:
    """Deleted, or never there: nobody was signed out, which may not be what was meant."""
    outcome = await revoke(of_run(context), user_ids=["user_2gone", "user_2never"])
    assert (outcome.state, outcome.value) == (State.FAILING, "nobody found")
    assert revocations(world) == []


async def test_a_query(world: World, context: ActionContext) -> None:
    """Whoever it finds, and nobody else."""
    outcome = await revoke(of_run(context), query="2many@sandbox")
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 120)
    assert world.clerk.live_sessions("user_2many") == []
    assert len(world.clerk.live_sessions("user_2demo")) == 7


async def test_more_than_a_page_of_users_and_of_sessions(world: World, context: ActionContext) -> None:
    """The list of users goes on behind its last one, that of sessions begins at the top each time."""
    users = populate(world, 504, sessions=0)
    for number in range(1, 521):
        add_session(world, "2b00007", number, status="pending" if number % 50 == 0 else "active")
    add_session(world, "2b00503", 1)
    outcome = await revoke(of_run(context), everyone=True)
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 521)
    assert live(world) == []
    pages = [row["query"] for row in world.ledger if row["path"] == "/v1/users"]
    assert len(pages) == 2
    assert all("order_by=%2Bcreated_at" in query and "limit=500" in query for query in pages)
    assert f"starting_after={users[499]}" in pages[1]


async def test_pages_that_are_too_large_are_read_in_smaller_ones(world: World, context: ActionContext) -> None:
    """Users may carry much metadata."""
    users = populate(world, 130)
    for user in users:
        world.clerk.users[user]["public_metadata"] = {"ballast": "x" * 40_000}
    outcome = await revoke(of_run(context), everyone=True)
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 130)
    assert f"limit={SMALL_PAGE}" in " ".join(row["query"] for row in world.ledger)
    assert (await preview(load_actions()[SPEC_NAME], {"everyone": True}, of_run(context))).affects == 130


async def test_what_is_known_of_a_session_is_kept_before_it_ends(world: World, context: ActionContext) -> None:
    """Address, city and device stand in the report; a browser's name is no formula there; no address of an e-mail is."""
    session_id = world.clerk.live_sessions("user_2demo")[0]
    world.clerk.sessions[session_id]["latest_activity"]["browser_name"] = '=HYPERLINK("https://evil.example")'
    context = of_run(context)
    seen: list[bool] = []

    def before_sending() -> None:
        notes = context.job._notes  # type: ignore[attr-defined]
        seen.append(all(f"session/{one}" in notes for one in world.clerk.live_sessions("user_2demo")))

    with guarded(before_sending):
        outcome = await revoke(context, user_ids=["user_2demo"])
    assert seen == [True] * 7, "a session ended before it was written down"
    rows = {row["session_id"]: row for row in rows_of(outcome)}
    assert len(rows) == 7
    row = rows[session_id]
    known = {name: row[name] for name in ("user_id", "status", "ip_address", "city", "country", "device", "end")}
    assert known == {
        "user_id": "user_2demo",
        "status": "active",
        "ip_address": "198.51.100.23",
        "city": "Lisbon",
        "country": "PT",
        "device": "iPhone",
        "end": "revoked",
    }
    assert row["browser"].startswith("'=HYPERLINK")
    assert row["created_at"].endswith("UTC")
    assert "sandbox.example" not in outcome.model_dump_json()


async def test_the_second_look_comes_after_the_life_of_a_token(world: World, context: ActionContext, waits: list[float]) -> None:
    """A minute after the run began, and everybody is looked at once more."""
    began_at = time.time()
    await revoke(of_run(context), user_ids=["user_2demo", "user_2quiet"])
    assert 60 - (time.time() - began_at) - 1 <= sum(waits) <= 60
    reads = [row["query"] for row in world.ledger if row["path"] == "/v1/sessions"]
    assert (sum("user_2demo" in query for query in reads), sum("user_2quiet" in query for query in reads)) == (3, 2)


async def test_who_signs_in_after_the_confirmation_stays(world: World, context: ActionContext) -> None:
    """The cutoff is the confirmation; somewhat more, since Clerk's clock is not ours."""
    context = of_run(context)
    assert context.run.confirmed_at
    cutoff_ms = round(context.run.confirmed_at.timestamp() * 1000)
    new = add_session(world, "2demo", 90, created_at=cutoff_ms + CLOCKS_APART_MS + 1_000)
    just = add_session(world, "2demo", 91, created_at=cutoff_ms + CLOCKS_APART_MS - 1_000)
    outcome = await revoke(context, user_ids=["user_2demo"])
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 8)
    assert world.clerk.live_sessions("user_2demo") == [new]
    assert just in revocations(world)


async def test_what_turns_up_late_is_ended_at_the_second_look(world: World, context: ActionContext) -> None:
    """A session from before the confirmation that the first look did not show."""
    late: list[str] = []

    async def sleep(_seconds: float) -> None:
        if not late:
            late.append(add_session(world, "2quiet", 77, created_at=now_ms() - DAY_MS))

    outcome = await revoke(replace(of_run(context), sleep=sleep), user_ids=["user_2quiet"])
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 1)
    assert revocations(world) == late


async def test_five_hundred_new_sessions_hide_no_old_one(world: World, context: ActionContext) -> None:
    """The newest come first; whoever signs in very often must not push the old ones out of sight."""
    populate(world, 1, sessions=2)
    for number in range(100, 700):
        add_session(world, "2b00000", number, created_at=now_ms() + DAY_MS + number)
    outcome = await revoke(of_run(context), everyone=True)
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 2)
    assert len(live(world)) == 600


async def test_sessions_that_do_not_end(world: World, context: ActionContext) -> None:
    """Three tries at each of both looks, then it is said which user; never green."""
    stuck = world.clerk.live_sessions("user_2demo")[0]
    world.clerk.sticky.add(stuck)
    outcome = await revoke(of_run(context), user_ids=["user_2demo", "user_2pending"])
    assert (outcome.state, outcome.value) == (State.FAILING, "1 still active")
    assert outcome.facts["still_active"] == outcome.facts["failed"] == 1
    assert (outcome.facts["users_done"], outcome.facts["users_failed"]) == (1, 1)
    assert any(line.startswith("Still active: user_2demo") for line in outcome.details)
    assert revocations(world).count(stuck) == 6
    assert {row["end"] for row in rows_of(outcome) if row["session_id"] == stuck} == {"active"}
    world.clerk.sticky.clear()


async def test_sessions_that_end_by_themselves_meanwhile(world: World, context: ActionContext) -> None:
    """Clerk answers 400 or 404: done, and counted as what it is."""
    first, second, *_ = world.clerk.live_sessions("user_2demo")
    gone = {first, second}

    def somebody_signs_out() -> None:
        if gone:
            world.clerk.sessions[first]["status"] = "ended"
            world.clerk.sessions.pop(second)
            gone.clear()

    with guarded(somebody_signs_out):
        outcome = await revoke(of_run(context), user_ids=["user_2demo"])
    assert (outcome.state, outcome.facts["revoked"], outcome.facts["already_gone"]) == (State.OK, 5, 2)
    assert "(2 had ended already)" in outcome.summary


async def test_users_who_are_deleted_meanwhile(world: World, context: ActionContext) -> None:
    """Of a deleted user no session is live; the others are all found."""
    users = populate(world, 40, sessions=2)
    deleted = users[20:25]

    def somebody_deletes() -> None:
        for user in deleted:
            world.clerk.users.pop(user, None)
            for session in [one for one in world.clerk.sessions.values() if one["user_id"] == user]:
                world.clerk.sessions.pop(session["id"])

    with guarded(somebody_deletes):
        outcome = await revoke(of_run(context), everyone=True)
    assert (outcome.state, outcome.facts["users_done"]) == (State.OK, 40)
    assert live(world) == []


async def test_the_user_at_whom_the_list_is_to_go_on_was_deleted(world: World, context: ActionContext) -> None:
    """The list is read from its beginning; nobody is missed, and nobody is done twice."""
    users = populate(world, 70)
    context = of_run(context)
    await context.job.save({"cutoff_ms": now_ms(), "began_at": time.time(), "listed": False, "cursor": "user_2deleted"})
    await context.job.add(users[:50], {})
    outcome = await revoke(context, everyone=True)
    assert (outcome.state, outcome.facts["revoked"], outcome.facts["users_planned"]) == (State.OK, 70, 70)
    assert len(revocations(world)) == 70


# -- Clerk in trouble ----------------------------------------------------------------------------------------------------


async def test_a_429_pauses_everybody(world: World, context: ActionContext, waits: list[float]) -> None:
    """All replicas hear of the wait that Clerk asks for; nothing is lost."""
    pauses: list[tuple[str, float]] = []

    async def pause(name: str, seconds: float) -> None:
        pauses.append((name, seconds))

    world.clerk.limited_calls, world.clerk.retry_after_s = 5, 7
    outcome = await revoke(replace(of_run(context), pause=pause), user_ids=["user_2demo"])
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 7)
    assert pauses == [("clerk", 7.0)] * 5
    assert sum(waits) >= 35


async def test_a_429_without_end(world: World, context: ActionContext) -> None:
    """It is given up after some minutes of waiting, and said; nothing is green."""
    world.set("clerk_api", "rate_limited")
    outcome = await revoke(of_run(context), user_ids=["user_2demo"])
    assert outcome.state is State.UNKNOWN
    assert "limits the rate" in outcome.summary
    assert outcome.remedy
    assert revocations(world) == []


@pytest.mark.parametrize("fault", ["drop", "done_then_drop"])
async def test_errors_of_a_moment(world: World, context: ActionContext, fault: Fault) -> None:
    """Broken connections and lost answers are tried again."""
    world.plant("clerk", fault, times=4)
    outcome = await revoke(of_run(context), user_ids=["user_2pending"])
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 3)
    assert live_of(world, "user_2pending") == []


async def test_a_lost_answer_to_a_revocation(world: World, context: ActionContext) -> None:
    """It was done: the repetition finds it gone."""
    planted = []

    def lose_the_answer() -> None:
        if not planted:
            planted.append(True)
            world.plant("clerk", "done_then_drop", times=1)

    with guarded(lose_the_answer):
        outcome = await revoke(of_run(context), user_ids=["user_2pending"])
    assert outcome.state is State.OK
    assert (outcome.facts["revoked"], outcome.facts["already_gone"]) == (2, 1)
    assert live_of(world, "user_2pending") == []


@pytest.mark.parametrize(("state", "said"), [("error", "500"), ("unauthorized", "CLERK_SECRET_KEY"), ("html", "a web page")])
async def test_clerk_fails_from_the_beginning(world: World, context: ActionContext, state: str, said: str) -> None:
    """A clear sentence with a remedy, and no call that would change anything."""
    world.set("clerk_api", state)
    outcome = await revoke(of_run(context), everyone=True)
    assert outcome.state is State.UNKNOWN
    assert said in f"{outcome.summary} {outcome.remedy}"
    assert revocations(world) == []


@pytest.mark.parametrize("status", [401, 402, 403, 404, 409, 418, 422, 500, 200])
async def test_every_answer_that_is_none(context: ActionContext, serve: Serve, status: int) -> None:
    """Whatever Clerk, or something in its place, says: a sentence that names it, what to do, and nothing that is green. 200 is
    a reply of 100 MB."""
    methods: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        methods.append(request.method)
        if status != 200:
            return web.json_response({"errors": [{"code": "some_code", "message": "sk_live_CANARYCANARYCANARY"}]}, status=status)
        response = web.StreamResponse(headers={"Content-Length": str(100 * 1024 * 1024)})
        await response.prepare(request)
        return response

    config = context.providers.config.model_copy(update={"clerk_api_url": await serve(answer)})
    async with Providers(config) as providers:
        outcome = await revoke(replace(of_run(context), providers=providers), everyone=True)
    assert outcome.state is State.UNKNOWN
    assert (str(status) if status != 200 else "more than") in outcome.summary
    assert outcome.remedy
    assert set(methods) == {"GET"}
    assert "CANARY" not in outcome.model_dump_json()


@pytest.mark.parametrize("state", ["unauthorized", "error"])
async def test_clerk_fails_half_way(world: World, context: ActionContext, state: str) -> None:
    """What was done is counted, the others are named as not reached, and the next run goes on."""
    users = populate(world, 120, sessions=2)
    count = 0

    def fail_after_fifty() -> None:
        nonlocal count
        count += 1
        if count == 50:
            world.set("clerk_api", state)

    with guarded(fail_after_fifty):
        outcome = await revoke(of_run(context), everyone=True)
    assert outcome.state is State.FAILING
    assert "not reached" in outcome.value
    done, failed = outcome.facts["users_done"], outcome.facts["users_failed"]
    assert isinstance(done, int)
    assert isinstance(failed, int)
    assert isinstance(outcome.facts["users_not_reached"], int)
    assert done + failed + outcome.facts["users_not_reached"] == len(users)
    assert outcome.facts["still_active"] is None
    world.set("clerk_api", "ok")
    again = await revoke(of_run(context), everyone=True)
    assert again.state is State.OK
    assert live(world) == []


async def test_the_stop_button(world: World, context: ActionContext) -> None:
    """No call begins after it; what was done is counted; the rest is said; a new run ends it."""
    populate(world, 60, sessions=3)
    stopped_at: list[int] = []

    def is_stopping() -> bool:
        if len(revocations(world)) >= 40 and not stopped_at:
            stopped_at.append(len(world.ledger))
        return bool(stopped_at)

    outcome = await revoke(replace(of_run(context), is_stopping=is_stopping), everyone=True)
    assert (outcome.state, "not reached" in outcome.value) == (State.FAILING, True)
    assert "somebody stopped it" in outcome.summary
    assert len(world.ledger) <= stopped_at[0] + 16, "calls were begun after the stop"
    assert outcome.facts["revoked"] == len(revocations(world)) == 180 - len(live(world))
    assert (await revoke(of_run(context), everyone=True)).state is State.OK
    assert live(world) == []


async def test_the_stop_button_while_it_waits_for_the_second_look(world: World, context: ActionContext) -> None:
    """Not green: nobody looked once more."""
    stopping = False

    async def sleep(_seconds: float) -> None:
        nonlocal stopping
        stopping = True

    context = replace(of_run(context), sleep=sleep, is_stopping=lambda: stopping)
    outcome = await revoke(context, user_ids=["user_2demo"])
    assert (outcome.state, outcome.facts["still_active"]) == (State.FAILING, None)
    assert "somebody stopped it" in outcome.summary
    assert live_of(world, "user_2demo") == []


async def test_the_lease_is_lost(world: World, context: ActionContext) -> None:
    """The error comes out as it is, so that the worker knows it, and the call was not made."""
    count = 0

    def fence() -> None:
        nonlocal count
        count += 1
        if count > 3:
            raise FencedError("another worker has it")

    context = of_run(context)
    with guarded(fence), pytest.raises(FencedError):
        await revoke(context, user_ids=["user_2many"])
    await until(lambda: len(revocations(world)) >= 3)
    await arrived(world)
    assert len(revocations(world)) == 3
    outcome = await revoke(context, user_ids=["user_2many"])
    unwritten = 120 - outcome.facts["revoked"]  # type: ignore[operator] # what was under way as the lease was lost
    assert (outcome.state, outcome.facts["already_gone"]) == (State.OK, unwritten)
    assert unwritten <= 3
    assert sum("an attempt was interrupted" in line for line in outcome.details) == bool(unwritten)


class ShakyJob(MemoryJob):
    """Redis is away for ``times`` writes in a row, once in a while."""

    def __init__(self, every: int, times: int) -> None:
        super().__init__()
        self._faults = self._planned(every, times)

    @staticmethod
    def _planned(every: int, times: int) -> Iterator[bool]:
        while True:
            yield from [False] * every
            yield from [True] * times

    async def end(self, ends: Any) -> None:
        """See ``Job``."""
        if next(self._faults):
            raise TemporaryError("Redis cannot be reached; check REDIS_URL and that the server runs")
        await super().end(ends)


async def test_redis_is_away_for_a_moment(world: World, context: ActionContext) -> None:
    """A run of an hour does not end for it."""
    outcome = await revoke(replace(of_run(context), job=ShakyJob(every=5, times=3)), user_ids=["user_2demo"])
    assert (outcome.state, outcome.facts["revoked"]) == (State.OK, 7)


async def test_redis_stays_away(world: World, context: ActionContext, waits: list[float]) -> None:
    """After some minutes it is said that nobody knows; nothing is green."""
    outcome = await revoke(replace(of_run(context), job=ShakyJob(every=2, times=10_000)), user_ids=["user_2demo"])
    assert outcome.state is State.UNKNOWN
    assert "Redis" in outcome.summary
    assert sum(waits) >= PATIENCE_S


async def test_progress_that_nobody_can_see_stops_nothing(world: World, context: ActionContext) -> None:
    """Slack may be away."""

    async def progress(_line: str) -> None:
        raise MusterError("Slack is away")

    outcome = await revoke(replace(of_run(context), progress=progress), user_ids=["user_2demo"])
    assert outcome.state is State.OK


# -- interrupted ---------------------------------------------------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    """Until what is on its way is there."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


async def arrived(world: World) -> None:
    """Whatever left before the run ended has come to Clerk, and is done: for a while nothing has come any more."""
    seen = -1
    while seen != len(world.ledger):
        seen = len(world.ledger)
        await asyncio.sleep(0.1)


async def interrupted(world: World, context: ActionContext, calls: int, run: Callable[[], Awaitable[Outcome]]) -> Outcome | None:
    """The run, ended without a word after so many further calls; None when it was."""
    until = len(world.ledger) + calls
    task = asyncio.ensure_future(run())
    while not task.done():
        await asyncio.sleep(0)
        if len(world.ledger) >= until:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return None if task.cancelled() else task.result()
    return task.result()


async def test_interrupted_again_and_again(world: World, context: ActionContext) -> None:
    """At random places, in each part of the run: the next attempt goes on, and in the end the account is complete."""
    for seed in range(4):
        chance = random.Random(seed)  # noqa: S311
        populate(world, 20, sessions=4)
        world.ledger.clear()
        run = replace(of_run(context), job=MemoryJob())
        attempts, outcome = 0, None
        while outcome is None:
            attempts += 1
            outcome = await interrupted(world, run, chance.randint(1, 60), lambda: revoke(run, everyone=True))  # noqa: B023
        assert attempts > 1
        assert (outcome.state, outcome.facts["users_done"], outcome.facts["still_active"]) == (State.OK, 20, 0)
        revoked, gone = outcome.facts["revoked"], outcome.facts["already_gone"]
        assert isinstance(revoked, int)
        assert isinstance(gone, int)
        assert revoked + gone == 80
        assert live(world) == []
        assert len(rows_of(outcome)) == 80
        assert len(revocations(world)) <= 80 + 16 * attempts


async def test_the_cutoff_of_the_first_attempt_counts(world: World, context: ActionContext) -> None:
    """Without a confirmation (in the terminal) too: who signed in between the attempts stays."""
    run = replace(context, job=MemoryJob())
    await interrupted(world, run, 2, lambda: revoke(run, user_ids=["user_2demo"]))
    new = add_session(world, "2demo", 95, created_at=now_ms() + CLOCKS_APART_MS + 1)
    await asyncio.sleep(0.01)
    assert (await revoke(run, user_ids=["user_2demo"])).state is State.OK
    assert live_of(world, "user_2demo") == [new]


# -- looking once more ---------------------------------------------------------------------------------------------------


async def test_a_look_ends_nothing(world: World, context: ActionContext) -> None:
    """It says what is live of the users that the run knows."""
    spec = load_actions()[SPEC_NAME]
    context = of_run(context)
    assert (await look(spec, {"user_ids": ["user_2demo"]}, context)).state is State.UNKNOWN
    await interrupted(world, context, 4, lambda: revoke(context, user_ids=["user_2demo", "user_2pending"]))
    await arrived(world)
    world.ledger.clear()
    left = len(live_of(world, "user_2demo") + live_of(world, "user_2pending"))
    seen = await look(spec, {"user_ids": ["user_2demo", "user_2pending"]}, context)
    assert (seen.state, seen.facts["still_active"]) == (State.FAILING, left)
    assert revocations(world) == []
    await revoke(context, user_ids=["user_2demo", "user_2pending"])
    assert (await look(spec, {"user_ids": ["user_2demo", "user_2pending"]}, context)).state is State.OK
    world.set("clerk_api", "unauthorized")
    assert (await look(spec, {"user_ids": ["user_2demo", "user_2pending"]}, context)).state is State.UNKNOWN
