"""Who is on duty when, hand-overs over daylight saving nights, covers, and working time."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.domain.duty import (
    Cover,
    Handover,
    add_business_time,
    business_start,
    covered_by,
    handovers,
    hole_until,
    is_business_time,
    next_handover,
    on_duty,
)
from bot.domain.escalation import BusinessHours, Rotation, Weekday

BERLIN, NEW_YORK, KATHMANDU = "Europe/Berlin", "America/New_York", "Asia/Kathmandu"
ZONES = [BERLIN, NEW_YORK, KATHMANDU, "UTC", "Australia/Lord_Howe", "Pacific/Chatham"]


def rotation(**changes: Any) -> Rotation:
    """Three people who change every Monday at 09:00 in Berlin, from the second of November 2026 on."""
    fields: dict[str, Any] = {
        "id": "primary",
        "name": "Primary",
        "members": ["ada", "bo", "cy"],
        "timezone": BERLIN,
        "starts": "2026-11-02",
    }
    return Rotation.model_validate(fields | changes)


def moment(text: str, zone: str = "UTC", *, fold: int = 0) -> datetime:
    """A moment in UTC, given as the wall clock of a zone shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def override(begin: str, end: str, contact: str) -> dict[str, str]:
    """As it stands in the file."""
    return {"from": begin, "to": end, "contact": contact}


def story(found: Handover | None) -> tuple[str, str | None, str | None] | None:
    """A hand-over in short, in UTC."""
    return (f"{found.at:%m-%d %H:%M}", found.outgoing, found.incoming) if found else None


def weekly(**changes: Any) -> Rotation:
    """The week is the default."""
    return rotation(every="week", on="monday", **changes)


def daily(at: str, zone: str, starts: str) -> Rotation:
    """Three people, every day."""
    return rotation(every="day", at=at, timezone=zone, starts=starts)


def asked(**changes: Any) -> Rotation:
    """One of PagerDuty."""
    return rotation(members=[], starts=None, pagerduty={"schedule": "P1A2B3"}, **changes)


