"""Trigger phrases: what looking for them costs for each message, with ten phrases and with ten thousand.

Ordinary messages share no word with a phrase or a few; the hard ones are made of nothing but words of phrases, so that the
beginning of some phrase stands at every word.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from bot.domain.triggers import PhraseMatcher
from tests.bench.messages import WORDS
from tests.bench.report import at_most, plain, ratio, table

GOAL = 2.0
MESSAGES, SMOKE_MESSAGES = 1_500, 200
ROUNDS, SMOKE_ROUNDS = 15, 3
FEW, MANY = 10, 10_000
SYLLABLES = tuple("ka lo mi ta re no si du pe va zo bi".split())
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
    ordinary = [_text(source, WORDS) for _ in range(count)]
    hard = [_text(source, vocabulary) for _ in range(count)]
    rows = []
    for name, messages in (("ordinary messages", ordinary), ("messages made of phrase words", hard)):
        costs: dict[str, list[float]] = {"few": [], "many": []}
        for _ in range(rounds):
            costs["few"].append(_cost_us(few, messages))
            costs["many"].append(_cost_us(many, messages))
        hits = sum(many.match(message) is not None for message in messages)
        rows.append(plain(f"{name}, {FEW} phrases", min(costs["few"]), "µs"))
        rows.append(plain(f"{name}, {MANY:,} phrases ({hits / count:.0%} contain one)", min(costs["many"]), "µs"))
        rows.append(at_most(f"{MANY:,} ÷ {FEW}", ratio(costs["many"], costs["few"]), GOAL, "×"))
    rows.append(plain(f"building the matcher of {MANY:,}", built_ms, "ms", digits=0))
    return table(f"{count:,} messages of 20 to 2,000 characters, each looked at once; {rounds} rounds, interleaved", rows)


def _cost_us(matcher: PhraseMatcher, messages: Sequence[str]) -> float:
    """Of one message, on average."""
    began = time.perf_counter()
    for message in messages:
        matcher.match(message)
    return (time.perf_counter() - began) / len(messages) * 1e6


def _phrases(source: random.Random, vocabulary: Sequence[str]) -> list[str]:
    """``MANY`` different ones of one to four words, most of two or three."""
    found: dict[str, None] = {}
    while len(found) < MANY:
        length = source.choices((1, 2, 3, 4), (1, 50, 35, 14))[0]
        found[" ".join(source.choice(vocabulary) for _ in range(length))] = None
    return list(found)


def _text(source: random.Random, words: Sequence[str]) -> str:
    length = round(20 * 100 ** (source.random() ** 1.5))
    text = ""
    while len(text) < length:
        text += source.choice(words) + source.choice((" ", " ", " ", " ", ", ", ". "))
    return text[:length].strip()
