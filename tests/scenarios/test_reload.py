"""Reading the runbooks again while Muster runs: all or nothing, open incidents untouched, and nobody has to guess."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.metrics import Metrics
from bot.reload import SHOWN_MOST, Reloader
from bot.storage.runbook_files import LoadResult
from bot.terminal.serve import _on_hangup
from tests.conftest import ROOT
from tests.scenarios.conftest import Stage, said

TITLE = "title: Confirm outage"
REFUSED = "The runbooks were not reloaded"


@pytest.fixture
def runbooks(unstarted: Stage, tmp_path: Path) -> Path:
    """A copy of the shipped runbooks, from which the bot of the stage will read."""
    folder = tmp_path / "runbooks"
    shutil.copytree(ROOT / "runbooks", folder)
    unstarted.environment["MUSTER_RUNBOOKS"] = str(folder)
    return folder


@pytest.fixture
async def stage(unstarted: Stage, runbooks: Path) -> Stage:
    """A running bot that reads the copy."""
    await unstarted.start()
    return unstarted


def edit(folder: Path, old: str, new: str) -> None:
    """Change the runbook of an outage."""
    path = folder / "clerk" / "auth-outage.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refusals(stage: Stage) -> list[str]:
    """What the incidents channel was told about reloads."""
    return [said(message) for message in stage.messages("incidents") if REFUSED in said(message)]


async def test_the_next_incident_uses_the_new_runbook_and_the_open_one_keeps_its_own(stage: Stage, runbooks: Path) -> None:
    """A good edit takes effect as a whole; what is open goes on as it began."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    old = await stage.room()
    await stage.sees(old.name, "Confirm outage")
    edit(runbooks, TITLE, "title: Look twice")
    with capture_logs() as logs:
        assert await stage.muster.reloader.reload()
    event = next(entry for entry in logs if entry["event"] == "catalog_reloaded")
    assert (event["changed"], event["added"], event["removed"]) == (["clerk-auth-outage"], [], [])

    await stage.workspace.command("developer", "general", "/incident drill clerk down")
    await stage.workspace.command("developer", "general", "/runbook clerk-auth-outage")
    await stage.sees("general", "Look twice", user="developer")
    card = await stage.sees(old.name, "Clerk status page: *ok*")
    await stage.click("developer", old.name, card, "acknowledge", block_id="incident")
    await stage.wait(lambda: "has it" in said(stage.card(old.name)), "who has it, on the card")
    card = stage.card(old.name)
    assert "Confirm outage" in said(card)
    assert "Look twice" not in said(card)
    incident = await stage.muster.desk.find_by_channel(old.id)
    assert incident is not None
    assert incident.runbook is not None
    assert incident.runbook.step("confirm").title == "Confirm outage"
    assert refusals(stage) == []


async def test_a_new_phrase_opens_an_incident_after_a_reload(stage: Stage, runbooks: Path) -> None:
    """Phrases, contacts and severities are part of the whole."""
    edit(runbooks, "    - clerk down\n", "    - clerk down\n    - login on fire\n")
    severities = runbooks / "severities.yml"
    severities.write_text(severities.read_text().replace("title: Critical", "title: Everything burns"))
    assert stage.muster.desk.catalog.matcher.match("login on fire") is None
    assert await stage.muster.reloader.reload()
    await stage.workspace.say("support-agent", "support", "login on fire!")
    room = await stage.room()
    await stage.sees(room.name, "Everything burns")


async def test_a_broken_edit_keeps_the_old_catalog_and_tells_the_channel(stage: Stage, runbooks: Path) -> None:
    """One message: how many, the first few with file, line and column, who can mend it; nothing in it is alive."""
    before = stage.muster.desk.catalog
    edit(runbooks, TITLE, "title: Confirm outage\n    runn: <!channel>")
    edit(runbooks, "severity: SEV1", "severity: <!here>")
    (runbooks / "contacts.yml").write_text("contacts: [\n")
    (runbooks / "severities.yml").write_bytes(b"\xff")
    with capture_logs() as logs:
        assert not await stage.muster.reloader.reload()
    assert stage.muster.desk.catalog is before
    message = await stage.sees("incidents", REFUSED)
    text = said(message)
    assert "4 errors" in text
    assert "clerk/auth-outage.yml:4:11: `severity` is “<!here>”" in text
    assert "contacts.yml:2:1: " in text
    assert f"… and {4 - SHOWN_MOST} more" in text
    assert "muster check" in text
    assert str(runbooks) not in text
    foreign = [block["text"] for block in message["blocks"] if "<!here>" in json.dumps(block)]
    assert [item["type"] for item in foreign] == ["plain_text"]
    assert [entry["event"] for entry in logs].count("catalog_fault") == 4
    assert 'muster_reloads_total{outcome="refused"} 1.0' in (await metrics_of(stage))

    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    await stage.sees(room.name, "Confirm outage")
    assert len(refusals(stage)) == 1


