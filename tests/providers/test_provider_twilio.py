"""Twilio's API against a vendor on the loopback that answers in every way there is."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from bot.domain.errors import MusterError, PermanentError, TemporaryError, UnknownOutcome
from bot.providers.faults import Refused
from bot.providers.twilio import TwilioClient, number_of
from tests.notify.conftest import ACCOUNT_SID, AUTH_TOKEN, FROM, HUGE, PAGE, TO, Reply, Vendor, running_vendor

ROOT = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
CALL = {"sid": "CA01", "status": "queued", "date_created": "Fri, 20 Nov 2026 03:00:00 +0000", "answered_by": None}
MESSAGE = {"sid": "SM01", "status": "sent", "date_created": "Fri, 20 Nov 2026 03:00:00 +0000", "body": "x", "error_code": None}


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor on the loopback."""
    async with running_vendor() as made:
        yield made


@asynccontextmanager
async def twilio(vendor: Vendor, **options: Any) -> AsyncIterator[TwilioClient]:
    """A client that is closed at the end."""
    client = TwilioClient(ACCOUNT_SID, SecretStr(AUTH_TOKEN), api_url=vendor.url, **options)
    try:
        yield client
    finally:
        await client.aclose()


async def dial(client: TwilioClient) -> str:
    """Have somebody called."""
    return (await client.make_call(to=TO, from_=FROM, twiml="<Response/>", ring_s=40)).sid


async def test_a_call_is_a_form_signed_in_with_the_account(vendor: Vendor) -> None:
    """Parameters as Twilio spells them; the plus of a number survives."""
    vendor.replies = [(201, CALL)]
    async with twilio(vendor) as client:
        assert await dial(client) == "CA01"
    (request,) = vendor.requests
    assert (request.method, request.path) == ("POST", f"{ROOT}/Calls.json")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    assert request.form == {"To": TO, "From": FROM, "Twiml": "<Response/>", "Timeout": "40", "MachineDetection": "Enable"}


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ((400, {"code": 21211, "message": TO}), PermanentError, r"refuses to reach the number \(21211\)"),
        ((400, {"code": 21214}), PermanentError, "21214"),
        ((400, {"code": 21217}), PermanentError, "21217"),
        ((400, {"code": 21210}), PermanentError, "set TWILIO_FROM"),
        ((400, {"code": 21215}), PermanentError, "Geographic Permissions"),
        ((400, {"code": 20001}), PermanentError, r"400 \(20001\)"),
        ((400, PAGE), PermanentError, "400"),
        ((401, {"code": 20003}), PermanentError, "TWILIO_AUTH_TOKEN"),
        ((403, {"code": 20005}), PermanentError, "TWILIO_AUTH_TOKEN"),
        ((404, {"code": 20404}), PermanentError, "TWILIO_API_URL"),
        ((429, {"code": 20429}, {"Retry-After": "3"}), TemporaryError, "limits the rate"),
        ((503, {}), TemporaryError, "503"),
        ((500, {"code": 20500}), UnknownOutcome, "it may have been done"),
        ((502, PAGE), UnknownOutcome, "it may have been done"),
        ((504, PAGE), UnknownOutcome, "it may have been done"),
        ((201, PAGE), UnknownOutcome, "web page"),
        ((201, {"sid": "../CA1", "status": "queued"}), UnknownOutcome, "shape"),
        ((201, []), UnknownOutcome, "shape"),
        ((201, HUGE), UnknownOutcome, "bytes"),
        ("hang", UnknownOutcome, "it may have been done"),
        ("reset", UnknownOutcome, "it may have been done"),
    ],
)
async def test_every_fault_of_a_call(vendor: Vendor, reply: Reply, kind: type[MusterError], words: str) -> None:
    """Whatever leaves open whether it rings is an unknown outcome; nothing is dialled twice, and no secret or number is told."""
    vendor.replies = [reply]
    async with twilio(vendor, timeout_s=1.0 if reply == "hang" else 20.0) as client:
        with pytest.raises(kind, match=words) as caught:
            await dial(client)
    assert len(vendor.requests) == 1
    for told in (str(caught.value), repr(caught.value)):
        assert "CANARY" not in told
        assert TO not in told


async def test_a_refused_connection_is_no_unknown_outcome() -> None:
    """Nobody was there, so nothing was done."""
    client = TwilioClient(ACCOUNT_SID, SecretStr(AUTH_TOKEN), api_url="http://127.0.0.1:9")
    with pytest.raises(TemporaryError, match="the connection was refused"):
        await dial(client)
    await client.aclose()


