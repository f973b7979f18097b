"""Known answers of the Web API, asked for with Slack's own client: what is taken, and what is refused with which code."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import TOKEN, actions, button, modal, section

DIVIDER = {"type": "divider"}
NOTE = {"event_type": "incident", "event_payload": {"key": "k"}}

# (method, arguments, refusal or None); {names} are filled in from the scene
ANSWERS: list[tuple[str, dict[str, Any], str | None]] = [
    ("auth.test", {}, None),
    ("api.test", {"foo": "bar"}, None),
    ("api.test", {"error": "my_error"}, "my_error"),
    ("no.such.method", {}, "unknown_method"),
    ("team.info", {}, None),
    ("team.info", {"team": "T999"}, "team_not_found"),
    ("bots.info", {"bot": "B0MUSTER"}, None),
    ("bots.info", {"bot": "B999"}, "bot_not_found"),
    # chat.postMessage
    ("chat.postMessage", {"channel": "{room}", "text": "hi"}, None),
    ("chat.postMessage", {"channel": "#support", "text": "hi"}, None),
    ("chat.postMessage", {"channel": "support", "text": "hi"}, None),
    ("chat.postMessage", {"channel": "U0ONCALL", "text": "hi"}, None),
    ("chat.postMessage", {"channel": "{room}", "blocks": [DIVIDER]}, None),
    ("chat.postMessage", {"channel": "{room}", "text": "hi", "metadata": NOTE}, None),
    ("chat.postMessage", {"channel": "{room}", "markdown_text": "**hi**"}, None),
    ("chat.postMessage", {"channel": "{room}", "text": "x" * 50_000}, None),
    ("chat.postMessage", {"channel": "{room}", "text": "hi", "thread_ts": "{ts}"}, None),
    ("chat.postMessage", {"channel": "{room}", "attachments": [{"text": "a"}]}, None),
    ("chat.postMessage", {"text": "hi"}, "channel_not_found"),
    ("chat.postMessage", {"channel": "C999", "text": "hi"}, "channel_not_found"),
    ("chat.postMessage", {"channel": "{private}", "text": "hi"}, "channel_not_found"),
    ("chat.postMessage", {"channel": "{elsewhere}", "text": "hi"}, "not_in_channel"),
    ("chat.postMessage", {"channel": "{archived}", "text": "hi"}, "is_archived"),
    ("chat.postMessage", {"channel": "U0MUSTER", "text": "hi"}, "cannot_dm_bot"),
    ("chat.postMessage", {"channel": "{room}"}, "no_text"),
    ("chat.postMessage", {"channel": "{room}", "text": ""}, "no_text"),
    ("chat.postMessage", {"channel": "{room}", "blocks": [{"type": "marquee"}]}, "invalid_blocks"),
    ("chat.postMessage", {"channel": "{room}", "blocks": [DIVIDER] * 51}, "invalid_blocks"),
    ("chat.postMessage", {"channel": "{room}", "blocks": "no json"}, "invalid_blocks_format"),
    ("chat.postMessage", {"channel": "{room}", "blocks": [section("x" * 3000)] * 5}, "msg_blocks_too_long"),
    ("chat.postMessage", {"channel": "{room}", "text": "hi", "thread_ts": "1.000001"}, "thread_not_found"),
    ("chat.postMessage", {"channel": "{room}", "text": "hi", "thread_ts": "first"}, "invalid_thread_ts"),
    ("chat.postMessage", {"channel": "{room}", "text": "a", "markdown_text": "b"}, "markdown_text_conflict"),
    ("chat.postMessage", {"channel": "{room}", "markdown_text": "x" * 12_001}, "msg_too_long"),
    ("chat.postMessage", {"channel": "{room}", "text": "a", "attachments": [{}] * 101}, "too_many_attachments"),
    ("chat.postMessage", {"channel": "{room}", "text": "a", "metadata": {"event_type": "a"}}, "invalid_metadata_format"),
    ("chat.postMessage", {"channel": "{room}", "text": "a", "metadata": "no json"}, "invalid_metadata_format"),
    (
        "chat.postMessage",
        {"channel": "{room}", "text": "a", "metadata": {"event_type": "a", "event_payload": {"x": "x" * 16_400}}},
        "metadata_too_large",
    ),
    ("chat.postMessage", {"channel": "{room}", "text": "a", "username": "Somebody"}, "missing_scope"),
    # chat.update, delete, ephemeral, permalink
    ("chat.update", {"channel": "{room}", "ts": "{ts}", "text": "new"}, None),
    ("chat.update", {"channel": "{room}", "ts": "{ts}", "blocks": [DIVIDER]}, None),
    ("chat.update", {"channel": "{room}", "ts": "{ts}"}, "no_text"),
    ("chat.update", {"channel": "{room}", "ts": "{ts}", "text": "x" * 4001}, "msg_too_long"),
    ("chat.update", {"channel": "{room}", "ts": "1.000001", "text": "new"}, "message_not_found"),
    ("chat.update", {"channel": "{room}", "ts": "{theirs}", "text": "new"}, "cant_update_message"),
    ("chat.update", {"channel": "{archived}", "ts": "{last}", "text": "new"}, "is_inactive"),
    ("chat.update", {"channel": "#support", "ts": "{ts}", "text": "new"}, "channel_not_found"),
    ("chat.delete", {"channel": "{room}", "ts": "{ts}"}, None),
    ("chat.delete", {"channel": "{room}", "ts": "{theirs}"}, "cant_delete_message"),
    ("chat.delete", {"channel": "{room}", "ts": "1.000001"}, "message_not_found"),
    ("chat.postEphemeral", {"channel": "{room}", "user": "U0DEVELOPER", "text": "psst"}, None),
    ("chat.postEphemeral", {"channel": "{room}", "user": "U0CTO", "text": "psst"}, "user_not_in_channel"),
    ("chat.postEphemeral", {"channel": "{elsewhere}", "user": "U0CTO", "text": "psst"}, "not_in_channel"),
    ("chat.postEphemeral", {"channel": "{room}", "user": "U0DEVELOPER"}, "no_text"),
    ("chat.getPermalink", {"channel": "{room}", "message_ts": "{ts}"}, None),
    ("chat.getPermalink", {"channel": "{room}", "message_ts": "1.000001"}, "message_not_found"),
    # conversations.create and rename
    ("conversations.create", {"name": "inc-20261120-clerk-down-1"}, None),
    ("conversations.create", {"name": "secret_1", "is_private": True}, None),
    ("conversations.create", {"name": "x" * 80}, None),
    ("conversations.create", {"name": "x" * 81}, "invalid_name_maxlength"),
    ("conversations.create", {"name": ""}, "invalid_name_required"),
    ("conversations.create", {"name": "---"}, "invalid_name_punctuation"),
    ("conversations.create", {"name": "Upper"}, "invalid_name_specials"),
    ("conversations.create", {"name": "a b"}, "invalid_name_specials"),
    ("conversations.create", {"name": "a.b"}, "invalid_name_specials"),
    ("conversations.create", {"name": "support"}, "name_taken"),
    ("conversations.create", {"name": "old-room"}, "name_taken"),
    ("conversations.rename", {"channel": "{room}", "name": "room-2"}, None),
    ("conversations.rename", {"channel": "{room}", "name": "support"}, "name_taken"),
    ("conversations.rename", {"channel": "C0SUPPORT", "name": "helpdesk"}, "not_authorized"),
    ("conversations.rename", {"channel": "{elsewhere}", "name": "mine"}, "not_in_channel"),
    # conversations: looking
    ("conversations.info", {"channel": "{elsewhere}"}, None),
    ("conversations.info", {"channel": "{private}"}, "channel_not_found"),
    ("conversations.info", {"channel": "support"}, "channel_not_found"),
    ("conversations.list", {"types": "public_channel,private_channel,im", "limit": 1000}, None),
    ("conversations.list", {"types": "public_channel,team"}, "invalid_types"),
    ("conversations.list", {"limit": 1001}, "invalid_limit"),
    ("conversations.list", {"cursor": "nonsense"}, "invalid_cursor"),
    ("users.conversations", {"user": "U0ONCALL"}, None),
    ("users.conversations", {"user": "U999"}, "user_not_found"),
    ("conversations.history", {"channel": "{room}"}, None),
    ("conversations.history", {"channel": "{elsewhere}"}, "not_in_channel"),
    ("conversations.history", {"channel": "{private}"}, "channel_not_found"),
    ("conversations.history", {"channel": "{room}", "oldest": "yesterday"}, "invalid_ts_oldest"),
    ("conversations.history", {"channel": "{room}", "latest": "now"}, "invalid_ts_latest"),
    ("conversations.replies", {"channel": "{room}", "ts": "{ts}"}, None),
    ("conversations.replies", {"channel": "{room}", "ts": "1.000001"}, "thread_not_found"),
    ("conversations.members", {"channel": "{room}"}, None),
    ("conversations.members", {"channel": "{private}"}, "channel_not_found"),
    # conversations: who is in it
    ("conversations.invite", {"channel": "{room}", "users": "U0ONCALL,U0LEAD"}, None),
    ("conversations.invite", {"channel": "{room}", "users": "U0ONCALL,U999", "force": True}, None),
    ("conversations.invite", {"channel": "{room}", "users": ""}, "no_user"),
    ("conversations.invite", {"channel": "{room}", "users": "U999"}, "user_not_found"),
    ("conversations.invite", {"channel": "{room}", "users": "U0MUSTER"}, "cant_invite_self"),
    ("conversations.invite", {"channel": "{room}", "users": "U0DEVELOPER"}, "already_in_channel"),
    ("conversations.invite", {"channel": "{room}", "users": ",".join(f"U{n}" for n in range(101))}, "too_many_users"),
    ("conversations.invite", {"channel": "{elsewhere}", "users": "U0ONCALL"}, "not_in_channel"),
    ("conversations.invite", {"channel": "{archived}", "users": "U0ONCALL"}, "is_archived"),
    ("conversations.join", {"channel": "{elsewhere}"}, None),
    ("conversations.join", {"channel": "{room}"}, None),
    ("conversations.join", {"channel": "{private}"}, "channel_not_found"),
    ("conversations.join", {"channel": "{archived}"}, "is_archived"),
    ("conversations.leave", {"channel": "{room}"}, None),
    ("conversations.leave", {"channel": "C0GENERAL"}, "cant_leave_general"),
    ("conversations.kick", {"channel": "{room}", "user": "U0DEVELOPER"}, None),
    ("conversations.kick", {"channel": "{room}", "user": "U0MUSTER"}, "cant_kick_self"),
    ("conversations.kick", {"channel": "{room}", "user": "U0CTO"}, "not_in_channel"),
    ("conversations.kick", {"channel": "C0GENERAL", "user": "U0CTO"}, "cant_kick_from_general"),
    ("conversations.open", {"users": "U0ONCALL"}, None),
    ("conversations.open", {"users": "U0ONCALL,U0LEAD"}, None),
    ("conversations.open", {}, "users_list_not_supplied"),
    ("conversations.open", {"users": "U999"}, "user_not_found"),
    ("conversations.open", {"users": "U0MUSTER"}, "cannot_dm_bot"),
    ("conversations.open", {"users": ",".join(["U0ONCALL"] * 9)}, "too_many_users"),
    # conversations: changing
    ("conversations.archive", {"channel": "{room}"}, None),
    ("conversations.archive", {"channel": "{archived}"}, "already_archived"),
    ("conversations.archive", {"channel": "C0GENERAL"}, "cant_archive_general"),
    ("conversations.archive", {"channel": "{elsewhere}"}, "not_in_channel"),
    ("conversations.archive", {"channel": "{direct}"}, "method_not_supported_for_channel_type"),
    ("conversations.unarchive", {"channel": "{archived}"}, "not_in_channel"),
    ("conversations.unarchive", {"channel": "{room}"}, "not_archived"),
    ("conversations.setTopic", {"channel": "{room}", "topic": "x" * 250}, None),
    ("conversations.setTopic", {"channel": "{room}", "topic": "x" * 251}, "too_long"),
    ("conversations.setTopic", {"channel": "{room}"}, "invalid_arguments"),
    ("conversations.setTopic", {"channel": "{elsewhere}", "topic": "t"}, "not_in_channel"),
    ("conversations.setTopic", {"channel": "{archived}", "topic": "t"}, "is_archived"),
    ("conversations.setPurpose", {"channel": "{room}", "purpose": "p"}, None),
    # people
    ("users.info", {"user": "U0ONCALL"}, None),
    ("users.info", {"user": "oncall"}, "user_not_found"),
    ("users.list", {}, None),
    ("users.lookupByEmail", {"email": "OnCall@example.com"}, None),
    ("users.lookupByEmail", {"email": "nobody@example.com"}, "users_not_found"),
    ("usergroups.list", {"include_users": True}, None),
    ("usergroups.users.list", {"usergroup": "S0RESPONDERS"}, None),
    ("usergroups.users.list", {"usergroup": "S999"}, "no_such_subteam"),
    # bookmarks, pins, reactions
    ("bookmarks.add", {"channel_id": "{room}", "title": "Runbook", "type": "link", "link": "https://x.io"}, None),
    (
        "bookmarks.add",
        {"channel_id": "{room}", "title": "Runbook", "type": "file", "link": "https://x.io"},
        "invalid_bookmark_type",
    ),
    ("bookmarks.add", {"channel_id": "{room}", "title": "Runbook", "type": "link", "link": "x.io"}, "invalid_link"),
    (
        "bookmarks.add",
        {"channel_id": "{room}", "title": "R", "type": "link", "link": "https://x.io", "emoji": "book"},
        "invalid_emoji",
    ),
    ("bookmarks.add", {"channel_id": "{room}", "type": "link", "link": "https://x.io"}, "invalid_arguments"),
    ("bookmarks.add", {"channel_id": "{private}", "title": "R", "type": "link", "link": "https://x.io"}, "channel_not_found"),
    ("bookmarks.edit", {"channel_id": "{room}", "bookmark_id": "Bk999", "title": "New"}, "not_found"),
    ("bookmarks.remove", {"channel_id": "{room}", "bookmark_id": "Bk999"}, "not_found"),
    ("bookmarks.list", {"channel_id": "{room}"}, None),
    ("pins.add", {"channel": "{room}", "timestamp": "{ts}"}, None),
    ("pins.add", {"channel": "{room}"}, "no_item_specified"),
    ("pins.add", {"channel": "{room}", "timestamp": "1.000001"}, "message_not_found"),
    ("pins.remove", {"channel": "{room}", "timestamp": "{ts}"}, "no_pin"),
    ("pins.list", {"channel": "{room}"}, None),
    ("reactions.add", {"channel": "{room}", "timestamp": "{ts}", "name": "white_check_mark"}, None),
    ("reactions.add", {"channel": "{room}", "timestamp": "{ts}", "name": "not an emoji"}, "invalid_name"),
    ("reactions.add", {"channel": "{room}", "timestamp": "1.000001", "name": "eyes"}, "message_not_found"),
    ("reactions.remove", {"channel": "{room}", "timestamp": "{ts}", "name": "eyes"}, "no_reaction"),
    # views and files
    ("views.open", {"trigger_id": "1.2.three", "view": modal(section())}, "invalid_trigger_id"),
    ("views.update", {"view_id": "V999", "view": modal(section())}, "not_found"),
    ("views.update", {"view": modal(section())}, "invalid_arguments"),
    ("views.publish", {"user_id": "U0ONCALL", "view": {"type": "home", "blocks": [section()]}}, None),
    ("views.publish", {"user_id": "U0ONCALL", "view": modal(section())}, "invalid_arguments"),
    ("views.publish", {"user_id": "U999", "view": {"type": "home", "blocks": [section()]}}, "user_not_found"),
    ("files.getUploadURLExternal", {"filename": "report.md", "length": 5}, None),
    ("files.getUploadURLExternal", {"filename": "report.md", "length": 0}, "missing_argument"),
    ("files.completeUploadExternal", {"files": [{"id": "F999"}], "channel_id": "{room}"}, "file_not_found"),
]


@pytest.fixture
async def scene(sandbox: Sandbox, slack: AsyncWebClient) -> dict[str, str]:
    """A room of the bot's with a message of each side, an archived one, and channels that the bot is not in."""
    people = sandbox.workspace
    room = (await slack.conversations_create(name="room"))["channel"]["id"]
    old = (await slack.conversations_create(name="old-room"))["channel"]["id"]
    last = (await slack.chat_postMessage(channel=old, text="bye"))["ts"]
    await slack.conversations_archive(channel=old)
    await slack.conversations_invite(channel=room, users="U0DEVELOPER")
    ts = (await slack.chat_postMessage(channel=room, text="hello", blocks=[actions(button())]))["ts"]
    theirs = (await people.say("developer", "room", "hello yourself")).ts
    await people.create_channel("cto", "elsewhere")
    await people.create_channel("cto", "board", is_private=True)
    return {
        "room": room,
        "archived": old,
        "last": str(last),
        "ts": str(ts),
        "theirs": str(theirs),
        "elsewhere": people.channel("elsewhere").id,
        "private": people.channel("board").id,
        "direct": people.im("oncall").id,
    }


