"""The answer to a call on a real socket: who may give it, what it does, and what the person on the telephone hears."""

from __future__ import annotations

import base64
import hashlib
import hmac
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from redis.asyncio import Redis

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, ChangeStatus, Declaration, ReachDue, RecordPage
from bot.domain.errors import PermanentError, TemporaryError
from bot.domain.escalation import Contact
from bot.domain.facts import Origin, Status
from bot.domain.incident import Incident
from bot.domain.timers import next_moment
from bot.http.front import Front, SlackAnswer, make_front
from bot.http.phone import BODY_MAX_BYTES, LAPSED, OVER, TAKEN, THANKS, UNKNOWN, UNSAVED, PhoneDoor
from bot.notify.twilio_signature import is_genuine
from bot.services.desk import Desk
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock

AUTH_TOKEN = SecretStr("0123456789abcdef0123456789abcdef")
PUBLIC_URL = "https://muster.example.com/base"
CTO = Contact(id="cto", name="CTO", slack="@cto", phone="+15555550101")


class Roster:
    """Who is who; Slack may be away."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {"cto": "U0CTO", "on-call": "U0ONCALL"}
        self.fault: Exception | None = None

    async def find(self, rotation_id: str, incident: Incident | None = None) -> Contact:
        if rotation_id != "primary":
            raise PermanentError(f"{rotation_id} is nobody")
        return CTO

    async def slack_id(self, contact: Contact) -> str | None:
        if self.fault:
            raise self.fault
        return self.users.get(contact.id)


class Line:
    """A telephone line into a Muster with one incident, whose first level was called."""

    def __init__(self, desk: Desk, store: RedisStore, clock: MovingClock) -> None:
        self.desk = desk
        self.store = store
        self.clock = clock
        self.roster = Roster()
        self.url = ""
        self.incident_id = ""
        self.token = ""

    async def open(self, *runbook_ids: str) -> None:
        """An incident that pages "on-call" by phone."""
        declaration = Declaration(title="Clerk is down", runbook_ids=runbook_ids, origin=Origin(how="terminal"))
        self.incident_id = (await self.desk.declare(declaration, by="U1", delivery=None)).incident.id
        await self.desk.handle(self.incident_id, ReachDue(due_at=self.clock.now()), by="muster")
        self.token = f"{self.incident_id}~level-1~on-call"

    async def incident(self) -> Incident:
        """As it is now."""
        return await self.desk.get(self.incident_id)

    async def kinds(self) -> list[str]:
        """The facts so far."""
        return [entry.fact.kind for entry in await self.store.timeline(self.incident_id)]

    async def press(
        self,
        digits: str = "1",
        *,
        token: str = "",
        query: str = "",
        secret: SecretStr = AUTH_TOKEN,
        signed_url: str = "",
        headers: Mapping[str, str] | None = None,
        **fields: str,
    ) -> tuple[int, str]:
        """Twilio's request: (status, what is said, or the plain text)."""
        path = f"/pages/phone/{token or self.token}{query}"
        form = {"CallSid": "CA0123", "To": "+15555550101", "From": "+15555550100", "Digits": digits, **fields}
        signature = sign(secret, signed_url or f"{PUBLIC_URL}{path}", form)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}{path}", data=form, headers={"X-Twilio-Signature": signature, **(headers or {})}) as answer,
        ):
            return answer.status, await answer.text()


