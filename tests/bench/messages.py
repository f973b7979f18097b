"""Messages that match nothing, which is nearly all that a bot in a busy workspace gets: signed HTTP against the whole bot.

The peer is a Bolt app with two listeners. Load comes from a process of its own; where there are two cores, the server has one
and the load the other. Throughput suffers from busy neighbours, processor time for each message hardly does: both are shown.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bot.sandbox import payloads
from bot.sandbox.models import Json
from tests.bench.bolt_server import bolt_server
from tests.bench.load import JSON_TYPE, bind, cores, cpu_s, send
from tests.bench.muster_server import muster_server
from tests.bench.report import at_least, plain, ratio, table

GOAL = 1.5
BODIES = 64
CONNECTIONS = 32
ROUNDS, SMOKE_ROUNDS = 7, 1
COUNT, SMOKE_COUNT = 12_000, 1_000

TALK = (
    "the deploy of the new release went out this morning and support says customers like it so far can somebody review my "
    "branch before lunch we should talk about the roadmap for next quarter i will be away on friday the numbers look better "
    "than last week does anyone have the link to the design document thanks for the quick answer that fixed it let us meet"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A server under load."""

    url: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """Of one round."""

    per_s: float
    cpu_us: float


async def measure(quick: bool) -> str:
    """The table."""
    count, rounds = (SMOKE_COUNT, SMOKE_ROUNDS) if quick else (COUNT, ROUNDS)
    bodies = message_bodies()
    async with _servers() as (secret, targets):
        for target in targets.values():
            await _round(target, bodies, secret, count // 4)
        figures: dict[str, list[_Figures]] = {name: [] for name in targets}
        for _ in range(rounds):
            for name, target in targets.items():
                figures[name].append(await _round(target, bodies, secret, count))
    return _report(figures, sum(map(len, bodies)) / len(bodies), rounds=rounds, count=count)


@asynccontextmanager
async def _servers() -> AsyncIterator[tuple[str, dict[str, _Target]]]:
    """(the signing secret, the servers by name: Muster first, then the peers, the one with the goal last)."""
    async with AsyncExitStack() as stack:
        muster = await stack.enter_async_context(muster_server())
        targets = {"Muster, everything": _Target(url=muster.url, pid=muster.pid)}
        for name, kind in {"Bolt, own aiohttp server": "default", "Bolt, ASGI adapter on uvicorn": "asgi"}.items():
            peer = await stack.enter_async_context(
                bolt_server(
                    kind,
                    bot_token=muster.bot_token,
                    signing_secret=muster.signing_secret,
                    slack_api_url=muster.sandbox.slack_api_url,
                )
            )
            targets[name] = _Target(url=peer.url, pid=peer.pid)
        yield muster.signing_secret, targets


async def _round(target: _Target, bodies: list[str], secret: str, count: int) -> _Figures:
    places = cores()
    if places:
        await asyncio.to_thread(bind, target.pid, places[0])
    before_s = cpu_s(target.pid)
    sent = await send(
        target.url,
        bodies,
        secret=secret,
        content_type=JSON_TYPE,
        connections=CONNECTIONS,
        count=count,
        core=places[1] if places else None,
    )
    return _Figures(per_s=sent.require_ok().per_s, cpu_us=(cpu_s(target.pid) - before_s) / count * 1e6)


def message_bodies() -> list[str]:
    """``BODIES`` different deliveries of a message with 20 to 2,000 characters, plain and as rich text, as Slack sends both."""
    source = random.Random(7)  # noqa: S311 - the same messages in each run
    return [json.dumps(payloads.event_body(_message(source), f"Ev{number:010}", 1_760_000_000)) for number in range(BODIES)]


def _message(source: random.Random) -> Json:
    length = round(20 * 100 ** (source.random() ** 1.5))  # 20 to 2,000, mostly short
    text, words = "", TALK.split()
    while len(text) < length:
        text += source.choice(words) + source.choice((" ", " ", " ", " ", ", ", ". "))
    text = text[:length].strip()
    elements = [{"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}]
    return {
        "type": "message",
        "user": "U0DEVELOPER",
        "ts": f"{source.randrange(1_760_000_000, 1_770_000_000)}.{source.randrange(10**6):06}",
        "client_msg_id": f"{source.getrandbits(128):032x}",
        "team": "T0SANDBOX",
        "text": text,
        "blocks": [{"type": "rich_text", "block_id": "b1", "elements": elements}],
        "channel": "C0SUPPORT",
        "event_ts": "1760000000.000100",
        "channel_type": "channel",
    }


def _report(figures: dict[str, list[_Figures]], mean_bytes: float, *, rounds: int, count: int) -> str:
    (ours, mine), *peers = figures.items()
    rows = [plain(f"{ours}: messages a second", sorted(f.per_s for f in mine)[len(mine) // 2], "/s", digits=0)]
    rows.append(plain(f"{ours}: processor time of a message", sorted(f.cpu_us for f in mine)[len(mine) // 2], "µs", digits=0))
    for name, theirs in peers:
        rows.append(plain(f"{name}: messages a second", sorted(f.per_s for f in theirs)[len(theirs) // 2], "/s", digits=0))
        faster = ratio([f.per_s for f in mine], [f.per_s for f in theirs])
        text = f"Muster's throughput ÷ that of {name}"
        judged = name == peers[-1][0]
        rows.append(at_least(text, faster, GOAL, "×") if judged else plain(text, faster, "×"))
        rows.append(plain("the same by processor time", ratio([f.cpu_us for f in theirs], [f.cpu_us for f in mine]), "×"))
    head = (
        f"{BODIES} messages that match nothing, {mean_bytes:,.0f} bytes on average, {CONNECTIONS} connections; "
        f"{rounds} rounds of {count:,}, interleaved; medians"
    )
    return table(head, rows)
