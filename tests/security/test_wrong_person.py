"""The wrong person, and the wrong button: each tries everything that leads to a run, and nothing runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bot.domain.commands import Join
from bot.domain.outcome import Risk
from bot.sandbox.models import BOT_USER_ID, UserGroup
from tests.scenarios.conftest import Stage
from tests.scenarios.policy import USER, ended, looks, opened, previewed, revocations, start, the_incident
from tests.security.support import click_of, send


@pytest.fixture
async def room(unstarted: Stage, tmp_path: Path) -> Any:
    """The room in which a destructive run waits for its second person; whoever is in the room may be it."""
    await start(unstarted, tmp_path)
    made = await opened(unstarted)
    await previewed(unstarted, Risk.DESTRUCTIVE)
    return made


@pytest.fixture
def stage(unstarted: Stage, room: Any) -> Stage:
    """The stage with that room."""
    return unstarted


def form_of(target: str, user: str, channel: str, **changes: Any) -> dict[str, Any]:
    """The form of a run, filled in and sent by somebody who may never have seen it."""
    view = {
        "id": f"V{user}",
        "hash": "1",
        "type": "modal",
        "callback_id": "run_parameters",
        "private_metadata": json.dumps({"target": target}),
        "state": {"values": {"param:user_id": {"value": {"value": USER}}}},
        **changes,
    }
    return {**click_of("x", "x", user=user, channel=channel), "type": "view_submission", "view": view}


async def everything(stage: Stage, user: str, channel: str, *, incident_id: str = "") -> None:
    """Every click and form that could lead to a run, by one person."""
    identity = incident_id or (await the_incident(stage)).id
    for action_id, value in (
        ("confirm_run", f"{identity}/r1"),
        ("cancel_run", f"{identity}/r1"),
        ("run_step", f"{identity}/look"),
        ("run_step", f"{identity}/end"),
        ("run_diagnostics", identity),
    ):
        status, _ = await send(stage, click_of(action_id, value, user=user, channel=channel))
        assert status == 200
    for step in ("look", "end"):
        assert (await send(stage, form_of(f"{identity}/{step}", user, channel)))[0] == 200


async def nothing_happened(stage: Stage, *, looked: int) -> None:
    """The one run still waits, no other was asked for, and Clerk was not called."""
    incident = await the_incident(stage)
    assert list(incident.runs) == ["r1"]
    assert (incident.runs["r1"].confirmed, incident.runs["r1"].is_open) == (None, True)
    assert incident.diagnostics_round == 1
    assert (looks(stage), revocations(stage)) == (looked, 0)


async def test_no_outsider_leads_to_a_run(stage: Stage, room: Any) -> None:
    """Not in the room; a guest in it; the bot; Slackbot; another workspace; a workflow; nobody that Slack knows. Also when the
    timeline took them for responders."""
    looked = looks(stage)
    workspace = stage.workspace
    await workspace.invite("developer", room.name, "guest")
    stranger = workspace.add_user("stranger", "Stranger", team_id="T0OTHER")
    workflow = workspace.add_user("workflow", "Workflow")
    workflow.is_bot = True
    recorded = ("U0GUEST", stranger.id, workflow.id, "U0NOBODY", BOT_USER_ID)
    incident = await the_incident(stage)
    for user in recorded:
        await stage.muster.desk.handle(incident.id, Join(user_id=user), by=user)
    for user in ("U0SUPPORT", *recorded, "USLACKBOT"):
        await everything(stage, user, room.id)
        await nothing_happened(stage, looked=looked)


async def test_deactivated_a_second_ago(stage: Stage, room: Any) -> None:
    """The click came in before Slack was asked again who that is: the run is refused when it is to begin."""
    await stage.workspace.join("cto", room.name)
    stage.sandbox.state.users["U0CTO"].deleted = True
    await send(stage, click_of("confirm_run", f"{(await the_incident(stage)).id}/r1", user="U0CTO", channel=room.id))
    run = await ended(stage, "r1")
    assert "who approved it, may not any more" in run.denied_why
    assert run.outcome is None
    assert revocations(stage) == 0


async def test_whoever_asked_approves_nothing(stage: Stage, room: Any) -> None:
    """However often, from wherever, also at once."""
    looked = looks(stage)
    identity = (await the_incident(stage)).id
    clicks = [click_of("confirm_run", f"{identity}/r1", user="U0DEVELOPER", channel=room.id) for _ in range(10)]
    await asyncio.gather(*(send(stage, click) for click in clicks))
    await send(stage, click_of("confirm_run", f"{identity}/r1", user="U0DEVELOPER", channel="C0GENERAL"))
    await nothing_happened(stage, looked=looked)


async def test_two_approvers_at_once_are_one_approval(stage: Stage, room: Any) -> None:
    """Each of them many times; it runs once."""
    for user in ("oncall", "engineering-lead"):
        await stage.workspace.join(user, room.name)
    identity = (await the_incident(stage)).id
    approvers = ("U0ONCALL", "U0LEAD")
    clicks = [click_of("confirm_run", f"{identity}/r1", user=approvers[number % 2], channel=room.id) for number in range(10)]
    await asyncio.gather(*(send(stage, click) for click in clicks))
    assert (await ended(stage, "r1")).outcome
    facts = [entry.fact.kind for entry in await stage.muster.store.timeline(identity)]
    assert facts.count("run_confirmed") == 1
    assert revocations(stage) == 7


async def test_a_copy_of_the_button_elsewhere_counts_nothing(stage: Stage, room: Any) -> None:
    """In the direct messages of somebody who was paged, where it was declared, in another channel, in no channel at all."""
    looked = looks(stage)
    await stage.workspace.join("oncall", room.name)
    identity = (await the_incident(stage)).id
    for channel in (stage.workspace.im("oncall").id, "C0GENERAL", "C0SUPPORT", "D0FORGED", ""):
        await send(stage, click_of("confirm_run", f"{identity}/r1", user="U0ONCALL", channel=channel))
        await send(stage, click_of("run_step", f"{identity}/look", user="U0ONCALL", channel=channel))
    await nothing_happened(stage, looked=looked)


async def test_forged_ids_lead_to_nothing(stage: Stage, room: Any) -> None:
    """Runs, steps and incidents that are not there, paths, keys of JavaScript, numbers, a megabyte."""
    looked = looks(stage)
    await stage.workspace.join("oncall", room.name)
    identity = (await the_incident(stage)).id
    values = [
        f"{identity}/r2", f"{identity}/r01", f"{identity}/R1", f"{identity}/", f"{identity}", f"{identity}/r1/r1/r1",
        f"{identity}/-1", f"{identity}/__proto__",
        f"{identity}/../../v1/users", "inc-999/r1", "/r1", "", "null", "r1", f"{identity}%2fr1",
        f"{identity}/" + "9" * 1_000_000, f"{identity}\n/r1", f"{identity}/r1\0",
    ]  # fmt: skip
    for value in values:
        for action_id in ("confirm_run", "cancel_run", "run_step"):
            status, _ = await send(stage, click_of(action_id, value, user="U0ONCALL", channel=room.id))
            assert status in (200, 400), value[:50]
    for action_id in ("confirm_run_", "approve", "run_everything", "__proto__", "", "confirm_run\0"):
        await send(stage, click_of(action_id, f"{identity}/r1", user="U0ONCALL", channel=room.id))
    await nothing_happened(stage, looked=looked)


async def test_two_clicks_in_one_payload_approve_nothing(stage: Stage, room: Any) -> None:
    """Nor does the second one alone."""
    looked = looks(stage)
    await stage.workspace.join("oncall", room.name)
    identity = (await the_incident(stage)).id
    click = click_of("confirm_run", f"{identity}/r1", user="U0ONCALL", channel=room.id)
    click["actions"] = [*click["actions"], {**click["actions"][0], "action_id": "acknowledge"}]
    await send(stage, click)
    await send(stage, {**click, "actions": list(reversed(click["actions"]))})
    await nothing_happened(stage, looked=looked)


async def test_a_form_of_another_step_or_incident_is_judged_as_what_it_is(stage: Stage, room: Any) -> None:
    """Its metadata were edited: a step that is not there, another incident, much too long, no JSON; its callback is another's."""
    looked = looks(stage)
    identity = (await the_incident(stage)).id
    for metadata in (
        json.dumps({"target": f"{identity}/nothing"}),
        json.dumps({"target": "inc-999/end"}),
        json.dumps({"target": {"a": 1}}),
        json.dumps(["target"]),
        "x" * 4_000,
        "",
    ):
        await send(stage, form_of("", "U0DEVELOPER", room.id, private_metadata=metadata))
    for callback_id in ("confirm_run", "run", "__proto__", ""):
        await send(stage, form_of(f"{identity}/end", "U0DEVELOPER", room.id, callback_id=callback_id))
    await nothing_happened(stage, looked=looked)


