"""Slack's rate limits switched on: what Muster does stays within the tiers, and what does not is repeated when Slack says."""

from __future__ import annotations

from tests.scenarios.conftest import Stage, said


def limited(stage: Stage) -> list[str]:
    """The methods that were answered with 429, one for each time."""
    return [call.method for call in stage.sandbox.calls if call.error == "ratelimited"]


async def test_an_incident_from_start_to_end_stays_within_the_tiers(unstarted: Stage) -> None:
    """Starting, the room, a note, an update, resolving: no call is one too many."""
    unstarted.sandbox.rate_limits = True
    await unstarted.start()
    stage = unstarted
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    await stage.sees(room.name, "Clerk status page: *ok*")
    await stage.workspace.command("developer", room.name, "/incident ack")
    await stage.workspace.command("developer", room.name, "/incident note we look into it")
    await stage.sees(room.name, "we look into it")
    await stage.workspace.command("developer", room.name, "/incident resolve")
    await stage.wait(lambda: "resolved" in said(stage.card(room.name)).lower(), "the card says resolved")
    assert limited(stage) == []


async def test_a_refused_call_is_asked_again_when_slack_says(unstarted: Stage) -> None:
    """A channel that is limited for a second: the incident is announced there all the same, later, and once."""
    await unstarted.start()
    stage = unstarted
    stage.sandbox.rate_limits = True
    stage.sandbox.faults.add(method="chat.postMessage", kind="429", retry_after_s=1, match={"channel": "C0INCIDENTS"})
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    await stage.wait(lambda: room.id in str(stage.messages("incidents")), "the announcement")
    assert limited(stage) == ["chat.postMessage"]
    assert len([one for one in stage.messages("incidents") if room.id in str(one)]) == 1
