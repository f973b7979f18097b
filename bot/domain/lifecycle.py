"""The statuses of an incident and the one table of the moves between them."""

from __future__ import annotations

from bot.domain.errors import UserError
from bot.domain.facts import Status

TRANSITIONS: dict[Status, tuple[Status, ...]] = {
    Status.TRIAGE: (
        Status.INVESTIGATING,
        Status.IDENTIFIED,
        Status.MONITORING,
        Status.RESOLVED,
        Status.FALSE_POSITIVE,
    ),
    Status.INVESTIGATING: (Status.IDENTIFIED, Status.MONITORING, Status.RESOLVED),
    Status.IDENTIFIED: (Status.INVESTIGATING, Status.MONITORING, Status.RESOLVED),
    Status.MONITORING: (Status.INVESTIGATING, Status.IDENTIFIED, Status.RESOLVED),
    Status.RESOLVED: (Status.INVESTIGATING, Status.CLOSED),
    Status.CLOSED: (),
    Status.FALSE_POSITIVE: (),
}

LABELS = {status: status.value.replace("_", " ") for status in Status}


def check_move(current: Status, wanted: Status) -> None:
    """Nothing, when ``wanted`` may follow ``current``. Raises: UserError that names the moves there are."""
    if wanted in TRANSITIONS[current]:
        return
    possible = ", ".join(LABELS[status] for status in TRANSITIONS[current])
    if wanted is current:
        raise UserError(f"It is already {LABELS[current]}.")
    if wanted is Status.FALSE_POSITIVE:
        raise UserError(f"“Not an incident” is possible only in triage, and this one is {LABELS[current]}. Resolve it instead.")
    raise UserError(
        f"It is {LABELS[current]} and cannot become {LABELS[wanted]}"
        + (f"; from here it can become {possible}." if possible else "; nothing follows.")
    )
