"""A service that runbooks are about, and its variables: the fixed values that `${name}` stands for in a runbook.

Filled from `runbooks/services.yml`. Substitution is one pass over names that the file declares: never `str.format`,
never a template language, never over text that a person or a provider wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, JsonValue, StringConstraints

from bot.domain.scalars import Flag, Id, Title

ENVIRONMENT_PREFIX = "MUSTER_VAR_"
VARIABLE_NAME_PATTERN = r"^[a-z][a-z0-9_]*$"
VARIABLE = re.compile(r"\$\{([a-z][a-z0-9_]*)\}")

VariableName = Annotated[str, StringConstraints(pattern=VARIABLE_NAME_PATTERN, max_length=60)]


class Service(BaseModel):
    """One service. ``enabled=False`` silences it: its runbooks are checked but not offered.

    A variable whose value is "" is declared but not set; what needs it answers "unknown" and says which variable to
    set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Id
    title: Title
    enabled: Flag = True
    vars: dict[VariableName, str] = {}


def environment_name(service_id: str, variable: str) -> str:
    """The environment variable that overrides a service's variable: ("clerk", "app_url") →
    "MUSTER_VAR_CLERK_APP_URL"."""
    return f"{ENVIRONMENT_PREFIX}{service_id.replace('-', '_')}_{variable}".upper()


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with each `${name}` that is set replaced, in one pass: a value is never looked into.

    A name that is not in ``variables`` or whose value is "" stays as it is written, so that nothing half made is
    contacted.
    """
    return VARIABLE.sub(lambda match: variables.get(match[1]) or match[0], text)


def find_unset(value: JsonValue, service_id: str) -> tuple[str, ...]:
    """The environment variables to set for what is still `${…}` in the parameters ``value`` of a service's runbook.

    Not empty: do not run it; the outcome is unknown and the remedy names these.
    """
    names = dict.fromkeys(name for text in _strings(value) for name in VARIABLE.findall(text))
    return tuple(environment_name(service_id, name) for name in names)


def _strings(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
