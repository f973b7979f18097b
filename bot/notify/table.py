"""The ways to reach people outside of Slack, as far as they are configured.

`bot.app` builds them once. What is not configured is not imported: an idle process need not carry it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from pydantic import SecretStr

from bot.domain.escalation import Way
from bot.providers.config import PAGERDUTY_ROUTING_KEY, TWILIO_ACCOUNT_SID
from bot.providers.table import Providers
from bot.services.ports import PageWay

WANTED: Final[Mapping[Way, str]] = {
    Way.PAGERDUTY: PAGERDUTY_ROUTING_KEY,
    Way.PHONE: TWILIO_ACCOUNT_SID,
    Way.SMS: TWILIO_ACCOUNT_SID,
    Way.EMAIL: "SMTP_URL",
}
"""The variable without which ``ways`` has not the way: "… is not set"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyConfig:
    """What the ways need beside the providers. ``namespace`` stands before the keys of this workspace wherever others put theirs:
    in a PagerDuty service that two workspaces share, incident 42 of one must not close that of the other."""

    smtp_url: SecretStr | None = None
    smtp_from: str | None = None
    namespace: str = "muster"


def ways(config: NotifyConfig, providers: Providers) -> dict[Way, PageWay]:
    """Those that are configured. One that is configured in part is there, and its ``missing`` names the rest.

    Raises: ConfigError when a setting is wrong, such as a mail server without a sender.
    """
    known = providers.config
    found: dict[Way, PageWay] = {}
    if known.pagerduty_routing_key:
        rest = providers.pagerduty_rest() if known.pagerduty_api_token else None
        found[Way.PAGERDUTY] = import_module("bot.notify.pagerduty").PagerDutyWay(
            providers.pagerduty_events(), rest, namespace=config.namespace
        )
    if known.twilio_account_sid or known.twilio_auth_token or known.twilio_from:
        twilio = providers.twilio() if known.twilio_account_sid and known.twilio_auth_token else None
        found[Way.PHONE] = import_module("bot.notify.phone").PhoneWay(twilio, known)
        found[Way.SMS] = import_module("bot.notify.sms").SmsWay(twilio, known)
    if config.smtp_url:
        found[Way.EMAIL] = import_module("bot.notify.email").EmailWay(
            config.smtp_url, config.smtp_from, namespace=config.namespace
        )
    return found
