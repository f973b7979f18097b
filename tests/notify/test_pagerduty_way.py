"""PagerDuty as a way to reach people."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bot.domain.errors import FencedError, PermanentError, UnknownOutcome
from bot.domain.escalation import Contact, Way
from bot.notify.pagerduty import PagerDutyWay, trigger_of
from bot.providers.pagerduty import PagerDutyEvents, PagerDutyRest
from bot.providers.table import Providers
from bot.services.ports import Accepted, Followed, Lease
from tests.notify.conftest import CONTACT, Vendor, config, summons

TAKEN = (202, {"status": "success", "dedup_key": "k"})
KEY = "muster/inc-42/g1/level-2/cto"


@pytest.fixture
async def providers(vendor: Vendor) -> AsyncIterator[Providers]:
    """Clients of the vendor."""
    async with Providers(config(vendor.url)) as made:
        yield made


@pytest.fixture
def way(providers: Providers) -> PagerDutyWay:
    """With both APIs."""
    return PagerDutyWay(providers.pagerduty_events(), providers.pagerduty_rest(), namespace="muster")


async def test_a_page_is_a_trigger_under_its_key(way: PagerDutyWay, vendor: Vendor) -> None:
    """The key is the reference; the same page always has the same one."""
    vendor.replies = [TAKEN]
    assert await way.send(summons()) == Accepted(reference=KEY)
    assert await way.send(summons(look_first=True)) == Accepted(reference=KEY)
    first, second = (request.json for request in vendor.requests)
    assert first == second
    assert (first["event_action"], first["dedup_key"]) == ("trigger", KEY)
    assert (way.way, way.follows) == (Way.PAGERDUTY, True)


def test_what_a_trigger_says() -> None:
    """What is broken and why, where the room is, and nothing else."""
    event = trigger_of(summons(title="a\nb " + "c" * 2000))
    payload = event["payload"]
    assert payload["summary"].startswith("SEV1 incident 42: a b c")
    assert len(payload["summary"]) <= 1024
    assert (payload["source"], payload["severity"]) == ("muster", "critical")
    assert payload["custom_details"] == {
        "incident": 42,
        "severity": "SEV1",
        "why": "Nobody has acknowledged for 15 min.",
        "opened_at": "2026-11-20T03:00:00+00:00",
        "drill": False,
    }
    assert event["links"] == [{"href": "https://acme.slack.com/archives/C042", "text": "The incident's room in Slack"}]
    assert "links" not in trigger_of(summons(room_url=None))


@pytest.mark.parametrize(
    ("severity", "kind", "expected"),
    [
        ("SEV1", "page", "critical"),
        ("SEV2", "page", "error"),
        ("SEV3", "page", "warning"),
        ("SEV4", "page", "info"),
        ("SEV9", "page", "critical"),
        ("SEV2", "test", "error"),
        ("SEV1", "notice", "info"),
        ("SEV1", "standby", "info"),
    ],
)
def test_severities(severity: str, kind: str, expected: str) -> None:
    """What wants no answer wakes nobody; a severity that is not known is the worst."""
    assert trigger_of(summons(severity=severity, kind=kind))["payload"]["severity"] == expected


@pytest.mark.contracts
@pytest.mark.parametrize("changes", [{}, {"room_url": None}, {"title": "ü" * 3000, "severity": "SEV4", "drill": True}])
async def test_events_are_as_pagerduty_documents_them(
    way: PagerDutyWay, vendor: Vendor, contracts: Path, changes: dict[str, Any]
) -> None:
    """Judged by PagerDuty's OpenAPI document; a field that it does not know would be lost without a word."""
    document = json.loads((contracts / "pagerduty-events-v2.openapi.json").read_text())
    request = document["paths"]["/enqueue"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = {**request, "components": document["components"]}
    vendor.replies = [TAKEN]
    asked = summons(**changes)
    accepted = await way.send(asked)
    await way.follow(accepted.reference, asked, wanted="acknowledged")
    await way.follow(accepted.reference, asked, wanted="over")
    sent = [each.json for each in vendor.requests]
    assert [event["event_action"] for event in sent] == ["trigger", "acknowledge", "resolve"]
    for event in sent:
        jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker()).validate(event)
        assert set(event) <= set(request["properties"])
        assert set(event.get("payload", {})) <= set(document["components"]["schemas"]["Payload"]["properties"])
        assert len(event["dedup_key"]) <= 255
        assert len(event.get("payload", {}).get("summary", "")) <= 1024


