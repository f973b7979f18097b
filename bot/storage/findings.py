"""What the rules of `muster check` work with: the finding, what is known around a runbook, and an action as far as they care.

Used by the rule modules (`runbook_rules`, `escalation_rules`, `phrase_rules`, `runbook_size`) and by `runbook_files`, which
turns the path of a finding into line and column. What does not belong: rules, files and the actions themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bot.domain.escalation import Contact, EscalationPolicy, ExternalContact, Rotation, Team, Way
from bot.domain.outcome import Risk
from bot.domain.service import Service
from bot.storage.yaml_strict import Level, YamlPath

FileCheck = Callable[[Mapping[str, object], Path], str]
"""(the `with` of a step, the folder with the texts) → "what is wrong; what to do about it", "": nothing."""


class Action(Protocol):
    """What the rules must know of an action; `bot.actions.spec.ActionSpec` is one, which storage does not import."""

    @property
    def params(self) -> type[BaseModel]:
        """The model of its parameters."""
        ...

    @property
    def risk(self) -> Risk:
        """What it may do to people."""
        ...

    @property
    def undo(self) -> str:
        """The action that takes it back; "": none does."""
        ...

    @property
    def settings(self) -> tuple[str, ...]:
        """The environment variables without which it cannot work."""
        ...

    @property
    def check(self) -> FileCheck | None:
        """What is wrong with the files that a step's parameters name."""
        ...


Actions = Mapping[str, Action]
"""Every action that there is, by name."""

IsSet = Callable[[str], bool]
"""Whether an environment variable has a value where Muster runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule found at ``path``. ``detail`` is pydantic's word on an action's parameter, still to be explained."""

    path: YamlPath
    message: str = ""
    remedy: str = ""
    level: Level = "error"
    detail: ErrorDetails | None = None
    model: type[BaseModel] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a runbook may refer to. None: not known (its file is broken or not there), so nothing is said about it."""

    actions: Actions
    is_set: IsSet | None
    services: Mapping[str, Service] | None
    contacts: Mapping[str, Contact] | None
    external_contacts: Mapping[str, ExternalContact]
    policies: Mapping[str, EscalationPolicy] | None
    teams: Mapping[str, Team] = field(default_factory=dict)
    rotations: Mapping[str, Rotation] = field(default_factory=dict)
    templates: Path | None = None
    """The folder with the texts that steps name."""
    ways: frozenset[Way] | None = None
    """The ways to reach people that are configured; None: not known."""

    def missing_settings(self, action: str) -> tuple[str, ...]:
        """The variables that ``action`` needs and that have no value; () also when that is not known."""
        known = self.actions.get(action)
        if known is None or self.is_set is None:
            return ()
        return tuple(name for name in known.settings if not self.is_set(name))
