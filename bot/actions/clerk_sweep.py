"""Ending the sessions of many users, paced, stoppable, and resumable on any replica. Used by `bot.actions.clerk_bulk`.

Everything that has to survive a crash is in the job: the cutoff, the cursor of the list of users, who is still to be done, what
each session looked like before it was ended, and how each session and each user ended. A crash between a call and its record
repeats a call that changes nothing the second time. Items of the queue are user ids; those of the second pass begin with
``AGAIN``.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import structlog
from pydantic import JsonValue

from bot.actions.spec import ActionContext
from bot.domain.errors import FencedError, MusterError, TemporaryError, UnknownOutcome
from bot.providers.clerk import MAX_LIMIT, MAX_NAMED, MAX_PAGES, ClerkClient, Session
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.providers.foreign import foreign_text
from bot.services.ending import end_all
from bot.services.jobs import Job, way_of

BUCKET: Final = "clerk"
TOKEN_LIFE_S: Final = 60.0
"""A token issued before its session was ended is accepted for so long; afterwards everybody is looked at once more."""
CLOCKS_APART_MS: Final = 30_000
"""Clerk's clock and Redis's may differ: who signed in that shortly after the confirmation is signed out too."""
AGAIN: Final = "again/"
ROW: Final = "session/"
BUDGET_S: Final = 6 * 3600.0
"""Below the deadline of the action, so that a run that is too long still ends with an honest count."""

CALLS_AT_ONCE: Final = 16
USERS_AT_ONCE: Final = 8
BATCH: Final = 100
SMALL_PAGE: Final = 50
"""For instances whose users carry so much metadata that a full page is more than Muster reads."""
MAX_TRIES: Final = 3
PATIENCE_S: Final = 120.0
"""So long one call waits for a Clerk, or a Redis, that answers nobody."""
LONGEST_WAIT_S: Final = 300.0
_LONGEST_BACKOFF_S: Final = 15.0
_DEFAULT_WAIT_S: Final = 1.0
_SLICE_S: Final = 1.0
_PROGRESS_EVERY_S: Final = 1.0
_HOPELESS: Final = frozenset({"unauthorized", "forbidden", "payment_required", "redirected"})

T = TypeVar("T")
log = structlog.get_logger(__name__)


class OverError(Exception):
    """No further call is made: somebody pressed Stop, the time is up, or Clerk does not want it."""


class Caller:
    """Calls to Clerk: each waits for its turn in the limit that all replicas share, and is repeated where that may help."""

    def __init__(self, context: ActionContext, *, per_s: float) -> None:
        self._context = context
        self._per_s = per_s
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self._clock = asyncio.get_running_loop().time
        self._gives_up_at = self._clock() + BUDGET_S
        self._answers = 0
        self.halt: tuple[str, str] | None = None
        """Why no further call is made, and what to do about it."""

    @property
    def is_over(self) -> bool:
        """Whether ``ask`` would raise OverError. Sets ``halt``."""
        if self.halt is None and self._context.is_stopping():
            self.halt = ("somebody stopped it", "run it again to go on")
        if self.halt is None and self._clock() > self._gives_up_at:
            self.halt = (f"it took longer than {BUDGET_S / 3600:g} h", "run it again to go on")
        return self.halt is not None

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """What ``call`` returns; it must be safe to repeat.

        Raises: OverError; Refused; Unavailable and Unanswered when several tries failed while Clerk answered others, or it
            answered nobody for ``PATIENCE_S``, which ends everything. And what the store raises, when that stays away.
        """
        tries, waited_s, answers = 0, 0.0, self._answers
        while True:
            try:
                async with self._slots:
                    self._check()
                    await self.patiently(lambda: self._context.pace(BUCKET, self._per_s))
                    self._check()  # waiting for the turn may have taken long
                    result = await call()
            except Refused as error:
                self._answers += 1
                if error.code in _HOPELESS:
                    self.halt = self.halt or (error.what, error.remedy)
                raise
            except (Unavailable, Unanswered) as error:
                tries += 1
                busy = isinstance(error, Unavailable) and error.reason == "busy"
                wait_s = _wait_after(error, tries)
                if not busy and tries >= MAX_TRIES and self._answers > answers:
                    raise  # Clerk answers others: it is this one
                if wait_s > LONGEST_WAIT_S or waited_s + wait_s > PATIENCE_S + LONGEST_WAIT_S * busy:
                    self.halt = self.halt or (error.what, error.remedy)
                    raise
                if busy:
                    await self.patiently(lambda: self._context.pause(BUCKET, wait_s))  # noqa: B023 - used at once
                await self.rest(wait_s)
                waited_s += wait_s
            else:
                self._answers += 1
                return result

    def _check(self) -> None:
        if self.is_over:
            raise OverError

    async def patiently(self, request: Callable[[], Awaitable[T]]) -> T:
        """What the store answers; a Redis that is away for a moment must not end a run of an hour. ``request`` is safe to repeat.

        Raises: TemporaryError, UnknownOutcome when it stays away for ``PATIENCE_S``.
        """
        waited_s = 0.0
        while True:
            try:
                return await request()
            except (TemporaryError, UnknownOutcome):
                if waited_s >= PATIENCE_S:
                    raise
                await self._context.sleep(_DEFAULT_WAIT_S)
                waited_s += _DEFAULT_WAIT_S

    async def rest(self, seconds: float) -> None:
        """Wait; not any longer once it is over."""
        while seconds > 0 and not self.is_over:
            await self._context.sleep(min(_SLICE_S, seconds))
            seconds -= _SLICE_S


class Sweep:
    """One attempt of a run. ``user_ids``, ``query`` or neither (everyone) is its scope; ``spared`` are users with the reason."""

    def __init__(
        self, context: ActionContext, *, per_s: float, user_ids: Sequence[str], query: str, spared: Mapping[str, str]
    ) -> None:
        self._clerk: ClerkClient = context.providers.clerk()
        self._context = context
        self._job: Job = context.job
        self._user_ids = user_ids
        self._query = query
        self._spared = spared
        self._caller = Caller(context, per_s=per_s)
        self._cutoff_ms = 0
        self._users_left = 0
        self._is_again = False
        self._sessions_ended = 0
        self._progress_at = 0.0

    @property
    def halt(self) -> tuple[str, str] | None:
        """Why it ended before its end, and what to do about it."""
        return self._caller.halt

    async def run(self) -> None:
        """Until everybody was looked at twice, or it is over. Raises: what the store raises; Refused, Unavailable when the users
        could not be listed; FencedError."""
        try:
            notes = await self._begin()
            await self._list_users(notes)
            await self._drain()
            if self._caller.is_over:
                return
            await self._second_pass(notes)
        except OverError:
            return

    async def look(self) -> Mapping[str, int | str]:
        """For each user of the run how many of their sessions from before the cutoff are live, or why nobody knows. Changes
        nothing. Raises: like ``run``."""
        notes = await self._book(self._job.notes)
        self._cutoff_ms = _number(notes.get("cutoff_ms")) or self._cutoff_now()
        found: dict[str, int | str] = {}

        async def count(user_id: str) -> None:
            try:
                sessions, complete = await self._read(user_id)
                found[user_id] = len(sessions) if complete or sessions else "the list is longer than could be read"
            except (Refused, Unavailable) as error:
                found[user_id] = error.what
            except OverError:
                found[user_id] = "it was not looked at"

        await _together(await self._users(), count, at_once=USERS_AT_ONCE)
        return found

    # -- who -------------------------------------------------------------------------------------------------------

    async def _begin(self) -> dict[str, JsonValue]:
        """The notes of the run; the first attempt writes them, the others go by them."""
        notes = await self._book(self._job.notes)
        if "cutoff_ms" not in notes:
            notes |= {"cutoff_ms": self._cutoff_now(), "began_at": time.time(), "listed": False, "cursor": ""}
            first = dict(notes)
            await self._book(lambda: self._job.save(first))
        self._cutoff_ms = _number(notes["cutoff_ms"])
        ended = await self._book(self._job.ended)
        self._sessions_ended = sum(how in ("revoked", "gone") for how in ended.values())
        return notes

    def _cutoff_now(self) -> int:
        confirmed_at = self._context.run.confirmed_at
        return round((confirmed_at.timestamp() if confirmed_at else time.time()) * 1000)

    async def _list_users(self, notes: Mapping[str, JsonValue]) -> None:
        """Queue everybody of the scope; an attempt goes on behind the last page that was written."""
        if notes.get("listed"):
            return
        if self._user_ids:
            for start in range(0, len(self._user_ids), MAX_NAMED):
                await self._queue_named(self._user_ids[start : start + MAX_NAMED])
        else:
            cursor = str(notes.get("cursor") or "")
            while cursor := await self._queue_page(cursor):
                await self._report(f"{await self._left()} users found so far", now=False)
        most = self._context.run.most_accounts
        found = await self._left()
        if most and found > most:  # more than when it was shown
            self._caller.halt = (
                f"{found} users are meant by now, and one action may hit {most}, so nobody was signed out",
                "take fewer, or raise most_accounts in policy.yml",
            )
            return
        await self._book(lambda: self._job.save({"listed": True}))

    async def _queue_named(self, user_ids: Sequence[str]) -> None:
        found = {user.id for user in await self._caller.ask(lambda: self._clerk.list_users(user_ids=user_ids))}
        missing = {user_id: "missing" for user_id in user_ids if user_id not in found}
        await self._queue([user_id for user_id in user_ids if user_id in found], ends=missing, notes={})

    async def _queue_page(self, cursor: str) -> str:
        """The new cursor; "" when that was the last page."""
        try:
            user_ids, is_last = await users_after(cursor, query=self._query, clerk=self._clerk, ask=self._caller.ask)
        except Refused as error:
            if error.code not in ("not_found", "http_400", "http_422") or not cursor:
                raise
            await self._queue([], ends={}, notes={"cursor": ""})  # whoever the cursor names was deleted: from the start
            return await self._queue_page("")
        following = user_ids[-1] if user_ids else ""
        await self._queue(user_ids, ends={}, notes={"cursor": following})
        return "" if is_last or following == cursor else following

    async def _queue(self, user_ids: Sequence[str], *, ends: Mapping[str, str], notes: Mapping[str, JsonValue]) -> None:
        wanted = [user_id for user_id in user_ids if user_id not in self._spared]
        ended = {**ends, **{user_id: f"skipped: {self._spared[user_id]}" for user_id in user_ids if user_id in self._spared}}
        if ended:
            await self._book(lambda: self._job.end(ended))
        await self._book(lambda: self._job.add(wanted, notes))

    async def _users(self) -> list[str]:
        """Everybody whose sessions this run is about."""
        ended = await self._book(self._job.ended)
        queued = await self._book(lambda: self._job.next(10_000_000))
        found = [item for item in ended if item.startswith("user_") and way_of(ended[item]) not in ("skipped", "missing")]
        return list(dict.fromkeys([*found, *(item.removeprefix(AGAIN) for item in queued)]))

    async def _second_pass(self, notes: Mapping[str, JsonValue]) -> None:
        if not notes.get("again"):
            await self._wait_for_tokens(_number(notes["began_at"]))
            if self._caller.is_over:
                return
            again = [f"{AGAIN}{user_id}" for user_id in await self._users()]
            await self._book(lambda: self._job.add(again, {"again": True}))
        self._is_again = True
        await self._drain()
        if not self._caller.is_over:
            await self._book(lambda: self._job.save({"finished": True}))

    async def _wait_for_tokens(self, began_at: float) -> None:
        wait_s = min(TOKEN_LIFE_S, max(0.0, began_at + TOKEN_LIFE_S - time.time()))
        if wait_s >= 1:
            await self._report(f"{sessions_text(self._sessions_ended)} ended; looking once more in {wait_s:.0f} s", now=True)
        await self._caller.rest(wait_s)

    # -- ending ----------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Do what is queued, until nothing is left or it is over."""
        while not self._caller.is_over:
            items = await self._book(lambda: self._job.next(BATCH))
            if not items:
                return
            self._users_left = await self._left()
            await _together(items, self._one_user, at_once=USERS_AT_ONCE)

    async def _one_user(self, item: str) -> None:
        if self._caller.is_over:
            return
        try:
            how = await self._clear(item.removeprefix(AGAIN))
        except OverError:
            return  # it stays in the queue
        except (Refused, Unavailable) as error:
            how = "missing" if isinstance(error, Refused) and error.code == "not_found" else f"unread: {error.what}"
        await self._book(lambda: self._job.end({item: how}))
        self._users_left -= 1
        await self._report_how_far()

    async def _clear(self, user_id: str) -> str:
        """End the user's sessions from before the cutoff, in rounds from the top of the list. How it ended: "clear", or "active"
        and "unread" with the reason. Raises: OverError, Refused, Unavailable."""
        tries: Counter[str] = Counter()
        reasons: dict[str, str] = {}

        async def end(session: Session) -> None:
            tries[session.id] += 1
            try:
                how = await self._caller.ask(lambda: self._clerk.revoke_session(session.id))
            except OverError:
                return
            except (Refused, Unavailable, Unanswered) as error:  # the next read of the list tells
                reasons[session.id] = error.what
                return
            await self._book(lambda: self._job.end({session.id: how}))
            if tries[session.id] == 1:
                self._sessions_ended += 1
            await self._report_how_far()

        while True:
            left, complete = await self._read(user_id)
            todo = [session for session in left if tries[session.id] < MAX_TRIES]
            if not todo:
                break
            rows: dict[str, JsonValue] = {f"{ROW}{session.id}": list(row_of(session)) for session in todo}
            await self._book(lambda: self._job.save(rows))  # noqa: B023 - used at once
            await _together(todo, end, at_once=CALLS_AT_ONCE)
        if left:
            failed = {session.id: f"failed: {reasons.get(session.id, 'it stays active')}" for session in left}
            await self._book(lambda: self._job.end(failed))
            return f"active: {next(iter(failed.values())).removeprefix('failed: ')}"
        return "clear" if complete else "unread: the list of sessions is longer than could be read"

    async def _read(self, user_id: str) -> tuple[list[Session], bool]:
        """The live sessions from before the cutoff, newest first, and whether these are all; if not, and there are some, the next
        read shows more when they have ended. Raises: OverError, Refused, Unavailable."""
        page = await self._caller.ask(lambda: self._clerk.list_sessions(user_id))
        if len(page) < MAX_LIMIT:
            return self._old(page), True
        active = self._old(await self._caller.ask(lambda: self._clerk.list_sessions(user_id, status="active")))
        if active:
            return active, False
        found = list(page)
        for number in range(1, MAX_PAGES):  # the pending ones, for which there is no filter, and the old ones behind many new
            offset = number * MAX_LIMIT
            page = await self._caller.ask(lambda: self._clerk.list_sessions(user_id, offset=offset))  # noqa: B023
            found += page
            if len(page) < MAX_LIMIT:
                return self._old(found), True
        return self._old(found), False

    def _old(self, sessions: Iterable[Session]) -> list[Session]:
        until_ms = self._cutoff_ms + CLOCKS_APART_MS
        unique = {session.id: session for session in sessions}
        return [session for session in unique.values() if session.is_live and (session.created_at or 0) <= until_ms]

    # -- the job and the people ------------------------------------------------------------------------------------

    async def _book(self, request: Callable[[], Awaitable[T]]) -> T:
        return await self._caller.patiently(request)

    async def _left(self) -> int:
        return await self._book(self._job.left)

    async def _report_how_far(self) -> None:
        looked = ", looking once more" if self._is_again else ""
        await self._report(
            f"{sessions_text(self._sessions_ended)} ended{looked}; {users_text(max(0, self._users_left))} to go", now=False
        )

    async def _report(self, line: str, *, now: bool) -> None:
        """A line of progress, not more than about one a second. That nobody could be told stops nothing."""
        clock = asyncio.get_running_loop().time()
        if not now and clock < self._progress_at:
            return
        self._progress_at = clock + _PROGRESS_EVERY_S
        try:
            await self._context.progress(line)
        except MusterError as error:
            log.warning("progress_not_shown", action="clerk.revoke_everywhere", error=type(error).__name__)


