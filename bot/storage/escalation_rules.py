"""The rules of escalation: whoever is named exists, can be reached as it is wanted, and is one of ours; levels are in order of
time; somebody is always on duty.

Called by `runbook_rules` for what a runbook changes, and by `runbook_files` for contacts.yml and severities.yml. What does not
belong: what a single value must look like (`bot.domain.escalation`), and who cannot be reached here and now (`bot.domain.reach`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from bot.domain.duty import hole_until, override_span
from bot.domain.escalation import (
    DEFAULT_POLICY,
    Condition,
    Contact,
    EscalationPolicy,
    ExternalContact,
    Rotation,
    RunbookEscalation,
    Team,
    Trigger,
    Way,
)
from bot.domain.reach import BY, FIELDS, SETTINGS, listed, passed_over, people_of, unset, usable_ways
from bot.domain.runbook import Runbook
from bot.domain.severity import Severity, SeverityPolicy
from bot.storage.findings import Finding, IsSet, Surroundings
from bot.storage.model_faults import suggest
from bot.storage.yaml_strict import YamlPath

_ON_CALL_SETTING = "PAGERDUTY_API_TOKEN"
_LASTING = {Trigger.NO_PROGRESS, Trigger.OPEN}
"""They are true as soon as the incident is open, so only their duration says anything."""


def known_escalation(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """The policy and the contacts of the runbook's own levels and conditions exist, and none is there twice."""
    policy = runbook.escalation.inherit
    known = around.policies.get(policy) if around.policies is not None else None
    if around.policies is not None and known is None:
        message = f"there is no escalation policy “{policy}”"
        remedy = suggest(policy, around.policies) or "add it to contacts.yml"
        yield Finding(path=("escalation", "inherit"), message=message, remedy=remedy)
    elif known is not None and policy != DEFAULT_POLICY and not (known.levels or runbook.escalation.levels):
        message = f"the escalation policy “{policy}” has no level, so nobody would be paged"
        remedy = "give the runbook levels of its own, or inherit another policy"
        yield Finding(path=("escalation", "inherit"), message=message, remedy=remedy, level="warning")
    yield from _ladder_findings(("escalation",), runbook.escalation, around)
    yield from way_findings(_wanted(("escalation",), runbook.escalation), around)


def policies_findings(policies: Sequence[EscalationPolicy], around: Surroundings) -> Iterator[Finding]:
    """Everything about the policies of contacts.yml; a way that does not work is told once, for the first that wants it."""
    for index, policy in enumerate(policies):
        yield from _policy_findings(("policies", index), policy, around)
    wanted = (_wanted(("policies", index), policy) for index, policy in enumerate(policies))
    yield from way_findings(itertools.chain.from_iterable(wanted), around)


def _policy_findings(path: YamlPath, policy: EscalationPolicy, around: Surroundings) -> Iterator[Finding]:
    """What holds for a whole policy: beside what holds for its levels, that their numbers are their order in time."""
    if not policy.levels and policy.id == DEFAULT_POLICY:
        message = f"the escalation policy “{DEFAULT_POLICY}” has no level, so nobody would be paged"
        yield Finding(path=(*path, "levels"), message=message, remedy="add one: `- {after: 0m, notify: […]}`")
    yield from _ladder_findings(path, policy, around)
    in_time = sorted(range(len(policy.levels)), key=lambda index: policy.levels[index].after_s)
    for number, index in enumerate(in_time, start=1):
        if policy.levels[index].level not in (0, number):
            message = f"level {policy.levels[index].level} is number {number} in time"
            remedy = "number the levels in order of time, or leave the numbers out"
            yield Finding(path=(*path, "levels", index, "level"), message=message, remedy=remedy)


