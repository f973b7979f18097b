"""People are reached by every way there is: phone, PagerDuty, SMS and mail, each failing in its own manner."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.terminal.demo_people import PEOPLE, copy_runbooks
from tests.conftest import ROOT
from tests.scenarios.conftest import Stage, said

pytestmark = pytest.mark.slow

ONCALL, LEAD, CTO = (PEOPLE[who].phone for who in ("on-call", "engineering-lead", "cto"))


@pytest.fixture
def prepare(unstarted: Stage, tmp_path: Path) -> Callable[..., None]:
    """Telephones and mail boxes for the contacts; ``edit`` changes contacts.yml before the bot starts."""

    def prepared(edit: Callable[[str], str] = lambda text: text) -> None:
        folder = tmp_path / "runbooks"
        copy_runbooks(ROOT / "runbooks", folder)
        contacts = folder / "contacts.yml"
        contacts.write_text(edit(contacts.read_text("utf-8")), "utf-8")
        unstarted.environment |= unstarted.world.environment(unstarted.sandbox.url, paging=True)
        unstarted.environment["MUSTER_RUNBOOKS"] = str(folder)

    return prepared


def level_one_by(*ways: str) -> Callable[[str], str]:
    """The first level of the default policy is told by these ways."""

    def edit(text: str) -> str:
        pattern = r"(id: default.*?via: )\[[^\]]*\]"
        changed, times = re.subn(pattern, lambda match: f"{match[1]}[{', '.join(ways)}]", text, count=1, flags=re.DOTALL)
        assert times == 1
        return changed

    return edit


async def opened(stage: Stage) -> Any:
    """An outage in SEV1, and its room."""
    await stage.workspace.command("developer", "support", "/incident clerk down")
    return await stage.room()


def called(stage: Stage, number: str) -> list[Any]:
    """The calls to a number, oldest first."""
    return [call for call in stage.world.twilio.calls.values() if call.to == number]


async def test_a_sev1_that_nobody_answers_rings_the_first_the_second_the_third(unstarted: Stage, prepare: Any) -> None:
    """Each phone at its time; a call that rings out is said in the room, and the person is told in Slack instead."""
    prepare()
    await unstarted.start()
    room = await opened(unstarted)
    await unstarted.wait(lambda: called(unstarted, ONCALL), "the first phone")
    await unstarted.wait(lambda: called(unstarted, ONCALL)[0].status == "ringing", "that it rings")
    assert "clerk down" in called(unstarted, ONCALL)[0].text
    assert not called(unstarted, LEAD)
    await unstarted.wait(lambda: "paged by phone" in said(unstarted.card(room.name)), "the first level, recorded")
    await unstarted.advance(120)
    await unstarted.sees(room.name, "could not be reached by phone")
    await unstarted.wait(lambda: unstarted.workspace.dm("oncall"), "the message behind the call that nobody took")
    await unstarted.advance(13 * 60)
    await unstarted.wait(lambda: called(unstarted, LEAD), "the second phone")
    assert not called(unstarted, CTO)
    await unstarted.advance(15 * 60)
    await unstarted.wait(lambda: called(unstarted, CTO), "the third phone")
    assert len(called(unstarted, ONCALL)) == 1


async def test_an_acknowledgement_stops_the_phones(unstarted: Stage, prepare: Any) -> None:
    """Pressed in Slack while the phone still rings: the call is taken back, and no other phone rings any more."""
    prepare()
    await unstarted.start()
    room = await opened(unstarted)
    await unstarted.wait(lambda: called(unstarted, ONCALL), "the call")
    await unstarted.workspace.join("oncall", room.name)
    await unstarted.click("oncall", room.name, unstarted.card(room.name), "acknowledge", block_id="incident")
    await unstarted.sees(room.name, "has it")
    await unstarted.wait(lambda: called(unstarted, ONCALL)[0].status in ("canceled", "no-answer"), "that it stops ringing")
    await unstarted.advance(3_600)
    await unstarted.sees(room.name, "It is not resolved")
    assert not called(unstarted, LEAD)


async def test_a_number_that_the_phone_refuses_falls_back_to_slack(unstarted: Stage, prepare: Any) -> None:
    """The refusal names what to correct; the person is told all the same, and nobody else is called for it."""
    prepare()
    unstarted.world.twilio.behave(ONCALL, "invalid")
    await unstarted.start()
    room = await opened(unstarted)
    await unstarted.wait(lambda: unstarted.workspace.dm("oncall"), "the message instead of the call")
    refused = await unstarted.sees(room.name, "The next way is tried")
    assert "could not be reached by phone" in said(refused)
    assert not unstarted.workspace.dm("engineering-lead")


async def test_pagerduty_both_ways(unstarted: Stage, prepare: Any) -> None:
    """What is triggered there can be acknowledged there, counts here, and is resolved there when it is over here."""
    prepare(level_one_by("pagerduty"))
    await unstarted.start()
    room = await opened(unstarted)
    pagerduty = unstarted.world.pagerduty

    def triggered() -> list[str]:
        return [entry.key for entry in pagerduty.ledger if entry.what == "trigger" and entry.accepted]

    await unstarted.wait(triggered, "the alert in PagerDuty")
    (key,) = triggered()
    await unstarted.sees(room.name, "paged by PagerDuty")
    pagerduty.acknowledge(key, by=PEOPLE["on-call"].email)
    await unstarted.advance(10)
    await unstarted.sees(room.name, "has it (by PagerDuty)")
    await unstarted.workspace.join("oncall", room.name)
    await unstarted.workspace.command("oncall", room.name, "/incident resolve")
    await unstarted.wait(lambda: pagerduty.status_of(key) == "resolved", "the resolution in PagerDuty")
    assert len(triggered()) == 1


async def test_a_revoked_key_of_pagerduty_is_said_and_the_next_way_is_tried(unstarted: Stage, prepare: Any) -> None:
    """The variable is named; the person is called instead."""
    prepare(level_one_by("pagerduty", "phone"))
    unstarted.world.pagerduty.state.turn("key_revoked")
    await unstarted.start()
    room = await opened(unstarted)
    said_so = await unstarted.sees(room.name, "could not be reached by PagerDuty")
    assert "PAGERDUTY_ROUTING_KEY" in said(said_so)
    await unstarted.wait(lambda: called(unstarted, ONCALL), "the call")


async def test_a_mail_that_is_refused_and_one_that_is_taken(unstarted: Stage, prepare: Any) -> None:
    """A mailbox that does not exist is a failure; a text message goes out instead, and is not sent twice."""
    prepare(level_one_by("email", "sms"))
    unstarted.world.smtp.behave(PEOPLE["on-call"].email, "unknown")
    await unstarted.start()
    room = await opened(unstarted)
    await unstarted.sees(room.name, "could not be reached by e-mail")
    await unstarted.wait(lambda: unstarted.world.twilio.messages, "the text message")
    (message,) = unstarted.world.twilio.messages.values()
    assert message.to == ONCALL


@pytest.mark.parametrize("trouble", ["hang_after_accept", "reset_after_accept", "500", "429"])
async def test_a_telephone_exchange_in_trouble_calls_once(unstarted: Stage, prepare: Any, trouble: Any) -> None:
    """The first request fails, one way or the other; it is looked for before it is made again."""
    prepare()
    unstarted.world.twilio.fail_next(trouble, 1)
    await unstarted.start()
    room = await opened(unstarted)
    await unstarted.wait(lambda: called(unstarted, ONCALL), "the call")
    await unstarted.wait(lambda: "paged by phone" in said(unstarted.card(room.name)), "that it is recorded")
    assert len(called(unstarted, ONCALL)) == 1


async def test_a_user_who_left_slack_is_called_by_another_way(unstarted: Stage, prepare: Any) -> None:
    """A deactivated account gets no message; the phone rings instead."""
    prepare(level_one_by("slack", "phone"))
    unstarted.sandbox.state.users["U0ONCALL"].deleted = True
    await unstarted.start()
    await opened(unstarted)
    await unstarted.wait(lambda: called(unstarted, ONCALL), "the call")
    assert unstarted.workspace.dm("oncall") == []


async def test_still_on_it(unstarted: Stage, prepare: Any) -> None:
    """Whoever acknowledged is asked after half an hour without progress; silence calls the next one, a word does not."""
    prepare()
    await unstarted.start()
    room = await opened(unstarted)
    await unstarted.wait(lambda: "paged by phone" in said(unstarted.card(room.name)), "the first level, recorded")
    await unstarted.workspace.join("oncall", room.name)
    await unstarted.click("oncall", room.name, unstarted.card(room.name), "acknowledge", block_id="incident")
    await unstarted.sees(room.name, "has it")
    await unstarted.advance(31 * 60)

    def asked() -> list[Any]:
        return [message for message in unstarted.workspace.dm("oncall") if "still on it" in said(message)]

    await unstarted.wait(asked, "the question")
    assert not called(unstarted, LEAD)
    await unstarted.advance(11 * 60)
    await unstarted.sees(room.name, "did not answer whether they still have it")
    await unstarted.wait(lambda: called(unstarted, LEAD), "the call to the next level")
