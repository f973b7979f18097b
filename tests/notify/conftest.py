"""What the tests of the ways share: a summons, a vendor on the loopback that does what it is told, a certificate."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.domain.escalation import Contact
from bot.providers.config import ProviderConfig
from bot.services.ports import Summons

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
CONTACT = Contact(id="cto", name="Chief technology officer", phone="+1 (555) 555-0101", email="cto@example.com", pagerduty=True)
TO = "+15555550101"
FROM = "+15555550100"
ROUTING_KEY = "CANARYroutingCANARYroutingCANARY"
API_TOKEN = "CANARYapitoken"
AUTH_TOKEN = "CANARYauthtokenCANARYauthtoken00"
ACCOUNT_SID = "AC" + "0a" * 16
HUGE = "x" * (4 * 1024 * 1024 + 1)
PAGE = "<html><body>Please sign in</body></html>"

Reply = tuple[int, Any] | tuple[int, Any, Mapping[str, str]] | str
"""(status, body, headers); or "hang", or "reset", which breaks the connection when the request has been read."""


def summons(**changes: Any) -> Summons:
    """A page of incident 42 to the chief technology officer."""
    values: dict[str, Any] = {
        "key": "inc-42/g1/level-2/cto",
        "contact": CONTACT,
        "kind": "page",
        "number": 42,
        "severity": "SEV1",
        "title": "Nobody can sign in",
        "why": "nobody has acknowledged for 15 min",
        "drill": False,
        "opened_at": NOW,
        "room_url": "https://acme.slack.com/archives/C042",
        "answer_url": None,
        "look_first": False,
        "since": NOW,
    }
    return Summons(**{**values, **changes})


def config(base_url: str = "http://127.0.0.1:9", **changes: Any) -> ProviderConfig:
    """Everything configured, at ``base_url``."""
    values: dict[str, Any] = {
        "pagerduty_routing_key": SecretStr(ROUTING_KEY),
        "pagerduty_events_url": base_url,
        "pagerduty_api_token": SecretStr(API_TOKEN),
        "pagerduty_api_url": base_url,
        "twilio_account_sid": ACCOUNT_SID,
        "twilio_auth_token": SecretStr(AUTH_TOKEN),
        "twilio_from": FROM,
        "twilio_api_url": base_url,
    }
    return ProviderConfig(**{**values, **changes})


@dataclass(frozen=True)
class Request:
    """What reached the vendor."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}


@dataclass
class Vendor:
    """Answers with ``replies`` in turn, the last one for ever. ``url`` is where."""

    url: str = ""
    replies: list[Reply] = field(default_factory=lambda: [(200, {})])
    requests: list[Request] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def posts(self) -> list[Request]:
        """What was asked to be done."""
        return [request for request in self.requests if request.method == "POST"]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The next reply."""
        query = {name: request.query.getall(name) for name in request.query}
        headers = {name.casefold(): value for name, value in request.headers.items()}
        self.requests.append(Request(request.method, request.path, query, headers, await request.read()))
        self.arrived.set()
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, str):
            if reply == "hang":
                await self.released.wait()
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, body, headers = reply if len(reply) == 3 else (*reply, {})
        if isinstance(body, str):
            return web.Response(status=status, text=body, content_type="text/html", headers=headers)
        return web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def running_vendor() -> AsyncIterator[Vendor]:
    """A vendor on a port of its own."""
    made = Vendor()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = "http://{}:{}".format(*runner.addresses[0][:2])
    try:
        yield made
    finally:
        made.released.set()
        await runner.cleanup()


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """See ``Vendor``."""
    async with running_vendor() as made:
        yield made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], tuple[str, str]]:
    """(certificate, key) of an authority of one's own for 127.0.0.1, as files."""
    folder = tmp_path_factory.mktemp("tls")

    def make() -> tuple[str, str]:
        cert, key = folder / "cert.pem", folder / "key.pem"
        program = shutil.which("openssl")
        if program is None:
            pytest.skip("needs the openssl command, for a certificate; install openssl")
        if not Path(cert).exists():
            command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            names = ["-days", "2", "-subj", "/CN=mail", "-addext", "subjectAltName=IP:127.0.0.1"]
            subprocess.run([*command, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
        return str(cert), str(key)

    return make