async def metrics_of(stage: Stage) -> str:
    """What /metrics answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.muster.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return text


async def test_mended_files_are_taken(stage: Stage, runbooks: Path) -> None:
    """Each try is told about, however often it fails, until it does not."""
    edit(runbooks, TITLE, "titel: Confirm outage")
    assert not await stage.muster.reloader.reload()
    assert not await stage.muster.reloader.reload()
    await stage.wait(lambda: len(refusals(stage)) == 2, "a message for each try")
    edit(runbooks, "titel: Confirm outage", "title: Look twice")
    assert await stage.muster.reloader.reload()
    assert stage.muster.desk.catalog.runbooks["clerk-auth-outage"].step("confirm").title == "Look twice"
    metrics = await metrics_of(stage)
    assert 'muster_reloads_total{outcome="ok"} 1.0' in metrics
    assert 'muster_reloads_total{outcome="refused"} 2.0' in metrics


async def test_replicas_tell_it_once(stage: Stage, runbooks: Path) -> None:
    """All are sent the signal and read the same files; the first one speaks."""
    edit(runbooks, TITLE, "titel: Confirm outage")
    second = another(stage, stage.muster.reloader._read)
    assert [await stage.muster.reloader.reload(), await second.reload()] == [False, False]
    await stage.wait(lambda: refusals(stage), "the message")
    await stage.sandbox.settled()
    assert len(refusals(stage)) == 1


def another(stage: Stage, read: object) -> Reloader:
    """A reloader beside that of the bot, which reads with ``read``."""
    first = stage.muster.reloader
    return Reloader(
        desk=stage.muster.desk,
        clock=first._clock,
        read=read,  # type: ignore[arg-type]
        folder=first._folder,
        slack=first._slack,
        channel_id=first._channel_id,
        redact=first._redact,
        registry=Metrics().registry,
    )


async def test_a_fault_of_ours_ends_nothing(stage: Stage) -> None:
    """What the loader should never do is logged and told, and the next reload is tried all the same."""

    def read() -> LoadResult:
        raise RuntimeError("a bug")

    before = stage.muster.desk.catalog
    with capture_logs() as logs:
        assert not await another(stage, read).reload()
    assert stage.muster.desk.catalog is before
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["catalog_reload_failed"]
    assert "could not be read" in said(await stage.sees("incidents", REFUSED))


async def test_without_slack_the_log_has_it(stage: Stage, runbooks: Path) -> None:
    """The old catalog stays, nothing is raised, and the log says that the channel does not know."""
    edit(runbooks, TITLE, "titel: Confirm outage")
    stage.sandbox.faults.add("chat.postMessage", "500", times=10)
    with capture_logs() as logs:
        assert not await stage.muster.reloader.reload()
    events = [entry["event"] for entry in logs if entry["log_level"] == "error"]
    assert events == ["catalog_fault", "catalog_reload_refused", "catalog_refusal_untold"]
    assert refusals(stage) == []


async def test_a_folder_that_is_gone(stage: Stage, runbooks: Path) -> None:
    """Between two versions of a checkout there may be none at all."""
    os.rename(runbooks, f"{runbooks}-away")
    assert not await stage.muster.reloader.reload()
    assert "is not a folder" in said(await stage.sees("incidents", REFUSED))
    assert stage.muster.desk.catalog.runbooks


async def test_secrets_in_a_file_are_not_told(stage: Stage, runbooks: Path) -> None:
    """Whoever pastes a token into a runbook does not read it in the channel."""
    edit(runbooks, "severity: SEV1", "severity: sk_live_abcdefghijklmnop")
    assert not await stage.muster.reloader.reload()
    text = said(await stage.sees("incidents", REFUSED))
    assert "sk_live" not in text
    assert "clerk/auth-outage.yml:4:11" in text


def test_a_closed_terminal_is_no_wish_to_reload() -> None:
    """SIGHUP means both; without the terminal that there was, the bot ends instead of living on unseen."""
    window, terminal = os.openpty()

    def hang_up(descriptor: int | None) -> tuple[bool, bool]:
        reload, stop = asyncio.Event(), asyncio.Event()
        _on_hangup(reload, stop, descriptor)
        return reload.is_set(), stop.is_set()

    assert hang_up(None) == (True, False)
    assert hang_up(terminal) == (True, False)
    os.close(window)
    assert hang_up(terminal) == (False, True)
    os.close(terminal)


@contextlib.asynccontextmanager
async def served(stage: Stage) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    """``muster serve`` as a process of its own, and its log."""
    environment = {**os.environ, **stage.environment, "LOG_FORMAT": "json", "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "serve",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    assert process.stderr is not None
    try:
        yield process, process.stderr
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def logged(log: asyncio.StreamReader, event: str) -> dict[str, object]:
    """The next line of the log with this event."""
    async with asyncio.timeout(50):
        async for line in log:
            entry: dict[str, object] = json.loads(line)
            if entry["event"] == event:
                return entry
    raise AssertionError(f"the bot ended without {event}")


async def test_sighup_reloads_a_running_bot(unstarted: Stage, runbooks: Path) -> None:
    """The signal itself, to a process of its own: refused, then taken, and the process lives on."""
    async with served(unstarted) as (process, log):
        ready = await logged(log, "ready")
        unstarted.sandbox.bot_url = f"http://127.0.0.1:{ready['port']}"
        edit(runbooks, TITLE, "titel: Confirm outage")
        process.send_signal(signal.SIGHUP)
        assert (await logged(log, "catalog_reload_refused"))["faults"] == 1
        await unstarted.sees("incidents", REFUSED)
        edit(runbooks, "titel: Confirm outage", "title: Look twice")
        process.send_signal(signal.SIGHUP)
        assert (await logged(log, "catalog_reloaded"))["changed"] == ["clerk-auth-outage"]
        await unstarted.workspace.command("developer", "general", "/incident clerk down")
        room = await unstarted.room()
        await unstarted.sees(room.name, "Look twice")
        await unstarted.sandbox.courier.stop()
        process.terminate()
        assert await process.wait() == 0
