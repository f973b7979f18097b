"""Telling people: the page task tries one way after the other until one is accepted, the follow task finds out what became of it.

Which ways there are is the edges' business (``bot.slack.pages``, ``bot.notify``); whether somebody still has to be told is the
state's (``bot.domain.timers``). Each attempt is a task and a fact of its own, so a crash continues where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

import structlog

from bot.domain.commands import Acknowledge, Command, RecordFollowed, RecordPage
from bot.domain.errors import MusterError, PermanentError, TemporaryError, UnknownOutcome
from bot.domain.escalation import Contact, Way
from bot.domain.incident import Incident, Page, Raised
from bot.domain.lifecycle import LABELS
from bot.domain.plan import QUIET, Alarm
from bot.domain.reach import usable_ways
from bot.domain.timers import CONTACT_PREFIX, LONGEST_ROUND_S, is_wanted
from bot.services.crashpoints import crashpoint
from bot.services.desk import Desk, Handled
from bot.services.ports import Accepted, Clock, PageWay, Summons, Task
from bot.services.worker import Performed

KEY_QUESTION = "Press 1 to acknowledge."
"""What a call asks, and asks again when another key was pressed."""
KEY_WAIT_S = 10
MOST_TRIES = 3
"""What a provider cannot do so often, in some ten seconds, is left to the next way; this one is tried again after the last."""
MOST_WAIT_S = 10.0
"""A provider that asks for more patience than that is left alone for the next way."""
OUR_CREDENTIALS = frozenset(
    {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "missing_scope"}
    | {"unauthorized", "forbidden", "payment_required", "invalid_key"}
)
"""Codes of refusals that are about Muster's own token or key, not about the person."""
MEND_WAIT_S = 60.0
MENTION_WAIT_S = 0.5
"""Who was called by phone is mentioned in the room, too; what Slack does not say in this time is left out."""
FOLLOW_EVERY_S = 10.0
FOLLOW_OFTEN_S = 600
FOLLOW_SELDOM_S = 60.0
FOLLOW_MOST_S = 24 * 3600
"""What nobody could find out in so long is not asked any more."""


class Duty(Protocol):
    """Who is on duty, and who is who."""

    async def find(self, rotation_id: str, incident: Incident) -> Contact:
        """Whoever is on duty now. Raises: PermanentError when nobody is, TemporaryError when it cannot be found out."""
        ...

    async def slack_id(self, contact: Contact) -> str | None:
        """The one user of Slack that the contact is; None for several, or for nobody."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt to tell one contact of an alarm. ``number`` is 1-based; ``before`` are those that were made."""

    task: Task
    raised: Raised
    contact_id: str
    number: int
    before: tuple[Page, ...]

    @property
    def is_patient(self) -> bool:
        """Every way has failed for now, and that was said: they are tried in turn until one works."""
        return any(page.exhausted for page in self.before)

    def failed(self, reason: str, *, way: str = "", name: str = "", passing: bool = False, exhausted: bool = True) -> RecordPage:
        """It failed."""
        return RecordPage(
            key=self.raised.key,
            contact_id=self.contact_id,
            attempt=self.number,
            via=way,
            name=name,
            due_at=self.task.due_at,
            failure=reason,
            passing=passing,
            exhausted=exhausted,
        )


