"""How a Slack message falls into words, sentences and clauses, and which words mean what to `bot.domain.triggers`.
Pure.

Everything here is linear in the length of the text: no pattern can be made to backtrack. What does not belong: phrases,
runbooks, and what a match means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from bot.domain.text import normalized

MESSAGE_MAX_CHARS = 40_000
"""Slack cuts longer messages: docs.slack.dev/reference/methods/chat.postMessage, "truncating content"."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


GREETINGS = _set(
    "hey hi hello yo hmm hm uh um oh ok okay so and but well guys folks team everyone everybody all omg ugh wtf argh "
    "attention urgent alert warning fyi heads up please pls or"
)
"""May stand before anything without changing what it says."""

SKIPPED = _set(
    "a an the is are am be been being s re ve has have had was were will do does did go goes going gone went get gets "
    "getting got seems seem seemingly appears appear looks look looking like to it its this that there our my your "
    "their of for in on at now right again still just currently really very totally completely entirely fully all "
    "pretty quite apparently definitely suddenly already also always everywhere too so could would should might may"
)
"""Fillers: may stand between two words of a phrase ("clerk *is* down", "auth *seems to be* not working")."""

NEGATIONS = _set("not no never without neither nor none cannot nope")

OPINIONS = _set("i we you they he she think believe mean say says sure certain more any longer see seeing expect")
"""May stand between a negation and what it denies ("not *sure* clerk is down", "no *more* clerk outages")."""

PAST = _set("was were")

TOLD = PAST | _set(
    "had yesterday ago earlier last previously former formerly once resolved fixed recovered solved over ended false "
    "suppose imagine wonder wondering test testing tested drill "
    "example hypothetically mentioned said told called named runbook runbooks playbook postmortem mortem retro "
    "retrospective review meeting docs documentation phrase keyword trigger triggers remember tomorrow"
)
"""The sentence is about the past, about what might be, or about words: it reports nothing that is broken now."""

SUPPOSING = _set("would could should might may maybe perhaps possibly")
"""In the clause of the phrase they make it a guess; in another one they are about something else."""

CONDITIONS = _set("if when whenever whether unless until before after since because")
"""Before the phrase they make it a condition; behind it they only explain."""

ASKING = _set("is are was were did does do has can could would should will why what how who where which anyone anybody isn aren")
"""A sentence that begins with one of them asks, with or without a question mark."""

FUNCTION_WORDS = (
    GREETINGS
    | SKIPPED
    | NEGATIONS
    | CONDITIONS
    | _set(
        "i me we us you he him she her they them who what which where why how here can could would should may must or "
        "as by from with into about out off up over any some anyone anybody someone somebody everything nothing help "
        "thanks thank sorry asap immediately today since if then than too please pls plz only even more most much many "
        "one else yes yeah yep lol"
    )
)
"""Not counted as content when it is asked how much more than the phrase a message says."""

_GENERIC = _set(
    "incident outage down error broken issue problem complete user emergency working work fail failing failed failure "
    "unable production prod service returning detected system app server return"
)
"""Said about every incident: they tell no runbook from another."""

_ADDRESS_ENDS = "com|net|org|io|dev|app|co|ai|md|yml|yaml|json|tsx?|jsx?|py|txt|log|html?|sh|pdf|png|csv"

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_QUOTED_LINE = re.compile(r"^[ \t]*(?:>|&gt;).*$", re.MULTILINE)
_MARKUP = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_EMOJI = re.compile(r":[a-z0-9_+'\-]{1,100}:(?:skin-tone-[2-6]:)?")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
_ENTITY = re.compile("|".join(_ENTITIES))
_ROUGH_WORD = re.compile(r"[^\W_]+|[.!?;…|]")
_WHOLE_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_WHOLE_WORD_OR_STOP = re.compile(rf"{_WHOLE_WORD.pattern}|[.!?;…|]")
_VANISHES = re.compile(r"[<&@#/\\]|:\S|[._][^\W_]")
"""Where markup, an entity, an emoji or an address may be; quotes end a sentence, which no phrase spans."""
_WORD_OR_BLANK = "".join(sign if sign.isalnum() else " " for sign in map(chr, range(128)))
_APOSTROPHES = str.maketrans("’‘ʼ`", "''''", "\u00ad\u200b\u200c\u200d\u2060\ufeff")
_PLAIN_LABEL = re.compile(r"[^./:@\\]*")

_ADDRESS = re.compile(
    r"(?<!\S)(?="  # a chunk between blanks that is an address, a path, a handle or an identifier, not words:
    r"[\"'(\[*~]*+(?:"
    r"[@#/\\][^\W_]"  # @oncall, #clerk-down, /var/log
    r"|\S*?(?:"
    r"://|\\|[^\W_]@[^\W_]|[^\W_]_[^\W_]"  # https://…, C:\…, name@host, clerk_down
    r"|[^\W_]\.[^\W_][^\s.]*\.[^\W_]"  # www.clerk.down
    r"|[^\W_]/[^\W_][^\s/]*/"  # docs/clerk/down
    rf"|[^\W_]\.(?:{_ADDRESS_ENDS})(?![^\W_])"  # clerk.com, outage.md
    r")))\S++"
)
_TOKEN = re.compile(
    r"(?P<word>[^\W_]++(?:'[^\W_]++)*+)|(?P<ask>[.!;…]*+\?[.!?]*+)|(?P<stop>[.!;…\n/|]++)|(?P<pause>[,:()\[\]\"“”–—])"
)
_NOT = re.compile(r"(?P<verb>[a-z]+)n't")
_SHORT_NOT = {
    f"{verb}nt": verb
    for verb in _set("is are was were do does did has have had would could should")  # wont and cant are below
}
_WHOLE = {
    "can't": ("can", "not"),
    "cant": ("can", "not"),
    "cannot": ("can", "not"),
    "won't": ("will", "not"),
    "wont": ("will", "not"),
    "shan't": ("shall", "not"),
    "ain't": ("is", "not"),
    "aint": ("is", "not"),
    **{short: (verb, "not") for short, verb in _SHORT_NOT.items()},
}
_SHORT_FORMS = {"t", *(short for short in _WHOLE if "'" not in short)}
_LONG_FORMS = {word for long in _WHOLE.values() for word in long} | _set("might must need ought")
_SUFFIX = re.compile(r"'(?:s|re|ve|ll|d|m)$")


