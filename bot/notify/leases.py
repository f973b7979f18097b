"""The last look at a task's lease: who has lost it begins nothing any more. Every way hands it to its client."""

from __future__ import annotations

from collections.abc import Callable

from bot.services.desk import FencedError
from bot.services.ports import Lease


def guard(lease: Lease) -> Callable[[], None]:
    """To be called right before the first byte leaves. It raises FencedError when another worker may have the task by now."""

    def check() -> None:
        if lease.is_over:
            raise FencedError("it comes too late: another worker may do it by now")

    return check
