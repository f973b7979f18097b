"""Announcements, replies, mentions and pages: what each says at which moment, and to whom it says nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.domain.commands import Acknowledge, ChangeStatus, RecordRoom
from bot.domain.facts import Noted, Origin, Status
from bot.domain.incident import Incident, Moment, News
from bot.domain.room import MessageKind, Place, RoomMessage, desired_room
from bot.slack.blocks.messages import draw, draw_page
from bot.slack.drawing import Drawn
from tests.contracts.payloads import elements_of, faults_of_message, texts_in
from tests.domain.story import Story
from tests.slack.conftest import HOSTILE

PHRASE = Origin(how="phrase", channel_id="C1", message_ts="1.1", phrase="clerk down")


def shown(drawn: Drawn) -> str:
    """Every text; what Slack would refuse fails here."""
    assert faults_of_message({"text": drawn.text, "blocks": list(drawn.blocks)}, updated=True) == []
    return "\n".join([drawn.text, *texts_in(list(drawn.blocks))])


def buttons(drawn: Drawn) -> list[str]:
    return [element["action_id"] for block in drawn.blocks for element in elements_of(block)]


def message(incident: Incident, kind: MessageKind) -> Drawn:
    """The first message of a kind that the room should have now."""
    wanted = next(item for item in desired_room(incident).messages if item.kind is kind)
    return draw(wanted, incident)[0]


# -- announcement and reply ----------------------------------------------------------------------------------------


def test_the_announcement_follows_the_incident(outage: Story, contracts: Path) -> None:
    """Open, acknowledged, resolved: one line in the incidents channel that stays true."""
    text = shown(message(outage.incident, MessageKind.ANNOUNCEMENT))
    assert "🚨 *SEV1 · clerk down*" in text
    assert "Triage · <#C9> · declared by <@U1>" in text
    outage.do(Acknowledge(via="slack"), by="U2")
    assert "✋ <@U2> has it" in shown(message(outage.incident, MessageKind.ANNOUNCEMENT))
    outage.do(ChangeStatus(status=Status.RESOLVED))
    text = shown(message(outage.incident, MessageKind.ANNOUNCEMENT))
    assert "🟢 *SEV1 · clerk down*" in text
    assert "has it" not in text


def test_before_the_room_exists_the_announcement_says_so(story: Story) -> None:
    """No link to nothing."""
    story.open("clerk-auth-outage")
    assert "its room (being made)" in shown(message(story.incident, MessageKind.ANNOUNCEMENT))


def test_a_private_incident_is_not_announced(story: Story) -> None:
    """Neither there nor anywhere."""
    story.open("clerk-security-incident", title="a leak", private=True)
    assert [item.kind for item in desired_room(story.incident).messages] == [MessageKind.CARD]


def test_the_reply_offers_a_way_back_as_long_as_it_is_triage(story: Story) -> None:
    """One click takes back what a phrase has opened; later it can only be resolved."""
    incident = opened_by_phrase(story)
    assert "🚨 *SEV1* is open: <#C9>" in shown(message(incident, MessageKind.REPLY))
    assert buttons(message(incident, MessageKind.REPLY)) == ["not_an_incident"]
    story.do(Acknowledge(via="slack"), by="U2")
    assert buttons(message(story.incident, MessageKind.REPLY)) == []


def opened_by_phrase(story: Story, *, title: str = "clerk down", **fields: Any) -> Incident:
    """Somebody wrote it in a channel; the room exists."""
    runbooks = ("clerk-auth-outage",)
    story.open(*runbooks, title=title, origin=PHRASE, **fields)
    story.do(RecordRoom(channel_id="C9", name="inc"))
    return story.incident


@pytest.mark.parametrize(
    ("status", "text"), [(Status.RESOLVED, "🟢 Resolved"), (Status.FALSE_POSITIVE, "⚪ Recorded as not an incident by <@U1>")]
)
def test_the_reply_says_how_it_ended(story: Story, status: Status, text: str) -> None:
    """Where it was said, people see the end of it."""
    opened_by_phrase(story)
    story.do(ChangeStatus(status=status))
    assert text in shown(message(story.incident, MessageKind.REPLY))


def test_the_reply_of_a_private_incident_says_nothing(story: Story, contracts: Path) -> None:
    """No title, no room, no severity, no button."""
    incident = opened_by_phrase(story, title="a leak", private=True)
    drawn = message(incident, MessageKind.REPLY)
    text = shown(drawn)
    assert "Thank you" in text
    assert not any(word in text for word in ("leak", "C9", "SEV"))
    assert buttons(drawn) == []


def test_a_drill_is_marked_everywhere(story: Story) -> None:
    """Nobody may take it for real, wherever they read it."""
    incident = opened_by_phrase(story, drill=True)
    for kind in (MessageKind.ANNOUNCEMENT, MessageKind.REPLY):
        assert "DRILL" in shown(message(incident, kind))
    assert "DRILL, nothing is broken" in shown(draw_page(incident, "level-1"))


# -- mention and page ----------------------------------------------------------------------------------------------


def test_the_mention_calls_those_who_were_paged(outage: Story, contracts: Path) -> None:
    """With a button, until somebody has it."""
    drawn = message(outage.incident, MessageKind.MENTION)
    assert "📟 <@U2>: you are on call for this" in shown(drawn)
    assert buttons(drawn) == ["acknowledge"]
    outage.do(Acknowledge(via="slack"), by="U2")
    drawn = message(outage.incident, MessageKind.MENTION)
    assert "✋ <@U2> has it" in shown(drawn)
    assert buttons(drawn) == []


def test_a_page_says_why_and_offers_one_button(outage: Story, contracts: Path) -> None:
    """The first level is on call; the others hear that nobody answered."""
    outage.tick(until_s=900)
    assert "because you are on call (On-call engineer)" in shown(draw_page(outage.incident, "level-1"))
    assert "because nobody has acknowledged since <!date^" in shown(draw_page(outage.incident, "level-2"))
    assert buttons(draw_page(outage.incident, "level-2")) == ["acknowledge"]


def test_a_page_that_is_settled_says_by_whom(outage: Story) -> None:
    """The button goes."""
    outage.do(Acknowledge(via="slack"), by="U2")
    assert "<@U2> has it since" in shown(draw_page(outage.incident, "level-1"))
    assert buttons(draw_page(outage.incident, "level-1")) == []


def test_a_page_of_an_incident_that_is_over_calls_nobody(outage: Story) -> None:
    """Resolved before anybody answered."""
    outage.do(ChangeStatus(status=Status.RESOLVED))
    assert "you need not do anything" in shown(draw_page(outage.incident, "level-1"))
    assert buttons(draw_page(outage.incident, "level-1")) == []


def test_a_page_of_a_private_incident_has_no_title(story: Story) -> None:
    """It may be read on a locked screen."""
    story.open("clerk-security-incident", title="a leak", private=True)
    text = shown(draw_page(story.incident, "level-1"))
    assert "a private incident" in text
    assert "leak" not in text


@pytest.mark.parametrize("title", ["x" * 10_000, HOSTILE, "‮"])
def test_any_title_fits_into_every_message(story: Story, contracts: Path, title: str) -> None:
    """And calls nobody, the fall-back text included."""
    incident = opened_by_phrase(story, title=title)
    drawings = [draw(item, incident)[0] for item in desired_room(incident).messages]
    for drawn in [*drawings, draw_page(incident, "level-1")]:
        text = shown(drawn)
        assert "‮" not in text
        for said in [drawn.text, *mrkdwn_in(list(drawn.blocks))]:
            assert "<!channel>" not in said
            assert "<@U0LEAD>" not in said


def mrkdwn_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if value.get("type") == "mrkdwn" else []
        return own + [text for item in value.values() for text in mrkdwn_in(item)]
    return [text for item in value for text in mrkdwn_in(item)] if isinstance(value, list) else []


def test_a_message_of_the_card_is_drawn_by_the_card(outage: Story) -> None:
    """``draw`` chooses by kind."""
    card = RoomMessage(key="card", kind=MessageKind.CARD, place=Place.ROOM)
    assert "Checklist" in shown(draw(card, outage.incident)[0])


def test_the_digest_tells_whether_slack_shows_exactly_this() -> None:
    """The same drawing has the same digest, any other another one."""
    one = Drawn(text="a", blocks=({"type": "divider"},))
    assert one.digest == Drawn(text="a", blocks=({"type": "divider"},)).digest
    assert one.digest != Drawn(text="b", blocks=({"type": "divider"},)).digest
    assert one.digest != Drawn(text="a", blocks=()).digest


def test_each_of_a_thousand_news_says_its_own(outage: Story) -> None:
    """They are found by their number; what one costs does not grow with how many there are."""
    moment = Moment(by="U2", at=outage.now)
    news = tuple(News(seq=10 + 3 * number, moment=moment, fact=Noted(text=f"note {number}")) for number in range(1000))
    incident = replace(outage.incident, news=news)
    wanted = [item for item in desired_room(incident).messages if item.kind is MessageKind.NEWS]
    assert [draw(item, incident)[0].text for item in wanted] == [f"📝 by <@U2>: note {number}" for number in range(1000)]
