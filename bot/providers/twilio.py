"""Twilio's REST API: calls and text messages. https://www.twilio.com/docs/voice/api/call-resource

Called by `bot.notify.phone` and `bot.notify.sms`. What is said, and when to look before calling again, does not belong here.
Twilio knows no idempotency keys: after an unknown outcome look for the call (`find_calls`) before making one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from bot.providers.config import TWILIO_ACCOUNT_SID, TWILIO_API_URL, TWILIO_AUTH_TOKEN, TWILIO_FROM
from bot.providers.faults import Refused, Unanswered
from bot.providers.foreign import word_of
from bot.providers.http import Endpoint, ErrorDetail, ProviderHttp, Reply, json_or_none

TIMEOUT_S: Final = 5.0
API_VERSION: Final = "2010-04-01"
TWIML_MAX_CHARS: Final = 4000
CALL_SID_PATTERN: Final = r"CA[0-9a-zA-Z]{1,62}"
MESSAGE_SID_PATTERN: Final = r"(?:SM|MM)[0-9a-zA-Z]{1,62}"
PAGE_SIZE: Final = 100

_T = TypeVar("_T")

TO_REFUSED: Final = "to_refused"
"""Code of a Refused: the number that was to be reached cannot be."""

_TO_CODES = frozenset({13223, 13224, 13225, 21201, 21211, 21214, 21216, 21217, 21219, 21604, 21608, 21610, 21612, 21614, 21635})
_FROM_CODES = frozenset({21210, 21212, 21213, 21603, 21606, 21607, 21611, 21659, 21660})
_COUNTRY_CODES = frozenset({13227, 21215, 21408})
"""https://www.twilio.com/docs/api/errors"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """``status``: queued, initiated, ringing, in-progress, completed, busy, failed, no-answer or canceled. ``answered_by`` is ""
    when Twilio did not find out."""

    sid: str
    status: str
    created_at: datetime | None
    answered_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """``status``: accepted, queued, sending, sent, delivered, undelivered, failed and others. ``error_code``: a number, or ""."""

    sid: str
    status: str
    created_at: datetime | None
    body: str
    error_code: str


class TwilioClient:
    """One account. Every method raises Refused, Unavailable; those that change something also Unanswered."""

    def __init__(self, account_sid: str, auth_token: SecretStr, *, api_url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._account = (API_VERSION, "Accounts", account_sid)
        self._http = ProviderHttp(
            Endpoint(
                name="Twilio",
                base_url=api_url,
                base_url_setting=TWILIO_API_URL,
                token=auth_token,
                token_setting=TWILIO_AUTH_TOKEN,
                user=account_sid,
                headers={"accept": "application/json"},
            ),
            detail=error_detail,
            timeout_s=timeout_s,
        )

    async def ping(self) -> None:
        """The cheapest read that needs the token: the account itself."""
        await self._http.get_json(*self._account[:2], f"{self._account[2]}.json")

    async def make_call(self, *, to: str, from_: str, twiml: str, ring_s: int) -> Call:
        """Have ``to`` called. Calls beyond the account's rate (1/s) wait at Twilio, as queued."""
        form = {"To": to, "From": from_, "Twiml": twiml, "Timeout": str(ring_s), "MachineDetection": "Enable"}
        return await self._post(_call, "Calls.json", form=form)

    async def find_calls(self, *, to: str, from_: str, since: date, status: str | None = None) -> list[Call]:
        """Calls to that number that started on that day (UTC) or later; with ``status`` those in it, begun or not: a queued
        call has no start yet."""
        dated = {"StartTime>": since.isoformat()} if status is None else {"Status": status}
        body = await self._get("Calls.json", params={"To": to, "From": from_, **dated, "PageSize": PAGE_SIZE})
        return [_call(item) for item in _items(body, "calls")]

    async def get_call(self, sid: str) -> Call:
        """As it is now."""
        return _call(await self._get("Calls", f"{_checked_sid(sid, CALL_SID_PATTERN)}.json"))

    async def cancel_call(self, sid: str) -> Call:
        """Take back a call that nobody has answered yet. Raises: Refused with the code http_400 when it is not queued or ringing
        any more. Safe to repeat."""
        path = ("Calls", f"{_checked_sid(sid, CALL_SID_PATTERN)}.json")
        return await self._post(_call, *path, form={"Status": "canceled"})

    async def send_message(self, *, to: str, from_: str, body: str) -> Message:
        """Have a text sent."""
        form = {"To": to, "From": from_, "Body": body}
        return await self._post(_message, "Messages.json", form=form)

    async def find_messages(self, *, to: str, from_: str, since: date | None) -> list[Message]:
        """Texts to that number, sent on that day (UTC) or later; with None the newest ones, sent or not: one that waits at Twilio
        has no such day yet."""
        dated = {} if since is None else {"DateSent>": since.isoformat()}
        params: dict[str, str | int] = {"To": to, "From": from_, **dated, "PageSize": PAGE_SIZE}
        return [_message(item) for item in _items(await self._get("Messages.json", params=params), "messages")]

    async def get_message(self, sid: str) -> Message:
        """As it is now."""
        return _message(await self._get("Messages", f"{_checked_sid(sid, MESSAGE_SID_PATTERN)}.json"))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _get(self, *path: str, params: Mapping[str, str | int] | None = None) -> Any:
        return await self._http.get_json(*self._account, *path, params=params)

    async def _post(self, read: Callable[[Any], _T], *path: str, form: Mapping[str, str]) -> _T:
        """Raises: also Unanswered, when something answered that says neither yes nor no."""
        url = self._http.url_of(*self._account, *path)
        try:
            reply = await self._http.fetch("POST", url, form=form, effect=True)
            if reply.status == 400:
                _raise_for_number(reply)
            if reply.status == 500:
                what = f"Twilio answered 500 to {reply.request}, so it may have been done"
                raise Unanswered(what, remedy="look before repeating")
            self._http.raise_for_status(reply, effect=True)
            return read(self._http.json_of(reply))
        except Refused as refusal:
            if refusal.code in ("not_json", "too_large", "encoded", "unexpected"):  # something answered, perhaps not Twilio
                raise Unanswered(refusal.what, remedy=refusal.remedy) from refusal
            raise


