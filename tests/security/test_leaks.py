"""Planted secrets and private words: in none of the places where they could come out."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from bot.domain.room import RoomRecord
from bot.sandbox.models import TEAM_ID
from tests.conftest import ROOT
from tests.process import BotProcess
from tests.scenarios.conftest import PATIENCE_S, Stage, said, staged
from tests.security.support import (
    CANARIES,
    click_of,
    everything_sent,
    everything_stored,
    one_incident,
    outage,
    read,
    send,
    told,
)

ALL = " ".join(CANARIES.values())
PRIVATE = "Zebrafish payroll was stolen by nobody"


class Served:
    """A bot as a process of its own, its log at debug level, and the workspace around it."""

    def __init__(self, stage: Stage, process: BotProcess, log: Path, runbooks: Path) -> None:
        self.stage = stage
        self.process = process
        self.log = log
        self.runbooks = runbooks

    def lines(self) -> list[dict[str, Any]]:
        """Every line of the log."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]


@pytest.fixture
async def served(redis_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """See ``Served``."""
    runbooks = tmp_path / "runbooks"
    shutil.copytree(ROOT / "runbooks", runbooks)
    async with staged(f"{redis_url}?db=3") as stage:
        environment = {**stage.environment, "LOG_LEVEL": "debug", "MUSTER_RUNBOOKS": str(runbooks), "PYTHONPATH": str(ROOT)}
        process = BotProcess(environment, tmp_path / "log")
        await process.start()
        stage.sandbox.bot_url = process.url
        yield Served(stage, process, tmp_path / "log", runbooks)
        await stage.sandbox.courier.stop()
        await process.kill()


async def everything_happens(served: Served) -> None:
    """People, a provider and a file say secrets wherever they can say anything."""
    stage, workspace = served.stage, served.stage.workspace
    for session in stage.world.clerk.sessions.values():
        session["latest_activity"] = {**(session.get("latest_activity") or {}), "city": ALL, "browser_name": ALL, "country": ALL}
    await workspace.command("developer", "general", f"/incident unauthorized access detected {ALL}")
    room = await stage.room()
    await workspace.command("developer", "support", f"/incident clerk down {CANARIES['live key']}")
    await stage.sees("incidents", "clerk down")
    for name, canary in CANARIES.items():
        await workspace.say("developer", "support", f"auth not working {canary}")
        await workspace.say("developer", "support", f"@muster lits {canary}")
        await workspace.command("developer", "support", f"/runbook {canary}")
        await workspace.command("developer", "support", f"/incident stauts {canary}")
        assert name
    message = await workspace.say("developer", "support", f"look at this {ALL}")
    await workspace.shortcut("developer", "open_incident_from_message", "support", message.ts)
    await stage.click("developer", room.name, stage.card(room.name), "skip", block_id="do:lock")
    view = (await stage.wait(lambda: workspace.views("developer"), "the form"))[-1]
    await workspace.submit_view("developer", view["id"], {"reason": {"value": f"because {ALL}"}})
    await stage.click("developer", room.name, stage.card(room.name), "run_step", block_id="do:revoke")
    view = (await stage.wait(lambda: [one for one in workspace.views("developer") if "Preview" in json.dumps(one)], "the form"))[
        -1
    ]
    refused = await workspace.submit_view("developer", view["id"], {"param:user_id": {"value": ALL}})
    assert refused.errors
    await workspace.submit_view("developer", view["id"], {"param:user_id": {"value": "user_2demo"}})
    preview = await stage.sees(room.name, "What would happen")
    await stage.click("developer", room.name, preview, "confirm_run")
    await stage.sees(room.name, "7 sessions of user_2demo ended")
    path = served.runbooks / "clerk" / "auth-outage.yml"
    path.write_text(path.read_text("utf-8").replace("severity: SEV1", f'severity: "{CANARIES["live key"]}"'), "utf-8")
    assert served.process._process is not None
    os.kill(served.process._process.pid, signal.SIGHUP)
    async with asyncio.timeout(PATIENCE_S):
        while not served.process.logged("catalog_reload_refused"):  # noqa: ASYNC110 - a file cannot be waited for
            await asyncio.sleep(0.01)


async def private_things_happen(served: Served) -> None:
    """A private incident from its opening to its end, with words at every step."""
    stage, workspace = served.stage, served.stage.workspace
    rooms = {room.id for room in stage.rooms()}
    await workspace.command("developer", "support", "/incident")
    view = (await stage.wait(lambda: [one for one in workspace.views("developer") if "broken" in json.dumps(one)], "the form"))[
        -1
    ]
    given = {"title": {"value": PRIVATE}, "private": {"value": ["private"]}, "severity": {"value": "SEV1"}}
    await workspace.submit_view("developer", view["id"], given)
    room = (await stage.wait(lambda: [one for one in stage.rooms() if one.id not in rooms], "the private room"))[0]
    await stage.wait(lambda: stage.messages(room.name) and "U0DEVELOPER" in room.members, "the card")
    await workspace.say("developer", room.name, "the zebrafish are gone, clerk down")
    await workspace.say("developer", room.name, "@muster status")
    await workspace.command("developer", room.name, "/incident status")
    await stage.click("developer", room.name, stage.card(room.name), "resolve")
    await stage.sees(room.name, "resolved")


async def test_no_secret_and_no_private_word_comes_out(served: Served, redis_url: str) -> None:
    """Logs at debug level, every key and value of Redis, the metrics, and all that was said to Slack."""
    stage = served.stage
    await everything_happens(served)
    await private_things_happen(served)
    await stage.sandbox.settled()
    log = served.log.read_text("utf-8")
    stored = await everything_stored(f"{redis_url}?db=3")
    metrics = await read(served.process.url, "/metrics")
    sent = everything_sent(stage)
    assert {name: told(text) for name, text in {"log": log, "redis": stored, "metrics": metrics, "slack": sent}.items()} == {
        "log": [],
        "redis": [],
        "metrics": [],
        "slack": [],
    }
    assert "[redacted]" in sent
    for secret in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "CLERK_SECRET_KEY", "VERCEL_TOKEN"):
        for text in (log, stored, metrics):
            assert stage.environment[secret] not in text, secret
    for words in ("ebrafish", "payroll", "auth not working", "look at this", "because"):
        assert words not in log, words
        assert words not in metrics, words
    for credential in credentials(stage):
        assert credential not in log
        assert credential not in stored
    lines = served.lines()
    assert {line["level"] for line in lines} <= {"debug", "info", "warning", "error"}
    assert [line for line in lines if "body" in line or "payload" in line or "text" in line or "blocks" in line] == []
    assert [line for line in lines if line["event"] == "fact" and not line["incident_id"].startswith("inc-")] == []


