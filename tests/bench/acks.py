"""Acknowledgements: how long Slack, and the person who typed or clicked, waits for "I have it".

Muster's include the commit, fsync always, on the embedded server. The peer is a default Bolt app whose command does nothing
but acknowledge. Then forty different incidents are declared at once, with a Slack that takes 80 ms for each call.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

from bot.sandbox import payloads
from bot.sandbox.models import Channel, User
from bot.sandbox.seed import SUPPORT
from tests.bench.bolt_server import bolt_server
from tests.bench.load import FORM_TYPE, send
from tests.bench.muster_server import MusterServer, muster_server
from tests.bench.report import at_most, percentile, plain, ratio, table

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
GOAL = 0.2
BURST_GOAL_MS = 250.0
SLACK_GIVES_UP_MS = 3_000.0
"""docs.slack.dev, interactivity/implementing-slash-commands: "within 3000 milliseconds"."""
LATENCY_S = 0.080
BURST = 40
AFTER, SMOKE_AFTER = 100, 25
PAUSE_S = 0.02
ROUNDS, SMOKE_ROUNDS = 5, 1
COUNT, SMOKE_COUNT = 100, 20
BURSTS, SMOKE_BURSTS = 3, 1


async def measure(quick: bool) -> str:
    """Both tables."""
    return "\n\n".join([await _one_by_one(quick), await _all_at_once(quick)])


async def _one_by_one(quick: bool) -> str:
    rounds, count = (SMOKE_ROUNDS, SMOKE_COUNT) if quick else (ROUNDS, COUNT)
    bolt: list[list[float]] = []
    disk_ms: list[float] = []
    commands: list[list[float]] = []
    clicks: list[list[float]] = []
    async with muster_server() as muster:
        api = muster.sandbox.slack_api_url
        peer = bolt_server("default", bot_token=muster.bot_token, signing_secret=muster.signing_secret, slack_api_url=api)
        async with peer as theirs:
            room, person = await _open_room(muster)
            severities, ticks = _severity_commands(person, room), _tick_clicks(person, room)
            for _ in range(rounds):
                disk_ms.append(await asyncio.to_thread(_disk_ms))
                bodies = list(itertools.islice(severities, count))
                bolt.append(await _acks(theirs.url, bodies, muster.signing_secret))
                commands.append(await _acks(muster.url, bodies, muster.signing_secret))
                clicks.append(await _acks(muster.url, list(itertools.islice(ticks, count)), muster.signing_secret))
    peers = [median(each) for each in bolt]
    rows = [plain("default Bolt, a command that only acknowledges: p50", median(peers), "ms")]
    rows.append(plain("an fsync of 500 bytes on this disk: p50", median(disk_ms), "ms"))
    for name, figures in (("a command that changes the severity", commands), ("a click that ticks a step", clicks)):
        mine = [median(each) for each in figures]
        rows.append(plain(f"Muster, {name}: p50", median(mine), "ms"))
        rows.append(plain("p99", median(percentile(each, 0.99) for each in figures), "ms"))
        rows.append(at_most("p50 ÷ that of Bolt", ratio(mine, peers), GOAL, "×", digits=3))
    return table(f"one at a time, {PAUSE_S * 1000:.0f} ms between; {rounds} rounds of {count}, interleaved", rows)


async def _all_at_once(quick: bool) -> str:
    following = SMOKE_AFTER if quick else AFTER
    acks: list[list[float]] = []
    after: list[list[float]] = []
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        runbooks = _many_runbooks(Path(folder, "runbooks"))
        for _ in range(SMOKE_BURSTS if quick else BURSTS):
            async with muster_server(runbooks=runbooks) as muster:
                muster.sandbox.web_api.latency_s = LATENCY_S
                bodies = _declarations(muster)
                sent = await send(muster.url, bodies, secret=muster.signing_secret, content_type=FORM_TYPE, connections=BURST)
                acks.append(sent.require_ok().latencies_ms)
                again = list(itertools.islice(itertools.cycle(_declarations(muster, again=True)), following))
                after.append(await _acks(muster.url, again, muster.signing_secret))
                await _require_opened(muster)
    everything = [latency for each in acks for latency in each]
    later = [latency for each in after for latency in each]
    late = sum(latency > SLACK_GIVES_UP_MS for latency in (*everything, *later))
    rows = [
        plain("acknowledged: p50", median(everything), "ms", digits=1),
        at_most("p99", median(percentile(each, 0.99) for each in acks), BURST_GOAL_MS, "ms", digits=1),
        plain("the slowest of all", max(everything), "ms", digits=1),
        plain(f"the next {following}, one at a time while the rooms are made: p50", median(later), "ms", digits=1),
        plain("p99", percentile(later, 0.99), "ms", digits=1),
        at_most("acknowledgements that took more than 3 s", late, 0, "", digits=0),
    ]
    head = (
        f"{BURST} different incidents declared at once, {LATENCY_S * 1000:.0f} ms for each call to Slack; {len(acks)} fresh bots"
    )
    return table(head, rows)


async def _acks(url: str, bodies: list[str], secret: str) -> list[float]:
    """Milliseconds of each."""
    sent = await send(url, bodies, secret=secret, content_type=FORM_TYPE, connections=1, pause_s=PAUSE_S)
    return sent.require_ok().latencies_ms


async def _open_room(muster: MusterServer) -> tuple[Channel, User]:
    """An incident's room with the person who declared it in it."""
    sandbox = muster.sandbox
    await sandbox.workspace.command("support-agent", "support", "/incident clerk down")

    def opened() -> Channel | None:
        rooms = [channel for channel in sandbox.workspace.channels if channel.name.startswith("inc-")]
        return rooms[0] if rooms and SUPPORT in rooms[0].members and len(rooms[0].messages) > 1 else None

    room = await sandbox.wait_for(opened, timeout_s=10, what="the room")
    if room is None:
        raise RuntimeError("there is no room")
    return room, sandbox.state.users[SUPPORT]


