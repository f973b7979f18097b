"""``muster check [PATH…]``: every fault of the files, ``file:line:column: message; remedy``, in one run.

It must be quick enough for an editor and a commit hook, so it imports neither Slack nor a server, and the settings model only
when there is a setting of Muster's own to judge.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.actions.registry import load_actions
from bot.domain.errors import MusterError
from bot.storage.findings import IsSet
from bot.storage.runbook_files import check_paths
from bot.storage.yaml_strict import Fault

EXPECTED = (MusterError,)

_OWN_PREFIX = "MUSTER_"
_ENV_FILE = "MUSTER_ENV_FILE"
_DEFAULT_ENV_FILE = ".env"
_DEFAULT_FOLDER = Path("runbooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the check must know of the settings."""

    folder: Path | None
    """The folder to check when none is named; None: it has to be looked for."""
    overrides: Mapping[str, str]
    is_set: IsSet


def run(options: argparse.Namespace) -> int:
    """0 without errors (warnings are shown), else 1. Raises: ConfigError for settings that are wrong."""
    paths = [Path(path) for path in options.paths]
    environment = read_environment(os.environ, paths)
    if environment.folder is not None:
        paths = paths or [environment.folder]
    faults = check_paths(paths, actions=load_actions(), overrides=environment.overrides, is_set=environment.is_set)
    if options.format == "json":
        sys.stdout.write(json.dumps([dataclasses.asdict(fault) for fault in faults], indent=2) + "\n")
    else:
        for fault in faults:
            sys.stdout.write(f"{printable(str(fault))}\n")
        sys.stdout.write(f"{printable(', '.join(map(str, paths)))}: {summary(faults)}\n")
    return 1 if any(fault.level == "error" for fault in faults) else 0


def read_environment(environ: Mapping[str, str], paths: Sequence[Path]) -> Environment:
    """The settings as far as they matter here. Nothing of Muster's own is set: there is nothing to judge, and the settings
    model, a tenth of the whole time, stays unread.

    Raises: ConfigError for settings that are wrong.
    """
    env_file = environ.get(_ENV_FILE, _DEFAULT_ENV_FILE)
    own = [name for name in environ if name.startswith(_OWN_PREFIX) and name != _ENV_FILE]
    if own or (env_file and os.path.lexists(env_file)) or not (paths or _DEFAULT_FOLDER.is_dir()):
        return _read_settings(environ, paths)
    return Environment(folder=_DEFAULT_FOLDER, overrides={}, is_set=lambda name: bool(environ.get(name, "").strip()))


def _read_settings(environ: Mapping[str, str], paths: Sequence[Path]) -> Environment:
    settings = importlib.import_module("bot.settings").load_settings(environ)
    return Environment(
        folder=None if paths else settings.runbooks_dir(),
        overrides=settings.service_vars,
        is_set=lambda name: getattr(settings, name.lower(), None) is not None,
    )


def summary(faults: Sequence[Fault]) -> str:
    """ "2 errors, 1 warning", and what is only good to know if there is any."""
    counts = {level: sum(fault.level == level for fault in faults) for level in ("error", "warning", "info")}
    shown = [f"{counts[level]} {level}{'s' * (counts[level] != 1)}" for level in ("error", "warning")]
    return ", ".join([*shown, *([f"{counts['info']} info"] if counts["info"] else [])])


def printable(text: str) -> str:
    """``text`` for a terminal: what it would obey, or cannot show (bad bytes in the name of a file), is written out."""
    return "".join(c if c.isprintable() or c in "\u2003\u00a0" else c.encode("unicode_escape").decode("ascii") for c in text)
