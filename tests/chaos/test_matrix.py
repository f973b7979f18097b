"""A part of the crash matrix, on the real processes: killed at a point and started again, or stopped and woken up late."""

from __future__ import annotations

import pytest

from tests.chaos import matrix
from tests.chaos.matrix import Cell, How

KILLED = ("commit.answered", "room.created", "posted.card", "page.accepted", "settled.clock", "committed.page_failed")
STOPPED = ("claimed.page",)


@pytest.mark.slow
@pytest.mark.timeout(600)  # a minute here; a shared machine may be many times slower
async def test_nothing_is_lost_or_done_twice(redis_url: str) -> None:
    """``make chaos`` tries every point in both ways."""
    wanted: list[tuple[str, How]] = [*((point, "kill") for point in KILLED), *((point, "stop") for point in STOPPED)]
    cells = await matrix.try_all(redis_url, wanted, at_once=5, first_database=3)
    assert [cell.line() for cell in cells if not cell.good] == []


def test_a_cell_says_what_is_wrong() -> None:
    """The table would not be worth much otherwise."""
    whole = Cell(point="room.created", number=1, how="kill", reached=True)
    assert whole.good
    assert whole.line().split() == ["room.created:1", "kill", "0", "0", "0"]
    missed = Cell(point="room.created", number=1, how="kill", reached=False, lost=matrix.Counter(room=1))
    assert not missed.good
    assert missed.line().endswith("lost room; never got there")
