"""Socket Mode's one method: apps.connections.open, which takes the app-level token and not the bot's."""

from __future__ import annotations

from bot.sandbox.methods.base import Method, MethodCall
from bot.sandbox.models import Json


def connections_open(call: MethodCall) -> Json:
    """apps.connections.open: the address of one connection."""
    return {"url": call.sockets.issue(call.base_url)}


METHODS = {"apps.connections.open": Method(connections_open, app_level=True)}
