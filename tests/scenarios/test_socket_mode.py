"""The whole bot over Socket Mode: the same story, and whatever happens to a connection, everything is effective exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis.asyncio as redis
from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient

from bot.app import running
from bot.domain.errors import ConfigError
from bot.domain.facts import DeclaredAgain
from bot.sandbox.delivery import Delivery
from bot.settings import load_settings
from bot.slack.socket_mode import Backoff, SocketTimes
from bot.storage.embedded import server_binary
from tests.process import BotProcess
from tests.scenarios import test_first_light as first_light
from tests.scenarios.conftest import PATIENCE_S, Stage, faults_at_the_end, said, staged

pytestmark = pytest.mark.slow

APP_TOKEN = "xapp-1-A0SANDBOX-1-secret"
QUICK = SocketTimes(hello_s=10.0, start_s=10.0, linger_s=5.0, stable_s=0.0, first_retry_s=0.02, longest_retry_s=0.1)
HASTY = replace(QUICK, hello_s=0.5, start_s=2.0)
"""For where nobody greets."""
WATCHFUL = replace(QUICK, silence_s=2.0)
"""Slack's pings come every 0.05 s here."""


class SocketStage(Stage):
    """A stage whose bot has an app-level token and no signing secret. ``times`` None: as patient as in earnest."""

    times: SocketTimes | None = QUICK

    async def start(self) -> None:
        """Start the bot."""
        if self.times is None:
            await super().start()
            return
        self.muster = await self._stack.enter_async_context(running(load_settings(self.environment), socket_times=self.times))
        self.sandbox.bot_url = self.muster.url

    async def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Ask the bot by HTTP."""
        async with aiohttp.ClientSession() as session, session.request(method, self.muster.url + path) as answer:
            return answer.status, await answer.text()

    async def metric(self, line: str) -> float:
        """A number out of /metrics; 0 when it is not there."""
        _, text = await self.get("/metrics")
        return next((float(each.rpartition(" ")[2]) for each in text.splitlines() if each.rpartition(" ")[0] == line), 0.0)

    def numbers(self) -> list[int]:
        """The connections that are open, in the order of their opening."""
        return [socket.number for socket in self.sandbox.sockets]

    async def connected(self, *numbers: int) -> None:
        """Wait until exactly these connections are open."""
        await self.wait(lambda: self.numbers() == list(numbers), f"the connections {numbers}, not {self.numbers()}")

    async def metric_is(self, line: str, number: float) -> None:
        """Wait for a number in /metrics: the bot hears of things a moment after Slack has seen them."""
        shown = -1.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while (shown := await self.metric(line)) != number:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.02)
        assert shown == number, line

    async def ready(self) -> None:
        """Wait until /readyz says so: a connection is greeted a moment after it was opened."""

        async def look() -> bool:
            return await self.get("/readyz") == (200, "ready")

        await until(look)


@contextlib.asynccontextmanager
async def socket_staged(redis_url: str, **options: Any) -> AsyncIterator[SocketStage]:
    """The bot is not started yet. At the end, what it said to Slack is judged, and every frame was one that Slack understands."""
    async with staged(redis_url, **{"app_token": APP_TOKEN, "ping_s": 0.05, **options}) as plain:
        environment = {name: value for name, value in plain.environment.items() if name != "SLACK_SIGNING_SECRET"}
        stage = SocketStage(plain.sandbox, plain.world, environment | {"SLACK_APP_TOKEN": APP_TOKEN})
        yield stage
        await stage.sandbox.courier.stop()
        await stage.stop()
        faults = [*faults_at_the_end(stage.sandbox), *stage.sandbox.socket_hub.misuses]
        assert not faults, "\n".join(dict.fromkeys(faults))


@pytest.fixture
async def unstarted(redis_url: str) -> AsyncIterator[SocketStage]:
    """A stage whose bot the test starts itself."""
    async with socket_staged(f"{redis_url}?db=1") as stage:
        yield stage


@pytest.fixture
async def stage(unstarted: SocketStage) -> SocketStage:
    """A stage with a running bot and its two connections."""
    await unstarted.start()
    await unstarted.connected(1, 2)
    return unstarted


async def drill(stage: Stage, number: int) -> Any:
    """Something that makes exactly one room, and is told so."""
    return await stage.workspace.command("developer", "general", f"/incident drill thing {number} broken")


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """The first true answer of ``look``, for what rings no bell."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.002)


