"""What hangs for good, after the time that a test has: a browser that never closes, a thread that nobody ends.

pytest-timeout interrupts a test once; what then hangs in its cleaning up would hold the whole run. Here its process ends, with
all that it started, after saying where every thread stood. The run goes on with the others and a new one.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

GRACE_S = 60.0
"""So long a test may take to clean up after its time was over."""


class Watchdog:
    """A plugin of pytest."""

    def __init__(self) -> None:
        self._terminal = os.dup(2)  # before pytest takes it away to capture what tests print

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Around all of a test: what it needs, itself, and what cleans up behind it."""
        marker = item.get_closest_marker("timeout")
        limit_s = float(marker.args[0] if marker else item.config.getini("timeout"))
        timer = threading.Timer(limit_s + GRACE_S, self._end, [item.nodeid])
        timer.daemon = True
        timer.start()
        try:
            return (yield)
        finally:
            timer.cancel()

    def _end(self, name: str) -> None:
        os.write(self._terminal, f"\n{name} still hangs {GRACE_S:g} s after its time. This process ends.\n".encode())
        faulthandler.dump_traceback(self._terminal)
        for child in _descendants(os.getpid()):
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it ended with its parent
        os._exit(70)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in thread.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found
