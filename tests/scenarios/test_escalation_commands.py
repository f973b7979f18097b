"""What people do about the escalation in Slack: call more people, say how it stands, what it hurts, and that they have it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.incident import Incident
from tests.scenarios.conftest import Stage, said

pytestmark = pytest.mark.slow

Json = dict[str, Any]


@pytest.fixture
async def room(stage: Stage) -> Any:
    """The room of an outage with its people in it; nothing is on its way any more."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
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


async def told(stage: Stage, user: str, channel: str, text: str) -> str:
    """What the answer to a command says."""
    result = await stage.workspace.command(user, channel, text)
    assert result.ok, result.error
    assert result.response
    return said(result.response)


async def page_of(stage: Stage, user: str, text: str) -> Json:
    """The page of somebody that says so."""

    def look() -> Json | None:
        return next((message for message in stage.workspace.dm(user) if text in said(message)), None)

    found: Json = await stage.wait(look, f"“{text}” to {user}")
    return found


async def form_of(stage: Stage, user: str) -> Json:
    """The form that somebody has before them."""
    view: Json = (await stage.wait(lambda: stage.workspace.views(user), "the form"))[-1]
    return view


async def escalating(stage: Stage, room: Any, user: str = "developer") -> Json:
    """The form behind "Escalate…" in the card."""
    await stage.click(user, room.name, stage.card(room.name), "escalate")
    return await form_of(stage, user)


async def nobody_was_called(stage: Stage) -> None:
    """No alarm but those of the clock."""
    await stage.idle()
    assert [raised.key for raised in (await incident_of(stage)).raised.values() if raised.by] == []
    assert stage.workspace.dm("cto") == []


# -- words ---------------------------------------------------------------------------------------------------------


async def test_the_next_level_is_called_at_once(stage: Stage, room: Any) -> None:
    """Without waiting for its time; the clock does not page it a second time."""
    text = await told(stage, "developer", room.name, "/incident escalate")
    assert "⏫ Calling level 2: Engineering lead now" in text
    page = await page_of(stage, "engineering-lead", "<@U0DEVELOPER> asks for you")
    assert "Acknowledge" in said(page)
    await stage.sees(room.name, "⏫ <@U0DEVELOPER> called Engineering lead")
    await told(stage, "developer", room.name, "/incident escalate")
    await page_of(stage, "cto", "<@U0DEVELOPER> asks for you")
    text = await told(stage, "developer", room.name, "/incident escalate")
    assert "Everybody on the escalation ladder was paged already" in text
    await stage.advance(20 * 60)
    await stage.idle()
    assert len(stage.workspace.dm("engineering-lead")) == 1


@pytest.mark.parametrize(
    "typed",
    ["3 db is <corrupt>", "level 3 db is <corrupt>", "cto db is <corrupt>", "to CTO: db is <corrupt>", "@cto db is <corrupt>"],
)
async def test_somebody_is_called_with_a_reason(stage: Stage, room: Any, typed: str) -> None:
    """By level, by id, by name, by mention; the reason is shown literally."""
    text = await told(stage, "developer", room.name, f"/incident escalate {typed}")
    assert "CTO" in text
    page = await page_of(stage, "cto", "<@U0DEVELOPER> asks for you: db is &lt;corrupt&gt;.")
    assert "Acknowledge" in said(page)
    await stage.sees(room.name, "⏫ <@U0DEVELOPER> called CTO: db is &lt;corrupt&gt;")
    await stage.wait(lambda: "U0CTO" in room.members, "the CTO in the room")
    raised = next(one for one in (await incident_of(stage)).raised.values() if one.by)
    assert raised.contact_ids == ("cto",)


async def test_somebody_who_is_in_no_file_is_called_by_mention(stage: Stage, room: Any) -> None:
    """They get a page, come into the room, may acknowledge, and stand in the card by their name."""
    assert "Calling <@U0SUPPORT> now" in await told(stage, "developer", room.name, "/incident escalate @support-agent please")
    page = await page_of(stage, "support-agent", "asks for you: please.")
    await stage.wait(lambda: "U0SUPPORT" in room.members, "they in the room")
    await stage.click("support-agent", "@muster", page, "acknowledge")
    await stage.sees(room.name, "✋ <@U0SUPPORT> has it.")
    assert (await incident_of(stage)).acknowledged


