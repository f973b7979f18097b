"""The rules of escalation: somebody is in every level, can be reached, and is one of ours; levels are in order of time.

Called by `runbook_rules` for what a runbook changes, and by `runbook_files` for the policies of contacts.yml. What does not
belong: what a single value must look like (`bot.domain.escalation`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from bot.domain.escalation import DEFAULT_POLICY, Contact, EscalationPolicy, ExternalContact, Level
from bot.domain.runbook import Runbook
from bot.domain.severity import Severity, SeverityPolicy
from bot.storage.findings import Finding, Surroundings
from bot.storage.model_faults import suggest
from bot.storage.yaml_strict import YamlPath


def known_escalation(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """The policy and the contacts of the runbook's own levels exist, and no level is there twice."""
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
    yield from level_findings(("escalation", "levels"), runbook.escalation.levels, around)


def policy_findings(path: YamlPath, policy: EscalationPolicy, around: Surroundings) -> Iterator[Finding]:
    """What holds for the levels of a whole policy: beside their contacts, that their numbers are their order in time."""
    if not policy.levels and policy.id == DEFAULT_POLICY:
        message = f"the escalation policy “{DEFAULT_POLICY}” has no level, so nobody would be paged"
        yield Finding(path=(*path, "levels"), message=message, remedy="add one: `- {after: 0m, notify: […]}`")
    yield from level_findings((*path, "levels"), policy.levels, around)
    in_time = sorted(range(len(policy.levels)), key=lambda index: policy.levels[index].after_s)
    for number, index in enumerate(in_time, start=1):
        if policy.levels[index].level not in (0, number):
            message = f"level {policy.levels[index].level} is number {number} in time"
            remedy = "number the levels in order of time, or leave the numbers out"
            yield Finding(path=(*path, "levels", index, "level"), message=message, remedy=remedy)


def level_findings(path: YamlPath, levels: tuple[Level, ...], around: Surroundings) -> Iterator[Finding]:
    """Every contact that a level notifies is one of ours; no level says a number or a contact twice."""
    numbers: set[int] = set()
    for index, level in enumerate(levels):
        here = (*path, index)
        if level.level and level.level in numbers:
            yield Finding(path=(*here, "level"), message=f"level {level.level} is there twice", remedy="renumber it")
        numbers.add(level.level)
        for position, contact in enumerate(level.notify):
            yield from _notified((*here, "notify", position), contact, level.notify[:position], around)
        yield from _unreachable((*here, "notify"), level, around.contacts)


def _notified(path: YamlPath, contact: str, before: tuple[str, ...], around: Surroundings) -> Iterator[Finding]:
    if contact in before:
        yield Finding(path=path, message=f"“{contact}” is notified twice", remedy="delete one of them")
    elif contact in around.external_contacts:
        message = f"“{contact}” is an external contact, who is never paged"
        yield Finding(path=path, message=message, remedy="name one of our own contacts")
    elif around.contacts is not None and contact not in around.contacts:
        remedy = suggest(contact, around.contacts) or "add it to contacts.yml"
        yield Finding(path=path, message=f"there is no contact “{contact}”", remedy=remedy)


def _unreachable(path: YamlPath, level: Level, contacts: Mapping[str, Contact] | None) -> Iterator[Finding]:
    """A level whose contacts have no way to be reached passes in silence: as good as a level that nobody is in."""
    known = [contacts[name] for name in level.notify if name in contacts] if contacts is not None else []
    if len(known) == len(level.notify) and not any(contact.is_reachable for contact in known):
        message = "nobody in this level can be reached, so nobody would be woken"
        yield Finding(path=path, message=message, remedy="give one of its contacts slack, phone or email", level="warning")


def contact_findings(contacts: Iterable[Contact], external: Iterable[ExternalContact]) -> Iterator[Finding]:
    """Everybody in contacts.yml can be reached somehow, those outside as well."""
    for index, contact in enumerate(contacts):
        if not contact.is_reachable:
            message = f"nobody can reach the contact “{contact.id}”"
            yield Finding(path=("contacts", index), message=message, remedy="add slack, phone or email", level="warning")
    for index, outside in enumerate(external):
        if not (outside.url or outside.email or outside.note):
            message = f"nobody can reach the external contact “{outside.id}”"
            yield Finding(path=("external", index), message=message, remedy="add url, email or a note", level="warning")


def severity_findings(severities: Mapping[Severity, SeverityPolicy]) -> Iterator[Finding]:
    """A response comes before the resolution, and a worse severity never promises later than a milder one."""
    for severity, policy in severities.items():
        if policy.respond_within_s > policy.resolve_within_s:
            message = f"{severity.value} promises the response later than the resolution"
            remedy = "make respond_within the shorter one"
            yield Finding(path=(severity.value, "respond_within"), message=message, remedy=remedy, level="warning")
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
