"""How a bench prints what it measured: one line for each figure, with its goal and whether that was met.

Called by the benches beside this file. What is measured, and how, does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. ``met`` None: there is no goal for it, it stands beside one that has."""

    name: str
    value: str
    goal: str = ""
    met: bool | None = None

    def line(self) -> str:
        """For the table."""
        verdict = "" if self.met is None else "met" if self.met else "missed"
        return f"  {self.name:<66}{self.value:>14}{self.goal:>12}{verdict:>9}".rstrip()


def at_most(name: str, value: float, goal: float, unit: str, *, digits: int = 2) -> Row:
    """A figure that should not be above ``goal``. ``unit``: "×", "ms"."""
    return Row(name=name, value=_with_unit(value, unit, digits), goal=f"≤ {goal:g} {unit}", met=value <= goal)


def at_least(name: str, value: float, goal: float, unit: str, *, digits: int = 2) -> Row:
    """A figure that should not be below ``goal``."""
    return Row(name=name, value=_with_unit(value, unit, digits), goal=f"≥ {goal:g} {unit}", met=value >= goal)


def plain(name: str, value: float, unit: str, *, digits: int = 2) -> Row:
    """A figure without a goal."""
    return Row(name=name, value=_with_unit(value, unit, digits))


def table(head: str, rows: Iterable[Row]) -> str:
    """``head`` says what was done; the rows, what came out."""
    return "\n".join([head, *(row.line() for row in rows)])


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: a noisy neighbour disturbs both sides of a round."""
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _with_unit(value: float, unit: str, digits: int) -> str:
    return f"{value:,.{digits}f} {unit}"
