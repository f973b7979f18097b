"""Whether the ways to people outside of Slack work, as far as that shows without waking anybody, and who watches Muster itself.

Nothing is sent: a page is what ``muster canary`` is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl

from bot.domain.errors import ConfigError, MusterError, TemporaryError
from bot.providers.config import PAGERDUTY_API_TOKEN, PAGERDUTY_ROUTING_KEY, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM
from bot.providers.http import tls_context
from bot.providers.smtp import MailClient, MailServer
from bot.providers.table import Providers
from bot.settings import Settings
from bot.terminal.findings import Finding, fault, from_error, ok, warn

MAIL_TIMEOUT_S = 8.0
PROBE_KEY = "muster/doctor"
"""No incident of PagerDuty has it: asking for it is a read that needs what following a page needs."""


async def check_pagerduty(providers: Providers) -> list[Finding]:
    """The REST token is tried by a read. The integration key cannot be tried without waking somebody."""
    config = providers.config
    if config.pagerduty_routing_key is None:
        first = ok("PagerDuty", f"not configured, nobody is paged by it (set {PAGERDUTY_ROUTING_KEY} to use it)")
    else:
        first = ok(
            "PagerDuty", "has an integration key; only muster canary --via pagerduty tries it, because that wakes somebody"
        )
    if config.pagerduty_api_token is None:
        if config.pagerduty_routing_key is None:
            return [first]
        finding = "no token, so who acknowledges there is not known here"
        return [first, warn("PagerDuty REST", finding, f"set {PAGERDUTY_API_TOKEN}; read-only is enough")]
    try:
        await providers.pagerduty_rest().find_incident(PROBE_KEY)
    except MusterError as error:
        return [first, *_failed("PagerDuty REST", error)]
    return [first, ok("PagerDuty REST", "accepts the token: acknowledgements there count here")]


async def check_twilio(providers: Providers, settings: Settings) -> list[Finding]:
    """The account is read; whether a pressed key can be taken depends on the public address."""
    config = providers.config
    given = {
        TWILIO_ACCOUNT_SID: config.twilio_account_sid,
        TWILIO_AUTH_TOKEN: config.twilio_auth_token,
        TWILIO_FROM: config.twilio_from,
    }
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return [ok("Twilio", f"not configured, nobody is called or texted (set {', '.join(missing)} to use it)")]
    if missing:
        return [fault("Twilio", "is configured in part, so nobody is called or texted", f"set {' and '.join(missing)}")]
    try:
        await providers.twilio().ping()
    except MusterError as error:
        return _failed("Twilio", error)
    pressed = ok("pressed keys", f"a call offers “press 1”; Twilio answers to {settings.muster_url}/pages/phone/…")
    if settings.muster_url is None:
        pressed = warn(
            "pressed keys", "a call cannot be acknowledged by a key, only in Slack", "set MUSTER_URL to the public address"
        )
    return [ok("Twilio", f"accepts the account; calls and texts come from {config.twilio_from}"), pressed]


async def check_mail(settings: Settings) -> list[Finding]:
    """Connected, encrypted, signed in; no mail."""
    if settings.smtp_url is None:
        return [ok("mail", "not configured, nobody gets a mail (set SMTP_URL to use it)")]
    try:
        server = MailClient(settings.smtp_url, settings.smtp_from).server
    except ConfigError as error:
        name, _, message = str(error).partition(": ")
        return from_error(name, ConfigError(message))
    try:
        how = await asyncio.to_thread(_greet, server)
    except MusterError as error:
        return from_error("mail", error, "warn" if isinstance(error, TemporaryError) else "fault")
    return [ok("mail", f"{server.host}:{server.port} takes mail {how}")]


def check_heartbeat(settings: Settings) -> list[Finding]:
    """Whether anybody outside notices when Muster stands still. The address is not called: that would say that all is well."""
    if settings.muster_heartbeat_url is None:
        finding = "no address, so nobody outside notices when Muster stands still"
        remedy = "set MUSTER_HEARTBEAT_URL to the address of a watch that raises the alarm when the calls stop"
        return [warn("heartbeat", finding, remedy)]
    return [ok("heartbeat", "called once a minute while the audit finds everything well; the doctor does not call it")]


def _greet(server: MailServer) -> str:
    """In half a sentence, how it is spoken with. Blocks. Raises: TemporaryError, ConfigError."""
    where = f"the mail server {server.host}:{server.port}"
    try:
        with contextlib.closing(_open(server)) as smtp:
            smtp.ehlo_or_helo_if_needed()
            encrypted = server.implicit_tls
            if not encrypted and smtp.has_extn("starttls"):
                smtp.starttls(context=tls_context())
                smtp.ehlo_or_helo_if_needed()
                encrypted = True
            if not encrypted and not server.may_be_plain:
                raise ConfigError(f"{where} offers no STARTTLS, and nothing is sent in the clear; write smtps:// in SMTP_URL")
            if server.user:
                smtp.login(server.user, server.password.get_secret_value())
            with contextlib.suppress(OSError, smtplib.SMTPException):
                smtp.quit()
    except smtplib.SMTPAuthenticationError as error:
        raise ConfigError(f"{where} refused the sign-in ({error.smtp_code}); check user and password in SMTP_URL") from error
    except smtplib.SMTPNotSupportedError as error:
        raise ConfigError(f"{where} offers no sign-in; leave the user out of SMTP_URL, or turn one on there") from error
    except UnicodeEncodeError as error:
        raise ConfigError(f"{where} cannot be told the user or the password of SMTP_URL; it has letters outside ASCII") from error
    except ssl.SSLCertVerificationError as error:
        raise ConfigError(f"the certificate of {where} is not trusted ({error.verify_message}); check SMTP_URL") from error
    except (smtplib.SMTPException, OSError) as error:
        raise TemporaryError(
            f"{where} did not answer as it should ({type(error).__name__}); check SMTP_URL and the network"
        ) from error
    return (
        f"{'encrypted' if encrypted else 'in the clear, on this machine'}, {'signed in' if server.user else 'without a sign-in'}"
    )


def _open(server: MailServer) -> smtplib.SMTP:
    if server.implicit_tls:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=MAIL_TIMEOUT_S, context=tls_context())
    return smtplib.SMTP(server.host, server.port, timeout=MAIL_TIMEOUT_S)


def _failed(what: str, error: MusterError) -> list[Finding]:
    return from_error(what, error, "warn" if isinstance(error, TemporaryError) else "fault")
