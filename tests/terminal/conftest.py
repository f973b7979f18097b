"""The doctor's patient: a sandbox with its world, and the settings of a bot in it; and the lines that the doctor has for it."""

from __future__ import annotations

import copy
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.settings import load_settings
from bot.storage.embedded import server_binary
from bot.terminal.doctor import DEADLINE_S, examine
from bot.terminal.findings import Finding
from tests.conftest import ROOT
from tests.scenarios.conftest import MANIFEST, Stage, stage, staged, unstarted

__all__ = ["stage", "unstarted"]


@dataclass
class Report:
    """The findings, to be asked by what they are about."""

    findings: list[Finding]

    def about(self, what: str) -> list[Finding]:
        """The lines about one thing."""
        return [found for found in self.findings if found.what == what]

    def level(self, what: str) -> str:
        """The level of the only line about it."""
        (found,) = self.about(what)
        return found.level

    def text(self, what: str) -> str:
        """All that is said about it."""
        return "\n".join(f"{found.finding}; {found.remedy}" for found in self.about(what))

    def levels(self) -> set[str]:
        """All levels that there are."""
        return {found.level for found in self.findings}

    def faults(self) -> list[str]:
        """What is at fault."""
        return [found.what for found in self.findings if found.level == "fault"]


CONTACTS: dict[str, Any] = {
    "contacts": [
        {"id": "on-call", "name": "On-call engineer", "slack": "@oncall"},
        {"id": "engineering-lead", "name": "Engineering lead", "slack": "@engineering-lead"},
        {"id": "cto", "name": "CTO", "slack": "@cto"},
        {"id": "secondary-on-call", "name": "Secondary on-call engineer", "slack": "@developer"},
    ],
    "teams": [
        {"id": "engineering", "name": "Engineering", "members": ["on-call", "engineering-lead"]},
        {"id": "executives", "name": "Executives", "members": ["cto"]},
    ],
    "policies": [
        {
            "id": "default",
            "levels": [
                {"after": "0m", "until": "acknowledged", "notify": ["on-call"]},
                {"after": "15m", "until": "acknowledged", "notify": ["engineering-lead"]},
                {"after": "30m", "until": "acknowledged", "notify": ["cto"]},
            ],
        }
    ],
}
"""Everybody who is needed can be reached, and nobody else is there: what a team has that has filled in its file."""


def filled_in(folder: Path, **changes: Any) -> Path:
    """A copy of the runbooks of Clerk, with ``CONTACTS``."""
    target = folder / "runbooks"
    shutil.copytree(ROOT / "runbooks", target)
    content = {**copy.deepcopy(CONTACTS), **changes}
    (target / "contacts.yml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "utf-8")
    return target


@pytest.fixture
def patient(unstarted: Stage, tmp_path: Path) -> Stage:
    """A bot that is not started, with everything filled in and watched from outside."""
    unstarted.environment["MUSTER_RUNBOOKS"] = str(filled_in(tmp_path))
    unstarted.environment["MUSTER_HEARTBEAT_URL"] = "http://127.0.0.1:9/beat"
    unstarted.environment["DATABASE_URL"] = "postgresql://somebody:made-up@127.0.0.1:9/app"
    mail = unstarted.world.environment(unstarted.sandbox.url, paging=True)
    unstarted.environment.update({name: mail[name] for name in ("SMTP_URL", "SMTP_FROM")})
    return unstarted


async def doctor(environment: Mapping[str, str], *, deadline_s: float = DEADLINE_S, **changes: str) -> Report:
    """The report on these settings; an empty value unsets one."""
    settings = load_settings({**environment, **changes})
    return Report(await examine(settings, deadline_s=deadline_s))


def manifest_without(*scopes: str) -> dict[str, Any]:
    """The app as somebody installed it who left out some scopes."""
    manifest: dict[str, Any] = copy.deepcopy(MANIFEST)
    granted = manifest["oauth_config"]["scopes"]["bot"]
    manifest["oauth_config"]["scopes"]["bot"] = [scope for scope in granted if scope not in scopes]
    return manifest


@asynccontextmanager
async def installed(manifest: dict[str, Any], redis_url: str, **options: Any) -> AsyncIterator[Stage]:
    """A sandbox in which this app is installed, and the environment of a bot in it."""
    async with staged(redis_url, manifest=manifest, **options) as patient:
        yield patient
        await patient.sandbox.courier.stop()
        await patient.stop()


@pytest.fixture
def forgetful_redis(tmp_path: Path) -> Iterator[str]:
    """The URL of a server as distributions configure it: no append-only file."""
    socket = tmp_path / "s"
    options = ["--port", "0", "--unixsocket", socket, "--appendonly", "no", "--save", "", "--dir", tmp_path]
    process = subprocess.Popen([server_binary(), *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not socket.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        yield f"unix://{socket}"
    finally:
        process.kill()
        process.wait()
