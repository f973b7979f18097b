"""Structured logs that hold no secrets.

`bot/cli.py` calls `configure_logging` once; every module takes `log = get_logger(__name__)` and says
`log.info("incident_opened", severity="SEV1")`: a constant event name and fields. What an incident's work has in common
is bound once: `with structlog.contextvars.bound_contextvars(incident_id="inc-42"):`. The libraries' own records come
out as the event `library_log`, from warnings upwards only, because their lower levels print whole requests.

Every event passes one `Redactor` on its way out; others that hand texts to the outside may use one as well. Metrics do
not belong here, nor does the timeline: a log is for operators, and may be lost.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, cast
from urllib.parse import quote, quote_plus
from uuid import UUID

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

REDACTED = "[redacted]"
TEXT_MAX_CHARS = 16_000
"""Longer texts are cut in the middle: of a traceback, both ends are worth reading."""

_DEPTH_MAX = 8
_ITEMS_MAX = 200
_KNOWN_SECRET_MIN_CHARS = 6
"""A shorter value is a word that innocent lines contain."""
_LIBRARY_LEVEL = logging.WARNING
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_SENSITIVE = (
    r"token|secret|passw(?:or)?d|passphrase|authorization|cookie|credential|api[_-]?key|private[_-]?key|routing[_-]?key"
    r"|signature|response[_-]?url|webhook[_-]?url|trigger[_-]?id|database[_-]?url|redis[_-]?url|smtp[_-]?url|dsn|jwt"
)
_SENSITIVE_KEY = re.compile(_SENSITIVE, re.IGNORECASE)
_NAME = rf"[\w-]{{0,40}}(?:{_SENSITIVE})[\w-]{{0,40}}"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Slack: bot, user, app, refresh and workflow tokens; addresses and triggers that work without any
    (re.compile(r"\b(?:xox[a-z](?:\.xox[a-z])?|xapp|xwfp)-[\w-]+", re.IGNORECASE), REDACTED),
    (re.compile(r"(hooks\.slack(?:-gov)?\.com/)[^\s\"'<>]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"\b\d{8,}\.\d{8,}\.[0-9a-f]{16,}"), REDACTED),
    # Clerk and Stripe keys (a publishable pk_ is no secret), Svix, AWS, GitHub
    (re.compile(r"\b(?:sk|rk)_(?:live|test)_\w+", re.IGNORECASE), REDACTED),
    (re.compile(r"\bwhsec_[\w+/=-]+", re.IGNORECASE), REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}", re.IGNORECASE), REDACTED),
    (re.compile(r"\b(?:gh[opsru]_|github_pat_)\w{20,}", re.IGNORECASE), REDACTED),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?"), REDACTED),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REDACTED),
    # By the place where a secret stands
    (re.compile(r"([a-z][a-z0-9+.-]{0,20}://)[^\s/?#\"'<>]*@", re.IGNORECASE), rf"\1{REDACTED}@"),
    (re.compile(r"\b(bearer|basic)\s+[\w+/=.~-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(rf"([?&;](?:{_NAME}|key|code|sig)=)[^&\s#\"']+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"([\"']{_NAME}\\?[\"']\s*[:=]\s*\\?)(?:\"[^\"]*\"?|'[^']*'?)", re.IGNORECASE), rf'\1"{REDACTED}"'),
    (re.compile(rf"(\b{_NAME}=)(?:\"[^\"]*\"?|'[^']*'?|[^\s\"'&;,)}}]+)", re.IGNORECASE), rf"\1{REDACTED}"),
    # pydantic prints what it refuses
    (re.compile(r"(input_value=).*?(?=, input_type=)", re.DOTALL), rf"\1{REDACTED}"),
)

# What a terminal or a line-wise reader would obey: C0 and C1 controls, line separators, bidirectional overrides.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger that names its module in every event. May be called before `configure_logging`."""
    return cast("FilteringBoundLogger", structlog.get_logger(name))


def configure_logging(
    level: Literal["debug", "info", "warning", "error"] = "info",
    format: Literal["json", "console"] | None = None,
    secrets: Iterable[str] = (),
) -> None:
    """Send every log event and every library's record to stderr, one line each, redacted.

    `format` None is console on a terminal and else json. `secrets` are values that must never be shown, whole
    (`Settings.secret_values()`). May be called again; the last call counts.
    """
    redactor = Redactor(secrets)
    console = sys.stderr.isatty() if format is None else format == "console"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _add_logger_name,
            _add_exception,
            redactor,
            _render_console if console else _render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_StderrLogger,
        cache_logger_on_first_use=False,  # a cached logger would keep the former call's redactor
    )
    # Bolt's loggers copy the root's level when they are made, and others set their own: the handler has the last word.
    handler = _LibraryHandler(level=max(_LEVELS[level], _LIBRARY_LEVEL))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(handler.level)


