"""What an incident is: the state that the facts of its timeline add up to.

``Incident.apply`` is the only way a state comes to be, so state, report and audit cannot disagree. Pure. Decisions are
in ``bot.domain.decide``; how a state looks in Slack is in ``bot.domain.room`` and ``bot.slack``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bot.domain import facts
from bot.domain.errors import UnknownEntryError
from bot.domain.escalation import Contact
from bot.domain.facts import Candidate, Fact, Impact, Moment, Origin, Role, Status, Target
from bot.domain.outcome import Outcome, State
from bot.domain.plan import Alarm, AlarmKind, Plan, Response
from bot.domain.run import Run
from bot.domain.runbook import Runbook
from bot.domain.severity import Severity
from bot.domain.timeline import GENESIS, Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMark:
    """What happened to a step: ticked, or skipped with a reason."""

    moment: Moment
    skipped: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The branch that was taken at a step."""

    branch_id: str
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The newest result of a diagnostic."""

    outcome: Outcome
    round: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A diagnostic that is repeated for a step. ``good``: so many good results in a row."""

    number: int
    started: Moment
    outcome: Outcome | None = None
    at: datetime | None = None
    good: int = 0
    ended: Moment | None = None
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One attempt to tell one contact by one way: accepted, or failed with a reason. ``key`` is that of its alarm."""

    key: str
    contact_id: str
    name: str
    via: str
    at: datetime
    kind: AlarmKind = "page"
    user_ids: tuple[str, ...] = ()
    messages: tuple[tuple[str, str], ...] = ()
    reference: str = ""
    follows: bool = False
    followed: frozenset[str] = frozenset()
    """What the provider was told, or looked at: "open", "acknowledged", "over"."""
    ended: bool = False
    """Nothing more will come of it."""
    taken_back: bool = False
    """It was ringing when somebody acknowledged: nobody took it."""
    is_former: bool = False
    """Of before a reopening: its provider has to be told that that is over."""
    failure: str = ""
    passing: bool = False
    exhausted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An alarm that was raised: these contacts are told."""

    key: str
    alarm: Alarm
    contact_ids: tuple[str, ...]
    at: datetime
    due_at: datetime
    generation: int
    overdue: int = 1
    by: str = ""
    """Who asked for it; "": the clock."""
    reason: str = ""
    contact: Contact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something that everybody in the room should read, once."""

    seq: int
    moment: Moment
    fact: Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """The state of one incident. ``version`` is the number of entries that it was folded from."""

    id: str
    number: int
    title: str
    status: Status
    severity: Severity
    severity_since: datetime
    service: str | None
    private: bool
    drill: bool
    opened: Moment
    origin: Origin
    plan: Plan
    runbook: Runbook | None
    candidates: tuple[Candidate, ...]
    unique_key: str | None
    version: int
    digest: str
    declared_again: tuple[tuple[Moment, Origin], ...] = ()
    channel_id: str | None = None
    channel_name: str | None = None
    room_opened_at: datetime | None = None
    room_failure: str = ""
    archived: bool = False
    responders: tuple[str, ...] = ()
    roles: Mapping[Role, str] = field(default_factory=dict)
    steps: Mapping[str, StepMark] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    diagnostics_round: int = 0
    readings: Mapping[str, Reading] = field(default_factory=dict)
    runs: Mapping[str, Run] = field(default_factory=dict)
    watches: Mapping[str, Watch] = field(default_factory=dict)
    """The newest watch of each step."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """The ids of the accounts that are affected, and where each came from: a run, or by hand."""
    acknowledged: Moment | None = None
    acknowledged_via: str = ""
    checked_in_at: datetime | None = None
    """When somebody said last that they are still on it."""
    progress_at: datetime
    """When something was done last: a step, a status change, an update or a note."""
    security_since: datetime | None = None
    impacts: Mapping[Impact, datetime] = field(default_factory=dict)
    """What makes it matter more, and since when."""
    raised: Mapping[str, Raised] = field(default_factory=dict)
    """The alarms of this round of the ladder, by key, in the order in which they were raised."""
    times_raised: Mapping[str, int] = field(default_factory=dict)
    """How often each alarm was raised, by its id, in the whole life of the incident."""
    pages: tuple[Page, ...] = ()
    reminded: Mapping[Target, int] = field(default_factory=dict)
    """The percentage of a target's time that was announced last."""
    news: tuple[News, ...] = ()
    generation: int = 1
    """Grows when somebody acknowledges, when that lapses, when it ends and when it is reopened."""
    ladder_started_at: datetime
    ladder_passed_s: int = 0
    """The ladder runs as if so many of its seconds had passed when it started."""
    open_since: datetime
    """When it was opened, or reopened last."""
    status_changed: Moment | None = None
    resolved_at: datetime | None = None

    # -- what follows from the state -------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Resolved, closed, or never was one."""
        return self.status in (Status.RESOLVED, Status.CLOSED, Status.FALSE_POSITIVE)

    @property
    def response(self) -> Response:
        """What its severity promises and asks for."""
        return self.plan.responses[self.severity]

    @property
    def severity_title(self) -> str:
        """What its severity is called."""
        return self.response.title

    @property
    def respond_by(self) -> datetime:
        """When somebody must have acknowledged."""
        return self.opened.at + timedelta(seconds=self.response.respond_within_s)

    @property
    def resolve_by(self) -> datetime:
        """When it must be resolved."""
        return self.opened.at + timedelta(seconds=self.response.resolve_within_s)

    def target_at(self, target: Target, percent: int = 100) -> datetime:
        """When ``percent`` of the time of a target has passed."""
        response = target is Target.RESPONSE
        within_s = self.response.respond_within_s if response else self.response.resolve_within_s
        return self.opened.at + timedelta(seconds=within_s * percent / 100)

    def contact(self, raised: Raised, identity: str) -> Contact | None:
        """Somebody who is told by an alarm; None for a rotation, which is somebody else at each time."""
        if raised.contact and raised.contact.id == identity:
            return raised.contact
        return self.plan.people.get(identity)

    def next_key(self, alarm_id: str) -> str:
        """The key under which an alarm is raised next; no two are ever the same."""
        times = self.times_raised.get(alarm_id, 0)
        return f"{alarm_id}.{times + 1}" if times else alarm_id

    def attempts(self, key: str, contact_id: str) -> tuple[Page, ...]:
        """What was tried to tell a contact of an alarm, oldest first; of each way and time the newest word."""
        return tuple(page for page in self.pages if (page.key, page.contact_id) == (key, contact_id))

    def paged_user_ids(self) -> frozenset[str]:
        """Everybody a page was sent to."""
        return frozenset(user for page in self.pages for user in page.user_ids if page.kind != "notice")

    def is_responder(self, user_id: str) -> bool:
        """In the room, the declarer, paged, or holding a role."""
        return (
            user_id in self.responders
            or user_id == self.opened.by
            or user_id in self.roles.values()
            or user_id in self.paged_user_ids()
        )

    @property
    def switched_on(self) -> tuple[Run, ...]:
        """The runs whose effect is on for a time: what takes itself back later, and has not yet."""
        return tuple(run for run in self.runs.values() if run.reverts_at)

    def find_open_run(self, step_id: str) -> Run | None:
        """The run of a step that still waits for something, if there is one."""
        return next((run for run in self.runs.values() if run.step_id == step_id and run.is_open), None)

    # -- the fold --------------------------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> Incident:
        """The state after ``entry``. Raises: UnknownEntryError for an entry that cannot follow this state."""
        if entry.seq != self.version + 1:
            raise UnknownEntryError(f"{self.id}: entry {entry.seq} cannot follow version {self.version}")
        changed = _APPLY[type(entry.fact)](self, entry, entry.fact)
        return replace(changed, version=entry.seq, digest=entry.digest)


