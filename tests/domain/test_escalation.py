"""Contacts, policies, and what a runbook changes about them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from bot.domain.errors import ConfigError
from bot.domain.escalation import Contact, EscalationPolicy, Level, RunbookEscalation, resolve_policy

DEFAULT = EscalationPolicy.model_validate(
    {
        "id": "default",
        "levels": [
            {"level": 1, "title": "On-call", "after": "0m", "notify": ["on-call"]},
            {"level": 2, "after": "15m", "notify": ["lead"]},
            {"level": 3, "after": "30m", "notify": ["cto"]},
        ],
    }
)
CATALOG = SimpleNamespace(policies={"default": DEFAULT})


def resolved(*levels: dict[str, Any], inherit: str = "default") -> list[tuple[int, int, str, tuple[str, ...]]]:
    """The ladder of a runbook with these levels of its own."""
    escalation = RunbookEscalation.model_validate({"inherit": inherit, "levels": list(levels)})
    policy = resolve_policy(CATALOG, SimpleNamespace(escalation=escalation))
    return [(level.level, level.after_s, level.until, level.notify) for level in policy.levels]


def test_without_a_runbook_it_is_the_default() -> None:
    """An incident that no runbook fits wakes people all the same."""
    policy = resolve_policy(CATALOG, None)
    assert [level.level for level in policy.levels] == [1, 2, 3]
    assert [level.title for level in policy.levels] == ["On-call", "Level 2, after 15 min", "Level 3, after 30 min"]


def test_a_level_with_a_number_replaces_the_one_with_that_number() -> None:
    """The other levels stay."""
    assert resolved({"level": 2, "after": "5m", "until": "resolved", "notify": ["cto"]}) == [
        (1, 0, "acknowledged", ("on-call",)),
        (2, 300, "resolved", ("cto",)),
        (3, 1800, "acknowledged", ("cto",)),
    ]


def test_a_level_without_a_number_replaces_the_one_at_the_same_time() -> None:
    """The form of the design's example: after 15m, until resolved."""
    assert resolved({"after": "15m", "until": "resolved", "notify": ["lead"]})[1] == (2, 900, "resolved", ("lead",))


def test_another_level_is_added_in_its_place_in_time() -> None:
    """The ladder is in order of time and numbered without a gap."""
    assert [(number, after_s) for number, after_s, _, _ in resolved({"after": "10m", "notify": ["lead"]})] == [
        (1, 0),
        (2, 600),
        (3, 900),
        (4, 1800),
    ]


def test_levels_of_a_policy_need_no_numbers() -> None:
    """Their place in the list is their number, also where a runbook replaces one."""
    bare = EscalationPolicy.model_validate(
        {"id": "bare", "levels": [{"after": "0m", "notify": ["a"]}, {"after": "9m", "notify": ["b"]}]}
    )
    changes = RunbookEscalation.model_validate({"inherit": "bare", "levels": [{"level": 2, "after": "1m", "notify": ["c"]}]})
    policy = resolve_policy(SimpleNamespace(policies={"bare": bare}), SimpleNamespace(escalation=changes))
    assert [(level.level, level.after_s, level.notify) for level in policy.levels] == [(1, 0, ("a",)), (2, 60, ("c",))]


def test_an_unknown_policy_is_an_error_with_a_remedy() -> None:
    """The loader refuses such a file; whoever builds a catalog by hand is told as well."""
    with pytest.raises(ConfigError, match=r"no escalation policy “nights”; add it to contacts\.yml"):
        resolved(inherit="nights")


def test_a_level_round_trips_through_json() -> None:
    """It is kept in the timeline."""
    level = DEFAULT.levels[1]
    assert Level.model_validate(level.model_dump(mode="json", by_alias=True)) == level


@pytest.mark.parametrize("slack", ["@oncall", "@engineering-lead", "@a.b_c", "U012ABCDEF", "W012ABCDEF"])
def test_ways_to_name_somebody_in_slack(slack: str) -> None:
    """A handle or a member id."""
    assert Contact(id="x", name="X", slack=slack).is_reachable


@pytest.mark.parametrize("slack", ["oncall", "@", "@On Call", "u012", "#general", "<@U012ABCDEF>", "@here!", ""])
def test_other_ways_are_refused(slack: str) -> None:
    """A channel, a mention as it stands in a message, a name without @."""
    with pytest.raises(ValidationError):
        Contact(id="x", name="X", slack=slack)


@pytest.mark.parametrize("phone", ["+15551234567", "+1 (555) 123-4567", "+49 30 1234.567"])
def test_phone_numbers_are_international(phone: str) -> None:
    """The seed's placeholder is no number."""
    assert Contact(id="x", name="X", phone=phone).phone == phone
    for wrong in ("5551234567", "0555123", "+1-xxx-xxx-xxxx", "+0123456789", "+1555;rm", ""):
        with pytest.raises(ValidationError):
            Contact(id="x", name="X", phone=wrong)


def test_a_contact_without_any_way_is_not_reachable() -> None:
    """It is allowed, and the linter warns."""
    assert not Contact(id="x", name="X").is_reachable
    assert Contact(id="x", name="X", email="x@example.com").is_reachable


def test_a_level_notifies_somebody() -> None:
    """An empty level would look like an escalation and wake nobody."""
    with pytest.raises(ValidationError):
        Level.model_validate({"after": "1m", "notify": []})
