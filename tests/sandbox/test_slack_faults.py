"""Planted faults, rate limits and latency: what the caller sees, and whether it happened."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import UserError
from bot.sandbox.faults import FaultKind
from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import TOKEN


@pytest.fixture
async def once(sandbox: Sandbox) -> AsyncWebClient:
    """A client that never repeats a call by itself."""
    return AsyncWebClient(TOKEN, base_url=sandbox.slack_api_url, retry_handlers=[])


@pytest.fixture
def still(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox with its clock stopped: on a slow machine no bucket fills meanwhile."""
    began_at = sandbox.clock.now()
    monkeypatch.setattr(sandbox.clock, "now", lambda: began_at + sandbox.clock.offset_s)
    return sandbox


@pytest.mark.parametrize(
    ("kind", "status", "happened"),
    [("429", 429, False), ("500", 500, False)],
)
async def test_faults_with_an_answer(
    sandbox: Sandbox, once: AsyncWebClient, kind: FaultKind, status: int, happened: bool
) -> None:
    """429 brings Retry-After; neither does anything; the next call is good again."""
    sandbox.faults.add(method="chat.postMessage", kind=kind, retry_after_s=7)
    with pytest.raises(SlackApiError) as refused:
        await once.chat_postMessage(channel="C0SUPPORT", text="hi")
    assert refused.value.response.status_code == status
    assert kind != "429" or refused.value.response.headers["Retry-After"] == "7"
    assert bool(sandbox.workspace.messages("support")) == happened
    assert (await once.chat_postMessage(channel="C0SUPPORT", text="hi"))["ok"]


@pytest.mark.parametrize(
    ("kind", "happened"),
    [("drop_before", False), ("accept_then_drop", True), ("timeout", False), ("accept_then_timeout", True)],
)
async def test_faults_without_an_answer(sandbox: Sandbox, once: AsyncWebClient, kind: FaultKind, happened: bool) -> None:
    """The caller cannot know whether it happened; the ledger does."""
    sandbox.faults.add(method="chat.postMessage", kind=kind, seconds=0.05)
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        await once.chat_postMessage(channel="C0SUPPORT", text="hi")
    await sandbox.wait_for(lambda: sandbox.calls[0].ended_at)
    assert bool(sandbox.workspace.messages("support")) == happened
    call = sandbox.calls[0]
    assert (call.status, call.ok, call.note) == (None, happened, f"planted fault: {kind}")


async def test_slow_happens_and_is_answered(sandbox: Sandbox, once: AsyncWebClient) -> None:
    """slow does it after its time."""
    sandbox.faults.add(method="chat.postMessage", kind="slow", seconds=0.05)
    started_at = time.monotonic()
    assert (await once.chat_postMessage(channel="C0SUPPORT", text="hi"))["ok"]
    assert time.monotonic() - started_at >= 0.05


async def test_a_fault_can_be_slacks_own_error_code(sandbox: Sandbox, once: AsyncWebClient) -> None:
    """error answers with any code that Slack may come up with."""
    sandbox.faults.add(method="conversations.create", kind="error", error="restricted_action")
    with pytest.raises(SlackApiError, match="restricted_action"):
        await once.conversations_create(name="inc-1")


async def test_faults_meet_only_what_they_match_and_only_so_often(sandbox: Sandbox, once: AsyncWebClient) -> None:
    """match compares arguments, times counts down, "*" is every method, clear forgets."""
    sandbox.faults.add(method="chat.postMessage", kind="500", times=2, match={"channel": "C0GENERAL"})
    assert (await once.chat_postMessage(channel="C0SUPPORT", text="hi"))["ok"]
    for _ in range(2):
        with pytest.raises(SlackApiError):
            await once.chat_postMessage(channel="C0GENERAL", text="hi")
    assert (await once.chat_postMessage(channel="C0GENERAL", text="hi"))["ok"]
    sandbox.faults.add(method="*", kind="500", times=99)
    with pytest.raises(SlackApiError):
        await once.auth_test()
    sandbox.faults.clear()
    assert (await once.auth_test())["ok"]
    with pytest.raises(UserError, match="no fault"):
        sandbox.faults.add(method="*", kind="meteor")  # type: ignore[arg-type]


