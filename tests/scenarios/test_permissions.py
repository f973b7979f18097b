"""Who may, lived through: the policy of a team in front of buttons, words and forms, and right before a run begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.domain.outcome import Risk, State
from bot.sandbox.models import UserGroup
from tests.scenarios.conftest import PATIENCE_S, Stage
from tests.scenarios.policy import PHRASE, SRE, USER, ended, looks, opened, previewed, revocations, start, the_incident
from tests.security.support import click_of, send

GROUP = "S0RESPONDERS"
RESTRICTED = {"read": SRE, "change": SRE, "destructive": SRE, "approve": "@approvers"}


async def restricted(stage: Stage, folder: Path, **more: Any) -> Any:
    """The room of an incident that the developer declared, in a team that lets groups act only; who is in it may come in."""
    stage.sandbox.state.groups["S0APPROVERS"] = UserGroup("S0APPROVERS", "approvers", "Approvers", ["U0CTO", "U0LEAD"])
    await start(stage, folder, permissions={**RESTRICTED, **more})
    room = await opened(stage)
    for user in ("oncall", "engineering-lead", "cto", "support-agent"):
        await stage.workspace.join(user, room.name)
    return room


def confirm(stage: Stage, run_id: str, incident_id: str, user: str, room: Any) -> Any:
    """Press the button of a preview."""
    return send(stage, click_of("confirm_run", f"{incident_id}/{run_id}", user=user, channel=room.id))


async def told(stage: Stage, user: str, channel: str, text: str) -> None:
    """Somebody alone reads this."""
    await stage.sees(channel, text, user=user)


# -- declaring -----------------------------------------------------------------------------------------------------


async def test_only_a_group_declares(unstarted: Stage, tmp_path: Path) -> None:
    """By command and by form, nobody else opens anything; a phrase of theirs is asked about, and the group answers."""
    stage = unstarted
    await start(stage, tmp_path, permissions={"declare": SRE})
    for words in ("/incident clerk down", f'/incident "{PHRASE}"', "/incident drill clerk down"):
        result = await stage.workspace.command("developer", "general", words)
        assert "Only members of the user group @incident-responders can open an incident" in str(result.response)
    await stage.workspace.command("developer", "general", "/incident")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    await stage.workspace.submit_view("developer", view["id"], {"title": {"value": "Broken"}})
    assert "Only members of" in str(stage.workspace.views("developer")[-1])
    await stage.workspace.say("developer", "general", PHRASE)
    question = await stage.sees("general", "Is it happening now?")
    await stage.click("developer", "general", question, "open_from_prompt")
    await told(stage, "developer", "general", "Only members of")
    assert await stage.muster.desk.active() == []
    assert stage.rooms() == []
    await stage.click("oncall", "general", question, "open_from_prompt")
    await stage.room()
    assert (await the_incident(stage)).opened.by == "U0ONCALL"


async def test_a_group_that_cannot_be_read_declares_nothing(unstarted: Stage, tmp_path: Path) -> None:
    """A group that cannot be read opens nothing for its members; whoever is named does."""
    stage = unstarted
    stage.sandbox.faults.add("usergroups.list", "500", times=100)
    await start(stage, tmp_path, permissions={"declare": ["@incident-responders", "U0SUPPORT"]})
    result = await stage.workspace.command("oncall", "general", f"/incident {PHRASE}")
    assert "cannot say at the moment who is in @incident-responders" in str(result.response)
    assert await stage.muster.desk.active() == []
    await stage.workspace.command("support-agent", "general", f"/incident {PHRASE}")
    assert (await the_incident(stage)).opened.by == "U0SUPPORT"
    await stage.room()


# -- reading and changing --------------------------------------------------------------------------------------------


async def test_reading_is_for_whom_the_policy_names(unstarted: Stage, tmp_path: Path) -> None:
    """The declarer is in the room, and neither diagnoses again nor runs what reads; the group does both."""
    stage = unstarted
    room = await restricted(stage, tmp_path)
    before = looks(stage)
    await stage.click("developer", room.name, stage.card(room.name), "run_diagnostics")
    await told(stage, "developer", room.name, "can run what reads; nothing was done")
    await stage.click("developer", room.name, stage.card(room.name), "run_step", block_id="do:look")
    incident = await the_incident(stage)
    assert (incident.diagnostics_round, dict(incident.runs), looks(stage)) == (1, {}, before)
    await stage.click("oncall", room.name, stage.card(room.name), "run_step", block_id="do:look")
    await stage.wait(lambda: looks(stage) > before, "the look")
    await stage.click("oncall", room.name, stage.card(room.name), "run_diagnostics")
    await stage.muster.desk.wait_until(incident.id, lambda now: now.diagnostics_round == 2, most_s=PATIENCE_S)


async def test_changing_is_for_whom_the_policy_names(unstarted: Stage, tmp_path: Path) -> None:
    """No form opens for whoever may not; who has one open, and is taken out of the group, sends it in vain."""
    stage = unstarted
    room = await restricted(stage, tmp_path)
    await stage.click("developer", room.name, stage.card(room.name), "run_step", block_id="do:end")
    await told(stage, "developer", room.name, "can run what changes something; nothing was done")
    assert stage.workspace.views("developer") == []
    await stage.click("oncall", room.name, stage.card(room.name), "run_step", block_id="do:end")
    view = (await stage.wait(lambda: stage.workspace.views("oncall"), "the form"))[-1]
    forged = {
        "id": view["id"], "hash": view["hash"], "type": "modal", "callback_id": view["callback_id"],
        "private_metadata": view["private_metadata"], "state": {"values": {"param:user_id": {"value": {"value": USER}}}},
    }  # fmt: skip
    click = click_of("x", "x", user="U0DEVELOPER", channel=room.id)
    answer = (await send(stage, {**click, "type": "view_submission", "view": forged}))[1]
    assert "can run what changes something" in answer
    assert (await the_incident(stage)).runs == {}
    await stage.workspace.submit_view("oncall", view["id"], {"param:user_id": {"value": USER}})
    await stage.sees(room.name, "What would happen")


async def test_who_is_named_acts_without_being_in_the_room(unstarted: Stage, tmp_path: Path) -> None:
    """The developer is the only one in the room; the lead approves from the preview, and is no responder by that."""
    stage = unstarted
    await start(stage, tmp_path, permissions={"approve": "U0SUPPORT"})
    room = await opened(stage)
    run = await previewed(stage, Risk.DESTRUCTIVE)
    incident = await the_incident(stage)
    await confirm(stage, run.id, incident.id, "U0SUPPORT", room)
    done = await ended(stage, run.id)
    assert done.outcome
    assert done.outcome.state is State.OK
    assert revocations(stage) == 7
    assert "U0SUPPORT" not in (await the_incident(stage)).responders


# -- approving -------------------------------------------------------------------------------------------------------


async def test_who_approves_is_in_the_group_and_somebody_else(unstarted: Stage, tmp_path: Path) -> None:
    """Not whoever asked, not a responder beside the group, not through `destructive` alone."""
    stage = unstarted
    room = await restricted(stage, tmp_path)
    run = await previewed(stage, Risk.DESTRUCTIVE, by="U0LEAD")
    incident = await the_incident(stage)
    for user in ("U0LEAD", "U0ONCALL", "U0DEVELOPER", "U0SUPPORT"):
        await confirm(stage, run.id, incident.id, user, room)
    assert (await the_incident(stage)).runs[run.id].confirmed is None
    assert revocations(stage) == 0
    await confirm(stage, run.id, incident.id, "U0CTO", room)
    assert (await ended(stage, run.id)).outcome
    assert revocations(stage) == 7


async def test_removed_from_the_group_a_second_ago(unstarted: Stage, tmp_path: Path) -> None:
    """The click is judged by a reading of seconds ago and counts; the run is judged by now, and does not begin."""
    stage = unstarted
    room = await restricted(stage, tmp_path)
    run = await previewed(stage, Risk.DESTRUCTIVE, by="U0LEAD")
    incident = await the_incident(stage)
    await confirm(stage, run.id, incident.id, "U0SUPPORT", room)  # refused; the groups were read for it
    stage.sandbox.state.groups["S0APPROVERS"].users.remove("U0CTO")
    await confirm(stage, run.id, incident.id, "U0CTO", room)
    denied = await ended(stage, run.id)
    assert denied.confirmed
    assert denied.outcome is None
    assert denied.denied_why == (
        "cto, who approved it, may not any more, so nothing was done: only members of the user group @approvers may."
    )
    assert revocations(stage) == 0
    await stage.sees(room.name, "may not any more")


async def test_who_asked_was_removed_while_it_was_looked_at(unstarted: Stage, tmp_path: Path) -> None:
    """Also for what needs no second person: the requester of a change is judged once more."""
    stage = unstarted
    room = await restricted(stage, tmp_path)
    run = await previewed(stage, Risk.DESTRUCTIVE, by="U0ONCALL")
    stage.sandbox.state.groups[GROUP].users.remove("U0ONCALL")
    await confirm(stage, run.id, (await the_incident(stage)).id, "U0CTO", room)
    assert "oncall, who asked for it, may not any more" in (await ended(stage, run.id)).denied_why
    assert revocations(stage) == 0


async def test_a_second_account_of_the_same_human(unstarted: Stage, tmp_path: Path) -> None:
    """The same mailbox behind both: it is no second person, and nothing is approved."""
    stage = unstarted
    await start(stage, tmp_path)
    room = await opened(stage)
    double = stage.workspace.add_user("developer.two", "Developer")
    double.email = "Developer+oncall@example.com"
    await stage.workspace.join("developer.two", room.name)
    run = await previewed(stage, Risk.DESTRUCTIVE)
    incident = await the_incident(stage)
    await confirm(stage, run.id, incident.id, double.id, room)
    assert (await the_incident(stage)).runs[run.id].confirmed is None
    assert revocations(stage) == 0


@pytest.mark.parametrize("risk", [Risk.CHANGE, Risk.DESTRUCTIVE])
async def test_when_slack_cannot_say_who_they_are_nothing_begins(unstarted: Stage, tmp_path: Path, risk: Risk) -> None:
    """The group of those who may cannot be read: whoever is in it confirms nothing."""
    stage = unstarted
    stage.sandbox.faults.add("usergroups.list", "500", times=100)
    await start(stage, tmp_path, permissions={"change": SRE, "destructive": SRE, "approve": SRE})
    room = await opened(stage)
    run = await previewed(stage, risk, by="U0ONCALL")
    incident = await the_incident(stage)
    await confirm(stage, run.id, incident.id, "U0LEAD", room)
    assert (await the_incident(stage)).runs[run.id].confirmed is None
    assert revocations(stage) == 0


async def test_a_group_that_falls_silent_after_the_click(unstarted: Stage, tmp_path: Path) -> None:
    """The approval counts; the run that would follow is refused with a sentence, and can be asked for once more."""
    stage = unstarted
    room = await restricted(stage, tmp_path)
    run = await previewed(stage, Risk.DESTRUCTIVE, by="U0ONCALL")
    incident = await the_incident(stage)
    await confirm(stage, run.id, incident.id, "U0SUPPORT", room)  # refused; the groups were read for it
    stage.sandbox.faults.add("usergroups.list", "500", times=100)
    await confirm(stage, run.id, incident.id, "U0CTO", room)
    denied = await ended(stage, run.id)
    assert "Slack cannot say at the moment whether oncall, who asked for it, still may" in denied.denied_why
    assert revocations(stage) == 0


async def test_the_room_hears_of_a_group_that_changes(unstarted: Stage, tmp_path: Path) -> None:
    """Somebody who may edit the group adds himself and approves: it counts, and everybody reads it."""
    stage = unstarted
    room = await restricted(stage, tmp_path)
    stage.sandbox.state.groups["S0APPROVERS"].users.append("U0SUPPORT")
    run = await previewed(stage, Risk.DESTRUCTIVE, by="U0ONCALL")
    await confirm(stage, run.id, (await the_incident(stage)).id, "U0CTO", room)
    await stage.sees(room.name, "The members of @approvers changed during this incident")
    await stage.sees(room.name, "added: support-agent (U0SUPPORT)")


async def test_who_may_not_ask_may_still_say_no_in_the_room(unstarted: Stage, tmp_path: Path) -> None:
    """The brake is for everybody in the room; not for somebody outside of it."""
    stage = unstarted
    room = await restricted(stage, tmp_path)
    await stage.workspace.leave("support-agent", room.name)
    run = await previewed(stage, Risk.CHANGE, by="U0ONCALL")
    incident = await the_incident(stage)
    await send(stage, click_of("cancel_run", f"{incident.id}/{run.id}", user="U0SUPPORT", channel=room.id))
    assert (await the_incident(stage)).runs[run.id].is_open
    await send(stage, click_of("cancel_run", f"{incident.id}/{run.id}", user="U0DEVELOPER", channel=room.id))
    assert not (await the_incident(stage)).runs[run.id].is_open
    assert revocations(stage) == 0


# -- the list of accounts ----------------------------------------------------------------------------------------------


async def test_the_list_of_affected_accounts_by_hand(unstarted: Stage, tmp_path: Path) -> None:
    """Added, shown and removed, for the eyes of the one who asks; a wrong id changes nothing."""
    stage = unstarted
    await start(stage, tmp_path)
    room = await opened(stage)

    async def says(words: str, *, user: str = "developer", channel: str = room.name) -> str:
        result = await stage.workspace.command(user, channel, f"/incident {words}")
        return str(result.response)

    assert "No account is on the list" in await says("accounts")
    added = await says("accounts add user_2abc, user_2def\nuser_2abc")
    assert "Added. Affected accounts: 2" in added
    assert "ephemeral" in added
    shown = await says("accounts")
    assert "`user_2abc`  added by <@U0DEVELOPER>" in shown
    assert "already" in await says("accounts add user_2def")
    for wrong in ("../../v1/users", "*", "user_2abc;drop", "--all", "<!channel>"):
        assert "named by its id" in await says(f"accounts add user_2new {wrong}")
    assert "Removed. Affected accounts: 1" in await says("accounts remove user_2abc")
    assert set((await the_incident(stage)).accounts) == {"user_2def"}
    for words in ("accounts", "accounts add user_2new", "accounts remove user_2def"):
        assert "Only people in" in await says(words, user="support-agent")
    assert set((await the_incident(stage)).accounts) == {"user_2def"}
    assert "Did you mean" in await says("accounts", channel="general")
    assert len(await stage.muster.desk.active()) == 1
