"""Which providers are configured, whether they answer, and what Muster may do with them. What is not configured is not asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from bot.actions.runner import execute
from bot.actions.spec import ActionContext, ActionSpec
from bot.domain.catalog import Catalog
from bot.domain.errors import MusterError, TemporaryError
from bot.domain.outcome import State
from bot.domain.runbook import Diagnostic, Runbook, Step
from bot.domain.service import find_unset
from bot.providers.config import (
    APPLICATION_SWITCH_URL,
    CLERK_SECRET_KEY,
    DATABASE_URL,
    STATUSPAGE_API_KEY,
    STATUSPAGE_PAGE_ID,
    VERCEL_PROJECT,
    VERCEL_TOKEN,
)
from bot.providers.table import Providers
from bot.settings import Settings
from bot.terminal.findings import Finding, from_error, ok, warn

if TYPE_CHECKING:  # psycopg is imported where there is a database
    from bot.providers.app_database import TableFacts

DATABASE: Final = "application database"
SWITCH: Final = "webhook switch"
OWN_PAGE: Final = "your status page"
HEALTH: Final = "http.health"
STATUS: Final = "clerk.status"

UNUSED: Mapping[str, str] = {
    "muster_alerts_token": "alerts are not taken",
    "prometheus_url": "no metrics are read",
    "kubeconfig": "no cluster is looked at",
    "authos_token": "AuthOS is not asked",
}
"""Settings that are declared and that nothing of this version reads; a test compares it with the code."""


async def check_clerk(providers: Providers, specs: Mapping[str, ActionSpec], catalog: Catalog | None) -> list[Finding]:
    """Clerk's API: one read that needs the secret key."""
    key = providers.config.clerk_secret_key
    if key is None:
        return [_not_configured("Clerk", CLERK_SECRET_KEY, specs, catalog)]
    try:
        await providers.clerk().ping()
    except MusterError as error:
        return _failed("Clerk", error)
    kinds = (("sk_live_", "production instance"), ("sk_test_", "development instance"))
    kind = next((words for start, words in kinds if key.get_secret_value().startswith(start)), "kind of instance unknown")
    return [ok("Clerk", f"accepts the key ({kind}), for {_what_it_is_for(CLERK_SECRET_KEY, specs)}")]


async def check_vercel(providers: Providers, specs: Mapping[str, ActionSpec], catalog: Catalog | None) -> list[Finding]:
    """Vercel's API: the names of the project's variables."""
    if providers.config.vercel_token is None:
        return [_not_configured("Vercel", VERCEL_TOKEN, specs, catalog)]
    project = providers.config.vercel_project
    if not project:
        return [warn("Vercel", "no project is named, so nothing was asked", f"set {VERCEL_PROJECT}")]
    try:
        listing = await providers.vercel().list_env(project)
    except MusterError as error:
        return _failed("Vercel", error)
    names = len({variable.key for variable in listing.variables})
    finding = f"project {project}: the names of {names} variables can be read, for {_what_it_is_for(VERCEL_TOKEN, specs)}"
    if listing.hidden_production:
        remedy = f"give {VERCEL_TOKEN} a role that sees production; until then such a variable is “not visible”"
        return [warn("Vercel", f"{finding}; {listing.hidden_production} of production are hidden from the token", remedy)]
    return [ok("Vercel", finding)]


async def check_database(providers: Providers, specs: Mapping[str, ActionSpec], catalog: Catalog | None) -> list[Finding]:
    """The application's PostgreSQL, and each table that a runbook names: may it be read, and written?"""
    if providers.config.database_url is None:
        return [_not_configured(DATABASE, DATABASE_URL, specs, catalog)]
    uses = [(str(item.with_["table"]), runbook.service) for runbook, item in _uses(catalog) if "table" in item.with_]
    tables = dict.fromkeys(name for name, service in uses if not find_unset(name, service))
    findings: list[Finding] = []
    try:
        database = providers.app_database()
        async with database.session() as session:
            for name in tables:
                findings.append(_table_finding(name, await session.describe(database.table(name))))
    except MusterError as error:
        return [*findings, *_failed(DATABASE, error)]
    return findings or [ok(DATABASE, f"{database.where} takes the user, for {_what_it_is_for(DATABASE_URL, specs)}")]


def _table_finding(name: str, facts: TableFacts) -> Finding:
    if not facts.may_read:
        return warn(DATABASE, f"{name} may not be read", "grant SELECT on it to the user of DATABASE_URL")
    if facts.read_only or not facts.may_write:
        why = "the server takes no writes" if facts.read_only else "the user may not insert and update"
        return warn(DATABASE, f"{name} can be read, but not written: {why}", "docs/application.md has what to grant")
    return ok(DATABASE, f"{name} can be read and written")


