"""Finding the data of a workspace in a Redis without asking Slack: for the commands that join a running Muster."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.storage.keys import prefix

MOST_SCANS = 200


async def workspaces(client: Redis) -> list[str]:
    """The ids of the workspaces whose data this Redis holds. Raises: RedisError, OSError."""
    before, _, after = prefix("*").partition("*")
    found: set[str] = set()
    cursor = 0
    for _ in range(MOST_SCANS):
        cursor, keys = await client.scan(cursor, match=f"{before}*{after}format", count=1_000)
        found.update(str(key).removeprefix(before).removesuffix(f"{after}format") for key in keys)
        if cursor == 0:
            break
    return sorted(found)
