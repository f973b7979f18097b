"""kill -9 in the middle of an opening: the next process finishes it, once. The bot is a process of its own here.

Slack takes 80 ms for each call, half before it is done and half after, so a test can kill when something *was done* and the
bot does not know it yet. Named points inside the bot are ``tests/chaos``; here nothing of the bot knows that it is tested.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.domain.facts import PageSent
from bot.domain.timeline import Entry, verify
from bot.sandbox.ledger import Call
from bot.sandbox.models import TEAM_ID
from bot.storage.embedded import embedded_redis
from bot.storage.redis import RedisClock, RedisStore, connect
from tests.process import BotProcess
from tests.scenarios.conftest import Json, Stage, said, staged

pytestmark = pytest.mark.slow

LATENCY_S = 0.08
LEASE_S = 2.1
HELD_S = 3.0
"""So long Slack takes for a call of which a test says that it has not been done yet: half of it is before it is done."""
RECOVERY_S = 25.0
"""How long a recovery may take on a busy machine; it takes about a second."""


class Killed:
    """A workspace whose bot is a process, with what a test asks of both."""

    def __init__(self, stage: Stage, bot: BotProcess, store: RedisStore) -> None:
        self.stage = stage
        self.bot = bot
        self.store = store
        stage.sandbox.bot_url = bot.url
        stage.sandbox.clock.on_clock_change = store.set_clock_offset

    async def say(self) -> Any:
        """Somebody writes that it is broken: a room, a page, an announcement, and an answer in the thread."""
        return await self.stage.workspace.say("support-agent", "support", "auth is not working!!")

    async def command(self) -> None:
        """`/incident clerk down`, acknowledged."""
        result = await self.stage.workspace.command("support-agent", "support", "/incident clerk down")
        assert result.status == 200

    async def seen(self, predicate: Callable[[], Any], what: str) -> Any:
        """Wait for something in Slack."""
        return await self.stage.wait(predicate, what, timeout_s=RECOVERY_S)

    async def restart(self) -> None:
        """A new process, as late as its predecessor's leases need to run out."""
        await self.stage.advance(LEASE_S)
        await self.bot.start()

    def posts(self, channel: str) -> list[Json]:
        """What the bot wrote into a channel, threads included."""
        return [message for message in self.stage.messages(channel) if message.get("bot_id")]

    def done(self, method: str) -> list[Call]:
        """The calls of a method that Slack has done, whether or not it has answered yet."""
        return [call for call in self.stage.called(method) if call.ok]

    async def timeline(self) -> list[Entry]:
        """What is written down."""
        return await self.store.timeline("inc-1")

    async def is_whole(self) -> None:
        """Everything that an opening makes is there, and nothing twice."""
        stage = self.stage
        room = await stage.room()
        await self.seen(lambda: {"U0SUPPORT", "U0ONCALL"} <= set(room.members), "everybody in the room")
        await self.seen(lambda: "Clerk status page: *ok*" in said(stage.card(room.name)), "the diagnosis")
        await self.seen(lambda: self.posts("incidents"), "the announcement")
        await self.seen(lambda: room.bookmarks, "the bookmarks")
        await self.seen(lambda: room.topic.value, "the topic")
        await self.seen(lambda: stage.workspace.dm("oncall"), "the page")
        await stage.advance(2)  # the mention of who is paged has its own time
        await self.seen(lambda: len(self.posts(room.name)) > 1, "the mention")
        await self.recorded("page_sent")
        await self._is_quiet()
        assert len(stage.rooms()) == len(self.done("conversations.create")) == 1
        assert [("Checklist" in said(message)) for message in self.posts(room.name)] == [True, False], "one card, one mention"
        assert len(self.posts("incidents")) == 1
        assert len(stage.workspace.dm("oncall")) == 1, "paged once"
        assert not stage.workspace.dm("engineering-lead")
        assert len({bookmark["link"] for bookmark in room.bookmarks}) == len(room.bookmarks)
        kinds = [entry.fact.kind for entry in await self.timeline()]
        assert [kinds.count(kind) for kind in ("incident_opened", "room_opened", "alarm_raised", "page_sent")] == [1, 1, 1, 1]
        assert verify(await self.timeline()) is None

    async def recorded(self, kind: str, times: int = 1) -> None:
        """Wait until something is written down: the bot hears of what Slack did a moment after it can be seen."""
        async with asyncio.timeout(RECOVERY_S):
            while sum(entry.fact.kind == kind for entry in await self.timeline()) < times:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)

    async def nothing_in_the_air(self) -> None:
        """Wait until Slack has come to the end of every call, also of those whose caller is dead."""
        await self.seen(lambda: all(call.ended_at is not None for call in self.stage.sandbox.calls), "the end of every call")

    async def _is_quiet(self) -> None:
        """Until the bot has called nothing for a while: what would come twice has come."""
        calls = -1
        while calls != len(self.stage.sandbox.calls):
            await self.nothing_in_the_air()
            calls = len(self.stage.sandbox.calls)
            await asyncio.sleep(3 * LATENCY_S)


