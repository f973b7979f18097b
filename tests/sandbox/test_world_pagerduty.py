"""The stand-in for PagerDuty: what it takes, what it refuses, and what becomes of a key."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import aiohttp
import pytest

from bot.domain.errors import UserError
from bot.sandbox.world.pagerduty import ACCEPT, API_TOKEN, POLICY, ROUTING_KEY, SCHEDULE
from tests.sandbox.mounted_world import BEGAN_AT, MountedWorld

EVENTS = "/pagerduty/events/v2/enqueue"
REST = {"Authorization": f"Token token={API_TOKEN}", "Accept": ACCEPT}
PAYLOAD = {"summary": "SEV1 incident 42: clerk is down", "source": "muster", "severity": "critical"}


def event(action: str = "trigger", key: str | None = "inc-42/g1/level-1/on-call", **changes: Any) -> dict[str, Any]:
    """A good event, with these fields changed; None takes one away."""
    made: dict[str, Any] = {"routing_key": ROUTING_KEY, "event_action": action, "dedup_key": key}
    if action == "trigger":
        made["payload"] = PAYLOAD
    return {name: value for name, value in (made | changes).items() if value is not None}


async def send(outside: MountedWorld, body: Any) -> tuple[int, Any]:
    """Status and body of an event."""
    async with outside.http.post(EVENTS, json=body) as response:
        return response.status, await response.json()


async def read(outside: MountedWorld, path: str, headers: dict[str, str] = REST) -> tuple[int, Any]:
    """Status and body of a read of the REST API."""
    async with outside.http.get(f"/pagerduty/api{path}", headers=headers) as response:
        return response.status, await response.json()


GOOD = {
    "a trigger": event(),
    "a trigger without a key": event(key=None),
    "the longest key": event(key="k" * 255),
    "the longest summary": event(payload={**PAYLOAD, "summary": "s" * 1024}),
    "each severity": event(payload={**PAYLOAD, "severity": "info"}),
    "details": event(payload={**PAYLOAD, "custom_details": {"free space": "1%", "load avg": 0.75}}),
    "the other words": event(payload={**PAYLOAD, "component": "login", "group": "prod", "class": "auth"}),
    "a moment": event(payload={**PAYLOAD, "timestamp": "2026-11-21T08:42:58.315+00:00"}),
    "a moment as in their example": event(payload={**PAYLOAD, "timestamp": "2015-07-17T08:42:58.315+0000"}),
    "a link": event(links=[{"href": "https://example.com/room", "text": "The room"}]),
    "a picture": event(images=[{"src": "https://example.com/chart.png", "alt": "A chart"}]),
    "a client": event(client="Muster", client_url="https://example.com/"),
    "an acknowledgement of nothing": event("acknowledge"),
    "a resolution of nothing": event("resolve"),
    "a field that nobody knows": event(extra="x"),
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
async def test_what_it_takes(outside: MountedWorld, body: dict[str, Any]) -> None:
    """202 with the key, made up when there was none."""
    status, answer = await send(outside, body)
    assert (status, answer["status"], answer["message"]) == (202, "success", "Event processed")
    assert answer["dedup_key"] == body.get("dedup_key", answer["dedup_key"]) != ""
    assert [(row.what, row.accepted, row.at) for row in outside.world.pagerduty.ledger] == [
        (body["event_action"], True, BEGAN_AT)
    ]


BAD = {
    "not an object": ([], "JSON parse error"),
    "no key": (event(routing_key=None), "'routing_key' is missing"),
    "a short key": (event(routing_key="abc"), "should be 32 characters"),
    "a key with marks": (event(routing_key="+" * 32), "non-alphanumeric"),
    "somebody else's key": (event(routing_key="e" * 32), "Invalid routing key"),
    "a key that is a number": (event(routing_key=12), "'routing_key' is missing"),
    "no action": (event(event_action=None), "event_action"),
    "another action": (event("close"), "event_action"),
    "an acknowledgement without a key": (event("acknowledge", key=None), "'dedup_key' is missing"),
    "a resolution with an empty key": (event("resolve", key=""), "'dedup_key' is missing"),
    "a long dedup key": (event(key="k" * 256), "maximum is 255"),
    "a dedup key that is a number": (event(dedup_key=42), "'dedup_key' must be a string"),
    "no payload": (event(payload=None), "'payload' is missing"),
    "a payload of text": (event(payload="x"), "'payload' is missing"),
    "no summary": (event(payload={**PAYLOAD, "summary": ""}), "payload.summary"),
    "a long summary": (event(payload={**PAYLOAD, "summary": "s" * 1025}), "maximum is 1024"),
    "no source": (event(payload={**PAYLOAD, "source": None}), "payload.source"),
    "another severity": (event(payload={**PAYLOAD, "severity": "SEV1"}), "payload.severity"),
    "details of text": (event(payload={**PAYLOAD, "custom_details": "x"}), "custom_details"),
    "a component that is a list": (event(payload={**PAYLOAD, "component": []}), "payload.component"),
    "a moment that is none": (event(payload={**PAYLOAD, "timestamp": "yesterday"}), "payload.timestamp"),
    "links that are none": (event(links={"href": "https://example.com"}), "'links' must be an array"),
    "a link without href": (event(links=[{"text": "x"}]), "'href', a URL"),
    "a link to nowhere": (event(links=[{"href": "room"}]), "'href', a URL"),
    "a picture by HTTP": (event(images=[{"src": "http://example.com/x.png"}]), "HTTPS only"),
    "a client without an address": (event(client_url="muster"), "'client_url' must be a URL"),
    "a client that is a number": (event(client=1), "'client' must be a string"),
}


@pytest.mark.parametrize(("body", "reason"), BAD.values(), ids=BAD)
async def test_what_it_refuses(outside: MountedWorld, body: Any, reason: str) -> None:
    """400 with PagerDuty's shape and the reason; nothing is opened, and the ledger says that it was refused."""
    status, answer = await send(outside, body)
    assert (status, answer.keys()) == (400, {"status", "message", "errors"})
    assert reason in " ".join(answer["errors"])
    assert outside.world.pagerduty.incidents == []
    assert [row.accepted for row in outside.world.pagerduty.ledger] == [False]


