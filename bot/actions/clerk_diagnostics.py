"""What can be seen of a Clerk instance from outside: its keys, its speed. Declared as actions in `bot.actions.clerk`."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from pydantic import Field

from bot.actions.spec import ActionContext, ActionParams, NoParams
from bot.domain.errors import NotConfiguredError
from bot.domain.outcome import Outcome, State
from bot.providers.clerk import Instance
from bot.providers.clerk_frontend import ClerkFrontend
from bot.providers.config import CLERK_PUBLISHABLE_KEY, CLERK_SECRET_KEY
from bot.providers.faults import Refused, Unavailable
from bot.providers.foreign import foreign_text, word_of

MEASUREMENTS: Final = 3
"""After one that is not counted: it opens the connection."""
FINGERPRINT_CHARS: Final = 8


class LatencyParams(ActionParams):
    """From when on Clerk counts as slow."""

    auth_ms: int = Field(
        default=100,
        ge=1,
        le=60_000,
        title="Limit for keys (ms)",
        description="Signing keys, which sign-in checks need, must come within so many milliseconds.",
    )
    api_ms: int = Field(
        default=500,
        ge=1,
        le=60_000,
        title="Limit for the API (ms)",
        description="Calls of the Backend API must be answered within so many milliseconds.",
    )


class RotationParams(ActionParams):
    """What is known of the key before it was changed."""

    before: str = Field(
        title="Fingerprint before",
        description="What “Clerk keys” showed before the key was changed; it is in that step's result.",
        pattern=rf"^[0-9a-f]{{{FINGERPRINT_CHARS}}}$",
        json_schema_extra={"placeholder": "1a2b3c4d"},
    )


# -- keys --------------------------------------------------------------------------------------------------------------


async def check_jwks(_params: NoParams, context: ActionContext) -> Outcome:
    """`ok` when there is a signing key, and applications are told the same ones as the Backend API."""
    ids = await context.providers.clerk().key_ids()
    shown = tuple(foreign_text(kid, max_chars=60) for kid in ids)
    counted = f"{len(ids)} signing key{'' if len(ids) == 1 else 's'}"
    facts: dict[str, str | int | bool | None] = {"keys": len(ids), "kids": " ".join(sorted(shown))}
    details = tuple(f"Key {kid}" for kid in shown)
    if not ids:
        return Outcome(
            state=State.FAILING,
            value="no key",
            summary="The Clerk instance has no signing key, so no session token can be checked",
            remedy="Call Clerk's support; nothing here can mend it",
            facts=facts,
        )
    frontend = _frontend(context)
    if frontend is None:
        summary = f"Clerk's Backend API has {counted}; the Frontend API, where applications get them, was not asked"
        return Outcome(
            state=State.OK,
            value=_keys_value(shown),
            summary=summary,
            details=(*details, f"Set {CLERK_PUBLISHABLE_KEY} to have both compared"),
            facts=facts,
        )
    told = await frontend.key_ids()
    if set(told) != set(ids):
        return Outcome(
            state=State.FAILING,
            value="keys differ",
            summary="The Backend API and the Frontend API do not have the same signing keys",
            details=(*details, *(f"The Frontend API has {foreign_text(kid, max_chars=60)}" for kid in told)),
            remedy="Check that both keys are of the same instance (“Clerk keys”); right after a rotation, wait a minute",
            facts=facts,
        )
    return Outcome(
        state=State.OK,
        value=_keys_value(shown),
        summary=f"Clerk has {counted}, and tells applications the same",
        details=details,
        facts=facts,
    )


async def check_keys(_params: NoParams, context: ActionContext) -> Outcome:
    """Whether Clerk accepts the secret key, and the publishable key belongs to the same instance."""
    instance = await _opened(context)
    if isinstance(instance, Outcome):
        return instance
    kind = _kind_of(context)
    environment = word_of(instance.environment_type) or "of no known kind"
    details = [
        f"{CLERK_SECRET_KEY} ({kind}): opens {foreign_text(instance.id)}, {environment}",
        f"Its fingerprint: {fingerprint_of(context)}",
    ]
    facts: dict[str, str | int | bool | None] = {"instance": foreign_text(instance.id), "fingerprint": fingerprint_of(context)}
    frontend = _frontend(context)
    if frontend is None:
        return Outcome(
            state=State.UNKNOWN,
            value="half known",
            summary="Clerk accepts the secret key; whether the publishable key belongs to it is not known here",
            details=tuple(details),
            remedy=f"set {CLERK_PUBLISHABLE_KEY} to what the application has, and restart Muster",
            facts=facts,
        )
    details.append(f"{CLERK_PUBLISHABLE_KEY} ({frontend.key.kind}): names {frontend.key.host}")
    problem = await _mismatch(context, frontend, kind)
    if problem:
        return Outcome(
            state=State.FAILING,
            value="do not match",
            summary=problem,
            details=tuple(details),
            remedy="Copy both keys from the same instance in Clerk's Dashboard (API keys), redeploy, and restart Muster",
            facts=facts,
        )
    return Outcome(
        state=State.OK,
        value=f"{kind}, match",
        summary=f"Clerk accepts the secret key, and the publishable key is of the same {kind} instance",
        details=(*details, "Seen from here: that the application has the same keys, its own variables say"),
        facts=facts,
    )


async def verify_rotation(params: RotationParams, context: ActionContext) -> Outcome:
    """`ok` when the key of this process is another one than before, and Clerk accepts it.

    Whether the old key is deleted nobody can see without it; that is said.
    """
    instance = await _opened(context)
    if isinstance(instance, Outcome):
        return instance
    now = fingerprint_of(context)
    details = (
        f"{CLERK_SECRET_KEY}: fingerprint {now}, opens {foreign_text(instance.id)}",
        "Not seen from here: that the application has the new key too, and that the old one is deleted (Dashboard, API keys)",
    )
    facts: dict[str, str | int | bool | None] = {"fingerprint": now}
    if params.before == now:
        return Outcome(
            state=State.FAILING,
            value="still the old key",
            summary=f"Muster still has the old key ({now}), and Clerk still accepts it, so the old key is not deleted",
            details=details,
            remedy=f"Set {CLERK_SECRET_KEY} to the new key for the application and for Muster, restart both, delete the old one",
            facts=facts,
        )
    return Outcome(
        state=State.OK,
        value="new key accepted",
        summary=f"The key has changed ({params.before} → {now}), and Clerk accepts the new one",
        details=details,
        facts=facts,
    )


def fingerprint_of(context: ActionContext) -> str:
    """The first letters of a digest of the secret key: enough to see that it changed, nothing that would open anything."""
    key = context.providers.config.clerk_secret_key
    secret = key.get_secret_value() if key else ""
    return hashlib.sha256(f"muster {secret}".encode()).hexdigest()[:FINGERPRINT_CHARS]


async def _opened(context: ActionContext) -> Instance | Outcome:
    """What the secret key opens; an outcome when Clerk refuses it, which is what was to be found out."""
    try:
        return await context.providers.clerk().get_instance()
    except Refused as refusal:
        if refusal.code not in ("unauthorized", "forbidden"):
            raise
        return Outcome(
            state=State.FAILING,
            value="key refused",
            summary=f"{refusal.what}: the key was deleted, or belongs to nobody",
            remedy="Copy the secret key from Clerk's Dashboard (API keys), set it for the application and Muster, restart both",
            facts={"fingerprint": fingerprint_of(context)},
        )


async def _mismatch(context: ActionContext, frontend: ClerkFrontend, kind: str) -> str:
    """Why the two keys do not belong together; "": they do."""
    if kind != frontend.key.kind:
        return f"The secret key is of a {kind} instance, the publishable key of a {frontend.key.kind} one: nobody can sign in"
    told, ids = await asyncio.gather(frontend.key_ids(), context.providers.clerk().key_ids())
    if not set(told) & set(ids):
        return f"The publishable key names {frontend.key.host}, which is another instance than that of the secret key"
    return ""


def _kind_of(context: ActionContext) -> str:
    """ "live", "test", or "unknown" for a key without the usual beginning."""
    key = context.providers.config.clerk_secret_key
    secret = key.get_secret_value() if key else ""
    return next((kind for kind in ("live", "test") if secret.startswith(f"sk_{kind}_")), "unknown")


def _frontend(context: ActionContext) -> ClerkFrontend | None:
    """None where the publishable key is not set. Raises: ConfigError when it is none."""
    try:
        return context.providers.clerk_frontend()
    except NotConfiguredError:
        return None


def _keys_value(kids: tuple[str, ...]) -> str:
    return f"1 key, {kids[0]}" if len(kids) == 1 else f"{len(kids)} keys"


# -- speed -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Probe:
    title: str
    limit_ms: int
    ask: Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class _Timed:
    """``median_ms`` None: there was no answer, and ``fault`` says why; ``silent``: users of Clerk wait as well."""

    probe: _Probe
    median_ms: int | None
    fault: Refused | Unavailable | None = None

    @property
    def silent(self) -> bool:
        return isinstance(self.fault, Unavailable) and self.fault.reason == "timeout"

    @property
    def is_slow(self) -> bool:
        return self.silent or (self.median_ms is not None and self.median_ms > self.probe.limit_ms)

    def short(self) -> str:
        if self.silent:
            return f"{self.probe.title}: no answer in time"
        return f"{self.probe.title}: {self.median_ms} ms (limit {self.probe.limit_ms} ms)"

    def line(self) -> str:
        return f"{self.probe.title}: not measured, {self.fault.what}" if self.fault else self.short()


async def measure_latency(params: LatencyParams, context: ActionContext) -> Outcome:
    """`failing` when one is slower than its limit, or silent; all probes run at once, each several times after a warm-up."""
    clerk, frontend = context.providers.clerk(), _frontend(context)
    probes = [
        _Probe("Signing keys, Backend API", params.auth_ms, clerk.key_ids),
        _Probe("One user", params.api_ms, lambda: clerk.list_users(limit=1)),
        _Probe("Number of users", params.api_ms, clerk.count_users),
    ]
    if frontend:
        probes.append(_Probe("Signing keys, Frontend API", params.auth_ms, frontend.key_ids))
    timed = await asyncio.gather(*(_timed(probe) for probe in probes))
    measured = [one.median_ms for one in timed if one.median_ms is not None]
    if not measured and not any(one.silent for one in timed):
        raise next(one.fault for one in timed if one.fault)
    details = tuple(one.line() for one in timed)
    if frontend is None:
        details = (*details, f"Frontend API: not asked, {CLERK_PUBLISHABLE_KEY} is not set")
    facts: dict[str, str | int | bool | None] = {
        name: one.median_ms for name, one in zip(("jwks_ms", "user_ms", "count_ms", "frontend_jwks_ms"), timed, strict=False)
    }
    slow = [one for one in timed if one.is_slow]
    value = f"{max(measured)} ms" if measured else "no answer"
    if slow:
        return Outcome(
            state=State.FAILING,
            value=value,
            summary=f"Clerk is slow: {'; '.join(one.short() for one in slow)}",
            details=details,
            remedy="Look at Clerk's status page; when that is fine, at the network between here and Clerk",
            facts=facts,
        )
    blind = [one for one in timed if one.fault]
    if blind:
        return Outcome(
            state=State.UNKNOWN,
            value=value,
            summary=f"What could be measured is within its limits; {len(blind)} of {len(timed)} could not be",
            details=details,
            remedy=blind[0].fault.remedy if blind[0].fault else "",
            facts=facts,
        )
    return Outcome(
        state=State.OK,
        value=value,
        summary=f"Clerk answers within its limits, the slowest of {len(timed)} calls in {value} (median of {MEASUREMENTS})",
        details=(*details, "Measured from here; what the application itself waits for, its health endpoint says"),
        facts=facts,
    )


async def _timed(probe: _Probe) -> _Timed:
    """Nothing of it is repeated when it fails: a diagnosis takes as long as its slowest probe."""
    took_ms: list[float] = []
    try:
        await probe.ask()
        for _ in range(MEASUREMENTS):
            started_at = time.perf_counter()
            await probe.ask()
            took_ms.append((time.perf_counter() - started_at) * 1000)
    except (Refused, Unavailable) as error:
        return _Timed(probe, None, error)
    return _Timed(probe, round(statistics.median(took_ms)))
