"""Every message of an incident but the card: announcement, reply, mention, run, page. ``draw`` chooses by kind."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from bot.domain import facts
from bot.domain.facts import Status, Target
from bot.domain.incident import Incident, News, Raised
from bot.domain.lifecycle import LABELS
from bot.domain.room import MessageKind, RoomMessage
from bot.domain.timers import is_asking, is_for_the_first_level, lapses_at
from bot.slack.blocks import ids
from bot.slack.blocks.card import VIA, draw_card
from bot.slack.blocks.parts import (
    IMPACT_LABELS,
    STATE_MARK,
    actions,
    button,
    clock,
    context,
    escape,
    named,
    person,
    section,
    when,
)
from bot.slack.blocks.runs import NOTHING_KNOWN, Known, draw_approval, draw_break_glass, draw_details, draw_run
from bot.slack.drawing import Block, Drawn


def draw(message: RoomMessage, incident: Incident, known: Known = NOTHING_KNOWN) -> tuple[Drawn, ...]:
    """See ``bot.slack.drawing.Draw``. A file is not drawn: ``bot.slack.files``."""
    if message.kind is MessageKind.CARD:
        return draw_card(incident)
    if message.kind is MessageKind.RUN:
        return (draw_run(incident, incident.runs[message.about], known),)
    if message.kind is MessageKind.APPROVAL:
        return (draw_approval(incident, incident.runs[message.about], known),)
    if message.kind is MessageKind.DETAILS:
        return draw_details(incident.runs[message.about])
    return (_DRAW[message.kind](message, incident),)


def room_link(incident: Incident) -> str:
    """The room as Slack links it."""
    return f"<#{incident.channel_id}>" if incident.channel_id else "its room (being made)"


def _break_glass(message: RoomMessage, incident: Incident) -> Drawn:
    return draw_break_glass(incident, incident.runs[message.about], room_link(incident))


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
        lines.append(f"✋ {named(incident, incident.acknowledged.by)} has it")
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
    raised = incident.raised.get(message.about)
    pages = [page for page in incident.pages if page.key == message.about and not page.failure]
    names = ", ".join(dict.fromkeys(escape(page.name) for page in pages)) or _names(incident, raised)
    who = " ".join(dict.fromkeys(person(user) for page in pages for user in page.user_ids)) or names
    if incident.acknowledged or incident.is_over or raised is None:
        has_it = f" · ✋ {named(incident, incident.acknowledged.by)} has it" if incident.acknowledged else ""
        return Drawn(text=f"{names} paged", blocks=(context(f"📟 {who} paged{has_it}"),))
    if raised.alarm.level == 1:
        text = f"📟 {who}: you are on call for this. Press *Acknowledge* if you take it."
    elif raised.alarm.when:
        text = f"📟 {who}: {escape(raised.alarm.title)}. Press *Acknowledge* if you take it."
    else:
        text = f"📟 {who}: nobody has acknowledged this yet. Press *Acknowledge* if you take it."
    row = actions([button("✋ Acknowledge", ids.ACKNOWLEDGE, value=ids.value(incident.id), style="primary")], block_id="mention")
    return Drawn(text=f"{names} paged", blocks=(section(text), row))


def _names(incident: Incident, raised: Raised | None) -> str:
    if raised is None:
        return "somebody"
    if raised.contact:
        slack = raised.contact.slack or ""
        return person(slack) if person(slack).startswith("<@") else escape(raised.contact.name)
    return ", ".join(escape(incident.plan.name_of(identity)) for identity in raised.contact_ids) or escape(raised.alarm.title)


# -- news ----------------------------------------------------------------------------------------------------------


def _news(message: RoomMessage, incident: Incident) -> Drawn:
    """What everybody in the room should know, in one line; it is said once and does not change."""
    seq = int(message.about)
    news = incident.news[bisect_left(incident.news, seq, key=lambda one: one.seq)]
    text = _news_text(incident, news)
    return Drawn(text=text, blocks=(section(text),))


def _news_text(incident: Incident, news: News) -> str:
    by = named(incident, news.moment.by)
    match news.fact:
        case facts.Acknowledged(via=via):
            how = "" if via == "slack" else " (by PagerDuty)" if via == "pagerduty" else f" (by {via})"
            return f"✋ {by} has it{how}."
        case facts.AcknowledgementLapsed(user_id=user_id):
            who = named(incident, user_id)
            return f"⌛ {who} did not answer whether they still have it. Nobody has it now; the escalation goes on."
        case facts.AlarmRaised() as raised:
            reason = f": {escape(raised.reason)}" if raised.reason else ""
            return f"⏫ {by} called {_names(incident, incident.raised.get(raised.key))}{reason}"
        case facts.PageFailed() as failed:
            how = f" {VIA.get(failed.via, failed.via)}" if failed.via else ""
            then = "" if failed.exhausted else " The next way is tried."
            again = " It is tried again." if failed.exhausted and failed.passing else ""
            who = escape(failed.name or incident.plan.name_of(failed.contact_id))
            return f"❌ {who} could not be reached{how}: {escape(failed.reason)}.{then}{again}"
        case facts.TargetReminded() as reminded:
            what = "Nobody has acknowledged" if reminded.target is Target.RESPONSE else "It is not resolved"
            by_when = when(incident.target_at(reminded.target))
            if reminded.percent >= 100:
                return f"🔴 {what} within the target of {incident.severity.value}: it was {by_when}."
            passed = f"{reminded.percent} % of the time of {incident.severity.value} has passed"
            return f"⏱️ {what} yet, and {passed}: the target is {by_when}."
        case facts.ImpactChanged(impact=impact, since=since):
            return f"🔺 {IMPACT_LABELS[impact]}, says {by}." if since else f"🔻 {IMPACT_LABELS[impact]} is over, says {by}."
        case facts.RunConfirmed(run_id=run_id, break_glass=reason):
            return f"🔓 *Without a second person:* {by} went on alone with *{_run_title(incident, run_id)}*: {escape(reason)}"
        case facts.RunReverted(run_id=run_id, outcome=outcome):
            return f"↩️ *{_run_title(incident, run_id)}* was taken back: {escape(outcome.summary)}"
        case facts.RevertFailed(run_id=run_id, reason=reason):
            return f"🔴 *{_run_title(incident, run_id)}* could not be taken back: {escape(reason)} It is tried again."
        case facts.WatchReported(step_id=step_id, outcome=outcome):
            words = escape(outcome.summary or outcome.value)
            return f"👁️ {_step_title(incident, step_id)}: {STATE_MARK[outcome.state]} *{outcome.state.value}*, {words}"
        case facts.WatchEnded(step_id=step_id, done=done):
            why = "it was seen to be good often enough" if done else f"{by} ended it"
            return f"👁️ {_step_title(incident, step_id)} is not watched any more: {why}."
        case facts.Noted(text=text, is_update=is_update):
            return f"{'📣 *Update*' if is_update else '📝'} by {by}: {escape(text)}"
        case _:
            return f"{news.fact.kind.replace('_', ' ')} by {by}"


def _run_title(incident: Incident, run_id: str) -> str:
    run = incident.runs.get(run_id)
    return escape(run.title) if run else escape(run_id)


def _step_title(incident: Incident, step_id: str) -> str:
    step = incident.runbook.find_step(step_id) if incident.runbook else None
    return escape(step.title) if step else escape(step_id)


# -- pages ---------------------------------------------------------------------------------------------------------


def draw_page(incident: Incident, key: str) -> Drawn:
    """The direct message that wakes somebody, tells them, or asks whether they still have it."""
    raised = incident.raised.get(key)
    title = "a private incident" if incident.private else escape(incident.title)
    drill = "DRILL, nothing is broken · " if incident.drill else ""
    mark = "🚨" if raised is None or raised.alarm.kind == "page" else "❓" if raised.alarm.kind == "check_in" else "📣"
    lines = [f"{mark} *{drill}{incident.severity.value} {escape(incident.severity_title)}: {title}*"]
    lines.append(_page_line(incident, raised))
    lines.append(f"Room: {room_link(incident)} · opened {when(incident.opened.at)} by {person(incident.opened.by)}")
    blocks: list[Block] = [section("\n".join(lines))]
    row = _page_buttons(incident, raised)
    if row:
        blocks.append(actions(row, block_id="page"))
    ask = "Still on it?" if raised and raised.alarm.kind == "check_in" else "Acknowledge if you take it." if row else ""
    return Drawn(text=f"{incident.severity.value}: {title}. {ask}".strip(), blocks=tuple(blocks))


def _page_line(incident: Incident, raised: Raised | None) -> str:
    if incident.is_over:
        return f"🟢 It is {LABELS[incident.status]}; you need not do anything."
    if raised and raised.alarm.kind == "check_in":
        if is_asking(incident, raised.key):
            until = when(lapses_at(incident) or raised.at)
            return (
                f"You have this since {_held_since(incident)}, and nothing was done for a while. *Are you still on it?* "
                f"Without an answer by {until} the next person is called."
            )
        if incident.acknowledged is None:
            return "Nobody has it any more; the next person is called."
        return "Thank you. You are asked again if nothing is done for a while."
    if raised and raised.by:
        reason = f": {escape(raised.reason)}" if raised.reason else ""
        return f"{named(incident, raised.by)} asks for you{reason}."
    if raised and raised.alarm.kind == "standby":
        return "Be ready to help, please. You need not do anything yet."
    if raised and raised.alarm.kind == "notice":
        return (
            f"For your information: it is {LABELS[incident.status]}; it can wait for business hours."
            if (incident.response.page == "business_hours")
            else f"For your information: it is {LABELS[incident.status]}."
        )
    if incident.acknowledged:
        return f"✋ {named(incident, incident.acknowledged.by)} has it since {clock(incident.acknowledged.at)}."
    if raised is None:
        return "You were paged for this before it was reopened."
    late = f" {raised.overdue} steps of the escalation are overdue." if raised.overdue > 1 else ""
    since = f"nobody has acknowledged since {clock(incident.opened.at)}"
    why = "you are on call" if raised.alarm.level == 1 else escape(raised.alarm.title) if raised.alarm.when else since
    title = f" ({escape(raised.alarm.title)})" if raised.alarm.level else ""
    return f"You are paged because {why}{title}.{late}"


def _held_since(incident: Incident) -> str:
    return clock(incident.acknowledged.at) if incident.acknowledged else "a while"


def _page_buttons(incident: Incident, raised: Raised | None) -> list[Block]:
    value = ids.value(incident.id)
    if incident.is_over or raised is None:
        return []
    if raised.alarm.kind == "check_in":
        if not is_asking(incident, raised.key):
            return []
        still = button("✋ Still on it", ids.CHECK_IN, value=value, style="primary")
        return [still, button("Hand over…", ids.HAND_OVER, value=value)]
    asks = raised.alarm.kind == "page" or is_for_the_first_level(incident, raised.alarm)
    if not asks or (incident.acknowledged and not _is_called_by_hand(incident, raised)):
        return []
    return [button("✋ Acknowledge", ids.ACKNOWLEDGE, value=value, style="primary")]


def _is_called_by_hand(incident: Incident, raised: Raised) -> bool:
    """Somebody has it, and these were called behind that: they may take it over."""
    return bool(raised.by and incident.acknowledged and raised.at >= incident.acknowledged.at)


def _page(message: RoomMessage, incident: Incident) -> Drawn:
    return draw_page(incident, message.about)


def draw_test_page(headline: str) -> Drawn:
    """The page of ``muster canary``: marked as a test, and answered with a button."""
    text = f"🐤 *{escape(headline)}*\nThis is a test of the way to you. Nothing is broken; you need not do anything."
    return Drawn(text=headline, blocks=(section(text),))


_DRAW: dict[MessageKind, Callable[[RoomMessage, Incident], Drawn]] = {
    MessageKind.ANNOUNCEMENT: _announcement,
    MessageKind.REPLY: _reply,
    MessageKind.MENTION: _mention,
    MessageKind.BREAK_GLASS: _break_glass,
    MessageKind.PAGE: _page,
    MessageKind.NEWS: _news,
}
