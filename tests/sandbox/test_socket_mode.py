"""Slack's side of Socket Mode: tickets, greetings, envelopes, redelivery, goodbyes, faults; and Slack's own client over it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import SIGNING_SECRET, TOKEN, TinyBot, button, modal

APP_TOKEN = "xapp-1-A0SANDBOX-1-secret"
PATIENCE_S = 10.0
"""So long is waited for what comes; a test of what does not come sets ``sandbox.courier.timeout_s``."""
Json = dict[str, Any]


@pytest.fixture
async def sandbox(app_manifest: Json) -> AsyncIterator[Sandbox]:
    """A workspace whose app has an app-level token; failed events come again at once."""
    made = Sandbox(
        signing_secret=SIGNING_SECRET,
        bot_token=TOKEN,
        manifest=app_manifest,
        app_token=APP_TOKEN,
        retry_scale=0.0,
        ack_timeout_s=PATIENCE_S,
        ping_s=0.02,
    )
    await made.start()
    yield made
    await made.stop()


class Line:
    """A websocket of a bot that does nothing by itself."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def hear(self) -> Json:
        """The next thing said."""
        async with asyncio.timeout(PATIENCE_S):  # a timeout of aiohttp's own begins anew with each ping
            heard: Json = await self.ws.receive_json()
        return heard

    async def is_quiet(self) -> bool:
        """Whether nothing is said for a while; pings don't count."""
        try:
            async with asyncio.timeout(0.1):
                await self.ws.receive()
        except TimeoutError:
            return True
        return False

    async def is_closed(self) -> bool:
        """Whether the next thing is the end."""
        async with asyncio.timeout(PATIENCE_S):
            return (await self.ws.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

    async def answer(self, envelope: Json, payload: Json | None = None) -> None:
        """Acknowledge."""
        body: Json = {"envelope_id": envelope["envelope_id"]}
        await self.ws.send_json(body if payload is None else body | {"payload": payload})


class Lines:
    """Opens connections and holds them: aiohttp closes one that nobody refers to."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._held: list[Line] = []

    async def open(self, url: str, **options: Any) -> Line:
        """A connection, before anything was said."""
        line = Line(await self._session.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_close=0.5), **options))
        self._held.append(line)
        return line

    async def close(self) -> None:
        """Close all of them."""
        await asyncio.gather(*(line.ws.close() for line in self._held))


@pytest.fixture
async def web(sandbox: Sandbox) -> AsyncIterator[Lines]:
    """Where connections are opened from."""
    async with aiohttp.ClientSession() as session:
        lines = Lines(session)
        yield lines
        await lines.close()


async def address(sandbox: Sandbox, token: str = APP_TOKEN) -> str:
    """apps.connections.open, by Slack's own client."""
    answer = await AsyncWebClient(base_url=sandbox.slack_api_url).apps_connections_open(app_token=token)
    return str(answer["url"])


async def connect(sandbox: Sandbox, web: Lines) -> Line:
    """A connection that was greeted."""
    line = await web.open(await address(sandbox))
    assert (await line.hear())["type"] == "hello"
    return line


async def test_hello_says_how_many_there_are(sandbox: Sandbox, web: Lines) -> None:
    """The greeting has the count, the app and how long the connection is meant to live."""
    await connect(sandbox, web)
    hello = await (await web.open(await address(sandbox))).hear()
    assert hello["num_connections"] == 2
    assert hello["connection_info"]["app_id"].startswith("A")
    assert hello["debug_info"]["approximate_connection_time"] > 0
    assert len(sandbox.sockets) == 2


@pytest.mark.parametrize(("token", "error"), [("xapp-other", "invalid_auth"), (TOKEN, "not_allowed_token_type")])
async def test_only_the_app_token_opens_connections(sandbox: Sandbox, token: str, error: str) -> None:
    """Neither a made-up token nor the bot's own."""
    with pytest.raises(SlackApiError, match=error):
        await address(sandbox, token)


async def test_the_app_token_does_nothing_else(sandbox: Sandbox) -> None:
    """The bot's methods are not for it."""
    with pytest.raises(SlackApiError, match="not_allowed_token_type"):
        await AsyncWebClient(APP_TOKEN, base_url=sandbox.slack_api_url).auth_test()


async def test_a_ticket_is_good_once(sandbox: Sandbox, web: Lines) -> None:
    """The second connection with it is refused, and so is one without any."""
    url = await address(sandbox)
    await web.open(url)
    for again in (url, url.partition("?")[0]):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await web.open(again)
        assert refused.value.status == 403


async def test_the_eleventh_connection_is_turned_away(sandbox: Sandbox, web: Lines) -> None:
    """With the reason that Slack gives."""
    for _ in range(10):
        await connect(sandbox, web)
    told = await (await web.open(await address(sandbox))).hear()
    assert (told["type"], told["reason"]) == ("disconnect", "too_many_websockets")
    assert len(sandbox.sockets) == 10


async def test_pings_come(sandbox: Sandbox, web: Lines) -> None:
    """As frames of the protocol, with a text."""
    ws = (await web.open(await address(sandbox), autoping=False)).ws
    await ws.receive(timeout=PATIENCE_S)
    ping = await ws.receive(timeout=PATIENCE_S)
    assert ping.type is aiohttp.WSMsgType.PING
    assert ping.data.startswith(b"Ping from")


async def test_an_event_comes_in_an_envelope(sandbox: Sandbox, web: Lines) -> None:
    """What HTTP would have carried, whole, and nothing goes by HTTP."""
    line = await connect(sandbox, web)
    saying = asyncio.create_task(sandbox.workspace.say("developer", "support", "hello"))
    envelope = await line.hear()
    assert (envelope["type"], envelope["accepts_response_payload"]) == ("events_api", False)
    assert (envelope["retry_attempt"], envelope["retry_reason"]) == (0, "")
    assert (envelope["payload"]["type"], envelope["payload"]["event"]["text"]) == ("event_callback", "hello")
    await line.answer(envelope)
    said = await saying
    assert (said.ok, said.status, said.attempts[0].socket) == (True, 200, 1)


async def test_a_command_is_answered_in_the_acknowledgement(sandbox: Sandbox, web: Lines) -> None:
    """Its payload becomes the message that HTTP's body would have been."""
    line = await connect(sandbox, web)
    asking = asyncio.create_task(sandbox.workspace.command("developer", "support", "/incident clerk down"))
    envelope = await line.hear()
    assert (envelope["type"], envelope["accepts_response_payload"]) == ("slash_commands", True)
    assert (envelope["payload"]["command"], envelope["payload"]["text"]) == ("/incident", "clerk down")
    await line.answer(envelope, {"text": "on it"})
    asked = await asking
    assert asked.response is not None
    assert asked.response["text"] == "on it"


async def test_a_click_takes_no_payload_and_a_form_does(sandbox: Sandbox, web: Lines, bot: TinyBot) -> None:
    """A payload that is not accepted is ignored, and noted as a mistake; the errors of a form are shown."""
    client = AsyncWebClient(TOKEN, base_url=sandbox.slack_api_url)
    blocks = [{"type": "actions", "elements": [button("go")]}]
    posted = await client.chat_postMessage(channel="#support", text="x", blocks=blocks)
    line = await connect(sandbox, web)
    clicking = asyncio.create_task(sandbox.workspace.click("developer", "support", posted["ts"], "go"))
    envelope = await line.hear()
    assert (envelope["type"], envelope["accepts_response_payload"]) == ("interactive", False)
    await client.views_open(
        trigger_id=envelope["payload"]["trigger_id"],
        view=modal({"type": "input", "block_id": "b", "label": {"type": "plain_text", "text": "L"},
                    "element": {"type": "plain_text_input", "action_id": "a"}}),
    )  # fmt: skip
    await line.answer(envelope, {"text": "?"})
    assert (await clicking).ok
    assert sandbox.socket_hub.misuses == ["a payload in the answer to an envelope that takes none"]
    view = sandbox.workspace.views("developer")[-1]
    sending = asyncio.create_task(sandbox.workspace.submit_view("developer", view["id"], {"b": {"a": "v"}}))
    envelope = await line.hear()
    assert envelope["accepts_response_payload"] is True
    await line.answer(envelope, {"response_action": "errors", "errors": {"b": "no"}})
    assert (await sending).errors == {"b": "no"}


async def test_an_event_without_an_answer_comes_again_and_says_so(sandbox: Sandbox, web: Lines) -> None:
    """Four times in all, numbered, with the reason; a late answer ends nothing."""
    sandbox.courier.timeout_s, sandbox.courier.retry_scale = 0.1, 1.0
    line = await connect(sandbox, web)
    said = await sandbox.workspace.say("developer", "support", "hello")
    [delivery] = said.deliveries
    await sandbox.wait_for(lambda: len(delivery.attempts) == 2)
    await sandbox.clock.advance(61)
    await sandbox.wait_for(lambda: len(delivery.attempts) == 3)
    sandbox.courier.timeout_s = PATIENCE_S
    await sandbox.clock.advance(301)
    envelopes = [await line.hear() for _ in range(4)]
    tries = [(envelope["retry_attempt"], envelope["retry_reason"]) for envelope in envelopes]
    assert tries == [(0, ""), (1, "timeout"), (2, "timeout"), (3, "timeout")]
    assert len({envelope["envelope_id"] for envelope in envelopes}) == 4
    assert len({envelope["payload"]["event_id"] for envelope in envelopes}) == 1
    await line.answer(envelopes[0])
    await line.answer(envelopes[3])
    assert (await delivery.finished()).ok
    assert sandbox.socket_hub.late == 1


async def test_a_command_without_an_answer_is_not_sent_again(sandbox: Sandbox, web: Lines) -> None:
    """The person sees what Slack shows them."""
    sandbox.courier.timeout_s = 0.1
    line = await connect(sandbox, web)
    asked = await sandbox.workspace.command("developer", "support", "/incident")
    assert "operation_timeout" in (asked.error or "")
    assert (await line.hear())["type"] == "slash_commands"
    assert await line.is_quiet()


async def test_an_acknowledgement_counts_only_where_the_envelope_came(sandbox: Sandbox, web: Lines) -> None:
    """Given on the other connection it is nobody's."""
    first, second = await connect(sandbox, web), await connect(sandbox, web)
    sandbox.courier.timeout_s = 1.0
    saying = asyncio.create_task(sandbox.workspace.say("developer", "support", "hello"))
    envelope = await first.hear()
    sandbox.courier.timeout_s = PATIENCE_S
    await second.answer(envelope)
    again = await second.hear()
    assert again["retry_attempt"] == 1
    await second.answer(again)
    assert (await (await saying).deliveries[0].finished()).ok


async def test_connections_take_turns(sandbox: Sandbox, web: Lines) -> None:
    """Any one of them receives an envelope, no two the same."""
    lines = [await connect(sandbox, web) for _ in range(3)]
    for number in range(6):
        saying = asyncio.create_task(sandbox.workspace.say("developer", "support", f"hello {number}"))
        envelope = await lines[number % 3].hear()
        await lines[number % 3].answer(envelope)
        await saying
    assert [socket.sent for socket in sandbox.sockets] == [2, 2, 2]


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
async def test_a_refresh_says_goodbye_first(sandbox: Sandbox, web: Lines, reason: str) -> None:
    """The connection is told, still gets its share, and is closed after what it had in hand."""
    line = await connect(sandbox, web)
    await sandbox.sockets[0].refresh(reason, close_after_s=0.05)
    saying = asyncio.create_task(sandbox.workspace.say("developer", "support", "hello"))
    told, envelope = await line.hear(), await line.hear()
    assert (told["type"], told["reason"]) == ("disconnect", reason)
    await asyncio.sleep(0.06)
    await line.answer(envelope)
    assert (await saying).ok
    assert await line.is_closed()
    await sandbox.wait_for(lambda: not sandbox.sockets)


async def test_a_silent_connection_is_open_and_dead(sandbox: Sandbox, web: Lines) -> None:
    """No pings, nothing arrives, and Slack goes on sending into it."""
    sandbox.courier.timeout_s = 0.3
    line = await web.open(await address(sandbox), autoping=False)
    await line.hear()
    sandbox.sockets[0].silence()
    async with asyncio.timeout(PATIENCE_S):
        while not await line.is_quiet():
            pass  # a ping that was on its way before; they come five times as often as that looks
    asking = asyncio.create_task(sandbox.workspace.command("developer", "support", "/incident"))
    assert await line.is_quiet()
    assert "operation_timeout" in ((await asking).error or "")
    assert not line.ws.closed


async def test_a_dropped_connection_fails_what_it_had(sandbox: Sandbox, web: Lines) -> None:
    """A person sees it at once; an event goes by HTTP when no connection is left."""
    line = await connect(sandbox, web)
    asking = asyncio.create_task(sandbox.workspace.command("developer", "support", "/incident"))
    await line.hear()
    sandbox.sockets[0].drop()
    assert "dispatch_failed" in ((await asking).error or "")
    assert await line.is_closed()
    await sandbox.wait_for(lambda: not sandbox.sockets)


async def test_without_a_connection_it_goes_by_http(sandbox: Sandbox, web: Lines, bot: TinyBot) -> None:
    """Signed, as ever."""
    line = await connect(sandbox, web)
    await line.ws.close()
    await sandbox.wait_for(lambda: not sandbox.sockets)
    said = await sandbox.workspace.say("developer", "support", "hello")
    assert (said.ok, said.attempts[0].socket, len(bot.received)) == (True, None, 1)


async def test_new_connections_can_be_refused_or_left_waiting(sandbox: Sandbox, web: Lines) -> None:
    """503, no greeting, or "Socket Mode is off"."""
    hub = sandbox.socket_hub
    hub.refusing = True
    with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
        await web.open(await address(sandbox))
    hub.refusing, hub.mute = False, True
    assert await (await web.open(await address(sandbox))).is_quiet()
    hub.mute, hub.disabled = False, True
    assert (await (await web.open(await address(sandbox))).hear())["reason"] == "link_disabled"


async def test_slacks_own_client_gets_along(sandbox: Sandbox) -> None:
    """slack_sdk's Socket Mode client is greeted, hears events and commands, answers them, and comes back after a refresh."""
    client = SocketModeClient(APP_TOKEN, web_client=AsyncWebClient(base_url=sandbox.slack_api_url))
    heard: list[SocketModeRequest] = []

    async def listen(socket: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        heard.append(request)
        payload = {"text": "hi"} if request.type == "slash_commands" else None
        await socket.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))

    client.socket_mode_request_listeners.append(listen)
    await client.connect()
    try:
        assert (await sandbox.workspace.say("developer", "support", "hello")).ok
        assert (await sandbox.workspace.command("developer", "support", "/incident")).response is not None
        assert [request.type for request in heard] == ["events_api", "slash_commands"]
        await sandbox.sockets[0].refresh(close_after_s=5)
        await sandbox.wait_for(lambda: [socket.number for socket in sandbox.sockets] == [2], what="the new connection")
        assert (await sandbox.workspace.say("developer", "support", "hello again")).ok
        assert sandbox.socket_hub.misuses == []
    finally:
        await client.close()
        with contextlib.suppress(asyncio.CancelledError):
            await client.message_processor
