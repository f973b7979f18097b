"""The decisions of escalation: pages that are recorded, acknowledgements, the question behind them, people who are called by
hand. When something is due is in ``test_timers``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, ChangeStatus, CheckIn, ChooseRunbook, Escalate, ReachDue, RecordFollowed, RecordPage
from bot.domain.decisions.paging import person_contact
from bot.domain.errors import UserError
from bot.domain.escalation import Condition, EscalationPolicy, Level, Rotation, RunbookEscalation, Trigger
from bot.domain.facts import AlarmRaised, CheckedIn, PageSent, Status
from bot.domain.severity import Severity
from bot.domain.tasks import TaskKind
from bot.domain.timeline import MUSTER
from bot.domain.timers import CONTACT_PREFIX, lapses_at, waiting_levels
from tests.domain.story import A_RUNBOOK, HOLDER, Story, another_runbook, made, person

OTHER = "U0OTHER"
CHECKED = {Severity.SEV2: {"check_in_after_s": 1800, "check_in_wait_s": 600}}


def opened(catalog: Catalog, **fields: object) -> Story:
    """An incident of the one runbook, whose first level is due."""
    story = Story(made(catalog, **fields))  # type: ignore[arg-type]
    story.open(A_RUNBOOK)
    return story


def ring(story: Story) -> None:
    """The clock of the incident rings now; no page is sent."""
    story.do(ReachDue(due_at=story.now), by=MUSTER, settling="inc-1:clock")


def paged(story: Story, key: str = "level-1", contact: str = "first", *, attempt: int = 1, **fields: object) -> RecordPage:
    """The result of an attempt; accepted by Slack, unless ``fields`` say otherwise."""
    said: dict[str, object] = {"via": "slack", "due_at": story.now}
    if "failure" not in fields:
        said |= {"user_ids": (OTHER,), "messages": (("D9", "1.0"),)}
    return RecordPage(key=key, contact_id=contact, attempt=attempt, **said | fields)  # type: ignore[arg-type]


# -- what is due ---------------------------------------------------------------------------------------------------


def test_a_level_pages_everybody_in_it(catalog: Catalog) -> None:
    """One task for each contact, due at once and in their order."""
    story = opened(catalog, levels=[Level(after_s=0, notify=("first", "dba"))])
    ring(story)
    assert [identity for identity, task in story.tasks.items() if task.kind is TaskKind.PAGE] == [
        "inc-1:g1:page:level-1:first:1",
        "inc-1:g1:page:level-1:dba:1",
    ]
    assert story.due_s(TaskKind.PAGE) == [0, 0.001]


def test_the_clock_that_rings_twice_decides_once(catalog: Catalog) -> None:
    """A repeated task, or one that comes after everything was moved, decides nothing."""
    story = opened(catalog)
    ring(story)
    assert story.do(ReachDue(due_at=story.now), by=MUSTER).facts == ()


def test_who_is_due_twice_at_once_is_told_once(catalog: Catalog) -> None:
    """By the higher level; the other alarm counts as raised, and tells whoever is left."""
    levels = [Level(after_s=0, notify=("first", "dba")), Level(after_s=0, notify=("first",))]
    story = opened(catalog, levels=levels)
    story.do(ChangeStatus(status=Status.INVESTIGATING))
    story.tick(until_s=1)
    assert story.told() == [(0, "level-2", "first"), (0, "level-1", "dba")]


# -- pages ---------------------------------------------------------------------------------------------------------


def test_the_same_page_is_recorded_once(catalog: Catalog) -> None:
    """A worker that had lost its lease says it again; a page that went out a second time is a fact."""
    story = opened(catalog)
    ring(story)
    story.do(paged(story), by=MUSTER)
    assert story.do(paged(story), by=MUSTER).facts == ()
    assert story.do(paged(story, messages=(("D9", "2.0"),)), by=MUSTER).facts != ()


def test_a_later_attempt_counts_also_where_the_provider_calls_it_the_same(catalog: Catalog) -> None:
    """A dedup key is the same in each round: were the second acceptance forgotten, it would be sent for ever."""
    story = opened(catalog)
    ring(story)
    said = {"via": "phone", "reference": "k", "messages": (), "user_ids": ()}
    story.do(paged(story, **said, follows=True), by=MUSTER)
    no_answer = RecordFollowed(key="level-1", contact_id="first", via="phone", wanted="open", ended=True, failure="no answer")
    story.do(no_answer, by=MUSTER)
    story.do(paged(story, attempt=3, failure="every way was tried", via="", passing=True), by=MUSTER)
    story.do(paged(story, attempt=4, **said), by=MUSTER)
    assert story.kinds()[-1] == "page_sent"
    assert not story.due_s(TaskKind.PAGE)


def test_a_late_failure_does_not_undo_a_page_that_was_accepted(catalog: Catalog) -> None:
    """A stale worker's word about an attempt that is recorded already."""
    story = opened(catalog)
    ring(story)
    story.do(paged(story), by=MUSTER)
    assert story.do(paged(story, failure="no answer from Slack"), by=MUSTER).facts == ()


