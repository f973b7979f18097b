"""Keeping what the review needs: everything that is configured, what could not be read is named, and no secret is in it."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from bot.actions import logs
from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.outcome import Outcome, State
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.sandbox.world import World, clerk, vercel

SPEC = load_actions()["logs.preserve"]
FACTS = RunFacts(incident_id="inc-7", requested_by="terminal:root", accounts=("user_2demo", "user_2quiet"))
ENTRY = json.dumps({"seq": 1, "fact": {"kind": "incident_opened", "title": "Somebody is in"}})
FILED = json.dumps({"seq": 2, "fact": {"kind": "run_finished", "outcome": {"summary": "Saved", "report": "FORMERFILE" * 50}}})


async def timeline() -> str:
    """What the incident has on record."""
    return f"{ENTRY}\n{FILED}\n"


@pytest.fixture
def incident(context: ActionContext) -> ActionContext:
    """A context for an incident with two accounts."""
    return replace(context, run=FACTS, timeline=timeline)


async def preserve(context: ActionContext, **params: Any) -> Outcome:
    """Run it."""
    return await execute(SPEC, params, context)


def section(outcome: Outcome, title: str) -> list[str]:
    """The lines of one part of the file."""
    text = outcome.report.split(f"== {title} ==\n")[1]
    return text.split("\n== ")[0].strip().splitlines()


async def test_the_sessions_with_address_place_and_device(incident: ActionContext) -> None:
    """Those that have ended too; a spreadsheet can read it."""
    outcome = await preserve(incident)
    assert outcome.state is State.OK, outcome.summary
    rows = list(csv.DictReader(section(outcome, "Sessions")))
    assert len([row for row in rows if "user_2demo" in row.values()]) == 10
    assert any({"198.51.100.7", "Berlin", "DE"} <= set(row.values()) for row in rows)
    assert "13 sessions of 2 accounts" in outcome.summary


async def test_the_deployments_and_the_names_of_the_variables(incident: ActionContext) -> None:
    """Never a value."""
    outcome = await preserve(incident)
    lines = section(outcome, "Deployments and variables")
    assert any(line.startswith("dpl_") for line in lines)
    assert any(line.startswith("CLERK_SECRET_KEY · production") for line in lines)


async def test_the_timeline_without_the_files_in_it(incident: ActionContext) -> None:
    """A file of all files would double each time."""
    outcome = await preserve(incident)
    first, second = (json.loads(line) for line in section(outcome, "Timeline"))
    assert first["fact"]["title"] == "Somebody is in"
    assert second["fact"]["outcome"]["report"].startswith("left out here, SHA-256 ")
    assert "FORMERFILE" not in outcome.report
    assert outcome.report.startswith("Saved 20")
    assert "for inc-7, asked for by terminal:root" in outcome.report


async def test_the_checksum_is_that_of_the_file(incident: ActionContext) -> None:
    """Of what is kept, after everything that had to be taken out of it."""
    outcome = await preserve(incident)
    assert outcome.facts["sha256"] == hashlib.sha256(outcome.report.encode()).hexdigest()
    assert str(outcome.facts["sha256"]) in outcome.details[0]


async def test_no_secret_is_in_the_file(incident: ActionContext, world: World) -> None:
    """Neither a key of ours nor what a provider put where it does not belong."""

    async def leaking() -> str:
        return json.dumps({"fact": {"text": f"{clerk.SECRET_KEY} {vercel.TOKEN} whsec_CANARYCANARY"}}) + "\n"

    outcome = await preserve(replace(incident, timeline=leaking))
    for secret in (clerk.SECRET_KEY, vercel.TOKEN, "whsec_CANARY", "PRIVATEMETADATACANARY", "sandbox.example"):
        assert secret not in outcome.model_dump_json(), secret
    assert outcome.facts["sha256"] == hashlib.sha256(outcome.report.encode()).hexdigest()


async def test_named_users_go_first(incident: ActionContext) -> None:
    """And nobody else is looked at."""
    outcome = await preserve(incident, user_ids=["user_2pending"])
    assert {"user_2pending"} == {value for row in csv.DictReader(section(outcome, "Sessions")) for value in row.values()} & {
        "user_2pending",
        "user_2demo",
    }


@pytest.mark.parametrize(("switch", "title"), [("clerk_api", "Sessions"), ("vercel_api", "Deployments and variables")])
@pytest.mark.parametrize("fault", ["unauthorized", "error", "html"])
async def test_what_cannot_be_read_is_named_and_the_rest_is_kept(
    incident: ActionContext, world: World, switch: str, title: str, fault: str
) -> None:
    """Never green; what to do is said."""
    if fault not in world.switches()[switch]["options"]:
        fault = "error"
    world.set(switch, fault)
    outcome = await preserve(incident)
    assert outcome.state is State.UNKNOWN
    assert "Not saved: " in outcome.summary
    assert "before the sessions are revoked" in outcome.remedy
    assert "(not complete: " in "\n".join(section(outcome, title))
    assert len(section(outcome, "Timeline")) == 2


async def test_more_accounts_than_are_read(incident: ActionContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are left out are counted."""
    monkeypatch.setattr(logs, "MOST_ACCOUNTS", 1)
    outcome = await preserve(incident)
    assert outcome.state is State.UNKNOWN
    assert "sessions of 1 more accounts" in outcome.summary


async def test_more_sessions_than_a_page_are_said(incident: ActionContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not read is not saved: never green."""
    monkeypatch.setattr(logs, "MAX_LIMIT", 7)
    outcome = await preserve(incident, user_ids=["user_2demo"])
    assert outcome.state is State.UNKNOWN
    assert "sessions of user_2demo (more than could be read)" in outcome.summary


async def test_a_file_that_would_be_too_long_is_cut_and_said_to_be(
    incident: ActionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies in the timeline, which is read at every turn."""
    monkeypatch.setattr(logs, "MAX_CHARS", 300)
    outcome = await preserve(incident)
    assert outcome.state is State.UNKNOWN
    assert outcome.report.endswith("… cut here\n")
    assert "behind the first 300 characters" in outcome.summary


async def test_nothing_that_could_be_saved(incident: ActionContext) -> None:
    """Without a provider and an incident: unknown, never green."""
    async with Providers(ProviderConfig()) as providers:
        outcome = await preserve(replace(incident, providers=providers, run=RunFacts()))
    assert (outcome.state, outcome.value) == (State.UNKNOWN, "nothing to save")


async def test_an_id_that_is_none_is_refused_before_any_call(incident: ActionContext, world: World) -> None:
    """By its pattern."""
    outcome = await preserve(incident, user_ids=["../../v1/user"])
    assert outcome.state is State.UNKNOWN
    assert world.ledger == []
