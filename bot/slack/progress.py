"""How far a run is, in its message: the newest line, at most every ``EVERY_S`` seconds, and never over its result.

The lines are in no timeline: they are for whoever watches. So what cannot be shown is left out, and nobody waits for it. The
message itself is the room's (``bot.slack.room``); where it is stands in the room's record.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from bot.domain.errors import MusterError
from bot.domain.incident import Incident
from bot.domain.run import Run
from bot.services.desk import Desk
from bot.services.ending import end_all
from bot.services.ports import RoomStore
from bot.slack.client import SlackApi
from bot.slack.drawing import Drawn
from bot.slack.posting import redraw

EVERY_S = 3.0
"""chat.update is Tier 3 (50 a minute for the workspace), and the card needs some of it."""
MOST_REDRAWS = 3


class DrawRun(Protocol):
    """Draws the message of a run."""

    def __call__(self, incident: Incident, run: Run, *, progress: str = "") -> Drawn:
        """``progress``: how far it says it is. Pure."""
        ...


class SlackBoard:
    """``bot.services.ports.ProgressBoard``. Each run that speaks has one task, which ends when it has nothing more to say."""

    def __init__(self, *, slack: SlackApi, rooms: RoomStore, desk: Desk, draw: DrawRun, every_s: float = EVERY_S) -> None:
        self._slack = slack
        self._rooms = rooms
        self._desk = desk
        self._draw = draw
        self._every_s = every_s
        self._lines: dict[tuple[str, str], str] = {}
        self._showing: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._log = structlog.get_logger("muster.progress")

    async def show(self, incident: Incident, run: Run, line: str) -> None:
        """See ``bot.services.ports.ProgressBoard``."""
        key = (incident.id, run.id)
        self._lines[key] = line
        if key not in self._showing:
            self._showing[key] = asyncio.create_task(self._keep_showing(*key), name=f"progress {incident.id} {run.id}")

    async def close(self) -> None:
        """Say nothing more."""
        await end_all(list(self._showing.values()))

    async def _keep_showing(self, incident_id: str, run_id: str) -> None:
        """The newest line, and after a pause what came meanwhile; until a pause brought nothing."""
        key = (incident_id, run_id)
        try:
            while key in self._lines:
                line = self._lines.pop(key)
                try:
                    await self._show(incident_id, run_id, line)
                except MusterError as error:
                    self._log.info("progress_not_shown", incident_id=incident_id, run_id=run_id, error=str(error))
                await asyncio.sleep(self._every_s)
        finally:
            self._showing.pop(key, None)

    async def _show(self, incident_id: str, run_id: str, line: str) -> None:
        incident = await self._desk.load(incident_id)
        run = incident.runs.get(run_id) if incident else None
        record = await self._rooms.room_record(incident_id)
        sent = record.messages.get(f"run:{run_id}")
        if incident is None or run is None or sent is None or not _is_under_way(run):
            return
        await redraw(self._slack, channel_id=sent.channel_id, ts=sent.ts, drawn=self._draw(incident, run, progress=line))
        for _ in range(MOST_REDRAWS):
            # Whatever changed while Slack was told may have been drawn before: then this came over it, and has to go.
            now = await self._desk.load(incident_id)
            if now is None or now.runs[run_id] == run:
                return
            run = now.runs[run_id]
            shown = line if _is_under_way(run) else ""
            await redraw(self._slack, channel_id=sent.channel_id, ts=sent.ts, drawn=self._draw(now, run, progress=shown))


def _is_under_way(run: Run) -> bool:
    return run.confirmed is not None and run.is_open