def error_detail(body: Any) -> ErrorDetail:
    """The number of ``{code, message, more_info, status}``; free text is not repeated."""
    code = body.get("code") if isinstance(body, dict) else None
    return ErrorDetail(code=str(code)) if isinstance(code, int) else ErrorDetail()


def number_of(text: str) -> str:
    """A telephone number in E.164 form, without the blanks, hyphens, dots and brackets that people write."""
    return re.sub(r"[ ().-]", "", text)


def _raise_for_number(reply: Reply) -> None:
    """Say which of the numbers is at fault, when one is."""
    body = json_or_none(reply.body)
    code = body.get("code") if isinstance(body, dict) else None
    if not isinstance(code, int):
        return
    what = f"Twilio refuses to reach the number ({code})"
    if code in _TO_CODES:
        raise Refused(what, remedy=f"check it; https://www.twilio.com/docs/api/errors/{code} says why", code=TO_REFUSED)
    if code in _FROM_CODES:
        raise Refused(
            f"Twilio refuses to call or text from {TWILIO_FROM} ({code})",
            remedy=f"set {TWILIO_FROM} to a number of the account that can do both",
            code="from_refused",
        )
    if code in _COUNTRY_CODES:
        raise Refused(
            what,
            remedy="allow its country under Geographic Permissions at console.twilio.com, for calls and for texts",
            code="country_refused",
        )


def _items(body: Any, name: str) -> list[dict[str, Any]]:
    items = body.get(name) if isinstance(body, dict) else None
    if not isinstance(items, list):
        raise _unexpected(f"list of {name}")
    return [item for item in items if isinstance(item, dict)]


def _call(body: Any) -> Call:
    told = _told(body, CALL_SID_PATTERN, "call")
    return Call(
        sid=told["sid"],
        status=told["status"],
        created_at=_moment(told.get("date_created")) or _moment(told.get("start_time")),
        answered_by=word_of(told.get("answered_by")),
    )


def _message(body: Any) -> Message:
    told = _told(body, MESSAGE_SID_PATTERN, "message")
    text = told.get("body")
    return Message(
        sid=told["sid"],
        status=told["status"],
        created_at=_moment(told.get("date_created")) or _moment(told.get("date_sent")),
        body=text if isinstance(text, str) else "",
        error_code=word_of(str(told.get("error_code") or "")),
    )


def _told(body: Any, pattern: str, what: str) -> dict[str, Any]:
    told = body if isinstance(body, dict) else {}
    sid, status = told.get("sid"), told.get("status")
    if not (isinstance(sid, str) and re.fullmatch(pattern, sid) and word_of(status)):
        raise _unexpected(what)
    return told


def _moment(text: object) -> datetime | None:
    """RFC 2822, "Fri, 20 Nov 2026 03:00:00 +0000"; None when it is something else."""
    if not isinstance(text, str):
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _checked_sid(sid: str, pattern: str) -> str:
    if not re.fullmatch(pattern, sid):
        raise Refused("that is no reference of Twilio's", remedy="report this to who runs Muster", code="unexpected")
    return sid


def _unexpected(what: str) -> Refused:
    return Refused(
        f"Twilio answered with a {what} in a shape that Muster does not know",
        remedy=f"check {TWILIO_API_URL} and {TWILIO_ACCOUNT_SID}, and whether there is a newer Muster",
        code="unexpected",
    )
