"""Posting a message once: with an opaque key in its metadata, and a look at the channel before anything is repeated.

``chat.postMessage`` has no idempotency key. After an unknown answer, or when another process began the task, the channel
is searched for the key first and the message that is found is adopted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.slack.client import SlackApi
from bot.slack.drawing import Block, Drawn

EVENT_TYPE = "muster_message"
LOOK_BACK = timedelta(seconds=60)
HISTORY_PAGE = 200
MOST_PAGES = 10


def opaque_key(incident_id: str, key: str) -> str:
    """What stands in the metadata: any member of the channel can read it, so it says nothing."""
    return hashlib.sha256(f"muster|{incident_id}|{key}".encode()).hexdigest()[:32]


async def post_once(
    slack: SlackApi,
    *,
    channel_id: str,
    drawn: Drawn,
    key: str,
    look_first: bool,
    since: datetime,
    thread_ts: str | None = None,
) -> str:
    """The ts of the message. ``look_first``: an earlier attempt may have posted it, at ``since`` or later.

    What is found is redrawn: it may show what was true at the earlier attempt.
    """
    if look_first:
        found = await _find(slack, channel_id=channel_id, key=key, since=since, thread_ts=thread_ts)
        if found:
            await redraw(slack, channel_id=channel_id, ts=found, drawn=drawn)
            return found
    metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": key}}
    return await post(slack, channel_id=channel_id, text=drawn.text, blocks=drawn.blocks, thread_ts=thread_ts, metadata=metadata)


async def post(
    slack: SlackApi,
    *,
    channel_id: str,
    text: str,
    blocks: Sequence[Block],
    thread_ts: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    urgent: bool = True,
) -> str:
    """The ts of a new message. Repeated it is there twice: see ``post_once``.

    ``urgent``: something new to read goes before whatever is only redrawn.
    """
    answer = await slack.call(
        "chat.postMessage",
        urgent=urgent,
        channel=channel_id,
        thread_ts=thread_ts,
        text=text,
        blocks=list(blocks) or None,
        metadata=metadata,
        unfurl_links=False,
        unfurl_media=False,
    )
    return str(answer["ts"])


async def _find(slack: SlackApi, *, channel_id: str, key: str, since: datetime, thread_ts: str | None) -> str | None:
    arguments: dict[str, Any] = {
        "channel": channel_id,
        "oldest": f"{(since - LOOK_BACK).timestamp():.6f}",
        "limit": HISTORY_PAGE,
        "include_all_metadata": True,
    }
    method = "conversations.history"
    if thread_ts:
        method = "conversations.replies"
        arguments["ts"] = thread_ts
    async for message in slack.each(method, "messages", most_pages=MOST_PAGES, **arguments):
        payload = (message.get("metadata") or {}).get("event_payload") or {}
        if payload.get("key") == key:
            return str(message["ts"])
    return None


async def redraw(slack: SlackApi, *, channel_id: str, ts: str, drawn: Drawn) -> None:
    """Make an existing message show ``drawn``. Natural: repeat it as you like."""
    await slack.call("chat.update", channel=channel_id, ts=ts, text=drawn.text, blocks=list(drawn.blocks))