ON_DUTY: list[tuple[str, Rotation, datetime, str | None]] = [
    ("nobody before the first hand-over", weekly(), moment("2026-11-02T08:59:59", BERLIN), None),
    ("the first from then on", weekly(), moment("2026-11-02T09:00", BERLIN), "ada"),
    ("until the last moment of the week", weekly(), moment("2026-11-09T08:59:59.999999", BERLIN), "ada"),
    ("then the second", weekly(), moment("2026-11-09T09:00", BERLIN), "bo"),
    ("then the third", weekly(), moment("2026-11-18T23:00", BERLIN), "cy"),
    ("then the first again", weekly(), moment("2026-11-23T09:00", BERLIN), "ada"),
    ("years later", weekly(), moment("2031-06-02T09:00", BERLIN), "cy"),
    ("years later, a moment before", weekly(), moment("2031-06-02T08:59", BERLIN), "bo"),
    ("it starts on a Wednesday", weekly(starts="2026-11-04"), moment("2026-11-04T09:00", BERLIN), "ada"),
    ("so the first week is short", weekly(starts="2026-11-04"), moment("2026-11-09T09:00", BERLIN), "bo"),
    ("and the second is whole", weekly(starts="2026-11-04"), moment("2026-11-16T08:59", BERLIN), "bo"),
    ("daily, before nine it is yesterday's", daily("09:00", NEW_YORK, "2026-07-01"), moment("2026-07-03T08:00", NEW_YORK), "bo"),
    ("daily, at nine", daily("09:00", NEW_YORK, "2026-07-01"), moment("2026-07-03T09:00", NEW_YORK), "cy"),
    ("a quarter of an hour off UTC", daily("09:00", KATHMANDU, "2026-07-01"), moment("2026-07-01T03:15"), "ada"),
    ("and a minute before", daily("09:00", KATHMANDU, "2026-07-01"), moment("2026-07-01T03:14"), None),
    ("PagerDuty is asked", asked(), moment("2026-11-03T09:00"), None),
    (
        "but an override holds there as well",
        asked(overrides=[override("2026-11-03T00:00", "2026-11-04T00:00", "bo")]),
        moment("2026-11-03T09:00"),
        "bo",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("what", "which", "at", "expected"), ON_DUTY, ids=[row[0] for row in ON_DUTY])
def test_who_is_on_duty(what: str, which: Rotation, at: datetime, expected: str | None) -> None:
    """The table of cases."""
    assert on_duty(which, at) == expected, what


NIGHTS: list[tuple[str, str, str, str, str]] = [
    # zone, the wall-clock time of the hand-over, the day, when it happens in UTC, the day before in UTC
    (BERLIN, "09:00", "2026-03-29", "2026-03-29T07:00", "2026-03-28T08:00"),
    (BERLIN, "09:00", "2026-10-25", "2026-10-25T08:00", "2026-10-24T07:00"),
    (BERLIN, "02:30", "2026-03-29", "2026-03-29T01:00", "2026-03-28T01:30"),
    (BERLIN, "02:00", "2026-03-29", "2026-03-29T01:00", "2026-03-28T01:00"),
    (BERLIN, "03:00", "2026-03-29", "2026-03-29T01:00", "2026-03-28T02:00"),
    (BERLIN, "02:30", "2026-10-25", "2026-10-25T00:30", "2026-10-24T00:30"),
    (BERLIN, "03:00", "2026-10-25", "2026-10-25T02:00", "2026-10-24T01:00"),
    (NEW_YORK, "09:00", "2026-03-08", "2026-03-08T13:00", "2026-03-07T14:00"),
    (NEW_YORK, "09:00", "2026-11-01", "2026-11-01T14:00", "2026-10-31T13:00"),
    (NEW_YORK, "02:30", "2026-03-08", "2026-03-08T07:00", "2026-03-07T07:30"),
    (NEW_YORK, "01:30", "2026-11-01", "2026-11-01T05:30", "2026-10-31T05:30"),
    (KATHMANDU, "09:00", "2026-03-29", "2026-03-29T03:15", "2026-03-28T03:15"),
    ("Australia/Lord_Howe", "02:15", "2026-10-04", "2026-10-03T15:30", "2026-10-02T15:45"),  # a gap of half an hour
]


@pytest.mark.parametrize(("zone", "at", "day", "then", "before"), NIGHTS)
def test_a_hand_over_keeps_its_wall_clock_time_over_a_night_that_changes_the_clock(
    zone: str, at: str, day: str, then: str, before: str
) -> None:
    """Daily and weekly; a time that is skipped is the first moment after the gap, a doubled one the first of the two."""
    the_day_before = date.fromisoformat(day) - timedelta(days=1)
    every_day = rotation(every="day", at=at, timezone=zone, starts=the_day_before.isoformat())
    week = list(Weekday)[date.fromisoformat(day).weekday()]
    every_week = rotation(on=week, at=at, timezone=zone, starts=(date.fromisoformat(day) - timedelta(days=7)).isoformat())
    assert [found.at for found in handovers(every_day, moment(before), moment(then) + timedelta(seconds=1))] == [
        moment(before),
        moment(then),
    ]
    assert (on_duty(every_day, moment(then) - timedelta(microseconds=1)), on_duty(every_day, moment(then))) == ("ada", "bo")
    assert (on_duty(every_week, moment(then) - timedelta(microseconds=1)), on_duty(every_week, moment(then))) == ("ada", "bo")


def test_a_skipped_day_has_no_turn_of_its_own() -> None:
    """Samoa had no 30 December 2011: a hand-over of that day and that of the next are one moment, and nobody is lost."""
    samoa = rotation(every="day", at="00:00", timezone="Pacific/Apia", starts="2011-12-29")
    found = [story(each) for each in handovers(samoa, moment("2011-12-29T00:00"), moment("2012-01-01T10:00"))]
    assert found == [("12-29 10:00", None, "ada"), ("12-30 10:00", "ada", "cy"), ("12-31 10:00", "cy", "ada")]


def test_overrides_come_first_and_both_ends_are_hand_overs() -> None:
    """One across a hand-over of the rotation, which nobody notices."""
    covered = rotation(overrides=[override("2026-11-08T12:00", "2026-11-10T12:00", "cy")])
    assert on_duty(covered, moment("2026-11-08T11:59", BERLIN)) == "ada"
    assert on_duty(covered, moment("2026-11-08T12:00", BERLIN)) == "cy"
    assert on_duty(covered, moment("2026-11-10T11:59", BERLIN)) == "cy"
    assert on_duty(covered, moment("2026-11-10T12:00", BERLIN)) == "bo"
    found = [story(each) for each in handovers(covered, moment("2026-11-03T00:00"), moment("2026-11-17T00:00"))]
    assert found == [("11-08 11:00", "ada", "cy"), ("11-10 11:00", "cy", "bo"), ("11-16 08:00", "bo", "cy")]


def test_an_override_by_whoever_is_on_duty_anyway_changes_nobody() -> None:
    """It reaches into the next week, so the hand-over is later."""
    longer = rotation(overrides=[override("2026-11-05T12:00", "2026-11-10T12:00", "ada")])
    assert story(next_handover(longer, moment("2026-11-03T00:00"))) == ("11-10 11:00", "ada", "bo")


def test_of_overlapping_overrides_the_last_one_holds() -> None:
    """`muster check` refuses such a file; whoever builds one by hand gets one answer."""
    both = rotation(
        overrides=[override("2026-11-03T00:00", "2026-11-05T00:00", "bo"), override("2026-11-04T00:00", "2026-11-06T00:00", "cy")]
    )
    found = [story(each) for each in handovers(both, moment("2026-11-02T10:00"), moment("2026-11-07T00:00"))]
    assert found == [("11-02 23:00", "ada", "bo"), ("11-03 23:00", "bo", "cy"), ("11-05 23:00", "cy", "ada")]


def test_an_override_may_begin_and_end_in_the_night_that_changes_the_clock() -> None:
    """From a time that is skipped until one that comes twice."""
    winter = rotation(members=["ada"], starts="2026-01-05", overrides=[override("2026-03-29T02:30", "2026-10-25T02:30", "cy")])
    found = [story(each) for each in handovers(winter, moment("2026-03-01T00:00"), moment("2026-12-01T00:00"))]
    assert found == [("03-29 01:00", "ada", "cy"), ("10-25 00:30", "cy", "ada")]


def test_who_is_alone_hands_over_to_nobody() -> None:
    """Only the beginning is a change; with one name twice it is the same."""
    for members in (["ada"], ["ada", "ada"]):
        alone = rotation(members=members)
        assert story(next_handover(alone, moment("2026-01-01T00:00"))) == ("11-02 08:00", None, "ada")
        assert next_handover(alone, moment("2026-11-02T08:00")) is None
    covered = rotation(members=["ada"], overrides=[override("2026-11-03T00:00", "2026-11-04T00:00", "bo")])
    found = [story(each) for each in handovers(covered, moment("2026-11-02T10:00"), moment("2036-01-01T00:00"))]
    assert found == [("11-02 23:00", "ada", "bo"), ("11-03 23:00", "bo", "ada")]


def test_two_turns_of_one_person_are_one_duty() -> None:
    """ada, ada, bo: two weeks, then one."""
    uneven = rotation(members=["ada", "ada", "bo"])
    found = [story(each) for each in handovers(uneven, moment("2026-11-02T08:00"), moment("2026-12-01T00:00"))]
    assert found == [("11-02 08:00", None, "ada"), ("11-16 08:00", "ada", "bo"), ("11-23 08:00", "bo", "ada")]


def test_a_rotation_of_pagerduty_changes_only_by_overrides() -> None:
    """Everything else is asked."""
    assert next_handover(asked(), moment("2026-11-02T08:00")) is None
    assert hole_until(asked(), moment("2026-11-02T08:00")) is None
    covered = asked(overrides=[override("2026-11-03T00:00", "2026-11-04T00:00", "bo")])
    found = [story(each) for each in handovers(covered, moment("2026-11-02T10:00"), moment("2027-01-01T00:00"))]
    assert found == [("11-02 23:00", None, "bo"), ("11-03 23:00", "bo", None)]


def test_the_range_of_hand_overs_has_its_start_and_not_its_end() -> None:
    """So that two ranges that meet have each hand-over once."""
    first, second = moment("2026-11-09T09:00", BERLIN), moment("2026-11-16T09:00", BERLIN)
    assert [each.at for each in handovers(rotation(), first, second)] == [first]
    assert list(handovers(rotation(), first, first)) == []


def test_a_rotation_that_has_not_started_is_a_hole() -> None:
    """Until its first hand-over, to the moment."""
    first = moment("2026-11-02T09:00", BERLIN)
    assert hole_until(rotation(), first - timedelta(microseconds=1)) == first
    assert hole_until(rotation(), first) is None


LOCAL = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1))  # noqa: DTZ001 - a wall clock
MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def overrides(draw: st.DrawFn) -> dict[str, Any]:
    """From a minute to a month."""
    begin = draw(LOCAL).replace(second=0, microsecond=0)
    end = begin + timedelta(minutes=draw(st.integers(1, 31 * 24 * 60)))
    return override(begin.isoformat()[:16], end.isoformat()[:16], draw(st.sampled_from(["ada", "bo", "dee"])))


