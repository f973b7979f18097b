"""Who may sign up and in: how it stands, what is turned on and back, and the blocklist."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.actions.registry import load_actions
from bot.actions.runner import execute, look, preview
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.errors import MusterError, UserError
from bot.domain.outcome import Outcome, State
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.services.jobs import MemoryJob

RESTRICT, RESTORE = "clerk.restrict_sign_up", "clerk.restore_sign_up"
BLOCK, UNBLOCK = "clerk.block_identifier", "clerk.unblock_identifier"
ADDRESS = "attacker@evil.example"


async def run(context: ActionContext, action: str, **params: Any) -> Outcome:
    """Run one of the actions."""
    return await execute(load_actions()[action], params, context)


def changes(world: World) -> list[str]:
    """What somebody asked Clerk to change, in order."""
    return [row["path"] for row in world.ledger if row["method"] != "GET"]


@pytest.fixture
async def blind(context: ActionContext) -> AsyncIterator[ActionContext]:
    """A context without the publishable key: the restrictions cannot be read."""
    config: ProviderConfig = context.providers.config.model_copy(update={"clerk_publishable_key": None})
    async with Providers(config) as providers:
        yield replace(context, providers=providers)


def undo_of(outcome: Outcome) -> dict[str, Any]:
    """What the framework would give to the undo."""
    return {name.removeprefix("undo_"): value for name, value in outcome.facts.items() if name.startswith("undo_")}


# -- the switches ------------------------------------------------------------------------------------------------------


async def test_the_preview_says_how_it_stands_and_what_changes(world: World, context: ActionContext) -> None:
    """Each switch with its state now and then; the confirmation is bound to what was shown; nothing changes."""
    world.clerk.instance.protect["rules_enabled"] = True
    found = await preview(load_actions()[RESTRICT], {}, context)
    assert found.summary.endswith(": the block on disposable e-mail addresses on.")
    assert found.items == (
        "Rules of Clerk Protect: on now → on",
        "Block on disposable e-mail addresses: off now → on",
    )
    assert found.state == "rules_enabled=on block_disposable_email_domains=off"
    world.clerk.instance.restrictions["block_disposable_email_domains"] = True
    assert (await preview(load_actions()[RESTRICT], {}, context)).nothing_to_do
    assert changes(world) == []


async def test_what_is_chosen_is_turned_on_and_back(world: World, context: ActionContext) -> None:
    """Only what is chosen, seen to be on; the undo gets exactly the former values of what was changed."""
    outcome = await run(context, RESTRICT, subaddresses=True)
    assert outcome.state is State.OK
    instance = world.clerk.instance
    assert instance.protect["rules_enabled"]
    assert {name for name, value in instance.restrictions.items() if value} == {
        "block_disposable_email_domains",
        "block_email_subaddresses",
    }
    undo = undo_of(outcome)
    assert undo == {"rules_enabled": False, "block_disposable_email_domains": False, "block_email_subaddresses": False}
    found = await preview(load_actions()[RESTORE], undo, context)
    assert found.confirm_label == "Turn back"
    back = await run(replace(context, job=MemoryJob()), RESTORE, **undo)
    assert back.state is State.OK
    assert not instance.protect["rules_enabled"]
    assert not any(instance.restrictions.values())


async def test_what_was_on_before_stays_on_after_the_undo(world: World, context: ActionContext) -> None:
    """What somebody else had turned on is none of the undo's business."""
    world.clerk.instance.protect["rules_enabled"] = True
    outcome = await run(context, RESTRICT)
    assert undo_of(outcome) == {"block_disposable_email_domains": False}


async def test_an_interrupted_run_remembers_how_it_was(world: World, context: ActionContext) -> None:
    """The second attempt does not take what the first one did for the former state."""
    first = await run(context, RESTRICT)
    again = await run(context, RESTRICT)
    assert undo_of(first) == undo_of(again) == {"rules_enabled": False, "block_disposable_email_domains": False}


