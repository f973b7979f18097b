"""A policy of the tests' own, and a room in which there is something to run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from bot.domain.commands import RequestRun
from bot.domain.incident import Incident
from bot.domain.outcome import Risk
from bot.domain.run import Run
from tests.conftest import ROOT
from tests.scenarios.conftest import PATIENCE_S, Stage

USER = "user_2demo"
SRE = "@incident-responders"
RUNBOOK = {
    "id": "somebody-is-in",
    "title": "Somebody is in",
    "service": "clerk",
    "severity": "SEV2",
    "triggers": {"phrases": ["somebody is in"]},
    "diagnostics": [{"id": "sessions", "title": "Sessions", "run": "clerk.list_sessions", "with": {"user_id": USER}}],
    "checklist": [
        {"id": "look", "title": "Look at the sessions", "run": "clerk.list_sessions", "with": {"user_id": USER}},
        {"id": "end", "title": "End the sessions", "run": "clerk.revoke_sessions"},
    ],
}
PHRASE = "somebody is in"


async def start(stage: Stage, folder: Path, **policy: Any) -> None:
    """Start the bot with this policy, and with the runbook."""
    target = folder / "runbooks"
    shutil.copytree(ROOT / "runbooks", target)
    (target / "clerk" / "somebody-is-in.yml").write_text(yaml.safe_dump(RUNBOOK, sort_keys=False), "utf-8")
    (target / "policy.yml").write_text(yaml.safe_dump({"on_phrase": "auto", **policy}), "utf-8")
    stage.environment["MUSTER_RUNBOOKS"] = str(target)
    await stage.start()


async def opened(stage: Stage, *, by: str = "developer") -> Any:
    """The room of the incident, with the sessions diagnosed."""
    await stage.workspace.command(by, "general", f"/incident {PHRASE}")
    room = await stage.room()
    await stage.wait(lambda: stage.workspace.user(by).id in room.members, "whoever declared it in the room")
    incident = await the_incident(stage)
    await stage.muster.desk.wait_until(incident.id, lambda now: "sessions" in now.readings, most_s=PATIENCE_S)
    return room


async def the_incident(stage: Stage) -> Incident:
    """The one open incident, as it is now."""
    (incident,) = await stage.muster.desk.active()
    return incident


async def previewed(stage: Stage, risk: Risk, *, by: str = "U0DEVELOPER") -> Run:
    """A run of this risk that somebody asked for, and that waits to be confirmed."""
    incident = await the_incident(stage)
    request = RequestRun(
        step_id="end", action="clerk.revoke_sessions", title="End the sessions", risk=risk, params={"user_id": USER}
    )
    after = (await stage.muster.desk.handle(incident.id, request, by=by)).incident
    run_id = list(after.runs)[-1]
    after = await stage.muster.desk.wait_until(incident.id, lambda now: now.runs[run_id].preview is not None, most_s=PATIENCE_S)
    return after.runs[run_id]


async def ended(stage: Stage, run_id: str) -> Run:
    """The run, once something has become of it."""
    incident = await the_incident(stage)
    after = await stage.muster.desk.wait_until(incident.id, lambda now: not now.runs[run_id].is_open, most_s=PATIENCE_S)
    return after.runs[run_id]


def revocations(stage: Stage) -> int:
    """How many sessions Clerk was asked to end."""
    return sum(row["provider"] == "clerk" and row["method"] != "GET" for row in stage.world.ledger)


def looks(stage: Stage) -> int:
    """How often Clerk was asked for anything."""
    return sum(row["provider"] == "clerk" for row in stage.world.ledger)