async def test_the_longest_key_fits(way: PagerDutyWay, vendor: Vendor) -> None:
    """PagerDuty takes 255 characters, a key of ours has at most 200."""
    vendor.replies = [TAKEN]
    assert len((await way.send(summons(key="k" * 200))).reference) == 207


async def test_a_repetition_after_an_unknown_outcome_has_the_same_key(way: PagerDutyWay, vendor: Vendor) -> None:
    """PagerDuty adds it to the alert that may be there; nobody is woken twice."""
    vendor.replies = ["reset", TAKEN]
    with pytest.raises(UnknownOutcome):
        await way.send(summons())
    await way.send(summons(look_first=True))
    assert [request.json["dedup_key"] for request in vendor.requests] == [KEY, KEY]


async def test_nothing_leaves_when_the_lease_has_run_out(way: PagerDutyWay, vendor: Vendor) -> None:
    """Another worker may have the task by now; that holds for following as well."""
    late = summons(lease=Lease(ends_at=time.monotonic() - 1))
    with pytest.raises(FencedError):
        await way.send(late)
    for wanted in ("acknowledged", "over"):
        with pytest.raises(FencedError):
            await way.follow(KEY, late, wanted=wanted)  # type: ignore[arg-type]
    assert vendor.requests == []


async def test_pagerduty_is_told_what_became_of_it(way: PagerDutyWay, vendor: Vendor) -> None:
    """As often as it is asked for; an acknowledgement told twice is one."""
    vendor.replies = [TAKEN]
    assert await way.follow(KEY, summons(), wanted="acknowledged") == Followed(state="acknowledged")
    assert await way.follow(KEY, summons(), wanted="over") == Followed(state="closed")
    assert [request.json["event_action"] for request in vendor.requests] == ["acknowledge", "resolve"]
    assert all(set(request.json) == {"routing_key", "event_action", "dedup_key"} for request in vendor.requests)


@pytest.mark.parametrize(
    ("incidents", "expected"),
    [
        ([], Followed(state="pending")),
        ([{"status": "triggered"}], Followed(state="pending")),
        (
            [{"status": "acknowledged", "acknowledgements": [{"acknowledger": {"email": "cto@example.com"}}]}],
            Followed(state="acknowledged", by="cto@example.com"),
        ),
        ([{"status": "acknowledged"}], Followed(state="acknowledged")),
        ([{"status": "resolved"}], Followed(state="closed", reason="it was resolved in PagerDuty")),
    ],
)
async def test_what_people_did_there_is_found_out(
    way: PagerDutyWay, vendor: Vendor, incidents: list[Any], expected: Followed
) -> None:
    """By the REST API, without an event."""
    vendor.replies = [(200, {"incidents": incidents})]
    assert await way.follow(KEY, summons(), wanted="open") == expected
    assert [(request.method, request.query["incident_key"]) for request in vendor.requests] == [("GET", [KEY])]


async def test_without_a_token_nothing_is_asked(providers: Providers, vendor: Vendor) -> None:
    """Nobody knows then, and nobody pretends to."""
    way = PagerDutyWay(providers.pagerduty_events(), None, namespace="muster")
    assert await way.follow(KEY, summons(), wanted="open") == Followed(state="closed")
    assert vendor.requests == []


def test_who_is_reached_that_way(way: PagerDutyWay) -> None:
    """A contact says so in the file."""
    assert way.missing(CONTACT) == ""
    assert way.missing(Contact(id="a", name="A", slack="@a")) == "pagerduty is not set to true"


async def test_a_revoked_key_is_said(way: PagerDutyWay, vendor: Vendor) -> None:
    """With the variable to look at and without the key."""
    vendor.replies = [(400, {"status": "invalid key", "errors": ["Invalid routing key"]})]
    with pytest.raises(PermanentError, match=r"“Invalid routing key”.*check PAGERDUTY_ROUTING_KEY") as caught:
        await way.send(summons())
    assert "CANARY" not in str(caught.value)
    assert "CANARY" not in repr(vars(way)) + repr(way)
    assert isinstance(vars(way)["_events"], PagerDutyEvents)
    assert isinstance(vars(way)["_rest"], PagerDutyRest)