def by_socket(delivery: Delivery) -> bool:
    """Whether nothing of it went by HTTP."""
    return all(attempt.socket is not None for attempt in delivery.attempts)


# -- in peace ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "story",
    [
        first_light.test_a_command_opens_a_room_with_a_checklist_and_a_diagnosis,
        first_light.test_a_phrase_opens_a_room_and_answers_in_its_thread,
        first_light.test_when_clerk_is_down_the_clerk_branch_is_suggested,
        first_light.test_sessions_of_a_user_are_revoked_from_a_button,
        first_light.test_nobody_acknowledges_and_the_next_level_is_paged,
    ],
)
async def test_first_light(unstarted: SocketStage, story: Callable[[Stage], Awaitable[None]]) -> None:
    """Commands, messages, clicks and forms: each story of first light plays as it does over HTTP, and nothing goes by HTTP."""
    unstarted.times = None
    await unstarted.start()
    await story(unstarted)
    await unstarted.sandbox.settled()
    deliveries = unstarted.sandbox.deliveries
    assert deliveries
    assert all(delivery.ok and by_socket(delivery) for delivery in deliveries)
    assert [len(delivery.attempts) for delivery in deliveries] == [1] * len(deliveries)


async def test_http_stays_for_everything_but_slack(stage: SocketStage) -> None:
    """/slack/events is not there and says why, without a look at the signature; the rest answers."""
    status, text = await stage.get("/slack/events", "POST")
    assert status == 404
    assert "Socket Mode" in text
    assert (await stage.get("/healthz"))[0] == 200
    assert (await stage.get("/readyz")) == (200, "ready")
    await stage.metric_is("muster_socket_connections", 2.0)


async def test_what_nothing_wants_ends_before_bolt(stage: SocketStage) -> None:
    """A message without a phrase is acknowledged and counted, and that is all."""
    result = await stage.workspace.say("developer", "general", "lunch?")
    assert result.ok
    assert await stage.metric('muster_socket_envelopes_total{outcome="ignored",type="events_api"}') >= 1.0
    assert await stage.metric('muster_slack_answer_seconds_count{kind="event"}') == 0.0


async def test_two_connections_bring_the_same_event(stage: SocketStage) -> None:
    """Six copies of one event by both connections at once: one room, one answer, six acknowledgements."""
    result = await stage.workspace.say("support-agent", "support", "auth is not working!!")
    room = await stage.room()
    copies = await asyncio.gather(*(stage.sandbox.redeliver(result.deliveries[0]) for _ in range(6)))
    assert all(copy.ok for copy in copies)
    assert {copy.socket for copy in copies} == {1, 2}
    await stage.sees("support", f"<#{room.id}>")
    await stage.sandbox.settled()
    assert len(stage.rooms()) == 1
    assert len([message for message in stage.messages("support") if room.id in said(message)]) == 1


async def test_what_is_no_envelope_harms_nobody(stage: SocketStage) -> None:
    """Frames that are no JSON, no object, of an unknown type, or without a payload: not acknowledged, and life goes on."""
    socket = stage.sandbox.sockets[0]
    for frame in ("", "{", "[" * 100_000, "[]", "null", '"hello"', {}, {"type": "news"}, {"type": "hello"}, {"envelope_id": 7}):
        await socket.say(frame)
    for payload in (
        None,
        [],
        "text",
        {"type": "event_callback"},
        {"type": "event_callback", "event": 1},
        {"type": "block_actions"},
    ):
        await socket.say({"type": "events_api", "envelope_id": "made-up", "payload": payload})
    assert (await drill(stage, 1)).response is not None
    assert stage.numbers() == [1, 2]
    assert stage.sandbox.socket_hub.late == 0
    await stage.metric_is('muster_socket_envelopes_total{outcome="refused",type="events_api"}', 6.0)


