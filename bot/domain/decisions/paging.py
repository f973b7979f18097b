"""Escalation: what comes due, pages that were accepted or failed, the acknowledgement and the question behind it, and people who
are called by hand. When something is due is in ``bot.domain.timers``."""

from __future__ import annotations

import re
from datetime import datetime

from bot.domain import facts
from bot.domain.commands import Acknowledge, CheckIn, Escalate, ReachDue, RecordFollowed, RecordPage
from bot.domain.decisions.base import Context, Decision, require_going_on
from bot.domain.decisions.running import expired_runs
from bot.domain.errors import UserError
from bot.domain.escalation import Contact
from bot.domain.facts import AlarmRaised, Fact, Status
from bot.domain.incident import Incident
from bot.domain.plan import UNTIL_OVER, Alarm
from bot.domain.text import REASON_MAX_CHARS, clean
from bot.domain.timers import (
    CONTACT_PREFIX,
    Waiting,
    is_settled,
    is_wanted,
    lapses_at,
    not_told,
    waiting_alarms,
    waiting_reminders,
)

USER_ID = re.compile(r"[UW][A-Z0-9]{2,30}")
"""How Slack calls a person."""
MOST_UNANSWERED = 3
"""Whoever does not take so many calls for one alarm is not called for it any more; the ladder has gone on long ago."""
OUTAGE_S = 60
"""What is that late was late because nobody could send: its alarms are told together, and counted."""


def reach_due(incident: Incident, command: ReachDue, context: Context) -> Decision:
    """Everything that is due: previews that expire, nobody has it any more, reminders, alarms. Nothing, where it was moved."""
    now = max(context.now, command.due_at)
    expired = expired_runs(incident, now)
    if expired or incident.is_over:
        return Decision(facts=expired)
    lapse = lapses_at(incident)
    if lapse and lapse <= now and incident.acknowledged:
        return Decision(facts=(facts.AcknowledgementLapsed(user_id=incident.acknowledged.by),))
    return Decision(facts=(*_reminders(incident, now), *_alarms(incident, now)))


def _reminders(incident: Incident, now: datetime) -> list[Fact]:
    """Of each target only the newest thing to say: after an outage, or a change of the severity, the breach alone."""
    newest = {one.target: one for one in waiting_reminders(incident) if one.due_at <= now}
    return [facts.TargetReminded(target=one.target, percent=one.percent, due_at=one.due_at) for one in newest.values()]


def _alarms(incident: Incident, now: datetime) -> list[Fact]:
    """The alarms that are due together, the highest level first; nobody is told twice for the same moment."""
    due = [one for one in waiting_alarms(incident) if one.due_at <= now]
    due.sort(key=lambda one: (one.alarm.kind != "page", -one.alarm.level, one.due_at))
    overdue = sum((now - one.due_at).total_seconds() > OUTAGE_S for one in due)
    tells: dict[str, Waiting] = {}
    for one in sorted(due, key=lambda one: (one.alarm.kind != "page", one.alarm.until != UNTIL_OVER)):
        for identity in one.alarm.notify:
            tells.setdefault(identity, one)  # what an acknowledgement does not stop comes before what it does
    return [
        _raise(incident, one, tuple(who for who in one.alarm.notify if tells[who] is one), overdue=max(1, overdue)) for one in due
    ]


def _raise(incident: Incident, waiting: Waiting, contacts: tuple[str, ...], *, overdue: int) -> AlarmRaised:
    alarm = waiting.alarm
    stranger = None
    if alarm.kind == "check_in" and contacts and not _is_in_the_plan(incident, contacts[0]):
        stranger = _holder(incident, contacts[0])
        contacts = (stranger.id,) if stranger else ()
    return AlarmRaised(
        key=incident.next_key(alarm.id),
        alarm=alarm,
        contact_ids=contacts,
        generation=incident.generation,
        due_at=waiting.due_at,
        overdue=overdue,
        contact=stranger,
    )


def _is_in_the_plan(incident: Incident, identity: str) -> bool:
    return identity in incident.plan.people or identity in incident.plan.rotations


def _holder(incident: Incident, identity: str) -> Contact | None:
    """Whoever acknowledged and is in no file; None for somebody who cannot be asked: then their silence has to do."""
    called = next((one.contact for one in incident.raised.values() if one.contact and one.contact.id == identity), None)
    return called or (person_contact(identity) if USER_ID.fullmatch(identity) else None)


def person_contact(user_id: str) -> Contact:
    """A user of Slack who is in no file, as somebody who can be told something."""
    return Contact(id=user_id.casefold(), name=user_id, slack=user_id)


def record_page(incident: Incident, command: RecordPage, context: Context) -> Decision:
    """The result of one attempt. The same attempt once more, of a worker that had lost its lease, decides nothing unless it
    really reached somebody a second time."""
    raised = incident.raised.get(command.key)
    attempts = incident.attempts(command.key, command.contact_id)
    if command.failure:
        if len(attempts) >= command.attempt:
            return Decision()
        failed = facts.PageFailed(
            key=command.key,
            contact_id=command.contact_id,
            name=command.name,
            via=command.via,
            reason=command.failure,
            passing=command.passing,
            exhausted=command.exhausted,
        )
        return Decision(facts=(failed,))
    known = [page for page in attempts if page.via == command.via and not page.failure]
    same = any(set(command.messages) <= set(page.messages) and page.reference == command.reference for page in known)
    if same and len(attempts) >= command.attempt:  # a later attempt counts, also where the provider calls it the same
        return Decision()
    sent = facts.PageSent(
        key=command.key,
        contact_id=command.contact_id,
        name=command.name,
        via=command.via,
        user_ids=command.user_ids,
        messages=command.messages,
        reference=command.reference,
        follows=command.follows,
        late_s=max(0, round((context.now - command.due_at).total_seconds())),
        in_flight=raised is None or not is_wanted(incident, raised),
    )
    return Decision(facts=(sent,))


