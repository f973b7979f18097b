"""Slack's rate limits, kept before Slack has to enforce them: buckets for each method and channel, shared by all replicas.

Nobody sleeps here. A call that finds its bucket empty raises TemporaryError with the wait, the worker puts its task back for so
long, and what the task shows then is the newest state: updates collapse by themselves. A part of each bucket is kept for the
urgent (pages, and what a person waits for), so that they overtake cosmetic updates. A 429 pauses the bucket for everybody.

An urgent call does not wait for the answer of the store, which is a write to disk: it takes its token while it is under way.
So that this costs one call too many at most, a bucket that was found empty, or whose answer is still out, is asked first.

Numbers: docs.slack.dev, apis/web-api/rate-limits. Tiers are "so many or more" calls a minute, per method and workspace.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from bot.domain.errors import MusterError, TemporaryError
from bot.services.ports import BucketStore, TokenBucket

PER_MINUTE = {1: 1, 2: 20, 3: 50, 4: 100}

TIER_OF = {
    "bookmarks.add": 2,
    "bookmarks.list": 3,
    "bots.info": 3,
    "chat.update": 3,
    "conversations.archive": 2,
    "conversations.create": 2,
    "conversations.history": 3,
    "conversations.info": 3,
    "conversations.invite": 3,
    "conversations.list": 2,
    "conversations.members": 4,
    "conversations.open": 3,
    "conversations.replies": 3,
    "conversations.setTopic": 2,
    "files.completeUploadExternal": 4,
    "files.getUploadURLExternal": 4,
    "usergroups.list": 2,
    "usergroups.users.list": 2,
    "users.info": 4,
    "users.list": 2,
    "views.open": 4,
    "views.update": 4,
}
"""chat.postMessage has its own rule; auth.test is asked too rarely to count."""

POSTS_PER_S = 1.0
POSTS_BURST = 3
"""One message a second and channel, short bursts allowed."""
WORKSPACE_POSTS_PER_MINUTE = 200
"""The workspace-wide limit is "several hundred a minute"."""
RESERVE = 0.2
"""The part of a bucket that only the urgent may use."""


def buckets_of(method: str, channel_id: str | None, *, urgent: bool) -> tuple[TokenBucket, ...]:
    """The buckets that a call draws from; none for a method without a limit."""
    if method == "chat.postMessage":
        per_minute = WORKSPACE_POSTS_PER_MINUTE
        workspace = TokenBucket(
            name=method, period_ms=60_000 / per_minute, most=per_minute, reserve=0 if urgent else int(per_minute * RESERVE)
        )
        channel = TokenBucket(name=f"{method}:{channel_id}", period_ms=1_000 / POSTS_PER_S, most=POSTS_BURST)
        return workspace, channel
    tier = TIER_OF.get(method)
    if tier is None:
        return ()
    limit = PER_MINUTE[tier]
    return (TokenBucket(name=method, period_ms=60_000 / limit, most=limit, reserve=0 if urgent else int(limit * RESERVE)),)


class Limits:
    """See the module. When the store cannot be asked, calls go through: Slack's own 429 is still honoured."""

    def __init__(self, store: BucketStore) -> None:
        self._store = store
        self._ask_first: set[str] = set()
        """Buckets that were empty when last asked, or that are being asked."""
        self._log = structlog.get_logger("muster.limits")

    @asynccontextmanager
    async def turn(self, method: str, channel_id: str | None, *, urgent: bool) -> AsyncIterator[None]:
        """The turn of one call, which is made inside.

        Raises: TemporaryError with the wait when a bucket is empty; nothing was sent.
        """
        buckets = buckets_of(method, channel_id, urgent=urgent)
        names = {bucket.name for bucket in buckets}
        beside = urgent and self._ask_first.isdisjoint(names)
        self._ask_first |= names
        if not names:
            yield
        elif beside:
            taking = asyncio.create_task(self._take(buckets), name=f"token for {method}")
            try:
                yield
            finally:
                await taking
        else:
            wait_s = await self._take(buckets)
            if wait_s > 0:
                raise TemporaryError(f"{method} waits for Slack's rate limit", retry_after_s=wait_s)
            yield

    async def _take(self, buckets: Sequence[TokenBucket]) -> float:
        """The seconds to wait, 0 when the tokens were taken."""
        try:
            wait_s = await self._store.take(buckets)
        except MusterError as error:
            self._log.warning("limits_unknown", error=str(error))
            wait_s = 0.0
        if wait_s <= 0:
            self._ask_first -= {bucket.name for bucket in buckets}
        return wait_s

    async def pause(self, method: str, channel_id: str | None, *, seconds: float) -> None:
        """Slack said 429: its word counts for every replica."""
        buckets = buckets_of(method, channel_id, urgent=True)
        name = buckets[-1].name if buckets else method
        self._ask_first.add(name)
        try:
            await self._store.pause(name, seconds=seconds)
        except MusterError as error:
            self._log.warning("limits_unknown", error=str(error))
