"""Strict YAML: text in; strings, lists and mappings out, each with its line and column, or faults that say why not.

YAML's own loaders are traps for configuration: they turn `no` into False and `022` into 18, keep the last of two equal
keys, follow aliases into gigabytes, and run tags. Here one document is read, from PyYAML's *events* (its composer
recurses without a limit and never says that a key came twice), and every scalar stays the string that was written.

Called by `bot.storage.runbook_files`. What does not belong: what the strings mean; the pydantic models decide that.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import yaml

MAX_BYTES = 256 * 1024
"""Ten times the largest runbook that we know; parsing this much takes about a second."""
MAX_DEPTH = 40
"""A checklist with branches in branches is 15 deep. PyYAML itself overflows its stack at some 900."""

Data: TypeAlias = "str | list[Data] | dict[str, Data]"
YamlPath = tuple[str | int, ...]
"""The keys and 0-based indices that lead to a value."""
Level = Literal["error", "warning", "info"]
"""An error makes the catalog unusable; a warning is probably a mistake; an info is allowed and good to know."""
Place = tuple[int, int]
"""Line and column, both 1-based, the column in characters."""

_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff\u2028\u2029]")
_TAB_INDENT = re.compile(r"^ *\t", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """Something wrong in a file. ``remedy`` is what to do about it; an "error" makes the catalog unusable."""

    path: str
    line: int
    column: int
    level: Level = "error"
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        """`file:line:column: message; remedy`, as editors and terminals understand it."""
        level = "" if self.level == "error" else f"{self.level}: "
        said = f"{self.path}:{self.line}:{self.column}: {level}{self.message}"
        return f"{said}; {self.remedy}" if self.remedy else said


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says. ``places`` and ``key_places`` say where a value, and the key before it, begins."""

    path: str
    data: Data
    places: Mapping[YamlPath, Place]
    key_places: Mapping[YamlPath, Place]

    def place_of(self, path: YamlPath, *, key: bool = False) -> Place:
        """Where ``path`` is (its key, if ``key``), or the nearest thing around it that exists."""
        if key and path in self.key_places:
            return self.key_places[path]
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def fault(
        self,
        path: YamlPath,
        message: str,
        remedy: str = "",
        *,
        level: Level = "error",
        key: bool = False,
    ) -> Fault:
        """A fault at ``path``."""
        line, column = self.place_of(path, key=key)
        return Fault(path=self.path, line=line, column=column, level=level, message=message, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Loaded:
    """``document`` is None exactly when there are faults."""

    document: Document | None
    faults: tuple[Fault, ...] = ()


class _Mark(Protocol):
    """What PyYAML's two kinds of marks have in common, both 0-based."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class _Refused(Exception):
    """Ends a parse; always turned into a Fault."""

    def __init__(self, mark: _Mark | None, message: str, remedy: str) -> None:
        super().__init__(message)
        self.place: Place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.message = message
        self.remedy = remedy


def load_yaml(path: Path, *, folder: Path, name: str) -> Loaded:
    """The document in ``path``, which must be a regular file inside ``folder`` also once symlinks are followed.

    ``name`` is the path that faults mention. Never raises for anything that is wrong with the file.
    """
    try:
        raw = _read(path, folder=folder)
    except _Refused as refused:
        return _refusal(name, refused)
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        return _refusal(name, _Refused(None, f"cannot be read: {reason}", "check the path and its permissions"))
    return parse_yaml(raw, name=name)


def _refusal(name: str, refused: _Refused) -> Loaded:
    line, column = refused.place
    fault = Fault(path=name, line=line, column=column, message=refused.message, remedy=refused.remedy)
    return Loaded(None, (fault,))


def _read(path: Path, *, folder: Path) -> bytes:
    resolved = Path(os.path.realpath(path, strict=True))
    if not resolved.is_relative_to(os.path.realpath(folder)):
        raise _Refused(None, "is a symbolic link that leads out of its folder", "put the file itself there")
    descriptor = os.open(resolved, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe without a writer would block
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _Refused(None, "is not a regular file", "only files are read; move it out of the folder")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)


def parse_yaml(raw: bytes, *, name: str) -> Loaded:
    """The one document in ``raw``; ``name`` is the path that faults mention."""
    try:
        text = _decode(raw)
        builder = _Builder(name)
        data = builder.build(text)
    except _Refused as refused:
        return _refusal(name, refused)
    except yaml.MarkedYAMLError as error:
        return _refusal(name, _explain(error))
    if builder.faults:
        return Loaded(None, tuple(builder.faults))
    return Loaded(Document(name, data, builder.places, builder.key_places))


def _decode(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _Refused(None, f"is larger than {MAX_BYTES // 1024} KiB", "split it into several files")
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _Refused(None, "begins with a byte order mark", "save it as UTF-8 without BOM")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        raise _at(before, "is not UTF-8 from here on", "save it as UTF-8") from None
    if not text.strip():
        raise _Refused(None, "is empty", "write the content, or delete the file")
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        said = f"holds the invisible character U+{ord(unreadable[0]):04X}"
        raise _at(text[: unreadable.start()], said, "delete it")
    tab = _TAB_INDENT.search(text)
    if tab:
        raise _at(text[: tab.end() - 1], "is indented with a tab", "use spaces, two for each level")
    return text


def _at(before: str, message: str, remedy: str) -> _Refused:
    refused = _Refused(None, message, remedy)
    refused.place = (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
    return refused


def _explain(error: yaml.MarkedYAMLError) -> _Refused:
    problem = error.problem or "the content is unclear here"
    mark = error.problem_mark or error.context_mark
    for words, message, remedy in _EXPLAINED:
        if words in problem:
            return _Refused(mark, message, remedy)
    return _Refused(mark, f"is not YAML: {problem}", "check the indentation, the colons and the quotes around here")


_EXPLAINED = (
    ("'\\t' that cannot start", "has a tab", "use spaces; put a text that needs a tab in quotes"),
    ("sequence entries are not allowed", "has a list that begins behind a colon", "put “- …” on a line of its own"),
    ("mapping values are not allowed", "has a colon too many", "put a text with “: ” in quotes, or indent the line"),
    ("could not find expected ':'", "has a line without a colon", "write `key: value`, or indent the line"),
    ("found unknown escape character", "has a backslash that means nothing", "write it in single quotes"),
    ("found unexpected end of stream", "ends in the middle of a quoted text", "add the closing quote"),
    ("cannot start any token", "has a character that YAML reserves", "put the text in quotes"),
    ("expected <block end>", "is indented differently from the lines above", "align it with its neighbours"),
    ("expected ',' or ']'", "has a list in [brackets] that is not closed", "add the comma or the closing ]"),
    ("expected ',' or '}'", "has a mapping in {braces} that is not closed", "add the comma or the closing }"),
    ("found '<stream end>'", "ends in the middle of something", "close the bracket; the file may be half-written"),
    ("found undefined tag handle", "has a tag (!…)", "take it out; put a text that begins with ! in quotes"),
    ("undefined alias", "has an alias (*…)", "write the value out; put a text that begins with * in quotes"),
)


@dataclass(slots=True)
class _Builder:
    """Turns events into data. Faults that leave the structure clear are collected, the others end it."""

    name: str
    faults: list[Fault] = field(default_factory=list)
    places: dict[YamlPath, Place] = field(default_factory=dict)
    key_places: dict[YamlPath, Place] = field(default_factory=dict)

    def build(self, text: str) -> Data:
        events = self._events(text)
        event = next(events)
        if isinstance(event, yaml.StreamEndEvent):
            raise _Refused(None, "holds nothing but comments", "write the content, or delete the file")
        if isinstance(event, yaml.DocumentStartEvent) and (event.version or event.tags):
            raise _Refused(event.start_mark, "has a % directive", "take it out")
        data = self._value(next(events), events, ())
        after = [event for event in events if isinstance(event, yaml.DocumentStartEvent)]
        if after:
            raise _Refused(after[0].start_mark, "holds a second document (---)", "write one file for each")
        return data

    def _events(self, text: str) -> Iterator[yaml.Event]:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.StreamStartEvent):
                continue
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise _Refused(event.start_mark, f"is nested more than {MAX_DEPTH} deep", "flatten it")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            yield event

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], path: YamlPath) -> Data:
        self.places[path] = _place(event)
        self._refuse_extras(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(events, path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.ScalarEvent):
            if event.value == "" and event.style is None:
                self._add(event, "has no value here", 'write one, or delete the line; an empty text is ""')
            return str(event.value)
        return ""  # an alias, which was refused above

    def _refuse_extras(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._add(event, "has an alias (*…)", "write the value out; put a text that begins with * in quotes")
        elif isinstance(event, yaml.NodeEvent) and event.anchor:
            self._add(event, "has an anchor (&…)", "take it out; put a text that begins with & in quotes")
        if getattr(event, "tag", None):
            self._add(event, "has a tag (!…)", "take it out; put a text that begins with ! in quotes")

    def _list(self, events: Iterator[yaml.Event], path: YamlPath) -> Data:
        items: list[Data] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._value(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Iterator[yaml.Event], path: YamlPath) -> Data:
        items: dict[str, Data] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, items, path)
            items[key] = self._value(next(events), events, (*path, key))
            self.key_places[(*path, key)] = _place(event)
        return items

    def _key(self, event: yaml.Event, items: dict[str, Data], path: YamlPath) -> str:
        if isinstance(event, yaml.CollectionStartEvent):
            raise _Refused(event.start_mark, "has a list or a mapping as a key", "put a text with [ or { in quotes")
        self._refuse_extras(event)
        key = str(event.value) if isinstance(event, yaml.ScalarEvent) else ""
        if key == "" and isinstance(event, yaml.ScalarEvent):
            self._add(event, "has a value without a key", "write the key before the colon")
        if key == "<<":
            self._add(event, "has a merge key (<<)", "write the values out")
        elif key in items:
            line = self.key_places[(*path, key)][0]
            self._add(event, f"has the key “{key}” twice, first in line {line}", "keep one of them")
        return key

    def _add(self, event: yaml.Event, message: str, remedy: str) -> None:
        line, column = _place(event)
        self.faults.append(Fault(path=self.name, line=line, column=column, message=message, remedy=remedy))


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)
