"""The switches that break things. Declared by the stand-ins, shown on the page, moved by tests."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.errors import UserError


@dataclass
class Switch:
    """One thing that can be in one of several states; the first of ``options`` is the good one and the start."""

    title: str
    options: tuple[str, ...]
    value: str = ""

    def __post_init__(self) -> None:
        self.value = self.value or self.options[0]

    def turn(self, value: str) -> None:
        """Raises: UserError for a value that is not among the options."""
        if value not in self.options:
            raise UserError(f"{self.title}: there is no {value!r}; choose one of {', '.join(self.options)}")
        self.value = value


API_STATES = ("ok", "unauthorized", "rate_limited", "error", "html")
"""How an API can answer: as documented, refusing the secret, 429, 500, or with somebody's web page."""
