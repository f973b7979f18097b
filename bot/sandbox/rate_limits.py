"""Slack's rate limits, when a test or the bench switches them on: one bucket per method, per channel for postMessage.

Used by ``web_api``. Tiers: docs.slack.dev/apis/web-api/rate-limits and each method's page. Where sources differ
(apps.connections.open, users.conversations) the lower tier holds: who keeps to it is safe by either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bot.sandbox.clock import SandboxClock

TIER_1, TIER_2, TIER_3, TIER_4 = 1, 20, 50, 100
SPECIAL = 300  # "hundreds per minute"
POSTS = 300  # of one app in all channels of a workspace: "several hundred messages per minute"
POST_PER_S, POST_BURST = 1.0, 5

PER_MINUTE: Mapping[str, int] = {
    "apps.connections.open": TIER_1,
    "auth.test": SPECIAL,
    "chat.getPermalink": SPECIAL,
    **dict.fromkeys(
        (
            "bookmarks.add", "bookmarks.edit", "bookmarks.remove", "conversations.archive", "conversations.create",
            "conversations.list", "conversations.rename", "conversations.setPurpose", "conversations.setTopic",
            "conversations.unarchive", "pins.add", "pins.list", "pins.remove", "reactions.remove", "usergroups.list",
            "usergroups.users.list", "users.conversations", "users.list",
        ),
        TIER_2,
    ),
    **dict.fromkeys(
        (
            "conversations.members", "chat.postEphemeral", "files.completeUploadExternal", "files.getUploadURLExternal",
            "users.info", "views.open", "views.publish", "views.push", "views.update", "api.test",
        ),
        TIER_4,
    ),
}  # fmt: skip


@dataclass
class Bucket:
    """So many calls at once, filled again at ``per_s``."""

    capacity: float
    per_s: float
    left: float
    looked_at_s: float


class RateLimits:
    """All buckets of one app in one workspace."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def retry_after_s(self, method: str, channel: str) -> int | None:
        """Count one call: None when it may go on, otherwise the whole seconds to wait. A refused call counts nowhere."""
        if method == "chat.postMessage":
            buckets = [
                self._filled((method, channel), float(POST_BURST), POST_PER_S),
                self._filled((method, ""), float(POSTS), POSTS / 60),
            ]
        else:
            per_minute = PER_MINUTE.get(method, TIER_3)
            buckets = [self._filled((method, ""), float(per_minute), per_minute / 60)]
        if empty := [one for one in buckets if one.left < 1]:
            return max(1, *(math.ceil((1 - one.left) / one.per_s) for one in empty))
        for bucket in buckets:
            bucket.left -= 1
        return None

    def _filled(self, key: tuple[str, str], capacity: float, per_s: float) -> Bucket:
        now = self._clock.now()
        bucket = self._buckets.setdefault(key, Bucket(capacity, per_s, capacity, now))
        bucket.left = min(bucket.capacity, bucket.left + (now - bucket.looked_at_s) * bucket.per_s)
        bucket.looked_at_s = now
        return bucket
