"""The emergency bypass: on and proven, off and seen to be off, from wherever it was left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.domain.errors import MusterError
from bot.domain.outcome import State
from bot.sandbox.world.vercel import LIVE_ID, PREVIOUS_ID, RefusalError
from bot.sandbox.world.vercel_data import variable
from tests.actions.vercel_ground import Ground, vercel_ground

ON, OFF, READY = "clerk.emergency_bypass", "clerk.emergency_bypass_off", "bypass.ready"
KEY = "CLERK_EMERGENCY_BYPASS"


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    """A world, and a step that knows the application and its protected page."""
    async with vercel_ground(with_app=True) as made:
        yield made


def variables(ground: Ground) -> list[dict[str, Any]]:
    """Those of the bypass at Vercel."""
    return [one for one in ground.world.vercel.variables if one["key"] == KEY]


def existing(ground: Ground, value: str, *targets: str, kind: str = "plain") -> dict[str, Any]:
    """Somebody else's variable of that name, which what serves has too."""
    made = variable("env_9", KEY, list(targets), value=value, type=kind, comment="Ask before you touch it")
    ground.world.vercel.variables.append(made)
    if "production" in targets:
        ground.world.vercel.serve_with({KEY: value})
    return made


async def test_the_preview_says_what_would_be_open_and_for_how_long(ground: Ground) -> None:
    """And changes nothing."""
    shown = await ground.shows(ON, minutes=30)
    told = " ".join((shown.summary, *shown.items))
    assert "bypassed for 30 minutes" in shown.summary
    assert "every route is open to everyone" in told
    assert f"{KEY} is created as true, for production only, and deleted afterwards" in told
    assert LIVE_ID in told
    assert "HTTP 307, sent to the sign-in" in told
    assert ground.changes() == []
    assert not ground.world.application.is_bypassed


async def test_on_is_proven_and_off_is_seen(ground: Ground) -> None:
    """The whole way: variable, deployment, header; then nothing of it is left."""
    outcome = await ground.run(ON)
    assert (outcome.state, outcome.value) == (State.OK, "on for 60 min")
    assert "with the header X-Auth-Bypass" in outcome.details[0]
    assert ground.world.application.is_bypassed
    (made,) = variables(ground)
    assert (made["value"], made["type"], made["target"]) == ("true", "plain", ["production"])
    assert made["comment"].startswith("[muster inc-42] ")
    assert outcome.facts["undo_sends_header"] is True
    off = await ground.run(OFF)
    assert (off.state, off.value) == (State.OK, "off")
    assert not ground.world.application.is_bypassed
    assert variables(ground) == []
    assert [one["meta"]["musterBypass"] for one in ground.world.vercel.made()] == ["on", "off"]


async def test_a_rollback_does_not_open_the_doors_again(ground: Ground) -> None:
    """What was deployed with the bypass is not where a rollback goes by itself; who names it is warned."""
    await ground.run(ON)
    await ground.run(OFF)
    opened = ground.world.vercel.made()[0]["id"]
    ground.params = {}
    shown = await ground.shows("vercel.rollback")
    assert shown.state.endswith(f">{PREVIOUS_ID}")
    named = await ground.shows("vercel.rollback", deployment_id=opened)
    assert named.items[0] == f"{opened} was made with the emergency bypass on: every route would be open"
    lines = (await ground.run("vercel.deployments")).details
    assert [line.startswith(opened) for line in lines if "with the emergency bypass" in line] == [True]


async def test_off_that_was_never_on_deploys_nothing(ground: Ground) -> None:
    """It is safe at any time, and costs no deployment."""
    assert (await ground.shows(OFF)).nothing_to_do
    assert (await ground.run(OFF)).state is State.OK
    assert ground.changes() == []


async def test_off_twice_deploys_once(ground: Ground) -> None:
    """The second one only looks."""
    await ground.run(ON)
    await ground.run(OFF)
    before = len(ground.changes())
    ground.next_run()
    assert (await ground.run(OFF)).state is State.OK
    assert len(ground.changes()) == before


async def test_without_the_header_the_protected_page_tells(ground: Ground) -> None:
    """It came without a session; before, it did not."""
    ground.world.set("app_middleware", "bypass without header")
    outcome = await ground.run(ON)
    assert outcome.state is State.OK
    assert "HTTP 200, without the header" in outcome.details[0]
    assert "undo_sends_header" not in outcome.facts
    assert (await ground.run(OFF)).state is State.OK
    assert not ground.world.application.is_bypassed