def sign(secret: SecretStr, url: str, form: Mapping[str, str]) -> str:
    """As Twilio does (its documentation, "Validating Requests")."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(secret.get_secret_value().encode(), text.encode(), hashlib.sha1).digest()).decode()


def heard(text: str) -> str:
    """What is said first."""
    said = ET.fromstring(text).iter("Say")  # noqa: S314 - our own answer
    return next(say.text or "" for say in said)


def action_of(text: str) -> str | None:
    """Where the next key goes."""
    gather = ET.fromstring(text).find("Gather")  # noqa: S314
    return None if gather is None else gather.get("action")


async def serve(phone: PhoneDoor | None) -> tuple[web.AppRunner, str]:
    """The front door with this telephone behind it."""

    async def handle(told: Mapping[str, Any], headers: Mapping[str, str]) -> SlackAnswer:
        raise AssertionError("nothing of Slack's comes here")

    async def ready() -> list[str]:
        return []

    front = Front(
        signing_secret=b"shhh",
        handle=handle,
        is_worth_handling=lambda event: False,
        ready=ready,
        metrics=lambda: b"",
        observe=lambda kind, seconds: None,
        phone=phone,
    )
    runner = web.AppRunner(make_front(front), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def line(store: RedisStore, clock: MovingClock, catalog: Catalog) -> AsyncIterator[Line]:
    """See ``Line``."""
    made = Line(Desk(store=store, clock=clock, catalog=catalog), store, clock)
    await made.open("clerk-auth-outage")
    door = PhoneDoor(public_url=PUBLIC_URL, desk=made.desk, duty=made.roster, is_genuine=partial(is_genuine, AUTH_TOKEN))
    runner, made.url = await serve(door)
    yield made
    await runner.cleanup()


# -- what a key does -----------------------------------------------------------------------------------------------------


async def test_1_acknowledges(line: Line) -> None:
    """By whoever was called, by phone; they hear it, and the call ends."""
    status, text = await line.press()
    assert (status, heard(text), action_of(text)) == (200, THANKS, None)
    incident = await line.incident()
    assert incident.acknowledged is not None
    assert (incident.acknowledged.by, incident.acknowledged_via) == ("U0ONCALL", "phone")


async def test_the_same_answer_twice_is_one_acknowledgement(line: Line) -> None:
    """Twilio repeats what it got no answer to."""
    await line.press()
    status, text = await line.press()
    assert (status, heard(text)) == (200, THANKS)
    assert (await line.kinds()).count("acknowledged") == 1


async def test_somebody_else_has_it_already(line: Line) -> None:
    """Nothing is taken from them."""
    await line.desk.handle(line.incident_id, Acknowledge(via="slack"), by="U0DEVELOPER")
    status, text = await line.press()
    assert (status, heard(text)) == (200, TAKEN)
    incident = await line.incident()
    assert incident.acknowledged is not None
    assert incident.acknowledged.by == "U0DEVELOPER"


async def test_it_is_over(line: Line) -> None:
    """Whichever key is pressed."""
    await line.desk.handle(line.incident_id, ChangeStatus(status=Status.FALSE_POSITIVE), by="U1")
    for digits in ("1", "2"):
        assert heard((await line.press(digits))[1]) == OVER
    assert "acknowledged" not in await line.kinds()


@pytest.mark.parametrize("digits", ["2", "0", "", "11", "#", "one", "１"])
async def test_another_key_changes_nothing_and_is_asked_once_more(line: Line, digits: str) -> None:
    """The second time the call ends, with where to go."""
    status, text = await line.press(digits)
    assert status == 200
    assert heard(text).startswith("Nothing was changed. Press 1")
    assert action_of(text) == f"{PUBLIC_URL}/pages/phone/{line.token}?again=1"
    status, text = await line.press(digits, query="?again=1")
    assert (status, action_of(text)) == (200, None)
    assert heard(text).startswith("Nothing was changed.")
    assert "acknowledged" not in await line.kinds()
    assert heard((await line.press("1", query="?again=1"))[1]) == THANKS


async def test_whoever_is_asked_says_that_they_are_still_on_it(line: Line) -> None:
    """The check-in's call is answered by the same key."""
    line.roster.users.clear()
    await line.press()
    incident = await line.incident()
    check_in_after_s = incident.response.check_in_after_s
    assert check_in_after_s is not None
    await line.clock.advance(check_in_after_s + 1)
    await line.desk.handle(line.incident_id, ReachDue(due_at=line.clock.now()), by="muster")
    assert "check-in" in (await line.incident()).raised
    line.token = f"{line.incident_id}~check-in~on-call"
    for _ in range(2):
        assert heard((await line.press())[1]) == THANKS
    assert (await line.kinds()).count("checked_in") == 1


async def _lapse(line: Line) -> None:
    """Whoever has it is asked, and silent for too long."""
    while (await line.incident()).acknowledged:
        due_at = next_moment(await line.incident())
        assert due_at is not None
        await line.clock.advance(max(0.0, (due_at - line.clock.now()).total_seconds()) + 1)
        await line.desk.handle(line.incident_id, ReachDue(due_at=due_at), by="muster")


