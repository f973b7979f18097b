"""The escalation ladder: levels that come due, pages that were sent or failed, and the acknowledgement that stops them."""

from __future__ import annotations

from datetime import timedelta

from bot.domain import facts
from bot.domain.commands import Acknowledge, ReachLevel, RecordPage
from bot.domain.decisions.base import Context, Decision, ladder_task_ids, require_going_on
from bot.domain.errors import UserError
from bot.domain.facts import Status
from bot.domain.incident import Incident, Page
from bot.domain.tasks import level_task, page_task

TRIAGE_SILENCE_S = 300
"""In triage only the first level is paged until a responder confirms, or until nobody has for so long (design, section 7)."""


def reach_level(incident: Incident, command: ReachLevel, context: Context) -> Decision:
    """Page everybody of the level, unless the ladder was stopped meanwhile."""
    level = incident.level(command.level)
    if level is None or command.generation != incident.generation or level not in incident.pending_levels():
        return Decision()
    first = min(item.level for item in incident.ladder)
    silence_ends_at = incident.opened.at + timedelta(seconds=TRIAGE_SILENCE_S)
    if incident.status is Status.TRIAGE and level.level != first and context.now < silence_ends_at:
        return Decision(tasks=(level_task(incident.id, level.level, incident.generation, silence_ends_at),))
    pages = tuple(page_task(incident.id, level.level, contact.id, incident.generation, context.now) for contact in level.contacts)
    return Decision(facts=(facts.LevelReached(level=level.level),), tasks=pages)


def record_page(incident: Incident, command: RecordPage, context: Context) -> Decision:
    """The result of a page. A contact who cannot be reached brings the next level forward to now.

    The same result once more, of a worker that had lost its lease, decides nothing; a page that really went out twice does.
    """
    if command.generation != incident.generation or any(_is_same(page, command) for page in incident.pages):
        return Decision()
    if not command.failure:
        sent = facts.PageSent(
            level=command.level,
            contact_id=command.contact_id,
            via=command.via,
            user_ids=command.user_ids,
            messages=command.messages,
            late_s=max(0, round((context.now - command.due_at).total_seconds())),
            in_flight=incident.acknowledged is not None or incident.is_over,
        )
        return Decision(facts=(sent,))
    failed = facts.PageFailed(level=command.level, contact_id=command.contact_id, via=command.via, reason=command.failure)
    following = next(iter(incident.pending_levels()), None)
    if following is None:
        return Decision(facts=(failed,))
    return Decision(facts=(failed,), tasks=(level_task(incident.id, following.level, incident.generation, context.now),))


def _is_same(page: Page, command: RecordPage) -> bool:
    return (
        (page.level, page.contact_id, page.via) == (command.level, command.contact_id, command.via)
        and page.failure == command.failure
        and set(command.messages) <= set(page.messages)
    )


def acknowledge(incident: Incident, command: Acknowledge, context: Context) -> Decision:
    """Somebody has it: what waited for that stops, and triage becomes investigating."""
    require_going_on(incident)
    if incident.acknowledged:
        holder = incident.acknowledged.by
        raise UserError("You already have it." if holder == context.by else f"<@{holder}> already has it.")
    confirmed = (facts.StatusChanged(status=Status.INVESTIGATING),) if incident.status is Status.TRIAGE else ()
    return Decision(
        facts=(facts.Acknowledged(via=command.via), *confirmed),
        cancel=ladder_task_ids(incident, until=("acknowledged",)),
    )