def fold(entries: Iterable[Entry], *, onto: Incident | None = None) -> Incident | None:
    """The incident that ``entries`` add up to, continuing from ``onto``; None when there are none."""
    incident = onto
    for entry in entries:
        if incident is None:
            if not isinstance(entry.fact, facts.IncidentOpened) or entry.seq != 1:
                raise UnknownEntryError(f"a timeline begins with its opening, not with {entry.fact.kind}")
            incident = _open(entry, entry.fact)
        else:
            incident = incident.apply(entry)
    return incident


def version_of(incident: Incident | None) -> int:
    """The number of entries behind ``incident``; 0 for one that does not exist yet."""
    return incident.version if incident else 0


def digest_of(incident: Incident | None) -> str:
    """The digest of the newest entry; ``GENESIS`` for an incident that does not exist yet."""
    return incident.digest if incident else GENESIS


def _open(entry: Entry, fact: facts.IncidentOpened) -> Incident:
    return Incident(
        id=fact.incident_id,
        number=fact.number,
        title=fact.title,
        status=Status.TRIAGE,
        severity=fact.severity,
        severity_since=entry.at,
        service=fact.service,
        private=fact.private,
        drill=fact.drill,
        opened=_moment(entry),
        origin=fact.origin,
        plan=fact.plan,
        runbook=fact.runbook,
        candidates=fact.candidates,
        unique_key=fact.unique_key,
        version=entry.seq,
        digest=entry.digest,
        progress_at=entry.at,
        security_since=entry.at if fact.runbook and fact.runbook.security else None,
        ladder_started_at=entry.at,
        open_since=entry.at,
    )


