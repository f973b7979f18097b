"""Which files of the folder are runbooks, and which lie where nobody would read them. Called by `runbook_files`.

Sub-folders are followed also through symbolic links (a Kubernetes ConfigMap is made of them) as long as they stay
inside the folder; names that begin with a dot are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bot.storage.yaml_strict import Fault, Level

SERVICES, CONTACTS, SEVERITIES, POLICY = "services.yml", "contacts.yml", "severities.yml", "policy.yml"
TEMPLATES = "templates"
MAX_FOLDER_DEPTH = 8

_AT_THE_TOP = frozenset({SERVICES, CONTACTS, SEVERITIES, POLICY})


def find_runbooks(folder: Path) -> tuple[list[Path], list[Fault]]:
    """The runbooks in sub-folders of ``folder``, by path, and a fault for each file that looks like a lost one."""
    runbooks: list[Path] = []
    faults: list[Fault] = []
    for path in _files(folder, folder, MAX_FOLDER_DEPTH, faults):
        if path.suffix == ".yaml":
            faults.append(_fault(path, "is not read: its name ends in .yaml", "rename it to .yml"))
        elif path.suffix == ".yml" and path.parent != folder:
            runbooks.append(path)
        elif path.suffix == ".yml" and path.name not in _AT_THE_TOP:
            faults.append(_fault(path, "is not read: it is no file that Muster knows", "put runbooks into a sub-folder"))
    if not runbooks:
        faults.append(_fault(folder, "holds no runbook", "put one into a sub-folder", level="warning"))
    return runbooks, faults


def _files(folder: Path, top: Path, depth: int, faults: list[Fault]) -> Iterator[Path]:
    """Everything that is no folder, pipes and dead links included: whoever reads them says what is wrong with them."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        faults.append(_fault(folder, f"cannot be read: {reason}", "check its permissions"))
        return
    for path in paths:
        if path.name.startswith("."):
            continue
        if not path.is_dir() or path.suffix in (".yml", ".yaml"):
            yield path
        elif (folder, path.name) != (top, TEMPLATES) and depth and path.resolve().is_relative_to(top.resolve()):
            yield from _files(path, top, depth - 1, faults)


def _fault(path: Path, message: str, remedy: str, *, level: Level = "error") -> Fault:
    return Fault(path=str(path), line=1, column=1, level=level, message=message, remedy=remedy)
