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
    """``params`` were validated by the action's own model; ``action``, ``title``, ``risk``, ``undo`` and ``revert_after_s`` come
    from the registry. ``undoes``: the run that it takes back."""

    step_id: str
    action: str
    title: str
    risk: Risk
    params: dict[str, Any] = field(default_factory=dict)
    undo: str = ""
    undoes: str = ""
    revert_after_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPreview:
    run_id: str
    preview: Preview | None
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRun:
    """Yes: do exactly what was shown. For what needs a second person it is the approval."""

    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """Yes, without a second person. ``alone``: nobody else may approve, so nobody has to be waited for."""

    run_id: str
    reason: str
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyRun:
    """No. It ends the run also when somebody has approved it and nothing was begun."""

    run_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRun:
    """End a run that is under way, at the next place where that can be done."""

    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtRun:
    """Look at what became of a run that nobody knows the end of."""

    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLook:
    run_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertNow:
    """What takes itself back later is to do it now."""

    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRevert:
    """``outcome`` ok: seen to be taken back."""

    run_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAccounts:
    """Who is affected: ids of accounts at the provider."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWatch:
    step_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndWatch:
    step_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordWatch:
    step_id: str
    number: int
    outcome: Outcome


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
    | BreakGlass
    | DenyRun
    | StopRun
    | LookAtRun
    | RecordLook
    | RevertNow
    | RecordRevert
    | ChangeAccounts
    | StartWatch
    | EndWatch
    | RecordWatch
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
