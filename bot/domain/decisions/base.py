"""What every decision takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.domain.catalog import Catalog
from bot.domain.errors import UserError
from bot.domain.facts import Fact, Status
from bot.domain.incident import Incident
from bot.domain.tasks import TaskRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who asks, when (Redis's clock), and what the files say at that moment."""

    by: str
    now: datetime
    catalog: Catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be written, all of it or nothing. What waits for its time follows from the state (``bot.domain.timers``).

    ``cancel`` takes tasks out of the due set for good. ``claims`` are unique keys that this incident takes (another one
    holding one refuses the whole decision), ``releases`` those it gives up, ``number`` is its own. ``channel_id`` makes the
    incident findable by its room.
    """

    facts: tuple[Fact, ...] = ()
    tasks: tuple[TaskRequest, ...] = ()
    cancel: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    number: int | None = None
    channel_id: str | None = None


def open_key(runbook_ids: tuple[str, ...]) -> str | None:
    """The unique key that holds a second incident of the same runbook off; None where nothing is known to be the same."""
    return "open:" + "+".join(runbook_ids) if runbook_ids else None


def require_going_on(incident: Incident) -> None:
    """Raises: UserError when the incident is over."""
    if incident.status is Status.FALSE_POSITIVE:
        raise UserError("This was recorded as not an incident; nothing can be changed here any more.")
    if incident.is_over:
        raise UserError(f"This incident is {incident.status.value}; reopen it first to change anything.")
