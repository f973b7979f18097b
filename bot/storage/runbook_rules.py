"""The rules that a runbook must keep beyond its shape: everything that it refers to exists and fits.

A rule is a generator of findings over one runbook and what is known around it; ``RULES`` is the table of them, and a
new rule is one more function there. Called by `bot.storage.runbook_files`, which turns paths into lines and columns.
What does not belong: reading files, and what a single value must look like (that is in the models).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bot.domain.escalation import Contact, EscalationPolicy, ExternalContact, Level
from bot.domain.phrase_words import is_everyday, phrase_key
from bot.domain.runbook import Branch, Diagnostic, Runbook, Step
from bot.storage.model_faults import suggest, telling
from bot.storage.yaml_strict import Level as FaultLevel
from bot.storage.yaml_strict import YamlPath

Actions = Mapping[str, type[BaseModel]]
"""The parameters model of each action that there is, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule found at ``path``. ``detail`` is pydantic's word on an action's parameter, still to be explained."""

    path: YamlPath
    message: str = ""
    remedy: str = ""
    level: FaultLevel = "error"
    detail: ErrorDetails | None = None
    model: type[BaseModel] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a runbook may refer to. None: not known (its file is broken or not there), so nothing is said about it."""

    actions: Actions
    services: frozenset[str] | None
    contacts: Mapping[str, Contact] | None
    external_contacts: Mapping[str, ExternalContact]
    policies: Mapping[str, EscalationPolicy] | None


Rule = Callable[[Runbook, Surroundings], Iterator[Finding]]


def steps_with_paths(runbook: Runbook) -> Iterator[tuple[YamlPath, Step]]:
    """Every step with its path in the file, those of branches included."""
    yield from _steps(("checklist",), runbook.checklist)


def _steps(path: YamlPath, steps: tuple[Step, ...]) -> Iterator[tuple[YamlPath, Step]]:
    for index, step in enumerate(steps):
        here = (*path, index)
        yield here, step
        yield from _steps((*here, "steps"), step.steps)
        for number, branch in enumerate(step.choose):
            yield from _steps((*here, "choose", number, "steps"), branch.steps)


def _branches(runbook: Runbook) -> Iterator[tuple[YamlPath, Branch]]:
    for path, step in steps_with_paths(runbook):
        for number, branch in enumerate(step.choose):
            yield (*path, "choose", number), branch


def repeated(ids: Iterable[tuple[YamlPath, str]], what: str) -> Iterator[Finding]:
    """A finding for each id that was there before; ``what`` is the word for such a thing."""
    seen: set[str] = set()
    for path, identity in ids:
        if identity in seen:
            yield Finding(path=path, message=f"another {what} has the id “{identity}” too", remedy="give each its own id")
        seen.add(identity)


