"""The card: the first message of a room, incident and checklist in one. What a tired reader needs first stands first."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain import checklist
from bot.domain.checklist import Line, StepStatus
from bot.domain.facts import Role, Status
from bot.domain.incident import Incident
from bot.domain.lifecycle import LABELS, TRANSITIONS
from bot.domain.outcome import State
from bot.domain.runbook import Diagnostic, Step
from bot.domain.severity import Severity
from bot.slack.blocks import ids
from bot.slack.blocks.parts import (
    STATE_MARK,
    STATE_WORD,
    actions,
    bar,
    button,
    clock,
    context,
    divider,
    escape,
    fields,
    header,
    option,
    pages,
    person,
    section,
    select,
    when,
)
from bot.slack.drawing import Block, Drawn

_STATUS_MARK = {
    Status.TRIAGE: "🟠",
    Status.INVESTIGATING: "🔎",
    Status.IDENTIFIED: "🎯",
    Status.MONITORING: "👀",
    Status.RESOLVED: "🟢",
    Status.CLOSED: "🗄️",
    Status.FALSE_POSITIVE: "⚪",
}
_STEP_MARK = {StepStatus.OPEN: "⬜", StepStatus.DONE: "✅", StepStatus.SKIPPED: "⏭️"}
_INDENT = "\u2003\u2003"


def draw_card(incident: Incident) -> tuple[Drawn, ...]:
    """The card, and its continuation when the checklist is longer than one message may be."""
    groups = [list(_head(incident)), *([list(part) for part in _diagnostics(incident)]), *_steps(incident)]
    text = f"{incident.severity.value} {LABELS[incident.status]}: {escape(incident.title)}"
    return tuple(Drawn(text=text, blocks=tuple(blocks)) for blocks in pages(groups))


# -- the head ------------------------------------------------------------------------------------------------------


def _head(incident: Incident) -> Iterator[Block]:
    drill = "DRILL · " if incident.drill else ""
    lock = "🔒 " if incident.private else ""
    yield header(f"{drill}{lock}{incident.severity.value} · {incident.title}")
    commander = incident.roles.get(Role.INCIDENT_COMMANDER)
    runbook = f"*Runbook*\n{escape(incident.runbook.title)}" if incident.runbook else "*Runbook*\nnot chosen yet"
    yield fields(
        [
            f"*Status*\n{_STATUS_MARK[incident.status]} {LABELS[incident.status]}",
            f"*Severity*\n{incident.severity.value} {escape(incident.severity_title)}",
            f"*Incident commander*\n{person(commander) if commander else '_nobody yet_'}",
            f"*Opened*\n{when(incident.opened.at)} by {person(incident.opened.by)}",
            f"*Respond by*\n{_respond(incident)}",
            f"*Resolve by*\n{_resolve(incident)}",
            runbook,
            f"*Responders*\n{_responders(incident)}",
        ]
    )
    yield context(_escalation(incident))
    if not incident.is_over:
        yield section(f"👉 *Do next:* {_next(incident)}")
    if incident.runbook is None and not incident.is_over:
        yield _runbook_choice(incident)
    yield from _buttons(incident)


def _respond(incident: Incident) -> str:
    if incident.acknowledged:
        late = " ⚠️ late" if incident.acknowledged.at > incident.respond_by else ""
        return f"✅ {person(incident.acknowledged.by)} at {clock(incident.acknowledged.at)}{late}"
    return when(incident.respond_by)


def _resolve(incident: Incident) -> str:
    if incident.resolved_at:
        late = " ⚠️ late" if incident.resolved_at > incident.resolve_by else ""
        return f"✅ resolved {when(incident.resolved_at)}{late}"
    return when(incident.resolve_by)


def _responders(incident: Incident) -> str:
    people = [person(user) for user in incident.responders[:12]]
    more = len(incident.responders) - 12
    return (", ".join(people) + (f" and {more} more" if more > 0 else "")) or "_on their way_"


def _escalation(incident: Incident) -> str:
    """Who was paged, who has it, and who is next and when."""
    parts: list[str] = []
    for page in incident.pages:
        contact = _contact_name(incident, page.contact_id)
        parts.append(
            f"❌ {contact} could not be reached: {escape(page.failure)}"
            if page.failure
            else f"📟 {contact} paged at {clock(page.at)}"
        )
    if incident.acknowledged:
        parts.append(f"✋ {person(incident.acknowledged.by)} has it")
    pending = incident.pending_levels()
    if pending:
        level = pending[0]
        names = ", ".join(escape(contact.name) for contact in level.contacts)
        unless = "acknowledges" if level.until == "acknowledged" else "resolves it"
        parts.append(f"⏭️ Next: {names} at {when(incident.level_due_at(level))} unless somebody {unless}")
    elif not incident.acknowledged and not incident.is_over:
        parts.append("⚠️ Everybody on the escalation ladder was paged; nobody has acknowledged yet")
    return "*Escalation:* " + (" · ".join(parts) if parts else "stopped")


def _contact_name(incident: Incident, contact_id: str) -> str:
    names = {contact.id: contact.name for level in incident.ladder for contact in level.contacts}
    return escape(names.get(contact_id, contact_id))


def _next(incident: Incident) -> str:
    if not incident.acknowledged:
        return "press *Acknowledge* if you take this: it stops the escalation."
    if incident.candidates:
        return "choose the runbook that fits, if there is one."
    if Role.INCIDENT_COMMANDER not in incident.roles and incident.severity in (Severity.SEV1, Severity.SEV2):
        return "decide who commands (*Take command*), then go on with the checklist."
    line = checklist.next_line(incident)
    if line:
        return f"step {line.number}, {escape(line.step.title)}."
    if incident.runbook is None:
        return "no runbook fits: write down here what you find. *Resolve* when users are well again."
    return "every step is done. *Resolve* when users are well again."


def _runbook_choice(incident: Incident) -> Block:
    """A button for each runbook that the words named; where they named none, a menu of all there are."""
    if not incident.candidates:
        return context("There are no runbooks to choose from.")
    if not incident.candidates[0].fits:
        offered = [option(candidate.title, ids.value(incident.id, candidate.id)) for candidate in incident.candidates]
        menu = select("Choose a runbook", ids.CHOOSE_RUNBOOK, offered)
        return actions([menu], block_id="choose_runbook")
    buttons = [
        button(
            candidate.title,
            f"{ids.CHOOSE_RUNBOOK}:{index}",
            value=ids.value(incident.id, candidate.id),
            style="primary" if index == 0 else None,
        )
        for index, candidate in enumerate(incident.candidates[: ids.MOST_CANDIDATES])
    ]
    return actions(buttons, block_id="choose_runbook")


def _buttons(incident: Incident) -> Iterator[Block]:
    value = ids.value(incident.id)
    if incident.is_over:
        if incident.status is Status.RESOLVED:
            yield actions([button("Reopen", ids.REOPEN, value=value)], block_id="incident")
        return
    row: list[Block] = []
    if not incident.acknowledged:
        row.append(button("✋ Acknowledge", ids.ACKNOWLEDGE, value=value, style="primary"))
    if Role.INCIDENT_COMMANDER not in incident.roles:
        row.append(button("Take command", ids.TAKE_COMMAND, value=value))
    moves = [
        option(LABELS[status].capitalize(), ids.value(incident.id, status.value))
        for status in TRANSITIONS[incident.status]
        if status not in (Status.FALSE_POSITIVE, Status.RESOLVED)
    ]
    if moves:
        row.append(select("Change status", ids.CHANGE_STATUS, moves))
    severities = [option(severity.value, ids.value(incident.id, severity.value)) for severity in Severity]
    current = next(item for item in severities if item["text"]["text"] == incident.severity.value)
    row.append(select("Severity", ids.CHANGE_SEVERITY, severities, initial=current))
    row.append(button("Resolve", ids.RESOLVE, value=value))
    if incident.status is Status.TRIAGE:
        row.append(button("Not an incident", ids.NOT_AN_INCIDENT, value=value))
    yield actions(row, block_id="incident")


# -- the diagnosis -------------------------------------------------------------------------------------------------


def _diagnostics(incident: Incident) -> Iterator[list[Block]]:
    if incident.runbook is None or not incident.runbook.diagnostics:
        return
    lines = [_reading(incident, item) for item in incident.runbook.diagnostics]
    running = sum(not _is_current(incident, item) for item in incident.runbook.diagnostics)
    yield [divider(), section("*Diagnosis*\n" + "\n".join(lines))]
    if not incident.is_over:
        label = f"Diagnosing… {running} to go" if running else "Diagnose again"
        yield [actions([button(label, ids.RUN_DIAGNOSTICS, value=ids.value(incident.id))], block_id="diagnosis")]


def _is_current(incident: Incident, item: Diagnostic) -> bool:
    reading = incident.readings.get(item.id)
    return reading is not None and reading.round == incident.diagnostics_round


def _reading(incident: Incident, item: Diagnostic) -> str:
    reading = incident.readings.get(item.id)
    if reading is None:
        return f"⏳ {escape(item.title)}: looking…"
    outcome = reading.outcome
    words = escape(outcome.summary or outcome.value or STATE_WORD[outcome.state])
    remedy = f"\n{_INDENT}↳ {escape(outcome.remedy)}" if outcome.remedy and outcome.state is not State.OK else ""
    pending = "" if _is_current(incident, item) else " ⏳"
    return (
        f"{STATE_MARK[outcome.state]} {escape(item.title)}: *{STATE_WORD[outcome.state]}*, {words} "
        f"({clock(reading.at)}){pending}{remedy}"
    )


def _short_reading(incident: Incident, item: Diagnostic) -> str:
    """The evidence beside a step; what to do about it stands above, under the diagnosis."""
    reading = incident.readings.get(item.id)
    if reading is None:
        return f"⏳ {escape(item.title)}: looking…"
    outcome = reading.outcome
    value = f" ({escape(outcome.value)})" if outcome.value and outcome.value != outcome.state.value else ""
    return f"{STATE_MARK[outcome.state]} {escape(item.title)}: *{STATE_WORD[outcome.state]}*{value}, {clock(reading.at)}"


# -- the checklist -------------------------------------------------------------------------------------------------


def _steps(incident: Incident) -> Iterator[list[Block]]:
    lines = checklist.lines(incident)
    if not lines:
        return
    done, total = checklist.progress(incident)
    yield [divider(), section(f"*Checklist*  {bar(done, total)}  {done} of {total} steps")]
    for line in lines:
        yield _step(incident, line)


def _step(incident: Incident, line: Line) -> list[Block]:
    step = line.step
    indent = _INDENT * line.depth
    title = f"{_STEP_MARK[line.status]} *{line.number}.* {escape(step.title)}"
    if line.status is not StepStatus.OPEN:
        title = f"{_STEP_MARK[line.status]} {line.number}. {escape(step.title)}"
    texts = [indent + title]
    texts.extend(indent + _INDENT + text for text in _notes(incident, line))
    value = ids.value(incident.id, step.id)
    if line.status is not StepStatus.OPEN and line.mark and not incident.is_over:
        undo = button("Undo", ids.UNTICK, value=value)
        return [section("\n".join(texts), block_id=f"step:{step.id}", accessory=undo)]
    blocks = [section("\n".join(texts), block_id=f"step:{step.id}")]
    row = [] if incident.is_over or line.parent else _step_buttons(incident, step, value)
    if row:
        blocks.append(actions(row, block_id=f"do:{step.id}"))
    return blocks


def _notes(incident: Incident, line: Line) -> Iterator[str]:
    step = line.step
    if line.mark:
        word = f"skipped: {escape(line.mark.reason)}, " if line.mark.skipped else ""
        branch = checklist.chosen_branch(incident, step)
        chosen = f"*{escape(branch.title)}*, " if branch else ""
        yield f"_{word}{chosen}{person(line.mark.moment.by)} at {clock(line.mark.moment.at)}_"
    for diagnostic_id in step.shows:
        diagnostic = incident.runbook.find_diagnostic(diagnostic_id) if incident.runbook else None
        if diagnostic:
            yield _short_reading(incident, diagnostic)
    runs = [run for run in incident.runs.values() if run.step_id == step.id and run.outcome]
    if runs and runs[-1].outcome:
        yield f"{STATE_MARK[runs[-1].outcome.state]} {escape(runs[-1].outcome.summary)}"
    if line.status is StepStatus.OPEN:
        if step.guide:
            link = f" <{escape(step.link.url)}|{escape(step.link.title)}>" if step.link else ""
            yield f"{escape(step.guide)}{link}"
        elif step.link:
            yield f"<{escape(step.link.url)}|{escape(step.link.title)}>"
        if step.caution:
            yield f"⚠️ {escape(step.caution)}"
        suggested = checklist.suggested_branch(incident, step)
        if suggested and not line.mark:
            condition = suggested.suggested_when
            diagnostic = incident.runbook.find_diagnostic(condition.diagnostic) if incident.runbook and condition else None
            because = f" because “{escape(diagnostic.title)}” is {condition.is_.value}" if diagnostic and condition else ""
            yield f"💡 The evidence suggests *{escape(suggested.title)}*{because}."


def _step_buttons(incident: Incident, step: Step, value: str) -> list[Block]:
    skip = button("Skip…", ids.SKIP, value=value)
    if step.choose:
        suggested = checklist.suggested_branch(incident, step)
        ways = [
            button(
                branch.title + (" (suggested)" if suggested and branch.id == suggested.id else ""),
                f"{ids.CHOOSE_BRANCH}:{index}",
                value=ids.value(incident.id, step.id, branch.id),
                style="primary" if suggested and branch.id == suggested.id else None,
            )
            for index, branch in enumerate(step.choose)
        ]
        return [*ways, skip]
    done = button("Done", ids.TICK, value=value)
    if step.run:
        waiting = incident.find_open_run(step.id)
        run = [] if waiting else [button("▶ Run…", ids.RUN_STEP, value=value, style="primary")]
        return [*run, done, skip]
    return [done, skip]
