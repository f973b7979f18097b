"""Faults in Slack's answers, asked for by ``web_api`` at each call: those that a test plants for the next calls that match,
and the lasting ones that a switch of the page turns on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from bot.domain.errors import UserError

FaultKind = Literal["429", "500", "timeout", "drop_before", "accept_then_drop", "accept_then_timeout", "slow", "error"]

Manner = Literal["ok", "slow", "rate_limited", "dropping_connections"]
"""How Slack is as a whole. Of three calls two are met by it, so that whoever tries again gets through."""

SLOW_S: Final = 2.0
LIMITED_S: Final = 2
_MET: Final[Mapping[Manner, tuple[FaultKind | None, ...]]] = {
    "ok": (None,),
    "slow": ("slow",),
    "rate_limited": ("429", "429", None),
    "dropping_connections": ("drop_before", "accept_then_drop", None),
}


@dataclass
class Fault:
    """One planted fault.

    ``429`` and ``500`` answer so and do nothing; ``timeout`` does nothing and says nothing for ``seconds``;
    ``drop_before`` closes the connection undone; ``accept_then_drop`` and ``accept_then_timeout`` do it and never say
    so; ``slow`` does and answers it ``seconds`` late; ``error`` answers with Slack's code ``error``.
    """

    method: str
    kind: FaultKind
    times: int = 1
    retry_after_s: int = 1
    seconds: float = 60.0
    error: str = "fatal_error"
    match: Mapping[str, Any] = field(default_factory=dict)


class Faults:
    """The faults still to come, and how Slack is until somebody changes it (`manner`). ``method`` "*" matches every method."""

    def __init__(self) -> None:
        self._planted: list[Fault] = []
        self._manner: Manner = "ok"
        self._met = 0

    @property
    def manner(self) -> Manner:
        """What meets the calls for which nothing is planted."""
        return self._manner

    @manner.setter
    def manner(self, manner: Manner) -> None:
        if manner not in get_args(Manner):
            raise UserError(f"Slack cannot be {manner!r}: use one of {', '.join(get_args(Manner))}.")
        self._manner, self._met = manner, 0

    def add(
        self,
        method: str,
        kind: FaultKind,
        *,
        times: int = 1,
        retry_after_s: int = 1,
        seconds: float = 60.0,
        error: str = "fatal_error",
        match: Mapping[str, Any] | None = None,
    ) -> None:
        """Plant a fault for the next ``times`` calls of ``method`` whose arguments contain ``match``."""
        if kind not in get_args(FaultKind):
            raise UserError(f"There is no fault {kind}: use one of {', '.join(get_args(FaultKind))}.")
        self._planted.append(Fault(method, kind, times, retry_after_s, seconds, error, dict(match or {})))

    def clear(self) -> None:
        """Forget every fault that has not happened yet, and the lasting ones."""
        self._planted.clear()
        self.manner = "ok"

    def take(self, method: str, arguments: Mapping[str, Any]) -> Fault | None:
        """The fault for this call, counted as used, or None."""
        for fault in self._planted:
            matches = all(arguments.get(name) == value for name, value in fault.match.items())
            if fault.method in (method, "*") and matches:
                fault.times -= 1
                if fault.times <= 0:
                    self._planted.remove(fault)
                return fault
        return self._lasting(method)

    def _lasting(self, method: str) -> Fault | None:
        kinds = _MET[self._manner]
        kind = kinds[self._met % len(kinds)]
        self._met += 1
        return None if kind is None else Fault(method, kind, retry_after_s=LIMITED_S, seconds=SLOW_S)