class Redactor:
    """Takes secrets out of texts and nested values: by the name of their key, by known value, by pattern.

    A structlog processor as well. Holds no state but the secrets, and may be shared.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= _KNOWN_SECRET_MIN_CHARS for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if forms else None

    def __call__(self, logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
        return cast("EventDict", self.value(event_dict))

    def text(self, text: str) -> str:
        """`text` without secrets, cut to TEXT_MAX_CHARS."""
        text = text[: 8 * TEXT_MAX_CHARS]  # bounds the work; what follows would be cut below in any case
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        if len(text) > TEXT_MAX_CHARS:
            half = TEXT_MAX_CHARS // 2
            text = f"{text[:half]} ... {len(text) - 2 * half} characters cut ... {text[-half:]}"
        return text

    def value(self, value: object, *, depth: int = 0) -> object:
        """`value` as plain JSON types, without secrets. Whatever is no such type becomes its redacted text."""
        match value:
            case None | bool() | int():
                return value
            case float():
                return value if math.isfinite(value) else str(value)
            case str() if not isinstance(value, Enum):
                return self.text(value)
            case _ if depth >= _DEPTH_MAX:
                return "..."
            case Mapping():
                pairs = list(value.items())[:_ITEMS_MAX]
                return {self.text(str(key)): self._field(str(key), item, depth=depth + 1) for key, item in pairs}
            case list() | tuple() | set() | frozenset():
                return [self.value(item, depth=depth + 1) for item in list(value)[:_ITEMS_MAX]]
            case bytes():
                return self.text(value.decode(errors="replace"))
            case Enum():
                return self.value(value.value, depth=depth + 1)
            case datetime() | date() | time() | timedelta() | PurePath() | UUID() | BaseException():
                return self.text(str(value))
        return self.text(repr(value))

    def _field(self, key: str, value: object, *, depth: int) -> object:
        # Numbers stay: a fencing token, the tokens left in a bucket.
        if value is None or isinstance(value, bool | int | float) or not _SENSITIVE_KEY.search(key):
            return self.value(value, depth=depth)
        return REDACTED


def _forms(secret: str) -> set[str]:
    """A secret as it is, and as it looks inside JSON, inside a URL and inside base64 at each of three alignments."""
    raw = secret.encode(errors="surrogatepass")
    forms = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote_plus(secret)}
    if len(raw) >= 2 * _KNOWN_SECRET_MIN_CHARS:
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
            # The first and last characters also hold bits of the neighbours.
            core = encoded[(0, 2, 3)[shift] : len(encoded) - 1]
            forms |= {core, core.replace("+", "-").replace("/", "_")}
    return forms


class _StderrLogger:
    """Writes to whatever `sys.stderr` is at the moment. `name` is the module that asked for a logger."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed pipe at the other end must not stop an incident
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = write


class _LibraryHandler(logging.Handler):
    """Turns the records of stdlib logging into events, so that they take the same way out."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit; logging would print them unredacted
            message = str(record.msg)
        if record.name.startswith("slack_"):
            message = message.split("{", 1)[0]  # "Unhandled request ({...": people's words and whole requests
        logger = get_logger(record.name)
        write = logger.error if record.levelno >= logging.ERROR else logger.warning
        write("library_log", message=message, exc_info=record.exc_info or None)


def _add_logger_name(logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
    event_dict.setdefault("logger", getattr(logger, "name", ""))
    return event_dict


def _add_exception(logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
    """`exc_info` as text, without the values of local variables."""
    info = event_dict.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else None
    if info is True:
        error = sys.exception()
    if error is not None:
        event_dict["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return event_dict


def _render_json(logger: WrappedLogger, method: str, event_dict: EventDict) -> str:
    """One line of ASCII: json escapes newlines, escape sequences and lone surrogates by itself."""
    return json.dumps(_in_order(event_dict))


def _render_console(logger: WrappedLogger, method: str, event_dict: EventDict) -> str:
    fields = _in_order(event_dict)
    at, level, event = (_printable(fields.pop(key, "")) for key in ("at", "level", "event"))
    exception = str(fields.pop("exception", ""))
    fields.pop("logger", None)
    line = " ".join([at[11:19], f"{level:7}", event, *(f"{_printable(k)}={_printable(v)}" for k, v in fields.items())])
    # Indented, so that nothing in an exception can pass for a line of its own.
    return "\n".join([line, *(f"    | {_printable(text)}" for text in exception.splitlines())])


def _in_order(event_dict: EventDict) -> dict[str, Any]:
    """Time, level and event first, where the eye looks for them."""
    return {**{key: event_dict[key] for key in ("at", "level", "event") if key in event_dict}, **event_dict}


def _printable(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)
