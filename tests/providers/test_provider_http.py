"""`bot.providers.http` against servers that answer in every wrong way there is."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

import bot
from bot.domain.errors import ConfigError
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.providers.http import Endpoint, ErrorDetail, ProviderHttp, guarded, parse_retry_after

SECRET = "sk_live_CANARYofTheToken"


@asynccontextmanager
async def client(base_url: str, **options: Any) -> AsyncIterator[ProviderHttp]:
    """A client of "Acme" for a test, closed at its end."""
    endpoint = Endpoint(
        name="Acme",
        base_url=base_url,
        base_url_setting="ACME_API_URL",
        token=SecretStr(SECRET),
        token_setting="ACME_TOKEN",
    )
    http = ProviderHttp(endpoint, **{"timeout_s": 20.0, **options})
    try:
        yield http
    finally:
        await http.aclose()


def answering(status: int, body: str = "{}", headers: dict[str, str] | None = None) -> Callable[..., Any]:
    """A handler that always answers the same."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers=headers, content_type="application/json")

    return handle


async def test_sends_the_token_and_asks_for_plain_bytes(serve: Any) -> None:
    """A call carries the bearer token and refuses compression."""
    seen: list[dict[str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append({name.casefold(): value for name, value in request.headers.items()})
        return web.json_response([1])

    async with client(await serve(handle)) as http:
        assert await http.get_json("things", params={"limit": 3}) == [1]
    assert seen[0]["authorization"] == f"Bearer {SECRET}"
    assert seen[0]["accept-encoding"] == "identity"


async def test_encodes_every_segment_as_one_segment(serve: Any) -> None:
    """A hostile id stays one path segment and reaches nothing else."""
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.json_response({})

    async with client(await serve(handle) + "/v1") as http:
        await http.get_json("users", "../../v1/user?teamId=x#y%2e%2e", "a b")
    assert seen == ["/v1/users/..%2F..%2Fv1%2Fuser%3FteamId%3Dx%23y%252e%252e/a%20b"]


@pytest.mark.parametrize("segment", ["", ".", ".."])
async def test_refuses_segments_that_are_dots(serve: Any, segment: str) -> None:
    """Dots, which no encoding disarms, are refused before anything is sent."""
    calls: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(request.path)
        return web.json_response({})

    async with client(await serve(handle)) as http:
        with pytest.raises(Refused):
            await http.get_json("users", segment)
    assert calls == []


@pytest.mark.parametrize(
    ("status", "code", "names"),
    [
        (301, "redirected", "ACME_API_URL"),
        (307, "redirected", "ACME_API_URL"),
        (400, "http_400", "report"),
        (401, "unauthorized", "ACME_TOKEN"),
        (402, "payment_required", "plan"),
        (403, "forbidden", "ACME_TOKEN"),
        (404, "not_found", "ACME_API_URL"),
        (409, "http_409", "report"),
        (422, "http_422", "report"),
    ],
)
async def test_refusals_say_what_to_do(serve: Any, status: int, code: str, names: str) -> None:
    """Each refusal names the provider, the status, the call and the setting to look at."""
    async with client(await serve(answering(status))) as http:
        with pytest.raises(Refused) as caught:
            await http.get_json("things")
    assert caught.value.code == code
    assert names in caught.value.remedy
    for part in ("Acme", str(status), "GET /things", caught.value.remedy):
        assert part in str(caught.value)


@pytest.mark.parametrize(("status", "reason"), [(420, "busy"), (429, "busy"), (500, "server_error"), (503, "server_error")])
async def test_what_passes_is_temporary(serve: Any, status: int, reason: str) -> None:
    """429 and 5xx are temporary, with the wait that was asked for."""
    async with client(await serve(answering(status, headers={"Retry-After": "7"}))) as http:
        with pytest.raises(Unavailable) as caught:
            await http.get_json("things")
    assert (caught.value.reason, caught.value.retry_after_s) == (reason, 7.0)


async def test_the_wait_may_stand_in_the_body(serve: Any) -> None:
    """Without a Retry-After header the vendor's own body says how long to wait."""
    handler = answering(429, json.dumps({"wait": 12}))
    async with client(await serve(handler), detail=lambda body: ErrorDetail(retry_after_s=body["wait"])) as http:
        with pytest.raises(Unavailable) as caught:
            await http.get_json("things")
    assert caught.value.retry_after_s == 12
    assert "12 s" in str(caught.value)


async def test_errors_carry_the_vendors_code_and_no_other_word_of_it(serve: Any) -> None:
    """Of an error body only plain code words are repeated, never text, and never what looks like a secret."""
    body = {"code": "form_invalid", "trace": "abc123", "message": f"you sent {SECRET}"}
    detail = lambda found: ErrorDetail(code=found["code"], trace_id=found["trace"])  # noqa: E731
    async with client(await serve(answering(422, json.dumps(body))), detail=detail) as http:
        with pytest.raises(Refused, match=r"422 \(form_invalid, trace abc123\)") as caught:
            await http.get_json("things")
        assert SECRET not in str(caught.value)
    async with client(await serve(answering(422, json.dumps({**body, "code": SECRET}))), detail=detail) as http:
        with pytest.raises(Refused) as caught:
            await http.get_json("things")
    assert SECRET not in str(caught.value)


async def test_redirects_are_not_followed(serve: Any) -> None:
    """The token does not travel to where a redirect points."""
    calls: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        calls.append(request.path)
        return web.json_response({})

    target = await serve(elsewhere)
    async with client(await serve(answering(302, headers={"Location": target}))) as http:
        with pytest.raises(Refused):
            await http.get_json("things")
    assert calls == []


@pytest.mark.parametrize(
    "body",
    ["<!doctype html><p>Sign in</p>", '{"half": [1, 2', "", "[" * 200_000, "9" * 6000, "\x00"],
    ids=["web page", "half", "empty", "200,000 deep", "number of 6,000 digits", "binary"],
)
async def test_what_is_not_json_is_said(serve: Any, body: str) -> None:
    """A 200 with something else than JSON is a clear refusal, not a crash."""
    async with client(await serve(answering(200, body))) as http:
        with pytest.raises(Refused) as caught:
            await http.get_json("things")
    assert caught.value.code == "not_json"
    assert "ACME_API_URL" in caught.value.remedy


async def test_an_endless_body_is_cut_off(serve: Any) -> None:
    """Reading stops soon after the limit, also when the reply would never end."""
    sent = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)
            sent += 65_536

    async with client(await serve(handle), max_bytes=100_000) as http:
        with pytest.raises(Refused) as caught:
            await http.get_json("things")
    assert caught.value.code == "too_large"
    assert sent < 100_000_000


async def test_a_declared_size_is_believed_at_once(serve_bytes: Any) -> None:
    """A reply that announces 100 MB is refused without reading it."""
    url = await serve_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n{")
    async with client(url) as http:
        with pytest.raises(Refused) as caught:
            await http.get_json("things")
    assert caught.value.code == "too_large"


async def test_compressed_replies_are_refused(serve_bytes: Any) -> None:
    """A gzip bomb is never unpacked."""
    url = await serve_bytes(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")
    async with client(url) as http:
        with pytest.raises(Refused) as caught:
            await http.get_json("things")
    assert caught.value.code == "encoded"


async def test_silence_ends_at_the_deadline(world: Any, world_url: str) -> None:
    """A provider that accepts and never answers costs the deadline, no more."""
    world.plant("clerk", "hang")
    async with client(world_url + "/clerk", timeout_s=0.1) as http:
        with pytest.raises(Unavailable) as caught:
            await http.get_json("v1", "sessions")
    assert caught.value.reason == "timeout"
    assert "0.1 s" in str(caught.value)


async def test_the_deadline_is_for_the_whole_call(serve: Any) -> None:
    """A reply that drips byte by byte cannot outlast the deadline, though each byte comes in time."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    async with client(await serve(drip), timeout_s=0.2) as http:
        with pytest.raises(Unavailable) as caught:
            await http.get_json("things")
    assert caught.value.reason == "timeout"


async def test_a_read_whose_connection_breaks_is_tried_once_more(world: Any, world_url: str) -> None:
    """One broken connection is invisible to a read; two are an error."""
    async with client(world_url + "/app") as http:
        world.plant("application", "drop", times=1)
        assert (await http.get_json("api", "health", "clerk"))["status"] == "healthy"
        world.plant("application", "drop")
        with pytest.raises(Unavailable) as caught:
            await http.get_json("api", "health", "clerk")
    assert caught.value.reason == "reset"
    assert len(world.ledger) == 4


async def test_half_a_reply_is_no_reply(serve_bytes: Any) -> None:
    """A body that ends before its announced length is a broken connection, not data."""
    url = await serve_bytes(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a": 1}')
    async with client(url) as http:
        with pytest.raises(Unavailable) as caught:
            await http.get_json("things")
    assert caught.value.reason == "reset"


async def test_bytes_that_are_not_http(serve_bytes: Any) -> None:
    """Another protocol on the port is a failure with a sentence."""
    async with client(await serve_bytes(b"SSH-2.0-OpenSSH_9.2\r\n")) as http:
        with pytest.raises(Unavailable):
            await http.get_json("things")


@pytest.mark.parametrize("fault", ["hang", "drop", "done_then_hang", "done_then_drop"])
async def test_a_write_without_an_answer_is_sent_once_and_unknown(world: Any, world_url: str, fault: Any) -> None:
    """Nobody can know whether an unanswered write was done, so it is not repeated and says so."""
    recorded = asyncio.Event()
    world.on_change = recorded.set
    world.plant("clerk", fault)
    timeout_s = 1.0 if "hang" in fault else 20.0  # long enough for a slow machine to have sent it
    async with client(world_url + "/clerk", timeout_s=timeout_s) as http:
        with pytest.raises(Unanswered, match="look before repeating"):
            await http.call("POST", "v1", "sessions", "sess_2demo0001", "revoke", effect=True)
    await recorded.wait()
    assert len(world.ledger) == 1


@pytest.mark.parametrize(("status", "kind"), [(500, Unavailable), (502, Unanswered), (503, Unavailable), (504, Unanswered)])
async def test_a_gateway_that_gave_up_on_a_write(serve: Any, status: int, kind: type[Exception]) -> None:
    """502 and 504 come from in front of the provider, which may have done what it was asked."""
    async with client(await serve(answering(status))) as http:
        with pytest.raises(kind):
            await http.call("POST", "things", effect=True)


async def test_nobody_listening_is_certain_also_for_a_write(unused_tcp_port: int) -> None:
    """A refused connection means that nothing was sent."""
    async with client(f"http://127.0.0.1:{unused_tcp_port}") as http:
        with pytest.raises(Unavailable) as caught:
            await http.call("POST", "things", effect=True)
    assert caught.value.reason == "refused"
    assert f"127.0.0.1:{unused_tcp_port}" in str(caught.value)


async def test_a_server_without_tls(serve: Any) -> None:
    """An https address with plain HTTP behind it is told apart from silence."""
    url = (await serve(answering(200))).replace("http://", "https://")
    async with client(url) as http:
        with pytest.raises(Unavailable) as caught:
            await http.get_json("things")
    assert caught.value.reason == "tls"


async def test_cancellation_passes(world: Any, world_url: str) -> None:
    """A cancelled call raises CancelledError, not an error of the provider."""
    world.plant("clerk", "hang")
    async with client(world_url + "/clerk") as http:
        task = asyncio.create_task(http.get_json("v1", "sessions"))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_environments_proxy_is_not_used(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY cannot send a token elsewhere."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with client(await serve(answering(200))) as http:
        assert await http.get_json("things") == {}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "127.0.0.1:80",
        "http://",
        "http://good@169.254.169.254/",
        "http://good.com\\@127.0.0.1/",
        "http://a b/",
        "http://a/\r\nX-Evil: 1",
        "http://a/?q=1",
        "http://a/#f",
        "http://a:99999/",
        "http://①②⑦.0.0.1/",
    ],
)
def test_a_base_url_that_is_not_plain_http(url: str) -> None:
    """Another scheme, a user, a query or odd characters: a configuration error that names its variable."""
    with pytest.raises(ConfigError, match="ACME_API_URL"):
        ProviderHttp(Endpoint(name="Acme", base_url=url, base_url_setting="ACME_API_URL"))


@pytest.mark.parametrize("token", ["sk_test_a\nb", "sk_test_a b", "sk_test_ä", ""])
def test_a_token_that_no_header_can_carry(token: str) -> None:
    """A token with a line break is refused early, by its variable and without its value."""
    endpoint = Endpoint(
        name="Acme", base_url="http://a", base_url_setting="U", token=SecretStr(token), token_setting="ACME_TOKEN"
    )
    with pytest.raises(ConfigError, match="ACME_TOKEN") as caught:
        ProviderHttp(endpoint)
    assert "sk_test" not in str(caught.value)


def test_retry_after_in_both_forms() -> None:
    """A number or an HTTP date, never negative; anything else says nothing."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert parse_retry_after("30") == 30.0
    assert parse_retry_after(" 1.5 ") == 1.5
    assert 25 < (parse_retry_after(soon) or 0) <= 30
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    for nothing in (None, "", "-3", "nan", "1e999", "soon", "9" * 5000, "٣"):
        assert parse_retry_after(nothing) is None


async def test_neither_logs_nor_reprs_hold_the_token(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With every logger at DEBUG no line has the token or a query, and no repr has token or body."""
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"secret": "whsec_CANARYofTheBody"})
    async with client(await serve(answering(200, body))) as http:
        reply = await http.call("GET", "things", params={"key": "QUERYCANARY"})
        shown = f"{http!r} {http.endpoint!r} {reply!r} {caplog.text}"
    assert not [canary for canary in (SECRET, "whsec_", "QUERYCANARY") if canary in shown]


def test_httpx_is_imported_in_one_place() -> None:
    """Moving to another httpx-compatible package is one import."""
    root = Path(bot.__file__).parent
    importing = re.compile(r"^\s*(?:import|from)\s+httpx", re.MULTILINE)
    importers = [path for path in root.rglob("*.py") if importing.search(path.read_text(encoding="utf-8"))]
    assert [path.relative_to(root).as_posix() for path in importers] == ["providers/http.py"]


@asynccontextmanager
async def endpoint_client(base_url: str, **changes: Any) -> AsyncIterator[ProviderHttp]:
    """A client whose endpoint differs."""
    values = {"name": "Acme", "base_url": base_url, "base_url_setting": "ACME_API_URL", "token": SecretStr(SECRET)}
    http = ProviderHttp(Endpoint(**{**values, "token_setting": "ACME_TOKEN", **changes}), timeout_s=20.0)
    try:
        yield http
    finally:
        await http.aclose()


async def test_a_call_may_carry_json_or_a_form(serve: Any) -> None:
    """Each with its content type; nothing of it is in the address."""
    seen: list[tuple[str, str, bytes]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.raw_path, request.content_type, await request.read()))
        return web.json_response({})

    async with client(await serve(handle)) as http:
        await http.call("POST", "things", json_body={"name": "ü"}, effect=True)
        await http.call("POST", "things", form={"To": "+15550100", "Text": "a b&c"}, effect=True)
    assert seen[0] == ("/things", "application/json", seen[0][2])
    assert json.loads(seen[0][2]) == {"name": "ü"}
    assert seen[1] == ("/things", "application/x-www-form-urlencoded", b"To=%2B15550100&Text=a+b%26c")


async def test_a_name_may_stand_in_a_query_several_times(serve: Any) -> None:
    """As `include[]` does."""
    seen: list[list[str]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.query.getall("include[]"))
        return web.json_response({})

    async with client(await serve(handle)) as http:
        await http.get_json("things", params={"include[]": ["a", "b"], "limit": 1})
    assert seen == [["a", "b"]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"token_prefix": "Token token="}, f"Token token={SECRET}"),
        ({"user": "AC1"}, "Basic " + base64.b64encode(f"AC1:{SECRET}".encode()).decode()),
        ({}, f"Bearer {SECRET}"),
    ],
)
async def test_ways_to_sign_in(serve: Any, changes: dict[str, str], expected: str) -> None:
    """Vendors differ; the secret is in no message and no repr whichever way it goes."""
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers["authorization"])
        return web.json_response({}, status=401)

    async with endpoint_client(await serve(handle), **changes) as http:
        with pytest.raises(Refused, match="ACME_TOKEN") as caught:
            await http.get_json("things")
        assert "CANARY" not in str(caught.value) + repr(http.endpoint)
    assert seen == [expected]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({"x-reset": "4"}, 4.0), ({"x-reset": "4", "Retry-After": "9"}, 9.0), ({}, None), ({"x-reset": "soon"}, None)],
)
async def test_a_vendor_may_have_its_own_header_for_the_wait(serve: Any, headers: dict[str, str], expected: float | None) -> None:
    """It counts where Retry-After is missing."""
    async with endpoint_client(await serve(answering(429, headers=headers)), wait_header="x-reset") as http:
        with pytest.raises(Unavailable) as caught:
            await http.get_json("things")
    assert caught.value.retry_after_s == expected


@pytest.mark.parametrize("kept", [False, True])
async def test_the_last_look_before_sending_can_stop_it(kept: bool) -> None:
    """On a new connection and on a kept one: what it raises comes out, and not a byte has left."""
    received = bytearray()
    talks: list[asyncio.Task[Any] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        while data := await reader.read(65536):
            received.extend(data)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
        writer.close()

    def stop() -> None:
        raise LookupError("too late")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    async with client(f"http://{host}:{port}") as http:
        if kept:
            with guarded(lambda: None):
                await http.call("POST", "first", effect=True)
        before = bytes(received)
        with pytest.raises(LookupError, match="too late"), guarded(stop):
            await http.call("POST", "things", json_body={}, effect=True)
        assert bytes(received) == before
        await http.call("POST", "again", effect=True)
    await asyncio.gather(*(talk for talk in talks if talk))
    assert b"POST /again" in received
    assert b"/things" not in received
    server.close()
    await server.wait_closed()
