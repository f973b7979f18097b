"""Keeps other web sites out of the page and its control API: only a browser or program of this machine may use them.

A middleware of ``server``. The Web API is not guarded here: it has its token.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_GUARDED = ("/sandbox/", "/static/", "/archives/")


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 403 with a sentence when Host is not loopback (DNS rebinding) or Origin is another site (a foreign page)."""
    if request.path == "/" or request.path.startswith(_GUARDED):
        if _hostname(request.host) not in _LOOPBACK:
            return _refused(f"The sandbox answers only on this machine, not as {request.host}: open it as 127.0.0.1.")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            return _refused(f"The sandbox takes nothing from another site ({origin}).")
    return await handler(request)


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _refused(message: str) -> web.Response:
    body = json.dumps({"ok": False, "error": "forbidden", "message": message})
    return web.Response(status=403, text=body, content_type="application/json")
