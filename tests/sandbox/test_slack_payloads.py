"""The shapes of what the bot gets, compared with payloads that Slack really sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import TinyBot, actions, button, field, modal

# Not sent to an app in a single workspace, replaced by authorizations, or older than today's Slack.
ABSENT = {"enterprise_id", "enterprise_name", "authed_users", "original_message", "emoji"}


@pytest.fixture(scope="module")
def fixtures(contracts: Path) -> dict[str, Any]:
    """Payloads of a real workspace, as the maintainers of Bolt keep them."""
    return dict(json.loads((contracts / "slack-payload-fixtures.json").read_text()))


def missing(real: Any, ours: Any, at: str = "") -> list[str]:
    """Fields of the real payload that ours lacks, or has with another type."""
    if isinstance(real, dict):
        if not isinstance(ours, dict):
            return [f"{at}: {type(ours).__name__}"]
        found: list[str] = []
        for key, value in real.items():
            if key in ABSENT:
                continue
            found += missing(value, ours[key], f"{at}/{key}") if key in ours else [f"{at}/{key}"]
        return found
    if isinstance(real, list):
        return missing(real[0], ours[0], f"{at}/0") if real and isinstance(ours, list) and ours else []
    return [] if type(real) is type(ours) or real is None else [f"{at}: {type(ours).__name__}"]


@pytest.mark.contracts
async def test_events(fixtures: dict[str, Any], sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """message, app_mention, message_changed, message_deleted, reaction_added have every field of Slack's."""
    people = sandbox.workspace
    said = await people.say("developer", "support", "hello @muster")
    await people.react("oncall", "support", said.ts or "", "eyes")
    await people.edit("developer", "support", said.ts or "", "updated")
    await people.delete("developer", "support", said.ts or "")
    await slack.chat_postMessage(channel="C0SUPPORT", text="from the bot")
    await sandbox.settled()

    def ours(kind: str, subtype: str | None = None) -> Any:
        return next(one.payload for one in bot.received if one.event["type"] == kind and one.event.get("subtype") == subtype)

    assert missing(fixtures["test_message.message_body"], ours("message")) == []
    assert missing(fixtures["test_message_bot.user_message_event_payload"], ours("message")) == []
    assert missing(fixtures["test_app.app_mention_event_body"], ours("app_mention")) == []
    assert missing(fixtures["test_message_changed.event_payload"], ours("message", "message_changed")) == []
    assert missing(fixtures["test_message_deleted.event_payload"], ours("message", "message_deleted")) == []
    assert missing(fixtures["test_events.reaction_added_body"], ours("reaction_added")) == []
    own = next(one.payload for one in bot.received if one.event.get("text") == "from the bot")
    real = fixtures["test_message_bot.bot_message_event_payload"]
    real["event"]["bot_profile"]["icons"] = {}
    assert missing(real, own) == []


@pytest.mark.contracts
async def test_interactions(fixtures: dict[str, Any], sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """Clicks, shortcuts, submissions and closings have every field of Slack's."""
    people = sandbox.workspace
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="card", blocks=[actions(button(value="1"))]))["ts"]
    said = await people.say("developer", "support", "@support-agent test")
    await people.click("oncall", "support", ts, "go")
    await people.shortcut("oncall", "from_message", "support", said.ts)
    await people.shortcut("oncall", "open")
    form = modal(
        field({"type": "plain_text_input", "action_id": "words"}, block_id="f", optional=True),
        notify_on_close=True,
        close={"type": "plain_text", "text": "Cancel"},
    )
    for _ in range(2):
        await people.command("oncall", "support", "/incident")
        view = await slack.views_open(trigger_id=bot.received[-1].payload["trigger_id"], view=form)
    bot.replies_with({"response_action": "errors", "errors": {"f": "no"}})
    await people.submit_view("oncall", view["view"]["id"], {"f": {"words": "test"}})
    bot.replies_with()
    await people.close_view("oncall", view["view"]["id"])

    submission = fixtures["test_view_submission.body"]
    submission["view"]["state"] = {"values": {}}
    submission["view"].pop("previous_view_id")
    for real, kind in (
        (fixtures["test_block_actions.body"], "block_actions"),
        (fixtures["test_shortcut.global_shortcut_body"], "shortcut"),
        (fixtures["test_shortcut.message_shortcut_body"], "message_action"),
        (submission, "view_submission"),
        (fixtures["test_view_closed.body"], "view_closed"),
    ):
        assert missing(real, bot.interactions(kind)[-1]) == [], kind


async def test_commands(sandbox: Sandbox, bot: TinyBot) -> None:
    """A slash command has exactly the fields of Slack's documentation."""
    await sandbox.workspace.command("developer", "support", "/incident clerk down")
    assert set(bot.received[0].payload) == {
        "token", "team_id", "team_domain", "channel_id", "channel_name", "user_id", "user_name", "command", "text",
        "api_app_id", "is_enterprise_install", "response_url", "trigger_id",
    }  # fmt: skip


async def test_block_actions_say_that_there_is_no_enterprise(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """enterprise is null and is_enterprise_install false, which Bolt reads."""
    ts = (await slack.chat_postMessage(channel="C0SUPPORT", text="card", blocks=[actions(button())]))["ts"]
    await sandbox.workspace.click("oncall", "support", ts, "go")
    payload = bot.interactions("block_actions")[0]
    assert (payload["enterprise"], payload["is_enterprise_install"]) == (None, False)
    assert payload["actions"][0]["action_ts"] > ts
