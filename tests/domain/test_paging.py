"""The ladder: who is paged when, and what stops it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, ChangeStatus, ReachLevel, RecordPage
from bot.domain.decisions.paging import TRIAGE_SILENCE_S
from bot.domain.errors import UserError
from bot.domain.facts import Status
from bot.domain.incident import Incident
from tests.domain.story import Story

OUTAGE = "clerk-auth-outage"


@pytest.fixture
def story(catalog: Catalog) -> Story:
    """An auth outage that was just opened."""
    made = Story(catalog)
    made.open(OUTAGE)
    return made


def paged(story: Story, *, failure: str = "", level: int = 1, contact: str = "on-call") -> RecordPage:
    return RecordPage(
        level=level,
        contact_id=contact,
        generation=story.incident.generation,
        via="slack",
        due_at=story.now,
        user_ids=() if failure else ("U9",),
        messages=() if failure else (("D9", "1.0"),),
        failure=failure,
    )


def test_a_level_pages_everybody_in_it(story: Story) -> None:
    """One task for each contact, due at once."""
    story.do(ReachLevel(level=1, generation=1), by="muster")
    assert story.tasks["inc-1:g1:page:1:on-call"].due_at == story.now
    assert list(story.incident.levels_reached) == [1]


def test_a_level_is_reached_once(story: Story) -> None:
    """A repeated task decides nothing."""
    story.do(ReachLevel(level=1, generation=1), by="muster")
    assert story.do(ReachLevel(level=1, generation=1), by="muster").facts == ()


def test_an_acknowledgement_stops_what_waited_for_it(story: Story) -> None:
    """Pages and levels leave the due set; triage becomes investigating; a level that comes all the same decides nothing."""
    story.do(ReachLevel(level=1, generation=1), by="muster")
    story.do(Acknowledge(via="slack"), by="U9")
    assert not any(":page:" in identity or ":level:" in identity for identity in story.tasks)
    assert story.incident.status is Status.INVESTIGATING
    assert story.do(ReachLevel(level=2, generation=1), by="muster", after_s=900).facts == ()


def test_acknowledging_twice_says_who_has_it(story: Story) -> None:
    """The second person learns the name of the first."""
    story.do(Acknowledge(via="slack"), by="U9")
    with pytest.raises(UserError, match="<@U9> already has it"):
        story.do(Acknowledge(via="slack"), by="U8")
    with pytest.raises(UserError, match="You already"):
        story.do(Acknowledge(via="slack"), by="U9")


def test_the_same_page_is_recorded_once(story: Story) -> None:
    """A worker that had lost its lease says it again; a page that went out a second time is a fact."""
    story.do(ReachLevel(level=1, generation=1), by="muster")
    story.do(paged(story), by="muster")
    assert story.do(paged(story), by="muster").facts == ()
    assert story.do(replace(paged(story), messages=(("D9", "2.0"),)), by="muster").facts != ()


def test_a_page_in_flight_when_somebody_acknowledged_is_recorded_as_that(story: Story) -> None:
    """It went out; the record says why it looks late."""
    story.do(ReachLevel(level=1, generation=1), by="muster")
    story.do(Acknowledge(via="slack"), by="U8")
    story.do(paged(story), by="muster")
    fact = story.entries[-1].fact
    assert fact.kind == "page_sent"
    assert fact.in_flight


def test_a_page_that_fails_for_good_brings_the_next_level_forward(story: Story) -> None:
    """Nobody waits 15 minutes for a contact who cannot be reached."""
    story.do(ReachLevel(level=1, generation=1), by="muster")
    story.do(paged(story, failure="nobody is called @oncall"), by="muster", after_s=3)
    assert story.tasks["inc-1:g1:level:2"].due_at == story.now
    story.do(ReachLevel(level=2, generation=1), by="muster")
    assert story.tasks["inc-1:g1:level:2"].due_at == story.incident.opened.at + timedelta(seconds=TRIAGE_SILENCE_S)


def test_further_levels_wait_out_the_silence_in_triage(story: Story) -> None:
    """Opening is easy, paging is not: in triage only the first level is paged for five minutes."""
    decision = story.do(ReachLevel(level=2, generation=1), by="muster", after_s=60)
    assert decision.facts == ()
    story.do(ReachLevel(level=2, generation=1), by="muster", after_s=TRIAGE_SILENCE_S - 60)
    assert 2 in story.incident.levels_reached


def test_the_ladder_of_before_a_reopening_is_dead(story: Story) -> None:
    """Its tasks and its pages carry the old generation and decide nothing."""
    before: Incident = story.incident
    story.do(ChangeStatus(status=Status.RESOLVED))
    story.do(ChangeStatus(status=Status.INVESTIGATING))
    assert story.do(ReachLevel(level=1, generation=before.generation), by="muster").facts == ()


def test_the_lateness_of_a_page_is_recorded(story: Story) -> None:
    """In whole seconds after it was due."""
    command = paged(story)
    story.do(command, by="muster", after_s=7)
    fact = story.entries[-1].fact
    assert fact.kind == "page_sent"
    assert fact.late_s == 7
