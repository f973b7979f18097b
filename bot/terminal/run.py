"""``muster run``: the steps of a runbook from a terminal, for the day when Slack is down.

A run is tried out on ``Paper`` first: the same decisions, the same preview as in Slack, nothing written. Once it is confirmed
by a typed word it is written into the timeline of its incident, exactly as it was shown, and performed here, under a lease as a
replica would: when this process dies, a replica goes on with it. When a replica is quicker, its outcome is waited for.
No call goes to Slack; the rooms catch up when a replica runs.

Exit codes: 0 done and seen to be good, 1 not (or nobody knows), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import pwd
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.actions.registry import load_actions
from bot.actions.runner import parse_params
from bot.actions.spec import ActionSpec
from bot.app import read_catalog
from bot.domain.catalog import Catalog
from bot.domain.commands import (
    BreakGlass,
    CancelRun,
    ChooseBranch,
    ChooseRunbook,
    Command,
    ConfirmRun,
    Declaration,
    RecordPreview,
    RequestRun,
    StopRun,
)
from bot.domain.errors import MusterError, UnknownOutcome, UserError
from bot.domain.facts import Origin
from bot.domain.incident import Incident
from bot.domain.outcome import Outcome, Preview, Risk
from bot.domain.run import Run
from bot.domain.runbook import Runbook, Step
from bot.domain.service import find_unset
from bot.domain.tasks import preview_task
from bot.domain.text import closest
from bot.logs import configure_logging
from bot.providers.table import Providers
from bot.services import crashpoints
from bot.services.desk import Desk
from bot.services.jobs import Job, MemoryJob
from bot.services.performers import not_set
from bot.services.ports import Assignment, Task
from bot.services.running import PreviewPerformer
from bot.settings import Settings, load_settings
from bot.storage.redis import RedisClock, RedisStore
from bot.terminal.paper import Paper
from bot.terminal.performing import Interrupts, Performance, counted_interrupts
from bot.terminal.record import Record, find_incident, find_record
from bot.terminal.steps import Terminal, UsageError, describe, kind_of, read_params, read_settings_of
from bot.terminal.telling import say_end, say_outcome, say_preview
from bot.wiring import Actions, provider_config

EXPECTED = (MusterError,)

_LOGIN = re.compile(r"[^A-Za-z0-9._-]")


def run(options: argparse.Namespace) -> int:
    """List the steps of a runbook, or run one of them."""
    settings = load_settings(os.environ)
    crashpoints.arm(os.environ.get("CRASH_AT"))
    configure_logging("error", settings.log_format, settings.secret_values())
    try:
        return asyncio.run(_run(settings, options, Terminal()))
    except UsageError as error:
        sys.stderr.write(f"muster: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nmuster: interrupted before anything was run; nothing was done\n")
        return 1


def login() -> str:
    """Who sits at the terminal, as the timeline names them: "terminal:root"."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"terminal:{_LOGIN.sub('_', name)[:40]}"


async def _run(settings: Settings, options: argparse.Namespace, terminal: Terminal) -> int:
    specs = load_actions()
    catalog, _ = read_catalog(settings, specs)
    runbook = _find_runbook(catalog, options.runbook)
    given = read_settings_of(options.set)
    if options.step is None:
        for line in describe(runbook, specs, lambda name: getattr(settings, name.lower(), None) is not None):
            terminal.say(line)
        return 0
    for name in ("incident", "undo"):
        if options.no_record and getattr(options, name):
            raise UsageError(f"--{name} and --no-record exclude each other")
    async with AsyncExitStack() as stack:
        clock = RedisClock()
        record = await find_record(stack, settings, options, catalog, clock, terminal)
        incident = await find_incident(record.desk, options, runbook) if record else None
        providers = await stack.enter_async_context(Providers(provider_config(settings)))
        stepped = _Stepping(
            specs=specs,
            catalog=catalog,
            providers=providers,
            clock=clock,
            terminal=terminal,
            by=login(),
            record=record,
            incident=incident,
            runbook=(incident.runbook if incident else None) or runbook,
            reports_dir=settings.muster_data_dir / "reports",
        )
        return await stepped.step(options, given)


def _find_runbook(catalog: Catalog, name: str) -> Runbook:
    runbook = catalog.runbooks.get(name)
    if runbook is None:
        meant = closest(name, catalog.runbooks)
        known = f"did you mean {meant}?" if meant else f"there are {', '.join(catalog.runbooks)}"
        raise UsageError(f"there is no runbook {name!r}; {known}")
    return runbook


