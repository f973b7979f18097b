"""Actions on an application's own HTTP endpoints."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from bot.actions.spec import ActionContext, ActionParams, ActionSpec
from bot.domain.outcome import Outcome, Risk, State
from bot.providers.health import HealthReading

_PLACEHOLDER_HOSTS: Final = ("example.com", "example.net", "example.org", "yourapp.com", "your-app.com")
_PLACEHOLDER_ENDINGS: Final = (".example", ".invalid")  # RFC 2606: names that are nobody's


class AddressParams(ActionParams):
    """Base of the params of whatever asks an address of the application: it comes from a runbook and its service's variables."""

    url: str = Field(title="Address", description="Address to ask.", max_length=2048)

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if "${" in value:
            raise ValueError("holds a variable without a value: give it one in services.yml or in MUSTER_VAR_…")
        if not value.startswith(("http://", "https://", "/")):  # "/…": its variable is empty, which is said when it runs
            raise ValueError("must begin with http:// or https://")
        return value


class HealthParams(AddressParams):
    """`http.health`: where the application reports on itself."""

    url: str = Field(
        title="Address",
        description="Address of the health endpoint; it answers JSON with a status (healthy, degraded, unhealthy).",
        max_length=2048,
        json_schema_extra={"placeholder": "https://your-app/api/health"},
    )


def http_actions() -> tuple[ActionSpec, ...]:
    """The actions of this file."""
    return (
        ActionSpec(
            name="http.health",
            title="Health endpoint of the application",
            risk=Risk.READ,
            params=HealthParams,
            run=check_health,
            deadline_s=25.0,
        ),
    )


async def check_health(params: HealthParams, context: ActionContext) -> Outcome:
    """`failing` is what users meet too: a bad report, 5xx, silence. An answer that is no report stays `unknown`."""
    unset = unset_address(params.url)
    return unset or _outcome_of(await context.providers.health().probe(params.url), _host_of(params.url))


def unset_address(url: str) -> Outcome | None:
    """What to say of an address that nobody has set yet; None: it is one."""
    if url.startswith("/"):
        return _not_configured("the application's address is not set")
    host = _host_of(url)
    return _not_configured(f"{host} is a placeholder") if _is_placeholder(host) else None


def _host_of(url: str) -> str:
    """ "" when there is none to be read; the probe then says what is wrong with the address."""
    try:
        return (urlsplit(url).hostname or "").casefold()
    except ValueError:
        return ""


def _not_configured(why: str) -> Outcome:
    return Outcome(
        state=State.UNKNOWN,
        value="not configured",
        summary=f"Not configured: {why}, so nothing was probed",
        remedy="Set app_url of the service in services.yml, or MUSTER_VAR_<SERVICE>_APP_URL "
        "(for Clerk: MUSTER_VAR_CLERK_APP_URL)",
    )


def _is_placeholder(host: str) -> bool:
    return host.endswith(_PLACEHOLDER_ENDINGS) or any(host == name or host.endswith(f".{name}") for name in _PLACEHOLDER_HOSTS)


def _outcome_of(reading: HealthReading, host: str) -> Outcome:
    bad = [check.name for check in reading.checks if check.verdict == "bad"]
    details = tuple(
        f"{check.name}: {check.status}" + (f" ({check.latency_ms} ms)" if check.latency_ms is not None else "")
        for check in reading.checks
    )
    facts: dict[str, str | int | bool | None] = {
        "status": reading.status,
        "http_status": reading.http_status,
        "duration_ms": reading.duration_ms,
    }
    if reading.healthy:
        summary = f"{host} reports {reading.status}, in {reading.duration_ms} ms"
        return Outcome(state=State.OK, value=reading.status, summary=summary, details=details, facts=facts)
    if reading.http_status is None:
        summary = f"{host} cannot be used: {reading.status}"
    else:
        summary = f"{host} reports {reading.status}" + (f"; not well: {', '.join(bad)}" if bad else "")
    return Outcome(
        state=State.FAILING,
        value=reading.status,
        summary=summary,
        details=details,
        remedy="Look at the application's log and its latest deployment",
        facts=facts,
    )
