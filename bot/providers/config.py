"""What the provider clients need to know, and the names of the variables that it comes from.

`bot.app` fills a `ProviderConfig` from the settings; `bot.providers.table` reads it. The environment is not read here.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr

CLERK_SECRET_KEY = "CLERK_SECRET_KEY"  # noqa: S105 - the name of a variable, as the others of its kind below
CLERK_API_URL = "CLERK_API_URL"
CLERK_STATUS_URL = "CLERK_STATUS_URL"
CLERK_PUBLISHABLE_KEY = "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"
CLERK_FRONTEND_API_URL = "CLERK_FRONTEND_API_URL"
CLERK_WEBHOOK_SIGNING_SECRET = "CLERK_WEBHOOK_SIGNING_SECRET"  # noqa: S105
VERCEL_TOKEN = "VERCEL_TOKEN"  # noqa: S105
VERCEL_API_URL = "VERCEL_API_URL"
VERCEL_TEAM_ID = "VERCEL_TEAM_ID"
VERCEL_PROJECT = "VERCEL_PROJECT"
PAGERDUTY_ROUTING_KEY = "PAGERDUTY_ROUTING_KEY"
PAGERDUTY_EVENTS_URL = "PAGERDUTY_EVENTS_URL"
PAGERDUTY_API_TOKEN = "PAGERDUTY_API_TOKEN"  # noqa: S105
PAGERDUTY_API_URL = "PAGERDUTY_API_URL"
TWILIO_ACCOUNT_SID = "TWILIO_ACCOUNT_SID"
TWILIO_AUTH_TOKEN = "TWILIO_AUTH_TOKEN"  # noqa: S105
TWILIO_FROM = "TWILIO_FROM"
TWILIO_API_URL = "TWILIO_API_URL"
DATABASE_URL = "DATABASE_URL"
APPLICATION_SWITCH_URL = "APPLICATION_SWITCH_URL"
APPLICATION_SWITCH_TOKEN = "APPLICATION_SWITCH_TOKEN"  # noqa: S105
MUSTER_DATA_DIR = "MUSTER_DATA_DIR"
STATUSPAGE_API_KEY = "STATUSPAGE_API_KEY"
STATUSPAGE_API_URL = "STATUSPAGE_API_URL"
STATUSPAGE_PAGE_ID = "STATUSPAGE_PAGE_ID"
SMTP_URL = "SMTP_URL"
SMTP_FROM = "SMTP_FROM"


class ProviderConfig(BaseModel):
    """Secrets and addresses of every provider. A secret that is None: the provider is not configured, never asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    clerk_secret_key: SecretStr | None = None
    clerk_api_url: str = "https://api.clerk.com"
    """With or without ``/v1``."""
    clerk_status_url: str = "https://status.clerk.com"
    """The page itself, without a path to an API: which of the three APIs it has is found out."""
    clerk_publishable_key: str | None = None
    """``pk_live_…`` or ``pk_test_…``; no secret: every browser has it. It names the Frontend API."""
    clerk_frontend_api_url: str | None = None
    """Where the Frontend API is, when not at the host that the publishable key names."""
    clerk_webhook_signing_secret: SecretStr | None = None
    """``whsec_…``, of the endpoint that Clerk sends the application's webhooks to."""
    vercel_token: SecretStr | None = None
    vercel_api_url: str = "https://api.vercel.com"
    vercel_team_id: str | None = None
    """``team_…`` for a project that belongs to a team; None for a personal account."""
    vercel_project: str | None = None
    """``prj_…`` or the project's name; what a step names itself goes first."""

    pagerduty_routing_key: SecretStr | None = None
    """Of the Events API: opens, acknowledges and resolves."""
    pagerduty_events_url: str = "https://events.pagerduty.com"
    """With or without ``/v2``."""
    pagerduty_api_token: SecretStr | None = None
    """Of the REST API: reads who acknowledged and who is on call."""
    pagerduty_api_url: str = "https://api.pagerduty.com"
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_from: str | None = None
    """The number that calls and texts come from, in E.164 form."""
    twilio_api_url: str = "https://api.twilio.com"

    statuspage_api_key: SecretStr | None = None
    statuspage_api_url: str = "https://api.statuspage.io"
    """With or without ``/v1``."""
    statuspage_page_id: str | None = None
    """The user's own public page."""

    database_url: SecretStr | None = None
    """The application's PostgreSQL."""
    application_switch_url: str | None = None
    """Where the application says whether it takes webhooks, and is told to stop."""
    application_switch_token: SecretStr | None = None
    exports_dir: Path | None = None
    """Where exported tables are kept; None: this machine keeps no files."""
    smtp_url: SecretStr | None = None
    """The mail server with its account; for mails to the users of the application."""
    smtp_from: str | None = None
    """Their sender; None: the user of ``smtp_url``."""
    templates_dir: Path | None = None
    """Where the texts of mails lie, one file each."""

    def secrets(self) -> tuple[str, ...]:
        """The plain values that must never be shown; only the redaction of results asks for them."""
        return tuple(value.get_secret_value() for _, value in self if isinstance(value, SecretStr) and value)
