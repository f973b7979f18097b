"""How a provider can fail: the three leaves that `bot.providers` adds below the error tree of `bot.domain.errors`.

Each keeps apart what failed (`what`) and what to do about it (`remedy`), because a checklist shows them in two places;
the message has both. Raised by the clients, read by `bot.actions.runner`. No secret and no text that a provider wrote
stands in any of them.
"""

from __future__ import annotations

from typing import Literal

from bot.domain.errors import PermanentError, TemporaryError, UnknownOutcome

UnavailableReason = Literal["busy", "server_error", "refused", "timeout", "reset", "tls", "dns", "network"]
"""`busy` 429; `server_error` 5xx; `refused` nobody listens; `timeout` no answer in time; `reset` the connection broke;
`tls` no trusted connection; `dns` the name was not found; `network` anything else on the way."""


class Refused(PermanentError):
    """The provider answered, and the answer will be the same next time.

    ``code`` is one of unauthorized (401), forbidden (403), payment_required (402), not_found (404), redirected (3xx),
    not_json, too_large, encoded, unexpected, or ``http_<status>``.
    """

    def __init__(self, what: str, *, remedy: str, code: str) -> None:
        super().__init__(f"{what}; {remedy}", code=code)
        self.what = what
        self.remedy = remedy


class Unavailable(TemporaryError):
    """The provider did not do it now: 429, 5xx, or no connection. Nothing was changed, or the call is a read."""

    def __init__(self, what: str, *, remedy: str, reason: UnavailableReason, retry_after_s: float | None = None) -> None:
        super().__init__(f"{what}; {remedy}", retry_after_s=retry_after_s)
        self.what = what
        self.remedy = remedy
        self.reason: UnavailableReason = reason


class Unanswered(UnknownOutcome):
    """A call with an effect was sent, and no usable answer came back: look before repeating."""

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy
