"""Actions on the application's own side: the switch of its webhooks, and its data (`resync`, `export`). docs/application.md"""

from __future__ import annotations

from functools import partial
from typing import Final

from bot.actions.export import EXPORT_DEADLINE_S, ExportParams, export_table, preview_export
from bot.actions.resync import CheckParams, check_users, preview_resync, resync_users
from bot.actions.spec import ActionContext, ActionSpec, NoParams
from bot.actions.user_table import UserTableParams
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.providers.application import SwitchState
from bot.providers.config import APPLICATION_SWITCH_TOKEN, APPLICATION_SWITCH_URL, CLERK_SECRET_KEY, DATABASE_URL

RESYNC_DEADLINE_S: Final = 3_600.0
_SWITCH: Final = (APPLICATION_SWITCH_URL, APPLICATION_SWITCH_TOKEN)
_LASTS: Final = "Clerk tries them again for about 27 hours (https://docs.svix.com/retries)"


def application_actions() -> tuple[ActionSpec, ...]:
    """The actions of this file."""
    return (
        ActionSpec(
            name="application.pause_webhooks",
            title="Pause webhook processing",
            risk=Risk.CHANGE,
            params=NoParams,
            run=partial(_turn, paused=True),
            preview=partial(_preview, paused=True),
            look=partial(_look, paused=True),
            settings=_SWITCH,
            idempotency="natural",
            undo="application.resume_webhooks",
        ),
        ActionSpec(
            name="application.resume_webhooks",
            title="Resume webhook processing",
            risk=Risk.CHANGE,
            params=NoParams,
            run=partial(_turn, paused=False),
            preview=partial(_preview, paused=False),
            look=partial(_look, paused=False),
            settings=_SWITCH,
            idempotency="natural",
            undo="application.pause_webhooks",
        ),
        ActionSpec(
            name="application.check_users",
            title="Compare the application's users with Clerk",
            risk=Risk.READ,
            params=CheckParams,
            run=check_users,
            settings=(CLERK_SECRET_KEY, DATABASE_URL),
            deadline_s=60.0,
        ),
        ActionSpec(
            name="application.resync_users",
            title="Copy Clerk's users into the application",
            risk=Risk.DESTRUCTIVE,
            params=UserTableParams,
            run=resync_users,
            preview=preview_resync,
            settings=(CLERK_SECRET_KEY, DATABASE_URL),
            deadline_s=RESYNC_DEADLINE_S,
            idempotency="natural",
        ),
        ActionSpec(
            name="application.export_table",
            title="Export a table of the application",
            risk=Risk.CHANGE,
            params=ExportParams,
            run=export_table,
            preview=preview_export,
            settings=(DATABASE_URL,),
            deadline_s=EXPORT_DEADLINE_S,
            idempotency="natural",
        ),
    )


async def _preview(_params: NoParams, context: ActionContext, *, paused: bool) -> Preview:
    """What changes, by how the switch stands now."""
    state = await context.providers.application_switch().read()
    if state.paused == paused:
        return Preview(summary=f"Webhooks are {_standing(state)} already; nothing would change.", nothing_to_do=True)
    if paused:
        return Preview(
            summary=f"The application refuses Clerk's webhooks until they are resumed; {_LASTS}. Nothing that happens at Clerk "
            "reaches the application meanwhile.",
            confirm_label="Pause webhooks",
        )
    return Preview(
        summary=f"The application takes Clerk's webhooks again; they are {_standing(state)}. What was refused comes when Clerk "
        "tries it again, at most 10 hours later.",
        confirm_label="Resume webhooks",
    )


async def _turn(_params: NoParams, context: ActionContext, *, paused: bool) -> Outcome:
    """Set the switch, then read it; `ok` only when it is read as it should be."""
    await context.providers.application_switch().turn(paused=paused)
    return await _look(_params, context, paused=paused)


async def _look(_params: NoParams, context: ActionContext, *, paused: bool) -> Outcome:
    """How the switch is seen to stand."""
    state = await context.providers.application_switch().read()
    value = "paused" if state.paused else "running"
    facts: dict[str, str | int | bool | None] = {"paused": state.paused}
    if state.paused == paused:
        summary = f"Webhooks are seen to be {_standing(state)}" + (f"; {_LASTS}" if paused else "")
        return Outcome(state=State.OK, value=value, summary=summary, facts=facts)
    return Outcome(
        state=State.FAILING,
        value=value,
        summary=f"Webhooks are seen to be {_standing(state)}",
        remedy="Run it again; when it stays so, look at the application's log: the switch must be kept where all of its "
        "processes see it",
        facts=facts,
    )


def _standing(state: SwitchState) -> str:
    if not state.paused:
        return "running"
    return f"paused since {state.since:%Y-%m-%d %H:%M} UTC" if state.since else "paused"
