"""The machine that plays random histories on a workspace and compares it, after every call, with the model.

``test_model`` runs it. The workspace is ``tests.storage.workspace``, what should be there ``tests.storage.model``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bot.domain.facts import ResponderJoined
from bot.domain.room import RoomRecord
from bot.domain.tasks import TaskRequest
from bot.domain.timeline import GENESIS, chain, dump_entry, verify
from bot.services.ports import Commit, Committed, Settlement, Task
from bot.storage.redis import RedisStore
from tests.storage.model import START, UNIT_S, InvariantBroken, Model, State, moment, units
from tests.storage.workspace import AGAIN, CHANNELS, DELIVERIES, INCIDENTS, KEYS, OWNERS, TASKS, Server, to_units

STEPS = 50
"""How long a history is."""


@dataclass
class Played:
    """What was played, for the test to see that it was enough. ``histories`` counts those of ``STEPS`` steps."""

    histories: int = 0
    steps: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """What commits were answered, and how often a stale owner was refused otherwise."""


@dataclass(frozen=True)
class Draft:
    """What a commit is drawn as; the rest follows from the moment at which it is made."""

    incident: str
    entries: int = 0
    behind: int = 0
    delivery: str | None = None
    asks: Sequence[tuple[str, int]] = ()
    cancel: Sequence[str] = ()
    claims: Sequence[str] = ()
    releases: Sequence[str] = ()
    channel: str | None = None
    active: bool | None = None
    number: int | None = None


@dataclass
class Sent:
    """A commit that was sent, and whether it was answered with ok."""

    commit: Commit
    ok: bool


@dataclass
class History:
    """What happened so far, in plain words."""

    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """One more call."""
        self.lines.append(line)


incidents = st.sampled_from(INCIDENTS)
owners = st.sampled_from(OWNERS)
maybe_delivery = st.sampled_from((None, None, *DELIVERIES))
an_ask = st.tuples(st.sampled_from(sorted(TASKS)), st.integers(-2, 3))
asked = st.lists(an_ask, min_size=1, max_size=4)
identities = st.lists(st.sampled_from(sorted(TASKS)), min_size=1, max_size=2)
maybe_pick = st.sampled_from((None, 0, 0, 1, 2))
some_keys = st.sampled_from(((), ("k1",), ("k2",), KEYS))
mostly = st.sampled_from((True, True, True, False))
mostly_not = st.sampled_from((False, False, False, True))
mostly_current = st.sampled_from((0, 0, 0, 1))
outcomes = st.sampled_from(("done", "done", "failed", "again"))
picks = st.integers(0, 5)
drafts = st.builds(
    Draft,
    incident=incidents,
    entries=st.integers(0, 2),
    behind=mostly_current,
    delivery=maybe_delivery,
    asks=st.lists(an_ask, max_size=3),
    cancel=st.lists(st.sampled_from(sorted(TASKS)), max_size=2),
    claims=some_keys,
    releases=some_keys,
    channel=st.sampled_from((None, *CHANNELS)),
    active=st.sampled_from((None, True, False)),
    number=st.sampled_from((None, 1, 2, 3, 20)),
)


class StoreMachine(RuleBasedStateMachine):
    """Two owners, two incidents, seven tasks. Each rule makes one call (some send it twice) and compares the answer."""

    def __init__(self, server: Server, played: Played) -> None:
        super().__init__()
        self._server = server
        self._played = played
        self._prefix, self._stores = server.stores()
        self._offset_s = server.offset_s()
        self._model = Model()
        self._history = History()
        self._hands: list[tuple[str, Task]] = []
        self._sent: list[Sent] = []
        self._tokens: set[str] = set()
        self._made = 0
        self._steps = 0
        self._broken = False
        self._server.ask(self._any.set_clock_offset(self._offset_s))
        self._before = self._now = server.look(self._prefix)

    @property
    def _any(self) -> RedisStore:
        return self._stores["a"]

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _require(self, holds: bool, name: str, what: str) -> None:
        if not holds:
            self._broken = True
            raise InvariantBroken(name, what, self._history.lines)

    def _look(self) -> None:
        """The call is over: what is there now, and what was there before it. P5 comes before all else."""
        self._before, self._now = self._now, self._server.look(self._prefix)
        left = self._before.due.keys() - self._now.due.keys()
        self._require(left <= self._model.ended, "P5", f"{left - self._model.ended} left the due set without an outcome")

    def _number(self) -> int:
        self._made += 1
        return self._made

    def _hand(self, pick: int) -> tuple[str, Task]:
        """A claim that its owner still knows of, the latest first; its lease may have run out long ago.

        Where nobody holds anything, somebody takes what is due next: most histories then get to the end of a task.
        """
        if not self._hands:
            self.claim(owner=OWNERS[pick % 2], most=1 + pick % 3, lease=1, wait=True, answered=True)
        return self._hands[-1 - pick % len(self._hands)]

    def _over(self, task: Task) -> None:
        """Its owner knows that this claim is over; it goes behind the others, for it may speak of it late all the same."""
        self._hands.sort(key=lambda hand: hand[1] is not task)

    def _commit_of(self, draft: Draft, settlement: Settlement | None = None) -> Commit:
        timeline = self._model.timelines[draft.incident]
        expected = max(0, len(timeline) - draft.behind)
        entries = chain(
            [ResponderJoined(user_id=f"U{self._number()}") for _ in range(draft.entries)],
            after_seq=expected,
            after_digest=timeline[expected - 1].digest if expected else GENESIS,
            at=START,
            by="U0",
            salts=["00" * 16] * draft.entries,
        )
        return Commit(
            incident_id=draft.incident,
            expected_version=expected,
            nonce=f"n{self._number()}",
            entries=entries,
            tasks=[self._request(identity, due) for identity, due in draft.asks],
            cancel=draft.cancel,
            claims=draft.claims,
            releases=draft.releases,
            channel_id=draft.channel,
            number=draft.number,
            active=draft.active,
            delivery=draft.delivery,
            settlement=settlement,
        )

    def _request(self, identity: str, due: int) -> TaskRequest:
        incident, kind = identity.split(":")[:2]
        return TaskRequest(
            id=identity,
            kind=TASKS[identity],
            incident_id=incident,
            due_at=moment(self._model.now + due),
            data={"ask": self._number()},
            again=kind in AGAIN,
        )

    def _settlement(self, task: Task, outcome: str, later: int) -> Settlement:
        if outcome == "again":
            return Settlement(task=task, again_at=moment(self._model.now + later))
        state: Literal["done", "failed"] = "done" if outcome == "done" else "failed"
        return Settlement(task=task, state=state)

    def _commit(self, commit: Commit, *, how: str) -> None:
        was_cancelled = self._is_cancelled(commit.settlement.task) if commit.settlement else False
        repeated = commit.delivery in self._model.seen
        was_seen = "ok, as before" if repeated else "ok"
        self._history.say(f"{how}: {_words(commit, self._model.now)}")
        self._model.ended = set()
        expected = self._model.commit(commit)
        answer = self._server.ask(self._any.commit(commit))
        self._played.answers[was_seen if answer.status == "ok" else answer.status] += 1
        self._sent.append(Sent(commit, ok=answer.status == "ok"))
        name = _broken_by(expected, repeated=repeated, was_cancelled=was_cancelled)
        self._require(answer == expected, name, f"the answer was {answer}, not {expected}")
        self._look()

    def _is_cancelled(self, task: Task) -> bool:
        known = self._model.tasks.get(task.id)
        return known is not None and known.state is State.CANCELLED

    def _nothing_changed(self, name: str, what: str) -> None:
        self._require(self._now == self._before, name, f"{what} changed {self._before} to {self._now}")

    # -- commits ---------------------------------------------------------------------------------------------------

    @initialize(asks=asked)
    def open(self, asks: Sequence[tuple[str, int]]) -> None:
        """An incident, and what there is to do for it."""
        self._commit(self._commit_of(Draft(incident="i1", entries=1, asks=asks, claims=("k1",), active=True)), how="open")

    @rule(incident=incidents, asks=asked, delivery=maybe_delivery, held=maybe_pick)
    def schedule(self, incident: str, asks: Sequence[tuple[str, int]], delivery: str | None, held: int | None) -> None:
        """Ask for tasks, overdue ones and later ones, once and again, and for one that somebody holds."""
        if held is not None and self._hands:
            asks = [*asks, (self._hand(held)[1].id, 0)]
        self._commit(self._commit_of(Draft(incident=incident, asks=asks, delivery=delivery)), how="schedule")

    @rule(incident=incidents, cancel=identities)
    def cancel(self, **drawn: Any) -> None:
        """What an acknowledgement does to a ladder: also to what was never asked for, is held, or is over."""
        self._commit(self._commit_of(Draft(**drawn, entries=1)), how="cancel")

    @precondition(lambda self: self._hands or self._model.next_due() is not None)
    @rule(pick=picks, outcome=outcomes, later=st.integers(0, 3), named=st.booleans(), asks=mostly_not, cancels=mostly_not)
    def settle(self, pick: int, outcome: str, later: int, named: bool, asks: bool, cancels: bool) -> None:
        """The end of a task by whoever thinks that it holds it: its owner, or one that wakes up late.

        Now and then the same commit cancels the task, asks for it once more (as the clock of an incident does), or both.
        """
        owner, task = self._hand(pick)
        draft = Draft(
            incident=task.incident_id,
            entries=1,
            delivery=f"task:{task.id}:{task.token}" if named else None,
            asks=[(task.id, later)] if asks else [],
            cancel=[task.id] if cancels else [],
        )
        self._commit(self._commit_of(draft, self._settlement(task, outcome, later)), how=f"{owner} settles")
        self._over(task)

    @rule(draft=drafts, pick=maybe_pick, outcome=outcomes, later=st.integers(0, 3))
    def commit_everything(self, draft: Draft, pick: int | None, outcome: str, later: int) -> None:
        """All that a commit can carry, in any combination."""
        settlement = None
        if pick is not None and self._hands:
            settlement = self._settlement(self._hand(pick)[1], outcome, later)
        self._commit(self._commit_of(draft, settlement), how="commit")

    @precondition(lambda self: self._sent)
    @rule(pick=picks, named=st.booleans(), redelivered=st.booleans())
    def commit_again(self, pick: int, named: bool, redelivered: bool) -> None:
        """An earlier commit once more: with its own nonce, as after an unknown outcome, or decided anew with another one."""
        handled = [sent for sent in self._sent if sent.ok and sent.commit.delivery] if named else []
        candidates = handled or self._sent
        sent = candidates[-1 - pick % len(candidates)]
        if not redelivered:
            self._commit(sent.commit, how="sent again")
            if sent.ok and (sent.commit.delivery or sent.commit.entries or sent.commit.settlement):
                self._nothing_changed("D2", "a commit that was applied already")
            return
        self._commit(replace(sent.commit, nonce=f"n{self._number()}"), how="delivered again")
        if sent.ok and sent.commit.delivery:
            self._nothing_changed("E1", "a delivery that was handled already")

    @rule(delivery=maybe_delivery, key=st.sampled_from((None, *KEYS)), alone=st.booleans())
    def reserve(self, delivery: str | None, key: str | None, alone: bool) -> None:
        """A number for a new incident, unless there is no need for one."""
        self._history.say(f"reserve(delivery={delivery}, unique_key={key}, alone={alone})")
        self._model.ended = set()
        expected = self._model.reserve(delivery, key, alone=alone)
        answer = self._server.ask(self._any.reserve(delivery=delivery, unique_key=key, alone=alone))
        self._look()
        name = {"duplicate": "E1", "taken": "P8", "new": "IX"}[expected.status]
        self._require(answer == expected, name, f"the answer was {answer}, not {expected}")

    # -- claims ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self._model.tasks)
    @rule(owner=owners, most=st.integers(1, 4), lease=st.integers(1, 4), wait=st.booleans(), answered=mostly)
    def claim(self, owner: str, most: int, lease: int, wait: bool, answered: bool) -> None:
        """An owner leases what is due, or will be due next, and remembers it; unless the answer never arrives."""
        following = self._model.next_due()
        if wait and following is not None and following > self._model.now:
            self.advance(following - self._model.now)
        lost = "" if answered else " and never learns of it"
        self._history.say(f"{owner} claims {most} for {lease}{lost}")
        tasks = self._claim(owner, most, lease)
        self._history.lines[-1] += f": {_named(tasks)}"
        if answered:
            self._hands += [(owner, task) for task in tasks]

    def _claim(self, owner: str, most: int, lease: int) -> tuple[Task, ...]:
        due = self._model.due()
        scores = self._now.due
        in_order = sorted((identity for identity in due if identity in scores), key=lambda identity: (scores[identity], identity))
        self._model.ended = set()
        claimed = self._server.ask(self._stores[owner].claim(most=most, lease_ms=lease * UNIT_S * 1000))
        self._look()
        got = [task.id for task in claimed.tasks]
        self._require(not claimed.orphans, "P5", f"{claimed.orphans} are due and have no payload")
        for identity in got:
            known = self._model.tasks.get(identity)
            self._require(known is None or known.state is not State.CANCELLED, "P4", f"{identity} was claimed though cancelled")
        self._require(set(got) <= due, "P1", f"{got} were claimed, of which only {sorted(due)} are due")
        self._require(len(got) == min(most, len(due)), "P1", f"{got} were claimed, at most {most} of {sorted(due)}")
        self._require(got == in_order[:most], "P7", f"{got} were claimed, the order is {in_order}")
        for task in claimed.tasks:
            self._is_as_asked(owner, task, lease)
        following = units(claimed.next_due_at) if claimed.next_due_at else None
        self._require(following == self._model.next_due(), "P1", f"the next is due at {self._model.next_due()}, told {following}")
        return tuple(claimed.tasks)

    def _is_as_asked(self, owner: str, task: Task, lease: int) -> None:
        self._require(task.token not in self._tokens, "P3", f"token {task.token} was given twice")
        self._tokens.add(task.token)
        known = self._model.claim(task.id, owner, task.token, lease)
        self._require(task.attempt == known.attempt, "P2", f"{task.id} is told to be attempt {task.attempt}, not {known.attempt}")
        told = (task.kind, task.incident_id, task.data, units(task.due_at), task.asked)
        request = known.request
        asked_for = (request.kind, request.incident_id, request.data, known.due, str(known.asked))
        self._require(told == asked_for, "P8", f"{task.id} was handed out as {told}, asked for as {asked_for}")

    @precondition(lambda self: self._hands)
    @rule(pick=picks, lease=st.integers(1, 4), twice=st.booleans())
    def extend(self, pick: int, lease: int, twice: bool) -> None:
        """An owner renews all that it thinks it holds."""
        owner, _ = self._hand(pick)
        tasks = [task for holder, task in self._hands if holder == owner]
        self._history.say(f"{owner} extends {_named(tasks)} by {lease}{' twice' if twice else ''}")
        self._model.ended = set()
        expected = self._model.extend(tasks, lease)
        self._played.answers["extended" if len(expected) == len(tasks) else "stale extension"] += 1
        for _ in range(1 + twice):
            held = self._server.ask(self._stores[owner].extend(tasks, lease_ms=lease * UNIT_S * 1000))
            self._look()
            self._require(held == expected, "P3", f"{held} were extended, {expected} are held")

    @precondition(lambda self: self._hands or self._model.next_due() is not None)
    @rule(pick=picks, delay=st.integers(0, 3), twice=st.booleans())
    def release(self, pick: int, delay: int, twice: bool) -> None:
        """An owner hands back."""
        owner, task = self._hand(pick)
        self._history.say(f"{owner} releases {task.id}#{task.token} for {delay}{' twice' if twice else ''}")
        self._model.ended = set()
        expected = self._model.release(task, delay)
        self._played.answers["released" if expected else "stale release"] += 1
        for expect in (expected, False)[: 1 + twice]:
            answer = self._server.ask(self._stores[owner].release(task, delay_s=delay * UNIT_S))
            self._look()
            self._require(answer == expect, "P3", f"releasing {task.id}#{task.token} was answered {answer}")
        if twice:
            self._nothing_changed("D2", "a release that was applied already")
        self._over(task)

    @precondition(lambda self: self._hands or self._model.next_due() is not None)
    @rule(pick=picks, twice=st.booleans())
    def save_room(self, pick: int, twice: bool) -> None:
        """An owner records what it did in Slack."""
        owner, task = self._hand(pick)
        self._history.say(f"{owner} saves the room of {task.incident_id} by {task.id}#{task.token}{' twice' if twice else ''}")
        record = RoomRecord(topic=f"topic {self._number()}")
        self._model.ended = set()
        expected = self._model.save_room_record(task.incident_id, task, record)
        self._played.answers["saved" if expected else "stale save"] += 1
        for _ in range(1 + twice):
            answer = self._server.ask(self._stores[owner].save_room_record(task.incident_id, task, record))
            self._look()
            self._require(answer == expected, "P3", f"saving by {task.id}#{task.token} was answered {answer}")

    # -- time and death --------------------------------------------------------------------------------------------

    @rule(by=st.integers(1, 4))
    def advance(self, by: int) -> None:
        """Time passes; leases run out."""
        self._history.say(f"{by} pass")
        self._model.advance(by)
        self._model.ended = set()
        self._server.ask(self._any.set_clock_offset(self._offset_s + self._model.now * UNIT_S))
        self._look()

    @precondition(lambda self: self._hands)
    @rule(pick=picks)
    def crash(self, pick: int) -> None:
        """An owner dies: what it held is known to nobody."""
        owner, _ = self._hand(pick)
        self._history.say(f"{owner} dies")
        self._hands = [(holder, task) for holder, task in self._hands if holder != owner]

    # -- after every step ------------------------------------------------------------------------------------------

    @invariant()
    def every_promise_is_kept(self) -> None:
        """The invariants, those first that say most about what went wrong."""
        self._steps += 1
        self._cancelled_is_terminal()
        self._done_is_done()
        self._what_is_to_do_is_due()
        self._tasks_are_what_was_asked_for()
        self._deliveries_are_remembered()
        self._unique_keys_have_one_holder()
        self._timelines_hold_what_was_accepted()
        self._rooms_are_saved_by_holders()
        self._indexes_agree()

    def _timelines_hold_what_was_accepted(self) -> None:
        """A5."""
        for incident in INCIDENTS:
            length, last = self._now.timelines[incident]
            accepted = self._model.timelines[incident]
            self._require(length == len(accepted), "A5", f"{incident} has {length} entries, {len(accepted)} were accepted")
            self._require(last == (dump_entry(accepted[-1]) if accepted else None), "A5", f"{incident} ends with {last}")

    def _deliveries_are_remembered(self) -> None:
        """E1."""
        handled = {delivery for delivery in self._model.seen if delivery in DELIVERIES}
        self._require(self._now.seen == handled, "E1", f"{self._now.seen} are remembered, {handled} were handled")

    def _indexes_agree(self) -> None:
        """IX."""
        opened = {incident for incident, entries in self._model.timelines.items() if entries}
        expected = (self._model.channels, self._model.active, opened)
        found = (self._now.channels, self._now.active, self._now.opened)
        self._require(found == expected, "IX", f"the indexes are {found}, not {expected}")

    def _what_is_to_do_is_due(self) -> None:
        """P5: with the score that the model says, and never forgotten by itself."""
        found = {identity: to_units(score) for identity, score in self._now.due.items()}
        expected = {identity: task.score for identity, task in self._model.tasks.items() if task.is_to_do}
        self._require(found == expected, "P5", f"due are {found}, not {expected}")
        for identity in expected:
            self._require(not self._now.tasks[identity].expires, "P5", f"{identity} is to do, and will be forgotten")

    def _cancelled_is_terminal(self) -> None:
        """P4."""
        for identity, task in self._model.tasks.items():
            if task.state is State.CANCELLED:
                real = self._now.tasks[identity]
                self._require(real.token is None, "P4", f"{identity} was cancelled, and is held by {real.owner}#{real.token}")
                self._require(real.state == "cancelled", "P4", f"{identity} was cancelled, and is {real.state}")

    def _done_is_done(self) -> None:
        """P8: an outcome is not taken back by asking once more for what is done once. P5: nor by anything else."""
        for identity, task in self._model.tasks.items():
            if task.state in (State.DONE, State.FAILED):
                real = self._now.tasks[identity]
                self._require(real.state not in ("pending", "claimed"), "P8", f"{identity} was {task.state}, and is {real.state}")
                self._require(real.state == task.state, "P5", f"{identity} was {task.state}, and is {real.state}")

    def _tasks_are_what_was_asked_for(self) -> None:
        """P2, P3, P5 and P8: tokens, attempts, and the tasks themselves."""
        self._require(
            self._now.tasks.keys() == self._model.tasks.keys(),
            "P8",
            f"there are {set(self._now.tasks)}, not {set(self._model.tasks)}",
        )
        for identity, task in self._model.tasks.items():
            real = self._now.tasks[identity]
            self._require(real.token == task.token, "P3", f"{identity} is held with {real.token}, not {task.token}")
            self._require(real.token is None or real.owner == task.owner, "P3", f"{identity} is held by {real.owner}")
            self._require(real.attempt == task.attempt, "P2", f"{identity} had {task.attempt} attempts, not {real.attempt}")
            self._require(real.state == task.state, "P5", f"{identity} is {real.state}, not {task.state}")
            asked_for = (task.due, task.asked)
            self._require((real.due, real.asked) == asked_for, "P8", f"{identity}: {real}, asked for {asked_for}")

    def _unique_keys_have_one_holder(self) -> None:
        """P8."""
        self._require(self._now.unique == self._model.unique, "P8", f"keys: {self._now.unique}, not {self._model.unique}")

    def _rooms_are_saved_by_holders(self) -> None:
        """P3."""
        saved = {incident: record.model_dump_json() for incident, record in self._model.rooms.items()}
        self._require(self._now.rooms == saved, "P3", f"rooms: {self._now.rooms}, not {saved}")

    def teardown(self) -> None:
        """The whole timelines: every entry, in its order, and the chain verifies."""
        self._played.steps += self._steps
        self._played.histories += self._steps >= STEPS
        if self._broken:
            return
        for incident in INCIDENTS:
            entries = self._server.ask(self._any.timeline(incident))
            accepted = [dump_entry(entry) for entry in self._model.timelines[incident]]
            self._require([dump_entry(entry) for entry in entries] == accepted, "A5", f"{incident} holds other entries")
            self._require(verify(entries) is None, "A5", f"the chain of {incident} does not verify")


def _broken_by(expected: Committed, *, repeated: bool, was_cancelled: bool) -> str:
    """Which promise a wrong answer to a commit breaks."""
    if expected.status == "ok":
        return "D2" if repeated else "P8"
    fenced = "P4" if was_cancelled else "P3"
    return {"duplicate": "E1", "fenced": fenced, "conflict": "A5", "taken": "P8"}[expected.status]


def _named(tasks: Sequence[Task]) -> list[str]:
    return [f"{task.id}#{task.token}" for task in tasks]


def _words(commit: Commit, now: int) -> str:
    """A commit in one line; moments are units from now."""
    parts: dict[str, Any] = {
        "entries": len(commit.entries),
        "at": commit.expected_version,
        "delivery": commit.delivery,
        "ask": [f"{task.id}@{units(task.due_at) - now:+d}" for task in commit.tasks],
        "cancel": list(commit.cancel),
        "claim": list(commit.claims),
        "free": list(commit.releases),
        "channel": commit.channel_id,
        "active": commit.active,
    }
    said = [f"{name}={value}" for name, value in parts.items() if value not in (None, [], 0)]
    if commit.settlement:
        task, again_at = commit.settlement.task, commit.settlement.again_at
        outcome = f"again@{units(again_at) - now:+d}" if again_at else commit.settlement.state
        said.append(f"{task.id}#{task.token} is {outcome}")
    return f"{commit.incident_id} {commit.nonce} {', '.join(said)}"