def filled(arguments: dict[str, Any], scene: dict[str, str]) -> dict[str, Any]:
    """The arguments with the scene's ids in them."""
    names = {f"{{{name}}}": value for name, value in scene.items()}
    return {key: names.get(value, value) if isinstance(value, str) else value for key, value in arguments.items()}


def as_parameters(arguments: dict[str, Any]) -> dict[str, str]:
    """The arguments as slack_sdk puts them into a query or a form: structures as JSON strings."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in arguments.items()}


@pytest.mark.parametrize(("method", "arguments", "refusal"), ANSWERS)
async def test_known_answers(
    method: str, arguments: dict[str, Any], refusal: str | None, scene: dict[str, str], slack: AsyncWebClient
) -> None:
    """A JSON body gets Slack's documented answer."""
    if refusal is None:
        assert (await slack.api_call(method, json=filled(arguments, scene)))["ok"]
        return
    with pytest.raises(SlackApiError) as refused:
        await slack.api_call(method, json=filled(arguments, scene))
    assert refused.value.response["error"] == refusal


@pytest.mark.parametrize(
    ("method", "arguments", "refusal"),
    [one for one in ANSWERS if one[0] in ("chat.postMessage", "conversations.invite", "views.publish")],
)
@pytest.mark.parametrize("how", ["query", "form", "get"])
async def test_the_same_answers_however_they_are_sent(
    how: str, method: str, arguments: dict[str, Any], refusal: str | None, scene: dict[str, str], slack: AsyncWebClient
) -> None:
    """Query, form and JSON arguments are one: slack_sdk mixes them. (50,000 characters do not fit into a URL.)"""
    parameters = as_parameters(filled(arguments, scene))
    if how != "form" and sum(map(len, parameters.values())) > 4000:
        how = "form"
    try:
        if how == "form":
            answer = await slack.api_call(method, data=parameters)
        else:
            answer = await slack.api_call(method, http_verb="GET" if how == "get" else "POST", params=parameters)
        error = answer.get("error")
    except SlackApiError as refused:
        error = refused.response["error"]
    assert error == refusal


