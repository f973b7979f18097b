"""Modals: triggers, the stack, what is typed, what the bot answers, what is told when they close."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import UserError
from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import TinyBot, actions, button, field, modal, option, section, select, text

TITLE = field({"type": "plain_text_input", "action_id": "title", "min_length": 3, "max_length": 10}, block_id="title")
SEVERITY = field(select("SEV1", "SEV2", action_id="severity", initial_option=option("SEV2")), block_id="severity")
FORM = modal(TITLE, SEVERITY, callback_id="incident_form", private_metadata="C0SUPPORT")


async def trigger(sandbox: Sandbox, bot: TinyBot, user: str = "developer") -> str:
    """A fresh trigger id, as a command brings it."""
    await sandbox.workspace.command(user, "support", "/incident")
    return str(bot.received[-1].payload["trigger_id"])


async def opened(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot, view: dict[str, Any] = FORM) -> str:
    """An open form in front of the developer; its id."""
    answer = await slack.views_open(trigger_id=await trigger(sandbox, bot), view=view)
    return str(answer["view"]["id"])


async def refusal_of(call: Any) -> str:
    """The error code with which Slack refuses a call."""
    with pytest.raises(SlackApiError) as refused:
        await call
    return str(refused.value.response["error"])


async def test_a_form_opens_in_front_of_who_asked(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """The view has an id, a hash and the first values."""
    view = (await slack.views_open(trigger_id=await trigger(sandbox, bot), view=FORM))["view"]
    assert [one["id"] for one in sandbox.workspace.views("developer")] == [view["id"]]
    assert sandbox.workspace.views("oncall") == []
    assert (view["callback_id"], view["private_metadata"], view["root_view_id"]) == ("incident_form", "C0SUPPORT", view["id"])
    assert view["state"]["values"]["severity"]["severity"]["selected_option"] == option("SEV2")


async def test_a_trigger_lives_three_seconds_and_once(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """expired_trigger_id when the clock has moved on, exchanged_trigger_id the second time."""
    late = await trigger(sandbox, bot)
    await sandbox.clock.advance(3.1)
    assert await refusal_of(slack.views_open(trigger_id=late, view=FORM)) == "expired_trigger_id"
    used = await trigger(sandbox, bot)
    await slack.views_open(trigger_id=used, view=FORM)
    assert await refusal_of(slack.views_open(trigger_id=used, view=FORM)) == "exchanged_trigger_id"


async def test_a_bad_form_does_not_use_the_trigger_up(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """After invalid_arguments the same trigger still works."""
    given = await trigger(sandbox, bot)
    assert await refusal_of(slack.views_open(trigger_id=given, view=modal())) == "invalid_arguments"
    assert (await slack.views_open(trigger_id=given, view=FORM))["ok"]


async def test_sending_a_form(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """view_submission has the values and the metadata; an empty answer closes the form."""
    view_id = await opened(sandbox, slack, bot)
    result = await sandbox.workspace.submit_view(
        "developer", view_id, {"title": {"title": "clerk down"}, "severity": {"severity": "SEV1"}}
    )
    (payload,) = bot.interactions("view_submission")
    values = payload["view"]["state"]["values"]
    assert result.ok
    assert values["title"]["title"] == {"type": "plain_text_input", "value": "clerk down"}
    assert values["severity"]["severity"] == {"type": "static_select", "selected_option": option("SEV1")}
    assert (payload["view"]["callback_id"], payload["view"]["private_metadata"]) == ("incident_form", "C0SUPPORT")
    assert payload["response_urls"] == []
    assert sandbox.workspace.views("developer") == []


@pytest.mark.parametrize(
    ("title", "words"),
    [(None, "required"), ("", "required"), ("no", "at least 3"), ("x" * 11, "at most 10")],
)
async def test_what_the_client_does_not_send(
    sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot, title: str | None, words: str
) -> None:
    """What is missing, too short or too long is said beside the field; the bot hears nothing."""
    view_id = await opened(sandbox, slack, bot)
    result = await sandbox.workspace.submit_view("developer", view_id, {"title": {"title": title}})
    assert not result.ok
    assert words in result.errors["title"]
    assert bot.interactions("view_submission") == []
    assert len(sandbox.workspace.views("developer")) == 1


@pytest.mark.parametrize(
    ("element", "value", "words"),
    [
        ({"type": "email_text_input", "action_id": "a"}, "nobody", "valid email"),
        ({"type": "url_text_input", "action_id": "a"}, "x.io", "valid URL"),
        ({"type": "number_input", "action_id": "a", "is_decimal_allowed": False}, "1.5", "whole number"),
        ({"type": "number_input", "action_id": "a", "is_decimal_allowed": True}, "many", "valid number"),
        ({"type": "number_input", "action_id": "a", "is_decimal_allowed": True, "min_value": "2"}, "1", "at least 2"),
        ({"type": "number_input", "action_id": "a", "is_decimal_allowed": True, "max_value": "2"}, "3", "at most 2"),
        ({"type": "multi_users_select", "action_id": "a", "max_selected_items": 1}, ["U0CTO", "U0LEAD"], "at most 1"),
    ],
)
async def test_values_that_do_not_fit_their_element(
    sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot, element: dict[str, Any], value: Any, words: str
) -> None:
    """Each kind of input has its own check in Slack's client."""
    view_id = await opened(sandbox, slack, bot, modal(field(element)))
    result = await sandbox.workspace.submit_view("developer", view_id, {"field": {"a": value}})
    assert words in result.errors["field"]


