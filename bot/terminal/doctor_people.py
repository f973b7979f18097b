"""Who can be paged: every contact looked up in the workspace, who is on which level, what is said when nobody answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.catalog import Catalog
from bot.domain.durations import format_duration
from bot.domain.errors import MusterError, PermanentError
from bot.domain.escalation import Contact, EscalationPolicy, Level, resolve_policy
from bot.slack.people import People
from bot.terminal.doctor_slack import SlackLook, after_the_token
from bot.terminal.findings import Finding, fault, ok, warn

CONTACTS_FILE = "runbooks/contacts.yml"


@dataclass(frozen=True, slots=True)
class Reach:
    """How a contact can be paged: ``people`` is their number, None when Slack could not be asked; ``why_not`` is "" when they
    can."""

    people: int | None = None
    why_not: str = ""
    remedy: str = ""


async def check_people(slack: SlackLook, catalog: Catalog) -> list[Finding]:
    """The contacts, the ladders, and what happens where nobody can be reached."""
    reach, findings = await _look_up(slack, catalog)
    return [*findings, *_contact_findings(catalog, reach), *_ladder_findings(catalog, reach), _when_a_page_fails()]


async def _look_up(slack: SlackLook, catalog: Catalog) -> tuple[dict[str, Reach], list[Finding]]:
    unreachable = {contact.id: _not_in_slack(contact) for contact in catalog.contacts.values() if not contact.slack}
    named = [contact for contact in catalog.contacts.values() if contact.slack]
    unseen = {contact.id: Reach() for contact in named}
    try:
        api, _ = await slack.require()
    except MusterError:
        return unreachable | unseen, [after_the_token("contacts")]
    try:
        await api.call("users.list", limit=1)  # People would go on without
        people = People(api)
        await people.warm()
        found = {contact.id: await _reach(people, contact) for contact in named}
    except MusterError as error:
        return unreachable | unseen, [warn("contacts", f"not looked up in Slack: {error}", "run muster doctor again")]
    return unreachable | found, []


def _not_in_slack(contact: Contact) -> Reach:
    other = " or ".join(way for way, value in (("phone", contact.phone), ("email", contact.email)) if value)
    why = f"has only a {other}, and this version pages in Slack alone" if other else "has no way to be reached"
    return Reach(people=0, why_not=why, remedy=f"add `slack` to {CONTACTS_FILE}")


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
    bad = [(contact, reach[contact.id]) for contact in catalog.contacts.values() if reach[contact.id].why_not]
    if not bad and all(found.people for found in reach.values()):
        return [ok("contacts", f"all {len(reach)} can be paged in Slack")]
    return [warn(f"contact {contact.id}", f"cannot be paged: {found.why_not}", found.remedy) for contact, found in bad]


def _ladder_findings(catalog: Catalog, reach: Mapping[str, Reach]) -> list[Finding]:
    default = resolve_policy(catalog, None)
    findings = [_level_finding(f"level {level.level}", level, catalog, reach) for level in default.levels]
    if not any(_can_page(level, reach) for level in default.levels):
        remedy = f"give the contacts of the policy {default.id} a `slack` that exists, in {CONTACTS_FILE}"
        findings.append(fault("paging", "nobody at all can be paged", remedy))
    for policy, runbook_ids in _other_ladders(catalog, default):
        for level in policy.levels:
            if level not in default.levels:
                what = f"level {level.level} of {', '.join(runbook_ids)}"
                findings.append(_level_finding(what, level, catalog, reach))
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


def _can_page(level: Level, reach: Mapping[str, Reach]) -> bool:
    """Somebody, as far as is known."""
    return any(not reach[contact_id].why_not for contact_id in level.notify)


def _level_finding(what: str, level: Level, catalog: Catalog, reach: Mapping[str, Reach]) -> Finding:
    when = "at once" if level.after_s == 0 else f"after {format_duration(level.after_s)}"
    named = ", ".join(_named(catalog.contacts[contact_id], reach[contact_id]) for contact_id in level.notify)
    if any(reach[contact_id].people for contact_id in level.notify):
        return ok(what, f"{when}, until {level.until}: {named}")
    if _can_page(level, reach):
        return warn(what, f"{when}, until {level.until}: {named}", "run muster doctor again when Slack answers")
    return warn(what, f"{when}: nobody can be paged ({named})", "see the contacts above")


def _named(contact: Contact, reach: Reach) -> str:
    number = {None: "not looked up", 0: "cannot be paged", 1: "1 person"}.get(reach.people, f"{reach.people} people")
    return f"{contact.name} ({contact.slack or 'not in Slack'}, {number})"


def _when_a_page_fails() -> Finding:
    return ok(
        "when a page fails",
        "the card says “❌ … could not be reached” and why, and the next level follows at once, in triage not before 5 min",
    )
