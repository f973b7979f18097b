"""The checklist as people see it: which steps are visible, which is next, how far it is, what the evidence suggests. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.incident import Incident, StepMark
from bot.domain.runbook import Branch, Step


class StepStatus(StrEnum):
    """Where a step stands."""

    OPEN = "open"
    DONE = "done"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One visible step. ``number`` is its label ("4", "4a"); ``depth`` 0 for the top level."""

    step: Step
    number: str
    depth: int
    status: StepStatus
    mark: StepMark | None
    parent: bool
    """It is done when its sub-steps are: it has no tick of its own."""


def lines(incident: Incident) -> tuple[Line, ...]:
    """The visible steps in order: the sub-steps of a branch appear once the branch is chosen."""
    if incident.runbook is None:
        return ()
    return tuple(_lines(incident, incident.runbook.checklist, prefix="", depth=0))


def _lines(incident: Incident, steps: tuple[Step, ...], *, prefix: str, depth: int) -> Iterator[Line]:
    for index, step in enumerate(steps):
        number = f"{prefix}{index + 1}" if depth % 2 == 0 else f"{prefix}{_letter(index)}"
        children = _children(incident, step)
        below = tuple(_lines(incident, children, prefix=number, depth=depth + 1))
        mark = incident.steps.get(step.id)
        status = _status(mark, below, is_parent=bool(step.steps))
        yield Line(step=step, number=number, depth=depth, status=status, mark=mark, parent=bool(step.steps))
        yield from below


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else f"-{index + 1}"


def _children(incident: Incident, step: Step) -> tuple[Step, ...]:
    if step.steps:
        return step.steps
    branch = chosen_branch(incident, step)
    return branch.steps if branch else ()


def _status(mark: StepMark | None, below: tuple[Line, ...], *, is_parent: bool) -> StepStatus:
    if mark:
        return StepStatus.SKIPPED if mark.skipped else StepStatus.DONE
    if is_parent and below and all(line.status is not StepStatus.OPEN for line in below):
        return StepStatus.DONE
    return StepStatus.OPEN


def chosen_branch(incident: Incident, step: Step) -> Branch | None:
    """The branch that was taken at ``step``."""
    choice = incident.choices.get(step.id)
    return next((branch for branch in step.choose if choice and branch.id == choice.branch_id), None)


def suggested_branch(incident: Incident, step: Step) -> Branch | None:
    """The branch that the evidence speaks for: its condition holds in the newest reading. None without evidence."""
    for branch in step.choose:
        condition = branch.suggested_when
        reading = incident.readings.get(condition.diagnostic) if condition else None
        if condition and reading and reading.outcome.state is condition.is_:
            return branch
    return None


def find_line(incident: Incident, step_id: str) -> Line | None:
    """The visible line of a step."""
    return next((line for line in lines(incident) if line.step.id == step_id), None)


def next_line(incident: Incident) -> Line | None:
    """The first visible step that waits for somebody."""
    return next((line for line in lines(incident) if line.status is StepStatus.OPEN and not line.parent), None)


def progress(incident: Incident) -> tuple[int, int]:
    """(steps done or skipped, steps visible), parents not counted."""
    counted = [line for line in lines(incident) if not line.parent]
    return sum(line.status is not StepStatus.OPEN for line in counted), len(counted)