def known_service(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """The service is in services.yml."""
    if around.services is not None and runbook.service not in around.services:
        remedy = suggest(runbook.service, around.services) or "add it to services.yml"
        yield Finding(path=("service",), message=f"there is no service “{runbook.service}”", remedy=remedy)


def unique_ids(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """Ids of diagnostics and steps are unique in the runbook, those of branches in their step."""
    diagnostics: list[tuple[YamlPath, str]] = [
        (("diagnostics", index, "id"), item.id) for index, item in enumerate(runbook.diagnostics)
    ]
    steps: list[tuple[YamlPath, str]] = [((*path, "id"), step.id) for path, step in steps_with_paths(runbook)]
    yield from repeated(diagnostics, "diagnostic")
    yield from repeated(steps, "step")
    for path, step in steps_with_paths(runbook):
        branches: list[tuple[YamlPath, str]] = [
            ((*path, "choose", index, "id"), branch.id) for index, branch in enumerate(step.choose)
        ]
        yield from repeated(branches, "branch of this step")


def telling_phrases(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """A phrase comes once, and does not stand in half of all messages."""
    seen: dict[tuple[str, ...], str] = {}
    for index, phrase in enumerate(runbook.triggers.phrases):
        path = ("triggers", "phrases", index)
        key = phrase_key(phrase)
        if key in seen:
            message = f"the phrase “{phrase}” says the same as “{seen[key]}”"
            yield Finding(path=path, message=message, remedy="delete one of them")
        seen.setdefault(key, phrase)
        if is_everyday(key):
            message = f"the phrase “{phrase}” is made of everyday words and will be found in many messages"
            yield Finding(path=path, message=message, remedy="add the name of the system", level="warning")


def known_diagnostics(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """What steps show and what branches wait for are diagnostics of this runbook."""
    known = [item.id for item in runbook.diagnostics]
    wanted = [
        ((*path, "shows", index), name) for path, step in steps_with_paths(runbook) for index, name in enumerate(step.shows)
    ]
    wanted += [
        ((*path, "suggested_when", "diagnostic"), branch.suggested_when.diagnostic)
        for path, branch in _branches(runbook)
        if branch.suggested_when
    ]
    for path, name in wanted:
        if name not in known:
            remedy = suggest(name, known) or "add it under `diagnostics`"
            yield Finding(path=path, message=f"there is no diagnostic “{name}” in this runbook", remedy=remedy)


def distinct_suggestions(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """Two branches of a step are not suggested by the same evidence: the second never would be."""
    for path, step in steps_with_paths(runbook):
        seen = []
        for number, branch in enumerate(step.choose):
            if branch.suggested_when and branch.suggested_when in seen:
                yield Finding(
                    path=(*path, "choose", number, "suggested_when"),
                    message=f"the branch “{branch.id}” waits for the same evidence as one before it",
                    remedy="change one of the two conditions",
                )
            seen.append(branch.suggested_when)


def known_actions(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """Every action exists, and takes what it is given."""
    for index, diagnostic in enumerate(runbook.diagnostics):
        yield from _action(("diagnostics", index), diagnostic, around.actions)
    for path, step in steps_with_paths(runbook):
        yield from _action(path, step, around.actions)
        if step.undo and step.undo not in around.actions:
            yield _unknown_action((*path, "undo"), step.undo, around.actions)


def _unknown_action(path: YamlPath, name: str, actions: Actions) -> Finding:
    return Finding(path=path, message=f"there is no action “{name}”", remedy=suggest(name, actions))


def _action(path: YamlPath, item: Diagnostic | Step, actions: Actions) -> Iterator[Finding]:
    if item.run is None:
        return
    params = actions.get(item.run)
    if params is None:
        yield _unknown_action((*path, "run"), item.run, actions)
        return
    try:
        params.model_validate(item.with_)
    except ValidationError as error:
        for detail in telling(error.errors(include_url=False), params):
            yield from _parameter(path, item, detail, params)


def _parameter(path: YamlPath, item: Diagnostic | Step, detail: ErrorDetails, model: type[BaseModel]) -> Iterator[Finding]:
    if detail["type"] == "missing":
        if isinstance(item, Diagnostic):  # nobody is there to be asked when it runs; a step opens a form
            name = detail["loc"][-1]
            message = f"the diagnostic “{item.id}” does not say `{name}`, which {item.run} needs"
            yield Finding(path=path, message=message, remedy=f"add it: `with: {{{name}: …}}`")
    elif "${" not in str(detail["input"]):  # a variable that is not set has its own fault or warning
        yield Finding(path=(*path, "with"), detail=detail, model=model)


def known_escalation(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """The policy and the contacts of the runbook's own levels exist."""
    policy = runbook.escalation.inherit
    if around.policies is not None and policy not in around.policies:
        message = f"there is no escalation policy “{policy}”"
        remedy = suggest(policy, around.policies) or "add it to contacts.yml"
        yield Finding(path=("escalation", "inherit"), message=message, remedy=remedy)
    yield from level_findings(("escalation", "levels"), runbook.escalation.levels, around)


def policy_findings(path: YamlPath, policy: EscalationPolicy, around: Surroundings) -> Iterator[Finding]:
    """What holds for the levels of a whole policy: beside their contacts, that their numbers are their order in time."""
    yield from level_findings((*path, "levels"), policy.levels, around)
    in_time = sorted(range(len(policy.levels)), key=lambda index: policy.levels[index].after_s)
    for number, index in enumerate(in_time, start=1):
        if policy.levels[index].level not in (0, number):
            message = f"level {policy.levels[index].level} is number {number} in time"
            remedy = "number the levels in order of time, or leave the numbers out"
            yield Finding(path=(*path, "levels", index, "level"), message=message, remedy=remedy)


def level_findings(path: YamlPath, levels: tuple[Level, ...], around: Surroundings) -> Iterator[Finding]:
    """Every contact that a level notifies is one of ours; no level says a number or a contact twice."""
    numbers: set[int] = set()
    for index, level in enumerate(levels):
        here = (*path, index)
        if level.level and level.level in numbers:
            yield Finding(path=(*here, "level"), message=f"level {level.level} is there twice", remedy="renumber it")
        numbers.add(level.level)
        for position, contact in enumerate(level.notify):
            place = (*here, "notify", position)
            if contact in level.notify[:position]:
                yield Finding(path=place, message=f"“{contact}” is notified twice", remedy="delete one of them")
            elif contact in around.external_contacts:
                message = f"“{contact}” is an external contact, who is never paged"
                yield Finding(path=place, message=message, remedy="name one of our own contacts")
            elif around.contacts is not None and contact not in around.contacts:
                remedy = suggest(contact, around.contacts) or "add it to contacts.yml"
                yield Finding(path=place, message=f"there is no contact “{contact}”", remedy=remedy)


RULES: tuple[Rule, ...] = (
    known_service,
    unique_ids,
    telling_phrases,
    known_diagnostics,
    distinct_suggestions,
    known_actions,
    known_escalation,
)


def check_runbook(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """Everything that the rules find."""
    for rule in RULES:
        yield from rule(runbook, around)
