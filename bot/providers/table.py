"""The table of provider clients: each is made on first use, kept, and closed at the end.

`bot.app` builds one `Providers` and hands it to the worker; actions ask it for clients. A provider without its secret
raises here, before anything is contacted.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from pydantic import SecretStr

from bot.domain.errors import NotConfiguredError
from bot.providers.clerk import ClerkClient
from bot.providers.clerk_frontend import ClerkFrontend, PublishableKey
from bot.providers.clerk_webhook import WebhookProbe
from bot.providers.config import (
    APPLICATION_SWITCH_TOKEN,
    APPLICATION_SWITCH_URL,
    CLERK_PUBLISHABLE_KEY,
    CLERK_SECRET_KEY,
    CLERK_STATUS_URL,
    DATABASE_URL,
    PAGERDUTY_API_TOKEN,
    PAGERDUTY_ROUTING_KEY,
    SMTP_URL,
    STATUSPAGE_API_KEY,
    STATUSPAGE_PAGE_ID,
    TWILIO_ACCOUNT_SID,
    TWILIO_AUTH_TOKEN,
    VERCEL_TOKEN,
    ProviderConfig,
)
from bot.providers.health import HealthClient
from bot.providers.status_page import StatusPageClient
from bot.providers.vercel import VercelClient

if TYPE_CHECKING:  # imported when they are configured: an idle process without them need not carry them
    from bot.providers.app_database import AppDatabase
    from bot.providers.application import ApplicationSwitch
    from bot.providers.pagerduty import PagerDutyEvents, PagerDutyRest
    from bot.providers.smtp import MailClient
    from bot.providers.statuspage import StatuspageClient
    from bot.providers.twilio import TwilioClient


class _Closable(Protocol):
    async def aclose(self) -> None: ...


class Providers:
    """The clients of one process. Safe to share between tasks of one event loop."""

    def __init__(self, config: ProviderConfig) -> None:
        self.config = config
        self._clerk: ClerkClient | None = None
        self._clerk_frontend: ClerkFrontend | None = None
        self._clerk_webhook: WebhookProbe | None = None
        self._vercel: VercelClient | None = None
        self._health: HealthClient | None = None
        self._pagerduty_events: PagerDutyEvents | None = None
        self._pagerduty_rest: PagerDutyRest | None = None
        self._twilio: TwilioClient | None = None
        self._application_switch: ApplicationSwitch | None = None
        self._statuspage: StatuspageClient | None = None
        self._status_pages: dict[str, StatusPageClient] = {}

    def clerk(self) -> ClerkClient:
        """Raises: NotConfiguredError without CLERK_SECRET_KEY."""
        if self._clerk is None:
            secret_key = _needed(self.config.clerk_secret_key, "Clerk", CLERK_SECRET_KEY)
            self._clerk = ClerkClient(secret_key, api_url=self.config.clerk_api_url)
        return self._clerk

    def clerk_frontend(self) -> ClerkFrontend:
        """Raises: NotConfiguredError without NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY, ConfigError when that is none."""
        if self._clerk_frontend is None:
            key = self.config.clerk_publishable_key
            if not key:
                raise NotConfiguredError(
                    f"Clerk's Frontend API is not known and was not asked; set {CLERK_PUBLISHABLE_KEY}",
                    setting=CLERK_PUBLISHABLE_KEY,
                )
            self._clerk_frontend = ClerkFrontend(PublishableKey.parse(key), api_url=self.config.clerk_frontend_api_url)
        return self._clerk_frontend

    def clerk_webhook(self) -> WebhookProbe:
        """The probe of an application's webhook endpoint; without a signing secret it knocks unsigned only."""
        if self._clerk_webhook is None:
            self._clerk_webhook = WebhookProbe(self.config.clerk_webhook_signing_secret)
        return self._clerk_webhook

    def vercel(self) -> VercelClient:
        """Raises: NotConfiguredError without VERCEL_TOKEN."""
        if self._vercel is None:
            token = _needed(self.config.vercel_token, "Vercel", VERCEL_TOKEN)
            self._vercel = VercelClient(token, api_url=self.config.vercel_api_url, team_id=self.config.vercel_team_id)
        return self._vercel

    def status_page(self, url: str | None = None) -> StatusPageClient:
        """The status page at ``url``; None is Clerk's. One client for each page remembers which API the page has."""
        page_url = url or self.config.clerk_status_url
        if page_url not in self._status_pages:
            name, setting = ("The status page", "the url of the step") if url else ("Clerk's status page", CLERK_STATUS_URL)
            self._status_pages[page_url] = StatusPageClient(page_url, name=name, setting=setting)
        return self._status_pages[page_url]

    def health(self) -> HealthClient:
        """The probe of applications' health endpoints; it needs no configuration, the address comes with the step."""
        if self._health is None:
            self._health = HealthClient()
        return self._health

    def pagerduty_events(self) -> PagerDutyEvents:
        """Raises: NotConfiguredError without PAGERDUTY_ROUTING_KEY."""
        if self._pagerduty_events is None:
            key = _needed(self.config.pagerduty_routing_key, "PagerDuty", PAGERDUTY_ROUTING_KEY)
            from bot.providers.pagerduty import PagerDutyEvents

            self._pagerduty_events = PagerDutyEvents(key, events_url=self.config.pagerduty_events_url)
        return self._pagerduty_events

    def pagerduty_rest(self) -> PagerDutyRest:
        """Raises: NotConfiguredError without PAGERDUTY_API_TOKEN."""
        if self._pagerduty_rest is None:
            token = _needed(self.config.pagerduty_api_token, "PagerDuty's REST API", PAGERDUTY_API_TOKEN)
            from bot.providers.pagerduty import PagerDutyRest

            self._pagerduty_rest = PagerDutyRest(token, api_url=self.config.pagerduty_api_url)
        return self._pagerduty_rest

    def twilio(self) -> TwilioClient:
        """Raises: NotConfiguredError without TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN."""
        if self._twilio is None:
            account_sid = self.config.twilio_account_sid
            token = _needed(self.config.twilio_auth_token if account_sid else None, "Twilio", self._unset_of_twilio())
            from bot.providers.twilio import TwilioClient

            self._twilio = TwilioClient(account_sid or "", token, api_url=self.config.twilio_api_url)
        return self._twilio

    def mail(self) -> MailClient:
        """It keeps no connection. Raises: NotConfiguredError without SMTP_URL, ConfigError when it or the sender is wrong."""
        url = _needed(self.config.smtp_url, "Mail", SMTP_URL)
        from bot.providers.smtp import MailClient

        return MailClient(url, self.config.smtp_from)

    def app_database(self) -> AppDatabase:
        """It keeps no connection. Raises: NotConfiguredError without DATABASE_URL, ConfigError when it cannot be read."""
        url = _needed(self.config.database_url, "The application's database", DATABASE_URL)
        from bot.providers.app_database import AppDatabase

        return AppDatabase(url)

    def application_switch(self) -> ApplicationSwitch:
        """Raises: NotConfiguredError without APPLICATION_SWITCH_URL and APPLICATION_SWITCH_TOKEN."""
        if self._application_switch is None:
            url = self.config.application_switch_url
            unset = APPLICATION_SWITCH_TOKEN if url else APPLICATION_SWITCH_URL
            token = _needed(self.config.application_switch_token if url else None, "The application's switch", unset)
            from bot.providers.application import ApplicationSwitch

            self._application_switch = ApplicationSwitch(url or "", token)
        return self._application_switch

    def statuspage(self) -> StatuspageClient:
        """The user's own page, to write on. Raises: NotConfiguredError without STATUSPAGE_API_KEY and STATUSPAGE_PAGE_ID."""
        if self._statuspage is None:
            page_id = self.config.statuspage_page_id
            unset = STATUSPAGE_API_KEY if page_id else STATUSPAGE_PAGE_ID
            api_key = _needed(self.config.statuspage_api_key if page_id else None, "Statuspage", unset)
            from bot.providers.statuspage import StatuspageClient

            self._statuspage = StatuspageClient(api_key, page_id or "", api_url=self.config.statuspage_api_url)
        return self._statuspage

    def _unset_of_twilio(self) -> str:
        return TWILIO_AUTH_TOKEN if self.config.twilio_account_sid else TWILIO_ACCOUNT_SID

    async def aclose(self) -> None:
        """Close every connection. A client asked for afterwards is a new one."""
        clients: list[_Closable | None] = [
            self._clerk,
            self._clerk_frontend,
            self._clerk_webhook,
            self._vercel,
            self._health,
            self._pagerduty_events,
            self._pagerduty_rest,
            self._twilio,
            self._application_switch,
            self._statuspage,
            *self._status_pages.values(),
        ]
        self._clerk = self._vercel = self._health = None
        self._clerk_frontend = self._clerk_webhook = None
        self._pagerduty_events = self._pagerduty_rest = self._twilio = None
        self._application_switch = self._statuspage = None
        self._status_pages = {}
        for client in clients:
            if client is not None:
                await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def _needed(secret: SecretStr | None, name: str, setting: str) -> SecretStr:
    if secret is None or not secret.get_secret_value():
        raise NotConfiguredError(f"{name} is not configured and was not asked; set {setting}", setting=setting)
    return secret