async def test_where_nothing_tells_it_is_unknown(ground: Ground) -> None:
    """Neither header nor protected page: never green, neither on nor off, and not one deployment more for each look."""
    ground.world.set("app_middleware", "bypass without header")
    ground.params = {"app_url": ground.params["app_url"]}
    assert "people will be called" in " ".join((await ground.shows(ON)).items)
    assert (await ground.run(ON)).state is State.UNKNOWN
    assert ground.world.application.is_bypassed
    ground.next_run()
    assert (await ground.run(OFF)).state is State.UNKNOWN
    assert not ground.world.application.is_bypassed
    deployments = len(ground.world.vercel.made())
    assert (await ground.run(OFF)).state is State.UNKNOWN
    assert len(ground.world.vercel.made()) == deployments == 2


async def test_a_header_that_was_seen_tells_by_its_absence(ground: Ground) -> None:
    """Without a protected page: what turned it on hands over that the application sends it."""
    ground.params = {"app_url": ground.params["app_url"]}
    on = await ground.run(ON)
    assert on.state is State.OK
    ground.next_run()
    assert (await ground.run(OFF, sends_header=on.facts["undo_sends_header"])).state is State.OK


async def test_a_page_that_is_open_anyway_proves_nothing(ground: Ground) -> None:
    """The start page is open to everyone: without the header it is unknown, and after off it is not called off."""
    ground.world.set("app_middleware", "bypass without header")
    ground.params |= {"protected_path": "/"}
    assert "proves nothing" in " ".join((await ground.shows(ON)).items)
    assert (await ground.run(ON)).state is State.UNKNOWN
    assert (await ground.run(OFF)).state is State.FAILING


async def test_a_middleware_that_does_not_know_it(ground: Ground) -> None:
    """Deployed, and not on: also not when it is built from the repository. It is said what to check."""
    ground.world.set("app_middleware", "no bypass")
    outcome = await ground.run(ON)
    assert outcome.state is State.FAILING
    assert "middleware" in outcome.remedy
    assert (await ground.run(OFF)).state is State.OK
    assert variables(ground) == []


async def test_a_redeploy_that_keeps_old_variables(ground: Ground) -> None:
    """Then it is built from the repository, both ways."""
    ground.world.set("vercel_builds", "keep old variables")
    assert (await ground.run(ON)).state is State.OK
    assert ground.world.application.is_bypassed
    assert (await ground.run(OFF)).state is State.OK
    assert not ground.world.application.is_bypassed


@pytest.mark.parametrize("targets", [("production",), ("production", "preview", "development")])
async def test_what_was_there_before_comes_back(ground: Ground, targets: tuple[str, ...]) -> None:
    """Another value of somebody else's: shown, replaced for production only, and put back with its comment."""
    mine = existing(ground, "false", *targets)
    assert "“false”" in " ".join((await ground.shows(ON)).items)
    assert (await ground.run(ON)).state is State.OK
    got = {target: one["value"] for one in variables(ground) for target in one["target"]}
    assert got == {target: "true" if target == "production" else "false" for target in targets}
    assert (await ground.run(OFF)).state is State.OK
    (left,) = variables(ground)
    assert left is mine
    assert (left["value"], sorted(left["target"]), left["comment"]) == ("false", sorted(targets), "Ask before you touch it")


@pytest.mark.parametrize(("value", "kind"), [("false", "sensitive"), ("nothing that fits into a comment]", "plain")])
async def test_what_could_not_be_put_back_is_not_replaced(ground: Ground, value: str, kind: str) -> None:
    """The preview refuses, and so does the run."""
    existing(ground, value, "production", kind=kind)
    with pytest.raises(MusterError, match="could not be put back"):
        await ground.shows(ON)
    assert (await ground.run(ON)).state is State.UNKNOWN
    assert ground.changes() == []


async def test_one_that_somebody_turned_on_by_hand(ground: Ground) -> None:
    """It is on already: nothing is deployed, and it is turned off for good at its time."""
    existing(ground, "true", "production")
    assert "It is on already" in " ".join((await ground.shows(ON)).items)
    assert (await ground.run(ON)).state is State.OK
    assert ground.changes() == []
    assert (await ground.run(OFF)).state is State.OK
    assert variables(ground) == []


