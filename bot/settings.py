"""The one settings model: every environment variable that Muster reads, with unit, default and reason.

`bot/cli.py` calls `load_settings` once and `bot/app.py` builds everything from the result; nothing else reads the
environment. Policy (severities, contacts, who may do what) does not belong here: that lives in `runbooks/`.

An attribute is its variable in lower case: `SLACK_BOT_TOKEN` is `settings.slack_bot_token`. An empty variable is an
unset one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

import bot
from bot.domain.errors import ConfigError
from bot.domain.text import closest

ENV_FILE_VARIABLE = "MUSTER_ENV_FILE"
SERVICE_VARIABLE_PREFIX = "MUSTER_VAR_"
COMMAND_PATTERN = r"/[a-z0-9_-]{1,31}"
"""32 characters with the slash (the manifest schema of api.slack.com), in lower case."""
RUNBOOK_COMMAND = "/runbook"
ONCALL_COMMAND = "/oncall"

_OWN_PREFIX = "MUSTER_"
_SERVICE_VARIABLE = re.compile(r"[A-Z0-9]+(?:_[A-Z0-9]+)+")
_NOT_SETTINGS = frozenset({"MUSTER_REQUIRE_ALL"})
"""Variables with our prefix that only the tests read; a bot that a test starts inherits them."""

_WHERE_BOT_TOKEN = "api.slack.com/apps > your app > OAuth & Permissions > Bot User OAuth Token"  # noqa: S105
_WHERE_SIGNING_SECRET = "api.slack.com/apps > your app > Basic Information > Signing Secret"  # noqa: S105
_WHERE_APP_TOKEN = "api.slack.com/apps > your app > Basic Information > App-Level Tokens (connections:write)"  # noqa: S105


def _checked_url(value: str, *schemes: str) -> str:
    """Raises: ValueError without the URL itself in its message, because it may hold a password."""
    expected = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(value)
        _ = parts.port  # a port that is no number raises here, not when the URL is split
    except ValueError as error:
        raise ValueError(f"is not a URL; it begins with {expected} and names a host") from error
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {expected}")
    if not parts.hostname and not (parts.scheme == "unix" and parts.path):
        raise ValueError("names no host" if parts.scheme != "unix" else "names no socket")
    if re.search(r"\s", value):
        raise ValueError("must not contain spaces")
    return value


def _web_url(value: str) -> str:
    """A base URL that paths are appended to: http(s), no query, no trailing slash."""
    parts = urlsplit(_checked_url(value, "https", "http"))
    if parts.query or parts.fragment:
        raise ValueError("is a base URL and must not have a query (?...) or a fragment (#...)")
    if parts.username is not None:
        raise ValueError("must not carry a user or password; a secret has its own variable")
    return value.rstrip("/")


def _slack_api_url(value: str) -> str:
    """slack_sdk appends the method's name to this URL as it is, so the last slash must be there."""
    return _web_url(value) + "/"


def _secret_url(*schemes: str) -> AfterValidator:
    """A URL that may carry a password, and is therefore kept as a secret."""

    def check(value: SecretStr) -> SecretStr:
        _checked_url(value.get_secret_value(), *schemes)
        return value

    return AfterValidator(check)


