"""Finding the account that is meant, and the sessions that are worth a look."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from bot.actions.clerk_accounts import masked
from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.outcome import Outcome, State
from bot.sandbox.world import World, clerk_data

NOW_MS = 1_760_000_000_000


async def find(context: ActionContext, who: str) -> Outcome:
    """`clerk.find_user`."""
    return await execute(load_actions()["clerk.find_user"], {"who": who}, context)


async def look_at(context: ActionContext, *user_ids: str) -> Outcome:
    """`clerk.suspicious_sessions`."""
    return await execute(load_actions()["clerk.suspicious_sessions"], {"user_ids": user_ids} if user_ids else {}, context)


@pytest.mark.parametrize("who", ["user_2demo", "2demo@sandbox.example", "2DEMO@Sandbox.Example"])
async def test_an_account_is_found(context: ActionContext, who: str) -> None:
    """By id or by address, whatever its case; what comes out is the id, and not the address."""
    outcome = await find(context, who)
    assert (outcome.state, outcome.value, outcome.accounts) == (State.OK, "user_2demo", ("user_2demo",))
    assert outcome.summary == "This is user_2demo, with 7 active sessions."
    assert outcome.details[0].startswith("user_2demo · 2…@s….example · created ")
    assert "sandbox.example" not in outcome.model_dump_json().casefold()


async def test_nobody_has_the_address(context: ActionContext) -> None:
    """That is said as it is, and nobody joins the list; a part of an address finds nobody."""
    for who in ("nobody@sandbox.example", "demo@sandbox.example"):
        outcome = await find(context, who)
        assert (outcome.state, outcome.value, outcome.accounts) == (State.FAILING, "not found", ())
    assert (await find(context, "user_nobody")).state is State.UNKNOWN


async def test_an_address_that_only_looks_alike(world: World, context: ActionContext) -> None:
    """Letter for letter: who has the look-alike is told apart from who has the real one, and neither is hit for the other."""
    twin = "2dеmo@sandbox.example"  # a Cyrillic letter
    outcome = await find(context, twin)
    assert (outcome.state, outcome.accounts) == (State.FAILING, ())
    assert "U+0435 CYRILLIC SMALL LETTER IE" in outcome.details[0]
    assert outcome.details[1].endswith("2…@s….example: user_2demo")
    world.clerk.users["user_2twin"] = clerk_data.user("2twin", NOW_MS, twin)
    found = await find(context, twin)
    assert (found.state, found.accounts) == (State.OK, ("user_2twin",))
    assert any("user_2demo" in line for line in found.details)
    assert (await find(context, "2demo@sandbox.example")).accounts == ("user_2demo",)


async def test_two_accounts_with_one_address(world: World, context: ActionContext) -> None:
    """Nobody guesses which one is meant."""
    world.clerk.users["user_2twin"] = clerk_data.user("2twin", NOW_MS, "2demo@sandbox.example")
    outcome = await find(context, "2demo@sandbox.example")
    assert (outcome.state, outcome.value, outcome.accounts) == (State.UNKNOWN, "2 accounts", ())


@pytest.mark.parametrize("who", ["*@sandbox.example", "a@b,c@d", "<!channel>@a.b", "a b@c.example", "@", "../x@y/z", "a@b?c=d"])
async def test_what_is_no_address_is_never_sent(world: World, context: ActionContext, who: str) -> None:
    """Wildcards, lists and markup are refused before anything is asked."""
    assert "cannot run with these parameters" in (await find(context, who)).summary
    assert world.ledger == []


@pytest.mark.parametrize(
    ("address", "shown"), [("demo@sandbox.example", "d…@s….example"), ("x@localhost", "x…@l…"), ("é@ü.de", "é…@ü….de")]
)
def test_an_address_is_shown_in_part(address: str, shown: str) -> None:
    """Enough to know it again."""
    assert masked(address) == shown


async def test_sessions_from_several_countries_are_worth_a_look(context: ActionContext) -> None:
    """They are found, named, and kept as a table with addresses; who is affected joins the list of the incident."""
    outcome = await look_at(context, "user_2demo", "user_2quiet", "user_2admin")
    assert (outcome.state, outcome.value) == (State.FAILING, "1 from several countries")
    assert outcome.accounts == ("user_2demo",)
    assert outcome.details[0] == "user_2demo is signed in from BR, CA, DE, NL, PT"
    assert outcome.details[1].startswith("user_2demo · 198.51.100.23 · sess_2demo0001 · active · Safari on iPhone · Lisbon, PT")
    rows = list(csv.DictReader(io.StringIO(outcome.report)))
    assert {row["user_id"] for row in rows} == {"user_2demo", "user_2quiet", "user_2admin"}
    assert {row["status"] for row in rows if row["user_id"] == "user_2demo"} == {"active", "ended", "revoked", "expired"}
    assert rows[0]["ip_address"] == "198.51.100.23"
    assert outcome.facts == {"live": 8, "accounts": 3, "odd": 1, "not_seen": 0}


async def test_sessions_from_one_country(context: ActionContext) -> None:
    """Nothing stands out, which proves nothing."""
    outcome = await look_at(context, "user_2admin")
    assert outcome.state is State.OK
    assert "only the user knows" in outcome.summary
    assert outcome.accounts == ()


async def test_the_accounts_of_the_incident(world: World, context: ActionContext) -> None:
    """Without an id it looks at those that the incident lists, each once, and at those of Clerk only."""
    listed = replace(context, run=RunFacts(accounts=("user_2quiet", "other-7", "user_2admin")))
    outcome = await look_at(listed)
    assert (outcome.state, outcome.facts["accounts"]) == (State.OK, 2)
    world.ledger.clear()
    nobody = await look_at(context)
    assert nobody.state is State.UNKNOWN
    assert "this incident lists none" in nobody.summary
    assert world.ledger == []


async def test_more_accounts_than_can_be_looked_at(world: World, context: ActionContext) -> None:
    """What was left out is said, and the whole is not green."""
    for number in range(55):
        made = clerk_data.user(f"3more{number}", NOW_MS)
        world.clerk.users[made["id"]] = made
    listed = replace(context, run=RunFacts(accounts=tuple(f"user_3more{number}" for number in range(55))))
    outcome = await look_at(listed)
    assert outcome.state is State.UNKNOWN
    assert outcome.details[0].startswith("5 more accounts of this incident were not looked at")


async def test_an_account_that_cannot_be_read(context: ActionContext) -> None:
    """The others are looked at all the same; it is said, and not green."""
    outcome = await look_at(context, "user_2admin", "user_gone")
    assert outcome.state is State.UNKNOWN
    assert outcome.details[0].startswith("user_gone was not looked at: Clerk answered 404")
    assert (await look_at(context, "user_gone")).summary.startswith("Clerk answered 404")


async def test_what_a_spreadsheet_would_run(world: World, context: ActionContext) -> None:
    """Cells that begin like a formula do not stay so."""
    session = clerk_data.session("2admin", 1, "active", NOW_MS)
    session["latest_activity"]["city"] = "=HYPERLINK(1)"
    world.clerk.sessions[session["id"]] = session
    rows = list(csv.DictReader(io.StringIO((await look_at(context, "user_2admin")).report)))
    assert rows[0]["city"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("given", [["*"], [""], ["user_a", "../x"], ["user_a"] * 51, "user_a"])
async def test_ids_that_are_none(world: World, context: ActionContext, given: Any) -> None:
    """One bad id, or too many, and nobody is asked."""
    outcome = await execute(load_actions()["clerk.suspicious_sessions"], {"user_ids": given}, context)
    assert "cannot run with these parameters" in outcome.summary
    assert world.ledger == []


@pytest.mark.parametrize(
    ("state", "says"), [("unauthorized", "CLERK_SECRET_KEY"), ("rate_limited", "2 s"), ("error", "500"), ("html", "web page")]
)
async def test_every_trouble_has_a_sentence(world: World, context: ActionContext, state: str, says: str) -> None:
    """What failed and what to do; nothing is green."""
    world.set("clerk_api", state)
    for outcome in (await find(context, "2demo@sandbox.example"), await look_at(context, "user_2demo")):
        assert outcome.state is State.UNKNOWN
        assert says in outcome.summary + outcome.remedy
