"""The sandbox's Clerk: as strict as Clerk documents its API, and stateful."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot.sandbox.world import World
from tests.sandbox.mounted_world import served

HEADERS = {"Authorization": "Bearer sk_test_sandboxsecretkey", "Clerk-API-Version": "2026-05-12"}


@pytest.fixture
def world() -> World:
    """A world whose Clerk is whole."""
    return World()


@pytest.fixture
async def http(world: World) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with Clerk's headers."""
    async with served(world) as url, aiohttp.ClientSession(url, headers=HEADERS) as session:
        yield session


async def call(http: aiohttp.ClientSession, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Status and JSON of a call below /clerk/v1."""
    async with http.request(method, f"/clerk/v1{path}", **options) as response:
        return response.status, await response.json()


async def test_the_default_page_is_ten_sessions(http: aiohttp.ClientSession) -> None:
    """Who does not ask for more sees ten, the newest first."""
    _, page = await call(http, "GET", "/sessions?user_id=user_2many&status=active")
    assert len(page) == 10
    assert [s["created_at"] for s in page] == sorted((s["created_at"] for s in page), reverse=True)
    _, counted = await call(http, "GET", "/sessions?user_id=user_2many&paginated=true&limit=500")
    assert (len(counted["data"]), counted["total_count"]) == (120, 120)


async def test_advancing_the_offset_while_revoking_skips_half(world: World, http: aiohttp.ClientSession) -> None:
    """The trap of the original script works here as it does at Clerk."""
    offset = 0
    while True:
        _, page = await call(http, "GET", f"/sessions?user_id=user_2many&status=active&limit=10&offset={offset}")
        if not page:
            break
        for session in page:
            await call(http, "POST", f"/sessions/{session['id']}/revoke")
        offset += 10
    assert len(world.clerk.live_sessions("user_2many")) == 60


async def test_there_is_no_filter_for_pending(http: aiohttp.ClientSession) -> None:
    """A pending session shows in the list of all statuses only."""
    assert (await call(http, "GET", "/sessions?user_id=user_2pending&status=pending"))[0] == 422
    _, active = await call(http, "GET", "/sessions?user_id=user_2pending&status=active")
    _, every = await call(http, "GET", "/sessions?user_id=user_2pending")
    assert {session["status"] for session in active} == {"active"}
    assert "pending" in {session["status"] for session in every}


@pytest.mark.parametrize(
    "query", ["", "status=active", "user_id=", "user_id=user_2demo&limit=501", "user_id=user_2demo&limit=0",
              "user_id=user_2demo&offset=-1", "user_id=user_2demo&limit=x", "user_id=user_2demo&status=alive"],
)  # fmt: skip
async def test_bad_queries(http: aiohttp.ClientSession, query: str) -> None:
    """Whose sessions must be said, and every parameter must be one that Clerk documents."""
    status, body = await call(http, "GET", f"/sessions?{query}")
    assert status == 422
    assert body["errors"][0].keys() == {"code", "message", "long_message", "meta"}
    assert body["clerk_trace_id"]


async def test_revoking(world: World, http: aiohttp.ClientSession) -> None:
    """A revoked session leaves the list of active ones; a second time is refused; an unknown one is 404."""
    status, session = await call(http, "POST", "/sessions/sess_2demo0001/revoke")
    assert (status, session["status"]) == (200, "revoked")
    _, active = await call(http, "GET", "/sessions?user_id=user_2demo&status=active")
    assert len(active) == 6
    assert (await call(http, "GET", "/sessions/sess_2demo0001"))[1]["status"] == "revoked"
    assert (await call(http, "POST", "/sessions/sess_2demo0001/revoke"))[0] == 400
    assert (await call(http, "POST", "/sessions/sess_nosuch/revoke"))[0] == 404
    assert len(world.clerk.live_sessions("user_2demo")) == 6


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer sk_test_other"}, 401),
        ({"Authorization": ""}, 401),
        ({"Clerk-API-Version": "2021-02-05"}, 400),
    ],
)
async def test_headers(http: aiohttp.ClientSession, headers: dict[str, str], status: int) -> None:
    """The key and the version of the API are both demanded."""
    assert (await call(http, "GET", "/sessions?user_id=user_2demo", headers=headers))[0] == status


@pytest.mark.parametrize(("state", "status"), [("unauthorized", 401), ("rate_limited", 429), ("error", 500)])
async def test_the_switch_of_the_api(world: World, http: aiohttp.ClientSession, state: str, status: int) -> None:
    """Each trouble comes in Clerk's shape, the rate limit with its wait."""
    world.set("clerk_api", state)
    async with http.get("/clerk/v1/users/user_2demo") as response:
        assert response.status == status
        assert (response.headers.get("Retry-After") is not None) is (status == 429)
        assert (await response.json())["errors"]


async def test_a_web_page_in_the_way(world: World, http: aiohttp.ClientSession) -> None:
    """With the switch on `html` everything is somebody's sign-in page, with status 200."""
    world.set("clerk_api", "html")
    async with http.get("/clerk/v1/users/user_2demo") as response:
        assert (response.status, response.content_type) == (200, "text/html")


async def test_some_limited_calls(world: World, http: aiohttp.ClientSession) -> None:
    """A test can limit the next few calls only."""
    world.clerk.limited_calls = 1
    assert (await call(http, "GET", "/users/user_2demo"))[0] == 429
    assert (await call(http, "GET", "/users/user_2demo"))[0] == 200
    assert (await call(http, "GET", "/users/user_nobody"))[0] == 404
    assert (await call(http, "GET", "/nothing"))[0] == 404


async def test_the_cast(world: World) -> None:
    """The users that the docs and the scenarios count on."""
    live = {user_id: len(world.clerk.live_sessions(user_id)) for user_id in world.clerk.users}
    assert live == {"user_2demo": 7, "user_2quiet": 0, "user_2many": 120, "user_2pending": 3, "user_2admin": 1}


async def test_users_are_listed_as_asked(http: aiohttp.ClientSession) -> None:
    """The newest first unless asked otherwise, ten at a time, by id, by whole address, by any part."""
    _, everybody = await call(http, "GET", "/users")
    assert [user["id"] for user in everybody] == sorted((user["id"] for user in everybody), reverse=True)
    _, oldest = await call(http, "GET", "/users?order_by=%2Bcreated_at&limit=2")
    _, following = await call(http, "GET", f"/users?order_by=%2Bcreated_at&limit=2&starting_after={oldest[-1]['id']}")
    assert [user["id"] for user in (*oldest, *following)] == [user["id"] for user in everybody[::-1]][:4]
    _, named = await call(http, "GET", "/users?user_id=user_2demo&user_id=user_2quiet&user_id=user_nobody")
    assert {user["id"] for user in named} == {"user_2demo", "user_2quiet"}
    assert (await call(http, "GET", "/users?email_address=demo@sandbox.example"))[1] == []
    assert len((await call(http, "GET", "/users?email_address=2DEMO@sandbox.example"))[1]) == 1
    assert (await call(http, "GET", "/users/count?query=2demo"))[1]["total_count"] == 1


@pytest.mark.parametrize(
    "query", ["limit=501", "order_by=shoe_size", "starting_after=user_2demo&offset=1",
              "starting_after=user_2demo&order_by=updated_at", "&".join(f"user_id=user_{number}" for number in range(101))],
)  # fmt: skip
async def test_bad_lists_of_users(http: aiohttp.ClientSession, query: str) -> None:
    """What Clerk does not document is refused."""
    assert (await call(http, "GET", f"/users?{query}"))[0] == 422


async def test_a_ban_ends_all_sessions(world: World, http: aiohttp.ClientSession) -> None:
    """And lifting it brings none back."""
    status, user = await call(http, "POST", "/users/user_2demo/ban")
    assert (status, user["banned"]) == (200, True)
    assert world.clerk.live_sessions("user_2demo") == []
    assert (await call(http, "POST", "/users/user_2demo/unban"))[1]["banned"] is False
    assert world.clerk.live_sessions("user_2demo") == []
    assert (await call(http, "POST", "/users/user_nobody/ban"))[0] == 404


async def test_a_compromised_password(world: World, http: aiohttp.ClientSession) -> None:
    """Sessions end only when asked to; who has no password cannot be marked; unknown switches are refused."""
    path = "/users/user_2demo/password/set_compromised"
    assert (await call(http, "POST", path))[0] == 200
    assert len(world.clerk.live_sessions("user_2demo")) == 7
    assert (await call(http, "POST", path, json={"revoke_all_sessions": True}))[0] == 200
    assert world.clerk.live_sessions("user_2demo") == []
    assert (await call(http, "POST", path, json={"revoke": True}))[0] == 422
    assert (await call(http, "POST", path, json={"revoke_all_sessions": "yes"}))[0] == 422
    assert (await call(http, "POST", path, data=b"{"))[0] == 400
    world.clerk.users["user_2demo"]["password_enabled"] = False
    assert (await call(http, "POST", path))[0] == 400


async def test_what_the_plan_does_not_have(world: World, http: aiohttp.ClientSession) -> None:
    """Each such call is a 402."""
    world.clerk.instance.lacking = {"ban", "blocklist", "restrictions"}
    assert (await call(http, "POST", "/users/user_2demo/ban"))[0] == 402
    assert (await call(http, "GET", "/blocklist_identifiers"))[0] == 402
    assert (await call(http, "PATCH", "/instance/restrictions", json={"blocklist": True}))[0] == 402
    assert len(world.clerk.live_sessions("user_2demo")) == 7


async def test_the_blocklist(http: aiohttp.ClientSession) -> None:
    """An entry is made once, found, and taken off once."""
    status, entry = await call(http, "POST", "/blocklist_identifiers", json={"identifier": "a@b.example"})
    assert (status, entry["identifier_type"]) == (200, "email_address")
    assert (await call(http, "POST", "/blocklist_identifiers", json={"identifier": "a@b.example"}))[0] == 422
    assert (await call(http, "POST", "/blocklist_identifiers", json={"identifier": "nobody"}))[0] == 422
    assert (await call(http, "GET", "/blocklist_identifiers"))[1]["total_count"] == 1
    assert (await call(http, "DELETE", f"/blocklist_identifiers/{entry['id']}"))[1]["deleted"]
    assert (await call(http, "DELETE", f"/blocklist_identifiers/{entry['id']}"))[0] == 404


async def test_settings_of_the_instance(http: aiohttp.ClientSession) -> None:
    """What is turned stays turned; what is not named, or null, stays as it is; what browsers load says the same."""
    await call(http, "PATCH", "/instance/protect", json={"rules_enabled": True, "specter_enabled": None})
    _, protect = await call(http, "GET", "/instance/protect")
    assert (protect["rules_enabled"], protect["specter_enabled"]) == (True, False)
    _, restrictions = await call(http, "PATCH", "/instance/restrictions", json={"blocklist": True})
    assert (restrictions["blocklist"], restrictions["allowlist"]) == (True, False)
    assert (await call(http, "GET", "/instance/restrictions"))[0] == 404  # Clerk has no such call
    async with http.get("/clerk/frontend/v1/environment", headers={"Authorization": ""}) as response:
        shown = (await response.json())["user_settings"]["restrictions"]
    assert (shown["blocklist"], shown["allowlist"]) == ({"enabled": True}, {"enabled": False})


async def test_signing_keys_of_both_interfaces(world: World, http: aiohttp.ClientSession) -> None:
    """They are the same until a test parts them."""
    for path in ("/clerk/v1/jwks", "/clerk/frontend/.well-known/jwks.json"):
        async with http.get(path) as response:
            assert [key["kid"] for key in (await response.json())["keys"]] == ["ins_sandbox"]
    world.clerk.instance.frontend_kids = []
    async with http.get("/clerk/frontend/.well-known/jwks.json") as response:
        assert (await response.json())["keys"] == []


async def test_organizations(http: aiohttp.ClientSession) -> None:
    """Memberships of a user, and the administrators of an organization."""
    _, mine = await call(http, "GET", "/users/user_2demo/organization_memberships")
    assert [(one["organization"]["id"], one["role"]) for one in mine["data"]] == [("org_2team", "org:member")]
    _, admins = await call(http, "GET", "/organizations/org_2team/memberships?role=org:admin")
    assert (admins["total_count"], admins["data"][0]["public_user_data"]["user_id"]) == (1, "user_2admin")


async def test_a_rate_limit(world: World, http: aiohttp.ClientSession) -> None:
    """So many calls in so many seconds, then 429 with the wait; the signing keys are not counted."""
    world.clerk.rate_limit = (3, 60.0)
    statuses = [(await call(http, "GET", "/users/count"))[0] for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert (await call(http, "GET", "/jwks"))[0] == 200
    world.clerk.rate_limit = (3, 0.0)
    assert (await call(http, "GET", "/users/count"))[0] == 200


def test_what_a_bot_is_told(world: World) -> None:
    """The environment points at both interfaces, and its keys belong together."""
    environment = world.environment("http://127.0.0.1:4000/")
    assert environment["CLERK_FRONTEND_API_URL"] == "http://127.0.0.1:4000/clerk/frontend"
    assert environment["NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"].startswith("pk_test_")
    assert environment["CLERK_WEBHOOK_SIGNING_SECRET"].startswith("whsec_")
