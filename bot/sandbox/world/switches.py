"""The switches that break things. Declared by the stand-ins, shown on the page, moved by tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.domain.errors import UserError


@dataclass
class Switch:
    """One thing that can be in one of several states; the first of ``options`` is the good one and the start.

    Those in ``fine`` are others that are no trouble either: it is found in another place, and works.
    """

    title: str
    options: tuple[str, ...]
    value: str = ""
    fine: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.value = self.value or self.options[0]

    def turn(self, value: str) -> None:
        """Raises: UserError for a value that is not among the options."""
        if value not in self.options:
            raise UserError(f"{self.title}: there is no {value!r}; choose one of {', '.join(self.options)}")
        self.value = value

    def described(self, group: str) -> dict[str, Any]:
        """For the page; ``group`` is the heading under which it stands."""
        return {
            "title": self.title,
            "value": self.value,
            "options": list(self.options),
            "group": group,
            "good": self.value in (self.options[0], *self.fine),
        }


API_STATES = ("ok", "unauthorized", "rate_limited", "error", "html")
"""How an API can answer: as documented, refusing the secret, 429, 500, or with somebody's web page."""