async def test_whoever_has_it_may_call_somebody_who_takes_it_over(stage: Stage, room: Any) -> None:
    """An acknowledgement does not stop who is called behind it."""
    await told(stage, "developer", room.name, "/incident ack")
    await told(stage, "developer", room.name, "/incident escalate engineering lead you know this better")
    page = await page_of(stage, "engineering-lead", "asks for you: you know this better.")
    await stage.recorded("engineering-lead", page)
    await stage.click("engineering-lead", "@muster", page, "acknowledge")
    await stage.sees(room.name, "✋ <@U0LEAD> has it.")
    acknowledged = (await incident_of(stage)).acknowledged
    assert acknowledged
    assert acknowledged.by == "U0LEAD"


async def test_a_mention_escalates_as_well(stage: Stage, room: Any) -> None:
    """The same words, the same grammar."""
    await stage.workspace.say("developer", room.name, "@muster escalate cto it burns")
    await page_of(stage, "cto", "asks for you: it burns.")


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("9", "There is no level 9; this incident's ladder has 1, 2, 3."),
        ("level 0", "There is no level 0"),
        ("bob db is corrupt", "Nobody was called: “bob db is corrupt” does not begin with anybody"),
        ("privileges bug in admin", "Nobody was called"),
        ("<!channel> now", "Nobody was called"),
        ("x" * 100_000, "Nobody was called"),
        ("@guest please", "<@U0GUEST> is a guest here, so nobody was called"),
        ("@muster", "That is Muster itself"),
        ("@robot", "> is a bot, so nobody was called"),
        ("@left", "> is deactivated in Slack, so nobody was called"),
        ("<@U0NOBODY>", "Slack knows no such person in this workspace"),
    ],
)
async def test_who_cannot_be_called_is_said(stage: Stage, room: Any, typed: str, answer: str) -> None:
    """And nobody was; no second incident is opened either."""
    stage.workspace.add_user("robot", "Robot").is_bot = True
    stage.workspace.add_user("left", "Left", deleted=True)
    text = await told(stage, "developer", room.name, f"/incident escalate {typed}")
    assert answer in text
    assert "<!channel>" not in text
    assert len(text) < 1_500
    await nobody_was_called(stage)


@pytest.mark.parametrize("typed", ["escalate", "escalate 2", "escalate @cto", "impact customer"])
async def test_outside_of_a_room_it_is_said_where(stage: Stage, room: Any, typed: str) -> None:
    """What can only be a command is one."""
    text = await told(stage, "developer", "general", f"/incident {typed}")
    assert f"Do it in the room it is about: <#{room.id}>" in text
    await nobody_was_called(stage)


@pytest.mark.parametrize(
    "typed", ["escalate cto the database is corrupt", "update of the payment page fails", "note taking is broken"]
)
async def test_outside_of_a_room_the_same_words_are_what_is_broken(stage: Stage, room: Any, typed: str) -> None:
    """They open an incident, as before."""
    assert f"“{typed}”" in await told(stage, "developer", "general", f"/incident {typed}")
    assert len(await stage.muster.desk.active()) == 2
    assert stage.workspace.dm("cto") == []


async def test_who_is_not_in_the_room_calls_nobody(stage: Stage, room: Any) -> None:
    """Nor a guest who is; and what is written down is theirs to read only."""
    for typed in ("escalate", "escalate nobody", "escalate cto", "update x", "note x", "impact media"):
        assert "Only people in" in await told(stage, "support-agent", room.name, f"/incident {typed}"), typed
    await stage.workspace.invite("developer", room.name, "guest")
    for typed in ("escalate", "note x", "impact media"):
        assert "Guests and people of other workspaces cannot do that" in await told(
            stage, "guest", room.name, f"/incident {typed}"
        )
    await nobody_was_called(stage)
    assert not (await incident_of(stage)).impacts
    assert "📝" not in "".join(said(message) for message in stage.messages(room.name))


