"""Tasks: work that must happen, now or later. One durable set holds them all (``bot.storage``); the worker performs them.

A task's id is deterministic, so asking twice is asking once. Ids are made here and nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue

NO_INCIDENT = "none"
"""Stands where a task belongs to no incident."""


class TaskKind(StrEnum):
    """What there is to do; ``bot.app`` binds each kind to the performer that does it."""

    ROOM = "room"
    """Make Slack look as the state says it should."""
    DIAGNOSE = "diagnose"
    LEVEL = "level"
    """An escalation level is due."""
    PAGE = "page"
    PREVIEW = "preview"
    RUN = "run"
    PROMPT = "prompt"
    """Ask, in a thread, whether something that somebody wrote is an incident. It belongs to none yet."""


class TaskRequest(BaseModel):
    """A task to be put into the due set.

    ``again`` False: an id that was ever asked for is not asked for again. True: a task that is done, or running, is due
    once more (the room: ten clicks become one ``chat.update``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: TaskKind
    incident_id: str
    due_at: datetime
    data: dict[str, JsonValue] = {}
    again: bool = False


def room_task(incident_id: str, due_at: datetime) -> TaskRequest:
    """Reconcile the room of an incident; ask as often as you like."""
    return TaskRequest(id=f"{incident_id}:room", kind=TaskKind.ROOM, incident_id=incident_id, due_at=due_at, again=True)


def diagnose_task(incident_id: str, diagnostic_id: str, round_number: int, due_at: datetime) -> TaskRequest:
    """Run one diagnostic of the round ``round_number`` (1-based)."""
    return TaskRequest(
        id=f"{incident_id}:diagnose:{round_number}:{diagnostic_id}",
        kind=TaskKind.DIAGNOSE,
        incident_id=incident_id,
        due_at=due_at,
        data={"diagnostic_id": diagnostic_id, "round": round_number},
    )


def level_task(incident_id: str, level: int, generation: int, due_at: datetime) -> TaskRequest:
    """Reach an escalation level. ``generation`` tells the ladder of a reopened incident from the one before."""
    return TaskRequest(
        id=f"{incident_id}:g{generation}:level:{level}",
        kind=TaskKind.LEVEL,
        incident_id=incident_id,
        due_at=due_at,
        data={"level": level, "generation": generation},
        again=True,
    )


def page_task(incident_id: str, level: int, contact_id: str, generation: int, due_at: datetime) -> TaskRequest:
    """Page one contact of one level."""
    return TaskRequest(
        id=f"{incident_id}:g{generation}:page:{level}:{contact_id}",
        kind=TaskKind.PAGE,
        incident_id=incident_id,
        due_at=due_at,
        data={"level": level, "contact_id": contact_id, "generation": generation},
    )


def preview_task(incident_id: str, run_id: str, due_at: datetime) -> TaskRequest:
    """Find out what a run would do."""
    return TaskRequest(
        id=f"{incident_id}:preview:{run_id}",
        kind=TaskKind.PREVIEW,
        incident_id=incident_id,
        due_at=due_at,
        data={"run_id": run_id},
    )


def run_task(incident_id: str, run_id: str, due_at: datetime) -> TaskRequest:
    """Perform a confirmed run."""
    return TaskRequest(
        id=f"{incident_id}:run:{run_id}",
        kind=TaskKind.RUN,
        incident_id=incident_id,
        due_at=due_at,
        data={"run_id": run_id},
    )


def prompt_task(channel_id: str, message_ts: str, phrase: str, runbook_ids: tuple[str, ...], due_at: datetime) -> TaskRequest:
    """Ask about one message, once."""
    return TaskRequest(
        id=f"prompt:{channel_id}:{message_ts}",
        kind=TaskKind.PROMPT,
        incident_id=NO_INCIDENT,
        due_at=due_at,
        data={
            "channel_id": channel_id,
            "message_ts": message_ts,
            "phrase": phrase,
            "runbook_ids": list(runbook_ids),
        },
    )
