"""Made-up actions whose every step the test holds in its hands, and a runbook that runs them, for the scenarios of runs."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from bot.actions.registry import load_actions, table_of
from bot.actions.spec import ActionContext, ActionParams, ActionSpec
from bot.app import running
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.domain.run import Run
from bot.settings import load_settings
from tests.conftest import ROOT
from tests.scenarios.conftest import PATIENCE_S, Stage, is_busy, said

CAUTION = "Think of <everybody>."
RUNBOOK: dict[str, Any] = {
    "id": "made-up",
    "title": "The machine",
    "service": "clerk",
    "severity": "SEV2",
    "triggers": {"phrases": ["machine on fire"]},
    "diagnostics": [{"id": "gauge", "title": "The gauge", "run": "made.gauge"}],
    "checklist": [
        {"id": "wipe", "title": "Wipe the machine", "run": "made.wipe", "caution": CAUTION},
        {"id": "turn", "title": "Turn the screw", "run": "made.turn", "with": {"part": "screw"}},
        {"id": "bypass", "title": "Go around it", "run": "made.bypass", "with": {"minutes": 60}, "caution": CAUTION},
        {"id": "lock", "title": "Lock the accounts", "run": "made.lock", "caution": CAUTION},
        {"id": "list", "title": "List the parts", "run": "made.list", "with": {"lines": 60}},
        {"id": "short-list", "title": "List some parts", "run": "made.list", "with": {"lines": 12}},
        {"id": "send", "title": "Send it", "run": "made.send"},
        {"id": "monitor", "title": "Monitor the gauge", "shows": ["gauge"], "watch": {"every": "30s", "until": "2 good"}},
    ],
}


class Part(ActionParams):
    part: str = Field(title="Part", description="Which part of the machine", pattern=r"^[a-z]{1,20}$")


class Wiping(Part):
    passes: int = Field(default=1, title="Passes", description="How often", ge=1, le=9)


class Minutes(ActionParams):
    minutes: int = Field(title="Minutes", description="How long", ge=5, le=240)


class NoMinutes(ActionParams):
    minutes: int | None = Field(default=None, title="Minutes", description="How long it was to be")


class Accounts(ActionParams):
    user_ids: tuple[str, ...] = Field(title="Accounts", description="Ids of accounts", min_length=1)


class Lines(ActionParams):
    lines: int = Field(title="Lines", description="How many lines")


class Nothing(ActionParams):
    pass


class Machine:
    """What the actions do, and what the test says of it. ``gate``: what runs waits until it is set."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.parts_wiped: list[str] = []
        self.locked: set[str] = set()
        self.is_bypassed = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.progress: list[str] = []
        """Said as soon as a run has begun."""
        self.went_on = asyncio.Event()
        """Set by a test: the run says one more line."""
        self.state = ""
        self.sent = False
        self.gauge = State.OK
        self.can_revert = True

    def specs(self) -> Mapping[str, ActionSpec]:
        """Beside what this version has."""
        made = (
            ActionSpec(name="made.gauge", title="Gauge", risk=Risk.READ, params=Nothing, run=self._read_gauge),
            ActionSpec(name="made.list", title="List", risk=Risk.READ, params=Lines, run=self._list),
            ActionSpec(
                name="made.wipe",
                title="Wipe",
                risk=Risk.DESTRUCTIVE,
                params=Wiping,
                run=self._wipe,
                preview=self._preview_wipe,
                idempotency="natural",
            ),
            ActionSpec(
                name="made.turn",
                title="Turn",
                risk=Risk.CHANGE,
                params=Part,
                run=self._turn,
                preview=_preview,
                idempotency="natural",
            ),
            ActionSpec(
                name="made.bypass",
                title="Bypass",
                risk=Risk.DESTRUCTIVE,
                params=Minutes,
                run=self._bypass,
                preview=_preview,
                idempotency="natural",
                undo="made.bypass_off",
                revert_after_s=lambda params: params.minutes * 60,
            ),
            ActionSpec(
                name="made.bypass_off",
                title="Bypass off",
                risk=Risk.CHANGE,
                params=NoMinutes,
                run=self._bypass_off,
                preview=_preview,
                idempotency="natural",
            ),
            ActionSpec(
                name="made.lock",
                title="Lock",
                risk=Risk.DESTRUCTIVE,
                params=Accounts,
                run=self._lock,
                preview=_preview,
                idempotency="natural",
                undo="made.unlock",
            ),
            ActionSpec(
                name="made.unlock",
                title="Unlock",
                risk=Risk.CHANGE,
                params=Accounts,
                run=self._unlock,
                preview=_preview,
                idempotency="natural",
            ),
            ActionSpec(
                name="made.send",
                title="Send",
                risk=Risk.CHANGE,
                params=Nothing,
                run=self._send,
                preview=_preview,
                idempotency="none",
                look=self._look_whether_sent,
            ),
        )
        return table_of((*load_actions().values(), *made))

    async def _read_gauge(self, _params: Nothing, _context: ActionContext) -> Outcome:
        return Outcome(state=self.gauge, summary=f"The gauge says {self.gauge.value}", value=self.gauge.value)

    async def _list(self, params: Lines, _context: ActionContext) -> Outcome:
        details = tuple(f"part {number} <of {params.lines}>" for number in range(params.lines))
        return Outcome(state=State.OK, summary=f"{params.lines} parts", details=details)

    async def _preview_wipe(self, params: Wiping, _context: ActionContext) -> Preview:
        return Preview(
            summary=f"All of {params.part} is gone.",
            items=(f"{params.part} <1>",),
            confirm_label=f"Wipe {params.part}",
            state=self.state,
        )

    async def _wipe(self, params: Wiping, context: ActionContext) -> Outcome:
        self.begun["wipe"] += 1
        for line in self.progress:
            await context.progress(line)
        while not self.gate.is_set():
            if context.is_stopping():
                return Outcome(state=State.FAILING, summary=f"Stopped; {params.part} is half wiped", value="stopped")
            if self.went_on.is_set():
                self.went_on.clear()
                await context.progress("one line more")
            await asyncio.sleep(0.01)
        self.parts_wiped.append(params.part)
        return Outcome(state=State.OK, summary=f"{params.part} is wiped", value="wiped")

    async def _turn(self, params: Part, _context: ActionContext) -> Outcome:
        self.begun["turn"] += 1
        return Outcome(state=State.OK, summary=f"{params.part} is turned", value="turned")

    async def _bypass(self, params: Minutes, _context: ActionContext) -> Outcome:
        self.begun["bypass"] += 1
        self.is_bypassed = True
        return Outcome(state=State.OK, summary=f"It is on for {params.minutes} minutes", value="on")

    async def _bypass_off(self, _params: NoMinutes, _context: ActionContext) -> Outcome:
        self.begun["bypass_off"] += 1
        if not self.can_revert:
            return Outcome(state=State.UNKNOWN, summary="The machine does not answer", value="unknown")
        self.is_bypassed = False
        return Outcome(state=State.OK, summary="It is seen to be off", value="off")

    async def _lock(self, params: Accounts, _context: ActionContext) -> Outcome:
        self.locked |= set(params.user_ids)
        return Outcome(state=State.OK, summary=f"{len(params.user_ids)} are locked", value="locked")

    async def _unlock(self, params: Accounts, _context: ActionContext) -> Outcome:
        self.locked -= set(params.user_ids)
        return Outcome(state=State.OK, summary=f"{len(params.user_ids)} are open again", value="open")

    async def _send(self, _params: Nothing, _context: ActionContext) -> Outcome:
        self.begun["send"] += 1
        return Outcome(state=State.UNKNOWN, summary="Nobody answered", value="unknown", remedy="Look again")

    async def _look_whether_sent(self, _params: Nothing, _context: ActionContext) -> Outcome:
        state = State.OK if self.sent else State.UNKNOWN
        return Outcome(state=state, summary="It was seen to be sent" if self.sent else "Still nothing to see", value=state.value)


