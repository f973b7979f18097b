"""Runs actions: checks parameters, keeps the deadline, turns every failure into an outcome that a person can act on.

The worker and the terminal call `execute` and `preview`, nothing else. This is the one broad catch of the actions: a
fault of Muster's own becomes an outcome too, and leaves a trace in the log.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog
from pydantic import ValidationError

from bot.actions.spec import ActionContext, ActionParams, ActionSpec
from bot.domain.errors import FencedError, MusterError, NotConfiguredError, TemporaryError, UnknownOutcome, UserError
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.domain.text import clean, cut
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.providers.foreign import redact

PREVIEW_DEADLINE_S: Final = 30.0
SETTLE_S: Final = 2.0
"""What was asked for and not answered is looked at after so long."""
SUMMARY_MAX_CHARS: Final = 300
VALUE_MAX_CHARS: Final = 60
LINE_MAX_CHARS: Final = 300
MAX_LINES: Final = 500

log = structlog.get_logger(__name__)


async def execute(spec: ActionSpec, raw_params: Mapping[str, Any], context: ActionContext) -> Outcome:
    """Run ``spec``. Never raises but for cancellation: what could not be seen is an outcome of state `unknown`."""
    try:
        params = parse_params(spec, raw_params)
        async with asyncio.timeout(spec.deadline_s):
            outcome = await _done_plainly(spec, params, context)
    except FencedError:
        raise  # another worker has it, or it is not wanted any more: there is no outcome of ours
    except Unanswered as error:
        outcome = await _after_no_answer(spec, raw_params, context, error)
    except NotConfiguredError as error:
        outcome = _unknown("Not configured, so nothing was asked", remedy=f"set {error.setting} and restart Muster")
    except (Refused, Unavailable) as error:
        outcome = _unknown(error.what, remedy=error.remedy, retry_after_s=getattr(error, "retry_after_s", None))
    except TemporaryError as error:
        outcome = _unknown(str(error), remedy="try again", retry_after_s=error.retry_after_s)
    except MusterError as error:
        outcome = _unknown(str(error))
    except TimeoutError:
        outcome = _stopped(spec)
    except Exception as error:  # noqa: BLE001 - the action runner's guard: a person sees it, and the log has the place
        outcome = _crashed(spec, error)
    secrets = context.providers.config.secrets()
    if not outcome.report:
        return _presentable(outcome, secrets)
    return await asyncio.to_thread(_presentable, outcome, secrets)  # a long report takes tenths of a second


async def _done_plainly(spec: ActionSpec, params: ActionParams, context: ActionContext) -> Outcome:
    """Of calls beside each other that failed together, what matters most comes out: that it is not ours any more, then that
    nobody knows what became of one."""
    try:
        return await spec.run(params, context)
    except ExceptionGroup as group:
        leaves = list(_leaves(group))
        for kind in (FencedError, UnknownOutcome, MusterError, Exception):
            found = next((leaf for leaf in leaves if isinstance(leaf, kind)), None)
            if found:
                raise found from group
        raise


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def look(spec: ActionSpec, raw_params: Mapping[str, Any], context: ActionContext) -> Outcome:
    """Whether the effect of ``spec`` is there; changes nothing. Never raises but for cancellation."""
    if spec.look is None:
        return _unknown(f"What became of “{spec.title}” cannot be seen from here", remedy="look at what it touches yourself")
    reading = replace(spec, run=spec.look, risk=Risk.READ, preview=None, idempotency=None, undo="", revert_after_s=None)
    return await execute(reading, raw_params, context)


async def _after_no_answer(spec: ActionSpec, raw_params: Mapping[str, Any], context: ActionContext, error: Unanswered) -> Outcome:
    """Nobody knows whether the last call was done: a look may tell."""
    unknown = _unknown(error.what, remedy=error.remedy)
    if spec.risk is Risk.READ or spec.look is None:
        return unknown
    await context.sleep(SETTLE_S)
    seen = await look(spec, raw_params, context)
    if seen.state is State.UNKNOWN:
        return unknown
    said = f"The answer was lost ({error.what}); this was seen afterwards."
    return seen.model_copy(update={"details": (said, *seen.details)})


async def preview(spec: ActionSpec, raw_params: Mapping[str, Any], context: ActionContext) -> Preview:
    """What ``spec`` would do with these parameters.

    Raises: MusterError: UserError for parameters that do not fit and for actions that only read, else what the provider
        said; the message has the remedy.
    """
    if spec.preview is None:
        raise UserError(f"{spec.title} only reads; run it, there is nothing to confirm")
    params = parse_params(spec, raw_params)
    try:
        async with asyncio.timeout(PREVIEW_DEADLINE_S):
            found = await spec.preview(params, context)
    except TimeoutError as error:
        raise TemporaryError(
            f"{spec.title}: what it would do could not be found out within {PREVIEW_DEADLINE_S:g} s; try again"
        ) from error
    known = context.providers.config.secrets()
    return found.model_copy(
        update={
            "summary": _line(found.summary, SUMMARY_MAX_CHARS, known),
            "items": _lines(found.items, known),
            "confirm_label": cut(found.confirm_label, max_chars=30),
        }
    )


def parse_params(spec: ActionSpec, raw_params: Mapping[str, Any]) -> ActionParams:
    """The parameters, checked. Raises: UserError with every problem at once, and without the values that were given."""
    try:
        return spec.params.model_validate(dict(raw_params))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        problems = "; ".join(
            f"{clean('.'.join(map(str, problem['loc'])), max_chars=60)}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in found
        )
        raise UserError(f"{spec.name} cannot run with these parameters: {redact(problems)}") from None


def _unknown(summary: str, *, remedy: str = "", retry_after_s: float | None = None) -> Outcome:
    facts: dict[str, str | int | bool | None] = {}
    if retry_after_s is not None:
        facts["retry_after_s"] = round(retry_after_s)
    return Outcome(state=State.UNKNOWN, summary=summary, value="unknown", remedy=remedy, facts=facts)


def _stopped(spec: ActionSpec) -> Outcome:
    if spec.risk is Risk.READ:
        return _unknown(f"{spec.title}: no result within {spec.deadline_s:g} s", remedy="try again")
    return _unknown(
        f"{spec.title} was stopped after {spec.deadline_s:g} s; a part of it may have been done",
        remedy="look at what it touches, then run it again",
    )


def _crashed(spec: ActionSpec, error: Exception) -> Outcome:
    """The log gets the kind and the place, not the text: a text that nobody wrote on purpose may hold anything."""
    log.error(
        "action_crashed",
        action=spec.name,
        error=type(error).__name__,
        place="".join(traceback.format_tb(error.__traceback__)),
    )
    return _unknown(
        f"{spec.title} failed in Muster itself ({type(error).__name__})",
        remedy="do the step by hand, and report this with the log entry action_crashed",
    )


def _presentable(outcome: Outcome, known: Iterable[str]) -> Outcome:
    """The last net: sentences within their limits, and no secret, wherever it slipped through."""
    secrets = tuple(known)
    facts = {
        name: _line(value, LINE_MAX_CHARS, secrets) if isinstance(value, str) else value for name, value in outcome.facts.items()
    }
    return outcome.model_copy(
        update={
            "summary": _line(_sentence(outcome.summary), SUMMARY_MAX_CHARS, secrets),
            "value": _line(outcome.value, VALUE_MAX_CHARS, secrets),
            "details": _lines(outcome.details, secrets),
            "remedy": _line(_sentence(outcome.remedy[:1].upper() + outcome.remedy[1:]), SUMMARY_MAX_CHARS, secrets),
            "facts": facts,
            "report": redact(outcome.report, secrets),
        }
    )


def _lines(lines: tuple[str, ...], known: Iterable[str]) -> tuple[str, ...]:
    secrets = tuple(known)
    shown = tuple(_line(line, LINE_MAX_CHARS, secrets) for line in lines[:MAX_LINES])
    left = len(lines) - len(shown)
    return (*shown, f"… and {left} more") if left else shown


def _line(text: str, max_chars: int, known: Iterable[str]) -> str:
    return cut(redact(text, known), max_chars=max_chars)


def _sentence(text: str) -> str:
    """With its full stop. A summary may begin with an id or a host name, so its first letter stays as it is."""
    return text if not text or text[-1] in ".!?…" else f"{text}."
