"""``python -m tests.bench [--smoke] [NAME…]``: run the benches and print their tables. What ``make bench`` calls."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Awaitable, Callable

import uvloop

from tests.bench import acks, bulk, calls, dispatch, memory, messages, opening, pages, phrases, terminal, timers

BENCHES: dict[str, Callable[[bool], Awaitable[str]]] = {
    "opening": opening.measure,
    "acks": acks.measure,
    "messages": messages.measure,
    "dispatch": dispatch.measure,
    "phrases": phrases.measure,
    "timers": timers.measure,
    "pages": pages.measure,
    "calls": calls.measure,
    "bulk": bulk.measure,
    "memory": memory.measure,
    "terminal": terminal.measure,
}
"""By name; each is given "be quick" and returns what to print."""


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what Muster promises.")
    parser.add_argument("--smoke", action="store_true", help="few rounds: shows that the benches run, not how fast Muster is")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}; all when none is given")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown:
        parser.error(f"there is no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    print(f"Python {platform.python_version()} on {platform.machine()}, {platform.system()}{' (smoke)' if options.smoke else ''}")
    for name in options.names or BENCHES:
        print(f"\n== {name}\n{uvloop.run(_run(BENCHES[name], quick=options.smoke))}")
    return 0


async def _run(bench: Callable[[bool], Awaitable[str]], *, quick: bool) -> str:
    return await bench(quick)


if __name__ == "__main__":
    sys.exit(main())
