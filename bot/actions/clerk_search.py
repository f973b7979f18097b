"""Finding accounts of Clerk, and telling which sessions are worth a look. Declared as actions in `bot.actions.clerk`."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from bot.actions.clerk_accounts import account_line, address_of, masked, sessions_record
from bot.actions.clerk_sessions import session_line
from bot.actions.spec import ActionContext, ActionParams
from bot.domain.errors import UserError
from bot.domain.outcome import Outcome, State
from bot.providers.clerk import USER_ID_PATTERN, Account, ClerkClient, LiveSessions, Session
from bot.providers.faults import Refused, Unavailable
from bot.providers.foreign import foreign_text

MOST_ACCOUNTS: Final = 50
AT_ONCE: Final = 5
EMAIL_PATTERN: Final = r"[^\s@<>,;*\"'/?#\\]{1,64}@[^\s@<>,;*\"'/?#\\]{1,189}"
WHO_PATTERN: Final = rf"^(?:{USER_ID_PATTERN[1:-1]}|{EMAIL_PATTERN})$"

_LOOK_LIKE: Final = str.maketrans("аеорсухіјѕԁһӏԛԝαονρυικτ", "aeopcyxijsdhlqwaovpuikt")
"""Letters of other scripts that a reader takes for the Latin ones: those of the words that addresses are made of."""

UserId = Annotated[str, StringConstraints(pattern=USER_ID_PATTERN)]


class WhoParams(ActionParams):
    """One account, by what is known of it."""

    who: str = Field(
        title="User",
        description="The user's id at Clerk (it begins with user_), or the whole e-mail address.",
        pattern=WHO_PATTERN,
        json_schema_extra={"placeholder": "user_… or name@company.com"},
    )


class AccountsParams(ActionParams):
    """Several accounts; none named: those of the incident."""

    user_ids: tuple[UserId, ...] = Field(
        default=(),
        max_length=MOST_ACCOUNTS,
        title="User ids",
        description="Whose sessions to look at; left empty, those of the accounts that this incident lists.",
        json_schema_extra={"placeholder": "user_…"},
    )


async def find_user(params: WhoParams, context: ActionContext) -> Outcome:
    """The account that is meant, by its id; an address is compared letter by letter, and one that only looks alike is said."""
    clerk = context.providers.clerk()
    if "@" not in params.who:
        return await _found(clerk, await clerk.get_account(params.who), ())
    plain = _as_read(params.who)
    addresses = (params.who,) if plain == params.who.casefold() else (params.who, plain)
    accounts = await clerk.list_users(emails=addresses)
    exact = [account for account in accounts if _has(account, params.who)]
    alike = tuple(account for account in accounts if account not in exact)
    warnings = _warnings(params.who, plain, alike)
    if not exact:
        return Outcome(
            state=State.FAILING,
            value="not found",
            summary=f"No account of Clerk's has the address {masked(params.who)}",
            details=warnings,
            remedy="Check the spelling, or look for the user in Clerk's Dashboard",
        )
    if len(exact) > 1:
        return Outcome(
            state=State.UNKNOWN,
            value=f"{len(exact)} accounts",
            summary=f"{len(exact)} accounts have the address {masked(params.who)}; none was put on the incident's list",
            details=(*warnings, *(account_line(account) for account in exact)),
            remedy="Choose by id the one that is meant",
        )
    return await _found(clerk, exact[0], warnings)


async def suspicious_sessions(params: AccountsParams, context: ActionContext) -> Outcome:
    """`failing` when somebody is signed in from several countries at once; every session with address, place and device."""
    wanted = tuple(dict.fromkeys(params.user_ids or _of_clerk(context.run.accounts)))[:MOST_ACCOUNTS]
    if not wanted:
        raise UserError("No account is named, and this incident lists none: find the user first, or give the id")
    clerk = context.providers.clerk()
    slots = asyncio.Semaphore(AT_ONCE)

    async def read(user_id: str) -> _Seen | Refused | Unavailable:
        async with slots:
            try:
                await clerk.get_user(user_id)
                return _Seen(user_id, await clerk.list_live_sessions(user_id), await clerk.list_sessions(user_id))
            except (Refused, Unavailable) as error:
                return error

    read_all = await asyncio.gather(*(read(user_id) for user_id in wanted))
    seen = tuple(one for one in read_all if isinstance(one, _Seen))
    missing = {user_id: one for user_id, one in zip(wanted, read_all, strict=True) if not isinstance(one, _Seen)}
    if not seen:
        raise next(iter(missing.values()))
    unseen = [f"{user_id} was not looked at: {error.what}" for user_id, error in missing.items()]
    unseen += [f"The list of {one.user_id} is longer than could be read" for one in seen if not one.live.complete]
    left_out = 0 if params.user_ids else len(set(_of_clerk(context.run.accounts))) - len(wanted)
    if left_out > 0:
        unseen.append(f"{left_out} more accounts of this incident were not looked at; name them by id")
    return _said(seen, tuple(unseen))


@dataclass(frozen=True)
class _Seen:
    """``recent`` are the newest of any status: what has ended is worth keeping as well."""

    user_id: str
    live: LiveSessions
    recent: tuple[Session, ...]

    @property
    def countries(self) -> tuple[str, ...]:
        said = (foreign_text(one.latest_activity.country, max_chars=40) for one in self.live.sessions if one.latest_activity)
        return tuple(sorted({country for country in said if country}))


def _said(seen: tuple[_Seen, ...], unseen: tuple[str, ...]) -> Outcome:
    odd = tuple(one for one in seen if len(one.countries) > 1)
    count = sum(len(one.live.sessions) for one in seen)
    counted = f"{count} active session{'' if count == 1 else 's'} of {len(seen)} account{'' if len(seen) == 1 else 's'}"
    record = {session.id: session for one in seen for session in (*one.live.sessions, *one.recent)}
    common: dict[str, Any] = {
        "details": (
            *unseen,
            *(f"{one.user_id} is signed in from {', '.join(one.countries)}" for one in odd),
            *(
                f"{one.user_id} · {address_of(session)} · {session_line(session)}"
                for one in (*odd, *(other for other in seen if other not in odd))
                for session in one.live.sessions
            ),
        ),
        "facts": {"live": count, "accounts": len(seen), "odd": len(odd), "not_seen": len(unseen)},
        "report": sessions_record(record.values()),
    }
    if odd:
        return Outcome(
            state=State.FAILING,
            value=f"{len(odd)} from several countries",
            summary=f"{counted}; signed in from several countries at once: {', '.join(one.user_id for one in odd[:3])}"
            + (f" and {len(odd) - 3} more" if len(odd) > 3 else ""),
            remedy="Ask the user whether those are theirs; if not, revoke the sessions and lock the account",
            accounts=tuple(one.user_id for one in odd),
            **common,
        )
    if unseen:
        return Outcome(
            state=State.UNKNOWN,
            value=f"{count} sessions",
            summary=f"{counted}; not everything could be looked at",
            remedy="Look at the rest by id, or in Clerk's Dashboard",
            **common,
        )
    return Outcome(
        state=State.OK,
        value=f"{count} sessions",
        summary=f"{counted}, nobody from several countries at once; whether they are the user's own, only the user knows",
        **common,
    )


async def _found(clerk: ClerkClient, account: Account, warnings: tuple[str, ...]) -> Outcome:
    live = await clerk.list_live_sessions(account.id)
    more = "" if live.complete else "at least "
    count = len(live.sessions)
    return Outcome(
        state=State.OK,
        value=account.id,
        summary=f"This is {account.id}, with {more}{count} active session{'' if count == 1 else 's'}"
        + (", banned" if account.banned else ""),
        details=(*warnings, account_line(account), *(session_line(session) for session in live.sessions)),
        facts={"user_id": account.id, "live": count, "banned": account.banned},
        accounts=(account.id,),
    )


def _warnings(typed: str, plain: str, alike: tuple[Account, ...]) -> tuple[str, ...]:
    strange = sorted({character for character in typed if not character.isascii()})
    if not strange:
        return ()
    named = ", ".join(f"U+{ord(character):04X} {unicodedata.name(character, 'without a name')}" for character in strange[:5])
    said = f"The address that was given is not all Latin: {foreign_text(named, max_chars=200)}"
    return (said, *(f"Somebody else has the address that looks like it, {masked(plain)}: {other.id}" for other in alike))


def _as_read(address: str) -> str:
    """The address as a reader takes it: letters of other scripts as the Latin ones that they look like."""
    return unicodedata.normalize("NFKC", address).casefold().translate(_LOOK_LIKE)


def _has(account: Account, address: str) -> bool:
    return any(email.email_address.casefold() == address.casefold() for email in account.email_addresses)


def _of_clerk(accounts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(account for account in accounts if account.startswith("user_"))
