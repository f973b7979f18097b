"""The plan of an incident: what the files said at its start, and who of it cannot be reached."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bot.domain.catalog import Catalog
from bot.domain.commands import ChooseRunbook
from bot.domain.escalation import (
    Condition,
    Contact,
    DutyOverride,
    EscalationPolicy,
    Level,
    Rotation,
    RunbookEscalation,
    Team,
    Trigger,
    Way,
)
from bot.domain.plan import Plan, gaps_of, make_plan
from bot.domain.severity import Severity
from tests.domain.story import A_RUNBOOK, Story, another_runbook, made, person

CONFIGURED = frozenset({Way.SLACK})


def plan_of(catalog: Catalog, *, rotations: tuple[Rotation, ...] = (), ways: frozenset[Way] | None = None, **fields: Any) -> Plan:
    """The plan of an incident with the one runbook."""
    files = replace(made(catalog, **fields), rotations={one.id: one for one in rotations}, ways=ways)
    return make_plan(files, files.runbooks[A_RUNBOOK])


def test_levels_and_conditions_become_alarms(catalog: Catalog) -> None:
    """With ids that are unique among all, in the order of the ladder."""
    condition = Condition(id="press", when=(Trigger.MEDIA_ATTENTION,), for_s=60, notify=("press",), via=(Way.PHONE,))
    plan = plan_of(catalog, conditions=[condition], severities={Severity.SEV1: {"notify": ("lead",), "standby": ("dba",)}})
    assert [(level.id, level.level, level.after_s, level.notify) for level in plan.levels] == [
        ("level-1", 1, 0, ("first",)),
        ("level-2", 2, 900, ("second",)),
        ("level-3", 3, 1800, ("third",)),
    ]
    (press,) = plan.conditions
    assert (press.id, press.after_s, press.when, press.until, press.via) == (
        "press",
        60,
        (Trigger.MEDIA_ATTENTION,),
        "resolved",
        (Way.PHONE,),
    )
    alarms = plan.responses[Severity.SEV1].alarms
    assert [(alarm.id, alarm.kind, alarm.notify) for alarm in alarms] == [
        ("standby-SEV1", "standby", ("dba",)),
        ("notice-SEV1", "notice", ("lead",)),
    ]
    assert plan.responses[Severity.SEV2].alarms == ()


def test_the_plan_knows_whoever_it_names_and_nobody_else(catalog: Catalog) -> None:
    """Also the members of rotations and those who stand in for them; the others' numbers are in no timeline."""
    standing_in = DutyOverride.model_validate({"from": "2026-12-24T09:00", "to": "2026-12-27T09:00", "contact": "dba"})
    rotation = Rotation(id="primary", name="Primary", members=("first",), starts="2026-01-01", overrides=(standing_in,))
    plan = plan_of(catalog, levels=[Level(after_s=0, notify=("primary",))], rotations=(rotation,))
    assert set(plan.people) == {"first", "dba"}
    assert set(plan.rotations) == {"primary"}
    assert plan.name_of("primary") == "Primary"
    assert plan.name_of("first") == "First"
    assert plan.name_of("somebody") == "somebody"


def test_a_team_is_its_members_or_its_user_group(catalog: Catalog) -> None:
    """Each member once, in their own way; a user group is told as one."""
    teams = [Team(id="crew", name="Crew", members=("first", "dba")), Team(id="all", name="All", slack="@all")]
    plan = plan_of(catalog, teams=teams, levels=[Level(after_s=0, notify=("first", "crew", "all"))])
    assert plan.levels[0].notify == ("first", "dba", "all")
    assert plan.people["all"] == Contact(id="all", name="All", slack="@all")


def test_who_would_have_to_be_woken_is_not_told_what_wants_no_answer(catalog: Catalog) -> None:
    """Standby and notice are left out for whoever has a phone alone: neither a call nor a loud failure comes of them."""
    phone = Contact(id="phone", name="Phone", phone="+15550100")
    mail = Contact(id="mail", name="Mail", email="mail@example.com")
    severities = {Severity.SEV2: {"standby": ("phone",), "notify": ("phone", "mail")}}
    alarms = plan_of(catalog, contacts=[phone, mail], severities=severities).responses[Severity.SEV2].alarms
    assert [(alarm.kind, alarm.notify) for alarm in alarms] == [("notice", ("mail",))]
    without_mail = plan_of(catalog, contacts=[phone, mail], severities=severities, ways=CONFIGURED)
    assert without_mail.responses[Severity.SEV2].alarms == ()


def test_an_edit_of_the_files_changes_no_incident_that_is_open(catalog: Catalog) -> None:
    """It is escalated as the files said at its start; the next one as they say now."""
    files = made(catalog)
    story = Story(files)
    story.open(A_RUNBOOK)
    story.tick(until_s=60)
    policy = EscalationPolicy(id="default", levels=(Level(after_s=0, notify=("dba",)), Level(after_s=120, notify=("lead",))))
    story.catalog = replace(files, policies=MappingProxyType({"default": policy}), contacts=MappingProxyType({}))
    story.tick(until_s=3600)
    assert [who for _, _, who in story.told()] == ["first", "second", "third"]


def test_choosing_the_runbook_takes_the_files_as_they_are_then(catalog: Catalog) -> None:
    """The plan of the runbook takes over, with its policy."""
    files = another_runbook(made(catalog), "other", escalation=RunbookEscalation(levels=(Level(after_s=60, notify=("dba",)),)))
    story = Story(files)
    story.open(A_RUNBOOK, "other")
    assert [level.after_s for level in story.incident.plan.levels] == [0, 900, 1800]
    story.do(ChooseRunbook(runbook_id="other"))
    assert [level.after_s for level in story.incident.plan.levels] == [0, 60, 900, 1800]


def test_a_plan_survives_the_timeline(catalog: Catalog) -> None:
    """As JSON and back: it is a part of the first entry."""
    plan = plan_of(catalog, conditions=[Condition(id="long", when=(Trigger.OPEN,), for_s=3600, notify=("lead",))])
    assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)) == plan


def test_who_cannot_be_reached_as_wanted_is_named(catalog: Catalog) -> None:
    """A sentence for each way, and one for those whom nothing reaches; nobody twice."""
    nobody = Contact(id="nobody", name="Nobody")
    levels = [
        Level(after_s=0, notify=("first",), via=(Way.PHONE, Way.SLACK)),
        Level(after_s=60, notify=("first", "second", "nobody"), via=(Way.PHONE,)),
    ]
    plan = plan_of(catalog, levels=levels, contacts=[nobody])
    assert gaps_of(plan) == ("cannot be reached by phone: First, Second", "cannot be reached at all: Nobody")


def test_a_way_that_is_not_set_up_is_a_gap(catalog: Catalog) -> None:
    """The number is there, the settings of the telephone are not."""
    phone = Contact(id="phone", name="Phone", phone="+15550100", slack="@phone")
    levels = [Level(after_s=0, notify=("phone",), via=(Way.PHONE,))]
    assert gaps_of(plan_of(catalog, levels=levels, contacts=[phone])) == ()
    assert gaps_of(plan_of(catalog, levels=levels, contacts=[phone], ways=CONFIGURED)) == ("cannot be reached by phone: Phone",)


def test_everybody_who_is_reached_as_wanted_is_no_gap(catalog: Catalog) -> None:
    """A ladder that works says nothing, also where Slack is the first of two wishes."""
    levels = [Level(after_s=0, notify=("first",), via=(Way.SLACK, Way.PHONE))]
    assert gaps_of(plan_of(catalog, levels=levels, contacts=[person("other")], ways=CONFIGURED)) == ()