async def test_bodies_that_are_no_json(outside: MountedWorld) -> None:
    """Broken JSON and another content type are 400, more than 512 KB is 413, another path is 404."""
    for data, content_type, status in (
        (b"{", "application/json", 400),
        (json.dumps(event()).encode(), "text/plain", 400),
        (json.dumps(event(extra="x" * 600_000)).encode(), "application/json", 413),
    ):
        async with outside.http.post(EVENTS, data=data, headers={"Content-Type": content_type}) as response:
            assert response.status == status
    async with outside.http.post("/pagerduty/events/enqueue", json=event()) as response:
        assert response.status == 404
    assert outside.world.pagerduty.incidents == []


async def test_the_life_of_a_key(outside: MountedWorld) -> None:
    """A repeat wakes nobody again, an acknowledged one stays so, a resolved key opens anew, unknown keys are dropped."""
    pagerduty = outside.world.pagerduty
    for action, key, status in (
        ("acknowledge", "a", None),
        ("trigger", "a", "triggered"),
        ("trigger", "a", "triggered"),
        ("acknowledge", "a", "acknowledged"),
        ("trigger", "a", "acknowledged"),
        ("resolve", "a", "resolved"),
        ("acknowledge", "a", "resolved"),
        ("trigger", "a", "triggered"),
        ("resolve", "b", None),
    ):
        assert (await send(outside, event(action, key)))[0] == 202
        assert pagerduty.status_of(key) == status
    assert [(one.status, one.pages, one.triggers) for one in pagerduty.incidents] == [("resolved", 1, 3), ("triggered", 1, 1)]
    assert [row.reference for row in pagerduty.ledger][-1] == ""


async def test_incidents_are_read_by_key_and_status(outside: MountedWorld) -> None:
    """Filters hold, acknowledgers have their address when asked for, pages are cut."""
    for key in ("a", "b", "c"):
        await send(outside, event(key=key))
    outside.clock.advance(60)
    outside.world.pagerduty.acknowledge("b", by="lead@example.com")
    _, found = await read(
        outside, "/incidents?incident_key=b&statuses[]=triggered&statuses[]=acknowledged&include[]=acknowledgers"
    )
    [incident] = found["incidents"]
    assert (incident["incident_key"], incident["status"]) == ("b", "acknowledged")
    assert incident["acknowledgements"][0]["acknowledger"]["email"] == "lead@example.com"
    assert incident["acknowledgements"][0]["at"] == "2027-01-15T08:01:00Z"
    _, bare = await read(outside, "/incidents?incident_key=b")
    assert "email" not in bare["incidents"][0]["acknowledgements"][0]["acknowledger"]
    _, open_ones = await read(outside, "/incidents?statuses[]=triggered&limit=1")
    assert ([one["incident_key"] for one in open_ones["incidents"]], open_ones["more"]) == (["a"], True)
    assert (await read(outside, f"/incidents/{incident['id']}"))[1]["incident"]["title"] == PAYLOAD["summary"]
    assert (await read(outside, "/incidents?incident_key=zzz"))[1]["incidents"] == []


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/incidents", {"Accept": ACCEPT}, 401, 2006),
        ("/incidents", {**REST, "Authorization": f"Bearer {API_TOKEN}"}, 401, 2006),
        ("/incidents", {**REST, "Accept": "application/json"}, 400, 2001),
        ("/incidents?statuses[]=open", REST, 400, 2001),
        ("/incidents?statuses=triggered", REST, 400, 2001),
        ("/incidents?include[]=everything", REST, 400, 2001),
        ("/incidents?limit=101", REST, 400, 2001),
        ("/incidents?limit=many", REST, 400, 2001),
        ("/incidents?offset=10000", REST, 400, 2001),
        ("/incidents/QNONE", REST, 404, 2100),
        ("/users", REST, 404, 2100),
    ],
)
async def test_reads_that_it_refuses(outside: MountedWorld, path: str, headers: dict[str, str], status: int, code: int) -> None:
    """With PagerDuty's error object."""
    answered, body = await read(outside, path, headers)
    assert (answered, body["error"]["code"]) == (status, code)


