"""The answer to a call: ``POST /pages/phone/{token}``, which Twilio sends when a key was pressed while a page was read out.

Mounted by ``bot.http.front``. The token names the incident, the alarm and the contact; it is no secret: Twilio's signature over
the address and the form is what counts, and nothing is looked up before it is checked. How a call is made, and what it says
before a key is pressed, is in ``bot.notify``. https://www.twilio.com/docs/voice/twiml/gather
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from bot.domain.errors import MusterError
from bot.domain.incident import Incident
from bot.domain.timers import CONTACT_PREFIX
from bot.services.desk import Desk
from bot.services.paging import KEY_QUESTION, KEY_WAIT_S, Duty, acknowledge_elsewhere, who_acknowledged

BODY_MAX_BYTES = 16_384
"""Twilio sends some twenty short fields."""
FIELDS_MAX = 100
LOOK_UP_S = 3.0
"""Who it was may be looked up so long in Slack; Twilio gives up after 15 s, and that somebody has it matters more than who."""
VIA = "phone"
NOT_HERE = "calls are not answered here; set MUSTER_URL and TWILIO_AUTH_TOKEN to take them"

THANKS = "Thank you, you have it."
TAKEN = "Somebody else has it already."
OVER = "It is over."
UNCHANGED = "Nothing was changed."
LAPSED = "This was answered before, and nobody has it any more. Please open Slack."
UNKNOWN = "This call belongs to no incident. Please open Slack."
UNSAVED = "Muster could not save this. Please open Slack."

_TOKEN = re.compile(r"(?P<incident>[A-Za-z0-9_-]{1,64})~(?P<key>[A-Za-z0-9._-]{1,100})~(?P<contact>[A-Za-z0-9._-]{1,100})")
_CALL = re.compile(r"[A-Za-z0-9]{1,64}")
_AGAIN = "again=1"

log = structlog.get_logger("muster.http.phone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A key that was pressed in a call. ``incident``, ``key`` and ``contact``: the page. ``again``: in the second question."""

    incident: str
    key: str
    contact: str
    call: str
    digits: str
    again: bool

    @property
    def delivery(self) -> str:
        """Under which it is remembered: one press of one call counts once, however often it is sent."""
        return f"phone:{self.incident}:{self.key}:{self.contact}:{self.call}:{self.digits}:{int(self.again)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneDoor:
    """What is behind the address. ``public_url``: where Twilio reaches Muster (MUSTER_URL).

    ``is_genuine(url, form, signature)`` knows Twilio's signature.
    """

    public_url: str
    desk: Desk
    duty: Duty
    is_genuine: Callable[[str, Mapping[str, str], str], bool]

    async def answer(self, request: web.Request, read: Callable[[web.Request, int], Awaitable[bytes]]) -> web.Response:
        """Take the pressed key. ``read(request, most)`` reads the body, and raises what to answer when it is no good."""
        token = request.match_info["token"]
        named = _TOKEN.fullmatch(token)
        if named is None:
            return _text(404, "there is no such page")
        raw = await read(request, BODY_MAX_BYTES)
        if request.content_type != "application/x-www-form-urlencoded":
            return _text(415, "send a form")
        try:
            fields = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
        except ValueError:
            return _text(400, "not readable")
        # The address that was given to Twilio, whatever Host and the proxies in between make of it
        address = f"{self.public_url.rstrip('/')}/pages/phone/{token}"
        asked_before = request.query_string == _AGAIN
        signatures = request.headers.getall("X-Twilio-Signature", [])
        signed = f"{address}?{_AGAIN}" if asked_before else address
        if len(signatures) != 1 or len(dict(fields)) != len(fields) or not self.is_genuine(signed, dict(fields), signatures[0]):
            log.warning("signature_refused", bytes=len(raw))
            return _text(403, "the signature is not valid; check TWILIO_AUTH_TOKEN and MUSTER_URL")
        form = dict(fields)
        try:
            call, digits = form.get("CallSid", ""), form.get("Digits", "")
            said = await self._take(Press(**named.groupdict(), call=call, digits=digits, again=asked_before))
        except MusterError as error:
            log.error("phone_answer_unsaved", incident_id=named["incident"], call=form.get("CallSid", "")[:40], error=str(error))
            return _twiml(503, UNSAVED)
        if said == UNCHANGED and not asked_before:
            return _twiml(200, f"{UNCHANGED} {KEY_QUESTION}", action=f"{address}?{_AGAIN}")
        return _twiml(404 if said == UNKNOWN else 200, said)

    async def _take(self, press: Press) -> str:
        """What is said. Raises: MusterError when it could not be saved; then Twilio may repeat it."""
        incident = await self.desk.load(press.incident)
        if incident is None or not _was_called(incident, press.key, press.contact):
            return UNKNOWN
        if not _is_their_call(incident, press):
            log.warning("foreign_call", incident_id=press.incident, call=press.call[:40])
            return UNKNOWN
        if press.digits != "1":
            return OVER if incident.is_over else UNCHANGED
        by = await self._who(incident, press.key, press.contact)
        handled = await acknowledge_elsewhere(self.desk, incident, by=by, via=VIA, delivery=press.delivery)
        if handled and not handled.duplicate:
            return THANKS
        now = await self.desk.get(press.incident)
        if now.is_over:
            return OVER
        if now.acknowledged is None and handled:
            return LAPSED
        if now.acknowledged is None:
            raise MusterError(f"{press.incident} was not acknowledged, and nobody has it")
        return THANKS if now.acknowledged.by in (by, f"{CONTACT_PREFIX}{press.contact}") else TAKEN

    async def _who(self, incident: Incident, key: str, contact_id: str) -> str:
        """Whoever was called, as far as is known. Of a rotation it is who was on duty then, not now."""
        called = [page.user_ids for page in incident.attempts(key, contact_id) if page.via == VIA and len(page.user_ids) == 1]
        if called:
            return called[-1][0]
        raised = incident.raised.get(key)
        contact = incident.contact(raised, contact_id) if raised else None
        try:
            async with asyncio.timeout(LOOK_UP_S):
                contact = contact or await self.duty.find(contact_id, incident)
                return await who_acknowledged(self.duty, contact_id, contact)
        except (TimeoutError, MusterError):
            return f"{CONTACT_PREFIX}{contact_id}"


