"""Everything that people can say to Muster, typed by people in the workspace: commands, forms, shortcuts, mentions, phrases."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.domain.incident import Incident
from bot.slack.listeners.grammar import FORMS
from tests.conftest import ROOT
from tests.scenarios.conftest import Stage, said, staged

Json = dict[str, Any]
SENTINEL = "is clerk down?"


async def active(stage: Stage) -> list[Incident]:
    """The open incidents: what a delivery opened is there as soon as it is answered."""
    return await stage.muster.desk.active()


async def told(stage: Stage, user: str, channel: str, text: str) -> str:
    """What somebody reads right after a slash command."""
    result = await stage.workspace.command(user, channel, text)
    assert result.ok, result.error
    assert result.response, "no answer"
    return said(result.response)


async def opened(stage: Stage, text: str = "/incident clerk down", *, user: str = "developer") -> Any:
    """The room of an incident that a command opens."""
    before = {channel.id for channel in stage.rooms()}
    await stage.workspace.command(user, "general", text)
    rooms = await stage.wait(lambda: [room for room in stage.rooms() if room.id not in before], "a room")
    await stage.wait(lambda: stage.messages(rooms[0].name), "the card")
    await stage.wait(lambda: stage.workspace.user(user).id in rooms[0].members, "whoever opened it in the room")
    return rooms[0]


def replies(stage: Stage, channel: str, ts: str | None) -> list[Json]:
    """The answers in the thread of a message."""
    return [message for message in stage.messages(channel) if message.get("thread_ts") == ts and message["ts"] != ts]


async def form_of(stage: Stage, user: str) -> Json:
    """The form that somebody sees."""
    views = await stage.wait(lambda: stage.workspace.views(user), "a form")
    return dict(views[-1])


def texts(view: Json) -> str:
    """What a form says."""
    return said({"blocks": view["blocks"]})


# -- the form ------------------------------------------------------------------------------------------------------


async def test_the_command_alone_opens_the_form(stage: Stage) -> None:
    """Title, runbook, severity, service: the room is as the form says, and the form shows where it is."""
    result = await stage.workspace.command("developer", "support", "/incident")
    assert result.ok
    assert result.response is None
    view = await form_of(stage, "developer")
    values = {
        "title": {"value": "Checkout is broken"},
        "runbook": {"value": "clerk-auth-outage"},
        "severity": {"value": "SEV2"},
        "service": {"value": "clerk"},
    }
    sent = await stage.workspace.submit_view("developer", view["id"], values)
    assert sent.ok, sent
    room = await stage.room()
    assert "checkout-is-broken" in room.name
    assert "SEV2 · Checkout is broken" in said(stage.card(room.name))
    assert "Complete auth outage" in said(stage.card(room.name))
    await stage.wait(lambda: f"<#{room.id}>" in texts(stage.workspace.views("developer")[-1]), "the room in the form")


async def test_a_private_incident_shows_nowhere(stage: Stage) -> None:
    """A private channel without the title in its name, no announcement, nothing in the list for others."""
    await stage.workspace.command("developer", "support", "/incident")
    view = await form_of(stage, "developer")
    values = {"title": {"value": "Payroll leaked"}, "private": {"value": ["private"]}}
    assert (await stage.workspace.submit_view("developer", view["id"], values)).ok
    room = await stage.room()
    assert room.is_private
    assert "payroll" not in room.name
    assert "leaked" not in room.name
    await stage.wait(lambda: "U0ONCALL" in room.members, "on-call in the room")
    page = (await stage.wait(lambda: stage.workspace.dm("oncall"), "the page"))[0]
    assert "Payroll" not in said(page)
    assert "Payroll" not in await told(stage, "support-agent", "support", "/incident list")
    for channel in ("incidents", "support", "general"):
        assert "Payroll" not in " ".join(said(message) for message in stage.messages(channel, user="support-agent"))


async def test_a_form_without_a_title_says_so(stage: Stage) -> None:
    """Blanks are no title; nothing is opened, and the form stays to be filled in."""
    await stage.workspace.command("developer", "support", "/incident")
    view = await form_of(stage, "developer")
    sent = await stage.workspace.submit_view("developer", view["id"], {"title": {"value": "   "}})
    assert sent.errors == {"title": "Say in a few words what is broken."}
    assert await active(stage) == []
    assert (await stage.workspace.submit_view("developer", view["id"], {"title": {"value": "clerk down"}})).ok
    await stage.room()


async def test_what_is_typed_into_a_form_is_taken_literally(stage: Stage) -> None:
    """A form gives what was typed, not Slack's markup: nothing of it is decoded."""
    await stage.workspace.command("developer", "support", "/incident")
    view = await form_of(stage, "developer")
    await stage.workspace.submit_view("developer", view["id"], {"title": {"value": "if a < b > c &lt; <!channel>"}})
    room = await stage.room()
    assert stage.card(room.name)["blocks"][0]["text"]["text"].endswith("if a < b > c &lt; <!channel>")
    assert "<!channel>" not in stage.card(room.name)["text"]


