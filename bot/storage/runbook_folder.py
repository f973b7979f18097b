"""Which files of the folder are runbooks, and which lie where nobody would read them. Called by `runbook_files`.

Sub-folders are followed also through symbolic links (a Kubernetes ConfigMap is made of them) as long as they stay
inside the folder; names that begin with a dot are not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bot.storage.runbook_size import MENU_MAX_OPTIONS
from bot.storage.yaml_strict import Fault, Level

SERVICES, CONTACTS, SEVERITIES, POLICY = "services.yml", "contacts.yml", "severities.yml", "policy.yml"
TEMPLATES = "templates"

_AT_THE_TOP = frozenset({SERVICES, CONTACTS, SEVERITIES, POLICY})


def find_runbooks(folder: Path) -> tuple[list[Path], list[Fault]]:
    """The runbooks in sub-folders of ``folder``, by path, and a fault for each file that looks like a lost one."""
    runbooks: list[Path] = []
    faults: list[Fault] = []
    for path in _Walk(folder, faults).files():
        if path.suffix != ".yml" and path.suffix.lower() in (".yaml", ".yml"):
            faults.append(_fault(path, f"is not read: its name ends in {path.suffix}", "rename it to .yml"))
        elif path.suffix == ".yml" and path.parent != folder:
            runbooks.append(path)
        elif path.suffix == ".yml" and path.name not in _AT_THE_TOP:
            faults.append(_fault(path, "is not read: it is no file that Muster knows", "put runbooks into a sub-folder"))
    if len(runbooks) > MENU_MAX_OPTIONS:
        message = f"holds {len(runbooks)} runbooks, and the form of /incident offers the first {MENU_MAX_OPTIONS}"
        faults.append(_fault(folder, message, "the others are found by words and phrases", level="info"))
    if not runbooks:
        faults.append(_fault(folder, "holds no runbook", "put one into a sub-folder", level="warning"))
    return runbooks, faults


class _Walk:
    """One way through the folder; a folder to which several links lead is walked once, so that a loop of links ends."""

    def __init__(self, top: Path, faults: list[Fault]) -> None:
        self._top = top
        self._real_top = os.path.realpath(top)
        self._seen: set[str] = set()
        self._faults = faults

    def files(self) -> Iterator[Path]:
        """Everything that is no folder, pipes and dead links included: whoever reads them says what is wrong."""
        yield from self._below(self._top)

    def _below(self, folder: Path) -> Iterator[Path]:
        self._seen.add(os.path.realpath(folder))
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            reason = (error.strerror or "it cannot be read").lower()
            self._faults.append(_fault(folder, f"cannot be read: {reason}", "check its permissions"))
            return
        for path in paths:
            if path.name.startswith("."):
                continue
            if not path.is_dir() or path.suffix.lower() in (".yml", ".yaml"):
                yield path
            elif path != self._top / TEMPLATES:
                yield from self._folder(path)

    def _folder(self, folder: Path) -> Iterator[Path]:
        real = Path(os.path.realpath(folder))
        if not real.is_relative_to(self._real_top):
            remedy = "put the files themselves there"
            self._faults.append(_fault(folder, "is a symbolic link that leads out of the folder, and is not read", remedy))
        elif str(real) not in self._seen:
            yield from self._below(folder)


def _fault(path: Path, message: str, remedy: str, *, level: Level = "error") -> Fault:
    return Fault(path=str(path), line=1, column=1, level=level, message=message, remedy=remedy)
