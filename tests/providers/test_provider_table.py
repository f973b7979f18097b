"""The table of clients: made on first use, kept, closed; a missing secret contacts nobody."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from bot.domain.errors import ConfigError, NotConfiguredError
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers


async def test_a_missing_secret_is_named() -> None:
    """Without its secret a provider is not made, and the error names the variable."""
    async with Providers(ProviderConfig(vercel_token=SecretStr(""))) as providers:
        with pytest.raises(NotConfiguredError, match="set CLERK_SECRET_KEY") as caught:
            providers.clerk()
        assert caught.value.setting == "CLERK_SECRET_KEY"
        with pytest.raises(NotConfiguredError, match="set VERCEL_TOKEN"):
            providers.vercel()


async def test_clients_are_kept_until_the_end() -> None:
    """One client for each provider and for each status page; after closing, new ones."""
    config = ProviderConfig(clerk_secret_key=SecretStr("sk_test_a"), vercel_token=SecretStr("b"))
    providers = Providers(config)
    clerk, page = providers.clerk(), providers.status_page()
    assert providers.clerk() is clerk
    assert providers.vercel() is providers.vercel()
    assert providers.health() is providers.health()
    assert providers.status_page() is page
    assert page.url == "https://status.clerk.com"
    assert providers.status_page("https://status.example.com") is not page
    await providers.aclose()
    assert providers.clerk() is not clerk
    await providers.aclose()


def test_a_wrong_address_names_its_variable() -> None:
    """A base URL that is none is a configuration error when the client is first needed."""
    providers = Providers(ProviderConfig(clerk_secret_key=SecretStr("sk_test_a"), clerk_api_url="api.clerk.com"))
    with pytest.raises(ConfigError, match="CLERK_API_URL"):
        providers.clerk()


def test_secrets_do_not_show() -> None:
    """The configuration prints without its secrets, and knows them for the redaction."""
    config = ProviderConfig(clerk_secret_key=SecretStr("sk_test_CANARY"))
    assert "CANARY" not in repr(config) + config.model_dump_json()
    assert config.secrets() == ("sk_test_CANARY",)