@pytest.fixture
async def killed(redis_url: str, tmp_path: Path) -> AsyncIterator[Killed]:
    """A running bot in a workspace with a slow Slack."""
    url = f"{redis_url}?db=3"
    async with staged(url, latency_s=LATENCY_S) as stage, connect(url, timeout_s=5) as client:
        store = RedisStore(client, workspace_id=TEAM_ID, owner="test", clock=RedisClock(), time_travel=True)
        bot = BotProcess(stage.environment, tmp_path / "log")
        try:
            await bot.start()
            yield Killed(stage, bot, store)
        finally:
            await stage.sandbox.courier.stop()
            await bot.kill()


async def test_killed_right_after_the_acknowledgement(killed: Killed) -> None:
    """Nothing was done yet but the commit; the next process does it all, without time being moved for it."""
    killed.stage.sandbox.web_api.latency_s = HELD_S
    await killed.command()
    await killed.bot.kill()
    assert not killed.done("chat.postMessage")
    killed.stage.sandbox.web_api.latency_s = LATENCY_S
    await killed.nothing_in_the_air()
    await killed.bot.start()
    await killed.is_whole()


async def test_killed_half_a_second_later(killed: Killed) -> None:
    """Most was done; the rest is done once."""
    await killed.command()
    await asyncio.sleep(0.5)
    await killed.bot.kill()
    await killed.restart()
    await killed.is_whole()


WINDOWS: dict[str, Callable[[Killed], Any]] = {
    "the channel is made, and the bot does not know": lambda it: it.done("conversations.create"),
    "the checklist is posted": lambda it: [room for room in it.stage.rooms() if it.posts(room.name)],
    "the thread is answered": lambda it: it.posts("support"),
    "on-call is paged": lambda it: it.stage.workspace.dm("oncall"),
}
"""What has been seen in Slack when the process is killed; the answer to it is still on its way."""


@pytest.mark.parametrize("window", WINDOWS)
async def test_killed_between_what_slack_did_and_its_record(killed: Killed, window: str) -> None:
    """The next process looks before it repeats."""
    declared = await killed.say()
    await killed.seen(lambda: WINDOWS[window](killed), window)
    await killed.bot.kill()
    await killed.restart()
    await killed.is_whole()
    await killed.seen(lambda: killed.posts("support"), "the answer in the thread")
    replies = [message for message in killed.posts("support") if message.get("thread_ts") == declared.ts]
    assert len(replies) == len(killed.posts("support")) == 1


async def test_killed_again_and_again(killed: Killed) -> None:
    """Each process gets a little further; together they make one room."""
    await killed.say()
    for method in ("conversations.create", "conversations.history", "chat.update"):
        await killed.seen(lambda method=method: killed.stage.called(method), method)
        await killed.bot.kill()
        await killed.restart()
    await killed.is_whole()


async def test_a_page_that_came_due_while_nobody_lived_is_sent_late(killed: Killed) -> None:
    """After the restart, once, and the record says how late; what was sent before is not sent again.

    Also when the new process cannot read at first who is who: that nobody is called so is not concluded from that.
    """
    await killed.command()
    await killed.is_whole()
    await killed.bot.kill()
    await killed.stage.advance(16 * 60)
    assert not killed.stage.workspace.dm("engineering-lead")
    killed.stage.sandbox.faults.add("users.list", "500", times=2)
    await killed.bot.start()
    await killed.seen(lambda: killed.stage.workspace.dm("engineering-lead"), "the page of the lead")
    await killed.recorded("page_sent", 2)
    await killed._is_quiet()
    pages = [entry.fact for entry in await killed.timeline() if isinstance(entry.fact, PageSent)]
    assert [(page.key, page.late_s < 10) for page in pages] == [("level-1", True), ("level-2", False)]
    assert 55 <= pages[1].late_s < 120
    dms = {name: len(killed.stage.workspace.dm(name)) for name in ("oncall", "engineering-lead", "cto")}
    assert dms == {"oncall": 1, "engineering-lead": 1, "cto": 0}


async def test_told_to_end_in_the_middle(killed: Killed) -> None:
    """SIGTERM while the channel is being made: what runs is finished or handed back, and the exit is clean."""
    await killed.say()
    await killed.seen(lambda: killed.stage.called("conversations.create"), "the first call")
    assert await killed.bot.terminate() == 0
    assert not [call for call in killed.stage.sandbox.calls if call.ended_at is None], "a call was left in the air"
    await killed.bot.start()  # no lease has to run out: nothing is held by the dead
    await killed.is_whole()


async def test_the_embedded_server_outlives_the_bot(redis_url: str, tmp_path: Path) -> None:
    """Without REDIS_URL: the server goes on after the kill, the next bot joins it and finishes."""
    async with staged(f"{redis_url}?db=3", latency_s=LATENCY_S) as stage:
        environment = {name: value for name, value in stage.environment.items() if name != "REDIS_URL"}
        bot = BotProcess({**environment, "MUSTER_DATA_DIR": str(tmp_path / "data")}, tmp_path / "log")
        await bot.start()
        async with embedded_redis(tmp_path / "data") as server, connect(server.url, timeout_s=5) as client:
            try:
                assert not server.owned, "there must be one server"
                store = RedisStore(client, workspace_id=TEAM_ID, owner="test", clock=RedisClock(), time_travel=True)
                killed = Killed(stage, bot, store)
                await killed.command()
                await bot.kill()
                await killed.restart()
                await killed.is_whole()
                assert await bot.terminate() == 0
            finally:  # before the server is left: the last one to leave stops it
                await stage.sandbox.courier.stop()
                await bot.kill()
