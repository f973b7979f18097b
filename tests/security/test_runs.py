"""A run of an action: what was previewed is what runs, once, confirmed by somebody who may, whoever presses what at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bot.app import running
from bot.domain.commands import CancelRun, ConfirmRun
from bot.domain.errors import MusterError, UserError
from bot.domain.facts import Status
from bot.services.desk import Desk
from bot.settings import load_settings
from bot.storage.redis import RedisClock, RedisStore, connect
from tests.scenarios.conftest import Stage
from tests.security.support import click_of, one_incident, send


@pytest.fixture
async def room(stage: Stage) -> Any:
    """The room of a security incident in which a run waits for its confirmation."""
    await stage.workspace.command("developer", "general", "/incident unauthorized access detected")
    room = await stage.room()
    await stage.click("developer", room.name, stage.card(room.name), "run_step", block_id="do:revoke")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    await stage.workspace.submit_view("developer", view["id"], {"param:user_id": {"value": "user_2demo"}})
    await stage.sees(room.name, "What would happen")
    return room


def revocations(stage: Stage) -> int:
    """How many sessions Clerk was asked to end."""
    return sum(row["provider"] == "clerk" and row["path"].endswith("/revoke") for row in stage.world.ledger)


async def test_parameters_in_a_click_mean_nothing(stage: Stage, room: Any) -> None:
    """Other users, actions and risks in the payload, its state and its message: what runs is what was previewed."""
    incident = await one_incident(stage)
    click = click_of("confirm_run", f"{incident.id}/r1", user="U0DEVELOPER", channel=room.id)
    forged = {"user_id": "user_2other", "action": "clerk.ban", "risk": "read", "params": {"user_id": "*"}}
    click["actions"][0] |= {**forged, "__proto__": forged, "selected_options": [{"value": "user_2other"}]}
    click["state"] = {"values": {"param:user_id": {"value": {"value": "user_2other"}}}}
    click["message"]["metadata"] = {"event_payload": forged}
    assert (await send(stage, {**click, **forged, "type": "block_actions"}))[0] == 200
    await stage.sees(room.name, "7 sessions of user_2demo ended")
    run = (await one_incident(stage)).runs["r1"]
    assert dict(run.params) == {"user_id": "user_2demo"}
    assert stage.world.clerk.live_sessions("user_2demo") == []
    assert all("user_2other" not in json.dumps(row, default=str) for row in stage.world.ledger)


async def test_a_run_of_another_incident_is_not_confirmed_here(stage: Stage, room: Any) -> None:
    """The same run id exists in both; each button counts in its own room only."""
    first = await one_incident(stage)
    await stage.workspace.command("developer", "general", "/incident clerk down")
    other = (await stage.wait(lambda: [one for one in stage.rooms() if one.id != room.id], "the second room"))[0]
    second = next(one for one in await stage.muster.desk.active() if one.id != first.id)
    await send(stage, click_of("confirm_run", f"{first.id}/r1", user="U0DEVELOPER", channel=other.id))
    await send(stage, click_of("confirm_run", f"{second.id}/r1", user="U0DEVELOPER", channel=room.id))
    assert (await stage.muster.desk.get(first.id)).runs["r1"].confirmed is None
    assert revocations(stage) == 0


async def test_a_stranger_a_guest_and_an_outsider_confirm_nothing(stage: Stage, room: Any) -> None:
    """A replay of the same click by others: not in the room, a guest in it, another workspace, nobody that Slack knows."""
    incident = await one_incident(stage)
    await stage.workspace.invite("developer", room.name, "guest")
    outsider = stage.workspace.add_user("outsider", "Outsider", team_id="T0OTHER")
    room.members.extend([outsider.id, "U0NOBODY"])
    for user in ("U0SUPPORT", "U0GUEST", outsider.id, "U0NOBODY", "USLACKBOT", stage.muster.workspace.bot_user_id):
        await send(stage, click_of("confirm_run", f"{incident.id}/r1", user=user, channel=room.id))
        await send(stage, click_of("cancel_run", f"{incident.id}/r1", user=user, channel=room.id))
    run = (await one_incident(stage)).runs["r1"]
    assert (run.confirmed, run.cancelled) == (None, None)
    assert revocations(stage) == 0


async def test_somebody_whom_slack_cannot_name_confirms_nothing(stage: Stage, room: Any) -> None:
    """A newcomer in the room, and users.info fails: ticking is allowed, what acts on others' sessions is not."""
    incident = await one_incident(stage)
    newcomer = stage.workspace.add_user("newcomer", "Newcomer")
    await stage.workspace.invite("developer", room.name, "newcomer")
    stage.sandbox.faults.add("users.info", "500", times=20)
    await send(stage, click_of("confirm_run", f"{incident.id}/r1", user=newcomer.id, channel=room.id))
    assert (await one_incident(stage)).runs["r1"].confirmed is None
    await send(stage, click_of("tick", f"{incident.id}/lock", user=newcomer.id, channel=room.id))
    assert "lock" in (await one_incident(stage)).steps
    assert revocations(stage) == 0


