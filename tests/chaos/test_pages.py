"""Pages under fire on Debian's Redis, for a minute; and the judge, on runs that are made up.

On the embedded server: ``make chaos``. PAGES_SEED repeats the plan of a run that failed.
"""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.actions.registry import load_actions
from bot.domain.plan import make_plan
from bot.storage.runbook_files import load_catalog
from tests.chaos import pages
from tests.chaos.pages_ground import CLOCK_OFF, CONTACTS, DAY_S, LEVELS, write_runbooks
from tests.chaos.pages_judge import Attempt, Due, Evidence, Span, judge
from tests.conftest import ROOT

FIRE_S = 48.0
"""With its start and its end, about a minute."""
DUE_PER_MINUTE = 400


@pytest.mark.slow
@pytest.mark.timeout(FIRE_S + pages.COMPLETE_S + 60)
async def test_no_page_is_lost_whatever_dies() -> None:
    """Every page that was due was made or stopped; every repetition has a reason; nobody is called behind an acknowledgement."""
    binary = pages.debian_server()
    if binary is None:
        pytest.skip("needs Debian's redis-server: apt install redis-server")
    seed = int(os.environ.get("PAGES_SEED") or secrets.randbelow(1_000_000))
    report = await pages.fight(binary, seconds=FIRE_S, seed=seed, name="Debian's Redis")
    print(report.text())
    assert report.verdict.due >= DUE_PER_MINUTE * FIRE_S / 60
    assert report.kills >= 6
    assert report.redis_killed >= 3
    assert report.redis_hung >= 1
    assert report.verdict.lost == []
    assert report.verdict.unexplained == []
    assert report.verdict.behind == []
    assert report.verdict.uncalled_for == []
    assert report.cries == ()


def test_the_runbooks_of_the_fire_have_no_fault(tmp_path: Path) -> None:
    """Forty people on four levels, each to be reached in at least two ways."""
    folder = write_runbooks(tmp_path)
    result = load_catalog(folder, actions=load_actions(), overrides={"CLERK_APP_URL": "http://127.0.0.1:9"})
    assert result.catalog, [str(fault) for fault in result.faults]
    plan = make_plan(result.catalog, None)
    assert [len(level.notify) for level in plan.levels] == [CONTACTS] * LEVELS
    assert min(len(contact.ways) for contact in plan.people.values()) >= 2


def test_the_clock_of_a_replica_is_a_day_off() -> None:
    """Otherwise the run would prove nothing about wrong clocks."""
    script = "from bot.storage.redis import RedisClock; import time; print(RedisClock().now().isoformat(), time.time())"
    environment = {**os.environ, "PYTHONPATH": str(CLOCK_OFF), "CLOCK_OFF_S": str(DAY_S)}
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    now = datetime.now(UTC).timestamp()
    assert datetime.fromisoformat(told[0]).timestamp() - now == pytest.approx(DAY_S, abs=30)
    assert float(told[1]) - now == pytest.approx(DAY_S, abs=30)


# -- the judge -----------------------------------------------------------------------------------------------------

DUE = Due(incident=1, level=1, contact="l1-1", due_at=100.0)


def attempt(at: float, *, way: str = "phone", note: str = "", accepted: bool = True, replica: int | None = 0) -> Attempt:
    """Of that page."""
    return Attempt(at=at, way=way, incident=1, contact="l1-1", key=f"{way} 1", accepted=accepted, note=note, replica=replica)


def run(*attempts: Attempt, due: Due = DUE, **known: object) -> Evidence:
    """A run with this page alone."""
    evidence = Evidence(due=[due], attempts=attempts, kills=[], away=[])
    return replace(evidence, **known)  # type: ignore[arg-type]


def test_a_page_that_nobody_took_is_lost() -> None:
    """Also when it was tried; not when somebody acknowledged before it could be made."""
    refused = attempt(100.2, accepted=False, note="429")
    assert len(judge(run(refused)).lost) == 1
    assert judge(run(refused, attempt(101.3))).lost == []
    stopped = judge(run(refused, due=replace(DUE, acknowledged_at=101.0)))
    assert (stopped.lost, stopped.stopped) == ([], 1)


