"""What a call and a text message by Twilio have in common: the account, what is missing, whose a reference is, how old it may be.

Used by ``phone`` and ``sms``. Twilio knows no idempotency keys, so both look for what an earlier attempt sent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from bot.domain.errors import PermanentError
from bot.domain.escalation import Contact
from bot.providers.config import TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM, ProviderConfig
from bot.providers.faults import Refused
from bot.providers.twilio import TO_REFUSED, TwilioClient, number_of
from bot.services.ports import Summons

CLOCKS_APART: Final = timedelta(seconds=5)
"""Twilio's clock and ours may differ by so much, and Twilio tells whole seconds."""


class TwilioWay:
    """The half of ``PageWay`` that does not depend on what is sent."""

    follows = True

    def __init__(self, twilio: TwilioClient | None, config: ProviderConfig) -> None:
        self._twilio = twilio
        self._config = config
        self._known = References()

    def missing(self, contact: Contact) -> str:
        """See ``PageWay``: what Twilio needs and has not, as a sentence."""
        settings: Iterable[tuple[str, object]] = (
            (TWILIO_ACCOUNT_SID, self._config.twilio_account_sid),
            (TWILIO_AUTH_TOKEN, self._config.twilio_auth_token),
            (TWILIO_FROM, self._config.twilio_from),
            ("phone", contact.phone),
        )
        return next((f"{name} is not set" for name, value in settings if not value), "")

    def _prepared(self, summons: Summons) -> tuple[TwilioClient, str, str]:
        """(client, number to reach, number of ours). Raises: PermanentError when something is missing; nothing was sent."""
        missing = self.missing(summons.contact)
        if missing or self._twilio is None:
            raise PermanentError(f"{summons.contact.name} cannot be reached by phone: {missing}", code="not_configured")
        return self._twilio, number_of(summons.contact.phone or ""), number_of(self._config.twilio_from or "")

    def _needed(self) -> TwilioClient:
        """The client, whatever became of the contact's number meanwhile. Raises: PermanentError when there is none any more."""
        if self._twilio is None:
            unset = TWILIO_AUTH_TOKEN if self._config.twilio_account_sid else TWILIO_ACCOUNT_SID
            raise PermanentError(f"Twilio cannot be asked: {unset} is not set", code="not_configured")
        return self._twilio

    def _may_be(self, summons: Summons, reference: str, created_at: datetime | None) -> bool:
        """What was found may have been sent for this page: no attempt of it is older, and no other page is known to have it."""
        earliest = earliest_of(summons)
        return created_at is not None and created_at >= earliest and self._known.may_be(reference, summons.key)


class References:
    """Which page a reference belongs to, for the last ones of this process: a look that finds what another page sent to the same
    number must not take it for its own."""

    def __init__(self, most: int = 500) -> None:
        self._keys: OrderedDict[str, str] = OrderedDict()
        self._most = most

    def remember(self, reference: str, key: str) -> None:
        """That one belongs to this page."""
        self._keys[reference] = key
        while len(self._keys) > self._most:
            self._keys.popitem(last=False)

    def may_be(self, reference: str, key: str) -> bool:
        """It is this page's, or nobody here knows whose."""
        return self._keys.get(reference, key) == key


def earliest_of(summons: Summons) -> datetime:
    """No attempt of this page is older, by Twilio's clock."""
    return summons.since.astimezone(UTC) - CLOCKS_APART


def about_contact(refusal: Refused, contact: Contact) -> PermanentError:
    """The refusal, with the place in the files that is at fault when the number is."""
    if refusal.code != TO_REFUSED:
        return refusal
    return PermanentError(f"{refusal.what}; check phone of the contact “{contact.id}” in contacts.yml", code=refusal.code)
