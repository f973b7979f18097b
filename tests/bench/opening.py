"""Opening an incident: how many of Slack's round trips until its checklist is there, its people are in, all is done.

The sandbox is the fake Slack, each of its calls takes ``LATENCY_S``; the bot runs as its own process on the embedded
server, fsync always. A round is ``/incident clerk down``; a round trip is the latency, so Muster's own time and the
network's count against Muster. The first round of a fresh bot is shown by itself: it is the one that matters.

Beside each round a bare client makes the least that an opening needs (create, then post and invite): the floor of this
machine at this moment. On a busy machine the floor is higher, and so is everything; then only the distance to it says anything.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from bot.sandbox.ledger import Call
from bot.sandbox.models import Channel
from bot.sandbox.server import Sandbox
from bot.terminal.demo import demo_workspace

LATENCY_S = 0.080
FIRST_SECOND_S = 1.0
MENTION_S = 3.0
"""The mention of who is paged comes after 1.5 s; by then an opening is over."""
QUIET_S = 0.3
ROUNDS = 9
SMOKE_ROUNDS = 2

GOALS = {"channel exists": 1.15, "checklist and people": 2.2, "everything": 3.3}
"""Round trips (``facts/performance.md``, section 7); the lower bounds measured there are 1.03, 2.08 and 3.09."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One call of the bot, in milliseconds after the command was sent."""

    name: str
    start_ms: float
    end_ms: float

    def line(self) -> str:
        """For the table."""
        return (
            f"  {self.name:<34}{self.start_ms:>8.1f}{self.end_ms:>8.1f}{_trips(self.start_ms):>9.2f}{_trips(self.end_ms):>7.2f}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One opening."""

    ack_ms: float
    rows: tuple[Row, ...]
    marks: dict[str, float]
    """Milliseconds after the command, by the names of ``GOALS``."""
    messages_in_first_second: int
    floor_ms: float
    """When a bare client would have had the checklist posted and the people invited."""


async def measure(quick: bool) -> str:
    """The table and the verdicts."""
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        async with demo_workspace(Path(folder), port=0) as (sandbox, bot):
            await bot.wait_until_ready(asyncio.Event())
            await _quiet(sandbox)
            sandbox.web_api.latency_s = LATENCY_S
            async with bare_client(sandbox) as session:
                rounds = [await _open(sandbox, session) for _ in range(SMOKE_ROUNDS if quick else ROUNDS)]
    return _report(rounds)


def bare_client(sandbox: Sandbox) -> aiohttp.ClientSession:
    """A session with Slack's Web API as the sandbox speaks it, with the bot's token and nothing else."""
    return aiohttp.ClientSession(sandbox.slack_api_url, headers={"Authorization": f"Bearer {sandbox._tokens.good}"})


async def _floor_ms(session: aiohttp.ClientSession) -> float:
    """How long a bare client takes for a channel, then a message and an invitation beside each other."""

    async def call(method: str, **arguments: str) -> dict[str, Any]:
        async with session.post(method, data=arguments) as response:
            answer: dict[str, Any] = await response.json()
        assert answer["ok"], answer
        return answer

    await asyncio.gather(call("auth.test"), call("auth.test"))  # warm connections
    started_at = time.monotonic()
    channel_id = (await call("conversations.create", name=f"bare-{secrets.token_hex(4)}"))["channel"]["id"]
    await asyncio.gather(
        call("chat.postMessage", channel=channel_id, text="Checklist"),
        call("conversations.invite", channel=channel_id, users="U0ONCALL"),
    )
    return (time.monotonic() - started_at) * 1000


async def _open(sandbox: Sandbox, session: aiohttp.ClientSession) -> Round:
    """Open one incident, look at it for as long as it is being opened, and resolve it."""
    floor_ms = await _floor_ms(session)
    await _quiet(sandbox)
    known = len(sandbox.calls)
    rooms = {channel.id for channel in sandbox.workspace.channels}
    result = await sandbox.workspace.command("support-agent", "support", "/incident clerk down")
    sent_at = result.attempts[0].started_at
    mentioned = await sandbox.wait_for(lambda: _mention(sandbox, rooms), timeout_s=MENTION_S, what="the mention of who is paged")
    await _quiet(sandbox)
    calls = [call for call in sandbox.calls[known:] if call.started_at < mentioned.started_at]
    room = next(channel for channel in sandbox.workspace.channels if channel.id not in rooms and not channel.is_im)
    done = _round(calls, sent_at=sent_at, ack_ms=result.duration_ms or 0.0, room=room, floor_ms=floor_ms)
    await sandbox.workspace.command("oncall", room.name, "/incident resolve")
    await _quiet(sandbox)
    return done


def _mention(sandbox: Sandbox, rooms: set[str]) -> Call | None:
    """The second message that was posted to the new room."""
    posted = [
        call
        for call in sandbox.calls
        if call.method == "chat.postMessage" and call.ended_at and str(call.arguments["channel"]) not in rooms
    ]
    in_room = [call for call in posted if not str(call.arguments["channel"]).startswith("D")]
    return in_room[1] if len(in_room) > 1 else None


async def _quiet(sandbox: Sandbox) -> None:
    """Until the bot has called nothing for a while."""
    calls = -1
    while calls != len(sandbox.calls) or any(call.ended_at is None for call in sandbox.calls):
        calls = len(sandbox.calls)
        await asyncio.sleep(QUIET_S)


def _round(calls: list[Call], *, sent_at: float, ack_ms: float, room: Channel, floor_ms: float) -> Round:
    def ended_ms(*methods: str, channel: str | None = None) -> float:
        found = [call for call in calls if call.method in methods and channel in (None, _where(call))]
        return (max(call.ended_at or 0.0 for call in found) - sent_at) * 1000

    posted = [call for call in calls if call.method == "chat.postMessage" and _where(call) == room.id]
    created_at = next(call.ended_at or 0.0 for call in calls if call.method == "conversations.create")
    rows = [
        Row(
            name=f"{call.method} {_place(call, room)}".rstrip(),
            start_ms=(call.started_at - sent_at) * 1000,
            end_ms=((call.ended_at or call.started_at) - sent_at) * 1000,
        )
        for call in sorted(calls, key=lambda call: call.started_at)
    ]
    inside = ended_ms("chat.postMessage", "conversations.invite", channel=room.id)
    around = ended_ms("conversations.setTopic", "bookmarks.add")
    return Round(
        ack_ms=ack_ms,
        rows=tuple(rows),
        marks={
            "channel exists": ended_ms("conversations.create"),
            "checklist and people": inside,
            "everything": max(inside, around, ended_ms("chat.postMessage", channel="C0INCIDENTS")),
        },
        messages_in_first_second=sum(call.started_at < created_at + FIRST_SECOND_S for call in posted),
        floor_ms=floor_ms,
    )


def _where(call: Call) -> str:
    return str(call.arguments.get("channel") or call.arguments.get("channel_id") or "")


def _place(call: Call, room: Channel) -> str:
    where = _where(call)
    if where == room.id:
        return "· room"
    return "· direct message" if where.startswith("D") else "· incidents" if where else ""


def _trips(milliseconds: float) -> float:
    return milliseconds / 1000 / LATENCY_S


def _report(rounds: list[Round]) -> str:
    first, later = rounds[0], rounds[1:]
    shown = sorted(later, key=lambda item: item.marks["everything"])[len(later) // 2]
    lines = [
        f"/incident clerk down, {LATENCY_S * 1000:.0f} ms for each call to Slack; {len(later)} rounds, the first by itself",
        f"  {'a median round':<34}{'ms':>8}{'ms':>8}{'round trips':>16}",
        f"  {'call':<34}{'start':>8}{'end':>8}{'start':>9}{'end':>7}",
        *(row.line() for row in shown.rows),
        "",
        f"  {'after the command':<34}{'ms':>8}{'trips':>8}{'goal':>9}{'':>9}{'first':>8}",
    ]
    for name, goal in GOALS.items():
        middle = median(item.marks[name] for item in later)
        verdict = "met" if _trips(middle) <= goal else "missed"
        lines.append(
            f"  {name:<34}{middle:>8.1f}{_trips(middle):>8.2f}{f'≤ {goal}':>9}{verdict:>9}{_trips(first.marks[name]):>8.2f}"
        )
    most = max(item.messages_in_first_second for item in rounds)
    lines.append(f"  {'messages in the first second':<34}{most:>8}{'':>8}{'= 1':>9}{'met' if most == 1 else 'missed':>9}")
    floor = median(item.floor_ms for item in rounds)
    lines.append(f"  {'checklist and people, bare client':<34}{floor:>8.1f}{_trips(floor):>8.2f}{'floor':>9}")
    acks = [item.ack_ms for item in later]
    lines.append(f"  {'the command is acknowledged':<34}{median(acks):>8.1f}{'':>26}{first.ack_ms:>6.1f} ms")
    return "\n".join(lines)
