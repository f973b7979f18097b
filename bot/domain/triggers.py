"""Which runbook do these words call for? Phrases in messages, and words behind `/incident` and `/runbook`. Pure.

Called for every message of every channel that the bot is in, so a message that matches nothing must be cheap, with ten
phrases or with ten thousand: one pass for words, one look-up per word in a trie. How text falls into words is in
`bot.domain.phrase_words`. What does not belong: what is done about a match (`bot.slack.listeners`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, zip_longest
from typing import Literal

from bot.domain import phrase_words as pw
from bot.domain.phrase_words import Word
from bot.domain.runbook import Runbook

Kind = Literal["bare", "prose", "question"]

BARE_MAX_FURTHER_WORDS = 3
"""A message with more content words than these beside the phrase is prose."""
SKIPPED_MAX_WORDS = 4
"""So many filler words in a row may stand between two words of a phrase."""
HITS_MAX = 16
"""More phrases than these in one message say nothing new."""

_KIND_ORDER: Sequence[Kind] = ("bare", "prose", "question")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseMatch:
    """A phrase as it is written in the runbook, and the runbooks that it calls for, the likeliest first.

    ``kind``: "bare" when the message is little more than the phrase, "question" when it asks whether, "prose"
    otherwise.
    """

    phrase: str
    runbook_ids: tuple[str, ...]
    kind: Kind


@dataclass(slots=True)
class _Node:
    below: dict[str, _Node] = field(default_factory=dict)
    phrase: str = ""


@dataclass(frozen=True, slots=True)
class _Hit:
    """A phrase in a message: the words from ``start`` up to and without ``end``."""

    phrase: str
    start: int
    end: int


class PhraseMatcher:
    """All phrases of all runbooks, ready to be looked for. Immutable once built."""

    def __init__(self, phrases: Iterable[tuple[str, str]]) -> None:
        """``phrases`` are (phrase, runbook id) in the order of the runbooks; several runbooks may share one.

        Raises: ValueError for a phrase in which there is no word.
        """
        self._root = _Node()
        self._ids: dict[str, tuple[str, ...]] = {}
        self._exact: dict[str, str] = {}
        self._rank: dict[str, int] = {}
        for phrase, runbook_id in phrases:
            self._add(phrase, runbook_id)

    def _add(self, phrase: str, runbook_id: str) -> None:
        words = pw.phrase_key(phrase)
        if not words:
            raise ValueError(f"the phrase {phrase!r} has no word in it")
        node = self._root
        for word in words:
            node = node.below.setdefault(word, _Node())
        node.phrase = node.phrase or phrase
        known = self._ids.get(node.phrase, ())
        self._ids[node.phrase] = known if runbook_id in known else (*known, runbook_id)
        self._exact.setdefault(pw.fold(phrase), node.phrase)
        self._rank.setdefault(runbook_id, len(self._rank))

    def match(self, text: str) -> PhraseMatch | None:
        """What a message calls for; None when no phrase is in it, or only a negated one. Never raises."""
        text = text[: pw.MESSAGE_MAX_CHARS]
        folded = pw.fold(text)
        exact = self._exact.get(folded)
        if exact is not None:
            return PhraseMatch(phrase=exact, runbook_ids=self._ids[exact], kind="bare")
        if not self._may_match(text, folded):
            return None
        words = pw.message_words(text)
        hits = [hit for hit in islice(self._hits(words), HITS_MAX) if not _is_negated(words, hit)]
        if not hits:
            return None
        taken = {position for hit in hits for position in range(hit.start, hit.end)}
        kind = min((_kind(words, hit, taken) for hit in hits), key=_KIND_ORDER.index)
        runbook_ids = self._likeliest(hits)
        phrase = next(hit.phrase for hit in hits if runbook_ids[0] in self._ids[hit.phrase])
        return PhraseMatch(phrase=phrase, runbook_ids=runbook_ids, kind=kind)

    def _may_match(self, text: str, folded: str) -> bool:
        """What rules out nearly everything, without taking the text apart: no phrase begins with any of its words, or has all
        of them in a row; or, where rows cannot be told that way, no phrase has its first two words anywhere."""
        if self._root.below.keys().isdisjoint(pw.long_forms(pw.loose_words(folded))):
            return False
        rough = pw.rough_words(folded)
        anywhere = pw.long_forms(rough)
        words = pw.in_sequence(text, folded, rough, contracted=anywhere is not rough)
        return self._has_beginning(set(anywhere)) if words is None else self._has_phrase_in(words)

    def _has_beginning(self, words: Set[str]) -> bool:
        """Some first word of a phrase is there, and some second word of such a phrase."""
        below = self._root.below
        for word in words & below.keys():
            node = below[word]
            if node.phrase or not node.below.keys().isdisjoint(words):
                return True
        return False

    def _has_phrase_in(self, words: Sequence[str]) -> bool:
        """A phrase is there, with nothing but fillers between its words."""
        skipped = pw.SKIPPED
        nodes = map(self._root.below.get, words)
        for position, (node, following) in enumerate(zip_longest(nodes, islice(words, 1, None)), start=1):
            if node is None:
                continue
            if (following in node.below or node.phrase or following in skipped) and _goes_on(node, words, position):
                return True
        return False

    def _hits(self, words: Sequence[Word]) -> Iterator[_Hit]:
        position = 0
        while position < len(words):
            hit = self._longest_from(words, position)
            if hit:
                yield hit
            position = hit.end if hit else position + 1

    def _longest_from(self, words: Sequence[Word], start: int) -> _Hit | None:
        """The longest phrase whose first word is at ``start``; a word may be read as part of it or skipped as a
        filler."""
        first = self._root.below.get(words[start].text)
        if first is None:
            return None
        found = _Hit(first.phrase, start, start + 1) if first.phrase else None
        open_nodes = [(first, 0)]
        for position in range(start + 1, len(words)):
            word = words[position]
            if word.sentence != words[start].sentence:
                break
            further = [(node.below[word.text], 0) for node, _ in open_nodes if word.text in node.below]
            if word.text in pw.SKIPPED:
                further += [(node, skipped + 1) for node, skipped in open_nodes if skipped < SKIPPED_MAX_WORDS]
            open_nodes = further
            if not open_nodes:
                break
            ended = next((node for node, skipped in open_nodes if node.phrase and not skipped), None)
            if ended:
                found = _Hit(ended.phrase, start, position + 1)
        return found

    def _likeliest(self, hits: Sequence[_Hit]) -> tuple[str, ...]:
        """The runbooks that the most different phrases speak for, in the order of the files."""
        votes: dict[str, int] = {}
        for phrase in {hit.phrase for hit in hits}:
            for runbook_id in self._ids[phrase]:
                votes[runbook_id] = votes.get(runbook_id, 0) + 1
        most = max(votes.values())
        return tuple(sorted((name for name, count in votes.items() if count == most), key=self._rank.__getitem__))


def _goes_on(node: _Node, words: Sequence[str], position: int) -> bool:
    """Whether a phrase that has come to ``node`` finds its further words from ``position`` on."""
    if node.phrase:
        return True
    for at, word in enumerate(words[position : position + SKIPPED_MAX_WORDS + 1], start=position):
        following = node.below.get(word)
        if following is not None and _goes_on(following, words, at + 1):
            return True
        if word not in pw.SKIPPED:
            return False
    return False


def _is_negated(words: Sequence[Word], hit: _Hit) -> bool:
    """ "no clerk outage", "I do not think clerk is down". A negation *inside* never was a hit: it is no filler."""
    for position in range(hit.start - 1, -1, -1):
        word = words[position]
        if word.clause != words[hit.start].clause or word.asked:  # "isn't clerk down?" denies nothing
            return False
        if word.text in pw.NEGATIONS:
            return not (word.text == "no" and position and words[position - 1].text == "oh")
        if word.text not in pw.SKIPPED and word.text not in pw.OPINIONS:
            return False
    return False


def _kind(words: Sequence[Word], hit: _Hit, taken: set[int]) -> Kind:
    sentence = [i for i, word in enumerate(words) if word.sentence == words[hit.start].sentence]
    if words[hit.start].asked or _leads_a_question(words, hit):
        return "question"
    if any(words[i].text in pw.TOLD for i in sentence if i not in taken or words[i].text in pw.PAST):
        return "prose"
    clause = [i for i in sentence if words[i].clause == words[hit.start].clause]
    if any(words[i].text in pw.SUPPOSING for i in clause):
        return "prose"
    if any(words[i].text in pw.CONDITIONS for i in sentence if i < hit.start):
        return "prose"
    if _is_denied_after(words, hit):
        return "prose"
    further = sum(i not in taken and word.text not in pw.FUNCTION_WORDS for i, word in enumerate(words))
    return "bare" if further <= BARE_MAX_FURTHER_WORDS else "prose"


def _leads_a_question(words: Sequence[Word], hit: _Hit) -> bool:
    """The clause of the phrase begins like a question: "is clerk down", but not "can someone look, clerk is down"."""
    position = next(i for i, word in enumerate(words) if word.clause == words[hit.start].clause)
    while position < hit.start and words[position].text in pw.GREETINGS:
        position += 1
    following = words[position + 1].text if position + 1 < len(words) else ""
    return position < hit.start and words[position].text in pw.ASKING and following not in pw.NEGATIONS


def _is_denied_after(words: Sequence[Word], hit: _Hit) -> bool:
    """ "clerk down is not true"."""
    for word in words[hit.end :]:
        if word.clause != words[hit.start].clause:
            return False
        if word.text not in pw.SKIPPED:
            return word.text in pw.NEGATIONS
    return False


def likeliest_runbooks(words: str, matcher: PhraseMatcher, runbooks: Mapping[str, Runbook]) -> tuple[str, ...]:
    """The ids of the runbooks that ``words`` (typed by somebody who wants one) call for, the likeliest first.

    A phrase decides. Without one, words in common with title, service, id and symptoms count; words that every incident
    has in common ("down", "outage") do not. Empty when nothing fits.
    """
    match = matcher.match(words)
    if match:
        return match.runbook_ids
    asked = pw.specific_words(words[: pw.MESSAGE_MAX_CHARS])
    scores = {runbook.id: _score(asked, runbook) for runbook in runbooks.values()}
    best = max(scores.values(), default=0)
    fitting = [name for name, score in scores.items() if score * 2 > best]
    return tuple(sorted(fitting, key=lambda name: -scores[name]))


def _score(asked: frozenset[str], runbook: Runbook) -> int:
    named = _words_of_file(" ".join((runbook.title, runbook.service, runbook.id)))
    described = _words_of_file(" ".join((*runbook.symptoms, *runbook.triggers.phrases)))
    return 3 * len(asked & named) + 2 * len(asked & (described - named))


@lru_cache(maxsize=4_096)
def _words_of_file(text: str) -> frozenset[str]:
    """What a runbook says is read for every command; 0.1 ms each time, and for each runbook, would be felt."""
    return pw.specific_words(text)