def _ladder_findings(path: YamlPath, ladder: EscalationPolicy | RunbookEscalation, around: Surroundings) -> Iterator[Finding]:
    """Everybody who is named is one of ours; no level has a number twice, no condition an id, or what cannot be a condition."""
    numbers: set[int] = set()
    for index, level in enumerate(ladder.levels):
        here = (*path, "levels", index)
        if level.level and level.level in numbers:
            yield Finding(path=(*here, "level"), message=f"level {level.level} is there twice", remedy="renumber it")
        numbers.add(level.level)
        yield from _people_findings((*here, "notify"), level.notify, around, unreachable="nobody in this level can be reached")
    ids: set[str] = set()
    for index, condition in enumerate(ladder.conditions):
        here = (*path, "conditions", index)
        if condition.id in ids:
            message = f"another condition has the id “{condition.id}” too"
            yield Finding(path=(*here, "id"), message=message, remedy="give each its own id")
        ids.add(condition.id)
        yield from _condition_findings(here, condition)
        nobody = "nobody whom this condition names can be reached"
        yield from _people_findings((*here, "notify"), condition.notify, around, unreachable=nobody)


def _condition_findings(path: YamlPath, condition: Condition) -> Iterator[Finding]:
    if re.fullmatch(r"level-[0-9]+|check-in", condition.id):
        message = f"the id “{condition.id}” is one of Muster's own"
        yield Finding(path=(*path, "id"), message=message, remedy="call the condition after what it is about")
    lasting = [trigger for trigger in condition.when if trigger in _LASTING]
    if lasting and not condition.for_s:
        message = f"{lasting[0].value} without a duration is true from the opening on, so this would page at once"
        yield Finding(path=path, message=message, remedy="add `for`, for example `for: 30m`")


def _people_findings(path: YamlPath, names: Sequence[str], around: Surroundings, *, unreachable: str = "") -> Iterator[Finding]:
    """Each of ``names`` is one of ours and there once; ``unreachable`` is said when none of them can be reached."""
    for position, name in enumerate(names):
        here = (*path, position)
        if name in names[:position]:
            yield Finding(path=here, message=f"“{name}” is notified twice", remedy="delete one of them")
        else:
            yield from _one_of_ours(here, name, around)
    if unreachable and around.contacts is not None and all(_nobody_in(name, around) for name in names):
        remedy = "give one of its contacts slack, phone or email"
        yield Finding(path=path, message=f"{unreachable}, so nobody would be woken", remedy=remedy, level="warning")


def _one_of_ours(path: YamlPath, name: str, around: Surroundings) -> Iterator[Finding]:
    if name in around.external_contacts:
        message = f"“{name}” is an external contact, who is never paged"
        yield Finding(path=path, message=message, remedy="name one of our own contacts")
    elif around.contacts is not None and not _exists(name, around):
        remedy = suggest(name, (*around.contacts, *around.teams, *around.rotations)) or "add it to contacts.yml"
        yield Finding(path=path, message=f"there is no contact “{name}”", remedy=remedy)


def _exists(name: str, around: Surroundings) -> bool:
    return name in (around.contacts or {}) or name in around.teams or name in around.rotations


def _people(name: str, around: Surroundings) -> tuple[Contact, ...]:
    return people_of(name, contacts=around.contacts or {}, teams=around.teams, rotations=around.rotations)


def _nobody_in(name: str, around: Surroundings) -> bool:
    """Whoever is behind the name is known, and has no way to be reached."""
    asked = name in around.rotations and around.rotations[name].pagerduty is not None
    members = around.teams[name].members if name in around.teams else ()
    known = _exists(name, around) and all(member in (around.contacts or {}) for member in members)
    return known and not asked and not any(contact.is_reachable for contact in _people(name, around))


Wanted = tuple[YamlPath, tuple[str, ...], tuple[Way, ...]]
"""The place of a list of ways, who is named, and the ways that are wanted of them."""


def _wanted(path: YamlPath, ladder: EscalationPolicy | RunbookEscalation) -> Iterator[Wanted]:
    for index, level in enumerate(ladder.levels):
        yield (*path, "levels", index, "via"), level.notify, level.via
    for index, condition in enumerate(ladder.conditions):
        yield (*path, "conditions", index, "via"), condition.notify, condition.via


