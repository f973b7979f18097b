"""The rules of trigger phrases: each can be found in what people write, says something, and who shares or shadows it is told.

Called by `runbook_rules` for one runbook and by `runbook_files` for all of them together. The matcher itself
(`bot.domain.triggers`) is asked what it finds, so that the two never disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.domain.phrase_words import is_everyday, phrase_key
from bot.domain.runbook import Runbook
from bot.domain.triggers import PhraseMatcher
from bot.storage.findings import Finding, Surroundings
from bot.storage.yaml_strict import YamlPath

OFFERED_MOST = 5
"""The card offers so many runbooks for words that several fit (`bot.slack.blocks.ids.MOST_CANDIDATES`; a test compares)."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A phrase, and where it stands: the number and the file of its runbook, its number there."""

    runbook: int
    file: str
    index: int
    phrase: str

    @property
    def path(self) -> YamlPath:
        """In its file."""
        return ("triggers", "phrases", self.index)


def telling_phrases(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """A phrase comes once, can be found, does not stand in half of all messages, and is not covered by a shorter one."""
    seen: dict[Key, str] = {}
    keys = {phrase_key(phrase): phrase for phrase in reversed(runbook.triggers.phrases)}
    for index, phrase in enumerate(runbook.triggers.phrases):
        path = ("triggers", "phrases", index)
        key = phrase_key(phrase)
        if key in seen:
            message = f"the phrase “{phrase}” says the same as “{seen[key]}”"
            yield Finding(path=path, message=message, remedy="delete one of them")
            continue
        seen[key] = phrase
        if is_everyday(key):
            message = f"the phrase “{phrase}” is made of everyday words and will be found in many messages"
            yield Finding(path=path, message=message, remedy="add the name of the system", level="warning")
        yield from _findable(path, phrase, key)
        inner = next((keys[part] for part in parts(key) if part in keys), None)
        if inner is not None:
            message = f"the phrase “{phrase}” is never needed: wherever it stands, “{inner}” is found"
            yield Finding(path=path, message=message, remedy="delete one of them", level="warning")


def parts(key: Key) -> Iterator[Key]:
    """Every run of words in ``key`` but the whole."""
    for length in range(1, len(key)):
        for start in range(len(key) - length + 1):
            yield key[start : start + length]


def _findable(path: YamlPath, phrase: str, key: Key) -> Iterator[Finding]:
    """Somebody who writes the phrase as it stands here is understood, alone and within a sentence."""
    said = phrase.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")  # as Slack delivers it
    alone, within = _is_found(phrase, said), _is_found(phrase, f"hey, {said} now")
    if alone and within:
        return
    words = " ".join(key)
    remedy = f"write it as “{words}”" if words != phrase and _is_found(words, f"hey, {words} now") else "say it in plain words"
    if not alone and not within:
        yield Finding(path=path, message=f"the phrase “{phrase}” can never be found as it is written", remedy=remedy)
        return
    where = "when it is the whole message" if alone else "within a sentence"
    message = f"the phrase “{phrase}” is found only {where}: its signs end a sentence, quote, or mark an address"
    yield Finding(path=path, message=message, remedy=remedy, level="warning")


def _is_found(phrase: str, text: str) -> bool:
    return PhraseMatcher([(phrase, "it")]).match(text) is not None


def phrases_together(places: Sequence[Place]) -> Iterator[tuple[Place, Finding]]:
    """What the phrases of several runbooks do to one another. Sharing one is allowed: the incident asks which it is.

    ``places`` are in the order of the files, those of silenced services left out.
    """
    by_key: dict[Key, list[Place]] = {}
    for place in places:
        users = by_key.setdefault(phrase_key(place.phrase), [])
        if all(user.runbook != place.runbook for user in users):
            users.append(place)
    for key, users in by_key.items():
        first = users[0]
        for number, place in enumerate(users[1:], start=2):
            if number > OFFERED_MOST:
                message = f"the phrase “{place.phrase}” is shared by {len(users)} runbooks, and only {OFFERED_MOST} are offered"
                yield place, Finding(path=place.path, message=message, remedy="use a phrase of its own", level="warning")
            else:
                message = f"the phrase “{place.phrase}” is one of {first.file} too: the incident will ask which it is"
                yield place, Finding(path=place.path, message=message, level="info")
        for place in users:
            yield from _shadowed(place, key, by_key)


def _shadowed(place: Place, key: Key, by_key: dict[Key, list[Place]]) -> Iterator[tuple[Place, Finding]]:
    """A longer phrase is more specific and wins; whoever wrote the shorter one may not have meant that."""
    for part in parts(key):
        others = [other for other in by_key.get(part, ()) if other.runbook != place.runbook]
        if others and all(user.runbook != place.runbook for user in by_key[part]):
            message = f"“{place.phrase}” wins over “{others[0].phrase}” of {others[0].file} where both are said"
            yield place, Finding(path=place.path, message=message, level="info")
