"""How bad it is: the four severities and what each promises. Filled from `runbooks/severities.yml`."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bot.domain.durations import DurationS
from bot.domain.escalation import Way
from bot.domain.scalars import Id, Text, Title


class Severity(StrEnum):
    """SEV1 is the worst. Compare by ``is_worse_than``, never by the text."""

    SEV1 = "SEV1"
    SEV2 = "SEV2"
    SEV3 = "SEV3"
    SEV4 = "SEV4"

    def is_worse_than(self, other: Severity) -> bool:
        """True when this one is more urgent than ``other``."""
        order = list(Severity)
        return order.index(self) < order.index(other)


Paging = Literal["at_once", "business_hours", "never"]
"""When the ladder runs: from the opening, in business hours only, not at all (it is a ticket)."""


class SeverityPolicy(BaseModel):
    """What a severity means and promises.

    ``criteria`` say when it applies, ``response`` what is done; ``respond_within_s`` is the time from the opening until
    somebody acknowledged, ``resolve_within_s`` until it is resolved (`respond_within: 15m` in the file).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    title: Title
    criteria: tuple[Text, ...] = Field(min_length=1)
    response: tuple[Text, ...] = Field(min_length=1)
    respond_within_s: DurationS = Field(alias="respond_within")
    resolve_within_s: DurationS = Field(alias="resolve_within")
    page: Paging = "at_once"
    via: tuple[Way, ...] = ()
    """The ways that are tried first for this severity, before those of the level. SEV3 rings no phone."""
    invite: tuple[Id, ...] = ()
    """Contacts and teams who come into the room at once."""
    standby: tuple[Id, ...] = ()
    """Who is told to be ready, and need not do anything yet."""
    notify: tuple[Id, ...] = ()
    """Who is told that it happens, and need not do anything."""
    check_in_after_s: DurationS | None = Field(default=None, alias="check_in_after")
    """Whoever acknowledged is asked "still on it?" after so long without progress. Unset: never."""
    check_in_wait_s: DurationS = Field(default=600, alias="check_in_wait")
    """Silence for so long means that nobody has it: the ladder goes on."""
