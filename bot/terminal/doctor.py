"""``muster doctor``: everything that Muster needs, looked at beside each other, one line each, with what to do about it.

It needs no running bot, changes nothing in the workspace and asks no provider that is not configured. What each area knows is
in the ``doctor_*`` modules; here they are put together, and one that fails or hangs does not keep the others from answering.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from pydantic import SecretStr

from bot.actions.registry import load_actions
from bot.actions.spec import ActionSpec
from bot.app import read_files
from bot.domain.catalog import Catalog
from bot.domain.errors import ConfigError, MusterError
from bot.logs import configure_logging, get_logger
from bot.providers.table import Providers
from bot.settings import ENV_FILE_VARIABLE, Settings, inspect_settings
from bot.slack.client import SlackApi, make_client, make_session
from bot.terminal.doctor_people import check_people, check_permissions, check_rotations
from bot.terminal.doctor_providers import (
    check_clerk,
    check_database,
    check_health,
    check_own_page,
    check_status_page,
    check_switch,
    check_vercel,
    unused_settings,
)
from bot.terminal.doctor_slack import SlackLook, check_incidents_channel, check_scopes, check_token, check_traffic
from bot.terminal.doctor_store import check_store, while_redis_is_away
from bot.terminal.doctor_ways import check_heartbeat, check_mail, check_pagerduty, check_twilio
from bot.terminal.findings import Finding, draw_json, draw_table, fault, from_error, from_message, ok, presentable, warn
from bot.terminal.manifest import read_manifest
from bot.wiring import provider_config

EXPECTED = (MusterError,)

log = get_logger(__name__)

DEADLINE_S = 20.0
"""For each check. Above what the provider clients allow one call and the embedded server its start, 10 s each."""


@dataclass(frozen=True, slots=True)
class _Check:
    """One area. ``needs``: the variables without whose right value it is not run."""

    what: str
    run: Callable[[], Awaitable[list[Finding]]]
    needs: tuple[str, ...] = ()


def run(options: argparse.Namespace) -> int:
    """0 without a fault, else 1."""
    settings, findings, faulty = read_settings(os.environ)
    configure_logging("error", settings.log_format, settings.secret_values())
    findings += asyncio.run(examine(settings, faulty=faulty))
    shown = presentable(findings, settings.secret_values())
    sys.stdout.write(draw_json(shown) if options.format == "json" else draw_table(shown))
    return 1 if any(found.level == "fault" for found in shown) else 0


def read_settings(environ: Mapping[str, str]) -> tuple[Settings, list[Finding], frozenset[str]]:
    """The settings without those that cannot be used, what is to be said about all of them, and the names of the former."""
    findings: list[Finding] = []
    try:
        settings, faults = inspect_settings(environ)
    except ConfigError as error:  # the file; the environment is judged without it
        findings += from_error(ENV_FILE_VARIABLE, error)
        settings, faults = inspect_settings({**environ, ENV_FILE_VARIABLE: ""})
    named = [line.partition(": ") for line in faults]
    findings += [from_message(name, text, "fault") for name, _, text in named]
    if not findings:
        findings.append(ok("settings", "all can be read"))
    if settings.muster_dev:
        findings.append(warn("MUSTER_DEV", "is on: a Redis that loses incidents is accepted", "unset it where incidents matter"))
    if settings.muster_time_travel:
        findings.append(warn("MUSTER_TIME_TRAVEL", "is on: whoever writes into Redis can move the time", "unset it"))
    return settings, [*findings, *unused_settings(settings)], frozenset(name for name, _, _ in named)


async def examine(settings: Settings, *, faulty: frozenset[str] = frozenset(), deadline_s: float = DEADLINE_S) -> list[Finding]:
    """Every check, beside each other, each with its own deadline in seconds; in the order in which one would mend what they find.

    ``faulty``: variables whose value cannot be used; what needs them is not checked, and said to be.
    """
    specs = load_actions()
    catalog, of_files = await asyncio.to_thread(_read_files, settings, specs, faulty)
    async with AsyncExitStack() as stack:
        providers = await stack.enter_async_context(Providers(provider_config(settings)))
        slack, app = await _look_at_slack(stack, settings, faulty)
        checks = [
            *_slack_checks(settings, slack, app),
            _Check("Redis", lambda: check_store(settings, slack, wait_s=deadline_s / 4), ("REDIS_URL", "MUSTER_DATA_DIR")),
            _Check("files", lambda: _said(of_files)),
            *_people_checks(slack, providers, catalog),
            *_way_checks(settings, providers),
            *_provider_checks(providers, specs, catalog),
        ]
        answers = await asyncio.gather(*(_answer(check, faulty, deadline_s) for check in checks))
    last = [while_redis_is_away(catalog)] if catalog else []
    return [*(found for answer in answers for found in answer), *last]


def _slack_checks(settings: Settings, slack: SlackLook, app: SlackApi | None) -> list[_Check]:
    name = settings.muster_incidents_channel
    return [
        _Check("Slack token", lambda: check_token(slack), ("SLACK_BOT_TOKEN", "SLACK_API_URL")),
        _Check("Slack scopes", lambda: check_scopes(slack, read_manifest())),
        _Check("signing secret", lambda: _said([_signing_secret(settings)]), ("SLACK_SIGNING_SECRET",)),
        _Check("Slack traffic", lambda: check_traffic(app), ("SLACK_APP_TOKEN", "SLACK_API_URL")),
        _Check("incidents channel", lambda: check_incidents_channel(slack, name)),
    ]


def _people_checks(slack: SlackLook, providers: Providers, catalog: Catalog | None) -> list[_Check]:
    if catalog is None:
        return [_Check("contacts", lambda: _said([warn("contacts", "not checked", "mend the files first")]))]
    return [
        _Check("contacts", lambda: check_people(slack, catalog)),
        _Check("permissions", lambda: check_permissions(slack, catalog)),
        _Check("rotations", lambda: check_rotations(providers, catalog), ("PAGERDUTY_API_TOKEN", "PAGERDUTY_API_URL")),
    ]


def _way_checks(settings: Settings, providers: Providers) -> list[_Check]:
    pagerduty = ("PAGERDUTY_ROUTING_KEY", "PAGERDUTY_API_TOKEN", "PAGERDUTY_API_URL")
    twilio = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM", "TWILIO_API_URL", "MUSTER_URL")
    return [
        _Check("PagerDuty", lambda: check_pagerduty(providers), pagerduty),
        _Check("Twilio", lambda: check_twilio(providers, settings), twilio),
        _Check("mail", lambda: check_mail(settings), ("SMTP_URL", "SMTP_FROM")),
        _Check("heartbeat", lambda: _said(check_heartbeat(settings)), ("MUSTER_HEARTBEAT_URL",)),
    ]


def _provider_checks(providers: Providers, specs: Mapping[str, ActionSpec], catalog: Catalog | None) -> list[_Check]:
    switch = ("APPLICATION_SWITCH_URL", "APPLICATION_SWITCH_TOKEN")
    own_page = ("STATUSPAGE_API_KEY", "STATUSPAGE_API_URL", "STATUSPAGE_PAGE_ID")
    vercel = ("VERCEL_TOKEN", "VERCEL_API_URL", "VERCEL_TEAM_ID", "VERCEL_PROJECT")
    checks = [
        _Check("Clerk", lambda: check_clerk(providers, specs, catalog), ("CLERK_SECRET_KEY", "CLERK_API_URL")),
        _Check("Clerk status page", lambda: check_status_page(providers, specs), ("CLERK_STATUS_URL",)),
        _Check("Vercel", lambda: check_vercel(providers, specs, catalog), vercel),
        _Check("application database", lambda: check_database(providers, specs, catalog), ("DATABASE_URL",)),
        _Check("your status page", lambda: check_own_page(providers, specs, catalog), own_page),
        _Check("webhook switch", lambda: check_switch(providers, specs, catalog), switch),
    ]
    if catalog is not None:
        checks.append(_Check("health", lambda: check_health(providers, specs, catalog)))
    return checks


async def _answer(check: _Check, faulty: frozenset[str], deadline_s: float) -> list[Finding]:
    """Never raises but for cancellation: what one check meets must not hide what the others found."""
    wrong = [name for name in check.needs if name in faulty]
    if wrong:
        return [warn(check.what, "not checked", f"mend {' and '.join(wrong)} first")]
    try:
        async with asyncio.timeout(deadline_s):
            return await check.run()
    except MusterError as error:
        return from_error(check.what, error)
    except TimeoutError:
        return [fault(check.what, f"no answer within {deadline_s:g} s", "see whether it hangs, and the network to it")]
    except Exception as error:  # the doctor's guard: the person who asked sees it, the log has the place
        log.error("check_crashed", check=check.what, exc_info=error)
        return [fault(check.what, f"the check itself failed ({type(error).__name__})", "report this; the place is on stderr")]


async def _said(findings: list[Finding]) -> list[Finding]:
    """A check whose answer is known already."""
    return findings


async def _look_at_slack(stack: AsyncExitStack, settings: Settings, faulty: frozenset[str]) -> tuple[SlackLook, SlackApi | None]:
    """Slack with the bot's token, and with the app-level one where there is one."""
    if "SLACK_API_URL" in faulty:  # the default address would get a token that is meant for another
        return SlackLook(None, why_not="not asked; mend SLACK_API_URL first"), None
    session = await stack.enter_async_context(make_session())

    def api(token: SecretStr) -> SlackApi:
        return SlackApi(make_client(session, token=token.get_secret_value(), base_url=settings.slack_api_url))

    app = api(settings.slack_app_token) if settings.slack_app_token else None
    if settings.slack_bot_token is None:
        where = "api.slack.com/apps > your app > OAuth & Permissions > Bot User OAuth Token"
        return SlackLook(None, why_not=f"not set; copy SLACK_BOT_TOKEN from {where}"), app
    slack = SlackLook(api(settings.slack_bot_token))
    stack.push_async_callback(slack.close)
    return slack, app


