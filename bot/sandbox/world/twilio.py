"""A stand-in for Twilio: calls and text messages of one account, and the people at the other end of the line.

Shapes: www.twilio.com/docs/voice/api/call-resource and messaging/api/message-resource (2010-04-01), error codes from its
dictionary, request signatures as in docs/usage/security. There is no idempotency key and no refusal for calling too fast:
more than one call a second wait their turn. Status callbacks are taken and not sent.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import itertools
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp import web

from bot.domain.errors import UserError
from bot.sandbox.world import twiml
from bot.sandbox.world.misbehaving import Entry, Failing, Trouble
from bot.sandbox.world.phone_calls import ENDED, SEND_S, Behaviour, Call, TextMessage
from bot.sandbox.world.recording import Unsaid, describe

ACCOUNT_SID: Final = "AC" + "5a" * 16
AUTH_TOKEN: Final = "sandboxtwilio000sandboxtwilio000"  # noqa: S105 - opens nothing but this stand-in
NUMBER: Final = "+15555550100"
"""The account's own number; 555-0100 to 555-0199 belong to nobody."""
E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
MAX_BODY: Final = 1600
CALL_EVERY_S: Final = 1.0
WEBHOOK_TIMEOUT_S: Final = 15.0
FAILED_WORDS: Final = "We are sorry. An application error has occurred. Goodbye."

_ROOT: Final = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
_CALL_STATUSES: Final = frozenset({"queued", "ringing", "in-progress", *ENDED})

Sleep = Callable[[float], Awaitable[None]]