async def test_when_it_is_over_nobody_is_called(stage: Stage, room: Any) -> None:
    """Resolved: it says how to go on."""
    form = await escalating(stage, room)
    await told(stage, "developer", room.name, "/incident resolve")
    for typed in ("escalate", "escalate cto", "impact customer"):
        assert "reopen it first" in await told(stage, "developer", room.name, f"/incident {typed}"), typed
    sent = await stage.workspace.submit_view("developer", form["id"], {})
    assert sent.ok
    assert "reopen it first" in said({"blocks": stage.workspace.views("developer")[-1]["blocks"]})
    assert stage.workspace.dm("cto") == []


async def test_of_what_was_none_nothing_is_written_any_more(stage: Stage, room: Any) -> None:
    """Its room is archived; a form from before says so."""
    form = await escalating(stage, room)
    await stage.click("developer", room.name, stage.card(room.name), "not_an_incident")
    await stage.wait(lambda: room.is_archived, "the archived room")
    sent = await stage.workspace.submit_view("developer", form["id"], {"person": {"value": "U0CTO"}})
    assert sent.ok
    assert "not an incident" in said({"blocks": stage.workspace.views("developer")[-1]["blocks"]})
    assert stage.workspace.dm("cto") == []


# -- the form ------------------------------------------------------------------------------------------------------


async def test_the_form_offers_whom_the_plan_knows(stage: Stage, room: Any) -> None:
    """The next level first, every level with its people, every contact, and anybody in Slack."""
    view = await escalating(stage, room)
    blocks = {block.get("block_id"): block for block in view["blocks"]}
    options = [(option["value"], option["text"]["text"]) for option in blocks["whom"]["element"]["options"]]
    assert options[:4] == [
        ("next", "Next level: Engineering lead"),
        ("level:1", "Level 1: On-call engineer"),
        ("level:2", "Level 2: Engineering lead"),
        ("level:3", "Level 3: CTO"),
    ]
    assert ("contact:cto", "CTO") in options
    assert blocks["person"]["element"]["type"] == "users_select"


@pytest.mark.parametrize(
    ("values", "who", "user"),
    [
        ({}, ("engineering-lead",), "engineering-lead"),
        ({"whom": {"value": "next"}}, ("engineering-lead",), "engineering-lead"),
        ({"whom": {"value": "level:3"}}, ("cto",), "cto"),
        ({"whom": {"value": "contact:cto"}}, ("cto",), "cto"),
        ({"person": {"value": "U0CTO"}}, ("cto",), "cto"),
        ({"person": {"value": "U0SUPPORT"}}, ("u0support",), "support-agent"),
    ],
)
async def test_what_is_chosen_in_the_form_is_called(
    stage: Stage, room: Any, values: Json, who: tuple[str, ...], user: str
) -> None:
    """With the reason."""
    view = await escalating(stage, room)
    sent = await stage.workspace.submit_view("developer", view["id"], {**values, "reason": {"value": "it burns"}})
    assert sent.ok, sent
    assert "⏫ Calling" in said({"blocks": stage.workspace.views("developer")[-1]["blocks"]})
    await page_of(stage, user, "<@U0DEVELOPER> asks for you: it burns.")
    raised = next(one for one in (await incident_of(stage)).raised.values() if one.by)
    assert raised.contact_ids == who


async def test_a_form_with_two_answers_is_asked_once_more(stage: Stage, room: Any) -> None:
    """Beside the input; nobody is called."""
    view = await escalating(stage, room)
    both = {"whom": {"value": "level:3"}, "person": {"value": "U0LEAD"}}
    sent = await stage.workspace.submit_view("developer", view["id"], both)
    assert sent.errors == {"person": "Choose either one of the list above or a person."}
    await nobody_was_called(stage)