def test_a_late_success_after_a_failure_ends_the_trying(catalog: Catalog) -> None:
    """Somebody was reached after all: the next way is not tried."""
    story = opened(catalog)
    ring(story)
    story.do(paged(story, failure="gone", exhausted=False), by=MUSTER)
    assert "inc-1:g1:page:level-1:first:2" in story.tasks
    story.do(paged(story), by=MUSTER)
    assert not story.due_s(TaskKind.PAGE)


def test_a_page_in_flight_when_somebody_acknowledged_is_recorded_as_that(catalog: Catalog) -> None:
    """It went out; the record says why it looks late."""
    story = opened(catalog)
    ring(story)
    story.do(Acknowledge(via="slack"), by="U8")
    story.do(paged(story), by=MUSTER)
    assert story.facts(PageSent)[0].in_flight


def test_the_lateness_of_a_page_is_recorded(catalog: Catalog) -> None:
    """In whole seconds after it was due."""
    story = opened(catalog)
    ring(story)
    story.do(paged(story), by=MUSTER, after_s=7)
    assert story.facts(PageSent)[0].late_s == 7


def test_a_page_of_before_a_reopening_is_recorded_and_pages_nobody(catalog: Catalog) -> None:
    """Its alarm is gone; what it did is a fact all the same."""
    story = opened(catalog)
    ring(story)
    late = paged(story)
    story.do(ChangeStatus(status=Status.RESOLVED))
    story.do(ChangeStatus(status=Status.INVESTIGATING))
    story.do(late, by=MUSTER)
    assert story.facts(PageSent)[0].in_flight
    assert not story.due_s(TaskKind.PAGE)


# -- acknowledging -------------------------------------------------------------------------------------------------


def test_an_acknowledgement_stops_what_waited_for_it(catalog: Catalog) -> None:
    """Pages and levels leave the due set; triage becomes investigating; a clock that rings all the same pages nobody."""
    story = opened(catalog)
    ring(story)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    assert not story.due_s(TaskKind.PAGE)
    assert waiting_levels(story.incident) == ()
    assert story.incident.status is Status.INVESTIGATING
    story.tick(until_s=4 * 3600)
    assert story.told() == []


def test_acknowledging_twice_says_who_has_it(catalog: Catalog) -> None:
    """The second person learns the name of the first, also where that is no user of Slack."""
    story = opened(catalog)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    with pytest.raises(UserError, match=f"<@{HOLDER}> already has it"):
        story.do(Acknowledge(via="slack"), by=OTHER)
    with pytest.raises(UserError, match="You already"):
        story.do(Acknowledge(via="slack"), by=HOLDER)
    by_phone = opened(catalog)
    by_phone.do(Acknowledge(via="phone"), by=f"{CONTACT_PREFIX}first")
    with pytest.raises(UserError, match="First already has it"):
        by_phone.do(Acknowledge(via="slack"), by=OTHER)


