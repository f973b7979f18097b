"""A text message by Twilio. As with a call, one whose fate is unknown is looked for before another one is sent."""

from __future__ import annotations

from typing import Final, Literal

from bot.domain.escalation import Way
from bot.notify.twilio import TwilioWay, about_contact, earliest_of
from bot.notify.wording import cut_at_word, headline, request, why
from bot.providers.faults import Refused
from bot.providers.http import guarded
from bot.providers.twilio import TwilioClient
from bot.services.leases import guard
from bot.services.ports import Accepted, Followed, Summons

TEXT_MAX_CHARS: Final = 320
"""Two segments in the alphabet of the networks; Twilio takes 1,600."""

_LINK_MAX_CHARS = 160
_ENDS = {
    "undelivered": "the network did not deliver the text",
    "failed": "the text could not be sent",
    "canceled": "the text was cancelled at Twilio",
}


class SmsWay(TwilioWay):
    """Implements ``PageWay``."""

    way = Way.SMS

    async def send(self, summons: Summons) -> Accepted:
        """See ``PageWay``; the reference is the sid of the message."""
        twilio, to, from_ = self._prepared(summons)
        body = text_of(summons)
        sid = await self._find(twilio, summons, body, to=to, from_=from_) if summons.look_first else ""
        if not sid:
            try:
                with guarded(guard(summons.lease)):
                    sent = await twilio.send_message(to=to, from_=from_, body=body)
            except Refused as refusal:
                raise about_contact(refusal, summons.contact) from refusal
            sid = sent.sid
        self._known.remember(sid, summons.key)
        return Accepted(reference=sid)

    async def follow(self, reference: str, summons: Summons, *, wanted: Literal["open", "acknowledged", "over"]) -> Followed:
        """See ``PageWay``. A text cannot be taken back, so there is nothing to tell."""
        if wanted != "open":
            return Followed(state="closed")
        message = await self._needed().get_message(reference)
        if message.status in ("delivered", "read"):
            return Followed(state="answered")
        if message.status in _ENDS:
            code = f" (error {message.error_code} of Twilio)" if message.error_code else ""
            return Followed(state="failed", reason=f"{_ENDS[message.status]}{code}")
        return Followed(state="pending")

    async def _find(self, twilio: TwilioClient, summons: Summons, body: str, *, to: str, from_: str) -> str:
        """The sid of what an earlier attempt sent, "" when nothing is there. One that waits at Twilio has no day,
        so that a look by the day alone would not find it."""
        for since in (None, earliest_of(summons).date()):
            for message in await twilio.find_messages(to=to, from_=from_, since=since):
                if message.body == body and self._may_be(summons, message.sid, message.created_at):
                    return message.sid
        return ""


def text_of(summons: Summons) -> str:
    """What is broken, why them, and where to go, in ``TEXT_MAX_CHARS``; a link is left whole or out."""
    link = summons.room_url if summons.room_url and len(summons.room_url) <= _LINK_MAX_CHARS else ""
    end = link or request(summons)
    reason = why(summons)
    words = f"{headline(summons)}. {reason}".strip()
    room = TEXT_MAX_CHARS - len(end) - 1
    if len(words) > room:  # the reason stays, which is short as a rule
        words = f"{cut_at_word(headline(summons), max_chars=max(80, room - len(reason) - 2))} {reason}".strip()
    return f"{cut_at_word(words, max_chars=room)} {end}"
