"""A stand-in for PagerDuty: Events API v2 (below ``/events``) and the two reads of REST v2 that paging needs (``/api``).

Shapes: PagerDuty's OpenAPI of the Events API v2, its pages "Send an alert event" (lengths, deduplication) and REST "Errors".
What its documents say and a careless client forgets: acknowledging or resolving a key that nobody opened is accepted and
does nothing, a repeated trigger of an open key wakes nobody again, and a key that was resolved opens a new incident.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from aiohttp import web

from bot.domain.errors import UserError
from bot.sandbox.world.misbehaving import Entry, Failing, Trouble
from bot.sandbox.world.recording import Unsaid, describe

ROUTING_KEY: Final = "sandboxrouting00sandboxrouting00"
API_TOKEN: Final = "u+sandbox-pagerduty"  # noqa: S105 - opens nothing but this stand-in
ACCEPT: Final = "application/vnd.pagerduty+json;version=2"
MAX_BODY_BYTES: Final = 512 * 1024
MAX_DEDUP_KEY: Final = 255
MAX_SUMMARY: Final = 1024
STATUSES: Final = ("triggered", "acknowledged", "resolved")
INCLUDES: Final = frozenset(
    {"acknowledgers", "agents", "assignees", "conference_bridge", "escalation_policies", "first_trigger_log_entries",
     "priorities", "services", "teams", "users"}
)  # fmt: skip
SCHEDULE: Final = "PSANDBOX1"
POLICY: Final = "PSANDBOX2"

Status = Literal["triggered", "acknowledged", "resolved"]


@dataclass(kw_only=True)
class Incident:
    """What one dedup_key opened. ``pages`` counts how often people were woken; moments are epoch seconds."""

    id: str
    number: int
    key: str
    summary: str
    severity: str
    status: Status = "triggered"
    created_at: float = 0.0
    changed_at: float = 0.0
    acknowledged_by: str = ""
    """E-mail address; "" while nobody has, or when the integration did."""
    pages: int = 1
    triggers: int = 1
    custom_details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCall:
    """One line of ``GET /oncalls``. ``start`` and ``end`` None: for good."""

    email: str
    name: str
    level: int = 1
    user_id: str = "PUSER1"
    schedule_id: str | None = SCHEDULE
    escalation_policy_id: str = POLICY
    start: str | None = None
    end: str | None = None


class _RefusedError(Exception):
    """An error answer."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