@dataclass(kw_only=True)
class _Stepping:
    """One step of one runbook, from the question to the exit code."""

    specs: Mapping[str, ActionSpec]
    catalog: Catalog
    providers: Providers
    clock: RedisClock
    terminal: Terminal
    by: str
    record: Record | None
    incident: Incident | None
    """Where it is written down; None: a new one, once there is something to write."""
    runbook: Runbook
    reports_dir: Path
    unrecorded: Job = field(default_factory=MemoryJob)
    """What a run keeps that nobody could go on with."""
    deliveries: Iterator[str] = field(
        default_factory=lambda: map(f"terminal:{secrets.token_hex(8)}:{{}}".format, itertools.count())
    )
    """One for each write, so that one which was not answered can be repeated."""

    async def step(self, options: argparse.Namespace, given: Mapping[str, str]) -> int:
        """See ``run``."""
        step = self._find_step(options.step)
        if options.undo:
            return await self._undo(step, options, given)
        spec = self.specs.get(step.run or "")
        if spec is None:
            if given:
                raise UsageError(f"{step.id} runs no action, so it takes no parameters")
            return await self._look_at(step)
        unset = find_unset(dict(step.with_), self.runbook.service)
        if unset:
            return say_outcome(self.terminal, not_set(unset))
        if self.record is None and spec.revert_after_s and not options.dry_run:
            raise UserError(f"{spec.title} takes itself back later, and without a record nobody would; nothing was done")
        if step.guide:
            self.terminal.say(step.guide)
        accounts = tuple(self.incident.accounts) if self.incident else ()
        params = read_params(step, spec, given, accounts=accounts, ask=self.terminal.ask)
        if spec.risk is Risk.READ:
            return await self._read(step, spec, params, dry_run=options.dry_run)
        return await self._change(step, spec, params, options)

    def _find_step(self, step_id: str) -> Step:
        step = self.runbook.find_step(step_id)
        if step is None:
            ids = [ref.step.id for ref in self.runbook.walk()]
            meant = closest(step_id, ids)
            known = f"did you mean {meant}?" if meant else f"muster run {self.runbook.id} lists them"
            raise UsageError(f"{self.runbook.id} has no step {step_id!r}; {known}")
        return step

    # -- what only looks -------------------------------------------------------------------------------------------

    async def _look_at(self, step: Step) -> int:
        """What a step without an action has to say: its diagnostics, or what is done by hand."""
        self.terminal.say(f"{step.title} ({kind_of(step, self.specs) or 'a heading: run the steps below it'})")
        for text in (step.caution, step.guide):
            if text:
                self.terminal.say(text)
        if step.link:
            self.terminal.say(f"{step.link.title}: {step.link.url}")
        diagnostics = [found for name in step.shows if (found := self.runbook.find_diagnostic(name))]
        _, desk, incident = await self._try_out()
        actions = self._actions(desk, recorded=False)

        async def ask(run: str, with_: Mapping[str, Any]) -> Outcome:
            unset = find_unset(dict(with_), self.runbook.service)
            return not_set(unset) if unset else await actions.execute(run, with_, Assignment(incident=incident))

        outcomes = await asyncio.gather(*(ask(one.run, one.with_) for one in diagnostics))
        codes = []
        for diagnostic, outcome in zip(diagnostics, outcomes, strict=True):
            self.terminal.say()
            self.terminal.say(diagnostic.title)
            codes.append(say_outcome(self.terminal, outcome))
        return max(codes, default=0)

    async def _read(self, step: Step, spec: ActionSpec, params: dict[str, Any], *, dry_run: bool) -> int:
        """Reading needs nobody's word, and opens no incident: it is recorded where one is open."""
        if dry_run:
            self.terminal.say(f"{spec.title} only reads; there is nothing to preview.")
            return 0
        if self.record and self.incident is None:
            self.terminal.say("No incident of this runbook is open, so what is read now is not recorded.")
        paper, desk, incident = await self._try_out()
        store: Paper | RedisStore = paper
        if self.record and self.incident:
            store, desk = self.record.store, self.record.desk
        with counted_interrupts() as interrupts:
            incident = await self._request(desk, incident, step, spec, params)
            return await self._perform(store, desk, incident, _open_run(incident, step), interrupts)

    # -- what changes something ------------------------------------------------------------------------------------

    async def _undo(self, step: Step, options: argparse.Namespace, given: Mapping[str, str]) -> int:
        """Take back the newest run of the step that can be."""
        if given:
            raise UsageError("--undo takes its parameters from the run that it takes back; leave --set out")
        runs = reversed(list(self.incident.runs.values()) if self.incident else [])
        done = next((run for run in runs if run.step_id == step.id and run.undo and run.confirmed and not run.reverted_at), None)
        spec = self.specs.get(done.undo) if done else None
        if done is None or spec is None:
            where = f"in {self.incident.id}" if self.incident else "in no open incident of this runbook"
            raise UserError(f"“{step.title}” has left nothing {where} that could be taken back; name another with --incident")
        _, desk, _ = await self._try_out()
        params = parse_params(spec, self._actions(desk, recorded=False).undo_params(done)).model_dump(mode="json")
        return await self._change(step, spec, params, options, undoes=done.id)

    async def _change(
        self, step: Step, spec: ActionSpec, params: dict[str, Any], options: argparse.Namespace, *, undoes: str = ""
    ) -> int:
        store: Paper | RedisStore
        store, desk, incident = await self._try_out()
        incident = await self._request(desk, incident, step, spec, params, undoes=undoes)
        incident, run = await self._preview(desk, incident, step)
        if run.preview is None:
            self.terminal.say(f"It cannot be done: {run.refused}")
            return 1
        say_preview(self.terminal, step, spec.name, spec.title, run.preview)
        if run.preview.nothing_to_do:
            return 0
        if options.dry_run:
            self.terminal.say("This was a dry run: nothing was done, and nothing was recorded.")
            return 0
        reason = self._confirm(step, run, options.reason or "")
        with counted_interrupts() as interrupts:
            if self.record:
                store, desk = self.record.store, self.record.desk
                incident, run = await self._write_down(desk, step, spec, params, run.preview, undoes=undoes)
            if interrupts.times:
                await self._handle(desk, incident, CancelRun(run_id=run.id))
                raise UserError("interrupted, so nothing was done")
            word = BreakGlass(run_id=run.id, reason=reason, alone=True) if reason else ConfirmRun(run_id=run.id)
            try:
                incident = await self._handle(desk, incident, word)
            except UnknownOutcome as error:
                raise UnknownOutcome(
                    f"nobody knows whether the yes was written into {incident.id} ({error}); if it was, a running Muster does "
                    "it: look there before you run it once more"
                ) from error
            return await self._perform(store, desk, incident, run, interrupts)

    async def _write_down(
        self, desk: Desk, step: Step, spec: ActionSpec, params: dict[str, Any], shown: Preview, *, undoes: str
    ) -> tuple[Incident, Run]:
        """The request and the preview that was shown, in the incident. Raises: UserError when it is not as it was shown."""
        incident = self.incident
        if incident is None:
            incident = (await desk.declare(self._declaration(), by=self.by, delivery=next(self.deliveries))).incident
            self.terminal.say(f"Recorded as {incident.id}.")
        incident = await self._request(desk, incident, step, spec, params, undoes=undoes)
        run = _open_run(incident, step)
        incident = await self._handle(desk, incident, RecordPreview(run_id=run.id, preview=shown))
        run = incident.runs[run.id]
        if run.preview != shown:
            if run.is_open:
                await self._handle(desk, incident, CancelRun(run_id=run.id))
            raise UserError("it is not as it was shown any more, so nothing was done; run the command once more")
        return incident, run

    def _confirm(self, step: Step, run: Run, reason: str) -> str:
        """The reason where one is needed. Raises: UserError when it is not confirmed."""
        say = self.terminal.say
        if self.incident:
            say(f"It is recorded in {self.incident.id}.")
        elif self.record:
            say(f"No incident of this runbook is open: one is opened ({self.runbook.severity.value}), and people are paged.")
        if run.needs_second:
            say("It is destructive and needs a second person. From here it goes without one, and is recorded as a break-glass.")
            reason = reason or self.terminal.ask("Why can it not wait for a second person?")
            if not reason:
                raise UserError("without a reason nothing is done")
        word = word_for(step, run)
        if self.terminal.ask(f"Type “{word}” to do it:") != word:
            raise UserError("that is something else, so nothing was done")
        if run.expires_at and self.clock.now() >= run.expires_at:
            raise UserError("what it would do was looked at too long ago, so nothing was done; run the command once more")
        return reason if run.needs_second else ""

    # -- the commands ----------------------------------------------------------------------------------------------

    def _declaration(self) -> Declaration:
        return Declaration(title=self.runbook.title, runbook_ids=(self.runbook.id,), origin=Origin(how="terminal"))

    async def _try_out(self) -> tuple[Paper, Desk, Incident]:
        """The incident as it is, on paper; a new one where there is none."""
        if self.incident and self.record:
            entries = await self.record.store.timeline(self.incident.id)
            paper = Paper(self.clock, incident_id=self.incident.id, copy=entries)
            desk = Desk(store=paper, clock=self.clock, catalog=self.catalog)
            return paper, desk, await desk.get(self.incident.id)
        paper = Paper(self.clock)
        desk = Desk(store=paper, clock=self.clock, catalog=self.catalog)
        declared = await desk.declare(self._declaration(), by=self.by, delivery=None)
        return paper, desk, declared.incident

    async def _request(
        self, desk: Desk, incident: Incident, step: Step, spec: ActionSpec, params: dict[str, Any], *, undoes: str = ""
    ) -> Incident:
        """Ask for the run; what leads to its step is chosen first."""
        if incident.runbook is None:
            incident = await self._handle(desk, incident, ChooseRunbook(runbook_id=self.runbook.id))
        for choice in () if undoes else _way_to(self.runbook, step):
            taken = incident.choices.get(choice.step_id)
            if taken and taken.branch_id != choice.branch_id:
                raise UserError(
                    f"in {incident.id} another way was chosen at “{self.runbook.step(choice.step_id).title}”, "
                    f"so “{step.title}” is not part of it; choose the way in Slack, or name another incident"
                )
            if taken is None:
                incident = await self._handle(desk, incident, choice)
        after_s = spec.revert_after_s(spec.params.model_validate(params)) if spec.revert_after_s else None
        command = RequestRun(
            step_id=step.id,
            action=spec.name,
            title=spec.title,
            risk=spec.risk,
            params=params,
            undo=spec.undo,
            undoes=undoes,
            revert_after_s=after_s,
        )
        return await self._handle(desk, incident, command)

    async def _preview(self, desk: Desk, incident: Incident, step: Step) -> tuple[Incident, Run]:
        run = _open_run(incident, step)
        wanted = preview_task(incident.id, run.id, self.clock.now())
        task = Task(
            id=wanted.id,
            kind=wanted.kind,
            incident_id=incident.id,
            due_at=wanted.due_at,
            data=dict(wanted.data),
            token="",
            attempt=1,
            asked="1",
        )
        performed = await PreviewPerformer(self._actions(desk, recorded=False))(task, incident)
        if performed.command:
            incident = await self._handle(desk, incident, performed.command)
        return incident, incident.runs[run.id]

    async def _handle(self, desk: Desk, incident: Incident, command: Command) -> Incident:
        handled = await desk.handle(incident.id, command, by=self.by, delivery=next(self.deliveries))
        return handled.incident

    def _actions(self, desk: Desk, *, recorded: bool) -> Actions:
        if self.record is None or not recorded:
            return Actions(self.specs, self.providers, desk=desk, job=lambda _incident_id, _run_id: self.unrecorded)
        pace = self.record.pace
        return Actions(self.specs, self.providers, desk=desk, job=self.record.jobs, pace=pace.wait, pause=pace.pause)

    async def _perform(self, store: Paper | RedisStore, desk: Desk, incident: Incident, run: Run, interrupts: Interrupts) -> int:
        """Do it, or wait for who was quicker; the exit code."""
        recorded = isinstance(store, RedisStore)
        performance = Performance(
            actions=self._actions(desk, recorded=recorded),
            desk=desk,
            store=store,
            clock=self.clock,
            terminal=self.terminal,
            stop=lambda: self._handle(desk, incident, StopRun(run_id=run.id)),
        )
        ended = await performance.run(incident, run.id, interrupts)
        return say_end(self.terminal, incident, ended, recorded=recorded, reports_dir=self.reports_dir)


def word_for(step: Step, run: Run) -> str:
    """What has to be typed: the account where it hits one, else the step, with the number of accounts where it hits several."""
    preview = run.preview
    if preview is None:
        return step.id
    count = max(preview.affects, len(preview.accounts))
    if count == 1 and preview.accounts:
        return preview.accounts[0]
    return f"{step.id} {count}" if count > 1 else step.id


def _open_run(incident: Incident, step: Step) -> Run:
    run = next((run for run in reversed(list(incident.runs.values())) if run.step_id == step.id), None)
    if run is None:
        raise UserError(f"the run of “{step.title}” was not written down, so nothing was done; run the command once more")
    return run


def _way_to(runbook: Runbook, step: Step) -> Sequence[ChooseBranch]:
    """What has to be chosen for a step to be part of the checklist, the outermost first."""
    refs = {ref.step.id: ref for ref in runbook.walk()}
    ways: list[ChooseBranch] = []
    branch = refs[step.id].branch
    while branch:
        ways.append(ChooseBranch(step_id=branch[0], branch_id=branch[1]))
        branch = refs[branch[0]].branch
    return ways[::-1]
