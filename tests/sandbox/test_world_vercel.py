"""The stand-in for Vercel and the application behind it: what takes its time, and what a variable does, and does not do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.sandbox.world import World
from bot.sandbox.world.vercel import LIVE_ID, PREVIOUS_ID, RefusalError
from tests.sandbox.mounted_world import MovedClock, served

HEADERS = {"Authorization": "Bearer sandbox-vercel-token"}
TEAM = {"teamId": "team_sandbox"}
BYPASS = {"key": "CLERK_EMERGENCY_BYPASS", "value": "true", "type": "plain", "target": ["production"]}


class Caller:
    """Vercel and the application as seen over HTTP, and the clock of both."""

    def __init__(self, world: World, clock: MovedClock, http: aiohttp.ClientSession) -> None:
        self.world = world
        self.clock = clock
        self.http = http

    async def ask(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """(status, JSON)."""
        async with self.http.request(method, f"/vercel{path}", params={**TEAM, **query}, json=body, headers=HEADERS) as answer:
            return answer.status, await answer.json()

    async def page(self, path: str = "/dashboard") -> aiohttp.ClientResponse:
        """A page of the application without a session."""
        return await self.http.get(f"/app{path}", allow_redirects=False)

    async def redeploy(self) -> str:
        """What serves, once more."""
        body = {"deploymentId": self.world.vercel.live_id, "name": "web", "target": "production"}
        status, made = await self.ask("POST", "/v13/deployments", body, forceNew="1")
        assert status == 200
        return str(made["id"])


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    """A mounted world whose clock stands still."""
    clock = MovedClock()
    world = World(clock=clock.now)
    async with served(world) as url, aiohttp.ClientSession(url) as http:
        yield Caller(world, clock, http)


async def test_a_variable_alone_does_nothing(caller: Caller) -> None:
    """Only a new deployment has it, and only when it is built and serves."""
    assert (await caller.ask("POST", "/v10/projects/web/env", BYPASS, upsert="true"))[0] == 201
    assert (await caller.page()).status == 307
    made = await caller.redeploy()
    states = []
    for seconds in (0.0, 1.0, 7.0):
        caller.clock.advance(seconds)
        states.append((await caller.ask("GET", f"/v13/deployments/{made}"))[1]["readyState"])
        assert (await caller.page()).status == 307
    assert states == ["QUEUED", "BUILDING", "READY"]
    caller.clock.advance(1.0)
    page = await caller.page()
    assert (page.status, page.headers["X-Auth-Bypass"]) == (200, "true")
    _, project = await caller.ask("GET", "/v9/projects/web")
    assert project["targets"]["production"]["id"] == made


async def test_a_rollback_brings_back_the_old_variables(caller: Caller) -> None:
    """And pins production: what is deployed afterwards does not serve until it is promoted."""
    await caller.ask("POST", "/v10/projects/web/env", BYPASS)
    await caller.redeploy()
    caller.clock.advance(60)
    assert (await caller.page()).status == 200
    assert (await caller.ask("POST", f"/v1/projects/prj_sandbox/rollback/{LIVE_ID}", {}))[0] == 201
    _, project = await caller.ask("GET", "/v9/projects/web")
    assert project["lastAliasRequest"]["jobStatus"] == "in-progress"
    assert (await caller.page()).status == 200
    caller.clock.advance(1)
    assert (await caller.page()).status == 307
    again = await caller.redeploy()
    caller.clock.advance(60)
    assert (await caller.page()).status == 307
    assert (await caller.ask("POST", f"/v10/projects/prj_sandbox/promote/{again}", {}))[0] == 201
    caller.clock.advance(1)
    assert (await caller.page()).status == 200


async def test_which_moves_are_refused(caller: Caller) -> None:
    """What serves already, what was not built for production, what was never served, what is not there."""
    promote, rollback = "/v10/projects/prj_sandbox/promote", "/v1/projects/prj_sandbox/rollback"
    assert (await caller.ask("POST", f"{promote}/{LIVE_ID}", {}))[0] == 409
    assert (await caller.ask("POST", f"{promote}/dpl_sandbox2", {}))[0] == 422
    assert (await caller.ask("POST", f"{rollback}/dpl_sandbox5", {}))[0] == 422
    assert (await caller.ask("POST", f"{promote}/dpl_nothing", {}))[0] == 404
    caller.world.vercel.is_rolling = True
    assert (await caller.ask("POST", f"{promote}/{PREVIOUS_ID}", {}))[0] == 202
    caller.clock.advance(600)
    assert (await caller.ask("GET", "/v9/projects/web"))[1]["targets"]["production"]["id"] == LIVE_ID


async def test_a_201_can_say_that_nothing_was_written(caller: Caller) -> None:
    """For the same environment without upsert, and for another set of environments with it."""
    await caller.ask("POST", "/v10/projects/web/env", BYPASS)
    status, answer = await caller.ask("POST", "/v10/projects/web/env", BYPASS)
    assert (status, answer["failed"][0]["error"]["code"]) == (201, "ENV_ALREADY_EXISTS")
    wider = {**BYPASS, "target": ["production", "preview"]}
    _, answer = await caller.ask("POST", "/v10/projects/web/env", wider, upsert="true")
    assert answer["failed"][0]["error"]["code"] == "ENV_CONFLICT"


async def test_variables_are_edited_and_deleted(caller: Caller) -> None:
    """By their ids; one that is not there is 404, and a sensitive one is shown to nobody."""
    _, made = await caller.ask("POST", "/v10/projects/web/env", BYPASS)
    path = f"/v9/projects/web/env/{made['created']['id']}"
    assert (await caller.ask("PATCH", path, {"value": "false", "comment": "c"}))[1]["value"] == "false"
    assert (await caller.ask("PATCH", path, {"type": "sensitive"}))[0] == 200
    assert (await caller.ask("GET", path.replace("v9", "v1")))[1]["value"] == ""
    assert (await caller.ask("DELETE", path))[0] == 200
    assert (await caller.ask("DELETE", path))[0] == 404


@pytest.mark.parametrize(("position", "shape"), [("present", "envs"), ("hidden", "hiddenProductionEnvCount"), ("single", "key")])
async def test_the_three_shapes_of_the_list(caller: Caller, position: str, shape: str) -> None:
    """By the switch."""
    caller.world.set("vercel_env", position)
    assert shape in (await caller.ask("GET", "/v10/projects/web/env"))[1]


async def test_new_deployments_can_be_broken(caller: Caller) -> None:
    """They fail, or keep the variables of what was deployed again."""
    await caller.ask("POST", "/v10/projects/web/env", BYPASS)
    caller.world.set("vercel_builds", "keep old variables")
    await caller.redeploy()
    caller.clock.advance(60)
    assert (await caller.page()).status == 307
    caller.world.set("vercel_builds", "fail")
    made = await caller.redeploy()
    caller.clock.advance(60)
    assert (await caller.ask("GET", f"/v13/deployments/{made}"))[1]["readyState"] == "ERROR"


async def test_a_build_can_be_cancelled_while_it_lasts(caller: Caller) -> None:
    """Afterwards it is too late."""
    made = await caller.redeploy()
    assert (await caller.ask("PATCH", f"/v12/deployments/{made}/cancel"))[1]["readyState"] == "CANCELED"
    assert (await caller.ask("PATCH", f"/v12/deployments/{made}/cancel"))[0] == 400


async def test_planted_refusals_meet_changes_only(caller: Caller) -> None:
    """Nothing is done then; 429 says in its body when it ends."""
    caller.world.vercel.refusals = [RefusalError(429, "rate_limited", limit={"reset": 1})]
    assert (await caller.ask("GET", "/v9/projects/web"))[0] == 200
    status, body = await caller.ask("POST", "/v10/projects/web/env", BYPASS)
    assert (status, body["error"]["limit"]["reset"]) == (429, 1)
    assert (await caller.ask("POST", "/v10/projects/web/env", BYPASS))[1]["created"]["key"] == BYPASS["key"]


async def test_lists_are_filtered(caller: Caller) -> None:
    """Newest first, by environment, since a moment, so many."""
    _, page = await caller.ask("GET", "/v7/deployments", projectId="prj_sandbox", target="production", limit="2")
    assert [one["id"] for one in page["deployments"]] == ["dpl_sandbox5", LIVE_ID]
    since = str(page["deployments"][0]["created"])
    _, page = await caller.ask("GET", "/v7/deployments", since=since)
    assert [one["id"] for one in page["deployments"]] == ["dpl_sandbox5"]


@pytest.mark.parametrize(
    ("middleware", "status", "header"),
    [("bypass with header", 200, "true"), ("bypass without header", 200, None), ("no bypass", 307, None)],
)
async def test_the_application_reads_what_serves(caller: Caller, middleware: str, status: int, header: str | None) -> None:
    """Its middleware may know the bypass or not, and may say so or not; its health does not change by it."""
    caller.world.set("app_middleware", middleware)
    caller.world.vercel.serve_with({"CLERK_EMERGENCY_BYPASS": "true"})
    page = await caller.page()
    assert (page.status, page.headers.get("X-Auth-Bypass")) == (status, header)
    assert (await caller.page("/api/health/clerk")).status == 200
    assert (await caller.page("/other")).status == 404


async def test_the_application_takes_more_paths(caller: Caller) -> None:
    """Whoever has some is asked first; what is not theirs is answered as before."""

    async def more(_request: web.Request, path: str) -> web.StreamResponse | None:
        return web.Response(text="mine") if path == "/api/mine" else None

    caller.world.application.more = more
    assert await (await caller.page("/api/mine")).text() == "mine"
    assert (await caller.page()).status == 307
