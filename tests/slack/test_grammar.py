"""The grammars of ``/incident`` and ``/oncall``: what is a command, what is words, and that the help tells exactly that."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from bot.domain.errors import UserError
from bot.domain.severity import Severity
from bot.slack.listeners.duty_grammar import (
    DUTY_FORMS,
    DutyForm,
    DutyVerb,
    duty_help_lines,
    parse_duty,
    read_until,
)
from bot.slack.listeners.grammar import FORMS, Form, Verb, depends_on_room, help_lines, parse, parse_severity

ROOM = {
    "cto": "cto",
    "@cto": "cto",
    "engineering-lead": "engineering-lead",
    "engineering lead": "engineering-lead",
    "engineering": "engineering",
    "on-call engineer": "on-call",
}
"""Who can be called in the room of an incident, by which words."""

COMMANDS: list[tuple[str, Verb, dict[str, str]]] = [
    ("", Verb.FORM, {}),
    ("   ", Verb.FORM, {}),
    ("help", Verb.HELP, {}),
    ("HELP", Verb.HELP, {}),
    ("?", Verb.HELP, {}),
    ("list", Verb.LIST, {}),
    (" list ", Verb.LIST, {}),
    ("status", Verb.STATUS, {}),
    ("severity SEV2", Verb.SEVERITY, {"severity": "SEV2"}),
    ("severity  sev2", Verb.SEVERITY, {"severity": "sev2"}),
    ("sev 3", Verb.SEVERITY, {"severity": "3"}),
    ("assign <@U0LEAD|engineering-lead> commander", Verb.ASSIGN, {"person": "<@U0LEAD|engineering-lead>"}),
    ("assign <@U0LEAD> incident commander", Verb.ASSIGN, {"person": "<@U0LEAD>"}),
    ("assign me commander", Verb.ASSIGN, {"person": "me"}),
    ("ack", Verb.ACKNOWLEDGE, {}),
    ("acknowledge", Verb.ACKNOWLEDGE, {}),
    ("resolve", Verb.RESOLVE, {}),
    ("escalate", Verb.ESCALATE, {}),
    ("Escalate 2", Verb.ESCALATE, {"level": "2"}),
    ("escalate level 2", Verb.ESCALATE, {"level": "2"}),
    ("escalate to level 2", Verb.ESCALATE, {"level": "2"}),
    ("escalate <@U0LEAD|engineering-lead>", Verb.ESCALATE, {"person": "<@U0LEAD|engineering-lead>"}),
    ("escalate to <@U0LEAD>", Verb.ESCALATE, {"person": "<@U0LEAD>"}),
    ("impact customer", Verb.IMPACT, {"impact": "customer"}),
    ("impact media on", Verb.IMPACT, {"impact": "media", "switch": "on"}),
    ("impact Business OFF", Verb.IMPACT, {"impact": "Business", "switch": "OFF"}),
    ("drill clerk down", Verb.DRILL, {"words": "clerk down"}),
    ("drill two\nlines", Verb.DRILL, {"words": "two\nlines"}),
]

WORDS = [
    "status page down",
    "list of users is empty for everybody",
    "resolve fails with 500 everywhere",
    "help desk cannot sign in",
    "severity of the outage is rising fast",
    "clerk down",
    "nobody can sign in",
    "checkout",
    "🔥",
    "escalate privileges bug in admin",
    "escalate cto the database is corrupt",
    "escalate 500 errors in admin",
    "update of the payment page fails",
    "updates failing",
    "note taking broken",
    "impact of the outage is rising fast",
    "accounts add up wrongly",
    "accounts locked",
]

IN_A_ROOM: list[tuple[str, Verb, dict[str, str]]] = [
    ("escalate", Verb.ESCALATE, {}),
    ("escalate 2", Verb.ESCALATE, {"level": "2"}),
    ("escalate 2 the database is corrupt", Verb.ESCALATE, {"level": "2", "reason": "the database is corrupt"}),
    ("escalate level 3: no progress", Verb.ESCALATE, {"level": "3", "reason": "no progress"}),
    ("escalate level 400", Verb.ESCALATE, {"level": "400"}),
    ("escalate <@U0BOB|bob> he knows it", Verb.ESCALATE, {"person": "<@U0BOB|bob>", "reason": "he knows it"}),
    ("escalate to <@U0BOB>, now", Verb.ESCALATE, {"person": "<@U0BOB>", "reason": "now"}),
    ("escalate cto", Verb.ESCALATE, {"contact": "cto"}),
    ("escalate to CTO db is  corrupt", Verb.ESCALATE, {"contact": "cto", "reason": "db is corrupt"}),
    ("escalate cto: db is corrupt", Verb.ESCALATE, {"contact": "cto", "reason": "db is corrupt"}),
    ("escalate @cto clerk down", Verb.ESCALATE, {"contact": "cto", "reason": "clerk down"}),
    ("escalate <!subteam^S1|@cto> please", Verb.ESCALATE, {"contact": "cto", "reason": "please"}),
    ("escalate Engineering Lead he has to know", Verb.ESCALATE, {"contact": "engineering-lead", "reason": "he has to know"}),
    ("escalate engineering leaders must know", Verb.ESCALATE, {"contact": "engineering", "reason": "leaders must know"}),
    ("escalate privileges bug in admin", Verb.NOBODY, {"words": "privileges bug in admin"}),
    ("escalate 500 errors in admin", Verb.NOBODY, {"words": "500 errors in admin"}),
    ("escalate to", Verb.NOBODY, {"words": "to"}),
    ("escalate <!channel> all", Verb.NOBODY, {"words": "<!channel> all"}),
    ("escalate " + "x" * 100_000, Verb.NOBODY, {"words": "x" * 100_000}),
    ("update we are rolling back", Verb.UPDATE, {"text": "we are rolling back"}),
    ("update of the payment page fails", Verb.UPDATE, {"text": "of the payment page fails"}),
    ("note two\nlines", Verb.NOTE, {"text": "two\nlines"}),
    ("accounts", Verb.ACCOUNTS, {}),
    ("Accounts ADD user_2abc user_2def", Verb.ACCOUNTS, {"change": "ADD", "accounts": "user_2abc user_2def"}),
    ("accounts remove user_2abc,\nuser_2def", Verb.ACCOUNTS, {"change": "remove", "accounts": "user_2abc,\nuser_2def"}),
    ("accounts are locked", Verb.WORDS, {"words": "accounts are locked"}),
    ("status page down", Verb.WORDS, {"words": "status page down"}),
]

MISTYPED = [
    ("stauts", "status"),
    ("statsu", "status"),
    ("lst", "list"),
    ("hlep", "help"),
    ("resolv", "resolve"),
    ("resolve now", "resolve"),
    ("severity", "severity SEV1…SEV4"),
    ("severity SEV9", "severity SEV1…SEV4"),
    ("severity high", "severity SEV1…SEV4"),
    ("assign", "assign @someone commander"),
    ("asign me", "assign @someone commander"),
    ("drill", "drill <words>"),
    ("update", "update <text>"),
    ("notes", "note <text>"),
    ("excalate", "escalate"),
    ("impact", "impact customer|media|business [on|off]"),
    ("impact customers", "impact customer|media|business [on|off]"),
    ("account", "accounts"),
    ("acknowledged", None),
]


@pytest.mark.parametrize(("text", "verb", "arguments"), COMMANDS)
def test_a_command_is_read(text: str, verb: Verb, arguments: dict[str, str]) -> None:
    """In any case, with any blanks, and also when a runbook fits the words by chance."""
    for is_known in (False, True):
        parsed = parse(text, is_known=is_known)
        assert (parsed.verb, dict(parsed.arguments)) == (verb, arguments)


@pytest.mark.parametrize(("text", "verb", "arguments"), IN_A_ROOM)
def test_what_ends_in_free_text_counts_in_a_room_only(text: str, verb: Verb, arguments: dict[str, str]) -> None:
    """There the longest name that is known is meant, also when a runbook fits the words; a name that nobody has opens nothing."""
    for is_known in (False, True):
        parsed = parse(text, is_known=is_known, room=ROOM)
        assert (parsed.verb, dict(parsed.arguments)) == (verb, arguments)


@pytest.mark.parametrize("text", [text for text, _, _ in IN_A_ROOM if " " in text and not text.startswith("status")])
def test_what_depends_on_the_room_is_known_before_it_is_looked_up(text: str) -> None:
    """Everything else costs no look."""
    assert depends_on_room(text)


@pytest.mark.parametrize("text", ["escalate", "status", "clerk down", "updates failing", "", "notes are broken"])
def test_most_words_mean_the_same_everywhere(text: str) -> None:
    """So that the channel need not be looked up."""
    assert not depends_on_room(text)


def test_in_a_room_two_words_may_be_a_mistyped_note() -> None:
    """And outside of one they are what is broken."""
    assert parse("notes found", is_known=False, room=ROOM).verb is Verb.NEAREST
    assert parse("notes found", is_known=False).verb is Verb.WORDS


@pytest.mark.parametrize("text", WORDS)
def test_a_word_is_a_command_only_if_the_whole_text_fits(text: str) -> None:
    """What is broken may begin with any word."""
    parsed = parse(text, is_known=False)
    assert (parsed.verb, parsed.arguments["words"]) == (Verb.WORDS, text)


@pytest.mark.parametrize(("text", "usage"), MISTYPED)
def test_a_mistyped_command_names_the_nearest(text: str, usage: str | None) -> None:
    """One or two words that nearly are a command open nothing."""
    parsed = parse(text, is_known=False)
    if usage is None:
        assert parsed.verb is Verb.WORDS
    else:
        assert (parsed.verb, parsed.arguments["nearest"], parsed.arguments["words"]) == (Verb.NEAREST, usage, text)


def test_words_that_fit_a_runbook_are_never_taken_for_a_mistyped_command() -> None:
    """A runbook about the list of users wins over ``list``."""
    assert parse("lists", is_known=True).verb is Verb.WORDS
    assert parse("lists", is_known=False).verb is Verb.NEAREST


@pytest.mark.parametrize("quoted", ['"status"', "“status”", "'status'", '  "status"  '])
def test_words_in_quotes_are_always_words(quoted: str) -> None:
    """The way to mean a word that is a command."""
    parsed = parse(quoted, is_known=False)
    assert (parsed.verb, parsed.arguments["words"]) == (Verb.WORDS, "status")


@pytest.mark.parametrize("text", ["assign <!channel> commander", "assign bob commander", "assign <@u0lead> boss please"])
def test_only_a_person_can_be_assigned(text: str) -> None:
    """A name that Slack did not turn into an id is nobody."""
    assert parse(text, is_known=False).verb is not Verb.ASSIGN


def test_the_help_is_the_table() -> None:
    """Every form of the parser is in the help, in its order, and every line of the help but the words is a form."""
    lines = help_lines("/incident")
    assert len(lines) == len(FORMS) + 1
    for form in FORMS:
        usage = f"`/incident {form.usage}`" if form.usage else "`/incident`"
        assert any(line.startswith(usage) and line.endswith(form.help) for line in lines), form.verb
    assert any("<what is wrong>" in line for line in lines)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.verb.value)
def test_what_the_help_says_can_be_typed(form: Form) -> None:
    """The usage of each form, with its place-holders filled in, is understood as that form."""
    typed = form.usage
    for holder, filled in {
        "SEV1…SEV4": "SEV1",
        "@someone": "<@U0LEAD>",
        "<words>": "clerk down",
        "<level or who> [why]": "cto because",
        "<text>": "what we found",
        "customer|media|business [on|off]": "media off",
        "add|remove <ids>": "add user_2abc, user_2def",
    }.items():
        typed = typed.replace(holder, filled)
    assert parse(typed, is_known=False, room=ROOM if form.in_room else None).verb is form.verb


@pytest.mark.parametrize("text", ["SEV2", "sev2", "2"])
def test_a_severity_is_read_however_it_is_written(text: str) -> None:
    """The number is what counts."""
    assert parse_severity(text) is Severity.SEV2


def test_a_long_word_costs_nothing() -> None:
    """Ten thousand characters are words, at once."""
    assert parse("x" * 10_000, is_known=False).verb is Verb.WORDS


# -- /oncall -------------------------------------------------------------------------------------------------------

SWAPS: list[tuple[str, DutyVerb, dict[str, str]]] = [
    ("", DutyVerb.EVERYBODY, {}),
    ("  ", DutyVerb.EVERYBODY, {}),
    ("help", DutyVerb.HELP, {}),
    ("?", DutyVerb.HELP, {}),
    ("cover for me until 18:00", DutyVerb.ASK, {"span": "until 18:00"}),
    ("Cover for me  for 2 hours in Primary on-call", DutyVerb.ASK, {"span": "for 2 hours", "rotation": "Primary on-call"}),
    ("cover for <@U0A|alice> until 18:00", DutyVerb.TAKE, {"person": "U0A", "span": "until 18:00"}),
    ("I cover for <@U0A> for 2h", DutyVerb.TAKE, {"person": "U0A", "span": "for 2h"}),
    ("<@U0B|bob> covers for me until tomorrow 09:00", DutyVerb.GIVE, {"person": "U0B", "span": "until tomorrow 09:00"}),
    ("cover <@U0B> for me till 18:00 in primary", DutyVerb.GIVE, {"person": "U0B", "span": "till 18:00", "rotation": "primary"}),
    ("cover end", DutyVerb.END, {}),
    ("cover end in primary", DutyVerb.END, {"rotation": "primary"}),
    ("cover for bob until 18:00", DutyVerb.MISREAD, {"name": "cover for bob until 18:00"}),
    ("cover", DutyVerb.MISREAD, {"name": "cover"}),
    ("<@U0B> covers", DutyVerb.MISREAD, {"name": "<@U0B> covers"}),
    ("primary", DutyVerb.ONE, {"name": "primary"}),
    ("Primary  on-call", DutyVerb.ONE, {"name": "Primary on-call"}),
    ("coverage", DutyVerb.ONE, {"name": "coverage"}),
]


@pytest.mark.parametrize(("text", "verb", "arguments"), SWAPS)
def test_what_is_asked_about_the_duty_is_read(text: str, verb: DutyVerb, arguments: dict[str, str]) -> None:
    """In any case; a name is whatever else was typed."""
    parsed = parse_duty(text)
    assert (parsed.verb, dict(parsed.arguments)) == (verb, arguments)


def test_the_help_of_the_duty_is_its_table() -> None:
    """Every form, and every usage can be typed."""
    lines = duty_help_lines("/oncall")
    assert len(lines) == len(DUTY_FORMS) + 1
    for form in DUTY_FORMS:
        usage = f"`/oncall {form.usage}`" if form.usage else "`/oncall`"
        assert any(line.startswith(usage) and line.endswith(form.help) for line in lines), form.verb


@pytest.mark.parametrize("form", DUTY_FORMS, ids=lambda form: form.verb.value)
def test_what_the_help_of_the_duty_says_can_be_typed(form: DutyForm) -> None:
    """With a mention for @someone."""
    assert parse_duty(form.usage.replace("@someone", "<@U0LEAD|lead>")).verb is form.verb


@pytest.mark.parametrize("text", ["cover for me until " + " in" * 50_000, "x" * 100_000, "cover " * 20_000, "<@" * 50_000])
def test_a_long_swap_costs_nothing(text: str) -> None:
    """It is read as far as a swap may be long."""
    began_s = time.thread_time()  # what others do on this machine meanwhile does not count
    assert parse_duty(text).verb in (DutyVerb.ONE, DutyVerb.MISREAD, DutyVerb.ASK)
    assert time.thread_time() - began_s < 1


BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 16, 30, 20, tzinfo=UTC)
"""A Friday, 17:30:20 in Berlin."""


@pytest.mark.parametrize(
    ("span", "local"),
    [
        ("until 18:00", "2026-11-20 18:00"),
        ("till 9:05", "2026-11-21 09:05"),
        ("until 17:30", "2026-11-21 17:30"),
        ("until today 18:00", "2026-11-20 18:00"),
        ("until tomorrow 09:00", "2026-11-21 09:00"),
        ("Until Tomorrow at 09:00", "2026-11-21 09:00"),
        ("until 2026-11-24 09:00", "2026-11-24 09:00"),
        ("until 2026-11-24T09:00", "2026-11-24 09:00"),
        ("for 2h", "2026-11-20 19:30"),
        ("for 90 min", "2026-11-20 19:00"),
        ("for 2 hours 30 minutes", "2026-11-20 20:00"),
        ("for 14 days", "2026-12-04 17:30"),
    ],
)
def test_a_time_is_read_in_the_zone_of_who_says_it(span: str, local: str) -> None:
    """A time of day is the next such one."""
    assert f"{read_until(span, now=NOW, zone=BERLIN).astimezone(BERLIN):%Y-%m-%d %H:%M}" == local


@pytest.mark.parametrize(
    ("span", "problem"),
    [
        ("until six", "cannot read that time"),
        ("until 25:00", "cannot read that time"),
        ("until tomorrow", "cannot read that time"),
        ("until 2026-02-30 09:00", "cannot read that time"),
        ("until 0001-01-01 00:00", "over already|cannot read"),
        ("until 9999-12-31 23:59", "more than 14 days|cannot read"),
        ("until ١٨:٠٠", "cannot read that time"),
        ("for ever", "cannot read that time"),
        ("for 0", "over already"),
        ("for 99999999999999 h", "cannot read that time"),
        ("until today 09:00", "over already"),
        ("until 2026-11-20 17:30", "over already"),
        ("until 2026-11-19 18:00", "over already"),
        ("for 15 days", "more than 14 days"),
        ("until 2026-12-24 09:00", "more than 14 days"),
    ],
)
def test_a_time_that_is_none_is_refused(span: str, problem: str) -> None:
    """With how to write it, and that nothing was changed."""
    with pytest.raises(UserError, match=problem) as refused:
        read_until(span, now=NOW, zone=BERLIN)
    assert "othing was changed" in str(refused.value)


@pytest.mark.parametrize(
    ("now", "span", "expected"),
    [
        (datetime(2026, 10, 24, 16, 0, tzinfo=UTC), "until 12:00", datetime(2026, 10, 25, 11, 0, tzinfo=UTC)),
        (datetime(2026, 3, 28, 16, 0, tzinfo=UTC), "until 12:00", datetime(2026, 3, 29, 10, 0, tzinfo=UTC)),
        (datetime(2026, 3, 28, 16, 0, tzinfo=UTC), "until tomorrow 02:30", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        (datetime(2026, 10, 24, 16, 0, tzinfo=UTC), "until tomorrow 02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "until 02:45", datetime(2026, 10, 25, 0, 45, tzinfo=UTC)),
        (datetime(2026, 10, 25, 0, 50, tzinfo=UTC), "until 02:45", datetime(2026, 10, 25, 1, 45, tzinfo=UTC)),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "until 02:45", datetime(2026, 10, 25, 1, 45, tzinfo=UTC)),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "until today 02:45", datetime(2026, 10, 25, 1, 45, tzinfo=UTC)),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "until 2026-10-25 02:45", datetime(2026, 10, 25, 1, 45, tzinfo=UTC)),
        (datetime(2026, 10, 25, 1, 50, tzinfo=UTC), "until 02:45", datetime(2026, 10, 26, 1, 45, tzinfo=UTC)),
        (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "until 02:45", datetime(2026, 3, 29, 1, 45, tzinfo=UTC)),
        (datetime(2026, 3, 29, 1, 50, tzinfo=UTC), "until 02:45", datetime(2026, 3, 30, 0, 45, tzinfo=UTC)),
    ],
)
def test_the_night_of_the_clock_change_moves_no_time_of_day(now: datetime, span: str, expected: datetime) -> None:
    """What the spring night skips is an hour later, what the autumn night has twice is the next of the two."""
    assert read_until(span, now=now, zone=BERLIN) == expected
