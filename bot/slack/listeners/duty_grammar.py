"""The grammar of ``/oncall``: one table that the parser and the help text are both made of, and the times that people write.

Pure. What is neither a command nor nearly one is the name of a rotation or a contact.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from bot.domain.durations import parse_duration
from bot.domain.errors import UserError
from bot.slack.listeners.grammar import Form, Parsed, line, usage_lines

LONGEST = timedelta(days=14)
"""Who is away for longer changes the rotation, or gives it an override in contacts.yml."""
READ_MAX_CHARS = 300


class DutyVerb(StrEnum):
    """What ``/oncall`` can do."""

    EVERYBODY = "everybody"
    HELP = "help"
    ASK = "ask"
    TAKE = "take"
    GIVE = "give"
    END = "end"
    MISREAD = "misread"
    """It begins like a swap and is none."""
    ONE = "one"


DutyForm = Form[DutyVerb]
"""One line of the grammar."""


_PERSON = r"<@(?P<person>[UW][A-Z0-9]+)(?:\|[^>]*)?>"
_SPAN = r"(?P<span>(?:until|till|for) .+?)(?: in (?P<rotation>.+))?"

DUTY_FORMS: tuple[DutyForm, ...] = (
    line(DutyVerb.EVERYBODY, "", "who is on duty now, and how everybody is reached", r""),
    line(DutyVerb.HELP, "help", "this list", r"help|\?"),
    line(
        DutyVerb.ASK,
        "cover for me until 18:00",
        "ask everybody in this channel to take over",
        rf"cover for me {_SPAN}",
    ),
    line(
        DutyVerb.GIVE,
        "@someone covers for me until tomorrow 09:00",
        "they take over, as you agreed",
        rf"(?:{_PERSON} (?:covers?|is covering) for me|cover {_PERSON.replace('person', 'other')} for me) {_SPAN}",
    ),
    line(
        DutyVerb.TAKE,
        "cover for @someone for 2h",
        "you take over",
        rf"(?:i )?cover for {_PERSON} {_SPAN}",
    ),
    line(DutyVerb.END, "cover end", "whoever's turn it is has it again", r"cover end(?: in (?P<rotation>.+))?"),
)
ONE_HELP = Form(
    verb=DutyVerb.ONE, usage="<name>", help="one rotation and its next hand-overs, or one contact", pattern=re.compile(r".+")
)
IN_HELP = "Where somebody is in several rotations, end with `in <rotation>`. Times: until 18:00, until tomorrow 09:00, \
until 2026-11-24 09:00, for 2h; in your own time zone."

_LIKE_A_SWAP = re.compile(r"(?:i )?covers?\b.*|<@.*", re.IGNORECASE)


def parse_duty(text: str) -> Parsed[DutyVerb]:
    """What ``text`` asks for."""
    typed = " ".join(text.split())[:READ_MAX_CHARS]
    for form in DUTY_FORMS:
        match = form.pattern.fullmatch(typed)
        if match:
            given = {name: value for name, value in match.groupdict().items() if value}
            if "other" in given:
                given["person"] = given.pop("other")
            return Parsed(verb=form.verb, arguments=given)
    verb = DutyVerb.MISREAD if _LIKE_A_SWAP.fullmatch(typed) else DutyVerb.ONE
    return Parsed(verb=verb, arguments={"name": typed})


def duty_help_lines(command: str) -> list[str]:
    """The help, one line for each form."""
    return usage_lines(command, (DUTY_FORMS[0], ONE_HELP, *DUTY_FORMS[1:]))


# -- times ---------------------------------------------------------------------------------------------------------

_CLOCK = r"(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
_UNTIL = re.compile(
    rf"(?:until|till) (?:(?P<day>today|tomorrow)(?: at)? |(?P<date>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})[t ](?:at )?)?{_CLOCK}"
)
_UNITS = (
    (re.compile(r" ?h(?:ours?)?\b"), "h"),
    (re.compile(r" ?m(?:in(?:ute)?s?)?\b"), "m"),
    (re.compile(r" ?d(?:ays?)?\b"), "d"),
)


def read_until(span: str, *, now: datetime, zone: ZoneInfo) -> datetime:
    """The moment that "until 18:00" or "for 2h" means; a time of day is the next such one, in ``zone``.

    Raises: UserError for what cannot be read, for the past, and for more than two weeks.
    """
    words = span.casefold()
    try:
        until_at = _for(words, now) if words.startswith("for ") else _until(words, now.astimezone(zone))
    except (ValueError, OverflowError):
        raise UserError(
            "Muster cannot read that time. Write “until 18:00”, “until tomorrow 09:00”, “until 2026-11-24 09:00” or “for 2h”; "
            "nothing was changed."
        ) from None
    if until_at <= now:
        raise UserError("That time is over already; nothing was changed.")
    if until_at - now > LONGEST:
        raise UserError(
            f"That is more than {LONGEST.days} days; put an override into the rotation in contacts.yml instead. "
            "Nothing was changed."
        )
    return until_at


def _for(words: str, now: datetime) -> datetime:
    duration = words.removeprefix("for ")
    for pattern, unit in _UNITS:
        duration = pattern.sub(unit, duration)
    return now + timedelta(seconds=parse_duration(duration.replace(" ", "")))


def _until(words: str, local: datetime) -> datetime:
    match = _UNTIL.fullmatch(words)
    if match is None:
        raise ValueError(words)
    day = datetime.fromisoformat(match["date"]) if match["date"] else local + timedelta(days=match["day"] == "tomorrow")
    found = local.replace(
        year=day.year, month=day.month, day=day.day, hour=int(match["hour"]), minute=int(match["minute"]), second=0, microsecond=0
    )
    named = bool(match["date"] or match["day"])
    # Of the wall clock: an hour that the night has twice is meant once more while it comes, then the same time tomorrow.
    days = [found] if named else [found, found + timedelta(days=1)]
    moments = [one.replace(fold=fold).astimezone(UTC) for one in days for fold in (0, 1)]
    return next((moment for moment in moments if moment > local.astimezone(UTC)), moments[0])