class _RefusedError(Exception):
    """An error answer: HTTP status, Twilio's code, and a sentence."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def signature(auth_token: str, url: str, params: Mapping[str, str]) -> str:
    """``X-Twilio-Signature``: base64 of the HMAC-SHA1 of the URL and the sorted parameters, names and values run together."""
    signed = url + "".join(name + params[name] for name in sorted(params))
    return base64.b64encode(hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


class TwilioStandIn(Failing):
    """One account with one number.

    ``calls`` and ``messages`` are by sid, in the order in which they were taken. ``ledger`` has every request to call or to
    text, accepted or not. ``dial_s`` is how long a call is queued at least.
    """

    def __init__(self, now: Callable[[], float], on_change: Callable[[], None]) -> None:
        super().__init__("Telephone", "token_revoked", "all_busy")
        self._now = now
        self._on_change = on_change
        self._numbers = itertools.count(1)
        self._next_dial_at = 0.0
        self._behaviours: dict[str, Behaviour] = {}
        self._sleep: Sleep | None = None
        self._lives: dict[str, asyncio.Task[None]] = {}
        self.default_behaviour: Behaviour = "rings"
        self.ledger: list[Entry] = []
        self.calls: dict[str, Call] = {}
        self.messages: dict[str, TextMessage] = {}
        self.dial_s = 0.5

    # What tests set

    def behave(self, number: str, behaviour: Behaviour) -> None:
        """What happens at this number from the next call on."""
        self._behaviours[number] = behaviour

    # The life of calls

    def start(self, sleep: Sleep) -> None:
        """Calls live by themselves from now on; ``sleep`` waits for so many seconds of the sandbox's time."""
        self._sleep = sleep
        for call in self.calls.values():
            self._live(call)

    async def stop(self) -> None:
        """No call lives by itself any more. Safe to repeat."""
        self._sleep = None
        tasks = list(self._lives.values())
        self._lives.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def settle(self) -> None:
        """Let every call live until now."""
        now = self._now()
        changed = [call.settle(now) for call in self.calls.values() if not call.is_over]
        if any(changed):
            self._on_change()

    def ringing(self) -> list[Call]:
        """The calls that ring now, or are about to."""
        self.settle()
        return [call for call in self.calls.values() if call.status in ("queued", "ringing")]

    def _live(self, call: Call) -> None:
        """Follow one call as it is now; what was waited for before is forgotten."""
        previous = self._lives.get(call.sid)
        if previous is not None and previous is asyncio.current_task():
            return  # it presses a key by itself, and looks again afterwards
        if previous is not None:
            previous.cancel()
        if self._sleep is not None and not call.is_over:
            self._lives[call.sid] = asyncio.create_task(self._follow(call, self._sleep), name=f"call {call.sid}")

    async def _follow(self, call: Call, sleep: Sleep) -> None:
        while not call.is_over:
            if call.settle(self._now()):
                self._on_change()
            press_at, next_at = call.press_at, call.next_at
            if press_at is not None and press_at <= self._now():
                await self._press(call, "1", press_at)
            elif next_at is not None:
                await sleep(max(0.0, next_at - self._now()))
        if self._lives.get(call.sid) is asyncio.current_task():
            del self._lives[call.sid]

    async def _carry(self, message: TextMessage, sleep: Sleep) -> None:
        """Tell when a text message is on its way, and when it has arrived."""
        for _ in range(2):
            await sleep(SEND_S)
            self._on_change()
        self._lives.pop(message.sid, None)

    # What people do

    def answer(self, sid: str) -> None:
        """Take a ringing call."""
        call = self._call(sid, "ringing")
        call.take(self._now())
        self._moved(call)

    def decline(self, sid: str) -> None:
        """Turn a ringing call away, or hang up."""
        call = self._call(sid, "ringing", "in-progress")
        if call.status == "ringing":
            call.end(self._now(), "busy", "Declined.")
        else:
            call.end(self._now(), "completed", "Hung up.")
        self._moved(call)

    def voicemail(self, sid: str) -> None:
        """A mailbox takes a ringing call."""
        call = self._call(sid, "ringing")
        call.take(self._now(), machine=True)
        self._moved(call)

    async def press(self, sid: str, key: str) -> bool:
        """Press a key in a call; whether the call was listening for it.

        What the key leads to has been asked for, and is being played, when this returns. Raises: UserError.
        """
        if not re.fullmatch(r"[0-9*#]", key):
            raise UserError(f"There is no key {key!r} on a telephone.")
        call = self._call(sid, "in-progress")
        return await self._press(call, key, self._now())

    async def _press(self, call: Call, key: str, at: float) -> bool:
        gather = call.gather_at(at)
        call.pressed(at, key)
        if gather is None:
            self._on_change()
            return False
        finished = key == gather.finish_key
        call.keys += "" if finished else key
        if finished or len(call.keys) == gather.digits:
            await self._send_keys(call, gather, at, finish_key=key if finished else "")
        self._moved(call)
        return True

    async def _send_keys(self, call: Call, gather: twiml.Gather, at: float, *, finish_key: str) -> None:
        params = {
            "AccountSid": ACCOUNT_SID,
            "ApiVersion": "2010-04-01",
            "CallSid": call.sid,
            "CallStatus": call.status,
            "Called": call.to,
            "Caller": call.sender,
            "Digits": call.keys,
            "Direction": "outbound-api",
            "FinishedOnKey": finish_key,
            "From": call.sender,
            "To": call.to,
            "msg": "Gather End",
        }
        call.keys = ""
        try:
            parts = twiml.plan(await _fetch(gather, params))
        except (aiohttp.ClientError, TimeoutError, twiml.TwimlError, UnicodeDecodeError):
            parts = twiml.plan(f"<Response><Say>{FAILED_WORDS}</Say></Response>")
        if call.is_over:  # hung up meanwhile
            return
        call.play(max(at, self._now()) if self._sleep is not None else at, parts)
        call.settle(self._now())

    def _call(self, sid: str, *statuses: str) -> Call:
        self.settle()
        call = self.calls.get(sid)
        if call is None:
            raise UserError(f"There is no call {sid}.")
        if call.status not in statuses:
            raise UserError(f"The call to {call.to} is {call.status} now: that needs one that is {' or '.join(statuses)}.")
        return call

    def _moved(self, call: Call) -> None:
        call.settle(self._now())
        self._live(call)
        self._on_change()

    # HTTP

    async def serve(self, request: web.Request, path: str) -> web.StreamResponse:
        """Any call below ``/twilio``."""
        self.settle()
        form = dict(await request.post()) if request.method == "POST" else {}
        params = {name: value for name, value in form.items() if isinstance(value, str)}
        creates = request.method == "POST" and path in (f"{_ROOT}/Calls.json", f"{_ROOT}/Messages.json")
        what = ("call" if path.endswith("/Calls.json") else "sms") if creates else ""
        describe(key=params.get("To", ""), action=what, sent=params)
        try:
            trouble = await self._trouble()
            status, body = self._result(request, path, params)
        except _RefusedError as refused:
            if what:
                self._note(what, params.get("To", ""), accepted=False, note=str(refused.code))
                self._on_change()
            return _error(refused)
        if what:
            self._note(what, params["To"], accepted=True, note=trouble or "", reference=body["sid"])
            self._on_change()
        if trouble in ("hang_after_accept", "reset_after_accept"):
            return Unsaid("hang" if trouble == "hang_after_accept" else "drop", trouble)
        return web.json_response(body, status=status)

    async def _trouble(self) -> Trouble | None:
        trouble = self.meets()
        if trouble == "429":
            raise _RefusedError(429, 20429, "Too Many Requests")
        if trouble == "500":
            raise _RefusedError(500, 20500, "An internal server error has occurred")
        if trouble == "slow":
            await asyncio.sleep(self.trouble.slow_s)
        return trouble

    def _note(self, what: str, key: str, *, accepted: bool, note: str = "", reference: str = "") -> None:
        self.ledger.append(Entry(at=self._now(), what=what, key=key, accepted=accepted, note=note, reference=reference))

    def _result(self, request: web.Request, path: str, params: dict[str, str]) -> tuple[int, dict[str, Any]]:
        expected = "Basic " + base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
        if self.state.value == "token_revoked" or request.headers.get("Authorization") != expected:
            raise _RefusedError(401, 20003, "Authenticate")
        if request.method == "POST" and request.content_type != "application/x-www-form-urlencoded":
            raise _RefusedError(400, 20001, "The body must be application/x-www-form-urlencoded")
        match (request.method, *path.removeprefix(_ROOT).strip("/").split("/")):
            case ("GET", ".json"):  # the account itself
                return 200, {"sid": ACCOUNT_SID, "friendly_name": "Sandbox", "status": "active", "type": "Full"}
            case ("POST", "Calls.json"):
                return 201, self._place(params)
            case ("GET", "Calls.json"):
                return 200, self._list_calls(request)
            case ("GET", "Calls", name) if self._find(name, self.calls):
                return 200, self._shown(self.calls[name.removesuffix(".json")])
            case ("POST", "Calls", name) if self._find(name, self.calls):
                return 200, self._change(self.calls[name.removesuffix(".json")], params)
            case ("POST", "Messages.json"):
                return 201, self._text(params)
            case ("GET", "Messages.json"):
                return 200, self._list_messages(request)
            case ("GET", "Messages", name) if self._find(name, self.messages):
                return 200, self._shown_message(self.messages[name.removesuffix(".json")])
        raise _RefusedError(404, 20404, f"The requested resource {path} was not found")

    @staticmethod
    def _find(name: str, kept: Mapping[str, Any]) -> bool:
        return name.endswith(".json") and name.removesuffix(".json") in kept

    def _behaviour(self, number: str) -> Behaviour:
        return self._behaviours.get(number, "busy" if self.state.value == "all_busy" else self.default_behaviour)

    def _check_number(self, to: str) -> None:
        behaviour = self._behaviour(to)
        if not E164.fullmatch(to) or behaviour == "invalid":
            raise _RefusedError(400, 21211, f"Invalid 'To' Phone Number: {to}")
        if behaviour == "unreachable":
            raise _RefusedError(400, 21214, f"'To' phone number cannot be reached: {to}")

    # Calls

    def _place(self, params: dict[str, str]) -> dict[str, Any]:
        to, sender = params.get("To", ""), params.get("From", "")
        if not to:
            raise _RefusedError(400, 21201, "No 'To' number is specified")
        if not sender:
            raise _RefusedError(400, 21213, "No 'From' number is specified")
        if not E164.fullmatch(sender):
            raise _RefusedError(400, 21212, f"Invalid 'From' Phone Number: {sender}")
        self._check_number(to)
        if sender != NUMBER:
            raise _RefusedError(400, 21210, f"The source phone number provided, {sender}, is not yet verified for your account")
        if not params.get("Twiml"):  # this stand-in fetches no documents: Url would have to be reachable from outside
            raise _RefusedError(400, 21205, "Url parameter is required: give Twiml, since nothing is fetched here")
        try:
            parts = twiml.plan(params["Twiml"])
        except twiml.TwimlError as error:
            raise _RefusedError(400, 12100, f"Twiml: {error}") from error
        timeout = params.get("Timeout", "60")
        if not timeout.isascii() or not timeout.isdecimal() or not 1 <= int(timeout) <= 600:
            raise _RefusedError(400, 20001, "Timeout must be 1 to 600")
        detection = params.get("MachineDetection", "")
        if detection not in ("", "Enable", "DetectMessageEnd"):
            raise _RefusedError(400, 20001, "MachineDetection must be Enable or DetectMessageEnd")
        call = self._dialled(to, sender, parts, timeout_s=float(timeout), detects_machines=bool(detection))
        return self._shown(call)

    def _dialled(self, to: str, sender: str, parts: tuple[twiml.Part, ...], *, timeout_s: float, detects_machines: bool) -> Call:
        now = self._now()
        ring_at = max(now + self.dial_s, self._next_dial_at)
        self._next_dial_at = ring_at + CALL_EVERY_S
        call = Call(
            sid=f"CA{next(self._numbers):032x}",
            to=to,
            sender=sender,
            parts=parts,
            behaviour=self._behaviour(to),
            created_at=now,
            ring_at=ring_at,
            timeout_s=timeout_s,
            detects_machines=detects_machines,
        )
        self.calls[call.sid] = call
        self._live(call)
        return call

    def _change(self, call: Call, params: dict[str, str]) -> dict[str, Any]:
        wanted = params.get("Status")
        if wanted not in ("canceled", "completed"):
            raise _RefusedError(400, 20001, "Status must be canceled or completed")
        if call.is_over or (wanted == "canceled" and call.status == "in-progress"):
            raise _RefusedError(400, 21220, "Invalid call state: the call cannot be changed any more")
        if call.status == "in-progress":
            call.end(self._now(), "completed", "The caller hung up.")
        else:
            call.end(self._now(), "canceled", "The caller gave up.")
        self._moved(call)
        return self._shown(call)

    def _list_calls(self, request: web.Request) -> dict[str, Any]:
        query = request.query
        status = query.get("Status")
        if status is not None and status not in _CALL_STATUSES:
            raise _RefusedError(400, 20001, f"Status {status} is not one of the known ones")
        found = [
            call
            for call in reversed(self.calls.values())
            if query.get("To") in (None, call.to)
            and query.get("From") in (None, call.sender)
            and status in (None, call.status)
            and _within(query, "StartTime", call.started_at)
        ]
        return _page(request, f"{_ROOT}/Calls.json", "calls", [self._shown(call) for call in found])

    def _shown(self, call: Call) -> dict[str, Any]:
        lasted = call.ended_at - call.answered_at if call.ended_at is not None and call.answered_at is not None else 0
        return {
            "sid": call.sid,
            "account_sid": ACCOUNT_SID,
            "annotation": None,
            "answered_by": call.answered_by,
            "api_version": "2010-04-01",
            "caller_name": "",
            "date_created": _moment(call.created_at),
            "date_updated": _moment(self._now()),
            "direction": "outbound-api",
            "duration": str(round(lasted)) if call.is_over else None,
            "end_time": _moment(call.ended_at),
            "forwarded_from": None,
            "from": call.sender,
            "from_formatted": call.sender,
            "group_sid": None,
            "parent_call_sid": None,
            "phone_number_sid": "PN" + "5a" * 16,
            "price": None,
            "price_unit": "USD",
            "queue_time": str(round((call.ring_at - call.created_at) * 1000)),
            "start_time": _moment(call.started_at),
            "status": call.status,
            "subresource_uris": {},
            "to": call.to,
            "to_formatted": call.to,
            "trunk_sid": None,
            "uri": f"{_ROOT}/Calls/{call.sid}.json",
        }

    # Text messages

    def _text(self, params: dict[str, str]) -> dict[str, Any]:
        to, sender, body = (params.get(name, "") for name in ("To", "From", "Body"))
        if not to:
            raise _RefusedError(400, 21604, "A 'To' phone number is required.")
        if not sender:
            raise _RefusedError(400, 21603, "A 'From' phone number is required.")
        if not body:
            raise _RefusedError(400, 21602, "Message body is required.")
        if len(body) > MAX_BODY:
            raise _RefusedError(400, 21617, f"The concatenated message body exceeds the {MAX_BODY} character limit.")
        if not E164.fullmatch(sender):
            raise _RefusedError(400, 21212, f"Invalid 'From' Phone Number: {sender}")
        self._check_number(to)
        if sender != NUMBER:
            raise _RefusedError(400, 21659, f"'From' {sender} is not a Twilio phone number of this account")
        message = TextMessage(
            sid=f"SM{next(self._numbers):032x}",
            to=to,
            sender=sender,
            body=body,
            behaviour=self._behaviour(to),
            created_at=self._now(),
        )
        self.messages[message.sid] = message
        if self._sleep is not None:
            self._lives[message.sid] = asyncio.create_task(self._carry(message, self._sleep), name=f"sms {message.sid}")
        return self._shown_message(message)

    def _list_messages(self, request: web.Request) -> dict[str, Any]:
        query = request.query
        found = [
            message
            for message in reversed(self.messages.values())
            if query.get("To") in (None, message.to)
            and query.get("From") in (None, message.sender)
            and _within(query, "DateSent", message.sent_at if message.status(self._now()) != "queued" else None)
        ]
        return _page(request, f"{_ROOT}/Messages.json", "messages", [self._shown_message(message) for message in found])

    def _shown_message(self, message: TextMessage) -> dict[str, Any]:
        status = message.status(self._now())
        failed = status == "undelivered"
        return {
            "sid": message.sid,
            "account_sid": ACCOUNT_SID,
            "api_version": "2010-04-01",
            "body": message.body,
            "date_created": _moment(message.created_at),
            "date_sent": _moment(message.sent_at) if status != "queued" else None,
            "date_updated": _moment(self._now()),
            "direction": "outbound-api",
            "error_code": 30003 if failed else None,
            "error_message": "Unreachable destination handset" if failed else None,
            "from": message.sender,
            "messaging_service_sid": None,
            "num_media": "0",
            "num_segments": str(-(-len(message.body) // 153) if len(message.body) > 160 else 1),
            "price": None,
            "price_unit": "USD",
            "status": status,
            "subresource_uris": {},
            "to": message.to,
            "uri": f"{_ROOT}/Messages/{message.sid}.json",
        }


async def _fetch(gather: twiml.Gather, params: dict[str, str]) -> str:
    """Ask the Gather's action what to play next, signed. Raises: aiohttp.ClientError, TimeoutError, TwimlError."""
    url = gather.action
    if gather.method == "GET":
        url += ("&" if urlsplit(url).query else "?") + urlencode(params)
        headers = {"X-Twilio-Signature": signature(AUTH_TOKEN, url, {})}
    else:
        headers = {"X-Twilio-Signature": signature(AUTH_TOKEN, url, params)}
    data = params if gather.method == "POST" else None
    timeout = aiohttp.ClientTimeout(total=WEBHOOK_TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(gather.method, url, data=data, headers=headers) as response,
    ):
        if response.status // 100 != 2:
            raise twiml.TwimlError(f"{response.status} instead of a document")
        return await response.text()


def _error(refused: _RefusedError) -> web.Response:
    body = {
        "code": refused.code,
        "message": refused.message,
        "more_info": f"https://www.twilio.com/docs/errors/{refused.code}",
        "status": refused.status,
    }
    headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if refused.status == 401 else {}
    return web.json_response(body, status=refused.status, headers=headers)


def _moment(at: float | None) -> str | None:
    """As Twilio writes it: RFC 2822, whole seconds."""
    return None if at is None else format_datetime(datetime.fromtimestamp(int(at), UTC))


def _within(query: Mapping[str, str], name: str, at: float | None) -> bool:
    """``Name=`` (that day), ``Name>=`` and ``Name<=`` (a day or a moment), whose names in the query end in > and <.

    What has not begun (None) is in no span of time: a filter by date does not find what is still queued.
    """
    if at is None:
        return not any(key in query for key in (name, f"{name}>", f"{name}<"))
    moment = datetime.fromtimestamp(int(at), UTC)
    if (text := query.get(name)) is not None and moment.date() != _day_or_moment(text, name)[0]:
        return False
    if (text := query.get(f"{name}>")) is not None:
        day, exact = _day_or_moment(text, name)
        if (moment < exact) if exact is not None else (moment.date() < day):
            return False
    if (text := query.get(f"{name}<")) is not None:
        day, exact = _day_or_moment(text, name)
        if (moment > exact) if exact is not None else (moment.date() > day):
            return False
    return True


def _day_or_moment(text: str, name: str) -> tuple[date, datetime | None]:
    with contextlib.suppress(ValueError):
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text), None
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:Z|\+00:00)", text):
            exact = datetime.fromisoformat(text)
            return exact.date(), exact
    raise _RefusedError(400, 20001, f"{name} must be YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ, not {text}")


def _page(request: web.Request, uri: str, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One page, with the address of the next below the API's root, or None."""
    size, number = (_count(request, key, default) for key, default in (("PageSize", 50), ("Page", 0)))
    size = min(size or 50, 1000)
    start = number * size
    shown = rows[start : start + size]
    filters = [(key, value) for key, value in request.query.items() if key not in ("Page", "PageSize", "PageToken")]

    def address(page: int) -> str:
        token = [("PageToken", f"PA{rows[0]['sid']}")] if page else []
        return f"{uri}?{urlencode([*filters, ('PageSize', size), ('Page', page), *token])}"

    return {
        name: shown,
        "page": number,
        "page_size": size,
        "start": start,
        "end": start + len(shown) - 1 if shown else start,
        "uri": address(number),
        "first_page_uri": address(0),
        "previous_page_uri": address(number - 1) if number else None,
        "next_page_uri": address(number + 1) if start + size < len(rows) else None,
    }


def _count(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdecimal():
        raise _RefusedError(400, 20001, f"{name} must be a number")
    return int(text)
