"""A private incident leaks nothing: not its title, not what is done about it, and not by the back door of another channel."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from bot.domain.commands import DeclareAgain
from bot.domain.facts import Origin, Status
from bot.sandbox.models import TEAM_ID
from tests.scenarios.conftest import Stage, said
from tests.security.support import (
    click_of,
    event_of,
    everything_sent,
    message_of,
    one_incident,
    private_incident,
    read,
    send,
)

TITLE = "Payroll of the board was stolen"
SECRET_WORDS = ("Payroll", "payroll", "stolen", "board")


def leaks(text: str) -> list[str]:
    """The words of the title in ``text``."""
    return [word for word in SECRET_WORDS if word in text]


@pytest.fixture
async def room(stage: Stage) -> Any:
    """The room of a private incident about a runbook that others may name too."""
    return await private_incident(stage, TITLE, runbook={"value": "clerk-auth-outage"})


async def test_the_title_is_nowhere_but_in_its_room(stage: Stage, room: Any) -> None:
    """Everything that can be asked or seen from outside, by people who are not in it, and all that was sent to Slack."""
    workspace = stage.workspace
    heard: list[str] = []
    for typed in ("list", "status", "ack", "resolve", "severity SEV2", "help", "clerk down"):
        result = await workspace.command("support-agent", "support", f"/incident {typed}")
        heard.append(json.dumps(result.response))
    result = await workspace.command("support-agent", "support", "/runbook clerk down")
    heard.append(json.dumps(result.response))
    for words in ("@muster list", "@muster status", "@muster clerk down", "clerk down", "is clerk down?"):
        await workspace.say("support-agent", "support", words)
    await stage.wait(lambda: "people responsible know" in json.dumps(stage.messages("support")), "the answer")
    await stage.sandbox.settled()
    for channel in ("incidents", "support", "general"):
        heard.append(json.dumps(stage.messages(channel, user="support-agent")))
    heard.extend(json.dumps(workspace.dm(user)) for user in ("oncall", "support-agent", "cto"))
    heard.append(await read(stage.muster.url, "/metrics"))
    heard.append(await read(stage.muster.url, "/readyz"))
    assert leaks("\n".join(heard)) == []
    assert leaks(room.name) == []
    assert room.is_private
    assert "U0SUPPORT" not in room.members
    for call in stage.sandbox.calls:
        inside = room.id in (call.arguments.get("channel"), call.arguments.get("channel_id"))
        own_form = call.method.startswith("views.")
        assert inside or own_form or leaks(json.dumps(call.arguments)) == [], call
        assert call.method != "conversations.create" or call.arguments["is_private"] in (True, "true")


async def test_nobody_outside_ends_it_from_where_it_was_named_again(stage: Stage, room: Any) -> None:
    """Saying the same thing again makes that channel a place of the incident; it gives no right in it."""
    incident = await one_incident(stage)
    origin = Origin(how="phrase", channel_id="C0GENERAL", message_ts="1.1")
    await stage.muster.desk.handle(incident.id, DeclareAgain(words="clerk down", origin=origin), by="U0SUPPORT")
    for action_id in ("not_an_incident", "resolve", "acknowledge", "tick"):
        value = incident.id if action_id != "tick" else f"{incident.id}/confirm"
        status, _ = await send(stage, click_of(action_id, value, user="U0SUPPORT", channel="C0GENERAL"))
        assert status == 200
    after = await stage.muster.desk.get(incident.id)
    assert (after.status, after.acknowledged, after.steps) == (Status.TRIAGE, None, {})


async def test_a_form_from_outside_is_not_even_opened(stage: Stage, room: Any) -> None:
    """What its steps and their cautions say is nobody's business outside."""
    incident = await one_incident(stage)
    before = len(stage.called("views.open"))
    origin = Origin(how="phrase", channel_id="C0GENERAL", message_ts="1.1")
    await stage.muster.desk.handle(incident.id, DeclareAgain(words="clerk down", origin=origin), by="U0SUPPORT")
    for action_id, step in (("skip", "logs"), ("run_step", "confirm")):
        await send(stage, click_of(action_id, f"{incident.id}/{step}", user="U0SUPPORT", channel="C0GENERAL"))
    assert len(stage.called("views.open")) == before


