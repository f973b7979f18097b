"""The response_url of a command or a click: five answers within half an hour, each with its own rules.

Issued by ``workspace``; the route ``/response/{id}`` comes here by way of ``server``.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from bot.sandbox.blocks import check_attachments, check_message_blocks
from bot.sandbox.clock import SandboxClock
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.models import Json
from bot.sandbox.state import State

USES = 5  # in 30 minutes: docs.slack.dev/interactivity/handling-user-interaction (message responses)
LIFETIME_S = 30 * 60
TEXT_KEPT = 40_000  # as for chat.postMessage: longer ones are cut


@dataclass
class ResponseUrl:
    """What one URL answers to: the user and the channel, and the message that was clicked, if it was one."""

    user_id: str
    channel_id: str
    message_ts: str | None
    issued_at_s: float
    used: int = 0


class ResponseUrls:
    """All response_urls of the workspace. ``base_url`` is set when the server knows its port."""

    def __init__(self, state: State, clock: SandboxClock) -> None:
        self._state = state
        self._clock = clock
        self._issued: dict[str, ResponseUrl] = {}
        self.base_url = ""

    def issue(self, user_id: str, channel_id: str, message_ts: str | None = None) -> str:
        """A fresh URL for this interaction."""
        key = secrets.token_hex(12)
        self._issued[key] = ResponseUrl(user_id, channel_id, message_ts, issued_at_s=self._clock.now())
        return f"{self.base_url}/response/{key}"

    def use(self, key: str, body: Any) -> None:
        """One answer by this URL. Raises SlackRefusal (``used_url``, ``expired_url``, ``invalid_blocks``, ``no_text`` …)."""
        url = self._issued.get(key)
        if url is None:
            raise SlackRefusal("invalid_url")
        if self._clock.now() - url.issued_at_s > LIFETIME_S:
            raise SlackRefusal("expired_url")
        if url.used >= USES:
            raise SlackRefusal("used_url")
        if not isinstance(body, dict):
            raise SlackRefusal("invalid_payload")
        if not self._state.has_channel(url.channel_id):
            raise SlackRefusal("channel_not_found")
        url.used += 1
        self.apply(url, body)

    def apply(self, url: ResponseUrl, body: Json) -> Json | None:
        """Do what an answer says; returns the message that it made or changed. Also the way of an immediate HTTP answer."""
        if url.message_ts and (body.get("delete_original") or body.get("replace_original")):
            self._check_original(url, url.message_ts)
        if url.message_ts and body.get("delete_original"):
            self._state.delete_message(url.channel_id, url.message_ts)
            return None
        blocks = body.get("blocks")
        if blocks is not None:
            check_message_blocks(blocks)
        if body.get("attachments") is not None:
            check_attachments(body["attachments"])
        text = body.get("text") or ""
        if not isinstance(text, str):
            raise SlackRefusal("invalid_payload")
        text = text[:TEXT_KEPT]
        content = {name: body[name] for name in ("blocks", "attachments") if body.get(name)}
        if not text and not content:
            raise SlackRefusal("no_text")
        if body.get("replace_original") and url.message_ts:
            return self._replace(url, url.message_ts, text, content)
        if body.get("response_type") == "in_channel":
            return self._state.post_as_bot(
                url.channel_id, text, thread_ts=body.get("thread_ts"), subtype="bot_message", **content
            )
        return self._state.post_ephemeral(url.channel_id, url.user_id, text, thread_ts=body.get("thread_ts"), **content)

    def _check_original(self, url: ResponseUrl, ts: str) -> None:
        channel = self._state.channels[url.channel_id]
        if ts not in channel.messages and ts not in channel.ephemeral:
            raise SlackRefusal("message_not_found")

    def _replace(self, url: ResponseUrl, ts: str, text: str, content: Json) -> Json:
        return self._state.edit_message(url.channel_id, ts, {"text": text, "blocks": [], "attachments": []} | content)
