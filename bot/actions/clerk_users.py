"""Locking one user of Clerk out, and letting them in again. Declared as actions in `bot.actions.clerk`.

A lock of Clerk's is not offered: it leaves the sessions alive and opens by itself. A ban ends all sessions; so does the
demand for a new password, when told to. Both set a state, so that running them again changes nothing. What is known of the
sessions is saved before they end.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from bot.actions.clerk_accounts import account_line, get_unprotected, last_admin_of, not_done, sessions_record
from bot.actions.clerk_sessions import STILL_VALID, UserParams, session_line
from bot.actions.spec import ActionContext
from bot.domain.errors import UserError
from bot.domain.outcome import Outcome, Preview, State
from bot.providers.clerk import Account, ClerkClient, LiveSessions
from bot.providers.faults import Refused

LOOKS: Final = 3
LOOK_EVERY_S: Final = 2.0
"""The sessions of a banned user may be listed for a moment longer."""
NO_BANS: Final = (
    "require a password reset instead, which ends the sessions as well, or delete what the account may do in your application; "
    "bans come with a higher plan of Clerk's"
)


class ResetParams(UserParams):
    """One user, and whether the sessions end as well."""

    end_sessions: bool = Field(
        default=True,
        title="End all sessions",
        description="Sign the user out everywhere at once; without it, who is signed in stays so until they sign in anew.",
    )


# -- ban ---------------------------------------------------------------------------------------------------------------


async def preview_ban(params: UserParams, context: ActionContext) -> Preview:
    """The account and the exact sessions. Raises: UserError for a protected account and for a last administrator."""
    clerk = context.providers.clerk()
    account, remarks = await _bannable(clerk, params.user_id, context)
    live = await clerk.list_live_sessions(account.id)
    if account.banned and not live.sessions and live.complete:
        return Preview(summary=f"{account.id} is banned already and has no sessions.", nothing_to_do=True, accounts=(account.id,))
    return Preview(
        summary=f"{account.id} is banned: nobody can sign in as this user until the ban is lifted, and {_ending(live)}.",
        items=(account_line(account), *remarks, *(session_line(session) for session in live.sessions)),
        confirm_label="Ban the user",
        accounts=(account.id,),
        affects=1,
    )


async def ban_user(params: UserParams, context: ActionContext) -> Outcome:
    """`ok` only when Clerk says that the user is banned, and lists no session any more."""
    clerk = context.providers.clerk()
    try:
        account, remarks = await _bannable(clerk, params.user_id, context)
    except UserError as error:
        return not_done(str(error))
    record, before = await _saved_sessions(clerk, account.id, context)
    try:
        await clerk.ban(account.id)
    except Refused as refusal:
        if refusal.code != "payment_required":
            raise
        return _lacking(account.id)
    outcome = await _seen_banned(clerk, account.id, context)
    return outcome.model_copy(
        update={
            "details": (account_line(account), *remarks, *before, *outcome.details),
            "report": record,
            "accounts": (account.id,),
        }
    )


async def look_at_ban(params: UserParams, context: ActionContext) -> Outcome:
    """Whether the user is banned and signed out."""
    return await _seen_banned(context.providers.clerk(), params.user_id, context)


async def preview_unban(params: UserParams, context: ActionContext) -> Preview:
    """What lifting the ban would mean."""
    account = await context.providers.clerk().get_account(params.user_id)
    if not account.banned:
        return Preview(summary=f"{account.id} is not banned; nothing would change.", nothing_to_do=True, accounts=(account.id,))
    return Preview(
        summary=f"{account.id} can sign in again; the sessions that the ban ended stay ended.",
        items=(account_line(account),),
        confirm_label="Lift the ban",
        accounts=(account.id,),
        affects=1,
    )


async def unban_user(params: UserParams, context: ActionContext) -> Outcome:
    """`ok` only when Clerk says afterwards that the user is not banned."""
    clerk = context.providers.clerk()
    try:
        await clerk.unban(params.user_id)
    except Refused as refusal:
        if refusal.code != "payment_required":
            raise
        return Outcome(
            state=State.FAILING,
            value="not lifted",
            summary=f"The plan of this Clerk account has no bans (402), so the one of {params.user_id} was not lifted",
            remedy="Ask Clerk's support; the ban stays as it is",
        )
    return await look_at_unban(params, context)


async def look_at_unban(params: UserParams, context: ActionContext) -> Outcome:
    """Whether the user is free to sign in."""
    account = await context.providers.clerk().get_account(params.user_id)
    if account.banned:
        return Outcome(
            state=State.FAILING,
            value="banned",
            summary=f"{account.id} is still banned",
            remedy="Run it again, or lift the ban in Clerk's Dashboard",
            facts={"banned": True},
        )
    return Outcome(
        state=State.OK, value="not banned", summary=f"{account.id} is not banned and can sign in", facts={"banned": False}
    )


async def _bannable(clerk: ClerkClient, user_id: str, context: ActionContext) -> tuple[Account, tuple[str, ...]]:
    """The account, and what could not be checked. Raises: UserError when it must not be banned."""
    account = await get_unprotected(clerk, user_id, context)
    organization, was_seen = await last_admin_of(clerk, user_id)
    if organization:
        raise UserError(
            f"{user_id} is the last administrator of {organization} and must not be banned: make somebody else one first, "
            "or end the sessions and require a password reset"
        )
    if was_seen:
        return account, ()
    return account, ("Not checked: whether it is the last administrator of an organization, since Clerk shows none",)


async def _seen_banned(clerk: ClerkClient, user_id: str, context: ActionContext) -> Outcome:
    account = await clerk.get_account(user_id)
    if not account.banned:
        return Outcome(
            state=State.FAILING,
            value="not banned",
            summary=f"{user_id} is not banned",
            remedy="Run it again, or ban the user in Clerk's Dashboard",
            facts={"banned": False},
        )
    live = await _settled(clerk, user_id, context)
    facts: dict[str, str | int | bool | None] = {"banned": True, "still_active": len(live.sessions)}
    if live.sessions:
        return Outcome(
            state=State.FAILING,
            value=f"banned, {len(live.sessions)} still active",
            summary=f"{user_id} is banned, but Clerk still lists {_counted(len(live.sessions))}",
            details=tuple(f"Still active: {session_line(session)}" for session in live.sessions),
            remedy="Revoke the user's sessions now",
            facts=facts,
        )
    if not live.complete:
        return Outcome(
            state=State.UNKNOWN,
            value="banned",
            summary=f"{user_id} is banned; the list of sessions is too long to see if any is left",
            remedy="Look at the user in Clerk's Dashboard",
            facts={**facts, "still_active": None},
        )
    summary = f"{user_id} is banned and has no sessions any more; {STILL_VALID}"
    return Outcome(state=State.OK, value="banned", summary=summary, facts=facts)


# -- a new password ----------------------------------------------------------------------------------------------------


async def preview_reset(params: ResetParams, context: ActionContext) -> Preview:
    """The account and the exact sessions. Raises: UserError for a protected account, and for one without a password."""
    clerk = context.providers.clerk()
    account = await _with_password(clerk, params.user_id, context)
    asked = f"{account.id} has to choose a new password at the next sign-in"
    if not params.end_sessions:
        return Preview(
            summary=f"{asked}; the sessions stay, so whoever is signed in now stays so.",
            items=(account_line(account),),
            confirm_label="Require a new password",
            accounts=(account.id,),
            affects=1,
        )
    live = await clerk.list_live_sessions(account.id)
    return Preview(
        summary=f"{asked}, and {_ending(live)}.",
        items=(account_line(account), *(session_line(session) for session in live.sessions)),
        confirm_label="Require a new password",
        accounts=(account.id,),
        affects=1,
    )


async def require_reset(params: ResetParams, context: ActionContext) -> Outcome:
    """`ok` when Clerk took the demand and, where the sessions were to end, lists none any more."""
    clerk = context.providers.clerk()
    try:
        account = await _with_password(clerk, params.user_id, context)
    except UserError as error:
        return not_done(str(error))
    record, before = await _saved_sessions(clerk, account.id, context) if params.end_sessions else ("", ())
    marked = await clerk.set_password_compromised(account.id, revoke_all_sessions=params.end_sessions)
    said = {
        True: "Clerk says that a reset is required",
        False: "Clerk says that no reset is required",
        None: "Clerk took the demand; it has no call that shows whether it stands",
    }[marked.requires_password_reset]
    outcome = await _seen_signed_out(clerk, account.id, context) if params.end_sessions else _still_signed_in(account.id)
    if marked.requires_password_reset is False:
        outcome = not_done(f"{account.id} does not have to choose a new password: Clerk took the call and changed nothing")
    return outcome.model_copy(
        update={"details": (account_line(account), said, *before, *outcome.details), "report": record, "accounts": (account.id,)}
    )


async def preview_withdrawal(params: UserParams, context: ActionContext) -> Preview:
    """What taking the demand back would mean."""
    account = await context.providers.clerk().get_account(params.user_id)
    return Preview(
        summary=f"{account.id} may keep the password that it has; ended sessions stay ended.",
        items=(account_line(account), "A demand that Clerk made itself (a quarantined address) stays"),
        confirm_label="Withdraw the demand",
        accounts=(account.id,),
        affects=1,
    )


async def withdraw_reset(params: UserParams, context: ActionContext) -> Outcome:
    """`ok` when Clerk took it and does not say that a reset is still required."""
    account = await context.providers.clerk().unset_password_compromised(params.user_id)
    if account.requires_password_reset:
        return Outcome(
            state=State.FAILING,
            value="still required",
            summary=f"{account.id} still has to choose a new password: Clerk demands it itself",
            remedy="The user has to reset the password; nothing else lifts it",
        )
    seen = "" if account.requires_password_reset is False else "; it has no call that shows whether one stands"
    return Outcome(
        state=State.OK,
        value="withdrawn",
        summary=f"Clerk took back that {account.id} has to choose a new password{seen}",
    )


async def _with_password(clerk: ClerkClient, user_id: str, context: ActionContext) -> Account:
    account = await get_unprotected(clerk, user_id, context)
    if not account.password_enabled:
        raise UserError(
            f"{user_id} signs in without a password, so a reset would change nothing: revoke the sessions, or ban the user"
        )
    return account


async def _seen_signed_out(clerk: ClerkClient, user_id: str, context: ActionContext) -> Outcome:
    live = await _settled(clerk, user_id, context)
    if live.sessions:
        return Outcome(
            state=State.FAILING,
            value=f"{len(live.sessions)} still active",
            summary=f"{user_id} has to choose a new password, but Clerk still lists {_counted(len(live.sessions))}",
            details=tuple(f"Still active: {session_line(session)}" for session in live.sessions),
            remedy="Revoke the user's sessions; one that began meanwhile may have the new password already",
            facts={"still_active": len(live.sessions)},
        )
    if not live.complete:
        return Outcome(
            state=State.UNKNOWN,
            value="reset required",
            summary=f"{user_id} has to choose a new password; the list of sessions is too long to see if any is left",
            remedy="Look at the user in Clerk's Dashboard",
            facts={"still_active": None},
        )
    return Outcome(
        state=State.OK,
        value="reset required",
        summary=f"{user_id} has to choose a new password and has no sessions any more; {STILL_VALID}",
        facts={"still_active": 0},
    )


def _still_signed_in(user_id: str) -> Outcome:
    return Outcome(
        state=State.OK,
        value="reset required",
        summary=f"{user_id} has to choose a new password at the next sign-in; the sessions were left alone",
    )


# -- what both need ----------------------------------------------------------------------------------------------------


async def _saved_sessions(clerk: ClerkClient, user_id: str, context: ActionContext) -> tuple[str, tuple[str, ...]]:
    """The live sessions as a record and as lines, as they were before the first attempt: an attempt that was interrupted may
    have ended them."""
    notes = await context.job.notes()
    record, lines = notes.get("record"), notes.get("sessions")
    if isinstance(record, str) and isinstance(lines, list):
        return record, tuple(str(line) for line in lines)
    live = await clerk.list_live_sessions(user_id)
    record = sessions_record(live.sessions)
    found = tuple(f"Before: {session_line(session)}" for session in live.sessions)
    await context.job.save({"record": record, "sessions": list(found)})
    return record, found


async def _settled(clerk: ClerkClient, user_id: str, context: ActionContext) -> LiveSessions:
    """Who is signed in, looked at until nobody is, but not for long."""
    for _ in range(LOOKS - 1):
        live = await clerk.list_live_sessions(user_id)
        if not live.sessions:
            return live
        await context.sleep(LOOK_EVERY_S)
    return await clerk.list_live_sessions(user_id)


def _lacking(user_id: str) -> Outcome:
    return Outcome(
        state=State.FAILING,
        value="not banned",
        summary=f"The plan of this Clerk account has no bans (402), so {user_id} was not banned and is still signed in",
        remedy=NO_BANS,
        facts={"banned": False},
    )


def _ending(live: LiveSessions) -> str:
    """ "7 sessions end; tokens already issued stay valid for about a minute"."""
    if not live.sessions and live.complete:
        return "there is no session to end"
    more = "" if live.complete else " and those that could not be listed"
    return f"{_counted(len(live.sessions))}{more} end{'s' if len(live.sessions) == 1 and live.complete else ''}; {STILL_VALID}"


def _counted(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"