async def test_a_refusal_does_not_name_the_room(stage: Stage, room: Any) -> None:
    """Somebody who is told that he may not learns no more than that."""
    incident = await one_incident(stage)
    form = {
        "type": "view_submission",
        "team": {"id": TEAM_ID},
        "user": {"id": "U0SUPPORT"},
        "view": {
            "id": "V1",
            "hash": "h",
            "type": "modal",
            "callback_id": "skip_reason",
            "private_metadata": json.dumps({"target": f"{incident.id}/logs"}),
            "state": {"values": {"reason": {"value": {"value": "because"}}}},
        },
    }
    status, answer = await send(stage, form)
    assert status == 200
    assert "Only people in" in answer
    assert room.id not in answer
    assert (await one_incident(stage)).steps == {}


async def test_the_public_question_does_not_say_that_a_private_incident_was_opened(stage: Stage) -> None:
    """Whoever presses "Open incident" is told; the others in the thread read what every private incident says."""
    runbook = stage.muster.desk.catalog.runbooks["clerk-auth-outage"]
    catalog = stage.muster.desk.catalog
    runbooks = {**catalog.runbooks, runbook.id: runbook.model_copy(update={"private": True})}
    stage.muster.desk.catalog = dataclasses.replace(catalog, runbooks=runbooks)
    await stage.workspace.say("developer", "support", "is clerk down?")
    prompt = await stage.sees("support", "Is it happening now?")
    await stage.click("developer", "support", prompt, "open_from_prompt")
    room = await stage.room()
    assert room.is_private
    shown = await stage.sees("support", "people responsible know")
    assert "opened an incident" not in json.dumps(stage.messages("support"))
    assert shown


async def test_a_room_is_never_another_incidents_public_channel(stage: Stage) -> None:
    """Somebody holds the name of the private room, and a public incident has the name that would be tried next."""
    await stage.workspace.command("developer", "general", "/incident one thing")
    await stage.wait(lambda: len(stage.rooms()) == 1, "the first room")
    day = stage.rooms()[0].name[:12]
    await stage.workspace.command("developer", "general", "/incident private 3")
    await stage.wait(lambda: len(stage.rooms()) == 2, "the second room")
    public = stage.rooms()[1]
    assert public.name == f"{day}-private-3-2"
    stage.sandbox.state.create_channel(f"{day}-private-3", creator="U0SUPPORT")
    await stage.workspace.command("developer", "support", "/incident")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    given = {"title": {"value": TITLE}, "private": {"value": ["private"]}}
    await stage.workspace.submit_view("developer", view["id"], given)
    private = (await stage.wait(lambda: [one for one in stage.rooms() if one.is_private], "the private room"))[0]
    await stage.wait(lambda: stage.messages(private.name), "its card")
    await stage.sandbox.settled()
    assert leaks(json.dumps(stage.messages(public.name))) == []
    assert leaks(public.topic.value) == []


async def test_what_is_said_in_a_channel_with_outsiders_opens_nothing(stage: Stage) -> None:
    """A channel shared with another organisation reads every answer: no room, no list, no runbook; a mention says why."""
    await stage.workspace.command("developer", "general", "/incident unauthorized access detected")
    await stage.room()
    said_before = await stage.workspace.say("developer", "support", "lunch?")
    me = f"<@{stage.muster.workspace.bot_user_id}>"
    for number, words in enumerate(
        ("clerk down", "is clerk down?", f"{me} list", f"{me} status", f"{me} clerk down", f"{me} help")
    ):
        event = message_of(words, ts=f"6.{number}", thread_ts=said_before.ts)
        event["type"] = "app_mention" if me in words else "message"
        status, _ = await send(stage, event_of(event, event_id=f"Ev{number}", is_ext_shared_channel=True))
        assert status == 200
    await stage.sees("support", "shared with another organisation")
    await stage.sandbox.settled()
    assert len(stage.rooms()) == 1
    text = json.dumps(stage.messages("support"))
    assert "Security incident" not in text
    assert "unauthorized" not in text
    assert "Is it happening now" not in text


async def test_nothing_that_was_sent_names_it_after_the_end(stage: Stage, room: Any) -> None:
    """Resolved and reopened: the later messages are as silent as the first ones."""
    await stage.click("developer", room.name, stage.card(room.name), "resolve")
    await stage.sees(room.name, "resolved")
    await stage.click("developer", room.name, stage.card(room.name), "reopen")
    await stage.wait(lambda: "Reopen" not in said(stage.card(room.name)), "the reopened card")
    await stage.sandbox.settled()
    assert (await one_incident(stage)).status is Status.INVESTIGATING
    assert leaks(json.dumps([stage.messages(name) for name in ("incidents", "support", "general")])) == []
    assert TITLE in everything_sent(stage)
