"""Who may speak at all: signatures, replays, other workspaces, and signed requests that are not what Slack sends."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from structlog.testing import capture_logs

from bot.app import running
from bot.sandbox.models import APP_ID, TEAM_ID
from bot.settings import load_settings
from tests.scenarios.conftest import Stage
from tests.security.support import (
    FORM_TYPE,
    JSON_TYPE,
    Json,
    click_of,
    event_of,
    headers_for,
    message_of,
    one_incident,
    outage,
    post,
    send,
)

HEADER = "X-Slack-Signature"
CLOCK = "X-Slack-Request-Timestamp"


def declaring() -> bytes:
    """A slash command that would open an incident."""
    fields = {
        "command": "/incident",
        "text": "clerk down",
        "user_id": "U0DEVELOPER",
        "channel_id": "C0SUPPORT",
        "trigger_id": "1.1.a",
    }
    return urlencode({**fields, "team_id": TEAM_ID, "api_app_id": APP_ID}).encode()


def impostors(stage: Stage) -> Iterator[tuple[str, Any, Any, int]]:
    """(what, body, headers, the status that it must get)."""
    body = declaring()
    good = headers_for(stage, body, FORM_TYPE)
    yield "another body", body + b"&x=1", good, 401
    yield "unsigned", body, {"Content-Type": FORM_TYPE}, 401
    yield "unsigned ssl_check", body + b"&ssl_check=1", {"Content-Type": FORM_TYPE}, 401
    yield "ssl_check with another signature", body + b"&ssl_check=1", good, 401
    for skew_s in (-301, 310):  # the future comes nearer while this is on its way
        yield f"{skew_s} s away", body, headers_for(stage, body, FORM_TYPE, skew_s=skew_s), 401
    for value in ("abc", "", "1" * 5_000, "١٧٦٣٦٠٠٠٠٠", "-1", "1e9", good[CLOCK] + ".0", "0x1"):
        yield f"clock {value[:12]!r}", body, {**good, CLOCK: value}, 401
    for value in ("", "v0=", "v1=" + good[HEADER][3:], good[HEADER].upper(), "v0=é", "v0=" + "0" * 64, good[HEADER] + "0"):
        yield f"signature {value[:12]!r}", body, {**good, HEADER: value}, 401
    yield "two signatures", body, [*good.items(), (HEADER, good[HEADER])], 401
    yield "two clocks", body, [*good.items(), (CLOCK, good[CLOCK])], 401
    deep = b"[" * 200_000
    yield "unsigned depth", deep, {"Content-Type": JSON_TYPE}, 401
    yield "unsigned broken JSON", b'{"type":', {"Content-Type": JSON_TYPE}, 401
    yield "unsigned challenge", b'{"type":"url_verification","challenge":"x"}', {"Content-Type": JSON_TYPE}, 401
    yield "signed depth", deep, headers_for(stage, deep), 400
    yield "no UTF-8", b"\xff\xfe\xfa", headers_for(stage, b"\xff\xfe\xfa"), 400
    yield "packed", body, {**good, "Content-Encoding": "gzip"}, 400
    yield "too large", io.BytesIO(b"x" * 1_048_577), headers_for(stage, b"x" * 1_048_577), 413


async def test_an_impostor_is_refused_and_nothing_happens(stage: Stage) -> None:
    """Every forged, old, future, doubled, odd, oversized request: its status, no word of the inside, no traceback, no effect."""
    before = len(stage.sandbox.calls)
    with capture_logs() as logs:
        for what, body, headers, wanted in impostors(stage):
            status, text = await post(stage.muster.url, body, headers)
            assert status == wanted, what
            assert len(text) < 100, what
        genuine = declaring()
        stale = headers_for(stage, genuine, FORM_TYPE)
        assert (await post(stage.muster.url, genuine, {**stale, CLOCK: str(int(stale[CLOCK]) - 1)}))[0] == 401
    assert stage.rooms() == []
    assert await stage.muster.desk.active() == []
    assert stage.sandbox.calls[before:] == []
    # What is no gzip although it says so may be noticed by the server, or by the front door, whichever is first.
    assert {entry["event"] for entry in logs} - {"request_malformed"} == {"signature_refused"}
    assert [entry for entry in logs if set(entry) - {"event", "log_level", "bytes", "kind"}] == []
    assert (await post(stage.muster.url, genuine, headers_for(stage, genuine, FORM_TYPE)))[0] == 200
    await stage.room()


async def test_what_is_no_http_is_refused_without_a_traceback(
    stage: Stage, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    """TLS to a plain port, a broken request line, a header without an end, a negative length, two lengths."""
    port = stage.muster.port
    for raw in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
        b"GET /\x00secret HTTP/1.1\r\n\r\n",
        b"POST /slack/events HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /slack/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        writer.write_eof()
        try:
            answer = await asyncio.wait_for(reader.read(), timeout=20)
        except ConnectionError:  # it hung up before all was sent: what it had said by then is lost
            answer = b""
        writer.close()
        assert b"400" in answer.split(b"\r\n")[0] or answer == b"", answer
        assert b"Traceback" not in answer
    logged = capfd.readouterr()
    assert "Traceback" not in logged.out + logged.err + caplog.text
    assert "secret" not in logged.out + logged.err + caplog.text


async def test_the_same_request_counts_once_on_two_replicas_at_once(stage: Stage) -> None:
    """The identical signed bytes, five times to each of two bots on one Redis, all at the same moment."""
    async with running(load_settings(stage.environment)) as other:
        body = declaring()
        headers = headers_for(stage, body, FORM_TYPE)
        answers = await asyncio.gather(*(post(url, body, headers) for url in [stage.muster.url, other.url] * 5))
        assert {status for status, _ in answers} == {200}
        room = await stage.room()
        incident = await one_incident(stage)
        assert incident.declared_again == ()
        click = click_of("tick", f"{incident.id}/confirm", user="U0DEVELOPER", channel=room.id)
        body = urlencode({"payload": json.dumps(click)}).encode()
        headers = headers_for(stage, body, FORM_TYPE)
        await asyncio.gather(*(post(url, body, headers) for url in [stage.muster.url, other.url] * 5))
        await stage.wait(lambda: stage.workspace.dm("oncall"), "the page")
        entries = await stage.muster.store.timeline(incident.id)
        kinds = [entry.fact.kind for entry in entries]
        assert (kinds.count("incident_opened"), kinds.count("step_ticked")) == (1, 1)
        assert len(stage.rooms()) == 1
        await stage.sandbox.courier.stop()


async def test_a_form_that_was_sent_and_one_with_an_old_hash_count_once(stage: Stage) -> None:
    """The form of a run: the same view again under another hash asks for nothing a second time."""
    await stage.workspace.command("developer", "general", "/incident unauthorized access detected")
    room = await stage.room()
    await stage.click("developer", room.name, stage.card(room.name), "run_step", block_id="do:revoke")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    await stage.workspace.submit_view("developer", view["id"], {"param:user_id": {"value": "user_2demo"}})
    sent = next(one for one in stage.sandbox.deliveries if one.kind == "view_submission").payload()
    for changes in ({}, {"hash": "0.old"}, {"id": "V0CLOSED", "hash": "0.older"}):
        status, _ = await send(stage, {**sent, "view": {**sent["view"], **changes}})
        assert status == 200
    incident = await one_incident(stage)
    assert list(incident.runs) == ["r1"]
    await stage.sees(room.name, "What would happen")


STRANGERS: dict[str, Json] = {
    "another app": {"api_app_id": "A0OTHER"},
    "another workspace": {"team_id": "T0OTHER", "team": {"id": "T0OTHER"}},
    "another workspace of one organisation": {"team_id": "T0OTHER", "team": {"id": "T0OTHER"}, "enterprise_id": "E1"},
    "no workspace": {"team_id": None, "team": None, "user": {"id": "U0DEVELOPER"}},
}


async def test_what_was_sent_for_somebody_else_does_nothing(stage: Stage) -> None:
    """Signed with our secret, of another app or workspace: an event, a click, a shortcut, a form."""
    room = await outage(stage)
    before = await one_incident(stage)
    for number, (name, changes) in enumerate(STRANGERS.items()):
        click = click_of("tick", f"{before.id}/confirm", user="U0DEVELOPER", channel=room.id)
        event = event_of(message_of("auth not working", ts=f"9.{number}"), event_id=f"Ev{number}")
        shortcut = {"type": "shortcut", "callback_id": "open_incident", "trigger_id": "1.1.b", "user": {"id": "U0DEVELOPER"}}
        for payload in (
            click,
            event,
            shortcut,
            {**click, "type": "view_submission", "view": {"type": "modal", "callback_id": "declare"}},
        ):
            status, _ = await send(stage, {**payload, **changes})
            assert status == 200, name
    after = await one_incident(stage)
    assert after.version == before.version
    assert len(stage.called("views.open")) == 0


ODD: tuple[Any, ...] = (..., None, 0, 1e308, True, "", "\ud800", "\x00", [], {}, [1], {"a": {"b": 1}}, "<!channel>")


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of a payload, but for the blocks of messages, which nothing reads."""
    if above:
        yield above
    below = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in below:
        if key != "blocks":
            yield from places(item, (*above, key))


