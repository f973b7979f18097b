"""Locking a user out and letting them in: exact previews, what must not be hit, what was seen, safe to run again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.actions.clerk_accounts import last_admin_of
from bot.actions.registry import load_actions
from bot.actions.runner import execute, look, preview
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.errors import MusterError, UserError
from bot.domain.outcome import Outcome, Preview, State
from bot.providers.clerk import ClerkClient
from bot.sandbox.world import World, clerk_data
from bot.services.jobs import MemoryJob

NOW_MS = 1_760_000_000_000
BAN, UNBAN = "clerk.ban_user", "clerk.unban_user"
RESET, WITHDRAW = "clerk.require_password_reset", "clerk.withdraw_password_reset"
HITTING = (BAN, RESET)


async def run(context: ActionContext, action: str, user_id: str = "user_2demo", **params: Any) -> Outcome:
    """Run one of the actions."""
    return await execute(load_actions()[action], {"user_id": user_id, **params}, context)


async def seen(context: ActionContext, action: str, user_id: str = "user_2demo", **params: Any) -> Preview:
    """What one of the actions would do."""
    return await preview(load_actions()[action], {"user_id": user_id, **params}, context)


def changes(world: World) -> list[str]:
    """What somebody asked Clerk to change, in order."""
    return [row["path"] for row in world.ledger if row["method"] != "GET"]


def when(world: World, condition: Callable[[], bool], act: Callable[[], None]) -> None:
    """``act`` once, as soon as a finished call makes the condition true."""

    def check() -> None:
        if condition():
            world.on_change = None
            act()

    world.on_change = check


# -- ban ---------------------------------------------------------------------------------------------------------------


async def test_the_preview_of_a_ban_names_account_and_sessions(world: World, context: ActionContext) -> None:
    """Whom, what ends, how long tokens live; the address only as far as needed to know it again; nothing changes."""
    found = await seen(context, BAN)
    assert found.summary == (
        "user_2demo is banned: nobody can sign in as this user until the ban is lifted, and 7 sessions end; "
        "tokens already issued stay valid for about a minute."
    )
    assert found.items[0].startswith("user_2demo · 2…@s….example · created 20")
    assert [item.split(" · ")[0] for item in found.items[1:]] == [f"sess_2demo000{n}" for n in range(1, 8)]
    assert (found.accounts, found.affects, found.confirm_label) == (("user_2demo",), 1, "Ban the user")
    assert "2demo@sandbox.example" not in found.model_dump_json()
    assert changes(world) == []


async def test_a_ban_is_seen(world: World, context: ActionContext) -> None:
    """Banned and no session left, said because it was seen; what is known of the sessions is kept."""
    outcome = await run(context, BAN)
    assert (outcome.state, outcome.value) == (State.OK, "banned")
    assert outcome.summary.startswith("user_2demo is banned and has no sessions any more; tokens already issued")
    assert outcome.facts == {"banned": True, "still_active": 0}
    assert outcome.accounts == ("user_2demo",)
    assert changes(world) == ["/v1/users/user_2demo/ban"]
    assert world.ledger[-1]["method"] == "GET"
    assert world.clerk.users["user_2demo"]["banned"]
    assert world.clerk.live_sessions("user_2demo") == []
    assert len(world.clerk.live_sessions("user_2many")) == 120
    rows = outcome.report.splitlines()
    assert len(rows) == 8
    assert rows[1].startswith("user_2demo,sess_2demo0001,active,")
    assert ",198.51.100.23,Lisbon,PT,iPhone,Safari" in rows[1]


async def test_a_ban_again_changes_nothing(context: ActionContext) -> None:
    """The preview says that there is nothing to do; running it again is ok, and an interrupted run keeps its record."""
    first = await run(context, BAN)
    assert (await seen(context, BAN)).nothing_to_do
    again = await run(context, BAN)
    assert again.state is State.OK
    assert again.report == first.report


async def test_what_was_known_before_an_interruption_is_kept(world: World, context: ActionContext) -> None:
    """An attempt that died after its call leaves the record of the sessions to the next."""
    job = MemoryJob()
    when(world, lambda: len(world.ledger) == 4, lambda: world.plant("clerk", "done_then_drop", times=1))
    await run(replace(context, job=job), BAN)
    assert world.clerk.users["user_2demo"]["banned"]
    outcome = await run(replace(context, job=job, run=RunFacts(attempt=2)), BAN)
    assert outcome.state is State.OK
    assert len(outcome.report.splitlines()) == 8


async def test_a_lost_answer_is_settled_by_a_look(world: World, context: ActionContext, waits: list[float]) -> None:
    """Whether an unanswered ban was done is seen, once done and once not; it is not repeated blindly."""
    when(world, lambda: len(world.ledger) == 4, lambda: world.plant("clerk", "done_then_drop", times=1))
    done = await run(context, BAN)
    assert done.state is State.OK
    assert "The answer was lost" in done.details[0]
    assert changes(world) == ["/v1/users/user_2demo/ban"]
    world.ledger.clear()
    when(world, lambda: len(world.ledger) == 4, lambda: world.plant("clerk", "drop", times=1))
    not_done = await run(replace(context, job=MemoryJob()), BAN, "user_2many")
    assert (not_done.state, not_done.value) == (State.FAILING, "not banned")
    assert changes(world) == ["/v1/users/user_2many/ban"]
    assert len(world.clerk.live_sessions("user_2many")) == 120


async def test_sessions_that_outlive_a_ban_are_no_success(world: World, context: ActionContext, waits: list[float]) -> None:
    """Clerk says banned and still lists a session: failing, with the session and the way on."""
    world.clerk.sticky = {"sess_2demo0003"}
    outcome = await run(context, BAN)
    assert (outcome.state, outcome.value) == (State.FAILING, "banned, 1 still active")
    assert any(line.startswith("Still active: sess_2demo0003") for line in outcome.details)
    assert "Revoke" in outcome.remedy
    assert waits == [2.0, 2.0]


async def test_a_plan_without_bans(world: World, context: ActionContext) -> None:
    """402 says that the user is still signed in, and what to do instead."""
    world.clerk.instance.lacking = {"ban"}
    outcome = await run(context, BAN)
    assert (outcome.state, outcome.value) == (State.FAILING, "not banned")
    assert "402" in outcome.summary
    assert "still signed in" in outcome.summary
    assert "password reset" in outcome.remedy
    assert len(world.clerk.live_sessions("user_2demo")) == 7
    world.clerk.users["user_2demo"]["banned"] = True
    assert (await run(context, UNBAN)).value == "not lifted"


async def test_the_last_administrator_is_not_banned(world: World, context: ActionContext) -> None:
    """Neither shown nor done, until somebody else is administrator too."""
    with pytest.raises(UserError, match="last administrator of org_2team"):
        await seen(context, BAN, "user_2admin")
    outcome = await run(context, BAN, "user_2admin")
    assert (outcome.state, outcome.value) == (State.FAILING, "not done")
    assert changes(world) == []
    world.clerk.directory.memberships.append(clerk_data.membership("2many", "org:admin", NOW_MS))
    assert (await run(context, BAN, "user_2admin")).state is State.OK


async def test_an_instance_without_organizations(serve: Any) -> None:
    """Where Clerk shows no organizations, nobody claims to have looked."""

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response({"errors": [{"code": "organization_not_enabled_in_instance"}]}, status=403)

    client = ClerkClient(SecretStr("sk_test_a"), api_url=await serve(handle))
    assert await last_admin_of(client, "user_2demo") == ("", False)
    await client.aclose()


@pytest.mark.parametrize("action", HITTING)
@pytest.mark.parametrize("name", ["user_2demo", "USER_2DEMO", "2Demo@Sandbox.example"])
async def test_a_protected_account_is_not_hit(world: World, context: ActionContext, action: str, name: str) -> None:
    """policy.yml protects by id or by address; the preview refuses, and so does a run that was confirmed before."""
    guarded = replace(context, run=RunFacts(protected=frozenset({name})))
    with pytest.raises(UserError, match="protected_accounts"):
        await seen(guarded, action)
    outcome = await run(guarded, action)
    assert (outcome.state, outcome.value) == (State.FAILING, "not done")
    assert changes(world) == []
    assert len(world.clerk.live_sessions("user_2demo")) == 7


async def test_lifting_a_ban(world: World, context: ActionContext) -> None:
    """The undo: seen to be lifted; no session comes back; without a ban there is nothing to do."""
    assert (await seen(context, UNBAN)).nothing_to_do
    await run(context, BAN)
    found = await seen(context, UNBAN)
    assert found.summary == "user_2demo can sign in again; the sessions that the ban ended stay ended."
    outcome = await run(context, UNBAN)
    assert (outcome.state, outcome.facts) == (State.OK, {"banned": False})
    assert not world.clerk.users["user_2demo"]["banned"]
    assert world.clerk.live_sessions("user_2demo") == []
    assert load_actions()[BAN].undo == UNBAN


async def test_looks_change_nothing(world: World, context: ActionContext) -> None:
    """A look says whether the effect is there."""
    actions, params = load_actions(), {"user_id": "user_2demo"}
    assert (await look(actions[BAN], params, context)).state is State.FAILING
    assert (await look(actions[UNBAN], params, context)).state is State.OK
    await run(context, BAN)
    world.ledger.clear()
    assert (await look(actions[BAN], params, context)).state is State.OK
    assert (await look(actions[UNBAN], params, context)).state is State.FAILING
    assert changes(world) == []


# -- a new password ----------------------------------------------------------------------------------------------------


async def test_requiring_a_new_password(world: World, context: ActionContext) -> None:
    """The mark is set, all sessions end, and both are said as far as they were seen."""
    found = await seen(context, RESET)
    assert found.summary.startswith("user_2demo has to choose a new password at the next sign-in, and 7 sessions end;")
    outcome = await run(context, RESET)
    assert (outcome.state, outcome.value) == (State.OK, "reset required")
    assert any("no call that shows whether it stands" in line for line in outcome.details)
    assert world.clerk.directory.compromised == {"user_2demo"}
    assert world.clerk.live_sessions("user_2demo") == []
    assert len(outcome.report.splitlines()) == 8


async def test_requiring_it_without_ending_sessions(world: World, context: ActionContext) -> None:
    """Whoever is signed in stays so, and that is said."""
    found = await seen(context, RESET, end_sessions=False)
    assert "whoever is signed in now stays so" in found.summary
    outcome = await run(context, RESET, end_sessions=False)
    assert (outcome.state, outcome.report) == (State.OK, "")
    assert len(world.clerk.live_sessions("user_2demo")) == 7


async def test_sessions_that_outlive_a_reset(world: World, context: ActionContext, waits: list[float]) -> None:
    """They are counted, and the outcome is not ok."""
    world.clerk.sticky = {"sess_2demo0003"}
    outcome = await run(context, RESET)
    assert (outcome.state, outcome.facts) == (State.FAILING, {"still_active": 1})


async def test_a_user_without_a_password(world: World, context: ActionContext) -> None:
    """There is nothing to reset; what helps is said."""
    world.clerk.users["user_2demo"]["password_enabled"] = False
    with pytest.raises(UserError, match="without a password"):
        await seen(context, RESET)
    assert (await run(context, RESET)).value == "not done"
    assert changes(world) == []


async def test_withdrawing_it(world: World, context: ActionContext) -> None:
    """The undo takes the mark away."""
    await run(context, RESET)
    assert "may keep the password" in (await seen(context, WITHDRAW)).summary
    outcome = await run(context, WITHDRAW)
    assert (outcome.state, outcome.value) == (State.OK, "withdrawn")
    assert world.clerk.directory.compromised == set()
    assert load_actions()[RESET].undo == WITHDRAW


@pytest.mark.parametrize(
    ("action", "says", "state"),
    [(RESET, True, State.OK), (RESET, False, State.FAILING), (WITHDRAW, True, State.FAILING), (WITHDRAW, False, State.OK)],
)
async def test_where_clerk_says_how_it_stands(
    world: World, context: ActionContext, action: str, says: bool, state: State
) -> None:
    """Its word counts."""
    world.clerk.users["user_2demo"]["requires_password_reset"] = says
    outcome = await run(context, action)
    assert outcome.state is state


# -- what is the same for all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [BAN, UNBAN, RESET, WITHDRAW, "clerk.find_user"])
@pytest.mark.parametrize(
    "user_id",
    ["", "*", "user_", "../../v1/user", "user_x?y", "user_%2e%2e", "%2e%2e", "user_a#b", "user_ä", "user_a\n", "--all",
     "sess_2demo0001", "user_a,user_b", "user_" + "a" * 65],
)  # fmt: skip
async def test_an_id_that_is_none_is_never_sent(world: World, context: ActionContext, action: str, user_id: str) -> None:
    """Empty scopes, wildcards, paths and flags are refused before anything is asked."""
    name = "who" if action == "clerk.find_user" else "user_id"
    spec = load_actions()[action]
    outcome = await execute(spec, {name: user_id}, context)
    assert outcome.state is State.UNKNOWN
    assert "cannot run with these parameters" in outcome.summary
    if spec.preview:
        with pytest.raises(UserError):
            await preview(spec, {name: user_id}, context)
    assert world.ledger == []


@pytest.mark.parametrize("action", [BAN, UNBAN, RESET, WITHDRAW])
@pytest.mark.parametrize(
    ("state", "says"),
    [("unauthorized", "CLERK_SECRET_KEY"), ("rate_limited", "2 s"), ("error", "500"), ("html", "web page")],
)
async def test_every_trouble_has_a_sentence(
    world: World, context: ActionContext, action: str, state: str, says: str, waits: list[float]
) -> None:
    """Outcome and preview say what failed and what to do; nothing is green."""
    world.set("clerk_api", state)
    outcome = await run(context, action)
    assert outcome.state is State.UNKNOWN
    assert says in outcome.summary + outcome.remedy
    assert outcome.remedy
    with pytest.raises(MusterError, match=says):
        await seen(context, action)


async def test_an_unknown_user(context: ActionContext) -> None:
    """A mistyped id is an error, not a user who is fine."""
    for action in (BAN, UNBAN, RESET, WITHDRAW):
        outcome = await run(context, action, "user_nobody")
        assert outcome.state is State.UNKNOWN
        assert "404" in outcome.summary
