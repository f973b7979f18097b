"""Every switch of the page: how Slack is, and the world's. Called by ``control``; what a switch does is the business of what
it turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, get_args

from bot.domain.errors import UserError
from bot.sandbox.faults import Faults, Manner

GROUP: Final = "Slack"


class WorldSwitches(Protocol):
    """What is needed of the world: switches by name, each ``{"value", "options", "title"}``, the good option first."""

    def switches(self) -> Mapping[str, Any]:
        """All switches as they stand."""

    def set(self, name: str, value: str) -> None:
        """Turn one. Raises UserError or KeyError/ValueError for what there is not."""


class Limited(Protocol):
    """What can keep Slack's rate limits."""

    rate_limits: bool


@dataclass(frozen=True)
class _Turn:
    title: str
    options: tuple[str, ...]
    get: Callable[[], str]
    set: Callable[[str], None]


class SlackSwitches:
    """``slack_api`` is how every call of the Web API fares, ``slack_limits`` whether the tiers hold.

    Nothing is kept here: a test that sets `Faults.manner` or ``rate_limits`` sees the switch turned.
    """

    def __init__(self, faults: Faults, limited: Limited) -> None:
        self._faults = faults
        self._limited = limited
        self._turns: Mapping[str, _Turn] = {
            "slack_api": _Turn("Slack", get_args(Manner), lambda: faults.manner, self._set_manner),
            "slack_limits": _Turn("Rate tiers", ("off", "on"), lambda: "on" if limited.rate_limits else "off", self._set_limits),
        }

    def switches(self) -> dict[str, Any]:
        """Both as they stand. Limits are no trouble: a good client lives within them."""
        return {
            name: {"title": turn.title, "value": turn.get(), "options": list(turn.options), "group": GROUP}
            | {"good": name == "slack_limits" or turn.get() == turn.options[0]}
            for name, turn in self._turns.items()
        }

    def set(self, name: str, value: str) -> None:
        """Turn one. Raises: UserError when there is no such switch or option."""
        turn = self._turns.get(name)
        if turn is None or value not in turn.options:
            raise UserError(f"Slack has no switch {name} with {value!r}.")
        turn.set(value)

    def _set_manner(self, value: str) -> None:
        self._faults.manner = value  # type: ignore[assignment]  # one of its options

    def _set_limits(self, value: str) -> None:
        self._limited.rate_limits = value == "on"


class Switchboard:
    """Slack's switches and the world's as one; either may be missing."""

    def __init__(self, *sources: WorldSwitches | None) -> None:
        self._sources = [source for source in sources if source is not None]

    def all(self) -> dict[str, Any]:
        """Every switch by name, in the order of the page."""
        return {name: switch for source in self._sources for name, switch in source.switches().items()}

    def set(self, name: str, value: str) -> None:
        """Turn one. Raises: UserError when there is no such switch or option."""
        source = next((source for source in self._sources if name in source.switches()), None)
        if source is None:
            raise UserError(f"The world has no switch {name}: there are {', '.join(self.all()) or 'none'}.")
        try:
            source.set(name, value)
        except (KeyError, ValueError):
            raise UserError(f"The switch {name} cannot be {value!r}.") from None

    def set_all_good(self) -> None:
        """Turn every switch to its first option, which is the good one."""
        for source in self._sources:
            for name, switch in source.switches().items():
                source.set(name, switch["options"][0])
