"""The Vercel client: three shapes of one list, and no value of a variable anywhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.domain.errors import ConfigError
from bot.providers.faults import Refused, Unavailable
from bot.providers.vercel import VercelClient, error_detail
from bot.sandbox.world import World, vercel


@pytest.fixture
async def client(world_url: str) -> AsyncIterator[VercelClient]:
    """The client, pointed at the world."""
    made = VercelClient(SecretStr(vercel.TOKEN), api_url=f"{world_url}/vercel", team_id=vercel.TEAM_ID, timeout_s=20.0)
    yield made
    await made.aclose()


def replying(*bodies: Any) -> Any:
    """A handler that answers with one body after the other, the last one again and again; calls are in ``.calls``."""

    async def handle(request: web.Request) -> web.Response:
        handle.calls.append(request.path_qs)  # type: ignore[attr-defined]
        return web.json_response(bodies[min(len(handle.calls), len(bodies)) - 1])  # type: ignore[attr-defined]

    handle.calls = []  # type: ignore[attr-defined]
    return handle


def personal(url: str) -> VercelClient:
    """A client of a personal account at a hand-made server."""
    return VercelClient(SecretStr("a-token"), api_url=url, team_id=None, timeout_s=20.0)


async def test_names_and_targets_without_values(client: VercelClient) -> None:
    """The listing has names and environments; the values that the reply carried are in nothing that is kept."""
    listing = await client.list_env("web")
    assert ("CLERK_SECRET_KEY", ("production",)) in {(found.key, found.targets) for found in listing.variables}
    assert listing.complete
    assert vercel.VALUE_CANARY not in repr(listing) + listing.model_dump_json()


async def test_hidden_variables_are_counted(client: VercelClient, world: World) -> None:
    """What the role of the token may not see is reported as hidden."""
    world.set("vercel_env", "hidden")
    assert (await client.list_env("web")).hidden_production == 1


async def test_a_single_object_is_a_list_of_one(serve: Any) -> None:
    """The third documented shape: one variable, bare, with its target as a string."""
    client = personal(await serve(replying({"key": "CLERK_SECRET_KEY", "target": "production", "value": "x"})))
    listing = await client.list_env("web")
    assert [(found.key, found.targets) for found in listing.variables] == [("CLERK_SECRET_KEY", ("production",))]
    await client.aclose()


async def test_pages_are_followed(serve: Any) -> None:
    """A list with a next page is read on, and complete at its end."""
    first = {"envs": [{"key": "A", "target": ["production"]}], "pagination": {"count": 1, "next": 17, "prev": None}}
    last = {"envs": [{"key": "B", "target": ["production"]}], "pagination": {"count": 1, "next": None, "prev": 9}}
    handler = replying(first, last)
    client = personal(await serve(handler))
    listing = await client.list_env("web")
    assert [found.key for found in listing.variables] == ["A", "B"]
    assert listing.complete
    assert handler.calls == ["/v10/projects/web/env", "/v10/projects/web/env?until=17"]
    await client.aclose()


async def test_pages_that_repeat_end(serve: Any) -> None:
    """A server that ignores the cursor is not read for ever, and the list does not pass for complete."""
    handler = replying({"envs": [{"key": "A", "target": ["production"]}], "pagination": {"next": 17}})
    client = personal(await serve(handler))
    assert not (await client.list_env("web")).complete
    assert len(handler.calls) == 2
    await client.aclose()


@pytest.mark.parametrize("body", [None, [], {}, {"envs": None}, {"envs": [{"target": []}]}, "x"])
async def test_an_unknown_shape_is_refused(serve: Any, body: Any) -> None:
    """JSON that is no list of variables is not read as an empty one."""
    client = personal(await serve(replying(body)))
    with pytest.raises(Refused) as caught:
        await client.list_env("web")
    assert caught.value.code == "unexpected"
    await client.aclose()


async def test_variables_that_the_team_shares(client: VercelClient, world: World) -> None:
    """The shared list is asked for by the project's id, also when the project is known by name."""
    world.set("vercel_env", "shared")
    listing = await client.list_shared_env("web")
    assert [found.key for found in listing.variables] == ["CLERK_SECRET_KEY"]
    assert "projectId=prj_sandbox" in world.ledger[-1]["query"]


async def test_a_personal_account_shares_nothing(serve: Any) -> None:
    """Without a team nothing is asked."""
    handler = replying({})
    client = personal(await serve(handler))
    assert (await client.list_shared_env("web")).variables == ()
    assert handler.calls == []
    await client.aclose()


async def test_a_missing_team_is_named_in_the_remedy(world_url: str) -> None:
    """Without teamId Vercel shows a team's project as not found: the remedy says which variable to look at."""
    client = VercelClient(SecretStr(vercel.TOKEN), api_url=f"{world_url}/vercel", team_id=None, timeout_s=20.0)
    with pytest.raises(Refused, match="VERCEL_TEAM_ID") as caught:
        await client.list_env("web")
    assert caught.value.code == "not_found"
    await client.aclose()


@pytest.mark.parametrize(
    ("state", "error", "says"),
    [
        ("unauthorized", Refused, "VERCEL_TOKEN"),
        ("rate_limited", Unavailable, "try again in"),
        ("error", Unavailable, "500"),
        ("html", Refused, "VERCEL_API_URL"),
    ],
)
async def test_every_trouble_has_its_sentence(
    client: VercelClient, world: World, state: str, error: type[Exception], says: str
) -> None:
    """403, 429, 500 and HTML each say what failed and what to do, without the token."""
    world.set("vercel_api", state)
    with pytest.raises(error, match=says) as caught:
        await client.list_env("web")
    assert vercel.TOKEN not in str(caught.value)


async def test_the_wait_is_read_from_the_body(client: VercelClient, world: World) -> None:
    """Vercel says in its error body when the limit ends."""
    world.set("vercel_api", "rate_limited")
    with pytest.raises(Unavailable) as caught:
        await client.list_env("web")
    assert 50 < (caught.value.retry_after_s or 0) <= 61


@pytest.mark.parametrize("project", ["", "..", "../../v1/user", "a/b", "a?teamId=x", "-x", "ä", "a" * 101, "a\n"])
async def test_a_project_that_is_none(client: VercelClient, world: World, project: str) -> None:
    """What is neither an id nor a name of a project is refused before anything is asked."""
    with pytest.raises(ConfigError, match="VERCEL_PROJECT"):
        await client.list_env(project)
    assert world.ledger == []


def test_error_bodies_of_any_shape() -> None:
    """The reader of errors survives whatever comes."""
    assert error_detail({"error": {"code": "x", "retryAfter": {"value": 3}}}).retry_after_s == 3
    for odd_body in (None, [], {}, {"error": 1}, {"error": {"limit": 1}}, {"error": {"limit": {"reset": "x"}}}):
        assert error_detail(odd_body).retry_after_s is None
    assert error_detail(json.loads('{"error": {"code": "x", "limit": {"reset": 1}}}')).retry_after_s == 0.0
