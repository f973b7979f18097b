"""How long it may take to find out who somebody is: Slack gives up on its request after 3 s, the worker is more patient.

Asked by ``bot.slack.permissions``; the listeners say when a request of Slack's begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from bot.slack.client import CALL_TIMEOUT_S, WHILE_SLACK_WAITS_S

LOOK_UPS_S = 1.6
"""For all that is looked up in Slack in one request of its, together: the rest of the 3 s is for Redis."""


@dataclass(frozen=True, slots=True)
class _Patience:
    """``ends_at`` (by the clock of the event loop) is for all look-ups together, ``each_s`` for one of them."""

    ends_at: float
    each_s: float


_PATIENCE: ContextVar[_Patience | None] = ContextVar("patience", default=None)
"""None: nobody waits for several look-ups together, and each has ``WHILE_SLACK_WAITS_S``."""


@contextmanager
def one_request() -> Iterator[None]:
    """In this, all look-ups of who somebody is have ``LOOK_UPS_S`` seconds together: several that each take as long as they may
    would make Slack give up on its request."""
    if _PATIENCE.get() is not None:
        yield
        return
    with _having(LOOK_UPS_S, each_s=WHILE_SLACK_WAITS_S):
        yield


@contextmanager
def unhurried(seconds: float) -> Iterator[None]:
    """In this, look-ups have ``seconds`` together: no request of Slack's waits for them."""
    with _having(seconds, each_s=CALL_TIMEOUT_S):
        yield


@contextmanager
def _having(seconds: float, *, each_s: float) -> Iterator[None]:
    token = _PATIENCE.set(_Patience(asyncio.get_running_loop().time() + seconds, each_s))
    try:
        yield
    finally:
        _PATIENCE.reset(token)


def request_is_over() -> None:
    """What this task looks up from now on is for nobody who waits."""
    _PATIENCE.set(None)


def each_s() -> float:
    """How long one look-up may take, in seconds."""
    patience = _PATIENCE.get()
    return patience.each_s if patience else WHILE_SLACK_WAITS_S


@asynccontextmanager
async def while_somebody_waits() -> AsyncIterator[None]:
    """For the next look-up, or what is left for it. Raises: TimeoutError, at once when nothing is left."""
    now, patience = asyncio.get_running_loop().time(), _PATIENCE.get()
    if patience is not None and patience.ends_at <= now:
        raise TimeoutError
    ends_at = now + each_s()
    async with asyncio.timeout_at(ends_at if patience is None else min(ends_at, patience.ends_at)):
        yield
