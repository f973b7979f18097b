"""The stand-in for Twilio: what it takes and refuses, how calls live, and what pressing a key does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.domain.errors import UserError
from bot.sandbox.world.phone_calls import Behaviour
from bot.sandbox.world.twilio import ACCOUNT_SID, AUTH_TOKEN, NUMBER, signature
from tests.sandbox.mounted_world import BEGAN_AT, MountedWorld

ROOT = f"/twilio/2010-04-01/Accounts/{ACCOUNT_SID}"
TO = "+15555550101"
SAY = "<Response><Say>SEV1: clerk is down</Say></Response>"


def basic(user: str = ACCOUNT_SID, password: str = AUTH_TOKEN) -> dict[str, str]:
    """The header of basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


AUTH = basic()


async def post(outside: MountedWorld, path: str, headers: dict[str, str] = AUTH, **form: str) -> tuple[int, Any]:
    """Status and body of a form."""
    async with outside.http.post(ROOT + path, data=form, headers=headers) as response:
        return response.status, await response.json()


async def get(outside: MountedWorld, path: str) -> tuple[int, Any]:
    """Status and body of a read."""
    async with outside.http.get(ROOT + path, headers=AUTH) as response:
        return response.status, await response.json()


async def call(outside: MountedWorld, to: str = TO, twiml: str = SAY, **form: str) -> str:
    """Place a call; its sid."""
    status, body = await post(outside, "/Calls.json", To=to, From=NUMBER, Twiml=twiml, **form)
    assert status == 201, body
    return str(body["sid"])


async def status_of(outside: MountedWorld, sid: str) -> str:
    """Of a call."""
    return str((await get(outside, f"/Calls/{sid}.json"))[1]["status"])


def form(**changes: str | None) -> dict[str, str]:
    """A good call, with these fields changed; None takes one away."""
    made: dict[str, str | None] = {"To": TO, "From": NUMBER, "Twiml": SAY}
    return {name: value for name, value in (made | changes).items() if value is not None}


def sms(**changes: str | None) -> dict[str, str]:
    """A good text message."""
    made: dict[str, str | None] = {"To": TO, "From": NUMBER, "Body": "SEV1: clerk is down"}
    return {name: value for name, value in (made | changes).items() if value is not None}


GATHER = '<Response><Gather numDigits="1" action="https://example.com/x?a=1&amp;b=2"><Say>Press 1</Say></Gather></Response>'
GOOD = {
    "a call": ("/Calls.json", form()),
    "a timeout": ("/Calls.json", form(Timeout="600")),
    "detection of mailboxes": ("/Calls.json", form(MachineDetection="DetectMessageEnd")),
    "the longest document": ("/Calls.json", form(Twiml=SAY.replace("SEV1", "x" * (4000 - len(SAY) + 4)))),
    "a document that listens": ("/Calls.json", form(Twiml=GATHER)),
    "a pause and a hangup": ("/Calls.json", form(Twiml='<Response><Pause length="2"/><Hangup/></Response>')),
    "an empty document": ("/Calls.json", form(Twiml="<Response/>")),
    "a short foreign number": ("/Calls.json", form(To="+4930123456")),
    "a status callback": ("/Calls.json", form(StatusCallback="https://example.com/", StatusCallbackEvent="completed")),
    "a text message": ("/Messages.json", sms()),
    "the longest text message": ("/Messages.json", sms(Body="x" * 1600)),
}


@pytest.mark.parametrize(("path", "params"), GOOD.values(), ids=GOOD)
async def test_what_it_takes(outside: MountedWorld, path: str, params: dict[str, str]) -> None:
    """201, queued, with a sid of the right shape; the ledger has it."""
    status, body = await post(outside, path, **params)
    assert (status, body["status"], body["to"], body["from"]) == (201, "queued", params["To"], NUMBER)
    prefix = "CA" if path == "/Calls.json" else "SM"
    assert body["sid"].startswith(prefix)
    assert len(body["sid"]) == 34
    assert body["uri"] == f"/2010-04-01/Accounts/{ACCOUNT_SID}{path.removesuffix('.json')}/{body['sid']}.json"
    [entry] = outside.world.twilio.ledger
    assert (entry.at, entry.key, entry.accepted, entry.reference) == (BEGAN_AT, params["To"], True, body["sid"])


