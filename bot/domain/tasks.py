"""Tasks: work that must happen, now or later. One durable set holds them all (``bot.storage``); the worker performs them.

A task's id is deterministic, so asking twice is asking once. Ids are made here and nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue

NO_INCIDENT = "none"
"""Stands where a task belongs to no incident."""
AUDIT_ID = "audit"
"""There is one audit, for all replicas."""


class TaskKind(StrEnum):
    """What there is to do; ``bot.app`` binds each kind to the performer that does it."""

    ROOM = "room"
    """Make Slack look as the state says it should."""
    DIAGNOSE = "diagnose"
    CLOCK = "clock"
    """Something that waits for its time in an incident is due: an alarm, a reminder, a question."""
    PAGE = "page"
    FOLLOW = "follow"
    """Find out what became of a page, and tell its provider what became of the incident."""
    PREVIEW = "preview"
    RUN = "run"
    LOOK = "look"
    """Look at what became of a run that nobody knows the end of."""
    REVERT = "revert"
    """Take back what a run did, until that is seen."""
    WATCH = "watch"
    """Repeat a diagnostic."""
    PROMPT = "prompt"
    """Ask, in a thread, whether something that somebody wrote is an incident. It belongs to none yet."""
    AUDIT = "audit"
    """Look whether everything that must happen is booked and nothing is overdue. One for all replicas, for ever."""
    HANDOVER = "handover"
    """Tell people that the duty of a rotation passes from one to another."""
    CANARY = "canary"
    """Send a test page for ``muster canary``."""


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


def clock_task(incident_id: str, due_at: datetime) -> TaskRequest:
    """Look at the incident when the next thing in it is due; one for each incident, moved whenever that changes."""
    return TaskRequest(id=f"{incident_id}:clock", kind=TaskKind.CLOCK, incident_id=incident_id, due_at=due_at, again=True)


def page_task(incident_id: str, key: str, contact_id: str, generation: int, attempt: int, due_at: datetime) -> TaskRequest:
    """Tell one contact of one alarm. ``attempt`` (1-based) counts the ways and rounds that were tried."""
    return TaskRequest(
        id=f"{incident_id}:g{generation}:page:{key}:{contact_id}:{attempt}",
        kind=TaskKind.PAGE,
        incident_id=incident_id,
        due_at=due_at,
        data={"key": key, "contact_id": contact_id, "generation": generation, "attempt": attempt},
        again=True,
    )


def follow_task(incident_id: str, key: str, contact_id: str, via: str, wanted: str, due_at: datetime) -> TaskRequest:
    """Follow one page that was accepted; ``wanted`` is what the provider should know: "open", "acknowledged", "over"."""
    return TaskRequest(
        id=f"{incident_id}:follow:{key}:{contact_id}:{via}:{wanted}",
        kind=TaskKind.FOLLOW,
        incident_id=incident_id,
        due_at=due_at,
        data={"key": key, "contact_id": contact_id, "via": via, "wanted": wanted},
        again=True,
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


def look_task(incident_id: str, run_id: str, due_at: datetime) -> TaskRequest:
    """Look at what became of a run; ask as often as you like."""
    return TaskRequest(
        id=f"{incident_id}:look:{run_id}",
        kind=TaskKind.LOOK,
        incident_id=incident_id,
        due_at=due_at,
        data={"run_id": run_id},
        again=True,
    )


def revert_task(incident_id: str, run_id: str, due_at: datetime) -> TaskRequest:
    """Take back what a run did."""
    return TaskRequest(
        id=f"{incident_id}:revert:{run_id}",
        kind=TaskKind.REVERT,
        incident_id=incident_id,
        due_at=due_at,
        data={"run_id": run_id},
        again=True,
    )


def watch_task(incident_id: str, step_id: str, number: int, due_at: datetime) -> TaskRequest:
    """Look once more, for the watch of a step."""
    return TaskRequest(
        id=f"{incident_id}:watch:{step_id}:{number}",
        kind=TaskKind.WATCH,
        incident_id=incident_id,
        due_at=due_at,
        data={"step_id": step_id, "number": number},
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


def audit_task(due_at: datetime) -> TaskRequest:
    """Audit; it asks for its own next time."""
    return TaskRequest(id=AUDIT_ID, kind=TaskKind.AUDIT, incident_id=NO_INCIDENT, due_at=due_at)


def handover_task(rotation_id: str, at: datetime) -> TaskRequest:
    """Announce the hand-over of a rotation at ``at``, once."""
    return TaskRequest(
        id=f"handover:{rotation_id}:{at:%Y%m%dT%H%M%S}",
        kind=TaskKind.HANDOVER,
        incident_id=NO_INCIDENT,
        due_at=at,
        data={"rotation_id": rotation_id, "at": at.isoformat()},
    )


def canary_task(
    run_id: str, *, contact_id: str, via: str, wait_for_answer: bool, until: datetime, due_at: datetime
) -> TaskRequest:
    """Send one test page. ``contact_id`` "": the first of the default ladder; ``via`` "": their first way. After ``until`` nobody
    looks at what comes of it, so nothing is sent any more."""
    return TaskRequest(
        id=f"canary:{run_id}",
        kind=TaskKind.CANARY,
        incident_id=NO_INCIDENT,
        due_at=due_at,
        data={
            "run_id": run_id,
            "contact_id": contact_id,
            "via": via,
            "wait_for_answer": wait_for_answer,
            "until": until.isoformat(),
        },
    )
