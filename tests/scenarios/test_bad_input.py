"""What must not hurt: hostile titles, providers that misbehave, starts that cannot work, and a Redis that is gone."""

from __future__ import annotations

import asyncio
import copy
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis

from bot.sandbox.models import BOT_USER_ID
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.storage.embedded import server_binary
from tests.conftest import ROOT
from tests.scenarios.conftest import MANIFEST, Stage, said, staged

Json = dict[str, Any]
OVERRIDE = "\u202e"


# -- titles --------------------------------------------------------------------------------------------------------

HOSTILE = {
    "everybody": "<!channel> <!here> <!everyone> <!subteam^S0RESPONDERS>",
    "a mention": "<@U0CTO> look",
    "a link": "<https://evil.example|Approve>",
    "ten thousand characters": "x" * 10_000,
    "turned around": f"invoice {OVERRIDE}gnp.exe",
    "escaped twice": "&lt;!channel&gt; &amp;amp;",
    "marks": "*bold* _it_ ~no~ `code` ```fence``` > quote",
    "combining marks": "a" + "\u0301" * 500,
    "control characters": "one\ttwo\x07three\u2028four",
    "emoji": "👩‍👩‍👧‍👦" * 200,
    "a template": "{incident.client._token} ${HOME} %(x)s {{7*7}} {:>10000000}",
}


def everything_said(stage: Stage) -> Iterator[tuple[str, str]]:
    """(kind, text) of everything that Muster put before anybody: mrkdwn, plain text, fall-backs, topics, names."""
    for call in stage.sandbox.calls:
        if call.method in ("chat.postMessage", "chat.update", "response_url"):
            yield "mrkdwn", str(call.arguments.get("text", ""))
            yield from _texts(call.structure("blocks"))
        if call.method.startswith("views."):
            yield from _texts(call.structure("view"))
        yield "mrkdwn", str(call.arguments.get("topic", ""))
        yield "name", str(call.arguments.get("name", ""))
    for delivery in stage.sandbox.deliveries:
        answer = delivery.attempts[0].json() if delivery.attempts else None
        if isinstance(answer, dict):
            yield "mrkdwn", str(answer.get("text", ""))
            yield from _texts(answer)


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if isinstance(value.get("text"), str) and value.get("type") in ("mrkdwn", "plain_text"):
            yield value["type"], value["text"]
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


