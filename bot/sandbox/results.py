"""What becomes of what a person does. Made by the parts of ``workspace``, read by tests and ``control``."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.sandbox.delivery import Attempt, Delivery
from bot.sandbox.models import Json

TROUBLE = "We had some trouble connecting. Try again?"


@dataclass
class Result:
    """What became of an act. ``ok`` False: the person sees ``error``, or ``errors`` beside the fields of a form.

    ``status``, ``body`` and ``duration_ms`` are the bot's first answer (None when nothing was delivered or answered);
    ``response`` is what an immediate answer put into the channel, ``ts`` the message that the person wrote.
    """

    ok: bool = True
    error: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    response: Json | None = None
    ts: str | None = None
    deliveries: list[Delivery] = field(default_factory=list, repr=False)

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt of the first delivery so far."""
        return self.deliveries[0].attempts if self.deliveries else []

    @property
    def status(self) -> int | None:
        """HTTP status of the bot's first answer."""
        return self.attempts[0].status if self.attempts else None

    @property
    def body(self) -> bytes:
        """Body of the bot's first answer."""
        return self.attempts[0].body if self.attempts else b""

    @property
    def duration_ms(self) -> float | None:
        """How long the first answer took."""
        return self.attempts[0].duration_ms if self.attempts else None


def failed(result: Result, error: str) -> Result:
    """The same result, with what the person sees instead."""
    result.ok, result.error = False, error
    return result


def interacted(delivery: Delivery) -> Result:
    """The result of an interaction that was sent: what the person sees when the bot did not take it."""
    attempt = delivery.attempts[0]
    result = Result(deliveries=[delivery])
    if attempt.ok:
        return result
    if attempt.status is None:
        return failed(result, "This app did not respond." if attempt.reason == "http_timeout" else TROUBLE)
    return failed(result, f"This app responded with Status Code {attempt.status}.")
