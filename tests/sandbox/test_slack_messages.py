"""What messages become: history and threads, metadata, edits, reactions, pins, bookmarks, files."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import TinyBot, actions, button, section

NOTE = {"event_type": "incident", "event_payload": {"key": "k"}}


async def test_metadata_is_kept_and_shown_only_when_asked_for(slack: AsyncWebClient) -> None:
    """conversations.history and replies leave it out unless include_all_metadata."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="hi", metadata=NOTE))["ts"]
    plain = (await slack.conversations_history(channel="C0SUPPORT"))["messages"][0]
    full = (await slack.conversations_history(channel="C0SUPPORT", include_all_metadata=True))["messages"][0]
    replies = await slack.conversations_replies(channel="C0SUPPORT", ts=ts, include_all_metadata=True)
    assert "metadata" not in plain
    assert full["metadata"] == replies["messages"][0]["metadata"] == NOTE


async def test_history_is_newest_first_in_pages_without_replies(slack: AsyncWebClient) -> None:
    """Cursors lead through all of it, each message once; replies are only in their thread."""
    posted = [(await slack.chat_postMessage(channel="C0SUPPORT", text=str(number)))["ts"] for number in range(5)]
    await slack.chat_postMessage(channel="C0SUPPORT", text="reply", thread_ts=posted[0])
    seen: list[str] = []
    cursor: str | None = None
    while cursor != "":
        page = await slack.conversations_history(channel="C0SUPPORT", limit=2, cursor=cursor)
        seen += [message["ts"] for message in page["messages"]]
        cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
        assert page["has_more"] == bool(cursor)
    assert seen == posted[::-1]
    assert posted == sorted(set(posted))


@pytest.mark.parametrize(("inclusive", "texts"), [(False, ["2"]), (True, ["3", "2", "1"])])
async def test_history_between_two_moments(slack: AsyncWebClient, inclusive: bool, texts: list[str]) -> None:
    """oldest and latest are outside of it unless inclusive."""
    posted = [(await slack.chat_postMessage(channel="C0SUPPORT", text=str(number)))["ts"] for number in range(5)]
    page = await slack.conversations_history(channel="C0SUPPORT", oldest=posted[1], latest=posted[3], inclusive=inclusive)
    assert [message["text"] for message in page["messages"]] == texts


