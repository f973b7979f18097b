"""Who cannot be reached as it is wanted, in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.catalog import Catalog, make_catalog
from bot.domain.escalation import Contact, EscalationPolicy, Rotation, Team, Way
from bot.domain.reach import SETTINGS, configured_ways, gaps, in_use, passed_over, people_of, usable_ways
from bot.domain.runbook import Runbook
from bot.domain.service import Service
from bot.domain.severity import Severity, SeverityPolicy

NUMBER = "+15550100123"
WHOLE = Contact(id="whole", name="Whole", slack="@whole", phone=NUMBER, email="w@example.com", pagerduty=True)
CHAT = Contact(id="chat", name="Chat", slack="@chat")
CALL = Contact(id="call", name="Call", phone=NUMBER)
GHOST = Contact(id="ghost", name="Ghost")
CONTACTS = {contact.id: contact for contact in (WHOLE, CHAT, CALL, GHOST)}
TWILIO = "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM are not all set"


def catalog(
    *levels: dict[str, Any],
    severity: dict[str, Any] | None = None,
    own: dict[str, Any] | None = None,
    unused: dict[str, Any] | None = None,
    ways: frozenset[Way] | None = None,
    **more: Any,
) -> Catalog:
    """A default policy with these levels; a severity and a runbook that ask for more; a policy that nobody inherits."""
    promise = {"title": "x", "criteria": ["x"], "response": ["x"], "respond_within": "1m", "resolve_within": "1h"}
    runbook = {"id": "r", "title": "R", "service": "s", "severity": "SEV1", "checklist": [{"id": "a", "title": "A"}]}
    policies = [{"id": "default", "levels": [{"after": "0m", **level} for level in levels]}]
    policies += [{"id": "unused", "levels": [{"after": "0m", **unused}]}] if unused else []
    return make_catalog(
        runbooks=[Runbook.model_validate(runbook | {"escalation": own or {}})],
        services=[Service(id="s", title="S")],
        contacts=CONTACTS.values(),
        external_contacts=[],
        policies=[EscalationPolicy.model_validate(policy) for policy in policies],
        severities={Severity.SEV1: SeverityPolicy.model_validate(promise | (severity or {}))},
        ways=ways,
        **more,
    )


def test_a_way_is_configured_when_all_its_variables_are_set() -> None:
    """Slack always is, where Muster runs; a call and a text message want the same three."""
    every = {name for names in SETTINGS.values() for name in names}
    assert configured_ways(lambda _: False) == {Way.SLACK}
    assert configured_ways(lambda _: True) == set(Way)
    for name in SETTINGS[Way.PHONE]:
        assert configured_ways(lambda each, name=name: each != name) == {Way.SLACK, Way.PAGERDUTY, Way.EMAIL}
    assert configured_ways(lambda name: name == "SMTP_URL") == {Way.SLACK, Way.EMAIL}
    assert every == {"PAGERDUTY_ROUTING_KEY", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM", "SMTP_URL"}


def test_ways_are_tried_as_they_are_wanted_and_then_as_the_contact_has_them() -> None:
    """What the contact has no data for, or what is not configured, is passed over."""
    wanted = (Way.PHONE, Way.EMAIL)
    assert usable_ways(WHOLE, wanted, None) == (Way.PHONE, Way.EMAIL, Way.SLACK, Way.PAGERDUTY, Way.SMS)
    assert usable_ways(WHOLE, wanted, frozenset({Way.SLACK, Way.EMAIL})) == (Way.EMAIL, Way.SLACK)
    assert usable_ways(CHAT, wanted, None) == (Way.SLACK,)
    assert passed_over(WHOLE, wanted, None) == ()
    assert passed_over(WHOLE, wanted, frozenset({Way.SLACK, Way.EMAIL})) == (Way.PHONE,)
    assert passed_over(CHAT, wanted, None) == wanted
    assert passed_over(CHAT, (Way.SLACK, Way.PHONE), None) == ()
    assert passed_over(CHAT, (), None) == ()


def test_whoever_may_be_meant_by_a_name() -> None:
    """A contact, the members of a team, everybody of a rotation; a team without members is its user group."""
    teams = {
        team.id: team for team in (Team(id="two", name="Two", members=("chat", "call")), Team(id="all", name="All", slack="@all"))
    }
    duty = Rotation.model_validate(
        {
            "id": "duty",
            "name": "Duty",
            "members": ["chat", "call", "chat"],
            "starts": "2026-11-02",
            "overrides": [{"from": "2026-12-24T09:00", "to": "2026-12-25T09:00", "contact": "whole"}],
        }
    )
    asked = Rotation.model_validate({"id": "asked", "name": "Asked", "pagerduty": {"schedule": "P1A2"}})
    rotations = {"duty": duty, "asked": asked}

    def who(name: str) -> list[str]:
        return [contact.id for contact in people_of(name, contacts=CONTACTS, teams=teams, rotations=rotations)]

    assert [who("chat"), who("two"), who("duty"), who("asked"), who("nobody")] == [
        ["chat"],
        ["chat", "call"],
        ["chat", "call", "whole"],
        [],
        [],
    ]
    assert people_of("all", contacts=CONTACTS, teams=teams, rotations=rotations) == (Contact(id="all", name="All", slack="@all"),)


GAPS: list[tuple[dict[str, Any], frozenset[Way] | None, list[str]]] = [
    ({"notify": ["whole", "chat", "call"]}, None, []),
    ({"notify": ["whole", "chat"], "via": ["slack", "phone"]}, None, []),
    (
        {"notify": ["chat"], "via": ["phone", "slack"]},
        None,
        ["Chat is reached in Slack instead of by phone: `phone` of “chat” is not set."],
    ),
    (
        {"notify": ["chat"], "via": ["pagerduty", "sms", "phone"]},
        None,
        [
            "Chat is reached in Slack instead of by PagerDuty, by text message or by phone: "
            "`pagerduty` of “chat” is not true and `phone` of “chat” is not set."
        ],
    ),
    (
        {"notify": ["ghost"]},
        None,
        ["Ghost cannot be reached at all: none of `slack`, `phone`, `email` and `pagerduty` of “ghost” is set."],
    ),
    (
        {"notify": ["whole"], "via": ["phone"]},
        frozenset({Way.SLACK}),
        [f"Whole is reached in Slack instead of by phone: {TWILIO}."],
    ),
    (
        {"notify": ["whole"], "via": ["pagerduty"]},
        frozenset({Way.SLACK, Way.PHONE, Way.SMS}),
        ["Whole is reached in Slack instead of by PagerDuty: PAGERDUTY_ROUTING_KEY is not set."],
    ),
    ({"notify": ["call"]}, frozenset({Way.SLACK}), [f"Call cannot be reached at all: {TWILIO}."]),
    ({"notify": ["call"], "via": ["phone"]}, frozenset({Way.SLACK, Way.EMAIL}), [f"Call cannot be reached at all: {TWILIO}."]),
]


@pytest.mark.parametrize(("level", "ways", "said"), GAPS)
def test_a_sentence_for_each_who_cannot_be_reached_as_wanted(
    level: dict[str, Any], ways: frozenset[Way] | None, said: list[str]
) -> None:
    """What is missing, by which way they are reached instead, or that they are not."""
    assert list(gaps(catalog(level, ways=ways))) == said


def test_one_sentence_for_each_contact_however_often_they_are_named() -> None:
    """By levels, conditions and severities, in the default policy and in the runbook's own part."""
    found = gaps(
        catalog(
            {"notify": ["chat"], "via": ["phone"]},
            {"notify": ["chat", "ghost"], "via": ["email"]},
            severity={"standby": ["chat"], "via": ["pagerduty"]},
            own={"conditions": [{"id": "a", "when": ["sev1"], "notify": ["chat", "whole"], "via": ["sms"]}]},
        )
    )
    assert [sentence.split(":")[0] for sentence in found] == [
        "Chat is reached in Slack instead of by phone, by e-mail, by text message or by PagerDuty",
        "Ghost cannot be reached at all",
    ]


def test_whoever_is_invited_wants_slack() -> None:
    """A phone brings nobody into the room; a team that nobody is in brings nobody either."""
    everyone = Team(id="everyone", name="Everyone")
    found = gaps(catalog({"notify": ["whole"]}, severity={"invite": ["chat", "call", "everyone"]}, teams=[everyone]))
    assert found == (
        "Call cannot be invited into the room: `slack` of “call” is not set.",
        "Everyone cannot be reached at all: neither `slack` nor `members` of “everyone” is set.",
    )


def test_what_no_runbook_inherits_is_not_in_use() -> None:
    """Nobody would be woken by it, so nobody needs to hear of it."""
    quiet = catalog({"notify": ["whole"]}, severity={"notify": ["call"]}, unused={"notify": ["ghost"]})
    assert gaps(quiet) == ()
    assert [contact.id for contact in in_use(quiet)] == ["whole", "call"]
    used = catalog({"notify": ["whole"]}, unused={"notify": ["ghost"]}, own={"inherit": "unused"})
    assert [contact.id for contact in in_use(used)] == ["whole", "ghost"]