async def _preview(params: ActionParams, _context: ActionContext) -> Preview:
    return Preview(summary=f"It happens with {params.model_dump_json()}", confirm_label="Do it")


class RunStage(Stage):
    """A stage whose bot knows the machine."""

    machine: Machine

    async def start(self) -> None:
        """Start the bot."""
        settings = load_settings(self.environment)
        self.muster = await self._stack.enter_async_context(running(settings, specs=self.machine.specs()))
        self.sandbox.bot_url = self.muster.url

        async def move(offset_s: float) -> None:
            await self.muster.store.set_clock_offset(offset_s)
            self.muster.worker.wake()

        self.sandbox.clock.on_clock_change = move

    async def advance(self, seconds: float) -> None:
        """Move time; the bot has heard of it when this returns."""
        clock = self.muster.desk._clock
        before = clock.now()
        await super().advance(seconds)
        async with asyncio.timeout(PATIENCE_S):
            while (clock.now() - before).total_seconds() < seconds:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.01)

    # -- what every story does -------------------------------------------------------------------------------------

    async def incident(self) -> Incident:
        """The one open incident."""
        (found,) = await self.muster.desk.active()
        return found

    async def run(self, run_id: str = "r1") -> Run:
        """A run as it is now."""
        return (await self.incident()).runs[run_id]

    async def fire(self) -> Any:
        """The room of the machine on fire, with its people in it; nothing is on its way any more."""
        await self.workspace.command("developer", "general", "/incident machine on fire")
        room = await self.room()
        await self.wait(lambda: {"U0DEVELOPER", "U0ONCALL"} <= set(room.members), "the people")
        await self.paged("oncall")
        await self.sees(room.name, "The gauge: *ok*")
        for user in ("engineering-lead", "cto"):
            await self.workspace.join(user, room.name)
        await self.sandbox.settled()
        return room

    async def ask(self, room: Any, step: str, *, user: str = "developer", **fields: Any) -> None:
        """Press Run at a step, and fill in the form where there is one."""
        await self.click(user, room.name, self.card(room.name), "run_step", block_id=f"do:{step}")
        forms = self.workspace.views(user)
        if forms:
            values = {f"param:{name}": {"value": value} for name, value in fields.items()}
            sent = await self.workspace.submit_view(user, forms[-1]["id"], values)
            assert sent.ok, sent

    async def asked(self, room: Any, step: str = "wipe", **fields: Any) -> dict[str, Any]:
        """The preview of a run, as soon as it is there."""
        await self.ask(room, step, **({"part": "boiler"} if step == "wipe" else fields))
        return await self.sees(room.name, "What would happen")

    async def has_begun(self, what: str) -> None:
        """Wait until an action has begun, which nobody tells."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.machine.begun[what]:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    async def is_at_rest(self) -> None:
        """Wait until nothing runs any more, also what was told to stop and takes its time."""
        async with asyncio.timeout(PATIENCE_S):
            while await is_busy(self.muster):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    def of_run(self, room: Any, title: str) -> dict[str, Any]:
        """The newest message of a run of this title."""
        found = [one for one in self.messages(room.name) if re.search(rf"^{title}: ", str(one.get("text")))]
        return found[-1] if found else {}

    async def says(self, room: Any, title: str, text: str, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """The newest message of a run of this title, as soon as it shows ``text``."""
        await self.wait(lambda: text in said(self.of_run(room, title)), f"“{text}” of {title}", timeout_s)
        return self.of_run(room, title)


def buttons(message: dict[str, Any]) -> list[str]:
    """The action ids of a message."""
    return [
        element["action_id"]
        for block in message.get("blocks", [])
        for element in block.get("elements", [])
        if "action_id" in element
    ]


def folder_with_machine(tmp_path: Path, policy: dict[str, Any] | None = None) -> Path:
    """The runbooks of this repository that need no setting, and the machine's; ``policy`` is added to policy.yml."""
    folder = tmp_path / "runbooks"
    folder.mkdir()
    for name in ("contacts.yml", "services.yml", "severities.yml", "policy.yml"):
        (folder / name).write_text((ROOT / "runbooks" / name).read_text("utf-8"), "utf-8")
    (folder / "made").mkdir()
    (folder / "made" / "machine.yml").write_text(yaml.safe_dump(RUNBOOK, sort_keys=False), "utf-8")
    if policy:
        text = yaml.safe_load((folder / "policy.yml").read_text("utf-8"))
        (folder / "policy.yml").write_text(yaml.safe_dump(text | policy, sort_keys=False), "utf-8")
    return folder


def staged_machine(stage: Stage, tmp_path: Path, policy: dict[str, Any] | None = None) -> RunStage:
    """``stage``, which is not started, with the machine."""
    made = RunStage(stage.sandbox, stage.world, stage.environment)
    made.machine = Machine()
    made._stack = stage._stack  # which ends it, before everything that was said is judged
    made.environment["MUSTER_RUNBOOKS"] = str(folder_with_machine(tmp_path, policy))
    return made


def texts(stage: Stage, channel: str, **options: Any) -> str:
    """Everything that a channel shows."""
    return "\n".join(said(message) for message in stage.messages(channel, **options))
