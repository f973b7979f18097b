"""Faults that a test plants in Slack's answers: used by ``web_api`` for the next calls that match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from bot.domain.errors import UserError

FaultKind = Literal["429", "500", "timeout", "drop_before", "accept_then_drop", "accept_then_timeout", "slow", "error"]


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
    """The faults still to come. ``method`` "*" matches every method."""

    def __init__(self) -> None:
        self._planted: list[Fault] = []

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
        """Forget every fault that has not happened yet."""
        self._planted.clear()

    def take(self, method: str, arguments: Mapping[str, Any]) -> Fault | None:
        """The fault for this call, counted as used, or None."""
        for fault in self._planted:
            matches = all(arguments.get(name) == value for name, value in fault.match.items())
            if fault.method in (method, "*") and matches:
                fault.times -= 1
                if fault.times <= 0:
                    self._planted.remove(fault)
                return fault
        return None
