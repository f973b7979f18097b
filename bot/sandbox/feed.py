"""What happened in the workspace, as the page hears it, and the bell that wakes whoever waits for something.

Filled by ``state``, ``views`` and ``ledger``; read by ``event_stream`` (the page) and ``server.Sandbox.wait_for``
(tests). What the *bot* is told is not here but in ``delivery``.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

KEPT_EVENTS = 5000

Payload = dict[str, Any] | Callable[[str], dict[str, Any] | None]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class PageEvent:
    """One thing that happened. ``audience`` None means everybody; ``payload`` may depend on who looks (user id)."""

    event_id: int
    type: str
    audience: frozenset[str] | None
    payload: Payload

    def seen_by(self, user_id: str) -> dict[str, Any] | None:
        """The JSON that this user's page gets, or None when it is not for them."""
        if self.audience is not None and user_id not in self.audience:
            return None
        payload = self.payload(user_id) if callable(self.payload) else self.payload
        return None if payload is None else {"type": self.type, **payload}


class Feed:
    """A numbered log of page events.

    Numbers go up by one and begin at the moment of making (ms since 1970), so that a page which asks a sandbox that was
    started again for what came after a number of the one before is told that it is gone.
    """

    def __init__(self) -> None:
        self.last_id = time.time_ns() // 1_000_000
        self._numbers = itertools.count(self.last_id + 1)
        self._events: deque[PageEvent] = deque(maxlen=KEPT_EVENTS)
        self._bell = asyncio.Event()

    def publish(self, kind: str, payload: Payload, audience: Collection[str] | None = None) -> None:
        """Append one event and wake everybody who waits."""
        self.last_id = next(self._numbers)
        seen_by = None if audience is None else frozenset(audience)
        self._events.append(PageEvent(event_id=self.last_id, type=kind, audience=seen_by, payload=payload))
        self.ring()

    def ring(self) -> None:
        """Something changed: let every waiter look again."""
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    def after(self, event_id: int) -> list[PageEvent] | None:
        """The events after this number, or None when some of them are not (or no longer) here: load the state anew."""
        missed = self.last_id - event_id
        if not 0 <= missed <= len(self._events):
            return None
        return list(itertools.islice(self._events, len(self._events) - missed, None))

    def bell(self) -> asyncio.Event:
        """An event that is set at the next change. Take it *before* looking, then wait on it."""
        return self._bell

    async def wait_for(self, predicate: Callable[[], Answer], timeout_s: float, what: str = "") -> Answer:
        """The predicate's first true answer, looked for at each change and never by polling. Raises TimeoutError."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    bell = self.bell()
                    if answer := predicate():
                        return answer
                    await bell.wait()
        except TimeoutError:
            raise TimeoutError(f"Not seen within {timeout_s} s: {what or predicate}") from None