async def test_a_hanging_call_does_not_keep_the_sandbox_from_stopping(sandbox: Sandbox, once: AsyncWebClient) -> None:
    """stop() ends it."""
    sandbox.faults.add(method="auth.test", kind="timeout", seconds=60)
    call = asyncio.create_task(once.auth_test())
    await sandbox.wait_for(lambda: sandbox.calls and sandbox.calls[0].note)
    await asyncio.wait_for(sandbox.stop(), 20)
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        await call


async def test_rate_limits_are_off_until_switched_on(still: Sandbox, once: AsyncWebClient) -> None:
    """Thirty messages in a row pass; with limits, a channel takes a burst of five and then one a second."""
    for _ in range(30):
        await once.chat_postMessage(channel="C0SUPPORT", text="hi")
    still.rate_limits = True
    answers = [await posted(once) for _ in range(6)]
    assert answers == [200] * 5 + [429]
    assert await posted(once, channel="C0GENERAL") == 200
    await still.clock.advance(1.1)
    assert await posted(once) == 200
    assert await posted(once) == 429


async def posted(client: AsyncWebClient, channel: str = "C0SUPPORT") -> int:
    """Post; the HTTP status."""
    try:
        return (await client.chat_postMessage(channel=channel, text="hi")).status_code
    except SlackApiError as refused:
        limited = refused.response["error"] == "ratelimited" and int(refused.response.headers["Retry-After"]) >= 1
        return refused.response.status_code if limited else 0


async def test_tiers(still: Sandbox, once: AsyncWebClient) -> None:
    """A method of tier 2 takes 20 a minute; the next minute it takes more."""
    still.rate_limits = True
    for _ in range(20):
        await once.usergroups_list()
    with pytest.raises(SlackApiError, match="ratelimited"):
        await once.usergroups_list()
    assert (await once.users_info(user="U0ONCALL"))["ok"]
    await still.clock.advance(60)
    assert (await once.usergroups_list())["ok"]


async def test_latency_is_that_of_every_call_and_calls_run_side_by_side(sandbox: Sandbox, once: AsyncWebClient) -> None:
    """Each of ten takes its time, and all of them are under way together."""
    sandbox.web_api.latency_s = 1.0
    await asyncio.gather(*(once.auth_test() for _ in range(10)))
    ends = [call.ended_at or 0 for call in sandbox.calls]
    assert all(end - call.started_at >= 0.99 for call, end in zip(sandbox.calls, ends, strict=True))
    assert max(call.started_at for call in sandbox.calls) < min(ends)


async def test_slack_is_slow_limits_or_drops_until_somebody_mends_it(
    sandbox: Sandbox, once: AsyncWebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three calls two are met, so that whoever tries again gets through; one of two dropped ones was done all the same."""
    monkeypatch.setattr("bot.sandbox.faults.SLOW_S", 0.05)
    sandbox.faults.manner = "slow"
    started_at = time.monotonic()
    assert (await once.auth_test())["ok"]
    assert time.monotonic() - started_at >= 0.05
    sandbox.faults.manner = "rate_limited"
    assert [await posted(once) for _ in range(6)] == [429, 429, 200, 429, 429, 200]
    sandbox.faults.manner = "dropping_connections"
    for words in ("undone", "done"):
        with pytest.raises(aiohttp.ClientError):
            await once.chat_postMessage(channel="C0GENERAL", text=words)
    assert (await once.chat_postMessage(channel="C0GENERAL", text="answered"))["ok"]
    assert [message["text"] for message in sandbox.workspace.messages("general")] == ["done", "answered"]
    sandbox.faults.clear()
    assert [await posted(once) for _ in range(4)] == [200] * 4
    with pytest.raises(UserError, match="cannot be 'moody'"):
        sandbox.faults.manner = "moody"  # type: ignore[assignment]


async def test_a_planted_fault_comes_before_the_lasting_one(sandbox: Sandbox, once: AsyncWebClient) -> None:
    """What a test plants is met by the call that it was planted for."""
    sandbox.faults.manner = "rate_limited"
    sandbox.faults.add("auth.test", "error", error="account_inactive")
    with pytest.raises(SlackApiError, match="account_inactive"):
        await once.auth_test()
    with pytest.raises(SlackApiError, match="ratelimited"):
        await once.auth_test()
