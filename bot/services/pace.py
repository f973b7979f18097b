"""A provider's rate limit, shared by the calls of all replicas: who calls waits here for its turn.

Used by long runs through ``ActionContext``. Slack's limits are kept elsewhere (``bot.slack.limits``), because nobody waits there.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

from bot.services.ports import BucketStore, TokenBucket

CATCH_UP_S = 1.0
"""A pause of the caller that is not longer loses nothing: so much of the rate may be made up for at once. With a rate of up to
eight tenths of a limit this stays below the limit in every window of ten seconds."""


class Pace:
    """The buckets of providers by name. ``sleep`` waits that many seconds; tests pass one that does not.

    The calls of this process stand in line, and only the first of the line asks the store: waiting costs a request or two for
    each call, however many wait.
    """

    def __init__(self, store: BucketStore, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._store = store
        self._sleep = sleep
        self._lines: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def wait(self, name: str, per_s: float) -> None:
        """Until a call fits into ``per_s`` calls a second of the bucket ``name``.

        Raises: TemporaryError and UnknownOutcome when Redis cannot be asked; to ask once more costs a turn at most.
        """
        bucket = TokenBucket(name=name, period_ms=1_000 / per_s, most=max(1, int(per_s * CATCH_UP_S)))
        async with self._lines[name]:
            while (wait_s := await self._store.take([bucket])) > 0:
                await self._sleep(wait_s)

    async def pause(self, name: str, seconds: float) -> None:
        """The provider asked for it: no replica calls for so long. Raises like ``wait``."""
        await self._store.pause(name, seconds=seconds)
