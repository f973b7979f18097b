"""The catalog as a whole, and the search for a runbook by words."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.catalog import Catalog, best_runbooks, make_catalog
from bot.domain.escalation import BusinessHours, Contact, EscalationPolicy, Rotation, Team, Way
from bot.domain.runbook import Runbook
from bot.domain.service import Service
from bot.domain.severity import Severity, SeverityPolicy


def runbook(identity: str, title: str, service: str = "clerk", **more: Any) -> Runbook:
    """A runbook with one step."""
    phrases = more.pop("phrases", [])
    return Runbook.model_validate(
        {
            "id": identity,
            "title": title,
            "service": service,
            "severity": "SEV2",
            "triggers": {"phrases": phrases},
            "checklist": [{"id": "a", "title": "A"}],
            **more,
        }
    )


def catalog(*runbooks: Runbook, clerk: bool = True) -> Catalog:
    """A catalog with the services "clerk" and "shop"."""
    policy = SeverityPolicy(title="x", criteria=("x",), response=("x",), respond_within_s=60, resolve_within_s=60)
    return make_catalog(
        runbooks=runbooks,
        services=[Service(id="clerk", title="Clerk", enabled=clerk), Service(id="shop", title="Shop")],
        contacts=[Contact(id="on-call", name="On-call engineer")],
        external_contacts=[],
        policies=[EscalationPolicy(id="default", levels=())],
        severities=dict.fromkeys(Severity, policy),
    )


OUTAGE = runbook(
    "clerk-auth-outage",
    "Complete auth outage",
    symptoms=["All users unable to sign in", "Middleware returning errors"],
    phrases=["clerk down", "clerk emergency"],
)
SECURITY = runbook(
    "clerk-security-incident",
    "Security incident",
    symptoms=["Unauthorized access detected", "Suspicious sessions"],
    phrases=["clerk emergency"],
)
SHOP = runbook("shop-slow", "Slow checkout", service="shop", symptoms=["Timeouts at checkout"])
CATALOG = catalog(OUTAGE, SECURITY, SHOP)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("clerk down", ["clerk-auth-outage"]),
        ("clerk is down, help!", ["clerk-auth-outage"]),
        ("clerk emergency", ["clerk-auth-outage", "clerk-security-incident"]),
        ("clerk", ["clerk-auth-outage", "clerk-security-incident"]),
        ("suspicious session", ["clerk-security-incident"]),
        ("security breach", ["clerk-security-incident"]),
        ("nobody can sign in", ["clerk-auth-outage"]),
        ("clerk-security-incident", ["clerk-security-incident"]),
        ("checkout timeouts", ["shop-slow"]),
        ("the shop", ["shop-slow"]),
        ("database down", []),
        ("everything is broken", []),
        ("incident", []),
        ("users", []),
        ("", []),
        ("<!channel> \u202e `;drop table`", []),
    ],
)
def test_words_find_runbooks(words: str, expected: list[str]) -> None:
    """A phrase decides, then what the words have in common with a runbook; words of every incident count for nothing."""
    assert list(best_runbooks(words, CATALOG)) == expected


def test_runbooks_of_a_silenced_service_are_not_there() -> None:
    """Neither offered nor triggered."""
    silent = catalog(OUTAGE, SHOP, clerk=False)
    assert list(silent.runbooks) == ["shop-slow"]
    assert silent.matcher.match("clerk down") is None
    assert best_runbooks("clerk", silent) == ()
    assert not silent.services["clerk"].enabled


def test_a_catalog_does_not_change() -> None:
    """A reload makes a new one."""
    with pytest.raises(TypeError):
        CATALOG.runbooks["x"] = OUTAGE  # type: ignore[index]
    with pytest.raises(AttributeError):
        CATALOG.on_phrase = "off"  # type: ignore[misc]


def test_order_is_that_of_the_files() -> None:
    """The likeliest of several that fit equally is the first."""
    assert list(CATALOG.runbooks) == ["clerk-auth-outage", "clerk-security-incident", "shop-slow"]


def test_teams_rotations_hours_and_ways_are_part_of_it() -> None:
    """By id; without them there are none, the usual hours, and nobody knows which ways work."""
    assert (CATALOG.teams, CATALOG.rotations, CATALOG.ways, CATALOG.business_hours) == ({}, {}, None, BusinessHours())
    whole = make_catalog(
        runbooks=[],
        services=[],
        contacts=[],
        external_contacts=[],
        policies=[],
        severities={},
        teams=[Team(id="leads", name="Leads", slack="@leads")],
        rotations=[Rotation(id="duty", name="Duty", members=("a",), starts="2026-11-02")],
        business_hours=BusinessHours(timezone="Europe/Berlin"),
        ways=frozenset({Way.SLACK}),
    )
    assert (whole.teams["leads"].slack, whole.rotations["duty"].members) == ("@leads", ("a",))
    assert (whole.business_hours.timezone, whole.ways) == ("Europe/Berlin", {Way.SLACK})
    with pytest.raises(TypeError):
        whole.teams["x"] = whole.teams["leads"]  # type: ignore[index]
