"""What single people are told: help, list, status, runbooks, the question under a message."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bot.domain.catalog import Catalog
from bot.domain.commands import Acknowledge, AssignRole, ChangeAccounts, ChangeStatus, RecordRoomFailure, TickStep
from bot.domain.facts import Role, Status
from bot.domain.incident import Incident
from bot.domain.runbook import Runbook
from bot.slack.blocks import texts
from bot.slack.blocks.parts import BLOCKS_MAX
from bot.slack.drawing import Drawn
from bot.slack.listeners.clicks import RUNBOOK_IDS
from bot.slack.listeners.grammar import help_lines
from tests.contracts.payloads import elements_of, faults_of_message, texts_in
from tests.domain.story import Story
from tests.slack.conftest import HOSTILE, with_runbook


def shown(drawn: Drawn) -> str:
    """Every text; what Slack would refuse fails here."""
    assert faults_of_message({"text": drawn.text, "blocks": list(drawn.blocks)}) == []
    return "\n".join([drawn.text, *texts_in(list(drawn.blocks))])


def test_the_help_names_every_command(contracts: Path) -> None:
    """From the table of the parser, with the placeholders shown literally."""
    text = shown(texts.draw_help(help_lines("/incident"), "/runbook", "/oncall"))
    for usage in (
        "`/incident`",
        "`/incident &lt;what is wrong&gt;`",
        "`/incident severity SEV1…SEV4`",
        "`/incident escalate &lt;level or who&gt; [why]`",
        "`/incident update &lt;text&gt;`",
        "`/runbook [words]`",
        "`/oncall`",
    ):
        assert usage in text


def test_no_incident_is_said_in_words(story: Story) -> None:
    """An empty list would be a riddle; a private one does not count."""
    assert "No incident is open" in shown(texts.draw_list([]))
    story.open("clerk-security-incident", title="a leak", private=True)
    assert "No incident is open" in shown(texts.draw_list([story.incident]))


def test_the_list_shows_where_each_stands(outage: Story, contracts: Path) -> None:
    """Title, room, status, progress, commander."""
    outage.do(TickStep(step_id="confirm"))
    outage.do(AssignRole(role=Role.INCIDENT_COMMANDER, user_id="U3"))
    text = shown(texts.draw_list([outage.incident]))
    assert "1 open" in text
    assert "*SEV1* clerk down · <#C9> · triage · opened <!date^" in text
    assert "1/6 steps · commander <@U3>" in text


def test_a_long_list_keeps_the_newest_and_counts_the_rest(outage: Story, contracts: Path) -> None:
    """At most twenty, and nothing is dropped in silence."""
    many = [replace(outage.incident, title=f"number {n} " + "&" * 100) for n in range(200)]
    text = shown(texts.draw_list(many))
    assert "200 open" in text
    assert "number 199 " in text
    assert "number 179 " not in text
    assert "and 180 older ones" in text


def test_the_status_says_what_is_next_and_who_has_it(outage: Story, contracts: Path) -> None:
    """And what is missing."""
    assert "Next: step 1, Confirm outage" in shown(texts.draw_status(outage.incident))
    assert "Nobody has acknowledged it yet" in shown(texts.draw_status(outage.incident))
    outage.do(Acknowledge(via="slack"), by="U2")
    assert "✋ <@U2> has it since" in shown(texts.draw_status(outage.incident))
    outage.do(ChangeStatus(status=Status.RESOLVED))
    assert "Next:" not in shown(texts.draw_status(outage.incident))


def test_the_status_of_a_drill_without_a_room_and_a_runbook(story: Story) -> None:
    """Each oddity is said."""
    story.open(title="the coffee machine", drill=True)
    story.do(RecordRoomFailure(reason="restricted_action"))
    text = shown(texts.draw_status(story.incident))
    for wanted in ("DRILL", "its room (being made)", "no runbook yet", "The room could not be made: restricted_action"):
        assert wanted in text


def test_hostile_titles_are_shown_literally(story: Story, contracts: Path) -> None:
    """In the list and in the status."""
    incident: Incident = story.open("clerk-auth-outage", title=HOSTILE)
    for drawn in (texts.draw_list([incident]), texts.draw_status(incident)):
        assert "<!channel>" not in shown(drawn)
        assert "<@U0LEAD>" not in shown(drawn)


# -- the question under a message ----------------------------------------------------------------------------------


def test_the_prompt_asks_once_with_two_buttons(contracts: Path) -> None:
    """What it would open, and that it is none."""
    drawn = texts.draw_prompt("clerk down", ["clerk-auth-outage"], ["Complete auth outage"])
    assert "That sounds like “Complete auth outage”" in shown(drawn)
    assert [element["action_id"] for block in drawn.blocks for element in elements_of(block)] == [
        "open_from_prompt",
        "dismiss_prompt",
    ]


def test_the_prompt_of_a_phrase_that_many_runbooks_share_can_be_answered(contracts: Path) -> None:
    """Its button carries as many as the click takes."""
    names = [f"runbook-{n}" for n in range(20)]
    drawn = texts.draw_prompt("clerk emergency", names, [HOSTILE] * 20)
    value = next(element["value"] for block in drawn.blocks for element in elements_of(block))
    assert RUNBOOK_IDS.fullmatch(value)
    assert value.split("+") == names[:5]
    assert "<!channel>" not in shown(drawn)


# -- runbooks ------------------------------------------------------------------------------------------------------


def test_the_runbooks_are_listed_with_what_to_type(catalog: Catalog, contracts: Path) -> None:
    """Title, severity, service, command."""
    text = shown(texts.draw_runbooks(list(catalog.runbooks.values()), "/runbook"))
    assert "• *Complete auth outage* (SEV1, clerk): `/runbook clerk-auth-outage`" in text
    assert "no runbooks yet" in shown(texts.draw_runbooks([], "/runbook"))


def test_hundreds_of_runbooks_are_listed_as_far_as_they_fit(contracts: Path) -> None:
    """No line is cut in the middle, and that there are more is said."""
    many = [
        Runbook.model_validate(
            {
                "id": f"r{n}",
                "title": f"{n} " + "&" * 140,
                "service": "clerk",
                "severity": "SEV3",
                "checklist": [{"id": "a", "title": "A"}],
            }
        )
        for n in range(300)
    ]
    text = shown(texts.draw_runbooks(many, "/runbook"))
    assert "`/runbook r0`" in text
    assert "and more: `/runbook words`" in text
    assert all(line.endswith("`") for line in text.splitlines() if line.startswith("•"))


def test_a_runbook_can_be_read_without_an_incident(catalog: Catalog, contracts: Path) -> None:
    """Symptoms, diagnosis, every step and branch, links, neighbours, and a button to open one."""
    runbooks = catalog.runbooks
    drawn = texts.draw_runbook(runbooks["clerk-auth-outage"], [runbooks["clerk-security-incident"]])
    text = shown(drawn)
    for wanted in (
        "📕 Complete auth outage",
        "nothing was opened",
        "• All users unable to sign in",
        "• Clerk status page",
        "*1.* Confirm outage",
        "_Clerk outage:_",
        "• Enable emergency bypass",
        "<https://status.clerk.com|Clerk status>",
        "Also near: Security incident",
    ):
        assert wanted in text, wanted
    assert [element["value"] for block in drawn.blocks for element in elements_of(block)] == ["clerk-auth-outage"]


def test_the_affected_accounts_and_who_found_them(story: Story, contracts: Path) -> None:
    """The newest first; thousands are counted, and shown as far as they fit."""
    story.open("clerk-security-incident")
    assert "No account is on the list" in shown(texts.draw_accounts(story.incident))
    story.do(ChangeAccounts(added=("user_1",)), by="U1")
    story.do(ChangeAccounts(added=("user_2",)), by="terminal:root")
    text = shown(texts.draw_accounts(story.incident))
    assert "*Affected accounts: 2*" in text
    assert text.index("`user_2`") < text.index("`user_1`  added by <@U1>")
    story.do(ChangeAccounts(added=tuple(f"user_{'x' * 90}{number}" for number in range(4_000))), by="U1")
    drawn = texts.draw_accounts(story.incident)
    assert "*Affected accounts: 4,002*" in shown(drawn)
    assert f"… and {4_002 - texts.ACCOUNTS_MOST:,} more" in shown(drawn)


def test_a_runbook_of_sixty_long_steps_fits_into_one_message(catalog: Catalog, contracts: Path) -> None:
    """That there is more is said, and the button is still there."""
    steps = [{"id": f"s{n}", "title": "&" * 150, "guide": "<" * 1_500} for n in range(60)]
    drawn = texts.draw_runbook(with_runbook(catalog, checklist=steps).runbooks["made-up"], [])
    assert "… and more steps" in shown(drawn)
    assert len(drawn.blocks) <= BLOCKS_MAX
    assert elements_of(drawn.blocks[-1])[0]["action_id"] == "open_runbook"