def _slack_token(*, prefix: str, kind: str, where: str) -> AfterValidator:
    """Slack's tokens tell their kind by their first letters (docs.slack.dev, "Tokens")."""

    def check(value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(prefix):
            raise ValueError(f"is not {kind} (those begin with {prefix}); copy it from {where}")
        return value

    return AfterValidator(check)


def _signing_secret(value: SecretStr) -> SecretStr:
    if value.get_secret_value().startswith(("xox", "xapp-")):
        raise ValueError(f"holds a token; copy the signing secret from {_WHERE_SIGNING_SECRET}")
    return value


def _command_name(value: str) -> str:
    if not re.fullmatch(COMMAND_PATTERN, value):
        raise ValueError("is not the name of a slash command: a slash, then 1 to 31 of a-z, 0-9, - and _")
    if value == RUNBOOK_COMMAND:
        raise ValueError(f"is {RUNBOOK_COMMAND}, which finds runbooks; choose another name")
    if value == ONCALL_COMMAND:
        raise ValueError(f"is {ONCALL_COMMAND}, which says who is on call; choose another name")
    return value


def _account_sid(value: str) -> str:
    if not re.fullmatch(r"AC[0-9a-zA-Z]{1,62}", value):
        raise ValueError("is not an account SID (those begin with AC); copy it from console.twilio.com > Account Info")
    return value


def _phone_number(value: str) -> str:
    """Without the blanks, hyphens and brackets that people write."""
    number = re.sub(r"[ ().-]", "", value)
    if not re.fullmatch(r"\+[1-9][0-9]{5,14}", number):
        raise ValueError("is not a number in international form; write it as +15550100, with the country's code")
    return number


def _email_address(value: str) -> str:
    if not value.isascii() or not re.fullmatch(r"[^@\s<>,;:()\"\\]+@[^@\s<>,;:()\"\\]+\.[^@\s<>,;:()\"\\]+", value):
        raise ValueError("is not an e-mail address; write it bare, as muster@example.com")
    return value


def _lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


WebUrl = Annotated[str, AfterValidator(_web_url)]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]


class SlackSecrets(NamedTuple):
    """What a command that speaks with Slack needs; `Settings.require_slack` has seen that enough is there.

    Exactly one of the last two is None: Slack's traffic comes either by HTTP, signed, or by Socket Mode.
    """

    bot_token: SecretStr
    signing_secret: SecretStr | None
    app_token: SecretStr | None


