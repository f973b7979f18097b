"""One telephone call and one text message of the stand-in for Twilio, as they live by the sandbox's time.

What a call is at a moment follows from when it was placed and from what the other side does, so that moving the clock by an
hour leads where an hour of waiting does. `twilio` takes the requests; nothing here knows HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from bot.sandbox.world.twiml import Gather, Part

CallStatus = Literal["queued", "ringing", "in-progress", "completed", "no-answer", "busy", "failed", "canceled"]
Behaviour = Literal["rings", "answers", "presses_1", "busy", "no_answer", "voicemail", "failed", "invalid", "unreachable"]
"""What happens at a number: nobody takes it unless a person does (``rings``, ``no_answer``), somebody takes it and listens,
takes it and presses 1, is on the telephone, has a mailbox, has no line; the last two are refused by Twilio at once
(21211 no such number, 21214 cannot be reached)."""

ENDED: Final = frozenset({"completed", "no-answer", "busy", "failed", "canceled"})
RING_S: Final = 40.0
"""The network gives up then, however long ``Timeout`` is."""
ANSWER_AFTER_S: Final = 4.0
MAILBOX_AFTER_S: Final = 15.0
BUSY_AFTER_S: Final = 1.0
PRESS_AFTER_S: Final = 3.0
SEND_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a call's transcript."""

    at: float
    who: Literal["call", "person", "exchange"]
    text: str


@dataclass(kw_only=True)
class Call:
    """One call. Moments are epoch seconds of the sandbox; None until they come. ``ring_at`` is when Twilio dials."""

    sid: str
    to: str
    sender: str
    parts: tuple[Part, ...]
    behaviour: Behaviour
    created_at: float
    ring_at: float
    timeout_s: float = 60.0
    detects_machines: bool = False
    status: CallStatus = "queued"
    started_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    answered_by: str | None = None
    transcript: list[Line] = field(default_factory=list)
    leg_at: float = 0.0
    """When the document that is played began."""
    said: int = 0
    """So many parts of it have been said."""
    keys: str = ""
    """Pressed, and not yet enough of them to be sent."""
    has_pressed: bool = False

    @property
    def is_over(self) -> bool:
        """Nothing more will come of it."""
        return self.status in ENDED

    @property
    def text(self) -> str:
        """What the call says, or will say when it is taken: each sentence once, up to where it has listened for keys."""
        listening = [part for part in self.parts if part.gather is not None]
        return " ".join(dict.fromkeys(part.text for part in listening or self.parts if part.text))

    def gather_at(self, now: float) -> Gather | None:
        """What listens for keys at this moment, or None."""
        if self.status != "in-progress":
            return None
        since_s = now - self.leg_at
        return next((part.gather for part in self.parts if part.start_s <= since_s < part.end_s), None)

    @property
    def press_at(self) -> float | None:
        """When somebody who presses by themselves does; None when they do not, or have."""
        if self.behaviour != "presses_1" or self.has_pressed or self.status != "in-progress":
            return None
        listening = [part for part in self.parts if part.gather is not None]
        if not listening:
            return None
        start_s, end_s = listening[0].start_s, listening[-1].end_s
        return self.leg_at + min(start_s + PRESS_AFTER_S, (start_s + end_s) / 2)

    @property
    def next_at(self) -> float | None:
        """When it changes by itself next; None when it is over."""
        match self.status:
            case "queued":
                return self.ring_at
            case "ringing":
                return self._fate()[0]
            case "in-progress":
                unsaid = [self.leg_at + part.start_s for part in self.parts[self.said :] if part.text]
                end_at = self.leg_at + (self.parts[-1].end_s if self.parts else 0.0)
                return min([*unsaid[:1], end_at, *([self.press_at] if self.press_at is not None else [])])
        return None

    def settle(self, now: float) -> bool:
        """Let it live until ``now``; whether anything changed. It waits for a key that somebody will press by themselves."""
        changed = False
        while (next_at := self.next_at) is not None and next_at <= now and next_at != self.press_at:
            changed = True
            if self.status == "queued":
                self.status, self.started_at = "ringing", self.ring_at
                self._line(self.ring_at, "exchange", "It rings.")
            elif self.status == "ringing":
                self._meet_fate()
            else:
                self._speak(next_at)
        return changed

    def take(self, at: float, *, machine: bool = False) -> None:
        """Somebody, or a mailbox, takes the call."""
        self.status, self.answered_at, self.leg_at, self.said = "in-progress", at, at, 0
        if self.detects_machines:
            self.answered_by = "machine_start" if machine else "human"
        self._line(at, "exchange", "A mailbox takes the call." if machine else "The call is taken.")

    def end(self, at: float, status: CallStatus, words: str) -> None:
        """It is over."""
        self.status, self.ended_at = status, at
        self._line(at, "exchange", words)

    def play(self, at: float, parts: tuple[Part, ...]) -> None:
        """Another document is played from now on."""
        self.parts, self.leg_at, self.said, self.keys = parts, at, 0, ""

    def pressed(self, at: float, key: str) -> None:
        """For the transcript."""
        self.has_pressed = True
        self._line(at, "person", f"Pressed {key}")

    def _fate(self) -> tuple[float, CallStatus, str]:
        """What becomes of a ringing call that nobody touches: when, as what, and in words."""
        rings_until = self.ring_at + min(self.timeout_s, RING_S)
        match self.behaviour:
            case "busy":
                return self.ring_at + BUSY_AFTER_S, "busy", "The line is busy."
            case "failed":
                return self.ring_at + BUSY_AFTER_S, "failed", "The call could not be connected."
            case "answers" | "presses_1" if self.ring_at + ANSWER_AFTER_S < rings_until:
                return self.ring_at + ANSWER_AFTER_S, "in-progress", ""
            case "voicemail" if self.ring_at + MAILBOX_AFTER_S < rings_until:
                return self.ring_at + MAILBOX_AFTER_S, "in-progress", "mailbox"
        return rings_until, "no-answer", "Nobody answered."

    def _meet_fate(self) -> None:
        at, status, words = self._fate()
        if status == "in-progress":
            self.take(at, machine=words == "mailbox")
        else:
            self.end(at, status, words)

    def _speak(self, now: float) -> None:
        """Say what is due, and hang up after the last part."""
        while self.said < len(self.parts) and self.leg_at + self.parts[self.said].start_s <= now:
            part = self.parts[self.said]
            self.said += 1
            if part.text:
                self._line(self.leg_at + part.start_s, "call", part.text)
        end_at = self.leg_at + (self.parts[-1].end_s if self.parts else 0.0)
        if end_at <= now and self.said == len(self.parts):
            self.end(end_at, "completed", "The call has ended.")

    def _line(self, at: float, who: Literal["call", "person", "exchange"], text: str) -> None:
        self.transcript.append(Line(at=at, who=who, text=text))


@dataclass(kw_only=True)
class TextMessage:
    """One text message (SMS). It arrives, or not, a moment after it was taken."""

    sid: str
    to: str
    sender: str
    body: str
    behaviour: Behaviour
    created_at: float

    def status(self, now: float) -> Literal["queued", "sent", "delivered", "undelivered"]:
        """What Twilio says of it now."""
        if now < self.created_at + SEND_S:
            return "queued"
        if now < self.created_at + 2 * SEND_S:
            return "sent"
        return "undelivered" if self.behaviour == "failed" else "delivered"

    @property
    def sent_at(self) -> float:
        """When Twilio handed it on."""
        return self.created_at + SEND_S
