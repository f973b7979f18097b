"""The message of a run at every moment of its life: what it says, what it offers, and what it offers no more."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.domain.commands import (
    Acknowledge,
    AssignRole,
    BreakGlass,
    CancelRun,
    ChangeStatus,
    Command,
    ConfirmRun,
    DenyRun,
    EndWatch,
    LookAtRun,
    ReachDue,
    RecordLook,
    RecordPreview,
    RecordRevert,
    RecordRoom,
    RecordRun,
    RecordWatch,
    RequestRun,
    RevertNow,
    StartWatch,
    StopRun,
)
from bot.domain.errors import TemporaryError
from bot.domain.facts import Role, Status
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.domain.policy import ActionPolicy, Permission
from bot.domain.room import MessageKind, RoomMessage, desired_room
from bot.slack.blocks.card import draw_card
from bot.slack.blocks.messages import draw
from bot.slack.blocks.runs import Known
from bot.slack.client import SlackApi, make_client, make_session
from bot.slack.drawing import Drawn
from bot.slack.files import FILE_MAX_BYTES, name_of, share_once, text_of
from tests.contracts.payloads import elements_of, faults_of_message, texts_in
from tests.domain.story import Story
from tests.slack.conftest import HOSTILE, Answering, with_runbook

OK = Outcome(state=State.OK, summary="It is done.", value="done")
UNKNOWN = Outcome(state=State.UNKNOWN, summary="its end was not seen", remedy="list the sessions once more")
LOOKS = Known(looks=frozenset({"clerk.revoke_sessions"}))


def shown(drawn: Drawn) -> str:
    """Every text; what Slack would refuse fails here."""
    assert faults_of_message({"text": drawn.text, "blocks": list(drawn.blocks)}, updated=True) == []
    return "\n".join([drawn.text, *texts_in(list(drawn.blocks))])


def elements(drawn: Drawn) -> list[dict[str, Any]]:
    return [element for block in drawn.blocks for element in elements_of(block)]


def buttons(drawn: Drawn) -> list[str]:
    return [element["action_id"] for element in elements(drawn)]


def wanted(story: Story, kind: MessageKind) -> list[RoomMessage]:
    """The messages of a kind that should be there now."""
    return [item for item in desired_room(story.incident).messages if item.kind is kind]


def run_of(story: Story, known: Known | None = None) -> Drawn:
    """The message of the newest run."""
    message = wanted(story, MessageKind.RUN)[-1]
    return draw(message, story.incident, known)[0] if known else draw(message, story.incident)[0]


def ask(story: Story, *, risk: Risk = Risk.CHANGE, **fields: Any) -> None:
    """Somebody asks for the revocation of a step."""
    fields = {"title": "Revoke sessions", "params": {"user_id": "user_2demo"}} | fields
    story.do(RequestRun(step_id="revoke", action="clerk.revoke_sessions", risk=risk, **fields))


@pytest.fixture
def requested(story: Story) -> Story:
    """A run that somebody asked for."""
    story.open("clerk-security-incident", title="odd sessions", private=False)
    ask(story)
    return story


@pytest.fixture
def destructive(story: Story) -> Story:
    """A run that waits for a second person."""
    story.open("clerk-security-incident", title="odd sessions", private=False)
    ask(story, risk=Risk.DESTRUCTIVE, undo="clerk.list_sessions")
    story.do(
        RecordPreview(run_id="r1", preview=Preview(summary="7 sessions end", items=("one",), confirm_label="End 7 sessions"))
    )
    return story


def finished(story: Story, outcome: Outcome = OK, *, by: str = "U5") -> None:
    """Confirmed, and over."""
    story.do(ConfirmRun(run_id="r1"), by=by)
    story.do(RecordRun(run_id="r1", outcome=outcome))


# -- one person --------------------------------------------------------------------------------------------------------


def test_a_run_is_followed_from_request_to_result(requested: Story, contracts: Path) -> None:
    """Looking, asking, running, done: each with who and when, and buttons only while somebody is asked."""
    assert "Looking what it would do" in shown(run_of(requested))
    assert "user id: `user_2demo`" in shown(run_of(requested))
    preview = Preview(summary="2 sessions end", items=("one", "two"), confirm_label="End 2")
    requested.do(RecordPreview(run_id="r1", preview=preview))
    drawn = run_of(requested)
    assert "*What would happen:* 2 sessions end" in shown(drawn)
    assert "• one\n• two" in shown(drawn)
    assert "second person" not in shown(drawn)
    assert f"parameters {requested.incident.runs['r1'].params_digest[:8]}" in shown(drawn)
    assert "can be confirmed until <!date^" in shown(drawn)
    assert buttons(drawn) == ["confirm_run", "cancel_run"]
    requested.do(ConfirmRun(run_id="r1"), by="U5")
    assert "Confirmed by <@U5>" in shown(run_of(requested))
    assert buttons(run_of(requested)) == ["stop_run"]
    outcome = Outcome(state=State.OK, summary="2 sessions ended", details=("one", "two"))
    requested.do(RecordRun(run_id="r1", outcome=outcome))
    text = shown(run_of(requested))
    assert "✅ 2 sessions ended" in text
    assert "• one\n• two" in text
    assert "finished at" in text
    assert buttons(run_of(requested)) == []


def test_what_only_reads_has_no_buttons(story: Story, contracts: Path) -> None:
    """It runs at once, and is short."""
    story.open("clerk-security-incident", title="odd sessions", private=False)
    ask(story, risk=Risk.READ)
    assert "Running…" in shown(run_of(story))
    assert buttons(run_of(story)) == []
    story.do(RecordRun(run_id="r1", outcome=OK))
    assert "Confirmed" not in shown(run_of(story))


def test_a_run_with_nothing_to_do_cannot_be_confirmed(requested: Story) -> None:
    """Only closed."""
    requested.do(RecordPreview(run_id="r1", preview=Preview(summary="nobody is signed in", nothing_to_do=True)))
    assert buttons(run_of(requested)) == ["cancel_run"]
    assert "Close" in shown(run_of(requested))


def test_a_run_without_a_preview_does_not_run(requested: Story) -> None:
    """Why is said."""
    requested.do(RecordPreview(run_id="r1", preview=None, refused="CLERK_SECRET_KEY is not set"))
    assert "does not run: CLERK_SECRET_KEY is not set" in shown(run_of(requested))
    assert buttons(run_of(requested)) == []


def test_a_cancelled_run_says_that_nothing_was_done(requested: Story) -> None:
    """And by whom."""
    requested.do(CancelRun(run_id="r1"), by="U5")
    assert "Cancelled by <@U5>" in shown(run_of(requested))
    assert "nothing was done" in shown(run_of(requested))


def test_a_run_that_failed_shows_its_remedy(requested: Story) -> None:
    """Unknown is neither green nor red."""
    requested.do(RecordPreview(run_id="r1", preview=Preview(summary="s")))
    finished(requested, UNKNOWN)
    text = shown(run_of(requested))
    assert "❔ its end was not seen" in text
    assert "↳ list the sessions once more" in text


def test_the_end_of_the_incident_takes_the_buttons_of_a_run_away(requested: Story) -> None:
    """Nothing is started in a resolved incident."""
    requested.do(RecordPreview(run_id="r1", preview=Preview(summary="s")))
    requested.do(ChangeStatus(status=Status.RESOLVED))
    assert buttons(run_of(requested)) == []


def test_the_longest_result_fits(requested: Story, contracts: Path) -> None:
    """Hundreds of hostile lines are cut and counted."""
    requested.do(RecordPreview(run_id="r1", preview=Preview(summary=HOSTILE, items=(HOSTILE * 10,) * 300)))
    text = shown(run_of(requested))
    assert "… and 280 more" in text
    outcome = Outcome(state=State.FAILING, summary="&" * 300, remedy="<" * 300, details=("&" * 1_000,) * 40)
    finished(requested, outcome)
    shown(run_of(requested))
    (message,) = wanted(requested, MessageKind.DETAILS)
    for part in draw(message, requested.incident):
        shown(part)


@pytest.mark.parametrize("lines", [8, 20, 500])
def test_lines_that_grow_when_they_are_escaped_fit(destructive: Story, contracts: Path, lines: int) -> None:
    """Slack counts what is sent: five characters for each of these."""
    destructive.do(CancelRun(run_id="r1"))
    ask(destructive, risk=Risk.DESTRUCTIVE)
    preview = Preview(summary="&" * 300, items=("&" * 300,) * lines, confirm_label="<" * 30)
    destructive.do(RecordPreview(run_id="r2", preview=preview))
    assert "more" in shown(run_of(destructive))
    destructive.do(ConfirmRun(run_id="r2"), by="U5")
    outcome = Outcome(state=State.FAILING, summary="&" * 300, remedy="&" * 300, details=("&" * 300,) * 8)
    destructive.do(RecordRun(run_id="r2", outcome=outcome))
    shown(run_of(destructive))


def test_a_thousand_parameters_do_not_hide_who_asked(story: Story, contracts: Path) -> None:
    """Three of them, and how many more."""
    story.open("clerk-security-incident", title="odd sessions", private=False)
    ask(story, params={"user_ids": [f"user_{number}" for number in range(1000)], "note": "`x`" * 500, "nothing": None})
    text = shown(run_of(story))
    assert "user_0, user_1, user_2 and 997 more" in text
    assert "asked for by <@U1>" in text
    assert "nothing" not in text


# -- the second person -------------------------------------------------------------------------------------------------


def test_what_is_destructive_asks_for_somebody_else(destructive: Story, contracts: Path) -> None:
    """Who, until when, what a click does once more, and from when it can go on without."""
    drawn = run_of(destructive)
    text = shown(drawn)
    assert "👥 *Needs a second person:* somebody else in this room has to approve it." in text
    assert "without a second person from <!date^" in text
    assert buttons(drawn) == ["confirm_run", "deny_run", "cancel_run", "break_glass"]
    approve = elements(drawn)[0]
    assert approve["text"]["text"] == "Approve: End 7 sessions"
    asked = approve["confirm"]
    assert asked["title"]["text"] == "Approve exactly this?"
    assert "7 sessions end" in asked["text"]["text"]
    assert destructive.incident.runs["r1"].params_digest[:8] in asked["text"]["text"]
    destructive.do(ConfirmRun(run_id="r1"), by="U5")
    assert "Approved by <@U5>" in shown(run_of(destructive))


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("@sre", "U9"), "@sre or <@U9> has to approve it"),
        (("S0SRE",), "<!subteam^S0SRE> has to approve it"),
        (("U1",), "nobody else may approve it"),
        (("everyone", "admins"), "somebody else in the workspace or an admin has to"),
        (("<!channel>@x",), "&lt;!channel&gt;@x has to"),
        (tuple(f"U{number}" for number in range(10, 20)), "<@U14> or 5 more has to approve it"),
    ],
)
def test_who_may_approve_is_named_as_the_policy_does(
    destructive: Story, contracts: Path, names: tuple[str, ...], text: str
) -> None:
    """Whoever asked is left out."""
    policy = ActionPolicy(permissions={Permission.APPROVE: names})
    assert text in shown(run_of(destructive, Known(policy=lambda: policy)))


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (("responders",), ["<@U7>", "<@U8>"]),
        (("S0SRE", "@sre", "U1", "U9", "sre@example.com"), ["<@U9>", "<!subteam^S0SRE>"]),
        (("admins",), []),
    ],
)
def test_those_who_may_approve_are_called(destructive: Story, contracts: Path, names: tuple[str, ...], called: list[str]) -> None:
    """In the thread, since Slack tells nobody of what is redrawn: those who are named, or have it; never whoever asked."""
    destructive.do(Acknowledge(via="slack"), by="U7")
    destructive.do(AssignRole(role=Role.INCIDENT_COMMANDER, user_id="U8"), by="U8")
    policy = ActionPolicy(permissions={Permission.APPROVE: names})
    known = Known(policy=lambda: policy)
    (message,) = wanted(destructive, MessageKind.APPROVAL)
    assert message.under == "run:r1"
    text = shown(draw(message, destructive.incident, known)[0])
    assert re.findall(r"<[@!][^>]*>", text) == called
    destructive.do(DenyRun(run_id="r1"), by="U7")
    (message,) = wanted(destructive, MessageKind.APPROVAL)
    assert message.only_update
    assert "is settled" in shown(draw(message, destructive.incident, known)[0])


def test_for_what_one_person_confirms_nobody_is_called(requested: Story) -> None:
    """Nor where there is nothing to do."""
    requested.do(RecordPreview(run_id="r1", preview=Preview(summary="s")))
    assert wanted(requested, MessageKind.APPROVAL) == []
    requested.do(CancelRun(run_id="r1"))
    ask(requested, risk=Risk.DESTRUCTIVE)
    requested.do(RecordPreview(run_id="r2", preview=Preview(summary="s", nothing_to_do=True)))
    assert wanted(requested, MessageKind.APPROVAL) == []


def test_a_denied_run_says_by_whom_and_why(destructive: Story, contracts: Path) -> None:
    """Nothing is offered any more."""
    destructive.do(DenyRun(run_id="r1", reason="<wrong> user"), by="U5")
    text = shown(run_of(destructive))
    assert "⛔ Denied by <@U5>" in text
    assert "&lt;wrong&gt; user" in text
    assert "Nothing was done." in text
    assert buttons(run_of(destructive)) == []


def test_a_run_that_was_denied_after_it_was_approved_does_not_claim_that_nothing_was_done(destructive: Story) -> None:
    """It may have begun."""
    destructive.do(ConfirmRun(run_id="r1"), by="U5")
    destructive.do(DenyRun(run_id="r1"), by="U6")
    assert "a part of it may be done" in shown(run_of(destructive))
    assert "Nothing was done." not in shown(run_of(destructive))
    destructive.do(RecordRun(run_id="r1", outcome=Outcome(state=State.FAILING, summary="3 of 7 sessions ended.")))
    text = shown(run_of(destructive))
    assert "⛔ Denied by <@U6>" in text
    assert "It had begun:\n🔴 3 of 7 sessions ended." in text
    assert text.startswith("Revoke sessions: denied")


def test_an_expired_run_can_be_asked_for_once_more(destructive: Story, contracts: Path) -> None:
    """As long as the incident goes on."""
    destructive.tick(until_s=901)
    text = shown(run_of(destructive))
    assert "⌛ Nobody confirmed it until" in text
    assert "nothing was done" in text
    assert buttons(run_of(destructive)) == ["ask_again"]
    destructive.do(ChangeStatus(status=Status.RESOLVED))
    assert buttons(run_of(destructive)) == []


def test_going_on_alone_is_said_loudly(destructive: Story, contracts: Path) -> None:
    """At the run, in the room, and in the incidents channel."""
    destructive.do(RecordRoom(channel_id="C9", name="inc"))
    destructive.do(BreakGlass(run_id="r1", reason="nobody <answers>"), by="U1", at_s=301)
    assert "🔓 Without a second person, by <@U1>" in shown(run_of(destructive))
    (line,) = wanted(destructive, MessageKind.BREAK_GLASS)
    text = shown(draw(line, destructive.incident)[0])
    assert "<@U1> went on alone with *Revoke sessions* in <#C9>" in text
    assert "nobody &lt;answers&gt;" in text
    news = shown(draw(wanted(destructive, MessageKind.NEWS)[-1], destructive.incident)[0])
    assert "🔓 *Without a second person:* <@U1> went on alone with *Revoke sessions*: nobody &lt;answers&gt;" in news


def test_of_a_private_incident_everybody_reads_only_that_it_happened(story: Story, contracts: Path) -> None:
    """No title, no action, no parameter, no reason, no room."""
    story.open("clerk-security-incident", title="the secret leak", private=True)
    story.do(RecordRoom(channel_id="C9", name="inc"))
    ask(story, risk=Risk.DESTRUCTIVE)
    story.do(RecordPreview(run_id="r1", preview=Preview(summary="7 sessions of user_2demo end")))
    story.do(BreakGlass(run_id="r1", reason="the board knows"), at_s=301)
    (line,) = wanted(story, MessageKind.BREAK_GLASS)
    text = shown(draw(line, story.incident)[0])
    assert "<@U1> went on alone in a private incident" in text
    assert not any(word in text for word in ("leak", "Revoke", "user_2demo", "board", "C9"))


# -- afterwards --------------------------------------------------------------------------------------------------------


def test_a_running_run_shows_how_far_it_is_and_can_be_stopped(destructive: Story, contracts: Path) -> None:
    """Stop asks once more; once pressed it goes, and who pressed it is named."""
    destructive.do(ConfirmRun(run_id="r1"), by="U5")
    stop = elements(run_of(destructive))[0]
    assert stop["action_id"] == "stop_run"
    assert "What is done stays done" in stop["confirm"]["text"]["text"]
    destructive.do(StopRun(run_id="r1"), by="U6")
    assert "Stopping, <@U6> asked for it" in shown(run_of(destructive))
    assert buttons(run_of(destructive)) == []


def test_what_is_not_known_can_be_looked_at(requested: Story, contracts: Path) -> None:
    """Where the action can; what was seen takes its place."""
    requested.do(RecordPreview(run_id="r1", preview=Preview(summary="s")))
    finished(requested, UNKNOWN)
    assert buttons(run_of(requested, LOOKS)) == ["look_at_run"]
    assert buttons(run_of(requested)) == []
    requested.do(LookAtRun(run_id="r1"))
    requested.do(RecordLook(run_id="r1", outcome=OK))
    assert "looked at again at" in shown(run_of(requested, LOOKS))
    assert buttons(run_of(requested, LOOKS)) == []


def test_what_can_be_taken_back_offers_it_until_it_was(destructive: Story, contracts: Path) -> None:
    """Also when the incident is over; not while somebody is at it."""
    finished(destructive)
    assert buttons(run_of(destructive)) == ["undo_run"]
    destructive.do(ChangeStatus(status=Status.RESOLVED))
    assert buttons(run_of(destructive)) == ["undo_run"]
    undo = RequestRun(step_id="revoke", action="clerk.list_sessions", title="Take back", risk=Risk.CHANGE, undoes="r1")
    destructive.do(undo)
    first = wanted(destructive, MessageKind.RUN)[0]
    assert buttons(draw(first, destructive.incident)[0]) == []
    destructive.do(RecordPreview(run_id="r2", preview=Preview(summary="they may sign in")))
    assert buttons(run_of(destructive)) == ["confirm_run", "cancel_run"]
    destructive.do(ConfirmRun(run_id="r2"))
    destructive.do(RecordRun(run_id="r2", outcome=OK))
    drawn = draw(first, destructive.incident)[0]
    assert "↩️ Taken back at" in shown(drawn)
    assert buttons(drawn) == []
    card = "\n".join(shown(part) for part in draw_card(destructive.incident))
    assert "↩️ Revoke sessions was taken back at" in card


@pytest.fixture
def switched_on(story: Story) -> Story:
    """Something that takes itself back after an hour, seen to be on."""
    story.open("clerk-security-incident", title="odd sessions", private=False)
    ask(story, risk=Risk.DESTRUCTIVE, title="Emergency bypass", undo="clerk.list_sessions", revert_after_s=3600)
    story.do(RecordPreview(run_id="r1", preview=Preview(summary="the bypass is on")))
    finished(story)
    return story


def test_what_takes_itself_back_says_when_at_the_top_of_the_card(switched_on: Story, contracts: Path) -> None:
    """With a way to do it now; the end of the incident is one, and the card says so."""
    card = draw_card(switched_on.incident)[0]
    assert "⏱️ *Emergency bypass is ON* until <!date^" in shown(card)
    assert "revert_now:0" in buttons(card)
    assert buttons(run_of(switched_on)) == ["revert_now"]
    switched_on.do(ChangeStatus(status=Status.RESOLVED), by="U5")
    card = draw_card(switched_on.incident)[0]
    assert "*Emergency bypass* is being taken back, asked for by <@U5>" in shown(card)
    assert "revert_now:0" not in buttons(card)


def test_what_nobody_saw_may_be_on(story: Story, contracts: Path) -> None:
    """Unknown is not on, and not off."""
    story.open("clerk-security-incident", title="odd sessions", private=False)
    ask(story, title="Emergency bypass", undo="clerk.list_sessions", revert_after_s=3600)
    story.do(RecordPreview(run_id="r1", preview=Preview(summary="s")))
    finished(story, UNKNOWN)
    assert "*Emergency bypass may be on* until" in shown(run_of(story))


def test_turning_it_off_is_followed_until_it_is_seen(switched_on: Story, contracts: Path) -> None:
    """Asked for, failed, tried again, seen to be off; each once in the news."""
    switched_on.do(RevertNow(run_id="r1"), by="U5")
    assert "*Emergency bypass* is being taken back, asked for by <@U5>" in shown(run_of(switched_on))
    assert buttons(run_of(switched_on)) == []
    failed = Outcome(state=State.UNKNOWN, summary="Vercel did not <answer>.")
    switched_on.do(RecordRevert(run_id="r1", outcome=failed))
    text = shown(run_of(switched_on))
    assert "🔴 *Emergency bypass could not be taken back* (tried 1 time, tried again): Vercel did not &lt;answer&gt;." in text
    switched_on.do(RecordRevert(run_id="r1", outcome=OK))
    assert "↩️ Taken back at" in shown(run_of(switched_on))
    assert "Emergency bypass is ON" not in shown(draw_card(switched_on.incident)[0])
    news = [shown(draw(item, switched_on.incident)[0]) for item in wanted(switched_on, MessageKind.NEWS)]
    assert any("could not be taken back" in text for text in news)
    assert any("↩️ *Emergency bypass* was taken back: It is done." in text for text in news)


# -- long results ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "report", "kinds"),
    [
        (8, "", set()),
        (9, "", {MessageKind.DETAILS}),
        (40, "", {MessageKind.DETAILS}),
        (41, "", {MessageKind.FILE}),
        (0, "all of it", {MessageKind.FILE}),
    ],
)
def test_where_the_lines_of_a_result_go(
    requested: Story, contracts: Path, lines: int, report: str, kinds: set[MessageKind]
) -> None:
    """A few into the message, more into its thread, many into a file there."""
    requested.do(RecordPreview(run_id="r1", preview=Preview(summary="s")))
    details = tuple(f"line {number}" for number in range(lines))
    finished(requested, Outcome(state=State.OK, summary="Done.", details=details, report=report))
    long = {MessageKind.DETAILS, MessageKind.FILE}
    messages = [item for item in desired_room(requested.incident).messages if item.kind in long]
    assert {item.kind for item in messages} == kinds
    assert all(item.under == "run:r1" for item in messages)
    text = shown(run_of(requested))
    assert ("line 0" in text) is (lines > 0 and not kinds)
    assert ("in the thread" in text) is bool(kinds)


def test_the_details_are_all_in_the_thread(requested: Story, contracts: Path) -> None:
    """Escaped, none left out."""
    requested.do(RecordPreview(run_id="r1", preview=Preview(summary="s")))
    finished(requested, Outcome(state=State.OK, summary="Done.", details=tuple(f"<line {number}>" for number in range(40))))
    (message,) = wanted(requested, MessageKind.DETAILS)
    text = "\n".join(shown(part) for part in draw(message, requested.incident))
    assert all(f"• &lt;line {number}&gt;" in text for number in range(40))


def test_a_file_holds_the_whole_result_up_to_its_limit(requested: Story) -> None:
    """Who and when, every line, and the report; what is too long says so."""
    requested.do(RecordPreview(run_id="r1", preview=Preview(summary="s")))
    finished(requested, Outcome(state=State.OK, summary="Done.", details=("one", "two"), report="ü" * FILE_MAX_BYTES))
    run = requested.incident.runs["r1"]
    text = text_of(run)
    assert text.startswith("Revoke sessions\nAsked for by U1 at ")
    assert "ok: Done." in text
    assert "one\ntwo\n\nüüü" in text
    assert len(text.encode()) <= FILE_MAX_BYTES
    assert text.endswith("the rest is left out: it is too long.\n")
    (message,) = wanted(requested, MessageKind.FILE)
    assert name_of(requested.incident, message.key).startswith("inc-1-file-r1-")


# -- the card ----------------------------------------------------------------------------------------------------------


def test_the_card_says_where_the_run_of_a_step_stands(requested: Story, contracts: Path) -> None:
    """Until it has ended; then what it saw."""

    def card() -> str:
        return "\n".join(shown(part) for part in draw_card(requested.incident))

    assert "⏳ Revoke sessions: looking what it would do, asked for by <@U1>" in card()
    requested.do(RecordPreview(run_id="r1", preview=Preview(summary="s")))
    assert "⏳ Revoke sessions: waits for a confirmation" in card()
    requested.do(ConfirmRun(run_id="r1"), by="U5")
    assert "⏳ Revoke sessions: running" in card()
    requested.do(RecordRun(run_id="r1", outcome=OK))
    assert "✅ It is done." in card()
    assert "⏳ Revoke" not in card()


@pytest.fixture
def watching(story: Story) -> Story:
    """A step that can be watched."""
    story.catalog = with_runbook(
        story.catalog,
        diagnostics=[{"id": "status", "title": "Status page", "run": "clerk.status"}],
        checklist=[{"id": "monitor", "title": "Monitor <it>", "shows": ["status"], "watch": {"every": "30s", "until": "2 good"}}],
    )
    story.open("made-up", title="odd")
    return story


def step_buttons(story: Story) -> list[str]:
    return [button for part in draw_card(story.incident) for button in buttons(part) if "watch" in button]


def card_and_news(story: Story) -> str:
    messages = [*draw_card(story.incident), *(draw(item, story.incident)[0] for item in wanted(story, MessageKind.NEWS))]
    return "\n".join(shown(part) for part in messages)


def test_a_step_is_watched_from_its_button_until_it_was_good_often_enough(watching: Story, contracts: Path) -> None:
    """What it saw stands beside the step; what changed is said once."""
    assert step_buttons(watching) == ["start_watch"]
    watching.do(StartWatch(step_id="monitor"))
    assert step_buttons(watching) == ["end_watch"]
    assert "nothing seen yet, 0 of 2 good in a row" in card_and_news(watching)
    bad = Outcome(state=State.FAILING, summary="major <outage>", value="major outage")
    see: list[Command] = [RecordWatch(step_id="monitor", number=1, outcome=outcome) for outcome in (bad, OK, OK)]
    watching.do(see[0])
    assert "👁️ Monitor &lt;it&gt;: 🔴 *failing*, major &lt;outage&gt;" in card_and_news(watching)
    watching.do(see[1])
    assert "1 of 2 good in a row" in card_and_news(watching)
    watching.do(see[2])
    text = card_and_news(watching)
    assert "Watched until" in text
    assert "2 good results in a row" in text
    assert "Monitor &lt;it&gt; is not watched any more: it was seen to be good often enough." in text


def test_a_watch_is_ended_by_its_button(watching: Story, contracts: Path) -> None:
    """By whom is said, and it can begin again."""
    watching.do(StartWatch(step_id="monitor"))
    watching.do(EndWatch(step_id="monitor"), by="U5")
    assert "is not watched any more: <@U5> ended it." in card_and_news(watching)
    assert step_buttons(watching) == ["start_watch"]


def test_an_expiry_is_drawn_from_the_state_alone(destructive: Story) -> None:
    """The same state draws the same message: nothing depends on the clock of whoever draws."""
    before = run_of(destructive)
    destructive.now += timedelta(seconds=10)
    assert run_of(destructive).digest == before.digest
    destructive.do(ReachDue(due_at=destructive.now))
    assert run_of(destructive).digest == before.digest


# -- files -------------------------------------------------------------------------------------------------------------


def share(slack: SlackApi) -> Any:
    return share_once(slack, channel_id="C1", thread_ts="1.1", name="a.txt", title="A", text="ü", look_first=False)


@pytest.mark.parametrize("status", [302, 403, 500])
async def test_bytes_that_are_not_taken_are_sent_again_later(server: Answering, token: str, status: int) -> None:
    """Nothing is completed, no redirect is followed, and the address, which is a secret, is in no error."""
    server.methods["files.getUploadURLExternal"] = {"upload_url": f"{server.url}upload/canary", "file_id": "F1"}
    well = server.ok

    async def answer(request: web.Request) -> web.StreamResponse:
        if "upload/" in request.path:
            return web.Response(status=status, headers={"Location": f"{server.url}elsewhere"})
        return await well(request)

    server.answer = answer
    async with make_session() as session:
        slack = SlackApi(make_client(session, token=token, base_url=server.url))
        with pytest.raises(TemporaryError, match=f"HTTP {status}") as failed:
            await share(slack)
    assert "canary" not in str(failed.value)
    assert [path for path, _, _ in server.asked] == ["/api/files.getUploadURLExternal", "/api/upload/canary"]


async def test_a_file_that_nobody_listens_for_is_sent_again_later(server: Answering, token: str) -> None:
    """The address is gone."""
    server.methods["files.getUploadURLExternal"] = {"upload_url": "http://127.0.0.1:9/canary", "file_id": "F1"}
    async with make_session() as session:
        slack = SlackApi(make_client(session, token=token, base_url=server.url))
        with pytest.raises(TemporaryError, match="did not take a file") as failed:
            await share(slack)
    assert "canary" not in str(failed.value)
    assert [path for path, _, _ in server.asked] == ["/api/files.getUploadURLExternal"]
