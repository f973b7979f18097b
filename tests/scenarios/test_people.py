"""Who may do what: decided when the click arrives. Strangers, forged values, old buttons, and everything that comes twice."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.commands import ChangeStatus
from bot.domain.facts import Status
from bot.domain.incident import Incident
from bot.sandbox.delivery import Delivery
from bot.sandbox.models import User
from tests.scenarios.conftest import Stage, said

Json = dict[str, Any]


@pytest.fixture
async def room(stage: Stage) -> Any:
    """The room of an outage with its people in it; nothing is on its way any more."""
    await stage.workspace.command("developer", "support", "/incident clerk down")
    room = await stage.room()
    await stage.wait(lambda: {"U0DEVELOPER", "U0ONCALL"} <= set(room.members), "the people")
    await stage.paged("oncall")
    await stage.wait(lambda: "Diagnose again" in said(stage.card(room.name)), "the whole diagnosis")
    await stage.sandbox.settled()
    return room


async def incident_of(stage: Stage) -> Incident:
    """The one open incident."""
    (incident,) = await stage.muster.desk.active()
    return incident


def drawn(stage: Stage, channel: str, *elements: Json, blocks: list[Json] | None = None) -> Json:
    """A message of Muster's with any buttons: one of another version, one that was never drawn, one that is old."""
    block = {"type": "actions", "block_id": "row", "elements": list(elements)}
    place = stage.workspace.channel(channel)
    message: Json = stage.sandbox.state.post_as_bot(place.id, "drawn", blocks=blocks or [block])
    return message


def button(action_id: str, value: str) -> Json:
    return {"type": "button", "text": {"type": "plain_text", "text": "Press"}, "action_id": action_id, "value": value}


async def press(stage: Stage, user: str, channel: str, action_id: str, value: str) -> None:
    """Press a button that has just been drawn."""
    result = await stage.click(user, channel, drawn(stage, channel, button(action_id, value)), action_id)
    assert result.ok, result.error


async def press_in_direct_message(stage: Stage, user: str, action_id: str, value: str) -> None:
    """The same, in the talk with Muster."""
    block = {"type": "actions", "block_id": "row", "elements": [button(action_id, value)]}
    message = stage.sandbox.state.post_as_bot(stage.workspace.im(user).id, "drawn", blocks=[block])
    await stage.click(user, "@muster", message, action_id)


def kinds(stage: Stage, kind: str) -> list[Delivery]:
    """What was delivered to the bot of one kind, in order."""
    return [delivery for delivery in stage.sandbox.deliveries if delivery.kind == kind]


# -- who -----------------------------------------------------------------------------------------------------------


async def test_who_is_not_in_the_room_does_nothing_in_it(stage: Stage, room: Any) -> None:
    """A public room can be read by everybody: the answer says how to take part, and after joining it works."""
    before = await incident_of(stage)
    card = stage.card(room.name)
    for action_id, block_id in (("tick", "do:confirm"), ("acknowledge", "incident"), ("resolve", "incident")):
        await stage.click("support-agent", room.name, card, action_id, block_id=block_id)
    await stage.sees(room.name, f"Only people in <#{room.id}> can do that. Join it", user="support-agent")
    assert (await incident_of(stage)).version == before.version
    await stage.workspace.join("support-agent", room.name)
    await stage.click("support-agent", room.name, card, "tick", block_id="do:confirm")
    assert (await incident_of(stage)).steps["confirm"].moment.by == "U0SUPPORT"


