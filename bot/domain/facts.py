"""The facts that a timeline is made of: what happened to an incident, in the past tense.

Written only by the decisions (``bot.domain.decide``), kept as JSON in the timeline, folded into the state by
``bot.domain.incident``. A fact never changes once released: a new meaning is a new kind. A kind that this version does
not know is an ``UnknownEntryError``.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from bot.domain.errors import UnknownEntryError
from bot.domain.escalation import Contact
from bot.domain.outcome import Outcome, Preview, Risk
from bot.domain.plan import Alarm, Plan
from bot.domain.runbook import Runbook
from bot.domain.severity import Severity


class Status(StrEnum):
    """Where an incident stands; the moves between them are in ``bot.domain.lifecycle``."""

    TRIAGE = "triage"
    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    CLOSED = "closed"
    FALSE_POSITIVE = "false_positive"


class Role(StrEnum):
    """What a person does in an incident."""

    INCIDENT_COMMANDER = "commander"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(_Value):
    """Where and how an incident was declared. ``message_ts`` is the message to answer in a thread, if there is one."""

    how: Literal["command", "phrase", "form", "shortcut", "mention", "prompt", "terminal"]
    channel_id: str | None = None
    message_ts: str | None = None
    phrase: str | None = None


class Impact(StrEnum):
    """What makes an incident matter more; switched on and off in the card, each with the moment since when."""

    CUSTOMER_IMPACT = "customer_impact"
    MEDIA_ATTENTION = "media_attention"
    BUSINESS_CRITICAL = "business_critical"


class Target(StrEnum):
    """What a severity promises."""

    RESPONSE = "response"
    RESOLUTION = "resolution"


class Candidate(_Value):
    """A runbook to choose. ``fits``: the words named it, beside others; else it is offered because they named none."""

    id: str
    title: str
    fits: bool = True


class IncidentOpened(_Value):
    kind: Literal["incident_opened"] = "incident_opened"
    incident_id: str
    number: int
    title: str
    severity: Severity
    service: str | None
    private: bool
    drill: bool
    origin: Origin
    plan: Plan
    runbook: Runbook | None
    candidates: tuple[Candidate, ...] = ()
    """The runbooks to choose from while none is certain, the likeliest first."""
    unique_key: str | None = None
    """What keeps a second incident of the same thing away; None where nothing is known to be the same, and for drills."""


class RunbookChosen(_Value):
    kind: Literal["runbook_chosen"] = "runbook_chosen"
    runbook: Runbook
    plan: Plan
    unique_key: str | None = None


class DeclaredAgain(_Value):
    """Somebody declared the same thing while it was open; they were pointed at this incident."""

    kind: Literal["declared_again"] = "declared_again"
    words: str
    origin: Origin


class RoomOpened(_Value):
    kind: Literal["room_opened"] = "room_opened"
    channel_id: str
    name: str


class RoomFailed(_Value):
    """The room could not be made; it is tried again, and people are told meanwhile."""

    kind: Literal["room_failed"] = "room_failed"
    reason: str


class RoomArchived(_Value):
    kind: Literal["room_archived"] = "room_archived"


class ResponderJoined(_Value):
    kind: Literal["responder_joined"] = "responder_joined"
    user_id: str


class ResponderLeft(_Value):
    kind: Literal["responder_left"] = "responder_left"
    user_id: str


class StatusChanged(_Value):
    kind: Literal["status_changed"] = "status_changed"
    status: Status
    reason: str = ""


class SeverityChanged(_Value):
    kind: Literal["severity_changed"] = "severity_changed"
    severity: Severity


class RoleAssigned(_Value):
    kind: Literal["role_assigned"] = "role_assigned"
    role: Role
    user_id: str


class StepTicked(_Value):
    kind: Literal["step_ticked"] = "step_ticked"
    step_id: str


class StepUnticked(_Value):
    kind: Literal["step_unticked"] = "step_unticked"
    step_id: str


class StepSkipped(_Value):
    kind: Literal["step_skipped"] = "step_skipped"
    step_id: str
    reason: str


class BranchChosen(_Value):
    kind: Literal["branch_chosen"] = "branch_chosen"
    step_id: str
    branch_id: str


class DiagnosticsStarted(_Value):
    """A round of the diagnostics began; ``round`` is 1-based."""

    kind: Literal["diagnostics_started"] = "diagnostics_started"
    round: int


class DiagnosticRecorded(_Value):
    kind: Literal["diagnostic_recorded"] = "diagnostic_recorded"
    diagnostic_id: str
    round: int
    outcome: Outcome


class RunRequested(_Value):
    """Somebody asked for an action. ``params_digest`` binds every later word about the run to exactly these parameters."""

    kind: Literal["run_requested"] = "run_requested"
    run_id: str
    step_id: str
    action: str
    title: str
    risk: Risk
    params: dict[str, JsonValue]
    params_digest: str
    undo: str = ""
    undoes: str = ""
    revert_after_s: int | None = None


class RunPreviewed(_Value):
    kind: Literal["run_previewed"] = "run_previewed"
    run_id: str
    preview: Preview
    expires_at: datetime | None = None
    break_glass_at: datetime | None = None


class RunPreviewFailed(_Value):
    kind: Literal["run_preview_failed"] = "run_preview_failed"
    run_id: str
    reason: str


class RunConfirmed(_Value):
    """The intent record: written before the first call of the action. ``break_glass``: nobody else agreed, and this is why."""

    kind: Literal["run_confirmed"] = "run_confirmed"
    run_id: str
    break_glass: str = ""


class RunCancelled(_Value):
    kind: Literal["run_cancelled"] = "run_cancelled"
    run_id: str


class RunDenied(_Value):
    """Somebody who may approve it said no, or whoever confirmed it may not do so any more."""

    kind: Literal["run_denied"] = "run_denied"
    run_id: str
    reason: str = ""


class RunExpired(_Value):
    """Nobody confirmed it in time."""

    kind: Literal["run_expired"] = "run_expired"
    run_id: str


class RunStopAsked(_Value):
    kind: Literal["run_stop_asked"] = "run_stop_asked"
    run_id: str


class RunFinished(_Value):
    kind: Literal["run_finished"] = "run_finished"
    run_id: str
    outcome: Outcome


class RunLookAsked(_Value):
    """Nobody knows what became of a run; somebody wants it looked at once more."""

    kind: Literal["run_look_asked"] = "run_look_asked"
    run_id: str


class RunLookedAt(_Value):
    """What a run did, as it was seen later; it takes the place of its outcome."""

    kind: Literal["run_looked_at"] = "run_looked_at"
    run_id: str
    outcome: Outcome


class RevertAsked(_Value):
    """What takes itself back later is to do it now."""

    kind: Literal["revert_asked"] = "revert_asked"
    run_id: str


class RunReverted(_Value):
    """What a run did was seen to be taken back."""

    kind: Literal["run_reverted"] = "run_reverted"
    run_id: str
    outcome: Outcome


class RevertFailed(_Value):
    """It could not be taken back, or nobody can see that it was; it is tried again."""

    kind: Literal["revert_failed"] = "revert_failed"
    run_id: str
    reason: str


class AccountsChanged(_Value):
    """Accounts joined the list of those that are affected, or left it, by hand or found by a run."""

    kind: Literal["accounts_changed"] = "accounts_changed"
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    source: str = ""


class WatchStarted(_Value):
    """A diagnostic is repeated. ``number`` counts the watches of this step."""

    kind: Literal["watch_started"] = "watch_started"
    step_id: str
    number: int


class WatchReported(_Value):
    """A watch saw something; ``good`` counts the good results in a row, this one included."""

    kind: Literal["watch_reported"] = "watch_reported"
    step_id: str
    number: int
    outcome: Outcome
    good: int


class WatchEnded(_Value):
    kind: Literal["watch_ended"] = "watch_ended"
    step_id: str
    number: int
    done: bool
    """It has seen enough good results; else somebody ended it."""


class AlarmRaised(_Value):
    """An alarm was due, or somebody asked for it, and these contacts are told.

    ``key`` is the alarm's id, with a number where it may be raised more than once. ``contact_ids`` are those who are not told
    by a higher alarm that was due at the same moment; ``overdue`` counts the alarms that came together after an outage.
    """

    kind: Literal["alarm_raised"] = "alarm_raised"
    key: str
    alarm: Alarm
    contact_ids: tuple[str, ...]
    generation: int
    due_at: datetime
    overdue: int = 1
    by_hand: bool = False
    reason: str = ""
    contact: Contact | None = None
    """Somebody who is in no file: a person of the workspace who was named."""


class PageSent(_Value):
    """A contact was reached by ``via``; where that is a Slack message, its place, so that it can be updated later."""

    kind: Literal["page_sent"] = "page_sent"
    key: str
    contact_id: str
    name: str = ""
    """Who it was, where the contact is a rotation."""
    via: str
    user_ids: tuple[str, ...] = ()
    messages: tuple[tuple[str, str], ...] = ()
    """(channel id, ts) of each message sent."""
    reference: str = ""
    """What the provider calls it."""
    follows: bool = False
    """There is more to find out, or to tell the provider."""
    late_s: int = 0
    in_flight: bool = False
    """True when somebody acknowledged while the page was already on its way."""


class PageFailed(_Value):
    """A way did not reach a contact. ``passing``: it may work later. ``exhausted``: no other way was left to try."""

    kind: Literal["page_failed"] = "page_failed"
    key: str
    contact_id: str
    name: str = ""
    via: str
    reason: str
    passing: bool = False
    exhausted: bool = True


class PageFollowed(_Value):
    """What became of a page, or that the provider was told what became of the incident (``wanted``)."""

    kind: Literal["page_followed"] = "page_followed"
    key: str
    contact_id: str
    via: str
    wanted: Literal["open", "acknowledged", "over"]
    ended: bool
    """Nothing more will come."""
    taken_back: bool = False
    """It was still ringing when somebody acknowledged: nobody took it."""


class Acknowledged(_Value):
    kind: Literal["acknowledged"] = "acknowledged"
    via: str


class CheckedIn(_Value):
    """Somebody said that they are still on it."""

    kind: Literal["checked_in"] = "checked_in"


class AcknowledgementLapsed(_Value):
    """Whoever had acknowledged did not answer: nobody has it any more, and the ladder goes on."""

    kind: Literal["acknowledgement_lapsed"] = "acknowledgement_lapsed"
    user_id: str


class TargetReminded(_Value):
    """So much of the time of a target has passed; 100 is its breach."""

    kind: Literal["target_reminded"] = "target_reminded"
    target: Target
    percent: int
    due_at: datetime


class ImpactChanged(_Value):
    kind: Literal["impact_changed"] = "impact_changed"
    impact: Impact
    since: datetime | None
    """None: it is over."""


class Noted(_Value):
    """Somebody wrote down what they found (a note), or told everybody how it stands (an update)."""

    kind: Literal["noted"] = "noted"
    text: str
    is_update: bool = False


Fact = Annotated[
    IncidentOpened
    | RunbookChosen
    | DeclaredAgain
    | RoomOpened
    | RoomFailed
    | RoomArchived
    | ResponderJoined
    | ResponderLeft
    | StatusChanged
    | SeverityChanged
    | RoleAssigned
    | StepTicked
    | StepUnticked
    | StepSkipped
    | BranchChosen
    | DiagnosticsStarted
    | DiagnosticRecorded
    | RunRequested
    | RunPreviewed
    | RunPreviewFailed
    | RunConfirmed
    | RunCancelled
    | RunDenied
    | RunExpired
    | RunStopAsked
    | RunFinished
    | RunLookAsked
    | RunLookedAt
    | RevertAsked
    | RunReverted
    | RevertFailed
    | AccountsChanged
    | WatchStarted
    | WatchReported
    | WatchEnded
    | AlarmRaised
    | PageSent
    | PageFailed
    | PageFollowed
    | Acknowledged
    | CheckedIn
    | AcknowledgementLapsed
    | TargetReminded
    | ImpactChanged
    | Noted,
    Field(discriminator="kind"),
]

_FACT: TypeAdapter[Fact] = TypeAdapter(Fact)


def parse_fact(data: dict[str, Any]) -> Fact:
    """The fact that ``data`` says. Raises: UnknownEntryError when this version does not know it, or not in that shape."""
    try:
        return _FACT.validate_python(data)
    except ValidationError as error:
        raise UnknownEntryError(
            f"the timeline holds a fact of kind {data.get('kind')!r} that this version of Muster does not understand; "
            "run the newer version that wrote it"
        ) from error


def dump_fact(fact: Fact) -> dict[str, Any]:
    """``fact`` as plain JSON values."""
    return _FACT.dump_python(fact, mode="json", by_alias=True)  # type: ignore[no-any-return]


class Moment(_Value):
    """Who did something and when (aware UTC)."""

    by: str
    at: datetime