BAD = {
    "nobody to call": ("/Calls.json", form(To=None), 21201),
    "a number with spaces": ("/Calls.json", form(To="+1 555 555 0101"), 21211),
    "a number without +": ("/Calls.json", form(To="15555550101"), 21211),
    "a number that begins with 0": ("/Calls.json", form(To="+0555555010"), 21211),
    "a number that is too long": ("/Calls.json", form(To="+1234567890123456"), 21211),
    "a placeholder": ("/Calls.json", form(To="+1-XXX-XXX-XXXX"), 21211),
    "nobody who calls": ("/Calls.json", form(From=None), 21213),
    "a caller that is no number": ("/Calls.json", form(From="Muster"), 21212),
    "a caller that is somebody else": ("/Calls.json", form(From="+15555550199"), 21210),
    "nothing to say": ("/Calls.json", form(Twiml=None), 21205),
    "broken XML": ("/Calls.json", form(Twiml="<Response><Say>a & b</Say></Response>"), 12100),
    "XML that does not end": ("/Calls.json", form(Twiml="<Response><Say>"), 12100),
    "another root": ("/Calls.json", form(Twiml="<Say>x</Say>"), 12100),
    "entities": ("/Calls.json", form(Twiml='<!DOCTYPE a [<!ENTITY b "c">]><Response><Say>&b;</Say></Response>'), 12100),
    "a document that is too long": ("/Calls.json", form(Twiml=SAY.replace("SEV1", "x" * 4000)), 12100),
    "a verb that there is not": ("/Calls.json", form(Twiml="<Response><Shout>x</Shout></Response>"), 12100),
    "keys that go nowhere": ("/Calls.json", form(Twiml='<Response><Gather action="/x"/></Response>'), 12100),
    "a timeout that is too long": ("/Calls.json", form(Timeout="601"), 20001),
    "a timeout that is a word": ("/Calls.json", form(Timeout="long"), 20001),
    "another detection": ("/Calls.json", form(MachineDetection="yes"), 20001),
    "nobody to text": ("/Messages.json", sms(To=None), 21604),
    "a text to no number": ("/Messages.json", sms(To="5555550101"), 21211),
    "a text from nobody": ("/Messages.json", sms(From=None), 21603),
    "a text from a word": ("/Messages.json", sms(From="Muster"), 21212),
    "a text from somebody else": ("/Messages.json", sms(From="+15555550199"), 21659),
    "an empty text": ("/Messages.json", sms(Body=""), 21602),
    "a text that is too long": ("/Messages.json", sms(Body="x" * 1601), 21617),
}


@pytest.mark.parametrize(("path", "params", "code"), BAD.values(), ids=BAD)
async def test_what_it_refuses(outside: MountedWorld, path: str, params: dict[str, str], code: int) -> None:
    """400 in Twilio's shape with its code; nobody is called or texted, and the ledger says that it was refused."""
    status, body = await post(outside, path, **params)
    assert (status, body["status"], body["code"]) == (400, 400, code)
    assert body.keys() == {"code", "message", "more_info", "status"}
    assert (outside.world.twilio.calls, outside.world.twilio.messages) == ({}, {})
    assert [(row.accepted, row.note) for row in outside.world.twilio.ledger] == [(False, str(code))]


async def test_who_may_ask_and_how(outside: MountedWorld) -> None:
    """Without or with a wrong secret 401, JSON instead of a form 400, another account or an unknown sid 404."""
    for headers in ({}, basic(password="wrong"), basic(user="AC" + "0" * 32), {"Authorization": f"Bearer {AUTH_TOKEN}"}):
        assert (await post(outside, "/Calls.json", headers, **form()))[0] == 401
    async with outside.http.post(f"{ROOT}/Calls.json", json=form(), headers=AUTH) as response:
        assert response.status == 400
    async with outside.http.get("/twilio/2010-04-01/Accounts/ACother/Calls.json", headers=AUTH) as response:
        assert response.status == 404
    for path in ("/Calls/CAnone.json", "/Messages/SMnone.json", "/Calls/CAnone", "/Recordings.json"):
        assert (await get(outside, path))[0] == 404
    assert outside.world.twilio.calls == {}


