"""Canaries planted in every secret and every reply: none of them comes out anywhere."""

from __future__ import annotations

import base64
import json
import logging
import re
from typing import Any

import pytest
import structlog
from aiohttp import web
from pydantic import SecretStr

from bot.actions.registry import load_actions
from bot.actions.runner import execute, preview
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.errors import MusterError
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.sandbox.world import clerk_data
from bot.sandbox.world.clerk import PUBLISHABLE_KEY

CANARIES = (
    "sk_live_CANARYclerk",
    "plainCANARYvercel",
    "xoxb-1-CANARYslack",
    "whsec_CANARYhook",
    "eyJCANARYheader.CANARYpayload.CANARYsignature",
    "AKIACANARYCANARYCANA",
    "canary:hunter2CANARY",
)
TEXT = " ".join(("sk_live_CANARYother", *CANARIES[2:6], "postgres://canary:hunter2CANARY@db/app", "-----BEGIN KEY-----CANARYpem"))
INCIDENT = "inc1"


def answers(path: str) -> Any:
    """Well-formed replies, with a canary wherever a provider could put text."""
    if path.endswith(("/jwks", "/jwks.json")):
        return {"keys": [{"kid": TEXT}]}
    if path.endswith("/instance"):
        return {"id": TEXT, "environment_type": TEXT}
    if path.endswith("/protect"):
        return {"rules_enabled": False, "note": TEXT}
    if path.endswith("/count"):
        return {"total_count": 1, "note": TEXT}
    if path.endswith("memberships"):
        return {"data": [{"role": TEXT, "organization": {"id": TEXT}, "public_user_data": {"user_id": TEXT}}], "total_count": 1}
    if "/pages/" in path:
        update = {"body": TEXT, "status": TEXT, "created_at": "2026-11-20T03:10:00Z"}
        mine = {"muster": {"incident_id": INCIDENT}, TEXT: TEXT}
        own = {"id": "a", "name": TEXT, "status": TEXT, "metadata": mine, "incident_updates": [update]}
        return [own] if "/incidents" in path else {"id": "page1", "name": TEXT, "domain": TEXT}
    if path.endswith("/blocklist_identifiers"):
        return {"data": [{"id": "blid_a", "identifier": TEXT}], "total_count": 1}
    if path.endswith("/v1/users"):
        return [account()]
    if path.endswith("/sessions"):
        session = clerk_data.session("2demo", 1, "active", 1_760_000_000_000)
        activity = {**session["latest_activity"], "city": TEXT, "browser_name": TEXT, "device_type": TEXT}
        return [{**session, "latest_activity": activity, "note": TEXT}]
    if "/users/" in path:
        return account()
    if path.endswith("/env"):
        return {"envs": [{"key": "A", "value": TEXT, "target": [TEXT, "production"], "comment": TEXT}]}
    if path.endswith("/summary"):
        event = {"name": TEXT, "status": TEXT, "last_update_message": TEXT, "current_worst_impact": TEXT}
        return {"ongoing_incidents": [{**event, "affected_components": [{"name": TEXT, "current_status": TEXT}]}]}
    return {"status": "unhealthy", "message": TEXT, "checks": {TEXT: {"status": TEXT, "error": TEXT}}}


def account() -> dict[str, Any]:
    """A user of Clerk."""
    emails = [{"id": "idn_a", "email_address": f"{TEXT}@{TEXT}"}, {"id": "idn_b", "email_address": "a@b.example"}]
    return {
        "id": "user_2demo",
        "primary_email_address_id": "idn_a",
        "email_addresses": emails,
        "first_name": TEXT,
        "password_enabled": True,
        "private_metadata": {"key": TEXT},
    }


