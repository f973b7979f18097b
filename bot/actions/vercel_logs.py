"""What an application at Vercel writes, as far as the API tells it. Declared in `bot.actions.vercel_deployments`."""

from __future__ import annotations

from collections import Counter
from typing import Final

from pydantic import Field

from bot.actions.spec import ActionContext, ActionParams
from bot.actions.vercel_serving import Production, ProjectField, counted, page_of, short
from bot.domain.outcome import Outcome, State
from bot.providers.foreign import foreign_text, word_of
from bot.providers.vercel_shapes import Deployment, RuntimeLine

MOST_LOG_LINES: Final = 40
NO_PAST: Final = "Vercel's API gives no log of the past, only what is written while somebody listens"

Facts = dict[str, str | int | bool | None]


class LogsParams(ActionParams):
    """`vercel.logs`: how long to listen."""

    listen_s: int = Field(
        default=10, title="Seconds", description="How many seconds to listen to what the application writes.", ge=1, le=20
    )
    project: ProjectField = None


async def read_logs(params: LogsParams, context: ActionContext) -> Outcome:
    """The log of a build that failed after what serves, and what the application writes while Muster listens.

    `failing` when something bad was read, `ok` when lines came and none of them is bad, `unknown` when nothing was said.
    """
    production = await Production.open(params.project, context)
    current = await production.current()
    found = await production.vercel.list_deployments(production.project.id, limit=5)
    broken = next((one for one in found if one.state == "ERROR" and (one.created_at or 0) > (current.created_at or 0)), None)
    build = await _build_errors(production, broken) if broken else []
    await context.progress(f"Listening to {current.id} for {params.listen_s} s")
    lines = await production.vercel.runtime_log(production.project.id, current.id, for_s=params.listen_s)
    bad = [line for line in lines if line.is_bad]
    details = [
        *_paths(bad),
        *map(_runtime_line, bad[-MOST_LOG_LINES:]),
        *build,
        f"{NO_PAST}: for the past open the logs at Vercel",
    ]
    facts: Facts = {"lines": len(lines), "bad": len(bad), "deployment": current.id, "failed_build": broken.id if broken else None}
    heard = f"{counted(len(bad), 'bad line')} of {len(lines)} in {params.listen_s} s from {short(current)}"
    where = f"Open {page_of(current)} for the log of the past"
    if bad:
        return Outcome(
            state=State.FAILING, value=f"{len(bad)} bad", summary=heard, details=tuple(details), remedy=where, facts=facts
        )
    if build:
        summary = f"The newest production build failed: {short(broken)}; {heard}" if broken else heard
        return Outcome(
            state=State.FAILING, value="build failed", summary=summary, details=tuple(details), remedy=where, facts=facts
        )
    if not lines:
        return Outcome(
            state=State.UNKNOWN,
            value="silent",
            summary=f"{short(current)} wrote nothing within {params.listen_s} s; {NO_PAST}",
            details=tuple(details),
            remedy=where,
            facts=facts,
        )
    return Outcome(state=State.OK, value="nothing bad", summary=heard, details=tuple(details), facts=facts)


async def _build_errors(production: Production, broken: Deployment) -> list[str]:
    lines = await production.vercel.build_log(broken.id)
    said = [foreign_text(line.said, max_chars=200) for line in lines if line.is_bad]
    head = f"Build of {short(broken)} failed" + (f" ({word_of(broken.error_code)})" if word_of(broken.error_code) else "")
    return [head, *(f"Build: {text}" for text in said[-MOST_LOG_LINES:] if text)]


def _paths(bad: list[RuntimeLine]) -> list[str]:
    """How often which path answered with what, most often first."""
    counted = Counter(
        (foreign_text(line.path, max_chars=80), line.status) for line in bad if line.path and (line.status or 0) >= 500
    )
    return [f"{number} × HTTP {status} for {path}" for (path, status), number in counted.most_common(5)]


def _runtime_line(line: RuntimeLine) -> str:
    request = " ".join(part for part in (word_of(line.method), foreign_text(line.path, max_chars=80)) if part)
    status = f" {line.status}" if line.status and line.status > 0 else ""
    said = foreign_text(line.message, max_chars=160)
    return f"{word_of(line.level) or 'log'}: {request}{status}{': ' if request and said else ''}{said}"
