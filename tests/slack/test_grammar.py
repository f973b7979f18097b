"""The grammar of ``/incident``: what is a command, what is words, and that the help tells exactly that."""

from __future__ import annotations

import pytest

from bot.domain.severity import Severity
from bot.slack.listeners.grammar import FORMS, Form, Verb, help_lines, parse, parse_severity

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
    ("acknowledged", None),
]


@pytest.mark.parametrize(("text", "verb", "arguments"), COMMANDS)
def test_a_command_is_read(text: str, verb: Verb, arguments: dict[str, str]) -> None:
    """In any case, with any blanks, and also when a runbook fits the words by chance."""
    for is_known in (False, True):
        parsed = parse(text, is_known=is_known)
        assert (parsed.verb, dict(parsed.arguments)) == (verb, arguments)


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
    typed = form.usage.replace("SEV1…SEV4", "SEV1").replace("@someone", "<@U0LEAD>").replace("<words>", "clerk down")
    assert parse(typed, is_known=False).verb is form.verb


@pytest.mark.parametrize("text", ["SEV2", "sev2", "2"])
def test_a_severity_is_read_however_it_is_written(text: str) -> None:
    """The number is what counts."""
    assert parse_severity(text) is Severity.SEV2


def test_a_long_word_costs_nothing() -> None:
    """Ten thousand characters are words, at once."""
    assert parse("x" * 10_000, is_known=False).verb is Verb.WORDS