def _was_called(incident: Incident, key: str, contact_id: str) -> bool:
    """The alarm told this contact; also one of an earlier round of the ladder, whose call is still ringing."""
    raised = incident.raised.get(key)
    return bool(raised and contact_id in raised.contact_ids) or bool(incident.attempts(key, contact_id))


def _is_their_call(incident: Incident, press: Press) -> bool:
    """It is a call that was made to this contact. One of a page that has none on record, or none that did not fail, is just being
    recorded: whoever answers quickly is not sent away."""
    if not _CALL.fullmatch(press.call):
        return False
    calls = [page for page in incident.pages if page.contact_id == press.contact and page.via == VIA]
    if press.call in {page.reference for page in calls}:
        return True
    newest = next((page for page in reversed(calls) if page.key == press.key), None)
    return newest is None or bool(newest.failure) or not newest.reference


def _twiml(status: int, text: str, *, action: str | None = None) -> web.Response:
    """One sentence, and the call ends; with ``action``, a pressed key goes there first."""
    say = f"<Say>{escape(text)}</Say>"
    if action:
        gather = f'<Gather numDigits="1" action="{escape(action)}" method="POST" timeout="{KEY_WAIT_S}">{say}</Gather>'
        say = f"{gather}<Say>{escape(UNCHANGED)} Please open Slack.</Say>"
    body = f'<?xml version="1.0" encoding="UTF-8"?><Response>{say}<Hangup/></Response>'
    return web.Response(status=status, text=body, content_type="text/xml")


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/plain")