class PagePerformer:
    """Performs the page task."""

    def __init__(
        self,
        *,
        ways: Mapping[Way, PageWay],
        duty: Duty,
        clock: Clock,
        answer_url: AnswerUrl,
        room_url: RoomUrl,
        going_on: GoingOn | None = None,
    ) -> None:
        self._ways = ways
        self._duty = duty
        self._clock = clock
        self._answer_url = answer_url
        self._room_url = room_url
        self._going_on = going_on
        self._log = structlog.get_logger("muster.pages")

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """One attempt by the next way; what came of it, or that no way is left.

        When all have failed for now, which was said loudly, they are tried in turn until one works, and nothing more is said.

        Raises: TemporaryError and UnknownOutcome, to be tried again by the same way.
        """
        attempt = _attempt_of(task, incident)
        if attempt is None or not is_wanted(incident, attempt.raised) or len(attempt.before) >= attempt.number:
            return Performed()
        try:
            contact = await self._contact(incident, attempt)
        except PermanentError as error:
            return Performed(command=attempt.failed(str(error)))
        except (TemporaryError, UnknownOutcome) as error:
            if attempt.is_patient:
                raise _with_patience(error, alone=True) from error
            if not _is_enough(task, error):
                raise
            return Performed(command=attempt.failed(str(error), passing=True))
        untried, reasons = self._untried(incident, attempt, contact)
        if not untried:
            reason = "; ".join(reasons) or _nothing_left(incident, attempt.raised, contact)
            passing = any(page.passing for page in attempt.before)
            return Performed(command=attempt.failed(reason, name=contact.name, passing=passing))
        way = untried[(task.attempt - 1) % len(untried)] if attempt.is_patient else untried[0]
        alone = len(untried) == 1
        try:
            accepted = await self._ways[way].send(await self._summons(incident, attempt, contact, way))
        except PermanentError as error:
            passing = error.code in OUR_CREDENTIALS  # somebody may mend that, and then the page must go out
            if passing and attempt.is_patient:
                raise TemporaryError(str(error), retry_after_s=MEND_WAIT_S) from error
            reason = str(error)
        except (TemporaryError, UnknownOutcome) as error:
            if attempt.is_patient:
                raise _with_patience(error, alone=alone) from error
            if not _is_enough(task, error):
                raise
            passing, reason = True, str(error)
        else:
            crashpoint("page.accepted")
            return Performed(command=await self._sent(attempt, contact, way, accepted))
        return Performed(command=attempt.failed(reason, way=way.value, name=contact.name, passing=passing, exhausted=alone))

    async def _sent(self, attempt: _Attempt, contact: Contact, way: Way, accepted: Accepted) -> RecordPage:
        users = accepted.user_ids
        if not users:
            one = await self._slack_id(contact)
            users = (one,) if one else ()
        return RecordPage(
            key=attempt.raised.key,
            contact_id=attempt.contact_id,
            attempt=attempt.number,
            via=way.value,
            name=contact.name,
            due_at=attempt.raised.due_at,
            user_ids=users,
            messages=accepted.messages,
            reference=accepted.reference,
            follows=self._ways[way].follows,
        )

    def failed(self, task: Task, incident: Incident, reason: str) -> Command | None:
        """A fault of Muster's own, too often: the next way is tried, and this one once more when all have failed."""
        attempt = _attempt_of(task, incident)
        if attempt is None:
            return None
        contact = incident.contact(attempt.raised, attempt.contact_id)
        untried = self._untried(incident, attempt, contact)[0] if contact else []
        return attempt.failed(
            reason,
            way=untried[0].value if untried else "",
            name=contact.name if contact else "",
            passing=True,
            exhausted=len(untried) <= 1,
        )

    async def _contact(self, incident: Incident, attempt: _Attempt) -> Contact:
        known = incident.contact(attempt.raised, attempt.contact_id)
        return known if known else await self._duty.find(attempt.contact_id, incident)

    async def _slack_id(self, contact: Contact) -> str | None:
        try:
            async with asyncio.timeout(MENTION_WAIT_S):
                return await self._duty.slack_id(contact)
        except (MusterError, TimeoutError) as error:  # it is only for the mention in the room
            self._log.warning("slack_user_unknown", contact=contact.id, error=str(error))
            return None

    def _untried(self, incident: Incident, attempt: _Attempt, contact: Contact) -> tuple[list[Way], list[str]]:
        """(the ways that are left in this round, in order; why the others cannot be used)."""
        usable, reasons = [], []
        for way in wanted_ways(incident, attempt.raised, contact):
            known = self._ways.get(way)
            missing = known.missing(contact) if known else f"{way.value} is not set up here"
            if missing:
                reasons.append(f"{way.value}: {missing}")
            else:
                usable.append(way)
        tried = _tried(attempt.before)
        return [way for way in usable if way.value not in tried], reasons

    async def _summons(self, incident: Incident, attempt: _Attempt, contact: Contact, way: Way) -> Summons:
        task, key, contact_id = attempt.task, attempt.raised.key, attempt.contact_id
        since = task.due_at - timedelta(seconds=5)
        look_first = task.attempt > 1
        if look_first and way is Way.PHONE and self._going_on:
            look_first = not await self._is_called_elsewhere(self._going_on, contact, since, but=(incident.id, key, contact_id))
        return summons_of(
            incident,
            attempt.raised,
            contact,
            contact_id=contact_id,
            look_first=look_first,
            since=since,
            answer_url=self._answer_url(incident, key, contact_id),
            room_url=self._room_url(incident),
            task=task,
        )

    async def _is_called_elsewhere(
        self, going_on: GoingOn, contact: Contact, since: datetime, *, but: tuple[str, str, str]
    ) -> bool:
        try:
            others = await going_on()
        except MusterError as error:
            # It cannot be known just now: to call twice is better than to take another's call for ours.
            self._log.warning("other_incidents_unknown", error=str(error))
            return True
        return any(_may_have_called(other, contact, since, but=but) for other in others)