def record_followed(incident: Incident, command: RecordFollowed, context: Context) -> Decision:
    """What became of a page. That nobody was reached by it is a failure as if it had been refused: the next way is tried."""
    sent = [
        page
        for page in incident.attempts(command.key, command.contact_id)
        if page.via == command.via and not page.failure and not page.ended and command.wanted not in page.followed
    ]
    if not sent:
        return Decision()
    if command.failure and command.wanted == "open":
        unanswered = sum(
            page.via == command.via and bool(page.failure) for page in incident.attempts(command.key, command.contact_id)
        )
        failed = facts.PageFailed(
            key=command.key,
            contact_id=command.contact_id,
            name=sent[-1].name,
            via=command.via,
            reason=command.failure,
            passing=unanswered + 1 < MOST_UNANSWERED,
            exhausted=False,
        )
        return Decision(facts=(failed,))
    followed = facts.PageFollowed(
        key=command.key,
        contact_id=command.contact_id,
        via=command.via,
        wanted=command.wanted,
        ended=command.ended,
        taken_back=command.taken_back,
    )
    return Decision(facts=(followed,))


def acknowledge(incident: Incident, command: Acknowledge, context: Context) -> Decision:
    """Somebody has it: what waited for that stops, and triage becomes investigating.

    Whoever was called after somebody else had acknowledged takes it over, and so does anybody while the holder does not answer
    whether they still have it; the holder may answer that with this, too.
    """
    require_going_on(incident)
    if incident.acknowledged:
        holder = incident.acknowledged.by
        if holder == context.by and _was_asked(incident):
            return Decision(facts=(facts.CheckedIn(),))
        if holder == context.by:
            raise UserError("You already have it.")
        if not (_was_asked(incident) or _was_called_since(incident, context.by)):
            raise UserError(f"{_named(incident, holder)} already has it.")
    confirmed = (facts.StatusChanged(status=Status.INVESTIGATING),) if incident.status is Status.TRIAGE else ()
    return Decision(facts=(facts.Acknowledged(via=command.via), *confirmed))


def _named(incident: Incident, by: str) -> str:
    return incident.plan.name_of(by.removeprefix(CONTACT_PREFIX)) if by.startswith(CONTACT_PREFIX) else f"<@{by}>"


def _was_asked(incident: Incident) -> bool:
    return lapses_at(incident) is not None


def _was_called_since(incident: Incident, by: str) -> bool:
    """Somebody was called although somebody else has it."""
    return any(
        not is_settled(incident, page)
        and not page.failure
        and page.kind == "page"
        and (by in page.user_ids or by == CONTACT_PREFIX + page.contact_id)
        for page in incident.pages
    )


def check_in(incident: Incident, command: CheckIn, context: Context) -> Decision:
    """Still on it: the question is asked again only after another such time without progress."""
    require_going_on(incident)
    if incident.acknowledged is None:
        raise UserError("Nobody has this any more: press Acknowledge to take it.")
    return Decision(facts=(facts.CheckedIn(),))


def escalate(incident: Incident, command: Escalate, context: Context) -> Decision:
    """More people are told at once, because somebody asked for it; also when somebody has it already.

    A level that was not reached yet counts as reached by this, so that the clock does not page it a second time.
    """
    require_going_on(incident)
    reason = clean(command.reason, max_chars=REASON_MAX_CHARS)
    level = _asked_level(incident, command)
    if level and not_told(incident, level):
        alarm = level.model_copy(update={"until": UNTIL_OVER})
    elif level:
        alarm = level.model_copy(update={"id": "asked", "level": 0, "until": UNTIL_OVER})
    else:
        who = command.contact.id if command.contact else str(command.contact_id)
        if command.contact is None and not _is_in_the_plan(incident, who):
            raise UserError(f"“{who}” is nobody in contacts.yml; name a person with @.")
        alarm = Alarm(id="asked", title="called by hand", until=UNTIL_OVER, notify=(who,))
    raised = AlarmRaised(
        key=incident.next_key(alarm.id),
        alarm=alarm,
        contact_ids=alarm.notify,
        generation=incident.generation,
        due_at=context.now,
        by_hand=True,
        reason=reason,
        contact=command.contact,
    )
    return Decision(facts=(raised,))


def _asked_level(incident: Incident, command: Escalate) -> Alarm | None:
    if command.contact or command.contact_id:
        return None
    if command.level is not None:
        level = incident.plan.level(command.level)
        if level is None:
            numbers = ", ".join(str(known.level) for known in incident.plan.levels) or "no level"
            raise UserError(f"There is no level {command.level}; this incident's ladder has {numbers}.")
        return level
    following = next((known for known in incident.plan.levels if not_told(incident, known)), None)
    if following is None:
        raise UserError("Everybody on the escalation ladder was paged already; name a person with @, or a level by its number.")
    return following