def broken(status: int, body: str) -> Any:
    """A handler that answers everything with this."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers={"Retry-After": "0", "X-Trace": TEXT})

    return handle


async def well_formed(request: web.Request) -> web.Response:
    """A handler for every provider at once."""
    return web.json_response(answers(request.path))


HANDLERS: dict[str, Any] = {
    "well-formed": well_formed,
    "json of another shape": broken(200, json.dumps({"data": TEXT, "envs": [TEXT], "id": [TEXT], "status": TEXT})),
    "half json": broken(200, '{"a": "' + TEXT),
    "html": broken(200, f"<html>{TEXT}</html>"),
    **{
        f"HTTP {status}": broken(
            status,
            json.dumps({"errors": [{"code": TEXT, "message": TEXT}], "clerk_trace_id": TEXT, "error": {"code": TEXT}}),
        )
        for status in (400, 401, 402, 403, 404, 409, 422, 429, 500, 502)
    },
    "code like a secret": broken(
        422, json.dumps({"errors": [{"code": CANARIES[0]}], "clerk_trace_id": CANARIES[5], "error": {"code": CANARIES[0]}})
    ),
}


@pytest.mark.parametrize("case", list(HANDLERS))
async def test_no_canary_comes_out(case: str, serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Outcomes, previews, error texts and logs at DEBUG hold none of the secrets, however a provider behaves."""
    caplog.set_level(logging.DEBUG)
    url = await serve(HANDLERS[case])
    config = ProviderConfig(
        clerk_secret_key=SecretStr(CANARIES[0]),
        clerk_api_url=url,
        clerk_status_url=url,
        clerk_publishable_key=PUBLISHABLE_KEY,
        clerk_frontend_api_url=url,
        clerk_webhook_signing_secret=SecretStr("whsec_" + base64.b64encode(CANARIES[3].encode()).decode()),
        vercel_token=SecretStr(CANARIES[1]),
        vercel_api_url=url,
        vercel_team_id="team_a",
        vercel_project="web",
        database_url=SecretStr("postgresql://canary:hunter2CANARY@127.0.0.1:1/app"),
        application_switch_url=url,
        application_switch_token=SecretStr(CANARIES[1]),
        statuspage_api_key=SecretStr(CANARIES[1]),
        statuspage_api_url=url,
        statuspage_page_id="page1",
    )
    given: dict[str, Any] = {
        "user_id": "user_2demo",
        "who": "a@b.example",
        "user_ids": ["user_2demo"],
        "identifier": "a@b.example",
        "url": f"{url}/api/health?key={CANARIES[0]}",
        "names": ["A", "B"],
        "deployment_id": "dpl_a",
        "app_url": url,
        "table": "users",
        "columns": "clerk_id=id, email=email",
        "text": "Nobody can sign in.",
        "status": "investigating",
        "title": "Sign-in",
    }

    async def no_wait(_seconds: float) -> None:
        return None

    shown: list[str] = []
    with structlog.testing.capture_logs() as logs:
        async with Providers(config) as providers:
            context = ActionContext(providers=providers, sleep=no_wait, run=RunFacts(incident_id=INCIDENT))
            for spec in load_actions().values():
                params = {name: value for name, value in given.items() if name in spec.params.model_fields}
                shown.append((await execute(spec, params, context)).model_dump_json())
                shown.append((await execute(spec, dict.fromkeys(given, TEXT), context)).model_dump_json())
                if spec.preview is None:
                    continue
                try:
                    shown.append((await preview(spec, params, context)).model_dump_json())
                except MusterError as error:
                    shown.append(_chain(error))
    everything = "\n".join([*shown, json.dumps(logs, default=str), caplog.text])
    assert len(shown) >= 2 * len(load_actions())
    assert [everything[max(0, at.start() - 150) : at.end()] for at in re.finditer("CANARY", everything)] == []


def _chain(error: BaseException | None) -> str:
    """An error with everything that a traceback would print of where it came from."""
    said: dict[int, str] = {}
    while error is not None and id(error) not in said:
        said[id(error)] = f"{type(error).__name__}: {error}"
        error = error.__cause__
    return "\n".join(said.values())