async def test_a_call_that_nobody_takes(outside: MountedWorld) -> None:
    """Queued, ringing, and after 40 s of the sandbox's time no answer; then nothing changes any more."""
    sid = await call(outside, Timeout="60")
    assert await status_of(outside, sid) == "queued"
    outside.clock.advance(1)
    assert await status_of(outside, sid) == "ringing"
    outside.clock.advance(39)
    assert await status_of(outside, sid) == "ringing"
    outside.clock.advance(1)
    _, body = await get(outside, f"/Calls/{sid}.json")
    assert (body["status"], body["duration"], body["answered_by"]) == ("no-answer", "0", None)
    assert body["start_time"] == "Fri, 15 Jan 2027 08:00:00 +0000"
    assert body["end_time"] == "Fri, 15 Jan 2027 08:00:40 +0000"
    with pytest.raises(UserError):
        outside.world.twilio.answer(sid)


async def test_a_short_timeout_ends_the_ringing(outside: MountedWorld) -> None:
    """``Timeout`` counts when it is shorter than what the network allows."""
    sid = await call(outside, Timeout="10")
    outside.clock.advance(11)
    assert await status_of(outside, sid) == "no-answer"


@pytest.mark.parametrize(
    ("behaviour", "status", "answered_by"),
    [
        ("answers", "completed", "human"),
        ("busy", "busy", None),
        ("no_answer", "no-answer", None),
        ("voicemail", "completed", "machine_start"),
        ("failed", "failed", None),
    ],
)
async def test_what_happens_at_a_number(
    outside: MountedWorld, behaviour: Behaviour, status: str, answered_by: str | None
) -> None:
    """An hour later it is over, by itself, as it would be after an hour of waiting."""
    outside.world.twilio.behave(TO, behaviour)
    sid = await call(outside, MachineDetection="Enable")
    outside.clock.advance(3600)
    await outside.until(lambda: outside.world.twilio.calls[sid].is_over)
    _, body = await get(outside, f"/Calls/{sid}.json")
    assert (body["status"], body["answered_by"]) == (status, answered_by)
    ended_at = outside.world.twilio.calls[sid].ended_at
    assert ended_at is not None
    assert ended_at < BEGAN_AT + 60


@pytest.mark.parametrize(("behaviour", "code"), [("invalid", 21211), ("unreachable", 21214)])
async def test_numbers_that_are_refused(outside: MountedWorld, behaviour: Behaviour, code: int) -> None:
    """At once, for calls and for text messages, and only those numbers."""
    outside.world.twilio.behave(TO, behaviour)
    assert (await post(outside, "/Calls.json", **form()))[1]["code"] == code
    assert (await post(outside, "/Messages.json", **sms()))[1]["code"] == code
    assert (await post(outside, "/Calls.json", **form(To="+15555550102")))[0] == 201


async def test_more_than_one_call_a_second_waits_its_turn(outside: MountedWorld) -> None:
    """All three are taken; they ring a second apart."""
    sids = [await call(outside, to=f"+1555555010{number}") for number in (1, 2, 3)]
    ringing = []
    for _ in range(3):
        outside.clock.advance(1)
        ringing.append(sum([await status_of(outside, sid) == "ringing" for sid in sids]))
    assert ringing == [1, 2, 3]


async def test_a_call_is_given_up_and_hung_up(outside: MountedWorld) -> None:
    """Canceled while it rings, completed while somebody talks, and not changed once it is over."""
    rings, talks = await call(outside), await call(outside, to="+15555550102")
    outside.clock.advance(3)
    outside.world.twilio.answer(talks)
    assert (await post(outside, f"/Calls/{talks}.json", Status="canceled"))[1]["code"] == 21220
    assert (await post(outside, f"/Calls/{talks}.json", Status="sleeping"))[0] == 400
    assert (await post(outside, f"/Calls/{rings}.json", Status="canceled"))[1]["status"] == "canceled"
    assert (await post(outside, f"/Calls/{talks}.json", Status="completed"))[1]["status"] == "completed"
    assert (await post(outside, f"/Calls/{rings}.json", Status="completed"))[1]["code"] == 21220


