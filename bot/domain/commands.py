"""What can be asked of an incident: imperative, from whatever edge it came (Slack, an alert, the clock, the terminal).

``bot.domain.decide`` answers each with facts and tasks, or refuses. Ids and names in a command are claims of the outside
until the decision has checked them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from bot.domain.escalation import Contact
from bot.domain.facts import Impact, Origin, Role, Status
from bot.domain.outcome import Outcome, Preview, Risk
from bot.domain.severity import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What somebody said is broken. ``runbook_ids``: none (nothing fits), one, or several that all fit, the likeliest first."""

    title: str
    runbook_ids: tuple[str, ...]
    origin: Origin
    severity: Severity | None = None
    service: str | None = None
    private: bool | None = None
    drill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncident:
    number: int
    declaration: Declaration


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareAgain:
    words: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseRunbook:
    runbook_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStatus:
    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSeverity:
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignRole:
    role: Role
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    via: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TickStep:
    step_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UntickStep:
    step_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipStep:
    step_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseBranch:
    step_id: str
    branch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDiagnostics:
    """Once more, all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDiagnostic:
    diagnostic_id: str
    round: int
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRun:
    """``params`` were validated by the action's own model; ``action``, ``title`` and ``risk`` come from the registry."""

    step_id: str
    action: str
    title: str
    risk: Risk
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPreview:
    run_id: str
    preview: Preview | None
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRun:
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRun:
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRun:
    run_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachDue:
    """Whatever is due by ``due_at``, or by now, happens."""

    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPage:
    """The result of one attempt to tell a contact of an alarm by one way. ``failure`` empty: accepted.

    ``passing``: the failure may pass; ``exhausted``: no other way was left to try.
    """

    key: str
    contact_id: str
    attempt: int
    via: str
    name: str = ""
    due_at: datetime
    user_ids: tuple[str, ...] = ()
    messages: tuple[tuple[str, str], ...] = ()
    reference: str = ""
    follows: bool = False
    failure: str = ""
    passing: bool = False
    exhausted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFollowed:
    """What became of a page. ``failure``: nobody was reached by it after all."""

    key: str
    contact_id: str
    via: str
    wanted: Literal["open", "acknowledged", "over"]
    ended: bool
    failure: str = ""
    taken_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckIn:
    """Still on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate:
    """Tell more people now. One of ``level`` (1-based), ``contact_id`` and ``contact`` (somebody who is in no file) at the
    most; none of them: the next level."""

    level: int | None = None
    contact_id: str | None = None
    contact: Contact | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeImpact:
    impact: Impact
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    text: str
    is_update: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRoom:
    channel_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRoomFailure:
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordArchived:
    """The room was archived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Nothing but the end of a task."""


Command = (
    OpenIncident
    | DeclareAgain
    | ChooseRunbook
    | ChangeStatus
    | ChangeSeverity
    | AssignRole
    | Acknowledge
    | Join
    | Leave
    | TickStep
    | UntickStep
    | SkipStep
    | ChooseBranch
    | RunDiagnostics
    | RecordDiagnostic
    | RequestRun
    | RecordPreview
    | ConfirmRun
    | CancelRun
    | RecordRun
    | ReachDue
    | RecordPage
    | RecordFollowed
    | CheckIn
    | Escalate
    | ChangeImpact
    | Note
    | RecordRoom
    | RecordRoomFailure
    | RecordArchived
    | Settle
)
