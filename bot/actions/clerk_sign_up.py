"""What Clerk's API offers as "additional verification": who may sign up and in. Declared as actions in `bot.actions.clerk`.

There is no switch that asks everybody for a second factor. There are the rules of Clerk Protect, two restrictions of
sign-up, and the blocklist (`clerk_blocklist`). The restrictions have no call that reads them; what browsers load says how
they stand, where the publishable key is known.
"""

from __future__ import annotations

from typing import Final, cast

from pydantic import Field

from bot.actions.spec import ActionContext, ActionParams
from bot.domain.errors import NotConfiguredError, UserError
from bot.domain.outcome import UNDO_PREFIX, Outcome, Preview, State
from bot.providers.clerk import Restriction
from bot.providers.config import CLERK_PUBLISHABLE_KEY
from bot.providers.faults import Refused, Unavailable

RULES: Final = "rules_enabled"
TITLES: Final = {
    RULES: "rules of Clerk Protect",
    "block_disposable_email_domains": "block on disposable e-mail addresses",
    "block_email_subaddresses": "block on addresses with a plus (name+tag@…)",
}
"""What is turned on and off, by Clerk's names, which are the undo's parameters, too."""

Standing = bool | None
"""On, off, or not to be read."""


class SignUpParams(ActionParams):
    """What to turn on; what is not chosen stays as it is."""

    protect_rules: bool = Field(
        default=True,
        title="Rules of Clerk Protect",
        description="Apply the rules of Clerk Protect, which refuse or challenge suspicious sign-ins and sign-ups.",
    )
    disposable_addresses: bool = Field(
        default=True,
        title="Block disposable addresses",
        description="Nobody can sign up with an address of a throw-away mail service.",
    )
    subaddresses: bool = Field(
        default=False,
        title="Block plus addresses",
        description="Nobody can sign up with name+tag@…; it hits honest people as well.",
    )

    def wanted(self) -> tuple[str, ...]:
        """The switches to turn on."""
        chosen = zip(TITLES, (self.protect_rules, self.disposable_addresses, self.subaddresses), strict=True)
        return tuple(name for name, is_chosen in chosen if is_chosen)


class FormerSignUpParams(ActionParams):
    """How the switches stood before; what is not given stays as it is."""

    rules_enabled: bool | None = Field(
        default=None, title="Rules of Clerk Protect", description="Whether the rules of Clerk Protect are to be applied."
    )
    block_disposable_email_domains: bool | None = Field(
        default=None, title="Block disposable addresses", description="Whether addresses of throw-away mail services are blocked."
    )
    block_email_subaddresses: bool | None = Field(
        default=None, title="Block plus addresses", description="Whether addresses like name+tag@… are blocked."
    )

    def wanted(self) -> dict[str, bool]:
        """The switches and how they are to stand."""
        given = self.model_dump()
        return {name: given[name] for name in TITLES if given[name] is not None}


# -- the switches ------------------------------------------------------------------------------------------------------


async def preview_restriction(params: SignUpParams, context: ActionContext) -> Preview:
    """What is turned on, and how it stands now. Raises: UserError when nothing was chosen."""
    wanted = dict.fromkeys(params.wanted(), True)
    if not wanted:
        raise UserError("Nothing is chosen, so nothing would be turned on; choose at least one")
    return await _preview(wanted, context, "On")


async def restrict_sign_up(params: SignUpParams, context: ActionContext) -> Outcome:
    """`ok` only when Clerk says of everything that was chosen that it is on."""
    if not params.wanted():
        raise UserError("Nothing is chosen, so nothing was turned on; choose at least one")
    return await _turn(dict.fromkeys(params.wanted(), True), context)


async def look_at_restriction(params: SignUpParams, context: ActionContext) -> Outcome:
    """Whether everything that was chosen is on."""
    return await _look(dict.fromkeys(params.wanted(), True), context)


async def preview_restoration(params: FormerSignUpParams, context: ActionContext) -> Preview:
    """What is turned back. Raises: UserError when how it was is not known."""
    if not params.wanted():
        raise UserError("How it stood before is not known, so there is nothing to turn back; use Clerk's Dashboard")
    return await _preview(params.wanted(), context, "Turn back")


async def restore_sign_up(params: FormerSignUpParams, context: ActionContext) -> Outcome:
    """`ok` only when Clerk says of everything that it stands as it is to stand."""
    if not params.wanted():
        raise UserError("How it stood before is not known, so nothing was turned back; use Clerk's Dashboard")
    return await _turn(params.wanted(), context)


async def look_at_restoration(params: FormerSignUpParams, context: ActionContext) -> Outcome:
    """Whether everything stands as it is to stand."""
    return await _look(params.wanted(), context)


async def _preview(wanted: dict[str, bool], context: ActionContext, verb: str) -> Preview:
    standing = await _standing(context, tuple(wanted))
    items = tuple(_line(name, standing[name], value) for name, value in wanted.items())
    changing = [name for name, value in wanted.items() if standing[name] is not value]
    if not changing:
        return Preview(summary=f"{_list(wanted)}: all of it stands so already.", items=items, nothing_to_do=True)
    return Preview(
        summary=f"For everybody who signs up or in from now on: {', '.join(_set(name, wanted[name]) for name in changing)}.",
        items=items,
        confirm_label=verb if verb != "On" else "Turn it on",
        state=" ".join(f"{name}={_word(standing[name])}" for name in wanted),
    )


