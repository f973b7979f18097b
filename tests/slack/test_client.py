"""The back door against real servers that answer as Slack does, and as proxies and broken networks do."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.domain.errors import MusterError, PermanentError, TemporaryError, UnknownOutcome
from bot.slack.client import SlackApi, explain, make_client, make_session
from tests.slack.conftest import Answering

WRITE, READ = "chat.postMessage", "users.info"
TOKEN = "xoxb-canary-token"
TEXT = "canary-of-somebodys-text"


@pytest.fixture
def api(server: Answering, session: aiohttp.ClientSession) -> SlackApi:
    """Muster's client towards that server."""
    return SlackApi(make_client(session, token=TOKEN, base_url=server.url))


async def refused(api: SlackApi, method: str = WRITE) -> MusterError:
    """The error of a call; it repeats neither the token nor somebody's text."""
    with pytest.raises(MusterError) as error:
        await api.call(method, channel="C1", text=TEXT)
    assert TOKEN not in str(error.value)
    assert TEXT not in str(error.value)
    assert "\n" not in str(error.value)
    return error.value


# -- what is sent --------------------------------------------------------------------------------------------------


async def test_arguments_go_out_as_slack_reads_them(api: SlackApi, server: Answering) -> None:
    """A form: structures as JSON, flags in words, nothing for None; the token in the header alone."""
    answer = await api.call("conversations.create", name="inc-1", is_private=False, team_id=None, limit=5, more=["a"])
    assert answer == {"ok": True, "ts": "1.2"}
    path, form, authorization = server.asked[0]
    assert path == "/api/conversations.create"
    assert form == {"name": "inc-1", "is_private": "false", "limit": "5", "more": '["a"]'}
    assert authorization == f"Bearer {TOKEN}"


async def test_messages_and_forms_go_out_as_json(api: SlackApi, server: Answering) -> None:
    """What is long; the token in the header alone here too."""
    bodies: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.json())
        return await server.ok(request)

    server.answer = answer
    blocks = [{"type": "divider"}]
    await api.call("chat.update", channel="C1", blocks=blocks, unfurl_links=False, thread_ts=None)
    await api.call("views.open", trigger_id="1", view={"type": "modal"})
    assert bodies == [
        {"channel": "C1", "blocks": blocks, "unfurl_links": False},
        {"trigger_id": "1", "view": {"type": "modal"}},
    ]
    assert [authorization for _, _, authorization in server.asked] == [f"Bearer {TOKEN}"] * 2


async def test_a_session_is_kept_alive(server: Answering, session: aiohttp.ClientSession) -> None:
    """A new connection for every call would cost three round trips."""
    transports: set[Any] = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        transports.add(request.transport)
        return await server.ok(request)

    server.answer = answer
    api = SlackApi(make_client(session, token=TOKEN, base_url=server.url))
    for _ in range(5):
        await api.call(READ, user="U1")
    assert len(transports) == 1


# -- what comes back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [WRITE, READ])
@pytest.mark.parametrize(
    ("header", "wait_s"), [("30", 30.0), ("0", 0.0), ("soon", None), ("-1", None), ("١", None), (None, None)]
)
async def test_a_limit_says_when_to_come_back(
    api: SlackApi, server: Answering, method: str, header: str | None, wait_s: float | None
) -> None:
    """429 with Retry-After, or without a readable one: nothing happened, also for a write."""
    headers = {"Retry-After": header} if header else {}
    server.says(429, '{"ok": false, "error": "ratelimited"}', **headers)
    error = await refused(api, method)
    assert isinstance(error, TemporaryError)
    assert error.retry_after_s == wait_s


async def test_a_limit_may_come_as_an_answer(api: SlackApi, server: Answering) -> None:
    """Some methods answer 200 with the code."""
    server.refuses("ratelimited")
    assert isinstance(await refused(api), TemporaryError)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize(
    ("body", "content_type"), [('{"ok": false, "error": "internal_error"}', "application/json"), ("<h1>Oops</h1>", "text/html")]
)
async def test_a_failure_of_slack_may_have_happened(
    api: SlackApi, server: Answering, status: int, body: str, content_type: str
) -> None:
    """A read is simply asked again; of a write nobody knows."""
    server.says(status, body, content_type)
    assert isinstance(await refused(api, WRITE), UnknownOutcome)
    assert isinstance(await refused(api, READ), TemporaryError)


@pytest.mark.parametrize("code", ["internal_error", "fatal_error", "request_timeout"])
async def test_some_codes_leave_it_open(api: SlackApi, server: Answering, code: str) -> None:
    """Slack's words: some aspect of the operation may have succeeded."""
    server.refuses(code)
    assert isinstance(await refused(api, WRITE), UnknownOutcome)
    assert isinstance(await refused(api, READ), TemporaryError)


NOT_SLACK: dict[str, tuple[int, bytes, str]] = {
    "a login page": (200, b"<!doctype html><title>Sign in</title>", "text/html"),
    "broken JSON": (200, b'{"ok": tr', "application/json"),
    "text": (200, b"ok", "text/plain"),
    "a list": (200, b"[1, 2]", "application/json"),
    "a number": (200, b"7", "application/json"),
    "null": (200, b"null", "application/json"),
    "an empty body": (200, b"", "application/json"),
    "an empty object": (200, b"{}", "application/json"),
    "no UTF-8": (200, b"\xff\xfe\xff", "application/json"),
}