async def test_one_that_is_on_for_another_incident(ground: Ground) -> None:
    """Whoever wants it as well is told that it may go off earlier; the one for whom it is on is not."""
    await ground.run(ON)
    assert "for inc-" not in " ".join((await ground.shows(ON)).items)
    ground.context = replace(ground.context, run=replace(ground.context.run, incident_id="inc-43"))
    told = (await ground.shows(ON)).items
    assert "Muster turned it on for inc-42: it goes off at the end booked there, if that comes first" in told


# -- interrupted ----------------------------------------------------------------------------------------------------


async def test_on_goes_on_where_it_was_interrupted(ground: Ground) -> None:
    """The variable is set, and a build was begun: a second attempt of the run makes no other one."""
    ground.context = replace(ground.context, is_stopping=lambda: bool(ground.world.vercel.made()))
    stopped = await ground.run(ON)
    assert (stopped.state, stopped.value) == (State.UNKNOWN, "stopped")
    assert "turned off by itself" in stopped.summary
    ground.context = replace(ground.context, is_stopping=lambda: False)
    assert (await ground.run(ON)).state is State.OK
    assert len(ground.world.vercel.made()) == 1


async def test_stopped_before_it_began(ground: Ground) -> None:
    """Nothing was changed."""
    ground.context = replace(ground.context, is_stopping=lambda: True)
    assert (await ground.run(ON)).value == "stopped"
    assert ground.changes() == []


async def test_off_while_on_is_being_built(ground: Ground) -> None:
    """The build is cancelled, the variable is gone, and nothing needs to be deployed to be sure."""
    ground.context = replace(ground.context, is_stopping=lambda: bool(ground.world.vercel.made()))
    await ground.run(ON)
    ground.context = replace(ground.context, is_stopping=lambda: False)
    ground.next_run()
    outcome = await ground.run(OFF)
    assert outcome.state is State.OK
    (made,) = ground.world.vercel.made()
    assert made["readyState"] == "CANCELED"
    await settle(ground)
    assert not ground.world.application.is_bypassed
    assert ground.world.vercel.live_id == LIVE_ID


async def test_off_when_somebody_elses_build_has_it(ground: Ground) -> None:
    """A push while the variable was there: it would go live open, so a deployment without it follows and takes over."""
    existing(ground, "true", "production")
    ground.world.vercel.serve_with({})
    pushed = ground.world.vercel.push()
    assert (await ground.run(OFF)).state is State.OK
    await settle(ground)
    assert not ground.world.application.is_bypassed
    assert ground.world.vercel.live_id not in (pushed, LIVE_ID)


async def settle(ground: Ground) -> None:
    """Let everything that is being built be built."""
    await ground.context.sleep(1_000)
    ground.world.vercel.live_env()


@pytest.mark.parametrize("call", range(1, 8))
async def test_off_is_finished_by_a_second_attempt(ground: Ground, call: int) -> None:
    """Whatever call of the first attempt broke: after the second one it is off, and seen to be."""
    assert (await ground.run(ON)).state is State.OK
    begun = len(ground.world.ledger)

    def plant() -> None:
        if len(ground.world.ledger) == begun + call:
            ground.world.vercel.api.turn("error")

    ground.world.on_change = plant
    first = await ground.run(OFF)
    assert first.state is not State.OK
    ground.world.on_change = None
    ground.world.vercel.api.turn("ok")
    assert (await ground.run(OFF)).state is State.OK
    await settle(ground)
    assert not ground.world.application.is_bypassed
    assert variables(ground) == []


async def test_a_lost_answer_while_it_is_set(ground: Ground) -> None:
    """Setting a state is asked for once more."""

    def plant() -> None:
        if ground.lines and not ground.changes():
            ground.world.on_change = None
            ground.world.plant("vercel", "done_then_drop", times=1)

    ground.world.on_change = plant
    ground.world.vercel.alias_s = 0.0
    assert (await ground.run(ON)).state is State.OK
    assert len(variables(ground)) == 1


async def test_turned_off_before_it_began(ground: Ground) -> None:
    """Whoever was away finds both due, and the end came first: it is not turned on any more, by no attempt."""
    assert (await ground.run(OFF)).state is State.OK
    for _ in range(2):
        outcome = await ground.run(ON)
        assert (outcome.state, outcome.value) == (State.FAILING, "not on")
        assert "turned off before it was on" in outcome.summary
    assert ground.changes() == []


