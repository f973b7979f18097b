"""Calls to Slack through a network: round trips of a warm call over Muster's one session, and over slack_sdk's default.

A proxy delays every byte by ``ONE_WAY_S`` in each direction, and the first ones of a connection by a round trip more: that is
what a TCP handshake takes where there is a distance. Behind it a server with TLS answers at once. Muster's calls pass through
its limits, which ask Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median

from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client import SlackApi, make_client, make_session
from bot.slack.limits import Limits
from bot.storage.embedded import embedded_redis
from bot.storage.redis import WORKER_TIMEOUT_S, RedisClock, RedisStore, connect
from tests.bench.report import at_most, percentile, plain, table

GOAL = 1.1
ONE_WAY_S = 0.020
ROUND_TRIP_S = 2 * ONE_WAY_S
CALLS, SMOKE_CALLS = 60, 8
_CHUNK = 65_536


async def measure(quick: bool) -> str:
    """The table."""
    count = SMOKE_CALLS if quick else CALLS
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as name:
        folder = Path(name)
        try:
            await asyncio.to_thread(_make_certificate, folder)
        except FileNotFoundError:
            return "  needs the openssl command, for a certificate"
        async with _slack(folder) as base_url, _limits(folder) as limits, make_session() as session:
            trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
            client = make_client(session, token="xoxb-bench", base_url=base_url)
            client.ssl = trust
            api = SlackApi(client)
            api.limits = limits
            default = AsyncWebClient(token="xoxb-bench", base_url=base_url, ssl=trust)
            first = await _trips(lambda number: api.call("auth.test"))
            ours: list[float] = []
            theirs: list[float] = []
            for number in range(count):
                channel = f"C{number}"
                ours.append(await _trips(lambda _: api.call("chat.postMessage", channel=channel, text="…")))  # noqa: B023
                theirs.append(await _trips(lambda _: default.chat_postMessage(channel=channel, text="…")))  # noqa: B023
    rows = [
        at_most("Muster, a warm call: round trips", median(ours), GOAL, "×"),
        plain("p99", percentile(ours, 0.99), "×"),
        plain("Muster, its very first call", first, "×"),
        plain("slack_sdk's default (AsyncWebClient without a session)", median(theirs), "×"),
    ]
    head = f"{count} calls each, interleaved, {ROUND_TRIP_S * 1000:.0f} ms round trip, TLS; medians"
    return table(head, rows)


async def _trips(call: Callable[[int], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call(0)
    return (time.perf_counter() - began) / ROUND_TRIP_S


def _make_certificate(folder: Path) -> None:
    """Raises: FileNotFoundError without the openssl command."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, *files], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextlib.asynccontextmanager
async def _limits(folder: Path) -> AsyncIterator[Limits]:
    async with embedded_redis(folder / "data") as server:
        client = connect(server.url, timeout_s=WORKER_TIMEOUT_S)
        try:
            yield Limits(RedisStore(client, workspace_id="T0BENCH", owner="bench", clock=RedisClock()))
        finally:
            await client.aclose()


@contextlib.asynccontextmanager
async def _slack(folder: Path) -> AsyncIterator[str]:
    """A base URL behind the delay."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"ok": True, "ts": "1.000001"})

    app = web.Application()
    app.router.add_post("/api/{method}", answer)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=60)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    behind = int(runner.addresses[0][1])
    open_ones: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            open_ones.add(task)
            task.add_done_callback(open_ones.discard)
        await _carry_both(reader, writer, behind)

    proxy = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"https://localhost:{proxy.sockets[0].getsockname()[1]}/api/"
    finally:
        proxy.close()
        if open_ones:  # their ends were closed; that, too, takes its time through the proxy
            await asyncio.wait(open_ones, timeout=1)
        await runner.cleanup()


async def _carry_both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    their_reader, their_writer = await asyncio.open_connection("127.0.0.1", port)
    handshake_until = asyncio.get_running_loop().time() + ROUND_TRIP_S
    try:
        await asyncio.gather(
            _carry(reader, their_writer, not_before=handshake_until), _carry(their_reader, writer, not_before=0.0)
        )
    finally:
        writer.close()
        their_writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, not_before: float) -> None:
    """Pass on what comes, ``ONE_WAY_S`` later, in order, however much is on its way. ``not_before``: when sending may begin."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            at, data = await under_way.get()
            await asyncio.sleep(max(0.0, at - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)

    arriving = asyncio.create_task(arrive())
    try:
        data = b"-"
        while data:
            try:
                data = await reader.read(_CHUNK)
            except ConnectionError:
                data = b""
            under_way.put_nowait((max(loop.time(), not_before) + ONE_WAY_S, data))
        await arriving
    finally:
        arriving.cancel()
