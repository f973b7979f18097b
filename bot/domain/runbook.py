"""A runbook: what to look at, what to do and in which order. Filled from `runbooks/**.yml`; a copy of it is kept in the
timeline of each incident, so the models round-trip through JSON.

What does not belong: how far an incident is with it (`bot.domain.checklist`), and what an action does (`bot.actions`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from bot.domain.durations import DurationS
from bot.domain.errors import UserError
from bot.domain.escalation import RunbookEscalation
from bot.domain.outcome import State
from bot.domain.phrase_words import fold, phrase_key
from bot.domain.scalars import Flag, Id, Text, Title, WebUrl
from bot.domain.severity import Severity

PHRASE_MAX_CHARS = 80
ACTION_NAME_PATTERN = r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"

_CONFIG = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, use_attribute_docstrings=True)


def _has_letters(value: str) -> str:
    if not any(character.isalpha() for character in fold(value)) or not phrase_key(value):
        raise ValueError("has no letters, so nobody can say it; write the words that people use")
    return value


Phrase = Annotated[str, StringConstraints(strip_whitespace=True, max_length=PHRASE_MAX_CHARS), AfterValidator(_has_letters)]
ActionName = Annotated[str, StringConstraints(pattern=ACTION_NAME_PATTERN, max_length=60)]


class Link(BaseModel):
    """A page to open."""

    model_config = _CONFIG

    title: Title
    url: WebUrl


def _good(value: object) -> object:
    found = re.fullmatch(r"([1-9][0-9]?) good", value) if isinstance(value, str) else None
    if found:
        return int(found[1])
    if isinstance(value, int):
        return value
    raise ValueError("is not like `3 good`: how many good results in a row end it")


class AlertTrigger(BaseModel):
    """An alert whose labels have all of these values opens an incident with the runbook."""

    model_config = _CONFIG

    match: dict[str, str] = Field(min_length=1)


class Triggers(BaseModel):
    """What calls for the runbook: phrases that people write, alerts that machines send."""

    model_config = _CONFIG

    phrases: tuple[Phrase, ...] = ()
    alerts: tuple[AlertTrigger, ...] = ()


class Diagnostic(BaseModel):
    """A question that a read-only action answers; all of a runbook's are asked as soon as the room is open."""

    model_config = _CONFIG

    id: Id
    title: Title
    run: ActionName
    with_: dict[str, JsonValue] = Field(default={}, alias="with")


class SuggestedWhen(BaseModel):
    """The evidence that speaks for a branch: the newest result of ``diagnostic`` is ``is_`` (`is: failing` in the
    file)."""

    model_config = _CONFIG

    diagnostic: Id
    is_: State = Field(alias="is")


class Branch(BaseModel):
    """One way at a fork. Its id is unique within its step."""

    model_config = _CONFIG

    id: Id
    title: Title
    suggested_when: SuggestedWhen | None = None
    steps: tuple[Step, ...] = Field(min_length=1)


class Watching(BaseModel):
    """`watch: {every: 30s, until: 3 good}`: the first diagnostic that the step `shows` is repeated, and something is said only
    when it changes. It ends after so many good results in a row, or by its button."""

    model_config = _CONFIG

    every: DurationS = 30
    """How often it looks."""
    until: Annotated[int, BeforeValidator(_good)] = 3
    """After so many good results in a row it ends: `3 good`."""

    @model_validator(mode="after")
    def _is_patient(self) -> Watching:
        if not 10 <= self.every <= 3_600:
            raise ValueError("`every` is between 10s and 1h: more often only costs, and less often nobody waits for")
        return self

    @property
    def good(self) -> int:
        """So many good results in a row end it."""
        return self.until