async def test_calls_are_looked_for_by_both_numbers_and_the_day(vendor: Vendor) -> None:
    """Twilio's filters know days; a queued call has no start, so a status is asked for instead of a day."""
    found = {**CALL, "answered_by": "machine_start"}
    vendor.replies = [(200, {"calls": [found, "x"]}), (200, {"calls": []})]
    async with twilio(vendor) as client:
        (call,) = await client.find_calls(to=TO, from_=FROM, since=date(2026, 11, 20))
        assert (call.sid, call.created_at, call.answered_by) == ("CA01", datetime(2026, 11, 20, 3, tzinfo=UTC), "machine_start")
        assert await client.find_calls(to=TO, from_=FROM, since=date(2026, 11, 20), status="queued") == []
    first, second = vendor.requests
    assert first.query == {"To": [TO], "From": [FROM], "StartTime>": ["2026-11-20"], "PageSize": ["100"]}
    assert second.query == {"To": [TO], "From": [FROM], "Status": ["queued"], "PageSize": ["100"]}


async def test_messages_are_sent_and_looked_for(vendor: Vendor) -> None:
    """The body comes back, so that a text can be told from another one."""
    listed = (200, {"messages": [MESSAGE]})
    vendor.replies = [(201, MESSAGE), listed, listed, (200, {**MESSAGE, "status": "failed", "error_code": 30003})]
    async with twilio(vendor) as client:
        assert (await client.send_message(to=TO, from_=FROM, body="a + b & c")).sid == "SM01"
        (message,) = await client.find_messages(to=TO, from_=FROM, since=date(2026, 11, 20))
        assert (message.body, message.error_code) == ("x", "")
        assert len(await client.find_messages(to=TO, from_=FROM, since=None)) == 1
        assert (await client.get_message("SM01")).error_code == "30003"
    sent, found, newest, got = vendor.requests
    assert (sent.path, sent.form) == (f"{ROOT}/Messages.json", {"To": TO, "From": FROM, "Body": "a + b & c"})
    assert found.query == {"To": [TO], "From": [FROM], "DateSent>": ["2026-11-20"], "PageSize": ["100"]}
    assert newest.query == {"To": [TO], "From": [FROM], "PageSize": ["100"]}
    assert got.path == f"{ROOT}/Messages/SM01.json"


async def test_a_call_is_looked_at_and_taken_back(vendor: Vendor) -> None:
    """By its sid."""
    vendor.replies = [(200, {**CALL, "status": "ringing"}), (200, {**CALL, "status": "canceled"})]
    async with twilio(vendor) as client:
        assert (await client.get_call("CA01")).status == "ringing"
        assert (await client.cancel_call("CA01")).status == "canceled"
    looked, cancelled = vendor.requests
    assert (looked.method, looked.path) == ("GET", f"{ROOT}/Calls/CA01.json")
    assert (cancelled.method, cancelled.path, cancelled.form) == ("POST", f"{ROOT}/Calls/CA01.json", {"Status": "canceled"})


@pytest.mark.parametrize("sid", ["", "SM01", "CA01/../../x", "CA1?x=1"])
async def test_a_sid_that_is_none_is_never_sent(vendor: Vendor, sid: str) -> None:
    """A reference comes from our own store, and is checked all the same."""
    async with twilio(vendor) as client:
        with pytest.raises(Refused):
            await client.get_call(sid)
    assert vendor.requests == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ((401, {}), PermanentError),
        ((200, PAGE), PermanentError),
        ((200, {"calls": None}), PermanentError),
        ((500, {}), TemporaryError),
        ((429, {}), TemporaryError),
        ("hang", TemporaryError),
        ("reset", TemporaryError),
    ],
)
async def test_every_fault_of_a_look(vendor: Vendor, reply: Reply, kind: type[MusterError]) -> None:
    """A look that fails changes nothing, so it never leaves an outcome open."""
    vendor.replies = [reply]
    async with twilio(vendor, timeout_s=1.0 if reply == "hang" else 20.0) as client:
        with pytest.raises(kind) as caught:
            await client.find_calls(to=TO, from_=FROM, since=date(2026, 11, 20))
    assert "CANARY" not in str(caught.value)
    assert TO not in str(caught.value)


async def test_ping_reads_the_account(vendor: Vendor) -> None:
    """The cheapest call that needs the token."""
    async with twilio(vendor) as client:
        await client.ping()
    assert vendor.requests[0].path == f"{ROOT}.json"


def test_numbers_lose_what_people_write_into_them() -> None:
    """Twilio wants E.164."""
    assert number_of("+1 (555) 555-01.01") == TO
