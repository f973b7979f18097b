"""Deliveries: signatures, deadlines, redelivery with Slack's headers, duplicates, what the person sees when the bot fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from bot.sandbox.server import Sandbox
from tests.sandbox.tiny_bot import SIGNING_SECRET, TOKEN, Received, TinyBot, manifest


@pytest.fixture
async def impatient(bot: TinyBot, sandbox: Sandbox) -> AsyncIterator[Sandbox]:
    """A sandbox that redelivers without waiting."""
    made = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest(), retry_scale=0.0)
    await made.start()
    made.bot_url = sandbox.bot_url
    yield made
    await made.stop()


async def hang(received: Received) -> web.StreamResponse:
    """Answer far too late."""
    await asyncio.sleep(5)
    return web.Response()


async def test_everything_is_signed_as_slack_signs(sandbox: Sandbox, bot: TinyBot) -> None:
    """Slack's own verifier takes all of it, and none of it with another secret."""
    await sandbox.workspace.say("developer", "support", "hello")
    await sandbox.workspace.command("developer", "support", "/incident clerk down")
    await sandbox.workspace.shortcut("developer", "open")
    assert bot.forged == 0
    assert len(bot.received) == 3
    other = SignatureVerifier("another-secret")
    assert not any(other.is_valid_request(one.body, one.headers) for one in bot.received)


async def test_the_signature_follows_the_worlds_clock_also_after_time_travel(sandbox: Sandbox, bot: TinyBot) -> None:
    """A sandbox that is a day ahead still signs with now, or every bot would refuse it."""
    await sandbox.clock.advance(86_400)
    said = await sandbox.workspace.say("developer", "support", "hello")
    assert said.status == 200
    assert bot.forged == 0


async def test_a_result_has_status_body_duration_and_attempts(sandbox: Sandbox, bot: TinyBot) -> None:
    """What the bot answered can be read off the act."""
    bot.replies_with(text="thanks")
    said = await sandbox.workspace.say("developer", "support", "hello")
    assert (said.ok, said.status, said.body, len(said.attempts)) == (True, 200, b"thanks", 1)
    assert (said.duration_ms or 0) > 0


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_a_failed_event_comes_three_times_more(impatient: Sandbox, bot: TinyBot, status: int) -> None:
    """Four attempts in all, the later ones with their number and the reason, the body always the same."""
    bot.replies_with(status=status)
    said = await impatient.workspace.say("developer", "support", "hello")
    await said.deliveries[0].finished()
    retries = [(one.headers.get("x-slack-retry-num"), one.headers.get("x-slack-retry-reason")) for one in bot.received]
    assert retries == [(None, None), ("1", "http_error"), ("2", "http_error"), ("3", "http_error")]
    assert len({one.body for one in bot.received}) == 1
    assert bot.forged == 0
    assert not said.deliveries[0].ok


async def test_a_bot_that_recovers_gets_it_once_more(impatient: Sandbox, bot: TinyBot) -> None:
    """The first good answer ends it."""
    answers = iter([500, 200])

    async def recover(received: Received) -> web.StreamResponse:
        return web.Response(status=next(answers))

    bot.answer = recover
    said = await impatient.workspace.say("developer", "support", "hello")
    delivery = await said.deliveries[0].finished()
    assert [attempt.status for attempt in delivery.attempts] == [500, 200]
    assert delivery.ok


async def test_no_retry_is_obeyed(impatient: Sandbox, bot: TinyBot) -> None:
    """X-Slack-No-Retry: 1 on a failure ends it."""

    async def no_more(received: Received) -> web.StreamResponse:
        return web.Response(status=500, headers={"X-Slack-No-Retry": "1"})

    bot.answer = no_more
    said = await impatient.workspace.say("developer", "support", "hello")
    assert len((await said.deliveries[0].finished()).attempts) == 1


async def test_too_slow_is_a_timeout_and_nobody_there_a_failed_connection(impatient: Sandbox, bot: TinyBot) -> None:
    """The reasons of redelivery are Slack's words."""
    bot.answer = hang
    impatient.courier.timeout_s = 0.05
    slow = await impatient.workspace.say("developer", "support", "hello")
    await slow.deliveries[0].finished()
    assert {attempt.reason for attempt in slow.attempts} == {"http_timeout"}
    impatient.courier.timeout_s = 3.0
    await bot.stop()
    gone = await impatient.workspace.say("developer", "support", "hello again")
    await gone.deliveries[0].finished()
    assert {attempt.reason for attempt in gone.attempts} == {"connection_failed"}
    assert len(gone.attempts) == 4


async def test_redelivery_waits_a_minute_then_five_of_the_sandboxs_time(sandbox: Sandbox, bot: TinyBot) -> None:
    """With real delays: one at once, the next after the clock has moved by a minute, the last after five more."""
    bot.replies_with(status=500)
    said = await sandbox.workspace.say("developer", "support", "hello")
    await sandbox.wait_for(lambda: len(said.attempts) == 2)
    await sandbox.clock.advance(59)
    assert len(said.attempts) == 2
    await sandbox.clock.advance(2)
    await sandbox.wait_for(lambda: len(said.attempts) == 3)
    await sandbox.clock.advance(301)
    delivery = await said.deliveries[0].finished()
    assert [attempt.number for attempt in delivery.attempts] == [1, 2, 3, 4]


