"""A part of what `make chaos` tries with every action that changes something: one phase of each, another one with each commit.

``ACTIONS_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bot.actions.registry import load_actions
from bot.domain.runbook import Runbook
from bot.services.crashpoints import POINTS
from bot.storage.runbook_files import load_catalog
from tests.chaos import actions
from tests.chaos.actions import BLIND, INTENT, SHORT, WAY_BACK, WHOLE, Act, Cell, Phase, changing_actions, phases_of, step_of
from tests.chaos.acts import BY_NAME, TABLE
from tests.conftest import ROOT


def seed() -> str:
    """What was given, else the commit: whoever runs it again gets the same."""
    given = os.environ.get("ACTIONS_SEED")
    if given:
        return given
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return commit.stdout.strip() or "no commit"


def sample(chance: random.Random) -> list[tuple[Act, Phase]]:
    """For each action one of the phases that matter most, and of the special ones one each."""
    wanted = [(act, chance.choice([phase for phase in SHORT if act.passes(phase.point)])) for act in TABLE]
    bypass = BY_NAME["clerk.emergency_bypass"]
    wanted.append((bypass, chance.choice(WAY_BACK)))
    wanted += [(act, chance.choice(BLIND)) for act in TABLE if act.idempotency == "lookup"]
    chance.shuffle(wanted)
    return wanted


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_killed_and_finished_by_another_replica(redis_url: str) -> None:
    """One effect at the most, none lost, and "unknown" where nobody can know; each call between its intent and its outcome."""
    chosen = seed()
    print(f"ACTIONS_SEED={chosen}")
    wanted = sample(random.Random(chosen))  # noqa: S311 - a seed that can be given again
    cells = await actions.try_all(redis_url, wanted, at_once=2, first_database=12)
    assert [cell.line() for cell in cells if cell.wrong] == []
    assert len(cells) == len(wanted), "PostgreSQL is not installed: apt install postgresql"


def test_the_table_has_every_action_that_changes_something() -> None:
    """With what it declares about its repetition; a new action without a line here is a hole."""
    assert {act.name: act.idempotency for act in TABLE} == changing_actions()


def test_every_phase_is_a_point() -> None:
    """What is tried exists; and what takes itself back is killed on its way back, too."""
    for act in TABLE:
        found = phases_of(act, whole=True)
        assert {phase.point for phase in found} <= set(POINTS)
        assert {INTENT, WHOLE[1], *WHOLE[-3:]} <= set(found), act.name
        assert (set(WAY_BACK) <= set(found)) == bool(load_actions()[act.name].revert_after_s)
        assert (set(BLIND) <= set(found)) == (act.idempotency == "lookup")
        assert set(phases_of(act, whole=False)) <= set(found)


def test_the_calls_before_and_after_are_caught_for_everything_but_a_file() -> None:
    """An export calls nobody: it reads, and writes a file, which is there or not."""
    without = {act.name: [phase.point for phase in SHORT if not act.passes(phase.point)] for act in TABLE}
    assert {name: points for name, points in without.items() if points} == {"application.export_table": ["effect.answered"]}


def test_the_runbook_has_a_step_for_each(tmp_path: Path) -> None:
    """What people press in this workspace."""
    overrides = {"CLERK_APP_URL": "http://127.0.0.1:9"}
    loaded = load_catalog(actions.write_runbooks(tmp_path), actions=load_actions(), overrides=overrides)
    assert loaded.catalog, [str(fault) for fault in loaded.faults]
    runbook: Runbook = loaded.catalog.runbooks["clerk-auth-outage"]
    assert {step.id: step.run for step in runbook.checklist} == {step_of(act): act.name for act in TABLE}


def test_a_cell_says_what_is_wrong() -> None:
    """The table would not be worth much otherwise."""
    whole = Cell(action="clerk.ban_user", phase=SHORT[0], state="ok", calls=1)
    assert whole.line().split() == ["clerk.ban_user", "effect.asked:1", "ok", "1"]
    assert replace(whole, wrong=("2 × MAIL", "it is not done")).line().endswith("1  2 × MAIL; it is not done")
    assert str(WAY_BACK[0]) == "claimed.revert:1 of the way back"
    assert str(BLIND[0]) == "effect.asked:1, blind"
