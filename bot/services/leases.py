"""The last look at a task's lease: who has lost it begins nothing any more. Every call with an effect passes it."""

from __future__ import annotations

from collections.abc import Callable

from bot.domain.errors import FencedError
from bot.services.ports import Lease


def guard(lease: Lease) -> Callable[[], None]:
    """To be called right before the first byte leaves. It raises FencedError when another worker may have the task by now,
    or nobody could say for a while (``SURE_S``) that it is still wanted."""

    def check() -> None:
        if not lease.is_sure:
            raise FencedError("it comes too late: it may be done by another worker by now, or not be wanted any more")

    return check
