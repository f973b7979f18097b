"""Reads a Web API call's arguments, however they were sent: query, form, multipart or JSON; all of them at once.

slack_sdk sends reads as GET with a query, many writes as POST with a query string, and some with a JSON body. Used by
``web_api`` and, as the ``Arguments`` of a call, by ``methods``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bot.sandbox.errors import SlackRefusal

_TRUE = {"true", "1", "yes"}
_FALSE = {"false", "0", "no", ""}


async def read_arguments(request: web.Request) -> Arguments:
    """All arguments of a request, later ones winning: query, then body.

    Raises SlackRefusal ``invalid_json``, ``json_not_object`` or ``invalid_form_data``.
    """
    values: dict[str, Any] = dict(request.query)
    content_type = request.content_type
    if request.can_read_body:
        if content_type == "application/json":
            values |= _json_object(await request.read())
        elif content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
            try:
                form = await request.post()
            except ValueError as error:
                raise SlackRefusal("invalid_form_data") from error
            values |= {name: value for name, value in form.items() if isinstance(value, str)}
        elif await request.read():
            raise SlackRefusal("invalid_post_type")
    return Arguments(values)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise SlackRefusal("invalid_json") from error
    if not isinstance(parsed, dict):
        raise SlackRefusal("json_not_object")
    return parsed


class Arguments:
    """The arguments by name. A getter's refusal names the argument; ``error`` is Slack's own code where a method has one."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = {name: value for name, value in values.items() if value is not None}

    def given(self, name: str) -> bool:
        """Whether it was passed at all, be it empty."""
        return name in self.values

    def find_text(self, name: str) -> str | None:
        """A string, or None when it was not passed."""
        value = self.values.get(name)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            return str(value)
        if value is not None and not isinstance(value, str):
            raise SlackRefusal("invalid_arguments", f"[ERROR] must provide a string [json-pointer:/{name}]")
        return value

    def get_text(self, name: str, error: str | None = None) -> str:
        """A string that must be there and not be empty."""
        value = self.find_text(name)
        if not value:
            if error is not None:
                raise SlackRefusal(error)
            raise SlackRefusal("invalid_arguments", f"[ERROR] missing required field: {name}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean in any of its spellings."""
        value = (self.find_text(name) or "").lower() if self.given(name) else None
        if value is None:
            return default
        if value not in _TRUE | _FALSE:
            raise SlackRefusal("invalid_arguments", f"[ERROR] must provide a boolean [json-pointer:/{name}]")
        return value in _TRUE

    def limit(self, default: int, maximum: int) -> int:
        """The page size. Raises ``invalid_limit``."""
        text = self.find_text("limit")
        if not text or text == "0":
            return default
        if not text.isdecimal() or int(text) > maximum:
            raise SlackRefusal("invalid_limit")
        return int(text)

    def find_json(self, name: str, error: str = "invalid_arguments") -> Any:
        """A structure, passed as itself in a JSON body or as a string of JSON elsewhere; None when not passed or empty."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as fault:
            raise SlackRefusal(error) from fault

    def listing(self, name: str) -> list[str]:
        """Comma-separated values, or a list of them; without the empty ones."""
        value = self.values.get(name)
        parts = value if isinstance(value, list) else str(value or "").split(",")
        return [text for part in parts if (text := str(part).strip())]