def _moment(entry: Entry) -> Moment:
    return Moment.model_construct(by=entry.by, at=entry.at)


def _with_run(incident: Incident, run_id: str, **changes: Any) -> Incident:
    return replace(incident, runs={**incident.runs, run_id: replace(incident.runs[run_id], **changes)})


def _without(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}


def _runbook_chosen(incident: Incident, entry: Entry, fact: facts.RunbookChosen) -> Incident:
    return replace(
        incident,
        runbook=fact.runbook,
        plan=fact.plan,
        candidates=(),
        service=fact.runbook.service,
        unique_key=fact.unique_key,
        security_since=entry.at if fact.runbook.security else None,
    )


def _declared_again(incident: Incident, entry: Entry, fact: facts.DeclaredAgain) -> Incident:
    return replace(incident, declared_again=(*incident.declared_again, (_moment(entry), fact.origin)))


def _room_opened(incident: Incident, entry: Entry, fact: facts.RoomOpened) -> Incident:
    return replace(incident, channel_id=fact.channel_id, channel_name=fact.name, room_opened_at=entry.at, room_failure="")


def _room_failed(incident: Incident, entry: Entry, fact: facts.RoomFailed) -> Incident:
    return replace(incident, room_failure=fact.reason)


def _room_archived(incident: Incident, entry: Entry, fact: facts.RoomArchived) -> Incident:
    return replace(incident, archived=True)


def _responder_joined(incident: Incident, entry: Entry, fact: facts.ResponderJoined) -> Incident:
    if fact.user_id in incident.responders:
        return incident
    return replace(incident, responders=(*incident.responders, fact.user_id))


def _responder_left(incident: Incident, entry: Entry, fact: facts.ResponderLeft) -> Incident:
    return replace(incident, responders=tuple(user for user in incident.responders if user != fact.user_id))


def _status_changed(incident: Incident, entry: Entry, fact: facts.StatusChanged) -> Incident:
    reopened = incident.is_over and fact.status is Status.INVESTIGATING
    changed = replace(
        incident,
        status=fact.status,
        status_changed=_moment(entry),
        progress_at=entry.at,
        resolved_at=entry.at if fact.status is Status.RESOLVED else incident.resolved_at,
    )
    if changed.is_over and not incident.is_over:
        return replace(changed, generation=incident.generation + 1)
    if not reopened:
        return changed
    return replace(
        changed,
        resolved_at=None,
        acknowledged=None,
        acknowledged_via="",
        checked_in_at=None,
        severity_since=entry.at,
        impacts=dict.fromkeys(incident.impacts, entry.at),
        raised={},
        pages=tuple(replace(page, is_former=True) for page in incident.pages if page.follows and not page.ended),
        generation=incident.generation + 1,
        ladder_started_at=entry.at,
        ladder_passed_s=0,
        open_since=entry.at,
    )