def way_findings(wanted: Iterator[Wanted], around: Surroundings) -> Iterator[Finding]:
    """The ways that are wanted work here, and those who are named have what they need. Each lack is told once."""
    told: set[tuple[str, ...]] = set()
    for path, names, via in wanted:
        for position, way in enumerate(via):
            if around.ways is not None and way not in around.ways and SETTINGS[way] not in told:
                told.add(SETTINGS[way])
                message = f"nobody can be reached {BY[way]} here: {unset(way)}"
                remedy = f"set {'it' if len(SETTINGS[way]) == 1 else 'them'} where Muster runs"
                yield Finding(path=(*path, position), message=message, remedy=remedy, level="warning")
        people = dict.fromkeys(contact for name in names for contact in _people(name, around))
        for contact in people:
            missing = dict.fromkeys(way for way in passed_over(contact, via, None))
            first = next((way for way in missing if (contact.id, FIELDS[way]) not in told), None)
            if first is None or not contact.is_reachable:  # of whom nobody can reach it is said already
                continue
            told.update((contact.id, FIELDS[way]) for way in missing)
            fields = listed(dict.fromkeys(FIELDS[way] for way in missing), "or")
            instead = usable_ways(contact, via, None)[0]
            message = f"“{contact.id}” has no {fields}, and will be reached {BY[instead]} instead"
            remedy = f"set {fields} of the contact “{contact.id}” in contacts.yml"
            yield Finding(path=(*path, via.index(first)), message=message, remedy=remedy, level="warning")


def contact_findings(
    contacts: Sequence[Contact], external: Sequence[ExternalContact], ways: frozenset[Way] | None
) -> Iterator[Finding]:
    """Everybody in contacts.yml can be reached somehow, and so that they wake up; those outside can be turned to."""
    for index, contact in enumerate(contacts):
        path: YamlPath = ("contacts", index)
        if not contact.is_reachable:
            message = f"nobody can reach the contact “{contact.id}”"
            yield Finding(path=path, message=message, remedy="add slack, phone or email", level="warning")
        elif ways is not None and not usable_ways(contact, (), ways):
            message = f"nobody can reach the contact “{contact.id}” here: {listed(dict.fromkeys(map(unset, contact.ways)))}"
            yield Finding(path=path, message=message, remedy="set that where Muster runs, or add slack", level="warning")
        elif contact.ways == (Way.EMAIL,):
            message = f"the contact “{contact.id}” has an e-mail address only, and a mail wakes nobody"
            yield Finding(path=(*path, "email"), message=message, remedy="add slack or phone", level="warning")
    for index, outside in enumerate(external):
        if not (outside.url or outside.email or outside.phone or outside.note):
            message = f"nobody can reach the external contact “{outside.id}”"
            yield Finding(path=("external", index), message=message, remedy="add url, email, phone or a note", level="warning")


def team_findings(teams: Sequence[Team], around: Surroundings) -> Iterator[Finding]:
    """The members of a team are contacts, each there once, and somebody can be reached."""
    for index, team in enumerate(teams):
        path: YamlPath = ("teams", index)
        yield from _member_findings((*path, "members"), team.members, around, once=True)
        if not (team.members or team.slack):
            message = f"nobody is in the team “{team.id}”"
            remedy = "give it members, or its user group of Slack in slack"
            yield Finding(path=path, message=message, remedy=remedy, level="warning")
        elif team.members and _nobody_in(team.id, around):
            message = f"nobody in the team “{team.id}” can be reached"
            remedy = "give one of its members slack, phone or email"
            yield Finding(path=(*path, "members"), message=message, remedy=remedy, level="warning")


