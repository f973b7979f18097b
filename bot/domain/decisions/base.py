"""What every decision takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.domain.catalog import Catalog
from bot.domain.errors import UserError
from bot.domain.facts import Fact, LadderLevel, Status
from bot.domain.incident import Incident
from bot.domain.tasks import TaskRequest, level_task, page_task


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who asks, when (Redis's clock), and what the files say at that moment."""

    by: str
    now: datetime
    catalog: Catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be written, all of it or nothing.

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


def ladder_tasks(incident_id: str, ladder: tuple[LadderLevel, ...], generation: int, start: datetime) -> list[TaskRequest]:
    """A task for each level, counted from ``start``."""
    from_start = start.timestamp()
    return [
        level_task(incident_id, level.level, generation, datetime.fromtimestamp(from_start + level.after_s, start.tzinfo))
        for level in ladder
    ]


def ladder_task_ids(incident: Incident, *, until: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of every level and page task of the running ladder whose level is stopped by one of ``until``."""
    ids: list[str] = []
    for level in incident.ladder:
        if level.until not in until:
            continue
        ids.append(level_task(incident.id, level.level, incident.generation, incident.opened.at).id)
        ids.extend(
            page_task(incident.id, level.level, contact.id, incident.generation, incident.opened.at).id
            for contact in level.contacts
        )
    return tuple(ids)


def open_key(runbook_ids: tuple[str, ...]) -> str | None:
    """The unique key that holds a second incident of the same runbook off; None where nothing is known to be the same."""
    return "open:" + "+".join(runbook_ids) if runbook_ids else None


def require_going_on(incident: Incident) -> None:
    """Raises: UserError when the incident is over."""
    if incident.status is Status.FALSE_POSITIVE:
        raise UserError("This was recorded as not an incident; nothing can be changed here any more.")
    if incident.is_over:
        raise UserError(f"This incident is {incident.status.value}; reopen it first to change anything.")