class Settings(BaseSettings):
    """Every setting of Muster. Built by `load_settings`; constructed directly it reads no environment and no file."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    # Slack

    slack_bot_token: Annotated[SecretStr, _slack_token(prefix="xoxb-", kind="a bot token", where=_WHERE_BOT_TOKEN)] | None = None
    """Bot User OAuth Token (xoxb-...). No default: it is the bot's identity in one workspace."""

    slack_signing_secret: Annotated[SecretStr, AfterValidator(_signing_secret)] | None = None
    """Signing secret of the Slack app. No default: it proves that a request comes from Slack. Not used in Socket Mode."""

    slack_app_token: (
        Annotated[SecretStr, _slack_token(prefix="xapp-", kind="an app-level token", where=_WHERE_APP_TOKEN)] | None
    ) = None
    """App-level token (xapp-...) for Socket Mode: then nothing is taken by HTTP. Unset: by HTTP, to a public address."""

    slack_api_url: Annotated[str, AfterValidator(_slack_api_url)] = "https://slack.com/api/"
    """Base URL of Slack's Web API. Default: Slack's own; the sandbox and GovSlack have others."""

    # The server and its store

    host: str = "0.0.0.0"  # noqa: S104 - see the reason below
    """Address that the HTTP listener binds. Default: all, because a container's or dyno's router comes from outside."""

    port: Annotated[int, Field(ge=0, le=65535)] = 3000
    """TCP port of the HTTP listener. Default 3000, Bolt's own; 0 takes any free one (tests)."""

    redis_url: Annotated[SecretStr, _secret_url("redis", "rediss", "unix")] | None = None
    """Redis (redis://, rediss:// or unix://). Unset: the embedded server in MUSTER_DATA_DIR."""

    log_level: Annotated[LogLevel, BeforeValidator(_lower_case)] = "info"
    """Least level that is written: debug, info, warning or error. Default info: one line per thing that happened."""

    log_format: Annotated[LogFormat, BeforeValidator(_lower_case)] | None = None
    """`json` or `console`. Unset: console when stderr is a terminal, else json, which log collectors read."""

    dyno: str | None = None
    """Set by Heroku itself, whose disks are lost at every restart: the embedded Redis is refused there."""

    # Muster

    muster_runbooks: Path | None = None
    """Folder of runbooks, services and contacts. Default `runbooks`; if that is missing, those that Muster ships."""

    muster_data_dir: Path = Path(".muster")
    """Folder of the embedded Redis. Default `.muster` in the working directory. Back it up: it holds the incidents."""

    muster_incidents_channel: str = "incidents"
    """Channel (name or id) in which incidents are announced. Default `incidents`. The bot must be a member of it."""

    muster_command: Annotated[str, AfterValidator(_command_name)] = "/incident"
    """Name of the slash command, as the installed app has it (`muster manifest --command`). Default `/incident`; another
    one where the workspace has that already."""

    muster_url: WebUrl | None = None
    """Public base URL of this bot, for links and the manifest. Unset: links to the bot are left out."""

    muster_alerts_token: SecretStr | None = None
    """Bearer token that POST /alerts/{source} demands. Unset: alerts are refused, because anybody could send one."""

    muster_dev: bool = False
    """Accept a Redis that would lose or evict data, with a warning. Default false: incidents must survive a restart."""

    muster_time_travel: bool = False
    """Honour the clock offset that sandbox and tests set. Default false: nobody moves the time of a real incident."""

    muster_env_file: str = ".env"
    """File with further variables; the environment wins. Default `.env` in the working directory; empty reads none."""

    muster_heartbeat_url: Annotated[SecretStr, _secret_url("https", "http")] | None = None
    """Address that is called while everything works, at a watch outside that raises the alarm when the calls stop. Kept as a
    secret: whoever knows it can feign the calls. Unset: nobody outside notices when Muster stands still."""

    # Clerk

    clerk_secret_key: SecretStr | None = None
    """Backend API secret key (sk_live_... or sk_test_...). Unset: Clerk's steps say so and nothing is contacted."""

    clerk_api_url: WebUrl = "https://api.clerk.com"
    """Base URL of Clerk's Backend API, with or without /v1. Default: Clerk's own."""

    clerk_status_url: WebUrl = "https://status.clerk.com"
    """Clerk's status page. Default: Clerk's own."""

    next_public_clerk_publishable_key: str | None = None
    """The application's publishable key (pk_live_... or pk_test_...), which is no secret. Unset: the Frontend API is not asked,
    and whether the keys belong together is not known."""

    clerk_frontend_api_url: WebUrl | None = None
    """Base URL of Clerk's Frontend API. Unset: the host that the publishable key names."""

    clerk_webhook_signing_secret: SecretStr | None = None
    """Signing secret (whsec_...) of the application's webhook endpoint. Unset: the endpoint is probed unsigned only."""

    clerk_webhook_secret: SecretStr | None = None
    """The same under its older name; CLERK_WEBHOOK_SIGNING_SECRET goes first. No default."""

    # Vercel

    vercel_token: SecretStr | None = None
    """Vercel access token. Unset: Vercel's steps say so and nothing is contacted."""

    vercel_api_url: WebUrl = "https://api.vercel.com"
    """Base URL of Vercel's REST API. Default: Vercel's own."""

    vercel_team_id: str | None = None
    """Team (team_...) that owns the project. Unset: a personal account; a team's project then answers 403."""

    vercel_project: str | None = None
    """Project name or id (prj_...) whose variables and deployments the steps look at. No default."""

    # Paging

    pagerduty_routing_key: SecretStr | None = None
    """Events API v2 integration key. Unset: nobody is paged through PagerDuty."""

    pagerduty_events_url: WebUrl = "https://events.pagerduty.com"
    """Base URL of PagerDuty's Events API. Default: the US one; EU accounts use https://events.eu.pagerduty.com."""

    pagerduty_api_token: SecretStr | None = None
    """REST API key, read-only is enough. Unset: who acknowledged or is on call in PagerDuty is not known here."""

    pagerduty_api_url: WebUrl = "https://api.pagerduty.com"
    """Base URL of PagerDuty's REST API. Default: the US one; EU accounts use https://api.eu.pagerduty.com."""

    twilio_account_sid: Annotated[str, AfterValidator(_account_sid)] | None = None
    """Twilio account (AC...). Unset: nobody is called or texted."""

    twilio_auth_token: SecretStr | None = None
    """Auth token of that account. No default."""

    twilio_from: Annotated[str, AfterValidator(_phone_number)] | None = None
    """Number in E.164 form (+15550100) that calls and texts come from. No default."""

    twilio_api_url: WebUrl = "https://api.twilio.com"
    """Base URL of Twilio's API. Default: Twilio's own."""

    smtp_url: Annotated[SecretStr, _secret_url("smtps", "smtp")] | None = None
    """Mail server, smtps://user:password@host:465 or smtp://host:587, which then must offer STARTTLS. Unset: no mail is sent."""

    smtp_from: Annotated[str, AfterValidator(_email_address)] | None = None
    """Sender of mails. Unset: the user of SMTP_URL, when that is an address."""

    # Status pages and metrics

    statuspage_api_key: SecretStr | None = None
    """Atlassian Statuspage API key. Unset: no public status page is changed."""

    statuspage_api_url: WebUrl = "https://api.statuspage.io"
    """Base URL of Statuspage's API, with or without /v1. Default: Atlassian's own."""

    statuspage_page_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Id of the page that is written on; its address in Statuspage's administration has it. Unset: none is changed."""

    prometheus_url: WebUrl | None = None
    """Prometheus that diagnostics query. Unset: they say so; there is no address worth guessing."""

    # The systems that runbooks act on

    kubeconfig: Path | None = None
    """Kubeconfig file of the cluster. Unset: Kubernetes' steps say so; ~/.kube/config is never used by accident."""

    authos_token: SecretStr | None = None
    """Token for AuthOS' administration API. Unset: its steps say so and nothing is contacted."""

    authos_url: WebUrl | None = None
    """Base URL of AuthOS. Unset: its steps say so; there is no address worth guessing."""

    database_url: Annotated[SecretStr, _secret_url("postgresql", "postgres")] | None = None
    """PostgreSQL of the application that is looked after, never Muster's own store. Unset: its steps say so."""

    application_switch_url: WebUrl | None = None
    """Address of the application's switch for webhooks (docs/application.md). Unset: they cannot be paused from here."""

    application_switch_token: SecretStr | None = None
    """Bearer token that the switch demands. No default: whoever has it can stop the application's webhooks."""

    # No variable of its own name

    service_vars: dict[str, str] = Field(default_factory=dict)
    """From MUSTER_VAR_<SERVICE>_<VAR>: {"CLERK_APP_URL": "https://..."}. They win over `vars` in services.yml."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load_settings` passes counts: it merges the sources itself, to judge the names in all of them."""
        return (init_settings,)

    def require_slack(self) -> SlackSecrets:
        """The secrets without which nothing can be said to Slack.

        Raises: ConfigError that names every missing variable and where in Slack to find it.
        """
        token, signing_secret, app_token = self.slack_bot_token, self.slack_signing_secret, self.slack_app_token
        if token is not None and app_token is not None:
            return SlackSecrets(token, None, app_token)
        if token is None or signing_secret is None:
            missing = [
                f"{name} is not set; copy it from {where}"
                for name, value, where in (
                    ("SLACK_BOT_TOKEN", token, _WHERE_BOT_TOKEN),
                    ("SLACK_SIGNING_SECRET", signing_secret, _WHERE_SIGNING_SECRET),
                )
                if value is None and not (name == "SLACK_SIGNING_SECRET" and app_token is not None)
            ]
            raise ConfigError("\n".join(missing))
        return SlackSecrets(token, signing_secret, None)

    def runbooks_dir(self) -> Path:
        """The folder to read runbooks from: the one that was set, `runbooks` here, or the ones shipped with Muster.

        Raises: ConfigError when a folder was set and is not there: falling back would run other runbooks than meant.
        """
        if self.muster_runbooks is not None:
            if not self.muster_runbooks.is_dir():
                raise ConfigError("MUSTER_RUNBOOKS: there is no such folder; correct the path or unset the variable")
            return self.muster_runbooks
        package = Path(bot.__file__).parent
        # In a wheel they lie inside the package; an editable install has them beside it.
        candidates = (Path("runbooks"), package / "_runbooks", package.parent / "runbooks")
        found = next((path for path in candidates if path.is_dir()), None)
        if found is None:
            raise ConfigError("no runbooks found: set MUSTER_RUNBOOKS to their folder")
        return found

    def secret_values(self) -> tuple[str, ...]:
        """Every secret that is set, and the password inside a URL on its own: what logs must never show."""
        secrets = [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]
        passwords = [urlsplit(secret).password for secret in secrets if "://" in secret]
        return tuple({*secrets, *(form for password in passwords if password for form in (password, unquote(password)))})