async def test_confirm_and_cancel_at_once_are_one_result(stage: Stage, room: Any) -> None:
    """Ten of each, on two replicas, by two people: one wins, and nothing is ended when it was the cancel."""
    async with running(load_settings(stage.environment)) as other:
        identity = (await one_incident(stage)).id
        work = []
        for number in range(20):
            desk = (stage.muster, other)[number % 2].desk
            command = (ConfirmRun, CancelRun)[number // 2 % 2](run_id="r1")
            work.append(desk.handle(identity, command, by=("U0DEVELOPER", "U0ONCALL")[number % 2], delivery=f"race:{number}"))
        results = await asyncio.gather(*work, return_exceptions=True)
        refused = [result for result in results if isinstance(result, MusterError)]
        assert len(refused) == 19
        assert all(isinstance(result, UserError) for result in refused), refused
        facts = [entry.fact.kind for entry in await stage.muster.store.timeline(identity)]
        assert facts.count("run_confirmed") + facts.count("run_cancelled") == 1
        if facts.count("run_confirmed"):
            await stage.sees(room.name, "7 sessions of user_2demo ended")
        else:
            await stage.sees(room.name, "Cancelled by")
            assert revocations(stage) == 0
        assert revocations(stage) in (0, 7)
        await stage.sandbox.courier.stop()


async def test_an_end_and_a_confirmation_at_once(stage: Stage, room: Any, redis_url: str) -> None:
    """Whichever comes first: no run begins in an incident that is over. The second desk has an old fold of it."""
    identity = (await one_incident(stage)).id
    client = connect(f"{redis_url}?db=1", timeout_s=5)
    clock = RedisClock()
    store = RedisStore(client, workspace_id=stage.muster.workspace.team_id, owner="other", clock=clock)
    other = Desk(store=store, clock=clock, catalog=stage.muster.desk.catalog)
    await other.get(identity)
    await send(stage, click_of("resolve", identity, user="U0DEVELOPER", channel=room.id))
    with pytest.raises(UserError, match="resolved; reopen it first"):
        await other.handle(identity, ConfirmRun(run_id="r1"), by="U0ONCALL")
    assert (await other.get(identity)).status is Status.RESOLVED
    await client.aclose()
    assert revocations(stage) == 0


async def test_a_form_from_the_room_gives_no_right_after_leaving_it(stage: Stage, room: Any) -> None:
    """The form was opened by somebody of the room; sending it is what counts, a second later."""
    await stage.workspace.invite("developer", room.name, "cto")
    await stage.click("cto", room.name, stage.card(room.name), "run_step", block_id="do:lock")
    view = (await stage.wait(lambda: stage.workspace.views("cto"), "the form"))[-1]
    await stage.workspace.leave("cto", room.name)
    await stage.workspace.submit_view("cto", view["id"], {"param:user_id": {"value": "user_2demo"}})
    assert list((await one_incident(stage)).runs) == ["r1"]


async def test_an_id_that_is_none_reaches_nobody(stage: Stage) -> None:
    """A wildcard, a path, a list, a look-alike letter: the form says what an id looks like, and Clerk is not asked."""
    await stage.workspace.command("developer", "general", "/incident unauthorized access detected")
    await stage.room()
    incident = await one_incident(stage)
    values = [
        "*",
        "",
        "../../v1/users",
        "user_2demo,user_2other",
        "user_2demo\nuser_2other",
        "--all",
        "user_%2e%2e",
        "USER_2x",
        "user_2demо",
    ]
    for number, value in enumerate(values):
        view = {
            "id": f"V{number}",
            "hash": "1",
            "type": "modal",
            "callback_id": "run_parameters",
            "private_metadata": json.dumps({"target": f"{incident.id}/revoke"}),
            "state": {"values": {"param:user_id": {"value": {"value": value}}}},
        }
        team = click_of("x", "x", user="U1", channel="C1")
        status, answer = await send(stage, {**team, "type": "view_submission", "user": {"id": "U0DEVELOPER"}, "view": view})
        assert status == 200
        assert "errors" in json.loads(answer), value
        assert not value or value not in answer
    assert (await one_incident(stage)).runs == {}
    assert all(row["provider"] != "clerk" for row in stage.world.ledger)
