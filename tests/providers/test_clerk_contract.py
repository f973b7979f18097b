"""Muster's Clerk client and the sandbox's Clerk, judged by the OpenAPI document that Clerk publishes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import yaml
from aiohttp import web
from pydantic import SecretStr

from bot.providers.clerk import API_VERSION, ClerkClient
from bot.providers.faults import Refused
from bot.sandbox.world import World, clerk

SPEC = Path(__file__).parents[2] / ".." / "shared" / "contracts" / f"clerk-bapi-{API_VERSION}.yml"

pytestmark = [
    pytest.mark.contracts,
    pytest.mark.skipif(not SPEC.is_file(), reason="Clerk's OpenAPI document (../shared/contracts) is not here"),
]


@pytest.fixture(scope="module")
def spec() -> Any:
    """The document, with `nullable` of OpenAPI 3.0 written as JSON Schema writes it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return _nullable(yaml.load(SPEC.read_text(encoding="utf-8"), Loader=loader))  # noqa: S506 - a safe loader, in C


def _nullable(node: Any) -> Any:
    if isinstance(node, list):
        return [_nullable(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _nullable(value) for key, value in node.items()}
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True and "type" in node else plain


def _operation(spec: Any, method: str, path: str) -> tuple[str, Any]:
    """The path template and the operation of a recorded call."""
    for template, operations in spec["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path.removeprefix("/v1")):
            return template, operations[method.lower()]
    raise AssertionError(f"Clerk documents no {path}")


def _resolved(spec: Any, node: Any) -> Any:
    while "$ref" in node:
        found = spec
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def _parameters(spec: Any, operation: Any) -> Iterator[Any]:
    return (_resolved(spec, parameter) for parameter in operation.get("parameters", []))


def _judge(spec: Any, schema: Any, value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": spec["components"]}).validate(value)


def _value(texts: list[str], schema: Any) -> Any:
    if schema.get("type") == "array":
        return texts
    (text,) = texts
    return int(text) if schema.get("type") == "integer" else text


class Recorded(NamedTuple):
    """One call, and what it was answered."""

    method: str
    path: str
    query: dict[str, list[str]]
    sent: Any
    status: int
    body: Any


@pytest.fixture
def recorded() -> list[Recorded]:
    """The calls of the test, in order."""
    return []


@pytest.fixture
def world() -> World:
    """The world that answers."""
    return World()


@pytest.fixture
async def client(world: World, recorded: list[Recorded]) -> AsyncIterator[ClerkClient]:
    """A client whose calls are written down."""

    @web.middleware
    async def record(request: web.Request, handler: Any) -> web.StreamResponse:
        text = await request.text()
        response = await handler(request)
        query = {name: request.query.getall(name) for name in request.query}
        path = request.path.removeprefix("/clerk")
        sent = json.loads(text) if text else None
        recorded.append(Recorded(request.method, path, query, sent, response.status, json.loads(response.body)))
        return response

    app = web.Application(middlewares=[record])
    world.add_routes(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made = ClerkClient(SecretStr(clerk.SECRET_KEY), api_url=f"http://127.0.0.1:{runner.addresses[0][1]}/clerk")
    yield made
    await made.aclose()
    await runner.cleanup()


def judge(spec: Any, recorded: list[Recorded]) -> None:
    """Every call is documented with its parameters and its body, and every reply fits its schema."""
    for call in recorded:
        template, operation = _operation(spec, call.method, call.path)
        declared = {parameter["name"]: parameter for parameter in _parameters(spec, operation)}
        for name, texts in call.query.items():
            assert declared[name]["in"] == "query", f"{template}: {name}"
            _judge(spec, declared[name]["schema"], _value(texts, declared[name]["schema"]))
        _judge_body(spec, template, operation, call.sent)
        response = _resolved(spec, operation["responses"][str(call.status)])
        _judge(spec, response["content"]["application/json"]["schema"], call.body)


def _judge_body(spec: Any, template: str, operation: Any, sent: Any) -> None:
    declared = _resolved(spec, operation["requestBody"]) if "requestBody" in operation else None
    if sent is None:
        assert declared is None or not declared.get("required"), template
        return
    assert declared is not None, f"{template} takes no body"
    _judge(spec, declared["content"]["application/json"]["schema"], sent)


async def test_sessions_fit_the_document(spec: Any, client: ClerkClient, world: World, recorded: list[Recorded]) -> None:
    """Keys, users and sessions, read and revoked."""
    await client.ping()
    await client.get_user("user_2demo")
    for user_id in ("user_2demo", "user_2pending", "user_2quiet", "user_2many"):
        await client.list_live_sessions(user_id)
    await client.revoke_session("sess_2demo0001")
    await client.revoke_session("sess_2demo0001")
    await client.revoke_session("sess_nosuchsession")
    world.set("clerk_api", "unauthorized")
    with pytest.raises(Refused):
        await client.list_sessions("user_2demo")
    assert len(recorded) > 10
    judge(spec, recorded)


async def test_users_fit_the_document(spec: Any, client: ClerkClient, recorded: list[Recorded]) -> None:
    """Users found, counted, banned, asked for a new password; their organizations."""
    await client.list_users(limit=2, query="sandbox")
    await client.list_users(user_ids=("user_2demo", "user_2quiet"), emails=("2demo@sandbox.example", "2quiet@sandbox.example"))
    await client.list_users(starting_after="user_2demo")
    await client.count_users()
    await client.count_users(query="2demo")
    await client.get_account("user_2demo")
    await client.memberships_of("user_2demo")
    await client.count_members("org_2team", role="org:admin")
    await client.ban("user_2demo")
    await client.unban("user_2demo")
    await client.set_password_compromised("user_2demo", revoke_all_sessions=True)
    await client.unset_password_compromised("user_2demo")
    with pytest.raises(Refused):
        await client.set_password_compromised("user_nobody", revoke_all_sessions=False)
    assert len(recorded) == 13
    judge(spec, recorded)


async def test_the_instance_fits_the_document(spec: Any, client: ClerkClient, world: World, recorded: list[Recorded]) -> None:
    """Protection, restrictions and blocklist, also where the plan has none."""
    await client.get_instance()
    await client.get_protect()
    await client.set_protect(rules_enabled=True)
    await client.set_restrictions({"block_disposable_email_domains": True, "blocklist": True})
    entry = await client.block("somebody@sandbox.example")
    with pytest.raises(Refused):
        await client.block("somebody@sandbox.example")
    await client.list_blocked()
    await client.unblock(entry.id)
    await client.unblock(entry.id)
    world.clerk.instance.lacking = {"ban", "blocklist", "restrictions"}
    for call in (
        client.ban("user_2demo"),
        client.unban("user_2demo"),
        client.list_blocked(),
        client.block("a@b.example"),
        client.unblock(entry.id),
        client.set_restrictions({"blocklist": True}),
    ):
        with pytest.raises(Refused, match="402"):
            await call
    assert len(recorded) == 15
    judge(spec, recorded)


def test_the_document_still_has_no_filter_for_pending(spec: Any) -> None:
    """The client reads all statuses for pending sessions only because Clerk has no such filter: notice when it gets one."""
    _, operation = _operation(spec, "GET", "/v1/sessions")
    (status,) = [parameter for parameter in _parameters(spec, operation) if parameter["name"] == "status"]
    assert "pending" not in status["schema"]["enum"]
    assert "pending" in spec["components"]["schemas"]["Session"]["properties"]["status"]["enum"]
