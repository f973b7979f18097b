"""response_url: who sees what, replacing and deleting, five uses in half an hour."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook import WebhookResponse
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import TinyBot, actions, button, section


async def url_of_command(sandbox: Sandbox, bot: TinyBot, channel: str = "support") -> str:
    """The response_url of a fresh command."""
    await sandbox.workspace.command("developer", channel, "/incident help")
    return str(bot.received[-1].payload["response_url"])


async def send(url: str, **body: Any) -> WebhookResponse:
    """Answer by slack_sdk's own client."""
    return await AsyncWebhookClient(url).send_dict(body)


async def test_an_answer_is_ephemeral_unless_in_channel(sandbox: Sandbox, bot: TinyBot) -> None:
    """response_type decides who sees it."""
    url = await url_of_command(sandbox, bot)
    assert (await send(url, text="for you")).body == "ok"
    await send(url, text="for all", response_type="in_channel")
    assert [one["text"] for one in sandbox.workspace.messages("support", "developer")] == ["for you", "for all"]
    assert [one["text"] for one in sandbox.workspace.messages("support", "cto")] == ["for all"]


async def test_it_works_where_the_bot_is_not(sandbox: Sandbox, bot: TinyBot) -> None:
    """A response_url needs no membership."""
    await sandbox.workspace.create_channel("developer", "elsewhere")
    url = await url_of_command(sandbox, bot, "elsewhere")
    assert (await send(url, text="here too", response_type="in_channel")).status_code == 200


async def test_five_uses_and_no_more(sandbox: Sandbox, bot: TinyBot) -> None:
    """The sixth is used_url with 404; a refused body does not count less."""
    url = await url_of_command(sandbox, bot)
    answers = [await send(url, text=str(number)) for number in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [404]
    assert "used_url" in answers[-1].body
    assert len(sandbox.workspace.messages("support", "developer")) == 5


async def test_half_an_hour_and_no_more(sandbox: Sandbox, bot: TinyBot) -> None:
    """expired_url after 30 minutes of the sandbox's time."""
    url = await url_of_command(sandbox, bot)
    await sandbox.clock.advance(29 * 60)
    assert (await send(url, text="in time")).status_code == 200
    await sandbox.clock.advance(2 * 60)
    answer = await send(url, text="too late")
    assert (answer.status_code, "expired_url" in answer.body) == (404, True)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"blocks": [section("x" * 3001)]}, "invalid_blocks"),
        ({"blocks": "no list"}, "invalid_blocks_format"),
        ({"response_type": "in_channel"}, "no_text"),
        ({"text": ["no", "text"]}, "invalid_payload"),
        ({"text": "hi", "attachments": "no list"}, "invalid_attachments"),
        ({"text": "hi", "attachments": [{}] * 101}, "too_many_attachments"),
        ({"text": "hi", "attachments": [{"blocks": [section("x" * 3001)]}]}, "invalid_blocks"),
    ],
)
async def test_bodies_are_judged(sandbox: Sandbox, bot: TinyBot, body: dict[str, Any], error: str) -> None:
    """Block Kit holds here too; the refusal is a 400 with the reason, and the ledger has it."""
    url = await url_of_command(sandbox, bot)
    answer = await send(url, **body)
    assert (answer.status_code, error in answer.body) == (400, True)
    assert (sandbox.calls[-1].method, sandbox.calls[-1].error) == ("response_url", error)


async def test_an_unknown_url(sandbox: Sandbox, bot: TinyBot) -> None:
    """404."""
    assert (await send(f"{sandbox.url}/response/unknown", text="hi")).status_code == 404


@pytest.mark.parametrize("ephemeral", [False, True])
async def test_a_clicked_message_is_replaced_and_deleted(
    sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot, ephemeral: bool
) -> None:
    """replace_original and delete_original work on the message, and are the only way to an ephemeral one."""
    blocks = [actions(button())]
    if ephemeral:
        sent = await slack.chat_postEphemeral(channel="C0SUPPORT", user="U0DEVELOPER", text="old", blocks=blocks)
        ts = sent["message_ts"]
    else:
        ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="old", blocks=blocks))["ts"]
    await sandbox.workspace.click("developer", "support", ts, "go")
    url = bot.interactions("block_actions")[0]["response_url"]
    await send(url, text="new", replace_original=True)
    (message,) = sandbox.workspace.messages("support", "developer")
    assert (message["ts"], message["text"], "blocks" in message) == (ts, "new", False)
    await send(url, delete_original=True)
    assert sandbox.workspace.messages("support", "developer") == []
    assert "message_not_found" in (await send(url, text="newer", replace_original=True)).body


async def test_without_replace_original_a_click_gets_a_new_message(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """The default for block_actions is an ephemeral message beside the original, in a thread if asked to."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="card", blocks=[actions(button())]))["ts"]
    await sandbox.workspace.click("developer", "support", ts, "go")
    url = bot.interactions("block_actions")[0]["response_url"]
    await send(url, text="done", thread_ts=ts)
    card, answer = sandbox.workspace.messages("support", "developer")
    assert (card["text"], answer["text"], answer["thread_ts"]) == ("card", "done", ts)