class Step(BaseModel):
    """One line of the checklist. At most one of `run`, `shows`, `choose` and `steps` is given; none of them: it is
    ticked by hand."""

    model_config = _CONFIG

    id: Id
    """Unique in the runbook, the steps of branches included."""
    title: Title
    run: ActionName | None = None
    """The action behind its button. What it needs and `with` does not give is asked for in a form."""
    with_: dict[str, JsonValue] = Field(default={}, alias="with")
    """Parameters of the action; `${name}` is a variable of the service."""
    shows: tuple[Id, ...] = ()
    """Diagnostics whose newest results stand beside it."""
    choose: tuple[Branch, ...] = ()
    """The ways to go on from here; the steps of the one that is chosen appear."""
    steps: tuple[Step, ...] = ()
    """Its sub-steps; it is done when they are."""
    caution: Text | None = None
    """What to think of before doing it."""
    undo: ActionName | None = None
    """The action that takes `run` back."""
    guide: Text | None = None
    """What a person does by hand, in a sentence or a few; `${name}` is a variable of the service."""
    link: Link | None = None
    """Where they do it."""
    watch: Watching | None = None
    """It can be watched: the first diagnostic that it `shows` is repeated."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Step:
        kinds = [name for name in ("run", "shows", "choose", "steps") if getattr(self, name)]
        if len(kinds) > 1:
            raise ValueError(f"has {' and '.join(kinds)}; a step is one of them, so make two steps of it")
        if self.run is None:
            given = [name for name, value in (("with", self.with_), ("undo", self.undo)) if value]
            if given:
                raise ValueError(f"has {' and '.join(given)} but no run; name the action, or take it out")
        if self.watch and not self.shows:
            raise ValueError("has watch but shows nothing; name the diagnostic to repeat in shows")
        if len(self.choose) == 1:
            raise ValueError("has a single branch to choose; write at least two, or make its steps sub-steps")
        return self


Branch.model_rebuild()  # steps and branches hold each other


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRef:
    """A step and where it stands. ``depth`` is 0 at the top level; ``branch`` is (id of the choosing step, id of the
    branch) of the innermost branch it belongs to, ``parent`` the id of the step that it is directly below."""

    step: Step
    depth: int
    branch: tuple[str, str] | None
    parent: str | None


class Runbook(BaseModel):
    """What to look at and what to do when something is broken, in the order of a checklist."""

    model_config = _CONFIG

    id: Id
    """Unique among all runbooks."""
    title: Title
    service: Id
    """A service of services.yml; its variables are what `${name}` stands for."""
    severity: Severity
    """The severity that an incident with this runbook opens with."""
    symptoms: tuple[Text, ...] = ()
    """What people notice; their words help to find the runbook."""
    triggers: Triggers = Triggers()
    diagnostics: tuple[Diagnostic, ...] = ()
    """Read-only questions, asked together as soon as the room is open."""
    checklist: tuple[Step, ...] = Field(min_length=1)
    escalation: RunbookEscalation = RunbookEscalation()
    """Whom to wake and when, where it differs from the default policy."""
    prevention: tuple[Text, ...] = ()
    """What would have kept it from happening, for the review."""
    links: tuple[Link, ...] = ()
    """Pages that are good to have at hand."""
    security: Flag = False
    """It is about security: conditions that say so apply to its incidents."""
    private: Flag = False
    """Its incidents open in a private room, unless the form says otherwise."""

    def walk(self) -> Iterator[StepRef]:
        """Every step, in the order of the file, with those of all branches; a parent comes before its steps."""
        yield from _walk(self.checklist, depth=0, branch=None, parent=None)

    def find_step(self, step_id: str) -> Step | None:
        """The step with this id."""
        return next((ref.step for ref in self.walk() if ref.step.id == step_id), None)

    def step(self, step_id: str) -> Step:
        """The step with this id. Raises: UserError, since the id comes from a click or a command line."""
        found = self.find_step(step_id)
        if found is None:
            raise UserError(f"The runbook “{self.title}” has no step “{step_id}”; it may have changed meanwhile.")
        return found

    def find_diagnostic(self, diagnostic_id: str) -> Diagnostic | None:
        """The diagnostic with this id."""
        return next((item for item in self.diagnostics if item.id == diagnostic_id), None)


def _walk(steps: tuple[Step, ...], *, depth: int, branch: tuple[str, str] | None, parent: str | None) -> Iterator[StepRef]:
    for step in steps:
        yield StepRef(step=step, depth=depth, branch=branch, parent=parent)
        yield from _walk(step.steps, depth=depth + 1, branch=branch, parent=step.id)
        for choice in step.choose:
            yield from _walk(choice.steps, depth=depth + 1, branch=(step.id, choice.id), parent=step.id)
