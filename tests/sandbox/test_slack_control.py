"""The control API and the live stream that the page is built on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ConfigError, UserError
from bot.sandbox.feed import KEPT_EVENTS
from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import SIGNING_SECRET, TOKEN, TinyBot, actions, button, field, manifest, modal, section


async def get(browser: aiohttp.ClientSession, path: str, **query: str) -> dict[str, Any]:
    """A GET that has to succeed."""
    async with browser.get(f"/sandbox/{path}", params=query) as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


async def post(browser: aiohttp.ClientSession, path: str, body: Any, status: int = 200) -> dict[str, Any]:
    """A POST with this outcome."""
    async with browser.post(f"/sandbox/{path}", json=body) as response:
        assert response.status == status, await response.text()
        return dict(await response.json())


async def read_events(response: aiohttp.ClientResponse, count: int) -> list[tuple[int, dict[str, Any]]]:
    """So many events of a stream: (id, data). That the ledger grows is told after a moment, whatever else comes: left out."""
    events: list[tuple[int, dict[str, Any]]] = []
    number = 0
    async with asyncio.timeout(15):
        while len(events) < count:
            line = (await response.content.readline()).decode()
            if line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("data: "):
                data = json.loads(line[6:])
                events += [(number, data)] if data["type"] != "ledger" else []
    return events


async def test_the_state_is_what_this_person_sees(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    """People, channels, commands and shortcuts; a guest sees only their channels."""
    asked_at = sandbox.clock.now()
    state = await get(browser, "state", user="U0ONCALL")
    assert asked_at <= state["now"] <= sandbox.clock.now()
    assert state["me"] == "U0ONCALL"
    assert {user["real_name"] for user in state["users"]} >= {"Developer", "On-call engineer", "CTO", "Guest"}
    assert [one["name"] for one in state["channels"] if not one["is_im"]] == ["general", "support", "incidents"]
    (direct,) = [one for one in state["channels"] if one["is_im"]]
    assert direct["im_user"] == "U0MUSTER"
    assert state["commands"][0] == {"command": "/incident", "description": "Open an incident", "usage_hint": "[words]"}
    assert [one["type"] for one in state["shortcuts"]] == ["global", "message"]
    guest = await get(browser, "state", user="U0GUEST")
    assert [one["name"] for one in guest["channels"] if not one["is_im"]] == ["support"]
    assert (await get(browser, "state"))["me"] == "U0DEVELOPER"


async def test_saying_and_commanding(sandbox: Sandbox, browser: aiohttp.ClientSession, bot: TinyBot) -> None:
    """Words are a message, words after a slash a command; its answer and its failure come back."""
    said = await post(browser, "say", {"user": "U0DEVELOPER", "channel": "C0SUPPORT", "text": "hello"})
    assert (said["ok"], bool(said["ts"])) == (True, True)
    bot.replies_with({"text": "help"})
    line = {"user": "U0DEVELOPER", "channel": "C0SUPPORT", "text": "/incident help"}
    assert (await post(browser, "say", line))["response"]["text"] == "help"
    bot.replies_with(status=500)
    typed = {"user": "U0DEVELOPER", "channel": "C0SUPPORT", "command": "/incident", "text": "clerk down"}
    failed = await post(browser, "command", typed)
    assert failed == {"ok": False, "error": 'failed with the error "dispatch_failed"', "response": None}


async def test_messages_in_pages_and_threads(sandbox: Sandbox, browser: aiohttp.ClientSession, slack: AsyncWebClient) -> None:
    """Oldest first, older ones by ``before``; replies only in their thread; ephemeral ones only for their reader."""
    posted = [(await slack.chat_postMessage(channel="C0SUPPORT", text=str(one)))["ts"] for one in range(5)]
    await slack.chat_postMessage(channel="C0SUPPORT", text="reply", thread_ts=posted[0])
    await slack.chat_postEphemeral(channel="C0SUPPORT", user="U0ONCALL", text="psst")
    where = {"channel": "C0SUPPORT", "user": "U0CTO"}
    newest = await get(browser, "messages", **where, limit="2")
    assert ([one["text"] for one in newest["messages"]], newest["has_more"]) == (["3", "4"], True)
    older = await get(browser, "messages", **where, before=posted[3])
    assert ([one["text"] for one in older["messages"]], older["has_more"]) == (["0", "1", "2"], False)
    thread = await get(browser, "messages", **where, thread_ts=posted[0])
    assert [one["text"] for one in thread["messages"]] == ["0", "reply"]
    mine = await get(browser, "messages", channel="C0SUPPORT", user="U0ONCALL")
    assert (mine["messages"][-1]["text"], mine["messages"][-1]["ephemeral"]) == ("psst", True)


async def test_a_private_channel_is_closed_to_others(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    """403 with a sentence."""
    await sandbox.workspace.create_channel("cto", "board", is_private=True)
    channel = sandbox.workspace.channel("board").id
    async with browser.get("/sandbox/messages", params={"channel": channel, "user": "U0ONCALL"}) as response:
        assert response.status == 403
        assert "cannot see this channel" in (await response.json())["message"]


async def test_clicking_and_forms(sandbox: Sandbox, browser: aiohttp.ClientSession, slack: AsyncWebClient, bot: TinyBot) -> None:
    """A click, an action in a form, a form refused and taken, a form closed."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="card", blocks=[actions(button(), block_id="b")]))["ts"]
    click = {"user": "U0CTO", "channel": "C0SUPPORT", "message_ts": ts, "block_id": "b", "action_id": "go"}
    assert await post(browser, "click", click) == {"ok": True}
    trigger_id = bot.interactions("block_actions")[0]["trigger_id"]
    live = field({"type": "plain_text_input", "action_id": "words"}, block_id="f", dispatch_action=True)
    view_id = (await slack.views_open(trigger_id=trigger_id, view=modal(live)))["view"]["id"]
    assert [view["id"] for view in (await get(browser, "state", user="U0CTO"))["views"]] == [view_id]
    form = {"user": "U0CTO", "view_id": view_id}
    acted = {**form, "block_id": "f", "action_id": "words", "value": "x", "values": {}}
    assert await post(browser, "view/action", acted) == {"ok": True}
    empty = {"f": {"words": {"type": "plain_text_input", "value": ""}}}
    assert "f" in (await post(browser, "view/submit", {**form, "values": empty}))["errors"]
    bot.replies_with({"response_action": "errors", "errors": {"f": "More, please."}})
    good = {"f": {"words": {"type": "plain_text_input", "value": "clerk"}}}
    assert (await post(browser, "view/submit", {**form, "values": good}))["errors"] == {"f": "More, please."}
    bot.replies_with()
    assert await post(browser, "view/close", form) == {"ok": True}
    assert (await post(browser, "view/close", form, status=400))["error"] == "refused"


