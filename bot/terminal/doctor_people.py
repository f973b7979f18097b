"""Who can be paged: every contact looked up in the workspace, who is on which level and on duty now, what is said when nobody
answers; and whom policy.yml names. Whether the other ways work is in ``doctor_ways``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.domain.catalog import Catalog
from bot.domain.durations import format_duration
from bot.domain.duty import hole_until, next_handover, on_duty
from bot.domain.errors import MusterError, PermanentError
from bot.domain.escalation import Condition, Contact, EscalationPolicy, Level, Rotation, Way, resolve_policy
from bot.domain.policy import ADMINS, EVERYONE, RESPONDERS, ActionPolicy, Permission
from bot.domain.reach import BY, gaps, in_use, people_of, usable_ways
from bot.providers.table import Providers
from bot.slack.people import GROUP_FRESH_S, People
from bot.slack.permissions import is_group
from bot.terminal.doctor_slack import SlackLook, after_the_token
from bot.terminal.findings import Finding, fault, from_error, ok, warn

CONTACTS_FILE = "runbooks/contacts.yml"
POLICY_FILE = "runbooks/policy.yml"


@dataclass(frozen=True, slots=True)
class Reach:
    """How a contact can be paged in Slack: ``people`` is their number, None when Slack could not be asked; ``why_not`` is "" when
    they can, or are not in Slack at all."""

    people: int | None = None
    why_not: str = ""
    remedy: str = ""


async def check_people(slack: SlackLook, catalog: Catalog) -> list[Finding]:
    """The contacts, the ladders, and what happens where nobody can be reached."""
    reach, findings = await _look_up(slack, catalog)
    return [
        *findings,
        *_contact_findings(catalog, reach),
        *(warn("reach", *_in_two(gap)) for gap in gaps(catalog)),
        *_ladder_findings(catalog, reach),
        _when_a_page_fails(),
    ]


async def check_rotations(providers: Providers, catalog: Catalog) -> list[Finding]:
    """Who is on duty in each rotation now, and when that changes; a hole is a warning."""
    return [await _rotation_finding(providers, catalog, rotation) for rotation in catalog.rotations.values()]


async def check_permissions(slack: SlackLook, catalog: Catalog) -> list[Finding]:
    """Everybody whom policy.yml names is in Slack, and somebody is an admin. Who is not found has no right by that name."""
    policy = catalog.policy
    named = {name for permission in Permission for name in policy.allowed(permission)} | set(policy.admins)
    try:
        api, _ = await slack.require()
    except MusterError:
        return [after_the_token("permissions")]
    people = People(api)
    try:
        problems = [found for name in sorted(named) if (found := await _named_in_policy(people, name, policy))]
    except MusterError as error:
        return [warn("permissions", f"not looked up in Slack: {error}", "run muster doctor again")]
    if problems:
        return problems
    count = len(named - {EVERYONE, RESPONDERS, ADMINS})
    return [ok("permissions", f"all {count} that {POLICY_FILE} names are in Slack" if count else f"{POLICY_FILE} names nobody")]


async def _named_in_policy(people: People, name: str, policy: ActionPolicy) -> Finding | None:
    """What is wrong with a name. Raises: MusterError when Slack cannot be asked; that nobody is found is an answer."""
    remedy = f"correct it in {POLICY_FILE}"
    if name == ADMINS:
        if policy.admins or any(person.is_admin for person in await people.everybody()):
            return None
        return warn("permissions", "Slack shows no owner and no admin", f"name admins in {POLICY_FILE}")
    if name in (EVERYONE, RESPONDERS):
        return None
    try:
        if is_group(name):
            empty = not await people.members(name, read_since=people.now() - GROUP_FRESH_S)
            return warn("permissions", f"the user group {name} is empty", "put people into it in Slack") if empty else None
        (user_id,) = await people.resolve(name)
        person = await people.get(user_id)
    except PermanentError as error:
        return warn("permissions", f"{name}: {error}", remedy)
    if person.is_gone or person.is_bot or person.is_guest:
        kind = "a bot" if person.is_bot else "deactivated" if person.is_gone else "a guest"
        return warn("permissions", f"{name} is {kind} in Slack, and may nothing", remedy)
    return None


def _in_two(gap: str) -> tuple[str, str]:
    """A gap names what is not set behind its last colon."""
    finding, _, missing = gap.rstrip(".").rpartition(": ")
    return finding, f"{missing}: set it"


async def _look_up(slack: SlackLook, catalog: Catalog) -> tuple[dict[str, Reach], list[Finding]]:
    """By the id of a contact, or of a team that is a user group; of those whom anything may turn to."""
    everybody = in_use(catalog)
    elsewhere = {contact.id: Reach(people=0) for contact in everybody if not contact.slack}
    named = [contact for contact in everybody if contact.slack]
    unseen = {contact.id: Reach() for contact in named}
    try:
        api, _ = await slack.require()
    except MusterError:
        return elsewhere | unseen, [after_the_token("contacts")]
    try:
        await api.call("users.list", limit=1)  # People would go on without
        people = People(api)
        await people.warm()
        found = {contact.id: await _reach(people, contact) for contact in named}
    except MusterError as error:
        return elsewhere | unseen, [warn("contacts", f"not looked up in Slack: {error}", "run muster doctor again")]
    return elsewhere | found, []


async def _reach(people: People, contact: Contact) -> Reach:
    """Raises: MusterError when Slack cannot be asked; that nobody is found is an answer."""
    try:
        ids = await people.resolve(contact.slack or "")
        persons = [await people.get(user_id) for user_id in ids]
    except PermanentError as error:
        finding, _, remedy = str(error).partition("; ")
        return Reach(people=0, why_not=finding, remedy=remedy or f"correct `slack` in {CONTACTS_FILE}")
    able = [person for person in persons if not person.is_gone and not person.is_bot]
    if not able:
        kind = "a bot, which cannot be paged" if any(person.is_bot for person in persons) else "deactivated in Slack"
        return Reach(people=0, why_not=f"{contact.slack} is {kind}", remedy=f"name somebody else in {CONTACTS_FILE}")
    return Reach(people=len(able))


def _contact_findings(catalog: Catalog, reach: Mapping[str, Reach]) -> list[Finding]:
    bad = [(identity, found) for identity, found in reach.items() if found.why_not]
    looked_up = [found for found in reach.values() if found.people]
    if not bad and looked_up:
        return [ok("contacts", f"all {len(looked_up)} that have a `slack` can be paged there")]
    return [warn(_kind(identity, catalog), f"cannot be paged in Slack: {found.why_not}", found.remedy) for identity, found in bad]


def _kind(identity: str, catalog: Catalog) -> str:
    return f"{'team' if identity in catalog.teams else 'contact'} {identity}"


def _ladder_findings(catalog: Catalog, reach: Mapping[str, Reach]) -> list[Finding]:
    default = resolve_policy(catalog, None)
    findings = [_level_finding(f"level {level.level}", level, catalog, reach) for level in default.levels]
    if not any(_can_page(level, catalog, reach) for level in default.levels):
        remedy = f"give the contacts of the policy {default.id} a `slack` that exists, or another way, in {CONTACTS_FILE}"
        findings.append(fault("paging", "nobody at all can be paged", remedy))
    for policy, runbook_ids in _other_ladders(catalog, default):
        of = f"of {', '.join(runbook_ids)}"
        for level in policy.levels:
            if level not in default.levels:
                findings.append(_level_finding(f"level {level.level} {of}", level, catalog, reach))
        for condition in policy.conditions:
            if condition not in default.conditions:
                findings.append(_level_finding(f"condition {condition.id} {of}", condition, catalog, reach))
    return findings


def _other_ladders(catalog: Catalog, default: EscalationPolicy) -> list[tuple[EscalationPolicy, list[str]]]:
    """The ladders that runbooks have instead, each with the ids of those runbooks."""
    grouped: list[tuple[EscalationPolicy, list[str]]] = []
    for runbook in catalog.runbooks.values():
        policy = resolve_policy(catalog, runbook)
        same = next((ids for known, ids in grouped if known == policy), None)
        if same is not None:
            same.append(runbook.id)
        elif policy != default:
            grouped.append((policy, [runbook.id]))
    return grouped


def _people(identity: str, catalog: Catalog) -> tuple[Contact, ...]:
    return people_of(identity, contacts=catalog.contacts, teams=catalog.teams, rotations=catalog.rotations)


def _other_ways(contact: Contact, alarm: Level | Condition, catalog: Catalog) -> tuple[Way, ...]:
    return tuple(way for way in usable_ways(contact, alarm.via, catalog.ways) if way is not Way.SLACK)


def _can_page(alarm: Level | Condition, catalog: Catalog, reach: Mapping[str, Reach]) -> bool:
    """Somebody, as far as is known."""
    return any(_is_asked_of_pagerduty(identity, catalog) for identity in alarm.notify) or any(
        reach[contact.id].people != 0 or _other_ways(contact, alarm, catalog)
        for identity in alarm.notify
        for contact in _people(identity, catalog)
    )


def _is_asked_of_pagerduty(identity: str, catalog: Catalog) -> bool:
    return identity in catalog.rotations and catalog.rotations[identity].pagerduty is not None


def _level_finding(what: str, alarm: Level | Condition, catalog: Catalog, reach: Mapping[str, Reach]) -> Finding:
    after_s = alarm.after_s if isinstance(alarm, Level) else alarm.for_s
    when = "at once" if after_s == 0 else f"after {format_duration(after_s)}"
    named = ", ".join(_named(identity, alarm, catalog, reach) for identity in alarm.notify)
    if not _can_page(alarm, catalog, reach):
        return warn(what, f"{when}: nobody can be paged ({named})", "see the contacts above")
    unseen = [
        contact
        for identity in alarm.notify
        for contact in _people(identity, catalog)
        if reach[contact.id].people is None and not _other_ways(contact, alarm, catalog)
    ]
    if unseen:
        return warn(what, f"{when}, until {alarm.until}: {named}", "run muster doctor again when Slack answers")
    return ok(what, f"{when}, until {alarm.until}: {named}")


def _named(identity: str, alarm: Level | Condition, catalog: Catalog, reach: Mapping[str, Reach]) -> str:
    rotation, team = catalog.rotations.get(identity), catalog.teams.get(identity)
    if rotation:
        return f"whoever is on duty in {rotation.name}"
    shown = ", ".join(_shown(contact, alarm, catalog, reach[contact.id]) for contact in _people(identity, catalog))
    return f"{team.name}: {shown}" if team and team.members else shown


def _shown(contact: Contact, alarm: Level | Condition, catalog: Catalog, reach: Reach) -> str:
    number = {None: "not looked up", 0: "cannot be paged", 1: "1 person"}.get(reach.people, f"{reach.people} people")
    slack = f"{contact.slack}, {number}" if contact.slack else "not in Slack"
    ways = [slack if way is Way.SLACK else BY[way] for way in usable_ways(contact, alarm.via, catalog.ways)]
    return f"{contact.name} ({', then '.join(ways) or 'no way to reach them'})"


async def _rotation_finding(providers: Providers, catalog: Catalog, rotation: Rotation) -> Finding:
    what, now = f"rotation {rotation.id}", datetime.now(UTC)
    hole = hole_until(rotation, now)
    contact_id = on_duty(rotation, now)
    if contact_id is None and rotation.pagerduty:
        return await _asked(providers, what, rotation)
    following = next_handover(rotation, now)
    change = f"until {following.at:%Y-%m-%d %H:%M} UTC" if following else "for good"
    if contact_id is None:
        until = f"{hole:%Y-%m-%d %H:%M} UTC" if hole else "for good"
        return warn(what, f"nobody is on duty until {until}", f"set an earlier `starts`, or an override, in {CONTACTS_FILE}")
    contact = catalog.contacts.get(contact_id)
    return ok(what, f"{contact.name if contact else contact_id} is on duty {change}")


async def _asked(providers: Providers, what: str, rotation: Rotation) -> Finding:
    if providers.config.pagerduty_api_token is None or rotation.pagerduty is None:
        return warn(what, "PagerDuty knows who is on duty, and cannot be asked", "set PAGERDUTY_API_TOKEN")
    where = rotation.pagerduty
    try:
        rest = providers.pagerduty_rest()
        found = await rest.on_call(schedule=where.schedule, escalation_policy=where.escalation_policy, level=where.level)
    except MusterError as error:
        return from_error(what, error, "warn")[0]
    if not found:
        return warn(what, "PagerDuty says that nobody is on call", "look at its schedule in PagerDuty")
    return ok(what, f"{found[0][0]} is on duty, says PagerDuty")


def _when_a_page_fails() -> Finding:
    return ok(
        "when a page fails",
        "the next way of the contact is tried at once; when none is left, the card says “❌ … could not be reached” and why, and "
        "the next level follows at once, in triage not before 5 min",
    )