def _attempt_of(task: Task, incident: Incident) -> _Attempt | None:
    """None: the alarm is of before a reopening, or of a ladder that has started over."""
    key, contact_id = str(task.data["key"]), str(task.data["contact_id"])
    raised = incident.raised.get(key)
    if raised is None:
        return None
    number, before = int(task.data["attempt"]), incident.attempts(key, contact_id)
    return _Attempt(task=task, raised=raised, contact_id=contact_id, number=number, before=before)


def _may_have_called(other: Incident, contact: Contact, since: datetime, *, but: tuple[str, str, str]) -> bool:
    """Whether another page than ``but`` (incident, key, contact) may have made the telephone of ``contact`` ring since then.

    Calls are found by their number, and nobody tells what was said in them: to take that of another incident for one's own is to
    lose a page, and to call twice is not.
    """
    for raised in other.raised.values():
        for contact_id in raised.contact_ids:
            known = other.contact(raised, contact_id)
            if (other.id, raised.key, contact_id) == but or (known and known.phone != contact.phone):
                continue
            if not any(not page.failure and page.at < since for page in other.attempts(raised.key, contact_id)):
                return True
    return False


class GoingOn(Protocol):
    """The incidents that are not over, or were not until some minutes ago. Raises: MusterError when one cannot be read."""

    async def __call__(self) -> Sequence[Incident]:
        """As they are now."""
        ...


class AnswerUrl(Protocol):
    """Where a key that is pressed on the phone goes."""

    def __call__(self, incident: Incident, key: str, contact_id: str) -> str | None:
        """None: there is no public address."""
        ...


class RoomUrl(Protocol):
    """The address of a room for whoever reads it outside of Slack."""

    def __call__(self, incident: Incident) -> str | None:
        """None: there is no room yet."""
        ...


def wanted_ways(incident: Incident, raised: Raised, contact: Contact) -> list[Way]:
    """The ways in which somebody is to be told: those of the severity, of the alarm, of the contact, in this order."""
    first = (*incident.response.via, *raised.alarm.via) if raised.alarm.kind == "page" else ()
    ordered = usable_ways(contact, first, None)
    if raised.alarm.kind in ("standby", "notice"):
        return [way for way in ordered if way in QUIET]
    return list(ordered)


def _is_enough(task: Task, error: TemporaryError | UnknownOutcome) -> bool:
    """It was tried often enough for now, or the wait that is asked for is too long."""
    wait_s = error.retry_after_s if isinstance(error, TemporaryError) else None
    return task.attempt >= MOST_TRIES or (wait_s or 0) > MOST_WAIT_S


def _with_patience(error: TemporaryError | UnknownOutcome, *, alone: bool) -> TemporaryError | UnknownOutcome:
    """The error to try again after, when all ways are tried in turn: one provider's wait holds no other way back. Where there is
    no other (``alone``) it is waited for, but not longer than between two rounds."""
    if isinstance(error, UnknownOutcome) or error.retry_after_s is None:
        return error
    return TemporaryError(str(error), retry_after_s=min(error.retry_after_s, LONGEST_ROUND_S) if alone else None)