# -- connections come and go ---------------------------------------------------------------------------------------


async def test_a_refresh_opens_the_new_connection_before_the_old_one_closes(stage: SocketStage) -> None:
    """There are never fewer than two, and the one that was told to go works until Slack closes it."""
    first = stage.sandbox.sockets[0]
    await first.refresh(close_after_s=None)
    await stage.connected(1, 2, 3)
    for number in range(3):
        assert (await drill(stage, number)).response is not None
    assert first.sent >= 1
    await first.close()
    await stage.connected(2, 3)
    await stage.metric_is('muster_socket_reconnects_total{reason="refresh_requested"}', 1.0)
    assert (await stage.get("/readyz"))[0] == 200


async def test_refreshes_under_load_lose_nothing_and_double_nothing(stage: SocketStage) -> None:
    """Sixty declarations while both connections are replaced again and again: sixty answers, each written down once."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    (incident,) = await stage.muster.desk.active()
    done = asyncio.Event()

    async def refresh() -> int:
        times = 0
        while not done.is_set() or times < 4:
            oldest = stage.sandbox.sockets[0]
            await oldest.refresh("warning" if times % 2 else "refresh_requested", close_after_s=None)
            await stage.wait(lambda: len(stage.sandbox.sockets) == 3, "the successor")
            await oldest.close()
            await stage.wait(lambda gone=oldest.number: gone not in stage.numbers(), "the refresh")
            times += 1
        return times

    refreshing = asyncio.create_task(refresh())
    results: list[Any] = []
    for _ in range(20):
        again = (stage.workspace.command("developer", "general", "/incident clerk down") for _ in range(3))
        results += await asyncio.gather(*again)
        await asyncio.sleep(0.01)
    done.set()
    assert await refreshing >= 4
    assert all(result.ok and result.response for result in results), [result.error for result in results if not result.ok]
    await stage.sandbox.settled()
    entries = await stage.muster.store.timeline(incident.id, after=0)
    assert len([entry for entry in entries if isinstance(entry.fact, DeclaredAgain)]) == 60
    assert {len(delivery.attempts) for delivery in stage.sandbox.deliveries} == {1}


async def test_one_connection_is_cut(stage: SocketStage) -> None:
    """The other one carries on at once, and soon there are two again."""
    stage.sandbox.sockets[0].drop()
    assert (await drill(stage, 1)).response is not None
    await stage.connected(2, 3)
    await stage.metric_is('muster_socket_reconnects_total{reason="closed"}', 1.0)


async def test_silence_is_noticed(unstarted: SocketStage) -> None:
    """A connection that is open and dead is replaced and closed; the one with pings is left alone."""
    stage = unstarted
    stage.times = WATCHFUL
    await stage.start()
    await stage.connected(1, 2)
    stage.sandbox.sockets[0].silence()
    await stage.connected(2, 3)
    await stage.metric_is('muster_socket_reconnects_total{reason="silence"}', 1.0)
    await stage.metric_is("muster_socket_connections", 2.0)


async def test_an_event_into_silence_comes_again_elsewhere(stage: SocketStage) -> None:
    """What was sent into a dead connection is not acknowledged, so Slack sends it by the other one."""
    stage.sandbox.courier.timeout_s = 1.0
    for socket in stage.sandbox.sockets:
        if socket.number == 1:
            socket.silence()
    results = [await stage.workspace.say("developer", "support", f"auth is not working {number}") for number in range(2)]
    for result in results:
        assert (await result.deliveries[0].finished()).ok
    await stage.room()


async def test_no_connection_at_all(stage: SocketStage) -> None:
    """/readyz says so with the reason, and when Slack takes connections again everything works."""
    hub = stage.sandbox.socket_hub
    hub.refusing = True
    for socket in stage.sandbox.sockets:
        socket.drop()
    await stage.wait(lambda: len(stage.called("apps.connections.open")) >= 4, "tries")
    reason = "no Socket Mode connection to Slack is up: Slack's Socket Mode cannot be reached"

    async def why_not() -> str:
        status, text = await stage.get("/readyz")
        return text if status == 503 and reason in text else ""

    assert "ticket" not in await until(why_not)
    hub.refusing = False
    await stage.wait(lambda: len(stage.numbers()) == 2, "both connections")
    assert (await drill(stage, 1)).response is not None
    await stage.ready()


async def test_no_greeting(unstarted: SocketStage) -> None:
    """A connection that opens and says nothing is not up; Muster starts, says so, and tries again."""
    unstarted.sandbox.socket_hub.mute = True
    unstarted.times = HASTY
    await unstarted.start()

    async def says_why() -> bool:
        status, text = await unstarted.get("/readyz")
        assert status == 503
        return "did not greet" in text

    await until(says_why)
    unstarted.sandbox.socket_hub.mute = False
    await unstarted.wait(lambda: len([one for one in unstarted.sandbox.sockets if not one.silent]) == 2, "two")
    await unstarted.ready()


@pytest.mark.parametrize(("name", "left"), [("socket-0", 2), ("socket-keeper-1", 3)])
async def test_a_task_that_dies_gets_a_successor(stage: SocketStage, name: str, left: int) -> None:
    """Whatever ends the reader of a connection or the keeper of a place: it is noticed, and the place is filled again."""
    task = next(task for task in asyncio.all_tasks() if task.get_name() == name)
    task.cancel()
    await stage.wait(lambda: 3 in stage.numbers() and len(stage.numbers()) == left, "another connection")
    assert (await drill(stage, 1)).response is not None
    await stage.metric_is('muster_socket_reconnects_total{reason="fault"}', 1.0)


async def test_slack_has_no_room_for_more(unstarted: SocketStage) -> None:
    """Others hold nine of the ten connections: Muster works with one, and takes a second when there is room."""
    unstarted.times = replace(QUICK, longest_retry_s=0.02)
    client = AsyncWebClient(base_url=unstarted.sandbox.slack_api_url)
    async with aiohttp.ClientSession() as session:
        held = [await session.ws_connect((await client.apps_connections_open(app_token=APP_TOKEN))["url"]) for _ in range(9)]
        await unstarted.start()
        tries = len(unstarted.called("apps.connections.open"))
        await unstarted.wait(lambda: len(unstarted.called("apps.connections.open")) > tries + 1, "more tries")
        assert len(unstarted.numbers()) == 10
        await unstarted.ready()
        await held[0].close()
        await unstarted.wait(lambda: len([number for number in unstarted.numbers() if number > 9]) == 2, "the second")
        for each in held:
            await each.close()


# -- refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["invalid_auth", "missing_scope", "token_revoked", "not_allowed_token_type"])
async def test_a_refused_app_token_is_one_line_that_says_what_to_do(unstarted: SocketStage, code: str) -> None:
    """Which variable, what Slack said, which scope, where to make a new one."""
    unstarted.sandbox.faults.add("apps.connections.open", "error", error=code, times=10)
    with pytest.raises(
        ConfigError, match=rf"\ASLACK_APP_TOKEN is refused by Slack \({code}\);.*connections:write.*App-Level Tokens\Z"
    ):
        await unstarted.start()


def test_an_app_token_replaces_the_signing_secret() -> None:
    """What is missing is named; the signing secret is not missed, and not used where both are there."""
    only_app = {"SLACK_APP_TOKEN": APP_TOKEN, "MUSTER_ENV_FILE": ""}
    with pytest.raises(ConfigError, match=r"\ASLACK_BOT_TOKEN[^\n]+\Z"):
        load_settings(only_app).require_slack()
    both = load_settings({**only_app, "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s"}).require_slack()
    assert (both.signing_secret, both.app_token) == (None, SecretStr(APP_TOKEN))


async def test_a_wrong_app_token_ends_muster_serve_with_one_line(unstarted: SocketStage) -> None:
    """The same from the console: exit code 1, one line on stderr, no traceback, no token."""
    environment = {**unstarted.environment, "SLACK_APP_TOKEN": "xapp-wrong", "PATH": os.environ["PATH"], "LOG_LEVEL": "warning"}
    bot = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "serve", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    async with asyncio.timeout(50):
        _, stderr = await bot.communicate()
    assert bot.returncode == 1
    (line,) = stderr.decode().splitlines()
    assert line.startswith("muster: SLACK_APP_TOKEN is refused by Slack (invalid_auth); make an app-level token with the scope")


async def test_socket_mode_that_is_off(unstarted: SocketStage) -> None:
    """At the start it is an error with the way out; later /readyz says it, and it heals when it is turned on again."""
    hub = unstarted.sandbox.socket_hub
    hub.disabled = True
    with pytest.raises(ConfigError, match=r"\ASlack says that Socket Mode is off for this app; turn it on .*SLACK_APP_TOKEN"):
        await unstarted.start()
    await unstarted.stop()
    hub.disabled = False
    await unstarted.start()
    hub.disabled = True
    for socket in unstarted.sandbox.sockets:
        await socket.refresh("link_disabled", close_after_s=0)
    await unstarted.wait(lambda: not unstarted.sandbox.sockets, "the end of all connections")
    tries = len(unstarted.called("apps.connections.open"))
    await unstarted.wait(lambda: len(unstarted.called("apps.connections.open")) >= tries + 2, "more tries")

    async def says_why() -> bool:
        status, text = await unstarted.get("/readyz")
        return status == 503 and "Socket Mode is off" in text

    await until(says_why)
    hub.disabled = False
    await unstarted.wait(lambda: len(unstarted.sandbox.sockets) == 2, "both again")


# -- death and resurrection ----------------------------------------------------------------------------------------


async def test_killed_between_commit_and_acknowledgement(redis_url: str, tmp_path: Path) -> None:
    """kill -9 after the commit, before Slack hears of it: the next process gets the event again, and it is effective once."""
    async with socket_staged(f"{redis_url}?db=1", latency_s=0.2) as stage:
        bot = BotProcess(stage.environment, tmp_path / "log")
        stage.sandbox.bot_url = bot.url
        stage.sandbox.courier.retry_scale = 1.0  # again at once, and after a minute of Slack's time
        await bot.start()
        await stage.wait(lambda: len(stage.sandbox.sockets) == 2, "two connections")
        for socket in stage.sandbox.sockets:
            socket.deaf = True
        stage.sandbox.web_api.latency_s = 4.0  # so that it dies before its work has begun
        saying = asyncio.create_task(stage.workspace.say("support-agent", "support", "auth is not working!!"))
        client = redis.Redis.from_url(f"{redis_url}?db=1")
        await until(lambda: client.keys("*:seen:message:*"))
        await client.aclose()
        await bot.kill()
        assert not stage.rooms()  # only the commit is there
        stage.sandbox.web_api.latency_s = 0.2
        await stage.wait(
            lambda: all(call.ended_at is not None for call in stage.sandbox.calls), "what Slack still does for the dead"
        )
        await bot.start()
        await stage.advance(60)
        result = await saying
        delivery = await result.deliveries[0].finished()
        assert not delivery.attempts[0].ok
        assert delivery.ok
        assert delivery.attempts[-1].socket is not None
        room = await stage.room()
        await stage.sees("support", f"<#{room.id}>")
        await stage.sandbox.settled()
        assert len(stage.rooms()) == 1
        assert len([message for message in stage.messages("support") if room.id in said(message)]) == 1
        assert await bot.terminate() == 0


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that the test may stop; its socket is ``tmp_path / "s"``."""
    options = ["--port", "0", "--unixsocket", str(tmp_path / "s"), "--dir", str(tmp_path), "--appendonly", "yes"]
    server = subprocess.Popen([str(server_binary()), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield server
    server.send_signal(signal.SIGCONT)
    server.kill()
    server.wait()


async def test_redis_is_away(own_redis: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """An event that cannot be saved is not acknowledged and comes again until it is effective, once; a person is told at once."""
    client = redis.Redis(unix_socket_path=str(tmp_path / "s"))

    async def is_there() -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(await client.ping())
        return False

    await until(is_there)
    await client.aclose()
    async with socket_staged(f"unix://{tmp_path / 's'}", ack_timeout_s=3.0) as stage:
        await stage.start()
        await stage.connected(1, 2)
        own_redis.send_signal(signal.SIGSTOP)
        saying = asyncio.create_task(stage.workspace.say("support-agent", "support", "auth is not working!!"))
        asked = await stage.workspace.command("developer", "general", "/incident drill thing broken")
        assert "could not save" in str(asked.response)
        assert (await stage.get("/readyz"))[0] == 503
        result = await saying
        assert not result.ok or not result.deliveries[0].ok
        own_redis.send_signal(signal.SIGCONT)
        delivery = await result.deliveries[0].finished()
        assert delivery.ok
        assert [attempt.reason for attempt in delivery.attempts[:-1]] == ["http_timeout"] * (len(delivery.attempts) - 1)
        await stage.wait(lambda: [room for room in stage.rooms() if "drill" not in room.name], "the room")
        await stage.sandbox.settled()
        assert len([room for room in stage.rooms() if "drill" not in room.name]) == 1
        assert stage.numbers() == [1, 2]


async def test_shutdown_finishes_what_is_in_hand(stage: SocketStage) -> None:
    """A command that came before SIGTERM is answered, and both connections are closed properly."""
    stage.sandbox.faults.add("views.open", "slow", seconds=0.2)
    asking = asyncio.create_task(stage.workspace.command("developer", "general", "/incident"))
    await stage.wait(lambda: stage.called("views.open"), "the form under way")
    await stage.stop()
    result = await asking
    assert (result.ok, result.status) == (True, 200)
    await stage.wait(lambda: not stage.sandbox.sockets, "the end")


# -- the delay between tries ---------------------------------------------------------------------------------------


def test_backoff_doubles_up_to_its_limit_and_is_never_the_same_for_all() -> None:
    """From half a second to a minute, half of it at least."""
    backoff = Backoff(SocketTimes())
    assert backoff.delay_s() == 0.0
    for expected in (0.5, 1, 2, 4, 8, 16, 32, 60, 60):
        backoff.failed()
        delays = [backoff.delay_s() for _ in range(20)]
        assert all(expected / 2 <= delay <= expected for delay in delays)
        assert len(set(delays)) > 1
    backoff.failed(at_least_s=90)
    assert backoff.delay_s() == 90.0


def test_backoff_ends_only_with_a_connection_that_lived() -> None:
    """A goodbye right after the hello, again and again, slows down; a planned end after a good life is followed at once."""
    backoff = Backoff(SocketTimes())
    for _ in range(4):
        backoff.ended(lived_s=1, planned=True)
    assert backoff.delay_s() >= 2.0
    backoff.ended(lived_s=3_600, planned=False)
    assert 0.25 <= backoff.delay_s() <= 0.5
    backoff.ended(lived_s=3_600, planned=True)
    assert backoff.delay_s() == 0.0