async def test_without_the_publishable_key(world: World, blind: ActionContext) -> None:
    """What stood before is not known: that is said, and the undo leaves it as it is."""
    found = await preview(load_actions()[RESTRICT], {}, blind)
    assert "Block on disposable e-mail addresses: not readable now → on" in found.items
    outcome = await run(blind, RESTRICT)
    assert outcome.state is State.OK
    assert undo_of(outcome) == {"rules_enabled": False}
    assert "the undo leaves it as it is: block on disposable e-mail addresses" in outcome.details[-1]
    seen = await look(load_actions()[RESTRICT], {}, blind)
    assert (seen.state, seen.value) == (State.UNKNOWN, "unknown")


async def test_a_plan_without_restrictions(world: World, context: ActionContext) -> None:
    """What was done is kept and can be undone; what was not is said with the reason."""
    world.clerk.instance.lacking = {"restrictions"}
    outcome = await run(context, RESTRICT)
    assert (outcome.state, outcome.value) == (State.FAILING, "1 of 2")
    assert "402" in outcome.summary
    assert undo_of(outcome) == {"rules_enabled": False}
    assert world.clerk.instance.protect["rules_enabled"]
    assert (await look(load_actions()[RESTRICT], {}, context)).state is State.FAILING


async def test_choosing_nothing(world: World, context: ActionContext) -> None:
    """An empty choice does nothing, and neither does an undo that knows nothing."""
    nothing = {"protect_rules": False, "disposable_addresses": False}
    for action, params in ((RESTRICT, nothing), (RESTORE, {})):
        with pytest.raises(UserError):
            await preview(load_actions()[action], params, context)
        assert (await run(context, action, **params)).state is State.UNKNOWN
    assert world.ledger == []


# -- the blocklist -----------------------------------------------------------------------------------------------------


async def test_blocking_an_address(world: World, context: ActionContext) -> None:
    """The preview says who has it and whether the list is on; `ok` needs both."""
    world.clerk.instance.restrictions["blocklist"] = True
    found = await preview(load_actions()[BLOCK], {"identifier": ADDRESS}, context)
    assert found.summary.startswith("a…@e….example is put on Clerk's blocklist")
    assert "No account has it now" in found.items
    assert "The blocklist is switched on" in found.items
    assert changes(world) == []
    outcome = await run(context, BLOCK, identifier=ADDRESS)
    assert (outcome.state, outcome.value) == (State.OK, "blocked")
    assert ADDRESS not in outcome.model_dump_json()
    assert [entry["identifier"] for entry in world.clerk.instance.blocked.values()] == [ADDRESS]


async def test_blocking_it_again(world: World, context: ActionContext) -> None:
    """It is looked for first, without regard to case, so there is never a second entry."""
    world.clerk.instance.restrictions["blocklist"] = True
    await run(context, BLOCK, identifier=ADDRESS)
    again = await run(context, BLOCK, identifier=ADDRESS.upper())
    assert again.state is State.OK
    assert len(changes(world)) == 1
    assert (await preview(load_actions()[BLOCK], {"identifier": ADDRESS}, context)).nothing_to_do


async def test_a_list_that_is_switched_off_blocks_nobody(world: World, context: ActionContext, blind: ActionContext) -> None:
    """On the list is not yet blocked: failing when it is off, unknown when that cannot be read."""
    found = await preview(load_actions()[BLOCK], {"identifier": ADDRESS}, context)
    assert any("switched OFF" in item for item in found.items)
    outcome = await run(context, BLOCK, identifier=ADDRESS)
    assert (outcome.state, outcome.value) == (State.FAILING, "blocklist is off")
    assert (await run(blind, BLOCK, identifier=ADDRESS)).state is State.UNKNOWN


