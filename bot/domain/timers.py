"""What waits for its time in an incident, as a pure function of its state: what is due when, and the tasks that it needs.

``bot.services.desk`` compares the tasks before and after each decision and books the difference in the same write, so a
change of the severity, an acknowledgement or a step recomputes what is still due, and nothing is ever booked by hand. What
happens when something is due is decided in ``bot.domain.decisions.paging``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.duty import add_business_time, business_start
from bot.domain.escalation import BusinessHours, Trigger
from bot.domain.facts import Impact, Status, Target
from bot.domain.incident import Incident, Page, Raised
from bot.domain.plan import UNTIL_OVER, Alarm
from bot.domain.tasks import TaskRequest, clock_task, follow_task, page_task, revert_task, watch_task

TRIAGE_SILENCE_S = 300
"""In triage only the first level is paged until a responder confirms, or until nobody has for so long (design, section 7)."""
NEXT_ROUND_S = 15
"""When every way to reach somebody has failed for now, all are tried again after so long, and after twice that the next time."""
LONGEST_ROUND_S = 120
"""… but never less often: what is broken for hours must neither fill the timeline nor delay the page when it is mended."""
FOLLOW_AFTER_S = 5
"""A call rings for some seconds at least before there is anything to find out about it."""
NEXT_REVERT_S = 30
"""What could not be taken back is tried again after so long, for ever."""
REMINDED_AT = (50, 80, 100)
"""Percent of a target's time; 100 is its breach."""

