"""The settings: each fault has its line and no line has a value; what is documented is what is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from bot.domain.errors import ConfigError
from bot.settings import Settings, load_settings, variable_names

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` and no `runbooks` but those that a test makes."""
    monkeypatch.chdir(tmp_path)


def load(**environ: str) -> Settings:
    """Settings from these variables alone."""
    return load_settings(environ)


def faults(**environ: str) -> list[str]:
    """The lines of the ConfigError that these variables cause."""
    with pytest.raises(ConfigError) as caught:
        load_settings(environ)
    return str(caught.value).splitlines()


def test_nothing_needs_to_be_set() -> None:
    """Every setting has a default that suits a first try."""
    settings = load()
    assert settings.port == 3000
    assert settings.slack_api_url == "https://slack.com/api/"
    assert settings.redis_url is None
    assert settings.muster_data_dir == Path(".muster")
    assert settings.muster_incidents_channel == "incidents"
    assert settings.log_format is None
    assert not settings.muster_dev
    assert not settings.muster_time_travel
    assert settings.service_vars == {}


def test_a_whole_configuration() -> None:
    """Values arrive in their types, and blanks around them do not."""
    settings = load(
        SLACK_BOT_TOKEN=" xoxb-1 \n",
        SLACK_APP_TOKEN="xapp-1",
        SLACK_SIGNING_SECRET="abc",
        SLACK_API_URL="http://127.0.0.1:9000/api",
        REDIS_URL="rediss://:secret@cache.example.com:6380/1",
        PORT="0",
        LOG_LEVEL="DEBUG",
        LOG_FORMAT="JSON",
        CLERK_API_URL="https://api.clerk.com/v1/",
        DATABASE_URL="postgres://u:p@h/db",
        SMTP_URL="smtps://u:p@h:465",
        MUSTER_DEV="1",
        MUSTER_URL="https://muster.example.com/",
        MUSTER_DATA_DIR="/var/lib/muster",
    )
    assert settings.slack_bot_token == SecretStr("xoxb-1")
    assert settings.slack_api_url == "http://127.0.0.1:9000/api/"
    assert settings.port == 0
    assert (settings.log_level, settings.log_format) == ("debug", "json")
    assert settings.clerk_api_url == "https://api.clerk.com/v1"
    assert settings.muster_url == "https://muster.example.com"
    assert settings.muster_dev
    assert settings.muster_data_dir == Path("/var/lib/muster")


def test_an_empty_variable_is_an_unset_one() -> None:
    """`NAME=` in a copied .env.example, or a blank secret of a platform, means the default."""
    assert load(SLACK_BOT_TOKEN="", PORT=" ", MUSTER_URL="", MUSTER_VAR_CLERK_APP_URL="") == load()


def test_all_faults_at_once_without_any_value() -> None:
    """One run shows everything that is wrong, one line each, and no line repeats what was typed."""
    environ = {
        "PORT": "70000-canary",
        "SLACK_BOT_TOKEN": "xoxp-canary",
        "SLACK_APP_TOKEN": "canary",
        "SLACK_SIGNING_SECRET": "xoxb-canary",
        "SLACK_API_URL": "canary",
        "REDIS_URL": "https://canary:canary@canary",
        "DATABASE_URL": "postgres://canary:pass word@h:port/canary",
        "LOG_LEVEL": "canary",
        "MUSTER_DEV": "canary",
        "CLERK_API_URL": "https://canary:canary@clerk.example.com",
        "VERCEL_API_URL": "https://vercel.example.com/?token=canary",
        "MUSTER_INCIDENT_CHANNEL": "canary",
    }
    lines = faults(**environ)
    assert sorted(line.split(":")[0] for line in lines) == sorted(environ)
    assert "canary" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("SLACK_BOT_TOKEN", "xapp-1", "begin with xoxb-); copy it from api.slack.com/apps"),
        ("SLACK_APP_TOKEN", "xoxb-1", "App-Level Tokens (connections:write)"),
        ("SLACK_SIGNING_SECRET", "xoxb-1", "Basic Information > Signing Secret"),
        ("PORT", "65536", "less than or equal to 65535"),
        ("PORT", "-1", "greater than or equal to 0"),
        ("PORT", "http", "valid integer"),
        ("LOG_FORMAT", "xml", "'json' or 'console'"),
        ("REDIS_URL", "localhost:6379", "must begin with redis:// or rediss:// or unix://"),
        ("REDIS_URL", "redis:///0", "names no host"),
        ("REDIS_URL", "unix://", "names no socket"),
        ("REDIS_URL", "redis://h:port", "is not a URL"),
        ("CLERK_API_URL", "https://", "names no host"),
        ("PROMETHEUS_URL", "http://h/#x", "must not have a query"),
        ("AUTHOS_URL", "https://h h", "spaces"),
        ("DATABASE_URL", "mysql://h/db", "postgresql:// or postgres://"),
        ("TWILIO_ACCOUNT_SID", "SK0123", "begin with AC"),
        ("TWILIO_ACCOUNT_SID", "AC/../x", "begin with AC"),
        ("TWILIO_FROM", "555 0100", "in international form"),
        ("TWILIO_FROM", "+1-XXX", "in international form"),
        ("SMTP_URL", "mail.example.com", "smtps:// or smtp://"),
        ("SMTP_FROM", "Muster <muster@example.com>", "write it bare"),
        ("SMTP_FROM", "muster", "e-mail address"),
        ("MUSTER_HEARTBEAT_URL", "hc.example.com/x", "https:// or http://"),
        ("PAGERDUTY_API_URL", "https://h?x=1", "must not have a query"),
    ],
)
def test_each_fault_says_what_is_expected(name: str, value: str, part: str) -> None:
    """The line names the variable and what to write, or where to find it."""
    (line,) = faults(**{name: value})
    assert line.startswith(f"{name}: ")
    assert part in line


