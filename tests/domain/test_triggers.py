"""Phrases in messages: what opens an incident, what is asked about, what is left alone."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bot.domain import phrase_words as pw
from bot.domain.phrase_words import MESSAGE_MAX_CHARS
from bot.domain.runbook import Phrase
from bot.domain.triggers import PhraseMatch, PhraseMatcher

PHRASES = [
    ("clerk down", "outage"),
    ("clerk outage", "outage"),
    ("auth not working", "outage"),
    ("can't sign in", "outage"),
    ("clerk incident", "outage"),
    ("clerk incident", "security"),
    ("clerk emergency", "outage"),
    ("clerk emergency", "security"),
    ("Größere Störung", "störung"),
    ("it is broken", "broken"),
]
MATCHER = PhraseMatcher(PHRASES)

BARE = [
    "clerk down",
    "Clerk DOWN",
    "clerk is down!!",
    "clerk is down",
    "CLERK IS DOWN!!!!1",
    "clerk's down",
    "clerk went down",
    "clerk seems to be totally down",
    "clerk has been down for an hour",
    "hey @oncall clerk is down again please help",
    "hey <@U012ABCDEF> clerk is down again please help",
    "<!here> clerk down",
    "<!subteam^S1|@oncall> clerk down",
    "clerk <@U2> down",
    "oh no, clerk is down",
    "oh no clerk is down",
    "auth is not working",
    "auth isn't working",
    "auth isn’t working",
    "auth isnt working",
    "Auth not working for all users in prod",
    "auth is still not working",
    "users cannot sign in",
    "nobody can not sign in",
    "*clerk* _down_",
    "*clerk down*",
    "~clerk down~",
    ":fire: clerk down :fire:",
    "🔥 clerk down 🔥",
    "clerk, down",
    "Clerk: down",
    "clerk-down",
    "  clerk \t  down  ",
    "clerk\u200b down",
    "ｃｌｅｒｋ　ｄｏｗｎ",
    "what is going on? clerk is down",
    "clerk is down. https://status.clerk.com",
    "clerk is down <https://status.clerk.com|status.clerk.com>",
    "<https://status.clerk.com|clerk down>",
    "clerk is down, can't log in",
    "can't log in, clerk is down",
    "do not panic, clerk is down",
    "clerk down &amp; out",
    "clerk down clerk down clerk down clerk down clerk down",
    "GRÖSSERE STÖRUNG",
    "it is broken",
    "clerk isn't down. clerk outage!",
    "can someone look, clerk is down",
    "could anyone help: auth is not working",
    "can anybody look at this? clerk is down",
]
QUESTIONS = [
    "is clerk down?",
    "is clerk down",
    "Is Clerk down again?",
    "did clerk go down",
    "clerk down?",
    "clerk down ??",
    "clerk down？",
    "hey team, is clerk down",
    "does anyone know if clerk is down",
    "anyone else seeing auth not working?",
    "why is clerk down",
    "clerk is down, isn't it?",
    "isn't clerk down?",
    "is it just me, or is clerk down",
    "clerk is down, can anyone confirm?",
]
PROSE = [
    "clerk was down yesterday",
    "clerk was down",
    "when clerk down was mentioned in the meeting we said we should write something about it",
    "let me know if clerk is down",
    "the clerk down runbook is outdated",
    "clerk outage resolved",
    "clerk down is not true",
    "this is only a test: clerk is down",
    "maybe clerk is down",
    "clerk could be down",
    "clerk might be down",
    "the blog post about the great clerk outage of march is a good read",
    "clerk is down right now, everything is broken and customers are calling support from every region",
    "write clerk down on the list of vendors that we have to review before renewing contracts",
]
SILENT = [
    "",
    " ",
    "hello",
    "clerk",
    "down",
    "clerk download",
    "clerk downtime policy",
    "clerkdown",
    "the clerk of the court is sitting down",
    "clerk is not down",
    "clerk isn't down",
    "clerk isnt down",
    "clerk is no longer down",
    "clerk never goes down",
    "no clerk outage today",
    "I don't think clerk is down",
    "not sure clerk is down",
    "no more clerk outages, no more clerk outage",
    "never had a clerk outage",
    "this is not a clerk outage",
    "auth is working",
    "auth works, clerk does not",
    "clerk. down",
    "down clerk",
    "#clerk-down",
    "<#C012ABCDEF|clerk-down>",
    "clerk_down",
    "https://example.com/clerk-down",
    "see https://example.com/?q=clerk+down",
    "<https://example.com/clerk-down|example.com/clerk-down>",
    "<https://clerk.down|clerk.down>",
    "www.clerk.down",
    "runbooks/clerk/down",
    "runbooks/clerk/down.md",
    "mail clerk-down@example.com",
    "<mailto:clerk-down@example.com|clerk-down@example.com>",
    "`clerk down`",
    "```clerk down```",
    "```\nlog:\nclerk down\n```",
    "```clerk down",
    "&gt; clerk down",
    "> clerk down",
    "they wrote:\n&gt; clerk down\nfunny",
    ":clerk: down",
    "broken it is",
    "is it possible to break it",
]


@pytest.mark.parametrize("text", BARE)
def test_little_more_than_the_phrase(text: str) -> None:
    """Such a message opens an incident at once."""
    match = MATCHER.match(text)
    assert match is not None
    assert match.kind == "bare"


@pytest.mark.parametrize("text", QUESTIONS)
def test_questions(text: str) -> None:
    """Somebody asks; nobody says that something is broken."""
    match = MATCHER.match(text)
    assert match is not None
    assert match.kind == "question"


@pytest.mark.parametrize("text", PROSE)
def test_prose(text: str) -> None:
    """The phrase is in it, but the message may be about something else."""
    match = MATCHER.match(text)
    assert match is not None
    assert match.kind == "prose"


@pytest.mark.parametrize("text", SILENT)
def test_left_alone(text: str) -> None:
    """Other words, negations, code, quotes, addresses, names."""
    assert MATCHER.match(text) is None


def test_the_table_is_long_enough_to_mean_something() -> None:
    """Each kind is there many times."""
    assert len(BARE) + len(QUESTIONS) + len(PROSE) + len(SILENT) >= 100


def test_a_shared_phrase_names_every_runbook_in_file_order() -> None:
    """The phrase is reported as the runbook spells it."""
    assert MATCHER.match("CLERK INCIDENT!") == PhraseMatch(
        phrase="clerk incident", runbook_ids=("outage", "security"), kind="bare"
    )


def test_a_second_phrase_makes_a_shared_one_certain() -> None:
    """What two phrases speak for is likelier than what one does."""
    match = MATCHER.match("clerk emergency, auth not working")
    assert match is not None
    assert match.runbook_ids == ("outage",)


def test_the_longest_phrase_wins() -> None:
    """A shorter one inside it says less."""
    matcher = PhraseMatcher([("auth down", "all"), ("auth down in europe", "europe")])
    assert matcher.match("auth is down in europe").runbook_ids == ("europe",)  # type: ignore[union-attr]
    assert matcher.match("auth is down in asia").runbook_ids == ("all",)  # type: ignore[union-attr]


def test_a_phrase_of_fillers_needs_its_fillers() -> None:
    """ "it is broken" is not reduced to "broken"."""
    assert MATCHER.match("it is broken") is not None
    assert MATCHER.match("broken") is None


def test_two_spellings_of_one_phrase_are_one() -> None:
    """Both runbooks are named."""
    matcher = PhraseMatcher([("clerk down", "a"), ("Clerk is down", "b")])
    assert matcher.match("clerk down").runbook_ids == ("a", "b")  # type: ignore[union-attr]
    assert matcher.match("Clerk is down").runbook_ids == ("a", "b")  # type: ignore[union-attr]


def test_without_phrases_nothing_matches() -> None:
    """An empty catalog is no error."""
    assert PhraseMatcher([]).match("clerk down") is None


def test_a_phrase_without_a_word_is_refused() -> None:
    """The models refuse it before."""
    with pytest.raises(ValueError, match="no word"):
        PhraseMatcher([("!!", "a")])


HOSTILE = {
    "the first word again and again": "clerk ",
    "phrases": "clerk down ",
    "negated phrases": "no clerk down i ",
    "questions": "is clerk down? ",
    "fillers": "clerk is is is ",
    "letters": "a",
    "angle brackets": "<a|",
    "backticks": "`",
    "code fences": "``` ",
    "dots": "a.",
    "slashes": "a/",
    "at signs": "a@",
    "underscores": "a_",
    "colons": ":a",
    "apostrophes": "'",
    "quotes": "\n&gt; clerk",
    "brackets": "([\"'*~",
    "punctuation": "!x?",
    "combining marks": "e\u0301",
    "ligatures": "\ufdfa",
    "surrogates": "\ud800 ",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_the_work_grows_no_faster_than_the_message(piece: str) -> None:
    """Twice as much of anything is at most twice the work; the patterns themselves end in time at the longest message."""
    pieces = MESSAGE_MAX_CHARS // 2 // len(piece) - 10
    short, long = ("clerk " + piece * count for count in (pieces, 2 * pieces))
    assert calls_of(lambda: MATCHER.match(long)) <= 2 * calls_of(lambda: MATCHER.match(short)) + 100


def test_what_is_beyond_the_longest_message_is_not_read() -> None:
    """Slack cuts there as well."""
    assert MATCHER.match("x " * MESSAGE_MAX_CHARS + "clerk down") is None


def test_thousands_of_phrases_do_not_make_a_message_dearer() -> None:
    """The steps that a message takes through the trie do not depend on how many phrases there are."""
    few = PhraseMatcher(PHRASES)
    many = PhraseMatcher([*PHRASES, *((f"thing{i} broke{i % 7} again", f"r{i}") for i in range(10_000))])
    for text in (*BARE, *QUESTIONS, *PROSE, *SILENT):
        assert calls_of(lambda text=text: many.match(text)) <= calls_of(lambda text=text: few.match(text))  # type: ignore[misc]
        assert many.match(text) == few.match(text)


class Thorough(PhraseMatcher):
    """Takes every message apart, however unlikely it is that there is a phrase in it."""

    def _may_match(self, text: str, folded: str) -> bool:
        return True


THOROUGH = Thorough(PHRASES)
PIECES = ["clerk", "down", "is", "isn't", "can't", "cant", "sign in", "the", "auth", "working", "not", "<@U1>", ":fire:", "a.b/c"]
JOINTS = [
    " ",
    "  ",
    ", ",
    ". ",
    "? ",
    "\n",
    "-",
    "_",
    "'s ",
    "&amp;",
    "/",
    " <https://x.y|",
    "> ",
    "`",
    " :",
    " @",
    " x@y ",
    "｡",
    "’",
]


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(JOINTS)), max_size=12))
def test_what_is_ruled_out_quickly_has_no_phrase_in_it(pieces: list[tuple[str, str]]) -> None:
    """The quick look never loses a phrase that taking the message apart would find."""
    text = "".join(piece + joint for piece, joint in pieces)
    assert MATCHER.match(text) == THOROUGH.match(text)


def calls_of(function: Callable[[], object]) -> int:
    """How many Python functions ``function`` calls."""
    count = 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


@given(st.text(max_size=300))
def test_never_raises(text: str) -> None:
    """Whatever people write."""
    MATCHER.match(text)


@given(st.lists(st.sampled_from(["clerk", "down", "is", "not", "?", "`", "<", ">", "|", "\n", "no", ".", ":", "@"])))
def test_never_raises_on_what_looks_like_a_phrase(pieces: list[str]) -> None:
    """Pieces of phrases and markup in any order."""
    for joint in ("", " "):
        MATCHER.match(joint.join(pieces))


def is_phrase(text: str) -> bool:
    """Whether the models take it."""
    try:
        TypeAdapter(Phrase).validate_python(text)
    except ValidationError:
        return False
    return True


@given(st.text(max_size=80).filter(is_phrase))
def test_the_phrase_alone_is_always_bare(phrase: str) -> None:
    """However odd a phrase is: writing it, and nothing else, calls for its runbook."""
    match = PhraseMatcher([(phrase, "runbook")]).match(f"  {phrase} ")
    assert match == PhraseMatch(phrase=phrase, runbook_ids=("runbook",), kind="bare")


@given(text=st.text(max_size=200) | st.text(alphabet=[chr(code) for code in range(128)], max_size=200))
def test_the_first_sieve_sees_every_word(text: str) -> None:
    """What rules a message out at once misses no word that the real look would find."""
    folded = pw.fold(text)
    words = [part for part in pw.rough_words(folded) if part not in ".!?;…|"]
    assert [part for part in pw.loose_words(folded) if part not in ".!?;…|"] == words
