"""Watches and the list of accounts: what is written down, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    ChangeAccounts,
    ChangeStatus,
    EndWatch,
    RecordPreview,
    RecordRun,
    RecordWatch,
    RequestRun,
    StartWatch,
)
from bot.domain.errors import UserError
from bot.domain.facts import Status
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.domain.runbook import Runbook, Watching
from tests.domain.story import Story

GOOD = Outcome(state=State.OK, summary="operational")
BAD = Outcome(state=State.FAILING, summary="down")


def with_watch(catalog: Catalog) -> Catalog:
    """The catalog in which the first step of the outage can be watched."""
    known = catalog.runbooks["clerk-auth-outage"]
    first = known.checklist[0].model_copy(update={"watch": Watching.model_validate({"every": "30s", "until": "3 good"})})
    runbook: Runbook = known.model_copy(update={"checklist": (first, *known.checklist[1:])})
    return replace(catalog, runbooks={**catalog.runbooks, runbook.id: runbook})


@pytest.fixture
def story(catalog: Catalog) -> Story:
    """An outage that was just opened."""
    made = Story(with_watch(catalog))
    made.open("clerk-auth-outage")
    return made


def look(number: int, outcome: Outcome) -> RecordWatch:
    """What one look saw."""
    return RecordWatch(step_id="confirm", number=number, outcome=outcome)


def test_only_changes_are_written_down(story: Story) -> None:
    """A night of the same bad news is one line; good news is counted until it is enough, and ends it."""
    story.do(StartWatch(step_id="confirm"), by="U1")
    assert "inc-1:watch:confirm:1" in story.tasks
    written = [bool(story.do(look(1, outcome), by="muster").facts) for outcome in (BAD, BAD, BAD, GOOD, BAD, GOOD, GOOD)]
    assert written == [True, False, False, True, True, True, True]
    news = [item.fact.kind for item in story.incident.news]
    assert news.count("watch_reported") == 4  # down, well, down, well; the counting says nothing
    story.do(look(1, GOOD), by="muster")
    watch = story.incident.watches["confirm"]
    assert (watch.done, watch.good) == (True, 3)
    assert "inc-1:watch:confirm:1" not in story.tasks
    assert "confirm" in story.incident.steps
    assert story.do(look(1, BAD), by="muster").facts == ()


def test_it_ends_by_its_button_and_with_the_incident(story: Story) -> None:
    """And can be started once more, under another number: what the old one still sees does not count."""
    story.do(StartWatch(step_id="confirm"))
    with pytest.raises(UserError, match="watched already"):
        story.do(StartWatch(step_id="confirm"))
    story.do(EndWatch(step_id="confirm"))
    assert "inc-1:watch:confirm:1" not in story.tasks
    with pytest.raises(UserError, match="not being watched"):
        story.do(EndWatch(step_id="confirm"))
    story.do(StartWatch(step_id="confirm"))
    assert story.do(look(1, BAD), by="muster").facts == ()
    assert "inc-1:watch:confirm:2" in story.tasks
    story.do(ChangeStatus(status=Status.RESOLVED))
    assert "inc-1:watch:confirm:2" not in story.tasks


def test_what_cannot_be_watched_is_not(story: Story) -> None:
    """A step without `watch`, and one that is not there."""
    for step_id in ("variables", "nowhere"):
        with pytest.raises(UserError, match="watches nothing"):
            story.do(StartWatch(step_id=step_id))


@pytest.mark.parametrize(
    "written", [{"every": "5s"}, {"every": "2h"}, {"until": "good"}, {"until": "0 good"}, {"until": "3 bad"}]
)
def test_how_a_watch_is_written(written: dict[str, str]) -> None:
    """Not so often that it only costs, not so seldom that nobody waits for it."""
    with pytest.raises(ValueError, match=r"every|good"):
        Watching.model_validate(written)


# -- accounts ------------------------------------------------------------------------------------------------------------


def test_accounts_are_added_and_removed_by_hand(story: Story) -> None:
    """What is there already is no news; what is no id is refused as a whole."""
    story.do(ChangeAccounts(added=("user_1", "user_2", "user_1")), by="U1")
    assert story.incident.accounts == {"user_1": "U1", "user_2": "U1"}
    with pytest.raises(UserError, match="says already"):
        story.do(ChangeAccounts(added=("user_2",)))
    with pytest.raises(UserError, match="by its id"):
        story.do(ChangeAccounts(added=("user_3", "../../v1/user")))
    story.do(ChangeAccounts(added=("user_3",), removed=("user_1", "user_9")))
    assert list(story.incident.accounts) == ["user_2", "user_3"] or set(story.incident.accounts) == {"user_2", "user_3"}


def test_a_run_that_found_accounts_adds_them(catalog: Catalog) -> None:
    """Who added one by hand stays on record."""
    story = Story(catalog)
    story.open("clerk-security-incident")
    story.do(ChangeAccounts(added=("user_1",)), by="U1")
    story.do(RequestRun(step_id="identify", action="clerk.suspicious_sessions", title="Sessions", risk=Risk.READ, params={}))
    found = GOOD.model_copy(update={"accounts": ("user_1", "user_2")})
    story.do(RecordRun(run_id="r1", outcome=found), by="muster")
    assert story.incident.accounts == {"user_1": "U1", "user_2": "r1"}
    assert story.do(RecordPreview(run_id="r1", preview=Preview(summary="late")), by="muster").facts == ()