def test_whoever_was_called_later_takes_it_over(catalog: Catalog) -> None:
    """Called by hand after somebody had acknowledged; nobody else does."""
    story = opened(catalog)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.do(Escalate(contact=person("lead")), by=HOLDER, after_s=60)
    story.do(paged(story, "asked", "lead"), by=MUSTER, after_s=2)
    with pytest.raises(UserError, match="already has it"):
        story.do(Acknowledge(via="slack"), by="U0STRANGER")
    story.do(Acknowledge(via="slack"), by=OTHER)
    assert story.incident.acknowledged
    assert story.incident.acknowledged.by == OTHER


def test_a_page_from_before_the_acknowledgement_takes_nothing_over(catalog: Catalog) -> None:
    """A button that is pressed late does not take it away from who has it."""
    story = opened(catalog)
    ring(story)
    story.do(paged(story), by=MUSTER)
    story.do(Acknowledge(via="slack"), by=HOLDER, after_s=60)
    with pytest.raises(UserError, match="already has it"):
        story.do(Acknowledge(via="slack"), by=OTHER)


def test_a_page_that_was_on_its_way_takes_nothing_over(catalog: Catalog) -> None:
    """The second level's message arrived a second after the first one had acknowledged."""
    story = opened(catalog)
    story.tick(until_s=60)
    story.do(ReachDue(due_at=story.moment(900)), by=MUSTER, at_s=900, settling="inc-1:clock")
    story.do(Acknowledge(via="slack"), by=HOLDER, after_s=1)
    story.do(paged(story, "level-2", "second"), by=MUSTER, after_s=1)
    with pytest.raises(UserError, match="already has it"):
        story.do(Acknowledge(via="slack"), by=OTHER)


# -- still on it? --------------------------------------------------------------------------------------------------


def asked(catalog: Catalog, by: str = HOLDER, **fields: object) -> Story:
    """The one who acknowledged in the fifth minute was asked half an hour later."""
    story = opened(catalog, severities=CHECKED, **fields)
    story.tick(until_s=60)
    story.do(Acknowledge(via="slack"), by=by, at_s=300)
    story.tick(until_s=300 + 1800)
    return story


def test_the_question_goes_to_whoever_acknowledged(catalog: Catalog) -> None:
    """Also to somebody who is in no file."""
    story = asked(catalog)
    raised = story.facts(AlarmRaised)[-1]
    assert (raised.key, raised.contact_ids, raised.contact.slack) == ("check-in", ("u0holder",), HOLDER)
    assert story.told()[-1] == (2100, "check-in", "u0holder")


def test_the_question_goes_to_a_contact_who_is_no_user_of_slack(catalog: Catalog) -> None:
    """They acknowledged by a key on the phone; they are asked as the files say."""
    assert asked(catalog, f"{CONTACT_PREFIX}first").told()[-1] == (2100, "check-in", "first")


def test_the_question_goes_to_a_person_who_was_called_by_hand(catalog: Catalog) -> None:
    """They are in no file either; what was said when they were called is enough."""
    story = opened(catalog, severities=CHECKED)
    story.do(Escalate(contact=person_contact("U0EXPERT")), after_s=10)
    story.do(Acknowledge(via="pagerduty"), by=f"{CONTACT_PREFIX}u0expert", at_s=300)
    story.tick(until_s=2100)
    assert story.told()[-1] == (2100, "check-in", "u0expert")


def test_the_question_goes_to_whoever_is_on_duty_where_a_rotation_acknowledged(catalog: Catalog) -> None:
    """Nobody knows who of them it was: whoever has the duty is asked, and the clock goes on."""
    rotation = Rotation(id="primary", name="Primary", members=("first",), starts="2026-01-01")
    story = asked(
        catalog,
        f"{CONTACT_PREFIX}primary",
        levels=[Level(after_s=0, notify=("primary",)), Level(after_s=900, notify=("second",))],
        rotations={"primary": rotation},
    )
    assert story.told()[-1] == (2100, "check-in", "primary")
    story.tick(until_s=2100 + 600)
    assert story.told()[-1] == (2700, "level-2", "second")


