"""Calls and text messages as ways to reach people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.domain.errors import FencedError, PermanentError, TemporaryError, UnknownOutcome
from bot.domain.escalation import Contact, Way
from bot.notify.phone import PhoneWay
from bot.notify.sms import SmsWay, text_of
from bot.notify.twilio import References
from bot.notify.twiml import call_twiml
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.services.ports import Accepted, Followed, Lease, Summons
from tests.notify.conftest import CONTACT, FROM, TO, Vendor, config, summons

LATE = "Fri, 20 Nov 2026 03:00:01 +0000"
EARLY = "Fri, 20 Nov 2026 02:59:30 +0000"


def call(sid: str = "CA01", status: str = "queued", created: str | None = LATE, **more: Any) -> dict[str, Any]:
    """A call as Twilio shows it."""
    return {"sid": sid, "status": status, "date_created": created, "answered_by": None, **more}


def text(asked: Summons, sid: str = "SM01", status: str = "sent", created: str | None = LATE, **more: Any) -> dict[str, Any]:
    """A message as Twilio shows it."""
    return {"sid": sid, "status": status, "date_created": created, "body": text_of(asked), "error_code": None, **more}


@pytest.fixture
async def providers(vendor: Vendor) -> AsyncIterator[Providers]:
    """Clients of the vendor."""
    async with Providers(config(vendor.url)) as made:
        yield made


@pytest.fixture
def phone(providers: Providers) -> PhoneWay:
    """Calls."""
    return PhoneWay(providers.twilio(), providers.config)


@pytest.fixture
def sms(providers: Providers) -> SmsWay:
    """Texts."""
    return SmsWay(providers.twilio(), providers.config)


async def test_a_page_is_a_call(phone: PhoneWay, vendor: Vendor) -> None:
    """Nothing is looked for the first time: the person is waiting to be woken."""
    vendor.replies = [(201, call())]
    asked = summons(answer_url="https://muster.example.com/pages/phone/abc")
    assert await phone.send(asked) == Accepted(reference="CA01")
    (request,) = vendor.requests
    assert (request.form["To"], request.form["From"]) == (TO, FROM)
    assert request.form["Twiml"] == call_twiml(asked)
    assert (request.form["Timeout"], request.form["MachineDetection"]) == ("40", "Enable")
    assert (phone.way, phone.follows) == (Way.PHONE, True)


@pytest.mark.parametrize("fault", ["reset", (502, {}), (500, {}), (201, "<html>")])
async def test_a_call_whose_fate_is_unknown_is_found_and_not_made_twice(phone: PhoneWay, vendor: Vendor, fault: Any) -> None:
    """By both numbers and the time; it may be ringing already."""
    vendor.replies = [fault, (200, {"calls": []}), (200, {"calls": [call("CA01", "ringing")]})]
    with pytest.raises(UnknownOutcome):
        await phone.send(summons())
    assert await phone.send(summons(look_first=True)) == Accepted(reference="CA01")
    assert [request.method for request in vendor.requests] == ["POST", "GET", "GET"]
    assert vendor.requests[2].query["StartTime>"] == ["2026-11-20"]


async def test_a_queued_call_is_found_although_it_has_not_started(phone: PhoneWay, vendor: Vendor) -> None:
    """A filter by its start may not show it."""
    vendor.replies = [(200, {"calls": [call("CA02")]})]
    assert await phone.send(summons(look_first=True)) == Accepted(reference="CA02")
    assert vendor.requests[0].query["Status"] == ["queued"]
    assert vendor.posts() == []


async def test_a_call_that_is_not_there_is_made(phone: PhoneWay, vendor: Vendor) -> None:
    """Calls of before this page do not count, nor those whose age nobody knows."""
    old = [call("CA01", "completed", EARLY), call("CA02", "completed", None), call("CA03", "completed", "yesterday")]
    vendor.replies = [(200, {"calls": []}), (200, {"calls": old}), (201, call("CA04"))]
    assert await phone.send(summons(look_first=True)) == Accepted(reference="CA04")
    assert len(vendor.posts()) == 1


async def test_the_look_reaches_back_over_midnight(phone: PhoneWay, vendor: Vendor) -> None:
    """A call made right before midnight, by Twilio's clock, belongs to the day before."""
    vendor.replies = [(200, {"calls": []}), (200, {"calls": [call(created="Thu, 19 Nov 2026 23:59:58 +0000")]})]
    since = summons().since.replace(hour=0)
    assert await phone.send(summons(look_first=True, since=since)) == Accepted(reference="CA01")
    assert vendor.requests[1].query["StartTime>"] == ["2026-11-19"]


