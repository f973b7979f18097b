"""A machine whose clock is wrong: with this folder on PYTHONPATH, a process is ``CLOCK_OFF_S`` seconds ahead of everybody.

Python imports a module of this name by itself when it starts. Only the wall clock is moved; the monotonic clock, by which leases
are kept, is as right as on any machine whose clock somebody set wrong.
"""

from __future__ import annotations

import datetime as clock
import os
import time
from typing import Any

OFF_S = float(os.environ.get("CLOCK_OFF_S", "0"))
OFF = clock.timedelta(seconds=OFF_S)

_now = clock.datetime.now
_fromtimestamp = clock.datetime.fromtimestamp
_time = time.time
_real = clock.datetime


class _AsTheReal(type):
    """Whatever C code made is one of these too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _real)


class _Wrong(_real, metaclass=_AsTheReal):
    @classmethod
    def now(cls, tz: clock.tzinfo | None = None) -> Any:
        return _now(tz) + OFF

    @classmethod
    def fromtimestamp(cls, timestamp: float, tz: clock.tzinfo | None = None) -> Any:
        return _fromtimestamp(timestamp, tz)


if OFF_S:
    clock.datetime = _Wrong  # type: ignore[misc]
    time.time = lambda: _time() + OFF_S