def _signing_secret(settings: Settings) -> Finding:
    """Nobody but Slack can say whether it is the right one."""
    if settings.slack_app_token is not None:
        return ok("signing secret", "not needed with Socket Mode")
    if settings.slack_signing_secret is None:
        remedy = "copy SLACK_SIGNING_SECRET from api.slack.com/apps > your app > Basic Information > Signing Secret"
        return fault("signing secret", "not set", remedy)
    return ok("signing secret", "set; whether it is the right one shows when Slack verifies the address")


def _read_files(
    settings: Settings, specs: Mapping[str, ActionSpec], faulty: frozenset[str]
) -> tuple[Catalog | None, list[Finding]]:
    """The catalog, None when a file is at fault, and a finding for each fault."""
    if "MUSTER_RUNBOOKS" in faulty:
        return None, [warn("files", "not checked", "mend MUSTER_RUNBOOKS first")]
    try:
        folder = settings.runbooks_dir()
    except ConfigError as error:
        return None, from_error("files", error)
    result = read_files(settings, specs, folder)
    findings = [
        Finding(
            "fault" if each.level == "error" else "warn",
            "files",
            f"{each.path}:{each.line}:{each.column}: {each.message}",
            each.remedy,
        )
        for each in result.faults
        if each.level != "info"
    ]
    if result.catalog is not None:
        count = len(result.catalog.runbooks)
        findings.insert(0, ok("files", f"{count} runbook{'s' * (count != 1)} in {folder}"))
    return result.catalog, findings