class PagerDutyStandIn(Failing):
    """One service with one integration key.

    ``incidents`` is in the order of opening, resolved ones too. ``ledger`` has every event, accepted or not, never shortened.
    ``on_change`` is called after everything that the page shows.
    """

    def __init__(self, now: Callable[[], float], on_change: Callable[[], None]) -> None:
        super().__init__("PagerDuty", "key_revoked")
        self._now = now
        self._on_change = on_change
        self._numbers = itertools.count(1)
        self.routing_key = ROUTING_KEY
        self.ledger: list[Entry] = []
        self.incidents: list[Incident] = []
        self.on_calls: list[OnCall] = [
            OnCall(email="oncall@example.com", name="On-call engineer", level=1, user_id="PUSER1"),
            OnCall(email="lead@example.com", name="Engineering lead", level=2, user_id="PUSER2", schedule_id=None),
        ]
        self.retry_after_s = 2

    # What tests and people do

    def open(self, key: str) -> Incident | None:
        """The incident of this key that is not resolved, or None."""
        return next((one for one in reversed(self.incidents) if one.key == key and one.status != "resolved"), None)

    def status_of(self, key: str) -> Status | None:
        """Of the newest incident of this key; None when there never was one."""
        return next((one.status for one in reversed(self.incidents) if one.key == key), None)

    def acknowledge(self, key: str, *, by: str = "oncall@example.com") -> None:
        """A person presses Acknowledge in PagerDuty. Raises: UserError when nothing is open under this key."""
        found = self.open(key)
        if found is None:
            raise UserError(f"PagerDuty has nothing open under {key}.")
        found.status, found.acknowledged_by, found.changed_at = "acknowledged", by, self._now()
        self._on_change()

    def resolve(self, key: str) -> None:
        """A person presses Resolve in PagerDuty. Raises: UserError when nothing is open under this key."""
        found = self.open(key)
        if found is None:
            raise UserError(f"PagerDuty has nothing open under {key}.")
        found.status, found.changed_at = "resolved", self._now()
        self._on_change()

    # HTTP

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse:
        """Any call below ``/pagerduty``."""
        is_event = path.startswith("/events/")
        try:
            return await (self._enqueue if is_event else self._rest)(request, path)
        except _RefusedError as refused:
            headers = {"Retry-After": str(self.retry_after_s)} if refused.status == 429 else {}
            return web.json_response(refused.body, status=refused.status, headers=headers)
        finally:
            if is_event:
                self._on_change()

    async def _enqueue(self, request: web.Request, path: str) -> web.StreamResponse:
        if path != "/events/v2/enqueue" or request.method != "POST":
            raise _RefusedError(404, {"status": "not found", "message": "Not found", "errors": ["There is no such path"]})
        raw = await request.read()
        describe(key=_key(raw), action=_what(raw), sent=_sent(raw))
        trouble = await self._trouble(raw)
        try:
            event = _event(request, raw)
            if self.state.value == "key_revoked" or event["routing_key"] != self.routing_key:
                raise _invalid(["Invalid routing key"], status="invalid key")
        except _RefusedError as refused:
            self._note(_what(raw), _key(raw), accepted=False, note="; ".join(refused.body.get("errors", [])))
            raise
        key, reference = self._apply(event)
        self._note(event["event_action"], key, accepted=True, note=trouble or "", reference=reference)
        if trouble in ("hang_after_accept", "reset_after_accept"):
            return Unsaid("hang" if trouble == "hang_after_accept" else "drop", trouble)
        return web.json_response({"status": "success", "message": "Event processed", "dedup_key": key}, status=202)

    async def _trouble(self, raw: bytes) -> Trouble | None:
        trouble = self.meets()
        if trouble == "429":
            self._note(_what(raw), _key(raw), accepted=False, note=trouble)
            raise _RefusedError(
                429, {"status": "throttle exceeded", "message": "Requests for this service are arriving too quickly."}
            )
        if trouble == "500":
            self._note(_what(raw), _key(raw), accepted=False, note=trouble)
            raise _RefusedError(500, {"status": "error", "message": "Internal Server Error"})
        if trouble == "slow":
            await asyncio.sleep(self.trouble.slow_s)
        return trouble

    def _apply(self, event: dict[str, Any]) -> tuple[str, str]:
        """Do it; the key, and the id of the incident that it is about ("" when it was dropped)."""
        now = self._now()
        key = event.get("dedup_key") or f"generated{next(self._numbers):023x}"
        found = self.open(key)
        match event["event_action"]:
            case "trigger" if found is not None:
                found.triggers += 1
            case "trigger":
                found = self._opened(key, event["payload"], now)
            case "acknowledge" if found is not None and found.status == "triggered":
                found.status, found.changed_at = "acknowledged", now
            case "resolve" if found is not None:
                found.status, found.changed_at = "resolved", now
        return key, "" if found is None else found.id

    def _opened(self, key: str, payload: dict[str, Any], now: float) -> Incident:
        number = next(self._numbers)
        made = Incident(
            id=f"Q{number:013X}",
            number=number,
            key=key,
            summary=payload["summary"],
            severity=payload["severity"],
            created_at=now,
            changed_at=now,
            custom_details=dict(payload.get("custom_details") or {}),
        )
        self.incidents.append(made)
        return made

    def _note(self, what: str, key: str, *, accepted: bool, note: str = "", reference: str = "") -> None:
        self.ledger.append(Entry(at=self._now(), what=what, key=key, accepted=accepted, note=note, reference=reference))

    # REST

    async def _rest(self, request: web.Request, path: str) -> web.StreamResponse:
        trouble = self.meets()
        if trouble == "429":
            raise _RefusedError(429, _rest_error("Rate Limit Exceeded", 2020))
        if trouble == "500":
            raise _RefusedError(500, _rest_error("Internal Server Error", 2000))
        if trouble == "slow":
            await asyncio.sleep(self.trouble.slow_s)
        if trouble in ("hang_after_accept", "reset_after_accept"):  # a read has no effect: only its answer is lost
            return Unsaid("hang" if trouble == "hang_after_accept" else "drop", trouble)
        self._check(request)
        segments = path.removeprefix("/api").strip("/").split("/")
        match (request.method, *segments):
            case ("GET", "incidents"):
                return web.json_response(self._list_incidents(request))
            case ("GET", "incidents", incident_id):
                found = next((one for one in self.incidents if one.id == incident_id), None)
                if found is not None:
                    return web.json_response({"incident": self._incident(found, frozenset())})
            case ("GET", "oncalls"):
                return web.json_response(self._list_on_calls(request))
        raise _RefusedError(404, _rest_error("Not Found", 2100))

    def _check(self, request: web.Request) -> None:
        if self.state.value == "key_revoked" or request.headers.get("Authorization") != f"Token token={API_TOKEN}":
            raise _RefusedError(401, _rest_error("Unauthorized", 2006))
        if request.headers.get("Accept", "").replace(" ", "") != ACCEPT:
            raise _RefusedError(400, _rest_error("Invalid Input Provided", 2001, f"Send Accept: {ACCEPT}"))

    def _list_incidents(self, request: web.Request) -> dict[str, Any]:
        query = request.query
        _known(query, {"incident_key", "statuses[]", "include[]", "limit", "offset", "total", "since", "until", "date_range",
                       "sort_by", "service_ids[]", "urgencies[]", "time_zone", "team_ids[]", "user_ids[]"})  # fmt: skip
        statuses, includes = query.getall("statuses[]", []), frozenset(query.getall("include[]", []))
        for status in statuses:
            if status not in STATUSES:
                raise _RefusedError(400, _rest_error("Invalid Input Provided", 2001, f"Status {status} is invalid"))
        for include in includes - INCLUDES:
            raise _RefusedError(400, _rest_error("Invalid Input Provided", 2001, f"Include {include} is invalid"))
        key = query.get("incident_key")
        found = [one for one in self.incidents if (key is None or one.key == key) and (not statuses or one.status in statuses)]
        page, rest = _paged(query, found)
        return {"incidents": [self._incident(one, includes) for one in page], **rest}

    def _incident(self, one: Incident, includes: frozenset[str]) -> dict[str, Any]:
        acknowledgements = []
        if one.status == "acknowledged":
            who = _user_reference(one.acknowledged_by, self.on_calls) if one.acknowledged_by else _SERVICE_REFERENCE
            if "acknowledgers" in includes and one.acknowledged_by:
                who = {**who, "type": "user", "name": who["summary"], "email": one.acknowledged_by}
            acknowledgements = [{"at": _moment(one.changed_at), "acknowledger": who}]
        return {
            "id": one.id,
            "type": "incident",
            "summary": f"[#{one.number}] {one.summary}",
            "self": f"https://api.pagerduty.com/incidents/{one.id}",
            "html_url": f"https://sandbox.pagerduty.example/incidents/{one.id}",
            "incident_number": one.number,
            "title": one.summary,
            "created_at": _moment(one.created_at),
            "updated_at": _moment(one.changed_at),
            "status": one.status,
            "incident_key": one.key,
            "service": {"id": "PSERVICE", "type": "service_reference", "summary": "Muster", "self": None, "html_url": None},
            "assignments": [],
            "acknowledgements": acknowledgements,
            "last_status_change_at": _moment(one.changed_at),
            "urgency": "high" if one.severity in ("critical", "error") else "low",
            "resolved_at": _moment(one.changed_at) if one.status == "resolved" else None,
        }

    def _list_on_calls(self, request: web.Request) -> dict[str, Any]:
        query = request.query
        _known(query, {"schedule_ids[]", "escalation_policy_ids[]", "user_ids[]", "include[]", "earliest", "since", "until",
                       "limit", "offset", "total", "time_zone"})  # fmt: skip
        schedules, policies = query.getall("schedule_ids[]", []), query.getall("escalation_policy_ids[]", [])
        found = [
            one
            for one in self.on_calls
            if (not schedules or one.schedule_id in schedules) and (not policies or one.escalation_policy_id in policies)
        ]
        page, rest = _paged(query, found)
        with_users = "users" in query.getall("include[]", [])
        return {"oncalls": [_on_call(one, with_users=with_users) for one in page], **rest}