def test_a_page_that_was_still_missing_when_it_was_over_is_lost() -> None:
    """To resolve an incident is no excuse: it is done when all is done."""
    assert len(judge(run(due=replace(DUE, over_at=130.0))).lost) == 1


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, ""),
        ({"kills": [(100.5, 0)]}, "after a kill"),
        ({"kills": [(100.5, 1)]}, ""),
        ({"kills": [(99.0, 0)]}, ""),
        ({"away": [Span(start=100.4, end=101.0, what="Redis killed")]}, "after Redis was away"),
        ({"leases": [(102.0, "inc-1:g1:page:level-1:l1-1:1")]}, "after a lost lease"),
        ({"leases": [(102.0, "inc-1:g1:page:level-1:l1-10:1")]}, ""),
    ],
)
def test_a_repetition_needs_a_reason(known: dict[str, object], reason: str) -> None:
    """That of its own replica, its own moment, its own task."""
    verdict = judge(run(attempt(100.2), attempt(103.0, replica=1), **known))
    assert list(verdict.repeats) == ([reason] if reason else [])
    assert len(verdict.unexplained) == (0 if reason else 1)


def test_a_repetition_after_no_answer_is_explained_unless_it_was_recorded() -> None:
    """What Muster knew by then, it must not do again."""
    first, second = attempt(100.2, note="hang_after_accept"), attempt(105.0)
    assert judge(run(first, second)).repeats == {"after no answer": 1}
    known = replace(DUE, recorded=(("phone", 101.0),))
    assert len(judge(run(first, second, due=known)).unexplained) == 1


def test_another_key_is_no_repetition() -> None:
    """The provider would take it for something new."""
    first, second = attempt(100.2, note="hang_after_accept"), replace(attempt(105.0), key="another")
    assert any("another key" in one for one in judge(run(first, second)).unexplained)


def test_another_way_is_no_repetition() -> None:
    """The next way after one that did not answer."""
    verdict = judge(run(attempt(100.2, note="hang_after_accept"), attempt(106.0, way="sms")))
    assert (verdict.repeats.total(), verdict.unexplained) == (0, [])


def test_a_call_behind_an_acknowledgement_is_found() -> None:
    """Within a second it was under way; later only what had been looked for before it."""
    acknowledged = replace(DUE, acknowledged_at=101.0)
    assert judge(run(attempt(101.9), due=acknowledged)).behind == []
    assert len(judge(run(attempt(102.1), due=acknowledged)).behind) == 1
    looked = judge(run(attempt(104.0), due=acknowledged, looks=[(100.9, "l1-1")]))
    assert (looked.behind, looked.behind_in_the_gap) == ([], 1)
    assert len(judge(run(attempt(104.0), due=acknowledged, looks=[(100.9, "l1-2")])).behind) == 1


def test_who_was_not_to_be_called_is_found() -> None:
    """A level that was not due any more."""
    assert len(judge(run(attempt(100.1), replace(attempt(100.1), contact="l4-1"))).uncalled_for) == 1


def test_lateness_is_from_due_to_the_first_attempt() -> None:
    """A refusal is an attempt; the time in which Redis was away is told apart."""
    refused = attempt(103.0, accepted=False, note="500")
    verdict = judge(run(refused, attempt(104.0), away=[Span(start=99.0, end=102.0, what="Redis hung")]))
    assert verdict.late_s == pytest.approx([3.0])
    assert verdict.net_s == pytest.approx([1.0])


def test_a_refused_mail_is_an_attempt_too() -> None:
    """The ledger of the mail server has it without its incident, or even without its receiver."""
    mail = attempt(102.0, way="email", replica=None)
    for contact in ("", "l1-1"):
        assert judge(run(mail, refused_mails=[(100.5, contact)])).late_s == pytest.approx([0.5])
    assert judge(run(mail, refused_mails=[(100.5, "l2-1"), (99.0, "")])).late_s == pytest.approx([2.0])


def test_the_table_says_what_is_wrong() -> None:
    """And that something is."""
    verdict = judge(run())
    assert not verdict.good
    assert any("LOST: inc-1 level 1 l1-1" in line for line in verdict.lines())
    assert judge(run(attempt(100.0 + random.random()))).good  # noqa: S311
