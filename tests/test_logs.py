"""No secret reaches a log: by key, by known value, by pattern, in exceptions and from libraries; and nobody forges a line."""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from bot.logs import REDACTED, TEXT_MAX_CHARS, Redactor, configure_logging, get_logger

# Built from halves: a scanner of this repository should find no token-shaped text in it.
CANARIES = {
    "bot token": "xoxb-" + "111111111111-222222222222-CANARYcanaryCANARY",
    "user token": "xoxp-" + "1-2-3-CANARY",
    "rotating token": "xoxe." + "xoxb-1-CANARYcanary",
    "app token": "xapp-" + "1-A0000000000-111-CANARYcanary",
    "upper case token": "XOXB-" + "1-2-CANARY",
    "clerk live key": "sk_live_" + "CANARYcanary",
    "clerk test key": "sk_test_" + "CANARYcanary",
    "svix secret": "whsec_" + "CANARYcanary+/=",
    "aws key": "AKIA" + "CANARYCANARYCANA",
    "github token": "ghp_" + "CANARYcanaryCANARYcanaryCANARY",
    "jwt": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJDQU5BUlkiOjF9.CANARY-canary_CANARY",
    "jwt without signature": "eyJ" + "hbGciOiJub25lIn0.eyJDQU5BUlkiOjF9CANARY",
    "pem": "-----BEGIN " + "RSA PRIVATE KEY-----\nCANARY\nCANARY\n-----END RSA PRIVATE KEY-----",
    "pem in json": "-----BEGIN " + "PRIVATE KEY-----\\nCANARY\\n-----END PRIVATE KEY-----",
    "pem cut off": "-----BEGIN " + "EC PRIVATE KEY-----\nCANARY",
    "postgres url": "postgres://user:" + "CANARY@db.example.com/app",
    "password with an at sign": "redis://:CAN@" + "CANARY@db.example.com:6379/0",
    "user without password": "https://CANARY" + "@example.com/path",
    "response url": "https://hooks.slack.com/" + "actions/T0/1/CANARY",
    "webhook": "https://hooks.slack.com/" + "services/T0/B0/CANARY",
    "trigger id": "1234567890.1234567890." + "0123456789abcdef0123456789abcdef",
    "bearer": "Authorization: Bearer " + "CANARYcanary.CANARY",
    "basic": "authorization=Basic " + "Q0FOQVJZOkNBTkFSWQ==",
    "query": "https://example.com/x?a=1&access_" + "token=CANARY&b=2",
    "assignment": "could not log in with password=" + "CANARY, sorry",
    "quoted assignment": "client_secret=" + "'CANARY with blanks'",
    "json": '{"client_' + 'secret": "CANARY \\u00e9", "ok": false}',
    "python": "{'signing_" + "secret': 'CANARY', 'ok': False}",
}
TELL_TALES = re.compile("canary|Q0FOQVJZ|0123456789abcdef", re.IGNORECASE)


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    """Logging is the process's: put back what the tests change."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """What was logged as JSON, one dict per line; nothing may go to stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


@pytest.mark.parametrize("name", CANARIES)
def test_patterns(name: str) -> None:
    """Each kind of secret goes, wherever it stands in a text, and the text around it stays."""
    redacted = Redactor().text(f"before {CANARIES[name]}")
    assert not TELL_TALES.search(redacted), redacted
    assert redacted.startswith("before ")
    assert REDACTED in redacted


def test_what_is_useful_stays() -> None:
    """Hosts, paths, publishable keys, ids, times and plain words are no secrets."""
    text = (
        "GET https://api.clerk.com/v1/sessions?user_id=user_2x&limit=500 took 12 ms, inc-42, U0123456789, "
        "ts 1700000000.123456, pk_live_abc, invalid token: revoked, mail to support@example.com, https://x.com/@user"
    )
    assert Redactor().text(text) == text
    assert Redactor().text("postgres://u:p@db.example.com:5432/app") == f"postgres://{REDACTED}@db.example.com:5432/app"


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "SLACK_BOT_TOKEN",
        "client_secret",
        "Authorization",
        "X-Slack-Signature",
        "Set-Cookie",
        "password",
        "response_url",
        "responseUrl",
        "trigger_id",
        "api-key",
        "apiKey",
        "private_key",
        "DATABASE_URL",
        "credentials",
    ],
)
def test_keys(key: str) -> None:
    """What such a key names goes, of whatever type it is, and however deep."""
    for value in ("plain", ["plain"], {"a": "plain"}, b"plain", SecretStr("plain")):
        assert Redactor().value({"a": [{key: value}]}) == {"a": [{key: REDACTED}]}


