"""The page's live events (server-sent events), resumable by their number. A route of ``control``.

Format: html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json

from aiohttp import web

from bot.sandbox.feed import Feed, PageEvent

KEEP_ALIVE_S = 15.0
RETRY_MS = 400
"""How soon the browser asks again after a break; it then says by itself what it had last (Last-Event-ID)."""


class EventStream:
    """All open streams. ``close`` ends them, so that the server can stop."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._closing = False

    def close(self) -> None:
        """End every stream."""
        self._closing = True
        self._feed.ring()

    async def serve(self, request: web.Request, user_id: str) -> web.StreamResponse:
        """Send what this user may see after ``after`` (or Last-Event-ID) until the page goes away.

        Answers 410 when that is too long ago: the page then loads its state anew.
        """
        wanted = request.headers.get("Last-Event-ID") or request.query.get("after") or str(self._feed.last_id)
        sent_id = int(wanted) if wanted.isdecimal() else self._feed.last_id
        if self._feed.after(sent_id) is None:
            body = {"ok": False, "error": "gone", "message": f"Events after {sent_id} are no longer kept."}
            return web.json_response(body, status=410)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        with contextlib.suppress(ConnectionResetError):  # the page went away in the middle of a line: that is its end
            await response.prepare(request)
            await self._follow(response, user_id, sent_id)
        return response

    async def _follow(self, response: web.StreamResponse, user_id: str, sent_id: int) -> None:
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        while not self._closing:
            bell = self._feed.bell()
            events = self._feed.after(sent_id)
            if events is None:
                break
            for event in events:
                sent_id = event.event_id
                await _write(response, event, user_id)
            try:
                await asyncio.wait_for(bell.wait(), KEEP_ALIVE_S)
            except TimeoutError:
                await response.write(b": still here\n\n")


async def _write(response: web.StreamResponse, event: PageEvent, user_id: str) -> None:
    data = event.seen_by(user_id)
    if data is not None:
        await response.write(f"id: {event.event_id}\ndata: {json.dumps(data)}\n\n".encode())
