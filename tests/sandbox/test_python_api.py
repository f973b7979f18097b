"""docs/sandbox.md says what is: its examples run, and every row of its tables is compared with the code."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.errors import ConfigError
from bot.sandbox.app_manifest import EVENT_SCOPES
from bot.sandbox.block_elements import ELEMENTS
from bot.sandbox.block_types import BLOCKS
from bot.sandbox.methods import all_methods
from bot.sandbox.rate_limits import PER_MINUTE, TIER_3
from bot.sandbox.server import PAGE, Sandbox
from bot.sandbox.workspace import Workspace
from tests.conftest import ROOT
from tests.contracts.test_manifest import methods_used
from tests.sandbox.tiny_bot import SIGNING_SECRET, TOKEN, TinyBot, manifest

TEXT = (ROOT / "docs" / "sandbox.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
EXAMPLE_S = 50


def table(*heads: str) -> list[list[str]]:
    """The rows of the table with these heads, their cells without backquotes."""
    lines = iter(TEXT.splitlines())
    wanted = "| " + " | ".join(heads) + " |"
    assert any(line == wanted for line in lines), f"no table {wanted}"
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def plain(cell: str) -> str:
    """A cell without its backquotes."""
    return cell.replace("`", "").strip()


# -- the examples ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES, ids=["Muster", "another bot"])
async def test_an_example_runs(example: str) -> None:
    """As a reader would run it: a program of its own, which ends by itself and well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error::RuntimeWarning", "-c", example, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(program.communicate(), EXAMPLE_S)
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    assert program.returncode == 0, output.decode()


def test_every_act_and_every_look_is_described() -> None:
    """The two tables have what the class has, with the names of the parameters."""
    described: dict[str, list[str]] = {}
    cells = [row[0] for head in ("what", "what") for row in table("`workspace.`", head)]
    second = TEXT.index("What they see:")
    cells += re.findall(r"^\| (`.*?) \| ", TEXT[second : TEXT.index("Around it,")], re.MULTILINE)
    for cell in cells:
        for name, _, given in re.findall(r"`(\w+)(\(([^`]*)\))?`", cell):
            described[name] = [one.strip() for one in given.split(",") if one.strip()]
    public = {name for name, _ in inspect.getmembers(Workspace) if not name.startswith("_")}
    assert set(described) == public
    for name, given in described.items():
        found: Any = getattr(Workspace, name)
        if not given or not callable(found):
            continue
        there = list(inspect.signature(found).parameters)
        aliases = {"name": "reference"} if name in ("channel", "find_channel", "user") else {}
        assert [one for one in given if aliases.get(one, one).lstrip("*") not in there and one != "…"] == [], name


# -- what is covered ---------------------------------------------------------------------------------------------------


def test_the_methods_are_those_that_are_there() -> None:
    """Each method, whether Muster uses it, and how many calls a minute it takes."""
    rows = {plain(method): (used == "yes", often) for method, used, often in table("method", "used by Muster", "calls a minute")}
    assert set(rows) == set(all_methods())
    assert {method for method, (used, _) in rows.items() if used} == methods_used()
    assert rows.pop("chat.postMessage")[1] == "1 a second in a channel"
    assert {method: often for method, (_, often) in rows.items()} == {name: str(PER_MINUTE.get(name, TIER_3)) for name in rows}


def test_the_blocks_are_those_that_are_judged() -> None:
    """Each block, and whether the page has a drawing of it."""
    rows = {plain(block): drawn for block, _, drawn in table("block", "judged", "drawn")}
    assert set(rows) == set(BLOCKS)
    assert {block for block, drawn in rows.items() if drawn == "yes"} == set(drawings("blocks.js", "BLOCKS")) & set(BLOCKS)


def test_the_elements_are_those_that_are_judged() -> None:
    """Each element, the blocks that take it, and whether the page has a drawing of it."""
    rows = {plain(element): (where.split(", "), drawn) for element, where, drawn in table("element", "in", "drawn")}
    known = {element for elements in ELEMENTS.values() for element in elements}
    assert set(rows) == known
    for element, (where, _) in rows.items():
        assert where == [block for block, elements in ELEMENTS.items() if element in elements], element
    drawn = set(drawings("elements.js", "KINDS")) | {"image"}
    assert {element for element, (_, how) in rows.items() if how == "yes"} == drawn & known


