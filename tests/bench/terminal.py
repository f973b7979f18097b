"""The terminal: what ``muster --help`` and ``muster check`` take beside a bare start of Python, and what they import."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

from tests.bench.report import Row, at_most, plain, ratio, table

ROOT = Path(__file__).parents[2]
ROUNDS, SMOKE_ROUNDS = 15, 3
COMMANDS = {"muster --help": (["--help"], 5.0), "muster check": (["check"], 25.0)}
HEAVY = ("slack_sdk", "slack_bolt", "aiohttp", "kubernetes", "kubernetes_asyncio")
_RUN = "import sys; from bot.cli import main; sys.exit(main(sys.argv[1:]))"
_LIST = """
import json, sys
from bot.cli import main
sys.stdout, out = open("/dev/null", "w"), sys.stdout
try:
    main(sys.argv[1:])
except SystemExit:
    pass
json.dump(sorted(sys.modules), out)
"""


async def measure(quick: bool) -> str:
    """The table."""
    return await asyncio.to_thread(_measure, SMOKE_ROUNDS if quick else ROUNDS)


def _measure(rounds: int) -> str:
    for arguments, _ in COMMANDS.values():
        _processor_s(_RUN, arguments)  # the byte code is written
    bare: list[float] = []
    ours: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        bare.append(_processor_s("pass", []))
        for name, (arguments, _) in COMMANDS.items():
            ours[name].append(_processor_s(_RUN, arguments))
    rows = [plain("python -c pass", median(bare) * 1000, "ms", digits=1)]
    for name, (arguments, goal) in COMMANDS.items():
        rows.append(plain(name, median(ours[name]) * 1000, "ms", digits=1))
        rows.append(at_most("÷ a bare start of Python", ratio(ours[name], bare), goal, "×", digits=1))
        heavy = [module for module in _modules(arguments) if module in HEAVY]
        rows.append(
            Row(name="imports of Slack, aiohttp, Kubernetes", value=", ".join(heavy) or "none", goal="none", met=not heavy)
        )
    return table(f"processor time, of {rounds} starts each, interleaved, byte code written; medians", rows)


def _processor_s(code: str, arguments: list[str]) -> float:
    """User and system time of one start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, env=_environment(), stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _modules(arguments: list[str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _LIST, *arguments], cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, check=True
    )
    return [str(name) for name in json.loads(done.stdout)]


def _environment() -> dict[str, str]:
    """Nothing of Muster's own is set, and no ``.env`` is read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MUSTER_", "SLACK_", "CLERK_", "VERCEL_"))}
    return {**kept, "MUSTER_ENV_FILE": ""}