_SERVICE_REFERENCE: Final = {"id": "PSERVICE", "type": "service_reference", "summary": "Muster", "self": None, "html_url": None}


def _user_reference(email: str, on_calls: list[OnCall]) -> dict[str, Any]:
    known = next((one for one in on_calls if one.email == email), None)
    user_id, name = (known.user_id, known.name) if known is not None else ("PUSER0", email)
    return {"id": user_id, "type": "user_reference", "summary": name, "self": None, "html_url": None}


def _on_call(one: OnCall, *, with_users: bool) -> dict[str, Any]:
    user = {"id": one.user_id, "type": "user_reference", "summary": one.name, "self": None, "html_url": None}
    if with_users:
        user |= {"type": "user", "name": one.name, "email": one.email, "time_zone": "Europe/Berlin"}
    schedule = {"id": one.schedule_id, "type": "schedule_reference", "summary": "Primary", "self": None, "html_url": None}
    return {
        "escalation_policy": {"id": one.escalation_policy_id, "type": "escalation_policy_reference", "summary": "Default",
                              "self": None, "html_url": None},
        "escalation_level": one.level,
        "schedule": schedule if one.schedule_id is not None else None,
        "user": user,
        "start": one.start,
        "end": one.end,
    }  # fmt: skip


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rest_error(message: str, code: int, *errors: str) -> dict[str, Any]:
    return {"error": {"message": message, "code": code} | ({"errors": list(errors)} if errors else {})}