async def test_the_form_finds_the_runbook_by_its_words(stage: Stage) -> None:
    """Left open, the title chooses."""
    await stage.workspace.command("developer", "support", "/incident")
    view = await form_of(stage, "developer")
    await stage.workspace.submit_view("developer", view["id"], {"title": {"value": "auth not working"}})
    room = await stage.room()
    assert "Complete auth outage" in said(stage.card(room.name))


# -- subcommands ---------------------------------------------------------------------------------------------------


async def test_help_lists_every_command(stage: Stage) -> None:
    """The table of the parser."""
    text = await told(stage, "developer", "general", "/incident help")
    for form in FORMS:
        assert form.help in text
    assert "/runbook" in text


async def test_list_and_status_outside_of_a_room(stage: Stage) -> None:
    """What is open, and where it stands."""
    assert "No incident is open" in await told(stage, "developer", "general", "/incident list")
    room = await opened(stage)
    for command in ("/incident list", "/incident status"):
        text = await told(stage, "support-agent", "support", command)
        assert "clerk down" in text
        assert f"<#{room.id}>" in text


async def test_status_in_the_room_says_what_is_next(stage: Stage) -> None:
    """Of this incident alone."""
    room = await opened(stage)
    assert "Next: step 1, Confirm outage" in await told(stage, "developer", room.name, "/incident status")


@pytest.mark.parametrize(("typed", "severity"), [("severity SEV3", "SEV3"), ("severity sev2", "SEV2"), ("sev 4", "SEV4")])
async def test_severity_changes_the_targets(stage: Stage, typed: str, severity: str) -> None:
    """The card follows."""
    room = await opened(stage)
    assert f"It is {severity} now" in await told(stage, "developer", room.name, f"/incident {typed}")
    await stage.sees(room.name, f"{severity} · clerk down")
    assert "already" in await told(stage, "developer", room.name, f"/incident {typed}")


async def test_assign_makes_somebody_commander(stage: Stage) -> None:
    """Somebody else, who is brought into the room, or oneself."""
    room = await opened(stage)
    text = await told(stage, "developer", room.name, "/incident assign @engineering-lead commander")
    assert "<@U0LEAD> is incident commander" in text
    await stage.sees(room.name, "*Incident commander*\n<@U0LEAD>")
    await stage.wait(lambda: "U0LEAD" in room.members, "the commander in the room")
    await told(stage, "developer", room.name, "/incident assign me commander")
    await stage.sees(room.name, "*Incident commander*\n<@U0DEVELOPER>")


async def test_ack_stops_the_escalation(stage: Stage) -> None:
    """By words as by the button."""
    room = await opened(stage)
    assert "You have it" in await told(stage, "developer", room.name, "/incident ack")
    await stage.wait(lambda: "<@U0DEVELOPER> has it" in said(stage.card(room.name)), "who has it, on the card")
    assert "investigating" in said(stage.card(room.name))
    assert "You already have it" in await told(stage, "developer", room.name, "/incident ack")
    await stage.advance(60 * 60)
    await stage.idle()
    assert not stage.workspace.dm("engineering-lead")