@pytest.mark.parametrize(("status", "body", "content_type"), NOT_SLACK.values(), ids=NOT_SLACK)
async def test_what_is_not_slack_is_said(api: SlackApi, server: Answering, status: int, body: bytes, content_type: str) -> None:
    """A proxy, a captive portal: which setting to look at, and no crash in the SDK."""
    server.says(status, body, content_type)
    for method, kind in ((WRITE, UnknownOutcome), (READ, TemporaryError)):
        error = await refused(api, method)
        assert isinstance(error, kind)
        assert "SLACK_API_URL" in str(error)


async def test_a_missing_scope_names_the_scope_and_what_to_do(api: SlackApi, server: Answering) -> None:
    """Which one, where to add it, and that the app must be installed anew."""
    server.refuses("missing_scope", needed="channels:manage", provided="chat:write")
    error = await refused(api, "conversations.create")
    assert isinstance(error, PermanentError)
    assert error.code == "missing_scope"
    for wanted in ("conversations.create", "channels:manage", "OAuth & Permissions", "reinstall"):
        assert wanted in str(error)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("invalid_auth", "SLACK_BOT_TOKEN"),
        ("not_authed", "SLACK_BOT_TOKEN"),
        ("token_revoked", "reinstall the app"),
        ("token_expired", "reinstall the app"),
        ("account_inactive", "reinstall the app"),
        ("channel_not_found", "invite Muster"),
        ("not_in_channel", "/invite"),
        ("restricted_action", "workspace admin"),
        ("something_new_in_2027", "something_new_in_2027"),
    ],
)
async def test_a_refusal_says_what_to_do(api: SlackApi, server: Answering, code: str, remedy: str) -> None:
    """In one line; the code is Slack's own, so that others can react to it."""
    server.refuses(code)
    error = await refused(api)
    assert isinstance(error, PermanentError)
    assert error.code == code
    assert remedy in str(error)


def test_the_reasons_of_invalid_blocks_are_kept_short() -> None:
    """They help whoever reads the log, and they are Slack's."""
    said = explain("invalid_blocks", {"response_metadata": {"messages": ["must be more than 0 characters"] * 50}})
    assert said.startswith("invalid_blocks: must be more")
    assert len(said) < 330


# -- the network ---------------------------------------------------------------------------------------------------


async def drop(request: web.Request) -> web.StreamResponse:
    """Close the connection without a word."""
    assert request.transport
    request.transport.abort()
    return web.Response()


async def test_a_dropped_write_is_sent_once(api: SlackApi, server: Answering) -> None:
    """The SDK would repeat it and post twice; here the worker looks first."""
    server.answer = drop
    assert isinstance(await refused(api, WRITE), UnknownOutcome)
    assert len(server.asked) == 1


async def test_a_dropped_read_is_worth_another_try(api: SlackApi, server: Answering) -> None:
    """But not by itself."""
    server.answer = drop
    assert isinstance(await refused(api, READ), TemporaryError)
    assert len(server.asked) == 1


async def test_a_kept_connection_that_dies_is_not_reused_silently(api: SlackApi, server: Answering) -> None:
    """A write on a connection that the server closes is unknown, the next one opens another."""
    await api.call(WRITE, channel="C1")
    server.answer = drop
    assert isinstance(await refused(api, WRITE), UnknownOutcome)
    server.answer = server.ok
    assert await api.call(WRITE, channel="C1")
    assert len(server.asked) == 3


async def test_a_hanging_answer_is_given_up(server: Answering) -> None:
    """After the deadline of the session; a write is unknown then."""
    released = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return await server.ok(request)

    server.answer = hang
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.05)) as session:
        api = SlackApi(make_client(session, token=TOKEN, base_url=server.url))
        assert isinstance(await refused(api, WRITE), UnknownOutcome)
        assert isinstance(await refused(api, READ), TemporaryError)
    released.set()


async def test_nobody_there_is_temporary_also_for_a_write(api: SlackApi, server: Answering) -> None:
    """No connection, nothing happened."""
    await server.stop()
    error = await refused(api, WRITE)
    assert isinstance(error, TemporaryError)
    assert "SLACK_API_URL" in str(error)


async def test_cancelling_a_call_passes(api: SlackApi, server: Answering) -> None:
    """It is no error of Slack's."""
    entered, released = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        entered.set()
        await released.wait()
        return web.Response()

    server.answer = hang
    call = asyncio.create_task(api.call(WRITE, channel="C1"))
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    released.set()


async def test_every_call_is_heard_of(server: Answering, session: aiohttp.ClientSession) -> None:
    """With its outcome and its duration, for the metrics."""
    heard: list[tuple[str, str]] = []
    api = SlackApi(
        make_client(session, token=TOKEN, base_url=server.url),
        on_call=lambda method, outcome, seconds: heard.append((method, outcome)) if seconds >= 0 else None,
    )
    await api.call(READ, user="U1")
    server.says(429, "{}", **{"Retry-After": "1"})
    await refused(api)
    server.says(500, "{}")
    await refused(api)
    await refused(api, READ)
    server.refuses("is_archived")
    await refused(api)
    assert heard == [(READ, "ok"), (WRITE, "limited"), (WRITE, "unknown"), (READ, "temporary"), (WRITE, "is_archived")]


async def test_the_session_gives_up_after_the_deadline_of_a_call() -> None:
    """Every outside call has one."""
    async with make_session() as session:
        assert session.timeout.total == 10
