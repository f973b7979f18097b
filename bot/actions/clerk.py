"""Actions on Clerk: its public status page, and the sessions of one user (how they end is in `clerk_sessions`)."""

from __future__ import annotations

from bot.actions.clerk_sessions import UserParams, list_sessions, preview_revocation, revoke_sessions
from bot.actions.spec import ActionContext, ActionSpec, NoParams
from bot.domain.outcome import Outcome, Risk, State
from bot.providers.config import CLERK_SECRET_KEY
from bot.providers.status_shapes import Level, StatusReading


def clerk_actions() -> tuple[ActionSpec, ...]:
    """The actions of Clerk."""
    return (
        ActionSpec(name="clerk.status", title="Clerk status page", risk=Risk.READ, params=NoParams, run=read_status),
        ActionSpec(
            name="clerk.list_sessions",
            title="Sessions of a user",
            risk=Risk.READ,
            params=UserParams,
            run=list_sessions,
            settings=(CLERK_SECRET_KEY,),
        ),
        ActionSpec(
            name="clerk.revoke_sessions",
            title="Revoke all sessions of a user",
            risk=Risk.CHANGE,
            params=UserParams,
            run=revoke_sessions,
            preview=preview_revocation,
            settings=(CLERK_SECRET_KEY,),
            deadline_s=300.0,
            idempotency="natural",
        ),
    )


async def read_status(_params: NoParams, context: ActionContext) -> Outcome:
    """`ok` only when the page itself says so; what it cannot be read from raises, and becomes `unknown`."""
    page = context.providers.status_page()
    reading = await page.read()
    details = (*reading.incidents, *_affected(reading), f"Read from {page.url}{reading.source}")
    facts: dict[str, str | int | bool | None] = {
        "level": reading.level.name.lower(),
        "incidents": len(reading.incidents),
        "source": reading.source,
    }
    if reading.level is Level.OPERATIONAL:
        summary = "Clerk's status page reports no trouble (it often lags by ten minutes and more)"
        return Outcome(state=State.OK, value="operational", summary=summary, details=details, facts=facts)
    if reading.level is Level.UNRECOGNISED:
        return Outcome(
            state=State.UNKNOWN,
            value="unclear",
            summary="Clerk's status page says something that Muster does not know",
            details=details,
            remedy=f"Open {page.url} yourself",
            facts=facts,
        )
    first = f": {reading.incidents[0]}" if reading.incidents else ""
    return Outcome(
        state=State.FAILING,
        value=reading.level.words,
        summary=f"Clerk reports trouble, {reading.level.words}{first}",
        details=details,
        remedy=f"Follow {page.url}; a cause on Clerk's side cannot be mended here",
        facts=facts,
    )


def _affected(reading: StatusReading) -> tuple[str, ...]:
    return (f"Affected: {', '.join(reading.components)}",) if reading.components else ()