def test_numbers_under_a_secret_key_stay() -> None:
    """Fencing tokens and token buckets are what one debugs with."""
    fields = {"token": 7, "tokens_left": 0.5, "has_token": True, "token_at": None}
    assert Redactor().value(fields) == fields


def test_known_values_in_every_disguise() -> None:
    """A secret without any pattern is found as it is, upper case, in JSON, in a URL and inside base64."""
    secret = 'pl"ain wörds/with+signs'
    redactor = Redactor([secret])
    disguises = [secret, secret.upper(), json.dumps({"x": secret}), quote(secret, safe="")]
    disguises += [base64.b64encode(prefix + secret.encode() + b"tail").decode() for prefix in (b"", b"a", b"ab", b"abc")]
    for disguise in disguises:
        redacted = redactor.text(f"x {disguise} y")
        assert REDACTED in redacted, disguise
        assert "signs" not in redacted.lower()
    assert "b3Jkcy93aXRoK3NpZ2" not in redactor.text(disguises[4])


def test_short_known_values_are_left() -> None:
    """A password of three letters would black out half of every line; the patterns and keys still hold."""
    assert Redactor(["abc", ""]).text("abc abcd") == "abc abcd"


def test_values_become_plain_json() -> None:
    """Whatever is logged can be written: dates, paths, sets, objects, NaN, cycles, bytes."""
    cycle: dict[str, object] = {}
    cycle["self"] = cycle
    value = Redactor().value(
        {"at": datetime(2026, 1, 2, tzinfo=UTC), "path": Path("/x"), "nan": float("nan"), "set": {1}, "cycle": cycle}
        | {"bytes": b"\xff", 5: SecretStr("hidden"), "level": re.IGNORECASE, "many": list(range(1000))}
    )
    assert isinstance(value, dict)
    json.dumps(value, allow_nan=False)
    assert value["at"] == "2026-01-02 00:00:00+00:00"
    assert "hidden" not in str(value)
    assert len(value["many"]) < 1000


def test_long_texts_are_cut_after_redaction() -> None:
    """A provider's reply of megabytes costs a bounded line, and the cut leaves no half of a secret."""
    text = Redactor().text("x" * 5_000_000)
    assert len(text) < TEXT_MAX_CHARS + 100
    assert not TELL_TALES.search(Redactor().text(f"{'x ' * 4_000}{CANARIES['bot token']}{' y' * 20_000}"))


@pytest.mark.parametrize("hostile", ["a." * 60_000, "token" * 20_000, "://" * 40_000, "eyJ" * 40_000, '"' * 120_000])
def test_hostile_texts_take_no_time(hostile: str) -> None:
    """No pattern runs away (the test's own timeout would tell)."""
    assert Redactor().text(hostile)


def test_events_are_one_line_of_json_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Event, level, time, module, bound incident and fields."""
    configure_logging("info", "json")
    with structlog.contextvars.bound_contextvars(incident_id="inc-42"):
        get_logger("bot.somewhere").info("incident_opened", severity="SEV1")
    get_logger("bot.somewhere").debug("not_shown")
    (event,) = lines(capsys)
    assert datetime.fromisoformat(str(event.pop("at"))).tzinfo is not None
    assert event == {
        "level": "info",
        "event": "incident_opened",
        "logger": "bot.somewhere",
        "incident_id": "inc-42",
        "severity": "SEV1",
    }


def test_secrets_in_events_and_context(capsys: pytest.CaptureFixture[str]) -> None:
    """Fields, nested fields, the event's name and bound context all pass the redactor."""
    configure_logging("info", "json", secrets=["by-value-CANARY"])
    with structlog.contextvars.bound_contextvars(url=CANARIES["postgres url"]):
        get_logger("x").warning("it_is by-value-CANARY", a={"b": [CANARIES]}, token="CANARY", CANARY_token="CANARY")
    (event,) = lines(capsys)
    assert not TELL_TALES.search(json.dumps({k: v for k, v in event.items() if k != "CANARY_token"}))