_REPEATED = (Trigger.NO_PROGRESS, Trigger.CUSTOMER_IMPACT, Trigger.MEDIA_ATTENTION, Trigger.BUSINESS_CRITICAL)
"""What may become true once more, with a moment of its own; the others are told once."""
_SEVERITIES = (Trigger.SEV1, Trigger.SEV2, Trigger.SEV3, Trigger.SEV4)
_IMPACTS = {
    Trigger.CUSTOMER_IMPACT: Impact.CUSTOMER_IMPACT,
    Trigger.MEDIA_ATTENTION: Impact.MEDIA_ATTENTION,
    Trigger.BUSINESS_CRITICAL: Impact.BUSINESS_CRITICAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An alarm that will be raised at ``due_at`` unless something changes."""

    alarm: Alarm
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """So much of a target's time will have passed at ``due_at``."""

    target: Target
    percent: int
    due_at: datetime


# -- alarms --------------------------------------------------------------------------------------------------------


def waiting_alarms(incident: Incident) -> tuple[Waiting, ...]:
    """Every alarm that will still be raised by itself, first due first; among those due together the higher level first."""
    if incident.is_over:
        return ()
    waiting = [*_levels(incident), *_conditions(incident), *_of_the_severity(incident)]
    question = check_in(incident)
    if question:
        waiting.append(question)
    return tuple(sorted(waiting, key=lambda one: (one.due_at, -one.alarm.level, one.alarm.kind != "page")))


def waiting_levels(incident: Incident) -> tuple[Waiting, ...]:
    """The levels of the ladder that will still be reached, first due first."""
    return tuple(one for one in waiting_alarms(incident) if one.alarm.level)


def _levels(incident: Incident) -> Iterator[Waiting]:
    if incident.response.page == "never":
        return
    brought_forward: datetime | None = None
    for number, level in enumerate(incident.plan.levels):
        missing = not_told(incident, level)
        if not missing:
            brought_forward = _given_up_at(incident, level)
            continue
        if incident.acknowledged and level.until != UNTIL_OVER:
            continue
        due_at = _in_hours(incident, level, incident.ladder_started_at, max(0, level.after_s - incident.ladder_passed_s))
        if brought_forward:
            due_at = min(due_at, _in_hours(incident, level, brought_forward, 0))
        brought_forward = None
        alarm = level if missing == level.notify else level.model_copy(update={"notify": missing})
        yield Waiting(alarm=alarm, due_at=due_at if number == 0 else _after_triage(incident, level, due_at))


def not_told(incident: Incident, level: Alarm) -> tuple[str, ...]:
    """Who of a level of the ladder was not told yet in this round; () where it was reached. All of them, or whoever only the
    plan of a runbook that was chosen later has there."""
    reached = [raised.alarm for raised in incident.raised.values() if raised.alarm.level == level.level]
    told = {identity for alarm in reached for identity in alarm.notify}
    return tuple(identity for identity in level.notify if identity not in told)


def _given_up_at(incident: Incident, level: Alarm) -> datetime | None:
    """When a contact of a level turned out not to be reachable: the next level need not wait any more."""
    moments = [
        page.at
        for raised in incident.raised.values()
        if raised.alarm.level == level.level
        for contact_id in raised.contact_ids
        for page in incident.attempts(raised.key, contact_id)
        if page.exhausted
    ]
    return min(moments, default=None)


def _after_triage(incident: Incident, alarm: Alarm, due_at: datetime) -> datetime:
    """Opening is easy, paging is not: all but the first level waits until somebody confirms, or nobody has for a while."""
    if incident.status is not Status.TRIAGE or is_for_the_first_level(incident, alarm):
        return due_at
    return max(due_at, incident.opened.at + timedelta(seconds=TRIAGE_SILENCE_S))


def is_for_the_first_level(incident: Incident, alarm: Alarm) -> bool:
    """Whether nobody is told but those whose turn it is anyhow."""
    return bool(incident.plan.levels) and set(alarm.notify) <= set(incident.plan.levels[0].notify)


def _in_hours(incident: Incident, alarm: Alarm, start: datetime, after_s: int) -> datetime:
    """``after_s`` seconds after ``start``; in working time where the severity pages in business hours only."""
    if incident.response.page != "business_hours":
        return start + timedelta(seconds=after_s)
    hours = _hours(incident, alarm)
    return add_business_time(hours, start, after_s) if after_s else business_start(hours, start)


def _hours(incident: Incident, alarm: Alarm) -> BusinessHours:
    own = (incident.plan.people[identity].hours for identity in alarm.notify if identity in incident.plan.people)
    return next((hours for hours in own if hours), incident.plan.hours)


def _conditions(incident: Incident) -> Iterator[Waiting]:
    if incident.response.page == "never":
        return
    for alarm in incident.plan.conditions:
        if incident.acknowledged and alarm.until != UNTIL_OVER:
            continue
        moments = [
            _in_hours(incident, alarm, since, alarm.after_s)
            for trigger in alarm.when
            if (since := _true_since(incident, trigger)) and not _was_told(incident, alarm, trigger, since)
        ]
        if moments:
            yield Waiting(alarm=alarm, due_at=_after_triage(incident, alarm, min(moments)))
            continue
        told = {
            identity for raised in incident.raised.values() if raised.alarm.id == alarm.id for identity in raised.alarm.notify
        }
        missing = tuple(identity for identity in alarm.notify if identity not in told)
        became = [moment for trigger in alarm.when if (moment := _true_since(incident, trigger))]
        if missing and became:  # whom only the plan of a runbook has that was chosen later
            due_at = _in_hours(incident, alarm, min(became), alarm.after_s)
            yield Waiting(alarm=alarm.model_copy(update={"notify": missing}), due_at=_after_triage(incident, alarm, due_at))


def _true_since(incident: Incident, trigger: Trigger) -> datetime | None:
    """When what a condition is about became, or will become, true; None: it is not."""
    if trigger in _SEVERITIES:
        return incident.severity_since if incident.severity.value.lower() == trigger.value else None
    if trigger in _IMPACTS:
        return incident.impacts.get(_IMPACTS[trigger])
    match trigger:
        case Trigger.OPEN:
            return incident.open_since
        case Trigger.NO_PROGRESS:
            return incident.progress_at
        case Trigger.SECURITY:
            return incident.security_since
        case Trigger.RESPONSE_BREACHED:
            return None if _was_answered(incident) else incident.respond_by
        case _:
            return incident.resolve_by


def _was_told(incident: Incident, alarm: Alarm, trigger: Trigger, since: datetime) -> bool:
    told = [max(raised.at, raised.due_at) for raised in incident.raised.values() if raised.alarm.id == alarm.id]
    return bool(told) and (trigger not in _REPEATED or max(told) >= since)


def _of_the_severity(incident: Incident) -> Iterator[Waiting]:
    """Who has to be ready, or to know; each once, however often the severity changes."""
    for alarm in incident.response.alarms:
        if not incident.times_raised.get(alarm.id):
            yield Waiting(alarm=alarm, due_at=_after_triage(incident, alarm, incident.severity_since))


# -- still on it? --------------------------------------------------------------------------------------------------


def check_in(incident: Incident) -> Waiting | None:
    """The question to whoever acknowledged, while it was not asked since they were heard of last."""
    after_s = incident.response.check_in_after_s
    if incident.acknowledged is None or incident.is_over or after_s is None or asked_at(incident):
        return None
    by = incident.acknowledged.by
    if not by.startswith((CONTACT_PREFIX, "U", "W")):  # the terminal has nobody to ask
        return None
    holder = by.removeprefix(CONTACT_PREFIX)
    alarm = Alarm(id="check-in", title="still on it?", kind="check_in", until=UNTIL_OVER, notify=(holder,))
    return Waiting(alarm=alarm, due_at=_heard_at(incident) + timedelta(seconds=after_s))


CONTACT_PREFIX = "contact:"
"""Before the id of a contact, where somebody acknowledged who is no user of Slack."""


def asked_at(incident: Incident) -> datetime | None:
    """When "still on it?" was asked and not answered, in word or deed."""
    asked = [raised.at for raised in incident.raised.values() if raised.alarm.kind == "check_in"]
    return asked[-1] if asked and asked[-1] >= _heard_at(incident) else None


def is_asking(incident: Incident, key: str) -> bool:
    """Whether the question of this alarm still waits for its answer."""
    raised = incident.raised.get(key)
    return raised is not None and not incident.is_over and incident.acknowledged is not None and asked_at(incident) == raised.at


def lapses_at(incident: Incident) -> datetime | None:
    """When silence means that nobody has it any more."""
    asked = asked_at(incident)
    if asked is None or incident.acknowledged is None or incident.is_over:
        return None
    return asked + timedelta(seconds=incident.response.check_in_wait_s)


def _heard_at(incident: Incident) -> datetime:
    moments = [incident.progress_at, incident.checked_in_at, incident.acknowledged.at if incident.acknowledged else None]
    return max(moment for moment in moments if moment)


# -- targets -------------------------------------------------------------------------------------------------------


def _was_answered(incident: Incident) -> bool:
    """Somebody acknowledged or ended it once: the response that was promised after the opening was given, or came too late."""
    return incident.generation > 1


def waiting_reminders(incident: Incident) -> tuple[Reminder, ...]:
    """What will still be said about the targets of the severity, first due first. What was said is not said again."""
    if incident.is_over:
        return ()
    open_targets = [Target.RESOLUTION] if _was_answered(incident) else [Target.RESPONSE, Target.RESOLUTION]
    reminders = [
        Reminder(target=target, percent=percent, due_at=incident.target_at(target, percent))
        for target in open_targets
        for percent in REMINDED_AT
        if percent > incident.reminded.get(target, 0)
    ]
    return tuple(sorted(reminders, key=lambda one: one.due_at))


# -- the tasks -----------------------------------------------------------------------------------------------------


def next_moment(incident: Incident) -> datetime | None:
    """When the next thing in the incident is due; None: nothing waits."""
    moments = [lapses_at(incident)]
    moments += [one.due_at for one in waiting_alarms(incident)[:1]]
    moments += [one.due_at for one in waiting_reminders(incident)[:1]]
    moments += [run.expires_at for run in incident.runs.values() if run.is_waiting]
    return min((moment for moment in moments if moment), default=None)


def tasks_of(incident: Incident | None) -> dict[str, TaskRequest]:
    """Every task that must be in the due set because of the state, by id."""
    if incident is None:
        return {}
    tasks = [*_page_tasks(incident), *_follow_tasks(incident), *_revert_tasks(incident), *_watch_tasks(incident)]
    moment = next_moment(incident)
    if moment:
        tasks.append(clock_task(incident.id, moment))
    return {task.id: task for task in tasks}


def rebook(
    before: dict[str, TaskRequest], after: dict[str, TaskRequest], *, settling: str | None = None
) -> tuple[tuple[TaskRequest, ...], tuple[str, ...]]:
    """(what has to be booked, what has to be cancelled) for the state to get from ``before`` to ``after``.

    ``settling`` is the task that ends in the same write: it is booked again where it is still wanted, and never cancelled.
    """
    wanted = tuple(task for identity, task in after.items() if before.get(identity) != task or identity == settling)
    unwanted = tuple(identity for identity in before if identity not in after and identity != settling)
    return wanted, unwanted


def is_wanted(incident: Incident, raised: Raised) -> bool:
    """Whether the contacts of an alarm still have to be told."""
    if incident.is_over:
        return False
    if raised.alarm.kind == "check_in":
        return is_asking(incident, raised.key)
    if raised.alarm.kind == "page" and not raised.by and incident.response.page == "never":
        return False
    stopped = incident.acknowledged is not None and raised.alarm.until != UNTIL_OVER
    return not stopped


def _revert_tasks(incident: Incident) -> Iterator[TaskRequest]:
    """What must be taken back is booked from the very write that confirms it, before the first call of the action."""
    for run in incident.runs.values():
        due_at = run.reverts_at
        if due_at is None:
            continue
        if run.revert_failed_at:
            due_at = max(due_at, run.revert_failed_at + timedelta(seconds=NEXT_REVERT_S))
        yield revert_task(incident.id, run.id, due_at)


def _watch_tasks(incident: Incident) -> Iterator[TaskRequest]:
    for step_id, watch in incident.watches.items():
        if watch.ended is None and not incident.is_over:
            yield watch_task(incident.id, step_id, watch.number, watch.started.at)


def _page_tasks(incident: Incident) -> Iterator[TaskRequest]:
    places: Counter[datetime] = Counter()
    tried: dict[tuple[str, str], list[Page]] = {}
    for page in incident.pages:
        tried.setdefault((page.key, page.contact_id), []).append(page)
    for raised in incident.raised.values():
        first = places[raised.at]
        places[raised.at] += len(raised.contact_ids)
        if not is_wanted(incident, raised):
            continue
        for place, contact_id in enumerate(raised.contact_ids, start=first):
            attempts = tried.get((raised.key, contact_id), [])
            due_at = _page_due_at(raised, attempts)
            if due_at and raised.alarm.kind == "page" and not raised.by:
                due_at = _in_hours(incident, raised.alarm, due_at, 0)
            if due_at:
                due_at += timedelta(milliseconds=place if not attempts else 0)  # in their order, where many are due at once
                yield page_task(incident.id, raised.key, contact_id, raised.generation, len(attempts) + 1, due_at)


def _page_due_at(raised: Raised, attempts: Sequence[Page]) -> datetime | None:
    """When a contact is to be tried next; None: they were reached, or no way to them is worth another try."""
    if not attempts:
        return raised.at
    last = attempts[-1]
    if not last.failure:
        return last.at if last.taken_back else None
    if not last.exhausted:
        return last.at
    newest = {page.via: page for page in attempts}
    ways = [page for via, page in newest.items() if via] or [last]
    if any(page.passing for page in ways):
        rounds = sum(page.exhausted for page in attempts)
        return last.at + timedelta(seconds=min(LONGEST_ROUND_S, NEXT_ROUND_S * 2 ** min(rounds - 1, 10)))
    return None


def _follow_tasks(incident: Incident) -> Iterator[TaskRequest]:
    for page in incident.pages:
        wanted, due_at = _fate(incident, page)
        # Who lapsed had said so to the provider too: what it shows as acknowledged since then is our own word, and nobody's.
        is_known = bool(page.followed) if wanted == "open" else wanted in page.followed
        if page.follows and not page.ended and not is_known:
            yield follow_task(incident.id, page.key, page.contact_id, page.via, wanted, due_at)


def is_settled(incident: Incident, page: Page) -> bool:
    """Whether the acknowledgement was the answer to a page: one that was sent before it, or was on its way and would not have
    been sent after it. Whoever is called although somebody has it has to be woken, and may take it over."""
    if incident.acknowledged is None:
        return False
    raised = incident.raised.get(page.key)
    was_stopped = raised is not None and raised.at <= incident.acknowledged.at and raised.alarm.until != UNTIL_OVER
    return was_stopped or page.at <= incident.acknowledged.at


def _fate(incident: Incident, page: Page) -> tuple[str, datetime]:
    """(what its provider should know, since when)."""
    if incident.is_over or page.is_former:
        return "over", max(page.at, incident.status_changed.at if incident.status_changed else incident.opened.at)
    if incident.acknowledged and is_settled(incident, page):
        return "acknowledged", max(page.at, incident.acknowledged.at)
    if page.kind == "check_in" and not is_asking(incident, page.key):
        return "acknowledged", max(page.at, _heard_at(incident))
    return "open", page.at + timedelta(seconds=FOLLOW_AFTER_S)
