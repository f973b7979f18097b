"""Trigger ids: the short-lived right to open a form that an interaction gives.

Issued by ``workspace`` with every command, click and shortcut; redeemed by ``methods.views``.
"""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass

from bot.sandbox.clock import SandboxClock
from bot.sandbox.errors import SlackRefusal

# Three seconds, once: docs.slack.dev/interactivity/handling-user-interaction
LIFETIME_S = 3.0


@dataclass
class Trigger:
    """Who did something and where: ``view_id`` is set when it happened in a form, which alone allows views.push."""

    user_id: str
    issued_at_s: float
    view_id: str | None
    exchanged: bool = False


class Triggers:
    """All trigger ids of the workspace."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._issued: dict[str, Trigger] = {}

    def issue(self, user_id: str, view_id: str | None = None) -> str:
        """A fresh id in Slack's form ("132456.7890123.abcdef")."""
        trigger_id = f"{next(self._numbers)}.{int(self._clock.now() * 1000)}.{secrets.token_hex(16)}"
        self._issued[trigger_id] = Trigger(user_id=user_id, issued_at_s=self._clock.now(), view_id=view_id)
        return trigger_id

    def check(self, trigger_id: str) -> Trigger:
        """The trigger, if it still may be used. Raises SlackRefusal with Slack's own codes."""
        trigger = self._issued.get(trigger_id)
        if trigger is None:
            raise SlackRefusal("invalid_trigger_id")
        if trigger.exchanged:
            raise SlackRefusal("exchanged_trigger_id")
        if self._clock.now() - trigger.issued_at_s > LIFETIME_S:
            raise SlackRefusal("expired_trigger_id")
        return trigger
