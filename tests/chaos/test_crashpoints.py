"""The crash points themselves: every name is passed somewhere, and a name that is none is refused."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from bot.services import crashpoints
from bot.services.crashpoints import KILLED, POINTS, arm, crashpoint, listen
from tests.chaos.ground import runbooks_with_a_run
from tests.chaos.matrix import POINTS_OF_THE_STORY
from tests.chaos.story import EXPECTED, Story
from tests.conftest import ROOT
from tests.scenarios.conftest import Stage, staged

DIES = "import sys; from bot.services.crashpoints import arm, crashpoint; arm(sys.argv[1]); crashpoint('room.created'); "


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Nobody listens any more, whatever a test did."""
    yield
    listen(None)


@pytest.fixture
async def stage(redis_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A running bot with the runbooks of the story."""
    async with staged(f"{redis_url}?db=2") as stage:
        stage.environment["MUSTER_RUNBOOKS"] = str(runbooks_with_a_run(tmp_path))
        stage.environment.update(stage.world.environment(stage.sandbox.url, paging=True))
        await stage.start()
        yield stage
        await stage.sandbox.courier.stop()
        await stage.stop()


@pytest.mark.timeout(240)
async def test_the_story_passes_every_point(stage: Stage) -> None:
    """A point that nothing passes would be a hole in the matrix; and without a crash the story leaves exactly what it should."""
    passed: Counter[str] = Counter()
    listen(lambda name: passed.update([name]))
    story = Story(stage.sandbox, stage.world, stage.muster.store)
    await story.live()
    await stage.sandbox.settled()
    listen(None)
    assert set(POINTS_OF_THE_STORY) - set(passed) == set()
    assert await story.effects() == EXPECTED
    assert story.repeats() == []


def test_every_call_names_a_point() -> None:
    """What is written at a call is in the table, in full or as the first half of a name."""
    called: set[tuple[str, bool]] = set()
    for path in (ROOT / "bot").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "crashpoint":
                names = [node.args[0].body, node.args[0].orelse] if isinstance(node.args[0], ast.IfExp) else [node.args[0]]
                called.update((str(ast.literal_eval(name)), len(node.args) == 2) for name in names)
    unknown = [
        name
        for name, half in called
        if (not any(point.startswith(f"{name}.") for point in POINTS) if half else name not in POINTS)
    ]
    assert unknown == []
    assert len(called) > 15


def test_unarmed_nothing_happens() -> None:
    """As in production."""
    for crash_at in (None, ""):
        arm(crash_at)
        assert crashpoints._on_pass is None
    crashpoint("room.created")


@pytest.mark.parametrize("crash_at", ["room.created", "room.created:0", "nowhere:1", "room.created:1:go", "a b:1"])
def test_what_is_not_a_point_is_refused(crash_at: str) -> None:
    """Rather than a chaos run in which nothing ever dies."""
    with pytest.raises(ConfigError, match="CRASH_AT"):
        arm(crash_at)


def test_it_dies_at_the_pass_that_was_named() -> None:
    """With the code of SIGKILL, and nothing after it."""
    script = DIES + "print('once', flush=True); crashpoint('room.created'); print('twice')"
    done = subprocess.run([sys.executable, "-c", script, "room.created:2"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (KILLED, "once\n")


def test_it_stops_and_goes_on() -> None:
    """SIGSTOP at the point, and the next instruction after SIGCONT."""
    script = DIES + "print('awake')"
    process = subprocess.Popen([sys.executable, "-c", script, "room.created:1:stop"], cwd=ROOT, stdout=subprocess.PIPE)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=40)[0] == b"awake\n"
