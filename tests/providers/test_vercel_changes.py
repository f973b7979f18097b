"""The Vercel client where it changes something, or reads deployments and logs: shapes, and a clear sentence for every fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.domain.errors import ConfigError, MusterError, UserError
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.providers.vercel import VercelClient
from bot.providers.vercel_shapes import Deployment
from bot.sandbox.world import World, vercel

SOURCE = Deployment(id="dpl_a", name="web")
CALLS: dict[str, Callable[[VercelClient], Awaitable[Any]]] = {
    "set_env": lambda client: client.set_env("web", "A", "true", comment="c"),
    "edit_env": lambda client: client.edit_env("web", "env_1", value="x"),
    "delete_env": lambda client: client.delete_env("web", "env_1"),
    "redeploy": lambda client: client.redeploy(SOURCE, meta={"a": "b"}),
    "cancel": lambda client: client.cancel_deployment("dpl_a"),
    "promote": lambda client: client.promote("prj_1", "dpl_a"),
    "rollback": lambda client: client.rollback("prj_1", "dpl_a", description="d"),
}
READS: dict[str, Callable[[VercelClient], Awaitable[Any]]] = {
    "get_project": lambda client: client.get_project("web"),
    "list_deployments": lambda client: client.list_deployments("prj_1"),
    "get_deployment": lambda client: client.get_deployment("dpl_a"),
    "build_log": lambda client: client.build_log("dpl_a"),
    "read_switch": lambda client: client.read_switch("web", "env_1"),
    "runtime_log": lambda client: client.runtime_log("prj_1", "dpl_a", for_s=0.05),
}


@pytest.fixture
async def client(world_url: str) -> AsyncIterator[VercelClient]:
    """The client, pointed at the world."""
    made = VercelClient(SecretStr(vercel.TOKEN), api_url=f"{world_url}/vercel", team_id=vercel.TEAM_ID, timeout_s=20.0)
    yield made
    await made.aclose()


@pytest.fixture
async def at(serve: Any) -> AsyncIterator[Callable[..., Awaitable[VercelClient]]]:
    """A client of a server that answers everything with one handler."""
    clients: list[VercelClient] = []

    async def make(handler: Any, *, timeout_s: float = 20.0) -> VercelClient:
        made = VercelClient(SecretStr("a-token"), api_url=await serve(handler), team_id="team_a", timeout_s=timeout_s)
        clients.append(made)
        return made

    yield make
    for made in clients:
        await made.aclose()


def saying(status: int, body: Any) -> Any:
    """A handler with this answer; what it was asked is in ``.asked``."""

    async def handle(request: web.Request) -> web.Response:
        sent = await request.json() if request.can_read_body else None
        handle.asked.append((request.method, request.path, dict(request.query), sent))  # type: ignore[attr-defined]
        return web.json_response(body, status=status)

    handle.asked = []  # type: ignore[attr-defined]
    return handle


@pytest.mark.parametrize(
    ("status", "code", "error", "says"),
    [
        (401, "not_authenticated", Refused, "check that VERCEL_TOKEN is valid"),
        (402, "payment_required", Refused, "plan of the Vercel account"),
        (403, "forbidden", Refused, "VERCEL_TEAM_ID"),
        (409, "conflict", Refused, "something else changes this project"),
        (422, "unprocessable", Refused, "Vercel does not take"),
        (429, "rate_limited", Unavailable, "try again in"),
        (500, "internal_server_error", Unavailable, "status page of Vercel"),
        (502, "bad_gateway", Unanswered, "look before repeating"),
    ],
)
@pytest.mark.parametrize("call", list(CALLS))
async def test_refusals(at: Any, call: str, status: int, code: str, error: type[Exception], says: str) -> None:
    """What failed, on what, what to do; and Vercel's own code."""
    client = await at(saying(status, {"error": {"code": code, "message": "free text", "limit": {"reset": 4_000_000_000}}}))
    with pytest.raises(error, match=says) as caught:
        await CALLS[call](client)
    assert "free text" not in str(caught.value)
    assert "a-token" not in str(caught.value)
    if status not in (429,):
        assert str(status) in str(caught.value)


@pytest.mark.parametrize("call", list(CALLS))
async def test_what_is_gone(at: Any, call: str) -> None:
    """404: for what is deleted or cancelled that is as good as done, for the rest it is refused."""
    client = await at(saying(404, {"error": {"code": "not_found"}}))
    if call in ("delete_env", "cancel"):
        await CALLS[call](client)
        return
    with pytest.raises(Refused, match="VERCEL_PROJECT"):
        await CALLS[call](client)


