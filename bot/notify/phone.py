"""A telephone call by Twilio: it says what is broken and why it calls, twice.

A pressed key comes by HTTP and is not read here. Twilio knows no idempotency keys: after an unknown outcome the call is looked
for, by both numbers and the time, before another one is made.
"""

from __future__ import annotations

from typing import Final, Literal

from bot.domain.escalation import Way
from bot.notify.twilio import TwilioWay, about_contact, earliest_of
from bot.notify.twiml import call_twiml
from bot.providers.faults import Refused
from bot.providers.http import guarded
from bot.providers.twilio import Call, TwilioClient
from bot.services.leases import guard
from bot.services.ports import Accepted, Followed, Summons

RING_S: Final = 40

_NOT_ANSWERED_YET = frozenset({"queued", "initiated", "ringing"})
_VOICEMAIL = frozenset({"fax"})
_ENDS = {
    "busy": "the line was busy",
    "no-answer": f"nobody answered within {RING_S} s",
    "failed": "the call could not be connected",
    "canceled": "the call was cancelled at Twilio",
}


class PhoneWay(TwilioWay):
    """Implements ``PageWay``."""

    way = Way.PHONE

    async def send(self, summons: Summons) -> Accepted:
        """See ``PageWay``; the reference is the sid of the call."""
        twilio, to, from_ = self._prepared(summons)
        if summons.look_first and (found := await self._find(twilio, summons, to=to, from_=from_)):
            self._known.remember(found.sid, summons.key)
            return Accepted(reference=found.sid)
        try:
            with guarded(guard(summons.lease)):
                call = await twilio.make_call(to=to, from_=from_, twiml=call_twiml(summons), ring_s=RING_S)
        except Refused as refusal:
            raise about_contact(refusal, summons.contact) from refusal
        self._known.remember(call.sid, summons.key)
        return Accepted(reference=call.sid)

    async def follow(self, reference: str, summons: Summons, *, wanted: Literal["open", "acknowledged", "over"]) -> Followed:
        """See ``PageWay``. Nobody is woken for what is settled: a call that nobody has answered yet is taken back."""
        twilio = self._needed()
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
            with guarded(guard(summons.lease)):
                return await twilio.cancel_call(call.sid)
        except Refused as refusal:
            if refusal.code == "http_400":  # somebody answered meanwhile
                return await twilio.get_call(call.sid)
            raise

    async def _find(self, twilio: TwilioClient, summons: Summons, *, to: str, from_: str) -> Call | None:
        """The call that an earlier attempt made. A queued one has no start yet, so that no filter by date would find it; it is
        looked for first, because it may begin to ring between the two looks."""
        for status in ("queued", None):
            for call in await twilio.find_calls(to=to, from_=from_, since=earliest_of(summons).date(), status=status):
                if self._may_be(summons, call.sid, call.created_at):
                    return call
        return None


def _is_voicemail(call: Call) -> bool:
    return call.answered_by.startswith("machine") or call.answered_by in _VOICEMAIL