async def test_the_call_of_another_page_is_not_taken_for_this_one(phone: PhoneWay, vendor: Vendor) -> None:
    """Two incidents may call the same person within seconds."""
    vendor.replies = [(201, call("CA01")), (200, {"calls": []}), (200, {"calls": [call("CA01", "ringing")]}), (201, call("CA02"))]
    await phone.send(summons(key="inc-1/g1/level-1/cto"))
    assert await phone.send(summons(look_first=True)) == Accepted(reference="CA02")
    vendor.replies = [(200, {"calls": [call("CA01", "ringing"), call("CA02", "ringing")]})]
    assert await phone.send(summons(key="inc-1/g1/level-1/cto", look_first=True)) == Accepted(reference="CA01")


async def test_a_look_that_fails_calls_nobody(phone: PhoneWay, vendor: Vendor) -> None:
    """Without knowing, another call could be the second one."""
    vendor.replies = [(500, {})]
    with pytest.raises(TemporaryError):
        await phone.send(summons(look_first=True))
    assert vendor.posts() == []


@pytest.mark.parametrize("way", ["phone", "sms"])
async def test_nothing_leaves_when_the_lease_has_run_out(way: str, phone: PhoneWay, sms: SmsWay, vendor: Vendor) -> None:
    """Neither a call nor a text."""
    with pytest.raises(FencedError):
        await {"phone": phone, "sms": sms}[way].send(summons(lease=Lease(ends_at=time.monotonic() - 1)))
    assert vendor.requests == []


async def test_a_lease_that_runs_out_while_looking_calls_nobody(phone: PhoneWay, vendor: Vendor) -> None:
    """The last look at it is right before the call."""
    lease = Lease()
    asked = summons(look_first=True, lease=lease)
    vendor.replies = ["hang"]

    async def run_out() -> None:
        await vendor.arrived.wait()
        lease.ends_at = time.monotonic() - 1
        vendor.replies = [(200, {"calls": []})]
        vendor.released.set()

    running_out = asyncio.create_task(run_out())
    with pytest.raises(FencedError):
        await phone.send(asked)
    await running_out
    assert vendor.posts() == []


@pytest.mark.parametrize("way", ["phone", "sms"])
async def test_a_number_that_cannot_be_reached_is_said_by_its_place(
    way: str, phone: PhoneWay, sms: SmsWay, vendor: Vendor
) -> None:
    """The file and the contact, not the number."""
    vendor.replies = [(400, {"code": 21211, "message": f"The 'To' number {TO} is not valid"})]
    with pytest.raises(PermanentError, match=r"check phone of the contact “cto” in contacts.yml") as caught:
        await {"phone": phone, "sms": sms}[way].send(summons())
    assert TO not in str(caught.value)
    assert "21211" in str(caught.value)


