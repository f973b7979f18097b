"""What the terminal says of previews, outcomes and ends, and the files that it writes."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from bot.domain.errors import ConfigError
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, Preview, State
from bot.domain.run import Run
from bot.domain.runbook import Step
from bot.terminal.steps import Terminal


def say_preview(terminal: Terminal, step: Step, action: str, title: str, preview: Preview) -> None:
    """What ``action`` would do; the caution of the step where it is the one that the step runs."""
    terminal.say(f"{title}: {preview.summary}")
    for item in preview.items:
        terminal.say(f"  {item}")
    if step.caution and step.run == action:
        terminal.say(f"Caution: {step.caution}")


def say_outcome(terminal: Terminal, outcome: Outcome, *, report: Path | None = None) -> int:
    """An outcome; 0 for a good one, else 1. ``report``: where its file goes; a file that cannot be written is shown."""
    terminal.say(f"{outcome.state.value.upper()}: {outcome.summary}")
    for line in outcome.details:
        terminal.say(f"  {line}")
    if outcome.remedy:
        terminal.say(f"What to do: {outcome.remedy}")
    if outcome.report and report:
        try:
            terminal.say(f"The report is in {write_report(report, outcome.report)}.")
        except ConfigError as error:
            terminal.say(f"Keep this: {error}")
            for line in outcome.report.splitlines():
                terminal.say(line)
    return 0 if outcome.state is State.OK else 1


def say_end(terminal: Terminal, incident: Incident, run: Run, *, recorded: bool, reports_dir: Path) -> int:
    """What became of a run, and what to do next; the exit code."""
    if run.outcome:
        code = say_outcome(terminal, run.outcome, report=reports_dir / f"{incident.id}-{run.id}.txt")
        if run.reverts_at:
            terminal.say(f"A running muster serve takes it back at {run.reverts_at:%Y-%m-%d %H:%M} UTC.")
        if recorded:
            terminal.say(f"Recorded in {incident.id}.")
            if run.undo and incident.runbook and not run.reverts_at:
                terminal.say(f"What takes it back: muster run {incident.runbook.id} --step {run.step_id} --undo")
        return code
    if run.denied:
        why = f": {run.denied_why}" if run.denied_why else ""
        terminal.say(f"Denied by {run.denied.by}{why}. What had begun was stopped; look at what it touches.")
    elif recorded:
        terminal.say(
            "Left before its end. What was begun is done; a running Muster goes on from there, stops where it can, and "
            f"writes into {incident.id} how far it came."
        )
    else:
        terminal.say("Left before its end. Nobody knows what the last call did: look at what it touches.")
    return 1


def write_report(path: Path, text: str) -> Path:
    """A file that only its owner can read; where there is one of that name, another gets a number. Raises: ConfigError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in itertools.count(2):
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                path = path.with_stem(f"{path.stem.partition('.')[0]}.{number}")
                continue
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            break
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {path} ({error.strerror}); set MUSTER_DATA_DIR") from error
    return path
