"""The emergency bypass of an application on Clerk: on for a while, proven, and off again, seen to be off.

On is a variable, a new deployment and a proof from outside; a variable alone does nothing (https://vercel.com/docs/environment-variables).
The framework books the way back with the confirmation, before the first call, and repeats it until `turn_off` is `ok`; so
`turn_off` can be run at any point of `turn_on`, also when nothing was done yet, and deploys only when something open may serve.
Both know each other by the notes of the run's job: what was turned off before it was on is not turned on any more, and whoever
finds out in the middle of it takes back what he did (a process that was away for an hour finds both of them due).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from pydantic import Field

from bot.actions.bypass_ready import check_ready
from bot.actions.bypass_sight import ApplicationParams, Sight, require_address, see
from bot.actions.bypass_switch import KEY, BypassSwitch
from bot.actions.spec import ActionContext, ActionParams, ActionSpec
from bot.actions.vercel_serving import (
    BUILD_BUDGET_S,
    BYPASS_OFF,
    BYPASS_ON,
    BYPASS_TAG,
    POINT_BUDGET_S,
    SERVE_BUDGET_S,
    SETTLE_S,
    Production,
    Served,
    mark_of,
    poll,
    settled,
    short,
    was_bypassed,
)
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.providers.config import VERCEL_PROJECT, VERCEL_TOKEN
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.providers.vercel_shapes import Deployment

PROOF_BUDGET_S: Final = 60.0
"""How long the edge may still answer as before."""
CALLED_OFF_BUDGET_S: Final = 900.0
"""Whoever was turning it on while it was turned off sees to it for so long that nothing of that is left."""
FIVE_MINUTES: Final = 5
FOUR_HOURS: Final = 240
DEADLINE_S: Final = 2 * (BUILD_BUDGET_S + SERVE_BUDGET_S) + POINT_BUDGET_S + 2 * PROOF_BUDGET_S
SETTINGS: Final = (VERCEL_TOKEN, VERCEL_PROJECT)

Facts = dict[str, str | int | bool | None]


class _Minutes(ActionParams):
    """What a form asks first."""

    minutes: int = Field(
        default=60,
        title="Minutes",
        description="After so many minutes it is turned off by itself.",
        ge=FIVE_MINUTES,
        le=FOUR_HOURS,
    )


class BypassParams(ApplicationParams, _Minutes):
    """`clerk.emergency_bypass`: for how long, and where the application is."""


def bypass_actions() -> tuple[ActionSpec, ...]:
    """The actions of this file."""
    return (
        ActionSpec(
            name="clerk.emergency_bypass",
            title="Emergency bypass",
            risk=Risk.DESTRUCTIVE,
            params=BypassParams,
            run=turn_on,
            preview=preview_on,
            look=look_whether_on,
            settings=SETTINGS,
            deadline_s=DEADLINE_S,
            idempotency="natural",
            undo="clerk.emergency_bypass_off",
            revert_after_s=lambda params: int(params.minutes) * 60,
        ),
        ActionSpec(
            name="clerk.emergency_bypass_off",
            title="Emergency bypass off",
            risk=Risk.CHANGE,
            params=ApplicationParams,
            run=turn_off,
            preview=preview_off,
            look=look_whether_off,
            settings=SETTINGS,
            deadline_s=DEADLINE_S,
            idempotency="natural",
        ),
        ActionSpec(
            name="bypass.ready",
            title="Emergency bypass: is everything in place?",
            risk=Risk.READ,
            params=ApplicationParams,
            run=check_ready,
            settings=SETTINGS,
            deadline_s=45.0,
        ),
    )


# -- on -------------------------------------------------------------------------------------------------------------


async def preview_on(params: BypassParams, context: ActionContext) -> Preview:
    """What would be changed, deployed and opened, and how that will be proven. Raises: UserError when it cannot be taken back."""
    require_address(params)
    production = await Production.open(params.project, context)
    switch = BypassSwitch(production.vercel, production.project.id, context.run.incident_id)
    await switch.read()
    current, sight = await asyncio.gather(production.current(), see(params, context))
    items = [
        "While it is on, every route is open to everyone, signed in or not",
        switch.plan(),
        f"{short(current)} is built once more and takes over when it is ready, usually within five minutes",
        f"Now, {sight.words}",
        *_warnings(params, sight, switch, pinned=production.project.auto_assign is False),
    ]
    return Preview(
        summary=f"Authentication of {params.app_url} is bypassed for {params.minutes} minutes; then it is turned off by itself.",
        items=tuple(items),
        confirm_label="Turn the bypass on",
        state=f"{current.id} {'on' if switch.may_be_on else 'off'} {sight.state == 'on'}",
    )


def _warnings(params: ApplicationParams, sight: Sight, switch: BypassSwitch, *, pinned: bool) -> list[str]:
    found = []
    if sight.state == "on":
        found.append("It is on already: confirming books its end")
    if switch.other_incident:
        found.append(f"Muster turned it on for {switch.other_incident}: it goes off at the end booked there, if that comes first")
    if sight.state == "open":
        found.append(f"{params.protected_path} is open without the bypass too, so it proves nothing: only the header can")
    if params.protected_path is None and not params.sends_header:
        found.append(
            "Without a protected path only the header X-Auth-Bypass can prove it; if the application does not send it, people "
            "will be called to see that it is off"
        )
    if pinned:
        found.append("Production is pinned after a rollback: the new deployment is promoted, which ends that")
    if not switch.is_seen_whole:
        found.append("Variables of production are hidden from this token; whether one of them is this one is not known")
    return found


async def turn_on(params: BypassParams, context: ActionContext) -> Outcome:
    """Set the variable, redeploy, and prove it from outside. Safe to repeat: what an earlier attempt deployed is found again."""
    require_address(params)
    work = _Work(params, context, await Production.open(params.project, context), minutes=params.minutes)
    return await work.turn_on()


async def look_whether_on(params: BypassParams, context: ActionContext) -> Outcome:
    """Whether it is seen to be on."""
    return _of_sight_on(params.minutes, await see(params, context))


def _of_sight_on(minutes: int, sight: Sight, *, was_open: bool = False, **facts: str | None) -> Outcome:
    known: Facts = {"sight": sight.state, **facts}
    if sight.state == "on" or (sight.state == "open" and not was_open):
        if sight.state == "on":
            known["undo_sends_header"] = True
        summary = f"The emergency bypass is on; it is turned off by itself {minutes} min after it was confirmed"
        return Outcome(
            state=State.OK, value=f"on for {minutes} min", summary=summary, details=(f"Seen: {sight.words}",), facts=known
        )
    if sight.state == "off":
        return Outcome(
            state=State.FAILING,
            value="not on",
            summary=f"The emergency bypass is not on: {sight.words}",
            remedy=f"Check that the middleware of the application knows {KEY}; what was set is taken back by itself",
            facts=known,
        )
    why = "it is open without the bypass too, so that proves nothing" if sight.state == "open" else "so nobody can tell"
    return Outcome(
        state=State.UNKNOWN,
        value="not proven",
        summary=f"Whether the emergency bypass is on was not seen: {sight.words}; {why}",
        remedy="Try a protected page in a private window; it is taken back by itself whatever it is",
        facts=known,
    )


# -- off ------------------------------------------------------------------------------------------------------------


async def preview_off(params: ApplicationParams, context: ActionContext) -> Preview:
    """What would be put back, and whether that needs a deployment."""
    work = _Work(params, context, await Production.open(params.project, context))
    await work.switch.read()
    current, sight = await asyncio.gather(work.production.current(), see(params, context))
    to_put_back, open_build = work.switch.is_to_be_put_back, was_bypassed(current)
    if sight.state == "off" and not to_put_back and not open_build:
        return Preview(summary="The emergency bypass is off; nothing would change.", nothing_to_do=True)
    items = [f"Now, {sight.words}"]
    items += [f"{KEY} becomes what it was before it was turned on; where there was none, it is deleted"] if to_put_back else []
    items += [f"If that still serves, {short(current)} is built once more without it and takes over when it is ready"]
    return Preview(
        summary=f"Authentication of {params.app_url} is enforced again, within some minutes.",
        items=tuple(items),
        confirm_label="Turn the bypass off",
    )


async def turn_off(params: ApplicationParams, context: ActionContext) -> Outcome:
    """Put the variable back, see to it that nothing open serves or will serve, and look. `ok` only when it is seen to be off."""
    require_address(params)
    work = _Work(params, context, await Production.open(params.project, context))
    return await work.turn_off()


async def look_whether_off(params: ApplicationParams, context: ActionContext) -> Outcome:
    """Whether it is seen to be off."""
    return _of_sight_off(await see(params, context), "")


def _of_sight_off(sight: Sight, why: str, *, is_hidden: bool = False, **facts: str | None) -> Outcome:
    known: Facts = {"sight": sight.state, **facts}
    if sight.state == "off" and not is_hidden:
        return Outcome(
            state=State.OK,
            value="off",
            summary="The emergency bypass is off",
            details=(f"Seen: {sight.words}", *((why,) if why else ())),
            facts=known,
        )
    if sight.state in ("on", "open"):
        return Outcome(
            state=State.FAILING,
            value="still open" if sight.state == "open" else "still on",
            summary=f"The emergency bypass is not off: {sight.words}" + (f"; {why}" if why else ""),
            remedy=f"Delete {KEY} at Vercel and redeploy production by hand, or roll back to a deployment from before it",
            facts=known,
        )
    reason = "variables are hidden from this token, and a new deployment might turn it on" if is_hidden else sight.words
    return Outcome(
        state=State.UNKNOWN,
        value="not seen off",
        summary=f"Whether the emergency bypass is off was not seen: {reason}" + (f"; {why}" if why else ""),
        remedy=f"Try a protected page in a private window, and look for {KEY} in Vercel's settings of the project",
        facts=known,
    )


class _Work:
    """One run, on or off. What a later attempt has to know is in the notes of the job."""

    def __init__(self, params: ApplicationParams, context: ActionContext, production: Production, *, minutes: int = 0) -> None:
        self._params = params
        self._minutes = minutes
        self._is_called_off = False
        self._context = context
        self.production = production
        self.switch = BypassSwitch(production.vercel, production.project.id, context.run.incident_id)
        self._notes: dict[str, Any] = {}

    async def _note(self, name: str, value: str | bool) -> None:
        """Remembered before what it is about is done."""
        self._notes[name] = value
        await self._context.job.save({name: value})

    async def _see(self) -> Sight:
        sight = await see(self._params, self._context, sends_header=self._notes.get("sends_header") is True)
        if sight.state == "on" and not self._notes.get("sends_header"):
            await self._note("sends_header", True)
        return sight

    async def _see_until(self, *wanted: str) -> Sight:
        """The first sight that is one of ``wanted``; the last one when none comes in time."""
        last: list[Sight] = []

        async def look() -> Sight | None:
            last[:] = [await self._see()]
            return last[0] if last[0].state in wanted else None

        return await poll(self._context, look, budget_s=PROOF_BUDGET_S) or last[0]

    # -- on --------------------------------------------------------------------------------------------------------

    async def turn_on(self) -> Outcome:
        """See the module."""
        plain = self._context
        self._context = self.production.context = replace(
            plain, sleep=self._sleep_on(plain), is_stopping=lambda: self._is_called_off or plain.is_stopping()
        )
        outcome: Outcome | None = None
        try:
            if not await self._look_whether_called_off():
                outcome = await self._turn_on()
        except (Refused, Unavailable, Unanswered):
            if not await self._look_whether_called_off():
                raise
        if outcome and not await self._look_whether_called_off():
            return outcome
        self._context = self.production.context = plain
        return await self._take_back()

    def _sleep_on(self, plain: ActionContext) -> Callable[[float], Awaitable[None]]:
        async def sleep(seconds: float) -> None:
            await plain.sleep(seconds)
            await self._look_whether_called_off()

        return sleep

    async def _look_whether_called_off(self) -> bool:
        """Whether it is being turned off, or was."""
        self._notes |= await self._context.job.notes()
        self._is_called_off = self._notes.get("off_began") is True
        return self._is_called_off

    async def _take_back(self) -> Outcome:
        """It was turned off meanwhile: nothing that this run did may be left, whatever the other one saw."""

        async def look() -> Outcome | None:
            off = await self.turn_off()
            return off if off.state is State.OK else None

        off = await poll(self._context, look, budget_s=CALLED_OFF_BUDGET_S)
        if off is None:
            why = "it was turned off before it was on, and that it is off was not seen"
            return _of_sight_off(Sight(state="unclear", words=why), "")
        return Outcome(
            state=State.FAILING,
            value="not on",
            summary="It was turned off before it was on, so it is off",
            details=off.details,
            remedy="Ask for it once more if it is still needed",
        )

    async def _turn_on(self) -> Outcome:
        await self.switch.read()
        sight = await self._see()
        if "was_open" not in self._notes:
            await self._note("was_open", sight.state == "open")
        if self.switch.may_be_on and self._is_proof(sight):
            return self._outcome_on(sight, None)
        if self._context.is_stopping():
            return self._stopped("Nothing was changed")
        await self._context.progress(f"Setting {KEY} for production")
        await self._note("on_began", True)
        if await self._look_whether_called_off():
            return self._stopped("Nothing was changed")
        await settled(self._context, self.switch.turn_on)
        source = await self._source("on_source")
        if await self._look_whether_called_off():
            return self._stopped(f"{KEY} was set")
        made, served = await self._redeployed(source, "bypass-on", BYPASS_ON)
        if served.state != "serving":
            return self._not_served(made, served)
        sight = await self._see_until("on", *(() if self._notes["was_open"] else ("open",)))
        if sight.state == "off" and source.git_source and not self._context.is_stopping():
            await self._context.progress(
                "It is not on: the new deployment may have kept the old variables; building from the repository"
            )
            made, served = await self._redeployed(source, "bypass-on-git", BYPASS_ON, from_git=True)
            if served.state != "serving":
                return self._not_served(made, served)
            sight = await self._see_until("on", *(() if self._notes["was_open"] else ("open",)))
        return self._outcome_on(sight, made)

    def _is_proof(self, sight: Sight) -> bool:
        return sight.state == "on" or (sight.state == "open" and not self._notes["was_open"])

    def _outcome_on(self, sight: Sight, made: Deployment | None) -> Outcome:
        was_open = bool(self._notes["was_open"])
        return _of_sight_on(self._minutes, sight, was_open=was_open, deployment=made.id if made else None)

    def _not_served(self, made: Deployment, served: Served) -> Outcome:
        if served.state == "stopped":
            return self._stopped(f"{KEY} is set, and {made.id} is being deployed")
        failed = served.state == "failed"
        return Outcome(
            state=State.FAILING if failed else State.UNKNOWN,
            value="not on" if failed else "not seen",
            summary=f"{KEY} is set, but the deployment with it does not serve: {served.why}",
            remedy="Look at the build at vercel.com; the variable is taken back by itself, or turn it off now",
            facts={"deployment": made.id},
        )

    def _stopped(self, done: str) -> Outcome:
        return Outcome(
            state=State.UNKNOWN,
            value="stopped",
            summary=f"Stopped by hand. {done}; it is turned off by itself at its time",
            remedy="Turn it off now if it is not needed",
        )

    # -- off -------------------------------------------------------------------------------------------------------

    async def turn_off(self) -> Outcome:
        """See the module."""
        self._notes = dict(await self._context.job.notes())
        await self._note("off_began", True)
        await self.switch.read()
        if self._notes.get("on_began") and not self.switch.is_to_be_put_back:
            await self._context.sleep(SETTLE_S)  # a call of who was just turning it on may be on its way
            await self.switch.read()
        if self.switch.is_to_be_put_back:
            if self.switch.may_be_on:
                await self._note("may_serve", True)  # written first: whoever goes on after a crash has to know
            await self._context.progress(f"Putting {KEY} back")
            await settled(self._context, self.switch.turn_off)
            await self.switch.read()
        current, coming = await self._coming()
        sight = await self._see()
        tagged = [one for one in (current, *coming) if was_bypassed(one)]
        suspect = bool(tagged) or self._notes.get("may_serve") is True
        made: Deployment | None = None
        why = ""
        if sight.state == "on" or (suspect and (sight.state != "off" or coming)):
            made, served = await self._closed(current)
            why = served.why
            sight = await self._see_until("off")
            if served.state == "serving" and sight.state in ("on", "open") and current.git_source:
                await self._context.progress("It is still on: building from the repository")
                made, served = await self._redeployed(current, "bypass-off-git", BYPASS_OFF, from_git=True)
                why = served.why
                sight = await self._see_until("off")
        elif suspect:
            await self._note("may_serve", False)
        if self.switch.may_be_on:
            return _of_sight_off(Sight(state="unclear", words=f"{KEY} is set again, by somebody else"), why)
        hidden = not self.switch.is_seen_whole
        return _of_sight_off(sight, why, is_hidden=hidden, deployment=made.id if made else None)

    async def _closed(self, current: Deployment) -> tuple[Deployment, Served]:
        """A deployment without the variable, serving."""
        made, served = await self._redeployed(current, "bypass-off", BYPASS_OFF)
        if served.state == "serving":
            await self._note("may_serve", False)
        return made, served

    async def _coming(self) -> tuple[Deployment, list[Deployment]]:
        """(what serves, what may take its place by itself); what Muster is building with the bypass is cancelled before."""
        production = self.production
        found = await production.vercel.list_deployments(production.project.id)
        ours = [one for one in found if one.is_in_flight and was_bypassed(one)]
        for one in ours:
            await self._context.progress(f"Cancelling {one.id}, which would have the bypass")
            await settled(self._context, functools.partial(production.vercel.cancel_deployment, one.id))
        if ours:
            found = await production.vercel.list_deployments(production.project.id)
        await production.look()
        current = await production.current()
        by_itself = production.project.auto_assign is not False
        newer = [
            one for one in found if (one.created_at or 0) > (current.created_at or 0) and one.meta.get(BYPASS_TAG) != BYPASS_OFF
        ]
        return current, [one for one in newer if one.is_in_flight or (one.is_ready and by_itself)]

    # -- both ------------------------------------------------------------------------------------------------------

    async def _source(self, note: str) -> Deployment:
        """What is built once more: what served when this run began."""
        known = self._notes.get(note)
        if isinstance(known, str):
            return await self.production.vercel.get_deployment(known)
        current = await self.production.current()
        await self._note(note, current.id)
        return current

    async def _redeployed(
        self, source: Deployment, purpose: str, tag: str, *, from_git: bool = False
    ) -> tuple[Deployment, Served]:
        mark = await mark_of(self._context, purpose)
        await self._context.progress(f"Redeploying {source.id}")
        made = await self.production.rebuild(source, mark=mark, meta={BYPASS_TAG: tag}, from_git=from_git)
        return made, await self.production.until_serving(made)