async def test_the_identical_bytes_can_be_sent_again(sandbox: Sandbox, bot: TinyBot) -> None:
    """A duplicate has the same body, timestamp and signature."""
    said = await sandbox.workspace.say("developer", "support", "hello")
    again = await sandbox.redeliver(said.deliveries[0])
    first, second = bot.received
    assert again.status == 200
    assert first.body == second.body
    assert first.headers["X-Slack-Signature"] == second.headers["X-Slack-Signature"]
    assert first.payload["event_id"] == second.payload["event_id"]


async def test_a_bot_that_moves_is_found_at_its_new_address(sandbox: Sandbox, bot: TinyBot) -> None:
    """bot_url may be set at any time; redelivery goes to where the bot is then."""
    await bot.stop()
    said = await sandbox.workspace.say("developer", "support", "hello")
    assert said.status is None
    await sandbox.wait_for(lambda: len(said.attempts) == 2)
    other = TinyBot()
    sandbox.bot_url = await other.start()
    await sandbox.clock.advance(61)
    assert (await said.deliveries[0].finished()).ok
    await sandbox.workspace.say("developer", "support", "hello again")
    assert [event["text"] for event in other.events("message")] == ["hello", "hello again"]
    await other.stop()


async def test_a_command_that_fails_is_said_in_slacks_words_and_never_sent_again(sandbox: Sandbox, bot: TinyBot) -> None:
    """operation_timeout and dispatch_failed, one attempt each."""
    bot.answer = hang
    sandbox.courier.timeout_s = 0.05
    slow = await sandbox.workspace.command("developer", "support", "/incident clerk down")
    assert (slow.ok, slow.error, len(slow.attempts)) == (False, 'failed with the error "operation_timeout"', 1)
    sandbox.courier.timeout_s = 3.0
    bot.replies_with(status=500)
    broken = await sandbox.workspace.command("developer", "support", "/incident clerk down")
    assert broken.error == 'failed with the error "dispatch_failed"'
    await bot.stop()
    gone = await sandbox.workspace.command("developer", "support", "/incident clerk down")
    assert gone.error == 'failed with the error "dispatch_failed"'
    await sandbox.settled()
    assert [len(delivery.attempts) for delivery in sandbox.deliveries] == [1, 1, 1]


async def test_an_interaction_that_fails_is_said(sandbox: Sandbox, bot: TinyBot) -> None:
    """The status the bot answered with is in what the person sees."""
    bot.replies_with(status=503)
    result = await sandbox.workspace.shortcut("developer", "open")
    assert (result.ok, result.error) == (False, "This app responded with Status Code 503.")
    bot.answer = hang
    sandbox.courier.timeout_s = 0.05
    assert (await sandbox.workspace.shortcut("developer", "open")).error == "This app did not respond."


@pytest.mark.parametrize("as_json", [True, False])
async def test_the_bots_address_is_verified_by_a_challenge(sandbox: Sandbox, bot: TinyBot, as_json: bool) -> None:
    """The bot has to echo it, as JSON or as text; one that only says 200 does not pass."""
    assert not await sandbox.verify_url()

    async def echo(received: Received) -> web.StreamResponse:
        challenge = received.payload["challenge"]
        return web.json_response({"challenge": challenge}) if as_json else web.Response(text=challenge)

    bot.answer = echo
    assert await sandbox.verify_url()


async def test_stopping_does_not_wait_for_what_is_on_its_way(sandbox: Sandbox, bot: TinyBot) -> None:
    """A delivery that waits for its next attempt is given up, and stopping twice is harmless."""
    bot.replies_with(status=500)
    said = await sandbox.workspace.say("developer", "support", "hello")
    await sandbox.wait_for(lambda: len(said.attempts) == 2)
    await asyncio.wait_for(sandbox.stop(), 20)
    await sandbox.stop()
    assert len(said.attempts) == 2


async def test_nothing_is_launched_while_it_stops(impatient: Sandbox, bot: TinyBot) -> None:
    """What the bot still does while the sandbox ends is told to nobody, and leaves no task behind."""
    bot.answer = hang
    saying = asyncio.create_task(impatient.workspace.say("developer", "support", "hello"))
    await impatient.wait_for(lambda: bot.received, timeout_s=10, what="a delivery under way")
    stopping = asyncio.create_task(impatient.courier.stop())
    await asyncio.sleep(0)  # it waits for what it has cancelled
    late = impatient.courier._send_event({"type": "message"})
    await stopping
    saying.cancel()
    await asyncio.gather(saying, return_exceptions=True)
    assert late.task is None
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("deliver")] == []
