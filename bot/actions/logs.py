"""Keeping what the review needs before it is gone: `logs.preserve`, one file with sessions, deployments and the timeline."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from bot.actions.clerk_accounts import sessions_record
from bot.actions.spec import ActionContext, ActionParams, ActionSpec
from bot.actions.vercel_serving import deployment_line, project_of
from bot.domain.errors import MusterError
from bot.domain.outcome import Outcome, Risk, State
from bot.domain.text import clean
from bot.providers.clerk import MAX_LIMIT, USER_ID_PATTERN, Session
from bot.providers.config import VERCEL_TOKEN
from bot.providers.foreign import moment_of, redact

AT_ONCE: Final = 5
MOST_ACCOUNTS: Final = 200
"""Each costs two calls or more; of a larger list the runs that end sessions keep them."""
MOST_DEPLOYMENTS: Final = 50
MAX_CHARS: Final = 500_000
"""The file is kept in the timeline too."""

UserId = Annotated[str, StringConstraints(pattern=USER_ID_PATTERN)]


class PreserveParams(ActionParams):
    """`logs.preserve`: whose sessions."""

    user_ids: tuple[UserId, ...] = Field(
        default=(),
        title="User ids",
        description="The ids of users at Clerk, one per line. Empty: the accounts that the incident knows.",
        max_length=MOST_ACCOUNTS,
        json_schema_extra={"placeholder": "user_…"},
    )


def log_actions() -> tuple[ActionSpec, ...]:
    """The actions on records."""
    return (
        ActionSpec(
            name="logs.preserve",
            title="Save what the review needs",
            risk=Risk.READ,
            params=PreserveParams,
            run=preserve,
            deadline_s=180.0,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One part of the file. ``missing``: what should be in it and is not, in half a sentence; "": nothing."""

    title: str
    text: str
    counted: str
    missing: str = ""


async def preserve(params: PreserveParams, context: ActionContext) -> Outcome:
    """`ok` when all that is configured was read; what was not is named, and the rest is kept all the same."""
    parts = [part for part in await asyncio.gather(*(read() for read in _readers(params, context))) if part]
    run = context.run
    head = [
        f"Saved {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC" + (f" for {run.incident_id}" if run.incident_id else ""),
        *(f"asked for by {clean(by, max_chars=80)}" for by in (run.requested_by,) if by),
    ]
    written = "\n".join([", ".join(head), "", *(_section(part) for part in parts)])
    text = redact(written, context.providers.config.secrets())
    missing = [part.missing for part in parts if part.missing]
    if len(text) > MAX_CHARS:
        text = text[:MAX_CHARS] + "\n… cut here\n"
        missing.append(f"what is behind the first {MAX_CHARS:,} characters")
    digest = hashlib.sha256(text.encode()).hexdigest()
    counted = ", ".join(part.counted for part in parts) or "nothing"
    return Outcome(
        state=State.UNKNOWN if missing or not parts else State.OK,
        value="saved in part" if missing else "saved" if parts else "nothing to save",
        summary=f"Saved: {counted}" + (f". Not saved: {'; '.join(missing)}" if missing else ""),
        details=(
            f"SHA-256 of what was saved (the file in Slack has a head above it): {digest}",
            *(f"{part.title}: {part.missing or part.counted}" for part in parts),
        ),
        remedy="Save by hand what is missing, before the sessions are revoked and the logs are gone" if missing else "",
        facts={"sha256": digest, "characters": len(text), "missing": len(missing)},
        report=text,
    )


def _section(part: _Part) -> str:
    note = f"(not complete: {part.missing})\n" if part.missing else ""
    return f"== {part.title} ==\n{note}{part.text.rstrip()}\n"


def _readers(params: PreserveParams, context: ActionContext) -> Iterator[Callable[[], Awaitable[_Part | None]]]:
    """What is configured. Each says in its part what it could not read."""
    config = context.providers.config

    async def sessions() -> _Part | None:
        return await _sessions(params, context)

    async def deployments() -> _Part | None:
        return await _either("Deployments and variables", _deployments(context))

    async def timeline() -> _Part | None:
        return await _either("Timeline", _timeline(context))

    if config.clerk_secret_key:
        yield sessions
    if config.vercel_token:
        yield deployments
    if context.run.incident_id:
        yield timeline


