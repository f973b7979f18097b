"""Telling the users who are hit, by mail: `email.notify_users`.

A mail server cannot be asked whether a mail was sent, so each person is entered in the run's job book before their mail is handed
over, and struck off after it: whoever goes on after a crash writes to nobody twice, and counts those in between as people who may
have been written to. An address never leaves here: what people see are the ids of accounts.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints, field_validator

from bot.actions.clerk_accounts import protection_of
from bot.actions.mail_templates import MailTemplate, read_template
from bot.actions.spec import ActionContext, ActionParams, ActionSpec
from bot.domain.errors import PermanentError, TemporaryError, UnknownOutcome, UserError
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.domain.text import clean
from bot.providers.clerk import MAX_NAMED, USER_ID_PATTERN, Account
from bot.providers.config import CLERK_SECRET_KEY, SMTP_URL
from bot.providers.faults import Refused, Unavailable
from bot.providers.foreign import foreign_text
from bot.providers.http import current_guard
from bot.providers.mail_text import RECEIVER_REFUSED, is_address, message_id_of, plain_mail
from bot.services.jobs import tally, way_of

AT_ONCE: Final = 4
"""So many mails are under way at a time; a crash leaves no more of them in doubt."""
TRIES: Final = 3
WAIT_S: Final = 5.0
MOST_NOT_NOW: Final = 5
"""After so many people in a row whom the server does not take now, it is not asked any more."""
BUDGET_S: Final = 3_600.0
MOST_IDS: Final = 10_000
MOST_SHOWN: Final = 50
SHOWN_LINES: Final = 12
DETAILS_MAX_CHARS: Final = 500

SENT, UNSURE, REFUSED, NOT_NOW = "sent", "may have been sent", "refused", "not sent"
NO_ADDRESS, PROTECTED = "no address", "protected"

TEMPLATE_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,59}$"
UserId = Annotated[str, StringConstraints(pattern=USER_ID_PATTERN)]


class NotifyParams(ActionParams):
    """Who is told what."""

    template: str = Field(
        title="Text",
        description="The name of a text in runbooks/templates, without .txt.",
        pattern=TEMPLATE_PATTERN,
        json_schema_extra={"placeholder": "account-accessed"},
    )
    user_ids: tuple[UserId, ...] = Field(
        default=(),
        title="User ids",
        description="The ids of the users at Clerk, one per line. Empty: the accounts that the incident knows.",
        max_length=MOST_IDS,
        json_schema_extra={"placeholder": "user_…"},
    )
    details: str = Field(
        default="",
        title="What happened",
        description="One or two sentences for those who read the mail; they stand in it where the text has ${details}.",
        max_length=DETAILS_MAX_CHARS,
        json_schema_extra={"placeholder": "on 20 November somebody signed in from an unknown place."},
    )

    @field_validator("user_ids", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """One text with an id per line, or with commas, is a list too. Twice the same is once."""
        found = re.split(r"[\s,;]+", value.strip()) if isinstance(value, str) else value
        return tuple(dict.fromkeys(item for item in found if item != "")) if isinstance(found, list | tuple) else found


def email_actions() -> tuple[ActionSpec, ...]:
    """The actions on mail."""
    return (
        ActionSpec(
            name="email.notify_users",
            title="Write to the users who are hit",
            risk=Risk.DESTRUCTIVE,
            params=NotifyParams,
            run=notify_users,
            preview=preview_notification,
            settings=(SMTP_URL, CLERK_SECRET_KEY),
            deadline_s=BUDGET_S + 120,
            idempotency="key",
            check=check_template,
        ),
    )


def check_template(given: Mapping[str, object], folder: Path) -> str:
    """What is wrong with the text that a step names; "": nothing, or it is asked for when the step runs. Blocks."""
    name = given.get("template")
    if not isinstance(name, str) or not re.fullmatch(TEMPLATE_PATTERN, name):
        return ""
    try:
        read_template(folder, name)
    except UserError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receivers:
    """``known`` have an address, ``without`` have none that mail servers take, or are not at Clerk (any more); nobody writes to
    the ``protected`` ones."""

    known: tuple[Account, ...]
    without: tuple[str, ...]
    protected: tuple[str, ...]


async def preview_notification(params: NotifyParams, context: ActionContext) -> Preview:
    """How many, who, and the beginning of the mail. Raises: UserError for nobody, and for a text that cannot be sent so."""
    context.providers.mail()
    template = await _template(params, context)
    wanted = _wanted(params, context)
    found = await _find(context, wanted)
    if not found.known:
        if found.protected:
            raise UserError("there is nobody to tell: policy.yml protects these accounts, as far as they have an e-mail address")
        raise UserError(f"none of these {len(wanted)} accounts has an e-mail address at Clerk; tell them in another way")
    sample = template.filled(_values(params, context, "…"))
    ids = tuple(sorted(account.id for account in found.known))
    shown = [f"to {account_id}" for account_id in ids[:MOST_SHOWN]]
    more = [f"… and to {len(ids) - MOST_SHOWN} more"] if len(ids) > MOST_SHOWN else []
    left_out = [f"{account_id} has no e-mail address at Clerk, and is left out" for account_id in found.without[:MOST_SHOWN]]
    left_out += [f"{account_id} is protected by policy.yml, and is left out" for account_id in found.protected[:MOST_SHOWN]]
    lines = [line for line in sample.body.splitlines() if line.strip()]
    return Preview(
        summary=f"{_people(len(ids))} get{'s' if len(ids) == 1 else ''} the mail “{sample.subject}”; it cannot be taken back",
        items=(f"Subject: {sample.subject}", *(f"> {line}" for line in lines[:SHOWN_LINES]), *shown, *more, *left_out),
        confirm_label=f"Write to {_people(len(ids))}",
        state=hashlib.sha256("\n".join((template.digest, *ids)).encode()).hexdigest(),
        accounts=ids,
        affects=len(ids),
    )


async def notify_users(params: NotifyParams, context: ActionContext) -> Outcome:
    """Write to everybody who was not written to yet. `ok` only when the mail server took every mail."""
    mailing = _Mailing(params, context, await _template(params, context))
    stopped = await mailing.plan()
    return await mailing.told(stopped or await mailing.send_all())


class _Mailing:
    """One attempt; what must survive it is in the job."""

    def __init__(self, params: NotifyParams, context: ActionContext, template: MailTemplate) -> None:
        self._params = params
        self._context = context
        self._template = template
        self._mail = context.providers.mail()
        self._job = context.job
        self._not_now = 0
        self._planned = 0
        self._clock = asyncio.get_running_loop().time
        self._gives_up_at = self._clock() + BUDGET_S

    async def plan(self) -> str:
        """Enter everybody; at a later attempt, settle what was under way. Why nothing may be sent; "": it may."""
        notes = await self._job.notes()
        if "planned" not in notes:
            wanted = _wanted(self._params, self._context)
            await self._job.add(wanted, {"planned": len(wanted), "text": self._template.digest, "under_way": []})
            notes = await self._job.notes()
        self._planned = int(str(notes["planned"]))
        ended = await self._job.ended()
        under_way = notes.get("under_way")
        doubtful = [str(item) for item in under_way if item not in ended] if isinstance(under_way, list) else []
        await self._job.end(dict.fromkeys(doubtful, f"{UNSURE}: Muster was interrupted"))
        if notes["text"] != self._template.digest:
            return "the text was changed since it was confirmed"
        return ""

    async def send_all(self) -> str:
        """Write to all who are left; why it ended early, "": it did not."""
        while waiting := await self._job.next(MAX_NAMED):
            try:
                found = await _find(self._context, waiting)
            except (Refused, Unavailable) as error:
                return f"{error.what}; {error.remedy}"
            await self._job.end({**dict.fromkeys(found.without, NO_ADDRESS), **dict.fromkeys(found.protected, PROTECTED)})
            for start in range(0, len(found.known), AT_ONCE):
                if self._context.is_stopping():
                    return "it was stopped"
                if self._clock() > self._gives_up_at:
                    return f"it took longer than {BUDGET_S / 60:g} min"
                halt = await self._send(found.known[start : start + AT_ONCE])
                if halt:
                    return halt
        return ""

    async def _send(self, accounts: Sequence[Account]) -> str:
        """A few mails beside each other; why no more may be sent, "": more may."""
        await self._job.save({"under_way": [account.id for account in accounts]})
        results = await asyncio.gather(*(self._send_one(account) for account in accounts), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, PermanentError):
                raise result
        ends = {account.id: end for account, end in zip(accounts, results, strict=True) if isinstance(end, str)}
        await self._job.end(ends)
        await self._job.save({"under_way": []})
        self._not_now = self._not_now + len(ends) if all(way_of(end) == NOT_NOW for end in ends.values()) else 0
        await self._report()
        halts = [str(result) for result in results if isinstance(result, PermanentError)]
        if not halts and self._not_now >= MOST_NOT_NOW:
            halts = [next(iter(ends.values())).partition(": ")[2]]
        return halts[0] if halts else ""

    async def _send_one(self, account: Account) -> str:
        """How it ended. Raises: PermanentError when nobody can be written to, FencedError."""
        filled = self._template.filled(_values(self._params, self._context, _first_name(account)))
        try:
            message = plain_mail(
                sender=self._mail.sender,
                receiver=account.primary_email or "",
                subject=filled.subject,
                text=filled.body,
                message_id=message_id_of(
                    f"{self._context.run.incident_id}/{self._template.digest[:8]}/{account.id}", namespace="muster"
                ),
            )
        except PermanentError:
            return NO_ADDRESS
        for number in range(TRIES):
            try:
                await self._mail.send(message, receiver_is="the address at Clerk", check=current_guard() or _no_guard)
            except UnknownOutcome as error:
                return f"{UNSURE}: {error}"
            except PermanentError as error:
                if error.code == RECEIVER_REFUSED:
                    return f"{REFUSED}: {error}"
                raise
            except TemporaryError as error:
                if number + 1 == TRIES or self._context.is_stopping():
                    return f"{NOT_NOW}: {error}"
                await self._context.sleep(WAIT_S)
            else:
                return SENT
        raise AssertionError("the last try returns or raises")

    async def _report(self) -> None:
        left = await self._job.left()
        await self._context.progress(f"{self._planned - left} of {_people(self._planned)} done")

    async def told(self, stopped: str) -> Outcome:
        """The honest count."""
        ended, left = await self._job.ended(), await self._job.left()
        counts = tally(ended)
        sent, unsure = counts[SENT], counts[UNSURE]
        missed = {user_id: end for user_id, end in ended.items() if way_of(end) != SENT}
        due = self._planned - counts[PROTECTED]
        untold = due - sent - unsure
        said = _counted(counts, left)
        why = f"; {stopped}" if stopped else ""
        state = State.OK if 0 < sent == due else State.UNKNOWN if unsure and not untold else State.FAILING
        return Outcome(
            state=state,
            value=f"{sent} of {due} sent",
            summary=f"The mail server took {sent} of {due} mails{said}{why}",
            details=tuple(f"{user_id}: {end}" for user_id, end in sorted(missed.items())[:MOST_SHOWN]),
            remedy=_remedy(untold=untold, unsure=unsure),
            facts={
                "planned": self._planned,
                "sent": sent,
                "may_have_been_sent": unsure,
                "refused": counts[REFUSED],
                "no_address": counts[NO_ADDRESS],
                "protected": counts[PROTECTED],
                "not_sent": counts[NOT_NOW] + left,
                "text": self._template.digest[:12],
            },
            report=await self._list(ended),
        )

    async def _list(self, ended: Mapping[str, str]) -> str:
        waiting = await self._job.next(MOST_IDS)
        lines = [f"{user_id}\t{end}" for user_id, end in sorted(ended.items())]
        return "\n".join([*lines, *(f"{user_id}\tnot begun" for user_id in waiting)]) + "\n"


async def _template(params: NotifyParams, context: ActionContext) -> MailTemplate:
    """The text, with ``details`` in it already. Raises: UserError."""
    template = await asyncio.to_thread(read_template, context.providers.config.templates_dir, params.template)
    details = clean(params.details, max_chars=DETAILS_MAX_CHARS)
    if template.wants("details") and not details:
        raise UserError(f"the text “{params.template}” says what happened; fill in “What happened” (details)")
    return template


def _wanted(params: NotifyParams, context: ActionContext) -> tuple[str, ...]:
    """Who is to be told. Raises: UserError for nobody, and in a drill."""
    run = context.run
    if run.drill:
        raise UserError("this is a drill, and users are real: nobody is written to")
    asked = params.user_ids or run.accounts
    strange = [user_id for user_id in asked if not re.fullmatch(USER_ID_PATTERN, user_id)]
    if strange:
        raise UserError(f"{clean(strange[0], max_chars=60)} is no user of Clerk; take it off the accounts, or name the users")
    if not asked:
        raise UserError("there is nobody to tell: the incident knows no affected accounts, and no users were named")
    return tuple(dict.fromkeys(asked))


async def _find(context: ActionContext, user_ids: Sequence[str]) -> _Receivers:
    """The accounts and their primary addresses, in the order of ``user_ids``. Raises: Refused, Unavailable."""
    clerk = context.providers.clerk()
    found: dict[str, Account] = {}
    for start in range(0, len(user_ids), MAX_NAMED):
        named = user_ids[start : start + MAX_NAMED]
        found |= {account.id: account for account in await clerk.list_users(user_ids=named, limit=MAX_NAMED)}
    known: list[Account] = []
    without: list[str] = []
    protected: list[str] = []
    for user_id in user_ids:
        account = found.get(user_id)
        if account is None or not is_address(account.primary_email or ""):
            without.append(user_id)
        elif protection_of(account, context):
            protected.append(user_id)
        else:
            known.append(account)
    return _Receivers(known=tuple(known), without=tuple(without), protected=tuple(protected))


def _values(params: NotifyParams, context: ActionContext, name: str) -> dict[str, str]:
    run = context.run
    return {
        "name": name,
        "details": clean(params.details, max_chars=DETAILS_MAX_CHARS),
        "date": f"{run.confirmed_at or datetime.now(UTC):%Y-%m-%d}",
        "reference": run.incident_id or "this mail",
    }


def _first_name(account: Account) -> str:
    return foreign_text(account.first_name, max_chars=60) or "there"


def _no_guard() -> None:
    """Where no lease is held, as in tests of this action alone."""


def _people(count: int) -> str:
    return f"{count} {'person' if count == 1 else 'people'}"


def _counted(counts: Counter[str], left: int) -> str:
    parts: Iterable[tuple[int, str]] = (
        (counts[UNSURE], "may have been sent, and was not repeated"),
        (counts[REFUSED], "refused"),
        (counts[NO_ADDRESS], "without an address"),
        (counts[NOT_NOW] + left, "not sent"),
    )
    return "".join(f", {count} {words}" for count, words in parts if count)


def _remedy(*, untold: int, unsure: int) -> str:
    if untold:
        return "mend what the list names, then run it again with the ids of those who were not sent, or tell them in another way"
    return (
        "ask the mail server's log about those in doubt; write to them once more only when it has nothing of them"
        if unsure
        else ""
    )
