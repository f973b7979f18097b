"""Who an account of Clerk is, how it is shown, what protects it, and what is kept of its sessions.

Shared by the actions on Clerk. Shown of an address is only enough to see that it is the one that is meant; the whole record is
for a file in the room.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

from bot.actions.spec import ActionContext
from bot.domain.errors import UserError
from bot.domain.outcome import Outcome, State
from bot.providers.clerk import Account, ClerkClient, Session
from bot.providers.faults import Refused
from bot.providers.foreign import foreign_text, moment_of

ADMIN_ROLE: Final = "org:admin"
_RECORD: Final = (
    "user_id",
    "session_id",
    "status",
    "created",
    "last_active",
    "ip_address",
    "city",
    "country",
    "device",
    "browser",
)


def account_line(account: Account) -> str:
    """ "user_x · d…@s….example · created … · last sign-in … · no second factor · banned"."""
    parts = [
        account.id,
        masked(account.primary_email) if account.primary_email else "no e-mail address",
        f"created {moment_of(account.created_at)}",
        f"last sign-in {moment_of(account.last_sign_in_at)}",
        "second factor" if account.two_factor_enabled else "no second factor",
    ]
    parts += [word for word, is_so in (("banned", account.banned), ("locked", account.locked)) if is_so]
    return " · ".join(parts)


def masked(address: str) -> str:
    """ "d…@s….example" of "demo@sandbox.example": who knows the address knows it again, nobody else learns it."""
    local, _, domain = foreign_text(address, max_chars=254).rpartition("@")
    name, _, ending = domain.rpartition(".")
    return f"{local[:1]}…@{name[:1]}….{ending}" if name else f"{local[:1]}…@{domain[:1]}…"


def protection_of(account: Account, context: ActionContext) -> str:
    """Why no action may hit this account; "": it may. policy.yml names accounts by id or by address."""
    named = {name.casefold() for name in context.run.protected}
    own = {account.id.casefold(), *(email.email_address.casefold() for email in account.email_addresses)}
    return f"{account.id} must not be touched: protected_accounts in policy.yml names it" if named & own else ""


async def last_admin_of(clerk: ClerkClient, user_id: str) -> tuple[str, bool]:
    """The organization that would be left without an administrator ("": none), and whether that could be seen.

    An instance without organizations answers 403, and then it cannot be seen.
    """
    try:
        memberships = await clerk.memberships_of(user_id)
    except Refused as refusal:
        if refusal.code in ("forbidden", "not_found", "payment_required"):
            return "", False
        raise
    for membership in memberships:
        if membership.role == ADMIN_ROLE and await clerk.count_members(membership.organization_id, role=ADMIN_ROLE) <= 1:
            return membership.organization_id, True
    return "", True


async def get_unprotected(clerk: ClerkClient, user_id: str, context: ActionContext) -> Account:
    """The account, which may be hit. Raises: UserError when policy.yml protects it; Refused with the code not_found."""
    account = await clerk.get_account(user_id)
    why_not = protection_of(account, context)
    if why_not:
        raise UserError(why_not)
    return account


def not_done(why: str) -> Outcome:
    """The outcome of a run that did not begin, because it must not."""
    return Outcome(state=State.FAILING, value="not done", summary=why, remedy="Nothing was changed", facts={"done": False})


def sessions_record(sessions: Iterable[Session]) -> str:
    """The sessions as CSV with a head, for the file in the room; "" when there are none."""
    rows = [_row(session) for session in sessions]
    if not rows:
        return ""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([_RECORD, *rows])
    return file.getvalue()


def address_of(session: Session) -> str:
    """ "198.51.100.7", as far as Clerk knows it."""
    found = foreign_text(session.latest_activity.ip_address if session.latest_activity else None, max_chars=45)
    return found or "unknown address"


def _row(session: Session) -> list[str]:
    activity = session.latest_activity
    cells = (
        (activity.ip_address, activity.city, activity.country, activity.device_type, activity.browser_name)
        if activity
        else (None,) * 5
    )
    return [
        session.user_id,
        session.id,
        foreign_text(session.status, max_chars=20),
        moment_of(session.created_at),
        moment_of(session.last_active_at),
        *(_cell(foreign_text(cell, max_chars=60)) for cell in cells),
    ]


def _cell(text: str) -> str:
    """A spreadsheet takes what begins like this for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text