async def test_an_approver_of_one_incident_approves_nothing_in_another(stage: Stage, room: Any) -> None:
    """The oncall engineer is a responder here, and not in the second room, in which a run of the same id waits."""
    await stage.workspace.join("oncall", room.name)
    first = await the_incident(stage)
    await stage.workspace.command("developer", "general", "/incident the coffee machine explodes")
    other = (await stage.wait(lambda: [one for one in stage.rooms() if one.id != room.id], "the second room"))[0]
    second = next(one for one in await stage.muster.desk.active() if one.id != first.id)
    looked = looks(stage)
    for channel, incident in ((room.id, second.id), (other.id, first.id)):
        for action_id in ("confirm_run", "run_step", "run_diagnostics"):
            thing = "" if action_id == "run_diagnostics" else "/r1"
            await send(stage, click_of(action_id, f"{incident}{thing}", user="U0ONCALL", channel=channel))
    assert (await stage.muster.desk.get(first.id)).runs["r1"].confirmed is None
    assert (await stage.muster.desk.get(second.id)).runs == {}
    assert (looks(stage), revocations(stage)) == (looked, 0)


async def test_a_click_in_an_incident_that_is_over_approves_nothing(stage: Stage, room: Any) -> None:
    """Closed meanwhile; the button is still there."""
    looked = looks(stage)
    await stage.workspace.join("oncall", room.name)
    identity = (await the_incident(stage)).id
    await send(stage, click_of("resolve", identity, user="U0ONCALL", channel=room.id))
    await send(stage, click_of("confirm_run", f"{identity}/r1", user="U0ONCALL", channel=room.id))
    assert (await stage.muster.desk.get(identity)).runs["r1"].confirmed is None
    assert (looks(stage), revocations(stage)) == (looked, 0)