async def test_errors_keep_the_form_open(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """response_action errors is shown beside its fields, what was typed stays."""
    view_id = await opened(sandbox, slack, bot)
    bot.replies_with({"response_action": "errors", "errors": {"title": "Say more."}})
    result = await sandbox.workspace.submit_view("developer", view_id, {"title": {"title": "down"}})
    assert (result.ok, result.errors) == (False, {"title": "Say more."})
    (view,) = sandbox.workspace.views("developer")
    assert view["state"]["values"]["title"]["title"]["value"] == "down"


async def test_update_push_and_clear_as_answers(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """update draws the same view anew, push lays one on top, clear takes all away."""
    people = sandbox.workspace
    view_id = await opened(sandbox, slack, bot)
    sure = modal(section("Sure?"), notify_on_close=True)
    bot.replies_with({"response_action": "update", "view": sure})
    await people.submit_view("developer", view_id, {"title": {"title": "down"}})
    (view,) = people.views("developer")
    assert (view["id"], view["blocks"][0]["text"]["text"]) == (view_id, "Sure?")
    bot.replies_with({"response_action": "push", "view": modal(section("Really?"))})
    await people.submit_view("developer", view_id)
    below, above = people.views("developer")
    assert (above["previous_view_id"], above["root_view_id"]) == (below["id"], below["id"])
    bot.replies_with({"response_action": "clear"})
    await people.submit_view("developer", above["id"])
    assert people.views("developer") == []
    assert [one["view"]["id"] for one in bot.interactions("view_closed")] == [view_id]


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "errors", "errors": {"nowhere": "x"}},
        {"response_action": "errors", "errors": {}},
        {"response_action": "update", "view": modal()},
        {"response_action": "explode"},
        ["no object"],
    ],
)
async def test_an_answer_that_slack_does_not_understand(
    sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot, answer: Any
) -> None:
    """The person sees that something went wrong; the form stays."""
    view_id = await opened(sandbox, slack, bot)
    bot.replies_with(answer)
    result = await sandbox.workspace.submit_view("developer", view_id, {"title": {"title": "down"}})
    assert (result.ok, (result.error or "").startswith("We had some trouble connecting")) == (False, True)
    assert len(sandbox.workspace.views("developer")) == 1