async def test_resolve_ends_it_and_the_card_reopens_it(stage: Stage) -> None:
    """The same outage opens a new room afterwards; the old one cannot be reopened meanwhile."""
    room = await opened(stage)
    assert "Resolved" in await told(stage, "developer", room.name, "/incident resolve")
    card = await stage.sees(room.name, "🟢 resolved")
    second = await opened(stage)
    assert second.id != room.id
    await stage.click("developer", room.name, card, "reopen")
    refusal = await stage.sees(room.name, "is open already", user="developer")
    assert f"<#{second.id}>" in said(refusal)
    await told(stage, "developer", second.name, "/incident resolve")
    await stage.click("developer", room.name, card, "reopen")
    await stage.sees(room.name, "🔎 investigating")


@pytest.mark.parametrize("typed", ["severity SEV2", "ack", "resolve", "assign me commander"])
async def test_what_needs_a_room_says_where_to_do_it(stage: Stage, typed: str) -> None:
    """In another channel nothing happens."""
    room = await opened(stage)
    text = await told(stage, "developer", "general", f"/incident {typed}")
    assert "not the room of an incident" in text
    assert f"<#{room.id}>" in text
    (incident,) = await active(stage)
    assert (incident.acknowledged, incident.roles, incident.severity) == (None, {}, "SEV1")


async def test_a_drill_is_a_rehearsal_of_everything(stage: Stage) -> None:
    """Marked, with room, checklist and pages; it swallows no real declaration."""
    text = await told(stage, "developer", "general", "/incident drill clerk down")
    assert "drill" in text
    room = await stage.room()
    assert "-drill-clerk-down-" in room.name
    assert "DRILL · SEV1" in said(stage.card(room.name))
    await stage.sees("incidents", "DRILL · SEV1")
    page = (await stage.wait(lambda: stage.workspace.dm("oncall"), "the page"))[0]
    assert "DRILL, nothing is broken" in said(page)
    real = await opened(stage)
    assert real.id != room.id
    again = await opened(stage, "/incident drill clerk down")
    assert len({room.id, real.id, again.id}) == 3


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("stauts", "status"), ("resolv", "resolve"), ("severity SEV9", "severity SEV1…SEV4"), ("drill", "drill &lt;words&gt;")],
)
async def test_a_mistyped_command_opens_nothing(stage: Stage, typed: str, nearest: str) -> None:
    """It names the nearest one, says how to mean the words all the same, and offers the form."""
    result = await stage.workspace.command("developer", "general", f"/incident {typed}")
    assert result.response
    text = said(result.response)
    assert f"Did you mean `/incident {nearest}`?" in text
    assert f'`/incident "{typed}"`' in text
    assert await active(stage) == []
    await stage.click("developer", "general", result.response, "open_words")
    assert (await form_of(stage, "developer"))["callback_id"] == "declare"


async def test_words_in_quotes_are_what_is_broken(stage: Stage) -> None:
    """Also when they are a command."""
    await told(stage, "developer", "general", '/incident "status"')
    room = await stage.room()
    assert "-status-" in room.name


async def test_words_that_nothing_knows_open_an_incident_too(stage: Stage) -> None:
    """Without a runbook, with the default severity."""
    await told(stage, "developer", "general", "/incident the coffee machine of the fourth floor leaks")
    room = await stage.room()
    card = said(stage.card(room.name))
    assert "SEV3" in card
    assert "not chosen yet" in card


async def test_a_second_declaration_points_at_the_open_one(stage: Stage) -> None:
    """Whoever says it is invited; there is one room."""
    room = await opened(stage)
    text = await told(stage, "support-agent", "support", "/incident clerk outage")
    assert "already open" in text
    assert f"<#{room.id}>" in text
    await stage.wait(lambda: "U0SUPPORT" in room.members, "whoever said it in the room")
    assert len(stage.rooms()) == 1