@pytest.mark.parametrize("by", ["U1", "contact:nobody-any-more"])
def test_who_cannot_be_asked_has_it_for_as_long_as_the_silence_lasts(catalog: Catalog, by: str) -> None:
    """There is nobody to ask, so their silence has to do; the clock does not break on them."""
    story = asked(catalog, by)
    story.tick(until_s=2100 + 600)
    assert story.told()[1:] == [(2700, "level-2", "second")]
    assert story.incident.acknowledged is None


def test_the_terminal_is_not_asked(catalog: Catalog) -> None:
    """Whoever acknowledged there is nobody that Muster could ask; it stays acknowledged."""
    story = asked(catalog, "terminal")
    story.tick(until_s=7200)
    assert "check-in" not in [key for _, key in story.raised()]
    assert story.incident.acknowledged


@pytest.mark.parametrize("answer", [CheckIn(), Acknowledge(via="slack")])
def test_an_answer_asks_again_after_another_silence(catalog: Catalog, answer: CheckIn | Acknowledge) -> None:
    """Both buttons say the same: still on it."""
    story = asked(catalog)
    assert lapses_at(story.incident) == story.moment(2700)
    story.do(answer, by=HOLDER, after_s=60)
    assert story.facts(CheckedIn)
    assert lapses_at(story.incident) is None
    story.tick(until_s=2160 + 1799)
    assert story.raised()[-1] == (2100, "check-in")
    story.tick(until_s=2160 + 1800)
    assert story.raised()[-1] == (3960, "check-in.2")


def test_nobody_can_say_still_on_it_where_nobody_has_it(catalog: Catalog) -> None:
    """A late press of the button learns that it lapsed."""
    story = asked(catalog)
    story.tick(until_s=2700)
    with pytest.raises(UserError, match="Nobody has this any more"):
        story.do(CheckIn(), by=HOLDER)


def test_somebody_who_was_asked_in_pagerduty_answers_there(catalog: Catalog) -> None:
    """Their acknowledgement of the question is the answer to it."""
    story = asked(catalog, f"{CONTACT_PREFIX}first")
    story.do(Acknowledge(via="pagerduty"), by=f"{CONTACT_PREFIX}first", after_s=5)
    assert story.kinds()[-1] == "checked_in"


def test_whoever_comes_first_has_it_when_the_holder_is_asked_and_silent(catalog: Catalog) -> None:
    """Nobody waits for the silence to be long enough."""
    story = asked(catalog)
    story.do(Acknowledge(via="slack"), by=OTHER, after_s=60)
    assert story.incident.acknowledged
    assert story.incident.acknowledged.by == OTHER
    assert lapses_at(story.incident) is None


# -- by hand -------------------------------------------------------------------------------------------------------


def test_a_level_that_was_not_reached_is_reached_by_hand(catalog: Catalog) -> None:
    """It is not paged a second time by the clock, and the levels before it still are."""
    story = opened(catalog)
    story.tick(until_s=0)
    story.do(Escalate(level=3, reason="the payment service too"), after_s=60)
    story.tick(until_s=3600)
    assert story.told() == [(0, "level-1", "first"), (60, "level-3", "third"), (900, "level-2", "second")]
    assert story.incident.raised["level-3"].reason == "the payment service too"


def test_a_level_that_was_reached_is_called_once_more_by_hand(catalog: Catalog) -> None:
    """Somebody wants them to look again."""
    story = opened(catalog)
    story.tick(until_s=60)
    story.do(Escalate(level=1), after_s=0)
    story.tick(until_s=120)
    assert story.told() == [(0, "level-1", "first"), (60, "asked", "first")]


