"""The Clerk client's calls on users, organizations and the instance: what is asked, what is kept, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.domain.errors import UserError
from bot.providers.clerk import Account, ClerkClient
from bot.providers.faults import Refused, Unanswered, Unavailable
from bot.sandbox.world import World, clerk, clerk_data

NOW_MS = 1_760_000_000_000


@pytest.fixture
async def client(world_url: str) -> AsyncIterator[ClerkClient]:
    """The client, pointed at the world."""
    made = ClerkClient(SecretStr(clerk.SECRET_KEY), api_url=f"{world_url}/clerk", timeout_s=20.0)
    yield made
    await made.aclose()


def add_users(world: World, count: int) -> None:
    """So many more users, one created after the other."""
    for number in range(count):
        made = clerk_data.user(f"3more{number:04d}", NOW_MS)
        world.clerk.users[made["id"]] = {**made, "created_at": NOW_MS + number}


async def test_a_list_is_walked_with_a_cursor(client: ClerkClient, world: World) -> None:
    """The oldest come first, each once, also when somebody is deleted and somebody signs up meanwhile."""
    add_users(world, 1_200)
    found: list[str] = []
    page = await client.list_users()
    while page:
        found += [account.id for account in page]
        if len(page) > 1:
            del world.clerk.users[page[0].id]
        page = await client.list_users(starting_after=page[-1].id)
        if len(found) == 1_000:
            late = clerk_data.user("4late", NOW_MS)
            world.clerk.users["user_4late"] = {**late, "created_at": NOW_MS + 99_999_999_999_999}
    assert len(found) == len(set(found)) == 1_206
    assert found[-1] == "user_4late"


async def test_pages_by_offset(client: ClerkClient, world: World) -> None:
    """A short list may be read by offsets."""
    add_users(world, 5)
    first, second = await client.list_users(limit=3), await client.list_users(limit=3, offset=3)
    assert not {account.id for account in first} & {account.id for account in second}
    assert await client.count_users() == len(world.clerk.users)
    assert await client.count_users(query="3more") == 5


async def test_the_primary_address_is_not_just_the_first(client: ClerkClient, world: World) -> None:
    """What Clerk calls the primary address counts, wherever it stands in the list."""
    user = world.clerk.users["user_2demo"]
    other = {**user["email_addresses"][0], "id": "idn_other", "email_address": "old@sandbox.example"}
    user["email_addresses"] = [other, *user["email_addresses"]]
    assert (await client.get_account("user_2demo")).primary_email == "2demo@sandbox.example"
    user["primary_email_address_id"] = None
    assert (await client.get_account("user_2demo")).primary_email is None


async def test_users_by_address_and_by_id(client: ClerkClient) -> None:
    """Named users come, whoever is not found is left out, and a wrong id is never sent."""
    found = await client.list_users(emails=("2DEMO@sandbox.example", "nobody@sandbox.example"))
    assert [account.id for account in found] == ["user_2demo"]
    assert {one.id for one in await client.list_users(user_ids=("user_2demo", "user_nobody"))} == {"user_2demo"}
    with pytest.raises(UserError):
        await client.list_users(user_ids=("user_2demo", "*"))
    with pytest.raises(UserError, match="100"):
        await client.list_users(user_ids=tuple(f"user_{number}" for number in range(101)))


@pytest.mark.parametrize("named", [{"user_ids": ("user_2demo",)}, {"emails": ("2demo@sandbox.example",)}])
async def test_a_filter_that_is_lost_hits_nobody(serve: Any, named: Any) -> None:
    """Other users than those that were named are refused, not handed out."""

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response([clerk_data.user("2demo", NOW_MS), clerk_data.user("2many", NOW_MS)])

    client = ClerkClient(SecretStr("sk_test_a"), api_url=await serve(handle))
    with pytest.raises(Refused, match="other users"):
        await client.list_users(**named)
    await client.aclose()


async def test_a_ban_ends_sessions_and_can_be_lifted(client: ClerkClient, world: World) -> None:
    """Both may be repeated; a lifted ban brings no session back."""
    for _ in range(2):
        assert (await client.ban("user_2demo")).banned
    assert world.clerk.live_sessions("user_2demo") == []
    for _ in range(2):
        assert not (await client.unban("user_2demo")).banned
    assert world.clerk.live_sessions("user_2demo") == []


async def test_a_new_password(client: ClerkClient, world: World) -> None:
    """The sessions end only when that is said."""
    await client.set_password_compromised("user_2demo", revoke_all_sessions=False)
    assert len(world.clerk.live_sessions("user_2demo")) == 7
    await client.set_password_compromised("user_2demo", revoke_all_sessions=True)
    assert world.clerk.live_sessions("user_2demo") == []
    assert world.clerk.directory.compromised == {"user_2demo"}
    await client.unset_password_compromised("user_2demo")
    assert world.clerk.directory.compromised == set()


async def test_organizations(client: ClerkClient) -> None:
    """Who is what, and how many are administrators."""
    (membership,) = await client.memberships_of("user_2admin")
    assert (membership.organization_id, membership.role) == ("org_2team", "org:admin")
    assert await client.count_members("org_2team", role="org:admin") == 1


CHANGES: dict[str, Callable[[ClerkClient], Awaitable[object]]] = {
    "ban": lambda client: client.ban("user_2demo"),
    "unban": lambda client: client.unban("user_2demo"),
    "set": lambda client: client.set_password_compromised("user_2demo", revoke_all_sessions=True),
    "unset": lambda client: client.unset_password_compromised("user_2demo"),
    "protect": lambda client: client.set_protect(rules_enabled=True),
    "restrict": lambda client: client.set_restrictions({"blocklist": True}),
    "block": lambda client: client.block("a@b.example"),
    "unblock": lambda client: client.unblock("blid_a"),
}


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("fault", ["done_then_hang", "drop", "html"])
async def test_a_change_without_a_usable_answer_is_unknown(world_url: str, world: World, change: str, fault: str) -> None:
    """Sent and not answered, or answered by something else than Clerk: nobody says that it was done, or that it was not."""
    if fault == "html":
        world.set("clerk_api", "html")
    else:
        world.plant("clerk", fault, times=1)  # type: ignore[arg-type]
    written = asyncio.Event()
    world.on_change = written.set
    timeout_s = 1.0 if fault == "done_then_hang" else 20.0  # long enough for a slow machine to have sent it
    client = ClerkClient(SecretStr(clerk.SECRET_KEY), api_url=f"{world_url}/clerk", timeout_s=timeout_s)
    with pytest.raises(Unanswered):
        await CHANGES[change](client)
    await client.aclose()
    await asyncio.wait_for(written.wait(), 20)  # a call that hangs is written down when its caller has gone
    assert len(world.ledger) == 1  # it was not repeated


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (401, Refused, "CLERK_SECRET_KEY"),
        (402, Refused, "plan"),
        (403, Refused, "CLERK_SECRET_KEY"),
        (409, Refused, "409"),
        (422, Refused, "422"),
        (429, Unavailable, "try again in 7 s"),
        (500, Unavailable, "status page"),
    ],
)
async def test_every_refusal_of_a_change_has_its_sentence(
    serve: Any, change: str, status: int, error: type[Exception], says: str
) -> None:
    """What failed and what to do, and no free text of the reply."""

    async def handle(_request: web.Request) -> web.Response:
        body = {"errors": [{"code": "a_code", "message": "FREE TEXT", "long_message": "FREE TEXT"}]}
        return web.json_response(body, status=status, headers={"Retry-After": "7"})

    client = ClerkClient(SecretStr("sk_test_a"), api_url=await serve(handle))
    with pytest.raises(error, match=says) as caught:
        await CHANGES[change](client)
    assert "FREE TEXT" not in str(caught.value)
    await client.aclose()


async def test_a_reply_that_is_too_large(serve: Any) -> None:
    """A flood is cut off, and whether the change was made is not known."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" " * 1024 * 1024)
        return response

    client = ClerkClient(SecretStr("sk_test_a"), api_url=await serve(handle))
    with pytest.raises(Unanswered, match="more than"):
        await client.ban("user_2demo")
    with pytest.raises(Refused, match="more than"):
        await client.list_users()
    await client.aclose()


def test_an_account_prints_nothing_personal() -> None:
    """Its repr may end up in a traceback."""
    account = Account.model_validate(clerk_data.user("2demo", NOW_MS))
    assert "sandbox" not in repr(account).casefold()
