"""Slack fails one method in one way: the opening ends complete and single all the same. Timeouts: ``make chaos``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos import slack_faults
from tests.chaos.asides import ASIDES
from tests.chaos.ground import RedisServer, redis_server
from tests.chaos.slack_faults import COSMETIC, LOOKING_BACK, OPENING, Way

# Ten bots and their workspaces in one process, on a machine that has other things to do.
pytestmark = [pytest.mark.timeout(480), pytest.mark.slow]
MOST_AT_ONCE = 10
"""So many bots in one process; more are late for each other, and a Redis has 16 databases."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis with a database for each opening that goes on at once."""
    with redis_server() as made:
        yield made


@pytest.mark.parametrize("way", ["429", "500", "drop_before", "accept_then_drop"])
async def test_an_opening_survives_a_fault_of_any_method(server: RedisServer, way: Way) -> None:
    """Many methods at once, each in a workspace of its own."""
    methods = (*OPENING, *LOOKING_BACK, *ASIDES)
    cells = await slack_faults.try_all(server.url, [(method, way) for method in methods], at_once=MOST_AT_ONCE)
    assert [cell.line() for cell in cells if not cell.good] == []


async def test_a_missing_scope_costs_what_it_is_for_and_nothing_else(server: RedisServer) -> None:
    """The topic, the bookmark; the mention that comes later does not wait for them."""
    cells = await slack_faults.try_all(server.url, [(method, "missing_scope") for method in COSMETIC])
    assert [cell.line() for cell in cells if not cell.good] == []
