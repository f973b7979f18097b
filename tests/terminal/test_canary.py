"""``muster canary`` against a running bot: every station with its time, and an exit code that a scheduler can believe."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis

from bot.cli import _WAYS, main, make_parser
from bot.domain.escalation import Way
from bot.settings import load_settings
from bot.storage.embedded import embedded_redis
from bot.terminal import canary
from tests.conftest import ROOT
from tests.scenarios.conftest import PATIENCE_S, Stage, said
from tests.scenarios.test_phone_pages import NUMBERS, with_numbers


async def fly(stage: Stage, *arguments: str, **changes: str) -> int:
    """Run the command in this process; its exit code."""
    settings = load_settings({**stage.environment, **changes})
    return await canary._run(settings, make_parser().parse_args(["canary", *arguments]))


@pytest.fixture
async def reachable(unstarted: Stage, tmp_path: Path) -> Stage:
    """A running bot that can call, text, mail and page by PagerDuty."""
    unstarted.environment.update(
        unstarted.world.environment(unstarted.sandbox.url, paging=True),
        MUSTER_RUNBOOKS=str(with_numbers(tmp_path, NUMBERS)),
    )
    await unstarted.start()
    return unstarted


async def due(stage: Stage) -> list[str]:
    """The canaries that wait in Redis."""
    async with redis.Redis.from_url(stage.environment["REDIS_URL"], decode_responses=True) as client:
        keys = [key async for key in client.scan_iter(match="*:due")]
        found = [await client.zrange(key, 0, -1) for key in keys]
    return [identity for ids in found for identity in ids if identity.startswith("canary:")]


async def none_due(stage: Stage) -> None:
    """None waits any more: the replica settles the task a moment after it has noted what became of it."""
    async with asyncio.timeout(PATIENCE_S):
        while await due(stage):  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.01)


async def test_a_test_page_reaches_the_first_of_the_ladder(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Marked as a test; no incident is opened; each station has its milliseconds."""
    assert await fly(stage) == 0
    (message,) = stage.workspace.dm("oncall")
    assert "TEST: " in said(message)
    assert "Nothing is broken" in said(message)
    assert stage.rooms() == []
    assert await stage.muster.desk.active() == []
    out = capsys.readouterr().out
    assert [line.split()[2] for line in out.splitlines()[:3]] == ["queued", "claimed", "accepted"]
    assert "slack took it for On-call engineer; round trip" in out
    await none_due(stage)


