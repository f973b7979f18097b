"""Posting once: an opaque key in the metadata, and a look at the channel before anything is said again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.domain.errors import PermanentError, UnknownOutcome
from bot.sandbox.server import Sandbox
from bot.slack.client import SlackApi
from bot.slack.drawing import Drawn
from bot.slack.posting import opaque_key, post_once, redraw

GENERAL = "C0GENERAL"
DRAWN = Drawn(text="first", blocks=({"type": "section", "text": {"type": "mrkdwn", "text": "first"}},))
NEWER = Drawn(text="newer", blocks=({"type": "section", "text": {"type": "mrkdwn", "text": "newer"}},))


@pytest.fixture
def started_at() -> datetime:
    """When the task was due."""
    return datetime.now(UTC)


async def post(
    slack: SlackApi, since: datetime, *, key: str = "k", channel: str = GENERAL, drawn: Drawn = DRAWN, **options: Any
) -> str:
    """Post, looking first unless told otherwise."""
    options = {"look_first": True, **options}
    return await post_once(slack, channel_id=channel, drawn=drawn, key=opaque_key("inc-1", key), since=since, **options)


def said(sandbox: Sandbox, channel: str = "general") -> list[str]:
    return [message["text"] for message in sandbox.workspace.messages(channel)]


def test_the_key_says_nothing_and_is_always_the_same() -> None:
    """Any member can read metadata."""
    key = opaque_key("inc-1", "card")
    assert key == opaque_key("inc-1", "card")
    assert key != opaque_key("inc-1", "announcement")
    assert key != opaque_key("inc-2", "card")
    assert len(key) == 32
    assert "inc-1" not in key


async def test_the_first_attempt_posts_without_looking(slack: SlackApi, sandbox: Sandbox, started_at: datetime) -> None:
    """One call; links are not unfurled, nobody is called by a name in the text."""
    await post(slack, started_at, look_first=False)
    assert [call.method for call in sandbox.calls] == ["chat.postMessage"]
    assert sandbox.calls[0].arguments["unfurl_links"] is False
    assert "link_names" not in sandbox.calls[0].arguments
    assert said(sandbox) == ["first"]


async def test_a_later_attempt_adopts_what_it_finds(slack: SlackApi, sandbox: Sandbox, started_at: datetime) -> None:
    """And makes it show what is true now."""
    sandbox.faults.add("chat.postMessage", "accept_then_drop")
    with pytest.raises(UnknownOutcome):
        await post(slack, started_at, look_first=False)
    ts = await post(slack, started_at, drawn=NEWER)
    assert said(sandbox) == ["newer"]
    assert sandbox.workspace.messages("general")[0]["ts"] == ts


async def test_a_later_attempt_posts_what_never_arrived(slack: SlackApi, sandbox: Sandbox, started_at: datetime) -> None:
    """The connection broke before Slack had it."""
    sandbox.faults.add("chat.postMessage", "drop_before")
    with pytest.raises(UnknownOutcome):
        await post(slack, started_at, look_first=False)
    await post(slack, started_at)
    assert said(sandbox) == ["first"]


async def test_another_message_is_not_taken_for_it(slack: SlackApi, sandbox: Sandbox, started_at: datetime) -> None:
    """Not one with another key, not one without any, not one with metadata of another app."""
    await post(slack, started_at, key="other", look_first=False)
    sandbox.state.post_as_bot(GENERAL, "first")
    sandbox.state.post_as_bot(GENERAL, "odd", metadata={"event_type": "x", "event_payload": {"key": 1}})
    await post(slack, started_at)
    assert said(sandbox).count("first") == 3


async def test_it_is_found_behind_many_others(slack: SlackApi, sandbox: Sandbox, started_at: datetime) -> None:
    """A busy channel has more than one page."""
    ts = await post(slack, started_at, look_first=False)
    for number in range(450):
        sandbox.state.post_as_bot(GENERAL, f"message {number}")
    assert await post(slack, started_at) == ts
    assert sum(call.method == "conversations.history" for call in sandbox.calls) == 3


async def test_it_is_looked_for_in_its_thread(slack: SlackApi, sandbox: Sandbox, started_at: datetime) -> None:
    """A reply is not in the channel's history."""
    root = sandbox.state.post_as_user(GENERAL, "U0DEVELOPER", "clerk down")
    ts = await post(slack, started_at, look_first=False, thread_ts=root["ts"])
    assert await post(slack, started_at, thread_ts=root["ts"], drawn=NEWER) == ts
    assert said(sandbox) == ["clerk down", "newer"]


async def test_it_is_looked_for_in_a_direct_message(slack: SlackApi, sandbox: Sandbox, started_at: datetime) -> None:
    """Pages are not sent twice either."""
    channel = (await slack.call("conversations.open", users="U0ONCALL"))["channel"]["id"]
    ts = await post(slack, started_at, look_first=False, channel=channel)
    assert await post(slack, started_at, channel=channel) == ts
    assert len(sandbox.workspace.dm("oncall")) == 1


async def test_what_was_said_long_before_is_not_looked_at(slack: SlackApi, sandbox: Sandbox, started_at: datetime) -> None:
    """Only what the attempts can have posted."""
    await post(slack, started_at, look_first=False)
    await post(slack, started_at + timedelta(minutes=5))
    assert said(sandbox) == ["first", "first"]


async def test_a_thread_that_is_gone_is_refused(slack: SlackApi, sandbox: Sandbox, started_at: datetime) -> None:
    """The message was deleted: nothing is said in the channel instead."""
    for look_first in (False, True):
        with pytest.raises(PermanentError) as error:
            await post(slack, started_at, thread_ts="1.000001", look_first=look_first)
        assert error.value.code == "thread_not_found"
    assert said(sandbox) == []


async def test_a_message_can_be_drawn_anew_as_often_as_one_likes(slack: SlackApi, sandbox: Sandbox, started_at: datetime) -> None:
    """It stays one message."""
    ts = await post(slack, started_at, look_first=False)
    for _ in range(3):
        await redraw(slack, channel_id=GENERAL, ts=ts, drawn=NEWER)
    assert said(sandbox) == ["newer"]
