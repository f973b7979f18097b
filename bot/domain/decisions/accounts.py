"""The accounts that an incident hits: found by runs, added and removed by hand."""

from __future__ import annotations

import re

from bot.domain import facts
from bot.domain.commands import ChangeAccounts
from bot.domain.decisions.base import Context, Decision, require_going_on
from bot.domain.errors import UserError
from bot.domain.incident import Incident

ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:-]{0,99}")
MOST_ACCOUNTS = 5_000
"""Ids are kept in the timeline, each time that some join it."""


def change_accounts(incident: Incident, command: ChangeAccounts, context: Context) -> Decision:
    """Some join the list, some leave it. What is there already, and what is not there, is no news."""
    require_going_on(incident)
    strange = [account for account in (*command.added, *command.removed) if not ACCOUNT.fullmatch(account)]
    if strange:
        raise UserError("An account is named by its id at the provider, for example user_2abc; nothing was changed.")
    added = tuple(dict.fromkeys(account for account in command.added if account not in incident.accounts))
    removed = tuple(dict.fromkeys(account for account in command.removed if account in incident.accounts))
    if len(incident.accounts) + len(added) > MOST_ACCOUNTS:
        raise UserError(f"The list holds {MOST_ACCOUNTS} accounts at the most; use the bulk action with a query instead.")
    if not added and not removed:
        raise UserError("That is what the list says already.")
    return Decision(facts=(facts.AccountsChanged(added=added, removed=removed),))