@pytest.mark.parametrize("way", ["phone", "sms"])
async def test_other_refusals_name_their_own_place(way: str, phone: PhoneWay, sms: SmsWay, vendor: Vendor) -> None:
    """A wrong token is no fault of the contact."""
    vendor.replies = [(401, {"code": 20003})]
    with pytest.raises(PermanentError, match="TWILIO_AUTH_TOKEN"):
        await {"phone": phone, "sms": sms}[way].send(summons())
    vendor.replies = [(400, {"code": 21212})]
    with pytest.raises(PermanentError, match="set TWILIO_FROM"):
        await {"phone": phone, "sms": sms}[way].send(summons())


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (call(status="queued"), Followed(state="pending")),
        (call(status="initiated"), Followed(state="pending")),
        (call(status="ringing"), Followed(state="pending")),
        (call(status="in-progress"), Followed(state="pending")),
        (call(status="a-new-word"), Followed(state="pending")),
        (call(status="completed"), Followed(state="answered")),
        (call(status="completed", answered_by="human"), Followed(state="answered")),
        (call(status="completed", answered_by="unknown"), Followed(state="answered")),
        (call(status="completed", answered_by="machine_start"), Followed(state="failed", reason="voicemail took the call")),
        (call(status="completed", answered_by="machine_end_beep"), Followed(state="failed", reason="voicemail took the call")),
        (call(status="completed", answered_by="fax"), Followed(state="failed", reason="voicemail took the call")),
        (call(status="busy"), Followed(state="failed", reason="the line was busy")),
        (call(status="no-answer"), Followed(state="failed", reason="nobody answered within 40 s")),
        (call(status="failed"), Followed(state="failed", reason="the call could not be connected")),
        (call(status="canceled"), Followed(state="failed", reason="the call was cancelled at Twilio")),
    ],
)
async def test_what_became_of_a_call(phone: PhoneWay, vendor: Vendor, seen: dict[str, Any], expected: Followed) -> None:
    """Only a person who took it has been reached; looking changes nothing."""
    vendor.replies = [(200, seen)]
    assert await phone.follow("CA01", summons(), wanted="open") == expected
    assert [request.method for request in vendor.requests] == ["GET"]


@pytest.mark.parametrize("wanted", ["acknowledged", "over"])
@pytest.mark.parametrize("status", ["queued", "initiated", "ringing"])
async def test_nobody_is_woken_for_what_is_settled(phone: PhoneWay, vendor: Vendor, wanted: Any, status: str) -> None:
    """A call that nobody has answered yet is taken back."""
    vendor.replies = [(200, call(status=status)), (200, call(status="canceled"))]
    assert await phone.follow("CA01", summons(), wanted=wanted) == Followed(state="closed")
    (cancelled,) = vendor.posts()
    assert cancelled.form == {"Status": "canceled"}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (call(status="in-progress"), "closed"),
        (call(status="completed"), "answered"),
        (call(status="completed", answered_by="machine_start"), "closed"),
        (call(status="busy"), "closed"),
        (call(status="canceled"), "closed"),
    ],
)
async def test_what_is_answered_or_over_is_left_alone(phone: PhoneWay, vendor: Vendor, seen: Any, expected: str) -> None:
    """Nobody's call is cut off, and nothing is a failure any more."""
    vendor.replies = [(200, seen)]
    assert (await phone.follow("CA01", summons(), wanted="over")).state == expected
    assert vendor.posts() == []


async def test_a_call_that_is_answered_at_that_moment(phone: PhoneWay, vendor: Vendor) -> None:
    """Twilio refuses to take it back then; that is no failure."""
    vendor.replies = [(200, call(status="ringing")), (400, {"code": 21220}), (200, call(status="in-progress"))]
    assert await phone.follow("CA01", summons(), wanted="acknowledged") == Followed(state="closed")


@pytest.mark.parametrize("wanted", ["open", "over"])
async def test_a_number_that_was_taken_out_of_the_file_is_still_followed(phone: PhoneWay, vendor: Vendor, wanted: Any) -> None:
    """The call knows its number; a telephone that rings for nothing is stopped."""
    vendor.replies = [(200, call(status="ringing")), (200, call(status="canceled"))]
    bare = Contact(id="cto", name="Chief technology officer", slack="@cto")
    followed = await phone.follow("CA01", summons(contact=bare), wanted=wanted)
    assert followed.state == ("pending" if wanted == "open" else "closed")


async def test_without_twilio_nothing_can_be_followed() -> None:
    """The variable is named."""
    for way in (PhoneWay(None, config(twilio_auth_token=None)), SmsWay(None, config(twilio_auth_token=None))):
        with pytest.raises(PermanentError, match="TWILIO_AUTH_TOKEN is not set"):
            await way.follow("CA01", summons(), wanted="open")


