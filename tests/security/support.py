"""What the attacks are made of: requests signed as Slack signs them, secrets to plant, and everything that could have leaked."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import redis.asyncio as redis

from bot.domain.incident import Incident
from bot.sandbox.models import APP_ID, TEAM_ID
from tests.scenarios.conftest import Stage, said

Json = dict[str, Any]
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"

# Built from halves: a scanner of this repository should find no token-shaped text in it.
CANARIES = {
    "bot token": "xoxb-" + "111111111111-222222222222-CANARYbotCANARY",
    "app token": "xapp-" + "1-A0000000000-111-CANARYapp",
    "live key": "sk_live_" + "CANARYliveCANARYlive",
    "webhook secret": "whsec_" + "CANARYhookCANARYhook",
    "jwt": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJDQU5BUlkiOjF9.CANARYjwt-CANARYjwt",
    "pem": "-----BEGIN " + "PRIVATE KEY----- CANARYpem -----END PRIVATE KEY-----",
    "postgres url": "postgres://owner:" + "CANARYpassword@db.example.com/app",
    "aws key": "AKIA" + "CANARYCANARYCANA",
}
TELL_TALES = ("CANARY", "canary", "eyJDQU5BUlkiOjF9")


def told(text: str) -> list[str]:
    """The tell-tales of planted secrets in ``text``."""
    return [word for word in TELL_TALES if word in text]


def headers_for(stage: Stage, body: bytes, content_type: str = JSON_TYPE, *, skew_s: int = 0) -> dict[str, str]:
    """As Slack signs ``body``, ``skew_s`` seconds from now."""
    timestamp = str(int(time.time()) + skew_s)
    secret = stage.environment["SLACK_SIGNING_SECRET"].encode()
    digest = hmac.new(secret, b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"Content-Type": content_type, "X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}


async def post(url: str, body: Any, headers: Any) -> tuple[int, str]:
    """(status, text) of a request to the front door, as it is."""
    async with aiohttp.ClientSession() as session, session.post(f"{url}/slack/events", data=body, headers=headers) as answer:
        return answer.status, await answer.text()


async def send(stage: Stage, payload: Json, *, skew_s: int = 0) -> tuple[int, str]:
    """A payload with a valid signature: an event as JSON, a command as its fields, an interaction in its form field."""
    if payload.get("type") in ("event_callback", "url_verification"):
        body, content_type = json.dumps(payload).encode(), JSON_TYPE
    elif "command" in payload:
        body, content_type = urlencode(payload, errors="surrogatepass").encode(), FORM_TYPE
    else:
        body, content_type = urlencode({"payload": json.dumps(payload)}).encode(), FORM_TYPE
    return await post(stage.muster.url, body, headers_for(stage, body, content_type, skew_s=skew_s))


def event_of(event: Json, **changes: Any) -> Json:
    """The envelope around an event."""
    return {"type": "event_callback", "team_id": TEAM_ID, "api_app_id": APP_ID, "event_id": "Ev1", "event": event, **changes}


def message_of(text: str, *, ts: str, user: str = "U0DEVELOPER", channel: str = "C0SUPPORT", **more: Any) -> Json:
    """A message event."""
    return {"type": "message", "channel_type": "channel", "text": text, "ts": ts, "user": user, "channel": channel, **more}


def click_of(action_id: str, value: str, *, user: str, channel: str, ts: str = "1.1", **more: Any) -> Json:
    """A click on a button of ours that may never have been drawn."""
    return {
        "type": "block_actions",
        "team": {"id": TEAM_ID},
        "api_app_id": APP_ID,
        "user": {"id": user, "team_id": TEAM_ID},
        "channel": {"id": channel},
        "message": {"ts": ts},
        "trigger_id": f"1.2.{time.monotonic_ns():x}",
        "actions": [{"action_id": action_id, "block_id": "b", "value": value, "action_ts": f"{time.monotonic_ns()}.1"}],
        **more,
    }


async def one_incident(stage: Stage) -> Incident:
    """The one open incident."""
    (incident,) = await stage.muster.desk.active()
    return incident


async def outage(stage: Stage, words: str = "clerk down") -> Any:
    """The room of an incident that a developer declared in #support, complete and quiet."""
    await stage.workspace.command("developer", "support", f"/incident {words}")
    room = await stage.room()
    await stage.wait(lambda: {"U0DEVELOPER", "U0ONCALL"} <= set(room.members), "the people")
    await stage.paged("oncall")
    await stage.wait(lambda: "Diagnose again" in said(stage.card(room.name)), "the whole diagnosis")
    await stage.sandbox.settled()
    return room


async def private_incident(stage: Stage, title: str, **values: Any) -> Any:
    """The room of a private incident that a developer opened with the form."""
    await stage.workspace.command("developer", "support", "/incident")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    given = {"title": {"value": title}, "private": {"value": ["private"]}, **values}
    assert (await stage.workspace.submit_view("developer", view["id"], given)).ok
    room = await stage.room()
    await stage.wait(lambda: {"U0DEVELOPER", "U0ONCALL"} <= set(room.members), "the people")
    await stage.paged("oncall")
    await stage.sandbox.settled()
    return room


async def everything_stored(redis_url: str) -> str:
    """Every key and every value that Redis holds, as one text."""
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    readers: Mapping[str, Any] = {
        "string": client.get,
        "list": lambda key: client.lrange(key, 0, -1),
        "hash": client.hgetall,
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    found = [f"{key}: {await readers[await client.type(key)](key)!r}" async for key in client.scan_iter(count=1000)]
    await client.aclose()
    return "\n".join(found)


async def read(url: str, path: str) -> str:
    """The body of a GET."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}{path}") as answer:
        return await answer.text()


def everything_sent(stage: Stage) -> str:
    """Everything that the bot told Slack: calls, answers at response_urls, and answers to what Slack delivered."""
    calls = [json.dumps([call.method, call.arguments], default=str) for call in stage.sandbox.calls]
    answers = [attempt.body.decode() for delivery in stage.sandbox.deliveries for attempt in delivery.attempts]
    return "\n".join([*calls, *answers])