async def _turn(wanted: dict[str, bool], context: ActionContext) -> Outcome:
    clerk = context.providers.clerk()
    former = await _former(context, tuple(wanted))
    faults: dict[str, Refused] = {}
    now: dict[str, bool] = {}
    if RULES in wanted:
        try:
            await clerk.set_protect(rules_enabled=wanted[RULES])
            now[RULES] = (await clerk.get_protect()).rules_enabled
        except Refused as refusal:
            faults[RULES] = refusal
    restrictions = {cast("Restriction", name): value for name, value in wanted.items() if name != RULES}
    if restrictions:
        try:
            said = (await clerk.set_restrictions(restrictions)).model_dump()
            now |= {name: said[name] for name in restrictions}
        except Refused as refusal:
            faults |= dict.fromkeys(restrictions, refusal)
    return _turned(wanted, former, now, faults)


def _turned(wanted: dict[str, bool], former: dict[str, Standing], now: dict[str, bool], faults: dict[str, Refused]) -> Outcome:
    done = tuple(name for name, value in wanted.items() if now.get(name) is value)
    details = tuple(
        f"{_capital(TITLES[name])}: {_word(former[name])} before, "
        + (f"{_word(now[name])} now" if name in now else f"not turned: {faults[name].what}")
        for name in wanted
    )
    blind = tuple(TITLES[name] for name in done if former[name] is None)
    if blind:
        details = (*details, f"How it stood before could not be read, so the undo leaves it as it is: {', '.join(blind)}")
    facts: dict[str, str | int | bool | None] = {
        f"{UNDO_PREFIX}{name}": former[name] for name in done if former[name] not in (None, wanted[name])
    }
    if len(done) < len(wanted):
        left = ", ".join(_set(name, value) for name, value in wanted.items() if name not in done)
        first = next(iter(faults.values()), None)
        return Outcome(
            state=State.FAILING,
            value=f"{len(done)} of {len(wanted)}",
            summary=f"Not done: {left}" + (f"; {first.what}" if first else "; Clerk took the call and says otherwise"),
            details=details,
            remedy=first.remedy if first else "Look at it in Clerk's Dashboard",
            facts=facts,
        )
    return Outcome(
        state=State.OK,
        value="done",
        summary=f"Clerk says: {', '.join(_set(name, value) for name, value in wanted.items())}",
        details=details,
        facts=facts,
    )


async def _look(wanted: dict[str, bool], context: ActionContext) -> Outcome:
    standing = await _standing(context, tuple(wanted))
    details = tuple(f"{_capital(TITLES[name])}: {_word(standing[name])}" for name in wanted)
    if any(standing[name] is (not value) for name, value in wanted.items()):
        return Outcome(
            state=State.FAILING,
            value="not done",
            summary=f"Not all of it stands as it was to: {_list(wanted)}",
            details=details,
            remedy="Run it again",
        )
    if any(standing[name] is None for name in wanted):
        return Outcome(
            state=State.UNKNOWN,
            value="unknown",
            summary="How the restrictions of sign-up stand cannot be read",
            details=details,
            remedy=f"Set {CLERK_PUBLISHABLE_KEY}, or look in Clerk's Dashboard under Restrictions",
        )
    return Outcome(state=State.OK, value="done", summary=f"It stands as it was to: {_list(wanted)}", details=details)


async def _former(context: ActionContext, names: tuple[str, ...]) -> dict[str, Standing]:
    """How it stood before the first attempt: a later one would take what that did for the former state."""
    saved = (await context.job.notes()).get("former")
    if isinstance(saved, dict):
        return {name: value if isinstance(value := saved.get(name), bool) else None for name in names}
    standing = await _standing(context, names)
    await context.job.save({"former": dict(standing)})
    return standing


async def _standing(context: ActionContext, names: tuple[str, ...]) -> dict[str, Standing]:
    standing: dict[str, Standing] = dict.fromkeys(names, None)
    if RULES in names:
        standing[RULES] = (await context.providers.clerk().get_protect()).rules_enabled
    if set(names) - {RULES}:
        standing |= {name: value for name, value in (await read_restrictions(context)).items() if name in names}
    return standing


async def read_restrictions(context: ActionContext) -> dict[str, bool]:
    """{} where the Frontend API is not known or cannot be read: that must not stand in the way of a restriction."""
    try:
        return {str(name): value for name, value in (await context.providers.clerk_frontend().read_restrictions()).items()}
    except (NotConfiguredError, Refused, Unavailable):
        return {}


def _line(name: str, now: Standing, value: bool) -> str:
    return f"{_capital(TITLES[name])}: {_word(now)} now → {_word(value)}"


def _set(name: str, value: bool) -> str:
    return f"the {TITLES[name]} {_word(value)}"


def _list(wanted: dict[str, bool]) -> str:
    return ", ".join(_set(name, value) for name, value in wanted.items())


def _word(value: Standing) -> str:
    return "not readable" if value is None else "on" if value else "off"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
