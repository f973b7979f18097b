"""What an action is made of. Declared by the modules of `bot.actions`, read by the runner, the linter and the forms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bot.domain.errors import ConfigError
from bot.domain.outcome import Outcome, Preview, Risk
from bot.providers.table import Providers
from bot.services.jobs import Job, MemoryJob


class ActionParams(BaseModel):
    """Base of every params model. One field is one input of a form: its title, its description, and as
    ``json_schema_extra={"placeholder": …}`` what an empty input shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class NoParams(ActionParams):
    """An action that needs nothing from anybody."""


async def no_progress(_line: str) -> None:
    """For callers that show no progress."""


async def no_pace(_name: str, _per_s: float) -> None:
    """For callers that share a provider's limit with nobody."""


async def no_timeline() -> str:
    """For callers without an incident."""
    return ""


def never() -> bool:
    """For callers that nobody can stop."""
    return False


Idempotency = Literal["natural", "key", "lookup", "none"]
"""What a repetition after an unknown outcome does. ``natural``: it sets a state, so once more changes nothing. ``key``: the
provider knows the call by a key and does it once. ``lookup``: whether it was done can be seen, so it is looked at first
(``look``) and repeated only when it was not. ``none``: it is never repeated; a person decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """For which run an action works. All of it is empty for a diagnostic, and in the terminal without an incident."""

    incident_id: str = ""
    incident_number: int = 0
    incident_title: str = ""
    """What is broken; of a private incident, that it is one."""
    private: bool = False
    drill: bool = False
    run_id: str = ""
    attempt: int = 1
    """1-based; above 1 an earlier attempt was interrupted, and what it did is done."""
    confirmed_at: datetime | None = None
    """When the run was confirmed, aware UTC: the cutoff of what it is about."""
    requested_by: str = ""
    confirmed_by: str = ""
    accounts: tuple[str, ...] = ()
    """The ids of the accounts that the incident says are affected."""
    most_accounts: int = 0
    """The most accounts that one action may hit, also when there are more by the time it runs; 0: nobody said."""
    protected: frozenset[str] = frozenset()
    """The accounts that no action may hit."""


@dataclass(frozen=True)
class ActionContext:
    """What an action gets beside its parameters.

    ``progress`` takes a short plain-text line as often as there is one; how often people see it is for its owner to limit.
    ``sleep`` waits that many seconds; tests pass one that does not. ``job`` survives a crash: whatever takes longer than some
    seconds keeps its cursor there. ``pace(name, per_s)`` waits until this call fits into a limit that all replicas share, and
    ``pause(name, seconds)`` says to all of them that the provider wants no call for so long.
    ``is_stopping`` is to be looked at before each call of a long run: when True, end with what was done so far.
    ``timeline`` is the incident's as text, one entry in a line, oldest first.
    """

    providers: Providers
    progress: Callable[[str], Awaitable[None]] = no_progress
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    run: RunFacts = field(default_factory=RunFacts)
    job: Job = field(default_factory=MemoryJob)
    pace: Callable[[str, float], Awaitable[None]] = no_pace
    pause: Callable[[str, float], Awaitable[None]] = no_pace
    is_stopping: Callable[[], bool] = never
    timeline: Callable[[], Awaitable[str]] = no_timeline


@dataclass(frozen=True)
class ActionSpec:
    """One action. ``run``, ``preview`` and ``look`` are given an instance of ``params``.

    ``settings`` are the environment variables without which it cannot work. ``deadline_s`` ends a run that hangs;
    ``preview`` is None for `read` actions only: whoever changes something says first what. ``idempotency`` is needed where
    something is changed. ``look`` sees whether the effect is there, and changes nothing: ok when it is, failing when it is
    not, unknown when that cannot be seen; needed for `lookup` and `none`, good to have for everything.

    ``undo`` is the action that takes it back: its parameters are those of the same name of this one, and the facts of the
    outcome named ``undo_<parameter>``, which go first. With ``revert_after_s`` it is taken back by itself, so many seconds
    after its confirmation, and again until the undo's outcome is ok.

    ``check`` looks at the files that parameters name, when the runbooks are read (``bot.storage.findings.FileCheck``).

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
    idempotency: Idempotency | None = None
    look: Callable[[Any, ActionContext], Awaitable[Outcome]] | None = field(default=None, repr=False)
    undo: str = ""
    revert_after_s: Callable[[Any], int] | None = field(default=None, repr=False)
    check: Callable[[Mapping[str, object], Path], str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", self.name):
            raise ConfigError(f"action {self.name!r}: a name is <system>.<verb>, in lower case")
        if self.risk is not Risk.READ and self.preview is None:
            raise ConfigError(f"action {self.name}: it changes something, so it needs a preview")
        if (self.risk is Risk.READ) != (self.idempotency is None):
            raise ConfigError(f"action {self.name}: what changes something, and nothing else, says what a repetition does")
        if self.idempotency in ("lookup", "none") and self.look is None:
            raise ConfigError(f"action {self.name}: it is not safe to repeat, so it needs a look at what became of it")
        if self.revert_after_s and not self.undo:
            raise ConfigError(f"action {self.name}: it is taken back by itself, so it needs an undo")
        bare = [name for name, declared in self.params.model_fields.items() if not declared.description]
        if bare:
            raise ConfigError(f"action {self.name}: parameters without a description: {', '.join(bare)}")
