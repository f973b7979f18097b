"""One run of an action, from the request to its outcome: who asked, what it would do, who confirmed it, what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.domain.facts import Moment
from bot.domain.outcome import UNDO_PREFIX, Outcome, Preview, Risk


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """At most one of the ends (``cancelled``, ``denied``, ``expired_at``, ``refused``, ``outcome``) is set."""

    id: str
    step_id: str
    action: str
    title: str
    risk: Risk
    params: Mapping[str, Any]
    params_digest: str
    requested: Moment
    undo: str = ""
    """The action that takes it back."""
    undoes: str = ""
    """The run that it takes back."""
    revert_after_s: int | None = None
    """So long after its confirmation it is taken back by itself, and again until that is seen to have worked."""
    preview: Preview | None = None
    previewed_at: datetime | None = None
    expires_at: datetime | None = None
    """Until when it may be confirmed."""
    break_glass_at: datetime | None = None
    """From when it may be confirmed without a second person; None where none is needed."""
    refused: str = ""
    """Why there is no preview."""
    confirmed: Moment | None = None
    break_glass: str = ""
    """The reason of whoever confirmed it without a second person."""
    cancelled: Moment | None = None
    denied: Moment | None = None
    denied_why: str = ""
    expired_at: datetime | None = None
    stopping: Moment | None = None
    """Somebody pressed Stop; it ends at the next place where it can."""
    outcome: Outcome | None = None
    finished_at: datetime | None = None
    looked_at: datetime | None = None
    """When its outcome was looked at once more."""
    revert_asked: Moment | None = None
    """Somebody wants it taken back now."""
    revert_failed_at: datetime | None = None
    revert_failures: int = 0
    revert_why: str = ""
    """Why the last attempt to take it back did not work."""
    reverted_at: datetime | None = None
    """When it was seen to be taken back: by itself, or by another run."""
    reverted: Outcome | None = None

    @property
    def is_open(self) -> bool:
        """Somebody or something still has to do something about it."""
        return not (self.cancelled or self.denied or self.expired_at or self.outcome or self.refused)

    @property
    def is_waiting(self) -> bool:
        """It has a preview, and waits for somebody to confirm it."""
        return self.is_open and self.preview is not None and self.confirmed is None

    @property
    def needs_second(self) -> bool:
        """Whoever asked cannot confirm it."""
        return self.risk is Risk.DESTRUCTIVE

    def undo_params(self, names: Iterable[str]) -> dict[str, Any]:
        """Those parameters of the action that takes it back (``names``) that are known from this run: its facts go first."""
        facts = self.outcome.facts if self.outcome else {}
        found = {name: facts.get(f"{UNDO_PREFIX}{name}", self.params.get(name)) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def reverts_at(self) -> datetime | None:
        """When it is due to be taken back; None: it is not, or it was."""
        if self.revert_after_s is None or self.confirmed is None or self.reverted_at:
            return None
        moments = [self.confirmed.at + timedelta(seconds=self.revert_after_s)]
        moments += [asked.at for asked in (self.revert_asked, self.denied) if asked]  # what was denied may have begun
        return min(moments)
