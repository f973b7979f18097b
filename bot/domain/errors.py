"""The one error tree of Muster.

Every edge translates a vendor's error into one of these, once, ``from`` the original; everything
inside raises and catches only these.

    MusterError
    ├── UserError            what the person did; the message is shown to them
    │   └── ForbiddenError   they may not do this
    ├── ConflictError        the state changed meanwhile: reload and decide again
    │   └── FencedError      the task is another worker's by now, or not wanted any more
    ├── TemporaryError       will pass by itself; ``retry_after_s`` says when to try again
    ├── PermanentError       will not pass: a revoked token, a missing scope, a refused request
    │   ├── NotConfiguredError  a setting is missing; names the variable
    │   └── ConfigError      a file or a setting is at fault
    ├── UnknownOutcome       nobody can know whether it happened: look before repeating
    └── UnknownEntryError    the timeline holds a fact that this version does not understand

A message says what failed, on what, and what to do next.
"""

from __future__ import annotations


class MusterError(Exception):
    """Base of every error that Muster raises on purpose."""


class UserError(MusterError):
    """What the person asked for cannot be done; the message is shown to them as it is."""


class ForbiddenError(UserError):
    """The person may not do this; the message says who may."""


class ConflictError(MusterError):
    """Somebody else changed the state first. Reload, decide again."""


class FencedError(ConflictError):
    """The task belongs to another worker now; what this one found out is not written, and nothing more is begun."""


class TemporaryError(MusterError):
    """The outside did not do it now but will later (429, 5xx, no connection).

    ``retry_after_s`` is the wait that the outside asked for, in seconds, or None when it did not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PermanentError(MusterError):
    """Repeating will not help: somebody has to mend something first. ``code`` is the outside's own word for it."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class NotConfiguredError(PermanentError):
    """A provider is not configured; ``setting`` is the variable to set. Nothing was contacted."""

    def __init__(self, message: str, *, setting: str) -> None:
        super().__init__(message, code="not_configured")
        self.setting = setting


class ConfigError(PermanentError):
    """A file or a setting is at fault; the message has the place and the remedy."""


class UnknownOutcome(MusterError):
    """The request was sent and no answer came: it may have happened. Look before repeating."""


class UnknownEntryError(MusterError):
    """A timeline entry of a kind, or of a version, that this program does not know: refuse to decide, do not guess."""
