"""PagerDuty's two APIs against a vendor on the loopback that answers in every way there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from bot.domain.errors import MusterError, PermanentError, TemporaryError, UnknownOutcome
from bot.providers.faults import Refused, Unavailable
from bot.providers.http import guarded
from bot.providers.pagerduty import PagerDutyEvents, PagerDutyIncident, PagerDutyRest
from tests.notify.conftest import API_TOKEN, HUGE, PAGE, ROUTING_KEY, Reply, Vendor, running_vendor

TAKEN: Reply = (202, {"status": "success", "message": "Event processed", "dedup_key": "k"})


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor on the loopback."""
    async with running_vendor() as made:
        yield made


@asynccontextmanager
async def events(vendor: Vendor, **options: Any) -> AsyncIterator[PagerDutyEvents]:
    """A client that is closed at the end."""
    client = PagerDutyEvents(SecretStr(ROUTING_KEY), events_url=vendor.url, **options)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def rest(vendor: Vendor, **options: Any) -> AsyncIterator[PagerDutyRest]:
    """A client that is closed at the end."""
    client = PagerDutyRest(SecretStr(API_TOKEN), api_url=vendor.url, **options)
    try:
        yield client
    finally:
        await client.aclose()


async def test_an_event_carries_the_key_in_its_body_and_in_no_header(vendor: Vendor) -> None:
    """The Events API has no other sign-in."""
    vendor.replies = [TAKEN]
    async with events(vendor) as client:
        await client.send("acknowledge", "muster/inc-42")
    (request,) = vendor.requests
    assert (request.method, request.path) == ("POST", "/v2/enqueue")
    assert request.json == {"routing_key": ROUTING_KEY, "event_action": "acknowledge", "dedup_key": "muster/inc-42"}
    assert "authorization" not in request.headers
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("suffix", ["/v2", "/v2/", "/"])
async def test_the_address_may_have_its_version(vendor: Vendor, suffix: str) -> None:
    """Both forms of PAGERDUTY_EVENTS_URL lead to the same place."""
    vendor.replies = [TAKEN]
    client = PagerDutyEvents(SecretStr(ROUTING_KEY), events_url=vendor.url + suffix)
    await client.send("resolve", "k")
    await client.aclose()
    assert vendor.requests[0].path == "/v2/enqueue"


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ((400, {"status": "invalid key", "errors": ["Invalid routing key"]}), PermanentError, "check PAGERDUTY_ROUTING_KEY"),
        ((400, PAGE), PermanentError, "check PAGERDUTY_ROUTING_KEY"),
        ((401, {}), PermanentError, "PAGERDUTY_ROUTING_KEY"),
        ((403, {}), PermanentError, "PAGERDUTY_ROUTING_KEY"),
        ((404, {}), PermanentError, "PAGERDUTY_EVENTS_URL"),
        ((429, {}), TemporaryError, "limits the rate"),
        ((500, {}), TemporaryError, "500"),
        ((502, PAGE), TemporaryError, "502"),
        ((503, {}), TemporaryError, "503"),
        ((504, {}), TemporaryError, "504"),
        ((200, PAGE), PermanentError, "PAGERDUTY_EVENTS_URL"),
        ((202, {"status": "queued?"}), PermanentError, "is not PagerDuty"),
        ((202, HUGE), PermanentError, "PAGERDUTY_EVENTS_URL"),
        ((302, {}, {"Location": "/elsewhere"}), PermanentError, "PAGERDUTY_EVENTS_URL"),
        ("hang", UnknownOutcome, "it may have been done"),
        ("reset", UnknownOutcome, "it may have been done"),
    ],
)
async def test_every_fault_of_the_events_api(vendor: Vendor, reply: Reply, kind: type[MusterError], words: str) -> None:
    """Each is the right kind of error, says what to do, and was asked exactly once."""
    vendor.replies = [reply]
    async with events(vendor, timeout_s=1.0 if reply == "hang" else 20.0) as client:
        with pytest.raises(kind, match=words) as caught:
            await client.send("trigger", "k", {"payload": {}})
    assert len(vendor.requests) == 1
    assert "CANARY" not in str(caught.value) + repr(caught.value)