async def test_shortcuts_joining_leaving_inviting_reacting(
    sandbox: Sandbox, browser: aiohttp.ClientSession, slack: AsyncWebClient, bot: TinyBot
) -> None:
    """What else the page's buttons do."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="card"))["ts"]
    where = {"user": "U0CTO", "channel": "C0SUPPORT", "message_ts": ts}
    assert await post(browser, "shortcut", {**where, "callback_id": "from_message"}) == {"ok": True}
    assert await post(browser, "shortcut", {"user": "U0CTO", "callback_id": "open"}) == {"ok": True}
    assert await post(browser, "react", {**where, "name": "eyes"}) == {"ok": True}
    room = (await slack.conversations_create(name="inc-1"))["channel"]["id"]
    await post(browser, "join", {"user": "U0CTO", "channel": room})
    await post(browser, "invite", {"user": "U0CTO", "channel": room, "users": ["U0ONCALL"]})
    await post(browser, "leave", {"user": "U0CTO", "channel": room})
    assert sandbox.workspace.channel(room).members == ["U0MUSTER", "U0ONCALL"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("say", {"user": "U0CTO", "channel": "C0SUPPORT"}),
        ("say", {"user": "U999", "channel": "C0SUPPORT", "text": "hi"}),
        ("say", {"user": "U0CTO", "channel": "C999", "text": "hi"}),
        ("click", {"user": "U0CTO", "channel": "C0SUPPORT", "message_ts": "1.1", "action_id": "go"}),
        ("invite", {"user": "U0CTO", "channel": "C0SUPPORT", "users": "U0ONCALL"}),
        ("clock", {"advance_s": -1}),
        ("clock", {"advance_s": "soon"}),
        ("world", {"switch": "weather", "value": "rain"}),
        ("say", ["no", "object"]),
    ],
)
async def test_bad_requests_are_400_with_a_sentence(browser: aiohttp.ClientSession, path: str, body: Any) -> None:
    """Nothing is a 500."""
    answer = await post(browser, path, body, status=400)
    assert answer["ok"] is False
    assert answer["message"].endswith((".", "any more)."))


async def test_bad_bodies_and_queries_are_400(browser: aiohttp.ClientSession) -> None:
    """Broken JSON, JSON too deep, numbers that are none."""
    for body in (b"{", b"[" * 200_000):
        async with browser.post("/sandbox/say", data=body) as response:
            assert response.status == 400
    for path in ("ledger?after=x", "messages?channel=C0SUPPORT&limit=many", "messages?channel=C0SUPPORT&before=now"):
        async with browser.get(f"/sandbox/{path}") as response:
            assert response.status == 400


async def test_time_moves_on_and_somebody_is_told(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    """POST clock moves virtual time; on_clock_change gets the offset; message ts follow."""
    told: list[float] = []

    async def tell(offset_s: float) -> None:
        told.append(offset_s)

    sandbox.clock.on_clock_change = tell
    before = (await get(browser, "clock"))["now"]
    after = (await post(browser, "clock", {"advance_s": 900}))["now"]
    assert 900 <= after - before < 905
    assert told == [900.0]
    said = await sandbox.workspace.say("developer", "support", "later")
    assert float(said.ts or 0) >= after
    with pytest.raises(UserError, match="only goes forward"):
        await sandbox.clock.advance(-5)


async def test_the_ledger_has_calls_and_deliveries_in_one_order(
    sandbox: Sandbox, browser: aiohttp.ClientSession, slack: AsyncWebClient, bot: TinyBot
) -> None:
    """Each row once, numbers without gaps, readable from any number on."""
    await slack.chat_postMessage(channel="C0SUPPORT", text="hi")
    await sandbox.settled()
    ledger = await get(browser, "ledger")
    (call,), (delivery,) = ledger["calls"], ledger["deliveries"]
    assert {call["n"], delivery["n"]} == {1, 2}
    assert (call["provider"], call["method"], call["status"]) == ("slack", "chat.postMessage", 200)
    assert call["start_at"] <= call["end_at"]
    assert (delivery["kind"], delivery["status"], delivery["attempt"]) == ("event message", 200, 1)
    assert await get(browser, "ledger", after="2") == {"calls": [], "deliveries": []}


async def test_the_ledger_comes_in_pages_newest_first(
    sandbox: Sandbox, browser: aiohttp.ClientSession, slack: AsyncWebClient
) -> None:
    """By provider or failures alone, before and after a number, with counts of all; one line has everything."""
    for number in range(5):
        await slack.chat_postMessage(
            channel="C0SUPPORT", text=f"hi {number}", metadata={"event_type": "m", "event_payload": {"key": f"k{number}"}}
        )
    with pytest.raises(SlackApiError):
        await slack.chat_postMessage(channel="C0NOWHERE", text="lost")
    await sandbox.settled()
    page = await get(browser, "ledger/page", provider="slack", limit="4")
    assert [(row["name"], row["key"], row["error"]) for row in page["rows"]] == [
        ("chat.postMessage", "", "channel_not_found"),
        ("chat.postMessage", "k4", None),
        ("chat.postMessage", "k3", None),
        ("chat.postMessage", "k2", None),
    ]
    assert page["more"]
    assert page["counts"] == {"slack": {"calls": 6, "errors": 1}, "bot": {"calls": 5, "errors": 0}}
    earlier = await get(browser, "ledger/page", provider="slack", before=str(page["rows"][-1]["n"]))
    assert ([row["key"] for row in earlier["rows"]], earlier["more"]) == (["k1", "k0"], False)
    newer = await get(browser, "ledger/page", after=str(page["last"] - 1))
    assert [row["n"] for row in newer["rows"]] == [page["last"]]
    [failure] = (await get(browser, "ledger/page", errors="true"))["rows"]
    entry = (await get(browser, "ledger/entry", n=str(failure["n"])))["entry"]
    assert entry["arguments"] == {"channel": "C0NOWHERE", "text": "lost"}


async def test_the_ledger_is_in_the_time_of_the_sandbox(
    sandbox: Sandbox, browser: aiohttp.ClientSession, slack: AsyncWebClient
) -> None:
    """A call after a travelled hour stands an hour later."""
    await slack.auth_test()
    await sandbox.clock.advance(3600)
    await slack.auth_test()
    second, first = (await get(browser, "ledger/page", provider="slack"))["rows"]
    assert 3600 <= second["at"] - first["at"] < 3660


@pytest.mark.parametrize(
    "path", ["ledger/entry?n=0", "ledger/entry?n=99", "ledger/entry", "ledger/page?after=x", "ledger?after=inf"]
)
async def test_what_the_ledger_does_not_have_is_said(browser: aiohttp.ClientSession, path: str) -> None:
    """400 with a sentence."""
    async with browser.get(f"/sandbox/{path}") as response:
        assert response.status == 400
        assert (await response.json())["message"].endswith(".")


async def test_a_growing_ledger_is_told_once_for_many_calls(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """What comes within a moment is one event, with the number of the last line."""
    seen = sandbox.feed.last_id
    for _ in range(20):
        await slack.api_test()

    def told() -> list[Any]:
        events = sandbox.feed.after(seen) or []
        return [event.seen_by("U0GUEST") for event in events if event.type == "ledger"]

    await sandbox.wait_for(lambda: told() and told()[-1] == {"type": "ledger", "last": 20})
    assert len(told()) < 20


async def test_switches_of_slack_and_all_good_again(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    """Slack's own two stand first and turn the real things; one request turns all of them back."""
    switches = (await get(browser, "world"))["switches"]
    assert list(switches)[:2] == ["slack_api", "slack_limits"]
    turned = await post(browser, "world", {"switch": "slack_api", "value": "rate_limited"})
    assert (turned["switches"]["slack_api"]["good"], sandbox.faults.manner) == (False, "rate_limited")
    turned = await post(browser, "world", {"switch": "slack_limits", "value": "on"})
    assert (turned["switches"]["slack_limits"]["good"], sandbox.rate_limits) == (True, True)
    for wrong in ({"switch": "slack_api", "value": "moody"}, {"switch": "sun", "value": "off"}, {"all_good": "yes"}):
        await post(browser, "world", wrong, status=400)
    assert sandbox.faults.manner == "rate_limited"
    await post(browser, "world", {"all_good": True})
    assert (sandbox.faults.manner, sandbox.rate_limits) == ("ok", False)


