"""What the pages are sent in: forty people on four levels, a record of who was asked to reach whom, and replicas that die.

The record is made beside the ledgers of the stand-ins, which know neither the incident of a call nor the replica that made it.
What is judged by it is in ``tests.chaos.pages_judge``.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from bot.sandbox.server import Sandbox
from bot.sandbox.world import World
from bot.sandbox.world.recording import Unsaid
from bot.slack.posting import opaque_key
from tests.chaos.ground import Ground, Replica
from tests.chaos.pages_judge import Attempt
from tests.conftest import ROOT

LEVELS = 4
LEVEL_EVERY_S = 3
CONTACTS = 10
DAY_S = 86_400
CLOCK_OFF = Path(__file__).parent / "clock_off"
READY_EVERY_S = 0.1
_INCIDENT = re.compile(r"incident (\d+)")
_WAYS: tuple[tuple[str, ...], ...] = (
    ("pagerduty", "email"),
    ("phone", "sms"),
    ("sms", "phone"),
    ("email", "pagerduty"),
    ("pagerduty", "sms"),
)
"""How the contacts of a level are reached, by turns; each by the first of them that is accepted."""
_SLACK = (1, 9)
"""Slack takes 50 new conversations a minute from one app: of every other level one contact is reached there."""


def contact_id(level: int, number: int) -> str:
    """Of the contact ``number`` (1-based) of ``level`` (1-based)."""
    return f"l{level}-{number}"


def contacts() -> Iterator[tuple[int, dict[str, Any]]]:
    """(level, contact as in contacts.yml), in their order."""
    for level in range(1, LEVELS + 1):
        for number in range(1, CONTACTS + 1):
            ways = _WAYS[number % len(_WAYS)]
            if (level % 2, number) == _SLACK:
                ways = ("slack", "email")
            identity = contact_id(level, number)
            data: dict[str, Any] = {"id": identity, "name": f"Contact {number} of level {level}", "via": list(ways)}
            if "slack" in ways:
                data["slack"] = f"@{identity}"
            if "phone" in ways or "sms" in ways:
                data["phone"] = f"+1555010{level}{number:03}"
            if "email" in ways:
                data["email"] = f"{identity}@example.com"
            if "pagerduty" in ways:
                data["pagerduty"] = True
            yield level, data


def write_runbooks(folder: Path) -> Path:
    """Runbooks in which everybody is paged, level after level, a few seconds apart, and nothing else happens."""
    copy = folder / "runbooks"
    shutil.copytree(ROOT / "runbooks", copy)
    severities = yaml.safe_load((copy / "severities.yml").read_text("utf-8"))
    for rules in severities.values():
        for name in ("invite", "standby", "notify", "check_in_after"):
            rules.pop(name, None)
        rules["respond_within"], rules["resolve_within"] = "4h", "24h"
    everybody = list(contacts())
    levels = [
        {
            "level": level,
            "after": f"{(level - 1) * LEVEL_EVERY_S}s",
            "notify": [data["id"] for of, data in everybody if of == level],
        }
        for level in range(1, LEVELS + 1)
    ]
    files = {
        "contacts.yml": {
            "contacts": [data for _, data in everybody],
            "policies": [{"id": "default", "levels": levels}],
        },
        "severities.yml": severities,
    }
    for name, content in files.items():
        (copy / name).write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    for path in copy.rglob("*.yml"):  # whoever else is named there is nobody here
        content = yaml.safe_load(path.read_text("utf-8"))
        if isinstance(content, dict) and content.pop("escalation", None):
            path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return copy


@dataclass(kw_only=True)
class Record:
    """Who was asked to reach whom. ``moments`` are epoch seconds of this machine, as everywhere in this run."""

    sandbox: Sandbox
    world: World
    users: dict[str, str]
    """Contact → user in Slack."""
    most_incidents: int = 0
    """Their numbers are at most this."""
    asked: list[Attempt] = field(default_factory=list)
    """Of PagerDuty and Twilio."""

    def __post_init__(self) -> None:
        """From now on, whatever reaches PagerDuty and Twilio is written down. Before the sandbox starts."""
        self._by_phone = {data["phone"]: data["id"] for _, data in contacts() if "phone" in data}
        self._by_mail = {data["email"]: data["id"] for _, data in contacts() if "email" in data}
        pagerduty: Any = self.world.pagerduty
        twilio: Any = self.world.twilio
        pagerduty.answer = self._watched(pagerduty.answer, self._event_of)
        twilio.serve = self._watched(twilio.serve, self._call_of)

    def _watched(self, answer: Any, read: Any) -> Any:
        async def watched(request: web.Request, path: str) -> web.StreamResponse:
            at = time.time()
            attempt = await read(request, path)
            if attempt is None:
                return await answer(request, path)
            way, incident, contact, key = attempt
            response = await answer(request, path)
            unsaid = isinstance(response, Unsaid)
            self.asked.append(
                Attempt(
                    at=at,
                    way=way,
                    incident=incident,
                    contact=contact,
                    key=key,
                    accepted=unsaid or response.status < 300,
                    note=response.note if unsaid else "" if response.status < 300 else str(response.status),
                    replica=_replica_of(request),
                )
            )
            return response

        return watched

    async def _event_of(self, request: web.Request, path: str) -> tuple[str, int, str, str] | None:
        if not path.startswith("/events/"):
            return None
        event = json.loads(await request.read())
        if event["event_action"] != "trigger":
            return None
        key = event["dedup_key"]
        _, incident, _, _, contact = key.rsplit("/", 4)
        return "pagerduty", int(incident.removeprefix("inc-")), contact, key

    async def _call_of(self, request: web.Request, path: str) -> tuple[str, int, str, str] | None:
        way = {"Calls.json": "phone", "Messages.json": "sms"}.get(path.rpartition("/")[2])
        if request.method != "POST" or way is None:
            return None
        form = await request.post()
        said = _INCIDENT.search(str(form.get("Twiml") or form.get("Body")))
        assert said, form
        return way, int(said[1]), self._by_phone[str(form["To"])], f"{form['To']} {said[0]}"

    # -- everything together ---------------------------------------------------------------------------------------

    def attempts(self) -> list[Attempt]:
        """Every attempt to reach somebody, by every way, as far as the ledgers tell."""
        return [*self.asked, *self._mails(), *self._messages()]

    def _mails(self) -> Iterator[Attempt]:
        for entry in self.world.smtp.ledger:
            if not entry.accepted:
                continue
            incident, _, _, contact = entry.reference.strip("<>").partition("@")[0].split(".")
            number = int(incident.removeprefix("inc-"))
            yield Attempt(
                at=entry.at,
                way="email",
                incident=number,
                contact=contact,
                key=entry.reference,
                accepted=True,
                note=entry.note,
            )

    def refused_mails(self) -> list[tuple[float, str]]:
        """(when, contact, or "" where the server said no before it was told) of the mails that were not taken."""
        return [(entry.at, self._by_mail.get(entry.key, "")) for entry in self.world.smtp.ledger if not entry.accepted]

    def _messages(self) -> Iterator[Attempt]:
        known: dict[str, tuple[int, str]] = {}
        numbers = range(1, self.most_incidents + 1)
        levels = {data["id"]: level for level, data in contacts()}
        for contact, user in self.users.items():
            for number in numbers:
                key = opaque_key(f"inc-{number}", f"inc-{number}/g1/level-{levels[contact]}/{contact}:{user}")
                known[key] = (number, contact)
        for call in self.sandbox.calls:
            if call.method != "chat.postMessage":
                continue
            key = ((call.structure("metadata") or {}).get("event_payload") or {}).get("key", "")
            if key in known:
                number, contact = known[key]
                accepted = bool(call.ok)
                note = call.note or call.error or ""
                yield Attempt(
                    at=call.started_at_s, way="slack", incident=number, contact=contact, key=key, accepted=accepted, note=note
                )

    def looks(self) -> list[tuple[float, str]]:
        """(when, contact) of every look for an earlier attempt, and of what else comes between the check and the page."""
        found: list[tuple[float, str]] = []
        for row in self.world.ledger:
            if row["provider"] == "twilio" and row["method"] == "GET" and "To=" in row["query"]:
                number = row["query"].partition("To=")[2].partition("&")[0].replace("%2B", "+")
                found.append((row["started_at"], self._by_phone.get(number, "")))
        by_user = {user: contact for contact, user in self.users.items()}
        for call in self.sandbox.calls:
            if call.method == "conversations.open":
                found.append((call.started_at_s, by_user.get(str(call.arguments.get("users")), "")))
        return found

    def accepted(self) -> set[tuple[int, str]]:
        """(incident, contact) of every page that some way took."""
        return {(one.incident, one.contact) for one in self.attempts() if one.accepted}


def _replica_of(request: web.Request) -> int | None:
    """Each replica knows the providers by an address of its own: 127.0.0.2 is that of the first."""
    last = request.host.partition(":")[0].rpartition(".")[2]
    return int(last) - 2 if last.isdecimal() else None


class Fighter(Replica):
    """A replica that somebody kills all the time. ``is_ready``: it has started, and nobody has killed it since."""

    is_ready = False
    off_s = 0.0
    """How far its clock is ahead."""

    async def rise(self) -> None:
        """Start it, again and again as a platform does, until it is ready."""
        while not self.is_ready:
            try:
                await self.start()
            except (AssertionError, TimeoutError):  # Redis is away at this moment
                await super().kill()
                await asyncio.sleep(0.2)
                continue
            self.is_ready = True

    async def kill(self) -> None:
        """As kill -9."""
        self.is_ready = False
        await super().kill()

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        await asyncio.sleep(READY_EVERY_S)  # the machine has more to do than to answer this
        return await super()._is_ready(session)


def fighter(site: Ground, number: int, folder: Path, *, off_s: float) -> Fighter:
    """The replica ``number`` (0-based), its clock ``off_s`` ahead, which reaches the providers by an address of its own."""
    environment = {name: _of_replica(value, site.sandbox.url, number) for name, value in site.environment.items()}
    environment["SLACK_API_URL"] = site.environment["SLACK_API_URL"]
    environment["LOG_LEVEL"] = "warning"
    if off_s:
        environment |= {"PYTHONPATH": str(CLOCK_OFF), "CLOCK_OFF_S": str(off_s)}
    made = Fighter(environment, folder / f"replica{number}")
    made.off_s = off_s
    site.replicas.append(made)
    return made


def _of_replica(value: str, base: str, number: int) -> str:
    return value.replace(base, base.replace("127.0.0.1", f"127.0.0.{number + 2}"))


async def open_doors(site: Ground, count: int) -> None:
    """Let the sandbox listen on the addresses of the replicas too."""
    runner = site.sandbox._runner
    assert runner is not None
    port = int(site.sandbox.url.rpartition(":")[2])
    for number in range(count):
        await web.TCPSite(runner, f"127.0.0.{number + 2}", port).start()