async def test_the_wait_that_was_asked_for_comes_along(vendor: Vendor) -> None:
    """Retry-After counts for 429 and for 5xx."""
    async with events(vendor) as client:
        for status in (429, 503):
            vendor.replies = [(status, {}, {"Retry-After": "9"})]
            with pytest.raises(TemporaryError) as caught:
                await client.send("trigger", "k")
            assert caught.value.retry_after_s == 9


async def test_the_words_of_a_refusal_are_told_without_the_key(vendor: Vendor) -> None:
    """They say what is wrong with an event; a vendor that repeats the secret does not make us repeat it."""
    errors = [f"routing_key {ROUTING_KEY[:5]}\u200b{ROUTING_KEY[5:]} is revoked", 7, "Length of 'summary' is too long"]
    vendor.replies = [(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})]
    async with events(vendor) as client:
        with pytest.raises(Refused) as caught:
            await client.send("trigger", "k")
    text = str(caught.value)
    assert "Event object is invalid; routing_key [redacted] is revoked; Length of 'summary' is too long" in text
    assert "CANARY" not in text


async def test_a_guard_that_says_no_lets_nothing_out(vendor: Vendor) -> None:
    """What it raises comes out as it is, and the vendor was not asked."""

    def too_late() -> None:
        raise LookupError("too late")

    vendor.replies = [TAKEN]
    async with events(vendor) as client:
        with pytest.raises(LookupError, match="too late"), guarded(too_late):
            await client.send("trigger", "k")
        assert vendor.requests == []
        with guarded(lambda: None):
            await client.send("trigger", "k")
    assert len(vendor.requests) == 1


def incident(status: str, key: str | None = "k", who: Any = None) -> dict[str, Any]:
    """One of GET /incidents."""
    acknowledgements = [{"at": "2026-11-20T03:00:00Z", "acknowledger": each} for each in who or []]
    return {"id": "Q1", "status": status, "incident_key": key, "acknowledgements": acknowledgements}


async def test_an_incident_is_found_by_its_key(vendor: Vendor) -> None:
    """With the headers that PagerDuty demands, and with everything that the answer depends on in the query."""
    first, last = {"type": "user", "email": "a@example.com"}, {"type": "user", "email": "b@example.com"}
    vendor.replies = [(200, {"incidents": [incident("acknowledged", who=[first, last])], "more": False})]
    async with rest(vendor) as client:
        assert await client.find_incident("k") == PagerDutyIncident(status="acknowledged", by="b@example.com")
    (request,) = vendor.requests
    assert (request.method, request.path) == ("GET", "/incidents")
    assert request.headers["authorization"] == f"Token token={API_TOKEN}"
    assert request.headers["accept"] == "application/vnd.pagerduty+json;version=2"
    assert request.query["incident_key"] == ["k"]
    assert request.query["statuses[]"] == ["triggered", "acknowledged", "resolved"]
    assert request.query["include[]"] == ["acknowledgers"]
    assert request.query["date_range"] == ["all"]


@pytest.mark.parametrize(
    ("incidents", "expected"),
    [
        ([], None),
        ([incident("triggered")], PagerDutyIncident(status="triggered")),
        ([incident("resolved"), incident("triggered")], PagerDutyIncident(status="triggered")),
        ([incident("resolved"), incident("acknowledged", key=None)], PagerDutyIncident(status="acknowledged")),
        ([incident("resolved")], PagerDutyIncident(status="resolved")),
        ([incident("acknowledged", key="of somebody else")], None),
        ([incident("acknowledged", who=[{"type": "service_reference"}])], PagerDutyIncident(status="acknowledged")),
        ([incident("acknowledged", who=["x", {"email": 7}])], PagerDutyIncident(status="acknowledged")),
        (["nonsense", incident("a new word")], None),
    ],
)
async def test_what_is_open_goes_before_what_is_over(
    vendor: Vendor, incidents: list[Any], expected: PagerDutyIncident | None
) -> None:
    """A key that was resolved opens a new incident; an incident of another key is not ours."""
    vendor.replies = [(200, {"incidents": incidents})]
    async with rest(vendor) as client:
        assert await client.find_incident("k") == expected


