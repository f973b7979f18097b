"""The card in every state that an incident can be in, also the odd ones: readable, within limits, with the right buttons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    Acknowledge,
    AssignRole,
    ChangeSeverity,
    ChangeStatus,
    ChooseBranch,
    Join,
    RecordDiagnostic,
    RecordPage,
    RequestRun,
    RunDiagnostics,
    SkipStep,
    TickStep,
)
from bot.domain.facts import Role, Status
from bot.domain.incident import Incident
from bot.domain.lifecycle import LABELS
from bot.domain.outcome import Outcome, Risk, State
from bot.domain.severity import Severity
from bot.slack.blocks.card import draw_card
from bot.slack.blocks.parts import BLOCKS_MAX, MESSAGE_BLOCKS_MAX_CHARS, text_length
from bot.slack.drawing import Block
from tests.conftest import at
from tests.contracts.payloads import faults_of_message, texts_in
from tests.domain.story import Story
from tests.slack.conftest import HOSTILE, with_runbook


def drawn(incident: Incident) -> str:
    """Every text of the card; what Slack would refuse fails here."""
    texts: list[str] = []
    for message in draw_card(incident):
        blocks = list(message.blocks)
        assert faults_of_message({"text": message.text, "blocks": blocks}, updated=True) == []
        assert len(blocks) <= BLOCKS_MAX
        assert text_length(blocks) <= MESSAGE_BLOCKS_MAX_CHARS
        texts.extend([message.text, *texts_in(blocks)])
    return "\n".join(texts)


def buttons(incident: Incident) -> dict[str, Block]:
    """The buttons and menus by action_id, or block_id/action_id where one stands in several blocks."""
    found: dict[str, Block] = {}
    for message in draw_card(incident):
        for block in message.blocks:
            for element in [*block.get("elements", []), block.get("accessory") or {}]:
                if "action_id" in element:
                    found[element["action_id"]] = element
                    found[f"{block['block_id']}/{element['action_id']}"] = element
    return found


def test_what_a_tired_reader_needs_stands_first(outage: Story, contracts: Path) -> None:
    """Severity and title, status, targets, people, escalation, and what to do next: before any step."""
    blocks = draw_card(outage.incident)[0].blocks
    assert blocks[0]["text"]["text"] == "SEV1 · clerk down"
    head = "\n".join(texts_in(list(blocks[:4])))
    for wanted in ("triage", "SEV1 Critical", "_nobody yet_", "by <@U1>", "Respond by", "Resolve by", "Complete auth outage"):
        assert wanted in head, wanted
    assert "On-call engineer paged at <!date^" in head
    assert "Next: Engineering lead at <!date^" in head
    assert "press *Acknowledge*" in head
    assert "Checklist" not in head
    drawn(outage.incident)


def test_the_first_button_is_to_acknowledge(outage: Story) -> None:
    """In triage one may also say that it is none."""
    found = buttons(outage.incident)
    assert found["acknowledge"]["style"] == "primary"
    assert {"acknowledge", "take_command", "change_status", "change_severity", "resolve", "not_an_incident"} <= set(found)
    offered = [option["value"] for option in found["change_status"]["options"]]
    assert offered == ["inc-1/investigating", "inc-1/identified", "inc-1/monitoring"]


def test_after_the_acknowledgement_nobody_can_acknowledge(outage: Story) -> None:
    """The card says who has it; late is said, too."""
    outage.do(Acknowledge(via="slack"), by="U2", after_s=60)
    text = drawn(outage.incident)
    assert "✅ <@U2> at" in text
    assert "⚠️ late" not in text
    assert "✋ <@U2> has it" in text
    assert not {"acknowledge", "not_an_incident"} & set(buttons(outage.incident))
    assert "decide who commands" in text


def test_a_late_acknowledgement_is_called_late(outage: Story) -> None:
    """SEV1 promises an answer within 15 minutes."""
    outage.do(Acknowledge(via="slack"), by="U2", after_s=16 * 60)
    assert "⚠️ late" in drawn(outage.incident)


def test_the_commander_is_named_and_the_button_goes(outage: Story) -> None:
    """One commander."""
    outage.do(AssignRole(role=Role.INCIDENT_COMMANDER, user_id="U3"))
    assert "*Incident commander*\n<@U3>" in drawn(outage.incident)
    assert "take_command" not in buttons(outage.incident)


@pytest.mark.parametrize(
    "moves",
    [
        (),
        (Status.INVESTIGATING,),
        (Status.IDENTIFIED,),
        (Status.MONITORING,),
        (Status.RESOLVED,),
        (Status.RESOLVED, Status.CLOSED),
        (Status.RESOLVED, Status.INVESTIGATING),
        (Status.FALSE_POSITIVE,),
    ],
    ids=lambda moves: "-".join(moves) or "triage",
)
def test_every_status_has_a_card(outage: Story, contracts: Path, moves: tuple[Status, ...]) -> None:
    """With its name, and with no button that the transition table would refuse."""
    for status in moves:
        outage.do(ChangeStatus(status=status), after_s=1)
    incident = outage.incident
    assert LABELS[incident.status] in drawn(incident)
    found = set(buttons(incident))
    if incident.status is Status.RESOLVED:
        assert {name for name in found if "/" not in name} == {"reopen"}
    elif incident.is_over:
        assert found == set()
    else:
        assert "resolve" in found
        assert "reopen" not in found


def test_a_resolved_incident_says_when_and_whether_in_time(outage: Story) -> None:
    """One hour for a SEV1."""
    outage.do(ChangeStatus(status=Status.RESOLVED), after_s=61 * 60)
    assert "✅ resolved <!date^" in drawn(outage.incident)
    assert "⚠️ late" in drawn(outage.incident)


@pytest.mark.parametrize("severity", [item for item in Severity if item is not Severity.SEV1])
def test_every_severity_has_a_card(outage: Story, severity: Severity) -> None:
    """The menu shows the one that holds."""
    outage.do(ChangeSeverity(severity=severity))
    assert f"{severity.value} · clerk down" in drawn(outage.incident)
    assert buttons(outage.incident)["change_severity"]["initial_option"]["text"]["text"] == severity.value


def test_a_private_incident_and_a_drill_are_marked(story: Story) -> None:
    """One sees at once that it is one."""
    story.open("clerk-auth-outage", private=True, drill=True)
    assert draw_card(story.incident)[0].blocks[0]["text"]["text"] == "DRILL · 🔒 SEV1 · clerk down"


def test_without_a_runbook_there_is_a_card(story: Story) -> None:
    """The words name none, so all of them are offered in a menu; what else can be done is there all the same."""
    story.open(title="the coffee machine")
    text = drawn(story.incident)
    assert "not chosen yet" in text
    assert "Choose a runbook" in text
    assert all(runbook.title in text for runbook in story.catalog.runbooks.values())
    assert "Checklist" not in text
    story.do(Acknowledge(via="slack"), by="U2")
    assert "choose the runbook that fits, if there is one" in drawn(story.incident)


def test_of_several_runbooks_the_likeliest_is_offered_first(story: Story) -> None:
    """A button for each; the diagnosis waits for the choice."""
    story.open("clerk-auth-outage", "clerk-security-incident", title="clerk emergency")
    found = buttons(story.incident)
    assert "style" not in found["choose_runbook:0"]  # none of them is recommended
    assert found["choose_runbook:0"]["value"] == "inc-1/clerk-auth-outage"
    assert found["choose_runbook:1"]["value"] == "inc-1/clerk-security-incident"
    assert "Diagnosis" not in drawn(story.incident)
    story.do(Acknowledge(via="slack"), by="U2")
    assert "choose the runbook that fits" in drawn(story.incident)


@pytest.mark.parametrize("title", ["x" * 10_000, HOSTILE, HOSTILE * 200, "‮", "", "`" * 500, "👩‍👩‍👧‍👦" * 100, "é" * 300])
def test_any_title_fits_and_is_shown_literally(story: Story, contracts: Path, title: str) -> None:
    """Ten thousand characters, mentions of everybody, marks that turn the text around, nothing at all."""
    story.open("clerk-auth-outage", title=title)
    text = drawn(story.incident)
    assert "‮" not in text
    for message in draw_card(story.incident):
        for block in message.blocks:
            for shown in _mrkdwn(block):
                assert "<!channel>" not in shown
                assert "<@U0LEAD>" not in shown
                assert "<https://evil" not in shown
        assert "<!channel>" not in message.text


def _mrkdwn(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if value.get("type") == "mrkdwn" else []
        return own + [text for item in value.values() for text in _mrkdwn(item)]
    return [text for item in value for text in _mrkdwn(item)] if isinstance(value, list) else []


def test_hostile_findings_are_shown_literally(outage: Story, contracts: Path) -> None:
    """Summaries, remedies, reasons, failures of pages: all of it is foreign."""
    outage.do(RunDiagnostics())
    outcome = Outcome(state=State.FAILING, summary=HOSTILE, remedy=HOSTILE)
    outage.do(RecordDiagnostic(diagnostic_id="status", round=2, outcome=outcome))
    outage.do(SkipStep(step_id="logs", reason=HOSTILE))
    outage.do(RecordPage(key="level-1", contact_id="on-call", attempt=2, via="slack", due_at=at(), name=HOSTILE, failure=HOSTILE))
    for message in draw_card(outage.incident):
        for shown in _mrkdwn(list(message.blocks)):
            assert "<!channel>" not in shown
            assert "<@U0LEAD>" not in shown
            assert "<https://evil" not in shown
    drawn(outage.incident)


# -- the diagnosis and the checklist -------------------------------------------------------------------------------


def test_results_stand_in_the_diagnosis_and_beside_their_steps(outage: Story) -> None:
    """Unknown is never green and says what to do; what is not there yet says so."""
    text = drawn(outage.incident)
    assert "🔴 Clerk status page: *failing*, major outage" in text
    assert text.count("🔴 Clerk status page: *failing*") == 2
    assert "❔ Our health endpoint: *unknown*, did not answer" in text
    assert text.count("❔ Our health endpoint: *unknown*") == 2
    assert text.count("↳ see whether it runs") == 1
    assert "⏳ Clerk variables in Vercel: looking…" in text
    assert outage.incident.runbook
    left = len(outage.incident.runbook.diagnostics) - 2
    assert buttons(outage.incident)["run_diagnostics"]["text"]["text"] == f"Diagnosing… {left} to go"


def test_a_new_round_shows_the_old_reading_as_pending(outage: Story) -> None:
    """The last word stays until there is a newer one."""
    outage.do(RunDiagnostics())
    assert "🔴 Clerk status page: *failing*, major outage" in drawn(outage.incident)
    assert outage.incident.runbook
    every = len(outage.incident.runbook.diagnostics)
    assert buttons(outage.incident)["run_diagnostics"]["text"]["text"] == f"Diagnosing… {every} to go"


def test_the_suggested_branch_says_why(outage: Story) -> None:
    """Evidence, its name, and the button for it first."""
    assert "💡 The evidence suggests *Clerk outage* because “Clerk status page” is failing." in drawn(outage.incident)
    found = buttons(outage.incident)
    assert found["choose_branch:0"]["text"]["text"] == "Clerk outage (suggested)"
    assert found["choose_branch:0"]["style"] == "primary"
    assert "style" not in found["choose_branch:1"]


def test_a_step_shows_who_did_it_and_when(outage: Story) -> None:
    """Done, skipped with its reason, chosen: each with an undo."""
    outage.do(TickStep(step_id="confirm"), by="U2")
    outage.do(SkipStep(step_id="logs", reason="no logs"), by="U3")
    outage.do(ChooseBranch(step_id="cause", branch_id="clerk-outage"), by="U4")
    text = drawn(outage.incident)
    assert "✅ 1. Confirm outage" in text
    assert "_<@U2> at <!date^" in text
    assert "⏭️ 2. Check application logs" in text
    assert "_skipped: no logs, <@U3> at" in text
    assert "_*Clerk outage*, <@U4> at" in text
    assert "4a.* Enable emergency bypass" in text
    assert "3 of 9 steps" in text
    assert {"step:confirm/untick", "step:logs/untick", "step:cause/untick"} <= set(buttons(outage.incident))
    assert "do:confirm/tick" not in buttons(outage.incident)


def test_a_finished_incident_has_no_step_buttons(outage: Story) -> None:
    """What was done stays readable."""
    outage.do(TickStep(step_id="confirm"), by="U2")
    outage.do(ChangeStatus(status=Status.RESOLVED))
    assert "✅ 1. Confirm outage" in drawn(outage.incident)
    assert not [name for name in buttons(outage.incident) if name in ("tick", "untick", "skip", "run_diagnostics")]


def test_an_open_run_takes_the_run_button_away(story: Story) -> None:
    """Nobody asks twice; the step can still be ticked by hand."""
    story.open("clerk-security-incident", title="odd sessions")
    assert buttons(story.incident)["do:revoke/run_step"]["style"] == "primary"
    params = {"user_id": "user_2demo"}
    story.do(RequestRun(step_id="revoke", action="clerk.revoke_sessions", title="Revoke", risk=Risk.CHANGE, params=params))
    assert "do:revoke/run_step" not in buttons(story.incident)
    assert "do:revoke/tick" in buttons(story.incident)


def test_every_button_carries_ids_only(outage: Story) -> None:
    """No title, no URL, no parameter."""
    for name, element in buttons(outage.incident).items():
        values = [element["value"]] if "value" in element else [option["value"] for option in element["options"]]
        assert all(value.startswith("inc-1") and len(value) < 200 for value in values), name
        assert "url" not in element


# -- the escalation ------------------------------------------------------------------------------------------------


def test_everybody_was_paged_and_nobody_answers(outage: Story) -> None:
    """The card says so loudly."""
    outage.tick(until_s=1_800)
    assert "Everybody on the escalation ladder was paged; nobody has acknowledged yet" in drawn(outage.incident)


def test_a_page_that_failed_is_said(outage: Story) -> None:
    """With the reason."""
    page = RecordPage(key="level-1", contact_id="on-call", attempt=2, via="phone", due_at=at(), failure="no such number")
    outage.do(page)
    assert "❌ On-call engineer could not be reached by phone: no such number" in drawn(outage.incident)


def test_many_responders_are_counted(outage: Story) -> None:
    """A dozen names, then a number."""
    for number in range(1_000):
        outage.do(Join(user_id=f"U{number:04}"))
    assert "and 988 more" in drawn(outage.incident)


# -- long ones -----------------------------------------------------------------------------------------------------


def test_a_runbook_of_sixty_steps_becomes_several_messages(catalog: Catalog, contracts: Path) -> None:
    """Each within 50 blocks and 12,000 characters, no step lost or torn, no block_id twice in one message."""
    steps = [{"id": f"s{n}", "title": f"Step {n} " + "t" * 100, "guide": "g" * 300} for n in range(60)]
    story = Story(with_runbook(catalog, checklist=steps))
    story.open("made-up")
    text = drawn(story.incident)
    assert len(draw_card(story.incident)) >= 3
    found = buttons(story.incident)
    for number in range(60):
        assert f"*{number + 1}.* Step {number} " in text
        assert f"do:s{number}/tick" in found


def test_the_longest_texts_that_a_file_may_hold_fit(catalog: Catalog, contracts: Path) -> None:
    """Titles of 150 and guides of 1,500 characters, all of which have to be escaped."""
    steps = [
        {
            "id": f"s{n}",
            "title": "&" * 150,
            "guide": "<" * 1_500,
            "caution": ">" * 1_500,
            "link": {"title": "&" * 150, "url": "https://example.com/" + "a" * 1_900},
        }
        for n in range(12)
    ]
    story = Story(with_runbook(catalog, title="&" * 150, checklist=steps))
    story.open("made-up", title="&" * 150)
    drawn(story.incident)


def test_deep_branches_are_drawn_when_they_are_chosen(catalog: Catalog, contracts: Path) -> None:
    """A choice in a choice, sub-steps in sub-steps: numbered, indented, with buttons of their own."""
    deep = [
        {
            "id": "one",
            "title": "One",
            "choose": [
                {"id": "a", "title": "A", "steps": [{"id": "two", "title": "Two", "steps": [{"id": "three", "title": "Three"}]}]},
                {"id": "b", "title": "B", "steps": [{"id": "four", "title": "Four"}]},
            ],
        }
    ]
    story = Story(with_runbook(catalog, checklist=deep))
    story.open("made-up")
    assert "Two" not in drawn(story.incident)
    story.do(ChooseBranch(step_id="one", branch_id="a"))
    text = drawn(story.incident)
    assert "*1a.* Two" in text
    assert "*1a1.* Three" in text
    assert "do:three/tick" in buttons(story.incident)
    assert "do:two/tick" not in buttons(story.incident)
