"""The card: the first message of a room, incident and checklist in one. What a tired reader needs first stands first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bot.domain import checklist
from bot.domain.checklist import Line, StepStatus
from bot.domain.escalation import Way
from bot.domain.facts import Impact, Role, Status
from bot.domain.incident import Incident
from bot.domain.lifecycle import LABELS, TRANSITIONS
from bot.domain.outcome import State
from bot.domain.plan import UNTIL_OVER, gaps_of
from bot.domain.runbook import Diagnostic, Step
from bot.domain.severity import Severity
from bot.domain.timers import lapses_at, waiting_alarms
from bot.slack.blocks import ids
from bot.slack.blocks.parts import (
    IMPACT_LABELS,
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
    named,
    option,
    pages,
    person,
    section,
    select,
    when,
)
from bot.slack.blocks.runs import on_line, revert_button, run_word
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
SWITCHES_MOST = 5


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
    yield from _switched_on(incident)
    yield context(_escalation(incident), *_impacts(incident))
    if not incident.is_over:
        yield section(f"👉 *Do next:* {_next(incident)}")
    if incident.runbook is None and not incident.is_over:
        yield _runbook_choice(incident)
    yield from _buttons(incident)


def _switched_on(incident: Incident) -> Iterator[Block]:
    """What is on until it takes itself back, also when the incident is over."""
    runs = incident.switched_on
    if not runs:
        return
    yield section("\n".join(on_line(incident, run) for run in runs[:SWITCHES_MOST]))
    row = [block for number, run in enumerate(runs[:SWITCHES_MOST]) for block in revert_button(incident, run, number=number)]
    if row and not incident.archived:
        yield actions(row, block_id="switched_on")


def _respond(incident: Incident) -> str:
    if incident.acknowledged:
        late = " ⚠️ late" if incident.acknowledged.at > incident.respond_by else ""
        return f"✅ {named(incident, incident.acknowledged.by)} at {clock(incident.acknowledged.at)}{late}"
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
    """Who was told, who has it, and who is next and when."""
    parts = [*_told(incident)]
    if incident.acknowledged:
        asked = " (asked whether they still have it)" if lapses_at(incident) else ""
        parts.append(f"✋ {named(incident, incident.acknowledged.by)} has it{asked}")
    following = next((one for one in waiting_alarms(incident) if one.alarm.kind == "page"), None)
    if following:
        names = ", ".join(escape(incident.plan.name_of(identity)) for identity in following.alarm.notify)
        unless = "resolves it" if following.alarm.until == UNTIL_OVER else "acknowledges"
        because = f" ({escape(following.alarm.title)})" if following.alarm.when else ""
        parts.append(f"⏭️ Next: {names}{because} at {when(following.due_at)} unless somebody {unless}")
        parts.append("while Redis is away pages wait; call people yourselves then")
    elif incident.response.page == "never" and not incident.is_over:
        parts.append(f"🎫 {incident.severity.value} pages nobody: this is a ticket")
    elif not incident.acknowledged and not incident.is_over:
        parts.append("⚠️ Everybody on the escalation ladder was paged; nobody has acknowledged yet")
    return "*Escalation:* " + (" · ".join(parts) if parts else "stopped")


_TOLD_MOST = 8


def _told(incident: Incident) -> Iterator[str]:
    """The newest word on each contact of each alarm."""
    newest: dict[tuple[str, str], str] = {}
    for page in incident.pages:
        if page.is_former:
            continue
        who, via = escape(page.name), VIA.get(page.via, page.via)
        if page.failure:
            text = f"❌ {who} could not be reached{f' {via}' if via else ''}: {escape(page.failure)}"
        elif page.kind == "page":
            text = f"📟 {who} paged{f' {via}' if page.via != Way.SLACK else ''} at {clock(page.at)}"
        elif page.kind == "check_in":
            continue
        else:
            text = f"📣 {who} told at {clock(page.at)}"
        newest.pop((page.key, page.contact_id), None)
        newest[page.key, page.contact_id] = text
    lines = list(newest.values())
    if len(lines) > _TOLD_MOST:
        yield f"… {len(lines) - _TOLD_MOST} more before"
    yield from lines[-_TOLD_MOST:]


VIA: Mapping[str, str] = {
    Way.SLACK.value: "in Slack",
    Way.PHONE.value: "by phone",
    Way.SMS.value: "by SMS",
    Way.EMAIL.value: "by e-mail",
    Way.PAGERDUTY.value: "by PagerDuty",
}


def _impacts(incident: Incident) -> Iterator[str]:
    """What makes it matter more, since when; who cannot be reached; what happens without Redis."""
    for impact, since in incident.impacts.items():
        yield f"🔺 *{IMPACT_LABELS[impact]}* since {when(since)}"
    gaps = gaps_of(incident.plan)
    if gaps and not incident.is_over:
        yield "⚠️ Of the escalation policy " + "; ".join(escape(gap) for gap in gaps[:3])


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
    row.append(button("⏫ Escalate…", ids.ESCALATE, value=value))
    row.append(select("Impact", ids.CHANGE_IMPACT, [_impact_option(incident, impact) for impact in Impact]))
    row.append(button("Resolve", ids.RESOLVE, value=value))
    if incident.status is Status.TRIAGE:
        row.append(button("Not an incident", ids.NOT_AN_INCIDENT, value=value))
    yield actions(row, block_id="incident")


def _impact_option(incident: Incident, impact: Impact) -> Block:
    on = impact in incident.impacts
    label = f"{IMPACT_LABELS[impact]}: {'over' if on else 'yes, since now'}"
    return option(label, ids.value(incident.id, impact.value, "off" if on else "on"))


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
        # What an action did is taken back at its own message; here only the tick goes.
        undo = button("Untick" if step.run else "Undo", ids.UNTICK, value=value)
        ticked = [section("\n".join(texts), block_id=f"step:{step.id}", accessory=undo)]
        watching = _watch_button(incident, step, value) if _is_watched(incident, step) else []
        return [*ticked, actions(watching, block_id=f"do:{step.id}")] if watching else ticked
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
    yield from _run_notes(incident, step)
    yield from _watch_notes(incident, step)
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


def _run_notes(incident: Incident, step: Step) -> Iterator[str]:
    """What the last run that ended saw, and where the one stands that has not."""
    runs = [run for run in incident.runs.values() if run.step_id == step.id]
    ended = [run for run in runs if run.outcome]
    if ended and ended[-1].outcome:
        yield f"{STATE_MARK[ended[-1].outcome.state]} {escape(ended[-1].outcome.summary)}"
    back = [run for run in ended if run.reverted_at]
    if back and back[-1].reverted_at:
        yield f"↩️ {escape(back[-1].title)} was taken back at {clock(back[-1].reverted_at)}"
    waiting = incident.find_open_run(step.id)
    if waiting:
        yield f"⏳ {escape(waiting.title)}: {run_word(waiting)}, asked for by {named(incident, waiting.requested.by)}"


def _watch_notes(incident: Incident, step: Step) -> Iterator[str]:
    watch = incident.watches.get(step.id)
    if watch is None or step.watch is None:
        return
    seen = "nothing seen yet"
    if watch.outcome and watch.at:
        words = escape(watch.outcome.value or watch.outcome.state.value)
        seen = f"{STATE_MARK[watch.outcome.state]} {words} at {clock(watch.at)}"
    if watch.ended:
        end = f"{watch.good} good results in a row" if watch.done else f"ended by {named(incident, watch.ended.by)}"
        yield f"👁️ Watched until {clock(watch.ended.at)} ({end}): {seen}"
    elif not incident.is_over:
        yield f"👁️ Watched since {clock(watch.started.at)}: {seen}, {watch.good} of {step.watch.good} good in a row"


def _is_watched(incident: Incident, step: Step) -> bool:
    watch = incident.watches.get(step.id)
    return step.watch is not None and watch is not None and watch.ended is None


def _watch_button(incident: Incident, step: Step, value: str) -> list[Block]:
    if step.watch is None:
        return []
    if _is_watched(incident, step):
        return [button("Stop watching", ids.END_WATCH, value=value)]
    return [button("👁️ Watch", ids.START_WATCH, value=value)]


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
    return [*_watch_button(incident, step, value), done, skip]