async def test_who_is_on_call(outside: MountedWorld) -> None:
    """By schedule or by policy, with addresses when users are included."""
    _, primary = await read(outside, f"/oncalls?schedule_ids[]={SCHEDULE}&include[]=users&earliest=true")
    assert [(one["escalation_level"], one["user"]["email"]) for one in primary["oncalls"]] == [(1, "oncall@example.com")]
    _, everybody = await read(outside, f"/oncalls?escalation_policy_ids[]={POLICY}")
    assert [one["escalation_level"] for one in everybody["oncalls"]] == [1, 2]
    assert "email" not in everybody["oncalls"][0]["user"]
    assert (await read(outside, "/oncalls?schedule_ids[]=PNONE"))[1]["oncalls"] == []


async def test_planted_faults(outside: MountedWorld) -> None:
    """429 and 500 do nothing, a broken connection and silence come after it was done, "slow" is late and good."""
    pagerduty = outside.world.pagerduty
    pagerduty.trouble.slow_s = 0.01
    for kind, status in (("429", 429), ("500", 500)):
        pagerduty.fail_next(kind)  # type: ignore[arg-type]
        assert (await send(outside, event(key=kind)))[0] == status
        assert pagerduty.status_of(kind) is None
    pagerduty.fail_next("reset_after_accept")
    with pytest.raises(aiohttp.ClientError):
        await send(outside, event(key="reset"))
    pagerduty.fail_next("hang_after_accept")
    hanging = asyncio.create_task(send(outside, event(key="hang")))
    await outside.until(lambda: pagerduty.status_of("hang"))
    assert not (await asyncio.wait([hanging], timeout=0.05))[0]
    hanging.cancel()
    pagerduty.fail_next("slow")
    assert (await send(outside, event(key="slow")))[0] == 202
    assert [pagerduty.status_of(key) for key in ("reset", "hang", "slow")] == ["triggered"] * 3
    assert [(row.key, row.accepted, row.note) for row in pagerduty.ledger] == [
        ("429", False, "429"),
        ("500", False, "500"),
        ("reset", True, "reset_after_accept"),
        ("hang", True, "hang_after_accept"),
        ("slow", True, "slow"),
    ]


async def test_a_lasting_fault_and_the_rate_limit_of_reads(outside: MountedWorld) -> None:
    """It holds until it is taken away; a read says 429 in PagerDuty's words."""
    outside.world.pagerduty.fault = "429"
    status, body = await read(outside, "/incidents")
    assert (status, body) == (429, {"error": {"message": "Rate Limit Exceeded", "code": 2020}})
    assert (await send(outside, event()))[0] == 429
    outside.world.pagerduty.fault = None
    assert (await send(outside, event()))[0] == 202


@pytest.mark.parametrize(("option", "status"), [("rate_limited", 429), ("error", 500), ("key_revoked", 400), ("ok", 202)])
async def test_the_switch(outside: MountedWorld, option: str, status: int) -> None:
    """What the page can break."""
    outside.world.set("pagerduty", option)
    assert (await send(outside, event()))[0] == status


async def test_trouble_by_chance_is_the_same_for_the_same_seed(outside: MountedWorld) -> None:
    """Two runs of one seed fail alike, and about as often as asked."""
    pagerduty = outside.world.pagerduty

    async def run() -> list[int]:
        pagerduty.misbehave(random.Random(7), p_429=0.3, p_500=0.2)  # noqa: S311 - the same in each run
        return [(await send(outside, event(key=str(number))))[0] for number in range(60)]

    first = await run()
    assert first == await run()
    assert 10 < first.count(429) < 30
    assert first.count(500) > 3
    outside.world.clear_faults()
    assert (await send(outside, event()))[0] == 202


async def test_mistakes_of_a_test_are_errors(outside: MountedWorld) -> None:
    """A fault that there is not, and an acknowledgement of what is not open."""
    with pytest.raises(UserError):
        outside.world.pagerduty.fail_next("explode")  # type: ignore[arg-type]
    for act in (outside.world.pagerduty.acknowledge, outside.world.pagerduty.resolve):
        with pytest.raises(UserError):
            act("nothing")


async def test_who_watches_is_told(outside: MountedWorld) -> None:
    """An event is a change; a read is none."""
    outside.changed.clear()
    await read(outside, "/incidents")
    assert not outside.changed.is_set()
    await send(outside, event())
    await asyncio.wait_for(outside.changed.wait(), 10)
