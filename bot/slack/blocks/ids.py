"""The ids on buttons, menus and views, and how the ids that they carry are read back.

A value is ``<incident>`` or ``<incident>/<thing>``: ids only. What a click may do is decided when it arrives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.domain.errors import UserError

ACKNOWLEDGE = "acknowledge"
CHECK_IN = "check_in"
HAND_OVER = "hand_over"
ESCALATE = "escalate"
CHANGE_IMPACT = "change_impact"
TAKE_TEST = "take_test"
TAKE_COMMAND = "take_command"
NOT_AN_INCIDENT = "not_an_incident"
RESOLVE = "resolve"
REOPEN = "reopen"
CHANGE_STATUS = "change_status"
CHANGE_SEVERITY = "change_severity"
CHOOSE_RUNBOOK = "choose_runbook"
RUN_DIAGNOSTICS = "run_diagnostics"
TICK = "tick"
UNTICK = "untick"
SKIP = "skip"
CHOOSE_BRANCH = "choose_branch"
RUN_STEP = "run_step"
CONFIRM_RUN = "confirm_run"
CANCEL_RUN = "cancel_run"
DENY_RUN = "deny_run"
BREAK_GLASS = "break_glass"
STOP_RUN = "stop_run"
ASK_AGAIN = "ask_again"
LOOK_AT_RUN = "look_at_run"
UNDO_RUN = "undo_run"
REVERT_NOW = "revert_now"
START_WATCH = "start_watch"
END_WATCH = "end_watch"
OPEN_FROM_PROMPT = "open_from_prompt"
DISMISS_PROMPT = "dismiss_prompt"
OPEN_WORDS = "open_words"
OPEN_RUNBOOK = "open_runbook"
COVER = "cover_duty"
LINK = "link"

VIEW_DECLARE = "declare"
VIEW_SKIP = "skip_reason"
VIEW_RUN = "run_parameters"
VIEW_BREAK_GLASS = "break_glass_reason"
VIEW_ESCALATE = "escalate_form"

SHORTCUT_DECLARE = "open_incident"
SHORTCUT_DECLARE_MESSAGE = "open_incident_from_message"

MOST_CANDIDATES = 5
"""So many runbooks are offered for words that several fit; the rest is nobody's first guess."""

_COVER = re.compile(r"([a-z0-9-]{1,60})/([UW][A-Z0-9]{2,30})/([0-9]{9,11})")
_VALUE = re.compile(r"(inc-[1-9][0-9]{0,11})(?:/([A-Za-z0-9._:-]{1,120})(?:/([A-Za-z0-9._:-]{1,120}))?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a click is about."""

    incident_id: str
    thing: str = ""
    detail: str = ""


def value(incident_id: str, *things: str) -> str:
    """The value of a button."""
    return "/".join((incident_id, *things))


def cover_value(rotation_id: str, user_id: str, until_s: int) -> str:
    """The value of "I cover": in which rotation, for whom, until when (seconds since 1970)."""
    return f"{rotation_id}/{user_id}/{until_s}"


def parse_cover(text: str) -> tuple[str, str, int]:
    """What ``cover_value`` wrote. Raises: UserError for anything else."""
    match = _COVER.fullmatch(text)
    if match is None:
        raise UserError("That button is not one of Muster's; nothing was done.")
    return match[1], match[2], int(match[3])


def find_incident_id(text: object) -> str | None:
    """The incident that a value claims to be about, for the log; whether it is so is ``parse``'s and the listener's business."""
    match = _VALUE.fullmatch(text) if isinstance(text, str) else None
    return match[1] if match else None


def parse(text: str) -> Target:
    """What ``value`` wrote. Raises: UserError for anything else (a forged or foreign value)."""
    match = _VALUE.fullmatch(text)
    if match is None:
        raise UserError("That button is not one of Muster's; nothing was done.")
    return Target(incident_id=match[1], thing=match[2] or "", detail=match[3] or "")
