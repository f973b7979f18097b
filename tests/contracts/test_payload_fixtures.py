"""Payloads that Slack really sent, and odd ones that it might send, against the running bot: never a 5xx, never a traceback."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from bot.sandbox.models import APP_ID, TEAM_ID
from tests.scenarios.conftest import Stage

Json = dict[str, Any]
FORM = "application/x-www-form-urlencoded"
CLICK: Json = {
    "type": "block_actions",
    "team": {"id": TEAM_ID},
    "user": {"id": "U0DEVELOPER"},
    "channel": {"id": "C0SUPPORT"},
    "actions": [{"action_id": "tick", "value": "inc-1/confirm", "action_ts": "1.1"}],
}
FORM_SENT: Json = {
    "type": "view_submission",
    "team": {"id": TEAM_ID},
    "user": {"id": "U0DEVELOPER"},
    "view": {"id": "V1", "type": "modal", "hash": "h", "callback_id": "skip_reason", "private_metadata": "{}"},
}

ODD_INTERACTIONS: dict[str, Json] = {
    "a click without actions": {**CLICK, "actions": []},
    "a click on nothing": {**CLICK, "actions": [{}]},
    "actions that are words": {**CLICK, "actions": ["tick"]},
    "two clicks": {**CLICK, "actions": CLICK["actions"] * 2},
    "a click by nobody": {**CLICK, "user": {}},
    "a click without a user": {name: value for name, value in CLICK.items() if name != "user"},
    "a click without a place": {name: value for name, value in CLICK.items() if name != "channel"},
    "a value that is a number": {**CLICK, "actions": [{**CLICK["actions"][0], "value": 1}]},
    "a value that is an object": {**CLICK, "actions": [{**CLICK["actions"][0], "value": {"__proto__": 1}}]},
    "an option that is a word": {**CLICK, "actions": [{"action_id": "change_status", "selected_option": "resolved"}]},
    "an action_id that is a number": {**CLICK, "actions": [{"action_id": 7, "value": "inc-1"}]},
    "a form without a view": {name: value for name, value in FORM_SENT.items() if name != "view"},
    "a form of nobody": {**FORM_SENT, "user": None},
    "metadata that is no JSON": {**FORM_SENT, "view": {**FORM_SENT["view"], "private_metadata": "{"}},
    "metadata that is a list": {**FORM_SENT, "view": {**FORM_SENT["view"], "private_metadata": "[]"}},
    "metadata that is deep": {**FORM_SENT, "view": {**FORM_SENT["view"], "private_metadata": "[" * 20_000}},
    "values that are none": {**FORM_SENT, "view": {**FORM_SENT["view"], "callback_id": "declare", "state": {"values": None}}},
    "values that are a list": {**FORM_SENT, "view": {**FORM_SENT["view"], "callback_id": "declare", "state": {"values": []}}},
    "a form of another version": {**FORM_SENT, "view": {**FORM_SENT["view"], "callback_id": "vote"}},
    "a shortcut of another version": {"type": "shortcut", "team": {"id": TEAM_ID}, "user": {"id": "U1"}, "callback_id": "x"},
    "a shortcut without a team": {"type": "shortcut", "team": None, "user": None, "callback_id": "open_incident"},
    "a type that does not exist": {"type": "telepathy"},
}

BROKEN_FORMS: dict[str, bytes] = {
    "no JSON": b"payload=%7Bbroken",
    "a list": b"payload=%5B1%5D",
    "deep": b"payload=" + b"%5B" * 100_000,
    "JSON in a form": b'{"type": "block_actions"}',
    "a thousand fields": urlencode([("a", "b")] * 1_000).encode(),
}


def fixtures(contracts: Path) -> dict[str, Json]:
    """The payloads by the name of the test that they come from."""
    found: dict[str, Json] = json.loads((contracts / "slack-payload-fixtures.json").read_text("utf-8"))
    return found


def ours(payload: Json) -> Json:
    """The same payload as if it had been sent in this workspace, to this app, by somebody who is there, about an outage."""
    text = json.dumps(payload)
    told = json.loads(text.replace(str(payload.get("api_app_id") or "A111"), APP_ID))
    for name in ("team_id", "api_app_id"):
        if name in told:
            told[name] = TEAM_ID if name == "team_id" else APP_ID
    for name, value in (("team", {"id": TEAM_ID}), ("user", {"id": "U0DEVELOPER", "team_id": TEAM_ID})):
        if isinstance(told.get(name), dict):
            told[name] = {**told[name], **value}
    event = told.get("event")
    if isinstance(event, dict) and isinstance(event.get("user"), str):
        event |= {"user": "U0DEVELOPER", "text": "clerk is down"}
    return dict(told)


async def send(stage: Stage, body: bytes, content_type: str) -> tuple[int, str]:
    """Signed, as Slack sends it."""
    timestamp = str(int(time.time()))
    secret = stage.environment["SLACK_SIGNING_SECRET"].encode()
    digest = hmac.new(secret, b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": content_type,
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": f"v0={digest}",
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{stage.muster.url}/slack/events", data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.text()


async def send_payload(stage: Stage, payload: Json) -> tuple[int, str]:
    """An event as JSON, an interaction in its form field."""
    if payload.get("type") in ("event_callback", "url_verification"):
        return await send(stage, json.dumps(payload).encode(), "application/json")
    return await send(stage, urlencode({"payload": json.dumps(payload)}).encode(), FORM)


@pytest.mark.contracts
@pytest.mark.parametrize("change", [dict, ours], ids=["as they are", "as if sent here"])
async def test_what_slack_has_sent_to_others_is_taken(
    stage: Stage, contracts: Path, change: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of another workspace or of this one, known or unknown kinds: an answer, and no trace of a crash."""
    statuses = {name: (await send_payload(stage, change(payload)))[0] for name, payload in fixtures(contracts).items()}
    assert len(statuses) > 40
    assert {name: status for name, status in statuses.items() if status >= 500} == {}
    logged = capfd.readouterr()
    assert "Traceback" not in logged.out + logged.err


@pytest.mark.contracts
async def test_a_payload_of_another_workspace_does_nothing(stage: Stage, contracts: Path) -> None:
    """Signed with our secret, but not for us: no room, no call of Slack but the answers."""
    before = len(stage.sandbox.calls)
    for payload in fixtures(contracts).values():
        await send_payload(stage, payload)
    await stage.stop()
    assert stage.rooms() == []
    assert stage.sandbox.calls[before:] == []


async def test_an_odd_interaction_is_refused(
    stage: Stage, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Missing, foreign and ill-typed parts: no 5xx, no traceback, nothing done."""
    for name, payload in ODD_INTERACTIONS.items():
        status, text = await send_payload(stage, payload)
        assert status < 500, (name, text)
        logged = capfd.readouterr()
        assert "Traceback" not in logged.out + logged.err + caplog.text, name
    assert stage.rooms() == []


async def test_a_broken_form_is_refused_before_anything_reads_it(stage: Stage) -> None:
    """400, however well it is signed."""
    for name, body in BROKEN_FORMS.items():
        assert await send(stage, body, FORM) == (400, "not readable"), name


async def test_slack_proves_the_address(stage: Stage) -> None:
    """url_verification gives the challenge back as plain text."""
    body = json.dumps({"type": "url_verification", "challenge": "<b>3eZbrw</b>"}).encode()
    assert await send(stage, body, "application/json") == (200, "<b>3eZbrw</b>")
