"""The application's webhook endpoint, probed from outside. Declared as an action in `bot.actions.clerk`.

An endpoint that is well refuses an event without a signature: 400 is good news, and 200 is a way in for forged events.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Literal

from pydantic import Field

from bot.actions.http import AddressParams, unset_address
from bot.actions.spec import ActionContext
from bot.domain.outcome import Outcome, State
from bot.providers.config import CLERK_WEBHOOK_SIGNING_SECRET
from bot.providers.faults import Unavailable
from bot.providers.http import Reply

MIDDLEWARE_HEADER: Final = "x-clerk-auth-reason"
"""Clerk's middleware gives its reason with it when it turns somebody away."""

Reading = Literal["accepted", "refused", "closed", "method", "limited", "broken", "silent", "odd"]


class WebhookParams(AddressParams):
    """`clerk.webhook_probe`: where the application takes Clerk's events."""

    url: str = Field(
        title="Address",
        description="Address of the application's webhook endpoint for Clerk.",
        max_length=2048,
        json_schema_extra={"placeholder": "https://your-app/api/webhooks/clerk"},
    )


async def probe_webhook(params: WebhookParams, context: ActionContext) -> Outcome:
    """`ok` when it refuses an unsigned event and, with a secret to sign with, takes a signed one of an unknown type."""
    unset = unset_address(params.url)
    if unset:
        return unset
    knock = context.providers.clerk_webhook()
    epoch_s = int(time.time())
    message_id = f"msg_muster{time.time_ns() // 1_000_000}"

    async def ask(*, signed: bool) -> tuple[Reading, str]:
        suffix = "signed" if signed else "unsigned"
        try:
            reply = await knock.knock(params.url, message_id=f"{message_id}{suffix}", epoch_s=epoch_s, signed=signed)
        except Unavailable as error:
            if error.reason not in ("refused", "timeout", "reset", "tls"):
                raise
            return "silent", error.what
        return _reading(reply), _answered(reply)

    unsigned = await ask(signed=False)
    signed = await ask(signed=True) if knock.can_sign and unsigned[0] != "silent" else None
    return _judged(unsigned, signed)


def _reading(reply: Reply) -> Reading:
    by_status: dict[int, Reading] = {400: "refused", 401: "refused", 403: "refused", 404: "closed", 405: "method", 429: "limited"}
    if reply.status in by_status:
        return by_status[reply.status]
    if 200 <= reply.status < 300:
        return "accepted"
    if 300 <= reply.status < 400:
        return "closed"
    return "broken" if reply.status >= 500 else "odd"


def _answered(reply: Reply) -> str:
    by = ", by Clerk's middleware" if reply.headers.get(MIDDLEWARE_HEADER) else ""
    return f"HTTP {reply.status}{by}"


def _judged(unsigned: tuple[Reading, str], signed: tuple[Reading, str] | None) -> Outcome:
    """An event that anybody can forge comes first: that is more than a disturbance."""
    details = [f"An event without a signature: {unsigned[1]}"]
    details.append(f"A signed one: {signed[1]}" if signed else f"A signed one: not sent; {_why_unsigned(unsigned[0])}")
    facts: dict[str, str | int | bool | None] = {"unsigned": unsigned[1], "signed": signed[1] if signed else None}

    def outcome(state: State, value: str, summary: str, remedy: str = "") -> Outcome:
        return Outcome(state=state, value=value, summary=summary, remedy=remedy, details=tuple(details), facts=facts)

    if unsigned[0] == "broken" and signed and signed[0] == "accepted":
        return outcome(
            State.OK,
            "works",
            f"The webhook endpoint takes a signed event; to an unsigned one it answers {unsigned[1]}, where 400 would be right",
            "Let the handler answer 400 to a bad signature: as it is, a forged event looks like a fault",
        )
    if unsigned[0] != "refused":
        return _by_unsigned(unsigned, outcome)
    if signed is None:
        return outcome(
            State.OK,
            "refuses unsigned",
            f"The webhook endpoint refuses an unsigned event ({unsigned[1]}), as it should; a signed one was not tried",
            f"Set {CLERK_WEBHOOK_SIGNING_SECRET} to have that tried as well",
        )
    if signed[0] == "accepted":
        return outcome(
            State.OK,
            "works",
            f"The webhook endpoint refuses an unsigned event ({unsigned[1]}) and takes a signed one ({signed[1]})",
        )
    if signed[0] == "refused":
        return outcome(
            State.FAILING,
            "refuses signed",
            f"The webhook endpoint refuses a correctly signed event ({signed[1]}): Clerk's events are lost",
            f"Compare its signing secret with {CLERK_WEBHOOK_SIGNING_SECRET} and with Clerk's Dashboard, and look at its clock",
        )
    if signed[0] == "limited":
        return outcome(
            State.UNKNOWN,
            "limited",
            f"The webhook endpoint limits the rate ({signed[1]}), so the signed event was not judged",
            "Try again",
        )
    return outcome(
        State.FAILING,
        signed[1],
        f"The webhook endpoint fails on a correctly signed event: {signed[1]}",
        "Look at the application's log for this minute; an event of an unknown type should be answered with 200",
    )


def _by_unsigned(unsigned: tuple[Reading, str], outcome: Callable[[State, str, str, str], Outcome]) -> Outcome:
    kind, said = unsigned
    match kind:
        case "accepted":
            return outcome(
                State.FAILING,
                "takes forged events",
                f"The webhook endpoint takes an event without a signature ({said}): anybody can forge users and sessions",
                "Verify the signature before anything else (verifyWebhook), deploy that, and look at what was taken until now",
            )
        case "closed":
            return outcome(
                State.FAILING,
                "not reached",
                f"The webhook endpoint is not reached ({said}): the path is wrong, or the middleware protects it",
                "Make the route public in the middleware (Clerk cannot sign in), and check the path in the step",
            )
        case "method":
            return outcome(
                State.FAILING,
                "no POST",
                f"The webhook endpoint takes no POST ({said}): it is another route, or its handler is missing",
                "Check the path in the step, and that the route exports POST",
            )
        case "limited":
            return outcome(State.UNKNOWN, "limited", f"The webhook endpoint limits the rate ({said})", "Try again in a minute")
        case "broken":
            return outcome(
                State.FAILING,
                said,
                f"The webhook endpoint fails ({said}); some handlers do so on a bad signature only",
                "Look at the application's log for this minute; a bad signature should be answered with 400",
            )
        case "silent":
            return outcome(
                State.FAILING, "no answer", f"The webhook endpoint does not answer: {said}", "Look whether the application is up"
            )
    return outcome(
        State.UNKNOWN,
        said,
        f"The webhook endpoint answered {said}, which says nothing",
        "Check the address in the step; 400 is what an unsigned event should get",
    )


def _why_unsigned(unsigned: Reading) -> str:
    if unsigned == "silent":
        return "nobody answered the first"
    return f"{CLERK_WEBHOOK_SIGNING_SECRET} is not set"
