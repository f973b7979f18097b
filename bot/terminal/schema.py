"""``muster schema``: the JSON Schema of a runbook, for editors."""

from __future__ import annotations

import argparse
import json
import sys

from bot.domain.errors import MusterError
from bot.storage.runbook_files import runbook_json_schema

EXPECTED = (MusterError,)


def run(options: argparse.Namespace) -> int:
    """Print it."""
    sys.stdout.write(json.dumps(runbook_json_schema(), indent=2) + "\n")
    return 0