def test_faults_hide_the_values_from_tracebacks_too() -> None:
    """pydantic's own error holds the input; it must not hang on the ConfigError."""
    with pytest.raises(ConfigError) as caught:
        load(SLACK_BOT_TOKEN="canary")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("MUSTER_INCIDENT_CHANNEL", "did you mean MUSTER_INCIDENTS_CHANNEL?"),
        ("MUSTER_DATADIR", "did you mean MUSTER_DATA_DIR?"),
        ("MUSTER_RUNBOOK", "did you mean MUSTER_RUNBOOKS?"),
        ("MUSTER_XYZZY", ".env.example lists them all"),
    ],
)
def test_an_unknown_setting_of_ours_is_a_fault(name: str, remedy: str) -> None:
    """A misspelt setting is not a silent default, even when it is empty."""
    for value in ("x", ""):
        (line,) = faults(**{name: value})
        assert line == f"{name}: unknown setting; {remedy}"


def test_the_variables_of_others_are_none_of_our_business() -> None:
    """The environment of a process is full of them."""
    assert load(PATH="/bin", SLACK_WEBHOOK="x", MUSTERED="x", MUSTER_REQUIRE_ALL="1") == load()


def test_service_variables_are_collected() -> None:
    """MUSTER_VAR_<SERVICE>_<VAR> needs no declaration; a form that nothing can mean is a fault."""
    settings = load(MUSTER_VAR_CLERK_APP_URL="https://app.example.com", MUSTER_VAR_AUTHOS_HOST="h")
    assert settings.service_vars == {"CLERK_APP_URL": "https://app.example.com", "AUTHOS_HOST": "h"}
    for name in ("MUSTER_VAR_", "MUSTER_VAR_CLERK", "MUSTER_VAR_clerk_app_url", "MUSTER_VAR__X"):
        (line,) = faults(**{name: "x"})
        assert "MUSTER_VAR_<SERVICE>_<VAR>" in line


def test_the_env_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    """Quotes, comments and `export` are as people write them."""
    (tmp_path / ".env").write_text(
        "# a comment\nPORT=4000\nexport SLACK_BOT_TOKEN='xoxb-file'\nMUSTER_VAR_CLERK_APP_URL=http://f\n"
    )
    assert load().port == 4000
    assert load(PORT="5000").port == 5000
    assert load().slack_bot_token == SecretStr("xoxb-file")
    assert load().service_vars == {"CLERK_APP_URL": "http://f"}


def test_the_env_file_can_be_elsewhere_or_off(tmp_path: Path) -> None:
    """Tests and services that get everything by the environment read none."""
    (tmp_path / ".env").write_text("PORT=4000\n")
    (tmp_path / "other").write_text("PORT=5000\n")
    assert load(MUSTER_ENV_FILE="").port == 3000
    assert load(MUSTER_ENV_FILE="other").port == 5000
    assert load(MUSTER_ENV_FILE="missing").port == 3000


def test_faults_in_the_env_file(tmp_path: Path) -> None:
    """A misspelt name in the file is found like one in the environment."""
    (tmp_path / ".env").write_text("MUSTER_DATADIR=canary\nPORT=canary\n")
    assert [line.split(":")[0] for line in faults()] == ["MUSTER_DATADIR", "PORT"]


def test_an_env_file_that_cannot_be_read(tmp_path: Path) -> None:
    """One line with the file and the way out, no traceback."""
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe")
    (line,) = faults()
    assert line.startswith(".env: cannot be read: it is not UTF-8 text")


