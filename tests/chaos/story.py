"""One incident from the first cry to the second person who has it, as patient people live it: who sees no effect tries again.

A line is busy, somebody falls asleep over it, the next level is called. It passes every crash point. What it must leave behind
in the workspace, in the world and on the timeline, each exactly once, is ``EXPECTED``; ``effects`` counts what is there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from bot.domain.errors import UserError
from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.services.ports import Store
from bot.slack.posting import opaque_key
from tests.chaos.ground import BUSY_PHONE, LOOK_EVERY_S
from tests.scenarios.conftest import said

Json = dict[str, Any]

TRIES = 4
PATIENCE_S = 12.0
"""A crash, a start, and the lease of who died: about 4 s on a busy machine. Who is impatient asks twice."""
READY_S = 50.0
MOST_NUMBERS = 5
"""A crash between its number and its entry leaves a gap: the incident is not always number 1."""
MOST_ENTRIES = 80
"""The timeline of the story is shorter than that."""
USER = "user_2demo"
SESSIONS = 7
LEVEL_2_AFTER_S = 15 * 60
FOLLOW_EVERY_S = 12
"""Muster looks after 5 s what became of a call, and every 10 s from then on."""
SLEPT_S = 61 * 60
"""Of a SEV2, whoever has it is asked after an hour whether they still have it …"""
SILENT_S = 11 * 60
"""… and has ten minutes for the answer."""

OPENED: Counter[str] = Counter(
    {
        "room": 1,
        "message card": 1,
        "message announcement": 1,
        "message reply": 1,
        "message mention of level 1": 1,
        "message prompt": 1,
        "page of U0ONCALL": 1,
        "member U0SUPPORT": 1,
        "member U0ONCALL": 1,
        "bookmark": 1,
        "topic": 1,
    }
)
"""What the workspace shows after ``Story.open``."""
EXPECTED: Counter[str] = OPENED + Counter(
    {
        "incident": 1,
        "message mention of level 2": 1,
        "message mention of level 3": 1,
        "message news": 5,
        "message run": 1,
        "page of U0LEAD": 1,
        "question to U0LEAD": 1,
        "page of U0CTO": 1,
        "call": 1,
        "alert": 1,
        "member U0LEAD": 1,
        "session revoked": SESSIONS,
        "fact incident_opened": 1,
        "fact diagnostics_started": 1,
        "fact room_opened": 1,
        "fact responder_joined": 4,
        "fact diagnostic_recorded": 5,
        "fact alarm_raised": 4,
        "fact page_sent": 6,
        "fact page_failed": 1,
        "fact page_followed": 1,
        "fact target_reminded": 1,
        "fact step_ticked": 1,
        "fact severity_changed": 1,
        "fact run_requested": 1,
        "fact run_previewed": 1,
        "fact run_confirmed": 1,
        "fact run_finished": 1,
        "fact acknowledged": 2,
        "fact acknowledgement_lapsed": 1,
        "fact status_changed": 1,
    }
)


_PAGES = {
    (1, "level-1", "on-call", "U0ONCALL"): "page of U0ONCALL",
    (1, "level-2", "engineering-lead", "U0LEAD"): "page of U0LEAD",
    (2, "check-in", "u0lead", "U0LEAD"): "question to U0LEAD",
    (3, "level-3", "cto", "U0CTO"): "page of U0CTO",
}
"""By generation, alarm, contact and user."""


class Story:
    """The story in one workspace. ``store`` is where its incident is."""

    def __init__(self, sandbox: Sandbox, world: World, store: Store) -> None:
        self.sandbox = sandbox
        self.workspace = sandbox.workspace
        self.world = world
        self.store = store
        self._asked_ts = ""
        self._topic = "SEV1 · triage"
        world.twilio.behave(BUSY_PHONE, "busy")

    # -- living it -------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """All of it. Raises: TimeoutError that names what never came."""
        await self.open()
        await self.tick()
        await self.change_severity()
        await self.run()
        await self.let_it_escalate()
        await self.acknowledge()
        await self.fall_asleep()
        await self.acknowledge_again()
        await self._see(lambda: not self.missing(), lambda: f"what is missing: {sorted(self.missing())}", READY_S)
        await self._all_recorded()

    async def open(self) -> None:
        """Somebody cries, and somebody else asks. Slack itself repeats what was not acknowledged."""
        asked = await self.workspace.say("developer", "general", "is auth not working for anybody else?")
        self._asked_ts = str(asked.ts)
        await self.workspace.say("support-agent", "support", "auth is not working!!")
        await self._see(lambda: self.rooms() and self.card(), "the card", READY_S)
        await self._see(lambda: "Diagnose again" in said(self.card()), "the diagnosis", READY_S)
        await self._see(lambda: {"U0SUPPORT", "U0ONCALL"} <= set(self.rooms()[0].members), "the people", READY_S)
        await self._see(lambda: self.workspace.dm("oncall"), "the page of on-call", READY_S)

    async def tick(self) -> None:
        """Done by hand."""
        await self._patiently(
            lambda: self._press("tick", "do:confirm"), lambda: "✅ 2. Confirm outage" in said(self.card()), "the tick"
        )

    async def change_severity(self) -> None:
        """By a command."""
        await self._patiently(
            lambda: self.workspace.command("support-agent", self.rooms()[0].name, "/incident severity SEV2"),
            lambda: "SEV2" in said(self.card()),
            "the severity",
        )

    async def run(self) -> None:
        """Form, preview, confirmation, effect."""

        def seen(text: str) -> Json | None:
            return next((one for one in self.workspace.messages(self.rooms()[0].name) if text in said(one)), None)

        def form() -> Json | None:
            return next(iter(reversed(self.workspace.views("support-agent"))), None)

        async def submit() -> None:
            view = form()
            if view:
                await self.workspace.submit_view("support-agent", view["id"], {"param:user_id": {"value": USER}})

        async def confirm() -> None:
            shown = seen("What would happen")
            if shown:
                await self.workspace.click("support-agent", self.rooms()[0].name, shown["ts"], "confirm_run")

        await self._patiently(lambda: self._press("run_step", "do:revoke"), form, "the form")
        await self._patiently(submit, lambda: seen("What would happen"), "the preview")
        await self._patiently(confirm, lambda: seen("finished at"), "the effect")

    async def let_it_escalate(self) -> None:
        """Nobody acknowledges for a quarter of an hour; the lead's line is busy, which is found out a little later."""
        await self.sandbox.clock.advance(LEVEL_2_AFTER_S)
        await self._recorded("page_sent", 3)
        await self._patiently(
            lambda: self.sandbox.clock.advance(FOLLOW_EVERY_S),
            lambda: self.workspace.dm("engineering-lead"),
            "the page of the lead",
        )
        mentions = {"message mention of level 1", "message mention of level 2"}  # after an acknowledgement nobody is mentioned
        await self._see(lambda: mentions <= set(self.visible()), "the mentions", READY_S)

    async def acknowledge(self) -> None:
        """From the page; PagerDuty is told."""
        self._topic = "SEV2 · investigating"

        async def press() -> None:
            page = self.workspace.dm("engineering-lead")[0]
            await self.workspace.click("engineering-lead", "@muster", page["ts"], "acknowledge")

        await self._patiently(press, lambda: "has it" in said(self.workspace.dm("oncall")[0]), "the acknowledgement")
        await self._see(lambda: self.world.pagerduty.incidents[0].status == "acknowledged", "that PagerDuty knows", READY_S)
        await self._recorded("page_followed", 1)

    async def fall_asleep(self) -> None:
        """An hour without anything, a question without an answer: the next level is called."""
        await self.sandbox.clock.advance(SLEPT_S)
        await self._recorded("page_sent", 5)
        await self.sandbox.clock.advance(SILENT_S)
        await self._see(lambda: self.workspace.dm("cto"), "the page of the CTO", READY_S)
        await self._see(lambda: "message mention of level 3" in self.visible(), "the third mention", READY_S)

    async def acknowledge_again(self) -> None:
        """The next one has it."""

        async def press() -> None:
            await self.workspace.click("cto", "@muster", self.workspace.dm("cto")[0]["ts"], "acknowledge")

        await self._patiently(press, lambda: "has it" in said(self.workspace.dm("cto")[0]), "the second acknowledgement")

    async def _press(self, action_id: str, block_id: str) -> None:
        room = self.rooms()[0]
        await self.workspace.click("support-agent", room.name, self.card()["ts"], action_id, block_id=block_id)

    async def _patiently(self, act: Callable[[], Awaitable[Any]], done: Callable[[], Any], what: str) -> None:
        for attempt in range(TRIES):
            with contextlib.suppress(UserError):  # the button is gone: what was wanted may just not be drawn yet
                await act()
            try:
                await self._see(done, what, PATIENCE_S)
            except TimeoutError:
                if attempt == TRIES - 1:
                    raise
            else:
                return

    async def _recorded(self, kind: str, count: int) -> None:
        """Before time is moved: what is only begun by then would be begun anew."""

        async def wait() -> None:
            while True:
                entries = await self.store.timeline(self.incident_id)
                if sum(entry.fact.kind == kind for entry in entries) >= count:
                    return
                await asyncio.sleep(LOOK_EVERY_S)

        try:
            await asyncio.wait_for(wait(), READY_S)
        except TimeoutError:
            raise TimeoutError(f"{count} × {kind} on the timeline") from None

    async def _all_recorded(self) -> None:
        """What people see comes before its record."""
        missing = EXPECTED
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                while missing := EXPECTED - await self.effects():  # noqa: ASYNC110 - Redis tells nobody
                    await asyncio.sleep(LOOK_EVERY_S)
                return
        raise TimeoutError(f"what is missing: {sorted(missing)}")

    async def _see(self, done: Callable[[], Any], what: str | Callable[[], str], timeout_s: float) -> None:
        try:
            await self.sandbox.wait_for(done, timeout_s=timeout_s)
        except TimeoutError:
            raise TimeoutError(what if isinstance(what, str) else what()) from None

    # -- looking ---------------------------------------------------------------------------------------------------

    def rooms(self) -> list[Any]:
        """The incident rooms."""
        return [channel for channel in self.workspace.channels if channel.name.startswith("inc-")]

    @property
    def incident_id(self) -> str:
        """By the number at the end of the room's name; "" when there is no room yet."""
        rooms = self.rooms()
        return f"inc-{rooms[0].name.rpartition('-')[2]}" if rooms else ""

    def card(self) -> Json:
        """The card of the first room; {} when there is none yet."""
        keys = {opaque_key(self.incident_id, "card")}
        found = [one for room in self.rooms() for one in self.workspace.messages(room.name) if _key(one) in keys]
        return found[0] if found else {}

    def visible(self) -> Counter[str]:
        """How often each effect is there, as far as the workspace and the world show it."""
        names = self._names()
        counts: Counter[str] = Counter(room=len(self.rooms()))
        for channel in self.workspace.channels:
            for message in channel.messages.values():
                if _key(message):
                    counts[names.get(_key(message), f"message of nobody in {channel.name}")] += 1
        for room in self.rooms():
            counts.update(f"member {user}" for user in room.members if user in ("U0SUPPORT", "U0ONCALL", "U0LEAD"))
            counts["bookmark"] += len(room.bookmarks)
            counts["topic"] += room.topic.value.startswith(self._topic)
        counts["call"] = sum(entry.accepted for entry in self.world.twilio.ledger)
        counts["alert"] = sum(alert.pages for alert in self.world.pagerduty.incidents)
        live = len(self.world.clerk.live_sessions(USER))
        counts["session revoked"] = sum(row["status"] == 200 for row in self._revocations()) if live == 0 else SESSIONS - live
        return counts

    def _names(self) -> dict[str, str]:
        incident = self.incident_id
        room = {
            "card": "card",
            "announcement": "announcement",
            "mention:level-1": "mention of level 1",
            "mention:level-2": "mention of level 2",
            "mention:level-3": "mention of level 3",
            "run:r1": "run",
            **{f"news:{seq}": "news" for seq in range(1, MOST_ENTRIES)},
        }
        names = {opaque_key(incident, key): f"message {name}" for key, name in room.items()}
        for message in self.workspace.messages("support"):
            names[opaque_key(incident, f"reply:C0SUPPORT:{message['ts']}")] = "message reply"
        names[opaque_key("prompt", f"prompt:C0GENERAL:{self._asked_ts}")] = "message prompt"
        for (generation, alarm, contact, user), name in _PAGES.items():
            names[opaque_key(incident, f"{incident}/g{generation}/{alarm}/{contact}:{user}")] = name
        return names

    def missing(self) -> Counter[str]:
        """What should be visible by now and is not."""
        visible = Counter({name: count for name, count in EXPECTED.items() if not name.startswith(("fact ", "incident"))})
        return visible - self.visible()

    def missing_of_the_opening(self) -> list[str]:
        """What should be visible after ``open`` and is not."""
        return sorted(OPENED - self.visible())

    def doubled_in_the_opening(self) -> list[str]:
        """What ``open`` should leave once and is there more often."""
        return sorted(self.visible() - OPENED)

    async def effects(self) -> Counter[str]:
        """How often each effect happened, the facts of the timeline included."""
        counts = self.visible()
        for number in range(1, MOST_NUMBERS + 1):
            entries = await self.store.timeline(f"inc-{number}")
            counts["incident"] += bool(entries)
            counts.update(f"fact {entry.fact.kind}" for entry in entries)
        return counts

    def _revocations(self) -> list[Json]:
        return [row for row in self.world.ledger if row["provider"] == "clerk" and row["path"].endswith("/revoke")]

    def repeats(self) -> list[str]:
        """What is not natural to repeat and was asked for more than once, with what became of the first time."""
        asked: dict[tuple[str, str], list[str]] = {}
        for call in self.sandbox.calls:
            thing = None
            if call.method == "conversations.create":
                thing = ("create", "")
            elif call.method == "chat.postMessage":
                payload = (call.structure("metadata") or {}).get("event_payload") or {}
                thing = (f"post {self._names().get(payload.get('key', ''), 'of nobody')}", payload.get("key", ""))
            if thing:
                asked.setdefault(thing, []).append("done" if call.ok and not call.note else call.note or str(call.error))
        for row in self._revocations():
            asked.setdefault((f"revoke {row['path']}", ""), []).append(f"HTTP {row['status']}")
        return [f"{thing}: {', '.join(answers)}" for (thing, _), answers in asked.items() if len(answers) > 1]


def _key(message: Json) -> str:
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    return str(payload.get("key", ""))