def _severity_changed(incident: Incident, entry: Entry, fact: facts.SeverityChanged) -> Incident:
    """A ladder that did not run, or in business hours only, begins to run as if the last level that was reached had just been
    told: nobody's turn is over yet."""
    changed = replace(incident, severity=fact.severity, severity_since=entry.at)
    modes = ("never", "business_hours", "at_once")
    if modes.index(changed.response.page) <= modes.index(incident.response.page):
        return changed
    reached = {raised.alarm.level for raised in incident.raised.values()}
    passed_s = max((level.after_s for level in incident.plan.levels if level.level in reached), default=0)
    return replace(changed, ladder_started_at=entry.at, ladder_passed_s=passed_s)


def _role_assigned(incident: Incident, entry: Entry, fact: facts.RoleAssigned) -> Incident:
    return replace(incident, roles={**incident.roles, fact.role: fact.user_id})


def _step_ticked(incident: Incident, entry: Entry, fact: facts.StepTicked) -> Incident:
    marks = {**incident.steps, fact.step_id: StepMark(moment=_moment(entry))}
    return replace(incident, steps=marks, progress_at=entry.at)


def _step_unticked(incident: Incident, entry: Entry, fact: facts.StepUnticked) -> Incident:
    return replace(incident, steps=_without(incident.steps, fact.step_id), choices=_without(incident.choices, fact.step_id))


def _step_skipped(incident: Incident, entry: Entry, fact: facts.StepSkipped) -> Incident:
    mark = StepMark(moment=_moment(entry), skipped=True, reason=fact.reason)
    return replace(incident, steps={**incident.steps, fact.step_id: mark}, progress_at=entry.at)


def _branch_chosen(incident: Incident, entry: Entry, fact: facts.BranchChosen) -> Incident:
    choice = Choice(branch_id=fact.branch_id, moment=_moment(entry))
    return replace(
        incident,
        choices={**incident.choices, fact.step_id: choice},
        steps={**incident.steps, fact.step_id: StepMark(moment=_moment(entry))},
        progress_at=entry.at,
    )


def _diagnostics_started(incident: Incident, entry: Entry, fact: facts.DiagnosticsStarted) -> Incident:
    return replace(incident, diagnostics_round=fact.round)


def _diagnostic_recorded(incident: Incident, entry: Entry, fact: facts.DiagnosticRecorded) -> Incident:
    known = incident.readings.get(fact.diagnostic_id)
    if known and known.round > fact.round:
        return incident
    reading = Reading(outcome=fact.outcome, round=fact.round, at=entry.at)
    return replace(incident, readings={**incident.readings, fact.diagnostic_id: reading})


def _run_requested(incident: Incident, entry: Entry, fact: facts.RunRequested) -> Incident:
    run = Run(
        id=fact.run_id,
        step_id=fact.step_id,
        action=fact.action,
        title=fact.title,
        risk=fact.risk,
        params=fact.params,
        params_digest=fact.params_digest,
        requested=_moment(entry),
        undo=fact.undo,
        undoes=fact.undoes,
        revert_after_s=fact.revert_after_s,
    )
    return replace(incident, runs={**incident.runs, run.id: run})


def _run_previewed(incident: Incident, entry: Entry, fact: facts.RunPreviewed) -> Incident:
    return _with_run(
        incident,
        fact.run_id,
        preview=fact.preview,
        previewed_at=entry.at,
        expires_at=fact.expires_at,
        break_glass_at=fact.break_glass_at,
    )


def _run_preview_failed(incident: Incident, entry: Entry, fact: facts.RunPreviewFailed) -> Incident:
    return _with_run(incident, fact.run_id, refused=fact.reason)


