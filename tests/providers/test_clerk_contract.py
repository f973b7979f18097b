"""Muster's Clerk client and the sandbox's Clerk, judged by the OpenAPI document that Clerk publishes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def _value(text: str, schema: Any) -> Any:
    return int(text) if schema.get("type") == "integer" else text


async def test_requests_and_replies_fit_the_document(spec: Any) -> None:
    """Every call of the client is documented with its parameters, and every reply of the stand-in fits its schema."""
    recorded: list[tuple[str, str, dict[str, str], int, Any]] = []
    world = World()

    @web.middleware
    async def record(request: web.Request, handler: Any) -> web.StreamResponse:
        response = await handler(request)
        path = request.path.removeprefix("/clerk")
        recorded.append((request.method, path, dict(request.query), response.status, json.loads(response.body)))
        return response

    app = web.Application(middlewares=[record])
    world.add_routes(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = ClerkClient(SecretStr(clerk.SECRET_KEY), api_url=f"http://127.0.0.1:{runner.addresses[0][1]}/clerk")
    try:
        await client.ping()
        await client.get_user("user_2demo")
        for user_id in ("user_2demo", "user_2pending", "user_2quiet", "user_2many"):
            await client.list_live_sessions(user_id)
        await client.revoke_session("sess_2demo0001")
        await client.revoke_session("sess_2demo0001")
        await client.revoke_session("sess_nosuchsession")
        for state in ("unauthorized",):
            world.set("clerk_api", state)
            with pytest.raises(Refused):
                await client.list_sessions("user_2demo")
    finally:
        await client.aclose()
        await runner.cleanup()

    assert len(recorded) > 10
    for method, path, query, status, body in recorded:
        template, operation = _operation(spec, method, path)
        declared = {parameter["name"]: parameter for parameter in _parameters(spec, operation)}
        for name, text in query.items():
            assert declared[name]["in"] == "query", f"{template}: {name}"
            _judge(spec, declared[name]["schema"], _value(text, declared[name]["schema"]))
        response = _resolved(spec, operation["responses"][str(status)])
        _judge(spec, response["content"]["application/json"]["schema"], body)


def test_the_document_still_has_no_filter_for_pending(spec: Any) -> None:
    """The client reads all statuses for pending sessions only because Clerk has no such filter: notice when it gets one."""
    _, operation = _operation(spec, "GET", "/v1/sessions")
    (status,) = [parameter for parameter in _parameters(spec, operation) if parameter["name"] == "status"]
    assert "pending" not in status["schema"]["enum"]
    assert "pending" in spec["components"]["schemas"]["Session"]["properties"]["status"]["enum"]