def variable_names() -> tuple[str, ...]:
    """The variables that `Settings` declares, in its order."""
    return tuple(name.upper() for name in Settings.model_fields if name != "service_vars")


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from `environ`, which wins, and from the file that its MUSTER_ENV_FILE names (`.env`; empty: none).

    Raises: ConfigError that lists every fault, one line each, beginning with the variable. No line repeats a value.
    """
    settings, faults = inspect_settings(environ)
    if faults:
        raise ConfigError("\n".join(faults))
    return settings


def inspect_settings(environ: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """As `load_settings`, for `muster doctor`: the faults, and the settings in which a faulty variable counts as unset.

    Raises: ConfigError when the file cannot be read.
    """
    merged = {**_read_env_file(environ.get(ENV_FILE_VARIABLE, ".env")), **environ}
    merged = {name: value.strip() for name, value in merged.items()}
    faults = _unknown_variables(merged)
    service_vars = {
        name.removeprefix(SERVICE_VARIABLE_PREFIX): value
        for name, value in merged.items()
        if name.startswith(SERVICE_VARIABLE_PREFIX) and value
    }
    source = EnvSettingsSource(Settings, env_ignore_empty=True)
    source.env_vars = {name.lower(): merged[name] for name in variable_names() if merged.get(name)}
    values = source()
    try:
        return Settings(**values, service_vars=service_vars), tuple(faults)
    except ValidationError as error:  # kept from every message: it holds the values
        faults += _validation_faults(error)
        refused = {str(fault["loc"][0]) for fault in error.errors(include_url=False, include_context=False, include_input=False)}
    sound = {name: value for name, value in values.items() if name not in refused}
    return Settings(**sound, service_vars=service_vars), tuple(faults)


def _read_env_file(path: str) -> dict[str, str]:
    """Raises: ConfigError when the file is there and cannot be read."""
    if not path:
        return {}
    try:
        variables = DotEnvSettingsSource(Settings, env_file=path, env_file_encoding="utf-8", case_sensitive=True).env_vars
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}; mend it or set {ENV_FILE_VARIABLE}= to read none") from None
    return {name: value for name, value in variables.items() if value is not None}


def _unknown_variables(merged: Mapping[str, str]) -> list[str]:
    """One line per variable with our prefix that means nothing: a misspelt setting must not be a silent default."""
    known = variable_names()
    own = [variable.removeprefix(_OWN_PREFIX) for variable in known if variable.startswith(_OWN_PREFIX)]
    faults = []
    for name in sorted(merged):
        if not name.startswith(_OWN_PREFIX) or name in known or name in _NOT_SETTINGS:
            continue
        if name.startswith(SERVICE_VARIABLE_PREFIX):
            if not _SERVICE_VARIABLE.fullmatch(name.removeprefix(SERVICE_VARIABLE_PREFIX)):
                faults.append(f"{name}: is not of the form {SERVICE_VARIABLE_PREFIX}<SERVICE>_<VAR>, in capitals")
            continue
        near = closest(name.removeprefix(_OWN_PREFIX), own)
        faults.append(
            f"{name}: unknown setting; " + (f"did you mean {_OWN_PREFIX}{near}?" if near else ".env.example lists them all")
        )
    return faults


def _validation_faults(error: ValidationError) -> list[str]:
    """One line per fault, from the parts of pydantic's errors that never hold the value."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(fault["loc"][0]).upper()
        text = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
        faults.append(f"{name}: {text}")
    return faults
