"""Whom to wake and when: contacts, escalation policies, and what a runbook changes about them.

Filled from `runbooks/contacts.yml` and from the `escalation` of a runbook. What does not belong: the ladder of a
running incident (`bot.domain.decisions.paging`) and how a contact is reached (`bot.notify`).
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from datetime import date, datetime, time
from enum import StrEnum
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from bot.domain.durations import DurationS, format_duration
from bot.domain.errors import ConfigError
from bot.domain.scalars import TITLE_MAX_CHARS, Flag, Id, Text, Title, WebUrl, WholeNumber
from bot.domain.text import closest

DEFAULT_POLICY = "default"
SLACK_NAME_PATTERN = r"^(@[a-z0-9][a-z0-9._-]{0,79}|[UW][A-Z0-9]{2,30}|[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+)$"
PHONE_PATTERN = r"^\+[1-9][0-9 ().-]{5,24}$"
EMAIL_PATTERN = r"^[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+$"
FIRST_YEAR, LAST_YEAR = 2000, 2199
"""What lies outside is a slip of the pen, and beyond the calendar there is no arithmetic."""
BUSINESS_DAY_MIN_S = 3600

_CONFIG = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, use_attribute_docstrings=True)


def _known_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = closest(name, zoneinfo.available_timezones())
        remedy = f"did you mean “{near}”?" if near else "write one of the tz database, for example Europe/Berlin"
        raise ValueError(f"is no time zone: {name}; {remedy}") from error
    return name


def _time_of_day(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError(f"is no time of day: {value}; write hours and minutes, 00:00 to 23:59, for example 09:00")
    return value


def _day(value: object) -> object:
    if isinstance(value, str):
        try:
            found = date.fromisoformat(value) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) else None
        except ValueError:
            found = None
        if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
            raise ValueError(f"is no day: {value}; write year-month-day, for example 2026-11-02")
    return value


def _local_moment(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is None:
        return value
    text = value if isinstance(value, str) else ""
    try:
        shaped = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:00)?", text)
        found = datetime.fromisoformat(text) if shaped else None
    except ValueError:
        found = None
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"is not a local time: {value}; write 2026-12-24T09:00, without a zone: the rotation has one")
    return found


def _no_placeholder(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\+?[0-9 ().-]*[xX#?_…][0-9xX#?_… ().-]*", value):
        raise ValueError(f"is a placeholder and no number: {value}; write the real number, or delete the line until you know it")
    return value


def _pagerduty_id(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[A-Z0-9]{4,20}", value):
        raise ValueError(f"is no id of PagerDuty: {value}; take it from the address of its page, for example P1A2B3C")
    return value


SlackName = Annotated[str, StringConstraints(pattern=SLACK_NAME_PATTERN)]
LevelTitle = Annotated[str, StringConstraints(max_length=TITLE_MAX_CHARS)]
Phone = Annotated[str, BeforeValidator(_no_placeholder), StringConstraints(pattern=PHONE_PATTERN)]
Email = Annotated[str, StringConstraints(pattern=EMAIL_PATTERN, max_length=254)]
TimeZone = Annotated[str, StringConstraints(max_length=60), AfterValidator(_known_zone)]
"""A name of the tz database; daylight saving comes with it."""
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]
"""24 hours, "09:00"; wall-clock time of the zone that stands beside it."""
Day = Annotated[str, BeforeValidator(_day)]
"""A day of the calendar, "2026-11-02"."""
LocalMoment = Annotated[datetime, BeforeValidator(_local_moment)]
"""Wall-clock time without a zone, "2026-12-24T09:00"."""
PagerDutyId = Annotated[str, BeforeValidator(_pagerduty_id)]


class Way(StrEnum):
    """How somebody is reached; ``bot.notify`` and ``bot.slack.pages`` do it."""

    SLACK = "slack"
    PAGERDUTY = "pagerduty"
    PHONE = "phone"
    SMS = "sms"
    EMAIL = "email"


class Weekday(StrEnum):
    """In the order of ``datetime.weekday()``."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class BusinessHours(BaseModel):
    """When somebody works: on these days, from one time of day until another one, in their own time zone."""

    model_config = _CONFIG

    days: tuple[Weekday, ...] = (Weekday.MONDAY, Weekday.TUESDAY, Weekday.WEDNESDAY, Weekday.THURSDAY, Weekday.FRIDAY)
    from_: TimeOfDay = Field(default="09:00", alias="from")
    to: TimeOfDay = "17:00"
    timezone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _has_length(self) -> BusinessHours:
        if not self.days or self.from_ >= self.to:
            raise ValueError("is empty; give days, and a time `to` that is later than `from`")
        begin, end = time.fromisoformat(self.from_), time.fromisoformat(self.to)
        if (end.hour - begin.hour) * 3600 + (end.minute - begin.minute) * 60 < BUSINESS_DAY_MIN_S:
            raise ValueError("is shorter than an hour a day; give a longer working day")
        return self