async def test_one_press_of_one_call_counts_once(line: Line) -> None:
    """Twilio's signature has no time: whoever has the same bytes keeps nobody asleep with them."""
    await line.press()
    await _lapse(line)
    before = await line.kinds()
    status, text = await line.press()
    assert (status, heard(text)) == (200, LAPSED)
    assert await line.kinds() == before
    assert (await line.incident()).acknowledged is None
    assert heard((await line.press(CallSid="CA0124"))[1]) == THANKS
    assert (await line.kinds()).count("acknowledged") == 2
    await line.desk.handle(line.incident_id, ChangeStatus(status=Status.RESOLVED), by="U1")
    assert heard((await line.press())[1]) == OVER


async def test_a_press_that_is_repeated_while_somebody_else_has_it_takes_nothing(line: Line) -> None:
    """It was theirs, and is not any more."""
    await line.press()
    await _lapse(line)
    await line.desk.handle(line.incident_id, Acknowledge(via="slack"), by="U0DEVELOPER")
    assert heard((await line.press())[1]) == TAKEN
    assert (await line.kinds()).count("acknowledged") == 2


async def test_a_repeated_press_is_thanked_for_also_when_slack_has_come_back(line: Line) -> None:
    """The first time only the contact was known: it is the same person."""
    line.roster.fault = TemporaryError("Slack did not answer")
    await line.press()
    line.roster.fault = None
    assert heard((await line.press())[1]) == THANKS
    assert (await line.kinds()).count("acknowledged") == 1


# -- who it was ----------------------------------------------------------------------------------------------------------


async def test_whoever_was_called_counts_not_whoever_is_on_duty_now(line: Line) -> None:
    """The page says which user of Slack it reached."""
    page = RecordPage(
        key="level-1",
        contact_id="on-call",
        attempt=1,
        via="phone",
        name="On-call engineer",
        due_at=line.clock.now(),
        user_ids=("U0YESTERDAY",),
        reference="CA1",
    )
    await line.desk.handle(line.incident_id, page, by="muster")
    await line.press(CallSid="CA1")
    incident = await line.incident()
    assert incident.acknowledged is not None
    assert incident.acknowledged.by == "U0YESTERDAY"


async def test_without_slack_the_contact_has_it(line: Line) -> None:
    """That somebody has it matters more than who."""
    line.roster.fault = TemporaryError("Slack did not answer")
    assert heard((await line.press())[1]) == THANKS
    incident = await line.incident()
    assert incident.acknowledged is not None
    assert incident.acknowledged.by == "contact:on-call"


# -- who may not ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forgery",
    [
        {"secret": SecretStr("another")},
        {"signed_url": "https://elsewhere.example.com/pages/phone/inc-1~level-1~on-call"},
        {"headers": {"X-Twilio-Signature": ""}},
        {"headers": {"X-Twilio-Signature": "é"}},
    ],
)
async def test_a_wrong_signature_has_no_effect(line: Line, forgery: dict[str, Any]) -> None:
    """403, nothing is looked up, nothing is changed, and no secret is told."""
    before = await line.kinds()
    status, text = await line.press(**forgery)
    assert status == 403
    assert AUTH_TOKEN.get_secret_value() not in text
    assert await line.kinds() == before


async def test_the_public_address_is_what_was_signed_whatever_host_says(line: Line) -> None:
    """A Host header of somebody's choice proves nothing, and a proxy's does no harm."""
    status, _ = await line.press(headers={"Host": "elsewhere.example.com"})
    assert status == 200
    own = f"{line.url}/pages/phone/{line.token}"
    assert (await line.press(signed_url=own))[0] == 403


async def test_a_signature_is_for_one_address_and_one_form(line: Line) -> None:
    """An answer to one incident is none to another, and a 2 is no 1."""
    other = Line(line.desk, line.store, line.clock)
    first = line.token
    await other.open()
    other.url = line.url
    assert (await other.press(signed_url=f"{PUBLIC_URL}/pages/phone/{first}"))[0] == 403
    assert "acknowledged" not in await other.kinds()
    form = {"CallSid": "CA0123", "Digits": "2"}
    signature = sign(AUTH_TOKEN, f"{PUBLIC_URL}/pages/phone/{first}", form)
    async with aiohttp.ClientSession() as session:
        for body in ("CallSid=CA0123&Digits=1", "CallSid=CA0123&Digits=2&Digits=1"):
            async with session.post(
                f"{line.url}/pages/phone/{first}",
                data=body,
                headers={"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"},
            ) as answer:
                assert answer.status == 403
    assert "acknowledged" not in await line.kinds()


