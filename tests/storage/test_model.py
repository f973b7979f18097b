"""The Lua scripts against the reference model (``tests.storage.model``): random histories on a real server, and planted faults.

A history is 50 steps of two owners of one workspace: commits, claims, renewals, answers that never arrive, owners that die
or wake up late, and time that is moved by the offset key. After every call the whole workspace is read back and compared.
That the comparison can fail is shown by the mutants: scripts with one fault each, which it must find.

A failing history is printed in plain words, with its seed; MODEL_SEED=<seed> plays it again. With CI or MUSTER_REQUIRE_ALL
set, the histories are the same each time.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from importlib import resources

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.storage.machine import STEPS, Played, StoreMachine
from tests.storage.model import InvariantBroken
from tests.storage.workspace import Server, serving

pytestmark = pytest.mark.slow

THOROUGH = bool(os.environ.get("CI") or os.environ.get("MUSTER_REQUIRE_ALL"))
HISTORIES = 500 if THOROUGH else 150
SEED = int(os.environ.get("MODEL_SEED") or (0 if THOROUGH else secrets.randbelow(1_000_000)))
PROFILE = settings(
    max_examples=HISTORIES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=False,  # the seed decides
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],  # a slow machine is no fault of the scripts
)
SHRINKING = settings(PROFILE, phases=[Phase.generate, Phase.shrink])
HUNTING = settings(PROFILE, max_examples=500)
"""For planted faults: the first history that shows one is enough."""

ANSWERS = {
    *("ok", "ok, as before", "duplicate", "fenced", "conflict", "taken"),
    *("released", "stale release", "extended", "stale extension", "saved", "stale save"),
}


def script(name: str) -> str:
    """A script as the store loads it."""
    folder = resources.files("bot.storage") / "lua"
    text = (folder / f"{name}.lua").read_text(encoding="utf-8")
    timed = name in ("commit", "claim", "extend", "release")
    return (folder / "now.lua").read_text(encoding="utf-8") + text if timed else text


def search(server: Server, played: Played, profile: settings, *, number: int, least_steps: int = 0) -> InvariantBroken | None:
    """A history that breaks an invariant, as short as ``profile`` allows; None when none was found. ``number`` is the seed."""

    @seed(number)
    class Bound(StoreMachine):
        def __init__(self) -> None:
            super().__init__(server, played)

    try:
        run_state_machine_as_test(Bound, settings=profile, _min_steps=least_steps)
    except InvariantBroken as broken:
        return broken
    return None


@pytest.mark.timeout(600)  # half a minute here; a shared machine may be many times slower
def test_the_scripts_keep_their_promises(redis_url: str) -> None:
    """No history of calls, repetitions, crashes and late owners breaks an invariant."""
    print(f"MODEL_SEED={SEED}")
    played = Played()
    with serving(redis_url) as server:
        broken = search(server, played, PROFILE, number=SEED, least_steps=STEPS)
        if broken:  # a history of full length is no fun to read: look for a short one
            raise search(server, Played(), SHRINKING, number=SEED) or broken
    print(f"{played.histories} histories of {STEPS} steps, {played.steps} steps in all: {dict(played.answers.most_common())}")
    assert played.histories >= HISTORIES
    assert set(played.answers) == ANSWERS, "the rules no longer lead to everything that can happen"


@dataclass(frozen=True)
class Mutant:
    """A script with one fault: each pair is a text that must be there, and what stands in its place.

    ``breaks``: the invariants of which it may be found to break one.
    """

    name: str
    script: str
    swaps: tuple[tuple[str, str], ...]
    breaks: str

    def text(self) -> str:
        """The mutated script. Raises: AssertionError when the script no longer says what the mutant distorts."""
        text = script(self.script)
        for original, distorted in self.swaps:
            assert text.count(original) == 1, f"{self.script}.lua does not hold this exactly once: {original}"
            text = text.replace(original, distorted)
        return text


FENCED = "if req.settle and redis.call('HGET', p .. 'task:' .. req.settle.id, 'token')"
CANCELS = "redis.call('HDEL', k, 'token')\n    redis.call('EXPIRE'"

MUTANTS = (
    Mutant(
        "claim-removes-instead-of-leasing",
        "claim",
        (("later[#later + 1] = now + tonumber(ARGV[3])\n    later[#later + 1] = id", "over[#over + 1] = id"),),
        "P5",
    ),
    Mutant("claim-before-it-is-due", "claim", (("'-inf', now, 'LIMIT'", "'-inf', '+inf', 'LIMIT'"),), "P1"),
    Mutant(
        "claim-the-latest-first", "claim", (("'ZRANGEBYSCORE', due, '-inf', now", "'ZREVRANGEBYSCORE', due, now, '-inf'"),), "P7"
    ),
    Mutant("claim-without-counting", "claim", (("or 0) + 1)", "or 0) + 0)"),), "P2"),
    Mutant(
        "claim-with-the-same-token",
        "claim",
        (("    fence = fence + 1\n", ""), ("redis.call('INCRBY', p .. 'fence', #ids) - #ids", "1")),
        "P3",
    ),
    Mutant(
        "settle-without-the-fence",
        "commit",
        ((f"{FENCED} ~= req.settle.token then", "if false then"), (f"{FENCED} == req.settle.token then", "if req.settle then")),
        "P3 P4 P5",
    ),
    Mutant("settle-what-this-call-cancelled", "commit", ((f"{FENCED} == req.settle.token then", "if req.settle then"),), "P4 P5"),
    Mutant("settle-forgets-that-it-was-asked-again", "commit", (("'asked') ~= req.settle.asked", "'asked') == ''"),), "P5"),
    Mutant("settle-forgets-to-come-back", "commit", (("elseif req.settle.again_at then", "elseif false then"),), "P5"),
    Mutant("cancel-leaves-the-token", "commit", ((CANCELS, "redis.call('EXPIRE'"),), "P4"),
    Mutant(
        "cancel-rewrites-an-outcome",
        "commit",
        (("if state == 'pending' or state == 'claimed' then --", "if state then --"),),
        "P5",
    ),
    Mutant("delivery-has-an-effect-again", "commit", (("if seen then", "if false then"),), "E1 D2"),
    Mutant("dedupe-answers-everybody-ok", "commit", (("== req.nonce then", "~= '' then"),), "E1"),
    Mutant("dedupe-forgets-its-own-nonce", "commit", (("== req.nonce then", "== '' then"),), "D2"),
    Mutant("no-version-check", "commit", (("if length ~= req.expect then", "if false then"),), "A5"),
    Mutant("a-number-is-given-twice", "commit", (("< req.number then", "< 0 then"),), "IX"),
    Mutant(
        "numbers-go-back",
        "commit",
        (("if req.number and tonumber(redis.call('GET', p .. 'number') or '0') < req.number then", "if req.number then"),),
        "IX",
    ),
    Mutant("no-unique-keys", "commit", (("if holder and holder ~= req.incident then", "if false then"),), "P8"),
    Mutant(
        "what-was-done-is-asked-for-again", "commit", (("if not state or (t", "if not state or state == 'done' or (t"),), "P8"
    ),
    Mutant("extend-without-the-fence", "extend", (("== token then", "then"),), "P3"),
    Mutant("release-without-the-fence", "release", (("~= ARGV[2] then", "== '' then"),), "P3"),
    Mutant("room-without-the-fence", "room", (("~= ARGV[3] then", "== '' then"),), "P3"),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_fault_is_found(redis_url: str, mutant: Mutant) -> None:
    """What the model compares does tell a faulty script from a right one, by the name of the promise that it breaks."""
    with serving(redis_url, {mutant.script: mutant.text()}) as server:
        broken = search(server, Played(), HUNTING, number=0)
    assert broken, "no history found the fault"
    print(broken)
    assert broken.invariant in mutant.breaks.split()
