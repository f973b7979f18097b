"""Status, severity and roles: the transition table, and what each move stops or starts."""

from __future__ import annotations

import itertools

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, AssignRole, ChangeSeverity, ChangeStatus, Join, Leave, RecordRoom, TickStep
from bot.domain.errors import UserError
from bot.domain.facts import Role, Status
from bot.domain.lifecycle import TRANSITIONS, check_move
from bot.domain.room import desired_room
from bot.domain.severity import Severity
from bot.domain.timers import waiting_alarms, waiting_levels
from tests.domain.story import Story

OUTAGE = "clerk-auth-outage"


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(Status, Status)))
def test_every_move_is_in_the_table_or_refused_with_the_reason(current: Status, wanted: Status) -> None:
    """All 49 pairs."""
    if wanted in TRANSITIONS[current]:
        check_move(current, wanted)
        return
    with pytest.raises(UserError, match=r"already|cannot become|only in triage"):
        check_move(current, wanted)


@pytest.mark.parametrize("end", [Status.RESOLVED, Status.FALSE_POSITIVE])
def test_an_end_stops_the_ladder_and_frees_the_runbook(catalog: Catalog, end: Status) -> None:
    """Nobody is paged for what is over."""
    story = Story(catalog)
    story.open(OUTAGE)
    story.do(ChangeStatus(status=end))
    assert "inc-1:clock" not in story.tasks
    assert story.claims == set()
    assert waiting_alarms(story.incident) == ()


def test_a_false_positive_archives_its_room(catalog: Catalog) -> None:
    """Recorded, archived, over."""
    story = Story(catalog)
    story.open(OUTAGE)
    story.do(ChangeStatus(status=Status.FALSE_POSITIVE))
    assert desired_room(story.incident).archived
    with pytest.raises(UserError, match="not an incident"):
        story.do(TickStep(step_id="confirm"))


def test_reopening_starts_a_new_ladder(catalog: Catalog) -> None:
    """From the moment of the reopening, under keys of its own."""
    story = Story(catalog)
    story.open(OUTAGE)
    story.do(Acknowledge(via="slack"), by="U2")
    story.do(ChangeStatus(status=Status.RESOLVED), after_s=600)
    story.do(ChangeStatus(status=Status.INVESTIGATING), after_s=600)
    due = {one.alarm.id: (one.due_at - story.now).total_seconds() for one in waiting_levels(story.incident)}
    assert due == {"level-1": 0, "level-2": 900, "level-3": 1800}
    assert story.tasks["inc-1:clock"].due_at == story.now
    assert story.incident.acknowledged is None
    assert story.claims == {f"open:{OUTAGE}"}


def test_nothing_changes_in_an_incident_that_is_over(catalog: Catalog) -> None:
    """A click on an old card is answered, not obeyed."""
    story = Story(catalog)
    story.open(OUTAGE)
    story.do(ChangeStatus(status=Status.RESOLVED))
    for command in (
        TickStep(step_id="confirm"),
        ChangeSeverity(severity=Severity.SEV4),
        AssignRole(role=Role.INCIDENT_COMMANDER, user_id="U2"),
        Acknowledge(via="slack"),
    ):
        with pytest.raises(UserError, match="reopen"):
            story.do(command)


def test_a_severity_brings_its_targets_from_the_opening_on(catalog: Catalog) -> None:
    """The promise is counted from when it broke."""
    story = Story(catalog)
    incident = story.open(OUTAGE)
    story.do(ChangeSeverity(severity=Severity.SEV3), after_s=300)
    policy = catalog.severities[Severity.SEV3]
    assert (story.incident.resolve_by - incident.opened.at).total_seconds() == policy.resolve_within_s
    with pytest.raises(UserError, match="already SEV3"):
        story.do(ChangeSeverity(severity=Severity.SEV3))


def test_a_commander_is_brought_into_the_room(catalog: Catalog) -> None:
    """Whoever holds a role is invited."""
    story = Story(catalog)
    story.open(OUTAGE)
    story.do(AssignRole(role=Role.INCIDENT_COMMANDER, user_id="U7"))
    assert "U7" in desired_room(story.incident).user_ids
    with pytest.raises(UserError, match="already"):
        story.do(AssignRole(role=Role.INCIDENT_COMMANDER, user_id="U7"))


def test_who_is_in_the_room_is_recorded_once(catalog: Catalog) -> None:
    """Coming twice is coming once; leaving is leaving."""
    story = Story(catalog)
    story.open(OUTAGE)
    story.do(Join(user_id="U2"))
    assert story.do(Join(user_id="U2")).facts == ()
    assert story.incident.is_responder("U2")
    story.do(Leave(user_id="U2"))
    assert not story.incident.is_responder("U2")
    assert story.do(Leave(user_id="U2")).facts == ()


def test_a_room_is_recorded_once(catalog: Catalog) -> None:
    """The second report of the same channel changes nothing."""
    story = Story(catalog)
    story.open(OUTAGE)
    story.do(RecordRoom(channel_id="C9", name="inc"))
    assert story.do(RecordRoom(channel_id="C9", name="inc")).facts == ()