def on_call(user_id: str, level: int = 1, **user: Any) -> dict[str, Any]:
    """One of GET /oncalls."""
    return {"escalation_level": level, "user": {"id": user_id, "summary": f"Engineer {user_id}", **user}}


async def test_on_call_reads_every_page_and_tells_each_person_once(vendor: Vendor) -> None:
    """A schedule may stand in several policies, on any level of them."""
    vendor.replies = [
        (200, {"oncalls": [on_call("P1", email="p1@example.com"), on_call("P1", 3, email="p1@example.com")], "more": True}),
        (200, {"oncalls": [on_call("P2", 2, name="On-call engineer"), {"user": None}, "x"], "more": False}),
    ]
    async with rest(vendor) as client:
        assert await client.on_call(schedule="PABC123") == [("Engineer P1", "p1@example.com"), ("On-call engineer", "")]
    first, second = vendor.requests
    assert (first.path, first.query["schedule_ids[]"], first.query["earliest"]) == ("/oncalls", ["PABC123"], ["true"])
    assert (first.query["include[]"], first.query["offset"], second.query["offset"]) == (["users"], ["0"], ["100"])


async def test_on_call_of_a_policy_is_that_of_its_level(vendor: Vendor) -> None:
    """Whoever comes later in the policy is not on duty now."""
    people = [on_call("P1", 1, email="p1@example.com"), on_call("P2", 2, email="p2@example.com")]
    vendor.replies = [(200, {"oncalls": people, "more": False})]
    async with rest(vendor) as client:
        assert await client.on_call(escalation_policy="PPOLICY", level=2) == [("Engineer P2", "p2@example.com")]
    assert vendor.requests[0].query["escalation_policy_ids[]"] == ["PPOLICY"]


async def test_pages_without_end_are_left(vendor: Vendor) -> None:
    """A vendor that always has more does not hold us for ever."""
    vendor.replies = [(200, {"oncalls": [on_call("P1")], "more": True})]
    async with rest(vendor) as client:
        assert len(await client.on_call(schedule="PABC123")) == 1
    assert len(vendor.requests) == 20


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ((400, {"error": {"message": "Invalid Input Provided", "code": 2001}}), PermanentError, r"400 \(2001\)"),
        ((401, {"error": {"message": "Unauthorized", "code": 2006}}), PermanentError, "PAGERDUTY_API_TOKEN"),
        ((403, {"error": {"message": API_TOKEN, "code": API_TOKEN}}), PermanentError, "PAGERDUTY_API_TOKEN"),
        ((404, {}), PermanentError, "PAGERDUTY_API_URL"),
        ((500, {}), TemporaryError, "500"),
        ((200, PAGE), PermanentError, "PAGERDUTY_API_URL"),
        ((200, {"incidents": {}}), PermanentError, "shape"),
        ((200, []), PermanentError, "shape"),
        ((200, HUGE), PermanentError, "PAGERDUTY_API_URL"),
        ("hang", TemporaryError, "no complete answer within"),
        ("reset", TemporaryError, "the connection broke"),
    ],
)
async def test_every_fault_of_the_rest_api(vendor: Vendor, reply: Reply, kind: type[MusterError], words: str) -> None:
    """A read that is not answered can simply be tried again."""
    vendor.replies = [reply]
    async with rest(vendor, timeout_s=1.0 if reply == "hang" else 20.0) as client:
        with pytest.raises(kind, match=words) as caught:
            await client.find_incident("k")
    assert "CANARY" not in str(caught.value) + repr(caught.value)


async def test_the_rest_api_has_its_own_header_for_the_wait(vendor: Vendor) -> None:
    """`ratelimit-reset` is in seconds; it counts where Retry-After is missing."""
    vendor.replies = [(429, {"error": {"code": 2020}}, {"ratelimit-reset": "17"})]
    async with rest(vendor) as client:
        with pytest.raises(Unavailable) as caught:
            await client.find_incident("k")
    assert caught.value.retry_after_s == 17