async def test_calls_and_texts_are_found_again(outside: MountedWorld) -> None:
    """By number, by time (a day or a moment), newest first, page by page."""
    first = await call(outside)
    outside.clock.advance(3600)
    later = [await call(outside), await call(outside), await call(outside, to="+15555550102")]
    queued = await get(outside, "/Calls.json?Status=queued")
    assert len(queued[1]["calls"]) == 3
    assert len((await get(outside, "/Calls.json?StartTime>=2027-01-15"))[1]["calls"]) == 1  # what has not begun has no time
    outside.clock.advance(5)
    listed = [one["sid"] for one in (await get(outside, f"/Calls.json?To=%2B{TO[1:]}"))[1]["calls"]]
    assert listed == [later[1], later[0], first]
    since = "StartTime>=2027-01-15T08:30:00Z"
    assert [one["sid"] for one in (await get(outside, f"/Calls.json?To=%2B{TO[1:]}&{since}"))[1]["calls"]] == listed[:2]
    assert (await get(outside, "/Calls.json?StartTime>=2027-01-16"))[1]["calls"] == []
    assert len((await get(outside, "/Calls.json?StartTime=2027-01-15"))[1]["calls"]) == 4
    assert len((await get(outside, "/Calls.json?StartTime<=2027-01-15"))[1]["calls"]) == 4
    assert (await get(outside, "/Calls.json?StartTime>=soon"))[0] == 400
    assert (await get(outside, "/Calls.json?Status=sleeping"))[0] == 400

    _, page = await get(outside, "/Calls.json?PageSize=3")
    assert (len(page["calls"]), page["page"], page["previous_page_uri"]) == (3, 0, None)
    async with outside.http.get("/twilio" + page["next_page_uri"], headers=AUTH) as response:
        last = await response.json()
    assert ([one["sid"] for one in last["calls"]], last["next_page_uri"]) == ([first], None)

    await post(outside, "/Messages.json", **sms())
    outside.clock.advance(86400)
    await post(outside, "/Messages.json", **sms(Body="the next day"))
    assert (await get(outside, "/Messages.json?DateSent>=2027-01-16"))[1]["messages"] == []
    outside.clock.advance(1)
    _, found = await get(outside, f"/Messages.json?To=%2B{TO[1:]}&DateSent>=2027-01-16")
    assert [one["body"] for one in found["messages"]] == ["the next day"]


async def test_the_life_of_a_text_message(outside: MountedWorld) -> None:
    """Queued, sent, delivered; a dead handset is told later, with Twilio's code."""
    outside.world.twilio.behave("+15555550102", "failed")
    _, good = await post(outside, "/Messages.json", **sms(Body="x" * 161))
    _, dead = await post(outside, "/Messages.json", **sms(To="+15555550102"))
    assert good["num_segments"] == "2"
    seen = []
    for _ in range(3):
        seen.append((await get(outside, f"/Messages/{good['sid']}.json"))[1]["status"])
        outside.clock.advance(1)
    assert seen == ["queued", "sent", "delivered"]
    _, told = await get(outside, f"/Messages/{dead['sid']}.json")
    assert (told["status"], told["error_code"]) == ("undelivered", 30003)


async def test_planted_faults(outside: MountedWorld) -> None:
    """Refused ones call nobody; after a lost answer the call is there and can be found."""
    twilio = outside.world.twilio
    for kind, status, code in (("429", 429, 20429), ("500", 500, 20500)):
        twilio.fail_next(kind)  # type: ignore[arg-type]
        answered, body = await post(outside, "/Calls.json", **form())
        assert (answered, body["code"]) == (status, code)
    assert twilio.calls == {}
    twilio.fail_next("reset_after_accept")
    with pytest.raises(aiohttp.ClientError):
        await post(outside, "/Calls.json", **form())
    twilio.fail_next("hang_after_accept")
    hanging = asyncio.create_task(post(outside, "/Calls.json", **form()))
    await outside.until(lambda: len(twilio.calls) == 2)
    assert not (await asyncio.wait([hanging], timeout=0.05))[0]
    hanging.cancel()
    _, found = await get(outside, f"/Calls.json?To=%2B{TO[1:]}")
    assert len(found["calls"]) == len(twilio.calls) == 2
    assert [(row.accepted, row.note) for row in twilio.ledger] == [
        (False, "20429"),
        (False, "20500"),
        (True, "reset_after_accept"),
        (True, "hang_after_accept"),
    ]


