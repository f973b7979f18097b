"""What a call says, as TwiML. https://www.twilio.com/docs/voice/twiml

Built for `bot.notify.phone`; what answers a pressed key is said by who takes it (`bot.http.phone`).
"""

from __future__ import annotations

from html import escape
from typing import Final

from bot.domain.text import clean
from bot.notify.wording import cut_at_word, headline, request, spoken, why
from bot.services.paging import KEY_QUESTION, KEY_WAIT_S
from bot.services.ports import Summons

TWIML_MAX_CHARS: Final = 4000
"""Of the parameter Twiml of a new call."""

_LENGTHS = (300, 150, 60, 20)
"""Of the spoken sentence, the longest first: escaping makes one character into up to six."""


def call_twiml(summons: Summons) -> str:
    """The headline and the reason, twice and with pauses, because who was asleep misses the first half. With an ``answer_url`` a
    pressed 1 is the answer."""
    answer_url = summons.answer_url if summons.answer_url and len(escape(summons.answer_url)) <= TWIML_MAX_CHARS // 4 else None
    for max_chars in _LENGTHS:
        drawn = _draw(summons, answer_url, max_chars)
        if len(drawn) <= TWIML_MAX_CHARS:
            break
    return drawn


def _draw(summons: Summons, answer_url: str | None, max_chars: int) -> str:
    what = [
        _say("This is Muster."),
        _say(f"{cut_at_word(spoken(headline(summons)), max_chars=max_chars - 1).rstrip('.')}."),
        _say(cut_at_word(spoken(why(summons)), max_chars=max_chars)),
    ]
    ask = _say(KEY_QUESTION if answer_url else request(summons))
    once = _PAUSE.join([*(part for part in what if part), ask])
    twice = f"{once}{_PAUSE}{once}"
    if answer_url is None:
        return f"{_HEAD}<Response>{twice}</Response>"
    gather = f'<Gather numDigits="1" action="{escape(answer_url)}" method="POST" timeout="{KEY_WAIT_S}">{twice}</Gather>'
    return f"{_HEAD}<Response>{gather}{_say('No key was pressed. ' + request(summons))}</Response>"


def _say(text: str) -> str:
    plain = clean(text, max_chars=TWIML_MAX_CHARS)
    return f"<Say>{escape(plain)}</Say>" if plain else ""


_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_PAUSE = '<Pause length="1"/>'
