"""Ending tasks for certain. Used by the worker and by ``bot.app``; which tasks there are, and when they end, is theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

AGAIN_S = 0.1


async def end_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel ``tasks`` until they have ended; what they return or raise is dropped.

    Once is not enough: ``asyncio.wait_for`` of Python 3.11, through which redis-py sends, loses a cancellation that arrives
    in the moment in which its work is done (python/cpython issue 81839).
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