@pytest.mark.parametrize("person", ["U0GUEST", "U0MUSTER"])
async def test_the_form_calls_no_guest_and_no_bot(stage: Stage, room: Any, person: str) -> None:
    """Slack offers them all the same."""
    view = await escalating(stage, room)
    await stage.workspace.submit_view("developer", view["id"], {"person": {"value": person}})
    assert "nobody was called" in said({"blocks": stage.workspace.views("developer")[-1]["blocks"]})
    await nobody_was_called(stage)


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "{}",
        "[]",
        "not json",
        '{"target": "inc-1"}',
        '{"target": "inc-1/tick"}',
        '{"target": "inc-1/escalate/../x"}',
        '{"target": 5}',
        '{"target": "inc-99/escalate"}',
        "[" * 3_000,
    ],
)
async def test_a_forged_form_calls_nobody(stage: Stage, room: Any, metadata: str) -> None:
    """What the form carries is a claim until it is checked."""
    payload = await submission(stage, room)
    payload["view"]["private_metadata"] = metadata
    del payload["view"]["state"]["values"]["whom"]
    answer = await stage.sandbox.courier.send_interaction(payload)
    assert answer.status == 200
    await nobody_was_called(stage)


@pytest.mark.parametrize(
    "value", ["level:x", "contact:../x", "contact:nobody", "page:all", "next\n", "level:99", "level:" + "9" * 5_000]
)
async def test_a_forged_choice_calls_nobody(stage: Stage, room: Any, value: str) -> None:
    """It was never offered."""
    payload = await submission(stage, room)
    del payload["view"]["state"]["values"]["person"]
    payload["view"]["state"]["values"]["whom"]["value"]["selected_option"]["value"] = value
    answer = await stage.sandbox.courier.send_interaction(payload)
    assert answer.status == 200
    await nobody_was_called(stage)


@pytest.mark.parametrize("value", ["U0NOBODY", "<!channel>", "@cto", "u0cto", "U0CTO\n", "C0GENERAL"])
async def test_a_forged_person_is_not_called(stage: Stage, room: Any, value: str) -> None:
    """An id that Slack did not give out."""
    payload = await submission(stage, room)
    del payload["view"]["state"]["values"]["whom"]
    payload["view"]["state"]["values"]["person"]["value"]["selected_user"] = value
    answer = await stage.sandbox.courier.send_interaction(payload)
    assert answer.status == 200
    await nobody_was_called(stage)


async def submission(stage: Stage, room: Any) -> Json:
    """A form as Slack sends it, which was refused for having two answers; as another delivery."""
    view = await escalating(stage, room)
    await stage.workspace.submit_view("developer", view["id"], {"whom": {"value": "level:3"}, "person": {"value": "U0CTO"}})
    sent = [delivery for delivery in stage.sandbox.deliveries if delivery.kind == "view_submission"]
    payload: Json = sent[-1].payload()
    payload["view"]["hash"] = "another"
    return payload


async def test_who_may_not_sends_the_form_in_vain(stage: Stage, room: Any) -> None:
    """Anybody who sees the button may open it; sending it is what counts."""
    await stage.workspace.invite("developer", room.name, "guest")
    for user, answer in (("support-agent", "Only people in"), ("guest", "Guests and people of other workspaces")):
        view = await escalating(stage, room, user)
        await stage.workspace.submit_view(user, view["id"], {"whom": {"value": "contact:cto"}})
        assert answer in said({"blocks": stage.workspace.views(user)[-1]["blocks"]})
    await nobody_was_called(stage)


# -- notes, updates, impact ----------------------------------------------------------------------------------------


async def test_an_update_and_a_note_stand_in_the_room(stage: Stage, room: Any) -> None:
    """Said once, shown literally; both count as progress."""
    before = (await incident_of(stage)).progress_at
    assert "The room is told" in await told(stage, "oncall", room.name, "/incident update rolling back, *10 min* <!channel>")
    await stage.sees(room.name, "📣 *Update* by <@U0ONCALL>: rolling back, *10 min*")
    assert "It is written down" in await told(stage, "developer", room.name, "/incident note the pool is exhausted")
    await stage.sees(room.name, "📝 by <@U0DEVELOPER>: the pool is exhausted")
    assert "<!channel>" not in "".join(said(message) for message in stage.messages(room.name))
    assert (await incident_of(stage)).progress_at > before