async def check_switch(providers: Providers, specs: Mapping[str, ActionSpec], catalog: Catalog | None) -> list[Finding]:
    """The switch of the application's webhooks: does it say how it stands?"""
    config = providers.config
    if config.application_switch_url is None and config.application_switch_token is None:
        return [_not_configured(SWITCH, APPLICATION_SWITCH_URL, specs, catalog)]
    try:
        state = await providers.application_switch().read()
    except MusterError as error:
        return _failed(SWITCH, error)
    if state.paused:
        return [warn(SWITCH, "the application's webhooks are paused", "resume them when no incident needs it any more")]
    return [ok(SWITCH, "says that webhooks are taken")]


async def check_own_page(providers: Providers, specs: Mapping[str, ActionSpec], catalog: Catalog | None) -> list[Finding]:
    """The page that the public reads: may its incidents be read? Nothing is written."""
    config = providers.config
    if config.statuspage_api_key is None and config.statuspage_page_id is None:
        return [_not_configured(OWN_PAGE, STATUSPAGE_API_KEY, specs, catalog)]
    if config.statuspage_api_key is None or config.statuspage_page_id is None:
        unset = STATUSPAGE_PAGE_ID if config.statuspage_page_id is None else STATUSPAGE_API_KEY
        return [warn(OWN_PAGE, "is half configured, so nothing was asked", f"set {unset}")]
    try:
        open_there = len(await providers.statuspage().unresolved())
    except MusterError as error:
        return _failed(OWN_PAGE, error)
    return [ok(OWN_PAGE, f"accepts the key, with {open_there} open incidents, for {_what_it_is_for(STATUSPAGE_API_KEY, specs)}")]


async def check_status_page(providers: Providers, specs: Mapping[str, ActionSpec]) -> list[Finding]:
    """Clerk's status page, which needs no account: can it be read, and what does it say now?"""
    return [await _by_action("Clerk status page", specs[STATUS], {}, providers)]


async def check_health(providers: Providers, specs: Mapping[str, ActionSpec], catalog: Catalog) -> list[Finding]:
    """Each health endpoint that a runbook asks, once."""
    findings: list[Finding] = []
    seen: set[str] = set()
    for runbook, item in _uses(catalog):
        url = str(item.with_.get("url", ""))
        if item.run != HEALTH or not url or url in seen:
            continue
        seen.add(url)
        what = f"health of {runbook.service}"
        unset = find_unset(item.with_, runbook.service)
        if unset:
            findings.append(warn(what, f"not configured, so “{item.title}” answers “unknown”", f"set {' and '.join(unset)}"))
        else:
            findings.append(await _by_action(what, specs[HEALTH], {"url": url}, providers))
    return findings


def unused_settings(settings: Settings) -> list[Finding]:
    """What is set in vain, so that nobody relies on it."""
    return [
        warn(name.upper(), f"is set, but nothing in this version uses it: {what}", "do not rely on it")
        for name, what in UNUSED.items()
        if getattr(settings, name) is not None
    ]


async def _by_action(what: str, spec: ActionSpec, params: Mapping[str, Any], providers: Providers) -> Finding:
    """The outcome of an action that only reads; what is failing there is not the fault of Muster's set-up."""
    outcome = await execute(spec, params, ActionContext(providers=providers))
    if outcome.state is State.OK:
        return ok(what, outcome.summary)
    return warn(what, outcome.summary, outcome.remedy or "look at it yourself")


def _failed(what: str, error: MusterError) -> list[Finding]:
    return from_error(what, error, "warn" if isinstance(error, TemporaryError) else "fault")


def _not_configured(what: str, variable: str, specs: Mapping[str, ActionSpec], catalog: Catalog | None) -> Finding:
    """Nothing to worry about, unless a runbook wants it."""
    waiting = [(item.run, runbook.id) for runbook, item in _uses(catalog) if _needs(item, variable, specs)]
    if not waiting:
        return ok(what, f"not configured, and no runbook needs it (set {variable} to use it)")
    actions, runbooks = (", ".join(dict.fromkeys(str(name) for name in names)) for names in zip(*waiting, strict=True))
    return warn(what, f"not configured, so {actions} will answer “unknown” (in {runbooks})", f"set {variable}")


def _what_it_is_for(variable: str, specs: Mapping[str, ActionSpec]) -> str:
    return ", ".join(name for name, spec in specs.items() if variable in spec.settings)


def _needs(item: Diagnostic | Step, variable: str, specs: Mapping[str, ActionSpec]) -> bool:
    return item.run is not None and variable in specs[item.run].settings


def _uses(catalog: Catalog | None) -> Iterator[tuple[Runbook, Diagnostic | Step]]:
    """Everything in the runbooks that runs something."""
    for runbook in catalog.runbooks.values() if catalog else ():
        steps: list[Diagnostic | Step] = [reference.step for reference in runbook.walk()]
        yield from ((runbook, item) for item in [*runbook.diagnostics, *steps] if item.run is not None)