ROTATIONS = st.builds(
    rotation,
    members=st.lists(st.sampled_from(["ada", "bo", "cy"]), min_size=1, max_size=4),
    every=st.sampled_from(["day", "week"]),
    on=st.sampled_from(list(Weekday)),
    at=st.times().map(lambda at: f"{at:%H:%M}"),
    timezone=st.sampled_from(ZONES),
    starts=st.dates(min_value=date(2020, 1, 1), max_value=date(2030, 1, 1)).map(date.isoformat),
    overrides=st.lists(overrides(), max_size=3),
)


@given(which=ROTATIONS, at=MOMENTS)
@settings(max_examples=300, deadline=None)
def test_from_the_start_on_there_is_always_exactly_one(which: Rotation, at: datetime) -> None:
    """A member or somebody of an override; before the start nobody but by an override."""
    person = on_duty(which, at)
    if hole_until(which, at) is None:
        assert person in {*which.members, *(each.contact for each in which.overrides)}
    else:
        assert person in {None, *(each.contact for each in which.overrides)}


@given(which=ROTATIONS, start=MOMENTS)
@settings(max_examples=200, deadline=None)
def test_hand_overs_are_contiguous(which: Rotation, start: datetime) -> None:
    """Whoever comes is who goes next; in between nobody changes; each is a real change."""
    found = list(itertools.islice(handovers(which, start, start + timedelta(days=60)), 30))
    for each in found:
        assert each.outgoing != each.incoming
        assert on_duty(which, each.at) == each.incoming
        assert on_duty(which, each.at - timedelta(microseconds=1)) == each.outgoing
    for one, next_one in itertools.pairwise(found):
        assert one.at < next_one.at
        assert one.incoming == next_one.outgoing
        assert on_duty(which, one.at + (next_one.at - one.at) / 2) == one.incoming