async def test_a_second_declaration_of_a_private_one_learns_nothing(stage: Stage) -> None:
    """Neither the room nor that they would get in."""
    await stage.workspace.command("developer", "support", "/incident")
    view = await form_of(stage, "developer")
    values = {"title": {"value": "clerk down"}, "private": {"value": ["private"]}}
    await stage.workspace.submit_view("developer", view["id"], values)
    room = await stage.room()
    text = await told(stage, "support-agent", "support", "/incident clerk down")
    assert "The people responsible know of it" in text
    assert room.id not in text
    await stage.sandbox.settled()
    assert "U0SUPPORT" not in room.members
    assert len(stage.rooms()) == 1


async def test_words_that_name_the_whole_pack_open_at_once_and_ask_which(stage: Stage) -> None:
    """ "clerk emergency": the room is there, each runbook has a button, and the diagnosis starts with the choice."""
    await told(stage, "developer", "general", "/incident clerk emergency")
    room = await stage.room()
    card = stage.card(room.name)
    assert "not chosen yet" in said(card)
    await stage.wait(lambda: "U0ONCALL" in room.members, "on-call in the room")
    await stage.click("developer", room.name, card, "choose_runbook:2")
    await stage.sees(room.name, "Clerk status page: *ok*")
    card = stage.card(room.name)
    assert "*Runbook*\nSecurity incident" in said(card)
    assert "Revoke all sessions" in said(card)


async def test_the_runbook_of_another_open_incident_cannot_be_chosen(stage: Stage) -> None:
    """One open incident for each runbook: the click says where to go on."""
    first = await opened(stage)
    second = await opened(stage, "/incident clerk emergency")
    await stage.click("developer", second.name, stage.card(second.name), "choose_runbook:0")
    refusal = await stage.sees(second.name, "is open already", user="developer")
    assert f"<#{first.id}>" in said(refusal)
    await stage.click("developer", second.name, stage.card(second.name), "choose_runbook:2")
    await stage.sees(second.name, "*Runbook*\nSecurity incident")


# -- /runbook ------------------------------------------------------------------------------------------------------


async def test_runbook_alone_lists_them(stage: Stage) -> None:
    """For whoever asked."""
    result = await stage.workspace.command("developer", "general", "/runbook")
    assert result.response
    text = said(result.response)
    assert "`/runbook clerk-auth-outage`" in text
    assert "`/runbook clerk-security-incident`" in text
    assert result.response.get("is_ephemeral")


@pytest.mark.parametrize("words", ["clerk down", "clerk-auth-outage", "sign in middleware errors"])
async def test_runbook_with_words_shows_it_to_everybody(stage: Stage, words: str) -> None:
    """Without an incident; its button opens one."""
    result = await stage.workspace.command("developer", "general", f"/runbook {words}")
    assert result.response
    assert not result.response.get("is_ephemeral")
    text = said(result.response)
    assert "📕 Complete auth outage" in text
    assert "nothing was opened" in text
    assert await active(stage) == []
    await stage.click("support-agent", "general", result.response, "open_runbook")
    room = await stage.room()
    assert "Complete auth outage" in said(stage.card(room.name))
    await stage.sees("general", f"<#{room.id}>", user="support-agent")


async def test_runbook_for_unknown_words_shows_what_there_is(stage: Stage) -> None:
    """With the words cut and shown literally."""
    text = await told(stage, "developer", "general", "/runbook <!channel> " + "x" * 5_000)
    assert "No runbook fits “&lt;!channel&gt; x" in text
    assert "`/runbook clerk-auth-outage`" in text
    assert len(text) < 1_000


# -- shortcuts -----------------------------------------------------------------------------------------------------


async def test_a_message_can_be_taken_as_what_is_broken(stage: Stage) -> None:
    """The form is filled in with it; the answer comes into its thread."""
    message = await stage.workspace.say("support-agent", "support", "Customers cannot pay &  <b> since 9:00")
    await stage.workspace.shortcut("developer", "open_incident_from_message", "support", message.ts)
    view = await form_of(stage, "developer")
    title = view["blocks"][0]["element"]["initial_value"]
    assert title == "Customers cannot pay & <b> since 9:00"
    assert (await stage.workspace.submit_view("developer", view["id"])).ok
    room = await stage.room()
    answer = await stage.sees("support", f"<#{room.id}>")
    assert answer["thread_ts"] == message.ts