def test_without_a_name_the_next_level_is_called(catalog: Catalog) -> None:
    """And then the one after it; after the last one somebody has to be named."""
    story = opened(catalog)
    story.tick(until_s=0)
    story.do(Escalate(), after_s=60)
    story.tick(until_s=60)
    story.do(Escalate(), after_s=60)
    story.tick(until_s=3600)
    assert story.told() == [(0, "level-1", "first"), (60, "level-2", "second"), (120, "level-3", "third")]
    with pytest.raises(UserError, match="Everybody on the escalation ladder was paged already"):
        story.do(Escalate())


def test_calling_by_hand_works_after_an_acknowledgement(catalog: Catalog) -> None:
    """It is help that is asked for; the acknowledgement does not hold it up, and it stops the other levels still."""
    story = opened(catalog)
    story.tick(until_s=10)
    story.do(Acknowledge(via="slack"), by=HOLDER)
    story.do(Escalate(), after_s=50)
    story.tick(until_s=3600)
    assert story.told() == [(0, "level-1", "first"), (60, "level-2", "second")]


def test_a_person_who_is_in_no_file_can_be_called(catalog: Catalog) -> None:
    """Twice, under keys of their own."""
    story = opened(catalog)
    story.do(Escalate(contact=person_contact("U0EXPERT")), after_s=1)
    story.do(Escalate(contact=person_contact("U0EXPERT")), after_s=1)
    story.tick(until_s=10)
    assert [(key, who) for _, key, who in story.told() if who == "u0expert"] == [("asked", "u0expert"), ("asked.2", "u0expert")]


def test_somebody_whom_no_level_names_can_be_called(catalog: Catalog) -> None:
    """Whoever is in contacts.yml, also if this incident's ladder does not know them."""
    story = opened(catalog)
    assert "lead" not in story.incident.plan.people
    story.do(Escalate(contact=person("lead")), after_s=1)
    story.tick(until_s=10)
    assert (1, "asked", "lead") in story.told()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Escalate(level=7), "There is no level 7; this incident's ladder has 1, 2, 3"),
        (Escalate(contact_id="nobody"), "“nobody” is nobody in contacts.yml"),
    ],
)
def test_who_is_not_there_cannot_be_called(catalog: Catalog, command: Escalate, words: str) -> None:
    """And the message says who is."""
    with pytest.raises(UserError, match=words):
        opened(catalog).do(command)


def test_nobody_is_called_for_what_is_over(catalog: Catalog) -> None:
    """It has to be reopened first."""
    story = opened(catalog)
    story.do(ChangeStatus(status=Status.RESOLVED))
    for command in (Escalate(), CheckIn()):
        with pytest.raises(UserError, match="reopen"):
            story.do(command)
    assert story.do(ReachDue(due_at=story.now), by=MUSTER).facts == ()


# -- another plan --------------------------------------------------------------------------------------------------


def test_whoever_only_the_chosen_runbook_wakes_is_woken_by_the_choice(catalog: Catalog) -> None:
    """“Immediate escalation to the database administrator” holds also when the runbook is chosen later; nobody twice."""
    base = another_runbook(made(catalog), "other", escalation=RunbookEscalation(inherit="urgent"))
    urgent = EscalationPolicy(
        id="urgent",
        levels=(Level(after_s=0, notify=("first", "dba")), Level(after_s=1800, notify=("lead",))),
        conditions=(Condition(id="press", when=(Trigger.NO_PROGRESS,), for_s=1800, notify=("press",)),),
    )
    story = Story(replace(base, policies={**base.policies, "urgent": urgent}))
    story.open(A_RUNBOOK, "other")
    story.tick(until_s=60)
    assert story.told() == [(0, "level-1", "first")]
    story.do(ChooseRunbook(runbook_id="other"))
    story.tick(until_s=3600)
    assert story.told()[1:] == [(60, "level-1.2", "dba"), (1800, "level-2", "lead"), (1800, "press", "press")]
