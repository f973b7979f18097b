"""``muster check [PATH…]``: every fault of the files, ``file:line:column: message``, in one run."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

from bot.actions.registry import load_actions
from bot.domain.errors import MusterError
from bot.settings import load_settings
from bot.storage.runbook_files import check_paths

EXPECTED = (MusterError,)


def run(options: argparse.Namespace) -> int:
    """0 without errors (warnings are shown), else 1."""
    settings = load_settings(os.environ)
    paths = [Path(path) for path in options.paths] or [settings.runbooks_dir()]
    actions = {name: spec.params for name, spec in load_actions().items()}
    faults = check_paths(paths, actions=actions, overrides=settings.service_vars)
    errors = sum(fault.level == "error" for fault in faults)
    if options.format == "json":
        sys.stdout.write(json.dumps([dataclasses.asdict(fault) for fault in faults], indent=2) + "\n")
    else:
        for fault in faults:
            sys.stdout.write(f"{fault}\n")
        warnings = len(faults) - errors
        names = ", ".join(str(path) for path in paths)
        sys.stdout.write(f"{names}: {errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}\n")
    return 1 if errors else 0