async def test_a_shortcut_that_fails_says_so_in_their_direct_messages(stage: Stage) -> None:
    """Pressed from anywhere there is no channel to answer in; silence would look as if nobody had pressed."""
    stage.sandbox.faults.add("views.open", "500", times=1)
    await stage.workspace.shortcut("developer", "open_incident")
    told = (await stage.wait(lambda: stage.workspace.dm("developer"), "the answer"))[0]
    assert "may not have happened" in said(told)
    assert not stage.workspace.views("developer")
    await stage.workspace.shortcut("developer", "open_incident")
    assert stage.workspace.views("developer")
    await stage.sandbox.settled()
    assert len(stage.workspace.dm("developer")) == 1


async def test_the_shortcut_from_anywhere_opens_the_form(stage: Stage) -> None:
    """Without a channel to answer in: the form itself says where the room is."""
    await stage.workspace.shortcut("developer", "open_incident")
    view = await form_of(stage, "developer")
    assert (await stage.workspace.submit_view("developer", view["id"], {"title": {"value": "clerk down"}})).ok
    room = await stage.room()
    await stage.wait(lambda: f"<#{room.id}>" in texts(stage.workspace.views("developer")[-1]), "the room in the form")
    await stage.sees("incidents", f"<#{room.id}>")


# -- mentions ------------------------------------------------------------------------------------------------------


async def test_a_mention_with_words_opens_an_incident(stage: Stage) -> None:
    """The answer is in the thread; the phrase in it opens no second one."""
    message = await stage.workspace.say("support-agent", "support", "@muster clerk down")
    room = await stage.room()
    answer = await stage.sees("support", f"<#{room.id}>")
    assert answer["thread_ts"] == message.ts
    await stage.sandbox.settled()
    assert len(await active(stage)) == 1
    assert len(replies(stage, "support", message.ts)) == 1


@pytest.mark.parametrize("words", ["help", "", "list", "stauts", "severity SEV2"])
async def test_a_mention_is_answered_in_its_thread(stage: Stage, words: str) -> None:
    """The same words as behind the command; a refusal is an answer, too. Delivered twice, it is answered once."""
    message = await stage.workspace.say("developer", "general", f"@muster {words}")
    await stage.wait(lambda: replies(stage, "general", message.ts), "an answer")
    mention = next(delivery for delivery in stage.sandbox.deliveries if delivery.kind == "event app_mention")
    assert (await stage.sandbox.redeliver(mention)).status == 200
    other = await stage.workspace.say("developer", "general", "@muster help")
    await stage.wait(lambda: replies(stage, "general", other.ts), "the answer to a later one")
    assert len(replies(stage, "general", message.ts)) == 1
    assert await active(stage) == []


# -- phrases -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["clerk down", "Clerk is down!!", "hey all, clerk is DOWN :fire:", "auth isn't working", "*clerk outage*"]
)
async def test_a_bare_phrase_opens_at_once(stage: Stage, text: str) -> None:
    """A message that is little more than the phrase; one click takes it back."""
    message = await stage.workspace.say("support-agent", "support", text)
    room = await stage.room()
    answer = await stage.sees("support", f"<#{room.id}>")
    assert answer["thread_ts"] == message.ts
    await stage.click("support-agent", "support", answer, "not_an_incident")
    await stage.sees("support", "Recorded as not an incident by <@U0SUPPORT>")
    await stage.wait(lambda: room.is_archived, "the archived room")
    assert await active(stage) == []
    await stage.advance(60 * 60)
    await stage.idle()
    assert not stage.workspace.dm("engineering-lead")


ASKED = [
    "is clerk down?",
    "Hi team, a customer in Berlin wrote to us at length about yesterday's invoice and also thinks that clerk is down again.",
]


