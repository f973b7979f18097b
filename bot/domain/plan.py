"""Who is told what when: the escalation policy, the severities and the contacts of one incident, as the files said at its start.

A snapshot (``make_plan``) is part of the timeline, so editing a file changes no incident that is running. What is due when
follows from it and the state in ``bot.domain.timers``. Who is on duty behind a rotation is found out when they are paged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bot.domain.catalog import Catalog
from bot.domain.escalation import (
    BusinessHours,
    Condition,
    Contact,
    Level,
    Rotation,
    Trigger,
    Until,
    Way,
    resolve_policy,
)
from bot.domain.reach import BY, passed_over, usable_ways
from bot.domain.runbook import Runbook
from bot.domain.severity import Paging, Severity, SeverityPolicy

AlarmKind = Literal["page", "standby", "notice", "check_in"]
"""What people are told: to come, to be ready, that something happens; or they are asked whether they still have it."""

QUIET = (Way.SLACK, Way.EMAIL)
"""The ways of what wants no answer: nobody's phone rings because something is so."""

UNTIL_OVER: Until = "resolved"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Alarm(_Value):
    """Something that tells people, once it is due: a level of the ladder, a condition, what the severity asks for."""

    id: str
    title: str
    kind: AlarmKind = "page"
    level: int = 0
    """Its number on the ladder, 1-based; 0: it is not on the ladder."""
    after_s: int = 0
    """After the ladder's start, or after a trigger became true."""
    when: tuple[Trigger, ...] = ()
    until: Until = "acknowledged"
    notify: tuple[str, ...]
    """Ids of people and rotations of the plan."""
    via: tuple[Way, ...] = ()


class Response(_Value):
    """What one severity promises and asks for. Times in seconds."""

    title: str
    respond_within_s: int
    resolve_within_s: int
    page: Paging
    via: tuple[Way, ...]
    invite: tuple[str, ...]
    alarms: tuple[Alarm, ...]
    check_in_after_s: int | None
    check_in_wait_s: int


class Plan(_Value):
    """See the module. ``ways`` are those that were configured; None: not known."""

    levels: tuple[Alarm, ...]
    conditions: tuple[Alarm, ...]
    responses: dict[Severity, Response]
    people: dict[str, Contact]
    rotations: dict[str, Rotation]
    hours: BusinessHours
    ways: tuple[Way, ...] | None

    def name_of(self, identity: str) -> str:
        """The name of a contact or a rotation, for people."""
        known = self.people.get(identity) or self.rotations.get(identity)
        return known.name if known else identity

    def level(self, number: int) -> Alarm | None:
        """The level ``number`` (1-based) of the ladder."""
        return next((level for level in self.levels if level.level == number), None)


def make_plan(catalog: Catalog, runbook: Runbook | None) -> Plan:
    """The plan of an incident with ``runbook`` (None: not known yet), as the files say now."""
    policy = resolve_policy(catalog, runbook)
    levels = tuple(_level(catalog, level) for level in sorted(policy.levels, key=lambda item: item.level))
    conditions = tuple(_condition(catalog, condition) for condition in policy.conditions)
    responses = {severity: _response(catalog, severity, rules) for severity, rules in catalog.severities.items()}
    named = [
        *(identity for alarm in (*levels, *conditions) for identity in alarm.notify),
        *(identity for response in responses.values() for identity in response.invite),
        *(identity for response in responses.values() for alarm in response.alarms for identity in alarm.notify),
    ]
    rotations = {identity: catalog.rotations[identity] for identity in named if identity in catalog.rotations}
    return Plan(
        levels=levels,
        conditions=conditions,
        responses=responses,
        people=dict(_people(catalog, named, rotations.values())),
        rotations=rotations,
        hours=catalog.business_hours,
        ways=tuple(way for way in Way if way in catalog.ways) if catalog.ways is not None else None,
    )


def gaps_of(plan: Plan) -> tuple[str, ...]:
    """Who of the ladder and the conditions cannot be reached as wanted: a sentence for each way, and for nobody at all."""
    ways = frozenset(plan.ways) if plan.ways is not None else None
    missed: dict[str, list[str]] = {}
    for alarm in (*plan.levels, *plan.conditions):
        for contact in (plan.people[identity] for identity in alarm.notify if identity in plan.people):
            if not usable_ways(contact, alarm.via, ways):
                missed.setdefault("at all", []).append(contact.name)
                continue
            for way in passed_over(contact, alarm.via, ways):
                missed.setdefault(BY[way], []).append(contact.name)
    return tuple(f"cannot be reached {how}: {', '.join(dict.fromkeys(names))}" for how, names in missed.items())


def _people(catalog: Catalog, named: Iterable[str], rotations: Iterable[Rotation]) -> Iterator[tuple[str, Contact]]:
    """Everybody who may have to be told something; a team that is a user group of Slack is one contact."""
    on_rotations = [
        identity
        for rotation in rotations
        for identity in (*rotation.members, *(override.contact for override in rotation.overrides))
    ]
    for identity in dict.fromkeys((*named, *on_rotations)):
        if identity in catalog.contacts:
            yield identity, catalog.contacts[identity]
        elif identity in catalog.teams:
            team = catalog.teams[identity]
            yield identity, Contact(id=team.id, name=team.name, slack=team.slack)


def _expanded(catalog: Catalog, notify: Iterable[str]) -> tuple[str, ...]:
    """With the members of the teams that have any instead of the teams; everybody once."""
    found: list[str] = []
    for identity in notify:
        team = catalog.teams.get(identity)
        found.extend(team.members if team and team.members else (identity,))
    return tuple(dict.fromkeys(found))


def _reachable(catalog: Catalog, identities: Iterable[str]) -> tuple[str, ...]:
    """Those who can be told something without waking them: what wants no answer is no reason for a loud failure."""
    people = dict(_people(catalog, identities, ()))
    return tuple(
        identity
        for identity in identities
        if identity not in people or set(usable_ways(people[identity], (), catalog.ways)) & set(QUIET)
    )


def _level(catalog: Catalog, level: Level) -> Alarm:
    return Alarm(
        id=f"level-{level.level}",
        title=level.title,
        level=level.level,
        after_s=level.after_s,
        until=level.until,
        notify=_expanded(catalog, level.notify),
        via=level.via,
    )


def _condition(catalog: Catalog, condition: Condition) -> Alarm:
    return Alarm(
        id=condition.id,
        title=condition.title,
        after_s=condition.for_s,
        when=condition.when,
        until=condition.until,
        notify=_expanded(catalog, condition.notify),
        via=condition.via,
    )


def _response(catalog: Catalog, severity: Severity, rules: SeverityPolicy) -> Response:
    standby, notice = (_reachable(catalog, _expanded(catalog, names)) for names in (rules.standby, rules.notify))
    alarms = [
        Alarm(
            id=f"standby-{severity.value}",
            title="be ready",
            kind="standby",
            until=UNTIL_OVER,
            notify=standby,
        ),
        Alarm(
            id=f"notice-{severity.value}",
            title="for your information",
            kind="notice",
            until=UNTIL_OVER,
            notify=notice,
        ),
    ]
    return Response(
        title=rules.title,
        respond_within_s=rules.respond_within_s,
        resolve_within_s=rules.resolve_within_s,
        page=rules.page,
        via=rules.via,
        invite=_expanded(catalog, rules.invite),
        alarms=tuple(alarm for alarm in alarms if alarm.notify),
        check_in_after_s=rules.check_in_after_s,
        check_in_wait_s=rules.check_in_wait_s,
    )