def _run_confirmed(incident: Incident, entry: Entry, fact: facts.RunConfirmed) -> Incident:
    changed = _with_run(incident, fact.run_id, confirmed=_moment(entry), break_glass=fact.break_glass)
    changed = replace(changed, progress_at=entry.at)
    return _told(changed, entry) if fact.break_glass else changed


def _run_cancelled(incident: Incident, entry: Entry, fact: facts.RunCancelled) -> Incident:
    return _with_run(incident, fact.run_id, cancelled=_moment(entry))


def _run_denied(incident: Incident, entry: Entry, fact: facts.RunDenied) -> Incident:
    return _with_run(incident, fact.run_id, denied=_moment(entry), denied_why=fact.reason)


def _run_expired(incident: Incident, entry: Entry, fact: facts.RunExpired) -> Incident:
    return _with_run(incident, fact.run_id, expired_at=entry.at)


def _run_stop_asked(incident: Incident, entry: Entry, fact: facts.RunStopAsked) -> Incident:
    return _with_run(incident, fact.run_id, stopping=_moment(entry))


def _run_finished(incident: Incident, entry: Entry, fact: facts.RunFinished) -> Incident:
    changed = _with_run(incident, fact.run_id, outcome=fact.outcome, finished_at=entry.at)
    return _ended(changed, entry, fact.run_id, fact.outcome)


def _run_look_asked(incident: Incident, entry: Entry, fact: facts.RunLookAsked) -> Incident:
    return incident


def _run_looked_at(incident: Incident, entry: Entry, fact: facts.RunLookedAt) -> Incident:
    changed = _with_run(incident, fact.run_id, outcome=fact.outcome, looked_at=entry.at)
    return _ended(changed, entry, fact.run_id, fact.outcome)


def _ended(incident: Incident, entry: Entry, run_id: str, outcome: Outcome) -> Incident:
    """What a run that ended means for the rest: its step is done, another run is taken back, accounts were found."""
    run = incident.runs[run_id]
    if outcome.accounts:
        incident = _with_accounts(incident, outcome.accounts, source=run_id)
    if outcome.state is not State.OK:
        return incident
    if run.undoes in incident.runs:
        return _with_run(incident, run.undoes, reverted_at=entry.at, reverted=outcome)
    by = run.confirmed.by if run.confirmed else run.requested.by
    mark = StepMark(moment=Moment.model_construct(by=by, at=entry.at))
    return replace(incident, steps={**incident.steps, run.step_id: mark})


def _revert_asked(incident: Incident, entry: Entry, fact: facts.RevertAsked) -> Incident:
    return _with_run(incident, fact.run_id, revert_asked=_moment(entry))


def _run_reverted(incident: Incident, entry: Entry, fact: facts.RunReverted) -> Incident:
    return _told(_with_run(incident, fact.run_id, reverted_at=entry.at, reverted=fact.outcome), entry)


def _revert_failed(incident: Incident, entry: Entry, fact: facts.RevertFailed) -> Incident:
    failures = incident.runs[fact.run_id].revert_failures + 1
    changed = _with_run(incident, fact.run_id, revert_failures=failures, revert_why=fact.reason, revert_failed_at=entry.at)
    return _told(changed, entry) if failures == 1 else changed


def _accounts_changed(incident: Incident, entry: Entry, fact: facts.AccountsChanged) -> Incident:
    kept = {account: source for account, source in incident.accounts.items() if account not in fact.removed}
    return _with_accounts(replace(incident, accounts=kept), fact.added, source=fact.source or entry.by)


def _with_accounts(incident: Incident, added: Iterable[str], *, source: str) -> Incident:
    return replace(incident, accounts={**dict.fromkeys(added, source), **incident.accounts})


def _watch_started(incident: Incident, entry: Entry, fact: facts.WatchStarted) -> Incident:
    watch = Watch(number=fact.number, started=_moment(entry))
    return replace(incident, watches={**incident.watches, fact.step_id: watch}, progress_at=entry.at)


