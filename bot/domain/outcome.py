"""What a diagnostic or an action found out or did: the value objects that actions return and the timeline keeps."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class State(StrEnum):
    """`ok`: seen to be good. `failing`: seen to be bad. `unknown`: could not be seen; never shown as green."""

    OK = "ok"
    FAILING = "failing"
    UNKNOWN = "unknown"


class Risk(StrEnum):
    """What an action may do to people. `read` changes nothing; `destructive` needs a second person (design, section 7)."""

    READ = "read"
    CHANGE = "change"
    DESTRUCTIVE = "destructive"


UNDO_PREFIX = "undo_"
"""A fact of an outcome that begins with it is a parameter of the action that takes the run back."""


class Outcome(BaseModel):
    """The result of a diagnostic or an action.

    ``summary`` is one plain-text sentence for a tired reader (no mrkdwn, at most 300 characters, no secrets).
    ``value`` is the short reading beside the step ("operational", "7 revoked", "512 ms"); ``details`` are further
    plain-text lines for the thread. ``remedy`` says what to do when the state is not ok (a variable to set, a page to open).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: State
    summary: str
    value: str = ""
    details: tuple[str, ...] = ()
    remedy: str = ""
    facts: dict[str, str | int | bool | None] = Field(default_factory=dict)
    """Machine-readable readings for the report, for example ``{"revoked": 7, "still_active": 0}``. ``undo_<name>`` is the
    parameter ``<name>`` of the action that takes it back."""
    accounts: tuple[str, ...] = ()
    """Ids of accounts at the provider that were found to be affected; they join the list of the incident."""
    report: str = ""
    """A text too long for a message, kept as a file in the thread; redacted like everything else."""


class Preview(BaseModel):
    """Exactly what an action would do, shown before anybody confirms it.

    ``summary`` is one sentence ("7 active sessions of user_x end; …"), ``items`` the single things it touches as
    plain-text lines, ``confirm_label`` the verb on the button (at most 30 characters), ``nothing_to_do`` is True when
    running it would change nothing. ``accounts`` are the ids of the accounts that it would hit, where it hits accounts, and
    ``affects`` their number (more than are listed when there are very many).

    ``state`` binds the confirmation to what was shown: a run whose preview says another state by now does nothing. "" where
    what was shown may change without harm (sessions of a user who signs in meanwhile).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: str
    items: tuple[str, ...] = ()
    confirm_label: str = "Run"
    nothing_to_do: bool = False
    state: str = ""
    accounts: tuple[str, ...] = ()
    affects: int = 0
