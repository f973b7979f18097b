"""Who is on duty, and when people work: pure arithmetic of wall-clock time over rotations, overrides and business hours.

Called by whatever decides whom to page and when, and by the views of a rotation. Every moment that goes in or comes out is aware;
what comes out is UTC. What does not belong: rotations whose answer PagerDuty has (`Rotation.pagerduty`; here nobody is on
duty in them), and how somebody is reached.

A hand-over stays at its wall-clock time over both daylight saving nights. One at a time that the spring night skips happens
at the first moment after the gap, one at a time that the autumn night has twice at the first of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator

from bot.domain.escalation import BusinessHours, DutyOverride, Rotation, Weekday
from bot.domain.scalars import Id


class Cover(BaseModel):
    """Somebody took over for a while by their own word in Slack: ``user_id`` instead of whoever the rotation says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation: Id
    user_id: str
    """Of Slack."""
    from_at: AwareDatetime
    until_at: AwareDatetime
    """The first moment that is no longer covered."""
    by: str
    """The Slack id of who said so."""

    @model_validator(mode="after")
    def _has_length(self) -> Cover:
        if self.from_at >= self.until_at:
            raise ValueError("ends before it begins")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """At ``at`` the duty passes from one contact to another one. None: nobody (the rotation has not started), or whoever
    PagerDuty says."""

    at: datetime
    outgoing: str | None
    incoming: str | None


def on_duty(rotation: Rotation, at: datetime) -> str | None:
    """The id of the contact on duty: by an override, else whose turn it is. Of overrides that overlap the last one holds.

    None: nobody, since the rotation has not started; or nobody here can say, since PagerDuty is asked.
    """
    override = _override(rotation, at)
    if override is not None:
        return override.contact
    turn = _turn(rotation, at)
    return None if turn is None else rotation.members[turn % len(rotation.members)]


def next_handover(rotation: Rotation, after: datetime) -> Handover | None:
    """The first change of the person on duty that is later than ``after``; None when nobody changes any more."""
    outgoing = on_duty(rotation, after)
    edge = _next_edge(rotation, after)
    while edge is not None:
        incoming = on_duty(rotation, edge)
        if incoming != outgoing:
            return Handover(at=edge, outgoing=outgoing, incoming=incoming)
        edge = _next_edge(rotation, edge)
    return None


def handovers(rotation: Rotation, start: datetime, end: datetime) -> Iterator[Handover]:
    """Every change of the person on duty with start <= at < end, in order."""
    found = next_handover(rotation, start.astimezone(UTC) - timedelta(microseconds=1))
    while found is not None and found.at < end:
        yield found
        found = next_handover(rotation, found.at)


def hole_until(rotation: Rotation, at: datetime) -> datetime | None:
    """When the first turn begins, if that is later than ``at``; None: it has begun, or PagerDuty is asked."""
    first = _turn_start(rotation, 0) if rotation.members else None
    return first if first is not None and first > at else None


def override_span(rotation: Rotation, override: DutyOverride) -> tuple[datetime, datetime]:
    """From when until when (exclusive) an override of the rotation holds."""
    return _instant(override.from_, rotation.timezone), _instant(override.to, rotation.timezone)


def covered_by(covers: Iterable[Cover], rotation_id: str, at: datetime) -> Cover | None:
    """The cover that holds at ``at``: of several the newest, which is the last of ``covers``."""
    holding = [cover for cover in covers if cover.rotation == rotation_id and cover.from_at <= at < cover.until_at]
    return holding[-1] if holding else None


def is_business_time(hours: BusinessHours, at: datetime) -> bool:
    """``at`` is in working time; the time `to` is not any more."""
    begin, _ = next(_spans(hours, at))
    return begin <= at


def business_start(hours: BusinessHours, at: datetime) -> datetime:
    """The first working moment that is not before ``at``."""
    begin, _ = next(_spans(hours, at))
    return max(begin, at).astimezone(UTC)


def add_business_time(hours: BusinessHours, start: datetime, seconds: float) -> datetime:
    """The first working moment by which ``seconds`` of working time have passed since ``start``.

    It is always in working time: what ends with the day is due on the next morning, when somebody is there. With 0 it is
    ``business_start``, and two additions give what their sum gives.
    """
    rest = timedelta(seconds=seconds)
    spans = _spans(hours, start)
    while True:
        begin, end = next(spans)
        begin = max(begin, start.astimezone(UTC))
        if begin + rest < end:
            return begin + rest
        rest -= end - begin


def _override(rotation: Rotation, at: datetime) -> DutyOverride | None:
    for override in reversed(rotation.overrides):
        begin, end = override_span(rotation, override)
        if begin <= at < end:
            return override
    return None


def _next_edge(rotation: Rotation, at: datetime) -> datetime | None:
    """The next moment after ``at`` when the person may change: an override begins or ends, or a turn does, which nobody
    notices while an override holds."""
    edges = {edge for override in rotation.overrides for edge in override_span(rotation, override) if edge > at}
    if rotation.members and _override(rotation, at) is None:
        turn = _turn(rotation, at)
        if turn is None:
            edges.add(_turn_start(rotation, 0))
        elif len(set(rotation.members)) > 1:
            edges.add(_turn_start(rotation, turn + 1))
    return min(edges, default=None)


def _turn(rotation: Rotation, at: datetime) -> int | None:
    """The number of the turn, 0-based, that ``at`` is in; None before the first."""
    if not rotation.members or _turn_start(rotation, 0) > at:
        return None
    days = (at.astimezone(ZoneInfo(rotation.timezone)).date() - _turn_day(rotation, 0)).days
    turn = max(0, days if rotation.every == "day" else days // 7)
    while _turn_start(rotation, turn) > at:  # the day of a hand-over, before its time
        turn -= 1
    while _turn_start(rotation, turn + 1) <= at:
        turn += 1
    return turn


def _turn_start(rotation: Rotation, turn: int) -> datetime:
    return _instant(datetime.combine(_turn_day(rotation, turn), time.fromisoformat(rotation.at)), rotation.timezone)


def _turn_day(rotation: Rotation, turn: int) -> date:
    """The first turn of a weekly rotation is shorter when it does not start on the day of the hand-over."""
    first = date.fromisoformat(rotation.starts or "")
    if turn == 0 or rotation.every == "day":
        return first + timedelta(days=turn)
    until_handover = (list(Weekday).index(rotation.on) - first.weekday() - 1) % 7 + 1
    return first + timedelta(days=until_handover, weeks=turn - 1)


def _spans(hours: BusinessHours, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The working times that are not over at ``at``, in order, without end."""
    weekdays = {list(Weekday).index(day) for day in hours.days}
    begin_time, end_time = time.fromisoformat(hours.from_), time.fromisoformat(hours.to)
    day = at.astimezone(ZoneInfo(hours.timezone)).date() - timedelta(days=1)
    while True:
        if day.weekday() in weekdays:
            begin = _instant(datetime.combine(day, begin_time), hours.timezone)
            end = _instant(datetime.combine(day, end_time), hours.timezone)
            if begin < end and at < end:
                yield begin, end
        day += timedelta(days=1)


def _instant(local: datetime, zone_name: str) -> datetime:
    """The moment, in UTC, of a wall-clock time: of one that comes twice the first, of one that is skipped the end of the gap."""
    zone = ZoneInfo(zone_name)
    moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)  # in a gap, fold 1 is read with the offset of after it
    low, high = 0, int((moment - before).total_seconds())
    old = before.astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)
