"""What the stand-ins for paging have in common: a ledger of what reached them, and the ways in which they fail.

Used by `pagerduty`, `twilio` and `smtp`; set by tests and by the switches of the page. Breaking the wire itself is in
`recording`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from bot.domain.errors import UserError
from bot.sandbox.world.switches import Switch

Trouble = Literal["429", "500", "hang_after_accept", "reset_after_accept", "slow"]
"""Refused for now; failed; done and then never answered; done and then the connection breaks; done late."""

TROUBLES: Final[tuple[Trouble, ...]] = get_args(Trouble)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was asked for. ``at`` is in epoch seconds of the sandbox; ``key`` the dedup_key, number or address.

    ``accepted`` is what the stand-in did, whatever it answered: true with ``note`` "reset_after_accept" means that it was
    done and that nobody was told. ``reference`` is the stand-in's own name for what came of it, "" when nothing did.
    """

    at: float
    what: str
    key: str
    accepted: bool
    note: str = ""
    reference: str = ""


@dataclass(kw_only=True)
class Misbehaviour:
    """How a provider fails. A planted failure comes first, then ``fault``, then chance.

    ``fault`` holds until it is None again; ``slow_s`` is how late "slow" is, in real seconds. ``taken`` counts failures.
    """

    fault: Trouble | None = None
    slow_s: float = 1.0
    taken: dict[Trouble, int] = field(default_factory=dict)
    _planted: list[Trouble] = field(default_factory=list)
    _chance: Callable[[], Trouble | None] | None = None

    def fail_next(self, kind: Trouble, n: int = 1) -> None:
        """The next ``n`` requests meet ``kind``, after those that were planted before. Raises: UserError."""
        if kind not in TROUBLES:
            raise UserError(f"There is no fault {kind!r}; there are {', '.join(TROUBLES)}")
        self._planted += [kind] * n

    def misbehave(
        self, rng: random.Random, *, p_429: float = 0.0, p_500: float = 0.0, p_hang: float = 0.0, p_reset: float = 0.0
    ) -> None:
        """From now on fail by chance; each ``p_`` is a probability per request. `behave_well` ends it."""
        kinds: tuple[Trouble, ...] = ("429", "500", "hang_after_accept", "reset_after_accept")
        weights = (p_429, p_500, p_hang, p_reset)

        def chance() -> Trouble | None:
            drawn = rng.random()
            for kind, weight in zip(kinds, weights, strict=True):
                drawn -= weight
                if drawn < 0:
                    return kind
            return None

        self._chance = chance

    def behave_well(self) -> None:
        """Forget every failure, planted, lasting or by chance."""
        self.fault = None
        self._planted.clear()
        self._chance = None

    def take(self) -> Trouble | None:
        """What the request that has just come in meets."""
        if self._planted:
            kind: Trouble | None = self._planted.pop(0)
        elif self.fault is not None:
            kind = self.fault
        else:
            kind = self._chance() if self._chance is not None else None
        if kind is not None:
            self.taken[kind] = self.taken.get(kind, 0) + 1
        return kind


class Failing:
    """What has a switch with its states and can be made to fail: the stand-ins of PagerDuty, the telephone and the mail."""

    def __init__(self, title: str, *more_states: str) -> None:
        self.state = Switch(title, (_GOOD, *_BY_SWITCH, *more_states))
        self.trouble = Misbehaviour()

    @property
    def fault(self) -> Trouble | None:
        """How every request fails until this is None again."""
        return self.trouble.fault

    @fault.setter
    def fault(self, kind: Trouble | None) -> None:
        self.trouble.fault = kind

    def fail_next(self, kind: Trouble, n: int = 1) -> None:
        """The next ``n`` requests fail so."""
        self.trouble.fail_next(kind, n)

    def misbehave(
        self, rng: random.Random, *, p_429: float = 0.0, p_500: float = 0.0, p_hang: float = 0.0, p_reset: float = 0.0
    ) -> None:
        """Fail by chance."""
        self.trouble.misbehave(rng, p_429=p_429, p_500=p_500, p_hang=p_hang, p_reset=p_reset)

    def meets(self) -> Trouble | None:
        """What the request that has just come in meets: what was planted, else what the switch says."""
        return self.trouble.take() or _BY_SWITCH.get(self.state.value)


_GOOD: Final = "ok"
_BY_SWITCH: Final[Mapping[str, Trouble]] = {
    "rate_limited": "429",
    "error": "500",
    "hangs_after_accepting": "hang_after_accept",
}