def _watch_reported(incident: Incident, entry: Entry, fact: facts.WatchReported) -> Incident:
    before = incident.watches[fact.step_id]
    watch = replace(before, outcome=fact.outcome, at=entry.at, good=fact.good)
    changed = replace(incident, watches={**incident.watches, fact.step_id: watch})
    is_news = before.outcome is None or before.outcome.state is not fact.outcome.state
    return _told(changed, entry) if is_news else changed


def _watch_ended(incident: Incident, entry: Entry, fact: facts.WatchEnded) -> Incident:
    watch = replace(incident.watches[fact.step_id], ended=_moment(entry), done=fact.done)
    changed = _told(replace(incident, watches={**incident.watches, fact.step_id: watch}), entry)
    if not fact.done or fact.step_id in incident.steps:
        return changed
    return replace(changed, steps={**changed.steps, fact.step_id: StepMark(moment=_moment(entry))})


def _told(incident: Incident, entry: Entry, **changes: Any) -> Incident:
    """With something new to read in the room."""
    return replace(incident, news=(*incident.news, News(seq=entry.seq, moment=_moment(entry), fact=entry.fact)), **changes)


def _alarm_raised(incident: Incident, entry: Entry, fact: facts.AlarmRaised) -> Incident:
    raised = Raised(
        key=fact.key,
        alarm=fact.alarm,
        contact_ids=fact.contact_ids,
        at=entry.at,
        due_at=fact.due_at,
        generation=fact.generation,
        overdue=fact.overdue,
        by=entry.by if fact.by_hand else "",
        reason=fact.reason,
        contact=fact.contact,
    )
    times = {**incident.times_raised, fact.alarm.id: incident.times_raised.get(fact.alarm.id, 0) + 1}
    changed = replace(incident, raised={**incident.raised, fact.key: raised}, times_raised=times)
    return _told(changed, entry) if fact.by_hand else changed


def _page_sent(incident: Incident, entry: Entry, fact: facts.PageSent) -> Incident:
    raised = incident.raised.get(fact.key)
    page = Page(
        key=fact.key,
        contact_id=fact.contact_id,
        name=fact.name or incident.plan.name_of(fact.contact_id),
        via=fact.via,
        at=entry.at,
        kind=raised.alarm.kind if raised else "page",
        user_ids=fact.user_ids,
        messages=fact.messages,
        reference=fact.reference,
        follows=fact.follows,
    )
    return replace(incident, pages=(*incident.pages, page))


def _page_failed(incident: Incident, entry: Entry, fact: facts.PageFailed) -> Incident:
    page = Page(
        key=fact.key,
        contact_id=fact.contact_id,
        name=fact.name or incident.plan.name_of(fact.contact_id),
        via=fact.via,
        at=entry.at,
        failure=fact.reason,
        passing=fact.passing,
        exhausted=fact.exhausted,
        ended=True,
    )
    same = (fact.key, fact.contact_id, fact.via)
    pages = [replace(one, ended=True) if (one.key, one.contact_id, one.via) == same else one for one in incident.pages]
    changed = replace(incident, pages=(*pages, page))
    raised = incident.raised.get(fact.key)
    known = any(one.exhausted for one in incident.attempts(fact.key, fact.contact_id))
    is_news = not known and (raised is None or raised.alarm.kind in ("page", "check_in"))
    return _told(changed, entry) if is_news else changed


def _page_followed(incident: Incident, entry: Entry, fact: facts.PageFollowed) -> Incident:
    same = (fact.key, fact.contact_id, fact.via)

    def told(page: Page) -> Page:
        if (page.key, page.contact_id, page.via) != same or page.failure:
            return page
        taken_back = page.taken_back or fact.taken_back
        return replace(page, followed=page.followed | {fact.wanted}, ended=page.ended or fact.ended, taken_back=taken_back)

    return replace(incident, pages=tuple(told(page) for page in incident.pages))


def _acknowledged(incident: Incident, entry: Entry, fact: facts.Acknowledged) -> Incident:
    return _told(
        incident,
        entry,
        acknowledged=_moment(entry),
        acknowledged_via=fact.via,
        checked_in_at=None,
        generation=incident.generation + 1,
    )


