"""The grammar of ``/incident``: one table that the parser and the help text are both made of. Pure.

A word is a subcommand only if the *whole* text fits its form: "status page down" is words, not ``status``. Forms that end in
free text (``note …``, ``escalate somebody …``) count only in the room of an incident: anywhere else "update of the payment page
fails" is what is broken. In a room ``escalate`` with somebody whom nobody knows there is neither a command nor words: it calls
nobody and opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

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
    ESCALATE = "escalate"
    UPDATE = "update"
    NOTE = "note"
    IMPACT = "impact"
    ACCOUNTS = "accounts"
    NOBODY = "nobody"
    """To call somebody whom nobody knows here; ``arguments["words"]`` is what was typed behind ``escalate``."""
    NEAREST = "nearest"
    """Not understood; ``arguments["nearest"]`` is the usage of the closest command."""


AnyVerb = TypeVar("AnyVerb", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[AnyVerb]):
    """One line of a grammar. ``usage`` is what people type behind the command; ``in_room``: only in the room of an incident."""

    verb: AnyVerb
    usage: str
    help: str
    pattern: re.Pattern[str]
    in_room: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed(Generic[AnyVerb]):
    """What somebody typed."""

    verb: AnyVerb
    arguments: Mapping[str, str]


def line(verb: AnyVerb, usage: str, description: str, pattern: str, *, in_room: bool = False) -> Form[AnyVerb]:
    """A line of a grammar; case does not count, and a text may go over several lines."""
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return Form(verb=verb, usage=usage, help=description, pattern=compiled, in_room=in_room)


def usage_lines(command: str, forms: Iterable[Form[AnyVerb]]) -> list[str]:
    """The help, one line for each form."""
    return [f"`{command}{' ' + form.usage if form.usage else ''}`  {form.help}" for form in forms]


_SEVERITY = "|".join(severity.value for severity in Severity)
_PERSON = r"<@[UW][A-Z0-9]+(?:\|[^>]*)?>"
_LEVEL = r"(?:level\s+(?P<level>[0-9]{1,4})|(?P<number>[0-9]{1,2}))"

FORMS: tuple[Form[Verb], ...] = (
    line(Verb.FORM, "", "open the form", r""),
    line(Verb.HELP, "help", "this list", r"help|\?"),
    line(Verb.LIST, "list", "the incidents that are open", r"list"),
    line(Verb.STATUS, "status", "where this room's incident stands", r"status"),
    line(
        Verb.SEVERITY,
        "severity SEV1…SEV4",
        "change the severity, and the targets with it",
        rf"(?:severity|sev)\s+(?P<severity>{_SEVERITY}|[1-4])",
    ),
    line(
        Verb.ASSIGN,
        "assign @someone commander",
        "give somebody the command",
        rf"assign\s+(?P<person>{_PERSON}|me)\s+(?:incident\s+)?commander",
    ),
    line(Verb.ACKNOWLEDGE, "ack", "I have it: stops the escalation", r"ack(?:nowledge)?"),
    line(
        Verb.ESCALATE,
        "escalate",
        "call the next level of the escalation now",
        rf"escalate(?:\s+(?:to\s+)?(?:{_LEVEL}|(?P<person>{_PERSON})))?",
    ),
    line(
        Verb.ESCALATE,
        "escalate <level or who> [why]",
        "call a level, a person (@) or somebody of the contacts now",
        r"escalate\s+(?P<who>.+)",
        in_room=True,
    ),
    line(Verb.UPDATE, "update <text>", "tell everybody in the room how it stands", r"update\s+(?P<text>.+)", in_room=True),
    line(Verb.NOTE, "note <text>", "write down what you found", r"note\s+(?P<text>.+)", in_room=True),
    line(
        Verb.IMPACT,
        "impact customer|media|business [on|off]",
        "what makes it matter more, since now; off: no longer",
        r"impact\s+(?P<impact>customer|media|business)(?:\s+(?P<switch>on|off))?",
    ),
    line(Verb.ACCOUNTS, "accounts", "the accounts that are affected", r"accounts", in_room=True),
    line(
        Verb.ACCOUNTS,
        "accounts add|remove <ids>",
        "change the list of affected accounts by hand",
        r"accounts\s+(?P<change>add|remove)\s+(?P<accounts>.+)",
        in_room=True,
    ),
    line(Verb.RESOLVE, "resolve", "it is over", r"resolve"),
    line(Verb.DRILL, "drill <words>", "rehearse: everything as in earnest, marked as a drill", r"drill\s+(?P<words>.+)"),
)
WORDS_HELP = Form(verb=Verb.WORDS, usage="<what is wrong>", help="open an incident at once", pattern=re.compile(r".+", re.DOTALL))

NEAR = 0.7
NEAREST_MOST_WORDS = 2
"""More words than that are a description of something broken, not a mistyped command."""


_IN_ROOM = re.compile(r"\s*(?:(?:escalate|update|note)\s|accounts\b)", re.IGNORECASE)
_ESCALATED = re.compile(rf"(?:to\s+)?(?:{_LEVEL}|(?P<person>{_PERSON}))(?P<reason>[\s:,].*)?", re.IGNORECASE | re.DOTALL)
_GROUP = re.compile(r"<!subteam\^[A-Z0-9]+\|(@?[^<>|\s]+)>")
_NAME_MOST_WORDS = 12


def depends_on_room(text: str) -> bool:
    """Whether it matters for the meaning of ``text`` where it was typed."""
    return bool(_IN_ROOM.match(text))


def parse(text: str, *, is_known: bool, room: Mapping[str, str] | None = None) -> Parsed[Verb]:
    """What ``text`` asks for. ``is_known``: a runbook fits these words, so they are never taken for a mistyped command.

    ``room``: where it was typed in the room of an incident, the names of those who can be called there, case-folded, with their
    ids. Words in quotes are always words.
    """
    stripped = text.strip()
    quoted = re.fullmatch(r"[\"“”'](?P<words>.+)[\"“”']", stripped, re.DOTALL)
    if quoted:
        return Parsed(verb=Verb.WORDS, arguments={"words": quoted["words"].strip()})
    for form in FORMS:
        match = form.pattern.fullmatch(stripped) if room is not None or not form.in_room else None
        if match and form.in_room and form.verb is Verb.ESCALATE:
            return _escalated(match["who"], room or {})
        if match:
            return Parsed(verb=form.verb, arguments=_given(match))
    nearest = None if is_known else _nearest(stripped, in_room=room is not None)
    if nearest:
        return Parsed(verb=Verb.NEAREST, arguments={"nearest": nearest.usage, "words": stripped})
    return Parsed(verb=Verb.WORDS, arguments={"words": stripped})


def _given(match: re.Match[str]) -> dict[str, str]:
    given = {name: value for name, value in match.groupdict().items() if value}
    if "number" in given:
        given["level"] = given.pop("number")
    return given


def _escalated(who: str, room: Mapping[str, str]) -> Parsed[Verb]:
    """The longest beginning of ``who`` that is a level, a person or a name; the rest is the reason."""
    match = _ESCALATED.fullmatch(who)
    if match:
        given = _given(match)
        if "reason" in given:
            given["reason"] = given["reason"].strip(" \t\r\n:,")
        return Parsed(verb=Verb.ESCALATE, arguments={name: value for name, value in given.items() if value})
    words = _GROUP.sub(r"\1", who).split(None, _NAME_MOST_WORDS + 1)
    if words[0].casefold() == "to" and len(words) > 1:
        words = words[1:]
    for count in range(min(len(words), _NAME_MOST_WORDS), 0, -1):
        contact_id = room.get(" ".join(words[:count]).casefold().rstrip(":,"))
        if contact_id:
            reason = " ".join(words[count:]).strip()
            arguments = {"contact": contact_id, **({"reason": reason} if reason else {})}
            return Parsed(verb=Verb.ESCALATE, arguments=arguments)
    return Parsed(verb=Verb.NOBODY, arguments={"words": who})


def _nearest(text: str, *, in_room: bool) -> Form[Verb] | None:
    words = text.casefold().split()
    if len(words) > NEAREST_MOST_WORDS:
        return None
    names: dict[str, Form[Verb]] = {}
    for form in FORMS:  # outside of a room "updates failing" is what is broken, and "update" alone nothing at all
        if form.usage and (in_room or len(words) == 1 or not form.in_room):
            names.setdefault(form.usage.split()[0], form)
    close = closest(words[0], names, cutoff=NEAR)
    return names[close] if close else None


def parse_severity(text: str) -> Severity:
    """ "SEV2", "sev2" or "2"."""
    return Severity("SEV" + text[-1])


def help_lines(command: str) -> list[str]:
    """The help, one line for each form."""
    return usage_lines(command, (FORMS[0], WORDS_HELP, *FORMS[1:]))
