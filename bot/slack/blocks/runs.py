"""The message of a run from the question to its result: what would happen, who has to agree, how far it is, what became of it.

Also what goes into its thread, and the loud line about a run without a second person. What a button may do is decided when it
is pressed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bot.domain.incident import Incident
from bot.domain.outcome import Risk, State
from bot.domain.policy import ADMINS, EVERYONE, RESPONDERS, ActionPolicy, Permission
from bot.domain.room import LINES_IN_A_MESSAGE, has_file
from bot.domain.run import Run
from bot.domain.text import cut
from bot.slack.blocks import ids
from bot.slack.blocks.parts import (
    STATE_MARK,
    actions,
    button,
    clock,
    context,
    dialog,
    escape,
    named,
    pages,
    paragraphs,
    person,
    section,
    when,
)
from bot.slack.drawing import Block, Drawn

ITEMS_MOST = 20
ITEMS_MAX_CHARS = 7_000
LINE_MAX_CHARS = 250
VALUE_MAX_CHARS = 200
VALUES_MOST = 3
APPROVERS_MOST = 5
DIGEST_SHOWN = 8
"""So much of the digest of its parameters tells one run from another for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the drawing of a run needs beside the incident. ``looks``: the actions whose effect can be looked at."""

    looks: frozenset[str] = frozenset()
    policy: Callable[[], ActionPolicy] = ActionPolicy


NOTHING_KNOWN = Known()


def draw_run(incident: Incident, run: Run, known: Known = NOTHING_KNOWN, *, progress: str = "") -> Drawn:
    """The message of a run. ``progress`` is how far it says it is, while it is under way."""
    title = escape(run.title)
    blocks: list[Block] = [section(f"*{title}*  {_params(run)}\nasked for by {named(incident, run.requested.by)}")]
    if run.reverted_at:  # what was is not what is
        blocks.extend(_taking_back(incident, run))
        blocks.append(context("Before that:"))
        blocks.extend(_state(incident, run, known, progress))
    else:
        blocks.extend(_state(incident, run, known, progress))
        blocks.extend(_taking_back(incident, run))
    row = [] if incident.archived else list(_buttons(incident, run, known))
    if row:
        blocks.append(actions(row, block_id=f"run:{run.id}"))
    return Drawn(text=f"{title}: {run_word(run)}", blocks=tuple(blocks))


def _params(run: Run) -> str:
    return " · ".join(
        f"{escape(name.replace('_', ' '))}: `{escape(_value(value)).replace('`', 'ˋ')}`"
        for name, value in run.params.items()
        if value not in (None, False, "", [])
    )


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        more = f" and {len(value) - VALUES_MOST} more" if len(value) > VALUES_MOST else ""
        return cut(", ".join(map(str, value[:VALUES_MOST])), max_chars=VALUE_MAX_CHARS) + more
    return cut(str(value), max_chars=VALUE_MAX_CHARS)


def run_word(run: Run) -> str:
    """Where it stands, in a word or a few."""
    if run.reverted_at:
        return "taken back"
    if run.denied:
        return "denied"
    if run.outcome:
        return run.outcome.state.value
    if run.cancelled:
        return "cancelled"
    if run.expired_at:
        return "not confirmed in time"
    if run.refused:
        return "not possible"
    if run.confirmed:
        return "stopping" if run.stopping else "running"
    if run.preview is None:
        return "looking what it would do"
    return "waits for a second person" if run.needs_second else "waits for a confirmation"


# -- where it stands -------------------------------------------------------------------------------------------------


def _state(incident: Incident, run: Run, known: Known, progress: str) -> list[Block]:
    if run.outcome:  # what had begun when somebody said no may have come to an end all the same
        denied = [section(_denied(incident, run))] if run.denied else []
        return [*denied, *_finished(incident, run)]
    if run.cancelled:
        return [context(f"Cancelled by {named(incident, run.cancelled.by)} at {clock(run.cancelled.at)}; nothing was done.")]
    if run.denied:
        return [section(_denied(incident, run))]
    if run.expired_at:
        return [section(f"⌛ Nobody confirmed it until {clock(run.expired_at)}, so it expired; nothing was done.")]
    if run.refused:
        return [section(f"❔ Cannot say what it would do, so it does not run: {escape(run.refused)}")]
    if run.confirmed:
        return _running(incident, run, progress)
    if run.preview is None:
        return [section("⏳ Looking what it would do…")]
    return _preview(incident, run, known)


def _denied(incident: Incident, run: Run) -> str:
    if run.denied is None:
        return ""
    why = f": {escape(run.denied_why)}" if run.denied_why else ""
    done = "Nothing was done."
    if run.confirmed:
        done = "It had begun:" if run.outcome else "If it had begun, it is being stopped; a part of it may be done."
    return f"⛔ Denied by {named(incident, run.denied.by)} at {clock(run.denied.at)}{why}\n{done}"


def _preview(incident: Incident, run: Run, known: Known) -> list[Block]:
    if run.preview is None:
        return []
    blocks = [section(f"*What would happen:* {escape(run.preview.summary)}"), *_items(run.preview.items)]
    if run.preview.nothing_to_do:
        return blocks
    if incident.drill:
        blocks.append(section("🎭 *This is a drill, and this is not:* it is done for real, to real accounts and systems."))
    if run.needs_second:
        blocks.append(section(f"👥 *Needs a second person:* {_approvers(run, known.policy())}."))
    notes = [f"parameters {run.params_digest[:DIGEST_SHOWN]}"]
    if run.expires_at:
        notes.insert(0, f"can be confirmed until {clock(run.expires_at)}")
    if run.break_glass_at:
        notes.append(f"without a second person from {clock(run.break_glass_at)}, with a reason")
    blocks.append(context(" · ".join(notes)))
    return blocks


def _approvers(run: Run, policy: ActionPolicy) -> str:
    """Who may approve it, as policy.yml names them."""
    words = {EVERYONE: "somebody else in the workspace", RESPONDERS: "somebody else in this room", ADMINS: "an admin"}
    listed = [name for name in policy.allowed(Permission.APPROVE) if name != run.requested.by]
    shown = [words.get(name) or _listed(name) for name in listed[:APPROVERS_MOST]]
    more = f" or {len(listed) - APPROVERS_MOST} more" if len(listed) > APPROVERS_MOST else ""
    if not shown:
        return "nobody else may approve it"
    return f"{' or '.join(shown)}{more} has to approve it"


def _listed(name: str) -> str:
    if name.startswith("S") and name.isalnum() and name.isupper():
        return f"<!subteam^{name}>"
    return escape(name) if "@" in name else person(name)


def _running(incident: Incident, run: Run, progress: str) -> list[Block]:
    said = f": {escape(cut(progress, max_chars=LINE_MAX_CHARS))}" if progress else "…"
    word = f"Stopping, {named(incident, run.stopping.by)} asked for it; it ends as soon as it can" if run.stopping else "Running"
    return [section(f"⏳ {word}{said}"), *_agreed(incident, run)]


def _agreed(incident: Incident, run: Run, *ending: str) -> Iterator[Block]:
    """Who agreed, and how."""
    if run.confirmed is None:
        return
    by, at = named(incident, run.confirmed.by), clock(run.confirmed.at)
    words = [*ending]
    if run.break_glass:
        words.insert(0, f"🔓 Without a second person, by {by} at {at}: {escape(run.break_glass)}")
    elif run.risk is not Risk.READ:
        words.insert(0, f"{'Approved' if run.needs_second else 'Confirmed'} by {by} at {at}")
    if words:
        yield context(", ".join(words))


def _finished(incident: Incident, run: Run) -> list[Block]:
    outcome = run.outcome
    if outcome is None:
        return []
    blocks = [section(f"{STATE_MARK[outcome.state]} {escape(outcome.summary)}")]
    if outcome.remedy and outcome.state is not State.OK:
        blocks.append(section(f"↳ {escape(outcome.remedy)}"))
    if has_file(outcome):
        blocks.append(context("The whole result is a file in the thread."))
    elif len(outcome.details) > LINES_IN_A_MESSAGE:
        blocks.append(context(f"{len(outcome.details)} lines in the thread."))
    else:
        blocks.extend(_items(outcome.details))
    ending = [f"finished at {clock(run.finished_at)}"] if run.finished_at else []
    if run.looked_at:
        ending.append(f"looked at again at {clock(run.looked_at)}")
    blocks.extend(_agreed(incident, run, *ending))
    return blocks


def _taking_back(incident: Incident, run: Run) -> Iterator[Block]:
    """What takes itself back, or was taken back."""
    if run.reverted_at:
        seen = f": {escape(run.reverted.summary)}" if run.reverted else ""
        yield section(f"↩️ Taken back at {clock(run.reverted_at)}{seen}")
    elif run.reverts_at:
        yield section(on_line(incident, run))


def on_line(incident: Incident, run: Run) -> str:
    """What is on until it takes itself back, and what stands in the way of that. Mrkdwn."""
    title = escape(run.title)
    due = f" until {when(run.reverts_at)}" if run.reverts_at else ""
    if run.revert_failures:
        why = f": {escape(run.revert_why)}" if run.revert_why else ""
        times = f"tried {run.revert_failures} time{'s' * (run.revert_failures != 1)}, tried again"
        return f"🔴 *{title} could not be taken back* ({times}){why}"
    if run.revert_asked:
        return f"⏳ *{title}* is being taken back, asked for by {named(incident, run.revert_asked.by)}"
    is_seen = run.outcome is not None and run.outcome.state is State.OK
    return f"⏱️ *{title} {'is ON' if is_seen else 'may be on'}*{due}; then it is taken back by itself"


def _items(lines: tuple[str, ...]) -> list[Block]:
    """The first lines, and how many there are more: Slack refuses a message whose texts are too long together."""
    shown: list[str] = []
    for line in map(_line, lines[:ITEMS_MOST]):
        if sum(map(len, shown)) + len(line) > ITEMS_MAX_CHARS:
            break
        shown.append(line)
    if len(lines) > len(shown):
        shown.append(f"… and {len(lines) - len(shown)} more")
    return paragraphs(shown)


def _line(line: str) -> str:
    return f"• {escape(cut(line, max_chars=LINE_MAX_CHARS))}"


# -- what can be done about it ---------------------------------------------------------------------------------------


def _buttons(incident: Incident, run: Run, known: Known) -> Iterator[Block]:
    value = ids.value(incident.id, run.id)
    if run.is_waiting:
        if run.undoes or not incident.is_over:
            yield from _confirming(run, value)
    elif run.expired_at:
        if run.undoes or not incident.is_over:
            yield button("Ask once more", ids.ASK_AGAIN, value=value)
    elif run.confirmed and run.is_open:
        if run.risk is not Risk.READ and not run.stopping:
            text = "It ends at the next place where it can, and says how far it came. What is done stays done."
            yield button("Stop", ids.STOP_RUN, value=value, confirm=dialog("Stop it?", text, "Stop"))
    else:
        yield from _afterwards(incident, run, known, value)


def _confirming(run: Run, value: str) -> Iterator[Block]:
    if run.preview is None:
        return
    if run.preview.nothing_to_do:
        yield button("Close", ids.CANCEL_RUN, value=value)
        return
    label = run.preview.confirm_label
    if not run.needs_second:
        yield button(label, ids.CONFIRM_RUN, value=value, style="danger")
        yield button("Cancel", ids.CANCEL_RUN, value=value)
        return
    text = f"{cut(run.preview.summary, max_chars=250)}\nParameters {run.params_digest[:DIGEST_SHOWN]}"
    confirm = dialog("Approve exactly this?", text, label, style="danger")
    yield button(f"Approve: {label}", ids.CONFIRM_RUN, value=value, style="danger", confirm=confirm)
    yield button("Deny", ids.DENY_RUN, value=value)
    yield button("Cancel", ids.CANCEL_RUN, value=value)
    yield button("Go on without a second person…", ids.BREAK_GLASS, value=value)


def _afterwards(incident: Incident, run: Run, known: Known, value: str) -> Iterator[Block]:
    if run.outcome and run.outcome.state is State.UNKNOWN and run.action in known.looks:
        yield button("Look again", ids.LOOK_AT_RUN, value=value)
    if run.reverts_at:
        yield from revert_button(incident, run)
    elif run.undo and run.outcome and run.confirmed and not run.reverted_at and not _is_being_undone(incident, run):
        yield button("Undo…", ids.UNDO_RUN, value=value)


def _is_being_undone(incident: Incident, run: Run) -> bool:
    return any(other.undoes == run.id and other.is_open for other in incident.runs.values())


def revert_button(incident: Incident, run: Run, *, number: int | None = None) -> Iterator[Block]:
    """ "Turn off now", as long as nobody has pressed it. ``number`` tells several in one row apart."""
    if run.reverts_at is None or run.revert_asked:
        return
    action_id = ids.REVERT_NOW if number is None else f"{ids.REVERT_NOW}:{number}"
    text = f"{run.title} is taken back now, and not only at its time."
    confirm = dialog("Turn it off now?", text, "Turn off now")
    yield button("Turn off now", action_id, value=ids.value(incident.id, run.id), confirm=confirm)


# -- its thread, and the incidents channel -----------------------------------------------------------------------------


def draw_approval(incident: Incident, run: Run, known: Known = NOTHING_KNOWN) -> Drawn:
    """Calls whoever may approve it and is likeliest to look; once it is settled, nobody any more."""
    title = escape(run.title)
    if not run.is_waiting:
        text = f"👥 {title} is settled; its message says what became of it."
        return Drawn(text=text, blocks=(context(text),))
    called = " ".join(_called(incident, run, known.policy()))
    asked = f"*{title}* needs a second person. Look at what it would do, then approve or deny it."
    text = f"👥 {called}: {asked}" if called else f"👥 {asked}"
    return Drawn(text=f"{title} needs a second person", blocks=(section(text),))


def _called(incident: Incident, run: Run, policy: ActionPolicy) -> list[str]:
    """Mentions of those whom policy.yml names; of responders those who have it, command, or were paged."""
    names = policy.allowed(Permission.APPROVE)
    users = [name for name in names if name.startswith("U") and name.isalnum()]
    if RESPONDERS in names or EVERYONE in names:
        holder = [incident.acknowledged.by] if incident.acknowledged else []
        users.extend([*holder, *incident.roles.values(), *sorted(incident.paged_user_ids())])
    groups = [_listed(name) for name in names if name.startswith("S") and name.isalnum() and name.isupper()]
    people = [person(user) for user in users if user != run.requested.by and person(user).startswith("<@")]
    return list(dict.fromkeys([*people, *groups]))[:APPROVERS_MOST]


def draw_details(run: Run) -> tuple[Drawn, ...]:
    """All lines of the result, for the thread."""
    lines = [_line(line) for line in run.outcome.details] if run.outcome else []
    packed = pages([[block] for block in paragraphs(lines)])
    return tuple(Drawn(text=f"{escape(run.title)}: details", blocks=tuple(blocks)) for blocks in packed)


def draw_break_glass(incident: Incident, run: Run, room: str) -> Drawn:
    """For everybody: somebody went on without a second person. Of a private incident, that it happened. ``room`` links it."""
    drill = "DRILL · " if incident.drill else ""
    by = named(incident, run.confirmed.by) if run.confirmed else named(incident, run.requested.by)
    text = f"{drill}{incident.severity.value}: an action ran without a second person"
    head = f"🔓 *{drill}Without a second person:* {by} went on alone"
    if incident.private:
        line = f"{head} in a private incident. Who is in its room sees what and why."
        return Drawn(text=text, blocks=(section(line),))
    line = f"{head} with *{escape(run.title)}* in {room}.\n> {escape(run.break_glass)}"
    return Drawn(text=text, blocks=(section(line),))