async def test_the_stream_says_what_happens_to_whom_it_concerns(
    sandbox: Sandbox, browser: aiohttp.ClientSession, slack: AsyncWebClient
) -> None:
    """Messages of channels that one sees, one's own ephemeral ones, channels as this person has them."""
    after = str(sandbox.feed.last_id)
    async with browser.get("/sandbox/stream", params={"user": "U0GUEST", "after": after}) as response:
        assert response.content_type == "text/event-stream"
        await slack.chat_postMessage(channel="C0GENERAL", text="not for guests")
        await slack.chat_postEphemeral(channel="C0SUPPORT", user="U0CTO", text="not for guests either")
        await slack.chat_postMessage(channel="C0SUPPORT", text="for all")
        await slack.chat_postEphemeral(channel="C0SUPPORT", user="U0GUEST", text="psst")
        await slack.bookmarks_add(channel_id="C0SUPPORT", title="R", type="link", link="https://x.io")
        await sandbox.clock.advance(60)
        events = [data for _, data in await read_events(response, 4)]
    assert [event["type"] for event in events] == ["message", "ephemeral", "channel", "clock"]
    assert [event["message"]["text"] for event in events[:2]] == ["for all", "psst"]
    assert (events[2]["channel"]["is_member"], events[2]["channel"]["bookmarks"][0]["title"]) == (True, "R")