def rotation_findings(
    rotations: Sequence[Rotation], around: Surroundings, *, now: datetime, is_set: IsSet | None
) -> Iterator[Finding]:
    """Those who take turns are contacts, somebody is on duty now, and no two overrides hold at once."""
    for index, rotation in enumerate(rotations):
        path: YamlPath = ("rotations", index)
        yield from _member_findings((*path, "members"), rotation.members, around)
        for number, override in enumerate(rotation.overrides):
            yield from _member((*path, "overrides", number, "contact"), override.contact, around)
        yield from _overlaps((*path, "overrides"), rotation)
        begins = hole_until(rotation, now)
        if begins is not None:
            message = f"nobody is on duty until {begins:%Y-%m-%d %H:%M} UTC"
            remedy = "let it start on a day that has been"
            yield Finding(path=(*path, "starts"), message=message, remedy=remedy, level="warning")
        if rotation.pagerduty is not None and is_set is not None and not is_set(_ON_CALL_SETTING):
            message = f"who is on call cannot be asked of PagerDuty: {_ON_CALL_SETTING} is not set"
            remedy = "set it where Muster runs"
            yield Finding(path=(*path, "pagerduty"), message=message, remedy=remedy, level="warning")


def _overlaps(path: YamlPath, rotation: Rotation) -> Iterator[Finding]:
    spans = [override_span(rotation, override) for override in rotation.overrides]
    for number, (begin, end) in enumerate(spans):
        for other, (earlier_begin, earlier_end) in enumerate(spans[:number], start=1):
            if begin < earlier_end and earlier_begin < end:
                message = f"this override and number {other} hold at the same time"
                yield Finding(path=(*path, number, "from"), message=message, remedy="let one end before the other begins")
                break


def _member_findings(path: YamlPath, members: Sequence[str], around: Surroundings, *, once: bool = False) -> Iterator[Finding]:
    for position, member in enumerate(members):
        if once and member in members[:position]:
            yield Finding(path=(*path, position), message=f"“{member}” is a member twice", remedy="delete one of them")
        else:
            yield from _member((*path, position), member, around)


def _member(path: YamlPath, member: str, around: Surroundings) -> Iterator[Finding]:
    contacts = around.contacts or {}
    if member in contacts:
        return
    kinds = (("team", around.teams), ("rotation", around.rotations), ("external contact", around.external_contacts))
    kind = next((word for word, known in kinds if member in known), None)
    if kind is not None:
        message = f"“{member}” is {'an' if kind.startswith('e') else 'a'} {kind}, and only contacts can stand here"
        yield Finding(path=path, message=message, remedy="name contacts")
    else:
        remedy = suggest(member, contacts) or "add it under contacts"
        yield Finding(path=path, message=f"there is no contact “{member}”", remedy=remedy)


def severity_findings(severities: Mapping[Severity, SeverityPolicy], around: Surroundings) -> Iterator[Finding]:
    """Whoever is named exists; a response comes before the resolution, and a worse severity never promises later than a milder
    one."""
    for severity, policy in severities.items():
        path: YamlPath = (severity.value,)
        for name, people in (("invite", policy.invite), ("standby", policy.standby), ("notify", policy.notify)):
            yield from _people_findings((*path, name), people, around)
        if policy.respond_within_s > policy.resolve_within_s:
            message = f"{severity.value} promises the response later than the resolution"
            remedy = "make respond_within the shorter one"
            yield Finding(path=(*path, "respond_within"), message=message, remedy=remedy, level="warning")
    yield from way_findings(
        (((severity.value, "via"), (*policy.standby, *policy.notify), policy.via) for severity, policy in severities.items()),
        around,
    )
    ordered = list(severities.items())
    for (worse, strict), (milder, lax) in itertools.pairwise(ordered):
        for name, sooner, later in (
            ("respond_within", strict.respond_within_s, lax.respond_within_s),
            ("resolve_within", strict.resolve_within_s, lax.resolve_within_s),
        ):
            if sooner > later:
                message = f"{worse.value} promises more time than {milder.value}, which is milder"
                remedy = "swap the two, or correct one"
                yield Finding(path=(worse.value, name), message=message, remedy=remedy, level="warning")