async def test_a_bot_that_fails_leaves_the_form_open(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """A 500 is "We had some trouble connecting. Try again?", and trying again works."""
    view_id = await opened(sandbox, slack, bot)
    bot.replies_with(status=500)
    values = {"title": {"title": "down"}}
    assert (
        await sandbox.workspace.submit_view("developer", view_id, values)
    ).error == "We had some trouble connecting. Try again?"
    bot.replies_with()
    assert (await sandbox.workspace.submit_view("developer", view_id, values)).ok


async def test_updating_an_open_form(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """By id or external id, guarded by the hash; what was typed in blocks that stay is kept."""
    people = sandbox.workspace
    live = modal({**TITLE, "dispatch_action": True}, SEVERITY, external_id="form-1")
    view_id = await opened(sandbox, slack, bot, live)
    await people.view_action("developer", view_id, "title", value="clerk")
    before = people.views("developer")[0]["hash"]
    assert await refusal_of(slack.views_update(view_id=view_id, view=live, hash="old")) == "hash_conflict"
    updated = await slack.views_update(external_id="form-1", view={**live, "blocks": [TITLE]}, hash=before)
    assert updated["view"]["id"] == view_id
    assert updated["view"]["state"]["values"] == {"title": {"title": {"type": "plain_text_input", "value": "clerk"}}}
    assert updated["view"]["hash"] != before
    await people.close_view("developer", view_id)
    assert await refusal_of(slack.views_update(view_id=view_id, view=live)) == "not_found"


async def test_external_ids_are_unique(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """A second view with the same external_id is refused."""
    await opened(sandbox, slack, bot, modal(section(), external_id="one"))
    given = await trigger(sandbox, bot, "oncall")
    other = modal(section(), external_id="one")
    assert await refusal_of(slack.views_open(trigger_id=given, view=other)) == "duplicate_external_id"


async def test_three_forms_can_be_on_top_of_each_other(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """views.push needs a trigger from inside a form; the fourth is one too many."""
    people = sandbox.workspace
    deep = modal(actions(button("deeper")))
    view_id = await opened(sandbox, slack, bot, deep)
    outside = await trigger(sandbox, bot)
    assert await refusal_of(slack.views_push(trigger_id=outside, view=deep)) == "invalid_trigger_id"
    for _ in range(2):
        await people.view_action("developer", view_id, "deeper")
        inside = bot.interactions("block_actions")[-1]["trigger_id"]
        view_id = (await slack.views_push(trigger_id=inside, view=deep))["view"]["id"]
    await people.view_action("developer", view_id, "deeper")
    inside = bot.interactions("block_actions")[-1]["trigger_id"]
    assert await refusal_of(slack.views_push(trigger_id=inside, view=deep)) == "push_limit_reached"
    assert len(people.views("developer")) == 3


async def test_an_action_in_a_form(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """The payload has the view with what is filled in, and neither channel, message nor response_url."""
    people = sandbox.workspace
    view_id = await opened(sandbox, slack, bot, modal(TITLE, {**SEVERITY, "dispatch_action": True}))
    await people.view_action("developer", view_id, "severity", values={"title": {"title": "clerk"}}, selected_option="SEV1")
    (payload,) = bot.interactions("block_actions")
    assert payload["container"] == {"type": "view", "view_id": view_id}
    assert payload["actions"][0]["selected_option"] == option("SEV1")
    assert payload["view"]["state"]["values"]["title"]["title"]["value"] == "clerk"
    assert not {"channel", "message", "response_url"} & payload.keys()
    with pytest.raises(UserError, match="sent with the form"):
        await people.view_action("developer", view_id, "title", value="x")


@pytest.mark.parametrize(("notify", "told"), [(True, 1), (False, 0)])
async def test_closing_is_told_only_if_asked_for(
    sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot, notify: bool, told: int
) -> None:
    """view_closed comes with notify_on_close and else not."""
    view_id = await opened(sandbox, slack, bot, modal(section(), notify_on_close=notify))
    await sandbox.workspace.close_view("developer", view_id)
    assert len(bot.interactions("view_closed")) == told
    assert sandbox.workspace.views("developer") == []
    with pytest.raises(UserError, match="has no form"):
        await sandbox.workspace.close_view("developer", view_id)


async def test_a_form_without_submit_cannot_be_sent(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """It only shows something."""
    view_id = await opened(sandbox, slack, bot, {"type": "modal", "title": text("Help"), "blocks": [section()]})
    with pytest.raises(UserError, match="no button"):
        await sandbox.workspace.submit_view("developer", view_id)


async def test_a_form_with_a_conversation_brings_its_response_url(sandbox: Sandbox, slack: AsyncWebClient, bot: TinyBot) -> None:
    """response_url_enabled gives the submission a URL for the chosen channel."""
    chooser = {"type": "conversations_select", "action_id": "where", "response_url_enabled": True}
    view_id = await opened(sandbox, slack, bot, modal(field(chooser)))
    await sandbox.workspace.submit_view("developer", view_id, {"field": {"where": "C0GENERAL"}})
    (url,) = bot.interactions("view_submission")[0]["response_urls"]
    assert (url["block_id"], url["action_id"], url["channel_id"]) == ("field", "where", "C0GENERAL")
    assert url["response_url"].startswith(sandbox.url)
