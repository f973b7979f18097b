"""What a call says."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from bot.notify.twiml import TWIML_MAX_CHARS, call_twiml
from bot.providers.twilio import TWIML_MAX_CHARS as TWILIO_MAX_CHARS
from tests.notify.conftest import summons


def words(twiml: str) -> list[str]:
    """All that is said, in order."""
    return [said.text or "" for said in ET.fromstring(twiml).iter("Say")]  # noqa: S314 - our own


def test_everything_is_said_twice_with_pauses() -> None:
    """Who was asleep misses the first half."""
    twiml = call_twiml(summons())
    once = [
        "This is Muster.",
        "severity 1 incident 42: Nobody can sign in.",
        "Nobody has acknowledged for 15 min.",
        "Open Slack and acknowledge it there.",
    ]
    assert words(twiml) == [*once, *once]
    assert twiml.count("<Pause") == 7
    assert "Gather" not in twiml


def test_with_an_address_for_the_answer_a_key_is_asked_for() -> None:
    """The key ends the speech at any moment; who presses none hears where to answer instead."""
    twiml = call_twiml(summons(answer_url="https://muster.example.com/pages/phone/abc?a=1&b=2"))
    root = ET.fromstring(twiml)  # noqa: S314 - our own
    (gather,) = root.findall("Gather")
    assert gather.attrib == {
        "numDigits": "1",
        "action": "https://muster.example.com/pages/phone/abc?a=1&b=2",
        "method": "POST",
        "timeout": "10",
    }
    assert [said.text for said in gather.findall("Say")].count("Press 1 to acknowledge.") == 2
    assert [child.tag for child in root] == ["Gather", "Say"]
    assert words(twiml)[-1] == "No key was pressed. Open Slack and acknowledge it there."


def test_a_drill_is_called_one_and_a_notice_wants_nothing() -> None:
    """Both stand at the beginning of what matters: is it real, and what is wanted?"""
    assert "DRILL: severity 1 incident 42: Nobody can sign in." in words(call_twiml(summons(drill=True)))
    assert "No answer is needed; it is in Slack." in words(call_twiml(summons(kind="notice")))


def test_a_title_cannot_become_markup() -> None:
    """It is said, not obeyed."""
    title = "</Say><Dial>+15550199</Dial><Say> & \"'\x00\x1b"
    twiml = call_twiml(summons(title=title))
    assert "severity 1 incident 42: " + "</Say><Dial>+15550199</Dial><Say> & \"'." in words(twiml)
    assert ET.fromstring(twiml).find(".//Dial") is None  # noqa: S314 - our own


@pytest.mark.parametrize("title", ["&" * 120, "<" * 120, '"' * 5000, "a&" * 3000])
@pytest.mark.parametrize(
    "answer_url", [None, "https://muster.example.com/" + "&" * 150, "https://muster.example.com/" + "a" * 5000]
)
def test_it_never_grows_beyond_what_twilio_takes(title: str, answer_url: str | None) -> None:
    """Escaping makes text longer; an address that does not fit costs the key, not the call."""
    twiml = call_twiml(summons(title=title, why=title, answer_url=answer_url))
    assert len(twiml) <= TWIML_MAX_CHARS == TWILIO_MAX_CHARS
    assert "incident 42" in " ".join(words(twiml))


def test_nothing_is_said_where_nothing_was_given() -> None:
    """No empty sentence."""
    assert "" not in words(call_twiml(summons(why="")))