@given(which=ROTATIONS, start=MOMENTS, hours=st.integers(0, 24 * 40))
@settings(max_examples=200, deadline=None)
def test_nobody_changes_without_a_hand_over(which: Rotation, start: datetime, hours: int) -> None:
    """Any two moments: the same person, or a hand-over between them."""
    end = start + timedelta(hours=hours)
    found = list(handovers(which, start + timedelta(microseconds=1), end + timedelta(microseconds=1)))
    assert on_duty(which, end) == (found[-1].incoming if found else on_duty(which, start))


@given(which=ROTATIONS, start=MOMENTS)
@settings(max_examples=200, deadline=None)
def test_turns_change_at_their_wall_clock_time(which: Rotation, start: datetime) -> None:
    """Except in the nights that change the clock, where the time may be skipped."""
    zone = ZoneInfo(which.timezone)
    bare = which.model_copy(update={"overrides": ()})
    for each in itertools.islice(handovers(bare, start, start + timedelta(days=400)), 60):
        local = each.at.astimezone(zone)
        if local.time() != time.fromisoformat(which.at):
            assert local.utcoffset() != (each.at - timedelta(seconds=1)).astimezone(zone).utcoffset()
        assert local.fold == 0


def cover(begin: str, end: str, user_id: str, rotation_id: str = "primary") -> Cover:
    """Somebody took over."""
    return Cover(rotation=rotation_id, user_id=user_id, from_at=moment(begin), until_at=moment(end), by="U0BOSS")