@pytest.mark.parametrize("call", list(CALLS))
async def test_a_hang_may_have_been_done(at: Any, call: str) -> None:
    """No answer in time: nobody knows, so it is looked at before anything is repeated."""

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        raise AssertionError

    with pytest.raises(Unanswered, match=r"no complete answer within 1 s"):
        await CALLS[call](await at(hang, timeout_s=1.0))


@pytest.mark.parametrize("call", ["set_env", "redeploy"])
async def test_a_web_page_instead_of_an_answer(at: Any, call: str) -> None:
    """Something answered, perhaps not Vercel: nobody knows what became of it."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    with pytest.raises(Unanswered, match="a web page"):
        await CALLS[call](await at(page))


@pytest.mark.parametrize("call", [*CALLS, "get_project", "list_deployments", "get_deployment", "build_log"])
async def test_a_hundred_megabytes(at: Any, call: str) -> None:
    """Not more than the limit is read; of a change nobody knows what became of it."""

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(100 * 1024 * 1024)})
        await response.prepare(request)
        return response

    with pytest.raises(Unanswered if call in CALLS else Refused, match=r"more than 4,194,304 bytes"):
        await {**CALLS, **READS}[call](await at(flood))


@pytest.mark.parametrize("body", [None, 1, "x", [], {"deployments": 1}, {"id": []}, {"created": 1}])
@pytest.mark.parametrize("call", ["get_project", "list_deployments", "get_deployment"])
async def test_shapes_that_are_none(at: Any, call: str, body: Any) -> None:
    """JSON that is something else is refused, not taken for nothing."""
    with pytest.raises(Refused) as caught:
        await READS[call](await at(saying(200, body)))
    assert caught.value.code == "unexpected"


@pytest.mark.parametrize("given", ["../../v1/user", "dpl_x?teamId=a", "%2e%2e", "", "*", "dpl_", "dpl_a/b", "dpl_a\n", "dpl_ä"])
async def test_a_deployment_that_is_none(world: World, client: VercelClient, given: str) -> None:
    """Refused before anything is sent."""
    for call in (
        client.get_deployment(given),
        client.cancel_deployment(given),
        client.promote("prj_1", given),
        client.rollback("prj_1", given, description=""),
        client.build_log(given),
        client.runtime_log("prj_1", given, for_s=0.1),
    ):
        with pytest.raises(UserError, match="dpl_"):
            await call
    with pytest.raises(ConfigError):
        await client.promote("../x", "dpl_a")
    assert world.ledger == []


async def test_what_is_sent_is_as_documented(at: Any) -> None:
    """Paths, queries and bodies, each with the team."""
    handler = saying(200, {"id": "dpl_b", "readyState": "QUEUED"})
    client = await at(handler)
    for call in CALLS.values():
        await call(client)
    await client.redeploy(SOURCE.model_copy(update={"git_source": GIT}), meta={}, from_git=True)
    team = {"teamId": "team_a"}
    assert handler.asked == [
        (
            "POST",
            "/v10/projects/web/env",
            {**team, "upsert": "true"},
            {"key": "A", "value": "true", "type": "plain", "target": ["production"], "comment": "c"},
        ),
        ("PATCH", "/v9/projects/web/env/env_1", team, {"value": "x"}),
        ("DELETE", "/v9/projects/web/env/env_1", team, None),
        (
            "POST",
            "/v13/deployments",
            {**team, "forceNew": "1"},
            {"name": "web", "target": "production", "meta": {"action": "redeploy", "a": "b"}, "deploymentId": "dpl_a"},
        ),
        ("PATCH", "/v12/deployments/dpl_a/cancel", team, None),
        ("POST", "/v10/projects/prj_1/promote/dpl_a", team, {}),
        ("POST", "/v1/projects/prj_1/rollback/dpl_a", {**team, "description": "d"}, {}),
        (
            "POST",
            "/v13/deployments",
            {**team, "forceNew": "1"},
            {
                "name": "web",
                "target": "production",
                "meta": {"action": "redeploy"},
                "gitSource": {"type": "github", "sha": "abc", "repoId": 7},
            },
        ),
    ]


GIT = Deployment.model_validate({"id": "x", "gitSource": {"type": "github", "repoId": 7, "sha": "abc", "org": "o"}}).git_source


async def test_what_was_built_from_no_repository(client: VercelClient) -> None:
    """Cannot be built from one."""
    with pytest.raises(UserError, match="by hand"):
        await client.redeploy(SOURCE, meta={}, from_git=True)


async def test_deployments_are_read(client: VercelClient) -> None:
    """Newest first, production only; the commit of any host of repositories, and no e-mail address."""
    found = await client.list_deployments(vercel.PROJECT_ID)
    assert [one.id for one in found] == ["dpl_sandbox5", vercel.LIVE_ID, vercel.PREVIOUS_ID, "dpl_sandbox1"]
    assert found[1].commit == "7a6b5c4 “Protect every route in the middleware”"
    assert (found[1].author, found[0].commit) == ("sam-dev", "0d1e2f3 “Add a banner”")
    assert "example.com" not in found[1].model_dump_json()
    gitlab = Deployment.model_validate({"id": "x", "meta": {"gitlabCommitSha": "abcdef0123", "number": 3}})
    assert (gitlab.commit, Deployment(id="y").commit, Deployment(id="y").author) == ("abcdef0", "", "")


async def test_the_project(client: VercelClient) -> None:
    """What serves, and what the token may do."""
    project = await client.get_project(vercel.PROJECT)
    assert (project.id, project.production_id, project.auto_assign) == (vercel.PROJECT_ID, vercel.LIVE_ID, True)
    assert "create" in project.permissions["projectEnvVarsProduction"]


async def test_nulls_where_there_is_nothing(at: Any) -> None:
    """Vercel writes them instead of leaving a field out; they make nothing unreadable."""
    empty = dict.fromkeys(
        (
            "name",
            "readyState",
            "readySubstate",
            "target",
            "creator",
            "meta",
            "aliasAssigned",
            "aliasError",
            "gitSource",
            "errorCode",
        )
    )
    found = await READS["get_deployment"](await at(saying(200, {"id": "dpl_a", **empty})))
    assert (found.id, found.state, found.meta, found.git_source) == ("dpl_a", "", {}, None)
    project = {
        "id": "prj_1",
        "name": None,
        "targets": None,
        "lastAliasRequest": None,
        "permissions": {"deployment": None, "x": ["y", 1]},
    }
    read = await READS["get_project"](await at(saying(200, project)))
    assert (read.production_id, read.auto_assign, read.permissions) == (None, None, {"x": ("y",)})
    variable = {"key": "A", "target": None, "comment": None, "gitBranch": None, "type": None, "updatedAt": None}
    listing = await (await at(saying(200, {"envs": [variable]}))).list_env("web")
    assert (listing.variables[0].comment, listing.variables[0].targets) == ("", ())
    odd = {"id": "dpl_a", "gitSource": {"repo": 1}}
    assert (await READS["get_deployment"](await at(saying(200, odd)))).git_source is None


async def test_a_build_log_in_both_shapes(at: Any) -> None:
    """With the text itself, or in a payload; oldest first; null is no log."""
    lines = [{"type": "stderr", "created": 2, "payload": {"text": "two"}}, {"type": "stdout", "created": 1, "text": "one"}]
    assert [line.said for line in await READS["build_log"](await at(saying(200, lines)))] == ["one", "two"]
    assert await READS["build_log"](await at(saying(200, None))) == ()


async def test_a_log_that_never_ends(client: VercelClient, world: World) -> None:
    """What came within the time is read, half a line at its end is not, and the connection is let go."""
    world.vercel.runtime_lines = [{"level": "error", "message": "one"}, {"level": "info", "message": "two"}]
    lines = await client.runtime_log(vercel.PROJECT_ID, vercel.LIVE_ID, for_s=1.0)
    assert [(line.message, line.is_bad) for line in lines] == [("one", True), ("two", False)]
    world.vercel.runtime_lines = []
    assert await client.runtime_log(vercel.PROJECT_ID, vercel.LIVE_ID, for_s=0.2) == ()


async def test_a_log_whose_answer_does_not_even_begin(at: Any) -> None:
    """Nobody used the application meanwhile: that is silence, not a fault."""

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        raise AssertionError

    assert await READS["runtime_log"](await at(hang, timeout_s=1.0)) == ()


async def test_a_log_that_is_too_much(at: Any) -> None:
    """It is cut where the limit is, and what is whole is read."""

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        line = b'{"level": "info", "message": "' + b"x" * 100_000 + b'"}\n'
        for _ in range(60):
            await response.write(line)
        return response

    client = await at(flood)
    lines = await client.runtime_log("prj_1", "dpl_a", for_s=5.0)
    assert 40 <= len(lines) <= 43


@pytest.mark.parametrize("call", list(READS))
async def test_a_page_instead_of_a_reading(at: Any, call: str) -> None:
    """HTML is a sentence that says what stands in between."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    with pytest.raises(MusterError, match="VERCEL_API_URL"):
        await READS[call](await at(page))
