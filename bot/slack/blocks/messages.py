"""Every message of an incident but the card: announcement, reply, mention, run, page. ``draw`` chooses by kind."""

from __future__ import annotations

from collections.abc import Callable

from bot.domain.facts import Status
from bot.domain.incident import Incident, Run
from bot.domain.lifecycle import LABELS
from bot.domain.outcome import Risk, State
from bot.domain.room import MessageKind, RoomMessage
from bot.domain.text import cut
from bot.slack.blocks import ids
from bot.slack.blocks.card import draw_card
from bot.slack.blocks.parts import STATE_MARK, actions, button, clock, context, escape, person, section, when
from bot.slack.drawing import Block, Drawn

DETAILS_MOST = 20


def draw(message: RoomMessage, incident: Incident) -> tuple[Drawn, ...]:
    """See ``bot.slack.drawing.Draw``."""
    if message.kind is MessageKind.CARD:
        return draw_card(incident)
    return (_DRAW[message.kind](message, incident),)


def room_link(incident: Incident) -> str:
    """The room as Slack links it."""
    return f"<#{incident.channel_id}>" if incident.channel_id else "its room (being made)"


def _announcement(message: RoomMessage, incident: Incident) -> Drawn:
    drill = "DRILL · " if incident.drill else ""
    mark = "⚪" if incident.status is Status.FALSE_POSITIVE else "🟢" if incident.is_over else "🚨"
    title = escape(incident.title)
    lines = [
        f"{mark} *{drill}{incident.severity.value} · {title}*",
        f"{LABELS[incident.status].capitalize()} · {room_link(incident)} · declared by {person(incident.opened.by)} "
        f"{when(incident.opened.at)}",
    ]
    if incident.acknowledged and not incident.is_over:
        lines.append(f"✋ {person(incident.acknowledged.by)} has it")
    return Drawn(text=f"{drill}{incident.severity.value} {LABELS[incident.status]}: {title}", blocks=(section("\n".join(lines)),))


def _reply(message: RoomMessage, incident: Incident) -> Drawn:
    """What the person who said it reads where they said it. A private incident says nothing about itself there."""
    if incident.private:
        text = "Thank you. The people responsible know and are looking at it."
        return Drawn(text=text, blocks=(section(text),))
    phrase = incident.origin.how == "phrase"
    if incident.status is Status.FALSE_POSITIVE:
        by = incident.status_changed.by if incident.status_changed else incident.opened.by
        text = f"⚪ Recorded as not an incident by {person(by)}; nobody else is called."
        return Drawn(text="Recorded as not an incident.", blocks=(section(text),))
    drill = "DRILL · " if incident.drill else ""
    state = f"🚨 {drill}*{incident.severity.value}* is open: {room_link(incident)} · {LABELS[incident.status]}"
    if incident.is_over:
        state = f"🟢 {drill}{LABELS[incident.status].capitalize()}: {room_link(incident)}"
    blocks: list[Block] = [section(state)]
    if phrase and incident.status is Status.TRIAGE:
        undo = button("Not an incident", ids.NOT_AN_INCIDENT, value=ids.value(incident.id))
        blocks.append(actions([undo], block_id="reply"))
    return Drawn(text=f"{incident.severity.value} is open: {escape(incident.title)}", blocks=tuple(blocks))


def _mention(message: RoomMessage, incident: Incident) -> Drawn:
    level = incident.level(int(message.about))
    names = ", ".join(f"{escape(contact.name)}" for contact in level.contacts) if level else "the next level"
    handles = [person(user) for page in incident.pages if level and page.level == level.level for user in page.user_ids]
    who = " ".join(handles)
    if incident.acknowledged or incident.is_over:
        has_it = f" · ✋ {person(incident.acknowledged.by)} has it" if incident.acknowledged else ""
        text = f"📟 {who or names} paged{has_it}"
        return Drawn(text=f"{names} paged", blocks=(context(text),))
    text = f"📟 {who or names}: nobody has acknowledged this yet. Press *Acknowledge* if you take it."
    if level and level.level == 1:
        text = f"📟 {who or names}: you are on call for this. Press *Acknowledge* if you take it."
    row = actions([button("✋ Acknowledge", ids.ACKNOWLEDGE, value=ids.value(incident.id), style="primary")], block_id="mention")
    return Drawn(text=f"{names} paged", blocks=(section(text), row))


# -- runs ----------------------------------------------------------------------------------------------------------


def _run(message: RoomMessage, incident: Incident) -> Drawn:
    run = incident.runs[message.about]
    title = escape(run.title)
    blocks: list[Block] = [section(f"*{title}*  {_params(run)}\nasked for by {person(run.requested.by)}")]
    blocks.extend(_run_state(incident, run))
    return Drawn(text=f"{title}: {_run_word(run)}", blocks=tuple(blocks))


def _params(run: Run) -> str:
    return " · ".join(f"{escape(name)}: `{escape(str(value)).replace('`', 'ˋ')}`" for name, value in run.params.items())