@pytest.mark.parametrize("call", range(1, 8))
async def test_turned_off_while_it_is_turned_on(ground: Ground, call: int) -> None:
    """At whatever call of the one the other one runs: in the end it is off, and nothing of it is left."""
    ended: list[asyncio.Task[Any]] = []

    def plant() -> None:
        if len(ground.world.ledger) >= begun + call and not ended:
            ended.append(asyncio.create_task(ground.run(OFF)))

    begun = len(ground.world.ledger)
    ground.world.on_change = plant
    outcome = await ground.run(ON)
    (off,) = ended
    assert (await off).state is State.OK
    assert outcome.state is not State.OK
    await settle(ground)
    assert not ground.world.application.is_bypassed
    assert variables(ground) == []


async def test_turned_off_while_the_call_that_turns_it_on_breaks(ground: Ground) -> None:
    """The variable was written and nobody was told, twice; the one that ended it had looked before: nothing of it is left."""

    def plant() -> None:
        if ground.lines and not ground.changes():
            ground.world.on_change = None
            ground.world.plant("vercel", "done_then_drop", times=2)

    ground.world.on_change = plant
    real = ground.context.sleep

    async def sleep(seconds: float) -> None:
        await ground.context.job.save({"off_began": True})
        await real(seconds)

    ground.context = replace(ground.context, sleep=sleep)
    outcome = await ground.run(ON)
    assert (outcome.state, outcome.value) == (State.FAILING, "not on")
    assert variables(ground) == []


# -- trouble --------------------------------------------------------------------------------------------------------


async def test_a_201_that_did_not_write_it(ground: Ground) -> None:
    """Vercel's reply to writing variables can say so inside a 201."""
    ground.world.vercel.variables.append(variable("env_9", KEY, ["production", "preview"], gitBranch="release"))
    outcome = await ground.run(ON)
    assert outcome.state is State.UNKNOWN
    assert "did not write the variable" in outcome.summary
    assert ground.world.vercel.made() == []


async def test_a_build_that_fails(ground: Ground) -> None:
    """It is not on, and off puts the variable back without a deployment."""
    ground.world.set("vercel_builds", "fail")
    outcome = await ground.run(ON)
    assert outcome.state is State.FAILING
    assert "BUILD_FAILED" in outcome.summary
    ground.world.set("vercel_builds", "succeed")
    assert (await ground.run(OFF)).state is State.OK
    assert len(ground.world.vercel.made()) == 1


async def test_off_that_cannot_be_built_is_not_off(ground: Ground) -> None:
    """The old one still serves: that is said, and the next attempt builds again."""
    await ground.run(ON)
    ground.world.set("vercel_builds", "fail")
    assert (await ground.run(OFF)).state is State.FAILING
    assert ground.world.application.is_bypassed
    ground.world.set("vercel_builds", "succeed")
    assert (await ground.run(OFF)).state is State.OK
    assert not ground.world.application.is_bypassed


async def test_production_that_is_pinned(ground: Ground) -> None:
    """After a rollback a new deployment serves only when it is promoted, on the way on and on the way off."""
    await execute(load_actions()["vercel.rollback"], {}, ground.context)
    ground.next_run()
    assert "pinned" in " ".join((await ground.shows(ON)).items)
    assert (await ground.run(ON)).state is State.OK
    assert (await ground.run(OFF)).state is State.OK
    assert not ground.world.application.is_bypassed