def test_slack_is_required_only_by_those_who_ask() -> None:
    """`muster check` runs without any token; `muster serve` names every missing one and where to find it."""
    with pytest.raises(ConfigError) as caught:
        load().require_slack()
    first, second = str(caught.value).splitlines()
    assert first.startswith("SLACK_BOT_TOKEN is not set; copy it from api.slack.com/apps")
    assert second.startswith("SLACK_SIGNING_SECRET is not set; copy it from api.slack.com/apps")
    with pytest.raises(ConfigError, match=r"\ASLACK_SIGNING_SECRET[^\n]+\Z"):
        load(SLACK_BOT_TOKEN="xoxb-1").require_slack()
    secrets = load(SLACK_BOT_TOKEN="xoxb-1", SLACK_SIGNING_SECRET="s").require_slack()
    assert (secrets.bot_token, secrets.signing_secret) == (SecretStr("xoxb-1"), SecretStr("s"))


def test_runbooks_are_the_set_the_local_or_the_shipped_ones(tmp_path: Path) -> None:
    """A folder that was set and is missing is a fault, because other runbooks than those meant would run."""
    assert load().runbooks_dir().resolve() in {ROOT / "runbooks", ROOT / "bot" / "_runbooks"}
    (tmp_path / "runbooks").mkdir()
    assert load().runbooks_dir() == Path("runbooks")
    (tmp_path / "ours").mkdir()
    assert load(MUSTER_RUNBOOKS="ours").runbooks_dir() == Path("ours")
    with pytest.raises(ConfigError, match="MUSTER_RUNBOOKS"):
        load(MUSTER_RUNBOOKS="missing").runbooks_dir()


def test_secret_values_are_all_secrets_and_the_passwords_inside_urls() -> None:
    """What the log's redactor gets to know; a password both as it is and as it stands in the URL."""
    settings = load(
        SLACK_BOT_TOKEN="xoxb-1", CLERK_SECRET_KEY="sk", REDIS_URL="redis://:p%40ss@h", HOST="127.0.0.1", VERCEL_PROJECT="p"
    )
    assert set(settings.secret_values()) == {"xoxb-1", "sk", "redis://:p%40ss@h", "p%40ss", "p@ss"}


def test_neither_repr_nor_dump_shows_a_secret() -> None:
    """Settings may end up in a traceback."""
    settings = load(SLACK_BOT_TOKEN="xoxb-canary", DATABASE_URL="postgres://u:canary@h/db")
    assert "canary" not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()


def test_settings_are_constants_and_read_nothing_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `load_settings` reads the environment, and nobody changes a setting later."""
    monkeypatch.setenv("PORT", "4000")
    settings = Settings()
    assert settings.port == 3000
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_every_setting_says_what_it_is() -> None:
    """Unit, default and reason stand in the description of each."""
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_the_contract_names_are_there() -> None:
    """The names that others use from outside (docs, platforms, their own scripts)."""
    expected = """
        SLACK_BOT_TOKEN SLACK_APP_TOKEN SLACK_SIGNING_SECRET SLACK_API_URL REDIS_URL HOST PORT LOG_LEVEL MUSTER_RUNBOOKS
        MUSTER_DATA_DIR MUSTER_INCIDENTS_CHANNEL MUSTER_ALERTS_TOKEN CLERK_SECRET_KEY CLERK_API_URL CLERK_STATUS_URL
        VERCEL_TOKEN VERCEL_API_URL PAGERDUTY_ROUTING_KEY PAGERDUTY_EVENTS_URL TWILIO_ACCOUNT_SID TWILIO_AUTH_TOKEN
        TWILIO_FROM TWILIO_API_URL STATUSPAGE_API_KEY STATUSPAGE_API_URL STATUSPAGE_PAGE_ID SMTP_URL KUBECONFIG
        AUTHOS_TOKEN AUTHOS_URL PROMETHEUS_URL DATABASE_URL
    """
    assert set(expected.split()) <= set(variable_names())


def test_ways_to_reach_people_are_set_up() -> None:
    """Numbers lose the blanks that people write; what opens something is a secret, the address of the heartbeat too."""
    settings = load(
        PAGERDUTY_ROUTING_KEY="key-canary",
        PAGERDUTY_API_TOKEN="token-canary",
        TWILIO_ACCOUNT_SID="AC0123",
        TWILIO_AUTH_TOKEN="auth-canary",
        TWILIO_FROM="+1 (555) 555-0100",
        SMTP_URL="smtps://bot%40example.com:p%40ss-canary@mail.example.com",
        SMTP_FROM="muster@example.com",
        MUSTER_HEARTBEAT_URL="https://hc.example.com/canary",
    )
    assert settings.twilio_from == "+15555550100"
    assert settings.pagerduty_events_url == "https://events.pagerduty.com"
    assert settings.pagerduty_api_url == "https://api.pagerduty.com"
    assert "canary" not in repr(settings) + settings.model_dump_json()
    secrets = settings.secret_values()
    assert {"key-canary", "token-canary", "auth-canary", "p@ss-canary", "https://hc.example.com/canary"} <= set(secrets)
