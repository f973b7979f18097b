"""The variables of a service in the text of a runbook: `${app_url}` becomes its value, and every other `${…}` a
finding.

Called by `bot.storage.runbook_files` before the models see the text. One pass over names that services.yml declares; a
value is never looked into, and nothing here is a template language. What does not belong: the values themselves
(`bot.domain.service`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from bot.domain.service import ENVIRONMENT_PREFIX, VARIABLE, Service, environment_name, substitute
from bot.storage.findings import Finding
from bot.storage.model_faults import suggest
from bot.storage.yaml_strict import Data, YamlPath

_LOOKS_LIKE_ONE = re.compile(r"\$\{[^}\n]{0,80}\}?")
_NOWHERE = "unset.invalid"
"""Stands in for what is at fault, so that one mistake is not reported as two. The top-level domain is nobody's: RFC
2606."""


def replace_variables(data: Data, service: Service | None) -> tuple[Data, tuple[Finding, ...]]:
    """``data`` (a runbook) with the variables of ``service`` replaced where that is allowed, and what was found.

    A service that is not known (None) has its own fault; nothing is said about its variables.
    """
    findings: list[Finding] = []
    return _replaced(data, (), service, findings), tuple(findings)


def _replaced(data: Data, path: YamlPath, service: Service | None, findings: list[Finding]) -> Data:
    if isinstance(data, dict):
        return {key: _replaced(value, (*path, key), service, findings) for key, value in data.items()}
    if isinstance(data, list):
        return [_replaced(value, (*path, index), service, findings) for index, value in enumerate(data)]
    if "${" not in data:
        return data
    found = tuple(_findings(data, path, service)) if service else ()
    findings += found
    return _harmless(data) if found or service is None else substitute(data, service.vars)


def _harmless(text: str) -> str:
    return _LOOKS_LIKE_ONE.sub(f"https://{_NOWHERE}" if text.startswith("${") else _NOWHERE, text)


def _findings(text: str, path: YamlPath, service: Service) -> Iterator[Finding]:
    if not _is_for_an_action(path) and not _is_for_people(path):
        message = "a ${variable} is not replaced here"
        remedy = "use it in `with`, in a `guide` or in the `url` of a link"
        yield Finding(path=path, message=message, remedy=remedy)
        return
    for match in _LOOKS_LIKE_ONE.finditer(text):
        name = VARIABLE.fullmatch(match[0])
        if name is None:
            remedy = "write ${name}: lower-case letters, digits and _, closed by }"
            yield Finding(path=path, message=f"“{match[0]}” is not a variable", remedy=remedy)
        elif name[1] not in service.vars:
            message = f"the service “{service.id}” has no variable “{name[1]}”"
            remedy = suggest(name[1], service.vars) or "add it to services.yml"
            yield Finding(path=path, message=message, remedy=remedy)
        elif not service.vars[name[1]] and _is_for_people(path):
            message = f"the variable “{name[1]}” has no value, so this would lead nowhere"
            remedy = f"give it one in services.yml, or set {environment_name(service.id, name[1])}"
            yield Finding(path=path, message=message, remedy=remedy)


def _is_for_an_action(path: YamlPath) -> bool:
    return "with" in path


def _is_for_people(path: YamlPath) -> bool:
    return path[-1] == "guide" or (path[-1] == "url" and ("link" in path or "links" in path))


def nested_variables(services: Iterable[Service]) -> Iterator[Finding]:
    """A variable in the value of another would never be replaced."""
    for path, _, _, value in _values(services):
        if "${" in value:
            yield Finding(path=path, message="a value cannot use another variable", remedy="write the value out")


def unset_variables(services: Iterable[Service]) -> Iterator[Finding]:
    """A variable without a value is only a warning: what needs it answers "unknown"."""
    for path, service, name, value in _values(services):
        if not value and service.enabled:
            message = f"the variable “{name}” of “{service.id}” has no value: what needs it will answer “unknown”"
            remedy = f"write it here, or set {environment_name(service.id, name)}"
            yield Finding(path=path, message=message, remedy=remedy, level="warning")


def _values(services: Iterable[Service]) -> Iterator[tuple[YamlPath, Service, str, str]]:
    for index, service in enumerate(services):
        for name, value in service.vars.items():
            yield ("services", index, "vars", name), service, name, value


def override_variables(
    services: tuple[Service, ...], overrides: Mapping[str, str]
) -> tuple[tuple[Service, ...], tuple[Finding, ...]]:
    """``services`` with the values that the environment gives, and a finding for each name that fits none."""
    given = {name.removeprefix(ENVIRONMENT_PREFIX): value for name, value in overrides.items()}
    known = {environment_name(service.id, name) for service in services for name in service.vars}
    unknown = tuple(
        Finding(
            path=("services",),
            message=f"{ENVIRONMENT_PREFIX}{name} is set, but no service has that variable",
            remedy=suggest(ENVIRONMENT_PREFIX + name, known),
        )
        for name in sorted(given)
        if ENVIRONMENT_PREFIX + name not in known
    )
    return tuple(_overridden(service, given) for service in services), unknown


def _overridden(service: Service, given: Mapping[str, str]) -> Service:
    names = {name: environment_name(service.id, name).removeprefix(ENVIRONMENT_PREFIX) for name in service.vars}
    return service.model_copy(update={"vars": {name: given.get(names[name], value) for name, value in service.vars.items()}})
