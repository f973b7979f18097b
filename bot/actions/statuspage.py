"""Telling the public on the status page: `statuspage.update`.

What was published was read, and may have been mailed: so the preview has the words themselves, and a confirmation counts only as
long as the page is as it was shown. The page's incident carries the id of Muster's in its metadata; it is looked up before
anything is written, so that a repetition finds what is there. Only what somebody typed, or the runbook says, is published.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterable
from typing import Final

from pydantic import Field, field_validator

from bot.actions.spec import ActionContext, ActionParams, ActionSpec
from bot.domain.errors import UserError
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.providers.config import STATUSPAGE_API_KEY, STATUSPAGE_PAGE_ID
from bot.providers.faults import Refused, Unavailable
from bot.providers.foreign import foreign_text, redact
from bot.providers.statuspage import PublicIncident, Stage, StatusPage, StatuspageClient

BUCKET: Final = "statuspage"
PER_S: Final = 1.0
"""Statuspage's limit for one key."""
TEXT_MAX_CHARS: Final = 2_000
TITLE_MAX_CHARS: Final = 120
_LINE_CHARS: Final = 240
MOST_LINES: Final = 16
"""So much of a text is shown whole before somebody approves it."""
_OVER: Final = ("resolved", "postmortem")


class UpdateParams(ActionParams):
    """What people read."""

    text: str = Field(
        title="What people read",
        description="What does not work, since when, what you do about it, and when you write again. It is public.",
        pattern=r"\S",
        max_length=TEXT_MAX_CHARS,
        json_schema_extra={"placeholder": "Since 03:10 UTC nobody can sign in. We write again at 03:40 UTC."},
    )
    status: Stage = Field(
        title="Status",
        description="How far it is, in the words of the page; resolved closes the incident there.",
    )
    title: str = Field(
        title="Title",
        description="The headline of a new incident on the page; one that is open there keeps its own.",
        pattern=r"^\S[^\r\n]*$",
        max_length=TITLE_MAX_CHARS,
        json_schema_extra={"placeholder": "Problems with signing in"},
    )
    notify_subscribers: bool = Field(
        default=False,
        title="Mail it to the subscribers",
        description="Whoever subscribed to the page gets it by mail or text message.",
    )

    @field_validator("text")
    @classmethod
    def _shown_whole(cls, value: str) -> str:
        """Nobody approves what they were not shown."""
        if len(_quoted(value)) > MOST_LINES:
            raise ValueError(f"it has more than {MOST_LINES} lines, which could not be shown whole before; make fewer of them")
        return value

    @field_validator("text", "title")
    @classmethod
    def _without_secret(cls, value: str) -> str:
        """What is published by mistake cannot be taken back."""
        if redact(value) != value:
            raise ValueError("it seems to hold a secret, and everybody reads it; take that out")
        return value.strip()


def statuspage_actions() -> tuple[ActionSpec, ...]:
    """The action on the status page."""
    return (
        ActionSpec(
            name="statuspage.update",
            title="Write on the status page",
            risk=Risk.DESTRUCTIVE,
            params=UpdateParams,
            run=update,
            preview=preview_update,
            look=look_at_update,
            settings=(STATUSPAGE_API_KEY, STATUSPAGE_PAGE_ID),
            deadline_s=60.0,
            idempotency="lookup",
        ),
    )


async def preview_update(params: UpdateParams, context: ActionContext) -> Preview:
    """The exact words, where they will stand, and whether they are mailed. Raises: UserError for what cannot be done."""
    incident_id = _incident_id(context)
    client = context.providers.statuspage()
    await _paced(context)
    where = _where(await client.page())
    known = await _find(client, context, incident_id)
    if _says(known, params):
        return Preview(summary=f"{where} says exactly this already; nothing would change.", nothing_to_do=True)
    public = _goes_on(known, params)
    if public is None:
        summary = f"A new incident “{params.title}” is opened on {where} as {params.status}; it cannot be taken back"
    else:
        summary = f"“{_name(public)}” on {where} gets an update: {public.status} → {params.status}; it cannot be taken back"
    return Preview(
        summary=summary,
        items=(
            f"Title: {params.title if public is None else f'{_name(public)} (stays as it is)'}",
            f"Status: {params.status}",
            "Subscribers of the page get it by mail" if params.notify_subscribers else "Subscribers of the page are not mailed",
            *_quoted(params.text),
        ),
        confirm_label="Publish and mail it" if params.notify_subscribers else "Publish it",
        state=_state(public),
    )