@pytest.mark.parametrize(
    ("option", "status"), [("rate_limited", 429), ("error", 500), ("token_revoked", 401), ("all_busy", 201), ("ok", 201)]
)
async def test_the_switch(outside: MountedWorld, option: str, status: int) -> None:
    """What the page can break."""
    outside.world.set("telephone", option)
    assert (await post(outside, "/Calls.json", **form()))[0] == status
    outside.clock.advance(5)
    assert [one.status for one in outside.world.twilio.ringing()] == ([] if option != "ok" else ["ringing"])


async def test_trouble_by_chance(outside: MountedWorld) -> None:
    """About as often as asked, and over when the faults are cleared."""
    outside.world.twilio.misbehave(random.Random(3), p_500=0.5)  # noqa: S311 - the same in each run
    seen = [(await post(outside, "/Messages.json", **sms()))[0] for _ in range(40)]
    assert 10 < seen.count(500) < 30
    outside.world.clear_faults()
    assert (await post(outside, "/Messages.json", **sms()))[0] == 201


# The person at the other end


class Action:
    """A tiny app that takes what keys lead to. ``said`` is what it answers with."""

    def __init__(self) -> None:
        self.url = ""
        self.forms: list[dict[str, str]] = []
        self.signatures: list[str] = []
        self.said = web.Response(text="<Response><Say>Thank you &amp; good luck</Say></Response>", content_type="text/xml")

    async def take(self, request: web.Request) -> web.Response:
        """Keep the form."""
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        self.signatures.append(request.headers["X-Twilio-Signature"])
        return self.said

    def twiml(self, **gather: str) -> str:
        """A call that speaks, listens and gives up."""
        extra = "".join(f' {name}="{value}"' for name, value in gather.items())
        return (
            f'<Response><Gather numDigits="1" timeout="10" action="{self.url}"{extra}><Say>Press 1 to acknowledge</Say></Gather>'
            "<Say>Goodbye</Say></Response>"
        )


