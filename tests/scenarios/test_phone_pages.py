"""Woken by a call: the whole bot, a telephone that rings, and a pressed key that is the acknowledgement."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from structlog.testing import capture_logs

from bot.domain.incident import Incident
from bot.sandbox.ports import HeldPort
from tests.conftest import ROOT
from tests.scenarios.conftest import Stage, said

NUMBERS = {"on-call": "+15555550101", "engineering-lead": "+15555550102", "cto": "+15555550103"}


def with_numbers(folder: Path, numbers: dict[str, str], **contacts_yml: Any) -> Path:
    """A copy of the shipped runbooks in which these contacts have a telephone."""
    copy = folder / "runbooks"
    shutil.copytree(ROOT / "runbooks", copy)
    path = copy / "contacts.yml"
    content = yaml.safe_load(path.read_text("utf-8"))
    for contact in content["contacts"]:
        if contact["id"] in numbers:
            contact["phone"] = numbers[contact["id"]]
    path.write_text(yaml.safe_dump({**content, **contacts_yml}, sort_keys=False, allow_unicode=True), "utf-8")
    return copy


@pytest.fixture
def port() -> Iterator[int]:
    """A port for the bot; nobody else is given it before."""
    with HeldPort() as held:
        yield held.number


@pytest.fixture
async def stage(unstarted: Stage, tmp_path: Path, port: int) -> Stage:
    """A bot that can call people, at an address that the telephone exchange reaches."""
    unstarted.environment.update(
        unstarted.world.environment(unstarted.sandbox.url, paging=True),
        MUSTER_RUNBOOKS=str(with_numbers(tmp_path, NUMBERS)),
        PORT=str(port),
        MUSTER_URL=f"http://127.0.0.1:{port}",
    )
    await unstarted.start()
    return unstarted


async def called(stage: Stage, number: str) -> Any:
    """The call that rings at a number."""
    twilio = stage.world.twilio
    await stage.wait(lambda: [call for call in twilio.calls.values() if call.to == number], f"a call to {number}")
    await stage.advance(1)  # it is dialled
    (call,) = [call for call in twilio.ringing() if call.to == number]
    return call


async def only_incident(stage: Stage) -> Incident:
    """The one that is open."""
    (incident,) = await stage.muster.desk.active()
    return incident


async def test_a_pressed_1_is_the_acknowledgement(stage: Stage) -> None:
    """They hear that they have it, the card says so, and nobody else is woken."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    call = await called(stage, NUMBERS["on-call"])
    stage.world.twilio.answer(call.sid)
    assert "Press 1 to acknowledge" in call.text
    assert await stage.world.twilio.press(call.sid, "1")
    assert "Thank you, you have it." in call.text
    await stage.sees(room.name, "has it")
    incident = await only_incident(stage)
    assert incident.acknowledged is not None
    assert (incident.acknowledged.by, incident.acknowledged_via) == ("U0ONCALL", "phone")
    for _ in range(35):
        await stage.advance(60)
    assert {one.to for one in stage.world.twilio.calls.values()} <= {NUMBERS["on-call"]}
    assert stage.workspace.dm("cto") == []


async def test_another_key_is_asked_once_more(stage: Stage) -> None:
    """A slip of the finger acknowledges nothing, and does not end the chance to."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    await stage.room()
    call = await called(stage, NUMBERS["on-call"])
    stage.world.twilio.answer(call.sid)
    assert await stage.world.twilio.press(call.sid, "7")
    assert "Nothing was changed. Press 1" in call.text
    assert (await only_incident(stage)).acknowledged is None
    assert await stage.world.twilio.press(call.sid, "1")
    assert "Thank you, you have it." in call.text
    assert (await only_incident(stage)).acknowledged is not None


async def test_whoever_is_second_hears_that_somebody_has_it(stage: Stage) -> None:
    """The call was still ringing when somebody acknowledged in Slack."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    call = await called(stage, NUMBERS["on-call"])
    stage.world.twilio.answer(call.sid)
    await stage.click("developer", room.name, await stage.sees(room.name, "Acknowledge"), "acknowledge")
    await stage.sees(room.name, "has it")
    assert await stage.world.twilio.press(call.sid, "1")
    assert "Somebody else has it already." in call.text
    incident = await only_incident(stage)
    assert incident.acknowledged is not None
    assert incident.acknowledged.by == "U0DEVELOPER"


async def test_a_stranger_who_knows_the_address_acknowledges_nothing(stage: Stage) -> None:
    """Without Twilio's signature it is refused."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    await called(stage, NUMBERS["on-call"])
    incident = await only_incident(stage)
    url = f"{stage.muster.url}/pages/phone/{incident.id}~level-1~on-call"
    async with aiohttp.ClientSession() as session, session.post(url, data={"Digits": "1"}) as answer:
        assert answer.status == 403
    assert (await only_incident(stage)).acknowledged is None
    assert "has it" not in said(stage.card(room.name))


async def test_the_bot_says_at_its_start_who_is_not_reached_as_wanted(unstarted: Stage, tmp_path: Path) -> None:
    """A warning for each."""
    unstarted.environment["MUSTER_RUNBOOKS"] = str(with_numbers(tmp_path, {"cto": NUMBERS["cto"]}))
    with capture_logs() as logs:
        await unstarted.start()
    gaps = [entry["gap"] for entry in logs if entry["event"] == "not_reached_as_wanted"]
    assert any(gap.startswith("Engineering lead is reached in Slack instead of by phone") for gap in gaps)
    assert all(entry["log_level"] == "warning" for entry in logs if entry["event"] == "not_reached_as_wanted")
