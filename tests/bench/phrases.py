"""Trigger phrases: what looking for them costs for each message, with ten phrases and with ten thousand.

Ordinary messages share no word with a phrase or a few; the hard ones are made of nothing but words of phrases, so that the
beginning of some phrase stands at every word, and yet contain none. One that does is taken apart, which is its own price.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from bot.domain.triggers import PhraseMatcher
from tests.bench.messages import TALK
from tests.bench.report import at_most, plain, ratio, table

GOAL = 2.0
MESSAGES, SMOKE_MESSAGES = 1_500, 200
ROUNDS, SMOKE_ROUNDS = 15, 3
FEW, MANY = 10, 10_000
SYLLABLES = ("ka", "lo", "mi", "ta", "re", "no", "si", "du", "pe", "va", "zo", "bi")
VOCABULARY = 2_000
"""Names of services, parts and symptoms: ten thousand phrases about fewer things than this would repeat each other."""


async def measure(quick: bool) -> str:
    """The table."""
    count, rounds = (SMOKE_MESSAGES, SMOKE_ROUNDS) if quick else (MESSAGES, ROUNDS)
    source = random.Random(11)  # noqa: S311 - the same phrases in each run
    vocabulary = ["".join(source.choice(SYLLABLES) for _ in range(source.randint(2, 4))) for _ in range(VOCABULARY)]
    phrases = _phrases(source, vocabulary)
    began = time.perf_counter()
    many = PhraseMatcher((phrase, "r") for phrase in phrases)
    built_ms = (time.perf_counter() - began) * 1000
    few = PhraseMatcher((phrase, "r") for phrase in phrases[:FEW])
    ordinary = [_text(source, TALK.split()) for _ in range(count)]
    hard = [_text(source, vocabulary) for _ in range(2 * count)]
    hits = [message for message in hard if many.match(message)]
    misses = [message for message in hard if not many.match(message)][:count]
    rows = []
    for name, messages in (("ordinary messages", ordinary), ("messages made of phrase words alone", misses)):
        costs: dict[str, list[float]] = {"few": [], "many": []}
        for _ in range(rounds):
            costs["few"].append(_cost_us(few, messages))
            costs["many"].append(_cost_us(many, messages))
        rows.append(plain(f"{name}, {FEW} phrases", min(costs["few"]), "µs"))
        rows.append(plain(f"{name}, {MANY:,} phrases", min(costs["many"]), "µs"))
        rows.append(at_most(f"{MANY:,} ÷ {FEW}", ratio(costs["many"], costs["few"]), GOAL, "×"))
    rows.append(plain(f"one that contains a phrase, {MANY:,} phrases", _cost_us(many, hits), "µs"))
    rows.append(plain(f"building the matcher of {MANY:,}", built_ms, "ms", digits=0))
    return table(f"{count:,} messages of 20 to 2,000 characters, each looked at once; {rounds} rounds, interleaved", rows)


def _cost_us(matcher: PhraseMatcher, messages: Sequence[str]) -> float:
    """Of one message, on average; processor time, which busy neighbours do not change much."""
    began = time.process_time()
    for message in messages:
        matcher.match(message)
    return (time.process_time() - began) / len(messages) * 1e6


def _phrases(source: random.Random, vocabulary: Sequence[str]) -> list[str]:
    """``MANY`` different ones of two to four words."""
    found: dict[str, None] = {}
    while len(found) < MANY:
        length = source.choices((2, 3, 4), (50, 35, 15))[0]
        found[" ".join(source.choice(vocabulary) for _ in range(length))] = None
    return list(found)


def _text(source: random.Random, words: Sequence[str]) -> str:
    length = round(20 * 100 ** (source.random() ** 1.5))
    text = ""
    while len(text) < length:
        text += source.choice(words) + source.choice((" ", " ", " ", " ", ", ", ". "))
    return text[:length].strip()