def with_odd(payload: Json, path: tuple[Any, ...], odd: Any) -> Json:
    """``payload`` with something else at one place; ``...`` takes it out."""
    changed = copy.deepcopy(payload)
    *above, last = path
    part: Any = changed
    for key in above:
        part = part[key]
    if odd is ...:
        part.pop(last)
    else:
        part[last] = odd
    return changed


@pytest.fixture
async def payloads(stage: Stage) -> list[Json]:
    """One payload of each kind that changes something, as Slack would send it after an incident was opened."""
    room = await outage(stage)
    incident = await one_incident(stage)
    skip = {"target": f"{incident.id}/logs"}
    state = {"values": {"reason": {"value": {"type": "plain_text_input", "value": "because"}}}}
    view = {
        "id": "V1",
        "hash": "1.a",
        "type": "modal",
        "callback_id": "skip_reason",
        "state": state,
        "private_metadata": json.dumps(skip),
    }
    base = click_of("tick", f"{incident.id}/confirm", user="U0DEVELOPER", channel=room.id)
    base = {name: value for name, value in base.items() if name not in ("actions", "message", "channel")}
    return [
        event_of(message_of("auth not working", ts="7.1")),
        event_of({**message_of("<@U0MUSTER> list", ts="7.2"), "type": "app_mention"}),
        event_of({"type": "member_joined_channel", "user": "U0CTO", "channel": room.id}, authorizations=[{"team_id": TEAM_ID}]),
        click_of(
            "tick",
            f"{incident.id}/confirm",
            user="U0DEVELOPER",
            channel=room.id,
            enterprise=None,
            container={"message_ts": "1.1"},
        ),
        {**base, "type": "view_submission", "view": view, "response_urls": []},
        {**base, "type": "shortcut", "callback_id": "open_incident"},
    ]