async def test_an_application_that_is_down(ground: Ground) -> None:
    """Its 503 says nothing: not on, not off."""
    await ground.run(ON)
    ground.world.set("app_health", "down")
    assert (await ground.looks(ON)).state is State.UNKNOWN
    assert (await ground.run(OFF)).state is State.UNKNOWN
    ground.world.set("app_health", "healthy")
    assert (await ground.run(OFF)).state is State.OK


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (401, "not_authenticated", "VERCEL_TOKEN"),
        (402, "payment_required", "plan"),
        (403, "forbidden", "VERCEL_TOKEN"),
        (404, "not_found", "VERCEL_PROJECT"),
        (409, "conflict", "something else changes"),
        (422, "unprocessable_entity", "does not take it as it is"),
        (429, "rate_limited", "try again"),
        (500, "internal_server_error", "status page"),
    ],
)
@pytest.mark.parametrize("after", [0, 1])
async def test_every_refusal_has_its_sentence(ground: Ground, status: int, code: str, remedy: str, after: int) -> None:
    """At the variable, and at the deployment: it is not on, and the way back works."""

    def refuse() -> None:
        if ground.lines and len(ground.changes()) == after and not ground.world.vercel.refusals:
            ground.world.vercel.refusals = [RefusalError(status, code)]
            ground.world.on_change = None

    ground.world.on_change = refuse if after else None
    ground.world.vercel.refusals = [] if after else [RefusalError(status, code)]
    outcome = await ground.run(ON)
    if (status, after) == (500, 1):
        assert outcome.state is State.OK  # it was looked for, not found, and asked for once more
    else:
        assert outcome.state is State.UNKNOWN
        assert remedy.casefold() in outcome.remedy.casefold()
        assert not ground.world.application.is_bypassed
    ground.world.vercel.refusals = []
    assert (await ground.run(OFF)).state is State.OK
    assert variables(ground) == []


@pytest.mark.parametrize("url", ["", "https://yourapp.com", "https://app.example"])
async def test_an_address_that_nobody_set(ground: Ground, url: str) -> None:
    """Nothing is asked, of nobody."""
    for action in (ON, OFF, READY):
        outcome = await ground.run(action, app_url=url)
        assert outcome.state is State.UNKNOWN
        assert "app_url" in outcome.remedy + outcome.summary
    assert ground.world.ledger == []


@pytest.mark.parametrize(
    "given",
    [
        {"app_url": "${app_url}"},
        {"app_url": "file:///etc/passwd"},
        {"protected_path": "//169.254.169.254/latest"[1:] + "?x"},
        {"protected_path": "@evil"},
        {"protected_path": "/a\r\nHost: b"},
        {"minutes": 4},
        {"minutes": 241},
        {"minutes": "60; rm"},
        {"project": "../../v1/user"},
    ],
)
async def test_parameters_that_are_none(ground: Ground, given: dict[str, Any]) -> None:
    """Refused before anything is asked."""
    assert (await ground.run(ON, **given)).state is State.UNKNOWN
    assert ground.world.ledger == []


def test_it_is_taken_back_by_itself() -> None:
    """The framework books the way back from this: the minutes in seconds, and an action that needs nobody else."""
    spec = load_actions()[ON]
    params = spec.params.model_validate({"app_url": "https://app.test", "minutes": 5})
    assert spec.revert_after_s is not None
    assert spec.revert_after_s(params) == 300
    assert (spec.undo, spec.risk.value, load_actions()[OFF].risk.value) == (OFF, "destructive", "change")
    assert next(iter(spec.params.model_fields)) == "minutes"  # what a form asks first
    assert set(load_actions()[OFF].params.model_fields) <= {*spec.params.model_fields}


# -- in peacetime ---------------------------------------------------------------------------------------------------


async def test_ready(ground: Ground) -> None:
    """In place, as far as can be seen: what cannot is said."""
    outcome = await ground.run(READY)
    assert (outcome.state, outcome.value) == (State.OK, "in place")
    assert any("rehearse it in a drill" in line for line in outcome.details)
    assert ground.changes() == []


@pytest.mark.parametrize(
    ("spoil", "state", "says"),
    [
        (lambda ground: ground.world.vercel.permissions.update(projectEnvVarsProduction=["read"]), State.FAILING, "may not"),
        (lambda ground: ground.world.vercel.permissions.clear(), State.UNKNOWN, "does not say"),
        (lambda ground: existing(ground, "true", "production"), State.FAILING, "is on now"),
        (lambda ground: existing(ground, "x", "production", kind="sensitive"), State.FAILING, "set for production now"),
        (lambda ground: ground.params.update(protected_path="/"), State.FAILING, "open to everyone"),
        (lambda ground: ground.params.update(protected_path=None), State.UNKNOWN, "cannot be told"),
        (lambda ground: ground.world.set("vercel_env", "hidden"), State.UNKNOWN, "hidden from this token"),
        (lambda ground: ground.world.set("app_health", "down"), State.UNKNOWN, "503"),
    ],
)
async def test_not_ready(ground: Ground, spoil: Any, state: State, says: str) -> None:
    """Each thing that would be in the way is named."""
    spoil(ground)
    outcome = await ground.run(READY)
    assert outcome.state is state
    assert says in " ".join((outcome.summary, *outcome.details))
