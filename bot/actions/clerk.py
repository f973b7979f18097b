"""The table of the actions on Clerk, and its public status page. What they do is in the modules beside this one."""

from __future__ import annotations

from bot.actions.clerk_blocklist import (
    IdentifierParams,
    block_identifier,
    look_at_block,
    look_at_unblock,
    preview_block,
    preview_unblock,
    unblock_identifier,
)
from bot.actions.clerk_diagnostics import LatencyParams, RotationParams, check_jwks, check_keys, measure_latency, verify_rotation
from bot.actions.clerk_search import AccountsParams, WhoParams, find_user, suspicious_sessions
from bot.actions.clerk_sessions import UserParams, list_sessions, preview_revocation, revoke_sessions
from bot.actions.clerk_sign_up import (
    FormerSignUpParams,
    SignUpParams,
    look_at_restoration,
    look_at_restriction,
    preview_restoration,
    preview_restriction,
    restore_sign_up,
    restrict_sign_up,
)
from bot.actions.clerk_users import (
    ResetParams,
    ban_user,
    look_at_ban,
    look_at_unban,
    preview_ban,
    preview_reset,
    preview_unban,
    preview_withdrawal,
    require_reset,
    unban_user,
    withdraw_reset,
)
from bot.actions.clerk_webhook import WebhookParams, probe_webhook
from bot.actions.spec import ActionContext, ActionSpec, NoParams
from bot.domain.outcome import Outcome, Risk, State
from bot.providers.config import CLERK_SECRET_KEY
from bot.providers.status_shapes import Level, StatusReading


def clerk_actions() -> tuple[ActionSpec, ...]:
    """The actions of Clerk, but for those on many users at once."""
    return (*_diagnostics(), *_on_users(), *_on_sign_up())


def _diagnostics() -> tuple[ActionSpec, ...]:
    return (
        ActionSpec(name="clerk.status", title="Clerk status page", risk=Risk.READ, params=NoParams, run=read_status),
        ActionSpec(
            name="clerk.jwks",
            title="Clerk signing keys",
            risk=Risk.READ,
            params=NoParams,
            run=check_jwks,
            settings=(CLERK_SECRET_KEY,),
        ),
        ActionSpec(
            name="clerk.keys",
            title="Clerk keys",
            risk=Risk.READ,
            params=NoParams,
            run=check_keys,
            settings=(CLERK_SECRET_KEY,),
        ),
        ActionSpec(
            name="clerk.latency",
            title="Clerk latency",
            risk=Risk.READ,
            params=LatencyParams,
            run=measure_latency,
            settings=(CLERK_SECRET_KEY,),
            deadline_s=60.0,
        ),
        ActionSpec(
            name="clerk.webhook_probe",
            title="Webhook endpoint of the application",
            risk=Risk.READ,
            params=WebhookParams,
            run=probe_webhook,
        ),
        ActionSpec(
            name="clerk.verify_rotation",
            title="Secret key after its change",
            risk=Risk.READ,
            params=RotationParams,
            run=verify_rotation,
            settings=(CLERK_SECRET_KEY,),
        ),
    )


def _on_users() -> tuple[ActionSpec, ...]:
    return (
        ActionSpec(
            name="clerk.find_user",
            title="Find a user",
            risk=Risk.READ,
            params=WhoParams,
            run=find_user,
            settings=(CLERK_SECRET_KEY,),
        ),
        ActionSpec(
            name="clerk.list_sessions",
            title="Sessions of a user",
            risk=Risk.READ,
            params=UserParams,
            run=list_sessions,
            settings=(CLERK_SECRET_KEY,),
        ),
        ActionSpec(
            name="clerk.suspicious_sessions",
            title="Sessions worth a look",
            risk=Risk.READ,
            params=AccountsParams,
            run=suspicious_sessions,
            settings=(CLERK_SECRET_KEY,),
            deadline_s=120.0,
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
        ActionSpec(
            name="clerk.ban_user",
            title="Ban a user",
            risk=Risk.DESTRUCTIVE,
            params=UserParams,
            run=ban_user,
            preview=preview_ban,
            look=look_at_ban,
            settings=(CLERK_SECRET_KEY,),
            deadline_s=60.0,
            idempotency="natural",
            undo="clerk.unban_user",
        ),
        ActionSpec(
            name="clerk.unban_user",
            title="Lift the ban of a user",
            risk=Risk.CHANGE,
            params=UserParams,
            run=unban_user,
            preview=preview_unban,
            look=look_at_unban,
            settings=(CLERK_SECRET_KEY,),
            idempotency="natural",
        ),
        ActionSpec(
            name="clerk.require_password_reset",
            title="Require a new password of a user",
            risk=Risk.DESTRUCTIVE,
            params=ResetParams,
            run=require_reset,
            preview=preview_reset,
            settings=(CLERK_SECRET_KEY,),
            deadline_s=60.0,
            idempotency="natural",
            undo="clerk.withdraw_password_reset",
        ),
        ActionSpec(
            name="clerk.withdraw_password_reset",
            title="Let a user keep the password",
            risk=Risk.CHANGE,
            params=UserParams,
            run=withdraw_reset,
            preview=preview_withdrawal,
            settings=(CLERK_SECRET_KEY,),
            idempotency="natural",
        ),
    )


def _on_sign_up() -> tuple[ActionSpec, ...]:
    return (
        ActionSpec(
            name="clerk.restrict_sign_up",
            title="Restrict signing up",
            risk=Risk.DESTRUCTIVE,
            params=SignUpParams,
            run=restrict_sign_up,
            preview=preview_restriction,
            look=look_at_restriction,
            settings=(CLERK_SECRET_KEY,),
            idempotency="natural",
            undo="clerk.restore_sign_up",
        ),
        ActionSpec(
            name="clerk.restore_sign_up",
            title="Turn the restrictions of signing up back",
            risk=Risk.CHANGE,
            params=FormerSignUpParams,
            run=restore_sign_up,
            preview=preview_restoration,
            look=look_at_restoration,
            settings=(CLERK_SECRET_KEY,),
            idempotency="natural",
        ),
        ActionSpec(
            name="clerk.block_identifier",
            title="Block an address or a number",
            risk=Risk.CHANGE,
            params=IdentifierParams,
            run=block_identifier,
            preview=preview_block,
            look=look_at_block,
            settings=(CLERK_SECRET_KEY,),
            idempotency="lookup",
            undo="clerk.unblock_identifier",
        ),
        ActionSpec(
            name="clerk.unblock_identifier",
            title="Take an address or a number off the blocklist",
            risk=Risk.CHANGE,
            params=IdentifierParams,
            run=unblock_identifier,
            preview=preview_unblock,
            look=look_at_unblock,
            settings=(CLERK_SECRET_KEY,),
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
