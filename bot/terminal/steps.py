"""The steps of a runbook as the terminal shows and reads them: what each needs, its parameters from ``--set`` and questions."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bot.actions.runner import parse_params
from bot.actions.spec import ActionSpec
from bot.domain.errors import UserError
from bot.domain.runbook import Runbook, Step
from bot.domain.service import find_unset
from bot.domain.text import closest
from bot.terminal.check import printable

IsSet = Callable[[str], bool]
"""Whether an environment variable is set."""
OF_THE_INCIDENT = frozenset({"user_ids", "accounts"})
"""Parameters for which the word `incident` means the accounts that the incident knows."""


class UsageError(UserError):
    """What was typed cannot be meant; exit code 2."""


class Terminal:
    """Writes lines and asks questions. What a terminal would obey is written out."""

    def say(self, line: str = "") -> None:
        """One line."""
        sys.stdout.write(f"{printable(line)}\n")
        sys.stdout.flush()

    def ask(self, question: str) -> str:
        """The line that was typed, without blanks around it. Blocks; nothing is under way while somebody is asked.

        Raises: UserError at the end of the input, and for Ctrl-C.
        """
        former = signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio's own would let the question stand
        try:
            sys.stdout.write("\n".join(printable(line) for line in question.split("\n")) + " ")
            sys.stdout.flush()
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            self.say()
            raise UserError("interrupted, so nothing was done") from None
        finally:
            signal.signal(signal.SIGINT, former)
        if not line:
            self.say()
            raise UserError("nobody answered, so nothing was done; answer on the terminal, or give everything in the command")
        return line.strip()


def describe(runbook: Runbook, specs: Mapping[str, ActionSpec], is_set: IsSet) -> Iterator[str]:
    """The lines of ``muster run RUNBOOK``: every step, what it does, and what it needs."""
    yield f"{runbook.title} ({runbook.severity.value}, {runbook.service})"
    yield ""
    width = max(len(ref.step.id) + 2 * ref.depth for ref in runbook.walk())
    branch: tuple[str, str] | None = None
    for ref in runbook.walk():
        if ref.branch and ref.branch != branch:
            way = next(one for one in runbook.step(ref.branch[0]).choose if one.id == ref.branch[1])
            yield f"{'  ' * ref.depth}[{way.title}]"
        branch = ref.branch
        indented = f"{'  ' * ref.depth}{ref.step.id}"
        yield f"  {indented:<{width}}  {kind_of(ref.step, specs):<12} {ref.step.title}"
        for need in _needs(ref.step, specs, is_set, runbook.service):
            yield f"  {'':<{width}}  {'':<12} {need}"
    yield ""
    yield f"muster run {runbook.id} --step ID does one of them; --dry-run only shows what it would do."


def kind_of(step: Step, specs: Mapping[str, ActionSpec]) -> str:
    """ "read", "change", "destructive", "look" for what only shows diagnostics, "choose", "" for a heading, or "by hand"."""
    spec = specs.get(step.run or "")
    if spec:
        return spec.risk.value
    kinds = {"look": step.shows, "choose": step.choose, "": step.steps}
    return next((kind for kind, given in kinds.items() if given), "by hand")


def _needs(step: Step, specs: Mapping[str, ActionSpec], is_set: IsSet, service: str) -> Iterator[str]:
    spec = specs.get(step.run or "")
    if spec is None:
        return
    open_fields = {name: field for name, field in spec.params.model_fields.items() if name not in step.with_}
    wanted = [name for name, field in open_fields.items() if field.is_required()]
    may = [name for name in open_fields if name not in wanted]
    if wanted:
        yield f"needs {', '.join(wanted)}"
    if may:
        yield f"takes {', '.join(may)}"
    unset = [name for name in spec.settings if not is_set(name)]
    unset += find_unset(dict(step.with_), service)
    if unset:
        yield f"set {', '.join(unset)} first"


def read_settings_of(given: Sequence[str]) -> dict[str, str]:
    """``--set`` as a mapping. Raises: UsageError for what is not ``name=value``, and a name that comes twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError("--set takes name=value, for example --set user_id=user_2abc")
        if name in found:
            raise UsageError(f"--set {name}=… is given twice; several values of one parameter are separated by commas")
        found[name] = value
    return found


def read_params(
    step: Step, spec: ActionSpec, given: Mapping[str, str], *, accounts: Sequence[str], ask: Callable[[str], str]
) -> dict[str, Any]:
    """The parameters, checked, as plain JSON values: those of the runbook, ``given``, and for what is missing what ``ask`` gets.

    Raises: UsageError for a parameter that there is not, one that the runbook gives, and values that do not fit.
    """
    fields = spec.params.model_fields
    for name in given:
        if name not in fields:
            meant = closest(name, fields)
            known = f"did you mean {meant}?" if meant else f"it takes {', '.join(fields) or 'none'}"
            raise UsageError(f"{spec.name} has no parameter {printable(name)}; {known}")
        if name in step.with_:
            raise UsageError(f"{name} is given by the runbook; change it there, or run the step as it is")
    raw: dict[str, Any] = dict(step.with_)
    for name, field in fields.items():
        if name in given:
            raw[name] = _value(spec, name, given[name], accounts)
        elif name not in raw and field.is_required():
            raw[name] = _value(spec, name, ask(f"{field.title or name} ({field.description})\n{name}:"), accounts)
    try:
        return parse_params(spec, raw).model_dump(mode="json")
    except UserError as error:
        raise UsageError(str(error)) from error


def _value(spec: ActionSpec, name: str, text: str, accounts: Sequence[str]) -> str | list[str]:
    """The parts of ``text`` where the parameter is a list; what kind each has is for its model."""
    if name in OF_THE_INCIDENT and text == "incident":
        return list(accounts)
    declared = spec.params.model_json_schema()["properties"][name]
    kinds = [declared, *declared.get("anyOf", ())]
    if not any(kind.get("type") == "array" for kind in kinds):
        return text
    return [part for part in text.replace(",", " ").split() if part]