async def test_a_signed_payload_of_any_shape_is_answered(stage: Stage, payloads: list[Json]) -> None:
    """Each part of each payload missing, null, a number, half a surrogate pair, a list, an object: never a 5xx, never a crash."""
    crashed: list[str] = []
    with capture_logs() as logs:
        for payload in payloads:
            for path in places(payload):
                for odd in ODD:
                    status, _ = await send(stage, with_odd(payload, path, odd))
                    if status >= 500:
                        crashed.append(f"{payload['type']} {path} {odd!r}: {status}")
    assert "\n".join(crashed) == ""
    assert [entry for entry in logs if entry["event"] in ("request_crashed", "refused_for_now")] == []


async def test_a_challenge_of_any_kind_is_text(stage: Stage) -> None:
    """HTML, half a surrogate pair, a number, a megabyte: at most 1,000 characters of plain text."""
    for challenge in ("<script>alert(1)</script>", "\ud800", 7, None, {"a": 1}, "x" * 1_000_000):
        status, text = await send(stage, {"type": "url_verification", "token": "foreign", "challenge": challenge})
        assert status == 200
        assert len(text) <= 1_000


async def test_nobody_reloads_the_files_through_a_request(stage: Stage) -> None:
    """Four addresses, and no word, button or form about configuration: a reload is a signal to the process."""
    with socket.create_connection(("127.0.0.1", stage.muster.port)):
        pass
    for path in ("/reload", "/config", "/admin", "/-/reload", "/debug", "/alerts/x"):
        body = declaring()
        async with asyncio.timeout(20):
            status, _ = await post(f"{stage.muster.url}{path}#", body, headers_for(stage, body, FORM_TYPE))
        assert status == 404, path
    catalog = stage.muster.desk.catalog
    for words in ("reload", "/incident reload", "config reload"):
        await stage.workspace.command("cto", "support", f"/incident {words}")
    assert stage.muster.desk.catalog is catalog


async def test_a_command_may_speak_of_a_payload(stage: Stage) -> None:
    """Bolt takes any form in which that word stands for an interaction, and finds nothing in it."""
    result = await stage.workspace.command("developer", "support", "/incident webhook payload errors")
    assert result.ok, result.error
    assert result.response
    await stage.room()