def _run_word(run: Run) -> str:
    if run.outcome:
        return run.outcome.state.value
    if run.cancelled:
        return "cancelled"
    if run.refused:
        return "not possible"
    if run.confirmed:
        return "running"
    return "waits for a confirmation" if run.preview else "looking what it would do"


def _run_state(incident: Incident, run: Run) -> list[Block]:
    if run.outcome:
        return _finished(run)
    if run.cancelled:
        return [context(f"Cancelled by {person(run.cancelled.by)} at {clock(run.cancelled.at)}; nothing was done.")]
    if run.refused:
        return [section(f"❔ Cannot say what it would do, so it does not run: {escape(run.refused)}")]
    if run.confirmed:
        confirmed = f"Confirmed by {person(run.confirmed.by)} at {clock(run.confirmed.at)}. " if _asks(run) else ""
        return [section(f"⏳ {confirmed}Running…")]
    if run.preview is None:
        return [section("⏳ Looking what it would do…")]
    return _preview(incident, run)


def _asks(run: Run) -> bool:
    return run.risk is not Risk.READ


def _preview(incident: Incident, run: Run) -> list[Block]:
    preview = run.preview
    if preview is None:
        return []
    blocks = [section(f"*What would happen:* {escape(preview.summary)}")]
    blocks.extend(_lines(preview.items))
    value = ids.value(incident.id, run.id)
    row: list[Block] = []
    if not preview.nothing_to_do:
        row.append(button(preview.confirm_label, ids.CONFIRM_RUN, value=value, style="danger"))
    row.append(button("Close" if preview.nothing_to_do else "Cancel", ids.CANCEL_RUN, value=value))
    if not incident.is_over:
        blocks.append(actions(row, block_id=f"run:{run.id}"))
    return blocks


def _finished(run: Run) -> list[Block]:
    outcome = run.outcome
    if outcome is None:
        return []
    blocks = [section(f"{STATE_MARK[outcome.state]} {escape(outcome.summary)}")]
    if outcome.remedy and outcome.state is not State.OK:
        blocks.append(section(f"↳ {escape(outcome.remedy)}"))
    blocks.extend(_lines(outcome.details))
    if run.confirmed and run.finished_at:
        who = f"Confirmed by {person(run.confirmed.by)} at {clock(run.confirmed.at)}, " if _asks(run) else ""
        blocks.append(context(f"{who}finished at {clock(run.finished_at)}"))
    return blocks


def _lines(lines: tuple[str, ...]) -> list[Block]:
    if not lines:
        return []
    shown = [f"• {escape(cut(line, max_chars=250))}" for line in lines[:DETAILS_MOST]]
    if len(lines) > DETAILS_MOST:
        shown.append(f"… and {len(lines) - DETAILS_MOST} more")
    blocks: list[Block] = []
    for start in range(0, len(shown), 7):  # 7 × 250 characters, escaped, stay below the 3,000 of a section
        blocks.append(section("\n".join(shown[start : start + 7])))
    return blocks


# -- pages ---------------------------------------------------------------------------------------------------------


def draw_page(incident: Incident, level_number: int) -> Drawn:
    """The direct message that wakes somebody."""
    title = "a private incident" if incident.private else escape(incident.title)
    drill = "DRILL, nothing is broken · " if incident.drill else ""
    lines = [f"🚨 *{drill}{incident.severity.value} {escape(incident.severity_title)}: {title}*"]
    if incident.acknowledged:
        lines.append(f"✋ {person(incident.acknowledged.by)} has it since {clock(incident.acknowledged.at)}.")
    elif incident.is_over:
        lines.append(f"🟢 It is {LABELS[incident.status]}; you need not do anything.")
    else:
        level = incident.level(level_number)
        why = "you are on call" if level_number == 1 else f"nobody has acknowledged since {clock(incident.opened.at)}"
        lines.append(f"You are paged because {why} ({escape(level.title) if level else 'escalation'}).")
    lines.append(f"Room: {room_link(incident)} · opened {when(incident.opened.at)} by {person(incident.opened.by)}")
    blocks: list[Block] = [section("\n".join(lines))]
    if not incident.acknowledged and not incident.is_over:
        acknowledge = button("✋ Acknowledge", ids.ACKNOWLEDGE, value=ids.value(incident.id), style="primary")
        blocks.append(actions([acknowledge], block_id="page"))
    return Drawn(text=f"{incident.severity.value}: {title}. Acknowledge if you take it.", blocks=tuple(blocks))


def _page(message: RoomMessage, incident: Incident) -> Drawn:
    return draw_page(incident, int(message.about))


_DRAW: dict[MessageKind, Callable[[RoomMessage, Incident], Drawn]] = {
    MessageKind.ANNOUNCEMENT: _announcement,
    MessageKind.REPLY: _reply,
    MessageKind.MENTION: _mention,
    MessageKind.RUN: _run,
    MessageKind.PAGE: _page,
}