def _severity_commands(person: User, room: Channel) -> Iterator[str]:
    for number in itertools.count():
        yield _command(person, room, f"severity SEV{2 - number % 2}", f"severity-{number}")


def _tick_clicks(person: User, room: Channel) -> Iterator[str]:
    ts, message = next(iter(room.messages.items()))
    for number in itertools.count():
        action = {
            "type": "button",
            "block_id": "b",
            "action_id": "untick" if number % 2 else "tick",
            "value": "inc-1/confirm",
            "action_ts": f"1760000000.{number:06}",
        }
        body = payloads.message_actions(
            person,
            room,
            {**message, "ts": ts},
            action,
            values={},
            trigger_id=f"tick-{number}",
            response_url="",
            ephemeral=False,
        )
        yield urlencode({"payload": json.dumps(body)})


def _declarations(muster: MusterServer, *, again: bool = False) -> list[str]:
    person = muster.sandbox.state.users[SUPPORT]
    place = next(channel for channel in muster.sandbox.workspace.channels if channel.name == "support")
    word = "again" if again else "new"
    return [_command(person, place, f"service{number} down", f"{word}-{number}") for number in range(BURST)]


def _command(person: User, place: Channel, text: str, trigger_id: str) -> str:
    return urlencode(payloads.command_form(person, place, "/incident", text, response_url="", trigger_id=trigger_id))


def _many_runbooks(folder: Path) -> Path:
    """The runbook of an outage with its three diagnostics and its ladder, for each of ``BURST`` services."""
    shutil.copytree(RUNBOOKS, folder)
    text = Path(RUNBOOKS, "clerk", "auth-outage.yml").read_text(encoding="utf-8")
    for number in range(BURST):
        replaced = _replace(text, r"^id: .*$", f"id: outage-{number}")
        replaced = _replace(replaced, r"^  phrases:\n(?:    - .*\n)+", f"  phrases: [service{number} down]\n")
        Path(folder, "clerk", f"outage-{number}.yml").write_text(replaced, encoding="utf-8")
    return folder


def _replace(text: str, pattern: str, by: str) -> str:
    return re.sub(pattern, by, text, count=1, flags=re.MULTILINE)


async def _require_opened(muster: MusterServer) -> None:
    """Raises: TimeoutError when nothing was being opened while the acknowledgements were measured."""

    def created() -> bool:
        return any(call.method == "conversations.create" for call in muster.sandbox.calls)

    await muster.sandbox.wait_for(created, timeout_s=5, what="the first room")


def _disk_ms() -> float:
    """What this machine's disk takes to keep half a kilobyte: the part of an acknowledgement that is not Muster's."""
    times_ms: list[float] = []
    with tempfile.TemporaryFile(prefix="muster-bench-", buffering=0) as file:
        for _ in range(100):
            file.write(b"-" * 500)
            began = time.perf_counter()
            os.fsync(file.fileno())
            times_ms.append((time.perf_counter() - began) * 1000)
    return median(times_ms)
