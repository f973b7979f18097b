"""Listing and ending the sessions of one Clerk user. Declared as actions in `bot.actions.clerk`.

Ending them is naturally idempotent: each round reads who is still signed in, from the top of the list, and ends what it
finds, so a run that was killed is simply run again. What a round could not end is tried again, but never without end:
a session has three attempts, and the last thing that a run does is to read the list once more. What is known of the sessions
is saved before the first of them ends.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import structlog
from pydantic import Field

from bot.actions.clerk_accounts import get_unprotected, not_done, sessions_record
from bot.actions.spec import ActionContext, ActionParams
from bot.domain.errors import MusterError, UserError
from bot.domain.outcome import Outcome, Preview, State
from bot.providers.clerk import USER_ID_PATTERN, ClerkClient, LiveSessions, Session
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.providers.foreign import foreign_text, moment_of

STILL_VALID: Final = "tokens already issued stay valid for about a minute"
"""Applications check a session token offline until it expires, about 60 s after its issue."""

CONCURRENCY: Final = 5
MAX_ATTEMPTS: Final = 3
RUN_BUDGET_S: Final = 240.0
"""Below the deadline of the action, so that a run that is too long still ends with an honest count."""
LONGEST_WAIT_S: Final = 30.0
MAX_WAITS_IN_A_ROW: Final = 20
_DEFAULT_WAIT_S: Final = 1.0
_PROGRESS_EVERY_S: Final = 1.0
_HOPELESS: Final = frozenset({"unauthorized", "forbidden", "payment_required", "redirected"})

T = TypeVar("T")
log = structlog.get_logger(__name__)


class UserParams(ActionParams):
    """One user of Clerk."""

    user_id: str = Field(
        title="User id",
        description="The user's id at Clerk, from the Dashboard or a log; it begins with user_.",
        pattern=USER_ID_PATTERN,
        json_schema_extra={"placeholder": "user_…"},
    )


async def list_sessions(params: UserParams, context: ActionContext) -> Outcome:
    """Who is signed in as this user, and from where."""
    clerk = context.providers.clerk()
    await clerk.get_user(params.user_id)
    live = await clerk.list_live_sessions(params.user_id)
    counted = _counted(live.sessions)
    if not live.complete:
        return Outcome(
            state=State.UNKNOWN,
            value=counted,
            summary=f"{params.user_id} has at least {counted}; the list is longer than could be read",
            details=tuple(session_line(session) for session in live.sessions),
            remedy="Look at the user in Clerk's Dashboard",
        )
    return Outcome(
        state=State.OK,
        value=counted,
        summary=f"{params.user_id} is signed in with {counted}",
        details=tuple(session_line(session) for session in live.sessions),
        facts={"live": len(live.sessions)},
    )


async def preview_revocation(params: UserParams, context: ActionContext) -> Preview:
    """The exact sessions that would end.

    Raises: Refused with the code not_found when there is no such user, UserError when policy.yml protects them.
    """
    clerk = context.providers.clerk()
    await get_unprotected(clerk, params.user_id, context)
    live = await clerk.list_live_sessions(params.user_id)
    count, accounts = len(live.sessions), (params.user_id,)
    if not count and live.complete:
        return Preview(
            summary=f"{params.user_id} has no active sessions; nothing would change.", nothing_to_do=True, accounts=accounts
        )
    more = "" if live.complete else " There may be more than could be listed; they end too."
    return Preview(
        summary=f"{_counted(live.sessions)} of {params.user_id} end{'s' if count == 1 else ''}; {STILL_VALID}.{more}",
        items=tuple(session_line(session) for session in live.sessions),
        confirm_label=f"End {_sessions(count)}",
        accounts=accounts,
        affects=1,
    )


async def revoke_sessions(params: UserParams, context: ActionContext) -> Outcome:
    """End every active and pending session of the user. Safe to run again at any time.

    `ok` only when a last look shows none left, `failing` when sessions are still active, `unknown` when it failed.
    """
    clerk = context.providers.clerk()
    revocation = _Revocation(clerk, params.user_id, context)
    try:
        await revocation.find_user()
    except UserError as error:
        return not_done(str(error))
    outcome = await revocation.complete()
    return outcome.model_copy(update={"report": revocation.record, "accounts": (params.user_id,)})


def session_line(session: Session) -> str:
    """ "sess_x · active · Chrome on desktop · Berlin, DE · last active 2026-11-20 19:38 UTC"."""
    parts = [session.id, foreign_text(session.status, max_chars=20)]
    activity = session.latest_activity
    if activity is None:
        parts.append("unknown device")
    else:
        device = foreign_text(activity.device_type, max_chars=30) or ("mobile" if activity.is_mobile else "desktop")
        browser = foreign_text(activity.browser_name, max_chars=30)
        parts.append(f"{browser} on {device}" if browser else device)
        place = [foreign_text(activity.city, max_chars=40), foreign_text(activity.country, max_chars=40)]
        parts.append(", ".join(part for part in place if part) or "unknown place")
    parts.append(f"last active {moment_of(session.last_active_at)}")
    return " · ".join(parts)


class _Revocation:
    """One run: what was found, tried and answered so far. All of it lives for this run only."""

    def __init__(self, clerk: ClerkClient, user_id: str, context: ActionContext) -> None:
        self._clerk = clerk
        self._user_id = user_id
        self._context = context
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._clock = asyncio.get_running_loop().time
        self._gives_up_at = self._clock() + RUN_BUDGET_S
        self._progress_at = 0.0
        self._found: dict[str, Session] = {}
        self._attempts: Counter[str] = Counter()
        self._revoked: set[str] = set()
        self._gone: set[str] = set()
        self._waits_in_a_row = 0
        self._halt: tuple[str, str] | None = None
        self._last_fault: tuple[str, str] | None = None
        self.record = ""
        """What was known of the sessions before the first one ended, by this attempt or by one that was interrupted."""

    async def find_user(self) -> None:
        """Raises: Refused with the code not_found: a mistyped id must not look like a user without sessions; UserError when
        the account is protected."""
        await self._patiently(lambda: get_unprotected(self._clerk, self._user_id, self._context))

    async def complete(self) -> Outcome:
        """Rounds of reading and ending until a read shows nothing that is left to try; that read is the proof."""
        while True:
            try:
                live = await self._read()
            except (Refused, Unavailable) as error:
                return self._unseen(error)
            self._found.update((session.id, session) for session in live.sessions)
            await self._save()
            todo = [session for session in live.sessions if self._attempts[session.id] < MAX_ATTEMPTS]
            if self._clock() > self._gives_up_at:
                self._halt = self._halt or (f"it took longer than {RUN_BUDGET_S:g} s", "run it again to go on")
            if not todo or self._halt:
                return self._seen(live)
            await self._end_all(todo)

    async def _read(self) -> LiveSessions:
        """Who is signed in. Raises: Refused; Unavailable when three reads failed."""
        for _ in range(MAX_ATTEMPTS - 1):
            try:
                return await self._patiently(lambda: self._clerk.list_live_sessions(self._user_id))
            except Unavailable:
                if self._halt:
                    raise
                await self._context.sleep(_DEFAULT_WAIT_S)
        return await self._patiently(lambda: self._clerk.list_live_sessions(self._user_id))

    async def _save(self) -> None:
        if self.record:
            return
        saved = (await self._context.job.notes()).get("record")
        if isinstance(saved, str):
            self.record = saved
        elif self._found:
            self.record = sessions_record(self._found.values())
            await self._context.job.save({"record": self.record})

    async def _end_all(self, sessions: Iterable[Session]) -> None:
        self._last_fault = None
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(self._end(session.id), name=f"revoke {session.id}")
        await self._report(now=True)
        if self._last_fault and not self._halt:
            await self._context.sleep(_DEFAULT_WAIT_S)

    async def _end(self, session_id: str) -> None:
        async with self._slots:
            if self._halt or self._clock() > self._gives_up_at:
                return
            self._attempts[session_id] += 1
            try:
                result = await self._patiently(lambda: self._clerk.revoke_session(session_id))
            except Unanswered as error:  # whether it was done is what the next read tells
                self._last_fault = (error.what, error.remedy)
                return
            except Unavailable as error:
                self._last_fault = (error.what, error.remedy)
                return
            except Refused as error:
                self._last_fault = (error.what, error.remedy)
                if error.code in _HOPELESS:
                    self._halt = self._last_fault
                return
            (self._revoked if result == "revoked" else self._gone).add(session_id)
        await self._report(now=False)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """``call``, and again after the wait that a 429 asks for. Raises: Unavailable when that asks too much."""
        while True:
            try:
                result = await call()
            except Unavailable as error:
                if error.reason != "busy":
                    raise
                wait_s = _DEFAULT_WAIT_S if error.retry_after_s is None else error.retry_after_s
                self._waits_in_a_row += 1
                out_of_time = self._clock() + wait_s > self._gives_up_at
                if wait_s > LONGEST_WAIT_S or self._waits_in_a_row > MAX_WAITS_IN_A_ROW or out_of_time:
                    self._halt = (error.what, error.remedy)
                    raise
                await self._context.sleep(wait_s)
            else:
                self._waits_in_a_row = 0
                return result

    async def _report(self, *, now: bool) -> None:
        """A line of progress, not more than about one a second. That nobody could be told stops nothing."""
        if not now and self._clock() < self._progress_at:
            return
        self._progress_at = self._clock() + _PROGRESS_EVERY_S
        done = len(self._revoked | self._gone)
        try:
            await self._context.progress(f"{done} of {_sessions(len(self._found))} ended")
        except MusterError as error:
            log.warning("progress_not_shown", action="clerk.revoke_sessions", error=type(error).__name__)

    def _seen(self, live: LiveSessions) -> Outcome:
        """The outcome by a last look that worked."""
        left = {session.id for session in live.sessions}
        ended = {session_id for session_id in self._attempts if session_id not in left}
        gone = (self._gone - self._revoked) & ended
        failed = {session_id for session_id in self._attempts if session_id in left}
        facts = self._facts(revoked=len(ended - gone), gone=len(gone), failed=len(failed), still_active=len(left))
        details = (
            *(f"Still active: {session_line(session)}" for session in live.sessions),
            *(f"Ended: {session_line(session)}" for session in self._found.values() if session.id in ended),
        )
        value = f"{len(ended - gone)} revoked"
        if left:
            why, remedy = self._halt or self._last_fault or ("", "")
            return Outcome(
                state=State.FAILING,
                value=f"{len(left)} still active",
                summary=f"{_sessions(len(ended))} of {self._user_id} ended, {len(left)} still active"
                + (f": {why}" if why else ""),
                details=details,
                remedy=remedy or "Run it again; when sessions keep coming back, ban the user in Clerk's Dashboard",
                facts=facts,
            )
        if not live.complete:
            return Outcome(
                state=State.UNKNOWN,
                value=value,
                summary=f"{_sessions(len(ended))} of {self._user_id} ended; the list is too long to see if any is left",
                details=details,
                remedy="Look at the user in Clerk's Dashboard",
                facts={**facts, "still_active": None},
            )
        summary = f"{self._user_id} had no active sessions"
        if ended:
            already = f" ({len(gone)} had ended already)" if gone else ""
            summary = f"{_sessions(len(ended))} of {self._user_id} ended{already}, none is left; {STILL_VALID}"
        return Outcome(state=State.OK, value=value, summary=summary, details=details, facts=facts)

    def _unseen(self, error: Refused | Unavailable) -> Outcome:
        """The outcome when nobody could look any more: what was answered counts, what is left is unknown."""
        done = self._revoked | self._gone
        counted = f"{len(done)} of {_sessions(len(self._found))} of {self._user_id} ended"
        return Outcome(
            state=State.UNKNOWN,
            value=f"{len(self._revoked)} revoked",
            summary=f"{counted}, what is left is not known: {error.what}",
            details=tuple(
                f"{'Ended' if session.id in done else 'Not known'}: {session_line(session)}" for session in self._found.values()
            ),
            remedy=f"{error.remedy}; then run it again, which is safe",
            facts=self._facts(
                revoked=len(self._revoked),
                gone=len(self._gone),
                failed=len(self._attempts) - len(done),
                still_active=None,
            ),
        )

    @staticmethod
    def _facts(*, revoked: int, gone: int, failed: int, still_active: int | None) -> dict[str, str | int | bool | None]:
        return {"revoked": revoked, "already_gone": gone, "failed": failed, "still_active": still_active}


def _counted(sessions: tuple[Session, ...]) -> str:
    """ "7 active sessions", "7 sessions (6 active, 1 pending)"."""
    pending = sum(1 for session in sessions if session.status == "pending")
    if pending:
        return f"{_sessions(len(sessions))} ({len(sessions) - pending} active, {pending} pending)"
    return f"{len(sessions)} active session{'' if len(sessions) == 1 else 's'}"


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"