@pytest.mark.parametrize("text", ASKED)
async def test_a_question_and_prose_are_asked_about_once(stage: Stage, text: str) -> None:
    """One reply in the thread with two buttons, and nothing is opened."""
    message = await stage.workspace.say("support-agent", "support", text)
    await stage.wait(lambda: replies(stage, "support", message.ts), "the question")
    assert await active(stage) == []
    event = next(delivery for delivery in stage.sandbox.deliveries if delivery.kind == "event message")
    await stage.sandbox.redeliver(event)
    await quiet(stage)
    (prompt,) = replies(stage, "support", message.ts)
    buttons = [element["action_id"] for block in prompt["blocks"] for element in block.get("elements", [])]
    assert buttons == ["open_from_prompt", "dismiss_prompt"]


async def quiet(stage: Stage) -> None:
    """Everything that was said before has had its effect: a later message has been answered."""
    message = await stage.workspace.say("engineering-lead", "general", SENTINEL)
    await stage.wait(lambda: replies(stage, "general", message.ts), "the answer to a later message")


async def test_the_question_opens_an_incident_by_its_button(stage: Stage) -> None:
    """Whoever presses it declares; the question is gone, the thread says where the room is."""
    message = await stage.workspace.say("support-agent", "support", ASKED[0])
    prompt = (await stage.wait(lambda: replies(stage, "support", message.ts), "the question"))[0]
    await stage.click("developer", "support", prompt, "open_from_prompt")
    room = await stage.room()
    await stage.sees("support", "<@U0DEVELOPER> opened an incident")
    answer = await stage.sees("support", f"<#{room.id}>")
    assert answer["thread_ts"] == message.ts
    assert (await active(stage))[0].opened.by == "U0DEVELOPER"


async def test_the_question_is_dismissed_by_its_button(stage: Stage) -> None:
    """Who said no is said; nothing is opened."""
    message = await stage.workspace.say("support-agent", "support", ASKED[0])
    prompt = (await stage.wait(lambda: replies(stage, "support", message.ts), "the question"))[0]
    await stage.click("support-agent", "support", prompt, "dismiss_prompt")
    await stage.sees("support", "Not an incident, says <@U0SUPPORT>")
    assert await active(stage) == []


@pytest.mark.parametrize(
    "text", ["clerk download", "the clerk at the desk is downstairs", "no clerk outage today", "lunch?", "`clerk down`"]
)
async def test_what_only_looks_like_a_phrase_is_nothing(stage: Stage, text: str) -> None:
    """No room, no question."""
    message = await stage.workspace.say("support-agent", "support", text)
    await quiet(stage)
    assert await active(stage) == []
    assert replies(stage, "support", message.ts) == []


async def test_an_edit_never_opens(stage: Stage) -> None:
    """Who corrects an old message reports nothing."""
    message = await stage.workspace.say("support-agent", "support", "lunch?")
    assert message.ts
    await stage.workspace.edit("support-agent", "support", message.ts, "clerk down")
    await quiet(stage)
    assert await active(stage) == []
    assert replies(stage, "support", message.ts) == []


async def test_bots_and_muster_itself_never_open(stage: Stage) -> None:
    """Neither another app's alert nor Muster's own words about the outage, also after the end of the incident."""
    await stage.workspace.say_as_other_bot("support", "clerk down")
    room = await opened(stage)
    await told(stage, "developer", room.name, "/incident resolve")
    await stage.workspace.command("developer", "general", "/runbook clerk-auth-outage")
    stage.sandbox.state.post_as_bot("C0SUPPORT", "clerk down")
    stage.sandbox.courier.flush()
    await quiet(stage)
    assert await active(stage) == []
    assert len(stage.rooms()) == 1


async def test_an_incident_room_talks_about_its_incident(stage: Stage) -> None:
    """In it and in its threads nothing is opened, declared again or asked."""
    room = await opened(stage)
    await stage.wait(lambda: "U0DEVELOPER" in room.members, "the declarer is in the room")
    await stage.workspace.say("developer", room.name, "clerk is down since 9:00")
    await stage.workspace.say("developer", room.name, "clerk down", thread_ts=stage.card(room.name)["ts"])
    await quiet(stage)
    (incident,) = await active(stage)
    assert incident.declared_again == ()
    assert not replies(stage, room.name, stage.card(room.name)["ts"])[1:]


