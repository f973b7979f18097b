"""Nights: the matrices of contacts.yml played minute by minute against tables of who must have been told when, by what, and why.

The files are those that Muster ships, of a team that has filled in everything: every phone, every handle. An incident is opened
on a Friday at three in the morning. The world is closed: whoever is told and does not stand in the table fails the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    Acknowledge,
    ChangeImpact,
    ChangeSeverity,
    ChangeStatus,
    CheckIn,
    Command,
    Escalate,
    Note,
    TickStep,
)
from bot.domain.escalation import RunbookEscalation
from bot.domain.facts import Impact, PageSent, Status
from bot.domain.severity import Severity
from bot.domain.timers import CONTACT_PREFIX
from tests.domain.story import A_RUNBOOK, Story

SEV1, SEV2, SEV3, SEV4 = Severity
ON_CALL, SECONDARY, LEAD, OPS = (
    f"{CONTACT_PREFIX}{who}" for who in ("on-call", "secondary-on-call", "engineering-lead", "ops-primary")
)
HAS_IT = Acknowledge(via="phone")
STILL_ON_IT = CheckIn()
OVER = ChangeStatus(status=Status.RESOLVED)
NIGHT_MIN = 10 * 60


def impact(name: str, *, on: bool = True) -> ChangeImpact:
    """A press of one of the three switches of the card."""
    return ChangeImpact(impact=Impact(name), on=on)


@dataclass(frozen=True)
class Night:
    """What is done, by minute, and who is told: minute, contact, the first way, the alarm."""

    name: str
    policy: str
    severity: Severity
    told: str
    does: Mapping[int, tuple[str, Command]] = field(default_factory=dict)
    security: bool = False
    drill: bool = False
    lasts_min: int = NIGHT_MIN


def filled_in(catalog: Catalog, night: Night) -> Catalog:
    """The shipped files with every number and handle set, and one runbook that inherits the policy of the night."""
    contacts = {
        contact.id: contact.model_copy(update={"phone": f"+155501{number:04}", "slack": contact.slack or f"@{contact.id}"})
        for number, contact in enumerate(catalog.contacts.values())
    }
    teams = {team.id: team.model_copy(update={"slack": team.slack or f"@{team.id}"}) for team in catalog.teams.values()}
    plain = next(iter(catalog.runbooks.values()))
    changes = {
        "id": A_RUNBOOK,
        "severity": night.severity,
        "security": night.security,
        "diagnostics": (),
        "escalation": RunbookEscalation(inherit=night.policy),
    }
    return replace(
        catalog,
        runbooks=MappingProxyType({A_RUNBOOK: plain.model_copy(update=changes)}),
        contacts=MappingProxyType(contacts),
        teams=MappingProxyType(teams),
    )


def play(catalog: Catalog, night: Night) -> list[str]:
    """The night, minute by minute; a line for each page that was accepted."""
    story = Story(filled_in(catalog, night))
    story.open(A_RUNBOOK, drill=night.drill)
    for minute in range(night.lasts_min + 1):
        if minute in night.does:
            by, command = night.does[minute]
            story.do(command, by=by, at_s=60 * minute)
        story.tick(until_s=60 * minute + 1)
    lines = []
    for entry in story.entries:
        if isinstance(entry.fact, PageSent):
            minute, rest_s = divmod((entry.at - story.incident.opened.at).total_seconds(), 60)
            assert rest_s < 1, "everything is due on the minute, and sent within the second"
            lines.append(f"{minute:.0f} {entry.fact.contact_id} {entry.fact.via} {entry.fact.key}")
    return lines


TICK = TickStep(step_id="confirm")
ON_IT = Note(text="on it")
UNRESOLVED = {4: (OPS, HAS_IT), **dict.fromkeys(range(25, 150, 25), (OPS, ON_IT)), 150: (OPS, OVER)}
"""Answered at once and worked on, but not over before two hours and a half have passed."""
BUSY = {4: (ON_CALL, HAS_IT), **dict.fromkeys(range(25, 250, 25), (ON_CALL, ON_IT))}
"""Answered at once, and something is done every 25 minutes."""

NIGHTS = [
    # -- Seeds 000 and 001: the ladder of Clerk. (000 names nobody.)
    Night(
        "nobody answers",
        "default",
        SEV1,
        """
          0 on-call          phone level-1
          5 executives       slack notice-SEV1
         15 engineering-lead phone level-2
         30 cto              phone level-3
        """,
    ),
    Night(
        "the on-call engineer answers and falls asleep",
        "default",
        SEV1,
        """
          0 on-call          phone level-1
          3 executives       slack notice-SEV1
         33 on-call          slack check-in
         43 engineering-lead phone level-2
         58 cto              phone level-3
        """,
        {3: (ON_CALL, HAS_IT)},
    ),
    Night(
        "the lead answers and says that they are still on it",
        "default",
        SEV1,
        """
          0 on-call          phone level-1
          5 executives       slack notice-SEV1
         15 engineering-lead phone level-2
         47 engineering-lead slack check-in
        """,
        {17: (LEAD, HAS_IT), 50: (LEAD, STILL_ON_IT), 75: (LEAD, OVER)},
    ),
    Night(
        "it becomes SEV1 after 40 minutes",
        "default",
        SEV2,
        """
          0 on-call           phone level-1
          2 secondary-on-call slack standby-SEV2
         40 executives        slack notice-SEV1
        """,
        {2: (ON_CALL, HAS_IT), 35: (ON_CALL, TICK), 40: (ON_CALL, ChangeSeverity(severity=SEV1)), 64: (ON_CALL, OVER)},
    ),
    Night(
        "nobody answers, and SEV2 becomes SEV1 after 40 minutes",
        "default",
        SEV2,
        """
          0 on-call           phone level-1
          5 secondary-on-call slack standby-SEV2
         15 engineering-lead  phone level-2
         30 cto               phone level-3
         40 executives        slack notice-SEV1
        """,
        {40: ("U1", ChangeSeverity(severity=SEV1))},
    ),
    Night(
        "a SEV3 waits for the morning",
        "default",
        SEV3,
        """
          0 on-call          slack notice-SEV3
        360 on-call          slack level-1
        375 engineering-lead slack level-2
        390 cto              slack level-3
        """,
    ),
    Night(
        "a SEV3 becomes SEV1 after two hours",
        "default",
        SEV3,
        """
          0 on-call          slack notice-SEV3
        120 on-call          phone level-1
        120 executives       slack notice-SEV1
        135 engineering-lead phone level-2
        150 cto              phone level-3
        """,
        {120: ("U1", ChangeSeverity(severity=SEV1))},
    ),
    Night(
        "a SEV4 is a ticket",
        "default",
        SEV4,
        "",
    ),
    Night(
        "a SEV4 becomes SEV1 after two hours",
        "default",
        SEV4,
        """
        120 on-call          phone level-1
        120 executives       slack notice-SEV1
        135 engineering-lead phone level-2
        150 cto              phone level-3
        """,
        {120: ("U1", ChangeSeverity(severity=SEV1))},
    ),
    Night(
        "a drill",
        "default",
        SEV1,
        """
          0 on-call          phone level-1
          5 executives       slack notice-SEV1
         15 engineering-lead phone level-2
         30 cto              phone level-3
        """,
        drill=True,
    ),
    Night(
        "over, and open again",
        "default",
        SEV1,
        """
          0 on-call          phone level-1
          3 executives       slack notice-SEV1
         60 on-call          phone level-1.2
         75 engineering-lead phone level-2
         90 cto              phone level-3
        """,
        {3: (ON_CALL, HAS_IT), 20: (ON_CALL, OVER), 60: ("U1", ChangeStatus(status=Status.INVESTIGATING))},
    ),
    Night(
        "the CTO is called by hand",
        "default",
        SEV2,
        """
          0 on-call           phone level-1
          1 secondary-on-call slack standby-SEV2
         10 cto               phone level-3
        """,
        {1: (ON_CALL, HAS_IT), 10: (ON_CALL, Escalate(level=3)), 30: (ON_CALL, OVER)},
    ),
    Night(
        "no incident after all",
        "default",
        SEV1,
        """
          0 on-call phone level-1
        """,
        {4: ("U1", ChangeStatus(status=Status.FALSE_POSITIVE))},
    ),
    # -- Seed 002: the escalation matrix of the OAuth2 server and its severities.
    Night(
        "nobody answers",
        "oauth2-server",
        SEV1,
        """
          0 on-call           pagerduty level-1
          5 engineering-lead  phone     severe
          5 executives        slack     notice-SEV1
         15 secondary-on-call pagerduty level-2
         30 secondary-on-call pagerduty no-progress
        240 vp-engineering    phone     extended-outage
        """,
    ),
    Night(
        "nobody answers",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          5 secondary-on-call slack     standby-SEV2
         15 secondary-on-call pagerduty level-2
         30 secondary-on-call pagerduty no-progress
        240 vp-engineering    phone     extended-outage
        """,
    ),
    Night(
        "answered, and silence after that",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          4 secondary-on-call slack     standby-SEV2
         34 secondary-on-call pagerduty no-progress
         64 on-call           slack     check-in
         74 secondary-on-call pagerduty level-2
        240 vp-engineering    phone     extended-outage
        """,
        {4: (ON_CALL, HAS_IT)},
    ),
    Night(
        "answered and worked on",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          4 secondary-on-call slack     standby-SEV2
        """,
        {4: (ON_CALL, HAS_IT), 25: (ON_CALL, TICK), 50: (ON_CALL, ON_IT), 70: (ON_CALL, OVER)},
    ),
    Night(
        "no progress, then some, then none again",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          4 secondary-on-call slack     standby-SEV2
         34 secondary-on-call pagerduty no-progress
         70 secondary-on-call pagerduty no-progress.2
        """,
        {4: (ON_CALL, HAS_IT), 40: (ON_CALL, TICK), 95: (ON_CALL, OVER)},
    ),
    Night(
        "the primary is unavailable and the secondary takes over",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          5 secondary-on-call slack     standby-SEV2
         15 secondary-on-call pagerduty level-2
        """,
        {17: (SECONDARY, HAS_IT), 40: (SECONDARY, TICK), 65: (SECONDARY, OVER)},
    ),
    Night(
        "it becomes SEV1 after 40 minutes",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          4 secondary-on-call slack     standby-SEV2
         40 engineering-lead  phone     severe
         40 executives        slack     notice-SEV1
        """,
        {
            4: (ON_CALL, HAS_IT),
            20: (ON_CALL, TICK),
            40: (ON_CALL, ChangeSeverity(severity=SEV1)),
            45: (ON_CALL, ON_IT),
            70: (ON_CALL, OVER),
        },
    ),
    Night(
        "customers are affected from the 20th minute on",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          4 secondary-on-call slack     standby-SEV2
         80 customer-success  slack     customer-impact
        """,
        {**BUSY, 20: (ON_CALL, impact("customer_impact")), 90: (ON_CALL, OVER)},
    ),
    Night(
        "customers are affected for less than an hour",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          4 secondary-on-call slack     standby-SEV2
        """,
        {
            **BUSY,
            20: (ON_CALL, impact("customer_impact")),
            79: (ON_CALL, impact("customer_impact", on=False)),
            90: (ON_CALL, OVER),
        },
    ),
    Night(
        "the press calls in the 33rd minute",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          4 secondary-on-call slack     standby-SEV2
         33 communications    phone     media-attention
        """,
        {**BUSY, 33: ("U1", impact("media_attention")), 90: (ON_CALL, OVER)},
    ),
    Night(
        "open for more than four hours",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          4 secondary-on-call slack     standby-SEV2
        240 vp-engineering    phone     extended-outage
        """,
        {**BUSY, 250: (ON_CALL, OVER)},
    ),
    Night(
        "a security issue",
        "oauth2-server",
        SEV2,
        """
          0 on-call           pagerduty level-1
          4 engineering-lead  phone     severe
          4 secondary-on-call slack     standby-SEV2
        """,
        {4: (ON_CALL, HAS_IT), 25: (ON_CALL, OVER)},
        security=True,
    ),
    Night(
        "a security issue of a SEV4 is still a ticket",
        "oauth2-server",
        SEV4,
        "",
        security=True,
    ),
    Night(
        "a SEV3 waits for the morning",
        "oauth2-server",
        SEV3,
        """
          0 on-call           slack notice-SEV3
        360 on-call           slack level-1
        375 secondary-on-call slack level-2
        390 secondary-on-call slack no-progress
        600 vp-engineering    slack extended-outage
        """,
    ),
    Night(
        "a SEV4 is a ticket",
        "oauth2-server",
        SEV4,
        "",
    ),
    # -- Seed 004: AuthOS, its contacts and its ten procedures, each with the severity that it gives (medium is SEV3).
    Night(
        "nobody answers",
        "authos-on-call",
        SEV2,
        """
          0 ops-primary         slack level-1
          5 secondary-on-call   slack standby-SEV2
         15 ops-secondary       slack level-2
         30 engineering-manager slack level-3
        """,
    ),
    Night(
        "answered and worked on",
        "authos-on-call",
        SEV2,
        """
          0 ops-primary       slack level-1
          4 secondary-on-call slack standby-SEV2
        """,
        UNRESOLVED,
    ),
    Night(
        "nobody answers",
        "authos-high-error-rate",
        SEV2,
        """
          0 ops-primary             slack level-1
          5 secondary-on-call       slack standby-SEV2
         30 senior-backend-engineer slack level-2
         60 engineering-manager     slack level-3
        """,
    ),
    Night(
        "answered and worked on, unresolved",
        "authos-high-error-rate",
        SEV2,
        """
          0 ops-primary             slack level-1
          4 secondary-on-call       slack standby-SEV2
         30 senior-backend-engineer slack level-2
         60 engineering-manager     slack level-3
        """,
        UNRESOLVED,
    ),
    Night(
        "nobody answers",
        "authos-database-connection-failures",
        SEV1,
        """
          0 ops-primary            slack level-1
          0 database-administrator slack level-1
          5 executives             slack notice-SEV1
         15 ops-secondary          slack level-2
         30 engineering-manager    slack level-3
        """,
    ),
    Night(
        "answered and worked on, unresolved",
        "authos-database-connection-failures",
        SEV1,
        """
          0 ops-primary            slack level-1
          0 database-administrator slack level-1
          4 executives             slack notice-SEV1
        """,
        UNRESOLVED,
    ),
    Night(
        "nobody answers",
        "authos-oauth-system-failure",
        SEV1,
        """
          0 ops-primary       slack level-1
          5 executives        slack notice-SEV1
         15 security-engineer slack level-2
         30 authos-cto        slack level-3
        """,
    ),
    Night(
        "answered and worked on, unresolved",
        "authos-oauth-system-failure",
        SEV1,
        """
          0 ops-primary       slack level-1
          4 executives        slack notice-SEV1
         15 security-engineer slack level-2
         30 authos-cto        slack level-3
        """,
        UNRESOLVED,
    ),
    Night(
        "nobody answers",
        "authos-high-api-response-times",
        SEV3,
        """
          5 on-call              slack notice-SEV3
        360 ops-primary          slack level-1
        420 performance-engineer slack level-2
        480 infrastructure-team  slack level-3
        """,
    ),
    Night(
        "nobody answers, and it is worse than usual",
        "authos-high-api-response-times",
        SEV2,
        """
          0 ops-primary          slack level-1
          5 secondary-on-call    slack standby-SEV2
         60 performance-engineer slack level-2
        120 infrastructure-team  slack level-3
        """,
    ),
    Night(
        "answered and worked on, unresolved",
        "authos-high-api-response-times",
        SEV2,
        """
          0 ops-primary          slack level-1
          4 secondary-on-call    slack standby-SEV2
         60 performance-engineer slack level-2
        120 infrastructure-team  slack level-3
        """,
        UNRESOLVED,
    ),
    Night(
        "nobody answers",
        "authos-brute-force-attack",
        SEV2,
        """
          0 ops-primary         slack level-1
          0 security-team       slack level-1
          5 secondary-on-call   slack standby-SEV2
         15 ops-secondary       slack level-2
         30 engineering-manager slack level-3
        """,
        security=True,
    ),
    Night(
        "answered and worked on, unresolved",
        "authos-brute-force-attack",
        SEV2,
        """
          0 ops-primary       slack level-1
          0 security-team     slack level-1
          4 secondary-on-call slack standby-SEV2
        """,
        UNRESOLVED,
        security=True,
    ),
    Night(
        "nobody answers",
        "authos-webhook-delivery-failures",
        SEV3,
        """
          5 on-call             slack notice-SEV3
        360 ops-primary         slack level-1
        375 ops-secondary       slack level-2
        390 engineering-manager slack level-3
        """,
    ),
    Night(
        "nobody answers, and it is worse than usual",
        "authos-webhook-delivery-failures",
        SEV2,
        """
          0 ops-primary         slack level-1
          5 secondary-on-call   slack standby-SEV2
         15 ops-secondary       slack level-2
         30 engineering-manager slack level-3
        """,
    ),
    Night(
        "answered, and business-critical from the 20th minute on",
        "authos-webhook-delivery-failures",
        SEV2,
        """
          0 ops-primary          slack level-1
          4 secondary-on-call    slack standby-SEV2
         20 integration-engineer slack business-critical
        """,
        {**UNRESOLVED, 20: ("U1", impact("business_critical"))},
    ),
    Night(
        "nobody answers",
        "authos-cache-system-failure",
        SEV3,
        """
          5 on-call             slack notice-SEV3
        360 ops-primary         slack level-1
        375 ops-secondary       slack level-2
        390 engineering-manager slack level-3
        """,
    ),
    Night(
        "nobody answers, and it is worse than usual",
        "authos-cache-system-failure",
        SEV2,
        """
          0 ops-primary         slack level-1
          5 secondary-on-call   slack standby-SEV2
         15 ops-secondary       slack level-2
         30 engineering-manager slack level-3
        """,
    ),
    Night(
        "answered, and business-critical from the 20th minute on",
        "authos-cache-system-failure",
        SEV2,
        """
          0 ops-primary             slack level-1
          4 secondary-on-call       slack standby-SEV2
         50 infrastructure-engineer slack business-critical
        """,
        {**UNRESOLVED, 20: ("U1", impact("business_critical"))},
    ),
    Night(
        "nobody answers",
        "authos-disk-space-critical",
        SEV1,
        """
          0 ops-primary         slack level-1
          0 infrastructure-team slack level-1
          5 executives          slack notice-SEV1
         15 ops-secondary       slack level-2
         30 engineering-manager slack level-3
        """,
    ),
    Night(
        "answered and worked on, unresolved",
        "authos-disk-space-critical",
        SEV1,
        """
          0 ops-primary         slack level-1
          0 infrastructure-team slack level-1
          4 executives          slack notice-SEV1
        """,
        UNRESOLVED,
    ),
    Night(
        "nobody answers",
        "authos-failed-queue-jobs",
        SEV3,
        """
          5 on-call          slack notice-SEV3
        360 ops-primary      slack level-1
        390 backend-engineer slack level-2
        """,
    ),
    Night(
        "nobody answers, and it is worse than usual",
        "authos-failed-queue-jobs",
        SEV2,
        """
          0 ops-primary       slack level-1
          5 secondary-on-call slack standby-SEV2
         30 backend-engineer  slack level-2
        """,
    ),
    Night(
        "answered and worked on, unresolved",
        "authos-failed-queue-jobs",
        SEV2,
        """
          0 ops-primary       slack level-1
          4 secondary-on-call slack standby-SEV2
         30 backend-engineer  slack level-2
        """,
        UNRESOLVED,
    ),
    Night(
        "nobody answers",
        "authos-ssl-certificate-expiry",
        SEV2,
        """
          0 ops-primary             slack level-1
          5 secondary-on-call       slack standby-SEV2
         30 infrastructure-engineer slack level-2
         60 security-team           slack level-3
        """,
    ),
    Night(
        "answered and worked on, unresolved",
        "authos-ssl-certificate-expiry",
        SEV2,
        """
          0 ops-primary             slack level-1
          4 secondary-on-call       slack standby-SEV2
         30 infrastructure-engineer slack level-2
         60 security-team           slack level-3
        """,
        UNRESOLVED,
    ),
]


@pytest.mark.parametrize("night", NIGHTS, ids=lambda night: f"{night.policy}, {night.severity.value}: {night.name}")
def test_a_night(catalog: Catalog, night: Night) -> None:
    """Exactly those of the table, and nobody else at any minute."""
    assert play(catalog, night) == [" ".join(line.split()) for line in night.told.strip().splitlines()]


def test_until_the_numbers_are_set_slack_takes_their_place(catalog: Catalog) -> None:
    """The files as they are shipped: the whole ladder is told all the same."""
    story = Story(catalog)
    story.open("clerk-auth-outage")
    story.tick(until_s=3600)
    sent = [(fact.contact_id, fact.via) for fact in story.facts(PageSent) if fact.key.startswith("level")]
    assert sent == [("on-call", "slack"), ("engineering-lead", "slack"), ("cto", "slack")]
