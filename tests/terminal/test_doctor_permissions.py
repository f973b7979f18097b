"""The doctor looks up whom policy.yml names: who is not found has no right by that name, and nobody would notice before 3 am."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bot.sandbox.models import UserGroup
from tests.scenarios.conftest import Stage
from tests.terminal.conftest import Report, doctor


def write(patient: Stage, policy: dict[str, Any]) -> None:
    """Write policy.yml."""
    path = Path(patient.environment["MUSTER_RUNBOOKS"], "policy.yml")
    path.write_text(yaml.safe_dump({"on_phrase": "auto", **policy}), "utf-8")


async def asked(patient: Stage, **policy: Any) -> Report:
    """The report with this policy.yml."""
    write(patient, policy)
    return await doctor(patient.environment)


async def test_the_default_names_nobody(patient: Stage) -> None:
    """The room and the owner of the workspace."""
    report = await asked(patient)
    assert (report.level("permissions"), report.text("permissions")) == ("ok", "runbooks/policy.yml names nobody; ")


async def test_everybody_who_is_named_is_found(patient: Stage) -> None:
    """Groups by handle and id, people by id and address, each once."""
    names = ["@incident-responders", "S0RESPONDERS", "U0LEAD", "CTO@example.com", "responders"]
    report = await asked(patient, permissions={"approve": names, "change": names[1:]}, admins="U0CTO")
    assert report.level("permissions") == "ok"
    assert "all 5 that runbooks/policy.yml names are in Slack" in report.text("permissions")


async def test_who_is_not_found_is_a_finding_each(patient: Stage) -> None:
    """A group that is not there or empty, nobody of that id or address, a bot, a guest, somebody who left."""
    former = patient.workspace.add_user("former", "Former", deleted=True)
    patient.sandbox.state.groups["S0EMPTY"] = UserGroup("S0EMPTY", "empty", "Empty", [])
    names = ["@nobody", "@empty", "S0NOTHING", "U0NOBODY", "gone@example.com", "U0MUSTER", "U0GUEST", former.id, "U0CTO"]
    report = await asked(patient, permissions={"approve": names})
    found = report.about("permissions")
    assert {line.level for line in found} == {"warn"}
    told = report.text("permissions")
    for part in (
        "there is no user group @nobody in Slack",
        "the user group @empty is empty",
        "there is no user group S0NOTHING",
        "U0NOBODY: ",
        "nobody in Slack has the address gone@example.com",
        "U0MUSTER is a bot in Slack, and may nothing",
        "U0GUEST is a guest in Slack",
        f"{former.id} is deactivated in Slack",
    ):
        assert part in told, part
    assert len(found) == len(names) - 1


async def test_a_workspace_without_an_admin(patient: Stage) -> None:
    """As far as Slack shows it; named ones take their place."""
    patient.sandbox.state.users["U0CTO"].is_owner = False
    assert "Slack shows no owner and no admin; name admins in runbooks/policy.yml" in (await asked(patient)).text("permissions")
    assert (await asked(patient, admins=["U0CTO"])).level("permissions") == "ok"


async def test_slack_that_does_not_answer_is_no_verdict(patient: Stage) -> None:
    """Nobody is said to be missing."""
    patient.sandbox.faults.add("usergroups.list", "500", times=100)
    report = await asked(patient, permissions={"approve": "@incident-responders"})
    assert report.level("permissions") == "warn"
    assert "not looked up in Slack" in report.text("permissions")
    patient.sandbox.revoke_token()
    assert (await asked(patient)).level("permissions") == "warn"