def drawings(script: str, name: str) -> Iterator[str]:
    """The keys of a table of the page's script that have a component."""
    source = (PAGE / "js" / script).read_text("utf-8")
    found = re.search(rf"const {name} = \{{(.*?)\}};", source, re.DOTALL)
    assert found, f"{script} has no table {name}"
    return (key for key, component in re.findall(r"(\w+): (\w+)", found[1]) if component != "null")


@pytest.mark.parametrize(("value", "where"), [(row[1], plain(row[2])) for row in table("limit", "value", "where")])
def test_a_limit_is_what_the_code_has(value: str, where: str) -> None:
    """The number in the document is the number in the code."""
    module, _, name = where.partition(":")
    assert getattr(importlib.import_module(module), name) == int(value.replace(",", ""))


async def test_the_events_are_those_that_are_sent() -> None:
    """An app that is subscribed to all of them gets exactly those that the document calls sent."""
    rows = {plain(event): sent == "yes" for event, sent in table("event", "sent")}
    assert set(rows) == set(EVENT_SCOPES)
    everything = manifest()
    everything["settings"]["event_subscriptions"]["bot_events"] = list(EVENT_SCOPES)
    sandbox, bot = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=everything), TinyBot()
    await sandbox.start()
    sandbox.bot_url = await bot.start()
    try:
        async with aiohttp.ClientSession() as session:
            await live(sandbox, AsyncWebClient(TOKEN, base_url=sandbox.slack_api_url, session=session))
        await sandbox.settled()
        got = {name_of(received.event) for received in bot.received if received.event}
    finally:
        await sandbox.stop()
        await bot.stop()
    assert got == {event for event, sent in rows.items() if sent}


def name_of(event: dict[str, Any]) -> str:
    """An event's name in a manifest."""
    plural = {"channel": "channels", "group": "groups"}
    kind = str(event.get("channel_type"))
    return f"message.{plural.get(kind, kind)}" if event["type"] == "message" else str(event["type"])


async def live(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    """Everything happens that makes an event."""
    people = sandbox.workspace
    await people.open_home("developer")
    said = await people.say("developer", "support", "hello @muster")
    await people.react("oncall", "support", said.ts or "", "eyes")
    await people.react("oncall", "support", said.ts or "", "eyes", remove=True)
    await slack.pins_add(channel="C0SUPPORT", timestamp=said.ts or "")
    await slack.pins_remove(channel="C0SUPPORT", timestamp=said.ts or "")
    await people.say("developer", "@muster", "hello")
    await slack.conversations_open(users="U0DEVELOPER,U0ONCALL")
    group = next(channel for channel in people.channels if channel.is_mpim)
    await people.say("developer", group.id, "hello")
    for name, private in (("open-room", False), ("closed-room", True)):
        await people.create_channel("developer", name, is_private=private)
        await people.invite("developer", name, "@muster", "oncall")
        await people.say("developer", name, "hello")
        await people.leave("oncall", name)
        await people.rename("developer", name, f"{name}-2")
        await people.archive("developer", f"{name}-2")
        await people.archive("developer", f"{name}-2", archived=False)
        await people.kick("developer", f"{name}-2", "@muster")


# -- its security ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.10", "example.com", ""])
async def test_it_listens_on_this_machine_only_and_says_so(host: str) -> None:
    """Asked for another address it does not start at all."""
    sandbox = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest())
    with pytest.raises(ConfigError, match="listens on this machine only"):
        await sandbox.start(host=host)
    with pytest.raises(RuntimeError, match="not been started"):
        _ = sandbox.url


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_is_found_on_this_machine(host: str) -> None:
    """By number and by name; the port is on loopback and on no other address."""
    sandbox = Sandbox(signing_secret=SIGNING_SECRET, bot_token=TOKEN, manifest=manifest())
    await sandbox.start(host=host)
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{sandbox.url}/sandbox/state") as answer:
            assert answer.status == 200
    finally:
        await sandbox.stop()


async def test_the_page_as_another_machine_sees_it(sandbox: Sandbox) -> None:
    """A name that leads here from elsewhere gets a sentence instead of the page."""
    async with aiohttp.ClientSession() as session:
        async with session.get(sandbox.url, headers={"Host": "sandbox.example.com"}) as answer:
            assert (answer.status, "answers only on this machine" in await answer.text()) == (403, True)
        async with session.post(
            f"{sandbox.url}/sandbox/say", json={"user": "U0CTO"}, headers={"Origin": "https://example.com"}
        ) as answer:
            assert answer.status == 403