def credentials(stage: Stage) -> set[str]:
    """Every response_url and trigger_id that Slack gave the bot."""
    found: set[str] = set()
    for delivery in stage.sandbox.deliveries:
        payload = delivery.payload()
        found.update(str(payload[name]) for name in ("response_url", "trigger_id") if payload.get(name))
    assert len(found) > 20
    return found


async def test_the_metrics_have_no_names_in_them(stage: Stage) -> None:
    """No label holds a title, a person, a channel, a runbook or an incident, and none can grow without end."""
    room = await outage(stage, "clerk down zebrafish")
    await stage.click("developer", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    await stage.click("oncall", "@muster", stage.workspace.dm("oncall")[0], "acknowledge")
    text = await read(stage.muster.url, "/metrics")
    labels = set(re.findall(r'(\w+)="([^"]*)"', text))
    assert {name for name, _ in labels} <= {"kind", "method", "outcome", "via", "le", "type", "reason", "state"}
    foreign = re.compile(r"U0|C0|inc-|zebrafish|clerk-|developer|oncall|http", re.IGNORECASE)
    assert [label for label in labels if foreign.search(label[1])] == []


async def test_a_fault_of_ours_is_logged_once_without_what_was_said(stage: Stage) -> None:
    """The traceback has the place; the words, the address to answer at and the body are not in the entry."""
    catalog, broken = stage.muster.desk.catalog, dataclasses.replace(stage.muster.desk.catalog)
    object.__setattr__(broken, "runbooks", None)
    stage.muster.desk.catalog = broken
    with capture_logs() as logs:
        status, answer = await send(
            stage,
            {
                "command": "/incident",
                "text": "zebrafish are gone",
                "user_id": "U0DEVELOPER",
                "channel_id": "C0SUPPORT",
                "team_id": TEAM_ID,
                "trigger_id": "1.1.feedfeedfeedfeedfeed",
                "response_url": "https://hooks.slack.com/commands/T0/1/feedfeed",
            },
        )
    stage.muster.desk.catalog = catalog
    assert status == 500
    assert "zebrafish" not in answer
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["request_crashed"]
    assert "zebrafish" not in json.dumps(logs, default=repr)
    assert "feedfeed" not in json.dumps(logs, default=repr)


async def test_what_slack_refuses_is_logged_once_with_its_incident(stage: Stage) -> None:
    """A topic that cannot be set, a form that cannot be opened: one line each, bound to the incident."""
    with capture_logs(processors=[merge_contextvars]) as logs:
        stage.sandbox.faults.add("conversations.setTopic", "500", times=1)
        room = await outage(stage)
        await stage.wait(lambda: room.topic.value, "the topic, at the second attempt")
        await stage.sandbox.settled()
        incident = await one_incident(stage)
        stage.sandbox.faults.add("views.open", "500", times=1)
        await stage.click("developer", room.name, stage.card(room.name), "skip", block_id="do:logs")
    troubles = [entry for entry in logs if entry["log_level"] in ("warning", "error")]
    assert [entry["event"] for entry in troubles] == ["task_retried", "request_failed"]
    assert [entry["incident_id"] for entry in troubles] == [incident.id] * 2
    assert "conversations.setTopic" in troubles[0]["error"]


ELSEWHERE = (
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.1:{port}/response/x",
    "https://hooks.slack.com.evil.example/x",
    "https://evil.example/hooks.slack.com",
    "https://hooks.slack.com@127.0.0.1:{port}/x",
    "https://hooks.slack.com:{port}/x",
    "http://hooks.slack.com/x",
    "file:///etc/passwd",
    "//127.0.0.1:{port}/x",
    "http://good.example\\@127.0.0.1:{port}/x",
    "not a url at all",
    "http://[::1",
)


async def test_an_answer_goes_to_slack_and_nowhere_else(stage: Stage, elsewhere: tuple[int, list[bytes]]) -> None:
    """Whatever response_url a payload names: another host hears nothing, and the refusal is logged."""
    port, heard = elsewhere
    with capture_logs() as logs:
        for url in ELSEWHERE:
            click = click_of("tick", "inc-999/x", user="U0DEVELOPER", channel="C0SUPPORT", response_url=url.format(port=port))
            assert (await send(stage, click))[0] == 200
    await stage.stop()
    assert heard == []
    refused = [entry["error"] for entry in logs if entry["event"] == "answer_not_given"]
    assert refused == ["the response_url is not Slack's"] * len(ELSEWHERE)


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[int, list[bytes]]]:
    """The port of somebody else's server, and what it heard."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], heard
    server.close()
    await server.wait_closed()


def test_what_is_remembered_of_the_room_holds_no_text() -> None:
    """Ids, digests and Slack's codes; the topic is what the room shows anyway."""
    assert set(RoomRecord.model_fields) == {
        "version",
        "topic",
        "invited",
        "refused",
        "messages",
        "bookmarks",
        "archived",
    }


async def test_a_secret_in_a_message_is_taken_out_before_anything_keeps_it(stage: Stage) -> None:
    """Split by an invisible character and in capitals: the title, its room and the announcement do not have it."""
    key = CANARIES["live key"]
    split = key[:6] + "\u200b" + key[6:]
    await stage.workspace.say("developer", "support", f"clerk down {split.upper()}")
    room = await stage.room()
    incident = await one_incident(stage)
    assert told(incident.title) == []
    assert told(room.name.upper()) == []
    await stage.sees("incidents", f"<#{room.id}>")
    assert told(said(stage.messages("incidents")[-1])) == []