async def test_as_json(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """For whoever draws a curve of it."""
    began = time.monotonic()
    assert await fly(stage, "--format", "json", "--contact", "cto") == 0
    took_ms = (time.monotonic() - began) * 1000
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is True
    assert 0 <= result["round_trip_ms"] <= took_ms + 50  # told by Redis's clock, in whole milliseconds
    assert [station["name"] for station in result["stations"]] == ["queued", "claimed", "accepted"]
    assert len(stage.workspace.dm("cto")) == 1


@pytest.mark.parametrize("way", ["phone", "sms", "pagerduty"])
async def test_by_another_way(reachable: Stage, way: str) -> None:
    """The one that was asked for, and no other."""
    assert await fly(reachable, "--via", way) == 0
    world = reachable.world
    went = {"phone": len(world.twilio.calls), "sms": len(world.twilio.messages), "pagerduty": len(world.pagerduty.incidents)}
    assert {name: count for name, count in went.items() if count} == {way: 1}
    assert reachable.workspace.dm("oncall") == []


async def test_an_alert_of_pagerduty_is_closed_again(reachable: Stage) -> None:
    """Nobody is woken later by what its own schedules make of a test."""
    assert await fly(reachable, "--via", "pagerduty") == 0
    await reachable.wait(
        lambda: [one.status for one in reachable.world.pagerduty.incidents] == ["resolved"], "the end of the alert"
    )


@pytest.mark.slow
async def test_an_answer_is_waited_for(reachable: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody takes the call."""
    flying = asyncio.create_task(fly(reachable, "--via", "phone", "--wait-for-answer"))
    twilio = reachable.world.twilio
    await reachable.wait(lambda: twilio.calls, "the call")
    await reachable.advance(1)
    (call,) = twilio.ringing()
    assert "TEST" in call.text
    twilio.answer(call.sid)
    assert await flying == 0
    assert "answered" in capsys.readouterr().out


async def test_nobody_answers(reachable: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Accepted is not answered: 1, and why."""
    reachable.world.twilio.behave(NUMBERS["on-call"], "busy")
    flying = asyncio.create_task(fly(reachable, "--via", "phone", "--wait-for-answer"))
    await reachable.wait(lambda: reachable.world.twilio.calls, "the call")
    await reachable.advance(5)
    assert await flying == 1
    assert "not answered: the line was busy" in capsys.readouterr().err


async def test_no_replica_runs(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, and takes the page back: nobody is woken when one is started in the night."""
    await stage.stop()
    assert await fly(stage, "--timeout", "0.4") == 1
    assert "no replica picked it up within 0.4 s: is muster serve running?" in capsys.readouterr().err
    assert await due(stage) == []
    await stage.start()
    assert stage.workspace.dm("oncall") == []


async def test_a_way_that_is_not_set_up(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """1 with what to set; Slack is not taken instead."""
    assert await fly(stage, "--via", "phone") == 1
    assert "phone is not set up here" in capsys.readouterr().err
    assert stage.workspace.dm("oncall") == []


async def test_slack_that_does_not_take_it(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Tried until the time is over; where it stuck is told."""
    stage.sandbox.faults.add("conversations.open", "500", times=99)
    assert await fly(stage, "--timeout", "5") == 1
    assert "a replica has it, and no way took it within 5 s" in capsys.readouterr().err


async def test_a_contact_that_does_not_exist_is_wrong_usage(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """2, with the names that there are."""
    assert await fly(stage, "--contact", "nobody") == 2
    assert "“nobody” is nobody in contacts.yml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--via", "pigeon"], ["--timeout", "0"], ["--timeout", "-1"], ["--timeout", "soon"], ["--timeout", "inf"]]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """2, before anything is contacted."""
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(["canary", *arguments])
    assert ended.value.code == 2
    assert "muster canary" in capsys.readouterr().err


def test_the_ways_of_the_command_line_are_those_that_there_are() -> None:
    """They are written down twice, because --help must be quick."""
    assert set(_WAYS) == {way.value for way in Way}


async def test_several_workspaces_in_one_redis(stage: Stage) -> None:
    """The token says which one is meant."""
    async with redis.Redis.from_url(stage.environment["REDIS_URL"]) as client:
        await client.set("{muster:T0OTHER}:format", "1")
    assert await fly(stage) == 0
    with pytest.raises(canary.EXPECTED, match="set SLACK_BOT_TOKEN"):
        await fly(stage, SLACK_BOT_TOKEN="")


async def test_a_redis_that_is_not_there_or_not_musters(unstarted: Stage, tmp_path: Path) -> None:
    """What to look at; nothing is started."""
    with pytest.raises(canary.EXPECTED, match="holds nothing of Muster"):
        await fly(unstarted)
    with pytest.raises(canary.EXPECTED, match="check REDIS_URL"):
        await fly(unstarted, REDIS_URL=f"unix://{tmp_path}/none")
    with pytest.raises(canary.EXPECTED, match="no Muster runs on"):
        await fly(unstarted, REDIS_URL="", MUSTER_DATA_DIR=str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


async def test_the_embedded_server_is_joined_and_never_started(unstarted: Stage, tmp_path: Path) -> None:
    """While a bot uses it, the canary flies through it; when nobody does, it says so."""
    folder = tmp_path / "data"
    del unstarted.environment["REDIS_URL"]
    unstarted.environment["MUSTER_DATA_DIR"] = str(folder)
    await unstarted.start()
    assert await fly(unstarted) == 0
    await unstarted.stop()
    with pytest.raises(canary.EXPECTED, match="no Muster runs on"):
        await fly(unstarted)
    async with embedded_redis(folder) as server:
        assert server.owned  # it had been stopped with the bot, and nothing has started it since


async def test_as_a_command(stage: Stage) -> None:
    """The console script, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "canary",
        "--timeout",
        "20",
        env=stage.environment,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    assert "round trip" in out.decode()


def test_a_fault_is_one_line_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every command."""
    monkeypatch.setenv("MUSTER_ENV_FILE", "")
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/none")
    assert main(["canary"]) == 1
    lines: Any = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("muster: Redis cannot be reached")