async def test_a_very_long_note_is_kept_as_far_as_it_may_be(stage: Stage, room: Any) -> None:
    """That it was cut is said."""
    text = await told(stage, "developer", room.name, "/incident note " + "long " * 20_000)
    assert "Only its first 1,000 characters were kept." in text
    shown = await stage.sees(room.name, "📝 by <@U0DEVELOPER>: long long")
    assert len(said(shown)) < 3_000


@pytest.mark.parametrize("typed", ["note", "update", "note \u200b\u202e", "update \u2066"])
async def test_an_empty_note_is_none(stage: Stage, room: Any, typed: str) -> None:
    """Blanks, and what nobody can see."""
    before = (await incident_of(stage)).version
    text = await told(stage, "developer", room.name, f"/incident {typed}")
    assert "There is nothing in it" in text or "Did you mean" in text
    assert (await incident_of(stage)).version == before


async def test_an_impact_is_switched_by_word_and_by_menu(stage: Stage, room: Any) -> None:
    """Each says who; the card says since when; twice is said to be so already."""
    assert "Customer impact: on, since now" in await told(stage, "developer", room.name, "/incident impact customer")
    await stage.sees(room.name, "🔺 Customer impact, says <@U0DEVELOPER>.")
    await stage.wait(lambda: "🔺 *Customer impact* since" in said(stage.card(room.name)), "the impact in the card")
    assert "is already on" in await told(stage, "developer", room.name, "/incident impact customer on")
    chosen = f"{(await incident_of(stage)).id}/customer_impact/off"
    await stage.click("oncall", room.name, stage.card(room.name), "change_impact", selected_option=chosen)
    await stage.sees(room.name, "🔻 Customer impact is over, says <@U0ONCALL>.")
    chosen = chosen.replace("customer_impact/off", "media_attention/on")
    await stage.click("oncall", room.name, stage.card(room.name), "change_impact", selected_option=chosen)
    await stage.sees(room.name, "🔺 Media attention, says <@U0ONCALL>.")
    assert "Media attention: over" in await told(stage, "developer", room.name, "/incident impact MEDIA off")
    assert not (await incident_of(stage)).impacts


@pytest.mark.parametrize("thing", ["customer_impact", "customer_impact/maybe", "nothing/on", "open/on"])
async def test_a_forged_impact_changes_nothing(stage: Stage, room: Any, thing: str) -> None:
    """A value that no card has."""
    incident = await incident_of(stage)
    element = {"type": "button", "text": {"type": "plain_text", "text": "I"}, "action_id": "change_impact",
               "value": f"{incident.id}/{thing}"}  # fmt: skip
    blocks = [{"type": "actions", "block_id": "row", "elements": [element]}]
    message = stage.sandbox.state.post_as_bot(room.id, "drawn", blocks=blocks)
    await stage.click("developer", room.name, message, "change_impact")
    await stage.sees(room.name, "There is no such impact.", user="developer")
    assert (await incident_of(stage)).version == incident.version


# -- still on it? --------------------------------------------------------------------------------------------------


async def asked_still_on_it(stage: Stage, room: Any) -> Json:
    """The question in the direct messages of on-call, who has it and has not done anything for a while."""
    await stage.click("oncall", "@muster", stage.workspace.dm("oncall")[-1], "acknowledge")
    await stage.sees(room.name, "✋ <@U0ONCALL> has it.")
    after_s = (await incident_of(stage)).response.check_in_after_s
    assert after_s
    await stage.advance(after_s + 1)
    return await page_of(stage, "oncall", "Are you still on it?")


async def test_who_is_still_on_it_says_so(stage: Stage, room: Any) -> None:
    """The question is answered, nobody is called, and the acknowledgement holds."""
    question = await asked_still_on_it(stage, room)
    await stage.click("oncall", "@muster", question, "check_in")
    await page_of(stage, "oncall", "Thank you. You are asked again")
    incident = await incident_of(stage)
    assert incident.checked_in_at
    assert incident.acknowledged
    await stage.advance(incident.response.check_in_wait_s + 1)
    await stage.idle()
    assert (await incident_of(stage)).acknowledged


