"""One address or number on Clerk's blocklist, and off it again. Declared as actions in `bot.actions.clerk`.

The blocklist blocks nobody while it is switched off, which only what browsers load says.
"""

from __future__ import annotations

from pydantic import Field

from bot.actions.clerk_accounts import masked, not_done, protection_of
from bot.actions.clerk_search import EMAIL_PATTERN
from bot.actions.clerk_sign_up import read_restrictions
from bot.actions.spec import ActionContext, ActionParams
from bot.domain.errors import UserError
from bot.domain.outcome import Outcome, Preview, State
from bot.providers.clerk import BlockedIdentifier, ClerkClient
from bot.providers.config import CLERK_PUBLISHABLE_KEY


class IdentifierParams(ActionParams):
    """One entry of the blocklist."""

    identifier: str = Field(
        title="E-mail address or telephone number",
        description="Who must not sign up or in: one whole e-mail address, or a telephone number with + and country code.",
        pattern=rf"^(?:{EMAIL_PATTERN}|\+[1-9][0-9]{{6,14}})$",
        json_schema_extra={"placeholder": "name@company.com or +15550100123"},
    )


async def preview_block(params: IdentifierParams, context: ActionContext) -> Preview:
    """Whom it would shut out. Raises: UserError for an address of a protected account."""
    clerk = context.providers.clerk()
    ids, holders = await _holders(clerk, params.identifier, context)
    shown = _shown(params.identifier)
    if await _find_blocked(clerk, params.identifier):
        return Preview(summary=f"{shown} is on Clerk's blocklist already.", nothing_to_do=True, accounts=ids)
    switch = await _blocklist_is_on(context)
    return Preview(
        summary=f"{shown} is put on Clerk's blocklist: nobody can sign up with it, nor sign in unless the instance allows that.",
        items=(
            *(holders or ("No account has it now",)),
            "Sessions that exist stay: revoke them, too",
            {
                True: "The blocklist is switched on",
                False: "The blocklist is switched OFF: until it is on (Dashboard, Restrictions), nobody is blocked",
                None: "Whether the blocklist is switched on cannot be read here",
            }[switch],
        ),
        confirm_label="Block it",
        accounts=ids,
        affects=len(ids),
    )


async def block_identifier(params: IdentifierParams, context: ActionContext) -> Outcome:
    """Looks first: an entry that is there is not made a second time."""
    clerk = context.providers.clerk()
    try:
        ids, _ = await _holders(clerk, params.identifier, context)
    except UserError as error:
        return not_done(str(error))
    if not await _find_blocked(clerk, params.identifier):
        await clerk.block(params.identifier)
    seen = await look_at_block(params, context)
    return seen.model_copy(update={"accounts": ids})


async def look_at_block(params: IdentifierParams, context: ActionContext) -> Outcome:
    """Whether it is on the list, and whether the list is switched on."""
    entry = await _find_blocked(context.providers.clerk(), params.identifier)
    shown = _shown(params.identifier)
    if entry is None:
        return Outcome(
            state=State.FAILING, value="not blocked", summary=f"{shown} is not on Clerk's blocklist", remedy="Run it again"
        )
    is_on = await _blocklist_is_on(context)
    facts: dict[str, str | int | bool | None] = {"block_id": entry.id, "blocklist_on": is_on}
    if is_on:
        return Outcome(state=State.OK, value="blocked", summary=f"{shown} is on Clerk's blocklist, which is on", facts=facts)
    if is_on is None:
        return Outcome(
            state=State.UNKNOWN,
            value="on the list",
            summary=f"{shown} is on Clerk's blocklist; whether that is switched on cannot be read here",
            remedy=f"Look in Clerk's Dashboard under Restrictions, or set {CLERK_PUBLISHABLE_KEY}",
            facts=facts,
        )
    return Outcome(
        state=State.FAILING,
        value="blocklist is off",
        summary=f"{shown} is on Clerk's blocklist, but the blocklist is switched off, so it blocks nobody",
        remedy="Switch the blocklist on in Clerk's Dashboard under Restrictions",
        facts=facts,
    )


async def preview_unblock(params: IdentifierParams, context: ActionContext) -> Preview:
    """What is taken off the list."""
    shown = _shown(params.identifier)
    if not await _find_blocked(context.providers.clerk(), params.identifier):
        return Preview(summary=f"{shown} is not on Clerk's blocklist; nothing would change.", nothing_to_do=True)
    return Preview(summary=f"{shown} leaves Clerk's blocklist and can sign up and in again.", confirm_label="Take it off")


async def unblock_identifier(params: IdentifierParams, context: ActionContext) -> Outcome:
    """`ok` only when a last read of the list does not show it."""
    clerk = context.providers.clerk()
    entry = await _find_blocked(clerk, params.identifier)
    if entry:
        await clerk.unblock(entry.id)
    return await look_at_unblock(params, context)


async def look_at_unblock(params: IdentifierParams, context: ActionContext) -> Outcome:
    """Whether it is off the list."""
    shown = _shown(params.identifier)
    if await _find_blocked(context.providers.clerk(), params.identifier):
        return Outcome(
            state=State.FAILING, value="still blocked", summary=f"{shown} is still on Clerk's blocklist", remedy="Run it again"
        )
    return Outcome(state=State.OK, value="not blocked", summary=f"{shown} is not on Clerk's blocklist")


async def _find_blocked(clerk: ClerkClient, identifier: str) -> BlockedIdentifier | None:
    wanted = identifier.casefold()
    return next((entry for entry in await clerk.list_blocked() if entry.identifier.casefold() == wanted), None)


async def _holders(clerk: ClerkClient, identifier: str, context: ActionContext) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The accounts with this address, and a line for each. Raises: UserError when policy.yml protects one."""
    if "@" not in identifier:
        return (), ("Whether an account has this number is not looked up",)
    accounts = await clerk.list_users(emails=(identifier,))
    why_not = next((found for account in accounts if (found := protection_of(account, context))), "")
    if why_not:
        raise UserError(why_not)
    return tuple(account.id for account in accounts), tuple(f"{account.id} has it" for account in accounts)


async def _blocklist_is_on(context: ActionContext) -> bool | None:
    """None: it cannot be read."""
    return (await read_restrictions(context)).get("blocklist")


def _shown(identifier: str) -> str:
    return masked(identifier) if "@" in identifier else f"{identifier[:4]}…{identifier[-2:]}"