def _nothing_left(incident: Incident, raised: Raised, contact: Contact) -> str:
    """Why there is no way to try, where none of them is at fault by itself."""
    if wanted_ways(incident, raised, contact):
        return "every way was tried"
    fields = "slack or email" if contact.ways else "slack, phone, email or pagerduty"
    quiet = "what wants no answer comes by Slack or e-mail only; " if contact.ways else ""
    return f"{quiet}set {fields} of “{contact.id}” in runbooks/contacts.yml"


def _tried(attempts: tuple[Page, ...]) -> set[str]:
    """What need not be tried in this round: what was refused for good, and whatever failed since the round began."""
    tried: set[str] = set()
    for page in attempts:
        tried.add(page.via)
        if page.exhausted:
            tried = {earlier.via for earlier in attempts if earlier.failure and not earlier.passing}
    return tried


def summons_of(
    incident: Incident,
    raised: Raised,
    contact: Contact,
    *,
    contact_id: str,
    look_first: bool,
    since: datetime,
    answer_url: str | None,
    room_url: str | None,
    task: Task,
) -> Summons:
    """One page, as a way needs it."""
    return Summons(
        key=f"{incident.id}/g{raised.generation}/{raised.key}/{contact_id}",
        contact=contact,
        kind=raised.alarm.kind,
        number=incident.number,
        severity=incident.severity.value,
        title="a private incident" if incident.private else incident.title,
        why=why(incident, raised),
        drill=incident.drill,
        opened_at=incident.opened.at,
        room_url=room_url,
        answer_url=answer_url if raised.alarm.kind in ("page", "check_in") else None,
        look_first=look_first,
        since=since,
        lease=task.lease,
        incident=incident,
        alarm_key=raised.key,
    )


def why(incident: Incident, raised: Raised) -> str:
    """Why somebody is told, as half a sentence."""
    if raised.by:
        reason = f": {raised.reason}" if raised.reason and not incident.private else ""
        return f"you were asked for{reason}"
    match raised.alarm.kind:
        case "standby":
            return "be ready to help; you need not do anything yet"
        case "notice":
            return f"for your information; it is {LABELS[incident.status]}"
        case "check_in":
            return "you have it; are you still on it"
    overdue = f" ({raised.overdue} steps of the escalation are overdue)" if raised.overdue > 1 else ""
    if raised.alarm.when:
        return f"of this: {raised.alarm.title}{overdue}"
    first = raised.alarm.level == 1
    return ("you are on call" if first else "nobody has acknowledged yet") + overdue


class FollowPerformer:
    """Performs the follow task: a call that rang out is a page that failed; an acknowledgement at the provider is one here."""

    def __init__(self, *, ways: Mapping[Way, PageWay], desk: Desk, duty: Duty, clock: Clock) -> None:
        self._ways = ways
        self._desk = desk
        self._duty = duty
        self._clock = clock
        self._log = structlog.get_logger("muster.pages")

    async def __call__(self, task: Task, incident: Incident) -> Performed:
        """What became of the page; asked again in a while when nobody knows yet. What the provider refuses for good, or cannot
        say for ``FOLLOW_MOST_S``, is not asked any more.

        Raises: TemporaryError and UnknownOutcome, to be tried again.
        """
        key, contact_id, via = str(task.data["key"]), str(task.data["contact_id"]), str(task.data["via"])
        wanted: Literal["open", "acknowledged", "over"] = task.data["wanted"]
        sent = [page for page in incident.attempts(key, contact_id) if page.via == via and not page.failure and not page.ended]
        way = self._ways.get(Way(via))
        if not sent or way is None:
            return Performed(command=_followed(task, ended=True))
        page = sent[-1]
        summons = _summons_of(task, incident, page)
        try:
            followed = await way.follow(page.reference, summons, wanted=wanted)
        except PermanentError as error:
            return self._given_up(task, error, wanted)
        except (TemporaryError, UnknownOutcome) as error:
            if self._clock.now() - _wanted_since(incident, page, wanted) <= timedelta(seconds=FOLLOW_MOST_S):
                raise
            return self._given_up(task, error, wanted)
        match followed.state:
            case "pending" if self._clock.now() - page.at > timedelta(seconds=FOLLOW_MOST_S):
                return Performed(command=_followed(task, ended=wanted == "over"))
            case "pending":
                every_s = FOLLOW_EVERY_S if self._clock.now() - page.at < timedelta(seconds=FOLLOW_OFTEN_S) else FOLLOW_SELDOM_S
                return Performed(again_at=self._clock.now() + timedelta(seconds=every_s))
            case "acknowledged":
                if wanted == "open":  # else it is our own word that comes back
                    await self._acknowledge(incident, page, summons.contact, followed.by)
                return Performed(command=_followed(task, ended=False))
            case "failed":
                return Performed(command=_followed(task, ended=True, failure=followed.reason))
            case "closed" if (
                wanted == "open" and way.way is Way.PAGERDUTY and followed.reason and page.kind in ("page", "check_in")
            ):
                await self._acknowledge(incident, page, summons.contact, followed.by)  # whoever resolved it there has seen it
                return Performed(command=_followed(task, ended=False))
            case _:
                taken_back = via == Way.PHONE and wanted == "acknowledged" and followed.state == "closed"
                ended = followed.state == "answered" or wanted == "over"
                return Performed(command=_followed(task, ended=ended, taken_back=taken_back))

    def _given_up(self, task: Task, error: MusterError, wanted: str) -> Performed:
        """That it is over is still told when it is: another key, or another address, may answer that."""
        self._log.error("follow_given_up", via=str(task.data["via"]), wanted=wanted, reason=str(error))
        return Performed(command=_followed(task, ended=wanted == "over"))

    async def _acknowledge(self, incident: Incident, page: Page, contact: Contact, email: str) -> None:
        by = await who_acknowledged(self._duty, page.contact_id, contact, email)
        if by.startswith(CONTACT_PREFIX) and len(page.user_ids) == 1 and not email:
            by = page.user_ids[0]  # whoever was on duty when it was sent
        await acknowledge_elsewhere(self._desk, incident, by=by, via=page.via)


