"""Small checks that the Block Kit rules are put together from: a check looks at one JSON value and yields what is wrong.

Used by ``block_objects``, ``block_elements``, ``block_types`` and ``blocks``. Knows nothing of Slack but the wording of
its reasons (``[ERROR] … [json-pointer:/blocks/0/text]``, as they come in response_metadata.messages).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

Check = Callable[[Any, str], Iterator[str]]

# Characters that RFC 3986 allows in a URI; anything else has to be percent-encoded.
URI_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


def reason(message: str, at: str) -> str:
    """One reason in Slack's form; ``at`` is a JSON pointer."""
    return f"[ERROR] {message} [json-pointer:{at or '/'}]"


def string(min_length: int = 0, max_length: int | None = None, pattern: str | None = None) -> Check:
    """A string of so many characters, wholly matching ``pattern``."""

    def check(value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield reason("must provide a string", at)
        elif len(value) < min_length:
            yield reason(f"must be more than {min_length - 1} characters", at)
        elif max_length is not None and len(value) > max_length:
            yield reason(f"must be less than {max_length + 1} characters", at)
        elif pattern is not None and not re.fullmatch(pattern, value):
            yield reason(f"failed to match the pattern {pattern}", at)

    return check


def url(max_length: int | None = None, scheme: str | None = None) -> Check:
    """An absolute URL; ``scheme`` when only that one is allowed."""
    length = string(1, max_length)

    def check(value: Any, at: str) -> Iterator[str]:
        yield from (found := list(length(value, at)))
        if found:
            return
        try:
            parts = urlsplit(value)
        except ValueError:
            yield reason("must be a valid URL", at)
            return
        if not parts.scheme or not URI_CHARACTERS.fullmatch(value) or (scheme is not None and parts.scheme != scheme):
            yield reason("must be a valid URL", at)

    return check


def boolean(value: Any, at: str) -> Iterator[str]:
    """True or false, not their words."""
    if not isinstance(value, bool):
        yield reason("must provide a boolean", at)


def always(wanted: Any) -> Check:
    """Exactly this value."""
    return choice([wanted])


def choice(allowed: Collection[Any]) -> Check:
    """One of these values."""

    def check(value: Any, at: str) -> Iterator[str]:
        if not any(value == one and type(value) is type(one) for one in allowed):
            yield reason(f"must be a valid enum value: {', '.join(str(one) for one in allowed)}", at)

    return check


def integer(minimum: int | None = None, maximum: int | None = None) -> Check:
    """A whole number within these bounds, both included."""

    def check(value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, int) or isinstance(value, bool):
            yield reason("must provide a number", at)
        elif minimum is not None and value < minimum:
            yield reason(f"must be at least {minimum}", at)
        elif maximum is not None and value > maximum:
            yield reason(f"must be at most {maximum}", at)

    return check


def array(item: Check, min_items: int = 0, max_items: int | None = None, *, unique: bool = False) -> Check:
    """A list of so many items that each pass ``item``."""

    def check(value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield reason("must provide an array", at)
            return
        if len(value) < min_items:
            yield reason(f"no fewer than {min_items} items allowed", at)
        if max_items is not None and len(value) > max_items:
            yield reason(f"no more than {max_items} items allowed", at)
        if unique and len({repr(one) for one in value}) < len(value):
            yield reason("items must be unique", at)
        for index, one in enumerate(value):
            yield from item(one, f"{at}/{index}")

    return check


def record(
    required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, *rules: Check, min_fields: int = 0
) -> Check:
    """An object with these fields and no other; ``rules`` look at the whole object once its fields are good."""
    fields = {**required, **(optional or {})}

    def check(value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield reason("must provide an object", at)
            return
        found = [reason(f"missing required field: {name}", at) for name in required if name not in value]
        found += [reason(f"invalid additional property: {name}", at) for name in value if name not in fields]
        if len(value) < min_fields:
            found.append(reason("must not be empty", at))
        for name, field_check in fields.items():
            if name in value:
                found.extend(field_check(value[name], f"{at}/{name}"))
        yield from found
        if not found:
            for rule in rules:
                yield from rule(value, at)

    return check


def exactly_one_of(*names: str) -> Check:
    """A rule for ``record``: exactly one of these fields is given."""

    def check(value: Any, at: str) -> Iterator[str]:
        if sum(name in value for name in names) != 1:
            yield reason(f"exactly one of {' and '.join(names)} must be given", at)

    return check


def any_of(*names: str) -> Check:
    """A rule for ``record``: at least one of these fields is given."""

    def check(value: Any, at: str) -> Iterator[str]:
        if not any(name in value for name in names):
            yield reason(f"one of {', '.join(names)} must be given", at)

    return check


def by_type(variants: Mapping[str, Check], what: str) -> Check:
    """An object whose ``type`` says which check it has to pass."""

    def check(value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield reason("must provide an object", at)
            return
        variant = variants.get(value["type"]) if isinstance(value.get("type"), str) else None
        if variant is not None:
            yield from variant(value, at)
        elif "type" not in value:
            yield reason("missing required field: type", at)
        else:
            yield reason(f"unsupported {what} type: {value['type']}", f"{at}/type")

    return check
