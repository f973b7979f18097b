"""Opening an incident: what is certain, what is left open, and what is booked with it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, ChooseRunbook, TickStep
from bot.domain.errors import ConflictError, UserError
from bot.domain.facts import Status
from bot.domain.incident import fold
from bot.domain.room import desired_room
from bot.domain.severity import Severity
from bot.domain.timers import waiting_levels
from tests.domain.story import Story

OUTAGE = "clerk-auth-outage"
BREACH = "clerk-security-incident"


def test_a_runbook_brings_its_severity_targets_and_ladder(catalog: Catalog) -> None:
    """All of it is a snapshot: later edits of the files do not change a running incident."""
    incident = Story(catalog).open(OUTAGE)
    policy = catalog.severities[Severity.SEV1]
    assert incident.status is Status.TRIAGE
    assert incident.severity is Severity.SEV1
    assert incident.respond_by == incident.opened.at + timedelta(seconds=policy.respond_within_s)
    assert incident.resolve_by == incident.opened.at + timedelta(seconds=policy.resolve_within_s)
    assert [(level.after_s, level.notify) for level in incident.plan.levels] == [
        (0, ("on-call",)),
        (900, ("engineering-lead",)),
        (1800, ("cto",)),
    ]


def test_the_room_the_diagnosis_and_the_ladder_are_booked(catalog: Catalog) -> None:
    """Everything that must happen is a task from the first write on."""
    story = Story(catalog)
    story.open(OUTAGE)
    due = {identity: (task.due_at - story.now).total_seconds() for identity, task in story.tasks.items()}
    questions = [f"inc-1:diagnose:1:{item.id}" for item in catalog.runbooks[OUTAGE].diagnostics]
    assert len(questions) >= 3
    assert due == dict.fromkeys(["inc-1:room", "inc-1:clock", *questions], 0)
    assert story.claims == {f"open:{OUTAGE}"}


def test_a_drill_claims_nothing_and_says_so_in_its_name(catalog: Catalog) -> None:
    """A drill never swallows a real declaration."""
    story = Story(catalog)
    incident = story.open(OUTAGE, drill=True)
    assert story.claims == set()
    assert desired_room(incident).name == "inc-20261120-drill-clerk-down-1"
    assert desired_room(incident).topic.startswith("DRILL")


def test_words_that_fit_nothing_open_with_the_default_severity(catalog: Catalog) -> None:
    """Opening never fails for want of a runbook."""
    story = Story(catalog)
    incident = story.open(title="the coffee machine is on fire")
    assert incident.runbook is None
    assert incident.severity is catalog.default_severity
    assert story.claims == set()
    assert "inc-1:clock" in story.tasks
    assert [candidate.id for candidate in incident.candidates] == list(catalog.runbooks)
    story.do(ChooseRunbook(runbook_id=OUTAGE))
    assert story.claims == {f"open:{OUTAGE}"}


def test_words_that_fit_several_open_at_once_and_ask_which(catalog: Catalog) -> None:
    """The likeliest gives severity and ladder; its diagnostics wait for the choice."""
    story = Story(catalog)
    incident = story.open(OUTAGE, BREACH, title="clerk emergency")
    assert incident.runbook is None
    assert [candidate.id for candidate in incident.candidates] == [OUTAGE, BREACH]
    assert not any(":diagnose:" in identity for identity in story.tasks)
    story.do(ChooseRunbook(runbook_id=BREACH), by="U2")
    assert story.incident.runbook is not None
    assert story.incident.runbook.id == BREACH
    assert any(":diagnose:" in identity for identity in story.tasks)
    assert story.claims == {f"open:{BREACH}"}
    with pytest.raises(UserError, match="already chosen"):
        story.do(ChooseRunbook(runbook_id=OUTAGE))


def test_choosing_a_runbook_does_not_start_a_stopped_ladder_again(catalog: Catalog) -> None:
    """Who acknowledged before the choice is not woken by it."""
    story = Story(catalog)
    story.open(OUTAGE, BREACH)
    story.do(Acknowledge(via="slack"), by="U2")
    assert waiting_levels(story.incident) == ()
    story.do(ChooseRunbook(runbook_id=OUTAGE), by="U2")
    assert waiting_levels(story.incident) == ()


def test_a_hostile_title_is_harmless(catalog: Catalog) -> None:
    """Controls, bidi marks and 10,000 characters: one short line is left."""
    incident = Story(catalog).open(OUTAGE, title="<!channel>\u202e\n" + "x" * 10_000)
    assert "\u202e" not in incident.title
    assert "\n" not in incident.title
    assert len(incident.title) <= 120
    assert len(desired_room(incident).name) <= 80


def test_a_private_incident_says_nothing_in_its_name(catalog: Catalog) -> None:
    """No title in the channel's name, no announcement."""
    desired = desired_room(Story(catalog).open(OUTAGE, private=True, title="payroll leak"))
    assert desired.private
    assert desired.name == "inc-20261120-private-1"
    assert all(message.key != "announcement" for message in desired.messages)


def test_an_incident_is_opened_once(catalog: Catalog) -> None:
    """The number belongs to one incident."""
    story = Story(catalog)
    story.open(OUTAGE)
    with pytest.raises(ConflictError):
        story.open(OUTAGE)


def test_the_state_is_the_fold_of_its_entries(catalog: Catalog) -> None:
    """Folding everything at once gives the state that grew step by step."""
    story = Story(catalog)
    story.open(OUTAGE)
    story.do(TickStep(step_id="confirm"), by="U2", after_s=5)
    assert fold(story.entries) == story.incident