async def test_a_thread_counts_its_replies(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """The root knows how many there are and who wrote them; a reply to a reply joins the thread."""
    root = (await slack.chat_postMessage(channel="C0SUPPORT", text="root"))["ts"]
    reply = await sandbox.workspace.say("oncall", "support", "one", thread_ts=root)
    await slack.chat_postMessage(channel="C0SUPPORT", text="two", thread_ts=reply.ts)
    messages = (await slack.conversations_replies(channel="C0SUPPORT", ts=root))["messages"]
    assert [message["text"] for message in messages] == ["root", "one", "two"]
    assert (messages[0]["reply_count"], messages[0]["reply_users"]) == (2, ["U0ONCALL", "U0MUSTER"])
    assert messages[2]["thread_ts"] == root


async def test_a_broadcast_reply_is_in_the_channel_too(slack: AsyncWebClient) -> None:
    """reply_broadcast shows the reply in history."""
    root = (await slack.chat_postMessage(channel="C0SUPPORT", text="root"))["ts"]
    await slack.chat_postMessage(channel="C0SUPPORT", text="loud", thread_ts=root, reply_broadcast=True)
    history = (await slack.conversations_history(channel="C0SUPPORT"))["messages"]
    assert (history[0]["text"], history[0]["subtype"]) == ("loud", "thread_broadcast")


@pytest.mark.parametrize(
    ("change", "text", "has_blocks", "edited"),
    [
        ({"text": "new"}, "new", False, True),
        ({"text": "new", "blocks": [section("new")]}, "new", True, False),
        ({"blocks": [section("new")]}, "old", True, False),
        ({"text": "new", "blocks": []}, "new", False, True),
    ],
)
async def test_update(slack: AsyncWebClient, change: dict[str, Any], text: str, has_blocks: bool, edited: bool) -> None:
    """Text alone takes the blocks away and leaves the mark; blocks alone keep the text; metadata stays."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="old", blocks=[section()], metadata=NOTE))["ts"]
    await slack.api_call("chat.update", json={"channel": "C0SUPPORT", "ts": ts, **change})
    message = (await slack.conversations_history(channel="C0SUPPORT", include_all_metadata=True))["messages"][0]
    assert (message["text"], "blocks" in message, "edited" in message) == (text, has_blocks, edited)
    assert message["metadata"] == NOTE


async def test_an_empty_metadata_takes_it_away(slack: AsyncWebClient) -> None:
    """chat.update with metadata {} removes what was there."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="old", metadata=NOTE))["ts"]
    await slack.chat_update(channel="C0SUPPORT", ts=ts, text="new", metadata={})
    history = await slack.conversations_history(channel="C0SUPPORT", include_all_metadata=True)
    assert "metadata" not in history["messages"][0]


async def test_slack_fills_in_missing_ids(slack: AsyncWebClient) -> None:
    """A block without block_id and a button without action_id get one each."""
    blocks = [{"type": "actions", "elements": [{key: value for key, value in button().items() if key != "action_id"}]}]
    stored = (await slack.chat_postMessage(channel="C0SUPPORT", text="hi", blocks=blocks))["message"]["blocks"][0]
    assert stored["block_id"]
    assert stored["elements"][0]["action_id"]


async def test_a_long_text_is_cut(slack: AsyncWebClient) -> None:
    """More than 40,000 characters are not refused but cut."""
    message = (await slack.chat_postMessage(channel="C0SUPPORT", text="x" * 50_000))["message"]
    assert len(message["text"]) == 40_000


async def test_a_deleted_message_is_gone_but_a_thread_keeps_its_tombstone(slack: AsyncWebClient) -> None:
    """Without replies nothing is left of it, with replies "This message was deleted."."""
    alone = (await slack.chat_postMessage(channel="C0SUPPORT", text="alone"))["ts"]
    root = (await slack.chat_postMessage(channel="C0SUPPORT", text="root"))["ts"]
    await slack.chat_postMessage(channel="C0SUPPORT", text="reply", thread_ts=root)
    await slack.chat_delete(channel="C0SUPPORT", ts=alone)
    await slack.chat_delete(channel="C0SUPPORT", ts=root)
    messages = (await slack.conversations_history(channel="C0SUPPORT"))["messages"]
    assert [(message["ts"], message["subtype"]) for message in messages] == [(root, "tombstone")]


async def test_an_ephemeral_message_is_for_one_person_and_not_in_history(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """Only that person sees it; it cannot be updated by its ts."""
    ts = (await slack.chat_postEphemeral(channel="C0SUPPORT", user="U0ONCALL", text="psst"))["message_ts"]
    assert [one["text"] for one in sandbox.workspace.messages("support", "oncall")] == ["psst"]
    assert sandbox.workspace.messages("support", "cto") == []
    assert (await slack.conversations_history(channel="C0SUPPORT"))["messages"] == []
    with pytest.raises(SlackApiError, match="message_not_found"):
        await slack.chat_update(channel="C0SUPPORT", ts=ts, text="louder")


async def test_a_message_to_a_user_goes_to_their_direct_conversation(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """Posting to U… and to what conversations.open gives is the same place."""
    posted = await slack.chat_postMessage(channel="U0ONCALL", text="You are paged")
    opened = await slack.conversations_open(users="U0ONCALL")
    assert posted["channel"] == opened["channel"]["id"] == sandbox.workspace.im("oncall").id
    assert [one["text"] for one in sandbox.workspace.dm("oncall")] == ["You are paged"]


async def test_reactions(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """One per person and emoji; the last one gone takes the emoji away."""
    said = await sandbox.workspace.say("oncall", "support", "hello")
    where = {"channel": "C0SUPPORT", "timestamp": said.ts, "name": "eyes"}
    await slack.reactions_add(**where)
    with pytest.raises(SlackApiError, match="already_reacted"):
        await slack.reactions_add(**where)
    await sandbox.workspace.react("cto", "support", said.ts or "", "eyes")
    assert sandbox.workspace.messages("support")[0]["reactions"] == [{"name": "eyes", "users": ["U0MUSTER", "U0CTO"], "count": 2}]
    await slack.reactions_remove(**where)
    await sandbox.workspace.react("cto", "support", said.ts or "", "eyes", remove=True)
    assert not sandbox.workspace.messages("support")[0].get("reactions")


async def test_pins(slack: AsyncWebClient) -> None:
    """A message can be pinned once, listed, and unpinned."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="card"))["ts"]
    await slack.pins_add(channel="C0SUPPORT", timestamp=ts)
    with pytest.raises(SlackApiError, match="already_pinned"):
        await slack.pins_add(channel="C0SUPPORT", timestamp=ts)
    assert [item["message"]["ts"] for item in (await slack.pins_list(channel="C0SUPPORT"))["items"]] == [ts]
    await slack.pins_remove(channel="C0SUPPORT", timestamp=ts)
    assert (await slack.pins_list(channel="C0SUPPORT"))["items"] == []


async def test_bookmarks(slack: AsyncWebClient) -> None:
    """Adding twice makes two; editing changes what is given; removing takes one away."""
    wanted = {"channel_id": "C0SUPPORT", "title": "Runbook", "type": "link", "link": "https://x.io", "emoji": ":book:"}
    first = (await slack.api_call("bookmarks.add", json=wanted))["bookmark"]
    second = (await slack.api_call("bookmarks.add", json=wanted))["bookmark"]
    await slack.bookmarks_edit(channel_id="C0SUPPORT", bookmark_id=first["id"], title="Card")
    await slack.bookmarks_remove(channel_id="C0SUPPORT", bookmark_id=second["id"])
    listed = (await slack.bookmarks_list(channel_id="C0SUPPORT"))["bookmarks"]
    assert [(one["title"], one["link"], one["emoji"]) for one in listed] == [("Card", "https://x.io", ":book:")]


async def test_a_file_is_uploaded_and_shared(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """slack_sdk's three-step upload ends in one message whose file can be read."""
    await slack.files_upload_v2(channel="C0SUPPORT", filename="report.md", content="# Report", initial_comment="Here")
    message = sandbox.workspace.messages("support")[-1]
    assert (message["text"], message["files"][0]["name"]) == ("Here", "report.md")
    async with aiohttp.ClientSession() as session, session.get(message["files"][0]["url_private"]) as response:
        assert await response.text() == "# Report"


async def test_a_permalink_leads_to_the_page(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """It has Slack's form, and the sandbox opens the channel at the message."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="hi"))["ts"]
    link = (await slack.chat_getPermalink(channel="C0SUPPORT", message_ts=ts))["permalink"]
    assert link == f"{sandbox.url}/archives/C0SUPPORT/p{ts.replace('.', '')}"
    async with aiohttp.ClientSession() as session, session.get(link, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, f"/#channel=C0SUPPORT&message={ts}")


async def test_calls_are_in_the_ledger_with_their_arguments(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """Method, arguments without the token, start, end, outcome; structures however they were sent."""
    blocks = [actions(button())]
    await slack.chat_postMessage(channel="C0SUPPORT", text="hi", blocks=blocks)
    with pytest.raises(SlackApiError):
        await slack.conversations_info(channel="C999")
    first, second = sandbox.calls
    assert (first.method, first.ok, first.error, first.status) == ("chat.postMessage", True, None, 200)
    assert (second.method, second.ok, second.error) == ("conversations.info", False, "channel_not_found")
    assert first.structure("blocks") == blocks
    assert "token" not in first.arguments
    assert first.ended_at is not None
    assert first.started_at <= first.ended_at <= second.started_at


async def test_what_the_bot_says_comes_back_to_it_as_an_event(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """Slack sends an app its own messages, marked with its bot_id; edits and deletions too, without the metadata."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="hi", metadata=NOTE))["ts"]
    await slack.chat_update(channel="C0SUPPORT", ts=ts, text="ho")
    await slack.chat_delete(channel="C0SUPPORT", ts=ts)
    await sandbox.settled()
    (posted,) = bot.events("message")
    (changed,) = bot.events("message", "message_changed")
    (deleted,) = bot.events("message", "message_deleted")
    assert (posted["bot_id"], posted["text"], "metadata" in posted) == ("B0MUSTER", "hi", False)
    assert (changed["message"]["text"], changed["previous_message"]["text"]) == ("ho", "hi")
    assert deleted["deleted_ts"] == ts
