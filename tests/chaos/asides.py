"""The methods of Slack's API that no opening needs, each with each way in which Slack may fail it.

Somebody is told and succeeds at the second attempt, or Muster goes on by itself; nothing happens twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from tests.chaos.replicas import has_button
from tests.scenarios.conftest import Stage, said

Plant = Callable[[], None]
Aside = Callable[[Stage, Plant], Awaitable[list[str]]]
PATIENCE_S = 25.0
"""A timeout takes the 10 s that Muster waits for Slack; what is repeated waits a little more."""
AGAIN = "again"
"""Whoever is refused for the moment is told to try again."""


async def _room(stage: Stage) -> Any:
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    await stage.wait(lambda: "U0DEVELOPER" in room.members, "the declarer in the room", PATIENCE_S)
    return room


async def _incident(stage: Stage) -> Any:
    return await stage.muster.desk.get("inc-1")


def _answered(stage: Stage, method: str) -> bool:
    """One call of the method has come to its end, well or not."""
    return any(call.method == method and call.ended_at is not None for call in stage.sandbox.calls)


async def _newcomer_declares(stage: Stage, plant: Plant) -> list[str]:
    """``users.info``: who it is cannot be found out; calling for help is allowed all the same."""
    await stage.wait(lambda: _answered(stage, "users.list"), "everybody read, so that the newcomer is not among them", PATIENCE_S)
    stage.workspace.add_user("newcomer", "Newcomer")
    plant()
    await stage.workspace.command("newcomer", "general", "/incident clerk down")
    await stage.room()
    await stage.wait(lambda: _answered(stage, "users.info"), "the question who it is", PATIENCE_S)
    return [] if len(stage.rooms()) == 1 else ["more than one room"]


async def _unseen_ticks(stage: Stage, plant: Plant) -> list[str]:
    """``conversations.members``: somebody whose coming was not heard of presses a button, twice if need be."""
    room = await _room(stage)
    room.members.append("U0LEAD")
    plant()

    def is_ticked() -> bool:
        return has_button(stage.card(room.name), "step:confirm", "untick")

    def is_refused() -> bool:
        return any(AGAIN in said(message) for _, message in room.ephemeral.values())

    await stage.click("engineering-lead", room.name, stage.card(room.name), "tick", block_id="do:confirm")
    await stage.wait(lambda: is_ticked() or is_refused(), "the tick, or why not", PATIENCE_S)
    if not is_ticked():
        await stage.advance(2)
        await stage.click("engineering-lead", room.name, stage.card(room.name), "tick", block_id="do:confirm")
        await stage.wait(is_ticked, "the tick", PATIENCE_S)
    return []


async def _group_is_called(stage: Stage, plant: Plant) -> list[str]:
    """``usergroups.list``, ``usergroups.users.list``: the contact is a group; its members are invited and paged once."""
    plant()
    await stage.workspace.command("developer", "general", "/incident clerk down")
    room = await stage.room()
    await stage.wait(lambda: {"U0ONCALL", "U0LEAD"} <= set(room.members), "the group in the room", PATIENCE_S)
    for user in ("renamed", "engineering-lead"):
        await stage.wait(lambda user=user: stage.workspace.dm(user), f"the page of {user}", PATIENCE_S)
    await stage.sandbox.settled()
    return [f"paged twice: {user}" for user in ("renamed", "engineering-lead") if len(stage.workspace.dm(user)) != 1]


async def _form_opens(stage: Stage, plant: Plant) -> list[str]:
    """``views.open``: the form is there, or somebody is told and asks again."""
    plant()
    await stage.workspace.command("developer", "general", "/incident")
    if not stage.workspace.views("developer"):
        await stage.advance(2)
        await stage.workspace.command("developer", "general", "/incident")
    return [] if stage.workspace.views("developer") else ["no form"]


async def _form_shows_the_room(stage: Stage, plant: Plant) -> list[str]:
    """``views.update``: it only says where the room is; the incident is open, once, and its declarer in it."""
    await stage.workspace.command("developer", "general", "/incident")
    view = (await stage.wait(lambda: stage.workspace.views("developer"), "the form"))[-1]
    plant()
    await stage.workspace.submit_view("developer", view["id"], {"title": {"value": "clerk down"}})
    room = await stage.room()
    await stage.wait(lambda: "U0DEVELOPER" in room.members, "the declarer in the room", PATIENCE_S)
    await stage.wait(lambda: _answered(stage, "views.update"), "the form that says where", PATIENCE_S)
    return []


async def _false_alarm(stage: Stage, plant: Plant) -> list[str]:
    """``conversations.archive``: the room is archived in the end, and that is recorded."""
    room = await _room(stage)
    plant()
    await stage.click("developer", room.name, stage.card(room.name), "not_an_incident", block_id="incident")
    await stage.wait(lambda: room.is_archived, "the archived room", PATIENCE_S)
    await stage.muster.desk.wait_until("inc-1", lambda now: now.archived, most_s=PATIENCE_S)
    return [] if (await _incident(stage)).archived else ["not recorded"]


async def _is_it_ready(stage: Stage, plant: Plant) -> list[str]:
    """``auth.test``: ``/readyz`` gives the reason, and forgets it when Slack answers again."""

    async def ready() -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"{stage.muster.url}/readyz") as answer:
            return answer.status, await answer.text()

    plant()
    status, text = await ready()
    wrong = [] if status == 503 and "auth.test" in text else [f"/readyz said {status} {text!r}"]
    for _ in range(round(PATIENCE_S / 0.5)):
        if status == 200:
            return wrong
        await asyncio.sleep(0.5)
        status, text = await ready()
    return [*wrong, f"/readyz still says {text!r}"]


def _call_a_group(stage: Stage) -> None:
    """The handle of on-call is that of a group."""
    stage.sandbox.state.users["U0ONCALL"].name = "renamed"
    stage.sandbox.state.groups["S0RESPONDERS"].handle = "oncall"


ASIDES: Mapping[str, Aside] = {
    "users.info": _newcomer_declares,
    "conversations.members": _unseen_ticks,
    "usergroups.list": _group_is_called,
    "usergroups.users.list": _group_is_called,
    "views.open": _form_opens,
    "views.update": _form_shows_the_room,
    "conversations.archive": _false_alarm,
    "auth.test": _is_it_ready,
}
"""What is done while a method fails."""
BEFORE: Mapping[str, Callable[[Stage], None]] = {"usergroups.list": _call_a_group, "usergroups.users.list": _call_a_group}
"""What the workspace must be like before the bot starts."""