class Ask(Protocol):
    """Makes a call to Clerk when it is its turn."""

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        """What the call returns."""
        ...


async def users_after(cursor: str, *, query: str, clerk: ClerkClient, ask: Ask) -> tuple[list[str], bool]:
    """(the ids of the next users behind the user ``cursor``, oldest first, whether these are the last); "" is the beginning.

    Raises: Refused when there is no user ``cursor`` any more; and what ``ask`` raises.
    """
    limit = MAX_LIMIT
    try:
        page = await ask(lambda: clerk.list_users(query=query, starting_after=cursor))
    except Refused as error:
        if error.code != "too_large":
            raise
        limit = SMALL_PAGE
        page = await ask(lambda: clerk.list_users(query=query, starting_after=cursor, limit=SMALL_PAGE))
    return [user.id for user in page], len(page) < limit


def row_of(session: Session) -> tuple[str | int | None, ...]:
    """What the review needs of a session: user, status, when it began and was last used (ms since 1970), address, city, country,
    device, browser. All of it is text that somebody else chose, cleaned."""
    activity = session.latest_activity
    seen = (activity.ip_address, activity.city, activity.country, activity.device_type, activity.browser_name) if activity else ()
    shown = [foreign_text(text, max_chars=60) for text in (*seen, *[None] * (5 - len(seen)))]
    return (session.user_id, foreign_text(session.status, max_chars=20), session.created_at, session.last_active_at, *shown)