@pytest.mark.parametrize(("fault", "state"), [("done_then_drop", State.OK), ("drop", State.FAILING)])
async def test_a_lost_answer_is_settled_by_a_look(world: World, context: ActionContext, fault: Any, state: State) -> None:
    """Done or not done is seen, and it was asked for once only."""
    world.clerk.instance.restrictions["blocklist"] = True

    def lose() -> None:
        if world.ledger[-1]["path"] == "/v1/blocklist_identifiers":
            world.on_change = None
            world.plant("clerk", fault, times=1)

    world.on_change = lose
    outcome = await run(context, BLOCK, identifier=ADDRESS)
    assert outcome.state is state
    assert len(changes(world)) == 1
    assert len(world.clerk.instance.blocked) == (1 if state is State.OK else 0)


async def test_whom_it_would_shut_out(world: World, context: ActionContext) -> None:
    """An account with the address is named; a protected one is not shut out."""
    world.clerk.instance.restrictions["blocklist"] = True
    found = await preview(load_actions()[BLOCK], {"identifier": "2demo@sandbox.example"}, context)
    assert (found.accounts, found.affects) == (("user_2demo",), 1)
    guarded = replace(context, run=RunFacts(protected=frozenset({"user_2demo"})))
    with pytest.raises(UserError, match="protected_accounts"):
        await preview(load_actions()[BLOCK], {"identifier": "2demo@sandbox.example"}, guarded)
    assert (await run(guarded, BLOCK, identifier="2demo@sandbox.example")).value == "not done"
    assert changes(world) == []


async def test_taking_it_off_the_list(world: World, context: ActionContext) -> None:
    """The undo finds the entry by itself; once more changes nothing."""
    assert (await preview(load_actions()[UNBLOCK], {"identifier": ADDRESS}, context)).nothing_to_do
    await run(context, BLOCK, identifier=ADDRESS)
    assert not (await preview(load_actions()[UNBLOCK], {"identifier": ADDRESS}, context)).nothing_to_do
    for _ in range(2):
        outcome = await run(context, UNBLOCK, identifier=ADDRESS)
        assert (outcome.state, outcome.value) == (State.OK, "not blocked")
    assert world.clerk.instance.blocked == {}
    assert load_actions()[BLOCK].undo == UNBLOCK


@pytest.mark.parametrize(
    "identifier", ["", "*", "*@evil.example", "evil.example", "@evil.example", "a@b@c", "a b@c.example", "a@b.example\n",
                   "../../v1/user", "%2e%2e", "+0123", "--all", "a@b.example,c@d.example", "a@b.example?x"],
)  # fmt: skip
async def test_an_identifier_that_is_none_is_never_sent(world: World, context: ActionContext, identifier: str) -> None:
    """Wildcards, whole domains, paths and lists are refused before anything is asked."""
    for action in (BLOCK, UNBLOCK):
        assert "cannot run with these parameters" in (await run(context, action, identifier=identifier)).summary
    assert world.ledger == []


@pytest.mark.parametrize(
    ("action", "params"),
    [(RESTRICT, {}), (RESTORE, {"rules_enabled": False}), (BLOCK, {"identifier": ADDRESS}), (UNBLOCK, {"identifier": ADDRESS})],
)
@pytest.mark.parametrize(
    ("state", "says"), [("unauthorized", "CLERK_SECRET_KEY"), ("rate_limited", "2 s"), ("error", "500"), ("html", "web page")]
)  # fmt: skip
async def test_every_trouble_has_a_sentence(
    world: World, context: ActionContext, action: str, params: dict[str, Any], state: str, says: str
) -> None:
    """Outcome and preview say what failed and what to do; nothing is green."""
    world.set("clerk_api", state)
    outcome = await run(context, action, **params)
    assert outcome.state is State.UNKNOWN
    assert says in outcome.summary + outcome.remedy
    assert outcome.remedy
    with pytest.raises(MusterError, match=says):
        await preview(load_actions()[action], params, context)


async def test_a_plan_without_a_blocklist(world: World, context: ActionContext) -> None:
    """402 is said as what it is."""
    world.clerk.instance.lacking = {"blocklist"}
    outcome = await run(context, BLOCK, identifier=ADDRESS)
    assert outcome.state is State.UNKNOWN
    assert "plan" in outcome.remedy
