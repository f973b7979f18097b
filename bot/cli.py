"""The console script ``muster``: reads the command line, loads the one command that is wanted, turns errors into exit codes.

Exit codes: 0 good, 1 the thing checked is at fault, 2 wrong usage. ``--help`` must be quick: nothing but argparse is imported
here; each command's module is loaded when it is used.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from bot import __version__

_MODULES = {
    "serve": "bot.terminal.serve",
    "demo": "bot.terminal.demo",
    "run": "bot.terminal.run",
    "check": "bot.terminal.check",
    "doctor": "bot.terminal.doctor",
    "canary": "bot.terminal.canary",
    "manifest": "bot.terminal.manifest",
    "schema": "bot.terminal.schema",
}

_WAYS = ("slack", "pagerduty", "phone", "sms", "email")
"""Those of ``bot.domain.escalation.Way``, which is not imported for a --help."""
_QUICK = frozenset({"check", "schema"})
_DECORATIONS = ("rich", "click", "greenlet")
"""structlog and httpx import them, 60 ms and 5 MiB, if they happen to be installed: colours of command lines, another kind of
thread. Muster uses none of it."""


def _seconds(text: str) -> float:
    """More than none, at most an hour."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds between 0 and 3600")
    return value


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="muster", description="A ChatOps incident responder for Slack.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"muster {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("serve", help="run the bot", allow_abbrev=False)
    demo = commands.add_parser("demo", help="run the bot in a workspace on this machine", allow_abbrev=False)
    demo.add_argument("--port", type=int, default=8765, help="port of the page (default 8765; 0: any)")
    run = commands.add_parser("run", help="list the steps of a runbook, or run one of them", allow_abbrev=False)
    run.add_argument("runbook", metavar="RUNBOOK", help="its id, for example clerk-security-incident")
    run.add_argument("--step", metavar="ID", help="the step to run (default: list all of them)")
    run.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter (what is missing is asked for)"
    )
    run.add_argument("--dry-run", action="store_true", help="only show what it would do")
    run.add_argument(
        "--incident", metavar="inc-N", help="where it is recorded (default: the open one of this runbook, or a new one)"
    )
    run.add_argument("--reason", metavar="TEXT", help="why a destructive step cannot wait for a second person")
    run.add_argument("--undo", action="store_true", help="take back what the step did")
    run.add_argument("--workspace", metavar="T…", help="the Slack workspace, where Redis holds several, or none yet")
    run.add_argument("--no-record", action="store_true", help="run it without Redis; nothing is recorded")
    check = commands.add_parser("check", help="check runbooks, contacts, services, severities", allow_abbrev=False)
    check.add_argument("paths", nargs="*", metavar="PATH", help="files or folders (default: the runbooks folder)")
    check.add_argument("--format", choices=("text", "json"), default="text")
    doctor = commands.add_parser("doctor", help="check tokens, scopes, Redis, contacts, providers", allow_abbrev=False)
    doctor.add_argument("--format", choices=("text", "json"), default="text")
    canary = commands.add_parser("canary", help="send a test page through the running bot", allow_abbrev=False)
    canary.add_argument("--contact", metavar="ID", help="of contacts.yml (default: the first of the default ladder)")
    canary.add_argument("--via", choices=_WAYS, help="the way to try (default: their first)")
    canary.add_argument("--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="how long to wait (default 60)")
    canary.add_argument("--wait-for-answer", action="store_true", help="wait until somebody takes the call, or acknowledges")
    canary.add_argument("--format", choices=("text", "json"), default="text")
    manifest = commands.add_parser("manifest", help="print the manifest of the Slack app", allow_abbrev=False)
    manifest.add_argument("--url", help="public address of the bot, https://… (default: MUSTER_URL)")
    manifest.add_argument(
        "--command", dest="slash_command", metavar="/NAME", help="name of the slash command (default: MUSTER_COMMAND, /incident)"
    )
    commands.add_parser("schema", help="print the JSON Schema of a runbook", allow_abbrev=False)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = make_parser().parse_args(arguments)
    module = _load(_MODULES[options.command], quick=options.command in _QUICK)
    try:
        return int(module.run(options))
    except module.EXPECTED as error:
        for line in str(error).splitlines():
            print(f"muster: {line}", file=sys.stderr)
        return 1


def _load(name: str, *, quick: bool) -> ModuleType:
    """The module of a command. ``quick`` is for those that read, print and end: a third of their time would go elsewhere."""
    if quick:
        atexit.register(gc.freeze)  # nothing that is about to end needs to be collected first
        gc.disable()  # what an import makes stays
    absent = [decoration for decoration in _DECORATIONS if decoration not in sys.modules]
    try:
        # None is how importlib is told that a module is not there
        sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
        return importlib.import_module(name)
    finally:
        gc.enable()
        for decoration in absent:
            del sys.modules[decoration]


if __name__ == "__main__":
    sys.exit(main())