async def test_who_came_in_unseen_is_looked_up(stage: Stage, room: Any) -> None:
    """The event of their coming was lost; the click finds them in Slack's list of members."""
    room.members.append("U0LEAD")
    await stage.click("engineering-lead", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    incident = await incident_of(stage)
    assert incident.steps["confirm"].moment.by == "U0LEAD"
    assert "U0LEAD" in incident.responders


async def test_who_left_may_do_nothing_any_more(stage: Stage, room: Any) -> None:
    """The button was drawn when they were still in the room."""
    await stage.workspace.join("cto", room.name)
    await stage.workspace.leave("cto", room.name)
    await stage.click("cto", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    await stage.sees(room.name, "Only people in", user="cto")
    assert (await incident_of(stage)).steps == {}


async def test_skipping_and_running_ask_for_the_same_right(stage: Stage, room: Any) -> None:
    """A form may be opened by anybody who sees the button; sending it is what counts."""
    card = stage.card(room.name)
    await stage.click("support-agent", room.name, card, "skip", block_id="do:logs")
    view = (await stage.wait(lambda: stage.workspace.views("support-agent"), "the form"))[-1]
    await stage.workspace.submit_view("support-agent", view["id"], {"reason": {"value": "because"}})
    shown = stage.workspace.views("support-agent")[-1]
    assert "Only people in" in said({"blocks": shown["blocks"]})
    assert (await incident_of(stage)).steps == {}


async def test_a_guest_in_the_room_may_look(stage: Stage, room: Any) -> None:
    """Somebody invited them; they press nothing."""
    await stage.workspace.invite("developer", room.name, "guest")
    await stage.click("guest", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    await stage.sees(room.name, "Guests and people of other workspaces cannot do that", user="guest")
    assert (await incident_of(stage)).steps == {}


async def test_somebody_of_another_workspace_may_nothing(stage: Stage, room: Any) -> None:
    """In a shared channel they see the buttons; a command of theirs comes with another team."""
    stranger = stage.workspace.add_user("stranger", "Stranger", team_id="T0OTHER", channels=("support",))
    room.members.append(stranger.id)
    await stage.click("stranger", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    await stage.sees(room.name, "people of other workspaces cannot do that", user="stranger")
    result = await stage.workspace.command("stranger", "support", "/incident list")
    assert result.response
    assert "does not work for this workspace" in said(result.response)
    assert (await incident_of(stage)).steps == {}


async def test_a_click_with_another_team_is_not_ours(stage: Stage, room: Any) -> None:
    """Signed by Slack for our app, but from another installation: refused, whoever it was."""
    await stage.click("developer", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    await stage.click("developer", room.name, stage.card(room.name), "tick", block_id="do:logs")
    payload = kinds(stage, "block_actions")[-1].payload()
    for changes in ({"team": {"id": "T0OTHER"}}, {"api_app_id": "A0OTHER"}):
        action = {**payload["actions"][0], "value": f"{(await incident_of(stage)).id}/variables", "action_ts": "9.9"}
        answer = await stage.sandbox.courier.send_interaction({**payload, "actions": [action], **changes})
        assert answer.status == 200
        await stage.sees(room.name, "does not work for this workspace", user="developer")
    assert set((await incident_of(stage)).steps) == {"confirm", "logs"}


async def test_a_paged_person_acknowledges_from_the_page(stage: Stage, room: Any) -> None:
    """In the direct message, without being in the room; they are brought into it."""
    await stage.advance(15 * 60)
    page = (await stage.wait(lambda: stage.workspace.dm("engineering-lead"), "the page of the lead"))[0]
    await stage.wait(lambda: "U0LEAD" in room.members, "the lead in the room")
    await stage.workspace.leave("engineering-lead", room.name)
    await stage.click("engineering-lead", "@muster", page, "acknowledge")
    acknowledged = (await incident_of(stage)).acknowledged
    assert acknowledged
    assert acknowledged.by == "U0LEAD"
    await stage.wait(lambda: "has it since" in said(stage.workspace.dm("engineering-lead")[0]), "the page says who has it")
    buttons = [block for block in stage.workspace.dm("engineering-lead")[0]["blocks"] if block["type"] == "actions"]
    assert buttons == []


async def test_two_acknowledge_at_once(stage: Stage, room: Any) -> None:
    """One has it, the other is told who."""
    page = stage.workspace.dm("oncall")[0]
    await stage.click("oncall", "@muster", page, "acknowledge")
    await stage.click(
        "developer", room.name, drawn(stage, room.name, button("acknowledge", (await incident_of(stage)).id)), "acknowledge"
    )
    await stage.sees(room.name, "<@U0ONCALL> already has it", user="developer")


@pytest.mark.parametrize(
    ("mention", "answer"),
    [
        ("@muster", "Muster cannot command an incident"),
        ("@deploybot", "Only people of this workspace can do that"),
        ("@former", "Only people of this workspace can do that"),
        ("@guest", "Guests and people of other workspaces"),
        ("<@U0NOBODY>", "Slack knows no such person"),
    ],
)
async def test_only_a_member_can_command(stage: Stage, room: Any, mention: str, answer: str) -> None:
    """No bot, nobody who left, no guest, nobody that Slack does not know."""
    stage.sandbox.state.users["U0DEPLOYBOT"] = User("U0DEPLOYBOT", "deploybot", "Deploy bot", is_bot=True)
    stage.workspace.add_user("former", "Former", deleted=True)
    result = await stage.workspace.command("developer", room.name, f"/incident assign {mention} commander")
    assert result.response
    assert answer in said(result.response)
    assert (await incident_of(stage)).roles == {}


# -- forged --------------------------------------------------------------------------------------------------------


FORGED = [
    ("tick", "inc-999/confirm", "There is no such incident"),
    ("tick", "inc-1e9/confirm", "not one of Muster's"),
    ("tick", '{"__proto__": {}}', "not one of Muster's"),
    ("tick", "../../v1/users", "not one of Muster's"),
    ("tick", "{id}/no-such-step", "not part of this checklist"),
    ("tick", "{id}", "not part of this checklist"),
    ("untick", "{id}/confirm", "already open"),
    ("tick", "{id}/cause", "done by choosing"),
    ("tick", "{id}/bypass", "not part of this checklist"),
    ("skip", "{id}/no-such-step", "has no step"),
    ("choose_branch", "{id}/cause/no-such-way", "has no such way"),
    ("choose_branch", "{id}/confirm/clerk-outage", "has no such way"),
    ("run_step", "{id}/confirm", "cannot run"),
    ("run_step", "{id}/no-such-step", "has no step"),
    ("confirm_run", "{id}/r1", "no such run"),
    ("cancel_run", "{id}/r1", "no such run"),
    ("change_status", "{id}/on_fire", "no such status"),
    ("change_status", "{id}/closed", "cannot become closed"),
    ("change_severity", "{id}/SEV9", "no such severity"),
    ("change_severity", "{id}/SEV1", "already SEV1"),
    ("choose_runbook", "{id}/clerk-security-incident", "already chosen"),
    ("open_from_prompt", "no-such-runbook", "That runbook is gone"),
    ("open_from_prompt", "../etc/passwd", "not one of Muster's"),
    ("open_runbook", "a+b+c+d+e+f", "not one of Muster's"),
    ("launch_missiles", "{id}", "another version of Muster"),
]
"""(action_id, value, answer); {id} is the open incident."""


async def test_a_forged_button_does_nothing(stage: Stage, room: Any) -> None:
    """Other ids, junk, steps and ways that there are not: a clear answer each, and the incident is as it was."""
    before = await incident_of(stage)

    def answers() -> list[Json]:
        return [message for message in stage.messages(room.name, user="developer") if message.get("is_ephemeral")]

    for number, (action_id, value, answer) in enumerate(FORGED, start=1):
        await press(stage, "developer", room.name, action_id, value.replace("{id}", before.id))
        await stage.wait(lambda count=number: len(answers()) == count, f"an answer to {action_id} {value}")
        assert answer in said(answers()[-1]), (action_id, value)
        assert (await incident_of(stage)).version == before.version, (action_id, value)
    assert len(stage.rooms()) == 1


async def test_a_button_of_another_incident_does_nothing_here(stage: Stage, room: Any) -> None:
    """Its value is good, but it was not drawn in this room; also not in a direct message that paged nobody."""
    first = await incident_of(stage)
    await stage.workspace.command("developer", "general", "/incident unauthorized access detected")
    second_room = (await stage.wait(lambda: [one for one in stage.rooms() if one.id != room.id], "the second room"))[0]
    await stage.wait(lambda: "U0DEVELOPER" in second_room.members, "the person in the private room")
    await press(stage, "developer", second_room.name, "resolve", first.id)
    await stage.sees(second_room.name, "belongs to another room", user="developer")
    await press_in_direct_message(stage, "cto", "resolve", first.id)
    assert (await stage.muster.desk.get(first.id)).status is Status.TRIAGE


async def test_two_clicks_in_one_payload_are_refused(stage: Stage, room: Any) -> None:
    """Slack never sends them."""
    await stage.click("developer", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    payload = kinds(stage, "block_actions")[-1].payload()
    identity = (await incident_of(stage)).id
    actions = [{**payload["actions"][0], "value": f"{identity}/{step}", "action_ts": "9.9"} for step in ("logs", "variables")]
    assert (await stage.sandbox.courier.send_interaction({**payload, "actions": actions})).status == 200
    await stage.sees(room.name, "one click at a time", user="developer")
    assert set((await incident_of(stage)).steps) == {"confirm"}


async def test_a_form_about_another_incident_is_judged_when_it_is_sent(stage: Stage, room: Any) -> None:
    """Its metadata were forged on the way."""
    await stage.click("developer", room.name, stage.card(room.name), "skip", block_id="do:logs")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    for metadata, answer in (
        ('{"target": "inc-999/logs"}', "no such incident"),
        ("{}", "not one of Muster"),
        ("[]", "not one of Muster"),
    ):
        state = {"values": {"reason": {"value": {"type": "plain_text_input", "value": "because"}}}}
        sent = {**view, "private_metadata": metadata, "state": state}
        payload = {**kinds(stage, "block_actions")[-1].payload(), "type": "view_submission", "view": sent}
        delivery = await stage.sandbox.courier.send_interaction(payload)
        assert delivery.status == 200
        assert answer in said({"blocks": delivery.attempts[0].json()["view"]["blocks"]})
    assert (await incident_of(stage)).steps == {}


# -- old -----------------------------------------------------------------------------------------------------------


async def test_an_old_button_says_what_happened_meanwhile(stage: Stage, room: Any) -> None:
    """The message is from before the step was done."""
    old = stage.card(room.name)["blocks"]
    await stage.click("oncall", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    await stage.click("developer", room.name, drawn(stage, room.name, blocks=old), "tick", block_id="do:confirm")
    await stage.sees(room.name, "“Confirm outage” is already done by <@U0ONCALL>", user="developer")


@pytest.mark.parametrize(
    ("moves", "answer"),
    [
        ((Status.RESOLVED,), "This incident is resolved; reopen it first"),
        ((Status.RESOLVED, Status.CLOSED), "This incident is closed"),
    ],
)
async def test_a_click_on_an_incident_that_is_over(stage: Stage, room: Any, moves: tuple[Status, ...], answer: str) -> None:
    """Resolved or closed last week: nothing is changed."""
    old = stage.card(room.name)["blocks"]
    identity = (await incident_of(stage)).id
    for status in moves:
        await stage.muster.desk.handle(identity, ChangeStatus(status=status), by="U0DEVELOPER")
    before = await stage.muster.desk.get(identity)
    for action_id, block_id in (("tick", "do:confirm"), ("acknowledge", "incident"), ("choose_branch:0", "do:cause")):
        await stage.click("developer", room.name, drawn(stage, room.name, blocks=old), action_id, block_id=block_id)
    await stage.sees(room.name, answer, user="developer")
    assert (await stage.muster.desk.get(identity)).version == before.version


async def test_a_false_alarm_cannot_be_changed(stage: Stage, room: Any) -> None:
    """Its room is archived; the page in the direct message still has its old button for a moment."""
    identity = (await incident_of(stage)).id
    await stage.click("developer", room.name, stage.card(room.name), "not_an_incident")
    await stage.wait(lambda: room.is_archived, "the archived room")
    await press_in_direct_message(stage, "oncall", "acknowledge", identity)
    assert (await stage.muster.desk.get(identity)).acknowledged is None
    await stage.wait(
        lambda: [m for m in stage.messages("@muster", user="oncall") if "recorded as not an incident" in said(m)], "the answer"
    )


# -- twice ---------------------------------------------------------------------------------------------------------


async def test_a_command_that_comes_twice_opens_once(stage: Stage) -> None:
    """The identical signed bytes again: one room, one incident, and one answer to the person."""
    await stage.workspace.command("developer", "support", "/incident clerk down")
    delivery = kinds(stage, "command /incident")[0]
    assert (await stage.sandbox.redeliver(delivery)).status == 200
    room = await stage.room()
    await stage.sees("support", f"<#{room.id}>", user="developer")
    assert len(await stage.muster.desk.active()) == 1
    await stage.muster.worker.stop(grace_s=5)
    answers = [message for message in stage.messages("support", user="developer") if f"<#{room.id}>" in said(message)]
    assert len(answers) == 1
    assert (await incident_of(stage)).declared_again == ()


async def test_a_click_that_comes_twice_counts_once(stage: Stage, room: Any) -> None:
    """No second tick, and no refusal that the first one caused."""
    await stage.click("developer", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    version = (await incident_of(stage)).version
    for _ in range(3):
        assert (await stage.sandbox.redeliver(kinds(stage, "block_actions")[0])).status == 200
    assert (await incident_of(stage)).version == version
    await stage.click("developer", room.name, stage.card(room.name), "tick", block_id="do:logs")
    assert not [m for m in stage.messages(room.name, user="developer") if "already" in said(m)]


async def test_a_form_that_comes_twice_counts_once(stage: Stage) -> None:
    """The same view and hash."""
    await stage.workspace.command("developer", "support", "/incident")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    await stage.workspace.submit_view("developer", view["id"], {"title": {"value": "the coffee machine leaks badly"}})
    again = await stage.sandbox.redeliver(kinds(stage, "view_submission")[0])
    assert again.status == 200
    assert "Opening" in str(again.json())
    await stage.room()
    assert len(await stage.muster.desk.active()) == 1


async def test_a_run_that_is_asked_for_twice_is_one_run(stage: Stage) -> None:
    """The form and the confirmation, each delivered twice: the sessions are revoked once."""
    await stage.workspace.command("developer", "general", "/incident unauthorized access detected")
    room = await stage.room()
    card = await stage.sees(room.name, "Revoke all sessions for affected users")
    await stage.click("developer", room.name, card, "run_step", block_id="do:revoke")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    await stage.workspace.submit_view("developer", view["id"], {"param:user_id": {"value": "user_2demo"}})
    await stage.sandbox.redeliver(kinds(stage, "view_submission")[0])
    preview = await stage.sees(room.name, "What would happen")
    await stage.click("developer", room.name, preview, "confirm_run")
    await stage.sandbox.redeliver(kinds(stage, "block_actions")[-1])
    await stage.sees(room.name, "7 sessions of user_2demo ended")
    incident = await incident_of(stage)
    facts = [entry.fact.kind for entry in await stage.muster.store.timeline(incident.id)]
    assert [facts.count(kind) for kind in ("run_requested", "run_confirmed", "run_finished")] == [1, 1, 1]


async def test_an_event_that_comes_twice_counts_once(stage: Stage) -> None:
    """A phrase: one room, one reply, also when it comes again after the incident is over."""
    message = await stage.workspace.say("support-agent", "support", "clerk down")
    room = await stage.room()
    await stage.sees("support", f"<#{room.id}>")
    event = next(one for one in kinds(stage, "event message") if one.event and one.event["ts"] == message.ts)
    await stage.sandbox.redeliver(event)
    identity = (await incident_of(stage)).id
    await stage.muster.desk.handle(identity, ChangeStatus(status=Status.RESOLVED), by="U0SUPPORT")
    assert (await stage.sandbox.redeliver(event)).status == 200
    assert await stage.muster.desk.active() == []
    assert len(stage.rooms()) == 1


async def test_coming_and_going_is_recorded_once(stage: Stage, room: Any) -> None:
    """Slack repeats its events."""
    await stage.workspace.join("cto", room.name)
    for delivery in kinds(stage, "event member_joined_channel"):
        await stage.sandbox.redeliver(delivery)
    assert (await incident_of(stage)).responders.count("U0CTO") == 1
    await stage.workspace.leave("cto", room.name)
    for delivery in kinds(stage, "event member_joined_channel"):
        await stage.sandbox.redeliver(delivery)
    assert "U0CTO" not in (await incident_of(stage)).responders
