"""The Clerk client against the sandbox's Clerk, and against answers that Clerk should never give."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.domain.errors import UserError
from bot.providers.clerk import ClerkClient, Session, error_detail
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.sandbox.world import World, clerk, clerk_data


@pytest.fixture
async def client(world_url: str) -> AsyncIterator[ClerkClient]:
    """The client, pointed at the world."""
    made = ClerkClient(SecretStr(clerk.SECRET_KEY), api_url=f"{world_url}/clerk", timeout_s=20.0)
    yield made
    await made.aclose()


def odd(url: str) -> ClerkClient:
    """A client of a hand-made server."""
    return ClerkClient(SecretStr(clerk.SECRET_KEY), api_url=url, timeout_s=20.0)


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_base_url_with_and_without_version(world_url: str, world: World, suffix: str) -> None:
    """CLERK_API_URL is right with or without /v1."""
    client = odd(f"{world_url}/clerk{suffix}")
    assert len(await client.list_sessions("user_2demo", status="active")) == 7
    assert world.ledger[0]["path"] == "/v1/sessions"
    await client.aclose()


async def test_sessions_come_whole_and_newest_first(client: ClerkClient) -> None:
    """A page is asked for with 500 entries, so that the default of 10 hides nothing."""
    sessions = await client.list_sessions("user_2many", status="active")
    assert len(sessions) == 120
    assert [session.created_at for session in sessions] == sorted((s.created_at for s in sessions), reverse=True)
    assert sessions[0].latest_activity is not None
    assert sessions[0].latest_activity.city == "Lisbon"


async def test_live_sessions_include_pending_ones(client: ClerkClient) -> None:
    """A pending session has no filter of its own, and is found all the same."""
    live = await client.list_live_sessions("user_2pending")
    assert [session.status for session in live.sessions] == ["pending", "active", "active"]
    assert live.complete


async def test_live_sessions_over_several_pages(client: ClerkClient, world: World) -> None:
    """More than one page of sessions is read to its end."""
    more = [clerk_data.session("2quiet", number, "active", 1_760_000_000_000) for number in range(10, 1_212)]
    world.clerk.sessions |= {session["id"]: session for session in more}
    live = await client.list_live_sessions("user_2quiet")
    assert len(live.sessions) == 1_202
    assert live.complete


async def test_a_list_without_end_says_that_it_is_not_complete(serve: Any) -> None:
    """An API that ignores the offset is not read for ever, and the result does not pass for everything."""
    page = [clerk_data.session("2demo", number, "active", 1_760_000_000_000) for number in range(500)]
    calls: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(request.path_qs)
        return web.json_response(page)

    client = odd(await serve(handle))
    live = await client.list_live_sessions("user_2demo")
    assert len(live.sessions) == 500
    assert not live.complete
    assert len(calls) == 4
    await client.aclose()


async def test_the_paginated_shape_is_understood(serve: Any) -> None:
    """`{data, total_count}` is read as well as a bare list."""
    page = {"data": [clerk_data.session("2demo", 1, "active", 1_760_000_000_000)], "total_count": 1}

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response(page)

    client = odd(await serve(handle))
    assert [session.id for session in await client.list_sessions("user_2demo")] == ["sess_2demo0001"]
    await client.aclose()


async def test_sessions_of_somebody_else_are_refused(serve: Any) -> None:
    """When the filter was lost on the way, nobody else's sessions are handed out to be ended."""

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response([clerk_data.session("2many", 1, "active", 1_760_000_000_000)])

    client = odd(await serve(handle))
    with pytest.raises(Refused, match="somebody else"):
        await client.list_live_sessions("user_2demo")
    await client.aclose()


@pytest.mark.parametrize("body", [None, {}, {"data": {}}, [1], [{"id": "sess_1"}], "text"])
async def test_an_unknown_shape_is_refused(serve: Any, body: Any) -> None:
    """JSON that is no list of sessions is not read as an empty one."""

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response(body)

    client = odd(await serve(handle))
    with pytest.raises(Refused) as caught:
        await client.list_sessions("user_2demo")
    assert caught.value.code == "unexpected"
    await client.aclose()


