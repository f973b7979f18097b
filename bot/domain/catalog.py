"""Everything that the files say, checked and ready for use: one immutable value, replaced as a whole on a reload.

Built by `bot.storage.runbook_files`; read by the decisions, the listeners and the worker. What does not belong: files,
lines and columns, and anything that changes while incidents run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from bot.domain.escalation import BusinessHours, Contact, EscalationPolicy, ExternalContact, Rotation, Team, Way
from bot.domain.policy import ActionPolicy
from bot.domain.runbook import Runbook
from bot.domain.service import Service
from bot.domain.severity import Severity, SeverityPolicy
from bot.domain.triggers import PhraseMatcher, likeliest_runbooks

OnPhrase = Literal["auto", "ask", "off"]
"""What a trigger phrase in a channel does: open at once when the message is little more than it, always ask,
nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """``runbooks`` holds those of enabled services only, in the order of their files, with `${vars}` replaced."""

    runbooks: Mapping[str, Runbook]
    services: Mapping[str, Service]
    contacts: Mapping[str, Contact]
    external_contacts: Mapping[str, ExternalContact]
    policies: Mapping[str, EscalationPolicy]
    severities: Mapping[Severity, SeverityPolicy]
    on_phrase: OnPhrase = "auto"
    default_severity: Severity = Severity.SEV3
    teams: Mapping[str, Team] = field(default_factory=lambda: MappingProxyType({}))
    rotations: Mapping[str, Rotation] = field(default_factory=lambda: MappingProxyType({}))
    business_hours: BusinessHours = field(default_factory=BusinessHours)
    """Those of everybody who has none of their own."""
    policy: ActionPolicy = field(default_factory=ActionPolicy)
    ways: frozenset[Way] | None = None
    """The ways to reach people that are set up where Muster runs; None: not known."""
    matcher: PhraseMatcher = field(compare=False)


def make_catalog(
    *,
    runbooks: Iterable[Runbook],
    services: Iterable[Service],
    contacts: Iterable[Contact],
    external_contacts: Iterable[ExternalContact],
    policies: Iterable[EscalationPolicy],
    severities: Mapping[Severity, SeverityPolicy],
    on_phrase: OnPhrase = "auto",
    default_severity: Severity = Severity.SEV3,
    teams: Iterable[Team] = (),
    rotations: Iterable[Rotation] = (),
    business_hours: BusinessHours | None = None,
    policy: ActionPolicy | None = None,
    ways: frozenset[Way] | None = None,
) -> Catalog:
    """The catalog of these parts; runbooks of services that are disabled are left out."""
    by_service = {service.id: service for service in services}
    offered = [runbook for runbook in runbooks if _is_offered(runbook, by_service)]
    return Catalog(
        runbooks=MappingProxyType({runbook.id: runbook for runbook in offered}),
        services=MappingProxyType(by_service),
        contacts=MappingProxyType({contact.id: contact for contact in contacts}),
        external_contacts=MappingProxyType({contact.id: contact for contact in external_contacts}),
        policies=MappingProxyType({policy.id: policy for policy in policies}),
        severities=MappingProxyType(dict(severities)),
        on_phrase=on_phrase,
        default_severity=default_severity,
        teams=MappingProxyType({team.id: team for team in teams}),
        rotations=MappingProxyType({rotation.id: rotation for rotation in rotations}),
        business_hours=business_hours or BusinessHours(),
        policy=policy or ActionPolicy(),
        ways=ways,
        matcher=PhraseMatcher((phrase, runbook.id) for runbook in offered for phrase in runbook.triggers.phrases),
    )


def _is_offered(runbook: Runbook, services: Mapping[str, Service]) -> bool:
    service = services.get(runbook.service)
    return service is not None and service.enabled


def best_runbooks(words: str, catalog: Catalog) -> tuple[str, ...]:
    """The ids of the runbooks that ``words`` call for, the likeliest first; () when nothing fits. See `triggers`."""
    return likeliest_runbooks(words, catalog.matcher, catalog.runbooks)