async def _either(title: str, part: Awaitable[_Part]) -> _Part:
    """The part, or why there is none."""
    try:
        return await part
    except MusterError as error:
        return _Part(title=title, text="", counted=f"no {title.casefold()}", missing=f"{title.casefold()} ({error})")


async def _sessions(params: PreserveParams, context: ActionContext) -> _Part | None:
    """Every session that Clerk still lists, the ended ones too, with address, place and device."""
    known = params.user_ids or tuple(one for one in context.run.accounts if re.fullmatch(USER_ID_PATTERN, one))
    wanted = tuple(dict.fromkeys(known))[:MOST_ACCOUNTS]
    if not wanted:
        return _Part(title="Sessions", text="No account is known to be affected.\n", counted="no sessions")
    clerk = context.providers.clerk()
    slots = asyncio.Semaphore(AT_ONCE)

    async def read(user_id: str) -> tuple[tuple[Session, ...], str]:
        async with slots:
            try:
                live = await clerk.list_live_sessions(user_id)
                recent = await clerk.list_sessions(user_id)
            except MusterError as error:
                return (), f"sessions of {user_id} ({error})"
        is_whole = live.complete and len(recent) < MAX_LIMIT
        return (*live.sessions, *recent), "" if is_whole else f"sessions of {user_id} (more than could be read)"

    read_all = await asyncio.gather(*(read(user_id) for user_id in wanted))
    found = {session.id: session for sessions, _ in read_all for session in sessions}
    missing = [why for _, why in read_all if why]
    if len(set(known)) > len(wanted):
        missing.append(f"sessions of {len(set(known)) - len(wanted)} more accounts (name them by id)")
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    return _Part(
        title="Sessions",
        text=sessions_record(found.values()) or "None.\n",
        counted=f"{len(found)} sessions of {len(wanted)} accounts",
        missing="; ".join(missing[:3]) + more,
    )


async def _deployments(context: ActionContext) -> _Part:
    """What was deployed lately, and the names of the variables with the moment of their last change; never a value."""
    vercel = context.providers.vercel()
    project = await vercel.get_project(project_of(None, context))
    deployments = await vercel.list_deployments(project.id, limit=MOST_DEPLOYMENTS)
    listing = await vercel.list_env(project.id)
    lines = [deployment_line(deployment, project.production_id) for deployment in deployments]
    lines += [
        f"{clean(variable.key, max_chars=128)} · {', '.join(variable.targets)} · changed {moment_of(variable.updated_at)}"
        for variable in listing.variables
    ]
    hidden = listing.hidden_production
    reasons = [f"{hidden} production variables hidden from {VERCEL_TOKEN}"] if hidden else []
    reasons += [] if listing.complete else ["the list of variables is longer than could be read"]
    return _Part(
        title="Deployments and variables",
        text="\n".join(lines),
        counted=f"{len(deployments)} deployments, the names of {len(listing.variables)} variables",
        missing="; ".join(reasons),
    )


async def _timeline(context: ActionContext) -> _Part:
    """The entries as they are stored, but for the files in them: a file of all files would double with each of them."""
    lines = [_without_file(line) for line in (await context.timeline()).splitlines()]
    return _Part(title="Timeline", text="\n".join(lines), counted=f"{len(lines)} entries of the timeline")


def _without_file(line: str) -> str:
    entry = json.loads(line)
    outcome = entry.get("fact", {}).get("outcome")
    if not isinstance(outcome, dict) or not outcome.get("report"):
        return line
    digest = hashlib.sha256(str(outcome["report"]).encode()).hexdigest()
    outcome["report"] = f"left out here, SHA-256 {digest}"
    return json.dumps(entry, separators=(",", ":"), sort_keys=True)