async def test_tokens(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """No token, a wrong one and a revoked one each have their own code."""

    async def refusal(token: str | None) -> str:
        with pytest.raises(SlackApiError) as refused:
            await AsyncWebClient(token, base_url=sandbox.slack_api_url).auth_test()
        return str(refused.value.response["error"])

    assert await refusal(None) == "not_authed"
    assert await refusal("xoxb-wrong") == "invalid_auth"
    sandbox.revoke_token()
    with pytest.raises(SlackApiError, match="token_revoked"):
        await slack.chat_postMessage(channel="C0SUPPORT", text="hi")


async def test_answers_name_the_scopes_of_a_good_token(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """X-OAuth-Scopes is how an app learns what it was granted; a bad token learns nothing."""
    headers = (await slack.auth_test()).headers
    assert {"chat:write", "channels:manage"} <= set(headers["X-OAuth-Scopes"].split(","))
    with pytest.raises(SlackApiError) as refused:
        await AsyncWebClient("xoxb-wrong", base_url=sandbox.slack_api_url).auth_test()
    assert "X-OAuth-Scopes" not in refused.value.response.headers


async def test_refusals_come_with_http_200(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """Slack says no inside a 200; only the rate limit has a status of its own."""
    with pytest.raises(SlackApiError) as refused:
        await slack.conversations_info(channel="C999")
    assert refused.value.response.status_code == 200


async def test_invalid_blocks_say_why(slack: AsyncWebClient) -> None:
    """The reason and the place are in response_metadata, as Slack's are."""
    with pytest.raises(SlackApiError) as refused:
        await slack.chat_postMessage(channel="C0SUPPORT", text="hi", blocks=[section(), section("x" * 3001)])
    messages = refused.value.response["response_metadata"]["messages"]
    assert messages == ["[ERROR] must be less than 3001 characters [json-pointer:/blocks/1/text/text]"]


async def test_a_multipart_body_and_a_token_in_it(sandbox: Sandbox) -> None:
    """Arguments in multipart/form-data count, and so does the token among them."""
    with aiohttp.MultipartWriter("form-data") as parts:
        for name, value in (("token", TOKEN), ("channel", "C0SUPPORT"), ("blocks", json.dumps([DIVIDER]))):
            parts.append(value).set_content_disposition("form-data", name=name)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.slack_api_url}chat.postMessage", data=parts) as response,
    ):
        assert (await response.json())["ok"]
    assert sandbox.workspace.messages("support")[0]["blocks"][0]["type"] == "divider"
    assert "token" not in sandbox.calls[0].arguments


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        ("application/json", b"{", "invalid_json"),
        ("application/json", b"[" * 200_000, "invalid_json"),
        ("application/json", b"[]", "json_not_object"),
        ("text/xml", b"<a/>", "invalid_post_type"),
        ("application/json", b'{"channel": ["C0SUPPORT"], "text": "hi"}', "invalid_arguments"),
        ("application/json", b'{"channel": "C0SUPPORT", "text": "hi", "thread_ts": "1.1"}', "thread_not_found"),
    ],
)
async def test_bodies_that_are_none(sandbox: Sandbox, content_type: str, body: bytes, error: str) -> None:
    """Each has Slack's own code, and none of them is a 500."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
    url = f"{sandbox.slack_api_url}chat.postMessage"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        assert (response.status, (await response.json())["error"]) == (200, error)
