"""The two JSON shapes of status pages, by plain values."""

from __future__ import annotations

from typing import Any

import pytest

from bot.providers.status_shapes import Level, WrongShapeError, level_of, read_v2, read_widget


def summary(**parts: Any) -> dict[str, Any]:
    """A summary without trouble, changed in parts."""
    return {"page": {"name": "Clerk"}, "status": {"indicator": "none"}, "components": [], "incidents": [], **parts}


@pytest.mark.parametrize(
    ("indicator", "level"),
    [
        ("none", Level.OPERATIONAL),
        ("minor", Level.DEGRADED_PERFORMANCE),
        ("major", Level.PARTIAL_OUTAGE),
        ("critical", Level.FULL_OUTAGE),
        ("maintenance", Level.UNDER_MAINTENANCE),
        ("tea_time", Level.UNRECOGNISED),
    ],
)
def test_the_indicator(indicator: str, level: Level) -> None:
    """Each documented indicator has its level; a new word is not operational."""
    assert read_v2(summary(status={"indicator": indicator}), {"incidents": []}).level is level


def test_the_worst_of_all_counts() -> None:
    """A green indicator does not hide a component that is out or an incident that is open."""
    components = [{"name": "API", "status": "major_outage"}, {"name": "Docs", "status": "operational"}]
    reading = read_v2(summary(components=components), {"incidents": []})
    assert (reading.level, reading.components) == (Level.FULL_OUTAGE, ("API",))
    listed = {"incidents": [{"name": "Slow", "status": "monitoring", "impact": "major"}]}
    assert read_v2(summary(), listed).level is Level.PARTIAL_OUTAGE


def test_an_open_incident_without_impact_is_trouble() -> None:
    """An incident that says impact none, or a word nobody knows, is still an incident."""
    for impact in ("none", "", "spicy"):
        listed = {"incidents": [{"name": "Odd", "status": "identified", "impact": impact}]}
        assert read_v2(summary(), listed).level is Level.DEGRADED_PERFORMANCE


def test_closed_incidents_do_not_count() -> None:
    """Resolved, completed and reviewed incidents are history."""
    listed = {"incidents": [{"name": "Old", "status": status} for status in ("resolved", "postmortem", "Completed")]}
    assert read_v2(summary(), listed).level is Level.OPERATIONAL


def test_maintenance_counts_while_it_runs() -> None:
    """A planned maintenance is not trouble yet; one in progress is."""
    planned = [{"name": "Upgrade", "status": "scheduled"}]
    running = [{"name": "Upgrade", "status": "in_progress"}]
    assert read_v2(summary(scheduled_maintenances=planned), {"incidents": []}).level is Level.OPERATIONAL
    assert read_v2(summary(scheduled_maintenances=running), {"incidents": []}).level is Level.UNDER_MAINTENANCE


@pytest.mark.parametrize(
    ("word", "level"),
    [("UP", Level.OPERATIONAL), ("HASISSUES", Level.DEGRADED_PERFORMANCE), ("UNDERMAINTENANCE", Level.UNDER_MAINTENANCE)],
)
def test_pages_of_instatus(word: str, level: Level) -> None:
    """Instatus answers the same path with the state inside of `page`."""
    assert read_v2({"page": {"status": word}}, {"incidents": []}).level is level


@pytest.mark.parametrize("body", [None, [], {}, {"page": {}}, {"status": "ok"}, {"page": {"status": None}}, "x", 3])
def test_a_summary_without_an_indicator(body: Any) -> None:
    """Nothing is concluded from JSON without an indicator."""
    with pytest.raises(WrongShapeError):
        read_v2(body, {"incidents": []})


def test_the_widget_lists_trouble_only() -> None:
    """Empty lists are good news; planned maintenance is none yet."""
    empty = {"ongoing_incidents": [], "in_progress_maintenances": [], "scheduled_maintenances": [{"name": "Later"}]}
    assert read_widget(empty).level is Level.OPERATIONAL
    busy = {**empty, "in_progress_maintenances": [{"name": "Now", "status": "maintenance_in_progress"}]}
    assert read_widget(busy).level is Level.UNDER_MAINTENANCE


def test_the_widget_with_words_of_tomorrow() -> None:
    """An ongoing incident with an unknown impact is trouble, and its worst component counts."""
    event = {
        "name": "Sign-in",
        "status": "identified",
        "current_worst_impact": "apocalypse",
        "affected_components": [{"name": "Auth", "current_status": "partial_outage"}],
    }
    reading = read_widget({"ongoing_incidents": [event]})
    assert (reading.level, reading.components) == (Level.PARTIAL_OUTAGE, ("Auth",))


def test_foreign_text_is_cleaned() -> None:
    """A name with control characters and a secret in it comes out clean."""
    event = {"name": "Bad\u202e\nthing sk_live_CANARY1", "status": "investigating"}
    (line,) = read_widget({"ongoing_incidents": [event]}).incidents
    assert line == "Bad thing [redacted]: investigating, degraded performance"


def test_words_of_both_vendors() -> None:
    """incident.io's full_outage is Statuspage's major_outage."""
    assert level_of("full_outage") is level_of("Major Outage") is Level.FULL_OUTAGE
