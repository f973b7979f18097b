"""The variable of the emergency bypass at Vercel, and how what was there before comes back. Used by `bot.actions.bypass`.

What Muster changes it writes into the comment of the variable itself, so that any replica, and any person, can put it back at
any time, whatever died in between: ``[muster inc-42]`` is one that Muster made, ``[muster inc-42 before=false]`` one whose value
it changed, ``[muster inc-42 production]`` one that was for production as well as for others, and is not for now.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bot.domain.errors import UserError
from bot.providers.vercel import VercelClient
from bot.providers.vercel_shapes import PRODUCTION, EnvVariable

KEY: Final = "CLERK_EMERGENCY_BYPASS"
ON: Final = "true"
COMMENT_MAX_CHARS: Final = 500
_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{0,40}")
"""What can be written into a comment and put back."""
_MARK: Final = re.compile(
    r"\[muster (?P<incident>[^\]\s]+)(?: (?:before=(?P<before>[A-Za-z0-9_-]*)|(?P<parked>production)))?\] ?(?P<rest>.*)", re.S
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One variable of that name. ``value`` None: Vercel shows it to nobody."""

    variable: EnvVariable
    value: str | None

    @property
    def is_for_production(self) -> bool:
        """Production gets it."""
        return PRODUCTION in self.variable.targets

    @property
    def is_only_for_production(self) -> bool:
        """And nothing else does."""
        return self.variable.targets == (PRODUCTION,)

    @property
    def may_be_on(self) -> bool:
        """A deployment that is made now would be open, as far as can be seen."""
        return self.is_for_production and self.value in (ON, None)

    @property
    def _mark(self) -> re.Match[str] | None:
        """What Muster wrote into its comment."""
        return _MARK.fullmatch(self.variable.comment)

    @property
    def before(self) -> str | None:
        """The value that Muster replaced."""
        return self._mark["before"] if self._mark else None

    @property
    def incident_id(self) -> str:
        """For which incident Muster changed it; "": Muster did not."""
        return self._mark["incident"] if self._mark else ""

    @property
    def is_parked(self) -> bool:
        """Muster took production out of it."""
        return bool(self._mark and self._mark["parked"]) and not self.is_for_production

    @property
    def comment_before(self) -> str:
        """What somebody else had written there."""
        return self._mark["rest"] if self._mark else self.variable.comment


class BypassSwitch:
    """The variable as it was read last."""

    def __init__(self, vercel: VercelClient, project: str, incident_id: str) -> None:
        self._vercel = vercel
        self._project = project
        self._incident = incident_id or "terminal"
        self.positions: tuple[Position, ...] = ()
        self.is_seen_whole = True
        """False: there may be variables that the token does not see."""

    async def read(self) -> None:
        """Look at it. Raises: Refused, Unavailable."""
        listing = await self._vercel.list_env(self._project)
        self.is_seen_whole = listing.complete and not listing.hidden_production
        found = [one for one in listing.variables if one.key == KEY and not one.branch]
        self.positions = tuple([Position(variable=one, value=await self._value(one)) for one in found])

    async def _value(self, variable: EnvVariable) -> str | None:
        if variable.type == "sensitive":
            return None
        return await self._vercel.read_switch(self._project, variable.id)

    @property
    def may_be_on(self) -> bool:
        """A production deployment that is made now would be open, as far as can be seen."""
        return any(position.may_be_on for position in self.positions)

    @property
    def other_incident(self) -> str:
        """The id of the other incident for which Muster turned it on, and will turn it off; "": there is none."""
        ids = [position.incident_id for position in self.positions if position.may_be_on]
        return next((found for found in ids if found and found != self._incident), "")

    @property
    def is_to_be_put_back(self) -> bool:
        """It is not as it was before Muster changed it, or it is on."""
        return self.may_be_on or any(position.is_parked or position.before is not None for position in self.positions)

    @property
    def _of_production(self) -> Position | None:
        return next((position for position in self.positions if position.is_for_production), None)

    def plan(self) -> str:
        """What turning it on changes, in a sentence. Raises: UserError when it could not be put back afterwards."""
        now = self._of_production
        if now is None:
            return f"{KEY} is created as {ON}, for production only, and deleted afterwards"
        if now.value == ON:
            return f"{KEY} is {ON} for production already; it is deleted afterwards"
        if now.value is None or not _VALUE.fullmatch(now.value):
            raise UserError(
                f"{KEY} exists for production with a value that Muster cannot read, so it could not be put back; delete that "
                "variable in Vercel's settings of the project, or make it a plain one, and ask again"
            )
        if now.is_only_for_production:
            return f"{KEY} is “{now.value}” for production; it becomes {ON}, and “{now.value}” again afterwards"
        others = ", ".join(target for target in now.variable.targets if target != PRODUCTION)
        return f"{KEY} is “{now.value}” for production, {others}; production alone gets {ON}, and what it had afterwards"

    async def turn_on(self) -> None:
        """Make it so for the next production deployment. Safe to repeat. Raises: also UserError as ``plan``, Unanswered."""
        self.plan()
        now = self._of_production
        if now and now.value == ON:
            return
        if now and now.is_only_for_production:
            comment = self._mark(f" before={now.value}", now.comment_before)
            await self._vercel.edit_env(self._project, now.variable.id, value=ON, comment=comment)
            return
        if now:
            others = tuple(target for target in now.variable.targets if target != PRODUCTION)
            comment = self._mark(" production", now.comment_before)
            await self._vercel.edit_env(self._project, now.variable.id, targets=others, comment=comment)
        comment = self._mark("", "Emergency bypass: Muster turns it off by itself and deletes this variable")
        await self._vercel.set_env(self._project, KEY, ON, comment=comment)

    async def turn_off(self) -> None:
        """Put back what was there before; without a word of Muster's in it, what is on is deleted. Safe to repeat."""
        for position in self.positions:
            variable = position.variable
            if position.before is not None:
                await self._vercel.edit_env(self._project, variable.id, value=position.before, comment=position.comment_before)
            elif position.may_be_on and position.is_only_for_production:
                await self._vercel.delete_env(self._project, variable.id)
            elif position.may_be_on:
                others = tuple(target for target in variable.targets if target != PRODUCTION)
                await self._vercel.edit_env(self._project, variable.id, targets=others)
        for position in self.positions:  # when nothing else is for production any more
            if position.is_parked:
                targets = (PRODUCTION, *position.variable.targets)
                await self._vercel.edit_env(self._project, position.variable.id, targets=targets, comment=position.comment_before)

    def _mark(self, what: str, rest: str) -> str:
        return f"[muster {self._incident}{what}] {rest}"[:COMMENT_MAX_CHARS].rstrip()
