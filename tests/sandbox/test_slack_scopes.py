"""Scopes and subscriptions come from the manifest: what is not in it does not work."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ConfigError
from bot.sandbox.methods import all_methods
from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import SIGNING_SECRET, TOKEN, TinyBot, manifest


@pytest.fixture
def app_manifest() -> dict[str, Any]:
    """An app that may not see e-mail addresses, not make private channels, and not hear of reactions."""
    return manifest(without_scopes=("users:read.email", "groups:write", "reactions:write"), without_events=("reaction_added",))


async def test_a_missing_scope_is_named(slack: AsyncWebClient) -> None:
    """needed says which scope is missing, provided what there is."""
    with pytest.raises(SlackApiError) as refused:
        await slack.reactions_add(channel="C0SUPPORT", timestamp="1.1", name="eyes")
    answer = refused.value.response
    assert (answer["error"], answer["needed"]) == ("missing_scope", "reactions:write")
    assert "chat:write" in answer["provided"].split(",")


async def test_the_scope_depends_on_the_kind_of_channel(slack: AsyncWebClient) -> None:
    """channels:manage makes public channels; private ones need groups:write."""
    assert (await slack.conversations_create(name="open-room"))["ok"]
    with pytest.raises(SlackApiError) as refused:
        await slack.conversations_create(name="closed-room", is_private=True)
    assert refused.value.response["needed"] == "groups:write"


async def test_addresses_are_hidden_without_their_scope(slack: AsyncWebClient) -> None:
    """users.info leaves the e-mail out, users.lookupByEmail is refused."""
    user = (await slack.users_info(user="U0ONCALL"))["user"]
    assert "email" not in user["profile"]
    with pytest.raises(SlackApiError, match="missing_scope"):
        await slack.users_lookupByEmail(email="oncall@example.com")


async def test_only_subscribed_events_are_delivered(sandbox: Sandbox, bot: TinyBot) -> None:
    """The bot hears the message but not the reaction."""
    said = await sandbox.workspace.say("developer", "support", "hello")
    await sandbox.workspace.react("oncall", "support", said.ts or "", "eyes")
    await sandbox.settled()
    assert bot.events("message")
    assert not bot.events("reaction_added")


async def test_writing_in_public_without_being_a_member_needs_its_scope() -> None:
    """chat:write.public lets the bot post where it is not; without it the answer is not_in_channel."""
    wide = manifest()
    wide["oauth_config"]["scopes"]["bot"].append("chat:write.public")
    sandbox = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=wide)
    await sandbox.start()
    async with aiohttp.ClientSession() as session:
        slack = AsyncWebClient(TOKEN, base_url=sandbox.slack_api_url, session=session)
        await sandbox.workspace.create_channel("cto", "elsewhere")
        assert (await slack.chat_postMessage(channel="#elsewhere", text="hi"))["ok"]
    await sandbox.stop()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (manifest(without_scopes=("channels:history",)), "message.channels needs the scope channels:history"),
        (manifest(without_scopes=("app_mentions:read",)), "app_mention needs the scope app_mentions:read"),
        (manifest(without_scopes=("commands",)), "need the scope commands"),
        ({"settings": {"event_subscriptions": {"bot_events": ["coffee_ready"]}}}, "knows no event coffee_ready"),
    ],
)
def test_a_manifest_that_slack_would_not_install(broken: dict[str, Any], words: str) -> None:
    """The fault is told at start-up, with what is missing."""
    with pytest.raises(ConfigError, match=words):
        Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=broken)


def test_every_method_of_the_sdk_that_a_bot_like_this_needs_is_there() -> None:
    """The stand-in has the methods that the design names."""
    wanted = {
        "auth.test", "bookmarks.add", "bookmarks.edit", "bookmarks.list", "bookmarks.remove", "bots.info", "chat.delete",
        "chat.getPermalink", "chat.postEphemeral", "chat.postMessage", "chat.update", "conversations.archive",
        "conversations.create", "conversations.history", "conversations.info", "conversations.invite", "conversations.join",
        "conversations.kick", "conversations.list", "conversations.members", "conversations.open", "conversations.rename",
        "conversations.replies", "conversations.setPurpose", "conversations.setTopic", "conversations.unarchive",
        "files.completeUploadExternal", "files.getUploadURLExternal", "pins.add", "pins.list", "pins.remove",
        "reactions.add", "reactions.remove", "team.info", "usergroups.list", "usergroups.users.list",
        "users.conversations", "users.info", "users.list", "users.lookupByEmail", "views.open", "views.publish",
        "views.push", "views.update",
    }  # fmt: skip
    assert wanted <= set(all_methods())
