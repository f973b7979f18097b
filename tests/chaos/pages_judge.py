"""What became of the pages: lost, late, repeated, made behind an acknowledgement. Pure: from what the ledgers say to a verdict.

All moments are epoch seconds of one machine.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.bench.report import percentile

UNANSWERED = frozenset({"hang_after_accept", "reset_after_accept", "accept_then_drop", "accept_then_timeout"})
BEHIND_S = 1.0
"""So long after an acknowledgement a call may still begin."""
GAP_S = 1.3
"""A look and the call that follows it are not further apart: the longest thing between them is the wait for a room."""
LONGEST_GAP_S = 15.0
RECORDED_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Somebody was asked to reach a contact for an incident (its number). ``accepted``: they did it, whatever they said;
    ``note`` says how they failed. ``replica``: who asked, where that is known."""

    at: float
    way: str
    incident: int
    contact: str
    key: str
    accepted: bool
    note: str = ""
    replica: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A page that had to be made. ``recorded``: (way, when) of what Muster knows to be accepted."""

    incident: int
    level: int
    contact: str
    due_at: float
    acknowledged_at: float | None = None
    over_at: float | None = None
    recorded: tuple[tuple[str, float], ...] = ()

    @property
    def stopped_at(self) -> float | None:
        """Since when nobody is to be called any more."""
        return min((at for at in (self.acknowledged_at, self.over_at) if at is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that lasted: Redis was away."""

    start: float
    end: float
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known about a run. ``kills``: (when, replica). ``refused_mails``: (when, contact or ""). ``looks``: (when,
    contact) of what was asked between the check and a page. ``leases``: (when, task id) of what a replica lost or tried again."""

    due: Sequence[Due]
    attempts: Sequence[Attempt]
    kills: Sequence[tuple[float, int]]
    away: Sequence[Span]
    refused_mails: Sequence[tuple[float, str]] = ()
    looks: Sequence[tuple[float, str]] = ()
    leases: Sequence[tuple[float, str]] = ()


@dataclass(kw_only=True)
class Verdict:
    """``lost``, ``unexplained`` and ``behind`` must be empty. Lateness in seconds, from due to the first attempt; ``net_s`` is
    without the time in which Redis was away."""

    due: int = 0
    stopped: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[Due] = field(default_factory=list)
    """The pages that the lists of faults are about."""
    repeats: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)
    behind_in_the_gap: int = 0
    uncalled_for: list[str] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    net_s: list[float] = field(default_factory=list)
    latest: list[tuple[float, str, Due]] = field(default_factory=list)
    """(net lateness, in words, page) of the five that came last."""

    @property
    def good(self) -> bool:
        """Nothing lost, every repetition explained, nobody called behind an acknowledgement."""
        return not (self.lost or self.unexplained or self.behind or self.uncalled_for)

    def lines(self) -> list[str]:
        """The table."""
        ways = ", ".join(f"{count} by {way}" for way, count in sorted(self.accepted.items()))
        reasons = "; ".join(f"{count} {reason}" for reason, count in self.repeats.most_common())
        rows = [
            ("pages due", f"{self.due}, {self.stopped} of them stopped by an acknowledgement before they were made"),
            ("accepted", ways),
            ("lost", str(len(self.lost))),
            ("repeated", f"{self.repeats.total()}" + (f": {reasons}" if reasons else "")),
            ("repeated without a reason", str(len(self.unexplained))),
            (
                f"begun over {BEHIND_S:g} s behind the acknowledgement",
                f"{len(self.behind)}, and {self.behind_in_the_gap} between check and call",
            ),
            ("of nobody's level", str(len(self.uncalled_for))),
        ]
        for name, values in (("late", self.late_s), ("(without the time in which Redis was away)", self.net_s)):
            if values:
                p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
                rows.append((name, f"p50 {p50:.2f} s, p99 {p99:.2f} s, at most {max(values):.2f} s"))
        lines = [f"  {name:<46}{value}" for name, value in rows]
        lines += [f"  the latest: {late}" for _, late, _ in self.latest]
        for what in ("lost", "unexplained", "behind", "uncalled_for"):
            lines += [f"  {what.upper()}: {one}" for one in getattr(self, what)[:20]]
        return lines


def judge(evidence: Evidence) -> Verdict:
    """See the module."""
    verdict = Verdict(due=len(evidence.due))
    by_page: dict[tuple[int, str], list[Attempt]] = defaultdict(list)
    for attempt in sorted(evidence.attempts, key=lambda one: one.at):
        by_page[attempt.incident, attempt.contact].append(attempt)
    looks: dict[str, list[float]] = defaultdict(list)
    for at, contact in sorted(evidence.looks):
        looks[contact].append(at)
    wanted = {(one.incident, one.contact): one for one in evidence.due}
    for page, attempts in by_page.items():
        for accepted in (one for one in attempts if one.accepted):
            verdict.accepted[accepted.way] += 1
        if page not in wanted:
            verdict.uncalled_for += [f"inc-{page[0]} {page[1]} by {one.way} at {one.at:.2f}" for one in attempts]
    latest: list[tuple[float, str, Due]] = []
    for page, due in wanted.items():
        attempts = by_page.get(page, [])
        _completeness(due, attempts, verdict)
        _repeats(due, attempts, evidence, looks[due.contact], verdict)
        _behind(due, attempts, looks[due.contact], verdict)
        latest += _lateness(due, attempts, evidence, verdict)
    verdict.latest = sorted(latest, key=lambda one: -one[0])[:5]
    return verdict


def _name(due: Due) -> str:
    return f"inc-{due.incident} level {due.level} {due.contact}"


def _completeness(due: Due, attempts: Sequence[Attempt], verdict: Verdict) -> None:
    if any(one.accepted for one in attempts):
        return
    if due.acknowledged_at is not None:
        verdict.stopped += 1
        return
    verdict.wrong.append(due)
    verdict.lost.append(f"{_name(due)}, due at {due.due_at:.2f}, {len(attempts)} attempts")


def _repeats(due: Due, attempts: Sequence[Attempt], evidence: Evidence, looks: Sequence[float], verdict: Verdict) -> None:
    ways: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.accepted:
            ways[attempt.way].append(attempt)
    for way, accepted in ways.items():
        if len({one.key for one in accepted}) > 1:
            verdict.wrong.append(due)
            verdict.unexplained.append(f"{_name(due)} by {way}: with another key")
        for first, second in pairwise(accepted):
            reason = _reason(due, first, second, evidence, looks)
            if reason:
                verdict.repeats[reason] += 1
            else:
                verdict.wrong.append(due)
                gap = second.at - first.at
                verdict.unexplained.append(
                    f"{_name(due)} by {way}: {first.at:.2f} and {gap:.2f} s later ({first.note or 'taken'})"
                )


def _reason(due: Due, first: Attempt, second: Attempt, evidence: Evidence, looks: Sequence[float]) -> str:
    """Why nobody knew what had become of the first one; "" when somebody did."""
    checked_at = _checked_at(second, looks)
    known = [at for way, at in due.recorded if way == first.way and first.at <= at < checked_at - RECORDED_S]
    if known:
        return ""
    if first.note in UNANSWERED:
        return "after no answer"
    who = {first.replica} if first.replica is not None else None
    if any(first.at - 0.2 <= at <= second.at and (who is None or replica in who) for at, replica in evidence.kills):
        return "after a kill"
    if any(span.start <= second.at and span.end >= first.at - 0.2 for span in evidence.away):
        return "after Redis was away"
    about = f"inc-{due.incident}:g1:page:level-{due.level}:{due.contact}:"
    if any(task.startswith(about) and first.at - 2 <= at <= second.at + 2 for at, task in evidence.leases):
        return "after a lost lease"
    return ""


def _checked_at(attempt: Attempt, looks: Sequence[float]) -> float:
    """When it was last certain that the attempt was wanted: before the looks that led to it."""
    checked_at = attempt.at
    for at in reversed(looks):
        if at >= attempt.at:
            continue
        if checked_at - at > (GAP_S if attempt.way == "slack" else 6.0) or attempt.at - at > LONGEST_GAP_S:
            break
        checked_at = at
    return checked_at


def _behind(due: Due, attempts: Sequence[Attempt], looks: Sequence[float], verdict: Verdict) -> None:
    stopped_at = due.stopped_at
    if stopped_at is None:
        return
    for attempt in attempts:
        if attempt.at <= stopped_at + BEHIND_S:
            continue
        if _checked_at(attempt, looks) <= stopped_at:
            verdict.behind_in_the_gap += 1
        else:
            verdict.wrong.append(due)
            late_s = attempt.at - stopped_at
            verdict.behind.append(f"{_name(due)} by {attempt.way}, {late_s:.2f} s behind it")


def _lateness(due: Due, attempts: Sequence[Attempt], evidence: Evidence, verdict: Verdict) -> Iterable[tuple[float, str, Due]]:
    if not attempts:
        return
    first = attempts[0].at
    if attempts[0].way == "email":  # a mail that was refused is in the ledger without its incident
        refused = [at for at, contact in evidence.refused_mails if due.due_at <= at < first and contact in ("", due.contact)]
        first = min(refused, default=first)
    late_s = first - due.due_at
    away_s = sum(max(0.0, min(span.end, first) - max(span.start, due.due_at)) for span in evidence.away)
    verdict.late_s.append(late_s)
    verdict.net_s.append(late_s - away_s)
    whats = {span.what for span in evidence.away if span.start < first and span.end > due.due_at}
    kills = sum(due.due_at - 0.5 <= at <= first for at, _ in evidence.kills)
    with_ = ", ".join([*sorted(whats), *([f"{kills} kills"] if kills else [])]) or "nothing that was done to it"
    yield late_s - away_s, f"{late_s:.2f} s ({late_s - away_s:.2f} s), {_name(due)} by {attempts[0].way}, with {with_}", due
