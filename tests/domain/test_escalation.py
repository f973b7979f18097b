"""Contacts, policies, and what a runbook changes about them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from bot.domain.errors import ConfigError
from bot.domain.escalation import (
    BusinessHours,
    Condition,
    Contact,
    DutyOverride,
    EscalationPolicy,
    Level,
    PagerDutyOnCall,
    Rotation,
    RunbookEscalation,
    Team,
    Way,
    resolve_policy,
)

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


@pytest.mark.parametrize("slack", ["@oncall", "@engineering-lead", "@a.b_c", "U012ABCDEF", "W012ABCDEF", "a.b@example.com"])
def test_ways_to_name_somebody_in_slack(slack: str) -> None:
    """A handle, a member id, an address to look up."""
    assert Contact(id="x", name="X", slack=slack).is_reachable


@pytest.mark.parametrize(
    "slack", ["oncall", "@", "@On Call", "u012", "#general", "<@U012ABCDEF>", "@here!", "a@example", "a@b@example.com", ""]
)
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


@pytest.mark.parametrize("phone", ["+1-xxx-xxx-xxxx", "+1-XXX-XXX-XXXX", "+1 555 ###-####", "xxx", "+49 ??? ????"])
def test_a_placeholder_is_no_number_and_says_what_to_do(phone: str) -> None:
    """Whoever copies the template must not believe that somebody would be called."""
    with pytest.raises(ValidationError, match=r"is a placeholder and no number.*delete the line until you know it"):
        Contact(id="x", name="X", phone=phone)


def test_the_ways_of_a_contact_are_those_it_has_data_for_in_the_order_of_its_wishes() -> None:
    """What is not wished for comes after, in the usual order; a wish without data counts for nothing."""
    whole = Contact(id="x", name="X", slack="@x", phone="+15550100123", email="x@example.com", pagerduty=True)
    assert whole.ways == (Way.SLACK, Way.PAGERDUTY, Way.PHONE, Way.SMS, Way.EMAIL)
    wishing = whole.model_copy(update={"via": (Way.SMS, Way.SLACK), "phone": None})
    assert wishing.ways == (Way.SLACK, Way.PAGERDUTY, Way.EMAIL)
    assert Contact(id="x", name="X", phone="+15550100123", via=(Way.SMS,)).ways == (Way.SMS, Way.PHONE)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Berln", "did you mean “Europe/Berlin”"),
        ("america/new york", "did you mean “America/New_York”"),
        ("Mars", "write one of the tz database"),
        ("../etc/passwd", "is no time zone"),
        ("Europe", "is no time zone"),
        ("", "is no time zone"),
    ],
)
def test_a_zone_that_does_not_exist_is_refused_with_the_closest(zone: str, said: str) -> None:
    """Nothing outside of the database is read."""
    with pytest.raises(ValidationError, match=said):
        BusinessHours(timezone=zone)


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": "9:00"},
        {"from": "09:60"},
        {"to": "24:00"},
        {"to": "09:00"},
        {"from": "16:01"},
        {"days": []},
        {"days": ["mon"]},
    ],
)
def test_working_hours_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    """Empty, shorter than an hour, or no time at all."""
    with pytest.raises(ValidationError):
        BusinessHours.model_validate(wrong)
    assert BusinessHours.model_validate({"from": "16:00"}).to == "17:00"


def rotation(**fields: Any) -> Rotation:
    """One that takes turns, or what ``fields`` make of it."""
    return Rotation.model_validate({"id": "r", "name": "R", "members": ["a"], "starts": "2026-11-02"} | fields)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"members": []}, "wants either members, who take turns, or pagerduty"),
        ({"pagerduty": {"schedule": "P1A2"}}, "wants either members, who take turns, or pagerduty"),
        ({"starts": None}, "has members and no `starts`"),
        ({"starts": "2026-02-30"}, "is no day"),
        ({"starts": "20261102"}, "is no day"),
        ({"starts": "0001-01-01"}, "is no day"),
        ({"starts": "9999-12-31"}, "is no day"),
        ({"at": "25:00"}, "is no time of day"),
        ({"every": "month"}, "every"),
        ({"on": "mo"}, "on"),
        ({"overrides": [{"from": "2026-12-24", "to": "2026-12-25T00:00", "contact": "a"}]}, "is not a local time"),
        ({"overrides": [{"from": "2026-12-24T00:00+01:00", "to": "2026-12-25T00:00", "contact": "a"}]}, "is not a local time"),
        ({"overrides": [{"from": "2026-12-32T00:00", "to": "2026-12-25T00:00", "contact": "a"}]}, "is not a local time"),
        ({"overrides": [{"from": "9999-12-24T00:00", "to": "9999-12-25T00:00", "contact": "a"}]}, "is not a local time"),
        ({"overrides": [{"from": "2026-12-25T00:00", "to": "2026-12-25T00:00", "contact": "a"}]}, "ends before it begins"),
    ],
)
def test_a_rotation_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    """Each with a reason."""
    with pytest.raises(ValidationError, match=said):
        rotation(**wrong)


@pytest.mark.parametrize(
    "wrong", [{}, {"schedule": "P1A2", "escalation_policy": "P1A2"}, {"schedule": "p1"}, {"schedule": "P1A2", "level": "0"}]
)
def test_pagerduty_is_asked_for_one_thing(wrong: dict[str, Any]) -> None:
    """A schedule, or a level of an escalation policy, by its id."""
    with pytest.raises(ValidationError):
        PagerDutyOnCall.model_validate(wrong)
    assert PagerDutyOnCall.model_validate({"escalation_policy": "P1A2", "level": "2"}).level == 2


def test_rotations_and_teams_round_trip_through_json() -> None:
    """They are kept in the plan of an incident."""
    override = {"from": "2026-12-24T09:00", "to": "2026-12-27T09:00", "contact": "b"}
    whole = rotation(overrides=[override], timezone="Asia/Kathmandu")
    assert Rotation.model_validate(whole.model_dump(mode="json", by_alias=True)) == whole
    assert Rotation.model_validate_json(whole.model_dump_json()) == whole
    assert DutyOverride.model_validate(override) == whole.overrides[0]
    team = Team(id="t", name="T", members=("a",))
    assert Team.model_validate(team.model_dump(mode="json")) == team


def conditions(base: list[dict[str, Any]], own: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """The conditions of a runbook: id, title, seconds."""
    policy = EscalationPolicy.model_validate({"id": "default", "levels": [], "conditions": base})
    changes = RunbookEscalation.model_validate({"conditions": own})
    found = resolve_policy(SimpleNamespace(policies={"default": policy}), SimpleNamespace(escalation=changes)).conditions
    return [(item.id, item.title, item.for_s) for item in found]


def test_a_condition_with_the_same_id_replaces_and_another_is_added() -> None:
    """Each has a title that people can read."""
    quiet = {"id": "quiet", "when": ["no_progress"], "for": "30m", "notify": ["lead"]}
    severe = {"id": "severe", "when": ["sev1", "security"], "notify": ["lead"]}
    assert conditions([quiet, severe], []) == [("quiet", "no progress for 30 min", 1800), ("severe", "SEV1 or security", 0)]
    assert conditions([quiet, severe], [quiet | {"for": "10m", "title": "Silence"}, {**severe, "id": "more"}]) == [
        ("quiet", "Silence", 600),
        ("severe", "SEV1 or security", 0),
        ("more", "SEV1 or security", 0),
    ]


def test_a_condition_lasts_until_the_end_unless_it_says_otherwise() -> None:
    """A level stops with the acknowledgement."""
    condition = Condition.model_validate({"id": "a", "when": ["open"], "for": "4h", "notify": ["x"]})
    assert (condition.until, condition.for_s, condition.via) == ("resolved", 4 * 3600, ())
    for wrong in ({"when": []}, {"notify": []}, {"when": ["sev0"]}):
        with pytest.raises(ValidationError):
            Condition.model_validate({"id": "a", "when": ["open"], "notify": ["x"]} | wrong)