def _known(query: Any, names: set[str]) -> None:
    for name in query:
        if name + "[]" in names:  # PagerDuty would ignore it, and the client would believe that it had filtered
            raise _RefusedError(400, _rest_error("Invalid Input Provided", 2001, f"{name} is a list: write {name}[]"))


def _paged(query: Any, found: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    limit, offset = (_number(query.get(name, default), name) for name, default in (("limit", "25"), ("offset", "0")))
    if limit > 100 or limit < 1 or offset + limit > 10_000:
        raise _RefusedError(
            400, _rest_error("Invalid Input Provided", 2001, "limit is 1 to 100, and offset + limit at most 10000")
        )
    rest = {"limit": limit, "offset": offset, "total": None, "more": len(found) > offset + limit}
    return found[offset : offset + limit], rest


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise _RefusedError(400, _rest_error("Invalid Input Provided", 2001, f"{name} is not a number"))
    return int(text)


# Judging an event. The list of errors is what PagerDuty answers: all of them at once.


def _invalid(errors: list[str], *, status: str = "invalid event") -> _RefusedError:
    return _RefusedError(400, {"status": status, "message": "Event object is invalid", "errors": errors})


def _event(request: web.Request, raw: bytes) -> dict[str, Any]:
    """The event of a body. Raises _RefusedError with everything that is wrong with it."""
    if len(raw) > MAX_BODY_BYTES:
        raise _RefusedError(413, {"status": "invalid event", "message": "Event exceeds size limit", "errors": ["512 KB at most"]})
    if request.content_type != "application/json":
        raise _unrecognized("Content-Type must be application/json")
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _unrecognized("JSON parse error") from error
    if not isinstance(event, dict):
        raise _unrecognized("JSON parse error")
    errors = [*_envelope_errors(event), *_list_errors(event)]
    if event.get("event_action") == "trigger":
        errors += _payload_errors(event.get("payload"))
    if errors:
        raise _invalid(errors)
    return event


def _unrecognized(reason: str) -> _RefusedError:
    body = {"status": "Unrecognized object", "message": "Event object format is unrecognized", "errors": [reason]}
    return _RefusedError(400, body)


def _envelope_errors(event: dict[str, Any]) -> list[str]:
    errors = []
    routing_key = event.get("routing_key")
    if not isinstance(routing_key, str) or not routing_key:
        errors.append("'routing_key' is missing or blank")
    else:
        if len(routing_key) != 32:
            errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
        if not re.fullmatch(r"[A-Za-z0-9]*", routing_key):
            errors.append("'routing_key' cannot contain non-alphanumeric characters.")
    action = event.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' is missing or invalid: one of trigger, acknowledge, resolve")
    dedup_key = event.get("dedup_key")
    if dedup_key is None or dedup_key == "":
        if action in ("acknowledge", "resolve"):
            errors.append("'dedup_key' is missing or blank")
    elif not isinstance(dedup_key, str):
        errors.append("'dedup_key' must be a string")
    elif len(dedup_key) > MAX_DEDUP_KEY:
        errors.append(f"'dedup_key' is too long (maximum is {MAX_DEDUP_KEY} characters)")
    errors += [f"'{name}' must be a string" for name in ("client", "client_url") if not isinstance(event.get(name, ""), str)]
    if isinstance(event.get("client_url"), str) and not _is_url(event["client_url"]):
        errors.append("'client_url' must be a URL")
    return errors


def _list_errors(event: dict[str, Any]) -> list[str]:
    errors = []
    for name, address in (("links", "href"), ("images", "src")):
        rows = event.get(name, [])
        if not isinstance(rows, list):
            errors.append(f"'{name}' must be an array")
            continue
        for row in rows:
            if not isinstance(row, dict) or not isinstance(row.get(address), str) or not _is_url(row[address]):
                errors.append(f"'{name}' needs objects with '{address}', a URL")
            elif name == "images" and not row["src"].startswith("https://"):
                errors.append("'images' are served by HTTPS only")
            elif not all(isinstance(value, str) for value in row.values()):
                errors.append(f"'{name}' must have strings only")
    return errors


def _payload_errors(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    errors = []
    for name in ("summary", "source"):
        if not isinstance(payload.get(name), str) or not payload[name].strip():
            errors.append(f"'payload.{name}' is missing or blank")
    if isinstance(payload.get("summary"), str) and len(payload["summary"]) > MAX_SUMMARY:
        errors.append(f"'payload.summary' is too long (maximum is {MAX_SUMMARY} characters)")
    if payload.get("severity") not in ("critical", "error", "warning", "info"):
        errors.append("'payload.severity' is missing or invalid: one of critical, error, warning, info")
    errors += [
        f"'payload.{name}' must be a string"
        for name in ("component", "group", "class")
        if not isinstance(payload.get(name, ""), str)
    ]
    if not isinstance(payload.get("custom_details", {}), dict):
        errors.append("'payload.custom_details' must be an object")
    if "timestamp" in payload and not _is_moment(payload["timestamp"]):
        errors.append("'payload.timestamp' must be a date and time")
    return errors


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _is_moment(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _what(raw: bytes) -> str:
    """For the ledger: the action of a body that may be anything."""
    return _field(raw, "event_action") or "event"


def _key(raw: bytes) -> str:
    return _field(raw, "dedup_key")


def _sent(raw: bytes) -> dict[str, Any]:
    """For the ledger: the event without its routing key, which is a secret."""
    return {name: value for name, value in _parsed(raw).items() if name != "routing_key"}


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _field(raw: bytes, name: str) -> str:
    value = _parsed(raw).get(name)
    return value[:MAX_DEDUP_KEY] if isinstance(value, str) else ""