class Contact(BaseModel):
    """Somebody of ours who can be paged: a role, or a person.

    ``slack`` is a member id ("U…"), a handle ("@oncall": a person or a user group) or the e-mail address to look up in Slack,
    ``phone`` in international form.
    """

    model_config = _CONFIG

    id: Id
    name: Title
    slack: SlackName | None = None
    phone: Phone | None = None
    email: Email | None = None
    pagerduty: Flag = False
    """The PagerDuty service behind PAGERDUTY_ROUTING_KEY wakes them."""
    timezone: TimeZone | None = None
    hours: BusinessHours | None = None
    """Left out: those of the whole file."""
    via: tuple[Way, ...] = ()
    """How they would rather be reached, in this order; the ways that are not named come after these."""

    @property
    def ways(self) -> tuple[Way, ...]:
        """Every way that their data allow, in the order of their wishes."""
        given = {
            Way.SLACK: self.slack,
            Way.PAGERDUTY: self.pagerduty,
            Way.PHONE: self.phone,
            Way.SMS: self.phone,
            Way.EMAIL: self.email,
        }
        return tuple(way for way in dict.fromkeys((*self.via, *Way)) if given[way])

    @property
    def is_reachable(self) -> bool:
        """There is at least one way to reach them."""
        return bool(self.ways)


class Team(BaseModel):
    """Several people under one name: contacts, or whoever is in a user group of Slack ("@security"). With neither, `muster check`
    warns: nobody can be reached in it."""

    model_config = _CONFIG

    id: Id
    name: Title
    slack: SlackName | None = None
    members: tuple[Id, ...] = ()
    """The ids of contacts; with them, each is paged in their own way."""


class DutyOverride(BaseModel):
    """Somebody else is on duty for a while, in the wall-clock time of the rotation."""

    model_config = _CONFIG

    from_: LocalMoment = Field(alias="from")
    to: LocalMoment
    contact: Id

    @model_validator(mode="after")
    def _has_length(self) -> DutyOverride:
        if self.from_ >= self.to:
            raise ValueError("ends before it begins; give `to` a later time than `from`")
        return self


class PagerDutyOnCall(BaseModel):
    """Who is on call is asked of PagerDuty: of a schedule, or of a level of an escalation policy."""

    model_config = _CONFIG

    schedule: PagerDutyId | None = None
    escalation_policy: PagerDutyId | None = None
    level: WholeNumber = Field(default=1, ge=1, le=20)

    @model_validator(mode="after")
    def _is_one_thing(self) -> PagerDutyOnCall:
        if (self.schedule is None) == (self.escalation_policy is None):
            raise ValueError("wants either schedule or escalation_policy: the id in the address of its page in PagerDuty")
        return self


class Rotation(BaseModel):
    """Who is on duty when: its members take turns, or PagerDuty is asked."""

    model_config = _CONFIG

    id: Id
    name: Title
    members: tuple[Id, ...] = ()
    """Contacts, in the order of their turns."""
    every: Literal["day", "week"] = "week"
    on: Weekday = Weekday.MONDAY
    """The day of a weekly hand-over."""
    at: TimeOfDay = "09:00"
    """The time of the hand-over."""
    timezone: TimeZone = "UTC"
    starts: Day | None = None
    """The day on which the first member took, or takes, over, 2026-11-02. Before that nobody is on duty: a hole. On another
    day than that of the weekly hand-over, the first turn is shorter."""
    overrides: tuple[DutyOverride, ...] = ()
    """They hold in a rotation of PagerDuty as well."""
    pagerduty: PagerDutyOnCall | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Rotation:
        if bool(self.members) == bool(self.pagerduty):
            raise ValueError("wants either members, who take turns, or pagerduty, which is asked")
        if self.members and self.starts is None:
            raise ValueError("has members and no `starts`; write the day on which the first of them takes over")
        return self


class ExternalContact(BaseModel):
    """Somebody outside (a vendor's support) whom a responder may turn to. Never paged."""

    model_config = _CONFIG

    id: Id
    name: Title
    url: WebUrl | None = None
    email: Email | None = None
    phone: Phone | None = None
    note: Text | None = None


Until = Literal["acknowledged", "resolved"]


