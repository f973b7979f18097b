"""The rules that a runbook must keep beyond its shape: everything that it refers to exists, fits, and can be reached.

A rule is a generator of findings over one runbook and what is known around it; ``RULES`` is the table of them, and a
new rule is one more function here or in a module beside this one. Called by `bot.storage.runbook_files`, which turns paths
into lines and columns. What does not belong: reading files, and what a single value must look like (that is in the models).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bot.domain.outcome import Risk, State
from bot.domain.runbook import Branch, Diagnostic, Runbook, Step
from bot.domain.service import find_unset
from bot.storage.escalation_rules import known_escalation
from bot.storage.findings import Action, Actions, Finding, Surroundings
from bot.storage.model_faults import suggest, telling
from bot.storage.phrase_rules import telling_phrases
from bot.storage.runbook_size import fits_into_slack
from bot.storage.yaml_strict import YamlPath

Rule = Callable[[Runbook, Surroundings], Iterator[Finding]]
ADDRESSES = frozenset({"url", "app_url"})
"""Parameters that the runbook must give: nobody types where Muster, which stands inside of the network, sends a request."""


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
    """The service is in services.yml; if it is silenced, nobody is offered the runbook."""
    if around.services is None:
        return
    service = around.services.get(runbook.service)
    if service is None:
        remedy = suggest(runbook.service, around.services) or "add it to services.yml"
        yield Finding(path=("service",), message=f"there is no service “{runbook.service}”", remedy=remedy)
    elif not service.enabled:
        message = f"the service “{service.id}” is silenced (enabled: false), so nobody is offered this runbook"
        yield Finding(path=("service",), message=message, level="info")


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


def known_diagnostics(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """What steps show, once each, and what branches wait for are diagnostics of this runbook."""
    known = [item.id for item in runbook.diagnostics]
    wanted: list[tuple[YamlPath, str]] = []
    for path, step in steps_with_paths(runbook):
        for index, name in enumerate(step.shows):
            wanted.append(((*path, "shows", index), name))
            if name in step.shows[:index]:
                yield Finding(path=(*path, "shows", index), message=f"“{name}” is shown twice", remedy="delete one of them")
    wanted += [
        ((*path, "suggested_when", "diagnostic"), branch.suggested_when.diagnostic)
        for path, branch in _branches(runbook)
        if branch.suggested_when
    ]
    for path, name in wanted:
        if name not in known:
            remedy = suggest(name, known) or "add it under `diagnostics`"
            yield Finding(path=path, message=f"there is no diagnostic “{name}” in this runbook", remedy=remedy)


def distinct_branches(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """Each branch of a step has a title of its own, or nobody can tell the buttons apart, and evidence that can suggest it."""
    for path, step in steps_with_paths(runbook):
        titles: set[str] = set()
        for number, branch in enumerate(step.choose):
            here = (*path, "choose", number)
            if branch.title.casefold() in titles:
                message = f"another branch of this step has the title “{branch.title}” too"
                yield Finding(path=(*here, "title"), message=message, remedy="say what is different")
            titles.add(branch.title.casefold())
            yield from _overtaken((*here, "suggested_when"), branch, step.choose[:number])


def _overtaken(path: YamlPath, branch: Branch, before: tuple[Branch, ...]) -> Iterator[Finding]:
    """The first branch whose condition holds is suggested, so what those before it cover is never left for this one."""
    condition = branch.suggested_when
    if condition is None:
        return
    earlier = [other.suggested_when for other in before if other.suggested_when]
    covered: dict[str, set[State]] = {}
    for other in earlier:
        covered.setdefault(other.diagnostic, set()).add(other.is_)
    whole = next((name for name, states in covered.items() if states == set(State)), None)
    if condition in earlier:
        message = f"the branch “{branch.id}” waits for the same evidence as one before it"
        yield Finding(path=path, message=message, remedy="change one of the two conditions")
    elif whole is not None:
        message = f"the branch “{branch.id}” is never suggested: those before it take every result of “{whole}”"
        yield Finding(path=path, message=message, remedy="put it before them, or take one of their conditions out")


def possible_suggestions(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """A branch is not suggested by a diagnostic that cannot answer here: it says "unknown", whatever is broken."""
    for path, branch in _branches(runbook):
        condition = branch.suggested_when
        diagnostic = runbook.find_diagnostic(condition.diagnostic) if condition else None
        if condition is None or diagnostic is None or (around.services is not None and runbook.service not in around.services):
            continue
        missing = (*find_unset(diagnostic.with_, runbook.service), *around.missing_settings(diagnostic.run))
        if missing:
            often = "always" if condition.is_ is State.UNKNOWN else "never"
            message = (
                f"the branch “{branch.id}” is {often} suggested: “{diagnostic.id}” answers “unknown” as long as "
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set"
            )
            remedy = f"set {'it' if len(missing) == 1 else 'them'} where Muster runs"
            yield Finding(path=(*path, "suggested_when"), message=message, remedy=remedy, level="warning")


def known_actions(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """Every action exists, takes what it is given, and may stand where it stands."""
    for index, diagnostic in enumerate(runbook.diagnostics):
        path: YamlPath = ("diagnostics", index)
        action = around.actions.get(diagnostic.run)
        yield from _action(path, diagnostic, diagnostic.run, around)
        if action and action.risk is not Risk.READ:
            message = f"the diagnostic “{diagnostic.id}” runs {diagnostic.run}, which changes something ({action.risk.value})"
            yield Finding(path=(*path, "run"), message=message, remedy="diagnostics run unasked; make it a step")
    for path, step in steps_with_paths(runbook):
        if step.run is not None:
            yield from _action(path, step, step.run, around)
            yield from _careful(path, step, around.actions.get(step.run))
        if step.undo is not None:
            yield from _undo((*path, "undo"), step, around.actions)


def _unknown_action(path: YamlPath, name: str, actions: Actions) -> Finding:
    return Finding(path=path, message=f"there is no action “{name}”", remedy=suggest(name, actions))


def _action(path: YamlPath, item: Diagnostic | Step, name: str, around: Surroundings) -> Iterator[Finding]:
    action = around.actions.get(name)
    if action is None:
        yield _unknown_action((*path, "run"), name, around.actions)
        return
    try:
        action.params.model_validate(item.with_)
    except ValidationError as error:
        for detail in telling(error.errors(include_url=False), action.params):
            yield from _parameter(path, item, detail, action.params)
    if action.check and around.templates:
        message, _, remedy = action.check(item.with_, around.templates).partition("; ")
        if message:
            yield Finding(path=(*path, "with"), message=message, remedy=remedy)


def _careful(path: YamlPath, step: Step, action: Action | None) -> Iterator[Finding]:
    if action and action.risk is Risk.DESTRUCTIVE and not step.caution:
        message = f"the step “{step.id}” runs {step.run}, which is destructive, without a caution"
        yield Finding(path=path, message=message, remedy="add `caution: …`: what to think of before doing it")


def _undo(path: YamlPath, step: Step, actions: Actions) -> Iterator[Finding]:
    back = actions.get(step.undo or "")
    if back is None:
        yield _unknown_action(path, step.undo or "", actions)
        return
    done = actions.get(step.run or "")
    if done and done.risk is Risk.READ:
        yield Finding(path=path, message=f"{step.run} only reads, so there is nothing to take back", remedy="delete `undo`")
    elif back.risk is Risk.READ:
        message = f"{step.undo} only reads, so it takes nothing back"
        yield Finding(path=path, message=message, remedy="name the action that does")
    elif done and done.undo != step.undo:
        message = f"{step.run} is taken back by {done.undo or 'no action'}, not by {step.undo}"
        yield Finding(path=path, message=message, remedy=f"write {done.undo}" if done.undo else "delete `undo`")


def configured_actions(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """What the actions need is set where Muster runs; each lack is told once in a runbook."""
    used: list[tuple[YamlPath, str]] = [(("diagnostics", index), item.run) for index, item in enumerate(runbook.diagnostics)]
    used += [(path, step.run) for path, step in steps_with_paths(runbook) if step.run]
    told: set[str] = set()
    for path, name in used:
        for setting in around.missing_settings(name):
            if setting not in told:
                message = f"{name} needs {setting}, which is not set: it will answer “unknown”"
                yield Finding(path=(*path, "run"), message=message, remedy=f"set {setting} where Muster runs", level="warning")
            told.add(setting)


def _parameter(path: YamlPath, item: Diagnostic | Step, detail: ErrorDetails, model: type[BaseModel]) -> Iterator[Finding]:
    if detail["type"] == "missing":
        name = detail["loc"][-1]
        if name in ADDRESSES and isinstance(item, Step):
            message = f"the step “{item.id}” does not say `{name}`, and whoever runs it could send Muster anywhere"
            yield Finding(path=path, message=message, remedy=f'add it: `with: {{{name}: "${{app_url}}/…"}}`')
        elif isinstance(item, Diagnostic):  # nobody is there to be asked when it runs; a step opens a form
            message = f"the diagnostic “{item.id}” does not say `{name}`, which {item.run} needs"
            yield Finding(path=path, message=message, remedy=f"add it: `with: {{{name}: …}}`")
    elif not detail["loc"] and isinstance(item, Step):
        return  # what the parameters must be together is judged when the form has given the others
    elif "${" not in str(detail["input"]):  # a variable that is not set has its own fault or warning
        yield Finding(path=(*path, "with"), detail=detail, model=model)


RULES: tuple[Rule, ...] = (
    known_service,
    unique_ids,
    telling_phrases,
    known_diagnostics,
    distinct_branches,
    possible_suggestions,
    known_actions,
    configured_actions,
    known_escalation,
    fits_into_slack,
)


def check_runbook(runbook: Runbook, around: Surroundings) -> Iterator[Finding]:
    """Everything that the rules find."""
    for rule in RULES:
        yield from rule(runbook, around)