def test_of_covers_the_newest_that_holds_wins() -> None:
    """For its rotation, from its beginning until just before its end."""
    covers = [
        cover("2026-11-03T00:00", "2026-11-05T00:00", "U1"),
        cover("2026-11-04T00:00", "2026-11-04T12:00", "U2"),
        cover("2026-11-04T00:00", "2026-11-06T00:00", "U3", "secondary"),
    ]

    def who(at: str, rotation_id: str = "primary") -> str | None:
        found = covered_by(covers, rotation_id, moment(at))
        return found.user_id if found else None

    assert [who("2026-11-02T23:59"), who("2026-11-03T00:00"), who("2026-11-04T00:00")] == [None, "U1", "U2"]
    assert [who("2026-11-04T12:00"), who("2026-11-05T00:00")] == ["U1", None]
    assert who("2026-11-05T00:00", "secondary") == "U3"
    assert covered_by([], "primary", moment("2026-11-03T00:00")) is None


def test_a_cover_has_a_length_and_a_zone_and_round_trips() -> None:
    """It is kept in the store."""
    good = cover("2026-11-03T00:00", "2026-11-05T00:00", "U1")
    assert Cover.model_validate_json(good.model_dump_json()) == good
    with pytest.raises(ValidationError, match="ends before it begins"):
        cover("2026-11-05T00:00", "2026-11-05T00:00", "U1")
    with pytest.raises(ValidationError):
        Cover.model_validate(good.model_dump() | {"from_at": "2026-11-03T00:00"})


def hours(begin: str = "09:00", end: str = "17:00", zone: str = BERLIN, **changes: Any) -> BusinessHours:
    """Monday to Friday."""
    return BusinessHours.model_validate({"from": begin, "to": end, "timezone": zone} | changes)


IN_TIME: list[tuple[str, bool, str]] = [
    # the wall clock in Berlin; 2 November 2026 is a Monday
    ("2026-11-02T08:59:59", False, "2026-11-02T09:00"),
    ("2026-11-02T09:00", True, "2026-11-02T09:00"),
    ("2026-11-02T16:59:59", True, "2026-11-02T16:59:59"),
    ("2026-11-02T17:00", False, "2026-11-03T09:00"),
    ("2026-11-06T17:00", False, "2026-11-09T09:00"),
    ("2026-11-07T12:00", False, "2026-11-09T09:00"),
    ("2026-11-08T23:59", False, "2026-11-09T09:00"),
]


@pytest.mark.parametrize(("at", "working", "begins"), IN_TIME)
def test_working_time_and_the_next_of_it(at: str, working: bool, begins: str) -> None:
    """The first moment belongs to it, the last does not."""
    assert is_business_time(hours(), moment(at, BERLIN)) is working
    assert business_start(hours(), moment(at, BERLIN)) == moment(begins, BERLIN)


