"""Whom to wake and when: contacts, escalation policies, and what a runbook changes about them.

Filled from `runbooks/contacts.yml` and from the `escalation` of a runbook. What does not belong: the ladder of a
running incident (`bot.domain.decisions.paging`) and how a contact is reached (`bot.notify`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bot.domain.durations import DurationS, format_duration
from bot.domain.errors import ConfigError
from bot.domain.scalars import TITLE_MAX_CHARS, Id, Text, Title, WebUrl, WholeNumber

DEFAULT_POLICY = "default"
SLACK_NAME_PATTERN = r"^(@[a-z0-9][a-z0-9._-]{0,79}|[UW][A-Z0-9]{2,30})$"
PHONE_PATTERN = r"^\+[1-9][0-9 ().-]{5,24}$"
EMAIL_PATTERN = r"^[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+$"

_CONFIG = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, use_attribute_docstrings=True)

SlackName = Annotated[str, StringConstraints(pattern=SLACK_NAME_PATTERN)]
LevelTitle = Annotated[str, StringConstraints(max_length=TITLE_MAX_CHARS)]
Phone = Annotated[str, StringConstraints(pattern=PHONE_PATTERN)]
Email = Annotated[str, StringConstraints(pattern=EMAIL_PATTERN, max_length=254)]


class Contact(BaseModel):
    """Somebody of ours who can be paged: a role, or a person.

    ``slack`` is a member id ("U…") or a handle ("@oncall": a person or a user group), ``phone`` in international form.
    """

    model_config = _CONFIG

    id: Id
    name: Title
    slack: SlackName | None = None
    phone: Phone | None = None
    email: Email | None = None

    @property
    def is_reachable(self) -> bool:
        """There is at least one way to reach them."""
        return bool(self.slack or self.phone or self.email)


class ExternalContact(BaseModel):
    """Somebody outside (a vendor's support) whom a responder may turn to. Never paged."""

    model_config = _CONFIG

    id: Id
    name: Title
    url: WebUrl | None = None
    email: Email | None = None
    note: Text | None = None


class Level(BaseModel):
    """One rung of the ladder: these contacts are notified after a while, unless somebody was faster."""

    model_config = _CONFIG

    level: WholeNumber = Field(default=0, ge=0, le=20)
    """Its number, 1-based. Left out (0): its place in the list; in a runbook, that of the inherited level with the same
    `after`, or a new one."""
    title: LevelTitle = ""
    """What people read; left out, it is made of the number and the time."""
    after_s: DurationS = Field(alias="after")
    """How long after the opening, for example 15m."""
    until: Literal["acknowledged", "resolved"] = "acknowledged"
    """What stops it."""
    notify: tuple[Id, ...] = Field(min_length=1)
    """The ids of our contacts."""


class EscalationPolicy(BaseModel):
    """A ladder. Its levels are in order of time and numbered from 1 where ``resolve_policy`` made it."""

    model_config = _CONFIG

    id: Id
    levels: tuple[Level, ...]


class RunbookEscalation(BaseModel):
    """What a runbook changes: a level here replaces the inherited one with the same number (or time), or is added."""

    model_config = _CONFIG

    inherit: Id = DEFAULT_POLICY
    levels: tuple[Level, ...] = ()


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
    return EscalationPolicy(id=base.id, levels=tuple(_numbered(i, level) for i, (_, level) in enumerate(ordered, 1)))


def _place(levels: Mapping[int, Level], level: Level) -> int:
    if level.level:
        same = (position for position, known in levels.items() if (known.level or position) == level.level)
    else:
        same = (position for position, known in levels.items() if known.after_s == level.after_s)
    return next(same, max(levels, default=0) + 1)


def _numbered(number: int, level: Level) -> Level:
    after = "at once" if level.after_s == 0 else f"after {format_duration(level.after_s)}"
    return level.model_copy(update={"level": number, "title": level.title or f"Level {number}, {after}"})
