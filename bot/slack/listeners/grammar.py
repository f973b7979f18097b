"""The grammar of ``/incident``: one table that the parser and the help text are both made of. Pure.

A word is a subcommand only if the *whole* text fits its form: "status page down" is words, not ``status``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.severity import Severity
from bot.domain.text import closest


class Verb(StrEnum):
    """What ``/incident`` can do."""

    FORM = "form"
    WORDS = "words"
    DRILL = "drill"
    HELP = "help"
    LIST = "list"
    STATUS = "status"
    SEVERITY = "severity"
    ASSIGN = "assign"
    ACKNOWLEDGE = "ack"
    RESOLVE = "resolve"
    NEAREST = "nearest"
    """Not understood; ``arguments["nearest"]`` is the usage of the closest command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One line of the grammar. ``usage`` is what people type behind the command."""

    verb: Verb
    usage: str
    help: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What somebody typed."""

    verb: Verb
    arguments: Mapping[str, str]


def _form(verb: Verb, usage: str, description: str, pattern: str) -> Form:
    return Form(verb=verb, usage=usage, help=description, pattern=re.compile(pattern, re.IGNORECASE | re.DOTALL))


_SEVERITY = "|".join(severity.value for severity in Severity)

FORMS: tuple[Form, ...] = (
    _form(Verb.FORM, "", "open the form", r""),
    _form(Verb.HELP, "help", "this list", r"help|\?"),
    _form(Verb.LIST, "list", "the incidents that are open", r"list"),
    _form(Verb.STATUS, "status", "where this room's incident stands", r"status"),
    _form(
        Verb.SEVERITY,
        "severity SEV1…SEV4",
        "change the severity, and the targets with it",
        rf"(?:severity|sev)\s+(?P<severity>{_SEVERITY}|[1-4])",
    ),
    _form(
        Verb.ASSIGN,
        "assign @someone commander",
        "give somebody the command",
        r"assign\s+(?P<person><@[UW][A-Z0-9]+(?:\|[^>]*)?>|me)\s+(?:incident\s+)?commander",
    ),
    _form(Verb.ACKNOWLEDGE, "ack", "I have it: stops the escalation", r"ack(?:nowledge)?"),
    _form(Verb.RESOLVE, "resolve", "it is over", r"resolve"),
    _form(Verb.DRILL, "drill <words>", "rehearse: everything as in earnest, marked as a drill", r"drill\s+(?P<words>.+)"),
)
WORDS_HELP = Form(verb=Verb.WORDS, usage="<what is wrong>", help="open an incident at once", pattern=re.compile(r".+", re.DOTALL))

NEAR = 0.7
NEAREST_MOST_WORDS = 2
"""More words than that are a description of something broken, not a mistyped command."""


def parse(text: str, *, is_known: bool) -> Parsed:
    """What ``text`` asks for. ``is_known``: a runbook fits these words, so they are never taken for a mistyped command.

    Words in quotes are always words.
    """
    stripped = text.strip()
    quoted = re.fullmatch(r"[\"“”'](?P<words>.+)[\"“”']", stripped, re.DOTALL)
    if quoted:
        return Parsed(verb=Verb.WORDS, arguments={"words": quoted["words"].strip()})
    for form in FORMS:
        match = form.pattern.fullmatch(stripped)
        if match:
            return Parsed(verb=form.verb, arguments={k: v for k, v in match.groupdict().items() if v})
    nearest = None if is_known else _nearest(stripped)
    if nearest:
        return Parsed(verb=Verb.NEAREST, arguments={"nearest": nearest.usage, "words": stripped})
    return Parsed(verb=Verb.WORDS, arguments={"words": stripped})


def _nearest(text: str) -> Form | None:
    words = text.casefold().split()
    if len(words) > NEAREST_MOST_WORDS:
        return None
    names = {form.usage.split()[0]: form for form in FORMS if form.usage}
    close = closest(words[0], names, cutoff=NEAR)
    return names[close] if close else None


def parse_severity(text: str) -> Severity:
    """ "SEV2", "sev2" or "2"."""
    return Severity("SEV" + text[-1])


def help_lines(command: str) -> list[str]:
    """The help, one line for each form."""
    forms = (FORMS[0], WORDS_HELP, *FORMS[1:])
    return [f"`{command}{' ' + form.usage if form.usage else ''}`  {form.help}" for form in forms]
