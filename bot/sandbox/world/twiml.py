"""What a call says: TwiML as a plan of spoken parts with their times. Used by `phone_calls`; only the verbs that need no media.

Verbs and defaults: www.twilio.com/docs/voice/twiml (Say, Pause, Gather, Hangup).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

MAX_TWIML: Final = 4000
SPOKEN_CHARACTERS_PER_S: Final = 15.0
MAX_LOOPS: Final = 10
_GATHER_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather:
    """Keys are listened for. ``digits`` 0: any number of them, ended by ``finish_key``."""

    action: str
    method: str
    digits: int
    finish_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """From ``start_s`` to ``end_s`` after the document began: something said (or silence), inside a ``gather`` or not."""

    start_s: float
    end_s: float
    text: str = ""
    gather: Gather | None = None


class TwimlError(ValueError):
    """It cannot be played."""


def plan(document: str) -> tuple[Part, ...]:
    """The parts in order, ``()`` for a document that hangs up at once. Raises: TwimlError."""
    if len(document) > MAX_TWIML:
        raise TwimlError(f"The document has {len(document)} characters; at most {MAX_TWIML} are allowed")
    if "<!DOCTYPE" in document or "<!ENTITY" in document:
        raise TwimlError("A document type is not allowed")
    try:
        root = ET.fromstring(document)  # noqa: S314 - no document type, so no entities
    except ET.ParseError as error:
        raise TwimlError(f"Document parse failure: {error}") from error
    if root.tag != "Response":
        raise TwimlError("The document must begin with <Response>")
    parts: list[Part] = []
    for verb in root:
        if verb.tag in ("Hangup", "Reject"):
            break
        _add(parts, verb)
    return tuple(parts)


def _add(parts: list[Part], verb: ET.Element, gather: Gather | None = None) -> None:
    start_s = parts[-1].end_s if parts else 0.0
    match verb.tag:
        case "Say":
            text = " ".join("".join(verb.itertext()).split())
            for _ in range(_loops(verb)):
                start_s = parts[-1].end_s if parts else 0.0
                lasts_s = max(1.0, len(text) / SPOKEN_CHARACTERS_PER_S)
                parts.append(Part(start_s=start_s, end_s=start_s + lasts_s, text=text, gather=gather))
        case "Pause":
            parts.append(Part(start_s=start_s, end_s=start_s + _number(verb, "length", 1.0), gather=gather))
        case "Gather" if gather is None:
            inner = _gather(verb)
            for child in verb:
                _add(parts, child, inner)
            start_s = parts[-1].end_s if parts else 0.0
            parts.append(Part(start_s=start_s, end_s=start_s + _number(verb, "timeout", _GATHER_TIMEOUT_S), gather=inner))
        case _:
            raise TwimlError(f"<{verb.tag}> cannot be played here")


def _gather(verb: ET.Element) -> Gather:
    action, method = verb.get("action", ""), verb.get("method", "POST").upper()
    if urlsplit(action).scheme not in ("http", "https") or not urlsplit(action).netloc:
        raise TwimlError("<Gather action> must be a whole URL: a document without one of its own has nothing to be relative to")
    if method not in ("GET", "POST"):
        raise TwimlError("<Gather method> must be GET or POST")
    if "dtmf" not in verb.get("input", "dtmf").split():
        raise TwimlError("<Gather input> must listen for keys (dtmf)")
    return Gather(
        action=action, method=method, digits=int(_number(verb, "numDigits", 0)), finish_key=verb.get("finishOnKey", "#")
    )


def _loops(verb: ET.Element) -> int:
    loops = int(_number(verb, "loop", 1))
    return min(loops, MAX_LOOPS) if loops else MAX_LOOPS  # 0 is "until they hang up"


def _number(verb: ET.Element, name: str, default: float) -> float:
    text = verb.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal():
        raise TwimlError(f"<{verb.tag} {name}> must be a number")
    return float(text)