def test_secrets_in_exceptions(capsys: pytest.CaptureFixture[str]) -> None:
    """Messages, causes, notes and what pydantic refused; local variables are not shown at all."""

    class Model(BaseModel):
        number: int

    configure_logging("info", "json", secrets=["by-value-CANARY"])
    try:
        try:
            Model.model_validate({"number": "plain-CANARY"})
        except ValidationError as error:
            error.add_note(f"while asking {CANARIES['postgres url']}")
            raise ValueError(f"with {CANARIES['bot token']} and by-value-CANARY") from error
    except ValueError:
        get_logger("x").exception("it_failed")
    (event,) = lines(capsys)
    exception = str(event["exception"])
    shown = [line for line in exception.splitlines() if not line.startswith("    ")]  # source lines are no values
    assert not TELL_TALES.search("\n".join(shown))
    assert "ValidationError" in exception
    assert "Traceback" in exception


@pytest.mark.parametrize("form", ["json", "console"])
def test_nobody_forges_a_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Newlines, carriage returns, escape sequences and bidirectional marks in values and keys stay inside their line."""
    hostile = "x\n2026 error forged\r\x1b[2J\x1b[31m\u2028\u202e\x85\ud800"
    configure_logging("info", "json" if form == "json" else "console")
    get_logger("x").info("event", name=hostile, nested={"a": [hostile]}, **{hostile: 1})
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", err)
    assert "forged" in err


def test_an_exception_on_the_console_cannot_pass_for_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of its lines is indented behind a bar."""
    configure_logging("info", "console")
    try:
        raise ValueError("x\n10:00:00 info    forged")
    except ValueError:
        get_logger("x").exception("it_failed", incident_id="inc-1")
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("it_failed incident_id=inc-1")
    assert all(line.startswith("    | ") for line in rest)


def test_libraries_go_the_same_way_from_warnings_upwards(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever level a library sets itself: its debug and info records print whole requests, so they never come out."""
    configure_logging("debug", "json")
    library = logging.getLogger("httpx")
    library.setLevel(logging.DEBUG)
    library.debug("request %s", "x")
    library.info("HTTP Request: GET https://x/?token=CANARY")
    library.warning("bad answer from %s", CANARIES["postgres url"])
    library.log(45, "worse")
    library.setLevel(logging.NOTSET)
    warning, worse = lines(capsys)
    assert (warning["event"], warning["level"], warning["logger"]) == ("library_log", "warning", "httpx")
    assert warning["message"] == f"bad answer from postgres://{REDACTED}@db.example.com/app"
    assert worse["level"] == "error"


def test_slacks_libraries_do_not_print_what_people_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Bolt's warning about an unhandled request holds the whole body; the sentence before it is enough."""
    configure_logging("info", "json")
    logging.getLogger("slack_bolt.AsyncApp").warning("Unhandled request ({'text': 'a private matter'})\n---\n")
    (event,) = lines(capsys)
    assert event["message"] == "Unhandled request ("


def test_a_library_whose_record_does_not_fit_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """stdlib logging would print the arguments, unredacted, to stderr."""
    configure_logging("info", "json")
    logging.getLogger("x").warning("%d sessions", CANARIES["bot token"])
    (event,) = lines(capsys)
    assert event["message"] == "%d sessions"


def test_a_library_exception_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    """asyncio and aiohttp report what nobody caught through stdlib logging."""
    configure_logging("info", "json")
    error = ValueError(CANARIES["postgres url"])
    logging.getLogger("asyncio").error("never retrieved", exc_info=error)
    (event,) = lines(capsys)
    assert event["exception"] == f"ValueError: postgres://{REDACTED}@db.example.com/app"


def test_the_format_follows_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Unset, people at a terminal read lines and collectors read JSON."""
    for is_terminal, shown in ((True, "hello n=1\n"), (False, "}\n")):
        monkeypatch.setattr(sys.stderr, "isatty", lambda answer=is_terminal: answer)
        configure_logging("info")
        get_logger("x").info("hello", n=1)
        assert capsys.readouterr().err.endswith(shown)


def test_a_closed_stderr_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The collector at the other end went away: the incident goes on."""
    configure_logging("info", "json")
    stream = (tmp_path / "log").open("w")
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    get_logger("x").error("nobody_reads_this")


def test_the_last_configuration_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """A logger taken before follows a later call, and nothing is written twice."""
    log = get_logger("early")
    configure_logging("info", "json")
    log.info("one", value="by-value-CANARY")
    configure_logging("error", "json", secrets=["by-value-CANARY"])
    log.info("two")
    log.error("three", value="by-value-CANARY")
    logging.getLogger("lib").warning("four")
    assert [(event["event"], event["value"]) for event in lines(capsys)] == [
        ("one", "by-value-CANARY"),
        ("three", REDACTED),
    ]