@pytest.mark.parametrize(
    "token",
    ["inc-99~level-1~on-call", "{id}~level-9~on-call", "{id}~level-1~cto", "{id}~level-1~nobody"],
)
async def test_an_unknown_page_is_said_to_be_one(line: Line, token: str) -> None:
    """404, with a sentence for whoever listens."""
    status, text = await line.press(token=token.format(id=line.incident_id))
    assert (status, heard(text)) == (404, UNKNOWN)
    assert "acknowledged" not in await line.kinds()


def called(line: Line, **fields: Any) -> RecordPage:
    """One call to "on-call", as it is recorded."""
    page = {"key": "level-1", "contact_id": "on-call", "attempt": 1, "via": "phone", "name": "On-call engineer"}
    return RecordPage(**{**page, "due_at": line.clock.now(), **fields})


@pytest.mark.parametrize("call", ["CA2", "", "CA1 ", "CA1:1:0", "x" * 65])
async def test_another_call_than_those_on_record_is_an_unknown_page(line: Line, call: str) -> None:
    """Whatever key is pressed in it; that of the record counts."""
    await line.desk.handle(line.incident_id, called(line, reference="CA1"), by="muster")
    for digits in ("1", "2"):
        status, text = await line.press(digits, CallSid=call)
        assert (status, heard(text)) == (404, UNKNOWN)
    assert "acknowledged" not in await line.kinds()
    assert heard((await line.press(CallSid="CA1"))[1]) == THANKS


async def test_a_call_that_is_just_being_recorded_counts(line: Line) -> None:
    """The call before it failed, and whoever answers the next one is quicker than the record; so does the earlier one."""
    await line.desk.handle(line.incident_id, called(line, reference="CA1"), by="muster")
    await line.desk.handle(
        line.incident_id, called(line, attempt=2, failure="voicemail took the call", passing=True), by="muster"
    )
    assert heard((await line.press("2", CallSid="CA1"))[1]).startswith("Nothing was changed.")
    assert heard((await line.press(CallSid="CA2"))[1]) == THANKS


@pytest.mark.parametrize("token", ["x", "a~b", "a~b~c~d", "a~b~%3Cx%3E", "~~", "a%2Fb~c~d", "a" * 300 + "~b~c"])
async def test_a_token_that_is_none_ends_at_the_door(line: Line, token: str) -> None:
    """It is looked at by nothing else."""
    assert (await line.press(token=token))[0] == 404


async def test_what_is_no_form_or_too_large_is_refused(line: Line) -> None:
    """Before its signature is looked at."""
    url = f"{line.url}/pages/phone/{line.token}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, headers, status in (
        (b"x" * (BODY_MAX_BYTES + 1), form, 413),
        (b"Digits=1", {"Content-Type": "application/json"}, 415),
        (b"Digits=\xff", form, 400),
        (b"&".join(b"a%d=1" % number for number in range(200)), form, 400),
        (b"Digits=1", {**form, "Content-Encoding": "gzip"}, 400),
        (b"Digits=1", form, 403),
    ):
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
            assert answer.status == status, body[:30]
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 405
    assert "acknowledged" not in await line.kinds()


async def test_without_a_public_address_or_a_secret_nothing_is_taken(line: Line) -> None:
    """404 with what to set."""
    runner, url = await serve(None)
    line.url = url
    status, text = await line.press()
    await runner.cleanup()
    assert status == 404
    assert "MUSTER_URL and TWILIO_AUTH_TOKEN" in text


# -- when it cannot be saved ---------------------------------------------------------------------------------------------


async def test_while_redis_is_away_nobody_is_thanked(line: Line, tmp_path: Any) -> None:
    """503, so that Twilio may repeat it, and where to go."""
    away = Redis.from_url(f"unix://{tmp_path}/none", decode_responses=True)
    unreachable = RedisStore(away, workspace_id="T1", owner="test", clock=line.clock)
    desk = Desk(store=unreachable, clock=line.clock, catalog=line.desk.catalog)
    door = PhoneDoor(public_url=PUBLIC_URL, desk=desk, duty=line.roster, is_genuine=partial(is_genuine, AUTH_TOKEN))
    runner, line.url = await serve(door)
    status, text = await line.press()
    await runner.cleanup()
    await away.aclose()
    assert (status, heard(text)) == (503, UNSAVED)
    assert "acknowledged" not in await line.kinds()
