"""What the doctor found: one line each, for a terminal or as JSON, without secrets. Made by the ``doctor_*`` modules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from bot.domain.errors import MusterError
from bot.domain.text import clean
from bot.logs import REDACTED

Level = Literal["ok", "warn", "fault"]

MAX_CHARS = 500
SECRET_MIN_CHARS = 6
"""A shorter value is a word that innocent lines contain."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` was looked at, what was found, and what to do about it ("" when there is nothing to do).

    ``ok``: seen to be good, or good to know. ``warn``: Muster works, but not as it could, or it could not be seen. ``fault``:
    something that Muster promises does not work.
    """

    level: Level
    what: str
    finding: str
    remedy: str = ""


def ok(what: str, finding: str) -> Finding:
    """Nothing to do."""
    return Finding("ok", what, finding)


def warn(what: str, finding: str, remedy: str) -> Finding:
    """Something to mend in daylight."""
    return Finding("warn", what, finding, remedy)


def fault(what: str, finding: str, remedy: str) -> Finding:
    """Something to mend now."""
    return Finding("fault", what, finding, remedy)


def from_error(what: str, error: MusterError, level: Level = "fault") -> list[Finding]:
    """One finding for each line of a message, which says what failed, and after the first semicolon what to do."""
    return [from_message(what, line, level) for line in str(error).splitlines()]


def from_message(what: str, message: str, level: Level) -> Finding:
    """A message of the form "what failed; what to do"."""
    finding, _, remedy = message.partition("; ")
    return Finding(level, what, finding, remedy)


def presentable(findings: Iterable[Finding], secrets: Iterable[str]) -> list[Finding]:
    """One line each, of printable characters, whatever a provider or a file said; and none with one of the secrets."""
    known = sorted((secret for secret in secrets if len(secret) >= SECRET_MIN_CHARS), key=len, reverse=True)

    def shown(text: str) -> str:
        for secret in known:
            text = text.replace(secret, REDACTED)
        return clean(text, max_chars=MAX_CHARS)

    return [
        replace(found, what=shown(found.what), finding=shown(found.finding), remedy=shown(found.remedy)) for found in findings
    ]


def draw_table(findings: Sequence[Finding]) -> str:
    """``level  what: finding; remedy``, in columns, and the sum."""
    width = max((len(found.what) for found in findings), default=0) + 1
    lines = [f"{found.level:<5}  {found.what + ':':<{width}} {_said(found)}" for found in findings]
    count = {level: sum(found.level == level for found in findings) for level in ("fault", "warn", "ok")}
    faults, warnings = ("s" * (count[level] != 1) for level in ("fault", "warn"))
    total = f"{count['fault']} fault{faults}, {count['warn']} warning{warnings}, {count['ok']} ok"
    return "\n".join([*lines, "", total, ""])


def _said(found: Finding) -> str:
    return f"{found.finding.rstrip('.')}; {found.remedy}" if found.remedy else found.finding


def draw_json(findings: Sequence[Finding]) -> str:
    """A list of ``{level, what, finding, remedy}``."""
    return json.dumps([asdict(found) for found in findings], indent=2, ensure_ascii=False) + "\n"