async def test_nobody_else_can_say_so(stage: Stage, room: Any) -> None:
    """A forged button in the room, by somebody who is in it: the question still waits for its answer."""
    await asked_still_on_it(stage, room)
    for action_id in ("check_in", "hand_over"):
        element = {"type": "button", "text": {"type": "plain_text", "text": "I"}, "action_id": action_id,
                   "value": (await incident_of(stage)).id}  # fmt: skip
        blocks = [{"type": "actions", "block_id": "row", "elements": [element]}]
        message = stage.sandbox.state.post_as_bot(room.id, "drawn", blocks=blocks)
        await stage.click("developer", room.name, message, action_id)
    await stage.sees(room.name, "<@U0ONCALL> has it, so only they can say that", user="developer")
    view = await form_of(stage, "developer")
    await stage.workspace.submit_view("developer", view["id"], {})
    assert "only they can say that" in said({"blocks": stage.workspace.views("developer")[-1]["blocks"]})
    assert (await incident_of(stage)).checked_in_at is None
    assert stage.workspace.dm("cto") == []


@pytest.mark.parametrize(
    ("values", "user"),
    [({}, "engineering-lead"), ({"whom": {"value": "level:3"}}, "cto"), ({"person": {"value": "U0SUPPORT"}}, "support-agent")],
)
async def test_who_is_not_on_it_any_more_hands_over(stage: Stage, room: Any, values: Json, user: str) -> None:
    """To the next level, another one or a person, at once; who is called reads why and can take it over."""
    question = await asked_still_on_it(stage, room)
    await stage.click("oncall", "@muster", question, "hand_over")
    view = await form_of(stage, "oncall")
    assert view["title"]["text"] == "Hand over"
    await stage.workspace.submit_view("oncall", view["id"], {**values, "reason": {"value": "my shift ends"}})
    assert "⏫ Calling" in said({"blocks": stage.workspace.views("oncall")[-1]["blocks"]})
    page = await page_of(stage, user, "<@U0ONCALL> asks for you: handed over by oncall: my shift ends.")
    await stage.recorded(user, page)
    await stage.click(user, "@muster", page, "acknowledge")
    await stage.sees(room.name, f"✋ <@{stage.workspace.user(user).id}> has it.")


# -- who may acknowledge -------------------------------------------------------------------------------------------


async def test_somebody_else_already_has_it(stage: Stage, room: Any) -> None:
    """The second who presses reads who it is."""
    await told(stage, "oncall", room.name, "/incident ack")
    page = await page_of(stage, "oncall", "has it since")
    assert "Acknowledge" not in [element for block in page["blocks"] for element in block.get("elements", [])]
    assert "<@U0ONCALL> already has it." in await told(stage, "developer", room.name, "/incident ack")


async def test_who_was_not_paged_and_is_not_in_the_room_acknowledges_nothing(stage: Stage, room: Any) -> None:
    """With the way to take part; the escalation goes on."""
    await stage.click("cto", room.name, stage.card(room.name), "acknowledge")
    await stage.sees(room.name, f"Only people in <#{room.id}> can do that. Join it", user="cto")
    assert "Only people in" in await told(stage, "cto", room.name, "/incident ack")
    assert (await incident_of(stage)).acknowledged is None


async def test_a_test_page_that_was_seen_says_so(stage: Stage) -> None:
    """Nothing is behind it: no incident, and the button is gone."""
    element = {"type": "button", "text": {"type": "plain_text", "text": "Seen"}, "action_id": "take_test", "value": "test"}
    blocks = [{"type": "actions", "block_id": "row", "elements": [element]}]
    message = stage.sandbox.state.post_as_bot(stage.workspace.im("oncall").id, "drawn", blocks=blocks)
    await stage.click("oncall", "@muster", message, "take_test")
    await stage.wait(lambda: "has seen this test" in said(stage.workspace.dm("oncall")[-1]), "the answer")
    assert await stage.muster.desk.active() == []