async def test_the_stream_is_resumed_where_it_broke_off(
    sandbox: Sandbox, browser: aiohttp.ClientSession, slack: AsyncWebClient
) -> None:
    """Last-Event-ID (or after) brings exactly what came since, edits and deletions included."""
    after = str((await get(browser, "state"))["event_id"])
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="one"))["ts"]
    async with browser.get("/sandbox/stream", params={"user": "U0CTO", "after": after}) as response:
        ((seen, first),) = await read_events(response, 1)
    await slack.chat_update(channel="C0SUPPORT", ts=ts, text="two")
    await slack.chat_delete(channel="C0SUPPORT", ts=ts)
    headers = {"Last-Event-ID": str(seen)}
    async with browser.get("/sandbox/stream", params={"user": "U0CTO"}, headers=headers) as response:
        events = await read_events(response, 2)
    assert first["message"]["text"] == "one"
    assert [(data["type"], number > seen) for number, data in events] == [("message_changed", True), ("message_deleted", True)]
    assert events[0][1]["message"]["text"] == "two"
    assert events[1][1]["ts"] == ts


async def test_a_stream_that_is_too_old_is_gone(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    """410 tells the page to load its state anew."""
    for _ in range(KEPT_EVENTS + 10):
        sandbox.feed.publish("clock", {"now": 0})
    async with browser.get("/sandbox/stream", params={"user": "U0CTO", "after": "1"}) as response:
        assert response.status == 410


async def test_forms_are_on_the_stream_of_their_person_only(
    sandbox: Sandbox, browser: aiohttp.ClientSession, slack: AsyncWebClient, bot: TinyBot
) -> None:
    """opened, updated, closed."""
    await sandbox.workspace.command("cto", "support", "/incident")
    after = str(sandbox.feed.last_id)
    opened = await slack.views_open(trigger_id=bot.received[0].payload["trigger_id"], view=modal(section("one")))
    await slack.views_update(view_id=opened["view"]["id"], view=modal(section("two")))
    await sandbox.workspace.close_view("cto", opened["view"]["id"])
    async with browser.get("/sandbox/stream", params={"user": "U0CTO", "after": after}) as response:
        events = await read_events(response, 3)
    assert [data["action"] for _, data in events] == ["opened", "updated", "closed"]
    await sandbox.workspace.say("cto", "support", "for everybody")
    async with browser.get("/sandbox/stream", params={"user": "U0ONCALL", "after": after}) as response:
        ((_, first),) = await read_events(response, 1)
    assert first["type"] == "message"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)
