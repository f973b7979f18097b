"""A telephone call by Twilio: it says what is broken and why it calls, twice.

A pressed key comes by HTTP and is not read here. Twilio knows no idempotency keys: after an unknown outcome the call is looked
for, by both numbers and the time, before another one is made.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from bot.domain.errors import PermanentError
from bot.domain.escalation import Contact, Way
from bot.notify.leases import guard
from bot.notify.twiml import call_twiml
from bot.providers.config import TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM, ProviderConfig
from bot.providers.faults import Refused
from bot.providers.twilio import TO_REFUSED, Call, TwilioClient, number_of
from bot.services.ports import Accepted, Followed, Summons

RING_S: Final = 40
CLOCKS_APART: Final = timedelta(seconds=5)
"""Twilio's clock and ours may differ by so much, and Twilio tells whole seconds."""

_NOT_ANSWERED_YET = frozenset({"queued", "initiated", "ringing"})
_VOICEMAIL = frozenset({"fax"})
_ENDS = {
    "busy": "the line was busy",
    "no-answer": f"nobody answered within {RING_S} s",
    "failed": "the call could not be connected",
    "canceled": "the call was cancelled at Twilio",
}


class PhoneWay:
    """Implements ``PageWay``."""

    way = Way.PHONE
    follows = True

    def __init__(self, twilio: TwilioClient | None, config: ProviderConfig) -> None:
        self._twilio = twilio
        self._config = config
        self._known = References()

    def missing(self, contact: Contact) -> str:
        """See ``PageWay``."""
        return missing_for_twilio(self._config, contact)

    async def send(self, summons: Summons) -> Accepted:
        """See ``PageWay``; the reference is the sid of the call."""
        twilio, to, from_ = prepared(self._twilio, self._config, summons)
        check = guard(summons.lease)
        if summons.look_first and (found := await self._find(twilio, summons, to=to, from_=from_)):
            self._known.remember(found.sid, summons.key)
            return Accepted(reference=found.sid)
        try:
            call = await twilio.make_call(to=to, from_=from_, twiml=call_twiml(summons), ring_s=RING_S, before_sending=check)
        except Refused as refusal:
            raise about_contact(refusal, summons.contact) from refusal
        self._known.remember(call.sid, summons.key)
        return Accepted(reference=call.sid)

    async def follow(self, reference: str, summons: Summons, *, wanted: Literal["open", "acknowledged", "over"]) -> Followed:
        """See ``PageWay``. Nobody is woken for what is settled: a call that nobody has answered yet is taken back."""
        twilio = needed(self._twilio, self._config)
        call = await twilio.get_call(reference)
        if wanted != "open":
            if call.status in _NOT_ANSWERED_YET:
                call = await self._cancel(twilio, call, summons)
            is_answered = call.status == "completed" and not _is_voicemail(call)
            return Followed(state="answered" if is_answered else "closed")
        if call.status == "completed":
            if _is_voicemail(call):
                return Followed(state="failed", reason="voicemail took the call")
            return Followed(state="answered")
        if call.status in _ENDS:
            return Followed(state="failed", reason=_ENDS[call.status])
        return Followed(state="pending")

    async def _cancel(self, twilio: TwilioClient, call: Call, summons: Summons) -> Call:
        try:
            return await twilio.cancel_call(call.sid, before_sending=guard(summons.lease))
        except Refused as refusal:
            if refusal.code == "http_400":  # somebody answered meanwhile
                return await twilio.get_call(call.sid)
            raise

    async def _find(self, twilio: TwilioClient, summons: Summons, *, to: str, from_: str) -> Call | None:
        """The call that an earlier attempt made. A queued one has no start yet, so that no filter by date would find it; it is
        looked for first, because it may begin to ring between the two looks."""
        earliest = earliest_of(summons)
        for status in ("queued", None):
            calls = await twilio.find_calls(to=to, from_=from_, since=earliest.date(), status=status)
            for call in calls:
                if _is_since(call.created_at, earliest) and self._known.may_be(call.sid, summons.key):
                    return call
        return None


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


def missing_for_twilio(config: ProviderConfig, contact: Contact) -> str:
    """What Twilio needs and has not, as a sentence; "" when nothing."""
    settings: Iterable[tuple[str, object]] = (
        (TWILIO_ACCOUNT_SID, config.twilio_account_sid),
        (TWILIO_AUTH_TOKEN, config.twilio_auth_token),
        (TWILIO_FROM, config.twilio_from),
        ("phone", contact.phone),
    )
    return next((f"{name} is not set" for name, value in settings if not value), "")


def prepared(twilio: TwilioClient | None, config: ProviderConfig, summons: Summons) -> tuple[TwilioClient, str, str]:
    """(client, number to reach, number of ours). Raises: PermanentError when something is missing; nothing was sent."""
    missing = missing_for_twilio(config, summons.contact)
    if missing or twilio is None:
        raise PermanentError(f"{summons.contact.name} cannot be reached by phone: {missing}", code="not_configured")
    return twilio, number_of(summons.contact.phone or ""), number_of(config.twilio_from or "")


def needed(twilio: TwilioClient | None, config: ProviderConfig) -> TwilioClient:
    """The client, whatever became of the contact's number meanwhile. Raises: PermanentError when there is none any more."""
    if twilio is None:
        unset = TWILIO_AUTH_TOKEN if config.twilio_account_sid else TWILIO_ACCOUNT_SID
        raise PermanentError(f"Twilio cannot be asked: {unset} is not set", code="not_configured")
    return twilio


def about_contact(refusal: Refused, contact: Contact) -> PermanentError:
    """The refusal, with the place in the files that is at fault when the number is."""
    if refusal.code != TO_REFUSED:
        return refusal
    return PermanentError(f"{refusal.what}; check phone of the contact “{contact.id}” in contacts.yml", code=refusal.code)


def earliest_of(summons: Summons) -> datetime:
    """No attempt of this page is older, by Twilio's clock."""
    return summons.since.astimezone(UTC) - CLOCKS_APART


def _is_since(created_at: datetime | None, earliest: datetime) -> bool:
    return created_at is not None and created_at >= earliest


def _is_voicemail(call: Call) -> bool:
    return call.answered_by.startswith("machine") or call.answered_by in _VOICEMAIL
