"""Named points at which a test lets this process die, or stop, in the middle of its work (``tests/chaos``).

``bot.terminal.serve`` arms one of them from ``CRASH_AT``, a variable for tests only: ``name:n`` dies at the n-th pass
(1-based) as kill -9 does, ``name:n:stop`` stops the process there until somebody sends SIGCONT. Unarmed, a point is one
comparison. Nothing else belongs here: what must hold after a crash is asserted by the tests.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

from bot.domain.errors import ConfigError

KILLED = 137
"""The exit code of a process that died at a point: what a shell shows for one that got SIGKILL."""

_TASKS = ("room", "clock", "page", "follow", "preview", "run", "revert", "diagnose", "prompt", "audit")
_FACTS = (
    "incident_opened",
    "room_opened",
    "responder_joined",
    "diagnostic_recorded",
    "alarm_raised",
    "page_sent",
    "page_failed",
    "page_followed",
    "step_ticked",
    "severity_changed",
    "run_requested",
    "run_previewed",
    "run_confirmed",
    "run_finished",
    "acknowledged",
    "acknowledgement_lapsed",
    "target_reminded",
)
_POSTED = ("card", "announcement", "reply", "mention", "run", "news")
_REDRAWN = ("card", "announcement", "reply", "mention", "run", "page")

POINTS: Mapping[str, str] = MappingProxyType(
    {
        "reserve.asked": "somebody declared something; it has no number yet",
        "reserve.answered": "it has a number, and is not written",
        "commit.asked": "a decision is made, and is not written",
        "commit.answered": "a decision is written; nobody here knows yet",
        **{f"committed.{fact}": f"the fact {fact} is written and known here; nobody was told" for fact in _FACTS},
        "acked.event": "an event is acknowledged",
        "acked.command": "a command is acknowledged",
        "acked.click": "a click is acknowledged",
        "acked.view": "a form is acknowledged",
        **{f"claimed.{task}": f"the task {task} is leased, and is not begun" for task in _TASKS},
        **{f"performed.{task}": f"the task {task} is done; its outcome is not written" for task in _TASKS},
        **{f"settled.{task}": f"the outcome of the task {task} is written" for task in _TASKS},
        "room.created": "Slack made the channel; that is not recorded",
        "room.recorded": "the channel is recorded; nobody is in it",
        "room.invited": "Slack took the invitation; that is not recorded",
        "room.topic_set": "Slack took the topic; that is not recorded",
        "room.bookmarked": "Slack took the bookmark; that is not recorded",
        **{f"posted.{kind}": f"Slack took the message {kind}; that is not recorded" for kind in _POSTED},
        **{f"redrawn.{kind}": f"Slack took the new drawing of {kind}; that is not recorded" for kind in _REDRAWN},
        "page.opened": "the direct message is open; nothing is in it",
        "effect.asked": "a call that changes something at a provider is about to leave",
        "effect.answered": "a provider did what it was asked for; that is not recorded",
        "page.accepted": "somebody's Slack, phone or mailbox took the page; that is not recorded",
    }
)
"""Every point with what is true when it is passed."""

_CRASH_AT = re.compile(r"(?P<name>[a-z_.]+):(?P<pass>[1-9][0-9]{0,5})(?P<stop>:stop)?")

_on_pass: Callable[[str], None] | None = None


def crashpoint(name: str, detail: str = "") -> None:
    """This point is passed. ``detail`` is the second half of the name where it is only known here."""
    if _on_pass is not None:
        _on_pass(f"{name}.{detail}" if detail else name)


def listen(on_pass: Callable[[str], None] | None) -> None:
    """From now on ``on_pass`` hears the name of every point that is passed; None: nobody does."""
    global _on_pass
    _on_pass = on_pass


def arm(crash_at: str | None) -> None:
    """Die or stop as ``CRASH_AT`` says; None or "": never. Raises: ConfigError for what is not a point."""
    if not crash_at:
        return
    match = _CRASH_AT.fullmatch(crash_at)
    if match is None or match["name"] not in POINTS:
        raise ConfigError(f"CRASH_AT: {crash_at!r} is not name:n or name:n:stop with a name of bot/services/crashpoints.py")
    passes: Counter[str] = Counter()
    wanted, number, stops = match["name"], int(match["pass"]), bool(match["stop"])

    def on_pass(name: str) -> None:
        passes[name] += 1
        if name != wanted or passes[name] != number:
            return
        if stops:
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            os._exit(KILLED)

    listen(on_pass)
