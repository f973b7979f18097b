"""The table of ways: what is configured is there, what is not is not even imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.domain.errors import ConfigError, NotConfiguredError
from bot.domain.escalation import Way
from bot.notify.table import WANTED, NotifyConfig, ways
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.settings import variable_names
from tests.notify.conftest import CONTACT, config, summons

ROOT = Path(__file__).parent.parent.parent
MAIL = NotifyConfig(smtp_url=SecretStr("smtp://127.0.0.1:9"), smtp_from="muster@example.com")


async def test_everything_that_is_configured_is_there() -> None:
    """Each under its own name, and each can reach the contact."""
    async with Providers(config()) as providers:
        found = ways(MAIL, providers)
    assert set(found) == {Way.PAGERDUTY, Way.PHONE, Way.SMS, Way.EMAIL}
    assert all(way.way is name and way.missing(CONTACT) == "" for name, way in found.items())


async def test_nothing_is_there_that_is_not_configured() -> None:
    """A variable is known for each way that is not there."""
    async with Providers(ProviderConfig()) as providers:
        assert ways(NotifyConfig(), providers) == {}
    assert set(WANTED) == set(Way) - {Way.SLACK}
    assert set(WANTED.values()) <= set(variable_names())


async def test_half_of_it_is_there_and_says_what_is_missing() -> None:
    """Twilio without its token calls nobody, and does not keep quiet about it."""
    async with Providers(config(twilio_auth_token=None)) as providers:
        found = ways(NotifyConfig(), providers)
    assert found[Way.PHONE].missing(CONTACT) == found[Way.SMS].missing(CONTACT) == "TWILIO_AUTH_TOKEN is not set"


async def test_a_mail_server_without_a_sender_is_a_fault() -> None:
    """It is better found at the start than by the first mail."""
    async with Providers(ProviderConfig()) as providers:
        with pytest.raises(ConfigError, match="SMTP_FROM"):
            ways(NotifyConfig(smtp_url=SecretStr("smtp://apikey:CANARY@127.0.0.1")), providers)


async def test_the_name_of_the_workspace_stands_before_its_keys() -> None:
    """Two workspaces may share one PagerDuty service."""
    async with Providers(config()) as providers:
        found = ways(NotifyConfig(smtp_url=MAIL.smtp_url, smtp_from=MAIL.smtp_from, namespace="muster/T1"), providers)
        assert vars(found[Way.PAGERDUTY])["_namespace"] == vars(found[Way.EMAIL])["_namespace"] == "muster/T1"


async def test_no_secret_is_shown() -> None:
    """Neither by the configuration nor by the ways."""
    async with Providers(config()) as providers:
        made = NotifyConfig(smtp_url=SecretStr("smtp://bot%40example.com:CANARY@127.0.0.1"))
        found = ways(made, providers)
        shown = repr(made) + repr(found) + "".join(repr(vars(way)) for way in found.values()) + repr(summons())
    assert "CANARY" not in shown
    assert all("CANARY" in secret for secret in config().secrets())
    assert len(config().secrets()) == 3


@pytest.mark.parametrize(
    ("changes", "call", "setting"),
    [
        ({"pagerduty_routing_key": None}, "pagerduty_events", "PAGERDUTY_ROUTING_KEY"),
        ({"pagerduty_api_token": SecretStr("")}, "pagerduty_rest", "PAGERDUTY_API_TOKEN"),
        ({"twilio_account_sid": None}, "twilio", "TWILIO_ACCOUNT_SID"),
        ({"twilio_auth_token": None}, "twilio", "TWILIO_AUTH_TOKEN"),
    ],
)
async def test_a_client_without_its_secret_is_not_made(changes: dict[str, None], call: str, setting: str) -> None:
    """The error names the variable."""
    async with Providers(config(**changes)) as providers:
        with pytest.raises(NotConfiguredError, match=f"set {setting}") as caught:
            getattr(providers, call)()
        assert caught.value.setting == setting


async def test_clients_are_kept_until_the_end() -> None:
    """One client for each; after closing, new ones."""
    providers = Providers(config())
    made = [providers.pagerduty_events(), providers.pagerduty_rest(), providers.twilio()]
    assert [providers.pagerduty_events(), providers.pagerduty_rest(), providers.twilio()] == made
    await providers.aclose()
    assert providers.twilio() is not made[2]
    await providers.aclose()


def test_what_is_not_configured_is_not_imported() -> None:
    """An idle process need not carry it."""
    program = (
        "import sys\n"
        "from bot.notify.table import NotifyConfig, ways\n"
        "from bot.providers.config import ProviderConfig\n"
        "from bot.providers.table import Providers\n"
        "assert ways(NotifyConfig(), Providers(ProviderConfig())) == {}\n"
        "wanted = {'smtplib', 'bot.notify.pagerduty', 'bot.notify.phone', 'bot.notify.sms', 'bot.notify.email',\n"
        "          'bot.providers.pagerduty', 'bot.providers.twilio'}\n"
        "assert not wanted & set(sys.modules), wanted & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