def sessions_text(count: int) -> str:
    """ "1 session", "4,200 sessions"."""
    return f"{count:,} session{'' if count == 1 else 's'}"


def users_text(count: int) -> str:
    """ "1 user", "4,200 users"."""
    return f"{count:,} user{'' if count == 1 else 's'}"


def _wait_after(error: Unavailable | Unanswered, tries: int) -> float:
    if isinstance(error, Unavailable) and error.retry_after_s is not None:
        return max(_DEFAULT_WAIT_S, error.retry_after_s)
    return float(min(_LONGEST_BACKOFF_S, _DEFAULT_WAIT_S * 2 ** (tries - 1)))


def _number(value: JsonValue) -> int:
    return round(value) if isinstance(value, int | float) else 0


async def _together(things: Sequence[T], do: Callable[[T], Awaitable[None]], *, at_once: int) -> None:
    """``do`` all of them, so many at once. Raises: the first thing that was raised, as it is and not in a group, because the
    guards of the runner know it by its type; FencedError before any other."""
    line = iter(things)

    async def work() -> None:
        for thing in line:
            await do(thing)

    workers = [asyncio.create_task(work(), name="sweep") for _ in range(min(at_once, len(things)))]
    if not workers:
        return
    try:
        ended, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end_all(workers)
    raised = [error for worker in ended if not worker.cancelled() and (error := worker.exception())]
    fenced = [error for error in raised if isinstance(error, FencedError)]
    for error in (*fenced, *raised):
        raise error