@pytest.mark.parametrize("way", ["command", "form"])
@pytest.mark.parametrize("title", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_title_is_only_a_title(stage: Stage, title: str, way: str) -> None:
    """Shown literally, cut, without marks that turn the text around, and calling nobody, wherever it appears."""
    if way == "form":
        await stage.workspace.command("developer", "support", "/incident")
        view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
        sent = await stage.workspace.submit_view("developer", view["id"], {"title": {"value": title}})
        if sent.errors:  # longer than the input takes: Slack's client says so
            assert len(title) > 120
            return
        assert sent.ok
    else:
        await stage.workspace.command("developer", "support", f"/incident {title}")
    room = await stage.room()
    page = (await stage.wait(lambda: stage.workspace.dm("oncall"), "the page"))[0]
    await stage.sees("incidents", f"<#{room.id}>")
    await stage.wait(lambda: room.topic.value, "the topic")
    await stage.sandbox.settled()
    for kind, text in everything_said(stage):
        assert OVERRIDE not in text
        assert len(text) <= 3_000
        if kind == "mrkdwn":
            for markup in ("<!channel", "<!here", "<!everyone", "<!subteam", "<@U0CTO", "<https://evil"):
                assert markup not in text, text
    assert len(room.name) <= 80
    assert len(room.topic.value) <= 250
    assert stage.card(room.name)["blocks"][0]["text"]["text"].strip()
    assert "SEV" in said(page)
    assert "U0CTO" not in room.members


# -- providers that misbehave --------------------------------------------------------------------------------------

FAULTS = ("unauthorized", "rate_limited", "error", "html")


@pytest.mark.parametrize("fault", ["html", "error"])
async def test_a_status_page_that_misbehaves_is_unknown(stage: Stage, fault: str) -> None:
    """Never green, never the reason to suggest a branch; what to do stands beside it."""
    stage.world.set("status_page", fault)
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    card = await stage.sees(room.name, "Clerk status page: *unknown*")
    assert "↳" in reading(card, "Clerk status page")
    assert "suggests" not in said(card)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_vercel_that_misbehaves_is_unknown(stage: Stage, fault: str) -> None:
    """The variables could not be seen, and the card says whose token to look at where that helps."""
    stage.world.set("vercel_api", fault)
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    card = await stage.sees(room.name, "Clerk variables in Vercel: *unknown*")
    text = reading(card, "Clerk variables in Vercel")
    assert "↳" in text
    assert "VERCEL_TOKEN" in text or fault != "unauthorized"


@pytest.mark.parametrize("health", ["unhealthy", "down"])
async def test_an_application_that_is_ill_is_failing(stage: Stage, health: str) -> None:
    """An endpoint that answers 200 and says that it is unhealthy, and one that is not there."""
    stage.world.set("app_health", health)
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    card = await stage.sees(room.name, "Our health endpoint: *failing*")
    assert "suggests *Application issue*" in said(card)


def reading(card: Json, title: str) -> str:
    """The lines of one diagnostic in the diagnosis."""
    diagnosis = next(
        block["text"]["text"] for block in card["blocks"] if block.get("text", {}).get("text", "").startswith("*Diagnosis*")
    )
    lines = diagnosis.split("\n")
    start = next(number for number, line in enumerate(lines) if title in line)
    end = next((number for number in range(start + 1, len(lines)) if "↳" not in lines[number]), len(lines))
    return "\n".join(lines[start:end])


async def ask(stage: Stage, step: str, user_id: str) -> Any:
    """The room of a security incident in which somebody runs a step for a user."""
    await stage.workspace.command("developer", "general", "/incident unauthorized access detected")
    room = await stage.room()
    await stage.click("developer", room.name, stage.card(room.name), "run_step", block_id=f"do:{step}")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    name = "who" if step == "find" else "user_id"
    sent = await stage.workspace.submit_view("developer", view["id"], {f"param:{name}": {"value": user_id}})
    assert sent.ok, sent
    return room


@pytest.mark.parametrize(
    ("fault", "remedy"), [("unauthorized", "CLERK_SECRET_KEY"), ("rate_limited", ""), ("error", ""), ("html", "CLERK_API_URL")]
)
async def test_a_clerk_that_misbehaves_makes_a_run_unknown(stage: Stage, fault: str, remedy: str) -> None:
    """The result says so, with the remedy; the step is not ticked."""
    stage.world.set("clerk_api", fault)
    stage.world.clerk.retry_after_s = 0
    room = await ask(stage, "find", "user_2demo")
    result = await stage.sees(room.name, "finished at", timeout_s=40)
    text = said(result)
    assert "❔" in text or "🔴" in text
    assert "↳" in text
    assert remedy in text
    (incident,) = await stage.muster.desk.active()
    assert incident.steps == {}


@pytest.mark.parametrize("fault", ["unauthorized", "error", "html"])
async def test_what_cannot_be_previewed_does_not_run(stage: Stage, fault: str) -> None:
    """There is no button to confirm, and nobody's sessions end."""
    stage.world.set("clerk_api", fault)
    room = await ask(stage, "revoke", "user_2demo")
    message = await stage.sees(room.name, "so it does not run", timeout_s=40)
    assert not [block for block in message["blocks"] if block["type"] == "actions"]
    stage.world.set("clerk_api", "ok")
    assert len(stage.world.clerk.live_sessions("user_2demo")) == 7


async def test_a_user_whom_clerk_does_not_know_is_said(stage: Stage) -> None:
    """404 from Clerk is an answer about the user, not about Clerk."""
    room = await ask(stage, "find", "user_2nobody")
    result = await stage.sees(room.name, "finished at")
    assert "user_2nobody" in said(result)
    (incident,) = await stage.muster.desk.active()
    assert incident.status == "triage"


# -- starts that cannot work ---------------------------------------------------------------------------------------


async def serve(environment: dict[str, str], folder: Path) -> tuple[int, str]:
    """(exit code, stderr) of ``python -m bot serve``, which must end by itself."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "MUSTER_ENV_FILE": "", **environment}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "serve", cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(50):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert out == b""
    return process.returncode or 0, err.decode()


@pytest.fixture
async def offline(redis_url: str) -> AsyncIterator[Stage]:
    """A workspace whose bot is a process of its own, if it starts."""
    async with staged(f"{redis_url}?db=2") as stage:
        yield stage


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Somebody else listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


async def refuses(stage: Stage, folder: Path, *wanted: str, **changes: str) -> str:
    """The start fails with one line that says what failed and what to do; the line."""
    code, err = await serve({**stage.environment, **changes}, folder)
    assert code == 1, err
    assert len(err.splitlines()) == 1, err
    assert err.startswith("muster: ")
    for text in wanted:
        assert text in err, err
    for name in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET"):
        assert stage.environment[name] not in err
    return err


async def test_a_missing_token_is_said(offline: Stage, tmp_path: Path) -> None:
    """And where it is to be found."""
    await refuses(offline, tmp_path, "SLACK_BOT_TOKEN is not set", "OAuth & Permissions", SLACK_BOT_TOKEN="")


async def test_a_missing_signing_secret_is_said(offline: Stage, tmp_path: Path) -> None:
    """It is another page of Slack's."""
    await refuses(offline, tmp_path, "SLACK_SIGNING_SECRET is not set", "Basic Information", SLACK_SIGNING_SECRET="")


async def test_a_wrong_token_is_said(offline: Stage, tmp_path: Path) -> None:
    """Slack does not know it."""
    await refuses(offline, tmp_path, "invalid_auth", "SLACK_BOT_TOKEN is not valid", SLACK_BOT_TOKEN="xoxb-somebody-elses")


async def test_a_revoked_token_is_said(offline: Stage, tmp_path: Path) -> None:
    """The app must be installed anew."""
    offline.sandbox.revoke_token()
    await refuses(offline, tmp_path, "token_revoked", "reinstall the app")


async def test_a_missing_scope_is_said(offline: Stage, tmp_path: Path) -> None:
    """By its name."""
    manifest = copy.deepcopy(MANIFEST)
    manifest["oauth_config"]["scopes"]["bot"] = ["chat:write", "commands", "users:read"]
    manifest["settings"]["event_subscriptions"]["bot_events"] = []
    sandbox = Sandbox(signing_secret="s", bot_token=offline.environment["SLACK_BOT_TOKEN"], manifest=manifest, world=World())
    await sandbox.start()
    wanted = ("MUSTER_INCIDENTS_CHANNEL cannot be looked up", "missing_scope", "channels:read", "reinstall the app")
    await refuses(offline, tmp_path, *wanted, SLACK_API_URL=sandbox.slack_api_url)
    await sandbox.stop()


async def test_an_unknown_incidents_channel_is_said(offline: Stage, tmp_path: Path) -> None:
    """With what to do about it."""
    wanted = ("MUSTER_INCIDENTS_CHANNEL", "no channel “nowhere”", "create it and invite Muster")
    await refuses(offline, tmp_path, *wanted, MUSTER_INCIDENTS_CHANNEL="#nowhere")


async def test_an_incidents_channel_without_muster_is_said(offline: Stage, tmp_path: Path) -> None:
    """Somebody has to invite it."""
    offline.sandbox.state.leave(offline.workspace.channel("incidents"), BOT_USER_ID)
    await refuses(offline, tmp_path, "Muster is not in #incidents", "/invite @muster")


async def test_a_redis_that_is_not_there_is_said(offline: Stage, tmp_path: Path, unused_tcp_port: int) -> None:
    """Which setting to look at; a password in it stays secret."""
    url = f"redis://:canary-password@127.0.0.1:{unused_tcp_port}/0"
    err = await refuses(offline, tmp_path, "Redis", "check REDIS_URL", REDIS_URL=url)
    assert "canary-password" not in err


async def test_a_slack_that_is_not_there_is_said(offline: Stage, tmp_path: Path, unused_tcp_port: int) -> None:
    """Which setting to look at."""
    await refuses(
        offline, tmp_path, "Slack cannot be reached", "SLACK_API_URL", SLACK_API_URL=f"http://127.0.0.1:{unused_tcp_port}/api/"
    )


async def test_a_port_in_use_is_said(offline: Stage, tmp_path: Path, taken_port: int) -> None:
    """Which one, and how to take another; nothing was said in Slack, and the next start works."""
    await refuses(offline, tmp_path, f"127.0.0.1:{taken_port}", "set PORT", PORT=str(taken_port))
    assert [call.method for call in offline.sandbox.calls if call.method.startswith(("chat.", "views."))] == []
    await offline.start()
    await offline.stop()


# -- a Redis that is gone ------------------------------------------------------------------------------------------


class RedisProcess:
    """A server of the test's own, which can be frozen, killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "s"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ["--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder), "--appendonly", "yes"]
        command = [str(server_binary()), *options, "--appendfsync", "always", "--logfile", str(self._folder / "log")]
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + 30
        with redis.Redis(unix_socket_path=str(self._socket)) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, "the Redis server did not start"
                    time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT goes on."""
        assert self._process
        self._process.send_signal(number)

    def stop(self) -> None:
        """Kill it."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """See ``RedisProcess``."""
    process = RedisProcess(tmp_path_factory.mktemp("r"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def on_own_redis(own_redis: RedisProcess) -> AsyncIterator[Stage]:
    """A running bot on that server."""
    async with staged(own_redis.url, ack_timeout_s=3.0) as stage:
        await stage.start()
        yield stage
        await stage.sandbox.courier.stop()
        await stage.stop()


async def ready(stage: Stage) -> tuple[int, str]:
    """What /readyz says."""
    async with aiohttp.ClientSession() as session, session.get(f"{stage.muster.url}/readyz") as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_without_redis_people_are_told_and_events_come_again(
    on_own_redis: Stage, own_redis: RedisProcess, how: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A command is answered in time with whom to call, an event is refused for Slack to repeat; then it goes on by itself."""
    stage = on_own_redis
    assert await ready(stage) == (200, "ready")
    if how == "frozen":
        own_redis.signal(signal.SIGSTOP)
    else:
        own_redis.stop()

    result = await stage.workspace.command("developer", "support", "/incident clerk down")
    assert result.ok, result.error
    assert result.duration_ms is not None
    assert result.duration_ms < 3_000
    text = said(result.response or {})
    assert "Muster could not save this" in text
    assert "It may not have happened" in text
    assert "call: On-call engineer (@oncall)" in text

    status, why = await ready(stage)
    assert status == 503
    assert "Redis" in why

    event = next(iter((await stage.workspace.say("support-agent", "support", "clerk down")).deliveries))
    assert event.attempts[0].status is not None
    assert event.attempts[0].status >= 500
    assert event.attempts[0].duration_ms < 3_000

    if how == "frozen":
        own_redis.signal(signal.SIGCONT)
    else:
        own_redis.start()
    await event.finished()
    if not event.ok:  # Slack's three retries are quicker here than a server starts; the later ones come after minutes
        assert (await stage.sandbox.redeliver(event)).status == 200
    await stage.room()
    assert await ready(stage) == (200, "ready")
    assert len(await stage.muster.desk.active()) == 1
    logged = capfd.readouterr()
    assert "Traceback" not in logged.out + logged.err + caplog.text


async def test_a_click_without_redis_is_answered(on_own_redis: Stage, own_redis: RedisProcess) -> None:
    """The person hears that it may not have happened; afterwards the same button works."""
    stage = on_own_redis
    await stage.workspace.command("developer", "support", "/incident clerk down")
    room = await stage.room()
    await stage.wait(lambda: "Diagnose again" in said(stage.card(room.name)), "the whole diagnosis")
    await stage.sandbox.settled()
    own_redis.stop()
    await stage.click("developer", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    answer = await stage.sees(room.name, "Muster could not save this", user="developer")
    assert "call: On-call engineer" in said(answer)
    own_redis.start()
    await stage.click("developer", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    await stage.sees(room.name, "✅ 1. Confirm outage")
