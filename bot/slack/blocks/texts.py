"""What single people are told: help, lists, a status, a runbook, and the question under a message that sounds like trouble."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain import checklist
from bot.domain.facts import Role
from bot.domain.incident import Incident
from bot.domain.lifecycle import LABELS
from bot.domain.runbook import Runbook, Step
from bot.slack.blocks import ids
from bot.slack.blocks.messages import room_link
from bot.slack.blocks.parts import (
    actions,
    button,
    context,
    divider,
    escape,
    header,
    pages,
    paragraphs,
    person,
    section,
    when,
)
from bot.slack.drawing import Block, Drawn

LIST_MOST = 20
ACCOUNTS_MOST = 60


def draw_help(lines: Sequence[str], runbook_command: str, oncall_command: str) -> Drawn:
    """The commands, from the parser's own table."""
    others = (
        f"`{runbook_command} [words]`  show a runbook here",
        f"`{oncall_command}`  who is on call, and covering for somebody",
    )
    text = "\n".join([*(escape(line) for line in lines), *others])
    blocks = (
        section(f"*Muster* opens a room for what is broken, with the right people and the right runbook.\n{text}"),
        context("Or just write what is broken (“auth not working”) in a channel that Muster is in."),
    )
    return Drawn(text="What Muster understands", blocks=blocks)


def draw_list(incidents: Sequence[Incident]) -> Drawn:
    """The open incidents that everybody may see."""
    public = [incident for incident in incidents if not incident.private]
    if not public:
        return Drawn(text="No incident is open.", blocks=(section("🟢 No incident is open."),))
    lines = [status_line(incident) for incident in public[-LIST_MOST:]]
    blocks = [section("*Open incidents*"), *(section(line) for line in lines)]
    if len(public) > LIST_MOST:
        blocks.append(context(f"… and {len(public) - LIST_MOST} older ones"))
    return Drawn(text=f"{len(public)} open", blocks=tuple(blocks))


def status_line(incident: Incident) -> str:
    """One incident in one line."""
    done, total = checklist.progress(incident)
    commander = incident.roles.get(Role.INCIDENT_COMMANDER)
    parts = [
        f"*{incident.severity.value}* {escape(incident.title)}",
        room_link(incident),
        LABELS[incident.status],
        f"opened {when(incident.opened.at)}",
        f"{done}/{total} steps" if total else "no runbook yet",
    ]
    if commander:
        parts.append(f"commander {person(commander)}")
    if incident.drill:
        parts.insert(0, "DRILL")
    return " · ".join(parts)


def draw_status(incident: Incident) -> Drawn:
    """Where one incident stands, in a few lines."""
    lines = [status_line(incident)]
    line = checklist.next_line(incident)
    if line and not incident.is_over:
        lines.append(f"Next: step {line.number}, {escape(line.step.title)}")
    if incident.acknowledged:
        lines.append(f"✋ {person(incident.acknowledged.by)} has it since {when(incident.acknowledged.at)}")
    elif not incident.is_over:
        lines.append("⚠️ Nobody has acknowledged it yet.")
    if incident.room_failure:
        lines.append(f"❌ The room could not be made: {escape(incident.room_failure)}")
    return Drawn(text=f"{incident.severity.value} {LABELS[incident.status]}", blocks=(section("\n".join(lines)),))


def draw_accounts(incident: Incident) -> Drawn:
    """The affected accounts, the newest first, with who or what found them."""
    count = len(incident.accounts)
    if not count:
        return Drawn(text="No account is on the list.", blocks=(section("No account is on the list of those affected yet."),))
    shown = list(incident.accounts.items())[:ACCOUNTS_MOST]
    lines = [f"`{escape(account)}`  {_source(incident, source)}" for account, source in shown]
    blocks = [section(f"*Affected accounts: {count:,}*"), *paragraphs(lines)]
    if count > ACCOUNTS_MOST:
        blocks.append(context(f"… and {count - ACCOUNTS_MOST:,} more"))
    return Drawn(text=f"Affected accounts: {count:,}", blocks=tuple(blocks))


def _source(incident: Incident, source: str) -> str:
    run = incident.runs.get(source)
    return f"found by “{escape(run.title)}”" if run else f"added by {person(source)}"


def draw_prompt(phrase: str, runbook_ids: Sequence[str], titles: Sequence[str]) -> Drawn:
    """The one question under a message that names trouble in passing."""
    named = " or ".join(f"“{escape(title)}”" for title in titles[:2])
    text = f"That sounds like {named}. Is it happening now?"
    row = [
        button("Open incident", ids.OPEN_FROM_PROMPT, value="+".join(runbook_ids[: ids.MOST_CANDIDATES]), style="primary"),
        button("Not an incident", ids.DISMISS_PROMPT, value="dismiss"),
    ]
    return Drawn(text=text, blocks=(section(text), actions(row, block_id="prompt")))


def draw_runbooks(runbooks: Sequence[Runbook], command: str) -> Drawn:
    """All runbooks, by title."""
    if not runbooks:
        text = "There are no runbooks yet; put them into the runbooks folder."
        return Drawn(text=text, blocks=(section(text),))
    lines = [
        f"• *{escape(item.title)}* ({item.severity.value}, {escape(item.service)}): `{command} {escape(item.id)}`"
        for item in runbooks
    ]
    first, *more = pages([[block] for block in paragraphs(lines)])
    if more:
        first.append(context(f"… and more: `{command} words` finds the one that you need"))
    return Drawn(text="Runbooks", blocks=tuple(first))


def draw_runbook(runbook: Runbook, others: Sequence[Runbook]) -> Drawn:
    """A runbook to read, without an incident."""
    groups: list[list[Block]] = [
        [
            header(f"📕 {runbook.title}"),
            context(f"{runbook.severity.value} · {escape(runbook.service)} · nothing was opened"),
        ]
    ]
    if runbook.symptoms:
        groups.append([section("*Symptoms*\n" + "\n".join(f"• {escape(text)}" for text in runbook.symptoms))])
    if runbook.diagnostics:
        groups.append([section("*Diagnosis*\n" + "\n".join(f"• {escape(d.title)}" for d in runbook.diagnostics))])
    groups.append([section("*Checklist*")])
    groups.extend([section(text)] for text in _steps(runbook.checklist, indent=""))
    links = " · ".join(f"<{escape(link.url)}|{escape(link.title)}>" for link in runbook.links)
    row = actions([button("Open an incident", ids.OPEN_RUNBOOK, value=runbook.id, style="danger")], block_id="runbook")
    tail: list[Block] = [divider()]
    if links:
        tail.append(context(links))
    if others:
        tail.append(context("Also near: " + ", ".join(escape(other.title) for other in others[:5])))
    groups.append([*tail, row])
    blocks = pages(groups)
    first = blocks[0] if len(blocks) == 1 else [*blocks[0][:48], context("… and more steps"), row]
    return Drawn(text=f"Runbook: {escape(runbook.title)}", blocks=tuple(first))


def _steps(steps: Sequence[Step], *, indent: str) -> list[str]:
    texts: list[str] = []
    for number, step in enumerate(steps, start=1):
        lines = [f"{indent}*{number}.* {escape(step.title)}"]
        if step.guide:
            lines.append(f"{indent}\u2003{escape(step.guide)}")
        for child in step.steps:
            lines.append(f"{indent}\u2003• {escape(child.title)}")
        for branch in step.choose:
            lines.append(f"{indent}\u2003_{escape(branch.title)}:_")
            lines.extend(f"{indent}\u2003\u2003• {escape(child.title)}" for child in branch.steps)
        texts.append("\n".join(lines))
    return texts