def _checked_in(incident: Incident, entry: Entry, fact: facts.CheckedIn) -> Incident:
    return replace(incident, checked_in_at=entry.at)


def _acknowledgement_lapsed(incident: Incident, entry: Entry, fact: facts.AcknowledgementLapsed) -> Incident:
    """The next level is due now and the others as far behind it as they were; after the last one the ladder starts over."""
    reached = {raised.alarm.level for raised in incident.raised.values()}
    following = next((level for level in incident.plan.levels if level.level not in reached), None)
    raised = incident.raised
    if following is None:
        raised = {key: one for key, one in raised.items() if not one.alarm.level}
    return _told(
        incident,
        entry,
        acknowledged=None,
        acknowledged_via="",
        checked_in_at=None,
        raised=raised,
        generation=incident.generation + 1,
        ladder_started_at=entry.at,
        ladder_passed_s=following.after_s if following else 0,
    )


def _target_reminded(incident: Incident, entry: Entry, fact: facts.TargetReminded) -> Incident:
    return _told(incident, entry, reminded={**incident.reminded, fact.target: fact.percent})


def _impact_changed(incident: Incident, entry: Entry, fact: facts.ImpactChanged) -> Incident:
    impacts = {impact: since for impact, since in incident.impacts.items() if impact is not fact.impact}
    if fact.since:
        impacts[fact.impact] = fact.since
    return _told(incident, entry, impacts=impacts)


def _noted(incident: Incident, entry: Entry, fact: facts.Noted) -> Incident:
    return _told(incident, entry, progress_at=entry.at)


_APPLY: dict[type[Any], Callable[[Incident, Entry, Any], Incident]] = {
    facts.RunbookChosen: _runbook_chosen,
    facts.DeclaredAgain: _declared_again,
    facts.RoomOpened: _room_opened,
    facts.RoomFailed: _room_failed,
    facts.RoomArchived: _room_archived,
    facts.ResponderJoined: _responder_joined,
    facts.ResponderLeft: _responder_left,
    facts.StatusChanged: _status_changed,
    facts.SeverityChanged: _severity_changed,
    facts.RoleAssigned: _role_assigned,
    facts.StepTicked: _step_ticked,
    facts.StepUnticked: _step_unticked,
    facts.StepSkipped: _step_skipped,
    facts.BranchChosen: _branch_chosen,
    facts.DiagnosticsStarted: _diagnostics_started,
    facts.DiagnosticRecorded: _diagnostic_recorded,
    facts.RunRequested: _run_requested,
    facts.RunPreviewed: _run_previewed,
    facts.RunPreviewFailed: _run_preview_failed,
    facts.RunConfirmed: _run_confirmed,
    facts.RunCancelled: _run_cancelled,
    facts.RunDenied: _run_denied,
    facts.RunExpired: _run_expired,
    facts.RunStopAsked: _run_stop_asked,
    facts.RunFinished: _run_finished,
    facts.RunLookAsked: _run_look_asked,
    facts.RunLookedAt: _run_looked_at,
    facts.RevertAsked: _revert_asked,
    facts.RunReverted: _run_reverted,
    facts.RevertFailed: _revert_failed,
    facts.AccountsChanged: _accounts_changed,
    facts.WatchStarted: _watch_started,
    facts.WatchReported: _watch_reported,
    facts.WatchEnded: _watch_ended,
    facts.AlarmRaised: _alarm_raised,
    facts.PageSent: _page_sent,
    facts.PageFailed: _page_failed,
    facts.PageFollowed: _page_followed,
    facts.Acknowledged: _acknowledged,
    facts.CheckedIn: _checked_in,
    facts.AcknowledgementLapsed: _acknowledgement_lapsed,
    facts.TargetReminded: _target_reminded,
    facts.ImpactChanged: _impact_changed,
    facts.Noted: _noted,
}


def facts_without_a_fold() -> Iterator[str]:
    """The kinds of facts that nothing folds (a test holds that there are none but the opening)."""
    members = facts.Fact.__args__[0].__args__
    return (member.__name__ for member in members if member not in _APPLY)