class Word(NamedTuple):
    """One word of a message. ``asked``: its sentence ends in a question mark. A phrase never spans two."""

    text: str
    sentence: int
    clause: int
    asked: bool


def fold(text: str) -> str:
    """``text`` for comparing: compatibility forms, case, apostrophes and blanks made equal."""
    if not text.isascii():
        text = normalized(text, "NFKC").translate(_APOSTROPHES)
    return " ".join(text.casefold().split())


def loose_words(folded: str) -> list[str]:
    """What `rough_words` finds but for the stops, in a third of the time where the text is ASCII."""
    return folded.translate(_WORD_OR_BLANK).split() if folded.isascii() else rough_words(folded)


def rough_words(folded: str) -> list[str]:
    """Everything in ``folded`` that may be a word, in order, addresses and code included, contractions in pieces; and what
    ends a sentence."""
    return _ROUGH_WORD.findall(folded)


def long_forms(words: Sequence[str]) -> Sequence[str]:
    """``words``, with those into which contractions among them may expand."""
    return words if _SHORT_FORMS.isdisjoint(words) else (*words, *_LONG_FORMS)


def in_sequence(text: str, folded: str, rough: Sequence[str], *, contracted: bool) -> Sequence[str] | None:
    """The words and stops of ``text``, which is ``folded``: a phrase that `message_words` has in a row is in a row here as well.

    None where that is not certain: something stands in the text that may be taken out from between two words. ``rough``: its
    `rough_words`; ``contracted``: `long_forms` found short ones among them.
    """
    if "`" in text or _VANISHES.search(folded):  # folded, a backquote may be an apostrophe, which joins
        return None
    if not contracted and "'" not in folded:
        return rough
    return [part for word in _WHOLE_WORD_OR_STOP.findall(folded) for part in _expand(word)]


def phrase_key(phrase: str) -> tuple[str, ...]:
    """The words of a phrase by which it is found: without fillers where two other words are left, and expanded."""
    words = [part for word in _WHOLE_WORD.findall(_normalize(phrase)) for part in _expand(word)]
    telling = [word for word in words if word not in SKIPPED]
    return tuple(telling if len(telling) > 1 else words)


def is_everyday(key: tuple[str, ...]) -> bool:
    """A phrase of these words stands in many messages: nothing in it is specific, or it is one short word."""
    telling = [word for word in key if word not in FUNCTION_WORDS and _singular(word) not in _GENERIC]
    return not telling or (len(key) == 1 and len(key[0]) < 4)


def message_words(text: str) -> list[Word]:
    """The words that a person said in ``text``: no code, quotes, mentions, addresses or emoji; contractions
    expanded."""
    return _words(_ADDRESS.sub(" ", _plain(text)))


def specific_words(text: str) -> frozenset[str]:
    """The words of ``text`` that tell one incident from another, in the singular."""
    words = {_singular(word.text) for word in message_words(text.replace("-", " "))}
    return frozenset(word for word in words if word not in FUNCTION_WORDS and word not in _GENERIC)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _normalize(text: str) -> str:
    if not text.isascii():
        text = normalized(text, "NFKC").translate(_APOSTROPHES)
    return text.casefold()


def _plain(text: str) -> str:
    text = _CODE.sub(" \n ", text) if "`" in text else text
    text = _QUOTED_LINE.sub(" \n ", text) if ">" in text or "&gt;" in text else text
    text = _MARKUP.sub(_label, text) if "<" in text else text
    text = _ENTITY.sub(lambda match: _ENTITIES[match[0]], text) if "&" in text else text
    text = _normalize(text)
    return _EMOJI.sub(" ", text) if ":" in text else text


def _label(match: re.Match[str]) -> str:
    target, label = match[1], match[2]
    if label and not target.startswith(("@", "#", "!", "mailto:")) and _PLAIN_LABEL.fullmatch(label):
        return label
    return " "


def _expand(word: str) -> tuple[str, ...]:
    """ "isn't" → is, not; "clerk's" → clerk."""
    if word in _WHOLE:
        return _WHOLE[word]
    if "'" not in word:
        return (word,)
    negated = _NOT.fullmatch(word)
    if negated:
        return (negated["verb"], "not")
    return (_SUFFIX.sub("", word),)


def _words(text: str) -> list[Word]:
    words: list[Word] = []
    pending: list[tuple[str, int]] = []
    sentence = clause = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "word":
            pending.extend((part, clause) for part in _expand(match[0]))
            continue
        clause += 1
        if kind != "pause":
            words.extend(_finished(pending, sentence, asked=kind == "ask"))
            pending, sentence = [], sentence + 1
    words.extend(_finished(pending, sentence, asked=False))
    return words


def _finished(pending: list[tuple[str, int]], sentence: int, *, asked: bool) -> list[Word]:
    return [Word(text, sentence, clause, asked) for text, clause in pending]
