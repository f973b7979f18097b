"""What pydantic says about a file, in the words of the person who writes it: place, what is wrong, what to write
instead.

Called by `bot.storage.runbook_files` and `bot.storage.runbook_rules`. What does not belong: rules that look at more
than one value; those are in `runbook_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bot.domain.escalation import EMAIL_PATTERN, PHONE_PATTERN, SLACK_NAME_PATTERN
from bot.domain.policy import ACCOUNT_PATTERN, WHO_PATTERN
from bot.domain.runbook import ACTION_NAME_PATTERN
from bot.domain.scalars import ID_PATTERN
from bot.domain.service import VARIABLE_NAME_PATTERN
from bot.domain.text import closest
from bot.storage.yaml_strict import Data, Document, Fault, YamlPath

Model = TypeVar("Model", bound=BaseModel)

_PATTERNS = {
    ID_PATTERN: ("is not an id", "use lower-case letters, digits and single hyphens, for example clerk-auth-outage"),
    SLACK_NAME_PATTERN: (
        "is no member and no handle of Slack",
        "write @handle in quotes, or a member id like U012ABCDEF",
    ),
    PHONE_PATTERN: ("is not an international phone number", "write it with + and the country code, +15551234567"),
    WHO_PATTERN: (
        "is neither a circle nor a group nor a person",
        "write everyone, responders, admins, \"@group\", a group's or member's id (S…, U…), or an e-mail address",
    ),
    ACCOUNT_PATTERN: ("is not the id of an account", "write it as the provider does, for example user_2abc"),
    EMAIL_PATTERN: ("is not an e-mail address", "write name@host"),
    ACTION_NAME_PATTERN: ("is not the name of an action", "write <system>.<verb>, for example clerk.status"),
    VARIABLE_NAME_PATTERN: (
        "is not the name of a variable",
        "use lower-case letters, digits and _, beginning with a letter",
    ),
}
_SHAPES = {
    "string_type": ("is not a text", "write one value here"),
    "tuple_type": ("is not a list", "write [one, two], or lines that begin with “- ”"),
    "dict_type": ("is not a mapping", "write `key: value` lines below it"),
    "model_type": ("is not a mapping", "write `key: value` lines below it"),
    "model_attributes_type": ("is not a mapping", "write `key: value` lines below it"),
    "int_type": ("is not a whole number", "write digits"),
    "bool_type": ("is neither true nor false", "write true or false"),
}
_SHOWN_MAX_CHARS = 60


def build(model: type[Model], data: Data, document: Document) -> tuple[Model | None, tuple[Fault, ...]]:
    """``data`` (what ``document`` says, with variables replaced) as a ``model``, or every fault in it. Never raises."""
    try:
        return model.model_validate(data, by_alias=True, by_name=False), ()
    except ValidationError as error:
        found = telling(error.errors(include_url=False), model)
        return None, tuple(fault_of(document, (), detail, model) for detail in found)


def telling(details: Sequence[ErrorDetails], model: type[BaseModel]) -> Iterator[ErrorDetails]:
    """``details`` without those that only follow from another one.

    A list whose entries are at fault counts as empty for pydantic, and a key that is misspelt is missing as well.
    """
    extra = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    meant = {(*loc[:-1], closest(str(loc[-1]), allowed_keys(model, loc[:-1]))) for loc in extra}
    for detail in details:
        loc = detail["loc"]
        inside = any(other["loc"][: len(loc)] == loc and len(other["loc"]) > len(loc) for other in details)
        if not (detail["type"] == "too_short" and inside) and not (detail["type"] == "missing" and loc in meant):
            yield detail


def fault_of(document: Document, base: YamlPath, detail: ErrorDetails, model: type[BaseModel]) -> Fault:
    """The fault that pydantic's ``detail`` about a ``model`` at ``base`` means."""
    is_key = bool(detail["loc"]) and detail["loc"][-1] == "[key]"
    inner: YamlPath = detail["loc"][:-1] if is_key else detail["loc"]
    path = (*base, *inner)
    kind = detail["type"]
    if kind == "missing":
        name = path[-1]
        return document.fault(path[:-1], f"{_subject(path[:-1])} has no `{name}`", f"add `{name}: …`")
    if kind == "extra_forbidden":
        known = allowed_keys(model, inner[:-1])
        return document.fault(path, f"`{path[-1]}` is not known here", suggest(str(path[-1]), known), key=True)
    message, remedy = _explain(detail)
    return document.fault(path, f"{_subject(path)} {message}", remedy, key=is_key)


def suggest(name: str, known: Iterable[str]) -> str:
    """ "did you mean …?", or what there is, or "" when there is nothing."""
    names = sorted(set(known))
    close = closest(name, names)
    if close:
        return f"did you mean “{close}”?"
    return f"there is only {', '.join(names)}" if names else ""


def _subject(path: YamlPath) -> str:
    if not path:
        return "the file"
    keys = [key for key in path if isinstance(key, str)]
    if isinstance(path[-1], int):
        return f"entry {path[-1] + 1} of `{keys[-1]}`" if keys else f"entry {path[-1] + 1}"
    return f"`{keys[-1]}`"


def _explain(detail: ErrorDetails) -> tuple[str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _SHAPES:
        return _SHAPES[kind]
    if kind == "string_pattern_mismatch":
        message, remedy = _PATTERNS.get(context["pattern"], (f"does not have the form {context['pattern']}", ""))
        return f"{message}: {_shown(detail['input'])}", remedy
    if kind in ("literal_error", "enum"):
        expected = re.findall(r"'([^']*)'", str(context["expected"]))
        return f"is “{_shown(detail['input'])}”, which is no such word", suggest(str(detail["input"]), expected)
    if kind == "string_too_long":
        return f"is longer than {context['max_length']} characters", "say it shorter"
    if kind in ("string_too_short", "too_short"):
        return "is empty", "write at least one, or delete the line"
    if kind == "too_long":
        return f"has more than {context['max_length']} entries", "keep the most important ones"
    if kind == "value_error":
        message, _, remedy = str(context["error"]).partition("; ")
        return message, remedy
    return detail["msg"][:1].lower() + detail["msg"][1:], ""


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_MAX_CHARS else f"{text[: _SHOWN_MAX_CHARS - 1]}…"


def allowed_keys(model: type[BaseModel], path: YamlPath) -> tuple[str, ...]:
    """The keys that a file may write at ``path`` inside a ``model``; () where anything goes."""
    here: Any = model
    for key in path:
        here = _below(here, key)
    return tuple(_fields(here)) if isinstance(here, type) and issubclass(here, BaseModel) else ()


def _fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    return {declared.alias or name: declared for name, declared in model.model_fields.items()}


def _below(annotation: Any, key: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        declared = _fields(annotation).get(str(key))
        return _unwrap(declared.annotation) if declared else None
    arguments = [item for item in get_args(annotation) if item is not ...]
    return _unwrap(arguments[-1]) if arguments else None


def _unwrap(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        return _unwrap(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _unwrap(next(_not_none(annotation), None))
    return annotation


def _not_none(annotation: Any) -> Iterator[Any]:
    return (item for item in get_args(annotation) if item is not type(None))