@pytest.fixture
async def action() -> AsyncIterator[Action]:
    """On loopback."""
    made = Action()
    app = web.Application()
    app.router.add_post("/pages/phone/{token}", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/pages/phone/abc?x=1"
    yield made
    await runner.cleanup()


def words(outside: MountedWorld, sid: str) -> list[str]:
    """The transcript of a call."""
    return [line.text for line in outside.world.twilio.calls[sid].transcript]


async def test_pressing_a_key_is_posted_and_signed(outside: MountedWorld, action: Action) -> None:
    """The form has what Twilio sends, the signature is right by its rule, and what the app answers is spoken."""
    sid = await call(outside, twiml=action.twiml().replace("?x=1", "?x=1&amp;y=2"))
    action.url = action.url.replace("?x=1", "?x=1&y=2")
    outside.clock.advance(1)
    outside.world.twilio.answer(sid)
    assert await outside.world.twilio.press(sid, "1") is True
    [sent] = action.forms
    assert {name: sent[name] for name in ("Digits", "CallSid", "To", "From", "CallStatus", "AccountSid")} == {
        "Digits": "1",
        "CallSid": sid,
        "To": TO,
        "From": NUMBER,
        "CallStatus": "in-progress",
        "AccountSid": ACCOUNT_SID,
    }
    signed = action.url + "".join(name + sent[name] for name in sorted(sent))
    expected = base64.b64encode(hmac.new(AUTH_TOKEN.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    assert action.signatures == [expected]
    assert words(outside, sid) == [
        "It rings.",
        "The call is taken.",
        "Press 1 to acknowledge",
        "Pressed 1",
        "Thank you & good luck",
    ]
    outside.clock.advance(60)
    assert await status_of(outside, sid) == "completed"


def test_the_signature_of_twilios_own_example() -> None:
    """The example of docs/usage/security."""
    params = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309",
              "To": "+18005551212"}  # fmt: skip
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert signature("12345", url, params) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


async def test_without_a_gather_pressing_does_nothing(outside: MountedWorld, action: Action) -> None:
    """Also before the call is taken, after the listening is over, and with a key that there is not."""
    sid = await call(outside, twiml=f"<Response><Say>{'long ' * 100}</Say></Response>")
    outside.clock.advance(1)
    with pytest.raises(UserError):
        await outside.world.twilio.press(sid, "1")
    outside.world.twilio.answer(sid)
    assert await outside.world.twilio.press(sid, "1") is False
    with pytest.raises(UserError):
        await outside.world.twilio.press(sid, "x")
    assert action.forms == []


async def test_who_does_not_press_hears_the_rest(outside: MountedWorld, action: Action) -> None:
    """The listening ends after its timeout, the rest is spoken, and a key pressed then leads nowhere."""
    sid = await call(outside, twiml=action.twiml())
    outside.clock.advance(1)
    outside.world.twilio.answer(sid)
    outside.clock.advance(12)
    assert await outside.world.twilio.press(sid, "1") is False
    assert words(outside, sid)[-2:] == ["Goodbye", "Pressed 1"]
    assert action.forms == []


async def test_several_keys_are_sent_together(outside: MountedWorld, action: Action) -> None:
    """As many as asked for, or those before the key that ends them."""
    sid = await call(outside, twiml=action.twiml().replace('numDigits="1"', 'numDigits="3"'))
    outside.clock.advance(1)
    outside.world.twilio.answer(sid)
    for key in ("4", "2"):
        await outside.world.twilio.press(sid, key)
    assert action.forms == []
    await outside.world.twilio.press(sid, "#")
    assert [(sent["Digits"], sent["FinishedOnKey"]) for sent in action.forms] == [("42", "#")]


@pytest.mark.parametrize("answer", ["500", "not xml", "nobody"])
async def test_an_app_that_fails_is_an_apology(outside: MountedWorld, action: Action, answer: str) -> None:
    """Twilio's own words are spoken, and the call ends."""
    action.said = web.Response(status=500) if answer == "500" else web.Response(text="<Response>")
    twiml = action.twiml() if answer != "nobody" else action.twiml().replace(action.url, "http://127.0.0.1:1/")
    sid = await call(outside, twiml=twiml)
    outside.clock.advance(1)
    outside.world.twilio.answer(sid)
    await outside.world.twilio.press(sid, "1")
    assert words(outside, sid)[-1] == "We are sorry. An application error has occurred. Goodbye."
    outside.clock.advance(60)
    assert await status_of(outside, sid) == "completed"


async def test_somebody_presses_by_themselves(outside: MountedWorld, action: Action) -> None:
    """A number that "presses_1" takes the call and presses, also when the clock jumps far beyond."""
    outside.world.twilio.behave(TO, "presses_1")
    sid = await call(outside, twiml=action.twiml())
    outside.clock.advance(3600)
    await outside.until(lambda: action.forms)
    outside.clock.advance(60)
    await outside.until(lambda: outside.world.twilio.calls[sid].is_over)
    assert [sent["Digits"] for sent in action.forms] == ["1"]


async def test_declined_and_hung_up(outside: MountedWorld) -> None:
    """A declined call was busy, one that was hung up is completed, one that a mailbox took says so."""
    sids = [await call(outside, to=f"+1555555010{number}", MachineDetection="Enable") for number in (1, 2, 3)]
    outside.clock.advance(3)
    outside.world.twilio.decline(sids[0])
    outside.world.twilio.answer(sids[1])
    outside.world.twilio.decline(sids[1])
    outside.world.twilio.voicemail(sids[2])
    assert [await status_of(outside, sid) for sid in sids] == ["busy", "completed", "in-progress"]
    assert (await get(outside, f"/Calls/{sids[2]}.json"))[1]["answered_by"] == "machine_start"
    with pytest.raises(UserError):
        outside.world.twilio.decline("CAnone")
