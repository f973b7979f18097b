"""How the sandbox's Clerk says no, and reads the parameters of a call. Used by the parts of its stand-in."""

from __future__ import annotations

from typing import Any, Final

from multidict import MultiMapping

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 500

Params = MultiMapping[str]


class RefusalError(Exception):
    """An error answer: status, Clerk's code, and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def not_found() -> RefusalError:
    """For whatever does not exist."""
    return RefusalError(404, "resource_not_found", "not found")


def page_of(found: list[dict[str, Any]], params: Params) -> list[dict[str, Any]]:
    """The part that ``limit`` and ``offset`` ask for. Raises: RefusalError for values that Clerk does not document."""
    limit = number(params, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
    offset = number(params, "offset", default=0, least=0, most=1_000_000)
    return found[offset : offset + limit]


def number(params: Params, name: str, *, default: int, least: int, most: int) -> int:
    """A whole number of the query. Raises: RefusalError."""
    text = params.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or not least <= int(text) <= most:
        raise RefusalError(422, "form_param_value_invalid", f"{name} must be {least} to {most}")
    return int(text)


def switches_of(body: Any, known: tuple[str, ...]) -> dict[str, bool]:
    """The switches that a body turns; null is as good as nothing. Raises: RefusalError."""
    if not isinstance(body, dict):
        raise RefusalError(422, "form_param_format_invalid", "send an object")
    for name, value in body.items():
        if name not in known:
            raise RefusalError(422, "form_param_unknown", f"{name} is not a valid parameter for this request")
        if value is not None and not isinstance(value, bool):
            raise RefusalError(422, "form_param_type_invalid", f"{name} must be true or false")
    return {name: value for name, value in body.items() if value is not None}