async def test_a_page_is_a_text(sms: SmsWay, vendor: Vendor) -> None:
    """From our number to theirs."""
    vendor.replies = [(201, text(summons()))]
    assert await sms.send(summons()) == Accepted(reference="SM01")
    (request,) = vendor.requests
    assert request.form == {"To": TO, "From": FROM, "Body": text_of(summons())}
    assert (sms.way, sms.follows) == (Way.SMS, True)


async def test_a_text_whose_fate_is_unknown_is_found_and_not_sent_twice(sms: SmsWay, vendor: Vendor) -> None:
    """Texts are told from each other by what they say."""
    asked = summons(look_first=True)
    others = [text(asked, "SM01", created=EARLY), {**text(asked, "SM02"), "body": "something else"}]
    vendor.replies = ["reset", (200, {"messages": [*others, text(asked, "SM03")]})]
    with pytest.raises(UnknownOutcome):
        await sms.send(summons())
    assert await sms.send(asked) == Accepted(reference="SM03")
    assert len(vendor.posts()) == 1
    vendor.replies = [(200, {"messages": others}), (200, {"messages": others}), (201, text(asked, "SM04"))]
    assert await sms.send(asked) == Accepted(reference="SM04")
    assert len(vendor.posts()) == 2


async def test_a_text_that_is_not_among_the_newest_is_found_by_the_day(sms: SmsWay, vendor: Vendor) -> None:
    """The first look has no day in it, because one that waits at Twilio has none."""
    asked = summons(look_first=True)
    vendor.replies = [(200, {"messages": []}), (200, {"messages": [text(asked, "SM05")]})]
    assert await sms.send(asked) == Accepted(reference="SM05")
    assert ["DateSent>" in request.query for request in vendor.requests] == [False, True]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "queued"}, Followed(state="pending")),
        ({"status": "sent"}, Followed(state="pending")),
        ({"status": "delivered"}, Followed(state="answered")),
        (
            {"status": "undelivered", "error_code": 30003},
            Followed(state="failed", reason="the network did not deliver the text (error 30003 of Twilio)"),
        ),
        ({"status": "failed"}, Followed(state="failed", reason="the text could not be sent")),
    ],
)
async def test_what_became_of_a_text(sms: SmsWay, vendor: Vendor, changes: dict[str, Any], expected: Followed) -> None:
    """A text that arrived has reached them, as far as anybody can know."""
    vendor.replies = [(200, {**text(summons()), **changes})]
    assert await sms.follow("SM01", summons(), wanted="open") == expected


async def test_a_text_cannot_be_taken_back(sms: SmsWay, vendor: Vendor) -> None:
    """So nothing is asked when it is settled."""
    assert await sms.follow("SM01", summons(), wanted="over") == Followed(state="closed")
    assert vendor.requests == []


@pytest.mark.parametrize(
    ("changes", "contact", "expected"),
    [
        ({}, CONTACT, ""),
        ({}, Contact(id="a", name="A", slack="@a"), "phone is not set"),
        ({"twilio_from": None}, CONTACT, "TWILIO_FROM is not set"),
        ({"twilio_auth_token": None}, CONTACT, "TWILIO_AUTH_TOKEN is not set"),
        ({"twilio_account_sid": None}, CONTACT, "TWILIO_ACCOUNT_SID is not set"),
    ],
)
async def test_what_is_missing_is_named_and_nothing_is_sent(changes: dict[str, Any], contact: Contact, expected: str) -> None:
    """The variable or the field."""
    known: ProviderConfig = config(**changes)
    for way in (PhoneWay(None, known), SmsWay(None, known)):
        assert way.missing(contact) == expected
        with pytest.raises(PermanentError, match=expected or "cannot be reached"):
            await way.send(summons(contact=contact))


def test_known_references_are_not_kept_for_ever() -> None:
    """The oldest goes first."""
    known = References(most=2)
    for number in range(3):
        known.remember(f"CA{number}", f"key-{number}")
    assert known.may_be("CA0", "another")
    assert not known.may_be("CA2", "another")
    assert known.may_be("CA2", "key-2")