async def test_new_fields_and_new_statuses_are_no_fault(serve: Any) -> None:
    """Clerk adds fields and enum members without notice."""
    novel = {**clerk_data.session("2demo", 1, "hibernating", 1), "brand_new": {"a": 1}, "latest_activity": None}

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response([novel])

    client = odd(await serve(handle))
    (session,) = await client.list_sessions("user_2demo")
    assert (session.status, session.is_live) == ("hibernating", False)
    await client.aclose()


async def test_revoking_twice_is_revoking_once(client: ClerkClient, world: World) -> None:
    """A session that has ended already counts as done, whatever Clerk calls that."""
    assert await client.revoke_session("sess_2demo0001") == "revoked"
    assert await client.revoke_session("sess_2demo0001") == "gone"
    assert await client.revoke_session("sess_nosuchsession") == "gone"
    assert world.clerk.sessions["sess_2demo0001"]["status"] == "revoked"


async def test_a_bad_request_about_a_live_session_is_not_done(serve: Any) -> None:
    """A 400 means "already ended" only when a look at the session says so."""
    session = clerk_data.session("2demo", 1, "active", 1)

    async def handle(request: web.Request) -> web.Response:
        return web.json_response(session, status=200 if request.method == "GET" else 400)

    client = odd(await serve(handle))
    with pytest.raises(Refused) as caught:
        await client.revoke_session("sess_2demo0001")
    assert caught.value.code == "http_400"
    await client.aclose()


async def test_a_revoke_that_a_web_page_answers_is_unknown(serve: Any) -> None:
    """A 200 from something that is not Clerk does not count as revoked."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    client = odd(await serve(handle))
    with pytest.raises(Unanswered):
        await client.revoke_session("sess_2demo0001")
    await client.aclose()


async def test_a_user_comes_without_anything_personal(client: ClerkClient) -> None:
    """Names, e-mail addresses and metadata are dropped as the reply is parsed."""
    user = await client.get_user("user_2demo")
    assert user.model_dump() == {"id": "user_2demo", "banned": False, "locked": False}


@pytest.mark.parametrize(
    "user_id",
    ["", "*", "user_", "user_a/../b", "../../v1/user", "user_%2e%2e", "user_a?teamId=", "user_a#", "user_ä", "user_a\n",
     "--all", "sess_2demo0001", "user_" + "a" * 65, "user_a,user_b"],
)  # fmt: skip
async def test_a_user_id_that_is_none_is_never_sent(client: ClerkClient, world: World, user_id: str) -> None:
    """Empty scopes, wildcards, paths and flags are refused before anything is asked."""
    with pytest.raises(UserError):
        await client.get_user(user_id)
    with pytest.raises(UserError):
        await client.list_sessions(user_id)
    with pytest.raises(UserError):
        await client.revoke_session(user_id.replace("sess_", "session_"))
    assert world.ledger == []


@pytest.mark.parametrize(
    ("state", "error", "says"),
    [
        ("unauthorized", Refused, "CLERK_SECRET_KEY"),
        ("rate_limited", Unavailable, "try again in 2 s"),
        ("error", Unavailable, "internal_clerk_error"),
        ("html", Refused, "CLERK_API_URL"),
    ],
)
async def test_every_trouble_has_its_sentence(
    client: ClerkClient, world: World, state: str, error: type[Exception], says: str
) -> None:
    """401, 429, 500 and HTML each say what failed and what to do, without the key."""
    world.set("clerk_api", state)
    with pytest.raises(error, match=says) as caught:
        await client.list_sessions("user_2demo")
    assert clerk.SECRET_KEY not in str(caught.value)


async def test_an_unknown_user(client: ClerkClient) -> None:
    """A user that Clerk does not have is an error with a code, not a user without sessions."""
    with pytest.raises(Refused) as caught:
        await client.get_user("user_nobody")
    assert caught.value.code == "not_found"


def test_error_bodies_of_any_shape() -> None:
    """The reader of errors survives whatever comes."""
    assert error_detail({"errors": [{"code": "a"}], "clerk_trace_id": "t"}).code == "a"
    for odd_body in (None, [], {}, {"errors": "x"}, {"errors": []}, {"errors": [1]}):
        assert error_detail(odd_body).code == ""


def test_a_session_prints_no_more_than_it_keeps() -> None:
    """What is kept of a session has no address and no token."""
    kept = Session.model_validate(clerk_data.session("2demo", 1, "active", 1))
    assert "198.51.100" not in repr(kept)
    assert "203.0.113" not in repr(kept)
