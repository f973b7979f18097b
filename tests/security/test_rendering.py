"""What foreign text may do in Slack: be read. It calls nobody, links nowhere, unfolds nothing and formats nothing but itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.domain.outcome import Risk
from bot.domain.run import Run
from bot.domain.runbook import Runbook
from bot.sandbox.models import TEAM_ID
from bot.slack.blocks.runs import _params
from bot.slack.blocks.texts import draw_runbook
from tests.scenarios.conftest import Stage, said
from tests.security.support import click_of, event_of, message_of, one_incident, outage, send

HOSTILE = "<!channel> <!subteam^S1> <@U0CTO> <https://evil.example|Approve> &lt;!here&gt; ``` `x` *b* > q evil.example"
MARKUP = ("<!channel", "<!here", "<!everyone", "<!subteam", "<@U0CTO", "<https://evil", "<http://evil")


async def everything_is_said(stage: Stage) -> Any:
    """An incident with hostile words wherever a person can leave some."""
    await stage.workspace.command("developer", "support", f"/incident clerk down {HOSTILE}")
    room = await stage.room()
    await stage.wait(lambda: "Diagnose again" in said(stage.card(room.name)), "the whole diagnosis")
    incident = await one_incident(stage)
    view = {
        "id": "V1",
        "hash": "1",
        "type": "modal",
        "callback_id": "skip_reason",
        "private_metadata": json.dumps(
            {"target": f"{incident.id}/{incident.runbook.checklist[0].id if incident.runbook else ''}"}
        ),
        "state": {"values": {"reason": {"value": {"value": HOSTILE}}}},
    }
    await send(stage, {"type": "view_submission", "team": {"id": TEAM_ID}, "user": {"id": "U0DEVELOPER"}, "view": view})
    await stage.sees(room.name, "skipped:")
    for typed in (f"/incident stauts {HOSTILE}", "/incident list", "/incident status", f"/runbook {HOSTILE}"):
        await stage.workspace.command("developer", room.name, typed)
    asked = await stage.workspace.say("developer", "support", f"@muster lits {HOSTILE}")
    await stage.wait(lambda: len(stage.messages("support", thread_ts=asked.ts)) > 1, "the answer to the mention")
    await stage.sees("incidents", f"<#{room.id}>")
    await stage.idle()
    await stage.sandbox.settled()
    return room


async def test_nothing_is_a_mention_a_link_or_an_unfolded_page(stage: Stage) -> None:
    """No link_names, no parse, unfurling off on every post, no markdown block, every mrkdwn verbatim, nothing unescaped."""
    await everything_is_said(stage)
    posts = [call for call in stage.sandbox.calls if call.method in ("chat.postMessage", "chat.update", "response_url")]
    assert len(posts) > 5
    for call in posts:
        assert not {"link_names", "parse", "mrkdwn", "attachments", "markdown_text", "username", "icon_url"} & set(call.arguments)
        if call.method == "chat.postMessage":
            assert call.arguments["unfurl_links"] in (False, "false")
            assert call.arguments["unfurl_media"] in (False, "false")
        blocks = call.structure("blocks") or []
        assert [block for block in blocks if block["type"] in ("markdown", "image", "rich_text", "video")] == []
        assert all(text.get("verbatim") is True for text in texts(blocks) if text["type"] == "mrkdwn")
    everything = json.dumps([call.arguments for call in stage.sandbox.calls])
    answers = "\n".join(attempt.body.decode() for one in stage.sandbox.deliveries for attempt in one.attempts)
    for markup in MARKUP:
        assert markup not in answers, markup
        for call in stage.sandbox.calls:
            shown = [call.arguments.get("text", ""), call.arguments.get("topic", "")]
            shown += [text["text"] for text in texts(call.structure("blocks") or []) if text["type"] == "mrkdwn"]
            assert [text for text in shown if markup in str(text)] == []
    assert "&amp;lt;!here&amp;gt;" in everything


def texts(value: Any) -> list[dict[str, Any]]:
    """Every text object of some blocks."""
    if isinstance(value, dict):
        own = [value] if value.get("type") in ("mrkdwn", "plain_text") and isinstance(value.get("text"), str) else []
        return own + [text for item in value.values() for text in texts(item)]
    return [text for item in value for text in texts(item)] if isinstance(value, list) else []


async def test_buttons_and_confirmations_hold_no_word_of_a_person(stage: Stage) -> None:
    """Their labels come from files and from us; their values are ids."""
    room = await everything_is_said(stage)
    for message in stage.messages(room.name):
        for block in message.get("blocks", []):
            for element in [*block.get("elements", []), block.get("accessory", {})]:
                if element.get("type") == "button":
                    assert "evil" not in json.dumps(element)
                    assert "url" not in element


@pytest.mark.parametrize(
    "text", ["```clerk down```", "`clerk down`", "> clerk down", "&gt; clerk down", "<https://x.example|clerk.down>"]
)
async def test_what_is_quoted_or_code_calls_nobody(stage: Stage, text: str) -> None:
    """Somebody shows what was said or logged elsewhere; a word after it is heard all the same."""
    await send(stage, event_of(message_of(text, ts="4.1")))
    await send(stage, event_of(message_of("is clerk down?", ts="4.2"), event_id="Ev2"))
    await stage.wait(
        lambda: [one for one in stage.called("chat.postMessage") if one.ended_at], "the answer to the second message"
    )
    assert stage.rooms() == []
    assert [call.arguments["thread_ts"] for call in stage.called("chat.postMessage")] == ["4.2"]


def test_the_fall_back_of_a_runbook_is_escaped(catalog: Any) -> None:
    """It is the text that notifications show, and mrkdwn."""
    runbook: Runbook = catalog.runbooks["clerk-auth-outage"].model_copy(update={"title": "A <!channel> & B"})
    assert draw_runbook(runbook, ()).text == "Runbook: A &lt;!channel&gt; &amp; B"


def test_a_parameter_cannot_leave_its_code(catalog: Any) -> None:
    """A backtick in a value would end the code span and begin markup."""
    run = Run(
        id="r1",
        step_id="s",
        action="a",
        title="t",
        risk=Risk.READ,
        params={"a": "x` <!channel> *b* `"},
        params_digest="",
        requested=None,  # type: ignore[arg-type]
    )
    shown = _params(run)
    assert shown.count("`") == 2
    assert "<" not in shown


async def test_a_refusal_shows_what_a_provider_said_as_text(stage: Stage) -> None:
    """Slack's own error words, in the answer to a person."""
    stage.sandbox.faults.add("views.open", "error", error="<!channel>")
    await stage.click("developer", "support", await nearest(stage), "open_words")
    answer = await stage.sees("support", "did not work", user="developer")
    assert "<!channel>" not in said(answer)


async def nearest(stage: Stage) -> dict[str, Any]:
    """An answer with a button that opens the form."""
    await stage.workspace.command("developer", "support", "/incident stauts")
    return await stage.sees("support", "Did you mean", user="developer")


async def test_a_forged_mention_in_an_id_is_not_shown(stage: Stage) -> None:
    """An id that is markup is no id: Slack knows no such person, and nobody is named."""
    room = await outage(stage)
    incident = await one_incident(stage)
    for user in ("U1> <!channel", "<!here>", "U0CTO|x> <!everyone"):
        await send(stage, click_of("acknowledge", incident.id, user=user, channel=room.id))
    assert (await one_incident(stage)).acknowledged is None
    assert "<!channel" not in json.dumps([call.arguments for call in stage.sandbox.calls if call.method.startswith("chat.")])