async def test_an_approval_too_late_approves_nothing(stage: Stage, room: Any) -> None:
    """A quarter of an hour after the preview, the second person presses."""
    looked = looks(stage)
    await stage.workspace.join("oncall", room.name)
    identity = (await the_incident(stage)).id
    await stage.advance(16 * 60)
    await send(stage, click_of("confirm_run", f"{identity}/r1", user="U0ONCALL", channel=room.id))
    run = (await the_incident(stage)).runs["r1"]
    assert run.confirmed is None
    assert (looks(stage), revocations(stage)) == (looked, 0)


async def test_a_member_of_the_channel_who_is_not_in_the_group(unstarted: Stage, tmp_path: Path) -> None:
    """The room is open to everybody; the permissions are not."""
    stage = unstarted
    stage.sandbox.state.groups["S0SRE"] = UserGroup("S0SRE", "sre", "SRE", ["U0LEAD"])
    await start(stage, tmp_path, permissions=dict.fromkeys(("read", "change", "destructive", "approve"), "@sre"))
    room = await opened(stage)
    await previewed(stage, Risk.DESTRUCTIVE, by="U0LEAD")
    looked = looks(stage)
    for handle, user in (("oncall", "U0ONCALL"), ("cto", "U0CTO"), ("developer", "U0DEVELOPER")):
        await stage.workspace.join(handle, room.name)
        await send(stage, click_of("confirm_run", f"{(await the_incident(stage)).id}/r1", user=user, channel=room.id))
        for step in ("look", "end"):
            await send(stage, click_of("run_step", f"{(await the_incident(stage)).id}/{step}", user=user, channel=room.id))
            await send(stage, form_of(f"{(await the_incident(stage)).id}/{step}", user, room.id))
        await send(stage, click_of("run_diagnostics", (await the_incident(stage)).id, user=user, channel=room.id))
    await nothing_happened(stage, looked=looked)