ADDED: list[tuple[BusinessHours, str, float, str]] = [
    (hours(), "2026-11-02T10:00", 0, "2026-11-02T10:00"),
    (hours(), "2026-11-01T10:00", 0, "2026-11-02T09:00"),
    (hours(), "2026-11-02T16:45", 900, "2026-11-03T09:00"),
    (hours(), "2026-11-02T16:45", 1800, "2026-11-03T09:15"),
    (hours(), "2026-11-06T16:00", 2 * 3600, "2026-11-09T10:00"),
    (hours(), "2026-11-02T09:00", 8 * 3600, "2026-11-03T09:00"),
    (hours(), "2026-11-02T09:00", 40 * 3600, "2026-11-09T09:00"),
    (hours(days=["sunday"]), "2026-11-02T12:00", 3600, "2026-11-08T10:00"),
    # a night shift over both changes of the clock: an hour is missing, an hour is there twice
    (hours("01:00", "05:00", days=["sunday"]), "2026-03-29T01:00", 2 * 3600, "2026-03-29T04:00"),
    (hours("01:00", "05:00", days=["sunday"]), "2026-03-29T01:00", 3 * 3600, "2026-04-05T01:00"),
    (hours("01:00", "05:00", days=["sunday"]), "2026-10-25T01:00", 3 * 3600, "2026-10-25T03:00"),
    (hours("01:00", "05:00", days=["sunday"]), "2026-10-25T01:00", 4.5 * 3600, "2026-10-25T04:30"),
    # working days over the weekend of the change
    (hours(), "2026-03-27T16:00", 3600 + 60, "2026-03-30T09:01"),
    (hours(), "2026-10-23T16:00", 3600 + 60, "2026-10-26T09:01"),
]


@pytest.mark.parametrize(("which", "start", "seconds", "then"), ADDED)
def test_working_time_is_counted(which: BusinessHours, start: str, seconds: float, then: str) -> None:
    """Only what passes while somebody works; what ends with the day is due the next morning."""
    assert add_business_time(which, moment(start, BERLIN), seconds) == moment(then, BERLIN)


def test_a_working_day_that_the_night_swallows_is_none() -> None:
    """From 02:00 to 03:00 does not exist in that night in Berlin: the next week has it."""
    night = hours("02:00", "03:00", days=["sunday"])
    assert business_start(night, moment("2026-03-29T00:00", BERLIN)) == moment("2026-04-05T02:00", BERLIN)


def test_a_zone_a_quarter_of_an_hour_off() -> None:
    """Nine in Kathmandu is 03:15 UTC."""
    assert business_start(hours(zone=KATHMANDU), moment("2026-11-02T00:00")) == moment("2026-11-02T03:15")


def test_a_year_of_working_time_at_an_hour_a_week_is_found() -> None:
    """The longest duration that a file may hold, in the shortest working week."""
    least = hours("09:00", "10:00", days=["monday"])
    assert add_business_time(least, moment("2026-11-02T09:00", BERLIN), 366 * 24 * 3600).year == 2195


HOURS = st.builds(
    lambda days, begin, length, zone: hours(f"{begin:02}:30", f"{begin + length:02}:30", zone, days=days),
    days=st.lists(st.sampled_from(list(Weekday)), min_size=1, unique=True),
    begin=st.integers(0, 20),
    length=st.integers(1, 3),
    zone=st.sampled_from(ZONES),
)


@given(which=HOURS, start=MOMENTS, first=st.integers(0, 100_000), second=st.integers(0, 100_000))
@settings(max_examples=200, deadline=None)
def test_working_time_adds_up(which: BusinessHours, start: datetime, first: int, second: int) -> None:
    """Two waits are as long as their sum, never shorter than on the clock, and end while somebody works."""
    once = add_business_time(which, start, first)
    assert add_business_time(which, once, second) == add_business_time(which, start, first + second)
    assert is_business_time(which, once)
    assert once >= start + timedelta(seconds=first)
    assert business_start(which, once) == once
