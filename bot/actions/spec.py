"""What an action is made of. Declared by the modules of `bot.actions`, read by the runner, the linter and the forms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from bot.domain.errors import ConfigError
from bot.domain.outcome import Outcome, Preview, Risk
from bot.providers.table import Providers


class ActionParams(BaseModel):
    """Base of every params model. One field is one input of a form: its title, its description, and as
    ``json_schema_extra={"placeholder": …}`` what an empty input shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NoParams(ActionParams):
    """An action that needs nothing from anybody."""


async def no_progress(_line: str) -> None:
    """For callers that show no progress."""


@dataclass(frozen=True)
class ActionContext:
    """What an action gets beside its parameters.

    ``progress`` takes a short plain-text line, at most about once a second; how often people see it is for its owner to
    limit. ``sleep`` waits that many seconds; tests pass one that does not.
    """

    providers: Providers
    progress: Callable[[str], Awaitable[None]] = no_progress
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True)
class ActionSpec:
    """One action. ``run`` and ``preview`` are given an instance of ``params``.

    ``settings`` are the environment variables without which it cannot work. ``deadline_s`` ends a run that hangs;
    ``preview`` is None for `read` actions only: whoever changes something says first what.

    Raises: ConfigError at start-up when the declaration itself is wrong.
    """

    name: str
    title: str
    risk: Risk
    params: type[ActionParams]
    run: Callable[[Any, ActionContext], Awaitable[Outcome]] = field(repr=False)
    preview: Callable[[Any, ActionContext], Awaitable[Preview]] | None = field(default=None, repr=False)
    settings: tuple[str, ...] = ()
    deadline_s: float = 30.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", self.name):
            raise ConfigError(f"action {self.name!r}: a name is <system>.<verb>, in lower case")
        if self.risk is not Risk.READ and self.preview is None:
            raise ConfigError(f"action {self.name}: it changes something, so it needs a preview")
        bare = [name for name, declared in self.params.model_fields.items() if not declared.description]
        if bare:
            raise ConfigError(f"action {self.name}: parameters without a description: {', '.join(bare)}")