async def test_other_sites_are_kept_out(browser: aiohttp.ClientSession, headers: dict[str, str], status: int) -> None:
    """A Host that is not loopback or an Origin that is another site: 403 with a sentence."""
    for path in ("/sandbox/state", "/"):
        async with browser.get(path, headers=headers) as response:
            assert response.status == status
            if status == 403:
                assert (await response.json())["message"].startswith("The sandbox ")


async def test_the_page_itself_may_act(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    """Its own origin is welcome."""
    async with browser.post("/sandbox/clock", json={"advance_s": 1}, headers={"Origin": sandbox.url}) as response:
        assert response.status == 200


async def test_it_listens_on_this_machine_only() -> None:
    """Another host is refused before anything listens."""
    sandbox = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest())
    with pytest.raises(ConfigError, match="this machine only"):
        await sandbox.start(host="0.0.0.0")
    with pytest.raises(RuntimeError, match="not been started"):
        _ = sandbox.url


async def test_a_taken_port_is_an_os_error_and_leaves_nothing_open(sandbox: Sandbox) -> None:
    """The caller says it in its own words."""
    other = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest())
    with pytest.raises(OSError, match="address already in use"):
        await other.start(port=int(sandbox.url.rpartition(":")[2]))


class Weather:
    """The smallest world: one switch and one system."""

    def __init__(self) -> None:
        self.value = "sun"
        self.ledger: list[dict[str, Any]] = []

    def add_routes(self, app: web.Application) -> None:
        """One route."""

        async def forecast(request: web.Request) -> web.Response:
            self.ledger.append({"provider": "weather", "method": "GET", "status": 200})
            return web.json_response({"sky": self.value})

        app.router.add_get("/weather", forecast)

    def switches(self) -> dict[str, Any]:
        """One switch."""
        return {"sky": {"value": self.value, "options": ["sun", "rain"], "title": "Sky"}}

    def set(self, name: str, value: str) -> None:
        """Turn it."""
        self.value = value


async def test_a_world_is_mounted_with_its_switches_and_its_ledger() -> None:
    """Its routes answer, its switches turn from the page, its calls are in the ledger with numbers of their own."""
    sandbox = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest(), world=Weather())
    await sandbox.start()
    async with aiohttp.ClientSession(sandbox.url) as browser:
        assert (await get(browser, "world"))["switches"]["sky"]["value"] == "sun"
        turned = await post(browser, "world", {"switch": "sky", "value": "rain"})
        assert turned["switches"]["sky"]["value"] == "rain"
        async with browser.get("/weather") as response:
            assert await response.json() == {"sky": "rain"}
        assert (await get(browser, "ledger"))["calls"] == [{"n": 1, "provider": "weather", "method": "GET", "status": 200}]
    await sandbox.stop()