def _wanted_since(incident: Incident, page: Page, wanted: str) -> datetime:
    """Since when there is something to ask, or to tell, about a page."""
    if wanted == "open":
        return page.at
    moments = (page.at, *(moment.at for moment in (incident.acknowledged, incident.status_changed) if moment))
    return max(moments)


def _summons_of(task: Task, incident: Incident, page: Page) -> Summons:
    """The page as it was sent; also of a round that is over, where the ladder started over: its provider still knows it."""
    alarm = Alarm(id=page.key, title="", kind=page.kind, notify=(page.contact_id,))
    raised = incident.raised.get(page.key) or Raised(
        key=page.key, alarm=alarm, contact_ids=alarm.notify, at=page.at, due_at=page.at, generation=incident.generation
    )
    return summons_of(
        incident,
        raised,
        incident.contact(raised, page.contact_id) or Contact(id=page.contact_id, name=page.name),
        contact_id=page.contact_id,
        look_first=True,
        since=page.at,
        answer_url=None,
        room_url=None,
        task=task,
    )


async def who_acknowledged(duty: Duty, contact_id: str, contact: Contact, email: str = "") -> str:
    """The ``by`` of an acknowledgement that came from outside of Slack: the Slack user where that is known, else the contact."""
    written = Contact.model_construct(id=contact.id, name=contact.name, slack=email)  # an address as somebody else writes it
    for known in ([written] if email else []) + [contact]:
        try:
            user = await duty.slack_id(known)
        except MusterError:  # the acknowledgement counts, whoever it was
            user = None
        if user:
            return user
    return f"{CONTACT_PREFIX}{contact_id}"


async def acknowledge_elsewhere(
    desk: Desk, incident: Incident, *, by: str, via: str, delivery: str | None = None
) -> Handled | None:
    """Somebody acknowledged at a provider. None: somebody else has it already, or it is over. What comes once more under the
    same ``delivery`` counts once."""
    try:
        return await desk.handle(incident.id, Acknowledge(via=via), by=by, delivery=delivery)
    except (TemporaryError, UnknownOutcome):
        raise
    except MusterError:
        return None


def _followed(task: Task, *, ended: bool, failure: str = "", taken_back: bool = False) -> RecordFollowed:
    return RecordFollowed(
        key=str(task.data["key"]),
        contact_id=str(task.data["contact_id"]),
        via=str(task.data["via"]),
        wanted=task.data["wanted"],
        ended=ended,
        failure=failure,
        taken_back=taken_back,
    )