class Level(BaseModel):
    """One rung of the ladder: these are notified after a while, unless somebody was faster."""

    model_config = _CONFIG

    level: WholeNumber = Field(default=0, ge=0, le=20)
    """Its number, 1-based. Left out (0): its place in the list; in a runbook, that of the inherited level with the same
    `after`, or a new one."""
    title: LevelTitle = ""
    """What people read; left out, it is made of the number and the time."""
    after_s: DurationS = Field(alias="after")
    """How long after the opening, for example 15m."""
    until: Until = "acknowledged"
    """What stops it."""
    notify: tuple[Id, ...] = Field(min_length=1)
    """The ids of our contacts, teams and rotations."""
    via: tuple[Way, ...] = ()
    """The ways that are tried first, in this order; then those of the contact itself."""


class Trigger(StrEnum):
    """What a condition may be about. Each has a moment at which it became true."""

    NO_PROGRESS = "no_progress"
    """Nothing was done: no step, no status change, no update, no note."""
    OPEN = "open"
    """It is open."""
    SEV1 = "sev1"
    SEV2 = "sev2"
    SEV3 = "sev3"
    SEV4 = "sev4"
    SECURITY = "security"
    """Its runbook is about security."""
    CUSTOMER_IMPACT = "customer_impact"
    MEDIA_ATTENTION = "media_attention"
    BUSINESS_CRITICAL = "business_critical"
    RESPONSE_BREACHED = "response_breached"
    """Nobody acknowledged within the target of the severity."""
    RESOLUTION_BREACHED = "resolution_breached"
    """It was not resolved within the target of the severity."""


class Condition(BaseModel):
    """Somebody is notified when something has been true for a while, whatever the ladder does."""

    model_config = _CONFIG

    id: Id
    title: LevelTitle = ""
    """What people read; left out, it is made of `when` and `for`."""
    when: tuple[Trigger, ...] = Field(min_length=1)
    """One of these is enough."""
    for_s: DurationS = Field(default=0, alias="for")
    """For so long."""
    until: Until = "resolved"
    """What stops it."""
    notify: tuple[Id, ...] = Field(min_length=1)
    via: tuple[Way, ...] = ()


class EscalationPolicy(BaseModel):
    """A ladder and its conditions. Its levels are in order of time and numbered from 1 where ``resolve_policy`` made it."""

    model_config = _CONFIG

    id: Id
    levels: tuple[Level, ...]
    conditions: tuple[Condition, ...] = ()


class RunbookEscalation(BaseModel):
    """What a runbook changes: a level here replaces the inherited one with the same number (or time), or is added; a
    condition the inherited one with the same id."""

    model_config = _CONFIG

    inherit: Id = DEFAULT_POLICY
    levels: tuple[Level, ...] = ()
    conditions: tuple[Condition, ...] = ()


class HasPolicies(Protocol):
    """What of a catalog is needed here."""

    @property
    def policies(self) -> Mapping[str, EscalationPolicy]:
        """By id."""
        ...


class HasEscalation(Protocol):
    """What of a runbook is needed here."""

    @property
    def escalation(self) -> RunbookEscalation:
        """What it changes about the policy that it inherits."""
        ...


def resolve_policy(catalog: HasPolicies, runbook: HasEscalation | None) -> EscalationPolicy:
    """The ladder for ``runbook`` (None: the default one): levels in order of time, numbered from 1, each with a title.

    Raises: ConfigError when the inherited policy does not exist; the loader refuses such a file.
    """
    changes = runbook.escalation if runbook else RunbookEscalation()
    base = catalog.policies.get(changes.inherit)
    if base is None:
        raise ConfigError(
            f"there is no escalation policy “{changes.inherit}”; add it to contacts.yml, or name another in `inherit`"
        )
    levels = dict(enumerate(base.levels, start=1))
    for level in changes.levels:
        levels[_place(levels, level)] = level
    ordered = sorted(levels.items(), key=lambda item: (item[1].after_s, item[0]))
    conditions = {condition.id: condition for condition in (*base.conditions, *changes.conditions)}
    return EscalationPolicy(
        id=base.id,
        levels=tuple(_numbered(i, level) for i, (_, level) in enumerate(ordered, 1)),
        conditions=tuple(_titled(condition) for condition in conditions.values()),
    )


def _place(levels: Mapping[int, Level], level: Level) -> int:
    if level.level:
        same = (position for position, known in levels.items() if (known.level or position) == level.level)
    else:
        same = (position for position, known in levels.items() if known.after_s == level.after_s)
    return next(same, max(levels, default=0) + 1)


def _numbered(number: int, level: Level) -> Level:
    after = "at once" if level.after_s == 0 else f"after {format_duration(level.after_s)}"
    return level.model_copy(update={"level": number, "title": level.title or f"Level {number}, {after}"})


def _titled(condition: Condition) -> Condition:
    what = " or ".join(trigger.value.replace("_", " ").replace("sev", "SEV") for trigger in condition.when)
    lasting = f" for {format_duration(condition.for_s)}" if condition.for_s else ""
    return condition.model_copy(update={"title": condition.title or f"{what}{lasting}"})
