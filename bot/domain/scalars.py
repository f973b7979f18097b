"""How the scalars of a file become values: the field types that the models of `runbooks/` share.

The strict YAML loader leaves every scalar a string, so that `phone: +1555…`, `no` and `022` stay what was written. The
types here say which strings may become something else, and nothing else may.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

ID_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"
ID_MAX_CHARS = 60
TITLE_MAX_CHARS = 150
"""Slack's header block, docs.slack.dev/reference/block-kit/blocks/header-block: the shortest place that a title
goes."""
TEXT_MAX_CHARS = 1500
"""Half of a section's 3000 characters (docs.slack.dev/reference/block-kit/blocks/section-block): escaping makes it
longer."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_URL = re.compile(r"https?://[^\s/?#@\\<>|]+(/[^\s\\<>|]*)?(\?[^\s\\<>|]*)?(#[^\s\\<>|]*)?", re.IGNORECASE)


def _flag(value: object) -> object:
    if isinstance(value, str):
        if value in ("true", "false"):
            return value == "true"
        raise ValueError("is neither true nor false; write one of the two")
    return value


def _whole_number(value: object) -> object:
    if isinstance(value, str):
        if re.fullmatch(r"[0-9]{1,9}", value):
            return int(value)
        raise ValueError("is not a whole number; write digits")
    return value


def _readable(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("holds a control character that nobody can see; take it out")
    return value


def _one_line(value: str) -> str:
    if "\n" in value:
        raise ValueError("goes over several lines; put it on one")
    return value


def _web_url(value: str) -> str:
    if not _URL.fullmatch(value):
        raise ValueError("is not a web address; write https:// and a host, without a user, blanks or < > |")
    return value


Flag = Annotated[bool, Field(strict=True), BeforeValidator(_flag, json_schema_input_type=bool)]
"""`true` or `false`, and no other word for it."""

WholeNumber = Annotated[int, Field(strict=True), BeforeValidator(_whole_number, json_schema_input_type=int)]
"""Plain digits."""

Id = Annotated[str, StringConstraints(pattern=ID_PATTERN, max_length=ID_MAX_CHARS)]
"""A name that other places refer to: lower case, digits, single hyphens between."""

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TITLE_MAX_CHARS),
    AfterValidator(_readable),
    AfterValidator(_one_line),
]
"""One short line that people read."""

Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TEXT_MAX_CHARS),
    AfterValidator(_readable),
]
"""A sentence or a few."""

WebUrl = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_web_url)]
"""An http(s) address that people open."""