async def update(params: UpdateParams, context: ActionContext) -> Outcome:
    """Looks first: a text that stands there is not written a second time. `ok` only when it was read back from the page."""
    try:
        incident_id = _incident_id(context)
        client = context.providers.statuspage()
        known = await _find(client, context, incident_id)
        if _says(known, params):
            return _seen(known, params)
        public = _goes_on(known, params)
    except UserError as error:
        return Outcome(state=State.FAILING, value="not done", summary=str(error), remedy="Nothing was published")
    await _paced(context)
    if public is None:
        written = await client.open(
            title=params.title,
            status=params.status,
            text=params.text,
            incident_id=incident_id,
            notify=params.notify_subscribers,
        )
    else:
        written = await client.add(public.id, status=params.status, text=params.text, notify=params.notify_subscribers)
    try:
        return await look_at_update(params, context)
    except (Refused, Unavailable) as error:
        return Outcome(
            state=State.UNKNOWN,
            value="not seen",
            summary=f"Statuspage took the text, but it could not be read back: {error.what}",
            remedy=f"Look at the page before you write it again; {error.remedy}",
            facts=_facts(written, params),
        )


async def look_at_update(params: UpdateParams, context: ActionContext) -> Outcome:
    """Whether the newest text of this incident on the page is this one."""
    return _seen(await _find(context.providers.statuspage(), context, _incident_id(context)), params)


def _incident_id(context: ActionContext) -> str:
    """Raises: UserError where nothing may be published."""
    if context.run.drill:
        raise UserError("this is a drill, and the public is real: nothing is written on the status page")
    if not context.run.incident_id:
        raise UserError("without an incident nobody could tell a repetition; open one, and run it there")
    return context.run.incident_id


async def _paced(context: ActionContext) -> None:
    await context.pace(BUCKET, PER_S)


async def _find(client: StatuspageClient, context: ActionContext, incident_id: str) -> PublicIncident | None:
    """What Muster opened on the page for this incident: the one that is open there, else the newest that is over."""
    await _paced(context)
    found = _own(await client.unresolved(), incident_id)
    if found is None:
        await _paced(context)
        found = _own(await client.recent(), incident_id)
    return found


def _own(found: Iterable[PublicIncident], incident_id: str) -> PublicIncident | None:
    return next((one for one in found if one.belongs_to(incident_id)), None)


def _goes_on(known: PublicIncident | None, params: UpdateParams) -> PublicIncident | None:
    """Which incident of the page gets the text; None: a new one. Raises: UserError when there is nothing to resolve."""
    if params.status == "resolved":
        if known is None:
            raise UserError("Muster opened nothing on the status page for this incident, so there is nothing to resolve there")
        return known
    return None if known is None or known.status in _OVER else known


def _says(public: PublicIncident | None, params: UpdateParams) -> bool:
    newest = public.newest if public else None
    return newest is not None and newest.status == params.status and _plain(newest.body or "") == _plain(params.text)


def _plain(text: str) -> str:
    """Without what a page may change of a text: its blanks and line ends."""
    return " ".join(text.split())


def _seen(public: PublicIncident | None, params: UpdateParams) -> Outcome:
    """The outcome by what stands on the page."""
    if public is not None and _says(public, params):
        mailed = "; the subscribers get it by mail" if _is_mailed(public, params) else ""
        return Outcome(
            state=State.OK,
            value=params.status,
            summary=f"“{_name(public)}” is seen on the status page as {params.status}, with this text{mailed}",
            details=_quoted(params.text),
            facts=_facts(public, params),
        )
    return Outcome(
        state=State.FAILING,
        value="not published",
        summary="This text is not the newest of this incident on the status page",
        remedy="Look at the page; then run it again, or write it there by hand",
    )


def _facts(public: PublicIncident, params: UpdateParams) -> dict[str, str | int | bool | None]:
    return {
        "public_id": foreign_text(public.id, max_chars=60),
        "status": params.status,
        "mailed": _is_mailed(public, params),
    }


def _is_mailed(public: PublicIncident, params: UpdateParams) -> bool:
    """As the page says; where it does not, as it was told to."""
    said = public.newest.deliver_notifications if public.newest else None
    return params.notify_subscribers if said is None else said


def _state(public: PublicIncident | None) -> str:
    """What the words were written for: nothing yet, or an incident with its newest text."""
    newest = public.newest if public else None
    shown = [public.id, public.status, newest.created_at.isoformat() if newest else ""] if public else []
    return hashlib.sha256("\n".join(shown).encode()).hexdigest()


def _quoted(text: str) -> tuple[str, ...]:
    """The whole text, in lines that are short enough to be shown whole."""
    lines = (part for line in text.splitlines() for part in textwrap.wrap(line, _LINE_CHARS))
    return tuple(f"> {line}" for line in lines)


def _name(public: PublicIncident) -> str:
    return foreign_text(public.name, max_chars=TITLE_MAX_CHARS)


def _where(page: StatusPage) -> str:
    """ "Example Status (status.example.com)"."""
    address = page.domain or (f"{page.subdomain}.statuspage.io" if page.subdomain else page.id)
    return f"{foreign_text(page.name, max_chars=60)} ({foreign_text(address, max_chars=80)})"