async def test_a_direct_message_opens_nothing(stage: Stage) -> None:
    """What is said to Muster alone is not said to everybody."""
    await stage.workspace.say("developer", "@muster", "clerk down")
    await quiet(stage)
    assert await active(stage) == []


async def test_a_second_phrase_points_at_the_open_incident(stage: Stage) -> None:
    """In its own thread; whoever said it is invited."""
    await stage.workspace.say("support-agent", "support", "clerk down")
    room = await stage.room()
    message = await stage.workspace.say("engineering-lead", "general", "clerk is down")
    answer = (await stage.wait(lambda: replies(stage, "general", message.ts), "the answer"))[0]
    assert f"<#{room.id}>" in said(answer)
    await stage.wait(lambda: "U0LEAD" in room.members, "whoever said it in the room")
    assert len(stage.rooms()) == 1


async def test_guests_get_the_question_not_the_room(stage: Stage) -> None:
    """They cannot answer it either; a member can."""
    message = await stage.workspace.say("guest", "support", "clerk down")
    prompt = (await stage.wait(lambda: replies(stage, "support", message.ts), "the question"))[0]
    assert await active(stage) == []
    await stage.click("guest", "support", prompt, "open_from_prompt")
    await stage.sees("support", "ask a member of the team", user="guest")
    assert await active(stage) == []
    await stage.click("support-agent", "support", prompt, "open_from_prompt")
    await stage.room()


@pytest.mark.parametrize(
    "typed",
    [
        "/incident clerk down",
        "/incident drill clerk down",
        "/incident list",
        "/incident status",
        "/runbook",
        "/runbook clerk down",
    ],
)
async def test_guests_learn_nothing_and_open_nothing_by_commands(stage: Stage, typed: str) -> None:
    """What is open and how it is handled is for the team."""
    assert "ask a member of the team" in await told(stage, "guest", "support", typed)
    assert await active(stage) == []


@pytest.fixture
async def with_policy(redis_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A bot whose policy.yml says ``on_phrase: <parameter>``."""
    folder = tmp_path / "runbooks"
    shutil.copytree(ROOT / "runbooks", folder)
    policy = folder / "policy.yml"
    policy.write_text(policy.read_text("utf-8").replace("on_phrase: auto", f"on_phrase: {request.param}"), "utf-8")
    async with staged(f"{redis_url}?db=1") as stage:
        stage.environment["MUSTER_RUNBOOKS"] = str(folder)
        await stage.start()
        yield stage
        await stage.sandbox.courier.stop()
        await stage.stop()


@pytest.mark.parametrize("with_policy", ["ask"], indirect=True)
async def test_a_team_may_want_to_be_asked_always(with_policy: Stage) -> None:
    """``on_phrase: ask``: a bare phrase is asked about as well."""
    stage = with_policy
    message = await stage.workspace.say("support-agent", "support", "clerk down")
    await stage.wait(lambda: replies(stage, "support", message.ts), "the question")
    assert await active(stage) == []


@pytest.mark.parametrize("with_policy", ["off"], indirect=True)
async def test_a_team_may_want_no_phrases(with_policy: Stage) -> None:
    """``on_phrase: off``: messages are none of Muster's business; commands and mentions are."""
    stage = with_policy
    message = await stage.workspace.say("support-agent", "support", "clerk down")
    asked = await stage.workspace.say("support-agent", "support", ASKED[0])
    mention = await stage.workspace.say("support-agent", "general", "@muster help")
    await stage.wait(lambda: replies(stage, "general", mention.ts), "the answer to the mention")
    assert await active(stage) == []
    assert replies(stage, "support", message.ts) == replies(stage, "support", asked.ts) == []
    await told(stage, "support-agent", "support", "/incident clerk down")
    assert len(await active(stage)) == 1
